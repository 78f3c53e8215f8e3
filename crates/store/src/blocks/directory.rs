//! The directory of a key: what left the hot tier, and its sealed blocks in order, the older
//! ones below summary nodes.
//!
//! A summary node is a row of its own, written once: its nodes below it, with their bounds on
//! both axes and their summaries. Nodes are made of [`FAN_OUT`] neighbours of one level, so a
//! directory has few rows' worth of names however many blocks there are, and what is added at
//! the end changes no node. What changes further inside opens the nodes above it, and they
//! are made again.

use std::collections::VecDeque;
use std::sync::Arc;

use evenkeel_aggregate::Bounds;
use evenkeel_aggregate::history::{ColdPart, Stated, StoredNode, Summary, SummaryId};
use evenkeel_types::bytes::{ByteReader, MalformedBytes, put_varint};

use super::horizon::Horizon;
use super::states::{ids, push_rows, put_ids};
use crate::error::StoreError;

/// Neighbours of one level that a summary node is made of.
pub(super) const FAN_OUT: usize = 64;
/// Of before summaries; 2 is with a cold part. They are read, not written.
const VERSION_1: u8 = 1;
const VERSION_2: u8 = 2;
const VERSION: u8 = 3;
/// With a cold part. No other row of a key in its space begins with this byte.
const VERSION_WITH_COLD: u8 = 4;
/// No block begins with this byte.
const NODE_VERSION: u8 = 0x81;
/// About the bytes of an entry of a block whose directory does not say.
const ENTRY_BYTES: usize = 16;
/// Where the states of a name are.
const HERE: u8 = 0;
const ROW: u8 = 1;
/// More entries than a block ever has, as a power of two.
const BLOCK_LENGTH_BITS: u32 = 16;
/// More entries than ever leave of a key, as a power of two.
const COLD_LENGTH_BITS: u32 = 48;
/// More nodes than there ever are right below a node, as a power of two.
const FAN_OUT_BITS: u32 = 8;

/// Reads what is right below a node.
pub(super) type Below<'a> = &'a dyn Fn(&StoredNode) -> Result<Vec<StoredNode>, StoreError>;

#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    /// The number of the next block or node: numbers are not given twice.
    pub(super) next_number: u64,
    /// The entries before all blocks that are not stored any more.
    pub(super) cold: Option<ColdPart>,
    pub(super) nodes: Vec<StoredNode>,
    /// Of the states that were made of what it names, when it was written last.
    pub(super) ids: Arc<[SummaryId]>,
}

impl Directory {
    /// Lets the blocks go that are behind a horizon: they join the cold part. The numbers of
    /// their rows and of the others that are gone with them.
    ///
    /// The last block stays: what is newest of a key is asked for whatever its age. Where
    /// what leaves would end at the time that the next block begins with, less leaves, so
    /// that times alone tell what is cold.
    pub(super) fn let_go(
        &mut self,
        horizon: &Horizon,
        below: Below<'_>,
    ) -> Result<Vec<u64>, StoreError> {
        let is_old = |node: &StoredNode| horizon.is_behind(&node.bounds);
        if self
            .nodes
            .first()
            .is_none_or(|first| first.bounds.first_time >= horizon.before)
        {
            return Ok(Vec::new());
        }
        let mut gone = Vec::new();
        let mut ahead: VecDeque<StoredNode> = self.nodes.iter().cloned().collect();
        let mut old: Vec<StoredNode> = Vec::new();
        while let Some(node) = ahead.pop_front() {
            if is_old(&node) {
                old.push(node);
            } else if is_old(&first_block(&node, below)?) {
                push_rows(&node, &mut gone);
                below(&node)?
                    .into_iter()
                    .rev()
                    .for_each(|node| ahead.push_front(node));
            } else {
                ahead.push_front(node);
                break;
            }
        }
        let is_end = |last: &StoredNode, ahead: &VecDeque<StoredNode>| {
            ahead
                .front()
                .is_some_and(|next| last.bounds.last_time < next.bounds.first_time)
        };
        while let Some(last) = old.pop() {
            if is_end(&last, &ahead) {
                old.push(last);
                break;
            }
            if last.level > 0 {
                push_rows(&last, &mut gone);
                old.extend(below(&last)?);
            } else {
                ahead.push_front(last);
            }
        }
        if old.is_empty() {
            return Ok(Vec::new());
        }
        for node in old {
            push_all(&node, below, &mut gone)?;
            match &mut self.cold {
                None => {
                    self.cold = Some(ColdPart {
                        length: node.length,
                        bounds: node.bounds,
                    });
                }
                Some(cold) => {
                    cold.length += node.length;
                    cold.bounds.merge(&node.bounds);
                }
            }
        }
        self.nodes = ahead.into();
        Ok(gone)
    }

