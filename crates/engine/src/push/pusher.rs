//! What becomes of each row of each request, before any of it is logged.
//!
//! Invariant: a request that fails leaves nothing behind, neither in the commit nor in what is
//! remembered of dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_log::{DeadLetter, LoggedDeadLetter, OWN_POSITION, events_at};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Cut, EventTime, Origin, Position, SourceId, Value, VisibleAt};
use evenkeel_view::SourceProgram;

use super::commit::{Earlier, Judged, Push, Request, Row};
use super::letters::DeadOrigins;
use super::{PushedRow, TriggerRow, Undecoded, Write};
use crate::api::IngestReport;
use crate::correction::Correction;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::group::{Accepted, First, Group};
use crate::ingest::{decode_record, record_of};
use crate::offline::Online;
use crate::reads::refuse_derived;
use crate::recorder::{Considered, Recordable, Recorder, Verdict};

/// Rows that are judged under one hold of the engine: who waits to write keeps other readers
/// waiting, too.
const PIECE_ROWS: usize = 64;

/// Judges what is pushed. Remembers compiled sources and the origins of dead letters between
/// commits; after a commit that was not appended a new one is needed.
#[derive(Default)]
pub struct Pusher {
    recorders: BTreeMap<SourceId, (Arc<SourceDef>, Arc<Recorder>)>,
    dead: DeadOrigins,
}

impl Pusher {
    /// Judges requests in their order, as one commit. What is wrong with one request is its
    /// answer, and no matter of the others.
    pub fn judge(&mut self, online: &impl Online, writes: Vec<Write>) -> Judged {
        let mut group = Group::default();
        let mut earlier = Earlier::default();
        let requests = writes
            .into_iter()
            .map(|write| {
                let source = write.source().id;
                let before = group.savepoint(source);
                self.dead.begin();
                let request = self.request(online, &mut group, &mut earlier, write);
                let request = request.and_then(|request| {
                    read_ahead(online, &mut earlier, source, group.take_truncated())?;
                    Ok(request)
                });
                request.inspect_err(|_| {
                    group.go_back(&before);
                    self.dead.go_back();
                })
            })
            .collect();
        let (batches, made) = group.into_batches();
        Judged {
            batches,
            made,
            earlier,
            requests,
        }
    }

    fn request(
        &mut self,
        online: &impl Online,
        group: &mut Group,
        earlier: &mut Earlier,
        write: Write,
    ) -> Result<Request, EngineError> {
        refuse_derived(write.source())?;
        match write {
            Write::Push { source, rows } => {
                let rows = rows.into_iter().map(pushed);
                self.push(online, group, &source, rows).map(Request::Push)
            }
            Write::Trigger { source, row } => {
                let TriggerRow {
                    row,
                    correlation_id,
                } = row;
                let row = std::iter::once(pushed(row));
                let push = self.push(online, group, &source, row)?;
                // Who sends it again does not log it.
                if let (
                    Some(id),
                    Some(Row::Event(
                        partition,
                        Accepted::New { index } | Accepted::Conflict { index },
                    )),
                ) = (correlation_id, push.rows.first())
                {
                    group.call(source.id, *partition, *index, id);
                }
                Ok(Request::Trigger(push))
            }
            Write::Files { source, rows } => {
                let rows = rows.into_iter().map(|row| {
                    let origin = Origin::File {
                        digest: row.file,
                        row: row.number,
                    };
                    (origin, row.values)
                });
                self.push(online, group, &source, rows).map(Request::Push)
            }
            Write::Corrections {
                source,
                corrections,
            } => online.with(|engine| correct(engine, group, earlier, &source, corrections)),
            Write::Considered { source, rows } => {
                let rows = rows.0.into_iter();
                let push = self.push_considered(online, group, &source, rows);
                push.map(Request::Push)
            }
            Write::Change(change) => {
                let table = change.table();
                if group.has(table.id) {
                    return Err(EngineError::RowInUse {
                        table: table.name.clone(),
                    });
                }
                let row = online.read_with(|engine| engine.changed_row(&change))?;
                let row = std::iter::once((OWN_POSITION, Ok(row)));
                self.push(online, group, table, row).map(Request::Push)
            }
            Write::Redrive { source, ids } => {
                online.with(|engine| self.redrive(engine, group, &source, ids.as_deref()))
            }
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
    ) -> Result<Push, EngineError> {
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
    ) -> Result<Push, EngineError> {
        let timeline = online.with(|engine| {
            refuse_changed(engine, source)?;
            Ok::<_, EngineError>(engine.timeline())
        })?;
        let mut known = Cut::empty();
        let mut time: Option<EventTime> = None;
        let mut is_anywhere = false;
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
                        if matches!(accepted, Accepted::Duplicate(First::Logged(_))) {
                            // It is among what is applied there; one that is told by its origin
                            // may be in any partition.
                            let end = engine.applied_end(source.id, *partition);
                            known.set_end(source.id, *partition, end);
                            is_anywhere = source.event_id.is_empty();
                        }
                    }
                    judged.push(row.0);
                }
                Ok::<_, EngineError>(())
            })?;
        }
        if is_anywhere {
            let applied = online.with(Engine::cut);
            for (id, partition, end) in applied.iter().filter(|(id, ..)| *id == source.id) {
                known.set_end(id, partition, end);
            }
        }
        Ok(Push {
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
        if counted && !self.dead.add(engine, source, &origin)? {
            return Ok(());
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
                    Accepted::Duplicate(_) => report.duplicates += 1,
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
            if let Some(origin) = &logged.letter.origin {
                self.dead.remove(source.id, origin);
            }
        }
        Ok(Request::Redrive(report))
    }
}

/// Where a row came from, and what it says.
pub(super) fn pushed(row: PushedRow) -> (Origin, Result<Vec<Value>, Undecoded>) {
    let counted = row.producer.map(|(id, sequence)| Origin::Producer {
        id: id.to_string(),
        sequence,
    });
    (counted.unwrap_or(OWN_POSITION), row.values)
}

/// Reads what applying the events of a request asks for and what is in the lake alone, with no hold on
/// the engine. What cannot be read keeps the request out of the log: behind it nothing could be applied.
fn read_ahead(
    online: &impl Online,
    earlier: &mut Earlier,
    source: SourceId,
    mut places: Vec<Position>,
) -> Result<(), EngineError> {
    places.retain(|position| !earlier.contains_key(&(source, *position)));
    if places.is_empty() {
        return Ok(());
    }
    let log = online.with(|engine| engine.reader().clone());
    let found = events_at(&log, source, &places).map_err(EngineError::log)?;
    earlier.extend(found.into_iter().map(|(at, logged)| ((source, at), logged)));
    Ok(())
}

fn correct(
    engine: &Engine,
    group: &mut Group,
    known: &mut Earlier,
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
            known.insert((source.id, earlier.position), *earlier);
        }
        time = time.max(Some(event.event_time));
        let recordable = Recordable::of(&program, event, partition);
        let accepted = group.accept(engine, source, recordable)?;
        Ok(Row::Event(partition, accepted))
    });
    let rows = rows.collect::<Result<_, EngineError>>()?;
    Ok(Request::Push(Push {
        source: source.id,
        rows,
        known: Cut::empty(),
        time,
    }))
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
    if goes_on && !engine.is_unsure(source.id) {
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
