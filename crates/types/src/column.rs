//! A column of values of one type: what batch evaluation reads and writes, and what blocks
//! and event tables are made of.

use std::sync::Arc;

use crate::data_type::DataType;
use crate::time::Interval;
use crate::value::{ErrorReason, Unscaled, Value};

/// The state of a slot: a value is there.
pub const SLOT_PRESENT: u8 = 0;
/// The state of a slot: NULL. Larger states are [`ErrorReason`] codes.
pub const SLOT_NULL: u8 = 1;

/// No slot of a column: see [`Column::gather_optional`].
pub const NO_SLOT: u32 = u32::MAX;

/// Values of one type with a state byte each. A slot whose state is not [`SLOT_PRESENT`]
/// holds an unspecified placeholder value.
#[derive(Clone, Debug)]
pub struct Column {
    data: ColumnData,
    /// One state per slot; empty while every slot is present.
    states: Vec<u8>,
}

/// The values of a [`Column`].
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the variants are the types")]
pub enum ColumnData {
    Boolean(Vec<bool>),
    Int(Vec<i32>),
    BigInt(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Decimal(Vec<i128>),
    String(Vec<Arc<str>>),
    Bytes(Vec<Arc<[u8]>>),
    Date(Vec<i32>),
    Timestamp(Vec<i64>),
    Interval(Vec<Interval>),
    /// Arrays, vectors and structs.
    Nested(Vec<Value>),
}

macro_rules! each {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            ColumnData::Boolean($values) => $body,
            ColumnData::Int($values) => $body,
            ColumnData::BigInt($values) => $body,
            ColumnData::Float($values) => $body,
            ColumnData::Double($values) => $body,
            ColumnData::Decimal($values) => $body,
            ColumnData::String($values) => $body,
            ColumnData::Bytes($values) => $body,
            ColumnData::Date($values) => $body,
            ColumnData::Timestamp($values) => $body,
            ColumnData::Interval($values) => $body,
            ColumnData::Nested($values) => $body,
        }
    };
}

impl ColumnData {
    fn empty(data_type: &DataType) -> Self {
        match data_type {
            DataType::Boolean => ColumnData::Boolean(Vec::new()),
            DataType::Int => ColumnData::Int(Vec::new()),
            DataType::BigInt => ColumnData::BigInt(Vec::new()),
            DataType::Float => ColumnData::Float(Vec::new()),
            DataType::Double => ColumnData::Double(Vec::new()),
            DataType::Decimal { .. } => ColumnData::Decimal(Vec::new()),
            DataType::String => ColumnData::String(Vec::new()),
            DataType::Bytes => ColumnData::Bytes(Vec::new()),
            DataType::Date => ColumnData::Date(Vec::new()),
            DataType::Timestamp => ColumnData::Timestamp(Vec::new()),
            DataType::Interval => ColumnData::Interval(Vec::new()),
            DataType::Array(_) | DataType::Vector { .. } | DataType::Struct(_) | DataType::Null => {
                ColumnData::Nested(Vec::new())
            }
        }
    }
}

impl Column {
    /// An empty column.
    pub fn new(data_type: &DataType) -> Self {
        Column {
            data: ColumnData::empty(data_type),
            states: Vec::new(),
        }
    }

    /// An empty column of the same type.
    pub fn empty_like(&self) -> Column {
        self.gather(&[])
    }

    /// A column from its parts. `states` is empty (all present) or one byte per value.
    ///
    /// # Panics
    /// If the lengths differ: a broken invariant of the caller.
    pub fn from_parts(data: ColumnData, states: Vec<u8>) -> Self {
        let length = each!(&data, v => v.len());
        assert!(
            states.is_empty() || states.len() == length,
            "one state per value"
        );
        Column { data, states }
    }

    /// A column of so many slots that hold nothing yet: who made it puts a value into each.
    pub fn with_room(data_type: &DataType, length: usize) -> Self {
        let mut column = Column::new(data_type);
        match &mut column.data {
            // Memory that is zero already stays untouched.
            ColumnData::Int(v) | ColumnData::Date(v) => *v = vec![0; length],
            ColumnData::BigInt(v) | ColumnData::Timestamp(v) => *v = vec![0; length],
            ColumnData::Float(v) => *v = vec![0.0; length],
            ColumnData::Double(v) => *v = vec![0.0; length],
            ColumnData::Decimal(v) => *v = vec![0; length],
            ColumnData::Boolean(v) => *v = vec![false; length],
            ColumnData::String(v) => *v = vec![Arc::from(""); length],
            ColumnData::Bytes(v) => *v = vec![Arc::from([]); length],
            ColumnData::Interval(v) => *v = vec![Interval::default(); length],
            ColumnData::Nested(v) => *v = vec![Value::Null; length],
        }
        column
    }

