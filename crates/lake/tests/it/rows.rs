//! What comes back is what was logged, to the bit.

use evenkeel_log::{EventParts, ReadOptions};
use evenkeel_types::{
    DataType, ErrorReason, Event, EventTime, Field, Offset, Operation, Origin, Partition, Value,
};
use proptest::prelude::*;

use crate::support::{
    World, append, assert_same, both, by_column, event, events_of, known_at, stream, upgraded,
};

fn types() -> Vec<DataType> {
    let list = |t| DataType::Array(Box::new(t));
    let vector = |t, length| DataType::Vector {
        element: Box::new(t),
        length,
    };
    vec![
        DataType::Boolean,
        DataType::Int,
        DataType::BigInt,
        DataType::Float,
        DataType::Double,
        DataType::Decimal {
            precision: 38,
            scale: 10,
        },
        DataType::Decimal {
            precision: 5,
            scale: 0,
        },
        DataType::String,
        DataType::Bytes,
        DataType::Date,
        DataType::Timestamp,
        list(DataType::BigInt),
        list(DataType::Timestamp),
        vector(DataType::Float, 3),
        vector(DataType::Double, 2),
        list(DataType::Struct(vec![
            Field::new("value", DataType::String),
            Field::new("count", DataType::BigInt),
        ])),
    ]
}

fn columns() -> String {
    let types = types();
    let columns = types.iter().enumerate().map(|(i, t)| format!("c{i} {t}"));
    columns.collect::<Vec<_>>().join(", ")
}

/// Any value of a type, now and then one that no column of it should have.
fn value(data_type: &DataType) -> BoxedStrategy<Value> {
    prop_oneof![
        2 => Just(Value::Null),
        12 => present(data_type),
        1 => Just(Value::Error(ErrorReason::Overflow)),
        1 => Just(Value::string("of another type")),
    ]
    .boxed()
}

fn present(data_type: &DataType) -> BoxedStrategy<Value> {
    match data_type {
        DataType::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        DataType::Int => any::<i32>().prop_map(Value::Int).boxed(),
        DataType::BigInt => any::<i64>().prop_map(Value::BigInt).boxed(),
        DataType::Float => prop_oneof![any::<f32>(), Just(f32::NAN), Just(-0.0)]
            .prop_map(Value::float)
            .boxed(),
        DataType::Double => prop_oneof![any::<f64>(), Just(f64::NAN), Just(5e-324), Just(-0.0)]
            .prop_map(Value::double)
            .boxed(),
        // One digit too many at times.
        DataType::Decimal { precision, .. } => {
            let limit = 10i128.pow(u32::from(*precision)).saturating_mul(2);
            (-limit..limit).prop_map(Value::decimal).boxed()
        }
        DataType::String => "[a-b\u{0}\\\\é\u{1f600}]{0,5}"
            .prop_map(Value::string)
            .boxed(),
        DataType::Bytes => prop::collection::vec(any::<u8>(), 0..4)
            .prop_map(|bytes| Value::Bytes(bytes.into()))
            .boxed(),
        DataType::Date => any::<i32>().prop_map(Value::Date).boxed(),
        DataType::Timestamp => any::<i64>().prop_map(Value::Timestamp).boxed(),
        DataType::Array(element) => prop::collection::vec(value(element), 0..4)
            .prop_map(|values| Value::Array(values.into()))
            .boxed(),
        DataType::Vector { element, length } => {
            let length = *length as usize;
            prop::collection::vec(present(element), length - 1..=length)
                .prop_map(|values| Value::Array(values.into()))
                .boxed()
        }
        DataType::Struct(fields) => fields
            .iter()
            .map(|field| value(&field.data_type))
            .collect::<Vec<_>>()
            .prop_map(|values| Value::Struct(values.into()))
            .boxed(),
        DataType::Interval | DataType::Null => unreachable!("no column has this type"),
    }
}

