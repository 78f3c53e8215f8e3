//! What MySQL has and MariaDB has not.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use evenkeel_capture::Start;
use evenkeel_types::Value;

use super::failover::GTIDS;
use super::history::{COLUMNS, TOLD, live, stored, told};
use super::refusals::{has, refused};
use crate::database::{Database, Product};
use crate::world::World;

/// Documents, in SQL.
fn documents() -> Vec<String> {
    let mut all: Vec<String> = [
        "NULL",
        "'null'",
        "'[true, false, null]'",
        "'[]'",
        "'{}'",
        "'\"\"'",
        "'[0, -1, 32767, 32768, -32768, -32769, 65535, 65536]'",
        "'[2147483647, 2147483648, -2147483649, 4294967295, 4294967296]'",
        "'[9223372036854775808, 18446744073709551615, -9223372036854775808, 18446744073709551616]'",
        "'[1.0, -0.0, 1e14, 1e15, 1e16, 123456789012345678e0, 1e-14, 1e-15, 1e-16, -2.5e-300, 5e-324, 1.7976931348623157e308]'",
        "'{\"bb\": {\"c\": [1, {\"d\": []}]}, \"a\": \"x\", \"\": 7, \"ü😀\": 1.5}'",
        "JSON_ARRAY(CAST(1.10 AS DECIMAL(5, 2)), CAST(-0.5 AS DECIMAL(65, 30)), 12345678901234567890.123, CAST(0 AS DECIMAL(9, 0)))",
        "JSON_ARRAY(CAST('2020-01-02' AS DATE), CAST('0000-00-00 00:00:00' AS DATETIME), CAST('9999-12-31 23:59:59.999999' AS DATETIME(6)))",
        "JSON_ARRAY(CAST('00:00:00' AS TIME), CAST('-12:34:56.789' AS TIME(3)), CAST('-838:59:59' AS TIME), CAST('100:00:00.5' AS TIME(1)))",
        "JSON_ARRAY(CAST(x'00ff10' AS BINARY), CAST('' AS BINARY), CAST(REPEAT('z', 57) AS BINARY), CAST(REPEAT('z', 500) AS BINARY), b'1010')",
        "CAST(ST_GeomFromText('LINESTRING(0 1, 2.5 -3)') AS JSON)",
        "JSON_ARRAY(CHAR(0, 1, 8, 9, 10, 11, 12, 13, 31, 34, 39, 47, 92, 127 USING utf8mb4), 'ü\\\\😀')",
        "CONCAT(REPEAT('[', 100), REPEAT(']', 100))",
        "JSON_OBJECT(REPEAT('k', 300), REPEAT('v', 127), 'v', REPEAT('v', 128), 'w', REPEAT('w', 16384))",
        "JSON_ARRAY(REPEAT('x', 70000), 1, -1, 70000, 3000000000, 5000000000, NULL, 1.5, JSON_ARRAY(1, 2), JSON_OBJECT('a', 'b'))",
        "(SELECT JSON_OBJECTAGG(CONCAT('key', n), IF(n % 3, n * 1000, CONCAT('v', n))) FROM numbers)",
        "(SELECT JSON_ARRAYAGG(JSON_OBJECT('n', n, 'x', n / 7)) FROM numbers)",
    ]
    .map(str::to_owned)
    .to_vec();
    // Numbers of all sizes: what their shortest digits are.
    for exponents in 0..20 {
        all.push(format!(
            "(SELECT JSON_ARRAYAGG(RAND({exponents} * 1000 + n) * POW(10, n % 60 - 30)) FROM numbers)"
        ));
        all.push(format!(
            "(SELECT JSON_ARRAYAGG(IF(n % 2, 1, -1) * POW(2, {exponents} * 100 + n % 100 - 1050)) FROM numbers)"
        ));
    }
    all
}

