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
