//! Spines that are queries over the store, and their labels.

use std::sync::Arc;

use super::{SourceDef, ViewDef};
use crate::data_type::Field;
use crate::expr::Expr;
use crate::time::Interval;

/// A spine that is a query over the store: one row per event of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct SpineQuery {
    /// The source; its event time is the spine's time.
    pub source: Arc<SourceDef>,
    /// `WHERE`, over the source row.
    pub filter: Option<Expr>,
    /// Columns of the spine, over the source row.
    pub columns: Vec<(Field, Expr)>,
    /// Labels, which come last.
    pub labels: Vec<Label>,
}

/// `LABEL x FROM v WITHIN h AS name`: a feature read forward.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The view.
    pub view: Arc<ViewDef>,
    /// The feature's index in it.
    pub feature: usize,
    /// How far forward.
    pub within: Interval,
    /// The key, over the spine source's row.
    pub key: Vec<Expr>,
    /// Name in the training set.
    pub name: String,
}
