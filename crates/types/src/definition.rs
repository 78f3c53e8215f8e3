//! Definitions as data: what `CREATE ...` statements mean once names and types are
//! resolved. The `ddl` crate makes them from SQL text; `view`, `engine` and `train` evaluate
//! them; nobody changes them.
//!
//! Row layouts, on which every column index below relies:
//! - **source row**: stored columns, computed columns, then the pseudo-columns `event_time`
//!   and `visible_at` (both TIMESTAMP). [`SourceDef::row_width`] slots.
//! - **change row** of a table: the source row after a change (of a delete the row that it ends,
//!   with the times of the delete), the source row before it (NULLs where there was none), then
//!   the operation: `insert`, `update` or `delete`. [`SourceDef::change_width`] slots.
//! - **window scope**: the key values, then the results of the view's aggregates.
//! - **row scope**: the trigger's source row (for a full join: the left source row, then the
//!   right one), then the results of the windows in order, then each look-up's columns in
//!   order: a source row for a source, the features for a view.
//! - **composed scope**: the key values, the request columns, then the features of each
//!   input view in order.

mod catalog;
mod dataset;
mod derived;
mod function;
mod model;
mod recorded;
mod row;
mod segment;
mod service;
mod source;
mod spine;
mod timer;
mod view;

use std::collections::BTreeMap;

use crate::data_type::Field;

pub use catalog::{Catalog, Definition};
pub use dataset::{
    DatasetDef, DatasetFormat, DatasetLabel, DatasetSpine, DatasetTransform, Impute, Shape,
    SharePart, Split, TimePart,
};
pub use derived::{DerivedDef, Watched};
pub use function::{FrozenFunction, FunctionClass, FunctionDef, FunctionHost, FunctionSpec};
pub use model::{LoadedModel, ModelDef, ModelFiles, ModelProblem, ModelSource};
pub use recorded::RecordedCall;
pub use row::{Lookup, LookupTarget, MaxAge, RowBody, Trigger, TriggerSide};
pub use segment::SegmentDef;
pub use service::{ServiceDef, ServiceItem};
pub use source::{Check, OptionValue, Retain, SourceColumn, SourceDef, SourceKind};
pub use spine::{Label, SpineQuery};
pub use timer::Timer;
pub use view::{
    ComposedBody, Feature, SourceWindows, ViewBody, ViewDef, WindowAggregate, WindowBody,
    WindowRows,
};

/// A digest of a definition and of everything it depends on: its `D`.
pub type Digest = [u8; 16];

/// What people want to know of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `COMMENT`
    pub comment: Option<String>,
    /// `OWNER`
    pub owner: Option<String>,
    /// `TAGS`
    pub tags: BTreeMap<String, String>,
}

/// `CREATE ENTITY`: what features are about.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityDef {
    /// Name.
    pub name: String,
    /// Key columns with types ([`DataType::is_key`](crate::DataType::is_key)).
    pub keys: Vec<Field>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL.
    pub sql: String,
}
