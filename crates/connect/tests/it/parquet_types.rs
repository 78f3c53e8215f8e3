//! Every arrow type of a Parquet file against the declared types: read exactly, checked value
//! by value, or refused with the reason.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder, StringBuilder, StructBuilder};
use arrow_array::types::{Float32Type, Float64Type, Int8Type, Int32Type};
use arrow_array::{
    ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Date64Array,
    Decimal128Array, DictionaryArray, DurationSecondArray, FixedSizeBinaryArray,
    FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array,
    LargeListArray, LargeStringArray, ListArray, NullArray, RecordBatch, StringArray,
    StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, TimestampSecondArray, UInt8Array, UInt32Array, UInt64Array,
};
use evenkeel_connect::{ColumnSpec, ConnectError, FileOptions, TimeUnit};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{DataType, Field, Value, Zone};
use parquet::arrow::ArrowWriter;

use crate::samples::{Directory, accepted, check_numbering, read};

fn write(directory: &Directory, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
    let path = directory.path("x.parquet");
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

/// What each row of a one-column file is as a type: its value or why it is rejected; or why
/// the file is refused.
fn read_as(
    array: ArrayRef,
    data_type: DataType,
    options: &FileOptions,
) -> Result<Vec<Result<Value, String>>, String> {
    let directory = Directory::new();
    let path = write(&directory, vec![("v", array)]);
    let (batches, error) = read(&path, &[ColumnSpec::new("v", data_type)], options);
    match error {
        None => {}
        Some(ConnectError::ColumnType { found, reason, .. }) => {
            return Err(format!("{found}: {reason}"));
        }
        Some(other) => panic!("{other}"),
    }
    let total = usize::try_from(check_numbering(&batches)).unwrap();
    let mut rows = vec![Ok(Value::Null); total];
    for batch in &batches {
        for (i, row) in batch.rows.iter().enumerate() {
            rows[usize::try_from(*row).unwrap()] = Ok(batch.columns[0].get(i));
        }
        for r in &batch.rejected {
            rows[usize::try_from(r.row).unwrap()] = Err(r.reason.to_string());
        }
    }
    Ok(rows)
}

fn plain(
    array: impl arrow_array::Array + 'static,
    data_type: DataType,
) -> Result<Vec<Result<Value, String>>, String> {
    read_as(Arc::new(array), data_type, &FileOptions::default())
}

fn all(values: Vec<Value>) -> Result<Vec<Result<Value, String>>, String> {
    Ok(values.into_iter().map(Ok).collect())
}

fn reject(text: &str) -> Result<Value, String> {
    Err(text.to_owned())
}

#[test]
fn integers() {
    let big = |x: i64| Value::from(x);
    assert_eq!(
        plain(Int8Array::from(vec![-1]), DataType::BigInt),
        all(vec![big(-1)])
    );
    assert_eq!(
        plain(UInt8Array::from(vec![255]), DataType::Int),
        all(vec![Value::from(255)])
    );
    assert_eq!(
        plain(Int32Array::from(vec![Some(7), None]), DataType::BigInt),
        all(vec![big(7), Value::Null])
    );
    assert_eq!(
        plain(UInt32Array::from(vec![u32::MAX]), DataType::BigInt),
        all(vec![big(4_294_967_295)])
    );
    assert_eq!(
        plain(Int64Array::from(vec![1, 2_147_483_648]), DataType::Int),
        Ok(vec![
            Ok(Value::from(1)),
            reject("`2147483648` is outside the range of INT")
        ])
    );
    assert_eq!(
        plain(UInt64Array::from(vec![1, u64::MAX]), DataType::BigInt),
        Ok(vec![
            Ok(big(1)),
            reject("`18446744073709551615` is outside the range of BIGINT")
        ])
    );
    // Doubles that are whole: real data has hours as doubles.
    assert_eq!(
        plain(
            Float64Array::from(vec![
                Some(3.0),
                Some(3.5),
                Some(f64::NAN),
                Some(1e300),
                None
            ]),
            DataType::Int
        ),
        Ok(vec![
            Ok(Value::from(3)),
            reject("`3.5` has a fraction or an exponent, INT is a whole number"),
            reject("`NaN` has a fraction or an exponent, INT is a whole number"),
            reject("`170141183460469231731687303715884105727` is outside the range of INT"),
            Ok(Value::Null),
        ])
    );
    let decimal = Decimal128Array::from(vec![5])
        .with_precision_and_scale(10, 0)
        .unwrap();
    assert_eq!(plain(decimal, DataType::BigInt), all(vec![big(5)]));
    let decimal = Decimal128Array::from(vec![500])
        .with_precision_and_scale(10, 2)
        .unwrap();
    assert_eq!(
        plain(decimal, DataType::BigInt),
        Err("Decimal128(10, 2): declare it as DECIMAL(10, 2)".into())
    );
    assert_eq!(
        plain(StringArray::from(vec!["1"]), DataType::Int),
        Err("Utf8: declare it as STRING".into())
    );
    assert_eq!(
        plain(BooleanArray::from(vec![true]), DataType::Int),
        Err("Boolean: declare it as BOOLEAN".into())
    );
}

#[test]
fn floats() {
    assert_eq!(
        plain(Float32Array::from(vec![0.5, -0.0]), DataType::Double),
        all(vec![Value::double(0.5), Value::double(0.0)])
    );
    assert_eq!(
        plain(Float32Array::from(vec![0.1]), DataType::Float),
        all(vec![Value::float(0.1)])
    );
    assert_eq!(
        plain(Int32Array::from(vec![i32::MIN]), DataType::Double),
        all(vec![Value::double(-2_147_483_648.0)])
    );
    assert_eq!(
        plain(
            Int64Array::from(vec![9_007_199_254_740_992, 9_007_199_254_740_993]),
            DataType::Double
        ),
        Ok(vec![
            Ok(Value::double(9_007_199_254_740_992.0)),
            reject("`9007199254740993` is not exactly DOUBLE"),
        ])
    );
    assert_eq!(
        plain(Int32Array::from(vec![16_777_217]), DataType::Float),
        Ok(vec![reject("`16777217` is not exactly FLOAT")])
    );
    assert_eq!(
        plain(Float64Array::from(vec![0.5]), DataType::Float),
        Err("Float64: declare it as DOUBLE".into())
    );
    let decimal = Decimal128Array::from(vec![5])
        .with_precision_and_scale(10, 2)
        .unwrap();
    assert_eq!(
        plain(decimal, DataType::Double),
        Err("Decimal128(10, 2): declare it as DECIMAL(10, 2)".into())
    );
    // A NaN of any payload is the one NaN.
    let payload = f64::from_bits(0xfff8_0000_0000_1234);
    assert_eq!(
        plain(Float64Array::from(vec![payload]), DataType::Double),
        all(vec![Value::double(f64::NAN)])
    );
}

#[test]
fn decimals() {
    let target = DataType::Decimal {
        precision: 5,
        scale: 2,
    };
    let decimal = |unscaled: Vec<i128>, precision, scale| {
        Decimal128Array::from(unscaled)
            .with_precision_and_scale(precision, scale)
            .unwrap()
    };
    assert_eq!(
        plain(decimal(vec![12_345], 5, 2), target.clone()),
        all(vec![Value::decimal(12_345)])
    );
    assert_eq!(
        plain(
            decimal(vec![12_300, 12_345, 1_234_500_000], 38, 4),
            target.clone()
        ),
        Ok(vec![
            Ok(Value::decimal(123)),
            reject("`1.2345` is not exactly DECIMAL(5, 2)"),
            reject("`123450.0000` is outside the range of DECIMAL(5, 2)"),
        ])
    );
    assert_eq!(
        plain(Int64Array::from(vec![999, 1_000]), target.clone()),
        Ok(vec![
            Ok(Value::decimal(99_900)),
            reject("`1000` is outside the range of DECIMAL(5, 2)")
        ])
    );
    assert_eq!(
        plain(Float64Array::from(vec![1.0]), target),
        Err("Float64: declare it as DOUBLE".into())
    );
}

#[test]
fn texts_and_bytes() {
    let expected = || all(vec![Value::from("a"), Value::Null, Value::from("")]);
    let texts = vec![Some("a"), None, Some("")];
    assert_eq!(
        plain(StringArray::from(texts.clone()), DataType::String),
        expected()
    );
    assert_eq!(
        plain(LargeStringArray::from(texts.clone()), DataType::String),
        expected()
    );
    assert_eq!(
        plain(StringViewArray::from(texts.clone()), DataType::String),
        expected()
    );
    let dictionary: DictionaryArray<Int8Type> = texts.iter().copied().collect();
    assert_eq!(plain(dictionary, DataType::String), expected());
    let bytes = |b: &[u8]| Value::Bytes(b.into());
    let raw: Vec<Option<&[u8]>> = vec![Some(b"a"), Some(b"\xff")];
    assert_eq!(
        plain(BinaryArray::from(raw.clone()), DataType::Bytes),
        all(vec![bytes(b"a"), bytes(b"\xff")])
    );
    assert_eq!(
        plain(BinaryViewArray::from(raw.clone()), DataType::Bytes),
        all(vec![bytes(b"a"), bytes(b"\xff")])
    );
    // Old writers do not mark text as text.
    assert_eq!(
        plain(BinaryArray::from(raw), DataType::String),
        Ok(vec![Ok(Value::from("a")), reject("the text is not UTF-8")])
    );
    let fixed = FixedSizeBinaryArray::try_from_iter([[1u8, 2], [3, 4]].iter()).unwrap();
    assert_eq!(
        plain(fixed, DataType::Bytes),
        all(vec![bytes(&[1, 2]), bytes(&[3, 4])])
    );
    assert_eq!(
        plain(StringArray::from(texts), DataType::Bytes),
        Err("Utf8: declare it as STRING".into())
    );
    assert_eq!(
        plain(NullArray::new(2), DataType::String),
        all(vec![Value::Null, Value::Null])
    );
    assert_eq!(
        plain(Time64MicrosecondArray::from(vec![1]), DataType::BigInt),
        Err("Time64(µs): no type holds such values".into())
    );
    assert_eq!(
        plain(DurationSecondArray::from(vec![1]), DataType::BigInt),
        // Parquet has no durations: they are integers in the file.
        Err("Duration(s): no type holds such values".into())
    );
}

#[test]
fn dates() {
    assert_eq!(
        plain(Date32Array::from(vec![0, -1]), DataType::Date),
        all(vec![Value::Date(0), Value::Date(-1)])
    );
    assert_eq!(
        plain(Date32Array::from(vec![i32::MAX]), DataType::Date),
        Ok(vec![reject(
            "`2147483647 days since 1970` is outside the range of DATE"
        )])
    );
    assert_eq!(
        plain(Date64Array::from(vec![86_400_000]), DataType::Date),
        all(vec![Value::Date(1)])
    );
    assert_eq!(
        plain(StringArray::from(vec!["2014-01-01", "x"]), DataType::Date).map(|mut rows| {
            assert!(rows.pop().unwrap().is_err());
            rows
        }),
        all(vec![Value::Date(16_071)])
    );
    assert_eq!(
        plain(TimestampSecondArray::from(vec![0]), DataType::Date),
        Err("Timestamp(s): declare it as TIMESTAMP".into())
    );
}

#[test]
fn timestamps_of_every_unit() {
    let t = |us: i64| Value::Timestamp(us);
    let stamp = DataType::Timestamp;
    assert_eq!(
        plain(TimestampSecondArray::from(vec![1]), stamp.clone()),
        all(vec![t(1_000_000)])
    );
    assert_eq!(
        plain(TimestampMillisecondArray::from(vec![-1]), stamp.clone()),
        all(vec![t(-1_000)])
    );
    assert_eq!(
        plain(TimestampMicrosecondArray::from(vec![5]), stamp.clone()),
        all(vec![t(5)])
    );
    assert_eq!(
        plain(
            TimestampNanosecondArray::from(vec![-1_000, 1_001]),
            stamp.clone()
        ),
        Ok(vec![
            Ok(t(-1)),
            reject("1001 ns since 1970 is finer than a microsecond")
        ])
    );
    assert_eq!(
        plain(
            TimestampMicrosecondArray::from(vec![i64::MAX]),
            stamp.clone()
        ),
        Ok(vec![reject(
            "`9223372036854775807` is outside the range of TIMESTAMP"
        )])
    );
    assert_eq!(
        plain(Date32Array::from(vec![1]), stamp.clone()),
        all(vec![t(86_400_000_000)])
    );
    assert_eq!(
        plain(
            StringArray::from(vec!["1970-01-01T00:00:00.000005Z"]),
            stamp
        ),
        all(vec![t(5)])
    );
}

#[test]
fn naive_timestamps_are_local_to_the_zone() {
    let instant = |text: &str| parse_timestamp(text, &Zone::utc()).unwrap();
    let options = FileOptions {
        zone: Zone::named("America/Los_Angeles").unwrap(),
        ..FileOptions::default()
    };
    let local = [
        instant("2014-07-01T12:00:00Z"),
        // Twice there: the earlier.
        instant("2014-11-02T01:00:00Z"),
        // Never there.
        instant("2014-03-09T02:30:00Z"),
    ];
    let naive = TimestampMicrosecondArray::from(local.to_vec());
    let expected = vec![
        Ok(Value::Timestamp(instant("2014-07-01T19:00:00Z"))),
        Ok(Value::Timestamp(instant("2014-11-02T08:00:00Z"))),
        reject(
            "`2014-03-09T02:30:00` does not exist in America/Los_Angeles: the clock was put forward over it",
        ),
    ];
    assert_eq!(
        read_as(Arc::new(naive), DataType::Timestamp, &options),
        Ok(expected)
    );
    // With a zone of its own it is an instant, whatever the zone.
    let aware = TimestampMicrosecondArray::from(local.to_vec()).with_timezone("Europe/Berlin");
    assert_eq!(
        read_as(Arc::new(aware), DataType::Timestamp, &options),
        all(local.iter().map(|t| Value::Timestamp(*t)).collect())
    );
    // A date is its local midnight.
    assert_eq!(
        read_as(
            Arc::new(Date32Array::from(vec![16_071])),
            DataType::Timestamp,
            &options
        ),
        all(vec![Value::Timestamp(instant("2014-01-01T08:00:00Z"))])
    );
}

#[test]
fn numbers_are_times_only_with_a_unit() {
    let seconds = FileOptions {
        time_unit: Some(TimeUnit::Seconds),
        ..FileOptions::default()
    };
    let doubles = Float64Array::from(vec![Some(1_388_563_200.0), Some(0.5), None]);
    assert_eq!(
        plain(doubles.clone(), DataType::Timestamp),
        Err("Float64: say what the numbers count with time_unit = 's', 'ms' or 'us'".into())
    );
    assert_eq!(
        read_as(Arc::new(doubles), DataType::Timestamp, &seconds),
        Ok(vec![
            Ok(Value::Timestamp(1_388_563_200_000_000)),
            reject("`0.5` has a fraction or an exponent, TIMESTAMP is a whole number"),
            Ok(Value::Null),
        ])
    );
    assert_eq!(
        read_as(
            Arc::new(Int64Array::from(vec![1, i64::MAX])),
            DataType::Timestamp,
            &seconds
        ),
        Ok(vec![
            Ok(Value::Timestamp(1_000_000)),
            reject("`9223372036854775807` is outside the range of TIMESTAMP"),
        ])
    );
}

#[test]
fn lists_and_vectors() {
    let list_of = |t| DataType::Array(Box::new(t));
    let vector = |t, length| DataType::Vector {
        element: Box::new(t),
        length,
    };
    let lists = || {
        ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ])
    };
    let bigs = |v: &[Option<i64>]| {
        Value::Array(
            v.iter()
                .map(|x| x.map_or(Value::Null, Value::from))
                .collect(),
        )
    };
    assert_eq!(
        plain(lists(), list_of(DataType::BigInt)),
        all(vec![bigs(&[Some(1), None]), Value::Null, bigs(&[])])
    );
    let large = LargeListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)])]);
    assert_eq!(
        plain(large, list_of(DataType::BigInt)),
        all(vec![bigs(&[Some(1)])])
    );
    assert_eq!(
        plain(lists(), list_of(DataType::String)),
        Err("List(Int32): of its elements, declare it as INT".into())
    );
    // One wrong element rejects its row alone.
    let wide = ListArray::from_iter_primitive::<Float64Type, _, _>(vec![
        Some(vec![Some(1.0)]),
        Some(vec![Some(2.0), Some(0.5)]),
        Some(vec![Some(3.0)]),
    ]);
    assert_eq!(
        plain(wide, list_of(DataType::BigInt)),
        Ok(vec![
            Ok(bigs(&[Some(1)])),
            reject("`0.5` has a fraction or an exponent, BIGINT is a whole number"),
            Ok(bigs(&[Some(3)])),
        ])
    );
    let embeddings = || {
        FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
            vec![
                Some(vec![Some(0.5), Some(1.5)]),
                None,
                Some(vec![Some(2.5), None]),
            ],
            2,
        )
    };
    let doubles = |v: &[f64]| Value::Array(v.iter().map(|x| Value::double(*x)).collect());
    assert_eq!(
        plain(embeddings(), vector(DataType::Double, 2)),
        Ok(vec![
            Ok(doubles(&[0.5, 1.5])),
            Ok(Value::Null),
            reject("element 1 of the vector is missing"),
        ])
    );
    assert_eq!(
        plain(embeddings(), vector(DataType::Float, 3)),
        Err("FixedSizeList(2 x Float32): its vectors have 2 elements".into())
    );
    let ragged = ListArray::from_iter_primitive::<Float64Type, _, _>(vec![
        Some(vec![Some(0.5), Some(1.5)]),
        Some(vec![Some(0.5)]),
    ]);
    assert_eq!(
        plain(ragged, vector(DataType::Double, 2)),
        Ok(vec![
            Ok(doubles(&[0.5, 1.5])),
            reject("a vector of 1 elements is not DOUBLE[2]")
        ])
    );
}

