//! Which functions a statement calls, wherever it does: what it calls is defined before it, and
//! part of its digest.

use crate::ast::{
    DatasetSpine, Expr, ExprKind, FeatureDef, FunctionArgs, FunctionCall, Ident, JoinConstraint,
    Query, Relation, RelationSource, SelectItem, SourceBody, SpineItem, SpineQuery, Statement,
    StatementKind, WindowRef, WindowSpec,
};

/// The function that calls a model, whose name is its first argument.
pub(super) const PREDICT: &str = "predict";

/// The calls of a statement, outer ones first. Those of a source's own columns are not among
/// them: they are of the language alone.
pub(super) fn calls(statement: &Statement) -> Vec<&FunctionCall> {
    let mut calls = Calls(Vec::new());
    match &statement.kind {
        StatementKind::CreateFeatureView(view) => {
            calls.features(&view.features);
            calls.query(&view.query);
        }
        StatementKind::CreateOnDemandView(view) => {
            calls.features(&view.features);
            calls.query(&view.query);
        }
        StatementKind::CreateSegment(segment) => calls.query(&segment.query),
        StatementKind::CreateSource(source) => {
            if let SourceBody::Query { query, .. } = &source.body {
                calls.query(query);
            }
        }
        StatementKind::CreateTrainingDataset(dataset) => {
            if let DatasetSpine::Query(spine) = &dataset.spine {
                calls.spine(spine);
            }
        }
        _ => {}
    }
    calls.0
}

/// The model that a call names, if it is one of a model.
pub(super) fn model_of(call: &FunctionCall) -> Option<&Ident> {
    let FunctionArgs::List(args) = &call.args else {
        return None;
    };
    match &args.first()?.kind {
        ExprKind::Name(parts) if call.name.value == PREDICT => match parts.as_slice() {
            [name] => Some(name),
            _ => None,
        },
        _ => None,
    }
}

struct Calls<'a>(Vec<&'a FunctionCall>);

impl<'a> Calls<'a> {
    fn features(&mut self, features: &'a [FeatureDef]) {
        for feature in features {
            self.exprs(feature.default.iter().chain(&feature.expect));
        }
    }

    fn query(&mut self, query: &'a Query) {
        self.items(&query.select);
        for relation in query.from.iter() {
            self.relation(relation);
        }
        let without = query.after.iter().flat_map(|after| &after.without);
        for join in query.joins.iter().chain(without) {
            self.relation(&join.relation);
            self.exprs(&join.match_condition);
            if let Some(JoinConstraint::On(on)) = &join.constraint {
                self.expr(on);
            }
        }
        self.exprs(&query.filter);
        self.exprs(&query.emit_when);
        self.exprs(query.group_by.iter().flat_map(|by| &by.exprs));
        for window in &query.windows {
            self.window(&window.spec);
        }
    }

    fn items(&mut self, items: &'a [SelectItem]) {
        for item in items {
            if let SelectItem::Expr { expr, .. } = item {
                self.expr(expr);
            }
        }
    }

    fn spine(&mut self, spine: &'a SpineQuery) {
        for item in &spine.items {
            if let SpineItem::Column(item) = item {
                self.items(std::slice::from_ref(item));
            }
        }
        self.relation(&spine.from);
        self.exprs(&spine.filter);
    }

    fn relation(&mut self, relation: &'a Relation) {
        if let RelationSource::Subquery(query) = &relation.source {
            self.query(query);
        }
        self.exprs(&relation.filter);
    }

    fn window(&mut self, window: &'a WindowSpec) {
        self.exprs(&window.partition_by);
        self.exprs(window.order_by.iter().map(|item| &item.expr));
    }

    fn exprs(&mut self, exprs: impl IntoIterator<Item = &'a Expr>) {
        for expr in exprs {
            self.expr(expr);
        }
    }

    fn call(&mut self, call: &'a FunctionCall) {
        self.0.push(call);
        if let FunctionArgs::List(args) = &call.args {
            self.exprs(args);
        }
        let ordered = call.order_by.iter().chain(&call.within_group);
        self.exprs(ordered.map(|item| &item.expr));
        self.exprs(&call.filter);
        if let Some(WindowRef::Spec(spec)) = &call.over {
            self.window(spec);
        }
    }

    /// Depth is bounded by the parser.
    fn expr(&mut self, expr: &'a Expr) {
        use ExprKind as E;
        match &expr.kind {
            E::Literal(_) | E::Name(_) => {}
            E::Call(call) => self.call(call),
            E::Unary { operand, .. }
            | E::Is { operand, .. }
            | E::Cast { operand, .. }
            | E::Extract { operand, .. }
            | E::Field { operand, .. } => self.expr(operand),
            E::Binary { left, right, .. } | E::IsDistinctFrom { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            E::InList { operand, list, .. } => {
                self.expr(operand);
                self.exprs(list);
            }
            E::Between {
                operand, low, high, ..
            } => {
                for part in [operand, low, high] {
                    self.expr(part);
                }
            }
            E::Like {
                operand,
                pattern,
                escape,
                ..
            } => {
                self.expr(operand);
                self.expr(pattern);
                self.exprs(escape.as_deref());
            }
            E::Case {
                operand,
                branches,
                otherwise,
            } => {
                self.exprs(operand.as_deref());
                for branch in branches {
                    self.expr(&branch.condition);
                    self.expr(&branch.result);
                }
                self.exprs(otherwise.as_deref());
            }
            E::AtTimeZone { operand, zone } => {
                self.expr(operand);
                self.expr(zone);
            }
            E::Array(items) => self.exprs(items),
            E::Index { operand, index } => {
                self.expr(operand);
                self.expr(index);
            }
        }
    }
}
