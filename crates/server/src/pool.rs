//! Scans and long work: a few at a time, a few more that wait, the rest is told to come back.
//!
//! They read the log, or the engine for moments, so they delay no read and no write.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::behind;
use crate::error::ApiError;

#[derive(Clone, Debug)]
pub(crate) struct Pool {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// Room to wait for a turn.
#[derive(Debug)]
pub(crate) struct Admitted(OwnedSemaphorePermit);

/// A turn to run. The work itself holds it: a client that goes away frees nothing early.
#[derive(Debug)]
pub(crate) struct Turn {
    admitted: Admitted,
    running: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool that runs so many at a time, and lets as many wait.
    pub(crate) fn new(running: usize) -> Self {
        let running = running.max(1);
        Pool {
            running: Arc::new(Semaphore::new(running)),
            admitted: Arc::new(Semaphore::new(running * 2)),
        }
    }

    /// Takes room, if there is any.
    pub(crate) fn admit(&self, full: &str) -> Result<Admitted, ApiError> {
        Arc::clone(&self.admitted)
            .try_acquire_owned()
            .map(Admitted)
            .map_err(|_| ApiError::new("OVERLOADED", full))
    }

    /// Waits for a turn.
    pub(crate) async fn turn(&self, admitted: Admitted) -> Result<Turn, ApiError> {
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|_| ApiError::new("INTERNAL", "the pool is closed"))?;
        Ok(Turn { admitted, running })
    }

    /// Runs work on a thread of its own.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let admitted = self.admit("too many scans at once")?;
        self.turn(admitted).await?.run(work).await
    }
}

impl Turn {
    /// Runs work on a thread of its own.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let Turn { admitted, running } = self;
        tokio::task::spawn_blocking(move || {
            let _held = (admitted.0, running);
            work()
        })
        .await
        .map_err(|_| ApiError::new("INTERNAL", "a scan gave up"))
    }

    /// The same [behind everybody else](behind): of work that holds nothing others wait for.
    pub(crate) async fn run_behind<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        behind::run(move || {
            let _held = self;
            work()
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[tokio::test]
    async fn one_runs_one_waits_and_the_next_is_refused() {
        let pool = Arc::new(Pool::new(1));
        let start = |pool: &Arc<Pool>| {
            let (go, wait) = sync_channel::<()>(1);
            let pool = Arc::clone(pool);
            let scan = tokio::spawn(async move { pool.run(move || wait.recv().is_ok()).await });
            (go, scan)
        };
        let (first_go, first) = start(&pool);
        let (second_go, second) = start(&pool);
        while pool.admitted.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = pool.run(|| ()).await.unwrap_err();
        assert_eq!(refused.code, "OVERLOADED");
        first_go.send(()).unwrap();
        second_go.send(()).unwrap();
        assert!(first.await.unwrap().unwrap() && second.await.unwrap().unwrap());
        assert!(pool.run(|| true).await.unwrap());
        let gave_up = pool.run(|| panic!("as a defect would")).await;
        let gave_up: Result<(), _> = gave_up;
        assert_eq!(gave_up.unwrap_err().code, "INTERNAL");
    }
}
