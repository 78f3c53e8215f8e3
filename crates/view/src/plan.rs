//! Views compiled for the read path: which indexes a store must keep, and for each view what
//! to ask of them.
//!
//! An **index** holds the events of one source by one key, with the columns that some view
//! reads by that key. Several views, look-ups and windows share it: one recorded event is
//! kept once per (source, key), whatever the number of windows over it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_aggregate::{Aggregates, SignatureError, SpecId, WhereId};
use evenkeel_expr::Program;
use evenkeel_types::definition::{
    Catalog, ComposedBody, Digest, LookupTarget, MaxAge, RowBody, SourceDef, SourceKind,
    SourceWindows, Trigger, TriggerSide, ViewBody, ViewDef, WindowBody, WindowRows,
};
use evenkeel_types::{AggregateCall, DataType, Expr, ExprKind, Frame, Interval, SourceId};

use crate::changes::CompiledChanges;
use crate::live::CompiledLive;
use crate::look_back::LookBacks;
use crate::uses::Uses;

/// The number of an index in a [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId(pub usize);

/// What a store keeps of one source by one key.
#[derive(Debug)]
pub struct IndexPlan {
    source: Arc<SourceDef>,
    key_columns: Vec<usize>,
    /// The source row slots that are kept, ascending: column `i` of the index is slot
    /// `slots[i]`. Of a table one more column follows: whether the version is an upsert.
    slots: Vec<usize>,
    aggregates: Arc<Aggregates>,
    look_back: Option<i64>,
}

impl IndexPlan {
    /// The source.
    pub fn source(&self) -> &Arc<SourceDef> {
        &self.source
    }

    /// Source row slots of the key.
    pub fn key_columns(&self) -> &[usize] {
        &self.key_columns
    }

    /// Source row slots that are kept.
    pub fn slots(&self) -> &[usize] {
        &self.slots
    }

    /// The aggregates over the index's columns.
    pub fn aggregates(&self) -> &Arc<Aggregates> {
        &self.aggregates
    }

    /// `RETAIN`, microseconds.
    pub fn retain(&self) -> Option<i64> {
        self.source.retain_gap(&self.key_columns)
    }

    /// How long before the newest time an event can be that a read at that time needs,
    /// microseconds at most; `None`: there is no such limit.
    pub fn look_back(&self) -> Option<i64> {
        self.look_back
    }

    /// The column that says whether a table's version is an upsert.
    pub fn live_column(&self) -> Option<usize> {
        (self.source.kind == SourceKind::Table).then_some(self.slots.len())
    }

    /// The types of the index's columns.
    pub fn types(&self) -> Vec<DataType> {
        let row = self.source.row_types();
        self.slots
            .iter()
            .map(|&slot| row[slot].clone())
            .chain(self.live_column().map(|_| DataType::Boolean))
            .collect()
    }

    /// The expression over source row slots as one over the index's columns.
    fn localize(&self, expr: &Expr) -> Expr {
        expr.clone().map(&mut |mut e| {
            if let ExprKind::Column(slot) = &mut e.kind {
                *slot = self.column_of(*slot);
            }
            e
        })
    }

    /// The index's columns of source row slots that are kept.
    pub(crate) fn columns_of(&self, slots: &[usize]) -> Vec<usize> {
        slots.iter().map(|&slot| self.column_of(slot)).collect()
    }

    fn column_of(&self, slot: usize) -> usize {
        self.slots
            .binary_search(&slot)
            .expect("an index keeps every slot that its uses read")
    }
}

/// A condition over an index's columns.
#[derive(Debug)]
pub(crate) struct Condition(pub(crate) Program);

/// Calls over one frame, and where their results go.
pub(crate) type FrameCalls = (Frame, Vec<SpecId>, Vec<usize>);

