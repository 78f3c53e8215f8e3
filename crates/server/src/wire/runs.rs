//! Runs of batch views as JSON.

use evenkeel_engine::{BackfillReport, EngineError};
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

/// What a backfill did.
pub fn backfill_report(report: &BackfillReport) -> Json {
    let time = |time: EventTime, open: i64| (time.0 != open).then(|| time.to_string());
    json!({
        "stream": report.stream,
        "from": time(report.period.from, i64::MIN),
        "to": time(report.period.until, i64::MAX),
        "record": report.record,
        "resumed": report.resumed,
        "events": report.events,
        "inserted": report.inserted,
        "replaced": report.replaced,
        "removed": report.removed,
    })
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
