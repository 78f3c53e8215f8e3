//! Files to read and columns to write.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use evenkeel_connect::{ColumnSpec, ConnectError, FileOptions, RowBatch, SourceFile};
use evenkeel_types::time::{DAY, TIME_MAX, TIME_MIN};
use evenkeel_types::{Column, DataType, Field, Value};
use proptest::prelude::*;
use tempfile::TempDir;

pub(crate) struct Directory(TempDir);

impl Directory {
    pub(crate) fn new() -> Self {
        Directory(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, packed if its name says so.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        let bytes = bytes.as_ref();
        let packed = if name.ends_with(".gz") {
            gzip(bytes)
        } else if name.ends_with(".zst") {
            zstd::stream::encode_all(bytes, 3).unwrap()
        } else {
            bytes.to_vec()
        };
        fs::write(&path, packed).unwrap();
        path
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Reads all batches of a file; an error at the end keeps what came before it.
pub(crate) fn read(
    path: &Path,
    specs: &[ColumnSpec],
    options: &FileOptions,
) -> (Vec<RowBatch>, Option<ConnectError>) {
    let mut batches = Vec::new();
    let reader = match SourceFile::open(path, options).and_then(|f| f.read(specs, options)) {
        Ok(reader) => reader,
        Err(e) => return (batches, Some(e)),
    };
    for batch in reader {
        match batch {
            Ok(batch) => batches.push(batch),
            Err(e) => return (batches, Some(e)),
        }
    }
    (batches, None)
}

/// The accepted rows of a file, as values.
pub(crate) fn rows(path: &Path, specs: &[ColumnSpec], options: &FileOptions) -> Vec<Vec<Value>> {
    let (batches, error) = read(path, specs, options);
    if let Some(e) = error {
        panic!("{e}");
    }
    accepted(&batches)
}

pub(crate) fn accepted(batches: &[RowBatch]) -> Vec<Vec<Value>> {
    batches
        .iter()
        .flat_map(|b| {
            (0..b.rows.len()).map(|i| b.columns.iter().map(|c| c.get(i)).collect::<Vec<_>>())
        })
        .collect()
}

/// Rows are in order, and each is accepted or rejected, never both.
pub(crate) fn check_numbering(batches: &[RowBatch]) -> u64 {
    let mut next = 0;
    for batch in batches {
        assert!(batch.columns.iter().all(|c| c.len() == batch.rows.len()));
        let mut numbers: Vec<u64> = batch.rows.clone();
        numbers.extend(batch.rejected.iter().map(|r| r.row));
        numbers.sort_unstable();
        for number in numbers {
            assert_eq!(number, next);
            next += 1;
        }
    }
    next
}

pub(crate) fn rejected(batches: &[RowBatch]) -> Vec<(u64, Option<String>, String)> {
    batches
        .iter()
        .flat_map(|b| &b.rejected)
        .map(|r| (r.row, r.column.clone(), r.reason.to_string()))
        .collect()
}

/// The chain of an error as one text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Every type that a column can have.
pub(crate) fn types() -> Vec<DataType> {
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
        list(DataType::String),
        list(DataType::Double),
        list(DataType::Timestamp),
        vector(DataType::Float, 3),
        vector(DataType::Double, 2),
        list(DataType::Struct(vec![
            Field::new("value", DataType::String),
            Field::new("count", DataType::BigInt),
        ])),
    ]
}

/// Any value of a type, NULL now and then.
pub(crate) fn any_value(data_type: &DataType) -> BoxedStrategy<Value> {
    let present = present_value(data_type);
    prop_oneof![1 => Just(Value::Null), 6 => present].boxed()
}

fn present_value(data_type: &DataType) -> BoxedStrategy<Value> {
    let doubles = prop_oneof![
        any::<f64>(),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-0.0),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        Just(5e-324),
        (-1000i32..1000).prop_map(f64::from),
    ];
    match data_type {
        DataType::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        DataType::Int => prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX)]
            .prop_map(Value::from)
            .boxed(),
        DataType::BigInt => prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)]
            .prop_map(Value::from)
            .boxed(),
        DataType::Float => {
            prop_oneof![any::<f32>(), Just(f32::NAN), Just(f32::INFINITY), Just(0.1)]
                .prop_map(Value::float)
                .boxed()
        }
        DataType::Double => doubles.prop_map(Value::double).boxed(),
        DataType::Decimal { precision, .. } => {
            let limit = 10i128.pow(u32::from(*precision));
            (1 - limit..limit).prop_map(Value::decimal).boxed()
        }
        DataType::String => "[a-c,;\"'\\\\\n\r\t é\u{1f600}0NnulLa]{0,6}"
            .prop_map(Value::string)
            .boxed(),
        DataType::Bytes => prop::collection::vec(any::<u8>(), 0..5)
            .prop_map(|b| Value::Bytes(b.into()))
            .boxed(),
        DataType::Date => (TIME_MIN / DAY..=TIME_MAX / DAY)
            .prop_map(|d| Value::Date(i32::try_from(d).unwrap()))
            .boxed(),
        DataType::Timestamp => prop_oneof![
            TIME_MIN..=TIME_MAX,
            Just(TIME_MIN),
            Just(TIME_MAX),
            Just(0),
            Just(-1)
        ]
        .prop_map(Value::Timestamp)
        .boxed(),
        DataType::Array(element) => prop::collection::vec(any_value(element), 0..4)
            .prop_map(|v| Value::Array(v.into()))
            .boxed(),
        DataType::Vector { element, length } => {
            let length = usize::try_from(*length).unwrap();
            prop::collection::vec(present_value(element), length..=length)
                .prop_map(|v| Value::Array(v.into()))
                .boxed()
        }
        DataType::Struct(fields) => fields
            .iter()
            .map(|f| any_value(&f.data_type))
            .collect::<Vec<_>>()
            .prop_map(|v| Value::Struct(v.into()))
            .boxed(),
        DataType::Interval | DataType::Null => panic!("no column has this type"),
    }
}

/// A column of every type, all of one length.
pub(crate) fn any_columns(
    length: impl Strategy<Value = usize> + 'static,
) -> BoxedStrategy<Vec<(Field, Column)>> {
    length
        .prop_flat_map(|length| {
            types()
                .into_iter()
                .enumerate()
                .map(|(i, data_type)| {
                    prop::collection::vec(any_value(&data_type), length..=length).prop_map(
                        move |values| {
                            (
                                Field::new(format!("c{i}"), data_type.clone()),
                                Column::from_values(&data_type, &values),
                            )
                        },
                    )
                })
                .collect::<Vec<_>>()
        })
        .boxed()
}

pub(crate) fn column(data_type: &DataType, values: &[Value]) -> Column {
    Column::from_values(data_type, values)
}

pub(crate) fn values(column: &Column) -> Vec<Value> {
    column.iter().collect()
}
