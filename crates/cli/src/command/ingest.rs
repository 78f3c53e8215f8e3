//! `evenkeel ingest`.

mod capture;
mod follow;
mod pace;
mod reporter;
pub(super) mod waiting;

use std::path::Path;
use std::sync::Arc;

use evenkeel_engine::api::IngestReport;
use evenkeel_engine::{Intake, Project, RowSink, ingest_files, source_of};
use evenkeel_server::wire;
use evenkeel_types::definition::{Catalog, OptionValue, SourceDef};
use serde_json::{Value as Json, json};

use crate::arguments::IngestArguments;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress::Bar;
use crate::remote::Remote;
use crate::session::{self, Answer, Session};
use crate::table::{count, plural};

pub(super) fn run(arguments: &IngestArguments, session: &Session) -> Result<Answer, Failure> {
    let project = session.project_with_store()?;
    if let Some(answer) = capture::run(arguments, &project, session)? {
        return Ok(answer);
    }
    if arguments.follow {
        return follow::run(arguments, session);
    }
    match Remote::find(&project)? {
        None => {
            let mut engine = session::open(&project)?;
            let catalog = engine.catalog().clone();
            let mut intake = Intake::new(&mut engine);
            ingest(arguments, session, &project, &catalog, &mut intake)
        }
        Some(remote) => {
            let catalog = remote.catalog(&project)?;
            ingest(arguments, session, &project, &catalog, &mut remote.rows())
        }
    }
}

fn ingest<S: RowSink>(
    arguments: &IngestArguments,
    session: &Session,
    project: &Project,
    catalog: &Catalog,
    sink: &mut S,
) -> Result<Answer, Failure>
where
    Failure: From<S::Error>,
{
    let sources = match &arguments.source {
        Some(source) => vec![source.clone()],
        None => file_sources(catalog),
    };
    if sources.is_empty() {
        return Err(Failure::request("no source reads a file")
            .with_hint("define one, and register it with `evenkeel apply`"));
    }
    let mut reports = Vec::new();
    let mut failed: Vec<(&String, Failure)> = Vec::new();
    for source in &sources {
        let file = arguments.file.as_deref();
        let report = match source_of(catalog, source) {
            Ok(def) => ingest_source(sink, &def, &project.root, file, session.output)
                .map_err(Failure::from),
            Err(error) => Err(Failure::engine(error, &[])),
        };
        match report {
            Ok(report) => {
                if !session.output.is_json() {
                    session.output.data(&report_line(&report))?;
                }
                reports.push(report);
            }
            // Who names one source is told about that one alone.
            Err(failure) if arguments.source.is_some() => return Err(failure),
            // One that fails keeps no other from being read; which it was is said nowhere else.
            Err(failure) => {
                let failure = failure.behind(&format!("`{source}`"));
                if !session.output.is_json() {
                    failure.report(session.output);
                }
                failed.push((source, failure));
            }
        }
    }
    let total = |f: fn(&IngestReport) -> u64| reports.iter().map(f).sum::<u64>();
    let json_of_failed = failed.iter().map(|(source, failure)| {
        let mut json = failure.to_json();
        json["source"] = json!(source);
        json
    });
    let mut json = json!({
        "sources": reports.iter().map(wire::ingest_report).collect::<Vec<Json>>(),
        "recorded": total(|r| r.recorded),
        "rejected": total(IngestReport::rejected_total),
        "failed": json_of_failed.collect::<Vec<Json>>(),
    });
    if let Some((_, first)) = failed.first() {
        // Where the error of a command is.
        json["error"] = first.to_json()["error"].take();
    }
    Ok(Answer {
        json,
        text: String::new(),
        // Of several, the first says how it ends.
        exit: failed.first().map_or(Exit::Done, |(_, f)| f.exit()),
    })
}

/// The sources that read a file, in the order of their names.
fn file_sources(catalog: &Catalog) -> Vec<String> {
    let file = OptionValue::Text("file".to_owned());
    let sources = catalog.sources.values();
    sources
        .filter(|source| source.options.get("connector") == Some(&file))
        .map(|source| source.name.clone())
        .collect()
}

/// Logs a source's files with a bar.
pub(crate) fn ingest_source<S: RowSink>(
    sink: &mut S,
    source: &Arc<SourceDef>,
    root: &Path,
    file: Option<&Path>,
    output: Output,
) -> Result<IngestReport, S::Error> {
    let bar = Bar::bytes(output);
    ingest_files(sink, source, root, file, &mut |progress| {
        bar.show(
            &format!("log {}", source.name),
            progress.bytes_done,
            progress.bytes_total,
        );
    })
}

/// One line for a person: what happened to the rows; a second with the first rejected one.
pub(crate) fn report_line(report: &IngestReport) -> String {
    let mut parts = vec![
        plural(report.rows, "row"),
        format!("{} recorded", count(report.recorded)),
    ];
    for (n, word) in [
        (report.duplicates, "known already"),
        (report.left_out, "left out by WHERE"),
        (report.conflicts, "in conflict"),
        (report.rejected_total(), "rejected"),
    ] {
        if n > 0 {
            parts.push(format!("{} {word}", count(n)));
        }
    }
    let mut line = format!("{}: {}", report.source, parts.join(", "));
    if let Some(first) = &report.first_rejected {
        line.push_str(&format!(
            "\n    first rejected: {first}\n    see `evenkeel dead-letters {}`",
            report.source
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_only_what_happened() {
        let mut report = IngestReport {
            source: "orders".to_owned(),
            rows: 1200,
            recorded: 1199,
            ..IngestReport::default()
        };
        assert_eq!(report_line(&report), "orders: 1,200 rows, 1,199 recorded");
        report.rejected.insert("DECODE".to_owned(), 1);
        report.first_rejected = Some("line 7: `x` is not BIGINT".to_owned());
        assert_eq!(
            report_line(&report),
            "orders: 1,200 rows, 1,199 recorded, 1 rejected\n    first rejected: line 7: `x` is \
             not BIGINT\n    see `evenkeel dead-letters orders`"
        );
    }
}
