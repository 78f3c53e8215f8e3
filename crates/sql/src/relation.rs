//! What can stand behind `FROM`: its columns, and how its rows are read.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::arrow::datatypes::{DataType as ArrowType, Field as ArrowField, Schema, SchemaRef};
use datafusion::arrow::record_batch::RecordBatch;
use evenkeel_connect::{Table, TableType, arrow_type_of};
use evenkeel_engine::{Offline, SourceRows, SourceSlice};
use evenkeel_types::definition::{SourceDef, SourceKind, ViewBody, ViewDef};
use evenkeel_types::{Column, Cut, DataType, EventTime, Field, Operation, Value};

use crate::bounds::Bounds;
use crate::error::SqlError;

/// The part of a dataset that a row is in.
const PART: &str = "_part";
/// When it happened; of a row view, the row's time.
pub(crate) const EVENT_TIME: &str = "_event_time";
const VISIBLE_AT: &str = "_visible_at";
const OPERATION: &str = "_operation";
const PARTITION: &str = "_partition";
const OFFSET: &str = "_offset";

/// See the module.
pub(crate) enum Relation {
    /// Every event that holds.
    Events(Arc<SourceDef>),
    /// The rows of a table at a time, the events of a stream up to it.
    Slice {
        source: Arc<SourceDef>,
        at: EventTime,
    },
    /// The features of all keys.
    View { view: Arc<ViewDef>, at: EventTime },
    /// Rows that could not be events.
    DeadLetters(Arc<SourceDef>),
    /// The parts of a dataset.
    Dataset(Vec<(String, Table)>),
    /// A file's rows.
    File(Table),
}

/// What rows are read from, and how much of it.
pub(crate) struct Reader {
    pub(crate) store: Offline,
    pub(crate) cut: Option<Cut>,
    /// Events times columns of all that the query reads.
    pub(crate) values_max: u64,
    /// How many were read.
    pub(crate) values: AtomicU64,
    pub(crate) go_on: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Reader {
    pub(crate) fn reading(&self) -> impl FnMut(u64) -> ControlFlow<()> + '_ {
        |_| match (self.go_on)() {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    }

    /// Counts what is about to be read.
    pub(crate) fn count(&self, name: &str, events: u64, columns: usize) -> Result<(), SqlError> {
        let values = events.saturating_mul(columns.max(1) as u64);
        let before = self.values.fetch_add(values, Ordering::Relaxed);
        match before.saturating_add(values) > self.values_max {
            true => Err(self.too_many(name, events)),
            false => Ok(()),
        }
    }

    fn too_many(&self, name: &str, events: u64) -> SqlError {
        SqlError::TooManyValues {
            relation: name.to_owned(),
            events,
            values_max: self.values_max,
        }
    }

    fn events_of(&self, source: &SourceDef) -> u64 {
        let cut = self.cut.as_ref().unwrap_or(self.store.cut());
        let ends = cut.iter().filter(|(id, ..)| *id == source.id);
        ends.map(|(_, _, end)| end.0).sum()
    }
}

impl Relation {
    /// Names and types of the columns.
    ///
    /// # Errors
    /// If a column's type has no form in Arrow.
    pub(crate) fn schema(&self) -> Result<SchemaRef, SqlError> {
        match self {
            Relation::Dataset(parts) => {
                let Some((_, first)) = parts.first() else {
                    return Ok(Arc::new(Schema::empty()));
                };
                let mut fields = vec![ArrowField::new(PART, ArrowType::Utf8, true)];
                let of_first = first.arrow_schema().map_err(SqlError::rows)?;
                fields.extend(of_first.fields().iter().map(|f| f.as_ref().clone()));
                Ok(Arc::new(Schema::new(fields)))
            }
            Relation::File(table) => table.arrow_schema().map_err(SqlError::rows),
            _ => {
                let fields = self.fields().into_iter().map(|field| {
                    let arrow = arrow_type_of(&field.data_type);
                    let arrow = arrow.ok_or_else(|| SqlError::ColumnType {
                        name: field.name.clone(),
                        found: field.data_type.to_string(),
                    })?;
                    Ok(ArrowField::new(field.name, arrow, true))
                });
                let fields: Vec<ArrowField> = fields.collect::<Result<_, SqlError>>()?;
                Ok(Arc::new(Schema::new(fields)))
            }
        }
    }

