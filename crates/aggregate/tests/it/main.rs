//! Everything against the oracle, and against numbers from elsewhere.

mod events;
mod histories;
mod sketches;
mod states;
mod sums;
mod windows;
