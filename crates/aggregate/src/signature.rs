//! What aggregate functions are called, what they take and what they give.
//!
//! Owns names, argument types, constant parameters and result types. Knows no SQL text:
//! the binder passes types and constants, and says where in the text an error is.

mod names;
mod types;

use evenkeel_types::{AggregateCall, AggregateFunction, DataType, Expr, ExprKind, Value};

pub use names::names;
pub use types::{average_type, function_name};

use crate::error::SignatureError;
use names::Name;
use types::{BOOLEAN_HINT, coerced};

pub(crate) use types::{check, malformed};

/// The largest `n` of `first_n` and `last_n`.
pub const ENDS_MAX: u32 = 10_000;
/// The largest `k` of `top_k`.
pub const TOP_K_MAX: u32 = 1_000;
/// Distinct values that `top_k` counts unless the call says otherwise.
pub const TOP_K_LIMIT_DEFAULT: u32 = 10_000;
/// The largest number of distinct values that a `top_k` can be asked to count.
pub const TOP_K_LIMIT_MAX: u32 = 100_000;
/// The largest exact count of `count_distinct` unless the call says otherwise.
pub const DISTINCT_LIMIT_DEFAULT: u32 = 10_000;
/// The largest exact count of `approx_count_distinct` unless the call says otherwise.
pub const APPROX_DISTINCT_LIMIT_DEFAULT: u32 = 1_024;
/// The largest exact count that `count_distinct` can be asked for.
pub const DISTINCT_LIMIT_MAX: u32 = 100_000;

/// An argument of a call as written: its type, and its value if it is a constant.
#[derive(Clone, Copy, Debug)]
pub struct Argument<'a> {
    /// Its type.
    pub data_type: &'a DataType,
    /// Its value, where the binder found a constant.
    pub constant: Option<&'a Value>,
}

/// What stands around the arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modifiers {
    /// `DISTINCT` before the first argument.
    pub distinct: bool,
    /// `IGNORE NULLS`.
    pub ignore_nulls: bool,
}

/// A resolved call: which function, over which of the written arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    /// The function with its constant parameters.
    pub function: AggregateFunction,
    /// The inputs in the function's order. Arguments that are not among them are constants
    /// and already part of `function`.
    pub inputs: Vec<Input>,
    /// `IGNORE NULLS`.
    pub ignore_nulls: bool,
    /// The type of the result.
    pub result: DataType,
}

/// One input of a resolved call.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The index of the written argument.
    pub argument: usize,
    /// The type that it is converted to, if it is not of that type already.
    pub data_type: DataType,
    /// For `count_if(p)`: the input is TRUE where `p` is true, else NULL.
    pub true_or_null: bool,
}

impl Signature {
    /// The call over the written arguments (all of them, constants included), converted
    /// where the function asks for it.
    pub fn into_call(self, args: &[Expr], filter: Option<Expr>) -> AggregateCall {
        let args = self
            .inputs
            .iter()
            .filter_map(|input| Some(input.convert(args.get(input.argument)?.clone())))
            .collect();
        AggregateCall {
            function: self.function,
            args,
            filter,
            ignore_nulls: self.ignore_nulls,
            data_type: self.result,
        }
    }
}

impl Input {
    fn convert(&self, arg: Expr) -> Expr {
        if self.true_or_null {
            return Expr {
                kind: ExprKind::Case {
                    branches: vec![(arg, Expr::literal(Value::Boolean(true), DataType::Boolean))],
                    otherwise: None,
                },
                data_type: DataType::Boolean,
            };
        }
        if arg.data_type == self.data_type {
            return arg;
        }
        Expr {
            kind: ExprKind::Cast(Box::new(arg)),
            data_type: self.data_type.clone(),
        }
    }
}

