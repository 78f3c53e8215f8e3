//! Sources of which it was found that events alone do not tell what is said of keys.
//!
//! A hint, never an answer: what is found at a cut is taken to hold wherever that cut is known, so that nobody
//! reads a source in vain twice. Invariant: what is answered does not depend on it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use evenkeel_types::{Cut, SourceId};

/// See the module. Of each source the cut at which it was found.
#[derive(Debug, Default)]
pub(crate) struct Unjudged {
    found: Mutex<BTreeMap<SourceId, Cut>>,
}

impl Unjudged {
    /// Whether it was found at this cut, or at one that it holds.
    pub(super) fn holds(&self, source: SourceId, cut: &Cut) -> bool {
        let found = self.found();
        let is_known = |found: &Cut| {
            let mut ends = found.iter().filter(|(id, ..)| *id == source);
            ends.all(|(id, partition, end)| end <= cut.end(id, partition))
        };
        found.get(&source).is_some_and(is_known)
    }

    /// It was found at this cut.
    pub(super) fn remember(&self, source: SourceId, cut: &Cut) {
        if !self.holds(source, cut) {
            self.found().insert(source, cut.clone());
        }
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<SourceId, Cut>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_types::{Offset, Partition};

    use super::*;

    #[test]
    fn what_was_found_holds_from_its_cut_on() {
        let at = |ends: &[(u32, u32, u64)]| {
            let mut cut = Cut::empty();
            for (source, partition, end) in ends {
                cut.set_end(SourceId(*source), Partition(*partition), Offset(*end));
            }
            cut
        };
        let unjudged = Unjudged::default();
        let [one, other] = [SourceId(1), SourceId(2)];
        assert!(!unjudged.holds(one, &at(&[(1, 0, 9)])));
        unjudged.remember(one, &at(&[(1, 0, 5), (1, 1, 7), (2, 0, 9)]));
        assert!(unjudged.holds(one, &at(&[(1, 0, 5), (1, 1, 7)])));
        assert!(unjudged.holds(one, &at(&[(1, 0, 6), (1, 1, 7), (1, 2, 1)])));
        assert!(!unjudged.holds(one, &at(&[(1, 0, 9), (1, 1, 6)])));
        assert!(!unjudged.holds(other, &at(&[(1, 0, 9), (1, 1, 9), (2, 0, 9)])));
        // An older cut says more.
        unjudged.remember(one, &at(&[(1, 0, 3)]));
        assert!(unjudged.holds(one, &at(&[(1, 0, 3)])));
        unjudged.remember(one, &at(&[(1, 0, 8), (1, 1, 8)]));
        assert!(unjudged.holds(one, &at(&[(1, 0, 3)])));
    }
}
