//! Rows of Python's objects: lists of dictionaries.

use evenkeel_connect::{ColumnSpec, Table, nearest};
use evenkeel_engine::push::Undecoded;
use evenkeel_types::{Column, DataType, Field, Value, Zone};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::Failure;
use crate::native::{Classes, Native};

/// A row's values, or the column and the reason why there are none.
pub(crate) type Row = Result<Vec<Value>, (Option<String>, String)>;

/// Rows in declared columns; a column that a row does not name is NULL.
pub(crate) fn declared<'py>(
    py: Python<'py>,
    rows: &[Bound<'py, PyDict>],
    columns: &[ColumnSpec],
    zone: &Zone,
) -> PyResult<Vec<Row>> {
    let classes = Classes::new(py)?;
    let row = |dict: &Bound<'py, PyDict>| -> Row {
        let mut values = vec![Value::Null; columns.len()];
        for (name, object) in dict.iter() {
            let Ok(name) = name.extract::<String>() else {
                return Err((None, format!("{name} is no name of a column")));
            };
            let Some(at) = columns.iter().position(|c| c.name == name) else {
                let hint = nearest(&name, columns.iter().map(|c| c.name.as_str()));
                return Err((Some(name), format!("there is no such column{hint}")));
            };
            let value = classes
                .native(&object)
                .and_then(|native| native.value(&columns[at].data_type, zone, &classes));
            values[at] = value.map_err(|reason| (Some(name), reason))?;
        }
        Ok(values)
    };
    Ok(rows.iter().map(row).collect())
}

/// A row that is no event, with what can be said of the record.
pub(crate) fn undecoded(
    row: &Bound<'_, PyDict>,
    column: Option<&str>,
    reason: &str,
) -> PyResult<Undecoded> {
    let mut record = serde_json::Map::new();
    for (name, object) in row.iter() {
        let json = if object.is_none() {
            serde_json::Value::Null
        } else {
            object.str()?.to_string().into()
        };
        record.insert(name.str()?.to_string(), json);
    }
    Ok(Undecoded {
        reason: match column {
            Some(column) => format!("column `{column}`: {reason}"),
            None => reason.to_owned(),
        },
        record: serde_json::Value::Object(record).to_string().into_bytes(),
    })
}

/// A table of rows in the types that their objects have: columns in the order in which they
/// come up first, NULL where a row does not name one.
pub(crate) fn table<'py>(py: Python<'py>, rows: &[Bound<'py, PyDict>]) -> PyResult<Table> {
    let classes = Classes::new(py)?;
    let mut names: Vec<String> = Vec::new();
    for row in rows {
        for name in row.keys() {
            let name: String = name.extract()?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let mut table = Table::of_rows(rows.len());
    for name in names {
        let mut column = Vec::with_capacity(rows.len());
        for (i, row) in (0u64..).zip(rows) {
            let native = match row.get_item(&name)? {
                None => Native::Null,
                Some(object) => classes
                    .native(&object)
                    .map_err(|reason| Failure::in_row(i, Some(name.clone()), &reason))?,
            };
            column.push(native);
        }
        append(&mut table, name, &column, &classes)?;
    }
    Ok(table)
}

fn append<'py>(
    table: &mut Table,
    name: String,
    natives: &[Native<'py>],
    classes: &Classes<'py>,
) -> Result<(), Failure> {
    let wrong = |row: usize, reason: &str| Failure::in_row(row as u64, Some(name.clone()), reason);
    let data_type = type_of(natives).map_err(|(row, reason)| wrong(row, &reason))?;
    let local = |native: &&Native<'py>| {
        matches!(
            native,
            Native::Time {
                is_aware: false,
                ..
            }
        )
    };
    let is_local = natives.iter().find(|n| !matches!(n, Native::Null));
    let is_local = is_local.as_ref().is_some_and(local);
    let mut values = Vec::with_capacity(natives.len());
    for (row, native) in natives.iter().enumerate() {
        if matches!(native, Native::Time { is_aware, .. } if *is_aware == is_local) {
            return Err(wrong(row, "times with and without a zone in one column"));
        }
        let value = native.value(&data_type, &Zone::utc(), classes);
        values.push(value.map_err(|reason| wrong(row, &reason))?);
    }
    if is_local {
        let micros = values.iter().map(|value| match value {
            Value::Timestamp(micros) => Some(*micros),
            _ => None,
        });
        return Ok(table.append_local_times(&name, micros.collect())?);
    }
    let column = Column::from_values(&data_type, &values);
    Ok(table.append(Field::new(name, data_type), &column)?)
}

/// The one type that holds all objects of a column; the row that has another.
fn type_of(natives: &[Native<'_>]) -> Result<DataType, (usize, String)> {
    let mut common: Option<DataType> = None;
    for (row, native) in natives.iter().enumerate() {
        let found = native.natural_type().map_err(|reason| (row, reason))?;
        common = match (common, found) {
            (common, None) => common,
            (None, found) => found,
            (Some(a), Some(b)) if a == b => Some(a),
            (
                Some(DataType::BigInt | DataType::Double),
                Some(DataType::BigInt | DataType::Double),
            ) => Some(DataType::Double),
            (Some(a), Some(b)) => return Err((row, format!("{b} in a column of {a}"))),
        };
    }
    Ok(common.unwrap_or(DataType::String))
}
