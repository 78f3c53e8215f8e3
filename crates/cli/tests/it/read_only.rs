//! A store on a disk that cannot be written: what only reads goes on, and says the same.
//!
//! Needs to mount. Where that is not allowed it says so and tries nothing.

use std::fs::File;
use std::io::Write as _;

use serde_json::Value as Json;

use crate::full_disk::{Mount, run};
use crate::support::Project;

const READS: [&[&str]; 6] = [
    &["status", "--json"],
    &[
        "get",
        "--service",
        "customer_model",
        "--entity",
        "customer_id=ada",
        "--as-of",
        "2026-01-12",
        "--json",
    ],
    &[
        "explain",
        "customer_orders:orders_7d",
        "--entity",
        "customer_id=ada",
        "--as-of",
        "2026-01-12",
        "--json",
    ],
    &["verify", "--values", "100", "--json"],
    &["dead-letters", "orders", "--json"],
    &[
        "sql",
        "SELECT count(*) AS n FROM events.orders",
        "--as-of",
        "2026-02-01",
        "--json",
    ],
];

const ROW: &str = "order_id=x,customer_id=ada,amount=1,ordered_at=2026-01-12T00:00:00Z";

/// What is said; not how long the log is, which counts the number of who locked it last.
fn ask(project: &Project) -> [Json; READS.len()] {
    READS.map(|arguments| {
        let mut json = project.run(arguments).ok().json();
        if let Some(status) = json.as_object_mut() {
            status.remove("log_bytes");
        }
        json
    })
}

fn not_tested(reason: &str) {
    // Past the harness, which keeps what a passing test prints.
    let said = format!("NOT TESTED: nothing can be mounted: {reason}\n");
    std::io::stderr().write_all(said.as_bytes()).unwrap();
}

#[test]
fn who_reads_needs_no_disk_that_can_be_written() {
    let project = Project::sample();
    let ask = || ask(&project);
    let before = ask();
    let place = project.path().to_string_lossy().into_owned();
    let mounted = Mount::of(&["--bind", &place], project.path()).and_then(|mount| {
        run("mount", &["-o", "remount,ro,bind", &place])?;
        Ok(mount)
    });
    let mount = match mounted {
        Ok(mount) => mount,
        Err(reason) => return not_tested(&reason),
    };
    assert_eq!(ask(), before);
    // Who writes is told why not.
    let said = project.run(&["ingest"]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(
        said.stderr.contains("Read-only file system"),
        "{}",
        said.stderr
    );
    drop(mount);
}

/// A full disk is none that can be written, either.
#[test]
fn who_reads_needs_no_room() {
    let project = Project::empty();
    let mounted = Mount::of(&["-t", "tmpfs", "-o", "size=6m", "tmpfs"], project.path());
    let mount = match mounted {
        Ok(mount) => mount,
        Err(reason) => return not_tested(&reason),
    };
    for arguments in [&["init"], &["apply"], &["ingest"]] {
        project.run(arguments).ok();
    }
    let ask = || ask(&project);
    let before = ask();
    let mut ballast = File::create(project.path().join("ballast")).unwrap();
    while ballast.write_all(&[7; 4096]).is_ok() {}
    while ballast.write_all(&[7]).is_ok() {}
    assert_eq!(ask(), before);
    let said = project.run(&[
        "trigger",
        "orders",
        "--row",
        ROW,
        "--view",
        "customer_orders",
    ]);
    assert_eq!(said.code, 3, "{}", said.stderr);
    drop(ballast);
    std::fs::remove_file(project.path().join("ballast")).unwrap();
    project.run(&["ingest"]).ok();
    assert_eq!(ask(), before);
    drop(mount);
}
