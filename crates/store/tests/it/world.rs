//! A store of blocks beside its model: plain histories of the same entries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use evenkeel_aggregate::{Aggregates, Bounds, Entry, Everything, History};
use evenkeel_store::{
    Batch, Blocks, BlocksOptions, ColdEvents, Collect, Horizon, IndexSpec, Kv, StoreError,
};
use evenkeel_types::{DataType, ErrorReason, Position, Value};

/// The only index.
pub(crate) const INDEX: u32 = 3;

pub(crate) fn types() -> Arc<[DataType]> {
    Arc::from([
        DataType::BigInt,
        DataType::String,
        DataType::Double,
        DataType::Boolean,
    ])
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) time: i64,
    pub(crate) order: Vec<u8>,
    pub(crate) position: Position,
    pub(crate) visible_at: i64,
    pub(crate) contested: bool,
    pub(crate) id: u64,
    pub(crate) values: Vec<Value>,
}

impl Row {
    /// Entry number `id` of a stream: mostly in order, now and then late.
    pub(crate) fn new(id: u64, random: u64) -> Self {
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
                r if random & 0x30_0000 == 0 => Value::Double(f64::from_bits(random) * (r as f64)),
                r => Value::Double((random >> 40) as f64 / 64.0 - r as f64),
            },
            match random % 17 {
                0 => Value::Null,
                1 => Value::Error(ErrorReason::ALL[1]),
                r => Value::Boolean(r % 3 == 0),
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

    pub(crate) fn entry(&self) -> Entry<'_> {
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

/// Everything that was inserted, in its order; and what is done when it was read.
#[derive(Default)]
pub(crate) struct Log(
    pub(crate) Mutex<Vec<(Vec<u8>, Row)>>,
    pub(crate) Mutex<Option<AfterRead>>,
);

/// Done once, by the next read of the log, before it answers.
pub(crate) type AfterRead = Box<dyn FnOnce() + Send>;

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl ColdEvents for Log {
    fn read(&self, _: usize, bounds: &Bounds, collect: &mut dyn Collect) -> Result<(), StoreError> {
        for (key, row) in self.0.lock().unwrap().iter() {
            if (bounds.first_time..=bounds.last_time).contains(&row.time)
                && collect.wants(key, row.time, row.position)
            {
                collect.take(key, &row.entry());
            }
        }
        let after = self.1.lock().unwrap().take();
        if let Some(after) = after {
            after();
        }
        Ok(())
    }
}

/// A store with its model.
pub(crate) struct World {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) log: Arc<Log>,
    /// What is before may leave.
    pub(crate) horizon: Option<i64>,
    numbers: BlocksOptions,
    aggregates: Arc<Aggregates>,
    pub(crate) blocks: Blocks,
    /// Whether reads say what must be brought back, and it is brought back for them.
    is_deferred: bool,
    pub(crate) model: BTreeMap<Vec<u8>, History>,
    pub(crate) number: u64,
    /// Marked since the last checkpoint was begun, and by the one that was begun: the log
    /// knows of a mark once it is stored.
    marked: Vec<u64>,
    marking: Vec<u64>,
}

impl World {
    pub(crate) fn new(kv: Arc<dyn Kv>, cache_bytes: u64) -> Self {
        World::with(kv, BlocksOptions::with_cache(cache_bytes), Arc::default())
    }

    pub(crate) fn with(
        kv: Arc<dyn Kv>,
        numbers: BlocksOptions,
        aggregates: Arc<Aggregates>,
    ) -> Self {
        let log = Arc::new(Log::default());
        World {
            blocks: open(&kv, &log, numbers, &aggregates),
            kv,
            log,
            is_deferred: false,
            horizon: None,
            numbers,
            aggregates,
            model: BTreeMap::new(),
            number: 0,
            marked: Vec::new(),
            marking: Vec::new(),
        }
    }

    /// From now on reads say what must be brought back.
    pub(crate) fn deferred(mut self) -> Self {
        self.is_deferred = true;
        self.blocks.defer_cold();
        self
    }

