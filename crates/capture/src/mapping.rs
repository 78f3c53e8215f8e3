//! Which column of the server's table is which column of the source, and how rows become its
//! rows.
//!
//! Invariant: a column is read by what the rows' own table map says of it; what cannot be read
//! exactly is refused before a row is.

use std::collections::BTreeMap;

use evenkeel_connect::{
    ChangeError, ColumnSpec, FileRows, RejectedRow, RowBatch, ValueError, value_to_json,
};
use evenkeel_engine::stored_columns;
use evenkeel_types::definition::{SourceDef, SourceKind};
use evenkeel_types::{Column, DataType, Value};

use crate::bytes::{Bytes, CutOff};
use crate::cell::{Cell, Rules};
use crate::charset::Charset;
use crate::image::Reading;
use crate::settings::{Settings, text_of};
use crate::table_map::{MapColumn, TableMap, kind};

/// Names of character sets by the numbers of their collations.
pub(crate) type Collations = BTreeMap<u64, String>;

/// Where a column of the source comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Row,
    Key,
    Operation,
    Time,
    Position,
}

/// What rows become.
pub(crate) struct Target {
    pub(crate) specs: Vec<ColumnSpec>,
    pub(crate) roles: Vec<Role>,
    pub(crate) rules: Rules,
    pub(crate) is_table: bool,
}

/// What a row does, when, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) op: &'static str,
    pub(crate) time: i64,
    pub(crate) place: i64,
    /// Its name: what stands for its file of the binlog, and its number in that.
    pub(crate) file: [u8; 16],
    pub(crate) number: u64,
}

/// Values of a row, or the first column with one that is none.
pub(crate) type Row = Result<Vec<Value>, (usize, ValueError)>;

impl Target {
    pub(crate) fn of(source: &SourceDef, settings: &Settings) -> Self {
        let specs = stored_columns(source);
        let is = |option: &str, name: &str| text_of(source, option) == Some(name);
        let key: Vec<&str> = (source.primary_key.iter())
            .map(|slot| source.columns[*slot].name.as_str())
            .collect();
        let role = |spec: &ColumnSpec| match spec.name.as_str() {
            name if is("operation", name) => Role::Operation,
            name if is("change_time", name) => Role::Time,
            name if is("change_position", name) => Role::Position,
            name if key.contains(&name) => Role::Key,
            _ => Role::Row,
        };
        Target {
            roles: specs.iter().map(role).collect(),
            specs,
            rules: Rules {
                zone: source.zone.clone(),
                zero_dates_are_null: settings.zero_dates_are_null,
            },
            is_table: source.kind == SourceKind::Table,
        }
    }

    /// The columns that are the table's own.
    pub(crate) fn own(&self) -> impl Iterator<Item = (usize, &ColumnSpec)> {
        let own = |i: &usize| matches!(self.roles[*i], Role::Row | Role::Key);
        (0..self.specs.len())
            .filter(own)
            .map(|i| (i, &self.specs[i]))
    }

    /// A row whose cells are given for the columns of the table. Of the end of a row only the
    /// key has to be read.
    pub(crate) fn row<'c>(
        &self,
        is_end: bool,
        mut cell: impl FnMut(usize) -> Option<&'c Cell<'c>>,
    ) -> Row {
        let mut values = Vec::with_capacity(self.specs.len());
        for (i, spec) in self.specs.iter().enumerate() {
            let value = match self.roles[i] {
                Role::Row | Role::Key => match cell(i) {
                    Some(cell) => cell.value(&spec.data_type, &self.rules),
                    None => Ok(Value::Null),
                },
                Role::Operation | Role::Time | Role::Position => Ok(Value::Null),
            };
            values.push(match value {
                Ok(value) => value,
                Err(_) if is_end && self.roles[i] == Role::Row => Value::Null,
                Err(error) => return Err((i, error)),
            });
        }
        Ok(values)
    }

    /// The values of the primary key.
    pub(crate) fn key<'v>(&self, values: &'v [Value]) -> Vec<&'v Value> {
        let keys = self.roles.iter().zip(values);
        keys.filter(|(role, _)| **role == Role::Key)
            .map(|(_, value)| value)
            .collect()
    }
}

/// Rows on their way to the log.
pub(crate) struct Rows {
    /// Of files before the one that is read.
    parts: Vec<FileRows>,
    file: [u8; 16],
    batch: RowBatch,
    /// Where each column of the source comes from.
    roles: Vec<Role>,
    specs: Vec<ColumnSpec>,
    rules: Rules,
    is_table: bool,
}

impl Rows {
    pub(crate) fn new(target: &Target) -> Self {
        Rows {
            parts: Vec::new(),
            file: [0; 16],
            batch: empty(&target.specs),
            roles: target.roles.clone(),
            specs: target.specs.clone(),
            rules: target.rules.clone(),
            is_table: target.is_table,
        }
    }

