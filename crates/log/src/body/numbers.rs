//! Many whole numbers at once: a least one, and how far each is above it in as few bytes as
//! the farthest needs; of the numbers themselves or of the steps from one to the next,
//! whichever is shorter.
//!
//! Invariant: every list of numbers comes back; arithmetic wraps around on both sides.

use super::{Cursor, put_signed};
use crate::error::Flaw;

/// Bits of the first byte that say how many bytes a number has.
const WIDTH: u8 = 0x0f;
/// The numbers are steps.
const STEPS: u8 = 0x10;
const WIDTH_MAX: usize = 8;

/// Appends numbers; their count is not written.
pub(super) fn put_numbers(values: &[i64], out: &mut Vec<u8>) {
    let steps = || values.windows(2).map(|w| w[1].wrapping_sub(w[0]));
    let (least, width) = reach(values.iter().copied());
    let (least_step, step_width) = reach(steps());
    if step_width < width {
        out.push(STEPS | step_width as u8);
        put_signed(values[0], out);
        put_signed(least_step, out);
        put_packed(steps(), least_step, step_width, out);
    } else {
        out.push(width as u8);
        put_signed(least, out);
        put_packed(values.iter().copied(), least, width, out);
    }
}

/// The least number, and in how many bytes the others are above it.
fn reach(values: impl Iterator<Item = i64>) -> (i64, usize) {
    let (mut least, mut greatest) = (i64::MAX, i64::MIN);
    for value in values {
        least = least.min(value);
        greatest = greatest.max(value);
    }
    if least > greatest {
        return (0, 0);
    }
    let bits = u64::BITS - greatest.wrapping_sub(least).cast_unsigned().leading_zeros();
    (least, bits.div_ceil(8) as usize)
}

fn put_packed(values: impl Iterator<Item = i64>, least: i64, width: usize, out: &mut Vec<u8>) {
    for value in values {
        let above = value.wrapping_sub(least).cast_unsigned();
        out.extend_from_slice(&above.to_le_bytes()[..width]);
    }
}

/// Reads what [`put_numbers`] wrote of so many numbers.
pub(super) fn take_numbers(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<i64>, Flaw> {
    let first = cursor.byte()?;
    let width = usize::from(first & WIDTH);
    if first & !(WIDTH | STEPS) != 0 || width > WIDTH_MAX {
        return Err(Flaw::Field {
            field: "how numbers are packed",
            value: u64::from(first),
        });
    }
    let mut values = Vec::new();
    if first & STEPS == 0 {
        let least = cursor.signed()?;
        take_packed(cursor, width, least, count, &mut values)?;
        return Ok(values);
    }
    let mut value = cursor.signed()?;
    let least = cursor.signed()?;
    take_packed(cursor, width, least, count.saturating_sub(1), &mut values)?;
    // Each step gives way to the number before it.
    for place in &mut values {
        value = value.wrapping_add(std::mem::replace(place, value));
    }
    if count > 0 {
        values.push(value);
    }
    Ok(values)
}

fn take_packed(
    cursor: &mut Cursor<'_>,
    width: usize,
    least: i64,
    count: usize,
    out: &mut Vec<i64>,
) -> Result<(), Flaw> {
    let bytes = cursor.take(count.saturating_mul(width))?;
    // With room for the first of numbers that stand as steps.
    out.reserve_exact(count.saturating_add(1));
    match width {
        1 => unpack::<1>(bytes, least, out),
        2 => unpack::<2>(bytes, least, out),
        3 => unpack::<3>(bytes, least, out),
        4 => unpack::<4>(bytes, least, out),
        5 => unpack::<5>(bytes, least, out),
        6 => unpack::<6>(bytes, least, out),
        7 => unpack::<7>(bytes, least, out),
        8 => unpack::<8>(bytes, least, out),
        _ => out.resize(count, least),
    }
    Ok(())
}

fn unpack<const WIDTH: usize>(bytes: &[u8], least: i64, out: &mut Vec<i64>) {
    let number = |packed: &[u8; WIDTH]| {
        let mut wide = [0; 8];
        wide[..WIDTH].copy_from_slice(packed);
        least.wrapping_add(u64::from_le_bytes(wide).cast_signed())
    };
    out.extend(bytes.as_chunks::<WIDTH>().0.iter().map(number));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(values: &[i64]) -> Vec<u8> {
        let mut out = Vec::new();
        put_numbers(values, &mut out);
        out
    }

    proptest! {
        #[test]
        fn numbers_come_back(
            values in prop::collection::vec(any::<i64>(), 0..20),
            shift in 0u32..64,
            runs in any::<bool>(),
        ) {
            let mut values: Vec<i64> = values.into_iter().map(|x| x >> shift).collect();
            if runs {
                // Steps that are small where the numbers are not.
                for i in 1..values.len() {
                    values[i] = values[i - 1].wrapping_add(values[i] >> 40);
                }
            }
            let bytes = packed(&values);
            let mut cursor = Cursor::new(&bytes, 0);
            prop_assert_eq!(take_numbers(&mut cursor, values.len()).unwrap(), values);
            prop_assert!(cursor.finish().is_ok());
        }
    }

    #[test]
    fn what_is_regular_is_short() {
        let counting: Vec<i64> = (1_000_000..1_008_192).collect();
        assert!(packed(&counting).len() < 8);
        let times: Vec<i64> = (0..100).map(|i| 1_700_000_000_000_000 + i % 7).collect();
        assert!(packed(&times).len() < 112);
    }

    #[test]
    fn more_numbers_than_bytes_are_refused() {
        let bytes = packed(&[1, 500, 3]);
        assert!(take_numbers(&mut Cursor::new(&bytes, 0), 4).is_err());
        assert!(take_numbers(&mut Cursor::new(&[9, 0], 0), 0).is_err());
    }
}
