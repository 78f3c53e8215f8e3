//! The naive oracle: each value from scratch, by its definition.
//!
//! It holds all logged events of the sources and, for every value, filters, groups, sorts
//! and counts them anew. It shares with the read path and the training path only the
//! definitions and the scalar expression evaluator; identities, ties, frames and aggregates
//! it decides by itself. Cost: linear in the events of the sources that a view reads, for
//! every value. Reference: `docs/semantics.md`, nothing else.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use evenkeel_aggregate::oracle as naive;
use evenkeel_expr::Program;
use evenkeel_types::codec::canonical_row;
use evenkeel_types::definition::{
    DerivedDef, Lookup, LookupTarget, RowBody, SourceDef, SourceKind, SourceWindows, Trigger,
    TriggerSide, ViewBody, ViewDef, WindowAggregate, WindowRows,
};
use evenkeel_types::{
    AggregateCall, EventTime, Expr, Knowledge, LoggedEvent, Operation, Position, SourceId, Value,
};

use crate::row::ViewRow;

/// See the module.
pub struct Oracle<'a> {
    events: BTreeMap<SourceId, Vec<&'a LoggedEvent>>,
    /// Events as they would be if they held, in the order of a source's events.
    candidates: RefCell<BTreeMap<SourceId, Rc<Vec<Rc<Candidate>>>>>,
    /// What held, for the knowledge that was asked with last.
    live: RefCell<VecDeque<Remembered>>,
}

type Remembered = (SourceId, Knowledge, Rc<Vec<Rc<Candidate>>>);

/// How many (source, knowledge) pairs an oracle remembers.
const REMEMBERED_MAX: usize = 16;

/// A logged event, and what it is if it holds.
struct Candidate {
    logged: LoggedEvent,
    time: i64,
    row: Vec<Value>,
    identity: Vec<u8>,
    is_delete: bool,
    sequence: Vec<Value>,
    id: Vec<Value>,
    canonical: Vec<u8>,
    origin: Vec<u8>,
}

impl Candidate {
    /// The order of one key's events.
    fn compare(&self, other: &Candidate) -> Ordering {
        self.time
            .cmp(&other.time)
            .then_with(|| compare_lists(&self.sequence, &other.sequence))
            .then_with(|| compare_lists(&self.id, &other.id))
            .then_with(|| self.canonical.cmp(&other.canonical))
            .then_with(|| self.origin.cmp(&other.origin))
    }
}

fn compare_lists(a: &[Value], b: &[Value]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(x, y)| x.total_cmp(y))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

impl<'a> Oracle<'a> {
    /// An oracle over these events, of any sources in any order.
    pub fn new(events: impl IntoIterator<Item = &'a LoggedEvent>) -> Self {
        let mut by_source: BTreeMap<SourceId, Vec<&LoggedEvent>> = BTreeMap::new();
        for event in events {
            by_source.entry(event.source).or_default().push(event);
        }
        Oracle {
            events: by_source,
            candidates: RefCell::default(),
            live: RefCell::default(),
        }
    }

    /// Reads a view: `key` in the order of the entity's key columns, `request` in the order
    /// of a composed view's request columns.
    pub fn read(
        &self,
        view: &ViewDef,
        key: &[Value],
        t: i64,
        knowledge: &Knowledge,
        request: &[Value],
    ) -> ViewRow {
        match &view.body {
            ViewBody::Window(body) => {
                let mut scope = key.to_vec();
                scope.extend(self.windows(&body.windows, key, t, knowledge));
                ViewRow::found(evaluate_all(&body.columns, &scope, t))
            }
            ViewBody::Row(body) => {
                let row = self.last_row(body, key, t, t, knowledge, &mut |_, _| true);
                match row {
                    None => ViewRow::not_found(view.features.len()),
                    Some((time, _)) if body.ttl.is_some_and(|ttl| time <= ttl.before(t)) => {
                        ViewRow::outside_max_age(view.features.len(), time)
                    }
                    Some((time, values)) => ViewRow::found_at(values, time),
                }
            }
            ViewBody::Composed(body) => {
                let mut scope = key.to_vec();
                scope.extend_from_slice(request);
                for input in &body.inputs {
                    scope.extend(self.read(input, key, t, knowledge, &[]).values);
                }
                ViewRow::found(evaluate_all(&body.columns, &scope, t))
            }
        }
    }

