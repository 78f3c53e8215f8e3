//! Derived streams that go on together: one piece of the log after the other, and for each piece one
//! stream after the other.
//!
//! All streams are in one lane as long as nothing goes wrong; what goes wrong stops a lane
//! (`crate::emission`). Invariant: a stream of a lane is evaluated for a record only when
//! those that it reads have emitted everything for it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::thread;

use evenkeel_log::{LogReader, Sequence};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{Cut, LoggedEvent, SourceId};

use super::ahead::{Ahead, is_much};
use super::backfill::Backfilling;
use super::brought::Known;
use super::foresight::Foresight;
use super::passing::{Passing, cut_at};
use super::piece::{Emitted, Piece, Pieces, Records, Root, Rooted};
use super::place::{Place, Within, record_of};
use super::places::Times;
use super::row::{Act, Cause, GATHERED_MAX, Left, Rows};
use super::stream::{Reached, Stream, with_read};
use super::timer::Timers;
use super::{Next, PARTITION};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::function::FunctionCalls;
use crate::offline::Online;
use crate::push::Judged;

/// What emissions are made of.
pub(super) struct World {
    pub(super) catalog: Arc<Catalog>,
    pub(super) log: LogReader,
    /// The derived streams, each after those that it reads.
    pub(super) ordered: Vec<Arc<SourceDef>>,
    /// Triggers that are evaluated for one commit, about.
    pub(super) evaluated_max: usize,
    /// Whether others wait for the engine, and for their turn to write.
    pub(super) is_shared: bool,
    /// Bytes of emissions of one commit, about.
    pub(super) commit_bytes: usize,
    /// Places that are held of what a record changes.
    pub(super) places_max: usize,
    /// Records that emissions are made for at a time; fewer where others wait for their turn.
    pub(super) piece_records: usize,
    /// What is evaluated ahead.
    pub(super) ahead: Arc<Ahead>,
}

/// See the module.
pub(super) struct Lane {
    /// Those that emit.
    pub(super) streams: BTreeSet<SourceId>,
    /// Whether it does without what its streams do not read.
    is_narrow: bool,
    begun: Option<Begun>,
}

/// Where a lane is.
struct Begun {
    /// Each after those that it reads; also such as others emit.
    streams: Vec<Stream>,
    /// Everything that others logged before the piece.
    base: Cut,
    pieces: Pieces,
    piece: Option<Piece>,
    /// Up to where the next stream of the piece is judged.
    judged: Place,
    /// What is left there of an act.
    left: Option<Left>,
    /// What is evaluated ahead for a stream, by its number, behind that place.
    foresight: Option<(usize, Foresight)>,
    /// The piece behind this one, and what is evaluated ahead of it.
    upcoming: Option<Upcoming>,
    /// What the next stream of the piece emitted, if nothing of it was emitted before.
    counted: Option<Emitted>,
    /// The records of what is judged, each as often as it has emissions.
    counting: Vec<u64>,
}

/// A piece that was taken before it is its turn.
struct Upcoming {
    records: Arc<Records>,
    foresight: Option<(usize, Foresight)>,
}

/// What is kept of a commit that ends in the midst of a piece.
type Kept = (Option<Left>, Option<Foresight>);

impl Lane {
    /// A lane that goes through the log as a whole.
    pub(super) fn wide(streams: BTreeSet<SourceId>) -> Self {
        Lane {
            streams,
            is_narrow: false,
            begun: None,
        }
    }

    /// A lane of one stream that reads of the log only what it needs.
    pub(super) fn narrow(stream: SourceId) -> Self {
        Lane {
            streams: BTreeSet::from([stream]),
            is_narrow: true,
            begun: None,
        }
    }

    pub(super) fn is_narrow(&self) -> bool {
        self.is_narrow
    }

    /// Whether a backfill that is more than one commit keeps streams from going on.
    pub(super) fn is_held_up(&self) -> bool {
        let is_one = |b: Backfilling| b.done > 0;
        !self.is_narrow && self.streams.len() > 1 && self.backfilling().is_some_and(is_one)
    }

    /// Forgets where it is: it is found again.
    pub(super) fn forget(&mut self) {
        self.begun = None;
    }

