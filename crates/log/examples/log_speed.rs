//! How fast the log takes and gives events: `cargo run --release -p evenkeel-log --example
//! throughput -- [directory]`. Appends a million payments in batches of 4,096, reads them
//! back, and prints per setting: events and bytes per second, bytes per event, CPU per event.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_log::{
    Batch, Clock, Compression, DiskFileSystem, Log, LogOptions, OWN_POSITION, ReadOptions,
    SystemClock,
};
use evenkeel_types::{Event, EventTime, Operation, Origin, Partition, SourceId, Value};

const EVENTS: u64 = 1_000_000;
const BATCH: u64 = 4_096;

/// A generator of numbers that needs no crate (SplitMix64).
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 27)
}

/// A payment: number, time, customer, terminal, amount in cents, currency, whether fraud.
fn payment(number: u64, pushed: bool, seed: &mut u64) -> Event {
    let time = 1_700_000_000_000_000 + i64::try_from(number * 137_911).unwrap_or(0);
    let jitter = i64::try_from(random(seed) % 1_000_000).unwrap_or(0);
    let cents = random(seed) % 50_000;
    let currencies = ["EUR", "USD", "GBP", "CHF"];
    Event {
        operation: Operation::Insert,
        revision: 0,
        event_time: EventTime(time + jitter),
        known_at: None,
        origin: if pushed {
            OWN_POSITION
        } else {
            Origin::File {
                digest: [7; 16],
                row: number,
            }
        },
        row: vec![
            Value::BigInt(number.cast_signed()),
            Value::Timestamp(time + jitter),
            Value::string(format!("customer-{:05}", random(seed) % 5_000)),
            Value::BigInt((random(seed) % 10_000).cast_signed()),
            Value::double(cents as f64 / 100.0),
            Value::string(currencies[usize::try_from(random(seed) % 4).unwrap_or(0)]),
            Value::Boolean(random(seed).is_multiple_of(100)),
        ],
        before: None,
    }
}

/// Nanoseconds that this thread was on a CPU.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|n| n.parse().ok());
    first.unwrap_or(0)
}

struct Stopwatch {
    micros: i64,
    cpu: u64,
}

impl Stopwatch {
    fn start() -> Self {
        Stopwatch {
            micros: SystemClock.now_micros(),
            cpu: cpu_nanos(),
        }
    }

    /// Seconds on the wall, nanoseconds of CPU.
    fn stop(&self) -> (f64, f64) {
        let micros = SystemClock.now_micros() - self.micros;
        (micros as f64 / 1e6, (cpu_nanos() - self.cpu) as f64)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1).map(PathBuf::from);
    let base = argument.unwrap_or_else(std::env::temp_dir);
    for (name, compression) in [
        ("plain", Compression::None),
        ("zstd 1", Compression::Zstd { level: 1 }),
        ("zstd 3", Compression::Zstd { level: 3 }),
    ] {
        measure(name, compression, &base.join("evenkeel-log-throughput"))?;
    }
    Ok(())
}

fn measure(
    name: &str,
    compression: Compression,
    directory: &std::path::Path,
) -> Result<(), Box<dyn Error>> {
    let _ = std::fs::remove_dir_all(directory);
    let options = LogOptions {
        compression,
        ..LogOptions::default()
    };
    let open = || {
        Log::open(
            Arc::new(DiskFileSystem),
            directory,
            Arc::new(SystemClock),
            options.clone(),
        )
    };
    let (log, _) = open()?;
    let mut seed = 1;
    let batches: Vec<Batch> = (0..EVENTS.div_ceil(BATCH))
        .map(|batch| Batch::Events {
            source: SourceId(1),
            partition: Partition(u32::try_from(batch % 4).unwrap_or(0)),
            schema_version: 1,
            events: (batch * BATCH..((batch + 1) * BATCH).min(EVENTS))
                .map(|n| payment(n, batch % 2 == 1, &mut seed))
                .collect(),
        })
        .collect();

    let watch = Stopwatch::start();
    for batch in &batches {
        log.append(std::slice::from_ref(batch))?;
    }
    let (seconds, cpu) = watch.stop();
    drop(log);
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        bytes += entry?.metadata()?.len();
    }
    println!(
        "{name}: append {:.0} events/s, {:.0} MB/s, {:.1} bytes/event, {:.0} ns CPU/event, {:.0} us per commit",
        EVENTS as f64 / seconds,
        bytes as f64 / 1e6 / seconds,
        bytes as f64 / EVENTS as f64,
        cpu / EVENTS as f64,
        seconds * 1e6 / batches.len() as f64,
    );

    let watch = Stopwatch::start();
    let (log, _) = open()?;
    let (opened, _) = watch.stop();
    let watch = Stopwatch::start();
    let mut values = 0;
    for event in log.read(ReadOptions::default()) {
        values += event?.event.row.len();
    }
    let (seconds, cpu) = watch.stop();
    println!(
        "{name}: open {:.1} ms, read {:.0} events/s, {:.0} ns CPU/event ({values} values)",
        opened * 1e3,
        EVENTS as f64 / seconds,
        cpu / EVENTS as f64,
    );

    let watch = Stopwatch::start();
    for number in 0..200 {
        log.append(&[Batch::Events {
            source: SourceId(2),
            partition: Partition(0),
            schema_version: 1,
            events: vec![payment(number, true, &mut seed)],
        }])?;
    }
    let (seconds, cpu) = watch.stop();
    println!(
        "{name}: single events {:.0} per second, {:.1} us CPU each",
        200.0 / seconds,
        cpu / 200e3,
    );
    drop(log);
    std::fs::remove_dir_all(directory)?;
    Ok(())
}