    /// Inserts a row; it gets the next place of its partition.
    pub(crate) fn insert(&mut self, key: &[u8], row: &Row) {
        let mut log = self.log.0.lock().unwrap();
        let position = Position::new(row.position.partition.0, log.len() as u64);
        let row = Row {
            position,
            order: row.order.clone(),
            values: row.values.clone(),
            ..*row
        };
        self.blocks.insert(0, key, &row.entry());
        self.model
            .entry(key.to_vec())
            .or_insert_with(|| History::new(types()))
            .insert(&row.entry());
        log.push((key.to_vec(), row));
    }

    pub(crate) fn contest(&mut self, key: &[u8], row: &Row) {
        self.blocks.contest(0, key, row.time, &row.order);
        self.marked.push(row.id);
        assert!(
            self.model
                .get_mut(key)
                .unwrap()
                .contest(row.time, &row.order)
        );
    }

    pub(crate) fn checkpoint(&mut self) {
        let begun = self.begin();
        self.finish(begun);
    }

    pub(crate) fn begin(&mut self) -> evenkeel_store::BlockCheckpoint {
        self.marking.append(&mut self.marked);
        self.blocks.begin(&[self.horizon.map(Horizon::before)])
    }

    pub(crate) fn finish(&mut self, begun: evenkeel_store::BlockCheckpoint) {
        self.number += 1;
        let mut batch = Batch::default();
        let written = begun.write(self.number, &mut batch).unwrap();
        self.kv.write(batch).unwrap();
        for (_, logged) in self.log.0.lock().unwrap().iter_mut() {
            logged.contested |= self.marking.contains(&logged.id);
        }
        self.marking.clear();
        self.blocks.end(written);
    }

    /// What was not checkpointed is lost; the model is set back by the caller.
    pub(crate) fn reopen(&mut self) {
        self.marked.clear();
        self.marking.clear();
        self.blocks = self.reopened();
    }

    /// The same, with other calls.
    pub(crate) fn reopen_with(&mut self, aggregates: Arc<Aggregates>) {
        self.aggregates = aggregates;
        self.reopen();
    }

    /// The store as it is after the process died.
    pub(crate) fn reopened(&self) -> Blocks {
        let blocks = open(&self.kv, &self.log, self.numbers, &self.aggregates);
        if self.is_deferred {
            blocks.defer_cold();
        }
        blocks
    }

    /// Goes over to other calls.
    pub(crate) fn switch(&mut self, aggregates: Arc<Aggregates>) {
        let log: Arc<dyn ColdEvents> = Arc::clone(&self.log) as Arc<dyn ColdEvents>;
        self.blocks.switch([spec(&aggregates)], log, None);
        self.aggregates = aggregates;
    }

    /// Reads a key, as often as something must be brought back first.
    pub(crate) fn read(&self, key: &[u8], read: impl Fn(&History)) -> History {
        let mut brought = Vec::new();
        loop {
            let (history, reads) = self.blocks.events(0, key).unwrap().unwrap();
            read(&history);
            match reads.and_then(|reads| reads.needs()) {
                Some(needs) => brought.push(needs.bring_back().unwrap()),
                None => return history,
            }
        }
    }

    pub(crate) fn check(&self) {
        for (key, model) in &self.model {
            let history = self.read(key, |history| {
                assert_eq!(history.iter().count(), model.len())
            });
            assert_same(&history, model);
            assert!(history.source().is_none_or(|s| s.failure().is_none()));
        }
        assert!(self.blocks.history(0, b"\x02nobody").unwrap().is_none());
    }
}

fn spec(aggregates: &Arc<Aggregates>) -> IndexSpec {
    IndexSpec {
        number: INDEX,
        types: types(),
        aggregates: Arc::clone(aggregates),
    }
}

fn open(
    kv: &Arc<dyn Kv>,
    log: &Arc<Log>,
    numbers: BlocksOptions,
    aggregates: &Arc<Aggregates>,
) -> Blocks {
    let log: Arc<dyn ColdEvents> = Arc::clone(log) as Arc<dyn ColdEvents>;
    Blocks::open(Arc::clone(kv), [spec(aggregates)], log, numbers).unwrap()
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
pub(crate) fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}
