//! `FROM FILE`: columns are inferred, printed, and frozen by `apply`.

use crate::support::Project;

const DEFINITIONS: &str = "\
CREATE ENTITY customer (customer STRING);
CREATE STREAM orders (EVENT ID (order_id), KNOWN AT ordered_at) FROM FILE 'orders.csv'
  WHERE customer <> 'test' COMMENT 'of the shop';
CREATE TABLE customers (PRIMARY KEY (customer), KNOWN AT since) FROM FILE 'customers.jsonl';
CREATE FEATURE VIEW spent ENTITY customer (customer) AS
SELECT customer, sum(amount) OVER (ALL HISTORY) AS total FROM orders;
CREATE FEATURE VIEW home ENTITY customer (customer) AS SELECT customer, city FROM customers;
CREATE FEATURE SERVICE model AS spent (*), home (*);
";

fn project() -> Project {
    let project = Project::empty();
    project.write("definitions.sql", DEFINITIONS);
    project.write(
        "orders.csv",
        "order_id,customer,amount,ordered_at\n\
         1,ada,20.5,2026-01-05T09:00:00Z\n\
         2,test,1,2026-01-06T09:00:00Z\n\
         3,ada,4,2026-01-07T09:00:00Z\n",
    );
    project.write(
        "customers.jsonl",
        "{\"customer\":\"ada\",\"city\":\"Porto\",\"since\":\"2026-01-01T00:00:00Z\"}\n",
    );
    project
}

const GET: [&str; 7] = [
    "get",
    "--service",
    "model",
    "--entity",
    "customer=ada",
    "--as-of",
    "2026-02-01",
];

#[test]
fn columns_are_inferred_printed_and_frozen() {
    let project = project();
    // Without a store.
    project.run(&["check"]).ok();
    project.expect_text("from_file_plan", &["plan"], 0);
    project.expect_json("from_file_plan", &["plan"], 0);
    project.expect_text("from_file_apply", &["apply"], 0);
    project.run(&["ingest"]).ok();
    project.expect_text("from_file_get", &GET, 0);
    assert!(project.run(&["plan"]).ok().stdout.starts_with("0 changes"));

    // The file changes: a column more, and texts where numbers were.
    project.write(
        "orders.csv",
        "order_id,customer,amount,ordered_at,note\n\
         n-4,ada,7,2026-01-08T09:00:00Z,\n\
         5,ada,0.5,2026-01-09T09:00:00Z,late\n",
    );
    project.expect_text("from_file_changed", &["plan"], 0);
    project.run(&["apply"]).ok();
    // The row that is not as it was frozen is rejected, the other recorded.
    let ingested = project.run(&["ingest", "orders", "--json"]).ok().json();
    assert_eq!(ingested["sources"][0]["recorded"], 1, "{ingested}");
    assert_eq!(
        ingested["sources"][0]["rejected_by_reason"]["DECODE"], 1,
        "{ingested}"
    );
    let get = [&GET[..], &["--json"]].concat();
    let answer = project.run(&get).ok().json();
    assert_eq!(answer["rows"][0]["features"]["total"]["value"], 25.0);

    // A file that is gone changes nothing either.
    std::fs::remove_file(project.path().join("orders.csv")).unwrap();
    let again = project.run(&["apply"]).ok();
    assert!(again.stdout.starts_with("0 changes"), "{}", again.stdout);
    assert_eq!(again.stderr, "");

    // The statement that was printed, written out, is the same definition.
    let plan = project.run(&["plan", "--all", "--json"]).ok().json();
    let changes = plan["changes"].as_array().unwrap();
    let statements: Vec<&str> = changes
        .iter()
        .filter_map(|c| c["statement"].as_str())
        .collect();
    assert_eq!(statements.len(), 2);
    let rest = DEFINITIONS
        .split_inclusive(";\n")
        .filter(|s| !s.contains("FROM FILE"));
    let written_out: String = statements
        .iter()
        .map(|s| format!("{s}\n"))
        .chain(rest.map(str::to_owned))
        .collect();
    project.write("definitions.sql", &written_out);
    let again = project.run(&["plan"]).ok();
    assert!(again.stdout.starts_with("0 changes"), "{}", again.stdout);
    let verified = project
        .run(&["verify", "--values", "200", "--json"])
        .ok()
        .json();
    assert_eq!(verified["mismatches"], 0);
}

/// What is written for a file is right, whatever its columns are called.
#[test]
fn columns_may_be_called_as_words_of_the_language() {
    let project = Project::empty();
    project.write(
        "clicks.csv",
        "user,order,select,case,a b,from,when\nu1,1,2.5,1.5,3,x,2026-01-01 10:00\nu2,2,3.5,2.5,4,y,2026-01-02 10:00\n",
    );
    let init = ["init", "--from", "clicks.csv", "--key", "user"];
    project.run(&init).ok();
    project.run(&["check"]).ok();
    project.run(&["apply"]).ok();
    let logged = project.run(&["ingest", "--json"]).ok().json();
    assert_eq!(logged["recorded"], 2);
}

#[test]
fn what_cannot_be_inferred_is_asked_for() {
    let project = project();
    project.write(
        "two.csv",
        "id,created_at,paid_at\n1,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z\n",
    );
    project.write("counted.csv", "id,paid_at\n1,1767225600\n2,1767229200\n");
    project.write(
        "definitions.sql",
        "CREATE STREAM two FROM FILE 'two.csv';\n\
         CREATE STREAM counted FROM FILE 'counted.csv';\n\
         CREATE STREAM absent FROM FILE 'absent.csv';\n",
    );
    project.expect_text("from_file_mistakes", &["check"], 1);
}
