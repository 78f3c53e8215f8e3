//! One answer in so many goes to the log of what was served, behind a bounded queue: a read
//! never waits for it, and what does not fit into the queue is counted and left out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use evenkeel_engine::{EngineError, Project, ServedAnswer, ServedLog};

/// Answers that wait to be written.
const QUEUE: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// 0: none is logged.
    every: u64,
    answers: AtomicU64,
    left_out: AtomicU64,
    queue: Mutex<Option<(SyncSender<ServedAnswer>, JoinHandle<()>)>>,
}

impl Served {
    pub(crate) fn start(project: &Project) -> Result<Self, EngineError> {
        let settings = project.server.served;
        if settings.every == 0 {
            return Ok(Served::default());
        }
        let mut log = ServedLog::open(project, settings.bytes_max)?;
        let (sender, answers) = sync_channel::<ServedAnswer>(QUEUE);
        let write = move || {
            for answer in answers {
                if log.append(&answer).is_err() {
                    // Serving goes on without it; the metric shows that nothing is taken.
                    return;
                }
            }
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "the server is the edge: this thread writes what was served"
        )]
        let thread = std::thread::spawn(write);
        Ok(Served {
            every: settings.every,
            queue: Mutex::new(Some((sender, thread))),
            ..Served::default()
        })
    }

    /// Whether this answer is one to log: the first, and one in so many from then on.
    pub(crate) fn wants(&self) -> bool {
        self.every > 0
            && self
                .answers
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(self.every)
    }

    /// Logs an answer, if there is room.
    pub(crate) fn log(&self, answer: ServedAnswer) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = queue
            .as_ref()
            .is_some_and(|(sender, _)| sender.try_send(answer).is_ok());
        if !taken {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Answers that were to be logged and found no room.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Writes what waits, and ends. Blocks.
    pub(crate) fn finish(&self) {
        let queue = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.take()
        };
        if let Some((sender, thread)) = queue {
            drop(sender);
            // A thread that panicked has nothing more to write.
            let _ = thread.join();
        }
    }
}
