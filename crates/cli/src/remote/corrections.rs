//! Corrections by a server: the truth's file is read here, and sent.

use std::fs::File;
use std::path::{Path, PathBuf};

use evenkeel_connect::{FileOptions, FileSet};
use evenkeel_engine::Scope;
use evenkeel_server::Sent;
use serde_json::{Value as Json, json};

use super::{Remote, escaped, query_of};
use crate::arguments::CorrectArguments;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Bar;

impl Remote {
    /// Puts a source right: the report.
    pub(crate) fn correct(
        &self,
        arguments: &CorrectArguments,
        (with, from, to): (&Path, &str, &str),
        output: Output,
    ) -> Result<Json, Failure> {
        let file = only_file(with)?;
        let open = File::open(&file).map_err(|e| Failure::io("read", &file, &e))?;
        let length = open.metadata();
        let length = length.map_err(|e| Failure::io("read", &file, &e))?.len();
        let asked = json!({
            "from": from,
            "to": to,
            "dry_run": arguments.dry_run.then_some(true),
            "name": file.display().to_string(),
        });
        let source = escaped(&arguments.source);
        let path = format!("/v1/sources/{source}/corrections{}", query_of(&asked));
        let bar = Bar::counts(output);
        let mut progress = |what: &str, done, all| bar.show(what, done, all);
        let mut sent = Sent::new("POST", &path, Scope::Admin, b"");
        sent.content_type = "application/octet-stream";
        sent.length = length;
        sent.body = Box::new(open);
        sent.progress = Some(&mut progress);
        self.understood(self.client.send(&mut sent))
    }

    /// Leaves out what was logged between positions: the report.
    pub(crate) fn exclude(
        &self,
        source: &str,
        asked: &Json,
        output: Output,
    ) -> Result<Json, Failure> {
        let path = format!("/v1/sources/{}/exclusions", escaped(source));
        self.asked(&path, asked, output)
    }

    /// Finds a key, and asks for it to be forgotten at the next start: the report.
    pub(crate) fn forget(&self, asked: &Json, output: Output) -> Result<Json, Failure> {
        self.asked("/v1/forget", asked, output)
    }

    fn asked(&self, path: &str, asked: &Json, output: Output) -> Result<Json, Failure> {
        let body = asked.to_string();
        let bar = Bar::counts(output);
        let mut progress = |what: &str, done, all| bar.show(what, done, all);
        let mut sent = Sent::new("POST", path, Scope::Admin, body.as_bytes());
        sent.progress = Some(&mut progress);
        self.understood(self.client.send(&mut sent))
    }
}

/// The one file that a path or pattern names.
fn only_file(pattern: &Path) -> Result<PathBuf, Failure> {
    let unusable = |error| Failure::from(error).behind("the file");
    let text = pattern.to_string_lossy();
    let files = FileSet::expand(Path::new(""), &text, &FileOptions::default()).map_err(unusable)?;
    match files.files() {
        [file] => Ok(file.path().to_owned()),
        files => Err(Failure::request(format!(
            "`{text}` names {} files: a server takes the truth as one",
            files.len()
        ))
        .with_hint("put them into one file, or correct each file's period by itself")),
    }
}
