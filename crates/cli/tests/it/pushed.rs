//! Rows of pushed views on the command line, with and without a server.

use crate::serve::Server;
use crate::support::Project;

const VIEW: &str = "
CREATE PUSHED FEATURE VIEW scores (risk DOUBLE, grade STRING COMMENT 'A to F') ENTITY customer
  COMMENT 'of the other team' OWNER 'risk' TAGS ('tier' = 'gold');
";
const ADA: [&str; 2] = ["--entity", "customer_id=ada"];

fn project() -> Project {
    let project = Project::empty();
    project.run(&["init"]).ok();
    project.write("definitions/scores.sql", VIEW);
    project.run(&["apply"]).ok();
    project
}

fn set<'a>(features: &'a str, at: &'a str) -> Vec<&'a str> {
    [
        &["set", "scores"][..],
        &ADA,
        &["--features", features, "--at", at],
    ]
    .concat()
}

#[test]
fn features_are_set_one_by_one() {
    let project = project();
    project.expect_text("set", &set("risk=0.5,grade=B", "2026-01-10"), 0);
    project.expect_json("set", &set("risk=0.25", "2026-01-12"), 0);
    let get = [
        &["get", "--features", "scores:*"][..],
        &ADA,
        &["--as-of", "2026-01-13"],
    ]
    .concat();
    project.expect_text("get_pushed", &get, 0);
    let delete = [&["delete", "scores"][..], &ADA, &["--at", "2026-01-14"]].concat();
    project.expect_text("delete", &delete, 0);
    project.expect_text("set_unknown", &set("rsk=1", "2026-01-15"), 1);
    project.expect_text(
        "set_no_view",
        &[
            "set",
            "customer_orders",
            "--entity",
            "customer_id=a",
            "--features",
            "orders_7d=1",
        ],
        1,
    );
    project.expect_text(
        "set_no_key",
        &["delete", "scores", "--entity", "customer_id=NULL"],
        1,
    );
}

#[test]
fn beside_a_server_it_is_the_same() {
    let (alone, beside) = (project(), project());
    let server = Server::start(&beside, &[]);
    let both = |arguments: &[&str]| {
        let arguments = [arguments, &["--json"]].concat();
        let (one, other) = (alone.run(&arguments).ok(), beside.run(&arguments).ok());
        assert_eq!(one.json(), other.json());
    };
    both(&set("risk=0.5,grade=B", "2026-01-10"));
    both(&set("grade=NULL", "2026-01-11"));
    both(&[&["delete", "scores"][..], &ADA, &["--at", "2026-01-14"]].concat());
    for at in ["2026-01-10", "2026-01-12", "2026-01-15"] {
        both(
            &[
                &["get", "--features", "scores:*"][..],
                &ADA,
                &["--as-of", at],
            ]
            .concat(),
        );
    }
    server.stop();
}
