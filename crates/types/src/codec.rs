//! Order-preserving bytes of values: entity keys, event ids, `SEQUENCE BY` columns and the
//! canonical bytes of a row.
//!
//! For values of one type, comparing the encodings with `memcmp` gives [`Value::total_cmp`],
//! and equal encodings mean equal values. Encodings are prefix-free, so concatenation keeps
//! both properties. The format is part of the disk format; see `docs/format/values.md`.

use std::sync::Arc;

use crate::column::{Column, ColumnData, SLOT_NULL, SLOT_PRESENT};
use crate::data_type::DataType;
use crate::time::Interval;
use crate::value::{ErrorReason, Value, canonical_f64};

const NULL: u8 = 0x00;
const ERROR: u8 = 0x01;
const PRESENT: u8 = 0x02;
/// Ends a byte string or a list; an inner zero byte is written as `00 FF`.
const END: u8 = 0x00;
const ESCAPED_ZERO: u8 = 0xff;
/// Precedes every element of a list.
const ELEMENT: u8 = 0x01;

/// Appends the order-preserving encoding of a value.
pub fn encode_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => return out.push(NULL),
        Value::Error(reason) => return out.extend([ERROR, reason.code()]),
        _ => out.push(PRESENT),
    }
    match value {
        Value::Null | Value::Error(_) => {}
        Value::Boolean(b) => out.push(u8::from(*b)),
        Value::Int(x) | Value::Date(x) => out.extend(flip32(*x).to_be_bytes()),
        Value::BigInt(x) | Value::Timestamp(x) => out.extend(flip64(*x).to_be_bytes()),
        Value::Float(x) => {
            let bits = x.to_bits();
            let ordered = if bits >> 31 == 1 {
                !bits
            } else {
                bits | 1 << 31
            };
            out.extend(ordered.to_be_bytes());
        }
        Value::Double(x) => out.extend(ordered64(*x).to_be_bytes()),
        Value::Decimal(x) => {
            let mut bytes = x.get().to_be_bytes();
            bytes[0] ^= 0x80;
            out.extend(bytes);
        }
        Value::String(s) => encode_bytes(s.as_bytes(), out),
        Value::Bytes(b) => encode_bytes(b, out),
        Value::Interval(i) => {
            out.extend(flip32(i.months).to_be_bytes());
            out.extend(flip64(i.micros).to_be_bytes());
        }
        Value::Array(values) | Value::Struct(values) => {
            for value in values.iter() {
                out.push(ELEMENT);
                encode_value(value, out);
            }
            out.push(END);
        }
    }
}

/// Appends the encodings of a column's slots, one after the other: what [`encode_value`] has
/// for each.
pub fn encode_column(column: &Column, out: &mut Vec<u8>) {
    if column.states().is_empty() {
        match column.data() {
            ColumnData::Int(v) | ColumnData::Date(v) => {
                return all(v, out, |x| {
                    let [a, b, c, d] = flip32(*x).to_be_bytes();
                    [PRESENT, a, b, c, d]
                });
            }
            ColumnData::BigInt(v) | ColumnData::Timestamp(v) => {
                return all(v, out, |x| present64(flip64(*x)));
            }
            ColumnData::Double(v) => return all(v, out, |x| present64(ordered64(*x))),
            _ => {}
        }
    }
    match column.data() {
        ColumnData::Double(values) => {
            for (x, &state) in values.iter().zip(column.states()) {
                match state {
                    SLOT_PRESENT => {
                        out.push(PRESENT);
                        out.extend_from_slice(&ordered64(*x).to_be_bytes());
                    }
                    SLOT_NULL => out.push(NULL),
                    code => out.extend([ERROR, code]),
                }
            }
        }
        _ => {
            for value in column.iter() {
                encode_value(&value, out);
            }
        }
    }
}

/// Bytes of a number of 64 bits.
pub const ENCODED_64: usize = 9;

/// Puts what [`encode_value`] makes of each of these, as a `BIGINT` or a `TIMESTAMP`, into [`ENCODED_64`]
/// bytes.
pub fn encode_integers(values: &[i64], out: &mut [u8]) {
    put_all(values, out, |x| present64(flip64(*x)));
}

/// Puts what [`encode_value`] makes of each of these, as a canonical `DOUBLE`, into [`ENCODED_64`] bytes.
pub fn encode_doubles(values: &[f64], out: &mut [u8]) {
    put_all(values, out, |x| present64(ordered64(canonical_f64(*x))));
}

