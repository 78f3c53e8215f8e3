//! `correct` and `exclude` say and do the same with a server and without.

use crate::serve::Server;
use crate::support::Project;

const TRUTH: &str = "\
order_id,customer_id,amount,ordered_at
o-2,ada,11.00,2026-01-07T17:30:00Z
o-3,bob,99.95,2026-01-08T12:00:00Z
o-9,eve,1.00,2026-01-09T12:00:00Z
o-5,bob,12.00,2026-01-20T20:45:00Z
";

const BROKEN: &str = "\
order_id,customer_id,amount,ordered_at
o-2,ada,eleven,2026-01-07T17:30:00Z
,ada,1,2026-01-07T17:30:00Z
";

fn correct(with: &'static str, from: &'static str, to: &'static str) -> [&'static str; 8] {
    [
        "correct", "orders", "--with", with, "--from", from, "--to", to,
    ]
}

/// Exit code, stdout and stderr of each command.
fn said(project: &Project) -> Vec<(i32, String, String)> {
    project.write("truth.csv", TRUTH);
    project.write("broken.csv", BROKEN);
    let january = correct("truth.csv", "2026-01-07", "2026-01-12");
    let read = [
        "get",
        "--service",
        "customer_model",
        "--entity",
        "customer_id=ada",
        "--as-of",
        "2026-01-12",
    ];
    let commands: [&[&str]; 18] = [
        &[&january[..], &["--dry-run"]].concat(),
        &[&january[..], &["--dry-run", "--json"]].concat(),
        &read,
        &january,
        &read,
        &[&january[..], &["--json"]].concat(),
        &[&read[..], &["--cut", "orders/0@5"]].concat(),
        &["exclude", "orders", "--positions", "5..8", "--dry-run"],
        &["exclude", "orders", "--positions", "0@5..0@8", "--json"],
        &read,
        &["exclude", "orders", "--positions", "5..900"],
        &["exclude", "orders", "--positions", "five"],
        &["exclude", "order", "--positions", "0..1"],
        &correct("broken.csv", "2026-01-07", "2026-01-12"),
        &correct("truth.csv", "2026-01-12", "2026-01-07"),
        &correct("truth.csv", "soon", "2026-01-07"),
        &correct("none.csv", "2026-01-07", "2026-01-12"),
        &["verify", "--values", "300", "--oracle-values", "100"],
    ];
    let run = |arguments: &&[&str]| {
        let run = project.run(arguments);
        (run.code, run.stdout, run.stderr)
    };
    commands.iter().map(run).collect()
}

#[test]
fn corrections_are_the_same_beside_a_server() {
    let project = Project::sample();
    let alone = said(&project);
    let codes: Vec<i32> = alone.iter().map(|(code, ..)| *code).collect();
    assert_eq!(
        codes,
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0],
        "{alone:#?}"
    );
    let did = &alone[3].1;
    assert!(
        did.starts_with(
            "orders: 1 replaced, 1 removed, 1 added, 1 unchanged, 1 of the file outside the period\n"
        ),
        "{did}"
    );
    // The same again changes nothing; excluded, it is as it was.
    assert!(alone[5].1.contains("\"unchanged\": 3"), "{}", alone[5].1);
    assert!(
        alone[2].1.contains("35.75") && alone[4].1.contains("31.5"),
        "{alone:#?}"
    );
    assert_eq!(alone[9].1.lines().next(), alone[2].1.lines().next());
    assert!(alone[9].1.contains("35.75"), "{}", alone[9].1);

    let served = Project::sample();
    let server = Server::start(&served, &[]);
    for (number, (with, without)) in said(&served).iter().zip(&alone).enumerate() {
        assert_eq!(with, without, "command {number}");
    }
    // A server takes one file.
    let run = served.run(&correct("*.csv", "2026-01-07", "2026-01-12"));
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("names 2 files"), "{}", run.stderr);
    server.stop();
}
