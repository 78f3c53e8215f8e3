//! What happened to a table, in the order in which it happened.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use evenkeel_capture::Start;
use evenkeel_engine::{ComparisonRecord, Project};
use evenkeel_types::{EventTime, Operation, Value};

use crate::database::Database;
use crate::world::World;

pub(super) const COLUMNS: &str = "id BIGINT, v STRING";
/// A table whose server keeps its history itself, by triggers.
pub(super) const TOLD: &str = "
CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40));
CREATE TABLE told (n BIGINT PRIMARY KEY AUTO_INCREMENT, op CHAR(1), id BIGINT, v VARCHAR(40));
CREATE TRIGGER a AFTER INSERT ON t FOR EACH ROW INSERT INTO told (op, id, v) VALUES ('c', NEW.id, NEW.v);
CREATE TRIGGER b AFTER UPDATE ON t FOR EACH ROW INSERT INTO told (op, id, v) VALUES ('u', NEW.id, NEW.v);
CREATE TRIGGER c AFTER DELETE ON t FOR EACH ROW INSERT INTO told (op, id, v) VALUES ('d', OLD.id, OLD.v);";

/// What the server says happened, by key: operation and value.
pub(super) fn told(database: &Database, name: &str) -> BTreeMap<i64, Vec<(String, String)>> {
    let mut told: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in database
        .sql(&format!("SELECT id, op, v FROM {name}.told ORDER BY n"))
        .lines()
    {
        let parts: Vec<&str> = line.split('\t').collect();
        let [id, op, v] = parts[..] else {
            panic!("{line} is no row");
        };
        told.entry(id.parse().unwrap())
            .or_default()
            .push((op.to_owned(), v.to_owned()));
    }
    told
}

/// What the store says happened.
pub(super) fn stored(world: &World) -> BTreeMap<i64, Vec<(String, String)>> {
    let mut stored = BTreeMap::new();
    for versions in world.history().into_values() {
        let mut key = None;
        let of = |(operation, row): (Operation, Vec<Value>)| {
            let [Value::BigInt(id), Value::String(v), Value::String(op), ..] = &row[..] else {
                panic!("{row:?} is no row");
            };
            key = Some(*id);
            assert_eq!(
                operation == Operation::Delete,
                op.as_ref() == "d",
                "{row:?}"
            );
            (op.to_string(), v.to_string())
        };
        let versions: Vec<_> = versions.into_iter().map(of).collect();
        stored.insert(key.unwrap(), versions);
    }
    stored
}

pub(super) fn live(database: &Database, name: &str) -> Vec<Vec<Value>> {
    let rows = database.sql(&format!("SELECT id, v FROM {name}.t"));
    let row = |line: &str| {
        let (id, v) = line.split_once('\t').unwrap();
        vec![Value::BigInt(id.parse().unwrap()), Value::string(v)]
    };
    let mut rows: Vec<Vec<Value>> = rows.lines().map(row).collect();
    rows.sort_by_key(|row| format!("{row:?}"));
    rows
}

pub(super) fn snapshot_then_changes(database: &Database) {
    database.sql(&format!(
        "CREATE DATABASE first; USE first; {TOLD}
         INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'ü');"
    ));
    let world = World::new(database, "first.t", COLUMNS, "");
    let report = world.capture(Start::GoOn).unwrap();
    assert_eq!((report.ingest.recorded, report.snapshot_rows), (3, Some(3)));
    assert_eq!(world.live(2), live(database, "first"));
    // Nothing is known twice.
    let again = world.capture(Start::GoOn).unwrap();
    assert_eq!((again.ingest.rows, again.snapshot_rows), (0, None));
    database.sql(
        "USE first; TRUNCATE told; INSERT INTO t VALUES (4, 'd');
         UPDATE t SET v = 'B' WHERE id = 2; DELETE FROM t WHERE id = 1;
         BEGIN; UPDATE t SET v = 'x'; UPDATE t SET v = 'y' WHERE id = 3; COMMIT;
         BEGIN; DELETE FROM t; ROLLBACK;
         UPDATE t SET id = 9 WHERE id = 4;",
    );
    let report = world.capture(Start::GoOn).unwrap();
    assert_eq!(report.ingest.rejected_total(), 0);
    assert_eq!(world.live(2), live(database, "first"));
    let mut wanted = told(database, "first");
    // Another key is an end and a beginning.
    wanted.get_mut(&9).unwrap()[0].0 = "c".to_owned();
    wanted
        .get_mut(&4)
        .unwrap()
        .push(("d".to_owned(), "x".to_owned()));
    let mut found = stored(&world);
    found.retain(|_, versions| {
        versions.retain(|(op, _)| op != "r");
        !versions.is_empty()
    });
    assert_eq!(found, wanted);
}

