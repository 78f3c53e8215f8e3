//! The bounds in time that a query's filters put on what is read.
//!
//! Invariant: they never leave out a row that the filters let pass; the filters are applied
//! again to what was read.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use evenkeel_engine::SourceSlice;
use evenkeel_types::definition::SourceDef;

/// Both ends are inside; microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    from: i64,
    until: i64,
}

impl Bounds {
    /// Everything.
    pub(crate) const NONE: Bounds = Bounds {
        from: i64::MIN,
        until: i64::MAX,
    };

    /// What filters, all of which must be true, say of the columns of these names.
    pub(crate) fn among(filters: &[Expr], names: &[&str]) -> Self {
        filters.iter().fold(Bounds::NONE, |bounds, filter| {
            bounds.and(Bounds::of_filter(filter, names).unwrap_or(Bounds::NONE))
        })
    }

    /// What one filter says, if it says something of time.
    pub(crate) fn of_filter(filter: &Expr, names: &[&str]) -> Option<Self> {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                if *op == Operator::And {
                    let sides = [left, right].map(|side| Bounds::of_filter(side, names));
                    return match sides {
                        [None, None] => None,
                        [a, b] => Some(a.unwrap_or(Bounds::NONE).and(b.unwrap_or(Bounds::NONE))),
                    };
                }
                if is_time(left, names) {
                    compared(*op, micros(right)?)
                } else if is_time(right, names) {
                    compared(op.swap()?, micros(left)?)
                } else {
                    None
                }
            }
            Expr::Between(between) if !between.negated && is_time(&between.expr, names) => {
                Some(Bounds {
                    from: micros(&between.low)?,
                    until: micros(&between.high)?,
                })
            }
            _ => None,
        }
    }

    fn and(self, other: Bounds) -> Bounds {
        Bounds {
            from: self.from.max(other.from),
            until: self.until.min(other.until),
        }
    }

    /// The slice of a source up to a time: the rows live then, or the events.
    pub(crate) fn of(self, source: &Arc<SourceDef>, until: i64, live: bool) -> SourceSlice {
        SourceSlice {
            source: Arc::clone(source),
            slots: Vec::new(),
            from: self.from,
            // A row that is live then is, whatever was before.
            until: if live { until } else { until.min(self.until) },
            live,
        }
    }
}

fn compared(op: Operator, time: i64) -> Option<Bounds> {
    let (from, until) = match op {
        Operator::Eq => (time, time),
        Operator::Gt | Operator::GtEq => (time, i64::MAX),
        Operator::Lt | Operator::LtEq => (i64::MIN, time),
        _ => return None,
    };
    Some(Bounds { from, until })
}

/// Whether an expression is a time column, perhaps in the finer unit that it is compared in. A
/// cast that loses something (a date, a second, a local time) is none.
fn is_time(expr: &Expr, names: &[&str]) -> bool {
    let is_column = |expr: &Expr| match expr {
        Expr::Column(column) => names.contains(&column.name.as_str()),
        _ => false,
    };
    match expr {
        Expr::Cast(cast) => keeps_times(cast.field.data_type()) && is_column(&cast.expr),
        other => is_column(other),
    }
}

/// Whether a type has every time of a column, in order.
fn keeps_times(data_type: &DataType) -> bool {
    let DataType::Timestamp(unit, zone) = data_type else {
        return false;
    };
    matches!(unit, TimeUnit::Microsecond | TimeUnit::Nanosecond)
        && zone
            .as_deref()
            .is_none_or(|zone| zone == "UTC" || zone == "+00:00")
}

/// A literal time, rounded down to microseconds: a column has no finer ones.
fn micros(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else {
        return None;
    };
    match value {
        ScalarValue::TimestampMicrosecond(Some(time), _) => Some(*time),
        ScalarValue::TimestampNanosecond(Some(time), _) => Some(time.div_euclid(1000)),
        ScalarValue::TimestampMillisecond(Some(time), _) => time.checked_mul(1000),
        ScalarValue::TimestampSecond(Some(time), _) => time.checked_mul(1_000_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn at(time: i64) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(
            Some(time),
            Some("UTC".into()),
        ))
    }

    #[test]
    fn comparisons_with_times_are_bounds() {
        let bounds = |filters: &[Expr]| Bounds::among(filters, &["t"]);
        let of = |from, until| Bounds { from, until };
        assert_eq!(bounds(&[col("t").gt(at(5))]), of(5, i64::MAX));
        assert_eq!(bounds(&[at(5).gt(col("t"))]), of(i64::MIN, 5));
        assert_eq!(bounds(&[col("t").eq(at(5))]), of(5, 5));
        let cast = |unit: TimeUnit| {
            let to = DataType::Timestamp(unit, Some("UTC".into()));
            datafusion::logical_expr::cast(col("t"), to).eq(at(5))
        };
        assert_eq!(bounds(&[cast(TimeUnit::Nanosecond)]), of(5, 5));
        // What loses something says nothing of the time.
        let all = of(i64::MIN, i64::MAX);
        assert_eq!(bounds(&[cast(TimeUnit::Second)]), all);
        let date = datafusion::logical_expr::cast(col("t"), DataType::Date32);
        let again = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let midnight = datafusion::logical_expr::cast(date, again).eq(at(5));
        assert_eq!(bounds(&[midnight]), all);
        let both = [
            col("t").gt_eq(at(2)),
            col("t").lt(at(9)).and(col("x").eq(lit(1))),
        ];
        assert_eq!(bounds(&both), of(2, 9));
        assert_eq!(bounds(&[col("t").between(at(1), at(3))]), of(1, 3));
        let nanos = lit(ScalarValue::TimestampNanosecond(Some(-1), None));
        assert_eq!(bounds(&[col("t").gt_eq(nanos)]), of(-1, i64::MAX));
        for other in [
            col("x").gt(at(5)),
            col("t").not_eq(at(5)),
            col("t").gt(at(5)).or(col("x").eq(lit(1))),
            col("t").not_between(at(1), at(3)),
        ] {
            assert_eq!(bounds(&[other]), Bounds::NONE);
        }
    }
}
