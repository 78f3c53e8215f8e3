//! A small blocking client for commands on the same machine: one request, one connection.
//!
//! Of TLS it trusts exactly the certificate that the project names, whatever name is in it:
//! the server was found through the store's directory.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_engine::{Scope, ServerSettings};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use crate::auth::secret;
use crate::presence::Presence;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer may pause.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes that an answer may have.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// A server that runs on this machine.
pub struct Client {
    presence: Presence,
    tls: Option<Arc<ClientConfig>>,
    token: Option<String>,
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
        let token = settings
            .tokens
            .iter()
            .filter(|t| t.scopes.contains(&Scope::Read) || t.scopes.contains(&Scope::Admin))
            .find_map(|t| secret(t).ok());
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
            token,
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
        self.request("GET", path, b"")
    }

    /// Sends JSON.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn post(&self, path: &str, json: &[u8]) -> io::Result<Reply> {
        self.request("POST", path, json)
    }

    fn request(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Reply> {
        let address = reachable(self.presence.address);
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        if let Some(token) = &self.token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        head.push_str("\r\n");
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let sent = [head.as_bytes(), body].concat();
        match &self.tls {
            None => exchange(stream, &sent),
            Some(config) => {
                let name = ServerName::from(address.ip());
                let connection =
                    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                exchange(StreamOwned::new(connection, stream), &sent)
            }
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

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Reply> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut answer = Vec::new();
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer);
    let reply = parse(&answer);
    match (read, reply) {
        // A server that closes TLS without saying so is understood by the length of its answer.
        (_, Some(reply)) => Ok(reply),
        (Err(error), None) => Err(error),
        (Ok(_), None) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the answer is no whole HTTP answer",
        )),
    }
}

/// A whole HTTP/1.1 answer with a length.
fn parse(answer: &[u8]) -> Option<Reply> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()?
        .strip_prefix("HTTP/1.1 ")?
        .get(..3)?
        .parse()
        .ok()?;
    let (mut length, mut instance) = (None, None);
    for line in lines {
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.trim().parse::<usize>().ok()?),
            "evenkeel-instance" => instance = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let body = answer.get(end + 4..)?.get(..length?)?.to_vec();
    Some(Reply {
        status,
        body,
        instance,
    })
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

    #[test]
    fn answers_are_whole_or_none() {
        let whole =
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nEvenkeel-Instance: x\r\n\r\n{}";
        let reply = parse(whole).unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (404, &b"{}"[..]));
        assert_eq!(reply.instance.as_deref(), Some("x"));
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_none(), "{cut}");
        }
        assert!(parse(b"SSH-2.0-x\r\n\r\n").is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n").is_none());
    }
}
