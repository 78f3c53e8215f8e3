//! Tables: kept as they are, extended, written, compared.

use std::fs::{self, File};
use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, DurationSecondArray, Float64Array, Int16Array, MapArray,
    RecordBatch, StringViewArray, Time64MicrosecondArray, TimestampNanosecondArray, UInt64Array,
    builder::{Int32Builder, MapBuilder, StringBuilder},
};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use evenkeel_connect::{ConnectError, Table, TableOptions, TableType, TimeUnit};
use evenkeel_types::{Column, DataType, ErrorReason, Field, Value, Zone};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use crate::samples::{Directory, any_columns, chain, column, values};

fn doubles(values: &[f64]) -> Column {
    let values: Vec<Value> = values.iter().map(|x| Value::double(*x)).collect();
    column(&DataType::Double, &values)
}

fn known(table: &Table) -> Vec<(String, DataType)> {
    table
        .fields()
        .into_iter()
        .map(|(name, t)| match t {
            TableType::Known(t) => (name.to_owned(), t),
            TableType::Opaque(t) => panic!("{name} is {t}"),
        })
        .collect()
}

/// Columns whose arrow types nobody here understands, or understands only in part.
fn foreign() -> RecordBatch {
    let dictionary: DictionaryArray<Int8Type> =
        vec![Some("x"), None, Some("y")].into_iter().collect();
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    map.append(false).unwrap();
    map.append(true).unwrap();
    let map: MapArray = map.finish();
    RecordBatch::try_from_iter(vec![
        ("map", Arc::new(map) as ArrayRef),
        (
            "time",
            Arc::new(Time64MicrosecondArray::from(vec![Some(1), None, Some(3)])),
        ),
        ("dictionary", Arc::new(dictionary)),
        (
            "fine",
            Arc::new(TimestampNanosecondArray::from(vec![1, 2, 3]).with_timezone("Europe/Berlin")),
        ),
        ("huge", Arc::new(UInt64Array::from(vec![1, 2, u64::MAX]))),
        ("small", Arc::new(Int16Array::from(vec![1, 2, 3]))),
        (
            "view",
            Arc::new(StringViewArray::from(vec![
                "a",
                "a string beyond twelve bytes",
                "",
            ])),
        ),
        (
            "zero",
            Arc::new(Float64Array::from(vec![
                -0.0,
                f64::from_bits(0x7ff8_0000_0000_0001),
                1.5,
            ])),
        ),
    ])
    .unwrap()
}

fn batches_of(path: &std::path::Path) -> Vec<RecordBatch> {
    let file = File::open(path).unwrap();
    match path.extension().and_then(|e| e.to_str()) {
        Some("parquet") => ParquetRecordBatchReaderBuilder::try_new(file)
            .unwrap()
            .build()
            .unwrap()
            .map(Result::unwrap)
            .collect(),
        Some("arrow") => FileReader::try_new(file, None)
            .unwrap()
            .map(Result::unwrap)
            .collect(),
        _ => StreamReader::try_new(file, None)
            .unwrap()
            .map(Result::unwrap)
            .collect(),
    }
}

