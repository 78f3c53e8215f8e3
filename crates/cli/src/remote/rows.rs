//! A server that takes the rows of files: they are decoded here, and sent in pieces that are
//! a commit each.
//!
//! A request that is cut off, or whose answer is lost, may have been a commit or none; what it
//! held is known when it is sent again.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_connect::{FileRows, file_rows_halves, file_rows_message};
use evenkeel_engine::api::IngestReport;
use evenkeel_engine::{Origins, Prepare, RowSink, Scope, stored_columns};
use evenkeel_server::Sent;
use evenkeel_types::definition::SourceDef;
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Zone};
use serde_json::Value as Json;

use super::{Remote, escaped, not_understood};
use crate::clock::{Stopwatch, now_micros};
use crate::failure::Failure;
use crate::render;

/// Bytes of a request that are not exceeded without need.
const MESSAGE_BYTES: usize = 4 << 20;
/// How long a server that has too much to do is asked again.
const BUSY_TIME_MAX: Duration = Duration::from_secs(60);
/// How long is waited in between.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// The status of what is too large for one request.
const TOO_LARGE: u16 = 413;
/// The status of a server that has too much to do: nothing was done.
const OVERLOADED: u16 = 429;

/// See the module.
pub(crate) struct RemoteRows<'r> {
    remote: &'r Remote,
}

impl Remote {
    /// Takes the rows of files.
    pub(crate) fn rows(&self) -> RemoteRows<'_> {
        RemoteRows { remote: self }
    }

    /// How far the log has each file of a source.
    pub(crate) fn origins(&self, source: &str) -> Result<Origins, Failure> {
        let path = format!("/v1/sources/{}/files", escaped(source));
        let json = self.understood(self.client.get(&path))?;
        let files = json["files"].as_array().into_iter().flatten();
        let origin = |json: &Json| {
            let file = u128::from_str_radix(json["file"].as_str()?, 16).ok()?;
            Some((file.to_be_bytes(), json["rows"].as_u64()?))
        };
        let origins = files.map(origin).collect::<Option<Origins>>();
        origins.ok_or_else(not_understood)
    }
}

impl RowSink for RemoteRows<'_> {
    type Error = Failure;
    type Prepared = FileRows;

    fn prepare(&self, _: &Arc<SourceDef>) -> Result<Prepare<FileRows>, Failure> {
        Ok(Box::new(|rows| rows))
    }

    fn take_prepared(
        &mut self,
        source: &Arc<SourceDef>,
        rows: FileRows,
    ) -> Result<IngestReport, Failure> {
        self.take(source, vec![rows])
    }

    fn take(
        &mut self,
        source: &Arc<SourceDef>,
        parts: Vec<FileRows>,
    ) -> Result<IngestReport, Failure> {
        let mut report = IngestReport {
            source: source.name.clone(),
            ..IngestReport::default()
        };
        // What is to be sent, the first of it last.
        let mut pieces = vec![parts];
        while let Some(parts) = pieces.pop() {
            match self.send(source, &parts)? {
                Some(sent) => report.add(sent),
                None => pieces.extend(file_rows_halves(parts).into_iter().flatten().rev()),
            }
        }
        Ok(report)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        // When checkpoints are written is the server's matter.
        Ok(())
    }

    fn now(&self) -> EventTime {
        EventTime(now_micros())
    }
}

impl RemoteRows<'_> {
    /// Sends rows: what became of them; `None` if they are to be sent in two halves.
    fn send(
        &self,
        source: &SourceDef,
        parts: &[FileRows],
    ) -> Result<Option<IngestReport>, Failure> {
        let rows: usize = parts.iter().map(|part| part.rows.len()).sum();
        if rows == 0 {
            return Ok(Some(IngestReport::default()));
        }
        let message = file_rows_message(parts, &stored_columns(source));
        let message = message.map_err(Failure::from)?;
        if message.len() > MESSAGE_BYTES && rows > 1 {
            return Ok(None);
        }
        let path = format!(
            "/v1/sources/{}/file-rows?definition={}",
            escaped(&source.name),
            render::hex(&source.digest)
        );
        let asked = Stopwatch::start();
        let reply = loop {
            let mut sent = Sent::new("POST", &path, Scope::Write, &message);
            sent.content_type = "application/vnd.apache.arrow.stream";
            let reply = self.remote.client.send(&mut sent);
            let is_busy = reply.as_ref().is_ok_and(|r| r.status == OVERLOADED);
            if !is_busy || asked.elapsed() >= BUSY_TIME_MAX {
                break reply;
            }
            std::thread::park_timeout(BUSY_PAUSE);
        };
        if reply.as_ref().is_ok_and(|r| r.status == TOO_LARGE) && rows > 1 {
            return Ok(None);
        }
        let is_lost = reply.is_err();
        let json = self.remote.understood(reply).map_err(|failure| {
            if !is_lost {
                return failure;
            }
            failure.with_hint("run it again: what is logged is known, and it goes on behind it")
        })?;
        report_of(&json).map(Some).ok_or_else(not_understood)
    }
}

/// What became of rows, of its JSON.
pub(super) fn report_of(json: &Json) -> Option<IngestReport> {
    let number = |name: &str| json[name].as_u64();
    let rejected = json["rejected_by_reason"].as_object()?;
    let newest = match json["newest_event_time"].as_str() {
        Some(text) => Some(EventTime(parse_timestamp(text, &Zone::utc()).ok()?)),
        None => None,
    };
    Some(IngestReport {
        source: json["source"].as_str()?.to_owned(),
        files: number("files")?,
        rows: number("rows")?,
        recorded: number("recorded")?,
        duplicates: number("known_already")?,
        left_out: number("left_out")?,
        conflicts: number("conflicts")?,
        rejected: rejected
            .iter()
            .map(|(code, rows)| Some((code.clone(), rows.as_u64()?)))
            .collect::<Option<_>>()?,
        first_rejected: json["first_rejected"].as_str().map(str::to_owned),
        greatest_time: newest,
    })
}
