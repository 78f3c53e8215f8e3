//! The second pass: what the values of the columns look like.

use std::hash::{DefaultHasher, Hasher};

use evenkeel_types::codec::encode_value;
use evenkeel_types::time::{TIME_MAX, parse_timestamp};
use evenkeel_types::{Column, ColumnData, DataType, Field, SLOT_PRESENT, Value, Zone};
use rustc_hash::FxHashSet;

use super::{EventTimeGuess, InferredColumn};
use crate::error::ConnectError;
use crate::file_set::SourceFile;
use crate::options::{ColumnSpec, FileOptions, MissingColumns, TimeUnit};
use crate::value::{VALUE_TEXT_MAX, time_from_count, value_to_text};

/// Rows beyond which it is not looked for values that occur twice.
pub const UNIQUE_VALUES_MAX: usize = 1 << 24;

/// What the rows of a file are.
pub(super) struct Measured {
    pub(super) columns: Vec<MeasuredColumn>,
    pub(super) rows: u64,
    pub(super) rejected: u64,
    pub(super) complete: bool,
}

/// A column with the numbers that the guesses need.
pub(super) struct MeasuredColumn {
    pub(super) column: InferredColumn,
    /// Least and greatest value of a column of whole numbers.
    range: Option<(i64, i64)>,
}

pub(super) fn measure(
    file: &SourceFile,
    options: &FileOptions,
    rows_max: Option<u64>,
    fields: &[Field],
) -> Result<Measured, ConnectError> {
    let specs: Vec<ColumnSpec> = fields
        .iter()
        .map(|f| ColumnSpec::new(&f.name, f.data_type.clone()))
        .collect();
    let options = FileOptions {
        missing_columns: MissingColumns::Null,
        ..options.clone()
    };
    let rows_max = rows_max.unwrap_or(u64::MAX);
    let mut observers: Vec<Observer> = fields.iter().map(Observer::new).collect();
    let (mut rows, mut rejected) = (0, 0);
    let mut complete = true;
    for batch in file.read(&specs, &options)? {
        let batch = batch?;
        let length = (batch.rows.len() + batch.rejected.len()) as u64;
        // The rows of a batch up to the last that counts.
        let last = batch.rows.partition_point(|row| *row < rows_max);
        let wrong = batch.rejected.partition_point(|r| r.row < rows_max);
        for (observer, column) in observers.iter_mut().zip(&batch.columns) {
            observer.see(column, last);
        }
        rows += (last + wrong) as u64;
        rejected += wrong as u64;
        if (last + wrong) as u64 != length {
            complete = false;
            break;
        }
    }
    Ok(Measured {
        columns: observers.into_iter().map(Observer::finish).collect(),
        rows,
        rejected,
        complete,
    })
}

/// Watches one column go by.
struct Observer {
    field: Field,
    nulls: u64,
    /// Hashes of the values, while no value occurred twice.
    seen: Option<FxHashSet<u64>>,
    twice: bool,
    whole: bool,
    any: bool,
    range: Option<(i64, i64)>,
    example: Option<String>,
    bytes: Vec<u8>,
}

impl Observer {
    fn new(field: &Field) -> Self {
        Observer {
            seen: field.data_type.is_key().then(FxHashSet::default),
            whole: true,
            field: field.clone(),
            nulls: 0,
            twice: false,
            any: false,
            range: None,
            example: None,
            bytes: Vec::new(),
        }
    }

    fn see(&mut self, column: &Column, rows: usize) {
        for i in 0..rows {
            if column.state(i) != SLOT_PRESENT {
                self.nulls += 1;
                continue;
            }
            self.any = true;
            if self.example.is_none() {
                self.example = value_to_text(&self.field.data_type, &column.get(i))
                    .map(|text| text.chars().take(VALUE_TEXT_MAX).collect());
            }
            let number = match column.data() {
                ColumnData::Int(v) => Some(i64::from(v[i])),
                ColumnData::BigInt(v) => Some(v[i]),
                ColumnData::Timestamp(v) => Some(v[i]),
                ColumnData::Float(v) => self.whole_number(f64::from(v[i])),
                ColumnData::Double(v) => self.whole_number(v[i]),
                _ => None,
            };
            if let Some(x) = number {
                let (least, greatest) = self.range.unwrap_or((x, x));
                self.range = Some((least.min(x), greatest.max(x)));
            }
            if self.seen.is_some() {
                let hash = match number {
                    Some(x) => x.cast_unsigned(),
                    None => self.hash(&column.get(i)),
                };
                self.note(hash);
            }
        }
    }

