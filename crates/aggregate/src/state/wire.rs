//! The canonical bytes of states: equal for equal multisets of inputs.
//!
//! Numbers are little-endian. `natural` is an unsigned LEB128 of the fewest bytes, `value` a
//! `natural` length and the value's order-preserving encoding, `placed` an `i64` event time,
//! a `natural` length and that many order bytes, and a `value`; `exact` is a `natural` of
//! twice the number of 32-bit digits plus 1 if negative, then, unless there are no digits,
//! an `i32` base and the digits, lowest first, the first and the last of them not zero: the
//! number is `±digits * 2^(32 * base)`.
//!
//! | field | bytes |
//! | --- | --- |
//! | version | 1 |
//! | error reasons that occurred, a bit each by code | 1 |
//! | how often each of them occurred, ascending by code | `natural` each |
//! | body | by function |
//!
//! | function | body |
//! | --- | --- |
//! | `count` | `natural` |
//! | `bool_and`, `bool_or` | number of true, number of false: `natural` each |
//! | `sum`, `avg` of integers | count `natural`, sum `i128` |
//! | `sum`, `avg` of others | count `natural`, sum `exact`, then 0, or 1 and the numbers of NaN, ∞, -∞: `natural` each |
//! | variances | as `sum` of others, then the sum of squares, `exact` |
//! | `min`, `max` | 0, or 1 and `value` |
//! | `min_by`, `max_by` | 0, or 1 and the least or greatest `value` and the `placed` |
//! | `first_value`, `last_value` | 0, or 1 and `placed` |
//! | `first_n`, `last_n` | number `natural`, `placed` each in order |
//! | `count_distinct` | 0, number `natural` and `value` each ascending; or 1 and 16,384 registers of six bits, four in three bytes |
//! | `approx_quantile` | 0, number `natural` and each double as 8 big-endian order-preserving bytes ascending; or 1, number of buckets `natural` and for each its `i32` and its count `natural` ascending |
//! | `top_k` | 0, number `natural` and for each distinct value ascending `value` and count `natural`; or 1 beyond the limit |

use std::collections::BTreeMap;

use evenkeel_types::codec::{Decoder, encode_value};
use evenkeel_types::{DataType, ErrorReason, Value};

use super::distinct::{Distinct, HYPERLOGLOG_PRECISION, RANK_MAX, REGISTERS};
use super::number::{IntegerSum, Specials, Sum, Variance};
use super::placed::{Placed, PlacedBy};
use super::quantile::{self, QUANTILE_EXACT_MAX, Quantile};
use super::top_k::Frequencies;
use super::{Aggregator, Body, Errors, Kind, State};
use crate::error::StateError;
use crate::exact::Accumulator;
use crate::order::{OrderKey, OrderedValue};

/// The version that [`Aggregator::encode`] writes.
pub const STATE_VERSION: u8 = 1;

/// The most events that a state may say it has: more than any log, so few that sums of such
/// numbers do not overflow.
const COUNT_MAX: u64 = 1 << 56;
/// Bits of a register in the bytes.
const REGISTER_BITS: usize = 6;
/// A list that ends here was cut off at its limit: nothing follows.
const EXCEEDED: u8 = 1;
const LISTED: u8 = 0;

pub(super) fn encode(state: &State, out: &mut Vec<u8>) {
    out.push(STATE_VERSION);
    // A bit per reason that occurred, then their counts.
    let mut flags = 0u8;
    for (i, reason) in ErrorReason::ALL.into_iter().enumerate() {
        if state.errors.iter().any(|(r, _)| r == reason) {
            flags |= 1 << i;
        }
    }
    out.push(flags);
    for (_, count) in state.errors.iter() {
        natural(count, out);
    }
    match &state.body {
        Body::Count(count) => natural(*count, out),
        Body::Truth { yes, no } => {
            natural(*yes, out);
            natural(*no, out);
        }
        Body::Integer(sum) => {
            natural(sum.count, out);
            out.extend(sum.total.to_le_bytes());
        }
        Body::Sum(sum) => encode_sum(sum, out),
        Body::Variance(variance) => {
            encode_sum(&variance.sum, out);
            encode_accumulator(&variance.squares, out);
        }
        Body::Extreme(extreme) => encode_option(extreme.as_ref(), out, encode_framed),
        Body::ExtremeBy(extreme) => encode_option(extreme.as_deref(), out, |extreme, out| {
            encode_framed(&extreme.by, out);
            encode_placed(&extreme.placed, out);
        }),
        Body::End(end) => encode_option(end.as_deref(), out, encode_placed),
        Body::Ends(ends) => {
            natural(ends.len() as u64, out);
            for placed in ends {
                encode_placed(placed, out);
            }
        }
        Body::Distinct(Distinct::Exact(values)) => {
            out.push(LISTED);
            natural(values.len() as u64, out);
            for value in values {
                encode_framed(&value.0, out);
            }
        }
        Body::Distinct(Distinct::Sketch(registers)) => {
            out.push(EXCEEDED);
            encode_registers(registers, out);
        }
        Body::Quantile(Quantile::Exact(keys)) => {
            out.push(LISTED);
            natural(keys.len() as u64, out);
            for key in keys {
                out.extend(key.to_be_bytes());
            }
        }
        Body::Quantile(Quantile::Histogram { buckets, .. }) => {
            out.push(EXCEEDED);
            natural(buckets.len() as u64, out);
            for (bucket, &count) in buckets {
                out.extend(bucket.to_le_bytes());
                natural(count, out);
            }
        }
        Body::TopK(Frequencies::Counts(counts)) => {
            out.push(LISTED);
            natural(counts.len() as u64, out);
            for (value, count) in counts {
                encode_framed(&value.0, out);
                natural(*count, out);
            }
        }
        Body::TopK(Frequencies::Exceeded) => out.push(EXCEEDED),
    }
}

