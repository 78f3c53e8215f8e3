//! Many records that are emitted for at once: what each brings is found ahead of its turn, on several threads.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use evenkeel_engine::{Machine, Online};

use super::*;
use crate::support::apply;

const EVENTS: u64 = 300;

/// Streams that are not only made of what is looked up: known earlier, of several partitions, made again by
/// what comes late.
const MORE: &str = "
CREATE STREAM calls (id BIGINT, zone STRING, n INT, fare DOUBLE, at TIMESTAMP, EVENT TIME at, KNOWN AT at,
  MAX FUTURE INTERVAL '1' DAY) WITH (partitions = '3');
CREATE STREAM called AS SELECT c.zone, z.city, c.fare, t.trips_2h,
  sum(c.fare) OVER (PARTITION BY c.zone ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) AS fares,
  max(c.n) OVER (PARTITION BY c.zone RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS most
FROM calls c ASOF JOIN zones z ON c.zone = z.zone ASOF JOIN tipped t ON z.city = t.city;
CREATE STREAM revised AS SELECT t.id, z.city,
  count(*) OVER (PARTITION BY t.zone RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW) AS trips
FROM trips t ASOF JOIN zones z ON t.zone = z.zone ON LATE REVISE;
";
const STREAMS: [&str; 5] = ["city_trips", "again", "tipped", "called", "revised"];

/// One stream alone.
const ALONE: &str = "
CREATE STREAM calls (id BIGINT, at TIMESTAMP, EVENT TIME at, MAX FUTURE INTERVAL '1' DAY);
CREATE STREAM called AS SELECT c.id, count(*) OVER (PARTITION BY c.id LAST 1 DAY) AS n FROM calls c;
";

type Told = (Operation, u32, EventTime, bool, Vec<u8>, Vec<u8>);

/// Emissions without the records that they were made for.
fn told(engine: &Engine) -> Vec<Vec<Told>> {
    let of_stream = |stream| {
        let part = |e: LoggedEvent| {
            let before = e.event.before.unwrap_or_default();
            let is_known = e.event.known_at.is_some();
            let (row, before) = (bits(e.event.row), bits(before));
            let event = (e.event.operation, e.event.revision, e.event.event_time);
            (event.0, event.1, event.2, is_known, row, before)
        };
        events(engine, stream).into_iter().map(part).collect()
    };
    STREAMS.map(of_stream).into()
}

fn log(engine: &mut Engine, write: Write) {
    let judged = Pusher::default().judge(engine, vec![write]);
    let mut commit = judged.append(&engine.writer().unwrap()).unwrap();
    while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
}

/// Emits everything; how many commits that is.
fn emit(engine: &mut Engine) -> usize {
    let mut emitter = Emitter::default();
    let writer = engine.writer().unwrap();
    let mut commits = 0;
    loop {
        match emitter.next(engine) {
            Next::End => return commits,
            Next::Nothing => {}
            Next::Calls(calls) => panic!("{calls:?}"),
            Next::Emissions(judged) => {
                commits += 1;
                let mut commit = judged.append(&writer).unwrap();
                while engine.apply_some(&mut commit, usize::MAX).unwrap() {}
                emitter.done();
            }
        }
    }
}

/// The same by the engine itself, with a write of nothing.
fn emit_in_process(engine: &mut Engine) {
    let write = Write::Push {
        source: engine.source("trips").unwrap(),
        rows: Vec::new(),
    };
    engine.write(&mut Pusher::default(), write).unwrap();
    assert!(!engine.is_emission_stuck());
}

/// How emissions are made.
struct Way {
    /// Behind so many steps.
    at_once: usize,
    evaluated_max: usize,
    commit_bytes: usize,
    piece_records: usize,
    in_process: bool,
}

impl Way {
    /// By who asks for one commit after the other.
    fn asked(at_once: usize, evaluated_max: usize, commit_bytes: usize) -> Self {
        Way {
            at_once,
            evaluated_max,
            commit_bytes,
            piece_records: 4_096,
            in_process: false,
        }
    }

    /// By the engine, which looks ahead from piece to piece.
    fn in_process(at_once: usize, evaluated_max: usize, piece_records: usize) -> Self {
        Way {
            piece_records,
            in_process: true,
            ..Way::asked(at_once, evaluated_max, 8 << 20)
        }
    }

    fn engine(&self, world: &World) -> Engine {
        let project = world.project();
        let machine = Machine {
            clock: world.clock.clone(),
            evaluated_max: self.evaluated_max,
            commit_bytes: self.commit_bytes,
            piece_records: self.piece_records,
            ..Machine::default()
        };
        let mut engine = Engine::open_on(&project, machine).unwrap();
        apply(&mut engine, &project.definition_files().unwrap());
        engine
    }
}

/// Logs some steps, the first of which is number `salt`.
fn log_all(engine: &mut Engine, steps: &[Step], salt: &mut u64) {
    for step in steps {
        let write = match step {
            Step::Push(source, row) => Some(Write::Push {
                source: engine.source(source).unwrap(),
                rows: vec![PushedRow {
                    values: Ok(row.clone()),
                    producer: None,
                }],
            }),
            Step::Correct(row, ends) => {
                *salt += 1;
                correction(engine, row, *ends, *salt * 7)
            }
        };
        if let Some(write) = write {
            log(engine, write);
        }
    }
}

/// Does all of it, and emits: what, and in how many commits, if that is known.
fn played(steps: &[Step], way: &Way) -> (Vec<Vec<Told>>, usize) {
    let world = World::new(&[DEFINITIONS, MORE].concat());
    let mut engine = way.engine(&world);
    let (mut commits, mut salt) = (0, 0);
    for steps in steps.chunks(way.at_once) {
        log_all(&mut engine, steps, &mut salt);
        match way.in_process {
            true => {
                emit_in_process(&mut engine);
                // With one processor nobody helps.
                let is_helped = thread::available_parallelism().is_ok_and(|n| n.get() > 1);
                if is_helped && way.at_once > EVENTS as usize && way.piece_records < 100 {
                    assert!(engine.pieces_ahead() > 0, "no piece was taken ahead");
                }
            }
            false => commits += emit(&mut engine),
        }
    }
    (told(&engine), commits)
}

/// A history of which calls are part.
fn with_calls(random: &mut Random) -> Vec<Step> {
    let mut steps = history(random, EVENTS);
    for _ in 0..EVENTS {
        let place = random.below(steps.len() as u64) as usize;
        let number = random.below(EVENTS);
        steps.insert(place, Step::Push("calls", trip(random, number)));
    }
    steps
}

#[test]
fn what_many_records_make_is_what_each_makes_by_itself() {
    let steps = with_calls(&mut Random(11));
    let (one_by_one, commits) = played(&steps, &Way::asked(1, 1, 8 << 20));
    assert!(commits > 2 * EVENTS as usize, "{commits}");
    let counts: Vec<usize> = one_by_one.iter().map(Vec::len).collect();
    assert!(counts.iter().all(|count| *count > 80), "{counts:?}");
    let known = one_by_one[3].iter().filter(|told| told.3).count();
    assert!((1..counts[3]).contains(&known), "{known} of {counts:?}");
    let all = steps.len();
    let ways = [
        Way::asked(all, 4_096, 8 << 20),
        Way::asked(all, 290, 8 << 20),
        Way::asked(300, 70, 8 << 20),
        // A commit ends by its bytes, and what is evaluated ahead is for the next one.
        Way::asked(all, 4_096, 2_500),
        Way::asked(all, 4_096, 1),
        Way::in_process(all, 4_096, 4_096),
        Way::in_process(all, 4_096, 50),
        Way::in_process(all, 70, 90),
        Way::in_process(300, 4_096, 7),
    ];
    for (way, number) in ways.iter().zip(0..) {
        let (many, commits) = played(&steps, way);
        if way.commit_bytes < 8 << 20 {
            assert!(commits > 20, "{commits} commits");
        }
        for (number_of, stream) in STREAMS.iter().enumerate() {
            let differs = many[number_of].iter().zip(&one_by_one[number_of]);
            let differs = differs.filter(|(many, one)| many != one).count();
            assert_eq!(differs, 0, "{stream}, way {number}, {commits} commits");
            assert_eq!(many[number_of].len(), counts[number_of], "{stream}");
        }
    }
}

/// An engine that whoever asks for emissions has in turns with who helps: once threads are expected, it waits
/// until another one was there.
struct Together<'e> {
    engine: &'e Engine,
    asks: ThreadId,
    /// So often it was asked for by who asks, and whether somebody else did.
    seen: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Online for Together<'_> {
    fn with<T>(&self, work: impl FnOnce(&Engine) -> T) -> T {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match thread::current().id() == self.asks {
            true => {
                seen.0 += 1;
                // The first two are for what there is to emit.
                if seen.0 > 2 {
                    let long = Duration::from_secs(60);
                    let waited = self.changed.wait_timeout_while(seen, long, |seen| !seen.1);
                    seen = waited.unwrap_or_else(PoisonError::into_inner).0;
                    assert!(seen.1, "nobody helps");
                }
            }
            false => {
                seen.1 = true;
                self.changed.notify_all();
            }
        }
        drop(seen);
        work(self.engine)
    }
}

#[test]
fn another_thread_evaluates_what_comes_next() {
    if thread::available_parallelism().is_ok_and(|threads| threads.get() == 1) {
        // There is none.
        return;
    }
    let world = World::new(ALONE);
    let mut engine = Way::asked(1, 4_096, 8 << 20).engine(&world);
    let rows = (0..600).map(|number| PushedRow {
        values: Ok(vec![Value::BigInt(number), at(number as u64)]),
        producer: None,
    });
    let write = Write::Push {
        source: engine.source("calls").unwrap(),
        rows: rows.collect(),
    };
    log(&mut engine, write);
    let mut emitter = Emitter::default();
    let together = Together {
        engine: &engine,
        asks: thread::current().id(),
        seen: Mutex::default(),
        changed: Condvar::new(),
    };
    let next = emitter.next(&together);
    assert!(matches!(next, Next::Emissions(_)));
    assert!(emitter.helped() > 0);
}
