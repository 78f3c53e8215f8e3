//! The row that says what a checkpoint stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use evenkeel_store::{Batch, Kv, Snapshot, Space, StoreError};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Cut, EventTime, SourceId};
use evenkeel_view::{IndexPlan, Plan};
use serde::{Deserialize, Serialize};

use crate::ledger::LedgerId;
use crate::watermarks::Marks;

/// The version of the hot tier's format that is written.
const FORMAT: u64 = 5;
const ROW: &[u8] = b"state";

/// What a hot tier says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StoreState {
    format: u64,
    /// The number of the checkpoint.
    pub(crate) checkpoint: u64,
    /// Everything up to here is in the store.
    pub(crate) applied: Cut,
    /// The number of the log's first record that is not.
    pub(crate) next_sequence: u64,
    /// The number of each index, by the digest of what it holds.
    indexes: BTreeMap<String, u32>,
    /// Numbers are never given twice.
    next_index: u32,
    /// How long before the newest time events stay at hand, microseconds, by digest of the
    /// indexes from which any may have left: the least that it was.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    spans: BTreeMap<String, i64>,
    /// Numbers of indexes that are gone and may still have rows: the next start removes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) leaving: Vec<u32>,
    /// How many ledgers were built beside others: so many of their numbers are given.
    #[serde(default, skip_serializing_if = "is_zero")]
    built_ledgers: u32,
    /// Ledgers that are gone and may still have rows: the next start removes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) leaving_ledgers: Vec<LedgerId>,
    pub(crate) sources: BTreeMap<SourceId, SourceCounts>,
    /// Of derived streams the first record of the log for which nothing was emitted yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) emitted: BTreeMap<SourceId, u64>,
    /// How far the times of events had come at records before `next_sequence`.
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub(crate) marks: Marks,
    /// Indexes that are being built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) begun: Option<BegunIndexes>,
}

/// Indexes that are being built, as far as they are: nothing names them yet, and who builds them goes on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct BegunIndexes {
    /// Their numbers, by digest.
    pub(crate) indexes: BTreeMap<String, u32>,
    /// What they have.
    pub(crate) applied: Cut,
    /// So many events of each source.
    pub(crate) entries: BTreeMap<SourceId, u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What a checkpoint knows of a source.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SourceCounts {
    /// [`identity_digest`].
    pub(crate) identity: String,
    /// Events applied.
    pub(crate) entries: u64,
    /// The greatest event time applied.
    pub(crate) greatest_time: Option<EventTime>,
    /// The least and the greatest time in the keys of identities.
    pub(crate) times: Option<(i64, i64)>,
    /// Its ledger, if that was built beside another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ledger: Option<LedgerId>,
}

impl SourceCounts {
    pub(crate) fn times(&self) -> Option<RangeInclusive<i64>> {
        self.times.map(|(first, last)| first..=last)
    }
}

impl StoreState {
    /// The state of a store; the default for an empty one.
    pub(crate) fn read(kv: &dyn Kv) -> Result<Self, StoreError> {
        Self::read_from(kv.snapshot().as_ref())
    }

    /// The state of a store at one moment.
    pub(crate) fn read_from(snapshot: &dyn Snapshot) -> Result<Self, StoreError> {
        let Some(bytes) = snapshot.get(Space::Meta, ROW)? else {
            return Ok(StoreState::default());
        };
        let state: StoreState =
            serde_json::from_slice(&bytes).map_err(|e| StoreError::Damaged {
                place: evenkeel_store::RowPlace {
                    space: Space::Meta,
                    key: ROW.to_vec(),
                },
                reason: e.to_string(),
            })?;
        if state.format > FORMAT {
            return Err(StoreError::Version {
                found: state.format,
                known: FORMAT,
            });
        }
        Ok(state)
    }

    /// Sets the state in a batch.
    pub(crate) fn put(&self, batch: &mut Batch) {
        let state = StoreState {
            format: FORMAT,
            ..self.clone()
        };
        let bytes = serde_json::to_vec(&state).expect("plain data has a JSON form");
        batch.put(Space::Meta, ROW.to_vec(), bytes);
    }

    pub(crate) fn source(&self, id: SourceId) -> SourceCounts {
        self.sources.get(&id).cloned().unwrap_or_default()
    }

    /// Where a source's identities are.
    pub(crate) fn ledger(&self, id: SourceId) -> LedgerId {
        let known = self.sources.get(&id).and_then(|source| source.ledger);
        known.unwrap_or(LedgerId::first_of(id))
    }

    /// The first of the numbers of ledgers that are not given, as many as there are sources.
    pub(crate) fn next_ledgers(&self, sources: usize) -> impl Iterator<Item = LedgerId> + use<> {
        (self.built_ledgers..)
            .take(sources)
            .map(LedgerId::built_beside)
    }

