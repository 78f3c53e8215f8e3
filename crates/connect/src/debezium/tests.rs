//! Records as connectors write them.

use evenkeel_types::time::parse_timestamp;

use super::*;
use crate::options::ChangeColumns;

fn options() -> FileOptions {
    let name = |name: &str| Some(name.to_owned());
    FileOptions {
        changes: ChangeColumns {
            operation: name("op"),
            time: name("changed_at"),
            position: name("place"),
            key: vec!["id".to_owned()],
        },
        ..FileOptions::default()
    }
}

/// A table with one column beside its key.
fn decoder(data_type: DataType, options: &FileOptions) -> Debezium {
    let specs = [
        ColumnSpec::new("id", DataType::BigInt),
        ColumnSpec::new("v", data_type),
        ColumnSpec::new("op", DataType::String),
        ColumnSpec::new("changed_at", DataType::Timestamp),
        ColumnSpec::new("place", DataType::BigInt),
    ];
    Debezium::new(&specs.into(), options)
}

fn change(record: &str) -> Result<Change, String> {
    let json = parse_json(record).unwrap();
    let changes = decoder(DataType::String, &options());
    changes.change(&json).map_err(|(column, e)| match column {
        Some(i) => format!("{}: {e}", changes.specs[i].name),
        None => e.to_string(),
    })
}

fn at(text: &str) -> Value {
    Value::Timestamp(parse_timestamp(text, &Zone::utc()).unwrap())
}

const SOURCE: &str = r#""source":{"ts_ms":1767225600000,"file":"binlog.000002","pos":400,"row":3}"#;

fn row(v: &str, op: &str) -> Change {
    Change::Row(vec![
        Value::BigInt(1),
        Value::string(v),
        Value::string(op),
        at("2026-01-01"),
        Value::BigInt((2 << 40) + 403),
    ])
}

