//! Where a server's log ends, asked beside a capture that follows it.
//!
//! Invariant: what the server had committed before it was asked is before the place that it names.

use std::time::Duration;

use evenkeel_engine::Project;
use evenkeel_types::definition::SourceDef;

use crate::client::{Connection, not_understood};
use crate::error::CaptureError;
use crate::server::{Server, binlogs};
use crate::settings::Settings;

/// How long a server may say nothing when it is asked.
const SILENCE: Duration = Duration::from_secs(4);

/// A place in a server's log of changes: the number of its file, and the position in that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// What the server is told apart by.
    server: String,
    file: String,
    position: u64,
}

impl LogPlace {
    /// A position in a file of a server's log; `server` is what it is told apart by.
    pub fn new(server: String, file: String, position: u64) -> Self {
        LogPlace {
            server,
            file,
            position,
        }
    }

    /// The file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The position in it.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether everything before another place is before this one: never, of another server, or another log.
    pub fn has_passed(&self, other: &LogPlace) -> bool {
        let order = |place: &LogPlace| (number_of(&place.file), place.position);
        self.is_of_one_log(other) && order(self) >= order(other)
    }

    /// Whether both are places of one server's log.
    pub fn is_of_one_log(&self, other: &LogPlace) -> bool {
        let base = |place: &LogPlace| place.file.rsplit_once('.').map(|(base, _)| base.to_owned());
        self.server == other.server && base(self) == base(other)
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
    source_name: String,
    settings: Settings,
    /// With what the server is told apart by.
    connection: Option<(Connection, Server)>,
    last: Option<LogPlace>,
}

impl LogEnd {
    /// Of the server of a source. It connects when it is asked.
    ///
    /// # Errors
    /// If the source names none.
    pub fn of(source: &SourceDef, project: &Project) -> Result<Self, CaptureError> {
        Ok(LogEnd {
            source_name: source.name.clone(),
            settings: Settings::of(source, project)?,
            connection: None,
            last: None,
        })
    }

    /// Where the log ends now.
    ///
    /// # Errors
    /// If the server cannot be asked: next time it connects anew; if its log began anew, or another server
    /// answers.
    pub fn ask(&mut self) -> Result<LogPlace, CaptureError> {
        let (mut connection, server) = match self.connection.take() {
            Some(open) => open,
            None => {
                let mut connection = Connection::open_within(&self.settings, SILENCE)?;
                let server = Server::check(&mut connection, &self.settings)?;
                (connection, server)
            }
        };
        let mut files = binlogs(&mut connection)?;
        let (file, position) = files.pop().ok_or_else(|| not_understood("no binlog"))?;
        let end = LogPlace::new(server.identity.clone(), file, position);
        // Where transactions have names, another server may have taken over.
        let may_differ = server.gtids.is_some();
        self.connection = Some((connection, server));
        let goes_on =
            |last: &LogPlace| end.has_passed(last) || may_differ && end.server != last.server;
        if !self.last.as_ref().is_none_or(goes_on) {
            return Err(CaptureError::OtherLog {
                source_name: self.source_name.clone(),
                file: end.file,
            });
        }
        self.last = Some(end.clone());
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_in_the_order_of_files_and_positions() {
        let place =
            |file: &str, position| LogPlace::new("one".to_owned(), file.to_owned(), position);
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
        // What another server says, or another log, is never passed.
        let elsewhere = LogPlace::new("other".to_owned(), "binlog.000009".to_owned(), 4);
        for other in [elsewhere, place("log.000009", 4)] {
            assert!(!all[3].has_passed(&other), "{other}");
        }
    }
}
