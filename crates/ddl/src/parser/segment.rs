//! `CREATE SEGMENT`.

use super::{Parsed, Parser};
use crate::ast::{CreateSegment, Metadata};

/// Words that may follow the name.
const CLAUSES: [&str; 4] = ["COMMENT", "OWNER", "TAGS", "AS"];

impl Parser<'_> {
    /// Behind `CREATE SEGMENT`.
    pub(super) fn segment(&mut self) -> Parsed<CreateSegment> {
        let name = self.name("the name of the segment")?;
        let mut metadata = Metadata::default();
        while self.metadata_clause(&mut metadata)? {}
        if self.eat_word("AS").is_none() {
            let mut diagnostic = self.unexpected_word("`AS` and a query", &CLAUSES);
            if self.is_word("SELECT") {
                diagnostic.hint = Some("write `AS` before `SELECT`".to_owned());
            }
            return Err(diagnostic);
        }
        let query = self.query()?;
        while self.metadata_clause(&mut metadata)? {}
        Ok(CreateSegment {
            name,
            query,
            metadata,
        })
    }
}