    /// The column that orders the rows in time, besides [`EVENT_TIME`]; none if time is no bound.
    pub(crate) fn time_column(&self) -> Option<&str> {
        match self {
            Relation::Events(source) | Relation::Slice { source, .. } => source
                .columns
                .get(source.event_time)
                .map(|c| c.name.as_str()),
            _ => None,
        }
    }

    fn fields(&self) -> Vec<Field> {
        let times = [EVENT_TIME, VISIBLE_AT].map(|name| Field::new(name, DataType::Timestamp));
        match self {
            Relation::Events(source) => columns_of(source)
                .chain(times)
                .chain([
                    Field::new(OPERATION, DataType::String),
                    Field::new(PARTITION, DataType::BigInt),
                    Field::new(OFFSET, DataType::BigInt),
                ])
                .collect(),
            Relation::Slice { source, .. } => columns_of(source).chain(times).collect(),
            Relation::View { view, .. } => {
                let features = view.features.iter();
                let features = features.map(|f| Field::new(f.name.clone(), f.data_type.clone()));
                let fields = view.key.iter().cloned().chain(features);
                let is_row = matches!(view.body, ViewBody::Row(_));
                let time = is_row.then(|| Field::new(EVENT_TIME, DataType::Timestamp));
                fields.chain(time).collect()
            }
            Relation::DeadLetters(_) => ["id", "reason", "text", "origin", "record", "logged_at"]
                .map(|name| {
                    let data_type = match name {
                        "id" => DataType::BigInt,
                        "logged_at" => DataType::Timestamp,
                        _ => DataType::String,
                    };
                    Field::new(name, data_type)
                })
                .to_vec(),
            Relation::Dataset(_) | Relation::File(_) => Vec::new(),
        }
    }

    /// The rows of some columns, by their places in the schema; what is outside of the bounds may
    /// be left out.
    ///
    /// # Errors
    /// [`SqlError::Stopped`]; if more would be read than may be; if the store cannot be read.
    pub(crate) fn rows(
        &self,
        reader: &Reader,
        columns: &[usize],
        bounds: Bounds,
    ) -> Result<Vec<RecordBatch>, SqlError> {
        let table = match self {
            Relation::Events(source) => {
                let slice = bounds.of(source, i64::MAX, false);
                self.source_table(reader, slice, columns)?
            }
            Relation::Slice { source, at } => {
                let slice = bounds.of(source, at.0, source.kind == SourceKind::Table);
                self.source_table(reader, slice, columns)?
            }
            Relation::View { view, at } => self.view_table(reader, view, *at, columns)?,
            Relation::DeadLetters(source) => self.letters(reader, source, columns)?,
            Relation::File(table) => of_table(table, columns)?,
            Relation::Dataset(parts) => {
                let mut batches = Vec::new();
                for (part, table) in parts {
                    let name =
                        Column::repeat(&DataType::String, &Value::from(part.as_str()), table.len());
                    let named = Table::from_columns([(Field::new(PART, DataType::String), name)]);
                    let named = named.and_then(|named| named.beside(table));
                    let named = named.map_err(SqlError::rows)?;
                    let rows = of_table(&named, columns)?;
                    batches.extend(rows.batches().map_err(SqlError::rows)?);
                }
                return Ok(batches);
            }
        };
        table.batches().map_err(SqlError::rows)
    }

    fn source_table(
        &self,
        reader: &Reader,
        mut slice: SourceSlice,
        columns: &[usize],
    ) -> Result<Table, SqlError> {
        let fields = self.fields();
        let source = Arc::clone(&slice.source);
        let own = source.columns.len();
        slice.slots = columns.iter().copied().filter(|at| *at < own).collect();
        let events = reader.events_of(&source);
        reader.count(
            &source.name,
            events,
            columns.len() + source.primary_key.len(),
        )?;
        let rows = reader
            .store
            .source_rows(&slice, reader.cut.as_ref(), &mut reader.reading())
            .map_err(SqlError::store)?;
        let length = rows.times.len();
        let SourceRows {
            columns: own_columns,
            times,
            visible,
            operations,
            positions,
        } = rows;
        let mut own_columns = own_columns.into_iter();
        let mut table = Table::of_rows(length);
        for &at in columns {
            let field = fields[at].clone();
            let column = match field.name.as_str() {
                _ if at < own => own_columns
                    .next()
                    .unwrap_or_else(|| Column::new(&field.data_type)),
                EVENT_TIME => of_times(&times),
                VISIBLE_AT => of_times(&visible),
                OPERATION => of_values(&field, operations.iter().map(|o| Value::from(word(*o)))),
                PARTITION => of_values(
                    &field,
                    positions
                        .iter()
                        .map(|p| Value::BigInt(i64::from(p.partition.0))),
                ),
                _ => of_values(
                    &field,
                    // Offsets count events: far below 2^63.
                    positions
                        .iter()
                        .map(|p| Value::BigInt(i64::try_from(p.offset.0).unwrap_or(i64::MAX))),
                ),
            };
            table.append_owned(field, column).map_err(SqlError::rows)?;
        }
        Ok(table)
    }

