//! How far a derived stream is, and how its emissions say so.
//!
//! What one record makes a stream emit may be more than one commit. So the last emission of a commit
//! that ends within a record says where the rest begins. Invariant: the place behind the last emission
//! is where a process that knows nothing else goes on.

use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Event, Origin, Partition, Position};

/// Stands between the definition and what is left of the record.
const REST: char = '+';

/// The first record for which not everything is emitted, and how much of it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) record: u64,
    pub(super) within: Within,
}

/// How much of a record is emitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Within {
    /// So many of its acts are done: what an event brings or changes is one.
    pub(super) acts: usize,
    /// The last event of the trigger that the next one is done for, if it is begun.
    pub(super) after: Option<Position>,
}

impl Place {
    /// Nothing of a record.
    pub(super) fn at(record: u64) -> Self {
        Place {
            record,
            within: Within::default(),
        }
    }

    /// Behind an emission; none if something else is its origin.
    pub(super) fn behind(event: &Event) -> Option<Self> {
        let Origin::Producer { id, sequence } = &event.origin else {
            return None;
        };
        Some(match id.split_once(REST) {
            None => Place::at(sequence + 1),
            Some((_, rest)) => Place {
                record: *sequence,
                within: Within::parse(rest)?,
            },
        })
    }
}

impl Within {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split('.');
        let acts = words.next()?.parse().ok()?;
        let after = match (words.next(), words.next()) {
            (Some(partition), Some(offset)) => {
                Some(Position::new(partition.parse().ok()?, offset.parse().ok()?))
            }
            _ => None,
        };
        Some(Within { acts, after })
    }

    fn words(self) -> String {
        match self.after {
            None => self.acts.to_string(),
            Some(Position {
                partition: Partition(partition),
                offset,
            }) => format!("{}.{partition}.{}", self.acts, offset.0),
        }
    }
}

/// Where the emissions of a stream come from: its definition, and the record that each was made for.
pub(super) struct Origins(String);

impl Origins {
    /// Those of a stream.
    pub(super) fn new(def: &SourceDef) -> Self {
        Origins(def.digest[..8].iter().map(|b| format!("{b:02x}")).collect())
    }

    /// That of an emission for a record.
    pub(super) fn of(&self, record: u64) -> Origin {
        Origin::Producer {
            id: self.0.clone(),
            sequence: record,
        }
    }
}

/// Says of the last emission of a commit that more of its record comes behind it.
pub(super) fn say_rest(event: &mut Event, place: Place) {
    if let Origin::Producer { id, sequence } = &mut event.origin
        && *sequence == place.record
    {
        *id = format!("{id}{REST}{}", place.within.words());
    }
}

/// What an emission was made by, as the digest of a definition, and the record that it was made
/// for; none of an event that is no emission.
pub fn made_by(event: &Event) -> Option<(&str, u64)> {
    match &event.origin {
        Origin::Producer { id, sequence } => {
            let (digest, _) = id.split_once(REST).unwrap_or((id, ""));
            Some((digest, *sequence))
        }
        _ => None,
    }
}

/// The record that an emission was made for.
pub(crate) fn record_of(event: &Event) -> Option<u64> {
    made_by(event).map(|(_, record)| record)
}

#[cfg(test)]
mod tests {
    use evenkeel_types::{EventTime, Operation};

    use super::*;

    fn emission(id: &str) -> Event {
        Event {
            operation: Operation::Insert,
            revision: 0,
            event_time: EventTime(0),
            known_at: None,
            origin: Origin::Producer {
                id: id.to_owned(),
                sequence: 7,
            },
            row: Vec::new(),
            before: None,
        }
    }

    #[test]
    fn an_emission_says_where_the_rest_of_its_record_begins() {
        let whole = emission("00ff");
        assert_eq!(Place::behind(&whole), Some(Place::at(8)));
        let places = [(0, None), (3, None), (2, Some(Position::new(4, 5)))];
        for (acts, after) in places {
            let place = Place {
                record: 7,
                within: Within { acts, after },
            };
            let mut event = emission("00ff");
            say_rest(&mut event, place);
            assert_eq!(Place::behind(&event), Some(place));
            assert_eq!(made_by(&event), Some(("00ff", 7)));
        }
        // The rest of another record says nothing about it.
        let mut event = emission("00ff");
        say_rest(&mut event, Place::at(8));
        assert_eq!(event, whole);
    }
}
