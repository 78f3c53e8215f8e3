//! What a capture says to a server.

use evenkeel_capture::LogPlace;
use evenkeel_server::Sent;
use serde_json::json;

use super::{Remote, Scope, escaped, not_understood};
use crate::failure::Failure;

/// How far a capture is.
#[derive(Clone, Debug, Default)]
pub(crate) struct CaptureSaid {
    /// The digest of the source's definition.
    pub(crate) definition: String,
    /// The server to which it was said before.
    pub(crate) instance: Option<String>,
    /// The last question that was taken.
    pub(crate) taken: u64,
    /// The last one that is answered.
    pub(crate) kept: u64,
    /// Everything before it is logged.
    pub(crate) place: Option<LogPlace>,
    /// Where the database's log ended.
    pub(crate) database: Option<LogPlace>,
    /// How far the log is behind it.
    pub(crate) lag_ms: Option<u64>,
    /// Why the database does not answer.
    pub(crate) failed: Option<String>,
}

impl Remote {
    /// Says it, and waits for the next question: the server's name for itself, and the last question.
    pub(crate) fn report_capture(
        &self,
        source: &str,
        said: &CaptureSaid,
        wait_ms: u64,
    ) -> Result<(String, u64), Failure> {
        let body = json!({
            "definition": said.definition,
            "instance": said.instance,
            "taken": said.taken,
            "kept": said.kept,
            "place": said.place.as_ref().map(LogPlace::to_string),
            "database": said.database.as_ref().map(LogPlace::to_string),
            "lag_ms": said.lag_ms,
            "failed": said.failed,
            "wait_ms": wait_ms,
        });
        let body = body.to_string();
        let path = format!("/v1/sources/{}/capture", escaped(source));
        let mut sent = Sent::new("POST", &path, Scope::Write, body.as_bytes());
        let json = self.understood(self.client.send(&mut sent))?;
        let understood = || {
            let instance = json["instance"].as_str()?.to_owned();
            Some((instance, json["asked"].as_u64()?))
        };
        understood().ok_or_else(not_understood)
    }
}
