//! Mathematical functions of doubles, from the `libm` crate: pure Rust, so the same bits on
//! every machine. (Square root and fused multiply-add, which `libm` may take from the
//! processor, are correctly rounded everywhere.)
//!
//! One rule for arguments outside the domain: NaN in, NaN out; a NaN that comes from
//! numbers is ERROR(INVALID_ARGUMENT). Infinite results are results, as in IEEE 754.

use evenkeel_types::{DataType, ErrorReason};

use super::{Binding, Function, Group, Overload, overload};
use crate::kernel::{Boolean, Double, Kernel, Missing, Outcome, binary, general, unary};

use std::sync::Arc;

use evenkeel_types::Value;

const D: DataType = DataType::Double;
const INVALID_ARGUMENT: Missing = Missing::Error(ErrorReason::InvalidArgument);
const ONE: &[DataType] = &[D];
const TWO: &[DataType] = &[D, D];
const FOUR: &[DataType] = &[D, D, D, D];

pub(super) static FUNCTIONS: &[Function] = &[
    one(
        "sqrt",
        &[],
        "The square root, correctly rounded.",
        "INVALID_ARGUMENT below 0",
        &[overload(ONE, &D, |_| total(f64::sqrt))],
    ),
    one(
        "cbrt",
        &[],
        "The cube root.",
        "",
        &[overload(ONE, &D, |_| total(libm::cbrt))],
    ),
    one(
        "exp",
        &[],
        "e to the x.",
        "",
        &[overload(ONE, &D, |_| total(libm::exp))],
    ),
    one(
        "expm1",
        &[],
        "e to the x, minus 1; exact near 0.",
        "",
        &[overload(ONE, &D, |_| total(libm::expm1))],
    ),
    one(
        "ln",
        &[],
        "The natural logarithm; of 0 minus infinity.",
        "INVALID_ARGUMENT below 0",
        &[overload(ONE, &D, |_| total(libm::log))],
    ),
    one(
        "ln1p",
        &["log1p"],
        "The natural logarithm of 1 + x; exact near 0.",
        "INVALID_ARGUMENT below -1",
        &[overload(ONE, &D, |_| total(libm::log1p))],
    ),
    one(
        "log10",
        &[],
        "The logarithm to base 10.",
        "INVALID_ARGUMENT below 0",
        &[overload(ONE, &D, |_| total(libm::log10))],
    ),
    one(
        "log2",
        &[],
        "The logarithm to base 2.",
        "INVALID_ARGUMENT below 0",
        &[overload(ONE, &D, |_| total(libm::log2))],
    ),
    one(
        "log",
        &[],
        "`log(base, x)` is `ln(x) / ln(base)`.",
        "INVALID_ARGUMENT below 0 and where base is 1 and x too",
        &[overload(TWO, &D, |_| {
            total_pair(|base, x| libm::log(x) / libm::log(base))
        })],
    ),
    one(
        "pow",
        &["power"],
        "x to the y.",
        "INVALID_ARGUMENT for a negative x and a y that is not whole",
        &[overload(TWO, &D, |_| total_pair(libm::pow))],
    ),
    one(
        "sin",
        &[],
        "The sine of an angle in radians.",
        "INVALID_ARGUMENT of infinities",
        &[overload(ONE, &D, |_| total(libm::sin))],
    ),
    one(
        "cos",
        &[],
        "The cosine of an angle in radians.",
        "INVALID_ARGUMENT of infinities",
        &[overload(ONE, &D, |_| total(libm::cos))],
    ),
    one(
        "tan",
        &[],
        "The tangent of an angle in radians.",
        "INVALID_ARGUMENT of infinities",
        &[overload(ONE, &D, |_| total(libm::tan))],
    ),
    one(
        "cot",
        &[],
        "`1 / tan(x)`.",
        "INVALID_ARGUMENT of infinities",
        &[overload(ONE, &D, |_| total(|x| 1.0 / libm::tan(x)))],
    ),
    one(
        "asin",
        &[],
        "The angle in radians whose sine is x.",
        "INVALID_ARGUMENT outside -1 to 1",
        &[overload(ONE, &D, |_| total(libm::asin))],
    ),
    one(
        "acos",
        &[],
        "The angle in radians whose cosine is x.",
        "INVALID_ARGUMENT outside -1 to 1",
        &[overload(ONE, &D, |_| total(libm::acos))],
    ),
    one(
        "atan",
        &[],
        "The angle in radians whose tangent is x.",
        "",
        &[overload(ONE, &D, |_| total(libm::atan))],
    ),
    one(
        "atan2",
        &[],
        "`atan2(y, x)`: the angle in radians of the point (x, y).",
        "",
        &[overload(TWO, &D, |_| total_pair(libm::atan2))],
    ),
    one(
        "sinh",
        &[],
        "The hyperbolic sine.",
        "",
        &[overload(ONE, &D, |_| total(libm::sinh))],
    ),
    one(
        "cosh",
        &[],
        "The hyperbolic cosine.",
        "",
        &[overload(ONE, &D, |_| total(libm::cosh))],
    ),
    one(
        "tanh",
        &[],
        "The hyperbolic tangent.",
        "",
        &[overload(ONE, &D, |_| total(libm::tanh))],
    ),
    one(
        "degrees",
        &[],
        "`x * (180 / pi())`.",
        "",
        &[overload(ONE, &D, |_| {
            total(|x| x * (180.0 / std::f64::consts::PI))
        })],
    ),
    one(
        "radians",
        &[],
        "`x * (pi() / 180)`.",
        "",
        &[overload(ONE, &D, |_| total(radians))],
    ),
    one(
        "pi",
        &[],
        "The double nearest to the circle's number.",
        "",
        &[overload(&[], &D, |s| {
            general(s.result, |_| Ok(Value::double(std::f64::consts::PI)))
        })],
    ),
    one(
        "is_nan",
        &["isnan"],
        "Whether x is NaN.",
        "",
        &[overload(ONE, &DataType::Boolean, |_| {
            unary::<Double, Boolean>(|x| Ok(x.is_nan()))
        })],
    ),
    one(
        "is_finite",
        &["isfinite"],
        "Whether x is neither infinite nor NaN.",
        "",
        &[overload(ONE, &DataType::Boolean, |_| {
            unary::<Double, Boolean>(|x| Ok(x.is_finite()))
        })],
    ),
    one(
        "is_inf",
        &["isinf", "is_infinite"],
        "Whether x is infinite.",
        "",
        &[overload(ONE, &DataType::Boolean, |_| {
            unary::<Double, Boolean>(|x| Ok(x.is_infinite()))
        })],
    ),
    one(
        "width_bucket",
        &[],
        "`width_bucket(x, low, high, count)`: the number from 1 of the bucket that holds x, of `count` equal buckets from `low` (closed) to `high` (open): `floor((x - low) / (high - low) * count) + 1`; 0 below, `count + 1` from `high` on. With `low > high` the buckets run downwards.",
        "INVALID_ARGUMENT unless count is 1 to 2^31 - 1, low and high differ and are finite, and x is not NaN",
        &[overload(
            &[D, D, D, DataType::BigInt],
            &DataType::BigInt,
            |s| {
                general(s.result, |v| match (v[0], v[1], v[2], v[3]) {
                    (
                        Value::Double(x),
                        Value::Double(low),
                        Value::Double(high),
                        Value::BigInt(count),
                    ) => width_bucket(*x, *low, *high, *count).map(Value::BigInt),
                    _ => Err(INVALID_ARGUMENT),
                })
            },
        )],
    ),
    Function {
        name: "haversine",
        aliases: &["geo_distance_km"],
        group: Group::Vector,
        rule: "`haversine(latitude, longitude, latitude, longitude)` in degrees: the distance in kilometres on a sphere of radius 6371.0088 km.",
        nulls: "",
        errors: "INVALID_ARGUMENT of infinities",
        binding: Binding::Overloads(&[overload(FOUR, &D, |s| {
            general(s.result, |v| match (v[0], v[1], v[2], v[3]) {
                (Value::Double(a), Value::Double(b), Value::Double(c), Value::Double(d)) => {
                    in_domain(haversine(*a, *b, *c, *d), &[*a, *b, *c, *d]).map(Value::double)
                }
                _ => Err(INVALID_ARGUMENT),
            })
        })]),
    },
];

