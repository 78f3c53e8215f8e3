//! Events that callers push, and dead letters that are driven again.
//!
//! A commit has three steps, so that whoever serves reads beside it holds no lock while the
//! disk is written: [`Pusher::judge`] with the engine to read, in pieces, [`Judged::append`]
//! with the log alone, [`Engine::apply_some`] with the engine to write, in pieces. There must be one
//! pusher at a time, and nothing else may write between its steps. The dead letters of
//! conflicts follow in a commit of their own ([`Engine::conflict_letters`]); a process that
//! dies before it is made up for when the store is opened.
//!
//! Identity is that of any event: the event id where the source declares one, else the
//! producer's id and sequence, else its position in the log; only the last makes a repeated
//! push a second event.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_connect::FileRows;
pub use evenkeel_connect::{FileRow, Undecoded};
use evenkeel_log::{Appended, Batch, DeadLetter, Log, LoggedDeadLetter, OWN_POSITION};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{
    Cut, Event, EventTime, LoggedEvent, Offset, Origin, Partition, Position, SourceId, Value,
    VisibleAt,
};
use evenkeel_view::SourceProgram;

use rustc_hash::FxHashMap;

use crate::api::IngestReport;
use crate::correction::Correction;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::group::{Accepted, Group, Made};
use crate::ingest::{decode_record, record_of};
use crate::offline::Online;
use crate::recorder::{Considered, Recordable, Recorder, Verdict};
use crate::session_token::SessionToken;

/// Rows that are judged under one hold of the engine: who waits to write keeps other readers
/// waiting, too.
const PIECE_ROWS: usize = 64;

/// One row that is pushed.
#[derive(Clone, Debug)]
pub struct PushedRow {
    /// The values of the source's stored columns, in their order; or why there are none.
    pub values: Result<Vec<Value>, Undecoded>,
    /// The producer and its sequence number, if it counts.
    pub producer: Option<(Arc<str>, u64)>,
}

/// A request to write.
#[derive(Clone, Debug)]
pub enum Write {
    /// Rows for a source.
    Push {
        /// The source.
        source: Arc<SourceDef>,
        /// The rows.
        rows: Vec<PushedRow>,
    },
    /// Rows of files for a source.
    Files {
        /// The source.
        source: Arc<SourceDef>,
        /// The rows.
        rows: Vec<FileRow>,
    },
    /// Versions of events that put a source right.
    Corrections {
        /// The source.
        source: Arc<SourceDef>,
        /// The versions.
        corrections: Vec<Correction>,
    },
    /// Rows of files for a source of which everything but the timeline was considered.
    Considered {
        /// The source.
        source: Arc<SourceDef>,
        /// The rows.
        rows: ConsideredRows,
    },
    /// Dead letters to judge again; `None`: all open ones.
    Redrive {
        /// The source.
        source: Arc<SourceDef>,
        /// Their numbers.
        ids: Option<Vec<u64>>,
    },
}

/// Rows of files, and what becomes of each but for the timeline.
#[derive(Clone, Debug)]
pub struct ConsideredRows(Vec<(Origin, Result<Considered, Undecoded>)>);

impl ConsideredRows {
    pub(crate) fn of(recorder: &Recorder, rows: FileRows) -> Self {
        let considered = rows.in_order().map(|row| {
            let origin = Origin::File {
                digest: row.file,
                row: row.number,
            };
            let values = row.values;
            (
                origin.clone(),
                values.map(|values| recorder.consider(values, origin)),
            )
        });
        ConsideredRows(considered.collect())
    }

    /// Where they came from.
    pub(crate) fn origins(&self) -> Vec<Origin> {
        self.0.iter().map(|(origin, _)| origin.clone()).collect()
    }
}

/// What became of one pushed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowAnswer {
    /// It is logged here.
    Logged(Position),
    /// It is logged here; another event has its identity and another payload: the smaller
    /// one holds, the other is a dead letter.
    Conflict(Position),
    /// It was logged before.
    Duplicate,
    /// The source's `WHERE` left it out.
    LeftOut,
    /// It is no event of this source, but a dead letter.
    Rejected {
        /// The reason as a word.
        code: &'static str,
        /// The reason.
        reason: String,
    },
}

/// What became of a push.
#[derive(Clone, Debug)]
pub struct PushAnswer {
    /// One per row, in order.
    pub rows: Vec<RowAnswer>,
    /// With it, a read sees what was pushed, also what was a duplicate.
    pub session: SessionToken,
}

/// What became of a request to write.
#[derive(Clone, Debug)]
pub enum Written {
    /// A push, or rows of files.
    Pushed(PushAnswer),
    /// Dead letters.
    Redriven(IngestReport),
}

