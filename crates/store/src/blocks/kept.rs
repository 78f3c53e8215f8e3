//! Rows that readers made of the newest events of keys, kept until the key gets an event.
//!
//! A read of several views of one entity looks for its key in as many indexes, and touches what is
//! kept of each. What comes of it is the same until the key gets an event. So it is kept, all
//! views behind one another in one piece of memory that one search finds.
//!
//! What the words of a row mean is its reader's matter. This module's is that no row is given that
//! was made before an event, or a mark on one, of its key in one of its indexes; and that all rows
//! together take no more than they may: those that were not asked for leave first (Corbató's clock,
//! as in `key_cache`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use evenkeel_types::Value;
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

/// Kinds of rows that are kept at a time; another takes the place of the one that was not asked
/// for the longest.
const TABLES_MAX: usize = 16;
/// Rows that get their memory at once.
const PIECE_ROWS: usize = 64;
/// Rows of longer keys are not kept.
const KEY_BYTES_MAX: usize = 48;
/// The length of a key, and its bytes.
const KEY_WORDS: usize = 1 + KEY_BYTES_MAX / 8;
/// About the bytes of a row besides its words and values: its places in maps and lists.
const ROW_BYTES: usize = 64;
/// The words of a line of the processor's caches.
const LINE_WORDS: usize = 8;

/// A kind of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowShape {
    /// Tells it from others: rows of one name mean the same.
    pub name: [u8; 16],
    /// The indexes whose events a row is made of, by the row's key.
    pub indexes: Vec<usize>,
    /// Words of a row.
    pub words: usize,
    /// Values of a row that are no words.
    pub values: usize,
}

/// A row that is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeptRow<'a> {
    /// As many as its shape says.
    pub words: &'a [u64],
    /// As many as its shape says.
    pub values: &'a [Value],
}

/// What is kept, and how often something was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptCounts {
    /// Rows that are kept.
    pub rows: u64,
    /// About the bytes that they take.
    pub bytes: u64,
    /// Rows that were asked for and kept, since the store was opened.
    pub hits: u64,
    /// Rows that were asked for and not kept.
    pub misses: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct KeptRows {
    bytes_max: u64,
    tables: RwLock<Tables>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Default)]
struct Tables {
    all: Vec<Table>,
    /// About the bytes of all.
    bytes: u64,
    /// Moves with each look into a table.
    asked: AtomicU64,
}

/// Rows of one shape.
#[derive(Debug)]
struct Table {
    shape: RowShape,
    /// Where the row of a hash is. Of two keys with one hash only one is kept.
    places: FxHashMap<u64, u32>,
    /// By place: the key, then the words.
    pieces: Vec<Box<[u64]>>,
    /// By place; empty if rows of the shape have none.
    values: Vec<Box<[Value]>>,
    /// By place: the hash of what is there.
    hashes: Vec<Option<u64>>,
    /// By place: whether it was asked for since the hand was here.
    were_used: Vec<AtomicBool>,
    free: Vec<u32>,
    hand: usize,
    /// See [`Tables::asked`].
    last_asked: AtomicU64,
    /// Of the values.
    value_bytes: u64,
}

/// A look at rows that are kept: none comes or goes meanwhile.
pub struct KeptReads<'a> {
    kept: &'a KeptRows,
    tables: RwLockReadGuard<'a, Tables>,
}

impl Table {
    fn new(shape: &RowShape) -> Self {
        Table {
            shape: shape.clone(),
            places: FxHashMap::default(),
            pieces: Vec::new(),
            values: Vec::new(),
            hashes: Vec::new(),
            were_used: Vec::new(),
            free: Vec::new(),
            hand: 0,
            last_asked: AtomicU64::new(0),
            value_bytes: 0,
        }
    }

    fn row_words(&self) -> usize {
        KEY_WORDS + self.shape.words
    }

    fn piece_bytes(&self) -> u64 {
        (PIECE_ROWS * (self.row_words() * 8 + ROW_BYTES)) as u64
    }