/// The call that a name, arguments and modifiers stand for. `count(*)` is `count` without
/// arguments. Names are compared without regard to case.
///
/// # Errors
/// If there is no such function, or it does not take these arguments.
pub fn resolve(
    name: &str,
    args: &[Argument<'_>],
    modifiers: Modifiers,
) -> Result<Signature, SignatureError> {
    let found = names::find(name)?;
    let function = found.canonical;
    let mut constants = Constants { function, args };
    if modifiers.distinct && found.name != Name::Count {
        return Err(SignatureError::Distinct { function });
    }
    constants.expect(found.arity, found.takes)?;
    let (aggregate, inputs) = match found.name {
        Name::Count if modifiers.distinct => {
            constants.expect((1, 1), "one argument after DISTINCT")?;
            let limit = DISTINCT_LIMIT_DEFAULT;
            (AggregateFunction::CountDistinct { limit }, 1)
        }
        Name::Count => (AggregateFunction::Count, args.len()),
        Name::CountIf => (AggregateFunction::Count, 1),
        Name::CountDistinct | Name::ApproxCountDistinct => {
            let default = if found.name == Name::CountDistinct {
                DISTINCT_LIMIT_DEFAULT
            } else {
                APPROX_DISTINCT_LIMIT_DEFAULT
            };
            let limit = constants.natural(1, DISTINCT_LIMIT_MAX, Some(default))?;
            (AggregateFunction::CountDistinct { limit }, 1)
        }
        Name::Sum => (AggregateFunction::Sum, 1),
        Name::Avg => (AggregateFunction::Avg, 1),
        Name::Min => (AggregateFunction::Min, 1),
        Name::Max => (AggregateFunction::Max, 1),
        Name::VarPop => (AggregateFunction::VarPop, 1),
        Name::VarSamp => (AggregateFunction::VarSamp, 1),
        Name::StddevPop => (AggregateFunction::StddevPop, 1),
        Name::StddevSamp => (AggregateFunction::StddevSamp, 1),
        Name::FirstValue => (AggregateFunction::FirstValue, 1),
        Name::LastValue => (AggregateFunction::LastValue, 1),
        Name::FirstN => {
            let n = constants.natural(1, ENDS_MAX, None)?;
            (AggregateFunction::FirstN { n }, 1)
        }
        Name::LastN => {
            let n = constants.natural(1, ENDS_MAX, None)?;
            (AggregateFunction::LastN { n }, 1)
        }
        Name::ApproxQuantile => {
            let q = constants.share(1)?;
            (AggregateFunction::ApproxQuantile { q }, 1)
        }
        Name::Median => (AggregateFunction::ApproxQuantile { q: 0.5 }, 1),
        Name::TopK => {
            let k = constants.natural(1, TOP_K_MAX, None)?;
            let limit = constants.natural(2, TOP_K_LIMIT_MAX, Some(TOP_K_LIMIT_DEFAULT))?;
            (AggregateFunction::TopK { k, limit }, 1)
        }
        Name::BoolAnd => (AggregateFunction::BoolAnd, 1),
        Name::BoolOr => (AggregateFunction::BoolOr, 1),
        Name::MinBy => (AggregateFunction::MinBy, 2),
        Name::MaxBy => (AggregateFunction::MaxBy, 2),
    };
    let true_or_null = found.name == Name::CountIf;
    if true_or_null && *args[0].data_type != DataType::Boolean {
        return Err(SignatureError::ArgumentType {
            function,
            data_type: args[0].data_type.to_string(),
            hint: BOOLEAN_HINT,
        });
    }
    let inputs: Vec<Input> = args[..inputs]
        .iter()
        .enumerate()
        .map(|(argument, arg)| Input {
            argument,
            data_type: coerced(&aggregate, arg.data_type),
            true_or_null,
        })
        .collect();
    let types: Vec<DataType> = inputs.iter().map(|i| i.data_type.clone()).collect();
    let result = match check(&aggregate, modifiers.ignore_nulls, &types) {
        Ok(result) => result,
        Err(SignatureError::ArgumentType {
            data_type, hint, ..
        }) => {
            return Err(SignatureError::ArgumentType {
                function,
                data_type,
                hint,
            });
        }
        Err(SignatureError::IgnoreNulls { .. }) => {
            return Err(SignatureError::IgnoreNulls { function });
        }
        Err(other) => return Err(other),
    };
    Ok(Signature {
        function: aggregate,
        inputs,
        ignore_nulls: modifiers.ignore_nulls,
        result,
    })
}

/// Reads the constant arguments of one call.
struct Constants<'a> {
    function: &'static str,
    args: &'a [Argument<'a>],
}