const fn one(
    name: &'static str,
    aliases: &'static [&'static str],
    rule: &'static str,
    errors: &'static str,
    overloads: &'static [Overload],
) -> Function {
    Function {
        name,
        aliases,
        group: Group::Mathematics,
        rule,
        nulls: "",
        errors,
        binding: Binding::Overloads(overloads),
    }
}

/// NaN in, NaN out; a NaN of numbers is an error.
#[inline(always)]
fn in_domain(result: f64, args: &[f64]) -> Outcome<f64> {
    if result.is_nan() && !args.iter().any(|x| x.is_nan()) {
        return Err(INVALID_ARGUMENT);
    }
    Ok(result)
}

fn total(f: impl Fn(f64) -> f64 + Send + Sync + 'static) -> Arc<dyn Kernel> {
    unary::<Double, Double>(move |x| in_domain(f(x), &[x]))
}

fn total_pair(f: impl Fn(f64, f64) -> f64 + Send + Sync + 'static) -> Arc<dyn Kernel> {
    binary::<Double, Double, Double>(move |x, y| in_domain(f(x, y), &[x, y]))
}

fn radians(degrees: f64) -> f64 {
    degrees * (std::f64::consts::PI / 180.0)
}

/// The mean radius of the Earth after the IUGG, in kilometres.
const EARTH_RADIUS_KM: f64 = 6371.0088;

