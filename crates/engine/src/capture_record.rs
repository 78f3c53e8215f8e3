//! How far a table of another system was followed: one file per source in `captures/` of the store
//! (`docs/format/capture.md`).
//!
//! Invariant: what it says was durable before it was written. It may be behind the log, never ahead:
//! what is read again is known by its origin.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::record_file::{self, DamagedRecord};

/// The newest version of the format: the first one with GTIDs. A record without is of the version before, which
/// is all that it needs to be read.
const CAPTURE_FORMAT: u32 = 2;
const CAPTURE_FORMAT_WITHOUT_GTIDS: u32 = 1;
/// The folder in the store.
pub(crate) const CAPTURES: &str = "captures";

/// A place in a server's log of changes, between two transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapturePlace {
    /// What the server is told apart by.
    pub server: String,
    /// The table, with its database.
    pub table: String,
    /// The file of the log.
    pub file: String,
    /// When that was begun, in seconds, as its first event says: a log that begins anew has files of
    /// the same names. 0: it was not read yet.
    pub created: u32,
    /// The position in it.
    pub position: u64,
    /// The time of the last change, microseconds: none behind it is dated before.
    pub time: i64,
    /// The table's columns in the last rows, in words; none: no row was read.
    pub columns: Option<Vec<String>>,
    /// Where rows are named by GTIDs: the place holds on another server that has them, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtids: Option<CaptureGtids>,
    /// A snapshot was begun since, some of whose differences may be logged: it is taken again.
    pub snapshot: bool,
}

/// What rows behind a place are named by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureGtids {
    /// The transactions before it.
    pub before: String,
    /// The history that they are of: a server may give their numbers again to others.
    pub era: String,
}

/// What is beside the format and the source.
#[derive(Serialize, Deserialize)]
struct Body {
    place: CapturePlace,
}

impl CapturePlace {
    /// How far a source was followed, by the record in a store's directory; none if it was not.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub fn read(store: &Path, source: &str) -> Result<Option<Self>, EngineError> {
        let body = record_file::read(&store.join(CAPTURES), source, CAPTURE_FORMAT)?;
        Ok(body.map(|Body { place }| place))
    }

    /// Records that are not as they were written.
    pub(crate) fn damaged(store: &Path) -> Result<Vec<DamagedRecord>, EngineError> {
        record_file::damaged_in(
            &store.join(CAPTURES),
            record_file::is_record,
            |path, bytes| record_file::parse::<Body>(path, bytes, CAPTURE_FORMAT),
        )
    }

    /// Records it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(self, store: &Path, source: &str) -> Result<(), EngineError> {
        let format = match self.gtids {
            Some(_) => CAPTURE_FORMAT,
            None => CAPTURE_FORMAT_WITHOUT_GTIDS,
        };
        let body = Body { place: self };
        record_file::write(&store.join(CAPTURES), source, format, body)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn place(position: u64) -> CapturePlace {
        CapturePlace {
            server: "a".to_owned(),
            table: "shop.orders".to_owned(),
            file: "binlog.000003".to_owned(),
            created: 1_772_000_000,
            position,
            time: 1_772_323_200_000_000,
            columns: Some(vec!["id type 8 [0, 0] ".to_owned()]),
            gtids: None,
            snapshot: false,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let store = tempfile::tempdir().unwrap();
        assert_eq!(CapturePlace::read(store.path(), "orders").unwrap(), None);
        let format = || {
            let text = std::fs::read(store.path().join(CAPTURES).join("orders.json")).unwrap();
            record_file::format_of(&text)
        };
        for (position, gtids, wanted) in [(4, None, 1), (900, Some("a:1-2"), 2)] {
            let place = CapturePlace {
                gtids: gtids.map(|before| CaptureGtids {
                    before: before.to_owned(),
                    era: "b".to_owned(),
                }),
                ..place(position)
            };
            place.clone().write(store.path(), "orders").unwrap();
            let read = CapturePlace::read(store.path(), "orders").unwrap();
            assert_eq!((read, format()), (Some(place), Some(wanted)));
        }
    }

    #[test]
    fn a_record_of_the_first_format_opens_and_what_was_changed_is_refused() {
        let text = include_str!("../tests/fixtures/captures/1.json");
        let parse = |text: &str| {
            let path = PathBuf::from("x");
            let body = record_file::parse(path, text.as_bytes(), CAPTURE_FORMAT);
            body.map(|Body { place }| place)
        };
        assert_eq!(parse(text).unwrap(), place(900));
        let changed = text.replace("900", "901");
        assert!(matches!(parse(&changed), Err(EngineError::Record { .. })));
        let newer = text.replace("\"format\": 1", "\"format\": 3, \"more\": 1");
        assert!(matches!(
            parse(&newer),
            Err(EngineError::StoreFormat { format: 3, .. })
        ));
        let with_gtids = CapturePlace {
            gtids: Some(CaptureGtids {
                before: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-23".to_owned(),
                era: "00c1d2e3f405162738495a6b7c8d9eaf".to_owned(),
            }),
            ..place(900)
        };
        let text = include_str!("../tests/fixtures/captures/2.json");
        assert_eq!(parse(text).unwrap(), with_gtids);
    }
}
