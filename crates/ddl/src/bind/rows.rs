//! The row of an event view while it is being built.
//!
//! How many windows and look-ups a view has is known only when all of it is bound, and a row
//! view that reads another one starts with that one's. So expressions are first built over
//! *provisional* slots: the trigger's slots as they are, windows from [`WINDOW_BASE`],
//! look-ups from [`LOOKUP_BASE`]; [`Rows::finish_row`] and [`Rows::finish_window`] put them
//! where `definition.rs` says. Invariant: no provisional slot leaves this module's finishers.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_types::definition::{
    Lookup, LookupTarget, MaxAge, RowBody, SourceDef, SourceWindows, Trigger, TriggerSide,
    WindowAggregate, WindowBody,
};
use evenkeel_types::{DataType, Expr, ExprKind, Interval};

use crate::ast::Span;

/// The first provisional slot of the windows.
const WINDOW_BASE: usize = 1 << 40;
/// The first provisional slot of the look-ups.
const LOOKUP_BASE: usize = 1 << 41;

/// What brings the rows.
#[derive(Clone, Debug)]
pub(super) enum TriggerRows {
    /// One source.
    Source {
        source: Arc<SourceDef>,
        filter: Vec<Expr>,
    },
    /// Two sources, each with its key, and conjuncts over its own source row.
    Full {
        left: TriggerSide,
        right: TriggerSide,
    },
}

/// A window with the events it is over.
#[derive(Clone, Debug)]
struct KeyedWindow {
    key_columns: Vec<usize>,
    aggregate: WindowAggregate,
    /// The filter of the view that it was inlined from. `None` for a window of this view:
    /// its filter is the trigger's, known when the view is finished.
    inlined: Option<Option<Expr>>,
    /// Where the partition, or else the aggregate, is written.
    span: Span,
}

/// A row view's body in the making, over provisional slots.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) trigger: TriggerRows,
    windows: Vec<KeyedWindow>,
    lookups: Vec<Lookup>,
    /// How many of the look-ups are those of the view that this one was inlined from.
    inlined_lookups: usize,
    lookup_width: usize,
    /// What of `WHERE` needs more than the trigger.
    pub(super) filter: Vec<Expr>,
}

impl Rows {
    /// Rows of a trigger alone.
    pub(super) fn new(trigger: TriggerRows) -> Self {
        Rows {
            trigger,
            windows: Vec::new(),
            lookups: Vec::new(),
            inlined_lookups: 0,
            lookup_width: 0,
            filter: Vec::new(),
        }
    }

    /// The rows of a finished row view, to build another one upon; with its feature columns
    /// over the provisional slots. `name` is its name: its look-ups are known by it.
    pub(super) fn of_view(name: &str, body: &RowBody) -> (Self, Vec<Expr>) {
        let trigger = match &body.trigger {
            Trigger::Source(side) => TriggerRows::Source {
                source: side.source.clone(),
                filter: side.filter.clone().map(conjuncts).unwrap_or_default(),
            },
            Trigger::Full { left, right } => TriggerRows::Full {
                left: left.clone(),
                right: right.clone(),
            },
        };
        let mut rows = Rows::new(trigger);
        let trigger_width = rows.trigger_width();
        let mut window_count = 0;
        for group in &body.windows {
            for aggregate in &group.aggregates {
                window_count += 1;
                rows.windows.push(KeyedWindow {
                    key_columns: group.key_columns.clone(),
                    aggregate: aggregate.clone(),
                    inlined: Some(group.filter.clone()),
                    span: Span::default(),
                });
            }
        }
        let provisional = |expr: &Expr| {
            map_columns(expr.clone(), &|slot| {
                if slot < trigger_width {
                    slot
                } else if slot < trigger_width + window_count {
                    WINDOW_BASE + (slot - trigger_width)
                } else {
                    LOOKUP_BASE + (slot - trigger_width - window_count)
                }
            })
        };
        for lookup in &body.lookups {
            rows.lookup_width += lookup.target.width();
            rows.lookups.push(Lookup {
                alias: format!("{name}.{}", lookup.alias),
                keys: lookup.keys.iter().map(&provisional).collect(),
                ..lookup.clone()
            });
        }
        rows.inlined_lookups = rows.lookups.len();
        rows.filter = body
            .filter
            .as_ref()
            .map(|f| conjuncts(provisional(f)))
            .unwrap_or_default();
        let columns = body.columns.iter().map(provisional).collect();
        (rows, columns)
    }

