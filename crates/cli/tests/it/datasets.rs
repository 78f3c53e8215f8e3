//! Training datasets on the command line: golden files, beside a server, killed in the middle.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use evenkeel_engine::dataset::DatasetFolder;
use serde_json::Value as Json;

use crate::serve::Server;
use crate::support::{Project, binary};

const DATASETS: &str = "
CREATE TRAINING DATASET buyers FROM SERVICE customer_model
  SPINE (SELECT order_id, customer_id FROM orders)
  LABEL orders_7d FROM customer_orders WITHIN INTERVAL '7' DAY AS orders_next_7d
  TRANSFORM (orders_7d STANDARDIZE)
  SPLIT BY ENTITY HASH (train 80, test 20) FORMAT PARQUET, CSV;
CREATE TRAINING DATASET buyers VERSION 2 FROM SERVICE customer_model SPINE 'spine.csv';
";

const LATE: &str = "late-1,ada,12.5,2026-01-09T10:00:00Z\n";

fn project() -> Project {
    let project = Project::empty();
    project.run(&["init"]).ok();
    project.write("definitions/datasets.sql", DATASETS);
    project.write(
        "spine.csv",
        "customer_id,event_time\nada,2026-01-12T00:00:00Z\nnobody,2026-01-12T00:00:00Z\n,2026-01-11T00:00:00Z\n",
    );
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    project
}

#[test]
fn every_command_says_what_it_did() {
    let project = project();
    project.expect_text("dataset_list_of_none", &["dataset", "list"], 0);
    project.expect_text("dataset_build", &["dataset", "build", "buyers:1"], 0);
    project.expect_json("dataset_build", &["dataset", "build", "buyers"], 0);
    project.expect_text("dataset_list", &["dataset", "list"], 0);
    project.expect_json("dataset_list", &["dataset", "list"], 0);
    project.expect_text("dataset_show", &["dataset", "show", "buyers:1"], 0);
    project.expect_json("dataset_show", &["dataset", "show", "buyers:1"], 0);
    let diff = ["dataset", "diff", "buyers:1", "buyers:2"];
    project.expect_text("dataset_diff", &diff, 0);
    project.expect_text("dataset_rebuild", &["dataset", "rebuild", "buyers", "1"], 0);
    project.expect_json("dataset_rebuild", &["dataset", "rebuild", "buyers", "2"], 0);
    let get = [
        "get",
        "--dataset",
        "buyers:1",
        "--entity",
        "customer_id=ada",
        "--as-of",
        "2026-01-12",
    ];
    project.expect_text("get_dataset", &get, 0);
    project.expect_json("get_dataset", &get, 0);
    fs::remove_file(project.path().join("spine.csv")).unwrap();
    project.expect_text(
        "dataset_rebuild_gone",
        &["dataset", "rebuild", "buyers", "2"],
        1,
    );
    project.expect_json(
        "dataset_rebuild_gone",
        &["dataset", "rebuild", "buyers:2"],
        1,
    );
    for (name, arguments) in [
        ("dataset_built_twice", ["dataset", "build", "buyers:1"]),
        ("dataset_unknown", ["dataset", "build", "buyer"]),
        ("dataset_bad_name", ["dataset", "show", "../buyers"]),
        ("dataset_unknown_version", ["dataset", "show", "buyers:9"]),
    ] {
        project.expect_text(name, &arguments, 1);
    }
}

#[test]
fn what_is_not_whole_after_a_rebuild_is_exit_code_1() {
    let project = project();
    let listed = |project: &Project| {
        let mut status = project.run(&["status", "--json"]).ok().json();
        status["datasets"].take()
    };
    let not_built = serde_json::json!({"name": "buyers", "version": 1, "built": false});
    assert_eq!(listed(&project)[0], not_built);
    project.run(&["dataset", "build", "buyers:1"]).ok();
    let built = serde_json::json!({"name": "buyers", "version": 1, "built": true});
    assert_eq!(listed(&project)[0], built);
    let text = project.run(&["status"]).ok().stdout;
    assert!(text.contains("dataset   version   built"), "{text}");
    let folder = project.path().join(".evenkeel/datasets/buyers/1");
    let rebuild = ["dataset", "rebuild", "buyers", "1", "--json"];
    // A file that is gone comes back.
    fs::remove_file(folder.join("train.csv")).unwrap();
    let again = project.run(&rebuild).ok().json();
    assert_eq!(again["restored"], serde_json::json!(["train.csv"]));
    // One that this version of the program does not write any more does not.
    let store = project.path().join(".evenkeel");
    let name = "buyers:1".parse().unwrap();
    let mut manifest = DatasetFolder::of(&store).manifest(&name).unwrap();
    manifest.parts[0].files[0].blake3 = "0".repeat(64);
    fs::write(folder.join("manifest.json"), manifest.to_bytes()).unwrap();
    let run = project.run(&rebuild);
    assert_eq!(run.code, 1, "{}", run.stderr);
    let report = run.json();
    assert_eq!(
        (&report["matches"], &report["same_bytes"]),
        (&Json::Bool(true), &Json::Bool(false))
    );
    assert_eq!(report["files"][0]["state"], "changed");
}

