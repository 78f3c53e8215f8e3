//! The client's side of the protocol: a connection, queries as text, and the stream of the binlog.
//!
//! Speaks protocol 4.1 without its options: no compression, no prepared statements, no files.
//! Knows nothing of tables. See MariaDB's and MySQL's pages on the client/server protocol.

mod key;
mod password;

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use self::key::PublicKey;
use self::password::{native, sha2};
use crate::bytes::{Bytes, CutOff};
use crate::error::CaptureError;
use crate::gtid::GtidSet;
use crate::settings::{ServerKey, Settings};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A server that follows the protocol says something more often than this: it was asked for
/// heartbeats, and a query that takes longer is not asked.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
const PACKET_BYTES_MAX: usize = 0x00ff_ffff;
/// A message of several packets: a row or an event. Both are bounded by the server, at a gibibyte.
const MESSAGE_BYTES_MAX: usize = (1 << 30) + (64 << 20);
const BUFFER_BYTES: usize = 1 << 16;

/// What is asked of the server: 4.1's protocol, with plugins for passwords.
const CAPABILITIES: u32 = LONG_PASSWORD | PROTOCOL_41 | TRANSACTIONS | SECURE | PLUGINS;
const LONG_PASSWORD: u32 = 1;
const PROTOCOL_41: u32 = 0x200;
const TRANSACTIONS: u32 = 0x2000;
const SECURE: u32 = 0x8000;
const PLUGINS: u32 = 0x0008_0000;
/// utf8mb4_general_ci
const CHARSET: u8 = 45;

const NATIVE: &[u8] = b"mysql_native_password";

const CACHING_SHA2: &[u8] = b"caching_sha2_password";
/// What `caching_sha2_password` says: the password is known, or has to be sent whole.
const KNOWN: u8 = 3;
const WHOLE: u8 = 4;
/// Asks for the server's key.
const ASK_FOR_KEY: u8 = 2;

const QUERY: u8 = 0x03;
const BINLOG_DUMP: u8 = 0x12;
const REGISTER_SLAVE: u8 = 0x15;
const BINLOG_DUMP_GTID: u8 = 0x1e;
/// What is sent is chosen by GTIDs alone.
const THROUGH_GTID: u16 = 4;

const OK: u8 = 0;
const MORE: u8 = 1;
const LOCAL_FILE: u8 = 0xfb;
const END: u8 = 0xfe;
const ERROR: u8 = 0xff;
const NULL: u8 = 0xfb;
/// An END with more bytes is a row.
const END_BYTES_MAX: usize = 9;

/// A row as texts, with NULLs.
pub(crate) type TextRow = Vec<Option<Vec<u8>>>;

pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    server: String,
    sequence: u8,
    message: Vec<u8>,
    /// Of the query that was asked last.
    has_rows: bool,
}

impl Connection {
    pub(crate) fn open(settings: &Settings) -> Result<Self, CaptureError> {
        Connection::open_within(settings, READ_TIMEOUT)
    }