    /// Puts neighbours of one level below nodes, which `make` makes of them and of the rank
    /// that they begin with.
    pub(super) fn group(
        &mut self,
        fan_out: usize,
        make: &mut dyn FnMut(Vec<StoredNode>, usize) -> StoredNode,
    ) {
        let first_rank = self.cold.as_ref().map_or(0, |cold| cold.length);
        let mut level = 0;
        while self.nodes.iter().any(|node| node.level >= level) {
            let higher = |node: &StoredNode| node.level > level;
            // Behind these, what there is waits for more.
            let mut closed = self
                .nodes
                .iter()
                .rposition(higher)
                .map_or(0, |last| last + 1);
            let mut nodes = std::mem::take(&mut self.nodes).into_iter().peekable();
            let mut rank = first_rank;
            while nodes.peek().is_some() {
                let mut run = Vec::new();
                while let Some(node) = nodes.next_if(|node| node.level == level) {
                    run.push(node);
                }
                let count = run.len();
                let is_first = self.nodes.iter().all(|node| node.level < level);
                let (groups, grouped) = if closed == 0 {
                    (count / fan_out, count / fan_out * fan_out)
                } else if is_first && count < fan_out {
                    // What was before has left, and these will: no node is worth it.
                    (0, 0)
                } else {
                    (count.div_ceil(fan_out), count)
                };
                let mut rest = run.into_iter();
                for n in 0..groups {
                    let size = grouped * (n + 1) / groups - grouped * n / groups;
                    let node = make(rest.by_ref().take(size).collect(), rank);
                    rank += node.length;
                    self.nodes.push(node);
                }
                let other = nodes.next_if(|node| node.level != level);
                closed = closed.saturating_sub(count + usize::from(other.is_some()));
                for node in rest.chain(other) {
                    rank += node.length;
                    self.nodes.push(node);
                }
            }
            level += 1;
        }
    }

    /// Whether the value of a row of a key is a directory with a cold part.
    pub(super) fn has_cold(value: &[u8]) -> bool {
        matches!(value.first(), Some(&VERSION_2 | &VERSION_WITH_COLD))
    }

