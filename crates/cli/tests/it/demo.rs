//! The demo as a whole, with fewer values verified, and its definitions.

use std::path::Path;

use crate::support::{Project, evenkeel, expect};

fn repository() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo")
}

#[test]
fn its_definitions_are_right() {
    let run = evenkeel(&repository(), &["check", "--json"]).ok();
    assert_eq!(run.json()["warnings"], serde_json::json!([]));
}

/// Every number of the demo, and the digest over all its answers, are the same on every run
/// and machine: here they are written down.
#[test]
fn its_numbers_are_the_same_everywhere() {
    let project = Project::empty();
    let mut report = project
        .run(&["demo", "--json", "--values", "1000"])
        .ok()
        .json();
    assert_eq!(report["mismatches"], 0);
    assert!(project.path().join("evenkeel-demo/train.parquet").is_file());
    let seconds = report.as_object_mut().unwrap().remove("seconds").unwrap();
    assert!(seconds.as_f64().unwrap() > 0.0);
    expect(
        "demo.json",
        &format!("{}\n", serde_json::to_string_pretty(&report).unwrap()),
    );

    // The tour of the README goes through this very folder.
    crate::docs::replay(&crate::docs::page("README.md"), project.path());

    // Whatever is logged again changes nothing.
    let again = project
        .run(&["ingest", "arrivals", "--dir", "evenkeel-demo", "--json"])
        .ok()
        .json();
    assert_eq!(again["recorded"], 0);
    assert_eq!(again["sources"][0]["known_already"], 161_057);
}
