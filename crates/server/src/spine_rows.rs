//! Rows of a spine in JSON as a table: inputs of the service have its types, times are times,
//! other columns are what their values are.

use evenkeel_connect::{Table, json_to_value};
use evenkeel_types::definition::ServiceDef;
use evenkeel_types::{Column, DataType, Field, Value, Zone};
use serde_json::{Map, Value as Json, json};

use crate::error::{ApiError, chain};

/// Columns that hold times, whatever the service asks for.
const TIMES: [&str; 2] = ["event_time", "known_at"];

/// The table. `times` are columns that the request names.
pub(crate) fn table(
    service: &ServiceDef,
    rows: &[Map<String, Json>],
    times: [Option<&str>; 2],
) -> Result<Table, ApiError> {
    let mut names: Vec<&str> = Vec::new();
    for name in rows.iter().flat_map(Map::keys) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let input = service.inputs.iter().find(|field| field.name == name);
        let data_type = match input {
            Some(field) => field.data_type.clone(),
            None if TIMES.contains(&name) || times.contains(&Some(name)) => DataType::Timestamp,
            None => natural(name, rows)?,
        };
        let mut column = Column::new(&data_type);
        for (row, fields) in rows.iter().enumerate() {
            let value = match fields.get(name) {
                None | Some(Json::Null) => Value::Null,
                Some(given) => {
                    json_to_value(&data_type, given, &Zone::utc()).map_err(|reason| {
                        ApiError::invalid(format!("`{name}`: {reason}"))
                            .at(json!({"row": row, "column": name}))
                    })?
                }
            };
            column.push(&value);
        }
        columns.push((Field::new(name, data_type), column));
    }
    if columns.is_empty() {
        return Ok(Table::of_rows(rows.len()));
    }
    Table::from_columns(columns).map_err(|error| ApiError::invalid(chain(&error)))
}

/// The type of a column that nobody declares.
fn natural(name: &str, rows: &[Map<String, Json>]) -> Result<DataType, ApiError> {
    let mut found: Option<DataType> = None;
    for (row, value) in rows.iter().enumerate() {
        let data_type = match value.get(name) {
            None | Some(Json::Null) => continue,
            Some(Json::Bool(_)) => DataType::Boolean,
            Some(Json::Number(n)) if n.is_i64() => DataType::BigInt,
            Some(Json::Number(_)) => DataType::Double,
            Some(Json::String(_)) => DataType::String,
            Some(Json::Array(_) | Json::Object(_)) => {
                return Err(ApiError::invalid(format!(
                    "`{name}`: only the service's inputs may be lists or objects"
                ))
                .at(json!({"row": row, "column": name})));
            }
        };
        found = Some(match (found, data_type) {
            (None, first) => first,
            (Some(DataType::BigInt), DataType::Double)
            | (Some(DataType::Double), DataType::BigInt) => DataType::Double,
            (Some(known), other) if known == other => known,
            (Some(known), other) => {
                return Err(ApiError::invalid(format!(
                    "`{name}` is {known} in one row and {other} in another"
                ))
                .at(json!({"row": row, "column": name})));
            }
        });
    }
    Ok(found.unwrap_or(DataType::String))
}
