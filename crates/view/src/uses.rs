//! Which sources a view reads, by which keys, and which of their columns.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use evenkeel_types::definition::{
    LookupTarget, RowBody, SourceDef, SourceWindows, SpineQuery, Trigger, TriggerSide, ViewBody,
    ViewDef, WindowRows,
};
use evenkeel_types::{Expr, SourceId};

/// The columns of one source that are read by one key.
#[derive(Clone, Debug)]
pub struct KeyUse {
    /// The source.
    pub source: Arc<SourceDef>,
    /// Source row slots of the key.
    pub key_columns: Vec<usize>,
    /// Source row slots that expressions read.
    pub slots: BTreeSet<usize>,
}

/// All sources that some views read, by source and key.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    by_key: BTreeMap<(SourceId, Vec<usize>), KeyUse>,
}

impl Uses {
    /// What these views read, through look-ups and inputs.
    pub fn of<'a>(views: impl IntoIterator<Item = &'a ViewDef>) -> Self {
        let mut uses = Uses::default();
        for view in views {
            uses.add_view(view);
        }
        uses
    }

    /// Adds what a view reads.
    pub fn add_view(&mut self, view: &ViewDef) {
        match &view.body {
            ViewBody::Window(body) => self.add_windows(&body.windows),
            ViewBody::Row(body) => self.add_row_body(body),
            ViewBody::Composed(body) => {
                for input in &body.inputs {
                    self.add_view(input);
                }
            }
        }
    }

    /// Adds what a spine query reads of its source.
    pub fn add_spine(&mut self, query: &SpineQuery) {
        let exprs = query.columns.iter().map(|(_, e)| e).chain(&query.filter);
        let keys = query.labels.iter().flat_map(|l| &l.key);
        let slots: Vec<usize> = exprs.chain(keys).flat_map(Expr::columns).collect();
        self.add_source(&query.source, slots);
    }

    /// Adds columns of a source, by no key.
    pub fn add_source(&mut self, source: &Arc<SourceDef>, slots: impl IntoIterator<Item = usize>) {
        self.add(source, &[], slots);
    }

    /// Adds a key by which events of a source are found, and nothing is read of them.
    pub fn add_key(&mut self, source: &Arc<SourceDef>, key_columns: &[usize]) {
        self.add(source, key_columns, []);
    }

    /// Every (source, key) with the columns read.
    pub fn iter(&self) -> impl Iterator<Item = &KeyUse> + '_ {
        self.by_key.values()
    }

    /// Every source with the slots that any of its uses needs, the keys' included.
    pub fn sources(&self) -> BTreeMap<SourceId, (Arc<SourceDef>, BTreeSet<usize>)> {
        let mut sources: BTreeMap<SourceId, (Arc<SourceDef>, BTreeSet<usize>)> = BTreeMap::new();
        for key_use in self.by_key.values() {
            let (_, slots) = sources
                .entry(key_use.source.id)
                .or_insert_with(|| (Arc::clone(&key_use.source), BTreeSet::new()));
            slots.extend(&key_use.slots);
            slots.extend(&key_use.key_columns);
        }
        sources
    }

    fn add(
        &mut self,
        source: &Arc<SourceDef>,
        key_columns: &[usize],
        slots: impl IntoIterator<Item = usize>,
    ) {
        self.by_key
            .entry((source.id, key_columns.to_vec()))
            .or_insert_with(|| KeyUse {
                source: Arc::clone(source),
                key_columns: key_columns.to_vec(),
                slots: BTreeSet::new(),
            })
            .slots
            .extend(slots);
    }

    fn add_windows(&mut self, windows: &SourceWindows) {
        let source = &windows.source;
        let filter: Vec<usize> = windows.filter.iter().flat_map(Expr::columns).collect();
        let mut slots = filter.clone();
        for aggregate in &windows.aggregates {
            let call = &aggregate.call;
            let read = call.args.iter().chain(&call.filter).flat_map(Expr::columns);
            match aggregate.rows {
                WindowRows::Events | WindowRows::Live => slots.extend(read),
                WindowRows::Changes => {
                    // Both rows of a change are found by primary key.
                    let of_row = |slot: usize| slot % source.row_width();
                    let row = read.filter(|slot| *slot != source.operation_slot());
                    let row = row.map(of_row).chain(filter.iter().copied());
                    let row: Vec<usize> = row.chain(windows.key_columns.clone()).collect();
                    self.add(source, &source.primary_key, row);
                }
            }
        }
        if windows.has(WindowRows::Live) || windows.has(WindowRows::Changes) {
            // Which rows ever had the key is asked by the key, what became of them by their
            // primary key.
            slots.extend(&source.primary_key);
            self.add(source, &source.primary_key, []);
        }
        self.add(&windows.source, &windows.key_columns, slots);
    }

    fn add_row_body(&mut self, body: &RowBody) {
        // What the expressions over the row scope read of the trigger and of each look-up.
        let mut read = BTreeSet::new();
        let over_scope = body.columns.iter().chain(&body.filter);
        let keys = body.lookups.iter().flat_map(|l| &l.keys);
        read.extend(over_scope.chain(keys).flat_map(Expr::columns));
        for windows in &body.windows {
            read.extend(&windows.key_columns);
            self.add_windows(windows);
        }
        let of = |range: Range<usize>| -> Vec<usize> {
            read.range(range.clone())
                .map(|slot| slot - range.start)
                .collect()
        };
        let add_side = |uses: &mut Uses, side: &TriggerSide, start: usize| {
            // An event that brings its row itself is not looked for.
            if side.key_columns.is_empty() {
                return;
            }
            let mut slots = of(start..start + side.source.row_width());
            slots.extend(side.filter.iter().flat_map(Expr::columns));
            uses.add(&side.source, &side.key_columns, slots);
        };
        match &body.trigger {
            Trigger::Source(side) => add_side(self, side, 0),
            Trigger::Full { left, right } => {
                add_side(self, left, 0);
                add_side(self, right, left.source.row_width());
            }
        }
        for (lookup, range) in body.lookups.iter().zip(lookup_ranges(body)) {
            match &lookup.target {
                LookupTarget::Source {
                    source,
                    key_columns,
                } => {
                    let mut slots = of(range);
                    slots.extend(lookup.filter.iter().flat_map(Expr::columns));
                    self.add(source, key_columns, slots);
                }
                LookupTarget::View(view) => self.add_view(view),
            }
        }
    }
}

/// The slots of the row scope that each look-up fills.
pub fn lookup_ranges(body: &RowBody) -> Vec<Range<usize>> {
    let windows: usize = body.windows.iter().map(|w| w.aggregates.len()).sum();
    let mut start = body.trigger_width() + windows;
    body.lookups
        .iter()
        .map(|lookup| {
            let range = start..start + lookup.target.width();
            start = range.end;
            range
        })
        .collect()
}
