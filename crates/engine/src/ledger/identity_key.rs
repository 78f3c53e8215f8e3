//! The row key of an identity: bytes, kept in place as long as they are few.
//!
//! A key is made once per event, looked for in two maps and kept in both. Most have a ledger, a time
//! and a number: a piece of memory of its own for each would cost more than what is done with it.
//!
//! Invariant: it is equal, ordered and hashed as its bytes are.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

/// So many bytes are kept in place: those of the origin of a file's row, too.
const SHORT_MAX: usize = 46;

/// See the module.
#[derive(Clone)]
pub(crate) enum IdentityKey {
    /// The first of these bytes.
    Short {
        length: u8,
        bytes: [u8; SHORT_MAX],
    },
    Long(Box<[u8]>),
}

impl IdentityKey {
    /// That of these bytes, one behind the other.
    pub(crate) fn joined<const N: usize>(parts: [&[u8]; N]) -> Self {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let Some(length) = u8::try_from(total).ok().filter(|_| total <= SHORT_MAX) else {
            return IdentityKey::Long(parts.concat().into());
        };
        let mut bytes = [0; SHORT_MAX];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        IdentityKey::Short { length, bytes }
    }
}

impl From<&[u8]> for IdentityKey {
    fn from(bytes: &[u8]) -> Self {
        Self::joined([bytes])
    }
}

impl Deref for IdentityKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            IdentityKey::Short { length, bytes } => &bytes[..usize::from(*length)],
            IdentityKey::Long(bytes) => bytes,
        }
    }
}

impl DerefMut for IdentityKey {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            IdentityKey::Short { length, bytes } => &mut bytes[..usize::from(*length)],
            IdentityKey::Long(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for IdentityKey {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for IdentityKey {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for IdentityKey {}

impl PartialOrd for IdentityKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IdentityKey {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for IdentityKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl std::fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::proptest;
    use rustc_hash::FxHashSet;

    use super::*;

    proptest! {
        #[test]
        fn it_is_its_bytes(
            all in vec(vec(any::<u8>(), 0..SHORT_MAX + 4), 1..20),
            cut in 0..SHORT_MAX,
        ) {
            let mut hashed: FxHashSet<IdentityKey> = FxHashSet::default();
            let mut ordered: BTreeSet<IdentityKey> = BTreeSet::new();
            for bytes in &all {
                let (a, b) = bytes.split_at(cut.min(bytes.len()));
                let key = IdentityKey::joined([a, b]);
                assert_eq!(*key, bytes[..]);
                assert_eq!(key, IdentityKey::from(&bytes[..]));
                hashed.insert(key.clone());
                ordered.insert(key);
            }
            let bytes: BTreeSet<&[u8]> = all.iter().map(Vec::as_slice).collect();
            assert_eq!(hashed.len(), bytes.len());
            assert!(bytes.iter().all(|bytes| hashed.contains(*bytes)));
            assert!(ordered.iter().map(|key| &**key).eq(bytes));
        }
    }

    #[test]
    fn what_usually_is_one_stays_in_place() {
        assert_eq!(size_of::<IdentityKey>(), SHORT_MAX + 2);
        let usual = IdentityKey::from(&[7; SHORT_MAX][..]);
        assert!(matches!(usual, IdentityKey::Short { .. }));
        assert!(matches!(
            IdentityKey::from(&[7; SHORT_MAX + 1][..]),
            IdentityKey::Long(_)
        ));
    }
}