    pub(crate) fn len(&self) -> usize {
        let before = self.parts.iter().map(|part| part.rows.len()).sum::<usize>();
        before + self.batch.len()
    }

    /// All of them, by their files.
    pub(crate) fn into_parts(mut self) -> Vec<FileRows> {
        self.end_part();
        self.parts
    }

    fn end_part(&mut self) {
        if !self.batch.is_empty() {
            let rows = std::mem::replace(&mut self.batch, empty(&self.specs));
            self.parts.push(FileRows {
                file: self.file,
                rows,
            });
        }
    }

    /// Adds a row. `cells`: what the table says in the source's columns, for a dead letter.
    pub(crate) fn push(&mut self, told: Told, row: Row, cells: &[Option<Cell<'_>>]) {
        if told.file != self.file {
            self.end_part();
            self.file = told.file;
        }
        let row = match row {
            Ok(_) if !self.is_table && matches!(told.op, "u" | "d") => Err((
                None,
                ValueError::Change {
                    source: ChangeError::Stream(told.op.to_owned()),
                },
            )),
            row => row.map_err(|(column, error)| (Some(column), error)),
        };
        match row {
            Ok(mut values) => {
                self.batch.rows.push(told.number);
                for (i, role) in self.roles.iter().enumerate() {
                    if let Some(value) = told.value(*role) {
                        values[i] = value;
                    }
                    self.batch.columns[i].push(&values[i]);
                }
            }
            Err((column, reason)) => self.batch.rejected.push(RejectedRow {
                row: told.number,
                line: None,
                column: column.map(|i| self.specs[i].name.clone()),
                reason,
                record: self.record(told, cells),
            }),
        }
    }

    /// The row as a JSON object of the source's columns, which can be driven again.
    fn record(&self, told: Told, cells: &[Option<Cell<'_>>]) -> String {
        let text = |text: &str| value_to_json(&DataType::String, &Value::string(text)).to_string();
        let mut members = Vec::new();
        for (i, spec) in self.specs.iter().enumerate() {
            let json = |value: &Value| value_to_json(&spec.data_type, value).to_string();
            let said = match (told.value(self.roles[i]), cells.get(i)) {
                (Some(value), _) => json(&value),
                (None, Some(Some(cell))) => match cell.value(&spec.data_type, &self.rules) {
                    Ok(value) => json(&value),
                    Err(_) => text(&cell.shown()),
                },
                (None, _) => "null".to_owned(),
            };
            members.push(format!("{}:{said}", text(&spec.name)));
        }
        format!("{{{}}}", members.join(","))
    }
}

impl Told {
    /// What is said beside the row.
    fn value(&self, role: Role) -> Option<Value> {
        match role {
            Role::Operation => Some(Value::string(self.op)),
            Role::Time => Some(Value::Timestamp(self.time)),
            Role::Position => Some(Value::BigInt(self.place)),
            Role::Row | Role::Key => None,
        }
    }
}

fn empty(specs: &[ColumnSpec]) -> RowBatch {
    RowBatch {
        rows: Vec::new(),
        columns: specs
            .iter()
            .map(|spec| Column::new(&spec.data_type))
            .collect(),
        rejected: Vec::new(),
    }
}

/// How the rows behind a table map become rows of the source.
pub(crate) struct Mapping {
    /// One per column of the table.
    readings: Vec<Reading>,
    /// Which column of the source each is.
    targets: Vec<Option<usize>>,
}

impl Mapping {
    /// An error says in words what does not fit.
    pub(crate) fn of(
        target: &Target,
        map: &TableMap,
        collations: &Collations,
    ) -> Result<Self, String> {
        if !map.is_full {
            return Err("its columns have no names: binlog_row_metadata is not FULL".to_owned());
        }
        let mut targets = vec![None; map.columns.len()];
        let mut readings = Vec::new();
        for column in &map.columns {
            readings.push(reading(column, collations));
        }
        for (i, spec) in target.own() {
            let at = position(map.columns.iter().map(|c| c.name.as_str()), &spec.name)
                .ok_or_else(|| format!("it has no column `{}` any more", spec.name))?;
            let found = reading(&map.columns[at], collations)
                .map_err(|reason| format!("its column `{}` {reason}", spec.name))?;
            let family = family(&found);
            if !family.is_some_and(|family| family.is_read_as(&spec.data_type)) {
                return Err(format!(
                    "its column `{}` is not read as {}",
                    spec.name, spec.data_type
                ));
            }
            targets[at] = Some(i);
        }
        // What nobody asks for is gone past whatever its character set is.
        let readings = readings
            .into_iter()
            .zip(&map.columns)
            .map(|(reading, column)| {
                reading.unwrap_or_else(|_| Reading {
                    column: column.clone(),
                    charset: None,
                    members: Vec::new(),
                })
            });
        Ok(Mapping {
            readings: readings.collect(),
            targets,
        })
    }

    pub(crate) fn columns(&self) -> usize {
        self.readings.len()
    }

    /// The columns of the source, as the table has them: what must not change under a follower.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &MapColumn> {
        let asked = self.readings.iter().zip(&self.targets);
        asked
            .filter(|(_, target)| target.is_some())
            .map(|(reading, _)| &reading.column)
    }

    /// Takes an image apart: cells by the columns of the source.
    pub(crate) fn cells<'a>(
        &self,
        bytes: &mut Bytes<'a>,
        target: &Target,
    ) -> Result<Vec<Option<Cell<'a>>>, CutOff> {
        let mut cells: Vec<Option<Cell<'a>>> = vec![None; target.specs.len()];
        let nulls = bytes.take(self.readings.len().div_ceil(8))?;
        for (i, reading) in self.readings.iter().enumerate() {
            let is_null = nulls[i / 8] >> (i % 8) & 1 == 1;
            match (self.targets[i], is_null) {
                (Some(slot), true) => cells[slot] = Some(Cell::Null),
                (Some(slot), false) => cells[slot] = Some(reading.read(bytes)?),
                (None, true) => {}
                (None, false) => reading.skip(bytes)?,
            }
        }
        Ok(cells)
    }
}

