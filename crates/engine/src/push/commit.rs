//! A commit that was judged, and then is durable: where its events are, and what is answered.

use std::collections::BTreeMap;

use evenkeel_log::{Appended, Batch, DeadLetter, Log};
use evenkeel_types::{Cut, Event, EventTime, LoggedEvent, Offset, Partition, Position, SourceId};
use rustc_hash::FxHashMap;

use super::{PushAnswer, RowAnswer, Triggered, Written};
use crate::api::IngestReport;
use crate::engine::Engine;
use crate::error::{EngineError, chain};
use crate::group::{Accepted, First, Group, Made};
use crate::session_token::SessionToken;

/// So many events are brought closer before they are applied.
const EXPECTED_EVENTS: usize = 64;

/// A commit that was judged: to be appended.
pub struct Judged {
    pub(super) batches: Vec<Batch>,
    pub(super) earlier: Earlier,
    /// What was made of the events of the first of these.
    pub(super) made: Vec<Vec<Made>>,
    pub(super) requests: Vec<Result<Request, EngineError>>,
}

/// A commit that is durable: to be applied.
pub struct Durable {
    /// What is still to be applied, the first last.
    batches: Vec<DurableBatch>,
    places: Places,
    /// Events that are corrected or contested, as they are: whoever waits need not wait for the log, or
    /// for the lake.
    earlier: Earlier,
    requests: Vec<Result<Request, EngineError>>,
    losers: Vec<(SourceId, Position)>,
}

/// Where the events of a commit are.
struct Places {
    /// In the order of the log.
    batches: Vec<Appended>,
    /// The first offset of each.
    first: BTreeMap<(SourceId, Partition), u64>,
    /// Everything that was logged before them, if a request asks for it.
    before: Option<Cut>,
}

/// Events that are known to be in the log, by their places.
pub(crate) type Earlier = FxHashMap<(SourceId, Position), LoggedEvent>;

/// Events of one partition that are durable, with what was made of them.
struct DurableBatch {
    place: Appended,
    schema_version: u32,
    events: std::vec::IntoIter<Event>,
    /// One of each.
    made: std::vec::IntoIter<Made>,
    /// How many of them were applied.
    applied: u64,
}

impl Iterator for DurableBatch {
    type Item = (LoggedEvent, Made);

    fn next(&mut self) -> Option<Self::Item> {
        let (event, made) = (self.events.next()?, self.made.next()?);
        let logged = self
            .place
            .logged_event(self.schema_version, self.applied, event);
        self.applied += 1;
        Some((logged, made))
    }
}

/// A request on its way.
pub(super) enum Request {
    Push(Push),
    /// One row.
    Trigger(Push),
    Redrive(IngestReport),
}

/// Rows on their way.
pub(super) struct Push {
    pub(super) source: SourceId,
    pub(super) rows: Vec<Row>,
    /// Where duplicates of what was logged before are.
    pub(super) known: Cut,
    pub(super) time: Option<EventTime>,
}

pub(super) enum Row {
    Event(Partition, Accepted),
    LeftOut,
    Rejected { code: &'static str, reason: String },
}

impl Judged {
    /// A commit that nobody waits for; of what its events take the place of some is known.
    pub(crate) fn of(group: Group, earlier: Earlier) -> Self {
        let (batches, made) = group.into_batches();
        Judged {
            batches,
            earlier,
            made,
            requests: Vec::new(),
        }
    }

    /// Its events.
    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        let events = self.batches.iter().filter_map(|batch| match batch {
            Batch::Events { events, .. } => Some(events),
            _ => None,
        });
        events.flatten()
    }

    /// Makes the commit durable.
    ///
    /// # Errors
    /// Of the log: then no request of it is answered otherwise.
    pub fn append(self, log: &Log) -> Result<Durable, EngineError> {
        let mut requests = self.requests.iter();
        let triggers = requests.any(|request| matches!(request, Ok(Request::Trigger(_))));
        // Nobody else appends.
        let before = triggers.then(|| log.ends());
        let places = append(log, &self.batches)?;
        let mut batches = Vec::new();
        let mut durable = Vec::new();
        let mut made = self.made.into_iter();
        for (batch, place) in self.batches.into_iter().zip(places) {
            if let Batch::Events {
                schema_version,
                events: batch,
                ..
            } = batch
            {
                batches.push(place);
                let made = made.next().expect("something was made of each event");
                durable.push(DurableBatch {
                    place,
                    schema_version,
                    events: batch.into_iter(),
                    made: made.into_iter(),
                    applied: 0,
                });
            }
        }
        durable.reverse();
        let first = |batch: &Appended| ((batch.source, batch.partition), batch.first);
        Ok(Durable {
            batches: durable,
            places: Places {
                first: batches.iter().map(first).collect(),
                batches,
                before,
            },
            earlier: self.earlier,
            requests: self.requests,
            losers: Vec::new(),
        })
    }
}

/// Appends batches, if there are any.
///
/// # Errors
/// Of the log.
pub fn append(log: &Log, batches: &[Batch]) -> Result<Vec<Appended>, EngineError> {
    if batches.is_empty() {
        return Ok(Vec::new());
    }
    log.append(batches).map_err(EngineError::log)
}

impl Durable {
    /// The answers, once everything is applied: one per request, in order.
    pub fn answers(self) -> Vec<Result<Written, EngineError>> {
        let Durable {
            places, requests, ..
        } = self;
        requests
            .into_iter()
            .map(|request| Ok(places.written(request?)))
            .collect()
    }

    /// The answers, if it could not be applied to its end: one per request, in order.
    pub fn unapplied(self, error: &EngineError) -> Vec<Result<Written, EngineError>> {
        let reason = chain(error);
        let refused = |request: Result<Request, EngineError>| {
            request.and_then(|_| {
                Err(EngineError::NotApplied {
                    reason: reason.clone(),
                })
            })
        };
        self.requests.into_iter().map(refused).collect()
    }
}

