//! The select list of a view over events: columns, stars, and aggregates over windows.

use evenkeel_types::definition::{EntityDef, SourceDef, SourceKind, WindowAggregate, WindowRows};
use evenkeel_types::{Expr, ExprKind, Frame};

use super::Binder;
use super::aggregate::{bind_aggregate, ordered_by_time};
use super::base::Base;
use super::change;
use super::cost::WINDOWS_MAX;
use super::events::is_same_set;
use super::expression::{self, Context, Plain};
use super::features::{self, Column, Columns};
use super::report::Report;
use super::rows::{Rows, conjuncts, is_time_slot, stored_slot};
use super::scope::{PSEUDO_COLUMNS, Scope, ScopeRelation};
use super::window::Windows;
use crate::ast::{FunctionCall, Query, SelectItem, Span, WindowRef};

impl Binder<'_> {
    /// The select list. `rows` are what its aggregates are over.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a query is made of, each of another place"
    )]
    pub(super) fn select(
        &self,
        query: &Query,
        entity: &EntityDef,
        base: &mut Base,
        rows: WindowRows,
        windows: &Windows<'_>,
        used: &mut Vec<String>,
        report: &mut Report,
    ) -> Option<Vec<Column>> {
        let mut columns = Columns::new(&entity.keys);
        let mut is_complete = true;
        for item in &query.select {
            let SelectItem::Expr { expr, alias } = item else {
                let is_left_out = |_: &ScopeRelation, name: &str, expr: &Expr| {
                    base.key_index(expr).is_some() || PSEUDO_COLUMNS.contains(&name)
                };
                let added = features::star(item, &base.scope, is_left_out, &mut columns, report);
                is_complete &= added.is_some();
                continue;
            };
            let mut context = Selecting {
                scope: &base.scope,
                rows: &mut base.rows,
                key_columns: &base.key_columns,
                over: rows,
                windows,
                used: &mut *used,
            };
            report.bind_column(Some(expr.span));
            let bound = expression::bind(expr, &mut context, report);
            report.bind_column(None);
            let name = features::name(expr, alias.as_ref(), report);
            let (Some(bound), Some((name, span))) = (bound, name) else {
                is_complete = false;
                continue;
            };
            if !base.is_key(&bound, &name, entity) {
                columns.add(name, span, &bound, report)?;
            }
        }
        is_complete.then(|| columns.into_list())
    }
}

impl Binder<'_> {
    /// The conditions of `EMIT WHEN`, over whatever may be selected.
    pub(super) fn emit_when(
        &self,
        query: &Query,
        base: &mut Base,
        windows: &Windows<'_>,
        used: &mut Vec<String>,
        report: &mut Report,
    ) -> Option<Vec<Expr>> {
        let Some(written) = &query.emit_when else {
            return Some(Vec::new());
        };
        let mut context = Selecting {
            scope: &base.scope,
            rows: &mut base.rows,
            key_columns: &base.key_columns,
            over: WindowRows::Events,
            windows,
            used,
        };
        expression::bind_condition(written, &mut context, report).map(conjuncts)
    }
}

/// The select list of a view over events: windows are allowed.
struct Selecting<'a, 'b> {
    scope: &'a Scope,
    rows: &'a mut Rows,
    key_columns: &'a [usize],
    over: WindowRows,
    windows: &'a Windows<'b>,
    used: &'a mut Vec<String>,
}

impl Context for Selecting<'_, '_> {
    fn scope(&self) -> &Scope {
        self.scope
    }

    fn read_time(&mut self, _span: Span, _report: &mut Report) -> Option<Expr> {
        Some(evenkeel_expr::build::read_time())
    }

