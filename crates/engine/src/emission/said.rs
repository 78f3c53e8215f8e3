//! What is newest under the identities that a commit has to do with.
//!
//! Most come in the order of their times and ids: those stand one behind the other, and what is behind all of
//! them is looked for nowhere. Invariant: it is a map.

use rustc_hash::FxHashMap;

use super::settled::Latest;
use crate::ledger::IdentityKey;

/// What is newest under an identity.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// The emission of the commit with this number.
    Here(usize),
    /// What was emitted before.
    Before(Latest),
}

/// See the module.
#[derive(Default)]
pub(super) struct SaidByKey {
    /// In the order of the keys; none if it was forgotten.
    ascending: Vec<(IdentityKey, Option<Said>)>,
    /// Those that came behind a greater one.
    others: FxHashMap<IdentityKey, Said>,
}

impl SaidByKey {
    pub(super) fn get(&self, key: &IdentityKey) -> Option<&Said> {
        if self.is_behind_all(key) {
            return None;
        }
        match self.place(key) {
            Ok(place) => self.ascending[place].1.as_ref(),
            Err(_) => self.others.get(key),
        }
    }

    pub(super) fn insert(&mut self, key: IdentityKey, said: Said) {
        if self.is_behind_all(&key) {
            self.ascending.push((key, Some(said)));
            return;
        }
        match self.place(&key) {
            Ok(place) => self.ascending[place].1 = Some(said),
            Err(_) => drop(self.others.insert(key, said)),
        }
    }

    pub(super) fn remove(&mut self, key: &IdentityKey) {
        match self.place(key) {
            Ok(place) => self.ascending[place].1 = None,
            Err(_) => drop(self.others.remove(key)),
        }
    }

    fn is_behind_all(&self, key: &IdentityKey) -> bool {
        self.ascending.last().is_none_or(|(last, _)| last < key)
    }

    fn place(&self, key: &IdentityKey) -> Result<usize, usize> {
        self.ascending.binary_search_by(|(known, _)| known.cmp(key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((0u8..30, 0u8..4, any::<bool>()), 0..60)) {
            let mut said = SaidByKey::default();
            let mut model: BTreeMap<u8, usize> = BTreeMap::new();
            let mut greatest = 0;
            for (number, (key, what, is_next)) in steps.into_iter().enumerate() {
                let key = if is_next { greatest + key % 3 } else { key };
                greatest = greatest.max(key);
                let its_key = IdentityKey::from(&[key][..]);
                match what {
                    0 => {
                        said.remove(&its_key);
                        model.remove(&key);
                    }
                    _ => {
                        said.insert(its_key, Said::Here(number));
                        model.insert(key, number);
                    }
                }
                for key in 0..=greatest.saturating_add(1) {
                    let found = match said.get(&IdentityKey::from(&[key][..])) {
                        Some(Said::Here(number)) => Some(*number),
                        other => other.map(|_| usize::MAX),
                    };
                    prop_assert_eq!(found, model.get(&key).copied());
                }
            }
        }
    }
}
