//! What a power cut leaves on a disk: everything up to the last flush that was answered, and
//! of what was written after it whatever chance would have it.

use crate::block_log::Record;
use crate::pages::Pages;
use crate::ticks::mix;

/// What a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// What became of the writes that were not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unflushed {
    /// All are there.
    Kept,
    /// None is there.
    Dropped,
    /// Each is there or not.
    Mixed,
    /// Each sector is there or not.
    Torn,
}

/// A cut: before this record, with this fate of what was not flushed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) before: usize,
    pub(crate) unflushed: Unflushed,
    seed: u64,
}

/// Cuts between two places of a recording, ascending: one half where a flush is due, the
/// others anywhere.
pub(crate) fn cuts(records: &[Record], first: usize, count: u64, seed: u64) -> Vec<Cut> {
    let flushes: Vec<usize> = (first..records.len())
        .filter(|&at| matches!(records[at], Record::Flush))
        .collect();
    let mut cuts: Vec<Cut> = (0..count)
        .map(|number| {
            let random = mix(seed.wrapping_mul(1_000_003) + number);
            let before = match random % 2 {
                0 if !flushes.is_empty() => flushes[(random >> 8) as usize % flushes.len()],
                _ => first + (random >> 8) as usize % (records.len() - first + 1),
            };
            let unflushed = match (random >> 2) % 8 {
                0 => Unflushed::Kept,
                1 | 2 => Unflushed::Dropped,
                3 | 4 => Unflushed::Mixed,
                _ => Unflushed::Torn,
            };
            Cut {
                before,
                unflushed,
                seed: random,
            }
        })
        .collect();
    cuts.sort_by_key(|cut| cut.before);
    cuts
}

/// The disk after cuts that come in ascending order.
#[derive(Default)]
pub(crate) struct Images {
    /// What the records up to `flushed` left.
    durable: Pages,
    flushed: usize,
}

impl Images {
    pub(crate) fn after(&mut self, records: &[Record], cut: Cut) -> Pages {
        let flush = |record: &Record| matches!(record, Record::Flush);
        let flushed = records[..cut.before].iter().rposition(flush).unwrap_or(0);
        for record in &records[self.flushed.min(flushed)..flushed] {
            if let Record::Write { offset, bytes } = record {
                self.durable.write(*offset, bytes);
            }
        }
        self.flushed = self.flushed.max(flushed);
        let mut pages = self.durable.clone();
        let mut random = cut.seed;
        let mut heads = || {
            random = mix(random.wrapping_add(0x9e37_79b9_7f4a_7c15));
            random & 1 == 0
        };
        for record in &records[flushed..cut.before] {
            let Record::Write { offset, bytes } = record else {
                continue;
            };
            match cut.unflushed {
                Unflushed::Kept => pages.write(*offset, bytes),
                Unflushed::Dropped => {}
                Unflushed::Mixed => {
                    if heads() {
                        pages.write(*offset, bytes);
                    }
                }
                Unflushed::Torn => {
                    for (number, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if heads() {
                            pages.write(offset + (number * SECTOR_BYTES) as u64, sector);
                        }
                    }
                }
            }
        }
        pages
    }
}
