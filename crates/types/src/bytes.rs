//! Numbers and byte strings of the disk formats of blocks: 7-bit groups, least first
//! (LEB128), signed numbers so that small ones of either sign are short (zigzag), and a
//! reader that takes any bytes whatever.

/// The bytes are not what they should be: where the reader stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} does not continue {what}")]
pub struct MalformedBytes {
    /// From the start of what was read.
    pub at: usize,
    /// What was being read.
    pub what: &'static str,
}

/// Appends an unsigned number.
pub fn put_varint(mut x: u64, out: &mut Vec<u8>) {
    while x >= 0x80 {
        out.push((x & 0x7f) as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// Appends a signed number.
pub fn put_signed(x: i64, out: &mut Vec<u8>) {
    put_varint(((x << 1) ^ (x >> 63)).cast_unsigned(), out);
}

/// Appends a length and so many bytes.
pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Reads from the start of some bytes.
#[derive(Clone, Debug)]
pub struct ByteReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> ByteReader<'a> {
    /// Reads from the start.
    pub fn new(bytes: &'a [u8]) -> Self {
        ByteReader { bytes, at: 0 }
    }

    /// Where the reader stands, from the start.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The error of this place.
    pub fn malformed(&self, what: &'static str) -> MalformedBytes {
        MalformedBytes { at: self.at, what }
    }

    /// So many bytes.
    pub fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], MalformedBytes> {
        let part = self
            .rest()
            .get(..length)
            .ok_or_else(|| self.malformed(what))?;
        self.at += length;
        Ok(part)
    }

    /// So many bytes, as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], MalformedBytes> {
        let error = self.malformed(what);
        self.take(N, what)?.try_into().map_err(|_| error)
    }

    /// One byte.
    pub fn byte(&mut self, what: &'static str) -> Result<u8, MalformedBytes> {
        Ok(self.array::<1>(what)?[0])
    }

    /// [`put_varint`]'s number.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, MalformedBytes> {
        let error = self.malformed(what);
        let mut x = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(error);
            }
            x |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(x);
            }
        }
        Err(error)
    }

    /// [`put_signed`]'s number.
    pub fn signed(&mut self, what: &'static str) -> Result<i64, MalformedBytes> {
        let x = self.varint(what)?;
        Ok((x >> 1).cast_signed() ^ -(x & 1).cast_signed())
    }

    /// A number of things of which each takes at least a byte of what is left.
    pub fn count(&mut self, what: &'static str) -> Result<usize, MalformedBytes> {
        let error = self.malformed(what);
        let count = self.varint(what)?;
        usize::try_from(count)
            .ok()
            .filter(|&count| count <= self.rest().len())
            .ok_or(error)
    }

    /// [`put_bytes`]'s bytes.
    pub fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], MalformedBytes> {
        let length = self.count(what)?;
        self.take(length, what)
    }

    /// That nothing is left.
    pub fn end(&self, what: &'static str) -> Result<(), MalformedBytes> {
        if self.rest().is_empty() {
            Ok(())
        } else {
            Err(self.malformed(what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let mut out = Vec::new();
        let unsigned = [0, 1, 127, 128, 300, u64::MAX];
        let signed = [0, -1, 1, 63, -64, 64, i64::MIN, i64::MAX];
        unsigned.iter().for_each(|&x| put_varint(x, &mut out));
        signed.iter().for_each(|&x| put_signed(x, &mut out));
        put_bytes(b"abc", &mut out);
        let mut reader = ByteReader::new(&out);
        for x in unsigned {
            assert_eq!(reader.varint("x"), Ok(x));
        }
        for x in signed {
            assert_eq!(reader.signed("x"), Ok(x));
        }
        assert_eq!(reader.bytes("b"), Ok(&b"abc"[..]));
        assert_eq!(reader.end("all"), Ok(()));
        assert!(reader.byte("more").is_err());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bytes in [&[0x80][..], &[0xff; 11], &[0xff; 10]] {
            assert!(ByteReader::new(bytes).varint("x").is_err(), "{bytes:?}");
        }
        assert!(ByteReader::new(&[5, 1, 2]).bytes("b").is_err());
    }
}
