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
use std::sync::Arc;

use evenkeel_expr::Program;
use evenkeel_types::definition::{
    Lookup, LookupTarget, RowBody, SourceDef, Trigger, TriggerSide, ViewBody, ViewDef,
};
use evenkeel_types::{Column, Expr, ExprKind, Interval, NO_SLOT, SourceId};
use evenkeel_view::Found;

use candidates::{Candidate, CandidateFinder, Candidates};
pub(crate) use expressions::evaluate;
use expressions::{evaluate_last, keep_true, null_unless};
use newest::Newest;
use requests::UpTo;
pub use requests::{Answers, Requests, RowTimes};
pub(crate) use walk::{KeyWalk, Limits};

use crate::events::SourceEvents;
use crate::key_numbers::KeyNumbers;
use crate::keyed::{KeyedEvents, Placed};

/// Everything that the sweeps read.
#[derive(Default)]
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

    /// Takes the events of further sources.
    pub(crate) fn extend(&mut self, sources: BTreeMap<SourceId, SourceEvents>) {
        self.sources.extend(sources);
    }

    /// Lets go of the other sources, with what was made of their events.
    pub(crate) fn retain(&mut self, keeps: impl Fn(SourceId) -> bool) {
        self.sources.retain(|source, _| keeps(*source));
        self.numbers.get_mut().retain(|(id, _), _| keeps(*id));
        self.keyed.get_mut().retain(|(id, _), _| keeps(*id));
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
        match &view.body {
            ViewBody::Row(body) => self.rows(body, requests, UpTo::Time, None, true),
            _ => self.values(view, requests, request),
        }
    }

    /// [`Evaluator::read`] without the times of rows.
    pub(crate) fn values(
        &self,
        view: &ViewDef,
        requests: &Requests,
        request: &[Column],
    ) -> Answers {
        let length = requests.len();
        match &view.body {
            ViewBody::Window(body) => {
                let mut scope = keys_read(&body.columns, &requests.keys);
                scope.extend(self.windows(&body.windows, requests));
                always(evaluate_last(&body.columns, scope, &requests.times), length)
            }
            ViewBody::Composed(body) => {
                let mut scope = requests.keys.clone();
                scope.extend(request.iter().cloned());
                for input in &body.inputs {
                    scope.extend(self.values(input, requests, &[]).columns);
                }
                always(evaluate_last(&body.columns, scope, &requests.times), length)
            }
            ViewBody::Row(body) => self.rows(body, requests, UpTo::Time, None, false),
        }
    }

    /// The last rows of a row view, as far as the requests see, that `filter` (over the features)
    /// lets pass, judged for age and evaluated at the requests' times.
    fn rows(
        &self,
        body: &RowBody,
        requests: &Requests,
        up_to: UpTo,
        filter: Option<&Expr>,
        with_times: bool,
    ) -> Answers {
        let newest = self.newest_of_all(&body.trigger, requests, up_to);
        let newest = match (newest, &body.trigger) {
            (Some(newest), Trigger::Source(side)) if filter.is_none() && is_plain(body) => {
                return self.plain_rows(body, side, requests, newest, with_times);
            }
            (newest, _) => newest,
        };
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
                    until: up_to.of(requests.times[i]),
                    at: requests.times[i],
                    known_at: requests.known_at(i),
                };
                if let Some(candidate) = finder.next(i, limits, before.as_ref()) {
                    tried.push(request, candidate);
                }
            }
            tried
        };
        let mut tried = match (newest, &body.trigger) {
            (Some(newest), Trigger::Source(side)) => {
                let times = self.events(side.source.id).times();
                Candidates::newest(newest.by_request(requests), times)
            }
            _ => search(&mut (0..).take(length).map(|request| (request, None))),
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
            times: RowTimes::of(times),
            columns: tried_columns,
        }
    }

    /// The rows of a [plain](is_plain) body: each is an event of its trigger.
    fn plain_rows(
        &self,
        body: &RowBody,
        side: &TriggerSide,
        requests: &Requests,
        newest: Newest,
        with_times: bool,
    ) -> Answers {
        let order = newest.by_time.then(|| requests.in_order_of_time());
        let request_times = order.map_or(requests.times.as_slice(), |order| order.times.as_slice());
        let times = self.events(side.source.id).times();
        let time_of = |number: u32| times.get(number as usize).copied();
        let mut numbers = newest.numbers;
        let mut row_times: Vec<Option<i64>> = Vec::new();
        if with_times {
            row_times.extend(numbers.iter().map(|number| time_of(*number)));
        }
        let mut found: Vec<Found> = numbers
            .iter()
            .map(|number| match *number {
                NO_SLOT => Found::Nothing,
                _ => Found::Row,
            })
            .collect();
        if let Some(ttl) = body.ttl {
            let requests = numbers.iter_mut().zip(&mut found).zip(request_times);
            for ((number, found), at) in requests {
                if time_of(*number).is_some_and(|time| time <= ttl.before(*at)) {
                    *found = Found::TooOld;
                    *number = NO_SLOT;
                }
            }
        }
        let read = slots_read(body);
        let scope = self.rows_of(side.source.id, &numbers, |slot| read.contains(&slot));
        let mut columns = evaluate_last(&body.columns, scope, request_times);
        if let Some(order) = order {
            let in_place = |column: &Column| column.gather(&order.place_of);
            columns = columns.iter().map(in_place).collect();
            let places = order.place_of.iter().map(|place| *place as usize);
            found = places.clone().map(|place| found[place]).collect();
            if with_times {
                row_times = places.map(|place| row_times[place]).collect();
            }
        }
        Answers {
            found,
            times: RowTimes::of(row_times),
            columns,
        }
    }

    /// The newest event of the only side of a trigger for all requests, where
    /// [`Evaluator::newest`] finds them.
    fn newest_of_all(&self, trigger: &Trigger, requests: &Requests, up_to: UpTo) -> Option<Newest> {
        let Trigger::Source(side) = trigger else {
            return None;
        };
        if side.filter.is_some() {
            return None;
        }
        self.newest(&side.source, &side.key_columns, requests, up_to)
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
        let shared = LazyCell::new(|| Arc::new(times.clone()));
        let at = |keys| Requests::sharing(keys, Arc::clone(&shared), requests.known.clone());
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
        up_to: UpTo,
    ) -> Vec<u32> {
        if lookup.filter.is_none()
            && let Some(newest) = self.newest(source, key_columns, requests, up_to)
        {
            return newest.by_request(requests);
        }
        let events = self.events(source.id);
        let keyed = self.keyed(source.id, key_columns);
        let filter = lookup.filter.as_ref().map(Program::compile);
        let key_of = keyed.find(&requests.keys, requests.len());
        let newest = |i: usize| {
            let limits = Limits {
                until: up_to.of(requests.times[i]),
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
        let up_to = match lookup.strict {
            true => UpTo::Before,
            false => UpTo::Time,
        };
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
                let mut numbers = self.looked_up(source, key_columns, lookup, requests, up_to);
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
                        self.rows(body, requests, up_to, lookup.filter.as_ref(), true)
                    }
                    _ => self.read(view, requests, &[]),
                };
                let mut keep: Vec<bool> = (0..length)
                    .map(|i| {
                        requests.has_key(i)
                            && answers.found[i] == Found::Row
                            && answers
                                .times
                                .get(i)
                                .is_none_or(|time| young_enough(i, time))
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

/// The first columns of a scope of expressions; those that nobody reads stay empty.
fn keys_read(exprs: &[Expr], keys: &[Column]) -> Vec<Column> {
    let read: BTreeSet<usize> = exprs.iter().flat_map(Expr::columns).collect();
    let key = |(slot, column): (usize, &Column)| match read.contains(&slot) {
        true => column.clone(),
        false => column.empty_like(),
    };
    keys.iter().enumerate().map(key).collect()
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

/// Whether the features are columns of the trigger's events, and nothing else decides or is looked
/// for: what there is no row for has no values.
fn is_plain(body: &RowBody) -> bool {
    let is_column = |expr: &Expr| matches!(expr.kind, ExprKind::Column(_));
    body.filter.is_none()
        && body.windows.is_empty()
        && body.lookups.is_empty()
        && body.columns.iter().all(is_column)
}

fn always(columns: Vec<Column>, length: usize) -> Answers {
    Answers {
        found: vec![Found::Row; length],
        times: RowTimes::default(),
        columns,
    }
}
