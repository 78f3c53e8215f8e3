//! Vectors. Every sum runs left to right over the elements in 64-bit floats, one rounding
//! per operation, so its bits do not depend on how wide a machine computes.

use std::sync::Arc;

use evenkeel_types::{DataType, ErrorReason, Expr, Value};

use super::array::element_type;
use super::{Binding, Function, Group, Signature, argument_type, call, check_count};
use crate::coerce::convert;
use crate::error::BuildError;
use crate::kernel::{Double, Kernel, Missing, Nested, Outcome, binary, unary};

const INVALID_ARGUMENT: Missing = Missing::Error(ErrorReason::InvalidArgument);

pub(super) static FUNCTIONS: &[Function] = &[
    pairwise(
        "dot_product",
        &[
            "inner_product",
            "list_dot_product",
            "array_inner_product",
            "array_dot_product",
        ],
        &["dot_product(vector, vector) -> DOUBLE"],
        "The sum of the products, left to right.",
        |_| fold(|sums| sums.products),
    ),
    pairwise(
        "cosine_similarity",
        &["list_cosine_similarity", "array_cosine_similarity"],
        &["cosine_similarity(vector, vector) -> DOUBLE"],
        "`dot_product(a, b) / (l2_norm(a) * l2_norm(b))`; NaN where one of them is all zeros.",
        |_| fold(cosine),
    ),
    pairwise(
        "cosine_distance",
        &["list_cosine_distance", "array_cosine_distance"],
        &["cosine_distance(vector, vector) -> DOUBLE"],
        "`1 - cosine_similarity(a, b)`.",
        |_| fold(|sums| 1.0 - cosine(sums)),
    ),
    pairwise(
        "l2_distance",
        &["euclidean_distance", "list_distance", "array_distance"],
        &["l2_distance(vector, vector) -> DOUBLE"],
        "The square root of the sum of the squared differences, left to right.",
        |_| fold(|sums| sums.squared_differences.sqrt()),
    ),
    Function {
        name: "l2_norm",
        aliases: &["vector_norm"],
        group: Group::Vector,
        rule: "The square root of the sum of the squares, left to right.",
        nulls: "NULL if an element is",
        errors: "",
        binding: Binding::Special {
            signatures: &["l2_norm(vector) -> DOUBLE"],
            bind: |name, args| {
                check_count(name, &args, 1, Some(1))?;
                Ok(call(name, numbers(name, args)?, DataType::Double))
            },
            kernel: |_| unary::<Nested, Double>(|v| Ok(sums(v, v)?.left_squares.sqrt())),
        },
    },
];

const fn pairwise(
    name: &'static str,
    aliases: &'static [&'static str],
    signatures: &'static [&'static str],
    rule: &'static str,
    kernel: fn(&Signature<'_>) -> Arc<dyn Kernel>,
) -> Function {
    Function {
        name,
        aliases,
        group: Group::Vector,
        rule,
        nulls: "NULL if an element is",
        errors: "INVALID_ARGUMENT if the lengths differ",
        binding: Binding::Special {
            signatures,
            bind: bind_pair,
            kernel,
        },
    }
}

fn bind_pair(name: &'static str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    check_count(name, &args, 2, Some(2))?;
    if let (DataType::Vector { length: a, .. }, DataType::Vector { length: b, .. }) =
        (&args[0].data_type, &args[1].data_type)
        && a != b
    {
        return Err(argument_type(
            name,
            1,
            &format!("a vector of {a} elements"),
            &args[1],
        ));
    }
    Ok(call(name, numbers(name, args)?, DataType::Double))
}

/// The arguments as lists of floats.
fn numbers(name: &str, args: Vec<Expr>) -> Result<Vec<Expr>, BuildError> {
    args.into_iter()
        .enumerate()
        .map(|(i, arg)| match element_type(&arg.data_type) {
            Some(DataType::Float | DataType::Double) => Ok(arg),
            Some(element) if element.is_numeric() || *element == DataType::Null => {
                Ok(convert(arg, &DataType::Array(Box::new(DataType::Double))))
            }
            None if arg.data_type == DataType::Null => {
                Ok(convert(arg, &DataType::Array(Box::new(DataType::Double))))
            }
            _ => Err(argument_type(name, i, "a vector of numbers", &arg)),
        })
        .collect()
}

/// What all functions of two vectors are made from.
#[derive(Clone, Copy, Default)]
struct Sums {
    products: f64,
    left_squares: f64,
    right_squares: f64,
    squared_differences: f64,
}

fn cosine(sums: Sums) -> f64 {
    sums.products / (sums.left_squares.sqrt() * sums.right_squares.sqrt())
}

fn fold(finish: impl Fn(Sums) -> f64 + Send + Sync + 'static) -> Arc<dyn Kernel> {
    binary::<Nested, Nested, Double>(move |a, b| sums(a, b).map(&finish))
}

fn sums(a: &Value, b: &Value) -> Outcome<Sums> {
    let (Value::Array(a), Value::Array(b)) = (a, b) else {
        return Err(INVALID_ARGUMENT);
    };
    if a.len() != b.len() {
        return Err(INVALID_ARGUMENT);
    }
    let mut sums = Sums::default();
    for (x, y) in a.iter().zip(b.iter()) {
        let (x, y) = (number(x)?, number(y)?);
        let difference = x - y;
        sums.products += x * y;
        sums.left_squares += x * x;
        sums.right_squares += y * y;
        sums.squared_differences += difference * difference;
    }
    Ok(sums)
}

fn number(value: &Value) -> Outcome<f64> {
    match value {
        Value::Float(x) => Ok(f64::from(*x)),
        Value::Double(x) => Ok(*x),
        Value::Null => Err(Missing::Null),
        Value::Error(reason) => Err((*reason).into()),
        _ => Err(INVALID_ARGUMENT),
    }
}
