//! The directory of a key: what left the hot tier, and its sealed blocks in order.

use evenkeel_aggregate::Bounds;
use evenkeel_aggregate::history::{ColdPart, StoredBlock};
use evenkeel_types::bytes::{ByteReader, MalformedBytes, put_varint};

const VERSION: u8 = 1;
/// With a cold part. No other row of a key begins with this byte.
const VERSION_WITH_COLD: u8 = 2;

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    /// The number of the next block: numbers are not given twice.
    pub(super) next_block: u64,
    /// The entries before all blocks that are not stored any more.
    pub(super) cold: Option<ColdPart>,
    pub(super) blocks: Vec<StoredBlock>,
}

impl Directory {
    /// Lets the blocks go that end before a time: they join the cold part. Which those are.
    ///
    /// The last block stays: what is newest of a key is asked for whatever its age. Where
    /// what leaves would end at the time that the next block begins with, less leaves, so
    /// that times alone tell what is cold.
    pub(super) fn let_go(&mut self, horizon: i64) -> Vec<u64> {
        let old = |block: &StoredBlock| block.bounds.last_time < horizon;
        let mut count = self.blocks.iter().take_while(|b| old(b)).count();
        count = count.min(self.blocks.len().saturating_sub(1));
        let ends_within_a_time =
            |n: usize| self.blocks[n - 1].bounds.last_time >= self.blocks[n].bounds.first_time;
        while count > 0 && ends_within_a_time(count) {
            count -= 1;
        }
        let mut gone = Vec::with_capacity(count);
        for block in self.blocks.drain(..count) {
            gone.push(block.block);
            match &mut self.cold {
                None => {
                    self.cold = Some(ColdPart {
                        length: block.length,
                        bounds: block.bounds,
                    });
                }
                Some(cold) => {
                    cold.length += block.length;
                    cold.bounds.merge(&block.bounds);
                }
            }
        }
        gone
    }

    /// Whether the value of a row of a key is a directory with a cold part.
    pub(super) fn has_cold(value: &[u8]) -> bool {
        value.first() == Some(&VERSION_WITH_COLD)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![match self.cold {
            None => VERSION,
            Some(_) => VERSION_WITH_COLD,
        }];
        put_varint(self.next_block, &mut out);
        if let Some(cold) = &self.cold {
            put_varint(cold.length as u64, &mut out);
            cold.bounds.encode(&mut out);
        }
        put_varint(self.blocks.len() as u64, &mut out);
        for stored in &self.blocks {
            put_varint(stored.block, &mut out);
            put_varint(stored.length as u64, &mut out);
            stored.bounds.encode(&mut out);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, MalformedBytes> {
        let mut reader = ByteReader::new(bytes);
        let version = reader.byte("the version of a directory")?;
        if version != VERSION && version != VERSION_WITH_COLD {
            return Err(reader.malformed("a directory of version 1 or 2"));
        }
        let next_block = reader.varint("the next block")?;
        let cold = if version == VERSION_WITH_COLD {
            Some(ColdPart {
                length: length(&mut reader, "the length of what left")?,
                bounds: Bounds::decode(&mut reader)?,
            })
        } else {
            None
        };
        let count = reader.count("the blocks of a directory")?;
        let blocks = (0..count)
            .map(|_| {
                Ok(StoredBlock {
                    block: reader.varint("a block's number")?,
                    length: length(&mut reader, "a block's length")?,
                    bounds: Bounds::decode(&mut reader)?,
                })
            })
            .collect::<Result<_, MalformedBytes>>()?;
        reader.end("a directory")?;
        Ok(Directory {
            next_block,
            cold,
            blocks,
        })
    }
}

fn length(reader: &mut ByteReader<'_>, what: &'static str) -> Result<usize, MalformedBytes> {
    let length = reader.varint(what)?;
    usize::try_from(length)
        .ok()
        .filter(|&n| n > 0)
        .ok_or_else(|| reader.malformed(what))
}
