//! Building typed expressions: what the binder of a language calls.
//!
//! Every function here checks types, writes implicit conversions into the tree and keeps
//! the size within [`EXPRESSION_DEPTH_MAX`](crate::EXPRESSION_DEPTH_MAX) and
//! [`EXPRESSION_NODES_MAX`](crate::EXPRESSION_NODES_MAX). Errors name arguments by position;
//! where they stand in a text, the caller knows.

mod literal;
mod size;

use evenkeel_types::{DataType, Expr, ExprKind, External};

use crate::cast as conversion;
use crate::coerce;
use crate::error::BuildError;
use crate::function;

pub use literal::{
    boolean, bytes, date, decimal, double, integer, interval, null, number, string, timestamp,
};

/// A call of a function or operator of the closed list, by its name or any alias, in any
/// case: `call("+", [a, b])`, `call("substr", [s, from, count])`. The result is not always
/// an [`ExprKind::Call`]: `if`, `and`, `coalesce` and `read_time` have forms of their own.
pub fn call(name: &str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    let bound = match (name, args.len()) {
        ("-" | "negate", 1) => match literal::negated(&args[0]) {
            Some(literal) => literal,
            None => bind("negate", args)?,
        },
        ("+", 1) => bind("unary_plus", args)?,
        _ => bind(name, args)?,
    };
    size::checked(bound)
}

fn bind(name: &str, args: Vec<Expr>) -> Result<Expr, BuildError> {
    function::find(name)
        .ok_or_else(|| function::unknown(name))?
        .bind(args)
}

/// A call of a function that is not of the closed list. Arguments become the types of the
/// parameters by implicit widening.
pub fn external(function: External, args: Vec<Expr>) -> Result<Expr, BuildError> {
    let signature = function.signature();
    let name = &signature.name;
    if args.len() != signature.parameters.len() {
        return Err(BuildError::ArgumentCount {
            function: name.clone(),
            expected: match signature.parameters.len() {
                1 => "1 argument".to_owned(),
                count => format!("{count} arguments"),
            },
            found: args.len(),
        });
    }
    let mut converted = Vec::with_capacity(args.len());
    for (argument, (arg, parameter)) in args.into_iter().zip(&signature.parameters).enumerate() {
        let wanted = &parameter.data_type;
        if !coerce::accepts(&arg, wanted) {
            return Err(BuildError::ArgumentType {
                function: name.clone(),
                argument,
                expected: format!("{wanted} (`{}`)", parameter.name),
                found: arg.data_type,
                hint: Some(format!("write `CAST(... AS {wanted})`")),
            });
        }
        converted.push(coerce::to_common(name, argument, arg, wanted)?);
    }
    let data_type = signature.result.clone();
    size::checked(Expr {
        kind: ExprKind::External {
            function,
            args: converted,
        },
        data_type,
    })
}

/// `CAST(expr AS to)`. What has no equal value in the other type is ERROR on that row.
pub fn cast(expr: Expr, to: &DataType) -> Result<Expr, BuildError> {
    check_cast(&expr, to)?;
    size::checked(coerce::convert(expr, to))
}

/// `TRY_CAST(expr AS to)`: NULL where [`cast`] is ERROR. An ERROR in `expr` itself passes.
pub fn try_cast(expr: Expr, to: &DataType) -> Result<Expr, BuildError> {
    check_cast(&expr, to)?;
    if expr.data_type == *to || expr.data_type == DataType::Null {
        return cast(expr, to);
    }
    size::checked(Expr {
        kind: ExprKind::Call {
            function: "try_cast".into(),
            args: vec![expr],
        },
        data_type: to.clone(),
    })
}

fn check_cast(expr: &Expr, to: &DataType) -> Result<(), BuildError> {
    if conversion::kernel(&expr.data_type, to).is_some() {
        return Ok(());
    }
    Err(BuildError::NoCast {
        from: expr.data_type.clone(),
        to: to.clone(),
        hint: conversion::hint(&expr.data_type, to).map(str::to_owned),
    })
}

/// The expression in another type by implicit widening (`INT` to `BIGINT` to `DECIMAL` or
/// `DOUBLE`, `FLOAT` and `DECIMAL` to `DOUBLE`, `DATE` to `TIMESTAMP`, NULL to anything, a
/// text literal to a time), or [`BuildError::NoCoercion`].
pub fn coerce(expr: Expr, to: &DataType) -> Result<Expr, BuildError> {
    if coerce::accepts(&expr, to) {
        size::checked(coerce::to_common("coercion", 0, expr, to)?)
    } else {
        Err(BuildError::NoCoercion {
            from: expr.data_type,
            to: to.clone(),
        })
    }
}

