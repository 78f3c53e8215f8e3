//! Older versions of views over the newest definitions of their sources.
//!
//! A version of a view reads its source as it was bound: by the columns and types of then.
//! Events have the columns and types of the newest definition. So the expressions are
//! rewritten: a column that was widened is cast back to the type of then (which gives every
//! older event its own value back, and is ERROR for what does not fit), a computed column
//! that is gone or computed otherwise is computed in place. Invariant: over events that were
//! logged before a source changed, the values of a view are what they were.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_expr::build;
use evenkeel_types::definition::{
    ComposedBody, Lookup, LookupTarget, RowBody, SourceDef, SourceWindows, Trigger, TriggerSide,
    ViewBody, ViewDef, WindowAggregate, WindowBody, WindowRows,
};
use evenkeel_types::{AggregateCall, DataType, Expr, ExprKind, Value};

/// The view over the definitions that the sources have now. Of a source that has no such
/// column any more, which can only be if it had no event then, the column is NULL, and the
/// key matches nothing.
pub fn rebase(view: &ViewDef, sources: &BTreeMap<String, Arc<SourceDef>>) -> ViewDef {
    let body = match &view.body {
        ViewBody::Window(body) => ViewBody::Window(WindowBody {
            windows: windows(&body.windows, sources),
            columns: body.columns.clone(),
        }),
        ViewBody::Row(body) => ViewBody::Row(Box::new(row_body(body, sources))),
        ViewBody::Composed(body) => ViewBody::Composed(ComposedBody {
            inputs: body
                .inputs
                .iter()
                .map(|input| Arc::new(rebase(input, sources)))
                .collect(),
            ..body.clone()
        }),
    };
    ViewDef {
        body,
        ..view.clone()
    }
}

/// What each slot of a row scope, or of a source row, has become.
struct Slots(Vec<Expr>);

impl Slots {
    fn rewrite(&self, expr: &Expr) -> Expr {
        expr.clone().map(&mut |e| match e.kind {
            ExprKind::Column(slot) => match &self.0[slot] {
                // What only moved keeps the type that its reader gives it.
                Expr {
                    kind: ExprKind::Column(moved),
                    ..
                } => Expr::column(*moved, e.data_type),
                other => other.clone(),
            },
            _ => e,
        })
    }

    fn all(&self, exprs: &[Expr]) -> Vec<Expr> {
        exprs.iter().map(|e| self.rewrite(e)).collect()
    }

    /// Adds slots that begin at `start` in the new scope.
    fn extend(&mut self, start: usize, slots: &Slots) {
        self.0.extend(slots.0.iter().map(|expr| {
            expr.clone().map(&mut |mut e| {
                if let ExprKind::Column(slot) = &mut e.kind {
                    *slot += start;
                }
                e
            })
        }));
    }

    /// Adds so many slots that stay what they are, from `start` on in the new scope.
    fn pass(&mut self, start: usize, width: usize) {
        let slots = start..start + width;
        let any = DataType::Null;
        self.0
            .extend(slots.map(|slot| Expr::column(slot, any.clone())));
    }
}

/// A source then and now.
struct Rebased {
    source: Arc<SourceDef>,
    /// The slots of its row.
    slots: Slots,
}

impl Rebased {
    fn new(then: &Arc<SourceDef>, sources: &BTreeMap<String, Arc<SourceDef>>) -> Self {
        let now = Arc::clone(sources.get(&then.name).unwrap_or(then));
        let mut slots = Slots(Vec::with_capacity(then.row_width()));
        for column in &then.columns {
            let computed = column.computed.as_ref().map(|e| slots.rewrite(e));
            let same = now.columns.iter().position(|c| {
                c.name == column.name
                    && match (&computed, &c.computed) {
                        (None, None) => true,
                        (Some(then), Some(now)) => then == now && c.data_type == column.data_type,
                        _ => false,
                    }
            });
            let expr = match (same, computed) {
                (Some(slot), _) => back(slot, &now.columns[slot].data_type, &column.data_type),
                (None, Some(expr)) => expr,
                (None, None) => Expr::literal(Value::Null, column.data_type.clone()),
            };
            slots.0.push(expr);
        }
        slots.pass(now.event_time_slot(), 2);
        Rebased { source: now, slots }
    }

    /// The slots of its change row. What is computed in place is computed of a row that was
    /// there: of an insert there is none before it, of a delete it is the one that it ends.
    fn change_slots(&self) -> Slots {
        let (mut after, mut before) = (Slots(Vec::new()), Slots(Vec::new()));
        after.extend(0, &self.slots);
        before.extend(self.source.row_width(), &self.slots);
        for (after, before) in after.0.iter_mut().zip(&mut before.0) {
            if matches!(before.kind, ExprKind::Column(_)) {
                continue;
            }
            *after = case(self.is("delete"), before.clone(), after.clone());
            let nothing = Expr::literal(Value::Null, before.data_type.clone());
            *before = case(self.is("insert"), nothing, before.clone());
        }
        let mut slots = Slots(after.0.into_iter().chain(before.0).collect());
        slots.pass(self.source.operation_slot(), 1);
        slots
    }

