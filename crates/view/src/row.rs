//! The answer of a view for one key at one time.

use evenkeel_types::{ErrorReason, SLOT_NULL, SLOT_PRESENT, Status, Value};

/// The features of a view, or why there are none.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewRow {
    /// One per feature of the view. All NULL unless `found` is [`Found::Row`].
    pub values: Vec<Value>,
    /// Whether there is a row.
    pub found: Found,
    /// For a row view the time of the row; for others the time of the latest event that the
    /// value could depend on, where the evaluator says it.
    pub event_time: Option<i64>,
}

/// Whether a view has a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It has; window and composed views always have.
    Row,
    /// No row with time `<= t`.
    Nothing,
    /// The last row is older than the view's TTL.
    TooOld,
}

/// The status of a feature, by whether there is a row and the state of its slot.
pub(crate) fn status_of(found: Found, state: u8) -> Status {
    match (found, state) {
        (Found::Nothing, _) => Status::NotFound,
        (Found::TooOld, _) => Status::OutsideMaxAge,
        (Found::Row, SLOT_PRESENT) => Status::Present,
        (Found::Row, SLOT_NULL) => Status::NullValue,
        (Found::Row, code) => ErrorReason::from_code(code).map_or(Status::NullValue, Status::Error),
    }
}

impl ViewRow {
    /// A row of a view that always has one.
    pub fn found(values: Vec<Value>) -> Self {
        ViewRow {
            values,
            found: Found::Row,
            event_time: None,
        }
    }

    /// A row with its time.
    pub fn found_at(values: Vec<Value>, time: i64) -> Self {
        ViewRow {
            values,
            found: Found::Row,
            event_time: Some(time),
        }
    }

    /// No row.
    pub fn not_found(width: usize) -> Self {
        ViewRow {
            values: vec![Value::Null; width],
            found: Found::Nothing,
            event_time: None,
        }
    }

    /// A row that is too old.
    pub fn outside_max_age(width: usize, time: i64) -> Self {
        ViewRow {
            values: vec![Value::Null; width],
            found: Found::TooOld,
            event_time: Some(time),
        }
    }

    /// The status of the feature at `index`.
    pub fn status(&self, index: usize) -> Status {
        match self.found {
            Found::Row => Status::of(&self.values[index]),
            Found::Nothing => Status::NotFound,
            Found::TooOld => Status::OutsideMaxAge,
        }
    }

    /// Whether both say the same to the last bit: values, statuses, and the row's time where
    /// both know one.
    pub fn same_bits(&self, other: &ViewRow) -> bool {
        self.found == other.found
            && self.values.len() == other.values.len()
            && self
                .values
                .iter()
                .zip(&other.values)
                .all(|(a, b)| a.same_bits(b))
            && match (self.event_time, other.event_time) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            }
    }
}
