//! The reference of the aggregates: names, what each takes, gives and promises.
//!
//! Invariant: its names are exactly those that the `aggregate` crate resolves, in its order.

#[cfg(test)]
use std::fmt::Write as _;

use evenkeel_aggregate::signature::{
    APPROX_DISTINCT_LIMIT_DEFAULT, DISTINCT_LIMIT_DEFAULT, DISTINCT_LIMIT_MAX, ENDS_MAX,
    TOP_K_LIMIT_DEFAULT, TOP_K_LIMIT_MAX, TOP_K_MAX,
};
use evenkeel_aggregate::{HYPERLOGLOG_STANDARD_ERROR, QUANTILE_EXACT_MAX, QUANTILE_RELATIVE_ERROR};

/// One aggregate.
pub(super) struct Aggregate {
    pub(super) name: &'static str,
    pub(super) aliases: &'static [&'static str],
    pub(super) signature: &'static str,
    pub(super) rule: String,
    /// On an empty window, or one with NULLs only.
    pub(super) empty: &'static str,
}

fn aggregate(
    name: &'static str,
    aliases: &'static [&'static str],
    signature: &'static str,
    empty: &'static str,
    rule: impl Into<String>,
) -> Aggregate {
    Aggregate {
        name,
        aliases,
        signature,
        rule: rule.into(),
        empty,
    }
}

/// All aggregates, in the order of the reference.
pub(super) fn aggregates() -> Vec<Aggregate> {
    vec![
        aggregate(
            "count",
            &[],
            "count(*), count(x), count(DISTINCT x) -> BIGINT",
            "0",
            "Events; with `x` those where it is not NULL. `count(DISTINCT x)` is `count_distinct(x)`.",
        ),
        aggregate(
            "count_if",
            &["countif"],
            "count_if(BOOLEAN) -> BIGINT",
            "0",
            "Events for which the condition is true.",
        ),
        aggregate(
            "count_distinct",
            &["distinct_count"],
            "count_distinct(x [, limit]) -> BIGINT",
            "0",
            format!(
                "Distinct non-NULL values: exact up to `limit` (by default {DISTINCT_LIMIT_DEFAULT}, at most \
                 {DISTINCT_LIMIT_MAX}), beyond it a HyperLogLog estimate with a standard error of {} %.",
                percent(HYPERLOGLOG_STANDARD_ERROR)
            ),
        ),
        aggregate(
            "approx_count_distinct",
            &["approx_distinct", "hll"],
            "approx_count_distinct(x [, limit]) -> BIGINT",
            "0",
            format!(
                "The same with a smaller state: exact up to `limit` (by default \
                 {APPROX_DISTINCT_LIMIT_DEFAULT})."
            ),
        ),
        aggregate(
            "sum",
            &[],
            "sum(number) -> BIGINT | DOUBLE | DECIMAL",
            "NULL",
            "The exact sum, rounded once to the type of the result: BIGINT for integers, DOUBLE for \
             floats, DECIMAL for decimals. Outside the type it is ERROR(OVERFLOW); sums of floats \
             become infinite instead.",
        ),
        aggregate(
            "avg",
            &["mean"],
            "avg(number) -> DOUBLE | DECIMAL",
            "NULL",
            "The exact sum divided by the count, rounded once.",
        ),
        aggregate(
            "min",
            &[],
            "min(x) -> x",
            "NULL",
            "The least value; NaN is the greatest.",
        ),
        aggregate(
            "max",
            &[],
            "max(x) -> x",
            "NULL",
            "The greatest value; NaN is the greatest.",
        ),
        aggregate(
            "var_pop",
            &["variance_pop"],
            "var_pop(number) -> DOUBLE",
            "NULL",
            "Population variance, from exact sums of values and squares, rounded once.",
        ),
        aggregate(
            "var_samp",
            &["variance", "variance_samp"],
            "var_samp(number) -> DOUBLE",
            "NULL",
            "Sample variance; NULL below two values.",
        ),
        aggregate(
            "stddev_pop",
            &[],
            "stddev_pop(number) -> DOUBLE",
            "NULL",
            "The square root of the population variance.",
        ),
        aggregate(
            "stddev_samp",
            &["stddev"],
            "stddev_samp(number) -> DOUBLE",
            "NULL",
            "The square root of the sample variance; NULL below two values.",
        ),
        aggregate(
            "first_value",
            &["first"],
            "first_value(x) [IGNORE NULLS] -> x",
            "NULL",
            "The first event's value. A NULL counts as a value unless `IGNORE NULLS`.",
        ),
        aggregate(
            "last_value",
            &["last"],
            "last_value(x) [IGNORE NULLS] -> x",
            "NULL",
            "The last event's value. A NULL counts as a value unless `IGNORE NULLS`.",
        ),
        aggregate(
            "first_n",
            &[],
            "first_n(x, n) [IGNORE NULLS] -> ARRAY<x>",
            "NULL",
            format!("The first `n` values (at most {ENDS_MAX}), oldest first."),
        ),
        aggregate(
            "last_n",
            &[],
            "last_n(x, n) [IGNORE NULLS] -> ARRAY<x>",
            "NULL",
            format!("The last `n` values (at most {ENDS_MAX}), newest last."),
        ),
        aggregate(
            "approx_quantile",
            &["approx_percentile"],
            "approx_quantile(number, q) -> DOUBLE",
            "NULL",
            format!(
                "The value of rank `ceil(q * n)`, for `q` from 0 to 1: exact up to \
                 {QUANTILE_EXACT_MAX} values, beyond that from a histogram with a relative error of at \
                 most {} %.",
                percent(QUANTILE_RELATIVE_ERROR)
            ),
        ),
        aggregate(
            "median",
            &["approx_median"],
            "median(number) -> DOUBLE",
            "NULL",
            "`approx_quantile(x, 0.5)`.",
        ),
        aggregate(
            "top_k",
            &["approx_top_k", "topk"],
            "top_k(x, k [, limit]) -> ARRAY<STRUCT<value x, count BIGINT>>",
            "NULL",
            format!(
                "The `k` most frequent non-NULL values (at most {TOP_K_MAX}) with their counts, most \
                 frequent first, ties by smaller value. Exact; beyond `limit` distinct values (by \
                 default {TOP_K_LIMIT_DEFAULT}, at most {TOP_K_LIMIT_MAX}) it is ERROR(LIMIT)."
            ),
        ),
        aggregate(
            "bool_and",
            &["every", "booland_agg", "logical_and"],
            "bool_and(BOOLEAN) -> BOOLEAN",
            "NULL",
            "Whether all non-NULL values are true.",
        ),
        aggregate(
            "bool_or",
            &["any", "some", "boolor_agg", "logical_or"],
            "bool_or(BOOLEAN) -> BOOLEAN",
            "NULL",
            "Whether any non-NULL value is true.",
        ),
        aggregate(
            "min_by",
            &["arg_min", "argmin"],
            "min_by(x, y) -> x",
            "NULL",
            "The `x` of the event with the least non-NULL `y`; ties: the first event.",
        ),
        aggregate(
            "max_by",
            &["arg_max", "argmax"],
            "max_by(x, y) -> x",
            "NULL",
            "The `x` of the event with the greatest non-NULL `y`; ties: the last event.",
        ),
    ]
}

