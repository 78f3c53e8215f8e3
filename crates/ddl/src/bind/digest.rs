//! Digests: what of a definition, and of all it depends on, can change a value.
//!
//! Hashed is the canonical SQL without comments, owners, tags, defaults, expectations, where
//! rows come from and how late they are expected to be: none of these changes the value of a
//! feature for given events. Invariant: equal digests, equal values.

use evenkeel_types::definition::{Digest, EntityDef};
use evenkeel_types::time::ZONE_DATABASE_VERSION;

use super::options::DECODING;
use crate::ast::{
    ColumnDef, CreateFunction, CreateSource, Metadata, RequestColumn, SourceBody, Statement,
    StatementKind,
};

/// Grows when the layout of what is hashed changes.
const DIGEST_VERSION: u32 = 1;

/// The digest of a statement and of what it depends on, given by name and digest.
pub(super) fn digest(statement: &Statement, dependencies: &[(String, Digest)]) -> Digest {
    digest_text(&essence(statement).to_string(), dependencies)
}

/// The digest of a text that stands for a definition.
pub(super) fn digest_text(text: &str, dependencies: &[(String, Digest)]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        // Lengths keep one part from running into the next; no text has 2^64 bytes.
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    let (major, minor, update) = evenkeel_expr::UNICODE_VERSION;
    part(b"evenkeel definition");
    part(&DIGEST_VERSION.to_le_bytes());
    part(&evenkeel_expr::LANGUAGE_VERSION.to_le_bytes());
    part(&[major, minor, update]);
    part(ZONE_DATABASE_VERSION.as_bytes());
    part(text.as_bytes());
    for (name, digest) in dependencies {
        part(name.as_bytes());
        part(digest);
    }
    let mut out = [0; 16];
    hasher.finalize_xof().fill(&mut out);
    out
}

/// The digest of an entity: its keys.
pub(super) fn entity_digest(entity: &EntityDef) -> Digest {
    let keys: Vec<String> = entity
        .keys
        .iter()
        .map(|k| format!("{} {}", k.name, k.data_type))
        .collect();
    digest_text(&format!("{}: {}", entity.name, keys.join("\n")), &[])
}

/// The statement without what cannot change a value.
fn essence(statement: &Statement) -> Statement {
    let mut essence = statement.clone();
    match &mut essence.kind {
        StatementKind::CreateEntity(create) => {
            create.metadata = Metadata::default();
            strip_requests(&mut create.keys);
        }
        StatementKind::CreateSource(create) => strip_source(create),
        StatementKind::CreateFeatureView(view) => {
            view.metadata = Metadata::default();
            view.features.clear();
        }
        StatementKind::CreateOnDemandView(view) => {
            view.metadata = Metadata::default();
            view.features.clear();
            strip_requests(&mut view.request);
        }
        StatementKind::CreateBatchView(view) => view.metadata = Metadata::default(),
        StatementKind::CreatePushedView(view) => view.metadata = Metadata::default(),
        StatementKind::CreateFeatureService(service) => service.metadata = Metadata::default(),
        StatementKind::CreateTrainingDataset(dataset) => dataset.metadata = Metadata::default(),
        StatementKind::CreateSegment(segment) => segment.metadata = Metadata::default(),
        StatementKind::CreateModel(model) => model.metadata = Metadata::default(),
        StatementKind::CreateFunction(function) => strip_function(function),
        StatementKind::Drop(_) | StatementKind::Alter(_) | StatementKind::Planned(_) => {}
    }
    essence
}

/// A class says what was seen of the values. Limits are of the version, as views are bound to one.
fn strip_function(function: &mut CreateFunction) {
    function.metadata = Metadata::default();
    strip_requests(&mut function.parameters);
    if let Some(frozen) = &mut function.frozen {
        frozen.class.value.clear();
    }
}

fn strip_requests(columns: &mut [RequestColumn]) {
    for column in columns {
        column.comment = None;
    }
}

fn strip_source(create: &mut CreateSource) {
    create.metadata = Metadata::default();
    if let SourceBody::Declared {
        columns,
        clauses,
        options,
        ..
    } = &mut create.body
    {
        for ColumnDef { comment, .. } in columns {
            *comment = None;
        }
        clauses.max_future = None;
        clauses.hot_retention = None;
        if let Some(event_time) = &mut clauses.event_time {
            event_time.lateness = None;
        }
        options.retain(|o| DECODING.contains(&o.key.value.as_str()));
        options.sort_by(|a, b| a.key.value.cmp(&b.key.value));
    }
}
