//! What a materialised view said of a period, said again by what is known now.
//!
//! A backfill is a record of the log ([`evenkeel_log::Backfill`]); what it makes a stream emit is a
//! function of the log as everything that is emitted is. So it goes on where it was after any end, and is
//! done once (`docs/decisions/0043-the-hot-tier-and-the-lake.md`).

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_log::{
    Backfill, Batch, EventParts, Log, LogReader, LoggedBackfill, ReadOptions, Sequence,
};
use evenkeel_types::definition::{Catalog, SourceDef, Trigger, ViewBody};
use evenkeel_types::time::{format_timestamp, parse_timestamp};
use evenkeel_types::{EventTime, LoggedEvent, Operation};

use crate::definitions::unknown;
use crate::emission::{
    Emitter, Next, emissions_from, emitted_before, emitted_until, in_order, with_read,
};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::offline::Online;
use crate::push::append;

/// A backfill that is asked for.
#[derive(Clone, Debug)]
pub struct BackfillRequest {
    /// The derived stream that the view reads.
    pub stream: Arc<SourceDef>,
    /// The period.
    pub period: Backfill,
}

/// A backfill that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillPlace {
    /// Its record.
    pub record: u64,
    /// Whether it was logged before, and is gone on with.
    pub resumed: bool,
}

/// What a backfill did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillReport {
    /// The stream that emitted.
    pub stream: String,
    /// The first time of the period, and the first behind it.
    pub period: Backfill,
    /// The record that it is as of.
    pub record: u64,
    /// Whether it went on with one that was interrupted.
    pub resumed: bool,
    /// Events of the trigger whose rows are in the period.
    pub events: u64,
    /// Rows that were not there.
    pub inserted: u64,
    /// Rows that were others.
    pub replaced: u64,
    /// Rows that are there no more.
    pub removed: u64,
}

impl BackfillRequest {
    /// A backfill of a materialised view, or of a derived stream, of its rows from a time on and before
    /// another: of a stream with a timer they are later than what brings them. Times without a zone are in that
    /// of the trigger's source.
    ///
    /// # Errors
    /// If there is no such view or stream, it stores nothing or has ended, or the times are no period.
    pub fn of(
        catalog: &Catalog,
        name: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Self, EngineError> {
        let stream = stream_of(catalog, name)?;
        if stream.has_ended() {
            return Err(EngineError::StreamEnded {
                stream: stream.name.clone(),
            });
        }
        let trigger = stream.derived.as_ref().map(|derived| derived.trigger());
        let zone = trigger.map(|trigger| trigger.source.zone.clone());
        let zone = zone.unwrap_or_else(|| stream.zone.clone());
        let time = |name: &'static str, text: Option<&str>, open: i64| match text {
            None => Ok(EventTime(open)),
            Some(text) => parse_timestamp(text, &zone)
                .map(EventTime)
                .map_err(|error| EngineError::PeriodTime {
                    name,
                    reason: error.to_string(),
                }),
        };
        let period = Backfill {
            from: time("from", from, i64::MIN)?,
            until: time("to", to, i64::MAX)?,
        };
        if period.from >= period.until {
            return Err(EngineError::EmptyPeriod {
                from: format_timestamp(period.from.0),
                to: format_timestamp(period.until.0),
            });
        }
        Ok(BackfillRequest { stream, period })
    }
}

/// The stream of a materialised view, or the stream of a name.
fn stream_of(catalog: &Catalog, name: &str) -> Result<Arc<SourceDef>, EngineError> {
    if let Some(stream) = catalog.derived().find(|stream| stream.name == name) {
        return Ok(Arc::clone(stream));
    }
    let view = catalog.view(name).ok_or_else(|| {
        let streams = catalog.derived().map(|stream| &stream.name);
        let names: Vec<String> = catalog.views.keys().chain(streams).cloned().collect();
        unknown("view", name, &names)
    })?;
    let trigger = match &view.body {
        ViewBody::Row(body) => match &body.trigger {
            Trigger::Source(side) => catalog.source_by_id(side.source.id),
            Trigger::Full { .. } => None,
        },
        _ => None,
    };
    trigger
        .filter(|source| source.derived.is_some())
        .cloned()
        .ok_or_else(|| EngineError::NotMaterialised {
            view: name.to_owned(),
        })
}

