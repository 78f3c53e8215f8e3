//! `evenkeel ingest --follow`: steps of a follower, and the waiting between them.
//!
//! A signal is noticed between two steps, so what was read is logged before the command
//! ends.

use std::time::Duration;

use evenkeel_engine::{FollowReport, Follower, Intake, RowSink, source_of};
use evenkeel_server::wire;
use evenkeel_types::definition::Catalog;
use evenkeel_types::time::format_timestamp;
use evenkeel_types::{EventTime, Interval};
use serde_json::{Value as Json, json};

use super::pace::Pace;
use super::waiting::Waiting;
use super::{file_sources, report_line};
use crate::arguments::IngestArguments;
use crate::clock::Stopwatch;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::remote::Remote;
use crate::session::{self, Answer, Session};
use crate::table::plural;

pub(super) fn run(arguments: &IngestArguments, session: &Session) -> Result<Answer, Failure> {
    let project = session.project_with_store()?;
    let file = arguments.file.as_deref();
    match Remote::find(&project)? {
        None => {
            let mut engine = session::open(&project)?;
            let source = only_source(arguments, engine.catalog())?;
            let follower = engine.follower(&source, file)?;
            follow(arguments, session, follower, &mut Intake::new(&mut engine))
        }
        Some(remote) => {
            let catalog = remote.catalog(&project)?;
            let source = source_of(&catalog, &only_source(arguments, &catalog)?)?;
            let origins = remote.origins(&source.name)?;
            let follower = Follower::new(source, &project.root, file, origins)?;
            follow(arguments, session, follower, &mut remote.rows())
        }
    }
}

fn follow<S: RowSink>(
    arguments: &IngestArguments,
    session: &Session,
    mut follower: Follower,
    sink: &mut S,
) -> Result<Answer, Failure>
where
    Failure: From<S::Error>,
{
    let waiting = Waiting::new().map_err(|e| Failure::data(format!("cannot wait: {e}")))?;
    let mut pace = Pace::new(session.output);
    let idle_exit = arguments.idle_exit.map(Duration::from_secs);
    let mut quiet = Stopwatch::start();
    // Looked at as complete, when there is nothing more.
    let mut finished = false;
    while !waiting.is_interrupted() {
        let any = follower.step(sink, finished)?;
        progress(&mut pace, &follower, sink.now())?;
        if any {
            quiet = Stopwatch::start();
        } else if arguments.until_idle && !finished {
            finished = true;
        } else if finished || idle_exit.is_some_and(|limit| quiet.elapsed() >= limit) {
            break;
        } else {
            waiting.wait(Duration::from_millis(arguments.poll));
        }
    }
    sink.finish()?;
    drop(pace);
    end(session.output, &follower.report(sink.now()))
}

fn only_source(arguments: &IngestArguments, catalog: &Catalog) -> Result<String, Failure> {
    if let Some(source) = &arguments.source {
        return Ok(source.clone());
    }
    match file_sources(catalog).as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Failure::request("no source reads a file")
            .with_hint("define one, and register it with `evenkeel apply`")),
        several => Err(Failure::request(format!(
            "one source can be followed at a time: {} read files",
            several.join(", ")
        ))
        .with_hint(format!(
            "say which one: `evenkeel ingest {} --follow`",
            several[0]
        ))),
    }
}

/// What is said while following.
fn progress(pace: &mut Pace, follower: &Follower, now: EventTime) -> Result<(), Failure> {
    if !pace.is_due() {
        return Ok(());
    }
    let report = follower.report(now);
    let lag = report.lag_micros.map_or_else(String::new, |lag| {
        let seconds = lag.div_euclid(1_000_000) * 1_000_000;
        format!(", lag {}", Interval::from_micros(seconds))
    });
    let aside = match report.set_aside.len() as u64 {
        0 => String::new(),
        n => format!(", {} set aside", plural(n, "file")),
    };
    let behind = plural(report.bytes_behind, "byte");
    pace.say(
        &report.ingest,
        json_follow(&report, false),
        &format!("{behind} behind{lag}{aside}"),
    )
}

/// What is said at the end.
fn end(output: Output, report: &FollowReport) -> Result<Answer, Failure> {
    if output.is_json() {
        output.data(&json_follow(report, true).to_string())?;
    } else {
        output.data(&report_line(&report.ingest))?;
        for aside in &report.set_aside {
            output.note(&format!("set aside: {}", aside.reason));
        }
    }
    Ok(Answer {
        exit: if report.set_aside.is_empty() {
            Exit::Done
        } else {
            Exit::Refuted
        },
        ..Answer::silent()
    })
}

fn json_follow(report: &FollowReport, ended: bool) -> Json {
    let mut json = wire::ingest_report(&report.ingest);
    json["ended"] = json!(ended);
    json["bytes_behind"] = json!(report.bytes_behind);
    json["newest_event_time"] = json!(report.ingest.greatest_time.map(|t| format_timestamp(t.0)));
    json["lag_ms"] = json!(report.lag_micros.map(|lag| lag.div_euclid(1_000)));
    json["set_aside"] = report
        .set_aside
        .iter()
        .map(|aside| json!({ "file": aside.path, "reason": aside.reason }))
        .collect();
    json
}
