//! Reads of what left the hot tier, on a log whose reading is held when a test says so: nobody
//! else waits for it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use evenkeel_engine::{Machine, ServerLimits};
use evenkeel_log::{DiskFileSystem, File, FileSystem, Lock, OpenMode};
use evenkeel_server::Tokens;
use serde_json::{Value as Json, json};

use crate::support::{Answer, World, shared};

const DEFINITIONS: &str = "
CREATE ENTITY driver (driver BIGINT);
CREATE STREAM rides (id STRING, driver BIGINT, fare DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, HOT RETENTION INTERVAL '1' HOUR);
CREATE FEATURE VIEW ride_stats ENTITY driver AS
SELECT driver, count(*) OVER h AS rides, sum(fare) OVER h AS fares
FROM rides WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE SERVICE model VERSION 1 AS ride_stats (*);
";

/// This disk; the reading of files is held while the gate is closed.
#[derive(Debug)]
struct Disk(Arc<Gate>);

#[derive(Debug, Default)]
struct Gate {
    /// Whether it is closed, and how many reads wait.
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, (bool, usize)> {
        self.state.lock().unwrap()
    }

    fn set_closed(&self, is_closed: bool) {
        self.state().0 = is_closed;
        self.changed.notify_all();
    }

    fn wait_for_a_read(&self) {
        let mut state = self.state();
        while state.1 == 0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn pass(&self) {
        let mut state = self.state();
        state.1 += 1;
        self.changed.notify_all();
        while state.0 {
            state = self.changed.wait(state).unwrap();
        }
        state.1 -= 1;
    }
}

#[derive(Debug)]
struct GatedFile(Arc<dyn File>, Arc<Gate>);

impl File for GatedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.1.pass();
        self.0.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
}

