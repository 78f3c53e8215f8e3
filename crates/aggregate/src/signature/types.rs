//! Which types functions take and give, and the limits of their parameters.

use evenkeel_types::{AggregateFunction, DECIMAL_PRECISION_MAX, DataType, Field};

use super::{DISTINCT_LIMIT_MAX, ENDS_MAX, TOP_K_LIMIT_MAX, TOP_K_MAX};
use crate::error::SignatureError;

/// Decimal places that an average of decimals has more than its inputs, where they fit.
const AVERAGE_PLACES: u8 = 4;

pub(super) const BOOLEAN_HINT: &str = "it takes a condition (BOOLEAN)";

/// The type that an argument is converted to.
pub(super) fn coerced(function: &AggregateFunction, found: &DataType) -> DataType {
    match function {
        AggregateFunction::ApproxQuantile { .. } if found.is_numeric() && !found.is_float() => {
            DataType::Double
        }
        _ => found.clone(),
    }
}

/// The type of an average of a numeric type: `DOUBLE`, for decimals a `DECIMAL` of 38
/// digits with up to four more places. No average is outside it, because no average is
/// outside the range of its inputs; it is rounded once, ties to even.
pub fn average_type(input: &DataType) -> DataType {
    match input {
        DataType::Decimal { precision, scale } => DataType::Decimal {
            precision: DECIMAL_PRECISION_MAX,
            scale: scale + AVERAGE_PLACES.min(DECIMAL_PRECISION_MAX - precision),
        },
        _ => DataType::Double,
    }
}

/// The name by which messages call a function.
pub fn function_name(function: &AggregateFunction) -> &'static str {
    match function {
        AggregateFunction::Count => "count",
        AggregateFunction::Sum => "sum",
        AggregateFunction::Avg => "avg",
        AggregateFunction::Min => "min",
        AggregateFunction::Max => "max",
        AggregateFunction::VarPop => "var_pop",
        AggregateFunction::VarSamp => "var_samp",
        AggregateFunction::StddevPop => "stddev_pop",
        AggregateFunction::StddevSamp => "stddev_samp",
        AggregateFunction::FirstValue => "first_value",
        AggregateFunction::LastValue => "last_value",
        AggregateFunction::FirstN { .. } => "first_n",
        AggregateFunction::LastN { .. } => "last_n",
        AggregateFunction::CountDistinct { .. } => "count_distinct",
        AggregateFunction::ApproxQuantile { .. } => "approx_quantile",
        AggregateFunction::TopK { .. } => "top_k",
        AggregateFunction::BoolAnd => "bool_and",
        AggregateFunction::BoolOr => "bool_or",
        AggregateFunction::MinBy => "min_by",
        AggregateFunction::MaxBy => "max_by",
    }
}

