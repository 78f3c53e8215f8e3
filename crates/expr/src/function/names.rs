//! Names that are not in the list: what people who know another system write, and slips of
//! the pen.

use super::functions;
use crate::error::BuildError;

/// Functions that look at a clock or at chance.
const REFUSED: &[(&[&str], &str)] = &[
    (
        &[
            "now",
            "current_timestamp",
            "localtimestamp",
            "transaction_timestamp",
            "statement_timestamp",
            "getdate",
            "sysdate",
            "systimestamp",
            "get_current_timestamp",
            "current_time",
            "localtime",
            "unix_timestamp",
        ],
        "time is the time of the read: write `read_time()`",
    ),
    (
        &["current_date", "today", "curdate"],
        "time is the time of the read: write `CAST(read_time() AS DATE)`",
    ),
    (
        &[
            "random",
            "rand",
            "uuid",
            "gen_random_uuid",
            "uuid_string",
            "setseed",
            "nextval",
            "randstr",
            "uniform",
        ],
        "for a fixed pseudo-random number per key write `hash(key)`",
    ),
];

/// What to write instead of a name of another system.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (
        &["dow", "dayofweek", "weekday"],
        "say which day is first: `day_of_week(ts)` is ISO, Monday 1 to Sunday 7",
    ),
    (
        &["charindex", "locate", "instr", "position"],
        "write `strpos(text, part)`; it counts characters from 1",
    ),
    (
        &["dateadd", "date_add", "timestampadd", "date_sub", "datesub"],
        "write `ts + INTERVAL '1' DAY`, or `ts + n * INTERVAL '1' DAY`",
    ),
    (
        &["age", "timestamp_diff", "timestampdiff", "months_between"],
        "write `date_diff('day', a, b)`",
    ),
    (&["zeroifnull"], "write `coalesce(x, 0)`"),
    (&["nullifzero"], "write `nullif(x, 0)`"),
    (
        &["div0", "safe_divide", "try_divide"],
        "write `a / nullif(b, 0)`",
    ),
    (&["div0null"], "write `coalesce(a / nullif(b, 0), 0)`"),
    (
        &["try", "iferror", "if_error"],
        "an ERROR stays visible; guard it: `CASE WHEN b <> 0 THEN a // b END`, or TRY_CAST",
    ),
    (
        &["decode", "switch"],
        "write `CASE x WHEN ... THEN ... END`",
    ),
    (
        &["to_char", "strftime", "date_format", "format"],
        "text of times is not made here; take the parts, `year(ts)`, or CAST to STRING",
    ),
    (
        &[
            "strptime",
            "to_date",
            "str_to_date",
            "parse_timestamp",
            "try_to_timestamp",
        ],
        "write `CAST(text AS TIMESTAMP)` or `CAST(text AS DATE)`; other forms are decoded by the source",
    ),
    (
        &[
            "to_number",
            "to_numeric",
            "to_decimal",
            "to_double",
            "toint",
            "tofloat",
        ],
        "write `CAST(x AS DECIMAL(38, 2))`, `CAST(x AS DOUBLE)` or `CAST(x AS BIGINT)`",
    ),
    (
        &["to_varchar", "tostring", "str"],
        "write `CAST(x AS STRING)`",
    ),
    (&["square"], "write `x * x`"),
    (
        &[
            "md5",
            "sha1",
            "sha2",
            "sha256",
            "farm_fingerprint",
            "murmur_hash",
            "xxhash64",
        ],
        "write `hash(x)`, a stable BIGINT",
    ),
    (
        &[
            "regexp_matches",
            "regexp_like",
            "regexp_extract",
            "regexp_replace",
            "rlike",
            "similar_to",
            "regexp",
        ],
        "regular expressions are not in the list; write LIKE, `contains` or `split_part`",
    ),
    (
        &["convert_timezone", "timezone", "at_timezone"],
        "write `to_local(ts, 'Europe/Berlin')`, or give the zone to the part: `hour(ts, 'Europe/Berlin')`",
    ),
    (
        &["list_sum", "array_sum", "list_avg", "list_aggregate"],
        "sum where the elements come from: an aggregate over the events is exact",
    ),
    (
        &[
            "sum",
            "count",
            "avg",
            "min",
            "max",
            "stddev",
            "variance",
            "first_value",
            "last_value",
        ],
        "this is an aggregate; it needs a window or a GROUP BY",
    ),
];

/// The error for a name that is not in the list.
pub(crate) fn unknown(name: &str) -> BuildError {
    let lower = name.to_ascii_lowercase();
    let entry = |table: &[(&[&str], &'static str)]| {
        table
            .iter()
            .find(|(names, _)| names.contains(&lower.as_str()))
            .map(|(_, hint)| (*hint).to_owned())
    };
    if let Some(hint) = entry(REFUSED) {
        return BuildError::RefusedFunction {
            name: name.to_owned(),
            hint,
        };
    }
    BuildError::UnknownFunction {
        name: name.to_owned(),
        hint: entry(ELSEWHERE).or_else(|| nearest(&lower).map(|n| format!("did you mean `{n}`?"))),
    }
}

/// The longest name that is compared: longer ones are no slip of the pen.
const COMPARED_LENGTH_MAX: usize = 40;

/// The name of the list with the fewest edits, if they are few for its length.
fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > COMPARED_LENGTH_MAX {
        return None;
    }
    functions()
        .flat_map(|f| f.aliases.iter().copied().chain([f.name]))
        .filter(|n| n.starts_with(|c: char| c.is_ascii_alphabetic()))
        .map(|n| (edits(name, n), n))
        .filter(|(edits, n)| *edits <= 1 + n.len() / 4)
        .min()
        .map(|(_, n)| n)
}

/// Insertions, deletions, replacements and swaps of neighbours between two names
/// (optimal string alignment).
fn edits(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let width = b.len() + 1;
    let mut rows = vec![(0..width).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..width {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::function::find;

    #[test]
    fn slips_are_understood() {
        for (written, meant) in [
            ("subtsr", "substr"),
            ("lenght", "length"),
            ("cieling", "ceiling"),
            ("date_tunc", "date_trunc"),
            ("coalesc", "coalesce"),
        ] {
            assert_eq!(nearest(written), Some(meant));
        }
        assert_eq!(nearest("zzzzzz"), None);
        assert_eq!(nearest(&"a".repeat(10_000)), None);
    }

    #[test]
    fn no_name_is_both_there_and_elsewhere() {
        for (names, _) in REFUSED.iter().chain(ELSEWHERE) {
            for name in *names {
                assert!(find(name).is_none(), "{name}");
                assert!(unknown(name).hint().is_some(), "{name}");
            }
        }
    }
}
