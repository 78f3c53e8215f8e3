//! Changes of a table in Debezium's JSON: whatever file they stand in, and in whichever order the
//! files come, a read at any time is the table as it was then.

use std::collections::BTreeMap;

use evenkeel_engine::Engine;
use evenkeel_types::{Status, Value};
use proptest::prelude::*;

use crate::support::{World, one, statuses, t, values};

const DEFINITIONS: &str = "
CREATE ENTITY account (account BIGINT);
CREATE TABLE accounts (account BIGINT, level STRING, op STRING, changed_at TIMESTAMP, place BIGINT,
  PRIMARY KEY (account), EVENT TIME changed_at, SEQUENCE BY (place))
  WITH (connector = 'file', path = 'changes-*.json', format = 'debezium', operation = 'op',
        change_time = 'changed_at', change_position = 'place');
CREATE FEATURE VIEW levels ENTITY account AS SELECT account, level FROM accounts;
CREATE FEATURE VIEW totals ENTITY account AS
SELECT account, count(*) OVER (ALL HISTORY) AS versions FROM accounts;
CREATE FEATURE SERVICE s AS levels (*), totals (*);";
/// Seconds after which nothing happens.
const SECONDS: i64 = 6;

/// What happens to rows, and when, in seconds.
#[derive(Clone, Debug)]
enum Step {
    Set(i64, String),
    Delete(i64),
    /// Another primary key: an end and a beginning.
    Move(i64, i64),
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3i64, "[a-c]").prop_map(|(id, level)| Step::Set(id, level)),
        1 => (0..3i64).prop_map(Step::Delete),
        1 => (0..3i64, 0..3i64).prop_map(|(from, to)| Step::Move(from, to)),
        2 => Just(Step::Wait),
    ];
    prop::collection::vec(step, 1..20)
}

/// A table of a database, and what a connector writes of it.
#[derive(Default)]
struct Database {
    rows: BTreeMap<i64, String>,
    lines: Vec<String>,
    second: i64,
    /// The table at the end of each second.
    history: Vec<BTreeMap<i64, String>>,
}

impl Database {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Wait if self.second < SECONDS => {
                self.history.push(self.rows.clone());
                self.second += 1;
            }
            Step::Wait => {}
            Step::Set(id, level) => {
                let before = self.rows.insert(*id, level.clone());
                let op = if before.is_some() { "u" } else { "c" };
                let before = before.map(|before| row(*id, &before));
                self.tell(op, before, Some(row(*id, level)));
            }
            Step::Delete(id) => self.delete(*id),
            Step::Move(from, to) => {
                if let Some(level) = self.rows.get(from).cloned()
                    && !self.rows.contains_key(to)
                {
                    self.delete(*from);
                    self.rows.insert(*to, level.clone());
                    self.tell("c", None, Some(row(*to, &level)));
                }
            }
        }
    }

    fn delete(&mut self, id: i64) {
        if let Some(level) = self.rows.remove(&id) {
            self.tell("d", Some(row(id, &level)), None);
            self.lines.push("null".to_owned());
        }
    }

    fn tell(&mut self, op: &str, before: Option<String>, after: Option<String>) {
        let null = || "null".to_owned();
        let place = self.lines.len() * 10 + 4;
        self.lines.push(format!(
            r#"{{"before":{},"after":{},"op":"{op}","source":{{"ts_ms":{},"file":"binlog.000007","pos":{place},"row":0}}}}"#,
            before.unwrap_or_else(null),
            after.unwrap_or_else(null),
            t("2026-03-01") / 1_000 + self.second * 1_000,
        ));
    }
}

