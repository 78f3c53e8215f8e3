//! The syntax tree of Evenkeel's SQL: what was written, and where.
//!
//! Every node carries the exact byte range it was read from. The tree says nothing about
//! meaning: names are unresolved, expressions untyped, and much that parses is refused when
//! it is bound. Short forms are written out by the parser (`LAST 3 HOURS` is a `RANGE`
//! frame, `WATERMARK FOR` an event time with its lateness, `x::T` a cast), so there is one
//! node for one meaning. Invariant: printing a tree and parsing the text again gives the same
//! tree but for the spans.

mod batch;
mod dataset;
mod expr;
mod function;
mod model;
mod pushed;
mod query;
mod segment;
mod statement;

use std::fmt;

use evenkeel_types::{DataType, Interval};

pub use batch::CreateBatchView;
pub use dataset::{
    CreateTrainingDataset, DatasetFormat, DatasetFormatKind, DatasetKnowledge, DatasetSpine,
    Impute, Shape, SharePart, Split, TimePart, Transform,
};
pub use expr::{
    BinaryOperator, CaseBranch, Expr, ExprKind, FunctionArgs, FunctionCall, IsTest, Literal,
    NullTreatment, NullTreatmentKind, UnaryOperator,
};
pub use function::{CreateFunction, FrozenClauses, FunctionClauses};
pub use model::CreateModel;
pub use pushed::CreatePushedView;
pub use query::{
    After, Bound, BoundKind, BoundOffset, Exclude, ExcludeKind, FrameSpec, FrameUnit, FrameWindow,
    GroupBy, Join, JoinConstraint, JoinKind, Label, NamedWindow, OrderItem, Query, Relation,
    RelationSource, SelectItem, SpineItem, SpineQuery, WatermarkWait, WindowRef, WindowSpec,
};
pub use segment::CreateSegment;
pub use statement::{
    Alter, ColumnChange, ColumnDef, Constraint, ConstraintKind, CreateEntity, CreateFeatureService,
    CreateFeatureView, CreateOnDemandView, CreateSource, Drop, EntityRef, EventTimeClause,
    FeatureDef, FeatureSelection, Metadata, ObjectKind, OnLate, OnLateKind, OptionValue, Planned,
    PlannedKind, RequestColumn, Retain, ServiceFeature, ServiceItem, SourceBody, SourceClauses,
    SourceKind, Statement, StatementKind, Tag, WithOption,
};

/// A byte range of the text: `start` is in it, `end` is not. Both lie on character
/// boundaries. An empty span marks the place between two characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// From the first byte to the one after the last.
    pub const fn new(start: usize, end: usize) -> Self {
        Span { start, end }
    }

    /// The smallest span that holds both.
    pub fn to(self, other: Span) -> Self {
        Span {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// The empty span just behind this one: where something missing should have been.
    pub fn after(self) -> Self {
        Span {
            start: self.end,
            end: self.end,
        }
    }

    /// The text it covers; empty if `source` is not the text it was read from.
    pub fn text(self, source: &str) -> &str {
        source.get(self.start..self.end).unwrap_or("")
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}..{}", self.start, self.end)
    }
}

/// A name. Written without quotes it is folded to lower case (ASCII); in double quotes it
/// keeps its case and may hold any character.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    /// The name, folded.
    pub value: String,
    /// Whether it is printed in double quotes: it was written so, or reads like a keyword
    /// where it stands.
    pub quoted: bool,
    /// Where, quotes included.
    pub span: Span,
}

impl Ident {
    /// A name for a tree that is built rather than parsed: quoted when it has to be.
    pub fn named(value: impl Into<String>) -> Self {
        let value = value.into();
        let quoted = !crate::keyword::is_plain_identifier(&value);
        Ident {
            value,
            quoted,
            span: Span::default(),
        }
    }

    /// Whether it was written without quotes as this keyword (in any case).
    pub fn is_word(&self, word: &str) -> bool {
        !self.quoted && self.value.eq_ignore_ascii_case(word)
    }
}

impl fmt::Display for Ident {
    /// As it is written in SQL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.quoted {
            write!(f, "\"{}\"", self.value.replace('"', "\"\""))
        } else {
            f.write_str(&self.value)
        }
    }
}

/// Names in parentheses: `(a, b)`, at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnList {
    /// The names, as written.
    pub columns: Vec<Ident>,
    /// Parentheses included.
    pub span: Span,
}

/// A string in single quotes.
#[derive(Clone, Debug, PartialEq)]
pub struct StringLit {
    /// The text, escapes resolved.
    pub value: String,
    /// Quotes included.
    pub span: Span,
}

/// A whole number that is not negative: a version, a count of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberLit {
    /// The number.
    pub value: u64,
    /// Its digits.
    pub span: Span,
}

/// A constant length of time, in any of its spellings (`INTERVAL '3' HOUR`, `24 HOURS`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntervalLit {
    /// Months and microseconds.
    pub value: Interval,
    /// The keyword `INTERVAL` included, where it was written.
    pub span: Span,
}

/// A type, as written.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeName {
    /// The type. Whether a column may have it is the binder's to say.
    pub data_type: DataType,
    /// The whole type.
    pub span: Span,
}
