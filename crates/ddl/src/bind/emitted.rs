//! `MATERIALIZED` and `EMIT TO` of a feature view: written out as a derived stream of its rows, and a
//! view over that.
//!
//! Invariant: what comes out are statements that could have been written instead, and are bound,
//! printed and recorded as such; their mistakes are told at the view.

use std::collections::BTreeSet;

use evenkeel_types::definition::Catalog;

use super::batch::entity_keys;
use super::function::is_recorded_only;
use super::report::Report;
use crate::ast::{
    ColumnList, CreateFeatureView, CreateSource, EntityRef, Expr, ExprKind, FunctionArgs, Ident,
    Metadata, Query, Relation, RelationSource, SelectItem, SourceBody, SourceKind, Span, Statement,
    StatementKind,
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
    let (query, recorded) = match view.materialized {
        Some(_) => without_recorded(&view.query, &keys, &|name| {
            is_recorded_only(name, statements, existing)
        }),
        None => (view.query.clone(), Vec::new()),
    };
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
        query,
        ..view.clone()
    };
    let columns: Vec<Ident> = keys.iter().cloned().chain(features).collect();
    let mut emitted = all_of(&columns, &rows, view.query.span);
    for item in &mut emitted.select {
        let name = name_of(item).map(|name| &name.value);
        let call = recorded
            .iter()
            .find(|call| name_of(call).map(|name| &name.value) == name);
        if let Some(call) = call {
            *item = call.clone();
        }
    }
    let stream = CreateSource {
        kind: SourceKind::Stream,
        name: topic.clone(),
        body: SourceBody::Query {
            query: Box::new(emitted),
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
        let SelectItem::Expr { .. } = item else {
            return report.hinted(
                "what is emitted is named, column by column",
                item.span(),
                "write the columns in place of `*`",
            );
        };
        // The view of the rows says that it has no name.
        let Some(name) = name_of(item) else {
            continue;
        };
        if !keys.iter().any(|key| key.value == name.value) {
            features.push(name.clone());
        }
    }
    Some(features)
}

fn name_of(item: &SelectItem) -> Option<&Ident> {
    let SelectItem::Expr { expr, alias } = item else {
        return None;
    };
    match (alias, &expr.kind) {
        (Some(alias), _) => Some(alias),
        (None, ExprKind::Name(parts)) => parts.last(),
        (None, ExprKind::Field { field, .. }) => Some(field),
        _ => None,
    }
}

/// The query with what functions are asked in place of columns whose values are recorded, and those columns,
/// over what they are asked.
fn without_recorded(
    query: &Query,
    keys: &[Ident],
    is_recorded_only: &dyn Fn(&str) -> bool,
) -> (Query, Vec<SelectItem>) {
    let (mut select, mut recorded) = (Vec::new(), Vec::new());
    let taken = query.select.iter().filter_map(name_of).chain(keys);
    let mut taken: BTreeSet<String> = taken.map(|name| name.value.clone()).collect();
    for item in &query.select {
        let call = match item {
            SelectItem::Expr {
                expr,
                alias: Some(alias),
            } => match &expr.kind {
                ExprKind::Call(call) if is_recorded_only(&call.name.value) => {
                    Some((expr, call, alias))
                }
                _ => None,
            },
            _ => None,
        };
        let Some((expr, call, alias)) = call else {
            select.push(item.clone());
            continue;
        };
        let mut call = call.clone();
        if let FunctionArgs::List(args) = &mut call.args {
            for (number, arg) in (1..).zip(args) {
                // What is no column has a type by what it is given to.
                if matches!(arg.kind, ExprKind::Literal(_)) {
                    continue;
                }
                let input = Ident {
                    span: arg.span,
                    ..Ident::named(free_name(
                        format!("{}_input_{number}", alias.value),
                        &mut taken,
                    ))
                };
                let name = Expr {
                    kind: ExprKind::Name(vec![input.clone()]),
                    span: arg.span,
                };
                select.push(SelectItem::Expr {
                    expr: std::mem::replace(arg, name),
                    alias: Some(input),
                });
            }
        }
        recorded.push(SelectItem::Expr {
            expr: Expr {
                kind: ExprKind::Call(call),
                span: expr.span,
            },
            alias: Some(alias.clone()),
        });
    }
    if select.is_empty() {
        // Rows of nothing are none: the call is refused where it stands.
        return (query.clone(), Vec::new());
    }
    let query = Query {
        select,
        ..query.clone()
    };
    (query, recorded)
}

/// A name, or what it is with as many `_` behind it as it takes to be nobody's; it is taken then.
fn free_name(mut name: String, taken: &mut BTreeSet<String>) -> String {
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
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
