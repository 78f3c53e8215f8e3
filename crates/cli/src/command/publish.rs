//! `evenkeel publish`: plan, trial and replay of what changes, apply.

use evenkeel_engine::api::Change;
use evenkeel_engine::trial::{PART_INSTANTS, TrialOptions};
use evenkeel_engine::{
    ChangePlan, DefinitionFile, Engine, EngineError, Offline, carried_along, check,
};
use evenkeel_server::wire;
use serde_json::{Value as Json, json};

use super::trial::{Trials, history, planned, trials, try_sample};
use super::{apply, changes};
use crate::arguments::PublishArguments;
use crate::failure::{Exit, Failure};
use crate::remote::Remote;
use crate::session::{Answer, Session, open};

pub(super) fn run(arguments: &PublishArguments, session: &Session) -> Result<Answer, Failure> {
    let project = session.project()?;
    let own = match arguments.files.as_slice() {
        [] => project.definition_files()?,
        files => project.definition_files_in(files)?,
    };
    if !Engine::has_store(&project) {
        return first(arguments, own, session);
    }
    let store = Offline::open(&project)?;
    let (plan, files) = if arguments.files.is_empty() {
        let plan = store.plan(&own);
        let plan = plan.map_err(|error| Failure::engine(error, &own))?;
        apply::warn(plan.warnings.clone(), &own, session);
        (plan, own)
    } else {
        planned(&store, own, session)?
    };
    let tried = try_changes(&store, &plan, arguments, session)?;
    let is_refuted = tried.exit() != Exit::Done;
    let is_applied = !is_refuted && !arguments.dry_run && !plan.is_empty();
    if is_applied {
        apply_files(&files, &plan.changes, session)?;
    }
    let mut json = tried.json(&store, plan.catalog());
    let mut text = trials(&json);
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&tried.mismatches(plan.catalog()));
    finish(&mut json, &mut text, &plan, is_applied);
    let carried = carried_along(&files, &plan.changes);
    if !carried.is_empty() {
        text.push_str(&format!(
            "in none of these files, but new versions, as what they read changes: {}\n",
            carried.join(", ")
        ));
    }
    json["carried_along"] = json!(carried);
    Ok(Answer {
        json,
        text,
        exit: tried.exit(),
    })
}

/// Where there is no store there are no events either.
fn first(
    arguments: &PublishArguments,
    files: Vec<DefinitionFile>,
    session: &Session,
) -> Result<Answer, Failure> {
    let project = session.project()?;
    let plan = check(&project, &files).map_err(|error| Failure::engine(error, &files))?;
    apply::warn(plan.warnings.clone(), &files, session);
    let is_applied = !arguments.dry_run;
    if is_applied {
        apply_files(&files, &plan.changes, session)?;
    }
    let mut json = json!({"trials": [], "not_tried": [], "carried_along": []});
    let mut text = "there is no store yet, so there is nothing to try on\n".to_owned();
    finish(&mut json, &mut text, &plan, is_applied);
    Ok(Answer::done(json, text))
}

/// What would change, or did.
fn finish(json: &mut Json, text: &mut String, plan: &ChangePlan, is_applied: bool) {
    json["changes"] = wire::changes(&plan.changes);
    json["applied"] = json!(is_applied);
    text.push_str(&changes(&plan.changes, false));
    text.push_str(match is_applied {
        true => "applied\n",
        false => "nothing was applied\n",
    });
}

/// Tries every view that is new or changes, with a replay.
fn try_changes(
    store: &Offline,
    plan: &ChangePlan,
    arguments: &PublishArguments,
    session: &Session,
) -> Result<Trials, Failure> {
    let options = TrialOptions {
        history: history(&arguments.history, arguments.sample, store)?,
        out: None,
        replay: true,
        part_instants: PART_INSTANTS,
    };
    let mut found = Trials::default();
    for view in plan.views(&plan.changed_views()) {
        match try_sample(store, plan, &view, &options, session.output) {
            Ok(report) => found.reports.push(report),
            Err(EngineError::NotTried { view, reason }) => found.not_tried.push((view, reason)),
            Err(EngineError::NothingToTry { view, period }) => {
                let reason = format!("no event brings a key of it{period}");
                found.not_tried.push((view, reason));
            }
            Err(error) => return Err(Failure::from(error)),
        }
    }
    Ok(found)
}

/// Applies files, whoever holds the store, if that changes what was planned.
fn apply_files(
    files: &[DefinitionFile],
    planned: &[Change],
    session: &Session,
) -> Result<(), Failure> {
    let project = session.project()?;
    let refuse_others = |now: &[Change]| match is_same(planned, now) {
        true => Ok(()),
        false => Err(Failure::from(EngineError::RegistryRace {
            path: project.store.clone(),
        })),
    };
    if let Some(remote) = Remote::find(&project)? {
        let found = remote.definitions("/v1/definitions/plan", files, session.output)?;
        refuse_others(&found.changes)?;
        remote.definitions("/v1/definitions/apply", files, session.output)?;
        return Ok(());
    }
    let mut engine = open(&project)?;
    let plan = engine
        .plan(files)
        .map_err(|error| Failure::engine(error, files))?;
    refuse_others(&plan.changes)?;
    engine.apply(plan)?;
    Ok(())
}

/// Whether two plans change the same: else somebody else applied something in between, over which
/// this would be applied unseen.
fn is_same(planned: &[Change], now: &[Change]) -> bool {
    let what = |c: &Change| (c.object.to_owned(), c.name.clone(), c.version, c.kind);
    planned.iter().map(what).eq(now.iter().map(what))
}

#[cfg(test)]
mod tests {
    use evenkeel_engine::api::ChangeKind;

    use super::*;

    #[test]
    fn what_others_applied_meanwhile_is_seen() {
        let change = |name: &str, version: u32, kind: ChangeKind| Change {
            object: "feature view",
            name: name.to_owned(),
            version,
            kind,
            notes: Vec::new(),
            statement: None,
            statement_now: None,
        };
        let planned = [
            change("spent", 2, ChangeKind::NewVersion),
            change("owner", 1, ChangeKind::Unchanged),
        ];
        assert!(is_same(&planned, &planned.clone()));
        for now in [
            change("spent", 3, ChangeKind::NewVersion),
            change("spent", 2, ChangeKind::Unchanged),
            change("other", 2, ChangeKind::NewVersion),
        ] {
            assert!(!is_same(&planned, &[now, planned[1].clone()]));
        }
        assert!(!is_same(&planned, &planned[..1]));
    }
}