    fn whole_number(&mut self, x: f64) -> Option<i64> {
        let whole = x.trunc() == x && x.abs() < TIME_MAX as f64;
        self.whole &= whole;
        // In range, and without a fraction.
        whole.then_some(x as i64)
    }

    fn hash(&mut self, value: &Value) -> u64 {
        self.bytes.clear();
        encode_value(value, &mut self.bytes);
        // A fixed key: the same on every run.
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.bytes);
        hasher.finish()
    }

    fn note(&mut self, hash: u64) {
        let Some(seen) = &mut self.seen else {
            return;
        };
        if !seen.insert(hash) {
            self.twice = true;
            self.seen = None;
        } else if seen.len() > UNIQUE_VALUES_MAX {
            self.seen = None;
        }
    }

    fn finish(self) -> MeasuredColumn {
        let whole = self.any && self.whole && self.field.data_type.is_float();
        MeasuredColumn {
            range: self
                .range
                .filter(|_| whole || !self.field.data_type.is_float()),
            column: InferredColumn {
                nulls: self.nulls,
                unique: if self.twice {
                    Some(false)
                } else {
                    self.seen.map(|_| self.any)
                },
                whole,
                example: self.example,
                field: self.field,
            },
        }
    }
}

/// How much a name sounds like an event's time; 0 is most, `None` not at all.
fn time_name(name: &str) -> Option<u8> {
    let name = name.to_lowercase();
    const BEST: [&str; 5] = ["event_time", "event_timestamp", "timestamp", "ts", "time"];
    if BEST.contains(&name.as_str()) {
        return Some(0);
    }
    let ends = ["_at", "_ts", "_time", "_timestamp", "datetime", "_dt"];
    if ends.iter().any(|end| name.ends_with(end)) {
        return Some(1);
    }
    let parts = ["time", "date", "epoch"];
    parts.iter().any(|part| name.contains(part)).then_some(2)
}

/// The columns that could be the event time: TIMESTAMP before DATE before numbers that count
/// from 1970 to a time between 1990 and 2100 and sound like one; then those without NULL,
/// then by name, then by position.
pub(super) fn guess_event_time(columns: &[MeasuredColumn]) -> Vec<EventTimeGuess> {
    let mut guesses: Vec<_> = columns
        .iter()
        .enumerate()
        .filter_map(|(i, measured)| {
            let column = &measured.column;
            let name = time_name(&column.field.name);
            let (kind, time_unit) = match column.field.data_type {
                DataType::Timestamp => (0, None),
                DataType::Date => (1, None),
                DataType::BigInt | DataType::Int | DataType::Double => {
                    name?;
                    (2, Some(epoch_unit(measured.range?)?))
                }
                _ => return None,
            };
            let rank = (kind, column.nulls > 0, name.unwrap_or(3), i);
            Some((
                rank,
                EventTimeGuess {
                    column: column.field.name.clone(),
                    time_unit,
                },
            ))
        })
        .collect();
    guesses.sort_by_key(|(rank, _)| *rank);
    guesses.into_iter().map(|(_, guess)| guess).collect()
}

/// The unit in which both ends of a range are times between 1990 and 2100.
fn epoch_unit(range: (i64, i64)) -> Option<TimeUnit> {
    let instant = |text: &str| parse_timestamp(text, &Zone::utc()).ok();
    let years = instant("1990-01-01")?..instant("2100-01-01")?;
    [
        TimeUnit::Seconds,
        TimeUnit::Milliseconds,
        TimeUnit::Microseconds,
    ]
    .into_iter()
    .find(|unit| {
        let within = |count: i64| time_from_count(count, *unit).is_some_and(|t| years.contains(&t));
        within(range.0) && within(range.1)
    })
}

/// The columns that could be the event id: a value in every row, each once; those that are
/// called an id first, then by position.
pub(super) fn guess_event_id(columns: &[MeasuredColumn], rows: u64) -> Vec<String> {
    let mut guesses: Vec<_> = columns
        .iter()
        .map(|measured| &measured.column)
        .enumerate()
        .filter(|(_, c)| rows > 0 && c.unique == Some(true) && c.nulls == 0)
        .filter(|(_, c)| {
            matches!(
                c.field.data_type,
                DataType::String | DataType::Int | DataType::BigInt | DataType::Bytes
            )
        })
        .map(|(i, c)| {
            let name = c.field.name.to_lowercase();
            let rank = if ["event_id", "id", "uuid"].contains(&name.as_str()) {
                0
            } else if name.ends_with("id") || name.ends_with("key") {
                1
            } else {
                2
            };
            ((rank, i), c.field.name.clone())
        })
        .collect();
    guesses.sort();
    guesses.into_iter().map(|(_, name)| name).collect()
}
