//! What becomes of each record: by source and place, decided once and then the same in log and lake.
//!
//! Invariant: a change keeps an event's place, times, revision and the number of its values, and made once
//! more it changes nothing; so whoever was stopped begins again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use evenkeel_log::{DeadLetter, DeadLetterId, Rewriting};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{Event, LoggedEvent, Operation, Origin, Partition, Position, SourceId, Value};
use evenkeel_view::SourceProgram;
use serde::{Deserialize, Serialize};

use super::subject::Subject;

/// What stands in dead letters in the place of the reason.
const REASON: &str = "forgotten";

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    /// Nothing happened there: a removal without a row, which belongs to no key.
    Removed(Kept),
    /// A version of a table's row that is nobody's: it ends the row of another key, as it did. Primary key and
    /// what orders versions stay.
    Nobodys,
    /// The row before it goes; the event is somebody else's.
    Before,
    /// The pseudonym takes the key's place.
    Renamed {
        /// Of an emission: identity and order of its trigger, which are others now.
        trigger: Option<(Vec<u8>, Vec<u8>)>,
    },
}

/// What stays of the identity of an event that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kept {
    /// Where it came from, so that it is known if it comes again.
    Origin,
    /// That and its event id: other versions of it are somebody else's, and must not be taken for its
    /// first.
    Id,
    /// Nothing that tells it from others: of its revision somebody else's payload won, and would lose to a
    /// removal.
    Place,
}

/// What becomes of the records of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SourceChanges {
    /// The columns that hold the key.
    pub(super) roles: Vec<Vec<usize>>,
    /// The columns that hold keys of other entities.
    pub(super) others: BTreeSet<usize>,
    /// By partition and offset.
    pub(super) events: Vec<(u32, u64, Change)>,
    /// Numbers of dead letters that are emptied.
    pub(super) letters: BTreeSet<u64>,
}

/// The changes of a source, to be made.
pub(crate) struct SourceWork {
    roles: Vec<Vec<usize>>,
    events: BTreeMap<(u32, u64), Change>,
    letters: BTreeSet<u64>,
    /// Stored columns of the event id that are no part of the key.
    id: BTreeSet<usize>,
    /// Those, and stored columns of the primary key and of the order of versions.
    version: BTreeSet<usize>,
    /// Those, and columns that hold keys of other entities: what stays as it is where a text names the
    /// key.
    others: BTreeSet<usize>,
    /// Whether where an event came from is its identity.
    is_origin: bool,
    /// Whether it is a derived stream, whose emissions say in their origin how far it is.
    is_derived: bool,
    /// Of a derived stream: where it has the order of its trigger.
    order: Option<usize>,
}

/// All changes. See the module.
pub(crate) struct Work {
    subject: Subject,
    sources: BTreeMap<SourceId, SourceWork>,
}

impl SourceWork {
    pub(super) fn of(def: &Arc<SourceDef>, changes: &SourceChanges) -> Self {
        let program = SourceProgram::new(Arc::clone(def));
        let kept = |slots: &mut dyn Iterator<Item = usize>| {
            let mut kept = program.with_inputs(slots);
            kept.retain(|slot| {
                *slot < def.stored && !changes.roles.iter().any(|r| r.contains(slot))
            });
            kept
        };
        let version = [&def.event_id, &def.primary_key, &def.sequence_by];
        let version = kept(&mut version.into_iter().flatten().copied());
        let others = kept(&mut changes.others.iter().copied());
        SourceWork {
            id: kept(&mut def.event_id.iter().copied()),
            others: others.union(&version).copied().collect(),
            version,
            roles: changes.roles.clone(),
            events: changes
                .events
                .iter()
                .map(|(partition, offset, change)| ((*partition, *offset), change.clone()))
                .collect(),
            letters: changes.letters.clone(),
            is_origin: def.event_id.is_empty(),
            is_derived: def.derived.is_some(),
            order: def.derived.as_ref().and(def.sequence_by.first().copied()),
        }
    }

    /// The offsets of events that change, of any partition.
    pub(crate) fn offsets(&self) -> BTreeSet<u64> {
        self.events.keys().map(|(_, offset)| *offset).collect()
    }

    /// Whether an event that is given another key names this one in a column that stays as it is.
    pub(super) fn keeps_a_name(&self, subject: &Subject, row: &[Value]) -> bool {
        let mut kept = self.others.iter().filter_map(|slot| row.get(*slot));
        kept.any(|value| subject.is_named_in(std::slice::from_ref(value)))
    }