    /// The last row of a row view with time `<= until` that its filter and `accept` let
    /// pass, evaluated with read time `t`: its time and features.
    fn last_row(
        &self,
        body: &RowBody,
        key: &[Value],
        until: i64,
        t: i64,
        knowledge: &Knowledge,
        accept: &mut dyn FnMut(i64, &[Value]) -> bool,
    ) -> Option<(i64, Vec<Value>)> {
        for (time, scope) in self.trigger_rows(&body.trigger, key, until, t, knowledge) {
            let Some(values) = self.row_of(body, scope, (time, t), knowledge) else {
                continue;
            };
            if accept(time, &values) {
                return Some((time, values));
            }
        }
        None
    }

    /// The features of a row that a trigger brings at a time, evaluated with read time `t`; none if
    /// the filter leaves it out.
    fn row_of(
        &self,
        body: &RowBody,
        mut scope: Vec<Value>,
        (time, t): (i64, i64),
        knowledge: &Knowledge,
    ) -> Option<Vec<Value>> {
        for windows in &body.windows {
            let key: Vec<Value> = windows
                .key_columns
                .iter()
                .map(|&slot| scope[slot].clone())
                .collect();
            let values = self.windows(windows, &key, time, knowledge);
            scope.extend(values);
        }
        for lookup in &body.lookups {
            let found = self.look_up(lookup, &scope, time, knowledge);
            scope.extend(found);
        }
        let passes = body.filter.as_ref().is_none_or(|f| is_true(f, &scope, t));
        passes.then(|| evaluate_all(&body.columns, &scope, t))
    }

    /// The greatest time of the events of a source that hold, given what is known.
    pub fn greatest_time(&self, source: &SourceDef, knowledge: &Knowledge) -> Option<EventTime> {
        let live = self.live(source, knowledge);
        live.iter().map(|held| EventTime(held.time)).max()
    }

    /// Which of some versions of one event holds, given what is known, and the columns that a derived
    /// stream selects for it: none if its `WHERE` leaves it out, or its row is not due before a time.
    pub fn emitted(
        &self,
        derived: &DerivedDef,
        versions: &[&LoggedEvent],
        knowledge: &Knowledge,
        due_until: Option<EventTime>,
    ) -> Option<(Position, Option<Vec<Value>>)> {
        let side = derived.trigger();
        let live = self.live(&side.source, knowledge);
        let is_one = |c: &&Rc<Candidate>| {
            let mut versions = versions.iter();
            versions.any(|version| version.position == c.logged.position)
        };
        let held = live.iter().find(is_one)?;
        let (row, time) = (&held.row, derived.time_of(EventTime(held.time)).0);
        let passes = |filter: &Expr| is_true(filter, row, time);
        let is_due = derived.is_due(EventTime(held.time), due_until);
        let selected = match is_due && side.filter.as_ref().is_none_or(passes) {
            true => self.row_of(derived.body(), row.clone(), (time, time), knowledge),
            false => None,
        };
        Some((held.logged.position, selected))
    }

