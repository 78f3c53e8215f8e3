//! What the recorder remembers of one source's events to tell duplicates, conflicts and
//! corrections, and what a read needs to choose among them.
//!
//! See `docs/decisions/0001-versions-of-an-identity.md`. Pure: fed with events in log order,
//! it asks the caller for the payload of an earlier event only when an identity becomes
//! contested. The same state results whatever the batches were.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_types::definition::SourceDef;
use evenkeel_types::{EventTime, LoggedEvent, Operation, Position, SourceCut, Value, VisibleAt};
use evenkeel_view::{SourceProgram, Version, winner};
use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128;

/// How a new event stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its identity is new.
    New,
    /// The same payload under the same identity is in the same partition already: nothing to
    /// log.
    Repetition,
    /// The identity is known with the same payload in another partition: logged, changes
    /// nothing where both are known.
    Copy,
    /// The identity is known with another payload of the same revision.
    Conflict,
    /// It corrects an identity that is known, or will be.
    Correction,
}

/// The first version of an identity that has no other.
#[derive(Clone, Debug)]
struct Home {
    entry: u64,
    revision: u32,
    payload: u128,
    position: Position,
    visible_at: VisibleAt,
}

#[derive(Clone, Debug)]
enum Identity {
    Single(Home),
    /// Index into `groups`.
    Group(usize),
}

/// Identity bytes by event time.
type IdentitiesByTime = BTreeMap<i64, Box<[u8]>>;

/// See the module.
#[derive(Debug)]
pub struct SourceState {
    program: SourceProgram,
    identities: FxHashMap<Box<[u8]>, Identity>,
    groups: Vec<Vec<Version>>,
    /// Entries that belong to a group.
    group_of: FxHashMap<u64, usize>,
    /// With `DEDUPLICATE WITHIN`: per event id the identities by time.
    by_id: FxHashMap<Box<[u8]>, IdentitiesByTime>,
    /// With `DEDUPLICATE WITHIN`: entries that an earlier event of their id may drop.
    droppable: FxHashMap<u64, (Box<[u8]>, i64)>,
    entries: u64,
    greatest_time: Option<EventTime>,
    /// Positions of payloads that lost a conflict when it was noticed.
    losers: Vec<Position>,
}

/// What applying an event asks of the indexes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The event's number in its source, in log order.
    pub entry: u64,
    /// Whether a read must ask [`SourceState::holds`] for it.
    pub contested: bool,
    /// Positions of earlier events that have become contested now.
    pub newly_contested: Vec<Position>,
    /// How it stands to those before it.
    pub standing: Standing,
    /// For a conflict: the position of the payload that lost.
    pub loser: Option<Position>,
}

impl SourceState {
    /// The state of a source with no events.
    pub fn new(def: Arc<SourceDef>) -> Self {
        SourceState {
            program: SourceProgram::new(def),
            identities: FxHashMap::default(),
            groups: Vec::new(),
            group_of: FxHashMap::default(),
            by_id: FxHashMap::default(),
            droppable: FxHashMap::default(),
            entries: 0,
            greatest_time: None,
            losers: Vec::new(),
        }
    }

    /// The compiled definition.
    pub fn program(&self) -> &SourceProgram {
        &self.program
    }

    /// Events applied.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Positions of the payloads that lost a conflict when it was noticed, in log order.
    pub fn losers(&self) -> &[Position] {
        &self.losers
    }

    /// The greatest event time applied.
    pub fn greatest_time(&self) -> Option<EventTime> {
        self.greatest_time
    }

    /// How an event would stand, without applying it. `partition` is where it would go.
    pub fn standing(
        &self,
        identity: &[u8],
        payload: &[u8],
        operation: Operation,
        revision: u32,
        partition: u32,
    ) -> Standing {
        let Some(known) = self.identities.get(identity) else {
            return if operation.is_correction() {
                Standing::Correction
            } else {
                Standing::New
            };
        };
        let same = |r: u32, equal: bool| r == revision && equal;
        let (here, anywhere, rival) = match known {
            Identity::Single(home) => {
                let same = same(home.revision, home.payload == xxh3_128(payload));
                (
                    same && home.position.partition.0 == partition,
                    same,
                    home.revision == revision,
                )
            }
            Identity::Group(group) => {
                let versions = &self.groups[*group];
                let is_same = |v: &&Version| same(v.revision, *v.payload == *payload);
                (
                    versions
                        .iter()
                        .any(|v| is_same(&v) && v.position.partition.0 == partition),
                    versions.iter().any(|v| is_same(&v)),
                    versions.iter().any(|v| v.revision == revision),
                )
            }
        };
        if here {
            Standing::Repetition
        } else if anywhere {
            Standing::Copy
        } else if operation.is_correction() {
            Standing::Correction
        } else if rival {
            Standing::Conflict
        } else {
            // An original that arrives after its correction.
            Standing::Copy
        }
    }

