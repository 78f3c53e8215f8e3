//! "Did you mean": the known word nearest to an unknown one.

/// The candidate that a misspelt word most likely means, if any is near: at most one edit
/// for each three letters, the first of the nearest.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    let edits_max = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                distance(&word, &candidate.to_lowercase(), edits_max),
                candidate,
            )
        })
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, remove, replace, swap of neighbours) between two words: optimal string
/// alignment. Words whose lengths differ by more than `limit` are only said to be too far.
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found() {
        let words = ["STREAM", "TABLE", "ENTITY", "FEATURE"];
        assert_eq!(did_you_mean("steram", words), Some("STREAM"));
        assert_eq!(did_you_mean("Entiy", words), Some("ENTITY"));
        assert_eq!(did_you_mean("FEATURES", words), Some("FEATURE"));
        assert_eq!(did_you_mean("view", words), None);
        assert_eq!(did_you_mean("", words), None);
    }
}
