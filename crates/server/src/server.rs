//! Listening: addresses, TLS, connections, and a stop that loses nothing.

use std::convert::Infallible;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use evenkeel_engine::{Engine, EngineError, ServerSettings};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::auth::Tokens;
use crate::idle::Activity;
use crate::presence::Presence;
use crate::round::{End, Round};
use crate::routes;
use crate::shared::Shared;

/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// The smallest buffer that HTTP/1.1 may have.
const BUFFER_BYTES_MIN: usize = 16 << 10;

/// Why a server could not run.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ServerError {
    #[error("`{text}` is not an address and a port")]
    Address { text: String },
    #[error("cannot listen on `{address}`: {source}")]
    Bind {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("`{address}` can be reached from other machines: {missing} needed there")]
    Open {
        address: SocketAddr,
        missing: &'static str,
    },
    #[error("the token `{name}`: {reason}")]
    Token { name: String, reason: String },
    #[error("`{}`: {reason}", path.display())]
    Tls { path: PathBuf, reason: String },
    #[error("`tls_certificate` and `tls_key` go together")]
    HalfTls,
    #[error("the server cannot run: {0}")]
    Runtime(#[source] std::io::Error),
    #[error("{0}")]
    Engine(#[source] EngineError),
}

impl ServerError {
    /// What to do next, where there is more to say than the message does.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ServerError::Address { .. } => "write it like 127.0.0.1:6570".to_owned(),
            ServerError::Open { .. } => {
                "name them under [server] in evenkeel.toml, or bind 127.0.0.1".to_owned()
            }
            ServerError::Bind { .. } => "name another with --bind".to_owned(),
            ServerError::HalfTls => "name both under [server] in evenkeel.toml".to_owned(),
            ServerError::Engine(error) => return error.hint(),
            _ => return None,
        })
    }

    /// Whether the request or the settings are wrong, not the machine.
    pub fn is_invalid(&self) -> bool {
        !matches!(
            self,
            ServerError::Bind { .. } | ServerError::Runtime(_) | ServerError::Engine(_)
        )
    }
}

/// Serves a store until the process is told to stop (SIGTERM, SIGINT); `bound` is told where,
/// once it listens. What was acknowledged is durable; requests in
/// flight are finished, within the drain limit.
///
/// # Errors
/// If the settings are wrong or the address cannot be had.
pub fn run(
    engine: Engine,
    settings: &ServerSettings,
    bound: impl FnOnce(&Presence),
) -> Result<(), ServerError> {
    let address = address(&settings.bind)?;
    let tokens = Tokens::read(&settings.tokens)?;
    let tls = tls(settings)?;
    if !address.ip().is_loopback() {
        let missing = match (tokens.is_empty(), tls.is_none()) {
            (true, true) => "a token and TLS files are",
            (true, false) => "a token is",
            (false, true) => "TLS files are",
            (false, false) => "",
        };
        if !missing.is_empty() {
            return Err(ServerError::Open { address, missing });
        }
    }
    let project = engine.project().clone();
    let mut round = Round::new()?;
    let mut listener = round.listen(address)?;
    let (mut engine, mut bound) = (engine, Some(bound));
    loop {
        let app = App::start(engine, settings.limits, tokens.clone());
        let app = app.map_err(ServerError::Engine)?;
        let end = round.serve(listener, tls.clone(), app, |presence| {
            if let Some(bound) = bound.take() {
                bound(presence);
            }
        })?;
        let End::OpenAgain(kept) = end else {
            return Ok(());
        };
        // It hears what the process is told from here on.
        let next = Round::new()?;
        if round.is_told_to_stop() {
            return Ok(());
        }
        drop(round);
        listener = kept;
        round = next;
        engine = Engine::open_to_serve(&project).map_err(ServerError::Engine)?;
    }
}

fn address(text: &str) -> Result<SocketAddr, ServerError> {
    text.to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| ServerError::Address {
            text: text.to_owned(),
        })
}

fn tls(settings: &ServerSettings) -> Result<Option<TlsAcceptor>, ServerError> {
    let (certificate, key) = match (&settings.tls_certificate, &settings.tls_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => return Err(ServerError::HalfTls),
    };
    fn wrong(path: &Path, reason: impl ToString) -> ServerError {
        ServerError::Tls {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|e| wrong(certificate, e))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(chain, private)
        })
        .map_err(|e| wrong(certificate, e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// Serves until `stop` is done, then finishes what is in flight; answers what `stop` does.
pub(crate) async fn serve<T>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: &App,
    stop: impl Future<Output = T>,
) -> T {
    let router = app.router();
    let shared = &app.shared;
    let connections = Arc::new(Semaphore::new(shared.limits.connections.max(1)));
    let graceful = GracefulShutdown::new();
    tokio::pin!(stop);
    let stopped = loop {
        // With all connections taken, others wait in the system's backlog.
        let accepted = async {
            let permit = Arc::clone(&connections).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            stopped = &mut stop => break stopped,
            accepted = accepted => accepted,
        };
        let (Ok(permit), Ok((stream, _))) = (permit, accepted) else {
            // A connection that broke while it was accepted; or the process has no more
            // descriptors, which others will give back.
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let watcher = graceful.watcher();
        let connection = Connection {
            router: router.clone(),
            shared: Arc::clone(shared),
            _permit: permit,
        };
        tokio::spawn(connection.serve(stream, tls.clone(), watcher));
    };
    drop(listener);
    shared.drain();
    let drain = Duration::from_millis(shared.limits.drain_ms);
    // What is not finished in time is cut off; a push without an answer may be sent again.
    let _ = tokio::time::timeout(drain, graceful.shutdown()).await;
    stopped
}

struct Connection {
    router: Router,
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(
        self,
        stream: TcpStream,
        tls: Option<TlsAcceptor>,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let open = &self.shared.metrics.connections;
        open.fetch_add(1, Ordering::Relaxed);
        // Answers are small; they should not wait for more.
        let _ = stream.set_nodelay(true);
        match tls {
            None => self.requests(stream, watcher).await,
            Some(tls) => {
                let timeout = Duration::from_millis(self.shared.limits.head_timeout_ms);
                let handshake = tokio::time::timeout(timeout, tls.accept(stream));
                if let Ok(Ok(stream)) = handshake.await {
                    self.requests(stream, watcher).await;
                }
            }
        }
        open.fetch_sub(1, Ordering::Relaxed);
    }

    async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        watcher: hyper_util::server::graceful::Watcher,
    ) {
        let header_bytes = self.shared.limits.header_bytes;
        let head_timeout = Duration::from_millis(self.shared.limits.head_timeout_ms);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            // Room for a head that is too large, to be told so.
            .max_buf_size(header_bytes.saturating_mul(4).max(BUFFER_BYTES_MIN));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(
                u32::try_from(header_bytes)
                    .unwrap_or(u32::MAX)
                    .saturating_mul(4),
            );
        let activity = Activity::default();
        let answering = activity.clone();
        let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
            let request_is_answered = answering.request();
            let answer = routes::answer(Arc::clone(&self.shared), self.router.clone(), request);
            async move {
                let answer = answer.await;
                drop(request_is_answered);
                Ok::<_, Infallible>(answer)
            }
        });
        let stream = TokioIo::new(activity.over(stream));
        let connection = builder.serve_connection(stream, service);
        let patience = Duration::from_millis(self.shared.limits.idle_timeout_ms);
        tokio::select! {
            // A client that breaks off is no matter of the server.
            _ = watcher.watch(connection) => {}
            () = activity.ceases(patience) => {}
        }
    }
}
