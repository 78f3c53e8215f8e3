//! Bodies: everything an event can hold comes back, and no bytes whatever do harm.

use evenkeel_types::{
    ErrorReason, Event, EventTime, Interval, LoggedEvent, Operation, Origin, Partition, Position,
    Value, VisibleAt,
};
use proptest::prelude::*;

use super::*;
use crate::batch::{Backfill, Correlation, DeadLetter, DeadLetterId, OWN_POSITION};
use crate::error::LogError;
use crate::reader::EventParts;

pub(super) fn values() -> BoxedStrategy<Value> {
    let double = prop_oneof![
        any::<f64>(),
        (-1_000_000i64..1_000_000).prop_map(|n| n as f64),
        (-1_000_000i64..1_000_000).prop_map(|n| n as f64 / 100.0),
        Just(-0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(9_007_199_254_740_993.0),
        Just(5e-324),
    ]
    .prop_map(Value::double);
    let text = prop_oneof!["[a-c]{0,2}", ".{0,50}"].prop_map(|s: String| Value::string(s));
    let scalar = prop_oneof![
        Just(Value::Null),
        Just(Value::Error(ErrorReason::Limit)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f32>().prop_map(Value::float),
        double,
        any::<i128>().prop_map(Value::decimal),
        text,
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|b| Value::Bytes(b.into())),
        any::<i32>().prop_map(Value::Date),
        any::<i64>().prop_map(Value::Timestamp),
        (any::<i32>(), any::<i64>())
            .prop_map(|(months, micros)| Value::Interval(Interval { months, micros })),
        prop::collection::vec(any::<f32>().prop_map(Value::float), 0..5)
            .prop_map(|v| Value::Array(v.into())),
        prop::collection::vec(any::<f64>().prop_map(Value::double), 0..5)
            .prop_map(|v| Value::Array(v.into())),
    ];
    scalar
        .prop_recursive(4, 20, 4, |inner| {
            let list = prop::collection::vec(inner, 0..4);
            prop_oneof![
                list.clone().prop_map(|v| Value::Array(v.into())),
                list.prop_map(|v| Value::Struct(v.into())),
            ]
        })
        .boxed()
}

pub(super) fn origins() -> impl Strategy<Value = Origin> {
    prop_oneof![
        Just(OWN_POSITION),
        (any::<[u8; 1]>(), any::<u64>()).prop_map(|(d, row)| Origin::File {
            digest: [d[0] % 2; 16],
            row,
        }),
        ("[ab]", 0u32..2, any::<u64>()).prop_map(|(topic, partition, offset)| Origin::Kafka {
            topic,
            partition,
            offset,
        }),
        ("[ab]{0,2}", any::<u64>()).prop_map(|(id, sequence)| Origin::Producer { id, sequence }),
        (0u32..3, any::<u64>()).prop_map(|(p, o)| Origin::Log(Position::new(p, o))),
    ]
}

fn any_events() -> impl Strategy<Value = Vec<Event>> {
    let rows = prop::collection::vec(values(), 0..5);
    let event = (
        0u8..5,
        prop_oneof![Just(0), any::<u32>()],
        any::<i64>(),
        prop::option::of(any::<i64>()),
        origins(),
        rows.clone(),
        prop::option::of(rows),
    );
    let event = event.prop_map(
        |(operation, revision, time, known_at, origin, row, before)| Event {
            operation: Operation::from_code(operation).unwrap(),
            revision,
            event_time: EventTime(time),
            known_at: known_at.map(VisibleAt),
            origin,
            row,
            before,
        },
    );
    prop::collection::vec(event, 1..8)
}

const FIRST: u64 = 1_000;

fn encoded(events: &[Event]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_events(events, Partition(7), FIRST, &mut out).unwrap();
    out
}

fn decoded(body: Vec<u8>, count: u64) -> Result<Vec<Event>, Flaw> {
    decoded_in_part(body, count, None)
}

fn decoded_in_part(
    body: Vec<u8>,
    count: u64,
    parts: Option<&EventParts>,
) -> Result<Vec<Event>, Flaw> {
    let mut decoder = EventDecoder::new(body, 7, FIRST, FIRST + count);
    let mut events = Vec::new();
    // One for all: nothing of an event may stay in the next.
    let mut event = LoggedEvent::blank().event;
    while let Some(offset) = decoder.next_into(parts, &mut event)? {
        assert_eq!(offset, FIRST + events.len() as u64);
        events.push(event.clone());
    }
    Ok(events)
}

proptest! {
    #[test]
    fn events_round_trip(events in any_events()) {
        let mut out = Vec::new();
        let (low, high) = encode_events(&events, Partition(7), FIRST, &mut out).unwrap();
        prop_assert_eq!(low, events.iter().map(|e| e.event_time.0).min().unwrap());
        prop_assert_eq!(high, events.iter().map(|e| e.event_time.0).max().unwrap());
        let mut expected = events;
        for (offset, event) in (FIRST..).zip(&mut expected) {
            if event.origin == OWN_POSITION {
                event.origin = Origin::Log(Position::new(7, offset));
            }
        }
        prop_assert_eq!(decoded(out, expected.len() as u64).unwrap(), expected);
    }

    #[test]
    fn parts_are_those_of_the_whole(events in any_events(), columns in prop::collection::vec(any::<bool>(), 0..6), origin in any::<bool>()) {
        let (body, count) = (encoded(&events), events.len() as u64);
        let parts = EventParts { columns, origin };
        let mut expected = decoded(body.clone(), count).unwrap();
        for (offset, event) in (FIRST..).zip(&mut expected) {
            event.before = None;
            if !origin {
                event.origin = Origin::Log(Position::new(7, offset));
            }
            for (slot, value) in event.row.iter_mut().enumerate() {
                if !parts.columns.get(slot).copied().unwrap_or(false) {
                    *value = Value::Null;
                }
            }
        }
        prop_assert_eq!(decoded_in_part(body, count, Some(&parts)).unwrap(), expected);
    }

    #[test]
    fn damaged_bodies_are_errors_or_other_events(
        events in any_events(),
        place in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 1..9),
        cut in any::<bool>(),
    ) {
        let mut body = encoded(&events);
        let at = place.index(body.len());
        if cut {
            body.truncate(at);
            let nothing = EventParts::default();
            prop_assert!(decoded_in_part(body.clone(), events.len() as u64, Some(&nothing)).is_err());
            prop_assert!(decoded(body, events.len() as u64).is_err());
        } else {
            let length = noise.len().min(body.len() - at);
            body[at..at + length].copy_from_slice(&noise[..length]);
            let _ = decoded(body, events.len() as u64);
        }
    }

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), count in 0u32..20) {
        let _ = decoded(body.clone(), u64::from(count));
        let _ = decoded_in_part(body.clone(), u64::from(count), Some(&EventParts::default()));
        let _ = decode_dead_letters(&body, count);
        let _ = decode_redriven(&body, count);
        let _ = decode_backfills(&body, count);
        let _ = decode_correlations(&body, count);
    }

    #[test]
    fn dead_letters_round_trip(
        letters in prop::collection::vec(
            (prop::option::of(origins()), "[A-Z]{0,5}", ".{0,9}", prop::collection::vec(any::<u8>(), 0..30), prop::option::of((any::<u32>(), any::<u64>()))),
            0..5,
        ),
        ids in prop::collection::vec(any::<u64>(), 0..5),
    ) {
        let letters: Vec<_> = letters
            .into_iter()
            .map(|(origin, code, reason, record, position)| DeadLetter {
                origin,
                code,
                reason,
                record,
                position: position.map(|(p, o)| Position::new(p, o)),
            })
            .collect();
        let mut out = Vec::new();
        encode_dead_letters(&letters, &mut out);
        prop_assert_eq!(decode_dead_letters(&out, letters.len() as u32).unwrap(), letters);
        let ids: Vec<_> = ids.into_iter().map(DeadLetterId).collect();
        let mut out = Vec::new();
        encode_redriven(&ids, &mut out);
        prop_assert_eq!(decode_redriven(&out, ids.len() as u32).unwrap(), ids);
    }

    #[test]
    fn backfills_round_trip(times in prop::collection::vec(any::<(i64, i64)>(), 0..5)) {
        let backfills: Vec<_> = times
            .into_iter()
            .filter(|(a, b)| a != b)
            .map(|(a, b)| Backfill { from: EventTime(a.min(b)), until: EventTime(a.max(b)) })
            .collect();
        let mut out = Vec::new();
        encode_backfills(&backfills, &mut out);
        prop_assert_eq!(decode_backfills(&out, backfills.len() as u32).unwrap(), backfills);
    }

    #[test]
    fn correlations_round_trip(correlations in prop::collection::vec((any::<u64>(), ".{0,9}"), 0..5)) {
        let correlations: Vec<_> = correlations
            .into_iter()
            .map(|(event, id)| Correlation { event, id })
            .collect();
        let mut out = Vec::new();
        encode_correlations(&correlations, &mut out);
        prop_assert_eq!(decode_correlations(&out, correlations.len() as u32).unwrap(), correlations);
    }
}

