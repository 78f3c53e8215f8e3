//! Reads: the ways to ask, what comes back, mistakes.

use serde_json::{Value as Json, json};

use crate::support::World;

async fn loaded() -> World {
    let world = World::new();
    let ride = |id: &str, driver: i64, fare: f64, at: &str| json!({"id": id, "driver": driver, "fare": fare, "at": at});
    let rows = json!([
        ride("a", 1, 10.0, "2026-03-01T10:00:00Z"),
        ride("b", 1, 0.1, "2026-03-01T10:10:00Z"),
        ride("c", 2, 5.0, "2026-03-01T10:20:00Z"),
    ]);
    world.push("rides", &rows).await;
    world
}

const AS_OF: &str = "2026-03-01T10:30:00Z";

#[tokio::test]
async fn an_answer_has_the_requests_order_and_says_what_it_knew() {
    let world = loaded().await;
    let answer = world
        .read(&json!({"service": "model", "version": 1, "as_of": AS_OF,
            "entities": [{"driver": 2}, {"driver": 3}, {"driver": 1}]}))
        .await;
    let mut answer = answer;
    let definition = answer["definition"].take();
    assert_eq!(definition.as_str().unwrap().len(), 32);
    assert_eq!(
        answer,
        json!({
            "service": "model",
            "version": 1,
            "definition": null,
            "as_of": AS_OF,
            "known_at": null,
            "cut": "rides/0@3",
            "degraded": null,
            "features": [
                {"name": "rides", "type": "BIGINT"},
                {"name": "fares", "type": "DOUBLE"},
            ],
            "rows": [
                {"values": [1, 5.0], "statuses": ["PRESENT", "PRESENT"],
                 "event_times": ["2026-03-01T10:20:00Z", "2026-03-01T10:20:00Z"]},
                {"values": [0, null], "statuses": ["PRESENT", "NULL_VALUE"],
                 "event_times": [null, null]},
                {"values": [2, 10.1], "statuses": ["PRESENT", "PRESENT"],
                 "event_times": ["2026-03-01T10:10:00Z", "2026-03-01T10:10:00Z"]},
            ],
        })
    );
}

#[tokio::test]
async fn rows_columns_and_common_values_ask_the_same() {
    let world = loaded().await;
    let ask = |entities: Json, common: Json| json!({"features": ["ride_stats:*"], "as_of": AS_OF, "entities": entities, "common": common});
    let rows = world
        .read(&ask(json!([{"driver": 1}, {"driver": 1}]), Json::Null))
        .await;
    assert_eq!(rows["service"], Json::Null);
    for (entities, common) in [
        (json!({"driver": [1, 1]}), Json::Null),
        (json!([{}, {}]), json!({"driver": 1})),
        (json!([{"driver": 1}, {}]), json!({"driver": 1})),
    ] {
        assert_eq!(world.read(&ask(entities, common)).await, rows);
    }
    let none = world.read(&ask(json!([]), Json::Null)).await;
    assert_eq!(none["rows"], json!([]));
    let null = world
        .read(&ask(json!([{"driver": null}]), Json::Null))
        .await;
    assert_eq!(null["rows"][0]["values"], json!([0, null]));
}

#[tokio::test]
async fn an_earlier_cut_is_read_again_and_a_later_one_refused() {
    let world = loaded().await;
    let ask = |cut: &str, known_at: Json| {
        json!({"service": "model", "entities": [{"driver": 1}], "as_of": AS_OF, "cut": cut,
            "known_at": known_at})
    };
    let first = world.read(&ask("rides/0@1", Json::Null)).await;
    assert_eq!(first["rows"][0]["values"], json!([1, 10.0, 0]));
    assert_eq!(first["cut"], "rides/0@1");
    let answer = world
        .post_json("/v1/features", &ask("rides/0@4", Json::Null))
        .await;
    assert_eq!(answer.code(), "CUT_BEYOND");
    let answer = world
        .post_json("/v1/features", &ask("ride/0@4", Json::Null))
        .await;
    assert_eq!(answer.code(), "NOT_FOUND");
    // Nothing was visible then.
    let before = world.read(&ask("rides/0@3", json!("2020-01-01"))).await;
    assert_eq!(before["rows"][0]["values"], json!([0, null, 0]));
    assert_eq!(before["known_at"], "2020-01-01T00:00:00Z");
}

