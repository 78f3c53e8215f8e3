//! Tables as record batches and back, for a query engine; they share the columns.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::read::Batches;
use super::{Table, TableOptions, write};
use crate::error::ConnectError;
use crate::format::TableFormat;

/// What errors call rows that a query gave.
const LABEL: &str = "the result";

impl Table {
    /// A table of record batches of one schema.
    ///
    /// # Errors
    /// If two columns have one name, or there are too many columns or rows.
    pub fn from_batches(
        schema: &SchemaRef,
        batches: &[RecordBatch],
    ) -> Result<Table, ConnectError> {
        let path = Path::new(LABEL);
        let mut collected = Batches::new(path, schema)?;
        for batch in batches {
            collected.push(batch)?;
        }
        Table::of_contents(path, collected.finish(), &TableOptions::default())
    }

    /// The rows in pieces.
    ///
    /// # Errors
    /// If a column has no arrow type, or a field of CSV is not of its column's type.
    pub fn batches(&self) -> Result<Vec<RecordBatch>, ConnectError> {
        let mut batches = Vec::new();
        let format = TableFormat::ArrowStream;
        let schema = self.arrow_schema()?;
        write::each_batch(self, &schema, format, |batch| {
            batches.push(batch.clone());
            Ok(())
        })?;
        Ok(batches)
    }

    /// Names and arrow types.
    ///
    /// # Errors
    /// If a column has no arrow type.
    pub fn arrow_schema(&self) -> Result<SchemaRef, ConnectError> {
        write::schema(self, TableFormat::ArrowStream)
    }
}