fn insert(row: Vec<Value>) -> Event {
    Event {
        operation: Operation::Insert,
        revision: 0,
        event_time: EventTime(1_700_000_000_000_000),
        known_at: None,
        origin: OWN_POSITION,
        row,
        before: None,
    }
}

/// The bytes of one more event with this value, after one with it.
fn bytes_of(value: Value) -> usize {
    let one = encoded(&[insert(vec![value.clone()])]).len();
    let two = encoded(&[insert(vec![value.clone()]), insert(vec![value])]).len();
    // Flags, time and the number of values take a byte each.
    two - one - 3
}

#[test]
fn small_things_are_small() {
    assert_eq!(bytes_of(Value::BigInt(-3)), 2);
    assert_eq!(bytes_of(Value::double(1_234.56)), 4);
    assert_eq!(bytes_of(Value::double(0.1 + 0.2)), 9);
    assert_eq!(bytes_of(Value::string("a-customer-of-ours")), 2);
    assert_eq!(bytes_of(Value::Timestamp(1_700_000_000_000_000)), 2);
    assert_eq!(
        bytes_of(Value::Array(vec![Value::float(1.5); 100].into())),
        402
    );
}

#[test]
fn more_texts_than_are_remembered_come_back() {
    let text = |n: usize| Value::string(format!("text-{n}"));
    let events: Vec<_> = (0..9_000).map(|n| insert(vec![text(n % 5_000)])).collect();
    let rows = decoded(encoded(&events), 9_000).unwrap();
    assert!(
        rows.iter()
            .enumerate()
            .all(|(n, e)| e.row[0] == text(n % 5_000))
    );
}

