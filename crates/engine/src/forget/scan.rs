//! Looking for a key in everything that was logged: which events are its, and what follows for emissions
//! that were made of them.
//!
//! Invariant: sources come before streams that are made of them; what holds of another key under an identity
//! that it shares holds afterwards, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_log::{DeadLetterId, ReadOptions};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Event, EventTime, LoggedEvent, Position, SourceId, Value};
use evenkeel_view::SourceProgram;
use xxhash_rust::xxh3::xxh3_128;

use super::change::{Change, Kept, SourceChanges, SourceWork};
use super::roles::Roles;
use super::subject::{Subject, digest_of};
use crate::emission::{in_order, record_of, trigger_names};
use crate::error::EngineError;
use crate::offline::Offline;

/// After so many events it is asked whether to go on.
const ASK_EVERY: u64 = 4096;

/// Told how many events were looked at, of how many.
pub(super) type Progress<'a> = dyn FnMut(u64, u64) -> ControlFlow<()> + 'a;

/// What was found of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FoundSource {
    /// Events of the key.
    pub(super) events: u64,
    /// Events of other keys, whose earlier row was the key's.
    pub(super) before: u64,
    /// Dead letters.
    pub(super) letters: u64,
    /// Events that name it in a text which stays.
    pub(super) named: u64,
    /// Dead letters that name it and stay.
    pub(super) named_letters: u64,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) changes: BTreeMap<u32, SourceChanges>,
    pub(super) counts: BTreeMap<SourceId, FoundSource>,
    /// Keys of other entities that the events are of, too.
    pub(super) others: BTreeMap<String, BTreeSet<u128>>,
    /// Whether another key is what would take this one's place.
    pub(super) is_taken: bool,
}

/// What a trigger is from now on.
#[derive(Clone, Debug)]
enum Became {
    Same,
    Removed,
    Renamed(Vec<u8>, Vec<u8>),
}

/// A version of a trigger's identity.
#[derive(Debug)]
struct TriggerVersion {
    record: u64,
    revision: u32,
    payload: Vec<u8>,
    became: Became,
}

/// An event of an identity of which one is the key's.
#[derive(Debug)]
struct Relative {
    position: Position,
    revision: u32,
    payload: Vec<u8>,
    stays: bool,
}

/// By the identity that emissions have of them, and their time.
type Triggers = BTreeMap<(Vec<u8>, EventTime), Vec<TriggerVersion>>;

/// See the module.
pub(super) struct Scan<'a> {
    offline: &'a Offline,
    subject: &'a Subject,
    roles: &'a Roles,
    /// Of the other entities.
    others: BTreeMap<String, Roles>,
    triggers: BTreeMap<SourceId, Triggers>,
    found: Found,
    done: u64,
    total: u64,
}

/// What is looked at of one source.
struct OfSource<'a> {
    def: &'a Arc<SourceDef>,
    program: SourceProgram,
    work: SourceWork,
    roles: Vec<Vec<usize>>,
    /// Those of the events that change.
    identities: BTreeSet<u128>,
    /// The rows of a table that they are versions of.
    rows: BTreeSet<u128>,
    changes: BTreeMap<Position, (u128, Change)>,
}

impl<'a> Scan<'a> {
    pub(super) fn new(
        offline: &'a Offline,
        subject: &'a Subject,
        roles: &'a Roles,
        others: BTreeMap<String, Roles>,
    ) -> Self {
        Scan {
            offline,
            subject,
            roles,
            others,
            triggers: BTreeMap::new(),
            found: Found::default(),
            done: 0,
            total: offline.cut().iter().map(|(_, _, end)| end.0).sum(),
        }
    }

