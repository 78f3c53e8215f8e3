//! States of all entries of a block or node as a store keeps them: as bytes, by a digest of
//! what they are states of.
//!
//! Invariant: a state here has the bytes of the state that the entries themselves give, so
//! whether it is there or not changes no answer.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use evenkeel_types::bytes::{ByteReader, MalformedBytes, put_signed, put_varint};

use super::fold::Reader;
use super::node::{Node, Run};
use super::{Everything, History};
use crate::aggregates::{Aggregates, SpecId, WhereId};
use crate::state::{STATE_VERSION, State};

/// A state is stored if it takes at most one part in this many of its entries' bytes.
const STATE_SHARE_MAX: usize = 8;
/// All states of a node together take at most one part in this many.
const SUMMARY_SHARE_MAX: usize = 2;
/// What expressions and aggregates give for the same events: to be counted up where that
/// changes, so that no state of before is taken for one of today.
const MEANING: u8 = 1;
const RUN_VERSION: u8 = 1;

/// What a stored state is a state of: a digest of the aggregate call with its FILTER and
/// WHERE, or of a WHERE condition, all over the columns of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SummaryId(pub [u8; 16]);

impl SummaryId {
    pub(crate) fn of(parts: &dyn Debug) -> Self {
        let text = format!("{MEANING} {STATE_VERSION} {parts:?}");
        let mut id = [0; 16];
        id.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
        SummaryId(id)
    }
}

/// See the module. Cloning shares the list of what there may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    ids: Arc<[SummaryId]>,
    /// Per id: 0 where nobody made the state, 1 where it does not pay, or its length and one
    /// more, and its bytes.
    states: Box<[u8]>,
}

/// What there is of one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made<'a> {
    Not,
    NotPaying,
    State(&'a [u8]),
}

impl<'a> Made<'a> {
    fn put(self, out: &mut Vec<u8>) {
        match self {
            Made::Not => out.push(0),
            Made::NotPaying => out.push(1),
            Made::State(bytes) => {
                put_varint(bytes.len() as u64 + 1, out);
                out.extend(bytes);
            }
        }
    }

    fn read(reader: &mut ByteReader<'a>) -> Result<Self, MalformedBytes> {
        const WHAT: &str = "a state of a summary";
        match reader.varint(WHAT)? {
            0 => Ok(Made::Not),
            1 => Ok(Made::NotPaying),
            length => {
                let length =
                    usize::try_from(length - 1).map_err(|_| reader.malformed("a length"))?;
                Ok(Made::State(reader.take(length, WHAT)?))
            }
        }
    }

    fn state(self) -> Option<&'a [u8]> {
        match self {
            Made::State(bytes) => Some(bytes),
            Made::Not | Made::NotPaying => None,
        }
    }
}

impl Summary {
    fn made(&self) -> impl Iterator<Item = (&SummaryId, Made<'_>)> {
        let mut reader = ByteReader::new(&self.states);
        let made = move |id| (id, Made::read(&mut reader).unwrap_or(Made::Not));
        self.ids.iter().map(made)
    }

    fn of(&self, id: &SummaryId) -> Made<'_> {
        let found = self.made().find(|(known, _)| *known == id);
        found.map_or(Made::Not, |(_, made)| made)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// What there is.
    pub fn iter(&self) -> impl Iterator<Item = (&SummaryId, &[u8])> {
        self.made()
            .filter_map(|(id, made)| Some((id, made.state()?)))
    }

    /// The bytes of one state.
    pub fn get(&self, id: &SummaryId) -> Option<&[u8]> {
        self.of(id).state()
    }

    /// Whether a state was made, and is here or does not pay.
    pub fn is_made(&self, id: &SummaryId) -> bool {
        self.of(id) != Made::Not
    }

    /// About the bytes that it takes.
    pub fn weight(&self) -> usize {
        self.states.len()
    }

    /// What states may be here.
    pub fn ids(&self) -> &Arc<[SummaryId]> {
        &self.ids
    }

    /// Appends what there is of some ids, in their order.
    pub fn encode(&self, ids: &[SummaryId], out: &mut Vec<u8>) {
        if *ids == *self.ids {
            out.extend(&self.states);
        } else {
            ids.iter().for_each(|id| self.of(id).put(out));
        }
    }

