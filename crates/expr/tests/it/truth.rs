//! Three-valued logic with errors, against tables written out.

use evenkeel_expr::{Program, ReadTime, build};
use evenkeel_types::{Column, DataType, ErrorReason, Expr, Value};

const TRUE: Value = Value::Boolean(true);
const FALSE: Value = Value::Boolean(false);
const OVERFLOW: Value = Value::Error(ErrorReason::Overflow);
const DIVISION: Value = Value::Error(ErrorReason::DivisionByZero);

const STATES: [Value; 5] = [TRUE, FALSE, Value::Null, OVERFLOW, DIVISION];

fn columns(count: usize) -> Vec<Expr> {
    (0..count)
        .map(|i| Expr::column(i, DataType::Boolean))
        .collect()
}

/// Every combination of the five states.
fn combinations(count: usize) -> Vec<Vec<Value>> {
    (0..5usize.pow(count as u32))
        .map(|n| {
            (0..count)
                .map(|i| STATES[n / 5usize.pow(i as u32) % 5].clone())
                .collect()
        })
        .collect()
}

/// Evaluates on all combinations, one by one and as one batch, and compares with `want`.
fn check(expr: &Expr, count: usize, want: impl Fn(&[Value]) -> Value) {
    let program = Program::compile(expr);
    let rows = combinations(count);
    let columns: Vec<Column> = (0..count)
        .map(|i| Column::from_values(&DataType::Boolean, rows.iter().map(|r| &r[i])))
        .collect();
    let batch = program.eval_batch(
        &columns.iter().collect::<Vec<_>>(),
        rows.len(),
        ReadTime::Constant(0),
    );
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(program.eval_row(row, 0), want(row), "{row:?}");
        assert_eq!(batch.get(i), want(row), "{row:?} in a batch");
    }
}

#[test]
fn two_sided_and_by_table() {
    // Rows: left side; columns: right side; both in the order of STATES.
    let table = [
        [TRUE, FALSE, Value::Null, OVERFLOW, DIVISION],
        [FALSE, FALSE, FALSE, FALSE, FALSE],
        [Value::Null, FALSE, Value::Null, OVERFLOW, DIVISION],
        [OVERFLOW, OVERFLOW, OVERFLOW, OVERFLOW, OVERFLOW],
        [DIVISION, DIVISION, DIVISION, DIVISION, DIVISION],
    ];
    let at = |v: &Value| STATES.iter().position(|s| s == v).unwrap();
    check(&build::and(columns(2)).unwrap(), 2, |row| {
        table[at(&row[0])][at(&row[1])].clone()
    });
}

#[test]
fn two_sided_or_by_table() {
    let table = [
        [TRUE, TRUE, TRUE, TRUE, TRUE],
        [TRUE, FALSE, Value::Null, OVERFLOW, DIVISION],
        [TRUE, Value::Null, Value::Null, OVERFLOW, DIVISION],
        [OVERFLOW, OVERFLOW, OVERFLOW, OVERFLOW, OVERFLOW],
        [DIVISION, DIVISION, DIVISION, DIVISION, DIVISION],
    ];
    let at = |v: &Value| STATES.iter().position(|s| s == v).unwrap();
    check(&build::or(columns(2)).unwrap(), 2, |row| {
        table[at(&row[0])][at(&row[1])].clone()
    });
}

/// What decides comes first: an ERROR or the stopping value; else NULL if there is one.
fn first_decisive(row: &[Value], stop: Value, otherwise: Value) -> Value {
    let decisive = row.iter().find(|v| **v == stop || v.error().is_some());
    match decisive {
        Some(value) => value.clone(),
        None if row.iter().any(Value::is_null) => Value::Null,
        None => otherwise,
    }
}

#[test]
fn long_connectives() {
    let and = build::and(columns(3)).unwrap();
    check(&and, 3, |row| first_decisive(row, FALSE, TRUE));
    let or = build::or(columns(3)).unwrap();
    check(&or, 3, |row| first_decisive(row, TRUE, FALSE));
}

#[test]
fn nesting_changes_nothing() {
    let [a, b, c, d] = <[Expr; 4]>::try_from(columns(4)).unwrap();
    let left = build::and(vec![
        build::and(vec![a.clone(), b.clone()]).unwrap(),
        c.clone(),
    ]);
    let right = build::and(vec![
        a.clone(),
        build::and(vec![b.clone(), c.clone()]).unwrap(),
    ]);
    assert_eq!(left, right);
    let mixed = build::and(vec![a, build::or(vec![b, c]).unwrap(), d]).unwrap();
    check(&mixed, 4, |row| {
        let or = first_decisive(&row[1..3], TRUE, FALSE);
        first_decisive(&[row[0].clone(), or, row[3].clone()], FALSE, TRUE)
    });
}

