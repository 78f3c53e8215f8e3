//! Rows of views that stay as they are until their key gets an event: as words, for who keeps them.
//!
//! A view that has columns of its trigger as they are answers with an event of the key. If that is
//! the newest of all that the store has, known and not contested, it is the answer at every later
//! time, too, and at every cut in between. The age that a view allows is judged when a row is
//! taken, not when it is made.
//!
//! Owns what the words mean. That a row is taken only while its key has had no event since is up
//! to who keeps it.

use std::sync::Arc;

use evenkeel_types::{
    Column, ColumnData, DataType, Interval, SLOT_NULL, SLOT_PRESENT, Status, Value,
};

use crate::columns::ViewColumns;
use crate::plan::{CompiledBody, CompiledSide, CompiledView, IndexId, Plan};
use crate::row::{Found, status_of};

/// In the first word of a view: the key has no row.
const NOTHING: u64 = 0;
/// In the first word of a view: every feature has a value.
const ALL_PRESENT: u64 = 1;
/// In the first word of a view: some features are NULL or ERROR.
const SOME_PRESENT: u64 = 2;

/// What rows of some features of some views of one entity are like: a word with the time from
/// which on a row is the answer, then of each view whether there is a row, its time, the states of
/// its features, eight in a word, and their values.
#[derive(Clone, Debug)]
pub struct LastingFormat {
    views: Vec<LastingView>,
    words: usize,
    values: usize,
}

/// One view of a [`LastingFormat`].
#[derive(Clone, Debug)]
pub struct LastingView {
    view: Arc<CompiledView>,
    index: IndexId,
    /// Where its words begin.
    at: usize,
    features: Vec<Slot>,
}

/// Where the value of a feature is.
#[derive(Clone, Debug)]
struct Slot {
    /// The index's column.
    column: usize,
    data_type: DataType,
    /// The number of the word; of the value, if the type is not kept as a word.
    place: usize,
}

/// A row as it is kept.
#[derive(Clone, Copy, Debug)]
pub struct LastingRow<'a> {
    /// As many as [`LastingFormat::words`].
    pub words: &'a [u64],
    /// As many as [`LastingFormat::values`].
    pub values: &'a [Value],
}

impl LastingRow<'_> {
    /// The time from which on it is the answer.
    pub fn since(&self) -> i64 {
        self.words[0].cast_signed()
    }
}

/// Whether a value of a type is kept as a word.
fn is_word(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int
            | DataType::BigInt
            | DataType::Float
            | DataType::Double
            | DataType::Date
            | DataType::Timestamp
    )
}

impl CompiledView {
    /// The trigger, and the index's column of each feature, if its rows can last.
    pub(crate) fn as_lasting(&self) -> Option<(&CompiledSide, &[usize])> {
        let CompiledBody::Row(body) = &self.body else {
            return None;
        };
        let plain = body.as_plain()?;
        plain.0.is_lasting.then_some(plain)
    }

    fn allowed_age(&self) -> Option<Interval> {
        match &self.body {
            CompiledBody::Row(body) => body.ttl,
            _ => None,
        }
    }
}

