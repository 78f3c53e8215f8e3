//! What an expression is made of: constants, names, calls, `CASE`, arrays, parentheses.

use super::expr::power;
use super::{Parsed, Parser};
use crate::ast::{CaseBranch, Expr, ExprKind, Literal};
use crate::error::Diagnostic;
use crate::keyword::is_not_a_column;
use crate::lexer::{Symbol, TokenKind, bytes_value};

impl Parser<'_> {
    /// Something that stands alone.
    pub(super) fn primary(&mut self, tallest: &mut usize) -> Parsed<Expr> {
        let start = self.span();
        let kind = match self.kind() {
            TokenKind::Number => self.number_literal()?,
            TokenKind::String | TokenKind::EscapedString => {
                ExprKind::Literal(Literal::String(self.string("a string")?.value))
            }
            TokenKind::Bytes => {
                let value = bytes_value(self.text(), start)?;
                self.bump();
                ExprKind::Literal(Literal::Bytes(value))
            }
            TokenKind::QuotedIdent => return self.name_or_call(tallest),
            TokenKind::Symbol(Symbol::LeftBracket) => self.array(tallest)?,
            TokenKind::Symbol(Symbol::LeftParen) => return self.in_parentheses(tallest),
            TokenKind::Word => return self.word_expr(tallest),
            _ => return Err(self.no_expression()),
        };
        Ok(Expr {
            kind,
            span: self.since(start),
        })
    }

    fn no_expression(&self) -> Box<Diagnostic> {
        let mut diagnostic = self.unexpected("an expression");
        let after_comma =
            self.at > 0 && self.tokens[self.at - 1].kind == TokenKind::Symbol(Symbol::Comma);
        if diagnostic.hint.is_none() && !matches!(self.kind(), TokenKind::Bad(_)) {
            if after_comma {
                diagnostic.hint = Some("remove the `,` before it".to_owned());
            } else if self.kind() == TokenKind::Word {
                let goes_on = matches!(self.token_at(1).kind, TokenKind::Symbol(symbol)
                    if symbol != Symbol::LeftParen && symbol != Symbol::Semicolon);
                diagnostic.hint = Some(if goes_on {
                    let name = self.text().to_ascii_lowercase();
                    format!("a column of that name is written `\"{name}\"`")
                } else {
                    format!("a value is missing before `{}`", self.text())
                });
            } else if self.is_symbol(Symbol::Star) {
                diagnostic.hint =
                    Some("`*` stands alone, after a point, or in `count(*)`".to_owned());
            }
        }
        diagnostic
    }

    fn in_parentheses(&mut self, tallest: &mut usize) -> Parsed<Expr> {
        if self.is_word_at(1, "SELECT") {
            return Err(self.subquery_in_expression());
        }
        let open = self.expect_symbol(Symbol::LeftParen, "")?;
        let mut height = 0;
        let mut expr = self.child(power::LOWEST, &mut height)?;
        // Parentheses are no node of the tree: the level added for this one is taken back.
        *tallest = (height - 1).max(*tallest);
        if self.is_symbol(Symbol::Comma) {
            return Err(Box::new(
                Diagnostic::error("a list in parentheses is not a value", self.span())
                    .with_related(open, "opened here")
                    .with_hint("write an array in brackets: `[a, b]`; compare columns one by one"),
            ));
        }
        self.close(open, Symbol::RightParen, false)?;
        expr.span = self.since(open);
        Ok(expr)
    }

    pub(super) fn subquery_in_expression(&self) -> Box<Diagnostic> {
        let ahead = usize::from(self.is_symbol(Symbol::LeftParen));
        Box::new(
            Diagnostic::error(
                "a query cannot be used as a value",
                self.token_at(ahead).span,
            )
            .with_hint("look values up with `ASOF JOIN`"),
        )
    }

    fn number_literal(&mut self) -> Parsed<ExprKind> {
        let literal = self.number_value()?;
        Ok(ExprKind::Literal(literal))
    }

    /// Digits alone are an integer; with a point or an exponent they are a DOUBLE.
    pub(super) fn number_value(&mut self) -> Parsed<Literal> {
        let (text, span) = (self.text(), self.span());
        let literal = if text.bytes().all(|b| b.is_ascii_digit()) {
            text.parse().ok().map(Literal::Integer)
        } else {
            text.parse::<f64>()
                .ok()
                .filter(|value| value.is_finite())
                .map(Literal::Double)
        };
        self.bump();
        literal.ok_or_else(|| {
            Box::new(
                Diagnostic::error("this number is too large", span).with_hint(
                    "whole numbers have at most 38 digits, DOUBLE goes to about 1.8e308",
                ),
            )
        })
    }

    /// `[a, b]`
    fn array(&mut self, tallest: &mut usize) -> Parsed<ExprKind> {
        let open = self.expect_symbol(Symbol::LeftBracket, "")?;
        let mut items = Vec::new();
        if self.eat_symbol(Symbol::RightBracket).is_some() {
            return Ok(ExprKind::Array(items));
        }
        loop {
            items.push(self.child(power::LOWEST, tallest)?);
            if self.eat_symbol(Symbol::Comma).is_none() {
                break;
            }
        }
        self.close(open, Symbol::RightBracket, true)?;
        Ok(ExprKind::Array(items))
    }

    /// An expression that starts with a word: a constant, `CASE`, a function, or a name.
    fn word_expr(&mut self, tallest: &mut usize) -> Parsed<Expr> {
        let start = self.span();
        let word = self.text().to_ascii_uppercase();
        let constant = match word.as_str() {
            "NULL" => Some(Literal::Null),
            "TRUE" => Some(Literal::Boolean(true)),
            "FALSE" => Some(Literal::Boolean(false)),
            _ => None,
        };
        let kind = match constant {
            Some(literal) => {
                self.bump();
                ExprKind::Literal(literal)
            }
            None => match word.as_str() {
                "CASE" => self.case(tallest)?,
                "INTERVAL" if self.at_interval_literal() => {
                    ExprKind::Literal(Literal::Interval(self.interval_literal()?))
                }
                "INTERVAL" if self.is_symbol_at(1, Symbol::LeftParen) => {
                    self.interval_literal()?;
                    return Err(self.unexpected("a constant"));
                }
                "DATE" if self.is_string_at(1) => self.date_literal()?,
                "TIMESTAMP" | "TIMESTAMPTZ" if self.at_timestamp_literal() => {
                    self.timestamp_literal()?
                }
                "ARRAY" if self.is_symbol_at(1, Symbol::LeftBracket) => {
                    self.bump();
                    self.array(tallest)?
                }
                "EXISTS"
                    if self.is_symbol_at(1, Symbol::LeftParen) && self.is_word_at(2, "SELECT") =>
                {
                    self.bump();
                    return Err(self.subquery_in_expression());
                }
                "END" if self.cases > 0 => return Err(self.no_expression()),
                _ if is_not_a_column(&word.to_ascii_lowercase()) => {
                    return Err(self.no_expression());
                }
                _ => return self.name_or_call(tallest),
            },
        };
        Ok(Expr {
            kind,
            span: self.since(start),
        })
    }

    fn date_literal(&mut self) -> Parsed<ExprKind> {
        self.bump();
        let text = self.string("a date")?;
        let days = evenkeel_types::time::parse_date(&text.value).map_err(|_| {
            Box::new(
                Diagnostic::error(format!("`{}` is not a date", text.value), text.span)
                    .with_hint("write `DATE '2026-01-31'`"),
            )
        })?;
        Ok(ExprKind::Literal(Literal::Date(days)))
    }

    fn at_timestamp_literal(&self) -> bool {
        self.is_string_at(1)
            || self.is_words(&["TIMESTAMP", "WITH", "TIME", "ZONE"]) && self.is_string_at(4)
            || self.is_words(&["TIMESTAMP", "WITHOUT", "TIME", "ZONE"]) && self.is_string_at(4)
    }

    fn timestamp_literal(&mut self) -> Parsed<ExprKind> {
        while !self.is_string_at(0) {
            self.bump();
        }
        let text = self.string("a time")?;
        let utc = evenkeel_types::Zone::utc();
        let micros =
            evenkeel_types::time::parse_timestamp(&text.value, &utc).map_err(|problem| {
                Box::new(
                    Diagnostic::error(problem.to_string(), text.span)
                        .with_hint("without a zone, times are UTC"),
                )
            })?;
        Ok(ExprKind::Literal(Literal::Timestamp(micros)))
    }

    fn case(&mut self, tallest: &mut usize) -> Parsed<ExprKind> {
        let start = self.expect_word("CASE", "")?;
        self.cases += 1;
        let operand = if self.is_word("WHEN") {
            None
        } else {
            Some(Box::new(self.child(power::LOWEST, tallest)?))
        };
        let mut branches = Vec::new();
        while self.eat_word("WHEN").is_some() {
            let condition = self.child(power::LOWEST, tallest)?;
            self.expect_word("THEN", " and the result of this branch")?;
            let result = self.child(power::LOWEST, tallest)?;
            branches.push(CaseBranch { condition, result });
        }
        if branches.is_empty() {
            return Err(self.unexpected_word("`WHEN`", &["WHEN"]));
        }
        let otherwise = match self.eat_word("ELSE") {
            Some(_) => Some(Box::new(self.child(power::LOWEST, tallest)?)),
            None => None,
        };
        if self.eat_word("END").is_none() {
            let expected = match otherwise {
                None => "`WHEN`, `ELSE` or `END`",
                Some(_) => "`END`",
            };
            let mut diagnostic = self.unexpected_word(expected, &["WHEN", "ELSE", "END"]);
            if !matches!(self.kind(), TokenKind::Bad(_)) {
                diagnostic = Box::new(diagnostic.with_related(start, "this `CASE` is open"));
            }
            return Err(diagnostic);
        }
        self.cases -= 1;
        Ok(ExprKind::Case {
            operand,
            branches,
            otherwise,
        })
    }
}
