//! `CREATE FUNCTION`.

use super::{Parsed, Parser};
use crate::ast::{CreateFunction, FrozenClauses, FunctionClauses, Metadata, Span, StringLit, Tag};
use crate::lexer::Symbol;

/// Words that clauses of a function start with.
const CLAUSE_WORDS: [&str; 10] = [
    "VECTORIZED",
    "CALLED",
    "TIMEOUT",
    "MEMORY",
    "ALLOW",
    "COMMENT",
    "OWNER",
    "TAGS",
    "AS",
    "RETURNS",
];

impl Parser<'_> {
    /// Behind `CREATE FUNCTION`.
    pub(super) fn create_function(&mut self) -> Parsed<CreateFunction> {
        let name = self.name("the name of the function")?;
        let parameters = self.request_columns("a parameter", "the parameters")?;
        self.expect_word("RETURNS", " and the type of the result")?;
        let result = self.type_name("the result")?;
        self.expect_word("LANGUAGE", " and `PYTHON`")?;
        if self.eat_word("PYTHON").is_none() {
            return Err(self.unexpected_word("`PYTHON`: there is no other language", &["PYTHON"]));
        }
        let mut clauses = FunctionClauses::default();
        let mut metadata = Metadata::default();
        while self.metadata_clause(&mut metadata)? || self.function_clause(&mut clauses)? {}
        if self.eat_word("AS").is_none() {
            let expected = "`AS` and a place such as `'functions.py:area'`";
            return Err(self.unexpected_word(expected, &CLAUSE_WORDS));
        }
        let place = self.string("a place such as `'functions.py:area'`")?;
        let frozen = self.frozen()?;
        Ok(CreateFunction {
            name,
            parameters,
            result,
            clauses,
            place,
            frozen,
            metadata,
        })
    }

    /// One clause; false if none comes next.
    fn function_clause(&mut self, clauses: &mut FunctionClauses) -> Parsed<bool> {
        let start = self.span();
        if self.eat_word("VECTORIZED").is_some() {
            self.set(&mut clauses.vectorized, start, start, "VECTORIZED");
        } else if self.eat_words(&["CALLED", "ON", "NULL", "INPUT"]).is_some() {
            let words = self.since(start);
            self.set(
                &mut clauses.called_on_null,
                words,
                words,
                "CALLED ON NULL INPUT",
            );
        } else if self
            .eat_words(&["RETURNS", "NULL", "ON", "NULL", "INPUT"])
            .is_some()
        {
            // It is so without these words.
        } else if self.eat_word("TIMEOUT").is_some() {
            let length = self.interval_literal()?;
            self.set(&mut clauses.timeout, length, start, "TIMEOUT");
        } else if self.eat_word("MEMORY").is_some() {
            let size = self.string("a size such as `'512 MB'`")?;
            self.set(&mut clauses.memory, size, start, "MEMORY");
        } else if self.eat_word("ALLOW").is_some() {
            let (slot, clause): (&mut Option<Span>, _) = if self.eat_word("NETWORK").is_some() {
                (&mut clauses.network, "ALLOW NETWORK")
            } else if self.eat_word("FILES").is_some() {
                (&mut clauses.files, "ALLOW FILES")
            } else {
                return Err(self.unexpected_word("`NETWORK` or `FILES`", &["NETWORK", "FILES"]));
            };
            let words = self.since(start);
            self.set(slot, words, words, clause);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// `SOURCE (...) LOCK (...) CLASS '...'`
    fn frozen(&mut self) -> Parsed<Option<FrozenClauses>> {
        let start = self.span();
        if self.eat_word("SOURCE").is_none() {
            return Ok(None);
        }
        if self.eat_word("RECORDED").is_some() {
            let span = self.since(start);
            return Ok(Some(FrozenClauses::recorded(span)));
        }
        let source = self.texts("the path of a module")?;
        self.expect_word("LOCK", " and the versions")?;
        let lock = self.texts("the name of a package")?;
        self.expect_word("CLASS", " and what was found")?;
        let class: StringLit = self.string("a class")?;
        Ok(Some(FrozenClauses {
            is_recorded: false,
            source,
            lock,
            class,
            span: self.since(start),
        }))
    }

    /// `('name' = 'text', ...)`
    fn texts(&mut self, what: &str) -> Parsed<Vec<Tag>> {
        let (texts, _) = self.parenthesised(what, |parser| {
            let key = parser.string(what)?;
            parser.expect_symbol(Symbol::Equal, " and its text")?;
            let value = parser.string("its text")?;
            Ok(Tag { key, value })
        })?;
        Ok(texts)
    }
}
