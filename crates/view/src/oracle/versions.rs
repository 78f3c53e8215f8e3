//! Which events hold, given what is known: identities, the version that wins, and the order of
//! events.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use evenkeel_expr::Program;
use evenkeel_types::codec::canonical_row;
use evenkeel_types::definition::{SourceDef, SourceKind};
use evenkeel_types::{Knowledge, LoggedEvent, Operation, SourceId, Value};

use super::Oracle;

pub(super) type Remembered = (SourceId, Knowledge, Rc<Vec<Rc<Candidate>>>);

/// How many (source, knowledge) pairs an oracle remembers.
const REMEMBERED_MAX: usize = 16;

/// A logged event, and what it is if it holds.
pub(super) struct Candidate {
    pub(super) logged: LoggedEvent,
    pub(super) time: i64,
    pub(super) row: Vec<Value>,
    pub(super) identity: Vec<u8>,
    pub(super) is_delete: bool,
    pub(super) sequence: Vec<Value>,
    pub(super) id: Vec<Value>,
    pub(super) canonical: Vec<u8>,
    pub(super) origin: Vec<u8>,
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

impl Oracle<'_> {
    /// The events of a source that hold, given what is known, in order.
    pub(super) fn live(&self, source: &SourceDef, knowledge: &Knowledge) -> Rc<Vec<Rc<Candidate>>> {
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
