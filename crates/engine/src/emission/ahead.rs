//! What the next events of a trigger bring, before it is their turn: some under one hold of the engine, by
//! whoever has the time.
//!
//! One thread settles what was brought, in the order of the log; another evaluates what it comes to next, and
//! it does so itself where nobody has begun. What an event brings depends on the cut of its record alone, and
//! nothing is applied meanwhile; so nobody can tell who evaluated it, and when. Does not know what is emitted
//! of it. Invariant: what is not certain (what has to be brought back, what goes wrong) and what is much is left
//! to its turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use evenkeel_types::codec::canonical_row_length;
use evenkeel_types::definition::DerivedDef;
use evenkeel_types::{Cut, LoggedEvent, Value};
use evenkeel_view::SourceProgram;

use super::brought::Brought;
use super::evaluation::Evaluation;
use super::lane::World;
use super::passing::Passing;
use super::piece::{Root, Rooted};
use super::settled::{Named, newest_of};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::hot_store::HotRead;
use crate::offline::Online;
use crate::source_state::Newest;

/// So many records are looked at under one hold of the engine; fewer where others wait for it.
const AT_ONCE: usize = 64;
const AT_ONCE_SHARED: usize = 16;
/// So many parts of them may be known or under way beyond the one that was asked for last.
const PARTS_MAX: usize = 4;
/// Behind so many bytes of rows the rest of a part is left to its turn: a commit may end before it.
const PART_BYTES: usize = 256 << 10;
/// So many bytes of rows may be known before they are asked for.
const FOUND_BYTES_MAX: usize = 1 << 20;
/// Fewer records are not worth a thread.
const OF_A_THREAD_MIN: usize = 256;

/// What an event brings, by its record; none if that is nothing.
type Found = (u64, Option<Foreseen>);

/// What an event brings, and what was emitted last under its identity before this commit.
pub(super) struct Foreseen {
    pub(super) brought: Brought,
    pub(super) named: Named,
    pub(super) newest: Option<Newest>,
}

/// What the events of a part bring.
#[derive(Default)]
struct Brings {
    found: Vec<Found>,
    /// Those of the rows.
    bytes: usize,
}

/// See the module.
pub(super) struct Ahead<'a> {
    stream: &'a SourceProgram,
    derived: &'a DerivedDef,
    /// Those that are looked at, in parts.
    roots: &'a [Root],
    of_a_part: usize,
    state: Mutex<State<'a>>,
    changed: Condvar,
}

struct State<'a> {
    /// At the end of the parts that are begun, and what is known there.
    passing: Passing<'a>,
    cut: Cut,
    begun: usize,
    /// So many parts were asked for.
    asked: usize,
    /// What is known of parts that were not asked for, or are waited for.
    found: BTreeMap<usize, Brings>,
    /// Of their rows.
    bytes: usize,
    is_over: bool,
}

/// Some records, and what is known before the first of them.
struct Part<'a> {
    number: usize,
    roots: &'a [Root],
    passing: Passing<'a>,
    cut: Cut,
}

