//! Expressions: from the syntax tree to typed ones, over the names of a place.
//!
//! Types are the `expr` crate's business; this module finds names, knows which place allows
//! what, and puts each error at the argument that causes it.

use evenkeel_expr::{BuildError, Program, build};
use evenkeel_types::{DataType, Expr, ExprKind, Value};

use super::report::Report;
use super::scope::{Scope, with_hint};
use crate::ast::{self, BinaryOperator, FunctionCall, Ident, IsTest, Literal, Span, UnaryOperator};
use crate::error::Diagnostic;

/// What a place in a definition allows.
pub(super) trait Context {
    /// The names.
    fn scope(&self) -> &Scope;

    /// An aggregate.
    fn aggregate(&mut self, call: &FunctionCall, span: Span, report: &mut Report) -> Option<Expr>;

    /// `read_time()`.
    fn read_time(&mut self, span: Span, report: &mut Report) -> Option<Expr>;
}

/// A place without aggregates and without the read time.
pub(super) struct Plain<'a> {
    scope: &'a Scope,
    /// In words, for messages: `` `WHERE` ``, `a check`.
    place: &'a str,
    allows_read_time: bool,
    aggregate_hint: Option<&'a str>,
}

impl<'a> Plain<'a> {
    /// The place with its names.
    pub(super) fn new(scope: &'a Scope, place: &'a str) -> Self {
        Plain {
            scope,
            place,
            allows_read_time: false,
            aggregate_hint: None,
        }
    }

    /// The same with `read_time()`.
    pub(super) fn with_read_time(mut self) -> Self {
        self.allows_read_time = true;
        self
    }

    /// The same with what to write instead of an aggregate.
    pub(super) fn with_aggregate_hint(mut self, hint: &'a str) -> Self {
        self.aggregate_hint = Some(hint);
        self
    }
}

impl Context for Plain<'_> {
    fn scope(&self) -> &Scope {
        self.scope
    }

    fn aggregate(&mut self, call: &FunctionCall, span: Span, report: &mut Report) -> Option<Expr> {
        let message = format!(
            "the aggregate `{}` cannot be used in {}",
            call.name, self.place
        );
        match self.aggregate_hint {
            Some(hint) => report.hinted(message, span, hint),
            None => report.error(message, span),
        }
    }

    fn read_time(&mut self, span: Span, report: &mut Report) -> Option<Expr> {
        if self.allows_read_time {
            return Some(build::read_time());
        }
        report.hinted(
            format!("`read_time()` cannot be used in {}", self.place),
            span,
            "write `event_time` for the time of the event; the read time is for the columns of a view",
        )
    }
}

/// A typed expression.
pub(super) fn bind(
    expr: &ast::Expr,
    context: &mut dyn Context,
    report: &mut Report,
) -> Option<Expr> {
    Binding { context, report }.expr(expr)
}

/// A typed expression that is a BOOLEAN.
pub(super) fn bind_condition(
    expr: &ast::Expr,
    context: &mut dyn Context,
    report: &mut Report,
) -> Option<Expr> {
    let bound = bind(expr, context, report)?;
    if bound.may_fail() {
        // Of the rows that it leaves out one after the other would be asked for.
        return report.hinted(
            "a condition cannot call a function in Python",
            expr.span,
            "call it in a column of a derived stream, and compare that column",
        );
    }
    match bound.data_type {
        DataType::Boolean => Some(bound),
        DataType::Null => built(
            build::coerce(bound, &DataType::Boolean),
            expr.span,
            &[],
            report,
        ),
        other => report.hinted(
            format!("a condition must be BOOLEAN, not {other}"),
            expr.span,
            "compare it with something: `x > 0`",
        ),
    }
}

/// A typed expression, converted to a type by itself where nothing can be lost.
pub(super) fn bind_as(
    expr: &ast::Expr,
    data_type: &DataType,
    context: &mut dyn Context,
    report: &mut Report,
) -> Option<Expr> {
    let bound = bind(expr, context, report)?;
    built(build::coerce(bound, data_type), expr.span, &[], report)
}

/// The value of a constant expression; `what` it is, for messages. It cannot use columns.
pub(super) fn constant(
    expr: &ast::Expr,
    data_type: &DataType,
    what: &str,
    report: &mut Report,
) -> Option<Value> {
    let scope = Scope::default();
    let mut context = Plain::new(&scope, what);
    let bound = bind_as(expr, data_type, &mut context, report)?;
    let Some(value) = value_of(&bound) else {
        return report.error(format!("{what} must be a constant"), expr.span);
    };
    match value {
        Value::Error(reason) => report.error(format!("{what} has no value: {reason}"), expr.span),
        value => Some(value),
    }
}

/// The value of an expression that depends on nothing.
pub(super) fn value_of(expr: &Expr) -> Option<Value> {
    let mut is_constant = true;
    expr.walk(&mut |e| {
        is_constant &= !matches!(
            e.kind,
            ExprKind::Column(_) | ExprKind::ReadTime | ExprKind::External { .. }
        );
    });
    is_constant.then(|| Program::compile(expr).eval_row(&[], 0))
}

