//! Streams and tables: their columns, what their rows must be, and how a source row is laid out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{DerivedDef, Digest, Metadata};
use crate::data_type::{DataType, Field};
use crate::event::SourceId;
use crate::expr::Expr;
use crate::schema::Schema;
use crate::time::{Interval, Zone};

/// Whether a source is a stream or a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Things that happened.
    Stream,
    /// Versions of rows.
    Table,
}

/// A column of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceColumn {
    /// Name.
    pub name: String,
    /// Type.
    pub data_type: DataType,
    /// `NOT NULL`: a row without it is rejected.
    pub required: bool,
    /// `AS (expr)` over the source row's earlier columns; `None` for a stored column.
    pub computed: Option<Expr>,
    /// `COMMENT`
    pub comment: Option<String>,
}

/// `CHECK (expr)` of a source: a row for which it is not true is rejected; NULL passes, as
/// in SQL.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Over the source row.
    pub expr: Expr,
    /// As written, for the dead letter.
    pub sql: String,
}

/// `RETAIN gap FOR (columns)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retain {
    /// Source row indices of the key it holds for.
    pub key_columns: Vec<usize>,
    /// Microseconds.
    pub gap: i64,
}

/// A value in `WITH (...)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// A text, or a number as written.
    Text(String),
    /// `SECRET 'name'`: read from the environment when it is needed, never shown.
    Secret(String),
}

/// `CREATE STREAM` or `CREATE TABLE`.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDef {
    /// Its number, given by the registry.
    pub id: SourceId,
    /// Name.
    pub name: String,
    /// Stream or table.
    pub kind: SourceKind,
    /// Stored columns first, then computed ones.
    pub columns: Vec<SourceColumn>,
    /// How many of the columns are stored.
    pub stored: usize,
    /// Every version of the stored columns; the newest is what `columns` begins with.
    pub schema: Schema,
    /// Source row index of the event time.
    pub event_time: usize,
    /// The zone of times that come without one.
    pub zone: Zone,
    /// How far the watermark stays behind the greatest event time.
    pub lateness: Interval,
    /// `KNOWN AT`, over stored and computed columns and `event_time`.
    pub known_at: Option<Expr>,
    /// Source row indices of the event id; empty if none is declared.
    pub event_id: Vec<usize>,
    /// Source row indices of the primary key; empty for streams.
    pub primary_key: Vec<usize>,
    /// Source row indices of `SEQUENCE BY`.
    pub sequence_by: Vec<usize>,
    /// `DEDUPLICATE WITHIN`, microseconds; needs an event id.
    pub deduplicate_within: Option<i64>,
    /// How far beyond the timeline an event may be dated, microseconds.
    pub max_future: i64,
    /// `RETAIN`s.
    pub retain: Vec<Retain>,
    /// `HOT RETENTION`: how long events stay in the hot tier at least, microseconds; `None`:
    /// for ever. No value depends on it.
    pub hot_retention: Option<i64>,
    /// `WHERE`, over the source row: rows for which it is not true are left out and counted.
    pub filter: Option<Expr>,
    /// `CHECK`s.
    pub checks: Vec<Check>,
    /// `WITH (...)`.
    pub options: BTreeMap<String, OptionValue>,
    /// Of a derived stream: what its events are. Nobody else brings any.
    pub derived: Option<Arc<DerivedDef>>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL.
    pub sql: String,
    /// Its `D`: what of it can change a value.
    pub digest: Digest,
}

impl SourceDef {
    /// Slots of a source row.
    pub fn row_width(&self) -> usize {
        self.columns.len() + 2
    }

    /// Source row index of the pseudo-column `event_time`.
    pub fn event_time_slot(&self) -> usize {
        self.columns.len()
    }

    /// Source row index of the pseudo-column `visible_at`.
    pub fn visible_at_slot(&self) -> usize {
        self.columns.len() + 1
    }

    /// Slots of a change row.
    pub fn change_width(&self) -> usize {
        2 * self.row_width() + 1
    }

    /// Change row index of what a source row's slot held before the change.
    pub fn old_slot(&self, slot: usize) -> usize {
        self.row_width() + slot
    }

    /// Change row index of the operation.
    pub fn operation_slot(&self) -> usize {
        2 * self.row_width()
    }

    /// Whether a source row's slot is a time of its event.
    pub fn is_event_slot(&self, slot: usize) -> bool {
        [
            self.event_time,
            self.event_time_slot(),
            self.visible_at_slot(),
        ]
        .contains(&slot)
    }

    /// The types of a change row.
    pub fn change_types(&self) -> Vec<DataType> {
        let row = self.row_types();
        let twice = row.iter().chain(&row).cloned();
        twice.chain([DataType::String]).collect()
    }

    /// The types of a source row.
    pub fn row_types(&self) -> Vec<DataType> {
        self.columns
            .iter()
            .map(|c| c.data_type.clone())
            .chain([DataType::Timestamp, DataType::Timestamp])
            .collect()
    }

    /// The types of the stored columns: of [`crate::Event::row`].
    pub fn stored_types(&self) -> Vec<DataType> {
        self.columns[..self.stored]
            .iter()
            .map(|c| c.data_type.clone())
            .collect()
    }

    /// Whether it is a derived stream that has ended.
    pub fn has_ended(&self) -> bool {
        self.derived
            .as_ref()
            .is_some_and(|derived| derived.is_ended)
    }

    /// The stored columns as fields.
    pub fn stored_fields(&self) -> Vec<Field> {
        self.columns[..self.stored]
            .iter()
            .map(|c| Field::new(c.name.clone(), c.data_type.clone()))
            .collect()
    }

    /// Takes the schema versions of the definition before, of a source with events: with
    /// other stored columns they are a new version.
    pub fn continue_from(&mut self, before: &SourceDef) {
        let columns = self.stored_fields();
        let schema = before.schema.clone();
        self.schema = if schema.newest() == columns {
            schema
        } else {
            schema.and(columns)
        };
    }

    /// Source row index of a column or pseudo-column.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|c| c.name == name)
            .or(match name {
                "event_time" => Some(self.event_time_slot()),
                "visible_at" => Some(self.visible_at_slot()),
                _ => None,
            })
    }

    /// The `RETAIN` gap of the key made of these columns, in any order, microseconds.
    pub fn retain_gap(&self, key_columns: &[usize]) -> Option<i64> {
        self.retain
            .iter()
            .find(|r| {
                r.key_columns.len() == key_columns.len()
                    && r.key_columns.iter().all(|k| key_columns.contains(k))
            })
            .map(|r| r.gap)
    }
}
