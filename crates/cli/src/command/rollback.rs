//! `evenkeel rollback`.

use evenkeel_engine::{DefinitionFile, Rollback};
use evenkeel_server::wire;
use serde_json::json;

use super::apply;
use crate::arguments::RollbackArguments;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::session::{Answer, Session, open};

pub(super) fn run(arguments: &RollbackArguments, session: &Session) -> Result<Answer, Failure> {
    let project = session.project_with_store()?;
    let (view, version) = (arguments.view.as_str(), arguments.to);
    let (rollback, changes) = match Remote::find(&project)? {
        Some(remote) => {
            let rollback = Rollback::of(&remote.catalog(&project)?, view, version)?;
            let path = match arguments.dry_run {
                true => "/v1/definitions/plan",
                false => "/v1/definitions/apply",
            };
            let text = std::slice::from_ref(&rollback.text);
            let found = remote.definitions_with_registered(path, text, session.output)?;
            (rollback, found.changes)
        }
        None => {
            let mut engine = open(&project)?;
            let rollback = engine.rollback(view, version)?;
            let files: Vec<DefinitionFile> = engine.with_registered(vec![rollback.text.clone()]);
            let plan = engine
                .plan(&files)
                .map_err(|error| Failure::engine(error, &files))?;
            let changes = match arguments.dry_run {
                true => plan.changes,
                false => engine.apply(plan)?,
            };
            (rollback, changes)
        }
    };
    let newest = changes
        .iter()
        .find(|change| change.object == "feature view" && change.name == rollback.view)
        .map_or(rollback.from, |change| change.version);
    let json = json!({
        "view": rollback.view,
        "to": rollback.to,
        "from": rollback.from,
        "version": newest,
        "dry_run": arguments.dry_run,
        "definition": rollback.text.text,
        "changes": wire::changes(&changes),
    });
    let (is, files) = match arguments.dry_run {
        true => ("would be", ":"),
        false => (
            "is",
            ". The project's files do not know: write this into them, or the next `apply` goes back to what they say:",
        ),
    };
    let text = format!(
        "{}`{}` {is} what it was in version {}, as version {newest}{files}\n\n{}",
        apply::changes(&changes, false),
        rollback.view,
        rollback.to,
        rollback.text.text,
    );
    Ok(Answer::done(json, text))
}
