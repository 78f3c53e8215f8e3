//! Runs of batch views as JSON.

use evenkeel_engine::EngineError;
use evenkeel_sql::RunReport;
use evenkeel_types::EventTime;
use serde_json::{Value as Json, json};

/// What became of a run that was asked for, of those of other times that were finished with it, and
/// the times of those whose records are damaged.
pub fn run_reports(
    report: &RunReport,
    resumed: &[RunReport],
    damaged: &[(EventTime, EngineError)],
) -> Json {
    let mut json = run_report(report);
    json["resumed"] = resumed.iter().map(run_report).collect();
    let damaged = damaged.iter().map(|(at, error)| {
        json!({"at": at.to_string(), "reason": error.to_string(), "hint": error.hint()})
    });
    json["damaged"] = damaged.collect();
    json
}

/// What became of a run.
fn run_report(report: &RunReport) -> Json {
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
