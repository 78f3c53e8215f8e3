//! A disk that is full, or broken, at every write and every sync of a whole store, the
//! embedded one's included. A write that fails is refused with a typed error; reads go on;
//! when there is room again writing goes on without a restart; after a failed sync of the log
//! nothing is written any more and it is said so. Whatever happened, opening the store again
//! finds everything that was acknowledged, once.
//!
//! `EVENKEEL_FAULTS` bounds the places of each kind that are tried (40), spread over all
//! that there are; `EVENKEEL_SEED` where they begin.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it saw"
)]

mod calls;
#[path = "../workload/ticks.rs"]
mod ticks;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use calls::Plan;
use evenkeel_engine::EngineError;
use ticks::{BATCH_MAX, DEFINITIONS, LIMITS, Ticker, check, number};

const PUSHES: u64 = 16;

/// A kind of fault.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    syncs: bool,
    lasts: bool,
    error: i32,
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "the disk is full",
        syncs: false,
        lasts: true,
        error: libc::ENOSPC,
    },
    Kind {
        name: "a write finds no room, once",
        syncs: false,
        lasts: false,
        error: libc::ENOSPC,
    },
    Kind {
        name: "a write fails",
        syncs: false,
        lasts: false,
        error: libc::EIO,
    },
    Kind {
        name: "a sync fails",
        syncs: true,
        lasts: false,
        error: libc::EIO,
    },
];

fn main() {
    let filter = std::env::args().nth(1);
    if filter.is_some_and(|f| !f.starts_with('-') && !"faults".contains(f.as_str())) {
        return;
    }
    let places = number("EVENKEEL_FAULTS", 40);
    let seed = number("EVENKEEL_SEED", 1);
    for kind in KINDS {
        // How many calls there are: none fails that comes after all.
        let calls = calls_of(kind);
        let step = calls.div_ceil(places).max(1);
        let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
        let mut brought_back = 0;
        for start in (0..calls).step_by(step as usize) {
            // Not always the same one of neighbours: they may take turns.
            let at = start + (start / step + seed) % step;
            let (outcome, ticks) = fault(kind, at);
            *outcomes.entry(outcome).or_default() += 1;
            brought_back += ticks;
        }
        assert!(
            outcomes.keys().any(|outcome| *outcome != "unnoticed"),
            "{outcomes:?}"
        );
        assert!(brought_back > 0, "nothing left, or was read");
        println!(
            "{} (every {step} of {calls} places, seed {seed}): {outcomes:?}",
            kind.name
        );
    }
}

fn world() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("definitions.sql"), DEFINITIONS).unwrap();
    // So little memory that a checkpoint is due after a few pushes.
    let limits = LIMITS.replace("200000", "60000");
    fs::write(directory.path().join("evenkeel.toml"), limits).unwrap();
    directory
}

fn plan(directory: &Path, kind: Kind, at: u64) -> Plan {
    Plan {
        directory: directory.canonicalize().unwrap().display().to_string(),
        at,
        lasts: kind.lasts,
        syncs: kind.syncs,
        error: kind.error,
    }
}

/// How many calls of this kind the pushes make.
fn calls_of(kind: Kind) -> u64 {
    let directory = world();
    let mut ticker = Ticker::open(directory.path());
    let all = Kind {
        lasts: false,
        ..kind
    };
    calls::set(Some(plan(directory.path(), all, u64::MAX)));
    (0..PUSHES).for_each(|_| ticker.push());
    calls::counted()
}

fn words(error: &EngineError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        words.push_str(&format!(": {source}"));
        cause = source.source();
    }
    words
}

/// Fails a call; what came of it, and how many ticks were brought back that had left the hot
/// tier.
fn fault(kind: Kind, at: u64) -> (&'static str, u64) {
    let context = format!("{} at call {at}", kind.name);
    let directory = world();
    let mut ticker = Ticker::open(directory.path());
    ticker.push();
    calls::set(Some(plan(directory.path(), kind, at)));
    let mut refused = Vec::new();
    let mut acknowledged = ticker.next;
    let mut brought_back = 0;
    for _ in 0..PUSHES {
        match ticker.try_push() {
            Ok(()) => {
                acknowledged = ticker.next;
                brought_back = ticks::read_old(&ticker.engine, acknowledged, at);
            }
            Err(error) => {
                refused.push(words(&error));
                let seen = ticks::try_ticks(&ticker.engine)
                    .unwrap_or_else(|e| panic!("{context}: a read failed: {}", words(&e)));
                assert!(
                    (acknowledged..=acknowledged + BATCH_MAX).contains(&seen),
                    "{context}: {seen} of {acknowledged}"
                );
                // Of a push that was refused, what was logged may be there.
                ticker.next = seen;
                if refused.len() > 2 {
                    break;
                }
            }
        }
    }
    let failed = calls::set(None);
    let is_closed = ticker.engine.writer().unwrap().closed().is_some();
    let outcome = match (failed, refused.is_empty()) {
        (0, _) => "not reached",
        (_, true) => "unnoticed",
        (_, false) if is_closed => "closed for writes",
        (_, false) => "refused, then went on",
    };
    if is_closed {
        let error = words(&ticker.try_push().unwrap_err());
        assert!(error.contains("closed for writes"), "{context}: {error}");
        let seen = ticks::try_ticks(&ticker.engine).unwrap();
        assert!(seen >= acknowledged, "{context}");
    } else {
        // There is room again, and nobody needs to start anything.
        if let Err(error) = ticker.try_push() {
            let error = words(&error);
            panic!("{context}: no way back: {error}, after {refused:?}");
        }
        acknowledged = ticker.next;
        assert_eq!(ticks::ticks(&ticker.engine), acknowledged, "{context}");
    }
    drop(ticker);
    let there = check(directory.path(), acknowledged, 90);
    assert!(
        there <= acknowledged + BATCH_MAX,
        "{context}: {there} of {acknowledged}"
    );
    (outcome, brought_back)
}
