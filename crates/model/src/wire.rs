//! The wire format of protocol buffers: fields by number, as far as ONNX files have them.
//!
//! Owns no message. Invariant: nothing is read beyond the bytes given, and what is allocated is
//! bounded by them.

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of a message, in their order.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    /// The next field with its number; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(Malformed),
        };
        Ok(Some((key >> 3, field)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }
}

impl<'a> Field<'a> {
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// A signed integer, which is written as its two's complement.
    pub(crate) fn int(self) -> Result<i64, Malformed> {
        match self {
            Field::Varint(value) => Ok(value.cast_signed()),
            _ => Err(Malformed),
        }
    }

    pub(crate) fn float(self) -> Result<f32, Malformed> {
        match self {
            Field::Fixed32(bits) => Ok(f32::from_bits(bits)),
            _ => Err(Malformed),
        }
    }

    /// Adds one integer, or those of a packed field.
    pub(crate) fn ints(self, out: &mut Vec<i64>) -> Result<(), Malformed> {
        match self {
            Field::Varint(value) => out.push(value.cast_signed()),
            Field::Bytes(packed) => {
                let mut packed = Fields::of(packed);
                while !packed.rest.is_empty() {
                    out.push(packed.varint()?.cast_signed());
                }
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    /// Adds one float, or those of a packed field.
    pub(crate) fn floats(self, out: &mut Vec<f32>) -> Result<(), Malformed> {
        match self {
            Field::Fixed32(bits) => out.push(f32::from_bits(bits)),
            Field::Bytes(packed) => {
                let (floats, rest) = packed.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(Malformed);
                }
                out.extend(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    /// Adds one double, or those of a packed field.
    pub(crate) fn doubles(self, out: &mut Vec<f64>) -> Result<(), Malformed> {
        match self {
            Field::Fixed64(bits) => out.push(f64::from_bits(bits)),
            Field::Bytes(packed) => {
                let (doubles, rest) = packed.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(Malformed);
                }
                out.extend(doubles.iter().map(|bytes| f64::from_le_bytes(*bytes)));
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_in_order_and_what_is_cut_off_is_noticed() {
        let message = [
            0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x25, 0, 0, 0x80, 0x3f,
        ];
        let mut fields = Fields::of(&message);
        assert_eq!(fields.next(), Ok(Some((1, Field::Varint(150)))));
        assert_eq!(fields.next(), Ok(Some((2, Field::Bytes(b"hi")))));
        let (number, one) = fields.next().unwrap().unwrap();
        assert_eq!((number, one.float()), (4, Ok(1.0)));
        assert_eq!(fields.next(), Ok(None));
        for length in [1, 2, 4, 5, 6, 8, 11] {
            let mut fields = Fields::of(&message[..length]);
            let ended = std::iter::from_fn(|| fields.next().transpose()).last();
            assert_eq!(ended, Some(Err(Malformed)), "{length} bytes");
        }
    }
}