#[tokio::test]
async fn mistakes_are_named_with_their_place() {
    let world = loaded().await;
    let good = json!({"service": "model", "entities": [{"driver": 1}]});
    world.read(&good).await;
    let with = |name: &str, value: Json| {
        let mut request = good.clone();
        request[name] = value;
        request
    };
    for (request, code, part) in [
        (with("servce", json!("x")), "UNKNOWN_FIELD", "`service`"),
        (with("service", json!("modl")), "NOT_FOUND", "`model`"),
        (with("service", json!(7)), "INVALID", "a string"),
        (with("version", json!(9)), "NOT_FOUND", "model@9"),
        (with("version", json!(-1)), "INVALID", "`version`"),
        (
            with("version", json!(4294967296u64)),
            "INVALID",
            "`version`",
        ),
        (
            with("features", json!(["ride_stats:*"])),
            "INVALID",
            "not both",
        ),
        (json!({"entities": []}), "INVALID", "is missing"),
        (json!({"service": "model"}), "INVALID", "`entities`"),
        (
            json!({"features": [], "entities": []}),
            "INVALID",
            "`features` names none",
        ),
        (
            json!({"features": ["ride_stats:x"], "entities": []}),
            "INVALID",
            "x",
        ),
        (
            json!({"features": ["ride_stats:*"], "version": 1, "entities": []}),
            "INVALID",
            "version",
        ),
        (with("entities", json!("x")), "INVALID", "list of objects"),
        (
            with("entities", json!([{"drivr": 1}])),
            "INVALID",
            "`driver`",
        ),
        (
            with("entities", json!([{"driver": 1}, {"driver": "x"}])),
            "INVALID",
            "\"row\":1",
        ),
        (
            with("entities", json!([{"driver": 1.5}])),
            "INVALID",
            "BIGINT",
        ),
        (
            with("entities", json!({"driver": [1], "drivr": [1]})),
            "INVALID",
            "`driver`",
        ),
        (
            with("entities", json!({"driver": 1})),
            "INVALID",
            "list of values",
        ),
        (with("common", json!([1])), "INVALID", "not an object"),
        (with("as_of", json!("yesterday")), "INVALID", "as_of"),
        (with("known_at", json!(7)), "INVALID", "known_at"),
        (
            with("cut", json!("rides")),
            "INVALID",
            "SOURCE/PARTITION@END",
        ),
        (with("session", json!("rides/0@1;x")), "INVALID", "x"),
        (with("min_positions", json!("x/0@1")), "NOT_FOUND", "x"),
        (with("consistency", json!("weak")), "INVALID", "strong_now"),
        (
            with("consistency", json!("at_least")),
            "INVALID",
            "min_positions",
        ),
        (
            with("consistency", json!({"complete": "x"})),
            "INVALID",
            "x",
        ),
        (
            with("consistency", json!({"done": "x"})),
            "INVALID",
            "complete",
        ),
        (with("consistency", json!(1)), "INVALID", "a level"),
        (with("timeout_ms", json!(0)), "TIMEOUT_RANGE", "60000"),
        (with("timeout_ms", json!(60001)), "TIMEOUT_RANGE", "60000"),
        (with("timeout_ms", json!(1.5)), "INVALID", "whole number"),
        (with("degraded", json!("yes")), "INVALID", "true or false"),
        (json!([1]), "INVALID", "not an object"),
    ] {
        let answer = world.post_json("/v1/features", &request).await;
        assert_eq!(answer.code(), code, "{request}");
        assert!(answer.text().contains(part), "{request}: {}", answer.text());
    }
    let twice = r#"{"service":"model","service":"model","entities":[]}"#;
    let answer = world.post("/v1/features", "application/json", twice).await;
    assert_eq!(answer.code(), "JSON");
    let answer = world
        .post("/v1/features", "application/json", "{\"a\" 1}")
        .await;
    assert_eq!(answer.json()["error"]["place"], json!({"byte": 5}));
    let query = world
        .post("/v1/features?service=model", "application/json", "{}")
        .await;
    assert_eq!(query.code(), "INVALID");
}

#[tokio::test]
async fn defaults_are_put_in_place_and_marked_and_may_be_left_out() {
    let definitions = "
        CREATE ENTITY k (k BIGINT);
        CREATE STREAM s (k BIGINT, x DOUBLE, at TIMESTAMP, EVENT TIME at);
        CREATE FEATURE VIEW v (total DEFAULT 0.5, n) ENTITY k AS
        SELECT k, sum(x) OVER w AS total, count(*) OVER w AS n FROM s WINDOW w AS (LAST 1 HOURS);
        CREATE FEATURE SERVICE d AS v (*);";
    let world = World::with(definitions, Default::default(), Default::default());
    let ask = json!({"service": "d", "entities": [{"k": 1}], "as_of": AS_OF});
    let row = &world.read(&ask).await["rows"][0];
    assert_eq!(row["values"], json!([0.5, 0]));
    assert_eq!(row["statuses"], json!(["NULL_VALUE", "PRESENT"]));
    assert_eq!(row["defaults"], json!([0]));
    let mut plain = ask.clone();
    plain["defaults"] = json!(false);
    let row = &world.read(&plain).await["rows"][0];
    assert_eq!(row["values"], json!([null, 0]));
    assert_eq!(row["defaults"], Json::Null);
    let view = world.get("/v1/views/v").await.json();
    assert_eq!(view["features"][0]["default"], 0.5);
}
