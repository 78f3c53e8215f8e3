//! `ingest --follow` as a process: it is killed, interrupted, and says how far it is.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value as Json;

use crate::support::{Project, binary};

const DEFINITIONS: &str = "
CREATE ENTITY world (world BIGINT);
CREATE STREAM ticks (n BIGINT, world BIGINT, x DOUBLE, at TIMESTAMP, EVENT TIME at, KNOWN AT at)
  WITH (connector = 'file', path = 'ticks*', format = 'jsonl');
CREATE FEATURE VIEW of_world ENTITY world AS
SELECT world, count(*) OVER w AS ticks, sum(n) OVER w AS total, sum(x) OVER w AS xs
FROM ticks WINDOW w AS (PARTITION BY world ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
CREATE FEATURE SERVICE model VERSION 1 AS of_world (*);
";

fn project() -> Project {
    let project = Project::empty();
    project.write("definitions.sql", DEFINITIONS);
    project.write("evenkeel.toml", "");
    project.run(&["apply"]).ok();
    project
}

fn follow(project: &Project) -> Child {
    binary()
        .current_dir(project.path())
        .args(["ingest", "ticks", "--follow", "--poll", "1", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Tick number `n`; every tenth is no row.
fn line(n: u64) -> String {
    if n % 10 == 9 {
        return format!("tick {n}\n");
    }
    let (minute, second) = (n / 60 % 60, n % 60);
    let (day, hour) = (1 + n / 86_400, n / 3_600 % 24);
    format!(
        "{{\"n\":{n},\"world\":1,\"x\":{n}.1,\"at\":\"2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z\"}}\n"
    )
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// How far the log was acknowledged: it changes with every commit.
fn mark(project: &Project) -> Vec<u8> {
    std::fs::read(project.path().join(".evenkeel/log/mark")).unwrap()
}

fn mix(n: u64) -> u64 {
    let x = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 7
}

/// What is read of all ticks.
fn values(project: &Project) -> Vec<Json> {
    let get = ["get", "--service", "model", "--entity", "world=1"];
    let answer = project.run(&[&get[..], &["--as-of", "2026-02-01", "--json"]].concat());
    let answer = answer.ok().json();
    let features = &answer["rows"][0]["features"];
    let values = ["ticks", "total", "xs"].map(|name| features[name]["value"].clone());
    values.to_vec()
}

/// `EVENKEEL_KILLS` is the number of kills (10).
#[test]
fn a_follower_that_is_killed_loses_and_doubles_nothing() {
    let kills = std::env::var("EVENKEEL_KILLS").map_or(10, |n| n.parse().unwrap());
    let project = project();
    let path = project.path().join("ticks.jsonl");
    let mut text = String::new();
    let mut next = 0;
    let mut rotations = 0;
    for kill in 0..kills {
        let mut child = follow(&project);
        // So many commits, then more lines, and the kill while they are read, or before.
        for step in 0..=mix(kill) % 5 {
            let before = mark(&project);
            let count = 1 + mix(next + step) % 3_000;
            let lines: String = (next..next + count).map(line).collect();
            next += count;
            text.push_str(&lines);
            // The last line of a piece comes in two.
            let cut = lines.len() - 1 - (mix(step) % 15) as usize;
            append(&path, &lines[..cut]);
            append(&path, &lines[cut..]);
            if step < mix(kill) % 5 {
                while mark(&project) == before {
                    assert!(child.try_wait().unwrap().is_none(), "it died by itself");
                    std::thread::yield_now();
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if kill % 3 == 2 {
            rotations += 1;
            let old = project.path().join(format!("ticks.jsonl.{rotations}"));
            std::fs::rename(&path, old).unwrap();
        }
    }
    let ended = project.run(&["ingest", "ticks", "--follow", "--until-idle", "--json"]);
    let ended = ended.ok().json();
    assert_eq!(ended["bytes_behind"], 0);
    assert_eq!(ended["set_aside"], Json::Array(vec![]));

    let status = project.run(&["status", "--json"]).ok().json();
    let dead = (0..next).filter(|n| n % 10 == 9).count() as u64;
    assert_eq!(status["sources"][0]["events"], next - dead);
    assert_eq!(status["sources"][0]["dead_letters"], dead);
    let whole = self::project();
    whole.write("ticks.jsonl", &text);
    whole.run(&["ingest"]).ok();
    assert_eq!(values(&project), values(&whole));
    assert_eq!(values(&project)[0], next - dead);
    let verified = project.run(&["verify", "--values", "500", "--json"]).ok();
    assert_eq!(verified.json()["mismatches"], 0);
}

/// It says how far it is while it waits, and ends well when it is asked to.
#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_follower_with_a_report() {
    for signal in ["-INT", "-TERM"] {
        let project = project();
        append(
            &project.path().join("ticks-1"),
            &(0..9).map(line).collect::<String>(),
        );
        let mut child = follow(&project);
        let mut reports = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(|line| serde_json::from_str::<Json>(&line.unwrap()).unwrap());
        // The first report is there: what comes now was not there at the start.
        let first = reports.next().unwrap();
        assert_eq!(first["recorded"], 9);
        assert_eq!(first["ended"], false);
        assert_eq!(first["newest_event_time"], "2026-01-01T00:00:08Z");
        assert!(first["lag_ms"].as_i64().unwrap() > 0);
        assert!(first["rows_per_second"].is_number());
        append(
            &project.path().join("ticks-2"),
            &(10..19).map(line).collect::<String>(),
        );
        append(&project.path().join("ticks-2"), "{\"n\":");
        let second = reports.find(|report| report["recorded"] == 18).unwrap();
        assert_eq!(second["bytes_behind"], 5);
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
        let last = reports.last().unwrap();
        assert_eq!(last["ended"], true);
        assert_eq!(last["files"], 2);
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_at_the_end() {
    let project = project();
    append(&project.path().join("ticks-1"), "[1,\n2]\n");
    append(&project.path().join("ticks-2"), &(line(1) + &line(9)));
    project.expect_text(
        "follow_set_aside",
        &["ingest", "--follow", "--idle-exit", "0"],
        1,
    );
    project.expect_text("follow_again", &["ingest", "--follow", "--until-idle"], 1);
    let packed = ["ingest", "ticks", "--follow", "--file", "ticks-1.gz"];
    project.write("ticks-1.gz", "");
    project.expect_text("follow_packed", &packed, 1);
}
