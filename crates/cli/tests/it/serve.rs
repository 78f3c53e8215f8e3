//! The server as a process: pushed to, read from, stopped, killed, started again.

mod applied;
mod process;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use evenkeel_engine::{Scope, ServerSettings};
use evenkeel_server::{Client, Presence, Sent};
use serde_json::{Value as Json, json};

pub(crate) use process::{Server, client};

use crate::docs::page;
use crate::support::{Project, expect_file};

fn post(client: &Client, path: &str, body: &Json) -> Json {
    let reply = client.post(path, body.to_string().as_bytes()).unwrap();
    let json: Json = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(reply.status, 200, "{json}");
    json
}

fn order(id: i64, amount: f64) -> Json {
    json!({"order_id": format!("o{id}"), "customer_id": "ada", "amount": amount,
        "ordered_at": "2026-01-21T08:00:00Z"})
}

#[test]
fn what_was_served_is_computed_again_bit_for_bit() {
    let project = Project::sample();
    project.write("evenkeel.toml", "[server.served]\nevery = 1\n");
    let server = Server::start(&project, &[]);
    let read = |consistency: &str| {
        json!({"service": "customer_model", "consistency": consistency,
            "entities": [{"customer_id": "ada"}, {"customer_id": "nobody"}]})
    };
    post(&client(&project), "/v1/features", &read("strong"));
    for id in 0..20 {
        let rows = json!([order(100 + id, 0.1 * id as f64)]);
        post(&client(&project), "/v1/sources/orders/events", &rows);
        let mut body = read("eventual");
        body["as_of"] = json!("2026-01-21T12:00:00Z");
        post(&client(&project), "/v1/features", &body);
    }
    let list = json!({"features": ["customer_orders:*"], "entities": [{"customer_id": "ada"}],
        "known_at": "2026-01-20T00:00:00Z"});
    post(&client(&project), "/v1/features", &list);
    server.stop();
    let report = project.run(&["verify", "--served", "--json"]).ok().json();
    assert_eq!(
        (&report["answers"], &report["mismatches"]),
        (&json!(22), &json!(0)),
        "{report}"
    );
    // An answer that is not what was sent is told, and a line that is cut short is not read.
    let served = project.path().join(".evenkeel/served/00000001.jsonl");
    let text = std::fs::read_to_string(&served).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 22);
    let mut wrong: Json = serde_json::from_str(lines[3].split_once(' ').unwrap().1).unwrap();
    wrong["digest"] = json!("0");
    wrong["values"][0][0] = json!(-1);
    let wrong = wrong.to_string();
    lines[3] = format!(
        "{:016x} {wrong}",
        xxhash_rust::xxh3::xxh3_64(wrong.as_bytes())
    );
    lines[21].truncate(60);
    std::fs::write(&served, lines.join("\n")).unwrap();
    let run = project.run(&["verify", "--served", "--json"]);
    let report = run.json();
    assert_eq!(report["mismatches"], 1);
    assert_eq!(report["unreadable"], 1);
    let example = report["examples"][0].as_str().unwrap();
    assert!(
        example.contains("row 0") && example.contains("-1 was sent"),
        "{example}"
    );
}

const GET: &[&str] = &[
    "get",
    "--json",
    "--service",
    "customer_model",
    "--entity",
    "customer_id=ada",
    "--as-of",
    "2026-01-21T12:00:00Z",
];

#[test]
fn what_was_pushed_is_read_through_stops_kills_and_starts() {
    let project = Project::sample();
    let before = project.run(GET).ok().json();
    let server = Server::start(&project, &[]);
    let push =
        json!({"producer_id": "shop", "sequence": 0, "rows": [order(90, 0.1), order(91, 0.2)]});
    let pushed = post(&client(&project), "/v1/sources/orders/events", &push);
    assert_eq!(pushed["counts"]["logged"], 2, "{pushed}");
    let read = json!({"service": "customer_model", "entities": [{"customer_id": "ada"}],
        "as_of": "2026-01-21T12:00:00Z", "session": pushed["session"]});
    let answer = post(&client(&project), "/v1/features", &read);
    // The commands ask the server, and say what it says.
    let served = project.run(GET).ok().json();
    assert_ne!(served["cut"], before["cut"]);
    assert_eq!(served["cut"], answer["cut"]);
    let value = |json: &Json, i: usize| {
        let name = answer["features"][i]["name"].as_str().unwrap();
        json["rows"][0]["features"][name]["value"].clone()
    };
    for i in 0..answer["features"].as_array().unwrap().len() {
        assert_eq!(value(&served, i), answer["rows"][0]["values"][i]);
    }
    server.stop();
    assert!(!project.path().join(".evenkeel/serve.json").exists());
    let mut again = project.run(GET).ok().json();
    assert_eq!(again, served);
    // Killed at once after an answer: all of it is there, and its file is believed by nobody.
    let server = Server::start(&project, &[]);
    let more = json!({"producer_id": "shop", "sequence": 2, "rows": [order(92, 0.7)]});
    post(&client(&project), "/v1/sources/orders/events", &more);
    let served = project.run(GET).ok().json();
    assert_ne!(served, again);
    server.kill();
    assert!(project.path().join(".evenkeel/serve.json").exists());
    again = project.run(GET).ok().json();
    assert_eq!(again, served);
    let server = Server::start(&project, &[]);
    assert_eq!(project.run(GET).ok().json(), served);
    let repeated = post(&client(&project), "/v1/sources/orders/events", &more);
    assert_eq!(repeated["counts"]["duplicate"], 1, "{repeated}");
    assert_eq!(project.run(GET).ok().json(), served);
    server.stop();
}