    /// Makes a change.
    pub(super) fn make(
        &self,
        subject: &Subject,
        change: &Change,
        (position, event): (Position, &mut Event),
    ) {
        match change {
            Change::Removed(kept) => {
                event.operation = Operation::Remove;
                event.known_at = None;
                event.before = None;
                match kept {
                    Kept::Id => keep_only(&mut event.row, &self.id),
                    Kept::Origin | Kept::Place => event.row.fill(Value::Null),
                }
                if *kept == Kept::Place && self.is_origin {
                    event.origin = Origin::Log(position);
                }
            }
            Change::Nobodys => {
                event.before = None;
                keep_only(&mut event.row, &self.version);
            }
            Change::Before => event.before = None,
            Change::Renamed { trigger } => {
                subject.replace(&mut event.row, &self.roles, &self.others);
                if let Some(before) = &mut event.before {
                    subject.replace(before, &self.roles, &self.others);
                }
                if let Some((id, order)) = trigger {
                    for row in [Some(&mut event.row), event.before.as_mut()]
                        .into_iter()
                        .flatten()
                    {
                        set(row, Some(0), id);
                        set(row, self.order, order);
                    }
                }
            }
        }
        let named = match &event.origin {
            Origin::Kafka { topic: text, .. } | Origin::Producer { id: text, .. } => text,
            Origin::File { .. } | Origin::Log(_) => return,
        };
        if subject.is_named(named) && !self.is_derived {
            event.origin = Origin::Log(position);
        }
    }
}

fn keep_only(row: &mut [Value], slots: &BTreeSet<usize>) {
    let others = row.iter_mut().enumerate();
    for (_, value) in others.filter(|(slot, _)| !slots.contains(slot)) {
        *value = Value::Null;
    }
}

fn set(row: &mut [Value], slot: Option<usize>, bytes: &[u8]) {
    if let Some(value) = slot.and_then(|slot| row.get_mut(slot)) {
        *value = Value::Bytes(bytes.into());
    }
}

impl Work {
    pub(super) fn of(
        catalog: &Catalog,
        subject: &Subject,
        changes: &BTreeMap<u32, SourceChanges>,
    ) -> Self {
        let sources = changes.iter().filter_map(|(id, changes)| {
            let id = SourceId(*id);
            Some((id, SourceWork::of(catalog.source_by_id(id)?, changes)))
        });
        Work {
            subject: subject.clone(),
            sources: sources.collect(),
        }
    }

    /// The changes of a source.
    pub(crate) fn source(&self, id: SourceId) -> Option<&SourceWork> {
        self.sources.get(&id)
    }

    /// Makes the change of an event, if it has one; whether it has.
    pub(crate) fn change_event(&self, logged: &mut LoggedEvent) -> bool {
        let Some(work) = self.sources.get(&logged.source) else {
            return false;
        };
        let Position { partition, offset } = logged.position;
        let Some(change) = work.events.get(&(partition.0, offset.0)) else {
            return false;
        };
        let event = &mut logged.event;
        work.make(&self.subject, change, (logged.position, event));
        true
    }
}

impl Rewriting for Work {
    fn touches(&self, source: SourceId, partition: Partition, offsets: Range<u64>) -> bool {
        self.sources.get(&source).is_some_and(|work| {
            let wanted = (partition.0, offsets.start)..(partition.0, offsets.end);
            work.events.range(wanted).next().is_some()
        })
    }

    fn change(&mut self, event: &mut LoggedEvent) {
        self.change_event(event);
    }

    fn touches_letters(&self, source: SourceId, ids: Range<u64>) -> bool {
        let work = self.sources.get(&source);
        work.is_some_and(|work| work.letters.range(ids).next().is_some())
    }

    fn change_letter(&mut self, source: SourceId, id: DeadLetterId, letter: &mut DeadLetter) {
        let work = self.sources.get(&source);
        if !work.is_some_and(|work| work.letters.contains(&id.0)) {
            return;
        }
        letter.record.clear();
        REASON.clone_into(&mut letter.reason);
        letter.origin = letter.origin.take().filter(|origin| match origin {
            Origin::Kafka { topic: text, .. } | Origin::Producer { id: text, .. } => {
                !self.subject.is_named(text)
            }
            Origin::File { .. } | Origin::Log(_) => true,
        });
    }
}