    /// The number of an index.
    pub(crate) fn index(&self, digest: &str) -> Option<u32> {
        self.indexes.get(digest).copied()
    }

    /// Gives a number to every index of a plan that has none; which those are.
    pub(crate) fn number_indexes(&mut self, plan: &Plan) -> Vec<usize> {
        let mut new = Vec::new();
        for (at, index) in plan.indexes().iter().enumerate() {
            let digest = index_digest(index);
            if self.indexes.contains_key(&digest) {
                continue;
            }
            self.indexes.insert(digest, self.next_index);
            self.next_index += 1;
            new.push(at);
        }
        new
    }

    /// Takes what is begun of the indexes that a plan needs and that there are not; which those are. None if
    /// something else is begun: that leaves.
    pub(crate) fn take_begun(&mut self, plan: &Plan) -> Option<(Vec<usize>, BegunIndexes)> {
        let begun = self.begun.take()?;
        let digests: Vec<String> = plan.indexes().iter().map(index_digest).collect();
        let missing = digests
            .iter()
            .filter(|digest| !self.indexes.contains_key(*digest));
        let missing: BTreeSet<&String> = missing.collect();
        if !missing.into_iter().eq(begun.indexes.keys()) {
            self.leaving.extend(begun.indexes.into_values());
            return None;
        }
        let is_new = |at: &usize| begun.indexes.contains_key(&digests[*at]);
        let new = (0..digests.len()).filter(is_new).collect();
        let numbers = begun.indexes.iter();
        self.indexes
            .extend(numbers.map(|(digest, number)| (digest.clone(), *number)));
        Some((new, begun))
    }

    /// Gives numbers for another plan: to every index that has none, and anew to the ledgers
    /// and all indexes of sources whose events are told apart otherwise. Which indexes got one.
    pub(crate) fn number_anew(&mut self, plan: &Plan, changed: &[SourceId]) -> Vec<usize> {
        let indexes = plan.indexes().iter();
        for index in indexes.filter(|index| changed.contains(&index.source().id)) {
            let digest = index_digest(index);
            self.spans.remove(&digest);
            self.leaving.extend(self.indexes.remove(&digest));
        }
        for id in changed {
            self.leaving_ledgers.push(self.ledger(*id));
            let ledger = LedgerId::built_beside(self.built_ledgers);
            self.built_ledgers += 1;
            self.sources.entry(*id).or_default().ledger = Some(ledger);
        }
        self.number_indexes(plan)
    }

    /// An empty state with the numbers of this one: for what is built to be in it.
    pub(crate) fn emptied(&self) -> StoreState {
        let sources = self.sources.iter().map(|(id, source)| {
            let ledger = source.ledger;
            let counts = SourceCounts {
                ledger,
                ..SourceCounts::default()
            };
            (*id, counts)
        });
        StoreState {
            indexes: self.indexes.clone(),
            next_index: self.next_index,
            built_ledgers: self.built_ledgers,
            sources: sources.collect(),
            marks: self.marks.clone(),
            ..StoreState::default()
        }
    }

    /// Whether it is what was begun to be built for indexes and ledgers that are numbered so, and nothing
    /// has left it.
    pub(crate) fn is_begun_for(&self, numbered: &StoreState, wanted: &[SourceId]) -> bool {
        let mut sources = wanted.iter();
        self.indexes == numbered.indexes
            && self.next_index == numbered.next_index
            && self.built_ledgers == numbered.built_ledgers
            && self.spans.is_empty()
            && sources.all(|id| self.ledger(*id) == numbered.ledger(*id))
    }

    /// Takes down that of an index so little stays at hand.
    pub(crate) fn let_go(&mut self, digest: &str, span: i64) {
        if self.indexes.contains_key(digest) {
            let known = self.spans.entry(digest.to_owned()).or_insert(span);
            *known = span.min(*known);
        }
    }

    /// The indexes of which more is to be at hand than is: they are to be built again. What nobody wants is
    /// not among them.
    pub(crate) fn short(&self, wanted: &BTreeMap<String, Option<i64>>) -> Vec<String> {
        let is_short = |(digest, span): &(&String, &i64)| match wanted.get(*digest) {
            None => false,
            Some(wanted) => wanted.is_none_or(|wanted| wanted > **span),
        };
        let short = self.spans.iter().filter(is_short);
        short.map(|(digest, _)| digest.clone()).collect()
    }

    /// Takes the numbers of indexes, as if they were not.
    pub(crate) fn forget(&mut self, digests: &[String]) -> Vec<u32> {
        self.spans.retain(|digest, _| !digests.contains(digest));
        let numbers = digests
            .iter()
            .filter_map(|digest| self.indexes.remove(digest));
        numbers.collect()
    }

