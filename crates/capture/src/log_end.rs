//! Where a server's log ends, asked beside a capture that follows it.
//!
//! Invariant: what the server had committed before it was asked is before the place that it names.

use evenkeel_engine::Project;
use evenkeel_types::definition::SourceDef;

use crate::client::{Connection, not_understood};
use crate::error::CaptureError;
use crate::server::binlogs;
use crate::settings::Settings;

/// A place in a server's log of changes: the number of its file, and the position in that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPlace {
    file: String,
    position: u64,
}

impl LogPlace {
    pub(crate) fn new(file: String, position: u64) -> Self {
        LogPlace { file, position }
    }

    /// The file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The position in it.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether everything before another place is before this one.
    pub fn has_passed(&self, other: &LogPlace) -> bool {
        let order = |place: &LogPlace| (number_of(&place.file), place.position);
        order(self) >= order(other)
    }
}

impl std::fmt::Display for LogPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.position)
    }
}

/// The number of a file of the binlog.
pub(crate) fn number_of(file: &str) -> Option<u64> {
    file.rsplit_once('.')?.1.parse().ok()
}

/// Asks a server where its log ends, over a connection of its own.
pub struct LogEnd {
    settings: Settings,
    connection: Option<Connection>,
}

impl LogEnd {
    /// Of the server of a source. It connects when it is asked.
    ///
    /// # Errors
    /// If the source names none.
    pub fn of(source: &SourceDef, project: &Project) -> Result<Self, CaptureError> {
        Ok(LogEnd {
            settings: Settings::of(source, &project.store)?,
            connection: None,
        })
    }

    /// Where the log ends now.
    ///
    /// # Errors
    /// If the server cannot be asked: next time it connects anew.
    pub fn ask(&mut self) -> Result<LogPlace, CaptureError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.settings)?,
        };
        let mut files = binlogs(&mut connection)?;
        let (file, position) = files.pop().ok_or_else(|| not_understood("no binlog"))?;
        self.connection = Some(connection);
        Ok(LogPlace { file, position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_files_and_positions() {
        let place = |file: &str, position| LogPlace::new(file.to_owned(), position);
        let all = [
            place("binlog.000009", 900),
            place("binlog.000010", 4),
            place("binlog.000010", 400),
            place("binlog.1000000", 4),
        ];
        for (i, one) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                assert_eq!(one.has_passed(other), i >= j, "{one} {other}");
            }
        }
    }
}
