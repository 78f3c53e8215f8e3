//! One column of a table: as it was read, and as values.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, new_empty_array};
use arrow_schema::FieldRef;
use arrow_select::concat::concat;
use arrow_select::interleave::interleave;
use evenkeel_types::{Column, DataType, Value};

use super::texts::Texts;
use super::{TableOptions, TableType};
use crate::arrow_values::{arrow_type, convert, natural_type, to_array};
use crate::strings::Strings;
use crate::value::{Context, ValueError};

/// Rows that are converted or written at a time.
pub(super) const CHUNK_ROWS: usize = 1 << 16;

#[derive(Clone, Debug)]
pub(super) enum TableColumn {
    /// Of a Parquet or Arrow file, or appended. The chunks are not empty, their lengths sum
    /// to the table's.
    Arrow {
        field: FieldRef,
        chunks: Vec<ArrayRef>,
    },
    /// Of a CSV file, with the type that fits.
    Text {
        name: String,
        texts: Arc<Texts>,
        data_type: DataType,
    },
}

/// Values, NULL where one does not fit, and there the row and the reason, ascending.
pub(super) type Fitting = (Column, Vec<(usize, ValueError)>);

/// Why a column has no values of a type.
pub(super) enum NoValues {
    /// The whole column's type is another.
    Type { found: String, reason: String },
    /// A row's value does not fit.
    Row(usize, ValueError),
}

impl TableColumn {
    pub(super) fn name(&self) -> &str {
        match self {
            TableColumn::Arrow { field, .. } => field.name(),
            TableColumn::Text { name, .. } => name,
        }
    }

    pub(super) fn table_type(&self) -> TableType {
        match self {
            TableColumn::Arrow { field, .. } => match natural_type(field.data_type()) {
                Some(natural) => TableType::Known(natural),
                None => TableType::Opaque(field.data_type().to_string()),
            },
            TableColumn::Text { data_type, .. } => TableType::Known(data_type.clone()),
        }
    }

    /// The values of some rows in a type.
    pub(super) fn values(
        &self,
        rows: Range<usize>,
        data_type: &DataType,
        options: &TableOptions,
    ) -> Result<Column, NoValues> {
        let context = Context {
            zone: &options.zone,
            time_unit: options.time_unit,
        };
        match self {
            TableColumn::Text { texts, .. } => texts
                .convert(rows, data_type, &options.null_text, &context)
                .map_err(|(row, error)| NoValues::Row(row, error)),
            TableColumn::Arrow { .. } => {
                let (column, errors) = self.values_and_errors(rows, data_type, options)?;
                match errors.into_iter().next() {
                    Some((row, error)) => Err(NoValues::Row(row, error)),
                    None => Ok(column),
                }
            }
        }
    }

    /// The values of some rows in a type; NULL where a value does not fit, with the row and
    /// the reason, ascending.
    ///
    /// # Errors
    /// [`NoValues::Type`].
    pub(super) fn values_and_errors(
        &self,
        rows: Range<usize>,
        data_type: &DataType,
        options: &TableOptions,
    ) -> Result<Fitting, NoValues> {
        let TableColumn::Arrow { field, chunks } = self else {
            let mut column = Column::new(data_type);
            let mut errors = Vec::new();
            for row in rows {
                match self.values(row..row + 1, data_type, options) {
                    Ok(value) => column.append(value),
                    Err(NoValues::Row(row, error)) => {
                        column.push(&Value::Null);
                        errors.push((row, error));
                    }
                    Err(other) => return Err(other),
                }
            }
            return Ok((column, errors));
        };
        let context = Context {
            zone: &options.zone,
            time_unit: options.time_unit,
        };
        let mut column = Column::new(data_type);
        let mut errors = Vec::new();
        let mut strings = Strings::new();
        let mut start = rows.start;
        let empty = [new_empty_array(field.data_type())];
        let pieces = pieces(chunks, rows);
        // Of no rows, the type is checked all the same.
        let pieces = if pieces.is_empty() {
            &empty[..]
        } else {
            &pieces
        };
        if pieces.len() > 1 {
            column.reserve(pieces.iter().map(Array::len).sum());
        }
        for piece in pieces {
            let converted =
                convert(piece.as_ref(), data_type, &context, &mut strings).map_err(|reason| {
                    NoValues::Type {
                        found: field.data_type().to_string(),
                        reason,
                    }
                })?;
            errors.extend(converted.errors.into_iter().map(|(i, e)| (start + i, e)));
            start += piece.len();
            column.append(converted.column);
        }
        Ok((column, errors))
    }

