//! Which words cannot be names without quotes.
//!
//! Few can not: a word is a keyword only where the grammar asks for it, so `user`, `order`,
//! `session`, `event`, `time`, `last`, `label` and `start` are names like any other.

/// Words that cannot be a column in an expression without quotes.
const NOT_A_COLUMN: [&str; 21] = [
    "and", "as", "asof", "between", "case", "else", "from", "having", "ilike", "in", "is", "join",
    "like", "not", "on", "or", "select", "then", "using", "when", "where",
];

/// Words that cannot be an alias without `AS` besides, since another clause starts with them.
const NOT_A_BARE_ALIAS: [&str; 20] = [
    "cross",
    "except",
    "for",
    "full",
    "group",
    "inner",
    "intersect",
    "left",
    "limit",
    "match_condition",
    "natural",
    "offset",
    "order",
    "qualify",
    "right",
    "union",
    "window",
    "within",
    "fetch",
    "anti",
];

/// Whether a lower-case word cannot be a column in an expression.
pub(crate) fn is_not_a_column(word: &str) -> bool {
    NOT_A_COLUMN.contains(&word)
}

/// Whether a lower-case word cannot follow a relation as its alias.
pub(crate) fn is_not_a_bare_alias(word: &str) -> bool {
    is_not_a_column(word) || NOT_A_BARE_ALIAS.contains(&word)
}

/// Words that are columns and functions like others, but read as keywords where a value
/// starts: canonical SQL puts them in quotes (`f(DISTINCT a)`, `TRIM(BOTH a)`, `ARRAY[1]`).
const READS_LIKE_A_KEYWORD: [&str; 5] = ["array", "both", "distinct", "leading", "trailing"];

/// Whether a lower-case word is quoted in canonical SQL where a value starts.
pub(crate) fn reads_like_a_keyword(word: &str) -> bool {
    READS_LIKE_A_KEYWORD.contains(&word)
}

/// Words that are constants, or end a `CASE`.
const CONSTANTS: [&str; 4] = ["end", "false", "null", "true"];

/// Whether a name can be written without quotes everywhere.
pub(crate) fn is_plain_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !is_not_a_column(name)
        && !CONSTANTS.contains(&name)
        && !reads_like_a_keyword(name)
}
