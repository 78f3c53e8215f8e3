//! State views, and windows over changes, on a small example as a user has them: loans that are
//! opened, go over to another customer, are paid back, deleted, come late and are corrected.

use serde_json::Value as Json;

use crate::support::Project;

const DEFINITIONS: &str = "\
CREATE ENTITY customer (customer_id STRING);
CREATE ENTITY application (id STRING);
CREATE TABLE loans (
  loan_id STRING, op STRING, customer_id STRING, amount DOUBLE, status STRING, updated TIMESTAMP,
  PRIMARY KEY (loan_id), EVENT TIME updated
) WITH (connector = 'file', path = 'loans*.csv', operation = 'op');
CREATE STREAM applications (
  id STRING, customer_id STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at
) WITH (connector = 'file', path = 'applications.csv');
CREATE FEATURE VIEW open_loans ENTITY customer AS
SELECT customer_id, count(*) AS n, sum(amount) AS total, max(amount) AS biggest,
  count(*) FILTER (WHERE amount < 100) AS small
FROM loans WHERE status = 'open' GROUP BY customer_id;
CREATE FEATURE VIEW loan_changes ENTITY customer AS
SELECT customer_id,
  count(*) FILTER (WHERE OLD.status = 'open' AND NEW.status = 'paid') OVER (LAST 7 DAYS) AS paid,
  count(*) FILTER (WHERE OLD.loan_id = NEW.loan_id) OVER (LAST 7 DAYS) AS updates,
  count(*) FILTER (WHERE OLD.customer_id <> NEW.customer_id) OVER (LAST 7 DAYS) AS taken_over,
  sum(NEW.amount - OLD.amount) OVER (LAST 7 DAYS) AS grown,
  count(*) FILTER (WHERE NEW.loan_id IS NULL) OVER (LAST 7 DAYS) AS deleted,
  count(*) OVER (LAST 7 DAYS) AS versions
FROM loans;
CREATE FEATURE VIEW at_application ENTITY application (id) AS
SELECT l.n AS open_then, l.total AS total_then
FROM applications a ASOF JOIN open_loans l ON a.customer_id = l.customer_id;
CREATE FEATURE SERVICE of_customer AS open_loans (*);
CREATE FEATURE SERVICE of_changes AS loan_changes (*);
CREATE FEATURE SERVICE of_application AS at_application (*);
";

/// `a` goes over from ada to bob and is paid back; `b` grows; `c` is deleted with nothing but
/// its key and comes back; `d` was never open.
const LOANS: &str = "\
loan_id,op,customer_id,amount,status,updated
a,upsert,ada,100,open,2026-01-01T00:00:00Z
a,upsert,bob,100,open,2026-01-03T00:00:00Z
a,upsert,bob,100,paid,2026-01-06T00:00:00Z
b,upsert,ada,20,open,2026-01-01T00:00:00Z
b,upsert,ada,50,open,2026-01-04T00:00:00Z
c,upsert,bob,7,open,2026-01-02T00:00:00Z
c,delete,,,,2026-01-04T00:00:00Z
c,upsert,bob,9,open,2026-01-05T00:00:00Z
d,upsert,ada,1000,asked,2026-01-01T00:00:00Z
";

/// Of `b` a version that comes late: it was bob's for a day.
const LATE: &str = "\
loan_id,op,customer_id,amount,status,updated
b,upsert,bob,30,open,2026-01-03T00:00:00Z
";

/// `a` was never bob's, and `c` was not deleted.
const TRUTH: &str = "\
loan_id,op,customer_id,amount,status,updated
a,upsert,ada,100,open,2026-01-03T00:00:00Z
b,upsert,bob,30,open,2026-01-03T00:00:00Z
b,upsert,ada,50,open,2026-01-04T00:00:00Z
";

fn project() -> Project {
    let project = Project::empty();
    project.write("definitions.sql", DEFINITIONS);
    project.write("loans.csv", LOANS);
    let mut applications = "id,customer_id,at\n".to_owned();
    for customer in ["ada", "bob", "eve"] {
        for day in 1..8 {
            applications.push_str(&format!(
                "{customer}{day},{customer},2026-01-0{day}T00:00:00Z\n"
            ));
        }
    }
    project.write("applications.csv", &applications);
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    project
}

