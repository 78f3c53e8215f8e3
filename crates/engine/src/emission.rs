//! Emissions: the events of derived streams, made of what is logged, one after the other
//! (`docs/decisions/0032-emissions.md`).
//!
//! Owns which streams go on and which cannot; in which order emissions are made is in `lane`, what a record
//! does in `row`, what is emitted of it in `brought`, `recorded` and `settled`, what is due in `timer`, what
//! they are made from at a time in `piece`, what is known there in `passing`, who evaluates it and when in `ahead`,
//! how an engine makes them by itself in `in_process`, how far a stream is in `place`. Invariant: what is emitted is a
//! function of the definitions and of the events that others logged, in the order of the log, whatever the
//! commits and restarts were, and whatever went wrong in between; but what is recorded, which is what was
//! emitted. What goes wrong for one stream stops that one and those that read it.

mod ahead;
mod backfill;
mod brought;
mod evaluation;
mod foresight;
mod in_process;
mod lane;
mod passing;
mod piece;
mod place;
mod place_set;
mod places;
mod recorded;
mod row;
mod runs;
mod said;
mod settled;
mod size;
mod stream;
mod tail;
mod timer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_types::definition::Catalog;
use evenkeel_types::{Partition, SourceId};

use self::ahead::Ahead;
pub use self::backfill::Backfilling;
pub use self::place::made_by;
pub use self::tail::{Emission, emissions, emissions_end, topic_of};

pub(crate) use self::brought::{
    Known, OWN_COLUMNS, again, columns_of, emission_of, identity_of, is_same, trigger_names,
    turn_of,
};
use self::lane::{Lane, World};
pub(crate) use self::piece::PIECE_RECORDS;
pub(crate) use self::place::record_of;
pub(crate) use self::places::PLACES_MAX;
pub(crate) use self::recorded::{drawn_again, first_selected, is_too_large, with_recorded};
pub(crate) use self::row::COMMIT_BYTES;
pub(crate) use self::size::bytes_of;
use self::stream::Reached;
pub(crate) use self::stream::{
    emissions_from, emitted_before, emitted_until, in_order, read_by, with_read,
};
pub(crate) use self::timer::{due_until, greatest_at};
use crate::error::{EngineError, chain};
use crate::function::{FunctionCalls, Given};
use crate::offline::{GIVEN_MAX, Online};
use crate::push::Judged;

/// The partition of every derived stream: emissions have one order.
pub(crate) const PARTITION: Partition = Partition(0);
/// After so many triggers that were evaluated the rest is for another commit, as a rule.
pub(crate) const EVALUATED_MAX: usize = 4_096;
/// What fails again and again is left alone for at most two to the power of so many rounds.
const RESTS_MAX_LOG2: u32 = 6;

/// Makes emissions. It remembers how far it has come; after a commit that was not appended a new
/// one is needed.
#[derive(Default)]
pub struct Emitter {
    world: Option<World>,
    lanes: Vec<Going>,
    /// Whose turn it is.
    turn: usize,
    reached: Reached,
    /// The first stream of the lane that waits for what functions give.
    asking: Option<SourceId>,
    /// What is evaluated before it is its turn.
    ahead: Arc<Ahead>,
}

/// A lane, and what went wrong in it.
struct Going {
    lane: Lane,
    failure: Option<String>,
    /// One after the other.
    failures: u32,
    /// So many rounds pass before it is tried again.
    rests: u32,
    /// What functions gave for what is next.
    given: Vec<Given>,
    /// How often they were asked for it.
    asked: usize,
}

/// What comes next.
pub enum Next {
    /// Emissions, to be appended and applied, and then [`Emitter::done`].
    Emissions(Judged),
    /// A piece of the log brought nothing: it goes on behind it.
    Nothing,
    /// Calls of functions, to be made while nothing is held, and then [`Emitter::answered`]. Meanwhile others
    /// go on, and may be asked for what is next.
    Calls(Box<FunctionCalls>),
    /// There is nothing until more is logged, but for streams that cannot go on
    /// ([`Emitter::failures`]).
    End,
}

