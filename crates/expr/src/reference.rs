//! The reference of the closed list as Markdown, from the table that is evaluated.

use std::fmt::Write;

use crate::function::{Function, Group, functions};
use crate::limits::{
    ARRAY_ELEMENTS_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX, LANGUAGE_VERSION,
    STRING_BYTES_MAX, UNICODE_VERSION,
};

/// The page `docs/expressions.md`: rules, then every function with its signatures.
pub fn function_reference() -> String {
    let mut page = String::from(INTRODUCTION);
    let (major, minor, update) = UNICODE_VERSION;
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "\nThis is version {LANGUAGE_VERSION} of the language, with the letters of Unicode \
         {major}.{minor}.{update}. An expression has at most {EXPRESSION_DEPTH_MAX} levels and \
         {EXPRESSION_NODES_MAX} parts; a text that a function makes at most {STRING_BYTES_MAX} \
         bytes, an array at most {ARRAY_ELEMENTS_MAX} elements (beyond: `ERROR(LIMIT)`).\n"
    );
    let mut group: Option<Group> = None;
    for function in functions_by_group() {
        if group != Some(function.group) {
            group = Some(function.group);
            let _ = write!(page, "\n## {}\n", function.group.title());
        }
        write_function(&mut page, function);
    }
    page
}

fn functions_by_group() -> Vec<&'static Function> {
    let mut all: Vec<&'static Function> = functions().collect();
    all.sort_by_key(|f| f.group);
    all
}

fn write_function(page: &mut String, function: &Function) {
    let _ = write!(page, "\n### `{}`\n\n", function.name);
    if !function.aliases.is_empty() {
        let names: Vec<String> = function.aliases.iter().map(|a| format!("`{a}`")).collect();
        let _ = writeln!(page, "Also {}.\n", names.join(", "));
    }
    let _ = writeln!(page, "{}\n", function.rule);
    for signature in function.signatures() {
        let _ = writeln!(page, "- `{signature}`");
    }
    if !function.nulls.is_empty() {
        let _ = writeln!(page, "- NULL: {}", function.nulls);
    }
    if !function.errors.is_empty() {
        let _ = writeln!(page, "- ERROR: {}", function.errors);
    }
}

const INTRODUCTION: &str = "\
# Expressions

Generated from the table of functions that is evaluated; do not edit.

The value of an expression on a row depends on that row and the read time alone, and is the
same to the last bit wherever it is computed, in a batch of any size or alone.

- **Errors are values.** What has no answer is `ERROR(reason)` on that row: `OVERFLOW`,
  `DIVISION_BY_ZERO`, `INVALID_CAST`, `INVALID_ARGUMENT`, `LIMIT`. It passes through
  everything that evaluates it, COALESCE and IS NULL too.
- **Arguments** are evaluated left to right, all of them; the leftmost ERROR is the result,
  else NULL if any argument is NULL, where nothing else is said. AND, OR, CASE, `if` and
  `coalesce` evaluate only what they need, per row, so `a <> 0 AND 10 // a > 1` never errs.
- **Types widen by themselves**: INT to BIGINT to DECIMAL or DOUBLE, FLOAT to DOUBLE, DECIMAL
  to DOUBLE, DATE to TIMESTAMP. A number with a point is a DOUBLE, beside a DECIMAL the
  decimal that it is written as; text beside a DATE or TIMESTAMP is read as one. Everything
  else is said with CAST.
- **Integers** overflow to an ERROR: INT with INT stays INT, with BIGINT it is BIGINT.
- **Decimals** are exact: `DECIMAL(p, s) + DECIMAL(q, r)` has the scale `max(s, r)` and one
  digit more before the point, a product the sum of both precisions and scales. At most 38
  digits; a value that needs more is `ERROR(OVERFLOW)`, nothing is rounded.
- **Doubles** follow IEEE 754. There is one zero and one NaN; NaN equals itself and is greater
  than everything. FLOAT computes in DOUBLE.
- **Text** compares by bytes and counts characters (code points) from 1.
- **Times** are UTC; functions of the calendar take a zone as their last argument.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_on_the_page() {
        let page = function_reference();
        for f in functions() {
            assert!(page.contains(&format!("### `{}`\n", f.name)), "{}", f.name);
            for alias in f.aliases {
                assert!(page.contains(&format!("`{alias}`")), "{alias}");
            }
        }
        assert!(!page.contains("  \n"), "no trailing blanks");
    }
}
