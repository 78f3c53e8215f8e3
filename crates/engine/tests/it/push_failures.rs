//! Requests of one commit while every read of the hot tier, and every operation on the files,
//! fails in turn: each is logged whole or not at all, is answered with what happened, and sent
//! again it gives what an undisturbed store has.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use evenkeel_engine::correction::Correction;
use evenkeel_engine::push::{PushedRow, Pusher, Write, Written, append};
use evenkeel_engine::{Engine, EngineError, KvStores, Machine};
use evenkeel_log::{Crash, LogError, MemoryFileSystem, ReadOptions};
use evenkeel_store::{Gate, GatedKv, Kv, MemoryKv, StoreError};
use evenkeel_types::{Event, LoggedEvent, Operation, Value};

use crate::support::{World, apply, t, values};

const DEFINITIONS: &str = "
CREATE ENTITY driver (driver BIGINT);
CREATE STREAM rides (id STRING, driver BIGINT, fare DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, CHECK (fare >= 0));
CREATE STREAM taps (driver BIGINT, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW of_driver ENTITY driver AS
SELECT driver, count(*) OVER (ALL HISTORY) AS rides, sum(fare) OVER (ALL HISTORY) AS fares
FROM rides;
CREATE FEATURE SERVICE model VERSION 1 AS of_driver (*);
";
const AT: &str = "2026-03-01T10:00:00Z";

/// Stores in memory whose reads fail when they are told to.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    kv: Arc<MemoryKv>,
    gate: Arc<Gate>,
}

