//! The naive walk that says what streams with timers emit: record by record over what is logged, holding
//! everything, by what holds then.

use std::collections::BTreeMap;

use evenkeel_engine::Engine;
use evenkeel_log::{Backfill, Sequence};
use evenkeel_types::{Event, LoggedEvent, Operation, Origin, Position, SourceId, Value};

use crate::emissions::{bits, events};

pub(crate) const MINUTE: i64 = 60_000_000;

/// What an emission is: record, operation, the order's id, time, and bits of what is selected.
pub(crate) type Emitted = (u64, Operation, i64, i64, Vec<u8>);

pub(crate) fn emitted(engine: &Engine, stream: &str) -> Vec<Emitted> {
    let whole = |logged| emission(logged).expect("nothing of it is forgotten");
    events(engine, stream).into_iter().map(whole).collect()
}

/// None of one that is forgotten.
pub(crate) fn emission(logged: LoggedEvent) -> Option<Emitted> {
    let Event { row, origin, .. } = logged.event;
    let (Origin::Producer { sequence, .. }, Value::BigInt(id)) = (origin, row[2].clone()) else {
        return None;
    };
    let time = logged.event.event_time.0;
    let said = bits(row[2..].to_vec());
    Some((sequence, logged.event.operation, id, time, said))
}

/// The newest version of each identity and its row, if it holds.
type Versions = BTreeMap<(i64, i64), (u32, Option<Vec<Value>>)>;

/// What a record of the log is.
#[derive(Clone)]
pub(crate) enum Came {
    Event(&'static str, Event),
    Backfill(Backfill),
}

/// The naive walk: what holds, by id and time, with the revision.
#[derive(Default)]
pub(crate) struct Walk {
    orders: Versions,
    payments: Versions,
    notes: Vec<Vec<Value>>,
    emitted: BTreeMap<(i64, i64), Vec<u8>>,
    pub(crate) found: Vec<Emitted>,
}

/// The time of a row.
fn time_of(row: &[Value]) -> i64 {
    match row.last() {
        Some(Value::Timestamp(time)) => *time,
        other => panic!("{other:?}"),
    }
}

impl Walk {
    fn watermark(&self, wait_at_most: Option<i64>) -> i64 {
        let greatest = |of: &Versions, lateness: i64| {
            let rows = of.values().filter_map(|(_, row)| row.as_ref());
            let times = rows.map(|row| time_of(row) - lateness * MINUTE);
            times.max().unwrap_or(i64::MIN)
        };
        let (own, other) = (greatest(&self.orders, 4), greatest(&self.payments, 7));
        let alone = wait_at_most.map_or(i64::MIN, |wait| own.saturating_sub(wait * MINUTE));
        own.min(other).max(alone)
    }

    /// The row of an order by what holds now; none if it is not due, or left out.
    fn row(&self, order: &[Value], until: i64) -> Option<Vec<u8>> {
        let (from, end) = (time_of(order), time_of(order) + 30 * MINUTE);
        let is_small = matches!(order[2], Value::Double(total) if total < 90.0);
        let pays = |row: &&Vec<Value>| {
            let is_much = matches!(row[2], Value::Double(amount) if amount > 1.0);
            row[1] == order[0] && is_much && time_of(row) > from && time_of(row) <= end
        };
        let mut paid = self.payments.values().filter_map(|(_, row)| row.as_ref());
        if end >= until || !is_small || paid.any(|row| pays(&row)) {
            return None;
        }
        let notes = self.notes.iter();
        let known = notes.filter(|note| note[0] == order[1] && time_of(note) <= end);
        // Of one time the greatest row is last.
        let last = known.max_by_key(|note| (time_of(note), bits(note[..2].to_vec())));
        let level = last.map_or(Value::Null, |note| note[1].clone());
        Some(bits([order[0].clone(), order[2].clone(), level]))
    }

