//! The body of a row view: its trigger, look-ups and columns.

use std::sync::Arc;

use super::{SourceDef, SourceWindows, ViewDef};
use crate::expr::Expr;
use crate::time::Interval;

/// See [`ViewBody::Row`](super::ViewBody::Row).
#[derive(Clone, Debug, PartialEq)]
pub struct RowBody {
    /// What brings rows.
    pub trigger: Trigger,
    /// Windows over the trigger's own source, read at the trigger's time with the key taken
    /// from the trigger's row.
    pub windows: Vec<SourceWindows>,
    /// Look-ups, in order; a later one may use an earlier one's columns.
    pub lookups: Vec<Lookup>,
    /// What of `WHERE` needs more than the trigger's columns; over the row scope. A row for
    /// which it is not true does not exist.
    pub filter: Option<Expr>,
    /// One per feature, over the row scope.
    pub columns: Vec<Expr>,
    /// A row with `time <= t - ttl` is outside its maximal age.
    pub ttl: Option<Interval>,
}

impl RowBody {
    /// How many slots of the row scope the trigger fills.
    pub fn trigger_width(&self) -> usize {
        match &self.trigger {
            Trigger::Source(side) => side.source.row_width(),
            Trigger::Full { left, right } => left.source.row_width() + right.source.row_width(),
        }
    }
}

/// What brings the rows of a row view.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// Each event of a stream; for a table (then the key is its primary key) each version,
    /// until a delete ends it.
    Source(TriggerSide),
    /// `left ASOF FULL JOIN right`: a row at every event time of either side, with the
    /// latest of each side up to it.
    Full {
        /// `a`
        left: TriggerSide,
        /// `b`
        right: TriggerSide,
    },
}

/// A source that brings rows.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerSide {
    /// The source.
    pub source: Arc<SourceDef>,
    /// Source row indices of the view's key. Of a derived stream there are none: each event
    /// brings its row, and none is looked for.
    pub key_columns: Vec<usize>,
    /// What of `WHERE` needs this side's columns only; over its source row.
    pub filter: Option<Expr>,
}

/// `ASOF JOIN`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// The right side's alias.
    pub alias: String,
    /// The right side.
    pub target: LookupTarget,
    /// The right side's key, over the row scope so far. A NULL or ERROR among them matches
    /// nothing.
    pub keys: Vec<Expr>,
    /// `>` instead of `>=`: only rows earlier than the trigger.
    pub strict: bool,
    /// The oldest row that matches.
    pub max_age: Option<MaxAge>,
    /// Over the right side's columns; before matching.
    pub filter: Option<Expr>,
}

/// An age limit of a look-up, from the trigger's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxAge {
    /// How old.
    pub age: Interval,
    /// Whether a row of exactly this age still matches (`>=` instead of `>`).
    pub inclusive: bool,
}

/// The right side of a look-up.
#[derive(Clone, Debug, PartialEq)]
pub enum LookupTarget {
    /// The latest event of a stream; the state of a table (then the key is its primary key).
    Source {
        /// The source.
        source: Arc<SourceDef>,
        /// Source row indices of the key.
        key_columns: Vec<usize>,
    },
    /// A read of a view at the trigger's time.
    View(Arc<ViewDef>),
}

impl LookupTarget {
    /// How many slots of the row scope it fills.
    pub fn width(&self) -> usize {
        match self {
            LookupTarget::Source { source, .. } => source.row_width(),
            LookupTarget::View(view) => view.features.len(),
        }
    }
}
