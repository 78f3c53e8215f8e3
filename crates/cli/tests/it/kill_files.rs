//! Files beside a server, where server or client are killed at any moment: whole files and
//! followed ones, with rows that are wrong or contradict, while columns are widened. What was
//! acknowledged is there, nothing is doubled, and in the end the store is that of commands
//! that nobody killed.
//!
//! `EVENKEEL_KILLS` is the number of kills (8), `EVENKEEL_SEED` where they fall (1).

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};

use evenkeel_engine::{Engine, Project as Opened};
use evenkeel_log::ReadOptions;
use evenkeel_sim::Random;
use serde_json::Value as Json;

use crate::serve::Server;
use crate::support::{Project, binary};

const DEFINITIONS: &str = "
CREATE ENTITY customer (customer BIGINT);
CREATE STREAM orders (id STRING, customer BIGINT, pieces INT, amount DECIMAL(8, 2), at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, KNOWN AT at, CHECK (pieces >= 0))
  WITH (connector = 'file', path = 'orders/*.csv', partitions = '3');
CREATE STREAM ticks (n BIGINT, customer BIGINT, x INT, at TIMESTAMP, EVENT TIME at, KNOWN AT at)
  WITH (connector = 'file', path = 'ticks*.jsonl');
CREATE FEATURE VIEW ordered ENTITY customer AS
SELECT customer, count(*) OVER h AS orders, sum(pieces) OVER h AS pieces, sum(amount) OVER h AS amounts,
  last_n(pieces, 3) OVER h AS last_pieces FROM orders WINDOW h AS (LAST 1 DAYS);
CREATE FEATURE VIEW ticked ENTITY customer AS
SELECT customer, count(*) OVER h AS ticks, sum(x) OVER h AS xs FROM ticks WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE VIEW last_order ENTITY customer AS
SELECT o.customer, o.pieces AS ordered, t.x FROM orders o ASOF JOIN ticks t ON o.customer = t.customer;
";
/// What becomes of the definitions, one after another.
const WIDER: [(&str, &str); 4] = [
    ("x INT", "x BIGINT"),
    ("pieces INT", "pieces BIGINT"),
    ("DECIMAL(8, 2)", "DECIMAL(12, 2)"),
    ("DECIMAL(12, 2)", "DECIMAL(20, 2)"),
];
/// A quarter of it makes a checkpoint due.
const PROJECT: &str = "[limits]\nmemory_bytes = 200000\n";
const ORDERS: u64 = 2_500;
const TICKS: u64 = 1_500;
const FOLLOWED_AND_WHOLE: [&str; 2] = ["ticks", "orders"];

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn project(definitions: &str) -> Project {
    let project = Project::empty();
    project.write("definitions.sql", definitions);
    project.write("evenkeel.toml", PROJECT);
    project.run(&["apply"]).ok();
    project
}

