//! `evenkeel plan`.

use evenkeel_engine::Engine;
use serde_json::{Value as Json, json};

use super::apply;
use crate::arguments::PlanArguments;
use crate::failure::{Failure, Mistake, mistakes};
use crate::session::{Answer, Session};

pub(super) fn run(arguments: &PlanArguments, session: &Session) -> Result<Answer, Failure> {
    let (project, files) = session.definitions()?;
    // Without a store everything is new.
    let plan = if Engine::has_store(&project) {
        Engine::open_read_only(&project)?.plan(&files)
    } else {
        evenkeel_engine::check(&project, &files)
    };
    let plan = plan.map_err(|error| Failure::engine(error, &files))?;
    apply::warn(&plan, &files, session);
    let warnings: Vec<Json> = mistakes(plan.warnings.clone(), &files)
        .iter()
        .map(Mistake::to_json)
        .collect();
    Ok(Answer::done(
        json!({"changes": apply::json_changes(&plan.changes), "warnings": warnings}),
        apply::changes(&plan.changes, arguments.all),
    ))
}
