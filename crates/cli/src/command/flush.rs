//! `evenkeel flush`.

use std::ops::ControlFlow;

use evenkeel_engine::{FlushReport, Offline};
use serde_json::{Value as Json, json};

use crate::arguments::FlushArguments;
use crate::failure::Failure;
use crate::progress::Bar;
use crate::session::{Answer, Session};
use crate::table::{bytes, count, table};

pub(super) fn run(arguments: &FlushArguments, session: &Session) -> Result<Answer, Failure> {
    let store = session.offline()?;
    let bar = Bar::counts(session.output);
    let report = store.flush(&arguments.sources, &mut |source, done, all| {
        bar.show(source, done, all);
        ControlFlow::Continue(())
    })?;
    drop(bar);
    Ok(Answer::done(json_report(&report, &store), text(&report)))
}

fn json_report(report: &FlushReport, store: &Offline) -> Json {
    let sources = report.sources.iter().map(|source| {
        json!({
            "source": source.name,
            "address": source.address,
            "events": source.events,
            "files": source.files,
            "bytes": source.bytes,
            "version": source.version,
            "covered": store.format_cut(&source.covered),
        })
    });
    json!({ "sources": sources.collect::<Vec<_>>() })
}

fn text(report: &FlushReport) -> String {
    if report.sources.is_empty() {
        return "no source has events".to_owned();
    }
    table(
        ["source", "events", "files", "size", "version", "table"],
        report.sources.iter().map(|source| {
            [
                source.name.clone(),
                count(source.events),
                count(source.files),
                bytes(source.bytes),
                source.version.to_string(),
                source.address.clone(),
            ]
        }),
    )
}
