//! Emissions of a server: made by its writer, between the commits of others.
//!
//! A piece at a time: evaluated under short holds of the engine, logged like any commit, applied
//! in pieces. What waits to be written has its turn in between, and while functions are called; what is emitted does
//! not depend on when that is.

use std::sync::{Arc, Weak};

use evenkeel_engine::{Emitter, Engine, EngineError, FunctionCalls, Given, Next, Online};
use tokio::sync::oneshot::{self, error::TryRecvError};

use crate::shared::Shared;
use crate::writer::{apply_all, make_room};

/// A turn of a stream is about so many records.
const ROWS_OF_A_TURN: usize = 1_024;
/// At most two to the power of this many commits pass between two trials.
const RESTS_MAX_LOG2: u32 = 6;

/// What has been emitted, and what went wrong.
#[derive(Default)]
pub(crate) struct Emissions {
    emitter: Emitter,
    /// One after the other.
    failures: u32,
    /// So many commits pass before it is tried again.
    rests: u32,
    /// What functions will give that are called for what is next.
    called: Option<Called>,
}

type Called = oneshot::Receiver<Result<Vec<Given>, EngineError>>;

/// The engine of a server, for a thread that must not wait for functions.
struct Impatient<'a>(&'a Shared);

impl Online for Impatient<'_> {
    fn with<T>(&self, work: impl FnOnce(&Engine) -> T) -> T {
        self.0.with(work)
    }

    fn makes_calls(&self) -> bool {
        false
    }
}

/// Emits what is logged and not emitted yet, until somebody wants to write or the server stops. What
/// goes wrong is in the status, and tried again after the next commit or a second, seldom if that keeps
/// failing.
///
/// Who wants to write waits until each stream had a turn for about as many records as were written last
/// (`rows`): so streams do not fall behind those who never cease to write.
pub(crate) fn emit(
    shared: &Arc<Shared>,
    emissions: &mut Emissions,
    rows: usize,
    is_wanted: impl Fn() -> bool,
) {
    if emissions.rests > 0 {
        emissions.rests -= 1;
        return;
    }
    let streams = shared.engine().catalog().emitting().count();
    if streams == 0 {
        return;
    }
    let mut turns = streams * (1 + rows / ROWS_OF_A_TURN);
    while shared.queue.closed().is_none() && !shared.is_draining() {
        match step(shared, emissions) {
            Ok(true) => {
                emissions.failures = 0;
                make_room(shared);
            }
            Ok(false) => return,
            Err(error) => {
                emissions.emitter.begin_anew();
                emissions.rests = (1 << emissions.failures.min(RESTS_MAX_LOG2)) - 1;
                emissions.failures += 1;
                shared.engine_mut().note_emission(Some(&error));
                return;
            }
        }
        turns = turns.saturating_sub(1);
        if turns == 0 && is_wanted() {
            return;
        }
    }
}

/// Emits a piece; whether there is more.
fn step(shared: &Arc<Shared>, emissions: &mut Emissions) -> Result<bool, EngineError> {
    emissions.take_answer();
    let Emissions {
        emitter, called, ..
    } = emissions;
    // As before any other commit: nothing is logged over a hot tier that must be opened again.
    shared.heal()?;
    // By what it is judged, it is logged: nobody goes over to other definitions in between.
    let _appending = shared.appending();
    let next = emitter.next(&Impatient(shared));
    let more = !matches!(next, Next::End);
    match next {
        Next::Emissions(judged) => {
            let mut commit = judged.append(&shared.writer_log)?;
            apply_all(shared, &mut commit)?;
            emitter.done();
        }
        Next::Calls(calls) => *called = Some(call(shared, *calls)),
        Next::Nothing | Next::End => {}
    }
    let is_known = shared.engine().is_emitted(emitter);
    if !is_known {
        let mut engine = shared.engine_mut();
        engine.emitted(emitter);
        drop(engine);
        // Reads may wait for it, also if nothing was emitted.
        shared.applied.send_replace(());
    }
    Ok(more)
}

impl Emissions {
    /// Takes what functions gave, if they did.
    fn take_answer(&mut self) {
        let Some(called) = &mut self.called else {
            return;
        };
        match called.try_recv() {
            Err(TryRecvError::Empty) => return,
            Ok(answer) => self.emitter.answered(answer),
            // Its thread panicked: they are called again.
            Err(TryRecvError::Closed) => self.emitter.answered(Ok(Vec::new())),
        }
        self.called = None;
    }
}

/// Calls functions on a thread of its own, which ends when they have answered or their time is up; the
/// writer is woken then. What they give depends on the place in the log that they are called for, not on
/// when that is.
fn call(shared: &Arc<Shared>, calls: FunctionCalls) -> Called {
    let (answer, called) = oneshot::channel();
    // A server that stops does not wait for it.
    let wakes = Wakes(Arc::downgrade(shared));
    let work = move || {
        let _wakes = wakes;
        let _ = answer.send(calls.run());
    };
    let spawned = std::thread::Builder::new().spawn(work);
    // Without a thread nobody answers, and they are asked again.
    drop(spawned);
    called
}

/// Wakes the writer when it is dropped, whatever came before.
struct Wakes(Weak<Shared>);

impl Drop for Wakes {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.queue.wake();
        }
    }
}
