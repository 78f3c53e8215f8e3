//! Whole numbers as what they differ by: Parquet's `DELTA_BINARY_PACKED`.
//!
//! A header, then blocks of differences above the block's least one, each quarter of a block in
//! as many bits as its greatest needs.

/// Values of a quarter of a block.
const QUARTER: usize = 64;
const QUARTERS: usize = 4;
const BLOCK: usize = QUARTER * QUARTERS;

/// Appends the encoding of so many numbers, the first of them and the differences between each and the
/// next, which may wrap around.
pub(super) fn encode(
    count: usize,
    first: i64,
    mut differences: impl Iterator<Item = i64>,
    out: &mut Vec<u8>,
) {
    for number in [BLOCK, QUARTERS, count] {
        varint(number as u64, out);
    }
    zigzag(first, out);
    let mut block = [0i64; BLOCK];
    let mut left = count.saturating_sub(1);
    while left > 0 {
        let length = left.min(BLOCK);
        for (place, difference) in block[..length].iter_mut().zip(&mut differences) {
            *place = difference;
        }
        encode_block(&mut block, length, out);
        left -= length;
    }
}

fn encode_block(block: &mut [i64; BLOCK], length: usize, out: &mut Vec<u8>) {
    let least = block[..length].iter().copied().min().unwrap_or(0);
    zigzag(least, out);
    // What is not there is packed as no difference from the least one.
    block[length..].fill(least);
    let above = block.map(|difference| difference.wrapping_sub(least).cast_unsigned());
    let widths = out.len();
    out.extend([0; QUARTERS]);
    let quarters = above.as_chunks::<QUARTER>().0.iter();
    for (number, quarter) in quarters.enumerate().take(length.div_ceil(QUARTER)) {
        let all = quarter.iter().fold(0, |all, value| all | value);
        let width = u64::BITS - all.leading_zeros();
        // At most 64.
        out[widths + number] = width as u8;
        pack(quarter, width, out);
    }
}

/// Appends so many bits of each value, the lowest first.
fn pack(values: &[u64; QUARTER], width: u32, out: &mut Vec<u8>) {
    let start = out.len();
    // 64 values of so many bits are so many words.
    out.resize(start + width as usize * 8, 0);
    let mut words = out[start..].as_chunks_mut().0.iter_mut();
    let (mut word, mut filled) = (0u64, 0);
    for &value in values {
        word |= value << filled;
        filled += width;
        if filled >= u64::BITS {
            if let Some(place) = words.next() {
                *place = word.to_le_bytes();
            }
            filled -= u64::BITS;
            word = match filled {
                0 => 0,
                rest => value >> (width - rest),
            };
        }
    }
}

/// Appends a number in groups of seven bits, the lowest first.
pub(super) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a number so that those near zero are short.
pub(super) fn zigzag(number: i64, out: &mut Vec<u8>) {
    varint((number << 1 ^ number >> 63).cast_unsigned(), out);
}
