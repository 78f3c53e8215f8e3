//! `evenkeel log`.

use std::ops::ControlFlow;

use evenkeel_engine::{TruncateOptions, TruncateReport};
use evenkeel_types::VisibleAt;
use serde_json::{Value as Json, json};

use crate::arguments::{LogCommand, TruncateArguments};
use crate::clock;
use crate::failure::Failure;
use crate::progress::Bar;
use crate::session::{Answer, Session};
use crate::table::{bytes, count, plural};

const DAY_MICROS: i64 = 86_400_000_000;

pub(super) fn run(command: &LogCommand, session: &Session) -> Result<Answer, Failure> {
    match command {
        LogCommand::Truncate(arguments) => truncate(arguments, session),
    }
}

fn truncate(arguments: &TruncateArguments, session: &Session) -> Result<Answer, Failure> {
    let mut engine = session.engine()?;
    engine.checkpoint()?;
    let options = TruncateOptions {
        before: match arguments.days {
            0 => None,
            days => Some(VisibleAt(
                clock::now_micros() - i64::from(days) * DAY_MICROS,
            )),
        },
        dry_run: arguments.dry_run,
    };
    let bar = Bar::counts(session.output);
    let report = engine.log_truncation()?.run(&options, &mut |done, all| {
        bar.show("comparing", done, all);
        ControlFlow::Continue(())
    })?;
    drop(bar);
    Ok(Answer::done(
        json_report(&report, arguments.dry_run),
        text(&report, arguments.dry_run),
    ))
}

fn json_report(report: &TruncateReport, dry_run: bool) -> Json {
    json!({
        "truncated": report.truncated,
        "truncated_before": report.before,
        "whole": report.whole,
        "events": report.events,
        "bytes_before": report.bytes.0,
        "bytes_after": report.bytes.1,
        "stays": report.stays,
        "dry_run": dry_run,
    })
}

fn text(report: &TruncateReport, dry_run: bool) -> String {
    let segments = plural(report.truncated, "segment");
    let compared = plural(report.events, "record");
    let mut text = match dry_run {
        true => format!("{segments} can be truncated, {compared} compared"),
        false => format!(
            "{segments} truncated, {compared} compared: {} now {}",
            bytes(report.bytes.0),
            bytes(report.bytes.1)
        ),
    };
    text.push_str(&format!(
        "\n{} truncated before, {} left whole",
        count(report.before),
        count(report.whole)
    ));
    if let Some(reason) = &report.stays {
        text.push_str(&format!("; the first of these stays: {reason}"));
    }
    text
}
