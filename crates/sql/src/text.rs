//! The text of a query: its one statement, which reads, with `AS OF` behind names understood.
//!
//! The query engine knows no `FROM planes AS OF TIMESTAMP '...'`. Its tokens are taken out before it
//! parses, and the time is left in the name in front, behind a character that no name has.

use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{
    Location, Span as TokenSpan, Token, TokenWithSpan, Tokenizer, Word,
};
use evenkeel_engine::{Diagnostic, Span};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Zone};

use crate::error::SqlError;

/// Stands between a name and the time that it is read at.
const AT: char = '\u{1}';

/// The statement of a query.
///
/// # Errors
/// With the place, if it does not parse, is not one statement, or does more than read.
pub(crate) fn parse(text: &str) -> Result<Statement, SqlError> {
    let dialect = GenericDialect {};
    let tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|error| {
            mistake(
                format!("it is no SQL: {}", in_words(&error.message)),
                from(text, error.location),
            )
        })?;
    let tokens = with_times(text, tokens)?;
    let mut statements = Parser::new(&dialect)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|error| not_parsed(text, error))?;
    let last = statements.pop();
    match (last, statements.is_empty()) {
        (Some(statement), true) => reads_only(text, statement),
        (None, _) => Err(mistake("there is no query".to_owned(), whole(text))
            .hinted("write `SELECT ... FROM ...`")),
        (Some(_), false) => Err(mistake(
            format!("these are {} statements", statements.len() + 1),
            whole(text),
        )
        .hinted("one query is answered at a time")),
    }
}

/// What a name says: itself, and the time that it is read at.
pub(crate) fn split_time(name: &str) -> (&str, Option<EventTime>) {
    match name.split_once(AT) {
        Some((name, time)) => (name, time.parse().ok().map(EventTime)),
        None => (name, None),
    }
}

/// A mistake with its place.
pub(crate) fn mistake(message: String, span: Span) -> SqlError {
    SqlError::Mistake(Box::new(Diagnostic::error(message, span)))
}

impl SqlError {
    /// The same mistake with a hint.
    pub(crate) fn hinted(self, hint: impl Into<String>) -> Self {
        match self {
            SqlError::Mistake(diagnostic) => {
                SqlError::Mistake(Box::new(diagnostic.with_hint(hint)))
            }
            other => other,
        }
    }
}

/// The bytes of a text that a span of tokens is.
pub(crate) fn bytes_of(text: &str, span: TokenSpan) -> Span {
    let start = byte_at(text, span.start);
    let end = byte_at(text, span.end).max(start);
    Span { start, end }
}

fn whole(text: &str) -> Span {
    Span {
        start: 0,
        end: text.len(),
    }
}

/// From a place to the end of its word.
fn from(text: &str, place: Location) -> Span {
    let start = byte_at(text, place);
    let word = text[start..].find(|c: char| c.is_whitespace());
    Span {
        start,
        end: word.map_or(text.len(), |length| start + length.max(1)),
    }
}

fn byte_at(text: &str, place: Location) -> usize {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
    let mut start = 0;
    for line in text.split_inclusive('\n').take(number(place.line)) {
        start += line.len();
    }
    let rest = &text[start..];
    let within = rest.char_indices().nth(number(place.column));
    start + within.map_or(rest.len(), |(at, _)| at)
}

