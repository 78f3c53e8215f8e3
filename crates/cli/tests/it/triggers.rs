//! Triggers and their results on the command line, with and without a server.

use crate::serve::Server;
use crate::support::Project;

const ROW: &str = "order_id=new,customer_id=ada,amount=4.25,ordered_at=2026-01-12T00:00:00Z";
const TRIGGER: [&str; 6] = [
    "trigger",
    "orders",
    "--row",
    ROW,
    "--service",
    "customer_model",
];

fn project() -> Project {
    let project = Project::empty();
    project.run(&["init"]).ok();
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    project
}

#[test]
fn a_row_is_logged_and_answered_once() {
    let project = project();
    let call = [
        "call",
        "orders",
        "--row",
        ROW,
        "--service",
        "customer_model",
    ];
    let called = project.run(&[&call[..], &["--json"]].concat()).ok().json();
    project.expect_text("trigger", &TRIGGER, 0);
    project.expect_text("trigger_again", &TRIGGER, 0);
    let again = project
        .run(&[&TRIGGER[..], &["--json"]].concat())
        .ok()
        .json();
    assert_eq!(again["rows"], called["rows"]);
    let id = again["result"].as_str().unwrap();
    project.expect_text("result", &["result", id], 0);
    let with = |row: &'static str| {
        [
            "trigger",
            "orders",
            "--row",
            row,
            "--view",
            "customer_orders",
        ]
    };
    let conflict = "order_id=new,customer_id=ada,amount=4.5,ordered_at=2026-01-12T00:00:00Z";
    project.expect_text("trigger_conflict", &with(conflict), 0);
    project.expect_text("trigger_no_event", &with("order_id=x,customer_id=ada"), 0);
    project.expect_text(
        "result_unknown",
        &["result", "orders~0~77~view~customer_orders~1"],
        1,
    );
    project.expect_text("result_no_id", &["result", "77"], 1);
}

#[test]
fn beside_a_server_it_is_the_same() {
    let (alone, beside) = (project(), project());
    let server = Server::start(&beside, &[]);
    let both = |arguments: &[&str]| {
        let arguments = [arguments, &["--json"]].concat();
        let (one, other) = (alone.run(&arguments).ok(), beside.run(&arguments).ok());
        assert_eq!(one.json(), other.json());
        one.json()
    };
    let first = both(&TRIGGER);
    assert_eq!(first["status"], "logged");
    assert_eq!(both(&TRIGGER)["status"], "duplicate");
    let result = both(&["result", first["result"].as_str().unwrap()]);
    assert_eq!(result["rows"], first["rows"]);
    both(&[
        "trigger",
        "orders",
        "--row",
        "order_id=x,customer_id=ada",
        "--view",
        "customer_orders",
    ]);
    server.stop();
}