    /// Looks at everything.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the log or what it was truncated by cannot be read.
    pub(super) fn run(mut self, progress: &mut Progress<'_>) -> Result<Found, EngineError> {
        let catalog = self.offline.catalog();
        let plain = catalog.sources.values().filter(|s| s.derived.is_none());
        for def in plain.cloned().chain(in_order(catalog)) {
            self.source(&def, progress)?;
        }
        for def in catalog.sources.values() {
            self.letters(def)?;
        }
        Ok(self.found)
    }

    fn source(
        &mut self,
        def: &Arc<SourceDef>,
        progress: &mut Progress<'_>,
    ) -> Result<(), EngineError> {
        let known = self.roles.get(&def.id);
        let roles: Vec<Vec<usize>> = known.into_iter().flatten().cloned().collect();
        let others = self.others.values().filter_map(|roles| roles.get(&def.id));
        let changes = SourceChanges {
            roles: roles.clone(),
            others: others.flatten().flatten().copied().collect(),
            ..SourceChanges::default()
        };
        let mut of_source = OfSource {
            def,
            program: SourceProgram::new(Arc::clone(def)),
            work: SourceWork::of(def, &changes),
            roles,
            identities: BTreeSet::new(),
            rows: BTreeSet::new(),
            changes: BTreeMap::new(),
        };
        let mut counts = FoundSource::default();
        self.read(def, progress, &mut |scan, record, logged| {
            scan.look(&mut of_source, &mut counts, record, logged);
        })?;
        if !of_source.changes.is_empty() {
            self.relatives(&mut of_source, progress)?;
        }
        self.found.counts.insert(def.id, counts);
        if !of_source.changes.is_empty() {
            let events = of_source.changes.into_iter();
            let event = |(at, (_, change)): (Position, (u128, Change))| {
                (at.partition.0, at.offset.0, change)
            };
            let changes = SourceChanges {
                events: events.map(event).collect(),
                ..changes
            };
            self.found.changes.insert(def.id.0, changes);
        }
        Ok(())
    }

    /// Reads the events of a source, in the columns of its newest schema, with their numbers.
    fn read(
        &mut self,
        def: &SourceDef,
        progress: &mut Progress<'_>,
        take: &mut dyn FnMut(&mut Self, u64, &LoggedEvent),
    ) -> Result<(), EngineError> {
        let mut events = self.offline.log().read(ReadOptions {
            sources: Some(vec![def.id]),
            until: Some(self.offline.cut().clone()),
            ..ReadOptions::default()
        });
        let mut logged = LoggedEvent::blank();
        while events.next_into(&mut logged).map_err(EngineError::log)? {
            def.schema
                .upgrade(&mut logged)
                .map_err(|reason| EngineError::schema(def, reason))?;
            take(self, events.sequence().0, &logged);
            self.done += 1;
            if self.done.is_multiple_of(ASK_EVERY) && progress(self.done, self.total).is_break() {
                return Err(EngineError::Stopped);
            }
        }
        Ok(())
    }

    /// Decides about an event.
    fn look(
        &mut self,
        of: &mut OfSource<'_>,
        counts: &mut FoundSource,
        record: u64,
        logged: &LoggedEvent,
    ) {
        let row = of.program.row(logged);
        let is_its = of.is_of(self.subject, &row);
        let was_its = logged.event.before.as_ref().is_some_and(|before| {
            let before = of.program.columns(before);
            of.is_of(self.subject, &before)
        });
        self.found.is_taken |= of
            .roles
            .iter()
            .any(|slots| self.subject.is_taken(&row, slots));
        let became = self.of_trigger(of.def, record, &logged.event);
        let is_renaming = self.subject.pseudonym.is_some();
        let change = match (is_renaming, became) {
            (false, Some(Became::Removed)) => Some(Change::Removed(Kept::Origin)),
            (false, _) if is_its => Some(Change::Removed(Kept::Origin)),
            (false, _) if was_its => Some(Change::Before),
            (true, Some(Became::Renamed(id, order))) => Some(Change::Renamed {
                trigger: Some((id, order)),
            }),
            (true, _) if is_its || was_its => Some(Change::Renamed { trigger: None }),
            _ => None,
        };
        match &change {
            Some(Change::Before) => counts.before += 1,
            Some(_) => {
                counts.events += 1;
                counts.named += u64::from(is_renaming && of.work.keeps_a_name(self.subject, &row));
                self.count_others(of, &row);
            }
            None => counts.named += u64::from(self.subject.is_named_in(&logged.event.row)),
        }
        if let Some(change) = change {
            let identity = of.identity(&logged.event, &row);
            of.identities.insert(identity);
            of.rows.extend(of.table_row(&row));
            of.changes.insert(logged.position, (identity, change));
        }
    }

