//! Whole tables in memory: spines and training sets.
//!
//! Invariant: a column that nobody replaced is written as it was read: the same arrow
//! arrays, or from CSV to CSV the same texts; rows stay in order. Names are unique.

mod c_interface;
mod column;
mod csv;
mod digest;
mod file_rows;
mod flat_batch;
mod ipc;
mod message;
mod read;
mod record_batches;
mod stream_layout;
mod texts;
mod tfrecord;
mod write;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, TimestampMicrosecondArray};
use arrow_schema::{DataType as ArrowType, Field as ArrowField, Schema, TimeUnit as ArrowUnit};
pub use c_interface::{CArray, CSchema, CStream};
use column::{CHUNK_ROWS, NoValues, TableColumn};
use evenkeel_types::{Column, ColumnData, DataType, Field, Zone};
pub use file_rows::{ROW_FILE, ROW_NUMBER, ROW_REASON, ROW_RECORD, file_rows_message};
pub use stream_layout::{StreamColumn, StreamLayout, StreamPart};

use crate::arrow_values::{arrow_type, into_array, to_array};
use crate::error::ConnectError;
use crate::file_set::no_file;
use crate::format::TableFormat;
use crate::options::TimeUnit;
use crate::suggest::nearest;

/// Rows that a table may have.
pub const TABLE_ROWS_MAX: usize = 1 << 31;

/// How to read a table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableOptions {
    /// The zone of times that come without one.
    pub zone: Zone,
    /// The unquoted CSV field that is NULL; also what NULL is written as.
    pub null_text: String,
    /// What numbers count where a TIMESTAMP is asked for.
    pub time_unit: Option<TimeUnit>,
    /// Types of CSV columns that should not be inferred, by name.
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

impl fmt::Display for TableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableType::Known(data_type) => data_type.fmt(f),
            TableType::Opaque(name) => f.write_str(name),
        }
    }
}

/// A table in memory. Cloning shares the columns.
#[derive(Clone, Debug)]
pub struct Table {
    /// What errors call it: `` `spine.csv` `` or `the table`.
    label: String,
    rows: usize,
    columns: Vec<TableColumn>,
    options: TableOptions,
    /// Carries the key-value metadata of the file that the table was read from.
    schema: Arc<Schema>,
}

impl Table {
    /// Reads a table: Parquet, CSV or Arrow by extension (see [`TableFormat`]). Types of CSV
    /// columns are inferred from all rows.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, has two columns of one name, or (CSV) has a
    /// row of another length than its header.
    pub fn read(path: &Path) -> Result<Table, ConnectError> {
        Table::read_with(path, &TableOptions::default())
    }

    /// [`Table::read`] with options.
    ///
    /// # Errors
    /// See [`Table::read`].
    pub fn read_with(path: &Path, options: &TableOptions) -> Result<Table, ConnectError> {
        let format = TableFormat::of(path)?;
        if !path.exists() {
            return Err(no_file(path));
        }
        let (schema, columns, rows) = match format {
            TableFormat::Parquet => read::parquet(path)?,
            TableFormat::Csv => read::csv(path, options)?,
            TableFormat::Arrow => ipc::read_file(path)?,
            TableFormat::ArrowStream => ipc::read_stream(path)?,
        };
        Table::of_contents(path, (schema, columns, rows), options)
    }

