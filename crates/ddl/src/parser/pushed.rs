//! `CREATE PUSHED FEATURE VIEW`.

use super::{Parsed, Parser};
use crate::ast::{CreatePushedView, Metadata};

/// Words that clauses of a pushed view start with.
const CLAUSE_WORDS: [&str; 4] = ["ENTITY", "COMMENT", "OWNER", "TAGS"];

impl Parser<'_> {
    /// Behind `CREATE PUSHED FEATURE VIEW`.
    pub(super) fn pushed_view(&mut self) -> Parsed<CreatePushedView> {
        let name = self.name("the name of the view")?;
        let features = self.request_columns("a feature", "the features")?;
        let mut entity = None;
        let mut metadata = Metadata::default();
        loop {
            let start = self.span();
            if self.metadata_clause(&mut metadata)? {
                continue;
            }
            if self.eat_word("ENTITY").is_none() {
                break;
            }
            let found = self.entity_ref(start)?;
            self.set(&mut entity, found, start, "ENTITY");
        }
        let Some(entity) = entity else {
            let mut diagnostic =
                self.unexpected_word("`ENTITY` and the view's entity", &CLAUSE_WORDS);
            let hint = "say whose features these are, such as `ENTITY customer`";
            diagnostic.hint.get_or_insert_with(|| hint.to_owned());
            return Err(diagnostic);
        };
        Ok(CreatePushedView {
            name,
            features,
            entity,
            metadata,
        })
    }
}
