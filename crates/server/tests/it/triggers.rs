//! Triggers over HTTP: logged and answered at once, the same when asked again, by name or by
//! sending it again.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use evenkeel_engine::{Machine, Scope, ServerLimits, TokenSettings};
use evenkeel_log::ManualClock;
use evenkeel_server::Tokens;
use serde_json::{Value as Json, json};

use crate::support::{Answer, DEFINITIONS, World};

fn ride(id: &str, fare: f64) -> Json {
    json!({"id": id, "driver": 1, "fare": fare, "at": "2026-03-01T10:30:00Z"})
}

fn asks(row: Json) -> Json {
    json!({"row": row, "service": "model", "version": 1})
}

async fn trigger(world: &World, json: &Json) -> Answer {
    world.post_json("/v1/triggers/rides", json).await
}

async fn triggered(world: &World, json: &Json) -> Json {
    let answer = trigger(world, json).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn result(world: &World, answer: &Json) -> Answer {
    let id = answer["result"].as_str().unwrap();
    world.get(&format!("/v1/results/{id}")).await
}

fn values(answer: &Json) -> &Json {
    &answer["rows"][0]["values"]
}

/// What a trigger and its result have in common.
fn of_the_read(answer: &Json) -> Json {
    let names = [
        "source",
        "partition",
        "offset",
        "result",
        "answered",
        "asked",
        "inputs",
        "service",
        "version",
        "definition",
        "as_of",
        "known_at",
        "cut",
        "degraded",
        "features",
        "rows",
    ];
    let members = names.iter().map(|name| {
        assert!(answer.get(name).is_some(), "`{name}` is missing: {answer}");
        ((*name).to_owned(), answer[*name].clone())
    });
    Json::Object(members.collect())
}

#[tokio::test]
async fn it_is_answered_at_its_place_and_the_same_for_ever() {
    let mut world = World::new();
    let mut asked = asks(ride("one", 0.5));
    asked["correlation_id"] = json!("order 7");
    let first = triggered(&world, &asked).await;
    assert_eq!(first["status"], "logged");
    assert_eq!(
        (&first["duplicate"], &first["answered"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        (&first["partition"], &first["offset"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(first["correlation_id"], "order 7");
    assert_eq!(first["cut"], "rides/0@1");
    assert_eq!(first["as_of"], "2026-03-01T10:30:00Z");
    assert_eq!(first["inputs"], json!({"driver": 1}));
    assert_eq!(values(&first), &json!([1, 0.5]));
    // What came behind it is not seen, and the session knows it.
    world.push("rides", &json!([ride("two", 2.0)])).await;
    let read = json!({"service": "model", "version": 1, "as_of": first["as_of"], "session": first["session"],
        "consistency": "at_least", "entities": [{"driver": 1}]});
    assert_eq!(values(&world.read(&read).await), &json!([2, 2.5]));
    let again = triggered(&world, &asked).await;
    assert_eq!(
        (&again["status"], &again["duplicate"]),
        (&json!("duplicate"), &json!(true))
    );
    assert_eq!(of_the_read(&again), of_the_read(&first));
    let by_name = result(&world, &first).await.json();
    assert_eq!(of_the_read(&by_name), of_the_read(&first));
    // Another payload under its id is another event.
    let other = triggered(&world, &asks(ride("one", 0.25))).await;
    assert_eq!(other["status"], "conflict");
    assert_eq!(values(&other), &json!([2, 2.25]));
    // By a view, with all of its features.
    let view = json!({"row": ride("three", 1.0), "view": "ride_stats"});
    let view = triggered(&world, &view).await;
    assert_eq!(
        view["asked"],
        json!({"kind": "view", "name": "ride_stats", "version": 1})
    );
    assert_eq!(values(&view), &json!([3, 3.25]));
    let served = world.engine().verify_served(&mut |_| ()).unwrap();
    assert_eq!((served.answers, served.mismatches), (1, 0));
}

#[tokio::test]
async fn triggers_that_share_commits_see_what_is_before_them() {
    let world = World::new();
    let one = |i: u64| {
        let router = world.router();
        let asked = asks(ride(&format!("ride {i}"), 1.0)).to_string();
        async move {
            let request =
                Request::post("/v1/triggers/rides").header("content-type", "application/json");
            let request = request.body(Body::from(asked)).unwrap();
            crate::support::send(router, request).await.json()
        }
    };
    let mut all = Vec::new();
    for i in 0..40 {
        all.push(tokio::spawn(one(i)));
    }
    let mut counts = Vec::new();
    for task in all {
        let answer = task.await.unwrap();
        // Each sees itself and those before it: as many as its offset says.
        let count = answer["offset"].as_u64().unwrap() + 1;
        assert_eq!(values(&answer), &json!([count, count as f64]));
        assert_eq!(answer["cut"], format!("rides/0@{count}"));
        let again = result(&world, &answer).await.json();
        assert_eq!(of_the_read(&again), of_the_read(&answer));
        counts.push(count);
    }
    counts.sort_unstable();
    assert_eq!(counts, (1..=40).collect::<Vec<u64>>());
}

#[tokio::test]
async fn who_does_not_wait_gets_a_name_for_the_answer() {
    let world = World::new();
    let mut asked = asks(ride("one", 0.5));
    asked["deadline_ms"] = json!(0);
    let answer = trigger(&world, &asked).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(
        (&answer["status"], &answer["answered"]),
        (&json!("logged"), &json!(false))
    );
    assert!(answer.get("rows").is_none());
    let found = result(&world, &answer).await;
    assert_eq!(found.status, 200);
    assert_eq!(values(&found.json()), &json!([1, 0.5]));
    let id = answer["result"].as_str().unwrap();
    let at_once = world.get(&format!("/v1/results/{id}?wait_ms=0")).await;
    assert_eq!(values(&at_once.json()), &json!([1, 0.5]));
    let again = trigger(&world, &asked).await;
    assert_eq!(
        (again.status, &again.json()["duplicate"]),
        (202, &json!(true))
    );
}

#[tokio::test]
async fn what_is_no_event_is_said_and_has_no_result() {
    let world = World::new();
    for (row, status, code) in [
        (ride("one", -1.0), "rejected", json!("CHECK")),
        (json!({"id": "one", "fee": 3}), "rejected", json!("DECODE")),
        (json!(3), "rejected", json!("DECODE")),
        (ride("ignored", 1.0), "left_out", Json::Null),
    ] {
        let answer = triggered(&world, &asks(row)).await;
        assert_eq!(
            (&answer["status"], &answer["code"]),
            (&json!(status), &code),
            "{answer}"
        );
        assert_eq!(
            (&answer["result"], &answer["answered"]),
            (&Json::Null, &json!(false))
        );
        assert!(answer.get("rows").is_none());
    }
    let letters = world.get("/v1/sources/rides/dead-letters").await.json();
    assert_eq!(letters["total"], 3, "{letters}");
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let world = World::new();
    let with = |name: &str, value: Json| {
        let mut json = asks(ride("new", 0.2));
        json[name] = value;
        json
    };
    let long = "x".repeat(257);
    for (json, code, message) in [
        (json!([]), "INVALID", "the body is an array, not an object"),
        (json!({"service": "model"}), "INVALID", "`row` is missing"),
        (
            json!({"row": ride("new", 0.2)}),
            "INVALID",
            "`service` or `view` is missing",
        ),
        (
            with("service", json!("modell")),
            "NOT_FOUND",
            "there is no service `modell`",
        ),
        (
            with("version", json!(9)),
            "NOT_FOUND",
            "there is no service `model@9`",
        ),
        (
            with("view", json!("ride_stats")),
            "INVALID",
            "give `service` or `view`, not both",
        ),
        (
            with("rows", json!([])),
            "UNKNOWN_FIELD",
            "no request has a field `rows`",
        ),
        (
            with("sequence", json!(3)),
            "INVALID",
            "a producer gives its id",
        ),
        (
            with("correlation_id", json!(long)),
            "INVALID",
            "`correlation_id` has more than",
        ),
        (
            with("deadline_ms", json!(60_001)),
            "TIMEOUT_RANGE",
            "`deadline_ms` is 60001: from 0 to 60000",
        ),
        (
            json!({"row": {}, "view": "ride_stats@2"}),
            "NOT_FOUND",
            "there is no view `ride_stats@2`",
        ),
    ] {
        let answer = trigger(&world, &json).await;
        assert_eq!(answer.code(), code, "{json}");
        let said = answer.json()["error"]["message"].clone();
        assert!(said.as_str().unwrap().starts_with(message), "{said}");
    }
    let nowhere = world
        .post_json("/v1/triggers/ridez", &asks(ride("new", 0.2)))
        .await;
    assert_eq!(nowhere.code(), "NOT_FOUND");
    assert_eq!(
        world.get("/v1/status").await.json()["sources"][0]["events"],
        0
    );
}

#[tokio::test]
async fn a_service_whose_inputs_the_row_lacks_is_refused_before_it_is_logged() {
    let definitions =
        format!("{DEFINITIONS} CREATE STREAM calls (number STRING, at TIMESTAMP, EVENT TIME at);");
    let world = World::with(&definitions, ServerLimits::default(), Tokens::default());
    let row = json!({"number": "1", "at": "2026-03-01T10:30:00Z"});
    let answer = world.post_json("/v1/triggers/calls", &asks(row)).await;
    assert_eq!(answer.code(), "INVALID");
    let said = answer.json()["error"]["message"].clone();
    assert_eq!(said, "the input `driver` (BIGINT) is no column of `calls`");
}

#[tokio::test]
async fn results_that_are_not_there_and_results_that_are_gone() {
    let clock = Arc::new(ManualClock::new(1_772_400_000_000_000));
    let machine = Machine {
        clock: clock.clone(),
        ..Machine::default()
    };
    let project = "[limits]\nresults_kept_hours = 2\n";
    let world = World::on(
        machine,
        project,
        DEFINITIONS,
        ServerLimits::default(),
        Tokens::default(),
    );
    let answer = triggered(&world, &asks(ride("one", 0.5))).await;
    let id = answer["result"].as_str().unwrap();
    for (id, code) in [
        ("nothing".to_owned(), "INVALID"),
        (id.replace("~0~0~", "~0~1~"), "NOT_FOUND"),
        (id.replace("~0~0~", "~1~0~"), "NOT_FOUND"),
        (id.replace("rides~", "ridez~"), "NOT_FOUND"),
        (id.replace("model~1", "model~7"), "NOT_FOUND"),
        (format!("{id}?wait_ms=60001"), "TIMEOUT_RANGE"),
        (format!("{id}?wait=1"), "UNKNOWN_FIELD"),
    ] {
        let answer = world.get(&format!("/v1/results/{id}")).await;
        assert_eq!(answer.code(), code, "{id}");
    }
    clock.advance(2 * 3_600_000_000);
    assert_eq!(result(&world, &answer).await.status, 200);
    clock.advance(1);
    let gone = result(&world, &answer).await;
    assert_eq!((gone.status, gone.code()), (410, "GONE".to_owned()));
}

#[tokio::test]
async fn a_token_writes_and_reads() {
    let directory = tempfile::tempdir().unwrap();
    let settings = |name: &str, scopes: Vec<Scope>| {
        let file = directory.path().join(name);
        std::fs::write(&file, format!("{name}-{name}-{name}")).unwrap();
        TokenSettings {
            name: name.to_owned(),
            scopes,
            env: None,
            file: Some(file),
        }
    };
    let tokens = Tokens::read(&[
        settings("both-", vec![Scope::Write, Scope::Read]),
        settings("writes", vec![Scope::Write]),
        settings("reads", vec![Scope::Read]),
    ]);
    let world = World::with(DEFINITIONS, ServerLimits::default(), tokens.unwrap());
    let send = |token: &str| {
        let request = Request::post("/v1/triggers/rides")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}-{token}-{token}"));
        let body = asks(ride("one", 0.5)).to_string();
        world.send(request.body(Body::from(body)).unwrap())
    };
    assert_eq!(send("writes").await.code(), "FORBIDDEN");
    assert_eq!(send("reads").await.code(), "FORBIDDEN");
    let answer = send("both-").await.json();
    assert_eq!(
        (&answer["status"], values(&answer)),
        (&json!("logged"), &json!([1, 0.5]))
    );
}
