//! Draws a diagnostic under its line.

use std::fmt::Write as _;

use super::{Diagnostic, Severity};
use crate::ast::Span;

/// A span over more lines than this shows its first lines and its last.
const LINES_SHOWN_MAX: usize = 4;
/// Tabs are drawn as this many spaces.
const TAB: &str = "    ";
/// Longer lines are cut around the place, so that a hostile line cannot flood a terminal.
const LINE_CHARS_MAX: usize = 240;
/// Longer messages and hints are cut.
const MESSAGE_CHARS_MAX: usize = 1_000;
/// What stands for what was cut.
const CUT: &str = "...";
/// Characters kept before the place when a line is cut.
const CHARS_BEFORE: usize = 80;

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const CYAN: &str = "\x1b[1;36m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

pub(super) fn render(diagnostic: &Diagnostic, source: &str, file: &str, color: bool) -> String {
    let (word, tint) = match diagnostic.severity {
        Severity::Error => ("error", RED),
        Severity::Warning => ("warning", YELLOW),
    };
    let main = Mark {
        span: on_boundaries(source, diagnostic.span),
        glyph: '^',
        tint,
        label: String::new(),
    };
    let related = diagnostic.related.as_ref().map(|related| Mark {
        span: on_boundaries(source, related.span),
        glyph: '-',
        tint: BLUE,
        label: clean(&related.message),
    });
    let last_line = |mark: &Mark| line_of(source, mark.span.end).0;
    let deepest = last_line(&main).max(related.as_ref().map_or(0, last_line));
    let (line, column) = super::line_and_column(source, main.span.start);
    let mut canvas = Canvas {
        out: String::new(),
        source,
        gutter: deepest.to_string().len(),
        color,
    };

    let head = canvas.paint(tint, word)
        + &canvas.paint(BOLD, &format!(": {}", clean(&diagnostic.message)));
    canvas.line(&head);
    let file = diagnostic.file.as_deref().unwrap_or(file);
    let place = canvas.paint(BLUE, "-->") + &format!(" {}:{line}:{column}", clean(file));
    let gutter = canvas.gutter;
    canvas.line(&format!("{:gutter$}{place}", ""));
    canvas.beside("|", "");
    canvas.excerpts(&main, related.as_ref());
    if let Some(hint) = &diagnostic.hint {
        canvas.beside("|", "");
        let hint = canvas.paint(CYAN, "hint:") + " " + &clean(hint);
        canvas.beside("=", &hint);
    }
    canvas.out
}

/// A place to underline, how, and with what words behind it.
struct Mark {
    span: Span,
    glyph: char,
    tint: &'static str,
    label: String,
}

/// Where the picture is drawn.
struct Canvas<'a> {
    out: String,
    source: &'a str,
    /// Digits of the largest line number.
    gutter: usize,
    color: bool,
}

impl Canvas<'_> {
    fn paint(&self, tint: &str, text: &str) -> String {
        if self.color && !text.is_empty() {
            format!("{tint}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.out, "{}", text.trim_end_matches(' '));
    }

    /// A line without a number, behind a bar or another sign.
    fn beside(&mut self, sign: &str, text: &str) {
        let gutter = self.gutter;
        let sign = self.paint(BLUE, sign);
        self.line(&format!("{:gutter$} {sign} {text}", ""));
    }

    fn excerpts(&mut self, main: &Mark, related: Option<&Mark>) {
        let Some(related) = related else {
            return self.excerpt(main);
        };
        let lines = |mark: &Mark| {
            (
                line_of(self.source, mark.span.start).0,
                line_of(self.source, mark.span.end).0,
            )
        };
        let ((main_first, main_last), (first, last)) = (lines(main), lines(related));
        let is_one_line = main_first == last && main_last == first;
        let apart = main.span.end <= related.span.start || related.span.end <= main.span.start;
        if is_one_line && apart {
            return self.one_line(main, related);
        }
        let (upper, lower, gap) = if first < main_first {
            (related, main, main_first.saturating_sub(last))
        } else {
            (main, related, first.saturating_sub(main_last))
        };
        self.excerpt(upper);
        if gap > 1 {
            let dots = self.paint(BLUE, "...");
            self.line(&dots);
        }
        self.excerpt(lower);
    }

    /// Both marks under one line, the words of the related one below them.
    fn one_line(&mut self, main: &Mark, related: &Mark) {
        let (number, start) = line_of(self.source, main.span.start);
        let (left, right) = if main.span < related.span {
            (main, related)
        } else {
            (related, main)
        };
        let line = line_at(self.source, start);
        let drawn = Drawn::new(line, left.span.start - start);
        self.numbered(number, &drawn.text);
        let mut row = String::new();
        let mut at = 0;
        for mark in [left, right] {
            let (from, to) = drawn.columns(mark.span.start - start, mark.span.end - start);
            // A very long line may be cut before the second mark.
            let from = from.max(at);
            let glyphs: String =
                std::iter::repeat_n(mark.glyph, (to.max(from + 1)) - from).collect();
            let _ = write!(row, "{:1$}", "", from - at);
            row.push_str(&self.paint(mark.tint, &glyphs));
            at = from + glyphs.chars().count();
        }
        self.beside("|", &row);
        let (before, _) = drawn.columns(related.span.start - start, related.span.end - start);
        let label = self.paint(related.tint, &related.label);
        self.beside("|", &format!("{:before$}{label}", ""));
    }

    /// The lines of a mark with their numbers and an underline each; the words behind the
    /// last.
    fn excerpt(&mut self, mark: &Mark) {
        let (first, mut start) = line_of(self.source, mark.span.start);
        let count = mark.span.text(self.source).matches('\n').count() + 1;
        for index in 0..count {
            let is_last = index + 1 == count;
            let is_shown = count <= LINES_SHOWN_MAX || index + 2 < LINES_SHOWN_MAX || is_last;
            let line = line_at(self.source, start);
            if is_shown {
                let label = if is_last { mark.label.as_str() } else { "" };
                self.underlined(mark, first + index, start, line, label);
            } else if index + 2 == LINES_SHOWN_MAX {
                let dots = self.paint(BLUE, "...");
                self.line(&dots);
            }
            start = self.source[start..]
                .find('\n')
                .map_or(self.source.len(), |at| start + at + 1);
        }
    }

    fn underlined(&mut self, mark: &Mark, number: usize, start: usize, line: &str, label: &str) {
        let is_first = mark.span.start >= start;
        // From the second line on the underline starts at the text, not in the margin.
        let from = if is_first {
            (mark.span.start - start).min(line.len())
        } else {
            line.len() - line.trim_start().len()
        };
        let to = (mark.span.end - start).clamp(from, line.len().max(from));
        let drawn = Drawn::new(line, from);
        self.numbered(number, &drawn.text);
        if !is_first && from == to {
            return;
        }
        let (from, to) = drawn.columns(from, to);
        let glyphs: String = std::iter::repeat_n(mark.glyph, (to - from).max(1)).collect();
        let text = format!("{glyphs} {label}");
        let underline = self.paint(mark.tint, text.trim_end());
        self.beside("|", &format!("{:from$}{underline}", ""));
    }

    fn numbered(&mut self, number: usize, text: &str) {
        let gutter = self.gutter;
        let number = self.paint(BLUE, &format!("{number:>gutter$}"));
        let bar = self.paint(BLUE, "|");
        self.line(&format!("{number} {bar} {text}"));
    }
}

/// A line as it is drawn: tabs as spaces, control characters as `·`, far ends cut.
struct Drawn<'a> {
    line: &'a str,
    /// Characters cut at the start.
    skipped: usize,
    text: String,
}

