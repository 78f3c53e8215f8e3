//! How one value came about: windows with their edges, events, triggers and look-ups, in
//! words. Follows the read path; for people, not for parity.

use evenkeel_types::time::format_timestamp;
use evenkeel_types::{Interval, Value};

use crate::plan::{
    CompiledBody, CompiledLookup, CompiledSide, CompiledTarget, CompiledTrigger, CompiledView,
    CompiledWindows,
};
use crate::point::{Reader, Search};

/// The most events that are listed for a window.
const EVENTS_LISTED_MAX: usize = 10;

/// One line of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How deep it stands: what a look-up found is one deeper than the look-up.
    pub depth: usize,
    /// In words.
    pub text: String,
}

impl Reader<'_> {
    /// What the feature at `feature` of a view was made from, for a key at a time.
    pub fn explain(&self, view: &CompiledView, feature: usize, key: &[Value], t: i64) -> Vec<Step> {
        let mut steps = Vec::new();
        self.explain_view(view, Some(feature), key, t, 0, &mut steps);
        steps
    }

    fn explain_view(
        &self,
        view: &CompiledView,
        feature: Option<usize>,
        key: &[Value],
        t: i64,
        depth: usize,
        steps: &mut Vec<Step>,
    ) {
        let def = &view.def;
        let mut say = |depth: usize, text: String| steps.push(Step { depth, text });
        match &view.body {
            CompiledBody::Window { windows, columns } => {
                say(
                    depth,
                    format!(
                        "window view {} v{} at {}",
                        def.name,
                        def.version,
                        format_timestamp(t)
                    ),
                );
                let read = feature.map(|f| columns[f].columns().to_vec());
                let wanted = |slot: usize| {
                    read.as_ref()
                        .is_none_or(|slots| slots.contains(&(key.len() + slot)))
                };
                self.explain_windows(windows, key, t, depth + 1, &wanted, steps);
            }
            CompiledBody::Composed { inputs, .. } => {
                say(
                    depth,
                    format!(
                        "view {} v{} over {} views",
                        def.name,
                        def.version,
                        inputs.len()
                    ),
                );
                for input in inputs {
                    self.explain_view(input, None, key, t, depth + 1, steps);
                }
            }
            CompiledBody::Row(body) => {
                let search = Search {
                    until: t,
                    at: t,
                    max_age: None,
                };
                let Some((time, scope)) = self.explain_row(body, key, search) else {
                    say(
                        depth,
                        format!(
                            "row view {} v{}: no row up to {}",
                            def.name,
                            def.version,
                            format_timestamp(t)
                        ),
                    );
                    return;
                };
                say(
                    depth,
                    format!(
                        "row view {} v{}: the last row is of {}",
                        def.name,
                        def.version,
                        format_timestamp(time)
                    ),
                );
                if body.ttl.is_some_and(|ttl| time <= ttl.before(t)) {
                    say(depth + 1, "it is outside the view's TTL".to_owned());
                }
                let sides: Vec<&CompiledSide> = match &body.trigger {
                    CompiledTrigger::Source(only) => vec![only],
                    CompiledTrigger::Full { left, right } => vec![left, right],
                };
                for side in sides {
                    say(depth + 1, format!("trigger: {}", self.source_name(side)));
                }
                for windows in &body.windows {
                    let key: Vec<Value> = windows
                        .key_slots
                        .iter()
                        .map(|&slot| scope[slot].clone())
                        .collect();
                    self.explain_windows(windows, &key, time, depth + 1, &|_| true, steps);
                }
                for lookup in &body.lookups {
                    self.explain_lookup(lookup, &scope, time, depth + 1, steps);
                }
            }
        }
    }

    fn explain_windows(
        &self,
        windows: &CompiledWindows,
        key: &[Value],
        t: i64,
        depth: usize,
        wanted: &dyn Fn(usize) -> bool,
        steps: &mut Vec<Step>,
    ) {
        let plan = self.index(windows.index);
        let mut results = Vec::new();
        self.windows(windows, key, t, &mut results);
        for (frame, specs, slots) in &windows.frames {
            for (&spec, &slot) in specs.iter().zip(slots).filter(|(_, slot)| wanted(**slot)) {
                let call = plan.aggregates().call(spec);
                let name = evenkeel_aggregate::signature::function_name(&call.function);
                steps.push(Step {
                    depth,
                    text: format!(
                        "{name} over {frame} of {} = {:?}",
                        plan.source().name,
                        results[slot]
                    ),
                });
            }
        }
        let Some(history) = self.history(windows.index, key) else {
            steps.push(Step {
                depth,
                text: "the key has no events".to_owned(),
            });
            return;
        };
        let sight = self.sight(windows.index);
        steps.push(Step {
            depth,
            text: format!("newest events up to {}:", format_timestamp(t)),
        });
        for entry in history.descending(t, false, &sight).take(EVENTS_LISTED_MAX) {
            let values: Vec<String> = plan
                .slots()
                .iter()
                .enumerate()
                .filter(|(_, slot)| **slot < plan.source().columns.len())
                .map(|(column, &slot)| {
                    format!(
                        "{} {:?}",
                        plan.source().columns[slot].name,
                        entry.value(column)
                    )
                })
                .collect();
            let age = Interval::from_micros(t.saturating_sub(entry.time()));
            steps.push(Step {
                depth: depth + 1,
                text: format!(
                    "{} ({age} before), position {}, {}",
                    format_timestamp(entry.time()),
                    entry.position(),
                    values.join(", ")
                ),
            });
        }
    }

    fn explain_lookup(
        &self,
        lookup: &CompiledLookup,
        scope: &[Value],
        at: i64,
        depth: usize,
        steps: &mut Vec<Step>,
    ) {
        let key: Vec<Value> = lookup.keys.iter().map(|p| p.eval_row(scope, at)).collect();
        let sign = if lookup.strict { "before" } else { "up to" };
        let target = match &lookup.target {
            CompiledTarget::Source(side) => self.source_name(side),
            CompiledTarget::View { view, .. } => format!("view {}", view.def.name),
        };
        let mut found = scope.to_vec();
        self.look_up(lookup, at, &mut found);
        let has_match = found[scope.len()..].iter().any(|v| !v.is_null());
        let outcome = if has_match {
            "found"
        } else {
            "nothing, or only NULLs"
        };
        steps.push(Step {
            depth,
            text: format!(
                "look-up of {target} by {key:?} {sign} {}: {outcome}",
                format_timestamp(at)
            ),
        });
        if let CompiledTarget::View { view, .. } = &lookup.target
            && !key.iter().any(Value::is_missing)
        {
            self.explain_view(view, None, &key, at, depth + 1, steps);
        }
    }

    fn source_name(&self, side: &CompiledSide) -> String {
        let source = self.index(side.index).source();
        let kind = if side.is_table { "table" } else { "stream" };
        format!("{kind} {}", source.name)
    }
}
