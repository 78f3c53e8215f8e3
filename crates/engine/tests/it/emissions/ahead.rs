//! Many records that are emitted for at once: what each brings is found ahead of its turn, on several threads.

use evenkeel_engine::Machine;

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

/// Does all of it, and emits behind so many steps at a time, so many evaluations to a commit.
fn played(steps: &[Step], at_once: usize, evaluated_max: usize) -> (Vec<Vec<Told>>, usize) {
    let world = World::new(&[DEFINITIONS, MORE].concat());
    let project = world.project();
    let machine = Machine {
        clock: world.clock.clone(),
        evaluated_max,
        ..Machine::default()
    };
    let mut engine = Engine::open_on(&project, machine).unwrap();
    apply(&mut engine, &project.definition_files().unwrap());
    let (mut commits, mut salt) = (0, 0);
    for steps in steps.chunks(at_once) {
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
                    salt += 1;
                    correction(&engine, row, *ends, salt * 7)
                }
            };
            if let Some(write) = write {
                log(&mut engine, write);
            }
        }
        commits += emit(&mut engine);
    }
    (told(&engine), commits)
}

#[test]
fn what_many_records_make_is_what_each_makes_by_itself() {
    let mut random = Random(11);
    let mut steps = history(&mut random, EVENTS);
    for _ in 0..EVENTS {
        let place = random.below(steps.len() as u64) as usize;
        let number = random.below(EVENTS);
        steps.insert(place, Step::Push("calls", trip(&mut random, number)));
    }
    let (one_by_one, commits) = played(&steps, 1, 1);
    assert!(commits > 2 * EVENTS as usize, "{commits}");
    let counts: Vec<usize> = one_by_one.iter().map(Vec::len).collect();
    assert!(counts.iter().all(|count| *count > 80), "{counts:?}");
    let known = one_by_one[3].iter().filter(|told| told.3).count();
    assert!((1..counts[3]).contains(&known), "{known} of {counts:?}");
    for (at_once, evaluated_max) in [(steps.len(), 4_096), (steps.len(), 290), (300, 70)] {
        let (many, commits) = played(&steps, at_once, evaluated_max);
        for (number, stream) in STREAMS.iter().enumerate() {
            let differs = many[number].iter().zip(&one_by_one[number]);
            let differs = differs.filter(|(many, one)| many != one).count();
            assert_eq!(differs, 0, "{stream}, {at_once} at once, {commits} commits");
            assert_eq!(many[number].len(), counts[number], "{stream}");
        }
    }
}
