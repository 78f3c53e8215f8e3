//! Backfills of a server: made by its writer while others push, asked for once or again.

use evenkeel_engine::ServerLimits;
use evenkeel_server::Tokens;
use serde_json::{Value as Json, json};

use crate::checkpoints::metric;
use crate::support::World;

const DEFINITIONS: &str = "
CREATE ENTITY card (card BIGINT);
CREATE STREAM payments (id BIGINT, card BIGINT, at TIMESTAMP, EVENT ID (id), EVENT TIME at);
CREATE TABLE limits (card BIGINT, most BIGINT, at TIMESTAMP, PRIMARY KEY (card), EVENT TIME at);
CREATE FEATURE VIEW spending ENTITY card MATERIALIZED AS
SELECT p.card, l.most FROM payments p ASOF JOIN limits l ON p.card = l.card;
";

fn payment(id: i64) -> Json {
    json!({"id": id, "card": id % 3, "at": format!("2026-03-01T08:{:02}:00Z", id % 60)})
}

async fn most(world: &World) -> Json {
    let request = json!({"features": ["spending:most"], "entities": [{"card": 1}],
        "as_of": "2026-03-01T12:00:00Z"});
    world.read(&request).await["rows"][0]["values"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_period_are_made_again_while_others_push() {
    let world = World::with(DEFINITIONS, ServerLimits::default(), Tokens::default());
    let payments: Vec<Json> = (0..600).map(payment).collect();
    world.push("payments", &json!(payments)).await;
    let limits =
        (0..3).map(|card| json!({"card": card, "most": 10 + card, "at": "2026-01-01T00:00:00Z"}));
    let limits: Vec<Json> = limits.collect();
    world.push("limits", &json!(limits)).await;
    let path = "/v1/views/spending/backfill";
    // Before it, rows are what was known when they came.
    let nothing = json!({"from": "2025-01-01", "to": "2025-02-01"});
    let answer = world.post_json(path, &nothing).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["events"], 0);
    assert_eq!(most(&world).await, Json::Null);
    let asked = json!({"from": "2026-03-01T08:00:00Z"});
    let more: Vec<Json> = (600..700).map(payment).collect();
    let more = json!(more);
    let (backfilled, _) =
        tokio::join!(world.post_json(path, &asked), world.push("payments", &more));
    assert_eq!(backfilled.status, 200, "{}", backfilled.text());
    let report = backfilled.json();
    assert_eq!(report["replaced"], 600, "{report}");
    assert_eq!(
        (&report["inserted"], &report["removed"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(report["to"], Json::Null);
    assert_eq!(most(&world).await, 11);
    let again = world.post_json(path, &asked).await.json();
    assert_eq!(
        (&again["events"], &again["replaced"]),
        (&json!(700), &json!(0))
    );
    assert_eq!(
        metric(&world, "evenkeel_backfilling_events{state=\"all\"}").await,
        0
    );
    for (path, body, status) in [
        ("/v1/views/spendin/backfill", json!({}), 404),
        ("/v1/views/spending_rows/backfill", json!({}), 400),
        (path, json!({"from": "soon"}), 400),
        (path, json!({"from": "2026-01-02", "to": "2026-01-01"}), 400),
        (path, json!({"form": "2026-01-02"}), 400),
    ] {
        let answer = world.post_json(path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
    }
}
