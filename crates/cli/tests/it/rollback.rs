//! Going back to an earlier version of a view, with and without a server.

use serde_json::Value as Json;

use crate::serve::Server;
use crate::support::Project;

const GET: [&str; 7] = [
    "get",
    "--service",
    "customer_model",
    "--entity",
    "customer_id=ada",
    "--as-of",
    "2026-01-12",
];

/// With a second version of its view.
fn project() -> (Project, Json) {
    let project = Project::empty();
    project.run(&["init"]).ok();
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    let first = project.run(&[&GET[..], &["--json"]].concat()).ok().json();
    let file = "definitions/orders.sql";
    let text = project.read(file).replace("(LAST 7 DAYS)", "(LAST 1 DAYS)");
    project.write(file, &text);
    project.run(&["apply"]).ok();
    (project, first)
}

fn rows(project: &Project) -> Json {
    let answer = project.run(&[&GET[..], &["--json"]].concat()).ok().json();
    answer["rows"].clone()
}

#[test]
fn a_view_goes_back() {
    let (project, first) = project();
    let second = rows(&project);
    assert_ne!(second, first["rows"]);
    let back = ["rollback", "customer_orders", "--to", "1"];
    project.expect_text("rollback_dry_run", &[&back[..], &["--dry-run"]].concat(), 0);
    assert_eq!(rows(&project), second);
    project.expect_text("rollback", &back, 0);
    assert_eq!(rows(&project), first["rows"]);
    project.expect_text("rollback_nothing", &back, 1);
    project.expect_text(
        "rollback_unknown",
        &["rollback", "customer_orders", "--to", "9"],
        1,
    );
    project.expect_text(
        "rollback_no_view",
        &["rollback", "customer_order", "--to", "1"],
        1,
    );
    let forward = ["rollback", "customer_orders", "--to", "2", "--json"];
    project.expect_json("rollback", &forward[..4], 0);
    assert_eq!(rows(&project), second);
}

#[test]
fn beside_a_server_it_is_the_same() {
    let ((alone, first), (beside, _)) = (project(), project());
    let server = Server::start(&beside, &[]);
    for arguments in [
        &[
            "rollback",
            "customer_orders",
            "--to",
            "1",
            "--dry-run",
            "--json",
        ][..],
        &["rollback", "customer_orders", "--to", "1", "--json"],
    ] {
        let (one, other) = (alone.run(arguments).ok(), beside.run(arguments).ok());
        assert_eq!(one.json(), other.json());
    }
    assert_eq!(rows(&beside), first["rows"]);
    server.stop();
}
