//! Emissions as they are read: by topic, from a position on.

use std::sync::Arc;

use evenkeel_log::{LogReader, ReadOptions, Sequence};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{Cut, LoggedEvent, Offset};

use super::{PARTITION, bytes_of, made_by};
use crate::definitions::unknown;
use crate::error::EngineError;
use crate::offline::Offline;

/// A topic by its name: a derived stream.
///
/// # Errors
/// If there is none.
pub fn topic_of(catalog: &Catalog, name: &str) -> Result<Arc<SourceDef>, EngineError> {
    let found = catalog.derived().find(|topic| topic.name == name);
    found.cloned().ok_or_else(|| {
        let names: Vec<String> = catalog.derived().map(|topic| topic.name.clone()).collect();
        unknown("topic", name, &names)
    })
}

/// An emission as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    /// The event that it is.
    pub logged: LoggedEvent,
    /// What the record that it was made for is called by whoever logged it.
    pub correlation_id: Option<String>,
}

/// The emissions of a topic from a position on, in their order, at most so many, and no more after so
/// many bytes; with the columns that the topic has now.
///
/// # Errors
/// If the log cannot be read.
pub fn emissions(
    log: &LogReader,
    topic: &SourceDef,
    from: u64,
    (most, bytes_max): (usize, usize),
) -> Result<Vec<Emission>, EngineError> {
    if log.end(topic.id, PARTITION).0 <= from {
        return Ok(Vec::new());
    }
    let mut after = Cut::empty();
    after.set_end(topic.id, PARTITION, Offset(from));
    let events = log.read(ReadOptions {
        sources: Some(vec![topic.id]),
        after,
        ..ReadOptions::default()
    });
    let (mut found, mut bytes) = (Vec::new(), 0);
    for logged in events.take(most) {
        let mut logged = logged.map_err(EngineError::log)?;
        topic
            .schema
            .upgrade(&mut logged)
            .map_err(|reason| EngineError::schema(topic, reason))?;
        bytes += bytes_of(&logged.event);
        found.push(logged);
        if bytes >= bytes_max {
            break;
        }
    }
    called(log, found)
}

/// Emissions with what the records that they were made for are called.
fn called(log: &LogReader, emissions: Vec<LoggedEvent>) -> Result<Vec<Emission>, EngineError> {
    let record = |logged: &LoggedEvent| made_by(&logged.event).map(|(_, number)| Sequence(number));
    let records = emissions.iter().filter_map(record).collect();
    let calls = log.correlations(&records).map_err(EngineError::log)?;
    let with_id = |logged: LoggedEvent| Emission {
        correlation_id: record(&logged).and_then(|record| calls.get(&record).cloned()),
        logged,
    };
    Ok(emissions.into_iter().map(with_id).collect())
}

/// The position that the next emission of a topic will have.
pub fn emissions_end(log: &LogReader, topic: &SourceDef) -> u64 {
    log.end(topic.id, PARTITION).0
}

impl Offline {
    /// [`emissions_end`].
    pub fn emissions_end(&self, topic: &SourceDef) -> u64 {
        emissions_end(self.log(), topic)
    }

    /// The emissions of a topic from a position on ([`emissions`]); none named: its last ones.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub fn emissions(
        &self,
        topic: &SourceDef,
        from: Option<u64>,
        most: usize,
    ) -> Result<Vec<Emission>, EngineError> {
        let last = || emissions_end(self.log(), topic).saturating_sub(most as u64);
        let most = (most, usize::MAX);
        emissions(self.log(), topic, from.unwrap_or_else(last), most)
    }
}