    /// Its bytes, with the summaries of some ids.
    pub(super) fn encode(&self, ids: &[SummaryId]) -> Vec<u8> {
        let mut out = vec![match self.cold {
            None => VERSION,
            Some(_) => VERSION_WITH_COLD,
        }];
        put_varint(self.next_number, &mut out);
        if let Some(cold) = &self.cold {
            put_varint(cold.length as u64, &mut out);
            cold.bounds.encode(&mut out);
        }
        put_nodes(&self.nodes, ids, &mut out);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, MalformedBytes> {
        let mut reader = ByteReader::new(bytes);
        let version = reader.byte("the version of a directory")?;
        if !(VERSION_1..=VERSION_WITH_COLD).contains(&version) {
            return Err(reader.malformed("a directory of version 1 to 4"));
        }
        let next_number = reader.varint("the next block")?;
        let cold = if version == VERSION_2 || version == VERSION_WITH_COLD {
            let length = reader.varint("the length of what left")?;
            Some(ColdPart {
                length: usize::try_from(length)
                    .ok()
                    .filter(|&length| length > 0 && length >> COLD_LENGTH_BITS == 0)
                    .ok_or_else(|| reader.malformed("the length of what left"))?,
                bounds: Bounds::decode(&mut reader)?,
            })
        } else {
            None
        };
        let (ids, nodes) = if version < VERSION {
            (Arc::default(), blocks_without_summaries(&mut reader)?)
        } else {
            nodes(&mut reader)?
        };
        reader.end("a directory")?;
        Ok(Directory {
            next_number,
            cold,
            nodes,
            ids,
        })
    }
}

/// The first block below a node, or the block itself.
fn first_block(node: &StoredNode, below: Below<'_>) -> Result<StoredNode, StoreError> {
    let mut first = node.clone();
    while first.level > 0 {
        first = below(&first)?.swap_remove(0);
    }
    Ok(first)
}

/// Adds the numbers of the rows of a node and of everything below it.
pub(super) fn push_all(
    node: &StoredNode,
    below: Below<'_>,
    numbers: &mut Vec<u64>,
) -> Result<(), StoreError> {
    push_rows(node, numbers);
    if node.level > 0 {
        for node in below(node)? {
            push_all(&node, below, numbers)?;
        }
    }
    Ok(())
}

/// A node above others, in order; they are at least one.
pub(super) fn above(number: u64, nodes: &[StoredNode], summary: Stated) -> StoredNode {
    let mut bounds = nodes[0].bounds.clone();
    nodes[1..]
        .iter()
        .for_each(|node| bounds.merge(&node.bounds));
    StoredNode {
        number,
        level: nodes[0].level + 1,
        length: nodes.iter().map(|node| node.length).sum(),
        bytes: nodes.iter().map(|node| node.bytes).sum(),
        bounds,
        summary,
    }
}

/// The bytes of the row of a summary node: what is right below it.
pub(super) fn encode_node(below: &[StoredNode], ids: &[SummaryId]) -> Vec<u8> {
    let mut out = vec![NODE_VERSION];
    put_nodes(below, ids, &mut out);
    out
}

/// What is right below a summary node of a level, of its row's bytes.
pub(super) fn decode_node(bytes: &[u8], level: u8) -> Result<Vec<StoredNode>, MalformedBytes> {
    let mut reader = ByteReader::new(bytes);
    if reader.byte("the version of a node")? != NODE_VERSION {
        return Err(reader.malformed("a summary node of version 1"));
    }
    let (_, below) = nodes(&mut reader)?;
    reader.end("a node")?;
    if below.is_empty() || below.iter().any(|node| node.level + 1 != level) {
        return Err(reader.malformed("nodes of the level below"));
    }
    Ok(below)
}

fn put_nodes(nodes: &[StoredNode], ids: &[SummaryId], out: &mut Vec<u8>) {
    put_ids(ids, out);
    put_varint(nodes.len() as u64, out);
    for node in nodes {
        put_varint(node.number, out);
        out.push(node.level);
        put_varint(node.length as u64, out);
        put_varint(node.bytes as u64, out);
        node.bounds.encode(out);
        match &node.summary {
            Stated::Here(summary) => {
                out.push(HERE);
                summary.encode(ids, out);
            }
            Stated::Row(number) => {
                out.push(ROW);
                put_varint(*number, out);
            }
        }
    }
}

/// The ids of states, and the names.
type Names = (Arc<[SummaryId]>, Vec<StoredNode>);

fn nodes(reader: &mut ByteReader<'_>) -> Result<Names, MalformedBytes> {
    let ids = ids(reader)?;
    let count = reader.count("the nodes of a directory")?;
    let nodes = (0..count)
        .map(|_| {
            let number = reader.varint("a node's number")?;
            let level = reader.byte("a node's level")?;
            let length = length(reader, level)?;
            let bytes = reader.varint("a node's bytes")?;
            Ok(StoredNode {
                number,
                level,
                length,
                bytes: usize::try_from(bytes)
                    .ok()
                    .filter(|&bytes| bytes >> COLD_LENGTH_BITS == 0)
                    .ok_or_else(|| reader.malformed("a node's bytes"))?,
                bounds: Bounds::decode(reader)?,
                summary: match reader.byte("where states are")? {
                    HERE => Stated::Here(Summary::decode(&ids, reader)?),
                    ROW => Stated::Row(reader.varint("the row of states")?),
                    _ => return Err(reader.malformed("where states are")),
                },
            })
        })
        .collect::<Result<_, _>>()?;
    Ok((ids, nodes))
}

/// What directories of versions 1 and 2 have.
fn blocks_without_summaries(
    reader: &mut ByteReader<'_>,
) -> Result<Vec<StoredNode>, MalformedBytes> {
    let count = reader.count("the blocks of a directory")?;
    (0..count)
        .map(|_| {
            let number = reader.varint("a block's number")?;
            let length = length(reader, 0)?;
            Ok(StoredNode {
                number,
                level: 0,
                length,
                bytes: length * ENTRY_BYTES,
                bounds: Bounds::decode(reader)?,
                summary: Stated::default(),
            })
        })
        .collect()
}

fn length(reader: &mut ByteReader<'_>, level: u8) -> Result<usize, MalformedBytes> {
    let length = reader.varint("a node's length")?;
    let bits = (BLOCK_LENGTH_BITS + FAN_OUT_BITS * u32::from(level)).min(COLD_LENGTH_BITS);
    usize::try_from(length)
        .ok()
        .filter(|&length| length > 0 && length < 1 << bits)
        .ok_or_else(|| reader.malformed("the length of a node"))
}
