//! Putting the events of a source right: by difference with the truth, or by leaving out what
//! was logged between positions.
//!
//! See `docs/decisions/0025-corrections.md`. A difference is found without a hold on the
//! engine ([`Offline`]); what it says is logged by whoever writes, in commits of
//! [`Means::commit_events`]. Invariant: what is logged is versions of identities, so older cuts
//! answer as before.

mod effect;
mod foreseen;
mod held;
mod matching;
mod truth;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use evenkeel_types::definition::SourceDef;
use evenkeel_types::time::{format_timestamp, parse_timestamp};
use evenkeel_types::{
    Cut, Event, EventTime, LoggedEvent, Operation, Partition, Position, VisibleAt, Zone,
};
use evenkeel_view::SourceProgram;

pub use effect::{Effects, FeatureEffect, Touched, ViewEffect};
pub use truth::Truth;

use self::foreseen::Foreseen;
use self::held::{Held, Holdings, Places};
use self::matching::{Change, Changes, Row, by_content, by_identity};
use self::truth::{Judge, rules};
use crate::batch::refuse_by_hand;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::offline::{Offline, Online};
use crate::push::{Pusher, Write};
use crate::reads::{refuse_derived, source_of};

/// Events of one commit.
const COMMIT_EVENTS: usize = 1_000;
/// Events that are replaced or removed and are in memory at a time.
const EVENTS_AT_ONCE: usize = 20_000;

/// From a time on, up to another that is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    from: EventTime,
    to: EventTime,
}

impl Period {
    /// From a time on, up to another that is not in it.
    ///
    /// # Errors
    /// If nothing is in between.
    pub fn new(from: EventTime, to: EventTime) -> Result<Self, EngineError> {
        if from < to {
            return Ok(Period { from, to });
        }
        Err(EngineError::EmptyPeriod {
            from: format_timestamp(from.0),
            to: format_timestamp(to.0),
        })
    }

    /// The same of times in words; those without a zone are in the source's.
    ///
    /// # Errors
    /// If one is no time; as [`Period::new`].
    pub fn parse(from: &str, to: &str, zone: &Zone) -> Result<Self, EngineError> {
        let time = |name: &'static str, text: &str| {
            parse_timestamp(text, zone)
                .map(EventTime)
                .map_err(|error| EngineError::PeriodTime {
                    name,
                    reason: error.to_string(),
                })
        };
        Self::new(time("from", from)?, time("to", to)?)
    }

    /// Its first time, and the first behind it.
    pub fn bounds(&self) -> (EventTime, EventTime) {
        (self.from, self.to)
    }

    pub(crate) fn contains(&self, time: EventTime) -> bool {
        (self.from..self.to).contains(&time)
    }

    /// The last time in it.
    pub fn last(&self) -> EventTime {
        EventTime(self.to.0 - 1)
    }
}

/// What a difference is found with.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// The time that the next append will have, at the earliest.
    pub now: VisibleAt,
    /// The bytes that a row may have.
    pub row_bytes: usize,
    /// Events of one commit, at most.
    pub commit_events: usize,
    /// Events that are compared at once, at most: as many of the log, and as many of the truth.
    pub compared_events: usize,
}

/// How many events there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of the truth's files.
    pub rows: u64,
    /// Of these, rows that the source's `WHERE` leaves out.
    pub left_out: u64,
    /// Of these, rows outside the period.
    pub outside: u64,
    /// Events that hold already as they should.
    pub unchanged: u64,
    /// Events that are replaced by another row.
    pub replaced: u64,
    /// Events that never happened.
    pub removed: u64,
    /// Events that were missing.
    pub added: u64,
}

impl Counts {
    /// Events that are logged.
    pub fn changes(&self) -> u64 {
        self.replaced + self.removed + self.added
    }
}

/// A version of an event that puts it right.
#[derive(Clone, Debug)]
pub struct Correction {
    /// The version.
    pub event: Event,
    /// Where it goes.
    pub partition: Partition,
    /// The version that held, if there is one.
    pub corrects: Option<Box<LoggedEvent>>,
}

