//! The embedded store: fjall, in one directory. The only module that names it.

mod versions;

use std::fs;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::park_timeout;
use std::time::Duration;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable};

use crate::error::StoreError;
use crate::kv::{Batch, ExamineUntil, Kv, Snapshot, Space, Visit};
use crate::mark::{self, io_error, sync_directory};
use crate::row;

const DATABASE: &str = "rows";
const MARK: &str = "mark";
/// Why it was refused, if it was.
const REFUSED: &str = "refused";
/// The space and the row that count writes: every write sets it.
const WRITES: &str = "writes";
const NUMBER: &[u8] = b"number";
/// The row of that space with the names of the spaces that have the number, too.
const NUMBERED: &[u8] = b"spaces";
/// The row with the number in every space, behind all others, and seen by nobody. The embedded
/// store takes a space whose files are gone for a new one, and one with older files for what
/// they say; the numbers do not agree then.
const NUMBER_IN_SPACE: &[u8] = b"\xff\xff\xff\xff\xff\xff\xff\xffnumber";
/// What opening takes of the memory at the least, per space.
const MEMTABLE_BYTES_MIN: u64 = 1 << 20;
const MEMTABLE_BYTES_MAX: u64 = 32 << 20;
/// Less is read again when the store is opened, and not noticed.
const UNSETTLED_BYTES_MAX: usize = 16 << 20;
/// It is waited for that to be in tables for so many times as long, at most.
const SETTLE_LOOKS_MAX: usize = 6_000;
const SETTLE_LOOK: Duration = Duration::from_millis(5);
/// Threads of the embedded store, however few processors there are. The first only writes out what is
/// in memory, and hands a compaction that it is asked for on; with one other, which is at another
/// compaction, it hands it on to itself, as fast as it can, until that is done.
const WORKER_THREADS: usize = 4;

/// Rows in an embedded log-structured merge tree.
///
/// It numbers its writes and keeps the number in a file of its own: a store that comes back
/// with a smaller number has lost writes that were acknowledged, whatever it says.
pub struct EmbeddedKv {
    database: Database,
    spaces: Arc<Spaces>,
    writes: Keyspace,
    /// Of the last write. Held while one is written: they come one after another.
    number: Mutex<u64>,
    /// About the bytes that were written since they were settled.
    unsettled: AtomicUsize,
    mark: PathBuf,
}

struct Spaces([Keyspace; Space::ALL.len()]);

impl Spaces {
    fn of(&self, space: Space) -> &Keyspace {
        &self.0[space as usize]
    }
}

/// What opening found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Acknowledged writes that are missing: the caller must bring them back from the log.
    pub lost_writes: u64,
}

impl std::fmt::Debug for EmbeddedKv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedKv")
            .field("mark", &self.mark)
            .finish_non_exhaustive()
    }
}

fn embedded(operation: &'static str) -> impl Fn(fjall::Error) -> StoreError {
    move |error| StoreError::Embedded {
        operation,
        reason: error.to_string(),
    }
}

/// The words of a panic of the embedded store.
fn damaged(operation: &'static str, panic: &(dyn std::any::Any + Send)) -> StoreError {
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it does not say");
    StoreError::Embedded {
        operation,
        reason: format!("its files are damaged: {words}"),
    }
}

/// Calls the embedded store, which asserts what it finds in its files: damaged ones would end
/// the process; here they are an error.
fn guarded<T>(
    operation: &'static str,
    call: impl FnOnce() -> Result<T, fjall::Error>,
) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(embedded(operation)),
        Err(panic) => Err(damaged(operation, panic.as_ref())),
    }
}

impl EmbeddedKv {
    /// Opens a store, creating it if there is none: beside its place, then renamed, so that
    /// a process that dies in between leaves nothing that cannot be opened. It uses about
    /// `memory_bytes` for what is not yet in tables and for their blocks.
    pub fn open(directory: &Path, memory_bytes: u64) -> Result<(Self, Opened), StoreError> {
        if !directory.exists() {
            let beside = directory.with_extension("new");
            if beside.exists() {
                fs::remove_dir_all(&beside).map_err(io_error("remove", &beside))?;
            }
            fs::create_dir_all(&beside).map_err(io_error("create", &beside))?;
            drop(Self::open_at(&beside, memory_bytes)?);
            sync_directory(&beside)?;
            fs::rename(&beside, directory).map_err(io_error("rename", &beside))?;
            directory.parent().map_or(Ok(()), sync_directory)?;
        }
        refuse_again(directory)?;
        let store = Self::open_at(directory, memory_bytes)?;
        let number = *store.number.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(odd) = refuse_odd_spaces(&store.writes, &store.spaces, number) {
            remember_refusal(directory, &odd)?;
            return Err(odd);
        }
        let marked = mark::read(&store.mark);
        let lost_writes = marked.saturating_sub(number);
        Ok((store, Opened { lost_writes }))
    }

