//! What views say of every key of their entity at one time.
//!
//! Read like a training set, from the log at a cut, and in the same invariant: the features of a key
//! are those of a read of it, and so is whether anything is known of it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use evenkeel_log::EventSource;
use evenkeel_types::codec::encode_value;
use evenkeel_types::definition::{Trigger, ViewBody, ViewDef};
use evenkeel_types::{Column, Cut, Field, SourceId};
use evenkeel_view::Uses;
use rustc_hash::FxHashSet;

use crate::error::TrainError;
use crate::evaluate::{Evaluator, Requests};

/// See the module. In no order that means anything.
#[derive(Clone, Debug)]
pub struct Population {
    /// A column per part of the key: every key of which some source of the views has an event.
    pub keys: Vec<Column>,
    /// Whether a view knows something of the key: an event of a window view, a row of a row view.
    pub known: Vec<bool>,
    /// Of each view the features.
    pub features: Vec<Vec<Column>>,
}

impl Population {
    /// Reads views of one entity at a time and a cut. `progress` is told how many events were
    /// read, and may stop it.
    ///
    /// # Errors
    /// [`TrainError::Stopped`]; if the log cannot be read.
    pub fn read(
        log: &dyn EventSource,
        views: &[ViewDef],
        at: i64,
        cut: &Cut,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Self, TrainError> {
        let evaluator = Evaluator::load(log, &Uses::of(views), cut, progress)?;
        Ok(evaluator.population(views, at))
    }
}

impl Evaluator {
    fn population(&self, views: &[ViewDef], at: i64) -> Population {
        let mut leaves = Vec::new();
        views
            .iter()
            .for_each(|view| collect_leaves(view, &mut leaves));
        let (windows, rows): (Vec<&ViewDef>, Vec<&ViewDef>) = leaves
            .into_iter()
            .partition(|view| matches!(view.body, ViewBody::Window(_)));
        let key = views.first().map_or(&[][..], |view| &view.key);
        let mut union = KeyUnion::new(key);
        union.add(self, &windows, at);
        // An event of a window view is all that there is to be known.
        let mut known = vec![true; union.len()];
        union.add(self, &rows, at);
        known.resize(union.len(), false);
        let requests = Requests::new(union.keys, vec![at; known.len()], None);
        let answers: Vec<_> = views
            .iter()
            .map(|view| self.read(view, &requests, &[]))
            .collect();
        for row in rows {
            let own = views.iter().position(|view| std::ptr::eq(view, row));
            let read = own.is_none().then(|| self.read(row, &requests, &[]));
            let times = own.map(|view| &answers[view]).or(read.as_ref());
            let times = times.map(|answers| &answers.times);
            for (row, known) in known.iter_mut().enumerate() {
                *known |= times.is_some_and(|times| times.get(row).is_some());
            }
        }
        Population {
            keys: requests.keys,
            known,
            features: answers.into_iter().map(|a| a.columns).collect(),
        }
    }

    /// Every key that has an event up to a time in what brings values of a view: a column per part
    /// of the key, each key once.
    pub(crate) fn keys_until(&self, view: &ViewDef, until: i64) -> Vec<Column> {
        let mut leaves = Vec::new();
        collect_leaves(view, &mut leaves);
        let mut union = KeyUnion::new(&view.key);
        union.add(self, &leaves, until);
        union.keys
    }
}

/// Keys of several sources, each once.
struct KeyUnion {
    keys: Vec<Column>,
    /// Where keys came from.
    sides: BTreeSet<(SourceId, Vec<usize>)>,
    /// The encodings of the keys, once there are keys of more than one source.
    known: Option<FxHashSet<Vec<u8>>>,
}

impl KeyUnion {
    fn new(key: &[Field]) -> Self {
        KeyUnion {
            keys: key
                .iter()
                .map(|field| Column::new(&field.data_type))
                .collect(),
            sides: BTreeSet::new(),
            known: None,
        }
    }

    fn len(&self) -> usize {
        self.keys.first().map_or(0, Column::len)
    }

    /// Adds the keys that have an event up to a time in what brings values of views.
    fn add(&mut self, evaluator: &Evaluator, leaves: &[&ViewDef], until: i64) {
        for side in leaves.iter().flat_map(|view| sides_of(view)) {
            if self.sides.insert(side.clone()) {
                self.add_side(evaluator, side, until);
            }
        }
    }

    fn add_side(&mut self, evaluator: &Evaluator, side: (SourceId, Vec<usize>), until: i64) {
        let (source, key_columns) = side;
        let events = evaluator.events(source);
        let keyed = evaluator.keyed(source, &key_columns);
        let first = |key: usize| {
            // As many as events, of which there are fewer than 2^32.
            let of_key = keyed.of(key as u32);
            let end = of_key.times.partition_point(|&time| time <= until);
            let mut numbers = of_key.numbers[..end].iter().copied();
            numbers.find(|number| events.holds(*number, None))
        };
        let found: Vec<u32> = (0..keyed.len()).filter_map(first).collect();
        let columns = key_columns.iter().map(|&slot| &events.columns()[slot]);
        let mut keys: Vec<Column> = columns.map(|column| column.gather(&found)).collect();
        if self.len() > 0 {
            let own = &self.keys;
            let known = self.known.get_or_insert_with(|| {
                let length = own.first().map_or(0, Column::len);
                (0..length).map(|row| encoded(own, row)).collect()
            });
            let fresh = (0..)
                .zip(&found)
                .filter(|(row, _)| known.insert(encoded(&keys, *row)));
            let fresh: Vec<u32> = fresh.map(|(row, _)| row as u32).collect();
            keys = keys.iter().map(|column| column.gather(&fresh)).collect();
        }
        for (column, more) in self.keys.iter_mut().zip(keys) {
            column.append(more);
        }
    }
}

fn encoded(keys: &[Column], row: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    keys.iter()
        .for_each(|column| encode_value(&column.get(row), &mut bytes));
    bytes
}

/// The views that a view's values come from and that have keys of their own.
fn collect_leaves<'a>(view: &'a ViewDef, leaves: &mut Vec<&'a ViewDef>) {
    match &view.body {
        ViewBody::Window(_) | ViewBody::Row(_) => leaves.push(view),
        ViewBody::Composed(body) => {
            for input in &body.inputs {
                collect_leaves(input, leaves);
            }
        }
    }
}

/// The sources whose events give a view's keys, with the columns that are the key.
fn sides_of(view: &ViewDef) -> Vec<(SourceId, Vec<usize>)> {
    match &view.body {
        ViewBody::Window(body) => vec![(body.windows.source.id, body.windows.key_columns.clone())],
        ViewBody::Row(body) => {
            let sides = match &body.trigger {
                Trigger::Source(only) => vec![only],
                Trigger::Full { left, right } => vec![left, right],
            };
            let sides = sides.into_iter();
            sides
                .map(|side| (side.source.id, side.key_columns.clone()))
                .collect()
        }
        ViewBody::Composed(_) => Vec::new(),
    }
}