pub(super) fn every_json_is_exact(database: &Database) {
    database.sql(
        "CREATE DATABASE documents; USE documents; CREATE TABLE t (id BIGINT PRIMARY KEY, j JSON);
         CREATE TABLE numbers (n BIGINT PRIMARY KEY); INSERT INTO numbers VALUES (1), (2), (3), (4), (5), (6);
         INSERT INTO numbers SELECT a.n * 6 + b.n FROM numbers a, numbers b;
         INSERT INTO numbers SELECT a.n * 100 + b.n FROM numbers a, numbers b;",
    );
    let documents = documents();
    let insert = |first: usize| {
        let mut statements = "USE documents; SET sql_mode = '';".to_owned();
        for (i, document) in documents.iter().enumerate() {
            statements.push_str(&format!(
                "INSERT INTO t VALUES ({}, {document});\n",
                first + i
            ));
        }
        database.sql(&statements);
    };
    insert(0);
    let world = World::new(database, "documents.t", "id BIGINT, j STRING", "");
    world.capture(Start::GoOn).unwrap();
    insert(1_000);
    // What is changed in a part is logged as a whole.
    database.sql("USE documents; INSERT INTO t SELECT id + 2000, j FROM t WHERE id < 20; UPDATE t SET j = JSON_SET(j, '$[1]', 'y', '$.a', 8) WHERE id >= 2000;");
    world.capture(Start::GoOn).unwrap();
    assert_eq!(world.dead_letters(), Vec::<String>::new());
    let texts =
        database.sql("SELECT id, HEX(CAST(j AS CHAR CHARACTER SET utf8mb4)) FROM documents.t");
    let of_server: BTreeMap<String, &str> = (texts.lines())
        .map(|line| line.split_once('\t').unwrap())
        .map(|(id, hex)| (id.to_owned(), hex))
        .collect();
    let rows = world.live(2);
    assert_eq!(rows.len(), of_server.len());
    for row in &rows {
        let (id, found) = match &row[..] {
            [Value::BigInt(id), Value::String(text)] => {
                let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
                (id, hex)
            }
            [Value::BigInt(id), Value::Null] => (id, "NULL".to_owned()),
            other => panic!("{other:?} is no row"),
        };
        let number = usize::try_from(*id).unwrap() % 1_000;
        let wanted = of_server[&id.to_string()];
        assert!(
            found == wanted,
            "{id}: {:.300}\n{found:.3000}\n{wanted:.3000}",
            documents[number]
        );
    }
    // A snapshot has nothing to add to what the log said.
    let report = world.capture(Start::Snapshot).unwrap();
    assert_eq!(report.ingest.rows, 0);
}

pub(super) fn passwords(database: &Database) {
    database.sql(
        "CREATE DATABASE shown; USE shown; CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40));
         INSERT INTO t VALUES (1, 'a');
         CREATE USER cached@'%' IDENTIFIED WITH caching_sha2_password BY 'secret';
         CREATE USER other@'%' IDENTIFIED WITH sha256_password BY 'secret';
         CREATE USER old@'%' IDENTIFIED WITH mysql_native_password BY 'secret';
         GRANT REPLICATION SLAVE, REPLICATION CLIENT, RELOAD, SELECT ON *.* TO cached@'%', other@'%', old@'%';",
    );
    let world = World::new(database, "shown.t", COLUMNS, "");
    let by = |account: &str, options: &str| {
        world.define_for(account, database, "shown.t", COLUMNS, options);
    };
    by("cached", "");
    has(&refused(&world), &["server_key = 'ask'", "public_key.pem"]);
    by("cached", ", server_key = 'ask'");
    world.capture(Start::GoOn).unwrap();
    // The server knows it now.
    by("cached", "");
    world.capture(Start::GoOn).unwrap();
    database.sql("FLUSH PRIVILEGES");
    has(&refused(&world), &["server_key"]);
    by("cached", ", server_key = 'key.pem'");
    has(&refused(&world), &["cannot read `key.pem`"]);
    let key = database.folder.path().join("data/public_key.pem");
    std::fs::copy(key, world.folder.path().join("key.pem")).unwrap();
    world.capture(Start::GoOn).unwrap();
    database.sql("ALTER USER cached@'%' IDENTIFIED BY 'another'");
    has(&refused(&world), &["the account", "1045"]);
    // Another server's key.
    let other = include_str!("other_key.pem");
    std::fs::write(world.folder.path().join("key.pem"), other).unwrap();
    database.sql("ALTER USER cached@'%' IDENTIFIED BY 'secret'");
    has(&refused(&world), &["the account", "1045"]);
    std::fs::write(world.folder.path().join("key.pem"), "no key").unwrap();
    has(&refused(&world), &["its key"]);
    by("old", "");
    world.capture(Start::GoOn).unwrap();
    by("other", "");
    has(
        &refused(&world),
        &["sha256_password", "caching_sha2_password"],
    );
}