    /// How much of a backfill that is under way was looked at, and of how much.
    pub(super) fn backfilling(&self) -> Option<Backfilling> {
        let begun = self.begun.as_ref()?;
        let piece = begun.piece.as_ref()?;
        let stream = begun.streams.get(piece.next)?;
        let root = piece
            .records
            .roots
            .iter()
            .find(|root| root.record == stream.next.record)?;
        let Rooted::Backfill(backfill) = &root.what else {
            return None;
        };
        let is_of_it = backfill.source == stream.def.id;
        is_of_it.then(|| Backfilling::at(stream, &cut_at(piece, &begun.streams, root)))
    }

    /// How far its streams are; nothing, if that has to be found first.
    pub(super) fn reached(&self) -> impl Iterator<Item = (SourceId, u64)> {
        let streams = self.begun.iter().flat_map(|begun| &begun.streams);
        let emits = streams.filter(|stream| stream.emits);
        emits.map(|stream| (stream.def.id, stream.next.record))
    }

    /// What one stream makes of one piece. `reached` is how far all streams are, at least.
    ///
    /// # Errors
    /// If what emissions are made of cannot be read.
    pub(super) fn next(
        &mut self,
        world: &World,
        online: &(impl Online + Sync),
        reached: &Reached,
    ) -> Result<Next, EngineError> {
        if self.begun.is_none() {
            self.begun = Some(Begun::find(world, self, reached)?);
        }
        let Some(begun) = &mut self.begun else {
            return Ok(Next::End);
        };
        if begun.piece.is_none() && !begun.take_piece(world, online, reached)? {
            return Ok(Next::End);
        }
        let (judged, end) = begun.judge(world, online, reached)?;
        begun.judged = end;
        if let Some(judged) = judged {
            return Ok(Next::Emissions(judged));
        }
        begun.done(&world.log)?;
        Ok(Next::Nothing)
    }

    /// What was next is logged and applied.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn done(&mut self, world: &World) -> Result<(), EngineError> {
        match &mut self.begun {
            Some(begun) => begun.done(&world.log),
            None => Ok(()),
        }
    }
}

impl Begun {
    fn find(world: &World, lane: &Lane, reached: &Reached) -> Result<Self, EngineError> {
        let log = &world.log;
        let emits = &lane.streams;
        let all = with_read(&world.ordered, emits);
        let mut streams = Vec::new();
        for def in world.ordered.iter().filter(|def| all.contains(&def.id)) {
            if let Some(derived) = &def.derived {
                let reached = reached.get(&def.id).copied().unwrap_or(0);
                let of = (Arc::clone(def), Arc::clone(derived));
                streams.push(Stream::find(log, of, emits.contains(&def.id), reached)?);
            }
        }
        let from = first_of(&streams);
        for stream in &mut streams {
            stream.count_from(log, from)?;
        }
        let wanted = streams.iter().flat_map(Stream::causes).collect();
        let ids = streams.iter().map(|stream| stream.def.id).collect();
        let reads = || streams.iter().flat_map(Stream::reads).collect();
        let only = lane.is_narrow.then(reads);
        Ok(Begun {
            streams,
            base: log.cut_before(Sequence(from)).map_err(EngineError::log)?,
            pieces: Pieces::new(&world.catalog, ids, wanted, only),
            piece: None,
            judged: Place::default(),
            left: None,
            foresight: None,
            upcoming: None,
            counted: None,
            counting: Vec::new(),
        })
    }

    /// Takes what was logged next; whether there is something.
    fn take_piece(
        &mut self,
        world: &World,
        online: &impl Online,
        reached: &Reached,
    ) -> Result<bool, EngineError> {
        let from = first_of(&self.streams);
        // That of the piece before is of no use any more.
        self.foresight = None;
        let upcoming = self.upcoming.take();
        if let Some(upcoming) = upcoming.filter(|upcoming| upcoming.records.from == from) {
            world.ahead.note_piece();
            self.piece = Some(Piece::of(upcoming.records));
            self.foresight = upcoming.foresight;
            return Ok(true);
        }
        let base = self.base.clone();
        let records = self.records_from(world, online, reached, (from, &base))?;
        self.piece = records.map(|records| Piece::of(Arc::new(records)));
        Ok(self.piece.is_some())
    }

