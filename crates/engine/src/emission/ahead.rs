//! What the next events of triggers bring, before it is their turn: some under one hold of the engine, by
//! whoever has the time.
//!
//! One thread settles what was brought, in the order of the log ([`super::foresight`]); another evaluates what it
//! comes to next, also while it logs and applies what it settled, and it does so itself where nobody has begun.
//! What an event brings depends on the cut of its record alone, whatever is applied meanwhile; so nobody can
//! tell who evaluated it, and when. Does not know what is emitted
//! of it. Invariant: what is not certain (what has to be brought back, what goes wrong) and what is much is left
//! to its turn.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};

use evenkeel_types::codec::canonical_row_length;
use evenkeel_types::definition::DerivedDef;
use evenkeel_types::{Cut, LoggedEvent, Value};
use evenkeel_view::SourceProgram;

use super::brought::Brought;
use super::evaluation::Evaluation;
use super::passing::Passing;
use super::piece::{Root, Rooted};
use super::settled::Named;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::hot_store::HotRead;
use crate::offline::Online;

/// So many parts may be known or under way that were not asked for.
const PARTS_MAX: usize = 64;
/// Behind so many bytes of rows the rest of a part is left to its turn: a commit may end before it.
const PART_BYTES: usize = 256 << 10;
/// So many bytes of rows may be known before they are asked for.
const FOUND_BYTES_MAX: usize = 1 << 20;
/// Fewer records are not worth a thread.
pub(super) const OF_A_THREAD_MIN: usize = 256;

/// What an event brings, by its record; none if that is nothing.
pub(super) type Found = (u64, Option<Foreseen>);

/// What an event brings, and under which identity.
pub(super) struct Foreseen {
    pub(super) brought: Brought,
    pub(super) named: Named,
}

/// A stream, as it is evaluated.
pub(super) struct Of {
    pub(super) program: SourceProgram,
    pub(super) derived: Arc<DerivedDef>,
}

/// Some records, and what is known before the first of them.
pub(super) struct Part {
    pub(super) of: Arc<Of>,
    /// Which of a piece.
    pub(super) roots: Range<usize>,
    pub(super) passing: Passing,
    pub(super) cut: Cut,
}

/// What the events of a part bring.
#[derive(Default)]
struct Brings {
    found: Vec<Found>,
    /// Those of the rows.
    bytes: usize,
}

/// See the module.
#[derive(Default)]
pub(super) struct Ahead {
    state: Mutex<State>,
    changed: Condvar,
    /// Parts that were evaluated by who helps.
    helped: AtomicU64,
    /// Pieces that were taken before it was their turn.
    pieces: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Nobody has begun these, by their numbers: about in the order in which they are asked for.
    waiting: BTreeMap<u64, Part>,
    /// The number of the next one that is added.
    next: u64,
    /// Those that somebody else than who asks evaluates, and that are wanted.
    under_way: BTreeSet<u64>,
    found: BTreeMap<u64, Brings>,
    /// Of the rows that were found.
    bytes: usize,
    /// Whether somebody helps.
    is_helped: bool,
}

impl Ahead {
    /// Adds a part; its number.
    pub(super) fn add(&self, part: Part) -> u64 {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.waiting.insert(number, part);
        drop(state);
        self.changed.notify_all();
        number
    }

    /// What the events of a part bring, which nobody asks for again.
    pub(super) fn take(&self, online: &impl Online, number: u64) -> Vec<Found> {
        let mut state = self.state();
        loop {
            if let Some(brings) = state.found.remove(&number) {
                state.bytes -= brings.bytes;
                drop(state);
                // Who helps may go on.
                self.changed.notify_all();
                return brings.found;
            }
            if !state.under_way.contains(&number) {
                let part = state.waiting.remove(&number);
                drop(state);
                return part.map_or_else(Vec::new, |part| evaluate(online, &part).found);
            }
            state = self.waited(state);
        }
    }

