//! Views at many keys and times at once, straight from the events of the log.
//!
//! Set-at-a-time: a view is evaluated for all requests together; its look-ups become requests
//! of their own, at the triggers' times, and are evaluated together again. What a value is
//! (states, frames, expressions, identities) is shared with the read path; how it is reached
//! is not (`docs/decisions/0003-three-evaluators.md`).

mod candidates;
mod expressions;
mod requests;
mod walk;

use std::cell::{LazyCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use evenkeel_expr::Program;
use evenkeel_types::definition::{
    Lookup, LookupTarget, RowBody, Trigger, TriggerSide, ViewBody, ViewDef,
};
use evenkeel_types::{Column, Expr, NO_SLOT, SourceId};
use evenkeel_view::Found;

use candidates::{Candidate, CandidateFinder};
pub(crate) use expressions::evaluate;
use expressions::{evaluate_last, keep_true, null_unless};
pub use requests::{Answers, Requests};
pub(crate) use walk::{KeyWalk, Limits};

use crate::events::SourceEvents;
use crate::keyed::{KeyEvents, KeyedEvents, Placed};

/// Everything that the sweeps read.
pub struct Evaluator {
    sources: BTreeMap<SourceId, SourceEvents>,
    keyed: RefCell<BTreeMap<KeyOfSource, Rc<KeyedEvents>>>,
}

/// A source and the slots of a key of it.
type KeyOfSource = (SourceId, Vec<usize>);

impl Evaluator {
    /// Over the events of these sources.
    pub(crate) fn new(sources: BTreeMap<SourceId, SourceEvents>) -> Self {
        Evaluator {
            sources,
            keyed: RefCell::default(),
        }
    }

    /// The events of a source.
    ///
    /// # Panics
    /// If the source was not loaded: the loader takes every source of every view asked for.
    pub(crate) fn events(&self, source: SourceId) -> &SourceEvents {
        self.sources
            .get(&source)
            .expect("every source of a view is loaded")
    }

    pub(crate) fn keyed(&self, source: SourceId, key_columns: &[usize]) -> Rc<KeyedEvents> {
        Rc::clone(
            self.keyed
                .borrow_mut()
                .entry((source, key_columns.to_vec()))
                .or_insert_with(|| Rc::new(KeyedEvents::new(self.events(source), key_columns))),
        )
    }

    /// Requests by the keys of a source.
    pub(crate) fn placed(
        &self,
        source: SourceId,
        key_columns: &[usize],
        requests: &Requests,
    ) -> Rc<Placed> {
        let mut known = requests.placed.borrow_mut();
        let place = || {
            let keyed = self.keyed(source, key_columns);
            Rc::new(Placed::new(&keyed, &requests.keys, &requests.times))
        };
        let of_source = (source, key_columns.to_vec());
        Rc::clone(known.entry(of_source).or_insert_with(place))
    }

    /// Reads a view for all requests. `request` are a composed view's request columns.
    pub fn read(&self, view: &ViewDef, requests: &Requests, request: &[Column]) -> Answers {
        let length = requests.len();
        match &view.body {
            ViewBody::Window(body) => {
                let mut scope = requests.keys.clone();
                scope.extend(self.windows(&body.windows, requests));
                always(evaluate_last(&body.columns, scope, &requests.times), length)
            }
            ViewBody::Composed(body) => {
                let mut scope = requests.keys.clone();
                scope.extend(request.iter().cloned());
                for input in &body.inputs {
                    scope.extend(self.read(input, requests, &[]).columns);
                }
                always(evaluate_last(&body.columns, scope, &requests.times), length)
            }
            ViewBody::Row(body) => self.rows(body, requests, &requests.times, None),
        }
    }

    /// The last rows of a row view with time `<= until` that `filter` (over the features)
    /// lets pass, judged for age and evaluated at the requests' times.
    fn rows(
        &self,
        body: &RowBody,
        requests: &Requests,
        until: &[i64],
        filter: Option<&Expr>,
    ) -> Answers {
        let length = requests.len();
        let mut found = vec![Found::Nothing; length];
        let mut times = vec![None; length];
        // The features of the rows that were tried, and which of them each request has.
        let mut tried_columns: Vec<Column> = body
            .columns
            .iter()
            .map(|expr| Column::new(&expr.data_type))
            .collect();
        let mut tried_rows: u32 = 0;
        let mut row_of = vec![NO_SLOT; length];
        // Requests whose row is still sought, with the candidate that did not pass.
        let mut open: Vec<(u32, Option<Candidate>)> = (0..length)
            .map(|i| (u32::try_from(i).expect("fewer than 2^32 requests"), None))
            .collect();
        let finder = LazyCell::new(|| CandidateFinder::new(self, &body.trigger, requests));
        let search = |open: &[(u32, Option<Candidate>)]| -> Vec<(u32, Candidate)> {
            let next = |(request, before): &(u32, Option<Candidate>)| {
                let i = *request as usize;
                let limits = Limits {
                    until: until[i],
                    at: requests.times[i],
                    known_at: requests.known_at(i),
                };
                Some((*request, finder.next(i, limits, before.as_ref())?))
            };
            open.iter().filter_map(next).collect()
        };
        let mut at_once = self.newest_of_all(&body.trigger, requests, until);
        while !open.is_empty() {
            let tried = at_once.take().unwrap_or_else(|| search(&open));
            open.clear();
            if tried.is_empty() {
                break;
            }
            let indices: Vec<u32> = tried.iter().map(|(request, _)| *request).collect();
            let (passes, columns) = self.evaluate_candidates(
                body,
                &requests.take(&indices),
                &tried.iter().map(|(_, c)| *c).collect::<Vec<_>>(),
                filter,
            );
            for (kept, column) in tried_columns.iter_mut().zip(columns) {
                kept.append(column);
            }
            let first = tried_rows;
            for (row, ((request, candidate), passes)) in (first..).zip(tried.iter().zip(passes)) {
                tried_rows = row + 1;
                if !passes {
                    open.push((*request, Some(*candidate)));
                    continue;
                }
                let i = *request as usize;
                times[i] = Some(candidate.time);
                let too_old = body
                    .ttl
                    .is_some_and(|ttl| candidate.time <= ttl.before(requests.times[i]));
                if too_old {
                    found[i] = Found::TooOld;
                } else {
                    found[i] = Found::Row;
                    row_of[i] = row;
                }
            }
        }
        let each_in_its_place =
            tried_rows as usize == length && row_of.iter().copied().eq(0..tried_rows);
        if !each_in_its_place {
            for column in &mut tried_columns {
                *column = column.gather_optional(&row_of);
            }
        }
        Answers {
            found,
            times,
            columns: tried_columns,
        }
    }

    /// The newest event up to each request's time, if nothing but keys and times decides and
    /// each request knows everything: then all are found in the order of keys.
    fn newest_of_all(
        &self,
        trigger: &Trigger,
        requests: &Requests,
        until: &[i64],
    ) -> Option<Vec<(u32, Candidate)>> {
        let Trigger::Source(side) = trigger else {
            return None;
        };
        let events = self.events(side.source.id);
        let decided = side.filter.is_none()
            && requests.known.is_none()
            && events.all_hold()
            && !events.has_deletes()
            && events.def().retain_gap(&side.key_columns).is_none();
        if !decided {
            return None;
        }
        let keyed = self.keyed(side.source.id, &side.key_columns);
        let placed = self.placed(side.source.id, &side.key_columns, requests);
        let mut found: Vec<Option<Candidate>> = vec![None; requests.len()];
        for (key, of_key) in placed.keys() {
            let KeyEvents { numbers, times } = keyed.of(key);
            let mut end = 0;
            for &(_, request) in of_key {
                // Later requests reach as far, or further.
                let until = until[request as usize];
                end += times[end..].partition_point(|&time| time <= until);
                found[request as usize] = end.checked_sub(1).map(|place| Candidate {
                    time: times[place],
                    left: Some(numbers[place]),
                    right: None,
                    place,
                });
            }
        }
        let found = (0..).zip(found);
        Some(found.filter_map(|(i, c)| Some((i, c?))).collect())
    }

    /// Whether each candidate's row passes the view's filter and `filter`, and its features.
    fn evaluate_candidates(
        &self,
        body: &RowBody,
        requests: &Requests,
        candidates: &[Candidate],
        filter: Option<&Expr>,
    ) -> (Vec<bool>, Vec<Column>) {
        let length = candidates.len();
        let times: Vec<i64> = candidates.iter().map(|c| c.time).collect();
        let at = |keys| Requests::new(keys, times.clone(), requests.known.clone());
        let mut scope = self.trigger_scope(&body.trigger, candidates);
        for windows in &body.windows {
            let keys = windows
                .key_columns
                .iter()
                .map(|&slot| scope[slot].clone())
                .collect();
            let columns = self.windows(windows, &at(keys));
            scope.extend(columns);
        }
        for lookup in &body.lookups {
            let keys = evaluate(&lookup.keys, &scope, &times);
            let columns = self.look_up(lookup, &at(keys));
            scope.extend(columns);
        }
        let mut passes = vec![true; length];
        if let Some(expr) = &body.filter {
            keep_true(expr, &scope, &requests.times, &mut passes);
        }
        let columns = evaluate_last(&body.columns, scope, &requests.times);
        if let Some(expr) = filter {
            keep_true(expr, &columns, &requests.times, &mut passes);
        }
        (passes, columns)
    }

    fn trigger_scope(&self, trigger: &Trigger, candidates: &[Candidate]) -> Vec<Column> {
        let side = |side: &TriggerSide, numbers: Vec<u32>| -> Vec<Column> {
            self.source_rows(side.source.id, &numbers)
        };
        let slots = |of: fn(&Candidate) -> Option<u32>| -> Vec<u32> {
            candidates
                .iter()
                .map(|c| of(c).unwrap_or(NO_SLOT))
                .collect()
        };
        match trigger {
            Trigger::Source(only) => side(only, slots(|c| c.left)),
            Trigger::Full { left, right } => {
                let mut scope = side(left, slots(|c| c.left));
                scope.extend(side(right, slots(|c| c.right)));
                scope
            }
        }
    }

    /// The source rows of events, NULLs where there is [none](NO_SLOT).
    pub(crate) fn source_rows(&self, source: SourceId, numbers: &[u32]) -> Vec<Column> {
        let events = self.events(source);
        events
            .def()
            .row_types()
            .iter()
            .enumerate()
            .map(|(slot, data_type)| {
                // What nobody wants is not read either, so it may stay empty.
                let column = events.column(slot);
                column.map_or_else(|| Column::new(data_type), |c| c.gather_optional(numbers))
            })
            .collect()
    }

    /// The columns that a look-up adds to the scope, for triggers at the requests' times.
    fn look_up(&self, lookup: &Lookup, requests: &Requests) -> Vec<Column> {
        let length = requests.len();
        let until: Vec<i64> = requests
            .times
            .iter()
            .map(|t| if lookup.strict { t - 1 } else { *t })
            .collect();
        let young_enough = |i: usize, time: i64| {
            lookup.max_age.is_none_or(|limit| {
                let oldest = limit.age.before(requests.times[i]);
                time > oldest || (limit.inclusive && time == oldest)
            })
        };
        match &lookup.target {
            LookupTarget::Source {
                source,
                key_columns,
            } => {
                let events = self.events(source.id);
                let keyed = self.keyed(source.id, key_columns);
                let filter = lookup.filter.as_ref().map(Program::compile);
                let key_of = keyed.find(&requests.keys, length);
                let numbers: Vec<u32> = (0..length)
                    .map(|i| {
                        let limits = Limits {
                            until: until[i],
                            at: requests.times[i],
                            known_at: requests.known_at(i),
                        };
                        let walk = KeyWalk::new(events, keyed.of(key_of[i]), key_columns, limits);
                        walk.newest(filter.as_ref(), None)
                            .filter(|(_, place)| young_enough(i, walk.of_key.times[*place]))
                            .map_or(NO_SLOT, |(number, _)| number)
                    })
                    .collect();
                self.source_rows(source.id, &numbers)
            }
            LookupTarget::View(view) => {
                let answers = match &view.body {
                    ViewBody::Row(body) => {
                        self.rows(body, requests, &until, lookup.filter.as_ref())
                    }
                    _ => self.read(view, requests, &[]),
                };
                let mut keep: Vec<bool> = (0..length)
                    .map(|i| {
                        requests.has_key(i)
                            && answers.found[i] == Found::Row
                            && answers.times[i].is_none_or(|time| young_enough(i, time))
                    })
                    .collect();
                if let (Some(filter), false) =
                    (&lookup.filter, matches!(view.body, ViewBody::Row(_)))
                {
                    keep_true(filter, &answers.columns, &requests.times, &mut keep);
                }
                let columns = answers.columns.iter();
                columns.map(|c| null_unless(c, &keep)).collect()
            }
        }
    }
}

fn always(columns: Vec<Column>, length: usize) -> Answers {
    Answers {
        found: vec![Found::Row; length],
        times: vec![None; length],
        columns,
    }
}
