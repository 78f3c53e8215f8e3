//! How far the log has each file of a source: the last row among the origins.

use std::collections::BTreeMap;

use evenkeel_log::{LogReader, ReadOptions};
use evenkeel_types::Origin;
use evenkeel_types::definition::SourceDef;

use crate::error::EngineError;

/// The number of the row after the last one in the log, by digest or id.
pub type Origins = BTreeMap<[u8; 16], u64>;

/// Reads the origins of a source's events and dead letters.
///
/// # Errors
/// Of the log.
pub fn origins(log: &LogReader, def: &SourceDef) -> Result<Origins, EngineError> {
    let mut origins = Origins::new();
    let mut count = |origin: &Origin| {
        if let Origin::File { digest, row } = origin {
            let next = origins.entry(*digest).or_default();
            *next = (row + 1).max(*next);
        }
    };
    let options = ReadOptions {
        sources: Some(vec![def.id]),
        ..ReadOptions::default()
    };
    for logged in log.read(options) {
        count(&logged.map_err(EngineError::log)?.event.origin);
    }
    let letters = log.dead_letters(def.id);
    for letter in letters.map_err(EngineError::log)? {
        let letter = letter.map_err(EngineError::log)?.letter;
        letter.origin.iter().for_each(&mut count);
    }
    Ok(origins)
}
