//! One commit in the making: events that are new, dead letters, and what was driven again.
//!
//! Invariant: an identity with one payload is in a partition once, however often it comes,
//! whether it was logged before or stands in this commit already.
//!
//! Most of what comes, comes in the order of its identities. As long as it does, none is like another,
//! and nothing is looked for among what the commit has.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use evenkeel_log::{Batch, Correlation, DeadLetter, DeadLetterId};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Event, Partition, Position, SourceId, Value};
use rustc_hash::FxHashMap;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::ledger::{IdentityKey, PayloadDigest};
use crate::recorder::Recordable;
use crate::source_state::{Marks, Standing};

/// See the module.
#[derive(Default)]
pub(crate) struct Group {
    events: BTreeMap<(SourceId, Partition), Vec<Event>>,
    /// The schema version of each source's events.
    versions: BTreeMap<SourceId, u32>,
    letters: BTreeMap<SourceId, Vec<DeadLetter>>,
    redriven: BTreeMap<SourceId, Vec<DeadLetterId>>,
    /// What events are called, by their numbers.
    called: BTreeMap<(SourceId, Partition), Vec<(usize, String)>>,
    /// What judging made of the events.
    made: BTreeMap<(SourceId, Partition), Vec<Made>>,
    /// Earlier events that applying those of the request at hand asks for, and that the log has no
    /// more.
    truncated: Vec<Position>,
    /// The greatest identity of the commit, as long as each was greater than those before.
    greatest: Option<IdentityKey>,
    /// What this commit holds of each identity: first, and further ones. None as long as they came
    /// in their order.
    seen: Option<SeenByKey>,
    /// So many events were announced.
    expected: usize,
}

type SeenByKey = FxHashMap<IdentityKey, (Seen, Vec<Seen>)>;

struct Seen {
    partition: Partition,
    revision: u32,
    payload: PayloadDigest,
    index: usize,
}

/// How far a commit had come for one source: a request takes from one only.
pub(crate) struct Savepoint {
    source: SourceId,
    events: BTreeMap<Partition, usize>,
    letters: usize,
    redriven: usize,
}

/// What judging made of an event, for when it is applied.
#[derive(Debug)]
pub(crate) struct Made {
    /// Its source row, but for the time at which it is visible.
    pub(crate) row: Vec<Value>,
    /// None if its place in the log is its identity.
    pub(crate) marks: Option<Marks>,
    /// Whether nothing was known of its identity in the ledger that its marks are of, and nothing
    /// else in the commit has it.
    pub(crate) is_first: bool,
}

/// What becomes of an event that is offered to a commit. An index is the event's number
/// among those of its source and partition in the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It is logged.
    New {
        /// Its number.
        index: usize,
    },
    /// It is logged; its identity has another payload already.
    Conflict {
        /// Its number.
        index: usize,
    },
    /// It is there already.
    Duplicate(First),
}

/// Where an event is that came again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// In this commit, by its number.
    Here(usize),
    /// In the log.
    Logged(Position),
}

impl Group {
    /// How far it is for a source.
    pub(crate) fn savepoint(&self, source: SourceId) -> Savepoint {
        Savepoint {
            source,
            events: self
                .events
                .range(places_of(source))
                .map(|((_, partition), events)| (*partition, events.len()))
                .collect(),
            letters: self.letters.get(&source).map_or(0, Vec::len),
            redriven: self.redriven.get(&source).map_or(0, Vec::len),
        }
    }

    /// Whether it has events of a source.
    pub(crate) fn has(&self, source: SourceId) -> bool {
        self.events.range(places_of(source)).next().is_some()
    }

    /// As if nothing had been offered since then.
    pub(crate) fn go_back(&mut self, to: &Savepoint) {
        for ((_, partition), made) in self.made.range_mut(places_of(to.source)) {
            let kept = to.events.get(partition).copied().unwrap_or(0);
            for (index, gone) in made.drain(kept..).enumerate() {
                if let (Some(marks), Some(seen)) = (gone.marks, &mut self.seen) {
                    forget(seen, &marks.key, *partition, kept + index);
                }
            }
        }
        for ((_, partition), events) in self.events.range_mut(places_of(to.source)) {
            events.truncate(to.events.get(partition).copied().unwrap_or(0));
        }
        for ((_, partition), calls) in self.called.range_mut(places_of(to.source)) {
            let kept = to.events.get(partition).copied().unwrap_or(0);
            calls.retain(|(index, _)| *index < kept);
        }
        self.truncated.clear();
        self.made.retain(|_, made| !made.is_empty());
        self.events.retain(|_, events| !events.is_empty());
        shorten(&mut self.letters, to.source, to.letters);
        shorten(&mut self.redriven, to.source, to.redriven);
    }

