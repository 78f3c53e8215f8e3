//! A small blocking client for commands on the same machine: one request, one connection.
//!
//! Of TLS it trusts exactly the certificate that the project names, whatever name is in it:
//! the server was found through the store's directory.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_engine::{Scope, ServerSettings};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::Value as Json;

use crate::auth::secret;
use crate::long_work::LINES;
use crate::presence::Presence;
use crate::topics::EVENTS;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer may pause.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes that an answer may have.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// Bytes that a line of its head may have.
const HEAD_LINE_BYTES_MAX: u64 = 64 << 10;

/// A server that runs on this machine.
pub struct Client {
    presence: Presence,
    tls: Option<Arc<ClientConfig>>,
    /// With what each allows.
    tokens: Vec<(Vec<Scope>, String)>,
}

/// What it answered.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    instance: Option<String>,
}

impl Client {
    /// The server that a store's directory names, if it answers and is the one that wrote
    /// the file.
    ///
    /// # Errors
    /// If it answers, and the settings do not let it be understood.
    pub fn find(store: &std::path::Path, settings: &ServerSettings) -> io::Result<Option<Client>> {
        let Some(presence) = Presence::find(store) else {
            return Ok(None);
        };
        let tokens = settings
            .tokens
            .iter()
            .filter_map(|t| Some((t.scopes.clone(), secret(t).ok()?)))
            .collect();
        let tls = match (presence.tls, &settings.tls_certificate) {
            (false, _) => None,
            (true, Some(path)) => Some(pinned(path)?),
            (true, None) => {
                return Err(io::Error::other("the project names no `tls_certificate`"));
            }
        };
        let client = Client {
            presence,
            tls,
            tokens,
        };
        match client.get("/healthz") {
            Ok(reply) if reply.instance.as_ref() == Some(&client.presence.instance) => {
                Ok(Some(client))
            }
            // Another server at its address, or none: it was killed.
            Ok(_) => Ok(None),
            Err(error) if is_nobody(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.presence.url()
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn get(&self, path: &str) -> io::Result<Reply> {
        self.send(&mut Sent::new("GET", path, Scope::Read, b""))
    }

    /// Sends JSON.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn post(&self, path: &str, json: &[u8]) -> io::Result<Reply> {
        self.send(&mut Sent::new("POST", path, Scope::Read, json))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn send(&self, sent: &mut Sent<'_>) -> io::Result<Reply> {
        let address = reachable(self.presence.address);
        let mut head = format!(
            "{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Evenkeel-Instance: {}\r\nContent-Type: {}\r\nAccept: {}\r\nContent-Length: {}\r\n",
            sent.method,
            sent.path,
            self.presence.instance,
            sent.content_type,
            sent.accept,
            sent.length
        );
        if sent.progress.is_some() {
            head.push_str("Evenkeel-Progress: true\r\n");
        }
        if let Some(token) = self.token(sent.scope) {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        head.push_str("\r\n");
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        match &self.tls {
            None => exchange(stream, &head, sent),
            Some(config) => {
                let name = ServerName::from(address.ip());
                let connection =
                    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                exchange(StreamOwned::new(connection, stream), &head, sent)
            }
        }
    }

    fn token(&self, wanted: Scope) -> Option<&str> {
        let allows = |scopes: &[Scope]| scopes.contains(&wanted) || scopes.contains(&Scope::Admin);
        let found = self.tokens.iter().find(|(scopes, _)| allows(scopes));
        found.map(|(_, token)| token.as_str())
    }
}

/// What is told of long work: the stage, what is done, and all.
pub type Progress<'a> = &'a mut dyn FnMut(&str, u64, u64);

/// A request to a server.
pub struct Sent<'a> {
    /// The method.
    pub method: &'static str,
    /// The path, with its query.
    pub path: &'a str,
    /// What a token must allow.
    pub scope: Scope,
    /// The type of the body.
    pub content_type: &'static str,
    /// The type of the answer.
    pub accept: &'static str,
    /// The body.
    pub body: Box<dyn Read + 'a>,
    /// Its length.
    pub length: u64,
    /// Of long work: is told how far it is.
    pub progress: Option<Progress<'a>>,
    /// Of server-sent events: takes the data of each as it comes; false to end.
    pub events: Option<&'a mut dyn FnMut(&str) -> bool>,
    /// Of long work: takes the file that it makes.
    pub file: Option<&'a mut dyn Write>,
}

impl<'a> Sent<'a> {
    /// JSON, for JSON.
    pub fn new(method: &'static str, path: &'a str, scope: Scope, body: &'a [u8]) -> Self {
        Sent {
            method,
            path,
            scope,
            content_type: "application/json",
            accept: "application/json",
            length: body.len() as u64,
            body: Box::new(body),
            progress: None,
            events: None,
            file: None,
        }
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::TimedOut
            | io::ErrorKind::InvalidData
            | io::ErrorKind::UnexpectedEof
    )
}

/// A server that listens everywhere is asked through the loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn exchange(mut stream: impl Read + Write, head: &str, sent: &mut Sent<'_>) -> io::Result<Reply> {
    let written = stream
        .write_all(head.as_bytes())
        .and_then(|()| io::copy(&mut sent.body, &mut stream))
        .and_then(|_| stream.flush());
    // A server that refuses a body answers before it has read all of it.
    let answered = receive(BufReader::new(stream), sent);
    match (written, answered) {
        (Err(error), Err(_)) => Err(error),
        (_, answered) => answered,
    }
}

/// Reads an HTTP/1.1 answer.
fn receive(mut stream: impl BufRead, sent: &mut Sent<'_>) -> io::Result<Reply> {
    let mut line = String::new();
    let mut next_line = |stream: &mut dyn BufRead| -> io::Result<String> {
        line.clear();
        stream.take(HEAD_LINE_BYTES_MAX).read_line(&mut line)?;
        line.strip_suffix("\r\n")
            .map(str::to_owned)
            .ok_or_else(not_whole)
    };
    let status = next_line(&mut stream)?
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(not_whole)?;
    let (mut length, mut instance, mut content_type) = (None, None, String::new());
    let mut is_chunked = false;
    loop {
        let header = next_line(&mut stream)?;
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').ok_or_else(not_whole)?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.parse().map_err(|_| not_whole())?),
            "content-type" => value.clone_into(&mut content_type),
            "evenkeel-instance" => instance = Some(value.to_owned()),
            "transfer-encoding" => is_chunked = value.eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    let mut body: Box<dyn BufRead + '_> = match (is_chunked, length) {
        (true, _) => Box::new(BufReader::new(Chunks::new(&mut stream))),
        (false, Some(length)) => Box::new(Exact {
            stream: &mut stream,
            left: length,
        }),
        (false, None) => return Err(not_whole()),
    };
    let (status, body) = if content_type == LINES {
        told(&mut body, status, sent)?
    } else if content_type == EVENTS {
        taken(&mut body, sent)?;
        (status, Vec::new())
    } else {
        let mut whole = Vec::new();
        body.take(ANSWER_BYTES_MAX).read_to_end(&mut whole)?;
        (status, whole)
    };
    Ok(Reply {
        status,
        body,
        instance,
    })
}

/// Lines of progress, then a result or an error, then the file: the status and the body that
/// the answer would have without progress.
fn told(body: &mut dyn BufRead, status: u16, sent: &mut Sent<'_>) -> io::Result<(u16, Vec<u8>)> {
    loop {
        let mut line = Vec::new();
        body.take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(not_whole());
        }
        let mut json: Json = serde_json::from_slice(&line).map_err(|_| not_whole())?;
        if let Some(at) = json.get("progress") {
            let number = |name: &str| at[name].as_u64().unwrap_or_default();
            if let Some(progress) = &mut sent.progress {
                let stage = at["stage"].as_str().unwrap_or_default();
                progress(stage, number("done"), number("total"));
            }
            continue;
        }
        if let Some(status) = json["status"].as_u64() {
            let status = u16::try_from(status).map_err(|_| not_whole())?;
            return Ok((status, line));
        }
        let bytes = json["bytes"].as_u64().unwrap_or_default();
        if let Some(file) = &mut sent.file
            && io::copy(&mut body.take(bytes), file)? != bytes
        {
            return Err(not_whole());
        }
        return Ok((status, json["result"].take().to_string().into_bytes()));
    }
}

/// Server-sent events, until their end or until somebody has had enough. Each has one line of data.
fn taken(body: &mut dyn BufRead, sent: &mut Sent<'_>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        (&mut *body).take(ANSWER_BYTES_MAX).read_line(&mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        let data = line.trim_end().strip_prefix("data: ");
        if let (Some(data), Some(events)) = (data, &mut sent.events)
            && !events(data)
        {
            return Ok(());
        }
    }
}

