//! How far a capture is.

use evenkeel_engine::api::IngestReport;

use crate::log_end::LogPlace;

/// How far a capture is, and what it did since it began.
#[derive(Clone, Debug)]
pub struct CaptureReport {
    /// What became of the rows.
    pub ingest: IngestReport,
    /// Rows that a snapshot has read so far, and what lived as it was among them; none: none was taken.
    pub snapshot_rows: Option<u64>,
    /// The place in the server's log: everything before it is logged.
    pub place: Option<LogPlace>,
    /// Now less the time of the last change, in microseconds.
    pub lag_micros: Option<i64>,
}
