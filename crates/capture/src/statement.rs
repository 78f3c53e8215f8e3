//! Statements in the binlog: which of them changed a table in a way that its rows do not tell.
//!
//! Reads words and names, not grammar. In doubt a statement is taken for one that did: to stop for
//! nothing costs a snapshot, to go on costs the truth.

/// What a statement did to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// Its columns may be others.
    Altered,
    /// Its rows are others, and nothing says which.
    Untold,
}

/// What ends and begins transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bracket {
    Begin,
    /// Begins one of which it is not known whether it stays.
    Prepare,
    End,
    /// Takes something back.
    Rollback,
    Neither,
}

pub(crate) fn bracket(statement: &str) -> Bracket {
    let words = words(statement);
    let second = words.get(1).map(Word::upper);
    match words.first().map(Word::upper).as_deref() {
        Some("BEGIN") => Bracket::Begin,
        Some("START") if second.as_deref() == Some("TRANSACTION") => Bracket::Begin,
        Some("XA") if matches!(second.as_deref(), Some("START" | "BEGIN")) => Bracket::Prepare,
        Some("COMMIT") => Bracket::End,
        Some("ROLLBACK") => Bracket::Rollback,
        _ => Bracket::Neither,
    }
}

/// Whether an ALTER may change columns of these names.
pub(crate) fn may_concern<'n>(statement: &str, mut columns: impl Iterator<Item = &'n str>) -> bool {
    let words = words(statement);
    let converts = words.iter().any(|word| word.upper() == "CONVERT");
    converts || columns.any(|name| words.iter().any(|word| word.is(name)))
}

/// Whether an ALTER takes a column of these names away and adds one: its values are others.
pub(crate) fn adds_again<'n>(statement: &str, columns: impl Iterator<Item = &'n str>) -> bool {
    let words = words(statement);
    let has = |text: &str| words.iter().any(|word| word.upper() == text);
    has("DROP") && has("ADD") && may_concern(statement, columns)
}

/// `session`: the database that names without one are in.
pub(crate) fn effect(statement: &str, session: &str, database: &str, table: &str) -> Effect {
    let words = words(statement);
    let upper: Vec<String> = words.iter().map(Word::upper).collect();
    let has = |word: &str| upper.iter().any(|w| w == word);
    let Some(first) = upper.first() else {
        return Effect::None;
    };
    let is_database = matches!(
        upper.get(1).map(String::as_str),
        Some("DATABASE" | "SCHEMA")
    );
    if first == "DROP" && is_database {
        let names = words[2..].iter().any(|w| w.is(database));
        return if names { Effect::Untold } else { Effect::None };
    }
    if !names(&words, session, database, table) {
        return Effect::None;
    }
    let second = upper.get(1).map_or("", String::as_str);
    match first.as_str() {
        "CREATE" if has("REPLACE") && has("TABLE") => Effect::Untold,
        "DROP" if second.starts_with("TABLE") => Effect::Untold,
        "ALTER" if second == "IGNORE" || moves_rows(&upper) => Effect::Untold,
        "ALTER" => Effect::Altered,
        // These take and give nothing.
        "CREATE" | "DROP" | "ANALYZE" | "OPTIMIZE" | "CHECK" | "REPAIR" | "GRANT" | "REVOKE"
        | "FLUSH" | "SAVEPOINT" | "RELEASE" | "ROLLBACK" => Effect::None,
        _ => Effect::Untold,
    }
}

/// Whether an ALTER makes rows come, go or change hands.
fn moves_rows(upper: &[String]) -> bool {
    upper.windows(2).any(|pair| {
        let of_name = ["COLUMN", "INDEX", "KEY"];
        match (pair[0].as_str(), pair[1].as_str()) {
            ("RENAME", what) => !of_name.contains(&what),
            ("DROP" | "TRUNCATE" | "EXCHANGE" | "CONVERT", "PARTITION") => true,
            ("DISCARD" | "IMPORT", _) => true,
            _ => false,
        }
    })
}

/// Whether a table's name is among the words.
fn names(words: &[Word], session: &str, database: &str, table: &str) -> bool {
    words.iter().enumerate().any(|(i, word)| {
        if !word.is(table) {
            return false;
        }
        let before = |n: usize| i.checked_sub(n).map(|at| &words[at]);
        if before(1).is_some_and(|point| point.is_point()) {
            return before(2).is_some_and(|qualifier| qualifier.is(database));
        }
        session.eq_ignore_ascii_case(database)
    })
}

/// A word, a name in quotes, or a point between two.
struct Word {
    text: String,
    is_quoted: bool,
}

impl Word {
    fn upper(&self) -> String {
        if self.is_quoted {
            return String::new();
        }
        self.text.to_ascii_uppercase()
    }

    fn is(&self, name: &str) -> bool {
        self.text.to_lowercase() == name.to_lowercase()
    }

    fn is_point(&self) -> bool {
        self.text == "." && !self.is_quoted
    }
}

