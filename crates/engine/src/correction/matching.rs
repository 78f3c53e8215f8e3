//! What must be logged so that what holds becomes the truth. Pure.
//!
//! Invariant: after the changes the multiset of rows that hold is the truth's; applied to
//! that, there are none.

use std::collections::BTreeSet;

use evenkeel_types::Position;
use rustc_hash::{FxHashMap, FxHashSet};

/// What the log has of one identity of the period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Where its row is that holds, or the removal.
    pub(super) position: Position,
    /// [`Row::content`] of the row that holds; none of a removed one.
    pub(super) content: Option<u128>,
    /// [`Row::version`] of it.
    pub(super) version: Option<u128>,
    /// The greatest one.
    pub(super) revision: u32,
}

/// A row of the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Digest of its identity.
    pub(super) identity: u128,
    /// Digest of what it says: its time, whether it is a delete, its columns.
    pub(super) content: u128,
    /// Of a table without event id: digest of primary key and time.
    pub(super) version: Option<u128>,
    /// Its number among the rows of all files.
    pub(super) number: u64,
}

/// One thing to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// What holds there never happened.
    Remove { position: Position, revision: u32 },
    /// What holds there is this row of the truth.
    Replace {
        position: Position,
        revision: u32,
        row: Row,
    },
    /// A row of the truth is to hold; with a revision where its identity was removed.
    Add { row: Row, revision: Option<u32> },
}

/// The changes: removals in the order of the log, then those of rows in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) removals: Vec<Change>,
    pub(super) rows: Vec<Change>,
    pub(super) unchanged: u64,
}

/// Compares by identity: of sources with an event id. The rows' identities are distinct.
pub(super) fn by_identity(mut held: FxHashMap<u128, Known>, rows: &[Row]) -> Changes {
    let mut changes = Changes::default();
    for &row in rows {
        let known = held.remove(&row.identity);
        changes.settle(row, known);
    }
    changes.remove_all(held.into_values());
    changes
}

/// Compares by what rows say: of sources where an identity is where a row came from.
pub(super) fn by_content(mut held: FxHashMap<u128, Known>, rows: &[Row]) -> Changes {
    let mut changes = Changes::default();
    // Rows of a file that was logged before, and holds, are that.
    let own: FxHashSet<u128> = rows
        .iter()
        .filter(|row| held.get(&row.identity).is_some_and(|h| h.content.is_some()))
        .map(|row| row.identity)
        .collect();
    let (owners, rows): (Vec<Row>, Vec<Row>) =
        rows.iter().partition(|row| own.contains(&row.identity));
    for row in owners {
        let known = held.remove(&row.identity);
        changes.settle(row, known);
    }
    // The others, each as often as it occurs; of equal ones the earlier stay.
    let mut wanted: FxHashMap<u128, u64> = FxHashMap::default();
    for row in &rows {
        *wanted.entry(row.content).or_default() += 1;
    }
    let mut in_order: Vec<(u128, Known)> = Vec::new();
    let mut removed: FxHashMap<u128, Known> = FxHashMap::default();
    for (identity, known) in held {
        match known.content {
            Some(_) => in_order.push((identity, known)),
            None => {
                removed.insert(identity, known);
            }
        }
    }
    in_order.sort_unstable_by_key(|(_, known)| known.position);
    let mut left = Vec::new();
    for (_, known) in in_order {
        let count = known.content.and_then(|content| wanted.get_mut(&content));
        match count {
            Some(count) if *count > 0 => {
                *count -= 1;
                changes.unchanged += 1;
            }
            _ => left.push(known),
        }
    }
    // Of equal rows of the truth the first ones are there.
    let mut lacking: Vec<Row> = Vec::new();
    for row in rows.into_iter().rev() {
        if let Some(count) = wanted.get_mut(&row.content)
            && *count > 0
        {
            *count -= 1;
            lacking.push(row);
        }
    }
    lacking.reverse();
    changes.replace_versions(&mut left, &mut lacking);
    for row in lacking {
        let known = removed.remove(&row.identity);
        changes.settle(row, known);
    }
    changes.remove_all(left.into_iter());
    changes
}

impl Changes {
    /// What a row of the truth means for what is known of its identity.
    fn settle(&mut self, row: Row, known: Option<Known>) {
        match known {
            None => self.rows.push(Change::Add {
                row,
                revision: None,
            }),
            Some(Known {
                content: None,
                revision,
                ..
            }) => self.rows.push(Change::Add {
                row,
                revision: Some(revision + 1),
            }),
            Some(held) if held.content == Some(row.content) => self.unchanged += 1,
            Some(held) => self.rows.push(Change::Replace {
                position: held.position,
                revision: held.revision + 1,
                row,
            }),
        }
    }

