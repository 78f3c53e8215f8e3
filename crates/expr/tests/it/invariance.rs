//! The promise of the crate: an expression's value on a row depends on that row alone.
//!
//! Random typed expressions over the whole closed list on random rows give the same bits
//! and the same errors as one batch, as single rows, split, permuted, and with values as
//! columns or as constants.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_expr::{Program, ReadTime, build, functions};
use evenkeel_types::{Column, DataType, Expr, ExprKind, Value};

use crate::generate::{Pool, Random, is_of_type, rows, schema, value};

/// Rounds of expressions, each over rows of its own.
const ROUNDS: u64 = 24;
const EXPRESSIONS_PER_ROUND: usize = 260;
const ROWS: usize = 24;

struct Table {
    rows: Vec<Arc<[Value]>>,
    columns: Vec<Column>,
    times: Vec<i64>,
}

impl Table {
    fn new(rows: Vec<Arc<[Value]>>, times: Vec<i64>) -> Self {
        let columns = schema()
            .iter()
            .enumerate()
            .map(|(c, t)| Column::from_values(t, rows.iter().map(|r| &r[c])))
            .collect();
        Table {
            rows,
            columns,
            times,
        }
    }

    fn select(&self, order: &[usize]) -> Table {
        Table::new(
            order.iter().map(|&i| self.rows[i].clone()).collect(),
            order.iter().map(|&i| self.times[i]).collect(),
        )
    }

    fn batch(&self, program: &Program) -> Vec<Value> {
        let columns: Vec<&Column> = self.columns.iter().collect();
        let column = program.eval_batch(&columns, self.rows.len(), ReadTime::PerRow(&self.times));
        column.iter().collect()
    }
}

/// The expression with some of its columns as constants of one row.
fn with_constants(expr: &Expr, row: &[Value], replaced: &dyn Fn(usize) -> bool) -> Expr {
    expr.clone().map(&mut |e| match e.kind {
        ExprKind::Column(i) if replaced(i) => Expr::literal(row[i].clone(), e.data_type),
        _ => e,
    })
}

fn check(expr: &Expr, table: &Table, random: &mut Random, seed: u64) {
    let program = Program::compile(expr);
    let want: Vec<Value> = table
        .rows
        .iter()
        .zip(&table.times)
        .map(|(row, t)| program.eval_row(row, *t))
        .collect();
    let same = |what: &str, got: &[Value], want: &[Value]| {
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            assert!(
                got.same_bits(want),
                "{what}: row {i} is {got:?}, alone {want:?}; seed {seed}\n{expr:#?}"
            );
        }
        assert_eq!(got.len(), want.len());
    };
    for value in &want {
        assert!(
            is_of_type(value, &expr.data_type),
            "{value:?} is no {}; seed {seed}\n{expr:#?}",
            expr.data_type
        );
    }

    same("one batch", &table.batch(&program), &want);

    // Split at a random place, and into single rows.
    let cut = random.below(table.rows.len() + 1);
    let order: Vec<usize> = (0..table.rows.len()).collect();
    let mut parts = table.select(&order[..cut]).batch(&program);
    parts.extend(table.select(&order[cut..]).batch(&program));
    same("split", &parts, &want);
    let one = random.below(table.rows.len());
    same(
        "single",
        &table.select(&[one]).batch(&program),
        &want[one..=one],
    );

    // Permuted, with repetitions.
    let order: Vec<usize> = order
        .iter()
        .map(|_| random.below(table.rows.len()))
        .collect();
    let permuted: Vec<Value> = order.iter().map(|&i| want[i].clone()).collect();
    same("permuted", &table.select(&order).batch(&program), &permuted);

    // Values as constants: all of a row's, and some of them.
    let i = random.below(table.rows.len());
    let (row, t) = (&table.rows[i], table.times[i]);
    let constant = Program::compile(&with_constants(expr, row, &|_| true));
    assert!(constant.columns().is_empty());
    same("constants", &[constant.eval_row(&[], t)], &want[i..=i]);
    let batch = constant.eval_batch(&[], 2, ReadTime::Constant(t));
    same(
        "constants in a batch",
        &batch.iter().collect::<Vec<_>>(),
        &[want[i].clone(), want[i].clone()],
    );
    let mask = random.next();
    let mixed = Program::compile(&with_constants(expr, row, &|c| mask >> (c % 64) & 1 == 1));
    same("some constants", &[mixed.eval_row(row, t)], &want[i..=i]);
    let of_row = table.select(&[i, i]);
    same(
        "some constants in a batch",
        &of_row.batch(&mixed),
        &[want[i].clone(), want[i].clone()],
    );
}