/// The rest of a request's body; everything that comes back until the connection ends.
fn finish(mut stream: TcpStream, body: &str) -> String {
    stream
        .write_all(&body.as_bytes()[body.len() - 1..])
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_server_that_is_told_to_stop_answers_what_was_asked_before() {
    let project = Project::sample();
    let server = Server::start(&project, &[]);
    let read_body = json!({"service": "customer_model", "entities": [{"customer_id": "ada"}],
        "session": "orders/0@100000", "degraded": true, "timeout_ms": 1})
    .to_string();
    let push = json!([order(90, 0.1)]).to_string();
    let pushes = "/v1/sources/orders/events";
    // Both are requests of which the server waits for more.
    let read = server.begin("/v1/features", &read_body);
    let pushed = server.begin(pushes, &push);
    // Both are known to it.
    let metrics = || client(&project).get("/metrics").unwrap().body;
    let begun = "\nevenkeel_requests_in_flight 2\n";
    while !String::from_utf8(metrics()).unwrap().contains(begun) {
        std::thread::yield_now();
    }
    server.signal("-TERM");
    // It takes no more connections, and the two that it has are served.
    while TcpStream::connect(server.address()).is_ok() {
        std::thread::yield_now();
    }
    let answer = finish(pushed, &push);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\"logged\":1"), "{answer}");
    let answer = finish(read, &read_body);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\"degraded\":{"), "{answer}");
    server.ends_well();
    let again = Server::start(&project, &[]);
    let repeated = post(&client(&project), pushes, &json!([order(90, 0.1)]));
    assert_eq!(repeated["counts"]["duplicate"], 1, "{repeated}");
    again.stop();
}

