//! `evenkeel tail`: what derived streams emitted, with and without a server.

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