    /// Puts the slots of another column of the same type into the slots `places`, one each.
    ///
    /// # Panics
    /// If the types differ, or a place is not below [`Column::len`]: a broken invariant of the caller.
    pub fn put(&mut self, places: &[u32], other: Column) {
        fn put<T>(into: &mut [T], places: &[u32], values: Vec<T>) {
            for (&place, value) in places.iter().zip(values) {
                into[place as usize] = value;
            }
        }
        assert_eq!(places.len(), other.len(), "one place per slot");
        if !self.states.is_empty() || !other.states.is_empty() {
            let length = self.len();
            self.states.resize(length, SLOT_PRESENT);
            let mut states = other.states;
            states.resize(places.len(), SLOT_PRESENT);
            put(&mut self.states, places, states);
        }
        match (&mut self.data, other.data) {
            (ColumnData::Boolean(v), ColumnData::Boolean(w)) => put(v, places, w),
            (ColumnData::Int(v), ColumnData::Int(w)) => put(v, places, w),
            (ColumnData::BigInt(v), ColumnData::BigInt(w)) => put(v, places, w),
            (ColumnData::Float(v), ColumnData::Float(w)) => put(v, places, w),
            (ColumnData::Double(v), ColumnData::Double(w)) => put(v, places, w),
            (ColumnData::Decimal(v), ColumnData::Decimal(w)) => put(v, places, w),
            (ColumnData::String(v), ColumnData::String(w)) => put(v, places, w),
            (ColumnData::Bytes(v), ColumnData::Bytes(w)) => put(v, places, w),
            (ColumnData::Date(v), ColumnData::Date(w)) => put(v, places, w),
            (ColumnData::Timestamp(v), ColumnData::Timestamp(w)) => put(v, places, w),
            (ColumnData::Interval(v), ColumnData::Interval(w)) => put(v, places, w),
            (ColumnData::Nested(v), ColumnData::Nested(w)) => put(v, places, w),
            (into, from) => panic!("{from:?} does not go into {into:?}"),
        }
    }

    /// A column of `length` copies of a value.
    pub fn repeat(data_type: &DataType, value: &Value, length: usize) -> Self {
        let mut column = Column::new(data_type);
        for _ in 0..length {
            column.push(value);
        }
        column
    }

