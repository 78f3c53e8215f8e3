//! Frames: from bounds as written to a [`Frame`], with everything refused that has no meaning
//! at a read time.
//!
//! Rules beyond `docs/semantics.md`: a window without a frame is all history up to `t`; a
//! bound of months beside one of days is refused where, in some month, the window would end
//! before it starts.

use evenkeel_types::time::DAY;
use evenkeel_types::{CalendarUnit, Extent, Frame, Interval, Zone};

use super::report::Report;
use crate::ast::{
    Bound, BoundKind, BoundOffset, Exclude, ExcludeKind, Expr, FrameSpec, FrameUnit, FrameWindow,
    IntervalLit, NumberLit, OrderItem, Span, StringLit, WindowSpec,
};

/// The most events that a `ROWS` frame reaches back.
pub const FRAME_ROWS_MAX: u64 = 100_000;

/// A window's parts before the frame is understood.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts<'a> {
    pub(super) partition_by: &'a [Expr],
    pub(super) order_by: &'a [OrderItem],
    window: Option<&'a FrameWindow>,
    exclude: Option<Exclude>,
    hop: Option<IntervalLit>,
}

impl<'a> Parts<'a> {
    /// Fills what is still missing from a window.
    pub(super) fn take(&mut self, spec: &'a WindowSpec) {
        if self.partition_by.is_empty() {
            self.partition_by = &spec.partition_by;
        }
        if self.order_by.is_empty() {
            self.order_by = &spec.order_by;
        }
        if let Some(FrameSpec {
            window,
            exclude,
            hop,
            ..
        }) = &spec.frame
        {
            self.window = self.window.or(window.as_ref());
            self.exclude = self.exclude.or(*exclude);
            self.hop = self.hop.or(*hop);
        }
    }
}

/// The frame of a window.
pub(super) fn frame(parts: &Parts<'_>, report: &mut Report) -> Option<Frame> {
    let excluded = match parts.exclude {
        None => None,
        Some(exclude) => match exclude.kind {
            ExcludeKind::NoOthers => None,
            ExcludeKind::Group => Some(exclude.span),
            ExcludeKind::CurrentRow | ExcludeKind::Ties => {
                let what = if exclude.kind == ExcludeKind::Ties {
                    "EXCLUDE TIES"
                } else {
                    "EXCLUDE CURRENT ROW"
                };
                return report.hinted(
                    format!("`{what}` has no meaning at a read time: there is no current row among the events of one time"),
                    exclude.span,
                    "write `EXCLUDE GROUP`: it leaves out every event at exactly the read time",
                );
            }
        },
    };
    let extent = match parts.window {
        None => Extent::Range {
            start: None,
            end: Interval::default(),
        },
        Some(FrameWindow::Session { gap }) => Extent::Session {
            gap: exact_positive(gap, "the gap of a session", report)?,
        },
        Some(FrameWindow::Between { unit, start, end }) => match unit {
            FrameUnit::Range => range(start, end, excluded.is_some(), report)?,
            FrameUnit::Rows => rows(start, end, report)?,
            FrameUnit::Groups => {
                return report.hinted(
                    "`GROUPS` frames are not supported",
                    start.span.to(end.span),
                    "write `RANGE` for lengths of time or `ROWS` for numbers of events",
                );
            }
        },
    };
    let extent = match &parts.hop {
        None => extent,
        Some(hop) => hopping(extent, hop, excluded, report)?,
    };
    Some(Frame {
        extent,
        exclude_group: excluded.is_some(),
    })
}

/// `RANGE BETWEEN start AND end`.
fn range(start: &Bound, end: &Bound, exclude_group: bool, report: &mut Report) -> Option<Extent> {
    if let BoundKind::StartOf { unit, zone } = &start.kind {
        return start_of(*unit, zone.as_ref(), end, report);
    }
    let from = range_bound(start, report);
    let to = range_bound(end, report);
    let (from, to) = (from?, to?);
    let Some(to) = to else {
        return report.hinted(
            "a window cannot end at `UNBOUNDED PRECEDING`",
            end.span,
            "write `AND CURRENT ROW`, or an end such as `AND INTERVAL '7' DAY PRECEDING`",
        );
    };
    if let Some(from) = from {
        match order(from, to) {
            Order::Holds => {}
            Order::Inverted => {
                return report.hinted(
                    "the window ends before it starts",
                    start.span.to(end.span),
                    "write the earlier bound first: `BETWEEN INTERVAL '37' DAY PRECEDING AND INTERVAL '7' DAY PRECEDING`",
                );
            }
            Order::Sometimes => {
                return report.hinted(
                    "in some months the window ends before it starts",
                    start.span.to(end.span),
                    "write both bounds in months or both in days",
                );
            }
        }
        if exclude_group && from.is_zero() {
            return report.hinted(
                "the window holds nothing: it is the read time alone, without the events at it",
                start.span.to(end.span),
                "let it start earlier: `BETWEEN INTERVAL '3' HOUR PRECEDING AND CURRENT ROW EXCLUDE GROUP`",
            );
        }
    }
    Some(Extent::Range {
        start: from,
        end: to,
    })
}