/// Adds a call to those over its frame.
pub(crate) fn add_call(frames: &mut Vec<FrameCalls>, frame: &Frame, spec: SpecId, slot: usize) {
    match frames.iter_mut().find(|(known, ..)| known == frame) {
        Some((_, specs, slots)) => {
            specs.push(spec);
            slots.push(slot);
        }
        None => frames.push((frame.clone(), vec![spec], vec![slot])),
    }
}

/// Aggregates over one key, grouped by frame.
#[derive(Debug)]
pub(crate) struct CompiledWindows {
    pub(crate) index: IndexId,
    /// The calls over events.
    pub(crate) frames: Vec<FrameCalls>,
    /// The calls over rows that live, if there are any.
    pub(crate) live: Option<Box<CompiledLive>>,
    /// The calls over changes, if there are any.
    pub(crate) changes: Option<Box<CompiledChanges>>,
    pub(crate) width: usize,
    /// The scope slots of the key (for windows of a row view).
    pub(crate) key_slots: Vec<usize>,
}

/// One side of a trigger, or a source that is looked up.
#[derive(Debug)]
pub(crate) struct CompiledSide {
    pub(crate) index: IndexId,
    pub(crate) condition: Option<Condition>,
    pub(crate) is_table: bool,
    /// Whether a row of it stays one whatever the time, and no function is called for it.
    pub(crate) is_lasting: bool,
    /// Slots of the row that it fills.
    pub(crate) width: usize,
}

#[derive(Debug)]
pub(crate) enum CompiledTrigger {
    Source(CompiledSide),
    Full {
        left: CompiledSide,
        right: CompiledSide,
    },
    /// Each event brings its row: it is in no index.
    Brought {
        /// Over its source row.
        condition: Option<Program>,
    },
}

#[derive(Debug)]
pub(crate) enum CompiledTarget {
    Source(CompiledSide),
    View {
        view: Arc<CompiledView>,
        condition: Option<Program>,
    },
}

#[derive(Debug)]
pub(crate) struct CompiledLookup {
    pub(crate) target: CompiledTarget,
    pub(crate) keys: Vec<Program>,
    pub(crate) strict: bool,
    pub(crate) max_age: Option<MaxAge>,
    pub(crate) width: usize,
}

impl CompiledLookup {
    /// The index that is read first of all by the key; none if several are.
    pub(crate) fn index(&self) -> Option<IndexId> {
        match &self.target {
            CompiledTarget::Source(side) => Some(side.index),
            CompiledTarget::View { view, .. } => match &view.body {
                CompiledBody::Window { windows, .. } => Some(windows.index),
                CompiledBody::Row(body) => match &body.trigger {
                    CompiledTrigger::Source(side) => Some(side.index),
                    CompiledTrigger::Full { .. } | CompiledTrigger::Brought { .. } => None,
                },
                CompiledBody::Composed { .. } => None,
            },
        }
    }
}

#[derive(Debug)]
pub(crate) enum CompiledBody {
    Window {
        windows: CompiledWindows,
        columns: Vec<Program>,
    },
    Row(Box<CompiledRow>),
    Composed {
        inputs: Vec<Arc<CompiledView>>,
        columns: Vec<Program>,
    },
}

#[derive(Debug)]
pub(crate) struct CompiledRow {
    pub(crate) trigger: CompiledTrigger,
    pub(crate) windows: Vec<CompiledWindows>,
    pub(crate) lookups: Vec<CompiledLookup>,
    pub(crate) condition: Option<Program>,
    pub(crate) columns: Vec<Program>,
    pub(crate) ttl: Option<Interval>,
    /// For a view that has columns of its trigger's source as they are, and nothing else: the
    /// index's column of each.
    pub(crate) plain: Option<Vec<usize>>,
}

impl CompiledRow {
    /// [`CompiledRow::plain`], and the trigger.
    pub(crate) fn as_plain(&self) -> Option<(&CompiledSide, &[usize])> {
        match (&self.trigger, &self.plain) {
            (CompiledTrigger::Source(side), Some(columns)) => Some((side, columns)),
            _ => None,
        }
    }
}