#[test]
fn commands_say_the_same_beside_a_server_and_writers_are_refused() {
    let project = Project::sample();
    project.write(
        "spine.csv",
        "customer_id,event_time,note\nada,2026-01-12T00:00:00Z,a\n007,2026-01-13,b\n",
    );
    let explain = [
        "explain",
        "customer_orders:amount_7d",
        "--entity",
        "customer_id=ada",
        "--as-of",
        "2026-01-12",
    ];
    let train = |spine: &'static str, out: &'static str| -> [&'static str; 7] {
        [
            "train",
            "customer_model",
            "--spine",
            spine,
            "--out",
            out,
            "--statuses",
        ]
    };
    let commands: [&[&str]; 22] = [
        &explain,
        &[&explain[..], &["--json"]].concat(),
        &[
            "explain",
            "customer_orders:*",
            "--entity",
            "customer_id=ada",
        ],
        &["verify", "--values", "300", "--oracle-values", "20"],
        &[
            "verify",
            "--values",
            "300",
            "--oracle-values",
            "20",
            "--json",
        ],
        &["verify", "--service", "customer_modl"],
        &["verify", "--served"],
        &train("spine.csv", "out.csv"),
        &[&train("spine.csv", "out.parquet")[..], &["--json"]].concat(),
        &train("SELECT customer_id FROM orders", "query.arrow"),
        &train("SELECT customer FROM orders", "query.arrows"),
        &train("none.csv", "out.csv"),
        &train("spine.csv", "nowhere/out.csv"),
        &[
            &train("spine.csv", "out.csv")[..],
            &["--time-column", "note"],
        ]
        .concat(),
        &["doctor"],
        &["doctor", "--json"],
        &["status"],
        &["status", "--json"],
        &[
            "get",
            "--service",
            "customer_model",
            "--entity",
            "customer_id=ada",
            "--as-of",
            "2026-01-21",
        ],
        &[
            "get",
            "--features",
            "customer_orders:orders_7d",
            "--entity",
            "customer_id=ada,customer_id=x",
        ],
        &[
            "get",
            "--service",
            "customer_modl",
            "--entity",
            "customer_id=ada",
        ],
        &[
            "get",
            "--service",
            "customer_model",
            "--entity",
            "customer_id=ada",
            "--as-of",
            "2026-01-21",
            "--cut",
            "orders/0@99",
        ],
    ];
    let said = || -> Vec<(i32, String, String)> {
        let run = |arguments: &&[&str]| {
            let run = project.run(arguments);
            (run.code, run.stdout, run.stderr)
        };
        commands.iter().map(run).collect()
    };
    let files = || {
        ["out.csv", "out.parquet", "query.arrow"].map(|file| {
            let path = project.path().join(file);
            let bytes = std::fs::read(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            bytes
        })
    };
    let alone = said();
    let written = files();
    let server = Server::start(&project, &[]);
    for (with, (without, command)) in said().iter().zip(alone.iter().zip(commands)) {
        assert_eq!(with, without, "{command:?}");
    }
    assert_eq!(files(), written);
    for arguments in [&["serve", "--json"][..], &["doctor", "--repair", "--json"]] {
        let run = project.run(arguments);
        assert_eq!(run.code, 4, "{}", run.stdout);
        let error = &run.json()["error"];
        assert_eq!(error["code"], "BUSY");
        let message = format!("the server at {} holds the store", server.url);
        assert_eq!(error["message"], message);
        assert!(error["hint"].as_str().unwrap().starts_with("stop it first"));
    }
    // Readers of the log go beside it.
    project.run(&["verify", "--values", "200"]).ok();
    project.run(&["dead-letters", "orders"]).ok();
    server.stop();
}

#[test]
fn the_doctor_names_the_same_damage_beside_a_server() {
    let project = Project::sample();
    let log = project.path().join(".evenkeel/log");
    let files = std::fs::read_dir(&log).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut segments = files.filter(|path| path.extension().is_some_and(|e| e == "segment"));
    let segment = segments.next().unwrap();
    let flip = || {
        let mut bytes = std::fs::read(&segment).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&segment, bytes).unwrap();
    };
    let server = Server::start(&project, &[]);
    flip();
    let say = |arguments: &[&str]| {
        let run = project.run(arguments);
        (run.code, run.stdout, run.stderr)
    };
    let beside = say(&["doctor", "--json"]);
    // From another folder, the places are as from there.
    let dir = project.path().display().to_string();
    let from_afar = say(&["doctor", "--dir", &dir, "--json"]);
    flip();
    assert_eq!(say(&["doctor"]).0, 0);
    server.stop();
    flip();
    assert_eq!(say(&["doctor", "--json"]), beside);
    assert_eq!(say(&["doctor", "--dir", &dir, "--json"]), from_afar);
    assert_eq!(beside.0, 3);
    assert!(beside.1.contains("\"part\": \"log\""), "{}", beside.1);
    assert_ne!(beside, from_afar);
}

#[test]
fn curl_understands_it_over_both_versions_of_http() {
    let project = Project::sample();
    let server = Server::start(&project, &[]);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let body = r#"{"service":"customer_model","entities":[{"customer_id":"ada"}]}"#;
        let output = Command::new("curl")
            .args(["-s", "-S", version, "-H", "content-type: application/json"])
            .args(["--data", body, &format!("{}/v1/features", server.url)])
            .output();
        let output = match output {
            // Where there is no curl, the other tests must do.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            output => output.unwrap(),
        };
        let answer: Json = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(answer["cut"], "orders/0@5", "{version}");
    }
    server.stop();
}

#[test]
fn beyond_this_machine_tokens_and_certificates_are_needed() {
    let project = Project::sample();
    for (bind, message) in [
        (
            "0.0.0.0:0",
            "`0.0.0.0:0` can be reached from other machines: a token and TLS files are needed there",
        ),
        ("nowhere", "`nowhere` is not an address and a port"),
    ] {
        let run = project.run(&["serve", "--bind", bind, "--json"]);
        assert_eq!(run.code, 1, "{}", run.stderr);
        assert_eq!(run.json()["error"]["message"], message);
    }
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures");
    for name in ["server.pem", "server.key"] {
        std::fs::copy(certificates.join(name), project.path().join(name)).unwrap();
    }
    project.write(
        "reader.token",
        "a token that nobody guesses".replace(' ', "-").as_str(),
    );
    let settings = project.read("evenkeel.toml")
        + "\n[server]\ntls_certificate = \"server.pem\"\ntls_key = \"server.key\"\n\
           [[server.tokens]]\nname = \"reader\"\nscopes = [\"read\"]\nfile = \"reader.token\"\n";
    project.write("evenkeel.toml", &settings);
    let server = Server::start(&project, &[]);
    assert!(server.url.starts_with("https://"));
    // The command finds certificate and token in the project.
    let status = project.run(&["status", "--json"]).ok().json();
    assert_eq!(status["sources"][0]["events"], 5);
    let store = project.path().join(".evenkeel");
    let presence = Presence::find(&store).unwrap();
    assert_eq!(presence.url(), server.url);
    let mut stranger = ServerSettings {
        tls_certificate: Some(project.path().join("server.pem")),
        ..ServerSettings::default()
    };
    let client = Client::find(&store, &stranger).unwrap().unwrap();
    assert_eq!(client.get("/v1/status").unwrap().status, 401);
    // Another certificate is not trusted.
    stranger.tls_certificate = Some(project.path().join("reader.token"));
    assert!(Client::find(&store, &stranger).is_err());
    server.stop();
}