#[test]
fn nesting_has_a_limit_on_both_sides() {
    let nested = |depth| (0..depth).fold(Value::Null, |v, _| Value::Array([v].into()));
    let deepest = [insert(vec![nested(NESTING_MAX)])];
    assert_eq!(
        decoded(encoded(&deepest), 1).unwrap()[0].row,
        deepest[0].row
    );
    let error = encode_events(
        &[insert(vec![nested(NESTING_MAX + 1)])],
        Partition(7),
        0,
        &mut Vec::new(),
    );
    assert!(matches!(error, Err(LogError::NestedTooDeep { .. })));
    // Eight lists of one element more than a writer would have written.
    let mut body = encoded(&[insert(vec![nested(1)])]);
    let list: Vec<u8> = body[body.len() - 3..body.len() - 1].to_vec();
    let at = body.len() - 1;
    body.splice(at..at, list.repeat(NESTING_MAX));
    assert_eq!(decoded(body, 1), Err(Flaw::Nesting));
}

#[test]
fn a_count_larger_than_the_bytes_reserves_nothing() {
    let mut body = encoded(&[insert(Vec::new())]);
    body.pop();
    super::put_varint(u64::MAX, &mut body);
    let error = decoded(body, 1).unwrap_err();
    assert_eq!(error, Flaw::Truncated("a list in a frame's body"));
}

#[test]
fn bytes_left_over_are_an_error() {
    let mut body = encoded(&[insert(vec![Value::Null])]);
    body.push(0);
    assert!(matches!(
        decoded(body, 1),
        Err(Flaw::Trailing { count: 1, .. })
    ));
}