    /// Applies an event of the log. `row` is its source row; `fetch` gives the earlier event
    /// at a position, when its payload is needed.
    pub fn apply<E>(
        &mut self,
        logged: &LoggedEvent,
        row: &[Value],
        fetch: impl Fn(Position) -> Result<LoggedEvent, E>,
    ) -> Result<Applied, E> {
        let entry = self.entries;
        let event = &logged.event;
        let identity = self.program.identity(event, row);
        let payload = self.program.payload(event);
        let standing = self.standing(
            &identity,
            &payload,
            event.operation,
            event.revision,
            logged.position.partition.0,
        );
        let mut applied = Applied {
            entry,
            contested: false,
            newly_contested: Vec::new(),
            standing,
            loser: None,
        };
        let version = Version {
            revision: event.revision,
            removed: event.operation == Operation::Remove,
            payload: payload.clone().into_boxed_slice(),
            position: logged.position,
            visible_at: logged.visible_at(),
            entry,
        };
        match self.identities.get(identity.as_slice()).cloned() {
            // A removal of what is not known yet must still win when it arrives.
            None if version.removed => {
                self.open_group(&identity, vec![version]);
                applied.contested = true;
            }
            None => {
                let home = Home {
                    entry,
                    revision: event.revision,
                    payload: xxh3_128(&payload),
                    position: logged.position,
                    visible_at: logged.visible_at(),
                };
                self.identities
                    .insert(identity.clone().into(), Identity::Single(home));
            }
            Some(Identity::Single(home)) => {
                let first = fetch(home.position)?;
                let first = Version {
                    revision: first.event.revision,
                    removed: first.event.operation == Operation::Remove,
                    payload: self.program.payload(&first.event).into_boxed_slice(),
                    position: home.position,
                    visible_at: first.visible_at(),
                    entry: home.entry,
                };
                applied.newly_contested.push(home.position);
                applied.contested = true;
                applied.loser = self.loser(standing, [&first, &version]);
                self.open_group(&identity, vec![first, version]);
            }
            Some(Identity::Group(group)) => {
                applied.contested = true;
                self.group_of.insert(entry, group);
                self.groups[group].push(version);
                let rivals = self.groups[group].iter();
                applied.loser =
                    self.loser(standing, rivals.filter(|v| v.revision == event.revision));
            }
        }
        self.deduplicate(&identity, logged, row, &mut applied);
        self.losers.extend(applied.loser);
        self.entries += 1;
        self.greatest_time = self.greatest_time.max(Some(event.event_time));
        Ok(applied)
    }

    /// The position of a conflict's payload that does not hold.
    fn loser<'a>(
        &self,
        standing: Standing,
        versions: impl IntoIterator<Item = &'a Version> + Clone,
    ) -> Option<Position> {
        if standing != Standing::Conflict {
            return None;
        }
        let holds = winner(versions.clone())?.entry;
        versions
            .into_iter()
            .filter(|v| v.entry != holds)
            .map(|v| v.position)
            .max()
    }

    fn open_group(&mut self, identity: &[u8], versions: Vec<Version>) {
        let group = self.groups.len();
        for version in &versions {
            self.group_of.insert(version.entry, group);
        }
        self.groups.push(versions);
        self.identities
            .insert(identity.into(), Identity::Group(group));
    }

    /// Registers an event of a source with `DEDUPLICATE WITHIN`, and marks those that a known
    /// event of the same id may drop.
    fn deduplicate(
        &mut self,
        identity: &[u8],
        logged: &LoggedEvent,
        row: &[Value],
        applied: &mut Applied,
    ) {
        let Some(within) = self.program.def().deduplicate_within else {
            return;
        };
        let id: Box<[u8]> = self.program.event_id(row).into();
        let time = logged.event.event_time.0;
        let times = self.by_id.entry(id.clone()).or_default();
        times.insert(time, identity.into());
        if times
            .range(time.saturating_sub(within)..time)
            .next()
            .is_some()
        {
            self.droppable.insert(applied.entry, (id.clone(), time));
            applied.contested = true;
        }
        // Later events of this id that it may drop.
        let later: Vec<(i64, Box<[u8]>)> = times
            .range(time.saturating_add(1)..=time.saturating_add(within))
            .map(|(t, identity)| (*t, identity.clone()))
            .collect();
        for (t, later_identity) in later {
            let versions: Vec<(u64, Position)> = match self.identities.get(&later_identity) {
                Some(Identity::Single(home)) => vec![(home.entry, home.position)],
                Some(Identity::Group(group)) => self.groups[*group]
                    .iter()
                    .map(|v| (v.entry, v.position))
                    .collect(),
                None => Vec::new(),
            };
            for (entry, position) in versions {
                self.droppable
                    .entry(entry)
                    .or_insert_with(|| (id.clone(), t));
                applied.newly_contested.push(position);
            }
        }
    }

    /// Whether a contested entry, itself known, is the event that holds, given what is known.
    pub fn holds(&self, entry: u64, cut: &SourceCut, known_at: Option<VisibleAt>) -> bool {
        if let Some(&group) = self.group_of.get(&entry)
            && self
                .group_winner(group, cut, known_at)
                .is_none_or(|w| w.entry != entry)
        {
            return false;
        }
        let Some((id, time)) = self.droppable.get(&entry) else {
            return true;
        };
        let Some(within) = self.program.def().deduplicate_within else {
            return true;
        };
        let Some(times) = self.by_id.get(id) else {
            return true;
        };
        !times
            .range(time.saturating_sub(within)..*time)
            .any(|(_, identity)| match self.identities.get(identity) {
                Some(Identity::Single(home)) => {
                    is_known(home.position, home.visible_at, cut, known_at)
                }
                Some(Identity::Group(group)) => self.group_winner(*group, cut, known_at).is_some(),
                None => false,
            })
    }

    /// The version of a group that holds, unless it is a removal.
    fn group_winner(
        &self,
        group: usize,
        cut: &SourceCut,
        known_at: Option<VisibleAt>,
    ) -> Option<&Version> {
        winner(
            self.groups[group]
                .iter()
                .filter(|v| is_known(v.position, v.visible_at, cut, known_at)),
        )
        .filter(|w| !w.removed)
    }
}

fn is_known(
    position: Position,
    visible_at: VisibleAt,
    cut: &SourceCut,
    known_at: Option<VisibleAt>,
) -> bool {
    cut.contains(position) && known_at.is_none_or(|k| visible_at <= k)
}
