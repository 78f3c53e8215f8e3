//! Expressions.

use super::{Ident, IntervalLit, OrderItem, Span, TypeName, WindowRef};

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where; parentheses around it included.
    pub span: Span,
}

/// What an [`Expr`] is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// `a`, `a.b`, `a.b.c`: a column, a column of a relation, or a field of a struct; at
    /// least one part. Which of them is the binder's to say.
    Name(Vec<Ident>),
    /// `-x`, `+x`, `NOT x`
    Unary {
        /// The operator.
        operator: UnaryOperator,
        /// Its input.
        operand: Box<Expr>,
    },
    /// `a + b`, `a AND b`, `a = b`
    Binary {
        /// The operator.
        operator: BinaryOperator,
        /// Where the operator is written.
        operator_span: Span,
        /// Its left input.
        left: Box<Expr>,
        /// Its right input.
        right: Box<Expr>,
    },
    /// `x IS [NOT] NULL`, `TRUE`, `FALSE`
    Is {
        /// What is tested.
        operand: Box<Expr>,
        /// For what.
        test: IsTest,
        /// `IS NOT`.
        negated: bool,
    },
    /// `a IS [NOT] DISTINCT FROM b`
    IsDistinctFrom {
        /// The left side.
        left: Box<Expr>,
        /// The right side.
        right: Box<Expr>,
        /// `IS NOT DISTINCT FROM`.
        negated: bool,
    },
    /// `x [NOT] IN (a, b)`; at least one item.
    InList {
        /// What is looked for.
        operand: Box<Expr>,
        /// Where.
        list: Vec<Expr>,
        /// `NOT IN`.
        negated: bool,
    },
    /// `x [NOT] BETWEEN a AND b`, both ends included.
    Between {
        /// What is tested.
        operand: Box<Expr>,
        /// The lower end.
        low: Box<Expr>,
        /// The upper end.
        high: Box<Expr>,
        /// `NOT BETWEEN`.
        negated: bool,
    },
    /// `x [NOT] LIKE p [ESCAPE e]`, `ILIKE`
    Like {
        /// The text.
        operand: Box<Expr>,
        /// The pattern.
        pattern: Box<Expr>,
        /// The escape character.
        escape: Option<Box<Expr>>,
        /// `NOT LIKE`.
        negated: bool,
        /// `ILIKE`.
        case_insensitive: bool,
    },
    /// `CASE [x] WHEN c THEN r ... [ELSE e] END`; at least one branch.
    Case {
        /// What the simple form compares with.
        operand: Option<Box<Expr>>,
        /// `WHEN ... THEN ...`
        branches: Vec<CaseBranch>,
        /// `ELSE`.
        otherwise: Option<Box<Expr>>,
    },
    /// `CAST(x AS T)`, `x::T`, `TRY_CAST(x AS T)`
    Cast {
        /// What is converted.
        operand: Box<Expr>,
        /// To what.
        target: TypeName,
        /// `TRY_CAST`: NULL where the conversion fails.
        is_try: bool,
    },
    /// A function or an aggregate. `POSITION(a IN b)` is `position(a, b)`,
    /// `SUBSTRING(x FROM a FOR b)` is `substring(x, a, b)`; `TRIM(BOTH c FROM x)` is
    /// `trim(x, c)`, with `LEADING` `ltrim`, with `TRAILING` `rtrim`.
    Call(Box<FunctionCall>),
    /// `EXTRACT(part FROM x)`
    Extract {
        /// `hour`, `dow`, ...
        part: Ident,
        /// The time.
        operand: Box<Expr>,
    },
    /// `x AT TIME ZONE zone`
    AtTimeZone {
        /// The time.
        operand: Box<Expr>,
        /// The zone.
        zone: Box<Expr>,
    },
    /// `[a, b]` or `ARRAY[a, b]`; may be empty.
    Array(Vec<Expr>),
    /// `x[i]`
    Index {
        /// The array.
        operand: Box<Expr>,
        /// The index.
        index: Box<Expr>,
    },
    /// `x[i].name`, `f(x).name`: a field of anything but a plain name.
    Field {
        /// The struct.
        operand: Box<Expr>,
        /// Its field.
        field: Ident,
    },
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `NULL`
    Null,
    /// `TRUE`, `FALSE`
    Boolean(bool),
    /// Digits alone. A sign before them is an operator, so this is never negative; except as
    /// the value of an option.
    Integer(i128),
    /// A number with a point or an exponent; finite.
    Double(f64),
    /// `'text'`, `E'text\n'`
    String(String),
    /// `X'00ff'`
    Bytes(Vec<u8>),
    /// `DATE '2026-01-31'`: days since the epoch.
    Date(i32),
    /// `TIMESTAMP '2026-01-31 12:00:00'`: microseconds since the epoch, UTC.
    Timestamp(i64),
    /// `INTERVAL '3' HOUR`
    Interval(IntervalLit),
}

/// An operator before its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    /// `-x`
    Minus,
    /// `+x`
    Plus,
    /// `NOT x`
    Not,
}

/// An operator between its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `OR`
    Or,
    /// `AND`
    And,
    /// `=`
    Equal,
    /// `<>`, `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `||`
    Concat,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `//`: division of integers, rounded towards zero
    IntegerDivide,
    /// `%`
    Modulo,
}

/// What `IS` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsTest {
    /// `IS NULL`
    Null,
    /// `IS TRUE`
    True,
    /// `IS FALSE`
    False,
    /// `IS UNKNOWN`: a truth value that is NULL
    Unknown,
}

/// `WHEN condition THEN result`
#[derive(Clone, Debug, PartialEq)]
pub struct CaseBranch {
    /// The condition, or in the simple form the value to compare with.
    pub condition: Expr,
    /// The result.
    pub result: Expr,
}

/// `name([DISTINCT] args [ORDER BY ...] [IGNORE NULLS]) [WITHIN GROUP (...)] [FILTER (...)]
/// [IGNORE NULLS] [OVER ...]`
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCall {
    /// The function's name, lower case.
    pub name: Ident,
    /// `DISTINCT`, where written.
    pub distinct: Option<Span>,
    /// Its arguments.
    pub args: FunctionArgs,
    /// `ORDER BY` inside the parentheses.
    pub order_by: Vec<OrderItem>,
    /// `WITHIN GROUP (ORDER BY ...)`
    pub within_group: Vec<OrderItem>,
    /// `FILTER (WHERE ...)`
    pub filter: Option<Expr>,
    /// `IGNORE NULLS` or `RESPECT NULLS`, inside or behind the parentheses.
    pub null_treatment: Option<NullTreatment>,
    /// `OVER name`, `OVER (...)`
    pub over: Option<WindowRef>,
}

/// The arguments of a [`FunctionCall`].
#[derive(Clone, Debug, PartialEq)]
pub enum FunctionArgs {
    /// `(*)`; where the star is.
    Star(Span),
    /// `(a, b)`; may be empty.
    List(Vec<Expr>),
}

/// Whether NULLs among the inputs count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NullTreatment {
    /// Which.
    pub kind: NullTreatmentKind,
    /// Both words.
    pub span: Span,
}

/// What a [`NullTreatment`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullTreatmentKind {
    /// `IGNORE NULLS`
    Ignore,
    /// `RESPECT NULLS`
    Respect,
}
