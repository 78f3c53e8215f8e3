//! Readers race writes: every answer is a prefix of what was pushed, the one that its cut
//! says, and holds what was acknowledged before it was asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value as Json, json};

use crate::support::{World, shared};

const DRIVERS: u64 = 5;
/// Sums of powers of two up to here are exact in a DOUBLE.
const POWERS: u64 = 40;
const EVENTS: u64 = DRIVERS * POWERS;

/// Event `j` is of driver `j % DRIVERS` and adds the next power of two.
fn event(j: u64) -> Json {
    let fare = 1u64 << (j / DRIVERS);
    json!({"id": format!("e{j}"), "driver": j % DRIVERS, "fare": fare, "at": "2026-03-01T10:00:00Z"})
}

/// What the drivers have after the first `n` events.
fn expected(n: u64) -> Json {
    let row = |driver: u64| {
        let count = (n + DRIVERS - 1 - driver) / DRIVERS;
        let sum = ((1u64 << count) - 1) as f64;
        match count {
            0 => json!([0, null]),
            _ => json!([count, sum]),
        }
    };
    (0..DRIVERS).map(row).collect()
}

async fn reader(
    world: Arc<World>,
    acknowledged: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
    level: &str,
) -> u64 {
    let entities: Vec<Json> = (0..DRIVERS).map(|d| json!({"driver": d})).collect();
    let mut ask = json!({"service": "model", "version": 1, "entities": entities,
        "as_of": "2026-03-01T10:30:00Z", "consistency": level});
    let (mut last, mut reads) = (0, 0);
    loop {
        let finished = done.load(Ordering::SeqCst);
        let before = acknowledged.load(Ordering::SeqCst);
        let answer = world.read(&ask).await;
        let cut = answer["cut"].as_str().unwrap();
        let n = cut
            .strip_prefix("rides/0@")
            .map_or(0, |end| end.parse().unwrap());
        let values: Vec<&Json> = answer["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| &r["values"])
            .collect();
        assert_eq!(json!(values), expected(n), "{cut}");
        assert!(n >= before, "{before} were acknowledged, {n} are known");
        assert!(n >= last, "a session went from {last} back to {n}");
        last = n;
        reads += 1;
        if !cut.is_empty() {
            ask["session"] = json!(cut);
        }
        if finished {
            assert_eq!(n, EVENTS);
            return reads;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_answer_is_the_prefix_that_its_cut_says() {
    let world = shared(World::new());
    let acknowledged = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = ["eventual", "strong", "strong_now"]
        .into_iter()
        .map(|level| {
            let (world, acknowledged, done) = (world.clone(), acknowledged.clone(), done.clone());
            tokio::spawn(async move { reader(world, acknowledged, done, level).await })
        })
        .collect();
    let mut j = 0;
    while j < EVENTS {
        // Pushes of 1 to 9 events, some of them known already.
        let size = (j % 9 + 1).min(EVENTS - j);
        let first = j.saturating_sub(2);
        let rows: Vec<Json> = (first..j + size).map(event).collect();
        world.push("rides", &json!(rows)).await;
        j += size;
        acknowledged.store(j, Ordering::SeqCst);
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pushes_of_many_at_once_are_each_answered_and_logged_once() {
    let world = shared(World::new());
    let tasks: Vec<_> = (0..40u64)
        .map(|i| {
            let world = world.clone();
            // Every event comes from two pushers.
            let rows = json!([event(i / 2 * 2), event(i / 2 * 2 + 1)]);
            tokio::spawn(async move { world.push("rides", &rows).await })
        })
        .collect();
    let (mut logged, mut duplicates) = (0, 0);
    for task in tasks {
        let answer = task.await.unwrap();
        logged += answer["counts"]["logged"].as_u64().unwrap();
        duplicates += answer["counts"]["duplicate"].as_u64().unwrap();
        // With its token each sees its own.
        let session = answer["session"].clone();
        let read = json!({"service": "model", "version": 1, "entities": [], "session": session});
        world.read(&read).await;
    }
    assert_eq!((logged, duplicates), (40, 40));
    let read = json!({"service": "model", "version": 1, "as_of": "2026-03-01T10:30:00Z",
        "entities": {"driver": (0..DRIVERS).collect::<Vec<_>>()}});
    let answer = world.read(&read).await;
    let values: Vec<&Json> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["values"])
        .collect();
    assert_eq!(json!(values), expected(40));
}