    /// So many events are about to be offered, at most.
    pub(crate) fn expect(&mut self, events: usize) {
        self.expected = events;
    }

    /// Takes an event, unless it is known.
    ///
    /// # Errors
    /// If what is known of its identity cannot be read.
    pub(crate) fn accept(
        &mut self,
        engine: &Engine,
        def: &SourceDef,
        recordable: Recordable,
    ) -> Result<Accepted, EngineError> {
        // It may have been judged before the source changed.
        let newest = engine.hot().source(def.id);
        let schema = newest.map_or(&def.schema, |s| &s.program().def().schema);
        self.versions.insert(def.id, schema.version());
        let mut recordable = match newest {
            Some(state) if schema.version() != def.schema.version() => {
                let mut recordable = recordable;
                schema
                    .upgrade_event(def.schema.version(), &mut recordable.event)
                    .map_err(|reason| EngineError::schema(def, reason))?;
                Recordable::of(state.program(), recordable.event, recordable.partition)
            }
            _ => recordable,
        };
        let partition = recordable.partition;
        let events = self.events.get(&(def.id, partition));
        let index = events.map_or(0, |events| events.len());
        let mut is_first = false;
        let accepted = match (newest, &mut recordable.marks) {
            (Some(state), Some(marks)) => {
                let standing = state.standing(marks, &recordable.event, partition.0)?;
                let (place, revision) = ((def.id, partition), recordable.event.revision);
                let accepted;
                (accepted, is_first) = self.stand(marks, place, revision, standing, index);
                let is_logged = !matches!(accepted, Accepted::Duplicate(_));
                let has_rivals = standing != Standing::New || def.deduplicate_within.is_some();
                if is_logged && has_rivals {
                    let places = state.asks_for(marks, &recordable.event, &recordable.row)?;
                    let is_gone = |at: &Position| engine.reader().is_truncated_at(def.id, *at);
                    self.truncated.extend(places.into_iter().filter(is_gone));
                }
                accepted
            }
            // Its identity is the position that it will get: nothing can be like it.
            _ => Accepted::New { index },
        };
        if !matches!(accepted, Accepted::Duplicate(_)) {
            let Recordable {
                event, row, marks, ..
            } = recordable;
            let place = (def.id, partition);
            // As a rule they all go to one partition.
            let room = match self.events.is_empty() {
                true => self.expected,
                false => 0,
            };
            let events = self.events.entry(place);
            let events = events.or_insert_with(|| Vec::with_capacity(room));
            let made = self.made.entry(place);
            let made = made.or_insert_with(|| Vec::with_capacity(room));
            events.push(event);
            made.push(Made {
                row,
                marks,
                is_first,
            });
        }
        Ok(accepted)
    }

    /// Earlier events that applying those that were taken since it was asked last asks for, and that
    /// the log has no more.
    pub(crate) fn take_truncated(&mut self) -> Vec<Position> {
        std::mem::take(&mut self.truncated)
    }

    /// What becomes of an event that stands so to those that were logged before; and whether nothing
    /// is known of its identity, there or here. If something is here, that is not alone any more.
    fn stand(
        &mut self,
        marks: &Marks,
        (source, partition): (SourceId, Partition),
        revision: u32,
        standing: Standing,
        index: usize,
    ) -> (Accepted, bool) {
        if let Standing::Repetition { first } = standing {
            return (Accepted::Duplicate(First::Logged(first)), false);
        }
        let new_here = match standing {
            Standing::Conflict => (Accepted::Conflict { index }, false),
            _ => (Accepted::New { index }, standing == Standing::New),
        };
        let greatest = self.greatest.as_ref();
        if self.seen.is_none() && greatest.is_none_or(|greatest| *greatest < marks.key) {
            self.greatest = Some(marks.key.clone());
            return new_here;
        }
        let (events, made) = (&self.events, &mut self.made);
        let seen = self.seen.get_or_insert_with(|| seen_of(events, made));
        let new = Seen {
            partition,
            revision,
            payload: marks.payload,
            index,
        };
        let Some((first, others)) = seen.get_mut(&marks.key) else {
            seen.insert(marks.key.clone(), (new, Vec::new()));
            return new_here;
        };
        // It may be in a partition that is applied before that of the first.
        let made = made.get_mut(&(source, first.partition));
        if let Some(made) = made.and_then(|made| made.get_mut(first.index)) {
            made.is_first = false;
        }
        // Versions of other revisions are other versions, whatever they say.
        let seen = std::iter::once(&*first).chain(others.iter());
        let mut seen = seen.filter(|s| s.revision == revision);
        let is_here = |s: &&Seen| s.payload == new.payload && s.partition == partition;
        if let Some(known) = seen.clone().find(is_here) {
            return (Accepted::Duplicate(First::Here(known.index)), false);
        }
        let conflict = standing == Standing::Conflict || seen.any(|s| s.payload != new.payload);
        others.push(new);
        let accepted = match conflict {
            true => Accepted::Conflict { index },
            false => Accepted::New { index },
        };
        (accepted, false)
    }

