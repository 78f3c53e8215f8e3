//! One view for one key at one time: the read path.
//!
//! Reads blocks and summary nodes through [`Store`]; never the log.

mod events;
mod lasting;
mod rows;
mod sight;
mod walk;
mod windows;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_aggregate::History;
use evenkeel_expr::Program;
use evenkeel_types::{Knowledge, Offset, Partition, SourceCut, SourceId, Value, VisibleAt};

use rows::PlainRow;
pub(crate) use sight::Sight;
use sight::Trouble;
pub(crate) use walk::{Search, retained_from};

use crate::columns::ViewColumns;
use crate::plan::{CompiledBody, CompiledTrigger, CompiledView, IndexId, IndexPlan, Plan};
use crate::row::{Found, ViewRow};
use crate::source::encode_key;

/// Why a store could not be read: in words, and what caused it, if that is known.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{words}")]
pub struct ReadError {
    /// In words.
    pub words: String,
    /// Its cause.
    #[source]
    pub cause: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// The read seam: what a store must answer. A store is built for one [`Plan`].
pub trait Store {
    /// The plan.
    fn plan(&self) -> &Plan;

    /// The events of a key in an index; none if it has none. They may be read from a disk as
    /// the history is used.
    fn history(&self, index: IndexId, key: &[u8]) -> Result<Option<History>, ReadError>;

    /// These keys of an index are going to be asked for, in this order, others in between: what is in memory of
    /// them can be brought closer together. Nothing depends on it.
    fn expect(&self, _index: IndexId, _keys: Vec<Vec<u8>>) {}

    /// Whether a contested entry, itself known, holds given what is known
    /// (`docs/decisions/0001-versions-of-an-identity.md`).
    fn holds(
        &self,
        source: SourceId,
        entry: u64,
        cut: &SourceCut,
        known_at: Option<VisibleAt>,
    ) -> Result<bool, ReadError>;
}

/// Reads at one knowledge.
pub struct Reader<'a> {
    store: &'a dyn Store,
    /// The cut of each index's source.
    cuts: Vec<SourceCut>,
    known_at: Option<VisibleAt>,
    trouble: RefCell<Trouble>,
}

impl<'a> Reader<'a> {
    /// A reader that knows this.
    pub fn new(store: &'a dyn Store, knowledge: &Knowledge) -> Self {
        let cuts = store
            .plan()
            .indexes()
            .iter()
            .map(|index| knowledge.cut.of_source(index.source().id))
            .collect();
        Reader {
            store,
            cuts,
            known_at: knowledge.known_at,
            trouble: RefCell::default(),
        }
    }

    /// Goes on to knowledge in which a partition ends elsewhere.
    pub fn set_end(&mut self, source: SourceId, partition: Partition, end: Offset) {
        let indexes = self.store.plan().indexes().iter();
        for (index, cut) in indexes.zip(&mut self.cuts) {
            if index.source().id == source {
                cut.set_end(partition, end);
            }
        }
    }