    /// What was logged from a record on, before which others had logged that.
    fn records_from(
        &mut self,
        world: &World,
        online: &impl Online,
        reached: &Reached,
        (from, base): (u64, &Cut),
    ) -> Result<Option<Records>, EngineError> {
        // What has ended has emitted everything.
        let waits = |stream: &&Stream| !stream.emits && !stream.def.has_ended();
        let others = self.streams.iter().filter(waits);
        let until = others.map(|stream| reached.get(&stream.def.id).copied().unwrap_or(0));
        let until = until.min().unwrap_or(u64::MAX);
        let applied = online.with(Engine::cut);
        self.pieces.take(world, (from, until), (base, applied))
    }

    /// Takes the piece behind this one and has it evaluated ahead, if somebody helps and the stream whose turn it
    /// is there first reads no other one: what that emits for this piece is not known yet.
    fn look_ahead(&mut self, world: &World, online: &impl Online, reached: &Reached) {
        let Some(piece) = self.piece.as_ref().filter(|_| self.upcoming.is_none()) else {
            return;
        };
        let is_last = self.streams.iter().skip(piece.next + 1).all(|s| !s.emits);
        let first = self.streams.iter().position(|stream| stream.emits);
        let first = first.filter(|&number| {
            let stream = &self.streams[number];
            let is_derived = |id: &SourceId| world.ordered.iter().any(|def| def.id == *id);
            world.may_look_ahead(stream) && !stream.reads().iter().any(is_derived)
        });
        let (Some(number), true) = (first, is_last && world.ahead.is_helped()) else {
            return;
        };
        let (from, base) = (piece.records.end, piece.records.cut.clone());
        // What goes wrong is told when it is its turn.
        let Ok(Some(records)) = self.records_from(world, online, reached, (from, &base)) else {
            return;
        };
        let records = Arc::new(records);
        let stream = &self.streams[number];
        let known = Passing::of_others(&records);
        let foresight = Foresight::begin(world, &stream.of, stream.next.record, known);
        self.upcoming = Some(Upcoming {
            records,
            foresight: foresight.map(|foresight| (number, foresight)),
        });
    }

    /// What the next stream of the piece emits, none if that is nothing; and up to where.
    fn judge(
        &mut self,
        world: &World,
        online: &(impl Online + Sync),
        reached: &Reached,
    ) -> Result<(Option<Judged>, Place), EngineError> {
        let next = self.piece.as_ref().map(|piece| piece.next);
        if let Some(stream) = next.and_then(|next| self.streams.get(next))
            && world.log.end(stream.def.id, PARTITION).0 == stream.emitted
        {
            self.counted = Some(Emitted::from(stream.emitted));
        }
        let (foresight, of_a_later) = match self.foresight.take() {
            Some((number, foresight)) if Some(number) == next => (Some(foresight), None),
            Some(later) if Some(later.0) > next => (self.begin_foresight(world), Some(later)),
            _ => (self.begin_foresight(world), None),
        };
        self.look_ahead(world, online, reached);
        let kept = (self.left.take(), foresight);
        let (judged, (left, foresight)) = self.judge_on(world, online, kept)?;
        self.left = left;
        self.foresight = next.zip(foresight).or(of_a_later);
        let (judged, end) = judged?;
        let emitted = judged.iter().flat_map(Judged::events);
        self.counting = emitted.filter_map(record_of).collect();
        Ok((judged, end))
    }

    /// What is evaluated ahead for the next stream of the piece.
    fn begin_foresight(&self, world: &World) -> Option<Foresight> {
        let piece = self.piece.as_ref()?;
        let stream = self.streams.get(piece.next)?;
        if !stream.emits || !world.may_look_ahead(stream) {
            return None;
        }
        let known = Passing::begin(piece, &self.streams);
        Foresight::begin(world, &stream.of, stream.next.record, known)
    }