    /// Whether a store in a directory was written to.
    pub fn is_begun(directory: &Path) -> bool {
        mark::read(&directory.join(MARK)) > 0
    }

    /// Opens what is there.
    fn open_at(directory: &Path, memory_bytes: u64) -> Result<Self, StoreError> {
        catch_unwind(|| Self::open_unguarded(directory, memory_bytes))
            .unwrap_or_else(|panic| Err(damaged("open", panic.as_ref())))
    }

    fn open_unguarded(directory: &Path, memory_bytes: u64) -> Result<Self, StoreError> {
        versions::refuse_odd(&directory.join(DATABASE))?;
        let database = guarded("open", || {
            Database::builder(directory.join(DATABASE))
                .cache_size(memory_bytes / 4)
                .manual_journal_persist(true)
                .worker_threads(WORKER_THREADS)
                .open()
        })?;
        let opened = Self::over(database.clone(), directory, memory_bytes);
        if opened.is_err() {
            // After a panic of its own it panics when it is dropped; while another panic is
            // under way that would end the process.
            let _ = catch_unwind(AssertUnwindSafe(move || drop(database)));
        }
        opened
    }

    fn over(database: Database, directory: &Path, memory_bytes: u64) -> Result<Self, StoreError> {
        let memtable_bytes = memory_bytes / (2 * Space::ALL.len() as u64);
        let memtable_bytes = memtable_bytes.clamp(MEMTABLE_BYTES_MIN, MEMTABLE_BYTES_MAX);
        let options = || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes);
        let mut spaces = Vec::with_capacity(Space::ALL.len());
        for space in Space::ALL {
            let keyspace = guarded("open a space", || database.keyspace(space.name(), options))?;
            spaces.push(keyspace);
        }
        let spaces = spaces.try_into().map_err(|_| StoreError::Embedded {
            operation: "open",
            reason: "a space is missing".to_owned(),
        })?;
        let writes = guarded("open a space", || database.keyspace(WRITES, options))?;
        guarded("sync", || database.persist(PersistMode::SyncAll))?;
        let number = number_in(&writes, Space::Meta, NUMBER)?;
        let spaces = Spaces(spaces);
        Ok(EmbeddedKv {
            spaces: Arc::new(spaces),
            writes,
            number: Mutex::new(number),
            unsettled: AtomicUsize::new(0),
            mark: directory.join(MARK),
            database,
        })
    }
}

/// A number that was written; 0 if there is none.
fn number_in(keyspace: &Keyspace, space: Space, key: &[u8]) -> Result<u64, StoreError> {
    let Some(sealed) = guarded("read", || keyspace.get(key))? else {
        return Ok(0);
    };
    let bytes = row::open(space, key, &sealed)?;
    Ok(bytes.try_into().map_or(0, u64::from_le_bytes))
}

/// Remembers why a store was refused: opening it may have changed what is there, so that the
/// next opening would not notice.
fn remember_refusal(directory: &Path, error: &StoreError) -> Result<(), StoreError> {
    let path = directory.join(REFUSED);
    fs::write(&path, error.to_string()).map_err(io_error("write", &path))
}

fn refuse_again(directory: &Path) -> Result<(), StoreError> {
    match fs::read_to_string(directory.join(REFUSED)) {
        Ok(reason) => Err(StoreError::Embedded {
            operation: "be used any more",
            reason,
        }),
        Err(_) => Ok(()),
    }
}

/// Every space must be of the same write.
fn refuse_odd_spaces(writes: &Keyspace, spaces: &Spaces, number: u64) -> Result<(), StoreError> {
    let numbered = match guarded("read", || writes.get(NUMBERED))? {
        Some(sealed) => row::open(Space::Meta, NUMBERED, &sealed)?.to_vec(),
        None => Vec::new(),
    };
    let is_numbered = |space: &Space| {
        numbered
            .split(|byte| *byte == b' ')
            .any(|n| n == space.name().as_bytes())
    };
    // Without the number of all there should be none in a space either.
    for space in Space::ALL
        .into_iter()
        .filter(|s| number == 0 || is_numbered(s))
    {
        let found = number_in(spaces.of(space), space, NUMBER_IN_SPACE)?;
        if found != number {
            return Err(StoreError::Embedded {
                operation: "open",
                reason: format!(
                    "its files are damaged: `{space}` is as of write {found}, the others are as of {number}"
                ),
            });
        }
    }
    Ok(())
}