/// Judges what is pushed. Remembers compiled sources and the origins of dead letters between
/// commits; after a commit that was not appended a new one is needed.
#[derive(Default)]
pub struct Pusher {
    recorders: BTreeMap<SourceId, (Arc<SourceDef>, Arc<Recorder>)>,
    /// Origins that are dead letters already; read when a source's first row is rejected.
    dead: BTreeMap<SourceId, BTreeSet<Origin>>,
}

/// A commit that was judged: to be appended.
pub struct Judged {
    batches: Vec<Batch>,
    corrected: Earlier,
    /// What was made of the events of the first of these.
    made: Vec<Vec<Made>>,
    requests: Vec<Result<Request, EngineError>>,
}

/// A commit that is durable: to be applied.
pub struct Durable {
    /// What is still to be applied, the first last.
    batches: Vec<DurableBatch>,
    first: BTreeMap<(SourceId, Partition), u64>,
    /// Events that are corrected, as they are: whoever waits need not wait for the log.
    corrected: Earlier,
    requests: Vec<Result<Request, EngineError>>,
    losers: Vec<(SourceId, Position)>,
}

/// Events that are known to be in the log, by their places.
pub(crate) type Earlier = FxHashMap<(SourceId, Position), LoggedEvent>;

/// Events of one partition that are durable, with what was made of them.
struct DurableBatch {
    place: Appended,
    schema_version: u32,
    events: std::iter::Zip<std::vec::IntoIter<Event>, std::vec::IntoIter<Made>>,
    /// How many of them were applied.
    applied: u64,
}

impl Iterator for DurableBatch {
    type Item = (LoggedEvent, Made);

    fn next(&mut self) -> Option<Self::Item> {
        let (event, made) = self.events.next()?;
        let logged = self
            .place
            .logged_event(self.schema_version, self.applied, event);
        self.applied += 1;
        Some((logged, made))
    }
}

/// A request on its way.
enum Request {
    Push {
        source: SourceId,
        rows: Vec<Row>,
        /// Where duplicates of what was logged before are.
        known: Cut,
        time: Option<EventTime>,
    },
    Redrive(IngestReport),
}

enum Row {
    Event(Partition, Accepted),
    LeftOut,
    Rejected { code: &'static str, reason: String },
}

impl Pusher {
    /// Judges requests in their order, as one commit. What is wrong with one request is its
    /// answer, and no matter of the others.
    pub fn judge(&mut self, online: &impl Online, writes: Vec<Write>) -> Judged {
        let mut group = Group::default();
        let mut corrected = Earlier::default();
        let requests = writes
            .into_iter()
            .map(|write| match write {
                Write::Push { source, rows } => {
                    let rows = rows.into_iter().map(|row| {
                        let counted = row.producer.map(|(id, sequence)| Origin::Producer {
                            id: id.to_string(),
                            sequence,
                        });
                        (counted.unwrap_or(OWN_POSITION), row.values)
                    });
                    self.push(online, &mut group, &source, rows)
                }
                Write::Files { source, rows } => {
                    let rows = rows.into_iter().map(|row| {
                        let origin = Origin::File {
                            digest: row.file,
                            row: row.number,
                        };
                        (origin, row.values)
                    });
                    self.push(online, &mut group, &source, rows)
                }
                Write::Corrections {
                    source,
                    corrections,
                } => online.with(|engine| {
                    correct(engine, &mut group, &mut corrected, &source, corrections)
                }),
                Write::Considered { source, rows } => {
                    self.push_considered(online, &mut group, &source, rows.0.into_iter())
                }
                Write::Redrive { source, ids } => {
                    online.with(|engine| self.redrive(engine, &mut group, &source, ids.as_deref()))
                }
            })
            .collect();
        let (batches, made) = group.into_batches();
        Judged {
            batches,
            made,
            corrected,
            requests,
        }
    }

    fn recorder(
        &mut self,
        engine: &Engine,
        source: &Arc<SourceDef>,
    ) -> Result<Arc<Recorder>, EngineError> {
        match self.recorders.get(&source.id) {
            Some((known, recorder)) if Arc::ptr_eq(known, source) => Ok(Arc::clone(recorder)),
            _ => {
                let row_bytes = engine.project().limits.row_bytes;
                let recorder = Arc::new(Recorder::new(Arc::clone(source), row_bytes)?);
                let entry = (Arc::clone(source), Arc::clone(&recorder));
                self.recorders.insert(source.id, entry);
                Ok(recorder)
            }
        }
    }

