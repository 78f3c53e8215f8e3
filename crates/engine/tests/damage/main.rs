//! Damage to any file of a store: flipped bits, zeroed pages, cut ends, garbage behind the
//! end, older contents, files that are gone. Whatever it is, answers are right or there is a
//! typed error: no panic, and never a history that is silently shorter. Damage of the hot
//! tier is repaired by the doctor; damage of the truth is named by it.
//!
//! Once with a small store, and a sixth as often with one that is large enough for the embedded
//! store to have tables besides its journal, and for the log to have several segments.
//!
//! `EVENKEEL_DAMAGES` is their number (120), `EVENKEEL_SEED` what they are.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it saw"
)]

#[path = "../workload/ticks.rs"]
mod ticks;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel_engine::doctor::doctor;
use evenkeel_engine::push::{PushedRow, Pusher, Write};
use evenkeel_engine::{Engine, EngineError, ForgetRequest, Machine, Project};
use evenkeel_log::{Compression, LogOptions};
use evenkeel_types::Value;
use ticks::{BATCH_MAX, DEFINITIONS, LIMITS, Ticker, digest, mix, number, try_ticks};

/// Somebody who is forgotten, so that there are records of that, too.
const GUESTS: &str = "
CREATE ENTITY guest (guest STRING);
CREATE STREAM visits (guest STRING, room BIGINT, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW of_guest ENTITY guest AS SELECT guest, count(*) OVER (ALL HISTORY) AS visits FROM visits;
CREATE STREAM known AS SELECT v.guest, v.room FROM visits v WHERE v.room > 1;
";
/// Rooms that a guest visits.
const ROOMS: i64 = 4;
const PAGE_BYTES: usize = 4096;
const VALUES: u64 = 150;
const OLDER_PUSHES: u64 = 60;
const PUSHES: u64 = 120;
/// Of a large store: ticks of one push, at most.
const LARGE_BATCH_MAX: u64 = 1_500;
/// Files of tables and segments that it has at least.
const LARGE_FILES: usize = 4;

fn main() {
    let filter = std::env::args().nth(1);
    if filter.is_some_and(|f| !f.starts_with('-') && !"damage".contains(f.as_str())) {
        return;
    }
    let count = number("EVENKEEL_DAMAGES", 120);
    let seed = number("EVENKEEL_SEED", 1);
    damages("small", &Base::small(), count, seed);
    let large = Base::large();
    large.is_large();
    damages("large", &large, count.div_ceil(6), seed);
}

/// So many damages to a store.
fn damages(name: &str, store: &Base, count: u64, seed: u64) {
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let mut wanting = Vec::new();
    for n in 0..count {
        let random = seed.wrapping_mul(1_000_003) + n;
        match catch_unwind(AssertUnwindSafe(|| store.damaged(random))) {
            Ok(outcome) => *outcomes.entry(outcome).or_default() += 1,
            Err(_) => wanting.push(random),
        }
    }
    println!("{count} damages of a {name} store (seed {seed}):");
    for (outcome, count) in &outcomes {
        println!("  {outcome}: {count}");
    }
    assert!(wanting.is_empty(), "panics, or wrong answers: {wanting:?}");
    // What it was copied from is whole: all of this came from the damage.
    ticks::check(&store.folder.path().join("now"), store.ticks, VALUES);
    let some = |word: &str| outcomes.keys().any(|outcome| outcome.contains(word));
    assert!(some("refused") && some("harmless"), "{outcomes:?}");
}

/// A store that is whole, and what its files were before.
struct Base {
    folder: tempfile::TempDir,
    ticks: u64,
    digest: String,
}

/// Copies a folder; files with holes keep them.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp")
        .args(["-r", "--sparse=always"])
        .args([from, to])
        .status();
    assert!(status.unwrap().success());
}

/// Every file below a folder but locks, relative to it, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().is_some_and(|name| name != "lock") {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

impl Base {
    fn small() -> Self {
        let machine = Machine {
            sealed_entries: 4,
            ..Machine::default()
        };
        Self::new(LIMITS, &machine, BATCH_MAX)
    }

    fn large() -> Self {
        let machine = Machine {
            sealed_entries: 32,
            log: LogOptions {
                segment_bytes: 256 << 10,
                compression: Compression::None,
            },
            ..Machine::default()
        };
        let limits = LIMITS.replace("200000", "8000000");
        Self::new(&limits, &machine, LARGE_BATCH_MAX)
    }

    /// Whether a table or a segment is likely to be met.
    fn is_large(&self) {
        let files = files(&self.folder.path().join("now/.evenkeel"));
        let of = |part: &str| {
            let within = files.iter().filter(|f| f.to_string_lossy().contains(part));
            within.count()
        };
        let (tables, segments) = (of("/tables/"), of(".segment"));
        assert!(
            tables >= LARGE_FILES && segments >= LARGE_FILES,
            "{files:?}"
        );
    }

