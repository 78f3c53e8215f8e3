//! Trying, backtesting and publishing on the command line: golden files, exit codes, beside a
//! server, in a Git repository's CI.

use std::fs;

use serde_json::{Value as Json, json};

use crate::docs::page;
use crate::serve::Server;
use crate::support::Project;

const MORE: &str = "
CREATE FEATURE VIEW customer_orders ENTITY customer (customer_id) AS
SELECT customer_id,
       count(*)    OVER last_14d AS orders_7d,
       sum(amount) OVER last_7d  AS amount_7d,
       max(amount) OVER last_14d AS amount_max_14d
FROM orders
WINDOW last_7d  AS (LAST 7 DAYS),
       last_14d AS (LAST 14 DAYS);
CREATE FEATURE VIEW last_order ENTITY customer (customer_id) AS
SELECT customer_id, amount AS last_amount, CAST(amount AS INT) AS whole FROM orders WHERE amount > 6;
";

const LATE: &str = "late-1,ada,12.5,2026-01-09T10:00:00Z\n";

/// The sample with a view that is not published.
fn project() -> Project {
    let project = Project::sample();
    project.write("new/more.sql", MORE);
    // Only what is in `definitions/` is the project's.
    project
}

fn trial<'a>(json: &'a Json, view: &str) -> &'a Json {
    let trials = json["trials"].as_array().unwrap();
    trials.iter().find(|t| t["view"] == view).unwrap()
}

#[test]
fn a_trial_says_what_a_view_would_give() {
    let project = project();
    project.expect_text("try", &["try", "new/more.sql", "--replay"], 0);
    project.expect_json("try", &["try", "new", "--replay"], 0);
    let out = [
        "try",
        "new",
        "--view",
        "last_order",
        "--out",
        "rows.csv",
        "--from",
        "2026-01-06",
        "--to",
        "2026-01-20",
    ];
    project.expect_text("try_out", &out, 0);
    assert_eq!(
        project.read("rows.csv"),
        "customer_id,event_time,last_amount,whole\n\
         ada,2026-01-07T17:30:00Z,10.0,10\n\
         bob,2026-01-08T12:00:00Z,99.95,\n"
    );
    // Nothing was registered.
    let status = project.run(&["status", "--json"]).ok().json();
    assert_eq!(status["views"].as_array().unwrap().len(), 1);
}

#[test]
fn a_sample_without_keys_is_all_of_them() {
    let project = project();
    let whole = project.run(&["try", "new", "--json"]).ok();
    let sampled = project
        .run(&["try", "new", "--sample", "0.0001%", "--json"])
        .ok();
    let digests = |json: &Json| -> Vec<Json> {
        let trials = json["trials"].as_array().unwrap().iter();
        trials.map(|trial| trial["digest"].clone()).collect()
    };
    assert_eq!(digests(&sampled.json()), digests(&whole.json()));
    assert!(
        sampled
            .stderr
            .contains("in the sample: all keys are looked at")
    );
    assert!(!whole.stderr.contains("in the sample"));
    let backtest = |sample: &str| {
        let arguments = ["backtest", "customer_model", "--sample", sample, "--json"];
        project.run(&arguments).ok()
    };
    let (whole, sampled) = (backtest("100%"), backtest("0.0001%"));
    assert_eq!(sampled.json()["digest"], whole.json()["digest"]);
    assert!(
        sampled
            .stderr
            .contains("in the sample: all keys are looked at")
    );
}

#[test]
fn what_cannot_be_tried_says_why() {
    let project = project();
    project.write(
        "bad/on_demand.sql",
        "CREATE ON DEMAND FEATURE VIEW asked REQUEST (x DOUBLE) AS SELECT x * orders_7d AS y FROM customer_orders;",
    );
    project.write(
        "bad/batch.sql",
        "CREATE BATCH FEATURE VIEW nightly ENTITY customer (customer_id) SCHEDULE '0 3 * * *' AS
         SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id;",
    );
    project.write(
        "bad/new_source.sql",
        "CREATE STREAM clicks (customer_id STRING, at TIMESTAMP, EVENT TIME at);
         CREATE FEATURE VIEW clicked ENTITY customer (customer_id) AS
         SELECT customer_id, count(*) OVER (LAST 1 DAYS) AS n FROM clicks;",
    );
    project.write(
        "bad/mistake.sql",
        "CREATE FEATURE VIEW v ENTITY customer (customer_id) AS
         SELECT customer_id, count(*) OVER (LAST 1 DAYS) AS n FROM order;",
    );
    project.write("bad/none.sql", "CREATE ENTITY shop (shop STRING);");
    for (name, arguments, code) in [
        ("on_demand", &["try", "bad/on_demand.sql"][..], 1),
        ("batch", &["try", "bad/batch.sql"], 1),
        ("new_source", &["try", "bad/new_source.sql"], 1),
        ("mistake", &["try", "bad/mistake.sql"], 1),
        ("none", &["try", "bad/none.sql"], 1),
        ("gone", &["try", "bad/gone.sql"], 3),
        ("unknown", &["try", "new", "--view", "last_orders"], 1),
        ("two_outs", &["try", "new", "--out", "x.csv"], 2),
        (
            "ending",
            &["try", "new", "--view", "last_order", "--out", "rows.txt"],
            1,
        ),
        ("sample", &["try", "new", "--sample", "101%"], 2),
        (
            "empty",
            &["try", "new", "--from", "2026-02-01", "--to", "2026-02-01"],
            1,
        ),
        ("nothing", &["try", "new", "--from", "2026-02-01"], 1),
        ("time", &["try", "new", "--from", "yesterday"], 1),
    ] {
        project.expect_text(&format!("try_refused_{name}"), arguments, code);
    }
}

