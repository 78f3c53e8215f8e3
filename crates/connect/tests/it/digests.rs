//! The digest of a table is that of its values, however its columns stand in memory.

use std::fs::File;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use evenkeel_connect::{Table, TableType};
use evenkeel_types::Value;
use evenkeel_types::codec::encode_values;
use evenkeel_types::time::{TIME_MAX, TIME_MIN};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use crate::samples::Directory;

fn double() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        2 => any::<f64>(),
        2 => (-500i32..500).prop_map(|cents| f64::from(cents) / 100.0),
        1 => prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ]
}

/// A digest by its definition, value by value.
fn digest(table: &Table) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let named = |name: &str, hasher: &mut blake3::Hasher| {
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
    };
    hasher.update(b"evenkeel table 1");
    hasher.update(&(table.fields().len() as u64).to_le_bytes());
    hasher.update(&(table.len() as u64).to_le_bytes());
    for (name, data_type) in table.fields() {
        named(name, &mut hasher);
        let TableType::Known(data_type) = data_type else {
            panic!("{name} has no type");
        };
        named(&data_type.to_string(), &mut hasher);
        let values: Vec<Value> = table.column(name).unwrap().iter().collect();
        hasher.update(blake3::hash(&encode_values(&values)).as_bytes());
    }
    *hasher.finalize().as_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn digests_are_of_the_values(
        rows in prop_oneof![
            4 => prop::collection::vec((TIME_MIN..=TIME_MAX, double()), 0..300),
            // More than a piece.
            1 => prop::collection::vec((TIME_MIN..=TIME_MAX, double()), 4_090..4_110),
        ],
        some in any::<bool>(),
    ) {
        let times: Vec<i64> = rows.iter().map(|(time, _)| *time).collect();
        let doubles: Vec<Option<f64>> = rows.iter().map(|(time, x)| (!some || time % 3 != 0).then_some(*x)).collect();
        let arrays: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(Int64Array::from(times.clone()))),
            ("t", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))),
            ("x", Arc::new(Float64Array::from(doubles))),
        ];
        let directory = Directory::new();
        let path = directory.path("x.parquet");
        let batch = RecordBatch::try_from_iter(arrays).unwrap();
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let table = Table::read(&path).unwrap();
        prop_assert_eq!(table.digest().unwrap(), digest(&table));
    }
}