    /// A column of the given values, each of the type or missing.
    pub fn from_values<'a>(
        data_type: &DataType,
        values: impl IntoIterator<Item = &'a Value>,
    ) -> Self {
        let mut column = Column::new(data_type);
        for value in values {
            column.push(value);
        }
        column
    }

    /// The values; see [`Column::states`] for which count.
    pub fn data(&self) -> &ColumnData {
        &self.data
    }

    /// The states: empty if all are present, else one per slot.
    pub fn states(&self) -> &[u8] {
        &self.states
    }

    /// The values and the states.
    pub fn into_parts(self) -> (ColumnData, Vec<u8>) {
        (self.data, self.states)
    }

    /// Removes all slots; the memory stays.
    pub fn clear(&mut self) {
        each!(&mut self.data, v => v.clear());
        self.states.clear();
    }

    /// Makes room for so many more slots.
    pub fn reserve(&mut self, more: usize) {
        each!(&mut self.data, v => v.reserve(more));
    }

    /// Whether its values are kept like those of another column: it may be appended to it.
    pub fn has_type_of(&self, other: &Column) -> bool {
        std::mem::discriminant(&self.data) == std::mem::discriminant(&other.data)
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        each!(&self.data, v => v.len())
    }

    /// Whether there are no slots.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The state of slot `i`.
    #[inline]
    pub fn state(&self, i: usize) -> u8 {
        if self.states.is_empty() {
            SLOT_PRESENT
        } else {
            self.states[i]
        }
    }

    /// The value of slot `i`.
    ///
    /// # Panics
    /// If `i` is not below [`Column::len`].
    pub fn get(&self, i: usize) -> Value {
        match self.state(i) {
            SLOT_PRESENT => {}
            SLOT_NULL => return Value::Null,
            code => {
                return Value::Error(ErrorReason::from_code(code).expect("only codes are stored"));
            }
        }
        match &self.data {
            ColumnData::Boolean(v) => Value::Boolean(v[i]),
            ColumnData::Int(v) => Value::Int(v[i]),
            ColumnData::BigInt(v) => Value::BigInt(v[i]),
            ColumnData::Float(v) => Value::Float(v[i]),
            ColumnData::Double(v) => Value::Double(v[i]),
            ColumnData::Decimal(v) => Value::Decimal(Unscaled::from(v[i])),
            ColumnData::String(v) => Value::String(v[i].clone()),
            ColumnData::Bytes(v) => Value::Bytes(v[i].clone()),
            ColumnData::Date(v) => Value::Date(v[i]),
            ColumnData::Timestamp(v) => Value::Timestamp(v[i]),
            ColumnData::Interval(v) => Value::Interval(v[i]),
            ColumnData::Nested(v) => v[i].clone(),
        }
    }

    /// Appends a value.
    ///
    /// # Panics
    /// If the value is of another type than the column.
    #[inline]
    pub fn push(&mut self, value: &Value) {
        // The usual types without the general case.
        match (&mut self.data, value) {
            (ColumnData::BigInt(v), Value::BigInt(x)) => v.push(*x),
            (ColumnData::Double(v), Value::Double(x)) => v.push(*x),
            (ColumnData::Timestamp(v), Value::Timestamp(x)) => v.push(*x),
            (ColumnData::String(v), Value::String(x)) => v.push(x.clone()),
            _ => return self.insert(self.len(), value),
        }
        if !self.states.is_empty() {
            self.states.push(SLOT_PRESENT);
        }
    }

    /// Appends a slot that is NULL or `ERROR`, by its state.
    ///
    /// # Panics
    /// If the state is none of those.
    pub fn push_missing(&mut self, state: u8) {
        assert_ne!(state, SLOT_PRESENT, "a present slot has a value");
        let length = self.len();
        if self.states.is_empty() {
            self.states = vec![SLOT_PRESENT; length];
        }
        self.states.push(state);
        insert_placeholder(&mut self.data, length);
    }

    /// The slots `indices`, in that order; NULL where the index is [`NO_SLOT`].
    pub fn gather_optional(&self, indices: &[u32]) -> Column {
        if !indices.contains(&NO_SLOT) {
            return self.gather(indices);
        }
        fn take<T: Clone>(values: &[T], indices: &[u32], none: T) -> Vec<T> {
            let slot = |&i: &u32| values.get(i as usize).unwrap_or(&none).clone();
            indices.iter().map(slot).collect()
        }
        let data = match &self.data {
            ColumnData::Boolean(v) => ColumnData::Boolean(take(v, indices, false)),
            ColumnData::Int(v) => ColumnData::Int(take(v, indices, 0)),
            ColumnData::BigInt(v) => ColumnData::BigInt(take(v, indices, 0)),
            ColumnData::Float(v) => ColumnData::Float(take(v, indices, 0.0)),
            ColumnData::Double(v) => ColumnData::Double(take(v, indices, 0.0)),
            ColumnData::Decimal(v) => ColumnData::Decimal(take(v, indices, 0)),
            ColumnData::String(v) => ColumnData::String(take(v, indices, Arc::from(""))),
            ColumnData::Bytes(v) => ColumnData::Bytes(take(v, indices, Arc::from([]))),
            ColumnData::Date(v) => ColumnData::Date(take(v, indices, 0)),
            ColumnData::Timestamp(v) => ColumnData::Timestamp(take(v, indices, 0)),
            ColumnData::Interval(v) => ColumnData::Interval(take(v, indices, Interval::default())),
            ColumnData::Nested(v) => ColumnData::Nested(take(v, indices, Value::Null)),
        };
        let state = |&i: &u32| match i {
            NO_SLOT => SLOT_NULL,
            i => self.state(i as usize),
        };
        Column {
            data,
            states: indices.iter().map(state).collect(),
        }
    }

    /// Inserts a value before slot `at`; cost is linear in the slots behind it.
    ///
    /// # Panics
    /// If the value is of another type than the column, or `at` is beyond the end.
    pub fn insert(&mut self, at: usize, value: &Value) {
        let state = match value {
            Value::Null => SLOT_NULL,
            Value::Error(reason) => reason.code(),
            _ => SLOT_PRESENT,
        };
        if state != SLOT_PRESENT && self.states.is_empty() {
            self.states = vec![SLOT_PRESENT; self.len()];
        }
        if state != SLOT_PRESENT || !self.states.is_empty() {
            self.states.insert(at, state);
        }
        match (&mut self.data, value) {
            (ColumnData::Boolean(v), Value::Boolean(x)) => v.insert(at, *x),
            (ColumnData::Int(v), Value::Int(x)) => v.insert(at, *x),
            (ColumnData::BigInt(v), Value::BigInt(x)) => v.insert(at, *x),
            (ColumnData::Float(v), Value::Float(x)) => v.insert(at, *x),
            (ColumnData::Double(v), Value::Double(x)) => v.insert(at, *x),
            (ColumnData::Decimal(v), Value::Decimal(x)) => v.insert(at, x.get()),
            (ColumnData::String(v), Value::String(x)) => v.insert(at, x.clone()),
            (ColumnData::Bytes(v), Value::Bytes(x)) => v.insert(at, x.clone()),
            (ColumnData::Date(v), Value::Date(x)) => v.insert(at, *x),
            (ColumnData::Timestamp(v), Value::Timestamp(x)) => v.insert(at, *x),
            (ColumnData::Interval(v), Value::Interval(x)) => v.insert(at, *x),
            (ColumnData::Nested(v), Value::Array(_) | Value::Struct(_)) => {
                v.insert(at, value.clone());
            }
            (data, Value::Null | Value::Error(_)) => insert_placeholder(data, at),
            (data, value) => panic!("a {value:?} does not go into {data:?}"),
        }
    }

    /// The slots `indices`, in that order.
    pub fn gather(&self, indices: &[u32]) -> Column {
        fn take<T: Clone>(values: &[T], indices: &[u32]) -> Vec<T> {
            indices
                .iter()
                .map(|&i| values[i as usize].clone())
                .collect()
        }
        let data = match &self.data {
            ColumnData::Boolean(v) => ColumnData::Boolean(take(v, indices)),
            ColumnData::Int(v) => ColumnData::Int(take(v, indices)),
            ColumnData::BigInt(v) => ColumnData::BigInt(take(v, indices)),
            ColumnData::Float(v) => ColumnData::Float(take(v, indices)),
            ColumnData::Double(v) => ColumnData::Double(take(v, indices)),
            ColumnData::Decimal(v) => ColumnData::Decimal(take(v, indices)),
            ColumnData::String(v) => ColumnData::String(take(v, indices)),
            ColumnData::Bytes(v) => ColumnData::Bytes(take(v, indices)),
            ColumnData::Date(v) => ColumnData::Date(take(v, indices)),
            ColumnData::Timestamp(v) => ColumnData::Timestamp(take(v, indices)),
            ColumnData::Interval(v) => ColumnData::Interval(take(v, indices)),
            ColumnData::Nested(v) => ColumnData::Nested(take(v, indices)),
        };
        let states = if self.states.is_empty() {
            Vec::new()
        } else {
            take(&self.states, indices)
        };
        Column { data, states }
    }

    /// Splits off the slots from `at` on.
    pub fn split_off(&mut self, at: usize) -> Column {
        let data = match &mut self.data {
            ColumnData::Boolean(v) => ColumnData::Boolean(v.split_off(at)),
            ColumnData::Int(v) => ColumnData::Int(v.split_off(at)),
            ColumnData::BigInt(v) => ColumnData::BigInt(v.split_off(at)),
            ColumnData::Float(v) => ColumnData::Float(v.split_off(at)),
            ColumnData::Double(v) => ColumnData::Double(v.split_off(at)),
            ColumnData::Decimal(v) => ColumnData::Decimal(v.split_off(at)),
            ColumnData::String(v) => ColumnData::String(v.split_off(at)),
            ColumnData::Bytes(v) => ColumnData::Bytes(v.split_off(at)),
            ColumnData::Date(v) => ColumnData::Date(v.split_off(at)),
            ColumnData::Timestamp(v) => ColumnData::Timestamp(v.split_off(at)),
            ColumnData::Interval(v) => ColumnData::Interval(v.split_off(at)),
            ColumnData::Nested(v) => ColumnData::Nested(v.split_off(at)),
        };
        let states = if self.states.is_empty() {
            Vec::new()
        } else {
            self.states.split_off(at)
        };
        Column { data, states }
    }

    /// Appends the slots of another column of the same type.
    ///
    /// # Panics
    /// If the types differ: a broken invariant of the caller.
    pub fn append(&mut self, other: Column) {
        if each!(&self.data, v => v.capacity()) == 0 && self.has_type_of(&other) {
            *self = other;
            return;
        }
        let (before, after) = (self.len(), other.len());
        if !self.states.is_empty() || !other.states.is_empty() {
            self.states.resize(before, SLOT_PRESENT);
            self.states.extend(&other.states);
            self.states.resize(before + after, SLOT_PRESENT);
        }
        match (&mut self.data, other.data) {
            (ColumnData::Boolean(v), ColumnData::Boolean(w)) => v.extend(w),
            (ColumnData::Int(v), ColumnData::Int(w)) => v.extend(w),
            (ColumnData::BigInt(v), ColumnData::BigInt(w)) => v.extend(w),
            (ColumnData::Float(v), ColumnData::Float(w)) => v.extend(w),
            (ColumnData::Double(v), ColumnData::Double(w)) => v.extend(w),
            (ColumnData::Decimal(v), ColumnData::Decimal(w)) => v.extend(w),
            (ColumnData::String(v), ColumnData::String(w)) => v.extend(w),
            (ColumnData::Bytes(v), ColumnData::Bytes(w)) => v.extend(w),
            (ColumnData::Date(v), ColumnData::Date(w)) => v.extend(w),
            (ColumnData::Timestamp(v), ColumnData::Timestamp(w)) => v.extend(w),
            (ColumnData::Interval(v), ColumnData::Interval(w)) => v.extend(w),
            (ColumnData::Nested(v), ColumnData::Nested(w)) => v.extend(w),
            (into, from) => panic!("{from:?} does not go into {into:?}"),
        }
    }

    /// The values one by one.
    pub fn iter(&self) -> impl Iterator<Item = Value> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }
}

