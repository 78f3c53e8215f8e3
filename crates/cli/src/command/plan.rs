//! `evenkeel plan`.

use evenkeel_engine::Engine;
use evenkeel_server::wire;
use serde_json::{Value as Json, json};

use super::apply;
use crate::arguments::PlanArguments;
use crate::failure::{Failure, Mistake, mistakes};
use crate::remote::Remote;
use crate::session::{Answer, Session};

pub(super) fn run(arguments: &PlanArguments, session: &Session) -> Result<Answer, Failure> {
    let (project, files) = session.definitions()?;
    let (changes, warnings) = match Remote::find(&project)? {
        Some(remote) => {
            let found = remote.definitions("/v1/definitions/plan", &files, session.output)?;
            (found.changes, found.warnings)
        }
        None => {
            // Without a store everything is new.
            let plan = if Engine::has_store(&project) {
                Engine::open_read_only(&project)?.plan(&files)
            } else {
                evenkeel_engine::check(&project, &files)
            };
            let plan = plan.map_err(|error| Failure::engine(error, &files))?;
            (plan.changes, plan.warnings)
        }
    };
    apply::warn(warnings.clone(), &files, session);
    let warnings: Vec<Json> = mistakes(warnings, &files)
        .iter()
        .map(Mistake::to_json)
        .collect();
    Ok(Answer::done(
        json!({"changes": wire::changes(&changes), "warnings": warnings}),
        apply::changes(&changes, arguments.all),
    ))
}
