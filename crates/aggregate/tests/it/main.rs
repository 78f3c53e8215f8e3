//! Everything against the oracle, and against numbers from elsewhere.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails with the line it stopped at"
)]

mod events;
mod histories;
mod sketches;
mod states;
mod sums;
mod windows;
