//! The store in memory: the indexes of a plan and what tells the versions of an identity
//! apart, rebuilt from the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_aggregate::{Entry, EventOrder, History};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{
    DataType, LoggedEvent, Operation, Position, SourceCut, SourceId, Value, VisibleAt,
};
use evenkeel_view::{IndexId, Plan, SourceProgram, Store};
use rustc_hash::FxHashMap;

use crate::source_state::{Applied, SourceState};

/// One index: the events of one source by one key.
#[derive(Debug)]
struct Index {
    types: Arc<[DataType]>,
    histories: FxHashMap<Box<[u8]>, History>,
}

/// Everything that reads need, in memory. Single writer; reads borrow it.
#[derive(Debug)]
pub struct MemoryStore {
    plan: Arc<Plan>,
    indexes: Vec<Index>,
    /// The indexes of each source.
    of_source: BTreeMap<SourceId, Vec<IndexId>>,
    sources: BTreeMap<SourceId, SourceState>,
}

impl MemoryStore {
    /// An empty store for a plan, that takes events of these sources.
    pub fn new(plan: Arc<Plan>, sources: impl IntoIterator<Item = Arc<SourceDef>>) -> Self {
        let mut of_source: BTreeMap<SourceId, Vec<IndexId>> = BTreeMap::new();
        let mut indexes = Vec::with_capacity(plan.indexes().len());
        for (number, index) in plan.indexes().iter().enumerate() {
            of_source
                .entry(index.source().id)
                .or_default()
                .push(IndexId(number));
            indexes.push(Index {
                types: index.types().into(),
                histories: FxHashMap::default(),
            });
        }
        let sources = sources
            .into_iter()
            .map(|def| (def.id, SourceState::new(def)))
            .collect();
        MemoryStore {
            plan,
            indexes,
            of_source,
            sources,
        }
    }

    /// What the recorder knows of a source.
    pub fn source(&self, id: SourceId) -> Option<&SourceState> {
        self.sources.get(&id)
    }

    /// Applies an event of the log: from now on reads see it. Events of one partition come in
    /// their order. `fetch` gives an earlier event of the same source at a position.
    pub fn apply<E>(
        &mut self,
        logged: &LoggedEvent,
        fetch: impl Fn(Position) -> Result<LoggedEvent, E>,
    ) -> Result<Option<Applied>, E> {
        let Some(state) = self.sources.get_mut(&logged.source) else {
            return Ok(None);
        };
        let row = state.program().row(logged);
        let applied = state.apply(logged, &row, &fetch)?;
        let program = state.program();
        let ids = self
            .of_source
            .get(&logged.source)
            .map_or(&[][..], Vec::as_slice);
        if logged.event.operation != Operation::Remove {
            let order = program.order(logged, &row);
            for &id in ids {
                let plan = &self.plan.indexes()[id.0];
                let Some(key) = program.key(&row, plan.key_columns()) else {
                    continue;
                };
                let values = index_values(plan.slots(), plan.live_column(), logged, &row);
                let index = &mut self.indexes[id.0];
                index
                    .histories
                    .entry(key.into())
                    .or_insert_with(|| History::new(Arc::clone(&index.types)))
                    .insert(&Entry {
                        time: logged.event.event_time.0,
                        order: &order,
                        position: logged.position,
                        visible_at: logged.visible_at().0,
                        contested: applied.contested,
                        id: applied.entry,
                        values: &values,
                    });
            }
        }
        for &position in &applied.newly_contested {
            let earlier = fetch(position)?;
            let row = program.row(&earlier);
            let order = program.order(&earlier, &row);
            for &id in ids {
                let key_columns = self.plan.indexes()[id.0].key_columns();
                mark_contested(
                    &mut self.indexes[id.0],
                    program,
                    key_columns,
                    &earlier,
                    &row,
                    &order,
                );
            }
        }
        Ok(Some(applied))
    }
}

/// Marks the entry of an earlier event in one index.
fn mark_contested(
    index: &mut Index,
    program: &SourceProgram,
    key_columns: &[usize],
    earlier: &LoggedEvent,
    row: &[Value],
    order: &[u8],
) {
    let Some(key) = program.key(row, key_columns) else {
        return;
    };
    let Some(history) = index.histories.get_mut(key.as_slice()) else {
        return;
    };
    let time = earlier.event.event_time.0;
    // The order ends with the log position, so that it names one entry.
    let id = history
        .descending(time, false, &evenkeel_aggregate::Everything)
        .take_while(|entry| entry.time() == time)
        .find(|entry| entry.order().order == order)
        .map(|entry| entry.id());
    if let Some(id) = id {
        history.set_contested(EventOrder::new(time, order), id);
    }
}

fn index_values(
    slots: &[usize],
    live_column: Option<usize>,
    logged: &LoggedEvent,
    row: &[Value],
) -> Vec<Value> {
    let is_live = logged.event.operation != Operation::Delete;
    slots
        .iter()
        .map(|&slot| row[slot].clone())
        .chain(live_column.map(|_| Value::Boolean(is_live)))
        .collect()
}

impl Store for MemoryStore {
    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn history(&self, index: IndexId, key: &[u8]) -> Option<&History> {
        self.indexes[index.0].histories.get(key)
    }

    fn holds(
        &self,
        source: SourceId,
        entry: u64,
        cut: &SourceCut,
        known_at: Option<VisibleAt>,
    ) -> bool {
        self.sources
            .get(&source)
            .is_some_and(|s| s.holds(entry, cut, known_at))
    }
}
