//! A hot tier that cannot be written, or not be opened, for long: reads go on, it is tried seldom,
//! and when it can be written nothing is missing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel_engine::push::{PushedRow, Pusher, Write};
use evenkeel_engine::{Engine, EngineError, KvStores, Machine};
use evenkeel_store::{Gate, GatedKv, Kv, MemoryKv, StoreError};
use evenkeel_types::Value;

use crate::support::{World, request, t};

const DEFINITIONS: &str = "
CREATE ENTITY shop (shop BIGINT);
CREATE STREAM sales (n BIGINT, shop BIGINT, at TIMESTAMP, EVENT ID (n), EVENT TIME at);
CREATE FEATURE VIEW of_shop ENTITY shop AS
SELECT shop, count(*) OVER (ALL HISTORY) AS sales FROM sales;
CREATE FEATURE SERVICE model VERSION 1 AS of_shop (*);
";

/// One store in memory, behind a gate, that can be opened or not.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    kv: Arc<MemoryKv>,
    pub(crate) gate: Arc<Gate>,
    opened: AtomicUsize,
    /// So many openings fail.
    refused: AtomicUsize,
}

impl KvStores for Stores {
    fn open(&self, _: &Path, _: u64) -> Result<Arc<dyn Kv>, StoreError> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        let left = self.refused.load(Ordering::SeqCst);
        if left > 0 {
            self.refused.store(left - 1, Ordering::SeqCst);
            return Err(StoreError::Embedded {
                operation: "open",
                reason: "it was told to fail".to_owned(),
            });
        }
        let kv = Arc::clone(&self.kv) as Arc<dyn Kv>;
        Ok(Arc::new(GatedKv::new(kv, Arc::clone(&self.gate))))
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

struct Shop {
    world: World,
    stores: Arc<Stores>,
    engine: Engine,
    pusher: Pusher,
    sold: i64,
}

impl Shop {
    fn new() -> Self {
        let world = World::new(DEFINITIONS);
        world.write("evenkeel.toml", "[limits]\nmemory_bytes = 60000\n");
        let stores = Arc::new(Stores::default());
        let mut engine = open(&world, &stores);
        let files = engine.project().definition_files().unwrap();
        let plan = engine.plan(&files).unwrap();
        engine.apply(plan).unwrap();
        Shop {
            world,
            stores,
            engine,
            pusher: Pusher::default(),
            sold: 0,
        }
    }

    fn sell(&mut self) -> Result<(), EngineError> {
        let rows = (self.sold..self.sold + 10).map(|n| PushedRow {
            values: Ok(vec![
                Value::BigInt(n),
                Value::BigInt(n % 3),
                Value::Timestamp(t("2026-03-01T00:00:00Z") + n),
            ]),
            producer: None,
        });
        let source = self.engine.source("sales").unwrap();
        let rows = rows.collect();
        let write = Write::Push { source, rows };
        self.engine.write(&mut self.pusher, write)?;
        self.sold += 10;
        Ok(())
    }

    fn check(engine: &Engine, sold: i64) {
        let rows = (0..3).map(|shop| vec![Value::BigInt(shop)]).collect();
        let read = engine
            .get(&request(engine, "model", rows, t("2026-03-02T00:00:00Z")))
            .unwrap();
        let count = |row: &Vec<evenkeel_engine::api::Answer>| match row[0].value {
            Value::BigInt(count) => count,
            ref other => panic!("{other:?}"),
        };
        assert_eq!(read.rows.iter().map(count).sum::<i64>(), sold);
    }

    /// Sells as long as the hot tier fails: how often it was opened, and the refusals.
    fn sell_in_vain(&mut self, writes: usize) -> (usize, Vec<String>) {
        let before = self.stores.opened.load(Ordering::SeqCst);
        let mut refused = Vec::new();
        for _ in 0..writes {
            if let Err(error) = self.sell() {
                assert!(matches!(error, EngineError::HotTierClosed { .. }));
                let source = std::error::Error::source(&error).unwrap();
                refused.push(source.to_string());
            }
            Self::check(&self.engine, self.sold);
        }
        (self.stores.opened.load(Ordering::SeqCst) - before, refused)
    }

    /// Sells until it is taken again, which is soon; then nothing is missing.
    fn goes_on(mut self) {
        let mut refused = 0;
        while self.sell().is_err() {
            refused += 1;
            assert!(refused <= 64);
        }
        (0..30).for_each(|_| self.sell().unwrap());
        Self::check(&self.engine, self.sold);
        self.engine.checkpoint().unwrap();
        drop(self.engine);
        let engine = open(&self.world, &self.stores);
        assert_eq!(engine.unwritten_bytes().0, 0);
        Self::check(&engine, self.sold);
        drop(engine);
        Self::check(&open(&self.world, &Arc::default()), self.sold);
    }
}

fn open(world: &World, stores: &Arc<Stores>) -> Engine {
    let machine = Machine {
        stores: Arc::clone(stores) as Arc<dyn KvStores>,
        ..Machine::default()
    };
    Engine::open_on(&world.project(), machine).unwrap()
}

#[test]
fn a_hot_tier_that_cannot_be_written_is_tried_seldom_and_goes_on_by_itself() {
    let mut shop = Shop::new();
    shop.stores.gate.fail(usize::MAX);
    let (opened, refused) = shop.sell_in_vain(300);
    assert!((2..=10).contains(&opened), "opened {opened} times");
    assert!(refused.len() > 200, "{} refused", refused.len());
    let words = "is tried again after";
    assert!(
        refused
            .iter()
            .any(|r| r.contains(words) && r.contains("told to fail"))
    );
    shop.stores.gate.fail(0);
    shop.goes_on();
}

#[test]
fn a_hot_tier_that_cannot_be_opened_is_tried_seldom_and_goes_on_by_itself() {
    let mut shop = Shop::new();
    shop.stores.refused.store(usize::MAX, Ordering::SeqCst);
    shop.stores.gate.fail(1);
    let (opened, refused) = shop.sell_in_vain(300);
    assert!((2..=10).contains(&opened), "opened {opened} times");
    assert!(refused.len() > 200, "{} refused", refused.len());
    shop.stores.refused.store(0, Ordering::SeqCst);
    shop.goes_on();
}

#[test]
fn a_write_that_fails_once_refuses_nothing() {
    let mut shop = Shop::new();
    shop.stores.gate.fail(1);
    let (opened, refused) = shop.sell_in_vain(100);
    assert_eq!((opened, refused.len()), (1, 0));
    assert_eq!(shop.stores.gate.failed(), 1);
    shop.goes_on();
}

#[test]
fn it_is_not_opened_again_while_somebody_looks_at_it() {
    let mut shop = Shop::new();
    shop.sell().unwrap();
    let opened = shop.stores.opened.load(Ordering::SeqCst);
    let looking = shop.engine.in_use();
    shop.stores.gate.fail(1);
    assert!(shop.engine.checkpoint().is_err());
    let refused = shop.sell().unwrap_err();
    assert!(refused.is_in_use(), "{refused:?}");
    // Nothing was replayed into memory instead, and reads go on.
    assert_eq!(shop.stores.opened.load(Ordering::SeqCst), opened);
    Shop::check(&shop.engine, 10);
    drop(looking);
    shop.sell().unwrap();
    assert_eq!(shop.stores.opened.load(Ordering::SeqCst), opened + 1);
    Shop::check(&shop.engine, 20);
}