    /// How many slots the trigger fills.
    pub(super) fn trigger_width(&self) -> usize {
        match &self.trigger {
            TriggerRows::Source { source, .. } => source.row_width(),
            TriggerRows::Full { left, right } => left.source.row_width() + right.source.row_width(),
        }
    }

    /// The trigger's source, if it is one.
    pub(super) fn source(&self) -> Option<&Arc<SourceDef>> {
        match &self.trigger {
            TriggerRows::Source { source, .. } => Some(source),
            TriggerRows::Full { .. } => None,
        }
    }

    /// Whether an expression uses the trigger's columns only.
    pub(super) fn is_of_trigger(&self, expr: &Expr) -> bool {
        let width = self.trigger_width();
        expr.columns().iter().all(|slot| *slot < width)
    }

    /// Whether an expression uses a window's result.
    pub(super) fn uses_window(expr: &Expr) -> bool {
        expr.columns()
            .iter()
            .any(|slot| (WINDOW_BASE..LOOKUP_BASE).contains(slot))
    }

    /// The trigger's slot, if the expression is one of its columns and nothing else.
    pub(super) fn trigger_slot(&self, expr: &Expr) -> Option<usize> {
        match expr.kind {
            ExprKind::Column(slot) if slot < self.trigger_width() => Some(slot),
            _ => None,
        }
    }

    /// Whether the expression is the time of the trigger's row.
    pub(super) fn is_trigger_time(&self, expr: &Expr) -> bool {
        match (self.trigger_slot(expr), self.source()) {
            (Some(slot), Some(source)) => is_time_slot(source, slot),
            _ => false,
        }
    }

    /// The result of a window over the trigger's source; equal ones are computed once.
    /// `span` is where its partition is written.
    pub(super) fn window(
        &mut self,
        key_columns: Vec<usize>,
        aggregate: WindowAggregate,
        span: Span,
    ) -> Expr {
        let data_type = aggregate.call.data_type.clone();
        let found = self.windows.iter().position(|w| {
            w.inlined.is_none() && w.key_columns == key_columns && w.aggregate == aggregate
        });
        let index = found.unwrap_or_else(|| {
            self.windows.push(KeyedWindow {
                key_columns,
                aggregate,
                inlined: None,
                span,
            });
            self.windows.len() - 1
        });
        Expr::column(WINDOW_BASE + index, data_type)
    }

    /// Adds a look-up; the answer is its first provisional slot.
    pub(super) fn lookup(&mut self, lookup: Lookup) -> usize {
        let first = LOOKUP_BASE + self.lookup_width;
        self.lookup_width += lookup.target.width();
        self.lookups.push(lookup);
        first
    }

    /// Gives the last look-up an age limit; the answer is what it looks up.
    pub(super) fn limit_last(&mut self, limit: MaxAge) -> Option<&LookupTarget> {
        let last = self.lookups.last_mut()?;
        last.max_age = Some(limit);
        Some(&last.target)
    }

    /// The provisional slot that the next look-up will start at.
    pub(super) fn next_lookup_slot(&self) -> usize {
        LOOKUP_BASE + self.lookup_width
    }

    /// How many windows there are.
    pub(super) fn window_count(&self) -> usize {
        self.windows.len()
    }

    /// How many look-ups there are.
    pub(super) fn lookup_count(&self) -> usize {
        self.lookups.len()
    }

    /// Whether there are windows that were not inlined.
    pub(super) fn has_own_windows(&self) -> bool {
        self.windows.iter().any(|w| w.inlined.is_none())
    }

    /// The place of a window that is not over these key columns.
    pub(super) fn other_partition(&self, key_columns: &[usize]) -> Option<Span> {
        self.windows
            .iter()
            .find(|w| w.key_columns != key_columns)
            .map(|w| w.span)
    }

