//! `evenkeel check`.

use serde_json::{Value as Json, json};

use crate::failure::{Failure, Mistake, mistakes};
use crate::session::{Answer, Session};
use crate::table::plural;

pub(super) fn run(session: &Session) -> Result<Answer, Failure> {
    let (project, files) = session.definitions()?;
    let report =
        evenkeel_engine::check(&project, &files).map_err(|error| Failure::engine(error, &files))?;
    let warnings = mistakes(report.warnings, &files);
    if !session.output.is_json() {
        for warning in &warnings {
            session.output.note(&warning.render(session.output.color()));
        }
    }
    let objects = report.changes.len() as u64;
    let text = format!(
        "{} in {} are right, {}",
        plural(objects, "definition"),
        plural(files.len() as u64, "file"),
        plural(warnings.len() as u64, "warning"),
    );
    let warnings: Vec<Json> = warnings.iter().map(Mistake::to_json).collect();
    Ok(Answer::done(
        json!({"definitions": objects, "files": files.len(), "warnings": warnings}),
        text,
    ))
}
