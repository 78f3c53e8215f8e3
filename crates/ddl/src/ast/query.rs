//! Queries, windows and spines.

use evenkeel_types::CalendarUnit;

use super::{ColumnList, Expr, Ident, IntervalLit, NumberLit, Span, StringLit};

/// `SELECT ... [FROM ...] [joins] [WHERE ...] [GROUP BY ...] [WINDOW ...]`
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What is selected; at least one item.
    pub select: Vec<SelectItem>,
    /// The first relation; an on-demand view over request columns alone has none.
    pub from: Option<Relation>,
    /// What is joined to it, in order. None without `from`.
    pub joins: Vec<Join>,
    /// `WHERE`
    pub filter: Option<Expr>,
    /// `GROUP BY`
    pub group_by: Option<GroupBy>,
    /// `WINDOW name AS (...), ...`
    pub windows: Vec<NamedWindow>,
    /// `EMIT WHEN expr`, of a derived stream alone: which rows are emitted.
    pub emit_when: Option<Expr>,
    /// `AFTER ...`, of a derived stream alone.
    pub after: Option<After>,
    /// The whole query, without parentheses around it.
    pub span: Span,
}

/// `AFTER INTERVAL ... [WITHOUT x ON ... [WAIT FOR WATERMARK ...]]...`
#[derive(Clone, Debug, PartialEq)]
pub struct After {
    /// How much later than its event a row is.
    pub length: IntervalLit,
    /// What must not have come until then, each as an as-of join.
    pub without: Vec<Join>,
    /// All of it.
    pub span: Span,
}

/// One item of a `SELECT` list.
#[derive(Clone, Debug, PartialEq)]
pub enum SelectItem {
    /// `expr [AS alias]`
    Expr {
        /// What is computed.
        expr: Expr,
        /// Its name, where given.
        alias: Option<Ident>,
    },
    /// `*`
    Wildcard(Span),
    /// `alias.*`
    QualifiedWildcard {
        /// Whose columns.
        qualifier: Ident,
        /// Qualifier, point and star.
        span: Span,
    },
}

impl SelectItem {
    /// The whole item.
    pub fn span(&self) -> Span {
        match self {
            SelectItem::Expr { expr, alias } => match alias {
                Some(alias) => expr.span.to(alias.span),
                None => expr.span,
            },
            SelectItem::Wildcard(span) | SelectItem::QualifiedWildcard { span, .. } => *span,
        }
    }
}

/// A source, a view or a query in parentheses, with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Relation {
    /// Where the rows come from.
    pub source: RelationSource,
    /// `x alias` or `x AS alias`
    pub alias: Option<Ident>,
    /// `x WHERE (expr)` on the right of an as-of join: which of its rows may match.
    pub filter: Option<Expr>,
    /// All of it.
    pub span: Span,
}

/// Where the rows of a [`Relation`] come from.
#[derive(Clone, Debug, PartialEq)]
pub enum RelationSource {
    /// A source or a view.
    Named {
        /// Its name.
        name: Ident,
        /// `name@2`: a version of a view.
        version: Option<NumberLit>,
    },
    /// `(SELECT ...)`
    Subquery(Box<Query>),
}

/// What joins a relation to the ones before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Which join.
    pub kind: JoinKind,
    /// Its keywords (`ASOF JOIN`), or the comma.
    pub kind_span: Span,
    /// What is joined.
    pub relation: Relation,
    /// `MATCH_CONDITION (expr)`
    pub match_condition: Option<Expr>,
    /// `ON` or `USING`; always present for the as-of kinds.
    pub constraint: Option<JoinConstraint>,
    /// `WAIT FOR WATERMARK`, of a derived stream alone.
    pub wait: Option<WatermarkWait>,
    /// All of it.
    pub span: Span,
}

/// `WAIT FOR WATERMARK [TIMEOUT INTERVAL ...]`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WatermarkWait {
    /// For how long.
    pub timeout: Option<IntervalLit>,
    /// All of it.
    pub span: Span,
}

/// Which join. Only the as-of kinds mean something in feature views; the others parse, so
/// that they can be refused with what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// `ASOF JOIN`, `LEFT ASOF JOIN`, `ASOF LEFT JOIN`
    AsOf,
    /// `ASOF FULL JOIN`, `FULL ASOF JOIN`
    AsOfFull,
    /// `JOIN`, `INNER JOIN`
    Inner,
    /// `LEFT [OUTER] JOIN`
    Left,
    /// `RIGHT [OUTER] JOIN`
    Right,
    /// `FULL [OUTER] JOIN`
    Full,
    /// `CROSS JOIN`
    Cross,
    /// `a, b`
    Comma,
}

/// Which rows of a [`Join`] belong together.
#[derive(Clone, Debug, PartialEq)]
pub enum JoinConstraint {
    /// `ON expr`
    On(Expr),
    /// `USING (columns)`
    Using(ColumnList),
}

/// `GROUP BY a, b`
#[derive(Clone, Debug, PartialEq)]
pub struct GroupBy {
    /// What to group by; at least one.
    pub exprs: Vec<Expr>,
    /// With the keywords.
    pub span: Span,
}

/// `name AS (spec)` in a `WINDOW` clause.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedWindow {
    /// Its name.
    pub name: Ident,
    /// What it is.
    pub spec: WindowSpec,
    /// Both.
    pub span: Span,
}

/// What stands after `OVER`.
#[derive(Clone, Debug, PartialEq)]
pub enum WindowRef {
    /// `OVER name`
    Named(Ident),
    /// `OVER (spec)`
    Spec(Box<WindowSpec>),
}

