//! How one value came about: windows with the events inside them, triggers and look-ups, as
//! facts that can be put into words. Follows the read path; for people, not for parity.

mod counted;
mod fact;

use std::collections::BTreeSet;

use evenkeel_aggregate::{Everything, History, SpecId};
use evenkeel_types::definition::{SourceKind, ViewBody, WindowRows};
use evenkeel_types::time::format_timestamp;
use evenkeel_types::{Field, Frame, Value};

use counted::Counted;
pub use fact::{Fact, Step};

use crate::live::LiveSight;
use crate::plan::{
    CompiledBody, CompiledLookup, CompiledRow, CompiledSide, CompiledTarget, CompiledTrigger,
    CompiledView, CompiledWindows, IndexPlan,
};
use crate::point::{ReadError, Reader, Search};

/// Which features of a view are asked about; `None`: all.
type Asked<'a> = Option<&'a BTreeSet<usize>>;

impl Reader<'_> {
    /// What the feature at `feature` of a view was made from, for a key at a time.
    ///
    /// # Errors
    /// If what the value needs cannot be read.
    pub fn explain(
        &self,
        view: &CompiledView,
        feature: usize,
        key: &[Value],
        t: i64,
    ) -> Result<Vec<Step>, ReadError> {
        let mut steps = Vec::new();
        let asked = BTreeSet::from([feature]);
        self.explain_view(view, Some(&asked), key, t, 0, &mut steps);
        self.trouble()?;
        Ok(steps)
    }

    fn explain_view(
        &self,
        view: &CompiledView,
        asked: Asked<'_>,
        key: &[Value],
        t: i64,
        depth: usize,
        steps: &mut Vec<Step>,
    ) {
        let def = &view.def;
        let name = format!("{} v{}", def.name, def.version);
        match &view.body {
            CompiledBody::Window { windows, columns } => {
                let kind = match windows.live {
                    Some(_) => "state view",
                    None => "window view",
                };
                let words = format!("{kind} {name} at {}", format_timestamp(t));
                steps.push(Step::words(depth, words));
                let read = read_by(columns, asked);
                let wanted = |slot: usize| read.contains(&(key.len() + slot));
                self.explain_windows(windows, key, t, depth + 1, &wanted, steps);
            }
            CompiledBody::Composed { inputs, columns } => {
                let read = read_by(columns, asked);
                // In the scope the key and the request come first.
                let request = match &def.body {
                    ViewBody::Composed(body) => body.request.len(),
                    ViewBody::Window(_) | ViewBody::Row(_) => 0,
                };
                let mut start = key.len() + request;
                let mut parts = Vec::new();
                for input in inputs {
                    let end = start + input.def.features.len();
                    let asked: BTreeSet<usize> =
                        read.range(start..end).map(|s| s - start).collect();
                    if !asked.is_empty() {
                        parts.push((input, asked));
                    }
                    start = end;
                }
                let names: Vec<&str> = parts.iter().map(|(v, _)| v.def.name.as_str()).collect();
                let words = match names.as_slice() {
                    [] => format!("view {name}, from the request alone"),
                    names => format!("view {name} over {}", names.join(", ")),
                };
                steps.push(Step::words(depth, words));
                for (input, asked) in parts {
                    self.explain_view(input, Some(&asked), key, t, depth + 1, steps);
                }
            }
            CompiledBody::Row(body) => {
                self.explain_row_view(&name, body, asked, key, t, depth, steps)
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "those of `explain_view`, taken apart"
    )]
    fn explain_row_view(
        &self,
        name: &str,
        body: &CompiledRow,
        asked: Asked<'_>,
        key: &[Value],
        t: i64,
        depth: usize,
        steps: &mut Vec<Step>,
    ) {
        let search = Search {
            until: t,
            at: t,
            max_age: None,
        };
        let Some((time, scope)) = self.explain_row(body, key, search) else {
            let words = format!("row view {name}: no row up to {}", format_timestamp(t));
            steps.push(Step::words(depth, words));
            return;
        };
        let words = format!(
            "row view {name}: the last row is of {}",
            format_timestamp(time)
        );
        steps.push(Step::words(depth, words));
        if body.ttl.is_some_and(|ttl| time <= ttl.before(t)) {
            steps.push(Step::words(
                depth + 1,
                "it is outside the view's TTL".to_owned(),
            ));
        }
        let sides: Vec<&CompiledSide> = match &body.trigger {
            CompiledTrigger::Source(only) => vec![only],
            CompiledTrigger::Full { left, right } => vec![left, right],
            CompiledTrigger::Brought { .. } => Vec::new(),
        };
        let mut start = 0;
        for side in sides {
            let plan = self.index(side.index);
            let row = &scope[start..start + side.width];
            steps.push(Step {
                depth: depth + 1,
                fact: Fact::Row {
                    what: format!("trigger: {}", source_name(plan)),
                    values: kept(plan, |_, slot| row[slot].clone()),
                },
            });
            start += side.width;
        }
        let needed = needed_by(body, start, asked);
        for windows in &body.windows {
            let key: Vec<Value> = windows
                .key_slots
                .iter()
                .map(|&slot| scope[slot].clone())
                .collect();
            let wanted = |slot: usize| needed.contains(&(start + slot));
            self.explain_windows(windows, &key, time, depth + 1, &wanted, steps);
            start += windows.width;
        }
        for lookup in &body.lookups {
            let end = start + lookup.width;
            let asked: BTreeSet<usize> = needed.range(start..end).map(|s| s - start).collect();
            if !asked.is_empty() {
                self.explain_lookup(lookup, asked, &scope, time, depth + 1, steps);
            }
            start = end;
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
        let history = self.history(windows.index, key);
        let sight = self.sight(windows.index);
        let fields = fields_of(plan);
        let explain = |counted: Counted<'_>,
                       history: Option<&History>,
                       specs: &[SpecId],
                       slots: &[usize],
                       steps: &mut Vec<Step>| {
            let calls = specs.iter().copied().zip(slots.iter().copied());
            let calls = calls.filter(|(_, slot)| wanted(*slot)).collect();
            counted.explain(history, calls, &results, depth, steps);
        };
        for (frame, specs, slots) in &windows.frames {
            let counted = Counted {
                source: &plan.source().name,
                fields: &fields,
                aggregates: plan.aggregates(),
                rows: WindowRows::Events,
                frame,
                retain: plan.retain(),
                t,
                sight: &sight,
            };
            explain(counted, history.as_ref(), specs, slots, steps);
        }
        if let Some(changes) = &windows.changes {
            let found = history
                .as_ref()
                .map(|of_key| self.changes(changes, windows.index, of_key, key, t));
            let fields: Vec<Option<Field>> = changes.fields.iter().cloned().map(Some).collect();
            for (frame, specs, slots) in &changes.frames {
                let counted = Counted {
                    source: &plan.source().name,
                    fields: &fields,
                    aggregates: &changes.aggregates,
                    rows: WindowRows::Changes,
                    frame,
                    retain: plan.retain(),
                    t,
                    sight: &Everything,
                };
                explain(counted, found.as_ref(), specs, slots, steps);
            }
        }
        if let Some(live) = &windows.live {
            let nothing = History::new(plan.types().into());
            let of_key = history.as_ref().unwrap_or(&nothing);
            let counted = Counted {
                source: &plan.source().name,
                fields: &fields,
                aggregates: &live.aggregates,
                rows: WindowRows::Live,
                frame: &Frame::unbounded(),
                retain: None,
                t,
                sight: &LiveSight::new(self, live, windows.index, of_key, t),
            };
            explain(counted, history.as_ref(), &live.specs, &live.slots, steps);
        }
    }

    fn explain_lookup(
        &self,
        lookup: &CompiledLookup,
        mut asked: BTreeSet<usize>,
        scope: &[Value],
        at: i64,
        depth: usize,
        steps: &mut Vec<Step>,
    ) {
        let key: Vec<Value> = lookup.keys.iter().map(|p| p.eval_row(scope, at)).collect();
        let is_keyless = key.iter().any(Value::is_missing);
        let (target, fields) = match &lookup.target {
            CompiledTarget::Source(side) => {
                let plan = self.index(side.index);
                let columns = &plan.source().columns;
                let field = |&slot: &usize| {
                    Field::new(columns[slot].name.clone(), columns[slot].data_type.clone())
                };
                let fields: Vec<Field> = plan.key_columns().iter().map(field).collect();
                (source_name(plan), fields)
            }
            CompiledTarget::View { view, .. } => {
                (format!("view {}", view.def.name), view.def.key.clone())
            }
        };
        let look_up = |found: Option<bool>| Step {
            depth,
            fact: Fact::LookUp {
                target: target.clone(),
                key: fields.iter().cloned().zip(key.iter().cloned()).collect(),
                at,
                is_strict: lookup.strict,
                found,
            },
        };
        match &lookup.target {
            CompiledTarget::Source(side) => {
                let search = Search::of_lookup(lookup, at);
                let found = (!is_keyless)
                    .then(|| self.state_of(side, &key, search))
                    .flatten();
                steps.push(look_up(Some(found.is_some())));
                if let Some((time, position, row)) = found {
                    let plan = self.index(side.index);
                    steps.push(Step {
                        depth: depth + 1,
                        fact: Fact::Event {
                            time,
                            read_at: at,
                            position,
                            values: kept(plan, |_, slot| row[slot].clone()),
                        },
                    });
                }
            }
            CompiledTarget::View { .. } if is_keyless => steps.push(look_up(Some(false))),
            CompiledTarget::View { view, condition } => {
                steps.push(look_up(None));
                asked.extend(condition.iter().flat_map(|c| c.columns()));
                self.explain_view(view, Some(&asked), &key, at, depth + 1, steps);
            }
        }
    }
}

/// The scope slots that some features read.
fn read_by(columns: &[evenkeel_expr::Program], asked: Asked<'_>) -> BTreeSet<usize> {
    let is_asked = |feature: usize| asked.is_none_or(|asked| asked.contains(&feature));
    let asked = columns.iter().enumerate().filter(|(i, _)| is_asked(*i));
    asked
        .flat_map(|(_, column)| column.columns())
        .copied()
        .collect()
}

/// The slots of a row view's scope that some features need: what they and the view's
/// condition read, and the keys of the look-ups that those come from.
fn needed_by(body: &CompiledRow, trigger_width: usize, asked: Asked<'_>) -> BTreeSet<usize> {
    let mut needed = read_by(&body.columns, asked);
    needed.extend(body.condition.iter().flat_map(|c| c.columns()));
    let windows: usize = body.windows.iter().map(|w| w.width).sum();
    let lookups: usize = body.lookups.iter().map(|l| l.width).sum();
    let mut end = trigger_width + windows + lookups;
    for lookup in body.lookups.iter().rev() {
        let start = end - lookup.width;
        if needed.range(start..end).next().is_some() {
            needed.extend(lookup.keys.iter().flat_map(|key| key.columns()));
        }
        end = start;
    }
    needed
}

/// The source's columns that an index keeps, with their values: `value(column, slot)`.
fn kept(plan: &IndexPlan, value: impl Fn(usize, usize) -> Value) -> Vec<(Field, Value)> {
    let fields = fields_of(plan).into_iter().zip(plan.slots()).enumerate();
    fields
        .filter_map(|(column, (field, &slot))| Some((field?, value(column, slot))))
        .collect()
}

/// The columns of an index by name; the times of events have none.
fn fields_of(plan: &IndexPlan) -> Vec<Option<Field>> {
    let columns = &plan.source().columns;
    let field = |&slot: &usize| {
        let def = columns.get(slot)?;
        Some(Field::new(def.name.clone(), def.data_type.clone()))
    };
    plan.slots().iter().map(field).collect()
}

fn source_name(plan: &IndexPlan) -> String {
    let source = plan.source();
    match source.kind {
        SourceKind::Stream => format!("stream {}", source.name),
        SourceKind::Table => format!("table {}", source.name),
    }
}
