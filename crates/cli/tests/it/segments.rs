//! Segments on the command line: golden files, files of keys, what was frozen, beside a server.

use std::fs;

use serde_json::Value as Json;

use crate::serve::Server;
use crate::support::Project;

const SEGMENTS: &str = "
CREATE SEGMENT buyers OWNER 'shop' AS
SELECT customer_id, orders_7d FROM customer_orders WHERE orders_7d > 1;
CREATE SEGMENT uneven AS
SELECT customer_id FROM customer_orders WHERE 6 / (orders_7d - 1) > 2;
";
const AT: &str = "2026-01-12";

fn project() -> Project {
    let project = Project::empty();
    project.run(&["init"]).ok();
    project.write("definitions/segments.sql", SEGMENTS);
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    project
}

#[test]
fn every_command_says_what_it_did() {
    let project = project();
    project.expect_text("segment_plan", &["plan", "--all"], 0);
    let query = ["segment", "query", "buyers", "--as-of", AT];
    project.expect_text("segment_query", &query, 0);
    project.expect_json("segment_query", &query, 0);
    project.expect_text(
        "segment_query_page",
        &[&query[..], &["--limit", "1"]].concat(),
        0,
    );
    project.expect_text(
        "segment_query_count",
        &[&query[..], &["--count"]].concat(),
        0,
    );
    project.expect_text(
        "segment_query_undecided",
        &["segment", "query", "uneven", "--as-of", AT],
        0,
    );
    project.expect_text(
        "segment_freeze",
        &["segment", "freeze", "buyers", "--as-of", AT],
        0,
    );
    project.expect_json(
        "segment_freeze",
        &["segment", "freeze", "buyers@1", "--as-of", AT],
        0,
    );
    project.expect_text("segment_list", &["segment", "list"], 0);
    project.expect_json("segment_list", &["segment", "list"], 0);
    project.expect_text("segment_show", &["segment", "show", "buyers:1"], 0);
    project.expect_json("segment_show", &["segment", "show", "buyers:2"], 0);
    for (name, arguments, code) in [
        ("segment_unknown", &["segment", "query", "buyer"][..], 1),
        ("segment_of_nothing", &["segment", "query"], 2),
        (
            "segment_mistake",
            &[
                "segment",
                "query",
                "--query",
                "SELECT customer_id FROM customer_orders WHERE orders > 1",
            ],
            1,
        ),
        (
            "segment_no_limit",
            &["segment", "query", "buyers", "--limit", "0"],
            2,
        ),
        ("segment_not_frozen", &["segment", "show", "buyers:9"], 1),
        ("segment_bad_name", &["segment", "show", "buyers"], 1),
    ] {
        project.expect_text(name, arguments, code);
    }
}

#[test]
fn keys_go_to_files_and_pages_meet() {
    let project = project();
    let all = [
        "segment",
        "query",
        "--query",
        "SELECT * FROM customer_orders",
        "--as-of",
        AT,
    ];
    let whole = project.run(&[&all[..], &["--json"]].concat()).ok().json();
    let rows = whole["rows"].as_array().unwrap();
    assert!(rows.len() > 1, "{whole}");
    let mut paged = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let mut arguments = all.to_vec();
        arguments.extend(["--limit", "1", "--json"]);
        if let Some(key) = &after {
            arguments.extend(["--after", key]);
        }
        let page = project.run(&arguments).ok().json();
        paged.extend(page["rows"].as_array().unwrap().clone());
        let Some(next) = page["next"]["customer_id"].as_str() else {
            break;
        };
        after = Some(format!("customer_id={next}"));
    }
    assert_eq!(&paged, rows);
    let written = project.run(&[&all[..], &["--out", "keys.csv", "--json"]].concat());
    assert_eq!(written.ok().json()["rows"], rows.len());
    let text = project.read("keys.csv");
    assert_eq!(text.lines().count(), rows.len() + 1);
    assert!(text.starts_with("customer_id,"), "{text}");
}

#[test]
fn what_was_frozen_stays_whatever_comes() {
    let project = project();
    let frozen = ["segment", "freeze", "buyers", "--as-of", AT, "--json"];
    let frozen = project.run(&frozen).ok().json();
    let header = project.read("data/orders.csv");
    let header = header.lines().next().unwrap();
    let late = "late-1,ada,12.5,2026-01-09T10:00:00Z\n";
    project.write("late.csv", &format!("{header}\n{late}"));
    project
        .run(&["ingest", "orders", "--file", "late.csv"])
        .ok();
    let changed = SEGMENTS.replace("orders_7d > 1;", "orders_7d > 0;");
    project.write("definitions/segments.sql", &changed);
    project.run(&["apply"]).ok();
    let shown = project
        .run(&["segment", "show", "buyers:1", "--json"])
        .ok()
        .json();
    assert_eq!(
        (&shown["matches"], &shown["digest_now"]),
        (&Json::Bool(true), &frozen["digest"])
    );
    let again = project
        .run(&["segment", "freeze", "buyers", "--as-of", AT, "--json"])
        .ok()
        .json();
    assert_eq!(
        (&again["number"], &again["version"]),
        (&2.into(), &2.into())
    );
    // Damage is named.
    let keys = project.path().join(".evenkeel/segments/buyers/1.parquet");
    fs::copy(
        project.path().join(".evenkeel/segments/buyers/2.parquet"),
        &keys,
    )
    .unwrap();
    let shown = project.run(&["segment", "show", "buyers:1"]);
    assert_eq!(shown.code, 3);
    assert!(
        shown
            .stderr
            .contains("its rows are not those of its manifest"),
        "{}",
        shown.stderr
    );
    let manifest = project.path().join(".evenkeel/segments/buyers/2.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("\"rows\": ", "\"rows\": 1")).unwrap();
    let shown = project.run(&["segment", "list"]);
    assert_eq!(shown.code, 3);
    assert!(
        shown.stderr.contains("its checksum is another"),
        "{}",
        shown.stderr
    );
}

#[test]
fn beside_a_server_it_is_the_same() {
    let (alone, beside) = (project(), project());
    let server = Server::start(&beside, &[]);
    for arguments in [
        &["segment", "query", "buyers", "--as-of", AT, "--json"][..],
        &[
            "segment", "query", "buyers", "--as-of", AT, "--count", "--json",
        ],
        &[
            "segment",
            "query",
            "--query",
            "SELECT * FROM customer_orders",
            "--as-of",
            AT,
            "--limit",
            "1",
            "--json",
        ],
        &[
            "segment",
            "query",
            "buyers",
            "--as-of",
            AT,
            "--out",
            "keys.parquet",
            "--json",
        ],
        &["segment", "freeze", "buyers", "--as-of", AT, "--json"],
        &["segment", "show", "buyers:1", "--json"],
        &["segment", "list", "--json"],
    ] {
        let (one, other) = (
            alone.run(arguments).ok().json(),
            beside.run(arguments).ok().json(),
        );
        let words = |json: &Json, project: &Project| {
            json.to_string()
                .replace(&project.path().display().to_string(), "")
        };
        assert_eq!(words(&one, &alone), words(&other, &beside), "{arguments:?}");
    }
    server.stop();
}
