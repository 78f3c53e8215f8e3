//! `WITH (key = value, ...)`

use super::{Parsed, Parser};
use crate::ast::{Literal, OptionValue, StringLit, WithOption};
use crate::lexer::{Symbol, TokenKind};

impl Parser<'_> {
    /// `(key = value, ...)`
    pub(super) fn with_options(&mut self) -> Parsed<Vec<WithOption>> {
        let (options, _) =
            self.parenthesised("an option, such as `connector = 'file'`", |parser| {
                let key = parser.option_key()?;
                parser.expect_symbol(Symbol::Equal, " and the value of the option")?;
                let value = parser.option_value()?;
                Ok(WithOption {
                    span: parser.since(key.span),
                    key,
                    value,
                })
            })?;
        let keys = options.iter().map(|option| &option.key);
        self.report_twice("option", keys.map(|key| (key.value.as_str(), key.span)));
        Ok(options)
    }

    fn option_key(&mut self) -> Parsed<StringLit> {
        if self.is_string_at(0) {
            return self.string("an option");
        }
        let first = self.ident("an option, such as `connector = 'file'`")?;
        let mut value = first.value;
        while self.eat_symbol(Symbol::Point).is_some() {
            value.push('.');
            value.push_str(&self.ident("the name of an option")?.value);
        }
        Ok(StringLit {
            value,
            span: self.since(first.span),
        })
    }

    fn option_value(&mut self) -> Parsed<OptionValue> {
        let start = self.span();
        if self.eat_word("SECRET").is_some() {
            return self.string("the name of a secret").map(OptionValue::Secret);
        }
        let value = match self.kind() {
            TokenKind::String | TokenKind::EscapedString => {
                Literal::String(self.string("a string")?.value)
            }
            TokenKind::Number => self.number_value()?,
            TokenKind::Symbol(Symbol::Minus) if self.token_at(1).kind == TokenKind::Number => {
                self.bump();
                match self.number_value()? {
                    Literal::Integer(value) => Literal::Integer(-value),
                    Literal::Double(value) => Literal::Double(-value),
                    other => other,
                }
            }
            TokenKind::Word if self.is_word("TRUE") || self.is_word("FALSE") => Literal::Boolean(
                self.bump()
                    .span
                    .text(self.source)
                    .eq_ignore_ascii_case("true"),
            ),
            _ => {
                let mut diagnostic =
                    self.unexpected("the value of the option: a string, a number, `TRUE`, `FALSE` or `SECRET 'name'`");
                if self.is_name_at(0) {
                    let text = self.text().trim_matches('"');
                    diagnostic.hint = Some(format!("write `'{text}'`"));
                }
                return Err(diagnostic);
            }
        };
        Ok(OptionValue::Literal {
            value,
            span: self.since(start),
        })
    }
}
