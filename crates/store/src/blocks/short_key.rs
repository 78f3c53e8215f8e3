//! Keys in a map in memory.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

/// As many bytes stand in the map itself.
const SHORT_MAX: usize = 22;

/// A key: a short one is where the map has it, so that to find it is to have it.
#[derive(Clone, Debug)]
pub(super) enum ShortKey {
    Short { length: u8, bytes: [u8; SHORT_MAX] },
    Long(Box<[u8]>),
}

impl ShortKey {
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            ShortKey::Short { length, bytes } => &bytes[..usize::from(*length)],
            ShortKey::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for ShortKey {
    fn from(key: &[u8]) -> Self {
        let mut bytes = [0; SHORT_MAX];
        match bytes.get_mut(..key.len()) {
            Some(short) => {
                short.copy_from_slice(key);
                let length = key.len() as u8;
                ShortKey::Short { length, bytes }
            }
            None => ShortKey::Long(key.into()),
        }
    }
}

impl Borrow<[u8]> for ShortKey {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Hash for ShortKey {
    /// That of its bytes, by which it is looked for.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl PartialEq for ShortKey {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for ShortKey {}

#[cfg(test)]
mod tests {
    use rustc_hash::FxHashMap;

    use super::*;

    #[test]
    fn keys_of_all_lengths_are_found() {
        let key = |length: usize| vec![7u8; length];
        let lengths = [0, 1, SHORT_MAX - 1, SHORT_MAX, SHORT_MAX + 1, 5_000];
        let mut map: FxHashMap<ShortKey, usize> = FxHashMap::default();
        for length in lengths {
            map.insert(key(length).as_slice().into(), length);
        }
        for length in lengths {
            assert_eq!(map.get(key(length).as_slice()), Some(&length));
        }
        assert_eq!(map.len(), lengths.len());
        assert_eq!(map.get(key(2).as_slice()), None);
        assert_eq!(size_of::<ShortKey>(), 24);
    }
}
