//! Calls by name: whether one is a function of the language, an aggregate, or neither.

use evenkeel_aggregate::{SignatureError, signature};
use evenkeel_expr::{BuildError, build};
use evenkeel_types::Expr;

use super::calls::PREDICT;
use super::expression::{Binding, built};
use super::scope::with_hint;
use crate::ast::{self, FunctionArgs, FunctionCall, Span};
use crate::error::Diagnostic;
use crate::suggest::did_you_mean;

impl Binding<'_> {
    /// A function or an aggregate.
    pub(super) fn function(&mut self, call: &FunctionCall, span: Span) -> Option<Expr> {
        let name = call.name.value.as_str();
        if let Some(hint) = window_function_hint(name) {
            return self.report.hinted(
                format!("`{name}` is not a function of features: it numbers or compares rows of a result"),
                call.name.span,
                hint,
            );
        }
        let is_scalar = name == PREDICT
            || evenkeel_expr::functions().any(|f| f.name == name || f.aliases.contains(&name));
        if is_aggregate(name) || (call.over.is_some() && !is_scalar) {
            return self.context.aggregate(call, span, self.report);
        }
        if let Some(place) = aggregate_syntax(call) {
            let known = if is_scalar {
                "is not an aggregate"
            } else {
                "is not a function"
            };
            return self.report.hinted(
                format!("`{name}` {known}: {} does not go with it", place.0),
                place.1,
                "leave it out, or use an aggregate such as `sum`, `avg` or `count`",
            );
        }
        let FunctionArgs::List(args) = &call.args else {
            return None;
        };
        if name == "read_time" {
            if let Some(first) = args.first() {
                return self
                    .report
                    .error("`read_time` takes no arguments", first.span);
            }
            return self.context.read_time(span, self.report);
        }
        let args: Vec<&ast::Expr> = args.iter().collect();
        if name == PREDICT {
            return self.predict(call, &args, span);
        }
        if let Some(called) = self.python(call, &args, span) {
            return called;
        }
        let bound = self.arguments(&args)?;
        let spans: Vec<Span> = args.iter().map(|a| a.span).collect();
        match build::call(name, bound) {
            Err(
                error @ (BuildError::UnknownFunction { .. } | BuildError::RefusedFunction { .. }),
            ) => {
                let hint = aggregate_hint(name).or_else(|| error.hint());
                self.report.push(with_hint(
                    Diagnostic::error(error.to_string(), call.name.span),
                    hint,
                ))
            }
            result => built(result, span, &spans, self.report),
        }
    }
}

/// Whether a name is an aggregate's.
fn is_aggregate(name: &str) -> bool {
    signature::names().any(|n| n == name)
}

/// What stands with a call that only aggregates have: its name and place.
fn aggregate_syntax(call: &FunctionCall) -> Option<(&'static str, Span)> {
    if let FunctionArgs::Star(span) = &call.args {
        return Some(("`*`", *span));
    }
    if let Some(span) = call.distinct {
        return Some(("`DISTINCT`", span));
    }
    if let Some(over) = &call.over {
        return Some(("`OVER`", over.span()));
    }
    if let Some(filter) = &call.filter {
        return Some(("`FILTER`", filter.span));
    }
    if let Some(treatment) = &call.null_treatment {
        return Some(("`IGNORE NULLS`", treatment.span));
    }
    let ordered = call.order_by.first().or(call.within_group.first())?;
    Some(("`ORDER BY`", ordered.span))
}

/// What to write instead of a window function that is no aggregate.
fn window_function_hint(name: &str) -> Option<&'static str> {
    Some(match name {
        "lag" => {
            "write `last_n(x, 2) OVER (...)`, or look the previous row up: `ASOF JOIN s prev MATCH_CONDITION (s.event_time > prev.event_time) ON s.key = prev.key`"
        }
        "lead" => {
            "a feature cannot look forward; that is for labels: `LABEL x FROM v WITHIN INTERVAL '7' DAY` in a spine"
        }
        "row_number" | "rank" | "dense_rank" | "percent_rank" | "cume_dist" | "ntile" => {
            "count the events up to the read time with `count(*) OVER (ALL HISTORY)`, or take the newest with `last_n(x, 10) OVER (...)`"
        }
        "nth_value" => {
            "write `last_n(x, 10) OVER (...)` or `first_n(x, 10) OVER (...)` and take an element: `[3]`"
        }
        _ => return None,
    })
}

/// The aggregate that does here what `name` does elsewhere. A name that is only misspelt is
/// left to the list of functions.
fn aggregate_hint(name: &str) -> Option<String> {
    match signature::resolve(name, &[], signature::Modifiers::default()) {
        Err(SignatureError::UnknownFunction {
            suggestion: Some(suggestion),
            ..
        }) if did_you_mean(name, [suggestion.as_str()]).is_none() => {
            Some(format!("use the aggregate `{suggestion}(...) OVER (...)`"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_both_a_function_and_an_aggregate() {
        for function in evenkeel_expr::functions() {
            for name in function.aliases.iter().chain([&function.name]) {
                assert!(!is_aggregate(name), "{name}");
                assert!(window_function_hint(name).is_none(), "{name}");
            }
        }
    }
}