    /// The same, with how long the server may say nothing.
    pub(crate) fn open_within(
        settings: &Settings,
        silence: Duration,
    ) -> Result<Self, CaptureError> {
        let server = settings.server();
        let failed = |source| CaptureError::Network {
            action: "cannot connect to",
            server: server.clone(),
            source,
        };
        let stream = connect(settings).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(silence)).map_err(failed)?;
        stream.set_write_timeout(Some(silence)).map_err(failed)?;
        let mut connection = Connection {
            stream: BufReader::with_capacity(BUFFER_BYTES, stream),
            server: server.clone(),
            sequence: 0,
            message: Vec::new(),
            has_rows: false,
        };
        connection.log_in(settings)?;
        // Whatever the server makes of the greeting.
        connection.run("SET NAMES utf8mb4")?;
        Ok(connection)
    }

    fn log_in(&mut self, settings: &Settings) -> Result<(), CaptureError> {
        self.read()?;
        self.refuse_error("the connection")?;
        let greeting = greeting(&self.message);
        let (mut salt, mut plugin) = greeting.map_err(|_| not_understood("its greeting"))?;
        let mut first = shown(&plugin, &settings.password, &salt);
        if first.is_err() {
            // The account's own may be another.
            plugin = NATIVE.to_vec();
            first = shown(&plugin, &settings.password, &salt);
        }
        let shown = first?;
        let mut answer = Vec::new();
        answer.extend(CAPABILITIES.to_le_bytes());
        answer.extend((1u32 << 30).to_le_bytes());
        answer.push(CHARSET);
        answer.extend([0; 23]);
        answer.extend(settings.user.as_bytes());
        answer.push(0);
        // At most 32 bytes.
        answer.push(shown.len() as u8);
        answer.extend(shown);
        answer.extend(&plugin);
        answer.push(0);
        self.write(&answer)?;
        loop {
            self.read()?;
            self.refuse_error("the account")?;
            match self.message.first() {
                Some(&OK) => return Ok(()),
                Some(&END) => {
                    let mut rest = Bytes(&self.message[1..]);
                    plugin = rest.until_zero().unwrap_or_default().to_vec();
                    salt = rest.rest().to_vec();
                    let shown = self::shown(&plugin, &settings.password, &salt)?;
                    self.write(&shown)?;
                }
                // The server knows the password from before.
                Some(&MORE) if self.message.get(1) == Some(&KNOWN) => {}
                Some(&MORE) if self.message.get(1) == Some(&WHOLE) && plugin == CACHING_SHA2 => {
                    self.show_whole(settings, &salt)?;
                }
                _ => {
                    return Err(CaptureError::Authentication {
                        plugin: String::from_utf8_lossy(&plugin).into_owned(),
                    });
                }
            }
        }
    }

    /// Shows the password itself, under the server's key.
    fn show_whole(&mut self, settings: &Settings, salt: &[u8]) -> Result<(), CaptureError> {
        let pem = match &settings.server_key {
            None => {
                return Err(CaptureError::WholePassword {
                    server: self.server.clone(),
                });
            }
            Some(ServerKey::File(pem)) => pem.clone(),
            Some(ServerKey::Ask) => {
                self.write(&[ASK_FOR_KEY])?;
                self.read()?;
                self.refuse_error("its key")?;
                match self.message.split_first() {
                    Some((&MORE, pem)) => pem.to_vec(),
                    _ => return Err(not_understood("its key")),
                }
            }
        };
        let key = PublicKey::parse(&pem).ok_or_else(|| not_understood("its key"))?;
        let salt = salt.strip_suffix(&[0]).unwrap_or(salt);
        let encrypted = key.encrypt(&settings.password, salt);
        let encrypted = encrypted.ok_or_else(|| CaptureError::Authentication {
            plugin: "a password that is longer than its key".to_owned(),
        })?;
        self.write(&encrypted)
    }

    /// Does what gives no rows, or drops them.
    pub(crate) fn run(&mut self, sql: &str) -> Result<(), CaptureError> {
        self.begin_query(sql)?;
        while self.next_row()?.is_some() {}
        Ok(())
    }

    /// All rows of a query that has few.
    pub(crate) fn rows(&mut self, sql: &str) -> Result<Vec<TextRow>, CaptureError> {
        self.begin_query(sql)?;
        let mut rows = Vec::new();
        while let Some(row) = self.next_row()? {
            let owned = row.into_iter().map(|value| value.map(<[u8]>::to_vec));
            rows.push(owned.collect());
        }
        Ok(rows)
    }

    /// Asks; the rows are got with [`Connection::next_row`] until there are no more.
    pub(crate) fn begin_query(&mut self, sql: &str) -> Result<(), CaptureError> {
        let mut command = vec![QUERY];
        command.extend(sql.as_bytes());
        self.has_rows = false;
        self.command(&command)?;
        self.read()?;
        self.refuse_error(&format!("`{sql}`"))?;
        let columns = match self.message.first() {
            Some(&OK) => return Ok(()),
            None | Some(&LOCAL_FILE) => return Err(not_understood("its answer to a query")),
            Some(_) => Bytes(&self.message).packed(),
        };
        let columns = columns.map_err(|_| not_understood("its answer to a query"))?;
        // Their definitions, and what ends them.
        for _ in 0..=columns {
            self.read()?;
        }
        self.has_rows = true;
        Ok(())
    }

    /// The next row of the query that was asked last.
    pub(crate) fn next_row(&mut self) -> Result<Option<Vec<Option<&[u8]>>>, CaptureError> {
        if !self.has_rows {
            return Ok(None);
        }
        self.read()?;
        self.refuse_error("a row")?;
        if self.message.first() == Some(&END) && self.message.len() < END_BYTES_MAX {
            self.has_rows = false;
            return Ok(None);
        }
        let mut bytes = Bytes(&self.message);
        let mut row = Vec::new();
        while !bytes.is_empty() {
            if bytes.0[0] == NULL {
                bytes.rest_after_null();
                row.push(None);
            } else {
                let value = bytes.packed_bytes();
                row.push(Some(value.map_err(|_| not_understood("a row"))?));
            }
        }
        Ok(Some(row))
    }

    /// Makes the connection a stream of the binlog, from a place on.
    pub(crate) fn dump(
        &mut self,
        server_id: u32,
        file: &str,
        position: u32,
    ) -> Result<(), CaptureError> {
        self.register(server_id)?;
        let mut dump = vec![BINLOG_DUMP];
        dump.extend(position.to_le_bytes());
        dump.extend([0; 2]);
        dump.extend(server_id.to_le_bytes());
        dump.extend(file.as_bytes());
        self.command(&dump)
    }

    /// Makes the connection a stream of all transactions of the binlog but those of a set.
    pub(crate) fn dump_without(
        &mut self,
        server_id: u32,
        known: &GtidSet,
    ) -> Result<(), CaptureError> {
        self.register(server_id)?;
        let known = known.encode();
        let mut dump = vec![BINLOG_DUMP_GTID];
        dump.extend(THROUGH_GTID.to_le_bytes());
        dump.extend(server_id.to_le_bytes());
        // No file, from its first event on.
        dump.extend(0_u32.to_le_bytes());
        dump.extend(4_u64.to_le_bytes());
        // A set is some bytes per range.
        dump.extend(u32::try_from(known.len()).unwrap_or(u32::MAX).to_le_bytes());
        dump.extend(known);
        self.command(&dump)
    }

    fn register(&mut self, server_id: u32) -> Result<(), CaptureError> {
        let mut register = vec![REGISTER_SLAVE];
        register.extend(server_id.to_le_bytes());
        // No name, no user, no password, no port, no rank, no other master.
        register.extend([0; 3 + 2 + 4 + 4]);
        self.command(&register)?;
        self.read()?;
        self.refuse_error("to be followed")
    }

    /// The next event of the stream; `None` if the server ends it.
    pub(crate) fn next_event(&mut self) -> Result<Option<&[u8]>, CaptureError> {
        self.read()?;
        self.refuse_error("its binlog")?;
        match self.message.first() {
            Some(&OK) => Ok(Some(&self.message[1..])),
            Some(&END) => Ok(None),
            _ => Err(not_understood("an event")),
        }
    }

    fn command(&mut self, bytes: &[u8]) -> Result<(), CaptureError> {
        self.sequence = 0;
        self.write(bytes)
    }

    fn write(&mut self, message: &[u8]) -> Result<(), CaptureError> {
        // What is written here is short.
        let length = u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes();
        let mut packet = vec![length[0], length[1], length[2], self.sequence];
        packet.extend(message);
        self.sequence = self.sequence.wrapping_add(1);
        let written = self.stream.get_mut().write_all(&packet);
        written.map_err(|error| self.lost(error))
    }

    /// Reads a message.
    fn read(&mut self) -> Result<(), CaptureError> {
        self.message.clear();
        loop {
            let mut header = [0; 4];
            let read = self.stream.read_exact(&mut header);
            read.map_err(|error| self.lost(error))?;
            let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
            self.sequence = header[3].wrapping_add(1);
            let from = self.message.len();
            if from + length > MESSAGE_BYTES_MAX {
                return Err(not_understood("a message that is longer than a gibibyte"));
            }
            self.message.resize(from + length, 0);
            let read = self.stream.read_exact(&mut self.message[from..]);
            read.map_err(|error| self.lost(error))?;
            if length < PACKET_BYTES_MAX {
                return Ok(());
            }
        }
    }

    fn lost(&self, source: io::Error) -> CaptureError {
        CaptureError::Network {
            action: "lost the connection to",
            server: self.server.clone(),
            source,
        }
    }

    fn refuse_error(&self, what: &str) -> Result<(), CaptureError> {
        if self.message.first() != Some(&ERROR) {
            return Ok(());
        }
        let mut bytes = Bytes(&self.message[1..]);
        let code = bytes.u16().unwrap_or_default();
        let message = bytes.rest();
        // `#` and five characters of a class of errors.
        let message = match message {
            [b'#', _, _, _, _, _, rest @ ..] => rest,
            _ => message,
        };
        Err(CaptureError::Refused {
            what: what.to_owned(),
            message: String::from_utf8_lossy(message).into_owned(),
            code,
            hint: String::new(),
        })
    }
}

