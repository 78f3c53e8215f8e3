//! Whether the log still has what left the hot tier: every cold part against its events.

use std::collections::BTreeMap;

use evenkeel_aggregate::history::ColdPart;
use evenkeel_aggregate::{Bounds, Entry};
use evenkeel_types::Position;

use super::examine::Finding;
use super::key::{self, RowPrefix};
use super::reheat::{ColdEvents, Collect, is_within};
use crate::error::{RowPlace, StoreError};
use crate::kv::Space;

/// A cold part that an examination saw.
#[derive(Clone, Debug)]
pub(crate) struct SeenPart {
    pub(crate) part: ColdPart,
    /// The entity key's encoding, if it can be told.
    pub(crate) key: Option<Vec<u8>>,
}

/// The cold parts of one index, by row prefix.
pub(crate) type SeenParts = BTreeMap<RowPrefix, SeenPart>;

/// Reads the events of the cold parts of index `number`, which is at `position` for who has
/// the events, and says which parts they are not.
pub(crate) fn check(
    parts: &SeenParts,
    number: u32,
    position: usize,
    events: &dyn ColdEvents,
) -> Result<Vec<Finding>, StoreError> {
    let mut all: Option<Bounds> = None;
    for seen in parts.values() {
        match &mut all {
            Some(all) => all.merge(&seen.part.bounds),
            None => all = Some(seen.part.bounds.clone()),
        }
    }
    let Some(all) = all else {
        return Ok(Vec::new());
    };
    let mut count = Count {
        number,
        parts,
        prefix: RowPrefix::default(),
        found: BTreeMap::new(),
    };
    events.read(position, &all, &mut count)?;
    let Count { found, .. } = count;
    let findings = parts.iter().filter_map(|(prefix, seen)| {
        let (length, bounds) = found.get(prefix).cloned().unwrap_or((0, None));
        (!seen.part.fits(length, bounds.as_ref())).then(|| Finding {
            index: Some(number),
            key: seen.key.clone(),
            place: RowPlace {
                space: Space::Runs,
                key: key::directory(prefix),
            },
            reason: format!(
                "{} events of it left the hot tier, and the log has {length} or others",
                seen.part.length
            ),
        })
    });
    Ok(findings.collect())
}

/// Counts events by key.
struct Count<'a> {
    number: u32,
    parts: &'a SeenParts,
    /// Of the event that was wanted last.
    prefix: RowPrefix,
    found: BTreeMap<RowPrefix, (usize, Option<Bounds>)>,
}

impl Collect for Count<'_> {
    fn wants(&mut self, key: &[u8], time: i64, position: Position) -> bool {
        self.prefix = key::row_prefix(self.number, key);
        let seen = self.parts.get(&self.prefix);
        seen.is_some_and(|seen| is_within(&seen.part.bounds, time, position))
    }

    fn take(&mut self, _: &[u8], entry: &Entry<'_>) {
        let (length, bounds) = self.found.entry(self.prefix.clone()).or_default();
        *length += 1;
        let Entry {
            time,
            visible_at,
            position,
            contested,
            ..
        } = *entry;
        match bounds {
            Some(bounds) => bounds.extend(time, visible_at, position, contested),
            None => *bounds = Some(Bounds::of(time, visible_at, position, contested)),
        }
    }
}
