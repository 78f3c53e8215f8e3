//! `CREATE FEATURE SERVICE`.

use super::{Parsed, Parser};
use crate::ast::{CreateFeatureService, FeatureSelection, Metadata, ServiceFeature, ServiceItem};
use crate::lexer::{Symbol, TokenKind};

impl Parser<'_> {
    /// Behind `CREATE FEATURE SERVICE`.
    pub(super) fn service(&mut self) -> Parsed<CreateFeatureService> {
        let name = self.name("the name of the service")?;
        let mut metadata = Metadata::default();
        let mut version = None;
        loop {
            if self.metadata_clause(&mut metadata)? {
                continue;
            }
            match self.eat_word("VERSION") {
                Some(word) => {
                    let number = self.number("the number of the version")?;
                    self.set(&mut version, number, word, "VERSION");
                }
                None => break,
            }
        }
        self.expect_word("AS", " and the views of the service")?;
        if self.is_word("SELECT") {
            let mut diagnostic = self.unexpected("the name of a view");
            diagnostic.hint =
                Some("a service lists features: `AS view (a, b), other_view (*)`".to_owned());
            return Err(diagnostic);
        }
        let mut items = Vec::new();
        loop {
            items.push(self.service_item()?);
            if self.eat_symbol(Symbol::Comma).is_none() {
                break;
            }
        }
        while self.metadata_clause(&mut metadata)? {}
        Ok(CreateFeatureService {
            name,
            version,
            items,
            metadata,
        })
    }

    fn service_item(&mut self) -> Parsed<ServiceItem> {
        let start = self.span();
        let view = self.name("the name of a view")?;
        let version = self.version()?;
        let features = self.feature_selection(view.span.text(self.source))?;
        let keys = match self.eat_word("FOR") {
            Some(_) => Some(self.column_list("a column of the request")?),
            None => None,
        };
        let prefix = match self.eat_word("AS") {
            Some(_) => Some(self.name("a prefix for the features")?),
            None => None,
        };
        Ok(ServiceItem {
            view,
            version,
            features,
            keys,
            prefix,
            span: self.since(start),
        })
    }

    fn feature_selection(&mut self, view: &str) -> Parsed<FeatureSelection> {
        if !self.is_symbol(Symbol::LeftParen) {
            let mut diagnostic = self.unexpected("`(` and features, or `(*)`");
            if diagnostic.hint.is_none() && !matches!(self.kind(), TokenKind::Bad(_)) {
                diagnostic.hint = Some(format!("write `{view} (*)` for all of its features"));
            }
            return Err(diagnostic);
        }
        if self.is_symbol_at(1, Symbol::Star) {
            let open = self.bump().span;
            let star = self.bump().span;
            self.close(open, Symbol::RightParen, false)?;
            return Ok(FeatureSelection::All(star));
        }
        let (features, _) = self.parenthesised("a feature, or `*`", |parser| {
            let name = parser.ident("a feature")?;
            let alias = match parser.eat_word("AS") {
                Some(_) => Some(parser.name("a name for the feature")?),
                None => None,
            };
            Ok(ServiceFeature { name, alias })
        })?;
        Ok(FeatureSelection::List(features))
    }
}