    fn settle(
        &mut self,
        record: u64,
        (id, time): (i64, i64),
        row: Option<Vec<u8>>,
        was_there: bool,
    ) {
        let end = time + 30 * MINUTE;
        let before = self.emitted.get(&(id, time)).cloned();
        let (operation, said) = match (before, &row) {
            (None, None) => return,
            (Some(before), None) => (Operation::Remove, before),
            (None, Some(row)) if was_there => (Operation::Replace, row.clone()),
            (None, Some(row)) => (Operation::Insert, row.clone()),
            (Some(_), Some(row)) => (Operation::Replace, row.clone()),
        };
        self.found.push((record, operation, id, end, said));
        match row {
            None => self.emitted.remove(&(id, time)),
            Some(row) => self.emitted.insert((id, time), row),
        };
    }

    fn was_there(&self, (id, time): (i64, i64)) -> bool {
        let end = time + 30 * MINUTE;
        self.found
            .iter()
            .any(|(_, _, other, at, _)| (*other, *at) == (id, end))
    }

    fn now(&self, key: (i64, i64), until: i64) -> Option<Vec<u8>> {
        let (_, row) = self.orders.get(&key)?;
        self.row(row.as_ref()?, until)
    }

    /// Goes over some records.
    pub(crate) fn go_on(
        &mut self,
        logged: impl IntoIterator<Item = (u64, Came)>,
        options: (bool, Option<i64>),
    ) {
        for (record, came) in logged {
            match came {
                Came::Event(source, event) => self.step(record, source, &event, options),
                Came::Backfill(period) => self.backfill(record, period, options.1),
            }
        }
    }

    /// A customer was never there: orders and notes are gone, and nothing is emitted for that.
    pub(crate) fn forget(&mut self, customer: &Value) {
        for (_, row) in self.orders.values_mut() {
            *row = row.take().filter(|row| row[1] != *customer);
        }
        self.notes.retain(|note| note[0] != *customer);
    }

    /// What holds of the orders of a period, whose rows are due, is said again.
    fn backfill(&mut self, record: u64, period: Backfill, wait: Option<i64>) {
        let until = self.watermark(wait);
        let keys: Vec<(i64, i64)> = self.orders.keys().copied().collect();
        for key in keys {
            let end = key.1 + 30 * MINUTE;
            let is_of_it = end >= period.from.0 && end < period.until.0;
            let holds = self.orders[&key].1.is_some();
            if !is_of_it || !holds || end >= until {
                continue;
            }
            let row = self.now(key, until);
            if self.emitted.get(&key) != row.as_ref() {
                let was_there = self.was_there(key);
                self.settle(record, key, row, was_there);
            }
        }
    }

