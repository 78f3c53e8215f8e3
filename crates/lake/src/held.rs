//! A column of a data file that was read: a value per row, or the one that all rows have.
//!
//! What most own columns of a table hold is the same for all rows of a file, and its statistics say
//! so: then nothing of it is decoded.

use evenkeel_types::{Column, ColumnData, DataType, Value};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

/// See the module.
#[derive(Debug)]
pub(crate) enum Held {
    Each(Column),
    Same(Value),
}

impl Held {
    /// The value of a row.
    pub(crate) fn get(&self, row: usize) -> Value {
        match self {
            Held::Each(column) => column.get(row),
            Held::Same(value) => value.clone(),
        }
    }

    /// The value that all rows have, if that is known.
    pub(crate) fn same(&self) -> Option<&Value> {
        match self {
            Held::Each(_) => None,
            Held::Same(value) => Some(value),
        }
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Held::Each(column) => column.get(row).is_null(),
            Held::Same(value) => value.is_null(),
        }
    }

    /// Whether two rows have the same value.
    pub(crate) fn is_same(&self, row: usize, other: usize) -> bool {
        match self {
            Held::Each(column) => column.get(row).same_bits(&column.get(other)),
            Held::Same(_) => true,
        }
    }

    /// A time or a number that is never NULL.
    pub(crate) fn number(&self, row: usize) -> i64 {
        match self {
            Held::Each(column) => match column.data() {
                ColumnData::Timestamp(values) | ColumnData::BigInt(values) => values[row],
                _ => unreachable!("its type is that of the layout"),
            },
            Held::Same(Value::Timestamp(x) | Value::BigInt(x)) => *x,
            // A NULL, in which it is 0 otherwise, too.
            Held::Same(_) => 0,
        }
    }

    /// The numbers of all rows, where each has its own.
    pub(crate) fn each_number(&self) -> &[i64] {
        match self {
            Held::Each(column) => match column.data() {
                ColumnData::Timestamp(values) | ColumnData::BigInt(values) => values,
                _ => unreachable!("its type is that of the layout"),
            },
            Held::Same(_) => &[],
        }
    }

    /// The numbers of some rows.
    pub(crate) fn numbers(&self, rows: &[u32]) -> Vec<i64> {
        match self {
            Held::Each(_) => {
                let each = self.each_number();
                rows.iter().map(|&row| each[row as usize]).collect()
            }
            Held::Same(_) => vec![self.number(0); rows.len()],
        }
    }
}

/// The value that a column has in all rows of some row groups, by their statistics; none where
/// they do not say it.
pub(crate) fn same_in(
    groups: &[&RowGroupMetaData],
    name: &str,
    data_type: &DataType,
) -> Option<Value> {
    let mut same: Option<Value> = None;
    for group in groups {
        let mut columns = group.columns().iter();
        let chunk = columns.find(|chunk| chunk.column_path().string() == name)?;
        let rows = u64::try_from(group.num_rows()).ok()?;
        if rows == 0 {
            continue;
        }
        let value = only_value(chunk.statistics()?, rows, data_type)?;
        match &same {
            Some(before) if *before != value => return None,
            _ => same = Some(value),
        }
    }
    same
}

fn only_value(statistics: &Statistics, rows: u64, data_type: &DataType) -> Option<Value> {
    let nulls = statistics.null_count_opt()?;
    if nulls == rows {
        return Some(Value::Null);
    }
    // Bounds of long values are cut short.
    if nulls > 0 || !statistics.min_is_exact() || !statistics.max_is_exact() {
        return None;
    }
    let (least, greatest) = (statistics.min_bytes_opt()?, statistics.max_bytes_opt()?);
    if least != greatest {
        return None;
    }
    match (statistics, data_type) {
        (Statistics::Int64(bounds), DataType::Timestamp) => {
            bounds.min_opt().map(|x| Value::Timestamp(*x))
        }
        (Statistics::Int64(bounds), DataType::BigInt) => {
            bounds.min_opt().map(|x| Value::BigInt(*x))
        }
        (Statistics::Int32(bounds), DataType::Int) => bounds.min_opt().map(|x| Value::Int(*x)),
        (Statistics::ByteArray(_), DataType::String) => {
            std::str::from_utf8(least).ok().map(Value::string)
        }
        _ => None,
    }
}