    /// What comes of it, and what is kept in any case.
    #[expect(
        clippy::type_complexity,
        reason = "two answers, one of which may be an error"
    )]
    fn judge_on(
        &self,
        world: &World,
        online: &(impl Online + Sync),
        (left, foresight): Kept,
    ) -> Result<(Result<(Option<Judged>, Place), EngineError>, Kept), EngineError> {
        let Some((piece, stream)) = self
            .piece
            .as_ref()
            .and_then(|piece| Some((piece, self.streams.get(piece.next)?)))
        else {
            return Ok((Ok((None, Place::at(u64::MAX))), (None, None)));
        };
        if !stream.emits {
            return Ok((Ok((None, Place::at(piece.records.end))), (None, None)));
        }
        let roots = &piece.records.roots;
        let first = roots.partition_point(|root| root.record < stream.next.record);
        let roots = &roots[first..];
        let known = Passing::begin(piece, &self.streams);
        let is_helped = world.ahead.is_helped();
        let wants_help = foresight.is_some() && !is_helped && is_much(&stream.of, roots);
        let rows = Rows::new(world, stream, left, foresight);
        if !wants_help {
            return self.judge_roots(world, online, (piece, roots), known, rows);
        }
        thread::scope(|scope| {
            let _helped = world.ahead.helped_by(scope, online);
            self.judge_roots(world, online, (piece, roots), known, rows)
        })
    }

    /// The same of some records of the piece; `known` is what is known before them.
    #[expect(
        clippy::type_complexity,
        reason = "two answers, one of which may be an error"
    )]
    fn judge_roots<'a>(
        &'a self,
        world: &'a World,
        online: &impl Online,
        (piece, roots): (&'a Piece, &'a [Root]),
        (mut passing, mut cut): (Passing, Cut),
        mut rows: Rows<'a>,
    ) -> Result<(Result<(Option<Judged>, Place), EngineError>, Kept), EngineError> {
        let stream = &self.streams[piece.next];
        let mut end = Place::at(piece.records.end);
        let mut timers = Timers::of(&world.catalog, &stream.derived);
        let mut calls = None;
        for root in roots {
            passing.to(root, |source, partition, end| {
                cut.set_end(source, partition, end);
            });
            let within = match root.record == stream.next.record {
                true => stream.next.within,
                false => Within::default(),
            };
            let (due_until, due) = match &mut timers {
                Some(timers) => timers.pass(online, root, &cut)?,
                None => (None, None),
            };
            let known = Known {
                cut: &cut,
                due_until,
            };
            let acts = acts(piece, &self.streams, (stream, root), due, within.acts);
            if let Some((calls, events)) = &mut calls {
                // Functions are called for many events at once.
                gather(online, &mut rows, (root.record, acts), known, calls)?;
                *events += 1;
                if *events >= GATHERED_MAX || calls.are_enough() {
                    break;
                }
                continue;
            }
            let acted = match rows.act(online, root.record, acts, known, within) {
                Err(EngineError::Calls(needed)) => {
                    calls = Some((*needed, 1));
                    continue;
                }
                acted => acted?,
            };
            if let Some(within) = acted {
                end = Place {
                    record: root.record,
                    within,
                };
                rows.say_rest(end);
                break;
            }
            if rows.is_full() {
                end = end.min(Place::at(root.record + 1));
                break;
            }
        }
        let kept = rows.take_kept();
        if let Some((calls, _)) = calls {
            return Ok((Err(EngineError::Calls(Box::new(calls))), kept));
        }
        Ok((Ok((rows.judge(online)?, end)), kept))
    }

    /// What was judged is logged and applied.
    fn done(&mut self, log: &LogReader) -> Result<(), EngineError> {
        let Some(piece) = &mut self.piece else {
            return Ok(());
        };
        let emitted = std::mem::take(&mut self.counting);
        if let Some(counted) = &mut self.counted {
            emitted
                .into_iter()
                .for_each(|record| counted.take(record, 1));
        }
        if let Some(stream) = self.streams.get_mut(piece.next) {
            if self.judged < Place::at(piece.records.end) {
                stream.next = stream.next.max(self.judged);
                return Ok(());
            }
            let counted = self.counted.take();
            piece.take_emitted(log, &stream.def, (stream.emitted, counted))?;
            stream.next = stream.next.max(Place::at(piece.records.end));
            piece.next += 1;
        }
        if piece.next < self.streams.len() {
            return Ok(());
        }
        for stream in &mut self.streams {
            stream.emitted += piece.emitted_of(stream.def.id);
        }
        self.base = piece.records.cut.clone();
        self.piece = None;
        Ok(())
    }
}

