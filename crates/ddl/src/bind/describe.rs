//! Views in words, as `plan` prints them.

use evenkeel_aggregate::signature::function_name;
use evenkeel_types::definition::{
    Lookup, LookupTarget, SourceDef, SourceKind, SourceWindows, Trigger, ViewBody, ViewDef,
    WindowAggregate, WindowRows,
};
use evenkeel_types::{Expr, ExprKind};

use super::report::in_words;

/// A view in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewDescription {
    /// `window view`, `state view`, `row view`, `composed view` or `on-demand view`.
    pub kind: &'static str,
    /// What brings its answers, and when it has one.
    pub reads: String,
    /// For each aggregate its window's edges: `avg(delay): [t - 3 hours, t]`.
    pub windows: Vec<String>,
    /// For each look-up what is found.
    pub lookups: Vec<String>,
}

/// What kind of view it is and what it reads, in words.
pub fn describe(view: &ViewDef) -> ViewDescription {
    match &view.body {
        ViewBody::Window(body) if body.is_state() => ViewDescription {
            kind: "state view",
            reads: format!(
                "live rows of `{}` by {}, read at any time t; without any there is an answer too",
                body.windows.source.name,
                key_words(&body.windows)
            ),
            windows: Vec::new(),
            lookups: Vec::new(),
        },
        ViewBody::Window(body) => ViewDescription {
            kind: "window view",
            reads: format!(
                "{} by {}, read at any time t; an empty window has an answer too",
                events_of(&body.windows),
                key_words(&body.windows)
            ),
            windows: window_words(&body.windows),
            lookups: Vec::new(),
        },
        ViewBody::Row(body) => {
            let rows = match &body.trigger {
                Trigger::Source(side) if side.source.kind == SourceKind::Table => {
                    format!("a row per version of a row of `{}`", side.source.name)
                }
                Trigger::Source(side) => format!("a row per event of `{}`", side.source.name),
                Trigger::Full { left, right } => format!(
                    "a row at each event of `{}` or `{}`, with the latest of either",
                    left.source.name, right.source.name
                ),
            };
            let age = match &body.ttl {
                Some(ttl) => format!(", unless it is {ttl} old or older"),
                None => String::new(),
            };
            ViewDescription {
                kind: "row view",
                reads: format!("{rows}; at t the last row up to t{age}"),
                windows: body
                    .windows
                    .iter()
                    .flat_map(|group| {
                        let key = key_words(group);
                        window_words(group)
                            .into_iter()
                            .map(move |w| format!("{w} by {key}, t being the row's time"))
                    })
                    .collect(),
                lookups: body.lookups.iter().map(lookup_words).collect(),
            }
        }
        ViewBody::Composed(body) => {
            let mut parts = Vec::new();
            if !body.request.is_empty() {
                let names: Vec<&str> = body.request.iter().map(|f| f.name.as_str()).collect();
                parts.push(format!("{} of the request", in_words(&names)));
            }
            if !body.inputs.is_empty() {
                let names: Vec<&str> = body.inputs.iter().map(|v| v.name.as_str()).collect();
                parts.push(format!("{} read at t", in_words(&names)));
            }
            ViewDescription {
                kind: if body.request.is_empty() {
                    "composed view"
                } else {
                    "on-demand view"
                },
                reads: format!("expressions over {}", parts.join(", and ")),
                windows: Vec::new(),
                lookups: Vec::new(),
            }
        }
    }
}

fn events_of(windows: &SourceWindows) -> String {
    match windows.source.kind {
        SourceKind::Stream => format!("events of `{}`", windows.source.name),
        SourceKind::Table => format!("upserts of `{}`", windows.source.name),
    }
}

fn key_words(windows: &SourceWindows) -> String {
    let names: Vec<&str> = windows
        .key_columns
        .iter()
        .filter_map(|k| windows.source.columns.get(*k))
        .map(|c| c.name.as_str())
        .collect();
    in_words(&names)
}

fn window_words(windows: &SourceWindows) -> Vec<String> {
    windows
        .aggregates
        .iter()
        .map(|aggregate| aggregate_words(aggregate, &windows.source))
        .collect()
}

fn aggregate_words(aggregate: &WindowAggregate, source: &SourceDef) -> String {
    let call = &aggregate.call;
    let name = function_name(&call.function);
    let args: Vec<String> = call.args.iter().map(|arg| arg_words(arg, source)).collect();
    let args = match args.as_slice() {
        [] => "*".to_owned(),
        args => args.join(", "),
    };
    let filtered = match (aggregate.rows, &call.filter) {
        (WindowRows::Changes, Some(_)) => " of the filtered changes",
        (WindowRows::Changes, None) => " of the changes",
        (_, Some(_)) => " of the filtered events",
        (_, None) => "",
    };
    format!("{name}({args}){filtered}: {}", aggregate.frame)
}

/// A column by its name; what is computed is not spelt out.
fn arg_words(arg: &Expr, source: &SourceDef) -> String {
    let name = |slot: usize| source.columns.get(slot).map(|c| c.name.clone());
    let words = match &arg.kind {
        ExprKind::Cast(inner) => return arg_words(inner, source),
        ExprKind::Column(slot) if *slot == source.operation_slot() => Some("op".to_owned()),
        ExprKind::Column(slot) => match slot.checked_sub(source.row_width()) {
            Some(old) => name(old).map(|name| format!("OLD.{name}")),
            None => name(*slot),
        },
        _ => None,
    };
    words.unwrap_or_else(|| "…".to_owned())
}

fn lookup_words(lookup: &Lookup) -> String {
    let found = match &lookup.target {
        LookupTarget::Source { source, .. } if source.kind == SourceKind::Table => {
            format!("the state of `{}`", source.name)
        }
        LookupTarget::Source { source, .. } => format!("the latest event of `{}`", source.name),
        LookupTarget::View(view) => format!("a read of `{}`", view.name),
    };
    let filtered = if lookup.filter.is_some() {
        " among those that pass its filter"
    } else {
        ""
    };
    let when = if lookup.strict {
        "before the row's time"
    } else {
        "at the row's time"
    };
    let age = match &lookup.max_age {
        Some(age) if age.inclusive => format!(", at most {} old", age.age),
        Some(age) => format!(", less than {} old", age.age),
        None => String::new(),
    };
    format!("{}: {found} {when}{filtered}{age}", lookup.alias)
}
