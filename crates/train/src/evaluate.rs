//! Views at many keys and times at once, straight from the events of the log.
//!
//! Set-at-a-time: a view is evaluated for all requests together; its look-ups become requests
//! of their own, at the triggers' times, and are evaluated together again. What a value is
//! (states, frames, expressions, identities) is shared with the read path; how it is reached
//! is not (`docs/decisions/0003-three-evaluators.md`).

mod candidates;
mod expressions;
mod newest;
mod requests;
mod walk;

use std::borrow::Cow;
use std::cell::{LazyCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use evenkeel_expr::Program;
use evenkeel_types::definition::{
    Lookup, LookupTarget, RowBody, SourceDef, Trigger, ViewBody, ViewDef,
};
use evenkeel_types::{Column, Expr, Interval, NO_SLOT, SourceId};
use evenkeel_view::Found;

use candidates::{Candidate, CandidateFinder, Candidates};
pub(crate) use expressions::evaluate;
use expressions::{evaluate_last, keep_true, null_unless};
pub use requests::{Answers, Requests};
pub(crate) use walk::{KeyWalk, Limits};

use crate::events::SourceEvents;
use crate::key_numbers::KeyNumbers;
use crate::keyed::{KeyedEvents, Placed};

/// Everything that the sweeps read.
pub struct Evaluator {
    sources: BTreeMap<SourceId, SourceEvents>,
    numbers: RefCell<BTreeMap<KeyOfSource, Rc<KeyNumbers>>>,
    keyed: RefCell<BTreeMap<KeyOfSource, Rc<KeyedEvents>>>,
}

/// A source and the slots of a key of it.
type KeyOfSource = (SourceId, Vec<usize>);

impl Evaluator {
    /// Over the events of these sources.
    pub(crate) fn new(sources: BTreeMap<SourceId, SourceEvents>) -> Self {
        Evaluator {
            sources,
            numbers: RefCell::default(),
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

    /// The keys of a source's events, by number.
    pub(crate) fn numbers(&self, source: SourceId, key_columns: &[usize]) -> Rc<KeyNumbers> {
        let number = || Rc::new(KeyNumbers::new(self.events(source), key_columns));
        let of_source = (source, key_columns.to_vec());
        Rc::clone(
            self.numbers
                .borrow_mut()
                .entry(of_source)
                .or_insert_with(number),
        )
    }

    /// The events of a source by key.
    pub(crate) fn keyed(&self, source: SourceId, key_columns: &[usize]) -> Rc<KeyedEvents> {
        let key = || {
            let numbers = self.numbers(source, key_columns);
            Rc::new(KeyedEvents::new(self.events(source), numbers))
        };
        let of_source = (source, key_columns.to_vec());
        Rc::clone(self.keyed.borrow_mut().entry(of_source).or_insert_with(key))
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
        let finder = LazyCell::new(|| CandidateFinder::new(self, &body.trigger, requests));
        // The candidates of some requests, after those that did not pass.
        let search = |open: &mut dyn Iterator<Item = (u32, Option<Candidate>)>| {
            let mut tried = Candidates::default();
            for (request, before) in open {
                let i = request as usize;
                let limits = Limits {
                    until: until[i],
                    at: requests.times[i],
                    known_at: requests.known_at(i),
                };
                if let Some(candidate) = finder.next(i, limits, before.as_ref()) {
                    tried.push(request, candidate);
                }
            }
            tried
        };
        let mut tried = match self.newest_of_all(&body.trigger, requests, until) {
            Some(tried) => tried,
            None => search(&mut (0..).take(length).map(|request| (request, None))),
        };
        while !tried.is_empty() {
            let of_tried = match tried.are_of_all(length) {
                true => Cow::Borrowed(requests),
                false => Cow::Owned(requests.without_keys(&tried.requests)),
            };
            let (passes, columns) = self.evaluate_candidates(body, &of_tried, &tried, filter);
            for (kept, column) in tried_columns.iter_mut().zip(columns) {
                kept.append(column);
            }
            let mut open = Vec::new();
            let first = tried_rows;
            for (row, (n, passes)) in (first..).zip(passes.into_iter().enumerate()) {
                tried_rows = row + 1;
                let request = tried.requests[n];
                if !passes {
                    open.push((request, Some(tried.get(n))));
                    continue;
                }
                let (i, time) = (request as usize, tried.times[n]);
                times[i] = Some(time);
                let too_old = |ttl: Interval| time <= ttl.before(requests.times[i]);
                if body.ttl.is_some_and(too_old) {
                    found[i] = Found::TooOld;
                } else {
                    found[i] = Found::Row;
                    row_of[i] = row;
                }
            }
            tried = search(&mut open.into_iter());
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

    /// The candidates of all requests at once, where [`Evaluator::newest`] finds them.
    fn newest_of_all(
        &self,
        trigger: &Trigger,
        requests: &Requests,
        until: &[i64],
    ) -> Option<Candidates> {
        let Trigger::Source(side) = trigger else {
            return None;
        };
        if side.filter.is_some() {
            return None;
        }
        let newest = self.newest(&side.source, &side.key_columns, requests, until)?;
        let times = self.events(side.source.id).times();
        Some(Candidates::newest(newest, times))
    }

    /// Whether each candidate's row passes the view's filter and `filter`, and its features.
    fn evaluate_candidates(
        &self,
        body: &RowBody,
        requests: &Requests,
        candidates: &Candidates,
        filter: Option<&Expr>,
    ) -> (Vec<bool>, Vec<Column>) {
        let times = &candidates.times;
        let at = |keys| Requests::new(keys, times.clone(), requests.known.clone());
        let mut scope = self.trigger_scope(&body.trigger, candidates, &slots_read(body));
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
            let keys = evaluate(&lookup.keys, &scope, times);
            let columns = self.look_up(lookup, &at(keys));
            scope.extend(columns);
        }
        let mut passes = vec![true; times.len()];
        if let Some(expr) = &body.filter {
            keep_true(expr, &scope, &requests.times, &mut passes);
        }
        let columns = evaluate_last(&body.columns, scope, &requests.times);
        if let Some(expr) = filter {
            keep_true(expr, &columns, &requests.times, &mut passes);
        }
        (passes, columns)
    }

    /// The rows of both sides; what is not read of them stays empty.
    fn trigger_scope(
        &self,
        trigger: &Trigger,
        candidates: &Candidates,
        read: &BTreeSet<usize>,
    ) -> Vec<Column> {
        match trigger {
            Trigger::Source(only) => self.rows_of(only.source.id, &candidates.left, |slot| {
                read.contains(&slot)
            }),
            Trigger::Full { left, right } => {
                let of_left = |slot: usize| read.contains(&slot);
                let mut scope = self.rows_of(left.source.id, &candidates.left, of_left);
                let first = scope.len();
                let of_right = |slot: usize| read.contains(&(first + slot));
                scope.extend(self.rows_of(right.source.id, &candidates.right, of_right));
                scope
            }
        }
    }

    /// The source rows of events, NULLs where there is [none](NO_SLOT).
    pub(crate) fn source_rows(&self, source: SourceId, numbers: &[u32]) -> Vec<Column> {
        self.rows_of(source, numbers, |_| true)
    }

    /// [`Evaluator::source_rows`] in the slots that are read; the others are empty.
    fn rows_of(
        &self,
        source: SourceId,
        numbers: &[u32],
        is_read: impl Fn(usize) -> bool,
    ) -> Vec<Column> {
        let events = self.events(source);
        events
            .def()
            .row_types()
            .iter()
            .enumerate()
            .map(|(slot, data_type)| {
                // What nobody wants is not read either, so it may stay empty.
                let column = events.column(slot).filter(|_| is_read(slot));
                column.map_or_else(|| Column::new(data_type), |c| c.gather_optional(numbers))
            })
            .collect()
    }

    /// The events of a source that a look-up finds, whatever their age.
    fn looked_up(
        &self,
        source: &SourceDef,
        key_columns: &[usize],
        lookup: &Lookup,
        requests: &Requests,
        until: &[i64],
    ) -> Vec<u32> {
        if lookup.filter.is_none()
            && let Some(newest) = self.newest(source, key_columns, requests, until)
        {
            return newest;
        }
        let events = self.events(source.id);
        let keyed = self.keyed(source.id, key_columns);
        let filter = lookup.filter.as_ref().map(Program::compile);
        let key_of = keyed.find(&requests.keys, requests.len());
        let newest = |i: usize| {
            let limits = Limits {
                until: until[i],
                at: requests.times[i],
                known_at: requests.known_at(i),
            };
            let walk = KeyWalk::new(events, keyed.of(key_of[i]), key_columns, limits);
            walk.newest(filter.as_ref(), None).unwrap_or(NO_SLOT)
        };
        (0..requests.len()).map(newest).collect()
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
                let times = self.events(source.id).times();
                let mut numbers = self.looked_up(source, key_columns, lookup, requests, &until);
                for (i, number) in numbers.iter_mut().enumerate() {
                    let is_found = *number != NO_SLOT;
                    if is_found && !young_enough(i, times[*number as usize]) {
                        *number = NO_SLOT;
                    }
                }
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

/// The slots of a row's scope that are read of it.
fn slots_read(body: &RowBody) -> BTreeSet<usize> {
    let keys = body.lookups.iter().flat_map(|lookup| &lookup.keys);
    let exprs = body.columns.iter().chain(&body.filter).chain(keys);
    let of_windows = body.windows.iter().flat_map(|w| &w.key_columns);
    exprs
        .flat_map(Expr::columns)
        .chain(of_windows.copied())
        .collect()
}

fn always(columns: Vec<Column>, length: usize) -> Answers {
    Answers {
        found: vec![Found::Row; length],
        times: vec![None; length],
        columns,
    }
}
