//! The one thread that writes: many pushes, one commit.
//!
//! Judging takes the engine's lock to read, the disk no lock, applying takes it to write, and
//! gives way to reads that wait ([`crate::engine_lock`]), so that they are delayed by
//! microseconds. The queue is bounded; when it is
//! full, a push is refused at once with `OVERLOADED` and nothing of it is written. When the
//! log cannot be written, or an event cannot be applied, the queue is closed: reads go on at
//! the last cut, writes are refused until the store is opened again. Between commits it emits
//! ([`crate::emissions`]).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use evenkeel_engine::EngineError;
use evenkeel_engine::push::{Durable, Judged, Pusher, Write, Written, append};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::emissions::{Emissions, emit};
use crate::error::ApiError;
use crate::shared::Shared;

/// Requests of one commit.
const GROUP_REQUESTS_MAX: usize = 64;
/// Rows of one commit, but for the last request's.
const GROUP_ROWS_MAX: usize = 100_000;
/// Events that are applied between two looks at how long the engine is held.
const APPLY_EVENTS: usize = 4;
/// How long is waited for room before it is asked whether anybody still wants it.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// Why nothing is written any more, if the thread panicked.
const GAVE_UP: &str = "the writer gave up";
/// Events after which those who wait for them are told.
const TOLD_EVENTS: usize = 128;

/// A request on its way to the writer, with where its answer goes.
pub(crate) struct Job {
    /// None if it only wakes the writer.
    write: Option<Write>,
    rows: usize,
    answer: oneshot::Sender<Result<Written, ApiError>>,
}

impl Job {
    /// Whether it is made of what is applied, so that nothing else may be in its commit.
    fn is_alone(&self) -> bool {
        matches!(self.write, Some(Write::Change(_)))
    }
}

/// The way to the writer.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: Mutex<Option<mpsc::Sender<Job>>>,
    waiting: Arc<AtomicUsize>,
    /// Why nothing is written any more.
    closed: Mutex<Option<String>>,
}

impl Queue {
    pub(crate) fn new(requests: usize) -> (Queue, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(requests);
        let queue = Queue {
            sender: Mutex::new(Some(sender)),
            waiting: Arc::default(),
            closed: Mutex::new(None),
        };
        (queue, receiver)
    }

    /// Requests that wait or are being written.
    pub(crate) fn length(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Why nothing is written any more; none if it is.
    pub(crate) fn closed(&self) -> Option<String> {
        let closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.clone()
    }

    pub(crate) fn close_for(&self, reason: String) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.get_or_insert(reason);
    }

    /// No more requests: the writer ends after those that wait.
    pub(crate) fn finish(&self) {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.take();
    }

    /// Sends a request as soon as there is room for it, and waits for its answer: for work that is
    /// refused by nobody, and takes its turn behind all that waits. None if it need not be sent
    /// any more: that is asked now and then while there is no room.
    pub(crate) async fn write_in_turn(
        &self,
        write: Write,
        rows: usize,
        goes_on: &mut (dyn FnMut() -> bool + Send),
    ) -> Option<Result<Written, ApiError>> {
        let sender = {
            let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
            sender.clone()
        };
        let permit = loop {
            if let Some(reason) = self.closed() {
                return Some(Err(closed(&reason)));
            }
            let Some(sender) = &sender else {
                return Some(Err(ApiError::new("UNAVAILABLE", "the server stops")));
            };
            match tokio::time::timeout(ASKED_EVERY, sender.reserve()).await {
                Ok(Ok(permit)) => break permit,
                Ok(Err(_)) => return Some(Err(closed(GAVE_UP))),
                Err(_) if goes_on() => {}
                Err(_) => return None,
            }
        };
        let (answer, answered) = oneshot::channel();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        permit.send(Job {
            write: Some(write),
            rows,
            answer,
        });
        // As long as it is held, the writer waits for more.
        drop(sender);
        let answered = answered.await;
        Some(answered.unwrap_or_else(|_| Err(closed(GAVE_UP))))
    }