/// The words of a statement, without its comments and texts; what a comment makes the server do
/// (`/*! ... */`) is part of it.
fn words(statement: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = statement;
    while let Some(first) = rest.chars().next() {
        let executed = ["/*!", "/*M!"]
            .into_iter()
            .find(|mark| rest.starts_with(mark));
        if let Some(mark) = executed {
            rest = rest[mark.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
        } else if rest.starts_with("/*") {
            rest = behind(&rest[2..], "*/");
        } else if rest.starts_with("--") || first == '#' {
            rest = behind(rest, "\n");
        } else if first == '`' || first == '\'' || first == '"' {
            let (text, behind) = quoted(&rest[1..], first);
            // In the server's ANSI mode double quotes are around names.
            if first != '\'' {
                words.push(Word {
                    text,
                    is_quoted: true,
                });
            }
            rest = behind;
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            words.push(Word {
                text: rest[..end].to_owned(),
                is_quoted: false,
            });
            rest = &rest[end..];
        } else {
            if first == '.' {
                words.push(Word {
                    text: ".".to_owned(),
                    is_quoted: false,
                });
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    words
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn behind<'a>(text: &'a str, end: &str) -> &'a str {
    text.find(end).map_or("", |at| &text[at + end.len()..])
}

/// What stands before a quote, and what is behind it; a quote that is doubled is one.
fn quoted(text: &str, quote: char) -> (String, &str) {
    let mut found = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if c == '\\' && quote != '`' {
            found.extend(characters.next().map(|(_, c)| c));
        } else if c != quote {
            found.push(c);
        } else if characters.peek().is_some_and(|(_, next)| *next == quote) {
            found.push(quote);
            characters.next();
        } else {
            return (found, &text[at + quote.len_utf8()..]);
        }
    }
    (found, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statement: &str) -> Effect {
        effect(statement, "shop", "shop", "orders")
    }

    #[test]
    fn statements_that_change_rows_or_columns_are_told() {
        for statement in [
            "TRUNCATE orders",
            "truncate table `shop`.`Orders`",
            "DROP TABLE IF EXISTS `orders` /* generated by server */",
            "DROP TABLES a, orders",
            "RENAME TABLE orders TO old",
            "RENAME TABLE a.orders TO shop . orders",
            "ALTER TABLE orders RENAME TO old",
            "ALTER TABLE orders RENAME old",
            "/* x */ ALTER TABLE orders DROP PARTITION p",
            "CREATE OR REPLACE TABLE orders (a INT)",
            "INSERT INTO orders VALUES (1)",
            "/*!40000 DELETE FROM shop.orders */",
            "DROP DATABASE shop",
            "-- x\nLOAD DATA INFILE 'x' INTO TABLE orders",
            "SET STATEMENT max_statement_time = 0 FOR TRUNCATE TABLE orders",
            "WITH x AS (SELECT 1) DELETE FROM orders",
            "ALTER IGNORE TABLE orders ADD UNIQUE (a)",
        ] {
            assert_eq!(of(statement), Effect::Untold, "{statement}");
        }
        for statement in [
            "ALTER TABLE orders ADD COLUMN truncate INT",
            "alter table shop.orders rename column a to b",
            "ALTER TABLE `orders` MODIFY a TEXT COMMENT 'it''s \\' rename to'",
        ] {
            assert_eq!(of(statement), Effect::Altered, "{statement}");
        }
        for statement in [
            "",
            "BEGIN",
            "TRUNCATE other",
            "TRUNCATE other.orders",
            "DROP TABLE orders2",
            "DROP DATABASE other",
            "DROP INDEX i ON orders",
            "CREATE INDEX i ON orders (a)",
            "INSERT INTO other VALUES ('orders')",
            "/* orders */ TRUNCATE other",
            "FLUSH TABLES",
        ] {
            assert_eq!(of(statement), Effect::None, "{statement}");
        }
        let elsewhere = effect("TRUNCATE orders", "other", "shop", "orders");
        assert_eq!(elsewhere, Effect::None);
    }

    #[test]
    fn transactions_have_brackets() {
        assert_eq!(bracket("BEGIN"), Bracket::Begin);
        assert_eq!(bracket("XA START 'x'"), Bracket::Prepare);
        assert_eq!(bracket("COMMIT"), Bracket::End);
        assert_eq!(bracket("ROLLBACK"), Bracket::Rollback);
        assert_eq!(bracket("ROLLBACK TO `s`"), Bracket::Rollback);
        assert_eq!(bracket("TRUNCATE a"), Bracket::Neither);
    }

    #[test]
    fn alterations_may_concern_columns() {
        let concerns = |statement: &str| may_concern(statement, ["id", "v"].into_iter());
        assert!(concerns("ALTER TABLE t MODIFY `V` INT"));
        assert!(concerns("ALTER TABLE t CONVERT TO CHARACTER SET utf8"));
        assert!(!concerns("ALTER TABLE t ADD COLUMN w INT"));
        let again = |statement: &str| adds_again(statement, ["id", "v"].into_iter());
        assert!(again("ALTER TABLE t DROP v, ADD v INT"));
        assert!(!again("ALTER TABLE t DROP w, ADD u INT"));
    }
}
