//! Equal strings of a file as one allocation: columns of names and codes repeat themselves.

use std::hash::Hasher;
use std::sync::Arc;

use rustc_hash::FxHasher;

/// Slots of the table.
const SLOTS: usize = 4_096;
/// Longer strings rarely repeat and cost more to compare than to keep.
const STRING_BYTES_MAX: usize = 64;

/// A small direct-mapped table of the strings seen last. Which strings share an allocation
/// is no one's business: strings compare by their bytes.
#[derive(Debug)]
pub(crate) struct Strings {
    slots: Vec<Option<Arc<str>>>,
}

impl Strings {
    pub(crate) fn new() -> Self {
        Strings {
            slots: vec![None; SLOTS],
        }
    }

    /// For a few strings that need not share.
    pub(crate) fn small() -> Self {
        Strings {
            slots: vec![None; 1],
        }
    }

    pub(crate) fn get(&mut self, text: &str) -> Arc<str> {
        if text.len() > STRING_BYTES_MAX {
            return Arc::from(text);
        }
        let mut hasher = FxHasher::default();
        hasher.write(text.as_bytes());
        let length = self.slots.len();
        // The upper bits of this hash are the good ones.
        let slot = &mut self.slots[(hasher.finish() >> 52) as usize % length];
        match slot {
            Some(known) if known.as_ref() == text => Arc::clone(known),
            _ => Arc::clone(slot.insert(Arc::from(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_share_and_others_do_not() {
        let mut strings = Strings::new();
        let first = strings.get("SEA");
        assert!(Arc::ptr_eq(&first, &strings.get("SEA")));
        for i in 0..10_000 {
            let text = format!("N{i}");
            assert_eq!(strings.get(&text).as_ref(), text);
        }
        let long = "x".repeat(100);
        assert_eq!(strings.get(&long).as_ref(), long);
    }
}
