//! Where the events of a trigger are whose rows something concerns: the first ones in the order of the log.
//!
//! They are found by key and time, and their rows are emitted by place: so all of them are looked at, once, and
//! held; of more than may be held the first ones are, and the rest is searched for again. Invariant: whoever asks
//! again for those behind the last one comes by all of them, each once, in the order of their places, whatever is
//! held at a time.

use std::ops::Range;

use evenkeel_types::{Knowledge, Position, SourceId, Value};
use evenkeel_view::{Reader, Store};

use super::brought::Known;
use super::place_set::PlaceSet;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::hot_store::HotRead;
use crate::offline::Online;

/// Events that are looked at under one hold of the engine, about.
const AT_ONCE: usize = 4_096;
/// So many places are held: 64 MB, as a rule less.
pub(crate) const PLACES_MAX: usize = 1 << 25;

/// Times of events of a trigger.
pub(super) type Times = Range<i64>;

/// Events of a trigger by a key of theirs, of some times.
#[derive(Clone)]
pub(super) struct Search {
    /// Slots of the trigger's row.
    pub(super) columns: Vec<usize>,
    pub(super) key: Vec<Value>,
    pub(super) times: Times,
}

/// The first places of what was searched for.
pub(super) struct Places {
    pub(super) held: PlaceSet,
    /// Whether there are no more.
    pub(super) is_all: bool,
}

/// The first places behind one of events that hold, so many at most.
pub(super) fn first_places(
    online: &impl Online,
    trigger: SourceId,
    mut searches: Vec<Search>,
    (after, most): (Option<Position>, usize),
    known: Known<'_>,
) -> Result<Places, EngineError> {
    let mut held = PlaceSet::default();
    let mut is_all = true;
    while !searches.is_empty() {
        let (found, rest) =
            online.read_with(|engine| some_places(engine, trigger, &searches, known))?;
        for position in found {
            if after.is_some_and(|after| position <= after) {
                continue;
            }
            if held.len() == most && held.last().is_some_and(|last| last < position) {
                is_all = false;
            } else if held.insert(position) && held.len() > most {
                held.pop_last();
                is_all = false;
            }
        }
        searches = rest;
    }
    Ok(Places { held, is_all })
}

/// About so many places as are looked at under one hold, in any order, and what is still to be searched.
fn some_places(
    engine: &Engine,
    trigger: SourceId,
    searches: &[Search],
    known: Known<'_>,
) -> Result<(Vec<Position>, Vec<Search>), EngineError> {
    let hot = HotRead::of(engine.hot());
    let knowledge = Knowledge::latest(known.cut.clone());
    let reader = Reader::new(&hot, &knowledge);
    let mut places = Vec::new();
    for (number, search) in searches.iter().enumerate() {
        let Some(index) = hot.plan().index(trigger, &search.columns) else {
            continue;
        };
        let times = search.times.clone();
        let (found, end) = hot.checked(reader.last_places(index, &search.key, times, AT_ONCE))?;
        places.extend(found);
        if let Some(end) = end {
            let mut left = searches[number..].to_vec();
            left[0].times.end = end;
            return Ok((places, left));
        }
        if places.len() >= AT_ONCE {
            return Ok((places, searches[number + 1..].to_vec()));
        }
    }
    Ok((places, Vec::new()))
}