#[test]
fn not_and_tests_of_truth() {
    let x = || columns(1).remove(0);
    let of = |name: &str| build::call(name, vec![x()]).unwrap();
    let passing = |v: &Value| v.error().map(Value::Error);
    check(&of("not"), 1, |row| match &row[0] {
        Value::Boolean(b) => Value::Boolean(!b),
        missing => missing.clone(),
    });
    check(&of("is_true"), 1, |row| {
        passing(&row[0]).unwrap_or(Value::Boolean(row[0] == TRUE))
    });
    check(&of("is_false"), 1, |row| {
        passing(&row[0]).unwrap_or(Value::Boolean(row[0] == FALSE))
    });
    check(&of("is_null"), 1, |row| {
        passing(&row[0]).unwrap_or(Value::Boolean(row[0].is_null()))
    });
    check(&of("is_not_null"), 1, |row| {
        passing(&row[0]).unwrap_or(Value::Boolean(!row[0].is_null()))
    });
}

#[test]
fn choice_evaluates_what_it_needs() {
    let all = columns(4);
    let [a, b, c, d] = <[Expr; 4]>::try_from(all.clone()).unwrap();
    let case = build::case(vec![(a.clone(), b.clone()), (c, d)], None).unwrap();
    check(&case, 4, |row| {
        for branch in row.chunks(2) {
            match &branch[0] {
                Value::Boolean(true) => return branch[1].clone(),
                Value::Error(_) => return branch[0].clone(),
                _ => {}
            }
        }
        Value::Null
    });
    check(&build::coalesce(all[..3].to_vec()).unwrap(), 3, |row| {
        row.iter()
            .find(|v| !v.is_null())
            .cloned()
            .unwrap_or(Value::Null)
    });
    let choice = build::call("if", all[..3].to_vec()).unwrap();
    check(&choice, 3, |row| match &row[0] {
        Value::Boolean(true) => row[1].clone(),
        Value::Error(_) => row[0].clone(),
        _ => row[2].clone(),
    });
}

#[test]
fn strict_functions_take_the_leftmost_error_and_then_null() {
    for name in ["=", "<", ">="] {
        let expr = build::call(name, columns(2)).unwrap();
        check(&expr, 2, |row| {
            if let Some(error) = row.iter().find(|v| v.error().is_some()) {
                return error.clone();
            }
            let (Value::Boolean(a), Value::Boolean(b)) = (&row[0], &row[1]) else {
                return Value::Null;
            };
            Value::Boolean(match name {
                "=" => a == b,
                "<" => !a & b,
                _ => *a || !b,
            })
        });
    }
}

#[test]
fn between_in_and_distinct() {
    let error = |row: &[Value]| row.iter().find(|v| v.error().is_some()).cloned();
    let all = columns(3);
    let [a, b, c] = <[Expr; 3]>::try_from(all.clone()).unwrap();
    let between = build::between(a.clone(), b.clone(), c.clone()).unwrap();
    let ge = |x: &Value, y: &Value| match (x, y) {
        (Value::Boolean(x), Value::Boolean(y)) => Value::Boolean(x >= y),
        _ => Value::Null,
    };
    check(&between, 3, |row| {
        error(row).unwrap_or_else(|| {
            first_decisive(&[ge(&row[0], &row[1]), ge(&row[2], &row[0])], FALSE, TRUE)
        })
    });
    let within = build::in_list(a.clone(), vec![b.clone(), c]).unwrap();
    let eq = |x: &Value, y: &Value| match (x, y) {
        (Value::Boolean(x), Value::Boolean(y)) => Value::Boolean(x == y),
        _ => Value::Null,
    };
    check(&within, 3, |row| {
        error(row).unwrap_or_else(|| {
            first_decisive(&[eq(&row[0], &row[1]), eq(&row[0], &row[2])], TRUE, FALSE)
        })
    });
    check(
        &build::is_distinct_from(a.clone(), b.clone()).unwrap(),
        2,
        |row| error(row).unwrap_or_else(|| Value::Boolean(row[0] != row[1])),
    );
    check(&build::nullif(a, b).unwrap(), 2, |row| {
        error(row).unwrap_or_else(|| {
            if row[0] == row[1] {
                Value::Null
            } else {
                row[0].clone()
            }
        })
    });
}
