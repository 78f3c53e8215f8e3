//! Calls on the command line, with and without a server.

use crate::serve::Server;
use crate::support::Project;

const ROW: &str = "order_id=new,customer_id=ada,amount=4.25,ordered_at=2026-01-12T00:00:00Z";

fn project() -> Project {
    let project = Project::empty();
    project.run(&["init"]).ok();
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    project
}

#[test]
fn a_row_is_read_with_and_gone() {
    let project = project();
    let call = [
        "call",
        "orders",
        "--row",
        ROW,
        "--service",
        "customer_model",
    ];
    let before = project.run(&["status", "--json"]).ok().json();
    project.expect_text("call", &call, 0);
    project.expect_json("call", &call, 0);
    let with = |more: &[&'static str]| [&["call", "orders", "--row", ROW], more].concat();
    let bob = [
        "--features",
        "customer_orders:orders_7d",
        "--inputs",
        "customer_id=bob",
    ];
    project.expect_text("call_inputs", &with(&bob), 0);
    project.expect_text("call_unknown", &with(&["--service", "customer_modell"]), 1);
    let bad = [
        "call",
        "orders",
        "--row",
        "order_id=new,customer_id=ada",
        "--service",
        "customer_model",
    ];
    project.expect_text("call_no_event", &bad, 1);
    assert_eq!(project.run(&["status", "--json"]).ok().json(), before);
}

#[test]
fn beside_a_server_it_is_the_same() {
    let (alone, beside) = (project(), project());
    let server = Server::start(&beside, &[]);
    for more in [
        &["--service", "customer_model"][..],
        &[
            "--features",
            "customer_orders:*",
            "--inputs",
            "customer_id=bob",
        ],
    ] {
        let arguments = [&["call", "orders", "--json", "--row", ROW], more].concat();
        let (one, other) = (alone.run(&arguments).ok(), beside.run(&arguments).ok());
        assert_eq!(one.json(), other.json());
    }
    server.stop();
}
