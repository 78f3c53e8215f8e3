//! Tables as messages: Arrow IPC streams in memory, in and out, and their rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_buffer::Buffer;
use arrow_schema::Schema;
use evenkeel_types::{Column, Value, Zone};
use serde_json::Map;

use super::{Table, TableOptions, ipc, write};
use crate::arrow_values::slot_to_json;
use crate::batch::{RejectedRow, RowBatch};
use crate::error::ConnectError;
use crate::options::ColumnSpec;
use crate::value::ValueError;

/// What errors call a message.
const LABEL: &str = "the body";

impl Table {
    /// Reads an Arrow IPC stream from memory; its compressed buffers may unpack to so many
    /// bytes in all.
    ///
    /// # Errors
    /// If it is damaged, unpacks to more, or has two columns of one name.
    pub fn from_stream(bytes: Vec<u8>, unpacked_bytes_max: u64) -> Result<Table, ConnectError> {
        let path = Path::new(LABEL);
        let contents = ipc::stream(path, Buffer::from_vec(bytes), unpacked_bytes_max)?;
        Table::of_contents(path, contents, &TableOptions::default())
    }

    /// The table as an Arrow IPC stream.
    ///
    /// # Errors
    /// If a column has no arrow type.
    pub fn to_stream(&self) -> Result<Vec<u8>, ConnectError> {
        write::stream(self)
    }

    /// The metadata of the table's schema.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let metadata = self.schema.metadata().iter();
        metadata.map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// The table with this metadata in its schema.
    pub fn with_metadata(mut self, metadata: BTreeMap<String, String>) -> Table {
        let fields = self.schema.fields().clone();
        let metadata = metadata.into_iter().collect();
        self.schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        self
    }

    /// The rows in declared columns, found by name; a column that the table does not have is
    /// NULL. A row with a value that does not fit is rejected, with its record.
    ///
    /// # Errors
    /// If the table has a column that is not declared, or a column's type is not read as the
    /// declared one.
    pub fn rows(&self, columns: &[ColumnSpec], zone: &Zone) -> Result<RowBatch, ConnectError> {
        for column in &self.columns {
            if columns.iter().all(|spec| spec.name != column.name()) {
                return Err(ConnectError::NotAsked {
                    table: self.label.clone(),
                    column: column.name().to_owned(),
                    hint: crate::nearest(
                        column.name(),
                        columns.iter().map(|spec| spec.name.as_str()),
                    ),
                });
            }
        }
        let options = TableOptions {
            zone: zone.clone(),
            ..self.options.clone()
        };
        let mut wrong: BTreeMap<usize, (usize, ValueError)> = BTreeMap::new();
        let mut values = Vec::with_capacity(columns.len());
        for (i, spec) in columns.iter().enumerate() {
            let found = self.columns.iter().find(|c| c.name() == spec.name);
            let Some(column) = found else {
                values.push(Column::repeat(&spec.data_type, &Value::Null, self.rows));
                continue;
            };
            let (fitting, errors) = column
                .values_and_errors(0..self.rows, &spec.data_type, &options)
                .map_err(|e| self.no_values(column, &spec.data_type, e))?;
            for (row, error) in errors {
                wrong.entry(row).or_insert((i, error));
            }
            values.push(fitting);
        }
        Ok(self.batch(columns, values, wrong))
    }

    fn batch(
        &self,
        specs: &[ColumnSpec],
        columns: Vec<Column>,
        wrong: BTreeMap<usize, (usize, ValueError)>,
    ) -> RowBatch {
        // `TABLE_ROWS_MAX` fits.
        let all = (0..u32::MAX).take(self.rows);
        if wrong.is_empty() {
            return RowBatch {
                rows: all.map(u64::from).collect(),
                columns,
                rejected: Vec::new(),
            };
        }
        let kept: Vec<u32> = all
            .filter(|i| !wrong.contains_key(&(*i as usize)))
            .collect();
        let rejected = wrong
            .into_iter()
            .map(|(row, (column, reason))| RejectedRow {
                row: row as u64,
                line: None,
                column: Some(specs[column].name.clone()),
                reason,
                record: self.record(row),
            })
            .collect();
        RowBatch {
            rows: kept.iter().map(|i| u64::from(*i)).collect(),
            columns: columns.iter().map(|c| c.gather(&kept)).collect(),
            rejected,
        }
    }

    /// A row as a JSON object of what was read.
    fn record(&self, row: usize) -> String {
        let mut members = Map::new();
        for column in &self.columns {
            let slot = column.array(row..row + 1, &self.options);
            let json = match slot {
                Ok(Some(array)) => slot_to_json(array.as_ref(), 0),
                _ => serde_json::Value::Null,
            };
            members.insert(column.name().to_owned(), json);
        }
        serde_json::Value::Object(members).to_string()
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_types::{DataType, Field};

    use super::*;

    fn table() -> Table {
        let column = |data_type: DataType, values: &[Value]| {
            let column = Column::from_values(&data_type, values.iter());
            (
                Field::new(data_type.to_string().to_lowercase(), data_type),
                column,
            )
        };
        Table::from_columns([
            column(
                DataType::BigInt,
                &[Value::BigInt(1), Value::BigInt(1 << 40)],
            ),
            column(DataType::String, &[Value::from("x"), Value::Null]),
        ])
        .unwrap()
    }

    #[test]
    fn a_stream_is_read_back_with_its_metadata() {
        let metadata = BTreeMap::from([("cut".to_owned(), "rides/0@7".to_owned())]);
        let stream = table().with_metadata(metadata.clone()).to_stream().unwrap();
        let again = Table::from_stream(stream.clone(), 0).unwrap();
        assert_eq!(again.metadata(), metadata);
        assert_eq!(again.digest().unwrap(), table().digest().unwrap());
        let cut = stream[..stream.len() / 2].to_vec();
        assert!(Table::from_stream(cut, 0).is_err());
        assert!(Table::from_stream(b"{}".to_vec(), 0).is_err());
    }

    #[test]
    fn rows_that_do_not_fit_are_rejected_one_by_one() {
        let specs = [
            ColumnSpec::new("bigint", DataType::Int),
            ColumnSpec::new("string", DataType::String),
            ColumnSpec::new("other", DataType::Double),
        ];
        let batch = table().rows(&specs, &Zone::utc()).unwrap();
        assert_eq!(batch.rows, [0]);
        assert_eq!(batch.columns[0].get(0), Value::Int(1));
        assert_eq!(batch.columns[2].get(0), Value::Null);
        assert_eq!(batch.rejected.len(), 1);
        assert_eq!(batch.rejected[0].row, 1);
        assert_eq!(
            batch.rejected[0].record,
            r#"{"bigint":1099511627776,"string":null}"#
        );
        let error = table().rows(&specs[..1], &Zone::utc()).unwrap_err();
        assert!(error.to_string().contains("`string`"), "{error}");
    }
}