impl WindowRef {
    /// The name, or the parentheses with what is in them.
    pub fn span(&self) -> Span {
        match self {
            WindowRef::Named(name) => name.span,
            WindowRef::Spec(spec) => spec.span,
        }
    }
}

/// A window in parentheses; every part is optional.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowSpec {
    /// An existing window whose parts hold where this one has none.
    pub base: Option<Ident>,
    /// `PARTITION BY`; empty if absent.
    pub partition_by: Vec<Expr>,
    /// `ORDER BY`; empty if absent.
    pub order_by: Vec<OrderItem>,
    /// The frame.
    pub frame: Option<FrameSpec>,
    /// Parentheses included.
    pub span: Span,
}

/// An expression to order by.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderItem {
    /// By what.
    pub expr: Expr,
    /// `DESC`.
    pub descending: bool,
    /// `NULLS FIRST` (true) or `NULLS LAST` (false), where given.
    pub nulls_first: Option<bool>,
    /// All of it.
    pub span: Span,
}

/// Which events of its key a window holds. At least one of `window`, `exclude` and `hop` is
/// given; a part that is not comes from the base window or the default.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameSpec {
    /// The frame before the exclusion. `LAST 3 HOURS` is
    /// `RANGE BETWEEN INTERVAL '3' HOUR PRECEDING AND CURRENT ROW`, `LAST 10 ROWS` is
    /// `ROWS BETWEEN 9 PRECEDING AND CURRENT ROW`, `SINCE START OF DAY` is
    /// `RANGE BETWEEN START OF DAY AND CURRENT ROW`, `ALL HISTORY` is
    /// `RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW`.
    pub window: Option<FrameWindow>,
    /// `EXCLUDE ...`; `BEFORE` after a short form is `EXCLUDE GROUP`.
    pub exclude: Option<Exclude>,
    /// `HOP INTERVAL ...`, `HOP 5 MINUTES`
    pub hop: Option<IntervalLit>,
    /// All of it.
    pub span: Span,
}

/// The extent of a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum FrameWindow {
    /// `RANGE BETWEEN start AND end`; `end` is `CURRENT ROW` where it was left out.
    Between {
        /// `RANGE`, `ROWS` or `GROUPS`.
        unit: FrameUnit,
        /// Where it starts.
        start: Bound,
        /// Where it ends.
        end: Bound,
    },
    /// `SESSION GAP INTERVAL ...`
    Session {
        /// The longest gap within a session.
        gap: IntervalLit,
    },
}

/// What a frame counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUnit {
    /// Time.
    Range,
    /// Events.
    Rows,
    /// Groups of events at one time; parsed to be refused.
    Groups,
}

/// One end of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Where it is.
    pub kind: BoundKind,
    /// Where it is written; empty where it was left out.
    pub span: Span,
}

/// Where a [`Bound`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum BoundKind {
    /// `UNBOUNDED PRECEDING`
    UnboundedPreceding,
    /// `INTERVAL ... PRECEDING`, `n PRECEDING`
    Preceding(BoundOffset),
    /// `CURRENT ROW`
    CurrentRow,
    /// `START OF DAY [IN 'zone']`
    StartOf {
        /// The calendar period.
        unit: CalendarUnit,
        /// Its zone; UTC if absent.
        zone: Option<StringLit>,
    },
    /// `INTERVAL ... FOLLOWING`, `n FOLLOWING`
    Following(BoundOffset),
    /// `UNBOUNDED FOLLOWING`
    UnboundedFollowing,
}

/// How far from the current row a [`Bound`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BoundOffset {
    /// A length of time.
    Interval(IntervalLit),
    /// A number (of rows).
    Number(NumberLit),
}

/// `EXCLUDE ...`
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exclude {
    /// What is left out.
    pub kind: ExcludeKind,
    /// `EXCLUDE GROUP`, or the word `BEFORE`.
    pub span: Span,
}

/// What a frame leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExcludeKind {
    /// `EXCLUDE GROUP`, `BEFORE`: every event at exactly the read time.
    Group,
    /// `EXCLUDE CURRENT ROW`; parsed to be refused.
    CurrentRow,
    /// `EXCLUDE TIES`; parsed to be refused.
    Ties,
    /// `EXCLUDE NO OTHERS`: nothing.
    NoOthers,
}

/// The query that a training set is made from: rows of keys and times, and labels.
#[derive(Clone, Debug, PartialEq)]
pub struct SpineQuery {
    /// Columns and labels, in the order of the output; at least one.
    pub items: Vec<SpineItem>,
    /// Where the rows come from.
    pub from: Relation,
    /// `WHERE`
    pub filter: Option<Expr>,
    /// All of it.
    pub span: Span,
}

/// One item of a spine.
#[derive(Clone, Debug, PartialEq)]
pub enum SpineItem {
    /// A column of the source, kept as it is.
    Column(SelectItem),
    /// A feature read forward.
    Label(Label),
}

/// `LABEL x FROM v [FOR (columns)] WITHIN INTERVAL ... [AS alias]`
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The feature.
    pub feature: Ident,
    /// Its view.
    pub view: Ident,
    /// `view@2`
    pub version: Option<NumberLit>,
    /// The spine's columns that hold the view's keys, where they have other names.
    pub keys: Option<ColumnList>,
    /// How far forward it is read.
    pub within: IntervalLit,
    /// Its name in the output.
    pub alias: Option<Ident>,
    /// All of it.
    pub span: Span,
}
