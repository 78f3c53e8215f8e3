//! Files beside a server: `ingest` says and logs what it does without one, pushes take turns
//! with it, and whatever is killed, nothing is lost and nothing doubled.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use evenkeel_engine::{Engine, Project as Opened};
use evenkeel_log::ReadOptions;
use evenkeel_server::Presence;
use serde_json::{Value as Json, json};

use crate::serve::{Server, client};
use crate::support::{Project, binary, stable};

const DEFINITIONS: &str = "
CREATE ENTITY customer (customer BIGINT);
CREATE STREAM orders (id STRING, customer BIGINT, amount DECIMAL(10, 2), tags ARRAY<STRING>,
  at TIMESTAMP, EVENT ID (id), EVENT TIME at, KNOWN AT at, CHECK (amount >= 0))
  WHERE customer <> 13
  WITH (connector = 'file', path = 'orders/*.csv', partitions = '3', zone = 'Europe/Berlin');
CREATE TABLE customers (customer BIGINT, city STRING, vip BOOLEAN, seen TIMESTAMP, op STRING,
  PRIMARY KEY (customer), EVENT TIME seen, KNOWN AT seen)
  WITH (connector = 'file', path = 'customers.jsonl', operation = 'op');
CREATE STREAM ticks (n BIGINT, x DOUBLE, at TIMESTAMP, EVENT TIME at, KNOWN AT at)
  WITH (connector = 'file', path = 'ticks*.csv');
