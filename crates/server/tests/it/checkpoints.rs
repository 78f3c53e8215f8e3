//! Checkpoints beside pushes: on a key-value store whose writes are held, or fail, when a test
//! says so.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::ThreadId;

use evenkeel_engine::{Engine, EngineError, KvStores, Machine, Project, ServerLimits};
use evenkeel_log::{Clock, LogError, SystemClock};
use evenkeel_server::Tokens;
use evenkeel_store::{Gate, GatedKv, Kv, MemoryKv, StoreError};
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

use crate::support::{DEFINITIONS, World, shared};

/// Of it, 16 kB are what makes a checkpoint due, and as much may come meanwhile.
const PROJECT: &str = "[limits]\nmemory_bytes = 128000\n";
const HALF: u64 = 16_000;
/// What one push may bring.
const PUSH_BYTES: u64 = 8_000;
const ROWS: i64 = 4;

/// One store in memory, that stays when it is opened again, behind a gate.
#[derive(Debug, Default)]
struct Gated {
    kv: Arc<MemoryKv>,
    gate: Arc<Gate>,
}

impl KvStores for Gated {
    fn open(&self, directory: &Path, _: u64) -> Result<Arc<dyn Kv>, StoreError> {
        if directory.ends_with("hot.beside") {
            return Ok(Arc::new(MemoryKv::new()));
        }
        let kv = Arc::clone(&self.kv) as Arc<dyn Kv>;
        Ok(Arc::new(GatedKv::new(kv, Arc::clone(&self.gate))))
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

fn machine(stores: &Arc<Gated>) -> Machine {
    Machine {
        stores: Arc::clone(stores) as Arc<dyn KvStores>,
        ..Machine::default()
    }
}

fn world(stores: &Arc<Gated>) -> World {
    let limits = ServerLimits {
        queued_pushes: 4,
        ..ServerLimits::default()
    };
    World::on(
        machine(stores),
        PROJECT,
        DEFINITIONS,
        limits,
        Tokens::default(),
    )
}

/// Some rides; every 30th has the id of one before and another fare.
fn rides(first: i64) -> Json {
    let ride = |n: i64| {
        let id = if n % 30 == 29 { n - 28 } else { n };
        json!({"id": format!("r{id}"), "driver": id % 7, "fare": n as f64,
            "at": format!("2026-03-01T{:02}:{:02}:00Z", id / 60 % 24, id % 60)})
    };
    (first..first + ROWS).map(ride).collect()
}

/// Pushes rides one after another, and counts those that are acknowledged.
fn push_all(world: &Arc<World>, rows: i64, pushed: &Arc<AtomicI64>) -> JoinHandle<()> {
    let (world, pushed) = (Arc::clone(world), Arc::clone(pushed));
    tokio::spawn(async move {
        while pushed.load(Ordering::SeqCst) < rows {
            let rides = rides(pushed.load(Ordering::SeqCst));
            let answer = world.post_json("/v1/sources/rides/events", &rides).await;
            match answer.status {
                200 => drop(pushed.fetch_add(ROWS, Ordering::SeqCst)),
                // Others were before it: it is sent again.
                429 => tokio::task::yield_now().await,
                _ => panic!("{}", answer.text()),
            }
        }
    })
}

pub(crate) async fn metric(world: &World, name: &str) -> u64 {
    let metrics = world.get("/metrics").await.text();
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value
        .unwrap_or_else(|| panic!("{metrics}"))
        .parse()
        .unwrap()
}

async fn pushes_wait(world: &World) {
    while metric(world, "evenkeel_pushes_wait_for_checkpoint").await == 0 {
        tokio::task::yield_now().await;
    }
}

/// The rides that are read, of all drivers and times.
async fn read(world: &World, pushed: i64) {
    let mut rides = 0;
    for hour in 0..24 {
        let entities: Vec<Json> = (0..7).map(|driver| json!({"driver": driver})).collect();
        let request = json!({"service": "model", "version": 1, "entities": entities,
            "as_of": format!("2026-03-01T{hour:02}:59:30Z")});
        let answer = world.read(&request).await;
        for row in answer["rows"].as_array().unwrap() {
            rides += row["values"][0].as_i64().unwrap();
        }
    }
    let known = (0..pushed).filter(|n| n % 30 != 29).count() as i64;
    assert_eq!(rides, known, "of {pushed} pushed");
}

/// The store of a server that was stopped. A request whose client went away may have it for a moment.
fn opened(world: &World, stores: &Arc<Gated>) -> Engine {
    let project = Project::open(world.directory.path(), None).unwrap();
    loop {
        match Engine::open_on(&project, machine(stores)) {
            Err(EngineError::Log(error)) if matches!(*error, LogError::Locked { .. }) => {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

async fn verified(world: &World) -> Json {
    let options = json!({"values": 2000, "oracle_values": 20});
    let verified = world.post_json("/v1/verify", &options).await.json();
    assert_eq!(verified["mismatches"], 0, "{verified}");
    verified["answers_digest"].clone()
}

/// Pushes until the checkpoint that is held is begun, and then until both halves are full.
async fn until_full(
    world: &Arc<World>,
    stores: &Arc<Gated>,
    rows: i64,
) -> (Arc<AtomicI64>, JoinHandle<()>) {
    let pushed = Arc::new(AtomicI64::new(0));
    let pushing = push_all(world, rows, &pushed);
    let waiting = Arc::clone(stores);
    tokio::task::spawn_blocking(move || waiting.gate.wait_for_a_write())
        .await
        .unwrap();
    pushes_wait(world).await;
    (pushed, pushing)
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_are_answered_and_read_while_a_checkpoint_is_held_and_wait_when_there_is_no_room() {
    let stores = Arc::new(Gated::default());
    let world = shared(world(&stores));
    let held = stores.gate.hold();
    let rows = 400;
    let (pushed, pushing) = until_full(&world, &stores, rows).await;
    // The first half is being written; what was acknowledged since is in the other.
    let being_written = metric(&world, "evenkeel_unwritten_bytes{state=\"being_written\"}").await;
    let new = metric(&world, "evenkeel_unwritten_bytes{state=\"new\"}").await;
    for bytes in [being_written, new] {
        assert!((HALF..HALF + PUSH_BYTES).contains(&bytes), "{bytes}");
    }
    // One more is in the queue, and has no answer.
    while metric(&world, "evenkeel_queue_length").await == 0 {
        tokio::task::yield_now().await;
    }
    let acknowledged = pushed.load(Ordering::SeqCst);
    assert!(acknowledged < rows && !pushing.is_finished());
    read(&world, acknowledged).await;
    // The queue is bounded as it always is.
    let more: Vec<_> = (0..20)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let path = "/v1/sources/rides/events";
                world.post_json(path, &rides(0)).await.status
            })
        })
        .collect();
    while !more.iter().any(JoinHandle::is_finished) {
        tokio::task::yield_now().await;
    }
    assert_eq!(pushed.load(Ordering::SeqCst), acknowledged);
    drop(held);
    let mut refused = 0;
    for answer in more {
        match answer.await.unwrap() {
            200 => {}
            429 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0);
    pushing.await.unwrap();
    read(&world, rows).await;
    let digest = verified(&world).await;
    let mut world = Arc::into_inner(world).unwrap();
    world.stop();
    // What was checkpointed is what a start finds; and the same without it.
    for stores in [stores, Arc::default()] {
        let engine = opened(&world, &stores);
        let options = evenkeel_engine::api::VerifyOptions {
            values: 2000,
            oracle_values: 20,
            ..Default::default()
        };
        let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
        assert_eq!(report.mismatches, 0);
        assert_eq!(digest, report.answers_digest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_fails_while_pushes_went_on_loses_nothing() {
    let stores = Arc::new(Gated::default());
    let world = shared(world(&stores));
    let held = stores.gate.hold();
    let rows = 400;
    let (_, pushing) = until_full(&world, &stores, rows).await;
    stores.gate.fail(1);
    drop(held);
    // Every push is acknowledged: the next one opened the hot tier again.
    pushing.await.unwrap();
    assert_eq!(stores.gate.failed(), 1);
    read(&world, rows).await;
    let digest = verified(&world).await;
    // Letters of conflicts are told once.
    let letters = world.get("/v1/sources/rides/dead-letters").await.json();
    let letters = letters["dead_letters"].as_array().unwrap().len() as i64;
    assert_eq!(letters, rows / 30);
    let mut world = Arc::into_inner(world).unwrap();
    world.stop();
    let project = Project::open(world.directory.path(), None).unwrap();
    let engine = Engine::open_on(&project, machine(&stores)).unwrap();
    let options = evenkeel_engine::api::VerifyOptions {
        values: 2000,
        oracle_values: 20,
        ..Default::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(digest, report.answers_digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_wait_for_the_checkpoint_that_is_under_way_and_for_no_other() {
    let stores = Arc::new(Gated::default());
    let world = shared(world(&stores));
    let held = stores.gate.hold();
    let rows = 400;
    let (_, pushing) = until_full(&world, &stores, rows).await;
    // It needs no index, so it writes nothing before it goes over.
    let more = "CREATE FEATURE SERVICE model VERSION 3 AS tap_stats (*);";
    let files = json!({"files": [{"name": "definitions.sql", "text": DEFINITIONS},
        {"name": "more.sql", "text": more}]});
    let applying = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.post_json("/v1/definitions/apply", &files).await })
    };
    drop(held);
    let applied = applying.await.unwrap();
    assert_eq!(applied.status, 200, "{}", applied.text());
    pushing.await.unwrap();
    read(&world, rows).await;
    let request = json!({"service": "model", "entities": []});
    assert_eq!(world.read(&request).await["version"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_waits_for_its_checkpoint() {
    let stores = Arc::new(Gated::default());
    let world = shared(world(&stores));
    let held = stores.gate.hold();
    let (pushed, pushing) = until_full(&world, &stores, 400).await;
    pushing.abort();
    assert!(pushing.await.unwrap_err().is_cancelled());
    let acknowledged = pushed.load(Ordering::SeqCst);
    let mut stopped = Arc::into_inner(world).unwrap();
    let stopping = tokio::task::spawn_blocking(move || {
        stopped.stop();
        stopped
    });
    drop(held);
    let world = stopping.await.unwrap();
    let engine = opened(&world, &stores);
    let logged = engine.cut();
    let source = engine.source("rides").unwrap();
    let end = logged.end(source.id, evenkeel_types::Partition(0)).0;
    assert!(end >= acknowledged.cast_unsigned());
    assert_eq!(engine.unwritten_bytes(), (0, 0), "nothing is replayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_are_applied_after_a_checkpoint_that_failed_and_no_push_since() {
    let stores = Arc::new(Gated::default());
    let world = shared(world(&stores));
    let held = stores.gate.hold();
    let mut rows = 0;
    // As long as none is begun, nobody waits for one.
    while metric(&world, "evenkeel_unwritten_bytes{state=\"being_written\"}").await == 0 {
        world.push("rides", &rides(rows)).await;
        rows += ROWS;
    }
    stores.gate.fail(1);
    drop(held);
    while stores.gate.failed() == 0 {
        tokio::task::yield_now().await;
    }
    let more = "CREATE FEATURE VIEW fares ENTITY driver AS
        SELECT driver, max(fare) OVER h AS most FROM rides WINDOW h AS (LAST 2 HOURS);";
    let files = json!({"files": [{"name": "definitions.sql", "text": DEFINITIONS},
        {"name": "more.sql", "text": more}]});
    let applied = world.post_json("/v1/definitions/apply", &files).await;
    assert_eq!(applied.status, 200, "{}", applied.text());
    read(&world, rows).await;
    verified(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_into_a_period_while_it_was_compared_is_counted() {
    let stores = Arc::new(Gated::default());
    let world = shared(world(&stores));
    let held = stores.gate.hold();
    let (_, pushing) = until_full(&world, &stores, 400).await;
    let queue = async |length: u64| {
        while metric(&world, "evenkeel_queue_length").await < length {
            tokio::task::yield_now().await;
        }
    };
    queue(1).await;
    // Behind it waits a ride of the next day, and behind that what the correction logs of that day.
    let pushed = {
        let world = Arc::clone(&world);
        let ride = json!([{"id": "new", "driver": 1, "fare": 2.0, "at": "2026-03-02T11:00:00Z"}]);
        tokio::spawn(async move { world.push("rides", &ride).await })
    };
    queue(2).await;
    let corrected = {
        let world = Arc::clone(&world);
        let truth = "{\"id\":\"x\",\"driver\":1,\"fare\":1.0,\"at\":\"2026-03-02T10:00:00Z\"}\n";
        tokio::spawn(async move {
            let path = "/v1/sources/rides/corrections?from=2026-03-02&to=2026-03-03";
            world.post(path, "application/x-ndjson", truth).await
        })
    };
    queue(3).await;
    drop(held);
    pushed.await.unwrap();
    let report = corrected.await.unwrap();
    assert_eq!(report.status, 200, "{}", report.text());
    let report = report.json();
    assert_eq!(
        (&report["added"], &report["meanwhile"]),
        (&json!(1), &json!(1)),
        "{report}"
    );
    pushing.await.unwrap();
    let path = "/v1/sources/rides/corrections?from=2026-03-02&to=2026-03-03&dry_run=true";
    let truth = "{\"id\":\"x\",\"driver\":1,\"fare\":1.0,\"at\":\"2026-03-02T10:00:00Z\"}\n";
    let again = world.post(path, "application/x-ndjson", truth).await.json();
    // Compared now, it is none of the truth.
    assert_eq!(
        (&again["unchanged"], &again["removed"]),
        (&json!(1), &json!(1))
    );
}

/// A clock that fails once, on another thread than the test's.
#[derive(Debug)]
struct Failing {
    test: ThreadId,
    fails: AtomicBool,
}

impl Clock for Failing {
    fn now_micros(&self) -> i64 {
        if std::thread::current().id() != self.test && self.fails.swap(false, Ordering::Relaxed) {
            panic!("as a defect would");
        }
        SystemClock.now_micros()
    }
}

#[tokio::test]
async fn a_writer_that_gave_up_says_so_and_nothing_is_written_any_more() {
    let stores = Arc::new(Gated::default());
    let clock = Arc::new(Failing {
        test: std::thread::current().id(),
        fails: AtomicBool::new(false),
    });
    let machine = Machine {
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ..machine(&stores)
    };
    let limits = ServerLimits::default();
    let mut world = World::on(machine, "", DEFINITIONS, limits, Tokens::default());
    let ride =
        |id: &str| json!([{"id": id, "driver": 1, "fare": 1.0, "at": "2026-03-01T10:00:00Z"}]);
    world.push("rides", &ride("before")).await;
    clock.fails.store(true, Ordering::Relaxed);
    for id in ["under way", "behind"] {
        let answer = world.post_json("/v1/sources/rides/events", &ride(id)).await;
        assert_eq!(answer.code(), "UNAVAILABLE", "{id}");
        assert!(answer.text().contains("gave up"), "{}", answer.text());
    }
    assert!(!clock.fails.load(Ordering::Relaxed));
    let ready = world.get("/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    let files = json!({"files": [{"name": "all.sql", "text": format!("{DEFINITIONS}CREATE ENTITY shop (shop BIGINT);")}]});
    let applied = world.post_json("/v1/definitions/apply", &files).await;
    assert_eq!(applied.status, 503, "{}", applied.text());
    // Reads go on.
    let read = json!({"service": "model", "version": 1, "as_of": "2026-03-01T10:30:00Z", "entities": [{"driver": 1}]});
    assert_eq!(world.read(&read).await["rows"][0]["values"][0], json!(1));
    let stopped = world.stopped().unwrap_err();
    assert!(stopped.to_string().contains("gave up"), "{stopped}");
    world.start();
    world.push("rides", &ride("after")).await;
    assert_eq!(world.get("/readyz").await.text(), "ready\n");
    assert_eq!(world.read(&read).await["rows"][0]["values"][0], json!(2));
}
