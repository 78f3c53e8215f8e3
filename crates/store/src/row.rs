//! The checksum of a row: XXH3-64 over space, key and value, behind the value.

use xxhash_rust::xxh3::Xxh3;

use crate::error::StoreError;
use crate::kv::Space;

const CHECKSUM_BYTES: usize = 8;

fn checksum(space: Space, key: &[u8], value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Xxh3::new();
    hash.update(space.name().as_bytes());
    hash.update(&(key.len() as u64).to_le_bytes());
    hash.update(key);
    hash.update(value);
    hash.digest().to_le_bytes()
}

/// The bytes that stand for a value.
pub(crate) fn seal(space: Space, key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let sum = checksum(space, key, &value);
    value.extend(sum);
    value
}

/// The value of sealed bytes.
pub(crate) fn open<'a>(space: Space, key: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], StoreError> {
    let Some(at) = bytes.len().checked_sub(CHECKSUM_BYTES) else {
        return Err(StoreError::damaged(space, key, "it is too short"));
    };
    let (value, sum) = bytes.split_at(at);
    if checksum(space, key, value) != *sum {
        return Err(StoreError::damaged(space, key, "its checksum is wrong"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sealed = seal(Space::Runs, b"key", b"value".to_vec());
        assert_eq!(open(Space::Runs, b"key", &sealed).ok(), Some(&b"value"[..]));
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open(Space::Runs, b"key", &flipped).is_err(), "bit {bit}");
        }
        // A row at another place, or cut short.
        assert!(open(Space::Blocks, b"key", &sealed).is_err());
        assert!(open(Space::Runs, b"kex", &sealed).is_err());
        assert!(open(Space::Runs, b"key", &sealed[..3]).is_err());
    }
}