#[test]
fn late_events_make_it_stale() {
    let project = project();
    project.run(&["dataset", "build", "buyers:1"]).ok();
    let header = project.read("data/orders.csv");
    let header = header.lines().next().unwrap();
    project.write("late.csv", &format!("{header}\n{LATE}"));
    let late = project.run(&["ingest", "orders", "--file", "late.csv", "--json"]);
    assert_eq!(late.ok().json()["recorded"], 1);
    let listed = project.run(&["dataset", "list", "--json"]).ok().json();
    assert_eq!(listed["datasets"][0]["late_events"], 1);
    let shown = project
        .run(&["dataset", "show", "buyers:1", "--json"])
        .ok()
        .json();
    let differing = shown["stale"]["differing"]["rows"].as_u64().unwrap();
    assert!(differing > 0, "{shown}");
    let again = project
        .run(&["dataset", "rebuild", "buyers", "1", "--json"])
        .ok()
        .json();
    assert_eq!(
        (&again["matches"], &again["digest"]),
        (&Json::Bool(true), &shown["digest"])
    );
}

#[test]
fn beside_a_server_it_is_the_same() {
    let alone = project();
    let beside = project();
    let server = Server::start(&beside, &[]);
    // Definitions are sent, and what they change is understood.
    let more = format!(
        "{DATASETS}CREATE TRAINING DATASET later FROM SERVICE customer_model SPINE 'spine.csv';\n"
    );
    for project in [&alone, &beside] {
        project.write("definitions/datasets.sql", &more);
        project.run(&["apply"]).ok();
    }
    let get = [
        "get",
        "--dataset",
        "buyers",
        "--entity",
        "customer_id=ada",
        "--as-of",
        "2026-01-12",
        "--json",
    ];
    for arguments in [
        &["dataset", "build", "buyers:1", "--json"][..],
        &["dataset", "build", "buyers:2", "--json"],
        &["dataset", "list", "--json"],
        &["dataset", "show", "buyers:1", "--json"],
        &["dataset", "diff", "buyers:1", "buyers:2", "--json"],
        &["dataset", "rebuild", "buyers", "1", "--json"],
        &get,
    ] {
        let (one, other) = (alone.run(arguments), beside.run(arguments));
        assert_eq!(
            (one.code, other.code),
            (0, 0),
            "{arguments:?}: {}",
            other.stderr
        );
        let stable = |text: &str, project: &Project| {
            let folder = project.path().display().to_string();
            text.replace(&folder, "FOLDER")
        };
        assert_eq!(
            stable(&one.stdout, &alone),
            stable(&other.stdout, &beside),
            "{arguments:?}"
        );
    }
    server.stop();
}

/// A build that is about to do something, as its folder shows.
fn wait_for(child: &mut Child, folder: &Path, state: &str) {
    let aside = |name: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "building"))
            .any(|path| name.is_empty() || path.join(name).exists())
    };
    while child.try_wait().unwrap().is_none() && !aside(state) {
        std::hint::spin_loop();
    }
}

#[test]
fn killed_in_the_middle_nothing_of_it_is_there() {
    let project = project();
    let states = [
        "",
        "train.parquet",
        "train.csv",
        "test.parquet",
        "test.csv",
        "manifest.json",
    ];
    let mut text = String::from(DATASETS);
    for version in 3..3 + 3 * states.len() {
        let next = DATASETS
            .trim_start()
            .lines()
            .take(5)
            .collect::<Vec<_>>()
            .join("\n");
        text.push_str(&next.replace("buyers FROM", &format!("buyers VERSION {version} FROM")));
        text.push('\n');
    }
    project.write("definitions/datasets.sql", &text);
    project.run(&["apply"]).ok();
    let folder = project.path().join(".evenkeel/datasets/buyers");
    for (round, version) in (3..3 + 3 * states.len()).enumerate() {
        let state = states[round % states.len()];
        let name = format!("buyers:{version}");
        let mut child = binary()
            .current_dir(project.path())
            .args(["dataset", "build", &name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(&mut child, &folder, state);
        let pid = child.id().to_string();
        Command::new("kill").args(["-9", &pid]).status().unwrap();
        child.wait().unwrap();
        let place = folder.join(version.to_string());
        if !place.exists() {
            let shown = project.run(&["dataset", "show", &name]);
            assert_eq!(shown.code, 1, "{}", shown.stdout);
            project.run(&["dataset", "build", &name]).ok();
        }
        // Whole, whoever of the two has built it; and nothing else is left.
        let text = version.to_string();
        let again = project
            .run(&["dataset", "rebuild", "buyers", &text, "--json"])
            .ok();
        assert_eq!(again.json()["same_bytes"], true);
        let left = fs::read_dir(&folder).unwrap().flatten();
        let left = left.filter(|e| e.path().extension().is_some_and(|e| e == "building"));
        assert_eq!(left.count(), 0);
    }
    let doctor = project.run(&["doctor", "--json"]).ok().json();
    assert_eq!(doctor["damages"], serde_json::json!([]));
}