fn row(id: i64, level: &str) -> String {
    format!(r#"{{"account":{id},"level":"{level}","other":{{}}}}"#)
}

fn check(engine: &Engine, database: &Database) {
    for (second, rows) in database.history.iter().enumerate() {
        let at = t("2026-03-01") + second as i64 * 1_000_000;
        for id in 0..3 {
            let found = &one(engine, "s", &[Value::BigInt(id)], at)[0];
            match rows.get(&id) {
                Some(level) => assert_eq!(
                    found.value,
                    Value::string(level.as_str()),
                    "{id} at {second}"
                ),
                None => assert_eq!(found.status, Status::NotFound, "{id} at {second}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn a_table_is_at_each_time_what_it_was(
        steps in steps(),
        cut in 0..40usize,
        newer_first in any::<bool>(),
    ) {
        let mut database = Database::default();
        for step in &steps {
            database.step(step);
        }
        database.history.push(database.rows.clone());
        let world = World::new(DEFINITIONS);
        let mut engine = world.engine();
        let (older, newer) = database.lines.split_at(cut.min(database.lines.len()));
        let mut files = vec![("changes-a.json", older), ("changes-b.json", newer)];
        files.retain(|(_, lines)| !lines.is_empty());
        if newer_first {
            files.reverse();
        }
        for (name, lines) in &files {
            let told = lines.iter().filter(|line| *line != "null").count() as u64;
            let text = lines.join("\n");
            let report = world.ingest_text(&mut engine, "accounts", name, &text);
            prop_assert_eq!((report.recorded, report.rejected_total()), (told, 0));
            // The same again changes nothing.
            let again = world.ingest_text(&mut engine, "accounts", name, &text);
            prop_assert_eq!((again.recorded, again.duplicates), (0, told));
        }
        check(&engine, &database);
    }
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_and_can_be_driven_again() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let source = r#""source":{"ts_ms":1772323200000,"file":"binlog.000001","pos":4}"#;
    let lines = [
        format!(r#"{{"op":"c","after":{{"account":1,"level":7}},{source}}}"#),
        format!(r#"{{"op":"c","after":{{"account":2,"level":"b"}},{source}}}"#),
        format!(r#"{{"op":"c","after":{{"account":null,"level":"c"}},{source}}}"#),
    ];
    let report = world.ingest_text(&mut engine, "accounts", "changes-a.json", &lines.join("\n"));
    assert_eq!((report.recorded, report.rejected_total()), (1, 2));
    let reason = report.first_rejected.unwrap();
    assert!(
        reason.ends_with("line 1, column `level`: a number is not STRING"),
        "{reason}"
    );
    let letters = engine.dead_letters("accounts").unwrap();
    let records: Vec<&str> = letters
        .iter()
        .map(|letter| letter.record.as_str())
        .collect();
    assert_eq!(records[0], lines[0]);
    // One that had its values keeps them; neither says more than it did.
    let ids: Vec<u64> = letters.iter().map(|letter| letter.id).collect();
    let again = engine.redrive("accounts", &ids).unwrap();
    assert_eq!((again.recorded, again.rejected_total()), (0, 2));
    let (found, at) = ([Value::BigInt(2)], "2026-03-02T00:00:00Z");
    assert_eq!(values(&engine, "s", &found, at)[0], Value::string("b"));
    assert_eq!(
        statuses(&engine, "s", &[Value::BigInt(1)], at)[0],
        Status::NotFound
    );
}

#[test]
fn a_table_that_was_emptied_stops_its_file() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let source = r#""source":{"ts_ms":1772323200000,"file":"binlog.000001","pos":4}"#;
    let lines = [
        format!(r#"{{"op":"c","after":{{"account":1,"level":"a"}},{source}}}"#),
        format!(r#"{{"op":"t","before":null,"after":null,{source}}}"#),
        format!(r#"{{"op":"c","after":{{"account":2,"level":"b"}},{source}}}"#),
    ];
    let path = world.write("changes-a.json", &lines.join("\n"));
    let error = engine
        .ingest("accounts", Some(&path), &mut |_| ())
        .unwrap_err();
    let reason = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
    assert!(
        reason.contains("row 1") && reason.contains("TRUNCATE"),
        "{reason}"
    );
    // What stands before it is there, and nothing behind it.
    assert_eq!(engine.status().unwrap().sources[0].events, 1);
}
