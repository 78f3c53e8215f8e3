//! Views that are written out: statements that say the same take their place before anything is bound.
//!
//! What they say is known by the kinds of view themselves (`batch`, `pushed`, `emitted`); here they are
//! found, and those that cannot be written out are noted.

use evenkeel_types::definition::Catalog;

use super::{Found, Node};
use crate::ast::{Statement, StatementKind};
use crate::bind::from_file::ReadColumns;
use crate::bind::order::Space;
use crate::bind::report::Report;
use crate::bind::{batch, emitted, pushed};

/// Puts a table and a view in place of each batch view and pushed view. Those that cannot be are
/// among what was not read.
pub(super) fn write_out_recorded_views(
    nodes: Vec<Node>,
    existing: &Catalog,
    read: &mut ReadColumns<'_>,
    found: &mut Found<'_>,
    unread: &mut Vec<(Space, String)>,
) -> Vec<Node> {
    let is_recorded = |node: &Node| {
        matches!(
            node.parsed.kind,
            StatementKind::CreateBatchView(_) | StatementKind::CreatePushedView(_)
        )
    };
    if !nodes.iter().any(is_recorded) {
        return nodes;
    }
    let (recorded, mut others): (Vec<Node>, Vec<Node>) = nodes.into_iter().partition(is_recorded);
    for node in recorded {
        let mut report = Report::default();
        let statements: Vec<&Statement> = others.iter().map(|other| &other.parsed).collect();
        let (name, table, written) = match &node.parsed.kind {
            StatementKind::CreateBatchView(create) => (
                &create.name,
                batch::batch_table(&create.name.value),
                batch::write_out(create, &statements, existing, read, &mut report),
            ),
            StatementKind::CreatePushedView(create) => (
                &create.name,
                pushed::pushed_table(&create.name.value),
                pushed::write_out(create, &statements, existing, &mut report),
            ),
            _ => continue,
        };
        found.take(node.file, report);
        match written {
            None => unread.extend([
                (Space::Relation, name.value.clone()),
                (Space::Relation, table),
            ]),
            Some(statements) => others.extend(statements.into_iter().map(|parsed| Node {
                file: node.file,
                statement: node.statement,
                parsed,
                written_from: Some(name.span),
            })),
        }
    }
    others
}

/// Puts rows, stream and view in place of each view that is emitted.
pub(super) fn write_out_emitted_views(
    nodes: Vec<Node>,
    existing: &Catalog,
    found: &mut Found<'_>,
    unread: &mut Vec<(Space, String)>,
) -> Vec<Node> {
    let is_emitted = |node: &Node| match &node.parsed.kind {
        StatementKind::CreateFeatureView(view) => emitted::is_emitted(view),
        _ => false,
    };
    if !nodes.iter().any(is_emitted) {
        return nodes;
    }
    let (views, mut others): (Vec<Node>, Vec<Node>) = nodes.into_iter().partition(is_emitted);
    for node in views {
        let StatementKind::CreateFeatureView(view) = &node.parsed.kind else {
            continue;
        };
        let mut report = Report::default();
        let statements: Vec<&Statement> = others.iter().map(|other| &other.parsed).collect();
        let written = emitted::write_out(view, &statements, existing, &mut report);
        found.take(node.file, report);
        match written {
            None => {
                let names = view.name.as_ref().map(|name| name.value.clone());
                let names = names.into_iter().chain(emitted::topic_of(view));
                unread.extend(names.map(|name| (Space::Relation, name)));
            }
            Some(statements) => others.extend(statements.into_iter().map(|parsed| Node {
                file: node.file,
                statement: node.statement,
                parsed,
                written_from: None,
            })),
        }
    }
    others
}