    /// The rows that a trigger brings for a key up to a time, newest first.
    fn trigger_rows(
        &self,
        trigger: &Trigger,
        key: &[Value],
        until: i64,
        t: i64,
        knowledge: &Knowledge,
    ) -> Vec<(i64, Vec<Value>)> {
        match trigger {
            Trigger::Source(side) => {
                let mut rows = self.side_rows(side, key, until, t, knowledge);
                rows.reverse();
                if side.source.kind == SourceKind::Table {
                    // The state: the newest version, unless it is a delete or is filtered.
                    rows.truncate(1);
                }
                rows.into_iter()
                    .filter_map(|(time, row)| Some((time, row?)))
                    .collect()
            }
            Trigger::Full { left, right } => {
                let left_rows = self.side_rows(left, key, until, t, knowledge);
                let right_rows = self.side_rows(right, key, until, t, knowledge);
                let mut times: Vec<i64> = left_rows
                    .iter()
                    .chain(&right_rows)
                    .map(|(time, _)| *time)
                    .collect();
                times.sort_unstable();
                times.dedup();
                times.reverse();
                let latest = |rows: &[(i64, Option<Vec<Value>>)], width: usize, t: i64| {
                    rows.iter()
                        .rfind(|(time, _)| *time <= t)
                        .and_then(|(_, row)| row.clone())
                        .unwrap_or_else(|| vec![Value::Null; width])
                };
                times
                    .into_iter()
                    .map(|t| {
                        let mut scope = latest(&left_rows, left.source.row_width(), t);
                        scope.extend(latest(&right_rows, right.source.row_width(), t));
                        (t, scope)
                    })
                    .collect()
            }
        }
    }

    /// One side's events of a key up to a time in order; `None` where a table's row is
    /// deleted or does not pass the side's filter.
    fn side_rows(
        &self,
        side: &TriggerSide,
        key: &[Value],
        until: i64,
        t: i64,
        knowledge: &Knowledge,
    ) -> Vec<(i64, Option<Vec<Value>>)> {
        let passes = |row: &[Value]| side.filter.as_ref().is_none_or(|f| is_true(f, row, t));
        let is_table = side.source.kind == SourceKind::Table;
        self.retained(
            &side.source,
            &side.key_columns,
            key,
            (until, t),
            knowledge,
            |live| {
                let row = (!live.is_delete && passes(&live.row)).then(|| live.row.clone());
                (is_table || row.is_some()).then_some((live.time, row))
            },
        )
    }

    /// The columns that a look-up adds to the scope.
    fn look_up(
        &self,
        lookup: &Lookup,
        scope: &[Value],
        at: i64,
        knowledge: &Knowledge,
    ) -> Vec<Value> {
        let nothing = vec![Value::Null; lookup.target.width()];
        let key: Vec<Value> = lookup
            .keys
            .iter()
            .map(|e| Program::compile(e).eval_row(scope, at))
            .collect();
        if key.iter().any(Value::is_missing) {
            return nothing;
        }
        let until = if lookup.strict { at - 1 } else { at };
        let young_enough = |time: i64| {
            lookup.max_age.is_none_or(|limit| {
                let oldest = limit.age.before(at);
                time > oldest || (limit.inclusive && time == oldest)
            })
        };
        let passes = |row: &[Value]| lookup.filter.as_ref().is_none_or(|f| is_true(f, row, at));
        match &lookup.target {
            LookupTarget::Source {
                source,
                key_columns,
            } => {
                let all =
                    self.retained(source, key_columns, &key, (until, at), knowledge, |live| {
                        Some((live.time, live.is_delete, live.row.clone()))
                    });
                let found = match source.kind {
                    SourceKind::Table => all.into_iter().next_back().filter(|(_, d, _)| !d),
                    SourceKind::Stream => all.into_iter().rfind(|(_, _, row)| passes(row)),
                };
                found
                    .filter(|(time, _, row)| young_enough(*time) && passes(row))
                    .map_or(nothing, |(_, _, row)| row)
            }
            LookupTarget::View(view) => match &view.body {
                ViewBody::Row(body) => {
                    // `>` excludes rows at the trigger's time; the read time stays.
                    let row = self.last_row(body, &key, until, at, knowledge, &mut |_, values| {
                        passes(values)
                    });
                    row.filter(|(time, _)| {
                        young_enough(*time) && body.ttl.is_none_or(|ttl| *time > ttl.before(at))
                    })
                    .map_or(nothing, |(_, values)| values)
                }
                _ => {
                    let row = self.read(view, &key, at, knowledge, &[]);
                    if passes(&row.values) {
                        row.values
                    } else {
                        nothing
                    }
                }
            },
        }
    }

