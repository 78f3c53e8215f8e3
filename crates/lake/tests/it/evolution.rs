//! A table follows the schema of its source.

use std::sync::Arc;

use evenkeel_log::ReadOptions;
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{DataType, Field, Value};

use crate::support::{World, append, assert_same, both, event, events_of, stream, upgraded};

/// The source with another version of its stored columns.
fn evolved(source: &SourceDef, change: impl Fn(&mut Vec<Field>)) -> Arc<SourceDef> {
    let mut columns = source.schema.newest().to_vec();
    change(&mut columns);
    let mut source = source.clone();
    source.schema = source.schema.and(columns);
    Arc::new(source)
}

#[test]
fn columns_are_added_and_widened() {
    let mut world = World::new(stream("n INT, x FLOAT"));
    let log = world.log();
    let row = |n: i32, x: f32| vec![Value::Int(n), Value::float(x)];
    append(
        &log,
        0,
        1,
        vec![
            event("a", 1, row(i32::MIN, 0.1)),
            event("b", 2, row(7, 2.5)),
        ],
    );
    let first = world.flush(&log, 1).unwrap();
    let old = world.source.clone();

    // A column behind the others: no file is written again.
    let files = first.files().unwrap();
    world.source = evolved(&old, |columns| {
        columns.push(Field::new("word", DataType::String))
    });
    let wide = vec![Value::Int(3), Value::float(0.3), Value::string("w")];
    append(&log, 0, 2, vec![event("c", 3, wide)]);
    let second = world.flush(&log, 10).unwrap();
    assert_eq!(second.schema_version(), 2);
    assert!(second.files().unwrap().starts_with(&files));
    let all = |world: &World| upgraded(&world.source, events_of(&*log, ReadOptions::default()));
    assert_same(
        &events_of(&both(&log, &second), ReadOptions::default()),
        &all(&world),
    );

    // A wider type: files are written again, and hold the same.
    world.source = evolved(&world.source, |columns| {
        columns[2].data_type = DataType::BigInt;
        columns[3].data_type = DataType::Double;
    });
    let wide = vec![Value::BigInt(i64::MAX), Value::double(0.3), Value::Null];
    append(&log, 0, 3, vec![event("d", 4, wide)]);
    let third = world.flush(&log, 10).unwrap();
    assert_eq!(third.schema_version(), 3);
    assert!(
        third
            .files()
            .unwrap()
            .iter()
            .all(|file| !files.contains(file))
    );
    let cold = both(&log, &third);
    assert_same(&events_of(&cold, ReadOptions::default()), &all(&world));

    // Who knows the source as it was then reads the version of then.
    let then = third.at(first.version()).unwrap();
    assert_eq!(then.schema_version(), 1);
    assert_same(
        &events_of(&both(&log, &then), ReadOptions::default())[..2],
        &events_of(&*log, ReadOptions::default())[..2],
    );
    world.source = old;
    let error = world.flush(&log, 10).unwrap_err().to_string();
    assert!(error.contains("schema version 3"), "{error}");
}
