//! What the user is told when a command fails: once, at the edge, with a hint.
//!
//! Owns the exit codes, a stable contract, and the shape of errors in JSON.

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use evenkeel_capture::CaptureError;
use evenkeel_connect::ConnectError;
use evenkeel_ddl::ast::Span;
use evenkeel_ddl::{Diagnostic, Related, Severity, line_and_column};
use evenkeel_engine::{DefinitionFile, EngineError};
use evenkeel_server::ServerError;
use serde_json::{Value as Json, json};

use crate::output::Output;

/// How a command ends. The numbers are documented in the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The definitions or the request are wrong, or a verification failed.
    Refuted = 1,
    /// The command line was not understood.
    Usage = 2,
    /// A file or the store could not be read or written.
    Storage = 3,
    /// The store is in use, or an answer is not there yet: to be tried again.
    Busy = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// A definition's mistake, with the text it is in.
#[derive(Clone, Debug)]
pub(crate) struct Mistake {
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) diagnostic: Diagnostic,
}

impl Mistake {
    /// As JSON: severity, message, hint, place.
    pub(crate) fn to_json(&self) -> Json {
        json!({
            "severity": if self.diagnostic.is_error() { "error" } else { "warning" },
            "message": self.diagnostic.message,
            "hint": self.diagnostic.hint,
            "place": self.place(),
        })
    }

    fn place(&self) -> Json {
        let (line, column) = line_and_column(&self.text, self.diagnostic.span.start);
        let (end_line, end_column) = line_and_column(&self.text, self.diagnostic.span.end);
        json!({
            "file": self.file,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
        })
    }

    /// As lines for a person.
    pub(crate) fn render(&self, color: bool) -> String {
        self.diagnostic.render(&self.text, &self.file, color)
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: String,
    message: String,
    hint: Option<String>,
    mistakes: Vec<Mistake>,
    exit: Exit,
    /// The reader of stdout went away: nothing to say.
    quiet: bool,
}

impl Failure {
    fn new(exit: Exit, code: &str, message: String) -> Self {
        Failure {
            code: code.to_owned(),
            message,
            hint: None,
            mistakes: Vec::new(),
            exit,
            quiet: false,
        }
    }

    /// The command line was not understood.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::new(Exit::Usage, "USAGE", message.into())
    }

    /// The request does not fit the definitions.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Failure::new(Exit::Refuted, "INVALID", message.into())
    }

    /// A file could not be read or written.
    pub(crate) fn io(action: &str, path: &Path, source: &io::Error) -> Self {
        Failure::new(
            Exit::Storage,
            "STORAGE",
            format!("cannot {action} `{}`: {source}", path.display()),
        )
    }

    /// A file's content is not what it should be.
    pub(crate) fn data(message: impl Into<String>) -> Self {
        Failure::new(Exit::Storage, "STORAGE", message.into())
    }

    /// Writing to stdout failed.
    pub(crate) fn stdout(source: io::Error) -> Self {
        let quiet = source.kind() == io::ErrorKind::BrokenPipe;
        Failure {
            quiet,
            ..Failure::new(
                Exit::Storage,
                "STORAGE",
                format!("cannot write to stdout: {source}"),
            )
        }
    }

    /// The definitions are wrong, or what is asked of them in their language.
    fn definitions(mistakes: Vec<Mistake>, place: &str) -> Self {
        let errors = mistakes.iter().filter(|m| m.diagnostic.is_error()).count();
        let plural = if errors == 1 { "" } else { "s" };
        Failure {
            mistakes,
            ..Failure::new(
                Exit::Refuted,
                "DEFINITIONS",
                format!("{errors} mistake{plural} in {place}"),
            )
        }
    }

    /// The same with what it was about in front.
    pub(crate) fn behind(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// What a server answered instead; mistakes are in these texts.
    pub(crate) fn served_in(
        status: u16,
        error: &Json,
        files: &[DefinitionFile],
        place: &str,
    ) -> Self {
        let all = error["place"]["all"].as_array().into_iter().flatten();
        let found: Vec<_> = all.filter_map(diagnostic).collect();
        if !files.is_empty() && !found.is_empty() {
            return Failure::definitions(mistakes(found, files), place);
        }
        Failure::served(status, error)
    }

    /// What a server answered instead.
    fn served(status: u16, error: &Json) -> Self {
        let text = |name: &str| error[name].as_str().map(str::to_owned);
        let message = text("message").unwrap_or_else(|| format!("it answered {status}"));
        let (exit, code) = match status {
            404 => (Exit::Refuted, "NOT_FOUND"),
            429 | 503 | 504 => (Exit::Busy, "BUSY"),
            500.. => (Exit::Storage, "STORAGE"),
            _ => (Exit::Refuted, "INVALID"),
        };
        Failure {
            hint: text("hint"),
            ..Failure::new(exit, code, message)
        }
    }

    /// The store is in use.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Failure::new(Exit::Busy, "BUSY", message.into())
    }

    /// Nothing, if there is nobody to tell.
    pub(crate) fn unless_quiet(self) -> Result<(), Failure> {
        if self.quiet { Ok(()) } else { Err(self) }
    }

    /// The same with a hint.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Turns an error of the engine into what the user is told; `files` are the definitions
    /// that its places are in.
    pub(crate) fn engine(error: EngineError, files: &[DefinitionFile]) -> Self {
        Failure::engine_in(error, files, "the definitions")
    }

    /// The same for mistakes in something else that is written in the language.
    pub(crate) fn engine_in(error: EngineError, files: &[DefinitionFile], place: &str) -> Self {
        let hint = error.hint();
        if let EngineError::Definitions(found) = error {
            return Failure::definitions(mistakes(found, files), place);
        }
        let exit = match error.exit_code() {
            1 => Exit::Refuted,
            2 => Exit::Usage,
            4 => Exit::Busy,
            _ => Exit::Storage,
        };
        Failure {
            hint,
            ..Failure::new(exit, error.code(), chain(&error))
        }
    }

    /// Tells the user, and says how the process ends.
    pub(crate) fn report(&self, output: Output) -> Exit {
        if self.quiet {
            return Exit::Done;
        }
        if output.is_json() {
            let text = serde_json::to_string_pretty(&self.to_json()).unwrap_or_default();
            if let Err(failure) = output.data(&text)
                && !failure.quiet
            {
                output.note(&format!("error: {}", failure.message));
            }
        } else {
            for mistake in &self.mistakes {
                output.note(&mistake.render(output.color()));
            }
            output.note(&format!(
                "{}: {}",
                output.paint("1;31", "error"),
                self.message
            ));
            if let Some(hint) = &self.hint {
                output.note(&format!("{}: {hint}", output.paint("1;36", "hint")));
            }
        }
        self.exit
    }

    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// As JSON: `error`, with code, message, hint and place.
    pub(crate) fn to_json(&self) -> Json {
        let first = self.mistakes.iter().find(|m| m.diagnostic.is_error());
        let hint = self
            .hint
            .clone()
            .or(first.and_then(|m| m.diagnostic.hint.clone()));
        let mut error = json!({
            "code": self.code,
            "message": first.map_or(&self.message, |m| &m.diagnostic.message),
            "hint": hint,
            "place": first.map(Mistake::place),
        });
        if !self.mistakes.is_empty() {
            error["all"] = self.mistakes.iter().map(Mistake::to_json).collect();
        }
        json!({ "error": error })
    }
}