/// A view ready to be read.
#[derive(Debug)]
pub struct CompiledView {
    pub(crate) def: Arc<ViewDef>,
    pub(crate) body: CompiledBody,
}

impl CompiledView {
    /// Its definition.
    pub fn def(&self) -> &Arc<ViewDef> {
        &self.def
    }

    /// The indexes that it reads by its own key: a key that is in none of them has no event and
    /// no row.
    pub fn own_indexes(&self) -> BTreeSet<IndexId> {
        match &self.body {
            CompiledBody::Window { windows, .. } => BTreeSet::from([windows.index]),
            CompiledBody::Row(body) => match &body.trigger {
                CompiledTrigger::Source(side) => BTreeSet::from([side.index]),
                CompiledTrigger::Full { left, right } => BTreeSet::from([left.index, right.index]),
                CompiledTrigger::Brought { .. } => BTreeSet::new(),
            },
            CompiledBody::Composed { inputs, .. } => {
                inputs.iter().flat_map(|view| view.own_indexes()).collect()
            }
        }
    }
}

/// All views of a catalog, compiled, and the indexes that they need.
#[derive(Debug, Default)]
pub struct Plan {
    indexes: Vec<IndexPlan>,
    by_key: BTreeMap<(SourceId, Vec<usize>), IndexId>,
    by_digest: BTreeMap<Digest, Arc<CompiledView>>,
}

