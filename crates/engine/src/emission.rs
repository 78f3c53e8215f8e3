//! Emissions: the events of derived streams, made of what is logged, one after the other
//! (`docs/decisions/0032-emissions.md`).
//!
//! Owns in which order they are made and how far that has come; what one is, is in `row`, what they
//! are made from at a time in `piece`. Invariant: what is emitted is a function of the definitions and of
//! the events that others logged, in the order of the log, whatever the commits and restarts were. The
//! emissions of a stream for one record are in one commit, so that how far it has come is what its
//! last emission says.

mod piece;
mod row;
mod size;
mod tail;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_log::{LogReader, Sequence};
use evenkeel_types::definition::{Catalog, DerivedDef, SourceDef, Watched};
use evenkeel_types::{Cut, Event, Offset, Origin, Partition, Position, SourceId};
use evenkeel_view::Uses;

pub use self::tail::{emissions, emissions_end, topic_of};

use self::piece::Piece;
use self::row::Rows;
pub(crate) use self::row::emission_of;
pub(crate) use self::size::bytes_of;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::ingest::{fetch, nothing_at};
use crate::offline::Online;
use crate::push::Judged;

/// The partition of every derived stream: emissions have one order.
const PARTITION: Partition = Partition(0);
/// After about so many bytes of emissions the rest of a piece is another commit.
const COMMIT_BYTES: usize = 8 << 20;

/// Makes emissions. It remembers how far it has come; after a commit that was not appended a new
/// one is needed.
#[derive(Default)]
pub struct Emitter {
    /// What it was begun for: the catalog and the log.
    begun: Option<(Arc<Catalog>, LogReader)>,
    /// Each after those that it reads.
    streams: Vec<Stream>,
    /// Everything that others logged before the piece.
    base: Cut,
    piece: Option<Piece>,
    /// The first record of the piece that the next stream's commit leaves for another one.
    judged: u64,
}

/// A derived stream on its way.
struct Stream {
    def: Arc<SourceDef>,
    derived: Arc<DerivedDef>,
    /// What makes it emit again, besides its trigger.
    watched: Vec<Watched>,
    /// The first record for which nothing was emitted yet.
    next: u64,
    /// The offset of its first emission for a record of the piece, or later.
    emitted: u64,
}

/// What comes next.
pub enum Next {
    /// Emissions, to be appended and applied, and then [`Emitter::done`].
    Emissions(Judged),
    /// A piece of the log brought nothing: it goes on behind it.
    Nothing,
    /// There is nothing until more is logged.
    End,
}

impl Emitter {
    /// What one stream makes of one piece of the log, so that others have their turn in between.
    /// What is logged and not applied is left for later.
    ///
    /// # Errors
    /// If what emissions are made of cannot be read.
    pub fn next(&mut self, online: &impl Online) -> Result<Next, EngineError> {
        self.begin(online)?;
        if self.piece.is_none() && !self.take_piece(online)? {
            return Ok(Next::End);
        }
        let (judged, end) = self.judge(online)?;
        self.judged = end;
        if let Some(judged) = judged {
            return Ok(Next::Emissions(judged));
        }
        self.done()?;
        Ok(Next::Nothing)
    }

