//! Segments.

use super::{Ident, Metadata, Query};

/// `CREATE SEGMENT name [COMMENT ...] AS SELECT ... FROM views [WHERE ...]`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateSegment {
    /// Its name.
    pub name: Ident,
    /// Which keys, and what is shown of them.
    pub query: Query,
    /// Comment, owner, tags.
    pub metadata: Metadata,
}