impl Emitter {
    /// What one stream makes of one piece of the log, so that others have their turn in between.
    /// What is logged and not applied is left for later.
    pub fn next(&mut self, online: &(impl Online + Sync)) -> Next {
        let world = self.world_of(online);
        let next = self.next_of(&world, online);
        self.world = Some(world);
        next
    }

    fn next_of(&mut self, world: &World, online: &(impl Online + Sync)) -> Next {
        let mut left = self.lanes.len();
        while left > 0 {
            self.turn %= self.lanes.len();
            if self.lanes[self.turn].lane.is_held_up() {
                // The others do not wait for the backfill of one.
                self.let_alone();
                left = self.lanes.len();
                continue;
            }
            let going = &mut self.lanes[self.turn];
            // After other definitions the lane may be that of all again, most of whom wait for nothing.
            let asks = self.asking.is_some() && self.asking == going.lane.streams.first().copied();
            if asks && going.lane.is_narrow() {
                (left, self.turn) = (left - 1, self.turn + 1);
                continue;
            }
            let next = match going.rests {
                0 => going.lane.next(world, online, &self.reached),
                _ => Ok(Next::End),
            };
            match next {
                Ok(next) => {
                    going.is_well();
                    self.note();
                    match next {
                        Next::End => left -= 1,
                        Next::Nothing | Next::Calls(_) => {}
                        // It is this lane's turn until that is appended.
                        Next::Emissions(_) => return next,
                    }
                    self.turn += 1;
                    if matches!(next, Next::Nothing) {
                        return next;
                    }
                }
                // Who calls nothing goes on meanwhile.
                Err(EngineError::Calls(_)) if !going.lane.is_narrow() => {
                    self.let_alone();
                    left = self.lanes.len();
                }
                // One after the other.
                Err(EngineError::Calls(_)) if self.asking.is_some() => {
                    (left, self.turn) = (left - 1, self.turn + 1);
                }
                Err(EngineError::Calls(calls)) if going.asked < GIVEN_MAX => {
                    going.asked += 1;
                    self.asking = going.lane.streams.first().copied();
                    self.turn += 1;
                    return Next::Calls(calls);
                }
                Err(error) => {
                    self.failed(&error);
                    left = self.lanes.len();
                }
            }
        }
        self.end_of_round();
        Next::End
    }

    /// What came of the calls that were next.
    pub fn answered(&mut self, answer: Result<Vec<Given>, EngineError>) {
        let asking = self.asking.take();
        let mut lanes = self.lanes.iter();
        let Some(lane) = lanes.position(|going| going.lane.streams.first().copied() == asking)
        else {
            return;
        };
        match answer {
            Ok(given) => self.lanes[lane].given.extend(given),
            Err(error) => {
                self.turn = lane;
                self.failed(&error);
                self.note();
            }
        }
    }

    /// Begins anew: what it remembers of commits may not be logged. Calls that are made are still waited for.
    pub fn begin_anew(&mut self) {
        *self = Emitter {
            asking: self.asking,
            ahead: Arc::clone(&self.ahead),
            ..Emitter::default()
        };
    }

    /// What was next is logged and applied.
    pub fn done(&mut self) {
        let Some(world) = self.world.take() else {
            return;
        };
        if let Some(going) = self.lanes.get_mut(self.turn) {
            match going.lane.done(&world) {
                Ok(()) => self.turn += 1,
                Err(error) => self.failed(&error),
            }
        }
        self.note();
        self.world = Some(world);
    }

    /// Why streams do not go on, those that only wait for one of them aside.
    pub fn failures(&self) -> BTreeMap<SourceId, String> {
        let failing = self.lanes.iter().filter_map(|going| {
            let failure = going.failure.clone()?;
            Some((*going.lane.streams.first()?, failure))
        });
        failing.collect()
    }

    /// How many parts of pieces were evaluated by another thread than the one that asks for what is next.
    pub fn helped(&self) -> u64 {
        self.ahead.helped()
    }

