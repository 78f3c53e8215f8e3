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

mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use evenkeel_types::Value;
use table::{KEY_WORDS, Table, key_words};
use xxhash_rust::xxh3::xxh3_64;

/// Kinds of rows that are kept at a time; another takes the place of the one that was not asked
/// for the longest.
const TABLES_MAX: usize = 16;
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

/// A look at rows that are kept: none comes or goes meanwhile.
pub struct KeptReads<'a> {
    kept: &'a KeptRows,
    tables: RwLockReadGuard<'a, Tables>,
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