    /// What was next is logged and applied.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn done(&mut self) -> Result<(), EngineError> {
        let (Some((_, log)), Some(piece)) = (&self.begun, &mut self.piece) else {
            return Ok(());
        };
        if let Some(stream) = self.streams.get_mut(piece.next) {
            if self.judged < piece.end {
                stream.next = stream.next.max(self.judged);
                return Ok(());
            }
            piece.take_emitted(log, &stream.def, stream.emitted)?;
            stream.next = stream.next.max(piece.end);
            piece.next += 1;
        }
        if piece.next < self.streams.len() {
            return Ok(());
        }
        for stream in &mut self.streams {
            stream.emitted += piece.emitted_of(stream.def.id).len() as u64;
        }
        self.base = std::mem::take(&mut piece.cut);
        self.piece = None;
        Ok(())
    }

    /// Of each derived stream the first record for which nothing was emitted yet.
    fn reached(&self) -> BTreeMap<SourceId, u64> {
        let streams = self.streams.iter();
        streams.map(|stream| (stream.def.id, stream.next)).collect()
    }

    /// Finds where it goes on, if definitions or the store are others than before.
    fn begin(&mut self, online: &impl Online) -> Result<(), EngineError> {
        let (catalog, log, reached) = online.with(|engine| {
            let catalog = Arc::clone(engine.shared_catalog());
            (catalog, engine.reader().clone(), engine.reached().clone())
        });
        if let Some((known, _)) = &self.begun
            && Arc::ptr_eq(known, &catalog)
        {
            return Ok(());
        }
        *self = Emitter::default();
        for def in in_order(&catalog) {
            let Some(derived) = def.derived.clone() else {
                continue;
            };
            let end = log.end(def.id, PARTITION).0;
            let last = match end.checked_sub(1) {
                None => 0,
                Some(last) => record_at(&log, &def, last)? + 1,
            };
            let next = reached.get(&def.id).copied().unwrap_or(0).max(last);
            let watched = match derived.revises {
                true => watched(&def, &derived)?,
                false => Vec::new(),
            };
            self.streams.push(Stream {
                watched,
                def,
                derived,
                next,
                emitted: end,
            });
        }
        let from = self.from();
        for stream in &mut self.streams {
            stream.emitted = first_emitted(&log, stream, from)?;
        }
        self.base = log.cut_before(Sequence(from)).map_err(EngineError::log)?;
        self.begun = Some((catalog, log));
        Ok(())
    }

    /// The first record that some stream has not emitted for.
    fn from(&self) -> u64 {
        self.streams.iter().map(|s| s.next).min().unwrap_or(0)
    }

    /// Takes what was logged next; whether there is something.
    fn take_piece(&mut self, online: &impl Online) -> Result<bool, EngineError> {
        let Some((catalog, log)) = &self.begun else {
            return Ok(false);
        };
        if self.streams.is_empty() {
            return Ok(false);
        }
        let triggers = self.streams.iter().map(|s| s.derived.trigger().source.id);
        let watched = self.streams.iter().flat_map(|s| &s.watched);
        let wanted: BTreeSet<SourceId> = triggers.chain(watched.map(|w| w.source)).collect();
        let applied = online.with(Engine::cut);
        self.piece = Piece::take(log, catalog, &wanted, self.from(), (&self.base, applied))?;
        Ok(self.piece.is_some())
    }

    /// What the next stream of the piece emits, none if that is nothing; and up to which record.
    fn judge(&self, online: &impl Online) -> Result<(Option<Judged>, u64), EngineError> {
        let Some((piece, stream)) = self
            .piece
            .as_ref()
            .and_then(|piece| Some((piece, self.streams.get(piece.next)?)))
        else {
            return Ok((None, u64::MAX));
        };
        let mut end = piece.end;
        let trigger = stream.derived.trigger().source.id;
        let mut rows = Rows::new(&stream.def, &stream.derived);
        for root in piece.roots.iter().filter(|r| r.record >= stream.next) {
            let cut = self.cut_of(piece, root.record, &root.cut);
            if root.event.source == trigger {
                rows.bring(online, root.record, &root.event, &cut)?;
            }
            for emission in piece.emitted_for(trigger, root.record) {
                rows.bring(online, root.record, &emission.event, &cut)?;
            }
            let sources: BTreeSet<SourceId> = stream.watched.iter().map(|w| w.source).collect();
            for source in sources {
                let logged = (root.event.source == source).then_some(&root.event);
                let emitted = piece.emitted_for(source, root.record);
                for late in logged.into_iter().chain(emitted.iter().map(|e| &e.event)) {
                    rows.revise(online, root.record, late, &stream.watched, &cut)?;
                }
            }
            if rows.bytes() > COMMIT_BYTES {
                end = end.min(root.record + 1);
                break;
            }
        }
        Ok((rows.judge(online)?, end))
    }

    /// What a stream knows at a record: everything up to it, and what the streams before emitted
    /// up to it.
    fn cut_of(&self, piece: &Piece, record: u64, logged: &Cut) -> Cut {
        let mut cut = logged.clone();
        for (number, stream) in self.streams.iter().enumerate() {
            let emitted = match number < piece.next {
                true => piece.emitted_until(stream.def.id, record),
                false => 0,
            };
            cut.set_end(stream.def.id, PARTITION, Offset(stream.emitted + emitted));
        }
        cut
    }
}

