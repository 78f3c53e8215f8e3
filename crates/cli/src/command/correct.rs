//! `evenkeel correct` and `evenkeel exclude`.

use std::ops::ControlFlow;
use std::path::Path;

use evenkeel_engine::correction::{Difference, Means, Period, Truth, parse_positions};
use evenkeel_engine::{Comparison, ComparisonRecord, EngineError, Offline, Project};
use evenkeel_server::wire;
use evenkeel_types::EventTime;
use serde_json::{Value as Json, json};

use crate::arguments::{CorrectArguments, ExcludeArguments};
use crate::clock::now_micros;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Bar;
use crate::remote::Remote;
use crate::session::{self, Answer, Session};
use crate::table::{count, plural, table};

pub(super) fn correct(arguments: &CorrectArguments, session: &Session) -> Result<Answer, Failure> {
    let project = session.project_with_store()?;
    let (Some(with), Some(from), Some(to)) = (&arguments.with, &arguments.from, &arguments.to)
    else {
        return declared(arguments, &project, session);
    };
    let report = match Remote::find(&project)? {
        Some(remote) => remote.correct(arguments, (with.as_path(), from, to), session.output)?,
        None => {
            let pattern = with.to_string_lossy();
            here(
                &project,
                arguments.dry_run,
                session.output,
                |store, means, bar| {
                    let source = store.source(&arguments.source)?;
                    let period = Period::parse(from, to, &source.zone)?;
                    let truth = Truth::open(&source, Path::new(""), &pattern)?;
                    store.difference(&source, truth, &period, means, &mut steadily(bar))
                },
            )?
        }
    };
    let text = summary(&report);
    Ok(Answer::done(report, text))
}

/// Makes the comparison that a source declares, for the moment that was due last.
fn declared(
    arguments: &CorrectArguments,
    project: &Project,
    session: &Session,
) -> Result<Answer, Failure> {
    if Remote::find(project)?.is_some() {
        return Err(
            Failure::request("a server holds the store: it makes what is due by itself")
                .with_hint("to put something right now, name --with, --from and --to"),
        );
    }
    let now = now_micros();
    let mut due = None;
    let report = here(
        project,
        arguments.dry_run,
        session.output,
        |store, means, bar| {
            let source = store.source(&arguments.source)?;
            let nothing = || EngineError::NotCompared {
                source_name: source.name.clone(),
            };
            let comparison = Comparison::of(&source).ok_or_else(nothing)?;
            let at = comparison.schedule.last_until(now).ok_or_else(nothing)?;
            due = Some(EventTime(at));
            let period = comparison.period(EventTime(at))?;
            let truth = comparison.truth(store)?;
            store.difference(&source, truth, &period, means, &mut steadily(bar))
        },
    )?;
    if let Some(due) = due.filter(|_| !arguments.dry_run) {
        let count = |name: &str| report[name].as_u64().unwrap_or_default();
        let differences = count("replaced") + count("removed") + count("added");
        ComparisonRecord::add(&project.store, &arguments.source, due, differences)?;
    }
    let text = summary(&report);
    Ok(Answer::done(report, text))
}

pub(super) fn exclude(arguments: &ExcludeArguments, session: &Session) -> Result<Answer, Failure> {
    let project = session.project_with_store()?;
    let report = match Remote::find(&project)? {
        Some(remote) => {
            let asked = json!({"positions": arguments.positions, "dry_run": arguments.dry_run});
            remote.exclude(&arguments.source, &asked, session.output)?
        }
        None => here(
            &project,
            arguments.dry_run,
            session.output,
            |store, means, bar| {
                let source = store.source(&arguments.source)?;
                let positions = parse_positions(&arguments.positions)?;
                store.exclusion(&source, &positions, means, &mut steadily(bar))
            },
        )?,
    };
    let text = summary(&report);
    Ok(Answer::done(report, text))
}

/// Shows how far it is; nothing stops it but the end of the process.
fn steadily(bar: &Bar) -> impl FnMut(&str, u64, u64) -> ControlFlow<()> + '_ {
    |what, done, all| {
        bar.show(what, done, all);
        ControlFlow::Continue(())
    }
}

/// Finds a difference in the store that nobody holds, and logs it unless it is a dry run.
fn here(
    project: &Project,
    dry_run: bool,
    output: Output,
    find: impl FnOnce(&Offline, Means, &Bar) -> Result<Difference, EngineError>,
) -> Result<Json, Failure> {
    let mut engine = session::open(project)?;
    let bar = Bar::counts(output);
    let store = engine.offline();
    let difference = find(&store, engine.means(), &bar)?;
    let report = if dry_run {
        difference.foresee(&store, &mut steadily(&bar))?
    } else {
        engine.correct(&difference, &mut steadily(&bar))?
    };
    let cuts = [&report.before, &report.after].map(|cut| engine.format_cut(cut));
    Ok(wire::correction_report(&report, dry_run, &cuts))
}

/// A report for a person.
fn summary(report: &Json) -> String {
    let number = |json: &Json| json.as_u64().unwrap_or_default();
    let word = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let list = |json: &Json| json.as_array().cloned().unwrap_or_default();
    let mut parts = Vec::new();
    for name in ["replaced", "removed", "added", "unchanged"] {
        parts.push(format!("{} {name}", count(number(&report[name]))));
    }
    for (name, words) in [
        ("outside", "of the file outside the period"),
        ("left_out", "of the file left out by WHERE"),
    ] {
        if number(&report[name]) > 0 {
            parts.push(format!("{} {words}", count(number(&report[name]))));
        }
    }
    let mut text = format!("{}: {}\n", word(&report["source"]), parts.join(", "));
    let touched = |view: &Json| number(&view["keys"]) > 0;
    let views = list(&report["views"]).into_iter().filter(touched);
    let rows = views.flat_map(|view| {
        let name = word(&view["view"]);
        let keys = count(number(&view["keys"]));
        let compared = number(&view["compared"]);
        let features = list(&view["features"]);
        let mut rows: Vec<[String; 3]> = features
            .iter()
            .map(|feature| {
                let changed = format!(
                    "{} of {}",
                    count(number(&feature["changed"])),
                    plural(compared, "key")
                );
                [
                    format!("{name}:{}", word(&feature["name"])),
                    keys.clone(),
                    changed,
                ]
            })
            .collect();
        if rows.is_empty() {
            rows.push([name, keys, String::new()]);
        }
        rows
    });
    if number(&report["meanwhile"]) > 0 {
        text.push_str(&format!(
            "{} of the period came meanwhile and were not compared: run it again, with a truth that \
             has them\n",
            plural(number(&report["meanwhile"]), "event")
        ));
    }
    let rows: Vec<[String; 3]> = rows.collect();
    if !rows.is_empty() {
        text.push_str(&table(
            ["feature", "keys touched", "values that differ"],
            rows,
        ));
        text.push_str("each key compared where its last event that changes begins to count\n");
    }
    let through: Vec<String> = list(&report["through_look_ups"]).iter().map(word).collect();
    if !through.is_empty() {
        text.push_str(&format!(
            "read through look-ups or streams by {}\n",
            through.join(", ")
        ));
    }
    if report["dry_run"] == true {
        text.push_str("nothing was logged: this was a dry run");
    } else {
        text.push_str(&format!(
            "as it was: cut {}; as it is: cut {}",
            word(&report["cut_before"]),
            word(&report["cut_after"])
        ));
    }
    text
}
