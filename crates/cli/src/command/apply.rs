//! `evenkeel apply`, and what `plan` and `apply` say of changes.

use evenkeel_ddl::Diagnostic;
use evenkeel_engine::api::{Change, ChangeKind};
use evenkeel_engine::{DefinitionFile, Engine};
use evenkeel_server::wire;
use serde_json::json;

use crate::failure::{Failure, mistakes};
use crate::remote::Remote;
use crate::session::{Answer, Session, open};
use crate::table::plural;

pub(super) fn run(session: &Session) -> Result<Answer, Failure> {
    let (project, files) = session.definitions()?;
    if let Some(remote) = Remote::find(&project)? {
        let found = remote.definitions("/v1/definitions/apply", &files, session.output)?;
        warn(found.warnings, &files, session);
        let text = changes(&found.changes, false);
        return Ok(Answer::done(
            json!({"changes": wire::changes(&found.changes)}),
            text,
        ));
    }
    if !Engine::has_store(&project) {
        // What is wrong leaves no empty store behind.
        evenkeel_engine::check(&project, &files).map_err(|error| Failure::engine(error, &files))?;
    }
    let mut engine = open(&project)?;
    let plan = engine
        .plan(&files)
        .map_err(|error| Failure::engine(error, &files))?;
    warn(plan.warnings.clone(), &files, session);
    let applied = engine.apply(plan)?;
    let text = changes(&applied, false);
    Ok(Answer::done(
        json!({"changes": wire::changes(&applied)}),
        text,
    ))
}

/// Shows a plan's warnings on stderr.
pub(super) fn warn(
    warnings: Vec<(String, Diagnostic)>,
    files: &[DefinitionFile],
    session: &Session,
) {
    if session.output.is_json() {
        return;
    }
    for warning in mistakes(warnings, files) {
        session.output.note(&warning.render(session.output.color()));
    }
}

/// The sign and the word of a change.
fn words(kind: ChangeKind) -> (&'static str, &'static str) {
    let sign = match kind {
        ChangeKind::Create => "+",
        ChangeKind::NewVersion | ChangeKind::Metadata => "~",
        ChangeKind::Unchanged => " ",
        ChangeKind::NotInFiles => return (" ", "not in the files, stays"),
    };
    (sign, wire::change_word(kind))
}

fn stays(change: &Change) -> bool {
    matches!(change.kind, ChangeKind::Unchanged | ChangeKind::NotInFiles)
}

/// A statement's lines below a change.
fn push_statement(text: &mut String, statement: &str) {
    for line in statement.lines() {
        text.push_str(&format!("      {line}\n"));
    }
}

/// Changes for a person; `all` also shows what stays.
pub(crate) fn changes(changes: &[Change], all: bool) -> String {
    let mut text = String::new();
    let is_shown = |c: &&Change| all || !stays(c) || c.statement_now.is_some();
    for change in changes.iter().filter(is_shown) {
        let (sign, word) = words(change.kind);
        // What is in no file has many versions, or none.
        let version = match change.kind {
            ChangeKind::NotInFiles => String::new(),
            _ => format!(" v{}", change.version),
        };
        text.push_str(&format!(
            "{sign} {} {}{version}: {word}\n",
            change.object, change.name
        ));
        for note in &change.notes {
            text.push_str(&format!("      {note}\n"));
        }
        if let Some(statement) = &change.statement
            && (all || !stays(change))
        {
            push_statement(&mut text, statement);
        }
        if let Some(statement) = &change.statement_now {
            text.push_str("      with the columns that the file has now:\n");
            push_statement(&mut text, statement);
        }
    }
    let changed = changes.iter().filter(|c| !stays(c)).count() as u64;
    let kept = changes.len() as u64 - changed;
    text.push_str(&format!(
        "{}, {} as they are\n",
        plural(changed, "change"),
        kept
    ));
    text
}
