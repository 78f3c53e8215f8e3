//! What views would answer once a difference were logged.
//!
//! Owns the events of a store with those of a difference behind them. Values come from the training path, twice:
//! without these events and with them. Invariant: nothing is written, and what is said of a value is what logging the same
//! would say.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_lake::ColdAndLog;
use evenkeel_log::{EventSource, EventStream, LogError, Next, ReadOptions};
use evenkeel_train::{Answers, Evaluator, Requests};
use evenkeel_types::definition::{SourceDef, ViewDef};
use evenkeel_types::{
    Column, Cut, Event, EventTime, LoggedEvent, Offset, Partition, Position, SourceId, Value,
    VisibleAt,
};
use evenkeel_view::Uses;

use super::Progress;
use crate::error::EngineError;
use crate::function;
use crate::offline::Offline;

/// The events of a cut, and behind them what a difference would log.
struct WithDifference {
    events: ColdAndLog,
    cut: Cut,
    difference: Arc<Vec<LoggedEvent>>,
}

impl EventSource for WithDifference {
    fn events(&self, options: ReadOptions) -> Result<Box<dyn EventStream>, LogError> {
        let logged = ReadOptions {
            // Not what was logged since, whose positions those of the difference would have.
            until: Some(self.cut.clone()),
            ..options.clone()
        };
        Ok(Box::new(Behind {
            logged: self.events.events(logged)?,
            difference: Arc::clone(&self.difference),
            next: 0,
            options,
        }))
    }

    fn event_at(
        &self,
        source: SourceId,
        position: Position,
    ) -> Result<Option<LoggedEvent>, LogError> {
        if self.cut.contains(source, position) {
            return self.events.event_at(source, position);
        }
        let is_there =
            |logged: &&LoggedEvent| logged.source == source && logged.position == position;
        Ok(self.difference.iter().find(is_there).cloned())
    }
}

/// Logged events, then those of a difference.
struct Behind {
    logged: Box<dyn EventStream>,
    difference: Arc<Vec<LoggedEvent>>,
    next: usize,
    options: ReadOptions,
}

impl Behind {
    /// The next event of the difference that is wanted.
    fn next_behind(&mut self, logged: &mut LoggedEvent) -> bool {
        let options = &self.options;
        let is_wanted = |event: &LoggedEvent| {
            let sources = options.sources.as_ref();
            let times = options.event_times.as_ref();
            let until = options.until.as_ref();
            sources.is_none_or(|ids| ids.contains(&event.source))
                && times.is_none_or(|times| times.contains(&event.event.event_time))
                && until.is_none_or(|until| until.contains(event.source, event.position))
                && !options.after.contains(event.source, event.position)
        };
        while let Some(event) = self.difference.get(self.next) {
            self.next += 1;
            if is_wanted(event) {
                logged.clone_from(event);
                return true;
            }
        }
        false
    }
}

impl EventStream for Behind {
    fn next_into(&mut self, logged: &mut LoggedEvent) -> Result<bool, LogError> {
        Ok(self.logged.next_into(logged)? || self.next_behind(logged))
    }

    fn next_columns(&mut self, logged: &mut LoggedEvent) -> Result<Next, LogError> {
        match self.logged.next_columns(logged)? {
            Next::End if self.next_behind(logged) => Ok(Next::Event),
            next => Ok(next),
        }
    }
}

/// A view, and the keys and times at which it is read.
pub(super) struct Asked<'a> {
    pub(super) view: &'a ViewDef,
    /// The number of a key, the key, and one of its times.
    pub(super) rows: Vec<(usize, &'a [Value], EventTime)>,
}

impl Asked<'_> {
    fn requests(&self) -> Requests {
        let columns = self.view.key.iter().enumerate().map(|(part, field)| {
            let mut column = Column::new(&field.data_type);
            for (_, key, _) in &self.rows {
                column.push(&key[part]);
            }
            column
        });
        let times = self.rows.iter().map(|(.., at)| at.0);
        Requests::new(columns.collect(), times.collect(), None)
    }
}

/// What a difference would log.
pub(super) struct Foreseen<'a> {
    pub(super) source: &'a SourceDef,
    pub(super) cut: &'a Cut,
    pub(super) now: VisibleAt,
    /// Where each event would be logged.
    pub(super) events: Vec<(Partition, Event)>,
}

impl Foreseen<'_> {
    /// Of each view, and of each of its features, how many keys would have another value at their times; none if the
    /// views' sources have more than so many events, which would all be in memory.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the events cannot be read.
    pub(super) fn changed(
        self,
        offline: &Offline,
        asked: &[Asked<'_>],
        events_max: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Option<Vec<Vec<u64>>>, EngineError> {
        // Of a view without keys nothing is read.
        let touched = asked.iter().filter(|asked| !asked.rows.is_empty());
        let uses = Uses::of(touched.map(|asked| asked.view));
        let sources: Vec<SourceId> = uses.sources().into_keys().collect();
        let ends = self.cut.iter().filter(|(id, ..)| sources.contains(id));
        let total: u64 = ends.map(|(.., end)| end.0).sum();
        if total > events_max as u64 {
            return Ok(None);
        }
        let events = offline.events(&sources)?;
        let mut answers = |events: &dyn EventSource, cut: &Cut, stage: &str| {
            let evaluator =
                Evaluator::load(events, &uses, cut, &mut |done| progress(stage, done, total));
            let evaluator = evaluator.map_err(EngineError::train)?;
            let read = asked.iter().map(|asked| {
                let read = || evaluator.read(asked.view, &asked.requests(), &[]);
                let is_asked = !asked.rows.is_empty();
                is_asked.then(|| function::taking(read)).transpose()
            });
            read.collect::<Result<Vec<Option<Answers>>, EngineError>>()
        };
        let before = answers(&events, self.cut, "reading values before")?;
        let cut = self.cut.clone();
        let (difference, after) = self.logged();
        let with = WithDifference {
            events,
            cut,
            difference: Arc::new(difference),
        };
        let after = answers(&with, &after, "reading values after")?;
        let pairs = before.iter().zip(&after).zip(asked);
        let changed = pairs.map(|((before, after), asked)| match (before, after) {
            (Some(before), Some(after)) => differing(before, after, &asked.rows),
            _ => vec![0; asked.view.features.len()],
        });
        Ok(Some(changed.collect()))
    }

    /// The difference as events behind the cut, and the cut that ends with them.
    fn logged(self) -> (Vec<LoggedEvent>, Cut) {
        let mut cut = self.cut.clone();
        let logged = self.events.into_iter().map(|(partition, event)| {
            let offset = cut.end(self.source.id, partition);
            cut.set_end(self.source.id, partition, Offset(offset.0 + 1));
            LoggedEvent {
                source: self.source.id,
                position: Position { partition, offset },
                logged_at: self.now,
                schema_version: self.source.schema.version(),
                event,
            }
        });
        let logged = logged.collect();
        (logged, cut)
    }
}

/// Of each feature, at how many keys it differs.
fn differing(before: &Answers, after: &Answers, rows: &[(usize, &[Value], EventTime)]) -> Vec<u64> {
    let features = before.columns.iter().zip(&after.columns);
    let counts = features.map(|(old, new)| {
        let differs = |row: usize| {
            let answer = |answers: &Answers, column: &Column| {
                (answers.found[row], column.state(row), column.get(row))
            };
            answer(before, old) != answer(after, new)
        };
        let keys = rows.iter().enumerate();
        let keys = keys.filter_map(|(row, (key, ..))| differs(row).then_some(*key));
        keys.collect::<BTreeSet<usize>>().len() as u64
    });
    counts.collect()
}
