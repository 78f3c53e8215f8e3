//! Training datasets over HTTP: the same as where the store is, and vectors in their order.

use std::fs;

use axum::body::Body;
use axum::http::Request;
use evenkeel_connect::Table;
use evenkeel_engine::ServerLimits;
use evenkeel_engine::dataset::{BuildSpine, DatasetName};
use evenkeel_server::Tokens;
use serde_json::{Value as Json, json};

use crate::support::{Answer, DEFINITIONS, World};

const DATASETS: &str = "
CREATE TRAINING DATASET d FROM SERVICE model@2 SPINE 'spine.csv'
  TRANSFORM (rides STANDARDIZE, fares IMPUTE MEAN, taps BUCKETIZE (1, 2))
  SPLIT BY ENTITY HASH (train 1, test 1) FORMAT PARQUET, TFRECORD;
CREATE TRAINING DATASET q FROM SERVICE model@2
  SPINE (SELECT driver, LABEL rides FROM ride_stats WITHIN INTERVAL '1' HOUR AS later FROM rides);
";

const SPINE: &str = "driver,event_time
1,2026-03-01T10:20:00Z
2,2026-03-01T10:20:00Z
9,2026-03-01T10:20:00Z
1,2026-03-01T10:59:00Z
";

async fn filled() -> World {
    let definitions = format!("{DEFINITIONS}{DATASETS}");
    let every = "[server.served]\nevery = 1\n";
    let limits = ServerLimits::default();
    let world = World::with_project(every, &definitions, limits, Tokens::default());
    push(&world, 0..60).await;
    world
}

async fn push(world: &World, rides: std::ops::Range<i32>) {
    let rides: Vec<Json> = rides
        .map(|i| {
            json!({"id": format!("r{i}"), "driver": i % 4, "fare": f64::from(i) * 0.1,
                "at": format!("2026-03-01T10:{:02}:00Z", i % 60)})
        })
        .collect();
    world.push("rides", &json!(rides)).await;
}

async fn with_spine(world: &World, path: &str) -> Answer {
    let request = Request::post(path).header("content-type", "text/csv");
    world.send(request.body(Body::from(SPINE)).unwrap()).await
}

