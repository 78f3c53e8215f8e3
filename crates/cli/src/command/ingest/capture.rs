//! `evenkeel ingest` of a table of MySQL or MariaDB: a snapshot, and the changes behind it.
//!
//! A signal is noticed between two steps; a step takes as long as a commit, or as the server is
//! silent, at most.

use std::sync::Arc;
use std::time::Duration;

use evenkeel_capture::{Capture, CaptureError, CaptureReport, Start, Stepped, is_captured};
use evenkeel_engine::{EngineError, Intake, Project, RowSink, registered, source_of};
use evenkeel_server::wire;
use evenkeel_types::EventTime;
use serde_json::{Value as Json, json};

use super::pace::Pace;
use super::report_line;
use super::reporter::Reporter;
use super::waiting::Waiting;
use crate::arguments::IngestArguments;
use crate::clock::{Stopwatch, now_micros};
use crate::failure::Failure;
use crate::output::Output;
use crate::remote::Remote;
use crate::session::{self, Answer, Session};
use crate::table::plural;

/// How long is waited before a connection that was lost is tried again, growing.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Why a step failed.
enum Stop {
    Capture(CaptureError),
    Sink(Failure),
}

impl From<CaptureError> for Stop {
    fn from(error: CaptureError) -> Self {
        Stop::Capture(error)
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Stop::Sink(error.into())
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Sink(failure)
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Capture(error) => error.into(),
            Stop::Sink(failure) => failure,
        }
    }
}

/// Captures the source that is asked for; none if it is none of a server.
pub(super) fn run(
    arguments: &IngestArguments,
    project: &Project,
    session: &Session,
) -> Result<Option<Answer>, Failure> {
    let Some(name) = &arguments.source else {
        return Ok(None);
    };
    // What is wrong with the store or the name is told by whoever opens it.
    let catalog = registered(project).unwrap_or_default();
    let is_captured = catalog
        .sources
        .get(name)
        .is_some_and(|source| is_captured(source));
    match (is_captured, arguments.snapshot) {
        (false, false) => return Ok(None),
        (false, true) => {
            return Err(Failure::request(format!(
                "`{name}` is no table of a server: there is no snapshot of it"
            )));
        }
        (true, _) if arguments.file.is_some() => {
            return Err(Failure::request(format!(
                "`{name}` is a table of a server: it reads no file"
            )));
        }
        (true, _) => {}
    }
    let start = if arguments.snapshot {
        Start::Snapshot
    } else {
        Start::GoOn
    };
    let now = EventTime(now_micros());
    let answer = match Remote::find(project)? {
        None => {
            let mut engine = session::open(project)?;
            let source = engine.source(name)?;
            let capture = Capture::open(source, project, start, now)?;
            let mut intake = Intake::new(&mut engine);
            capturing(arguments, session, capture, &mut intake, None)?
        }
        Some(remote) => {
            let source = source_of(&catalog, name)?;
            let capture = Capture::open(Arc::clone(&source), project, start, now)?;
            let reporter = match (arguments.follow, Remote::find(project)?) {
                (true, Some(remote)) => Some(Reporter::start(remote, &source, project)?),
                _ => None,
            };
            capturing(
                arguments,
                session,
                capture,
                &mut remote.rows(),
                reporter.as_ref(),
            )?
        }
    };
    Ok(Some(answer))
}

fn capturing<S: RowSink>(
    arguments: &IngestArguments,
    session: &Session,
    mut capture: Capture,
    sink: &mut S,
    reporter: Option<&Reporter>,
) -> Result<Answer, Failure>
where
    Failure: From<S::Error>,
    Stop: From<S::Error>,
{
    let waiting = Waiting::new().map_err(|e| Failure::data(format!("cannot wait: {e}")))?;
    let mut pace = Pace::new(session.output);
    let idle_exit = arguments.idle_exit.map(Duration::from_secs);
    let mut quiet = Stopwatch::start();
    let mut pause = PAUSE_MIN;
    while !waiting.is_interrupted() {
        let stepped = match capture.step::<S, Stop>(sink) {
            Ok(stepped) => stepped,
            Err(Stop::Capture(error)) if arguments.follow && error.is_connection() => {
                waiting.wait(pause);
                pause = (pause * 2).min(PAUSE_MAX);
                match capture.reconnect(sink.now()) {
                    Err(error) if !error.is_connection() => return Err(error.into()),
                    _ => continue,
                }
            }
            Err(stop) => return Err(stop.into()),
        };
        pause = PAUSE_MIN;
        let report = capture.report(sink.now());
        if let Some(reporter) = reporter {
            reporter.reached(&report);
        }
        progress(&mut pace, &report)?;
        if stepped == Stepped::More {
            quiet = Stopwatch::start();
        }
        let is_idle = stepped == Stepped::Idle;
        let is_done = if arguments.until_idle {
            is_idle
        } else if arguments.follow {
            is_idle && idle_exit.is_some_and(|limit| quiet.elapsed() >= limit)
        } else {
            capture.is_caught_up()
        };
        if is_done {
            break;
        }
    }
    sink.finish()?;
    capture.finish(sink.now())?;
    drop(pace);
    end(session.output, &capture.report(sink.now()))
}

/// What is said while capturing.
fn progress(pace: &mut Pace, report: &CaptureReport) -> Result<(), Failure> {
    if !pace.is_due() {
        return Ok(());
    }
    let place = match (&report.place, report.snapshot_rows) {
        (Some(place), _) => place.to_string(),
        (None, rows) => format!("{} of a snapshot", plural(rows.unwrap_or(0), "row")),
    };
    pace.say(&report.ingest, json_of(report, false), &place)
}

/// What is said at the end.
fn end(output: Output, report: &CaptureReport) -> Result<Answer, Failure> {
    if output.is_json() {
        output.data(&json_of(report, true).to_string())?;
    } else {
        output.data(&report_line(&report.ingest))?;
        if let Some(rows) = report.snapshot_rows {
            output.note(&format!("a snapshot of {}", plural(rows, "row")));
        }
        if let Some(place) = &report.place {
            output.note(&format!("up to {place}"));
        }
    }
    Ok(Answer::silent())
}

fn json_of(report: &CaptureReport, ended: bool) -> Json {
    let mut json = wire::ingest_report(&report.ingest);
    json["ended"] = json!(ended);
    json["snapshot_rows"] = json!(report.snapshot_rows);
    json["binlog"] = report.place.as_ref().map_or(
        Json::Null,
        |place| json!({ "file": place.file(), "position": place.position() }),
    );
    json["lag_ms"] = json!(report.lag_micros.map(|lag| lag.div_euclid(1_000)));
    json
}