/// Appends so many bytes for each value.
fn all<T, const N: usize>(values: &[T], out: &mut Vec<u8>, bytes: impl Fn(&T) -> [u8; N]) {
    let start = out.len();
    out.resize(start + values.len() * N, 0);
    put_all(values, &mut out[start..], bytes);
}

fn put_all<T, const N: usize>(values: &[T], out: &mut [u8], bytes: impl Fn(&T) -> [u8; N]) {
    for (place, value) in out.as_chunks_mut().0.iter_mut().zip(values) {
        *place = bytes(value);
    }
}

fn present64(bits: u64) -> [u8; ENCODED_64] {
    let [a, b, c, d, e, f, g, h] = bits.to_be_bytes();
    [PRESENT, a, b, c, d, e, f, g, h]
}

/// Bits in the order of the numbers.
fn ordered64(x: f64) -> u64 {
    let bits = x.to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

fn flip32(x: i32) -> u32 {
    x.cast_unsigned() ^ 1 << 31
}

fn flip64(x: i64) -> u64 {
    x.cast_unsigned() ^ 1 << 63
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        out.push(byte);
        if byte == END {
            out.push(ESCAPED_ZERO);
        }
    }
    out.extend([END, END]);
}

/// The encoding of a sequence of values: an entity key, an event id.
pub fn encode_values<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    for value in values {
        encode_value(value, &mut out);
    }
    out
}

/// The canonical bytes of a row: its values in column order without trailing NULLs, so that
/// adding a nullable column to a source does not change the bytes of its old rows.
pub fn canonical_row(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    encode_canonical_row(values, &mut out);
    out
}

/// Appends [`canonical_row`].
pub fn encode_canonical_row(values: &[Value], out: &mut Vec<u8>) {
    let length = values
        .iter()
        .rposition(|v| !v.is_null())
        .map_or(0, |i| i + 1);
    for value in &values[..length] {
        encode_value(value, out);
    }
}

/// How many bytes [`canonical_row`] has.
pub fn canonical_row_length(values: &[Value]) -> usize {
    let length = values
        .iter()
        .rposition(|v| !v.is_null())
        .map_or(0, |i| i + 1);
    values[..length].iter().map(value_length).sum()
}

/// How many bytes [`encode_value`] appends.
fn value_length(value: &Value) -> usize {
    match value {
        Value::Null => 1,
        Value::Error(_) | Value::Boolean(_) => 2,
        Value::Int(_) | Value::Date(_) | Value::Float(_) => 1 + 4,
        Value::BigInt(_) | Value::Timestamp(_) | Value::Double(_) => 1 + 8,
        Value::Decimal(_) => 1 + 16,
        Value::String(s) => 1 + bytes_length(s.as_bytes()),
        Value::Bytes(b) => 1 + bytes_length(b),
        Value::Interval(_) => 1 + 4 + 8,
        Value::Array(values) | Value::Struct(values) => {
            let elements = values.iter().map(|value| 1 + value_length(value));
            1 + elements.sum::<usize>() + 1
        }
    }
}

fn bytes_length(bytes: &[u8]) -> usize {
    let escaped = bytes.iter().filter(|&&byte| byte == END).count();
    bytes.len() + escaped + 2
}

/// Why bytes are not an encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the bytes end inside a value, at byte {at}")]
    Truncated {
        /// Where.
        at: usize,
    },
    /// A byte that no encoding has there.
    #[error("byte {at} is {byte:#04x}, which no {data_type} has there")]
    Invalid {
        /// Where.
        at: usize,
        /// The byte.
        byte: u8,
        /// The type that was to be read.
        data_type: String,
    },
    /// Nesting deeper than any type.
    #[error("bytes are left over after the value, at byte {at}")]
    Trailing {
        /// Where.
        at: usize,
    },
}