    fn bytes(&self) -> u64 {
        self.pieces.len() as u64 * self.piece_bytes() + self.value_bytes
    }

    /// The key and the words at a place.
    fn at(&self, place: usize) -> &[u64] {
        let begin = place % PIECE_ROWS * self.row_words();
        &self.pieces[place / PIECE_ROWS][begin..begin + self.row_words()]
    }

    fn values_at(&self, place: usize) -> &[Value] {
        self.values.get(place).map_or(&[], |values| &values[..])
    }

    /// Room for some more rows.
    fn grow(&mut self) {
        let begin = self.hashes.len();
        let end = begin + PIECE_ROWS;
        self.pieces
            .push(vec![0; PIECE_ROWS * self.row_words()].into());
        self.hashes.resize(end, None);
        self.were_used.resize_with(end, AtomicBool::default);
        if self.shape.values > 0 {
            self.values.resize_with(end, Box::default);
        }
        self.free.extend((begin as u32..end as u32).rev());
    }

    fn put(&mut self, hash: u64, key: &[u64; KEY_WORDS], words: &[u64], values: Box<[Value]>) {
        let place = self.free.pop().expect("who puts has made room") as usize;
        let (begin, row_words) = (place % PIECE_ROWS * self.row_words(), self.row_words());
        let row = &mut self.pieces[place / PIECE_ROWS][begin..begin + row_words];
        row[..KEY_WORDS].copy_from_slice(key);
        row[KEY_WORDS..].copy_from_slice(words);
        if let Some(at) = self.values.get_mut(place) {
            self.value_bytes += bytes_of(&values);
            *at = values;
        }
        self.hashes[place] = Some(hash);
        *self.were_used[place].get_mut() = false;
        self.places.insert(hash, place as u32);
    }

    /// Forgets the row of a hash; whether there was one.
    fn forget(&mut self, hash: u64) -> bool {
        let Some(place) = self.places.remove(&hash) else {
            return false;
        };
        self.hashes[place as usize] = None;
        if let Some(values) = self.values.get_mut(place as usize) {
            self.value_bytes -= bytes_of(values);
            *values = Box::default();
        }
        self.free.push(place);
        true
    }

    /// Forgets a row that was not asked for lately; whether there was any.
    fn let_one_go(&mut self) -> bool {
        if self.places.is_empty() {
            return false;
        }
        loop {
            if self.hand >= self.hashes.len() {
                self.hand = 0;
            }
            let hand = self.hand;
            self.hand += 1;
            let was_used = std::mem::take(self.were_used[hand].get_mut());
            if let Some(hash) = self.hashes[hand]
                && !was_used
            {
                return self.forget(hash);
            }
        }
    }
}

impl Tables {
    /// The number of the table of a shape, which is made if there is none.
    fn number(&mut self, shape: &RowShape) -> usize {
        if let Some(known) = self.all.iter().position(|table| table.shape == *shape) {
            return known;
        }
        if self.all.len() >= TABLES_MAX {
            let asked = |table: &Table| table.last_asked.load(Ordering::Relaxed);
            let oldest = (0..self.all.len()).min_by_key(|&number| asked(&self.all[number]));
            self.drop_table(oldest.unwrap_or(0));
        }
        let table = Table::new(shape);
        let now = self.asked.load(Ordering::Relaxed);
        table.last_asked.store(now, Ordering::Relaxed);
        self.all.push(table);
        self.all.len() - 1
    }

    fn drop_table(&mut self, number: usize) {
        self.bytes -= self.all.swap_remove(number).bytes();
    }

    /// Makes room for a row in a table, of which all have at most so many bytes; whether it could.
    fn make_room(&mut self, number: &mut usize, bytes_max: u64) -> bool {
        loop {
            let table = &mut self.all[*number];
            if !table.free.is_empty() {
                return true;
            }
            if self.bytes + table.piece_bytes() <= bytes_max {
                table.grow();
                self.bytes += table.piece_bytes();
                return true;
            }
            let before = table.value_bytes;
            if table.let_one_go() {
                self.bytes -= before - table.value_bytes;
                continue;
            }
            // Who has no row yet takes the memory of those who have most.
            let own = *number;
            let others = (0..self.all.len()).filter(|&other| other != own);
            let Some(largest) = others.max_by_key(|&other| self.all[other].bytes()) else {
                return false;
            };
            if self.all[largest].bytes() == 0 {
                return false;
            }
            self.drop_table(largest);
            if *number == self.all.len() {
                *number = largest;
            }
        }
    }

