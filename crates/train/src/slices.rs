//! Rows of sources and views as of a time, for who asks for all of them.
//!
//! A slice is read like a training set, from the log at a cut. Invariant: the row of a table here is what
//! a look-up finds at the same time and cut, and the features of a key are what training gives it.

use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_log::EventSource;
use evenkeel_types::definition::{SourceDef, ViewDef};
use evenkeel_types::{Column, Cut, Operation, Position};
use evenkeel_view::{Found, Uses};

use crate::error::TrainError;
use crate::evaluate::{Evaluator, KeyWalk, Limits, Requests};

/// Which rows of a source are asked for.
#[derive(Clone, Debug)]
pub struct SourceSlice {
    /// The source.
    pub source: Arc<SourceDef>,
    /// Source row slots of the columns, in the order of the answer.
    pub slots: Vec<usize>,
    /// Only events from this time on, microseconds.
    pub from: i64,
    /// Only events up to this time, microseconds.
    pub until: i64,
    /// The rows of a table that are live at `until`, in place of its events.
    pub live: bool,
}

/// Rows of a source: the events that hold, in log order; or of a table those that are live.
#[derive(Clone, Debug)]
pub struct SourceRows {
    /// The columns that were asked for.
    pub columns: Vec<Column>,
    /// Event times.
    pub times: Vec<i64>,
    /// Visible times.
    pub visible: Vec<i64>,
    /// What each event did.
    pub operations: Vec<Operation>,
    /// Where each event is in the log.
    pub positions: Vec<Position>,
}

/// The features of every key of a view at a time.
#[derive(Clone, Debug)]
pub struct ViewRows {
    /// The key's columns.
    pub keys: Vec<Column>,
    /// For a row view, the time of each row.
    pub times: Vec<Option<i64>>,
    /// The features.
    pub columns: Vec<Column>,
}

impl SourceRows {
    /// Reads a slice at a cut. `progress` is told how many events were read, and may stop it.
    ///
    /// # Errors
    /// [`TrainError::Stopped`]; if the log cannot be read.
    pub fn read(
        log: &dyn EventSource,
        slice: &SourceSlice,
        cut: &Cut,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Self, TrainError> {
        let mut uses = Uses::default();
        let key = slice.source.primary_key.iter();
        uses.add_source(&slice.source, slice.slots.iter().chain(key).copied());
        let evaluator = Evaluator::load(log, &uses, cut, progress)?;
        Ok(evaluator.slice(slice))
    }
}

impl ViewRows {
    /// Every key that a view's sources have an event of up to `at`, with its features then. A row
    /// view has the keys that have a row.
    ///
    /// # Errors
    /// [`TrainError::Stopped`]; if the log cannot be read.
    pub fn read(
        log: &dyn EventSource,
        view: &ViewDef,
        at: i64,
        cut: &Cut,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Self, TrainError> {
        let evaluator = Evaluator::load(log, &Uses::of([view]), cut, progress)?;
        Ok(evaluator.all_keys(view, at))
    }
}

impl Evaluator {
    fn slice(&self, slice: &SourceSlice) -> SourceRows {
        let id = slice.source.id;
        let events = self.events(id);
        let numbers: Vec<u32> = if slice.live {
            let times = events.times();
            let live = self.live(&slice.source, slice.until).into_iter();
            live.filter(|n| times[*n as usize] >= slice.from).collect()
        } else {
            (0..)
                .zip(events.times().iter().zip(events.operations()))
                .filter(|(number, (time, operation))| {
                    (slice.from..=slice.until).contains(*time)
                        && **operation != Operation::Remove
                        && events.holds(*number, None)
                })
                .map(|(number, _)| number)
                .collect()
        };
        SourceRows {
            times: numbers
                .iter()
                .map(|n| events.times()[*n as usize])
                .collect(),
            visible: numbers.iter().map(|n| events.visible_at(*n)).collect(),
            operations: numbers
                .iter()
                .map(|n| events.operations()[*n as usize])
                .collect(),
            positions: numbers.iter().map(|n| events.position(*n)).collect(),
            columns: slice
                .slots
                .iter()
                .map(|&slot| events.columns()[slot].gather(&numbers))
                .collect(),
        }
    }

    /// The events that are the rows of a table at a time.
    fn live(&self, table: &SourceDef, until: i64) -> Vec<u32> {
        let keyed = self.keyed(table.id, &table.primary_key);
        let limits = Limits {
            until,
            at: until,
            known_at: None,
        };
        let newest = |key: usize| {
            // As many as events, of which there are fewer than 2^32.
            let of_key = keyed.of(key as u32);
            let walk = KeyWalk::new(self.events(table.id), of_key, &table.primary_key, limits);
            walk.newest(None, None)
        };
        (0..keyed.len()).filter_map(newest).collect()
    }

    fn all_keys(&self, view: &ViewDef, at: i64) -> ViewRows {
        let keys = self.keys_until(view, at);
        let length = keys.first().map_or(0, Column::len);
        let requests = Requests::new(keys, vec![at; length], None);
        let answers = self.read(view, &requests, &[]);
        let found = (0..).zip(&answers.found);
        let rows: Vec<u32> = found
            .filter(|(_, found)| **found == Found::Row)
            .map(|(row, _)| row)
            .collect();
        let gather = |columns: &[Column]| columns.iter().map(|c| c.gather(&rows)).collect();
        ViewRows {
            keys: gather(&requests.keys),
            times: rows
                .iter()
                .map(|r| answers.times.get(*r as usize))
                .collect(),
            columns: gather(&answers.columns),
        }
    }
}
