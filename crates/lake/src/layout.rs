//! What a row of a table is made of, and the table's schema.
//!
//! Invariant: which columns a source's table has follows from the source's schema version alone.

use std::sync::Arc;

use arrow_schema::{Field as ArrowField, Schema as ArrowSchema};
use evenkeel_connect::arrow_type_of;
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{DataType, Field};
use serde_json::{Value as Json, json};

use crate::error::LakeError;
use crate::names;

/// The version of what `docs/format/lake.md` says.
pub(crate) const FORMAT: u32 = 1;

/// The columns that every table begins with, by their place.
pub(crate) mod own {
    pub(crate) const EVENT_TIME: usize = 0;
    pub(crate) const VISIBLE_AT: usize = 1;
    pub(crate) const OPERATION: usize = 2;
    pub(crate) const PARTITION: usize = 3;
    pub(crate) const OFFSET: usize = 4;
    pub(crate) const SEQUENCE: usize = 5;
    pub(crate) const LOGGED_AT: usize = 6;
    pub(crate) const KNOWN_AT: usize = 7;
    pub(crate) const REVISION: usize = 8;
    pub(crate) const BUCKET: usize = 9;
    pub(crate) const COLUMNS: usize = 10;
    pub(crate) const ORIGIN_KIND: usize = 11;
    pub(crate) const ORIGIN: usize = 12;
    pub(crate) const ORIGIN_PARTITION: usize = 13;
    pub(crate) const ORIGIN_NUMBER: usize = 14;
    pub(crate) const EXACT: usize = 15;
}

/// Their names and types.
const OWN_COLUMNS: [(&str, DataType); 16] = [
    ("_event_time", DataType::Timestamp),
    ("_visible_at", DataType::Timestamp),
    ("_operation", DataType::String),
    ("_partition", DataType::BigInt),
    ("_offset", DataType::BigInt),
    ("_sequence", DataType::BigInt),
    ("_logged_at", DataType::Timestamp),
    ("_known_at", DataType::Timestamp),
    ("_revision", DataType::BigInt),
    ("_bucket", DataType::Int),
    ("_columns", DataType::Int),
    ("_origin_kind", DataType::String),
    ("_origin", DataType::String),
    ("_origin_partition", DataType::BigInt),
    ("_origin_number", DataType::BigInt),
    ("_exact", DataType::Bytes),
];

/// The columns of a table at one version of its source's schema.
#[derive(Debug)]
pub(crate) struct Layout {
    /// The version.
    pub(crate) schema_version: u32,
    /// The source's stored columns at that version.
    pub(crate) stored: Vec<Field>,
    /// All columns: ours, then the stored ones, by their names in the table. Vectors are arrays.
    pub(crate) fields: Vec<Field>,
    /// The same for arrow.
    pub(crate) arrow: Arc<ArrowSchema>,
}

impl Layout {
    /// The layout of a source's table at a version of its schema.
    ///
    /// # Errors
    /// If the source has no such version.
    pub(crate) fn of(source: &SourceDef, schema_version: u32) -> Result<Arc<Self>, LakeError> {
        let stored = source.schema.columns(schema_version);
        let stored = stored.ok_or_else(|| LakeError::NotOurs {
            table: source.name.clone(),
            reason: format!(
                "it has schema version {schema_version} of the source, which has {}",
                source.schema.version()
            ),
        })?;
        let names = names::columns(stored.iter().map(|f| f.name.as_str()));
        let mut fields: Vec<Field> = OWN_COLUMNS
            .iter()
            .map(|(name, data_type)| Field::new(*name, data_type.clone()))
            .collect();
        fields.extend(
            names
                .into_iter()
                .zip(stored)
                .map(|(name, field)| Field::new(name, kept_as(&field.data_type))),
        );
        let arrow = fields
            .iter()
            .map(|field| {
                let data_type = arrow_type_of(&field.data_type);
                let data_type = data_type.ok_or_else(|| LakeError::Column {
                    table: source.name.clone(),
                    column: field.name.clone(),
                    reason: format!("no table holds a {}", field.data_type),
                })?;
                Ok(ArrowField::new(&field.name, data_type, true))
            })
            .collect::<Result<Vec<_>, LakeError>>()?;
        Ok(Arc::new(Layout {
            schema_version,
            stored: stored.to_vec(),
            fields,
            arrow: Arc::new(ArrowSchema::new(arrow)),
        }))
    }

    /// The schema in Delta's JSON.
    pub(crate) fn delta_schema(&self) -> Json {
        let declared =
            std::iter::repeat_n(None, OWN_COLUMNS.len()).chain(self.stored.iter().map(Some));
        let fields: Vec<Json> = self
            .fields
            .iter()
            .zip(declared)
            .map(|(field, declared)| {
                let metadata = match declared {
                    None => json!({}),
                    Some(declared) => json!({
                        "evenkeel.column": declared.name,
                        "evenkeel.type": declared.data_type.to_string(),
                    }),
                };
                json!({
                    "name": field.name,
                    "type": delta_type(&field.data_type),
                    "nullable": true,
                    "metadata": metadata,
                })
            })
            .collect();
        json!({ "type": "struct", "fields": fields })
    }
}

/// The place of a stored column in a table.
pub(crate) fn place_of(stored: usize) -> usize {
    OWN_COLUMNS.len() + stored
}

/// Delta has no arrays of a fixed length.
fn kept_as(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Vector { element, .. } => DataType::Array(element.clone()),
        other => other.clone(),
    }
}

fn delta_type(data_type: &DataType) -> Json {
    match data_type {
        DataType::Boolean => json!("boolean"),
        DataType::Int => json!("integer"),
        DataType::BigInt => json!("long"),
        DataType::Float => json!("float"),
        DataType::Double => json!("double"),
        DataType::Decimal { precision, scale } => json!(format!("decimal({precision},{scale})")),
        DataType::String => json!("string"),
        DataType::Bytes => json!("binary"),
        DataType::Date => json!("date"),
        DataType::Timestamp => json!("timestamp"),
        DataType::Array(element) | DataType::Vector { element, .. } => json!({
            "type": "array",
            "elementType": delta_type(element),
            "containsNull": true,
        }),
        DataType::Struct(fields) => json!({
            "type": "struct",
            "fields": fields.iter().map(|field| json!({
                "name": field.name,
                "type": delta_type(&field.data_type),
                "nullable": true,
                "metadata": {},
            })).collect::<Vec<_>>(),
        }),
        // No column stores them.
        DataType::Interval | DataType::Null => json!("void"),
    }
}