    fn keep(&mut self, shape: &RowShape, row: NewRow<'_>, bytes_max: u64) {
        debug_assert_eq!(row.words.len(), shape.words, "a row has its shape");
        let Some(key) = key_words(row.key) else {
            return;
        };
        let hash = xxh3_64(row.key);
        let mut number = self.number(shape);
        let before = self.all[number].value_bytes;
        self.all[number].forget(hash);
        self.bytes -= before - self.all[number].value_bytes;
        if !self.make_room(&mut number, bytes_max) {
            return;
        }
        let table = &mut self.all[number];
        let before = table.value_bytes;
        table.put(hash, &key, row.words, row.values);
        self.bytes += table.value_bytes - before;
        // What is no word may be large.
        while self.bytes > bytes_max {
            let before = table.value_bytes;
            if !table.let_one_go() {
                break;
            }
            self.bytes -= before - table.value_bytes;
        }
    }
}

/// A row to be kept.
pub struct NewRow<'a> {
    /// The key that it is of.
    pub key: &'a [u8],
    /// As many as its shape says.
    pub words: &'a [u64],
    /// As many as its shape says.
    pub values: Box<[Value]>,
}

impl KeptRows {
    /// Rows that together take about so many bytes at most.
    pub(super) fn new(bytes_max: u64) -> Self {
        KeptRows {
            bytes_max,
            tables: RwLock::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at what is kept.
    pub(super) fn reads(&self) -> KeptReads<'_> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        KeptReads { kept: self, tables }
    }

    /// Keeps rows in place of those that were kept of their keys. Answers about the bytes that
    /// all take.
    pub(super) fn keep<'k>(
        &self,
        shape: &RowShape,
        rows: impl IntoIterator<Item = NewRow<'k>>,
    ) -> u64 {
        let mut tables = self.write();
        for row in rows {
            tables.keep(shape, row, self.bytes_max);
        }
        tables.bytes
    }

