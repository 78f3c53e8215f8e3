//! Window frames and aggregate calls as data. What they mean is in `docs/semantics.md`,
//! sections "Windows" and "Aggregates"; what they give is the `aggregate` crate's.

use std::fmt;

use crate::data_type::DataType;
use crate::expr::Expr;
use crate::time::{CalendarUnit, Interval, Zone};

/// Which events a window read at `t` holds. Among the events of one key that passed the
/// view's `WHERE`, in their total order.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// The window before the exclusion.
    pub extent: Extent,
    /// `EXCLUDE GROUP`: without the events at exactly `t`. Never with [`Extent::Hop`].
    pub exclude_group: bool,
}

/// The window of a [`Frame`].
#[derive(Clone, Debug, PartialEq)]
pub enum Extent {
    /// `RANGE BETWEEN start PRECEDING AND end PRECEDING`: times in `[t - start, t - end]`,
    /// both ends closed. `None` is `UNBOUNDED PRECEDING`; a zero `end` is `CURRENT ROW`.
    Range {
        /// How far back it starts.
        start: Option<Interval>,
        /// How far back it ends.
        end: Interval,
    },
    /// The same with `HOP hop`: with `A = floor(t / hop) * hop` (floor towards minus
    /// infinity, from the epoch), times in `(A - start, A - end]`. Bounds are exact and
    /// multiples of `hop`.
    Hop {
        /// How far back it starts, microseconds; `None` is unbounded.
        start: Option<i64>,
        /// How far back it ends, microseconds.
        end: i64,
        /// The hop, microseconds, above 0.
        hop: i64,
    },
    /// From the first instant of the local calendar period that contains `t`, to `t`.
    StartOf {
        /// The period.
        unit: CalendarUnit,
        /// Its zone.
        zone: Zone,
    },
    /// `ROWS BETWEEN start PRECEDING AND end PRECEDING`: of the events `<= t` (with
    /// `EXCLUDE GROUP`: `< t`), newest first, those numbered `end` to `start`, both included,
    /// the newest being number 0. `None` is unbounded.
    Rows {
        /// Number of the oldest event.
        start: Option<u64>,
        /// Number of the newest event.
        end: u64,
    },
    /// `SESSION GAP gap`: the maximal run of events with gaps of at most `gap` that ends at
    /// the last event `<= t` (with `EXCLUDE GROUP`: `< t`); empty when `t` minus that event's
    /// time exceeds `gap`.
    Session {
        /// Microseconds, above 0.
        gap: i64,
    },
}

impl Frame {
    /// `RANGE BETWEEN micros PRECEDING AND CURRENT ROW`.
    pub fn last(micros: i64) -> Self {
        Frame {
            extent: Extent::Range {
                start: Some(Interval::from_micros(micros)),
                end: Interval::default(),
            },
            exclude_group: false,
        }
    }

    /// `RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW`.
    pub fn unbounded() -> Self {
        Frame {
            extent: Extent::Range {
                start: None,
                end: Interval::default(),
            },
            exclude_group: false,
        }
    }
}

impl fmt::Display for Frame {
    /// The window's edges in words, as `plan` prints them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end_bracket = if self.exclude_group { ")" } else { "]" };
        match &self.extent {
            Extent::Range { start, end } => {
                match start {
                    None if !end.is_zero() => return write!(f, "all events up to t - {end}"),
                    None if self.exclude_group => return f.write_str("all events before t"),
                    None => return f.write_str("all events up to t"),
                    Some(start) if start.is_zero() => f.write_str("[t, ")?,
                    Some(start) => write!(f, "[t - {start}, ")?,
                }
                if end.is_zero() {
                    write!(f, "t{end_bracket}")
                } else {
                    write!(f, "t - {end}]")
                }
            }
            Extent::Hop { start, end, hop } => {
                let hop_words = Interval::from_micros(*hop);
                match start {
                    None => f.write_str("(-∞, ")?,
                    Some(start) => write!(f, "(A - {}, ", Interval::from_micros(*start))?,
                }
                if *end == 0 {
                    f.write_str("A]")?;
                } else {
                    write!(f, "A - {}]", Interval::from_micros(*end))?;
                }
                write!(f, " where A is t rounded down to {hop_words}")
            }
            Extent::StartOf { unit, zone } => {
                let unit = match unit {
                    CalendarUnit::Day => "day",
                    CalendarUnit::Week => "week (from Monday)",
                    CalendarUnit::Month => "month",
                    CalendarUnit::Year => "year",
                };
                let end = if self.exclude_group {
                    "to just before t"
                } else {
                    "to t"
                };
                write!(
                    f,
                    "from the first instant of the {unit} of t ({zone}) {end}"
                )
            }
            Extent::Rows { start, end } => {
                let which = if self.exclude_group {
                    "before t"
                } else {
                    "up to t"
                };
                match (start, end) {
                    (None, 0) => write!(f, "all events {which}"),
                    (None, end) => write!(f, "all events {which} but the newest {end}"),
                    (Some(start), 0) => {
                        write!(f, "the last {} events {which}", start.saturating_add(1))
                    }
                    (Some(start), end) => {
                        write!(f, "events {end} to {start} back (newest is 0) {which}")
                    }
                }
            }
            Extent::Session { gap } => {
                let which = if self.exclude_group {
                    "before t"
                } else {
                    "up to t"
                };
                write!(
                    f,
                    "the run of events {which} with gaps of at most {}",
                    Interval::from_micros(*gap)
                )
            }
        }
    }
}

