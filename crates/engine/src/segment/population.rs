//! Many keys at once: what their views say is computed from the events, as for a training set.
//!
//! A read of a key finds its events in the hot tier, which for a million keys is a million searches,
//! most of them for rows that are not in memory. A pass over the events costs a twentieth of that,
//! and gives the same bits (`docs/decisions/0003-three-evaluators.md`), so it may take over
//! wherever the pass over the keys has come to. Where rows are made of single events, the condition is
//! evaluated as they are read (`docs/decisions/0057-conditions-beside-the-log.md`); else on the features of
//! all keys.

use std::ops::ControlFlow;

use evenkeel_store::{KeyOrder, ListedKey};
use evenkeel_train::{Condition, Judged, Population, Verdict};
use evenkeel_types::codec::{encode_value, encode_values};
use evenkeel_types::definition::ViewDef;
use evenkeel_types::{Column, ColumnData, Cut, EventTime, Knowledge};
use evenkeel_view::Uses;

use super::keys::Candidates;
use super::plan::SegmentPlan;
use super::{AtOnce, SegmentRequest, Taken, key_of};
use crate::error::EngineError;
use crate::function;
use crate::offline::{Offline, Online};
use crate::slices::Reading;

/// Where all keys are asked anyway, so many are enough to tell about how many there are.
const KEYS_FIRST_OF_ALL: u64 = 512;

/// The keys that were not asked yet.
pub(super) struct Rest<'a> {
    request: &'a SegmentRequest,
    knowledge: &'a Knowledge,
    views: Vec<ViewDef>,
    /// Events of their sources in the cut.
    events: u64,
    /// Whether they can be asked at once at all.
    is_able: bool,
}

impl<'a> Rest<'a> {
    pub(super) fn new(request: &'a SegmentRequest, knowledge: &'a Knowledge) -> Self {
        let views = request.plan.narrowed();
        let sources = Uses::of(&views).sources();
        let of_cut = |id| {
            let parts = knowledge
                .cut
                .iter()
                .filter(move |(source, ..)| *source == id);
            parts.map(|(_, _, end)| end.0).sum::<u64>()
        };
        let events = sources.keys().map(|id| of_cut(*id)).sum();
        let features = views.iter().map(|view| view.features.len()).sum::<usize>();
        let values = sources
            .iter()
            .map(|(id, (_, slots))| of_cut(*id).saturating_mul((slots.len() + features) as u64))
            .fold(0, u64::saturating_add);
        Rest {
            request,
            knowledge,
            views,
            events,
            is_able: knowledge.known_at.is_none() && values <= request.at_once.values_max,
        }
    }

    /// Whether a pass over the events costs less than to ask the keys that are still needed.
    pub(super) fn is_cheaper_at_once(&self, candidates: &Candidates, taken: &Taken) -> bool {
        let AtOnce { events_per_key, .. } = self.request.at_once;
        if !self.is_able || candidates.given() < self.keys_first() || taken.has_enough() {
            return false;
        }
        let mut needed = candidates.to_come();
        if !taken.counts && taken.matched > 0 {
            let rows = (taken.limit - taken.rows) as u64 + 1;
            needed = needed.min(rows.saturating_mul(candidates.given()) / taken.matched);
        }
        needed.saturating_mul(events_per_key) > self.events
    }

    /// So many keys are asked one by one first.
    fn keys_first(&self) -> u64 {
        let SegmentRequest { limit, counts, .. } = *self.request;
        let keys_first = self.request.at_once.keys_first;
        match counts || limit == usize::MAX {
            true => keys_first.min(KEYS_FIRST_OF_ALL),
            false => keys_first,
        }
    }

    /// After so many keys more it is looked again whether that is cheaper.
    pub(super) fn keys_before_look(&self, given: u64) -> usize {
        let first = self.keys_first().saturating_sub(given);
        usize::try_from(first)
            .ok()
            .filter(|keys| *keys > 0)
            .unwrap_or(usize::MAX)
    }

