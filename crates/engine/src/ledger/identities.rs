//! The identities of a layer: one behind the other as far as they come in the order of their keys,
//! the others by hash.
//!
//! Events of a file or a producer mostly come in the order of their times and ids. Those that do
//! need no place among all others, and are written in the order in which they stand.

use rustc_hash::FxHashMap;

use super::{Identity, IdentityKey};

/// Identities of a piece.
const PIECE: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Identities {
    /// Ascending, within each piece and from piece to piece; none is empty.
    pieces: Vec<Vec<(IdentityKey, Identity)>>,
    /// Those that came behind a greater one.
    others: FxHashMap<IdentityKey, Identity>,
}

impl Identities {
    pub(super) fn get(&self, key: &[u8]) -> Option<&Identity> {
        match self.place(key) {
            Some((piece, at)) => Some(&self.pieces[piece][at].1),
            None => self.others.get(key),
        }
    }

    pub(super) fn set(&mut self, key: IdentityKey, identity: Identity) {
        if self.is_behind_all(&key) {
            if self.pieces.last().is_none_or(|last| last.len() == PIECE) {
                // The first may stay the only one, with few in it.
                let room = if self.pieces.is_empty() { 0 } else { PIECE };
                self.pieces.push(Vec::with_capacity(room));
            }
            if let Some(last) = self.pieces.last_mut() {
                last.push((key, identity));
            }
        } else if let Some((piece, at)) = self.place(&key) {
            self.pieces[piece][at].1 = identity;
        } else {
            self.others.insert(key, identity);
        }
    }

    /// As many come again, in no more order: a map that grows moves everything, while reads wait.
    pub(super) fn with_room_of(before: &Identities) -> Self {
        let mut others = FxHashMap::default();
        others.reserve(before.others.len());
        Identities {
            pieces: Vec::new(),
            others,
        }
    }

    /// All of them, in the order of their keys.
    pub(super) fn in_order(&self) -> Vec<(&IdentityKey, &Identity)> {
        let ascending = self.pieces.iter().flatten();
        let mut all: Vec<_> = ascending.map(|(key, identity)| (key, identity)).collect();
        if !self.others.is_empty() {
            all.extend(&self.others);
            all.sort_by(|a, b| a.0.cmp(b.0));
        }
        all
    }

    /// Whether a key is greater than all that stand one behind the other.
    fn is_behind_all(&self, key: &[u8]) -> bool {
        let last = self.pieces.last().and_then(|piece| piece.last());
        last.is_none_or(|(last, _)| **last < *key)
    }

    /// Where a key stands, if it is not among the others.
    fn place(&self, key: &[u8]) -> Option<(usize, usize)> {
        if self.is_behind_all(key) {
            return None;
        }
        let begins = |piece: &Vec<(IdentityKey, Identity)>| *piece[0].0 <= *key;
        let piece = self.pieces.partition_point(begins).checked_sub(1)?;
        let at = self.pieces[piece].binary_search_by(|(known, _)| (**known).cmp(key));
        Some((piece, at.ok()?))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::tests::home;
    use super::*;

    fn entry(identity: &Identity) -> u64 {
        match identity {
            Identity::Single(home) => home.entry,
            Identity::Group(_) => panic!("nothing is contested here"),
        }
    }

    proptest! {
        /// Runs of ascending keys, longer than a piece, that begin anywhere.
        #[test]
        fn they_are_a_map(runs in prop::collection::vec((0u32..3_000, 0u32..1_500), 1..6)) {
            let mut identities = Identities::default();
            let mut model = BTreeMap::new();
            let keys = runs.into_iter().flat_map(|(first, length)| first..first + length);
            for (number, key) in (0u64..).zip(keys) {
                let key = key.to_be_bytes();
                identities.set(IdentityKey::from(&key[..]), home(number));
                model.insert(key, number);
            }
            for key in 0u32..4_600 {
                let found = identities.get(&key.to_be_bytes()).map(entry);
                prop_assert_eq!(found, model.get(&key.to_be_bytes()).copied());
            }
            let all = identities.in_order();
            prop_assert_eq!(all.len(), model.len());
            for ((key, found), (want, number)) in all.into_iter().zip(&model) {
                prop_assert_eq!((&**key, entry(found)), (&want[..], *number));
            }
        }
    }
}