/// A bound of a `RANGE`: how far back; `Some(None)` is unbounded.
fn range_bound(bound: &Bound, report: &mut Report) -> Option<Option<Interval>> {
    match &bound.kind {
        BoundKind::UnboundedPreceding => Some(None),
        BoundKind::CurrentRow => Some(Some(Interval::default())),
        BoundKind::Preceding(BoundOffset::Interval(length)) => {
            if length.value.is_negative() {
                return report.hinted(
                    "a bound cannot be negative: it would look forward",
                    length.span,
                    "write a length of time that is not below zero",
                );
            }
            Some(Some(length.value))
        }
        BoundKind::Preceding(BoundOffset::Number(number)) => report.hinted(
            "`RANGE` is over time: its bounds are intervals",
            number.span,
            format!(
                "write `INTERVAL '{0}' HOUR PRECEDING`, or `ROWS BETWEEN {0} PRECEDING AND CURRENT ROW` for events",
                number.value
            ),
        ),
        BoundKind::StartOf { .. } => report.hinted(
            "only the start of a window can be the start of a calendar period",
            bound.span,
            "write `RANGE BETWEEN START OF DAY AND CURRENT ROW`",
        ),
        BoundKind::Following(_) | BoundKind::UnboundedFollowing => following(bound, report),
    }
}

/// `RANGE BETWEEN START OF unit AND end`.
fn start_of(
    unit: CalendarUnit,
    zone: Option<&StringLit>,
    end: &Bound,
    report: &mut Report,
) -> Option<Extent> {
    let zone = match zone {
        None => Some(Zone::utc()),
        Some(name) => self::zone(name, report),
    };
    match &end.kind {
        BoundKind::CurrentRow => Some(Extent::StartOf { unit, zone: zone? }),
        BoundKind::Following(_) | BoundKind::UnboundedFollowing => following(end, report),
        _ => report.hinted(
            "a window from the start of a calendar period ends at the read time",
            end.span,
            "write `AND CURRENT ROW`",
        ),
    }
}

/// `ROWS BETWEEN start AND end`.
fn rows(start: &Bound, end: &Bound, report: &mut Report) -> Option<Extent> {
    let from = rows_bound(start, report);
    let to = rows_bound(end, report);
    let (from, to) = (from?, to?);
    let Some(to) = to else {
        return report.hinted(
            "a window cannot end at `UNBOUNDED PRECEDING`",
            end.span,
            "write `AND CURRENT ROW`",
        );
    };
    if from.is_some_and(|from| from < to) {
        return report.hinted(
            "the window ends before it starts",
            start.span.to(end.span),
            "write the earlier bound first: `ROWS BETWEEN 9 PRECEDING AND 5 PRECEDING`",
        );
    }
    Some(Extent::Rows {
        start: from,
        end: to,
    })
}

/// A bound of a `ROWS`: how many events back; `Some(None)` is unbounded.
fn rows_bound(bound: &Bound, report: &mut Report) -> Option<Option<u64>> {
    match &bound.kind {
        BoundKind::UnboundedPreceding => Some(None),
        BoundKind::CurrentRow => Some(Some(0)),
        BoundKind::Preceding(BoundOffset::Number(NumberLit { value, span })) => {
            if *value > FRAME_ROWS_MAX {
                return report.hinted(
                    format!("a `ROWS` frame reaches back at most {FRAME_ROWS_MAX} events"),
                    *span,
                    "write `UNBOUNDED PRECEDING`, or a length of time with `RANGE`",
                );
            }
            Some(Some(*value))
        }
        BoundKind::Preceding(BoundOffset::Interval(length)) => report.hinted(
            "`ROWS` counts events: its bounds are numbers",
            length.span,
            "write `RANGE` instead of `ROWS`",
        ),
        BoundKind::StartOf { .. } => report.hinted(
            "`START OF` is a time: it belongs to `RANGE`",
            bound.span,
            "write `RANGE BETWEEN START OF DAY AND CURRENT ROW`",
        ),
        BoundKind::Following(_) | BoundKind::UnboundedFollowing => following(bound, report),
    }
}

fn following<T>(bound: &Bound, report: &mut Report) -> Option<T> {
    report.hinted(
        "a feature cannot look forward",
        bound.span,
        "end the window at `CURRENT ROW`; looking forward is for labels: `LABEL x FROM v WITHIN INTERVAL '7' DAY` in a spine",
    )
}

