//! Types.

use evenkeel_types::{DECIMAL_PRECISION_MAX, DataType, Field};

use super::complaint::too_deep;
use super::{Parsed, Parser, QUERY_DEPTH_MAX};
use crate::ast::{Span, TypeName};
use crate::error::Diagnostic;
use crate::lexer::{Symbol, TokenKind};
use crate::suggest::did_you_mean;

/// Every name of a type of one word that takes no arguments, and the type.
const SIMPLE: [(&str, DataType); 23] = [
    ("BOOLEAN", DataType::Boolean),
    ("BOOL", DataType::Boolean),
    ("INT", DataType::Int),
    ("INTEGER", DataType::Int),
    ("INT4", DataType::Int),
    ("BIGINT", DataType::BigInt),
    ("INT8", DataType::BigInt),
    ("LONG", DataType::BigInt),
    ("FLOAT", DataType::Float),
    ("FLOAT4", DataType::Float),
    ("REAL", DataType::Float),
    ("DOUBLE", DataType::Double),
    ("FLOAT8", DataType::Double),
    ("STRING", DataType::String),
    ("TEXT", DataType::String),
    ("VARCHAR", DataType::String),
    ("BYTES", DataType::Bytes),
    ("BLOB", DataType::Bytes),
    ("BYTEA", DataType::Bytes),
    ("DATE", DataType::Date),
    ("TIMESTAMP", DataType::Timestamp),
    ("TIMESTAMPTZ", DataType::Timestamp),
    ("INTERVAL", DataType::Interval),
];

/// Names that take arguments.
const WITH_ARGUMENTS: [&str; 4] = ["DECIMAL", "NUMERIC", "ARRAY", "STRUCT"];

/// Types of other systems, with what to write here.
pub(super) const ELSEWHERE: [(&str, &str); 20] = [
    ("SMALLINT", "INT"),
    ("TINYINT", "INT"),
    ("INT2", "INT"),
    ("MEDIUMINT", "INT"),
    ("UINTEGER", "BIGINT"),
    ("HUGEINT", "DECIMAL(38, 0)"),
    ("SERIAL", "BIGINT"),
    ("NUMBER", "DECIMAL(18, 2)"),
    ("MONEY", "DECIMAL(18, 2)"),
    ("CHAR", "STRING"),
    ("NVARCHAR", "STRING"),
    ("UUID", "STRING"),
    ("JSON", "STRING"),
    ("JSONB", "STRING"),
    ("ENUM", "STRING"),
    ("BINARY", "BYTES"),
    ("VARBINARY", "BYTES"),
    ("DATETIME", "TIMESTAMP"),
    ("LIST", "ARRAY<STRING>"),
    ("VECTOR", "FLOAT[128]"),
];

