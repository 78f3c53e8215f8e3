//! What stands between a program and an object store, and does to requests what a network and a busy store do.

#![expect(
    clippy::disallowed_methods,
    reason = "a proxy serves each connection on a thread of its own"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::server::{ObjectStore, Speaks};

mod name_node;

/// A request, as far as it matters.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// How many came before it.
    pub(crate) number: usize,
    pub(crate) method: String,
    /// What it asks about, and what else it says.
    pub(crate) path: String,
}

impl Request {
    /// Whether it writes the next version of a table.
    pub(crate) fn is_commit(&self) -> bool {
        let in_log = self.path.contains("/_delta_log/");
        match self.method.as_str() {
            "PUT" => in_log && self.path.ends_with(".json"),
            // What was written aside gets its name.
            name_node::RENAME => in_log && self.path.contains(".json"),
            _ => false,
        }
    }

    /// What is slow once, to be seen. Of a name node's requests not all: a file takes many, and each slow one its time.
    pub(crate) fn kind(&self) -> Option<(String, bool)> {
        let many = name_node::is_method(&self.method)
            && !name_node::OF_NOTE.contains(&self.method.as_str());
        (!many).then(|| (self.method.clone(), self.is_commit()))
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Answered,
    /// The store is too busy.
    Busy,
    /// It is carried out, and nobody is told.
    AnswerLost,
    /// Nothing comes, until who asked gives up; then it is carried out, as it may be in a queue.
    TooSlow,
    /// The store knows no conditions: what should not have been written is said to be.
    Unconditional,
}

type Decide = Box<dyn FnMut(&Request) -> Fate + Send>;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    store: u16,
    speaks: Speaks,
    decide: Mutex<Decide>,
    requests: AtomicUsize,
    ends: AtomicBool,
}

impl Proxy {
    /// In front of a store. `decide` says of each request, in the order in which they came, what
    /// becomes of it.
    pub(crate) fn before(
        store: &ObjectStore,
        decide: impl FnMut(&Request) -> Fate + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            store: store.port,
            speaks: store.speaks,
            decide: Mutex::new(Box::new(decide)),
            requests: AtomicUsize::new(0),
            ends: AtomicBool::new(false),
        });
        let for_thread = Arc::clone(&shared);
        let listening = thread::spawn(move || {
            for client in listener.incoming() {
                if for_thread.ends.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&for_thread);
                // Whoever is cut off says so itself.
                thread::spawn(move || {
                    drop(client.and_then(|client| match shared.speaks {
                        Speaks::S3 => shared.serve(client),
                        Speaks::Hdfs => name_node::serve(&shared, client),
                    }))
                });
            }
        });
        Proxy {
            port,
            shared,
            listening: Some(listening),
        }
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // It looks whether to end when somebody comes.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(listening) = self.listening.take() {
            listening.join().unwrap();
        }
    }
}

impl Shared {
    /// What becomes of the next request.
    fn fate(&self, method: String, path: String) -> Fate {
        let mut decide = self.decide.lock().unwrap();
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        decide(&Request {
            number,
            method,
            path,
        })
    }

    /// One request of a connection, which ends with it.
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let mut lines: Vec<String> = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line);
        }
        let value = |name: &str| {
            let of_name = |line: &&String| line.to_ascii_lowercase().starts_with(name);
            lines.iter().find(of_name)?.split_once(':')
        };
        let length = value("content-length:").map_or(0, |(_, text)| text.trim().parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut words = lines[0].split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let fate = self.fate(method, path);
        let is_kept = |line: &&String| !line.to_ascii_lowercase().starts_with("connection:");
        let mut head: String = lines.iter().filter(is_kept).map(String::as_str).collect();
        head.push_str("connection: close\r\n\r\n");
        let carry_out = || -> io::Result<Vec<u8>> {
            let mut store = TcpStream::connect(("127.0.0.1", self.store))?;
            store.write_all(head.as_bytes())?;
            store.write_all(&body)?;
            let mut answer = Vec::new();
            store.read_to_end(&mut answer)?;
            Ok(answer)
        };
        match fate {
            Fate::Answered => client.write_all(&carry_out()?)?,
            Fate::Unconditional => {
                let answer = carry_out()?;
                let is_refused = answer.get(9..12) == Some(b"412");
                let written = b"HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 0\r\n\r\n";
                client.write_all(if is_refused { written } else { &answer })?;
            }
            Fate::Busy => client.write_all(
                b"HTTP/1.1 503 Slow Down\r\ncontent-length: 8\r\nconnection: close\r\n\r\nSlowDown",
            )?,
            Fate::AnswerLost => drop(carry_out()?),
            Fate::TooSlow => {
                // Until the other side ends the connection.
                while reader.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
                drop(carry_out()?);
            }
        }
        client.shutdown(Shutdown::Both)
    }
}