    fn aggregate(&mut self, call: &FunctionCall, span: Span, report: &mut Report) -> Option<Expr> {
        let Some(source) = self.rows.source().cloned() else {
            return report.hinted(
                "a full join has no windows: which of its sources would they be over?",
                span,
                "put the windows into a view of their own and look it up with `ASOF JOIN`",
            );
        };
        let over = self.over(call, span, &source, report)?;
        if self.rows.window_count() >= WINDOWS_MAX {
            return report.hinted(
                format!("a view has at most {WINDOWS_MAX} windows"),
                span,
                "divide it into several views",
            );
        }
        let scope = self.scope;
        let is_event_time = |expr: &Expr| match expr.kind {
            ExprKind::Column(slot) => slot < source.row_width() && is_time_slot(&source, slot),
            _ => false,
        };
        let with_changes;
        let scope = match (self.over, source.kind) {
            (WindowRows::Events, SourceKind::Table) => {
                with_changes = change::scope(scope, &source);
                &with_changes
            }
            _ => scope,
        };
        let bound = bind_aggregate(call, span, scope, &is_event_time, report);
        let window = match over {
            Some(over) => self.window(over, span, &source, &is_event_time, report),
            None => Some((self.key_columns.to_vec(), Frame::unbounded(), None)),
        };
        let (bound, (key_columns, frame, partition)) = (bound?, window?);
        for input in bound.args.iter().chain(&bound.filter) {
            let slots = input.columns();
            let is_of_row = |slot: &usize| {
                *slot < self.rows.trigger_width() || change::is_of_change(*slot, &source)
            };
            if !slots.iter().all(is_of_row) {
                let what = if Rows::uses_window(input) {
                    "windows"
                } else {
                    "looked-up columns"
                };
                return report.hinted(
                    format!("an aggregate cannot be over {what}"),
                    span,
                    "aggregate columns of the events themselves, or put this query into a derived stream and aggregate over that: `CREATE STREAM ... AS SELECT`",
                );
            }
        }
        let rows = match self.over {
            WindowRows::Events if change::is_of_changes(&bound, &source) => WindowRows::Changes,
            over => over,
        };
        let aggregate = WindowAggregate {
            rows,
            call: bound,
            frame,
        };
        let place = partition.unwrap_or(span);
        Some(self.rows.window(key_columns, aggregate, place))
    }
}

impl Selecting<'_, '_> {
    /// The window of an aggregate: a state view's has none.
    fn over<'c>(
        &mut self,
        call: &'c FunctionCall,
        span: Span,
        source: &SourceDef,
        report: &mut Report,
    ) -> Option<Option<&'c WindowRef>> {
        match (self.over, &call.over) {
            (WindowRows::Live, None) => Some(None),
            (WindowRows::Live, Some(_)) => report.hinted(
                "an aggregate of a state view has no window: it is over the rows that live at the read time",
                span,
                "leave `OVER` out, or leave `GROUP BY` out for windows over the table's changes",
            ),
            (_, None) if source.kind == SourceKind::Table => report.hinted(
                format!("the aggregate `{}` does not say its window", call.name),
                span,
                "write `OVER (LAST 24 HOURS)` for the table's changes, or `GROUP BY` and the key for the rows that live at the read time",
            ),
            (_, None) => report.hinted(
                format!("the aggregate `{}` does not say its window", call.name),
                span,
                "write `OVER (LAST 24 HOURS)`, or `OVER (ALL HISTORY)` for everything up to the read time",
            ),
            (_, Some(over)) => {
                if let WindowRef::Named(name) = over {
                    self.used.push(name.value.clone());
                }
                Some(Some(over))
            }
        }
    }

    /// The key and the frame of a window, and where its partition is written.
    fn window(
        &self,
        over: &WindowRef,
        span: Span,
        source: &SourceDef,
        is_event_time: &dyn Fn(&Expr) -> bool,
        report: &mut Report,
    ) -> Option<(Vec<usize>, Frame, Option<Span>)> {
        let scope = self.scope;
        let window = self.windows.window(over, report)?;
        let mut key_columns = Vec::new();
        for expr in window.partition_by {
            let mut context = Plain::new(scope, "`PARTITION BY`");
            let key = expression::bind(expr, &mut context, report)?;
            let slot = self.rows.trigger_slot(&key);
            let Some(slot) = slot.and_then(|s| stored_slot(source, s)) else {
                return report.hinted(
                    "windows are partitioned by plain columns of the events",
                    expr.span,
                    if self.rows.is_of_trigger(&key) {
                        "name a column of the source; if there is none, compute one: `name TYPE AS (...)`"
                    } else {
                        "put the column into a derived stream, and partition that: `CREATE STREAM ... AS SELECT`"
                    },
                );
            };
            if !key.data_type.is_key() {
                return report.hinted(
                    format!(
                        "windows cannot be partitioned by a column of type {}",
                        key.data_type
                    ),
                    expr.span,
                    super::entity::key_hint(&key.data_type),
                );
            }
            if !key_columns.contains(&slot) {
                key_columns.push(slot);
            }
        }
        for item in window.order_by {
            let mut context = Plain::new(scope, "`ORDER BY`");
            ordered_by_time(item, &mut context, is_event_time, report)?;
        }
        if key_columns.is_empty() && self.key_columns.is_empty() {
            return report.hinted(
                "a derived stream has no key, so its windows say whose events they are over",
                span,
                "write `OVER (PARTITION BY column ...)`",
            );
        }
        // However it is written: one order for one set of columns, the entity's key in its own.
        key_columns.sort_unstable();
        if key_columns.is_empty() || is_same_set(&key_columns, self.key_columns) {
            key_columns = self.key_columns.to_vec();
        }
        let place = window.partition_by.first().map(|p| p.span);
        Some((key_columns, window.frame, place))
    }
}