impl KvStores for Stores {
    fn open(&self, _: &Path, _: u64) -> Result<Arc<dyn Kv>, StoreError> {
        let kv = Arc::clone(&self.kv) as Arc<dyn Kv>;
        Ok(Arc::new(GatedKv::new(kv, Arc::clone(&self.gate))))
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

struct Shop {
    world: World,
    files: MemoryFileSystem,
    stores: Arc<Stores>,
    engine: Engine,
    pusher: Pusher,
}

/// A ride of one driver; one with a negative fare is rejected, and is of a producer that counts.
fn ride(id: &str, fare: i32) -> PushedRow {
    PushedRow {
        values: Ok(vec![
            Value::from(id),
            Value::BigInt(1),
            Value::from(f64::from(fare)),
            Value::Timestamp(t(AT)),
        ]),
        producer: (fare < 0).then(|| (Arc::from("app"), fare.unsigned_abs().into())),
    }
}

impl Shop {
    /// With five rides, all of which are in the hot tier's store.
    fn new() -> Self {
        let world = World::new(DEFINITIONS);
        let (files, stores) = (MemoryFileSystem::new(), Arc::default());
        let mut engine = open(&world, &files, &stores);
        apply(&mut engine, &world.project().definition_files().unwrap());
        let mut shop = Shop {
            world,
            files,
            stores,
            engine,
            pusher: Pusher::default(),
        };
        let old = ["e0", "e1", "e2", "e3", "e4"].map(|id| ride(id, 5));
        let written = shop.commit(vec![shop.rides(old)]);
        assert!(matches!(written[0], Ok(Written::Pushed(_))));
        shop.engine.checkpoint().unwrap();
        shop
    }

    fn rides(&self, rows: impl IntoIterator<Item = PushedRow>) -> Write {
        Write::Push {
            source: self.engine.source("rides").unwrap(),
            rows: rows.into_iter().collect(),
        }
    }

    /// As another process finds it after this one has died.
    fn open_again(&mut self) {
        self.files = self.files.crash(Crash::KeepUnsynced);
        self.engine = open(&self.world, &self.files, &self.stores);
        self.pusher = Pusher::default();
    }

    fn requests(&self, old: &[LoggedEvent]) -> Vec<Write> {
        let tap = PushedRow {
            values: Ok(vec![Value::BigInt(1), Value::Timestamp(t(AT))]),
            producer: Some((Arc::from("app"), 1)),
        };
        let put_right = |old: &LoggedEvent, operation| Correction {
            event: Event {
                operation,
                revision: 1,
                ..old.event.clone()
            },
            partition: old.position.partition,
            corrects: Some(Box::new(old.clone())),
        };
        vec![
            self.rides([ride("n0", 1), ride("e0", 5)]),
            self.rides([
                ride("n1", 1),
                ride("n2", 1),
                ride("r", -7),
                ride("e1", 5),
                ride("e2", 9),
                ride("n0", 1),
            ]),
            Write::Push {
                source: self.engine.source("taps").unwrap(),
                rows: vec![tap],
            },
            self.rides([ride("r", -7), ride("n1", 1), ride("n3", 1)]),
            Write::Corrections {
                source: self.engine.source("rides").unwrap(),
                corrections: vec![
                    put_right(&old[3], Operation::Remove),
                    put_right(&old[4], Operation::Remove),
                ],
            },
        ]
    }

    /// As a server writes.
    fn commit(&mut self, writes: Vec<Write>) -> Vec<Result<Written, EngineError>> {
        let refused = |error: EngineError, count: usize| {
            let mut refused: Vec<_> = (1..count).map(|_| Err(EngineError::Stopped)).collect();
            refused.insert(0, Err(error));
            refused
        };
        let count = writes.len();
        if let Err(error) = self.engine.heal() {
            return refused(error, count);
        }
        let log = self.engine.writer().unwrap();
        let judged = self.pusher.judge(&self.engine, writes);
        let mut durable = match judged.append(&log) {
            Ok(durable) => durable,
            Err(error) => {
                self.pusher = Pusher::default();
                return refused(error, count);
            }
        };
        if let Err(error) = self.engine.apply_some(&mut durable, usize::MAX) {
            return durable.unapplied(&error);
        }
        let letters = self.engine.conflict_letters(&durable);
        if letters.is_ok_and(|letters| append(&log, &letters).is_ok()) {
            self.engine.told(&durable);
        }
        durable.answers()
    }

    fn logged(&self) -> Vec<LoggedEvent> {
        let events = self.engine.reader().clone().read(ReadOptions::default());
        events.map(Result::unwrap).collect()
    }

    /// How often each version of each ride, and each tap, is logged; the dead letters, and what
    /// is read.
    fn state(&self) -> (BTreeMap<String, usize>, Vec<String>, Vec<Value>) {
        let mut logged = BTreeMap::new();
        for event in self.logged() {
            let event = event.event;
            let words = format!("{:?} {} {:?}", event.operation, event.revision, event.row);
            *logged.entry(words).or_default() += 1;
        }
        let source = self.engine.source("rides").unwrap();
        let letters = self.engine.reader().dead_letters(source.id).unwrap();
        let mut letters: Vec<String> = letters
            .map(|l| l.unwrap().letter)
            .map(|l| format!("{} {:?}", l.code, String::from_utf8(l.record).unwrap()))
            .collect();
        letters.sort();
        let read = values(
            &self.engine,
            "model",
            &[Value::BigInt(1)],
            "2026-03-02T00:00:00Z",
        );
        (logged, letters, read)
    }

    /// How many of the events that a request alone has are logged.
    fn of_request(&self, index: usize) -> (usize, usize) {
        let is_of = |logged: &LoggedEvent| {
            let event = &logged.event;
            let id = format!("{:?}", event.row[0]);
            let corrects = event.operation == Operation::Remove;
            match index {
                0 => false,
                1 => id.contains("n2") || id.contains("e2") && logged.position.offset.0 > 4,
                2 => event.row.len() == 2,
                3 => id.contains("n3"),
                _ => corrects,
            }
        };
        let all = [0, 2, 1, 1, 2][index];
        (self.logged().iter().filter(|l| is_of(l)).count(), all)
    }

    /// As who has the store alone writes: one after the other.
    fn write(&mut self, writes: Vec<Write>) -> Vec<Result<Written, EngineError>> {
        let writes = writes.into_iter();
        writes
            .map(|write| self.engine.write(&mut self.pusher, write))
            .collect()
    }

    /// The requests while something fails, then again: whether one failed and others did not.
    fn disturbed(
        mut self,
        context: &str,
        commit: Commit,
        fail: impl FnOnce(&Shop),
        expected: &Shop,
    ) -> bool {
        let old = self.logged();
        let requests = self.requests(&old);
        fail(&self);
        let answers = commit(&mut self, requests.clone());
        self.stores.gate.spare_reads();
        self.files.heal();
        for (index, answer) in answers.iter().enumerate() {
            let (there, all) = self.of_request(index);
            match answer {
                Ok(_) | Err(EngineError::NotApplied { .. }) => {
                    assert_eq!(there, all, "{context}, request {index}: {answer:?}");
                }
                Err(EngineError::Log(e)) if matches!(**e, LogError::NotDurable { .. }) => {}
                Err(_) => assert_eq!(there, 0, "{context}, request {index}: {answer:?}"),
            }
        }
        if self.engine.writer().unwrap().closed().is_some() {
            self.open_again();
        }
        let again = commit(&mut self, requests);
        for answer in &again {
            assert!(answer.is_ok(), "{context}: {answer:?}");
        }
        self.engine.tell().unwrap();
        assert_eq!(self.state(), expected.state(), "{context}");
        self.open_again();
        assert_eq!(self.state(), expected.state(), "{context}, opened again");
        answers.iter().any(Result::is_err) && answers.iter().any(Result::is_ok)
    }
}

type Commit = fn(&mut Shop, Vec<Write>) -> Vec<Result<Written, EngineError>>;

/// A server, and who has the store alone.
const COMMITS: [Commit; 2] = [Shop::commit, Shop::write];

pub(crate) fn open(world: &World, files: &MemoryFileSystem, stores: &Arc<Stores>) -> Engine {
    let machine = Machine {
        clock: world.clock.clone(),
        files: Arc::new(files.clone()),
        stores: Arc::clone(stores) as Arc<dyn KvStores>,
        ..Machine::default()
    };
    Engine::open_on(&world.project(), machine).unwrap()
}

/// A store in which nothing failed, and how many operations on files the requests were.
fn undisturbed(commit: Commit) -> (Shop, u64) {
    let mut shop = Shop::new();
    let requests = shop.requests(&shop.logged());
    let before = shop.files.operations();
    let answers = commit(&mut shop, requests);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let operations = shop.files.operations() - before;
    (shop, operations)
}

#[test]
fn a_request_whose_identities_cannot_all_be_read_leaves_nothing_of_itself() {
    for commit in COMMITS {
        let (expected, _) = undisturbed(commit);
        let mut alone = 0;
        // As many as the requests read, and some that come after all.
        for reads in 0..20 {
            let fail = |shop: &Shop| shop.stores.gate.fail_read_after(reads);
            let context = format!("after {reads} reads");
            alone += usize::from(Shop::new().disturbed(&context, commit, fail, &expected));
        }
        assert!(alone >= 5, "{alone}");
    }
}

#[test]
fn a_request_beside_files_that_fail_is_logged_whole_or_not_at_all() {
    for commit in COMMITS {
        let (expected, operations) = undisturbed(commit);
        assert!(operations > 3, "{operations}");
        for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
            for at in 0..operations {
                let fail = |shop: &Shop| shop.files.fail_at(shop.files.operations() + at, kind);
                let context = format!("{kind} at operation {at} of {operations}");
                Shop::new().disturbed(&context, commit, fail, &expected);
            }
        }
    }
}