impl Parser<'_> {
    /// A type. A name that is none is reported, and reading goes on: so all of them in a
    /// statement are found at once.
    pub(super) fn type_name(&mut self, of_what: &str) -> Parsed<TypeName> {
        let start = self.span();
        let data_type = self.nested_query(|parser| parser.data_type(of_what))?;
        Ok(TypeName {
            data_type,
            span: self.since(start),
        })
    }

    /// Whether that token is the name of a type.
    pub(super) fn starts_type(&self, ahead: usize) -> bool {
        let names = SIMPLE.iter().map(|(name, _)| *name);
        names
            .chain(WITH_ARGUMENTS)
            .any(|name| self.is_word_at(ahead, name))
    }

    fn data_type(&mut self, of_what: &str) -> Parsed<DataType> {
        let mut data_type = self.element_type(of_what)?;
        let mut depth = self.query_depth;
        while self.is_symbol(Symbol::LeftBracket) {
            depth += 1;
            if depth > QUERY_DEPTH_MAX {
                return Err(too_deep(self.span()));
            }
            data_type = self.list_type(data_type)?;
        }
        Ok(data_type)
    }

    fn element_type(&mut self, of_what: &str) -> Parsed<DataType> {
        let start = self.span();
        if self.kind() != TokenKind::Word {
            let mut diagnostic = self.unexpected(&format!("the type of {of_what}"));
            diagnostic.hint = diagnostic
                .hint
                .or_else(|| Some("such as `STRING`, `BIGINT`, `DOUBLE` or `TIMESTAMP`".to_owned()));
            return Err(diagnostic);
        }
        let word = self.text().to_ascii_uppercase();
        let simple = SIMPLE.iter().find(|(name, _)| *name == word);
        match word.as_str() {
            "DECIMAL" | "NUMERIC" => {
                self.bump();
                self.decimal(start)
            }
            "ARRAY" => {
                self.bump();
                let close = self.open_arguments("the type of its elements")?;
                let element = self.type_name("the array's elements")?.data_type;
                self.close(close.0, close.1, false)?;
                Ok(DataType::Array(Box::new(element)))
            }
            "STRUCT" => {
                self.bump();
                self.struct_type()
            }
            "CHARACTER" if self.is_word_at(1, "VARYING") => {
                self.bump();
                self.bump();
                self.length_argument()?;
                Ok(DataType::String)
            }
            _ => match simple {
                Some((_, data_type)) => {
                    self.bump();
                    self.type_suffix(&word)?;
                    Ok(data_type.clone())
                }
                None => {
                    let diagnostic = self.unknown_type(&word);
                    self.report(diagnostic);
                    self.bump();
                    self.skip_arguments();
                    Ok(DataType::Null)
                }
            },
        }
    }

    /// The words and arguments that may follow a type's first word without changing it.
    fn type_suffix(&mut self, word: &str) -> Parsed<()> {
        match word {
            "DOUBLE" => {
                self.eat_word("PRECISION");
            }
            "VARCHAR" | "STRING" | "TEXT" => self.length_argument()?,
            "TIMESTAMP" => {
                self.length_argument()?;
                let _ = self.eat_words(&["WITH", "TIME", "ZONE"]).is_some()
                    || self.eat_words(&["WITHOUT", "TIME", "ZONE"]).is_some();
            }
            _ => {}
        }
        Ok(())
    }

    /// `(n)`, which is read and not kept: texts have any length, times microseconds.
    fn length_argument(&mut self) -> Parsed<()> {
        if let Some(open) = self.eat_symbol(Symbol::LeftParen) {
            self.number("a length")?;
            self.close(open, Symbol::RightParen, false)?;
        }
        Ok(())
    }

    fn decimal(&mut self, start: Span) -> Parsed<DataType> {
        let Some(open) = self.eat_symbol(Symbol::LeftParen) else {
            let name = start.text(self.source);
            self.report(
                Diagnostic::error(format!("`{name}` needs its number of digits"), start).with_hint(
                    format!("write `{name}(18, 2)`: 18 digits, 2 after the point"),
                ),
            );
            return Ok(DataType::Null);
        };
        let precision = self.number("the number of digits")?;
        let scale = match self.eat_symbol(Symbol::Comma) {
            Some(_) => self.number("the number of digits after the point")?,
            None => crate::ast::NumberLit {
                value: 0,
                span: precision.span,
            },
        };
        self.close(open, Symbol::RightParen, false)?;
        let digits = u8::try_from(precision.value)
            .ok()
            .filter(|digits| (1..=DECIMAL_PRECISION_MAX).contains(digits));
        let Some(digits) = digits else {
            self.report(Diagnostic::error(
                format!(
                    "a decimal has 1 to {DECIMAL_PRECISION_MAX} digits, not {}",
                    precision.value
                ),
                precision.span,
            ));
            return Ok(DataType::Null);
        };
        let after_point = u8::try_from(scale.value).ok().filter(|n| *n <= digits);
        let Some(after_point) = after_point else {
            self.report(Diagnostic::error(
                format!(
                    "{} digits after the point are more than {digits} digits in all",
                    scale.value
                ),
                scale.span,
            ));
            return Ok(DataType::Null);
        };
        Ok(DataType::Decimal {
            precision: digits,
            scale: after_point,
        })
    }

    /// `<` or `(`: where it is, and what closes it.
    fn open_arguments(&mut self, purpose: &str) -> Parsed<(Span, Symbol)> {
        if let Some(open) = self.eat_symbol(Symbol::LeftParen) {
            return Ok((open, Symbol::RightParen));
        }
        let open = self.expect_symbol(Symbol::Less, &format!(" before {purpose}"))?;
        Ok((open, Symbol::Greater))
    }

    fn struct_type(&mut self) -> Parsed<DataType> {
        let (open, closing) = self.open_arguments("the fields of the struct")?;
        let mut fields: Vec<Field> = Vec::new();
        let mut spans = Vec::new();
        loop {
            let name = self.ident("the name of a field")?;
            spans.push(name.span);
            let data_type = self.type_name(&format!("the field `{}`", name.value))?;
            fields.push(Field::new(name.value, data_type.data_type));
            if self.eat_symbol(Symbol::Comma).is_none() {
                break;
            }
        }
        self.close(open, closing, true)?;
        let names = fields.iter().map(|field| field.name.as_str());
        self.report_twice("field", names.zip(spans));
        Ok(DataType::Struct(fields))
    }

    /// `[]` or `[n]` behind a type.
    fn list_type(&mut self, element: DataType) -> Parsed<DataType> {
        let open = self.expect_symbol(Symbol::LeftBracket, "")?;
        if self.eat_symbol(Symbol::RightBracket).is_some() {
            return Ok(DataType::Array(Box::new(element)));
        }
        let length = self.number("the number of elements, or `]`")?;
        self.close(open, Symbol::RightBracket, false)?;
        let span = self.since(open);
        let count = u32::try_from(length.value).ok().filter(|count| *count > 0);
        let Some(count) = count else {
            self.report(
                Diagnostic::error(
                    format!("a vector of {} elements is not possible", length.value),
                    length.span,
                )
                .with_hint("write `[]` for a list of any length"),
            );
            return Ok(element);
        };
        if !element.is_float() && element != DataType::Null {
            self.report(
                Diagnostic::error(
                    "only `FLOAT` and `DOUBLE` have vectors of a fixed length",
                    span,
                )
                .with_hint("write `[]` for a list of any length"),
            );
        }
        Ok(DataType::Vector {
            element: Box::new(element),
            length: count,
        })
    }

    fn unknown_type(&self, word: &str) -> Diagnostic {
        let span = self.span();
        let known = SIMPLE
            .iter()
            .map(|(name, _)| *name)
            .chain(WITH_ARGUMENTS)
            .filter(|name| *name != "INTERVAL");
        let hint = match ELSEWHERE.iter().find(|(name, _)| *name == word) {
            Some((_, here)) => format!("write `{here}`"),
            None => match did_you_mean(word, known) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "types are BOOLEAN, INT, BIGINT, FLOAT, DOUBLE, DECIMAL(p, s), STRING, \
                         BYTES, DATE, TIMESTAMP, ARRAY<T>, FLOAT[n] and STRUCT<name T, ...>"
                    .to_owned(),
            },
        };
        Diagnostic::error(format!("unknown type `{}`", self.text()), span).with_hint(hint)
    }

    /// The arguments of an unknown type, so that what follows is still read.
    fn skip_arguments(&mut self) {
        if self.is_symbol(Symbol::LeftParen) && self.token_at(1).kind == TokenKind::Number {
            while !matches!(
                self.kind(),
                TokenKind::End
                    | TokenKind::Symbol(Symbol::RightParen | Symbol::Semicolon)
                    | TokenKind::Bad(_)
            ) {
                self.bump();
            }
            self.eat_symbol(Symbol::RightParen);
        }
    }
}