/// The expression, or its error at the argument that causes it.
pub(super) fn built(
    result: Result<Expr, BuildError>,
    span: Span,
    arguments: &[Span],
    report: &mut Report,
) -> Option<Expr> {
    match result {
        Ok(expr) => Some(expr),
        Err(error) => {
            let place = error
                .argument()
                .and_then(|i| arguments.get(i).copied())
                .unwrap_or(span);
            report.push(with_hint(
                Diagnostic::error(error.to_string(), place),
                error.hint(),
            ))
        }
    }
}

/// An expression being bound.
pub(super) struct Binding<'a> {
    pub(super) context: &'a mut dyn Context,
    pub(super) report: &'a mut Report,
}

impl Binding<'_> {
    fn expr(&mut self, expr: &ast::Expr) -> Option<Expr> {
        use ast::ExprKind as E;
        let span = expr.span;
        match &expr.kind {
            E::Literal(literal) => self.literal(literal, span),
            E::Name(parts) => self.name(parts, span),
            E::Unary { operator, operand } => match operator {
                // The smallest BIGINT has no positive counterpart.
                UnaryOperator::Minus if is_smallest_bigint(operand) => {
                    Some(build::integer(i64::MIN))
                }
                UnaryOperator::Minus => self.call("-", span, &[operand]),
                UnaryOperator::Plus => self.call("+", span, &[operand]),
                UnaryOperator::Not => self.call("not", span, &[operand]),
            },
            E::Binary { operator, .. }
                if matches!(operator, BinaryOperator::And | BinaryOperator::Or) =>
            {
                let mut parts = Vec::new();
                flatten(expr, *operator, &mut parts);
                let name = if *operator == BinaryOperator::And {
                    "and"
                } else {
                    "or"
                };
                self.call(name, span, &parts)
            }
            E::Binary {
                operator,
                left,
                right,
                ..
            } => self.call(operator_name(*operator), span, &[left, right]),
            E::Is {
                operand,
                test,
                negated,
            } => self.is_test(operand, *test, *negated, span),
            E::IsDistinctFrom {
                left,
                right,
                negated,
            } => {
                let name = if *negated {
                    "is_not_distinct_from"
                } else {
                    "is_distinct_from"
                };
                self.call(name, span, &[left, right])
            }
            E::InList {
                operand,
                list,
                negated,
            } => {
                let args: Vec<&ast::Expr> = std::iter::once(&**operand).chain(list).collect();
                let found = self.call("in", span, &args);
                self.negated_if(*negated, found, span)
            }
            E::Between {
                operand,
                low,
                high,
                negated,
            } => {
                let found = self.call("between", span, &[operand, low, high]);
                self.negated_if(*negated, found, span)
            }
            E::Like {
                operand,
                pattern,
                escape,
                negated,
                case_insensitive,
            } => {
                let name = if *case_insensitive { "ilike" } else { "like" };
                let args: Vec<&ast::Expr> = [operand, pattern]
                    .into_iter()
                    .chain(escape)
                    .map(|e| &**e)
                    .collect();
                let found = self.call(name, span, &args);
                self.negated_if(*negated, found, span)
            }
            E::Case {
                operand,
                branches,
                otherwise,
            } => self.case(operand.as_deref(), branches, otherwise.as_deref(), span),
            E::Cast {
                operand,
                target,
                is_try,
            } => {
                let bound = self.expr(operand)?;
                let converted = if *is_try {
                    build::try_cast(bound, &target.data_type)
                } else {
                    build::cast(bound, &target.data_type)
                };
                built(converted, span, &[operand.span], self.report)
            }
            E::Call(call) => self.function(call, span),
            E::Extract { part, operand } => {
                let bound = self.expr(operand)?;
                let args = vec![build::string(&part.value), bound];
                built(
                    build::call("date_part", args),
                    span,
                    &[part.span, operand.span],
                    self.report,
                )
            }
            E::AtTimeZone { operand, zone } => self.call("at_time_zone", span, &[operand, zone]),
            E::Array(items) => {
                let items: Vec<&ast::Expr> = items.iter().collect();
                self.call("array", span, &items)
            }
            E::Index { operand, index } => self.call("element_at", span, &[operand, index]),
            E::Field { operand, field } => {
                let bound = self.expr(operand)?;
                self.fields(bound, std::slice::from_ref(field), span)
            }
        }
    }

    fn literal(&mut self, literal: &Literal, span: Span) -> Option<Expr> {
        Some(match literal {
            Literal::Null => build::null(),
            Literal::Boolean(value) => build::boolean(*value),
            Literal::Integer(value) => match i64::try_from(*value) {
                Ok(value) => build::integer(value),
                Err(_) => {
                    return built(build::number(&value.to_string()), span, &[], self.report);
                }
            },
            Literal::Double(value) => build::double(*value),
            Literal::String(value) => build::string(value),
            Literal::Bytes(value) => build::bytes(value),
            Literal::Date(days) => build::date(*days),
            Literal::Timestamp(micros) => build::timestamp(*micros),
            Literal::Interval(interval) => build::interval(interval.value),
        })
    }

    fn name(&mut self, parts: &[Ident], span: Span) -> Option<Expr> {
        let found = self.context.scope().resolve(parts, span, self.report)?;
        let mut uses_read_time = false;
        found
            .expr
            .walk(&mut |e| uses_read_time |= e.kind == ExprKind::ReadTime);
        if uses_read_time {
            // A column of a view that this one reads rows of.
            self.context.read_time(span, self.report)?;
        }
        self.fields(found.expr, found.fields, span)
    }

    /// Fields of a struct, one after the other.
    fn fields(&mut self, of: Expr, fields: &[Ident], span: Span) -> Option<Expr> {
        fields.iter().try_fold(of, |of, field| {
            built(
                build::field(of, &field.value),
                span,
                &[span, field.span],
                self.report,
            )
        })
    }

    /// All arguments, each with its errors, before one that failed ends it.
    pub(super) fn arguments(&mut self, args: &[&ast::Expr]) -> Option<Vec<Expr>> {
        let bound: Vec<Option<Expr>> = args.iter().map(|a| self.expr(a)).collect();
        bound.into_iter().collect()
    }

    fn call(&mut self, name: &str, span: Span, args: &[&ast::Expr]) -> Option<Expr> {
        let bound = self.arguments(args)?;
        let spans: Vec<Span> = args.iter().map(|a| a.span).collect();
        built(build::call(name, bound), span, &spans, self.report)
    }

    fn negated_if(&mut self, negated: bool, expr: Option<Expr>, span: Span) -> Option<Expr> {
        let expr = expr?;
        if !negated {
            return Some(expr);
        }
        built(build::not(expr), span, &[], self.report)
    }

    fn is_test(
        &mut self,
        operand: &ast::Expr,
        test: IsTest,
        negated: bool,
        span: Span,
    ) -> Option<Expr> {
        let (name, negated) = match (test, negated) {
            (IsTest::Null, true) => ("is_not_null", false),
            (IsTest::Null, false) => ("is_null", false),
            (IsTest::True, negated) => ("is_true", negated),
            (IsTest::False, negated) => ("is_false", negated),
            (IsTest::Unknown, negated) => {
                let bound = bind_condition(operand, self.context, self.report)?;
                let tested = build::is_null(bound);
                let tested = built(tested, span, &[operand.span], self.report);
                return self.negated_if(negated, tested, span);
            }
        };
        let tested = self.call(name, span, &[operand]);
        self.negated_if(negated, tested, span)
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        branches: &[ast::CaseBranch],
        otherwise: Option<&ast::Expr>,
        span: Span,
    ) -> Option<Expr> {
        let bound_operand = operand.map(|o| self.expr(o));
        let bound: Vec<Option<(Expr, Expr)>> = branches
            .iter()
            .map(|branch| {
                let condition = self.expr(&branch.condition);
                let result = self.expr(&branch.result);
                Some((condition?, result?))
            })
            .collect();
        let bound_otherwise = otherwise.map(|o| self.expr(o));
        let bound: Vec<(Expr, Expr)> = bound.into_iter().collect::<Option<_>>()?;
        let bound_otherwise = match bound_otherwise {
            Some(bound) => Some(bound?),
            None => None,
        };
        let spans: Vec<Span> = branches
            .iter()
            .flat_map(|b| [b.condition.span, b.result.span])
            .chain(otherwise.map(|o| o.span))
            .collect();
        let result = match bound_operand {
            Some(operand) => build::case_of(operand?, bound, bound_otherwise),
            None => build::case(bound, bound_otherwise),
        };
        built(result, span, &spans, self.report)
    }
}