pub(super) fn packed_transactions(database: &Database) {
    database.sql(&format!("CREATE DATABASE packed; USE packed; {TOLD}"));
    let world = World::new(database, "packed.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    let before = world.record();
    database.sql(
        "USE packed; SET SESSION binlog_transaction_compression = ON;
         INSERT INTO t VALUES (1, 'a'), (2, REPEAT('b', 40)), (3, 'c');
         BEGIN; UPDATE t SET v = REPEAT('x', 30); UPDATE t SET v = 'y' WHERE id = 2; DELETE FROM t WHERE id = 3;
         UPDATE t SET v = 'z'; COMMIT; CREATE TABLE other (i INT); INSERT INTO other VALUES (1);
         SET SESSION binlog_transaction_compression = OFF; UPDATE t SET v = 'plain' WHERE id = 1;
         SET SESSION binlog_transaction_compression = ON; INSERT INTO t SELECT 100 + a.n * 6 + b.n, REPEAT('s', 40)
           FROM (SELECT 1 n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) a,
                (SELECT 1 n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) b;",
    );
    let report = world.capture(Start::GoOn).unwrap();
    assert_eq!(report.ingest.conflicts, 0);
    let found = stored(&world);
    assert_eq!(found, told(database, "packed"));
    assert_eq!(world.live(2), live(database, "packed"));
    // What is read again has the same names.
    world.set_record(&before);
    let again = world.capture(Start::GoOn).unwrap();
    assert_eq!((again.ingest.recorded, again.ingest.conflicts), (0, 0));
    assert_eq!(again.ingest.rows, report.ingest.rows);
    assert_eq!(stored(&world), found);
}

pub(super) fn rows_in_parts(database: &Database) {
    database.sql(
        "CREATE DATABASE parts; USE parts; CREATE TABLE t (id BIGINT PRIMARY KEY, j JSON);
         CREATE TABLE other (id BIGINT PRIMARY KEY, j JSON);
         INSERT INTO t VALUES (1, '{\"a\": 1, \"b\": 2}'); INSERT INTO other SELECT * FROM t;",
    );
    let world = World::new(database, "parts.t", "id BIGINT, j STRING", "");
    world.capture(Start::GoOn).unwrap();
    let update = |table: &str| {
        database.sql(&format!(
            "USE parts; SET SESSION binlog_row_value_options = 'PARTIAL_JSON';
             UPDATE {table} SET j = JSON_SET(j, '$.a', 3);"
        ));
    };
    update("other");
    world.capture(Start::GoOn).unwrap();
    update("t");
    has(
        &refused(&world),
        &["parts alone", "PARTIAL_JSON", "--snapshot"],
    );
    world.capture(Start::Snapshot).unwrap();
    let wanted = vec![Value::BigInt(1), Value::string("{\"a\": 3, \"b\": 2}")];
    assert_eq!(world.live(2), [wanted]);
}

pub(super) fn columns_that_nobody_asks_for(database: &Database) {
    let members: Vec<String> = (0..64).map(|i| format!("'m{i}'")).collect();
    database.sql(&format!(
        "CREATE DATABASE others; USE others;
         CREATE TABLE t (g GEOMETRY, j JSON, y YEAR, a INT UNSIGNED, b BIGINT AS (a + 1) VIRTUAL, c BIGINT AS (a + 2) STORED,
           hidden INT INVISIBLE DEFAULT 7, s SET({}), bits BIT(64), bytes VARBINARY(300), gbk VARCHAR(9) CHARACTER SET gbk,
           many LONGBLOB, id BIGINT UNSIGNED PRIMARY KEY, v VARCHAR(40), w INT UNSIGNED,
           KEY ((a DIV 2)), KEY ((CAST(j->'$.z' AS UNSIGNED ARRAY))));",
        members.join(", ")
    ));
    let insert = |id: u32| {
        database.sql(&format!(
            "USE others; INSERT INTO t (g, j, y, a, s, bits, bytes, gbk, many, id, v, w) VALUES
               (POINT(1, 2), '{{\"z\": [1, 2]}}', 2026, 4294967290, 'm63,m0', ~0, x'00ff', '中', REPEAT('x', 300), {id}, 'v', 4294967295),
               (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, {}, NULL, NULL)",
            id + 1
        ));
    };
    insert(1);
    let columns = "id BIGINT, v STRING, w BIGINT, b BIGINT, hidden INT, s STRING";
    let world = World::new(database, "others.t", columns, "");
    world.capture(Start::GoOn).unwrap();
    insert(3);
    world.capture(Start::GoOn).unwrap();
    let row = |id: i64| {
        let b = Value::BigInt(4_294_967_291);
        let (v, s) = (Value::string("v"), Value::string("m0,m63"));
        vec![
            Value::BigInt(id),
            v,
            Value::BigInt(4_294_967_295),
            b,
            Value::Int(7),
            s,
        ]
    };
    let nulls = |id: i64| {
        let mut row = vec![Value::Null; 6];
        (row[0], row[4]) = (Value::BigInt(id), Value::Int(7));
        row
    };
    assert_eq!(world.live(6), [row(1), nulls(2), row(3), nulls(4)]);
    assert_eq!(world.capture(Start::Snapshot).unwrap().ingest.rows, 0);
}

/// Whatever the server had committed when it was killed is there once, whether rows are named by files or by GTIDs.
pub(super) fn the_database_is_killed(_: &Database) {
    for options in [&[][..], &GTIDS] {
        let mut database = Database::with_reader(Product::MySql, options);
        database.sql(&format!("CREATE DATABASE dies; USE dies; {TOLD}"));
        let world = World::new(&database, "dies.t", COLUMNS, "");
        world.capture(Start::GoOn).unwrap();
        for round in 0..3 {
            let mut child = world.child();
            let mut begun = BufReader::new(child.stdout.take().unwrap()).lines();
            assert_eq!(begun.next().unwrap().unwrap(), "begun");
            let mut client = database.client();
            let client = client.stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut client = client.stderr(Stdio::null()).spawn().unwrap();
            let mut statements = client.stdin.take().unwrap();
            let mut answers = BufReader::new(client.stdout.take().unwrap()).lines();
            writeln!(statements, "USE dies;").unwrap();
            for change in 0..60 {
                let id = change % 7;
                writeln!(
                    statements,
                    "BEGIN; INSERT INTO t VALUES ({id}, '{round}.{change}') ON DUPLICATE KEY UPDATE v = '{round}.{change}';
                     DELETE FROM t WHERE id = {}; COMMIT;",
                    (id + 3) % 7
                )
                .unwrap();
                if change == 20 + round * 10 {
                    writeln!(statements, "SELECT 'here';").unwrap();
                    assert_eq!(answers.next().unwrap().unwrap(), "here");
                    database.kill();
                    break;
                }
            }
            drop(statements);
            assert!(client.wait().is_ok());
            // It says that it lost the connection.
            assert!(!child.wait().unwrap().success());
            database.start_again(options);
            world.define(&database, "dies.t", COLUMNS, "");
        }
        let report = world.capture(Start::GoOn).unwrap();
        assert_eq!(report.snapshot_rows, None);
        assert_eq!(stored(&world), told(&database, "dies"));
        assert_eq!(world.live(2), live(&database, "dies"));
        assert_eq!(world.record().contains("gtids"), !options.is_empty());
    }
}