impl Kv for EmbeddedKv {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let mut last = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *last + 1;
        let bytes = batch.bytes();
        let room = batch.len() + Space::ALL.len() + 2;
        let changes = OwnedWriteBatch::with_capacity(self.database.clone(), room);
        let mut changes = changes.durability(Some(PersistMode::SyncAll));
        for (space, key, value) in batch.changes {
            let keyspace = self.spaces.of(space);
            match value {
                Some(value) => {
                    let sealed = row::seal(space, &key, value);
                    changes.insert(keyspace, key, sealed);
                }
                None => changes.remove(keyspace, key),
            }
        }
        for space in Space::ALL {
            let sealed = row::seal(space, NUMBER_IN_SPACE, number.to_le_bytes().to_vec());
            changes.insert(self.spaces.of(space), NUMBER_IN_SPACE, sealed);
        }
        let sealed = row::seal(Space::Meta, NUMBER, number.to_le_bytes().to_vec());
        changes.insert(&self.writes, NUMBER, sealed);
        let names = Space::ALL.map(Space::name).join(" ").into_bytes();
        changes.insert(
            &self.writes,
            NUMBERED,
            row::seal(Space::Meta, NUMBERED, names),
        );
        guarded("write", || changes.commit())?;
        *last = number;
        self.unsettled.fetch_add(bytes, Ordering::Relaxed);
        mark::write(&self.mark, number)
    }

    fn settle(&self) -> Result<(), StoreError> {
        if self.unsettled.swap(0, Ordering::Relaxed) <= UNSETTLED_BYTES_MAX {
            return Ok(());
        }
        let spaces = || self.spaces.0.iter().chain([&self.writes]);
        for keyspace in spaces() {
            guarded("settle", || keyspace.rotate_memtable().map(drop))?;
        }
        // Its own threads write them. One that fails says nothing, so there is an end to the waiting.
        let are_written = || spaces().all(|keyspace| keyspace.sealed_memtable_count() == 0);
        for _ in 0..SETTLE_LOOKS_MAX {
            if are_written() {
                return Ok(());
            }
            park_timeout(SETTLE_LOOK);
        }
        Err(StoreError::Embedded {
            operation: "settle",
            reason: "what was written last is not in tables yet".to_owned(),
        })
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        Arc::new(EmbeddedSnapshot {
            snapshot: self.database.snapshot(),
            spaces: Arc::clone(&self.spaces),
        })
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = guarded("read", || self.spaces.of(space).get(key))?;
        found
            .map(|sealed| row::open(space, key, &sealed).map(<[u8]>::to_vec))
            .transpose()
    }
}

struct EmbeddedSnapshot {
    snapshot: fjall::Snapshot,
    spaces: Arc<Spaces>,
}

impl std::fmt::Debug for EmbeddedSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedSnapshot").finish_non_exhaustive()
    }
}

/// The next row, if there is one.
fn next(rows: &mut fjall::Iter) -> Result<Option<fjall::KvPair>, StoreError> {
    loop {
        let row = guarded("read", || {
            rows.next().map(|row| row.into_inner()).transpose()
        })?;
        match row {
            Some((key, _)) if &*key == NUMBER_IN_SPACE => {}
            row => return Ok(row),
        }
    }
}

fn visit_all(space: Space, mut rows: fjall::Iter, visit: &mut Visit<'_>) -> Result<(), StoreError> {
    while let Some((key, sealed)) = next(&mut rows)? {
        let value = row::open(space, &key, &sealed)?;
        if visit(&key, value)? == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}

impl Snapshot for EmbeddedSnapshot {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = guarded("read", || self.snapshot.get(self.spaces.of(space), key))?;
        found
            .map(|sealed| row::open(space, key, &sealed).map(<[u8]>::to_vec))
            .transpose()
    }

    fn range(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let rows = guarded("read", || {
            Ok(self.snapshot.range(self.spaces.of(space), from..to))
        })?;
        visit_all(space, rows, visit)
    }

    fn examine_until(&self, space: Space, visit: &mut ExamineUntil<'_>) -> Result<(), StoreError> {
        let mut rows = guarded("read", || Ok(self.snapshot.iter(self.spaces.of(space))))?;
        while let Some((key, sealed)) = next(&mut rows)? {
            if visit(&key, row::open(space, &key, &sealed)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn prefix(&self, space: Space, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let rows = guarded("read", || {
            Ok(self.snapshot.prefix(self.spaces.of(space), prefix))
        })?;
        visit_all(space, rows, visit)
    }
}