fn time(seconds: u64) -> String {
    let (minute, second) = (seconds / 60 % 60, seconds % 60);
    let (day, hour) = (1 + seconds / 86_400 % 27, seconds / 3_600 % 24);
    format!("2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A file of orders: some were in a file before, also with other pieces, some are wrong.
fn orders(random: &mut Random, first: u64) -> String {
    let mut text = "id,customer,pieces,amount,at\n".to_owned();
    for n in first..first + ORDERS {
        let of = if random.one_in(20) {
            random.below(n + 1)
        } else {
            n
        };
        let pieces = match random.below(30) {
            0 => "-1".to_owned(),
            1 => "many".to_owned(),
            2 => random.below(50).to_string(),
            _ => (of % 50).to_string(),
        };
        let (customer, whole, cents, at) = (of % 40, of % 100_000, of % 100, time(of));
        text.push_str(&format!(
            "o{of},{customer},{pieces},{whole}.{cents:02},{at}\n"
        ));
    }
    text
}

fn ticks(first: u64, count: u64) -> String {
    let line = |n: u64| match n % 23 {
        0 => format!("tick {n}\n"),
        _ => {
            let (customer, x, at) = (n % 40, n % 1_000, time(n));
            format!("{{\"n\":{n},\"customer\":{customer},\"x\":{x},\"at\":\"{at}\"}}\n")
        }
    };
    (first..first + count).map(line).collect()
}

fn append(path: &Path, text: &str) {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

fn start(project: &Project, arguments: &[&str]) -> Child {
    binary()
        .current_dir(project.path())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn log_bytes(project: &Project) -> u64 {
    let files = std::fs::read_dir(project.path().join(".evenkeel/log")).unwrap();
    files
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}

/// Events by source, as the log has them, with the columns of today, then dead letters in any
/// order: those of conflicts come with the next start, if the server is killed before.
fn logged(project: &Project) -> Vec<String> {
    let opened = Opened::open(project.path(), None).unwrap();
    let engine = Engine::open_to_read(&opened).unwrap();
    let (mut found, mut letters) = (Vec::new(), Vec::new());
    for (name, def) in &engine.catalog().sources {
        let options = ReadOptions {
            sources: Some(vec![def.id]),
            ..ReadOptions::default()
        };
        for logged in engine.reader().read(options) {
            let mut logged = logged.unwrap();
            def.schema.upgrade(&mut logged).unwrap();
            found.push(format!("{name} {}: {:?}", logged.position, logged.event));
        }
        for letter in engine.dead_letters(name).unwrap() {
            let (reason, origin, record) = (letter.reason, letter.origin, letter.record);
            letters.push(format!("{name} {reason} {origin} {record}"));
        }
    }
    letters.sort_unstable();
    found.extend(letters);
    found
}

fn events(project: &Project, source: &str) -> u64 {
    let status = project.run(&["status", "--json"]).ok().json();
    let sources = status["sources"].as_array().unwrap();
    let source = sources.iter().find(|s| s["name"] == source).unwrap();
    source["events"].as_u64().unwrap()
}

fn verified(project: &Project) -> Json {
    let report = project.run(&["verify", "--values", "2000", "--json"]).ok();
    let report = report.json();
    assert_eq!(report["mismatches"], 0, "{report}");
    report["answers_digest"].clone()
}

/// What a client that ended said at last; none if it was killed before it said anything whole.
fn said(child: Child) -> Option<Json> {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let whole = serde_json::from_str(&text).ok();
    let lines = || text.lines().rev();
    whole.or_else(|| lines().find_map(|line| serde_json::from_str(line).ok()))
}

#[test]
fn server_and_clients_of_files_are_killed_and_nothing_is_lost_or_doubled() {
    let kills = number("EVENKEEL_KILLS", 8);
    let seed = number("EVENKEEL_SEED", 1);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut definitions = DEFINITIONS.to_owned();
    let project = project(&definitions);
    let mut wider = WIDER.iter();
    let mut files = Vec::new();
    let mut followed = String::new();
    let (mut next_order, mut next_tick) = (0, 0);
    let mut acknowledged = [0u64; 2];
    for kill in 0..kills {
        let context = format!("EVENKEEL_SEED={seed}, kill {kill}");
        let mut server = Some(Server::start(&project, &[]));
        let there = FOLLOWED_AND_WHOLE.map(|source| events(&project, source));
        for (there, acknowledged) in there.iter().zip(acknowledged) {
            assert!(
                *there >= acknowledged,
                "{context}: {there} of {acknowledged}"
            );
        }
        let name = format!("orders/{kill:05}.csv");
        let text = orders(&mut random, next_order);
        project.write(&name, &text);
        files.push((name, text));
        next_order += ORDERS - random.below(100);
        let more = ticks(next_tick, TICKS);
        next_tick += TICKS;
        // The last line of a piece comes in two.
        let cut = more.len() - 1 - random.below(15) as usize;
        let path = project.path().join("ticks.jsonl");
        append(&path, &more[..cut]);
        let before = log_bytes(&project);
        let mut clients = vec![
            start(
                &project,
                &["ingest", "ticks", "--follow", "--poll", "1", "--json"],
            ),
            start(&project, &["ingest", "orders", "--json"]),
        ];
        if kill % 2 == 1
            && let Some((from, to)) = wider.next()
        {
            definitions = definitions.replace(from, to);
            project.write("definitions.sql", &definitions);
            clients.push(start(&project, &["apply", "--json"]));
        }
        append(&path, &more[cut..]);
        followed.push_str(&more);
        // Until so much more is logged, or whoever reads whole files is done.
        let wanted = before + random.below(40_000);
        while log_bytes(&project) < wanted
            && clients[1..]
                .iter_mut()
                .any(|c| c.try_wait().unwrap().is_none())
        {
            std::thread::yield_now();
        }
        if random.one_in(2) {
            server.take().unwrap().kill();
        } else {
            let victim = random.below(clients.len() as u64) as usize;
            clients[victim].kill().unwrap();
        }
        // A follower would wait for more.
        clients[0].kill().unwrap();
        let mut said = clients.into_iter().map(said);
        for (source, said) in said.by_ref().take(2).enumerate() {
            // What is told is durable, whatever came afterwards.
            let recorded = said.and_then(|said| said["recorded"].as_u64());
            acknowledged[source] = there[source] + recorded.unwrap_or(0);
        }
        let applied = said
            .next()
            .is_none_or(|said| said.is_some_and(|said| said["changes"].is_array()));
        if let Some(server) = server {
            server.kill();
        }
        if !applied {
            // Whatever became of it, it is applied before more is asked.
            let server = Server::start(&project, &[]);
            project.run(&["apply"]).ok();
            server.stop();
        }
    }
    for (from, to) in wider {
        definitions = definitions.replace(from, to);
        project.write("definitions.sql", &definitions);
        project.run(&["apply"]).ok();
    }
    let server = Server::start(&project, &[]);
    project.run(&["ingest", "orders"]).ok();
    let ended = project.run(&["ingest", "ticks", "--follow", "--until-idle", "--json"]);
    assert_eq!(ended.ok().json()["bytes_behind"], 0);
    let beside = verified(&project);
    server.stop();
    let digest = verified(&project);
    assert_eq!(digest, beside);

    // The same without kills, all defined before.
    let whole = self::project(DEFINITIONS);
    let mut definitions = DEFINITIONS.to_owned();
    for (from, to) in WIDER {
        definitions = definitions.replace(from, to);
        whole.write("definitions.sql", &definitions);
        whole.run(&["apply"]).ok();
    }
    for (name, text) in &files {
        whole.write(name, text);
    }
    whole.write("ticks.jsonl", &followed);
    whole.run(&["ingest", "orders"]).ok();
    whole
        .run(&["ingest", "ticks", "--follow", "--until-idle"])
        .ok();
    let (found, wanted) = (logged(&project), logged(&whole));
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(found, wanted, "EVENKEEL_SEED={seed}");
    }
    assert_eq!(found.len(), wanted.len(), "EVENKEEL_SEED={seed}");
    assert_eq!(digest, verified(&whole), "EVENKEEL_SEED={seed}");
    std::fs::remove_dir_all(project.path().join(".evenkeel/hot")).unwrap();
    assert_eq!(digest, verified(&project), "EVENKEEL_SEED={seed}");
}
