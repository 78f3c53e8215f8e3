//! `CREATE TRAINING DATASET`.

use super::{Parsed, Parser};
use crate::ast::{
    CreateTrainingDataset, DatasetFormat, DatasetFormatKind, DatasetKnowledge, DatasetSpine,
    Impute, Metadata, NumberLit, Shape, SharePart, Span, Split, TimePart, Transform,
};
use crate::error::Diagnostic;
use crate::lexer::{Symbol, TokenKind};

/// Words that begin a clause.
const CLAUSES: [&str; 11] = [
    "VERSION",
    "FROM",
    "SPINE",
    "KNOWLEDGE",
    "LABEL",
    "TRANSFORM",
    "SPLIT",
    "FORMAT",
    "COMMENT",
    "OWNER",
    "TAGS",
];

const SHAPES: [&str; 5] = ["IMPUTE", "STANDARDIZE", "MIN", "ONE", "BUCKETIZE"];

const FORMATS: [(&str, DatasetFormatKind); 4] = [
    ("PARQUET", DatasetFormatKind::Parquet),
    ("ARROW", DatasetFormatKind::Arrow),
    ("CSV", DatasetFormatKind::Csv),
    ("TFRECORD", DatasetFormatKind::TfRecord),
];

impl Parser<'_> {
    /// Behind `CREATE TRAINING DATASET`.
    pub(super) fn training_dataset(&mut self) -> Parsed<CreateTrainingDataset> {
        let name = self.name("the name of the dataset")?;
        let mut version = None;
        let mut service = None;
        let mut spine = None;
        let mut knowledge = None;
        let mut labels = Vec::new();
        let mut transforms = None;
        let mut split = None;
        let mut formats = None;
        let mut metadata = Metadata::default();
        loop {
            if self.metadata_clause(&mut metadata)? {
                continue;
            }
            if let Some(word) = self.eat_word("VERSION") {
                let number = self.number("the number of the version")?;
                self.set(&mut version, number, word, "VERSION");
            } else if let Some(word) = self.eat_word("FROM") {
                self.expect_word("SERVICE", " and the service whose features the rows get")?;
                let name = self.name("the name of a service")?;
                let of = (name, self.version()?);
                self.set(&mut service, of, word, "FROM SERVICE");
            } else if let Some(word) = self.eat_word("SPINE") {
                let rows = self.dataset_spine()?;
                self.set(&mut spine, rows, word, "SPINE");
            } else if let Some(word) = self.eat_word("KNOWLEDGE") {
                let known = self.dataset_knowledge()?;
                self.set(&mut knowledge, known, word, "KNOWLEDGE");
            } else if self.is_word("LABEL") {
                labels.push(self.label()?);
            } else if let Some(word) = self.eat_word("TRANSFORM") {
                let (items, _) =
                    self.parenthesised("a feature and its transform", Self::transform)?;
                self.set(&mut transforms, items, word, "TRANSFORM");
            } else if let Some(word) = self.eat_word("SPLIT") {
                let parts = self.split()?;
                self.set(&mut split, parts, word, "SPLIT");
            } else if let Some(word) = self.eat_word("FORMAT") {
                let list = self.dataset_formats()?;
                self.set(&mut formats, list, word, "FORMAT");
            } else {
                break;
            }
        }
        let missing = |parser: &Self, what: &str, hint: &str| {
            let mut diagnostic = parser.unexpected_word(what, &CLAUSES);
            diagnostic.hint.get_or_insert_with(|| hint.to_owned());
            diagnostic
        };
        let Some((service, service_version)) = service else {
            return Err(missing(
                self,
                "`FROM SERVICE` and a service",
                "say whose features the rows get: `FROM SERVICE name`",
            ));
        };
        let Some(spine) = spine else {
            return Err(missing(
                self,
                "`SPINE` and the rows",
                "say which rows: `SPINE 'file.parquet'` or `SPINE (SELECT ... FROM source)`",
            ));
        };
        Ok(CreateTrainingDataset {
            name,
            version,
            service,
            service_version,
            spine,
            knowledge,
            labels,
            transforms: transforms.unwrap_or_default(),
            split,
            formats: formats.unwrap_or_default(),
            metadata,
        })
    }

    /// Behind `SPINE`.
    fn dataset_spine(&mut self) -> Parsed<DatasetSpine> {
        if self.is_symbol(Symbol::LeftParen) {
            let open = self.bump().span;
            let query = self.spine_query()?;
            self.close(open, Symbol::RightParen, false)?;
            return Ok(DatasetSpine::Query(Box::new(query)));
        }
        if self.is_word("SELECT") {
            let mut diagnostic = self.unexpected("`(` before the query");
            diagnostic.hint = Some("put it in parentheses: `SPINE (SELECT ...)`".to_owned());
            return Err(diagnostic);
        }
        let path = self.string("a file's path, or a query in parentheses")?;
        let mut time = None;
        let mut known_at = None;
        loop {
            if let Some(word) = self.eat_word("TIME") {
                let column = self.ident("the spine's column of times")?;
                self.set(&mut time, column, word, "TIME");
            } else if let Some(words) = self.eat_words(&["KNOWN", "AT"]) {
                let column = self.ident("the spine's column of known-at times")?;
                self.set(&mut known_at, column, words, "KNOWN AT");
            } else {
                break;
            }
        }
        Ok(DatasetSpine::File {
            path,
            time,
            known_at,
        })
    }

    fn dataset_knowledge(&mut self) -> Parsed<DatasetKnowledge> {
        if self.eat_word("LATEST").is_some() {
            return Ok(DatasetKnowledge::Latest);
        }
        if self.eat_words(&["AS", "SERVED"]).is_some() {
            return Ok(DatasetKnowledge::AsServed);
        }
        Err(self.unexpected_word("`LATEST` or `AS SERVED`", &["LATEST", "AS SERVED"]))
    }

    /// `feature [IMPUTE ...] [shape]`
    fn transform(&mut self) -> Parsed<Transform> {
        let feature = self.ident("a feature of the service")?;
        let impute = match self.eat_word("IMPUTE") {
            None => None,
            Some(_) => Some(match self.eat_word("MEAN") {
                Some(span) => Impute::Mean(span),
                None => Impute::Constant(self.expr()?),
            }),
        };
        let shape = self.shape()?;
        if impute.is_none() && shape.is_none() {
            let expected = "`IMPUTE`, `STANDARDIZE`, `MIN MAX`, `ONE HOT` or `BUCKETIZE`";
            return Err(self.unexpected_word(expected, &SHAPES));
        }
        Ok(Transform {
            span: self.since(feature.span),
            feature,
            impute,
            shape,
        })
    }

    fn shape(&mut self) -> Parsed<Option<Shape>> {
        let start = self.span();
        if let Some(span) = self.eat_word("STANDARDIZE") {
            return Ok(Some(Shape::Standardize(span)));
        }
        if let Some(span) = self.eat_words(&["MIN", "MAX"]) {
            return Ok(Some(Shape::MinMax(span)));
        }
        if self.eat_words(&["ONE", "HOT"]).is_some() {
            let limit = match self.eat_word("LIMIT") {
                Some(_) => Some(self.number("how many values get a column")?),
                None => None,
            };
            let span = self.since(start);
            return Ok(Some(Shape::OneHot { limit, span }));
        }
        if self.eat_word("BUCKETIZE").is_some() {
            let (bounds, _) = self.parenthesised("a bound, such as `100`", Self::expr)?;
            let span = self.since(start);
            return Ok(Some(Shape::Bucketize { bounds, span }));
        }
        Ok(None)
    }

    /// Behind `SPLIT`.
    fn split(&mut self) -> Parsed<Split> {
        if self.eat_words(&["BY", "TIME"]).is_some() {
            let what = "a part, such as `train BEFORE '2026-01-01'`";
            let (parts, _) = self.parenthesised(what, |parser| {
                let name = parser.ident(what)?;
                let before = match parser.eat_word("BEFORE") {
                    None => None,
                    Some(_) => {
                        parser.eat_word("TIMESTAMP");
                        Some(parser.string("the first time that is not in the part")?)
                    }
                };
                Ok(TimePart { name, before })
            })?;
            return Ok(Split::Time(parts));
        }
        if let Some(span) = self.eat_words(&["BY", "ENTITY", "HASH"]) {
            let columns = match self.eat_word("OF") {
                Some(_) => Some(self.column_list("a column of the spine")?),
                None => None,
            };
            let (parts, seed) = self.shares()?;
            return Ok(Split::EntityHash {
                columns,
                parts,
                seed,
                span,
            });
        }
        if self.eat_word("RANDOM").is_some() {
            let (parts, seed) = self.shares()?;
            return Ok(Split::Random { parts, seed });
        }
        let mut diagnostic = self.unexpected_word(
            "`BY TIME`, `BY ENTITY HASH` or `RANDOM`",
            &["BY TIME", "BY ENTITY HASH", "RANDOM"],
        );
        if diagnostic.hint.is_none() && !matches!(self.kind(), TokenKind::Bad(_)) {
            diagnostic.hint =
                Some("such as `SPLIT BY TIME (train BEFORE '2026-01-01', test)`".to_owned());
        }
        Err(diagnostic)
    }

    /// `(name share, name share [SEED n])`
    fn shares(&mut self) -> Parsed<(Vec<SharePart>, Option<NumberLit>)> {
        let mut seed: Option<(NumberLit, Span)> = None;
        let what = "a part, such as `train 80`";
        let (parts, _) = self.parenthesised(what, |parser| {
            if let Some((_, word)) = seed {
                return Err(Box::new(
                    Diagnostic::error("`SEED` comes last", word)
                        .with_hint("put it behind the last part: `(train 80, test 20 SEED 7)`"),
                ));
            }
            let name = parser.ident(what)?;
            let share = parser.number("the part's share, such as `80`")?;
            if let Some(word) = parser.eat_word("SEED") {
                seed = Some((parser.number("a number to begin with")?, word));
            }
            Ok(SharePart { name, share })
        })?;
        Ok((parts, seed.map(|(number, _)| number)))
    }

    fn dataset_formats(&mut self) -> Parsed<Vec<DatasetFormat>> {
        let mut formats = Vec::new();
        loop {
            let known = FORMATS.iter().find(|(word, _)| self.is_word(word));
            let Some((_, kind)) = known else {
                let words = FORMATS.map(|(word, _)| word);
                let expected = "`PARQUET`, `ARROW`, `CSV` or `TFRECORD`";
                return Err(self.unexpected_word(expected, &words));
            };
            formats.push(DatasetFormat {
                kind: *kind,
                span: self.bump().span,
            });
            if self.eat_symbol(Symbol::Comma).is_none() {
                return Ok(formats);
            }
        }
    }
}
