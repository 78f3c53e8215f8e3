//! `evenkeel flush`.

use std::ops::ControlFlow;

use evenkeel_engine::{FlushReport, FlushedSource, Offline};
use serde_json::{Value as Json, json};

use crate::arguments::FlushArguments;
use crate::failure::{Exit, Failure};
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
    let FlushReport { sources, failed } = report;
    let failed: Vec<(String, Failure)> = failed
        .into_iter()
        .map(|failed| {
            let what = format!("`{}` was not flushed", failed.source);
            (failed.source, Failure::from(failed.error).behind(&what))
        })
        .collect();
    if !session.output.is_json() {
        for (_, failure) in &failed {
            failure.report(session.output);
        }
    }
    Ok(Answer {
        json: json_report(&sources, &failed, &store),
        text: match (sources.is_empty(), failed.is_empty()) {
            (true, true) => "no source has events".to_owned(),
            (true, false) => String::new(),
            (false, _) => text(&sources),
        },
        // Of several, the first says how it ends.
        exit: failed.first().map_or(Exit::Done, |(_, f)| f.exit()),
    })
}

fn json_report(sources: &[FlushedSource], failed: &[(String, Failure)], store: &Offline) -> Json {
    let sources = sources.iter().map(|source| {
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
    let failed = failed.iter().map(|(source, failure)| {
        let mut json = failure.to_json();
        json["source"] = json!(source);
        json
    });
    json!({
        "sources": sources.collect::<Vec<_>>(),
        "failed": failed.collect::<Vec<_>>(),
    })
}

fn text(sources: &[FlushedSource]) -> String {
    table(
        ["source", "events", "files", "size", "version", "table"],
        sources.iter().map(|source| {
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
