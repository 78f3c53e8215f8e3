//! What log and hot tier decode: bodies of many events, and blocks. Of a store on the disk only
//! what has the right checksum gets there; here everything does.

use std::sync::Arc;

use evenkeel_aggregate::{Entry, History};
use evenkeel_engine::Engine;
use evenkeel_log::{ReadOptions, events_from_body, events_to_body};
use evenkeel_types::{DataType, Event, Position, Value};

use crate::Kind;

const FIRST: Position = Position::new(0, 1_000);
/// Events of the samples: as few and about as many as stand by column.
const COUNTS: [u32; 3] = [64, 500, 4_000];

/// Bodies and blocks, made of an engine's events.
pub(crate) fn kinds(engine: &Engine) -> Vec<Kind<'static>> {
    let logged = engine.reader().clone().read(ReadOptions::default());
    let logged: Vec<Event> = logged.map(|event| event.unwrap().event).collect();
    let events = |count: u32| -> Vec<Event> {
        let events = logged.iter().cycle().take(count as usize);
        events.cloned().collect()
    };
    vec![
        bodies("bodies by column", true, events),
        bodies("bodies by row", false, events),
        blocks(&events(2_000)),
    ]
}

fn bodies(
    name: &'static str,
    by_column: bool,
    events: impl Fn(u32) -> Vec<Event>,
) -> Kind<'static> {
    let sample = |count: &u32| {
        let events = events(*count);
        let body = events_to_body(&events, FIRST, by_column).unwrap();
        let body = body.expect("they suit it");
        let again = events_from_body(body.clone(), FIRST, *count, by_column);
        assert_eq!(again.unwrap(), events);
        body
    };
    Kind {
        name,
        share: 1,
        samples: COUNTS.iter().map(sample).collect(),
        read: Box::new(move |bytes| {
            for count in COUNTS.into_iter().chain([1, 1 << 20, u32::MAX]) {
                if let Ok(events) = events_from_body(bytes.to_vec(), FIRST, count, by_column) {
                    written_and_read(&events, count);
                }
            }
        }),
    }
}

/// What was read is written so that it is read again.
fn written_and_read(events: &[Event], count: u32) {
    for by_column in [false, true] {
        if let Ok(Some(body)) = events_to_body(events, FIRST, by_column) {
            let again = events_from_body(body, FIRST, count, by_column).unwrap();
            // NaN is not equal to itself, and says the same.
            assert_eq!(format!("{again:?}"), format!("{events:?}"));
        }
    }
}

fn blocks(events: &[Event]) -> Kind<'static> {
    let types: Arc<[DataType]> = [DataType::BigInt, DataType::Double, DataType::Timestamp].into();
    let sample = |events: &[Event], step: usize| {
        let mut history = History::new(Arc::clone(&types));
        for (number, event) in (0..).zip(events.iter().step_by(step)) {
            let Value::Double(x) = event.row[4] else {
                panic!("a tick has a number")
            };
            history.insert(&Entry {
                time: event.event_time.0,
                // Their places in the log, or an order that is longer.
                order: &[&number.to_string().into_bytes()[..], &[7; 5][..step.min(5)]].concat(),
                position: Position::new(0, number),
                visible_at: event.event_time.0 + 5,
                contested: number % 50 == 3,
                id: number,
                values: &[
                    Value::BigInt(number.cast_signed() % 9),
                    Value::from(x),
                    event.row[5].clone(),
                ],
            });
        }
        history.encode(0..history.len()).unwrap().0
    };
    let samples = vec![
        sample(events, 1),
        sample(&events[..300], 7),
        sample(&events[..9], 2),
    ];
    Kind {
        name: "blocks",
        share: 1,
        samples,
        read: Box::new(move |bytes| {
            if let Ok(history) = History::decode(Arc::clone(&types), bytes) {
                let read = history.iter().map(|entry| entry.row().len());
                assert!(read.count() == history.len());
            }
        }),
    }
}
