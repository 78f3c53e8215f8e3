//! Spines that are queries over the store: one row per event of a source, with labels.

use std::sync::Arc;

use evenkeel_expr::build;
use evenkeel_types::definition::{Label, SourceDef, SpineQuery};
use evenkeel_types::{Expr, Field};

use super::Binder;
use super::entity::UniqueNames;
use super::expression::{self, Plain, built};
use super::relation::Target;
use super::report::{Report, counted, in_words};
use super::rows::{all_of, conjuncts};
use super::scope::{Meaning, Role, Scope};
use crate::ast::{self, Ident, SelectItem, Span, SpineItem};

impl Binder<'_> {
    /// A spine query.
    pub(super) fn spine(&self, query: &ast::SpineQuery, report: &mut Report) -> Option<SpineQuery> {
        let read = self.read(&query.from, report)?;
        let Target::Source(source) = &read.target else {
            return report.hinted(
                format!(
                    "`{}` is a view, and the rows of a spine are the events of a source",
                    read.target.name()
                ),
                read.name_span,
                "write `FROM` and the source; features of views are what the service adds",
            );
        };
        let placed = read.place(&|slot| read.target.own(slot), report)?;
        let scope = Scope::single(placed.relation);
        let mut filter = placed.filter;
        let mut is_complete = true;
        if let Some(written) = &query.filter {
            let mut context = Plain::new(&scope, "`WHERE` of a spine")
                .with_aggregate_hint("put the aggregate into a feature view");
            match expression::bind_condition(written, &mut context, report) {
                Some(bound) => filter.extend(conjuncts(bound)),
                None => is_complete = false,
            }
        }
        let mut names = UniqueNames::new("column");
        let mut columns = Vec::new();
        let mut labels = Vec::new();
        for item in &query.items {
            match item {
                SpineItem::Column(item) => {
                    is_complete &=
                        columns_of(item, &scope, &mut columns, &mut names, report).is_some();
                }
                SpineItem::Label(label) => {
                    match self.label(label, source, &scope, &mut names, report) {
                        Some(label) => labels.push(label),
                        None => is_complete = false,
                    }
                }
            }
        }
        is_complete.then(|| SpineQuery {
            source: source.clone(),
            filter: all_of(filter),
            columns,
            labels,
        })
    }

    fn label(
        &self,
        label: &ast::Label,
        source: &Arc<SourceDef>,
        scope: &Scope,
        names: &mut UniqueNames,
        report: &mut Report,
    ) -> Option<Label> {
        let name = label.alias.as_ref().unwrap_or(&label.feature);
        names.add(name, report);
        let (view, feature) = self.label_feature(label, report)?;
        let key_names: Vec<Ident> = match &label.keys {
            None => view
                .key
                .iter()
                .map(|k| Ident {
                    value: k.name.clone(),
                    quoted: false,
                    span: label.view.span,
                })
                .collect(),
            Some(list) if list.columns.len() == view.key.len() => list.columns.clone(),
            Some(list) => {
                let wanted: Vec<&str> = view.key.iter().map(|k| k.name.as_str()).collect();
                return report.hinted(
                    format!(
                        "view `{}` has {}, not {}",
                        view.name,
                        counted(view.key.len(), "key column"),
                        list.columns.len()
                    ),
                    list.span,
                    format!("name one column each for {}", in_words(&wanted)),
                );
            }
        };
        let mut key = Vec::new();
        for (name, field) in key_names.iter().zip(&view.key) {
            let relation = &scope.relations[0];
            let Some(column) = relation.column(&name.value) else {
                report.hinted::<()>(
                    format!(
                        "`{}` has no column `{}` for the key of view `{}`",
                        source.name, name.value, view.name
                    ),
                    name.span,
                    format!(
                        "say which column holds it: `LABEL {} FROM {} FOR (column) WITHIN ...`",
                        label.feature, label.view
                    ),
                );
                continue;
            };
            let Some(expr) = column.expr(name.span, report) else {
                continue;
            };
            if let Some(expr) = built(
                build::coerce(expr, &field.data_type),
                name.span,
                &[],
                report,
            ) {
                key.push(expr);
            }
        }
        (key.len() == view.key.len()).then(|| Label {
            view: view.clone(),
            feature,
            within: label.within.value,
            key,
            name: name.value.clone(),
        })
    }
}

/// The columns of a select item.
fn columns_of(
    item: &SelectItem,
    scope: &Scope,
    columns: &mut Vec<(Field, Expr)>,
    names: &mut UniqueNames,
    report: &mut Report,
) -> Option<()> {
    let relation = scope.relations.first()?;
    let (expr, alias) = match item {
        SelectItem::Expr { expr, alias } => (expr, alias.as_ref()),
        SelectItem::QualifiedWildcard { qualifier, span } if qualifier.value != relation.name => {
            return report.hinted(
                format!("there is no relation `{qualifier}` here"),
                *span,
                format!("write `{}.*`", relation.name),
            );
        }
        SelectItem::Wildcard(span) | SelectItem::QualifiedWildcard { span, .. } => {
            for column in &relation.columns {
                if let (Role::Plain, Meaning::Expr(expr)) = (column.role, &column.meaning) {
                    let name = Ident {
                        value: column.name.clone(),
                        quoted: false,
                        span: *span,
                    };
                    add(&name, expr.clone(), *span, columns, names, report);
                }
            }
            return Some(());
        }
    };
    let mut context = Plain::new(scope, "a spine")
        .with_aggregate_hint("put the aggregate into a feature view and let a service add it");
    let bound = expression::bind(expr, &mut context, report);
    let name = super::features::name(expr, alias, report);
    let (bound, (name, span)) = (bound?, name?);
    let name = Ident {
        value: name,
        quoted: false,
        span,
    };
    add(&name, bound, expr.span, columns, names, report)
}

fn add(
    name: &Ident,
    expr: Expr,
    span: Span,
    columns: &mut Vec<(Field, Expr)>,
    names: &mut UniqueNames,
    report: &mut Report,
) -> Option<()> {
    if !names.add(name, report) {
        return None;
    }
    if !expr.data_type.is_storable() {
        return report.hinted(
            format!(
                "column `{name}` cannot be {}",
                super::scope::type_in_words(&expr.data_type)
            ),
            span,
            "say its type with `CAST`",
        );
    }
    columns.push((Field::new(name.value.clone(), expr.data_type.clone()), expr));
    Some(())
}