/// The parts that are joined by one operator, however nested to the left or right.
pub(super) fn flatten<'a>(
    expr: &'a ast::Expr,
    operator: BinaryOperator,
    parts: &mut Vec<&'a ast::Expr>,
) {
    match &expr.kind {
        ast::ExprKind::Binary {
            operator: found,
            left,
            right,
            ..
        } if *found == operator => {
            flatten(left, operator, parts);
            flatten(right, operator, parts);
        }
        _ => parts.push(expr),
    }
}

fn is_smallest_bigint(operand: &ast::Expr) -> bool {
    matches!(
        operand.kind,
        ast::ExprKind::Literal(Literal::Integer(value)) if -value == i128::from(i64::MIN)
    )
}

fn operator_name(operator: BinaryOperator) -> &'static str {
    match operator {
        BinaryOperator::Or => "or",
        BinaryOperator::And => "and",
        BinaryOperator::Equal => "=",
        BinaryOperator::NotEqual => "<>",
        BinaryOperator::Less => "<",
        BinaryOperator::LessOrEqual => "<=",
        BinaryOperator::Greater => ">",
        BinaryOperator::GreaterOrEqual => ">=",
        BinaryOperator::Concat => "||",
        BinaryOperator::Add => "+",
        BinaryOperator::Subtract => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::IntegerDivide => "//",
        BinaryOperator::Modulo => "%",
    }
}