fn origins() -> impl Strategy<Value = Origin> {
    let number = prop_oneof![0u64..9, any::<u64>()];
    prop_oneof![
        (any::<[u8; 16]>(), number.clone()).prop_map(|(digest, row)| Origin::File { digest, row }),
        ("[a-c]{0,2}", any::<u32>(), number.clone()).prop_map(|(topic, partition, offset)| {
            Origin::Kafka {
                topic,
                partition,
                offset,
            }
        }),
        ("[a-c]{0,2}", number).prop_map(|(id, sequence)| Origin::Producer { id, sequence }),
        Just(evenkeel_log::OWN_POSITION),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    let row = types().iter().map(value).collect::<Vec<_>>();
    let before = prop::option::weighted(0.1, row.clone());
    let time = prop_oneof![any::<i64>(), 0i64..1000];
    let card = prop_oneof![3 => "[a-d]", 1 => Just(String::new())];
    (
        card,
        time,
        row,
        before,
        origins(),
        0u8..5,
        any::<u32>(),
        any::<bool>(),
        0usize..20,
    )
        .prop_map(
            |(card, time, row, before, origin, operation, revision, known, width)| {
                let mut event = event(&card, time, row);
                // Rows of before a column was added are shorter.
                event.row.truncate(event.row.len().min(width.max(1)));
                event.before = before;
                event.origin = origin;
                event.operation = Operation::from_code(operation).unwrap();
                event.revision = if revision % 2 == 0 { 0 } else { revision };
                match known {
                    true => known_at(event, time.wrapping_add(7)),
                    false => event,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn events_come_back_bit_for_bit(
        batches in prop::collection::vec((0u32..3, prop::collection::vec(events(), 1..9)), 1..6),
        flushed in 0usize..6,
        file_events in 1usize..12,
        until in 0u64..30,
    ) {
        let world = World::new(stream(&columns()));
        let log = world.log();
        let mut table = None;
        for (number, (partition, events)) in batches.into_iter().enumerate() {
            append(&log, partition, 1, events);
            world.clock.advance(1_500);
            if number == flushed {
                table = Some(world.flush(&log, file_events).unwrap());
            }
        }
        let table = match table {
            Some(table) => table,
            None => world.flush(&log, file_events).unwrap(),
        };
        let cold = both(&log, &table);
        let all = upgraded(&world.source, events_of(&*log, ReadOptions::default()));
        assert_same(&events_of(&cold, ReadOptions::default()), &all);
        assert_same(&by_column(&cold, ReadOptions::default()).0, &all);
        // A cut, events after another, some times, some columns.
        let mut options = ReadOptions { until: Some(log.ends()), ..ReadOptions::default() };
        options.after.set_end(world.source.id, Partition(0), Offset(until / 3));
        options.until.as_mut().unwrap().set_end(world.source.id, Partition(1), Offset(until / 2));
        options.event_times = Some(EventTime(100)..=EventTime(700));
        assert_same(
            &events_of(&cold, options.clone()),
            &upgraded(&world.source, events_of(&*log, options.clone())),
        );
        assert_same(&by_column(&cold, options.clone()).0, &events_of(&cold, options.clone()));
        let wanted: Vec<bool> = (0..types().len() + 2).map(|slot| slot % 3 == 0).collect();
        let parts = EventParts { columns: wanted.clone(), origin: false };
        options.parts.insert(world.source.id, parts);
        let found = events_of(&cold, options.clone());
        assert_same(&by_column(&cold, options.clone()).0, &found);
        let expected = events_of(&*log, options);
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert_eq!(found.position, expected.position);
            prop_assert_eq!(found.visible_at(), expected.visible_at());
            for (slot, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
                let value = |e: &Event| e.row.get(slot).cloned().unwrap_or(Value::Null);
                prop_assert!(value(&found.event).same_bits(&value(&expected.event)));
            }
        }
        // A version stays what it is.
        let files = table.files().unwrap();
        let events: u64 = files.iter().map(|file| file.events).sum();
        let covered: u64 = table.covered(&log).unwrap().iter().map(|(_, _, end)| end.0).sum();
        prop_assert_eq!(events, covered);
    }
}

/// Rows that columns hold, of several partitions, logged in pieces of any size.
fn plain_events() -> impl Strategy<Value = Vec<Event>> {
    let origin = prop_oneof![
        3 => Just(None),
        2 => Just(Some(0u8)),
        1 => (1u8..3).prop_map(Some),
    ];
    let fields = (
        0i64..40,
        0i64..9,
        origin,
        prop::option::weighted(0.2, 0i64..99),
        0u8..20,
    );
    prop::collection::vec(fields, 1..40).prop_map(|events| {
        let numbered = (0u64..).zip(events);
        let made = |(number, (time, n, origin, known, mark)): (u64, (i64, i64, _, _, u8))| {
            let mut event = event(["a", "b", ""][n as usize % 3], time, vec![Value::BigInt(n)]);
            if let Some(digest) = origin {
                event.origin = Origin::File {
                    digest: [digest; 16],
                    row: number,
                };
            }
            if mark == 0 {
                event.operation = Operation::Remove;
                event.revision = 1;
            }
            match known {
                Some(known) => known_at(event, known),
                None => event,
            }
        };
        numbered.map(made).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_follows_each_other_comes_at_once(
        batches in prop::collection::vec((0u32..2, plain_events()), 1..6),
        alike in any::<bool>(),
        file_events in prop_oneof![3usize..20, Just(500)],
        until in 0u64..60,
    ) {
        let world = World::new(stream("n BIGINT"));
        let log = world.log();
        for (partition, mut events) in batches {
            if alike {
                // What statistics say of all rows of a file.
                for (number, event) in (0..).zip(&mut events) {
                    event.operation = Operation::Insert;
                    event.revision = 0;
                    event.known_at = None;
                    event.origin = Origin::File { digest: [7; 16], row: number };
                }
            }
            append(&log, if alike { 0 } else { partition }, 1, events);
            world.clock.advance(1_500);
        }
        let table = world.flush(&log, file_events).unwrap();
        let cold = both(&log, &table);
        let mut options = ReadOptions::default();
        for step in 0..3 {
            let (found, together) = by_column(&cold, options.clone());
            assert_same(&found, &events_of(&*log, options.clone()));
            if alike && step == 0 {
                // Few are left over at the ends of files.
                prop_assert!(found.len() - together <= 4 * found.len().div_ceil(file_events));
            }
            options.after.set_end(world.source.id, Partition(0), Offset(until / 4));
            options.until.get_or_insert_with(|| log.ends()).set_end(world.source.id, Partition(0), Offset(until));
            if step == 1 {
                options.event_times = Some(EventTime(10)..=EventTime(30));
            }
        }
    }
}
