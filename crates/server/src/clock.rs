//! Deadlines and latencies. No value of a feature depends on them.

use std::time::{Duration, Instant};

/// Measures how long something took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a request took is never part of a value"
    )]
    pub(crate) fn start() -> Self {
        Stopwatch(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// This long after the start.
    pub(crate) fn deadline(self, timeout: Duration) -> Deadline {
        Deadline {
            started: self,
            timeout,
        }
    }
}

/// When a request must be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    started: Stopwatch,
    timeout: Duration,
}

impl Deadline {
    /// What is left; zero if it has passed.
    pub(crate) fn left(self) -> Duration {
        self.timeout.saturating_sub(self.started.elapsed())
    }

    /// The same, with nothing left.
    pub(crate) fn ended(self) -> Deadline {
        Deadline {
            timeout: Duration::ZERO,
            ..self
        }
    }

    pub(crate) fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    pub(crate) fn timeout_ms(self) -> u64 {
        u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX)
    }
}
