//! What a condition says of every key of an entity, decided while the events are read.
//!
//! Where the row of an event is made of the event alone, nothing has to be kept of it but its key, its
//! time and what the condition says, and its values only if it is in. Which event is the newest of
//! its key is found afterwards. Owns where that is so; elsewhere there is no answer, and
//! [`Population`](crate::Population) has one. Invariant: the keys and what is said of them are those that the
//! condition says of a population.

mod events;
mod newest;
mod plain;

use std::ops::ControlFlow;

use evenkeel_log::{EventSource, Next, ReadOptions};
use evenkeel_types::definition::ViewDef;
use evenkeel_types::{Column, ColumnData, Cut, LoggedEvent, SLOT_NULL, SLOT_PRESENT, SourceId};

use crate::error::TrainError;
use events::JudgedEvents;
use plain::PlainRows;
pub use plain::calls_functions;

/// After so many events progress is told.
const PROGRESS_EVENTS: u64 = 8192;

/// What a condition says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is known of the key.
    Unknown,
    /// It is not in.
    Out,
    /// The condition is an ERROR.
    Undecided,
    /// It is in.
    In,
}

impl Verdict {
    /// The verdicts on rows, by the values of their condition; without one all are in.
    pub fn of(condition: Option<&Column>, rows: usize) -> Vec<Verdict> {
        let Some(condition) = condition else {
            return vec![Verdict::In; rows];
        };
        let of_value = |is_true: bool| match is_true {
            true => Verdict::In,
            false => Verdict::Out,
        };
        let values: &[bool] = match condition.data() {
            ColumnData::Boolean(values) => values,
            // A NULL or an ERROR of no type.
            _ => &[],
        };
        if condition.states().is_empty() && values.len() == rows {
            return values.iter().map(|value| of_value(*value)).collect();
        }
        let verdict = |row: usize| match condition.state(row) {
            SLOT_PRESENT => of_value(values.get(row) == Some(&true)),
            SLOT_NULL => Verdict::Out,
            _ => Verdict::Undecided,
        };
        (0..rows).map(verdict).collect()
    }
}

/// A condition over a scope: the parts of the key, then of each view the features.
pub trait Condition {
    /// The verdicts on so many rows.
    fn judge(&self, scope: &[&Column], rows: usize) -> Vec<Verdict>;

    /// Whether a column of the scope is wanted of keys that are in.
    fn keeps(&self, slot: usize) -> bool;
}

/// See the module. The keys are in no order that means anything.
#[derive(Clone, Debug)]
pub struct Judged {
    /// A column per part of the key: every key of which a view knows something, and maybe others.
    pub keys: Vec<Column>,
    /// The verdict on each.
    pub verdicts: Vec<Verdict>,
    /// The scope of the keys that are in, in their order; what is not wanted of it is empty.
    pub rows: Vec<Column>,
}

impl Judged {
    /// The source of views of which a row is made of a single event, so that they can be judged; none of
    /// others.
    pub fn source_of(views: &[ViewDef]) -> Option<SourceId> {
        PlainRows::of(views).map(|plain| plain.source().id)
    }

    /// Judges the keys of views of one entity at a time and a cut. None where it takes more than the
    /// newest event of a key to know its row, or more than keys and times to know which event that is.
    /// `progress` is told how many events were read, and may stop it.
    ///
    /// # Errors
    /// [`TrainError::Stopped`]; if the log cannot be read.
    pub fn read(
        log: &dyn EventSource,
        views: &[ViewDef],
        at: i64,
        cut: &Cut,
        condition: &dyn Condition,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<Self>, TrainError> {
        let Some(plain) = PlainRows::of(views) else {
            return Ok(None);
        };
        let source = plain.source().id;
        let ends = cut.iter().filter(|(id, ..)| *id == source);
        let expected = ends.map(|(_, _, end)| end.0).sum();
        let mut judged = JudgedEvents::new(&plain, at, condition, expected);
        let options = ReadOptions {
            sources: Some(vec![source]),
            until: Some(cut.clone()),
            parts: [(source, judged.parts())].into(),
            ..ReadOptions::default()
        };
        let mut read: u64 = 0;
        let mut told: u64 = 0;
        let mut events = log.events(options).map_err(TrainError::log)?;
        let mut logged = LoggedEvent::blank();
        while judged.are_plain() {
            match events.next_columns(&mut logged).map_err(TrainError::log)? {
                Next::End => {
                    judged.judge_pending();
                    if progress(read).is_break() {
                        return Err(TrainError::Stopped);
                    }
                    return judged.into_judged(log);
                }
                Next::Event => {
                    judged.push(&mut logged)?;
                    read += 1;
                }
                Next::Columns(several) => {
                    read += several.len() as u64;
                    judged.extend(several, &mut logged)?;
                }
            }
            if read >= told + PROGRESS_EVENTS {
                told = read;
                if progress(read).is_break() {
                    return Err(TrainError::Stopped);
                }
            }
        }
        Ok(None)
    }
}