    /// Forgets what is made of a key's events in an index.
    pub(super) fn forget(&mut self, index: usize, key: &[u8]) {
        let tables = self.tables.get_mut();
        let Tables { all, bytes, .. } = tables.unwrap_or_else(PoisonError::into_inner);
        // Whoever loads events reads nothing.
        if all.is_empty() {
            return;
        }
        let hash = xxh3_64(key);
        for table in all {
            if table.shape.indexes.contains(&index) {
                let before = table.value_bytes;
                table.forget(hash);
                *bytes -= before - table.value_bytes;
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        let before = std::mem::take(&mut *self.write());
        drop(before);
    }

    pub(super) fn counts(&self) -> KeptCounts {
        let reads = self.reads();
        let rows = reads.tables.all.iter().map(|table| table.places.len());
        KeptCounts {
            rows: rows.sum::<usize>() as u64,
            bytes: reads.tables.bytes,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

impl KeptReads<'_> {
    /// What is kept of each of some keys. Goes in steps over all of them, as the loads of one
    /// step do not wait for each other.
    pub fn find(&self, shape: &RowShape, keys: &[&[u8]]) -> Vec<Option<KeptRow<'_>>> {
        let found = self.look(shape, keys);
        let hits = found.iter().flatten().count();
        let misses = (found.len() - hits) as u64;
        self.kept.hits.fetch_add(hits as u64, Ordering::Relaxed);
        self.kept.misses.fetch_add(misses, Ordering::Relaxed);
        found
    }

    fn look(&self, shape: &RowShape, keys: &[&[u8]]) -> Vec<Option<KeptRow<'_>>> {
        let tables = &*self.tables;
        let Some(table) = tables.all.iter().find(|table| table.shape == *shape) else {
            return vec![None; keys.len()];
        };
        let now = tables.asked.fetch_add(1, Ordering::Relaxed) + 1;
        table.last_asked.store(now, Ordering::Relaxed);
        let hashes: Vec<u64> = keys.iter().map(|key| xxh3_64(key)).collect();
        let places: Vec<Option<u32>> = hashes
            .iter()
            .map(|hash| table.places.get(hash).copied())
            .collect();
        let rows: Vec<Option<&[u64]>> = places
            .iter()
            .map(|place| place.map(|place| table.at(place as usize)))
            .collect();
        for line in (0..table.row_words()).step_by(LINE_WORDS) {
            let touched = rows.iter().flatten().map(|row| row[line]);
            // Without a use the loads would be left out.
            std::hint::black_box(touched.fold(0, u64::wrapping_add));
        }
        let of_key = |(number, key): (usize, &&[u8])| {
            let (place, row) = (places[number]? as usize, rows[number]?);
            let (its_key, words) = row.split_at(KEY_WORDS);
            if key_words(key)? != *its_key {
                return None;
            }
            let was_used = &table.were_used[place];
            if !was_used.load(Ordering::Relaxed) {
                was_used.store(true, Ordering::Relaxed);
            }
            let values = table.values_at(place);
            Some(KeptRow { words, values })
        };
        keys.iter().enumerate().map(of_key).collect()
    }
}

/// A key as words; none of one that is too long.
fn key_words(key: &[u8]) -> Option<[u64; KEY_WORDS]> {
    if key.len() > KEY_BYTES_MAX {
        return None;
    }
    let mut words = [0; KEY_WORDS];
    words[0] = key.len() as u64;
    for (word, bytes) in words[1..].iter_mut().zip(key.chunks(8)) {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_le_bytes(eight);
    }
    Some(words)
}

/// About the bytes of values in memory.
fn bytes_of(values: &[Value]) -> u64 {
    let of = |value: &Value| match value {
        Value::String(text) => text.len() as u64,
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::Array(items) | Value::Struct(items) => bytes_of(items),
        _ => 0,
    };
    let own = size_of_val(values) as u64;
    own + values.iter().map(of).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const INDEXES: usize = 3;

    /// Shape number `n` is over the indexes `n` and, if there is one, `n + 1`; one has values.
    fn shape(number: u8) -> RowShape {
        let own = usize::from(number);
        RowShape {
            name: [number; 16],
            indexes: (own..INDEXES.min(own + 2)).collect(),
            words: 1 + 20 * own,
            values: usize::from(number == 1),
        }
    }

    fn key(number: u8) -> Vec<u8> {
        match number {
            // As long as may be, and too long.
            0 => vec![7; KEY_BYTES_MAX],
            1 => vec![7; KEY_BYTES_MAX + 1],
            _ => vec![number; 1 + usize::from(number % 20)],
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Keep(u8, Vec<u8>, u64),
        Forget(usize, u8),
        Find(u8, Vec<u8>),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        let keys = proptest::collection::vec(0..200u8, 1..60);
        prop_oneof![
            8 => (0..INDEXES as u8, keys.clone(), any::<u64>())
                .prop_map(|(shape, keys, word)| Step::Keep(shape, keys, word)),
            8 => (0..INDEXES, 0..200u8).prop_map(|(index, key)| Step::Forget(index, key)),
            8 => (0..INDEXES as u8, keys).prop_map(|(shape, keys)| Step::Find(shape, keys)),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        /// What is found is what was kept last and not forgotten since; it takes no more than it
        /// may.
        #[test]
        fn rows_are_those_that_were_kept_last(
            steps in proptest::collection::vec(step(), 1..120),
            bytes_max in prop_oneof![Just(0u64), 20_000..120_000u64],
        ) {
            let mut kept = KeptRows::new(bytes_max);
            let mut last: BTreeMap<(u8, u8), u64> = BTreeMap::new();
            let mut hits = 0;
            for step in steps {
                match step {
                    Step::Keep(number, keys, word) => {
                        let shape = shape(number);
                        let bytes: Vec<Vec<u8>> = keys.iter().map(|&k| key(k)).collect();
                        let words = vec![word; shape.words];
                        let text = Value::from(word.to_string().as_str());
                        let rows = bytes.iter().map(|key| NewRow {
                            key,
                            words: &words,
                            values: vec![text.clone(); shape.values].into(),
                        });
                        kept.keep(&shape, rows);
                        last.extend(keys.iter().map(|&key| ((number, key), word)));
                    }
                    Step::Forget(index, number) => {
                        kept.forget(index, &key(number));
                        let is_over = |shaped: u8| shape(shaped).indexes.contains(&index);
                        last.retain(|(shaped, key), _| *key != number || !is_over(*shaped));
                    }
                    Step::Find(number, keys) => {
                        let shape = shape(number);
                        let bytes: Vec<Vec<u8>> = keys.iter().map(|&k| key(k)).collect();
                        let slices: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
                        let reads = kept.reads();
                        for (found, key) in reads.find(&shape, &slices).into_iter().zip(keys) {
                            let Some(found) = found else {
                                continue;
                            };
                            hits += 1;
                            let word = last.get(&(number, key)).copied();
                            prop_assert_ne!(key, 1);
                            prop_assert_eq!(Some(found.words), word.map(|w| vec![w; shape.words]).as_deref());
                            let text = word.map(|w| Value::from(w.to_string().as_str()));
                            prop_assert_eq!(found.values, vec![text.unwrap(); shape.values]);
                        }
                    }
                    Step::Clear => {
                        kept.clear();
                        last.clear();
                    }
                }
                let tables = kept.tables.read().unwrap();
                prop_assert_eq!(tables.bytes, tables.all.iter().map(Table::bytes).sum::<u64>());
                prop_assert!(tables.bytes <= bytes_max);
                for table in &tables.all {
                    let values = table.values.iter().map(|values| bytes_of(values));
                    prop_assert_eq!(table.value_bytes, values.sum::<u64>());
                    prop_assert_eq!(table.places.len() + table.free.len(), table.hashes.len());
                }
                drop(tables);
                prop_assert_eq!(kept.counts().hits, hits);
            }
        }
    }

    #[test]
    fn rows_stay_as_long_as_there_is_room() {
        let kept = KeptRows::new(1 << 20);
        let shape = shape(0);
        let keys: Vec<[u8; 2]> = (0..1_000u16).map(u16::to_be_bytes).collect();
        let words: Vec<u64> = (0..1_000).collect();
        let rows = keys.iter().zip(words.chunks(1)).map(|(key, words)| NewRow {
            key,
            words,
            values: [].into(),
        });
        kept.keep(&shape, rows);
        let slices: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let reads = kept.reads();
        let found = reads.find(&shape, &slices);
        let found: Vec<u64> = found.iter().map(|row| row.unwrap().words[0]).collect();
        assert_eq!(found, words);
    }

    #[test]
    fn what_is_asked_for_stays_when_others_come() {
        let shape = shape(0);
        let mut table = Table::new(&shape);
        table.grow();
        let room = table.piece_bytes();
        let kept = KeptRows::new(room);
        let words = [1];
        let new = |key| NewRow {
            key,
            words: &words,
            values: [].into(),
        };
        kept.keep(&shape, [new(b"asked for")]);
        for number in 0..200u8 {
            assert!(kept.reads().find(&shape, &[b"asked for"])[0].is_some());
            kept.keep(&shape, [new(&[number])]);
        }
        assert_eq!(kept.counts().rows, PIECE_ROWS as u64);
        // Another kind of rows takes its memory.
        let other = RowShape {
            name: [9; 16],
            ..shape.clone()
        };
        kept.keep(&other, [new(b"x")]);
        assert!(kept.reads().find(&other, &[b"x"])[0].is_some());
        assert!(kept.reads().find(&shape, &[b"asked for"])[0].is_none());
    }
}
