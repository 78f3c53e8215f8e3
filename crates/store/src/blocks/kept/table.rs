//! Rows of one shape, each with its key in front, in pieces of memory that stay where they are.

use std::sync::atomic::{AtomicBool, AtomicU64};

use evenkeel_types::Value;
use rustc_hash::FxHashMap;

use super::RowShape;

/// Rows that get their memory at once.
pub(super) const PIECE_ROWS: usize = 64;
/// Rows of longer keys are not kept.
pub const KEY_BYTES_MAX: usize = 80;
/// The length of a key, and its bytes.
pub(super) const KEY_WORDS: usize = 1 + KEY_BYTES_MAX / 8;
/// About the bytes of a row besides its words and values: its places in maps and lists.
const ROW_BYTES: usize = 64;

/// Rows of one shape.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) shape: RowShape,
    /// Where the row of a hash is. Of two keys with one hash only one is kept.
    pub(super) places: FxHashMap<u64, u32>,
    /// By place: the key, then the words.
    pieces: Vec<Box<[u64]>>,
    /// By place; empty if rows of the shape have none.
    pub(super) values: Vec<Box<[Value]>>,
    /// By place: the hash of what is there.
    pub(super) hashes: Vec<Option<u64>>,
    /// By place: whether it was asked for since the hand was here.
    pub(super) were_used: Vec<AtomicBool>,
    pub(super) free: Vec<u32>,
    hand: usize,
    /// When it was looked into last, by the number of looks.
    pub(super) last_asked: AtomicU64,
    /// Of the values.
    pub(super) value_bytes: u64,
}

impl Table {
    pub(super) fn new(shape: &RowShape) -> Self {
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

    pub(super) fn row_words(&self) -> usize {
        KEY_WORDS + self.shape.words
    }

    pub(super) fn piece_bytes(&self) -> u64 {
        (PIECE_ROWS * (self.row_words() * 8 + ROW_BYTES)) as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        self.pieces.len() as u64 * self.piece_bytes() + self.value_bytes
    }

    /// The key and the words at a place.
    pub(super) fn at(&self, place: usize) -> &[u64] {
        let begin = place % PIECE_ROWS * self.row_words();
        &self.pieces[place / PIECE_ROWS][begin..begin + self.row_words()]
    }

    pub(super) fn values_at(&self, place: usize) -> &[Value] {
        self.values.get(place).map_or(&[], |values| &values[..])
    }

    /// Room for some more rows.
    pub(super) fn grow(&mut self) {
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

    pub(super) fn put(
        &mut self,
        hash: u64,
        key: &[u64; KEY_WORDS],
        words: &[u64],
        values: Box<[Value]>,
    ) {
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
    pub(super) fn forget(&mut self, hash: u64) -> bool {
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

    /// Gives its last piece back, with the rows that are there; whether there was any.
    pub(super) fn give_piece(&mut self) -> bool {
        if self.pieces.pop().is_none() {
            return false;
        }
        let end = self.pieces.len() * PIECE_ROWS;
        for hash in self.hashes.split_off(end).into_iter().flatten() {
            self.places.remove(&hash);
        }
        self.were_used.truncate(end);
        let values = match self.values.len() > end {
            true => self.values.split_off(end),
            false => Vec::new(),
        };
        self.value_bytes -= values.iter().map(|values| bytes_of(values)).sum::<u64>();
        self.free.retain(|&place| (place as usize) < end);
        true
    }

    /// Forgets a row that was not asked for lately; whether there was any.
    pub(super) fn let_one_go(&mut self) -> bool {
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

/// A key as words; none of one that is too long.
pub(super) fn key_words(key: &[u8]) -> Option<[u64; KEY_WORDS]> {
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
pub(super) fn bytes_of(values: &[Value]) -> u64 {
    let of = |value: &Value| match value {
        Value::String(text) => text.len() as u64,
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::Array(items) | Value::Struct(items) => bytes_of(items),
        _ => 0,
    };
    let own = size_of_val(values) as u64;
    own + values.iter().map(of).sum::<u64>()
}
