//! What an aggregate call answers over the events of its window.

use std::cmp::Ordering;
use std::sync::Arc;

use evenkeel_types::{
    AggregateCall, AggregateFunction, DataType, ErrorReason, Value, canonical_f32, canonical_f64,
    codec,
};
use num_bigint::BigInt;
use xxhash_rust::xxh3::xxh3_64;

use super::rational::Rational;

/// One event of the window that passed the FILTER: its place and the values of the call's
/// arguments.
#[derive(Clone, Debug)]
pub struct Input {
    /// Event time, microseconds.
    pub time: i64,
    /// The order among the events of one time.
    pub order: Vec<u8>,
    /// One value per argument.
    pub values: Vec<Value>,
}

/// The value of a call over the given events, which may come in any order.
pub fn evaluate(call: &AggregateCall, inputs: &[Input]) -> Value {
    if call.args.is_empty() {
        return count(inputs.len());
    }
    let errors = inputs
        .iter()
        .flat_map(|input| &input.values)
        .filter_map(Value::error);
    if let Some(reason) = errors.min() {
        return Value::Error(reason);
    }
    let mut sorted: Vec<&Input> = inputs.iter().collect();
    sorted.sort_by_key(|input| (input.time, input.order.clone()));
    let respecting: Vec<Value> = sorted.iter().map(|i| plain(&i.values[0])).collect();
    let values: Vec<Value> = respecting
        .iter()
        .filter(|v| !v.is_null())
        .cloned()
        .collect();
    let selected = if call.ignore_nulls {
        &values
    } else {
        &respecting
    };
    match call.function {
        AggregateFunction::Count => count(values.len()),
        AggregateFunction::FirstValue => selected.first().cloned().unwrap_or(Value::Null),
        AggregateFunction::LastValue => selected.last().cloned().unwrap_or(Value::Null),
        AggregateFunction::FirstN { n } => list(selected.iter().take(n as usize)),
        AggregateFunction::LastN { n } => {
            let mut newest: Vec<&Value> = selected.iter().rev().take(n as usize).collect();
            newest.reverse();
            list(newest)
        }
        AggregateFunction::MinBy | AggregateFunction::MaxBy => {
            by(&sorted, call.function == AggregateFunction::MaxBy)
        }
        AggregateFunction::CountDistinct { limit } => {
            let distinct = distinct(&values);
            if distinct.len() <= limit as usize {
                count(distinct.len())
            } else {
                hyperloglog(&distinct)
            }
        }
        _ if values.is_empty() => Value::Null,
        AggregateFunction::Sum => sum(call, &values),
        AggregateFunction::Avg => average(call, &values),
        AggregateFunction::Min => {
            let mut ascending = values.clone();
            ascending.sort_by(Value::total_cmp);
            ascending.remove(0)
        }
        AggregateFunction::Max => {
            let mut ascending = values.clone();
            ascending.sort_by(Value::total_cmp);
            ascending.pop().unwrap_or(Value::Null)
        }
        AggregateFunction::VarPop => variance(call, &values, 0, |x| x),
        AggregateFunction::VarSamp => variance(call, &values, 1, |x| x),
        AggregateFunction::StddevPop => variance(call, &values, 0, f64::sqrt),
        AggregateFunction::StddevSamp => variance(call, &values, 1, f64::sqrt),
        AggregateFunction::BoolAnd => {
            Value::Boolean(values.iter().all(|v| *v == Value::Boolean(true)))
        }
        AggregateFunction::BoolOr => Value::Boolean(values.contains(&Value::Boolean(true))),
        AggregateFunction::ApproxQuantile { q } => quantile(&values, q),
        AggregateFunction::TopK { k, limit } => top_k(&values, k as usize, limit as usize),
    }
}

fn count(n: usize) -> Value {
    Value::BigInt(i64::try_from(n).unwrap_or(i64::MAX))
}

fn list<'a>(values: impl IntoIterator<Item = &'a Value>) -> Value {
    let values: Arc<[Value]> = values.into_iter().cloned().collect();
    if values.is_empty() {
        Value::Null
    } else {
        Value::Array(values)
    }
}

fn plain(value: &Value) -> Value {
    match value {
        Value::Double(x) => Value::Double(canonical_f64(*x)),
        Value::Float(x) => Value::Float(canonical_f32(*x)),
        other => other.clone(),
    }
}