    /// The aggregates of one key's windows that end at `t`.
    fn windows(
        &self,
        windows: &SourceWindows,
        key: &[Value],
        t: i64,
        knowledge: &Knowledge,
    ) -> Vec<Value> {
        if windows.has(WindowRows::Changes) {
            return self.windows_and_changes(windows, key, t, knowledge);
        }
        let live = self.live(&windows.source, knowledge);
        let has_a_key = !key.iter().any(Value::is_missing);
        // RETAIN looks at the versions of a table too, deletes included.
        let events: Vec<&Rc<Candidate>> = live
            .iter()
            .filter(|e| has_a_key && has_key(&e.row, &windows.key_columns, key))
            .collect();
        let times: Vec<i64> = events.iter().map(|e| e.time).collect();
        let passes: Vec<bool> = events
            .iter()
            .map(|e| {
                !e.is_delete
                    && windows
                        .filter
                        .as_ref()
                        .is_none_or(|f| is_true(f, &e.row, t))
            })
            .collect();
        let retain = windows.source.retain_gap(&windows.key_columns);
        let lives = match windows.has(WindowRows::Live) {
            true => are_latest(&windows.source, &live, &events, t),
            false => Vec::new(),
        };
        let frame = |aggregate: &WindowAggregate| match aggregate.rows {
            WindowRows::Events => {
                naive::frame_members(&aggregate.frame, retain, &times, &passes, t)
            }
            // Changes are no events; see `windows_and_changes`.
            WindowRows::Changes => Vec::new(),
            WindowRows::Live => (0..events.len())
                .filter(|&i| passes[i] && lives[i])
                .filter(|&i| retain.is_none_or(|gap| is_retained(&times, times[i], t, gap)))
                .collect(),
        };
        let rows: Vec<&[Value]> = events.iter().map(|e| e.row.as_slice()).collect();
        let value = |aggregate: &WindowAggregate| {
            evaluate_call(&aggregate.call, &frame(aggregate), &times, &rows, t)
        };
        windows.aggregates.iter().map(value).collect()
    }

    /// [`Oracle::windows`] where some are over changes.
    fn windows_and_changes(
        &self,
        windows: &SourceWindows,
        key: &[Value],
        t: i64,
        knowledge: &Knowledge,
    ) -> Vec<Value> {
        let (events, changes) = (
            windows.only(WindowRows::Events),
            windows.only(WindowRows::Changes),
        );
        let events = self.windows(&events, key, t, knowledge);
        let changes = self.changes(&changes, key, t, knowledge);
        let (mut events, mut changes) = (events.into_iter(), changes.into_iter());
        let value = |aggregate: &WindowAggregate| match aggregate.rows {
            WindowRows::Changes => changes.next(),
            WindowRows::Events | WindowRows::Live => events.next(),
        };
        let values = windows.aggregates.iter().filter_map(value);
        values.collect()
    }

