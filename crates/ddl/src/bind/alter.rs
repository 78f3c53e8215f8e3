//! `ALTER STREAM | TABLE`: the `CREATE` statement of the same project with the columns that
//! follow from it, in the order of the files.
//!
//! Nothing of an `ALTER` is recorded but what it makes of its `CREATE`; a project whose
//! `CREATE` says the same from the start is the same project.

use std::collections::BTreeMap;

use super::order::{Space, defined};
use super::project::Node;
use super::report::{Report, did_you_mean};
use super::scope::with_hint;
use crate::ast::{
    Alter, ColumnChange, ColumnDef, CreateSource, Ident, ObjectKind, SourceBody, SourceKind, Span,
    StatementKind,
};
use crate::error::Diagnostic;

/// Where columns were written that an `ALTER` added or changed: file and place, by source
/// and column.
#[derive(Debug, Default)]
pub(super) struct AlteredPlaces(BTreeMap<(String, String), (usize, Span)>);

impl AlteredPlaces {
    /// The place of a column, if it is not that of its `CREATE`.
    pub(super) fn of(&self, source: &str, column: &str) -> Option<(usize, Span)> {
        let key = (source.to_owned(), column.to_owned());
        self.0.get(&key).copied()
    }
}

/// What altering came to.
#[derive(Debug, Default)]
pub(super) struct Altered {
    pub(super) places: AlteredPlaces,
    /// What is wrong, by file.
    pub(super) reports: Vec<(usize, Report)>,
    /// The statements that are not what somebody wanted to make of them.
    pub(super) broken: Vec<usize>,
}

/// Takes the `ALTER` statements out of a project and does what they say. `unread` are the
/// names that statements define which were not understood.
pub(super) fn alter(nodes: &mut Vec<Node>, unread: &[(Space, String)]) -> Altered {
    let (alters, mut rest): (Vec<Node>, Vec<Node>) = std::mem::take(nodes)
        .into_iter()
        .partition(|n| matches!(n.parsed.kind, StatementKind::Alter(_)));
    let mut altered = Altered::default();
    for node in &alters {
        let StatementKind::Alter(change) = &node.parsed.kind else {
            continue;
        };
        let mut report = Report::default();
        let named = rest.iter().position(|n| {
            defined(&n.parsed).is_some_and(|(space, name)| {
                space == Space::Relation && name.value == change.name.value
            })
        });
        match named {
            Some(index) => {
                if let Some(create) = source(change, &mut rest[index], &mut report) {
                    for column in &change.changes {
                        let changed = apply(column, create, &mut report);
                        if let Some((column, place)) = changed {
                            let key = (create.name.value.clone(), column);
                            altered.places.0.insert(key, (node.file, place));
                        }
                    }
                }
                if report.has_errors() {
                    altered.broken.push(index);
                }
            }
            None => {
                let is_unread = unread
                    .iter()
                    .any(|(space, name)| *space == Space::Relation && *name == change.name.value);
                if !is_unread {
                    refuse_unknown(change, &rest, &mut report);
                }
            }
        }
        altered.reports.push((node.file, report));
    }
    *nodes = rest;
    altered
}

fn refuse_unknown(change: &Alter, nodes: &[Node], report: &mut Report) {
    let sources = nodes.iter().filter_map(|n| match &n.parsed.kind {
        StatementKind::CreateSource(create) => Some(create.name.value.as_str()),
        _ => None,
    });
    report.push::<()>(with_hint(
        Diagnostic::error(
            format!("no file defines a source `{}`", change.name),
            change.name.span,
        ),
        did_you_mean(&change.name.value, sources),
    ));
}