    /// Lets the writer see what else there is to do. A writer with a full queue sees it anyway.
    pub(crate) fn wake(&self) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.as_ref() {
            let (answer, _) = oneshot::channel();
            let woken = sender.try_send(Job {
                write: None,
                rows: 0,
                answer,
            });
            drop(woken);
        }
    }

    /// Sends a request, and waits for its answer.
    pub(crate) async fn write(&self, write: Write, rows: usize) -> Result<Written, ApiError> {
        let answered = self.send(write, rows)?;
        answered.await.unwrap_or_else(|_| Err(closed(GAVE_UP)))
    }

    /// The same for a thread of its own.
    pub(crate) fn write_and_wait(&self, write: Write, rows: usize) -> Result<Written, ApiError> {
        let answered = self.send(write, rows)?;
        answered
            .blocking_recv()
            .unwrap_or_else(|_| Err(closed(GAVE_UP)))
    }

    fn send(
        &self,
        write: Write,
        rows: usize,
    ) -> Result<oneshot::Receiver<Result<Written, ApiError>>, ApiError> {
        if let Some(reason) = self.closed() {
            return Err(closed(&reason));
        }
        let (answer, answered) = oneshot::channel();
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = {
            let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
            match sender.as_ref() {
                Some(sender) => sender
                    .try_send(Job {
                        write: Some(write),
                        rows,
                        answer,
                    })
                    .map_err(|error| match error {
                        TrySendError::Full(_) => {
                            ApiError::new("OVERLOADED", "too many pushes wait")
                        }
                        TrySendError::Closed(_) => closed(GAVE_UP),
                    }),
                None => Err(ApiError::new("UNAVAILABLE", "the server stops")),
            }
        };
        if let Err(error) = sent {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(error.with_hint("nothing was written: send it again"));
        }
        Ok(answered)
    }
}

fn closed(reason: &str) -> ApiError {
    ApiError::new(
        "UNAVAILABLE",
        format!("nothing is written any more: {reason}"),
    )
    .with_hint("start the server again; whether a push without an answer is kept shows then")
}

/// Closes the queue when its thread panics: what is half done is not gone on with, by nobody.
pub(crate) struct GivesUp<'a> {
    pub(crate) queue: &'a Queue,
    /// Why nothing is written any more.
    pub(crate) reason: &'static str,
}

impl Drop for GivesUp<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.queue.close_for(self.reason.to_owned());
        }
    }
}

/// The thread.
pub(crate) struct Writer {
    thread: JoinHandle<()>,
}

impl Writer {
    pub(crate) fn start(shared: Arc<Shared>, mut queue: mpsc::Receiver<Job>) -> Writer {
        let write = move || {
            // Also if it is not a commit that panics, but what comes between two.
            let _gives_up = GivesUp {
                queue: &shared.queue,
                reason: GAVE_UP,
            };
            let mut pusher = Pusher::default();
            let mut emissions = Emissions::default();
            let is_wanted = |queue: &mpsc::Receiver<Job>, held: &Option<Job>| {
                !queue.is_empty() || held.is_some() || queue.is_closed()
            };
            let mut held = None;
            // What was not emitted when the store was closed.
            emit(&shared, &mut emissions, 0, || is_wanted(&queue, &held));
            while let Some(jobs) = next_group(&mut queue, &mut held) {
                let rows = jobs.iter().map(|job| job.rows).sum();
                let jobs = jobs.into_iter();
                let wanted = jobs.filter_map(|job| Some((job.write?, job.answer)));
                let (writes, answers): (Vec<_>, Vec<_>) = wanted.unzip();
                let results = match writes.is_empty() {
                    true => Vec::new(),
                    false => commit(&shared, &mut pusher, writes),
                };
                // Who has an answer waits no more.
                let count = answers.len();
                shared.queue.waiting.fetch_sub(count, Ordering::Relaxed);
                for (answer, result) in answers.into_iter().zip(results) {
                    // A client that went away needs no answer.
                    let _ = answer.send(result);
                }
                make_room(&shared);
                emit(&shared, &mut emissions, rows, || is_wanted(&queue, &held));
            }
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "the server is the edge: this is its one thread that writes"
        )]
        Writer {
            thread: std::thread::spawn(write),
        }
    }

    /// Waits for its end. False if it panicked: it has closed its queue, its requests were told, and what it had
    /// begun may be half applied.
    pub(crate) fn join(self) -> bool {
        self.thread.join().is_ok()
    }
}

