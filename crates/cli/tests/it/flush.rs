//! `evenkeel flush` where not every table can be written.

use std::fs;

use crate::support::Project;

#[test]
fn a_source_that_cannot_be_flushed_is_named_and_the_others_are_flushed() {
    let project = Project::sample();
    project.write(
        "definitions/visits.sql",
        "CREATE STREAM visits (id STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'visits.csv');",
    );
    project.write("visits.csv", "id,at\na,2026-01-01T10:00:00Z\n");
    project.run(&["apply"]).ok();
    project.run(&["ingest", "visits"]).ok();
    // A file is where its directory should be.
    let lake = project.path().join(".evenkeel/lake");
    fs::create_dir_all(&lake).unwrap();
    fs::write(lake.join("orders"), "in the way").unwrap();
    let run = project.run(&["flush"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(
        run.stderr.contains("`orders` was not flushed"),
        "{}",
        run.stderr
    );
    assert!(
        !run.stdout.contains("orders") && run.stdout.contains("visits"),
        "{}",
        run.stdout
    );
    let run = project.run(&["flush", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (3, ""));
    let json = run.json();
    assert_eq!(json["failed"][0]["source"], "orders");
    assert_eq!(json["failed"][0]["error"]["code"], "STORAGE");
    assert!(
        json["sources"]
            .as_array()
            .is_some_and(|sources| !sources.is_empty()),
        "{json}"
    );
    fs::remove_file(lake.join("orders")).unwrap();
    let run = project.run(&["flush"]).ok();
    assert!(run.stdout.contains("orders"), "{}", run.stdout);
}

#[test]
fn a_log_is_truncated_by_what_was_flushed() {
    let project = Project::sample();
    let truncate = ["log", "truncate"];
    project.expect_text("log_truncate_before_flush", &truncate, 0);
    project.run(&["flush"]).ok();
    let young = [&truncate[..], &["--days", "30"]].concat();
    let stays = project.run(&young).ok().stdout;
    assert!(stays.contains("its last event was logged at"), "{stays}");
    let tried = [&truncate[..], &["--dry-run"]].concat();
    project.expect_text("log_truncate_dry_run", &tried, 0);
    project.expect_json("log_truncate_dry_run", &tried, 0);
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
    let read = project.run(&get).ok().json()["rows"].clone();
    let done = project
        .run(&[&truncate[..], &["--json"]].concat())
        .ok()
        .json();
    assert_eq!(
        (&done["truncated"], &done["whole"]),
        (&1.into(), &0.into()),
        "{done}"
    );
    project.expect_text("log_truncate_again", &truncate, 0);
    assert_eq!(project.run(&get).ok().json()["rows"], read);
    let again = project.run(&["ingest", "--json"]).ok().json();
    assert_eq!(again["recorded"], 0, "{again}");
    fs::remove_dir_all(project.path().join(".evenkeel/hot")).unwrap();
    assert_eq!(project.run(&get).ok().json()["rows"], read);
    project.run(&["verify"]).ok();
    project.run(&["doctor"]).ok();
    fs::remove_dir_all(project.path().join(".evenkeel/lake/orders")).unwrap();
    project.expect_text("doctor_truncated", &["doctor"], 3);
}
