//! The table of names: ours, and those that users of DuckDB and Snowflake know.

use crate::error::SignatureError;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Count,
    CountIf,
    CountDistinct,
    ApproxCountDistinct,
    Sum,
    Avg,
    Min,
    Max,
    VarPop,
    VarSamp,
    StddevPop,
    StddevSamp,
    FirstValue,
    LastValue,
    FirstN,
    LastN,
    ApproxQuantile,
    Median,
    TopK,
    BoolAnd,
    BoolOr,
    MinBy,
    MaxBy,
}

/// A row of the table.
pub(super) struct Entry {
    pub(super) name: Name,
    /// The name in messages.
    pub(super) canonical: &'static str,
    /// Other names.
    aliases: &'static [&'static str],
    /// Least and greatest number of arguments.
    pub(super) arity: (usize, usize),
    /// The arguments in words.
    pub(super) takes: &'static str,
}

const ONE: (usize, usize) = (1, 1);
const TAKES_ONE: &str = "one argument";
const TAKES_NUMBER: &str = "a value and a constant number";

const fn one(name: Name, canonical: &'static str, aliases: &'static [&'static str]) -> Entry {
    Entry {
        name,
        canonical,
        aliases,
        arity: ONE,
        takes: TAKES_ONE,
    }
}

const fn entry(
    name: Name,
    canonical: &'static str,
    aliases: &'static [&'static str],
    arity: (usize, usize),
    takes: &'static str,
) -> Entry {
    Entry {
        name,
        canonical,
        aliases,
        arity,
        takes,
    }
}

const TAKES_LIMIT: &str = "a value and, if wanted, a constant limit";

static TABLE: &[Entry] = &[
    entry(Name::Count, "count", &[], (0, 1), "`*` or one argument"),
    one(Name::CountIf, "count_if", &["countif"]),
    entry(
        Name::CountDistinct,
        "count_distinct",
        &["distinct_count"],
        (1, 2),
        TAKES_LIMIT,
    ),
    entry(
        Name::ApproxCountDistinct,
        "approx_count_distinct",
        &["approx_distinct", "hll"],
        (1, 2),
        TAKES_LIMIT,
    ),
    one(Name::Sum, "sum", &[]),
    one(Name::Avg, "avg", &["mean"]),
    one(Name::Min, "min", &[]),
    one(Name::Max, "max", &[]),
    one(Name::VarPop, "var_pop", &["variance_pop"]),
    one(Name::VarSamp, "var_samp", &["variance", "variance_samp"]),
    one(Name::StddevPop, "stddev_pop", &[]),
    one(Name::StddevSamp, "stddev_samp", &["stddev"]),
    one(Name::FirstValue, "first_value", &["first"]),
    one(Name::LastValue, "last_value", &["last"]),
    entry(Name::FirstN, "first_n", &[], (2, 2), TAKES_NUMBER),
    entry(Name::LastN, "last_n", &[], (2, 2), TAKES_NUMBER),
    entry(
        Name::ApproxQuantile,
        "approx_quantile",
        &["approx_percentile"],
        (2, 2),
        TAKES_NUMBER,
    ),
    one(Name::Median, "median", &["approx_median"]),
    entry(
        Name::TopK,
        "top_k",
        &["approx_top_k", "topk"],
        (2, 3),
        "a value, a constant number and, if wanted, a constant limit",
    ),
    one(
        Name::BoolAnd,
        "bool_and",
        &["every", "booland_agg", "logical_and"],
    ),
    one(
        Name::BoolOr,
        "bool_or",
        &["any", "some", "boolor_agg", "logical_or"],
    ),
    entry(
        Name::MinBy,
        "min_by",
        &["arg_min", "argmin"],
        (2, 2),
        "the value wanted and the value to compare",
    ),
    entry(
        Name::MaxBy,
        "max_by",
        &["arg_max", "argmax"],
        (2, 2),
        "the value wanted and the value to compare",
    ),
];

/// Functions that users look for and what does their work here.
static ELSEWHERE: &[(&str, &str)] = &[
    ("array_agg", "last_n"),
    ("list", "last_n"),
    ("string_agg", "last_n"),
    ("listagg", "last_n"),
    ("any_value", "last_value"),
    ("arbitrary", "last_value"),
    ("nth_value", "last_n"),
    ("lag", "last_n"),
    ("mode", "top_k"),
    ("histogram", "top_k"),
    ("quantile", "approx_quantile"),
    ("quantile_cont", "approx_quantile"),
    ("quantile_disc", "approx_quantile"),
    ("percentile_cont", "approx_quantile"),
    ("percentile_disc", "approx_quantile"),
];

/// All names that resolve, aliases included, in the order of the reference.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .flat_map(|entry| std::iter::once(entry.canonical).chain(entry.aliases.iter().copied()))
}

pub(super) fn find(name: &str) -> Result<&'static Entry, SignatureError> {
    let lower = name.to_ascii_lowercase();
    TABLE
        .iter()
        .find(|entry| entry.canonical == lower || entry.aliases.contains(&lower.as_str()))
        .ok_or_else(|| SignatureError::UnknownFunction {
            name: name.to_owned(),
            suggestion: nearest(&lower),
        })
}

/// The name that was probably meant.
fn nearest(name: &str) -> Option<String> {
    if let Some((_, here)) = ELSEWHERE.iter().find(|(there, _)| *there == name) {
        return Some((*here).to_owned());
    }
    let (distance, best) = names()
        .map(|candidate| (edits(name, candidate), candidate))
        .min()?;
    // One slip in three letters.
    (distance <= best.len().div_ceil(3)).then(|| best.to_owned())
}

/// The number of letters to insert, remove or change (Levenshtein).
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
