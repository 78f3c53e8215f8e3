//! `evenkeel try`.

mod words;

use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_engine::trial::{History, PART_INSTANTS, Sample, TrialOptions, TrialReport};
use evenkeel_engine::{ChangePlan, DefinitionFile, EngineError, Offline, PlannedApart, views_of};
use evenkeel_server::wire;
use evenkeel_types::Zone;
use evenkeel_types::definition::{Catalog, ViewDef};
use evenkeel_types::time::parse_timestamp;
use serde_json::{Value as Json, json};

use super::{apply, verify};
use crate::arguments::{HistoryArguments, TryArguments};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::progress::Bar;
use crate::session::{Answer, Session};

pub(super) use words::{differences, ending, json_differences, percent, trials};

pub(super) fn run(arguments: &TryArguments, session: &Session) -> Result<Answer, Failure> {
    let store = session.offline()?;
    let own = session.project()?.definition_files_in(&arguments.files)?;
    let names = views_of(&own);
    let apart = store.plan_apart(own.clone());
    let PlannedApart {
        plan,
        files,
        left_out,
    } = apart.map_err(|error| Failure::engine(error, &own))?;
    warn(&plan, &own, session);
    if !left_out.is_empty() && !session.output.is_json() {
        session.output.note(&format!(
            "left out, as it does not fit these definitions: {}",
            left_out.join(", ")
        ));
    }
    let views = if arguments.views.is_empty() {
        match plan.views(&names) {
            // A batch view alone is refused with what to do instead.
            none if none.is_empty() => names.iter().map(|name| plan.view(name)).collect(),
            views => Ok(views),
        }
    } else {
        arguments.views.iter().map(|name| plan.view(name)).collect()
    }?;
    if views.is_empty() {
        return Err(
            Failure::request("no feature view is defined in these files")
                .with_hint("write one: CREATE FEATURE VIEW name ENTITY entity AS SELECT ..."),
        );
    }
    if arguments.out.is_some() && views.len() > 1 {
        return Err(
            Failure::usage("one file is for the rows of one view").with_hint("name it with --view")
        );
    }
    let options = TrialOptions {
        history: history(&arguments.history, arguments.sample, &store)?,
        out: arguments.out.clone(),
        replay: arguments.replay,
        part_instants: PART_INSTANTS,
    };
    let mut found = Trials::default();
    for view in &views {
        match try_sample(&store, &plan, view, &options, session.output) {
            Ok(report) => found.reports.push(report),
            // Others may be tried all the same.
            Err(EngineError::NotTried { view, reason }) if views.len() > 1 => {
                found.not_tried.push((view, reason));
            }
            Err(error) => return Err(Failure::engine(error, &files)),
        }
    }
    let mut json = found.json(&store, plan.catalog());
    let mut text = words::trials(&json);
    json["left_out"] = json!(left_out);
    text.push_str(&found.mismatches(plan.catalog()));
    Ok(Answer {
        json,
        text,
        exit: found.exit(),
    })
}

/// What was tried, and what could not be.
#[derive(Default)]
pub(super) struct Trials {
    pub(super) reports: Vec<TrialReport>,
    pub(super) not_tried: Vec<(String, String)>,
}

impl Trials {
    /// Refuted by any replay that gave another bit.
    pub(super) fn exit(&self) -> Exit {
        let replays = self.reports.iter().filter_map(|r| r.replay.as_ref());
        match replays.map(|r| r.mismatches).sum() {
            0u64 => Exit::Done,
            _ => Exit::Refuted,
        }
    }

    pub(super) fn json(&self, store: &Offline, catalog: &Catalog) -> Json {
        let trials = self.reports.iter().map(|r| json_report(r, store, catalog));
        let not_tried = self.not_tried.iter();
        let not_tried = not_tried.map(|(view, reason)| json!({"view": view, "reason": reason}));
        json!({
            "trials": trials.collect::<Vec<_>>(),
            "not_tried": not_tried.collect::<Vec<_>>(),
        })
    }

    /// The first values that were not the same, for a person.
    pub(super) fn mismatches(&self, catalog: &Catalog) -> String {
        let replays = self.reports.iter().filter_map(|r| r.replay.as_ref());
        let examples = replays.flat_map(|r| &r.examples);
        let examples: Vec<Json> = examples.map(|e| wire::mismatch(e, catalog)).collect();
        verify::mismatches(&examples, catalog)
    }
}

