//! Whole tables in memory: spines and training sets.
//!
//! Invariant: a column that nobody replaced is written as it was read: the same arrow
//! arrays, or for CSV the same texts; rows stay in order.

use std::path::Path;

use evenkeel_types::{Column, DataType, Field, Zone};

use crate::error::ConnectError;

/// How to read a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableOptions {
    /// The zone of times that come without one.
    pub zone: Zone,
    /// The unquoted CSV field that is NULL.
    pub null_text: String,
    /// What numbers count where a TIMESTAMP is asked for.
    pub time_unit: Option<crate::TimeUnit>,
    /// Types of CSV columns that should not be inferred.
    pub fields: Vec<Field>,
}

impl Default for TableOptions {
    fn default() -> Self {
        TableOptions {
            zone: Zone::utc(),
            null_text: String::new(),
            time_unit: None,
            fields: Vec::new(),
        }
    }
}

/// A column's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableType {
    /// One of ours; [`Table::column`] gives its values.
    Known(DataType),
    /// An arrow type (its name) with no counterpart; such a column can only be passed on.
    Opaque(String),
}

/// A table in memory.
#[derive(Clone, Debug)]
pub struct Table {
    rows: usize,
}

impl Table {
    /// Reads a table: Parquet, CSV or Arrow by extension (see [`crate::TableFormat`]).
    pub fn read(path: &Path) -> Result<Table, ConnectError> {
        Table::read_with(path, &TableOptions::default())
    }

    /// [`Table::read`] with options.
    pub fn read_with(_path: &Path, _options: &TableOptions) -> Result<Table, ConnectError> {
        todo!()
    }

    /// A table of columns of one length.
    pub fn from_columns(_columns: Vec<(Field, Column)>) -> Result<Table, ConnectError> {
        todo!()
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Names and types, in order.
    pub fn fields(&self) -> Vec<(&str, TableType)> {
        todo!()
    }

    /// Whether there is a column of exactly this name.
    pub fn has_column(&self, _name: &str) -> bool {
        todo!()
    }

    /// A column's values in its own type (see [`Table::fields`]).
    pub fn column(&self, _name: &str) -> Result<Column, ConnectError> {
        todo!()
    }

    /// A column's values in the type asked for, by the rules of source files; an error at the
    /// first row whose value is not of that type.
    pub fn column_as(&self, _name: &str, _data_type: &DataType) -> Result<Column, ConnectError> {
        todo!()
    }

    /// Appends a column.
    pub fn append(&mut self, _field: Field, _column: &Column) -> Result<(), ConnectError> {
        todo!()
    }

    /// The table with further columns behind its own.
    pub fn with_columns(
        mut self,
        columns: impl IntoIterator<Item = (Field, Column)>,
    ) -> Result<Table, ConnectError> {
        for (field, column) in columns {
            self.append(field, &column)?;
        }
        Ok(self)
    }

    /// The table with these columns only, in this order.
    pub fn select(&self, _names: &[&str]) -> Result<Table, ConnectError> {
        todo!()
    }

    /// Writes the table, by extension. Atomic and durable: a temporary file in the same
    /// directory, synced, renamed, the directory synced.
    pub fn write(&self, _path: &Path) -> Result<(), ConnectError> {
        todo!()
    }

    /// The canonical digest of the values: independent of file format and batch size.
    pub fn digest(&self) -> Result<[u8; 32], ConnectError> {
        todo!()
    }
}
