//! By column and by row the same events come back, and no bytes whatever do harm.

use evenkeel_types::{ErrorReason, LoggedEvent};
use proptest::prelude::*;

use super::super::EventDecoder;
use super::super::event::encode_events;
use super::super::tests::{origins, values};
use super::*;

const FIRST: u64 = 1_000;
const PARTITION: u32 = 7;

/// Values of one kind, or of any.
fn column_values() -> impl Strategy<Value = BoxedStrategy<Value>> {
    let kinds: Vec<BoxedStrategy<Value>> = vec![
        any::<bool>().prop_map(Value::from).boxed(),
        any::<i32>().prop_map(Value::from).boxed(),
        any::<i64>().prop_map(Value::from).boxed(),
        (0i64..9).prop_map(Value::from).boxed(),
        any::<f32>().prop_map(Value::float).boxed(),
        any::<f64>().prop_map(Value::double).boxed(),
        (-9i64..9).prop_map(|n| Value::double(n as f64)).boxed(),
        (-999i64..999)
            .prop_map(|n| Value::double(n as f64 / 100.0))
            .boxed(),
        any::<i32>().prop_map(Value::Date).boxed(),
        any::<i64>().prop_map(Value::Timestamp).boxed(),
        "[ab]{0,2}".prop_map(Value::string).boxed(),
        ".{0,9}".prop_map(Value::string).boxed(),
        Just(Value::Null).boxed(),
        values(),
    ];
    (prop::sample::select(kinds), 0u32..3).prop_map(|(kind, missing)| {
        prop_oneof![
            9 => kind,
            missing => prop_oneof![Just(Value::Null), Just(Value::Error(ErrorReason::Overflow))],
        ]
        .boxed()
    })
}

fn columns() -> impl Strategy<Value = (usize, Vec<Vec<Value>>)> {
    let count = COLUMNAR_EVENTS_MIN..COLUMNAR_EVENTS_MIN + 9;
    (count, prop::collection::vec(column_values(), 0..5)).prop_flat_map(|(count, columns)| {
        let values = move |column| prop::collection::vec(column, count);
        let columns: Vec<_> = columns.into_iter().map(values).collect();
        (Just(count), columns)
    })
}

/// What is said of an event besides its row.
type Marks = (u8, u32, i64, Option<i64>, Origin);

fn marks() -> impl Strategy<Value = Marks> {
    (
        prop_oneof![9 => Just(0), 1 => 0u8..5],
        prop_oneof![9 => Just(0), 1 => any::<u32>()],
        prop_oneof![9 => 0i64..99, 1 => any::<i64>()],
        prop::option::of(any::<i64>()),
        origins(),
    )
}

fn many_events() -> impl Strategy<Value = Vec<Event>> {
    (columns(), any::<bool>(), any::<bool>()).prop_flat_map(|((count, columns), plain, same)| {
        prop::collection::vec(marks(), count).prop_map(move |marks| {
            let event =
                |(i, (operation, revision, time, known_at, origin)): (usize, Marks)| Event {
                    operation: Operation::from_code(if same { 1 } else { operation }).unwrap(),
                    revision: if same { 0 } else { revision },
                    event_time: EventTime(time),
                    known_at: known_at.filter(|_| !plain).map(VisibleAt),
                    origin: match (&origin, plain) {
                        // Most count on.
                        (Origin::File { row, .. }, true) if row % 9 > 0 => Origin::File {
                            digest: [1; 16],
                            row: i as u64,
                        },
                        _ => origin,
                    },
                    row: columns.iter().map(|values| values[i].clone()).collect(),
                    before: None,
                };
            marks.into_iter().enumerate().map(event).collect()
        })
    })
}

fn encoded(events: &[Event]) -> Option<Vec<u8>> {
    let mut out = vec![1, 2, 3];
    let times = encode_columnar(events, Partition(PARTITION), FIRST, &mut out).unwrap();
    let least = events.iter().map(|e| e.event_time.0).min().unwrap();
    let greatest = events.iter().map(|e| e.event_time.0).max().unwrap();
    assert!(times.is_none_or(|times| times == (least, greatest)));
    assert!(times.is_some() || out.len() == 3);
    times.map(|_| out.split_off(3))
}

fn decoded(body: &[u8], count: usize, parts: Option<&EventParts>) -> Result<Vec<Event>, Flaw> {
    let found = Columnar::decode(body, PARTITION, FIRST, count as u32, parts)?;
    // One for all: nothing of an event may stay in the next.
    let mut event = LoggedEvent::blank().event;
    Ok((0..count)
        .map(|number| {
            found.event_into(number, parts, &mut event);
            event.clone()
        })
        .collect())
}

