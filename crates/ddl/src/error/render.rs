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
/// Characters kept before the place when a line is cut.
const CHARS_BEFORE: usize = 80;

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const CYAN: &str = "\x1b[1;36m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

struct Paint(bool);

impl Paint {
    fn text(&self, color: &str, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("{color}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }
}

pub(super) fn render(diagnostic: &Diagnostic, source: &str, file: &str, color: bool) -> String {
    let paint = Paint(color);
    let file = diagnostic.file.as_deref().unwrap_or(file);
    let span = on_boundaries(source, diagnostic.span);
    let related = diagnostic
        .related
        .as_ref()
        .map(|related| (on_boundaries(source, related.span), &related.message));

    let last = |span: Span| line_of(source, span.end.max(span.start)).0;
    let deepest = last(span).max(related.map_or(0, |(span, _)| last(span)));
    let gutter = deepest.to_string().len();
    let (word, tint) = match diagnostic.severity {
        Severity::Error => ("error", RED),
        Severity::Warning => ("warning", YELLOW),
    };

    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}{}",
        paint.text(tint, word),
        paint.text(BOLD, &format!(": {}", clean(&diagnostic.message)))
    );
    let place = |at: usize| {
        let (line, column) = super::line_and_column(source, at);
        format!("{file}:{line}:{column}")
    };
    let _ = writeln!(
        out,
        "{:gutter$}{} {}",
        "",
        paint.text(BLUE, "-->"),
        place(span.start)
    );
    let bar = paint.text(BLUE, "|");
    let _ = writeln!(out, "{:gutter$} {bar}", "");
    excerpt(&mut out, source, span, '^', tint, gutter, "", &paint);
    if let Some((span, message)) = related {
        let _ = writeln!(
            out,
            "{:gutter$}{} {}",
            "",
            paint.text(BLUE, ":::"),
            place(span.start)
        );
        excerpt(
            &mut out,
            source,
            span,
            '-',
            BLUE,
            gutter,
            &clean(message),
            &paint,
        );
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = writeln!(out, "{:gutter$} {bar}", "");
        let _ = writeln!(
            out,
            "{:gutter$} {} {}",
            "",
            paint.text(BLUE, "="),
            paint.text(CYAN, "hint:") + " " + &clean(hint)
        );
    }
    out
}

/// The lines of `span` with their numbers and an underline each.
#[expect(
    clippy::too_many_arguments,
    reason = "one drawing primitive, two callers beside it"
)]
fn excerpt(
    out: &mut String,
    source: &str,
    span: Span,
    mark: char,
    tint: &str,
    gutter: usize,
    label: &str,
    paint: &Paint,
) {
    let (first, first_start) = line_of(source, span.start);
    let bar = paint.text(BLUE, "|");
    let count = source
        .get(span.start..span.end)
        .map_or(0, |text| text.matches('\n').count())
        + 1;
    let mut start = first_start;
    for index in 0..count {
        let end = source[start..]
            .find('\n')
            .map_or(source.len(), |at| start + at);
        let next = (end + 1).min(source.len());
        let shown = count <= LINES_SHOWN_MAX || index + 2 < LINES_SHOWN_MAX || index + 1 == count;
        if !shown {
            if index + 2 == LINES_SHOWN_MAX {
                let _ = writeln!(out, "{}", paint.text(BLUE, "..."));
            }
            start = next;
            continue;
        }
        let line = source[start..end].trim_end_matches('\r');
        let from = span.start.max(start) - start;
        let to = (span.end.min(start + line.len())).max(start + from.min(line.len())) - start;
        let from = from.min(line.len());
        // From the second line on the underline starts at the text, not in the margin.
        let from = if index > 0 {
            line.len() - line.trim_start().len()
        } else {
            from
        };
        let (text, before, width) = drawn(line, from, to.max(from));
        let number = paint.text(BLUE, &format!("{:>gutter$}", first + index));
        let _ = writeln!(out, "{}", format!("{number} {bar} {text}").trim_end());
        if width == 0 && index > 0 {
            start = next;
            continue;
        }
        let marks: String = std::iter::repeat_n(mark, width.max(1)).collect();
        let label = if index + 1 == count && !label.is_empty() {
            format!(" {label}")
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "{:gutter$} {bar} {:before$}{}",
            "",
            "",
            paint.text(tint, &(marks + &label))
        );
        start = next;
    }
}

/// The line as drawn (tabs as spaces, control characters as `·`, far ends cut), and the
/// width of what is before and inside the byte range.
fn drawn(line: &str, from: usize, to: usize) -> (String, usize, usize) {
    let chars_before = line[..from].chars().count();
    let skip = if line.chars().count() > LINE_CHARS_MAX {
        chars_before.saturating_sub(CHARS_BEFORE)
    } else {
        0
    };
    let mut text = String::new();
    let (mut before, mut inside) = (0, 0);
    if skip > 0 {
        text.push_str("...");
        before += 3;
    }
    for (taken, (at, c)) in line.char_indices().skip(skip).enumerate() {
        if taken == LINE_CHARS_MAX {
            text.push_str("...");
            break;
        }
        let width = match c {
            '\t' => {
                text.push_str(TAB);
                TAB.len()
            }
            c if is_control(c) => {
                text.push('·');
                1
            }
            c => {
                text.push(c);
                width_of(c)
            }
        };
        if at < from {
            before += width;
        } else if at < to {
            inside += width;
        }
    }
    (text, before, inside)
}

/// Terminal columns of a character: East Asian wide characters and emoji take two,
/// combining marks none.
fn width_of(c: char) -> usize {
    match u32::from(c) {
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

/// Messages quote the user's text, so they may hold anything.
fn clean(text: &str) -> String {
    text.chars()
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
