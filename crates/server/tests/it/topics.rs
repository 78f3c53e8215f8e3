//! Topics over HTTP: emissions as server-sent events, from any position on, as they come.

use axum::body::Body;
use axum::http::Request;
use evenkeel_engine::ServerLimits;
use evenkeel_server::Tokens;
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use crate::support::{Answer, DEFINITIONS, World};

const FARES: &str = "
CREATE STREAM fares AS SELECT driver, fare, 1 / CAST(fare AS INT) AS share FROM rides;
";

fn world() -> World {
    let definitions = format!("{DEFINITIONS}{FARES}");
    World::with(&definitions, ServerLimits::default(), Tokens::default())
}

async fn ride(world: &World, n: i64) {
    let at = format!("2026-03-01T10:{n:02}:00Z");
    let ride = json!([{"id": format!("r{n}"), "driver": n, "fare": n, "at": at}]);
    world.push("rides", &ride).await;
}

/// The events of a stream: id, operation, data.
fn events(answer: &Answer) -> Vec<(String, String, Json)> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let text = answer.text();
    let events = text.split("\n\n").filter(|event| event.starts_with("id: "));
    events
        .map(|event| {
            let mut lines = event.lines();
            let mut field = |name: &str| lines.next().unwrap().strip_prefix(name).unwrap();
            let (id, operation) = (field("id: ").to_owned(), field("event: ").to_owned());
            (
                id,
                operation,
                serde_json::from_str(field("data: ")).unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_topic_has_what_was_emitted_and_goes_on_behind_the_last_event() {
    let world = world();
    for n in 0..3 {
        ride(&world, n).await;
    }
    let all = events(&world.get("/v1/topics/fares?from=0&limit=3").await);
    let ids: Vec<&str> = all.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["0", "1", "2"]);
    let (_, operation, data) = &all[0];
    assert_eq!(
        (operation.as_str(), &data["operation"]),
        ("insert", &json!("insert"))
    );
    assert_eq!(
        data["row"],
        json!({"driver": 0, "fare": 0.0, "share": null})
    );
    assert_eq!(data["errors"], json!({"share": "DIVISION_BY_ZERO"}));
    assert_eq!(data["event_time"], "2026-03-01T10:00:00Z");
    let request = Request::get("/v1/topics/fares?limit=1").header("Last-Event-ID", "1");
    let again = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(events(&again), all[2..]);
}

#[tokio::test]
async fn what_comes_is_told_as_it_comes() {
    let world = world();
    ride(&world, 0).await;
    events(&world.get("/v1/topics/fares?from=0&limit=1").await);
    let request = Request::get("/v1/topics/fares?limit=2").body(Body::empty());
    let mut body = world
        .router()
        .oneshot(request.unwrap())
        .await
        .unwrap()
        .into_body();
    let mut next = async || body.frame().await.map(|f| f.unwrap().into_data().unwrap());
    // From here on.
    assert_eq!(next().await.unwrap().as_ref(), b": from 1\n\n");
    for n in 1..3 {
        ride(&world, n).await;
    }
    let mut text = Vec::new();
    while let Some(bytes) = next().await {
        text.extend(bytes);
    }
    let text = String::from_utf8(text).unwrap();
    let ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
    assert_eq!(ids.collect::<Vec<_>>(), ["1", "2"]);
}

#[tokio::test]
async fn what_is_no_topic_or_no_position_is_refused() {
    let world = world();
    for (path, code) in [
        ("/v1/topics/fare", "NOT_FOUND"),
        ("/v1/topics/rides", "NOT_FOUND"),
        ("/v1/topics/fares?from=1", "INVALID"),
        ("/v1/topics/fares?begin=1", "UNKNOWN_FIELD"),
        ("/v1/topics/fares?timeout_ms=0", "TIMEOUT_RANGE"),
    ] {
        assert_eq!(world.get(path).await.code(), code, "{path}");
    }
    let request = Request::get("/v1/topics/fares").header("Last-Event-ID", "r7");
    let answer = world.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.code(), "INVALID");
    let rows = json!([{"trigger_id": "00", "driver": 1, "fare": 1.0}]);
    let pushed = world.post_json("/v1/sources/fares/events", &rows).await;
    assert_eq!(pushed.code(), "INVALID");
    assert!(
        pushed.text().contains("is a derived stream"),
        "{}",
        pushed.text()
    );
}

#[tokio::test]
async fn a_new_stream_begins_with_what_was_logged_before() {
    let world = World::new();
    for n in 0..3 {
        ride(&world, n).await;
    }
    let files = json!({"files": [{"name": "all.sql", "text": format!("{DEFINITIONS}{FARES}")}]});
    let applied = world.post_json("/v1/definitions/apply", &files).await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    let all = events(&world.get("/v1/topics/fares?from=0&limit=3").await);
    assert_eq!(all.len(), 3);
    let status = world.get("/v1/status").await.json();
    assert_eq!(status["emission_failure"], Json::Null);
}

#[tokio::test]
async fn what_a_trigger_is_called_is_told_with_what_is_emitted_for_it() {
    let mut world = World::with(
        &format!(
            "{DEFINITIONS}{FARES}CREATE STREAM halves AS SELECT driver, fare / 2 AS half FROM fares;"
        ),
        ServerLimits::default(),
        Tokens::default(),
    );
    let asks = |id: &str, fare: f64, called: Option<&str>| {
        let row = json!({"id": id, "driver": 1, "fare": fare, "at": "2026-03-01T10:30:00Z"});
        json!({"row": row, "view": "ride_stats", "correlation_id": called})
    };
    let post = |asked: Json| {
        let router = world.router();
        async move {
            let request =
                Request::post("/v1/triggers/rides").header("content-type", "application/json");
            let request = request.body(Body::from(asked.to_string())).unwrap();
            crate::support::send(router, request).await
        }
    };
    // Beside each other, so that they share commits.
    let mut all = Vec::new();
    for n in 0..20 {
        let asked = asks(&format!("r{n}"), 1.0, Some(&format!("call {n}")));
        all.push(tokio::spawn(post(asked)));
    }
    for answer in all {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // A retry is called what the first was, and a conflict has a name of its own, as has one without.
    for (fare, called) in [(1.0, Some("again")), (0.5, Some("other é"))] {
        post(asks("r3", fare, called)).await;
    }
    post(asks("plain", 1.0, None)).await;
    for (called, message) in [
        ("", "`correlation_id` is empty"),
        ("two\nlines", "has a control character"),
        ("x".repeat(257).as_str(), "more than 256 characters"),
    ] {
        let refused = post(asks("refused", 1.0, Some(called))).await;
        assert_eq!(refused.code(), "INVALID");
        assert!(refused.text().contains(message), "{}", refused.text());
    }
    // It is in the log, so that whoever reads later is told, too.
    world.stop();
    world.start();
    for topic in ["fares", "halves"] {
        let path = format!("/v1/topics/{topic}?from=0&limit=22");
        let told = events(&world.get(&path).await);
        let mut called: Vec<Option<String>> = told
            .iter()
            .map(|(.., data)| data["correlation_id"].as_str().map(str::to_owned))
            .collect();
        let last = called.split_off(20);
        assert_eq!(last, [Some("other é".to_owned()), None], "{topic}");
        called.sort();
        let mut expected: Vec<_> = (0..20).map(|n| Some(format!("call {n}"))).collect();
        expected.sort();
        assert_eq!(called, expected);
    }
}

const OF_FARES: &str = "
CREATE FEATURE VIEW of_fares ENTITY driver AS
SELECT driver, count(*) OVER (ALL HISTORY) AS n, sum(fare) OVER (ALL HISTORY) AS fares FROM fares;
CREATE FEATURE SERVICE emitted AS of_fares (*);
";

fn world_of_reads() -> World {
    let definitions = format!("{DEFINITIONS}{FARES}{OF_FARES}");
    World::with(&definitions, ServerLimits::default(), Tokens::default())
}

#[tokio::test]
async fn strong_reads_and_sessions_wait_for_what_is_emitted() {
    let world = world_of_reads();
    for n in 1..40 {
        let at = format!("2026-03-01T10:{n:02}:00Z");
        let ride = json!([{"id": format!("r{n}"), "driver": 7, "fare": n, "at": at}]);
        let pushed = world.push("rides", &ride).await;
        let mut request = json!({
            "service": "emitted", "entities": [{"driver": 7}], "as_of": "2026-03-02T00:00:00Z",
        });
        match n % 2 {
            0 => request["consistency"] = json!("strong"),
            _ => request["session"] = pushed["session"].clone(),
        }
        let answer = world.read(&request).await;
        assert_eq!(answer["rows"][0]["values"][0], json!(n), "{answer}");
    }
    let status = world.get("/v1/status").await.json();
    let sources = status["sources"].as_array().unwrap();
    let source = |name: &str| sources.iter().find(|s| s["name"] == name).unwrap();
    // What makes it emit says how far it is.
    assert_eq!(source("fares")["watermark"], source("rides")["watermark"]);
    assert_eq!(source("fares")["emission_failure"], Json::Null);
}

#[tokio::test]
async fn a_trigger_sees_what_is_emitted_for_it_and_for_those_before_it() {
    let world = world_of_reads();
    for n in 1..20 {
        let at = format!("2026-03-01T10:{n:02}:00Z");
        let row = json!({"id": format!("r{n}"), "driver": 7, "fare": n, "at": at});
        let trigger = json!({"service": "emitted", "row": row, "deadline_ms": 5_000});
        let answer = world.post_json("/v1/triggers/rides", &trigger).await.json();
        assert_eq!(answer["rows"][0]["values"][0], json!(n), "{answer}");
        let id = answer["result"].as_str().unwrap();
        let again = world.get(&format!("/v1/results/{id}")).await.json();
        assert_eq!(again["rows"], answer["rows"]);
        assert_eq!(again["cut"], answer["cut"]);
    }
}

#[tokio::test]
async fn a_complete_read_has_what_is_emitted_for_what_moved_the_watermark() {
    let world = world_of_reads();
    for n in 1..20_i64 {
        let at = |minute: i64| format!("2026-03-{n:02}T10:{minute:02}:00Z");
        let ride = |minute: i64| json!({"id": format!("r{n}-{minute}"), "driver": 7, "fare": 1, "at": at(minute)});
        let rides = json!((0..30).map(ride).collect::<Vec<Json>>());
        let complete = json!({
            "service": "emitted", "entities": [{"driver": 7}], "as_of": at(20),
            "consistency": {"complete": at(20)}, "timeout_ms": 5_000,
        });
        // The read waits for the commit that moves the watermark.
        let (answer, _) = tokio::join!(world.read(&complete), world.push("rides", &rides));
        assert_eq!(
            answer["rows"][0]["values"][0],
            json!((n - 1) * 30 + 21),
            "{answer}"
        );
    }
}
