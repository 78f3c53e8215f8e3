//! What one core does to events so that exact windows can be read, without log, files and
//! identities: `cargo run --release -p evenkeel-store --example apply_kernel -- [EVENTS] [KEYS]`.
//!
//! Two ways to three windows (an hour, a day, 30 days) of count, exact sum, least and greatest of
//! a double. `insert`: each event goes to its key in memory, as the recorder does it; a read
//! merges from there, and nothing is kept per window. `sweep`: all windows at the time of each
//! event, as a training set has them, from events placed by key. Prints each in nanoseconds per
//! event, as the system counts those of this thread: others may use the machine.

#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use evenkeel_aggregate::signature::{Argument, Modifiers, resolve};
use evenkeel_aggregate::sweep::{Inputs, index_ranges};
use evenkeel_aggregate::{Aggregates, Aggregator, Entry};
use evenkeel_store::{Blocks, BlocksOptions, IndexSpec, MemoryKv, NothingCold};
use evenkeel_types::time::{DAY, HOUR, SECOND};
use evenkeel_types::{Column, ColumnData, DataType, Expr, Frame, Position, Value};

/// That of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WINDOWS: [i64; 3] = [HOUR, DAY, 30 * DAY];

struct Event {
    key: u64,
    time: i64,
    amount: f64,
}

/// In the order of time, keys at random.
fn events(count: u64, keys: u64) -> Vec<Event> {
    let mut x = 88_172_645_463_325_252u64;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    (0..count)
        .map(|n| Event {
            key: next() % keys,
            time: n as i64 * SECOND,
            amount: (next() % 100_000) as f64 / 100.0,
        })
        .collect()
}

fn insert(events: &[Event]) -> Result<Blocks, Box<dyn Error>> {
    let spec = IndexSpec {
        number: 0,
        types: Arc::from([DataType::Double]),
        aggregates: Arc::new(Aggregates::new()),
    };
    let options = BlocksOptions::with_cache(0);
    let kv = Arc::new(MemoryKv::new());
    let mut blocks = Blocks::open(kv, [spec], Arc::new(NothingCold), options)?;
    for (id, event) in (0u64..).zip(events) {
        let values = [Value::Double(event.amount)];
        let entry = Entry {
            time: event.time,
            order: &id.to_be_bytes(),
            position: Position::new(0, id),
            visible_at: event.time,
            contested: false,
            id,
            values: &values,
        };
        blocks.insert(0, &event.key.to_be_bytes(), &entry);
    }
    Ok(blocks)
}

fn sweep(events: &[Event], keys: u64) -> Result<usize, Box<dyn Error>> {
    let column = Expr::column(0, DataType::Double);
    let argument = Argument {
        data_type: &column.data_type,
        constant: None,
    };
    let mut aggregators = Vec::new();
    for name in ["count", "sum", "min", "max"] {
        let signature = resolve(name, std::slice::from_ref(&argument), Modifiers::default())?;
        let call = signature.into_call(std::slice::from_ref(&column), None);
        aggregators.push(Aggregator::of(&call)?);
    }
    // Events by key: counted, then placed.
    let mut starts = vec![0usize; usize::try_from(keys)? + 1];
    for event in events {
        starts[event.key as usize + 1] += 1;
    }
    for key in 0..starts.len() - 1 {
        starts[key + 1] += starts[key];
    }
    let mut next = starts.clone();
    let (mut times, mut amounts) = (vec![0; events.len()], vec![0.0; events.len()]);
    for event in events {
        let place = &mut next[event.key as usize];
        times[*place] = event.time;
        amounts[*place] = event.amount;
        *place += 1;
    }
    let data = ColumnData::Double(amounts);
    let inputs = Inputs::new(
        vec![Column::from_parts(data, Vec::new())],
        None,
        events.len(),
    );
    let mut values = 0;
    for window in WINDOWS {
        let mut ranges = Vec::new();
        for of_key in starts.windows(2) {
            let times = &times[of_key[0]..of_key[1]];
            let base = u32::try_from(of_key[0])?;
            index_ranges(&Frame::last(window), None, times, times, base, &mut ranges);
        }
        for aggregator in &aggregators {
            values += black_box(inputs.over(aggregator, &ranges)).len();
        }
    }
    Ok(values)
}

/// Nanoseconds of a processor that this thread has used.
fn spent() -> Result<u64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next();
    Ok(first.ok_or("no times of the thread")?.parse()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let count = arguments.next().unwrap_or(Ok(2_000_000))?;
    let keys = arguments.next().unwrap_or(Ok(300_000))?.max(1);
    let events = events(count, keys);
    let per_event = |before: u64, after: u64| (after - before) as f64 / count as f64;
    let start = spent()?;
    let blocks = insert(&events)?;
    println!("insert {:.1}", per_event(start, spent()?));
    drop(blocks);
    let start = spent()?;
    black_box(sweep(&events, keys)?);
    println!("sweep {:.1}", per_event(start, spent()?));
    Ok(())
}