/// Reads values back from [`encode_value`]'s bytes.
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Decoder { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Whether everything was read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// An error unless everything was read.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(DecodeError::Trailing { at: self.at })
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let part = self
            .bytes
            .get(self.at..self.at + N)
            .and_then(|part| <[u8; N]>::try_from(part).ok())
            .ok_or(DecodeError::Truncated {
                at: self.bytes.len(),
            })?;
        self.at += N;
        Ok(part)
    }

    fn invalid(&self, byte: u8, data_type: &DataType) -> DecodeError {
        DecodeError::Invalid {
            at: self.at - 1,
            byte,
            data_type: data_type.to_string(),
        }
    }

    /// Reads the next value, of the given type.
    pub fn value(&mut self, data_type: &DataType) -> Result<Value, DecodeError> {
        let [head] = self.take::<1>()?;
        match head {
            NULL => return Ok(Value::Null),
            ERROR => {
                let [code] = self.take::<1>()?;
                return ErrorReason::from_code(code)
                    .map(Value::Error)
                    .ok_or_else(|| self.invalid(code, data_type));
            }
            PRESENT => {}
            byte => return Err(self.invalid(byte, data_type)),
        }
        Ok(match data_type {
            DataType::Boolean => match self.take::<1>()? {
                [0] => Value::Boolean(false),
                [1] => Value::Boolean(true),
                [byte] => return Err(self.invalid(byte, data_type)),
            },
            DataType::Int => Value::Int(self.int32()?),
            DataType::Date => Value::Date(self.int32()?),
            DataType::BigInt => Value::BigInt(self.int64()?),
            DataType::Timestamp => Value::Timestamp(self.int64()?),
            DataType::Float => {
                let ordered = u32::from_be_bytes(self.take()?);
                let bits = if ordered >> 31 == 1 {
                    ordered ^ 1 << 31
                } else {
                    !ordered
                };
                Value::float(f32::from_bits(bits))
            }
            DataType::Double => {
                let ordered = u64::from_be_bytes(self.take()?);
                let bits = if ordered >> 63 == 1 {
                    ordered ^ 1 << 63
                } else {
                    !ordered
                };
                Value::double(f64::from_bits(bits))
            }
            DataType::Decimal { .. } => {
                let mut bytes = self.take::<16>()?;
                bytes[0] ^= 0x80;
                Value::decimal(i128::from_be_bytes(bytes))
            }
            DataType::String => {
                let start = self.at;
                let bytes = self.byte_string()?;
                let text = String::from_utf8(bytes).map_err(|e| DecodeError::Invalid {
                    at: start + e.utf8_error().valid_up_to(),
                    byte: self.bytes[start],
                    data_type: data_type.to_string(),
                })?;
                Value::string(text)
            }
            DataType::Bytes => Value::Bytes(self.byte_string()?.into()),
            DataType::Interval => Value::Interval(Interval {
                months: self.int32()?,
                micros: self.int64()?,
            }),
            DataType::Array(element) | DataType::Vector { element, .. } => {
                Value::Array(self.list(|_| Some(element.as_ref()), data_type)?)
            }
            DataType::Struct(fields) => {
                Value::Struct(self.list(|i| fields.get(i).map(|f| &f.data_type), data_type)?)
            }
            DataType::Null => return Err(self.invalid(PRESENT, data_type)),
        })
    }

    fn int32(&mut self) -> Result<i32, DecodeError> {
        Ok((u32::from_be_bytes(self.take()?) ^ 1 << 31).cast_signed())
    }

    fn int64(&mut self) -> Result<i64, DecodeError> {
        Ok((u64::from_be_bytes(self.take()?) ^ 1 << 63).cast_signed())
    }

    fn byte_string(&mut self) -> Result<Vec<u8>, DecodeError> {
        let mut bytes = Vec::new();
        loop {
            match self.take::<1>()? {
                [END] => match self.take::<1>()? {
                    [END] => return Ok(bytes),
                    [ESCAPED_ZERO] => bytes.push(END),
                    [byte] => return Err(self.invalid(byte, &DataType::Bytes)),
                },
                [byte] => bytes.push(byte),
            }
        }
    }

    fn list<'t>(
        &mut self,
        element: impl Fn(usize) -> Option<&'t DataType>,
        data_type: &DataType,
    ) -> Result<Arc<[Value]>, DecodeError> {
        let mut values = Vec::new();
        loop {
            match self.take::<1>()? {
                [END] => return Ok(values.into()),
                [ELEMENT] => {
                    let Some(element) = element(values.len()) else {
                        return Err(self.invalid(ELEMENT, data_type));
                    };
                    values.push(self.value(element)?);
                }
                [byte] => return Err(self.invalid(byte, data_type)),
            }
        }
    }
}

/// Values of the types given and nothing after them.
pub fn decode_values(bytes: &[u8], types: &[DataType]) -> Result<Vec<Value>, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    let values = types
        .iter()
        .map(|t| decoder.value(t))
        .collect::<Result<_, _>>()?;
    decoder.finish()?;
    Ok(values)
}

