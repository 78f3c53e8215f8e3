//! `evenkeel tail`: what derived streams emitted, with and without a server.

use serde_json::Value as Json;

use crate::serve::Server;
use crate::support::Project;

const AMOUNTS: &str = "CREATE STREAM order_amounts AS SELECT customer_id, amount FROM orders;\n";

fn project() -> Project {
    let project = Project::sample();
    project.write("definitions/amounts.sql", AMOUNTS);
    project.run(&["apply"]).ok();
    project
}

#[test]
fn emissions_are_shown_by_position() {
    let project = project();
    project.expect_text("tail", &["tail", "order_amounts"], 0);
    let some = project.run(&[
        "tail",
        "order_amounts",
        "--from",
        "1",
        "--limit",
        "2",
        "--json",
    ]);
    let lines: Vec<serde_json::Value> = some
        .ok()
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["position"], &lines[1]["position"]),
        (&1.into(), &2.into())
    );
    project.expect_text("tail_unknown", &["tail", "orders"], 1);
    project.expect_text(
        "tail_alone",
        &["tail", "order_amounts", "--limit", "1", "--follow"],
        4,
    );
    project.expect_text("plan_derived", &["plan"], 0);
    let refused = project.run(&["ingest", "order_amounts"]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("is a derived stream"),
        "{}",
        refused.stderr
    );
}

#[test]
fn what_a_trigger_is_called_is_shown() {
    let project = project();
    let call = |id: &str, called: &str| {
        let row =
            format!("order_id={id},customer_id=ada,amount=4.25,ordered_at=2026-01-12T00:00:00Z");
        let trigger = [
            "trigger",
            "orders",
            "--view",
            "customer_orders",
            "--row",
            &row,
        ];
        project.run(&[&trigger[..], &["--correlation-id", called]].concat())
    };
    call("called", "checkout 7").ok();
    let tail = ["tail", "order_amounts", "--limit", "1"];
    let line = project.run(&tail).ok().stdout;
    assert!(line.ends_with("amount=4.25  for checkout 7\n"), "{line}");
    let server = Server::start(&project, &[]);
    call("called too", "checkout 8").ok();
    let follow = ["tail", "order_amounts", "--from", "0", "--follow", "--json"];
    let count = line
        .split_whitespace()
        .next()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        + 2;
    let limit = count.to_string();
    let lines = project.run(&[&follow[..], &["--limit", &limit]].concat());
    let lines = lines.ok().stdout;
    let called: Vec<Json> = lines
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["correlation_id"].clone())
        .filter(|called| !called.is_null())
        .collect();
    assert_eq!(called, ["checkout 7", "checkout 8"]);
    drop(server);
    let refused = call("no", "");
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("is empty"), "{}", refused.stderr);
}

#[test]
fn what_comes_is_shown_as_it_comes() {
    let project = project();
    let server = Server::start(&project, &[]);
    let shown = |arguments: &[&str]| project.run(arguments).ok().stdout;
    let all = shown(&["tail", "order_amounts", "--from", "0"]);
    let count = all.lines().count().to_string();
    let followed = shown(&[
        "tail",
        "order_amounts",
        "--from",
        "0",
        "--limit",
        &count,
        "--follow",
    ]);
    assert_eq!(followed, all);
    server.stop();
}
