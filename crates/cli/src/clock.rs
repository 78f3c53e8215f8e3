//! The machine's clock, for `--as-of` when it is not given and for "took 3.2 s". No value of
//! a feature depends on it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the epoch, now.
#[expect(
    clippy::disallowed_methods,
    reason = "the command line is the edge: here `now` is the user's"
)]
pub(crate) fn now_micros() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        })
}

/// Measures how long something took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts measuring.
    #[expect(
        clippy::disallowed_methods,
        reason = "only ever shown to the user, never part of a value"
    )]
    pub(crate) fn start() -> Self {
        Stopwatch(Instant::now())
    }

    /// The time since the start.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
