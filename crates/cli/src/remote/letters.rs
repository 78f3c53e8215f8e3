//! Dead letters of a server: its first ones, and those that are driven again.

use evenkeel_engine::Scope;
use evenkeel_engine::api::IngestReport;
use evenkeel_server::Sent;
use serde_json::{Value as Json, json};

use super::rows::report_of;
use super::{Remote, escaped, not_understood};
use crate::failure::Failure;

/// Dead letters of one request.
const PAGE: usize = 1_000;

impl Remote {
    /// The first dead letters of a source, and how many there are.
    pub(crate) fn letters(&self, source: &str, limit: usize) -> Result<(Vec<Json>, u64), Failure> {
        let mut first = Vec::new();
        let mut after = String::new();
        loop {
            let page = (limit - first.len()).clamp(1, PAGE);
            let source = escaped(source);
            let path = format!("/v1/sources/{source}/dead-letters?limit={page}{after}");
            let mut json = self.understood(self.client.get(&path))?;
            let total = json["total"].as_u64().ok_or_else(not_understood)?;
            let Json::Array(letters) = json["dead_letters"].take() else {
                return Err(not_understood());
            };
            first.extend(letters);
            first.truncate(limit);
            match json["next"].as_u64() {
                Some(next) if first.len() < limit => after = format!("&after={next}"),
                _ => return Ok((first, total)),
            }
        }
    }

    /// Drives dead letters again; none named: all.
    pub(crate) fn redrive(
        &self,
        source: &str,
        ids: Option<&[u64]>,
    ) -> Result<IngestReport, Failure> {
        let path = format!("/v1/sources/{}/dead-letters/redrive", escaped(source));
        let body = match ids {
            Some(ids) => json!({ "ids": ids }),
            None => json!({"ids": "all"}),
        };
        let body = body.to_string();
        let mut sent = Sent::new("POST", &path, Scope::Admin, body.as_bytes());
        let json = self.understood(self.client.send(&mut sent))?;
        report_of(&json).ok_or_else(not_understood)
    }
}
