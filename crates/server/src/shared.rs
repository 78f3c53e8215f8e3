//! What all requests share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evenkeel_engine::{Engine, EngineError, ServerLimits};
use evenkeel_log::{Log, LogReader};
use parking_lot::RwLockReadGuard;
use tokio::sync::{Notify, Semaphore, watch};

use crate::auth::Tokens;
use crate::captures::Captures;
use crate::checkpoints::{CheckpointWriter, Checkpoints};
use crate::engine_lock::{EngineLock, WriteHold};
use crate::lake::{LakeFlusher, LakeFlushes};
use crate::metrics::{Histogram, Metrics};
use crate::plans::Plans;
use crate::pool::Pool;
use crate::runs::{Runs, Scheduler};
use crate::served::Served;
use crate::spool::Spool;
use crate::writer::{Queue, Writer};

/// So often it is waited for what uses the hot tier, before a write is refused.
const HEALING_TRIES: usize = 16;

/// Reads that wait for functions at a time, and as many again that wait for a turn: each has a thread.
const FUNCTION_TURNS: usize = 64;

/// See the module.
pub(crate) struct Shared {
    engine: EngineLock,
    pub(crate) log: LogReader,
    pub(crate) writer_log: Arc<Log>,
    /// Tells this server from others at its address.
    pub(crate) instance: String,
    pub(crate) limits: ServerLimits,
    pub(crate) entities_max: usize,
    pub(crate) tokens: Tokens,
    pub(crate) plans: Plans,
    pub(crate) queue: Queue,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) scans: Pool,
    /// Reads that wait for functions in Python.
    pub(crate) functions: Pool,
    /// Training and verification: they may take all their turns, and scans go on.
    pub(crate) long_work: Pool,
    pub(crate) spool: Spool,
    /// Held while definitions are applied: one at a time.
    pub(crate) applying: Mutex<()>,
    /// While they are built: how many events are, and of how many.
    building: Mutex<Option<(u64, u64)>>,
    /// Held while a source is put right: one at a time.
    pub(crate) correcting: Mutex<()>,
    pub(crate) served: Served,
    pub(crate) lake: LakeFlushes,
    pub(crate) runs: Runs,
    pub(crate) captures: Captures,
    pub(crate) in_flight: Semaphore,
    /// Places of those who wait for watermarks or captures: a part of those in flight.
    pub(crate) waiters: Semaphore,
    /// Turns of those who search the log for where a watermark passed.
    pub(crate) searches: Arc<Semaphore>,
    /// Places of those who read topics.
    pub(crate) topic_readers: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    /// Changes whenever something was applied.
    pub(crate) applied: watch::Sender<()>,
    /// Told when the store is to be opened again, for what is forgotten then.
    pub(crate) to_open_again: Notify,
    draining: AtomicBool,
    /// Held from the judging of a commit until its events are applied.
    appending: Mutex<()>,
}

impl Shared {
    /// Starts the threads that write, too. They end when they are joined.
    pub(crate) fn start(
        mut engine: Engine,
        limits: ServerLimits,
        tokens: Tokens,
    ) -> Result<(Arc<Shared>, Writers), EngineError> {
        let writer_log = engine.writer()?;
        // Nobody scans the log while others wait for the engine.
        engine.defer_cold_reads();
        let (queue, receiver) = Queue::new(limits.queued_pushes.max(1));
        let shared = Arc::new(Shared {
            log: engine.reader().clone(),
            instance: instance(&engine),
            writer_log,
            entities_max: engine.project().limits.entities_per_request,
            tokens,
            plans: Plans::default(),
            queue,
            checkpoints: Checkpoints::default(),
            scans: Pool::new(limits.scans),
            functions: Pool::new(FUNCTION_TURNS),
            long_work: Pool::new(limits.long_work),
            spool: Spool::start(&engine.project().store)?,
            applying: Mutex::new(()),
            building: Mutex::new(None),
            correcting: Mutex::new(()),
            served: Served::start(engine.project())?,
            lake: LakeFlushes::default(),
            runs: Runs::default(),
            captures: Captures::default(),
            in_flight: Semaphore::new(limits.requests.max(1)),
            waiters: Semaphore::new((limits.requests / 2).max(1)),
            searches: Arc::new(Semaphore::new(limits.scans.max(1))),
            topic_readers: Arc::new(Semaphore::new(limits.requests.max(1))),
            metrics: Metrics::default(),
            applied: watch::Sender::new(()),
            to_open_again: Notify::new(),
            draining: AtomicBool::new(false),
            appending: Mutex::new(()),
            limits,
            engine: EngineLock::new(engine),
        });
        let writers = Writers {
            pushes: Writer::start(Arc::clone(&shared), receiver),
            checkpoints: CheckpointWriter::start(Arc::clone(&shared)),
            lake: LakeFlusher::start(Arc::clone(&shared)),
            scheduler: Scheduler::start(Arc::clone(&shared)),
        };
        Ok((shared, writers))
    }

    /// The engine, to read. Hold it for microseconds, and never over an `await`.
    pub(crate) fn engine(&self) -> RwLockReadGuard<'_, Engine> {
        self.engine.read()
    }

    /// The engine, to apply. Of the writer only.
    pub(crate) fn engine_mut(&self) -> WriteHold<'_> {
        self.engine.write()
    }

    /// How long the engine was held to write, each time.
    pub(crate) fn engine_holds(&self) -> &Histogram {
        self.engine.holds()
    }

    /// Opens the hot tier again if that is needed. Nobody appends meanwhile: the writer, or who
    /// holds [`Shared::appending`].
    pub(crate) fn heal(&self) -> Result<(), EngineError> {
        let mut tries = 0;
        while self.engine().needs_healing() {
            // What is under way has the hot tier open.
            self.checkpoints.wait_for_end();
            let scans = self.engine().scans();
            scans.wait_for_end();
            tries += 1;
            match self.engine_mut().heal() {
                // Another scan was quicker.
                Err(error) if error.is_in_use() && tries < HEALING_TRIES => {}
                healed => return healed,
            }
        }
        Ok(())
    }

    /// How many events definitions that are applied are built of, and of how many.
    pub(crate) fn building(&self) -> Option<(u64, u64)> {
        *self.building.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_building(&self, building: Option<(u64, u64)>) {
        *self.building.lock().unwrap_or_else(PoisonError::into_inner) = building;
    }

    /// While it is held, everything that is logged is applied, and nothing is judged that is
    /// not. Taken before the engine.
    pub(crate) fn appending(&self) -> MutexGuard<'_, ()> {
        self.appending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        // Who waits is answered.
        self.captures.end();
        self.applied.send_replace(());
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Why nothing can be written any more; none if it can.
    pub(crate) fn writes_closed(&self) -> Option<String> {
        self.queue.closed().or_else(|| self.writer_log.closed())
    }
}

/// The threads that write.
pub(crate) struct Writers {
    pushes: Writer,
    checkpoints: CheckpointWriter,
    lake: LakeFlusher,
    scheduler: Scheduler,
}

impl Writers {
    /// Waits for the pushes that are queued, whose queue is finished, and for what they begin. False if one of
    /// them was left half applied.
    pub(crate) fn join(self) -> bool {
        self.scheduler.join();
        self.lake.join();
        let pushes = self.pushes.join();
        self.checkpoints.join() && pushes
    }
}

/// The process, the store and the time name one server.
fn instance(engine: &Engine) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&std::process::id().to_le_bytes());
    hasher.update(&engine.now().0.to_le_bytes());
    hasher.update(engine.project().store.as_os_str().as_encoded_bytes());
    hasher.finalize().to_hex()[..16].to_owned()
}
