//! `CREATE MODEL`.

use super::{Parsed, Parser};
use crate::ast::{CreateModel, Metadata, Span, StringLit};
use crate::lexer::TokenKind;

/// Words that clauses of a model start with.
const CLAUSE_WORDS: [&str; 7] = [
    "FROM", "OUTPUT", "CLASS", "DIGEST", "COMMENT", "OWNER", "TAGS",
];

impl Parser<'_> {
    /// Behind `CREATE MODEL`.
    pub(super) fn model(&mut self) -> Parsed<CreateModel> {
        let name = self.name("the name of the model")?;
        if self.eat_word("FROM").is_none() {
            let mut diagnostic = self.unexpected_word("`FROM` and the model's file", &CLAUSE_WORDS);
            let hint = format!("write `CREATE MODEL {name} FROM 'model.onnx'`");
            diagnostic.hint.get_or_insert(hint);
            return Err(diagnostic);
        }
        let path = self.string("the model's file, such as 'model.onnx'")?;
        let (mut output, mut class, mut digest) = (None, None, None);
        let mut metadata = Metadata::default();
        loop {
            let start = self.span();
            if self.metadata_clause(&mut metadata)? {
                continue;
            }
            if self.eat_word("OUTPUT").is_some() {
                let found = self.string("the name of one of the model's outputs")?;
                self.set(&mut output, found, start, "OUTPUT");
            } else if self.eat_word("CLASS").is_some() {
                let found = self.class()?;
                self.set(&mut class, found, start, "CLASS");
            } else if self.eat_word("DIGEST").is_some() {
                let found = self.string("the digest of the file's content")?;
                self.set(&mut digest, found, start, "DIGEST");
            } else {
                break;
            }
        }
        Ok(CreateModel {
            name,
            path,
            output,
            class,
            digest,
            metadata,
        })
    }

    /// A class, which may be a number.
    fn class(&mut self) -> Parsed<StringLit> {
        if matches!(self.kind(), TokenKind::Number) {
            let number = self.number("a class")?;
            let span: Span = number.span;
            let value = number.value.to_string();
            return Ok(StringLit { value, span });
        }
        self.string("a class of the output, such as 1 or 'yes'")
    }
}
