//! `evenkeel backup` and `evenkeel restore`.

use evenkeel_engine::Manifest;
use serde_json::{Value as Json, json};

use crate::arguments::{BackupArguments, RestoreArguments};
use crate::failure::Failure;
use crate::progress::Bar;
use crate::session::{Answer, Session};
use crate::table::{bytes, plural};

pub(super) fn backup(arguments: &BackupArguments, session: &Session) -> Result<Answer, Failure> {
    let project = session.project_with_store()?;
    let bar = Bar::bytes(session.output);
    let manifest = evenkeel_engine::backup(&project, &arguments.to, &mut |done, all| {
        bar.show("bytes", done, all);
    })?;
    drop(bar);
    let text = format!("{} to `{}`", what(&manifest), arguments.to.display());
    Ok(Answer::done(json_report(&manifest), text))
}

pub(super) fn restore(arguments: &RestoreArguments, session: &Session) -> Result<Answer, Failure> {
    let project = session.project()?;
    let manifest = evenkeel_engine::restore(&project, &arguments.from)?;
    let text = format!("{} to `{}`", what(&manifest), project.store.display());
    Ok(Answer::done(json_report(&manifest), text))
}

fn what(manifest: &Manifest) -> String {
    let files = plural(manifest.files.len() as u64, "file");
    let records = plural(manifest.records, "record");
    let copied = format!("{records} of the log, {files}, {}", bytes(manifest.bytes));
    match &manifest.lake {
        None => copied,
        Some(url) => format!("{copied}, and what the log does not have stays in the lake `{url}`,"),
    }
}

fn json_report(manifest: &Manifest) -> Json {
    json!({
        "records": manifest.records,
        "bytes": manifest.bytes,
        "files": manifest.files.len(),
        "lake": manifest.lake,
    })
}