/// JSON as a person writes it: what fits stands on one line.
fn laid_out(json: &Json, depth: usize) -> String {
    let flat = json.to_string();
    if depth * 2 + flat.len() <= 96 {
        return flat;
    }
    let indent = "  ".repeat(depth + 1);
    let (open, items, close) = match json {
        Json::Array(items) => {
            let items = items.iter().map(|item| laid_out(item, depth + 1));
            ('[', items.collect::<Vec<_>>(), ']')
        }
        Json::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{}: {}", json!(name), laid_out(value, depth + 1)));
            ('{', members.collect(), '}')
        }
        _ => return flat,
    };
    let items: Vec<String> = items.iter().map(|item| format!("{indent}{item}")).collect();
    format!(
        "{open}\n{}\n{}{close}",
        items.join(",\n"),
        "  ".repeat(depth)
    )
}

/// The examples of the page are sent to a server over the sample project; `UPDATE_EXPECT=1`
/// writes the answers.
#[test]
fn the_page_says_what_the_server_answers() {
    let project = Project::sample();
    let server = Server::start(&project, &[]);
    let client = client(&project);
    let path = page("docs/server.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut now = String::new();
    let mut lines = text.lines();
    let mut answer: Option<String> = None;
    let mut examples = 0;
    while let Some(line) = lines.next() {
        now.push_str(line);
        now.push('\n');
        if line != "```http" && line != "```json" {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let mut content = block
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>();
        if line == "```http" {
            let (head, body) = content.split_once("\n\n").unwrap_or((&content, ""));
            let (method, path) = head.trim_end().split_once(' ').unwrap();
            let reply = match method {
                "GET" => client.get(path).unwrap(),
                _ => client.post(path, body.as_bytes()).unwrap(),
            };
            let json: Json = serde_json::from_slice(&reply.body).unwrap();
            answer = Some(laid_out(&json, 0) + "\n");
            examples += 1;
        } else if let Some(answer) = answer.take() {
            content = answer;
        }
        now.push_str(&content);
        now.push_str("```\n");
    }
    assert!(examples > 3);
    expect_file(&path, &now);
    server.stop();
}

/// Heads that never end, in one piece or byte by byte, and bodies that do not come hold no place
/// for long; others are answered meanwhile.
#[test]
fn who_sends_slowly_is_let_go() {
    let project = Project::sample();
    project.write(
        "evenkeel.toml",
        "[server.limits]\nhead_timeout_ms = 300\nbody_timeout_ms = 300\nidle_timeout_ms = 300\nconnections = 4\n",
    );
    let server = Server::start(&project, &[]);
    let connect = |sent: &str| {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        stream
    };
    // All places but one.
    let mut slow = [
        connect("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: "),
        connect("GET /hea"),
        server.begin("/v1/features", "{\"features\": []}"),
    ];
    let ask = || {
        let mut stream =
            connect("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    };
    ask();
    // A byte more of the head again and again, until nobody takes it.
    while slow[0].write_all(b"x").is_ok() {
        ask();
    }
    for stream in &mut slow[1..] {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let is_told = answer.contains("did not arrive in time");
        assert!(
            is_told || answer.is_empty() || answer.contains(" 408 "),
            "{answer}"
        );
    }
    // Of HTTP/2: who says nothing more, and whose head does not end.
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let half_a_head = [0, 0, 9, 1, 0, 0, 0, 0, 1, 0x82];
    for frames in [&settings[..], &[&settings[..], &half_a_head].concat()] {
        let mut stream = connect("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        stream.write_all(frames).unwrap();
        let mut answer = Vec::new();
        // However it is closed.
        let _ = stream.read_to_end(&mut answer);
        ask();
    }
    for _ in 0..8 {
        ask();
    }
    server.stop();
}