#[tokio::test]
async fn a_dataset_is_built_shown_and_built_again() {
    let world = filled().await;
    let listed = world.get("/v1/datasets").await.json();
    let states: Vec<(&str, bool)> = listed["datasets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| (d["dataset"].as_str().unwrap(), d["built"] == true))
        .collect();
    assert_eq!(states, [("d", false), ("q", false)]);
    assert_eq!(world.get("/v1/datasets/d").await.code(), "NOT_FOUND");

    let answer = with_spine(&world, "/v1/datasets/d:1/build?name=mine.csv").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let built = answer.json();
    assert_eq!(built["rows"], 4);
    let query = world.post_json("/v1/datasets/q/build", &json!({})).await;
    assert_eq!(query.status, 200, "{}", query.text());
    assert_eq!(query.json()["rows"], 60);

    // What is on the disk is what was said.
    let store = world.directory.path().join(".evenkeel/datasets/d/1");
    let on_disk: Json =
        serde_json::from_slice(&fs::read(store.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(on_disk["digest"], built["digest"]);
    let shown = world.get("/v1/datasets/d").await.json();
    assert_eq!(shown["digest"], built["digest"]);
    assert_eq!(shown["stale"]["late"], json!([]));

    let again = with_spine(&world, "/v1/datasets/d/rebuild").await.json();
    assert_eq!(
        (&again["matches"], &again["same_bytes"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(again["digest"], built["digest"]);
    let again = world
        .post_json("/v1/datasets/q:1/rebuild", &json!({}))
        .await;
    assert_eq!(again.json()["matches"], true);

    // The past changes: what is built stays, and says so.
    push(&world, 60..62).await;
    let stale = with_spine(&world, "/v1/datasets/d/stale").await.json();
    assert_eq!(stale["late"], json!([{"source": "rides", "events": 2}]));
    let in_process = {
        let project = evenkeel_engine::Project::open(world.directory.path(), None).unwrap();
        let offline = evenkeel_engine::Offline::open(&project).unwrap();
        let manifest = offline
            .dataset(&"d".parse::<DatasetName>().unwrap())
            .unwrap();
        let path = world.directory.path().join("spine.csv");
        fs::write(&path, SPINE).unwrap();
        let spine = BuildSpine::File(path);
        offline
            .staleness(&manifest, &spine, u64::MAX, &mut |_, _, _| {
                std::ops::ControlFlow::Continue(())
            })
            .unwrap()
    };
    assert_eq!(stale, json!(in_process));
    // Both rows of driver 1.
    assert_eq!(stale["differing"]["rows"], 2);
    assert_eq!(
        with_spine(&world, "/v1/datasets/d/rebuild").await.json()["matches"],
        true
    );
    let listed = world.get("/v1/datasets").await.json();
    assert_eq!(listed["datasets"][0]["late_events"], 2);
}

#[tokio::test]
async fn a_vector_is_in_the_order_of_its_dataset() {
    let mut world = filled().await;
    let built = with_spine(&world, "/v1/datasets/d/build").await.json();
    let ask = json!({"dataset": "d:1", "entities": [{"driver": 1}, {"driver": 9}],
        "as_of": "2026-03-01T10:20:00Z", "cut": built["cut"]});
    let answer = world.post_json("/v1/features", &ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json["dataset"], "d:1");
    assert_eq!(json["digest"], built["digest"]);
    assert_eq!(json["views"], json!({"ride_stats": 1, "tap_stats": 1}));
    let names: Vec<&Json> = json["features"].as_array().unwrap().iter().collect();
    assert_eq!(names[0]["name"], "rides");
    assert_eq!(names[0]["type"], "DOUBLE");
    assert_eq!(names[2]["type"], "INT");
    // The rows of the dataset, to the bit.
    let folder = world.directory.path().join(".evenkeel/datasets/d/1");
    let tables: Vec<Table> = ["train", "test"]
        .iter()
        .map(|part| Table::read(&folder.join(format!("{part}.parquet"))).unwrap())
        .collect();
    for (row, driver) in [(0, 1), (1, 9)] {
        let find = |name: &str| {
            let found = tables.iter().find_map(|table| {
                let drivers = table.column("driver").unwrap();
                let at = drivers
                    .iter()
                    .position(|d| d == evenkeel_types::Value::BigInt(driver))?;
                Some(table.column(name).unwrap().get(at))
            });
            found.unwrap()
        };
        for (i, name) in ["rides", "fares"].iter().enumerate() {
            let evenkeel_types::Value::Double(wanted) = find(name) else {
                panic!("{name}")
            };
            let served = json["rows"][row]["values"][i].as_f64().unwrap();
            assert_eq!(served.to_bits(), wanted.to_bits(), "{name} of {driver}");
        }
    }
    // As Arrow, and without a version the newest.
    let body = Table::from_columns([(
        evenkeel_types::Field::new("driver", evenkeel_types::DataType::BigInt),
        evenkeel_types::Column::from_values(
            &evenkeel_types::DataType::BigInt,
            [&evenkeel_types::Value::BigInt(1)],
        ),
    )]);
    let arrow = "application/vnd.apache.arrow.stream";
    let request = Request::post("/v1/features?dataset=d&as_of=2026-03-01T10:20:00Z")
        .header("content-type", arrow)
        .header("accept", arrow)
        .body(Body::from(body.unwrap().to_stream().unwrap()));
    let answer = world.send(request.unwrap()).await;
    let table = Table::from_stream(answer.body.to_vec(), 1 << 20).unwrap();
    assert_eq!(table.metadata()["evenkeel.dataset"], "d:1");
    let rides = table.column("rides").unwrap().get(0);
    assert_eq!(
        json["rows"][0]["values"][0]
            .as_f64()
            .map(evenkeel_types::Value::Double),
        Some(rides)
    );
    // What was served is read again as the features it was made of.
    let engine = world.engine();
    let report = engine.verify_served(&mut |_| ()).unwrap();
    assert_eq!(
        (report.answers, report.mismatches, report.skipped),
        (2, 0, 0)
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let world = filled().await;
    let post = async |path: &str| world.post_json(path, &json!({})).await;
    // Also if it is there: whoever may ask would learn what is in it.
    fs::write(world.directory.path().join("spine.csv"), SPINE).unwrap();
    let error = post("/v1/datasets/d/build").await;
    assert_eq!(error.code(), "INVALID");
    assert!(error.text().contains("opens no file"), "{}", error.text());
    let error = with_spine(&world, "/v1/datasets/q/build").await;
    assert_eq!(error.code(), "INVALID");
    for path in ["none", "d:2"] {
        let path = format!("/v1/datasets/{path}/build");
        assert_eq!(
            with_spine(&world, &path).await.code(),
            "NOT_FOUND",
            "{path}"
        );
    }
    for path in ["..%2Fd", "D", "d:0", "d:x", "d%00"] {
        let path = format!("/v1/datasets/{path}/build");
        assert_eq!(post(&path).await.code(), "INVALID", "{path}");
    }
    with_spine(&world, "/v1/datasets/d/build").await;
    let again = with_spine(&world, "/v1/datasets/d/build").await;
    assert_eq!(again.code(), "INVALID");
    assert!(again.text().contains("built already"), "{}", again.text());
    for path in ["rebuild", "stale"] {
        let error = post(&format!("/v1/datasets/d/{path}")).await;
        assert_eq!(error.code(), "INVALID", "{path}");
        assert!(error.text().contains("opens no file"), "{}", error.text());
    }
    for ask in [
        json!({"dataset": "d", "service": "model", "entities": []}),
        json!({"dataset": "d", "features": ["ride_stats:rides"], "entities": []}),
        json!({"dataset": "d", "version": 1, "entities": []}),
        json!({"dataset": "d:0", "entities": []}),
        json!({"dataset": 7, "entities": []}),
    ] {
        let answer = world.post_json("/v1/features", &ask).await;
        assert_eq!(answer.code(), "INVALID", "{ask}");
    }
    let ask = json!({"dataset": "q", "entities": [{"driver": 1}]});
    assert_eq!(
        world.post_json("/v1/features", &ask).await.code(),
        "NOT_FOUND"
    );
    let wrong = Request::post("/v1/datasets/q/build?what=1").header("content-type", "text/csv");
    let wrong = world.send(wrong.body(Body::from(SPINE)).unwrap()).await;
    assert_eq!(wrong.code(), "UNKNOWN_FIELD");
}
