//! Every type of column: the same value from a snapshot and from the log, and the right one.

use evenkeel_capture::Start;
use evenkeel_types::time::{parse_date, parse_timestamp};
use evenkeel_types::{Value, Zone};

use crate::database::Database;
use crate::world::World;

fn at(text: &str) -> Value {
    Value::Timestamp(parse_timestamp(text, &Zone::utc()).unwrap())
}

/// Type on the server, declared type, the value as it is written there, and what it is.
fn zoo() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let (text, whole) = (|text: &str| Value::string(text), Value::BigInt);
    let decimal = |unscaled: i128| Value::decimal(unscaled);
    let bytes = |bytes: &[u8]| Value::Bytes(bytes.into());
    vec![
        ("TINYINT", "INT", "-128", Value::Int(-128)),
        ("TINYINT UNSIGNED", "INT", "255", Value::Int(255)),
        ("BOOLEAN", "BOOLEAN", "TRUE", Value::Boolean(true)),
        ("YEAR", "INT", "2026", Value::Int(2026)),
        ("YEAR", "INT", "0000", Value::Int(0)),
        ("SMALLINT UNSIGNED", "INT", "65535", Value::Int(65_535)),
        ("MEDIUMINT", "INT", "-8388608", Value::Int(-8_388_608)),
        (
            "MEDIUMINT UNSIGNED",
            "INT",
            "16777215",
            Value::Int(16_777_215),
        ),
        ("INT UNSIGNED", "BIGINT", "4294967295", whole(4_294_967_295)),
        ("INT(6) ZEROFILL", "BIGINT", "42", whole(42)),
        ("BIGINT", "BIGINT", "-9223372036854775808", whole(i64::MIN)),
        (
            "BIGINT UNSIGNED",
            "DECIMAL(20, 0)",
            "18446744073709551615",
            decimal(i128::from(u64::MAX)),
        ),
        ("FLOAT", "FLOAT", "0.1", Value::float(0.1)),
        (
            "FLOAT",
            "DOUBLE",
            "16777.217",
            Value::double(f64::from(16_777.217_f32)),
        ),
        (
            "DOUBLE",
            "DOUBLE",
            "1.7976931348623157e308",
            Value::double(f64::MAX),
        ),
        ("DOUBLE", "DOUBLE", "0.1", Value::double(0.1)),
        (
            "DECIMAL(38, 10)",
            "DECIMAL(38, 10)",
            "-1234567890123456789012345678.0123456789",
            decimal(-12_345_678_901_234_567_890_123_456_780_123_456_789),
        ),
        (
            "DECIMAL(65, 30)",
            "STRING",
            "12345678901234567890123456789012345.123456789012345678901234567890",
            text("12345678901234567890123456789012345.123456789012345678901234567890"),
        ),
        ("DECIMAL(4, 4)", "STRING", "-0.0001", text("-0.0001")),
        ("DECIMAL(5, 0)", "DECIMAL(6, 1)", "0", decimal(0)),
        ("VARCHAR(10)", "STRING", "'ünï😀'", text("ünï😀")),
        (
            "VARCHAR(300) CHARACTER SET latin1",
            "STRING",
            "'é€'",
            text("é€"),
        ),
        ("CHAR(5)", "STRING", "'a b  '", text("a b")),
        (
            "CHAR(200) CHARACTER SET utf8mb4",
            "STRING",
            "'long'",
            text("long"),
        ),
        ("VARCHAR(10) CHARACTER SET ucs2", "STRING", "'ü'", text("ü")),
        (
            "TEXT",
            "STRING",
            "repeat('x', 1000)",
            text(&"x".repeat(1000)),
        ),
        ("LONGTEXT CHARACTER SET latin1", "STRING", "'ß'", text("ß")),
        (
            "JSON",
            "STRING",
            "'{\"a\": [1, null]}'",
            text("{\"a\": [1, null]}"),
        ),
        ("ENUM('x', 'ä')", "STRING", "'ä'", text("ä")),
        (
            "ENUM('x', 'é') CHARACTER SET latin1",
            "STRING",
            "'é'",
            text("é"),
        ),
        ("SET('a', 'b', 'c')", "STRING", "'c,a'", text("a,c")),
        (
            "SET('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i')",
            "STRING",
            "'i,a'",
            text("a,i"),
        ),
        ("BINARY(4)", "BYTES", "x'0a00'", bytes(&[10, 0, 0, 0])),
        ("VARBINARY(4)", "BYTES", "x'0a00'", bytes(&[10, 0])),
        ("BLOB", "BYTES", "x'00ff'", bytes(&[0, 255])),
        ("BIT(1)", "BOOLEAN", "b'1'", Value::Boolean(true)),
        ("BIT(12)", "BIGINT", "b'100000000001'", whole(2_049)),
        ("BIT(63)", "BIGINT", "9223372036854775807", whole(i64::MAX)),
        (
            "DATE",
            "DATE",
            "'2024-02-29'",
            Value::Date(parse_date("2024-02-29").unwrap()),
        ),
        (
            "DATE",
            "DATE",
            "'9999-12-31'",
            Value::Date(parse_date("9999-12-31").unwrap()),
        ),
        (
            "DATETIME",
            "TIMESTAMP",
            "'2026-07-01 12:30:00'",
            at("2026-07-01T10:30:00"),
        ),
        (
            "DATETIME(6)",
            "TIMESTAMP",
            "'2026-01-01 00:00:00.000001'",
            at("2025-12-31T23:00:00.000001"),
        ),
        (
            "DATETIME(3)",
            "TIMESTAMP",
            "'1000-01-01 00:00:00.5'",
            at("0999-12-31T23:06:32.5"),
        ),
        (
            "TIMESTAMP NULL",
            "TIMESTAMP",
            "'2026-07-01 12:30:00'",
            at("2026-07-01T12:30:00"),
        ),
        (
            "TIMESTAMP(2) NULL",
            "TIMESTAMP",
            "'2026-07-01 12:30:00.25'",
            at("2026-07-01T12:30:00.25"),
        ),
        ("TIME", "BIGINT", "'-838:59:59'", whole(-3_020_399_000_000)),
        (
            "TIME(6)",
            "STRING",
            "'-00:00:00.000001'",
            text("-00:00:00.000001"),
        ),
        (
            "TIME(3)",
            "STRING",
            "'100:00:00.125'",
            text("100:00:00.125000"),
        ),
        ("TIME(1)", "BIGINT", "'-01:00:00.5'", whole(-3_600_500_000)),
    ]
}