#[test]
fn each_operation_has_its_image() {
    let record = |op: &str, before: &str, after: &str| {
        format!(r#"{{"before":{before},"after":{after},"op":"{op}",{SOURCE},"ts_ms":9}}"#)
    };
    let (old, new) = (r#"{"id":1,"v":"old"}"#, r#"{"ID":1,"v":"new","w":5}"#);
    for (op, before, after, wanted) in [
        ("c", "null", new, "new"),
        ("r", "null", new, "new"),
        ("u", old, new, "new"),
        ("u", "null", new, "new"),
        ("d", old, "null", "old"),
    ] {
        assert_eq!(
            change(&record(op, before, after)),
            Ok(row(wanted, op)),
            "{op}"
        );
        // The same with a schema around it.
        let wrapped = format!(
            r#"{{"schema":{{"type":"struct","fields":[]}},"payload":{}}}"#,
            record(op, before, after)
        );
        assert_eq!(change(&wrapped), Ok(row(wanted, op)), "{op}");
    }
    assert_eq!(change(&record("t", "null", "null")), Ok(Change::Truncated));
    assert_eq!(change(&record("m", "null", "null")), Ok(Change::Nothing));
    for tombstone in ["null", r#"{"schema":null,"payload":null}"#] {
        assert_eq!(change(tombstone), Ok(Change::Nothing));
    }
}

#[test]
fn what_is_no_change_says_why() {
    for (record, reason) in [
        ("[]", "an array is not an object"),
        (
            r#"{"id":1}"#,
            "the record has no `op`: it is no change of a row as Debezium writes it",
        ),
        (
            r#"{"op":"x"}"#,
            "`op` is `x`: known are `c`, `r`, `u`, `d` and `t`",
        ),
        (
            r#"{"op":"d","before":null}"#,
            "`op` is `d`, and there is no row in `before`: let the source log whole rows",
        ),
        (
            r#"{"op":"u","before":{"id":2},"after":{"id":1,"v":"x"},"ts_us":1,"source":{"lsn":5}}"#,
            "id: the update has another primary key: that is told by a `d` and a `c`",
        ),
        (
            r#"{"op":"c","after":{"id":1},"ts_us":1,"source":{"lsn":5}}"#,
            "v: the row has no such column: name it as the source does, or add missing_columns = 'null'",
        ),
        (
            r#"{"op":"c","after":{"id":1,"v":"x"},"source":{"lsn":5}}"#,
            "changed_at: neither `source` nor the record says when: `ts_us`, `ts_ns` or `ts_ms`",
        ),
        (
            r#"{"op":"c","after":{"id":1,"v":"x"},"ts_us":5}"#,
            "place: `source` has no place in a log: `file` and `pos`, or `lsn`",
        ),
        (
            r#"{"op":"u","after":{"id":1,"v":"__debezium_unavailable_value"},"ts_us":5}"#,
            "v: the source did not say the value, as it is long and did not change: set REPLICA IDENTITY FULL",
        ),
    ] {
        assert_eq!(change(record), Err(reason.to_owned()), "{record}");
    }
}

#[test]
fn a_delete_needs_its_key_alone() {
    let record = |id: &str| format!(r#"{{"op":"d","before":{{"id":{id},"v":7}},{SOURCE}}}"#);
    let Ok(Change::Row(values)) = change(&record("1")) else {
        panic!("the delete is refused");
    };
    assert_eq!(values[..2], [Value::BigInt(1), Value::Null]);
    assert!(change(&record("\"x\"")).is_err());
}

#[test]
fn rows_of_a_stream_stay() {
    let options = FileOptions::default();
    let specs = [ColumnSpec::new("id", DataType::BigInt)];
    let changes = Debezium::new(&specs.into(), &options);
    let of = |text: &str| changes.change(&parse_json(text).unwrap());
    assert_eq!(
        of(r#"{"op":"c","after":{"id":1}}"#),
        Ok(Change::Row(vec![Value::BigInt(1)]))
    );
    assert!(of(r#"{"op":"u","after":{"id":1}}"#).is_err());
    assert!(of(r#"{"op":"d","before":{"id":1}}"#).is_err());
}

#[test]
fn the_most_exact_time_of_the_source_is_taken() {
    let time = |times: &str| {
        let record = format!(r#"{{"op":"c","after":{{"id":1,"v":"x"}},{times}}}"#);
        match change(&record) {
            Ok(Change::Row(values)) => values[3].clone(),
            other => panic!("{other:?}"),
        }
    };
    let source = |times: &str| time(&format!(r#""source":{{"lsn":1,{times}}},"ts_ms":77"#));
    assert_eq!(
        source(r#""ts_ms":5,"ts_us":5001,"ts_ns":5001002"#),
        Value::Timestamp(5_001)
    );
    assert_eq!(
        source(r#""ts_ms":5,"ts_ns":5001002"#),
        Value::Timestamp(5_001)
    );
    assert_eq!(source(r#""ts_ms":5"#), Value::Timestamp(5_000));
    // A snapshot's rows have no time of their own in some connectors.
    assert_eq!(source(r#""ts_ms":0"#), Value::Timestamp(77_000));
}

/// The value of a column `v` that a schema calls so.
fn value(
    data_type: DataType,
    semantic: &str,
    parameters: &str,
    json: &str,
    zone: &Zone,
) -> Result<Value, String> {
    let field =
        format!(r#"{{"field":"v","type":"x","name":"{semantic}","parameters":{parameters}}}"#);
    let record = format!(
        r#"{{"schema":{{"fields":[{{"field":"before"}},{{"field":"after","fields":[{{"field":"id"}},{field}]}}]}},
            "payload":{{"op":"c","after":{{"id":1,"v":{json}}},{SOURCE}}}}}"#
    );
    let options = FileOptions {
        zone: zone.clone(),
        ..options()
    };
    let json = parse_json(&record).unwrap();
    match decoder(data_type, &options).change(&json) {
        Ok(Change::Row(values)) => Ok(values[1].clone()),
        Ok(other) => panic!("{other:?}"),
        Err((_, error)) => Err(error.to_string()),
    }
}

#[test]
fn schemas_say_what_values_mean() {
    let utc = Zone::utc();
    let decimal = |precision, scale| DataType::Decimal { precision, scale };
    let unscaled = |x: i128| Value::decimal(x);
    let connect = "org.apache.kafka.connect.data";
    let two = r#"{"scale":"2"}"#;
    for (data_type, semantic, parameters, json, wanted) in [
        (
            decimal(10, 2),
            format!("{connect}.Decimal"),
            two,
            "\"MDk=\"",
            unscaled(12_345),
        ),
        (
            decimal(10, 3),
            format!("{connect}.Decimal"),
            two,
            "\"z8c=\"",
            unscaled(-123_450),
        ),
        (
            decimal(38, 0),
            format!("{connect}.Decimal"),
            r#"{"scale":"0"}"#,
            "\"AP//////////\"",
            unscaled(i128::from(u64::MAX)),
        ),
        (
            DataType::BigInt,
            format!("{connect}.Decimal"),
            r#"{"scale":"0"}"#,
            "\"AP8=\"",
            Value::BigInt(255),
        ),
        (
            DataType::String,
            format!("{connect}.Decimal"),
            two,
            "\"MDk=\"",
            Value::string("123.45"),
        ),
        (
            decimal(5, 1),
            "io.debezium.data.VariableScaleDecimal".into(),
            "{}",
            r#"{"scale":1,"value":"Dw=="}"#,
            unscaled(15),
        ),
        (
            decimal(10, 2),
            String::new(),
            "{}",
            "\"123.45\"",
            unscaled(12_345),
        ),
        (
            decimal(10, 2),
            String::new(),
            "{}",
            "123.45",
            unscaled(12_345),
        ),
        (
            DataType::Date,
            "io.debezium.time.Date".into(),
            "{}",
            "20454",
            Value::Date(20_454),
        ),
        (
            DataType::Date,
            format!("{connect}.Date"),
            "{}",
            "-1",
            Value::Date(-1),
        ),
        (
            DataType::Timestamp,
            "io.debezium.time.Timestamp".into(),
            "{}",
            "1767225600123",
            at("2026-01-01T00:00:00.123"),
        ),
        (
            DataType::Timestamp,
            "io.debezium.time.MicroTimestamp".into(),
            "{}",
            "1767225600000001",
            at("2026-01-01T00:00:00.000001"),
        ),
        (
            DataType::Timestamp,
            "io.debezium.time.NanoTimestamp".into(),
            "{}",
            "1767225600000001000",
            at("2026-01-01T00:00:00.000001"),
        ),
        (
            DataType::Timestamp,
            "io.debezium.time.ZonedTimestamp".into(),
            "{}",
            "\"2026-01-01T01:00:00+01:00\"",
            at("2026-01-01"),
        ),
        (
            DataType::BigInt,
            "io.debezium.time.MicroTime".into(),
            "{}",
            "-90000000001",
            Value::BigInt(-90_000_000_001),
        ),
        (
            DataType::String,
            "io.debezium.time.MicroTime".into(),
            "{}",
            "-90000000001",
            Value::string("-25:00:00.000001"),
        ),
        (
            DataType::Int,
            "io.debezium.time.Year".into(),
            "{}",
            "2026",
            Value::Int(2026),
        ),
        (
            DataType::BigInt,
            "io.debezium.data.Bits".into(),
            "{}",
            "\"AQI=\"",
            Value::BigInt(513),
        ),
        (
            DataType::Bytes,
            "io.debezium.data.Bits".into(),
            "{}",
            "\"AQI=\"",
            Value::Bytes(vec![1, 2].into()),
        ),
        (
            DataType::String,
            "io.debezium.data.Json".into(),
            "{}",
            r#""{\"a\": 1}""#,
            Value::string("{\"a\": 1}"),
        ),
        (
            DataType::String,
            "io.debezium.data.EnumSet".into(),
            "{}",
            "\"a,b\"",
            Value::string("a,b"),
        ),
        (
            DataType::Timestamp,
            "io.debezium.time.Timestamp".into(),
            "{}",
            "null",
            Value::Null,
        ),
    ] {
        let found = value(data_type.clone(), &semantic, parameters, json, &utc);
        assert_eq!(found, Ok(wanted), "{data_type} from {json} as {semantic}");
    }
}

#[test]
fn what_would_be_rounded_is_refused() {
    let utc = Zone::utc();
    let decimal = "org.apache.kafka.connect.data.Decimal";
    let wanted = DataType::Decimal {
        precision: 4,
        scale: 1,
    };
    let two = r#"{"scale":"2"}"#;
    for (data_type, semantic, json, reason) in [
        (
            wanted.clone(),
            decimal,
            "\"MDk=\"",
            "`123.45` is not exactly DECIMAL(4, 1)",
        ),
        (
            wanted.clone(),
            decimal,
            "\"AYag\"",
            "`1000.00` is outside the range of DECIMAL(4, 1)",
        ),
        (
            DataType::BigInt,
            decimal,
            "\"MDk=\"",
            "`123.45` has a fraction or an exponent, BIGINT is a whole number",
        ),
        (
            DataType::Double,
            decimal,
            "\"MDk=\"",
            "a decimal is not DOUBLE",
        ),
        (
            DataType::Timestamp,
            "io.debezium.time.NanoTimestamp",
            "1001",
            "1001 ns since 1970 is finer than a microsecond",
        ),
        (
            DataType::Timestamp,
            "io.debezium.time.Timestamp",
            "9223372036854775807",
            "`9223372036854775807` is outside the range of TIMESTAMP",
        ),
        (
            DataType::Date,
            "io.debezium.time.Date",
            "2147483647",
            "`2147483647` is outside the range of DATE",
        ),
        (
            DataType::Date,
            "io.debezium.time.Timestamp",
            "0",
            "a time is not DATE",
        ),
        (
            DataType::Timestamp,
            "",
            "1767225600123",
            "`1767225600123` is a number, not a time: say what it counts with time_unit = 's', 'ms' or 'us'",
        ),
    ] {
        let found = value(data_type.clone(), semantic, two, json, &utc);
        assert_eq!(found, Err(reason.to_owned()), "{data_type} from {json}");
    }
}

#[test]
fn times_without_a_zone_are_local_to_the_source() {
    let berlin = Zone::named("Europe/Berlin").unwrap();
    let of = |semantic: &str, json: &str| value(DataType::Timestamp, semantic, "{}", json, &berlin);
    let summer = "1782864000000"; // 2026-07-01T00:00:00, wherever that is
    assert_eq!(
        of("io.debezium.time.Timestamp", summer),
        Ok(at("2026-06-30T22:00:00"))
    );
    let zoned = "\"2026-07-01T00:00:00Z\"";
    assert_eq!(
        of("io.debezium.time.ZonedTimestamp", zoned),
        Ok(at("2026-07-01"))
    );
}
