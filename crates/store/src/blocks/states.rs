//! Where the states of blocks and nodes stand.
//!
//! A node's row is written once, and has the states of what is right below it. A directory is
//! written at every seal, so it has few: as much as [`HERE_MAX`] bytes of them; the others
//! have a row each, until what they are of comes below a node.

use std::sync::Arc;

use evenkeel_aggregate::history::{Stated, StoredNode, Summary, SummaryId};
use evenkeel_types::bytes::{ByteReader, MalformedBytes, put_varint};

use super::directory::Directory;
use super::key;
use crate::error::StoreError;
use crate::kv::{Batch, Kv, Space};

/// Bytes of states that stand in a directory.
const HERE_MAX: usize = 4096;
/// Neither a block nor a node begins with this byte.
const VERSION: u8 = 0x82;

impl Directory {
    /// Gives states that are too many for this a row each.
    pub(super) fn settle(&mut self, prefix: &[u8], batch: &mut Batch) {
        let mut left = HERE_MAX;
        for node in &mut self.nodes {
            let Stated::Here(summary) = &node.summary else {
                continue;
            };
            if summary.weight() <= left {
                left -= summary.weight();
                continue;
            }
            let row = key::block(prefix, self.next_number);
            batch.put(Space::Blocks, row, encode(summary));
            node.summary = Stated::Row(self.next_number);
            self.next_number += 1;
        }
    }
}

/// The states of a node of a key, wherever they stand.
pub(super) fn states_of(
    kv: &dyn Kv,
    prefix: &[u8],
    node: &StoredNode,
) -> Result<Summary, StoreError> {
    let number = match &node.summary {
        Stated::Here(summary) => return Ok(summary.clone()),
        Stated::Row(number) => *number,
    };
    let row = key::block(prefix, number);
    let bytes = kv
        .get(Space::Blocks, &row)?
        .ok_or_else(|| StoreError::damaged(Space::Blocks, &row, "it is missing"))?;
    decode(&bytes).map_err(|e| StoreError::malformed(Space::Blocks, &row, e))
}

/// Adds the numbers of the rows that a name of a block or node stands for.
pub(super) fn push_rows(node: &StoredNode, numbers: &mut Vec<u64>) {
    numbers.push(node.number);
    if let Stated::Row(number) = node.summary {
        numbers.push(number);
    }
}

fn encode(summary: &Summary) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_ids(summary.ids(), &mut out);
    summary.encode(summary.ids(), &mut out);
    out
}

/// The states of a row of states.
pub(super) fn decode(bytes: &[u8]) -> Result<Summary, MalformedBytes> {
    let mut reader = ByteReader::new(bytes);
    if reader.byte("the version of states")? != VERSION {
        return Err(reader.malformed("states of version 1"));
    }
    let ids = ids(&mut reader)?;
    let summary = Summary::decode(&ids, &mut reader)?;
    reader.end("states")?;
    Ok(summary)
}

pub(super) fn put_ids(ids: &[SummaryId], out: &mut Vec<u8>) {
    put_varint(ids.len() as u64, out);
    ids.iter().for_each(|id| out.extend(id.0));
}

pub(super) fn ids(reader: &mut ByteReader<'_>) -> Result<Arc<[SummaryId]>, MalformedBytes> {
    let count = reader.count("the ids of states")?;
    (0..count)
        .map(|_| Ok(SummaryId(reader.array("the id of a state")?)))
        .collect()
}
