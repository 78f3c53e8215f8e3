//! The only module that writes to stdout and stderr.
//!
//! Invariants: stdout is data (tables, or one JSON object with `--json`), stderr is the rest;
//! a reader that goes away (`evenkeel status | head -1`) ends the command quietly; colour
//! only on a terminal, never without a word that says the same, and never with `NO_COLOR`.

use std::io::{self, IsTerminal, Write};

use indicatif::ProgressDrawTarget;

use crate::failure::Failure;

/// Where a command's words go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    bars: bool,
    color: bool,
}

impl Output {
    /// For this process's streams.
    pub(crate) fn new(json: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        // https://no-color.org: present and not empty.
        let color_wanted = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Output {
            json,
            bars: terminal && !json,
            color: terminal && color_wanted,
        }
    }

    /// Whether one JSON object is wanted.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Whether stderr may have colours.
    pub(crate) fn color(self) -> bool {
        self.color
    }

    /// Where progress bars are drawn: stderr, if a person watches it.
    pub(crate) fn progress_target(self) -> ProgressDrawTarget {
        if self.bars {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        }
    }

    /// Writes data, with a newline behind it if it has none.
    pub(crate) fn data(self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let newline = if text.ends_with('\n') { "" } else { "\n" };
        out.write_all(text.as_bytes())
            .and_then(|()| out.write_all(newline.as_bytes()))
            .and_then(|()| out.flush())
            .map_err(Failure::stdout)
    }

    /// Tells the user something that is not data.
    pub(crate) fn note(self, text: &str) {
        // If stderr is gone there is nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// What a command does, step by step: for people only.
    pub(crate) fn step(self, text: &str) {
        if !self.json {
            self.note(&self.bold(text));
        }
    }

    /// A text in bold where colours are allowed.
    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// A text in an ANSI style where colours are allowed.
    pub(crate) fn paint(self, style: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{style}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
