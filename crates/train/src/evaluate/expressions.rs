//! Expressions over columns of many rows.

use evenkeel_expr::{Program, ReadTime};
use evenkeel_types::{Column, Expr, ExprKind, NO_SLOT, Value};

pub(crate) fn evaluate(exprs: &[Expr], scope: &[Column], times: &[i64]) -> Vec<Column> {
    let scope: Vec<&Column> = scope.iter().collect();
    exprs
        .iter()
        .map(|e| Program::compile(e).eval_batch(&scope, times.len(), ReadTime::PerRow(times)))
        .collect()
}

/// [`evaluate`] for who needs the scope no more: a column of it that is asked for as it is, and
/// that nothing else reads, is not copied.
pub(super) fn evaluate_last(exprs: &[Expr], mut scope: Vec<Column>, times: &[i64]) -> Vec<Column> {
    let mut readers = vec![0; scope.len()];
    for slot in exprs.iter().flat_map(Expr::columns) {
        readers[slot] += 1;
    }
    let alone = |expr: &Expr| match expr.kind {
        ExprKind::Column(slot) if readers[slot] == 1 => Some(slot),
        _ => None,
    };
    let computed: Vec<Option<Column>> = {
        let scope: Vec<&Column> = scope.iter().collect();
        let compute = |expr: &Expr| {
            Program::compile(expr).eval_batch(&scope, times.len(), ReadTime::PerRow(times))
        };
        let computed = exprs.iter().map(|e| alone(e).is_none().then(|| compute(e)));
        computed.collect()
    };
    let taken = exprs.iter().zip(computed).map(|(expr, computed)| {
        let slot = alone(expr);
        computed.or_else(|| {
            let column = scope.get_mut(slot?)?;
            Some(std::mem::replace(column, Column::new(&expr.data_type)))
        })
    });
    taken
        .map(|column| column.expect("what is not computed is a column of the scope"))
        .collect()
}

/// Clears the flags of the rows for which the predicate is not true.
pub(super) fn keep_true(expr: &Expr, scope: &[Column], times: &[i64], flags: &mut [bool]) {
    let scope: Vec<&Column> = scope.iter().collect();
    let column = Program::compile(expr).eval_batch(&scope, times.len(), ReadTime::PerRow(times));
    for (i, flag) in flags.iter_mut().enumerate() {
        *flag &= column.get(i) == Value::Boolean(true);
    }
}

pub(super) fn null_unless(column: &Column, keep: &[bool]) -> Column {
    if keep.iter().all(|k| *k) {
        return column.clone();
    }
    let slots: Vec<u32> = (0..)
        .zip(keep)
        .map(|(slot, keep)| if *keep { slot } else { NO_SLOT })
        .collect();
    column.gather_optional(&slots)
}