/// The column of a name, or the only one that differs from it in case.
pub(crate) fn position<'n>(
    names: impl Iterator<Item = &'n str> + Clone,
    wanted: &str,
) -> Option<usize> {
    let lower = wanted.to_lowercase();
    let mut similar = names
        .clone()
        .enumerate()
        .filter(|(_, name)| name.to_lowercase() == lower);
    let exact = names.enumerate().find(|(_, name)| *name == wanted);
    match (exact, similar.next(), similar.next()) {
        (Some((at, _)), ..) | (None, Some((at, _)), None) => Some(at),
        _ => None,
    }
}

fn reading(column: &MapColumn, collations: &Collations) -> Result<Reading, String> {
    let charset = match column.collation {
        None => None,
        Some(collation) => {
            let name = collations.get(&collation).map_or("unknown", String::as_str);
            let found = Charset::named(name);
            Some(found.ok_or_else(|| {
                format!("has the character set {name}, which is not read: convert it to utf8mb4")
            })?)
        }
    };
    let member = |bytes: &Vec<u8>| {
        let text = charset.unwrap_or(Charset::Utf8).decode(bytes);
        text.map(std::borrow::Cow::into_owned)
            .ok_or_else(|| "has members that are no text".to_owned())
    };
    Ok(Reading {
        members: column
            .members
            .iter()
            .map(member)
            .collect::<Result<_, String>>()?,
        column: column.clone(),
        charset,
    })
}

/// What kind of thing a type's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Integer,
    Float,
    Double,
    Decimal,
    Text,
    Bytes,
    Bits,
    Date,
    DateTime,
    Instant,
    Length,
}

impl Family {
    pub(crate) fn is_read_as(self, wanted: &DataType) -> bool {
        match wanted {
            DataType::Boolean | DataType::Int => matches!(self, Family::Integer | Family::Bits),
            DataType::BigInt => matches!(self, Family::Integer | Family::Bits | Family::Length),
            DataType::Float => self == Family::Float,
            DataType::Double => matches!(self, Family::Float | Family::Double),
            DataType::Decimal { .. } => matches!(self, Family::Decimal | Family::Integer),
            DataType::String => matches!(self, Family::Text | Family::Decimal | Family::Length),
            DataType::Bytes => self == Family::Bytes,
            DataType::Date => self == Family::Date,
            DataType::Timestamp => matches!(self, Family::DateTime | Family::Instant),
            _ => false,
        }
    }
}

fn family(reading: &Reading) -> Option<Family> {
    Some(match reading.column.kind {
        kind::TINY | kind::SHORT | kind::INT24 | kind::LONG | kind::LONGLONG | kind::YEAR => {
            Family::Integer
        }
        kind::FLOAT => Family::Float,
        kind::DOUBLE => Family::Double,
        kind::DECIMAL => Family::Decimal,
        kind::DATE | kind::NEWDATE => Family::Date,
        kind::TIME | kind::TIME2 => Family::Length,
        kind::DATETIME | kind::DATETIME2 => Family::DateTime,
        kind::TIMESTAMP | kind::TIMESTAMP2 => Family::Instant,
        kind::BIT => Family::Bits,
        // JSON is read as the text that the server writes.
        kind::ENUM | kind::SET | kind::JSON => Family::Text,
        kind::VARCHAR
        | kind::VAR_STRING
        | kind::STRING
        | kind::BLOB
        | kind::TINY_BLOB
        | kind::MEDIUM_BLOB
        | kind::LONG_BLOB => match reading.charset {
            Some(_) => Family::Text,
            None => Family::Bytes,
        },
        _ => return None,
    })
}
