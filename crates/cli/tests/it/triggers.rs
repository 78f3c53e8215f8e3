//! Triggers and their results on the command line, with and without a server.

use serde_json::{Value as Json, json};

use crate::serve::{Server, client};
use crate::support::Project;

const ROW: &str = "order_id=new,customer_id=ada,amount=4.25,ordered_at=2026-01-12T00:00:00Z";
const TRIGGER: [&str; 6] = [
    "trigger",
    "orders",
    "--row",
    ROW,
    "--service",
    "customer_model",
];

fn project() -> Project {
    let project = Project::empty();
    project.run(&["init"]).ok();
    project.run(&["apply"]).ok();
    project.run(&["ingest"]).ok();
    project
}

#[test]
fn a_row_is_logged_and_answered_once() {
    let project = project();
    let call = [
        "call",
        "orders",
        "--row",
        ROW,
        "--service",
        "customer_model",
    ];
    let called = project.run(&[&call[..], &["--json"]].concat()).ok().json();
    project.expect_text("trigger", &TRIGGER, 0);
    project.expect_text("trigger_again", &TRIGGER, 0);
    let again = project
        .run(&[&TRIGGER[..], &["--json"]].concat())
        .ok()
        .json();
    assert_eq!(again["rows"], called["rows"]);
    let id = again["result"].as_str().unwrap();
    project.expect_text("result", &["result", id], 0);
    let with = |row: &'static str| {
        [
            "trigger",
            "orders",
            "--row",
            row,
            "--view",
            "customer_orders",
        ]
    };
    let conflict = "order_id=new,customer_id=ada,amount=4.5,ordered_at=2026-01-12T00:00:00Z";
    project.expect_text("trigger_conflict", &with(conflict), 0);
    project.expect_text("trigger_no_event", &with("order_id=x,customer_id=ada"), 1);
    project.expect_text(
        "result_unknown",
        &["result", "orders~0~77~view~customer_orders~1"],
        1,
    );
    project.expect_text("result_no_id", &["result", "77"], 1);
}

#[test]
fn beside_a_server_it_is_the_same() {
    let (alone, beside) = (project(), project());
    let server = Server::start(&beside, &[]);
    let both = |arguments: &[&str]| {
        let arguments = [arguments, &["--json"]].concat();
        let (one, other) = (alone.run(&arguments).ok(), beside.run(&arguments).ok());
        assert_eq!(one.json(), other.json());
        one.json()
    };
    let first = both(&TRIGGER);
    assert_eq!(first["status"], "logged");
    assert_eq!(both(&TRIGGER)["status"], "duplicate");
    let result = both(&["result", first["result"].as_str().unwrap()]);
    assert_eq!(result["rows"], first["rows"]);
    waits(&both);
    let no_event = [
        "trigger",
        "orders",
        "--row",
        "order_id=x,customer_id=ada",
        "--view",
        "customer_orders",
        "--json",
    ];
    let (one, other) = (alone.run(&no_event), beside.run(&no_event));
    assert_eq!((one.code, other.code), (1, 1));
    assert_eq!(one.json(), other.json());
    assert_eq!(one.json()["status"], "rejected");
    server.stop();
}

/// A trigger that is ahead of everything is waited for in vain until a later one comes.
fn waits(both: &dyn Fn(&[&str]) -> Json) {
    let row = |id: &str, day: u32| {
        format!("order_id={id},customer_id=ada,amount=1,ordered_at=2026-02-{day}T00:00:00Z")
    };
    let (ahead, behind) = (row("ahead", 10), row("behind", 20));
    let waiting = ["--degraded", "--timeout", "5"];
    let asked = [
        "trigger",
        "orders",
        "--row",
        &ahead,
        "--view",
        "customer_orders",
    ];
    let complete = ["--consistency", "complete"];
    let own = both(&[&asked[..], &complete, &waiting].concat());
    assert_eq!(own["degraded"]["what"], "watermark");
    assert_eq!(own["consistency"], "complete");
    both(&[
        "trigger",
        "orders",
        "--row",
        &behind,
        "--view",
        "customer_orders",
    ]);
    let id = own["result"].as_str().unwrap();
    let result = both(&["result", id, "--timeout", "60000"]);
    assert_eq!(result["degraded"], Json::Null);
    assert_ne!(result["cut"], own["cut"]);
    let named = ["--consistency", "complete:orders"];
    let again = both(&[&asked[..], &named].concat());
    assert_eq!(
        (&again["status"], &again["cut"]),
        (&Json::from("duplicate"), &result["cut"])
    );
    assert_eq!(again["rows"], result["rows"]);
}

