//! Rows that cannot be what was declared: which, why, and their original record.

use evenkeel_connect::{ColumnSpec, ConnectError, FileOptions, RECORD_BYTES_MAX, TimeUnit};
use evenkeel_types::{DataType, Value, Zone};

use crate::samples::{Directory, accepted, check_numbering, read, rejected};

fn decimal() -> DataType {
    DataType::Decimal {
        precision: 5,
        scale: 2,
    }
}

fn vector() -> DataType {
    DataType::Vector {
        element: Box::new(DataType::Double),
        length: 2,
    }
}

/// The only reason for rejecting a one-column row.
fn reason(name: &str, data_type: DataType, text: &str, options: &FileOptions) -> String {
    let directory = Directory::new();
    let path = directory.write(name, text);
    let specs = [ColumnSpec::new("v", data_type).required()];
    let (batches, error) = read(&path, &specs, options);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(check_numbering(&batches), 1);
    let mut reasons = rejected(&batches);
    assert_eq!(reasons.len(), 1, "`{text}` was accepted");
    reasons.remove(0).2
}

#[test]
fn csv_fields_that_do_not_fit() {
    let zone = FileOptions {
        zone: Zone::named("America/Los_Angeles").unwrap(),
        ..FileOptions::default()
    };
    for (data_type, field, expected) in [
        (
            DataType::Int,
            "1.5",
            "`1.5` has a fraction or an exponent, INT is a whole number",
        ),
        (
            DataType::BigInt,
            "1.0",
            "`1.0` has a fraction or an exponent, BIGINT is a whole number",
        ),
        (
            DataType::Int,
            "3000000000",
            "`3000000000` is outside the range of INT",
        ),
        (
            DataType::BigInt,
            "9223372036854775808",
            "`9223372036854775808` is outside the range of BIGINT",
        ),
        (DataType::Int, "one", "`one` is not INT"),
        (DataType::Double, "1,5", "`1,5` is not DOUBLE"),
        (
            DataType::Double,
            "1e999",
            "`1e999` is outside the range of DOUBLE",
        ),
        (
            DataType::Float,
            "1e39",
            "`1e39` is outside the range of FLOAT",
        ),
        (DataType::Boolean, "1", "`1` is not BOOLEAN"),
        (decimal(), "1.234", "`1.234` is not exactly DECIMAL(5, 2)"),
        (
            decimal(),
            "1000",
            "`1000` is outside the range of DECIMAL(5, 2)",
        ),
        (
            DataType::Date,
            "2014-2-1",
            "`2014-2-1` is not a time: write 2026-01-31T12:00:00Z, with up to six decimals of a second",
        ),
        (
            DataType::Timestamp,
            "2014-03-09 02:30",
            "`2014-03-09 02:30` does not exist in America/Los_Angeles: the clock was put forward over it",
        ),
        (
            DataType::Timestamp,
            "2014-01-01T00:00:00.1234567",
            "`2014-01-01T00:00:00.1234567` is not a time: write 2026-01-31T12:00:00Z, with up to six decimals of a second",
        ),
        (
            DataType::Timestamp,
            "1388563200",
            "`1388563200` is a number, not a time: say what it counts with time_unit = 's', 'ms' or 'us'",
        ),
        (DataType::Bytes, "x", "`x` is not BYTES"),
        (vector(), "[1]", "a vector of 1 elements is not DOUBLE[2]"),
        (
            vector(),
            "[1,]",
            "not JSON at byte 3: no value begins like this",
        ),
        (vector(), "{}", "an object is not DOUBLE[2]"),
    ] {
        let text = format!("v,w\n\"{field}\",x\n");
        assert_eq!(reason("x.csv", data_type, &text, &zone), expected);
    }
    assert_eq!(
        reason("x.csv", DataType::Int, "v,w\n,x\n", &zone),
        "the value is missing"
    );
    assert_eq!(
        reason("x.csv", DataType::Int, "v,w\n1\n", &zone),
        "the row has 1 fields, the header has 2"
    );
    assert_eq!(
        reason("x.csv", DataType::Int, "v,w\n1,2,3\n", &zone),
        "the row has 3 fields, the header has 2"
    );
    assert_eq!(
        reason("x.csv", DataType::Int, "v,w\n\"1\" ,2\n", &zone),
        "field 1 goes on after its closing quote"
    );
    let counts = FileOptions {
        time_unit: Some(TimeUnit::Milliseconds),
        ..FileOptions::default()
    };
    assert_eq!(
        reason("x.csv", DataType::Timestamp, "v\n1.5\n", &counts),
        "`1.5` is not TIMESTAMP"
    );
    assert_eq!(
        reason(
            "x.csv",
            DataType::Timestamp,
            "v\n9223372036854775807\n",
            &counts
        ),
        "`9223372036854775807` is outside the range of TIMESTAMP"
    );
}