impl<'a> Drawn<'a> {
    /// `focus` is the byte that must be seen.
    fn new(line: &'a str, focus: usize) -> Self {
        let is_long = line.chars().count() > LINE_CHARS_MAX;
        let chars_before = line.get(..focus).unwrap_or(line).chars().count();
        let skipped = if is_long {
            chars_before.saturating_sub(CHARS_BEFORE)
        } else {
            0
        };
        let mut text = String::new();
        if skipped > 0 {
            text.push_str(CUT);
        }
        let mut rest = line.chars().skip(skipped);
        for c in rest.by_ref().take(LINE_CHARS_MAX) {
            match c {
                '\t' => text.push_str(TAB),
                c if is_control(c) => text.push('·'),
                c => text.push(c),
            }
        }
        if rest.next().is_some() {
            text.push_str(CUT);
        }
        Drawn {
            line,
            skipped,
            text,
        }
    }

    /// The terminal columns of a range of bytes.
    fn columns(&self, from: usize, to: usize) -> (usize, usize) {
        let column = |byte: usize| {
            let cut = if self.skipped > 0 { CUT.len() } else { 0 };
            let shown = self.line.char_indices().skip(self.skipped);
            let before = shown.take(LINE_CHARS_MAX).filter(|(at, _)| *at < byte);
            cut + before.map(|(_, c)| width_of(c)).sum::<usize>()
        };
        (column(from), column(to))
    }
}

/// The line that starts at a byte, without its end.
fn line_at(source: &str, start: usize) -> &str {
    let rest = &source[start..];
    let line = rest.split('\n').next().unwrap_or(rest);
    line.strip_suffix('\r').unwrap_or(line)
}

/// Terminal columns of a character: East Asian wide characters and emoji take two,
/// combining marks none.
fn width_of(c: char) -> usize {
    match u32::from(c) {
        0x0009 => TAB.len(),
        0x0300..=0x036F | 0x200D | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F
        | 0x2E80..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1FAFF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// Control characters, and those that turn the direction of text, must not reach a terminal.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c), 0x200B..=0x200C | 0x200E..=0x200F | 0x202A..=0x202E | 0x2066..=0x2069 | 0xFEFF)
}

/// Messages quote the user's text, so they may hold anything, of any length.
fn clean(text: &str) -> String {
    text.chars()
        .take(MESSAGE_CHARS_MAX)
        .map(|c| if is_control(c) && c != '\n' { '·' } else { c })
        .collect()
}

/// The span within the text and on character boundaries, widened where it was not.
fn on_boundaries(source: &str, span: Span) -> Span {
    let start = floor_boundary(source, span.start);
    let mut end = span.end.clamp(start, source.len().max(start));
    while !source.is_char_boundary(end) {
        end += 1;
    }
    Span { start, end }
}

fn floor_boundary(source: &str, at: usize) -> usize {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The number of the line that holds a byte, from 1, and the line's first byte.
pub(super) fn line_of(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..floor_boundary(source, at)];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, start)
}
