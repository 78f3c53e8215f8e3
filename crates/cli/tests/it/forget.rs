//! Forgetting a key: first looked at, then done, once.

use evenkeel_engine::ServerSettings;
use evenkeel_server::Client;
use serde_json::{Value as Json, json};

use crate::serve::{Server, client};
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
fn datasets_that_cannot_be_built_again_are_listed_so() {
    let project = project();
    project.write(
        "definitions/dataset.sql",
        "CREATE TRAINING DATASET bought FROM SERVICE customer_model SPINE (SELECT customer_id FROM orders);",
    );
    project.run(&["apply"]).ok();
    project.run(&["dataset", "build", "bought"]).ok();
    let listed = || project.run(&["dataset", "list", "--json"]).ok().json();
    assert_eq!(listed()["datasets"][0]["not_rebuildable"], json!(null));
    project.run(&["forget", "customer", "ada", "--yes"]).ok();
    let why = listed()["datasets"][0]["not_rebuildable"].clone();
    let why = why.as_str().unwrap_or_default();
    assert!(why.starts_with("not rebuildable (forgotten)"), "{why}");
    let text = project.run(&["dataset", "list"]).ok().stdout;
    assert!(text.contains(&format!("bought:1: {why}")), "{text}");
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
    assert_ne!(status()["sources"], json!([]));
    drop(server);
    let server = Server::start(&project, &[]);
    assert_eq!(status()["sources"], json!([]));
    drop(server);
    project.run(&["forget", "--resume"]).ok();
}

/// Whether a server answers, and says that nothing is left to be forgotten.
fn is_all_forgotten(project: &Project) -> bool {
    let store = project.path().join(".evenkeel");
    let found = Client::find(&store, &ServerSettings::default());
    // While it ends what is under way it may break off.
    let Ok(Some(reply)) = found.and_then(|found| found.map(|f| f.get("/v1/status")).transpose())
    else {
        return false;
    };
    let status: Json = serde_json::from_slice(&reply.body).unwrap();
    status["not_forgotten"] == json!([])
}

#[test]
fn a_server_forgets_at_once_and_answers_again() {
    let project = project();
    let server = Server::start(&project, &[]);
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
    let waiting = ["forget", "customer", "bob", "--yes"];
    project.run(&waiting).ok();
    assert!(!is_all_forgotten(&project));
    let metrics = client(&project).get("/metrics").unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("evenkeel_not_forgotten_keys 1\n"));
    project.expect_text(
        "forget_server_now",
        &["forget", "customer", "ada", "--yes", "--now"],
        0,
    );
    while !is_all_forgotten(&project) {
        std::thread::yield_now();
    }
    assert_ne!(project.run(&get).ok().json()["rows"], before["rows"]);
    server.stop();
    let report = project.run(&["verify", "--json"]).ok().json();
    assert_eq!(report["mismatches"], json!(0), "{report}");
}
