//! Feature views: their features, and the three kinds of body.

use std::sync::Arc;

use super::{Check, Digest, Metadata, RowBody, SourceDef};
use crate::data_type::{DataType, Field};
use crate::expr::Expr;
use crate::frame::{AggregateCall, Frame};
use crate::value::Value;

/// A feature: one column of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Name.
    pub name: String,
    /// Type.
    pub data_type: DataType,
    /// `DEFAULT`: what serving may put in place of a missing value; never part of the value.
    pub default: Option<Value>,
    /// `EXPECT`, over the view's features; with its text.
    pub expect: Option<Check>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
}

/// A version of a feature view.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewDef {
    /// Name.
    pub name: String,
    /// From 1.
    pub version: u32,
    /// The entity's name; none for an on-demand view over the request alone.
    pub entity: Option<String>,
    /// The entity's key columns with types.
    pub key: Vec<Field>,
    /// The features in select order; the entity's key columns are not among them.
    pub features: Vec<Feature>,
    /// How it is evaluated.
    pub body: ViewBody,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL.
    pub sql: String,
    /// Its `D`.
    pub digest: Digest,
}

/// The kinds of view.
#[derive(Clone, Debug, PartialEq)]
pub enum ViewBody {
    /// Aggregates over windows that end at `t`, or over the rows that live at `t`.
    Window(WindowBody),
    /// One row per trigger event; at `t` the last row.
    Row(Box<RowBody>),
    /// Expressions over a request and over reads of other views of one entity at `t`.
    Composed(ComposedBody),
}

/// What an aggregate is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowRows {
    /// The events of the key that are in the window; of a table its upserts.
    Events,
    /// Of a table the rows that live at `t` and have the key: of each primary key the latest
    /// version up to `t`, unless it is a delete. The frame is all history.
    Live,
    /// Of a table its changes: versions, and the ends of rows. A change belongs to the key of the
    /// row after it, of a delete to that of the row that it ends.
    Changes,
}

/// An aggregate and its window.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowAggregate {
    /// What it is over.
    pub rows: WindowRows,
    /// The aggregate; expressions over the source row, of changes over the change row.
    pub call: AggregateCall,
    /// The window.
    pub frame: Frame,
}

/// Aggregates over one key of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceWindows {
    /// The source.
    pub source: Arc<SourceDef>,
    /// Source row indices of the key, in the order of the key values asked with.
    pub key_columns: Vec<usize>,
    /// `WHERE`, over the source row; before the windows.
    pub filter: Option<Expr>,
    /// The aggregates.
    pub aggregates: Vec<WindowAggregate>,
}

impl SourceWindows {
    /// Whether an aggregate is over such rows.
    pub fn has(&self, rows: WindowRows) -> bool {
        self.aggregates.iter().any(|a| a.rows == rows)
    }

    /// The aggregates that are over such rows.
    pub fn only(&self, rows: WindowRows) -> SourceWindows {
        let aggregates = self.aggregates.iter();
        SourceWindows {
            aggregates: aggregates.filter(|a| a.rows == rows).cloned().collect(),
            ..self.clone()
        }
    }
}

/// See [`ViewBody::Window`].
#[derive(Clone, Debug, PartialEq)]
pub struct WindowBody {
    /// The aggregates over the entity's key.
    pub windows: SourceWindows,
    /// One per feature, over the window scope.
    pub columns: Vec<Expr>,
}

impl WindowBody {
    /// Whether it is a state view: all of its aggregates are over rows that live at `t`.
    pub fn is_state(&self) -> bool {
        self.windows.has(WindowRows::Live)
    }
}

/// See [`ViewBody::Composed`].
#[derive(Clone, Debug, PartialEq)]
pub struct ComposedBody {
    /// Columns that come with the request, or in training with the spine.
    pub request: Vec<Field>,
    /// Views of the same entity, read at `t`.
    pub inputs: Vec<Arc<ViewDef>>,
    /// One per feature, over the composed scope.
    pub columns: Vec<Expr>,
}