#[test]
fn what_is_not_there_yet_says_what_is_missing() {
    let project = project();
    let row = "order_id=ahead,customer_id=ada,amount=1,ordered_at=2026-02-10T00:00:00Z";
    let trigger = |level: &'static str| {
        [
            "trigger",
            "orders",
            "--row",
            row,
            "--view",
            "customer_orders",
            "--consistency",
            level,
        ]
    };
    project.expect_text("trigger_level", &trigger("strong"), 1);
    project.expect_text("trigger_not_read", &trigger("complete:order"), 1);
    let waits = project.run(&trigger("complete"));
    assert_eq!(waits.code, 4, "{}", waits.stderr);
    assert!(
        waits
            .stderr
            .contains("waits for a watermark: that of `orders` is at"),
        "{}",
        waits.stderr
    );
    let degraded = [&trigger("complete:orders")[..], &["--degraded"]].concat();
    let degraded = project.run(&degraded).ok();
    assert!(
        degraded.stdout.contains("known at its own place"),
        "{}",
        degraded.stdout
    );
    let server = Server::start(&project, &[]);
    let late = [&trigger("complete")[..], &["--timeout", "500"]].concat();
    let told = project.run(&late);
    assert_eq!(told.code, 4, "{}", told.stderr);
    assert!(
        told.stdout.contains("the watermark of orders is at"),
        "{}",
        told.stdout
    );
    assert!(
        told.stdout.contains("not answered yet: evenkeel result"),
        "{}",
        told.stdout
    );
    let id = told.stdout.lines().last().unwrap();
    let id = id.rsplit(' ').next().unwrap();
    for timeout in ["0", "5"] {
        let result = project.run(&["result", id, "--timeout", timeout]);
        assert_eq!(result.code, 4, "{timeout}: {}", result.stderr);
    }
    server.stop();
    assert_eq!(project.run(&["result", id]).code, 4);
}

/// Nobody is cut off who waits for what does not come: a server that stops says what is missing, and results are
/// there to be asked for.
#[test]
fn who_waits_is_answered_when_the_server_stops() {
    let project = project();
    let server = Server::start(&project, &[]);
    let trigger = |id: &str, deadline_ms: u32| {
        let row = json!({"order_id": id, "customer_id": "ada", "amount": 1, "ordered_at": "2026-02-10T00:00:00Z"});
        json!({"row": row, "view": "customer_orders", "consistency": "complete", "deadline_ms": deadline_ms})
    };
    let post = |path: &str, body: &Json| {
        let reply = client(&project)
            .post(path, body.to_string().as_bytes())
            .unwrap();
        (
            reply.status,
            serde_json::from_slice::<Json>(&reply.body).unwrap(),
        )
    };
    let (status, first) = post("/v1/triggers/orders", &trigger("first", 0));
    assert_eq!(
        (status, &first["answered"]),
        (202, &json!(false)),
        "{first}"
    );
    let id = first["result"].as_str().unwrap().to_owned();
    let read = |more: Json| {
        let mut read = json!({"features": ["customer_orders:*"], "entities": [{"customer_id": "ada"}],
            "timeout_ms": 60_000});
        read.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        read
    };
    let ahead = read(json!({"consistency": {"complete": "2030-01-01T00:00:00Z"}}));
    let unlogged = read(json!({"consistency": "at_least", "min_positions": "orders/0@99"}));
    let metric = |name: &str| {
        let metrics = client(&project).get("/metrics").unwrap();
        let text = String::from_utf8(metrics.body).unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        value.trim().parse::<u32>().unwrap()
    };
    std::thread::scope(|scope| {
        let second = scope.spawn(|| post("/v1/triggers/orders", &trigger("second", 60_000)));
        let result = scope.spawn(|| {
            let path = format!("/v1/results/{id}?wait_ms=60000");
            let reply = client(&project).get(&path).unwrap();
            (
                reply.status,
                serde_json::from_slice::<Json>(&reply.body).unwrap(),
            )
        });
        let reads = [&ahead, &unlogged].map(|read| scope.spawn(move || post("/v1/features", read)));
        while metric("evenkeel_promise_waiters ") < 2 || metric("evenkeel_requests_in_flight ") < 4
        {
            std::thread::yield_now();
        }
        server.stop();
        let (status, second) = second.join().unwrap();
        assert_eq!(
            (status, &second["status"]),
            (202, &json!("logged")),
            "{second}"
        );
        assert_eq!(second["missing"]["source"], "orders", "{second}");
        let (status, result) = result.join().unwrap();
        assert_eq!(status, 503, "{result}");
        assert_eq!(result["error"]["place"]["result"], json!(id), "{result}");
        for (read, what) in reads.into_iter().zip(["watermark", "applied"]) {
            let (status, read) = read.join().unwrap();
            let error = &read["error"];
            assert_eq!(
                (status, &error["code"]),
                (503, &json!("UNAVAILABLE")),
                "{read}"
            );
            assert_eq!(error["place"]["what"], what, "{read}");
        }
    });
    assert_eq!(project.run(&["result", &id]).code, 4);
    let later = "order_id=later,customer_id=ada,amount=1,ordered_at=2026-02-20T00:00:00Z";
    project
        .run(&[
            "trigger",
            "orders",
            "--row",
            later,
            "--view",
            "customer_orders",
        ])
        .ok();
    project.run(&["result", &id]).ok();
}
