//! A server as a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use evenkeel_engine::ServerSettings;
use evenkeel_server::Client;

use crate::support::{Project, binary};

/// A running server.
pub(crate) struct Server {
    child: Child,
    /// Kept open, so that the server can go on writing.
    _stdout: BufReader<ChildStdout>,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(project: &Project, arguments: &[&str]) -> Server {
        let mut child = binary()
            .current_dir(project.path())
            .args(["serve", "--bind", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| {
            let output = child.wait().unwrap();
            panic!("{output}: {line}")
        });
        Server {
            url: url.trim_end().to_owned(),
            child,
            _stdout: stdout,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Stops it as a supervisor does; it must end well.
    pub(crate) fn stop(self) {
        self.signal("-TERM");
        self.ends_well();
    }

    pub(crate) fn ends_well(mut self) {
        assert!(self.child.wait().unwrap().success());
    }

    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// A connection on which all of a request is sent but the end of its body.
    pub(crate) fn begin(&self, path: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        let length = body.len();
        let (sent, _) = body.split_at(length - 1);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{sent}"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, or a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn client(project: &Project) -> Client {
    let store = project.path().join(".evenkeel");
    let found = Client::find(&store, &ServerSettings::default()).unwrap();
    found.expect("the server answers")
}
