//! What cannot be followed is said, with what to do, and a new snapshot puts it right.

use evenkeel_capture::Start;
use evenkeel_types::Value;

use crate::database::{Database, Product};
use crate::world::World;

const COLUMNS: &str = "id BIGINT, v STRING";

pub(super) fn refused(world: &World) -> String {
    match world.capture(Start::GoOn) {
        Ok(report) => panic!("it was not refused: {report:?}"),
        Err(failed) => failed.0,
    }
}

pub(super) fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

pub(super) fn tables_that_are_altered(database: &Database) {
    database.sql(
        "CREATE DATABASE altered; USE altered;
         CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40)); INSERT INTO t VALUES (1, 'a');",
    );
    let world = World::new(database, "altered.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    // What nobody asks for may come and go, and texts may be longer.
    database.sql(
        "USE altered; INSERT INTO t VALUES (2, 'b'); ALTER TABLE t ADD COLUMN w INT FIRST;
         INSERT INTO t (id, v) VALUES (3, 'c'); ALTER TABLE t MODIFY v VARCHAR(400), DROP COLUMN w;
         INSERT INTO t VALUES (4, 'd');",
    );
    world.capture(Start::GoOn).unwrap();
    assert_eq!(world.live(2).len(), 4);
    database.sql(
        "USE altered; INSERT INTO t VALUES (5, 'e'); ALTER TABLE t CHANGE v u VARCHAR(400);
         INSERT INTO t VALUES (6, 'f');",
    );
    // The table is not what the source declares.
    has(&refused(&world), &["altered.t", "no column `v`", "id, u"]);
    database
        .sql("USE altered; ALTER TABLE t CHANGE u v VARCHAR(400); INSERT INTO t VALUES (7, 'g');");
    // And was not in between.
    let reason = refused(&world);
    has(
        &reason,
        &[
            "ALTER TABLE t CHANGE v u",
            "binlog.00",
            "no column `v` any more",
            "--snapshot",
        ],
    );
    // What was before it is there.
    assert_eq!(world.live(2).len(), 5);
    has(&refused(&world), &["no column `v` any more", "--snapshot"]);
    world.capture(Start::Snapshot).unwrap();
    assert_eq!(world.live(2).len(), 7);
    // Values of another type are other values.
    database.sql("USE altered; ALTER TABLE t MODIFY v ENUM('a', 'b', 'c', 'd', 'e', 'f', 'g'); INSERT INTO t VALUES (8, 'a');");
    world.capture(Start::GoOn).unwrap_err();
}

pub(super) fn rows_that_go_untold(database: &Database) {
    let is_mariadb = database.product == Product::MariaDb;
    for (number, statement) in [
        "TRUNCATE t",
        "CREATE OR REPLACE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40))",
        "SET SESSION binlog_format = STATEMENT; UPDATE t SET v = 'x'",
        "RENAME TABLE t TO old; CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40))",
    ]
    .into_iter()
    // MySQL does not know that one.
    .filter(|statement| is_mariadb || !statement.contains("OR REPLACE"))
    .enumerate()
    {
        let name = format!("untold{number}");
        database.sql(&format!(
            "CREATE DATABASE {name}; USE {name};
             CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40)); INSERT INTO t VALUES (1, 'a');"
        ));
        let world = World::new(database, &format!("{name}.t"), COLUMNS, "");
        world.capture(Start::GoOn).unwrap();
        database.sql(&format!("USE {name}; INSERT INTO t VALUES (2, 'b'); {statement}; REPLACE INTO t VALUES (3, 'c');"));
        has(
            &refused(&world),
            &[
                "without a row of the log",
                &format!("{name}.t"),
                "--snapshot",
            ],
        );
        assert_eq!(world.live(2).len(), 2, "{statement}");
        world.capture(Start::Snapshot).unwrap();
        let rows = database.sql(&format!("SELECT count(*) FROM {name}.t"));
        assert_eq!(world.live(2).len().to_string(), rows.trim(), "{statement}");
    }
}

