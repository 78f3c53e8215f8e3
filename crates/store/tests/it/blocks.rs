//! Blocks against plain histories: the same entries, whatever was checkpointed, merged,
//! sealed, reopened or evicted, and whenever.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::MEMORY;
use evenkeel_aggregate::{Entry, Everything, History};
use evenkeel_store::{
    Batch, Blocks, BlocksOptions, EmbeddedKv, IndexSpec, Kv, MemoryKv, Space, StoreError,
};
use evenkeel_types::{DataType, ErrorReason, Position, Value};
use proptest::prelude::*;

fn types() -> Arc<[DataType]> {
    Arc::from([DataType::BigInt, DataType::String, DataType::Double])
}

struct Row {
    time: i64,
    order: Vec<u8>,
    position: Position,
    visible_at: i64,
    contested: bool,
    id: u64,
    values: Vec<Value>,
}

impl Row {
    /// Entry number `id` of a stream: mostly in order, now and then late.
    fn new(id: u64, random: u64) -> Self {
        let late = if random.is_multiple_of(7) {
            (random >> 8) % 5_000
        } else {
            0
        };
        let time = (id as i64) * 3 - late as i64 + (random >> 16) as i64 % 4;
        let values = vec![
            if random.is_multiple_of(5) {
                Value::Null
            } else {
                Value::BigInt(random as i64)
            },
            Value::string(format!("s{}", random % 11)),
            match random % 13 {
                0 => Value::Error(ErrorReason::ALL[0]),
                r => Value::Double(f64::from_bits(random) * (r as f64)),
            },
        ];
        Row {
            time,
            order: [&(random % 3).to_be_bytes()[..], &id.to_be_bytes()].concat(),
            position: Position::new((random % 3) as u32, id),
            visible_at: time + (random % 100) as i64,
            contested: random.is_multiple_of(97),
            id,
            values,
        }
    }

    fn entry(&self) -> Entry<'_> {
        Entry {
            time: self.time,
            order: &self.order,
            position: self.position,
            visible_at: self.visible_at,
            contested: self.contested,
            id: self.id,
            values: &self.values,
        }
    }
}

/// A store with its model.
struct World {
    kv: Arc<dyn Kv>,
    blocks: Blocks,
    model: BTreeMap<Vec<u8>, History>,
    number: u64,
    cache_bytes: u64,
}

impl World {
    fn new(kv: Arc<dyn Kv>, cache_bytes: u64) -> Self {
        World {
            blocks: open(&kv, cache_bytes),
            kv,
            model: BTreeMap::new(),
            number: 0,
            cache_bytes,
        }
    }

    fn insert(&mut self, key: &[u8], row: &Row) {
        self.blocks.insert(0, key, &row.entry());
        self.model
            .entry(key.to_vec())
            .or_insert_with(|| History::new(types()))
            .insert(&row.entry());
    }

    fn contest(&mut self, key: &[u8], row: &Row) {
        self.blocks.contest(0, key, row.time, &row.order);
        assert!(
            self.model
                .get_mut(key)
                .unwrap()
                .contest(row.time, &row.order)
        );
    }

    fn checkpoint(&mut self) {
        let begun = self.blocks.begin();
        self.finish(begun);
    }

    fn finish(&mut self, begun: evenkeel_store::BlockCheckpoint) {
        self.number += 1;
        let mut batch = Batch::default();
        let written = begun.write(self.number, &mut batch).unwrap();
        self.kv.write(batch).unwrap();
        self.blocks.end(written);
    }

    /// What was not checkpointed is lost; the model is set back by the caller.
    fn reopen(&mut self) {
        self.blocks = open(&self.kv, self.cache_bytes);
    }

    fn check(&self) {
        for (key, model) in &self.model {
            let history = self.blocks.history(0, key).unwrap().unwrap();
            assert_same(&history, model);
            assert!(history.source().is_none_or(|s| s.failure().is_none()));
        }
        assert!(self.blocks.history(0, b"\x02nobody").unwrap().is_none());
    }
}

fn open(kv: &Arc<dyn Kv>, cache_bytes: u64) -> Blocks {
    let spec = IndexSpec {
        number: 3,
        types: types(),
    };
    Blocks::open(Arc::clone(kv), [spec], BlocksOptions { cache_bytes }).unwrap()
}

fn assert_same(found: &History, want: &History) {
    assert_eq!(found.len(), want.len());
    assert_eq!(found.bounds(), want.bounds());
    for (a, b) in found.iter().zip(want.iter()) {
        assert_eq!(a.order(), b.order());
        assert_eq!(
            (a.position(), a.visible_at(), a.contested(), a.id()),
            (b.position(), b.visible_at(), b.contested(), b.id())
        );
        let bits = |row: Vec<Value>| evenkeel_types::codec::encode_values(&row);
        assert_eq!(bits(a.row()), bits(b.row()));
    }
    let middle = want.bounds().map_or(0, |b| b.last_time / 2);
    let last = |h: &History| {
        h.descending(middle, false, &Everything)
            .next()
            .map(|e| e.id())
    };
    assert_eq!(last(found), last(want));
}