/// The type that all expressions become by themselves, literals adapting to the rest.
pub fn common_type(function: &str, args: &[Expr]) -> Result<DataType, BuildError> {
    coerce::common_type(function, args.iter())
}

/// `a AND b AND ...`; stops at the first false, per row.
pub fn and(args: Vec<Expr>) -> Result<Expr, BuildError> {
    call("and", args)
}

/// `a OR b OR ...`; stops at the first true, per row.
pub fn or(args: Vec<Expr>) -> Result<Expr, BuildError> {
    call("or", args)
}

/// `NOT x`
pub fn not(x: Expr) -> Result<Expr, BuildError> {
    call("not", vec![x])
}

/// `CASE WHEN condition THEN result ... ELSE otherwise END`. In errors the arguments count
/// as condition, result, condition, result, ..., otherwise.
pub fn case(branches: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Result<Expr, BuildError> {
    size::checked(function::case("case", branches, otherwise)?)
}

/// `CASE operand WHEN value THEN result ... ELSE otherwise END`. In errors the arguments
/// count as value, result, value, result, ..., otherwise.
pub fn case_of(
    operand: Expr,
    branches: Vec<(Expr, Expr)>,
    otherwise: Option<Expr>,
) -> Result<Expr, BuildError> {
    let branches = branches
        .into_iter()
        .enumerate()
        .map(|(i, (value, result))| {
            let condition = call("eq", vec![operand.clone(), value]).map_err(|e| match e {
                BuildError::NoCommonType { found, other, .. } => BuildError::NoCommonType {
                    function: "case".to_owned(),
                    argument: 2 * i,
                    found,
                    other,
                },
                BuildError::BadConstant {
                    value,
                    reason,
                    hint,
                    ..
                } => BuildError::BadConstant {
                    function: "case".to_owned(),
                    argument: 2 * i,
                    value,
                    reason,
                    hint,
                },
                other => other,
            })?;
            Ok((condition, result))
        })
        .collect::<Result<_, BuildError>>()?;
    case(branches, otherwise)
}

/// The first argument that is not NULL; later ones are not evaluated.
pub fn coalesce(args: Vec<Expr>) -> Result<Expr, BuildError> {
    call("coalesce", args)
}

/// NULL if both are equal, else `a`.
pub fn nullif(a: Expr, b: Expr) -> Result<Expr, BuildError> {
    call("nullif", vec![a, b])
}

/// `x IN (list)`; the arguments are x and then the list.
pub fn in_list(x: Expr, list: Vec<Expr>) -> Result<Expr, BuildError> {
    let mut args = vec![x];
    args.extend(list);
    call("in", args)
}

/// `x BETWEEN low AND high`, both ends closed.
pub fn between(x: Expr, low: Expr, high: Expr) -> Result<Expr, BuildError> {
    call("between", vec![x, low, high])
}

/// `x IS NULL`; an ERROR passes.
pub fn is_null(x: Expr) -> Result<Expr, BuildError> {
    call("is_null", vec![x])
}

/// `x IS NOT NULL`; an ERROR passes.
pub fn is_not_null(x: Expr) -> Result<Expr, BuildError> {
    call("is_not_null", vec![x])
}

/// `a IS DISTINCT FROM b`
pub fn is_distinct_from(a: Expr, b: Expr) -> Result<Expr, BuildError> {
    call("is_distinct_from", vec![a, b])
}

/// `a IS NOT DISTINCT FROM b`
pub fn is_not_distinct_from(a: Expr, b: Expr) -> Result<Expr, BuildError> {
    call("is_not_distinct_from", vec![a, b])
}

/// `text LIKE pattern [ESCAPE escape]`
pub fn like(text: Expr, pattern: Expr, escape: Option<Expr>) -> Result<Expr, BuildError> {
    let mut args = vec![text, pattern];
    args.extend(escape);
    call("like", args)
}

/// `text ILIKE pattern [ESCAPE escape]`
pub fn ilike(text: Expr, pattern: Expr, escape: Option<Expr>) -> Result<Expr, BuildError> {
    let mut args = vec![text, pattern];
    args.extend(escape);
    call("ilike", args)
}

/// `x.name` of a struct.
pub fn field(x: Expr, name: &str) -> Result<Expr, BuildError> {
    call("struct_field", vec![x, string(name)])
}

/// `list[index]`, counted from 1.
pub fn element(list: Expr, index: Expr) -> Result<Expr, BuildError> {
    call("element_at", vec![list, index])
}

/// `read_time()`: the time `t` that the value is read at.
pub fn read_time() -> Expr {
    Expr {
        kind: ExprKind::ReadTime,
        data_type: DataType::Timestamp,
    }
}
