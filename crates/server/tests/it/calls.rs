//! Calls over HTTP: what a push and a read would answer, with nothing left of it.

use serde_json::{Value as Json, json};

use crate::support::{Answer, World};

fn ride(id: &str, fare: f64) -> Json {
    json!({"id": id, "driver": 1, "fare": fare, "at": "2026-03-01T10:30:00Z"})
}

async fn call(world: &World, json: &Json) -> Answer {
    world.post_json("/v1/calls", json).await
}

async fn called(world: &World, json: &Json) -> Json {
    let answer = call(world, json).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn it_answers_what_a_push_and_a_read_would() {
    let world = World::new();
    world
        .push(
            "rides",
            &json!([{"id": "before", "driver": 1, "fare": 0.1, "at": "2026-03-01T10:00:00Z"}]),
        )
        .await;
    let asked =
        json!({"source": "rides", "row": ride("new", 0.2), "service": "model", "version": 2});
    let first = called(&world, &asked).await;
    assert_eq!(
        (&first["source"], &first["known"]),
        (&json!("rides"), &json!(false))
    );
    assert_eq!(first["as_of"], "2026-03-01T10:30:00Z");
    assert_eq!(first["inputs"], json!({"driver": 1}));
    assert_eq!(first["rows"][0]["values"], json!([2, 0.1 + 0.2, 0]));
    // Nothing is left of it.
    assert_eq!(called(&world, &asked).await, first);
    let plain = json!({"service": "model", "version": 2, "as_of": first["as_of"], "entities": [{"driver": 1}]});
    assert_eq!(
        world.read(&plain).await["rows"][0]["values"],
        json!([1, 0.1, 0])
    );
    // What if it were more, and by a list of features.
    let what_if =
        json!({"source": "rides", "row": ride("new", 7.0), "features": ["ride_stats:fares"]});
    assert_eq!(
        called(&world, &what_if).await["rows"][0]["values"],
        json!([7.1])
    );
    let session = world.push("rides", &json!([ride("new", 0.2)])).await["session"].clone();
    let pushed = world.read(&plain).await;
    assert_eq!(pushed["rows"], first["rows"]);
    let mut again = asked.clone();
    again["session"] = session;
    let again = called(&world, &again).await;
    assert_eq!(
        (&again["known"], &again["rows"]),
        (&json!(true), &first["rows"])
    );
    let metrics = world.get("/v1/status").await.json();
    assert_eq!(metrics["sources"][0]["events"], 2);
}

#[tokio::test]
async fn inputs_are_of_the_row_or_of_the_request() {
    let world = World::new();
    let tap = json!({"driver": 3, "at": "2026-03-01T10:00:00Z"});
    let of = |inputs: Json| json!({"source": "taps", "row": tap, "features": ["tap_stats:taps"], "inputs": inputs});
    let one = called(&world, &of(json!({}))).await;
    assert_eq!(one["rows"][0]["values"], json!([1]));
    let other = called(&world, &of(json!({"driver": 4}))).await;
    assert_eq!(other["rows"][0]["values"], json!([0]));
    let producer = |sequence: u64| json!({"source": "taps", "row": tap, "features": ["tap_stats:taps"], "producer_id": "till", "sequence": sequence});
    world
        .push(
            "taps",
            &json!({"producer_id": "till", "sequence": 5, "rows": [tap]}),
        )
        .await;
    assert_eq!(called(&world, &producer(5)).await["known"], true);
    let next = called(&world, &producer(6)).await;
    assert_eq!(
        (&next["known"], &next["rows"][0]["values"]),
        (&json!(false), &json!([2]))
    );
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let world = World::new();
    let with = |name: &str, value: Json| {
        let mut json = json!({"source": "rides", "row": ride("new", 0.2), "service": "model"});
        json[name] = value;
        json
    };
    for (json, message) in [
        (json!([]), "the body is an array, not an object"),
        (json!({"row": {}}), "`source` is missing"),
        (json!({"source": "rides"}), "`row` is missing"),
        (with("source", json!("ridez")), "there is no source `ridez`"),
        (
            with("service", json!("modell")),
            "there is no service `modell`",
        ),
        (with("rows", json!([])), "no request has a field `rows`"),
        (with("row", json!(3)), "a number is not an object"),
        (with("row", json!({"fee": 3})), "`fee`: "),
        (
            with("row", ride("new", -1.0)),
            "the row is no event of `rides`: ",
        ),
        (
            with("row", ride("ignored", 1.0)),
            "the row is no event of `rides`: `WHERE` of `rides` leaves the row out",
        ),
        (
            with("row", json!({"id": "x", "driver": 1, "fare": 1})),
            "the row is no event of `rides`: ",
        ),
        (
            with("sequence", json!(3)),
            "a producer gives its id and the row's sequence number, both",
        ),
        (
            with("inputs", json!(3)),
            "`inputs` is a number, not an object",
        ),
        (with("inputs", json!({"rider": 3})), "`rider`: "),
        (with("timeout_ms", json!(0)), "`timeout_ms` is 0"),
    ] {
        let answer = call(&world, &json).await;
        let error = &answer.json()["error"];
        let said = error["message"].as_str().unwrap_or_default();
        assert!(
            (400..500).contains(&answer.status),
            "{json}: {}",
            answer.text()
        );
        assert!(said.starts_with(message), "{json}: {said}");
    }
}
