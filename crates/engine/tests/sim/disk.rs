//! The disk of a run: files and key-value stores that die and fail together.
//!
//! A batch of a store is one file operation more, so that the power may go and errors may
//! happen there, too. What a failed batch has left is unknown: all of it or nothing, by the
//! seed; the store must be opened again before anything is written.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evenkeel_engine::KvStores;
use evenkeel_log::{Crash, FileSystem as _, MemoryFileSystem};
use evenkeel_sim::Random;
use evenkeel_store::{Batch, Kv, MemoryKv, Snapshot, Space, StoreError};

/// Where everything is.
pub(crate) const ROOT: &str = "/store";
/// Batches that a power cut may take back.
const RECENT: usize = 4;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) files: MemoryFileSystem,
    stores: Arc<Mutex<Stores>>,
}

#[derive(Debug)]
struct Stores {
    random: Random,
    by_path: BTreeMap<PathBuf, Arc<Rows>>,
}

/// The rows of one store.
#[derive(Debug, Default)]
struct Rows {
    now: MemoryKv,
    /// The rows before the last batches, and those.
    before: Mutex<(MemoryKv, VecDeque<Batch>)>,
}

/// A store that is open.
#[derive(Debug)]
struct Opened {
    rows: Arc<Rows>,
    disk: Disk,
    /// A batch failed.
    failed: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    pub(crate) fn new(seed: u64) -> Self {
        Disk {
            files: MemoryFileSystem::new(),
            stores: Arc::new(Mutex::new(Stores {
                random: Random(seed),
                by_path: BTreeMap::new(),
            })),
        }
    }

    /// The disk as it is found after a crash. A power cut may take batches back that were
    /// durable: nothing of a hot tier is the only copy.
    pub(crate) fn crash(&self, crash: Crash) -> Disk {
        let mut stores = lock(&self.stores);
        let lying = crash != Crash::KeepUnsynced && stores.random.one_in(4);
        let mut by_path = BTreeMap::new();
        let names: Vec<PathBuf> = stores.by_path.keys().cloned().collect();
        for path in names {
            let rows = Arc::clone(&stores.by_path[&path]);
            let (before, recent) = &*lock(&rows.before);
            let lost = match lying {
                true => stores.random.below(recent.len() as u64 + 1) as usize,
                false => 0,
            };
            let kept = recent.iter().take(recent.len() - lost);
            let copy = Rows::default();
            for kv in [&copy.now, &lock(&copy.before).0] {
                write(kv, everything(before));
                kept.clone().for_each(|batch| write(kv, batch.clone()));
            }
            by_path.insert(path, Arc::new(copy));
        }
        Disk {
            files: self.files.crash(crash),
            stores: Arc::new(Mutex::new(Stores {
                random: stores.random.fork(),
                by_path,
            })),
        }
    }

    /// The files, and no store.
    pub(crate) fn without_stores(&self) -> Disk {
        Disk {
            files: self.files.clone(),
            ..Disk::new(0)
        }
    }

    /// One file operation, which may fail as any other.
    fn touch(&self) -> io::Result<()> {
        self.files.create_directory(Path::new(ROOT))
    }
}

fn write(kv: &MemoryKv, batch: Batch) {
    kv.write(batch).expect("a memory takes everything");
}

/// All rows of a store.
fn everything(kv: &MemoryKv) -> Batch {
    let mut batch = Batch::default();
    let snapshot = kv.snapshot();
    for space in Space::ALL {
        let copied = snapshot.prefix(space, &[], &mut |key, value| {
            batch.put(space, key.to_vec(), value.to_vec());
            Ok(ControlFlow::Continue(()))
        });
        copied.expect("a memory is not damaged");
    }
    batch
}

fn io_error(operation: &'static str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io {
        operation,
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

impl KvStores for Disk {
    fn open(&self, directory: &Path, _memory_bytes: u64) -> Result<Arc<dyn Kv>, StoreError> {
        self.touch().map_err(|e| io_error("open", directory, &e))?;
        let mut stores = lock(&self.stores);
        let rows = stores.by_path.entry(directory.to_owned()).or_default();
        Ok(Arc::new(Opened {
            rows: Arc::clone(rows),
            disk: self.clone(),
            failed: AtomicBool::new(false),
        }))
    }

    fn remove(&self, directory: &Path) -> io::Result<()> {
        self.touch()?;
        lock(&self.stores).by_path.remove(directory);
        Ok(())
    }
}

impl Opened {
    fn put(&self, batch: Batch) {
        let (before, recent) = &mut *lock(&self.rows.before);
        write(&self.rows.now, batch.clone());
        recent.push_back(batch);
        if recent.len() > RECENT
            && let Some(oldest) = recent.pop_front()
        {
            write(before, oldest);
        }
    }
}

impl Kv for Opened {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let refused = |reason: &io::Error| io_error("write", Path::new(ROOT), reason);
        if self.failed.load(Ordering::Relaxed) {
            return Err(refused(&io::Error::other("it must be opened again")));
        }
        if let Err(error) = self.disk.touch() {
            self.failed.store(true, Ordering::Relaxed);
            if lock(&self.disk.stores).random.one_in(2) {
                self.put(batch);
            }
            return Err(refused(&error));
        }
        self.put(batch);
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.rows.now.snapshot()
    }
}