impl FileSystem for Disk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = DiskFileSystem.open(path, mode)?;
        Ok(Arc::new(GatedFile(file, Arc::clone(&self.0))))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        DiskFileSystem.create_directory(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        DiskFileSystem.list(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        DiskFileSystem.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        DiskFileSystem.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        DiskFileSystem.remove(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        DiskFileSystem.sync_directory(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        DiskFileSystem.lock(path)
    }
}

/// Opens the gate in the end, so that a test that fails ends.
struct Opened(Arc<Gate>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.set_closed(false);
    }
}

const RIDES: i64 = 2_000;

fn ride(n: i64, fare: f64) -> Json {
    json!({"id": format!("r{n}"), "driver": n % 2, "fare": fare,
        "at": format!("2026-03-{:02}T{:02}:{:02}:00Z", 1 + n / 1440, n / 60 % 24, n % 60)})
}

/// A store of which most rides have left.
async fn world() -> (Arc<Gate>, World) {
    let gate = Arc::new(Gate::default());
    let machine = Machine {
        files: Arc::new(Disk(Arc::clone(&gate))),
        sealed_entries: 16,
        ..Machine::default()
    };
    let project = "[limits]\nmemory_bytes = 1000000\n";
    let limits = ServerLimits::default();
    let world = World::on(machine, project, DEFINITIONS, limits, Tokens::default());
    for first in (0..RIDES).step_by(50) {
        let rides: Json = (first..first + 50).map(|n| ride(n, n as f64)).collect();
        world.push("rides", &rides).await;
    }
    (gate, world)
}

fn read_of(hour: i64, more: &Json) -> Json {
    let mut read = json!({"service": "model", "entities": [{"driver": 0}, {"driver": 1}],
        "as_of": format!("2026-03-01T{hour:02}:59:30Z")});
    for (name, value) in more.as_object().unwrap() {
        read[name] = value.clone();
    }
    read
}

/// An old read that is under way, and waits for the log.
async fn held_read(
    gate: &Arc<Gate>,
    world: &Arc<World>,
    hour: i64,
) -> tokio::task::JoinHandle<Answer> {
    gate.set_closed(true);
    let read = {
        let world = Arc::clone(world);
        tokio::spawn(async move {
            let read = read_of(hour, &json!({}));
            world.post_json("/v1/features", &read).await
        })
    };
    let waiting = Arc::clone(gate);
    tokio::task::spawn_blocking(move || waiting.wait_for_a_read())
        .await
        .unwrap();
    read
}

/// What the rides of an hour say, of both drivers.
fn want(hour: i64) -> Json {
    let of = |driver: i64| {
        let rides = (hour * 60..hour * 60 + 60).filter(|n| n % 2 == driver);
        json!([rides.clone().count(), rides.sum::<i64>() as f64])
    };
    json!([of(0), of(1)])
}

fn values(answer: &Json) -> Json {
    let rows = answer["rows"].as_array().unwrap();
    rows.iter().map(|row| row["values"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_read_waits_for_the_log_others_read_and_push() {
    let (gate, world) = world().await;
    let _opened = Opened(Arc::clone(&gate));
    let world = shared(world);
    let old = held_read(&gate, &world, 3).await;
    // Reads of now, pushes that are read back, checkpoints.
    let mut driven = 0;
    for first in (RIDES..RIDES + 600).step_by(20) {
        let rides: Json = (first..first + 20).map(|n| ride(n, 1.0)).collect();
        world.push("rides", &rides).await;
        let end = format!("2026-03-02T{:02}:59:30Z", (first + 19 - 1440) / 60);
        let read = json!({"service": "model", "entities": [{"driver": 0}], "as_of": end});
        let answer = world.read(&read).await;
        driven += i64::from(answer["rows"][0]["values"][0].as_i64().unwrap() > 0);
    }
    assert_eq!(driven, 30);
    assert!(!old.is_finished());
    // Who waits no longer is told so; the log is still held.
    let late = world
        .post_json("/v1/features", &read_of(5, &json!({"timeout_ms": 20})))
        .await;
    assert_eq!(late.code(), "DEADLINE");
    gate.set_closed(false);
    let answer = old.await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(values(&answer.json()), want(3));
    // What came back is counted.
    let counted = world.get("/v1/status").await.json()["brought_back"].clone();
    let metrics = world.get("/metrics").await.text();
    for (what, least) in [("scans", 1), ("keys", 2), ("events", RIDES as u64 / 2)] {
        let name = format!("evenkeel_brought_back_{what}_total ");
        let mut lines = metrics.lines();
        let metric = lines.find_map(|l| l.strip_prefix(&name)).unwrap();
        let metric: u64 = metric.parse().unwrap();
        // Whoever waited no longer may scan as well.
        let status = counted[what].as_u64().unwrap();
        assert!(least <= status && status <= metric, "{counted}\n{metrics}");
    }
    // Explanations and verifications bring back what they need, too.
    let explained = world
        .post_json(
            "/v1/explain",
            &json!({"feature": "ride_stats:rides", "entity": {"driver": 1},
                "as_of": "2026-03-01T07:59:30Z"}),
        )
        .await;
    assert_eq!(explained.status, 200, "{}", explained.text());
    let options = json!({"values": 600, "oracle_values": 30});
    let verified = world.post_json("/v1/verify", &options).await.json();
    assert_eq!(verified["mismatches"], 0, "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_old_events_while_they_are_brought_back_is_read() {
    let (gate, world) = world().await;
    let _opened = Opened(Arc::clone(&gate));
    let world = shared(world);
    // Both drivers have a contested ride among those that left.
    let losing: Json = [100, 101]
        .map(|n| ride(n, 1e6 + n as f64))
        .into_iter()
        .collect();
    world.push("rides", &losing).await;
    let read = |hour: i64, cut: Option<&Json>| {
        let more = cut.map_or(json!({}), |cut| json!({ "cut": cut }));
        let world = Arc::clone(&world);
        async move { values(&world.read(&read_of(hour, &more)).await) }
    };
    let before = read(4, None).await;
    let old = held_read(&gate, &world, 3).await;
    // A ride that comes late for those that left, and many after it: checkpoints.
    let pushing = {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let late = json!([{"id": "late", "driver": 0, "fare": 0.5,
                "at": "2026-03-01T03:30:30Z"}]);
            let answer = world.push("rides", &late).await;
            for first in (RIDES..RIDES + 600).step_by(20) {
                let rides: Json = (first..first + 20).map(|n| ride(n, 1.0)).collect();
                world.push("rides", &rides).await;
            }
            answer["session"].clone()
        })
    };
    let session = pushing.await.unwrap();
    gate.set_closed(false);
    let answer = old.await.unwrap().json();
    // At its cut.
    let with_cut = read(3, Some(&answer["cut"])).await;
    assert_eq!(values(&answer), with_cut);
    let more = json!({ "session": session });
    let now = values(&world.read(&read_of(3, &more)).await);
    let mut want = want(3);
    want[0][0] = json!(want[0][0].as_i64().unwrap() + 1);
    want[0][1] = json!(want[0][1].as_f64().unwrap() + 0.5);
    assert_eq!(now, want);
    assert_eq!(read(4, None).await, before);
    let options = json!({"values": 600, "oracle_values": 30});
    let verified = world.post_json("/v1/verify", &options).await.json();
    assert_eq!(verified["mismatches"], 0, "{verified}");
}