    /// Takes a dead letter.
    pub(crate) fn reject(&mut self, source: SourceId, letter: DeadLetter) {
        self.letters.entry(source).or_default().push(letter);
    }

    /// What an event that was taken is called by whoever logs it.
    pub(crate) fn call(
        &mut self,
        source: SourceId,
        partition: Partition,
        index: usize,
        id: String,
    ) {
        let calls = self.called.entry((source, partition)).or_default();
        calls.push((index, id));
    }

    /// Takes a dead letter off the list of open ones.
    pub(crate) fn redrive(&mut self, source: SourceId, id: DeadLetterId) {
        self.redriven.entry(source).or_default().push(id);
    }

    /// What to append: events first, with what was made of them, then dead letters, then what
    /// was driven again, then what events are called.
    pub(crate) fn into_batches(mut self) -> (Vec<Batch>, Vec<Vec<Made>>) {
        let correlations = self.correlations();
        let made = self.made.into_values().collect();
        let versions = self.versions;
        let events = self
            .events
            .into_iter()
            .map(|((source, partition), events)| Batch::Events {
                source,
                partition,
                schema_version: versions[&source],
                events,
            });
        let letters = self
            .letters
            .into_iter()
            .map(|(source, letters)| Batch::DeadLetters { source, letters });
        let redriven = self
            .redriven
            .into_iter()
            .map(|(source, ids)| Batch::Redriven { source, ids });
        let batches = events.chain(letters).chain(redriven).chain(correlations);
        (batches.collect(), made)
    }

    /// What events are called, by how many events come before them.
    fn correlations(&mut self) -> Vec<Batch> {
        let mut before = 0;
        let mut found: BTreeMap<SourceId, Vec<Correlation>> = BTreeMap::new();
        for (place, events) in &self.events {
            for (index, id) in self.called.remove(place).unwrap_or_default() {
                let event = (before + index) as u64;
                let ids = found.entry(place.0).or_default();
                ids.push(Correlation { event, id });
            }
            before += events.len();
        }
        let batch = |(source, correlations)| Batch::Correlations {
            source,
            correlations,
        };
        found.into_iter().map(batch).collect()
    }
}

fn places_of(source: SourceId) -> RangeInclusive<(SourceId, Partition)> {
    (source, Partition(0))..=(source, Partition(u32::MAX))
}

fn shorten<T>(of: &mut BTreeMap<SourceId, Vec<T>>, source: SourceId, length: usize) {
    if let Some(known) = of.get_mut(&source) {
        known.truncate(length);
    }
    of.retain(|_, known| !known.is_empty());
}

/// What a commit holds of identities of which none is like another.
fn seen_of(
    events: &BTreeMap<(SourceId, Partition), Vec<Event>>,
    made: &BTreeMap<(SourceId, Partition), Vec<Made>>,
) -> SeenByKey {
    let mut seen = SeenByKey::default();
    for (((_, partition), made), events) in made.iter().zip(events.values()) {
        for (index, (made, event)) in made.iter().zip(events).enumerate() {
            if let Some(marks) = &made.marks {
                let only = Seen {
                    partition: *partition,
                    revision: event.revision,
                    payload: marks.payload,
                    index,
                };
                seen.insert(marks.key.clone(), (only, Vec::new()));
            }
        }
    }
    seen
}

/// An event of a commit is not in it any more.
fn forget(seen: &mut SeenByKey, key: &IdentityKey, partition: Partition, index: usize) {
    let Some((first, others)) = seen.get_mut(key) else {
        return;
    };
    let is_it = |s: &Seen| s.partition == partition && s.index == index;
    others.retain(|s| !is_it(s));
    if is_it(first) {
        match others.is_empty() {
            true => drop(seen.remove(key)),
            false => *first = others.remove(0),
        }
    }
}