/// Takes `AS OF [TIMESTAMP] '...'` out, and leaves the time in the name in front.
fn with_times(text: &str, tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, SqlError> {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    // The place of the last token in `kept` that is not blank.
    let mut last: Option<usize> = None;
    while let Some(token) = rest.next() {
        if !is_word(&token, "AS") {
            if !is_blank(&token) {
                last = Some(kept.len());
            }
            kept.push(token);
            continue;
        }
        let mut taken = vec![token];
        take_blanks(&mut rest, &mut taken);
        let name = last.filter(|at| is_name(&kept[*at].token));
        let of = rest.next_if(|next| name.is_some() && is_word(next, "OF"));
        let (Some(of), Some(name)) = (of, name) else {
            last = Some(kept.len());
            kept.extend(taken);
            continue;
        };
        taken.push(of);
        take_blanks(&mut rest, &mut taken);
        let typed = rest.next_if(|next| is_word(next, "TIMESTAMP") || is_word(next, "DATE"));
        let is_typed = typed.is_some();
        taken.extend(typed);
        take_blanks(&mut rest, &mut taken);
        let Some(literal) = rest.next_if(|next| matches!(next.token, Token::SingleQuotedString(_)))
        else {
            if !is_typed && rest.peek().is_none_or(|next| ends_alias(&next.token)) {
                // `x AS of FROM ...`: a name.
                last = None;
                kept.extend(taken);
                continue;
            }
            taken.retain(|token| !is_blank(token));
            let span = TokenSpan::new(taken[0].span.start, taken[taken.len() - 1].span.end);
            return Err(mistake(
                "AS OF takes a time as text".to_owned(),
                bytes_of(text, span),
            )
            .hinted(
                "write `AS OF TIMESTAMP '2014-06-01 12:00'`, or give the time with the query",
            ));
        };
        let Token::SingleQuotedString(time) = &literal.token else {
            continue;
        };
        let time = parse_timestamp(time, &Zone::utc())
            .map_err(|error| mistake(format!("AS OF: {error}"), bytes_of(text, literal.span)))?;
        kept[name].token = at(&kept[name].token, time);
    }
    Ok(kept)
}

fn take_blanks(
    rest: &mut std::iter::Peekable<std::vec::IntoIter<TokenWithSpan>>,
    taken: &mut Vec<TokenWithSpan>,
) {
    while let Some(blank) = rest.next_if(is_blank) {
        taken.push(blank);
    }
}

fn is_blank(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

fn is_word(token: &TokenWithSpan, wanted: &str) -> bool {
    matches!(&token.token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

fn is_name(token: &Token) -> bool {
    matches!(token, Token::Word(_) | Token::SingleQuotedString(_))
}

/// Whether a token can follow an alias.
fn ends_alias(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.keyword != Keyword::NoKeyword && word.quote_style.is_none(),
        Token::Comma | Token::RParen | Token::SemiColon | Token::EOF => true,
        _ => false,
    }
}

/// The name with the time that it is read at.
fn at(name: &Token, time: i64) -> Token {
    let with_time = |name: &str| format!("{name}{AT}{time}");
    match name {
        Token::Word(word) => Token::Word(Word {
            value: with_time(&word.value),
            quote_style: word.quote_style,
            keyword: Keyword::NoKeyword,
        }),
        Token::SingleQuotedString(name) => Token::SingleQuotedString(with_time(name)),
        other => other.clone(),
    }
}

/// Refuses what does more than read.
fn reads_only(text: &str, statement: Statement) -> Result<Statement, SqlError> {
    let reads = |statement: &Statement| matches!(statement, Statement::Query(_));
    match &statement {
        Statement::Explain { statement: of, .. } if reads(of) => return Ok(statement),
        query if reads(query) => return Ok(statement),
        _ => {}
    }
    let verb = text
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase();
    let start = text.len() - text.trim_start().len();
    let span = Span {
        start,
        end: start + verb.len(),
    };
    let hint = match verb.as_str() {
        "SHOW" | "DESCRIBE" | "DESC" => {
            "`evenkeel status` lists sources and views; `SELECT * FROM name LIMIT 0` has the columns of one"
        }
        _ => {
            "definitions are changed with `evenkeel apply`, events come with `evenkeel ingest` or a push"
        }
    };
    Err(mistake(format!("{verb} is no query: this SQL only reads"), span).hinted(hint))
}

/// The parser's words, with the place that they end with.
fn not_parsed(text: &str, error: ParserError) -> SqlError {
    let said = match error {
        ParserError::TokenizerError(said) | ParserError::ParserError(said) => said,
        ParserError::RecursionLimitExceeded => {
            return mistake("it is nested too deeply".to_owned(), whole(text));
        }
    };
    let place = |said: &str| -> Option<(usize, Location)> {
        let at = said.rfind(" at Line: ")?;
        let (line, column) = said[at + " at Line: ".len()..].split_once(", Column: ")?;
        let location = Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?);
        Some((at, location))
    };
    match place(&said) {
        Some((end, location)) => mistake(in_words(&said[..end]), from(text, location)),
        None => mistake(
            in_words(&said),
            Span {
                start: text.trim_end().len(),
                end: text.trim_end().len(),
            },
        ),
    }
}

/// Words of another program as ours: lower case in front, without the marks of times.
pub(crate) fn in_words(said: &str) -> String {
    let clean: String = {
        let mut clean = String::with_capacity(said.len());
        let mut marked = false;
        for c in said.chars() {
            match c {
                AT => marked = true,
                '0'..='9' | '-' if marked => {}
                _ => {
                    marked = false;
                    clean.push(c);
                }
            }
        }
        clean
    };
    let trimmed = clean.trim().trim_end_matches('.');
    let mut letters = trimmed.chars();
    let second_is_upper = trimmed.chars().nth(1).is_some_and(|c| c.is_uppercase());
    match letters.next() {
        Some(first) if !second_is_upper => first.to_lowercase().chain(letters).collect(),
        _ => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, String) {
        match parse(text).unwrap_err() {
            SqlError::Mistake(found) => {
                let place = text[found.span.start..found.span.end].to_owned();
                (found.message, place)
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn times_stand_in_names() {
        let shown = |text: &str| parse(text).unwrap().to_string();
        assert_eq!(
            shown("select * from planes as of timestamp '1970-01-01 00:00:01' p"),
            "SELECT * FROM planes\u{1}1000000 p"
        );
        assert_eq!(
            shown("SELECT 1 FROM a AS OF '1970-01-01', \"B\" AS OF DATE '1970-01-02' AS b"),
            "SELECT 1 FROM a\u{1}0, \"B\u{1}86400000000\" AS b"
        );
        assert_eq!(split_time("a\u{1}-7"), ("a", Some(EventTime(-7))));
        assert_eq!(split_time("a"), ("a", None));
    }

    #[test]
    fn a_column_may_be_called_of() {
        let text = "SELECT x AS of, y AS OF FROM a";
        assert_eq!(parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn mistakes_have_places() {
        let (message, place) = refused("SELECT é\nFRON 1 x y");
        assert!(message.contains("expected"), "{message}");
        assert_eq!(place, "1");
        let (message, place) = refused("SELECT 1 FROM a AS OF '2014-13-01'");
        assert!(message.starts_with("AS OF: "), "{message}");
        assert_eq!(place, "'2014-13-01'");
        assert_eq!(
            refused("SELECT 1 FROM a AS OF TIMESTAMP now()").1,
            "AS OF TIMESTAMP"
        );
        assert_eq!(refused("SELECT 1 FROM a AS OF now()").1, "AS OF");
        assert_eq!(refused("SELECT 'a").1, "'a");
        assert_eq!(refused("SELECT 1; SELECT 2").0, "these are 2 statements");
        assert_eq!(refused("  ").0, "there is no query");
    }

    #[test]
    fn only_reading_is_done() {
        for text in [
            "INSERT INTO a VALUES (1)",
            "DROP TABLE a",
            "CREATE TABLE a (x INT)",
            "SET x = 1",
            "COPY a TO 'x'",
            "UPDATE a SET x = 1",
            "DELETE FROM a",
            "EXPLAIN DROP TABLE a",
        ] {
            let (message, place) = refused(text);
            assert!(message.ends_with("only reads"), "{text}: {message}");
            assert!(text.starts_with(&place), "{text}: {place}");
        }
        assert!(parse("EXPLAIN SELECT 1").is_ok());
        assert!(parse("WITH a AS (SELECT 1) SELECT * FROM a;").is_ok());
    }
}
