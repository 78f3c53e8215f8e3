//! `POST /v1/sql`: rows in every form, mistakes with places, limits, and nothing of the machine.

use axum::body::Body;
use axum::http::Request;
use evenkeel_connect::Table;
use evenkeel_engine::ServerLimits;
use serde_json::{Value as Json, json};

use crate::support::{Answer, World};

async fn filled(limits: ServerLimits) -> World {
    let world = World::limited(limits);
    let rides: Vec<Json> = (0..60)
        .map(|i| {
            json!({"id": format!("r{i}"), "driver": i % 4, "fare": f64::from(i) * 0.5,
                "at": format!("2026-03-01T10:{i:02}:00Z")})
        })
        .collect();
    world.push("rides", &json!(rides)).await;
    world
}

async fn ask(world: &World, request: &Json) -> Answer {
    world.post_json("/v1/sql", request).await
}

#[tokio::test]
async fn rows_come_as_json_and_as_files() {
    let world = filled(ServerLimits::default()).await;
    let query = "SELECT driver, count(*) AS n, sum(fare) AS fares FROM events.rides \
                 GROUP BY driver ORDER BY driver";
    let answer = ask(&world, &json!({"query": query, "limit": 3}))
        .await
        .json();
    assert_eq!(
        answer["columns"],
        json!([{"name": "driver", "type": "BIGINT"}, {"name": "n", "type": "BIGINT"},
            {"name": "fares", "type": "DOUBLE"}])
    );
    assert_eq!(
        answer["rows"][1],
        json!({"driver": 1, "n": 15, "fares": 217.5})
    );
    assert_eq!(
        (answer["rows"].as_array().unwrap().len(), &answer["more"]),
        (3, &json!(true))
    );
    assert!(
        answer["cut"].as_str().unwrap().contains("rides/0@60"),
        "{answer}"
    );
    let request = Request::post("/v1/sql")
        .header("content-type", "application/json")
        .header("accept", "application/vnd.apache.arrow.stream")
        .body(Body::from(json!({"query": query}).to_string()))
        .unwrap();
    let file = world.send(request).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.headers["evenkeel-more"], "false");
    let table = Table::from_stream(file.body.to_vec(), 1 << 20).unwrap();
    assert_eq!(table.len(), 4);
    assert_eq!(table.metadata()["evenkeel.more"], "false");
}

#[tokio::test]
async fn a_query_as_of_a_time_sees_what_was_then() {
    let world = filled(ServerLimits::default()).await;
    let request = json!({
        "query": "SELECT count(*) AS n, CAST(now() AS STRING) AS t FROM rides",
        "as_of": "2026-03-01T10:09:30Z",
    });
    let answer = ask(&world, &request).await.json();
    assert_eq!(answer["rows"][0]["n"], 10);
    let now = answer["rows"][0]["t"].as_str().unwrap();
    assert!(now.contains("10:09:30"), "{answer}");
}

#[tokio::test]
async fn mistakes_limits_and_files_are_refused() {
    let world = filled(ServerLimits {
        values_per_request: 50,
        training_values: 150,
        sql_bytes: 1 << 16,
        ..ServerLimits::default()
    })
    .await;
    for (request, status, code) in [
        (json!({"query": "SELECT * FROM ride"}), 400, "INVALID"),
        (
            json!({"query": "SELECT * FROM '/etc/hostname.csv'"}),
            400,
            "INVALID",
        ),
        (json!({"query": "DROP TABLE rides"}), 400, "INVALID"),
        (
            json!({"query": "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc'"}),
            400,
            "INVALID",
        ),
        (
            json!({"query": "COPY rides TO '/tmp/x.csv'"}),
            400,
            "INVALID",
        ),
        (json!({"query": "SELECT 1", "as_of": "x"}), 400, "INVALID"),
        (
            json!({"query": "SELECT 1", "cut": "rides/0@61"}),
            400,
            "CUT_BEYOND",
        ),
        (
            json!({"query": "SELECT 1", "limt": 1}),
            400,
            "UNKNOWN_FIELD",
        ),
        (json!({}), 400, "INVALID"),
        (
            json!({"query": "SELECT driver FROM rides"}),
            413,
            "TOO_MANY_VALUES",
        ),
        (
            json!({"query": "SELECT * FROM rides"}),
            413,
            "TOO_MANY_VALUES",
        ),
        (
            json!({"query": "SELECT x FROM generate_series(1, 1000000) s(x)"}),
            413,
            "TOO_MANY_VALUES",
        ),
        (
            json!({"query": "SELECT count(*) FROM generate_series(1, 100000000) a(x), \
                generate_series(1, 100000000) b(y)", "timeout_ms": 100}),
            504,
            "DEADLINE",
        ),
    ] {
        let answer = ask(&world, &request).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{request} {}",
            answer.text()
        );
    }
    let answer = ask(&world, &json!({"query": "SELECT 1 FROM ride"}))
        .await
        .json();
    assert_eq!(answer["error"]["hint"], "did you mean `rides`?");
    assert_eq!(
        (
            &answer["error"]["place"]["from"],
            &answer["error"]["place"]["to"]
        ),
        (&json!(14), &json!(18))
    );
}
