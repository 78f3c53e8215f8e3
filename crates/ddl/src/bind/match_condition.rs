//! When a row of the right side of an `ASOF JOIN` matches: the comparison of the two times,
//! and the age limit.
//!
//! Rules beyond `docs/semantics.md`: in a time condition the unqualified `event_time` is the
//! time of the left row; `BETWEEN` is understood; an age limit may be written on either side
//! (`b.t > a.t - INTERVAL ..`, `a.t < b.t + INTERVAL ..`), with months on the left's only,
//! since `t - 1 month` and `t + 1 month` do not undo each other.

use evenkeel_types::definition::{MaxAge, Trigger, ViewBody};
use evenkeel_types::{Expr, ExprKind, Interval};

use super::expression::flatten;
use super::lookup::{Matching, RIGHT_BASE, RIGHT_KEYS, RIGHT_TIME};
use super::relation::{Read, Target};
use super::report::Report;
use super::rows::is_time_slot;
use crate::ast::{self, BinaryOperator, ExprKind as E, Literal, Span};

/// What is known of when a row matches.
#[derive(Default)]
pub(super) struct Times {
    /// `>` (true) or `>=` (false), with its place.
    pub(super) order: Option<(bool, Span)>,
    pub(super) max_age: Option<(MaxAge, Span)>,
}

/// One side of a comparison of times.
struct TimeOperand {
    is_left: bool,
    /// What is added to the time.
    offset: Interval,
}

impl Times {
    /// Views that are answered at any time have no row time to compare with.
    pub(super) fn check(&self, read: &Read<'_>, report: &mut Report) -> Option<()> {
        if read.target.has_row_time() {
            return Some(());
        }
        if let Some((true, span)) = self.order {
            return report.hinted(
                format!("`{}` is read at the time of the left row: it has no rows before it", read.alias),
                span,
                if read.target.is_state() {
                    "leave `MATCH_CONDITION` out: a state view has what lives at that time"
                } else {
                    "leave `MATCH_CONDITION` out; to leave out the events of that instant, use `EXCLUDE GROUP` in the view's windows"
                },
            );
        }
        if let Some((_, span)) = self.max_age {
            return report.hinted(
                format!(
                    "`{}` is read at the time of the left row: it has no rows that could be too old",
                    read.alias
                ),
                span,
                if read.target.is_state() {
                    "leave `MATCH_CONDITION` out: a state view has what lives at that time"
                } else {
                    "leave `MATCH_CONDITION` out; the view's windows say how far back they reach"
                },
            );
        }
        Some(())
    }
}

