//! The directory of a key: its sealed blocks in order.

use evenkeel_aggregate::Bounds;
use evenkeel_aggregate::history::StoredBlock;
use evenkeel_types::bytes::{ByteReader, MalformedBytes, put_varint};

const VERSION: u8 = 1;

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    /// The number of the next block: numbers are not given twice.
    pub(super) next_block: u64,
    pub(super) blocks: Vec<StoredBlock>,
}

impl Directory {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_varint(self.next_block, &mut out);
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
        if reader.byte("the version of a directory")? != VERSION {
            return Err(reader.malformed("a directory of version 1"));
        }
        let next_block = reader.varint("the next block")?;
        let count = reader.count("the blocks of a directory")?;
        let blocks = (0..count)
            .map(|_| {
                let block = reader.varint("a block's number")?;
                let length = reader.varint("a block's length")?;
                let length = usize::try_from(length)
                    .ok()
                    .filter(|&n| n > 0)
                    .ok_or_else(|| reader.malformed("a block's length"))?;
                Ok(StoredBlock {
                    block,
                    length,
                    bounds: Bounds::decode(&mut reader)?,
                })
            })
            .collect::<Result<_, MalformedBytes>>()?;
        reader.end("a directory")?;
        Ok(Directory { next_block, blocks })
    }
}
