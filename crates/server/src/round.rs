//! From the opening of a store to its end: what a server does once, or again after it has forgotten a key.
//!
//! Invariant: nothing that a round began holds the store after it. Its threads and tasks end with it.

use std::future::ready;
use std::net::{SocketAddr, TcpListener};

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::presence::{Presence, ServeFile};
use crate::server::{ServerError, serve};

/// Threads for what may block: decoding of large bodies, scans.
const BLOCKING_THREADS_MAX: usize = 16;

/// Why a round ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The process is told to stop.
    Stop,
    /// The store is to be opened again, which forgets what is to be forgotten.
    /// Whoever connects meanwhile waits.
    OpenAgain(TcpListener),
}

/// See the module.
pub(crate) struct Round {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Round {
    /// From here on it hears when the process is told to stop.
    pub(crate) fn new() -> Result<Round, ServerError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()
            .map_err(ServerError::Runtime)?;
        let heard = |kind| {
            let _entered = runtime.enter();
            signal(kind).map_err(ServerError::Runtime)
        };
        Ok(Round {
            terminate: heard(SignalKind::terminate())?,
            interrupt: heard(SignalKind::interrupt())?,
            runtime,
        })
    }

    /// Listens; all rounds do at the same address.
    pub(crate) fn listen(&self, address: SocketAddr) -> Result<TcpListener, ServerError> {
        self.runtime
            .block_on(tokio::net::TcpListener::bind(address))
            .and_then(tokio::net::TcpListener::into_std)
            .map_err(|source| ServerError::Bind { address, source })
    }

    /// Whether the process was told to stop and nobody has heeded it.
    pub(crate) fn is_told_to_stop(&mut self) -> bool {
        let Round {
            runtime,
            terminate,
            interrupt,
        } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                _ = terminate.recv() => true,
                _ = interrupt.recv() => true,
                () = ready(()) => false,
            }
        })
    }

    /// Serves a store until the process is told to stop, or the store is to be opened again; `told` is
    /// told where.
    pub(crate) fn serve(
        &mut self,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        app: App,
        told: impl FnOnce(&Presence),
    ) -> Result<End, ServerError> {
        let kept = listener.try_clone().map_err(ServerError::Runtime)?;
        let Round {
            runtime,
            terminate,
            interrupt,
        } = self;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener);
            let listener = listener.map_err(ServerError::Runtime)?;
            let presence = Presence {
                address: listener.local_addr().map_err(ServerError::Runtime)?,
                tls: tls.is_some(),
                pid: std::process::id(),
                instance: app.shared.instance.clone(),
            };
            let store = app.shared.engine().project().store.clone();
            let file = ServeFile::write(&store, &presence).map_err(ServerError::Runtime)?;
            told(&presence);
            let to_open_again = app.shared.to_open_again.notified();
            // Who stops keeps no listener: connections are refused from then on.
            let stop = async move {
                tokio::select! {
                    _ = terminate.recv() => End::Stop,
                    _ = interrupt.recv() => End::Stop,
                    () = to_open_again => End::OpenAgain(kept),
                }
            };
            let end = serve(listener, tls, &app, stop).await;
            drop(file);
            // Nothing else runs any more: the thread that drives this may wait.
            app.stop().map_err(ServerError::Engine)?;
            Ok(end)
        })
    }
}