impl LastingFormat {
    /// The format of features of views, by their numbers; none if rows of one of them do not
    /// last.
    pub fn new<'a>(
        plan: &Plan,
        views: impl IntoIterator<Item = (&'a Arc<CompiledView>, &'a [usize])>,
    ) -> Option<Self> {
        let mut format = LastingFormat {
            views: Vec::new(),
            words: 1,
            values: 0,
        };
        for (view, features) in views {
            let (side, columns) = view.as_lasting()?;
            let types = plan.indexes()[side.index.0].types();
            let at = format.words;
            format.words += 2 + features.len().div_ceil(8);
            let slot = |&feature: &usize| {
                let column = columns[feature];
                let data_type = types[column].clone();
                let next = match is_word(&data_type) {
                    true => &mut format.words,
                    false => &mut format.values,
                };
                let place = *next;
                *next += 1;
                Slot {
                    column,
                    data_type,
                    place,
                }
            };
            let features = features.iter().map(slot).collect();
            format.views.push(LastingView {
                view: Arc::clone(view),
                index: side.index,
                at,
                features,
            });
        }
        Some(format)
    }

    /// The views, in order.
    pub fn views(&self) -> &[LastingView] {
        &self.views
    }

    /// How many words a row has.
    pub fn words(&self) -> usize {
        self.words
    }

    /// How many values a row has that are no words.
    pub fn values(&self) -> usize {
        self.values
    }

    /// Words and values of so many rows that nothing is in yet.
    pub fn room(&self, rows: usize) -> (Vec<u64>, Vec<Value>) {
        let mut words = vec![0; rows * self.words];
        for row in words.chunks_mut(self.words) {
            row[0] = i64::MIN.cast_unsigned();
        }
        (words, vec![Value::Null; rows * self.values])
    }
}

impl LastingView {
    /// The view.
    pub fn view(&self) -> &Arc<CompiledView> {
        &self.view
    }

    /// The index whose events its rows are made of.
    pub fn index(&self) -> IndexId {
        self.index
    }

    /// Puts the row of a key into its place; `value` has the index's columns.
    pub(crate) fn put(
        &self,
        found: Option<(i64, &dyn Fn(usize) -> Value)>,
        words: &mut [u64],
        values: &mut [Value],
    ) {
        let Some((time, value)) = found else {
            words[self.at] = NOTHING;
            return;
        };
        words[self.at] = ALL_PRESENT;
        words[self.at + 1] = time.cast_unsigned();
        for (number, slot) in self.features.iter().enumerate() {
            let value = value(slot.column);
            let state = match &value {
                Value::Null => SLOT_NULL,
                Value::Error(reason) => reason.code(),
                _ => SLOT_PRESENT,
            };
            if state != SLOT_PRESENT {
                words[self.at] = SOME_PRESENT;
            }
            words[self.at + 2 + number / 8] |= u64::from(state) << (number % 8 * 8);
            match is_word(&slot.data_type) {
                true => words[slot.place] = word(&value),
                false => values[slot.place] = value,
            }
        }
    }

    /// How many features there are.
    pub fn width(&self) -> usize {
        self.features.len()
    }

    /// Whether a row has one of this view at a time that it is not after, and its time.
    pub fn found(&self, row: &LastingRow<'_>, t: i64) -> (Found, Option<i64>) {
        let time = row.words[self.at + 1].cast_signed();
        match row.words[self.at] {
            NOTHING => (Found::Nothing, None),
            _ if self.is_too_old(time, t) => (Found::TooOld, Some(time)),
            _ => (Found::Row, Some(time)),
        }
    }

    fn is_too_old(&self, time: i64, t: i64) -> bool {
        self.view
            .allowed_age()
            .is_some_and(|age| time <= age.before(t))
    }

    /// The status of a feature in a row, by what was [found](Self::found) there.
    pub fn status(&self, row: &LastingRow<'_>, found: Found, feature: usize) -> Status {
        match (found, row.words[self.at]) {
            (Found::Row, ALL_PRESENT) => Status::Present,
            _ => status_of(found, self.state(row, feature)),
        }
    }

    /// The value of a feature in a row whose status is PRESENT.
    pub fn value(&self, row: &LastingRow<'_>, feature: usize) -> Value {
        self.features[feature].value(row)
    }

    fn state(&self, row: &LastingRow<'_>, feature: usize) -> u8 {
        row.words[self.at + 2 + feature / 8].to_le_bytes()[feature % 8]
    }