    /// [`Summary::encode`]'s summary of the same ids.
    ///
    /// # Errors
    /// Where the bytes are none.
    pub fn decode(
        ids: &Arc<[SummaryId]>,
        reader: &mut ByteReader<'_>,
    ) -> Result<Self, MalformedBytes> {
        let (rest, from) = (reader.rest(), reader.at());
        for _ in ids.iter() {
            Made::read(reader)?;
        }
        Ok(Summary {
            ids: Arc::clone(ids),
            states: rest[..reader.at() - from].into(),
        })
    }
}

impl History {
    /// The states of all entries of some ranks that pay, of those that are `wanted`: they
    /// take little of the `bytes` that the entries do.
    ///
    /// # Panics
    /// If the ranks are beyond the length.
    pub fn summarise(
        &self,
        ranks: Range<usize>,
        aggregates: &Aggregates,
        bytes: usize,
        wanted: &dyn Fn(&SummaryId) -> bool,
    ) -> Summary {
        let ids = aggregates.summary_ids();
        let Some(root) = self.root.as_ref().filter(|_| !ids.is_empty()) else {
            return Summary::default();
        };
        let keeping = self.shape.keeping_entries();
        let states = states_of(root, ranks, aggregates, keeping, wanted);
        let mut left = bytes / SUMMARY_SHARE_MAX;
        let mut bytes_of_states = Vec::new();
        for state in &states {
            let made = match state {
                None => Made::Not,
                Some(state) if state.len() > (bytes / STATE_SHARE_MAX).min(left) => Made::NotPaying,
                Some(state) => {
                    left -= state.len();
                    Made::State(state)
                }
            };
            made.put(&mut bytes_of_states);
        }
        Summary {
            ids: Arc::clone(ids),
            states: bytes_of_states.into(),
        }
    }
}

/// In the order of [`Aggregates::summary_ids`]: the bytes of each that is wanted.
fn states_of(
    root: &Node,
    ranks: Range<usize>,
    aggregates: &Aggregates,
    keeping_entries: usize,
    wanted: &dyn Fn(&SummaryId) -> bool,
) -> Vec<Option<Vec<u8>>> {
    let reader = |condition: WhereId| Reader {
        aggregates,
        condition,
        visibility: &Everything,
        keeping_entries,
    };
    let runs = aggregates.conditions().map(|condition| {
        aggregates.run_id(condition).is_some_and(wanted).then(|| {
            let run = reader(condition).run_of(root, ranks.clone());
            encode_run(run)
        })
    });
    let mut states: Vec<Option<Vec<u8>>> = runs.collect();
    let runs = states.len();
    states.resize_with(runs + aggregates.len(), || None);
    for condition in aggregates.conditions() {
        let specs: Vec<SpecId> = aggregates
            .specs()
            .filter(|&spec| aggregates.condition(spec) == condition)
            .filter(|&spec| wanted(aggregates.state_id(spec)))
            .collect();
        let mut found: Vec<State> = specs
            .iter()
            .map(|&spec| aggregates.aggregator(spec).empty())
            .collect();
        let mut items: Vec<(SpecId, &mut State)> = specs.iter().copied().zip(&mut found).collect();
        if !items.is_empty() {
            reader(condition).fold(root, ranks.clone(), &mut items);
        }
        for (spec, state) in specs.into_iter().zip(&found) {
            let mut bytes = Vec::new();
            aggregates.aggregator(spec).encode(state, &mut bytes);
            states[runs + spec.index()] = Some(bytes);
        }
    }
    states
}

fn encode_run(run: Run) -> Vec<u8> {
    let mut out = vec![RUN_VERSION];
    put_varint(run.count as u64, &mut out);
    if run.count > 0 {
        put_signed(run.first, &mut out);
        put_signed(run.last.wrapping_sub(run.first), &mut out);
        put_signed(run.gap_max, &mut out);
    }
    out
}

pub(super) fn decode_run(bytes: &[u8]) -> Result<Run, MalformedBytes> {
    let mut reader = ByteReader::new(bytes);
    if reader.byte("the version of a run in time")? != RUN_VERSION {
        return Err(reader.malformed("a run in time of version 1"));
    }
    let count = reader.varint("the events of a run in time")?;
    let count = usize::try_from(count).map_err(|_| reader.malformed("a number of events"))?;
    let mut run = Run {
        count,
        ..Run::EMPTY
    };
    if count > 0 {
        run.first = reader.signed("the times of a run")?;
        run.last = run.first.wrapping_add(reader.signed("the times of a run")?);
        run.gap_max = reader.signed("the longest gap of a run")?;
    }
    reader.end("a run in time")?;
    Ok(run)
}
