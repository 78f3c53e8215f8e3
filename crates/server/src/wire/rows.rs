//! The rows of a table as JSON: what a query answers.

use evenkeel_connect::{ConnectError, Table, TableType};
use evenkeel_types::{Column, DataType};
use serde_json::{Map, Value as Json, json};

use super::values;

/// Names, types and rows; a row is an object with its columns in their order.
///
/// # Errors
/// If a value is outside of its column's type.
pub fn rows(table: &Table) -> Result<Json, ConnectError> {
    let mut columns: Vec<(String, DataType, Column)> = Vec::new();
    for (name, data_type) in table.fields() {
        // Columns of other types can only be passed on.
        if let TableType::Known(data_type) = data_type {
            columns.push((name.to_owned(), data_type, table.column(name)?));
        }
    }
    let types = columns
        .iter()
        .map(|(name, data_type, _)| json!({"name": name, "type": data_type.to_string()}));
    let row = |row: usize| -> Json {
        let cells = columns.iter().map(|(name, data_type, column)| {
            let value = values::value(data_type, &column.get(row));
            (name.clone(), value)
        });
        Json::Object(cells.collect::<Map<_, _>>())
    };
    Ok(json!({
        "columns": types.collect::<Vec<_>>(),
        "rows": (0..table.len()).map(row).collect::<Vec<_>>(),
    }))
}
