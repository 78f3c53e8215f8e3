//! The features of a view: names, types, and what its column list says of them.

use std::collections::BTreeMap;

use evenkeel_types::definition::{Check, Feature, Metadata};
use evenkeel_types::{DataType, Expr, Field};

use super::cost::{COLUMN_PARTS_MAX, FEATURES_MAX};
use super::entity::metadata;
use super::expression::{self, Plain};
use super::report::{Report, did_you_mean};
use super::scope::{Meaning, PSEUDO_COLUMNS, Role, Scope, ScopeRelation, type_in_words, with_hint};
use crate::ast::{self, FeatureDef, Ident, SelectItem, Span};
use crate::error::Diagnostic;

/// A column of a view that is being built.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) expr: Expr,
}

/// The columns of a view that is being built, within their limits.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    key: &'a [Field],
    list: Vec<Column>,
    places: BTreeMap<String, Span>,
    parts: usize,
}

impl<'a> Columns<'a> {
    /// No columns yet, of a view with this key.
    pub(super) fn new(key: &'a [Field]) -> Self {
        Columns {
            key,
            list: Vec::new(),
            places: BTreeMap::new(),
            parts: 0,
        }
    }

    /// Adds a column; tells what is wrong with its name and type. Answers none if it is one
    /// too many.
    pub(super) fn add(
        &mut self,
        name: String,
        span: Span,
        expr: &Expr,
        report: &mut Report,
    ) -> Option<()> {
        if self.list.len() >= FEATURES_MAX {
            return report.hinted(
                format!("a view has at most {FEATURES_MAX} features"),
                span,
                "divide it into several views",
            );
        }
        expr.walk(&mut |_| self.parts += 1);
        if self.parts > COLUMN_PARTS_MAX {
            return report.hinted(
                format!("the columns of a view have at most {COLUMN_PARTS_MAX} parts together"),
                span,
                "divide it into several views",
            );
        }
        self.check_name(&name, span, report);
        check_type(&name, span, &expr.data_type, report);
        self.list.push(Column {
            name,
            expr: expr.clone(),
        });
        Some(())
    }

    fn check_name(&mut self, name: &str, span: Span, report: &mut Report) {
        if let Some(first) = self.places.get(name) {
            let error = Diagnostic::error(format!("there are two features `{name}`"), span);
            report.push::<()>(if *first == span {
                error.with_hint("write the columns one by one instead of `*`, with other names")
            } else {
                error
                    .with_hint(format!("give one another name: `... AS {name}_2`"))
                    .with_related(*first, "the other one")
            });
            return;
        }
        self.places.insert(name.to_owned(), span);
        if self.key.iter().any(|k| k.name == name) {
            report.hinted::<()>(
                format!("feature `{name}` has the name of the entity's key"),
                span,
                format!("give it another name: `... AS {name}_of_event`"),
            );
        }
        if PSEUDO_COLUMNS.contains(&name) {
            report.hinted::<()>(
                format!("a feature cannot be called `{name}`: that is the name of a pseudo-column"),
                span,
                "give it another name: `... AS happened_at`",
            );
        }
    }

    /// The columns.
    pub(super) fn into_list(self) -> Vec<Column> {
        self.list
    }
}

/// Adds the columns of `*` or `alias.*`, but those that are left out.
pub(super) fn star(
    item: &SelectItem,
    scope: &Scope,
    is_left_out: impl Fn(&ScopeRelation, &str, &Expr) -> bool,
    columns: &mut Columns<'_>,
    report: &mut Report,
) -> Option<()> {
    let (only, span) = match item {
        SelectItem::QualifiedWildcard { qualifier, span } => {
            if scope.relation(&qualifier.value).is_none() {
                let aliases: Vec<&str> = scope.relations.iter().map(|r| r.name.as_str()).collect();
                return report.push(with_hint(
                    Diagnostic::error(format!("there is no relation `{qualifier}` here"), *span),
                    did_you_mean(&qualifier.value, aliases),
                ));
            }
            (Some(qualifier.value.as_str()), *span)
        }
        SelectItem::Wildcard(span) => (None, *span),
        SelectItem::Expr { .. } => return None,
    };
    for relation in &scope.relations {
        if only.is_some_and(|name| name != relation.name) {
            continue;
        }
        if relation.is_unknown() {
            return None;
        }
        for column in &relation.columns {
            if let Meaning::Expr(expr) = &column.meaning
                && column.role == Role::Plain
                && !relation.merged.contains(&column.name)
                && !is_left_out(relation, &column.name, expr)
            {
                columns.add(column.name.clone(), span, expr, report)?;
            }
        }
    }
    Some(())
}

