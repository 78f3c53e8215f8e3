//! `evenkeel forget`.

use std::ops::ControlFlow;

use evenkeel_engine::{Engine, ForgetReport, ForgetRequest};
use serde_json::json;

use crate::arguments::ForgetArguments;
use crate::failure::Failure;
use crate::progress::Bar;
use crate::remote::Remote;
use crate::session::{self, Answer, Session};
use crate::table::plural;

pub(super) fn run(arguments: &ForgetArguments, session: &Session) -> Result<Answer, Failure> {
    let (Some(entity), Some(key)) = (&arguments.entity, &arguments.key) else {
        // Whatever was decided is carried out before the store is open.
        let project = session.project_with_store()?;
        Engine::resume_forgetting(&project)?;
        if let Some(reason) = Engine::not_forgotten(&project)?.first() {
            return Err(Failure::request(format!(
                "a key that a server was asked to forget is not forgotten: {reason}"
            )));
        }
        return Ok(Answer::done(
            json!({"resumed": true}),
            "nothing is left to be forgotten",
        ));
    };
    if !arguments.dry_run && !arguments.yes {
        return Err(Failure::request("forgetting cannot be undone")
            .with_hint("look at what it finds with --dry-run, then say --yes"));
    }
    let project = session.project_with_store()?;
    if let Some(remote) = Remote::find(&project)? {
        let asked = json!({
            "entity": entity,
            "key": key,
            "pseudonym": arguments.pseudonym,
            "also": arguments.also,
            "delete_datasets": arguments.delete_datasets,
            "dry_run": arguments.dry_run,
            "now": arguments.now,
        });
        let object = remote.forget(&asked, session.output)?;
        let report = serde_json::from_value(object.clone()).map_err(|error| {
            Failure::request(format!("the server is of another version: {error}"))
        })?;
        let mut text = text(&report);
        text.push_str(match (arguments.dry_run, arguments.now) {
            (true, _) => "",
            (false, false) => "\nasked for: the server does it when it starts the next time",
            (false, true) => "\nasked for: the server does it now, and then answers again",
        });
        return Ok(Answer::done(object, text));
    }
    let request = ForgetRequest {
        entity: entity.clone(),
        key: key.clone(),
        also: arguments.also.clone(),
        secret: match arguments.pseudonym {
            true => Some(ForgetRequest::draw()?),
            false => None,
        },
        removes_datasets: arguments.delete_datasets,
    };
    let engine = session::open(&project)?;
    let bar = Bar::counts(session.output);
    let plan = engine.plan_forget(&request, &mut |done, all| {
        bar.show("looking", done, all);
        ControlFlow::Continue(())
    })?;
    let report = match arguments.dry_run {
        true => plan.report().clone(),
        false => engine.forget(plan)?,
    };
    drop(bar);
    let object = serde_json::to_value(&report).unwrap_or_default();
    Ok(Answer::done(object, text(&report)))
}

fn text(report: &ForgetReport) -> String {
    let mut lines = Vec::new();
    let would = if report.dry_run { "would be " } else { "" };
    let done = match report.mode.as_str() {
        "pseudonym" => format!("{would}given another key"),
        _ => format!("{would}removed"),
    };
    lines.push(format!("looked for it in {}", list(&report.columns)));
    for source in &report.sources {
        let mut parts = vec![plural(source.events, "event")];
        if source.before_images > 0 {
            parts.push(plural(source.before_images, "earlier row"));
        }
        if source.dead_letters > 0 {
            parts.push(plural(source.dead_letters, "dead letter"));
        }
        lines.push(format!("{}: {} {done}", source.source, parts.join(", ")));
    }
    if report.sources.is_empty() {
        lines.push("no event has it".to_owned());
    }
    for (entity, keys) in &report.others {
        lines.push(format!(
            "these events are of {} of {entity}, too",
            plural(*keys, "key")
        ));
    }
    if !report.dry_run && report.log_segments > 0 {
        let segments = plural(report.log_segments, "segment");
        lines.push(format!(
            "log: {segments} written again; the hot tier is built again when the store is opened"
        ));
    }
    for table in &report.lake {
        lines.push(format!(
            "lake: {}: {} written again, {} removed",
            table.source,
            plural(table.rewritten, "file"),
            plural(table.removed, "file")
        ));
    }
    for pin in &report.pins {
        lines.push(format!("lake: what `{pin}` kept is gone"));
    }
    for segment in &report.segments {
        let rows = plural(segment.rows, "row");
        lines.push(format!(
            "segment {}: {rows} {would}removed",
            segment.segment
        ));
    }
    if report.served > 0 {
        let answers = plural(report.served, "logged answer");
        lines.push(format!("served: {answers} {would}removed"));
    }
    for dataset in &report.datasets {
        let rows = match dataset.rows {
            Some(rows) => plural(rows, "row") + " of the key",
            None => "its files cannot be read".to_owned(),
        };
        let files = if dataset.removed {
            ", files removed"
        } else {
            ""
        };
        lines.push(format!(
            "dataset {}: not rebuildable (forgotten), {rows}{files}",
            dataset.dataset
        ));
    }
    for remaining in &report.remains {
        lines.push(format!("stays: {}: {}", remaining.place, remaining.reason));
    }
    lines.join("\n")
}

fn list(columns: &[String]) -> String {
    match columns {
        [] => "no column: no source has one".to_owned(),
        columns => columns.join(", "),
    }
}
