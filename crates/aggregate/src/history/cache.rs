//! States that are computed when first asked for and kept.
//!
//! A kept state stands for the first `covered` entries of its block or node. Entries that
//! arrive behind those leave it valid: a reader adds the rest. An entry that arrives among
//! them drops it. Filling needs no exclusive access, so readers of a shared history may.

use std::sync::OnceLock;

/// A kept state and how many entries it stands for.
#[derive(Clone, Debug)]
pub(super) struct Kept<T> {
    pub(super) covered: usize,
    pub(super) state: T,
}

/// Slots of the first chunk; each further one has twice as many.
const CHUNK: usize = 8;

/// Lazily filled places, numbered from 0, without an upper limit.
#[derive(Clone, Debug)]
pub(super) struct Cache<T> {
    chunk: OnceLock<Box<Chunk<T>>>,
}

#[derive(Clone, Debug)]
struct Chunk<T> {
    places: Box<[OnceLock<Kept<T>>]>,
    next: Cache<T>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Cache {
            chunk: OnceLock::new(),
        }
    }
}

impl<T> Cache<T> {
    /// What is kept at a place.
    pub(super) fn get(&self, index: usize) -> Option<&Kept<T>> {
        let (mut cache, mut index, mut size) = (self, index, CHUNK);
        loop {
            let chunk = cache.chunk.get()?;
            if index < size {
                return chunk.places[index].get();
            }
            index -= size;
            size *= 2;
            cache = &chunk.next;
        }
    }

    /// Keeps a state unless one is kept already; gives back what is kept.
    pub(super) fn keep(&self, index: usize, kept: Kept<T>) -> &Kept<T> {
        let (mut cache, mut index, mut size) = (self, index, CHUNK);
        loop {
            let chunk = cache.chunk.get_or_init(|| {
                Box::new(Chunk {
                    places: (0..size).map(|_| OnceLock::new()).collect(),
                    next: Cache::default(),
                })
            });
            if index < size {
                return chunk.places[index].get_or_init(|| kept);
            }
            index -= size;
            size *= 2;
            cache = &chunk.next;
        }
    }

    /// Drops what an entry inserted at `rank` makes wrong, and what then lags more than
    /// `lag` behind `length` entries.
    pub(super) fn entry_inserted(&mut self, rank: usize, length: usize, lag: usize) {
        self.retain(|kept| kept.covered <= rank && length - kept.covered <= lag);
    }

    /// Drops what stands for more than the first `length` entries.
    pub(super) fn truncate(&mut self, length: usize) {
        self.retain(|kept| kept.covered <= length);
    }

    fn retain(&mut self, wanted: impl Fn(&Kept<T>) -> bool) {
        let mut cache = self;
        while let Some(chunk) = cache.chunk.get_mut() {
            for place in &mut chunk.places {
                if place.get().is_some_and(|kept| !wanted(kept)) {
                    place.take();
                }
            }
            cache = &mut chunk.next;
        }
    }
}
