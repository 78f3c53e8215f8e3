//! Arrow in and out: parameters in the query, mistakes, damage.

use evenkeel_connect::Table;
use evenkeel_types::{Column, DataType, Field, Value};
use serde_json::{Value as Json, json};

use crate::support::World;

const ARROW: &str = "application/vnd.apache.arrow.stream";

fn table(columns: &[(&str, DataType, Vec<Value>)]) -> Vec<u8> {
    let columns = columns.iter().map(|(name, data_type, values)| {
        let column = Column::from_values(data_type, values.iter());
        (Field::new(*name, data_type.clone()), column)
    });
    Table::from_columns(columns).unwrap().to_stream().unwrap()
}

fn drivers(drivers: &[i64]) -> Vec<u8> {
    let values = drivers.iter().map(|d| Value::BigInt(*d)).collect();
    table(&[("driver", DataType::BigInt, values)])
}

#[tokio::test]
async fn entities_come_as_a_table_and_the_rest_in_the_query() {
    let world = World::new();
    let taps = json!([{"driver": 1, "at": "2026-03-01T10:00:00Z"}]);
    let session = world.push("taps", &taps).await["session"]
        .as_str()
        .unwrap()
        .to_owned();
    let json = world
        .read(&json!({"features": ["tap_stats:taps", "ride_stats:rides"], "as_of": "2026-03-01T10:00:00Z",
            "entities": [{"driver": 1}, {"driver": 2}]}))
        .await;
    let query = format!(
        "features=tap_stats:taps,ride_stats:rides&as_of=2026-03-01T10:00:00Z&session={session}\
         &consistency=strong&timeout_ms=1000&degraded=false"
    );
    let answer = world
        .post(&format!("/v1/features?{query}"), ARROW, drivers(&[1, 2]))
        .await;
    assert_eq!(answer.json(), json);
    let named = "service=model&version=1&consistency=complete:2026-01-01";
    let answer = world
        .post(&format!("/v1/features?{named}"), ARROW, drivers(&[]))
        .await;
    assert_eq!(answer.code(), "DEADLINE");
}

#[tokio::test]
async fn tables_that_do_not_fit_are_refused() {
    let world = World::new();
    let path = "/v1/features?service=model";
    for (body, code, part) in [
        (b"{}".to_vec(), "ARROW", "body"),
        (drivers(&[1])[..60].to_vec(), "ARROW", "body"),
        (
            table(&[("drivr", DataType::BigInt, vec![])]),
            "INVALID",
            "`driver`",
        ),
        (
            table(&[("driver", DataType::String, vec![])]),
            "INVALID",
            "driver",
        ),
        (
            table(&[("driver", DataType::Double, vec![Value::from(1.5)])]),
            "INVALID",
            "\"row\":0",
        ),
    ] {
        let answer = world.post(path, ARROW, body).await;
        assert_eq!(answer.code(), code);
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    for query in [
        "service=model&service=model",
        "service=model&entities=x",
        "servce=model",
        "service=model&timeout_ms=x",
    ] {
        let answer = world
            .post(&format!("/v1/features?{query}"), ARROW, drivers(&[1]))
            .await;
        assert_eq!(answer.status, 400, "{query}");
        answer.code();
    }
}

#[tokio::test]
async fn rows_of_a_table_are_rejected_one_by_one() {
    let world = World::new();
    let body = table(&[
        (
            "driver",
            DataType::Double,
            vec![Value::from(1.0), Value::from(1.5)],
        ),
        (
            "at",
            DataType::Timestamp,
            vec![Value::Timestamp(0), Value::Timestamp(0)],
        ),
    ]);
    let answer = world
        .post("/v1/sources/taps/events", ARROW, body)
        .await
        .json();
    assert_eq!(answer["rows"][0]["status"], "logged", "{answer}");
    assert_eq!(answer["rows"][1]["code"], "DECODE", "{answer}");
    let letters = world.get("/v1/sources/taps/dead-letters").await.json();
    let record: Json =
        serde_json::from_str(letters["dead_letters"][0]["record"].as_str().unwrap()).unwrap();
    assert_eq!(record["driver"], 1.5);
    let extra = table(&[("dirver", DataType::BigInt, vec![])]);
    let answer = world.post("/v1/sources/taps/events", ARROW, extra).await;
    assert_eq!(answer.code(), "INVALID");
    assert!(answer.text().contains("`driver`"), "{}", answer.text());
}