    /// Leaves out what was inlined and is not used by the columns. Look-ups keep every row,
    /// so leaving one out changes nothing else.
    pub(super) fn prune(&mut self, columns: &mut [Expr]) {
        let mut used: BTreeSet<usize> = BTreeSet::new();
        let mut note = |expr: &Expr| used.extend(expr.columns());
        columns.iter().for_each(&mut note);
        self.filter.iter().for_each(&mut note);
        // Later look-ups may use earlier ones, so the last is decided first.
        let mut first = LOOKUP_BASE + self.lookup_width;
        let mut kept: Vec<bool> = vec![true; self.lookups.len()];
        for (i, lookup) in self.lookups.iter().enumerate().rev() {
            let end = first;
            first -= lookup.target.width();
            kept[i] = i >= self.inlined_lookups || used.range(first..end).next().is_some();
            if kept[i] {
                used.extend(lookup.keys.iter().flat_map(Expr::columns));
            }
        }

        let mut windows_to: Vec<usize> = Vec::new();
        let mut windows = Vec::new();
        for (i, window) in std::mem::take(&mut self.windows).into_iter().enumerate() {
            windows_to.push(WINDOW_BASE + windows.len());
            if window.inlined.is_none() || used.contains(&(WINDOW_BASE + i)) {
                windows.push(window);
            }
        }
        // Old first slots with new ones.
        let mut lookups_to: Vec<(usize, usize)> = Vec::new();
        let mut lookups = Vec::new();
        let (mut old, mut new) = (LOOKUP_BASE, LOOKUP_BASE);
        for (lookup, is_kept) in std::mem::take(&mut self.lookups).into_iter().zip(&kept) {
            let width = lookup.target.width();
            lookups_to.push((old, new));
            old += width;
            if *is_kept {
                new += width;
                lookups.push(lookup);
            }
        }
        self.inlined_lookups = kept[..self.inlined_lookups].iter().filter(|k| **k).count();
        self.lookup_width = new - LOOKUP_BASE;
        let place = |expr: Expr| {
            map_columns(expr, &|slot| {
                if slot >= LOOKUP_BASE {
                    lookups_to
                        .iter()
                        .rfind(|(old, _)| *old <= slot)
                        .map_or(slot, |(old, new)| new + (slot - old))
                } else if slot >= WINDOW_BASE {
                    windows_to.get(slot - WINDOW_BASE).copied().unwrap_or(slot)
                } else {
                    slot
                }
            })
        };
        self.windows = windows;
        self.lookups = lookups
            .into_iter()
            .map(|lookup| Lookup {
                keys: lookup.keys.into_iter().map(place).collect(),
                ..lookup
            })
            .collect();
        self.filter = std::mem::take(&mut self.filter)
            .into_iter()
            .map(place)
            .collect();
        for column in columns {
            let empty = Expr::literal(evenkeel_types::Value::Null, DataType::Null);
            *column = place(std::mem::replace(column, empty));
        }
    }

    /// Whether every column is made of key columns and this view's own windows alone.
    pub(super) fn is_windows_only(&self, key_columns: &[usize], columns: &[Expr]) -> bool {
        !self.windows.is_empty()
            && self.windows.iter().all(|w| w.inlined.is_none())
            && self.lookups.is_empty()
            && self.source().is_some()
            && columns.iter().all(|c| {
                c.columns()
                    .iter()
                    .all(|slot| *slot >= WINDOW_BASE || key_columns.contains(slot))
            })
    }

    /// The body of a window view; the caller has checked [`Rows::is_windows_only`] and that
    /// every window is over the view's key.
    pub(super) fn finish_window(
        self,
        source: Arc<SourceDef>,
        key_columns: Vec<usize>,
        columns: Vec<Expr>,
    ) -> WindowBody {
        let filter = match self.trigger {
            TriggerRows::Source { filter, .. } => all_of(filter),
            TriggerRows::Full { .. } => None,
        };
        let keys = key_columns.len();
        let columns = columns
            .into_iter()
            .map(|c| {
                map_columns(c, &|slot| match slot.checked_sub(WINDOW_BASE) {
                    Some(window) => keys + window,
                    None => key_columns.iter().position(|k| *k == slot).unwrap_or(0),
                })
            })
            .collect();
        WindowBody {
            windows: SourceWindows {
                source,
                key_columns,
                filter,
                aggregates: self.windows.into_iter().map(|w| w.aggregate).collect(),
            },
            columns,
        }
    }