fn by(sorted: &[&Input], greatest: bool) -> Value {
    let mut best: Option<&Input> = None;
    for input in sorted.iter().filter(|i| !i.values[1].is_null()) {
        let better = best.is_none_or(|best| {
            match input.values[1].total_cmp(&best.values[1]) {
                Ordering::Less => !greatest,
                Ordering::Greater => greatest,
                // In order: the least keeps the first, the greatest takes the last.
                Ordering::Equal => greatest,
            }
        });
        if better {
            best = Some(input);
        }
    }
    best.map_or(Value::Null, |input| plain(&input.values[0]))
}

/// The scale of the call's first argument.
fn scale(call: &AggregateCall) -> u32 {
    match call.args.first().map(|a| &a.data_type) {
        Some(DataType::Decimal { scale, .. }) => u32::from(*scale),
        _ => 0,
    }
}

/// A value as a double if it is a float.
fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(x) => Some(f64::from(*x)),
        Value::Double(x) => Some(*x),
        _ => None,
    }
}

/// A finite value as a rational.
fn rational(value: &Value, scale: u32) -> Rational {
    match value {
        Value::Int(x) => Rational::whole(*x),
        Value::BigInt(x) => Rational::whole(*x),
        Value::Decimal(x) => Rational::whole(x.get()).divide(BigInt::from(10).pow(scale)),
        other => Rational::of_f64(float(other).unwrap_or(0.0)),
    }
}

/// What infinities and NaNs among the values make of their sum, if there are any.
fn special_sum(values: &[Value]) -> Option<f64> {
    let special: Vec<f64> = values
        .iter()
        .filter_map(float)
        .filter(|x| !x.is_finite())
        .collect();
    // No rounding is involved in sums of these.
    (!special.is_empty()).then(|| special.iter().sum())
}

fn exact_sum(values: &[Value], scale: u32) -> Rational {
    values.iter().fold(Rational::whole(0), |sum, value| {
        sum.add(&rational(value, scale))
    })
}

/// A rational as a decimal of a scale and 38 digits.
fn decimal(x: &Rational, scale: u32) -> Value {
    let unscaled = x
        .multiply(&Rational::whole(BigInt::from(10).pow(scale)))
        .to_integer();
    let limit = BigInt::from(10).pow(38);
    match i128::try_from(&unscaled) {
        Ok(x) if unscaled < limit && unscaled > -limit => Value::decimal(x),
        _ => Value::Error(ErrorReason::Overflow),
    }
}

fn sum(call: &AggregateCall, values: &[Value]) -> Value {
    if let Some(special) = special_sum(values) {
        return Value::double(special);
    }
    let sum = exact_sum(values, scale(call));
    match &call.data_type {
        DataType::BigInt => i64::try_from(&sum.to_integer())
            .map_or(Value::Error(ErrorReason::Overflow), Value::BigInt),
        DataType::Decimal { scale, .. } => decimal(&sum, u32::from(*scale)),
        _ => Value::double(sum.to_f64()),
    }
}

fn average(call: &AggregateCall, values: &[Value]) -> Value {
    if let Some(special) = special_sum(values) {
        return Value::double(special);
    }
    let average = exact_sum(values, scale(call)).divide(values.len());
    match &call.data_type {
        DataType::Decimal { scale, .. } => decimal(&average, u32::from(*scale)),
        _ => Value::double(average.to_f64()),
    }
}

/// The sum of squared distances from the mean, over `n - less`.
fn variance(
    call: &AggregateCall,
    values: &[Value],
    less: usize,
    then: impl Fn(f64) -> f64,
) -> Value {
    if values.len() <= less {
        return Value::Null;
    }
    if special_sum(values).is_some() {
        return Value::double(f64::NAN);
    }
    let scale = scale(call);
    // Times n, so that the mean needs no division: (n x - sum)^2 / n^2.
    let n = values.len();
    let sum = exact_sum(values, scale);
    let mut squares = Rational::whole(0);
    for value in values {
        let distance = rational(value, scale)
            .multiply(&Rational::whole(n))
            .add(&sum.negate());
        squares = squares.add(&distance.multiply(&distance));
    }
    let variance = squares.divide(n).divide(n).divide(n - less);
    Value::double(then(variance.to_f64()))
}

fn distinct(values: &[Value]) -> Vec<Value> {
    let mut distinct = values.to_vec();
    distinct.sort_by(Value::total_cmp);
    distinct.dedup();
    distinct
}

