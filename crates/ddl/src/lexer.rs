//! Text to tokens.
//!
//! Tokens are kinds and byte ranges; their values are decoded from the text when the parser
//! takes them (`literal.rs`). The lexer never fails: what cannot be read becomes a
//! [`TokenKind::Bad`] with its diagnostic, and the parser reports it where it matters.
//! Invariant: tokens are in order, do not overlap, lie on character boundaries, and the last
//! one is [`TokenKind::End`].

mod literal;

pub(crate) use literal::{bytes_value, ident_value, string_value};

use crate::ast::Span;
use crate::error::{DIAGNOSTICS_MAX, Diagnostic};

/// One token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// What a [`Token`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A name or keyword without quotes.
    Word,
    /// `"name"`
    QuotedIdent,
    /// `'text'`
    String,
    /// `E'text\n'`
    EscapedString,
    /// `X'00ff'`
    Bytes,
    /// Digits, perhaps with a point or an exponent.
    Number,
    /// Punctuation or an operator.
    Symbol(Symbol),
    /// Something unreadable; its diagnostic is at this index.
    Bad(usize),
    /// The end of the text; an empty span.
    End,
}

macro_rules! symbols {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Punctuation and operators.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Symbol {
            $($name,)*
        }

        impl Symbol {
            /// As written.
            pub(crate) fn text(self) -> &'static str {
                match self {
                    $(Symbol::$name => $text,)*
                }
            }

            /// Longest first.
            fn starting(text: &str) -> Option<Symbol> {
                [$(Symbol::$name,)*]
                    .into_iter()
                    .find(|symbol| text.starts_with(symbol.text()))
            }
        }
    };
}

// Those of two characters come first, so that the longest match wins.
symbols! {
    NotEqual = "<>",
    BangEqual = "!=",
    LessOrEqual = "<=",
    GreaterOrEqual = ">=",
    Concat = "||",
    DoubleColon = "::",
    DoubleSlash = "//",
    LeftParen = "(",
    RightParen = ")",
    LeftBracket = "[",
    RightBracket = "]",
    Comma = ",",
    Semicolon = ";",
    Point = ".",
    Equal = "=",
    Less = "<",
    Greater = ">",
    Plus = "+",
    Minus = "-",
    Star = "*",
    Slash = "/",
    Percent = "%",
    At = "@",
}