impl Bytes<'_> {
    fn rest_after_null(&mut self) {
        self.0 = &self.0[1..];
    }
}

pub(crate) fn not_understood(what: &'static str) -> CaptureError {
    CaptureError::Protocol { what }
}

fn connect(settings: &Settings) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in (settings.host.as_str(), settings.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Salt and plugin of a server's greeting.
fn greeting(message: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CutOff> {
    let mut bytes = Bytes(message);
    if bytes.u8()? != 10 {
        return Err(CutOff);
    }
    bytes.until_zero()?;
    bytes.take(4)?;
    let mut salt = bytes.take(8)?.to_vec();
    // A filler, capabilities, character set, status, more capabilities.
    bytes.take(1 + 2 + 1 + 2 + 2)?;
    let length = usize::from(bytes.u8()?);
    bytes.take(10)?;
    let rest = bytes.take(length.saturating_sub(8).max(13))?;
    salt.extend(rest.strip_suffix(&[0]).unwrap_or(rest));
    let plugin = bytes.until_zero().unwrap_or(NATIVE);
    Ok((salt, plugin.to_vec()))
}

/// What shows that a password is known.
fn shown(plugin: &[u8], password: &str, salt: &[u8]) -> Result<Vec<u8>, CaptureError> {
    let salt = salt.strip_suffix(&[0]).unwrap_or(salt);
    match plugin {
        NATIVE => Ok(native(password, salt)),
        CACHING_SHA2 => Ok(sha2(password, salt)),
        other => Err(CaptureError::Authentication {
            plugin: String::from_utf8_lossy(other).into_owned(),
        }),
    }
}
