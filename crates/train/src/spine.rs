//! The rows of a training set before any feature: a file's, a table's, or those of a query over a
//! source's events.
//!
//! Invariant: rows and their columns stay as they came, in their order.

use std::path::Path;
use std::sync::Arc;

use evenkeel_connect::{Table, TableType};
use evenkeel_expr::{Program, ReadTime};
use evenkeel_types::definition::{Label, SpineQuery};
use evenkeel_types::{Column, ColumnData, DataType, Field, SLOT_PRESENT, Value};

use crate::error::TrainError;
use crate::evaluate::Evaluator;
use crate::training::NamedLabel;

/// The name of a spine's time column, if it is not named otherwise.
pub const TIME_COLUMN: &str = "event_time";
/// The name of a spine's second time column, if it has one and it is not named otherwise.
pub const KNOWN_AT_COLUMN: &str = "known_at";

/// The rows of a training set, before any feature.
pub struct Spine {
    pub(crate) table: Table,
    pub(crate) times: Arc<Vec<i64>>,
    /// The same as the times, if there is no second time.
    pub(crate) known_at: Arc<Vec<i64>>,
    pub(crate) labels: Vec<(Label, Vec<Column>)>,
}

impl Spine {
    /// Reads a spine from a file.
    pub fn read(
        path: &Path,
        time_column: Option<&str>,
        known_at_column: Option<&str>,
    ) -> Result<Self, TrainError> {
        let table = Table::read(path).map_err(TrainError::table)?;
        Spine::table(table, time_column, known_at_column)
    }

    /// A spine of a table's rows.
    pub fn table(
        table: Table,
        time_column: Option<&str>,
        known_at_column: Option<&str>,
    ) -> Result<Self, TrainError> {
        let name = match time_column {
            Some(name) => name.to_owned(),
            None => guess_time_column(&table)?,
        };
        let times = Arc::new(times_of(&table, &name)?);
        let known_at = match known_at_column {
            Some(name) => Arc::new(times_of(&table, name)?),
            None if table.has_column(KNOWN_AT_COLUMN) => {
                Arc::new(times_of(&table, KNOWN_AT_COLUMN)?)
            }
            None => Arc::clone(&times),
        };
        Ok(Spine {
            table,
            times,
            known_at,
            labels: Vec::new(),
        })
    }

    /// The events of a source that hold at the evaluator's cut, in their order.
    pub fn query(evaluator: &Evaluator, query: &SpineQuery) -> Result<Self, TrainError> {
        let events = evaluator.events(query.source.id);
        let mut numbers = events.in_order();
        let scope: Vec<Column> = evaluator.source_rows(query.source.id, &numbers);
        let times: Vec<i64> = numbers
            .iter()
            .map(|&n| events.times()[n as usize])
            .collect();
        let kept: Vec<u32> = match &query.filter {
            None => (0..).take(times.len()).collect(),
            Some(filter) => {
                let scope: Vec<&Column> = scope.iter().collect();
                let passes = Program::compile(filter).eval_batch(
                    &scope,
                    times.len(),
                    ReadTime::PerRow(&times),
                );
                (0..)
                    .zip(passes.iter())
                    .filter(|(_, passes)| *passes == Value::Boolean(true))
                    .map(|(i, _)| i)
                    .collect()
            }
        };
        numbers = kept.iter().map(|&i| numbers[i as usize]).collect();
        let times: Vec<i64> = kept.iter().map(|&i| times[i as usize]).collect();
        let scope = evaluator.source_rows(query.source.id, &numbers);
        let columns: Vec<(Field, Column)> = {
            let scope: Vec<&Column> = scope.iter().collect();
            query
                .columns
                .iter()
                .map(|(field, expr)| {
                    let column = Program::compile(expr).eval_batch(
                        &scope,
                        times.len(),
                        ReadTime::PerRow(&times),
                    );
                    (field.clone(), column)
                })
                .collect()
        };
        let labels = query
            .labels
            .iter()
            .map(|label| {
                (
                    label.clone(),
                    crate::evaluate::evaluate(&label.key, &scope, &times),
                )
            })
            .collect();
        let table = Table::from_columns(columns).map_err(TrainError::table)?;
        let times = Arc::new(times);
        Ok(Spine {
            table,
            known_at: Arc::clone(&times),
            times,
            labels,
        })
    }

    /// Adds a label whose key is in the spine's columns.
    pub fn with_label(mut self, label: &NamedLabel) -> Result<Self, TrainError> {
        let keys = label.keys.iter().zip(&label.view.key);
        let keys = keys
            .map(|(name, field)| typed_column(&self.table, name, &field.data_type))
            .collect::<Result<Vec<Column>, _>>()?;
        let label = Label {
            view: Arc::clone(&label.view),
            feature: label.feature,
            within: label.within,
            key: Vec::new(),
            name: label.name.clone(),
        };
        self.labels.push((label, keys));
        Ok(self)
    }

    /// Rows with their times and the times of what was known.
    pub(crate) fn at(table: Table, times: Vec<i64>, known_at: Vec<i64>) -> Self {
        Spine {
            table,
            times: Arc::new(times),
            known_at: Arc::new(known_at),
            labels: Vec::new(),
        }
    }

    /// The spine of these rows, without labels.
    pub(crate) fn take(&self, rows: &[u32]) -> Result<Self, TrainError> {
        let of = |times: &[i64]| rows.iter().map(|row| times[*row as usize]).collect();
        let table = self.table.take(rows).map_err(TrainError::table)?;
        Ok(Spine::at(table, of(&self.times), of(&self.known_at)))
    }

    pub(crate) fn rows(&self) -> &Table {
        &self.table
    }

    pub(crate) fn times(&self) -> &[i64] {
        &self.times
    }

    pub(crate) fn known_at(&self) -> &[i64] {
        &self.known_at
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }
}

fn guess_time_column(table: &Table) -> Result<String, TrainError> {
    if table.has_column(TIME_COLUMN) {
        return Ok(TIME_COLUMN.to_owned());
    }
    let mut candidates: Vec<String> = table
        .fields()
        .into_iter()
        .filter(|(name, t)| *t == TableType::Known(DataType::Timestamp) && *name != KNOWN_AT_COLUMN)
        .map(|(name, _)| name.to_owned())
        .collect();
    match candidates.len() {
        0 => Err(TrainError::NoTimeColumn { has: names(table) }),
        1 => Ok(candidates.remove(0)),
        _ => Err(TrainError::SeveralTimeColumns { candidates }),
    }
}

pub(crate) fn names(table: &Table) -> Vec<String> {
    table
        .fields()
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn times_of(table: &Table, name: &str) -> Result<Vec<i64>, TrainError> {
    let column = typed_column(table, name, &DataType::Timestamp)?;
    let (data, states) = column.into_parts();
    if let Some(row) = states.iter().position(|state| *state != SLOT_PRESENT) {
        let column = name.to_owned();
        return Err(TrainError::MissingTime { row, column });
    }
    match data {
        ColumnData::Timestamp(times) => Ok(times),
        _ => unreachable!("the column was asked for as times"),
    }
}

pub(crate) fn typed_column(
    table: &Table,
    name: &str,
    data_type: &DataType,
) -> Result<Column, TrainError> {
    if !table.has_column(name) {
        return Err(TrainError::MissingColumn {
            column: name.to_owned(),
            has: names(table),
        });
    }
    table.column_as(name, data_type).map_err(TrainError::table)
}