    /// How far the backfill is that is under way, if one is.
    pub fn backfilling(&self) -> Option<Backfilling> {
        self.lanes.iter().find_map(|going| going.lane.backfilling())
    }

    /// Takes down how far the streams are.
    fn note(&mut self) {
        for going in &self.lanes {
            self.reached.extend(going.lane.reached());
        }
    }

    /// Something went wrong in the lane whose turn it is. What it is is found by letting each of its
    /// streams go on for itself.
    fn failed(&mut self, error: &EngineError) {
        if !self.lanes[self.turn].lane.is_narrow() {
            self.let_alone();
            return;
        }
        let going = &mut self.lanes[self.turn];
        going.failure = Some(chain(error));
        going.rests = 1 << going.failures.min(RESTS_MAX_LOG2);
        going.failures += 1;
        (going.given, going.asked) = (Vec::new(), 0);
        // What it was made of may be other than what is there now.
        going.lane.forget();
        self.turn += 1;
    }

    /// Lets each stream of the lane whose turn it is go on for itself.
    fn let_alone(&mut self) {
        let streams = self.lanes.swap_remove(self.turn).lane.streams;
        let alone = streams.into_iter().map(|id| Going::of(Lane::narrow(id)));
        self.lanes.extend(alone);
        self.turn = 0;
    }

    /// Everybody had a turn, and nobody has anything.
    fn end_of_round(&mut self) {
        for going in &mut self.lanes {
            going.rests = going.rests.saturating_sub(1);
        }
        let is_well = self.lanes.iter().all(|going| going.failure.is_none());
        let is_well = is_well && self.asking.is_none();
        if is_well && self.lanes.iter().any(|going| going.lane.is_narrow()) {
            let lanes = self.lanes.iter_mut();
            let streams = lanes.flat_map(|going| std::mem::take(&mut going.lane.streams));
            self.lanes = vec![Going::of(Lane::wide(streams.collect()))];
        }
    }

    /// What emissions are made of; begins anew, if that is something else than before.
    fn world_of(&mut self, online: &impl Online) -> World {
        let (catalog, log, reached, is_shared, numbers) = online.with(|engine| {
            let catalog = Arc::clone(engine.shared_catalog());
            let reached = engine.reached().clone();
            let is_shared = engine.hot().defers();
            let machine = engine.machine();
            let numbers = (
                machine.evaluated_max,
                machine.commit_bytes,
                machine.places_max,
                machine.piece_records,
            );
            (
                catalog,
                engine.reader().clone(),
                reached,
                is_shared,
                numbers,
            )
        });
        if let Some(world) = self.world.take()
            && Arc::ptr_eq(&world.catalog, &catalog)
        {
            return world;
        }
        let ordered = in_order(&catalog);
        let emits = ordered.iter().filter(|def| !def.has_ended());
        let streams: BTreeSet<SourceId> = emits.map(|def| def.id).collect();
        *self = Emitter {
            lanes: match streams.is_empty() {
                true => Vec::new(),
                false => vec![Going::of(Lane::wide(streams))],
            },
            world: None,
            turn: 0,
            reached,
            asking: self.asking,
            ahead: Arc::clone(&self.ahead),
        };
        let (evaluated_max, commit_bytes, places_max, piece_records) = numbers;
        World {
            catalog,
            log,
            ordered,
            evaluated_max: evaluated_max.max(1),
            is_shared,
            commit_bytes,
            places_max: places_max.max(1),
            piece_records: piece_records.max(1),
            ahead: Arc::clone(&self.ahead),
        }
    }
}

impl Going {
    fn of(lane: Lane) -> Self {
        Going {
            lane,
            failure: None,
            failures: 0,
            rests: 0,
            given: Vec::new(),
            asked: 0,
        }
    }

    /// It goes on, unless it only rests.
    fn is_well(&mut self) {
        if self.rests == 0 {
            (self.failure, self.failures) = (None, 0);
            self.given.clear();
            self.asked = 0;
        }
    }
}

/// Whether anything is to be emitted.
pub fn emits(catalog: &Catalog) -> bool {
    catalog.emitting().next().is_some()
}
