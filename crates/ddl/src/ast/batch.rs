//! `CREATE BATCH FEATURE VIEW`.

use super::{EntityRef, Ident, Metadata, RequestColumn, StringLit};

/// `CREATE BATCH FEATURE VIEW name [(feature TYPE, ...)] ENTITY e [SCHEDULE '...' [IN 'zone']] AS
/// query`: the query is another language's, and is kept as text.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateBatchView {
    /// Its name.
    pub name: Ident,
    /// Its features with their types; empty: those that the query gives.
    pub features: Vec<RequestColumn>,
    /// What they are about.
    pub entity: EntityRef,
    /// When it runs: the five fields of cron; if absent, when somebody asks for it.
    pub schedule: Option<StringLit>,
    /// The zone whose clock the schedule follows.
    pub zone: Option<StringLit>,
    /// The query.
    pub query: StringLit,
    /// Comment, owner, tags.
    pub metadata: Metadata,
}
