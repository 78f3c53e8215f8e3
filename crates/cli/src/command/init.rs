//! `evenkeel init`.

mod inferred;
mod sample;

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::arguments::InitArguments;
use crate::failure::Failure;
use crate::session::{Answer, Session};

/// A file to write, relative to the project's folder.
struct NewFile {
    name: String,
    text: String,
}

impl NewFile {
    fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        NewFile {
            name: name.into(),
            text: text.into(),
        }
    }
}

pub(super) fn run(arguments: &InitArguments, session: &Session) -> Result<Answer, Failure> {
    let folder = session.folder();
    let mut files = vec![
        NewFile::new("evenkeel.toml", settings(&folder)),
        NewFile::new(".gitignore", "/.evenkeel/\n"),
    ];
    // Whatever is wrong with the file of events is said before anything is written.
    files.extend(match &arguments.from {
        Some(pattern) => inferred::files(&folder, pattern, arguments)?,
        None => sample::files(),
    });
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    for file in &files {
        if write_new(&folder.join(&file.name), &file.text)? {
            written.push(file.name.clone());
        } else {
            kept.push(file.name.clone());
        }
    }
    let mut text = String::new();
    for name in &written {
        text.push_str(&format!("wrote {}\n", folder.join(name).display()));
    }
    for name in &kept {
        text.push_str(&format!("kept  {} as it is\n", folder.join(name).display()));
    }
    if !session.output.is_json() {
        session.output.data(&text)?;
        session
            .output
            .note(&format!("next: {}", next(&folder, arguments)));
    }
    Ok(Answer::done(
        json!({"folder": folder, "written": written, "kept": kept}),
        "",
    ))
}

fn next(folder: &Path, arguments: &InitArguments) -> String {
    let dir = if folder == Path::new(".") {
        String::new()
    } else {
        format!(" --dir {}", folder.display())
    };
    let look = if arguments.from.is_some() {
        "look for CHECK in definitions/, then "
    } else {
        ""
    };
    format!("{look}`evenkeel check{dir}`, `evenkeel apply{dir}`, `evenkeel ingest{dir}`")
}

fn settings(folder: &Path) -> String {
    let name = folder
        .canonicalize()
        .ok()
        .as_deref()
        .unwrap_or(folder)
        .file_name()
        .map_or_else(
            || "project".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
    // A JSON string is a TOML basic string.
    let name = serde_json::Value::String(name);
    format!(
        "# The project's settings. Every one has a default.\n\
         name = {name}\n\
         definitions = [\"definitions/**/*.sql\"]\n\
         \n\
         [store]\n\
         path = \".evenkeel\"\n\
         \n\
         # `--env production` lays this over the settings above.\n\
         # [environments.production.store]\n\
         # path = \"/var/lib/evenkeel\"\n"
    )
}

/// Writes a file that is not there yet; false if it is.
fn write_new(path: &Path, text: &str) -> Result<bool, Failure> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| Failure::io("create", parent, &error))?;
    }
    let mut options = fs::OpenOptions::new();
    match options.write(true).create_new(true).open(path) {
        Ok(mut file) => std::io::Write::write_all(&mut file, text.as_bytes())
            .map(|()| true)
            .map_err(|error| Failure::io("write", path, &error)),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Failure::io("create", path, &error)),
    }
}
