//! Segments over HTTP: by name or as a query, in pages of one moment while events come, as JSON
//! and as Arrow.

use std::collections::BTreeSet;

use evenkeel_connect::Table;
use evenkeel_engine::ServerLimits;
use evenkeel_server::Tokens;
use evenkeel_types::Value;
use http_body_util::BodyExt;
use serde_json::{Value as Json, json};

use crate::support::{Answer, DEFINITIONS, World};

const SEGMENTS: &str = "
CREATE SEGMENT busy COMMENT 'drives much' AS
SELECT driver, r.fares, t.taps FROM ride_stats r JOIN tap_stats t USING (driver) WHERE r.rides > 1;
";
const AT: &str = "2026-03-01T10:59:59Z";

fn world() -> World {
    let definitions = format!("{DEFINITIONS}{SEGMENTS}");
    World::with(&definitions, ServerLimits::default(), Tokens::default())
}

async fn push(world: &World, rides: std::ops::Range<i64>) -> String {
    let rides: Vec<Json> = rides
        .map(|i| {
            json!({"id": format!("r{i}"), "driver": i % 40, "fare": i as f64 * 0.1,
                "at": format!("2026-03-01T10:{:02}:00Z", i % 60)})
        })
        .collect();
    let session = world.push("rides", &json!(rides)).await["session"].clone();
    session.as_str().unwrap().to_owned()
}

async fn ask(world: &World, json: &Json) -> Answer {
    world.post_json("/v1/segments/query", json).await
}