#[test]
fn lists_of_structs() {
    let fields = vec![
        arrow_schema::Field::new("value", arrow_schema::DataType::Utf8, true),
        arrow_schema::Field::new("count", arrow_schema::DataType::Int64, true),
    ];
    let mut builder = ListBuilder::new(StructBuilder::from_fields(fields, 2));
    for (value, count) in [("a", 2), ("b", 1)] {
        let entry = builder.values();
        entry
            .field_builder::<StringBuilder>(0)
            .unwrap()
            .append_value(value);
        entry
            .field_builder::<Int64Builder>(1)
            .unwrap()
            .append_value(count);
        entry.append(true);
    }
    builder.append(true);
    let array: ArrayRef = Arc::new(builder.finish());
    let top = |fields: &[(&str, DataType)]| {
        DataType::Array(Box::new(DataType::Struct(
            fields
                .iter()
                .map(|(n, t)| Field::new(*n, t.clone()))
                .collect(),
        )))
    };
    let options = FileOptions::default();
    // By name, whatever the order.
    let swapped = top(&[("count", DataType::BigInt), ("value", DataType::String)]);
    let pair =
        |count: i64, value: &str| Value::Struct([Value::from(count), Value::from(value)].into());
    assert_eq!(
        read_as(Arc::clone(&array), swapped, &options),
        all(vec![Value::Array([pair(2, "a"), pair(1, "b")].into())])
    );
    let fewer = top(&[("value", DataType::String)]);
    assert!(
        read_as(Arc::clone(&array), fewer, &options)
            .unwrap_err()
            .ends_with("its field `count` is not declared")
    );
    let more = top(&[
        ("value", DataType::String),
        ("count", DataType::BigInt),
        ("x", DataType::Int),
    ]);
    assert!(
        read_as(array, more, &options)
            .unwrap_err()
            .ends_with("it has no field `x`")
    );
}