/// What must be logged. Found by [`Offline::difference`] or [`Offline::exclusion`].
#[derive(Debug)]
pub struct Difference {
    source: Arc<SourceDef>,
    cut: Cut,
    changes: Changes,
    /// Earlier versions that hold again: where what holds is, its revision, and the version.
    restored: Vec<(u32, Position, Position)>,
    truth: Option<Truth>,
    counts: Counts,
    means: Means,
    period: Option<Period>,
}

/// What a correction did, or would do.
#[derive(Clone, Debug)]
pub struct CorrectionReport {
    /// The source.
    pub source: String,
    /// Events.
    pub counts: Counts,
    /// Events of the period that others logged meanwhile: they were not compared.
    pub meanwhile: u64,
    /// The cut before.
    pub before: Cut,
    /// The cut after; the same if nothing was logged.
    pub after: Cut,
    /// What follows of it.
    pub effects: Effects,
}

type Progress<'p> = dyn FnMut(&str, u64, u64) -> ControlFlow<()> + 'p;

fn go_on(flow: ControlFlow<()>) -> Result<(), EngineError> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(EngineError::Stopped),
    }
}

impl Offline {
    /// A source by its name.
    ///
    /// # Errors
    /// If there is none.
    pub fn source(&self, name: &str) -> Result<Arc<SourceDef>, EngineError> {
        source_of(self.catalog(), name)
    }

    /// What of a period differs from the truth. `progress` is told stage, done and total, and
    /// may stop it.
    ///
    /// # Errors
    /// [`EngineError::Truth`]; [`EngineError::Stopped`]; if log or files cannot be read.
    pub fn difference(
        &self,
        source: &Arc<SourceDef>,
        mut truth: Truth,
        period: &Period,
        means: Means,
        progress: &mut Progress<'_>,
    ) -> Result<Difference, EngineError> {
        refuse_by_hand(source)?;
        refuse_derived(source)?;
        let (program, recorder) = rules(source, means.row_bytes)?;
        let judge = Judge {
            program: &program,
            recorder: &recorder,
            now: means.now,
        };
        let bytes = truth.bytes();
        let rows = truth.rows(&judge, period, means.compared_events, &mut |done| {
            go_on(progress("reading the truth", done, bytes))
        })?;
        let holdings = Holdings {
            log: self.log(),
            program: &program,
            cut: self.cut(),
            events_max: means.compared_events,
        };
        let total = events_of(self.cut(), source);
        let times: Range<i64> = period.from.0..period.to.0;
        let held = holdings.of_period(&times, &mut |done| {
            go_on(progress("reading the log", done, total))
        })?;
        let changes = if source.event_id.is_empty() {
            by_content(held, &rows.rows)
        } else {
            by_identity(held, &rows.rows)
        };
        let counts = Counts {
            rows: rows.read,
            left_out: rows.left_out,
            outside: rows.outside,
            ..counts_of(&changes)
        };
        Ok(Difference {
            source: Arc::clone(source),
            cut: self.cut().clone(),
            changes,
            restored: Vec::new(),
            truth: Some(truth),
            counts,
            means,
            period: Some(*period),
        })
    }

