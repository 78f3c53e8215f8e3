//! Entities, and what all objects have in common: metadata and names.

use std::collections::BTreeMap;

use evenkeel_types::definition::{EntityDef, Metadata};
use evenkeel_types::{DataType, Field};

use super::report::Report;
use super::scope::PSEUDO_COLUMNS;
use crate::ast::{self, CreateEntity, Ident, Span};
use crate::error::Diagnostic;

/// `CREATE ENTITY`. `sql` is its canonical text.
pub(super) fn bind_entity(create: &CreateEntity, sql: String, report: &mut Report) -> EntityDef {
    let mut keys = Vec::new();
    let mut names = UniqueNames::new("key column");
    for key in &create.keys {
        names.add(&key.name, report);
        refuse_pseudo(&key.name, "a key column", report);
        if !key.data_type.data_type.is_key() {
            report.hinted::<()>(
                format!("{} cannot be a key", key.data_type.data_type),
                key.data_type.span,
                key_hint(&key.data_type.data_type),
            );
        }
        keys.push(Field::new(
            key.name.value.clone(),
            key.data_type.data_type.clone(),
        ));
    }
    EntityDef {
        name: create.name.value.clone(),
        keys,
        metadata: metadata(&create.metadata, report),
        sql,
    }
}

/// What to use as a key instead of this type.
pub(super) fn key_hint(data_type: &DataType) -> &'static str {
    if data_type.is_float() {
        "a key must be exactly equal to itself everywhere: use BIGINT, DECIMAL or STRING"
    } else {
        "use STRING, BYTES, INT, BIGINT, DECIMAL, BOOLEAN, DATE or TIMESTAMP"
    }
}

/// Comment, owner, tags.
pub(super) fn metadata(written: &ast::Metadata, report: &mut Report) -> Metadata {
    let mut tags = BTreeMap::new();
    let mut places: BTreeMap<&str, Span> = BTreeMap::new();
    for tag in &written.tags {
        if let Some(first) = places.get(tag.key.value.as_str()) {
            report.push::<()>(
                Diagnostic::error(
                    format!("tag `{}` is given twice", tag.key.value),
                    tag.key.span,
                )
                .with_related(*first, "first given here"),
            );
            continue;
        }
        places.insert(&tag.key.value, tag.key.span);
        tags.insert(tag.key.value.clone(), tag.value.value.clone());
    }
    Metadata {
        comment: written.comment.as_ref().map(|c| c.value.clone()),
        owner: written.owner.as_ref().map(|o| o.value.clone()),
        tags,
    }
}

/// Names that may occur once, with the place of the first.
#[derive(Debug)]
pub(super) struct UniqueNames {
    what: &'static str,
    places: BTreeMap<String, Span>,
}

impl UniqueNames {
    /// `what` the names are names of, for the message.
    pub(super) fn new(what: &'static str) -> Self {
        UniqueNames {
            what,
            places: BTreeMap::new(),
        }
    }

    /// Takes a name; tells an error and answers false if it was there.
    pub(super) fn add(&mut self, name: &Ident, report: &mut Report) -> bool {
        if let Some(first) = self.places.get(&name.value) {
            report.push::<()>(
                Diagnostic::error(
                    format!("{} `{name}` is declared twice", self.what),
                    name.span,
                )
                .with_related(*first, "first declared here"),
            );
            return false;
        }
        self.places.insert(name.value.clone(), name.span);
        true
    }
}

/// Refuses the names of pseudo-columns for something else.
pub(super) fn refuse_pseudo(name: &Ident, what: &str, report: &mut Report) {
    if PSEUDO_COLUMNS.contains(&name.value.as_str()) {
        let hint = if name.value == "event_time" {
            "call it otherwise: `event_time` is the time of an event"
        } else {
            "call it otherwise: `visible_at` is when an event became known"
        };
        report.hinted::<()>(
            format!("`{name}` cannot be the name of {what}: every source has a column of that name already"),
            name.span,
            hint,
        );
    }
}