fn natural(mut x: u64, out: &mut Vec<u8>) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

fn encode_option<T>(option: Option<T>, out: &mut Vec<u8>, encode: impl FnOnce(T, &mut Vec<u8>)) {
    out.push(u8::from(option.is_some()));
    if let Some(inner) = option {
        encode(inner, out);
    }
}

fn encode_framed(value: &Value, out: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    encode_value(value, &mut bytes);
    natural(bytes.len() as u64, out);
    out.extend(bytes);
}

fn encode_placed(placed: &Placed, out: &mut Vec<u8>) {
    out.extend(placed.key.time.to_le_bytes());
    natural(placed.key.order.len() as u64, out);
    out.extend(&placed.key.order);
    encode_framed(&placed.value, out);
}

/// The number of digits times two, plus the sign; the exponent and the digits if any.
fn encode_accumulator(sum: &Accumulator, out: &mut Vec<u8>) {
    sum.with_magnitude(|negative, base, digits| {
        natural((digits.len() as u64) << 1 | u64::from(negative), out);
        if !digits.is_empty() {
            out.extend(base.to_le_bytes());
            for digit in digits {
                out.extend(digit.to_le_bytes());
            }
        }
    });
}

fn encode_sum(sum: &Sum, out: &mut Vec<u8>) {
    natural(sum.count, out);
    encode_accumulator(&sum.total, out);
    encode_option(sum.specials.as_deref(), out, |specials, out| {
        natural(specials.nan, out);
        natural(specials.positive, out);
        natural(specials.negative, out);
    });
}

fn encode_registers(registers: &[u8], out: &mut Vec<u8>) {
    // Four registers of six bits make three bytes.
    for four in registers.chunks_exact(4) {
        let bits = four
            .iter()
            .fold(0u32, |bits, &rank| bits << REGISTER_BITS | u32::from(rank));
        out.extend(&bits.to_be_bytes()[1..]);
    }
}

pub(super) fn decode(aggregator: &Aggregator, bytes: &[u8]) -> Result<State, StateError> {
    let mut reader = Reader { bytes, at: 0 };
    let version = reader.byte()?;
    if version != STATE_VERSION {
        return Err(StateError::Version {
            found: version,
            supported: STATE_VERSION,
        });
    }
    let flags = reader.byte()?;
    if flags >> ErrorReason::ALL.len() != 0 {
        return Err(reader.invalid("set of error reasons"));
    }
    let mut errors = Errors::default();
    for (i, reason) in ErrorReason::ALL.into_iter().enumerate() {
        if flags >> i & 1 == 1 {
            errors.add(reason, reader.positive("error count")?);
        }
    }
    let body = body(aggregator, &mut reader)?;
    if reader.at != bytes.len() {
        return Err(reader.invalid("end of the state"));
    }
    Ok(State { errors, body })
}

