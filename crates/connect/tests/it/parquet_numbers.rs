//! Columns of numbers in Parquet files, which are encoded here, beside what the library makes of them.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use evenkeel_connect::{Table, TableType};
use evenkeel_types::Value;
use evenkeel_types::codec::encode_values;
use evenkeel_types::time::{TIME_MAX, TIME_MIN};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use crate::samples::Directory;

/// Rows of a row group, and of a page.
const GROUP: usize = 1 << 17;
const PAGE: usize = 1 << 16;

/// The columns of some rows: numbers of all kinds, with NULLs and without, and texts between.
fn batch(numbers: &[Option<i64>], doubles: &[Option<f64>]) -> RecordBatch {
    let present: Vec<i64> = numbers.iter().map(|x| x.unwrap_or(-1)).collect();
    let narrow = || numbers.iter().map(|x| x.map(|x| x as i32));
    let time = TimestampMicrosecondArray::from(numbers.to_vec()).with_timezone("UTC");
    let texts = numbers
        .iter()
        .map(|x| x.map(|x| x.rem_euclid(7).to_string()));
    let columns: [(&str, ArrayRef, bool); 8] = [
        ("wide", Arc::new(Int64Array::from(numbers.to_vec())), true),
        ("text", Arc::new(StringArray::from_iter(texts)), true),
        ("narrow", Arc::new(Int32Array::from_iter(narrow())), true),
        ("date", Arc::new(Date32Array::from_iter(narrow())), true),
        ("time", Arc::new(time), true),
        (
            "double",
            Arc::new(Float64Array::from(doubles.to_vec())),
            true,
        ),
        ("present", Arc::new(Int64Array::from(present)), false),
        (
            "number",
            Arc::new(Float64Array::from_iter_values(
                doubles.iter().map(|x| x.unwrap_or(-0.0)),
            )),
            false,
        ),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array, nullable)| Field::new(*name, array.data_type().clone(), *nullable))
        .collect();
    let arrays = columns.into_iter().map(|(_, array, _)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// Each column's values as bits.
fn bits(path: &Path) -> Vec<Vec<Option<u64>>> {
    let file = File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let mut columns = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        columns.resize(batch.num_columns(), Vec::new());
        for (column, array) in columns.iter_mut().zip(batch.columns()) {
            let value = |slot: usize| match array.data_type() {
                DataType::Int32 => array.as_primitive::<Int32Type>().value(slot) as u64,
                DataType::Int64 => array.as_primitive::<Int64Type>().value(slot) as u64,
                DataType::Float64 => array.as_primitive::<Float64Type>().value(slot).to_bits(),
                DataType::Utf8 => array.as_string::<i32>().value(slot).parse().unwrap(),
                DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, _) => {
                    let data = array.to_data();
                    let at = data.offset() + slot;
                    match array.data_type() {
                        DataType::Date32 => data.buffers()[0].typed_data::<i32>()[at] as u64,
                        _ => data.buffers()[0].typed_data::<i64>()[at] as u64,
                    }
                }
                other => panic!("a column of {other}"),
            };
            column.extend((0..array.len()).map(|slot| array.is_valid(slot).then(|| value(slot))));
        }
    }
    columns
}

fn metadata(path: &Path) -> Arc<ParquetMetaData> {
    let file = File::open(path).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    Arc::clone(reader.metadata())
}

/// What the library writes, read as a table and written by it, has the same values and says the same
/// of them.
fn come_back(batch: &RecordBatch) {
    let directory = Directory::new();
    let (theirs, ours) = (
        directory.path("theirs.parquet"),
        directory.path("ours.parquet"),
    );
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(GROUP))
        .build();
    let file = File::create(&theirs).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    Table::read(&theirs).unwrap().write(&ours).unwrap();
    assert_eq!(bits(&theirs), bits(&ours));
    let (theirs, ours) = (metadata(&theirs), metadata(&ours));
    assert_eq!(theirs.num_row_groups(), ours.num_row_groups());
    for (theirs, ours) in theirs.row_groups().iter().zip(ours.row_groups()) {
        assert_eq!(theirs.num_rows(), ours.num_rows());
        for (theirs, ours) in theirs.columns().iter().zip(ours.columns()) {
            assert_eq!(theirs.column_descr(), ours.column_descr());
            assert_eq!(theirs.num_values(), ours.num_values());
            assert_eq!(
                theirs.statistics(),
                ours.statistics(),
                "{}",
                ours.column_path()
            );
        }
    }
}

fn double() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        2 => any::<f64>(),
        2 => (-500i32..500).prop_map(|cents| f64::from(cents) / 100.0),
        1 => prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn numbers_come_back(
        rows in prop_oneof![
            prop::collection::vec((any::<Option<i64>>(), prop::option::of(double())), 0..600),
            prop::collection::vec(
                ((0i64..3).prop_map(Some), double().prop_map(Some)), 0..600),
            prop::collection::vec((prop::option::of(-1_000i64..1_000), Just(None)), 0..300),
        ],
    ) {
        let (numbers, doubles): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        come_back(&batch(&numbers, &doubles));
    }
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
        rows in prop::collection::vec((TIME_MIN..=TIME_MAX, double()), 0..300),
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

#[test]
fn pages_and_row_groups_come_back() {
    for rows in [PAGE, PAGE + 1, GROUP, GROUP + 255] {
        // Some pages have NULLs, others none; what is large spreads over pages.
        let number = |row: usize| {
            let is_null = row / PAGE == 1 && row.is_multiple_of(3);
            (!is_null).then_some((row as i64).pow(3) % 1_000_003)
        };
        let numbers: Vec<_> = (0..rows).map(number).collect();
        let doubles: Vec<_> = numbers.iter().map(|x| x.map(|x| x as f64 / 7.0)).collect();
        come_back(&batch(&numbers, &doubles));
    }
}

#[test]
fn what_does_not_shrink_is_not_compressed() {
    let rows = 0..10_000i64;
    let numbers: Vec<_> = rows.clone().map(|row| Some(row * row % 8)).collect();
    let doubles: Vec<_> = rows.map(|row| Some((row as f64).sqrt())).collect();
    let directory = Directory::new();
    let (path, again) = (directory.path("x.parquet"), directory.path("again.parquet"));
    let file = File::create(&path).unwrap();
    let batch = batch(&numbers, &doubles);
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    Table::read(&path).unwrap().write(&again).unwrap();
    let metadata = metadata(&again);
    let of = |name: &str| {
        let mut columns = metadata.row_group(0).columns().iter();
        columns.find(|c| c.column_path().string() == name).unwrap()
    };
    assert_eq!(of("double").compression(), Compression::UNCOMPRESSED);
    assert!(matches!(of("wide").compression(), Compression::ZSTD(_)));
    assert!(of("wide").compressed_size() < 1_000);
}