    fn of_contents(
        path: &Path,
        (schema, columns, rows): read::Contents,
        options: &TableOptions,
    ) -> Result<Table, ConnectError> {
        let mut names: Vec<&str> = columns.iter().map(TableColumn::name).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ConnectError::DuplicateColumn {
                path: path.to_owned(),
                column: pair[0].to_owned(),
            });
        }
        Ok(Table {
            label: format!("`{}`", path.display()),
            rows,
            columns,
            options: options.clone(),
            schema,
        })
    }

    /// A table of columns of one length.
    ///
    /// # Errors
    /// If lengths differ, a name occurs twice, or a type (INTERVAL) has no arrow type.
    pub fn from_columns(
        columns: impl IntoIterator<Item = (Field, Column)>,
    ) -> Result<Table, ConnectError> {
        let mut table = Table::of_rows(0);
        for (field, column) in columns {
            if table.columns.is_empty() {
                table.rows = column.len();
            }
            table.append_owned(field, column)?;
        }
        Ok(table)
    }

    /// A table of so many rows without columns.
    pub fn of_rows(rows: usize) -> Table {
        Table {
            label: "the table".to_owned(),
            rows,
            columns: Vec::new(),
            options: TableOptions::default(),
            schema: Arc::new(Schema::empty()),
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Names and types, in order. Of CSV the types that fit all values.
    pub fn fields(&self) -> Vec<(&str, TableType)> {
        self.columns
            .iter()
            .map(|c| (c.name(), c.table_type()))
            .collect()
    }

    /// Whether there is a column of exactly this name.
    pub fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|c| c.name() == name)
    }

    /// A column's values in its own type (see [`Table::fields`]).
    ///
    /// # Errors
    /// If there is no such column, its arrow type has no counterpart, or a value is outside
    /// the type (a UINT64 beyond BIGINT, a time finer than a microsecond).
    pub fn column(&self, name: &str) -> Result<Column, ConnectError> {
        let column = self.find(name)?;
        match column.table_type() {
            TableType::Known(data_type) => self.values(column, 0..self.rows, &data_type),
            TableType::Opaque(found) => Err(ConnectError::TableType {
                table: self.label.clone(),
                column: name.to_owned(),
                found: found.into(),
                wanted: "a column of values".into(),
                reason: "no type holds such values, it can only be passed on".to_owned(),
            }),
        }
    }

    /// A column's values in the type asked for, by the rules of source files: widening is
    /// exact, narrowing is checked, texts of CSV are read as the type, texts of other files
    /// only as dates and times.
    ///
    /// # Errors
    /// If there is no such column, its type is not read as the one asked for, or (with the
    /// row) a value does not fit.
    pub fn column_as(&self, name: &str, data_type: &DataType) -> Result<Column, ConnectError> {
        self.values(self.find(name)?, 0..self.rows, data_type)
    }

    /// Appends a column. ERROR is written as NULL.
    ///
    /// # Errors
    /// If the name is taken, the length is another than the table's, or the type (INTERVAL)
    /// has no arrow type.
    pub fn append(&mut self, field: Field, column: &Column) -> Result<(), ConnectError> {
        self.append_owned(field, column.clone())
    }

    /// [`Table::append`] of a column that nobody needs any more.
    ///
    /// # Errors
    /// See [`Table::append`].
    pub fn append_owned(&mut self, field: Field, column: Column) -> Result<(), ConnectError> {
        if self.has_column(&field.name) {
            return Err(self.taken(&field.name));
        }
        if column.len() != self.rows {
            return Err(self.other_length(&field.name, column.len()));
        }
        let not_writable = || ConnectError::NotWritable {
            column: field.name.clone(),
            data_type: field.data_type.to_string(),
            format: "Arrow",
        };
        let arrow = arrow_type(&field.data_type).ok_or_else(not_writable)?;
        let has_lengths = matches!(
            column.data(),
            ColumnData::String(_) | ColumnData::Bytes(_) | ColumnData::Nested(_)
        );
        let chunks = if has_lengths && column.len() > CHUNK_ROWS {
            // All together they may be too long for one array.
            let rows: Vec<u32> = (0..u32::MAX).take(column.len()).collect();
            rows.chunks(CHUNK_ROWS)
                .map(|rows| to_array(&field.data_type, &column.gather(rows)))
                .collect::<Option<_>>()
                .ok_or_else(not_writable)?
        } else {
            let array = into_array(&field.data_type, column).ok_or_else(not_writable)?;
            let starts = (0..self.rows).step_by(CHUNK_ROWS);
            starts
                .map(|start| array.slice(start, CHUNK_ROWS.min(self.rows - start)))
                .collect()
        };
        self.columns.push(TableColumn::Arrow {
            field: Arc::new(ArrowField::new(&field.name, arrow, true)),
            chunks,
        });
        Ok(())
    }

    /// Appends a column of times without a zone: microseconds since the epoch as if local
    /// time were UTC.
    ///
    /// # Errors
    /// If the name is taken, or the length is another than the table's.
    pub fn append_local_times(
        &mut self,
        name: &str,
        times: Vec<Option<i64>>,
    ) -> Result<(), ConnectError> {
        if self.has_column(name) {
            return Err(self.taken(name));
        }
        if times.len() != self.rows {
            return Err(self.other_length(name, times.len()));
        }
        let local = ArrowType::Timestamp(ArrowUnit::Microsecond, None);
        let array: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times));
        self.columns.push(TableColumn::Arrow {
            field: Arc::new(ArrowField::new(name, local, true)),
            chunks: (self.rows > 0).then_some(array).into_iter().collect(),
        });
        Ok(())
    }

    /// The table with the columns of another of as many rows behind its own.
    ///
    /// # Errors
    /// If a name is taken, or the other has another number of rows.
    pub fn beside(mut self, other: &Table) -> Result<Table, ConnectError> {
        for column in &other.columns {
            if self.has_column(column.name()) {
                return Err(self.taken(column.name()));
            }
            if other.rows != self.rows {
                return Err(self.other_length(column.name(), other.rows));
            }
            self.columns.push(column.clone());
        }
        Ok(self)
    }

    fn taken(&self, column: &str) -> ConnectError {
        ConnectError::ColumnExists {
            table: self.label.clone(),
            column: column.to_owned(),
        }
    }

    fn other_length(&self, column: &str, found: usize) -> ConnectError {
        ConnectError::ColumnLength {
            table: self.label.clone(),
            column: column.to_owned(),
            found,
            wanted: self.rows,
        }
    }

    /// The table with further columns behind its own.
    ///
    /// # Errors
    /// See [`Table::append`].
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
    ///
    /// # Errors
    /// If there is no such column.
    pub fn select(&self, names: &[&str]) -> Result<Table, ConnectError> {
        let columns = names
            .iter()
            .map(|name| self.find(name).cloned())
            .collect::<Result<_, _>>()?;
        Ok(Table {
            columns,
            ..self.clone()
        })
    }

    /// Some of the rows; they share the columns.
    ///
    /// # Errors
    /// If a field of CSV is not of the type that was given for it.
    pub fn slice(&self, rows: std::ops::Range<usize>) -> Result<Table, ConnectError> {
        let rows = rows.start.min(self.rows)..rows.end.min(self.rows);
        let mut table = Table {
            rows: rows.len(),
            columns: Vec::with_capacity(self.columns.len()),
            ..self.clone()
        };
        for column in &self.columns {
            table.columns.push(match column.slice(rows.clone()) {
                Some(sliced) => sliced,
                None => {
                    let mut one = Table::of_rows(rows.len());
                    let field = match column.table_type() {
                        TableType::Known(data_type) => Field::new(column.name(), data_type),
                        TableType::Opaque(_) => Field::new(column.name(), DataType::String),
                    };
                    let values = self.values(column, rows.clone(), &field.data_type)?;
                    one.append(field, &values)?;
                    one.columns.remove(0)
                }
            });
        }
        Ok(table)
    }

    /// The table of these rows, in this order; numbers are of rows that there are.
    ///
    /// # Errors
    /// If a field of CSV is not of the type that was given for it.
    pub fn take(&self, rows: &[u32]) -> Result<Table, ConnectError> {
        let mut table = Table {
            rows: rows.len(),
            columns: Vec::with_capacity(self.columns.len()),
            ..self.clone()
        };
        for column in &self.columns {
            let taken = match column.take(rows) {
                Some(taken) => taken,
                None => {
                    let field = match column.table_type() {
                        TableType::Known(data_type) => Field::new(column.name(), data_type),
                        TableType::Opaque(_) => Field::new(column.name(), DataType::String),
                    };
                    let values = self.values(column, 0..self.rows, &field.data_type)?;
                    let mut one = Table::of_rows(rows.len());
                    one.append(field, &values.gather(rows))?;
                    one.columns.remove(0)
                }
            };
            table.columns.push(taken);
        }
        Ok(table)
    }

    /// Writes the rows as a TFRecord file of `tf.train.Example`s, atomically and durably; see
    /// `docs/sql.md` for what becomes of each type.
    ///
    /// # Errors
    /// If the system refuses, or a column has no form there: a struct, a list with a NULL in
    /// it, an arrow type without a counterpart.
    pub fn write_tfrecord(&self, path: &Path) -> Result<(), ConnectError> {
        tfrecord::write(self, path)
    }

    /// Writes the table, by extension: Parquet, CSV or Arrow IPC (not compressed).
    /// The bytes depend on the table and on this program's version alone. Atomic and
    /// durable: a temporary file in the same directory, synced, renamed, the directory
    /// synced.
    ///
    /// CSV has floats in shortest round-trip form (see [`crate::value_to_text`]), NULL as
    /// the option `null_text`, and quotes where they are needed.
    ///
    /// # Errors
    /// If the directory is missing, the system refuses, or the format cannot hold a column.
    pub fn write(&self, path: &Path) -> Result<(), ConnectError> {
        match TableFormat::of(path)? {
            TableFormat::Csv => csv::write(self, path),
            format => write::arrow(self, path, format),
        }
    }

    /// The bytes that [`Table::write`] makes of a CSV file.
    ///
    /// # Errors
    /// If a column has no form in CSV.
    pub fn to_csv(&self) -> Result<Vec<u8>, ConnectError> {
        csv::bytes(self)
    }

    /// The canonical digest of the table's values: BLAKE3 over names, types and the
    /// canonical encodings of the values ([`evenkeel_types::codec::encode_value`]) in row
    /// order. It does not depend on the file format, batches or compression; of CSV it
    /// depends on the types that were inferred or given.
    ///
    /// # Errors
    /// If a field of CSV is not of the type that was given for it, or a column's arrow type
    /// is a union, a list view or run-end encoded.
    pub fn digest(&self) -> Result<[u8; 32], ConnectError> {
        digest::digest(self)
    }

    /// The column of this name: the same name, else the only one that differs in case.
    fn find(&self, name: &str) -> Result<&TableColumn, ConnectError> {
        if let Some(column) = self.columns.iter().find(|c| c.name() == name) {
            return Ok(column);
        }
        let lower = name.to_lowercase();
        let mut similar = self
            .columns
            .iter()
            .filter(|c| c.name().to_lowercase() == lower);
        match (similar.next(), similar.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(ConnectError::NoTableColumn {
                table: self.label.clone(),
                column: name.to_owned(),
                hint: nearest(name, self.columns.iter().map(TableColumn::name)),
            }),
        }
    }

    fn values(
        &self,
        column: &TableColumn,
        rows: std::ops::Range<usize>,
        data_type: &DataType,
    ) -> Result<Column, ConnectError> {
        column
            .values(rows, data_type, &self.options)
            .map_err(|e| self.no_values(column, data_type, e))
    }

    fn no_values(&self, column: &TableColumn, data_type: &DataType, e: NoValues) -> ConnectError {
        match e {
            NoValues::Type { found, reason } => ConnectError::TableType {
                table: self.label.clone(),
                column: column.name().to_owned(),
                found: found.into(),
                wanted: data_type.to_string().into(),
                reason,
            },
            NoValues::Row(row, source) => ConnectError::TableValue {
                table: self.label.clone(),
                column: column.name().to_owned(),
                row,
                data_type: data_type.to_string(),
                source: Box::new(source),
            },
        }
    }

    /// The rows in pieces of a fixed length.
    fn row_ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let rows = self.rows;
        (0..rows)
            .step_by(CHUNK_ROWS)
            .map(move |start| start..rows.min(start + CHUNK_ROWS))
    }
}