    /// The aggregates of one key's windows over the changes of a table.
    fn changes(
        &self,
        windows: &SourceWindows,
        key: &[Value],
        t: i64,
        knowledge: &Knowledge,
    ) -> Vec<Value> {
        let source = &windows.source;
        let live = self.live(source, knowledge);
        let mut times = Vec::new();
        let mut rows = Vec::new();
        let mut latest: BTreeMap<Vec<u8>, &Candidate> = BTreeMap::new();
        for event in live.iter() {
            // A version without a primary key is of no row.
            let Some(row_key) = row_key(source, event) else {
                continue;
            };
            let before = latest.insert(row_key, event);
            let Some(row) = change_row(source, event, before) else {
                continue;
            };
            let has_a_key = !key.iter().any(Value::is_missing);
            if has_a_key && has_key(&row, &windows.key_columns, key) {
                times.push(event.time);
                rows.push(row);
            }
        }
        let filter = windows.filter.as_ref();
        let passes: Vec<bool> = rows
            .iter()
            .map(|row| filter.is_none_or(|f| is_true(f, row, t)))
            .collect();
        let retain = source.retain_gap(&windows.key_columns);
        let rows: Vec<&[Value]> = rows.iter().map(Vec::as_slice).collect();
        let value = |aggregate: &WindowAggregate| {
            let members = naive::frame_members(&aggregate.frame, retain, &times, &passes, t);
            evaluate_call(&aggregate.call, &members, &times, &rows, t)
        };
        windows.aggregates.iter().map(value).collect()
    }

    /// What `take` makes of the events of a key with time `<= until`, in order, but for those
    /// that `RETAIN` has let go at `t`.
    fn retained<T>(
        &self,
        source: &SourceDef,
        key_columns: &[usize],
        key: &[Value],
        (until, t): (i64, i64),
        knowledge: &Knowledge,
        take: impl Fn(&Candidate) -> Option<T>,
    ) -> Vec<T> {
        if key.iter().any(Value::is_missing) {
            return Vec::new();
        }
        let live = self.live(source, knowledge);
        let of_key: Vec<&Rc<Candidate>> = live
            .iter()
            .filter(|e| has_key(&e.row, key_columns, key))
            .collect();
        let times: Vec<i64> = of_key.iter().map(|e| e.time).collect();
        let retain = source.retain_gap(key_columns);
        of_key
            .into_iter()
            .filter(|e| e.time <= until)
            .filter(|e| retain.is_none_or(|gap| is_retained(&times, e.time, t, gap)))
            .filter_map(|e| take(e))
            .collect()
    }

    /// The events of a source that hold, given what is known, in order.
    fn live(&self, source: &SourceDef, knowledge: &Knowledge) -> Rc<Vec<Rc<Candidate>>> {
        let remembered = self
            .live
            .borrow()
            .iter()
            .find(|(id, known, _)| *id == source.id && known == knowledge)
            .map(|(_, _, live)| Rc::clone(live));
        if let Some(live) = remembered {
            return live;
        }
        let live = Rc::new(self.compute_live(source, knowledge));
        let mut remembered = self.live.borrow_mut();
        if remembered.len() == REMEMBERED_MAX {
            remembered.pop_front();
        }
        remembered.push_back((source.id, knowledge.clone(), Rc::clone(&live)));
        live
    }

    /// Every logged event of a source as a candidate, in order.
    fn candidates(&self, source: &SourceDef) -> Rc<Vec<Rc<Candidate>>> {
        if let Some(known) = self.candidates.borrow().get(&source.id) {
            return Rc::clone(known);
        }
        let mut candidates: Vec<Rc<Candidate>> = self
            .events
            .get(&source.id)
            .into_iter()
            .flatten()
            .map(|logged| Rc::new(candidate(source, logged)))
            .collect();
        candidates.sort_by(|a, b| a.compare(b));
        let candidates = Rc::new(candidates);
        self.candidates
            .borrow_mut()
            .insert(source.id, Rc::clone(&candidates));
        candidates
    }