/// The last backfill of the same period that is logged and not done.
fn unfinished(
    log: &LogReader,
    request: &BackfillRequest,
    reached: u64,
) -> Result<Option<LoggedBackfill>, EngineError> {
    let stream = &request.stream;
    let from = emitted_before(log, stream)?.max(reached);
    let logged = log.backfills(stream.id, Sequence(from));
    let logged = logged.map_err(EngineError::log)?;
    let is_same = |logged: &LoggedBackfill| logged.backfill == request.period;
    Ok(logged.into_iter().rev().find(is_same))
}

/// Logs a backfill, unless the same one is under way. Nobody goes over to other definitions meanwhile.
///
/// # Errors
/// If the log cannot be read or written.
pub fn log_backfill(
    online: &impl Online,
    log: &Log,
    request: &BackfillRequest,
) -> Result<BackfillPlace, EngineError> {
    let stream = &request.stream;
    let (catalog, reached) = online.with(|engine| {
        let reached = engine.reached().get(&stream.id).copied();
        (Arc::clone(engine.shared_catalog()), reached.unwrap_or(0))
    });
    let is_current = catalog.source_by_id(stream.id);
    if !is_current.is_some_and(|now| now.digest == stream.digest && !now.has_ended()) {
        return Err(EngineError::SourceChanged {
            source_name: stream.name.clone(),
        });
    }
    if let Some(same) = unfinished(log, request, reached)? {
        return Ok(BackfillPlace {
            record: same.sequence.0,
            resumed: true,
        });
    }
    let batch = Batch::Backfills {
        source: stream.id,
        backfills: vec![request.period],
    };
    let places = append(log, &[batch])?;
    let first = places.first().map(|place| place.first_sequence.0);
    Ok(BackfillPlace {
        record: first.expect("one batch has one place"),
        resumed: false,
    })
}

/// What a backfill did that is done.
///
/// # Errors
/// If the log cannot be read.
pub fn backfill_report(
    log: &LogReader,
    request: &BackfillRequest,
    place: BackfillPlace,
) -> Result<BackfillReport, EngineError> {
    let BackfillPlace { record, resumed } = place;
    let mut report = BackfillReport {
        stream: request.stream.name.clone(),
        period: request.period,
        record,
        resumed,
        events: events_in(log, request, record)?,
        inserted: 0,
        replaced: 0,
        removed: 0,
    };
    let end = emitted_until(log, &request.stream, record)?;
    let first = match record.checked_sub(1) {
        Some(before) => emitted_until(log, &request.stream, before)?,
        None => 0,
    };
    let emitted = emissions_from(log, &request.stream, first);
    for logged in emitted.take(usize::try_from(end - first).unwrap_or(usize::MAX)) {
        match logged.map_err(EngineError::log)?.event.operation {
            Operation::Replace => report.replaced += 1,
            Operation::Remove => report.removed += 1,
            _ => report.inserted += 1,
        }
    }
    Ok(report)
}

/// How many events the trigger has whose rows are in the period.
fn events_in(log: &LogReader, request: &BackfillRequest, record: u64) -> Result<u64, EngineError> {
    let Some(derived) = &request.stream.derived else {
        return Ok(0);
    };
    let trigger = derived.trigger().source.id;
    let Backfill { from, until } = request.period;
    let before = log.cut_before(Sequence(record)).map_err(EngineError::log)?;
    let mut events = log.read(ReadOptions {
        sources: Some(vec![trigger]),
        until: Some(before),
        event_times: Some(derived.event_of(from)..=derived.event_of(EventTime(until.0 - 1))),
        parts: [(trigger, EventParts::default())].into(),
        ..ReadOptions::default()
    });
    let mut logged = LoggedEvent::blank();
    let mut count = 0;
    while events.next_into(&mut logged).map_err(EngineError::log)? {
        count += 1;
    }
    Ok(count)
}

