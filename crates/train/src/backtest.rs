//! Backtests: a service at each of its triggers, as it would have been served and as it is now.
//!
//! Invariant: both are values of the training path at the same keys, times and cut; they differ
//! in what was visible alone.

use std::ops::Range;
use std::sync::Arc;

use evenkeel_connect::Table;
use evenkeel_types::definition::{ServiceDef, SourceDef};
use evenkeel_types::{Column, DataType, Field, Value};
use evenkeel_view::{Uses, encode_key};

use crate::error::TrainError;
use crate::evaluate::{Evaluator, Requests};
use crate::instants::Sample;
use crate::spine::{KNOWN_AT_COLUMN, Spine, TIME_COLUMN, typed_column};
use crate::training::{key_columns, request_columns};

/// A service and where it is read.
pub struct Backtest<'a> {
    service: &'a ServiceDef,
    spine: Spine,
}

/// The features of some rows.
pub struct BacktestRows {
    /// The service's inputs, the times, and the times of what was known.
    pub inputs: Vec<Column>,
    /// What would have been served, by feature.
    pub served: Vec<Column>,
    /// What is known now.
    pub latest: Vec<Column>,
}

impl<'a> Backtest<'a> {
    /// At the events of a source as they came first, each known as of when it was visible itself:
    /// what corrected or removed one came later. The source has the service's inputs as columns,
    /// which were loaded.
    ///
    /// # Errors
    /// If it lacks one of them.
    pub fn of_source(
        service: &'a ServiceDef,
        source: &SourceDef,
        evaluator: &Evaluator,
        range: &Range<i64>,
    ) -> Result<Self, TrainError> {
        let events = evaluator.events(source.id);
        let mut numbers = events.as_they_came();
        numbers.retain(|n| range.contains(&events.times()[*n as usize]));
        let mut columns = Vec::new();
        for input in &service.inputs {
            let slot = input_slot(source, input)?;
            columns.push((input.clone(), events.columns()[slot].gather(&numbers)));
        }
        let times = numbers
            .iter()
            .map(|n| events.times()[*n as usize])
            .collect();
        let known_at = numbers.iter().map(|n| events.visible_at(*n)).collect();
        let table = Table::from_columns(columns).map_err(TrainError::table)?;
        let spine = Spine::at(table, times, known_at);
        Ok(Backtest { service, spine })
    }

    /// At the rows of a spine in a range of times, each known as of its `known_at`.
    ///
    /// # Errors
    /// If it lacks an input of the service.
    pub fn of_spine(
        service: &'a ServiceDef,
        spine: Spine,
        range: &Range<i64>,
    ) -> Result<Self, TrainError> {
        let rows: Vec<u32> = (0..)
            .zip(spine.times())
            .filter(|(_, time)| range.contains(time))
            .map(|(row, _)| row)
            .collect();
        let spine = spine.take(&rows)?;
        Ok(Backtest { service, spine })
    }

    /// The columns of a source that triggers read.
    ///
    /// # Errors
    /// If it lacks one of them.
    pub fn use_source(
        service: &ServiceDef,
        source: &Arc<SourceDef>,
        uses: &mut Uses,
    ) -> Result<(), TrainError> {
        let slots = service.inputs.iter().map(|input| input_slot(source, input));
        uses.add_source(source, slots.collect::<Result<Vec<_>, _>>()?);
        Ok(())
    }

    /// Only the rows whose key of the service's first view is in a sample.
    ///
    /// # Errors
    /// If the key has another type than the view's.
    pub fn sampled(mut self, sample: Sample) -> Result<Self, TrainError> {
        let Some(first) = self.service.items.first().filter(|_| sample != Sample::ALL) else {
            return Ok(self);
        };
        let keys = key_columns(self.spine.rows(), first)?;
        let is_in = |row: usize| {
            let key: Vec<Value> = keys.iter().map(|c| c.get(row)).collect();
            encode_key(&key).is_some_and(|bytes| sample.contains(&bytes))
        };
        let rows: Vec<u32> = (0..)
            .zip(0..self.spine.len())
            .filter(|(_, row)| is_in(*row))
            .map(|(number, _)| number)
            .collect();
        self.spine = self.spine.take(&rows)?;
        Ok(self)
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.spine.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spine.is_empty()
    }

    /// The canonical digest of what the rows ask.
    ///
    /// # Errors
    /// If a column has none.
    pub fn digest(&self) -> Result<[u8; 32], TrainError> {
        let mut table = self.spine.rows().clone();
        for (name, times) in [
            (" time", self.spine.times()),
            (" known", self.spine.known_at()),
        ] {
            let field = Field::new(name, DataType::Timestamp);
            table
                .append_owned(field, timestamps(times))
                .map_err(TrainError::table)?;
        }
        table.digest().map_err(TrainError::table)
    }

    /// The names and types of [`BacktestRows::inputs`]; the times have names that no other column
    /// of the result has.
    pub fn input_fields(service: &ServiceDef, others: &[Field]) -> Vec<Field> {
        let mut fields = service.inputs.clone();
        for name in [TIME_COLUMN, KNOWN_AT_COLUMN] {
            let mut name = name.to_owned();
            while fields.iter().chain(others).any(|f| f.name == name) {
                name.push('_');
            }
            fields.push(Field::new(name, DataType::Timestamp));
        }
        fields
    }

    /// Evaluates some rows.
    ///
    /// # Errors
    /// If the spine lacks an input, or it has another type.
    pub fn rows(
        &self,
        evaluator: &Evaluator,
        range: Range<usize>,
    ) -> Result<BacktestRows, TrainError> {
        let numbers: Vec<u32> = (0..u32::MAX).skip(range.start).take(range.len()).collect();
        let spine = self.spine.take(&numbers)?;
        let (mut served, mut latest) = (Vec::new(), Vec::new());
        for item in &self.service.items {
            let keys = key_columns(spine.rows(), item)?;
            let request = request_columns(spine.rows(), &item.view)?;
            let known = Some(Arc::clone(&spine.known_at));
            for (known, columns) in [(known, &mut served), (None, &mut latest)] {
                let requests = Requests::sharing(keys.clone(), Arc::clone(&spine.times), known);
                let answers = evaluator.read(&item.view, &requests, &request);
                let wanted = item.features.iter();
                columns.extend(wanted.map(|(index, _)| answers.columns[*index].clone()));
            }
        }
        let mut inputs = Vec::new();
        for input in &self.service.inputs {
            inputs.push(typed_column(spine.rows(), &input.name, &input.data_type)?);
        }
        inputs.push(timestamps(spine.times()));
        inputs.push(timestamps(spine.known_at()));
        Ok(BacktestRows {
            inputs,
            served,
            latest,
        })
    }
}

fn input_slot(source: &SourceDef, input: &Field) -> Result<usize, TrainError> {
    let columns = source.columns.iter();
    let found = columns
        .clone()
        .position(|c| c.name == input.name && c.data_type == input.data_type);
    found.ok_or_else(|| TrainError::NoInput {
        source_name: source.name.clone(),
        input: format!("{} {}", input.name, input.data_type),
        has: columns.map(|c| c.name.clone()).collect(),
    })
}

fn timestamps(times: &[i64]) -> Column {
    let values: Vec<Value> = times.iter().map(|t| Value::Timestamp(*t)).collect();
    Column::from_values(&DataType::Timestamp, &values)
}
