//! A row of a table's file may say that the table's row ends.

use serde_json::Value as Json;

use crate::support::Project;

const DEFINITIONS: &str = "\
CREATE ENTITY account (account STRING);
CREATE ENTITY payment (id STRING);
CREATE TABLE accounts (
  account STRING, op STRING, status STRING NOT NULL, credit BIGINT, at TIMESTAMP,
  PRIMARY KEY (account), EVENT TIME at, KNOWN AT at, CHECK (credit > 0)
) WITH (connector = 'file', path = 'accounts.csv', operation = 'op');
CREATE STREAM payments (
  id STRING, account STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at, KNOWN AT at
) WITH (connector = 'file', path = 'payments.csv');
CREATE FEATURE VIEW now ENTITY account (account) AS SELECT account, status, credit FROM accounts;
CREATE FEATURE VIEW changes ENTITY account (account) AS
SELECT account, count(*) OVER (ALL HISTORY) AS versions, sum(credit) OVER (LAST 2 ROWS) AS credits
FROM accounts;
CREATE FEATURE VIEW paid ENTITY payment (id) AS
SELECT p.id, a.status AS status_then, n.credit AS credit_then
FROM payments p
  ASOF JOIN accounts a ON p.account = a.account
  ASOF JOIN now n ON p.account = n.account;
CREATE FEATURE SERVICE of_account AS now (*), changes (*);
CREATE FEATURE SERVICE of_payment AS paid (*);
";

/// An account that is opened, changed, closed (with nothing but its key) and opened again;
/// one in the words of change data capture; and rows that say nothing that is known.
const ACCOUNTS: &str = "\
account,op,status,credit,at
a,insert,open,10,2026-01-01T00:00:00Z
a,UPSERT,open,20,2026-01-02T00:00:00Z
a,delete,,,2026-01-03T00:00:00Z
a,upsert,open,40,2026-01-05T00:00:00Z
b,c,open,1,2026-01-01T00:00:00Z
b,u,late,2,2026-01-02T00:00:00Z
b,D,late,0,2026-01-03T00:00:00Z
x,truncate,open,1,2026-01-01T00:00:00Z
y,,open,1,2026-01-01T00:00:00Z
z,update,,1,2026-01-01T00:00:00Z
";

fn project() -> Project {
    let project = Project::empty();
    project.write("definitions.sql", DEFINITIONS);
    project.write("accounts.csv", ACCOUNTS);
    let mut payments = "id,account,at\n".to_owned();
    for account in ["a", "b", "x"] {
        for day in 1..7 {
            payments.push_str(&format!(
                "{account}{day},{account},2026-01-0{day}T12:00:00Z\n"
            ));
        }
    }
    project.write("payments.csv", &payments);
    project.run(&["apply"]).ok();
    project
}

fn get(project: &Project, service: &str, entity: &str, as_of: &str) -> Json {
    let arguments = [
        "get",
        "--service",
        service,
        "--entity",
        entity,
        "--as-of",
        as_of,
        "--json",
    ];
    let answer = project.run(&arguments).ok().json();
    answer["rows"][0]["features"].clone()
}

#[test]
fn a_delete_ends_a_row_until_the_next() {
    let project = project();
    let run = project.run(&["ingest", "--json"]);
    let report = run.json();
    assert_eq!(report["sources"][0]["recorded"], 7, "{report}");
    let reasons = &report["sources"][0]["rejected_by_reason"];
    assert_eq!(reasons["OPERATION"], 2, "{report}");
    // NOT NULL and CHECK hold for versions; a delete has none.
    assert_eq!(reasons["REQUIRED"], 1, "{report}");
    project.expect_text("dead_letters_operation", &["dead-letters", "accounts"], 0);

    for (account, as_of, status, credit, found) in [
        ("a", "2026-01-01T12:00:00Z", "open", Some(10), "PRESENT"),
        ("a", "2026-01-02T23:59:59Z", "open", Some(20), "PRESENT"),
        ("a", "2026-01-03T00:00:00Z", "", None, "NOT_FOUND"),
        ("a", "2026-01-04T00:00:00Z", "", None, "NOT_FOUND"),
        ("a", "2026-01-06T00:00:00Z", "open", Some(40), "PRESENT"),
        ("b", "2026-01-02T00:00:00Z", "late", Some(2), "PRESENT"),
        ("b", "2026-01-06T00:00:00Z", "", None, "NOT_FOUND"),
        ("x", "2026-01-06T00:00:00Z", "", None, "NOT_FOUND"),
    ] {
        let features = get(&project, "of_account", &format!("account={account}"), as_of);
        let what = format!("{account} at {as_of}: {features}");
        assert_eq!(
            features["credit"]["value"],
            serde_json::json!(credit),
            "{what}"
        );
        assert_eq!(features["credit"]["status"], found, "{what}");
        assert_eq!(
            features["status"]["value"].as_str().unwrap_or(""),
            status,
            "{what}"
        );
    }
    // Windows over a table count its upserts.
    let features = get(&project, "of_account", "account=a", "2026-01-04T00:00:00Z");
    assert_eq!(features["versions"]["value"], 2);
    assert_eq!(features["credits"]["value"], 30);
    // A look-up of what was deleted is NULL; before and after it is not.
    for (payment, status, credit) in [
        ("a2", "open", Some(20)),
        ("a3", "", None),
        ("a5", "open", Some(40)),
        ("b4", "", None),
    ] {
        let features = get(
            &project,
            "of_payment",
            &format!("id={payment}"),
            "2026-02-01",
        );
        let what = format!("{payment}: {features}");
        assert_eq!(
            features["status_then"]["value"].as_str().unwrap_or(""),
            status,
            "{what}"
        );
        assert_eq!(
            features["credit_then"]["value"],
            serde_json::json!(credit),
            "{what}"
        );
    }
}

#[test]
fn a_training_set_sees_deletes_as_reads_do() {
    let project = project();
    project.run(&["ingest"]);
    let spine = "SELECT id, account, at FROM payments";
    let train = [
        "train",
        "of_account",
        "--spine",
        spine,
        "--out",
        "train.csv",
    ];
    project.run(&train).ok();
    let rows = project.read("train.csv");
    crate::support::expect("files/train_deletes.csv", &rows);
    // Every row is what a read at its time answers.
    let mut lines = rows.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let mut count = 0;
    for line in lines {
        let row: Vec<&str> = line.split(',').collect();
        let of = |name: &str| row[names.iter().position(|n| *n == name).unwrap()];
        let features = get(
            &project,
            "of_account",
            &format!("account={}", of("account")),
            of("at"),
        );
        for name in ["status", "credit", "versions", "credits"] {
            let read = match &features[name]["value"] {
                Json::Null => String::new(),
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(read, of(name), "{name} in {line}");
        }
        count += 1;
    }
    assert_eq!(count, 18);
    let verify = ["verify", "--values", "3000", "--json"];
    let report = project.run(&verify).ok().json();
    assert_eq!(report["mismatches"], 0, "{report}");
    assert!(report["oracle_checked"].as_u64().unwrap() > 0, "{report}");
}