    /// A reader that knows of that what was visible at a time.
    pub fn as_served(&self, known_at: VisibleAt) -> Reader<'a> {
        Reader {
            store: self.store,
            cuts: self.cuts.clone(),
            known_at: Some(known_at),
            trouble: RefCell::default(),
        }
    }

    /// Reads a view: `key` in the order of the entity's key columns, `request` in the order of
    /// a composed view's request columns.
    ///
    /// # Errors
    /// If what the answer needs cannot be read.
    pub fn read(
        &self,
        view: &CompiledView,
        key: &[Value],
        t: i64,
        request: &[Value],
    ) -> Result<ViewRow, ReadError> {
        let row = self.row(view, key, t, request);
        self.trouble()?;
        Ok(row)
    }

    /// The row that an event brings to a view of a derived stream: evaluated at the event's time,
    /// from its source row, which is used as memory and given back as it was. None if it is left out.
    ///
    /// # Errors
    /// If what the row needs cannot be read.
    pub fn brought(
        &self,
        view: &CompiledView,
        event: &mut Vec<Value>,
        time: i64,
    ) -> Result<Option<Vec<Value>>, ReadError> {
        let CompiledBody::Row(body) = &view.body else {
            return Ok(None);
        };
        let CompiledTrigger::Brought { condition } = &body.trigger else {
            return Ok(None);
        };
        let passes = condition
            .as_ref()
            .is_none_or(|c| c.eval_row(event, time) == Value::Boolean(true));
        let width = event.len();
        let row = passes
            .then(|| self.evaluate(body, time, time, event))
            .flatten();
        event.truncate(width);
        self.trouble()?;
        Ok(row)
    }

    /// Rows of a view are going to be read of these keys, in this order.
    pub fn expect<'k>(&self, view: &CompiledView, keys: impl Iterator<Item = &'k [Value]>) {
        let index = match &view.body {
            CompiledBody::Window { windows, .. } => windows.index,
            CompiledBody::Row(body) => match &body.trigger {
                CompiledTrigger::Source(side) => side.index,
                CompiledTrigger::Full { left, .. } => left.index,
                CompiledTrigger::Brought { .. } => return,
            },
            CompiledBody::Composed { .. } => return,
        };
        self.store
            .expect(index, keys.filter_map(encode_key).collect());
    }

    /// The rows that events bring to a view of a derived stream are going to be asked for, in this order; as far
    /// as their own columns say what is read for them.
    pub fn expect_brought(&self, view: &CompiledView, events: &[Vec<Value>]) {
        let CompiledBody::Row(body) = &view.body else {
            return;
        };
        let mut keys: BTreeMap<IndexId, Vec<Vec<u8>>> = BTreeMap::new();
        for event in events {
            for windows in &body.windows {
                let key = encode_key(windows.key_slots.iter().map(|&slot| &event[slot]));
                keys.entry(windows.index).or_default().extend(key);
            }
            for lookup in &body.lookups {
                let is_own = |p: &Program| p.columns().iter().all(|&column| column < event.len());
                if let (Some(index), true) = (lookup.index(), lookup.keys.iter().all(is_own)) {
                    let parts = lookup.keys.iter().map(|p| p.eval_row(event, 0));
                    let parts: Vec<Value> = parts.collect();
                    keys.entry(index).or_default().extend(encode_key(&parts));
                }
            }
        }
        for (index, keys) in keys {
            self.store.expect(index, keys);
        }
    }

    /// [`Reader::read`], appended to the rows that were read before; nothing is if it fails.
    ///
    /// # Errors
    /// If what the answer needs cannot be read.
    pub fn read_into(
        &self,
        view: &CompiledView,
        key: &[Value],
        t: i64,
        request: &[Value],
        columns: &mut ViewColumns,
    ) -> Result<(), ReadError> {
        let before = columns.len();
        let pushed = match &view.body {
            CompiledBody::Row(body) => self.plain_row(body, key, t, |row| match row {
                PlainRow::Nothing => columns.push_missing(Found::Nothing, None),
                PlainRow::TooOld(time) => columns.push_missing(Found::TooOld, Some(time)),
                PlainRow::Row(entry, places) => {
                    columns.push_found(entry.time(), |feature| entry.value(places[feature]));
                }
            }),
            _ => None,
        };
        if pushed.is_none() {
            columns.push(&self.row(view, key, t, request));
        }
        self.trouble().inspect_err(|_| columns.truncate(before))
    }

    /// Whether all that was used since the last call could be read.
    pub(crate) fn trouble(&self) -> Result<(), ReadError> {
        let Trouble { failure, sources } = self.trouble.take();
        let of_blocks = || sources.iter().find_map(|s| s.failure());
        match failure {
            Some(error) => Err(error),
            None => of_blocks().map_or(Ok(()), |words| {
                Err(ReadError {
                    words: words.to_owned(),
                    cause: None,
                })
            }),
        }
    }

    /// [`Reader::read`], before it is known whether everything could be read.
    fn row(&self, view: &CompiledView, key: &[Value], t: i64, request: &[Value]) -> ViewRow {
        match &view.body {
            CompiledBody::Window { windows, columns } => {
                let mut scope = key.to_vec();
                let history = self.history(windows.index, key);
                let changed = self.windows_of(windows, history.as_ref(), key, t, &mut scope);
                let values = columns.iter().map(|p| p.eval_row(&scope, t)).collect();
                let latest = || self.latest(windows, history.as_ref()?, t);
                ViewRow {
                    event_time: latest().max(changed),
                    ..ViewRow::found(values)
                }
            }
            CompiledBody::Composed { inputs, columns } => {
                let mut scope = key.to_vec();
                scope.extend_from_slice(request);
                let mut latest = None;
                for input in inputs {
                    let row = self.row(input, key, t, &[]);
                    latest = latest.max(row.event_time);
                    scope.extend(row.values);
                }
                let values = columns.iter().map(|p| p.eval_row(&scope, t)).collect();
                ViewRow {
                    event_time: latest,
                    ..ViewRow::found(values)
                }
            }
            CompiledBody::Row(body) => {
                let width = view.def.features.len();
                let plain = self.plain_row(body, key, t, |row| match row {
                    PlainRow::Nothing => ViewRow::not_found(width),
                    PlainRow::TooOld(time) => ViewRow::outside_max_age(width, time),
                    PlainRow::Row(entry, places) => {
                        let values = places.iter().map(|&place| entry.value(place));
                        ViewRow::found_at(values.collect(), entry.time())
                    }
                });
                if let Some(row) = plain {
                    return row;
                }
                let search = Search {
                    until: t,
                    at: t,
                    max_age: None,
                };
                match self.last_row(body, key, search, &mut |_| true) {
                    None => ViewRow::not_found(width),
                    Some(found) if body.ttl.is_some_and(|ttl| found.time <= ttl.before(t)) => {
                        ViewRow::outside_max_age(width, found.time)
                    }
                    Some(found) => ViewRow::found_at(found.row, found.time),
                }
            }
        }
    }

    pub(crate) fn sight(&self, index: IndexId) -> Sight<'_> {
        Sight {
            store: self.store,
            trouble: &self.trouble,
            source: self.index(index).source().id,
            cut: &self.cuts[index.0],
            known_at: self.known_at,
        }
    }

    pub(crate) fn index(&self, index: IndexId) -> &IndexPlan {
        &self.store.plan().indexes()[index.0]
    }

    pub(crate) fn history(&self, index: IndexId, key: &[Value]) -> Option<History> {
        match self.store.history(index, &encode_key(key)?) {
            Ok(history) => {
                let source = history.as_ref().and_then(History::source);
                let mut trouble = self.trouble.borrow_mut();
                trouble.sources.extend(source.map(Arc::clone));
                history
            }
            Err(error) => {
                self.trouble.borrow_mut().failure.get_or_insert(error);
                None
            }
        }
    }
}
