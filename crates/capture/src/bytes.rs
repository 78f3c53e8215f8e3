//! Bytes of the protocol and of the binlog, taken apart; integers are little-endian but where
//! it says so.
//!
//! Invariant: nothing is read beyond the end, whatever a length says.

/// What is left of some bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

/// The bytes end too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutOff;

impl<'a> Bytes<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], CutOff> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CutOff)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CutOff> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, CutOff> {
        // At most two bytes.
        Ok(self.unsigned(2)? as u16)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CutOff> {
        // At most four bytes.
        Ok(self.unsigned(4)? as u32)
    }

    /// Of one to eight bytes.
    pub(crate) fn unsigned(&mut self, length: usize) -> Result<u64, CutOff> {
        let taken = self.take(length)?;
        Ok(taken
            .iter()
            .rev()
            .fold(0, |x, byte| x << 8 | u64::from(*byte)))
    }

    /// The same in two's complement.
    pub(crate) fn signed(&mut self, length: usize) -> Result<i64, CutOff> {
        let shift = 64 - 8 * length.clamp(1, 8) as u32;
        // The sign moves to the first bit and back.
        Ok(((self.unsigned(length)? << shift) as i64) >> shift)
    }

    /// Of one to eight bytes, the most significant first.
    pub(crate) fn big_endian(&mut self, length: usize) -> Result<u64, CutOff> {
        let taken = self.take(length)?;
        Ok(taken.iter().fold(0, |x, byte| x << 8 | u64::from(*byte)))
    }

    /// A number that says its own length.
    pub(crate) fn packed(&mut self) -> Result<u64, CutOff> {
        match self.u8()? {
            0xfc => self.unsigned(2),
            0xfd => self.unsigned(3),
            0xfe => self.unsigned(8),
            small => Ok(u64::from(small)),
        }
    }

    /// As many bytes as a number before them says.
    pub(crate) fn packed_bytes(&mut self) -> Result<&'a [u8], CutOff> {
        let length = self.packed()?;
        self.take(usize::try_from(length).map_err(|_| CutOff)?)
    }

    /// Up to a zero byte, which is left out.
    pub(crate) fn until_zero(&mut self) -> Result<&'a [u8], CutOff> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(CutOff)?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let mut bytes = Bytes(&[1, 2, 0xff, 0xff, 0xff, 1, 2, 3, 0xfc, 1, 1, 7, b'a', 0, 9]);
        assert_eq!(bytes.u16(), Ok(0x0201));
        assert_eq!(bytes.signed(3), Ok(-1));
        assert_eq!(bytes.big_endian(3), Ok(0x010203));
        assert_eq!(bytes.packed(), Ok(257));
        assert_eq!(bytes.packed(), Ok(7));
        assert_eq!(bytes.until_zero(), Ok(&b"a"[..]));
        assert_eq!(bytes.packed_bytes(), Err(CutOff));
        assert!(bytes.is_empty() && bytes.u8() == Err(CutOff));
        assert_eq!(
            Bytes(&[0x80, 0, 0, 0, 0, 0, 0, 0x80]).signed(8),
            Ok(i64::MIN + 128)
        );
    }
}