    fn push(
        &mut self,
        online: &impl Online,
        group: &mut Group,
        source: &Arc<SourceDef>,
        rows: impl Iterator<Item = (Origin, Result<Vec<Value>, Undecoded>)>,
    ) -> Result<Request, EngineError> {
        let recorder = online.with(|engine| self.recorder(engine, source))?;
        let considered = rows.map(|(origin, values)| {
            let considered = values.map(|values| recorder.consider(values, origin.clone()));
            (origin, considered)
        });
        self.push_considered(online, group, source, considered)
    }

    fn push_considered(
        &mut self,
        online: &impl Online,
        group: &mut Group,
        source: &Arc<SourceDef>,
        mut rows: impl Iterator<Item = (Origin, Result<Considered, Undecoded>)>,
    ) -> Result<Request, EngineError> {
        let timeline = online.with(|engine| {
            refuse_changed(engine, source)?;
            Ok::<_, EngineError>(engine.timeline())
        })?;
        let mut known = Cut::empty();
        let mut time: Option<EventTime> = None;
        let mut judged = Vec::with_capacity(rows.size_hint().0);
        group.expect(rows.size_hint().0);
        loop {
            let piece: Vec<_> = rows.by_ref().take(PIECE_ROWS).collect();
            if piece.is_empty() {
                break;
            }
            online.with(|engine| {
                for (origin, considered) in piece {
                    let row = self.row(engine, group, source, timeline, origin, considered)?;
                    if let (Row::Event(partition, accepted), event_time) = &row {
                        time = time.max(*event_time);
                        if *accepted == (Accepted::Duplicate { within: None }) {
                            // It is among what is applied there.
                            let end = engine.applied_end(source.id, *partition);
                            known.set_end(source.id, *partition, end);
                        }
                    }
                    judged.push(row.0);
                }
                Ok::<_, EngineError>(())
            })?;
        }
        Ok(Request::Push {
            source: source.id,
            rows: judged,
            known,
            time,
        })
    }

    /// Judges one row; with its event time, if it is an event.
    fn row(
        &mut self,
        engine: &Engine,
        group: &mut Group,
        source: &Arc<SourceDef>,
        timeline: VisibleAt,
        origin: Origin,
        considered: Result<Considered, Undecoded>,
    ) -> Result<(Row, Option<EventTime>), EngineError> {
        let considered = match considered {
            Ok(considered) => considered,
            Err(Undecoded { reason, record }) => {
                let code = "DECODE";
                self.reject(engine, group, source, origin, code, &reason, record)?;
                return Ok((Row::Rejected { code, reason }, None));
            }
        };
        Ok(match considered.at(timeline) {
            Verdict::Event(recordable) => {
                let time = recordable.event.event_time;
                let partition = recordable.partition;
                let accepted = group.accept(engine, source, *recordable)?;
                (Row::Event(partition, accepted), Some(time))
            }
            Verdict::LeftOut => (Row::LeftOut, None),
            Verdict::Rejected {
                stored,
                code,
                reason,
            } => {
                let record = record_of(source, &stored).into_bytes();
                self.reject(engine, group, source, origin, code, &reason, record)?;
                (Row::Rejected { code, reason }, None)
            }
        })
    }

    /// Makes a dead letter, unless the same row of a producer or a file is one already.
    #[expect(clippy::too_many_arguments, reason = "the parts of a dead letter")]
    fn reject(
        &mut self,
        engine: &Engine,
        group: &mut Group,
        source: &SourceDef,
        origin: Origin,
        code: &str,
        reason: &str,
        record: Vec<u8>,
    ) -> Result<(), EngineError> {
        let counted = origin != OWN_POSITION;
        if counted {
            let dead = match self.dead.entry(source.id) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(unknown) => {
                    let letters = engine.open_letters(source)?;
                    let origins = letters.into_iter().filter_map(|l| l.letter.origin);
                    unknown.insert(origins.collect())
                }
            };
            if !dead.insert(origin.clone()) {
                return Ok(());
            }
        }
        group.reject(
            source.id,
            DeadLetter {
                origin: counted.then_some(origin),
                code: code.to_owned(),
                reason: reason.to_owned(),
                record,
                position: None,
            },
        );
        Ok(())
    }

