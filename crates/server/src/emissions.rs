//! Emissions of a server: made by its writer, between the commits of others.
//!
//! A piece at a time: evaluated under short holds of the engine, logged like any commit, applied
//! in pieces. What waits to be written has its turn in between; what is emitted does not depend on when that is.

use evenkeel_engine::{Emitter, EngineError, Next};

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
}

/// Emits what is logged and not emitted yet, until somebody wants to write or the server stops. What
/// goes wrong is in the status, and tried again after the next commit or a second, seldom if that keeps
/// failing.
///
/// Who wants to write waits until each stream had a turn for about as many records as were written last
/// (`rows`): so streams do not fall behind those who never cease to write.
pub(crate) fn emit(
    shared: &Shared,
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
        match step(shared, &mut emissions.emitter) {
            Ok(true) => {
                emissions.failures = 0;
                make_room(shared);
            }
            Ok(false) => return,
            Err(error) => {
                emissions.emitter = Emitter::default();
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
fn step(shared: &Shared, emitter: &mut Emitter) -> Result<bool, EngineError> {
    // As before any other commit: nothing is logged over a hot tier that must be opened again.
    shared.heal()?;
    // By what it is judged, it is logged: nobody goes over to other definitions in between.
    let _appending = shared.appending();
    let next = emitter.next(shared);
    let more = !matches!(next, Next::End);
    if let Next::Emissions(judged) = next {
        let mut commit = judged.append(&shared.writer_log)?;
        apply_all(shared, &mut commit)?;
        emitter.done();
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