/// The plan of files over what is registered, with all texts that its mistakes can be in.
pub(super) fn planned(
    store: &Offline,
    own: Vec<DefinitionFile>,
    session: &Session,
) -> Result<(ChangePlan, Vec<DefinitionFile>), Failure> {
    let files = store.with_registered(own.clone());
    let plan = store
        .plan(&files)
        .map_err(|error| Failure::engine(error, &files))?;
    warn(&plan, &own, session);
    Ok((plan, files))
}

/// Shows the warnings of a plan that are in some of its files.
fn warn(plan: &ChangePlan, own: &[DefinitionFile], session: &Session) {
    let mut warnings = plan.warnings.clone();
    warnings.retain(|(name, _)| own.iter().any(|file| file.name == *name));
    apply::warn(warnings, own, session);
}

/// What of history is looked at.
pub(super) fn history(
    arguments: &HistoryArguments,
    sample: Sample,
    store: &Offline,
) -> Result<History, Failure> {
    let time = |name: &str, text: &Option<String>, otherwise: i64| match text {
        None => Ok(otherwise),
        Some(text) => parse_timestamp(text, &Zone::utc())
            .map_err(|error| Failure::request(format!("{name}: {error}"))),
    };
    Ok(History {
        from: time("--from", &arguments.from, i64::MIN)?,
        to: time("--to", &arguments.to, i64::MAX)?,
        sample,
        cut: arguments
            .cut
            .as_deref()
            .map(|text| store.parse_cut(text))
            .transpose()?,
    })
}

/// Tries a view on a sample of its keys, or where that has none, as there are few, on all.
pub(super) fn try_sample(
    store: &Offline,
    plan: &ChangePlan,
    view: &Arc<ViewDef>,
    options: &TrialOptions,
    output: Output,
) -> Result<TrialReport, EngineError> {
    let tried = try_view(store, plan, view, options, output);
    let is_sample = options.history.sample != Sample::ALL;
    match tried {
        Err(EngineError::NothingToTry { .. }) if is_sample => {
            let mut options = options.clone();
            options.history.sample = Sample::ALL;
            let tried = try_view(store, plan, view, &options, output)?;
            say_that_all_are_taken(&view.name, output);
            Ok(tried)
        }
        tried => tried,
    }
}

/// Says that a sample was empty.
pub(super) fn say_that_all_are_taken(what: &str, output: Output) {
    output.note(&format!(
        "no key of `{what}` is in the sample: all keys are looked at"
    ));
}

/// Tries a view with a bar.
fn try_view(
    store: &Offline,
    plan: &ChangePlan,
    view: &Arc<ViewDef>,
    options: &TrialOptions,
    output: Output,
) -> Result<TrialReport, EngineError> {
    let bar = Bar::counts(output);
    store.try_view(plan, view, options, &mut |what, done, all| {
        bar.show(what, done, all);
        ControlFlow::Continue(())
    })
}

fn json_report(report: &TrialReport, store: &Offline, catalog: &Catalog) -> Json {
    let features = report.features.iter().map(|(field, profile)| {
        let mut json = json!(profile);
        json["name"] = json!(field.name);
        json["type"] = json!(field.data_type.to_string());
        json
    });
    let comparison = report.comparison.as_ref().map(|comparison| {
        json!({
            "version": comparison.version,
            "features": json_differences(&comparison.features),
            "added": comparison.added,
            "removed": comparison.removed,
            "retyped": comparison.retyped,
            "rows_only_new": comparison.rows_only_new,
            "rows_only_published": comparison.rows_only_published,
        })
    });
    let replay = report.replay.as_ref().map(|replay| {
        let examples = replay.examples.iter().map(|e| wire::mismatch(e, catalog));
        json!({
            "events": replay.events,
            "commits": replay.commits,
            "as_it_came": replay.as_it_came,
            "values_checked": replay.values_checked,
            "mismatches": replay.mismatches,
            "examples": examples.collect::<Vec<_>>(),
        })
    });
    json!({
        "view": report.view.name,
        "version": report.view.version,
        "published_as": report.published_as,
        "cut": store.format_cut(&report.cut),
        "keys": report.keys,
        "instants": report.instants,
        "rows": report.rows,
        "resumed": report.resumed,
        "features": features.collect::<Vec<_>>(),
        "comparison": comparison,
        "replay": replay,
        "micros_per_row": report.micros_per_row,
        "out": report.out.as_deref(),
        "digest": report.digest,
    })
}