pub(super) fn every_type_is_exact(database: &Database) {
    let zoo = zoo();
    let (mut types, mut declared, mut values) = (String::new(), String::new(), String::new());
    for (i, (on_server, ours, value, _)) in zoo.iter().enumerate() {
        types.push_str(&format!(", c{i} {on_server}"));
        declared.push_str(&format!(", c{i} {ours}"));
        values.push_str(&format!(", {value}"));
    }
    let nulls = ", NULL".repeat(zoo.len());
    let statements = |id: u32| {
        format!(
            "SET NAMES utf8mb4; SET time_zone = '+00:00'; USE zoo; INSERT INTO t VALUES ({id}{values}), ({}{nulls});",
            id + 1
        )
    };
    database.sql(&format!(
        "CREATE DATABASE zoo CHARACTER SET utf8mb4; USE zoo; CREATE TABLE t (id BIGINT PRIMARY KEY{types}); {}",
        statements(1)
    ));
    let columns = format!("id BIGINT{declared}");
    let world = World::new(database, "zoo.t", &columns, ", zone = 'Europe/Berlin'");
    world.capture(Start::GoOn).unwrap();
    database.sql(&statements(3));
    world.capture(Start::GoOn).unwrap();
    assert_eq!(world.dead_letters(), Vec::<String>::new());
    let rows = world.live(zoo.len() + 1);
    assert_eq!(rows.len(), 4);
    for row in &rows {
        let is_null = matches!(row[0], Value::BigInt(2 | 4));
        for (i, (on_server, ours, _, wanted)) in zoo.iter().enumerate() {
            let wanted = if is_null { &Value::Null } else { wanted };
            let from = if matches!(row[0], Value::BigInt(1 | 2)) {
                "snapshot"
            } else {
                "log"
            };
            assert_eq!(&row[i + 1], wanted, "{on_server} as {ours} from the {from}");
        }
    }
    // A snapshot has nothing to add to what the log said.
    let report = world.capture(Start::Snapshot).unwrap();
    assert_eq!(report.ingest.rows, 0);
}

pub(super) fn zero_dates(database: &Database) {
    database.sql(
        "CREATE DATABASE zeros; USE zeros; SET sql_mode = '';
         CREATE TABLE t (id BIGINT PRIMARY KEY, d DATE, at DATETIME, ts TIMESTAMP NULL);
         INSERT INTO t VALUES (1, '0000-00-00', '2026-01-00 00:00:00', '0000-00-00 00:00:00');",
    );
    let columns = "id BIGINT, d DATE, at TIMESTAMP, ts TIMESTAMP";
    let nulls = World::new(database, "zeros.t", columns, ", zero_dates = 'null'");
    let refuses = World::new(database, "zeros.t", columns, "");
    for world in [&nulls, &refuses] {
        world.capture(Start::GoOn).unwrap();
    }
    database.sql(
        "USE zeros; SET sql_mode = '';
         INSERT INTO t VALUES (2, '0000-00-00', '2026-01-00 00:00:00', '0000-00-00 00:00:00');
         INSERT INTO t VALUES (3, '2026-01-01', NULL, NULL); UPDATE t SET d = '0000-00-00' WHERE id = 3;
         DELETE FROM t WHERE id = 3;",
    );
    for world in [&nulls, &refuses] {
        world.capture(Start::GoOn).unwrap();
    }
    let row = |id| vec![Value::BigInt(id), Value::Null, Value::Null, Value::Null];
    assert_eq!(nulls.live(4), [row(1), row(2)]);
    let letters = refuses.dead_letters();
    assert_eq!(letters.len(), 3, "{letters:?}");
    assert!(
        letters
            .iter()
            .all(|l| l.contains("`0000-00-00` is no date: zero_dates = 'null'")),
        "{letters:?}"
    );
    // The end of a row does not fail for what it was.
    assert!(refuses.live(4).is_empty());
    // A row that is refused later stays as it was, also for a snapshot.
    database.sql("USE zeros; INSERT INTO t VALUES (5, '2026-01-01', NULL, NULL);");
    refuses.capture(Start::GoOn).unwrap();
    database.sql("USE zeros; SET sql_mode = ''; UPDATE t SET d = '0000-00-00' WHERE id = 5;");
    refuses.capture(Start::GoOn).unwrap();
    refuses.capture(Start::Snapshot).unwrap();
    assert_eq!(refuses.live(1), [[Value::BigInt(5)]]);
}