pub(super) fn a_binlog_that_was_purged(database: &Database) {
    database.sql(
        "CREATE DATABASE purged; USE purged;
         CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40)); INSERT INTO t VALUES (1, 'a');",
    );
    let world = World::new(database, "purged.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    database.sql("USE purged; UPDATE t SET v = 'b'; FLUSH BINARY LOGS; UPDATE t SET v = 'c';");
    // Nobody reads what is purged.
    let readers =
        "SELECT count(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
    while database.sql(readers).trim() != "0" {}
    let last = database.sql("SHOW BINARY LOGS");
    let last = last.lines().last().unwrap().split('\t').next().unwrap();
    // It goes as soon as the tables are durable without it.
    while !database.sql("SHOW BINARY LOGS").starts_with(last) {
        database.sql(&format!("PURGE BINARY LOGS TO '{last}'"));
    }
    has(
        &refused(&world),
        &[
            "no binlog `binlog.",
            "any more",
            "--snapshot",
            "binlog_expire_logs_seconds",
        ],
    );
    world.capture(Start::Snapshot).unwrap();
    assert_eq!(world.live(2), [vec![Value::BigInt(1), Value::string("c")]]);
}

pub(super) fn servers_that_cannot_be_followed(database: &Database) {
    database.sql(
        "CREATE DATABASE refuses; USE refuses; CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40));
         CREATE TABLE old (id BIGINT PRIMARY KEY, v VARCHAR(40)) ENGINE = MyISAM;
         CREATE TABLE wide (id BIGINT PRIMARY KEY, v VARCHAR(40) CHARACTER SET gbk);
         CREATE TABLE other (id BIGINT PRIMARY KEY, v DOUBLE);
         CREATE VIEW seen AS SELECT * FROM t;
         CREATE TABLE below (id BIGINT PRIMARY KEY, v VARCHAR(40), t BIGINT,
           CONSTRAINT chain FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE);",
    );
    let of = |table: &str| World::new(database, table, COLUMNS, "");
    has(&refused(&of("refuses.old")), &["MyISAM", "InnoDB"]);
    has(
        &refused(&of("refuses.none")),
        &["no table `refuses.none`", "GRANT SELECT"],
    );
    has(
        &refused(&of("refuses.wide")),
        &["`v`", "character set", "utf8mb4"],
    );
    has(
        &refused(&of("refuses.other")),
        &["`v`", "double", "STRING", "declare DOUBLE"],
    );
    has(&refused(&of("refuses.seen")), &["view"]);
    has(
        &refused(&of("refuses.below")),
        &["foreign key `chain`", "RESTRICT"],
    );
    let world = of("refuses.t");
    let is_mariadb = database.product == Product::MariaDb;
    for (variable, value) in [
        ("binlog_format", "MIXED"),
        ("binlog_row_image", "MINIMAL"),
        ("binlog_row_metadata", "MINIMAL"),
        ("log_bin_compress", "ON"),
    ]
    .into_iter()
    .filter(|(variable, _)| is_mariadb || *variable != "log_bin_compress")
    {
        let before = database.sql(&format!("SELECT @@global.{variable}"));
        database.sql(&format!("SET GLOBAL {variable} = '{value}'"));
        let reason = refused(&world);
        let before = if variable == "log_bin_compress" {
            "0"
        } else {
            before.trim()
        };
        database.sql(&format!(
            "SET GLOBAL {variable} = {}",
            if before == "0" {
                "0".to_owned()
            } else {
                format!("'{before}'")
            }
        ));
        has(&reason, &[variable, value, "set "]);
    }
    let monitor = if is_mariadb {
        "BINLOG MONITOR"
    } else {
        "REPLICATION CLIENT"
    };
    let grant = format!("REPLICATION SLAVE, {monitor} ON *.*");
    database.sql(&format!("REVOKE {grant} FROM reader@'%'"));
    let reason = refused(&world);
    database.sql(&format!("GRANT {grant} TO reader@'%'"));
    has(&reason, &["GRANT REPLICATION SLAVE"]);
    let password = |password: &str| {
        database.sql(&format!("ALTER USER reader@'%' IDENTIFIED BY '{password}'"));
    };
    password("another");
    let reason = refused(&world);
    password("secret");
    has(&reason, &["the account", "1045"]);
    world.capture(Start::GoOn).unwrap();
}