    fn view_table(
        &self,
        reader: &Reader,
        view: &ViewDef,
        at: EventTime,
        columns: &[usize],
    ) -> Result<Table, SqlError> {
        let fields = self.fields();
        let events = reader.store.events_read(view, reader.cut.as_ref());
        reader.count(&view.name, events, fields.len())?;
        let rows = reader
            .store
            .view_rows(view, at, reader.cut.as_ref(), &mut reader.reading())
            .map_err(SqlError::store)?;
        let length = rows.keys.first().map_or(0, Column::len);
        let times = of_values(
            &Field::new(EVENT_TIME, DataType::Timestamp),
            rows.times
                .iter()
                .map(|t| t.map_or(Value::Null, Value::Timestamp)),
        );
        let all: Vec<Column> = rows
            .keys
            .into_iter()
            .chain(rows.columns)
            .chain([times])
            .collect();
        let mut table = Table::of_rows(length);
        for &at in columns {
            let column = all[at].clone();
            table
                .append_owned(fields[at].clone(), column)
                .map_err(SqlError::rows)?;
        }
        Ok(table)
    }

    fn letters(
        &self,
        reader: &Reader,
        source: &SourceDef,
        columns: &[usize],
    ) -> Result<Table, SqlError> {
        let fields = self.fields();
        // How many there are is known when they are read.
        let room = reader
            .values_max
            .saturating_sub(reader.values.load(Ordering::Relaxed));
        let rows_max = room / fields.len() as u64;
        let mut reading = reader.reading();
        let mut found = 0;
        let letters = reader.store.dead_letters(source, &mut |read| {
            found = read;
            match read > rows_max {
                true => ControlFlow::Break(()),
                false => reading(read),
            }
        });
        if found > rows_max {
            return Err(reader.too_many(&source.name, found));
        }
        let letters = letters.map_err(SqlError::store)?;
        reader.count(&source.name, letters.len() as u64, fields.len())?;
        let mut table = Table::of_rows(letters.len());
        for &at in columns {
            let field = fields[at].clone();
            let values = letters.iter().map(|letter| match field.name.as_str() {
                "id" => Value::BigInt(i64::try_from(letter.id).unwrap_or(i64::MAX)),
                "reason" => Value::from(letter.reason.as_str()),
                "text" => Value::from(letter.text.as_str()),
                "origin" => Value::from(letter.origin.as_str()),
                "record" => Value::from(letter.record.as_str()),
                _ => Value::Timestamp(letter.logged_at.0),
            });
            let column = of_values(&field, values);
            table.append_owned(field, column).map_err(SqlError::rows)?;
        }
        Ok(table)
    }
}

/// Some columns of a table, by their places.
fn of_table(table: &Table, columns: &[usize]) -> Result<Table, SqlError> {
    let fields: Vec<(&str, TableType)> = table.fields();
    let names: Vec<&str> = columns.iter().map(|at| fields[*at].0).collect();
    table.select(&names).map_err(SqlError::rows)
}

fn columns_of(source: &SourceDef) -> impl Iterator<Item = Field> + '_ {
    let columns = source.columns.iter();
    columns.map(|c| Field::new(c.name.clone(), c.data_type.clone()))
}

fn of_times(times: &[i64]) -> Column {
    let field = Field::new(EVENT_TIME, DataType::Timestamp);
    of_values(&field, times.iter().map(|t| Value::Timestamp(*t)))
}

fn of_values(field: &Field, values: impl Iterator<Item = Value>) -> Column {
    let mut column = Column::new(&field.data_type);
    values.for_each(|value| column.push(&value));
    column
}

fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Insert => "insert",
        Operation::Upsert => "upsert",
        Operation::Delete => "delete",
        Operation::Replace => "replace",
        Operation::Remove => "remove",
    }
}