    /// What must be logged so that events hold as if what is logged at some positions of a
    /// source, from a first to one that is not among them, were not there.
    ///
    /// # Errors
    /// If a position is not applied; [`EngineError::Stopped`]; if the log cannot be read.
    pub fn exclusion(
        &self,
        source: &Arc<SourceDef>,
        positions: &[(Partition, Range<u64>)],
        means: Means,
        progress: &mut Progress<'_>,
    ) -> Result<Difference, EngineError> {
        refuse_derived(source)?;
        let mut places = Places::new();
        for (partition, range) in positions {
            let applied = self.cut().end(source.id, *partition).0;
            if range.end > applied || range.is_empty() {
                return Err(EngineError::Positions {
                    source_name: source.name.clone(),
                    range: format!("{0}@{1}..{0}@{2}", partition.0, range.start, range.end),
                    applied,
                });
            }
            places.entry(*partition).or_default().push(range.clone());
        }
        let (program, _) = rules(source, means.row_bytes)?;
        let holdings = Holdings {
            log: self.log(),
            program: &program,
            cut: self.cut(),
            events_max: means.compared_events,
        };
        let total = events_of(self.cut(), source);
        let pairs = holdings.with_and_without(&places, &mut |done| {
            go_on(progress("reading the log", done, total))
        })?;
        let mut changes = Changes::default();
        let mut restored = Vec::new();
        for (held, without) in pairs {
            let earlier = without.filter(|w| w.content.is_some());
            match (held.content, earlier) {
                (now, Some(earlier)) if now != earlier.content => {
                    restored.push((held.revision + 1, held.position, earlier.position));
                }
                (Some(_), None) => changes.removals.push(Change::Remove {
                    position: held.position,
                    revision: held.revision + 1,
                }),
                _ => changes.unchanged += 1,
            }
        }
        restored.sort_unstable_by_key(|(_, position, _)| *position);
        changes.removals.sort_unstable_by_key(Change::position);
        let counts = Counts {
            replaced: restored.len() as u64,
            ..counts_of(&changes)
        };
        Ok(Difference {
            source: Arc::clone(source),
            cut: self.cut().clone(),
            changes,
            restored,
            truth: None,
            counts,
            means,
            period: None,
        })
    }
}

fn events_of(cut: &Cut, source: &SourceDef) -> u64 {
    let ends = cut.iter().filter(|(id, ..)| *id == source.id);
    ends.map(|(.., end)| end.0).sum()
}

fn counts_of(changes: &Changes) -> Counts {
    let mut counts = Counts {
        unchanged: changes.unchanged,
        removed: changes.removals.len() as u64,
        ..Counts::default()
    };
    for change in &changes.rows {
        match change {
            Change::Add { .. } => counts.added += 1,
            Change::Replace { .. } | Change::Remove { .. } => counts.replaced += 1,
        }
    }
    counts
}

impl Difference {
    /// The source.
    pub fn source(&self) -> &Arc<SourceDef> {
        &self.source
    }

    /// How many events of each kind.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The cut that it was found at.
    pub fn cut(&self) -> &Cut {
        &self.cut
    }

    /// Gives what must be logged, in commits, and says whose keys it touches.
    ///
    /// # Errors
    /// Of `take`; [`EngineError::Stopped`]; [`EngineError::TruthChanged`]; if log or files
    /// cannot be read.
    pub fn commits(
        &self,
        offline: &Offline,
        take: &mut dyn FnMut(Vec<Correction>) -> Result<(), EngineError>,
        progress: &mut Progress<'_>,
    ) -> Result<Touched, EngineError> {
        if let Some(truth) = &self.truth {
            truth.refuse_changed()?;
        }
        let mut touched = Touched::of(offline.catalog(), &self.source);
        let total = self.counts.changes();
        let (mut commit, mut done) = (Vec::new(), 0);
        let mut put = |correction: Correction| -> Result<(), EngineError> {
            touched.touch(&correction.event.row, correction.event.event_time);
            if let Some(before) = &correction.event.before {
                touched.touch(before, correction.event.event_time);
            }
            commit.push(correction);
            done += 1;
            if commit.len() >= self.means.commit_events || done == total {
                take(std::mem::take(&mut commit))?;
                go_on(progress("logging the difference", done, total))?;
            }
            Ok(())
        };
        for changes in self.changes.removals.chunks(EVENTS_AT_ONCE) {
            let places = changes.iter().filter_map(Change::position);
            let held = Held::read(offline.log(), &self.source, places)?;
            for change in changes {
                if let Change::Remove { position, revision } = *change {
                    let old = held.event(&self.source, position)?;
                    put(correction(old, &old.event, Operation::Remove, revision))?;
                }
            }
        }
        for restored in self.restored.chunks(EVENTS_AT_ONCE) {
            let places = restored
                .iter()
                .flat_map(|(_, now, earlier)| [*now, *earlier]);
            let held = Held::read(offline.log(), &self.source, places)?;
            for &(revision, position, earlier) in restored {
                let (old, earlier) = (
                    held.event(&self.source, position)?,
                    held.event(&self.source, earlier)?,
                );
                let earlier = &earlier.event;
                put(correction(old, earlier, replacing(earlier), revision))?;
            }
        }
        if let Some(truth) = &self.truth {
            let (program, recorder) = rules(&self.source, self.means.row_bytes)?;
            let judge = Judge {
                program: &program,
                recorder: &recorder,
                now: self.means.now,
            };
            let changes = &self.changes.rows;
            let rows: Vec<Row> = changes.iter().filter_map(Change::row).collect();
            let mut held = Held::default();
            truth.events(&judge, &rows, &mut |index, new, partition| {
                if index % EVENTS_AT_ONCE == 0 {
                    let next = changes[index..].iter().take(EVENTS_AT_ONCE);
                    let places = next.filter_map(Change::position);
                    held = Held::read(offline.log(), &self.source, places)?;
                }
                put(of_row(
                    &self.source,
                    &held,
                    &changes[index],
                    new,
                    partition,
                )?)
            })?;
        }
        Ok(touched)
    }
}