    /// Whether a change is of this kind.
    fn is(&self, operation: &str) -> Expr {
        let column = Expr::column(self.source.operation_slot(), DataType::String);
        let word = Expr::literal(Value::string(operation), DataType::String);
        build::call("eq", vec![column, word]).expect("texts are compared")
    }

    /// The columns of a key, and whether the source has them.
    fn key(&self, key_columns: &[usize]) -> (Vec<usize>, bool) {
        let slots: Option<Vec<usize>> = key_columns
            .iter()
            .map(|&slot| key_slot(&self.slots.0[slot]))
            .collect();
        match slots {
            Some(slots) => (slots, true),
            // Any column will do for a key that nothing matches.
            None => (vec![0; key_columns.len()], false),
        }
    }

    fn filter(&self, filter: Option<&Expr>, has_key: bool) -> Option<Expr> {
        if has_key {
            filter.map(|f| self.slots.rewrite(f))
        } else {
            let never = Value::Boolean(false);
            Some(Expr::literal(never, DataType::Boolean))
        }
    }
}

/// One of two of one type. It may be larger than what somebody may write.
fn case(condition: Expr, then: Expr, otherwise: Expr) -> Expr {
    Expr {
        data_type: then.data_type.clone(),
        kind: ExprKind::Case {
            branches: vec![(condition, then)],
            otherwise: Some(Box::new(otherwise)),
        },
    }
}

/// The column of a key. Only a decimal's bytes stay when it is widened.
fn key_slot(expr: &Expr) -> Option<usize> {
    match &expr.kind {
        ExprKind::Column(slot) => Some(*slot),
        ExprKind::Cast(inner) if inner.data_type.has_bytes_of(&expr.data_type) => key_slot(inner),
        _ => None,
    }
}

/// A column that may have been widened, as it was.
fn back(slot: usize, now: &DataType, then: &DataType) -> Expr {
    let column = Expr::column(slot, now.clone());
    if now == then {
        return column;
    }
    if !then.widens_to(now) {
        return Expr::literal(Value::Null, then.clone());
    }
    Expr {
        kind: ExprKind::Cast(Box::new(column)),
        data_type: then.clone(),
    }
}

fn windows(windows: &SourceWindows, sources: &BTreeMap<String, Arc<SourceDef>>) -> SourceWindows {
    let rebased = Rebased::new(&windows.source, sources);
    let (key_columns, has_key) = rebased.key(&windows.key_columns);
    let changes = rebased.change_slots();
    let aggregate = |a: &WindowAggregate| {
        let slots = match a.rows {
            WindowRows::Events | WindowRows::Live => &rebased.slots,
            WindowRows::Changes => &changes,
        };
        WindowAggregate {
            call: AggregateCall {
                args: slots.all(&a.call.args),
                filter: a.call.filter.as_ref().map(|f| slots.rewrite(f)),
                ..a.call.clone()
            },
            frame: a.frame.clone(),
            rows: a.rows,
        }
    };
    SourceWindows {
        key_columns,
        filter: rebased.filter(windows.filter.as_ref(), has_key),
        aggregates: windows.aggregates.iter().map(aggregate).collect(),
        source: rebased.source,
    }
}

fn row_body(body: &RowBody, sources: &BTreeMap<String, Arc<SourceDef>>) -> RowBody {
    let mut scope = Slots(Vec::new());
    // Where the new scope ends so far.
    let mut end = 0;
    let mut side = |side: &TriggerSide| {
        let rebased = Rebased::new(&side.source, sources);
        let (key_columns, has_key) = rebased.key(&side.key_columns);
        scope.extend(end, &rebased.slots);
        end += rebased.source.row_width();
        TriggerSide {
            key_columns,
            filter: rebased.filter(side.filter.as_ref(), has_key),
            source: rebased.source,
        }
    };
    let trigger = match &body.trigger {
        Trigger::Source(only) => Trigger::Source(side(only)),
        Trigger::Full { left, right } => Trigger::Full {
            left: side(left),
            right: side(right),
        },
    };
    let windows: Vec<SourceWindows> = body.windows.iter().map(|w| windows(w, sources)).collect();
    let results = windows.iter().map(|w| w.aggregates.len()).sum();
    scope.pass(end, results);
    end += results;
    let mut lookups = Vec::with_capacity(body.lookups.len());
    for lookup in &body.lookups {
        let keys = scope.all(&lookup.keys);
        let (target, filter) = match &lookup.target {
            LookupTarget::Source {
                source,
                key_columns,
            } => {
                let rebased = Rebased::new(source, sources);
                let (key_columns, has_key) = rebased.key(key_columns);
                scope.extend(end, &rebased.slots);
                let filter = rebased.filter(lookup.filter.as_ref(), has_key);
                let source = rebased.source;
                let target = LookupTarget::Source {
                    source,
                    key_columns,
                };
                (target, filter)
            }
            LookupTarget::View(view) => {
                scope.pass(end, view.features.len());
                let view = Arc::new(rebase(view, sources));
                (LookupTarget::View(view), lookup.filter.clone())
            }
        };
        end += target.width();
        lookups.push(Lookup {
            target,
            keys,
            filter,
            ..lookup.clone()
        });
    }
    RowBody {
        trigger,
        windows,
        lookups,
        filter: body.filter.as_ref().map(|f| scope.rewrite(f)),
        columns: scope.all(&body.columns),
        ttl: body.ttl,
    }
}
