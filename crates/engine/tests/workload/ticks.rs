//! A stream of ticks, numbered from 0 without gaps, so that a store tells by itself whether
//! something is lost or doubled: the sum of the first n numbers is known.

use std::path::Path;

use evenkeel_engine::api::{GetRequest, VerifyOptions};
use evenkeel_engine::push::{PushedRow, Pusher, RowAnswer, Write, Written};
use evenkeel_engine::{Engine, EngineError, Machine, Project};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Value, Zone};

pub(crate) const DEFINITIONS: &str = "
CREATE ENTITY world (world BIGINT);
CREATE ENTITY part (part BIGINT);
CREATE ENTITY lane (lane BIGINT);
CREATE STREAM ticks (n BIGINT, world BIGINT, part BIGINT, lane BIGINT, x DOUBLE, at TIMESTAMP,
  EVENT ID (n), EVENT TIME at, KNOWN AT at, MAX FUTURE INTERVAL '1' SECOND,
  HOT RETENTION INTERVAL '1' MINUTE);
CREATE FEATURE VIEW of_world ENTITY world AS
SELECT world, count(*) OVER w AS ticks, sum(n) OVER w AS total, sum(x) OVER w AS xs,
       count(*) OVER s AS session, last_value(n) OVER r AS last
FROM ticks WINDOW w AS (PARTITION BY world ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
  s AS (SESSION GAP 30 SECONDS),
  r AS (PARTITION BY world ORDER BY at ROWS BETWEEN 9 PRECEDING AND CURRENT ROW);
CREATE FEATURE VIEW of_part ENTITY part AS
SELECT part, count(*) OVER h AS ticks, avg(x) OVER h AS x FROM ticks WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE VIEW of_lane ENTITY lane AS
SELECT lane, count(*) OVER m AS ticks, sum(n) OVER m AS total FROM ticks WINDOW m AS (LAST 1 MINUTES);
CREATE FEATURE SERVICE model VERSION 1 AS of_world (*);
CREATE FEATURE SERVICE lanes VERSION 1 AS of_lane (*);
";
/// A quarter of it is what makes a checkpoint due.
pub(crate) const LIMITS: &str = "[limits]\nmemory_bytes = 200000\n";
/// Of each lane every third tick.
const LANES: u64 = 3;
/// The most ticks in one push.
pub(crate) const BATCH_MAX: u64 = 20;

/// A number of the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// Bits of `n` that look random.
pub(crate) fn mix(n: u64) -> u64 {
    let x = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 7
}

fn start() -> i64 {
    parse_timestamp("2026-01-01T00:00:00Z", &Zone::utc()).unwrap()
}

/// When tick number `n` is: now and then it comes late.
pub(crate) fn time(n: u64) -> i64 {
    let late = if mix(n).is_multiple_of(11) { 900 } else { 0 };
    start() + (n as i64 - late) * 1_000_000
}

/// Tick number `n`; `other` gives it a payload that loses.
pub(crate) fn tick(n: u64, other: bool) -> PushedRow {
    let values = vec![
        Value::BigInt(n as i64),
        Value::BigInt(0),
        Value::BigInt((mix(n) % 37) as i64),
        Value::BigInt((n % LANES) as i64),
        Value::from(if other { 1e300 } else { mix(n) as f64 / 1e6 }),
        Value::Timestamp(time(n)),
    ];
    PushedRow {
        values: Ok(values),
        producer: None,
    }
}

/// The request that sees every tick.
pub(crate) fn request(engine: &Engine) -> GetRequest {
    GetRequest {
        service: engine.service("model").unwrap(),
        rows: vec![vec![Value::BigInt(0)]],
        as_of: EventTime(start() + 1_000_000_000_000_000),
        cut: None,
        known_at: None,
    }
}

/// [`try_ticks`], of a store that is whole.
pub(crate) fn ticks(engine: &Engine) -> u64 {
    try_ticks(engine).unwrap()
}

/// How many ticks there are; panics if they are not the first ones, each once.
pub(crate) fn try_ticks(engine: &Engine) -> Result<u64, EngineError> {
    let answer = engine.get(&request(engine))?;
    let value = |i: usize| answer.rows[0][i].value.clone();
    let Value::BigInt(count) = value(0) else {
        panic!("a count is a number")
    };
    let sum = match value(1) {
        Value::Null => 0,
        Value::BigInt(sum) => sum,
        other => panic!("{other:?} is no sum"),
    };
    assert_eq!(sum, count * (count - 1) / 2, "of {count} ticks");
    Ok(count as u64)
}

/// Reads a minute of the first `there` ticks, most of which have left the hot tier, and
/// compares it with what the ticks are. Answers how many were brought back from the log since
/// the store was opened.
pub(crate) fn read_old(engine: &Engine, there: u64, seed: u64) -> u64 {
    let until = time(mix(seed) % there.max(1));
    let request = GetRequest {
        service: engine.service("lanes").unwrap(),
        rows: (0..LANES).map(|l| vec![Value::BigInt(l as i64)]).collect(),
        as_of: EventTime(until),
        cut: None,
        known_at: None,
    };
    let answer = engine.get(&request).unwrap();
    for (lane, row) in (0..LANES).zip(answer.rows) {
        let within = |n: &u64| (until - 60_000_000..=until).contains(&time(*n));
        let ticks: Vec<u64> = (lane..there)
            .step_by(LANES as usize)
            .filter(within)
            .collect();
        let total = match ticks.is_empty() {
            true => Value::Null,
            false => Value::BigInt(ticks.iter().sum::<u64>() as i64),
        };
        assert_eq!(
            row[0].value,
            Value::BigInt(ticks.len() as i64),
            "lane {lane}"
        );
        assert_eq!(row[1].value, total, "lane {lane} of {there} at {until}");
    }
    engine.reheats().events
}

/// The project in a folder, open. Its blocks are small, so that they are sealed, and leave.
pub(crate) fn open(directory: &Path) -> Engine {
    let machine = Machine {
        sealed_entries: 4,
        ..Machine::default()
    };
    open_on(directory, machine)
}

pub(crate) fn open_on(directory: &Path, machine: Machine) -> Engine {
    Engine::open_on(&Project::open(directory, None).unwrap(), machine).unwrap()
}

/// Applies what the folder defines now.
pub(crate) fn apply(engine: &mut Engine) {
    let files = engine.project().definition_files().unwrap();
    let plan = engine.plan(&files).unwrap();
    engine.apply(plan).unwrap();
}

/// Who pushes ticks.
pub(crate) struct Ticker {
    pub(crate) engine: Engine,
    pusher: Pusher,
    /// How many there are.
    pub(crate) next: u64,
    /// The most ticks in one push.
    pub(crate) batch_max: u64,
}

impl Ticker {
    /// Opens the store and applies what the folder defines.
    pub(crate) fn open(directory: &Path) -> Self {
        let mut engine = open(directory);
        apply(&mut engine);
        Ticker::over(engine)
    }

    /// Goes on where a store is.
    pub(crate) fn over(engine: Engine) -> Self {
        Ticker {
            next: ticks(&engine),
            pusher: Pusher::default(),
            batch_max: BATCH_MAX,
            engine,
        }
    }

    /// [`Ticker::try_push`], which must succeed.
    pub(crate) fn push(&mut self) {
        self.try_push().unwrap();
    }

    /// Pushes a batch: new ticks, known ones again, and a payload that loses. After an error
    /// it may be there or not.
    pub(crate) fn try_push(&mut self) -> Result<(), EngineError> {
        let next = self.next;
        let end = next + 1 + mix(next) % self.batch_max;
        let mut rows: Vec<PushedRow> = (next..end).map(|n| tick(n, false)).collect();
        let known = mix(end) % next.max(1);
        if next > 0 {
            rows.push(tick(known, false));
        }
        if mix(end).is_multiple_of(3) {
            rows.push(tick(next, true));
        }
        let source = self.engine.catalog().sources["ticks"].clone();
        let write = Write::Push { source, rows };
        let answers = match self.engine.write(&mut self.pusher, write)? {
            Written::Pushed(answer) => answer.rows,
            _ => unreachable!("a push is answered as one"),
        };
        let new = (end - next) as usize;
        assert!(
            answers[..new]
                .iter()
                .all(|a| matches!(a, RowAnswer::Logged(_))),
            "{answers:?}"
        );
        if next > 0 {
            assert_eq!(answers[new], RowAnswer::Duplicate, "tick {known} of {next}");
        }
        self.next = end;
        Ok(())
    }
}

/// Checks a store after something befell it: every tick that was acknowledged is there, none
/// is doubled, writing goes on, all ways of reading agree, and the hot tier says what one
/// built from the log says. Answers how many ticks were there.
pub(crate) fn check(directory: &Path, acknowledged: u64, values: u64) -> u64 {
    let mut ticker = Ticker::open(directory);
    let there = ticker.next;
    assert!(
        there >= acknowledged,
        "{acknowledged} ticks were acknowledged, {there} are there"
    );
    read_old(&ticker.engine, there, acknowledged);
    ticker.push();
    let kept = digest(&ticker.engine, values).unwrap();
    let hot = ticker.engine.project().store.join("hot");
    drop(ticker);
    std::fs::remove_dir_all(hot).unwrap();
    assert_eq!(digest(&open(directory), values).unwrap(), kept);
    there
}

/// The digest of a sample of answers, on which all ways of reading agree.
pub(crate) fn digest(engine: &Engine, values: u64) -> Result<String, EngineError> {
    let options = VerifyOptions {
        values,
        oracle_values: values / 30,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ())?;
    assert_eq!(report.mismatches, 0, "{report:?}");
    Ok(report.answers_digest.to_string())
}