#[test]
fn expressions_do_not_depend_on_batches() {
    let signatures: Vec<(&str, Vec<String>)> = functions()
        .filter(|f| !matches!(f.name, "cast" | "try_cast"))
        .map(|f| (f.name, f.signatures()))
        .collect();
    let mut built: BTreeMap<&str, usize> = signatures.iter().map(|(n, _)| (*n, 0)).collect();
    for seed in 0..ROUNDS {
        let mut random = Random(seed);
        let mut pool = Pool::new();
        let rows = rows(&mut random, ROWS);
        let times = (0..ROWS)
            .map(|_| match value(&mut random, &DataType::Timestamp) {
                Value::Timestamp(t) => t,
                _ => 0,
            })
            .collect();
        let table = Table::new(rows, times);
        for i in 0..EXPRESSIONS_PER_ROUND {
            let expr = if random.one_in(5) {
                pool.form(&mut random)
            } else {
                // Every function in turn, so that none is left out by chance.
                let (name, signatures) = &signatures[i % signatures.len()];
                let call = pool.call(&mut random, name, signatures);
                *built.entry(name).or_default() += usize::from(call.is_some());
                call
            };
            let Some(expr) = expr else { continue };
            check(&expr, &table, &mut random, seed);
            pool.built.push(expr);
        }
    }
    let missing: Vec<&&str> = built
        .iter()
        .filter(|(_, n)| **n < 5)
        .map(|(f, _)| f)
        .collect();
    assert!(missing.is_empty(), "hardly ever built: {missing:?}");
}

/// The comparison of rare types runs on boxed values: it must be the comparison of values.
#[test]
fn every_type_compares_as_its_values_do() {
    let mut random = Random(11);
    for (i, data_type) in schema().into_iter().enumerate() {
        let values: Vec<Value> = (0..40).map(|_| value(&mut random, &data_type)).collect();
        let [a, b] = [0, 1].map(|c| Expr::column(c, data_type.clone()));
        for (name, holds) in [
            ("=", [false, true, false]),
            ("<>", [true, false, true]),
            ("<", [true, false, false]),
            ("<=", [true, true, false]),
            (">", [false, false, true]),
            (">=", [false, true, true]),
        ] {
            let expr = build::call(name, vec![a.clone(), b.clone()])
                .unwrap_or_else(|e| panic!("{name} of {data_type}: {e}"));
            let program = Program::compile(&expr);
            for x in &values {
                let left = Column::from_values(&data_type, values.iter().map(|_| x));
                let right = Column::from_values(&data_type, &values);
                let batch =
                    program.eval_batch(&[&left, &right], values.len(), ReadTime::Constant(0));
                for (j, y) in values.iter().enumerate() {
                    let want = match (x, y) {
                        (Value::Error(_), _) => x.clone(),
                        (_, Value::Error(_)) => y.clone(),
                        (Value::Null, _) | (_, Value::Null) => Value::Null,
                        _ => Value::Boolean(holds[(x.total_cmp(y) as i8 + 1) as usize]),
                    };
                    assert_eq!(batch.get(j), want, "column {i}: {x:?} {name} {y:?}");
                }
            }
        }
    }
}