    fn redrive(
        &mut self,
        engine: &Engine,
        group: &mut Group,
        source: &Arc<SourceDef>,
        ids: Option<&[u64]>,
    ) -> Result<Request, EngineError> {
        refuse_changed(engine, source)?;
        let letters = wanted(engine, source, ids)?;
        let recorder = self.recorder(engine, source)?;
        let timeline = engine.timeline();
        let mut report = IngestReport {
            source: source.name.clone(),
            ..IngestReport::default()
        };
        for logged in letters {
            report.rows += 1;
            let origin = logged.letter.origin.clone().unwrap_or(OWN_POSITION);
            let verdict = match decode_record(source, &logged.letter.record) {
                Ok(values) => recorder.judge(values, origin, timeline),
                Err(reason) => Verdict::Rejected {
                    stored: Vec::new(),
                    code: "DECODE",
                    reason,
                },
            };
            match verdict {
                Verdict::Event(recordable) => match group.accept(engine, source, *recordable)? {
                    Accepted::Duplicate { .. } => report.duplicates += 1,
                    Accepted::New { .. } => report.recorded += 1,
                    Accepted::Conflict { .. } => {
                        report.recorded += 1;
                        report.conflicts += 1;
                    }
                },
                Verdict::LeftOut => report.left_out += 1,
                Verdict::Rejected { code, reason, .. } => {
                    *report.rejected.entry(code.to_owned()).or_default() += 1;
                    report.first_rejected.get_or_insert(reason);
                    continue;
                }
            }
            group.redrive(source.id, logged.id);
            if let (Some(dead), Some(origin)) =
                (self.dead.get_mut(&source.id), &logged.letter.origin)
            {
                dead.remove(origin);
            }
        }
        Ok(Request::Redrive(report))
    }
}

fn correct(
    engine: &Engine,
    group: &mut Group,
    corrected: &mut Earlier,
    source: &Arc<SourceDef>,
    corrections: Vec<Correction>,
) -> Result<Request, EngineError> {
    refuse_changed(engine, source)?;
    // They have the columns of the definition that they were read by.
    let newest = engine.hot().source(source.id);
    let is_same = newest.is_some_and(|s| s.program().def().digest == source.digest);
    let mut time: Option<EventTime> = None;
    let program = SourceProgram::new(Arc::clone(source));
    let rows = corrections.into_iter().map(|correction| {
        let Correction {
            event,
            partition,
            corrects,
        } = correction;
        if let Some(earlier) = corrects.filter(|_| is_same) {
            corrected.insert((source.id, earlier.position), *earlier);
        }
        time = time.max(Some(event.event_time));
        let recordable = Recordable::of(&program, event, partition);
        let accepted = group.accept(engine, source, recordable)?;
        Ok(Row::Event(partition, accepted))
    });
    let rows = rows.collect::<Result<_, EngineError>>()?;
    Ok(Request::Push {
        source: source.id,
        rows,
        known: Cut::empty(),
        time,
    })
}

/// Rows are of the definition that they were decoded with. One that only has more or wider
/// columns now takes them; a source without events may have been defined as anything else.
fn refuse_changed(engine: &Engine, source: &SourceDef) -> Result<(), EngineError> {
    let version = source.schema.version();
    let goes_on = engine.catalog().source_by_id(source.id).is_some_and(|now| {
        now.digest == source.digest
            || (now.schema.version() > version
                && now.schema.columns(version) == Some(source.schema.newest()))
    });
    if goes_on {
        return Ok(());
    }
    Err(EngineError::SourceChanged {
        source_name: source.name.clone(),
    })
}

fn wanted(
    engine: &Engine,
    source: &SourceDef,
    ids: Option<&[u64]>,
) -> Result<Vec<LoggedDeadLetter>, EngineError> {
    let letters = engine.open_letters(source)?;
    let Some(ids) = ids else {
        return Ok(letters);
    };
    let by_id: BTreeMap<u64, LoggedDeadLetter> = letters.into_iter().map(|l| (l.id.0, l)).collect();
    let unique: BTreeSet<u64> = ids.iter().copied().collect();
    unique
        .into_iter()
        .map(|id| {
            by_id
                .get(&id)
                .cloned()
                .ok_or_else(|| EngineError::NoDeadLetter {
                    source_name: source.name.clone(),
                    id,
                })
        })
        .collect()
}

