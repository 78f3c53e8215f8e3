//! Errors of the query engine as ours.

use datafusion::common::{Column, DataFusionError, SchemaError, Span as PlanSpan};
use datafusion::sql::sqlparser::tokenizer::{Location, Span as TokenSpan};
use evenkeel_connect::nearest;
use evenkeel_engine::Span;

use crate::error::SqlError;
use crate::text::{bytes_of, in_words, mistake, split_time};

/// Where a query failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Names and types.
    Planning,
    /// Rows.
    Running,
}

/// An error of the query engine as ours; `memory_bytes_max` is the limit that it ran under.
pub(crate) fn failure(
    error: DataFusionError,
    text: &str,
    stage: Stage,
    memory_bytes_max: Option<u64>,
) -> SqlError {
    let place = error
        .diagnostic()
        .and_then(|found| found.span)
        .map(|span| bytes_of(text, tokens_of(span)));
    match unwrapped(error) {
        DataFusionError::External(inner) => match inner.downcast::<SqlError>() {
            Ok(ours) => *ours,
            Err(other) => SqlError::Failed {
                reason: in_words(&other.to_string()),
            },
        },
        DataFusionError::SchemaError(found, _) => match *found {
            SchemaError::FieldNotFound {
                field,
                valid_fields,
            } => no_column(&field, &valid_fields, text, place),
            other => at(in_words(&other.to_string()), place),
        },
        DataFusionError::ResourcesExhausted(reason) => match memory_bytes_max {
            Some(bytes_max) => SqlError::Memory { bytes_max },
            None => SqlError::Failed {
                reason: in_words(&reason),
            },
        },
        other => {
            let reason = in_words(&words_of(&other));
            match stage {
                Stage::Planning => at(reason, place),
                Stage::Running => SqlError::Failed { reason },
            }
        }
    }
}

fn tokens_of(span: PlanSpan) -> TokenSpan {
    TokenSpan::new(
        Location::new(span.start.line, span.start.column),
        Location::new(span.end.line, span.end.column),
    )
}

fn at(reason: String, place: Option<Span>) -> SqlError {
    match place {
        Some(span) => mistake(reason, span),
        None => SqlError::Plan { reason },
    }
}

fn no_column(field: &Column, valid: &[Column], text: &str, place: Option<Span>) -> SqlError {
    let relation = field.relation.as_ref().map(|r| r.table().to_owned());
    let relation = relation.as_deref().map(|name| split_time(name).0);
    let message = match relation {
        Some(relation) => format!("there is no column `{}` in `{relation}`", field.name),
        None => format!("there is no column `{}`", field.name),
    };
    let names: Vec<&str> = valid.iter().map(|column| column.name.as_str()).collect();
    let hint = match nearest(&field.name, names.iter().copied()).0 {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if names.is_empty() => None,
        None => Some(format!("there are {}", names.join(", "))),
    };
    let span = place.or_else(|| {
        let start = text.find(field.name.as_str())?;
        let end = start + field.name.len();
        Some(Span { start, end })
    });
    let error = at(message, span);
    match hint {
        Some(hint) => error.hinted(hint),
        None => error,
    }
}

/// The error without what was put around it on its way.
fn unwrapped(error: DataFusionError) -> DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            unwrapped(*inner)
        }
        DataFusionError::Collection(mut errors) if !errors.is_empty() => {
            unwrapped(errors.swap_remove(0))
        }
        other => other,
    }
}

/// What an error says, without the kind that the query engine puts in front, and of several
/// things that it says of one call the one that names it.
fn words_of(error: &DataFusionError) -> String {
    let said = match error {
        DataFusionError::Plan(said)
        | DataFusionError::Execution(said)
        | DataFusionError::NotImplemented(said)
        | DataFusionError::Configuration(said) => said.clone(),
        DataFusionError::ArrowError(inner, _) => inner.to_string(),
        other => other.strip_backtrace(),
    };
    const NO_FUNCTION: &str = "No function matches";
    match said.find(NO_FUNCTION) {
        Some(start) => {
            let call = said[start..].lines().next().unwrap_or_default();
            call.split(". You might").next().unwrap_or(call).to_owned()
        }
        None => said,
    }
}