    fn compute_live(&self, source: &SourceDef, knowledge: &Knowledge) -> Vec<Rc<Candidate>> {
        let all = self.candidates(source);
        let mut versions: BTreeMap<&[u8], Vec<&Rc<Candidate>>> = BTreeMap::new();
        for candidate in all.iter().filter(|c| knowledge.contains(&c.logged)) {
            versions
                .entry(&candidate.identity)
                .or_default()
                .push(candidate);
        }
        let mut live: Vec<Rc<Candidate>> = versions
            .values()
            .filter_map(|versions| holds(versions))
            .cloned()
            .collect();
        if let Some(within) = source.deduplicate_within {
            let dropped: Vec<bool> = live
                .iter()
                .map(|e| {
                    live.iter().any(|other| {
                        compare_lists(&other.id, &e.id).is_eq()
                            && other.time < e.time
                            && e.time - other.time <= within
                    })
                })
                .collect();
            let mut flags = dropped.into_iter();
            live.retain(|_| flags.next() == Some(false));
        }
        live.sort_by(|a, b| a.compare(b));
        live
    }
}

/// The version that holds: greatest revision, a removal before a replacement, then the
/// smaller row; of equal rows the one that was visible first. None if it is a removal.
fn holds<'c>(versions: &[&'c Rc<Candidate>]) -> Option<&'c Rc<Candidate>> {
    let newest = versions.iter().map(|v| v.logged.event.revision).max()?;
    let mut rivals: Vec<&Rc<Candidate>> = versions
        .iter()
        .filter(|v| v.logged.event.revision == newest)
        .copied()
        .collect();
    if rivals
        .iter()
        .any(|v| v.logged.event.operation == Operation::Remove)
    {
        return None;
    }
    rivals.sort_by(|a, b| {
        a.is_delete
            .cmp(&b.is_delete)
            .then_with(|| {
                canonical_row(&a.logged.event.row).cmp(&canonical_row(&b.logged.event.row))
            })
            .then_with(|| a.logged.visible_at().cmp(&b.logged.visible_at()))
            .then_with(|| a.logged.position.cmp(&b.logged.position))
    });
    rivals.first().copied()
}

fn source_row(source: &SourceDef, logged: &LoggedEvent) -> Vec<Value> {
    let mut row = logged.event.row.clone();
    row.resize(source.row_width(), Value::Null);
    for (slot, column) in source.columns.iter().enumerate() {
        if let Some(expr) = &column.computed {
            row[slot] = Program::compile(expr).eval_row(&row, 0);
        }
    }
    row[source.event_time_slot()] = Value::Timestamp(logged.event.event_time.0);
    row[source.visible_at_slot()] = Value::Timestamp(logged.visible_at().0);
    row
}

fn identity(source: &SourceDef, logged: &LoggedEvent, row: &[Value]) -> Vec<u8> {
    if source.event_id.is_empty() {
        return format!("{:?}", logged.event.origin).into_bytes();
    }
    let id: Vec<&Value> = source.event_id.iter().map(|&slot| &row[slot]).collect();
    format!("{id:?} at {}", logged.event.event_time.0).into_bytes()
}

fn candidate(source: &SourceDef, logged: &LoggedEvent) -> Candidate {
    let row = source_row(source, logged);
    let pick = |slots: &[usize]| slots.iter().map(|&slot| row[slot].clone()).collect();
    let mut origin = Vec::new();
    logged.event.origin.encode(&mut origin);
    Candidate {
        time: logged.event.event_time.0,
        identity: identity(source, logged, &row),
        is_delete: logged.event.operation == Operation::Delete,
        sequence: pick(&source.sequence_by),
        id: pick(&source.event_id),
        canonical: match source.kind {
            SourceKind::Stream => canonical_row(&logged.event.row),
            SourceKind::Table => Vec::new(),
        },
        origin,
        row,
        logged: logged.clone(),
    }
}

fn has_key(row: &[Value], key_columns: &[usize], key: &[Value]) -> bool {
    key_columns
        .iter()
        .zip(key)
        .all(|(&slot, part)| row[slot].same_bits(part))
}

/// The bytes of a version's primary key; none if a part of it is missing.
fn row_key(source: &SourceDef, version: &Candidate) -> Option<Vec<u8>> {
    let parts = source.primary_key.iter();
    let key: Vec<Value> = parts.map(|&slot| version.row[slot].clone()).collect();
    let is_whole = !key.iter().any(Value::is_missing);
    is_whole.then(|| canonical_row(&key))
}

