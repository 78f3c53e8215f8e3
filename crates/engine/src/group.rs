//! One commit in the making: events that are new, dead letters, and what was driven again.
//!
//! Invariant: an identity with one payload is in a partition once, however often it comes,
//! whether it was logged before or stands in this commit already.

use std::collections::BTreeMap;

use evenkeel_log::{Batch, DeadLetter, DeadLetterId, OWN_POSITION};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Event, Partition, SourceId, Value};
use rustc_hash::FxHashMap;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::source_state::Standing;

/// See the module.
#[derive(Default)]
pub(crate) struct Group {
    events: BTreeMap<(SourceId, Partition), Vec<Event>>,
    /// The schema version of each source's events.
    versions: BTreeMap<SourceId, u32>,
    letters: BTreeMap<SourceId, Vec<DeadLetter>>,
    redriven: BTreeMap<SourceId, Vec<DeadLetterId>>,
    /// What this commit holds of each identity.
    seen: FxHashMap<(SourceId, Vec<u8>), Vec<Seen>>,
}

struct Seen {
    partition: Partition,
    revision: u32,
    payload: Vec<u8>,
    index: usize,
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
    Duplicate {
        /// In this commit; `None`: in the log.
        within: Option<usize>,
    },
}

impl Group {
    /// Takes an event, unless it is known.
    ///
    /// # Errors
    /// If what is known of its identity cannot be read.
    pub(crate) fn accept(
        &mut self,
        engine: &Engine,
        def: &SourceDef,
        mut event: Event,
        partition: Partition,
    ) -> Result<Accepted, EngineError> {
        // It may have been judged before the source changed.
        let newest = engine.hot().source(def.id);
        let schema = newest.map_or(&def.schema, |s| &s.program().def().schema);
        schema
            .upgrade_event(def.schema.version(), &mut event)
            .map_err(|reason| EngineError::schema(def, reason))?;
        self.versions.insert(def.id, schema.version());
        let index = self
            .events
            .get(&(def.id, partition))
            .map_or(0, |events| events.len());
        let accepted = match newest {
            // Its identity is the position that it will get: nothing can be like it.
            _ if event.origin == OWN_POSITION && def.event_id.is_empty() => Accepted::New { index },
            None => Accepted::New { index },
            Some(state) => {
                let program = state.program();
                let mut row = program.columns(&event.row);
                row[def.event_time_slot()] = Value::Timestamp(event.event_time.0);
                let identity = program.identity(&event, &row);
                let payload = program.payload(&event);
                let standing = state.standing(&identity, &payload, &event, partition.0)?;
                let seen = Seen {
                    partition,
                    revision: event.revision,
                    payload,
                    index,
                };
                self.stand((def.id, identity), seen, standing)
            }
        };
        if !matches!(accepted, Accepted::Duplicate { .. }) {
            self.events
                .entry((def.id, partition))
                .or_default()
                .push(event);
        }
        Ok(accepted)
    }

    fn stand(&mut self, identity: (SourceId, Vec<u8>), new: Seen, standing: Standing) -> Accepted {
        if standing == Standing::Repetition {
            return Accepted::Duplicate { within: None };
        }
        let seen = self.seen.entry(identity).or_default();
        // Versions of other revisions are other versions, whatever they say.
        let mut rivals = seen.iter().filter(|s| s.revision == new.revision);
        let same = |s: &&Seen| s.payload == new.payload && s.partition == new.partition;
        if let Some(known) = rivals.clone().find(same) {
            return Accepted::Duplicate {
                within: Some(known.index),
            };
        }
        let index = new.index;
        let conflict = standing == Standing::Conflict || rivals.any(|s| s.payload != new.payload);
        seen.push(new);
        if conflict {
            Accepted::Conflict { index }
        } else {
            Accepted::New { index }
        }
    }

    /// Takes a dead letter.
    pub(crate) fn reject(&mut self, source: SourceId, letter: DeadLetter) {
        self.letters.entry(source).or_default().push(letter);
    }

    /// Takes a dead letter off the list of open ones.
    pub(crate) fn redrive(&mut self, source: SourceId, id: DeadLetterId) {
        self.redriven.entry(source).or_default().push(id);
    }

    /// What to append: events first, then dead letters, then what was driven again.
    pub(crate) fn into_batches(self) -> Vec<Batch> {
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
        events.chain(letters).chain(redriven).collect()
    }
}