    /// Takes the numbers that another state has given, so that they are not given again.
    pub(crate) fn take_numbers(&mut self, other: &StoreState) {
        self.next_index = other.next_index;
    }

    /// Takes the numbers of indexes that a plan does not have.
    pub(crate) fn forget_indexes(&mut self, plan: &Plan) -> Vec<u32> {
        let wanted: Vec<String> = plan.indexes().iter().map(index_digest).collect();
        let mut forgotten = Vec::new();
        self.indexes.retain(|digest, number| {
            let keep = wanted.contains(digest);
            if !keep {
                forgotten.push(*number);
            }
            keep
        });
        self.spans.retain(|digest, _| wanted.contains(digest));
        forgotten
    }
}

/// What tells the events of a source apart and orders them, as a digest. The bytes of a row
/// do both, and they are others where a column is widened.
pub(crate) fn identity_digest(source: &SourceDef) -> String {
    let names = |slots: &[usize]| -> Vec<&str> {
        slots
            .iter()
            .filter_map(|&slot| Some(source.columns.get(slot)?.name.as_str()))
            .collect()
    };
    // The number is that of the layout of identities: another one builds them again.
    let mut text = format!(
        "2 {:?} {:?} {:?}",
        source.kind,
        names(&source.event_id),
        source.deduplicate_within
    );
    let fields = source.schema.newest();
    for (slot, _) in source.schema.widened() {
        let field = &fields[slot];
        text.push_str(&format!(" {} {}", field.name, field.data_type));
    }
    short_digest(&text)
}

fn short_digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

/// What an index holds, as a digest: its source, its key and its columns, by name, type and
/// definition, so that other columns of the source may come and go.
pub(crate) fn index_digest(index: &IndexPlan) -> String {
    let source = index.source();
    let types = source.row_types();
    let column = |&slot: &usize| match source.columns.get(slot) {
        Some(column) => format!("{} {} {:?}", column.name, column.data_type, column.computed),
        None => format!("pseudo {}", slot - source.columns.len()),
    };
    let text = format!(
        "{} {:?} {:?} {:?} {:?} {:?}",
        source.id.0,
        source.sequence_by.iter().map(column).collect::<Vec<_>>(),
        index.key_columns().iter().map(column).collect::<Vec<_>>(),
        index.slots().iter().map(column).collect::<Vec<_>>(),
        index
            .slots()
            .iter()
            .map(|&slot| &types[slot])
            .collect::<Vec<_>>(),
        index.live_column().is_some(),
    );
    short_digest(&text)
}

#[cfg(test)]
mod tests {
    use evenkeel_store::MemoryKv;

    use super::*;

    /// As version 3 wrote it: the identities of each source are under its id.
    const VERSION_3: &str = r#"{"format":3,"checkpoint":7,"applied":{"ends":{"0":{"0":12}}},"next_sequence":9,
        "indexes":{"00000000000000000000000000000000":0},"next_index":1,
        "sources":{"0":{"identity":"x","entries":12,"greatest_time":5,"times":[1,5]}}}"#;

    fn read(text: &str) -> Result<StoreState, StoreError> {
        let kv = MemoryKv::new();
        let mut batch = Batch::default();
        batch.put(Space::Meta, ROW.to_vec(), text.as_bytes().to_vec());
        kv.write(batch)?;
        StoreState::read(&kv)
    }

    #[test]
    fn versions_of_before_are_read_and_later_ones_refused() {
        let state = read(VERSION_3).unwrap();
        let source = SourceId(0);
        assert_eq!(state.source(source).entries, 12);
        assert_eq!(state.ledger(source), LedgerId::first_of(source));
        assert_eq!(
            state.next_ledgers(1).next(),
            Some(LedgerId::built_beside(0))
        );
        let later = VERSION_3.replace("\"format\":3", "\"format\":6");
        assert!(matches!(
            read(&later),
            Err(StoreError::Version { found: 6, known: 5 })
        ));
    }

    #[test]
    fn a_source_that_is_told_apart_otherwise_gets_numbers_that_nothing_has() {
        let mut state = read(VERSION_3).unwrap();
        let source = SourceId(0);
        for n in 0..2 {
            state.number_anew(&Plan::default(), &[source]);
            assert_eq!(state.ledger(source), LedgerId::built_beside(n));
        }
        let gone = [LedgerId::first_of(source), LedgerId::built_beside(0)];
        assert_eq!(state.leaving_ledgers, gone);
        let kv = MemoryKv::new();
        let mut batch = Batch::default();
        state.put(&mut batch);
        kv.write(batch).unwrap();
        let read = StoreState::read(&kv).unwrap();
        assert_eq!(read.ledger(source), state.ledger(source));
        assert_eq!(read.leaving_ledgers, gone);
        assert_eq!(read.emptied().ledger(source), state.ledger(source));
    }
}