impl Judged {
    /// Makes the commit durable.
    ///
    /// # Errors
    /// Of the log: then no request of it is answered otherwise.
    pub fn append(self, log: &Log) -> Result<Durable, EngineError> {
        let places = append(log, &self.batches)?;
        let mut first = BTreeMap::new();
        let mut durable = Vec::new();
        let mut made = self.made.into_iter();
        for (batch, place) in self.batches.into_iter().zip(places) {
            if let Batch::Events {
                source,
                partition,
                schema_version,
                events: batch,
            } = batch
            {
                first.insert((source, partition), place.first);
                let made = made.next().expect("something was made of each event");
                durable.push(DurableBatch {
                    place,
                    schema_version,
                    events: batch.into_iter().zip(made),
                    applied: 0,
                });
            }
        }
        durable.reverse();
        Ok(Durable {
            batches: durable,
            first,
            corrected: self.corrected,
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
            first, requests, ..
        } = self;
        requests
            .into_iter()
            .map(|request| Ok(written(request?, &first)))
            .collect()
    }
}

fn written(request: Request, first: &BTreeMap<(SourceId, Partition), u64>) -> Written {
    let place = |source: SourceId, partition: Partition, index: usize| Position {
        partition,
        offset: Offset(first.get(&(source, partition)).copied().unwrap_or(0) + index as u64),
    };
    match request {
        Request::Push {
            source,
            rows,
            known,
            time,
        } => {
            let mut positions = known;
            let mut reach = |position: Position| {
                let end =
                    Offset(position.offset.0 + 1).max(positions.end(source, position.partition));
                positions.set_end(source, position.partition, end);
                position
            };
            let rows = rows
                .into_iter()
                .map(|row| match row {
                    Row::Event(partition, Accepted::New { index }) => {
                        RowAnswer::Logged(reach(place(source, partition, index)))
                    }
                    Row::Event(partition, Accepted::Conflict { index }) => {
                        RowAnswer::Conflict(reach(place(source, partition, index)))
                    }
                    Row::Event(partition, Accepted::Duplicate { within }) => {
                        if let Some(index) = within {
                            reach(place(source, partition, index));
                        }
                        RowAnswer::Duplicate
                    }
                    Row::LeftOut => RowAnswer::LeftOut,
                    Row::Rejected { code, reason } => RowAnswer::Rejected { code, reason },
                })
                .collect();
            Written::Pushed(PushAnswer {
                rows,
                session: SessionToken { positions, time },
            })
        }
        Request::Redrive(report) => Written::Redriven(report),
    }
}

impl Engine {
    /// Applies at most so many events of a commit; whether there are more.
    ///
    /// # Errors
    /// If an event does not fit its source, or an earlier one cannot be read; then the
    /// engine must not be used for writing any more: open the store again.
    pub fn apply_some(&mut self, commit: &mut Durable, events: usize) -> Result<bool, EngineError> {
        let mut left = events;
        while let Some(batch) = commit.batches.last_mut() {
            for (logged, made) in batch.by_ref().take(left) {
                left -= 1;
                let source = logged.source;
                let applied = self.apply_logged(logged, Some(made), &commit.corrected);
                if let Some(loser) = applied? {
                    commit.losers.push((source, loser));
                }
            }
            if batch.events.len() > 0 {
                return Ok(true);
            }
            commit.batches.pop();
        }
        Ok(false)
    }

    /// The dead letters for payloads that lost a conflict in a commit: to be appended, and then
    /// [`Engine::told`].
    ///
    /// # Errors
    /// If the events cannot be read.
    pub fn conflict_letters(&self, commit: &Durable) -> Result<Vec<Batch>, EngineError> {
        let mut letters: BTreeMap<SourceId, Vec<DeadLetter>> = BTreeMap::new();
        for (source, position) in &commit.losers {
            if let Some(def) = self.catalog().source_by_id(*source) {
                let letter = self.conflict_letter(def, *position)?;
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

    /// Writes, with all steps at once.
    ///
    /// # Errors
    /// Of the log, of applying, or of the request.
    pub fn write(&mut self, pusher: &mut Pusher, write: Write) -> Result<Written, EngineError> {
        let written = self.write_beside_checkpoint(pusher, write);
        // What is written is durable and seen, whatever becomes of a checkpoint: if it fails,
        // the next write finds the hot tier closed.
        let _ = self.checkpoint_if_due();
        written
    }

    /// [`Engine::write`] for who writes checkpoints beside this.
    pub(crate) fn write_beside_checkpoint(
        &mut self,
        pusher: &mut Pusher,
        write: Write,
    ) -> Result<Written, EngineError> {
        let log = self.writer()?;
        self.heal()?;
        let judged = pusher.judge(self, vec![write]);
        let mut commit = judged.append(&log).inspect_err(|_| {
            // What it remembers of dead letters was not logged.
            *pusher = Pusher::default();
        })?;
        while self.apply_some(&mut commit, usize::MAX)? {}
        append(&log, &self.conflict_letters(&commit)?)?;
        self.told(&commit);
        let mut answers = commit.answers();
        answers.pop().expect("one request has one answer")
    }
}
