//! Functions in Python beside a server: what they do is answered, and nothing of them outlives it.

use std::fs;

use serde_json::json;

use crate::docs::has_python;
use crate::serve::{Server, client};
use crate::support::Project;

const DEFINITIONS: &str = "
CREATE ENTITY card (card STRING);
CREATE STREAM paid (id STRING, card STRING, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE FUNCTION weight(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON TIMEOUT INTERVAL '2' SECOND
  AS 'functions.py:weight';
CREATE FEATURE VIEW last_paid ENTITY card AS SELECT card, weight(weight(amount)) AS w FROM paid;
";

/// What the writer emits with what the function gives.
const EMITTED: &str = "
CREATE ENTITY card (card STRING);
CREATE STREAM paid (id STRING, card STRING, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE FUNCTION weight(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON TIMEOUT INTERVAL '60' SECOND
  AS 'functions.py:weight';
CREATE STREAM weighed AS SELECT card, weight(weight(amount)) AS w FROM paid;
CREATE STREAM copied AS SELECT card FROM paid;
CREATE FEATURE VIEW copied_of ENTITY card AS SELECT card, count(*) OVER (ALL HISTORY) AS n FROM copied;
CREATE FEATURE VIEW weighed_of ENTITY card AS SELECT card, sum(w) OVER (ALL HISTORY) AS w FROM weighed;
";

const MODULE: &str = "
import os

def weight(x):
    if x == 13.0:
        os._exit(5)
    if x == 14.0:
        while True:
            pass
    return x / 2
";

/// The processes whose parent is this one.
fn children(of: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // One that has ended since is none.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat
            .rsplit(") ")
            .next()
            .and_then(|rest| rest.split(' ').nth(1));
        if parent.and_then(|parent| parent.parse().ok()) == Some(of) {
            found.push(pid);
        }
    }
    found
}

/// Whether a process is there and has not ended.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

#[test]
fn a_server_answers_outlives_harm_and_leaves_nothing() {
    if !has_python() {
        return;
    }
    let project = Project::empty();
    project.write("definitions.sql", DEFINITIONS);
    project.write("functions.py", MODULE);
    project.run(&["apply"]).ok();
    let server = Server::start(&project, &[]);
    let client = client(&project);
    let rows: Vec<_> = [("a", 3.0), ("b", 13.0), ("c", 14.0), ("d", 26.0), ("e", 5.0)]
        .iter()
        .map(|(card, amount)| {
            json!({"id": card, "card": card, "amount": amount, "at": "2026-03-01T00:00:00Z"})
        })
        .collect();
    let pushed = client.post(
        "/v1/sources/paid/events",
        json!(rows).to_string().as_bytes(),
    );
    assert_eq!(pushed.unwrap().status, 200);
    let read = |cards: &[&str]| {
        let entities: Vec<_> = cards.iter().map(|card| json!({"card": card})).collect();
        let body =
            json!({"features": ["last_paid:w"], "entities": entities, "consistency": "strong"});
        let reply = client
            .post("/v1/features", body.to_string().as_bytes())
            .unwrap();
        let json: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        (reply.status, json)
    };
    let (status, answer) = read(&["a", "e"]);
    assert_eq!(status, 200, "{answer}");
    let values = answer["rows"].as_array().unwrap();
    let values: Vec<f64> = values
        .iter()
        .map(|row| row["values"][0].as_f64().unwrap())
        .collect();
    assert_eq!(values, [0.75, 1.25]);
    // A crash, a hang, and a crash of the outer call alone: answered as such, whoever is beside.
    for (cards, part) in [
        (&["a", "b"][..], "exit status: 5"),
        (&["c"], "TIMEOUT"),
        (&["d"], "exit status: 5"),
    ] {
        let (status, answer) = read(cards);
        assert_eq!(
            (status, &answer["error"]["code"]),
            (500, &json!("FUNCTION")),
            "{answer}"
        );
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(read(&["e"]).0, 200);
    let workers = children(server.id());
    assert!(!workers.is_empty());
    server.kill();
    // Their input is closed with it. The test's own limit is what ends this if one stays.
    while workers.iter().any(|pid| lives(*pid)) {
        std::thread::yield_now();
    }
}

#[test]
fn a_function_that_hangs_holds_up_no_push_of_what_calls_it() {
    if !has_python() {
        return;
    }
    let project = Project::empty();
    project.write("definitions.sql", EMITTED);
    project.write("functions.py", MODULE);
    project.run(&["apply"]).ok();
    let server = Server::start(&project, &[]);
    let client = client(&project);
    let push = |rows: &[(&str, f64)]| {
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, amount)| {
                json!({"id": id, "card": "a", "amount": amount, "at": "2026-03-01T00:00:00Z"})
            })
            .collect();
        let body = json!(rows).to_string();
        let pushed = client.post("/v1/sources/paid/events", body.as_bytes());
        assert_eq!(pushed.unwrap().status, 200);
    };
    // What is emitted is what the function gives, also for many events of one commit.
    let rows: Vec<(String, f64)> = (0..40).map(|n| (format!("r{n}"), 100.0)).collect();
    let rows: Vec<(&str, f64)> = rows.iter().map(|(id, x)| (id.as_str(), *x)).collect();
    push(&rows);
    let body = json!({"features": ["weighed_of:w"], "entities": [{"card": "a"}],
        "as_of": "2026-03-02T00:00:00Z", "consistency": "strong"});
    let reply = client.post("/v1/features", body.to_string().as_bytes());
    let answer: serde_json::Value = serde_json::from_slice(&reply.unwrap().body).unwrap();
    assert_eq!(answer["rows"][0]["values"][0], json!(1000.0), "{answer}");
    // One hangs, for a minute; the process that it is in lives as long as it is waited for.
    let before = children(server.id());
    push(&[("hangs", 14.0)]);
    for n in 0..20 {
        push(&[(&format!("behind{n}"), 3.0)]);
    }
    // Who calls nothing emits meanwhile.
    let body = json!({"features": ["copied_of:n"], "entities": [{"card": "a"}],
        "as_of": "2026-03-02T00:00:00Z", "consistency": "strong"});
    let reply = client.post("/v1/features", body.to_string().as_bytes());
    let answer: serde_json::Value = serde_json::from_slice(&reply.unwrap().body).unwrap();
    assert_eq!(answer["rows"][0]["values"][0], json!(61), "{answer}");
    let workers = children(server.id());
    assert!(!workers.is_empty() && before.iter().all(|pid| lives(*pid)));
    server.kill();
    while workers.iter().any(|pid| lives(*pid)) {
        std::thread::yield_now();
    }
}

/// Draws, as soon as the gate is open; that it is asked is seen by a file.
const GATED: &str = "
CREATE ENTITY card (card STRING);
CREATE STREAM paid (id STRING, card STRING, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE FUNCTION draw(card STRING) RETURNS DOUBLE LANGUAGE PYTHON TIMEOUT INTERVAL '60' SECOND ALLOW FILES
  AS 'functions.py:draw';
CREATE STREAM draws AS SELECT card, draw(card) AS x FROM paid;
CREATE FEATURE VIEW drawn ENTITY card AS
SELECT card, count(*) OVER (ALL HISTORY) AS n, max(x) OVER (ALL HISTORY) AS x FROM draws;
";

#[test]
fn what_is_recorded_is_asked_for_again_after_an_end_and_stays_what_it_was() {
    if !has_python() {
        return;
    }
    let project = Project::empty();
    let (gate, asked) = (project.path().join("gate"), project.path().join("asked"));
    let module = format!(
        "import os, random, time\n\n\
         def draw(card):\n    open({asked:?}, 'w').close()\n    \
         while not os.path.exists({gate:?}):\n        time.sleep(0.002)\n    \
         return random.random()\n"
    );
    project.write("definitions.sql", GATED);
    project.write("functions.py", &module);
    project.write("gate", "");
    project.run(&["apply"]).ok();
    fs::remove_file(&gate).unwrap();
    let is_asked = || {
        // The test's own limit is what ends this if nobody asks.
        while !asked.exists() {
            std::thread::yield_now();
        }
    };
    let begin = || {
        let _ = fs::remove_file(&asked);
        Server::start(&project, &[])
    };
    // It stops while a call is out, and waits for none.
    let server = begin();
    let push = |id: &str| {
        let rows = json!([{"id": id, "card": "a", "at": "2026-03-01T00:00:00Z"}]).to_string();
        let pushed = client(&project).post("/v1/sources/paid/events", rows.as_bytes());
        assert_eq!(pushed.unwrap().status, 200);
    };
    push("p1");
    is_asked();
    server.stop();
    // Killed, it has told nobody.
    let server = begin();
    is_asked();
    let read = |level: &str| {
        let body = json!({"features": ["drawn:*"], "entities": [{"card": "a"}],
            "as_of": "2026-03-02T00:00:00Z", "consistency": level});
        let reply = client(&project).post("/v1/features", body.to_string().as_bytes());
        let answer: serde_json::Value = serde_json::from_slice(&reply.unwrap().body).unwrap();
        answer["rows"][0]["values"].clone()
    };
    assert_eq!(read("eventual"), json!([0, null]));
    server.kill();
    let server = begin();
    is_asked();
    project.write("gate", "");
    let drawn = read("strong");
    assert_eq!(drawn[0], json!(1), "{drawn}");
    assert!(drawn[1].is_f64(), "{drawn}");
    server.kill();
    let server = begin();
    assert_eq!(read("strong"), drawn);
    server.stop();
    assert!(!asked.exists());
    project.run(&["verify"]).ok();
}
