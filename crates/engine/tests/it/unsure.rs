//! Definitions whose record cannot be written to its end, so that nobody knows whether it is in the
//! registry: what is logged before that is known is read, after a restart, as it was written.

use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_engine::push::{PushedRow, Pusher, RowAnswer, Write, Written};
use evenkeel_engine::{Applying, DefinitionFile, Engine, EngineError, Online, Switched};
use evenkeel_log::{Crash, MemoryFileSystem};
use evenkeel_types::{DataType, Value};

use crate::push_failures::{Stores, open};
use crate::support::{World, apply, t, values};

const NARROW: &str = "
CREATE ENTITY driver (driver BIGINT);
CREATE STREAM taps (driver BIGINT, n INT, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW of_driver ENTITY driver AS
SELECT driver, last_value(n) OVER (ALL HISTORY) AS n FROM taps;
CREATE FEATURE SERVICE model VERSION 1 AS of_driver (*);
";

/// The engine is nobody else's.
struct Alone<'a>(&'a Engine);

impl Online for Alone<'_> {
    fn with<T>(&self, work: impl FnOnce(&Engine) -> T) -> T {
        work(self.0)
    }
}

fn go_over(engine: &mut Engine, mut applying: Applying) -> Result<(), EngineError> {
    applying.build(&Alone(engine), &mut |_, _, _| ControlFlow::Continue(()))?;
    let switched = applying.switch(engine)?;
    assert!(
        matches!(switched, Switched::Done(_)),
        "nothing is under way"
    );
    Ok(())
}

type GoOver = fn(&mut Engine, &[DefinitionFile]) -> Result<(), EngineError>;

/// As who has the store alone goes over to new definitions, and as a server does.
const WAYS: [GoOver; 2] = [
    |engine, files| {
        let plan = engine.plan(files)?;
        engine.apply(plan).map(drop)
    },
    |engine, files| {
        let plan = engine.plan(files)?;
        let applying = engine.begin_apply(plan)?;
        go_over(engine, applying)
    },
];

struct Shop {
    world: World,
    files: MemoryFileSystem,
    stores: Arc<Stores>,
    engine: Engine,
}

impl Shop {
    /// With a source that has no event.
    fn new() -> Self {
        let world = World::new(NARROW);
        let (files, stores) = (MemoryFileSystem::new(), Arc::default());
        let mut engine = open(&world, &files, &stores);
        apply(&mut engine, &world.project().definition_files().unwrap());
        Shop {
            world,
            files,
            stores,
            engine,
        }
    }

    fn widen(&mut self, way: GoOver) -> Result<(), EngineError> {
        let wide = NARROW
            .replace("n INT", "n BIGINT")
            .replace("VERSION 1", "VERSION 2");
        let file = DefinitionFile {
            name: "definitions.sql".to_owned(),
            text: wide,
        };
        way(&mut self.engine, &[file])
    }

    /// A value as wide as the column is.
    fn seven(&self) -> Value {
        match self.engine.source("taps").unwrap().stored_types()[1] {
            DataType::Int => Value::Int(7),
            _ => Value::BigInt(7),
        }
    }

    fn push(&mut self) -> Result<(), EngineError> {
        let row = PushedRow {
            values: Ok(vec![
                Value::BigInt(1),
                self.seven(),
                Value::Timestamp(t("2026-03-01T10:00:00Z")),
            ]),
            producer: None,
        };
        let write = Write::Push {
            source: self.engine.source("taps").unwrap(),
            rows: vec![row],
        };
        match self.engine.write(&mut Pusher::default(), write)? {
            Written::Pushed(answer) => assert!(matches!(answer.rows[..], [RowAnswer::Logged(_)])),
            _ => panic!("it was a push"),
        }
        Ok(())
    }

    fn open_again(&mut self) {
        self.files = self.files.crash(Crash::KeepUnsynced);
        self.engine = open(&self.world, &self.files, &self.stores);
    }

    fn read(&self) -> Vec<Value> {
        let (key, at) = ([Value::BigInt(1)], "2026-03-02T00:00:00Z");
        values(&self.engine, "model", &key, at)
    }
}

#[test]
fn what_comes_before_a_change_is_known_is_read_as_it_was_written() {
    for way in WAYS {
        let mut shop = Shop::new();
        let before = shop.files.operations();
        shop.widen(way).unwrap();
        let operations = shop.files.operations() - before;
        let mut refused = 0;
        for at in 0..operations {
            let mut shop = Shop::new();
            let next = shop.files.operations() + at;
            shop.files.fail_at(next, std::io::ErrorKind::Other);
            let widened = shop.widen(way);
            shop.files.heal();
            if let Err(error) = shop.push() {
                let is_changed = matches!(error, EngineError::SourceChanged { .. });
                assert!(is_changed && widened.is_err(), "{at}: {error:?}");
                refused += 1;
                // It is known once what is recorded is gone over to.
                let recorded = shop.engine.begin_recorded().unwrap();
                go_over(&mut shop.engine, recorded.unwrap()).unwrap();
                shop.push().unwrap();
            }
            shop.open_again();
            shop.engine.checkpoint().unwrap();
            assert_eq!(shop.read(), [shop.seven()], "{at} of {operations}");
        }
        assert!(refused > 0, "of {operations} operations");
    }
}
