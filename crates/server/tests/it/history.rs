//! Clients race pushes, reads, checkpoints, merges and a cache that holds next to nothing; the
//! checker of `evenkeel-sim` compares everything that they saw with the log.
//!
//! `EVENKEEL_SEEDS` is the number of histories (3), `EVENKEEL_SEED` the first seed (1).

use std::sync::Arc;

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::{Engine, ServerLimits};
use evenkeel_log::ReadOptions;
use evenkeel_server::Tokens;
use evenkeel_sim::{Client, DEFINITIONS, Log, Run, check};

use crate::support::{World, shared};

const CLIENTS: usize = 6;
/// Requests of each client.
const REQUESTS: u64 = 150;
/// A quarter of it makes a checkpoint due, half of it is the cache.
const PROJECT: &str = "[limits]\nmemory_bytes = 60000\n";

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The log as the checker knows it.
fn log_of(engine: &Engine) -> Log {
    let mut log = Log::default();
    for (name, def) in &engine.catalog().sources {
        let options = ReadOptions {
            sources: Some(vec![def.id]),
            ..ReadOptions::default()
        };
        for logged in engine.reader().read(options) {
            log.take_event(name, &logged.unwrap()).unwrap();
        }
        for letter in engine.reader().dead_letters(def.id).unwrap() {
            log.take_letter(name, letter.unwrap().letter.position)
                .unwrap();
        }
    }
    log
}

async fn client(world: Arc<World>, run: Arc<Run>, mut client: Client) {
    let mut done = 0;
    while done < REQUESTS || !client.is_settled() {
        let request = client.next(&run);
        let answer = world.post_json(&request.path, &request.body).await;
        let answered = client.answered(&run, answer.status, &answer.json());
        answered.unwrap_or_else(|error| panic!("{}: {error}", request.body));
        match answer.status {
            429 => tokio::task::yield_now().await,
            _ => done += 1,
        }
    }
}

async fn one(seed: u64) {
    // Now and then a queue that is full at once, so that pushes are refused.
    let limits = ServerLimits {
        queued_pushes: if seed.is_multiple_of(3) { 2 } else { 256 },
        ..ServerLimits::default()
    };
    let mut world = World::with_project(PROJECT, DEFINITIONS, limits, Tokens::default());
    let run = Arc::new(Run::new(seed, CLIENTS as u64 * REQUESTS * 2));
    let shared = shared(world);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (world, run) = (Arc::clone(&shared), Arc::clone(&run));
            tokio::spawn(client(world, run, Client::new(number, seed)))
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    world = Arc::into_inner(shared).unwrap();
    let engine = world.engine();
    let mut history = Arc::into_inner(run).unwrap().history();
    history.log = log_of(&engine);
    let report = check(&history);
    assert_eq!(report.violations, [], "EVENKEEL_SEED={seed}");
    assert!(report.answers > 300 && report.events > 1_000, "{report:?}");
    assert!(report.inside > 100 && report.unmet > 5, "{report:?}");
    let conflicts: usize = history.log.conflicts.values().map(Vec::len).sum();
    assert!(conflicts > 10, "{conflicts} conflicts");
    let options = VerifyOptions {
        values: 1_000,
        oracle_values: 50,
        ..VerifyOptions::default()
    };
    let verified = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(verified.mismatches, 0, "EVENKEEL_SEED={seed}: {verified:?}");
}

#[test]
fn what_clients_saw_is_what_was_promised() {
    let first = number("EVENKEEL_SEED", 1);
    for seed in first..first + number("EVENKEEL_SEEDS", 3) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(one(seed));
    }
}