/// A row of the truth as what is logged.
fn of_row(
    source: &SourceDef,
    held: &Held,
    change: &Change,
    new: Event,
    partition: Partition,
) -> Result<Correction, EngineError> {
    // It was not known at the time that it declares.
    let new = Event {
        known_at: None,
        ..new
    };
    Ok(match *change {
        Change::Replace {
            position, revision, ..
        } => {
            let old = held.event(source, position)?;
            correction(old, &new, replacing(&new), revision)
        }
        Change::Add {
            revision: Some(revision),
            ..
        } => Correction {
            partition,
            event: Event {
                operation: replacing(&new),
                revision,
                ..new
            },
            corrects: None,
        },
        Change::Add { revision: None, .. } | Change::Remove { .. } => Correction {
            partition,
            event: new,
            corrects: None,
        },
    })
}

/// How an event is said to hold in place of another: a delete is no row that could replace one.
fn replacing(new: &Event) -> Operation {
    match new.operation {
        Operation::Delete => Operation::Delete,
        _ => Operation::Replace,
    }
}

/// The next version of an identity: what another event says in place of the one that holds.
fn correction(old: &LoggedEvent, new: &Event, operation: Operation, revision: u32) -> Correction {
    let before = (operation != Operation::Remove).then(|| old.event.row.clone());
    Correction {
        event: Event {
            operation,
            revision,
            event_time: new.event_time,
            known_at: None,
            origin: old.event.origin.clone(),
            row: new.row.clone(),
            before,
        },
        partition: old.position.partition,
        corrects: Some(Box::new(old.clone())),
    }
}

impl Engine {
    /// What differences are found with, as of now.
    pub fn means(&self) -> Means {
        Means {
            now: self.timeline(),
            row_bytes: self.project().limits.row_bytes,
            commit_events: COMMIT_EVENTS,
            compared_events: self.project().limits.compared_events,
        }
    }

    /// Logs a difference, and says what follows of it.
    ///
    /// # Errors
    /// As [`Difference::commits`]; of writing.
    pub fn correct(
        &mut self,
        difference: &Difference,
        progress: &mut Progress<'_>,
    ) -> Result<CorrectionReport, EngineError> {
        let offline = self.offline();
        let mut pusher = Pusher::default();
        let source = Arc::clone(&difference.source);
        let touched = difference.commits(
            &offline,
            &mut |corrections| {
                let source = Arc::clone(&source);
                let write = Write::Corrections {
                    source,
                    corrections,
                };
                self.write(&mut pusher, write).map(drop)
            },
            progress,
        )?;
        // What is logged is durable and seen, whatever becomes of a checkpoint: if it fails, the
        // next write finds the hot tier closed.
        let _ = self.checkpoint();
        let offline = self.offline();
        let after = self.cut();
        let logged = difference.counts.changes();
        difference.report(self, &offline, touched, (after, logged), progress)
    }
}

