//! Arithmetic against an oracle of unlimited integers, written without looking.

use evenkeel_expr::build::{self, call};
use evenkeel_expr::{Program, ReadTime};
use evenkeel_types::{Column, DataType, ErrorReason, Expr, Value};
use num_bigint::{BigInt, Sign};
use proptest::prelude::*;

use crate::generate::{Random, decimal};

const OVERFLOW: Value = Value::Error(ErrorReason::Overflow);
const DIVISION: Value = Value::Error(ErrorReason::DivisionByZero);
const INVALID_CAST: Value = Value::Error(ErrorReason::InvalidCast);

fn big(x: impl Into<BigInt>) -> BigInt {
    x.into()
}

fn power(n: u32) -> BigInt {
    big(10).pow(n)
}

/// The value of `name(a, b)`, alone and in a batch.
fn apply(expr: &Expr, a: &Value, b: &Value, types: [&DataType; 2]) -> Value {
    let program = Program::compile(expr);
    let row = program.eval_row(&[a.clone(), b.clone()], 0);
    let columns = [
        Column::from_values(types[0], [a, a]),
        Column::from_values(types[1], [b, b]),
    ];
    let batch = program.eval_batch(&[&columns[0], &columns[1]], 2, ReadTime::Constant(0));
    assert_eq!(batch.get(1), row);
    row
}

fn integers() -> Vec<i64> {
    let mut random = Random(7);
    let mut values = vec![
        0,
        1,
        -1,
        2,
        -2,
        3,
        10,
        -7,
        i64::MAX,
        i64::MIN,
        i64::MAX - 1,
        i64::MIN + 1,
        i64::from(i32::MAX),
        i64::from(i32::MIN),
        i64::from(i32::MAX) + 1,
        3_037_000_499,
        3_037_000_500,
        -3_037_000_500,
    ];
    values.extend((0..12).map(|_| random.next() as i64));
    values.extend((0..12).map(|_| i64::from(random.next() as i32)));
    values
}

fn want_integer(op: &str, a: i64, b: i64, fits: impl Fn(&BigInt) -> Option<Value>) -> Value {
    let (a, b) = (big(a), big(b));
    let zero = b.sign() == Sign::NoSign;
    let exact = match op {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "//" | "%" if zero => return DIVISION,
        "//" => a / b,
        _ => a % b,
    };
    fits(&exact).unwrap_or(OVERFLOW)
}

#[test]
fn integers_are_exact_or_overflow() {
    for op in ["+", "-", "*", "//", "%"] {
        for (data_type, narrow) in [(DataType::BigInt, false), (DataType::Int, true)] {
            let columns = [0, 1].map(|i| Expr::column(i, data_type.clone()));
            let expr = call(op, columns.to_vec()).unwrap();
            assert_eq!(expr.data_type, data_type);
            for a in integers() {
                for b in integers() {
                    let (a, b) = if narrow {
                        (i64::from(a as i32), i64::from(b as i32))
                    } else {
                        (a, b)
                    };
                    let typed = |x: i64| {
                        if narrow {
                            Value::Int(x as i32)
                        } else {
                            Value::BigInt(x)
                        }
                    };
                    let fits = |x: &BigInt| {
                        if narrow {
                            i32::try_from(x).ok().map(Value::Int)
                        } else {
                            i64::try_from(x).ok().map(Value::BigInt)
                        }
                    };
                    assert_eq!(
                        apply(&expr, &typed(a), &typed(b), [&data_type, &data_type]),
                        want_integer(op, a, b, fits),
                        "{a} {op} {b}"
                    );
                }
            }
        }
    }
}

#[test]
fn integers_divide_to_doubles() {
    let columns = [0, 1].map(|i| Expr::column(i, DataType::BigInt));
    let expr = call("/", columns.to_vec()).unwrap();
    let types = [&DataType::BigInt, &DataType::BigInt];
    let divide = |a: i64, b: i64| apply(&expr, &Value::BigInt(a), &Value::BigInt(b), types);
    assert_eq!(divide(5, 2), Value::double(2.5));
    assert_eq!(divide(-1, 3), Value::double(-0.3333333333333333));
    assert_eq!(divide(0, -3), Value::double(0.0));
    assert_eq!(
        divide(i64::MIN, -1),
        Value::double(9_223_372_036_854_775_808.0)
    );
    assert_eq!(divide(1, 0), DIVISION);
    assert_eq!(divide(0, 0), DIVISION);
}

