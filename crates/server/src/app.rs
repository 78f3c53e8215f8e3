//! A store that is being served, without a socket: what listens is put around it.

use std::sync::Arc;

use axum::Router;
use evenkeel_engine::{Engine, EngineError, ServerLimits};

use crate::auth::Tokens;
use crate::routes::router;
use crate::shared::{Shared, Writers};

/// See the module. It must be stopped, or its threads wait for ever.
pub struct App {
    pub(crate) shared: Arc<Shared>,
    writers: Writers,
}

impl App {
    /// Starts what writes to a store that is open for writing.
    ///
    /// # Errors
    /// If it is open for reading only.
    pub fn start(engine: Engine, limits: ServerLimits, tokens: Tokens) -> Result<App, EngineError> {
        let (shared, writers) = Shared::start(engine, limits, tokens)?;
        Ok(App { shared, writers })
    }

    /// The routes.
    pub fn router(&self) -> Router {
        router(Arc::clone(&self.shared))
    }

    /// Waits for the pushes that are queued, and makes the next start quick. Blocks.
    ///
    /// # Errors
    /// If the hot tier cannot be written; nothing that was acknowledged is lost.
    pub fn stop(self) -> Result<(), EngineError> {
        self.shared.queue.finish();
        let is_whole = self.writers.join();
        self.shared.served.finish();
        if !is_whole {
            // What is half applied is not kept: the log has it, and the next start applies it.
            let reason = "what writes gave up: start the server again".to_owned();
            return Err(EngineError::NotApplied { reason });
        }
        self.shared.engine_mut().checkpoint()
    }
}