    /// What is said of all keys; none if it cannot be told from log and lake, where the hot tier may be
    /// able to.
    ///
    /// # Errors
    /// [`EngineError::Stopped`].
    pub(super) fn judged(
        &mut self,
        online: &impl Online,
        candidates: &Candidates,
        at: EventTime,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<Judged>, EngineError> {
        let offline = online.with(|engine| engine.offline());
        let read = self.read(&offline, candidates.given(), at, progress)?;
        self.is_able = read.is_some();
        Ok(read)
    }

    fn read(
        &self,
        offline: &Offline,
        given: u64,
        at: EventTime,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<Judged>, EngineError> {
        let condition = ConditionAt {
            plan: &self.request.plan,
            at,
        };
        match judge(
            offline,
            &self.views,
            &condition,
            &self.knowledge.cut,
            &mut |_| progress(given),
        ) {
            Ok(judged) => Ok(Some(judged)),
            Err(EngineError::Stopped) => Err(EngineError::Stopped),
            Err(_) => Ok(None),
        }
    }

    /// What is said of all keys, with nothing of the hot tier; none if that can answer what this cannot,
    /// or there are so many events that it is better asked first how many keys there are.
    ///
    /// # Errors
    /// [`EngineError::Stopped`].
    pub(super) fn of_log_alone(
        &self,
        offline: &Offline,
        at: EventTime,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<Judged>, EngineError> {
        if !self.is_able || self.events > self.request.at_once.events_unasked {
            return Ok(None);
        }
        let judged = self.read(offline, 0, at, progress)?;
        // The hot tier refuses what it cannot list.
        let is_listed = |judged: &Judged| {
            let keys = &judged.keys;
            let is_number = |part: &Column| matches!(part.data(), ColumnData::BigInt(_));
            let mut bytes = Vec::new();
            let mut is_short = |row| encode(keys, row, &mut bytes).len() <= ListedKey::BYTES_MAX;
            keys.iter().all(is_number) || (0..judged.verdicts.len()).all(&mut is_short)
        };
        Ok(judged.filter(is_listed))
    }

    /// Takes the keys that were not asked: those behind one, if any were.
    pub(super) fn take(
        &self,
        judged: Judged,
        behind: Option<&ListedKey>,
        at: EventTime,
        taken: &mut Taken,
    ) {
        let Judged {
            keys,
            mut verdicts,
            rows,
        } = judged;
        let are_in = (0..).zip(&verdicts).filter(|(_, v)| **v == Verdict::In);
        // Keys, each with its place among the rows.
        let mut matched: Vec<(usize, u32)> = are_in.map(|(key, _)| key).zip(0..).collect();
        let mut bytes = Vec::new();
        if let Some(last) = behind {
            for (key, verdict) in verdicts.iter_mut().enumerate() {
                if !last.is_before(encode(&keys, key, &mut bytes)) {
                    *verdict = Verdict::Unknown;
                }
            }
            matched.retain(|(key, _)| verdicts[*key] == Verdict::In);
        }
        let room = (taken.limit - taken.rows).min(matched.len());
        taken.is_cut |= matched.len() > room;
        let mut order = KeyOrder::default();
        // Who only counts needs no order.
        for (key, _) in matched.iter().filter(|_| room > 0) {
            order.push(encode(&keys, *key, &mut bytes));
        }
        let found = order.order();
        let found = found[..room].iter().map(|&number| matched[number as usize]);
        let mut counted = |end: Option<&ListedKey>| {
            let (mut asked, mut undecided) = (0, 0);
            for (key, verdict) in verdicts.iter().enumerate() {
                let is_counted = *verdict != Verdict::Unknown
                    && end.is_none_or(|end| !end.is_before(encode(&keys, key, &mut bytes)));
                asked += u64::from(is_counted);
                undecided += u64::from(is_counted && *verdict == Verdict::Undecided);
            }
            (asked, undecided)
        };
        if let Some((last, _)) = found.clone().next_back()
            && taken.rows + room == taken.limit
        {
            let last = key_of(&keys, last);
            let (asked, undecided) = counted(Some(&ListedKey::of(&encode_values(&last))));
            taken.last = Some((last, taken.asked + asked, taken.undecided + undecided));
        }
        let (asked, undecided) = counted(None);
        taken.asked += asked;
        taken.undecided += undecided;
        taken.matched += if taken.counts { matched.len() } else { room } as u64;
        let chosen: Vec<u32> = found.map(|(_, row)| row).collect();
        let scope: Vec<&Column> = rows.iter().collect();
        taken.keep(&self.request.plan, &scope, &chosen, at);
    }
}

/// A segment's condition at a time.
struct ConditionAt<'a> {
    plan: &'a SegmentPlan,
    at: EventTime,
}

impl Condition for ConditionAt<'_> {
    fn judge(&self, scope: &[&Column], rows: usize) -> Vec<Verdict> {
        self.plan.verdicts(scope, rows, self.at)
    }

    fn keeps(&self, slot: usize) -> bool {
        self.plan.keeps(slot)
    }
}

/// What a condition says of all keys: beside the events where it can, else by the features of all keys.
fn judge(
    offline: &Offline,
    views: &[ViewDef],
    condition: &ConditionAt<'_>,
    cut: &Cut,
    reading: Reading<'_>,
) -> Result<Judged, EngineError> {
    // A function that may be slow is asked of the newest rows alone.
    let is_slow = condition.plan.calls_functions();
    let source = Judged::source_of(views).filter(|_| !is_slow);
    if let Some(source) = source.filter(|id| !offline.unjudged().holds(*id, cut)) {
        match offline.judged(views, condition.at, cut, condition, reading) {
            Ok(Some(judged)) => return Ok(judged),
            Ok(None) => offline.unjudged().remember(source, cut),
            Err(EngineError::Stopped) => return Err(EngineError::Stopped),
            // The pass over all features says for itself what is wrong, if anything is.
            Err(_) => {}
        }
    }
    let population = offline.population(views, condition.at, cut, reading)?;
    function::taking(|| judged_of(population, condition))
}

fn judged_of(population: Population, condition: &ConditionAt<'_>) -> Judged {
    let Population {
        keys,
        known,
        features,
    } = population;
    let scope: Vec<&Column> = keys.iter().chain(features.iter().flatten()).collect();
    let mut verdicts = condition.judge(&scope, known.len());
    for (verdict, is_known) in verdicts.iter_mut().zip(known) {
        if !is_known {
            *verdict = Verdict::Unknown;
        }
    }
    let are_in = (0..).zip(&verdicts).filter(|(_, v)| **v == Verdict::In);
    let are_in: Vec<u32> = are_in.map(|(key, _)| key).collect();
    let row = |(slot, column): (usize, &&Column)| match condition.keeps(slot) {
        true => column.gather(&are_in),
        false => column.empty_like(),
    };
    Judged {
        rows: scope.iter().enumerate().map(row).collect(),
        verdicts,
        keys,
    }
}

/// The encoding of a key of parts by column.
fn encode<'b>(parts: &[Column], key: usize, bytes: &'b mut Vec<u8>) -> &'b [u8] {
    bytes.clear();
    parts
        .iter()
        .for_each(|part| encode_value(&part.get(key), bytes));
    bytes
}