#[test]
fn foreign_columns_pass_through_untouched() {
    let directory = Directory::new();
    let batch = foreign();
    let parquet = directory.path("in.parquet");
    let mut writer =
        ArrowWriter::try_new(File::create(&parquet).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let arrow = directory.path("in.arrow");
    let mut writer = FileWriter::try_new(File::create(&arrow).unwrap(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let digests: Vec<_> = [&parquet, &arrow]
        .into_iter()
        .flat_map(|input| ["out.parquet", "out.arrow", "out.arrows"].map(|output| (input, output)))
        .map(|(input, output)| {
            let table = Table::read(input).unwrap();
            let score = (
                Field::new("score", DataType::Double),
                doubles(&[1.0, 2.0, 3.0]),
            );
            let output = directory.path(output);
            table.with_columns([score]).unwrap().write(&output).unwrap();
            let back = batches_of(&output);
            assert_eq!(back.len(), 1);
            for (i, column) in batch.columns().iter().enumerate() {
                let found = back[0].column(i);
                assert_eq!(found.data_type(), column.data_type());
                assert_eq!(found.as_ref(), column.as_ref());
            }
            // Bits that only a float comparison would not see.
            let zero = back[0].column(7).to_data();
            assert_eq!(
                zero.buffers()[0].typed_data::<f64>()[0].to_bits(),
                (-0.0f64).to_bits()
            );
            let table = Table::read(&output).unwrap();
            assert_eq!(
                values(&table.column("score").unwrap()),
                values(&doubles(&[1.0, 2.0, 3.0]))
            );
            let selected = table.select(&[
                "map",
                "time",
                "dictionary",
                "small",
                "view",
                "zero",
                "score",
            ]);
            selected.unwrap().digest().unwrap()
        })
        .collect();
    assert!(digests.iter().all(|d| d == &digests[0]));
}

#[test]
fn what_no_type_holds_can_only_be_passed_on() {
    let directory = Directory::new();
    let batch = foreign();
    let path = directory.path("x.arrows");
    let mut writer = StreamWriter::try_new(File::create(&path).unwrap(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let table = Table::read(&path).unwrap();
    let types: Vec<String> = table
        .fields()
        .iter()
        .map(|(n, t)| format!("{n} {t}"))
        .collect();
    assert_eq!(types[1], "time Time64(µs)");
    assert_eq!(types[2], "dictionary STRING");
    assert_eq!(types[3], "fine TIMESTAMP");
    assert_eq!(types[4], "huge BIGINT");
    assert!(matches!(
        table.column("time"),
        Err(ConnectError::TableType { .. })
    ));
    assert!(matches!(
        table.column("map"),
        Err(ConnectError::TableType { .. })
    ));
    let text = |e: Result<Column, ConnectError>| chain(&e.unwrap_err());
    assert!(
        text(table.column("huge")).ends_with(
            "row 2, is not BIGINT: `18446744073709551615` is outside the range of BIGINT"
        )
    );
    assert!(text(table.column("fine")).ends_with("1 ns since 1970 is finer than a microsecond"));
    assert!(text(table.column("smal")).ends_with("did you mean `small`?"));
    assert_eq!(values(&table.column("SMALL").unwrap())[2], Value::from(3));
    assert!(matches!(
        table.write(&directory.path("x.csv")),
        Err(ConnectError::NotWritable { .. } | ConnectError::TableValue { .. })
    ));
    assert!(!directory.path("x.csv").exists());
}

#[test]
fn csv_keeps_its_texts() {
    let directory = Directory::new();
    let text = "user,\"when, local\",zip,score,note\n\
                7,2014-11-02 01:00,00501,1.50,\n\
                8,2014-07-01T12:00,10001,2,\"\"\n\
                9,,NA,1e3,\"a \"\"b\"\"\n\"\n";
    let input = directory.write("in.csv", text);
    let options = TableOptions {
        zone: Zone::named("America/Los_Angeles").unwrap(),
        ..TableOptions::default()
    };
    let table = Table::read_with(&input, &options).unwrap();
    assert_eq!(table.len(), 3);
    let types: Vec<DataType> = known(&table).into_iter().map(|(_, t)| t).collect();
    assert_eq!(
        types,
        [
            DataType::BigInt,
            DataType::Timestamp,
            DataType::String,
            DataType::Double,
            DataType::String
        ]
    );
    let times = values(&table.column("when, local").unwrap());
    assert_eq!(times[0], Value::Timestamp(1_414_915_200_000_000));
    assert_eq!(times[2], Value::Null);
    assert_eq!(
        values(&table.column_as("user", &DataType::String).unwrap())[0],
        Value::from("7")
    );
    assert_eq!(
        values(&table.column("note").unwrap())[..2],
        [Value::Null, Value::from("")]
    );
    assert!(matches!(
        table.column_as("zip", &DataType::Int),
        Err(ConnectError::TableValue { row: 2, .. })
    ));
    // Untouched, the file is the same text.
    let output = directory.path("out.csv");
    table.write(&output).unwrap();
    assert_eq!(fs::read_to_string(&output).unwrap(), text);
    // With columns behind, the rest of each line still is.
    let status = column(
        &DataType::String,
        &[
            Value::from("a,b"),
            Value::Null,
            Value::Error(ErrorReason::Limit),
        ],
    );
    let table = table
        .with_columns([
            (
                Field::new("p", DataType::Double),
                doubles(&[0.1, f64::NAN, f64::NEG_INFINITY]),
            ),
            (Field::new("status", DataType::String), status),
        ])
        .unwrap();
    table.write(&output).unwrap();
    assert_eq!(
        fs::read_to_string(&output).unwrap(),
        "user,\"when, local\",zip,score,note,p,status\n\
         7,2014-11-02 01:00,00501,1.50,,0.1,\"a,b\"\n\
         8,2014-07-01T12:00,10001,2,\"\",NaN,\n\
         9,,NA,1e3,\"a \"\"b\"\"\n\",-Infinity,\n"
    );
    // In another format they are values of the types that fit.
    let parquet = directory.path("out.parquet");
    table.write(&parquet).unwrap();
    let back = Table::read(&parquet).unwrap();
    assert_eq!(known(&back), known(&table));
    assert_eq!(back.digest().unwrap(), table.digest().unwrap());
}

#[test]
fn csv_types_can_be_given() {
    let directory = Directory::new();
    let input = directory.write("in.csv", "id,n,t\n1,-,0\n2,3,1\n");
    let options = TableOptions {
        null_text: "-".into(),
        time_unit: Some(TimeUnit::Seconds),
        fields: vec![
            Field::new("id", DataType::String),
            Field::new("t", DataType::Timestamp),
        ],
        ..TableOptions::default()
    };
    let table = Table::read_with(&input, &options).unwrap();
    assert_eq!(
        values(&table.column("id").unwrap()),
        [Value::from("1"), Value::from("2")]
    );
    assert_eq!(
        values(&table.column("n").unwrap()),
        [Value::Null, Value::from(3i64)]
    );
    assert_eq!(
        values(&table.column("t").unwrap())[1],
        Value::Timestamp(1_000_000)
    );
    let dash = column(&DataType::String, &[Value::from("-"), Value::Null]);
    let output = directory.path("out.csv");
    table
        .with_columns([(Field::new("d", DataType::String), dash)])
        .unwrap()
        .write(&output)
        .unwrap();
    assert_eq!(
        fs::read_to_string(&output).unwrap(),
        "id,n,t,d\n1,-,0,\"-\"\n2,3,1,-\n"
    );
}

#[test]
fn one_column_with_nulls_survives_csv() {
    let directory = Directory::new();
    let field = Field::new("v", DataType::String);
    let texts = [Value::from("a"), Value::Null, Value::from(""), Value::Null];
    let table = Table::from_columns([(field, column(&DataType::String, &texts))]).unwrap();
    let path = directory.path("x.csv");
    table.write(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "v\na\n\n\"\"\n\n");
    assert_eq!(
        values(&Table::read(&path).unwrap().column("v").unwrap()),
        texts
    );
}

#[test]
fn the_same_table_is_the_same_bytes_however_it_came_to_be() {
    let directory = Directory::new();
    let numbers: Vec<Value> = (0..150_000i64)
        .map(|i| Value::from(i * i % 1_000))
        .collect();
    let words: Vec<Value> = (0..150_000)
        .map(|i| Value::string(format!("w{}", i % 50)))
        .collect();
    let table = Table::from_columns([
        (
            Field::new("n", DataType::BigInt),
            column(&DataType::BigInt, &numbers),
        ),
        (
            Field::new("w", DataType::String),
            column(&DataType::String, &words),
        ),
    ])
    .unwrap();
    for name in ["x.parquet", "x.arrow", "x.arrows", "x.csv"] {
        let path = directory.path(name);
        table.write(&path).unwrap();
        let first = fs::read(&path).unwrap();
        table.write(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first, "{name}");
        // Read in other batches than it was made of, it is written the same.
        Table::read(&path).unwrap().write(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first, "{name}");
    }
    let parquet = fs::read(directory.path("x.parquet")).unwrap();
    assert!(parquet.windows(8).any(|w| w == b"evenkeel"));
    // The other formats' batches do not show either.
    for name in ["x.arrow", "x.arrows"] {
        let again = directory.path("again.parquet");
        Table::read(&directory.path(name))
            .unwrap()
            .write(&again)
            .unwrap();
        assert_eq!(fs::read(again).unwrap(), parquet, "{name}");
    }
}

#[test]
fn several_dictionaries_become_one_in_an_arrow_file() {
    let directory = Directory::new();
    let part = |texts: [&str; 2]| {
        let dictionary: DictionaryArray<Int8Type> = texts.into_iter().map(Some).collect();
        RecordBatch::try_from_iter([("d", Arc::new(dictionary) as ArrayRef)]).unwrap()
    };
    let input = directory.path("in.arrows");
    let first = part(["a", "b"]);
    let mut writer = StreamWriter::try_new(File::create(&input).unwrap(), &first.schema()).unwrap();
    writer.write(&first).unwrap();
    writer.write(&part(["c", "a"])).unwrap();
    writer.finish().unwrap();
    let table = Table::read(&input).unwrap();
    for name in ["out.arrow", "out.arrows", "out.parquet"] {
        let output = directory.path(name);
        table.write(&output).unwrap();
        let back = Table::read(&output).unwrap();
        let texts = values(&back.column("d").unwrap());
        assert_eq!(texts, ["a", "b", "c", "a"].map(Value::from), "{name}");
        assert!(
            batches_of(&output)[0]
                .column(0)
                .data_type()
                .to_string()
                .starts_with("Dictionary")
        );
    }
}

#[test]
fn compressed_arrow_files_are_read() {
    let directory = Directory::new();
    let batch = foreign();
    for codec in [
        arrow_ipc::CompressionType::LZ4_FRAME,
        arrow_ipc::CompressionType::ZSTD,
    ] {
        let path = directory.path("x.feather");
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(codec))
            .unwrap();
        let mut writer = FileWriter::try_new_with_options(
            File::create(&path).unwrap(),
            &batch.schema(),
            options,
        )
        .unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        assert_eq!(
            values(&Table::read(&path).unwrap().column("small").unwrap())[2],
            Value::from(3)
        );
    }
}

#[test]
fn compressed_parquet_files_are_read() {
    use parquet::basic::{Compression, GzipLevel, ZstdLevel};
    let directory = Directory::new();
    let batch = foreign();
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let path = directory.path("x.parquet");
        let properties = WriterProperties::builder().set_compression(codec).build();
        let mut writer = ArrowWriter::try_new(
            File::create(&path).unwrap(),
            batch.schema(),
            Some(properties),
        )
        .unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        assert_eq!(
            values(&Table::read(&path).unwrap().column("small").unwrap())[2],
            Value::from(3)
        );
    }
}

#[test]
fn metadata_of_the_file_is_kept() {
    let directory = Directory::new();
    let batch = foreign();
    let schema = batch.schema().as_ref().clone();
    let schema = Arc::new(schema.with_metadata([("pandas".to_owned(), "{}".to_owned())].into()));
    let batch = batch.with_schema(Arc::clone(&schema)).unwrap();
    let input = directory.path("in.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&input).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let output = directory.path("out.parquet");
    Table::read(&input).unwrap().write(&output).unwrap();
    let back = ParquetRecordBatchReaderBuilder::try_new(File::open(&output).unwrap()).unwrap();
    let metadata = back.schema().metadata();
    assert_eq!(metadata.get("pandas").map(String::as_str), Some("{}"));
}

#[test]
fn mistakes_are_named() {
    let directory = Directory::new();
    let field = |name: &str| Field::new(name, DataType::Double);
    let mut table = Table::from_columns([(field("a"), doubles(&[1.0, 2.0]))]).unwrap();
    let text = |e: ConnectError| e.to_string();
    assert_eq!(
        text(table.append(field("a"), &doubles(&[1.0, 2.0])).unwrap_err()),
        "the table already has a column `a`: rename one of them"
    );
    assert_eq!(
        text(table.append(field("b"), &doubles(&[1.0])).unwrap_err()),
        "column `b` has 1 rows, the table has 2"
    );
    let interval = column(&DataType::Interval, &[Value::Null, Value::Null]);
    assert!(matches!(
        table.append(Field::new("i", DataType::Interval), &interval),
        Err(ConnectError::NotWritable { .. })
    ));
    assert!(matches!(
        table.write(&directory.path("none/x.csv")),
        Err(ConnectError::NoDirectory { .. })
    ));
    assert!(matches!(
        table.write(&directory.path("x.xlsx")),
        Err(ConnectError::UnknownFormat { .. })
    ));
    assert!(matches!(
        Table::read(&directory.path("x.csv")),
        Err(ConnectError::NoFile { .. })
    ));
    directory.write("spine.parquet", "");
    assert!(
        Table::read(&directory.path("spin.parquet"))
            .unwrap_err()
            .to_string()
            .ends_with("; did you mean `spine.parquet`?")
    );
    for (text, expected) in [
        ("a,a\n1,2\n", "has more than one column `a`"),
        ("a,b\n1\n", "line 2 of"),
        ("a,b\n1,2\n3,\"4\"x\n", "line 3 of"),
        ("a\n\"1\n", "is not closed"),
    ] {
        let path = directory.write("bad.csv", text);
        let error = chain(&Table::read(&path).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
    let path = directory.write("bad.csv", b"a\n\xff\n");
    assert!(chain(&Table::read(&path).unwrap_err()).ends_with("the text is not UTF-8"));
}

#[test]
fn digests_tell_tables_apart() {
    let table = |name: &str, data_type: DataType, values: &[Value]| {
        Table::from_columns([(
            Field::new(name, data_type.clone()),
            column(&data_type, values),
        )])
        .unwrap()
        .digest()
        .unwrap()
    };
    let one = Value::from(1);
    let base = table("a", DataType::Int, &[one.clone(), Value::Null]);
    assert_eq!(base, table("a", DataType::Int, &[one.clone(), Value::Null]));
    let others = [
        table("b", DataType::Int, &[one.clone(), Value::Null]),
        table("a", DataType::BigInt, &[Value::from(1i64), Value::Null]),
        table("a", DataType::Int, &[Value::Null, one.clone()]),
        table("a", DataType::Int, std::slice::from_ref(&one)),
        table("a", DataType::Int, &[one, Value::from(0)]),
    ];
    assert!(others.iter().all(|other| *other != base));
    let opaque = |array: ArrayRef| {
        let directory = Directory::new();
        let path = directory.path("x.arrow");
        let batch = RecordBatch::try_from_iter([("d", array)]).unwrap();
        let mut writer =
            FileWriter::try_new(File::create(&path).unwrap(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        Table::read(&path).unwrap().digest().unwrap()
    };
    let durations = |d: Vec<Option<i64>>| opaque(Arc::new(DurationSecondArray::from(d)));
    assert_eq!(
        durations(vec![Some(1), None]),
        durations(vec![Some(1), None])
    );
    assert_ne!(
        durations(vec![Some(1), None]),
        durations(vec![Some(1), Some(0)])
    );
    // Times that no TIMESTAMP holds have a digest all the same.
    let fine = |t: Vec<i64>| opaque(Arc::new(TimestampNanosecondArray::from(t)));
    assert_eq!(fine(vec![1, 2]), fine(vec![1, 2]));
    assert_ne!(fine(vec![1, 2]), fine(vec![1, 3]));
}

/// Digests of datasets are compared years later: this one never changes.
#[test]
fn the_digest_is_what_it_always_was() {
    let table = Table::from_columns([
        (
            Field::new("user", DataType::String),
            column(&DataType::String, &[Value::from("a"), Value::Null]),
        ),
        (Field::new("x", DataType::Double), doubles(&[0.5, f64::NAN])),
    ])
    .unwrap();
    let hexadecimal: String = table
        .digest()
        .unwrap()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(
        hexadecimal,
        "1081398f875966fa05d2b2af23f3fdb17490811dee72122f70d89f2285543eff"
    );
    // By hand, from the description.
    let number = |n: u64| n.to_le_bytes().to_vec();
    let user = blake3::hash(b"\x02a\0\0\0");
    let x = blake3::hash(b"\x02\xbf\xe0\0\0\0\0\0\0\x02\xff\xf8\0\0\0\0\0\0");
    let parts = [
        b"evenkeel table 1".to_vec(),
        number(2),
        number(2),
        number(4),
        b"user".to_vec(),
        number(6),
        b"STRING".to_vec(),
        user.as_bytes().to_vec(),
        number(1),
        b"x".to_vec(),
        number(6),
        b"DOUBLE".to_vec(),
        x.as_bytes().to_vec(),
    ];
    assert_eq!(
        table.digest().unwrap(),
        *blake3::hash(&parts.concat()).as_bytes()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every type through every table format: values and digest.
    #[test]
    fn what_is_written_is_read(columns in any_columns(0usize..20)) {
        let directory = Directory::new();
        let table = Table::from_columns(columns.clone()).unwrap();
        let digest = table.digest().unwrap();
        let fields: Vec<Field> = columns.iter().map(|(f, _)| f.clone()).collect();
        for name in ["x.parquet", "x.csv", "x.arrow", "x.feather", "x.arrows"] {
            let path = directory.path(name);
            table.write(&path).unwrap();
            let options = TableOptions { fields: fields.clone(), ..TableOptions::default() };
            let back = Table::read_with(&path, &options).unwrap();
            prop_assert_eq!(back.len(), columns[0].1.len());
            for (field, column) in &columns {
                let read = back.column(&field.name).unwrap();
                prop_assert_eq!(values(&read), values(column), "{} {}", name, field.data_type);
                let read = back.column_as(&field.name, &field.data_type).unwrap();
                prop_assert_eq!(values(&read), values(column), "{} {}", name, field.data_type);
            }
            prop_assert_eq!(back.digest().unwrap(), digest, "{}", name);
        }
    }

    /// A CSV file that nobody touches is the same text, whatever its types.
    #[test]
    fn csv_is_the_same_text(rows in prop::collection::vec(prop::collection::vec("[a0-9\",\n -]{0,5}", 3), 0..6)) {
        let directory = Directory::new();
        let text: String = rows
            .iter()
            .map(|row| {
                let fields: Vec<String> = row
                    .iter()
                    .map(|f| if f.contains(['"', ',', '\n']) { format!("\"{}\"", f.replace('"', "\"\"")) } else { f.clone() })
                    .collect();
                fields.join(",") + "\n"
            })
            .collect();
        let text = format!("a,b,c\n{text}");
        let input = directory.write("in.csv", &text);
        let output = directory.path("out.csv");
        Table::read(&input).unwrap().write(&output).unwrap();
        prop_assert_eq!(fs::read_to_string(output).unwrap(), text);
    }
}