fn insert_placeholder(data: &mut ColumnData, at: usize) {
    match data {
        ColumnData::Boolean(v) => v.insert(at, false),
        ColumnData::Int(v) | ColumnData::Date(v) => v.insert(at, 0),
        ColumnData::BigInt(v) | ColumnData::Timestamp(v) => v.insert(at, 0),
        ColumnData::Float(v) => v.insert(at, 0.0),
        ColumnData::Double(v) => v.insert(at, 0.0),
        ColumnData::Decimal(v) => v.insert(at, 0),
        ColumnData::String(v) => v.insert(at, Arc::from("")),
        ColumnData::Bytes(v) => v.insert(at, Arc::from([])),
        ColumnData::Interval(v) => v.insert(at, Interval::default()),
        ColumnData::Nested(v) => v.insert(at, Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_keep_their_states() {
        let mut c = Column::new(&DataType::Double);
        c.push(&Value::double(1.0));
        assert!(c.states().is_empty());
        c.insert(0, &Value::Null);
        c.push(&Value::Error(ErrorReason::Overflow));
        c.insert(2, &Value::double(-0.0));
        let got: Vec<Value> = c.iter().collect();
        let want = vec![
            Value::Null,
            Value::double(1.0),
            Value::double(0.0),
            Value::Error(ErrorReason::Overflow),
        ];
        assert_eq!(got, want);
        assert_eq!(
            c.gather(&[3, 1]).iter().collect::<Vec<_>>(),
            vec![want[3].clone(), want[1].clone()]
        );
        assert_eq!(
            c.gather_optional(&[3, NO_SLOT, 1])
                .iter()
                .collect::<Vec<_>>(),
            vec![want[3].clone(), Value::Null, want[1].clone()]
        );
        let mut missing = c.gather(&[1]);
        missing.push_missing(ErrorReason::Overflow.code());
        missing.push_missing(SLOT_NULL);
        assert_eq!(
            missing.iter().collect::<Vec<_>>(),
            vec![want[1].clone(), want[3].clone(), Value::Null]
        );
        let mut placed = Column::with_room(&DataType::Double, 4);
        placed.put(&[3, 0], c.gather(&[1, 0]));
        placed.put(&[1, 2], c.gather(&[3, 2]));
        let in_places = [&want[0], &want[3], &want[2], &want[1]].map(Value::clone);
        assert_eq!(placed.iter().collect::<Vec<_>>(), in_places);
        let tail = c.split_off(1);
        assert_eq!((c.len(), tail.len()), (1, 3));
        let mut whole = Column::from_values(&DataType::Double, &[Value::double(7.0)]);
        whole.append(c);
        whole.append(tail);
        whole.append(Column::from_values(
            &DataType::Double,
            &[Value::double(8.0)],
        ));
        let mut joined = vec![Value::double(7.0)];
        joined.extend(want);
        joined.push(Value::double(8.0));
        assert_eq!(whole.iter().collect::<Vec<_>>(), joined);
    }
}
