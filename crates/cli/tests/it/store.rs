//! The store's directory as commands meet it: not there yet, held by another process.

use std::fs;

use evenkeel_engine::Engine;

use crate::support::Project;

const GET: [&str; 7] = [
    "get",
    "--service",
    "customer_model",
    "--entity",
    "customer_id=ada",
    "--as-of",
    "2026-01-12",
];

#[test]
fn a_store_that_another_process_holds_is_exit_code_4() {
    let project = Project::sample();
    let before = project.run(&GET).ok().stdout;
    let opened = evenkeel_engine::Project::open(project.path(), None).unwrap();
    let holder = Engine::open(&opened).unwrap();
    for command in [
        vec!["ingest"],
        vec!["apply"],
        vec!["dead-letters", "orders", "--redrive", "all"],
    ] {
        let run = project.run(&command);
        assert_eq!((run.code, run.stdout.as_str()), (4, ""), "{command:?}");
        let holder = format!("in process {}", std::process::id());
        assert!(
            run.stderr.contains("is open for writing") && run.stderr.contains(&holder),
            "{}",
            run.stderr
        );
        let with_json = [command, vec!["--json"]].concat();
        let run = project.run(&with_json);
        assert_eq!((run.code, run.stderr.as_str()), (4, ""));
        assert_eq!(run.json()["error"]["code"], "BUSY");
    }
    // Who only reads is not kept out, and sees the same.
    assert_eq!(project.run(&GET).ok().stdout, before);
    for command in [
        &["status"][..],
        &["plan"],
        &["dead-letters", "orders"],
        &["verify", "--values", "100"],
    ] {
        project.run(command).ok();
    }
    drop(holder);
    project.run(&["ingest"]).ok();
}

#[test]
fn a_folder_without_a_store_says_what_makes_one() {
    let project = Project::empty();
    project.run(&["init"]).ok();
    let refused = |project: &Project| {
        for command in [&GET[..], &["status"], &["ingest"], &["verify"]] {
            let run = project.run(command);
            assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{command:?}");
            assert!(
                run.stderr.contains("there is no store `./.evenkeel` yet")
                    && run.stderr.contains("`evenkeel apply` makes it"),
                "{command:?}: {}",
                run.stderr
            );
            let with_json = [command, &["--json"]].concat();
            assert_eq!(project.run(&with_json).json()["error"]["code"], "NOT_FOUND");
        }
        project.run(&["plan"]).ok();
    };
    refused(&project);
    // A directory of that name is none either, and stays as it is.
    let store = project.path().join(".evenkeel");
    fs::create_dir(&store).unwrap();
    refused(&project);
    assert_eq!(fs::read_dir(&store).unwrap().count(), 0);
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    project.run(&GET).ok();
}

/// feast-dev/feast#4110, #3565: JSON numbers become 64 bits wide, a key of 32 bits is not found
/// over HTTP only. Here the words of the command line and of files are read in the key's type.
#[test]
fn nt_19_a_key_of_32_bits_is_found_from_words_and_from_files() {
    let project = Project::empty();
    project.write(
        "definitions.sql",
        "CREATE ENTITY driver (driver INT);
         CREATE STREAM rides (id STRING, driver INT, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
         WITH (connector = 'file', path = 'rides.jsonl');
         CREATE FEATURE VIEW last_ride ENTITY driver AS SELECT driver, id FROM rides;
         CREATE FEATURE SERVICE model AS last_ride (*);",
    );
    project.write(
        "rides.jsonl",
        "{\"id\":\"a\",\"driver\":7,\"at\":\"2026-03-01T10:00:00Z\"}\n",
    );
    project.write("entities.csv", "driver\n7\n8\n");
    project.write("spine.csv", "driver,event_time\n7,2026-03-01T10:00:00Z\n");
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    let get = [
        "get",
        "--service",
        "model",
        "--json",
        "--as-of",
        "2026-03-01T10:00:00Z",
    ];
    let words = ["--entity", "driver=7", "--entity", "driver=8"];
    let from_words = project.run(&[&get[..], &words].concat()).ok().json();
    let from_file = project
        .run(&[&get[..], &["--entities", "entities.csv"]].concat())
        .ok()
        .json();
    assert_eq!(from_words, from_file);
    let found = from_words["rows"].to_string();
    assert!(
        found.contains("\"a\"") && found.contains("NOT_FOUND"),
        "{found}"
    );
    // What does not fit 32 bits is no key that is looked for in vain.
    let run = project.run(&[&get[..], &["--entity", "driver=4294967303"]].concat());
    assert_eq!(run.code, 1, "{}", run.stdout);
    project
        .run(&["train", "model", "--spine", "spine.csv", "--out", "out.csv"])
        .ok();
    assert_eq!(
        project.read("out.csv"),
        "driver,event_time,id\n7,2026-03-01T10:00:00Z,a\n"
    );
}
