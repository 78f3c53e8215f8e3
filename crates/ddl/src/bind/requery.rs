//! What stays of a derived stream that emits: its query, with all that it reads, and its columns.
//!
//! Versions of views pin what they read by the name of the stream, and an emission tells only by
//! its digest what it was made by. So one name has one query: what is emitted follows from the log,
//! whatever was applied in between, and older versions answer as they did.

use evenkeel_types::DataType;
use evenkeel_types::definition::{Catalog, Digest, SourceDef};

use super::digest::digest;
use super::evolve::{Evolution, Refusal};
use super::order::{Space, references};
use crate::ast::{CreateSource, Statement, StatementKind};
use crate::parser::parse_statements;

const HINT: &str = "leave it as it was, and give the new one another name (of a materialised \
                    view: `EMIT TO` another topic)";

impl Evolution<'_> {
    /// Why a stream that has ended cannot be defined.
    pub(super) fn of_ended(&self) -> Refusal {
        let message = format!("`{}` has ended: it does not begin again", self.old.name);
        self.of_source(message, "give the new one another name")
    }

    /// Why a derived stream that may have emitted cannot be what it is now.
    pub(super) fn of_query(&self) -> Option<Refusal> {
        let (old, new) = (self.old, self.new);
        let (was, is) = old.derived.as_deref().zip(new.derived.as_deref())?;
        let name = &new.name;
        if was.query != is.query {
            let message = format!(
                "`{name}` is a derived stream that emits: neither its query can change nor a view \
                 that it reads, nor what it calls, nor `ON LATE`"
            );
            return Some(self.of_source(message, HINT));
        }
        if stored_of(old) != stored_of(new) {
            let message = format!(
                "`{name}` is a derived stream that emits, and what it reads gives it other columns"
            );
            let hint = "name the columns that it had, with the types of then; or give the new one \
                        another name";
            return Some(self.of_source(message, hint));
        }
        None
    }
}

/// The query of a stream over the newest definitions of some catalogs, the first that has a name first.
pub(super) fn query_of_stream(create: &CreateSource, catalogs: &[&Catalog]) -> Digest {
    let statement = Statement {
        kind: StatementKind::CreateSource(Box::new(create.clone())),
        span: create.name.span,
    };
    query_of(&statement, catalogs)
}

/// Whether a derived stream goes on by what was defined before: its text would mean something else over the
/// newest definitions.
pub fn goes_on_as_it_was(stream: &SourceDef, catalog: &Catalog) -> bool {
    let derived = stream.derived.as_ref().filter(|derived| !derived.is_ended);
    derived.is_some_and(|derived| of_text(&stream.sql, &[catalog]) != Some(derived.query))
}

fn stored_of(def: &SourceDef) -> Vec<(&str, &DataType)> {
    let stored = def.columns[..def.stored].iter();
    stored.map(|c| (c.name.as_str(), &c.data_type)).collect()
}

/// The query that a text is, if it can be read.
fn of_text(sql: &str, catalogs: &[&Catalog]) -> Option<Digest> {
    let (statements, _) = parse_statements(sql);
    Some(query_of(statements.first()?, catalogs))
}

/// A query, those of the views that it reads, the models and the functions that it calls. Sources count by their names: what of them may
/// change is decided where they do.
fn query_of(statement: &Statement, catalogs: &[&Catalog]) -> Digest {
    let views = references(statement).into_iter().filter_map(|reference| {
        let name = reference.name.value.as_str();
        if reference.space == Space::Model {
            let mut found = catalogs
                .iter()
                .filter_map(|catalog| catalog.models.get(name));
            let newest = found.next()?.values().next_back()?;
            return Some((name.to_owned(), newest.digest));
        }
        if reference.space == Space::Function {
            let newest = catalogs.iter().find_map(|catalog| catalog.function(name))?;
            return Some((name.to_owned(), newest.spec.digest));
        }
        let version = reference.version.and_then(|v| u32::try_from(v).ok());
        let view = catalogs.iter().find_map(|catalog| match version {
            None => catalog.view(name),
            Some(version) => catalog.view_version(name, version),
        });
        let view = view.filter(|_| reference.space == Space::Relation)?;
        let query = match version {
            None => of_text(&view.sql, catalogs)?,
            // What is pinned stays.
            Some(_) => view.digest,
        };
        Some((name.to_owned(), query))
    });
    digest(statement, &views.collect::<Vec<_>>())
}