fn haversine(latitude: f64, longitude: f64, to_latitude: f64, to_longitude: f64) -> f64 {
    let half_across = libm::sin(radians(to_latitude - latitude) / 2.0);
    let half_along = libm::sin(radians(to_longitude - longitude) / 2.0);
    let cosines = libm::cos(radians(latitude)) * libm::cos(radians(to_latitude));
    let h = half_across * half_across + cosines * (half_along * half_along);
    // Rounding may lift h of antipodes above 1, outside the arc sine.
    let h = if h > 1.0 { 1.0 } else { h };
    2.0 * EARTH_RADIUS_KM * libm::asin(h.sqrt())
}

fn width_bucket(x: f64, low: f64, high: f64, count: i64) -> Outcome<i64> {
    let range = high - low;
    if !(1..=i64::from(i32::MAX)).contains(&count)
        || x.is_nan()
        || !low.is_finite()
        || !high.is_finite()
        || low == high
        || !range.is_finite()
    {
        return Err(INVALID_ARGUMENT);
    }
    let share = (x - low) / range;
    if share < 0.0 {
        return Ok(0);
    }
    if share >= 1.0 {
        return Ok(count + 1);
    }
    // Below `count`, so exact; rounding up to `count` itself stays in the last bucket.
    let bucket = (share * count as f64).floor() as i64;
    Ok(bucket.min(count - 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_have_closed_lower_ends() {
        let of = |x| width_bucket(x, 0.0, 10.0, 5);
        assert_eq!(of(-0.1), Ok(0));
        assert_eq!(of(0.0), Ok(1));
        assert_eq!(of(1.9), Ok(1));
        assert_eq!(of(2.0), Ok(2));
        assert_eq!(of(9.999), Ok(5));
        assert_eq!(of(10.0), Ok(6));
        assert_eq!(of(f64::INFINITY), Ok(6));
        assert_eq!(of(f64::NAN), Err(INVALID_ARGUMENT));
        assert_eq!(width_bucket(5.0, 0.0, 0.0, 5), Err(INVALID_ARGUMENT));
        assert_eq!(width_bucket(5.0, 0.0, 1.0, 0), Err(INVALID_ARGUMENT));
        assert_eq!(width_bucket(9.0, 10.0, 0.0, 5), Ok(1));
        assert_eq!(width_bucket(11.0, 10.0, 0.0, 5), Ok(0));
    }

    #[test]
    fn places_are_apart() {
        let paris_london = haversine(48.8566, 2.3522, 51.5074, -0.1278);
        assert!((343.0..345.0).contains(&paris_london), "{paris_london}");
        assert_eq!(haversine(1.0, 2.0, 1.0, 2.0), 0.0);
        let across = haversine(90.0, 0.0, -90.0, 0.0);
        assert!((20_015.0..20_016.0).contains(&across), "{across}");
    }
}
