//! Forgetting a key: first looked at, then done, once.

use crate::serve::Server;
use crate::support::Project;

/// The sample's events, and one customer of them.
fn project() -> Project {
    let project = Project::empty();
    project.run(&["init"]).ok();
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    project
}

#[test]
fn a_key_is_looked_for_and_forgotten_once_somebody_says_so() {
    let project = project();
    let ada = ["forget", "customer", "ada"];
    project.expect_text("forget_not_yet", &ada, 1);
    project.expect_text("forget_dry_run", &[&ada[..], &["--dry-run"]].concat(), 0);
    let get = [
        "get",
        "--service",
        "customer_model",
        "--entity",
        "customer_id=ada",
        "--as-of",
        "2026-01-12",
        "--json",
    ];
    let before = project.run(&get).ok().json();
    project.expect_text("forget", &[&ada[..], &["--yes"]].concat(), 0);
    let after = project.run(&get).ok().json();
    assert_ne!(before["rows"], after["rows"]);
    project.expect_json("forget", &[&ada[..], &["--yes"]].concat(), 0);
    project.expect_text("forget_resume", &["forget", "--resume"], 0);
    for (name, arguments) in [
        ("forget_no_entity", ["forget", "custommer", "ada", "--yes"]),
        (
            "forget_no_columns",
            ["forget", "customer", "ada", "--also=orders.nothing"],
        ),
    ] {
        let dry = [&arguments[..], &["--dry-run"]].concat();
        let arguments = if name.ends_with("columns") {
            dry
        } else {
            arguments.to_vec()
        };
        project.expect_text(name, &arguments, 1);
    }
}

#[test]
fn a_server_that_is_asked_forgets_when_it_starts_again() {
    let project = project();
    let server = Server::start(&project, &[]);
    let ada = ["forget", "customer", "ada"];
    project.expect_text(
        "forget_server_dry_run",
        &[&ada[..], &["--dry-run"]].concat(),
        0,
    );
    project.expect_text("forget_server", &[&ada[..], &["--yes"]].concat(), 0);
    let status = || {
        project
            .run(&["forget", "customer", "ada", "--dry-run", "--json"])
            .ok()
            .json()
    };
    assert_ne!(status()["sources"], serde_json::json!([]));
    drop(server);
    let server = Server::start(&project, &[]);
    assert_eq!(status()["sources"], serde_json::json!([]));
    drop(server);
    project.run(&["forget", "--resume"]).ok();
}
