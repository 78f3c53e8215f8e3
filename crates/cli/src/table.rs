//! Tables for people.

use comfy_table::{
    CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle,
};

/// The widest table where stdout is no terminal.
const WIDTH: u16 = 160;

/// A line under the header, and blanks between the columns.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::new(' ', ' ', ' '))
    .header_separator(LineStyle::new('─', '─', '─', '─'))
    .content_lines(ContentLineStyle::new(' ', ' ', ' '));

/// A table with a header; columns of numbers are set to the right.
pub(crate) fn table<H, R, C>(header: H, rows: R) -> String
where
    H: IntoIterator,
    H::Item: Into<String>,
    R: IntoIterator<Item = C>,
    C: IntoIterator,
    C::Item: Into<String>,
{
    drawn(header, rows, true)
}

/// A table whose columns hold values of many kinds: all of them set to the left.
pub(crate) fn mixed_table<H, R, C>(header: H, rows: R) -> String
where
    H: IntoIterator,
    H::Item: Into<String>,
    R: IntoIterator<Item = C>,
    C: IntoIterator,
    C::Item: Into<String>,
{
    drawn(header, rows, false)
}

fn drawn<H, R, C>(header: H, rows: R, numbers_right: bool) -> String
where
    H: IntoIterator,
    H::Item: Into<String>,
    R: IntoIterator<Item = C>,
    C: IntoIterator,
    C::Item: Into<String>,
{
    let header: Vec<String> = header.into_iter().map(Into::into).collect();
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.into_iter().map(Into::into).collect())
        .collect();
    let mut table = Table::new();
    table
        .load_style(STYLE)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if !table.is_tty() {
        table.set_width(WIDTH);
    }
    let columns = header.len();
    table.set_header(header);
    for row in &rows {
        table.add_row(row);
    }
    for column in 0..columns {
        let numeric = rows
            .iter()
            .filter_map(|row| row.get(column))
            .all(|cell| cell.is_empty() || is_number(cell));
        if numbers_right
            && numeric
            && !rows.is_empty()
            && let Some(column) = table.column_mut(column)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
        .to_string()
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
        + "\n"
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || "+-.,%e ".contains(c))
}

/// A count with thousands separated: `162,049`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes: `1.9 MB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in UNITS {
        if n >= unit {
            // Whole tenths, rounded down: enough for a person, and no float.
            let tenths = n / (unit / 10);
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{n} bytes")
}

/// `1 row`, `2 rows`.
pub(crate) fn plural(n: u64, word: &str) -> String {
    format!("{} {word}{}", count(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(1_935_142), "1.9 MB");
        assert_eq!(plural(1, "row"), "1 row");
        assert_eq!(plural(2000, "row"), "2,000 rows");
    }

    #[test]
    fn numbers_stand_to_the_right() {
        let text = table(["name", "n"], [["a", "1"], ["b", "1,000"]]);
        assert!(text.contains("    1\n"), "{text}");
        assert!(text.contains("1,000\n"), "{text}");
    }

    #[test]
    fn times_are_not_numbers() {
        assert!(is_number("-1.5e-7") && is_number("99.5 %"));
        assert!(!is_number("2014-01-01T00:00:00Z"));
        assert!(!is_number("NULL"));
    }
}
