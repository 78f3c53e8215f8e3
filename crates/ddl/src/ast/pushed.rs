//! `CREATE PUSHED FEATURE VIEW`.

use super::{EntityRef, Ident, Metadata, RequestColumn};

/// `CREATE PUSHED FEATURE VIEW name (feature TYPE, ...) ENTITY e`: features that are computed
/// elsewhere, and set.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatePushedView {
    /// Its name.
    pub name: Ident,
    /// Its features with their types.
    pub features: Vec<RequestColumn>,
    /// What they are about.
    pub entity: EntityRef,
    /// Comment, owner, tags.
    pub metadata: Metadata,
}
