//! What columns a file has.

use evenkeel_connect::{EventTimeGuess, FileOptions, InferredSchema, SourceFile, Table, TimeUnit};
use evenkeel_types::{Column, DataType, Field, Value};

use crate::samples::Directory;

fn infer(directory: &Directory, name: &str, rows_max: Option<u64>) -> InferredSchema {
    let options = FileOptions::default();
    SourceFile::open(&directory.path(name), &options)
        .and_then(|f| f.infer(&options, rows_max))
        .unwrap()
}

fn fields(schema: &InferredSchema) -> Vec<String> {
    schema
        .columns
        .iter()
        .map(|c| format!("{} {}", c.field.name, c.field.data_type))
        .collect()
}

#[test]
fn csv_columns() {
    let directory = Directory::new();
    directory.write(
        "x.csv",
        "order_id, ts ,amount,zip,day,ok,note\n\
         7,2014-01-01 10:00,1,00501,2014-01-01,true,\n\
         8,2014-01-01T10:00:01Z,2.5,10001,2014-01-02,False,\"\"\n\
         9,2014-01-02,,10001,2014-01-02,true,x\n\
         bad row\n",
    );
    let schema = infer(&directory, "x.csv", None);
    assert_eq!(
        fields(&schema),
        [
            "order_id BIGINT",
            "ts TIMESTAMP",
            "amount DOUBLE",
            "zip STRING",
            "day DATE",
            "ok BOOLEAN",
            "note STRING"
        ]
    );
    assert_eq!(
        (schema.rows, schema.rejected, schema.complete),
        (4, 1, true)
    );
    let nulls: Vec<u64> = schema.columns.iter().map(|c| c.nulls).collect();
    assert_eq!(nulls, [0, 0, 1, 0, 0, 0, 1]);
    assert_eq!(schema.columns[3].unique, Some(false));
    assert_eq!(schema.columns[2].example.as_deref(), Some("1.0"));
    assert_eq!(schema.event_id, ["order_id"]);
    let guess = |column: &str| EventTimeGuess {
        column: column.into(),
        time_unit: None,
    };
    assert_eq!(schema.event_time, [guess("ts"), guess("day")]);
    // The columns that were found can be read as they were found.
    let options = FileOptions::default();
    let specs: Vec<_> = schema
        .columns
        .iter()
        .map(|c| evenkeel_connect::ColumnSpec::new(&c.field.name, c.field.data_type.clone()))
        .collect();
    assert_eq!(
        crate::samples::rows(&directory.path("x.csv"), &specs, &options).len(),
        3
    );
}

#[test]
fn the_first_rows_are_enough_if_asked() {
    let directory = Directory::new();
    directory.write("x.csv", "a\n1\n2\nx\n");
    let schema = infer(&directory, "x.csv", Some(2));
    assert_eq!(fields(&schema), ["a BIGINT"]);
    assert_eq!((schema.rows, schema.complete), (2, false));
    assert_eq!(fields(&infer(&directory, "x.csv", Some(3))), ["a STRING"]);
    assert!(infer(&directory, "x.csv", Some(3)).complete);
    directory.write("x.jsonl", "{\"a\":1}\n{\"a\":\"x\"}\n");
    assert_eq!(fields(&infer(&directory, "x.jsonl", Some(1))), ["a BIGINT"]);
}

#[test]
fn json_columns() {
    let directory = Directory::new();
    directory.write(
        "x.jsonl",
        "{\"id\":\"a\",\"at\":1388563200000,\"v\":1,\"tags\":[\"x\"],\"o\":{\"a\":1}}\n\
         {\"id\":\"b\",\"at\":1388563201000,\"v\":2.5,\"late\":\"2014-01-01\",\"mixed\":1}\n\
         {\"id\":\"c\",\"at\":1388563201000,\"v\":null,\"mixed\":\"x\"}\n",
    );
    let schema = infer(&directory, "x.jsonl", None);
    assert_eq!(
        fields(&schema),
        [
            "id STRING",
            "at BIGINT",
            "v DOUBLE",
            "tags ARRAY<STRING>",
            "late DATE"
        ]
    );
    assert_eq!(schema.skipped.len(), 2);
    assert_eq!(
        schema.skipped[1],
        ("mixed".into(), "it has numbers and strings".into())
    );
    assert_eq!(schema.event_id, ["id"]);
    // `at` is no name of a time by itself: a DATE column is the only guess.
    assert_eq!(schema.event_time.len(), 1);
}

#[test]
fn parquet_columns() {
    let directory = Directory::new();
    let epoch = |s: f64| Value::double(s);
    let table = Table::from_columns([
        (
            Field::new("date", DataType::Double),
            Column::from_values(
                &DataType::Double,
                &[epoch(1_388_563_200.0), epoch(1_388_566_800.0)],
            ),
        ),
        (
            Field::new("reading", DataType::Double),
            Column::from_values(&DataType::Double, &[epoch(0.5), Value::Null]),
        ),
    ])
    .unwrap();
    table.write(&directory.path("x.parquet")).unwrap();
    let schema = infer(&directory, "x.parquet", None);
    assert_eq!(fields(&schema), ["date DOUBLE", "reading DOUBLE"]);
    assert!(schema.columns[0].whole && !schema.columns[1].whole);
    assert_eq!(
        schema.event_time,
        [EventTimeGuess {
            column: "date".into(),
            time_unit: Some(TimeUnit::Seconds)
        }]
    );
    assert!(schema.event_id.is_empty());
}

#[test]
fn a_file_without_rows_has_columns_of_text() {
    let directory = Directory::new();
    directory.write("x.csv", "a,b\n");
    let schema = infer(&directory, "x.csv", None);
    assert_eq!(fields(&schema), ["a STRING", "b STRING"]);
    assert!(schema.event_id.is_empty() && schema.complete);
    directory.write("x.jsonl", "");
    assert!(infer(&directory, "x.jsonl", None).columns.is_empty());
}
