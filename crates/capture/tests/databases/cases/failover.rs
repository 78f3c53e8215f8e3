//! Rows that are named by GTIDs: on whatever server they are read, they are the same.

use evenkeel_capture::Start;
use evenkeel_engine::ComparisonRecord;
use evenkeel_types::EventTime;

use super::history::{COLUMNS, TOLD, live, stored, told};
use super::refusals::{has, refused};
use crate::database::{Database, Product};
use crate::world::World;

pub(super) const GTIDS: [&str; 2] = ["--gtid-mode=ON", "--enforce-gtid-consistency=ON"];

fn changes(database: &Database, name: &str, round: u32) {
    database.sql(&format!(
        "USE {name}; INSERT INTO t VALUES ({round}1, 'a{round}'), ({round}2, 'b{round}'), ({round}3, 'c{round}');
         BEGIN; UPDATE t SET v = CONCAT(v, 'x'); UPDATE t SET v = CONCAT(v, 'y') WHERE id % 2 = 0;
         DELETE FROM t WHERE id = {round}1; COMMIT; UPDATE t SET v = 'z' WHERE id = {round}3;"
    ));
}

/// A second server follows the first, packs what it logs, and takes over when that dies.
pub(super) fn a_replica_takes_over(_: &Database) {
    let first = Database::with_reader(Product::MySql, &GTIDS);
    let packs = ["--server-id=2", "--binlog-transaction-compression=ON"];
    let mut second = Database::start_with(Product::MySql, &[&GTIDS[..], &packs].concat());
    first.sql(&format!(
        "CREATE USER replica@'%' IDENTIFIED BY 'secret';
         GRANT REPLICATION SLAVE ON *.* TO replica@'%'; CREATE DATABASE moves; USE moves; {TOLD}"
    ));
    second.sql(&format!(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {}, SOURCE_USER = 'replica',
           SOURCE_PASSWORD = 'secret', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1; START REPLICA;",
        first.port
    ));
    // Its files are others than those of the first.
    first.sql("FLUSH BINARY LOGS; FLUSH BINARY LOGS; FLUSH BINARY LOGS;");
    changes(&first, "moves", 1);
    let world = World::new(&first, "moves.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    let snapshot = stored(&world);
    first.sql("TRUNCATE moves.told");
    changes(&first, "moves", 2);
    world.capture(Start::GoOn).unwrap();
    let before = world.record();
    assert!(before.contains("\"gtids\""), "{before}");
    changes(&first, "moves", 3);
    let report = world.capture(Start::GoOn).unwrap();
    let logged = stored(&world);
    // All of it is on the second before the first dies.
    let executed = first.sql("SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')");
    let waited = second.sql(&format!(
        "SELECT WAIT_FOR_EXECUTED_GTID_SET('{}', 100)",
        executed.trim()
    ));
    assert_eq!(waited.trim(), "0");
    let mut end = world.log_end();
    let before_it = end.ask().unwrap();
    assert!(report.place.as_ref().unwrap().has_passed(&before_it));
    first.kill();
    second.sql("STOP REPLICA; RESET REPLICA ALL;");
    // The second is at the address of the first from now on.
    second.stop();
    second.start_at(first.port, &[&GTIDS[..], &packs].concat());
    end.ask().unwrap_err();
    let taken_over = end.ask().unwrap();
    assert!(!taken_over.has_passed(&before_it) && !before_it.has_passed(&taken_over));
    // As if it had died before it recorded how far it was: what was read there is read here again.
    world.set_record(&before);
    let again = world.capture(Start::GoOn).unwrap();
    assert_eq!(again.ingest.rows, report.ingest.rows);
    assert_eq!((again.ingest.recorded, again.ingest.conflicts), (0, 0));
    assert_eq!(stored(&world), logged);
    assert!(again.place.unwrap().has_passed(&taken_over));
    changes(&second, "moves", 4);
    let report = world.capture(Start::GoOn).unwrap();
    assert_eq!((report.snapshot_rows, report.ingest.conflicts), (None, 0));
    assert_eq!(world.live(2), live(&second, "moves"));
    // Nothing is lost and nothing is there twice, in the order in which it happened.
    let mut wanted = snapshot;
    for (id, versions) in told(&second, "moves") {
        wanted.entry(id).or_default().extend(versions);
    }
    assert_eq!(stored(&world), wanted);
    assert!(world.dead_letters().is_empty());
}

/// A server begins to give GTIDs: rows are named by them from the next file of its log on.
pub(super) fn names_change_with_a_file(_: &Database) {
    let database = Database::with_reader(Product::MySql, &[]);
    database.sql(&format!("CREATE DATABASE named; USE named; {TOLD}"));
    let world = World::new(&database, "named.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    changes(&database, "named", 1);
    world.capture(Start::GoOn).unwrap();
    changes(&database, "named", 2);
    for set in [
        "enforce_gtid_consistency = ON",
        "gtid_mode = OFF_PERMISSIVE",
        "gtid_mode = ON_PERMISSIVE",
    ] {
        database.sql(&format!("SET GLOBAL {set}"));
    }
    // The server sends no transaction without a GTID when it has them all.
    world.capture(Start::GoOn).unwrap();
    database.sql("SET GLOBAL gtid_mode = ON");
    changes(&database, "named", 3);
    world.capture(Start::GoOn).unwrap();
    assert!(!world.record().contains("gtids"), "{}", world.record());
    changes(&database, "named", 4);
    // It sees that a file begins while it follows.
    let mut child = world.child();
    let mut begun = String::new();
    let mut says = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut says, &mut begun).unwrap();
    assert_eq!(begun.trim(), "begun");
    database.sql("FLUSH BINARY LOGS");
    while !world.record().contains("gtids") {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    let before = world.record();
    changes(&database, "named", 5);
    child.kill().unwrap();
    child.wait().unwrap();
    world.capture(Start::GoOn).unwrap();
    let found = stored(&world);
    assert_eq!(found, told(&database, "named"));
    world.set_record(&before);
    let again = world.capture(Start::GoOn).unwrap();
    assert_eq!((again.ingest.recorded, again.ingest.conflicts), (0, 0));
    assert!(again.ingest.rows > 0);
    assert_eq!(stored(&world), found);
    assert_eq!(world.live(2), live(&database, "named"));
}

pub(super) fn transactions_that_are_not_there(_: &Database) {
    let database = Database::with_reader(Product::MySql, &GTIDS);
    let stranger = Database::with_reader(Product::MySql, &GTIDS);
    for one in [&database, &stranger] {
        one.sql(&format!("CREATE DATABASE gone; USE gone; {TOLD}"));
    }
    let world = World::new(&database, "gone.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    // Another server, which is no replica.
    world.define(&stranger, "gone.t", COLUMNS, "");
    has(
        &refused(&world),
        &["does not have the transactions", "--snapshot"],
    );
    drop(stranger);
    world.define(&database, "gone.t", COLUMNS, "");
    world.capture(Start::GoOn).unwrap();
    // A server that does not give GTIDs any more, and one that does again.
    database.sql("SET GLOBAL gtid_mode = ON_PERMISSIVE");
    has(&refused(&world), &["gtid_mode=ON", "--snapshot"]);
    database.sql("SET GLOBAL gtid_mode = ON");
    world.capture(Start::GoOn).unwrap();
    // A transaction without one, which the server itself does not send to who asks by GTIDs.
    for mode in ["ON_PERMISSIVE", "OFF_PERMISSIVE"] {
        database.sql(&format!("SET GLOBAL gtid_mode = {mode}"));
    }
    database.sql("INSERT INTO gone.t VALUES (1, 'a')");
    for mode in ["ON_PERMISSIVE", "ON"] {
        database.sql(&format!("SET GLOBAL gtid_mode = {mode}"));
    }
    has(&refused(&world), &["anonymous transaction", "--snapshot"]);
    world.capture(Start::Snapshot).unwrap();
    // Transactions that are read by their numbers, which the server gives again below.
    database.sql("FLUSH BINARY LOGS");
    changes(&database, "gone", 1);
    world.capture(Start::GoOn).unwrap();
    assert_eq!(world.live(2), live(&database, "gone"));
    // Binlogs that were purged before they were read.
    database.sql("UPDATE gone.t SET v = 'b'; FLUSH BINARY LOGS; UPDATE gone.t SET v = 'c'; FLUSH BINARY LOGS;");
    let readers =
        "SELECT count(*) FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'";
    while database.sql(readers).trim() != "0" {}
    let last = database.sql("SHOW BINARY LOGS");
    let last = last.lines().last().unwrap().split('\t').next().unwrap();
    database.sql(&format!("PURGE BINARY LOGS TO '{last}'"));
    has(
        &refused(&world),
        &["no binlog of the transactions", "--snapshot"],
    );
    world.capture(Start::Snapshot).unwrap();
    assert_eq!(world.live(2), live(&database, "gone"));
    // A log that begins anew.
    database.reset_log();
    database.sql("UPDATE gone.t SET v = 'd';");
    has(
        &refused(&world),
        &["does not have the transactions", "--snapshot"],
    );
    world.capture(Start::Snapshot).unwrap();
    assert_eq!(world.live(2), live(&database, "gone"));
    // Its transactions have the numbers of others that were read, and are others.
    let before = world.record();
    for _ in 0..30 {
        database.sql("UPDATE gone.t SET v = CONCAT(v, 'e')");
        database.sql("INSERT INTO gone.t SELECT max(id) + 1, 'f' FROM gone.t");
    }
    let report = world.capture(Start::GoOn).unwrap();
    assert_eq!(report.ingest.recorded, report.ingest.rows);
    assert_eq!(report.ingest.conflicts, 0);
    let logged = stored(&world);
    assert_eq!(world.live(2), live(&database, "gone"));
    // As if it had died before it recorded how far it was.
    world.set_record(&before);
    let again = world.capture(Start::GoOn).unwrap();
    assert_eq!(again.ingest.rows, report.ingest.rows);
    assert_eq!((again.ingest.recorded, again.ingest.conflicts), (0, 0));
    assert_eq!(stored(&world), logged);
}

/// What a comparison finds is logged between changes whose names stay.
pub(super) fn a_comparison_keeps_names(_: &Database) {
    let database = Database::with_reader(Product::MySql, &GTIDS);
    database.sql(&format!("CREATE DATABASE nightly; USE nightly; {TOLD}"));
    let nightly = ", compare_schedule = '0 0 1 1 *'";
    let world = World::new(&database, "nightly.t", COLUMNS, nightly);
    world.capture(Start::GoOn).unwrap();
    changes(&database, "nightly", 1);
    world.capture(Start::GoOn).unwrap();
    let before = world.record();
    changes(&database, "nightly", 2);
    let store = world.folder.path().join(".evenkeel");
    // As if it had been compared long ago.
    ComparisonRecord::add(&store, "t", EventTime(0), 0).unwrap();
    let report = world.capture(Start::GoOn).unwrap();
    let differences = ComparisonRecord::read(&store, "t").unwrap();
    assert_eq!(differences.map(|record| record.differences), Some(0));
    assert!(report.ingest.recorded > 0);
    changes(&database, "nightly", 3);
    world.capture(Start::GoOn).unwrap();
    let logged = stored(&world);
    world.set_record(&before);
    let again = world.capture(Start::GoOn).unwrap();
    assert!(again.ingest.rows > 0);
    assert_eq!((again.ingest.recorded, again.ingest.conflicts), (0, 0));
    assert_eq!(stored(&world), logged);
}
