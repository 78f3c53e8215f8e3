//! `evenkeel backfill`.

use std::ops::ControlFlow;

use evenkeel_engine::{BackfillRequest, EngineError};
use evenkeel_server::wire;
use serde_json::{Value as Json, json};

use super::ingest::waiting::Waiting;
use crate::arguments::BackfillArguments;
use crate::failure::Failure;
use crate::progress::Bar;
use crate::session::{Answer, Session};
use crate::table::{count, plural};

pub(super) fn run(arguments: &BackfillArguments, session: &Session) -> Result<Answer, Failure> {
    let report = match session.server()? {
        Some(remote) => {
            let asked = json!({"from": arguments.from, "to": arguments.to});
            remote.backfill(&arguments.view, &asked, session.output)?
        }
        None => here(arguments, session)?,
    };
    let text = text(&report);
    Ok(Answer::done(report, text))
}

fn here(arguments: &BackfillArguments, session: &Session) -> Result<Json, Failure> {
    let waiting = Waiting::new().map_err(|e| Failure::data(format!("cannot wait: {e}")))?;
    let mut engine = session.engine_to_serve()?;
    let (from, to) = (arguments.from.as_deref(), arguments.to.as_deref());
    let request = BackfillRequest::of(engine.catalog(), &arguments.view, from, to)?;
    let bar = Bar::counts(session.output);
    let mut reached = (0, 0);
    let made = engine.backfill(&request, &mut |stage, done, total| {
        bar.show(stage, done, total);
        reached = (done, total);
        match waiting.is_interrupted() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    drop(bar);
    // What is opened next has nothing to replay; if it has, what was emitted is there all the same.
    if let Err(error) = engine.checkpoint() {
        session
            .output
            .note(&format!("note: no checkpoint: {error}"));
    }
    match made {
        Ok(report) => Ok(wire::backfill_report(&report)),
        Err(EngineError::Stopped) => {
            let (done, total) = reached;
            let message = format!("interrupted at {} of {}", count(done), count(total));
            Err(Failure::busy(message).with_hint("the same command goes on where it was"))
        }
        Err(error) => Err(error.into()),
    }
}

fn text(report: &Json) -> String {
    let number = |name: &str| report[name].as_u64().unwrap_or_default();
    let gone_on = match report["resumed"].as_bool() {
        Some(true) => " (gone on with)",
        _ => "",
    };
    format!(
        "{}: {} of the period as of record {}{gone_on}: {} new, {} other, {} gone\n",
        report["stream"].as_str().unwrap_or_default(),
        plural(number("events"), "event"),
        number("record"),
        plural(number("inserted"), "row"),
        count(number("replaced")),
        count(number("removed")),
    )
}
