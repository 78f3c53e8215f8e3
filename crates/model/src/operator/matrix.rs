//! Products of matrices.
//!
//! A product's element is the sum of its terms in their order, kept in double and rounded once:
//! of floats every term is exact.

use super::elementwise::{Index, stretched, together};
use crate::call::{Built, Call, Known, Made, Refusal, Run, checked, not_of};
use crate::tensor::{Element, Kind};

/// A type of floats.
trait Float: Element + Copy {
    fn wide(self) -> f64;
    fn narrow(x: f64) -> Self;
}

impl Float for f32 {
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn narrow(x: f64) -> Self {
        x as f32
    }
}

impl Float for f64 {
    fn wide(self) -> f64 {
        self
    }
    fn narrow(x: f64) -> Self {
        x
    }
}

/// How the elements of a matrix lie: how far it is to the next row, and to the next column.
#[derive(Clone, Copy)]
struct Layout {
    row: usize,
    column: usize,
}

impl Layout {
    fn of(columns: usize, rows: usize, is_transposed: bool) -> Self {
        if is_transposed {
            Layout {
                row: 1,
                column: rows,
            }
        } else {
            Layout {
                row: columns,
                column: 1,
            }
        }
    }
}

/// The element of a product.
fn dot<T: Float>((a, a_step): (&[T], usize), (b, b_step): (&[T], usize), terms: usize) -> f64 {
    (0..terms).fold(0.0, |total, at| {
        total + a[at * a_step].wide() * b[at * b_step].wide()
    })
}

fn gemm_of<T: Float>(call: &Call<'_>, a: &Known, b: &Known) -> Result<Built, Refusal> {
    let (alpha, beta) = (call.float("alpha")?, call.float("beta")?);
    let (alpha, beta) = (
        f64::from(alpha.unwrap_or(1.0)),
        f64::from(beta.unwrap_or(1.0)),
    );
    let (trans_a, trans_b) = (call.flag("transA")?, call.flag("transB")?);
    let sizes = |of: &Known, is_transposed: bool| match of.shape[..] {
        [rows, columns] if is_transposed => Ok((columns, rows)),
        [rows, columns] => Ok((rows, columns)),
        _ => Err(format!("cannot take {:?} as a matrix", of.shape)),
    };
    let ((rows, terms), (of_b, columns)) = (sizes(a, trans_a)?, sizes(b, trans_b)?);
    if terms != of_b {
        return Err(format!("cannot multiply {:?} and {:?}", a.shape, b.shape));
    }
    let shape = checked(vec![rows, columns])?;
    let of_c = match call.optional(2) {
        None => None,
        Some(c) if c.kind != T::KIND => return Err(not_of(c)),
        Some(c) if together(&[&c.shape, &shape])? != shape => {
            return Err(format!("cannot add {:?} to {shape:?}", c.shape));
        }
        Some(c) => Some(stretched(&c.shape, &shape)),
    };
    let of_a = Layout::of(terms, rows, trans_a);
    let of_b = Layout::of(columns, terms, trans_b);
    let run: Run = Box::new(move |inputs, outputs| {
        let (a, b) = (inputs.get::<T>(0), inputs.get::<T>(1));
        let output = T::of_mut(&mut outputs[0]);
        for row in 0..rows {
            for column in 0..columns {
                let place = row * columns + column;
                let added = of_c.as_ref().map_or(0.0, |of_c: &Index| {
                    beta * inputs.get::<T>(2)[of_c.of(place)].wide()
                });
                let product = match terms {
                    0 => 0.0,
                    _ => dot(
                        (&a[row * of_a.row..], of_a.column),
                        (&b[column * of_b.column..], of_b.row),
                        terms,
                    ),
                };
                output[place] = T::narrow(alpha * product + added);
            }
        }
        Ok(())
    });
    Ok(Built::Step {
        outputs: vec![Made::new(T::KIND, shape)],
        run,
        work: rows.saturating_mul(columns).saturating_mul(terms.max(1)),
    })
}

pub(super) fn gemm(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(3)?;
    let (a, b) = (call.input(0)?, call.input(1)?);
    match (a.kind, b.kind) {
        (Kind::F32, Kind::F32) => gemm_of::<f32>(call, a, b),
        (Kind::F64, Kind::F64) => gemm_of::<f64>(call, a, b),
        _ => Err(not_of(if a.is_float() { b } else { a })),
    }
}

/// Matrices, and how many of them: the dimensions before the last two.
fn matrices(of: &Known, vector: [usize; 2]) -> Result<(&[usize], [usize; 2]), Refusal> {
    match &of.shape[..] {
        [] => Err("cannot multiply a single number".to_owned()),
        [_] => Ok((&[], vector)),
        [many @ .., rows, columns] => Ok((many, [*rows, *columns])),
    }
}

fn mat_mul_of<T: Float>(a: &Known, b: &Known) -> Result<Built, Refusal> {
    let (many_a, [rows, terms]) = matrices(a, [1, a.len()])?;
    let (many_b, [of_b, columns]) = matrices(b, [b.len(), 1])?;
    if terms != of_b {
        return Err(format!("cannot multiply {:?} and {:?}", a.shape, b.shape));
    }
    let many = together(&[many_a, many_b])?;
    let (index_a, index_b) = (stretched(many_a, &many), stretched(many_b, &many));
    let count: usize = many.iter().product();
    let mut shape = many;
    // A vector is a matrix of one row or one column, which the product does not have.
    if a.shape.len() > 1 {
        shape.push(rows);
    }
    if b.shape.len() > 1 {
        shape.push(columns);
    }
    let shape = checked(shape)?;
    let run: Run = Box::new(move |inputs, outputs| {
        let (a, b) = (inputs.get::<T>(0), inputs.get::<T>(1));
        let output = T::of_mut(&mut outputs[0]);
        for at in 0..count {
            let a = &a[index_a.of(at) * rows * terms..][..rows * terms];
            let b = &b[index_b.of(at) * terms * columns..][..terms * columns];
            let output = &mut output[at * rows * columns..][..rows * columns];
            for (place, output) in output.iter_mut().enumerate() {
                let (row, column) = (place / columns, place % columns);
                let product = match terms {
                    0 => 0.0,
                    _ => dot((&a[row * terms..], 1), (&b[column..], columns), terms),
                };
                *output = T::narrow(product);
            }
        }
        Ok(())
    });
    let work = [count, rows, columns, terms.max(1)];
    Ok(Built::Step {
        outputs: vec![Made::new(T::KIND, shape)],
        run,
        work: work.iter().fold(1usize, |a, b| a.saturating_mul(*b)),
    })
}

pub(super) fn mat_mul(call: &Call<'_>) -> Result<Built, Refusal> {
    call.at_most(2)?;
    let (a, b) = (call.input(0)?, call.input(1)?);
    match (a.kind, b.kind) {
        (Kind::F32, Kind::F32) => mat_mul_of::<f32>(a, b),
        (Kind::F64, Kind::F64) => mat_mul_of::<f64>(a, b),
        _ => Err(not_of(if a.is_float() { b } else { a })),
    }
}
