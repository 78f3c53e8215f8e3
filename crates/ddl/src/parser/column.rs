//! Columns of a source.

use super::{Parsed, Parser};
use crate::ast::{ColumnDef, Ident};
use crate::error::Diagnostic;
use crate::lexer::Symbol;

impl Parser<'_> {
    /// `column TYPE [NOT NULL] [AS (expr)] [COMMENT '...']`
    pub(super) fn column(&mut self) -> Parsed<ColumnDef> {
        let name = self.ident("a column or a clause")?;
        let data_type = self.type_name(&format!("`{}`", name.value))?;
        let mut column = ColumnDef {
            span: name.span,
            name,
            data_type,
            not_null: None,
            computed: None,
            comment: None,
        };
        loop {
            let start = self.span();
            if self.eat_words(&["NOT", "NULL"]).is_some() {
                let span = self.since(start);
                self.set(&mut column.not_null, span, span, "NOT NULL");
            } else if self.is_word("AS") || self.is_words(&["GENERATED", "ALWAYS", "AS"]) {
                let _ = self.eat_words(&["GENERATED", "ALWAYS"]);
                self.bump();
                let expr = self.parenthesised_expr(" and what the column is computed from")?;
                self.set(&mut column.computed, expr, start, "AS");
            } else if self.eat_word("COMMENT").is_some() {
                let text = self.string("a comment")?;
                self.set(&mut column.comment, text, start, "COMMENT");
            } else if let Some(wrong) = self.column_mistake(&column.name) {
                return Err(wrong);
            } else {
                break;
            }
        }
        column.span = self.since(column.span);
        Ok(column)
    }

    /// Things that other systems write behind a column.
    fn column_mistake(&self, name: &Ident) -> Option<Box<Diagnostic>> {
        let (words, hint) = if self.is_words(&["PRIMARY", "KEY"]) {
            (
                2,
                format!("write it as an item of its own: `PRIMARY KEY ({name})`"),
            )
        } else if self.is_word("UNIQUE") {
            (
                1,
                format!("write it as an item of its own: `EVENT ID ({name})`"),
            )
        } else if self.is_words(&["EVENT", "TIME"]) && !self.is_name_at(2) {
            (
                2,
                format!("write it as an item of its own: `EVENT TIME {name}`"),
            )
        } else if self.is_word("DEFAULT") {
            (
                1,
                "rows are kept as they come; put `coalesce` into the view".to_owned(),
            )
        } else if (self.is_word("CHECK") || self.is_word("EXPECT"))
            && self.is_symbol_at(1, Symbol::LeftParen)
        {
            (
                1,
                format!(
                    "put a `,` before it: `{}` is an item of its own",
                    self.text()
                ),
            )
        } else if self.is_word("NULL") {
            (
                1,
                "leave it out: columns may be NULL unless they are `NOT NULL`".to_owned(),
            )
        } else {
            return None;
        };
        let span = self.span().to(self.token_at(words - 1).span);
        Some(Box::new(
            Diagnostic::error(
                format!("`{}` cannot stand behind a column", span.text(self.source)),
                span,
            )
            .with_hint(hint),
        ))
    }
}