/// The source that a statement alters, if it can be altered.
fn source<'n>(
    change: &Alter,
    node: &'n mut Node,
    report: &mut Report,
) -> Option<&'n mut CreateSource> {
    let name = &change.name;
    let StatementKind::CreateSource(create) = &mut node.parsed.kind else {
        return report.hinted(
            format!("`{name}` is a view, and only streams and tables can be altered"),
            name.span,
            "change the definition and apply it: that makes a new version",
        );
    };
    let is_kind = matches!(
        (change.kind, create.kind),
        (ObjectKind::Stream, SourceKind::Stream) | (ObjectKind::Table, SourceKind::Table)
    );
    if !is_kind {
        let kind = match create.kind {
            SourceKind::Stream => "STREAM",
            SourceKind::Table => "TABLE",
        };
        return report.hinted(
            format!("`{name}` is no {}", change.kind.to_string().to_lowercase()),
            name.span,
            format!("write `ALTER {kind} {name}`"),
        );
    }
    match &create.body {
        SourceBody::Declared { .. } => Some(create),
        SourceBody::FromFile { .. } => report.hinted(
            format!("the columns of `{name}` are those of a file, and are not altered"),
            name.span,
            "write the column into the parentheses before `FROM FILE`",
        ),
        SourceBody::Query { .. } => report.hinted(
            format!("the columns of `{name}` are those of its query, and are not altered"),
            name.span,
            "write another derived stream, with a query that has them",
        ),
    }
}

/// Does one change; the column that has changed, and where that is written.
fn apply(
    change: &ColumnChange,
    create: &mut CreateSource,
    report: &mut Report,
) -> Option<(String, Span)> {
    let name_place = create.name.span;
    let source = create.name.clone();
    let SourceBody::Declared { columns, .. } = &mut create.body else {
        return None;
    };
    match change {
        ColumnChange::Add(added) => {
            if columns.iter().any(|c| c.name.value == added.name.value) {
                return report.hinted(
                    format!("`{source}` has a column `{}` already", added.name),
                    added.name.span,
                    "give the new one another name, or leave this out",
                );
            }
            if added.computed.is_some() {
                return report.hinted(
                    format!("`{}` is computed: no event has it", added.name),
                    added.span,
                    format!("write it into the `CREATE` statement of `{source}`"),
                );
            }
            if !added.data_type.data_type.is_storable() {
                return report.hinted(
                    format!("a column cannot be of type {}", added.data_type),
                    added.data_type.span,
                    "use a scalar, an array or a vector",
                );
            }
            // Whatever else is said of it is said of the statement that it is now part of.
            let mut column: ColumnDef = added.clone();
            column.name.span = name_place;
            column.data_type.span = name_place;
            column.span = name_place;
            columns.push(column);
            Some((added.name.value.clone(), added.span))
        }
        ColumnChange::Type { column, data_type } => {
            let names = columns.iter().map(|c| c.name.value.clone());
            let names: Vec<String> = names.collect();
            let place = column.span.to(data_type.span);
            let Some(found) = columns.iter_mut().find(|c| c.name.value == column.value) else {
                return unknown_column(&source, column, &names, report);
            };
            if found.computed.is_some() {
                return report.hinted(
                    format!("`{column}` is computed: its type is that of its definition"),
                    place,
                    format!("change it in the `CREATE` statement of `{source}`"),
                );
            }
            if !found.data_type.data_type.widens_to(&data_type.data_type) {
                let from = &found.data_type.data_type;
                return report.push(not_wider(column, from, &data_type.data_type, place));
            }
            found.data_type.data_type = data_type.data_type.clone();
            Some((column.value.clone(), place))
        }
    }
}

fn unknown_column<T>(
    source: &Ident,
    column: &Ident,
    names: &[String],
    report: &mut Report,
) -> Option<T> {
    report.push(with_hint(
        Diagnostic::error(format!("`{source}` has no column `{column}`"), column.span),
        did_you_mean(&column.value, names.iter().map(String::as_str)),
    ))
}

/// A type that the values of a column do not all have an equal in.
pub(super) fn not_wider(
    column: impl std::fmt::Display,
    from: &evenkeel_types::DataType,
    to: &evenkeel_types::DataType,
    place: Span,
) -> Diagnostic {
    use evenkeel_types::DataType;
    let can = match from {
        DataType::Int => "INT widens to BIGINT or DOUBLE; ".to_owned(),
        DataType::Float => "FLOAT widens to DOUBLE; ".to_owned(),
        DataType::Decimal { scale, .. } => {
            format!("{from} widens to more digits with {scale} after the point; ")
        }
        _ => String::new(),
    };
    Diagnostic::error(
        format!("`{column}` cannot become {to}: it is {from}, which does not widen to that"),
        place,
    )
    .with_hint(format!(
        "{can}for another type add a column, or compute one: `AS (CAST({column} AS {to}))`"
    ))
}