    /// One event of the log.
    fn step(
        &mut self,
        record: u64,
        source: &str,
        event: &Event,
        (revises, wait): (bool, Option<i64>),
    ) {
        let until_before = self.watermark(wait);
        let mut affected: Vec<Vec<Value>> = Vec::new();
        let mut brought = None;
        match source {
            // It is forgotten.
            "notes" if event.operation == Operation::Remove => {}
            "notes" => {
                self.notes.push(event.row.clone());
                affected.push(event.row.clone());
            }
            _ => {
                let Value::BigInt(id) = event.row[0] else {
                    panic!()
                };
                let key = (id, event.event_time.0);
                let of = match source {
                    "orders" => &mut self.orders,
                    _ => &mut self.payments,
                };
                let known = of.get(&key);
                let is_new = known.is_none_or(|(revision, _)| event.revision > *revision);
                let before = known.and_then(|(_, row)| row.clone());
                let is_there = event.operation != Operation::Remove;
                let row = is_there.then(|| event.row.clone());
                let changes = is_new && (before.is_some() || row.is_some());
                if is_new {
                    of.insert(key, (event.revision, row.clone()));
                }
                if changes {
                    match source {
                        "orders" => brought = Some(key),
                        _ => affected.extend(before.into_iter().chain(row)),
                    }
                }
            }
        }
        let until = self.watermark(wait);
        if let Some(key) = brought {
            let row = self.now(key, until);
            let was_there = self.was_there(key);
            self.settle(record, key, row, was_there);
        }
        let keys: Vec<(i64, i64)> = self.orders.keys().copied().collect();
        for key in keys {
            let Some(order) = self.orders[&key].1.clone() else {
                continue;
            };
            let end = key.1 + 30 * MINUTE;
            let concerns = |row: &Vec<Value>| {
                let same = match source {
                    "notes" => row[0] == order[1],
                    _ => row[1] == order[0],
                };
                same && time_of(row) <= end
            };
            // Where time went back, what was emitted stays.
            if end >= until {
                continue;
            }
            let row = self.now(key, until);
            let is_due_now = end < until && end >= until_before;
            let is_other = self.emitted.get(&key) != row.as_ref();
            let is_first = is_due_now && !self.emitted.contains_key(&key);
            let is_revised = revises && (is_due_now || affected.iter().any(concerns));
            if is_other && (is_first || is_revised) {
                let was_there = self.was_there(key);
                self.settle(record, key, row, was_there);
            }
        }
    }
}

/// What is logged, with the numbers of records: events of sources, and backfills of a stream.
pub(crate) fn logged(engine: &Engine, stream: &str) -> Vec<(u64, Came)> {
    let mut logged: Vec<(u64, Came)> = Vec::new();
    for source in ["orders", "payments", "notes"] {
        let id: SourceId = engine.source(source).unwrap().id;
        for event in events(engine, source) {
            let position: Position = event.position;
            let sequence = engine.reader().sequence(id, position).unwrap().unwrap();
            logged.push((sequence.0, Came::Event(source, event.event)));
        }
    }
    let stream = engine.source(stream).unwrap().id;
    for asked in engine.reader().backfills(stream, Sequence(0)).unwrap() {
        logged.push((asked.sequence.0, Came::Backfill(asked.backfill)));
    }
    logged.sort_by_key(|(record, _)| *record);
    logged
}

/// How the streams that the walk knows are: whether they revise, and how long they wait.
pub(crate) const KINDS: [(&str, (bool, Option<i64>)); 3] = [
    ("unpaid", (false, None)),
    ("never_paid", (true, None)),
    ("impatient", (false, Some(15))),
];

/// Every stream that the walk knows has emitted what it says; how much that is, and how much of it was
/// withdrawn.
pub(crate) fn check_walked(engine: &Engine, told: &str) -> (usize, usize) {
    let (mut found, mut removed) = (0, 0);
    for (stream, options) in KINDS {
        let mut walk = Walk::default();
        walk.go_on(logged(engine, stream), options);
        let walked = walk.found;
        let ends = walked.iter().filter(|(_, op, ..)| *op == Operation::Remove);
        (found, removed) = (found + walked.len(), removed + ends.count());
        assert_eq!(
            sorted(emitted(engine, stream)),
            sorted(walked),
            "{stream}, {told}"
        );
    }
    (found, removed)
}

/// An emission without its record: operation, revision and the row's bytes.
type Said = (Operation, u32, Vec<u8>);

/// What all streams with timers emitted, without records: they differ where other commits are.
pub(crate) fn told(engine: &Engine) -> Vec<(&'static str, Vec<Said>)> {
    let streams = [
        "unpaid",
        "never_paid",
        "impatient",
        "asked",
        "silent",
        "checked",
    ];
    let part = |e: LoggedEvent| (e.event.operation, e.event.revision, bits(e.event.row));
    let of = |stream: &str| events(engine, stream).into_iter().map(part).collect();
    streams.map(|stream| (stream, of(stream))).into()
}

/// Of one record the order is the log's.
pub(crate) fn sorted(mut emitted: Vec<Emitted>) -> Vec<Emitted> {
    emitted.sort();
    emitted
}