pub(super) fn killed_again_and_again(database: &Database) {
    let seed: u64 = std::env::var("EVENKEEL_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("killed_again_and_again: EVENKEEL_SEED={seed}");
    database.sql(&format!("CREATE DATABASE killed; USE killed; {TOLD}"));
    let world = World::new(database, "killed.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    let mut client = database.client();
    let mut client = client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut statements = client.stdin.take().unwrap();
    let mut answers = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    writeln!(statements, "USE killed;").unwrap();
    for round in 0..12 {
        let mut child = world.child();
        let mut begun = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(begun.next().unwrap().unwrap(), "begun");
        let changes = 20 + next(200);
        let killed_at = next(changes);
        for change in 0..changes {
            let (id, v) = (next(9), format!("{round}.{change}"));
            let statement = match next(5) {
                0 => format!("DELETE FROM t WHERE id = {id};"),
                1 => format!(
                    "BEGIN; REPLACE INTO t VALUES ({id}, 'a{v}'); UPDATE t SET v = 'b{v}'; COMMIT;"
                ),
                _ => {
                    format!("INSERT INTO t VALUES ({id}, '{v}') ON DUPLICATE KEY UPDATE v = '{v}';")
                }
            };
            writeln!(statements, "{statement}").unwrap();
            if change == killed_at {
                // Everything before it is done.
                writeln!(statements, "SELECT 'here';").unwrap();
                assert_eq!(answers.next().unwrap().unwrap(), "here");
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
    }
    writeln!(statements, "SELECT 'done';").unwrap();
    assert_eq!(answers.next().unwrap().unwrap(), "done");
    drop(statements);
    client.wait().unwrap();
    let report = world.capture(Start::GoOn).unwrap();
    assert_eq!(report.snapshot_rows, None);
    assert!(world.dead_letters().is_empty());
    // REPLACE is a deletion and an insertion to triggers, and may be an update to the log.
    let joined = |history: BTreeMap<i64, Vec<(String, String)>>| -> BTreeMap<i64, Vec<String>> {
        let versions = |versions: Vec<(String, String)>| {
            let mut states: Vec<String> = Vec::new();
            let mut versions = versions.into_iter().peekable();
            while let Some((op, v)) = versions.next() {
                let is_replaced = op == "d"
                    && versions
                        .peek()
                        .is_some_and(|(op, v)| op == "c" && v.starts_with('a'));
                if !is_replaced {
                    states.push(if op == "d" { "gone".to_owned() } else { v });
                }
            }
            states
        };
        history
            .into_iter()
            .map(|(id, found)| (id, versions(found)))
            .collect()
    };
    assert_eq!(joined(stored(&world)), joined(told(database, "killed")));
    assert_eq!(world.live(2), live(database, "killed"));
}

pub(super) fn one_large_transaction(database: &Database) {
    database.sql(
        "CREATE DATABASE large; USE large; CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40));
         CREATE TABLE numbers (n BIGINT PRIMARY KEY); INSERT INTO numbers VALUES (1), (2), (3);
         ",
    );
    for _ in 0..4 {
        database.sql(
            "USE large; SET @n = (SELECT count(*) FROM numbers);
             INSERT INTO numbers SELECT a.n * @n + b.n FROM numbers a, numbers b WHERE a.n <= 30000 DIV @n AND a.n * @n + b.n <= 30000;",
        );
    }
    let numbers = database.sql("SELECT count(*) FROM large.numbers");
    assert_eq!(numbers.trim(), "30000");
    let world = World::new(database, "large.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    database.sql(
        "USE large; BEGIN; INSERT INTO t SELECT n, concat('row ', n) FROM numbers;
         UPDATE t SET v = 'even' WHERE id % 2 = 0; DELETE FROM t WHERE id % 3 = 0; COMMIT;",
    );
    let report = world.capture(Start::GoOn).unwrap();
    assert_eq!(report.ingest.recorded, 30_000 + 15_000 + 10_000);
    assert_eq!(world.live(2), live(database, "large"));
    let times: std::collections::BTreeSet<String> = (world.history().values().flatten())
        .map(|(_, row)| format!("{:?}", row[3]))
        .collect();
    assert_eq!(
        times.len(),
        1,
        "all of it was committed at one time: {times:?}"
    );
}

/// A statement that waited for a lock began before what it waited for was committed.
pub(super) fn who_waited_is_later(database: &Database) {
    database.sql(
        "CREATE DATABASE waits; USE waits; CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40));
         INSERT INTO t VALUES (1, 'a');",
    );
    let world = World::new(database, "waits.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    let connection = |statements: &str| {
        let mut command = database.client();
        let mut client = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        client
            .stdin
            .as_mut()
            .unwrap()
            .write_all(statements.as_bytes())
            .unwrap();
        client
    };
    let mut first =
        connection("USE waits; BEGIN; UPDATE t SET v = 'first' WHERE id = 1; SELECT 'locked';\n");
    let mut locked = BufReader::new(first.stdout.take().unwrap()).lines();
    assert_eq!(locked.next().unwrap().unwrap(), "locked");
    let mut second = connection("USE waits; UPDATE t SET v = 'second' WHERE id = 1;\n");
    // It waits in the server. (`INNODB_TRX` would be a copy that is not made anew for who asks often.)
    let waiting = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'";
    while !database.sql(waiting).trim().ends_with("\t1") {
        assert!(second.try_wait().unwrap().is_none());
    }
    first
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"DO SLEEP(2); COMMIT;\n")
        .unwrap();
    drop(first.stdin.take());
    drop(second.stdin.take());
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    world.capture(Start::GoOn).unwrap();
    let versions: Vec<String> = (world.history().into_values().flatten())
        .map(|(_, row)| format!("{:?}", row[1]))
        .collect();
    assert!(versions[2].contains("second"), "{versions:?}");
    assert_eq!(world.live(2), live(database, "waits"));
}

pub(super) fn a_snapshot_is_a_difference(database: &Database) {
    database.sql(
        "CREATE DATABASE differs; USE differs; CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40));
         INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');",
    );
    let world = World::new(
        database,
        "differs.t",
        COLUMNS,
        ", snapshot_time = '2020-01-01'",
    );
    world.capture(Start::GoOn).unwrap();
    let first = world.history();
    assert!(
        first
            .values()
            .flatten()
            .all(|(_, row)| row[3] == Value::Timestamp(1_577_836_800_000_000))
    );
    let report = world.capture(Start::Snapshot).unwrap();
    assert_eq!((report.ingest.recorded, report.snapshot_rows), (0, Some(3)));
    database.sql("USE differs; UPDATE t SET v = 'B' WHERE id = 2; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (4, 'd');");
    let report = world.capture(Start::Snapshot).unwrap();
    assert_eq!(report.ingest.recorded, 3);
    assert_eq!(world.live(2), live(database, "differs"));
    // At one place of the log, again and again: two snapshots have no name in common.
    for v in ["x", "y"] {
        database.sql(&format!(
            "USE differs; SET SESSION sql_log_bin = 0; UPDATE t SET v = '{v}';"
        ));
        let report = world.capture(Start::Snapshot).unwrap();
        assert_eq!((report.ingest.recorded, report.ingest.conflicts), (3, 0));
        assert_eq!(world.live(2), live(database, "differs"));
    }
    // What was true before it stays.
    let now = world.history();
    assert_eq!(first["BigInt(3)"][0], now["BigInt(3)"][0]);
    assert_eq!(now["BigInt(3)"][1].0, Operation::Delete);
}

pub(super) fn files_are_rotated(database: &Database) {
    database.sql("CREATE DATABASE rotated; USE rotated; CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40));");
    let world = World::new(database, "rotated.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    for round in 0..3 {
        database.sql(&format!(
            "USE rotated; REPLACE INTO t VALUES (1, '{round}'); FLUSH BINARY LOGS;
             REPLACE INTO t VALUES (1, 'behind {round}');"
        ));
    }
    let report = world.capture(Start::GoOn).unwrap();
    assert_eq!(report.ingest.recorded, 6);
    assert_eq!(world.live(2), live(database, "rotated"));
    let again = world.capture(Start::GoOn).unwrap();
    assert_eq!(again.ingest.rows, 0);
}

pub(super) fn a_backup_goes_on(database: &Database) {
    database.sql(
        "CREATE DATABASE kept; USE kept; CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40));
         INSERT INTO t VALUES (1, 'a');",
    );
    let world = World::new(database, "kept.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    database.sql("USE kept; INSERT INTO t VALUES (2, 'b');");
    world.capture(Start::GoOn).unwrap();
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("copy");
    let project = |world: &World| Project::open(world.folder.path(), None).unwrap();
    evenkeel_engine::backup(&project(&world), &copy, &mut |_, _| ()).unwrap();
    database.sql("USE kept; UPDATE t SET v = 'c'; DELETE FROM t WHERE id = 1;");
    world.capture(Start::GoOn).unwrap();
    let restored = World {
        folder: tempfile::tempdir().unwrap(),
    };
    let definitions = |world: &World| world.folder.path().join("t.sql");
    std::fs::copy(definitions(&world), definitions(&restored)).unwrap();
    evenkeel_engine::restore(&project(&restored), &copy).unwrap();
    let report = restored.capture(Start::GoOn).unwrap();
    assert_eq!((report.ingest.recorded, report.snapshot_rows), (3, None));
    assert_eq!(restored.history(), world.history());
}

pub(super) fn a_follower_compares_when_it_is_due(database: &Database) {
    database.sql(
        "CREATE DATABASE nightly; USE nightly; CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40));
         INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');",
    );
    let world = World::new(
        database,
        "nightly.t",
        COLUMNS,
        ", compare_schedule = '0 0 1 1 *'",
    );
    let store = world.folder.path().join(".evenkeel");
    let compared = || ComparisonRecord::read(&store, "t").unwrap();
    world.capture(Start::GoOn).unwrap();
    // Rows that no log tells of.
    database.sql(
        "USE nightly; SET SESSION sql_log_bin = 0; UPDATE t SET v = 'B' WHERE id = 2; DELETE FROM t WHERE id = 3;
         SET SESSION sql_log_bin = 1; INSERT INTO t VALUES (4, 'd');",
    );
    world.capture(Start::GoOn).unwrap();
    let missed = |world: &World| live(database, "nightly") != world.live(2);
    assert!(missed(&world));
    assert_eq!(compared(), None);
    // As if it had been compared long ago.
    ComparisonRecord::add(&store, "t", EventTime(0), 0).unwrap();
    let report = world.capture(Start::GoOn).unwrap();
    assert!(!missed(&world));
    assert_eq!(report.ingest.recorded, 2);
    assert_eq!(compared().map(|record| record.differences), Some(2));
}