/// One aggregate over the events of a window. Expressions are over the stored and computed
/// columns of the source; they never use `read_time()`.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateCall {
    /// The function with its constant parameters.
    pub function: AggregateFunction,
    /// Its arguments: none for `count(*)`, two for `min_by` and `max_by`, else one.
    pub args: Vec<Expr>,
    /// `FILTER (WHERE ...)`: events for which this is true; inside the frame.
    pub filter: Option<Expr>,
    /// `IGNORE NULLS`, for the functions that respect NULLs.
    pub ignore_nulls: bool,
    /// The type of the result.
    pub data_type: DataType,
}

/// An aggregate function with its constant parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AggregateFunction {
    /// `count(*)`: events; `count(x)`: events whose `x` is not NULL. BIGINT.
    Count,
    /// The exact sum, rounded once.
    Sum,
    /// The exact sum divided by the count, rounded once. DOUBLE, for decimals DECIMAL.
    Avg,
    /// The least value (NaN is greatest).
    Min,
    /// The greatest value (NaN is greatest).
    Max,
    /// Population variance. DOUBLE.
    VarPop,
    /// Sample variance; NULL below two values. DOUBLE.
    VarSamp,
    /// Square root of [`AggregateFunction::VarPop`]. DOUBLE.
    StddevPop,
    /// Square root of [`AggregateFunction::VarSamp`]. DOUBLE.
    StddevSamp,
    /// The first event's value in the total order; NULLs count unless `IGNORE NULLS`.
    FirstValue,
    /// The last event's value in the total order; NULLs count unless `IGNORE NULLS`.
    LastValue,
    /// The first `n` values in the total order, oldest first. ARRAY.
    FirstN {
        /// 1 to 10,000.
        n: u32,
    },
    /// The last `n` values in the total order, newest last. ARRAY.
    LastN {
        /// 1 to 10,000.
        n: u32,
    },
    /// The number of distinct non-NULL values: exact up to `limit`, then a HyperLogLog
    /// estimate over raw registers. BIGINT.
    CountDistinct {
        /// The largest exact count.
        limit: u32,
    },
    /// The `q`-quantile of the non-NULL values: exact (the value of rank `ceil(q * n)`, at
    /// least 1) up to a fixed size, then from a log-linear histogram. DOUBLE.
    ApproxQuantile {
        /// 0 to 1.
        q: f64,
    },
    /// The `k` most frequent non-NULL values with their counts, most frequent first, ties by
    /// smaller value; `ERROR(LIMIT)` beyond `limit` distinct values.
    /// `ARRAY<STRUCT<value, count>>`.
    TopK {
        /// 1 to 1,000.
        k: u32,
        /// The largest number of distinct values.
        limit: u32,
    },
    /// Whether all non-NULL values are true.
    BoolAnd,
    /// Whether any non-NULL value is true.
    BoolOr,
    /// `min_by(x, y)`: the `x` of the event with the least non-NULL `y`; ties: the first in
    /// the total order.
    MinBy,
    /// `max_by(x, y)`: the `x` of the event with the greatest non-NULL `y`; ties: the last in
    /// the total order.
    MaxBy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_in_words() {
        let words = |extent, exclude_group| {
            let frame = Frame {
                extent,
                exclude_group,
            };
            frame.to_string()
        };
        let month = Extent::StartOf {
            unit: CalendarUnit::Month,
            zone: Zone::utc(),
        };
        assert_eq!(
            words(month.clone(), false),
            "from the first instant of the month of t (UTC) to t"
        );
        assert_eq!(
            words(month, true),
            "from the first instant of the month of t (UTC) to just before t"
        );
        let range = Extent::Range {
            start: Some(Interval::from_micros(3 * crate::time::HOUR)),
            end: Interval::default(),
        };
        assert_eq!(words(range.clone(), false), "[t - 3 hours, t]");
        assert_eq!(words(range, true), "[t - 3 hours, t)");
        let ever = Frame::unbounded().extent;
        assert_eq!(words(ever.clone(), false), "all events up to t");
        assert_eq!(words(ever, true), "all events before t");
    }
}
