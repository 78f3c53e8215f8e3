//! Definitions that are applied while events come: the same bits as a store built afterwards,
//! and nothing half done whenever it stops.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use evenkeel_engine::api::{GetRequest, VerifyOptions};
use evenkeel_engine::push::{PushedRow, Pusher, Write};
use evenkeel_engine::{
    DefinitionFile, Engine, EngineError, KvStores, Machine, Online, Project, Switched,
};
use evenkeel_store::{Batch, EmbeddedKv, Kv, MemoryKv, Snapshot, Space, StoreError};
use evenkeel_types::{EventTime, Value};

const BEFORE: &str = "
CREATE ENTITY driver (driver BIGINT);
CREATE ENTITY city (city STRING);
CREATE STREAM rides (id STRING, driver BIGINT, city STRING, fare DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at);
CREATE STREAM taps (driver BIGINT, n INT, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW ride_stats ENTITY driver AS
SELECT driver, count(*) OVER h AS rides, sum(fare) OVER h AS fares
FROM rides WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE VIEW tap_stats ENTITY driver AS
SELECT driver, count(*) OVER h AS taps FROM taps WINDOW h AS (LAST 1 HOURS);
";

const ADDED: &str = "
CREATE STREAM fines (driver BIGINT, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW fine_stats ENTITY driver AS
SELECT driver, count(*) OVER h AS fines FROM fines WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE VIEW city_stats ENTITY city AS
SELECT city, count(*) OVER h AS rides, avg(fare) OVER h AS fare,
  count_distinct(driver) OVER d AS drivers
FROM rides WINDOW h AS (LAST 1 HOURS), d AS (LAST 1 DAYS);
CREATE FEATURE VIEW last_ride ENTITY driver AS SELECT driver, city, fare FROM rides;
";

/// A store that gets events whenever it is asked for the engine.
struct World {
    directory: tempfile::TempDir,
    machine: Machine,
    engine: RefCell<Option<Engine>>,
    pusher: RefCell<Pusher>,
    pushed: RefCell<i64>,
    /// Events that come at each such moment.
    meanwhile: i64,
}

impl Online for World {
    fn with<T>(&self, work: impl FnOnce(&Engine) -> T) -> T {
        self.push(self.meanwhile);
        work(self.engine.borrow().as_ref().unwrap())
    }
}

impl World {
    fn new(meanwhile: i64) -> Self {
        Self::on(Machine::default(), meanwhile)
    }

    fn on(machine: Machine, meanwhile: i64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.sql"), BEFORE).unwrap();
        fs::write(
            directory.path().join("evenkeel.toml"),
            "[limits]\nmemory_bytes = 400000\n",
        )
        .unwrap();
        let world = World {
            directory,
            machine,
            engine: RefCell::default(),
            pusher: RefCell::default(),
            pushed: RefCell::default(),
            meanwhile,
        };
        world.open();
        world.edit(|engine| {
            let files = engine.project().definition_files().unwrap();
            let plan = engine.plan(&files).unwrap();
            engine.apply(plan).unwrap();
        });
        world.push(3_000);
        world
    }

    fn open(&self) {
        *self.engine.borrow_mut() = None;
        let project = Project::open(self.directory.path(), None).unwrap();
        *self.engine.borrow_mut() = Some(Engine::open_on(&project, self.machine.clone()).unwrap());
    }

    fn edit<T>(&self, work: impl FnOnce(&mut Engine) -> T) -> T {
        work(self.engine.borrow_mut().as_mut().unwrap())
    }

    /// Rides, some of which conflict with one long before, and taps.
    fn push(&self, count: i64) {
        let first = self.pushed.replace_with(|pushed| *pushed + count);
        let plain = |values| PushedRow {
            values: Ok(values),
            producer: None,
        };
        let rides = (first..first + count).map(|i| {
            // An id with its time is an identity.
            let of = if i % 7 == 0 { i / 2 } else { i };
            plain(vec![
                Value::from(format!("r{of}").as_str()),
                Value::BigInt(of % 11),
                Value::from(["a", "b", "c"][(of % 3) as usize]),
                Value::from(i as f64 * 0.1),
                Value::Timestamp(1_772_359_200_000_000 + of * 7_000_000),
            ])
        });
        let taps = (first..first + count / 3).map(|i| {
            plain(vec![
                Value::BigInt(i % 5),
                Value::Int(1),
                Value::Timestamp(1_772_359_200_000_000 + i * 9_000_000),
            ])
        });
        let commits: [(&str, Vec<PushedRow>); 2] =
            [("rides", rides.collect()), ("taps", taps.collect())];
        self.edit(|engine| {
            for (source, rows) in commits {
                let source = engine.source(source).unwrap();
                let pusher = &mut self.pusher.borrow_mut();
                engine.write(pusher, Write::Push { source, rows }).unwrap();
            }
        });
    }

    fn added(&self) -> Vec<DefinitionFile> {
        let project = Project::open(self.directory.path(), None).unwrap();
        let mut files = project.definition_files().unwrap();
        files.push(DefinitionFile {
            name: "b.sql".to_owned(),
            text: ADDED.to_owned(),
        });
        files
    }

    /// The digest of verified answers, of which none differs.
    fn verified(&self) -> String {
        let options = VerifyOptions {
            values: 4_000,
            oracle_values: 100,
            ..VerifyOptions::default()
        };
        self.edit(|engine| {
            let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
            assert_eq!(report.mismatches, 0, "{:?}", report.examples);
            report.answers_digest
        })
    }

    fn views(&self) -> usize {
        self.edit(|engine| engine.catalog().views.len())
    }

    fn has_unfinished(&self) -> bool {
        self.directory.path().join(".evenkeel/hot.beside").exists()
    }
}

fn go_on(_: &str, _: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn what_is_applied_beside_reads_equals_what_is_built_afterwards() {
    for meanwhile in [0, 5, 140] {
        let world = World::new(meanwhile);
        let files = world.added();
        let plan = world.edit(|engine| engine.plan(&files).unwrap());
        let mut applying = world.edit(|engine| engine.begin_apply(plan).unwrap());
        assert!(applying.indexes() >= 2, "{}", applying.indexes());
        let mut told = 0;
        applying
            .build(&world, &mut |_, done, total| {
                assert!(done <= total);
                told += 1;
                ControlFlow::Continue(())
            })
            .unwrap();
        assert!(told > 2);
        // Nothing is read of it yet; a checkpoint may come and is waited for.
        assert_eq!(world.views(), 2);
        world.push(50);
        let checkpoint = world.edit(|engine| engine.begin_checkpoint_now().unwrap());
        let later = world.edit(|engine| applying.switch(engine).unwrap());
        let Switched::Later(applying) = later else {
            panic!("a checkpoint is under way");
        };
        let written = checkpoint.write().unwrap();
        world.edit(|engine| engine.end_checkpoint(written));
        world.push(50);
        assert!(world.has_unfinished());
        let done = world.edit(|engine| applying.switch(engine).unwrap());
        let Switched::Done(changes) = done else {
            panic!("nothing is under way");
        };
        assert!(changes.iter().any(|c| c.name == "city_stats"));
        let spent = world.edit(|engine| engine.take_spent());
        assert!(world.has_unfinished());
        drop(spent);
        assert!(!world.has_unfinished());
        assert_eq!(world.views(), 5);
        world.verified();
        // What comes later goes everywhere, and conflicts with what was built.
        world.push(700);
        let digest = world.verified();
        world.open();
        assert_eq!(world.verified(), digest);
        world.push(20);
        let digest = world.verified();
        *world.engine.borrow_mut() = None;
        fs::remove_dir_all(world.directory.path().join(".evenkeel/hot")).unwrap();
        world.open();
        assert_eq!(world.verified(), digest);
    }
}

#[test]
fn wherever_it_stops_the_store_is_as_before_or_as_after() {
    let world = World::new(5);
    let before = world.verified();
    let files = world.added();
    let begin = || {
        let plan = world.edit(|engine| engine.plan(&files).unwrap());
        world.edit(|engine| engine.begin_apply(plan).unwrap())
    };
    // Stopped by whoever waited, at each step of the way.
    let mut steps = 0;
    begin()
        .build(&world, &mut |_, _, _| {
            steps += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    // It was recorded, and nobody went over: the next start does.
    world.open();
    assert_eq!(world.views(), 5);
    world.verified();
    let world = World::new(0);
    assert_eq!(world.verified().len(), before.len());
    let before = world.verified();
    for step in 1..=steps {
        let plan = world.edit(|engine| engine.plan(&files).unwrap());
        let mut applying = world.edit(|engine| engine.begin_apply(plan).unwrap());
        let mut left = step;
        let stopped = applying.build(&world, &mut |_, _, _| {
            left -= 1;
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        if stopped.is_ok() {
            // What was built before it was stopped is gone on with.
            assert!(step > 1);
            break;
        }
        assert!(matches!(stopped, Err(EngineError::Stopped)));
        drop(applying);
        if step % 2 == 0 {
            // As a process that was killed leaves it.
            let unfinished = world.directory.path().join(".evenkeel/hot.beside/x");
            fs::create_dir_all(&unfinished).unwrap();
            world.open();
        }
        assert_eq!(world.views(), 2);
        assert_eq!(world.verified(), before);
    }
}

/// Stores in memory that outlive who uses them.
#[derive(Debug, Default)]
struct Outliving {
    hot: Arc<MemoryKv>,
    beside: Mutex<Arc<MemoryKv>>,
    /// Whether the process is killed, so that it removes nothing any more.
    is_killed: AtomicBool,
}

impl KvStores for Outliving {
    fn open(&self, directory: &Path, _: u64) -> Result<Arc<dyn Kv>, StoreError> {
        Ok(match directory.ends_with("hot.beside") {
            true => Arc::clone(&self.beside.lock().unwrap()) as Arc<dyn Kv>,
            false => Arc::clone(&self.hot) as Arc<dyn Kv>,
        })
    }

    fn is_begun(&self, _: &Path) -> bool {
        let beside = Arc::clone(&self.beside.lock().unwrap());
        let mut rows = 0;
        let count = &mut |_: &[u8], _: &[u8]| {
            rows += 1;
            Ok(ControlFlow::Continue(()))
        };
        beside.snapshot().prefix(Space::Meta, &[], count).unwrap();
        rows > 0
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        if !self.is_killed.load(Ordering::Relaxed) {
            *self.beside.lock().unwrap() = Arc::default();
        }
        Ok(())
    }
}

#[test]
fn what_a_killed_process_had_built_is_gone_on_with() {
    let stores = Arc::new(Outliving::default());
    let machine = Machine {
        stores: Arc::clone(&stores) as Arc<dyn KvStores>,
        ..Machine::default()
    };
    let world = World::on(machine, 0);
    let files = world.added();
    let apply = |files: &[DefinitionFile], steps: usize| {
        let plan = world.edit(|engine| engine.plan(files).unwrap());
        let mut applying = world.edit(|engine| engine.begin_apply(plan).unwrap());
        let mut totals = Vec::new();
        let built = applying.build(&world, &mut |_, _, total| {
            totals.push(total);
            match totals.len() < steps {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        (applying, built, totals[0])
    };
    let killed = |files: &[DefinitionFile], steps: usize| {
        let (applying, built, total) = apply(files, steps);
        assert!(matches!(built, Err(EngineError::Stopped)));
        stores.is_killed.store(true, Ordering::Relaxed);
        drop(applying);
        world.open();
        stores.is_killed.store(false, Ordering::Relaxed);
        total
    };
    let all = killed(&files, 3);
    // What came meanwhile is caught up with; what is built is built.
    world.push(300);
    let rest = killed(&files, 1);
    assert!(rest < all, "{rest} of {all}");
    // Other definitions need something else.
    let mut others = files.clone();
    others[1].text = ADDED.replace("city, fare FROM rides", "city, id, fare FROM rides");
    let (applying, built, total) = apply(&others, usize::MAX);
    built.unwrap();
    assert!(total > all, "{total} of {all}");
    // As long as it is there, who gives up removes it.
    drop(applying);
    world.open();
    assert_eq!(world.views(), 5);
    let digest = world.verified();
    world.push(20);
    world.open();
    assert_ne!(world.verified(), digest);
}

/// A hot tier in memory that outlives who uses it, and takes so many writes.
#[derive(Debug, Default)]
struct Ending {
    kv: MemoryKv,
    writes: AtomicUsize,
    writes_max: AtomicUsize,
}

#[derive(Debug)]
struct EndingStores(Arc<Ending>);

#[derive(Debug)]
struct EndingKv(Arc<Ending>);

impl KvStores for EndingStores {
    fn open(&self, _: &Path, _: u64) -> Result<Arc<dyn Kv>, StoreError> {
        Ok(Arc::new(EndingKv(Arc::clone(&self.0))))
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl Kv for EndingKv {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let number = self.0.writes.fetch_add(1, Ordering::Relaxed);
        match number < self.0.writes_max.load(Ordering::Relaxed) {
            true => self.0.kv.write(batch),
            false => Err(StoreError::Embedded {
                operation: "write",
                reason: "the process is killed".to_owned(),
            }),
        }
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.0.kv.snapshot()
    }
}

#[test]
fn what_is_built_in_place_is_gone_on_with() {
    let world_of = || {
        let stores = Arc::new(Ending::default());
        stores.writes_max.store(usize::MAX, Ordering::Relaxed);
        let machine = Machine {
            stores: Arc::new(EndingStores(Arc::clone(&stores))),
            ..Machine::default()
        };
        let world = World::on(machine, 0);
        world.push(4_000);
        world.edit(|engine| engine.checkpoint().unwrap());
        (world, stores)
    };
    let apply = |world: &World| {
        let files = world.added();
        world.edit(|engine| {
            let plan = engine.plan(&files)?;
            engine.apply(plan)
        })
    };
    let (whole, stores) = world_of();
    let before = stores.writes.load(Ordering::Relaxed);
    apply(&whole).unwrap();
    let all = stores.writes.load(Ordering::Relaxed) - before;
    let digest = whole.verified();

    let (world, stores) = world_of();
    let before = stores.writes.load(Ordering::Relaxed);
    let most = before + all / 2;
    stores.writes_max.store(most, Ordering::Relaxed);
    assert!(apply(&world).is_err());
    stores.writes_max.store(usize::MAX, Ordering::Relaxed);
    let before = stores.writes.load(Ordering::Relaxed);
    world.open();
    let rest = stores.writes.load(Ordering::Relaxed) - before;
    assert_eq!(world.views(), 5);
    assert_eq!(world.verified(), digest);
    assert!(rest < all - all / 4, "{rest} of {all} writes");
}

#[test]
fn a_column_more_is_no_trouble() {
    let world = World::new(0);
    let mut files = world.added();
    files[0].text = files[0]
        .text
        .replace("n INT, at TIMESTAMP", "n INT, at TIMESTAMP, note STRING");
    let plan = world.edit(|engine| engine.plan(&files).unwrap());
    let done = world.edit(|engine| {
        let mut applying = engine.begin_apply(plan)?;
        applying.build(engine, &mut go_on)?;
        applying.switch(engine)
    });
    assert!(matches!(done.unwrap(), Switched::Done(_)));
    world.verified();
    assert!(world.edit(|engine| engine.plan(&files).unwrap()).is_empty());
}

#[test]
fn rows_of_a_build_that_was_given_up_are_not_another_index_s() {
    let world = World::new(0);
    let with = |added: &str| {
        let project = Project::open(world.directory.path(), None).unwrap();
        let mut files = project.definition_files().unwrap();
        files.push(DefinitionFile {
            name: "b.sql".to_owned(),
            text: added.to_owned(),
        });
        files
    };
    let begin = |added: &str| {
        let plan = world.edit(|engine| engine.plan(&with(added)).unwrap());
        world.edit(|engine| engine.begin_apply(plan).unwrap())
    };
    let fines = "CREATE STREAM fines (driver BIGINT, n INT, at TIMESTAMP, EVENT TIME at);\n";
    let tolls = "CREATE STREAM tolls (city STRING, driver BIGINT, fare DOUBLE, at TIMESTAMP,
  EVENT TIME at);\n";
    let plan = world.edit(|engine| engine.plan(&with(&format!("{fines}{tolls}"))).unwrap());
    world.edit(|engine| engine.apply(plan).unwrap());
    // Built and copied, and not gone over to: an event came that forbids it.
    let changed = fines.replace("n INT", "n STRING");
    let by_city = |source: &str| {
        format!(
            "CREATE FEATURE VIEW of_{source} ENTITY city AS
SELECT city, count(*) OVER d AS n, sum(fare) OVER d AS fares, max(driver) OVER d AS driver
FROM {source} WINDOW d AS (LAST 9 DAYS);\n"
        )
    };
    let mut applying = begin(&format!("{changed}{tolls}{}", by_city("rides")));
    applying.build(&world, &mut go_on).unwrap();
    assert!(!applying.is_recorded());
    world.edit(|engine| {
        let source = engine.source("fines").unwrap();
        let values = vec![Value::BigInt(1), Value::Int(1), Value::Timestamp(0)];
        let row = PushedRow {
            values: Ok(values),
            producer: None,
        };
        let rows = vec![row];
        let write = Write::Push { source, rows };
        engine.write(&mut world.pusher.borrow_mut(), write).unwrap();
        assert!(matches!(
            applying.switch(engine),
            Err(EngineError::EventsCame { .. })
        ));
    });
    // The next one gets the same number; nothing was ever logged for it.
    let mut applying = begin(&format!("{fines}{tolls}{}", by_city("tolls")));
    applying.build(&world, &mut go_on).unwrap();
    world.edit(|engine| {
        assert!(matches!(
            applying.switch(engine).unwrap(),
            Switched::Done(_)
        ));
        let request = GetRequest {
            service: engine.feature_list(&["of_tolls:n".to_owned()]).unwrap(),
            rows: vec![vec![Value::from("a")]],
            as_of: EventTime(1_772_359_200_000_000 + 3_000 * 7_000_000),
            cut: None,
            known_at: None,
        };
        let read = |engine: &Engine| engine.get(&request).unwrap().rows[0][0].value.clone();
        assert_eq!(read(engine), Value::BigInt(0));
        // Of another city: from now on places like those of the rides are in the cut.
        let source = engine.source("tolls").unwrap();
        let toll = |i: i64| PushedRow {
            values: Ok(vec![
                Value::from("z"),
                Value::BigInt(i),
                Value::from(0.5),
                Value::Timestamp(1_772_359_200_000_000 + i),
            ]),
            producer: None,
        };
        let rows = (0..2_000).map(toll).collect();
        let write = Write::Push { source, rows };
        engine.write(&mut world.pusher.borrow_mut(), write).unwrap();
        assert_eq!(read(engine), Value::BigInt(0));
    });
}

#[test]
fn states_in_memory_are_never_those_of_calls_of_before() {
    let world = World::new(0);
    let settings = world.directory.path().join("evenkeel.toml");
    fs::write(settings, "[limits]\nmemory_bytes = 100000000\n").unwrap();
    world.open();
    world.push(2_000);
    world.verified();
    // Over the same columns, and calls of the later one come before those that there are.
    let mut text = String::new();
    for (name, first, second) in [
        ("z", "count(*)", "min(fare)"),
        ("a", "avg(fare)", "max(fare)"),
    ] {
        text.push_str(&format!(
            "CREATE FEATURE VIEW {name}_ride ENTITY driver AS
SELECT driver, {first} OVER d AS x, {second} OVER d AS y FROM rides WINDOW d AS (LAST 9 DAYS);\n"
        ));
        let mut files = world.added();
        files[1].text.clone_from(&text);
        let plan = world.edit(|engine| engine.plan(&files).unwrap());
        let mut applying = world.edit(|engine| engine.begin_apply(plan).unwrap());
        assert_eq!(applying.indexes(), 0);
        applying.build(&world, &mut go_on).unwrap();
        let done = world.edit(|engine| applying.switch(engine).unwrap());
        assert!(matches!(done, Switched::Done(_)));
        world.verified();
    }
}

#[test]
fn what_is_recorded_and_not_read_comes_first() {
    let world = World::new(5);
    let files = world.added();
    let plan = world.edit(|engine| engine.plan(&files).unwrap());
    let mut applying = world.edit(|engine| engine.begin_apply(plan).unwrap());
    applying.build(&world, &mut go_on).unwrap();
    assert!(applying.is_recorded());
    // The switch fails, say.
    drop(applying);
    assert_eq!(world.views(), 2);
    let mut more = files.clone();
    more[1]
        .text
        .push_str("CREATE FEATURE SERVICE all VERSION 1 AS last_ride (*);");
    let begin = |files: &[DefinitionFile]| {
        world.edit(|engine| engine.begin_apply(engine.plan(files).unwrap()))
    };
    assert!(matches!(
        begin(&more),
        Err(EngineError::RegistryRace { .. })
    ));
    let mut left = world.edit(|engine| engine.begin_recorded().unwrap().unwrap());
    assert!(left.indexes() >= 2);
    left.build(&world, &mut go_on).unwrap();
    let done = world.edit(|engine| left.switch(engine).unwrap());
    assert!(matches!(done, Switched::Done(_)));
    assert_eq!(world.views(), 5);
    assert!(world.edit(|engine| engine.begin_recorded().unwrap().is_none()));
    let mut applying = begin(&more).unwrap();
    applying.build(&world, &mut go_on).unwrap();
    let done = world.edit(|engine| applying.switch(engine).unwrap());
    assert!(matches!(done, Switched::Done(changes) if !changes.is_empty()));
    let digest = world.verified();
    world.open();
    assert_eq!(world.verified(), digest);
}

#[test]
fn what_came_in_great_numbers_before_the_switch_is_caught_up_with() {
    let world = World::new(0);
    let files = world.added();
    let plan = world.edit(|engine| engine.plan(&files).unwrap());
    let mut applying = world.edit(|engine| engine.begin_apply(plan).unwrap());
    applying.build(&world, &mut go_on).unwrap();
    for _ in 0..2 {
        // More than are applied under the lock.
        world.push(1_500);
        let later = world.edit(|engine| applying.switch(engine).unwrap());
        let Switched::Later(more) = later else {
            panic!("much came");
        };
        applying = *more;
        assert_eq!(world.views(), 2);
        applying.catch_up_again(&world).unwrap();
    }
    world.push(100);
    let done = world.edit(|engine| applying.switch(engine).unwrap());
    assert!(matches!(done, Switched::Done(_)));
    assert_eq!(world.views(), 5);
    let digest = world.verified();
    world.open();
    assert_eq!(world.verified(), digest);
}

/// The numbers of the indexes that have rows in a store that is closed.
fn numbers(world: &World) -> std::collections::BTreeSet<[u8; 4]> {
    let hot = world.directory.path().join(".evenkeel/hot");
    let (kv, _) = EmbeddedKv::open(&hot, 4 << 20).unwrap();
    let mut numbers = std::collections::BTreeSet::new();
    kv.snapshot()
        .prefix(Space::Runs, b"", &mut |row, _| {
            numbers.insert(row[2..6].try_into().unwrap());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    numbers
}

#[test]
fn rows_of_indexes_that_are_gone_are_removed_by_the_next_start() {
    let world = World::new(0);
    let files = world.added();
    let plan = world.edit(|engine| engine.plan(&files).unwrap());
    let mut applying = world.edit(|engine| engine.begin_apply(plan).unwrap());
    applying.build(&world, &mut go_on).unwrap();
    let done = world.edit(|engine| applying.switch(engine).unwrap());
    assert!(matches!(done, Switched::Done(_)));
    let digest = world.verified();
    world.edit(|engine| engine.checkpoint().unwrap());
    *world.engine.borrow_mut() = None;
    let before = numbers(&world);
    world.open();
    assert_eq!(world.verified(), digest);
    *world.engine.borrow_mut() = None;
    let after = numbers(&world);
    assert!(after.len() < before.len() && after.is_subset(&before));
    world.open();
    assert_eq!(world.verified(), digest);
}