/// Waits for a request, and takes those that wait behind it. `held` is one that was taken and
/// is of the next commit.
fn next_group(queue: &mut mpsc::Receiver<Job>, held: &mut Option<Job>) -> Option<Vec<Job>> {
    let first = match held.take() {
        Some(job) => job,
        None => queue.blocking_recv()?,
    };
    let mut rows = first.rows;
    let is_alone = first.is_alone();
    let mut jobs = vec![first];
    while !is_alone && jobs.len() < GROUP_REQUESTS_MAX && rows < GROUP_ROWS_MAX {
        let Ok(job) = queue.try_recv() else { break };
        if job.is_alone() {
            *held = Some(job);
            break;
        }
        rows += job.rows;
        jobs.push(job);
    }
    Some(jobs)
}

/// Writes requests as one commit: the answer of each.
fn commit(
    shared: &Shared,
    pusher: &mut Pusher,
    writes: Vec<Write>,
) -> Vec<Result<Written, ApiError>> {
    let count = writes.len();
    let refuse_all = |error: ApiError| vec![Err(error); count];
    if let Some(reason) = shared.queue.closed() {
        return refuse_all(closed(&reason));
    }
    if let Err(error) = shared.heal() {
        return refuse_all(ApiError::from(&error));
    }
    // By what it is judged, it is logged: nobody goes over to other definitions in between.
    let _appending = shared.appending();
    // Let go before the other: nobody goes on with what is half done.
    let _gives_up = GivesUp {
        queue: &shared.queue,
        reason: GAVE_UP,
    };
    let judged = pusher.judge(shared, writes);
    match write(shared, judged) {
        Ok(written) => written
            .into_iter()
            .map(|result| result.map_err(ApiError::from))
            .collect(),
        Err(error) => {
            // What it remembers of dead letters is not logged.
            *pusher = Pusher::default();
            refuse_all(ApiError::from(&error))
        }
    }
}

/// Room for the next commit: a checkpoint is begun if it is time.
pub(crate) fn make_room(shared: &Shared) {
    // A letter that could not be logged keeps checkpoints back: it is tried again.
    if shared.engine().is_untold() && shared.engine_mut().tell().is_err() {
        return;
    }
    shared.checkpoints.make_room(shared);
}

/// Appends, applies, and logs the dead letters of conflicts. Of who holds [`Shared::appending`].
fn write(
    shared: &Shared,
    judged: Judged,
) -> Result<Vec<Result<Written, EngineError>>, EngineError> {
    let log = &shared.writer_log;
    let mut commit = judged.append(log)?;
    if let Err(error) = apply_all(shared, &mut commit) {
        return Ok(commit.unapplied(&error));
    }
    // What is durable and seen is acknowledged, whatever becomes of its letters.
    let letters = shared.engine().conflict_letters(&commit);
    match letters {
        Ok(letters) if letters.is_empty() => {}
        Ok(letters) => {
            // If they cannot be logged, it is tried again: `make_room`.
            if append(log, &letters).is_ok() {
                shared.engine_mut().told(&commit);
            }
        }
        Err(error) => shared.queue.close_for(error.to_string()),
    }
    Ok(commit.answers())
}

/// Applies a commit. If that fails nothing is written any more: what is logged and not applied is a
/// gap that no later event may be applied behind.
pub(crate) fn apply_all(shared: &Shared, commit: &mut Durable) -> Result<(), EngineError> {
    loop {
        let more = apply(shared, commit);
        shared.applied.send_replace(());
        match more {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                shared.queue.close_for(error.to_string());
                return Err(error);
            }
        }
    }
}