    /// Pairs what is left over on both sides by table row and time.
    fn replace_versions(&mut self, held: &mut Vec<Known>, rows: &mut Vec<Row>) {
        let mut by_version: FxHashMap<u128, Vec<usize>> = FxHashMap::default();
        for (index, known) in held.iter().enumerate().rev() {
            if let Some(version) = known.version {
                by_version.entry(version).or_default().push(index);
            }
        }
        let mut taken = BTreeSet::new();
        rows.retain(|row| {
            let found = row.version.and_then(|v| by_version.get_mut(&v)?.pop());
            let Some(index) = found else {
                return true;
            };
            taken.insert(index);
            self.settle(*row, Some(held[index].clone()));
            false
        });
        let mut index = 0;
        held.retain(|_| {
            index += 1;
            !taken.contains(&(index - 1))
        });
        self.rows.sort_unstable_by_key(Change::row_number);
    }

    /// What is left is not in the truth.
    fn remove_all(&mut self, held: impl Iterator<Item = Known>) {
        let live = held.filter(|known| known.content.is_some());
        self.removals.extend(live.map(|known| Change::Remove {
            position: known.position,
            revision: known.revision + 1,
        }));
        self.removals.sort_unstable_by_key(Change::position);
        self.rows.sort_unstable_by_key(Change::row_number);
    }
}

impl Change {
    /// The truth's row that it is about.
    pub(super) fn row(&self) -> Option<Row> {
        match self {
            Change::Remove { .. } => None,
            Change::Replace { row, .. } | Change::Add { row, .. } => Some(*row),
        }
    }

    fn row_number(&self) -> Option<u64> {
        self.row().map(|row| row.number)
    }

    /// Where what it changes is.
    pub(super) fn position(&self) -> Option<Position> {
        match self {
            Change::Remove { position, .. } | Change::Replace { position, .. } => Some(*position),
            Change::Add { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(number: u64, identity: u128, content: u128) -> Row {
        Row {
            identity,
            content,
            version: None,
            number,
        }
    }

    /// What holds after the changes, by identity, in a store that has only numbers.
    fn applied(
        mut held: FxHashMap<u128, Known>,
        changes: &Changes,
    ) -> Result<FxHashMap<u128, Known>, String> {
        let mut next = 1_000;
        for change in changes.removals.iter().chain(&changes.rows) {
            next += 1;
            let (identity, content, revision) = match *change {
                Change::Add { row, revision } => {
                    (row.identity, Some(row.content), revision.unwrap_or(0))
                }
                Change::Remove { position, revision }
                | Change::Replace {
                    position, revision, ..
                } => {
                    let at = held.iter().find(|(_, h)| h.position == position);
                    let (identity, _) = at.ok_or("nothing is there")?;
                    (*identity, change.row().map(|r| r.content), revision)
                }
            };
            if held.get(&identity).is_some_and(|h| h.revision >= revision) {
                return Err(format!("{change:?} does not hold"));
            }
            let new = Known {
                position: Position::new(0, next),
                content,
                version: None,
                revision,
            };
            held.insert(identity, new);
        }
        Ok(held)
    }

    fn contents(held: &FxHashMap<u128, Known>) -> Vec<u128> {
        let mut contents: Vec<u128> = held.values().filter_map(|h| h.content).collect();
        contents.sort_unstable();
        contents
    }

    fn holdings() -> impl Strategy<Value = FxHashMap<u128, Known>> {
        let one = (prop::option::weighted(0.7, 0u128..4), 0u32..3);
        prop::collection::hash_map(0u128..12, one, 0..10).prop_map(|held| {
            (0u64..)
                .zip(held)
                .map(|(place, (identity, (content, revision)))| {
                    let held = Known {
                        position: Position::new(0, place),
                        content,
                        version: None,
                        revision,
                    };
                    (identity, held)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn afterwards_the_truth_holds(
            held in holdings(),
            truth in prop::collection::vec((0u128..16, 0u128..4), 0..10),
            has_ids in any::<bool>(),
        ) {
            let mut seen = BTreeSet::new();
            let rows: Vec<Row> = (0..)
                .zip(truth)
                .filter(|(_, (identity, _))| seen.insert(*identity))
                .map(|(number, (identity, content))| row(number, identity, content))
                .collect();
            let find = if has_ids { by_identity } else { by_content };
            let changes = find(held.clone(), &rows);
            let live = held.values().filter(|h| h.content.is_some()).count() as u64;
            let after = applied(held, &changes).map_err(TestCaseError::fail)?;
            let mut wanted: Vec<u128> = rows.iter().map(|r| r.content).collect();
            wanted.sort_unstable();
            prop_assert_eq!(contents(&after), wanted);
            let replaced = changes.rows.iter().filter(|c| matches!(c, Change::Replace { .. }));
            prop_assert_eq!(
                live,
                changes.unchanged + changes.removals.len() as u64 + replaced.count() as u64
            );
            let again = find(after, &rows);
            prop_assert!(again.removals.is_empty() && again.rows.is_empty());
        }
    }
}
