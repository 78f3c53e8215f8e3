//! Windows: the standard's frames, Evenkeel's calendar and session frames, and the short
//! forms, which are written out here.

use evenkeel_types::CalendarUnit;

use super::expr::power;
use super::{Parsed, Parser};
use crate::ast::{
    Bound, BoundKind, BoundOffset, Exclude, ExcludeKind, FrameSpec, FrameUnit, FrameWindow,
    NamedWindow, NumberLit, Span, WindowRef, WindowSpec,
};
use crate::error::Diagnostic;
use crate::lexer::{Symbol, TokenKind};

const CALENDAR: [(&str, CalendarUnit); 4] = [
    ("DAY", CalendarUnit::Day),
    ("WEEK", CalendarUnit::Week),
    ("MONTH", CalendarUnit::Month),
    ("YEAR", CalendarUnit::Year),
];

impl Parser<'_> {
    /// What stands after `OVER`.
    pub(super) fn window_ref(&mut self, tallest: &mut usize) -> Parsed<WindowRef> {
        if self.is_symbol(Symbol::LeftParen) {
            let spec = self.window_spec(tallest)?;
            return Ok(WindowRef::Spec(Box::new(spec)));
        }
        Ok(WindowRef::Named(self.name("the name of a window, or `(`")?))
    }

    /// `name AS (spec), ...` after `WINDOW`.
    pub(super) fn named_windows(&mut self) -> Parsed<Vec<NamedWindow>> {
        let mut windows: Vec<NamedWindow> = Vec::new();
        loop {
            let name = self.name("the name of a window")?;
            self.expect_word("AS", " and a window in parentheses")?;
            let spec = self.window_spec(&mut 0)?;
            windows.push(NamedWindow {
                span: self.since(name.span),
                name,
                spec,
            });
            if self.eat_symbol(Symbol::Comma).is_none() {
                break;
            }
        }
        let names = windows.iter().map(|window| &window.name);
        self.report_twice("window", names.map(|name| (name.value.as_str(), name.span)));
        Ok(windows)
    }

    fn window_spec(&mut self, tallest: &mut usize) -> Parsed<WindowSpec> {
        let open = self
            .expect_symbol(Symbol::LeftParen, " and a window")
            .map_err(|mut diagnostic| {
                if self.is_name_at(0) {
                    diagnostic.hint = Some("put the window in parentheses".to_owned());
                }
                diagnostic
            })?;
        let base = if self.is_name_at(0) && !self.at_window_keyword() {
            Some(self.ident("a window")?)
        } else {
            None
        };
        let mut partition_by = Vec::new();
        if self.eat_words(&["PARTITION", "BY"]).is_some() {
            loop {
                partition_by.push(self.child(power::LOWEST, tallest)?);
                if self.eat_symbol(Symbol::Comma).is_none() {
                    break;
                }
            }
        }
        let order_by = if self.is_words(&["ORDER", "BY"]) {
            self.order_by(tallest)?
        } else {
            Vec::new()
        };
        let frame = if self.is_symbol(Symbol::RightParen) {
            None
        } else {
            Some(self.frame()?)
        };
        self.close(open, Symbol::RightParen, false)?;
        Ok(WindowSpec {
            base,
            partition_by,
            order_by,
            frame,
            span: self.since(open),
        })
    }

    /// Whether a part of a window starts here; else a word is the name of a base window.
    fn at_window_keyword(&self) -> bool {
        let word_then = |word: &str, next: &str| self.is_words(&[word, next]);
        let bound = || {
            ["BETWEEN", "UNBOUNDED", "CURRENT", "INTERVAL", "START"]
                .iter()
                .any(|word| self.is_word_at(1, word))
                || self.token_at(1).kind == TokenKind::Number
        };
        let length =
            || self.is_word_at(1, "INTERVAL") || self.token_at(1).kind == TokenKind::Number;
        word_then("PARTITION", "BY")
            || word_then("ORDER", "BY")
            || word_then("SINCE", "START")
            || word_then("SESSION", "GAP")
            || word_then("ALL", "HISTORY")
            || (["RANGE", "ROWS", "GROUPS"]
                .iter()
                .any(|word| self.is_word(word))
                && bound())
            || ((self.is_word("LAST") || self.is_word("HOP")) && length())
            || (self.is_word("EXCLUDE") && self.is_name_at(1))
    }

    fn frame(&mut self) -> Parsed<FrameSpec> {
        let start = self.span();
        let mut exclude = None;
        let mut hop = None;
        let window = self.frame_window()?;
        loop {
            if window.is_some()
                && let Some(span) = self.eat_word("BEFORE")
            {
                let kind = ExcludeKind::Group;
                self.frame_once(exclude.is_none(), span)?;
                exclude = Some(Exclude { kind, span });
            } else if self.is_word("EXCLUDE") {
                let found = self.exclude()?;
                self.frame_once(exclude.is_none(), found.span)?;
                exclude = Some(found);
            } else if let Some(word) = self.eat_word("HOP") {
                self.frame_once(hop.is_none(), word)?;
                hop = Some(self.length_of_time()?);
            } else {
                break;
            }
        }
        if window.is_none() && exclude.is_none() && hop.is_none() {
            return Err(self.no_frame());
        }
        if !self.is_symbol(Symbol::RightParen) {
            return Err(self.frame_end());
        }
        Ok(FrameSpec {
            window,
            exclude,
            hop,
            span: self.since(start),
        })
    }

    fn frame_once(&self, is_first: bool, span: Span) -> Parsed<()> {
        if is_first {
            return Ok(());
        }
        Err(Box::new(
            Diagnostic::error("this part of the window is given twice", span)
                .with_hint("remove one of them"),
        ))
    }

    fn no_frame(&self) -> Box<Diagnostic> {
        let mut diagnostic = self.unexpected_word(
            "a part of a window",
            &[
                "PARTITION",
                "ORDER",
                "RANGE",
                "ROWS",
                "LAST",
                "SINCE",
                "SESSION",
                "ALL",
                "HOP",
                "EXCLUDE",
            ],
        );
        let half = [
            ("PARTITION", "PARTITION BY"),
            ("ORDER", "ORDER BY"),
            ("SESSION", "SESSION GAP"),
            ("SINCE", "SINCE START OF"),
        ]
        .into_iter()
        .find(|(word, _)| {
            let previous = self.previous_span().text(self.source);
            previous.eq_ignore_ascii_case(word)
        });
        if let (Some((_, whole)), None) = (half, &diagnostic.hint) {
            diagnostic.hint = Some(format!("write `{whole}`"));
        } else if diagnostic.hint.is_none() && !matches!(self.kind(), TokenKind::Bad(_)) {
            diagnostic.hint = Some(
                "write `LAST 3 HOURS`, `LAST 10 EVENTS`, `SINCE START OF DAY`, `SESSION GAP 30 \
                 MINUTES`, `ALL HISTORY` or `RANGE BETWEEN ... AND ...`"
                    .to_owned(),
            );
        }
        diagnostic
    }

    fn frame_end(&self) -> Box<Diagnostic> {
        let mut diagnostic =
            self.unexpected_word("`EXCLUDE`, `HOP` or `)`", &["EXCLUDE", "HOP", "BEFORE"]);
        if self.is_word("PARTITION") || self.is_word("ORDER") {
            diagnostic.hint =
                Some("`PARTITION BY` comes first, then `ORDER BY`, then the frame".to_owned());
        }
        diagnostic
    }

    fn frame_window(&mut self) -> Parsed<Option<FrameWindow>> {
        for (word, unit) in [
            ("RANGE", FrameUnit::Range),
            ("ROWS", FrameUnit::Rows),
            ("GROUPS", FrameUnit::Groups),
        ] {
            if self.eat_word(word).is_some() {
                return self.between(unit).map(Some);
            }
        }
        if self.eat_word("LAST").is_some() {
            return self.last().map(Some);
        }
        if let Some(word) = self.eat_word("SINCE") {
            if !self.is_word("START") {
                return Err(self.unexpected_word("`START OF` and a period", &["START"]));
            }
            let start = self.bound(None)?;
            let end = current_row(word.after());
            return Ok(Some(range(start, end)));
        }
        if self.eat_word("SESSION").is_some() {
            self.expect_word("GAP", " and a length of time")?;
            let gap = self.length_of_time()?;
            return Ok(Some(FrameWindow::Session { gap }));
        }
        if let Some(words) = self.eat_words(&["ALL", "HISTORY"]) {
            let start = Bound {
                kind: BoundKind::UnboundedPreceding,
                span: words,
            };
            return Ok(Some(range(start, current_row(words.after()))));
        }
        Ok(None)
    }

    /// Behind `LAST`: `24 HOURS`, `10 ROWS`, `10 EVENTS`.
    fn last(&mut self) -> Parsed<FrameWindow> {
        let start = self.span();
        let counts = ["ROWS", "ROW", "EVENTS", "EVENT"]
            .iter()
            .any(|word| self.is_word_at(1, word));
        if self.kind() == TokenKind::Number && counts {
            let count = self.number("a number of events")?;
            let word = self.bump().span;
            let Some(value) = count.value.checked_sub(1) else {
                return Err(Box::new(
                    Diagnostic::error("a window of no events is always empty", count.span)
                        .with_hint("write at least `LAST 1 EVENT`"),
                ));
            };
            let offset = BoundOffset::Number(NumberLit {
                value,
                span: count.span,
            });
            return Ok(FrameWindow::Between {
                unit: FrameUnit::Rows,
                start: Bound {
                    kind: BoundKind::Preceding(offset),
                    span: self.since(start),
                },
                end: current_row(word.after()),
            });
        }
        let length = self.length_of_time()?;
        let start = Bound {
            kind: BoundKind::Preceding(BoundOffset::Interval(length)),
            span: length.span,
        };
        Ok(range(start, current_row(length.span.after())))
    }

    /// Behind `RANGE`, `ROWS` or `GROUPS`.
    fn between(&mut self, unit: FrameUnit) -> Parsed<FrameWindow> {
        if self.eat_word("BETWEEN").is_none() {
            let start = self.bound(Some(unit))?;
            let end = current_row(start.span.after());
            return Ok(FrameWindow::Between { unit, start, end });
        }
        let start = self.bound(Some(unit))?;
        self.expect_word("AND", " and the end of the window")?;
        let end = self.bound(Some(unit))?;
        Ok(FrameWindow::Between { unit, start, end })
    }

    fn bound(&mut self, unit: Option<FrameUnit>) -> Parsed<Bound> {
        let first = self.span();
        let kind = if self.eat_words(&["CURRENT", "ROW"]).is_some() {
            BoundKind::CurrentRow
        } else if self.eat_words(&["START", "OF"]).is_some() {
            self.start_of()?
        } else if self.eat_word("UNBOUNDED").is_some() {
            if self.is_following()? {
                BoundKind::UnboundedFollowing
            } else {
                BoundKind::UnboundedPreceding
            }
        } else {
            let offset = self.bound_offset(unit)?;
            if self.is_following()? {
                BoundKind::Following(offset)
            } else {
                BoundKind::Preceding(offset)
            }
        };
        Ok(Bound {
            kind,
            span: self.since(first),
        })
    }

    /// `PRECEDING` is false, `FOLLOWING` true.
    fn is_following(&mut self) -> Parsed<bool> {
        if self.eat_word("PRECEDING").is_some() {
            return Ok(false);
        }
        if self.eat_word("FOLLOWING").is_some() {
            return Ok(true);
        }
        Err(self.unexpected_word("`PRECEDING` or `FOLLOWING`", &["PRECEDING", "FOLLOWING"]))
    }

    fn bound_offset(&mut self, unit: Option<FrameUnit>) -> Parsed<BoundOffset> {
        if self.is_word("INTERVAL") {
            return self.interval_literal().map(BoundOffset::Interval);
        }
        if self.kind() == TokenKind::Number {
            let is_count = ["PRECEDING", "FOLLOWING"]
                .iter()
                .any(|word| self.is_word_at(1, word));
            if is_count {
                return self.number("a number of rows").map(BoundOffset::Number);
            }
            return self.length_of_time().map(BoundOffset::Interval);
        }
        let mut diagnostic = self.unexpected_word(
            "an end of the window",
            &["CURRENT", "UNBOUNDED", "INTERVAL", "START"],
        );
        if diagnostic.hint.is_none() && !matches!(self.kind(), TokenKind::Bad(_)) {
            let example = match unit {
                Some(FrameUnit::Rows | FrameUnit::Groups) => "9 PRECEDING",
                _ => "INTERVAL '3' HOUR PRECEDING",
            };
            diagnostic.hint = Some(format!(
                "write `{example}`, `UNBOUNDED PRECEDING` or `CURRENT ROW`"
            ));
        }
        Err(diagnostic)
    }

    /// Behind `START OF`.
    fn start_of(&mut self) -> Parsed<BoundKind> {
        let found = CALENDAR.into_iter().find(|(word, _)| self.is_word(word));
        let Some((_, unit)) = found else {
            let words = CALENDAR.map(|(word, _)| word);
            return Err(self.unexpected_word("`DAY`, `WEEK`, `MONTH` or `YEAR`", &words));
        };
        self.bump();
        let zone = match self.eat_word("IN") {
            Some(_) => Some(self.string("the name of a zone")?),
            None => None,
        };
        Ok(BoundKind::StartOf { unit, zone })
    }

    fn exclude(&mut self) -> Parsed<Exclude> {
        let start = self.expect_word("EXCLUDE", "")?;
        let kinds: [(&[&str], ExcludeKind); 4] = [
            (&["GROUP"], ExcludeKind::Group),
            (&["CURRENT", "ROW"], ExcludeKind::CurrentRow),
            (&["TIES"], ExcludeKind::Ties),
            (&["NO", "OTHERS"], ExcludeKind::NoOthers),
        ];
        for (words, kind) in kinds {
            if self.eat_words(words).is_some() {
                return Ok(Exclude {
                    kind,
                    span: self.since(start),
                });
            }
        }
        Err(self.unexpected_word("`GROUP`", &["GROUP"]))
    }
}

fn current_row(span: Span) -> Bound {
    Bound {
        kind: BoundKind::CurrentRow,
        span,
    }
}

fn range(start: Bound, end: Bound) -> FrameWindow {
    FrameWindow::Between {
        unit: FrameUnit::Range,
        start,
        end,
    }
}