/// Applies some of a commit; whether there is more.
fn apply(shared: &Shared, commit: &mut Durable) -> Result<bool, EngineError> {
    let mut engine = shared.engine_mut();
    for _ in 0..TOLD_EVENTS / APPLY_EVENTS {
        if !engine.apply_some(commit, APPLY_EVENTS)? {
            return Ok(false);
        }
        engine.give_way();
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use evenkeel_engine::push::PushedRow;
    use evenkeel_engine::{Engine, Project, ServerLimits};
    use std::task::{Context, Poll, Waker};

    use evenkeel_types::{Partition, Value};

    use super::*;
    use crate::auth::Tokens;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_full_queue_refuses_and_loses_nothing_that_it_took() {
        let directory = tempfile::tempdir().unwrap();
        let definitions = "CREATE STREAM taps (n BIGINT, at TIMESTAMP, EVENT TIME at);";
        std::fs::write(directory.path().join("a.sql"), definitions).unwrap();
        let project = Project::open(directory.path(), None).unwrap();
        let mut engine = Engine::open(&project).unwrap();
        let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
        engine.apply(plan).unwrap();
        let source = engine.source("taps").unwrap();
        let limits = ServerLimits {
            queued_pushes: 1,
            ..ServerLimits::default()
        };
        let (shared, writers) = Shared::start(engine, limits, Tokens::default()).unwrap();
        let push = |n: i64| {
            let row = PushedRow {
                values: Ok(vec![Value::BigInt(n), Value::Timestamp(0)]),
                producer: None,
            };
            let write = Write::Push {
                source: Arc::clone(&source),
                rows: vec![row],
            };
            Box::pin(shared.queue.write(write, 1))
        };
        let held = shared.engine_mut();
        let mut taken = Vec::new();
        // One is being written, one waits: of three, one at least is refused.
        let refused = loop {
            let mut future = push(0);
            let context = &mut Context::from_waker(Waker::noop());
            match future.as_mut().poll(context) {
                Poll::Pending => taken.push(future),
                Poll::Ready(answer) => break answer.unwrap_err(),
            }
        };
        drop(held);
        assert_eq!(refused.code, "OVERLOADED");
        assert!((1..=2).contains(&taken.len()), "{}", taken.len());
        let count = taken.len() as u64;
        for future in taken {
            assert!(matches!(future.await, Ok(Written::Pushed(_))));
        }
        let end = shared.log.end(source.id, Partition(0));
        assert_eq!(end.0, count);
        shared.queue.finish();
        writers.join();
        let late = push(9).await.unwrap_err();
        assert_eq!(late.code, "UNAVAILABLE");
        assert_eq!(shared.queue.length(), 0);
    }

    #[tokio::test]
    async fn who_takes_its_turn_waits_for_room_and_gives_up_when_nobody_wants_it() {
        let directory = tempfile::tempdir().unwrap();
        let definitions = "CREATE STREAM taps (n BIGINT, at TIMESTAMP, EVENT TIME at);";
        std::fs::write(directory.path().join("a.sql"), definitions).unwrap();
        let project = Project::open(directory.path(), None).unwrap();
        let mut engine = Engine::open(&project).unwrap();
        let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
        engine.apply(plan).unwrap();
        let source = engine.source("taps").unwrap();
        let redrive = || Write::Redrive {
            source: Arc::clone(&source),
            ids: None,
        };
        // Nobody writes but this.
        let (queue, mut jobs) = Queue::new(1);
        let context = &mut Context::from_waker(Waker::noop());
        let mut first = Box::pin(queue.write(redrive(), 1));
        assert!(first.as_mut().poll(context).is_pending());
        assert_eq!(
            queue.write(redrive(), 1).await.unwrap_err().code,
            "OVERLOADED"
        );
        let mut never = || false;
        let given_up = queue.write_in_turn(redrive(), 1, &mut never).await;
        assert!(given_up.is_none());
        let mut always = || true;
        let mut in_turn = Box::pin(queue.write_in_turn(redrive(), 1, &mut always));
        assert!(in_turn.as_mut().poll(context).is_pending());
        let answer = |job: Job| {
            let written = Written::Redriven(Default::default());
            job.answer.send(Ok(written)).is_ok()
        };
        let job = jobs.recv().await.unwrap();
        assert!(answer(job) && first.await.is_ok());
        // Now there is room.
        assert!(in_turn.as_mut().poll(context).is_pending());
        let job = jobs.recv().await.unwrap();
        assert!(answer(job));
        assert!(matches!(in_turn.await, Some(Ok(Written::Redriven(_)))));
        queue.finish();
        let late = queue.write_in_turn(redrive(), 1, &mut || true).await;
        assert_eq!(late.unwrap().unwrap_err().code, "UNAVAILABLE");
        assert!(jobs.recv().await.is_none());
    }
}