impl Places {
    /// Where the commit has an event of a partition, by its number there.
    fn position(&self, source: SourceId, partition: Partition, index: usize) -> Position {
        let first = self.first.get(&(source, partition)).copied().unwrap_or(0);
        Position {
            partition,
            offset: Offset(first + index as u64),
        }
    }

    /// Everything that was logged up to an event of the commit, and the event; and its record. None if it
    /// is not of the commit.
    fn cut_through(&self, source: SourceId, position: Position) -> Option<(Cut, u64)> {
        let mut cut = self.before.clone()?;
        for batch in &self.batches {
            let is_here = batch.source == source
                && batch.partition == position.partition
                && (Offset(batch.first)..batch.end()).contains(&position.offset);
            if is_here {
                cut.set_end(source, position.partition, Offset(position.offset.0 + 1));
                let record = batch.first_sequence.0 + (position.offset.0 - batch.first);
                return Some((cut, record));
            }
            cut.set_end(batch.source, batch.partition, batch.end());
        }
        None
    }

    fn written(&self, request: Request) -> Written {
        match request {
            Request::Push(push) => Written::Pushed(self.pushed(push).0),
            Request::Trigger(push) => {
                let source = push.source;
                let (push, at) = self.pushed(push);
                let known = at.and_then(|at| self.cut_through(source, at));
                Written::Triggered(Triggered { push, at, known })
            }
            Request::Redrive(report) => Written::Redriven(report),
        }
    }

    /// What became of rows; and where the last of them is that is an event.
    fn pushed(&self, request: Push) -> (PushAnswer, Option<Position>) {
        let Push {
            source,
            rows,
            known: mut positions,
            time,
        } = request;
        let mut last = None;
        let mut reach = |partition: Partition, index: usize| {
            let position = self.position(source, partition, index);
            let end = Offset(position.offset.0 + 1).max(positions.end(source, partition));
            positions.set_end(source, partition, end);
            position
        };
        let rows = rows
            .into_iter()
            .map(|row| {
                let (answer, at) = match row {
                    Row::Event(partition, Accepted::New { index }) => {
                        let at = reach(partition, index);
                        (RowAnswer::Logged(at), Some(at))
                    }
                    Row::Event(partition, Accepted::Conflict { index }) => {
                        let at = reach(partition, index);
                        (RowAnswer::Conflict(at), Some(at))
                    }
                    Row::Event(partition, Accepted::Duplicate(First::Here(index))) => {
                        (RowAnswer::Duplicate, Some(reach(partition, index)))
                    }
                    Row::Event(_, Accepted::Duplicate(First::Logged(first))) => {
                        (RowAnswer::Duplicate, Some(first))
                    }
                    Row::LeftOut => (RowAnswer::LeftOut, None),
                    Row::Rejected { code, reason } => (RowAnswer::Rejected { code, reason }, None),
                };
                last = at.or(last);
                answer
            })
            .collect();
        let session = SessionToken { positions, time };
        (PushAnswer { rows, session }, last)
    }
}

impl Engine {
    /// Applies at most so many events of a commit; whether there are more.
    ///
    /// # Errors
    /// If an event does not fit its source, or an earlier one cannot be read; then the
    /// engine must not be used for writing any more: open the store again. What is answered is
    /// [`Durable::unapplied`].
    pub fn apply_some(&mut self, commit: &mut Durable, events: usize) -> Result<bool, EngineError> {
        let mut left = events;
        while let Some(batch) = commit.batches.last_mut() {
            while left > 0 && batch.events.len() > 0 {
                let next = left.min(EXPECTED_EVENTS);
                self.expect_events(batch, next);
                for (logged, made) in batch.by_ref().take(next) {
                    left -= 1;
                    let source = logged.source;
                    let applied = self.apply_logged(logged, Some(made), &commit.earlier);
                    if let Some(loser) = applied? {
                        commit.losers.push((source, loser));
                    }
                }
            }
            if batch.events.len() > 0 {
                return Ok(true);
            }
            commit.batches.pop();
        }
        self.mark_if_due();
        Ok(false)
    }

    /// Has what the next events of a batch are applied to brought closer.
    fn expect_events(&self, batch: &DurableBatch, next: usize) {
        let source = batch.place.source;
        let def = self.catalog().source_by_id(source);
        // What was made of them is of the definition that they were judged by.
        if def.is_some_and(|def| def.schema.version() == batch.schema_version) {
            let made = batch.made.as_slice().iter().take(next);
            self.hot().expect(source, made.map(|made| &*made.row));
        }
    }

    /// The dead letters for payloads that lost a conflict in a commit: to be appended, and then
    /// [`Engine::told`].
    ///
    /// # Errors
    /// If the events cannot be read. The events of the commit are logged and applied whatever
    /// becomes of these, and so it is answered; [`Engine::tell`] makes up for it.
    pub fn conflict_letters(&self, commit: &Durable) -> Result<Vec<Batch>, EngineError> {
        let mut letters: BTreeMap<SourceId, Vec<DeadLetter>> = BTreeMap::new();
        for (source, position) in &commit.losers {
            if let Some(def) = self.catalog().source_by_id(*source) {
                let letter = self.conflict_letter(def, *position, &commit.earlier)?;
                letters.entry(*source).or_default().push(letter);
            }
        }
        Ok(letters
            .into_iter()
            .map(|(source, letters)| Batch::DeadLetters { source, letters })
            .collect())
    }

    /// The dead letters of a commit are logged.
    pub fn told(&mut self, commit: &Durable) {
        self.forget_told(&commit.losers);
    }
}
