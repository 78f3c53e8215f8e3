//! `CREATE BATCH FEATURE VIEW`: written out as a table of results and a view over it.
//!
//! The results of a run are rows of a table, so that reads, training, look-ups and verification know
//! them already. Invariant: what comes out are statements that could have been written instead, and
//! are bound, printed and recorded as such; their mistakes are told at the batch view.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use evenkeel_types::definition::{Catalog, OptionValue};
use evenkeel_types::{DataType, Field, Schedule, Zone};

use super::dataset::refuse_name;
use super::from_file::{FileSource, ReadColumns};
use super::report::Report;
use crate::ast::{CreateBatchView, EntityRef, Ident, Metadata, Span, Statement, StatementKind};
use crate::parser::parse_statements;

/// The connector of a table that a batch view writes.
pub const BATCH_CONNECTOR: &str = "batch";
/// The column of when a run was.
const RUN_AT: &str = "run_at";
/// The column of what a row does.
const RUN_OPERATION: &str = "run_operation";
/// The column of how often the run of one time was made anew before.
const RUN_REVISION: &str = "run_revision";

/// The name of the table that has the results of a batch view.
pub fn batch_table(view: &str) -> String {
    format!("{view}_runs")
}

/// The two statements that a batch view is. `None`: `report` says why not.
pub(super) fn write_out(
    create: &CreateBatchView,
    statements: &[&Statement],
    existing: &Catalog,
    read: &mut ReadColumns<'_>,
    report: &mut Report,
) -> Option<Vec<Statement>> {
    refuse_name(&create.name, "a batch view", report);
    let zone = match &create.zone {
        None => Zone::utc(),
        Some(name) => match Zone::named(&name.value) {
            Some(zone) => zone,
            None => {
                let message = format!("there is no time zone `{}`", name.value);
                return report.hinted(message, name.span, "such as `Europe/Berlin` or `+02:00`");
            }
        },
    };
    let schedule = match &create.schedule {
        None => String::new(),
        Some(written) => match Schedule::parse(&written.value, &zone) {
            Ok(schedule) => format!(
                ", schedule = {}, schedule_zone = {}",
                quoted(schedule.text()),
                quoted(schedule.zone().name()),
            ),
            Err(error) => {
                return report.hinted(
                    error.to_string(),
                    written.span,
                    "such as '0 3 * * *', every day at three",
                );
            }
        },
    };
    let keys = keys_of(&create.entity, statements, existing, report)?;
    let features = features(create, &keys, read, report)?;
    let recorded = Recorded {
        view: &create.name,
        entity: &create.entity,
        metadata: &create.metadata,
        table: batch_table(&create.name.value),
        keys: &keys,
        // The features last: a table takes new columns behind those that it has.
        own: &[
            Field::new(RUN_OPERATION, DataType::String),
            Field::new(RUN_AT, DataType::Timestamp),
            Field::new(RUN_REVISION, DataType::BigInt),
        ],
        features: &features,
        rules: format!(
            "EVENT TIME {RUN_AT}, SEQUENCE BY ({RUN_REVISION})) \
             WITH (connector = {}, operation = '{RUN_OPERATION}', query = {}{schedule}) \
             COMMENT {}",
            quoted(BATCH_CONNECTOR),
            quoted(&create.query.value),
            quoted(&format!(
                "the results of the batch view {}",
                create.name.value
            )),
        ),
    };
    recorded.statements(create.query.span, report)
}

/// The columns of a view's key, with the types of its entity's.
pub(super) fn keys_of(
    entity: &EntityRef,
    statements: &[&Statement],
    existing: &Catalog,
    report: &mut Report,
) -> Option<Vec<Field>> {
    let entity_keys = entity_keys(&entity.name, statements, existing, report)?;
    match &entity.columns {
        None => Some(entity_keys),
        Some(columns) if columns.columns.len() == entity_keys.len() => {
            let named = columns.columns.iter().zip(entity_keys);
            let field =
                |(name, key): (&Ident, Field)| Field::new(name.value.clone(), key.data_type);
            Some(named.map(field).collect())
        }
        Some(columns) => {
            let wanted = entity_keys.len();
            let message = format!("`{}` has {wanted} key columns", entity.name);
            report.error(message, columns.span)
        }
    }
}

/// The key of a view's entity.
pub(super) fn entity_keys(
    name: &Ident,
    statements: &[&Statement],
    existing: &Catalog,
    report: &mut Report,
) -> Option<Vec<Field>> {
    let written = statements
        .iter()
        .find_map(|statement| match &statement.kind {
            StatementKind::CreateEntity(entity) if entity.name.value == name.value => Some(entity),
            _ => None,
        });
    if let Some(entity) = written {
        let keys = entity.keys.iter();
        let field = |key: &crate::ast::RequestColumn| {
            Field::new(key.name.value.clone(), key.data_type.data_type.clone())
        };
        return Some(keys.map(field).collect());
    }
    match existing.entities.get(&name.value) {
        Some(entity) => Some(entity.keys.clone()),
        None => report.hinted(
            format!("there is no entity `{name}`"),
            name.span,
            format!("write `CREATE ENTITY {name} (...)`"),
        ),
    }
}

