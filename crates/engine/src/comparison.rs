//! Sources that are compared with the truth on a schedule, and what that found.
//!
//! Owns which source, when, with what, and one record per source in `comparisons/` of the store
//! (`docs/format/comparison.md`). How a difference is found and logged is
//! [`correction`](crate::correction)'s; of a table of another system it is a snapshot. Invariant: a
//! record is written after what it counts is durable.

use std::path::Path;
use std::sync::Arc;

use evenkeel_types::definition::{Catalog, OptionValue, SourceDef};
use evenkeel_types::time::DAY;
use evenkeel_types::{EventTime, Schedule};
use serde::{Deserialize, Serialize};

use crate::correction::{Period, Truth};
use crate::error::EngineError;
use crate::offline::Offline;
use crate::record_file::{self, DamagedRecord};

/// The version of the format that is written.
const COMPARISON_FORMAT: u32 = 1;
/// The folder in the store.
const COMPARISONS: &str = "comparisons";

/// A source that is compared with files on a schedule.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The source.
    pub source: Arc<SourceDef>,
    /// When.
    pub schedule: Schedule,
    with: String,
    days: i64,
}

/// When a source is compared; none if it is not.
pub fn comparison_schedule(source: &SourceDef) -> Option<Schedule> {
    Schedule::parse(text_of(source, "compare_schedule")?, &source.zone).ok()
}

fn text_of<'d>(source: &'d SourceDef, option: &str) -> Option<&'d str> {
    match source.options.get(option) {
        Some(OptionValue::Text(text)) => Some(text),
        _ => None,
    }
}

impl Comparison {
    /// Of a source, if it is compared with files.
    pub fn of(source: &Arc<SourceDef>) -> Option<Self> {
        Some(Comparison {
            schedule: comparison_schedule(source)?,
            with: text_of(source, "compare_with")?.to_owned(),
            days: text_of(source, "compare_days").map_or(Some(1), |text| text.parse().ok())?,
            source: Arc::clone(source),
        })
    }

    /// All of them, by name.
    pub fn all(catalog: &Catalog) -> Vec<Self> {
        catalog
            .sources
            .values()
            .filter_map(Comparison::of)
            .collect()
    }

    /// The days before a moment that is due.
    ///
    /// # Errors
    /// If they are before the beginning of time.
    pub fn period(&self, due: EventTime) -> Result<Period, EngineError> {
        let from = due.0.saturating_sub(self.days.saturating_mul(DAY));
        Period::new(EventTime(from), due)
    }

    /// The files with the truth.
    ///
    /// # Errors
    /// If there are none.
    pub fn truth(&self, offline: &Offline) -> Result<Truth, EngineError> {
        Truth::open(&self.source, offline.root(), &self.with)
    }
}

/// What comparisons of a source found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparisonRecord {
    /// The moment for which it was compared last, microseconds.
    pub at: i64,
    /// Events that differed then.
    pub differences: u64,
    /// How often it was compared.
    pub comparisons: u64,
    /// Events that differed at all times together.
    pub differences_total: u64,
}

impl ComparisonRecord {
    /// The record of a source in a store's directory; none if it was not compared.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn read(store: &Path, source: &str) -> Result<Option<Self>, EngineError> {
        record_file::read(&store.join(COMPARISONS), source, COMPARISON_FORMAT)
    }

    /// Records that are not as they were written.
    pub(crate) fn damaged(store: &Path) -> Result<Vec<DamagedRecord>, EngineError> {
        let folder = store.join(COMPARISONS);
        record_file::damaged_in(&folder, record_file::is_record, |path, bytes| {
            record_file::parse::<Self>(path, bytes, COMPARISON_FORMAT)
        })
    }

    /// Records what a comparison found.
    ///
    /// # Errors
    /// If it cannot be written. A record that is damaged begins anew.
    pub fn add(
        store: &Path,
        source: &str,
        at: EventTime,
        differences: u64,
    ) -> Result<(), EngineError> {
        let before = Self::read(store, source).unwrap_or_default();
        let (comparisons, total) = before.map_or((0, 0), |b| (b.comparisons, b.differences_total));
        let record = ComparisonRecord {
            at: at.0,
            differences,
            comparisons: comparisons + 1,
            differences_total: total + differences,
        };
        record_file::write(&store.join(COMPARISONS), source, COMPARISON_FORMAT, record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_counted() {
        let store = tempfile::tempdir().unwrap();
        let read = || ComparisonRecord::read(store.path(), "orders").unwrap();
        assert_eq!(read(), None);
        for (at, differences) in [(1, 3), (2, 0), (3, 4)] {
            ComparisonRecord::add(store.path(), "orders", EventTime(at), differences).unwrap();
        }
        let record = read().unwrap();
        assert_eq!((record.at, record.differences), (3, 4));
        assert_eq!((record.comparisons, record.differences_total), (3, 7));
    }

    #[test]
    fn a_record_of_the_first_format_opens_and_what_was_changed_is_refused() {
        let text = include_str!("../tests/fixtures/comparisons/1.json");
        let parse = |text: &str| -> Result<ComparisonRecord, EngineError> {
            record_file::parse("x".into(), text.as_bytes(), COMPARISON_FORMAT)
        };
        assert_eq!(parse(text).unwrap().differences_total, 7);
        assert!(parse(&text.replace("\"at\": 3", "\"at\": 4")).is_err());
        let newer = text.replace("\"format\": 1", "\"format\": 2, \"more\": 1");
        assert!(matches!(
            parse(&newer),
            Err(EngineError::StoreFormat { format: 2, .. })
        ));
    }
}
