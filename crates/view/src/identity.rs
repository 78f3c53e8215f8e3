//! Which of several payloads under one identity is the event.
//!
//! Duplicates, conflicts and corrections are all *versions* of one identity. Of the versions
//! that an evaluation knows, the one with the greatest revision holds; among those of one
//! revision the smaller payload bytes; among equal payloads the one seen first. If it is a
//! removal, there is no event. The answer depends on the set of known versions alone, never
//! on the order in which they arrived.

use std::cmp::Reverse;

use evenkeel_types::{Position, VisibleAt};

/// One payload under an identity.
#[derive(Clone, Debug)]
pub struct Version {
    /// 0 for what was recorded first; corrections count up.
    pub revision: u32,
    /// Whether this version says that the event never happened.
    pub removed: bool,
    /// [`crate::SourceProgram::payload`].
    pub payload: Box<[u8]>,
    /// Its place in the log.
    pub position: Position,
    /// When reads could see it.
    pub visible_at: VisibleAt,
    /// The holder's number for it.
    pub entry: u64,
}

/// The version that holds among the known ones; none if there are none. It may be a removal.
pub fn winner<'a>(known: impl IntoIterator<Item = &'a Version>) -> Option<&'a Version> {
    known.into_iter().min_by(|a, b| {
        (Reverse(a.revision), &a.payload, a.visible_at, a.position).cmp(&(
            Reverse(b.revision),
            &b.payload,
            b.visible_at,
            b.position,
        ))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(revision: u32, payload: &[u8], offset: u64) -> Version {
        Version {
            revision,
            removed: payload.is_empty(),
            payload: payload.into(),
            position: Position::new(0, offset),
            visible_at: VisibleAt(0),
            entry: offset,
        }
    }

    #[test]
    fn corrections_beat_what_they_correct_and_removals_beat_replacements() {
        let first = version(0, b"a", 0);
        let conflict = version(0, b"b", 1);
        let replaced = version(1, b"z", 2);
        let removed = version(1, b"", 3);
        assert_eq!(winner([&conflict, &first]).unwrap().entry, 0);
        assert_eq!(winner([&first, &replaced, &conflict]).unwrap().entry, 2);
        assert!(winner([&replaced, &removed, &first]).unwrap().removed);
        assert!(winner([]).is_none());
    }

    proptest! {
        #[test]
        fn the_winner_does_not_depend_on_arrival(
            versions in prop::collection::vec((0u32..3, prop::collection::vec(0u8..2, 0..2)), 1..6),
            seed in any::<u64>(),
        ) {
            let versions: Vec<Version> = versions
                .iter()
                .enumerate()
                .map(|(i, (r, p))| version(*r, p, i as u64))
                .collect();
            let mut shuffled: Vec<&Version> = versions.iter().collect();
            let length = shuffled.len();
            shuffled.rotate_left(seed as usize % length);
            if seed % 2 == 0 {
                shuffled.reverse();
            }
            prop_assert_eq!(
                winner(&versions).map(|v| v.entry),
                winner(shuffled).map(|v| v.entry)
            );
        }
    }
}