CREATE FEATURE VIEW of_customer ENTITY customer AS
SELECT customer, count(*) OVER w AS orders, sum(amount) OVER w AS amounts
FROM orders WINDOW w AS (PARTITION BY customer ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
CREATE FEATURE SERVICE model VERSION 1 AS of_customer (*);
";

const ORDERS: &str = "id,customer,amount,tags,at
a,1,10.50,\"[\"\"x\"\",\"\"y\"\"]\",2026-01-05 09:00:00
b,2,x,,2026-01-05 10:00:00
c,1,-3,,2026-01-05 11:00:00
d,13,1,,2026-01-05 12:00:00
e,2,1.005,,2026-01-05 12:00:00
f,3,99999999.99,[],2026-03-29 02:30:00
g,3,7,,2026-10-25 02:30:00
a,1,10.50,\"[\"\"x\"\",\"\"y\"\"]\",2026-01-05 09:00:00
";

const MORE_ORDERS: &str = "amount,id,customer,at,tags
2,g,3,2026-10-25 02:30:00,
3,a,1,2026-01-05 09:00:00,
4,h,,2026-01-06T09:00:00Z,
5,i,1
6,,1,2026-01-06T09:00:00Z,
";

const CUSTOMERS: &str =
    "{\"customer\":1,\"city\":\"Köln\",\"vip\":true,\"seen\":\"2026-01-01T00:00:00Z\"}
{\"customer\":2,\"city\":null,\"seen\":\"2026-01-01T00:00:00Z\",\"op\":\"insert\"}
not JSON at all
{\"customer\":1,\"seen\":\"2026-01-02T00:00:00Z\",\"op\":\"delete\"}
{\"customer\":3,\"seen\":\"2026-01-02T00:00:00Z\",\"op\":\"u\",\"vip\":1}
";

fn project() -> Project {
    let project = Project::empty();
    project.write("evenkeel.toml", "");
    project.write("definitions.sql", DEFINITIONS);
    project.write("orders/1.csv", ORDERS);
    project.write("orders/2.csv", MORE_ORDERS);
    project.write("customers.jsonl", CUSTOMERS);
    project.write("ticks-1.csv", &ticks(0..5));
    project.run(&["apply"]).ok();
    project
}

fn ticks(numbers: std::ops::Range<u64>) -> String {
    let mut text = "n,x,at\n".to_owned();
    for n in numbers {
        let (minute, second) = (n / 60 % 60, n % 60);
        let (day, hour) = (1 + n / 86_400, n / 3_600 % 24);
        text.push_str(&format!(
            "{n},{n}.5,2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z\n"
        ));
    }
    text
}

/// Everything in the log but when it was logged: events at their places, and dead letters.
fn logged(project: &Project) -> Vec<String> {
    let opened = Opened::open(project.path(), None).unwrap();
    let engine = Engine::open_to_read(&opened).unwrap();
    let mut found = Vec::new();
    for (name, def) in &engine.catalog().sources {
        let options = ReadOptions {
            sources: Some(vec![def.id]),
            ..ReadOptions::default()
        };
        for logged in engine.reader().read(options) {
            let logged = logged.unwrap();
            found.push(format!("{name} {}: {:?}", logged.position, logged.event));
        }
        for row in engine.dead_letters(name).unwrap() {
            let (id, reason, text) = (row.id, row.reason, row.text);
            found.push(format!(
                "{name} {id} {reason} {text} {} {}",
                row.origin, row.record
            ));
        }
    }
    found
}

#[test]
fn a_source_that_cannot_be_read_keeps_no_other_from_it() {
    let project = project();
    std::fs::remove_file(project.path().join("customers.jsonl")).unwrap();
    let said = project.run(&["ingest", "--json"]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    let json = said.json();
    let read: Vec<&Json> = json["sources"].as_array().unwrap().iter().collect();
    let names: Vec<&str> = read.iter().filter_map(|s| s["source"].as_str()).collect();
    assert_eq!(names, ["orders", "ticks"]);
    assert_eq!(json["failed"].as_array().unwrap().len(), 1);
    assert_eq!(json["failed"][0]["source"], "customers");
    assert_eq!(json["failed"][0]["error"], json["error"]);
    assert!(json["error"]["message"].is_string(), "{json}");
    // The same in words, and as who names it alone is told.
    let said = project.run(&["ingest"]);
    assert_eq!(said.code, 1);
    assert!(said.stdout.contains("ticks: 5 rows"), "{}", said.stdout);
    let message = "no file matches";
    let of_all = "error: `customers`: ";
    assert!(said.stderr.contains(of_all) && said.stderr.contains(message));
    let alone = project.run(&["ingest", "customers"]);
    assert_eq!(alone.code, 1);
    assert!(alone.stderr.contains(message) && !alone.stderr.contains(of_all));
}

#[test]
fn ingest_says_and_logs_the_same_beside_a_server() {
    let commands: [&[&str]; 22] = [
        &[
            "ingest",
            "ticks",
            "--follow",
            "--until-idle",
            "--file",
            "ticks-1.csv",
        ],
        &["ingest"],
        &["ingest", "--json"],
        &["ingest", "orders", "--file", "orders/2.csv"],
        &["ingest", "orders", "--file", "late.csv"],
        &["ingest", "orders", "--file", "orders"],
        &["ingest", "orders", "--file", "customers.jsonl"],
        &["ingest", "order"],
        &["ingest", "--follow"],
        &["ingest", "ticks", "--follow", "--until-idle"],
        &["ingest", "ticks", "--follow", "--until-idle", "--json"],
        &["ingest", "ticks", "--file", "ticks-1.csv"],
        &["dead-letters", "orders"],
        &["dead-letters", "orders", "--limit", "2"],
        &["dead-letters", "orders", "--limit", "0", "--json"],
        &["dead-letters", "ticks", "--json"],
        &["dead-letters", "order"],
        &["dead-letters", "orders", "--redrive", "1", "--json"],
        &["dead-letters", "orders", "--redrive", "99"],
        &["dead-letters", "customers", "--redrive", "all"],
        &["dead-letters", "order", "--redrive", "all"],
        &["ingest", "orders"],
    ];
    let said = |project: &Project| -> Vec<(i32, String, String)> {
        let run = |arguments: &&[&str]| {
            let run = project.run(arguments);
            let mut stdout = stable(&run.stdout, project.path());
            // Of a follower only the end: how often it says how far it is differs.
            let whole = serde_json::from_str::<Json>(&stdout);
            let last = || serde_json::from_str(stdout.lines().last()?).ok();
            if let Some(mut json) = whole.ok().or_else(last) {
                json["lag_ms"] = Json::Null;
                stdout = json.to_string();
            }
            (run.code, stdout, stable(&run.stderr, project.path()))
        };
        commands.iter().map(run).collect()
    };
    let alone = project();
    let served = project();
    let server = Server::start(&served, &[]);
    let wanted = said(&alone);
    for (found, (wanted, command)) in said(&served).iter().zip(wanted.iter().zip(commands)) {
        assert_eq!(found, wanted, "{command:?}");
    }
    server.stop();
    let wanted = logged(&alone);
    assert_eq!(logged(&served), wanted);
    // What is compared is there: events, duplicates, conflicts, rows left out and rejected.
    let (_, report, _) = &said(&project())[1];
    for part in [
        "known already",
        "left out",
        "in conflict",
        "rejected",
        "recorded",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert!(wanted.iter().any(|line| line.contains("not JSON at all")));
}

#[test]
fn rows_of_another_definition_are_refused() {
    let project = project();
    let server = Server::start(&project, &[]);
    let path = "/v1/sources/ticks/file-rows?definition=00";
    let mut sent = evenkeel_server::Sent::new("POST", path, evenkeel_engine::Scope::Write, b"");
    sent.content_type = "application/vnd.apache.arrow.stream";
    let reply = client(&project).send(&mut sent).unwrap();
    let error: Json = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(reply.status, 400, "{error}");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("`ticks` is not defined as it was"),
        "{message}"
    );
    server.stop();
}

#[test]
fn what_a_server_does_not_take_at_once_goes_in_pieces() {
    let rows = ticks(0..1_000) + "1000,x,2026-01-02T00:00:00Z\n1001,1,2026-01-02T00:00:00Z\n";
    let limits = ["rows_per_push = 37", "body_bytes = 6000"];
    let projects = [None, Some(limits[0]), Some(limits[1])].map(|limit| {
        let project = project();
        project.write("ticks-1.csv", &rows);
        let Some(limit) = limit else {
            return (
                project.run(&["ingest", "ticks", "--json"]).ok().stdout,
                logged(&project),
            );
        };
        project.write("evenkeel.toml", &format!("[server.limits]\n{limit}\n"));
        let server = Server::start(&project, &[]);
        let said = project.run(&["ingest", "ticks", "--json"]).ok().stdout;
        server.stop();
        (said, logged(&project))
    });
    assert!(
        projects[0].0.contains("\"recorded\": 1001"),
        "{}",
        projects[0].0
    );
    assert_eq!(projects[1], projects[0]);
    assert_eq!(projects[2], projects[0]);
    // A row that no request can hold is refused, and said so.
    let project = project();
    project.write("evenkeel.toml", "[server.limits]\nbody_bytes = 100\n");
    let server = Server::start(&project, &[]);
    let run = project.run(&["ingest", "ticks", "--json"]);
    assert_eq!(run.code, 1, "{}", run.stdout);
    let message = run.json()["error"]["message"].to_string();
    assert!(message.contains("more than 100 bytes"), "{message}");
    server.stop();
}

/// More requests than a test sends.
const REQUESTS: usize = 64;

/// Stands between the commands and the server: requests with rows of files wait until they
/// are let through.
struct Gate {
    /// Says that one has arrived.
    arrived: Receiver<()>,
    /// Lets one through, or cuts it off; closed: all go through.
    go: SyncSender<bool>,
}

impl Gate {
    /// Puts it where commands look for the server.
    fn before(project: &Project) -> Gate {
        let store = project.path().join(".evenkeel");
        let mut presence = Presence::find(&store).unwrap();
        let server = presence.address;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        presence.address = listener.local_addr().unwrap();
        let file = store.join(evenkeel_server::SERVE_FILE);
        std::fs::write(file, serde_json::to_vec(&presence).unwrap()).unwrap();
        let (arrive, arrived) = sync_channel(REQUESTS);
        let (go, gone) = sync_channel(REQUESTS);
        thread(move || {
            for stream in listener.incoming() {
                // One request, one connection.
                let _ = carry(stream.unwrap(), server, &arrive, &gone);
            }
        });
        Gate { arrived, go }
    }
}

fn thread(work: impl FnOnce() + Send + 'static) {
    #[expect(
        clippy::disallowed_methods,
        reason = "what stands between is a thread of this test"
    )]
    std::thread::spawn(work);
}

/// Carries a request and its answer. An error is one of a peer that has gone.
fn carry(
    mut from: TcpStream,
    server: SocketAddr,
    arrive: &SyncSender<()>,
    gone: &Receiver<bool>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut piece = [0; 1 << 16];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let read = from.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        head.extend_from_slice(&piece[..read]);
    }
    if String::from_utf8_lossy(&head).contains("/file-rows") {
        // Nobody is there any more when the test is over, or wants no gate.
        let _ = arrive.send(());
        if gone.recv() == Ok(false) {
            return Ok(());
        }
    }
    let mut to = TcpStream::connect(server)?;
    to.write_all(&head)?;
    let (mut request, mut sending) = (from.try_clone()?, to.try_clone()?);
    thread(move || {
        let _ = std::io::copy(&mut request, &mut sending);
        // A client that was killed sends no more.
        let _ = sending.shutdown(Shutdown::Write);
    });
    std::io::copy(&mut to, &mut from)?;
    from.shutdown(Shutdown::Both)
}

fn start(project: &Project, arguments: &[&str]) -> Child {
    binary()
        .current_dir(project.path())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn push(client: &evenkeel_server::Client, n: u64) -> Json {
    let body = json!({"producer_id": "clock", "sequence": n,
        "rows": [{"n": n, "x": 0.5, "at": "2026-01-01T00:00:00Z"}]});
    let body = body.to_string();
    let reply = client
        .post("/v1/sources/ticks/events", body.as_bytes())
        .unwrap();
    assert_eq!(
        reply.status,
        200,
        "{}",
        String::from_utf8_lossy(&reply.body)
    );
    serde_json::from_slice(&reply.body).unwrap()
}

/// Rows of three batches.
const MANY: u64 = 20_000;

#[test]
fn a_push_is_answered_in_the_middle_of_a_file() {
    let project = project();
    project.write("ticks-1.csv", &ticks(0..MANY));
    let server = Server::start(&project, &[]);
    let direct = client(&project);
    let gate = Gate::before(&project);
    let child = start(&project, &["ingest", "ticks", "--json"]);
    gate.arrived.recv().unwrap();
    // Nothing of the file is logged yet, then one batch, then two: the push is behind each.
    for batches in 0..3 {
        let pushed = push(&direct, batches);
        let end = format!("ticks/0@{}", batches * 8_192 + batches + 1);
        assert_eq!(pushed["positions"], end.as_str());
        gate.go.send(true).unwrap();
        if batches < 2 {
            gate.arrived.recv().unwrap();
        }
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["recorded"], MANY);
    server.stop();
}

#[test]
fn what_is_killed_in_the_middle_of_a_file_goes_on_behind_it() {
    for (kill_the_server, arguments) in [
        (true, &["ingest", "ticks", "--json"][..]),
        (false, &["ingest", "ticks", "--json"]),
        (
            true,
            &["ingest", "ticks", "--follow", "--until-idle", "--json"],
        ),
        (
            false,
            &["ingest", "ticks", "--follow", "--until-idle", "--json"],
        ),
    ] {
        let project = project();
        project.write("ticks-1.csv", &ticks(0..MANY));
        let mut server = Server::start(&project, &[]);
        let gate = Gate::before(&project);
        let mut child = start(&project, arguments);
        gate.arrived.recv().unwrap();
        gate.go.send(true).unwrap();
        gate.arrived.recv().unwrap();
        if kill_the_server {
            server.kill();
            gate.go.send(false).unwrap();
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(3));
            let said: Json = serde_json::from_slice(&output.stdout).unwrap();
            let hint = said["error"]["hint"].as_str().unwrap();
            assert!(hint.starts_with("run it again"), "{said}");
            server = Server::start(&project, &[]);
        } else {
            // What it asked for last may become a commit, also later.
            gate.go.send(true).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        }
        drop(gate);
        let status = project.run(&["status", "--json"]).ok().json();
        let ticks = status["sources"].as_array().unwrap();
        let ticks = ticks.iter().find(|s| s["name"] == "ticks").unwrap();
        let before = ticks["events"].as_u64().unwrap();
        assert!((1..MANY).contains(&before), "{before}");
        let again = project.run(arguments).ok().json();
        assert!(
            !kill_the_server || again["recorded"] == MANY - before,
            "{again}"
        );
        server.stop();
        let whole = self::project();
        whole.write("ticks-1.csv", &self::ticks(0..MANY));
        whole.run(arguments).ok();
        assert_eq!(logged(&project), logged(&whole));
    }
}

/// Rows that come are seen while a server is asked and pushed to, and an interrupt ends it.
#[cfg(unix)]
#[test]
fn a_follower_beside_a_server_takes_turns_and_ends_when_it_is_asked_to() {
    let project = project();
    let server = Server::start(&project, &[]);
    let direct = client(&project);
    let following = ["ingest", "ticks", "--follow", "--poll", "1", "--json"];
    let mut child = start(&project, &following);
    let mut reports = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str::<Json>(&line.unwrap()).unwrap());
    let first = reports.find(|report| report["recorded"] == 5).unwrap();
    assert_eq!(first["newest_event_time"], "2026-01-01T00:00:04Z");
    assert!(first["lag_ms"].as_i64().unwrap() > 0);
    assert_eq!(push(&direct, 0)["positions"], "ticks/0@6");
    let append = |text: &str| {
        let path = project.path().join("ticks-1.csv");
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let lines = |numbers| ticks(numbers).split_once('\n').unwrap().1.to_owned();
    append(&(lines(5..9) + "9"));
    let second = reports.find(|report| report["recorded"] == 9).unwrap();
    assert_eq!(second["bytes_behind"], 1);
    let pid = child.id().to_string();
    let kill = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(kill.success());
    let last = reports.last().unwrap();
    assert_eq!(
        (&last["ended"], &last["recorded"]),
        (&json!(true), &json!(9))
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // A server that stops ends it with the next rows; later it goes on behind what is logged.
    let mut child = start(&project, &following);
    let mut reports = BufReader::new(child.stdout.take().unwrap()).lines();
    reports.next().unwrap().unwrap();
    server.stop();
    append(&lines(9..12)[1..]);
    assert_eq!(child.wait().unwrap().code(), Some(3));
    project
        .run(&["ingest", "ticks", "--follow", "--until-idle"])
        .ok();
    let status = project.run(&["status", "--json"]).ok().json();
    let ticks = status["sources"].as_array().unwrap();
    let ticks = ticks.iter().find(|s| s["name"] == "ticks").unwrap();
    assert_eq!(ticks["events"], 13);
}