/// The estimate of "New cardinality estimation algorithms for HyperLogLog sketches" (Ertl,
/// algorithm 6) with 2^14 registers.
fn hyperloglog(distinct: &[Value]) -> Value {
    let mut registers = vec![0usize; 16_384];
    for value in distinct {
        let mut bytes = Vec::new();
        codec::encode_value(value, &mut bytes);
        let bits = format!("{:064b}", xxh3_64(&bytes));
        let (register, rest) = bits.split_at(14);
        let register = usize::from_str_radix(register, 2).unwrap_or(0);
        let rank = 1 + rest.bytes().take_while(|b| *b == b'0').count();
        registers[register] = registers[register].max(rank);
    }
    let with_rank = |rank: usize| registers.iter().filter(|r| **r == rank).count() as f64;
    let m = 16_384.0;
    let mut z = 0.0;
    let x = 1.0 - with_rank(51) / m;
    if x != 1.0 && x != 0.0 {
        let (mut x, mut y, mut tau) = (x, 1.0, 1.0 - x);
        loop {
            x = x.sqrt();
            y *= 0.5;
            let next = tau - (1.0 - x) * (1.0 - x) * y;
            if next == tau {
                break;
            }
            tau = next;
        }
        z = m * (tau / 3.0);
    }
    for rank in (1..=50).rev() {
        z = 0.5 * (z + with_rank(rank));
    }
    let mut x = with_rank(0) / m;
    let (mut y, mut sigma) = (1.0, x);
    if x == 1.0 {
        sigma = f64::INFINITY;
    } else {
        loop {
            x *= x;
            let next = sigma + x * y;
            if next == sigma {
                break;
            }
            sigma = next;
            y += y;
        }
    }
    z += m * sigma;
    // 1 / (2 ln 2)
    let alpha = 0.721_347_520_444_481_7;
    Value::BigInt((alpha * m * m / z + 0.5).floor() as i64)
}

fn quantile(values: &[Value], q: f64) -> Value {
    let mut ascending: Vec<f64> = values.iter().filter_map(float).collect();
    ascending.sort_by(|a, b| evenkeel_types::compare_f64(*a, *b));
    // ceil(q * n) with q as it is written in decimal, to 18 places.
    let written = format!("{q:.18}");
    let shortest = format!("{q}");
    let places = if shortest.len() < written.len() {
        shortest
    } else {
        shortest[..written.len()].to_owned()
    };
    let digits: String = places.chars().filter(char::is_ascii_digit).collect();
    let after_point = places.split_once('.').map_or(0, |(_, f)| f.len());
    let numerator: BigInt = digits.parse().unwrap_or_default();
    let denominator = BigInt::from(10).pow(u32::try_from(after_point).unwrap_or(0));
    let exact = numerator * BigInt::from(ascending.len());
    let mut rank = &exact / &denominator;
    if &rank * &denominator != exact {
        rank += 1;
    }
    let rank = usize::try_from(rank).unwrap_or(0).max(1);
    let found = ascending[rank - 1];
    Value::double(if ascending.len() <= 1024 {
        found
    } else {
        eight_bits(found)
    })
}

/// A double rounded to eight significant bits, halves away from zero.
fn eight_bits(x: f64) -> f64 {
    if !x.is_finite() || x == 0.0 {
        return x;
    }
    // Find the power of two by doubling and halving; below 2^-1022 the unit stays.
    let magnitude = x.abs();
    let mut power = 1.0f64;
    while power > magnitude && power > f64::MIN_POSITIVE {
        power *= 0.5;
    }
    while magnitude / power >= 2.0 {
        power *= 2.0;
    }
    // Scaling by powers of two is exact, and so is the sum: both are below 2^53.
    let units = (magnitude / power * 128.0 + 0.5).floor();
    let rounded = units / 128.0 * power;
    let rounded = if rounded.is_finite() {
        rounded
    } else {
        255.0 / 128.0 * power
    };
    if x < 0.0 { -rounded } else { rounded }
}

fn top_k(values: &[Value], k: usize, limit: usize) -> Value {
    let distinct = distinct(values);
    if distinct.len() > limit {
        return Value::Error(ErrorReason::Limit);
    }
    let mut counted: Vec<(usize, Value)> = distinct
        .into_iter()
        .map(|value| (values.iter().filter(|v| **v == value).count(), value))
        .collect();
    counted.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.total_cmp(&b.1)));
    let entries: Vec<Value> = counted
        .into_iter()
        .take(k)
        .map(|(n, value)| Value::Struct(Arc::from([value, count(n)])))
        .collect();
    list(&entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bits_round_as_documented() {
        assert_eq!(eight_bits(255.0), 255.0);
        assert_eq!(eight_bits(257.0), 258.0);
        assert_eq!(eight_bits(-1.0 - 1.0 / 512.0), -1.0);
        assert_eq!(eight_bits(f64::MAX), f64::from_bits(0x7fef_e000_0000_0000));
        assert_eq!(eight_bits(f64::from_bits(1)), 0.0);
    }
}
