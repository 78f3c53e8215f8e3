//! Verifying a history that is not held in memory: points are drawn from events that are picked while all of
//! them are read once, and the oracle, which holds what it knows, is asked at an older cut, of as many events
//! as are held.
//!
//! Invariant: what is held, and how much is picked, is bounded whatever there is.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_log::{EventSource, ReadOptions, Sequence};
use evenkeel_types::definition::ViewDef;
use evenkeel_types::{Cut, LoggedEvent, Operation, SourceId};
use evenkeel_view::SourceProgram;
use xxhash_rust::xxh3::xxh3_64;

use super::STEP;
use crate::api::VerifyOptions;
use crate::error::EngineError;
use crate::offline::Offline;
use crate::sample::{Random, Seen, anchors, left_keys};

/// So many events of a source are picked for each view, at least.
const PICKED_MIN: u64 = 2_000;

/// What is picked of one source for one view.
struct Picking {
    view: usize,
    key_columns: Vec<usize>,
    /// The numbers of the events, the next one last.
    numbers: Vec<u64>,
    /// Of rows that move between keys: one of so many is followed.
    one_of: Option<u64>,
    rows: Vec<(Vec<u8>, Seen, bool)>,
    picked: Vec<Seen>,
}

impl Offline {
    /// Everything that was applied, or what was when as much was logged of some sources as is held.
    pub(super) fn held_cut(
        &self,
        sources: &[SourceId],
        options: &VerifyOptions,
    ) -> Result<Cut, EngineError> {
        let events = |cut: &Cut| -> u64 {
            let of_sources = cut.iter().filter(|(id, ..)| sources.contains(id));
            of_sources.map(|(.., end)| end.0).sum()
        };
        if events(self.cut()) <= options.held_events {
            return Ok(self.cut().clone());
        }
        let (mut fits, mut exceeds) = (0, self.log().next_sequence().0);
        while fits + 1 < exceeds {
            let middle = fits + (exceeds - fits) / 2;
            let cut = self.log().cut_before(Sequence(middle));
            match events(&cut.map_err(EngineError::log)?) <= options.held_events {
                true => fits = middle,
                false => exceeds = middle,
            }
        }
        self.log()
            .cut_before(Sequence(fits))
            .map_err(EngineError::log)
    }

    /// Events that bring keys to views, picked from all that are known.
    pub(super) fn sampled(
        &self,
        logged: &dyn EventSource,
        (views, sources): (&[Arc<ViewDef>], Vec<SourceId>),
        options: &VerifyOptions,
        reach: &mut dyn FnMut() -> Result<(), EngineError>,
    ) -> Result<Vec<Vec<Seen>>, EngineError> {
        let mut random = Random::new(options.seed);
        let wanted = options.values.max(PICKED_MIN);
        let mut pickings = self.pickings(views, wanted, &mut random);
        let mut stream = logged
            .events(ReadOptions {
                sources: Some(sources),
                until: Some(self.cut().clone()),
                ..ReadOptions::default()
            })
            .map_err(EngineError::log)?;
        let mut logged = LoggedEvent::blank();
        let mut numbers: BTreeMap<SourceId, u64> = BTreeMap::new();
        let mut programs: BTreeMap<SourceId, SourceProgram> = BTreeMap::new();
        let mut read = 0;
        while stream.next_into(&mut logged).map_err(EngineError::log)? {
            if usize::is_multiple_of(read, STEP) {
                reach()?;
            }
            read += 1;
            let number = numbers.entry(logged.source).or_default();
            let this = *number;
            *number += 1;
            let (Some(pickings), Some(def)) = (
                pickings.get_mut(&logged.source),
                self.catalog().source_by_id(logged.source),
            ) else {
                continue;
            };
            if !pickings.iter().any(|picking| picking.wants(this)) {
                continue;
            }
            def.schema
                .upgrade(&mut logged)
                .map_err(|reason| EngineError::schema(def, reason))?;
            let program = programs
                .entry(def.id)
                .or_insert_with(|| SourceProgram::new(Arc::clone(def)));
            for picking in pickings {
                picking.take(program, &logged, this);
            }
        }
        let mut seen: Vec<Vec<Seen>> = views.iter().map(|_| Vec::new()).collect();
        for picking in pickings.into_values().flatten() {
            seen[picking.view].extend(picking.picked);
            seen[picking.view].extend(left_keys(picking.rows));
        }
        Ok(seen)
    }

    fn pickings(
        &self,
        views: &[Arc<ViewDef>],
        wanted: u64,
        random: &mut Random,
    ) -> BTreeMap<SourceId, Vec<Picking>> {
        let mut pickings: BTreeMap<SourceId, Vec<Picking>> = BTreeMap::new();
        for (view, def) in views.iter().enumerate() {
            for anchor in anchors(def) {
                let source = anchor.source.id;
                let ends = self.cut().iter().filter(|(id, ..)| *id == source);
                let events: u64 = ends.map(|(.., end)| end.0).sum();
                let mut numbers: Vec<u64> = match events <= wanted {
                    true => (0..events).collect(),
                    false => (0..wanted).map(|_| random.below(events)).collect(),
                };
                numbers.sort_unstable_by(|a, b| b.cmp(a));
                numbers.dedup();
                pickings.entry(source).or_default().push(Picking {
                    view,
                    key_columns: anchor.key_columns.to_vec(),
                    numbers,
                    one_of: anchor.rows_move.then(|| events.div_ceil(wanted).max(1)),
                    rows: Vec::new(),
                    picked: Vec::new(),
                });
            }
        }
        pickings
    }
}

impl Picking {
    fn wants(&self, number: u64) -> bool {
        self.one_of.is_some() || self.numbers.last() == Some(&number)
    }

    fn take(&mut self, program: &SourceProgram, logged: &LoggedEvent, number: u64) {
        if !self.wants(number) {
            return;
        }
        let row = program.row(logged);
        let key = self.key_columns.iter().map(|&slot| row[slot].clone());
        let this = Seen {
            key: key.collect(),
            time: logged.event.event_time.0,
            visible_at: logged.visible_at().0,
        };
        if let Some(one_of) = self.one_of
            && let Some(id) = program.key(&row, &program.def().primary_key)
            && xxh3_64(&id).is_multiple_of(one_of)
        {
            let lives = logged.event.operation != Operation::Delete;
            self.rows.push((id, this.clone(), lives));
        }
        if self.numbers.last() == Some(&number) {
            self.numbers.pop();
            self.picked.push(this);
        }
    }
}