    fn count_others(&mut self, of: &OfSource<'_>, row: &[Value]) {
        for (entity, roles) in &self.others {
            let slots = roles.get(&of.def.id).into_iter().flatten();
            for slots in slots.filter(|slots| !of.roles.contains(slots)) {
                if slots.iter().all(|&slot| !row[slot].is_missing()) {
                    let keys = self.found.others.entry(entity.clone()).or_default();
                    keys.insert(digest_of(row, slots));
                }
            }
        }
    }

    /// What became of the version of its trigger that an emission was made of; none if it is none, or
    /// nothing happened to any version.
    fn of_trigger(&self, def: &SourceDef, record: u64, event: &Event) -> Option<Became> {
        let derived = def.derived.as_ref()?;
        let trigger = derived.trigger().source.id;
        let Some(Value::Bytes(id)) = event.row.first() else {
            return None;
        };
        let identity = (id.to_vec(), derived.event_of(event.event_time));
        let versions = self.triggers.get(&trigger)?.get(&identity)?;
        let made_for = record_of(event).unwrap_or(record);
        let known = versions.iter().filter(|v| v.record <= made_for);
        // The one that held then.
        let held = known.max_by(|a, b| (a.revision, &b.payload).cmp(&(b.revision, &a.payload)))?;
        Some(held.became.clone())
    }