#[test]
fn a_wrong_dictionary_value_rejects_the_rows_that_use_it() {
    let dictionary: DictionaryArray<Int8Type> =
        vec![Some("2014-01-01"), Some("never"), None, Some("never")]
            .into_iter()
            .collect();
    let rows = plain(dictionary, DataType::Date).unwrap();
    assert_eq!(rows[0], Ok(Value::Date(16_071)));
    assert!(rows[1].is_err() && rows[3].is_err());
    assert_eq!(rows[2], Ok(Value::Null));
}

#[test]
fn the_first_wrong_column_is_named_and_the_record_is_kept() {
    let directory = Directory::new();
    let path = write(
        &directory,
        vec![
            ("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
            (
                "at",
                Arc::new(
                    TimestampNanosecondArray::from(vec![1_000, 1, 1_388_563_200_000_000_001])
                        .with_timezone("UTC"),
                ),
            ),
            (
                "n",
                Arc::new(Float64Array::from(vec![Some(1.0), Some(0.5), None])),
            ),
            ("unused", Arc::new(StringArray::from(vec!["a", "b", "c"]))),
        ],
    );
    let specs = [
        ColumnSpec::new("n", DataType::Int).required(),
        ColumnSpec::new("at", DataType::Timestamp),
        ColumnSpec::new("id", DataType::BigInt),
    ];
    let (batches, _) = read(&path, &specs, &FileOptions::default());
    assert_eq!(
        accepted(&batches),
        vec![vec![Value::from(1), Value::Timestamp(1), Value::from(1i64)]]
    );
    let rejected: Vec<_> = batches[0]
        .rejected
        .iter()
        .map(|r| (r.row, r.column.as_deref(), r.line, r.record.as_str()))
        .collect();
    assert_eq!(
        rejected,
        vec![
            (
                1,
                Some("n"),
                None,
                "{\"id\":2,\"at\":\"1970-01-01T00:00:00.000000001Z\",\"n\":0.5}"
            ),
            (
                2,
                Some("n"),
                None,
                "{\"id\":3,\"at\":\"2014-01-01T08:00:00.000000001Z\",\"n\":null}"
            ),
        ]
    );
    assert_eq!(
        batches[0].rejected[1].reason.to_string(),
        "the value is missing"
    );
}