impl World {
    /// Whether what brings a stream's rows may be evaluated ahead: what is due depends on the records before, and
    /// what a function says is known to the thread that asks it.
    fn may_look_ahead(&self, stream: &Stream) -> bool {
        stream.derived.timer.is_none() && self.catalog.functions.is_empty()
    }
}

/// The first record that some stream has not emitted everything for.
fn first_of(streams: &[Stream]) -> u64 {
    let emits = streams.iter().filter(|stream| stream.emits);
    emits.map(|stream| stream.next.record).min().unwrap_or(0)
}

/// Adds the calls that a record's events of the trigger need.
fn gather<'a>(
    online: &impl Online,
    rows: &mut Rows<'a>,
    (record, acts): (u64, impl Iterator<Item = (usize, Act<'a>)>),
    known: Known<'_>,
    calls: &mut FunctionCalls,
) -> Result<(), EngineError> {
    for (_, act) in acts {
        if let Act::Bring(cause) = act {
            rows.gather(online, record, cause, known, calls)?;
        }
    }
    Ok(())
}

/// The events of one source that make a stream emit for a record.
struct Causes<'a> {
    /// The record itself.
    logged: Option<&'a LoggedEvent>,
    /// What another stream emitted for it.
    emitted: Option<(&'a Arc<SourceDef>, Range<u64>)>,
}

impl<'a> Causes<'a> {
    fn of(piece: &Piece, streams: &'a [Stream], root: &'a Root, source: SourceId) -> Self {
        let emits = streams.iter().find(|stream| stream.def.id == source);
        Causes {
            logged: match &root.what {
                Rooted::Event(event) if event.source == source => Some(event),
                _ => None,
            },
            emitted: emits.map(|emits| (&emits.def, piece.emitted_for(source, root.record))),
        }
    }

    /// Passes over so many, at most; how many are still to be passed over behind them. There may be
    /// millions.
    fn pass(&mut self, mut count: usize) -> usize {
        if count > 0 && self.logged.take().is_some() {
            count -= 1;
        }
        if let Some((_, offsets)) = &mut self.emitted {
            let passed = (count as u64).min(offsets.end - offsets.start);
            offsets.start += passed;
            count -= passed as usize;
        }
        count
    }

    fn all(self) -> impl Iterator<Item = Cause<'a>> {
        let emitted = self
            .emitted
            .into_iter()
            .flat_map(|(def, offsets)| offsets.map(move |offset| Cause::Emitted(def, offset)));
        self.logged.into_iter().map(Cause::Logged).chain(emitted)
    }
}

/// What a record makes a stream do behind what is done, with its number, in this order: what it brings,
/// what it changes of what was emitted before, what it asks for, and what is due.
fn acts<'a>(
    piece: &Piece,
    streams: &'a [Stream],
    (stream, root): (&'a Stream, &'a Root),
    due: Option<Times>,
    done: usize,
) -> impl Iterator<Item = (usize, Act<'a>)> {
    let mut passed = done;
    let mut causes = |source: SourceId| {
        let mut causes = Causes::of(piece, streams, root, source);
        passed = causes.pass(passed);
        causes
    };
    let brought = causes(stream.derived.trigger().source.id);
    let watched: BTreeSet<SourceId> = stream.watched.iter().map(|w| w.source).collect();
    let watched: Vec<Causes<'a>> = watched.into_iter().map(causes).collect();
    let backfill = match &root.what {
        Rooted::Backfill(backfill) if backfill.source == stream.def.id => Some(backfill.backfill),
        _ => None,
    };
    let rest = backfill.map(Act::Backfill).into_iter();
    let rest = rest.chain(due.map(Act::Due)).skip(passed);
    let revised = watched.into_iter().flat_map(Causes::all).map(Act::Revise);
    (done..).zip(brought.all().map(Act::Bring).chain(revised).chain(rest))
}