impl Constants<'_> {
    fn expect(
        &mut self,
        (least, most): (usize, usize),
        expected: &'static str,
    ) -> Result<(), SignatureError> {
        if (least..=most).contains(&self.args.len()) {
            return Ok(());
        }
        Err(SignatureError::ArgumentCount {
            function: self.function,
            expected,
            found: self.args.len(),
        })
    }

    fn natural(
        &self,
        index: usize,
        most: u32,
        default: Option<u32>,
    ) -> Result<u32, SignatureError> {
        let expected = "a whole number";
        let constant = match (self.args.get(index), default) {
            (None, Some(default)) => return Ok(default),
            (arg, _) => arg.and_then(|arg| arg.constant),
        };
        let found = match constant {
            Some(Value::Int(x)) => i64::from(*x),
            Some(Value::BigInt(x)) => *x,
            _ => {
                return Err(SignatureError::ConstantExpected {
                    function: self.function,
                    position: index + 1,
                    expected,
                });
            }
        };
        match u32::try_from(found) {
            Ok(x) if (1..=most).contains(&x) => Ok(x),
            _ => Err(SignatureError::ConstantRange {
                function: self.function,
                position: index + 1,
                expected: format!("between 1 and {most}"),
                found: found.to_string(),
            }),
        }
    }

    fn share(&self, index: usize) -> Result<f64, SignatureError> {
        let arg = self.args.get(index);
        let q = match (arg.map(|a| a.data_type), arg.and_then(|a| a.constant)) {
            (_, Some(Value::Int(x))) => f64::from(*x),
            // Only 0 and 1 are allowed, and both are exact.
            (_, Some(Value::BigInt(x))) => *x as f64,
            (_, Some(Value::Double(x))) => *x,
            (_, Some(Value::Float(x))) => f64::from(*x),
            (Some(DataType::Decimal { scale, .. }), Some(Value::Decimal(x))) => {
                // Through the text, so that 0.07 is the double nearest to 0.07.
                format!("{}e-{scale}", x.get()).parse().unwrap_or(f64::NAN)
            }
            _ => {
                return Err(SignatureError::ConstantExpected {
                    function: self.function,
                    position: index + 1,
                    expected: "a number between 0 and 1",
                });
            }
        };
        if (0.0..=1.0).contains(&q) {
            return Ok(q + 0.0);
        }
        Err(SignatureError::ConstantRange {
            function: self.function,
            position: index + 1,
            expected: "between 0 and 1".to_owned(),
            found: q.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve_types(name: &str, types: &[DataType]) -> Result<Signature, SignatureError> {
        let args: Vec<Argument<'_>> = types
            .iter()
            .map(|data_type| Argument {
                data_type,
                constant: None,
            })
            .collect();
        resolve(name, &args, Modifiers::default())
    }

    fn resolve_with(name: &str, constants: &[Value]) -> Result<Signature, SignatureError> {
        let decimal = DataType::Decimal {
            precision: 3,
            scale: 2,
        };
        let mut args = vec![Argument {
            data_type: &DataType::BigInt,
            constant: None,
        }];
        args.extend(constants.iter().map(|constant| Argument {
            data_type: match constant {
                Value::Decimal(_) => &decimal,
                _ => &DataType::Int,
            },
            constant: Some(constant),
        }));
        resolve(name, &args, Modifiers::default())
    }

    fn decimal(precision: u8, scale: u8) -> DataType {
        DataType::Decimal { precision, scale }
    }

    #[test]
    fn results_have_the_documented_types() {
        for (name, input, result) in [
            ("sum", DataType::Int, DataType::BigInt),
            ("SUM", DataType::BigInt, DataType::BigInt),
            ("sum", DataType::Float, DataType::Double),
            ("sum", decimal(10, 2), decimal(38, 2)),
            ("mean", DataType::BigInt, DataType::Double),
            ("avg", decimal(10, 2), decimal(38, 6)),
            ("avg", decimal(38, 2), decimal(38, 2)),
            ("avg", decimal(36, 0), decimal(38, 2)),
            ("max", DataType::Float, DataType::Float),
            ("first", DataType::String, DataType::String),
            ("stddev", decimal(10, 2), DataType::Double),
            ("median", decimal(10, 2), DataType::Double),
            ("count_if", DataType::Boolean, DataType::BigInt),
            ("every", DataType::Boolean, DataType::Boolean),
            ("count", DataType::Bytes, DataType::BigInt),
        ] {
            let got = resolve_types(name, std::slice::from_ref(&input));
            assert_eq!(got.map(|s| s.result), Ok(result), "{name}({input})");
        }
        assert_eq!(
            resolve_types("count", &[]).map(|s| s.inputs),
            Ok(Vec::new())
        );
    }

    #[test]
    fn constants_become_parameters() {
        let function =
            |name, constants: &[Value]| resolve_with(name, constants).map(|s| s.function);
        assert_eq!(
            function("last_n", &[Value::Int(5)]),
            Ok(AggregateFunction::LastN { n: 5 })
        );
        assert_eq!(
            function("approx_percentile", &[Value::decimal(7)]),
            Ok(AggregateFunction::ApproxQuantile { q: 0.07 })
        );
        assert_eq!(
            function("top_k", &[Value::Int(3), Value::BigInt(50)]),
            Ok(AggregateFunction::TopK { k: 3, limit: 50 })
        );
        assert_eq!(
            function("count_distinct", &[]),
            Ok(AggregateFunction::CountDistinct {
                limit: DISTINCT_LIMIT_DEFAULT
            })
        );
        let error = |name, constants: &[Value]| {
            resolve_with(name, constants)
                .map_err(|e| e.to_string())
                .unwrap_err()
        };
        assert_eq!(
            error("last_n", &[Value::Int(0)]),
            "argument 2 of `last_n` is 0, which is not between 1 and 10000"
        );
        assert_eq!(
            error("last_n", &[Value::Null]),
            "argument 2 of `last_n` must be a constant: a whole number"
        );
        assert_eq!(
            error("approx_quantile", &[Value::double(1.5)]),
            "argument 2 of `approx_quantile` is 1.5, which is not between 0 and 1"
        );
        assert_eq!(
            error("last_n", &[]),
            "`last_n` takes a value and a constant number, not 1"
        );
    }

    #[test]
    fn errors_say_what_to_do() {
        let error = |name, types: &[DataType]| {
            resolve_types(name, types)
                .map_err(|e| e.to_string())
                .unwrap_err()
        };
        assert_eq!(
            error("summ", &[DataType::Int]),
            "there is no aggregate function `summ`: did you mean `sum`?"
        );
        assert_eq!(
            error("array_agg", &[DataType::Int]),
            "there is no aggregate function `array_agg`: did you mean `last_n`?"
        );
        assert_eq!(
            error("sum", &[DataType::Boolean]),
            "`sum` does not take BOOLEAN: count what is true with count_if(...)"
        );
        assert_eq!(
            error("mean", &[DataType::String]),
            "`avg` does not take STRING: it takes numbers, convert with CAST"
        );
        assert_eq!(
            error("min", &[DataType::Null]),
            "`min` does not take NULL: give the NULL a type with CAST(NULL AS ...)"
        );
        assert_eq!(error("sum", &[]), "`sum` takes one argument, not 0");
        let distinct = Modifiers {
            distinct: true,
            ignore_nulls: false,
        };
        let arg = [Argument {
            data_type: &DataType::Int,
            constant: None,
        }];
        assert!(matches!(
            resolve("sum", &arg, distinct),
            Err(SignatureError::Distinct { function: "sum" })
        ));
        assert!(matches!(
            resolve("count", &arg, distinct).map(|s| s.function),
            Ok(AggregateFunction::CountDistinct { .. })
        ));
        let ignore = Modifiers {
            distinct: false,
            ignore_nulls: true,
        };
        assert!(matches!(
            resolve("max", &arg, ignore),
            Err(SignatureError::IgnoreNulls { function: "max" })
        ));
        assert!(resolve("last", &arg, ignore).is_ok_and(|s| s.ignore_nulls));
    }

    #[test]
    fn calls_convert_their_arguments() {
        let arg = Expr::column(0, DataType::BigInt);
        let call = resolve_types("median", &[DataType::BigInt])
            .map(|s| s.into_call(std::slice::from_ref(&arg), None))
            .unwrap();
        assert_eq!(call.args[0].data_type, DataType::Double);
        assert!(matches!(call.args[0].kind, ExprKind::Cast(_)));
        let condition = Expr::column(1, DataType::Boolean);
        let call = resolve_types("countif", &[DataType::Boolean])
            .map(|s| s.into_call(&[condition], None))
            .unwrap();
        assert!(matches!(call.args[0].kind, ExprKind::Case { .. }));
    }

    #[test]
    fn every_name_resolves_to_itself() {
        for name in names() {
            assert!(!matches!(
                resolve_types(name, &[]),
                Err(SignatureError::UnknownFunction { .. })
            ));
        }
    }
}