    /// Forgets parts that nobody is going to ask for.
    pub(super) fn forget(&self, numbers: impl Iterator<Item = u64>) {
        let mut state = self.state();
        for number in numbers {
            state.waiting.remove(&number);
            state.under_way.remove(&number);
            if let Some(brings) = state.found.remove(&number) {
                state.bytes -= brings.bytes;
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// How many parts were evaluated by who helped.
    pub(super) fn helped(&self) -> u64 {
        self.helped.load(Ordering::Relaxed)
    }

    /// A piece that was taken before its turn is gone on with.
    pub(super) fn note_piece(&self) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// How many pieces were taken before it was their turn.
    pub(super) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Relaxed)
    }

    /// Whether somebody helps.
    pub(super) fn is_helped(&self) -> bool {
        self.state().is_helped
    }

    /// A thread that helps until the answer is dropped. None if somebody does, if there is one processor, or no
    /// thread to be had: then everything is evaluated by who asks.
    pub(super) fn helped_by<'s, O: Online + Sync>(
        self: &'s Arc<Self>,
        scope: &'s Scope<'s, '_>,
        online: &'s O,
    ) -> Option<Helped<'s>> {
        if self.is_helped()
            || !thread::available_parallelism().is_ok_and(|threads| threads.get() > 1)
        {
            return None;
        }
        self.state().is_helped = true;
        let helped = Helped(self);
        let thread = thread::Builder::new().spawn_scoped(scope, move || self.help(online));
        thread.is_ok().then_some(helped)
    }

    /// Evaluates what nobody has begun, until it is over.
    fn help(&self, online: &(impl Online + Sync)) {
        let mut state = self.state();
        while state.is_helped {
            let ahead = state.found.len() + state.under_way.len();
            let may_begin = ahead < PARTS_MAX && state.bytes < FOUND_BYTES_MAX;
            let next = may_begin.then(|| state.waiting.pop_first()).flatten();
            let Some((number, part)) = next else {
                state = self.waited(state);
                continue;
            };
            state.under_way.insert(number);
            drop(state);
            // Whoever waits for it goes on, whatever becomes of this thread.
            let mut owed = Owed {
                ahead: self,
                number,
                brings: Brings::default(),
            };
            owed.brings = evaluate(online, &part);
            self.helped.fetch_add(1, Ordering::Relaxed);
            drop(owed);
            state = self.state();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waited<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a part brings is told when this is dropped.
struct Owed<'h> {
    ahead: &'h Ahead,
    number: u64,
    brings: Brings,
}

impl Drop for Owed<'_> {
    fn drop(&mut self) {
        let brings = std::mem::take(&mut self.brings);
        let mut state = self.ahead.state();
        if state.under_way.remove(&self.number) {
            state.bytes += brings.bytes;
            state.found.insert(self.number, brings);
        }
        drop(state);
        self.ahead.changed.notify_all();
    }
}

/// See [`Ahead::helped_by`].
pub(super) struct Helped<'h>(&'h Ahead);

impl Drop for Helped<'_> {
    fn drop(&mut self) {
        self.0.state().is_helped = false;
        self.0.changed.notify_all();
    }
}

fn evaluate(online: &impl Online, part: &Part) -> Brings {
    online.with(|engine| evaluate_on(engine, part))
}

fn evaluate_on(engine: &Engine, part: &Part) -> Brings {
    let Of { program, derived } = &*part.of;
    let trigger = derived.trigger().source.id;
    let mut passing = part.passing.clone();
    let records = Arc::clone(passing.records());
    let events = records.roots[part.roots.clone()]
        .iter()
        .filter_map(|root| match &root.what {
            Rooted::Event(event) if event.source == trigger => Some((root, &**event)),
            _ => None,
        });
    let hot = HotRead::of(engine.hot());
    let of = (&**program.def(), &**derived);
    let Ok(mut evaluation) = Evaluation::new(engine, of, &hot, &part.cut) else {
        return Brings::default();
    };
    let rows: Option<Vec<Vec<Value>>> = events
        .clone()
        .map(|(_, event)| evaluation.row(event))
        .collect();
    let Some(rows) = rows else {
        return Brings::default();
    };
    evaluation.expect(&rows);
    let mut brings = Brings::default();
    for ((root, event), row) in events.zip(rows) {
        passing.to(root, |source, partition, end| {
            evaluation.set_end(source, partition, end);
        });
        if let Ok(foreseen) = foresee(program, &evaluation, (event, row)) {
            let row = foreseen.as_ref().and_then(|f| f.brought.row.as_deref());
            brings.bytes += row.map_or(0, canonical_row_length);
            brings.found.push((root.record, foreseen));
        }
        if brings.bytes > PART_BYTES {
            break;
        }
    }
    brings
}

/// What an event brings; none if that is nothing.
fn foresee(
    stream: &SourceProgram,
    evaluation: &Evaluation<'_>,
    (trigger, row): (&LoggedEvent, Vec<Value>),
) -> Result<Option<Foreseen>, EngineError> {
    let brought = evaluation.brought(trigger, row, None)?;
    Ok(brought.map(|brought| Foreseen {
        named: Named::of(stream, &brought.id, brought.time),
        brought,
    }))
}

/// Whether a stream's trigger has as many events among records as are worth a thread.
pub(super) fn is_much(of: &Of, roots: &[Root]) -> bool {
    let trigger = of.derived.trigger().source.id;
    let is_one = |root: &&Root| matches!(&root.what, Rooted::Event(e) if e.source == trigger);
    roots.iter().filter(is_one).count() >= OF_A_THREAD_MIN
}