impl Matching<'_> {
    /// `MATCH_CONDITION (a AND b)`
    pub(super) fn condition(&mut self, written: &ast::Expr, report: &mut Report) {
        let mut parts = Vec::new();
        flatten(written, BinaryOperator::And, &mut parts);
        for part in parts {
            self.comparison(part, report);
        }
    }

    /// Whether a comparison in `ON` has a time of either row in it.
    pub(super) fn is_about_times(&self, part: &ast::Expr) -> bool {
        let operands: Vec<&ast::Expr> = match &part.kind {
            E::Binary { left, right, .. } => vec![left, right],
            E::Between {
                operand, low, high, ..
            } => vec![operand, low, high],
            _ => Vec::new(),
        };
        operands
            .into_iter()
            .any(|o| self.operand(o, &mut Report::default()).is_some())
    }

    /// One comparison of the two times.
    pub(super) fn comparison(&mut self, part: &ast::Expr, report: &mut Report) -> Option<()> {
        use BinaryOperator as B;
        match &part.kind {
            E::Binary {
                operator: operator @ (B::Less | B::LessOrEqual | B::Greater | B::GreaterOrEqual),
                left,
                right,
                ..
            } => self.compared(part.span, left, *operator, right, report),
            E::Between {
                operand,
                low,
                high,
                negated: false,
            } => {
                let lower = self.compared(part.span, operand, B::GreaterOrEqual, low, report);
                let upper = self.compared(part.span, operand, B::LessOrEqual, high, report);
                lower.and(upper)
            }
            _ => report.hinted(
                "the time condition compares the times of the two rows",
                part.span,
                format!(
                    "write `event_time >= {}.event_time`, or `>`",
                    self.read.alias
                ),
            ),
        }
    }

    fn compared(
        &mut self,
        span: Span,
        a: &ast::Expr,
        operator: BinaryOperator,
        b: &ast::Expr,
        report: &mut Report,
    ) -> Option<()> {
        let first = self.operand(a, report);
        let second = self.operand(b, report);
        let (first, second) = (first?, second?);
        if first.is_left == second.is_left {
            return report.hinted(
                "both times are of the same side",
                span,
                format!(
                    "write `event_time >= {}.event_time`, or `>`",
                    self.read.alias
                ),
            );
        }
        let is_strict = matches!(operator, BinaryOperator::Less | BinaryOperator::Greater);
        let is_greater = matches!(
            operator,
            BinaryOperator::Greater | BinaryOperator::GreaterOrEqual
        );
        // As `left OP right`.
        let (left, right, is_greater) = if first.is_left {
            (first.offset, second.offset, is_greater)
        } else {
            (second.offset, first.offset, !is_greater)
        };
        if is_greater {
            return self.from(span, left, right, is_strict, report);
        }
        self.age(span, left, right, is_strict, report)
    }

    /// `left + l >= right + r`
    fn from(
        &mut self,
        span: Span,
        left: Interval,
        right: Interval,
        is_strict: bool,
        report: &mut Report,
    ) -> Option<()> {
        if !left.is_zero() || !right.is_zero() {
            let looks_forward =
                (left.is_zero() && right.is_negative()) || (right.is_zero() && !left.is_negative());
            if looks_forward {
                return self.forward(span, report);
            }
            return report.hinted(
                "a look-up cannot start in the past",
                span,
                format!(
                    "compare the times as they are, `event_time >= {0}.event_time`; a delay belongs into the source of `{0}`: `KNOWN AT`",
                    self.read.alias
                ),
            );
        }
        if self.times.order.is_some() {
            return report.hinted(
                "the times are compared twice",
                span,
                "write one comparison, and if wanted one age limit",
            );
        }
        self.times.order = Some((is_strict, span));
        Some(())
    }

    /// `left + l <= right + r`
    fn age(
        &mut self,
        span: Span,
        left: Interval,
        right: Interval,
        is_strict: bool,
        report: &mut Report,
    ) -> Option<()> {
        let age = match (left.is_zero(), right.is_zero()) {
            (false, true) if left.months <= 0 && left.micros <= 0 => Interval {
                months: left.months.saturating_neg(),
                micros: left.micros.saturating_neg(),
            },
            (true, false) if !right.is_negative() => {
                if !right.is_exact() {
                    return report.hinted(
                        "months are counted back from the left row",
                        span,
                        format!(
                            "write `{}.event_time > event_time - INTERVAL '1' MONTH`",
                            self.read.alias
                        ),
                    );
                }
                right
            }
            (true, true) | (true, false) | (false, true) => return self.forward(span, report),
            (false, false) => {
                return report.hinted(
                    "an age limit has one interval",
                    span,
                    format!(
                        "write `{}.event_time > event_time - INTERVAL '2' HOUR`",
                        self.read.alias
                    ),
                );
            }
        };
        if self.times.max_age.is_some() {
            return report.hinted("there are two age limits", span, "leave the longer one out");
        }
        self.times.max_age = Some((
            MaxAge {
                age,
                inclusive: !is_strict,
            },
            span,
        ));
        Some(())
    }

    fn forward<T>(&self, span: Span, report: &mut Report) -> Option<T> {
        report.hinted(
            "a feature cannot look forward",
            span,
            format!(
                "write `event_time >= {}.event_time`: the latest row up to the time of the left one",
                self.read.alias
            ),
        )
    }

    /// A time of either side, perhaps with an interval.
    fn operand(&self, expr: &ast::Expr, report: &mut Report) -> Option<TimeOperand> {
        let (base, offset) = offset(expr);
        if let E::Name(parts) = &base.kind
            && let [name] = parts.as_slice()
            && name.value == "event_time"
        {
            return Some(TimeOperand {
                is_left: true,
                offset,
            });
        }
        let bound = self.bind(base, "`MATCH_CONDITION`", report)?;
        if self.rows.is_trigger_time(&bound) {
            return Some(TimeOperand {
                is_left: true,
                offset,
            });
        }
        if self.is_right_time(&bound) {
            return Some(TimeOperand {
                is_left: false,
                offset,
            });
        }
        let alias = &self.read.alias;
        report.hinted(
            "this is not the event time of either row",
            base.span,
            format!("write `event_time` for the left row and `{alias}.event_time` for the row of `{alias}`"),
        )
    }

    fn is_right_time(&self, expr: &Expr) -> bool {
        let ExprKind::Column(slot) = expr.kind else {
            return false;
        };
        if slot == RIGHT_TIME {
            return true;
        }
        let Some(own) = slot.checked_sub(RIGHT_BASE).filter(|_| slot < RIGHT_KEYS) else {
            return false;
        };
        match &self.read.target {
            Target::Source(source) => is_time_slot(source, own),
            // A feature that is the time of the view's own rows.
            Target::View(view) => match &view.body {
                ViewBody::Row(body) => {
                    match (&body.trigger, body.columns.get(own).map(|c| &c.kind)) {
                        (Trigger::Source(side), Some(ExprKind::Column(slot))) => {
                            *slot < side.source.row_width() && is_time_slot(&side.source, *slot)
                        }
                        _ => false,
                    }
                }
                _ => false,
            },
        }
    }
}

/// A time and what is added to it.
fn offset(expr: &ast::Expr) -> (&ast::Expr, Interval) {
    let interval = |e: &ast::Expr| match &e.kind {
        E::Literal(Literal::Interval(interval)) => Some(interval.value),
        _ => None,
    };
    if let E::Binary {
        operator,
        left,
        right,
        ..
    } = &expr.kind
    {
        match (operator, interval(left), interval(right)) {
            (BinaryOperator::Add, None, Some(length)) => return (left, length),
            (BinaryOperator::Add, Some(length), None) => return (right, length),
            (BinaryOperator::Subtract, None, Some(length)) => {
                let negative = Interval {
                    months: length.months.saturating_neg(),
                    micros: length.micros.saturating_neg(),
                };
                return (left, negative);
            }
            _ => {}
        }
    }
    (expr, Interval::default())
}