#[test]
fn a_backtest_says_what_was_late() {
    let project = project();
    project.write(
        "definitions/orders.sql",
        &project
            .read("definitions/orders.sql")
            .replace("  KNOWN AT ordered_at\n", "")
            .replace("MINUTE,\n)", "MINUTE\n)"),
    );
    let project = {
        // History that comes as it is ingested.
        let fresh = Project::empty();
        for name in ["evenkeel.toml", "definitions/orders.sql", "data/orders.csv"] {
            fresh.write(name, &project.read(name));
        }
        fresh
    };
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    let late = format!("order_id,customer_id,amount,ordered_at\n{LATE}");
    project.write("late.csv", &late);
    project
        .run(&["ingest", "orders", "--file", "late.csv"])
        .ok();
    let arguments = ["backtest", "customer_model", "--out", "b.csv"];
    project.expect_text("backtest", &arguments, 0);
    project.expect_json("backtest", &arguments, 0);
    assert!(project.read("b.csv").starts_with(
        "customer_id,event_time,known_at,orders_7d,orders_7d__latest,amount_7d,amount_7d__latest,"
    ));
    project.write(
        "spine.csv",
        "customer_id,event_time\nada,2026-01-12\nnobody,2026-01-12\n",
    );
    let spine = ["backtest", "customer_model", "--spine", "spine.csv"];
    project.expect_text("backtest_spine", &spine, 0);
    let wrong = ["backtest", "customer_modle"];
    project.expect_text("backtest_unknown", &wrong, 1);
    let late_only = ["backtest", "customer_model", "--from", "2026-02-01"];
    project.expect_text("backtest_nothing", &late_only, 1);
}

#[test]
fn publishing_tries_what_changes_and_applies_it() {
    let project = project();
    let dry = ["publish", "new", "--sample", "100%", "--dry-run"];
    project.expect_text("publish_dry", &dry, 0);
    let json = project
        .run(&["publish", "new", "--sample", "100%", "--json"])
        .ok()
        .json();
    assert_eq!(json["applied"], true);
    assert_eq!(trial(&json, "customer_orders")["replay"]["mismatches"], 0);
    project.expect_text("publish_again", &["publish", "new"], 0);
    let get = project.run(&[
        "get",
        "--features",
        "last_order:last_amount",
        "--entity",
        "customer_id=bob",
        "--as-of",
        "2026-01-12",
        "--json",
    ]);
    assert_eq!(
        get.ok().json()["rows"][0]["features"]["last_amount"]["value"],
        99.95
    );
    project.write(
        "new/more.sql",
        &MORE.replace("FROM orders\n", "FROM order\n"),
    );
    let refused = project.run(&["publish", "new"]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    let first = Project::empty();
    first.run(&["init"]).ok();
    first.expect_text("publish_first", &["publish"], 0);
}

#[test]
fn what_a_file_changes_in_no_file_is_said() {
    let project = project();
    project.write(
        "definitions/trend.sql",
        "CREATE FEATURE VIEW trend ENTITY customer AS
         SELECT c.orders_7d + 1 AS more FROM customer_orders c;",
    );
    project.run(&["apply"]).ok();
    fs::remove_file(project.path().join("definitions/trend.sql")).unwrap();
    let published = project.run(&["publish", "new", "--json"]).ok().json();
    assert_eq!(published["carried_along"], json!(["trend"]));
    let again = project.run(&["publish", "new", "--json"]).ok().json();
    assert_eq!(again["carried_along"], json!([]));
}

#[test]
fn a_server_publishes_what_was_tried_beside_it() {
    let project = project();
    let server = Server::start(&project, &[]);
    let json = project.run(&["publish", "new", "--json"]).ok().json();
    assert_eq!(json["applied"], true);
    let tried = project
        .run(&["try", "new", "--replay", "--json"])
        .ok()
        .json();
    assert_eq!(trial(&tried, "last_order")["published_as"], 1);
    drop(server);
    let status = project.run(&["status", "--json"]).ok().json();
    let views = status["views"].as_array().unwrap();
    let versions: Vec<(&str, u64)> = views
        .iter()
        .map(|v| (v["name"].as_str().unwrap(), v["version"].as_u64().unwrap()))
        .collect();
    assert_eq!(
        versions,
        [
            ("customer_orders", 1),
            ("customer_orders", 2),
            ("last_order", 1)
        ]
    );
}

/// Every `run:` of the example workflow is a command line that there is.
#[test]
fn the_workflow_for_ci_runs_commands_that_there_are() {
    let text = fs::read_to_string(page("examples/ci/publish-views.yml")).unwrap();
    let project = project();
    let commands: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("run: evenkeel "))
        .collect();
    assert!(commands.len() >= 3, "{commands:?}");
    for command in commands {
        let command = command.split(" > ").next().unwrap();
        let words: Vec<&str> = command.split_whitespace().collect();
        project.run(&words).ok();
    }
}
