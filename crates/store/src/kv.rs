//! The seam to a key-value store.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::StoreError;

/// A group of rows with an order of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Few rows about the whole store: format, applied cut, indexes.
    Meta,
    /// Per key of an index: its directory and its delta runs.
    Runs,
    /// Sealed blocks.
    Blocks,
    /// Identities of events.
    Identities,
    /// Entries that more than position and time decides about.
    Contested,
    /// Event ids by time, where a source deduplicates.
    EventIds,
}

impl Space {
    /// Every space.
    pub const ALL: [Space; 6] = [
        Space::Meta,
        Space::Runs,
        Space::Blocks,
        Space::Identities,
        Space::Contested,
        Space::EventIds,
    ];

    /// Its name on disk.
    pub fn name(self) -> &'static str {
        match self {
            Space::Meta => "meta",
            Space::Runs => "runs",
            Space::Blocks => "blocks",
            Space::Identities => "identities",
            Space::Contested => "contested",
            Space::EventIds => "event_ids",
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Changes that become visible and durable together. A later change of a row wins.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// (space, key, value), or no value: the row is removed.
    pub(crate) changes: Vec<(Space, Vec<u8>, Option<Vec<u8>>)>,
    bytes: usize,
}

impl Batch {
    /// So many more changes are about to come: what holds them is not moved meanwhile.
    pub fn expect(&mut self, changes: usize) {
        self.changes.reserve(changes);
    }

    /// Sets a row.
    pub fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.changes.push((space, key, Some(value)));
    }

    /// Removes a row, if there is one.
    pub fn remove(&mut self, space: Space, key: Vec<u8>) {
        self.bytes += key.len();
        self.changes.push((space, key, None));
    }

    /// The number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What [`Snapshot::range`] calls with every row: key and value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError> + 'a;

/// What [`Snapshot::examine`] calls with every row: key, and value or what is wrong with it.
pub type Examine<'a> = dyn FnMut(&[u8], Result<&[u8], StoreError>) + 'a;

/// What [`Snapshot::examine_until`] calls with every row, until it breaks off.
pub type ExamineUntil<'a> = dyn FnMut(&[u8], Result<&[u8], StoreError>) -> ControlFlow<()> + 'a;

/// Rows as they were at one moment. Every row is checked when it is read.
pub trait Snapshot: Send + Sync + fmt::Debug {
    /// The value of a row.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Rows with `from <= key < to`, ascending by key bytes, until `visit` breaks off.
    fn range(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError>;

    /// Every row of a space, ascending, also those that are damaged: for who looks for damage.
    fn examine(&self, space: Space, visit: &mut Examine<'_>) -> Result<(), StoreError> {
        self.examine_until(space, &mut |key, value| {
            visit(key, value);
            ControlFlow::Continue(())
        })
    }

    /// The same, until `visit` breaks off.
    fn examine_until(&self, space: Space, visit: &mut ExamineUntil<'_>) -> Result<(), StoreError>;

    /// Rows whose key begins with a prefix, ascending.
    fn prefix(&self, space: Space, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// A store of rows: any number of readers; writes come one after another.
pub trait Kv: Send + Sync + fmt::Debug {
    /// Makes all changes, durably, or none. After an error the store must be opened again.
    fn write(&self, batch: Batch) -> Result<(), StoreError>;

    /// Puts what was written, if it was much, where it is found without being read again when the store is
    /// opened. To be called when nothing more is written; it changes no row.
    ///
    /// # Errors
    /// Of the files; what was written is durable all the same.
    fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The rows as they are now.
    fn snapshot(&self) -> Arc<dyn Snapshot>;

    /// The value of a row as it is now.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.snapshot().get(space, key)
    }
}