    fn new(limits: &str, machine: &Machine, batch_max: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = folder.path().join("now");
        fs::create_dir(&now).unwrap();
        let definitions = format!("{DEFINITIONS}{GUESTS}");
        fs::write(now.join("definitions.sql"), &definitions).unwrap();
        fs::write(now.join("evenkeel.toml"), limits).unwrap();
        let ticker = || {
            let mut engine = ticks::open_on(&now, machine.clone());
            ticks::apply(&mut engine);
            let mut ticker = Ticker::over(engine);
            ticker.batch_max = batch_max;
            ticker
        };
        let mut pushing = ticker();
        (0..OLDER_PUSHES).for_each(|_| pushing.push());
        visit_and_forget(pushing.engine, "ann");
        ticker().engine.checkpoint().unwrap();
        copy(&now, &folder.path().join("before"));
        let more = format!("{definitions}CREATE FEATURE SERVICE parts VERSION 1 AS of_part (*);");
        fs::write(now.join("definitions.sql"), more).unwrap();
        visit_and_forget(ticker().engine, "bob");
        let mut pushing = ticker();
        (OLDER_PUSHES..PUSHES).for_each(|_| pushing.push());
        Base {
            ticks: pushing.next,
            digest: digest(&pushing.engine, VALUES).unwrap(),
            folder,
        }
    }

    /// Damages a copy; what came of it in words.
    fn damaged(&self, random: u64) -> String {
        let copied = self.folder.path().join("damaged");
        // Of a damage that was found wanting.
        let _ = fs::remove_dir_all(&copied);
        copy(&self.folder.path().join("now"), &copied);
        let store = copied.join(".evenkeel");
        let all = files(&store);
        let file = &all[mix(random) as usize % all.len()];
        let before = self.folder.path().join("before/.evenkeel").join(file);
        let what = damage(&store.join(file), &before, random);
        let context = format!("{what} of {} ({random})", file.display());
        let part = file.iter().next().unwrap().to_string_lossy().into_owned();
        let looked = catch_unwind(AssertUnwindSafe(|| self.look(&copied)));
        let outcome = match looked.unwrap_or_else(|_| panic!("{context}: see above")) {
            Ok(()) => "harmless",
            Err(error) => {
                self.cure(&copied, &part, &context, &error);
                "refused"
            }
        };
        fs::remove_dir_all(&copied).unwrap();
        format!("{part}, {what}: {outcome}")
    }

    /// Whether everything is right.
    fn look(&self, project: &Path) -> Result<(), EngineError> {
        let engine = Engine::open(&Project::open(project, None)?)?;
        assert_eq!(try_ticks(&engine)?, self.ticks);
        engine
            .service("parts")
            .expect("the second record of the registry");
        assert_eq!(digest(&engine, VALUES)?, self.digest);
        let mut ticker = Ticker::over(engine);
        ticker.try_push()?;
        assert_eq!(try_ticks(&ticker.engine)?, ticker.next);
        Ok(())
    }

    /// What the doctor makes of a store that refuses.
    fn cure(&self, project: &Path, part: &str, context: &str, error: &EngineError) {
        let project_file = Project::open(project, None).unwrap();
        match doctor(&project_file, true, &|_, _| ControlFlow::Continue(())) {
            Ok(examination) if part == "hot" => {
                assert!(examination.rebuilt, "{context}: {error}: {examination:?}");
                // Unless something was pushed before it refused.
                let engine = Engine::open(&project_file).unwrap();
                assert!(try_ticks(&engine).unwrap() >= self.ticks, "{context}");
            }
            Ok(examination) => {
                assert!(!examination.damages.is_empty(), "{context}: {error}");
            }
            Err(named) => assert!(part != "hot", "{context}: {named}"),
        }
    }
}

/// Somebody is forgotten who was there with somebody else.
fn visit_and_forget(mut engine: Engine, guest: &str) {
    let row = |room: i64| PushedRow {
        values: Ok(vec![
            Value::string(if room % 2 == 0 { guest } else { "eve" }),
            Value::BigInt(room),
            Value::Timestamp(ticks::time(room.unsigned_abs())),
        ]),
        producer: None,
    };
    let source = engine.source("visits").unwrap();
    let rows = (0..ROOMS).map(row).collect();
    let write = Write::Push { source, rows };
    engine.write(&mut Pusher::default(), write).unwrap();
    let request = ForgetRequest {
        entity: "guest".to_owned(),
        key: guest.to_owned(),
        ..ForgetRequest::default()
    };
    let plan = engine.plan_forget(&request, &mut |_, _| ControlFlow::Continue(()));
    let report = engine.forget(plan.unwrap()).unwrap();
    assert!(report.changes() > 0, "{report:?}");
}

/// Damages a file; how.
fn damage(path: &Path, before: &Path, random: u64) -> &'static str {
    let mut bytes = fs::read(path).unwrap();
    // What an embedded store has reserved at the end is nothing.
    let end = bytes
        .iter()
        .rposition(|b| *b != 0)
        .map_or(0, |last| last + 1);
    let at = mix(random ^ 0x5555) as usize % end.max(1);
    let what = match random % 6 {
        0 | 1 if end > 0 => {
            bytes[at] ^= 1 << (random / 6 % 8);
            "a flipped bit"
        }
        2 if end > 0 => {
            let page = at / PAGE_BYTES * PAGE_BYTES;
            bytes[page..end.min(page + PAGE_BYTES)].fill(0);
            "a zeroed page"
        }
        3 if end > 0 => {
            bytes.truncate(at);
            "a cut end"
        }
        4 if before.exists() => {
            bytes = fs::read(before).unwrap();
            "older content"
        }
        5 => {
            fs::remove_file(path).unwrap();
            return "a missing file";
        }
        _ => {
            bytes.extend((0..PAGE_BYTES as u64).map(|n| mix(random + n) as u8));
            "garbage behind the end"
        }
    };
    fs::write(path, bytes).unwrap();
    what
}
