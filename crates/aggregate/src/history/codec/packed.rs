//! What most blocks have alike, in few bytes: numbers that go on or stay, times in whole
//! seconds, order bytes that end with the place in the log, amounts of money.
//!
//! Invariant: what was packed comes back, bit by bit.

use evenkeel_types::bytes::{ByteReader, MalformedBytes, put_bytes, put_signed, put_varint};

use super::{differences, put_differences};

const SAME: u8 = 0;
/// Differences in units; the first number as it is.
const UNITS: [(u8, i64); 3] = [(3, 1_000_000), (2, 1_000), (1, 1)];

/// Order bytes end with partition and offset.
const WITH_PLACE: u8 = 1;
/// Order bytes, without the place, have one length and one beginning, but for a number.
const AS_NUMBERS: u8 = 2;
const PLACE_BYTES: usize = 12;
const NUMBER_BYTES: usize = 8;
/// Longer ones are not taken for numbers: what a block expands to stays near its own size.
const AS_NUMBERS_BYTES_MAX: usize = 64;

const DOUBLES_WHOLE: [(u8, f64); 2] = [(1, 1.0), (2, 100.0)];
const DOUBLES_AS_THEY_ARE: u8 = 0;
/// Integers below this are exact in a double.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// Appends numbers, at least one.
pub(super) fn put_numbers(values: &[i64], out: &mut Vec<u8>) {
    let steps = || values.windows(2).map(|w| w[1].wrapping_sub(w[0]));
    if steps().all(|step| step == 0) {
        out.push(SAME);
        return put_signed(values[0], out);
    }
    for (mode, unit) in UNITS {
        if steps().all(|step| step % unit == 0) {
            out.push(mode);
            put_signed(values[0], out);
            return steps().for_each(|step| put_signed(step / unit, out));
        }
    }
}

/// So many numbers, at least one.
pub(super) fn numbers(
    reader: &mut ByteReader<'_>,
    count: usize,
) -> Result<Vec<i64>, MalformedBytes> {
    let mode = reader.byte("how numbers stand")?;
    let mut value = reader.signed("a number")?;
    if mode == SAME {
        return Ok(vec![value; count]);
    }
    let unit = UNITS.iter().find(|(known, _)| *known == mode);
    let (_, unit) = unit.ok_or_else(|| reader.malformed("how numbers stand"))?;
    let mut values = Vec::with_capacity(count);
    values.push(value);
    for _ in 1..count {
        value = value.wrapping_add(reader.signed("a difference")?.wrapping_mul(*unit));
        values.push(value);
    }
    Ok(values)
}

/// The place of an entry, as its order bytes end with it.
fn place(partition: u32, offset: u64) -> [u8; PLACE_BYTES] {
    let mut bytes = [0; PLACE_BYTES];
    bytes[..4].copy_from_slice(&partition.to_be_bytes());
    bytes[4..].copy_from_slice(&offset.to_be_bytes());
    bytes
}

/// Appends the order bytes of entries, at least one, at these places.
pub(super) fn put_orders(orders: &[&[u8]], partitions: &[u32], offsets: &[u64], out: &mut Vec<u8>) {
    let mut places = partitions.iter().zip(offsets).map(|(p, o)| place(*p, *o));
    let with_place = orders
        .iter()
        .all(|order| places.next().is_some_and(|place| order.ends_with(&place)));
    let cut = if with_place { PLACE_BYTES } else { 0 };
    let rest = |order: &&'_ [u8]| order.len() - cut;
    let length = rest(&orders[0]);
    let same = length.saturating_sub(NUMBER_BYTES);
    let beginning = &orders[0][..same];
    let as_numbers = length <= AS_NUMBERS_BYTES_MAX
        && orders
            .iter()
            .all(|order| rest(order) == length && order.starts_with(beginning));
    out.push((u8::from(with_place) * WITH_PLACE) | (u8::from(as_numbers) * AS_NUMBERS));
    if as_numbers {
        put_varint(length as u64, out);
        out.extend_from_slice(beginning);
        let number = |order: &&[u8]| {
            let mut bytes = [0; NUMBER_BYTES];
            bytes[NUMBER_BYTES - (length - same)..].copy_from_slice(&order[same..length]);
            i64::from_be_bytes(bytes)
        };
        put_numbers(&orders.iter().map(number).collect::<Vec<_>>(), out);
    } else {
        for order in orders {
            put_bytes(&order[..rest(order)], out);
        }
    }
}

/// Order bytes of entries at these places, one behind the other, and where each ends.
pub(super) fn orders(
    reader: &mut ByteReader<'_>,
    partitions: &[u32],
    offsets: &[u64],
) -> Result<(Vec<u32>, Vec<u8>), MalformedBytes> {
    let flags = reader.byte("how order bytes stand")?;
    if flags & !(WITH_PLACE | AS_NUMBERS) != 0 {
        return Err(reader.malformed("how order bytes stand"));
    }
    let count = offsets.len();
    let mut of_numbers = None;
    if flags & AS_NUMBERS != 0 {
        let length = reader.varint("the length of order bytes")?;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= AS_NUMBERS_BYTES_MAX)
            .ok_or_else(|| reader.malformed("the length of order bytes"))?;
        let beginning = reader.take(length.saturating_sub(NUMBER_BYTES), "order bytes")?;
        let numbers = numbers(reader, count)?;
        of_numbers = Some((beginning, length - beginning.len(), numbers));
    }
    let mut ends = Vec::with_capacity(count);
    let mut bytes = Vec::new();
    for slot in 0..count {
        match &of_numbers {
            Some((beginning, width, numbers)) => {
                bytes.extend_from_slice(beginning);
                let number = numbers[slot].to_be_bytes();
                bytes.extend_from_slice(&number[NUMBER_BYTES - width..]);
            }
            None => bytes.extend_from_slice(reader.bytes("order bytes")?),
        }
        if flags & WITH_PLACE != 0 {
            bytes.extend_from_slice(&place(partitions[slot], offsets[slot]));
        }
        let end = u32::try_from(bytes.len());
        ends.push(end.map_err(|_| reader.malformed("order bytes of a block"))?);
    }
    Ok((ends, bytes))
}

