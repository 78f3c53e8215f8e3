//! A look at a Parquet footer before the decoder's: whether its lists can have as many
//! elements as they say.
//!
//! The decoder reserves memory for the elements that a list announces. A list of two billion
//! in a file of a kilobyte would end the process, which no `catch_unwind` sees. Every
//! element takes a byte at least, so a list longer than the rest of the footer is damage.
//! Format: Apache Thrift compact protocol, `THRIFT-110`; footer: Apache Parquet format 2.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes of a footer.
pub(crate) const FOOTER_BYTES_MAX: u64 = 256 << 20;
/// Structs and lists inside one another. Real footers need ten.
const DEPTH_MAX: usize = 32;

const MAGIC: &[u8; 4] = b"PAR1";
const TRAILER_BYTES: u64 = 8;

/// What is wrong with a footer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FooterError {
    #[error("the file cannot be read")]
    Read(#[source] io::Error),
    #[error("the file does not end like a Parquet file")]
    Magic,
    #[error("the file is encrypted")]
    Encrypted,
    #[error("the footer has {bytes} bytes, the file fewer or the limit is {FOOTER_BYTES_MAX}")]
    Length { bytes: u64 },
    #[error("the footer is cut off at its byte {at}")]
    Cut { at: usize },
    #[error("a list at byte {at} of the footer says that it has {elements} elements")]
    List { at: usize, elements: u64 },
    #[error("the footer is nested too deeply")]
    Depth,
    #[error("a type {code} at byte {at} of the footer does not exist")]
    Type { at: usize, code: u8 },
}

/// Reads the footer and checks its lists.
pub(crate) fn check(file: &mut File) -> Result<(), FooterError> {
    let length = file.seek(SeekFrom::End(0)).map_err(FooterError::Read)?;
    let Some(trailer_at) = length.checked_sub(TRAILER_BYTES) else {
        return Err(FooterError::Magic);
    };
    let mut trailer = [0; TRAILER_BYTES as usize];
    file.seek(SeekFrom::Start(trailer_at))
        .and_then(|_| file.read_exact(&mut trailer))
        .map_err(FooterError::Read)?;
    let [a, b, c, d, magic @ ..] = trailer;
    if &magic == b"PARE" {
        return Err(FooterError::Encrypted);
    }
    if &magic != MAGIC {
        return Err(FooterError::Magic);
    }
    let bytes = u64::from(u32::from_le_bytes([a, b, c, d]));
    let start = trailer_at
        .checked_sub(bytes)
        .filter(|_| bytes <= FOOTER_BYTES_MAX)
        .ok_or(FooterError::Length { bytes })?;
    let mut footer = Vec::new();
    file.seek(SeekFrom::Start(start))
        .and_then(|_| file.take(bytes).read_to_end(&mut footer))
        .map_err(FooterError::Read)?;
    check_bytes(&footer)
}

fn check_bytes(footer: &[u8]) -> Result<(), FooterError> {
    Walker {
        bytes: footer,
        at: 0,
    }
    .structure(0)
}

struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walker<'_> {
    fn byte(&mut self) -> Result<u8, FooterError> {
        let byte = *self
            .bytes
            .get(self.at)
            .ok_or(FooterError::Cut { at: self.at })?;
        self.at += 1;
        Ok(byte)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), FooterError> {
        let rest = self.bytes.len() - self.at;
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= rest => {
                self.at += bytes;
                Ok(())
            }
            _ => Err(FooterError::Cut { at: self.at }),
        }
    }

    fn varint(&mut self) -> Result<u64, FooterError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(value)
    }

    fn structure(&mut self, depth: usize) -> Result<(), FooterError> {
        loop {
            let header = self.byte()?;
            let code = header & 0x0f;
            if code == 0 {
                return Ok(());
            }
            // Without a delta the field's number follows.
            if header >> 4 == 0 {
                self.varint()?;
            }
            // A boolean field is its type.
            if code > 2 {
                self.value(code, depth)?;
            }
        }
    }

    fn value(&mut self, code: u8, depth: usize) -> Result<(), FooterError> {
        if depth > DEPTH_MAX {
            return Err(FooterError::Depth);
        }
        match code {
            // Booleans in a list and bytes.
            1..=3 => self.skip(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.varint()?;
                self.skip(length)
            }
            9 | 10 => {
                let at = self.at;
                let header = self.byte()?;
                let elements = match header >> 4 {
                    15 => self.varint()?,
                    few => u64::from(few),
                };
                if elements > (self.bytes.len() - self.at) as u64 {
                    return Err(FooterError::List { at, elements });
                }
                for _ in 0..elements {
                    self.value(header & 0x0f, depth + 1)?;
                }
                Ok(())
            }
            11 => {
                let at = self.at;
                let elements = self.varint()?;
                if elements == 0 {
                    return Ok(());
                }
                if elements > (self.bytes.len() - self.at) as u64 {
                    return Err(FooterError::List { at, elements });
                }
                let types = self.byte()?;
                for _ in 0..elements {
                    self.value(types >> 4, depth + 1)?;
                    self.value(types & 0x0f, depth + 1)?;
                }
                Ok(())
            }
            12 => self.structure(depth + 1),
            code => Err(FooterError::Type { at: self.at, code }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_that_cannot_be_are_damage() {
        // Field 4, a list of 2^31 structs.
        let hostile = [0x49, 0xfc, 0x80, 0x80, 0x80, 0x80, 0x08, 0x00];
        assert!(matches!(
            check_bytes(&hostile),
            Err(FooterError::List { at: 1, elements }) if elements == 1 << 31
        ));
        let empty_list = [0x49, 0x0c, 0x00];
        assert!(check_bytes(&empty_list).is_ok());
        assert!(matches!(check_bytes(&[0x1c; 100]), Err(FooterError::Depth)));
        assert!(matches!(check_bytes(&[]), Err(FooterError::Cut { at: 0 })));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = check_bytes(&bytes);
        }
    }
}