impl Failure {
    /// A request that is wrong, in the words of an error and its causes.
    pub(crate) fn of(error: &dyn Error) -> Self {
        Failure::request(chain(error))
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let hint = error.hint();
        if let ServerError::Engine(error) = error {
            return Failure::engine(error, &[]);
        }
        let (exit, code) = if error.is_invalid() {
            (Exit::Refuted, "INVALID")
        } else {
            (Exit::Storage, "STORAGE")
        };
        Failure {
            hint,
            ..Failure::new(exit, code, chain(&error))
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Failure::engine(error, &[])
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        match error {
            CaptureError::Engine(error) => Failure::engine(error, &[]),
            CaptureError::Network { .. } | CaptureError::Ended => {
                Failure::new(Exit::Storage, "STORAGE", chain(&error))
            }
            _ => Failure::new(Exit::Refuted, "INVALID", chain(&error)),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let (exit, code) = match error {
            ConnectError::Io { .. } => (Exit::Storage, "STORAGE"),
            _ => (Exit::Refuted, "INVALID"),
        };
        Failure::new(exit, code, chain(&error))
    }
}

/// Joins diagnostics with the texts of their files.
pub(crate) fn mistakes(found: Vec<(String, Diagnostic)>, files: &[DefinitionFile]) -> Vec<Mistake> {
    found
        .into_iter()
        .map(|(file, diagnostic)| Mistake {
            text: files
                .iter()
                .find(|f| f.name == file)
                .map(|f| f.text.clone())
                .unwrap_or_default(),
            file,
            diagnostic,
        })
        .collect()
}

/// A mistake of its JSON.
pub(crate) fn diagnostic(json: &Json) -> Option<(String, Diagnostic)> {
    let text = |json: &Json| json.as_str().map(str::to_owned);
    let span = |json: &Json| {
        let at = |name: &str| usize::try_from(json[name].as_u64()?).ok();
        Some(Span {
            start: at("from")?,
            end: at("to")?,
        })
    };
    let related = &json["related"];
    let found = Diagnostic {
        severity: match json["severity"].as_str()? {
            "warning" => Severity::Warning,
            _ => Severity::Error,
        },
        message: text(&json["message"])?,
        span: span(json)?,
        hint: text(&json["hint"]),
        related: span(related).map(|span| Related {
            span,
            message: text(&related["message"]).unwrap_or_default(),
        }),
        file: text(&json["file"]),
    };
    Some((text(&json["text"])?, found))
}

/// An error and its causes, each once, joined by colons.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let said = source.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer {
        source: io::Error,
    }

    #[test]
    fn a_chain_is_told_once() {
        let error = Outer {
            source: io::Error::other("inner"),
        };
        assert_eq!(chain(&error), "outer: inner");
    }

    #[test]
    fn errors_in_json_have_four_parts() {
        let failure = Failure::usage("what").with_hint("that");
        assert_eq!(
            failure.to_json(),
            json!({"error": {"code": "USAGE", "message": "what", "hint": "that", "place": null}})
        );
    }
}
