//! What a key of many events costs: `cargo run --release -p evenkeel-store --example
//! long_keys -- [EVENTS ...]`. One key per number of events, one event each 90 seconds, twelve
//! calls. Prints rows and bytes of checkpoints with ten new events each, how long the first
//! and later reads of windows take, and the bytes of the store.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measurement reads the clock and prints"
)]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use evenkeel_aggregate::signature::{Argument, Modifiers, resolve};
use evenkeel_aggregate::{Aggregates, Entry, Everything, SpecId, WhereId};
use evenkeel_store::{
    Batch, Blocks, BlocksOptions, EmbeddedKv, IndexSpec, Kv, NothingCold, Space, StoreError,
};
use evenkeel_types::time::{DAY, SECOND};
use evenkeel_types::{DataType, Expr, Extent, Frame, Interval, Position, Value};

const KEY: &[u8] = b"\x02key";
const STEP: i64 = 90 * SECOND;
/// Reads of each kind, of which the median is told.
const READS: usize = 9;
const LATER_READS: u32 = 100;
const ROUNDS: usize = 208;

fn types() -> Arc<[DataType]> {
    Arc::from([DataType::Double, DataType::String, DataType::Boolean])
}

fn aggregates() -> Result<Aggregates, Box<dyn Error>> {
    let mut aggregates = Aggregates::new();
    let filter = Expr::column(2, DataType::Boolean);
    let of_amounts = ["count", "sum", "avg", "stddev_samp", "max"].map(|name| (name, 0));
    for (name, at) in of_amounts.into_iter().chain([("count_distinct", 1)]) {
        let column = Expr::column(at, types()[at].clone());
        let argument = Argument {
            data_type: &column.data_type,
            constant: None,
        };
        let signature = resolve(name, &[argument], Modifiers::default())?;
        for filter in [None, Some(filter.clone())] {
            let call = signature
                .clone()
                .into_call(std::slice::from_ref(&column), filter);
            aggregates.register(&call, WhereId::ALL)?;
        }
    }
    Ok(aggregates)
}

/// A store with one key.
struct World {
    kv: Arc<dyn Kv>,
    blocks: Blocks,
    aggregates: Arc<Aggregates>,
    events: u64,
    checkpoints: u64,
}

impl World {
    fn open(directory: &Path) -> Result<Self, Box<dyn Error>> {
        let (kv, _) = EmbeddedKv::open(&directory.join("hot"), 64 << 20)?;
        let kv: Arc<dyn Kv> = Arc::new(kv);
        let aggregates = Arc::new(aggregates()?);
        Ok(World {
            blocks: blocks(&kv, &aggregates)?,
            kv,
            aggregates,
            events: 0,
            checkpoints: 0,
        })
    }

    fn insert(&mut self, count: u64) {
        for _ in 0..count {
            let id = self.events;
            let random = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let time = i64::try_from(id).unwrap_or(0) * STEP;
            let values = [
                Value::Double((random % 50_000) as f64 / 100.0),
                Value::string(format!("shop {}", random % 300)),
                Value::Boolean(random.is_multiple_of(3)),
            ];
            let entry = Entry {
                time,
                order: &id.to_be_bytes(),
                position: Position::new(0, id),
                visible_at: time + SECOND,
                contested: false,
                id,
                values: &values,
            };
            self.blocks.insert(0, KEY, &entry);
            self.events += 1;
        }
    }

    /// Rows and bytes that it writes.
    fn checkpoint(&mut self) -> Result<(usize, usize), StoreError> {
        self.checkpoints += 1;
        let mut batch = Batch::default();
        let begun = self.blocks.begin(&[None]);
        let written = begun.write(self.checkpoints, &mut batch)?;
        let size = (batch.len(), batch.bytes());
        self.kv.write(batch)?;
        drop(self.blocks.end(written));
        Ok(size)
    }

    /// The microseconds of a read that finds nothing in memory, and of one after it.
    fn read(&self, window: Option<i64>) -> Result<(f64, f64), Box<dyn Error>> {
        let specs: Vec<SpecId> = self.aggregates.specs().collect();
        let frame = Frame {
            extent: Extent::Range {
                start: window.map(|micros| Interval { months: 0, micros }),
                end: Interval::default(),
            },
            exclude_group: false,
        };
        let mut times = (Vec::new(), Vec::new());
        for n in 0..READS {
            // Not at the edge of a block.
            let behind = i64::try_from(n * 37).unwrap_or(0) * STEP;
            let t = i64::try_from(self.events).unwrap_or(0) * STEP - behind;
            let blocks = blocks(&self.kv, &self.aggregates)?;
            for (times, reads) in [(&mut times.0, 1), (&mut times.1, LATER_READS)] {
                let start = Instant::now();
                for _ in 0..reads {
                    let history = blocks.history(0, KEY)?.ok_or("the key has events")?;
                    history.fold(&self.aggregates, &specs, &frame, None, t, &Everything);
                }
                times.push(start.elapsed().as_secs_f64() * 1e6 / f64::from(reads));
            }
        }
        let median = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[READS / 2]
        };
        Ok((median(times.0), median(times.1)))
    }
}

fn blocks(kv: &Arc<dyn Kv>, aggregates: &Arc<Aggregates>) -> Result<Blocks, StoreError> {
    let spec = IndexSpec {
        number: 0,
        types: types(),
        aggregates: Arc::clone(aggregates),
    };
    let numbers = BlocksOptions::with_cache(1 << 30);
    Blocks::open(Arc::clone(kv), [spec], Arc::new(NothingCold), numbers)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut sizes = Vec::new();
    for word in std::env::args().skip(1) {
        sizes.push(word.parse()?);
    }
    if sizes.is_empty() {
        sizes = vec![1_000, 100_000, 1_000_000];
    }
    for events in sizes {
        let directory = std::env::temp_dir().join(format!("long_keys-{}", std::process::id()));
        let mut world = World::open(&directory)?;
        let start = Instant::now();
        while world.events < events {
            world.insert((events - world.events).min(4_096));
            world.checkpoint()?;
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{events} events, loaded in {seconds:.2} s");
        let (mut all, mut most) = ((0, 0), (0, 0));
        for _ in 0..ROUNDS {
            world.insert(10);
            let (rows, bytes) = world.checkpoint()?;
            all = (all.0 + rows, all.1 + bytes);
            most = (most.0.max(rows), most.1.max(bytes));
        }
        println!(
            "  a checkpoint of 10 events: {:.1} rows, {} bytes; at most {} rows, {} bytes",
            all.0 as f64 / ROUNDS as f64,
            all.1 / ROUNDS,
            most.0,
            most.1
        );
        for (name, window) in [
            ("30 days", Some(30 * DAY)),
            ("a year", Some(365 * DAY)),
            ("all history", None),
        ] {
            let (first, later) = world.read(window)?;
            println!("  {name}: first read {first:.0} µs, later {later:.1} µs");
        }
        let bytes: u64 = bytes_of(world.kv.as_ref())?;
        println!("  {bytes} bytes of runs and blocks");
        drop(world);
        std::fs::remove_dir_all(&directory)?;
    }
    Ok(())
}

/// The bytes of all rows of keys.
fn bytes_of(kv: &dyn Kv) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for space in [Space::Runs, Space::Blocks] {
        kv.snapshot().prefix(space, b"", &mut |key, value| {
            bytes += (key.len() + value.len()) as u64;
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
    }
    Ok(bytes)
}