/// The number and the sum of a customer's open loans at the beginning of a day of January.
fn open(project: &Project, customer: &str, day: u32, cut: Option<&str>) -> (i64, Option<f64>) {
    let (entity, as_of) = (
        format!("customer_id={customer}"),
        format!("2026-01-{day:02}T00:00:00Z"),
    );
    let mut arguments = vec!["get", "--service", "of_customer", "--entity", &entity];
    arguments.extend(["--as-of", &as_of, "--json"]);
    arguments.extend(cut.iter().flat_map(|cut| ["--cut", cut]));
    let answer = project.run(&arguments).ok().json();
    let features = &answer["rows"][0]["features"];
    assert_eq!(features["n"]["status"], "PRESENT", "{features}");
    let number = features["n"]["value"].as_i64().unwrap();
    (number, features["total"]["value"].as_f64())
}

fn all_equal(project: &Project) {
    let report = project
        .run(&[
            "verify",
            "--values",
            "2000",
            "--oracle-values",
            "300",
            "--json",
        ])
        .ok()
        .json();
    assert_eq!(report["mismatches"], 0, "{report}");
    assert!(report["oracle_checked"].as_u64().unwrap() > 0, "{report}");
}

const BEFORE: [(&str, u32, i64, Option<f64>); 10] = [
    ("ada", 1, 2, Some(120.0)),
    ("ada", 2, 2, Some(120.0)),
    ("ada", 3, 1, Some(20.0)),
    ("ada", 4, 1, Some(50.0)),
    ("bob", 1, 0, None),
    ("bob", 3, 2, Some(107.0)),
    ("bob", 4, 1, Some(100.0)),
    ("bob", 5, 2, Some(109.0)),
    ("bob", 7, 1, Some(9.0)),
    ("eve", 7, 0, None),
];

#[test]
fn rows_count_for_the_key_that_they_have_as_long_as_they_live() {
    let project = project();
    for (customer, day, n, total) in BEFORE {
        let found = open(&project, customer, day, None);
        assert_eq!(found, (n, total), "{customer} on day {day}");
    }
    all_equal(&project);
}

#[test]
fn late_versions_and_corrections_move_the_end_of_the_version_before() {
    let project = project();
    project.write("loans_late.csv", LATE);
    project.run(&["ingest"]).ok();
    // The late version ends the first one of `b`, and is ended by the next.
    for (customer, day, n, total) in [
        ("ada", 2, 2, Some(120.0)),
        ("ada", 3, 0, None),
        ("bob", 3, 3, Some(137.0)),
        ("ada", 4, 1, Some(50.0)),
        ("bob", 4, 1, Some(100.0)),
    ] {
        let found = open(&project, customer, day, None);
        assert_eq!(found, (n, total), "{customer} on day {day}");
    }
    project.write("truth.csv", TRUTH);
    let correct = [
        "correct",
        "loans",
        "--with",
        "truth.csv",
        "--from",
        "2026-01-03",
        "--to",
        "2026-01-05",
    ];
    project.run(&correct).ok();
    for (customer, day, n, total) in [
        ("ada", 3, 1, Some(100.0)),
        ("bob", 3, 2, Some(37.0)),
        ("ada", 4, 2, Some(150.0)),
        ("bob", 4, 1, Some(7.0)),
        ("bob", 6, 1, Some(9.0)),
    ] {
        let found = open(&project, customer, day, None);
        assert_eq!(found, (n, total), "{customer} on day {day}, corrected");
    }
    // What was known before is read as it was.
    for (customer, day, n, total) in BEFORE {
        let found = open(&project, customer, day, Some("loans/0@9"));
        assert_eq!(found, (n, total), "{customer} on day {day}, before");
    }
    all_equal(&project);
}

/// What a customer's loans have been through by the beginning of a day of January.
fn changed(project: &Project, customer: &str, day: u32) -> [Json; 6] {
    let (entity, as_of) = (
        format!("customer_id={customer}"),
        format!("2026-01-{day:02}T00:00:00Z"),
    );
    let mut arguments = vec!["get", "--service", "of_changes", "--entity", &entity];
    arguments.extend(["--as-of", &as_of, "--json"]);
    let answer = project.run(&arguments).ok().json();
    let features = &answer["rows"][0]["features"];
    [
        "paid",
        "updates",
        "taken_over",
        "grown",
        "deleted",
        "versions",
    ]
    .map(|feature| features[feature]["value"].clone())
}

