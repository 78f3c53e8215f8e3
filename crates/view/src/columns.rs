//! Rows of a view, feature by feature: for reads of many keys.

use evenkeel_types::definition::ViewDef;
use evenkeel_types::{Column, DataType, SLOT_NULL, SLOT_PRESENT, Status, Value};

use crate::row::{Found, ViewRow, status_of};

/// Some features of a view for one key after the other. Holds what [`ViewRow`] does, in one
/// piece of memory per feature.
#[derive(Clone, Debug)]
pub struct ViewColumns {
    /// Which features, by their number in the view.
    features: Vec<usize>,
    values: Vec<Column>,
    found: Vec<Found>,
    event_times: Vec<Option<i64>>,
}

impl ViewColumns {
    /// No rows of these features of a view.
    pub fn new(view: &ViewDef, features: &[usize]) -> Self {
        let types = features.iter().map(|&i| &view.features[i].data_type);
        ViewColumns {
            features: features.to_vec(),
            values: types.map(Column::new).collect(),
            found: Vec::new(),
            event_times: Vec::new(),
        }
    }

    /// One feature of a type, from what was answered: value, status and time of each row.
    pub fn of_answers(
        data_type: &DataType,
        answers: impl IntoIterator<Item = (Value, Status, Option<i64>)>,
    ) -> Self {
        let mut columns = ViewColumns {
            features: vec![0],
            values: vec![Column::new(data_type)],
            found: Vec::new(),
            event_times: Vec::new(),
        };
        for (value, status, event_time) in answers {
            let (found, value) = match status {
                Status::Present => (Found::Row, value),
                Status::NullValue => (Found::Row, Value::Null),
                Status::Error(reason) => (Found::Row, Value::Error(reason)),
                Status::NotFound => (Found::Nothing, Value::Null),
                Status::OutsideMaxAge => (Found::TooOld, Value::Null),
            };
            columns.values[0].push(&value);
            columns.found.push(found);
            columns.event_times.push(event_time);
        }
        columns
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many features there are.
    pub fn width(&self) -> usize {
        self.features.len()
    }

    /// The values of a feature, by its place here; NULL where there is no row.
    pub fn values(&self, feature: usize) -> &Column {
        &self.values[feature]
    }

    /// The time of a row, as in [`ViewRow::event_time`].
    pub fn event_time(&self, row: usize) -> Option<i64> {
        self.event_times[row]
    }

    /// The times of all rows.
    pub fn event_times(&self) -> &[Option<i64>] {
        &self.event_times
    }

    /// Whether a feature has a value in every row.
    pub fn are_present(&self, feature: usize) -> bool {
        let states = self.values[feature].states();
        states.iter().all(|state| *state == SLOT_PRESENT)
            && self.found.iter().all(|found| *found == Found::Row)
    }

    /// The status of a feature in a row.
    pub fn status(&self, row: usize, feature: usize) -> Status {
        status_of(self.found[row], self.values[feature].state(row))
    }

    /// The value of a feature in a row; NULL unless its status is PRESENT.
    pub fn value(&self, row: usize, feature: usize) -> Value {
        match self.status(row, feature) {
            Status::Present => self.values[feature].get(row),
            _ => Value::Null,
        }
    }

    /// Appends a row of all features of the view.
    pub(crate) fn push(&mut self, row: &ViewRow) {
        for (column, &feature) in self.values.iter_mut().zip(&self.features) {
            column.push(&row.values[feature]);
        }
        self.found.push(row.found);
        self.event_times.push(row.event_time);
    }

    /// Appends a row whose features are `value` of their number in the view.
    pub(crate) fn push_found(&mut self, event_time: i64, value: impl Fn(usize) -> Value) {
        for (column, &feature) in self.values.iter_mut().zip(&self.features) {
            column.push(&value(feature));
        }
        self.found.push(Found::Row);
        self.event_times.push(Some(event_time));
    }

    /// Appends what stands for no row.
    pub(crate) fn push_missing(&mut self, found: Found, event_time: Option<i64>) {
        for column in &mut self.values {
            column.push_missing(SLOT_NULL);
        }
        self.found.push(found);
        self.event_times.push(event_time);
    }

    /// Appends rows: the values of each feature, then what there is of each row.
    ///
    /// # Panics
    /// If a column is of another type.
    pub(crate) fn append(&mut self, values: Vec<Column>, rows: Vec<(Found, Option<i64>)>) {
        for (column, more) in self.values.iter_mut().zip(values) {
            column.append(more);
        }
        for (found, event_time) in rows {
            self.found.push(found);
            self.event_times.push(event_time);
        }
    }

    /// Appends a row again.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn repeat(&mut self, row: usize) {
        for column in &mut self.values {
            let value = column.get(row);
            column.push(&value);
        }
        self.found.push(self.found[row]);
        self.event_times.push(self.event_times[row]);
    }

    /// Forgets the rows from `length` on.
    pub fn truncate(&mut self, length: usize) {
        if length < self.len() {
            for column in &mut self.values {
                column.split_off(length);
            }
            self.found.truncate(length);
            self.event_times.truncate(length);
        }
    }
}