impl Difference {
    /// What follows of it, once so many events were logged up to a cut. If it is stopped while
    /// values are compared, or what is compared cannot be read, it says whose keys were touched: what was logged is logged.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn report(
        &self,
        online: &impl Online,
        offline: &Offline,
        mut touched: Touched,
        (after, logged): (Cut, u64),
        progress: &mut Progress<'_>,
    ) -> Result<CorrectionReport, EngineError> {
        let program = SourceProgram::new(Arc::clone(&self.source));
        let holdings = Holdings {
            log: offline.log(),
            program: &program,
            cut: &after,
            events_max: self.means.compared_events,
        };
        let since = match &self.period {
            Some(period) => holdings.since(&self.cut, period.from..=period.last())?,
            None => logged,
        };
        let versions = touched.touch_versions(offline, &self.cut, progress);
        let compared = versions.and_then(|()| touched.effects(online, &self.cut, &after, progress));
        let effects = compared.unwrap_or_else(|_| touched.keys_alone());
        Ok(CorrectionReport {
            source: self.source.name.clone(),
            counts: self.counts,
            meanwhile: since.saturating_sub(logged),
            before: self.cut.clone(),
            after,
            effects,
        })
    }

    /// What logging it would do: whose keys it would touch, and which values would be others.
    ///
    /// # Errors
    /// As [`Difference::commits`].
    pub fn foresee(
        &self,
        offline: &Offline,
        progress: &mut Progress<'_>,
    ) -> Result<CorrectionReport, EngineError> {
        let mut silent = |_: &str, done, total| progress("comparing", done, total);
        let mut events = Vec::new();
        let mut keep = |commit: Vec<Correction>| {
            events.extend(commit.into_iter().map(|c| (c.partition, c.event)));
            Ok(())
        };
        let mut touched = self.commits(offline, &mut keep, &mut silent)?;
        touched.touch_versions(offline, &self.cut, progress)?;
        let difference = Foreseen {
            source: &self.source,
            cut: &self.cut,
            now: self.means.now,
            events,
        };
        let events_max = self.means.compared_events;
        Ok(CorrectionReport {
            source: self.source.name.clone(),
            counts: self.counts,
            meanwhile: 0,
            before: self.cut.clone(),
            after: self.cut.clone(),
            effects: touched.foreseen(offline, difference, events_max, progress)?,
        })
    }
}

/// Reads `PARTITION@FROM..TO` and `FROM..TO` of partition 0, separated by commas; `TO` may have
/// the partition before it, too, and is the first offset that is not among them.
///
/// # Errors
/// If the words are no positions.
pub fn parse_positions(text: &str) -> Result<Vec<(Partition, Range<u64>)>, EngineError> {
    let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
    let found: Option<Vec<_>> = parts.map(positions).collect();
    found
        .filter(|found| !found.is_empty())
        .ok_or_else(|| EngineError::PositionWords {
            text: text.to_owned(),
        })
}

fn positions(part: &str) -> Option<(Partition, Range<u64>)> {
    let (from, to) = part.split_once("..")?;
    let place = |text: &str| -> Option<(Option<u32>, u64)> {
        match text.split_once('@') {
            Some((partition, offset)) => {
                Some((Some(partition.parse().ok()?), offset.parse().ok()?))
            }
            None => Some((None, text.parse().ok()?)),
        }
    };
    let ((partition, first), (same, end)) = (place(from)?, place(to)?);
    let partition = partition.unwrap_or(0);
    if same.is_some_and(|same| same != partition) {
        return None;
    }
    Some((Partition(partition), first..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read() {
        let read = |text| parse_positions(text).ok();
        assert_eq!(read("3..7"), Some(vec![(Partition(0), 3..7)]));
        assert_eq!(
            read("0@3..0@7, 2@0..1"),
            Some(vec![(Partition(0), 3..7), (Partition(2), 0..1)])
        );
        for wrong in ["", "3", "a..b", "0@3..1@7", "3..", "-1..2"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_period_is_not_empty() {
        assert!(Period::new(EventTime(5), EventTime(5)).is_err());
        let period = Period::new(EventTime(5), EventTime(7)).unwrap();
        assert!(period.contains(EventTime(6)) && !period.contains(EventTime(7)));
        assert_eq!(period.last(), EventTime(6));
    }
}
