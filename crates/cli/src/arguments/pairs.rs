//! `NAME=VALUE,NAME=VALUE`: an entity's keys and request columns as they are typed.
//!
//! Knows no types: a value is a text or NULL until a service says what it must be.

use std::str::FromStr;

/// Names and texts in the order given, each name once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairs(pub(crate) Vec<(String, Option<String>)>);

impl Pairs {
    /// The names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

impl FromStr for Pairs {
    type Err = String;

    /// Values end at a comma. In double quotes they may hold commas, and a doubled quote for
    /// one; a bare `NULL` is NULL.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut pairs: Vec<(String, Option<String>)> = Vec::new();
        let mut rest = text;
        loop {
            let (name, after) = rest
                .split_once('=')
                .ok_or_else(|| format!("`{rest}` is not NAME=VALUE"))?;
            let name = name.trim();
            if name.is_empty() || name.contains(',') {
                return Err(format!("`{rest}` is not NAME=VALUE"));
            }
            if pairs.iter().any(|(known, _)| known == name) {
                return Err(format!("`{name}` is given twice"));
            }
            let (value, remaining) = match after.strip_prefix('"') {
                Some(quoted) => {
                    let (value, remaining) = unquote(quoted)
                        .ok_or_else(|| format!("a quote in the value of `{name}` is not closed"))?;
                    (Some(value), remaining)
                }
                None => {
                    let end = after.find(',').unwrap_or(after.len());
                    let value = &after[..end];
                    let value = (!value.eq_ignore_ascii_case("null")).then(|| value.to_owned());
                    (value, &after[end..])
                }
            };
            pairs.push((name.to_owned(), value));
            match remaining.strip_prefix(',') {
                Some(next) => rest = next,
                None if remaining.is_empty() => return Ok(Pairs(pairs)),
                None => {
                    return Err(format!(
                        "`{remaining}` stands behind the value of `{name}`: put a comma between"
                    ));
                }
            }
        }
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        value.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                value.push('"');
                rest = next;
            }
            None => return Some((value, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, Option<String>)> {
        text.parse::<Pairs>().unwrap().0
    }

    fn some(name: &str, value: &str) -> (String, Option<String>) {
        (name.to_owned(), Some(value.to_owned()))
    }

    #[test]
    fn values_are_texts_quoted_texts_or_null() {
        assert_eq!(pairs("origin=SEA"), [some("origin", "SEA")]);
        assert_eq!(
            pairs("origin=SEA,dest=PDX"),
            [some("origin", "SEA"), some("dest", "PDX")]
        );
        assert_eq!(pairs("a=x=y,b="), [some("a", "x=y"), some("b", "")]);
        assert_eq!(
            pairs("a=\"x, \"\"y\"\"\",b=null"),
            [some("a", "x, \"y\""), ("b".to_owned(), None)]
        );
        assert_eq!(pairs("a=\"NULL\""), [some("a", "NULL")]);
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| text.parse::<Pairs>().unwrap_err();
        assert_eq!(error("SEA"), "`SEA` is not NAME=VALUE");
        assert_eq!(error("a=1,SEA"), "`SEA` is not NAME=VALUE");
        assert_eq!(error("a=1,a=2"), "`a` is given twice");
        assert_eq!(error("a=\"x"), "a quote in the value of `a` is not closed");
        assert_eq!(
            error("a=\"x\"y"),
            "`y` stands behind the value of `a`: put a comma between"
        );
        assert_eq!(error("=1"), "`=1` is not NAME=VALUE");
    }
}
