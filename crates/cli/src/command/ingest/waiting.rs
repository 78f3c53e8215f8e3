//! Waiting between two steps of what goes on for ever, and requests to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// Waits until it is time or somebody interrupts.
pub(in crate::command) struct Waiting {
    runtime: Runtime,
    interrupted: Arc<AtomicBool>,
    woken: Arc<Notify>,
}

impl Waiting {
    pub(in crate::command) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let interrupted = Arc::new(AtomicBool::new(false));
        let woken = Arc::new(Notify::new());
        let signal = {
            let _inside = runtime.enter();
            signals()?
        };
        let (flag, notify) = (Arc::clone(&interrupted), Arc::clone(&woken));
        runtime.spawn(async move {
            signal.await;
            flag.store(true, Ordering::Relaxed);
            notify.notify_one();
        });
        Ok(Waiting {
            runtime,
            interrupted,
            woken,
        })
    }

    pub(in crate::command) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    pub(in crate::command) fn wait(&self, time: Duration) {
        self.runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                () = self.woken.notified() => {}
            }
        });
    }
}

/// The first request to end, from now on: SIGINT or SIGTERM.
#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The first request to end, from now on.
#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // If it cannot be heard, it ends the process as it would without.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