/// The events as rows have them.
fn by_row(events: &[Event], parts: Option<&EventParts>) -> Vec<Event> {
    let mut body = Vec::new();
    encode_events(events, Partition(PARTITION), FIRST, &mut body).unwrap();
    let end = FIRST + events.len() as u64;
    let mut decoder = EventDecoder::new(body, PARTITION, FIRST, end);
    let mut event = LoggedEvent::blank().event;
    let mut found = Vec::new();
    while decoder.next_into(parts, &mut event).unwrap().is_some() {
        found.push(event.clone());
    }
    found
}

fn same(a: &[Event], b: &[Event]) -> bool {
    let bits = |a: &Event, b: &Event| {
        let mut values = a.row.iter().zip(&b.row);
        values.all(|(a, b)| a.same_bits(b))
    };
    a == b && a.iter().zip(b).all(|(a, b)| bits(a, b))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn by_column_as_by_row(
        events in many_events(),
        columns in prop::collection::vec(any::<bool>(), 0..6),
        origin in any::<bool>(),
    ) {
        let parts = EventParts { columns, origin };
        if let Some(body) = encoded(&events) {
            for parts in [None, Some(&parts)] {
                let found = decoded(&body, events.len(), parts).unwrap();
                prop_assert!(same(&found, &by_row(&events, parts)), "{found:?}");
            }
        }
    }

    #[test]
    fn runs_of_origins_are_their_origins(events in many_events()) {
        if let Some(body) = encoded(&events) {
            let count = events.len() as u32;
            let found = Columnar::decode(&body, PARTITION, FIRST, count, None).unwrap();
            let mut runs = Vec::new();
            for (run, first) in found.origin_runs() {
                let (head, number) = split(&first);
                runs.extend((0..run.len() as u64).map(|n| head.with(number + n)));
            }
            let each: Vec<_> = (0..events.len()).map(|i| found.origin(i)).collect();
            prop_assert_eq!(runs, each);
        }
    }

    #[test]
    fn damaged_bodies_are_errors_or_other_events(
        events in many_events(),
        place in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 1..9),
        cut in any::<bool>(),
    ) {
        let Some(mut body) = encoded(&events) else { return Ok(()) };
        let at = place.index(body.len());
        if cut {
            body.truncate(at);
            prop_assert!(decoded(&body, events.len(), Some(&EventParts::default())).is_err());
            prop_assert!(decoded(&body, events.len(), None).is_err());
        } else {
            let length = noise.len().min(body.len() - at);
            body[at..at + length].copy_from_slice(&noise[..length]);
            let _ = decoded(&body, events.len(), None);
        }
    }

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), count in 1usize..99) {
        let _ = decoded(&body, count, None);
        let _ = decoded(&body, count, Some(&EventParts::default()));
    }
}

fn payments(count: usize) -> Vec<Event> {
    (0..count)
        .map(|i| Event {
            operation: Operation::Insert,
            revision: 0,
            event_time: EventTime(1_700_000_000_000_000 + i as i64 * 1_000_000),
            known_at: None,
            origin: Origin::File {
                digest: [5; 16],
                row: i as u64,
            },
            row: vec![
                Value::BigInt(i as i64),
                Value::Timestamp(1_700_000_000_000_000 + i as i64 * 1_000_000),
                Value::double((i * 7 % 1_000) as f64 / 100.0),
                Value::string(["shop", "till", "web"][i % 3]),
            ],
            before: None,
        })
        .collect()
}

#[test]
fn what_is_regular_is_short() {
    let events = payments(1_000);
    let body = encoded(&events).unwrap();
    // Two bytes of the amount, one of the text.
    assert!(body.len() < 3_200, "{} bytes", body.len());
}

#[test]
fn what_does_not_suit_stands_row_by_row() {
    assert!(encoded(&payments(COLUMNAR_EVENTS_MIN)).is_some());
    assert!(encoded(&payments(COLUMNAR_EVENTS_MIN - 1)).is_none());
    assert!(encoded(&payments(COLUMNAR_EVENTS_MAX + 1)).is_none());
    let mut narrow = payments(100);
    narrow[70].row.pop();
    assert!(encoded(&narrow).is_none());
    let mut corrected = payments(100);
    corrected[70].before = Some(Vec::new());
    assert!(encoded(&corrected).is_none());
    // All the same: a byte would stand for too much.
    let payment = Event {
        origin: OWN_POSITION,
        ..payments(1).remove(0)
    };
    let same = vec![payment; 10_000];
    assert!(encoded(&same).is_none());
}

#[test]
fn a_count_larger_than_the_bytes_reserves_nothing() {
    let body = encoded(&payments(100)).unwrap();
    assert!(decoded(&body, 1 << 15, None).is_err());
    assert!(Columnar::decode(&body, 0, 0, u32::MAX, None).is_err());
}