impl<'a> Ahead<'a> {
    /// Of some records of a piece, from where what is known is passing; no more than are evaluated for a commit.
    pub(super) fn new(
        world: &World,
        (stream, derived): (&'a SourceProgram, &'a DerivedDef),
        roots: &'a [Root],
        (passing, cut): (Passing<'a>, Cut),
    ) -> Self {
        let evaluated_max = world.evaluated_max;
        let at_once = match world.is_shared {
            true => AT_ONCE_SHARED,
            false => AT_ONCE,
        };
        Ahead {
            stream,
            derived,
            roots: &roots[..roots.len().min(evaluated_max)],
            of_a_part: at_once.min(evaluated_max).max(1),
            state: Mutex::new(State {
                passing,
                cut,
                begun: 0,
                asked: 0,
                found: BTreeMap::new(),
                bytes: 0,
                is_over: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Whether a thread is worth it, besides the one that asks.
    pub(super) fn is_much(&self) -> bool {
        let trigger = self.derived.trigger().source.id;
        let is_one = |root: &&Root| matches!(&root.what, Rooted::Event(e) if e.source == trigger);
        self.roots.iter().filter(is_one).count() >= OF_A_THREAD_MIN
            && thread::available_parallelism().is_ok_and(|threads| threads.get() > 1)
    }

    /// Evaluates what nobody has begun, until it is over.
    pub(super) fn help(&self, online: &(impl Online + Sync)) {
        loop {
            let mut state = self.state();
            let part = loop {
                if state.is_over {
                    return;
                }
                // Nobody may ask: what a record changes may be several commits.
                let may_begin = state.asked > 0
                    && state.begun < state.asked + PARTS_MAX
                    && state.bytes < FOUND_BYTES_MAX;
                if may_begin {
                    match self.begin(&mut state) {
                        Some(part) => break part,
                        None => return,
                    }
                }
                state = self.waited(state);
            };
            drop(state);
            // Whoever waits for it goes on, whatever becomes of this thread.
            let mut owed = Owed {
                ahead: self,
                number: part.number,
                brings: Brings::default(),
            };
            owed.brings = self.evaluate(online, part);
        }
    }

    /// It is over when the answer is dropped.
    pub(super) fn over(&self) -> Over<'_, 'a> {
        Over(self)
    }

    /// What the events of the next part bring, and the first record behind it; none if there are no more.
    fn next(&self, online: &impl Online) -> Option<(Vec<Found>, u64)> {
        let mut state = self.state();
        let number = state.asked;
        let roots = self.roots_of(number)?;
        let behind = roots.last()?.record + 1;
        state.asked += 1;
        self.changed.notify_all();
        loop {
            if let Some(brings) = state.found.remove(&number) {
                state.bytes -= brings.bytes;
                return Some((brings.found, behind));
            }
            if state.begun == number {
                let part = self.begin(&mut state)?;
                drop(state);
                return Some((self.evaluate(online, part).found, behind));
            }
            state = self.waited(state);
        }
    }

    fn roots_of(&self, part: usize) -> Option<&'a [Root]> {
        self.roots.chunks(self.of_a_part).nth(part)
    }

    fn begin(&self, state: &mut State<'a>) -> Option<Part<'a>> {
        let number = state.begun;
        let roots = self.roots_of(number)?;
        let part = Part {
            number,
            roots,
            passing: state.passing,
            cut: state.cut.clone(),
        };
        state.begun += 1;
        let State { passing, cut, .. } = state;
        passing.to(roots.last()?, |source, partition, end| {
            cut.set_end(source, partition, end);
        });
        Some(part)
    }

    fn evaluate(&self, online: &impl Online, part: Part<'a>) -> Brings {
        online.with(|engine| self.evaluate_on(engine, part))
    }

    fn evaluate_on(&self, engine: &Engine, part: Part<'a>) -> Brings {
        let Part {
            roots,
            mut passing,
            cut,
            ..
        } = part;
        let trigger = self.derived.trigger().source.id;
        let events = roots.iter().filter_map(|root| match &root.what {
            Rooted::Event(event) if event.source == trigger => Some((root, &**event)),
            _ => None,
        });
        let hot = HotRead::of(engine.hot());
        let of = (&**self.stream.def(), self.derived);
        let Ok(mut evaluation) = Evaluation::new(engine, of, &hot, &cut) else {
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
            if let Ok(foreseen) = self.foresee(engine, &evaluation, (event, row)) {
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
        &self,
        engine: &Engine,
        evaluation: &Evaluation<'_>,
        (trigger, row): (&LoggedEvent, Vec<Value>),
    ) -> Result<Option<Foreseen>, EngineError> {
        let Some(brought) = evaluation.brought(trigger, row, None)? else {
            return Ok(None);
        };
        let named = Named::of(self.stream, &brought.id, brought.time);
        let newest = newest_of(engine, self.stream.def().id, &named.key)?;
        Ok(Some(Foreseen {
            brought,
            named,
            newest,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waited<'s>(&self, state: MutexGuard<'s, State<'a>>) -> MutexGuard<'s, State<'a>> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a part brings is told when this is dropped.
struct Owed<'h, 'a> {
    ahead: &'h Ahead<'a>,
    number: usize,
    brings: Brings,
}

impl Drop for Owed<'_, '_> {
    fn drop(&mut self) {
        let brings = std::mem::take(&mut self.brings);
        let mut state = self.ahead.state();
        state.bytes += brings.bytes;
        state.found.insert(self.number, brings);
        drop(state);
        self.ahead.changed.notify_all();
    }
}

/// See [`Ahead::over`].
pub(super) struct Over<'h, 'a>(&'h Ahead<'a>);

impl Drop for Over<'_, '_> {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.changed.notify_all();
    }
}

/// What was evaluated ahead, for whoever settles it.
pub(super) struct Foresight<'h, 'a> {
    /// None: nothing is.
    ahead: Option<&'h Ahead<'a>>,
    /// In the order of records.
    found: VecDeque<Found>,
    /// The first record that is not looked at.
    until: u64,
}

impl<'h, 'a> Foresight<'h, 'a> {
    pub(super) fn of(ahead: Option<&'h Ahead<'a>>) -> Self {
        Foresight {
            ahead,
            found: VecDeque::new(),
            until: 0,
        }
    }

    /// What the event of a record brings, none within if that is nothing; none if that is not known.
    pub(super) fn take(&mut self, online: &impl Online, record: u64) -> Option<Option<Foreseen>> {
        let ahead = self.ahead?;
        while self.until <= record {
            match ahead.next(online) {
                Some((found, until)) => (self.found, self.until) = (found.into(), until),
                None => self.until = u64::MAX,
            }
        }
        while self.found.front().is_some_and(|(next, _)| *next < record) {
            self.found.pop_front();
        }
        let is_it = self.found.front().is_some_and(|(next, _)| *next == record);
        is_it
            .then(|| self.found.pop_front())?
            .map(|(_, found)| found)
    }
}
