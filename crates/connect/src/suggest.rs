//! "Did you mean": the nearest of some names, for error texts.

use std::fmt;

/// Names farther apart than this many edits are not suggested.
const DISTANCE_MAX: usize = 3;
/// Longer names are not compared: the cost is their product.
const NAME_LENGTH_MAX: usize = 256;

/// What to say at the end of an error: nothing, or `; did you mean ...?`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suggestion(pub Option<String>);

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}

/// The candidate nearest to `name`: equal but for case, else fewest edits (at most a third of
/// the name's length, and three), ties to the smaller name.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Suggestion {
    let limit = DISTANCE_MAX.min(name.chars().count().div_ceil(3));
    let lower = name.to_lowercase();
    Suggestion(
        candidates
            .into_iter()
            .filter(|c| c.len() <= NAME_LENGTH_MAX && name.len() <= NAME_LENGTH_MAX)
            .map(|c| (edit_distance(&lower, &c.to_lowercase()), c))
            .filter(|(distance, _)| *distance <= limit)
            .min()
            .map(|(_, c)| c.to_owned()),
    )
}

/// Insertions, deletions, substitutions and swaps of neighbours (optimal string alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested_and_far_ones_are_not() {
        let names = ["customer_id", "amount", "event_time"];
        let near = |name: &str| nearest(name, names).0;
        assert_eq!(near("amuont").as_deref(), Some("amount"));
        assert_eq!(near("AMOUNT").as_deref(), Some("amount"));
        assert_eq!(near("custmer_id").as_deref(), Some("customer_id"));
        assert_eq!(near("x"), None);
        assert_eq!(near("terminal"), None);
        assert_eq!(nearest("amount", []).0, None);
    }

    #[test]
    fn distances_count_edits() {
        for (a, b, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
            ("abc", "abc", 0),
        ] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
            assert_eq!(edit_distance(b, a), distance, "{b} {a}");
        }
    }
}
