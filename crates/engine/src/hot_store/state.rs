//! The row that says what a checkpoint stands for.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use evenkeel_store::{Batch, Kv, Snapshot, Space, StoreError};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Cut, EventTime, SourceId};
use evenkeel_view::{IndexPlan, Plan};
use serde::{Deserialize, Serialize};

/// The version of the hot tier's format that is written.
const FORMAT: u64 = 3;
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
    pub(crate) sources: BTreeMap<SourceId, SourceCounts>,
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

    /// Takes down that of an index so little stays at hand.
    pub(crate) fn let_go(&mut self, digest: &str, span: i64) {
        if self.indexes.contains_key(digest) {
            let known = self.spans.entry(digest.to_owned()).or_insert(span);
            *known = span.min(*known);
        }
    }

    /// Takes the numbers of indexes of which more is to be at hand than is, so that they are
    /// built again.
    pub(crate) fn forget_short(&mut self, wanted: impl Fn(&str) -> Option<i64>) -> Vec<u32> {
        let spans = std::mem::take(&mut self.spans);
        let (kept, short) = spans
            .into_iter()
            .partition(|(digest, span)| wanted(digest).is_some_and(|wanted| wanted <= *span));
        self.spans = kept;
        let short: BTreeMap<String, i64> = short;
        short
            .keys()
            .filter_map(|digest| self.indexes.remove(digest))
            .collect()
    }

    /// Takes the numbers that another state has given, so that they are not given again.
    pub(crate) fn take_numbers(&mut self, other: &StoreState) {
        self.next_index = other.next_index;
    }

    /// Takes the numbers of another state's indexes.
    pub(crate) fn take_indexes(&mut self, other: &StoreState) {
        self.indexes.clone_from(&other.indexes);
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