/// What makes a stream emit again. What cannot be watched was refused when it was applied.
fn watched(def: &SourceDef, derived: &DerivedDef) -> Result<Vec<Watched>, EngineError> {
    derived
        .watched()
        .map_err(|lookup| EngineError::Incompatible {
            object: "derived stream",
            name: def.name.clone(),
            reason: format!(
                "which emissions a late event changes cannot be found through `{}` any more",
                lookup.alias
            ),
        })
}

/// The derived streams, each after those that it reads.
pub(crate) fn in_order(catalog: &Catalog) -> Vec<Arc<SourceDef>> {
    let mut left: Vec<&Arc<SourceDef>> = catalog.derived().collect();
    let mut ordered: Vec<Arc<SourceDef>> = Vec::new();
    while !left.is_empty() {
        let names: BTreeSet<SourceId> = left.iter().map(|def| def.id).collect();
        let (ready, waiting): (Vec<_>, Vec<_>) = left.into_iter().partition(|def| {
            let read = def.derived.as_ref().map(|derived| read_by(derived));
            read.is_none_or(|read| read.is_disjoint(&names))
        });
        if ready.is_empty() {
            // A project refuses circles.
            break;
        }
        ordered.extend(ready.into_iter().cloned());
        left = waiting;
    }
    ordered
}

/// The sources that a derived stream reads, its trigger included.
fn read_by(derived: &DerivedDef) -> BTreeSet<SourceId> {
    let uses = Uses::of([derived.view.as_ref()]);
    let read = uses.sources().into_keys();
    read.chain([derived.trigger().source.id]).collect()
}

/// Where an emission comes from: the definition, and the record that it was made for.
fn origin_of(def: &SourceDef, record: u64) -> Origin {
    let digest: String = def.digest[..8].iter().map(|b| format!("{b:02x}")).collect();
    Origin::Producer {
        id: digest,
        sequence: record,
    }
}

/// The record that an emission was made for.
pub(crate) fn record_of(event: &Event) -> Option<u64> {
    match event.origin {
        Origin::Producer { sequence, .. } => Some(sequence),
        _ => None,
    }
}

fn record_at(log: &LogReader, def: &SourceDef, offset: u64) -> Result<u64, EngineError> {
    let position = Position::new(PARTITION.0, offset);
    let logged = fetch(log, def, position)?;
    record_of(&logged.event).ok_or_else(|| nothing_at(def, position))
}

/// The offset of the first emission of a stream for a record or a later one: they are in the order of
/// records.
fn first_emitted(log: &LogReader, stream: &Stream, record: u64) -> Result<u64, EngineError> {
    if stream.next <= record {
        return Ok(stream.emitted);
    }
    let (mut first, mut end) = (0, stream.emitted);
    while first < end {
        let middle = first + (end - first) / 2;
        match record_at(log, &stream.def, middle)? < record {
            true => first = middle + 1,
            false => end = middle,
        }
    }
    Ok(first)
}

impl Engine {
    /// Emits what is logged and not emitted yet. What goes wrong is told by
    /// [`Engine::emission_failure`], and tried again with the next write.
    pub(crate) fn emit(&mut self) {
        // Behind an event that could not be applied nothing is.
        if self.catalog().derived().next().is_none() || self.needs_healing() {
            return;
        }
        let mut emitter = std::mem::take(self.emitter_mut());
        let emitted = self.emit_all(&mut emitter);
        if emitted.is_ok() {
            *self.emitter_mut() = emitter;
        }
        self.note_emission(emitted.err().as_ref());
    }

    /// Whether it is known how far an emitter has come.
    pub fn is_emitted(&self, emitter: &Emitter) -> bool {
        self.emission_failure().is_none() && *self.reached() == emitter.reached()
    }

    /// Takes down how far an emitter has come, for the next checkpoint.
    pub fn emitted(&mut self, emitter: &Emitter) {
        self.note_emission(None);
        self.set_reached(emitter.reached());
    }

    fn emit_all(&mut self, emitter: &mut Emitter) -> Result<(), EngineError> {
        let log = self.writer()?;
        loop {
            match emitter.next(self)? {
                Next::End => break,
                Next::Nothing => {}
                Next::Emissions(judged) => {
                    let mut commit = judged.append(&log)?;
                    while self.apply_some(&mut commit, usize::MAX)? {}
                    emitter.done()?;
                }
            }
            self.emitted(emitter);
            // If it fails, the next write finds the hot tier closed.
            let _ = self.checkpoint_if_due();
        }
        self.emitted(emitter);
        Ok(())
    }
}
