//! Power cuts of a whole store: a process writes to a real file system on a disk that
//! remembers every write and flush; then the disk is brought back as it might have been after
//! a cut at many points, and mounted, and the store opened on it. Whatever was acknowledged
//! before the cut is there, nothing is doubled, writing goes on, the hot tier says what the
//! log says, and answers that were served are reproduced.
//!
//! The same without syncs must fail, else all of this proves nothing.
//!
//! `EVENKEEL_POWER_CUTS` is the number of cuts (100), `EVENKEEL_SEED` where they fall. Needs
//! root, FUSE, loop devices and ext4; without them it says so and passes.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and its processes talk through their output"
)]

mod block_log;
mod cuts;
mod machine;
mod pages;
mod session;
mod syncs;
#[path = "../workload/ticks.rs"]
mod ticks;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use block_log::{BlockLog, Record};
use cuts::{Images, cuts};
use machine::{LoopDevice, Mount, make_ext4};
use session::{Acknowledged, Session};
use ticks::{DEFINITIONS, LIMITS, number};

const DISK_BYTES: u64 = 64 << 20;
const MORE: &str = "
CREATE FEATURE VIEW of_part_today ENTITY part AS
SELECT part, max(x) OVER d AS most, count(*) OVER d AS ticks FROM ticks
WINDOW d AS (LAST 1 DAYS);
";
/// Images of the control, of which nearly all must be found wanting.
const CONTROL_CUTS: u64 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [word, project] if word == session::WRITE => session::write(Path::new(project)),
        [word, project, ticks, applied] if word == session::CHECK => {
            let acknowledged = Acknowledged {
                ticks: ticks.parse().unwrap(),
                applied: applied.parse().unwrap(),
            };
            session::check(Path::new(project), acknowledged);
        }
        // What the test runner passes: a filter runs the cuts if it names them.
        [filter, ..] if !filter.starts_with('-') && !"power_cuts".contains(filter.as_str()) => {}
        _ => power_cuts(),
    }
}

/// A folder with the disk's file, the place where it is mounted, and a project whose store
/// is there.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Bench {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(bench.mounted()).unwrap();
        fs::create_dir(bench.project()).unwrap();
        let store = bench.mounted().join("store");
        let settings = format!("{LIMITS}[store]\npath = {store:?}\n");
        fs::write(bench.project().join("evenkeel.toml"), settings).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn mounted(&self) -> PathBuf {
        self.path("mounted")
    }

    fn project(&self) -> PathBuf {
        self.path("project")
    }

    fn define(&self, name: &str, text: &str) {
        fs::write(self.project().join(name), text).unwrap();
    }
}

/// What a disk was told while a store was written to, and what was acknowledged when: after
/// so many records.
struct Recording {
    records: Vec<Record>,
    first: usize,
    acknowledged: Vec<(usize, Acknowledged)>,
}

/// Writes to a store on a disk that remembers: created, closed and opened, more definitions,
/// checkpoints, killed and opened again.
fn record(leave_out: Option<&str>) -> Result<Recording, String> {
    let bench = Bench::new();
    let disk = BlockLog::mount(&bench.path("disk"), DISK_BYTES)?;
    let device = LoopDevice::over(&bench.path("disk"))?;
    make_ext4(&device.0)?;
    let mount = Mount::of(&device.0, "defaults", &bench.mounted())?;
    let first = disk.len();
    let mut acknowledged = Vec::new();
    let mut wait = |session: &mut Session| {
        let said = session.acknowledged();
        acknowledged.push((disk.len(), said));
    };
    bench.define("definitions.sql", DEFINITIONS);
    for (pushes, is_killed) in [(12, false), (25, true), (8, true)] {
        let mut session = Session::start(&bench.project(), leave_out);
        wait(&mut session);
        for push in 0..pushes {
            if is_killed && push == 10 {
                bench.define("more.sql", MORE);
                session.step("apply");
                wait(&mut session);
            }
            session.step("push");
            wait(&mut session);
        }
        match is_killed {
            true => session.kill(),
            false => session.end(),
        }
    }
    let records = disk.records();
    drop(mount);
    drop(device);
    Ok(Recording {
        records,
        first,
        acknowledged,
    })
}

impl Recording {
    fn acknowledged(&self, before: usize) -> Acknowledged {
        let earlier = self.acknowledged.iter().take_while(|(at, _)| *at <= before);
        earlier.last().map_or(Acknowledged::default(), |(_, a)| *a)
    }

    /// Cuts the power so many times after `first`; what was found wanting, and how many ticks
    /// were brought back that had left the hot tier.
    fn cut(&self, first: usize, count: u64, seed: u64) -> (Vec<String>, u64) {
        let bench = Bench::new();
        bench.define("definitions.sql", DEFINITIONS);
        bench.define("more.sql", MORE);
        let image = bench.path("image");
        let mut images = Images::default();
        let (mut wanting, mut brought_back) = (Vec::new(), 0);
        for cut in cuts(&self.records, first, count, seed) {
            let pages = images.after(&self.records, cut);
            pages.save(&image, DISK_BYTES).unwrap();
            let acknowledged = self.acknowledged(cut.before);
            let place = bench.mounted();
            let found = Mount::of(&image.to_string_lossy(), "loop", &place)
                .and_then(|_mount| session::checked(&bench.project(), acknowledged));
            match found {
                Ok(ticks) => brought_back += ticks,
                Err(reason) => {
                    wanting.push(format!("{cut:?} after {acknowledged:?}: {reason}"));
                }
            }
        }
        (wanting, brought_back)
    }
}

fn power_cuts() {
    let count = number("EVENKEEL_POWER_CUTS", 100);
    let seed = number("EVENKEEL_SEED", 1);
    let recording = match record(None) {
        Ok(recording) => recording,
        Err(missing) => {
            println!("power cuts: not run, this machine does not let us: {missing}");
            return;
        }
    };
    let (_, last) = *recording.acknowledged.last().unwrap();
    let (wanting, brought_back) = recording.cut(recording.first, count, seed);
    assert!(brought_back > 0, "nothing left, or was read");
    assert!(
        wanting.is_empty(),
        "seed {seed}: {} of {count} power cuts lost something, the first: {}",
        wanting.len(),
        wanting[0]
    );
    let is_flush = |record: &&Record| matches!(record, Record::Flush);
    println!(
        "{count} power cuts (seed {seed}) in {} writes and {} flushes for {} ticks and {} applies: nothing lost, nothing doubled",
        recording.records.len(),
        recording.records.iter().filter(is_flush).count(),
        last.ticks,
        last.applied
    );
    for (which, share_min) in [("all", 90), ("data", 50)] {
        control(which, share_min, seed);
    }
}

/// The same build without some of its syncs: so many of a hundred cuts must lose something.
fn control(which: &str, share_min: u64, seed: u64) {
    let recording = record(Some(which)).unwrap();
    let first = recording.acknowledged[2].0;
    let (wanting, _) = recording.cut(first, CONTROL_CUTS, seed);
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for reason in &wanting {
        let words = reason.lines().rev().find(|line| !line.starts_with("note"));
        *reasons
            .entry(words.unwrap_or_default().to_owned())
            .or_default() += 1;
    }
    assert!(
        wanting.len() as u64 * 100 >= CONTROL_CUTS * share_min,
        "without syncs ({which}) {} of {CONTROL_CUTS} power cuts lost something: this test sees nothing. {reasons:?}",
        wanting.len(),
    );
    println!(
        "without syncs ({which}): {} of {CONTROL_CUTS} power cuts lost something, as they must",
        wanting.len()
    );
}