/// The features with their types: as declared, or as the query gives them.
fn features(
    create: &CreateBatchView,
    keys: &[Field],
    read: &mut ReadColumns<'_>,
    report: &mut Report,
) -> Option<Vec<Field>> {
    let query = FileSource {
        name: create.name.value.clone(),
        options: BTreeMap::from([
            (
                "connector".to_owned(),
                OptionValue::Text(BATCH_CONNECTOR.to_owned()),
            ),
            (
                "query".to_owned(),
                OptionValue::Text(create.query.value.clone()),
            ),
        ]),
        zone: Zone::utc(),
    };
    let found = match read(&query) {
        Ok(found) => found.columns,
        Err(why) => return report.error(why, create.query.span),
    };
    let declared: Vec<Field> = create
        .features
        .iter()
        .map(|f| Field::new(f.name.value.clone(), f.data_type.data_type.clone()))
        .collect();
    if found.is_empty() {
        if declared.is_empty() {
            return report.hinted(
                "the types of the features are not known here",
                create.name.span,
                "write them: `(flights BIGINT, delay DOUBLE)` behind the name",
            );
        }
        return Some(declared);
    }
    for key in keys {
        match found.iter().find(|f| f.name == key.name) {
            None => {
                return report.hinted(
                    format!("the query has no column `{}`, which is the key", key.name),
                    create.query.span,
                    "select it, or name the key's columns: `ENTITY entity (column)`",
                );
            }
            Some(field) if field.data_type != key.data_type => {
                return report.hinted(
                    format!(
                        "the key `{}` is {} in the query, and {} of the entity",
                        key.name, field.data_type, key.data_type
                    ),
                    create.query.span,
                    format!("write `CAST(... AS ...) AS {}`", key.name),
                );
            }
            Some(_) => {}
        }
    }
    let features: Vec<Field> = found
        .into_iter()
        .filter(|f| !keys.iter().any(|key| key.name == f.name))
        .collect();
    if declared.is_empty() {
        return Some(features);
    }
    for field in &declared {
        match features.iter().find(|f| f.name == field.name) {
            Some(found) if found.data_type == field.data_type => {}
            Some(found) => {
                return report.error(
                    format!(
                        "`{}` is {} in the query, and {} here",
                        field.name, found.data_type, field.data_type
                    ),
                    create.name.span,
                );
            }
            None => {
                let message = format!("the query has no column `{}`", field.name);
                return report.error(message, create.query.span);
            }
        }
    }
    Some(declared)
}

/// A view whose rows are recorded in a table of its own.
pub(super) struct Recorded<'a> {
    pub(super) view: &'a Ident,
    pub(super) entity: &'a EntityRef,
    pub(super) metadata: &'a Metadata,
    pub(super) table: String,
    pub(super) keys: &'a [Field],
    /// Columns of the table that are no features.
    pub(super) own: &'a [Field],
    pub(super) features: &'a [Field],
    /// What stands behind the table's primary key.
    pub(super) rules: String,
}

/// A text of SQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name of SQL.
fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn names<'f>(fields: impl IntoIterator<Item = &'f Field>) -> String {
    let names: Vec<String> = fields.into_iter().map(|f| name(&f.name)).collect();
    names.join(", ")
}

impl Recorded<'_> {
    /// The table and the view; `report` says why not. What is wrong with the query is told at
    /// a place.
    pub(super) fn statements(&self, place: Span, report: &mut Report) -> Option<Vec<Statement>> {
        let (mut written, errors) = parse_statements(&self.text());
        for error in errors {
            report.error::<()>(error.message, self.view.span);
        }
        if written.len() != 2 {
            return None;
        }
        for statement in &mut written {
            statement.span = place;
        }
        Some(written)
    }

    fn text(&self) -> String {
        let table = name(&self.table);
        let mut text = format!("CREATE TABLE {table} (");
        for field in self.keys.iter().chain(self.own).chain(self.features) {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{} {}, ", name(&field.name), field.data_type);
        }
        let _ = write!(
            text,
            "PRIMARY KEY ({}), {}; CREATE FEATURE VIEW {} ENTITY {} ({})",
            names(self.keys),
            self.rules,
            name(&self.view.value),
            name(&self.entity.name.value),
            names(self.keys)
        );
        let metadata = self.metadata;
        for (word, literal) in [("COMMENT", &metadata.comment), ("OWNER", &metadata.owner)] {
            if let Some(literal) = literal {
                let _ = write!(text, " {word} {}", quoted(&literal.value));
            }
        }
        if !metadata.tags.is_empty() {
            let tags = metadata.tags.iter();
            let tags: Vec<String> = tags
                .map(|tag| format!("{} = {}", quoted(&tag.key.value), quoted(&tag.value.value)))
                .collect();
            let _ = write!(text, " TAGS ({})", tags.join(", "));
        }
        let all = names(self.keys.iter().chain(self.features));
        let _ = write!(text, " AS SELECT {all} FROM {table};");
        text
    }
}