fn not_whole() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the answer is no whole HTTP answer",
    )
}

/// So many bytes of a stream, all of them.
struct Exact<'a> {
    stream: &'a mut dyn BufRead,
    left: u64,
}

impl Read for Exact<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let found = self.fill_buf()?;
        let read = found.len().min(buffer.len());
        buffer[..read].copy_from_slice(&found[..read]);
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Exact<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let found = self.stream.fill_buf()?;
        if found.is_empty() {
            return Err(not_whole());
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        Ok(&found[..found.len().min(left)])
    }

    fn consume(&mut self, bytes: usize) {
        self.left -= bytes as u64;
        self.stream.consume(bytes);
    }
}

/// A body in chunks (RFC 9112, 7.1).
struct Chunks<'a> {
    stream: &'a mut dyn BufRead,
    left: u64,
    is_first: bool,
    is_done: bool,
}

impl<'a> Chunks<'a> {
    fn new(stream: &'a mut dyn BufRead) -> Self {
        Chunks {
            stream,
            left: 0,
            is_first: true,
            is_done: false,
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut *self.stream)
            .take(HEAD_LINE_BYTES_MAX)
            .read_line(&mut line)?;
        let whole = line.strip_suffix("\r\n").ok_or_else(not_whole)?;
        Ok(whole.to_owned())
    }
}