impl Plan {
    /// Compiles views. Every index and every aggregate is known afterwards; a store is built
    /// for this plan.
    pub fn new<'a>(
        views: impl IntoIterator<Item = &'a Arc<ViewDef>> + Clone,
    ) -> Result<Self, SignatureError> {
        Plan::watching(views, &[])
    }

    /// Everything that is evaluated of a catalog.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn of(catalog: &Catalog) -> Result<Self, SignatureError> {
        Plan::watching(catalog.evaluated(), &catalog.watched())
    }

    /// [`Plan::new`], and events of sources that are found by some columns.
    fn watching<'a>(
        views: impl IntoIterator<Item = &'a Arc<ViewDef>> + Clone,
        watched: &[(&Arc<SourceDef>, Vec<usize>)],
    ) -> Result<Self, SignatureError> {
        let mut plan = Plan::default();
        let look_backs = LookBacks::of(views.clone().into_iter().map(AsRef::as_ref));
        let mut uses = Uses::of(views.clone().into_iter().map(AsRef::as_ref));
        for (source, key_columns) in watched {
            uses.add_key(source, key_columns);
        }
        for key_use in uses.iter() {
            let id = IndexId(plan.indexes.len());
            plan.by_key
                .insert((key_use.source.id, key_use.key_columns.clone()), id);
            let mut index = IndexPlan {
                source: Arc::clone(&key_use.source),
                key_columns: key_use.key_columns.clone(),
                slots: key_use.slots.iter().copied().collect(),
                aggregates: Arc::default(),
                look_back: look_backs.get(key_use.source.id, &key_use.key_columns),
            };
            // What `RETAIN` keeps alive may be of any age.
            if index.retain().is_some() {
                index.look_back = None;
            }
            plan.indexes.push(index);
        }
        for view in views {
            plan.compile(view)?;
        }
        Ok(plan)
    }

    /// The indexes by number.
    pub fn indexes(&self) -> &[IndexPlan] {
        &self.indexes
    }

    /// The index of a source by some columns.
    pub fn index(&self, source: SourceId, key_columns: &[usize]) -> Option<IndexId> {
        self.by_key.get(&(source, key_columns.to_vec())).copied()
    }

    /// The compiled form of a view that the plan was made for.
    pub fn view(&self, digest: &Digest) -> Option<&Arc<CompiledView>> {
        self.by_digest.get(digest)
    }

    fn compile(&mut self, def: &Arc<ViewDef>) -> Result<Arc<CompiledView>, SignatureError> {
        if let Some(known) = self.by_digest.get(&def.digest) {
            return Ok(Arc::clone(known));
        }
        let body = match &def.body {
            ViewBody::Window(body) => self.compile_window(body)?,
            ViewBody::Row(body) => self.compile_row(body)?,
            ViewBody::Composed(body) => self.compile_composed(body)?,
        };
        let view = Arc::new(CompiledView {
            def: Arc::clone(def),
            body,
        });
        self.by_digest.insert(def.digest, Arc::clone(&view));
        Ok(view)
    }

    fn compile_window(&mut self, body: &WindowBody) -> Result<CompiledBody, SignatureError> {
        Ok(CompiledBody::Window {
            windows: self.compile_windows(&body.windows)?,
            columns: body.columns.iter().map(Program::compile).collect(),
        })
    }

    fn compile_composed(&mut self, body: &ComposedBody) -> Result<CompiledBody, SignatureError> {
        Ok(CompiledBody::Composed {
            inputs: body
                .inputs
                .iter()
                .map(|v| self.compile(v))
                .collect::<Result<_, _>>()?,
            columns: body.columns.iter().map(Program::compile).collect(),
        })
    }

    fn compile_row(&mut self, body: &RowBody) -> Result<CompiledBody, SignatureError> {
        let trigger = match &body.trigger {
            Trigger::Source(side) if side.key_columns.is_empty() => CompiledTrigger::Brought {
                condition: side.filter.as_ref().map(Program::compile),
            },
            Trigger::Source(side) => CompiledTrigger::Source(self.compile_trigger_side(side)),
            Trigger::Full { left, right } => CompiledTrigger::Full {
                left: self.compile_trigger_side(left),
                right: self.compile_trigger_side(right),
            },
        };
        let windows = body
            .windows
            .iter()
            .map(|w| self.compile_windows(w))
            .collect::<Result<_, _>>()?;
        let mut lookups = Vec::with_capacity(body.lookups.len());
        for lookup in &body.lookups {
            let target = match &lookup.target {
                LookupTarget::Source {
                    source,
                    key_columns,
                } => CompiledTarget::Source(self.compile_side(
                    source,
                    key_columns,
                    lookup.filter.as_ref(),
                )),
                LookupTarget::View(view) => CompiledTarget::View {
                    view: self.compile(view)?,
                    condition: lookup.filter.as_ref().map(Program::compile),
                },
            };
            lookups.push(CompiledLookup {
                target,
                keys: lookup.keys.iter().map(Program::compile).collect(),
                strict: lookup.strict,
                max_age: lookup.max_age,
                width: lookup.target.width(),
            });
        }
        let columns: Vec<Program> = body.columns.iter().map(Program::compile).collect();
        let is_bare = body.windows.is_empty() && body.lookups.is_empty() && body.filter.is_none();
        let plain = match &trigger {
            CompiledTrigger::Source(side) if is_bare => {
                let slots = self.indexes[side.index.0].slots();
                let column = |p: &Program| slots.binary_search(&p.as_column()?).ok();
                columns.iter().map(column).collect()
            }
            _ => None,
        };
        Ok(CompiledBody::Row(Box::new(CompiledRow {
            trigger,
            windows,
            lookups,
            condition: body.filter.as_ref().map(Program::compile),
            columns,
            ttl: body.ttl,
            plain,
        })))
    }

    fn compile_trigger_side(&self, side: &TriggerSide) -> CompiledSide {
        self.compile_side(&side.source, &side.key_columns, side.filter.as_ref())
    }

    fn compile_side(
        &self,
        source: &SourceDef,
        key_columns: &[usize],
        filter: Option<&Expr>,
    ) -> CompiledSide {
        let index = self.index_of(source, key_columns);
        let plan = &self.indexes[index.0];
        CompiledSide {
            index,
            condition: filter.map(|f| Condition(Program::compile(&plan.localize(f)))),
            is_table: source.kind == SourceKind::Table,
            is_lasting: plan.retain().is_none() && filter.is_none_or(is_of_row_alone),
            width: source.row_width(),
        }
    }

    fn compile_windows(
        &mut self,
        windows: &SourceWindows,
    ) -> Result<CompiledWindows, SignatureError> {
        let index = self.index_of(&windows.source, &windows.key_columns);
        let mut live = match windows.has(WindowRows::Live) {
            true => Some(Box::new(self.live_rows(windows, index))),
            false => None,
        };
        let changes = match windows.has(WindowRows::Changes) {
            true => {
                let by_row = self.index_of(&windows.source, &windows.source.primary_key);
                let (of_key, of_row) = (&self.indexes[index.0], &self.indexes[by_row.0]);
                let changes = CompiledChanges::compile(windows, of_key, (by_row, of_row));
                Some(Box::new(changes?))
            }
            false => None,
        };
        let plan = &mut self.indexes[index.0];
        let condition = plan.window_condition(windows.filter.as_ref());
        let mut frames = Vec::new();
        for (slot, aggregate) in windows.aggregates.iter().enumerate() {
            if aggregate.rows == WindowRows::Changes {
                continue;
            }
            let call = plan.localize_call(&aggregate.call);
            if let (WindowRows::Live, Some(live)) = (aggregate.rows, &mut live) {
                let condition = live.aggregates.register_where(condition.as_ref());
                live.specs.push(live.aggregates.register(&call, condition)?);
                live.slots.push(slot);
                continue;
            }
            let aggregates = Arc::make_mut(&mut plan.aggregates);
            let condition: WhereId = aggregates.register_where(condition.as_ref());
            let spec = aggregates.register(&call, condition)?;
            add_call(&mut frames, &aggregate.frame, spec, slot);
        }
        Ok(CompiledWindows {
            index,
            frames,
            live,
            changes,
            width: windows.aggregates.len(),
            key_slots: windows.key_columns.clone(),
        })
    }

    /// Where the rows of a table are found, without any call yet.
    fn live_rows(&self, windows: &SourceWindows, index: IndexId) -> CompiledLive {
        let primary_key = &windows.source.primary_key;
        CompiledLive {
            by_row: self.index_of(&windows.source, primary_key),
            primary_key: self.indexes[index.0].columns_of(primary_key),
            aggregates: Aggregates::new(),
            specs: Vec::new(),
            slots: Vec::new(),
        }
    }

    fn index_of(&self, source: &SourceDef, key_columns: &[usize]) -> IndexId {
        *self
            .by_key
            .get(&(source.id, key_columns.to_vec()))
            .expect("an index was made for every use before views were compiled")
    }
}

/// Whether an expression asks for nothing but columns.
fn is_of_row_alone(expr: &Expr) -> bool {
    let mut is_alone = true;
    expr.walk(&mut |part| {
        is_alone &= !matches!(part.kind, ExprKind::ReadTime | ExprKind::External { .. });
    });
    is_alone
}

impl IndexPlan {
    fn localize_call(&self, call: &AggregateCall) -> AggregateCall {
        AggregateCall {
            args: call.args.iter().map(|e| self.localize(e)).collect(),
            filter: call.filter.as_ref().map(|e| self.localize(e)),
            ..call.clone()
        }
    }

    /// A window's `WHERE`; for a table its deletes are no events of the window.
    fn window_condition(&self, filter: Option<&Expr>) -> Option<Expr> {
        let filter = filter.map(|f| self.localize(f));
        let Some(live) = self.live_column() else {
            return filter;
        };
        let live = Expr::column(live, DataType::Boolean);
        Some(match filter {
            None => live,
            Some(filter) => Expr {
                kind: ExprKind::And(vec![live, filter]),
                data_type: DataType::Boolean,
            },
        })
    }
}