/// The tokens of a text and the diagnostics of the bad ones.
pub(crate) fn lex(source: &str) -> (Vec<Token>, Vec<Diagnostic>) {
    let mut lexer = Lexer {
        source,
        at: 0,
        diagnostics: Vec::new(),
    };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token();
        tokens.push(token);
        if token.kind == TokenKind::End {
            return (tokens, lexer.diagnostics);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_while(&mut self, mut wanted: impl FnMut(char) -> bool) {
        while self.peek().is_some_and(&mut wanted) {
            self.bump();
        }
    }

    fn since(&self, start: usize) -> Span {
        Span::new(start, self.at)
    }

    fn bad(&mut self, diagnostic: Diagnostic) -> TokenKind {
        self.diagnostics.push(diagnostic);
        TokenKind::Bad(self.diagnostics.len() - 1)
    }

    fn next_token(&mut self) -> Token {
        // A text with so much wrong is not SQL; and each open string costs a look to the end.
        if self.diagnostics.len() >= DIAGNOSTICS_MAX {
            self.at = self.source.len();
        }
        if let Some(unclosed) = self.skip_space_and_comments() {
            return unclosed;
        }
        let start = self.at;
        let kind = match self.peek() {
            None => TokenKind::End,
            Some('\'') => self.quoted(start, '\'', false, TokenKind::String),
            Some('"') => self.quoted(start, '"', false, TokenKind::QuotedIdent),
            Some(c) if is_word_start(c) => self.word(start),
            Some(c) if c.is_ascii_digit() => self.number(start),
            Some('.') if self.digit_after_point() => self.number(start),
            Some(c) => self.symbol(start, c),
        };
        Token {
            kind,
            span: self.since(start),
        }
    }

    fn digit_after_point(&self) -> bool {
        self.rest()
            .as_bytes()
            .get(1)
            .is_some_and(u8::is_ascii_digit)
    }

    /// Block comments nest, as in PostgreSQL. A comment that is not closed is a bad token.
    fn skip_space_and_comments(&mut self) -> Option<Token> {
        loop {
            self.skip_while(|c| c.is_whitespace() || c == '\u{feff}');
            if self.rest().starts_with("--") {
                self.skip_while(|c| c != '\n');
            } else if self.rest().starts_with("/*") {
                let start = self.at;
                let mut depth = 0_usize;
                loop {
                    if self.rest().starts_with("/*") {
                        depth += 1;
                        self.at += 2;
                    } else if self.rest().starts_with("*/") {
                        depth -= 1;
                        self.at += 2;
                        if depth == 0 {
                            break;
                        }
                    } else if self.bump().is_none() {
                        let opening = Span::new(start, start + 2);
                        let kind = self.bad(
                            Diagnostic::error("this comment is never closed", opening)
                                .with_hint("close it with `*/`"),
                        );
                        return Some(Token {
                            kind,
                            span: self.since(start),
                        });
                    }
                }
            } else {
                return None;
            }
        }
    }

    fn word(&mut self, start: usize) -> TokenKind {
        self.skip_while(is_word_part);
        let prefix = &self.source[start..self.at];
        if self.peek() == Some('\'') {
            if prefix.eq_ignore_ascii_case("e") {
                return self.quoted(start, '\'', true, TokenKind::EscapedString);
            }
            if prefix.eq_ignore_ascii_case("x") {
                return self.quoted(start, '\'', false, TokenKind::Bytes);
            }
        }
        TokenKind::Word
    }

    /// From the opening quote to the closing one; a doubled quote stands for itself.
    fn quoted(&mut self, start: usize, quote: char, escapes: bool, kind: TokenKind) -> TokenKind {
        self.bump();
        while let Some(c) = self.bump() {
            let doubled = c == quote && self.peek() == Some(quote);
            if doubled || (escapes && c == '\\') {
                self.bump();
            } else if c == quote {
                return kind;
            }
        }
        // Most likely the quote is missing on this line: go on with the next one, and leave
        // the statement's end where it is.
        let line_end = self.source[start..]
            .find('\n')
            .map_or(self.source.len(), |at| start + at);
        let line = self.source[start..line_end].trim_end();
        self.at = start + line.trim_end_matches(';').trim_end().len().max(1);
        let what = if quote == '"' { "name" } else { "string" };
        let span = self.since(start);
        self.bad(
            Diagnostic::error(format!("this {what} is never closed"), span).with_hint(format!(
                "close it with `{quote}`; inside it, `{quote}` is written `{quote}{quote}`"
            )),
        )
    }

    fn number(&mut self, start: usize) -> TokenKind {
        let digit = |c: char| c.is_ascii_digit();
        self.skip_while(digit);
        if self.peek() == Some('.') {
            let mut after = self.rest().chars().skip(1);
            let next = after.next();
            if !next.is_some_and(|c| is_word_start(c) || c == '.') {
                self.bump();
                self.skip_while(digit);
            }
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            let exponent = self.rest()[1..].trim_start_matches(['+', '-']);
            let signs = self.rest().len() - 1 - exponent.len();
            if signs <= 1 && exponent.starts_with(digit) {
                self.at += 1 + signs;
                self.skip_while(digit);
            }
        }
        if self.peek().is_some_and(is_word_part) {
            let digits_end = self.at;
            self.skip_while(is_word_part);
            let span = self.since(start);
            let (digits, tail) = (
                &self.source[start..digits_end],
                &self.source[digits_end..self.at],
            );
            let unit = LENGTHS
                .iter()
                .find(|(unit, _)| tail.eq_ignore_ascii_case(unit));
            let hint = if let Some((_, unit)) = unit {
                format!("write `{digits} {unit}`")
            } else if tail.starts_with('_') {
                format!(
                    "write `{}` without `_`",
                    span.text(self.source).replace('_', "")
                )
            } else {
                format!(
                    "put a space between `{digits}` and `{tail}`, or write the name in double quotes"
                )
            };
            let message = format!("`{digits}{tail}` is neither a number nor a name");
            return self.bad(Diagnostic::error(message, span).with_hint(hint));
        }
        TokenKind::Number
    }

    fn symbol(&mut self, start: usize, c: char) -> TokenKind {
        let rest = self.rest();
        let mistake = |table: &[(&'static str, &'static str)]| {
            table
                .iter()
                .find(|(text, _)| rest.starts_with(text))
                .copied()
        };
        let mut wrong = mistake(&LONG_MISTAKES);
        if wrong.is_none() {
            if let Some(symbol) = Symbol::starting(rest) {
                self.at += symbol.text().len();
                return TokenKind::Symbol(symbol);
            }
            wrong = mistake(&MISTAKES);
        }
        let (text, hint) = match wrong {
            Some((text, hint)) => (text.to_owned(), hint.to_owned()),
            None if c.is_control() => (
                format!("U+{:04X}", u32::from(c)),
                "remove this character".to_owned(),
            ),
            None => (
                c.to_string(),
                "names with such characters are written in double quotes".to_owned(),
            ),
        };
        self.at += wrong.map_or(c.len_utf8(), |(text, _)| text.len());
        let span = self.since(start);
        self.bad(Diagnostic::error(format!("`{text}` has no meaning here"), span).with_hint(hint))
    }
}

/// Units that are put right behind a number elsewhere, with their keyword.
const LENGTHS: [(&str, &str); 11] = [
    ("ms", "MILLISECONDS"),
    ("s", "SECONDS"),
    ("sec", "SECONDS"),
    ("min", "MINUTES"),
    ("m", "MINUTES"),
    ("h", "HOURS"),
    ("hours", "HOURS"),
    ("d", "DAYS"),
    ("days", "DAYS"),
    ("w", "WEEKS"),
    ("y", "YEARS"),
];

/// Writings of other languages that start like a symbol, with what to write here.
const LONG_MISTAKES: [(&str, &str); 9] = [
    ("==", "write `=` to compare"),
    ("**", "write `pow(x, y)`"),
    ("!~~*", "write `NOT ILIKE`"),
    ("!~~", "write `NOT LIKE`"),
    ("~~*", "write `ILIKE`"),
    ("=>", "arguments are given by position, without names"),
    ("->", "fields of a struct are written `value.field`"),
    ("<<", "write `shift_left(x, n)`"),
    ("&&", "write `AND`"),
];

/// Characters of other languages, with what to write here.
const MISTAKES: [(&str, &str); 14] = [
    ("!", "write `NOT`, or `<>` for not equal"),
    ("&", "write `bit_and(x, y)`, or `AND` for truth values"),
    (
        "|",
        "write `||` to join texts, `OR` for truth values, `bit_or(x, y)` for bits",
    ),
    ("^", "write `pow(x, y)`"),
    ("~", "write `LIKE`, or `bit_not(x)`"),
    ("#", "comments start with `--`"),
    ("`", "names are quoted with `\"`"),
    ("?", "definitions have no parameters"),
    (
        "$",
        "definitions have no parameters; strings are written in `'`",
    ),
    ("“", "strings are written in straight quotes: `'`"),
    ("”", "strings are written in straight quotes: `'`"),
    ("‘", "strings are written in straight quotes: `'`"),
    ("’", "strings are written in straight quotes: `'`"),
    ("\\", "statements end with `;`"),
];

fn is_word_start(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(source: &str) -> Vec<(TokenKind, &str)> {
        lex(source)
            .0
            .into_iter()
            .map(|token| (token.kind, token.span.text(source)))
            .collect()
    }

    #[test]
    fn comments_and_space_separate() {
        assert_eq!(
            kinds("a--b\n/* c /* d */ 'e */\u{a0}f"),
            [
                (TokenKind::Word, "a"),
                (TokenKind::Word, "f"),
                (TokenKind::End, "")
            ]
        );
    }

    #[test]
    fn numbers_end_where_they_end() {
        let texts: Vec<_> = kinds("1 1.5 .5 1. 1e3 1E-3 1.5e+3 a.b x[1].y 1..2")
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(
            texts,
            [
                "1", "1.5", ".5", "1.", "1e3", "1E-3", "1.5e+3", "a", ".", "b", "x", "[", "1", "]",
                ".", "y", "1", ".", ".2", ""
            ]
        );
    }

    #[test]
    fn an_open_string_ends_with_its_line() {
        assert_eq!(
            kinds("a 'b c;\nd"),
            [
                (TokenKind::Word, "a"),
                (TokenKind::Bad(0), "'b c"),
                (TokenKind::Symbol(Symbol::Semicolon), ";"),
                (TokenKind::Word, "d"),
                (TokenKind::End, "")
            ]
        );
    }

    #[test]
    fn the_longest_symbol_wins() {
        let texts: Vec<_> = kinds("<>!=<=>=||:: // < > = / -")
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        assert_eq!(
            texts,
            [
                "<>", "!=", "<=", ">=", "||", "::", "//", "<", ">", "=", "/", "-", ""
            ]
        );
    }

    /// The reference names them; what it names has to be understood.
    #[test]
    fn the_symbols_of_functions_are_symbols() {
        let is_symbol = |name: &&&str| !name.starts_with(is_word_start);
        let functions = evenkeel_expr::functions();
        let symbols: Vec<&str> = functions
            .flat_map(|function| function.aliases.iter().filter(is_symbol).copied())
            .collect();
        assert!(symbols.contains(&"||"), "{symbols:?}");
        for symbol in symbols {
            let (tokens, _) = lex(symbol);
            let kinds = tokens.iter().map(|token| token.kind);
            assert!(
                kinds.clone().count() > 1
                    && kinds.clone().all(|kind| !matches!(kind, TokenKind::Bad(_))),
                "`{symbol}`"
            );
        }
    }

    #[test]
    fn symbols_of_other_languages_are_told_what_to_write() {
        for (written, hint) in [
            ("a ** b", "pow(x, y)"),
            ("a << b", "shift_left(x, n)"),
            ("a & b", "bit_and(x, y)"),
            ("a ~~* b", "ILIKE"),
            ("a !~~ b", "NOT LIKE"),
        ] {
            let (_, found) = lex(written);
            let hints: Vec<_> = found.iter().filter_map(|d| d.hint.as_deref()).collect();
            assert_eq!(hints.len(), 1, "{written}");
            assert!(hints[0].contains(hint), "{written}: {hints:?}");
        }
    }
}