fn body(aggregator: &Aggregator, reader: &mut Reader<'_>) -> Result<Body, StateError> {
    let input = aggregator.inputs().first();
    let input = || input.ok_or(StateError::Truncated { at: 0 });
    Ok(match aggregator.empty().body {
        Body::Count(_) => Body::Count(reader.natural()?),
        Body::Truth { .. } => Body::Truth {
            yes: reader.natural()?,
            no: reader.natural()?,
        },
        Body::Integer(_) => Body::Integer(reader.integer_sum()?),
        Body::Sum(_) => Body::Sum(reader.sum()?),
        Body::Variance(_) => {
            let variance = Variance {
                sum: reader.sum()?,
                squares: reader.accumulator()?,
            };
            if !variance.is_possible() {
                return Err(reader.invalid("sum of squares of its numbers"));
            }
            Body::Variance(Box::new(variance))
        }
        Body::Extreme(_) => Body::Extreme(if reader.flag()? {
            Some(reader.value(input()?)?)
        } else {
            None
        }),
        Body::ExtremeBy(_) => Body::ExtremeBy(if reader.flag()? {
            let by = aggregator.inputs().get(1);
            Some(Box::new(PlacedBy {
                by: reader.value(by.ok_or(StateError::Truncated { at: 0 })?)?,
                placed: reader.placed(input()?)?,
            }))
        } else {
            None
        }),
        Body::End(_) => Body::End(if reader.flag()? {
            Some(Box::new(reader.placed(input()?)?))
        } else {
            None
        }),
        Body::Ends(_) => {
            let Kind::Ends { n, .. } = aggregator.kind() else {
                return Err(reader.invalid("state of this function"));
            };
            let count = reader.count(n, "number of values")?;
            let mut ends: Vec<Placed> = Vec::new();
            for _ in 0..count {
                let placed = reader.placed(input()?)?;
                if ends
                    .last()
                    .is_some_and(|p| p.key.as_order() >= placed.key.as_order())
                {
                    return Err(reader.invalid("list in order"));
                }
                ends.push(placed);
            }
            Body::Ends(ends)
        }
        Body::Distinct(_) => {
            let Kind::Distinct { limit } = aggregator.kind() else {
                return Err(reader.invalid("state of this function"));
            };
            Body::Distinct(if reader.flag()? {
                Distinct::Sketch(reader.registers()?)
            } else {
                let count = reader.count(limit, "number of values")?;
                let mut values: Vec<OrderedValue> = Vec::new();
                for _ in 0..count {
                    let value = OrderedValue(reader.value(input()?)?);
                    if values.last().is_some_and(|last| *last >= value) {
                        return Err(reader.invalid("set of values in order"));
                    }
                    values.push(value);
                }
                Distinct::Exact(values)
            })
        }
        Body::Quantile(_) => Body::Quantile(reader.quantile()?),
        Body::TopK(_) => {
            let Kind::TopK { limit, .. } = aggregator.kind() else {
                return Err(reader.invalid("state of this function"));
            };
            Body::TopK(if reader.flag()? {
                Frequencies::Exceeded
            } else {
                let count = reader.count(limit, "number of values")?;
                let mut counts: Vec<(OrderedValue, u64)> = Vec::new();
                for _ in 0..count {
                    let value = OrderedValue(reader.value(input()?)?);
                    if counts.last().is_some_and(|(last, _)| *last >= value) {
                        return Err(reader.invalid("set of values in order"));
                    }
                    counts.push((value, reader.positive("count of a value")?));
                }
                Frequencies::Counts(counts)
            })
        }
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn invalid(&self, what: &'static str) -> StateError {
        StateError::Invalid {
            at: self.at.saturating_sub(1),
            what,
        }
    }

    fn slice(&mut self, length: usize) -> Result<&[u8], StateError> {
        let end = self.at.checked_add(length);
        let part =
            end.and_then(|end| self.bytes.get(self.at..end))
                .ok_or(StateError::Truncated {
                    at: self.bytes.len(),
                })?;
        self.at += length;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let at = self.bytes.len();
        self.slice(N)?
            .try_into()
            .map_err(|_| StateError::Truncated { at })
    }

    fn byte(&mut self) -> Result<u8, StateError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn flag(&mut self) -> Result<bool, StateError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.invalid("flag")),
        }
    }

    fn natural(&mut self) -> Result<u64, StateError> {
        let mut x = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part || (byte == 0 && shift > 0) {
                return Err(self.invalid("shortest number of 64 bits"));
            }
            x |= part << shift;
            if byte < 0x80 && x > COUNT_MAX {
                return Err(self.invalid("number of events"));
            }
            if byte < 0x80 {
                return Ok(x);
            }
        }
        Err(self.invalid("number of 64 bits"))
    }

    /// A sum of as many integers of 64 bits as it says.
    fn integer_sum(&mut self) -> Result<IntegerSum, StateError> {
        let count = self.natural()?;
        let total = i128::from_le_bytes(self.array()?);
        if total.unsigned_abs() > u128::from(count) << 63 {
            return Err(self.invalid("sum of so many integers"));
        }
        Ok(IntegerSum { count, total })
    }

    fn positive(&mut self, what: &'static str) -> Result<u64, StateError> {
        match self.natural()? {
            0 => Err(self.invalid(what)),
            x => Ok(x),
        }
    }

    /// A number of things of at least a byte each, at most `limit`.
    fn count(&mut self, limit: usize, what: &'static str) -> Result<usize, StateError> {
        let count = self.natural()?;
        match usize::try_from(count) {
            Ok(count) if count <= limit => Ok(count),
            _ => Err(self.invalid(what)),
        }
    }

    fn value(&mut self, data_type: &DataType) -> Result<Value, StateError> {
        let length = self.natural()?;
        let length = usize::try_from(length).map_err(|_| self.invalid("length"))?;
        let mut decoder = Decoder::new(self.slice(length)?);
        let value = decoder.value(data_type).map_err(StateError::Value)?;
        decoder.finish().map_err(StateError::Value)?;
        Ok(value)
    }

    fn placed(&mut self, data_type: &DataType) -> Result<Placed, StateError> {
        let time = i64::from_le_bytes(self.array()?);
        let length = self.natural()?;
        let length = usize::try_from(length).map_err(|_| self.invalid("length"))?;
        let order = self.slice(length)?.into();
        Ok(Placed {
            key: OrderKey { time, order },
            value: self.value(data_type)?,
        })
    }

    fn accumulator(&mut self) -> Result<Accumulator, StateError> {
        let head = self.natural()?;
        let length = usize::try_from(head >> 1).map_err(|_| self.invalid("length"))?;
        if length == 0 {
            return if head == 0 {
                Ok(Accumulator::default())
            } else {
                Err(self.invalid("sign of zero"))
            };
        }
        let base = i32::from_le_bytes(self.array()?);
        // Sums of squares of doubles need 134 digits, and start at the 68th below the point.
        if !(-128..128).contains(&base) || length > 192 {
            return Err(self.invalid("sum of numbers"));
        }
        let mut digits = Vec::with_capacity(length);
        for _ in 0..length {
            digits.push(u32::from_le_bytes(self.array()?));
        }
        if digits.first() == Some(&0) || digits.last() == Some(&0) {
            return Err(self.invalid("sum without zero digits at its ends"));
        }
        Ok(Accumulator::from_magnitude(head & 1 == 1, base, &digits))
    }

    fn sum(&mut self) -> Result<Sum, StateError> {
        let count = self.natural()?;
        let total = self.accumulator()?;
        let specials = if self.flag()? {
            let specials = Specials {
                nan: self.natural()?,
                positive: self.natural()?,
                negative: self.natural()?,
            };
            if specials == Specials::default() {
                return Err(self.invalid("count of infinities"));
            }
            Some(Box::new(specials))
        } else {
            None
        };
        Ok(Sum {
            count,
            total,
            specials,
        })
    }

    fn registers(&mut self) -> Result<Box<[u8]>, StateError> {
        let packed = self.slice((REGISTERS * REGISTER_BITS) / 8)?.to_vec();
        let mut registers = Vec::with_capacity(1 << HYPERLOGLOG_PRECISION);
        for three in packed.chunks_exact(3) {
            let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            for i in (0..4).rev() {
                // Six bits.
                let rank = (bits >> (i * REGISTER_BITS) & 0x3f) as u8;
                if rank > RANK_MAX {
                    return Err(self.invalid("register"));
                }
                registers.push(rank);
            }
        }
        Ok(registers.into())
    }

    fn quantile(&mut self) -> Result<Quantile, StateError> {
        if !self.flag()? {
            let count = self.count(QUANTILE_EXACT_MAX, "number of values")?;
            let mut keys = Vec::new();
            for _ in 0..count {
                let key = u64::from_be_bytes(self.array()?);
                if !quantile::is_key(key) || keys.last().is_some_and(|&last| last > key) {
                    return Err(self.invalid("list of values in order"));
                }
                keys.push(key);
            }
            return Ok(Quantile::Exact(keys));
        }
        let count = self.natural()?;
        let mut buckets = BTreeMap::new();
        let mut total = 0u64;
        for _ in 0..count {
            let bucket = i32::from_le_bytes(self.array()?);
            let n = self.positive("count of a bucket")?;
            if !quantile::is_bucket(bucket) || buckets.insert(bucket, n).is_some() {
                return Err(self.invalid("bucket"));
            }
            total = total
                .checked_add(n)
                .ok_or_else(|| self.invalid("count of values"))?;
        }
        Ok(Quantile::Histogram { total, buckets })
    }
}
