//! SQL and batch views on the command line.

use serde_json::json;

use crate::support::Project;

const SPENT: &str = "
CREATE BATCH FEATURE VIEW spent ENTITY customer SCHEDULE '0 3 * * *' AS
SELECT customer_id, count(*) AS orders, sum(amount) AS amount FROM orders GROUP BY customer_id;
";
const AT: &str = "2026-01-12T03:00:00Z";

fn project() -> Project {
    let project = Project::empty();
    project.run(&["init"]).ok();
    project.write("definitions/spent.sql", SPENT);
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    project
}

#[test]
fn a_query_is_answered_as_a_table_as_json_as_csv_and_in_a_file() {
    let project = project();
    let query = "SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id ORDER BY 1";
    let asked = ["sql", query, "--as-of", AT];
    project.expect_text("sql", &asked, 0);
    project.expect_json("sql", &asked, 0);
    project.expect_text("sql_csv", &[&asked[..], &["--csv"]].concat(), 0);
    project.expect_text("sql_limit", &[&asked[..], &["--limit", "1"]].concat(), 0);
    project
        .run(&[&asked[..], &["--output", "n.csv"]].concat())
        .ok();
    let csv = project.run(&[&asked[..], &["--csv"]].concat()).ok().stdout;
    assert_eq!(project.read("n.csv"), csv);
    project.write("q.sql", query);
    let of_file = ["sql", "--file", "q.sql", "--as-of", AT, "--csv"];
    assert_eq!(project.run(&of_file).ok().stdout, csv);
    for (name, query) in [
        ("sql_no_column", "SELECT amuont FROM orders"),
        ("sql_no_table", "SELECT 1 FROM ordres"),
        ("sql_writes", "DROP TABLE orders"),
    ] {
        project.expect_text(name, &["sql", query], 1);
    }
}

#[test]
fn a_view_without_a_schedule_runs_when_it_is_asked_for() {
    let project = project();
    project.run(&["run", "spent", "--at", AT]).ok();
    // The schedule is taken away: nothing is due any more, what there is stays.
    project.write(
        "definitions/spent.sql",
        &SPENT.replace(" SCHEDULE '0 3 * * *'", ""),
    );
    project.run(&["apply"]).ok();
    let refused = project.run(&["run", "spent"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("`spent` has no schedule: it runs when it is asked for"),
        "{}",
        refused.stderr
    );
    let run = |at: &str| {
        project
            .run(&["run", "spent", "--at", at, "--json"])
            .ok()
            .json()
    };
    assert_eq!(run(AT)["written"], 0);
    assert_ne!(run("2026-01-13T03:00:00Z")["written"], 0);
}

#[test]
fn it_is_said_why_rows_of_a_run_fail() {
    let project = project();
    let of_everybody = SPENT
        .replace(
            "customer_id, count",
            "nullif(customer_id, 'ada') AS customer_id, count",
        )
        .replace("GROUP BY customer_id", "GROUP BY 1");
    project.write("definitions/spent.sql", &of_everybody);
    project.run(&["apply"]).ok();
    let told = project.run(&["run", "spent", "--at", AT]);
    assert_eq!(told.code, 1, "{}", told.stdout);
    let why = "1 failed\n  rows fail that have no key (leave them out: `WHERE ... IS NOT NULL`)";
    assert!(told.stdout.contains(why), "{}", told.stdout);
    assert!(
        told.stdout.contains("`evenkeel dead-letters spent_runs`"),
        "{}",
        told.stdout
    );
    // Two rows for a key are named by it.
    project.write(
        "definitions/spent.sql",
        &SPENT.replace("GROUP BY customer_id", "GROUP BY customer_id, amount"),
    );
    project.run(&["apply"]).ok();
    let refused = project.run(&["run", "spent", "--at", AT]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(
        refused
            .stderr
            .contains("gives two rows for the key customer_id="),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_run_is_made_once_and_what_was_begun_is_finished() {
    let project = project();
    let run = |arguments: &[&str]| {
        let arguments = [&["run", "spent"], arguments, &["--json"]].concat();
        project.run(&arguments).ok().json()
    };
    let first = run(&["--at", AT]);
    let rows = first["rows"].as_u64().unwrap();
    assert!(rows > 0, "{first}");
    assert_eq!(
        (&first["written"], &first["failed"]),
        (&json!(rows), &json!(0))
    );
    let repeated = run(&["--at", AT]);
    assert_eq!(
        (&repeated["written"], &repeated["ignored"]),
        (&json!(0), &json!(rows))
    );
    let again = run(&["--at", AT, "--again"]);
    assert_eq!(
        (&again["written"], &again["revision"]),
        (&json!(rows), &json!(1))
    );
    // As if it had been killed behind its last row: of format 1, which says nothing of itself.
    let records = project.path().join(".evenkeel/runs/spent");
    let begun = std::fs::read_dir(&records)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let begun = begun.filter(|path| path.to_string_lossy().ends_with(".0.json"));
    let begun: Vec<_> = begun.collect();
    std::fs::remove_file(begun[0].to_string_lossy().replace(".0.", ".1.")).unwrap();
    let text = std::fs::read_to_string(&begun[0]).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    for member in ["checksum", "definitions", "finished"] {
        record.as_object_mut().unwrap().remove(member);
    }
    record["format"] = json!(1);
    std::fs::write(&begun[0], record.to_string()).unwrap();
    let newest = run(&[]);
    assert_eq!(newest["failed"], 0);
    let resumed = newest["resumed"].as_array().unwrap();
    assert_eq!(resumed.len(), 1, "{newest}");
    assert_eq!(resumed[0]["at"], "2026-01-12T03:00:00Z");
    assert_eq!(run(&[])["resumed"], json!([]));
    // A damaged record keeps nothing else from being made and told.
    let next = std::path::PathBuf::from(begun[0].to_string_lossy().replace(".0.", ".1."));
    let last = if next.exists() { &next } else { &begun[0] };
    std::fs::write(last, "{").unwrap();
    let told = project.run(&["run", "spent", "--json"]);
    assert_eq!(told.code, 3, "{}", told.stdout);
    let told = told.json();
    assert_eq!(told["failed"], 0);
    assert_eq!(told["damaged"][0]["at"], AT);
    let hint = told["damaged"][0]["hint"].as_str().unwrap();
    assert!(
        hint.contains("evenkeel run spent --at 2026-01-12T03:00:00Z --again"),
        "{hint}"
    );
    assert_eq!(run(&["--at", AT, "--again"])["written"], json!(rows));
    assert_eq!(run(&[])["damaged"], json!([]));
    for (name, arguments) in [
        ("run_unknown", &["run", "spend"][..]),
        ("run_in_future", &["run", "spent", "--at", "2999-01-01"]),
        ("run_bad_time", &["run", "spent", "--at", "x"]),
        ("run_by_hand", &["ingest", "spent_runs", "--file", "q.csv"]),
    ] {
        project.expect_text(name, arguments, 1);
    }
}