const SHAPES: [(u8, u8); 8] = [
    (1, 0),
    (4, 2),
    (10, 2),
    (18, 9),
    (18, 0),
    (19, 19),
    (38, 0),
    (38, 10),
];

fn unscaled(precision: u8) -> BoxedStrategy<i128> {
    let bound = 10i128.pow(u32::from(precision));
    prop_oneof![
        3 => -99i128..100,
        1 => prop_oneof![Just(bound - 1), Just(1 - bound), Just(bound / 2), Just(0)],
        3 => any::<i128>(),
    ]
    .prop_map(move |x| x % bound)
    .boxed()
}

fn pair() -> impl Strategy<Value = ((u8, u8), i128, (u8, u8), i128)> {
    (
        proptest::sample::select(&SHAPES),
        proptest::sample::select(&SHAPES),
    )
        .prop_flat_map(|(a, b)| (Just(a), unscaled(a.0), Just(b), unscaled(b.0)))
}

/// `x` at another scale, if all dropped digits are zero and it fits.
fn at_scale(x: &BigInt, from: u8, to: u8, precision: u8) -> Result<BigInt, Value> {
    let scaled = if to >= from {
        x * power(u32::from(to - from))
    } else {
        let divisor = power(u32::from(from - to));
        if x % &divisor != big(0) {
            return Err(INVALID_CAST);
        }
        x / divisor
    };
    if scaled.magnitude() >= power(u32::from(precision)).magnitude() {
        return Err(OVERFLOW);
    }
    Ok(scaled)
}

fn as_value(x: Result<BigInt, Value>) -> Value {
    match x {
        Ok(x) => Value::decimal(i128::try_from(x).expect("38 digits fit")),
        Err(missing) => missing,
    }
}

/// The exact value of a finite double as `numerator / 2^exponent`.
fn exact(x: f64) -> (BigInt, u32) {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let mantissa = bits & ((1 << 52) - 1);
    let (mantissa, exponent) = if exponent == 0 {
        (mantissa, -1074)
    } else {
        (mantissa | 1 << 52, exponent - 1075)
    };
    let signed = if x < 0.0 {
        -big(mantissa)
    } else {
        big(mantissa)
    };
    if exponent >= 0 {
        (signed << exponent.unsigned_abs(), 0)
    } else {
        (signed, exponent.unsigned_abs())
    }
}

