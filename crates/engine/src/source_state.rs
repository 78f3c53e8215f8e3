//! What the recorder remembers of one source's events to tell duplicates, conflicts and
//! corrections, and what a read needs to choose among them.
//!
//! See `docs/decisions/0001-versions-of-an-identity.md`. Pure: fed with events in log order,
//! it asks the caller for the payload of an earlier event only when an identity becomes
//! contested. The same state results whatever the batches were.

use std::sync::Arc;

use evenkeel_store::StoreError;
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{
    Event, EventTime, LoggedEvent, Operation, Position, SourceCut, Value, VisibleAt,
};
use evenkeel_view::{SourceProgram, Version, winner};
use xxhash_rust::xxh3::xxh3_128;

use crate::ledger::{Home, Identity, IdentityKey, Ledger, PayloadDigest, identity_key};

/// How a new event stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its identity is new.
    New,
    /// The same payload under the same identity is in the same partition already: nothing to
    /// log. An identity that is an origin is one event's wherever it is.
    Repetition {
        /// Where the event is.
        first: Position,
    },
    /// The event id is known with the same payload in another partition: logged, changes
    /// nothing where both are known.
    Copy,
    /// The identity is known with another payload of the same revision.
    Conflict,
    /// It corrects an identity that is known, or will be.
    Correction,
}

/// See the module.
#[derive(Debug)]
pub struct SourceState {
    program: SourceProgram,
    pub(crate) ledger: Ledger,
    entries: u64,
    greatest_time: Option<EventTime>,
}

/// By what an event is told from others of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Its identity's.
    pub(crate) key: IdentityKey,
    /// Digest of its payload.
    pub(crate) payload: PayloadDigest,
}

impl Marks {
    /// Of an event with this source row and payload.
    pub(crate) fn of(
        program: &SourceProgram,
        event: &Event,
        row: &[Value],
        payload: &[u8],
    ) -> Self {
        let def = program.def();
        // An origin is an identity whatever time the event says.
        let time = match def.event_id.is_empty() {
            true => 0,
            false => event.event_time.0,
        };
        Marks {
            key: identity_key(def.id, time, &program.identity(event, row)),
            payload: xxh3_128(payload).to_le_bytes(),
        }
    }
}

/// What an event changes about what holds under its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing held before.
    Begins,
    /// It holds now, in place of what is logged here.
    Replaces(Position),
    /// Nothing holds any more, of what is logged here.
    Ends(Position),
}

