//! Many keys at once: what their views say is computed from the events, as for a training set.
//!
//! A read of a key finds its events in the hot tier, which for a million keys is a million searches,
//! most of them for rows that are not in memory. A pass over the events costs a twentieth of that,
//! and gives the same bits (`docs/decisions/0003-three-evaluators.md`), so it may take over
//! wherever the pass over the keys has come to.

use std::ops::ControlFlow;

use evenkeel_store::ListedKey;
use evenkeel_train::Population;
use evenkeel_types::codec::encode_values;
use evenkeel_types::definition::ViewDef;
use evenkeel_types::{Column, ColumnData, EventTime, Knowledge};
use evenkeel_view::Uses;

use super::keys::Candidates;
use super::{AtOnce, Piece, SegmentRequest, Taken, Verdict, key_of};
use crate::error::EngineError;
use crate::offline::{Offline, Online};

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
        let AtOnce {
            keys_first,
            events_per_key,
            ..
        } = self.request.at_once;
        if !self.is_able || candidates.given() < keys_first || taken.has_enough() {
            return false;
        }
        let mut needed = candidates.to_come();
        if !taken.counts && taken.matched > 0 {
            let rows = (taken.limit - taken.rows) as u64 + 1;
            needed = needed.min(rows.saturating_mul(candidates.given()) / taken.matched);
        }
        needed.saturating_mul(events_per_key) > self.events
    }

    /// After so many keys more it is looked again whether that is cheaper.
    pub(super) fn keys_before_look(&self, given: u64) -> usize {
        let first = self.request.at_once.keys_first.saturating_sub(given);
        usize::try_from(first)
            .ok()
            .filter(|keys| *keys > 0)
            .unwrap_or(usize::MAX)
    }

    /// What the views say of all keys; none if it cannot be told from log and lake, where the hot
    /// tier may be able to.
    ///
    /// # Errors
    /// [`EngineError::Stopped`].
    pub(super) fn population(
        &mut self,
        online: &impl Online,
        candidates: &Candidates,
        at: EventTime,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<Population>, EngineError> {
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
    ) -> Result<Option<Population>, EngineError> {
        let cut = &self.knowledge.cut;
        match offline.population(&self.views, at, cut, &mut |_| progress(given)) {
            Ok(population) => Ok(Some(population)),
            Err(EngineError::Stopped) => Err(EngineError::Stopped),
            Err(_) => Ok(None),
        }
    }

    /// What the views say of all keys, with nothing of the hot tier; none if that can answer what this
    /// cannot, or there are so many events that it is better asked first how many keys there are.
    ///
    /// # Errors
    /// [`EngineError::Stopped`].
    pub(super) fn of_log_alone(
        &self,
        offline: &Offline,
        at: EventTime,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Option<Population>, EngineError> {
        if !self.is_able || self.events > self.request.at_once.events_unasked {
            return Ok(None);
        }
        let population = self.read(offline, 0, at, progress)?;
        // The hot tier refuses what it cannot list.
        let is_listed = |population: &Population| {
            let keys = &population.keys;
            let is_number = |part: &Column| matches!(part.data(), ColumnData::BigInt(_));
            let is_short =
                |row: usize| encode_values(&key_of(keys, row)).len() <= ListedKey::BYTES_MAX;
            keys.iter().all(is_number) || (0..population.known.len()).all(is_short)
        };
        Ok(population.filter(is_listed))
    }

    /// Takes the keys that were not asked: those behind one, if any were.
    pub(super) fn take(
        &self,
        population: Population,
        behind: Option<&ListedKey>,
        at: EventTime,
        taken: &mut Taken,
    ) {
        let plan = &self.request.plan;
        let piece = Piece {
            features: population.features.iter().flatten().collect(),
            keys: population.keys,
            known: population.known,
        };
        let mut verdicts = piece.verdicts(plan, at);
        let encoded = |row: usize| encode_values(&piece.key(row));
        if let Some(last) = behind {
            for (row, verdict) in verdicts.iter_mut().enumerate() {
                if *verdict != Verdict::Unknown && !last.is_before(&encoded(row)) {
                    *verdict = Verdict::Unknown;
                }
            }
        }
        let with = |wanted: Verdict| (0..).zip(&verdicts).filter(move |(_, v)| **v == wanted);
        let matched = with(Verdict::In).count();
        let room = (taken.limit - taken.rows).min(matched);
        taken.is_cut |= matched > room;
        // Who only counts needs no order.
        let listed = with(Verdict::In).filter(|_| room > 0);
        let mut found: Vec<(ListedKey, u32)> = listed
            .map(|(row, _)| (ListedKey::of(&encoded(row as usize)), row))
            .collect();
        found.sort_unstable();
        let end = match room.checked_sub(1).map(|last| &found[last]) {
            Some((key, row)) if taken.rows + room == taken.limit => Some((key, *row)),
            _ => None,
        };
        let up_to = |key: Option<&ListedKey>| {
            let counted = |wanted| {
                let rows = with(wanted).filter(|(row, _)| {
                    key.is_none_or(|key| !key.is_before(&encoded(*row as usize)))
                });
                rows.count() as u64
            };
            let undecided = counted(Verdict::Undecided);
            (
                counted(Verdict::In) + counted(Verdict::Out) + undecided,
                undecided,
            )
        };
        if let Some((key, row)) = end {
            let (asked, undecided) = up_to(Some(key));
            taken.last = Some((
                piece.key(row as usize),
                taken.asked + asked,
                taken.undecided + undecided,
            ));
        }
        let (asked, undecided) = up_to(None);
        taken.asked += asked;
        taken.undecided += undecided;
        taken.matched += if taken.counts { matched } else { room } as u64;
        let rows: Vec<u32> = found[..room].iter().map(|(_, row)| *row).collect();
        taken.keep(plan, &piece, &rows, at);
    }
}