/// `|x / 10^scale - d|` as a fraction over `10^scale * 2^1100`.
fn distance(x: &BigInt, scale: u32, d: f64) -> BigInt {
    let (numerator, exponent) = exact(d);
    let left: BigInt = x << 1100;
    let right: BigInt = (numerator * power(scale)) << (1100 - exponent);
    big((left - right).magnitude().clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn decimals_are_exact_or_overflow((ta, a, tb, b) in pair()) {
        let types = [&decimal(ta.0, ta.1), &decimal(tb.0, tb.1)];
        let columns = [0, 1].map(|i| Expr::column(i, types[i].clone()));
        let values = [Value::decimal(a), Value::decimal(b)];
        for op in ["+", "-", "*", "%"] {
            let Ok(expr) = call(op, columns.to_vec()) else {
                // Only a product may need more than 38 digits after the point.
                prop_assert!(op == "*" && ta.1 + tb.1 > 38);
                continue;
            };
            let DataType::Decimal { precision, scale } = expr.data_type else {
                panic!("{} of decimals", expr.data_type);
            };
            let want = if op == "*" {
                prop_assert_eq!((precision, scale), ((ta.0 + tb.0).min(38), ta.1 + tb.1));
                at_scale(&(big(a) * big(b)), scale, scale, precision)
            } else {
                prop_assert_eq!(scale, ta.1.max(tb.1));
                at_scale(&big(a), ta.1, scale, precision).and_then(|a| {
                    let b = at_scale(&big(b), tb.1, scale, precision)?;
                    let exact = match op {
                        "+" => a + b,
                        "-" => a - b,
                        _ if b == big(0) => return Err(DIVISION),
                        _ => a % b,
                    };
                    at_scale(&exact, scale, scale, precision)
                })
            };
            let got = apply(&expr, &values[0], &values[1], types);
            prop_assert_eq!(got, as_value(want), "{} {} {}", a, op, b);
        }
    }

    #[test]
    fn decimals_convert_exactly((from, x, to, _) in pair()) {
        let column = Expr::column(0, decimal(from.0, from.1));
        let value = [Value::decimal(x)];
        let cast = build::cast(column.clone(), &decimal(to.0, to.1)).unwrap();
        prop_assert_eq!(
            Program::compile(&cast).eval_row(&value, 0),
            as_value(at_scale(&big(x), from.1, to.1, to.0))
        );

        let whole = build::cast(column.clone(), &DataType::BigInt).unwrap();
        let want = match at_scale(&big(x), from.1, 0, 38) {
            Ok(x) => i64::try_from(x).map_or(OVERFLOW, Value::BigInt),
            Err(missing) => missing,
        };
        prop_assert_eq!(Program::compile(&whole).eval_row(&value, 0), want);

        // The nearest double: no neighbour is nearer, and among equals it is the even one.
        let double = build::cast(column.clone(), &DataType::Double).unwrap();
        let Value::Double(got) = Program::compile(&double).eval_row(&value, 0) else {
            panic!("a decimal has a double")
        };
        let scale = u32::from(from.1);
        let own = distance(&big(x), scale, got);
        for neighbour in [got.next_up(), got.next_down()] {
            let other = distance(&big(x), scale, neighbour);
            prop_assert!(own < other || (own == other && got.to_bits() & 1 == 0));
        }

        // Text reads back.
        let text = build::cast(column, &DataType::String).unwrap();
        let back = build::cast(text, &decimal(from.0, from.1)).unwrap();
        prop_assert_eq!(Program::compile(&back).eval_row(&value, 0), value[0].clone());
    }

    #[test]
    fn decimals_round_by_their_digits((from, x, _, _) in pair(), places in -40i64..40) {
        let column = Expr::column(0, decimal(from.0, from.1));
        for (name, mode) in [("round", 0), ("trunc", 1)] {
            let expr = call(name, vec![column.clone(), build::integer(places)]).unwrap();
            let DataType::Decimal { precision, scale } = expr.data_type else {
                panic!("{} of a decimal", expr.data_type);
            };
            prop_assert_eq!(i64::from(scale), places.clamp(0, i64::from(from.1)));
            let dropped = i64::from(from.1) - places;
            let kept = if dropped > 0 {
                let unit = power(dropped as u32);
                let size = big(big(x).magnitude().clone());
                let up = if mode == 0 { &unit / 2 } else { big(0) };
                let rounded = (size + up) / &unit * unit;
                if x < 0 { -rounded } else { rounded }
            } else {
                big(x)
            };
            let want = at_scale(&kept, from.1, scale, precision);
            prop_assert_eq!(
                Program::compile(&expr).eval_row(&[Value::decimal(x)], 0),
                as_value(want)
            );
        }
    }

    #[test]
    fn doubles_round_as_they_are_written(bits in any::<u64>(), small in -1e6f64..1e6, places in -20i64..20) {
        for x in [f64::from_bits(bits), small, (small * 1000.0).trunc() / 1000.0] {
            let expr = call("round", vec![Expr::column(0, DataType::Double), build::integer(places)]).unwrap();
            let got = Program::compile(&expr).eval_row(&[Value::double(x)], 0);
            prop_assert_eq!(got, Value::double(rounded_text(x, places)), "round({}, {})", x, places);
        }
    }

    #[test]
    fn doubles_become_integers_exactly(bits in any::<u64>(), whole in any::<i64>(), shift in 0u32..64) {
        for x in [f64::from_bits(bits), (whole >> shift) as f64, (whole >> shift) as f64 + 0.5] {
            let expr = build::cast(Expr::column(0, DataType::Double), &DataType::BigInt).unwrap();
            let got = Program::compile(&expr).eval_row(&[Value::double(x)], 0);
            let want = if x.is_finite() {
                let (numerator, exponent) = exact(x);
                let unit = big(1) << exponent;
                if &numerator % &unit == big(0) {
                    i64::try_from(numerator / unit).map_or(OVERFLOW, Value::BigInt)
                } else {
                    INVALID_CAST
                }
            } else {
                INVALID_CAST
            };
            prop_assert_eq!(got, want, "{}", x);
        }
    }
}

/// Rounding on the characters of the number in full.
fn rounded_text(x: f64, places: i64) -> f64 {
    if !x.is_finite() {
        return x;
    }
    // Without an exponent, shortest digits.
    let text = format!("{}", x.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits: BigInt = format!("{whole}{fraction}").parse().expect("digits");
    let dropped = fraction.len() as i64 - places;
    if dropped <= 0 {
        return x;
    }
    let rounded = (digits + power(dropped as u32) / 2) / power(dropped as u32);
    let size: f64 = format!("{rounded}e{}", -places).parse().expect("a number");
    if x < 0.0 { -size } else { size }
}