    /// The rows as one array: as it was read, or of a text column the values of its type.
    pub(super) fn array(
        &self,
        rows: Range<usize>,
        options: &TableOptions,
    ) -> Result<Option<ArrayRef>, NoValues> {
        match self {
            TableColumn::Arrow { field, chunks } => {
                let pieces = pieces(chunks, rows);
                Ok(match pieces.as_slice() {
                    [] => Some(new_empty_array(field.data_type())),
                    [one] => Some(Arc::clone(one)),
                    several => {
                        let arrays: Vec<&dyn Array> = several.iter().map(AsRef::as_ref).collect();
                        concat(&arrays).ok()
                    }
                })
            }
            TableColumn::Text { data_type, .. } => {
                let column = self.values(rows, data_type, options)?;
                Ok(to_array(data_type, &column))
            }
        }
    }

    /// Some of the rows, if they are arrow's already.
    pub(super) fn slice(&self, rows: Range<usize>) -> Option<TableColumn> {
        match self {
            TableColumn::Arrow { field, chunks } => Some(TableColumn::Arrow {
                field: Arc::clone(field),
                chunks: pieces(chunks, rows),
            }),
            TableColumn::Text { .. } => None,
        }
    }

    /// These rows, in this order, if they are arrow's already.
    pub(super) fn take(&self, rows: &[u32]) -> Option<TableColumn> {
        let TableColumn::Arrow { field, chunks } = self else {
            return None;
        };
        let mut starts = Vec::with_capacity(chunks.len());
        let mut start = 0;
        for chunk in chunks {
            starts.push(start);
            start += chunk.len();
        }
        let place = |row: &u32| {
            let row = *row as usize;
            let chunk = starts.partition_point(|start| *start <= row) - 1;
            (chunk, row - starts[chunk])
        };
        let arrays: Vec<&dyn Array> = chunks.iter().map(AsRef::as_ref).collect();
        let chunks = rows
            .chunks(CHUNK_ROWS)
            .map(|rows| {
                let places: Vec<(usize, usize)> = rows.iter().map(place).collect();
                interleave(&arrays, &places)
            })
            .collect::<Result<_, _>>()
            .ok()?;
        Some(TableColumn::Arrow {
            field: Arc::clone(field),
            chunks,
        })
    }

    /// The arrow field that the column is written with; none if its type has none.
    pub(super) fn arrow_field(&self) -> Option<FieldRef> {
        match self {
            TableColumn::Arrow { field, .. } => Some(Arc::clone(field)),
            TableColumn::Text {
                name, data_type, ..
            } => Some(Arc::new(arrow_schema::Field::new(
                name,
                arrow_type(data_type)?,
                true,
            ))),
        }
    }
}

/// The parts of chunks that cover some rows.
fn pieces(chunks: &[ArrayRef], rows: Range<usize>) -> Vec<ArrayRef> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for chunk in chunks {
        let end = start + chunk.len();
        let from = rows.start.max(start);
        let to = rows.end.min(end);
        if from < to {
            pieces.push(if (from, to) == (start, end) {
                Arc::clone(chunk)
            } else {
                chunk.slice(from - start, to - from)
            });
        }
        start = end;
    }
    pieces
}