#[test]
fn json_members_that_do_not_fit() {
    let options = FileOptions::default();
    for (data_type, member, expected) in [
        (
            DataType::Int,
            "1.5",
            "`1.5` has a fraction or an exponent, INT is a whole number",
        ),
        (
            DataType::Int,
            "1.0",
            "`1.0` has a fraction or an exponent, INT is a whole number",
        ),
        (
            DataType::BigInt,
            "1e3",
            "`1e3` has a fraction or an exponent, BIGINT is a whole number",
        ),
        (
            DataType::BigInt,
            "9223372036854775808",
            "`9223372036854775808` is outside the range of BIGINT",
        ),
        (DataType::BigInt, "\"1\"", "a string is not BIGINT"),
        (DataType::Double, "\"1.5\"", "a string is not DOUBLE"),
        (
            DataType::Double,
            "1e999",
            "`1e999` is outside the range of DOUBLE",
        ),
        (DataType::String, "1", "a number is not STRING"),
        (DataType::Boolean, "\"true\"", "a string is not BOOLEAN"),
        (
            decimal(),
            "0.123456789012345678901234567890",
            "`0.123456789012345678901234567890` is not exactly DECIMAL(5, 2)",
        ),
        (DataType::Date, "1", "a number is not DATE"),
        (DataType::Timestamp, "true", "a boolean is not TIMESTAMP"),
        (
            vector(),
            "[1,2,3]",
            "a vector of 3 elements is not DOUBLE[2]",
        ),
        (vector(), "[1,null]", "element 1 of the vector is missing"),
        (
            DataType::Array(Box::new(DataType::Int)),
            "[1,\"2\"]",
            "a string is not INT",
        ),
        (DataType::Int, "null", "the value is missing"),
        (
            DataType::Int,
            "01",
            "not JSON at byte 6: a number with a leading zero",
        ),
        (
            DataType::Int,
            "1,\"v\":2",
            "the object has the key `v` twice",
        ),
        (
            DataType::Int,
            "1} {",
            "not JSON at byte 8: text after the value",
        ),
    ] {
        let text = format!("{{\"v\":{member}}}\n");
        assert_eq!(
            reason("x.jsonl", data_type, &text, &options),
            expected,
            "{member}"
        );
    }
    assert_eq!(
        reason("x.jsonl", DataType::Int, "\"v\"\n", &options),
        "a string is not an object"
    );
    let deep = format!("{{\"v\":1,\"w\":{}{}}}\n", "[".repeat(100), "]".repeat(100));
    assert_eq!(
        reason("x.jsonl", DataType::Int, &deep, &options),
        "arrays and objects are nested more than 64 deep"
    );
}

#[test]
fn a_decimal_in_json_is_read_by_its_digits() {
    let directory = Directory::new();
    let wide = DataType::Decimal {
        precision: 38,
        scale: 30,
    };
    let path = directory.write("x.jsonl", "{\"v\":0.123456789012345678901234567890}\n");
    let (batches, _) = read(
        &path,
        &[ColumnSpec::new("v", wide)],
        &FileOptions::default(),
    );
    assert_eq!(
        accepted(&batches),
        vec![vec![Value::decimal(
            123_456_789_012_345_678_901_234_567_890
        )]]
    );
}

