//! `OLD`, `NEW` and `op` in aggregates of windows over a table.
//!
//! Rules beyond `docs/semantics.md`: a name without `OLD` or `NEW` is a column of the row after
//! the change, of a delete of the row that it ends; `NEW.x` of a delete is NULL. An aggregate that
//! uses neither of the three is over the table's versions, as it always was. A relation or column
//! of the name that the table has itself hides them.

use evenkeel_expr::build;
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{AggregateCall, DataType, Expr, ExprKind, Value};

use super::rows::map_columns;
use super::scope::{Meaning, NEW, OLD, Role, Scope, ScopeRelation};

/// The column of the operation.
const OPERATION: &str = "op";

/// The scope with the row before a change of its first relation, which is the table, the row
/// after it, and the operation. Expressions are over the table's change row.
pub(super) fn scope(scope: &Scope, source: &SourceDef) -> Scope {
    let mut scope = scope.clone();
    let Some(table) = scope.relations.first().cloned() else {
        return scope;
    };
    let operation = Expr::column(source.operation_slot(), DataType::String);
    let unless = |word: &str, expr: Expr| {
        let word = Expr::literal(Value::string(word), DataType::String);
        let is_other = build::call("ne", vec![operation.clone(), word]).ok()?;
        build::case(vec![(is_other, expr)], None).ok()
    };
    // The columns of a row that was not there are NULL; what is computed of them may not be.
    let before = |expr: Expr| match map_columns(expr, &|slot| source.old_slot(slot)) {
        column if matches!(column.kind, ExprKind::Column(_)) => Some(column),
        computed => unless("insert", computed),
    };
    let after = |expr: Expr| unless("delete", expr);
    let rows = [
        row(OLD, &table, source, &before),
        row(NEW, &table, source, &after),
    ];
    for row in rows {
        if scope.relation(&row.name).is_none() {
            scope.relations.push(row);
        }
    }
    if scope
        .relations
        .iter()
        .all(|r| r.column(OPERATION).is_none())
    {
        scope.relations[0].add(OPERATION, operation, Role::Pseudo);
    }
    scope
}

/// A relation with the columns of the table, found by its name only.
fn row(
    name: &str,
    table: &ScopeRelation,
    source: &SourceDef,
    meaning: &dyn Fn(Expr) -> Option<Expr>,
) -> ScopeRelation {
    let mut row = ScopeRelation::aside(name);
    for column in &table.columns {
        let Meaning::Expr(expr) = &column.meaning else {
            continue;
        };
        if expr.columns().iter().all(|slot| *slot < source.row_width())
            && let Some(expr) = meaning(expr.clone())
        {
            row.add(column.name.clone(), expr, column.role);
        }
    }
    row
}

/// Whether a call needs to know what changed.
pub(super) fn is_of_changes(call: &AggregateCall, source: &SourceDef) -> bool {
    let mut inputs = call.args.iter().chain(&call.filter);
    inputs.any(|input| {
        let slots = input.columns();
        slots.iter().any(|slot| is_of_change(*slot, source))
    })
}

/// Whether a slot is one of the change row only.
pub(super) fn is_of_change(slot: usize, source: &SourceDef) -> bool {
    (source.row_width()..source.change_width()).contains(&slot)
}
