//! Names of sources and columns as names of tables and of their columns.
//!
//! Invariant: different names stay different, also for readers to whom case does not matter.

/// The prefix of columns that are ours.
pub(crate) const OWN: char = '_';

/// The directory of a source's table: ASCII letters of lower case, digits and `_` stay as they
/// are, other bytes are `-` and two digits of base 16: no address has to encode any of it.
pub(crate) fn directory(source: &str) -> String {
    let mut name = String::with_capacity(source.len());
    for byte in source.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("-{byte:02x}")),
        }
    }
    name
}

/// The names of a source's columns in its table, in the order of the columns. What Delta does
/// not allow in a name, `%`, and an underscore at the beginning are `%` and two digits; a name
/// that differs from an earlier one in case alone ends with `%` and its place.
pub(crate) fn columns<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut taken: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for (place, name) in names.into_iter().enumerate() {
        let mut escaped = escaped(name);
        if escaped.starts_with(OWN) {
            escaped.replace_range(..1, "%5F");
        }
        let folded = escaped.to_lowercase();
        if taken.contains(&folded) {
            escaped.push_str(&format!("%{place}"));
        }
        taken.push(escaped.to_lowercase());
        found.push(escaped);
    }
    found
}

fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter.is_ascii() && (!letter.is_ascii_graphic() || "%,;{}()=".contains(letter)) {
            true => escaped.push_str(&format!("%{:02X}", u32::from(letter))),
            false => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_different() {
        assert_eq!(directory("flights_2"), "flights_2");
        assert_eq!(directory("Flights-/ü"), "-46lights-2d-2f-c3-bc");
        let names = ["a", "A", "a b", "a%20b", "_offset", "ü", "%5Foffset"];
        assert_eq!(
            columns(names),
            [
                "a",
                "A%1",
                "a%20b",
                "a%2520b",
                "%5Foffset",
                "ü",
                "%255Foffset"
            ]
        );
    }
}