#[test]
fn records_are_kept_as_they_were() {
    let directory = Directory::new();
    let specs = [ColumnSpec::new("v", DataType::Int)];
    let options = FileOptions::default();
    let records = |name: &str, bytes: &[u8]| {
        let path = directory.write(name, bytes);
        let (batches, error) = read(&path, &specs, &options);
        assert!(error.is_none(), "{error:?}");
        batches
            .into_iter()
            .flat_map(|b| b.rejected)
            .map(|r| (r.row, r.line, r.record))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        records("x.csv", b"v,\"w\"\"\"\n1,\n\"a\nb\",\nx,\"\"\ny\n\xff,1\n"),
        vec![
            (1, Some(3), "{\"v\":\"a\\nb\",\"w\\\"\":null}".to_owned()),
            (2, Some(5), "{\"v\":\"x\",\"w\\\"\":\"\"}".to_owned()),
            (3, Some(6), "[\"y\"]".to_owned()),
            (4, Some(7), "{\"base64\":\"/ywx\"}".to_owned()),
        ]
    );
    assert_eq!(
        records(
            "x.jsonl",
            b"{\"v\":1}\n\n {\"v\": \"x\", \"z\": 1.50} \nnot json\n\xff\n[1]\n"
        ),
        vec![
            (1, Some(3), "{\"v\": \"x\", \"z\": 1.50}".to_owned()),
            (2, Some(4), "\"not json\"".to_owned()),
            (3, Some(5), "{\"base64\":\"/w==\"}".to_owned()),
            (4, Some(6), "[1]".to_owned()),
        ]
    );
}

#[test]
fn long_records_are_rejected_and_reading_goes_on() {
    let directory = Directory::new();
    let specs = [ColumnSpec::new("v", DataType::String)];
    let long = "x".repeat(RECORD_BYTES_MAX + 100_000);
    let limit = format!("the record is longer than {RECORD_BYTES_MAX} bytes");
    for (name, text) in [
        ("x.csv", format!("v,w\na,\n{long},\nb,\n")),
        (
            "x.jsonl",
            format!("{{\"v\":\"a\"}}\n{{\"v\":\"{long}\"}}\n{{\"v\":\"b\"}}\n"),
        ),
    ] {
        let path = directory.write(name, text);
        let (batches, error) = read(&path, &specs, &FileOptions::default());
        assert!(error.is_none(), "{error:?}");
        assert_eq!(check_numbering(&batches), 3);
        assert_eq!(
            accepted(&batches),
            vec![vec![Value::from("a")], vec![Value::from("b")]]
        );
        assert_eq!(rejected(&batches), vec![(1, None, limit.clone())]);
        assert!(
            batches
                .iter()
                .flat_map(|b| &b.rejected)
                .all(|r| r.record.len() < 2_000)
        );
    }
    // A line of exactly the limit is none too many.
    let fits = "x".repeat(RECORD_BYTES_MAX - "{\"v\":\"\"}".len());
    let path = directory.write("y.jsonl", format!("{{\"v\":\"{fits}\"}}\n"));
    let (batches, _) = read(&path, &specs, &FileOptions::default());
    assert_eq!(accepted(&batches), vec![vec![Value::from(fits.as_str())]]);
}

#[test]
fn files_that_are_something_else_are_refused() {
    let directory = Directory::new();
    let specs = [ColumnSpec::new("v", DataType::Int)];
    let error = |name: &str, bytes: &[u8]| {
        let path = directory.write(name, bytes);
        read(&path, &specs, &FileOptions::default()).1.unwrap()
    };
    assert!(matches!(
        error("x.json", b" \n[{\"v\":1}]"),
        ConnectError::JsonArray { .. }
    ));
    assert!(matches!(
        error("x.parquet", b"PAR1"),
        ConnectError::Damaged { .. }
    ));
    assert!(matches!(
        error("x.parquet", b"v\n1\n2\n3\n4\n5\n"),
        ConnectError::Damaged { .. }
    ));
    assert!(matches!(
        error("x.csv", b"\xff\xfe\n"),
        ConnectError::Damaged { .. }
    ));
    let quote = error("x.csv", b"v,w\n1,a\n2,\"b\n3,c\n");
    assert_eq!(
        quote.to_string(),
        format!(
            "a quote that opens in line 3 of `{}` is not closed",
            directory.path("x.csv").display()
        )
    );
}
