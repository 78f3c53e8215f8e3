//! What the user is told when something is wrong, and with which exit code.

use std::process::Stdio;

use crate::support::{Project, binary};

#[test]
fn what_is_not_understood_is_a_usage_error() {
    let project = Project::empty();
    let run = project.run(&["gett"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert!(
        run.stderr.contains("unrecognized subcommand 'gett'"),
        "{}",
        run.stderr
    );
    let run = project.run(&["get", "--service", "x", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (2, ""));
    assert_eq!(run.json()["error"]["code"], "USAGE");
    let run = project.run(&["get", "--service", "x", "--entity", "SEA"]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("`SEA` is not NAME=VALUE"),
        "{}",
        run.stderr
    );
}

#[test]
fn mistakes_in_definitions_are_underlined() {
    let project = Project::empty();
    project.write(
        "a.sql",
        "CREATE ENTITY customer (customer_id STRING);\n\
         CREATE FEATURE VIEW v ENTITY customr (customer_id) AS\n\
         SELECT customer_id, count(*) OVER (LAST 7 DAYS) AS n FROM orders;\n",
    );
    project.expect_text("mistakes", &["check"], 1);
    project.expect_json("mistakes", &["check"], 1);
}

#[test]
fn requests_that_do_not_fit_are_explained() {
    let project = Project::empty();
    project.run(&["init"]).ok();
    project.expect_text("no_store", &["status"], 1);
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    for (name, arguments) in [
        (
            "unknown_service",
            vec![
                "get",
                "--service",
                "customer_modl",
                "--entity",
                "customer_id=ada",
            ],
        ),
        (
            "unknown_input",
            vec![
                "get",
                "--service",
                "customer_model",
                "--entity",
                "custmer_id=ada",
            ],
        ),
        (
            "unknown_feature",
            vec![
                "get",
                "--features",
                "customer_orders:orders_8d",
                "--entity",
                "customer_id=ada",
            ],
        ),
        (
            "bad_time",
            vec![
                "get",
                "--service",
                "customer_model",
                "--entity",
                "customer_id=ada",
                "--as-of",
                "yesterday",
            ],
        ),
        (
            "bad_cut",
            vec![
                "get",
                "--service",
                "customer_model",
                "--entity",
                "customer_id=ada",
                "--cut",
                "orders/0@x",
            ],
        ),
        ("unknown_source", vec!["ingest", "order"]),
        (
            "view_for_service",
            vec![
                "get",
                "--service",
                "customer_orders",
                "--entity",
                "customer_id=ada",
            ],
        ),
        // Said before the set is built.
        (
            "unknown_format",
            vec![
                "train",
                "customer_model",
                "--spine",
                "nothing.csv",
                "--out",
                "t.xlsx",
            ],
        ),
        (
            "bad_query",
            vec![
                "train",
                "customer_model",
                "--spine",
                "SELECT customer_idd FROM orders",
                "--out",
                "t.csv",
            ],
        ),
    ] {
        project.expect_text(name, &arguments, 1);
        let mut with_json = arguments.clone();
        with_json.push("--json");
        let error = project.run(&with_json).json()["error"].clone();
        assert!(
            error["message"].is_string() && error["code"].is_string(),
            "{error}"
        );
    }
}

#[test]
fn a_folder_that_is_the_wrong_one_stays_as_it_is() {
    let project = Project::empty();
    project.expect_text("no_definitions", &["check"], 1);
    assert_eq!(project.run(&["apply"]).code, 1);
    project.write("a.sql", "CREATE ENTITTY x (y STRING);");
    assert_eq!(project.run(&["apply"]).code, 1);
    assert!(!project.path().join(".evenkeel").exists());
    project.expect_text("no_folder", &["check", "--dir", "nowhere"], 1);
    project.write("evenkeel.toml", "[store]\npaht = \"p\"\n");
    project.expect_text("unknown_setting", &["check"], 1);
}

#[test]
fn an_unknown_environment_names_the_known_ones() {
    let project = Project::empty();
    project.write(
        "evenkeel.toml",
        "[environments.production.store]\npath = \"p\"\n",
    );
    let run = project.run(&["status", "--env", "prod"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("production"), "{}", run.stderr);
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let project = Project::empty();
    for arguments in [
        vec!["functions"],
        vec!["functions", "--json"],
        vec!["--help"],
    ] {
        let mut child = binary()
            .current_dir(project.path())
            .args(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "",
            "{arguments:?}"
        );
    }
}

#[test]
fn colours_are_for_terminals() {
    let project = Project::empty();
    project.write("a.sql", "CREATE ENTITTY x (y STRING);");
    let run = project.run(&["check"]);
    assert!(
        !run.stderr.contains('\x1b') && run.stderr.contains("error"),
        "{}",
        run.stderr
    );
}