    /// Looks for other versions of the identities whose events change.
    fn relatives(
        &mut self,
        of: &mut OfSource<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<(), EngineError> {
        let catalog = self.offline.catalog();
        let has_streams = catalog.derived().any(|derived| {
            let derived = derived.derived.as_ref();
            derived.is_some_and(|d| d.trigger().source.id == of.def.id)
        });
        let mut relatives: BTreeMap<u128, Vec<Relative>> = BTreeMap::new();
        let mut triggers = Triggers::new();
        // Versions of rows that go, and rows of which others stay.
        let mut versions: BTreeMap<Position, u128> = BTreeMap::new();
        let mut shared: BTreeSet<u128> = BTreeSet::new();
        let subject = self.subject;
        let of_source = &*of;
        self.read(of.def, progress, &mut |_, record, logged| {
            let row = of_source.program.row(logged);
            let identity = of_source.identity(&logged.event, &row);
            let change = of_source.changes.get(&logged.position);
            let table_row = of_source
                .table_row(&row)
                .filter(|r| of_source.rows.contains(r));
            match change {
                Some((_, Change::Removed(_))) => {
                    versions.extend(table_row.map(|row| (logged.position, row)));
                }
                _ => shared.extend(table_row),
            }
            if !of_source.identities.contains(&identity) {
                return;
            }
            let became = match change.map(|(_, change)| change) {
                Some(Change::Removed(_) | Change::Nobodys) => Became::Removed,
                Some(change @ Change::Renamed { .. }) => of_source.renamed(subject, change, logged),
                Some(Change::Before) | None => Became::Same,
            };
            relatives.entry(identity).or_default().push(Relative {
                position: logged.position,
                revision: logged.event.revision,
                payload: of_source.program.payload(&logged.event),
                stays: matches!(became, Became::Same),
            });
            if has_streams {
                let (id, _) = trigger_names(&of_source.program, logged, &row);
                let identity = (id, logged.event.event_time);
                triggers.entry(identity).or_default().push(TriggerVersion {
                    record,
                    revision: logged.event.revision,
                    payload: of_source.program.payload(&logged.event),
                    became,
                });
            }
        })?;
        for (position, (identity, change)) in &mut of.changes {
            if let Change::Removed(kept) = change {
                let relatives = relatives.get(identity).map_or(&[][..], Vec::as_slice);
                *kept = kept_of(*position, relatives);
                let is_shared = versions
                    .get(position)
                    .is_some_and(|row| shared.contains(row));
                if is_shared && *kept != Kept::Place {
                    *change = Change::Nobodys;
                }
            }
        }
        if has_streams {
            self.triggers.insert(of.def.id, triggers);
        }
        Ok(())
    }

    /// The dead letters that are about the key, or were an event of it.
    fn letters(&mut self, def: &SourceDef) -> Result<(), EngineError> {
        let changes = self.found.changes.get(&def.id.0);
        let gone: BTreeSet<(u32, u64)> = changes
            .into_iter()
            .flat_map(|changes| &changes.events)
            .map(|(partition, offset, _)| (*partition, *offset))
            .collect();
        // Elsewhere a record that names it may be about something else.
        let may_be = self.roles.contains_key(&def.id);
        let letters = self.offline.log().dead_letters(def.id);
        let (mut found, mut named) = (BTreeSet::new(), 0);
        for letter in letters.map_err(EngineError::log)? {
            let letter = letter.map_err(EngineError::log)?;
            let DeadLetterId(id) = letter.id;
            let letter = letter.letter;
            let at = letter.position.map(|at| (at.partition.0, at.offset.0));
            let names_it = self.subject.is_in_words(&letter.record)
                || self.subject.is_in_words(letter.reason.as_bytes());
            if at.is_some_and(|at| gone.contains(&at)) || may_be && names_it {
                found.insert(id);
            } else if names_it && self.subject.has_texts() {
                named += 1;
            }
        }
        self.found.counts.entry(def.id).or_default().named_letters = named;
        if !found.is_empty() {
            self.found.counts.entry(def.id).or_default().letters = found.len() as u64;
            let changes = self.found.changes.entry(def.id.0).or_default();
            changes.letters = found;
        }
        Ok(())
    }
}

impl OfSource<'_> {
    fn is_of(&self, subject: &Subject, row: &[Value]) -> bool {
        self.roles.iter().any(|slots| subject.is(row, slots))
    }

    /// What tells an event from others.
    fn identity(&self, event: &Event, row: &[Value]) -> u128 {
        xxh3_128(&self.program.identity(event, row))
    }

    /// Of which row of a table an event is a version.
    fn table_row(&self, row: &[Value]) -> Option<u128> {
        let key = self.program.key(row, &self.def.primary_key)?;
        (!self.def.primary_key.is_empty()).then(|| xxh3_128(&key))
    }

    fn renamed(&self, subject: &Subject, change: &Change, logged: &LoggedEvent) -> Became {
        let mut logged = logged.clone();
        let event = &mut logged.event;
        self.work.make(subject, change, (logged.position, event));
        let row = self.program.row(&logged);
        let (id, order) = trigger_names(&self.program, &logged, &row);
        Became::Renamed(id, order)
    }
}

/// What stays of the identity of the event at a position, by all of its identity.
fn kept_of(position: Position, relatives: &[Relative]) -> Kept {
    let stay = || relatives.iter().filter(|relative| relative.stays);
    let Some(own) = relatives.iter().find(|r| r.position == position) else {
        return Kept::Origin;
    };
    let won = |other: &Relative| other.revision == own.revision && other.payload <= own.payload;
    if stay().any(won) {
        Kept::Place
    } else if stay().next().is_some() {
        Kept::Id
    } else {
        Kept::Origin
    }
}
