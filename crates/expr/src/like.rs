//! `LIKE`: `%` stands for any characters, `_` for one.

use evenkeel_types::ErrorReason;

use crate::kernel::{Missing, Outcome};

/// A pattern, read.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// `%`
    Any,
    /// `_`
    One,
    Exactly(char),
}

impl Pattern {
    /// Reads a pattern. The character after the escape character stands for itself; a
    /// pattern that ends with the escape character is an invalid argument.
    pub(crate) fn new(text: &str, escape: Option<char>) -> Outcome<Pattern> {
        let mut parts = Vec::new();
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            let part = if Some(c) == escape {
                let escaped = characters.next();
                Part::Exactly(escaped.ok_or(Missing::Error(ErrorReason::InvalidArgument))?)
            } else {
                match c {
                    '%' => Part::Any,
                    '_' => Part::One,
                    c => Part::Exactly(c),
                }
            };
            // `%%` means `%`.
            if part != Part::Any || parts.last() != Some(&Part::Any) {
                parts.push(part);
            }
        }
        Ok(Pattern { parts })
    }

    /// Whether the whole text is as the pattern says. Takes at most the product of both
    /// lengths: only the last `%` is ever tried again.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut at = 0;
        // Where to go on after the last `%`: the part behind it, and the text it begins at.
        let mut retry = None;
        loop {
            let before = rest.clone();
            match (self.parts.get(at), rest.next()) {
                (Some(Part::Any), _) => {
                    rest = before;
                    at += 1;
                    if at == self.parts.len() {
                        return true;
                    }
                    retry = Some((at, rest.clone()));
                }
                (None, None) => return true,
                (Some(Part::One), Some(_)) => at += 1,
                (Some(Part::Exactly(wanted)), Some(found)) if *wanted == found => at += 1,
                (_, found) => {
                    let Some((part, mut from)) = retry.take() else {
                        return false;
                    };
                    // The text is at its end: a longer `%` leaves even less.
                    if found.is_none() || from.next().is_none() {
                        return false;
                    }
                    at = part;
                    rest = from.clone();
                    retry = Some((part, from));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn like(text: &str, pattern: &str) -> bool {
        Pattern::new(pattern, Some('!')).unwrap().matches(text)
    }

    /// By definition: try every split.
    fn oracle(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|i| oracle(&text[i..], rest)),
            ['_', rest @ ..] => !text.is_empty() && oracle(&text[1..], rest),
            ['!', c, rest @ ..] | [c, rest @ ..] => {
                text.first() == Some(c) && oracle(&text[1..], rest)
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(text in "[abä%]{0,8}", pattern in "([abä%_]|![%_!a]){0,7}") {
            let (t, p): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
            prop_assert_eq!(like(&text, &pattern), oracle(&t, &p));
        }
    }

    #[test]
    fn edges() {
        assert!(like("", "") && like("", "%") && !like("", "_") && like("a", "%%a%%"));
        assert!(like("50%", "50!%") && !like("50a", "50!%"));
        assert!(Pattern::new("a!", Some('!')).is_err());
        // Quadratic at worst, not exponential.
        let (text, pattern) = ("a".repeat(3_000), "%a".repeat(1_000) + "b");
        assert!(!like(&text, &pattern));
    }
}