/// A double as a whole number of parts of this size, if dividing gives the same bits back.
fn whole(x: f64, parts: f64) -> Option<i64> {
    let scaled = if parts == 1.0 { x } else { (x * parts).round() };
    // The comparison also refuses NaN and infinities, whose cast would saturate.
    if scaled.abs() < EXACT_INTEGERS {
        let n = scaled as i64;
        return (n as f64 / parts).to_bits().eq(&x.to_bits()).then_some(n);
    }
    None
}

/// Appends doubles.
pub(super) fn put_doubles(values: &[f64], out: &mut Vec<u8>) {
    for (mode, parts) in DOUBLES_WHOLE {
        let numbers: Option<Vec<i64>> = values.iter().map(|x| whole(*x, parts)).collect();
        if let Some(numbers) = numbers {
            out.push(mode);
            return numbers.into_iter().for_each(|n| put_signed(n, out));
        }
    }
    out.push(DOUBLES_AS_THEY_ARE);
    values.iter().for_each(|x| out.extend(x.to_le_bytes()));
}

/// So many doubles.
pub(super) fn doubles(
    reader: &mut ByteReader<'_>,
    count: usize,
) -> Result<Vec<f64>, MalformedBytes> {
    let mode = reader.byte("how doubles stand")?;
    if mode == DOUBLES_AS_THEY_ARE {
        let double = |_| Ok(f64::from_le_bytes(reader.array("a DOUBLE")?));
        return (0..count).map(double).collect();
    }
    let parts = DOUBLES_WHOLE.iter().find(|(known, _)| *known == mode);
    let (_, parts) = parts.ok_or_else(|| reader.malformed("how doubles stand"))?;
    (0..count)
        .map(|_| Ok(reader.signed("a DOUBLE")? as f64 / parts))
        .collect()
}

/// Numbers of a block, as its version has them.
pub(super) fn numbers_of(
    reader: &mut ByteReader<'_>,
    count: usize,
    packed: bool,
) -> Result<Vec<i64>, MalformedBytes> {
    if packed && count > 0 {
        numbers(reader, count)
    } else {
        differences(reader, count)
    }
}

/// Appends numbers of a block.
pub(super) fn put_numbers_of(values: &[i64], out: &mut Vec<u8>) {
    if values.is_empty() {
        put_differences(std::iter::empty(), out);
    } else {
        put_numbers(values, out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(
            values in prop::collection::vec(any::<i64>(), 1..20),
            shift in 0u32..64,
            unit in prop::sample::select(vec![1i64, 7, 1_000, 1_000_000]),
        ) {
            let values: Vec<i64> = values.iter().map(|x| (x >> shift).wrapping_mul(unit)).collect();
            let mut out = Vec::new();
            put_numbers(&values, &mut out);
            let mut reader = ByteReader::new(&out);
            prop_assert_eq!(numbers(&mut reader, values.len()).unwrap(), values);
            prop_assert!(reader.end("numbers").is_ok());
        }

        #[test]
        fn orders_come_back(
            rests in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 1..9),
            length in prop::option::of(0usize..12),
            beginning in any::<bool>(),
            places in any::<bool>(),
        ) {
            let offsets: Vec<u64> = (0..rests.len() as u64).map(|n| n * 7).collect();
            let partitions = vec![3; rests.len()];
            let orders: Vec<Vec<u8>> = rests
                .iter()
                .zip(&offsets)
                .map(|(rest, offset)| {
                    let mut order = rest.clone();
                    if let Some(length) = length {
                        order.resize(length, 9);
                        if beginning && length > 8 {
                            order[..length - 8].fill(1);
                        }
                    }
                    if places {
                        order.extend(place(3, *offset));
                    }
                    order
                })
                .collect();
            let mut out = Vec::new();
            let slices: Vec<&[u8]> = orders.iter().map(Vec::as_slice).collect();
            put_orders(&slices, &partitions, &offsets, &mut out);
            let mut reader = ByteReader::new(&out);
            let (ends, bytes) = super::orders(&mut reader, &partitions, &offsets).unwrap();
            prop_assert!(reader.end("orders").is_ok());
            let mut start = 0;
            for (order, end) in orders.iter().zip(ends) {
                prop_assert_eq!(&bytes[start..end as usize], order.as_slice());
                start = end as usize;
            }
        }

        #[test]
        fn doubles_come_back(values in prop::collection::vec(
            prop_oneof![
                any::<f64>(),
                (-999i64..999).prop_map(|n| n as f64),
                (-999i64..999).prop_map(|n| n as f64 / 100.0),
            ],
            0..9,
        )) {
            let mut out = Vec::new();
            put_doubles(&values, &mut out);
            let mut reader = ByteReader::new(&out);
            let found = doubles(&mut reader, values.len()).unwrap();
            let bits = |values: &[f64]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&found), bits(&values));
            prop_assert!(reader.end("doubles").is_ok());
        }
    }
}