    /// Appends rows to columns of the same features, read at a time that none of them is after.
    pub fn append(&self, rows: &[LastingRow<'_>], t: i64, columns: &mut ViewColumns) {
        let heads = rows.iter().map(|row| self.found(row, t));
        let heads: Vec<(Found, Option<i64>)> = heads.collect();
        let is_whole = |(row, head): (&LastingRow<'_>, &(Found, Option<i64>))| {
            row.words[self.at] == ALL_PRESENT && head.0 == Found::Row
        };
        let are_whole = rows.iter().zip(&heads).all(is_whole);
        let column = |(number, slot): (usize, &Slot)| {
            let state = |(row, head): (&LastingRow<'_>, &(Found, Option<i64>))| match head.0 {
                Found::Row => self.state(row, number),
                _ => SLOT_NULL,
            };
            let states = match are_whole {
                true => Vec::new(),
                false => rows.iter().zip(&heads).map(state).collect(),
            };
            slot.column(rows, states)
        };
        let values: Vec<Column> = self.features.iter().enumerate().map(column).collect();
        columns.append(values, heads);
    }
}

/// What was put into the lower half of a word.
fn half(word: u64) -> u32 {
    word as u32
}

impl Slot {
    /// The value, which is present.
    fn value(&self, row: &LastingRow<'_>) -> Value {
        let word = || row.words[self.place];
        match self.data_type {
            DataType::Boolean => Value::Boolean(word() != 0),
            DataType::Int => Value::Int(half(word()).cast_signed()),
            DataType::BigInt => Value::BigInt(word().cast_signed()),
            DataType::Float => Value::Float(f32::from_bits(half(word()))),
            DataType::Double => Value::Double(f64::from_bits(word())),
            DataType::Date => Value::Date(half(word()).cast_signed()),
            DataType::Timestamp => Value::Timestamp(word().cast_signed()),
            _ => row.values[self.place].clone(),
        }
    }

    /// A column of the values; `states` is empty if all are present.
    fn column(&self, rows: &[LastingRow<'_>], mut states: Vec<u8>) -> Column {
        if states.iter().all(|state| *state == SLOT_PRESENT) {
            states.clear();
        }
        // Nothing is below what is missing.
        let word = |(number, row): (usize, &LastingRow<'_>)| match states.get(number) {
            None | Some(&SLOT_PRESENT) => row.words[self.place],
            Some(_) => 0,
        };
        let words = rows.iter().enumerate().map(word);
        let data = match self.data_type {
            DataType::Boolean => ColumnData::Boolean(words.map(|word| word != 0).collect()),
            DataType::Int => ColumnData::Int(words.map(|word| half(word).cast_signed()).collect()),
            DataType::BigInt => ColumnData::BigInt(words.map(u64::cast_signed).collect()),
            DataType::Float => {
                ColumnData::Float(words.map(|word| f32::from_bits(half(word))).collect())
            }
            DataType::Double => ColumnData::Double(words.map(f64::from_bits).collect()),
            DataType::Date => {
                ColumnData::Date(words.map(|word| half(word).cast_signed()).collect())
            }
            DataType::Timestamp => ColumnData::Timestamp(words.map(u64::cast_signed).collect()),
            _ => {
                let mut column = Column::new(&self.data_type);
                for (number, row) in rows.iter().enumerate() {
                    match states.get(number).copied().unwrap_or(SLOT_PRESENT) {
                        SLOT_PRESENT => column.push(&row.values[self.place]),
                        state => column.push_missing(state),
                    }
                }
                return column;
            }
        };
        Column::from_parts(data, states)
    }
}

/// A value as a word; of one that is missing it says nothing.
fn word(value: &Value) -> u64 {
    match value {
        Value::Boolean(is_so) => u64::from(*is_so),
        Value::Int(number) | Value::Date(number) => u64::from(number.cast_unsigned()),
        Value::BigInt(number) | Value::Timestamp(number) => number.cast_unsigned(),
        Value::Float(number) => u64::from(number.to_bits()),
        Value::Double(number) => number.to_bits(),
        _ => 0,
    }
}
