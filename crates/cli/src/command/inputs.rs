//! From texts that were typed to typed inputs of a service.

use std::sync::Arc;

use evenkeel_connect::{Table, text_to_value, value_to_json};
use evenkeel_engine::{DefinitionFile, Engine, feature_list_of};
use evenkeel_types::definition::{Catalog, ServiceDef};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{Cut, EventTime, Field, Value, VisibleAt, Zone};
use serde_json::Value as Json;

use crate::arguments::{Moment, Pairs};
use crate::clock;
use crate::failure::Failure;

/// A list of features as a service; its mistakes are underlined in the items.
pub(super) fn feature_list(
    catalog: &Catalog,
    items: &[String],
) -> Result<Arc<ServiceDef>, Failure> {
    feature_list_of(catalog, items).map_err(|error| {
        let texts: Vec<DefinitionFile> = items
            .iter()
            .map(|item| DefinitionFile {
                name: item.clone(),
                text: item.clone(),
            })
            .collect();
        Failure::engine_in(error, &texts, "the list of features")
    })
}

/// When to read, and what was visible then.
pub(super) struct Known {
    pub(super) as_of: EventTime,
    pub(super) known_at: Option<VisibleAt>,
}

/// Reads `--cut`.
pub(super) fn cut(moment: &Moment, engine: &Engine) -> Result<Option<Cut>, Failure> {
    let cut = moment.cut.as_deref().map(|text| engine.parse_cut(text));
    Ok(cut.transpose()?)
}

/// Reads `--as-of` and `--known-at`.
pub(super) fn known(moment: &Moment) -> Result<Known, Failure> {
    let time = |option: &str, text: &str| {
        parse_timestamp(text, &Zone::utc())
            .map_err(|error| Failure::request(format!("--{option}: {error}")))
    };
    let as_of = match &moment.as_of {
        Some(text) => time("as-of", text)?,
        None => clock::now_micros(),
    };
    let known_at = moment
        .known_at
        .as_deref()
        .map(|text| time("known-at", text))
        .transpose()?;
    Ok(Known {
        as_of: EventTime(as_of),
        known_at: known_at.map(VisibleAt),
    })
}

/// One row of inputs: NULL where nothing is given.
pub(super) fn row(
    inputs: &[Field],
    entity: &Pairs,
    request: Option<&Pairs>,
) -> Result<Vec<Value>, Failure> {
    let mut row = vec![Value::Null; inputs.len()];
    for (name, text) in request.iter().flat_map(|pairs| &pairs.0).chain(&entity.0) {
        let Some(at) = inputs.iter().position(|field| field.name == *name) else {
            return Err(Failure::request(format!("`{name}` is not asked for"))
                .with_hint(format!("give {}", list(inputs))));
        };
        row[at] = match text {
            None => Value::Null,
            Some(text) => {
                text_to_value(&inputs[at].data_type, text, &Zone::utc()).map_err(|error| {
                    Failure::request(format!("`{name}` is {}: {error}", inputs[at].data_type))
                })?
            }
        };
    }
    Ok(row)
}

/// What was typed of a row, by name.
pub(super) fn object(fields: &[Field], row: &[Value], typed: &Pairs) -> Json {
    let fields = fields.iter().zip(row);
    let fields = fields.filter(|(field, _)| typed.names().any(|name| name == field.name));
    let members = fields.map(|(f, value)| (f.name.clone(), value_to_json(&f.data_type, value)));
    Json::Object(members.collect())
}

/// The rows of a file; inputs that it has no column for are NULL.
pub(super) fn rows(inputs: &[Field], table: &Table) -> Result<Vec<Vec<Value>>, Failure> {
    let mut columns = Vec::with_capacity(inputs.len());
    for field in inputs {
        columns.push(if table.has_column(&field.name) {
            Some(table.column_as(&field.name, &field.data_type)?)
        } else {
            None
        });
    }
    if columns.iter().all(Option::is_none) {
        return Err(
            Failure::request("the file has none of the columns that are asked for")
                .with_hint(format!("name them {}", list(inputs))),
        );
    }
    Ok((0..table.len())
        .map(|row| {
            let value = |c: &Option<evenkeel_types::Column>| {
                c.as_ref().map_or(Value::Null, |column| column.get(row))
            };
            columns.iter().map(value).collect()
        })
        .collect())
}

/// Inputs that nobody gave, which are NULL in every row.
pub(super) fn not_given<'a>(inputs: &'a [Field], rows: &[Vec<Value>]) -> Vec<&'a str> {
    let given = |i: usize| {
        rows.iter()
            .any(|row| row.get(i).is_some_and(|v| !v.is_null()))
    };
    let missing = inputs.iter().enumerate().filter(|(i, _)| !given(*i));
    missing.map(|(_, field)| field.name.as_str()).collect()
}

fn list(inputs: &[Field]) -> String {
    inputs
        .iter()
        .map(|field| format!("`{}` ({})", field.name, field.data_type))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use evenkeel_types::DataType;

    use super::*;

    fn inputs() -> Vec<Field> {
        vec![
            Field::new("origin", DataType::String),
            Field::new("distance", DataType::Double),
        ]
    }

    #[test]
    fn inputs_are_typed_and_in_order() {
        let entity = "distance=2.5,origin=SEA".parse().unwrap();
        assert_eq!(
            row(&inputs(), &entity, None).unwrap(),
            [Value::from("SEA"), Value::from(2.5)]
        );
        let request = "distance=7,origin=X".parse().unwrap();
        let row = row(&inputs(), &"origin=PDX".parse().unwrap(), Some(&request)).unwrap();
        assert_eq!(row, [Value::from("PDX"), Value::from(7.0)]);
    }

    #[test]
    fn what_nobody_gave_is_named() {
        let rows = [
            vec![Value::from("SEA"), Value::Null],
            vec![Value::Null, Value::Null],
        ];
        assert_eq!(not_given(&inputs(), &rows), ["distance"]);
    }
}