impl Read for Chunks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_done || buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            if !std::mem::take(&mut self.is_first) && !self.line()?.is_empty() {
                return Err(not_whole());
            }
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            self.left = u64::from_str_radix(digits, 16).map_err(|_| not_whole())?;
            if self.left == 0 {
                while !self.line()?.is_empty() {}
                self.is_done = true;
                return Ok(0);
            }
        }
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.stream.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(not_whole());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

fn pinned(certificate: &std::path::Path) -> io::Result<Arc<ClientConfig>> {
    let certificate = CertificateDer::pem_file_iter(certificate)
        .and_then(|mut chain| chain.next().transpose())
        .map_err(io::Error::other)?
        .ok_or_else(|| io::Error::other("there is no certificate in `tls_certificate`"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned {
            certificate,
            provider,
        }))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Trusts one certificate.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *end_entity == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(
            "it shows another certificate than the project names".to_owned(),
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive_all(answer: &[u8]) -> io::Result<Reply> {
        receive(answer, &mut Sent::new("GET", "/", Scope::Read, b""))
    }

    #[test]
    fn answers_are_whole_or_none() {
        let answers: [&[u8]; 2] = [
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nEvenkeel-Instance: x\r\n\r\n{}",
            b"HTTP/1.1 404 x\r\nevenkeel-instance: x\r\nTransfer-Encoding: chunked\r\n\r\n\
              1\r\n{\r\n1;a=b\r\n}\r\n0\r\n\r\n",
        ];
        for whole in answers {
            let reply = receive_all(whole).unwrap();
            assert_eq!((reply.status, reply.body.as_slice()), (404, &b"{}"[..]));
            assert_eq!(reply.instance.as_deref(), Some("x"));
            for cut in 0..whole.len() {
                assert!(receive_all(&whole[..cut]).is_err(), "{cut}");
            }
        }
        assert!(receive_all(b"SSH-2.0-x\r\n\r\n").is_err());
        assert!(receive_all(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").is_err());
    }

    #[test]
    fn progress_is_told_and_a_file_is_taken_whole() {
        let lines = "{\"progress\":{\"stage\":\"a\",\"done\":1,\"total\":2}}\n\
                     {\"result\":{\"rows\":1},\"bytes\":3}\nxyz";
        let head = |length: usize| {
            format!("HTTP/1.1 200 OK\r\nContent-Type: {LINES}\r\nContent-Length: {length}\r\n\r\n")
        };
        let receive_lines = |lines: &str| {
            let (mut seen, mut file) = (Vec::new(), Vec::new());
            let mut progress =
                |stage: &str, done, total| seen.push((stage.to_owned(), done, total));
            let mut sent = Sent::new("POST", "/", Scope::Read, b"");
            sent.progress = Some(&mut progress);
            sent.file = Some(&mut file);
            let answer = head(lines.len()) + lines;
            let reply = receive(answer.as_bytes(), &mut sent);
            drop(sent);
            (reply, seen, file)
        };
        let (reply, seen, file) = receive_lines(lines);
        assert_eq!(reply.unwrap().body, b"{\"rows\":1}");
        assert_eq!(seen, [("a".to_owned(), 1, 2)]);
        assert_eq!(file, b"xyz");
        for cut in 0..lines.len() {
            assert!(receive_lines(&lines[..cut]).0.is_err(), "{cut}");
        }
        let (reply, ..) = receive_lines("{\"error\":{},\"status\":504}\n");
        assert_eq!(reply.unwrap().status, 504);
    }
}