    /// The body of a row view with its feature columns. `key_columns` are the trigger's; for
    /// a full join they are in its sides already.
    pub(super) fn finish_row(
        self,
        key_columns: Vec<usize>,
        columns: Vec<Expr>,
        ttl: Option<Interval>,
    ) -> RowBody {
        let trigger_width = self.trigger_width();
        let source = self.source().cloned();
        let trigger = match self.trigger {
            TriggerRows::Source { source, filter } => Trigger::Source(TriggerSide {
                source,
                key_columns,
                filter: all_of(filter),
            }),
            TriggerRows::Full { left, right } => Trigger::Full { left, right },
        };
        let trigger_filter = match &trigger {
            Trigger::Source(side) => side.filter.clone(),
            Trigger::Full { .. } => None,
        };

        // Windows of one key and filter are read together, so results are regrouped; which
        // provisional window is where is kept in `order`.
        let mut groups: Vec<(SourceWindows, Vec<usize>)> = Vec::new();
        let mut window_count = 0;
        for (index, window) in self.windows.into_iter().enumerate() {
            let Some(source) = &source else { continue };
            window_count += 1;
            let filter = window.inlined.unwrap_or_else(|| trigger_filter.clone());
            let group = groups
                .iter()
                .position(|(g, _)| g.key_columns == window.key_columns && g.filter == filter)
                .unwrap_or_else(|| {
                    groups.push((
                        SourceWindows {
                            source: source.clone(),
                            key_columns: window.key_columns.clone(),
                            filter,
                            aggregates: Vec::new(),
                        },
                        Vec::new(),
                    ));
                    groups.len() - 1
                });
            groups[group].0.aggregates.push(window.aggregate);
            groups[group].1.push(index);
        }
        let order: Vec<usize> = groups
            .iter()
            .flat_map(|(_, indices)| indices.clone())
            .collect();

        let place = |expr: Expr| {
            map_columns(expr, &|slot| {
                if slot >= LOOKUP_BASE {
                    trigger_width + window_count + (slot - LOOKUP_BASE)
                } else if slot >= WINDOW_BASE {
                    let index = slot - WINDOW_BASE;
                    trigger_width + order.iter().position(|i| *i == index).unwrap_or(0)
                } else {
                    slot
                }
            })
        };
        RowBody {
            trigger,
            lookups: self
                .lookups
                .into_iter()
                .map(|lookup| Lookup {
                    keys: lookup.keys.into_iter().map(place).collect(),
                    ..lookup
                })
                .collect(),
            filter: all_of(self.filter.into_iter().map(place).collect()),
            columns: columns.into_iter().map(place).collect(),
            windows: groups.into_iter().map(|(group, _)| group).collect(),
            ttl,
        }
    }
}

/// The column of a source row's slot: `event_time` is the column that it comes from, and
/// `visible_at` is none.
pub(super) fn stored_slot(source: &SourceDef, slot: usize) -> Option<usize> {
    if slot == source.event_time_slot() {
        return Some(source.event_time);
    }
    (slot < source.columns.len()).then_some(slot)
}

/// Whether a source row's slot is its event time.
pub(super) fn is_time_slot(source: &SourceDef, slot: usize) -> bool {
    slot == source.event_time || slot == source.event_time_slot()
}

/// The same expression over other slots.
pub(super) fn map_columns(expr: Expr, slot_of: &impl Fn(usize) -> usize) -> Expr {
    expr.map(&mut |e| match e.kind {
        ExprKind::Column(slot) => Expr::column(slot_of(slot), e.data_type),
        _ => e,
    })
}

/// What must all be true for `expr` to be true.
pub(super) fn conjuncts(expr: Expr) -> Vec<Expr> {
    match expr.kind {
        ExprKind::And(args) => args.into_iter().flat_map(conjuncts).collect(),
        _ => vec![expr],
    }
}

/// True where all are true; `None` for none.
pub(super) fn all_of(mut conjuncts: Vec<Expr>) -> Option<Expr> {
    if conjuncts.len() > 1 {
        return Some(Expr {
            kind: ExprKind::And(conjuncts),
            data_type: DataType::Boolean,
        });
    }
    conjuncts.pop()
}