/// A small generator, so that a test is a function of its seed.
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

fn run(kv: Arc<dyn Kv>, mut seed: u64, events: u64, checkpoint_every: u64, cache_bytes: u64) {
    let mut world = World::new(kv, cache_bytes);
    let mut inserted: Vec<(Vec<u8>, u64, u64)> = Vec::new();
    for id in 0..events {
        let r = random(&mut seed);
        // One key has most of the events, one is longer than a row key may be.
        let key = match r % 16 {
            0 => b"\x02a".to_vec(),
            1 => vec![2; 5_000],
            _ => b"\x02hot".to_vec(),
        };
        let pick = random(&mut seed);
        world.insert(&key, &Row::new(id, pick));
        inserted.push((key, id, pick));
        if pick.is_multiple_of(211) {
            let (key, id, pick) = &inserted[(random(&mut seed) % inserted.len() as u64) as usize];
            world.contest(&key.clone(), &Row::new(*id, *pick));
        }
        match random(&mut seed) % checkpoint_every {
            0 => world.checkpoint(),
            1 => {
                // Reads and writes while one is under way.
                let begun = world.blocks.begin();
                let pick = random(&mut seed);
                let late = Row::new(events + id, pick);
                world.insert(b"\x02hot", &late);
                inserted.push((b"\x02hot".to_vec(), events + id, pick));
                world.check();
                world.finish(begun);
            }
            2 => {
                world.checkpoint();
                world.reopen();
            }
            3 => world.check(),
            _ => {}
        }
    }
    world.check();
    world.checkpoint();
    world.check();
    world.reopen();
    world.check();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn blocks_hold_what_was_inserted(
        seed in any::<u64>(),
        events in 1u64..3_000,
        checkpoint_every in 20u64..400,
        cache in prop_oneof![Just(0u64), Just(200_000), Just(1 << 30)],
    ) {
        run(Arc::new(MemoryKv::new()), seed, events, checkpoint_every, cache);
    }
}

#[test]
fn blocks_hold_what_was_inserted_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (kv, _) = EmbeddedKv::open(&directory.path().join("hot"), MEMORY).unwrap();
    run(Arc::new(kv), 7, 4_000, 60, 100_000);
}

#[test]
fn a_read_opens_only_the_sealed_blocks_that_it_needs() {
    let kv = Arc::new(MemoryKv::new());
    let mut world = World::new(kv, 1 << 30);
    for id in 0..20_000 {
        let row = Row {
            time: id as i64,
            contested: false,
            ..Row::new(id, 1)
        };
        world.insert(b"\x02k", &row);
    }
    world.checkpoint();
    world.reopen();
    let history = world.blocks.history(0, b"\x02k").unwrap().unwrap();
    let cold = history.entries_in_memory();
    assert!(cold < 1_024, "{cold} entries before any was asked for");
    let last = history.descending(10_000, false, &Everything).next();
    assert_eq!(last.map(|e| e.id()), Some(10_000));
    assert!(history.entries_in_memory() <= cold + 512);
}

#[test]
fn a_damaged_block_fails_the_read_that_needs_it_and_no_other() {
    let kv = Arc::new(MemoryKv::new());
    let mut world = World::new(Arc::clone(&kv) as Arc<dyn Kv>, 1 << 30);
    for id in 0..5_000 {
        let row = Row {
            time: id as i64,
            contested: false,
            ..Row::new(id, 1)
        };
        world.insert(b"\x02k", &row);
        world.insert(b"\x02l", &row);
    }
    world.checkpoint();
    world.reopen();
    let mut rows = Vec::new();
    kv.snapshot()
        .prefix(Space::Blocks, b"", &mut |key, _| {
            rows.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    let first_of_k = rows
        .iter()
        .find(|row| row.windows(2).any(|w| w == b"\x02k"))
        .unwrap();
    assert!(kv.damage(Space::Blocks, first_of_k, |bytes| bytes[20] ^= 1));
    let history = world.blocks.history(0, b"\x02k").unwrap().unwrap();
    assert_eq!(
        history
            .descending(4_000, false, &Everything)
            .next()
            .map(|e| e.id()),
        Some(4_000)
    );
    assert_eq!(history.source().unwrap().failure(), None);
    assert_eq!(history.iter().count(), 5_000);
    let failure = history.source().unwrap().failure().unwrap();
    assert!(
        failure.contains("blocks/") && failure.contains("checksum"),
        "{failure}"
    );
    world.model.remove(&b"\x02k"[..]);
    world.check();
    // A checkpoint does not write what it could not read.
    for id in 5_000..6_000 {
        world.blocks.insert(
            0,
            b"\x02k",
            &Row {
                time: 3,
                ..Row::new(id, 1)
            }
            .entry(),
        );
    }
    let begun = world.blocks.begin();
    let result = begun.write(9, &mut Batch::default());
    assert!(
        matches!(result, Err(StoreError::Damaged { .. })),
        "{result:?}"
    );
}
