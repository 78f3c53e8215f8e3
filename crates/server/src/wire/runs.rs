//! Runs of batch views as JSON.

use evenkeel_sql::RunReport;
use evenkeel_types::EventTime;
use serde_json::{Value as Json, json};

/// What became of a run.
pub fn run_report(report: &RunReport) -> Json {
    let RunReport { record, counts } = report;
    json!({
        "view": record.view,
        "at": EventTime(record.at).to_string(),
        "revision": record.revision,
        "cut": record.cut,
        "rows": counts.rows,
        "written": counts.written,
        "ignored": counts.ignored,
        "deleted": counts.deleted,
        "failed": counts.failed,
    })
}