/// The inverse of [`canonical_row`]: columns that are not there are NULL.
pub fn decode_row(bytes: &[u8], types: &[DataType]) -> Result<Vec<Value>, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    let mut values = Vec::with_capacity(types.len());
    for data_type in types {
        if decoder.is_at_end() {
            values.push(Value::Null);
        } else {
            values.push(decoder.value(data_type)?);
        }
    }
    decoder.finish()?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn typed_pair() -> impl Strategy<Value = (DataType, Value, Value)> {
        fn of(t: DataType, s: BoxedStrategy<Value>) -> BoxedStrategy<(DataType, Value, Value)> {
            let s = prop_oneof![1 => Just(Value::Null), 1 => Just(Value::Error(ErrorReason::Limit)), 8 => s].boxed();
            (s.clone(), s)
                .prop_map(move |(a, b)| (t.clone(), a, b))
                .boxed()
        }
        let doubles = prop_oneof![
            any::<f64>(),
            Just(0.0),
            Just(-0.0),
            Just(f64::NAN),
            Just(f64::INFINITY)
        ];
        let strings = "[a\\x00\u{ff}b]{0,4}";
        prop_oneof![
            of(
                DataType::Boolean,
                any::<bool>().prop_map(Value::from).boxed()
            ),
            of(DataType::Int, any::<i32>().prop_map(Value::from).boxed()),
            of(DataType::BigInt, any::<i64>().prop_map(Value::from).boxed()),
            of(DataType::Float, any::<f32>().prop_map(Value::float).boxed()),
            of(DataType::Double, doubles.prop_map(Value::double).boxed()),
            of(
                DataType::Decimal {
                    precision: 38,
                    scale: 2
                },
                any::<i128>().prop_map(Value::decimal).boxed()
            ),
            of(
                DataType::String,
                strings.prop_map(|s: String| Value::string(s)).boxed()
            ),
            of(
                DataType::Bytes,
                prop::collection::vec(0u8..3, 0..4)
                    .prop_map(|b| Value::Bytes(b.into()))
                    .boxed()
            ),
            of(DataType::Date, any::<i32>().prop_map(Value::Date).boxed()),
            of(
                DataType::Timestamp,
                any::<i64>().prop_map(Value::Timestamp).boxed()
            ),
            of(
                DataType::Array(Box::new(DataType::Int)),
                prop::collection::vec((-1i32..2).prop_map(Value::from), 0..4)
                    .prop_map(|v| Value::Array(v.into()))
                    .boxed()
            ),
        ]
    }

    proptest! {
        #[test]
        fn columns_are_their_values((t, a, b) in typed_pair(), picks in prop::collection::vec(any::<bool>(), 0..6)) {
            let values: Vec<&Value> = picks.iter().map(|first| if *first { &a } else { &b }).collect();
            let mut bytes = Vec::new();
            encode_column(&Column::from_values(&t, values.iter().copied()), &mut bytes);
            prop_assert_eq!(bytes, encode_values(values));
        }

        #[test]
        fn order_and_round_trip((t, a, b) in typed_pair(), (u, c, _) in typed_pair()) {
            let (ea, eb) = (encode_values([&a]), encode_values([&b]));
            prop_assert_eq!(ea.cmp(&eb), a.total_cmp(&b));
            prop_assert_eq!(decode_values(&ea, std::slice::from_ref(&t)).unwrap(), vec![a.clone()]);
            let pair = encode_values([&a, &c]);
            prop_assert_eq!(decode_values(&pair, &[t.clone(), u.clone()]).unwrap(), vec![a.clone(), c.clone()]);
            let row = canonical_row(&[a.clone(), c.clone(), Value::Null]);
            prop_assert_eq!(decode_row(&row, &[t, u, DataType::Int]).unwrap(), vec![a.clone(), c.clone(), Value::Null]);
            let interval = Value::Interval(Interval::from_micros(7));
            let nested = Value::Struct([a.clone(), Value::Null, interval].into());
            for row in [vec![a.clone(), c.clone(), Value::Null], vec![Value::Null, nested, a, c]] {
                prop_assert_eq!(canonical_row_length(&row), canonical_row(&row).len());
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), (t, _, _) in typed_pair()) {
            let _ = decode_values(&bytes, &[t.clone(), t]);
        }
    }

    #[test]
    fn damage_is_named() {
        assert_eq!(
            decode_values(&[], &[DataType::Int]),
            Err(DecodeError::Truncated { at: 0 })
        );
        assert!(matches!(
            decode_values(&[9], &[DataType::Int]),
            Err(DecodeError::Invalid { at: 0, .. })
        ));
        assert_eq!(
            decode_values(&[0, 0], &[DataType::Int]),
            Err(DecodeError::Trailing { at: 1 })
        );
    }
}
