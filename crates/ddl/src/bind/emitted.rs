//! `MATERIALIZED` and `EMIT TO` of a feature view: written out as a derived stream of its rows, and a
//! view over that.
//!
//! Invariant: what comes out are statements that could have been written instead, and are bound,
//! printed and recorded as such; their mistakes are told at the view.

use evenkeel_types::definition::Catalog;

use super::batch::entity_keys;
use super::report::Report;
use crate::ast::{
    ColumnList, CreateFeatureView, CreateSource, EntityRef, Expr, ExprKind, Ident, Metadata, Query,
    Relation, RelationSource, SelectItem, SourceBody, SourceKind, Span, Statement, StatementKind,
};

/// The name of the stream of a materialised view that names no topic.
pub(super) fn topic_of(view: &CreateFeatureView) -> Option<String> {
    let name = view.name.as_ref()?;
    Some(match &view.emit_to {
        Some(topic) => topic.value.clone(),
        None => format!("{}_emissions", name.value),
    })
}

/// Whether a view is written out.
pub(super) fn is_emitted(view: &CreateFeatureView) -> bool {
    view.name.is_some() && (view.materialized.is_some() || view.emit_to.is_some())
}

/// The statements that a view is: its rows, the stream of them, and where it is materialised the view
/// over that. `None`: `report` says why not.
pub(super) fn write_out(
    view: &CreateFeatureView,
    statements: &[&Statement],
    existing: &Catalog,
    report: &mut Report,
) -> Option<Vec<Statement>> {
    let name = view.name.as_ref()?;
    let topic = Ident {
        span: view.emit_to.as_ref().map_or(name.span, |topic| topic.span),
        ..Ident::named(topic_of(view)?)
    };
    let keys: Vec<Ident> = match &view.entity.columns {
        Some(columns) => columns.columns.clone(),
        None => entity_keys(&view.entity.name, statements, existing, report)?
            .into_iter()
            .map(|key| Ident {
                span: view.entity.span,
                ..Ident::named(key.name)
            })
            .collect(),
    };
    let rows = Ident {
        span: name.span,
        ..Ident::named(match view.materialized {
            Some(_) => format!("{}_rows", name.value),
            None => name.value.clone(),
        })
    };
    let features = features_of(view, &keys, report)?;
    let of_rows = CreateFeatureView {
        name: Some(rows.clone()),
        features: match view.materialized {
            Some(_) => Vec::new(),
            None => view.features.clone(),
        },
        materialized: None,
        emit_to: None,
        on_late: None,
        ttl: view.ttl.filter(|_| view.materialized.is_none()),
        metadata: match view.materialized {
            Some(_) => Metadata::default(),
            None => view.metadata.clone(),
        },
        ..view.clone()
    };
    let columns: Vec<Ident> = keys.iter().cloned().chain(features).collect();
    let stream = CreateSource {
        kind: SourceKind::Stream,
        name: topic.clone(),
        body: SourceBody::Query {
            query: Box::new(all_of(&columns, &rows, view.query.span)),
            on_late: view.on_late,
        },
        metadata: Metadata::default(),
    };
    let mut written = vec![
        StatementKind::CreateFeatureView(Box::new(of_rows)),
        StatementKind::CreateSource(Box::new(stream)),
    ];
    if view.materialized.is_some() {
        let over = CreateFeatureView {
            entity: EntityRef {
                columns: Some(ColumnList {
                    columns: keys,
                    span: view.entity.span,
                }),
                ..view.entity.clone()
            },
            materialized: None,
            emit_to: None,
            on_late: None,
            query: all_of(&columns, &topic, view.query.span),
            ..view.clone()
        };
        written.push(StatementKind::CreateFeatureView(Box::new(over)));
    }
    let span = view.query.span;
    let statement = |kind| Statement { kind, span };
    Some(written.into_iter().map(statement).collect())
}

/// The names of the features, which are selected one by one.
fn features_of(
    view: &CreateFeatureView,
    keys: &[Ident],
    report: &mut Report,
) -> Option<Vec<Ident>> {
    let mut features = Vec::new();
    for item in &view.query.select {
        let SelectItem::Expr { expr, alias } = item else {
            return report.hinted(
                "what is emitted is named, column by column",
                item.span(),
                "write the columns in place of `*`",
            );
        };
        let name = match (alias, &expr.kind) {
            (Some(alias), _) => alias,
            (None, ExprKind::Name(parts)) => match parts.last() {
                Some(name) => name,
                None => continue,
            },
            (None, ExprKind::Field { field, .. }) => field,
            // The view of the rows says that it has no name.
            _ => continue,
        };
        if !keys.iter().any(|key| key.value == name.value) {
            features.push(name.clone());
        }
    }
    Some(features)
}

/// `SELECT columns FROM relation`
fn all_of(columns: &[Ident], relation: &Ident, span: Span) -> Query {
    let select = columns.iter().map(|column| SelectItem::Expr {
        expr: Expr {
            kind: ExprKind::Name(vec![column.clone()]),
            span: column.span,
        },
        alias: None,
    });
    Query {
        select: select.collect(),
        from: Some(Relation {
            source: RelationSource::Named {
                name: relation.clone(),
                version: None,
            },
            alias: None,
            filter: None,
            span: relation.span,
        }),
        joins: Vec::new(),
        filter: None,
        group_by: None,
        windows: Vec::new(),
        emit_when: None,
        after: None,
        span,
    }
}