#[test]
fn windows_over_changes_know_the_row_before() {
    let project = project();
    let expect = |customer: &str, day: u32, values: Json| {
        let found = changed(&project, customer, day);
        assert_eq!(
            Json::from(found.to_vec()),
            values,
            "{customer} on day {day}"
        );
    };
    expect("ada", 4, serde_json::json!([0, 1, 0, 30.0, 0, 4]));
    expect("bob", 3, serde_json::json!([0, 1, 1, 0.0, 0, 2]));
    // The delete of `c` names no customer; it is bob's, whose row it ends.
    expect("bob", 6, serde_json::json!([1, 2, 1, 0.0, 1, 4]));
    expect("bob", 11, serde_json::json!([1, 1, 0, 0.0, 1, 2]));
    expect("eve", 6, serde_json::json!([0, 0, 0, null, 0, 0]));
    // A late version is what its successor changes: `b` goes to bob and comes back.
    project.write("loans_late.csv", LATE);
    project.run(&["ingest"]).ok();
    expect("ada", 4, serde_json::json!([0, 1, 1, 20.0, 0, 4]));
    expect("bob", 3, serde_json::json!([0, 2, 2, 10.0, 0, 3]));
    all_equal(&project);
    let explain = |feature: &str| -> String {
        let mut arguments = vec!["explain", feature, "--entity", "customer_id=bob"];
        arguments.extend(["--as-of", "2026-01-06T00:00:00Z"]);
        project.run(&arguments).ok().stdout
    };
    let said = [
        explain("loan_changes:grown"),
        explain("loan_changes:deleted"),
        explain("loan_changes:versions"),
    ]
    .join("\n");
    crate::support::expect("text/explain_changes.txt", &said);
}

#[test]
fn a_training_set_has_what_reads_answer() {
    let project = project();
    for (service, spine, names) in [
        (
            "of_customer",
            "SELECT customer_id, at FROM applications",
            ["n", "total"],
        ),
        (
            "of_application",
            "SELECT customer_id, at, id FROM applications",
            ["open_then", "total_then"],
        ),
    ] {
        let train = ["train", service, "--spine", spine, "--out", "train.csv"];
        project.run(&train).ok();
        let rows = project.read("train.csv");
        let mut lines = rows.lines();
        let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
        let mut count = 0;
        for line in lines {
            let row: Vec<&str> = line.split(',').collect();
            let of = |name: &str| row[columns.iter().position(|c| *c == name).unwrap()];
            let day = of("at")[8..10].parse().unwrap();
            let (n, total) = open(&project, of("customer_id"), day, None);
            let total = total.map_or(String::new(), |total| format!("{total:?}"));
            assert_eq!(
                (of(names[0]), of(names[1])),
                (n.to_string().as_str(), total.as_str())
            );
            count += 1;
        }
        assert_eq!(count, 21);
    }
}

#[test]
fn plan_and_explain_say_what_a_state_view_does() {
    let project = project();
    let explain = |feature: &str, entity: &str| -> String {
        let arguments = [
            "explain",
            feature,
            "--entity",
            entity,
            "--as-of",
            "2026-01-05T12:00:00Z",
        ];
        project.run(&arguments).ok().stdout
    };
    let said = [
        explain("open_loans:total", "customer_id=bob"),
        explain("open_loans:small", "customer_id=bob"),
        explain("open_loans:n", "customer_id=eve"),
        explain("at_application:open_then", "id=ada3"),
    ]
    .join("\n");
    crate::support::expect("text/explain_state_view.txt", &said);
    let status: Json = project.run(&["status", "--json"]).ok().json();
    let kinds: Vec<String> = status["views"]
        .as_array()
        .unwrap()
        .iter()
        .map(|view| format!("{} {}", view["name"], view["kind"]))
        .collect();
    assert_eq!(
        kinds.join(", ").replace('"', ""),
        "at_application row view, loan_changes window view, open_loans state view"
    );
    let other = Project::empty();
    other.write("definitions.sql", DEFINITIONS);
    let plan = other.run(&["plan"]).ok().stdout;
    let lines = plan.lines();
    let about = lines.skip_while(|line| !line.contains("loan_changes"));
    let about = about.take_while(|line| !line.contains("service"));
    let about: String = about.map(|line| format!("{line}\n")).collect();
    crate::support::expect("text/plan_state_view.txt", &about);
}
