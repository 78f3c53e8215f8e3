//! Aggregates and the events that they count, as facts.

use evenkeel_aggregate::{Aggregates, EntryView, History, SpecId, Visibility};
use evenkeel_types::definition::WindowRows;
use evenkeel_types::{AggregateCall, Expr, ExprKind, Field, Frame, Value};

use super::{Fact, Step};

/// The most events that are listed for a window.
const EVENTS_LISTED_MAX: usize = 10;

/// What some calls count: the entries of one key in a frame that are seen.
pub(super) struct Counted<'a> {
    pub(super) source: &'a str,
    /// The entries' columns by name.
    pub(super) fields: &'a [Option<Field>],
    pub(super) aggregates: &'a Aggregates,
    pub(super) rows: WindowRows,
    pub(super) frame: &'a Frame,
    pub(super) retain: Option<i64>,
    /// When it is read.
    pub(super) t: i64,
    pub(super) sight: &'a dyn Visibility,
}

impl Counted<'_> {
    /// The calls, each with the place of its result, and the events that they count.
    pub(super) fn explain(
        &self,
        history: Option<&History>,
        calls: Vec<(SpecId, usize)>,
        results: &[Value],
        depth: usize,
        steps: &mut Vec<Step>,
    ) {
        // Calls with one FILTER over one frame count the same events.
        let mut groups: Vec<(Option<&Expr>, Vec<_>)> = Vec::new();
        for (spec, slot) in calls {
            let call = self.aggregates.call(spec);
            match groups.iter_mut().find(|(f, _)| *f == call.filter.as_ref()) {
                Some((_, group)) => group.push((spec, slot)),
                None => groups.push((call.filter.as_ref(), vec![(spec, slot)])),
            }
        }
        for (filter, group) in groups {
            for (spec, slot) in &group {
                let call = self.aggregates.call(*spec);
                steps.push(Step {
                    depth,
                    fact: Fact::Aggregate {
                        call: self.call_name(call),
                        rows: self.rows,
                        frame: self.frame.clone(),
                        source: self.source.to_owned(),
                        data_type: call.data_type.clone(),
                        value: results[*slot].clone(),
                    },
                });
            }
            let Some(history) = history else {
                steps.push(Step::words(depth, "the key has no events".to_owned()));
                continue;
            };
            let found = history.members(
                self.aggregates,
                group[0].0,
                self.frame,
                self.retain,
                self.t,
                self.sight,
                EVENTS_LISTED_MAX,
            );
            steps.push(Step {
                depth,
                fact: Fact::Inside {
                    rows: self.rows,
                    inside: found.inside,
                    counted: found.counted,
                    has_filter: filter.is_some(),
                },
            });
            steps.extend(found.newest.iter().map(|entry| Step {
                depth: depth + 1,
                fact: Fact::Event {
                    time: entry.time(),
                    read_at: self.t,
                    position: entry.position(),
                    values: self.values(entry),
                },
            }));
            if found.counted > found.newest.len() {
                steps.push(Step {
                    depth: depth + 1,
                    fact: Fact::More {
                        count: found.counted - found.newest.len(),
                    },
                });
            }
        }
    }

    /// The named columns of an entry with their values.
    fn values(&self, entry: &EntryView<'_>) -> Vec<(Field, Value)> {
        let fields = self.fields.iter().enumerate();
        fields
            .filter_map(|(column, field)| Some((field.clone()?, entry.value(column))))
            .collect()
    }

    /// `sum(amount)`; what is computed is not spelt out.
    fn call_name(&self, call: &AggregateCall) -> String {
        let name = evenkeel_aggregate::signature::function_name(&call.function);
        let args: Vec<&str> = call.args.iter().map(|arg| self.arg_name(arg)).collect();
        let args = if args.is_empty() {
            "*".to_owned()
        } else {
            args.join(", ")
        };
        let filter = if call.filter.is_some() {
            " FILTER (…)"
        } else {
            ""
        };
        format!("{name}({args}){filter}")
    }

    fn arg_name(&self, arg: &Expr) -> &str {
        match &arg.kind {
            ExprKind::Column(column) => {
                let field = self.fields.get(*column).and_then(Option::as_ref);
                field.map_or("…", |field| field.name.as_str())
            }
            ExprKind::Cast(inner) => self.arg_name(inner),
            _ => "…",
        }
    }
}
