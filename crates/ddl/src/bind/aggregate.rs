//! Aggregate calls: names, arguments, constants and filters, without their windows.

use evenkeel_aggregate::SignatureError;
use evenkeel_aggregate::signature::{self, Argument, Modifiers};
use evenkeel_types::{AggregateCall, Expr};

use super::expression::{self, Context, Plain, value_of};
use super::report::Report;
use super::scope::{Scope, with_hint};
use crate::ast::{self, FunctionArgs, FunctionCall, NullTreatmentKind, OrderItem, Span};
use crate::error::Diagnostic;

/// The call, over the names of `scope`. `is_event_time` says of an expression in `ORDER BY`
/// whether it is the time that events are ordered by anyway.
pub(super) fn bind_aggregate(
    call: &FunctionCall,
    span: Span,
    scope: &Scope,
    is_event_time: &dyn Fn(&Expr) -> bool,
    report: &mut Report,
) -> Option<AggregateCall> {
    let name = &call.name;
    let mut inside = Plain::new(scope, "an aggregate")
        .with_aggregate_hint("compute the inner one in a view of its own and read that");
    let written: &[ast::Expr] = match &call.args {
        FunctionArgs::List(args) => args,
        FunctionArgs::Star(star) => {
            if name.value != "count" {
                return report.hinted(
                    format!("`{name}(*)` does not exist: only `count(*)` does"),
                    *star,
                    format!("write a column: `{name}(x)`"),
                );
            }
            &[]
        }
    };
    if name.value == "count" && matches!(call.args, FunctionArgs::List(ref args) if args.is_empty())
    {
        return report.hinted(
            "`count` takes `*` or one argument",
            span,
            "write `count(*)`",
        );
    }
    let args: Vec<Option<Expr>> = written
        .iter()
        .map(|arg| expression::bind(arg, &mut inside, report))
        .collect();
    let filter = match &call.filter {
        None => Some(None),
        Some(written) => {
            let mut context = Plain::new(scope, "`FILTER`")
                .with_aggregate_hint("compute it in a view of its own and read that");
            expression::bind_condition(written, &mut context, report).map(Some)
        }
    };
    for (arg, written) in args.iter().zip(written) {
        if arg.as_ref().is_some_and(Expr::may_fail) {
            // States are kept, and a failed call is no value.
            return report.hinted(
                "an aggregate cannot be over a function in Python",
                written.span,
                "call it in a column of a derived stream, and aggregate over that column",
            );
        }
    }
    let is_ordered = order(call, &mut inside, is_event_time, report);
    let args: Vec<Expr> = args.into_iter().collect::<Option<_>>()?;
    let filter = filter?;
    is_ordered?;

    let constants: Vec<_> = args.iter().map(value_of).collect();
    let arguments: Vec<Argument<'_>> = args
        .iter()
        .zip(&constants)
        .map(|(arg, constant)| Argument {
            data_type: &arg.data_type,
            constant: constant.as_ref(),
        })
        .collect();
    let modifiers = Modifiers {
        distinct: call.distinct.is_some(),
        ignore_nulls: call
            .null_treatment
            .is_some_and(|t| t.kind == NullTreatmentKind::Ignore),
    };
    match signature::resolve(&name.value, &arguments, modifiers) {
        Ok(signature) => Some(signature.into_call(&args, filter)),
        Err(error) => report.push(explain(&error, call, span, written, &args)),
    }
}

/// `ORDER BY` inside the parentheses may only say what holds anyway.
fn order(
    call: &FunctionCall,
    context: &mut dyn Context,
    is_event_time: &dyn Fn(&Expr) -> bool,
    report: &mut Report,
) -> Option<()> {
    if let Some(item) = call.within_group.first() {
        return report.hinted(
            "`WITHIN GROUP` is not supported",
            item.span,
            "write `approx_quantile(x, 0.5)`",
        );
    }
    for item in &call.order_by {
        ordered_by_time(item, context, is_event_time, report)?;
    }
    Some(())
}

/// An `ORDER BY` item that is the event time, ascending.
pub(super) fn ordered_by_time(
    item: &OrderItem,
    context: &mut dyn Context,
    is_event_time: &dyn Fn(&Expr) -> bool,
    report: &mut Report,
) -> Option<()> {
    let bound = expression::bind(&item.expr, context, report)?;
    if !is_event_time(&bound) {
        return report.hinted(
            "events are in the order of their event time",
            item.span,
            "leave `ORDER BY` out, or write `ORDER BY event_time`; for the value at the greatest of something use `max_by(x, y)`",
        );
    }
    if item.descending {
        return report.hinted(
            "events are in the order of their event time, oldest first",
            item.span,
            "leave `DESC` out; `last_value` and `last_n` give the newest",
        );
    }
    Some(())
}

fn explain(
    error: &SignatureError,
    call: &FunctionCall,
    span: Span,
    written: &[ast::Expr],
    args: &[Expr],
) -> Diagnostic {
    let argument = |position: usize| {
        written
            .get(position.saturating_sub(1))
            .map_or(span, |a| a.span)
    };
    match error {
        SignatureError::UnknownFunction { name, suggestion } => with_hint(
            Diagnostic::error(
                format!("there is no aggregate function `{name}`"),
                call.name.span,
            ),
            suggestion.as_ref().map(|s| format!("did you mean `{s}`?")),
        ),
        SignatureError::ArgumentType {
            function,
            data_type,
            hint,
        } => {
            let place = args
                .iter()
                .rposition(|a| a.data_type.to_string() == *data_type)
                .and_then(|i| written.get(i))
                .map_or(span, |a| a.span);
            Diagnostic::error(format!("`{function}` does not take {data_type}"), place)
                .with_hint(*hint)
        }
        SignatureError::ConstantExpected { position, .. }
        | SignatureError::ConstantRange { position, .. } => {
            Diagnostic::error(error.to_string(), argument(*position))
        }
        SignatureError::IgnoreNulls { function } => Diagnostic::error(
            format!("`{function}` has no `IGNORE NULLS`: it ignores them anyway"),
            call.null_treatment.map_or(span, |t| t.span),
        )
        .with_hint("leave it out: only first_value, last_value, first_n and last_n see NULLs"),
        SignatureError::Distinct { function } => Diagnostic::error(
            format!("`{function}(DISTINCT ...)` is not supported"),
            call.distinct.unwrap_or(span),
        )
        .with_hint("only `count(DISTINCT x)` is"),
        SignatureError::ArgumentCount { .. } | SignatureError::Malformed { .. } => {
            Diagnostic::error(error.to_string(), span)
        }
    }
}