impl Engine {
    /// Makes a backfill: first everything that is logged is emitted, then the rows of the period are
    /// what is known by then. `progress` is told stage, done and total, and may stop it: asked for
    /// again, it goes on where it was.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; [`EngineError::NotBackfilled`] if the stream does not go on; if the log
    /// cannot be read or written.
    pub fn backfill(
        &mut self,
        request: &BackfillRequest,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<BackfillReport, EngineError> {
        let log = self.writer()?;
        self.heal()?;
        let place = log_backfill(self, &log, request)?;
        let mut emitter = std::mem::take(self.emitter_mut());
        let made = self.emit_through(&log, &mut emitter, request, place, progress);
        match made {
            Ok(()) | Err(EngineError::Stopped | EngineError::NotBackfilled { .. }) => {
                *self.emitter_mut() = emitter;
            }
            Err(ref error) => self.note_emission(Some(error)),
        }
        made?;
        backfill_report(self.reader(), request, place)
    }

    fn emit_through(
        &mut self,
        log: &Log,
        emitter: &mut Emitter,
        request: &BackfillRequest,
        place: BackfillPlace,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        let stream = &request.stream;
        loop {
            let next = emitter.next(self);
            let is_end = matches!(next, Next::End);
            match next {
                Next::Emissions(judged) => {
                    let mut commit = judged.append(log)?;
                    while self.apply_some(&mut commit, usize::MAX)? {}
                    emitter.done();
                }
                Next::Calls(calls) => emitter.answered(calls.run()),
                Next::Nothing | Next::End => {}
            }
            self.emitted(emitter);
            // If it fails, the next write finds the hot tier closed.
            let _ = self.checkpoint_if_due();
            if self
                .reached()
                .get(&stream.id)
                .is_some_and(|r| *r > place.record)
            {
                return Ok(());
            }
            if is_end {
                return Err(self.not_backfilled(request));
            }
            let (stage, done, total) = self.backfill_stage(request, place);
            if progress(stage, done, total).is_break() {
                return Err(EngineError::Stopped);
            }
        }
    }

    /// How far a backfill that is logged is: what is made, how much of it, of how much.
    pub fn backfill_stage(
        &self,
        request: &BackfillRequest,
        place: BackfillPlace,
    ) -> (&'static str, u64, u64) {
        let is_it = |b: &&crate::emission::Backfilling| {
            (b.stream, b.record) == (request.stream.id, place.record)
        };
        match self.backfilling().filter(is_it) {
            Some(under_way) => ("evaluating", under_way.done, under_way.total),
            None => {
                let reached = self.reached().get(&request.stream.id).copied();
                ("emitting", reached.unwrap_or(0), place.record)
            }
        }
    }

    /// The stream of the backfill that is under way, how many of its trigger's events are behind it, and of
    /// how many.
    pub fn backfilling_named(&self) -> Option<(String, u64, u64)> {
        let under_way = self.backfilling()?;
        let stream = self.catalog().source_by_id(under_way.stream)?;
        Some((stream.name.clone(), under_way.done, under_way.total))
    }

    /// Whether a backfill that is logged is done.
    pub fn is_backfilled(&self, request: &BackfillRequest, place: BackfillPlace) -> bool {
        let reached = self.reached().get(&request.stream.id);
        reached.is_some_and(|reached| *reached > place.record)
    }

    /// Whether the stream of a backfill, or one that it reads, does not go on.
    pub fn is_backfill_stuck(&self, request: &BackfillRequest) -> bool {
        let read = with_read(
            &in_order(self.catalog()),
            &BTreeSet::from([request.stream.id]),
        );
        let failures = self.emission_failures();
        self.emission_failure().is_some() || read.iter().any(|id| failures.contains_key(id))
    }

    /// Why a stream does not go on.
    pub fn not_backfilled(&self, request: &BackfillRequest) -> EngineError {
        let failures = self.emission_failures();
        let own = failures.get(&request.stream.id);
        let reason = own.or_else(|| failures.values().next()).cloned();
        let general = self.emission_failure().map(str::to_owned);
        EngineError::NotBackfilled {
            stream: request.stream.name.clone(),
            reason: reason
                .or(general)
                .unwrap_or_else(|| "what is logged is not applied yet".to_owned()),
        }
    }
}
