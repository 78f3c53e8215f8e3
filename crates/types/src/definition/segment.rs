//! Segments: which keys of an entity, by their features.

use std::sync::Arc;

use super::{Digest, Metadata, ViewDef};
use crate::data_type::Field;
use crate::expr::Expr;

/// A version of a segment: which keys of an entity, by their features.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentDef {
    /// Name; empty for a question that nobody defined.
    pub name: String,
    /// From 1.
    pub version: u32,
    /// The entity's name.
    pub entity: String,
    /// The entity's key columns with types.
    pub key: Vec<Field>,
    /// The views that it reads, of that entity and without a request.
    pub inputs: Vec<Arc<ViewDef>>,
    /// What is selected besides the key, in order.
    pub fields: Vec<Field>,
    /// One per field, over the segment's scope: the key, then the features of each input.
    pub columns: Vec<Expr>,
    /// `WHERE`, over the same.
    pub filter: Option<Expr>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL.
    pub sql: String,
    /// Its `D`.
    pub digest: Digest,
}