/// The name of a select item, and where it stands.
pub(super) fn name(
    expr: &ast::Expr,
    alias: Option<&Ident>,
    report: &mut Report,
) -> Option<(String, Span)> {
    if let Some(alias) = alias {
        return Some((alias.value.clone(), alias.span));
    }
    match &expr.kind {
        ast::ExprKind::Name(parts) => parts.last().map(|name| (name.value.clone(), expr.span)),
        ast::ExprKind::Field { field, .. } => Some((field.value.clone(), expr.span)),
        ast::ExprKind::Call(call) => report.hinted(
            "this column has no name",
            expr.span,
            format!("give it one: `... AS {}_of_something`", call.name.value),
        ),
        _ => report.hinted(
            "this column has no name",
            expr.span,
            "give it one: `... AS name`",
        ),
    }
}

/// The features of the columns. `view` is underlined where there are none.
pub(super) fn bind_features(
    view: &Ident,
    columns: &[Column],
    written: &[FeatureDef],
    report: &mut Report,
) -> Option<Vec<Feature>> {
    if columns.is_empty() {
        return report.hinted(
            format!("view `{view}` has no features: key columns are not"),
            view.span,
            "select something about the key: `count(*) OVER (LAST 24 HOURS) AS events_24h`",
        );
    }
    let mut features: Vec<Feature> = columns
        .iter()
        .map(|column| Feature {
            name: column.name.clone(),
            data_type: column.expr.data_type.clone(),
            default: None,
            expect: None,
            metadata: Metadata::default(),
        })
        .collect();
    column_list(&mut features, written, view, report);
    Some(features)
}

fn check_type(name: &str, span: Span, data_type: &DataType, report: &mut Report) {
    if data_type.is_storable() {
        return;
    }
    report.hinted::<()>(
        format!("feature `{name}` cannot be {}", type_in_words(data_type)),
        span,
        match data_type {
            DataType::Null => "say its type: `CAST(NULL AS DOUBLE)`",
            DataType::Interval => "turn it into a number: `date_diff('second', a, b)`",
            DataType::Struct(_) => "take one of its fields: `x.value`",
            _ => "use a scalar, an array of scalars or a vector",
        },
    );
}

/// `(feature COMMENT '...' DEFAULT 0 EXPECT (...), ...)`
fn column_list(
    features: &mut [Feature],
    written: &[FeatureDef],
    view: &Ident,
    report: &mut Report,
) {
    let mut relation = ScopeRelation::new(view.value.clone());
    for (i, feature) in features.iter().enumerate() {
        relation.add(
            feature.name.clone(),
            Expr::column(i, feature.data_type.clone()),
            Role::Plain,
        );
    }
    let scope = Scope::single(relation);
    for definition in written {
        let name = definition.name.value.as_str();
        let Some(at) = features.iter().position(|f| f.name == name) else {
            report.push::<()>(with_hint(
                Diagnostic::error(
                    format!("view `{view}` has no feature `{name}`"),
                    definition.name.span,
                ),
                did_you_mean(name, features.iter().map(|f| f.name.as_str())),
            ));
            continue;
        };
        let default = definition.default.as_ref().and_then(|written| {
            expression::constant(written, &features[at].data_type, "`DEFAULT`", report)
        });
        let expect = definition.expect.as_ref().and_then(|written| {
            let mut context =
                Plain::new(&scope, "`EXPECT`").with_aggregate_hint("name the features of the view");
            Some(Check {
                expr: expression::bind_condition(written, &mut context, report)?,
                sql: written.to_string(),
            })
        });
        let feature = &mut features[at];
        feature.default = default;
        feature.expect = expect;
        feature.metadata = metadata(&definition.metadata, report);
    }
}