async fn asked(world: &World, json: &Json) -> Json {
    let answer = ask(world, json).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn drivers(json: &Json) -> Vec<i64> {
    let rows = json["rows"].as_array().unwrap();
    rows.iter()
        .map(|row| row["driver"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_segment_has_what_was_pushed_a_moment_ago() {
    let world = world();
    push(&world, 0..40).await;
    let none = asked(&world, &json!({"segment": "busy", "as_of": AT})).await;
    assert_eq!((drivers(&none), none["asked"].as_u64()), (vec![], Some(40)));
    let session = push(&world, 40..45).await;
    let some = asked(
        &world,
        &json!({"segment": "busy", "as_of": AT, "session": session}),
    )
    .await;
    assert_eq!(
        drivers(&some).into_iter().collect::<BTreeSet<_>>(),
        (0..5).collect()
    );
    assert_eq!(
        (&some["segment"], &some["version"]),
        (&json!("busy"), &json!(1))
    );
    assert_eq!(
        (&some["matched"], &some["complete"]),
        (&json!(5), &json!(true))
    );
    let first = &some["rows"][0];
    let read = world
        .read(
            &json!({"features": ["ride_stats:fares", "tap_stats:taps"], "as_of": AT,
            "entities": [{"driver": first["driver"]}]}),
        )
        .await;
    assert_eq!(
        json!([first["fares"], first["taps"]]),
        read["rows"][0]["values"]
    );
    // At the cut of before nothing has changed.
    let before = json!({"segment": "busy@1", "as_of": AT, "cut": none["cut"]});
    assert_eq!(asked(&world, &before).await, none);
    let strong = json!({"query": "SELECT driver FROM ride_stats WHERE rides = 2;", "as_of": AT,
        "consistency": "strong"});
    assert_eq!(drivers(&asked(&world, &strong).await), drivers(&some));
    let listed = world.get("/v1/segments").await.json();
    let listed = &listed["segments"][0];
    assert_eq!(
        (&listed["name"], &listed["comment"]),
        (&json!("busy"), &json!("drives much"))
    );
    assert_eq!(listed["key"], json!([{"name": "driver", "type": "BIGINT"}]));
}

#[tokio::test]
async fn pages_are_of_one_moment_while_events_come() {
    let world = world();
    push(&world, 0..120).await;
    let whole = asked(&world, &json!({"segment": "busy", "as_of": AT})).await;
    assert_eq!(drivers(&whole).len(), 40);
    let mut page = json!({"segment": "busy", "as_of": AT, "limit": 7});
    let mut found = Vec::new();
    let mut came = 1_000;
    loop {
        let answer = asked(&world, &page).await;
        found.extend(answer["rows"].as_array().unwrap().clone());
        push(&world, came..came + 40).await;
        came += 40;
        // A key that was not there, too.
        let new = json!([{"id": format!("new{came}"), "driver": came, "fare": 1, "at": "2026-03-01T10:00:00Z"},
            {"id": format!("new{came}b"), "driver": came, "fare": 1, "at": "2026-03-01T10:01:00Z"}]);
        world.push("rides", &new).await;
        if answer["next"].is_null() {
            assert_eq!(answer["complete"], json!(true));
            break;
        }
        for name in ["as_of", "cut"] {
            page[name] = answer[name].clone();
        }
        page["after"] = answer["next"].clone();
    }
    assert_eq!(json!(found), whole["rows"]);
    let count =
        json!({"segment": "busy", "as_of": AT, "cut": page["cut"], "limit": 0, "count": true});
    let counted = asked(&world, &count).await;
    assert_eq!(
        (&counted["matched"], &counted["rows"]),
        (&json!(40), &json!([]))
    );
    assert_eq!(
        (&counted["complete"], &counted["next"]),
        (&json!(true), &Json::Null)
    );
}

#[tokio::test]
async fn a_session_is_kept_or_refused() {
    let world = world();
    let before = asked(&world, &json!({"query": "SELECT driver FROM ride_stats"})).await;
    // A producer whose clock is ahead.
    let now = before["as_of"].as_str().unwrap();
    let now = evenkeel_types::time::parse_timestamp(now, &evenkeel_types::Zone::utc()).unwrap();
    let at = evenkeel_types::time::format_timestamp(now + 600_000_000);
    let session = world
        .push(
            "rides",
            &json!([{"id": "x", "driver": 7, "fare": 1, "at": at}]),
        )
        .await["session"]
        .clone();
    let query =
        json!({"query": "SELECT driver FROM ride_stats WHERE rides > 0", "session": session});
    assert_eq!(drivers(&asked(&world, &query).await), [7]);
    let mut old = query.clone();
    old["cut"] = before["cut"].clone();
    let refused = ask(&world, &old).await;
    assert_eq!(
        (refused.status, refused.code()),
        (400, "CUT_LACKS".to_owned()),
        "{}",
        refused.text()
    );
    old["session"] = Json::Null;
    old["consistency"] = json!("strong");
    assert_eq!(ask(&world, &old).await.code(), "CUT_LACKS");
    let wide = json!({"query": "SELECT * FROM ride_stats", "limit": 100_000, "count": true});
    assert_eq!(asked(&world, &wide).await["matched"], 0);
}

#[tokio::test]
async fn an_answer_has_a_size() {
    let columns: Vec<String> = (0..30).map(|i| format!("rides + {i} AS c{i}")).collect();
    let query = format!("SELECT {} FROM ride_stats", columns.join(", "));
    let world = world();
    let refused = ask(&world, &json!({"query": query, "limit": 100_000})).await;
    assert_eq!(
        (refused.status, refused.code()),
        (413, "TOO_MANY_VALUES".to_owned())
    );
    asked(&world, &json!({"query": query, "limit": 50_000})).await;
}

#[tokio::test]
async fn as_arrow_it_is_the_same() {
    let world = world();
    push(&world, 0..120).await;
    let json = json!({"segment": "busy", "as_of": AT, "limit": 7});
    let wanted = asked(&world, &json).await;
    let request = axum::http::Request::post("/v1/segments/query")
        .header("content-type", "application/json")
        .header("accept", "application/vnd.apache.arrow.stream");
    let request = request
        .body(axum::body::Body::from(json.to_string()))
        .unwrap();
    let answer = world.send(request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["evenkeel-rows"], "7");
    assert!(!answer.headers.contains_key("evenkeel-digest"));
    let table = Table::from_stream(answer.body.to_vec(), 1 << 20).unwrap();
    for (row, json) in wanted["rows"].as_array().unwrap().iter().enumerate() {
        let value = |name: &str| table.column(name).unwrap().get(row);
        assert_eq!(
            value("driver"),
            Value::BigInt(json["driver"].as_i64().unwrap())
        );
        assert_eq!(
            value("fares"),
            Value::Double(json["fares"].as_f64().unwrap())
        );
    }
    // Nothing is left of it in the spool.
    assert_eq!(
        std::fs::read_dir(world.directory.path().join("store/spool")).map_or(0, Iterator::count),
        0
    );
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let world = world();
    push(&world, 0..3).await;
    for (json, message) in [
        (json!({}), "`segment` or `query` is missing"),
        (
            json!({"segment": "busy", "query": "SELECT"}),
            "give `segment` or `query`, not both",
        ),
        (json!({"segment": "buzy"}), "there is no segment `buzy`"),
        (json!({"segment": "busy@9"}), "there is no segment `busy@9`"),
        (
            json!({"segment": "busy", "where": 1}),
            "no such request has a field `where`",
        ),
        (
            json!({"segment": "busy", "limit": 0}),
            "`limit` is 0: from 1 to 100000, or 0 with `count`",
        ),
        (
            json!({"segment": "busy", "limit": 100_001}),
            "`limit` is 100001: from 1 to 100000, or 0 with `count`",
        ),
        (
            json!({"segment": "busy", "after": {}}),
            "`after`: `driver` is missing",
        ),
        (
            json!({"segment": "busy", "after": {"driver": 1, "x": 2}}),
            "`after`: the key has no column `x`",
        ),
        (
            json!({"segment": "busy", "after": {"driver": "x"}}),
            "`after`: `driver`: a string is not BIGINT",
        ),
        (
            json!({"segment": "busy", "after": {"driver": null}}),
            "a key of `driver` cannot be asked: a part of it is NULL",
        ),
        (json!({"segment": "busy", "as_of": "now"}), "`as_of`: "),
        (
            json!({"segment": "busy", "cut": "rides/0@99999999"}),
            "the cut reaches beyond what is applied",
        ),
        (
            json!({"segment": "busy", "consistency": "never"}),
            "`consistency` is `never`: `eventual` or `strong`",
        ),
        (
            json!({"segment": "busy", "timeout_ms": 0}),
            "`timeout_ms` is 0",
        ),
    ] {
        let answer = ask(&world, &json).await;
        let error = &answer.json()["error"];
        let said = error["message"].as_str().unwrap_or_default();
        assert!(
            (400..500).contains(&answer.status),
            "{json}: {}",
            answer.text()
        );
        assert!(said.starts_with(message), "{json}: {said}");
    }
    let wrong = json!({"query": "SELECT driver FROM ride_stats WHERE ridez > 1"});
    let error = ask(&world, &wrong).await.json()["error"].clone();
    assert_eq!(error["message"], "`ride_stats` has no column `ridez`");
    assert_eq!(
        (&error["place"]["from"], &error["place"]["to"]),
        (&json!(36), &json!(41))
    );
    assert_eq!(error["hint"], "did you mean `rides`?");
}

#[tokio::test]
async fn progress_is_told_to_who_wants_it() {
    let world = world();
    push(&world, 0..120).await;
    let request = axum::http::Request::post("/v1/segments/query")
        .header("content-type", "application/json")
        .header("evenkeel-progress", "true");
    let json = json!({"segment": "busy", "as_of": AT});
    let request = request
        .body(axum::body::Body::from(json.to_string()))
        .unwrap();
    let response = tower::ServiceExt::oneshot(world.router(), request)
        .await
        .unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let last = body
        .split(|b| *b == b'\n')
        .rfind(|line| !line.is_empty())
        .unwrap();
    let last: Json = serde_json::from_slice(last).unwrap();
    assert_eq!(last["result"], asked(&world, &json).await);
}
