//! What was not synced yet, and what a power cut leaves of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A power cut tears writes between sectors of this many bytes.
const SECTOR_BYTES: u64 = 512;

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Nothing.
    LoseUnsynced,
    /// Everything: the process died, the machine lives (kill -9).
    KeepUnsynced,
    /// Any part: whole operations or single sectors of writes, decided by the seed.
    Tear {
        /// Decides.
        seed: u64,
    },
}

#[derive(Clone, Debug)]
pub(super) enum NameOperation {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) current: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) pending: Vec<DataOperation>,
}

#[derive(Clone, Debug)]
pub(super) enum DataOperation {
    Write { offset: u64, bytes: Vec<u8> },
    Truncate(u64),
}

/// Decides what a power cut leaves.
pub(super) struct Dice {
    crash: Crash,
    state: u64,
}

impl Dice {
    pub(super) fn new(crash: Crash) -> Self {
        Dice {
            crash,
            state: match crash {
                Crash::Tear { seed } => seed,
                Crash::LoseUnsynced | Crash::KeepUnsynced => 0,
            },
        }
    }

    pub(super) fn keeps(&mut self) -> bool {
        match self.crash {
            Crash::LoseUnsynced => false,
            Crash::KeepUnsynced => true,
            Crash::Tear { .. } => split_mix(&mut self.state).is_multiple_of(2),
        }
    }

    /// Whether an operation is kept or lost as a whole, if it is not torn.
    pub(super) fn whole(&mut self) -> Option<bool> {
        match self.crash {
            Crash::LoseUnsynced => Some(false),
            Crash::KeepUnsynced => Some(true),
            Crash::Tear { .. } => match split_mix(&mut self.state) % 4 {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
        }
    }
}

impl DataOperation {
    /// Applies the operation in full.
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            DataOperation::Truncate(length) => resize(content, *length),
            DataOperation::Write { offset, bytes } => put(content, *offset, bytes),
        }
    }

    /// Applies what a power cut leaves of the operation.
    pub(super) fn survive(&self, dice: &mut Dice, content: &mut Vec<u8>) {
        match self {
            DataOperation::Truncate(length) => {
                if dice.keeps() {
                    resize(content, *length);
                }
            }
            DataOperation::Write { offset, bytes } => match dice.whole() {
                Some(true) => put(content, *offset, bytes),
                Some(false) => {}
                None => {
                    for (offset, part) in sectors(*offset, bytes) {
                        if dice.keeps() {
                            put(content, offset, part);
                        }
                    }
                }
            },
        }
    }
}

impl NameOperation {
    pub(super) fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameOperation::Create(path, id) => {
                names.insert(path.clone(), *id);
            }
            NameOperation::Rename(from, to) => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            }
            NameOperation::Remove(path) => {
                names.remove(path);
            }
        }
    }

    pub(super) fn directory(&self) -> Option<&Path> {
        match self {
            NameOperation::Create(path, _)
            | NameOperation::Rename(path, _)
            | NameOperation::Remove(path) => path.parent(),
        }
    }
}

/// The parts of a write that fall into one sector each.
fn sectors(offset: u64, bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let place = offset + at as u64;
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let room = usize::try_from(SECTOR_BYTES - place % SECTOR_BYTES).unwrap_or(usize::MAX);
        let part = &rest[..room.min(rest.len())];
        at += part.len();
        Some((place, part))
    })
}

/// The SplitMix64 generator (Steele, Lea, Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

pub(super) fn resize(content: &mut Vec<u8>, length: u64) {
    content.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
}

pub(super) fn put(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset + bytes.len() as u64;
    if (content.len() as u64) < end {
        resize(content, end);
    }
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    content[start..start + bytes.len()].copy_from_slice(bytes);
}
