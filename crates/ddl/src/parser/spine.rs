//! Spine queries: the rows of a training set, and the labels read forward of them.

use super::{Parsed, Parser};
use crate::ast::{Label, SpineItem, SpineQuery};
use crate::error::Diagnostic;
use crate::lexer::Symbol;

impl Parser<'_> {
    pub(super) fn spine_query(&mut self) -> Parsed<SpineQuery> {
        let start = self.span();
        self.expect_word("SELECT", " and the spine's columns")?;
        let mut items = Vec::new();
        loop {
            items.push(self.spine_item()?);
            if self.eat_symbol(Symbol::Comma).is_none() {
                break;
            }
        }
        self.after_select_item(&["FROM", "WITHIN"])?;
        self.expect_word("FROM", " and a source")?;
        let from = self.relation()?;
        if self.is_word("JOIN") || self.is_word("ASOF") || self.is_symbol(Symbol::Comma) {
            return Err(Box::new(
                Diagnostic::error("a spine reads one source", self.span()).with_hint(
                    "look values up in a feature view, and let the service add them to the rows",
                ),
            ));
        }
        let filter = match self.eat_word("WHERE") {
            Some(_) => Some(self.expr()?),
            None => None,
        };
        self.query_end(true)?;
        Ok(SpineQuery {
            items,
            from,
            filter,
            span: self.since(start),
        })
    }

    fn spine_item(&mut self) -> Parsed<SpineItem> {
        // A column may be called `label`: only a feature and `FROM` behind it make a label.
        let is_label = self.is_word("LABEL")
            && self.is_name_at(1)
            && !self.is_word_at(1, "FROM")
            && self.is_word_at(2, "FROM");
        if is_label {
            return self.label().map(SpineItem::Label);
        }
        self.select_item().map(SpineItem::Column)
    }

    /// `LABEL x FROM v [FOR (columns)] WITHIN ... [AS alias]`
    pub(super) fn label(&mut self) -> Parsed<Label> {
        let start = self.expect_word("LABEL", "")?;
        let feature = self.ident("a feature")?;
        self.expect_word("FROM", " and a view")?;
        let view = self.name("the name of a view")?;
        let version = self.version()?;
        let keys = match self.eat_word("FOR") {
            Some(_) => Some(self.column_list("a column of the spine")?),
            None => None,
        };
        if self.eat_word("WITHIN").is_none() {
            let mut diagnostic = self.unexpected_word("`WITHIN` and a length of time", &["WITHIN"]);
            if diagnostic.hint.is_none() {
                diagnostic.hint =
                    Some("say how far forward to look: `WITHIN INTERVAL '1' DAY`".to_owned());
            }
            return Err(diagnostic);
        }
        let within = self.length_of_time()?;
        let alias = match self.eat_word("AS") {
            Some(_) => Some(self.name("a name for the label")?),
            None => None,
        };
        Ok(Label {
            feature,
            view,
            version,
            keys,
            within,
            alias,
            span: self.since(start),
        })
    }
}
