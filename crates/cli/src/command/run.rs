//! `evenkeel run`.

use std::sync::Arc;

use evenkeel_ddl::batch_table;
use evenkeel_engine::batch::{BatchView, RunRecord};
use evenkeel_engine::{Engine, EngineError, Intake};
use evenkeel_server::wire;
use evenkeel_sql::{BatchRun, GoOn, Limits, ROWS_PER_WRITE, RunReport, SqlError};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Zone};
use serde_json::{Value as Json, json};

use crate::arguments::RunArguments;
use crate::clock::{self, Stopwatch};
use crate::failure::{Exit, Failure};
use crate::progress::Bar;
use crate::session::{Answer, Session};
use crate::table::{count, plural};

pub(super) fn run(arguments: &RunArguments, session: &Session) -> Result<Answer, Failure> {
    let started = Stopwatch::start();
    let report = match session.server()? {
        Some(remote) => {
            let asked = json!({"at": arguments.at, "again": arguments.again});
            remote.run_view(&arguments.view, &asked, session.output)?
        }
        None => here(arguments, session)?,
    };
    let text = text(&report, started);
    let runs = std::iter::once(&report).chain(report["resumed"].as_array().into_iter().flatten());
    let failed = runs.filter_map(|run| run["failed"].as_u64()).sum();
    let has_damaged = report["damaged"].as_array().is_some_and(|d| !d.is_empty());
    let exit = match failed {
        _ if has_damaged => Exit::Storage,
        0u64 => Exit::Done,
        _ => Exit::Refuted,
    };
    Ok(Answer {
        json: report,
        text,
        exit,
    })
}

fn here(arguments: &RunArguments, session: &Session) -> Result<Json, Failure> {
    let mut engine = session.engine()?;
    let offline = engine.offline();
    let now = clock::now_micros();
    let at = match &arguments.at {
        Some(text) => parse_timestamp(text, &Zone::utc())
            .map_err(|error| Failure::request(format!("--at: {error}")))?,
        None => {
            let batch = BatchView::of(offline.catalog(), &arguments.view)?;
            batch.last_due(now)?
        }
    };
    let asked = BatchRun {
        view: &arguments.view,
        at: EventTime(at),
        now: EventTime(now),
        again: arguments.again,
        limits: Limits::NONE,
        rows_per_write: ROWS_PER_WRITE,
    };
    let report = made(&mut engine, &asked, session)?;
    let (mut resumed, mut damaged) = (Vec::new(), Vec::new());
    if arguments.at.is_none() {
        for at in RunRecord::unfinished(&engine.offline(), &arguments.view)? {
            let again = false;
            let asked = BatchRun { at, again, ..asked };
            match RunRecord::of_time(&engine.offline(), &arguments.view, at) {
                // What was made is told all the same.
                Err(error @ EngineError::Run { .. }) => damaged.push((at, error)),
                _ => resumed.push(made(&mut engine, &asked, session)?),
            }
        }
    }
    // What is opened next has nothing to replay; if it has, the runs are made all the same.
    if let Err(error) = engine.checkpoint() {
        session
            .output
            .note(&format!("note: no checkpoint: {error}"));
    }
    Ok(wire::run_reports(&report, &resumed, &damaged))
}

fn made(
    engine: &mut Engine,
    asked: &BatchRun<'_>,
    session: &Session,
) -> Result<RunReport, Failure> {
    let offline = engine.offline();
    let go_on: GoOn = Arc::new(|| true);
    let bar = Bar::counts(session.output);
    let mut intake = Intake::new(engine);
    asked.run::<Failure>(
        &offline,
        &go_on,
        &mut |source, rows| Ok(intake.write_considered(source, rows)?.rows),
        &mut |done, total| bar.show("writing", done, total),
    )
}

fn text(report: &Json, started: Stopwatch) -> String {
    let number = |name: &str| report[name].as_u64().unwrap_or_default();
    let word = |name: &str| report[name].as_str().unwrap_or_default().to_owned();
    let seconds = started.elapsed().as_secs_f64();
    let rate = (number("written") as f64 / seconds.max(0.001)) as u64;
    let mut text = format!(
        "{} as of {}: {} written ({} rows/s), {} there already, {} ended, {} failed\n",
        word("view"),
        word("at"),
        plural(number("written"), "row"),
        count(rate),
        count(number("ignored")),
        count(number("deleted")),
        count(number("failed")),
    );
    if number("failed") > 0 {
        text.push_str(&format!(
            "  rows fail that have no key (leave them out: `WHERE ... IS NOT NULL`), or that `evenkeel dead-letters {}` shows\n",
            batch_table(&word("view")),
        ));
    }
    for run in report["resumed"].as_array().into_iter().flatten() {
        let number = |name: &str| run[name].as_u64().unwrap_or_default();
        text.push_str(&format!(
            "  the run of {}, which was not finished, is: {} written, {} there already, {} ended, {} failed\n",
            run["at"].as_str().unwrap_or_default(),
            plural(number("written"), "row"),
            count(number("ignored")),
            count(number("deleted")),
            count(number("failed")),
        ));
    }
    for run in report["damaged"].as_array().into_iter().flatten() {
        let word = |name: &str| run[name].as_str().unwrap_or_default();
        text.push_str(&format!(
            "  the run of {} is not known: {}; {}\n",
            word("at"),
            word("reason"),
            word("hint"),
        ));
    }
    text
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        let hint = error.hint();
        match error.into_engine("the query") {
            Ok(error) => Failure::from(error),
            Err(error) => {
                let failure = Failure::of(&error);
                match hint {
                    Some(hint) => failure.with_hint(hint),
                    None => failure,
                }
            }
        }
    }
}