/// A share as percent with two decimals.
fn percent(share: f64) -> String {
    format!("{:.2}", share * 100.0)
}

/// The page `docs/aggregates.md`.
#[cfg(test)]
pub(super) fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for a in aggregates() {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## `{}`\n\n", a.name);
        if !a.aliases.is_empty() {
            let names: Vec<String> = a.aliases.iter().map(|n| format!("`{n}`")).collect();
            let _ = write!(page, "Also {}.\n\n", names.join(", "));
        }
        let _ = write!(
            page,
            "{}\n\n- `{}`\n- on an empty window: {}\n",
            a.rule, a.signature, a.empty
        );
    }
    page
}

#[cfg(test)]
const INTRODUCTION: &str = "\
# Aggregates

Generated by `cargo xtask gen`; do not edit.

An aggregate is a function of the events in its window, and of nothing else: not of the order
in which they arrived, nor of how they were grouped on the way. What depends on order
(`first_value`, `last_n`) uses the order of event times; ties are broken by the source's
`SEQUENCE BY`, then its event id.

- `FILTER (WHERE condition)` behind the call keeps the events for which it is true.
- NULL values are skipped, where nothing else is said.
- If an input that counts is ERROR, the aggregate is ERROR; `count(*)` is not.
- How a window is written is in [windows.md](windows.md).
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_that_are_understood() {
        let here = aggregates();
        let here: Vec<&str> = here
            .iter()
            .flat_map(|a| std::iter::once(a.name).chain(a.aliases.iter().copied()))
            .collect();
        let there: Vec<&str> = evenkeel_aggregate::signature::names().collect();
        assert_eq!(here, there);
    }
}