/// The frame with `HOP`.
fn hopping(
    extent: Extent,
    hop: &IntervalLit,
    excluded: Option<Span>,
    report: &mut Report,
) -> Option<Extent> {
    let micros = exact_positive(hop, "a hop", report)?;
    let refused = |what: &str, hint: &str, report: &mut Report| {
        report.hinted(format!("`HOP` does not go with {what}"), hop.span, hint)
    };
    if excluded.is_some() {
        return refused(
            "`EXCLUDE GROUP`",
            "leave out the one or the other: a hopping window ends at a multiple of its hop, not at the read time",
            report,
        );
    }
    let (start, end) = match extent {
        Extent::Range { start, end } => (start, end),
        Extent::Rows { .. } => {
            return refused("`ROWS`", "write a `RANGE` frame", report);
        }
        Extent::Session { .. } => return refused("`SESSION GAP`", "leave `HOP` out", report),
        Extent::StartOf { .. } => return refused("`START OF`", "leave `HOP` out", report),
        Extent::Hop { .. } => return None,
    };
    for bound in start.iter().chain([&end]) {
        if !bound.is_exact() {
            return refused(
                "bounds of months or years",
                "write the bounds in days, hours or smaller units",
                report,
            );
        }
        if bound.micros % micros != 0 {
            return report.hinted(
                format!(
                    "the hop of {} does not divide the bound of {bound}",
                    hop.value
                ),
                hop.span,
                "write bounds that are multiples of the hop",
            );
        }
    }
    if start.is_some_and(|s| s.micros == end.micros) {
        return report.hinted(
            "the hopping window holds nothing: it starts where it ends",
            hop.span,
            "let it start at least one hop earlier, or leave `HOP` out",
        );
    }
    Some(Extent::Hop {
        start: start.map(|s| s.micros),
        end: end.micros,
        hop: micros,
    })
}

/// A length of time that is exact and above zero, in microseconds.
pub(super) fn exact_positive(length: &IntervalLit, what: &str, report: &mut Report) -> Option<i64> {
    let micros = exact(length, what, report)?;
    if micros == 0 {
        return report.hinted(
            format!("{what} must be above zero"),
            length.span,
            "write a length of time such as `INTERVAL '30' MINUTE`",
        );
    }
    Some(micros)
}

/// A length of time that is exact and not negative, in microseconds.
pub(super) fn exact(length: &IntervalLit, what: &str, report: &mut Report) -> Option<i64> {
    if !length.value.is_exact() {
        return report.hinted(
            format!("{what} must be an exact length of time, and months and years are not"),
            length.span,
            "write days, hours or smaller units: `INTERVAL '30' DAY`",
        );
    }
    if length.value.is_negative() {
        return report.hinted(
            format!("{what} cannot be negative"),
            length.span,
            "write a length of time that is not below zero",
        );
    }
    Some(length.value.micros)
}

/// The zone of a name.
pub(super) fn zone(name: &StringLit, report: &mut Report) -> Option<Zone> {
    match Zone::named(&name.value) {
        Some(zone) => Some(zone),
        None => report.hinted(
            format!("there is no zone `{}`", name.value),
            name.span,
            "write `UTC`, a name of the zone database such as `Europe/Berlin`, or an offset such as `+02:00`",
        ),
    }
}

/// Whether a window that reaches back `from` and ends `to` ago is one.
enum Order {
    /// Always.
    Holds,
    /// Never: it ends before it starts.
    Inverted,
    /// It depends on the month.
    Sometimes,
}

fn order(from: Interval, to: Interval) -> Order {
    if from.months >= to.months && from.micros >= to.micros {
        return Order::Holds;
    }
    if from.months <= to.months && from.micros <= to.micros {
        return Order::Inverted;
    }
    // Months on one side, days on the other: compare the shortest and longest that the
    // difference in months can be.
    let months = i64::from(from.months) - i64::from(to.months);
    let days = |n: i64, month: i64| n.saturating_mul(month).saturating_mul(DAY);
    let rest = from.micros.saturating_sub(to.micros);
    let (least, most) = if months >= 0 {
        (days(months, 28), days(months, 31))
    } else {
        (days(months, 31), days(months, 28))
    };
    if least.saturating_add(rest) >= 0 {
        Order::Holds
    } else if most.saturating_add(rest) < 0 {
        Order::Inverted
    } else {
        Order::Sometimes
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_types::time::{TIME_MAX, TIME_MIN};
    use proptest::prelude::*;

    use super::*;

    fn interval() -> impl Strategy<Value = Interval> {
        (0i32..30, 0i64..400).prop_map(|(months, days)| Interval {
            months,
            micros: days * DAY,
        })
    }

    proptest! {
        #[test]
        fn an_accepted_window_never_ends_before_it_starts(
            from in interval(),
            to in interval(),
            t in TIME_MIN / 2..TIME_MAX / 2,
        ) {
            match order(from, to) {
                Order::Holds => prop_assert!(from.before(t) <= to.before(t)),
                Order::Inverted => prop_assert!(from.before(t) >= to.before(t)),
                Order::Sometimes => {}
            }
        }
    }
}