/// The change row of a version and the version before it; none if a row that is not there
/// ends.
fn change_row(
    source: &SourceDef,
    event: &Candidate,
    before: Option<&Candidate>,
) -> Option<Vec<Value>> {
    let retain = source.retain_gap(&source.primary_key);
    let old = before
        .filter(|old| retain.is_none_or(|gap| event.time - old.time <= gap))
        .filter(|old| !old.is_delete);
    let mut row = match (event.is_delete, old) {
        (false, _) => event.row.clone(),
        (true, Some(old)) => old.row.clone(),
        (true, None) => return None,
    };
    for slot in [
        source.event_time,
        source.event_time_slot(),
        source.visible_at_slot(),
    ] {
        row[slot] = event.row[slot].clone();
    }
    let operation = match (event.is_delete, old) {
        (true, _) => "delete",
        (false, Some(_)) => "update",
        (false, None) => "insert",
    };
    match old {
        Some(old) => row.extend(old.row.iter().cloned()),
        None => row.resize(source.operation_slot(), Value::Null),
    }
    row.push(Value::string(operation));
    Some(row)
}

/// Which versions are the rows of their primary keys at `t`: none of all versions that hold,
/// which are in order, and are not after `t` comes later, and `RETAIN` has not let it go.
fn are_latest(
    source: &SourceDef,
    all: &[Rc<Candidate>],
    versions: &[&Rc<Candidate>],
    t: i64,
) -> Vec<bool> {
    let mut latest: BTreeMap<Vec<u8>, &Rc<Candidate>> = BTreeMap::new();
    for version in all.iter().filter(|version| version.time <= t) {
        if let Some(key) = row_key(source, version) {
            latest.insert(key, version);
        }
    }
    let retain = source.retain_gap(&source.primary_key);
    let is_latest = |version: &Rc<Candidate>| {
        let key = row_key(source, version);
        key.and_then(|key| latest.get(&key))
            .is_some_and(|latest| Rc::ptr_eq(latest, version))
            && retain.is_none_or(|gap| t - version.time <= gap)
    };
    versions.iter().map(|version| is_latest(version)).collect()
}

/// Whether no gap longer than `gap` lies between an event at `time` and `t`, `times` being
/// the times of all events of its key.
fn is_retained(times: &[i64], time: i64, t: i64, gap: i64) -> bool {
    let mut between: Vec<i64> = times
        .iter()
        .copied()
        .filter(|x| (time..=t).contains(x))
        .collect();
    between.sort_unstable();
    between.push(t);
    between.windows(2).all(|pair| pair[1] - pair[0] <= gap)
}

fn is_true(expr: &Expr, row: &[Value], read_time: i64) -> bool {
    matches!(
        Program::compile(expr).eval_row(row, read_time),
        Value::Boolean(true)
    )
}

/// A call over those of some rows, in their total order, that are in its window.
fn evaluate_call(
    call: &AggregateCall,
    members: &[usize],
    times: &[i64],
    rows: &[&[Value]],
    t: i64,
) -> Value {
    let passes = |row: &[Value]| call.filter.as_ref().is_none_or(|f| is_true(f, row, t));
    let inputs: Vec<naive::Input> = members
        .iter()
        .filter(|&&i| passes(rows[i]))
        .map(|&i| naive::Input {
            time: times[i],
            order: i.to_be_bytes().to_vec(),
            values: evaluate_all(&call.args, rows[i], t),
        })
        .collect();
    naive::evaluate(call, &inputs)
}

fn evaluate_all(exprs: &[Expr], row: &[Value], read_time: i64) -> Vec<Value> {
    exprs
        .iter()
        .map(|e| Program::compile(e).eval_row(row, read_time))
        .collect()
}
