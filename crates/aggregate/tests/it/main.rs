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

use proptest::prelude::ProptestConfig;

/// This many cases, or as many as the environment's `PROPTEST_CASES` asks for.
fn cases(usual: u32) -> ProptestConfig {
    if std::env::var_os("PROPTEST_CASES").is_some() {
        ProptestConfig::default()
    } else {
        ProptestConfig::with_cases(usual)
    }
}
