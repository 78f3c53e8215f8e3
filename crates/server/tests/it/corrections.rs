//! Corrections over HTTP: what they say, and what they refuse.

use serde_json::json;

use crate::support::World;

const TRUTH: &str = "{\"id\":\"a\",\"driver\":1,\"fare\":7.5,\"at\":\"2026-03-01T10:00:00Z\"}\n\
{\"id\":\"c\",\"driver\":2,\"fare\":1.0,\"at\":\"2026-03-01T10:20:00Z\"}\n";
const NDJSON: &str = "application/x-ndjson";
const DAY: &str = "from=2026-03-01&to=2026-03-02";

async fn filled() -> World {
    let world = World::new();
    let rows = json!([
        {"id": "a", "driver": 1, "fare": 7.0, "at": "2026-03-01T10:00:00Z"},
        {"id": "b", "driver": 1, "fare": 2.0, "at": "2026-03-01T10:10:00Z"},
    ]);
    world.push("rides", &rows).await;
    world
}

async fn fares(world: &World) -> serde_json::Value {
    let answer = world
        .read(
            &json!({"features": ["ride_stats:fares"], "as_of": "2026-03-01T10:30:00Z",
            "entities": [{"driver": 1}, {"driver": 2}]}),
        )
        .await;
    let rows = answer["rows"].as_array().unwrap().iter();
    rows.map(|row| row["values"][0].clone()).collect()
}

#[tokio::test]
async fn a_period_becomes_the_truth_and_what_was_logged_is_left_out_again() {
    let world = filled().await;
    let path = format!("/v1/sources/rides/corrections?{DAY}");
    let dry = world
        .post(&format!("{path}&dry_run=true"), NDJSON, TRUTH)
        .await;
    assert_eq!(dry.status, 200, "{}", dry.text());
    assert_eq!(fares(&world).await, json!([9.0, null]));
    let answer = world.post(&path, NDJSON, TRUTH).await.json();
    for (name, count) in [
        ("replaced", 1),
        ("removed", 1),
        ("added", 1),
        ("unchanged", 0),
    ] {
        assert_eq!(answer[name], count, "{answer}");
        assert_eq!(dry.json()[name], count);
    }
    assert_eq!(answer["cut_before"], "rides/0@2");
    assert_eq!(answer["cut_after"], "rides/0@5");
    assert_eq!(answer["views"][0]["view"], "ride_stats");
    assert_eq!(answer["views"][0]["keys"], 2);
    assert_eq!(fares(&world).await, json!([7.5, 1.0]));
    // Packed, named, and nothing new.
    let named = format!("{path}&name=../truth.jsonl");
    let again = world
        .post(&named, "application/octet-stream", TRUTH)
        .await
        .json();
    assert_eq!(again["unchanged"], 2, "{again}");
    assert_eq!(again["cut_after"], "rides/0@5");

    // A schedule that finds differences is seen.
    let metrics = world.get("/metrics").await.text();
    for (labels, count) in [
        ("change=\"replaced\",dry_run=\"true\"", 1),
        ("change=\"added\",dry_run=\"false\"", 1),
    ] {
        let line = format!("evenkeel_differences_total{{source=\"rides\",{labels}}} {count}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }

    let exclude = json!({"positions": "0@2..0@5"});
    let answer = world
        .post_json("/v1/sources/rides/exclusions", &exclude)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(fares(&world).await, json!([9.0, null]));
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_nothing_is_logged() {
    let world = filled().await;
    let corrections = "/v1/sources/rides/corrections";
    for (query, content_type, body, code, words) in [
        ("", NDJSON, TRUTH, "INVALID", "from"),
        ("?from=2026-03-01", NDJSON, TRUTH, "INVALID", "to"),
        (
            "?from=2026-03-02&to=2026-03-01",
            NDJSON,
            TRUTH,
            "INVALID",
            "period",
        ),
        (
            "?from=never&to=2026-03-01",
            NDJSON,
            TRUTH,
            "INVALID",
            "from",
        ),
        (
            "?from=2026-03-01&to=2026-03-02&until=x",
            NDJSON,
            TRUTH,
            "UNKNOWN_FIELD",
            "until",
        ),
        (
            "?from=2026-03-01&to=2026-03-02",
            "image/png",
            TRUTH,
            "CONTENT_TYPE",
            "image/png",
        ),
        (
            "?from=2026-03-01&to=2026-03-02",
            "application/octet-stream",
            TRUTH,
            "CONTENT_TYPE",
            "octet",
        ),
        (
            "?from=2026-03-01&to=2026-03-02&name=truth.docx",
            "application/octet-stream",
            TRUTH,
            "INVALID",
            "truth.docx",
        ),
        (
            "?from=2026-03-01&to=2026-03-02&timeout_ms=0",
            NDJSON,
            TRUTH,
            "TIMEOUT_RANGE",
            "1",
        ),
        (
            "?from=2026-03-01&to=2026-03-02",
            NDJSON,
            "{\"id\":\"a\",\"driver\":1,\"fare\":-1,\"at\":\"2026-03-01T10:00:00Z\"}\n",
            "INVALID",
            "CHECK",
        ),
        (
            "?from=2026-03-01&to=2026-03-02",
            NDJSON,
            "no json\n",
            "INVALID",
            "DECODE",
        ),
        (
            "?from=2026-03-01&to=2026-03-02",
            "application/vnd.apache.parquet",
            "PAR1",
            "INVALID",
            "the truth",
        ),
    ] {
        let answer = world
            .post(&format!("{corrections}{query}"), content_type, body)
            .await;
        assert_eq!(answer.code(), code, "{query}: {}", answer.text());
        let text = answer.text();
        assert!(
            text.contains(words) && !text.contains("spool"),
            "{query}: {text}"
        );
    }
    let unknown = world.post(
        "/v1/sources/ride/corrections?from=2026-03-01&to=2026-03-02",
        NDJSON,
        "",
    );
    assert_eq!(unknown.await.code(), "NOT_FOUND");
    for (body, code) in [
        (json!({}), "INVALID"),
        (json!({"positions": "x"}), "INVALID"),
        (json!({"positions": "0..3"}), "INVALID"),
        (json!({"positions": "0..1", "dry": true}), "UNKNOWN_FIELD"),
    ] {
        let answer = world.post_json("/v1/sources/rides/exclusions", &body).await;
        assert_eq!(answer.code(), code, "{body}");
    }
    assert_eq!(fares(&world).await, json!([9.0, null]));
}