/// The type of the result of a function over inputs of these types.
///
/// # Errors
/// If the function has no answer for them, or a parameter is outside its limits.
pub(crate) fn check(
    function: &AggregateFunction,
    ignore_nulls: bool,
    inputs: &[DataType],
) -> Result<DataType, SignatureError> {
    let arity = match function {
        AggregateFunction::Count => inputs.len().min(1),
        AggregateFunction::MinBy | AggregateFunction::MaxBy => 2,
        _ => 1,
    };
    if inputs.len() != arity || !within_limits(function) {
        return Err(malformed(function, inputs));
    }
    let respects_nulls = matches!(
        function,
        AggregateFunction::FirstValue
            | AggregateFunction::LastValue
            | AggregateFunction::FirstN { .. }
            | AggregateFunction::LastN { .. }
    );
    if ignore_nulls && !respects_nulls {
        return Err(SignatureError::IgnoreNulls {
            function: function_name(function),
        });
    }
    let Some(input) = inputs.first() else {
        return Ok(DataType::BigInt);
    };
    let require = |allowed: bool, data_type: &DataType, hint: &'static str| {
        if allowed {
            return Ok(());
        }
        Err(SignatureError::ArgumentType {
            function: function_name(function),
            data_type: data_type.to_string(),
            hint: match data_type {
                DataType::Null => "give the NULL a type with CAST(NULL AS ...)",
                _ => hint,
            },
        })
    };
    let numeric_hint = match input {
        DataType::Boolean => "count what is true with count_if(...)",
        DataType::Timestamp | DataType::Date => "turn it into a number first",
        _ => "it takes numbers, convert with CAST",
    };
    let scalar = |input: &DataType| {
        require(
            input.is_scalar(),
            input,
            "it takes one plain value per event, choose an element or a field",
        )
    };
    let value = |input: &DataType| {
        require(
            !matches!(input, DataType::Interval | DataType::Null),
            input,
            "turn the interval into a number first",
        )
    };
    Ok(match function {
        AggregateFunction::Count => DataType::BigInt,
        AggregateFunction::Sum => {
            require(input.is_numeric(), input, numeric_hint)?;
            match input {
                DataType::Decimal { scale, .. } => DataType::Decimal {
                    precision: DECIMAL_PRECISION_MAX,
                    scale: *scale,
                },
                t if t.is_integer() => DataType::BigInt,
                _ => DataType::Double,
            }
        }
        AggregateFunction::Avg => {
            require(input.is_numeric(), input, numeric_hint)?;
            average_type(input)
        }
        AggregateFunction::VarPop
        | AggregateFunction::VarSamp
        | AggregateFunction::StddevPop
        | AggregateFunction::StddevSamp => {
            require(input.is_numeric(), input, numeric_hint)?;
            DataType::Double
        }
        AggregateFunction::ApproxQuantile { .. } => {
            require(input.is_float(), input, numeric_hint)?;
            DataType::Double
        }
        AggregateFunction::Min | AggregateFunction::Max => {
            scalar(input)?;
            input.clone()
        }
        AggregateFunction::FirstValue | AggregateFunction::LastValue => {
            value(input)?;
            input.clone()
        }
        AggregateFunction::FirstN { .. } | AggregateFunction::LastN { .. } => {
            scalar(input)?;
            DataType::Array(Box::new(input.clone()))
        }
        AggregateFunction::CountDistinct { .. } => {
            scalar(input)?;
            DataType::BigInt
        }
        AggregateFunction::TopK { .. } => {
            scalar(input)?;
            DataType::Array(Box::new(DataType::Struct(vec![
                Field::new("value", input.clone()),
                Field::new("count", DataType::BigInt),
            ])))
        }
        AggregateFunction::BoolAnd | AggregateFunction::BoolOr => {
            require(*input == DataType::Boolean, input, BOOLEAN_HINT)?;
            DataType::Boolean
        }
        AggregateFunction::MinBy | AggregateFunction::MaxBy => {
            value(input)?;
            scalar(&inputs[1])?;
            input.clone()
        }
    })
}

fn within_limits(function: &AggregateFunction) -> bool {
    match *function {
        AggregateFunction::FirstN { n } | AggregateFunction::LastN { n } => {
            (1..=ENDS_MAX).contains(&n)
        }
        AggregateFunction::CountDistinct { limit } => (1..=DISTINCT_LIMIT_MAX).contains(&limit),
        AggregateFunction::ApproxQuantile { q } => (0.0..=1.0).contains(&q),
        AggregateFunction::TopK { k, limit } => {
            (1..=TOP_K_MAX).contains(&k) && (1..=TOP_K_LIMIT_MAX).contains(&limit)
        }
        _ => true,
    }
}

pub(crate) fn malformed(function: &AggregateFunction, inputs: &[DataType]) -> SignatureError {
    let types: Vec<String> = inputs.iter().map(DataType::to_string).collect();
    SignatureError::Malformed {
        function: function_name(function),
        types: types.join(", "),
    }
}
