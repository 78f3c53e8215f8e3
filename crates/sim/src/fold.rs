//! What an answer must be, from the log alone: every value counted anew from the events of
//! its cut.

use std::collections::BTreeMap;

use evenkeel_types::{Cut, EventTime, Offset, Partition, SourceId};

use crate::history::{Event, Feature, Log, Tally};

/// An event with its place.
#[derive(Debug)]
struct Placed<'a> {
    partition: Partition,
    offset: Offset,
    event: &'a Event,
}

/// The events of each key, to be folded at any cut.
#[derive(Debug)]
pub struct Fold<'a> {
    of_key: BTreeMap<(SourceId, usize, u64), Vec<Placed<'a>>>,
    /// The greatest event time in each prefix of a partition.
    greatest: BTreeMap<(SourceId, Partition), Vec<EventTime>>,
}

impl<'a> Fold<'a> {
    /// Of a log.
    pub fn new(log: &'a Log) -> Self {
        let mut of_key: BTreeMap<_, Vec<Placed<'a>>> = BTreeMap::new();
        let mut greatest = BTreeMap::new();
        for (&(source, partition), events) in &log.events {
            let mut times: Vec<EventTime> = Vec::with_capacity(events.len());
            for (offset, event) in (0..).map(Offset).zip(events) {
                times.push(times.last().map_or(event.at, |last| event.at.max(*last)));
                for (entity, &key) in event.keys.iter().enumerate() {
                    of_key
                        .entry((source, entity, key))
                        .or_default()
                        .push(Placed {
                            partition,
                            offset,
                            event,
                        });
                }
            }
            greatest.insert((source, partition), times);
        }
        Fold { of_key, greatest }
    }

    /// The events of a key in a cut that hold: of each identity the smallest payload.
    ///
    /// Payloads under one identity have the same keys, so that they all are here.
    fn holding(&self, source: SourceId, entity: usize, key: u64, cut: &Cut) -> Vec<&'a Event> {
        let mut holding: BTreeMap<(&str, EventTime), &'a Event> = BTreeMap::new();
        let placed = self.of_key.get(&(source, entity, key));
        for placed in placed.into_iter().flatten() {
            if placed.offset < cut.end(source, placed.partition) {
                let identity = (placed.event.id.as_str(), placed.event.at);
                let holds = holding.entry(identity).or_insert(placed.event);
                if placed.event.version < holds.version {
                    *holds = placed.event;
                }
            }
        }
        holding.into_values().collect()
    }

    /// The value of a feature of a key.
    pub fn value(
        &self,
        feature: Feature,
        entity: usize,
        key: u64,
        cut: &Cut,
        t: EventTime,
    ) -> Tally {
        let from = feature.window.map_or(i64::MIN, |w| t.0.saturating_sub(w));
        let mut tally = Tally::default();
        for event in self.holding(feature.source, entity, key, cut) {
            if (from..=t.0).contains(&event.at.0) {
                tally.count += 1;
                tally.sum += 1 << event.bits[entity];
            }
        }
        tally
    }

    /// The bits of a key's events that are later than a time, at any cut.
    pub fn later(&self, source: SourceId, entity: usize, key: u64, t: EventTime) -> u128 {
        let placed = self
            .of_key
            .get(&(source, entity, key))
            .into_iter()
            .flatten();
        let later = placed.filter(|p| p.event.at > t);
        later.fold(0, |bits, p| bits | 1 << p.event.bits[entity])
    }

    /// The greatest event time of a source in a cut.
    pub fn greatest_time(&self, source: SourceId, cut: &Cut) -> Option<EventTime> {
        let partitions = self.greatest.iter().filter(|((s, _), _)| *s == source);
        partitions
            .filter_map(|(&(_, partition), times)| {
                let end = usize::try_from(cut.end(source, partition).0).ok()?;
                times.get(end.min(times.len()).checked_sub(1)?).copied()
            })
            .max()
    }
}