/// The newest version of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) revision: u32,
    pub(crate) position: Position,
    pub(crate) removed: bool,
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
    /// The state of a source, as of a checkpoint: so many events, the greatest of their times,
    /// and their identities.
    pub(crate) fn new(
        def: Arc<SourceDef>,
        entries: u64,
        greatest_time: Option<EventTime>,
        ledger: Ledger,
    ) -> Self {
        SourceState {
            greatest_time,
            ledger,
            program: SourceProgram::new(def),
            entries,
        }
    }

    /// Takes another definition of the same source, in which events are told apart as before.
    pub(crate) fn redefine(&mut self, def: Arc<SourceDef>) {
        if !Arc::ptr_eq(self.program.def(), &def) {
            self.program = SourceProgram::new(def);
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

    /// The greatest event time applied.
    pub fn greatest_time(&self) -> Option<EventTime> {
        self.greatest_time
    }

    /// How an event would stand, without applying it. `partition` is where it would go. Its
    /// marks are those of the ledger that there is now from then on.
    ///
    /// # Errors
    /// If what is known of its identity cannot be read.
    pub(crate) fn standing(
        &self,
        marks: &mut Marks,
        event: &Event,
        partition: u32,
    ) -> Result<Standing, StoreError> {
        self.ledger.take_over(&mut marks.key);
        let known = self.ledger.identity(&marks.key)?;
        Ok(self.stands(known.as_ref(), marks, event, partition))
    }

    /// Where the earlier events are that applying an event asks for: those that become contested
    /// by it. Its marks are those of the ledger that there is now.
    ///
    /// # Errors
    /// If what is known of identities cannot be read.
    pub(crate) fn asks_for(
        &self,
        marks: &Marks,
        event: &Event,
        row: &[Value],
    ) -> Result<Vec<Position>, StoreError> {
        let mut places = Vec::new();
        if let Some(Identity::Single(home)) = self.ledger.identity(&marks.key)? {
            places.push(home.position);
        }
        if let Some(within) = self.program.def().deduplicate_within {
            let time = event.event_time.0;
            let later = time.saturating_add(1)..=time.saturating_add(within);
            let id = self.program.event_id(row);
            for later in self.ledger.times(&id, later)?.values() {
                let versions = self.versions_of(later)?;
                places.extend(versions.iter().map(|(_, position)| *position));
            }
        }
        Ok(places)
    }

    /// The numbers and the places of the events of an identity.
    fn versions_of(&self, key: &IdentityKey) -> Result<Vec<(u64, Position)>, StoreError> {
        Ok(match self.ledger.identity(key)? {
            Some(Identity::Single(home)) => vec![(home.entry, home.position)],
            Some(Identity::Group(versions)) => {
                versions.iter().map(|v| (v.entry, v.position)).collect()
            }
            None => Vec::new(),
        })
    }

    /// Applies an event of the log. `row` is its source row; `marks` are its own, if they were
    /// made before, and `is_first` says that nothing was known then of its identity, and nothing else of
    /// its commit has it; `fetch` gives the earlier event at a position, when its payload is needed.
    ///
    /// # Errors
    /// If what is known of its identity, or an earlier event, cannot be read.
    pub(crate) fn apply<E: From<StoreError>>(
        &mut self,
        logged: &LoggedEvent,
        row: &[Value],
        marks: Option<Marks>,
        is_first: bool,
        fetch: impl Fn(Position) -> Result<LoggedEvent, E>,
    ) -> Result<Applied, E> {
        let entry = self.entries;
        let event = &logged.event;
        let make = || Marks::of(&self.program, event, row, &self.program.payload(event));
        let mut marks = marks.unwrap_or_else(make);
        // In another ledger it was not looked for.
        let is_first = self.ledger.take_over(&mut marks.key) && is_first;
        let known = match is_first {
            true => None,
            false => self.ledger.identity(&marks.key)?,
        };
        debug_assert!(
            !is_first || !matches!(self.ledger.identity(&marks.key), Ok(Some(_))),
            "nobody else writes between judging and applying"
        );
        let standing = self.stands(known.as_ref(), &marks, event, logged.position.partition.0);
        let Marks { key, payload } = marks;
        let mut applied = Applied {
            entry,
            contested: false,
            newly_contested: Vec::new(),
            standing,
            loser: None,
        };
        let program = &self.program;
        let version = || Version {
            revision: event.revision,
            removed: event.operation == Operation::Remove,
            payload: program.payload(event).into_boxed_slice(),
            position: logged.position,
            visible_at: logged.visible_at(),
            entry,
        };
        match known {
            // A removal of what is not known yet must still win when it arrives.
            None if event.operation == Operation::Remove => {
                let version = version();
                self.compete(&key, vec![version])?;
                applied.contested = true;
            }
            None => {
                let home = Home {
                    entry,
                    revision: event.revision,
                    payload,
                    position: logged.position,
                    visible_at: logged.visible_at(),
                };
                self.ledger
                    .set_identity(key.clone(), Identity::Single(home));
            }
            Some(Identity::Single(home)) => {
                let version = version();
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
                applied.loser = loser(standing, [&first], &version);
                self.compete(&key, vec![first, version])?;
            }
            Some(Identity::Group(mut versions)) => {
                let version = version();
                applied.contested = true;
                let rivals = versions.iter().filter(|v| v.revision == event.revision);
                applied.loser = loser(standing, rivals, &version);
                versions.push(version);
                self.compete(&key, versions)?;
            }
        }
        self.deduplicate(&key, logged, row, &mut applied)?;
        self.entries += 1;
        self.greatest_time = self.greatest_time.max(Some(event.event_time));
        Ok(applied)
    }

    /// How an event stands to what is known of its identity.
    fn stands(
        &self,
        known: Option<&Identity>,
        marks: &Marks,
        event: &Event,
        partition: u32,
    ) -> Standing {
        let revision = event.revision;
        let is_correction = event.operation.is_correction();
        let Some(known) = known else {
            return if is_correction {
                Standing::Correction
            } else {
                Standing::New
            };
        };
        let is_here = |at: &Position| at.partition.0 == partition;
        let (anywhere, here, rival) = match known {
            Identity::Single(home) => {
                let same = home.revision == revision && home.payload == marks.payload;
                let anywhere = same.then_some(home.position);
                (
                    anywhere,
                    anywhere.filter(is_here),
                    home.revision == revision,
                )
            }
            Identity::Group(versions) => {
                let payload = self.program.payload(event);
                let same = versions
                    .iter()
                    .filter(|v| v.revision == revision && *v.payload == *payload);
                let mut places = same.map(|v| v.position);
                (
                    places.clone().next(),
                    places.find(is_here),
                    versions.iter().any(|v| v.revision == revision),
                )
            }
        };
        // Where an event came from says which it is. It goes to another partition than before if
        // the bytes of its row, which decide it, have become wider.
        let is_origin = self.program.def().event_id.is_empty();
        if let Some(first) = here.or(anywhere.filter(|_| is_origin)) {
            Standing::Repetition { first }
        } else if anywhere.is_some() {
            Standing::Copy
        } else if is_correction {
            Standing::Correction
        } else if rival {
            Standing::Conflict
        } else {
            // An original that arrives after its correction.
            Standing::Copy
        }
    }

    /// Sets the versions that compete under an identity.
    fn compete(&mut self, key: &IdentityKey, versions: Vec<Version>) -> Result<(), StoreError> {
        for version in &versions {
            let identity = Some(key.clone());
            self.ledger
                .change_contested(version.entry, |contested| contested.identity = identity)?;
        }
        self.ledger
            .set_identity(key.clone(), Identity::Group(versions));
        Ok(())
    }

    /// Registers an event of a source with `DEDUPLICATE WITHIN`, and marks those that a known
    /// event of the same id may drop.
    fn deduplicate(
        &mut self,
        key: &IdentityKey,
        logged: &LoggedEvent,
        row: &[Value],
        applied: &mut Applied,
    ) -> Result<(), StoreError> {
        let Some(within) = self.program.def().deduplicate_within else {
            return Ok(());
        };
        let id: Box<[u8]> = self.program.event_id(row).into();
        let time = logged.event.event_time.0;
        self.ledger.set_time(&id, time, key.clone());
        let near = time.saturating_sub(within)..=time.saturating_add(within);
        let times = self.ledger.times(&id, near)?;
        if times.range(..time).next().is_some() {
            self.ledger.change_contested(applied.entry, |contested| {
                contested.droppable = Some((id.clone(), time));
            })?;
            applied.contested = true;
        }
        // Later events of this id that it may drop.
        for (t, later) in times.range(time.saturating_add(1)..) {
            for (entry, position) in self.versions_of(later)? {
                self.ledger.change_contested(entry, |contested| {
                    contested.droppable.get_or_insert((id.clone(), *t));
                })?;
                applied.newly_contested.push(position);
            }
        }
        Ok(())
    }

    /// What an event that is applied changes about its identity at a cut that ends with it; none
    /// if it changes nothing there.
    ///
    /// # Errors
    /// If what is known of the identity cannot be read.
    pub(crate) fn turn(
        &self,
        logged: &LoggedEvent,
        row: &[Value],
        cut: &SourceCut,
    ) -> Result<Option<Turn>, StoreError> {
        let Some(Identity::Group(versions)) = self.identity_of(&logged.event, row)? else {
            return Ok(Some(Turn::Begins));
        };
        let is_in = |v: &&Version| cut.contains(v.position);
        let now = winner(versions.iter().filter(is_in)).filter(|v| !v.removed);
        let earlier = versions.iter().filter(is_in);
        let before = winner(earlier.filter(|v| v.position != logged.position));
        let before = before.filter(|v| !v.removed);
        Ok(match (before, now) {
            (None, None) => None,
            (None, Some(_)) => Some(Turn::Begins),
            (Some(before), None) => Some(Turn::Ends(before.position)),
            // A copy that was visible earlier says nothing else.
            (Some(before), Some(now))
                if (before.revision, &before.payload) == (now.revision, &now.payload) =>
            {
                None
            }
            (Some(before), Some(_)) => Some(Turn::Replaces(before.position)),
        })
    }

    /// Where the version is that holds at a cut under the identity of an event; none if none does.
    ///
    /// # Errors
    /// If what is known of the identity cannot be read.
    pub(crate) fn holding(
        &self,
        logged: &LoggedEvent,
        row: &[Value],
        cut: &SourceCut,
    ) -> Result<Option<Position>, StoreError> {
        let position = match self.identity_of(&logged.event, row)? {
            None => None,
            Some(Identity::Single(home)) => cut.contains(home.position).then_some(home.position),
            Some(Identity::Group(versions)) => {
                let known = winner(versions.iter().filter(|v| cut.contains(v.position)));
                known.filter(|v| !v.removed).map(|v| v.position)
            }
        };
        Ok(position)
    }

    /// The newest version of an identity, of a source whose revisions are told apart by who writes
    /// it.
    ///
    /// # Errors
    /// If what is known of the identity cannot be read.
    pub(crate) fn newest(&self, key: &IdentityKey) -> Result<Option<Newest>, StoreError> {
        let mut key = key.clone();
        self.ledger.take_over(&mut key);
        Ok(match self.ledger.identity(&key)? {
            None => None,
            Some(Identity::Single(home)) => Some(Newest {
                revision: home.revision,
                position: home.position,
                removed: false,
            }),
            Some(Identity::Group(versions)) => winner(&versions).map(|v| Newest {
                revision: v.revision,
                position: v.position,
                removed: v.removed,
            }),
        })
    }

    fn identity_of(&self, event: &Event, row: &[Value]) -> Result<Option<Identity>, StoreError> {
        let mut marks = Marks::of(&self.program, event, row, &[]);
        self.ledger.take_over(&mut marks.key);
        self.ledger.identity(&marks.key)
    }

    /// Whether a contested entry, itself known, is the event that holds, given what is known.
    ///
    /// # Errors
    /// If what decides about it cannot be read.
    pub fn holds(
        &self,
        entry: u64,
        cut: &SourceCut,
        known_at: Option<VisibleAt>,
    ) -> Result<bool, StoreError> {
        let Some(contested) = self.ledger.contested(entry)? else {
            return Ok(true);
        };
        if let Some(identity) = &contested.identity
            && let Some(Identity::Group(versions)) = self.ledger.identity(identity)?
            && group_winner(&versions, cut, known_at).is_none_or(|w| w.entry != entry)
        {
            return Ok(false);
        }
        match contested.droppable {
            None => Ok(true),
            Some((id, time)) => Ok(!self.is_preceded(&id, time, cut, known_at)?),
        }
    }

    /// Whether an event that is not logged would be dropped by one that is (`DEDUPLICATE WITHIN`).
    ///
    /// # Errors
    /// If what decides about it cannot be read.
    pub(crate) fn would_drop(
        &self,
        event: &Event,
        row: &[Value],
        cut: &SourceCut,
    ) -> Result<bool, StoreError> {
        let id = self.program.event_id(row);
        self.is_preceded(&id, event.event_time.0, cut, None)
    }

    /// Whether another event of an id, dropped or not, precedes a time by at most what drops one.
    fn is_preceded(
        &self,
        id: &[u8],
        time: i64,
        cut: &SourceCut,
        known_at: Option<VisibleAt>,
    ) -> Result<bool, StoreError> {
        let Some(within) = self.program.def().deduplicate_within else {
            return Ok(false);
        };
        let Some(before) = time.checked_sub(1) else {
            return Ok(false);
        };
        for identity in self
            .ledger
            .times(id, time.saturating_sub(within)..=before)?
            .values()
        {
            let is_there = match self.ledger.identity(identity)? {
                Some(Identity::Single(home)) => {
                    is_known(home.position, home.visible_at, cut, known_at)
                }
                Some(Identity::Group(versions)) => group_winner(&versions, cut, known_at).is_some(),
                None => false,
            };
            if is_there {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The position of the payload that a conflict leaves behind: the new one, or the one that
/// held until now. The others lost before, and were told then.
fn loser<'a>(
    standing: Standing,
    before: impl IntoIterator<Item = &'a Version>,
    new: &'a Version,
) -> Option<Position> {
    if standing != Standing::Conflict {
        return None;
    }
    let held = winner(before)?;
    match winner([held, new])?.entry == new.entry {
        true => Some(held.position),
        false => Some(new.position),
    }
}

/// The version that holds among those that are known, unless it is a removal.
fn group_winner<'a>(
    versions: &'a [Version],
    cut: &SourceCut,
    known_at: Option<VisibleAt>,
) -> Option<&'a Version> {
    let known = versions
        .iter()
        .filter(|v| is_known(v.position, v.visible_at, cut, known_at));
    winner(known).filter(|w| !w.removed)
}

fn is_known(
    position: Position,
    visible_at: VisibleAt,
    cut: &SourceCut,
    known_at: Option<VisibleAt>,
) -> bool {
    cut.contains(position) && known_at.is_none_or(|k| visible_at <= k)
}
