//! What a write promises to the reads after it: positions, and the greatest event time.

use evenkeel_types::time::format_timestamp;
use evenkeel_types::{Cut, EventTime};

use crate::engine::Engine;
use crate::error::EngineError;

/// A session: a read with it has these positions in its cut, and, if it names no time of its
/// own, a time not before this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionToken {
    /// What a read must know.
    pub positions: Cut,
    /// The greatest event time that was written.
    pub time: Option<EventTime>,
}

impl Engine {
    /// A token in words: a cut, and behind a semicolon a time:
    /// `rides/0@17;2026-03-01T10:00:00Z`.
    pub fn format_session(&self, session: &SessionToken) -> String {
        let mut text = self.format_cut(&session.positions);
        if let Some(time) = session.time {
            text.push(';');
            text.push_str(&format_timestamp(time.0));
        }
        text
    }

    /// Reads [`Engine::format_session`]'s words; a cut alone is a token, too.
    ///
    /// # Errors
    /// If the words are not those of a token, or a source is not known.
    pub fn parse_session(&self, text: &str) -> Result<SessionToken, EngineError> {
        let (cut, time) = match text.split_once(';') {
            None => (text, None),
            Some((cut, time)) => (cut, Some(time)),
        };
        let time = time
            .map(|time| {
                let zone = evenkeel_types::Zone::utc();
                evenkeel_types::time::parse_timestamp(time, &zone).map_err(|error| {
                    EngineError::Cut {
                        text: text.to_owned(),
                        reason: error.to_string(),
                    }
                })
            })
            .transpose()?;
        Ok(SessionToken {
            positions: self.parse_cut(cut)?,
            time: time.map(EventTime),
        })
    }
}