pub(super) fn what_was_rolled_back(database: &Database) {
    database.sql(
        "CREATE DATABASE rolled; USE rolled;
         CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40)); INSERT INTO t VALUES (1, 'a');
         CREATE TABLE loose (i INT) ENGINE = MyISAM;",
    );
    let world = World::new(database, "rolled.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    for statements in [
        "BEGIN; CREATE TEMPORARY TABLE x (i INT); UPDATE t SET v = 'b'; ROLLBACK",
        "BEGIN; UPDATE t SET v = 'c'; INSERT INTO loose VALUES (1); ROLLBACK",
        "BEGIN; SAVEPOINT s; UPDATE t SET v = 'd'; INSERT INTO loose VALUES (1); ROLLBACK TO s; COMMIT",
    ] {
        database.sql(&format!("USE rolled; {statements};"));
        if let Err(failed) = world.capture(Start::GoOn) {
            // The log has rows that are not so.
            has(&failed.0, &["ROLLBACK", "--snapshot"]);
            world.capture(Start::Snapshot).unwrap();
        }
        let wanted = [vec![Value::BigInt(1), Value::string("a")]];
        assert_eq!(world.live(2), wanted, "{statements}");
    }
}

pub(super) fn another_table_and_another_log(database: &Database) {
    database.sql(
        "CREATE DATABASE another; USE another;
         CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40)); INSERT INTO t VALUES (1, 'a');
         CREATE TABLE u (id BIGINT PRIMARY KEY, v VARCHAR(40)); INSERT INTO u VALUES (2, 'b');",
    );
    let world = World::new(database, "another.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    world.define(database, "another.u", COLUMNS, "");
    has(&refused(&world), &["another.t", "another.u", "--snapshot"]);
    world.capture(Start::Snapshot).unwrap();
    assert_eq!(world.live(2), [vec![Value::BigInt(2), Value::string("b")]]);
    for v in ["c", "d"] {
        // A log that begins anew has files of the same names.
        database.reset_log();
        database.sql(&format!(
            "DO SLEEP(1.1); USE another; UPDATE u SET v = '{v}';
             UPDATE u SET v = '{v}{v}'; UPDATE u SET v = '{v}';"
        ));
        has(&refused(&world), &["--snapshot"]);
        world.capture(Start::Snapshot).unwrap();
        assert_eq!(world.live(2), [vec![Value::BigInt(2), Value::string(v)]]);
    }
}

pub(super) fn keys_that_cannot_be_read(database: &Database) {
    database.sql(
        "CREATE DATABASE narrow; USE narrow;
         CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40)); INSERT INTO t VALUES (1, 'a'), (9000000000, 'b');",
    );
    let world = World::new(database, "narrow.t", "id INT, v STRING", "");
    world.capture(Start::GoOn).unwrap();
    assert_eq!(world.live(2), [vec![Value::Int(1), Value::string("a")]]);
    database.sql("USE narrow; UPDATE t SET id = 9000000001 WHERE id = 1; UPDATE t SET id = 2 WHERE id = 9000000000;");
    world.capture(Start::GoOn).unwrap();
    assert_eq!(world.live(2), [vec![Value::Int(2), Value::string("b")]]);
    let letters = world.dead_letters();
    assert!(
        letters
            .iter()
            .all(|letter| letter.contains("outside the range of INT")),
        "{letters:?}"
    );
    assert_eq!(letters.len(), 2);
}
