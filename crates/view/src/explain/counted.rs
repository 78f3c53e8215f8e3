//! Aggregates and the events that they count, as facts.

use evenkeel_aggregate::{Aggregates, History, SpecId, Visibility};
use evenkeel_types::definition::WindowRows;
use evenkeel_types::{Expr, Frame, Value};

use super::{Fact, Step, call_name, kept};
use crate::plan::IndexPlan;

/// The most events that are listed for a window.
const EVENTS_LISTED_MAX: usize = 10;

/// What some calls count: the entries of one key in a frame that are seen.
pub(super) struct Counted<'a> {
    pub(super) aggregates: &'a Aggregates,
    pub(super) rows: WindowRows,
    pub(super) frame: &'a Frame,
    pub(super) retain: Option<i64>,
    pub(super) sight: &'a dyn Visibility,
}

impl Counted<'_> {
    /// The calls, each with the place of its result, and the events that they count.
    #[expect(
        clippy::too_many_arguments,
        reason = "those of `explain_windows`, taken apart"
    )]
    pub(super) fn explain(
        &self,
        plan: &IndexPlan,
        history: Option<&History>,
        calls: Vec<(SpecId, usize)>,
        results: &[Value],
        t: i64,
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
                        call: call_name(call, plan),
                        rows: self.rows,
                        frame: self.frame.clone(),
                        source: plan.source().name.clone(),
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
                t,
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
                    read_at: t,
                    position: entry.position(),
                    values: kept(plan, |column, _| entry.value(column)),
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
}
