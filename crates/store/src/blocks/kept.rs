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
pub use table::KEY_BYTES_MAX;
use table::{KEY_WORDS, Table, bytes_of, key_words};
use xxhash_rust::xxh3::xxh3_64;

/// Kinds of rows that are kept at a time; more are not, unless one of these is not asked for any
/// more.
const TABLES_MAX: usize = 32;
/// After so many looks into others nobody is taken to ask for a kind.
const IDLE_LOOKS: u64 = 10_000;
/// Values that are no words take at most one part in so many of the memory, by row.
const VALUES_PART: u64 = 8;
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
    /// Rows that were read from here, since the store was opened.
    pub hits: u64,
    /// Rows that were not kept when they were read.
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
pub(super) struct Tables {
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
    /// The number of the table of a shape, which is made if there is none; none if there are too
    /// many that are asked for. What takes no place any more goes to `gone`.
    fn number(&mut self, shape: &RowShape, gone: &mut Vec<Table>) -> Option<usize> {
        if let Some(known) = self.all.iter().position(|table| table.shape == *shape) {
            return Some(known);
        }
        if self.all.len() >= TABLES_MAX {
            let idle = self.idle()?;
            let table = self.all.swap_remove(idle);
            self.bytes -= table.bytes();
            gone.push(table);
        }
        let table = Table::new(shape);
        table.last_asked.store(self.now(), Ordering::Relaxed);
        self.all.push(table);
        Some(self.all.len() - 1)
    }

    fn now(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// The table that nobody has looked into for the longest, if that is long.
    fn idle(&self) -> Option<usize> {
        let asked = |number: usize| self.all[number].last_asked.load(Ordering::Relaxed);
        let oldest = (0..self.all.len()).min_by_key(|&number| asked(number))?;
        (self.now() - asked(oldest) > IDLE_LOOKS).then_some(oldest)
    }

    /// Whose memory a table is given that has no room: of who is not asked for, or has far more.
    fn donor(&self, own: usize) -> Option<usize> {
        let idle = self.idle().filter(|&idle| self.all[idle].bytes() > 0);
        let largest = (0..self.all.len()).max_by_key(|&number| self.all[number].bytes())?;
        let (most, has) = (self.all[largest].bytes(), self.all[own].bytes());
        let has_more = largest != own && most > 2 * has;
        idle.filter(|&idle| idle != own)
            .or(has_more.then_some(largest))
    }

    /// Makes room for a row in a table, of which all have at most so many bytes; whether it could.
    fn make_room(&mut self, number: usize, bytes_max: u64) -> bool {
        let piece_bytes = self.all[number].piece_bytes();
        if piece_bytes > bytes_max {
            return false;
        }
        while self.all[number].free.is_empty() {
            if self.bytes + piece_bytes <= bytes_max {
                self.all[number].grow();
                self.bytes += piece_bytes;
                return true;
            }
            let donor = self.donor(number);
            let table = &mut self.all[donor.unwrap_or(number)];
            let before = table.bytes();
            let has_given = match donor {
                Some(_) => table.give_piece(),
                None => table.let_one_go(),
            };
            self.bytes -= before - table.bytes();
            if !has_given {
                return false;
            }
        }
        true
    }

    fn keep(&mut self, shape: &RowShape, row: NewRow<'_>, bytes_max: u64, gone: &mut Vec<Table>) {
        debug_assert_eq!(row.words.len(), shape.words, "a row has its shape");
        let Some(key) = key_words(row.key) else {
            return;
        };
        // What is no word may be large: others are not to leave for it.
        if bytes_of(&row.values) > bytes_max / VALUES_PART {
            return;
        }
        let Some(number) = self.number(shape, gone) else {
            return;
        };
        let hash = xxh3_64(row.key);
        let before = self.all[number].bytes();
        self.all[number].forget(hash);
        self.bytes -= before - self.all[number].bytes();
        if !self.make_room(number, bytes_max) {
            return;
        }
        let table = &mut self.all[number];
        let before = table.bytes();
        table.put(hash, &key, row.words, row.values);
        self.bytes += table.bytes() - before;
        while self.bytes > bytes_max {
            let before = table.bytes();
            if !table.let_one_go() {
                break;
            }
            self.bytes -= before - table.bytes();
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
        let mut gone = Vec::new();
        let bytes = {
            let mut tables = self.write();
            for row in rows {
                tables.keep(shape, row, self.bytes_max, &mut gone);
            }
            tables.bytes
        };
        // Nobody waits for memory that is given back.
        drop(gone);
        bytes
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

    /// Forgets everything. Answers what it was, to be dropped when nobody waits.
    pub(super) fn clear(&self) -> Tables {
        std::mem::take(&mut *self.write())
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
    /// Rows were read, so many from here, and so many not.
    pub fn count(&self, hits: usize, misses: usize) {
        self.kept.hits.fetch_add(hits as u64, Ordering::Relaxed);
        self.kept.misses.fetch_add(misses as u64, Ordering::Relaxed);
    }

    /// What is kept of each of some keys. Goes in steps over all of them, as the loads of one
    /// step do not wait for each other.
    pub fn find(&self, shape: &RowShape, keys: &[&[u8]]) -> Vec<Option<KeptRow<'_>>> {
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
