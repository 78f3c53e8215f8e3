//! Which of the judged events are the newest of their keys.
//!
//! Keys and times decide, where no two events are one identity's; among events of one key and time the
//! order of ties, for which they are read again.

use std::cmp::Ordering;

use evenkeel_log::EventSource;
use evenkeel_types::{Column, NO_SLOT, Origin, Value};
use rustc_hash::FxHashSet;

use super::events::JudgedEvents;
use super::{Judged, Verdict};
use crate::error::TrainError;
use crate::identities::possibly_repeated;
use crate::key_numbers::{NO_KEY, key_numbers_of};

/// Of more events of one key and time the order is not looked for.
const TIES_MAX: usize = 64;

impl JudgedEvents<'_> {
    /// What is said of each key; none if more than keys and times decides which event is its newest.
    pub(super) fn into_judged(
        mut self,
        log: &dyn EventSource,
    ) -> Result<Option<Judged>, TrainError> {
        if !self.are_plain() || self.any_is_repeated() || !self.keep_newest(log)? {
            return Ok(None);
        }
        let is_in = |event: u32| self.verdicts[event as usize] == Verdict::In;
        let rows = (0..).zip(&self.are_in).filter(|(_, event)| is_in(**event));
        let rows: Vec<u32> = rows.map(|(row, _)| row).collect();
        if rows.len() < self.are_in.len() {
            for (slot, column) in self.rows.iter_mut().enumerate() {
                if self.condition.keeps(slot) {
                    *column = column.gather(&rows);
                }
            }
        }
        let is_known = |verdict: &Verdict| *verdict != Verdict::Unknown;
        let parts = self.plain.key_columns();
        let keys = if self.verdicts.iter().all(is_known) {
            let part = |(number, slot): (usize, &usize)| match parts[number + 1..].contains(slot) {
                true => self.kept[slot].clone(),
                false => self
                    .kept
                    .remove(slot)
                    .expect("the columns of a key are kept"),
            };
            parts.iter().enumerate().map(part).collect()
        } else {
            let mut found = Vec::with_capacity(self.verdicts.len());
            let known = (0..).zip(&self.verdicts).filter(|(_, v)| is_known(v));
            found.extend(known.map(|(event, _)| event));
            self.verdicts.retain(is_known);
            parts
                .iter()
                .map(|slot| self.kept[slot].gather(&found))
                .collect()
        };
        Ok(Some(Judged {
            keys,
            verdicts: self.verdicts,
            rows: self.rows,
        }))
    }

    /// Whether two events are one identity's.
    fn any_is_repeated(&self) -> bool {
        let def = self.program.def();
        let suspects = match &self.origins {
            Some(origins) => origins.possibly_repeated(),
            None => {
                let id: Vec<&Column> = def.event_id.iter().map(|slot| &self.kept[slot]).collect();
                possibly_repeated(&id, &self.times)
            }
        };
        let mut row = vec![Value::Null; def.row_width()];
        let mut known: FxHashSet<Vec<u8>> = FxHashSet::default();
        suspects.into_iter().any(|event| {
            for &slot in &def.event_id {
                row[slot] = self.kept[&slot].get(event as usize);
            }
            let origin = match &self.origins {
                Some(origins) => origins.get(event),
                None => Origin::Log(self.positions.get(event)),
            };
            let time = self.times[event as usize];
            !known.insert(self.program.identity_at(&row, &origin, time))
        })
    }

    /// Keeps the verdicts on the newest event of each key alone; false if too many are of one time.
    fn keep_newest(&mut self, log: &dyn EventSource) -> Result<bool, TrainError> {
        let keys = self.plain.key_columns().iter();
        let keys: Vec<&Column> = keys.map(|slot| &self.kept[slot]).collect();
        let (count, key_of) = key_numbers_of(&keys, self.times.len());
        let mut newest = vec![NO_SLOT; count];
        let mut ties = Vec::new();
        for (event, (&key, &time)) in (0u32..).zip(key_of.iter().zip(&self.times)) {
            if key == NO_KEY || time > self.at {
                self.verdicts[event as usize] = Verdict::Unknown;
                continue;
            }
            let before = &mut newest[key as usize];
            if *before == NO_SLOT {
                *before = event;
                continue;
            }
            let older = match self.times[*before as usize].cmp(&time) {
                Ordering::Less => std::mem::replace(before, event),
                Ordering::Greater => event,
                Ordering::Equal => {
                    ties.push((key, event));
                    continue;
                }
            };
            self.verdicts[older as usize] = Verdict::Unknown;
        }
        let times = &self.times;
        let newest_of = |key: u32| times[newest[key as usize] as usize];
        let still = |(key, event): &(u32, u32)| newest_of(*key) == times[*event as usize];
        if ties.iter().filter(|tie| still(tie)).count() > TIES_MAX {
            return Ok(false);
        }
        for (key, event) in ties {
            let before = &mut newest[key as usize];
            // Else a later event came.
            let is_tie = self.times[*before as usize] == self.times[event as usize];
            let is_older = if is_tie {
                let orders = [self.order(log, event)?, self.order(log, *before)?];
                let [Some(own), Some(other)] = orders else {
                    return Ok(false);
                };
                own < other
            } else {
                true
            };
            let older = match is_older {
                true => event,
                false => std::mem::replace(before, event),
            };
            self.verdicts[older as usize] = Verdict::Unknown;
        }
        Ok(true)
    }

    /// What decides among the events of one time; none if the event is not found again.
    fn order(&self, log: &dyn EventSource, event: u32) -> Result<Option<Vec<u8>>, TrainError> {
        let position = self.positions.get(event);
        let source = self.program.def().id;
        let found = log.event_at(source, position).map_err(TrainError::log)?;
        let Some(mut logged) = found else {
            return Ok(None);
        };
        self.upgrade(&mut logged)?;
        let row = self.program.row(&logged);
        Ok(Some(self.program.order(&logged, &row)))
    }
}
