//! A store on a disk that cannot be written: what only reads goes on, and says the same.
//!
//! Needs to mount. Where that is not allowed it says so and tries nothing.

use std::io::Write as _;

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

#[test]
fn who_reads_needs_no_disk_that_can_be_written() {
    let project = Project::sample();
    let ask = || READS.map(|arguments| project.run(arguments).ok().json());
    let before = ask();
    let place = project.path().to_string_lossy().into_owned();
    let mounted = Mount::of(&["--bind", &place], project.path()).and_then(|mount| {
        run("mount", &["-o", "remount,ro,bind", &place])?;
        Ok(mount)
    });
    let mount = match mounted {
        Ok(mount) => mount,
        Err(reason) => {
            // Past the harness, which keeps what a passing test prints.
            let said = format!("NOT TESTED: nothing can be mounted: {reason}\n");
            std::io::stderr().write_all(said.as_bytes()).unwrap();
            return;
        }
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
