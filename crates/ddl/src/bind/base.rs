//! The trigger of a view over events: its rows, the names of its columns, and which of them
//! are the entity's key.

use evenkeel_types::definition::{EntityDef, Trigger, ViewBody};
use evenkeel_types::{Expr, ExprKind};

use super::relation::{Slot, Target};
use super::report::{Report, counted, in_words};
use super::rows::{Rows, TriggerRows, stored_slot};
use super::scope::{Meaning, Role, Scope};
use crate::ast::{self, EntityRef, Span};

/// The trigger with the names of its columns.
pub(super) struct Base {
    pub(super) rows: Rows,
    pub(super) scope: Scope,
    /// For each key of the entity, the slot of its column; for a full join, the left side's.
    pub(super) key_columns: Vec<usize>,
    /// Columns of the other side of a full join that are keys too.
    other_keys: Vec<usize>,
    /// A condition of `WHERE` that holds after matching.
    pub(super) late_filter: Option<Span>,
}

impl Base {
    /// The trigger with the slots of its key; those of a full join's other side are in it.
    pub(super) fn new(mut rows: Rows, scope: Scope, key_columns: Vec<usize>) -> Self {
        let mut other_keys = Vec::new();
        if let TriggerRows::Full { left, right } = &mut rows.trigger {
            // The view that is read may be about the same keys in another order.
            let order: Vec<usize> = key_columns
                .iter()
                .filter_map(|k| left.key_columns.iter().position(|l| l == k))
                .collect();
            left.key_columns = order.iter().map(|i| left.key_columns[*i]).collect();
            right.key_columns = order.iter().map(|i| right.key_columns[*i]).collect();
            let width = left.source.row_width();
            other_keys = right.key_columns.iter().map(|k| width + k).collect();
        }
        Base {
            rows,
            scope,
            key_columns,
            other_keys,
            late_filter: None,
        }
    }

    /// Puts a conjunct of `WHERE` where it belongs; answers whether that is after matching.
    pub(super) fn add_filter(&mut self, conjunct: Expr) -> bool {
        let is_of_trigger = self.rows.is_of_trigger(&conjunct);
        match &mut self.rows.trigger {
            TriggerRows::Source { filter, .. } if is_of_trigger => {
                filter.push(conjunct);
                false
            }
            _ => {
                self.rows.filter.push(conjunct);
                true
            }
        }
    }

    /// Whether a column is a key and nothing more.
    pub(super) fn is_key(&self, expr: &Expr, name: &str, entity: &EntityDef) -> bool {
        let Some(i) = self.key_index(expr) else {
            return false;
        };
        name == entity.keys[i].name || self.is_name_of(expr, name)
    }

    /// Whether some relation calls an expression by this name.
    fn is_name_of(&self, expr: &Expr, name: &str) -> bool {
        self.scope.relations.iter().any(|r| {
            r.column(name)
                .is_some_and(|c| matches!(&c.meaning, Meaning::Expr(e) if e == expr))
        })
    }

    /// Which key of the entity a column is.
    pub(super) fn key_index(&self, expr: &Expr) -> Option<usize> {
        let of_slot = |slot: usize| {
            let position = |keys: &[usize]| keys.iter().position(|k| *k == slot);
            position(&self.key_columns).or_else(|| position(&self.other_keys))
        };
        match &expr.kind {
            ExprKind::Column(slot) => of_slot(*slot),
            // A column that `USING` made of both sides.
            ExprKind::Coalesce(args) => match args.as_slice() {
                [a, b] => match (&a.kind, &b.kind) {
                    (ExprKind::Column(a), ExprKind::Column(b)) => {
                        of_slot(*a).filter(|i| of_slot(*b) == Some(*i))
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }
}

/// What a column of a row view read in `FROM` stands for.
pub(super) fn inlined(rows: &Rows, columns: &[Expr], target: &Target, slot: Slot) -> Meaning {
    let of_trigger = |i: usize| match &rows.trigger {
        TriggerRows::Source { source, .. } => source
            .row_types()
            .get(i)
            .map(|t| Meaning::Expr(Expr::column(i, t.clone()))),
        TriggerRows::Full { .. } => None,
    };
    let Target::View(view) = target else {
        return target.own(slot);
    };
    let ViewBody::Row(body) = &view.body else {
        return target.own(slot);
    };
    let found = match slot {
        Slot::Feature(i) => columns.get(i).cloned().map(Meaning::Expr),
        Slot::Key(i) => match &body.trigger {
            Trigger::Source(side) => side.key_columns.get(i).and_then(|k| of_trigger(*k)),
            Trigger::Full { left, right } => {
                let data_type = target.data_type(slot);
                match (left.key_columns.get(i), right.key_columns.get(i)) {
                    (Some(a), Some(b)) => Some(Meaning::Expr(Expr {
                        kind: ExprKind::Coalesce(vec![
                            Expr::column(*a, data_type.clone()),
                            Expr::column(left.source.row_width() + b, data_type.clone()),
                        ]),
                        data_type,
                    })),
                    _ => None,
                }
            }
        },
        Slot::RowTime => rows.source().and_then(|s| of_trigger(s.event_time_slot())),
        Slot::Source(_) => None,
    };
    found.unwrap_or_else(|| target.own(slot))
}

/// The slots of the trigger that hold the entity's key.
pub(super) fn key_columns(
    entity: &EntityDef,
    written: &EntityRef,
    scope: &Scope,
    rows: &Rows,
    report: &mut Report,
) -> Option<Vec<usize>> {
    let names = mapped_names(entity, written, report)?;
    let relation = scope.relations.first()?;
    let mut slots = Vec::new();
    for (key, name) in entity.keys.iter().zip(&names) {
        let Some(column) = relation.column(&name.value) else {
            let hint = if written.columns.is_some() {
                super::report::did_you_mean(
                    &name.value,
                    relation
                        .columns
                        .iter()
                        .filter(|c| c.role == Role::Plain)
                        .map(|c| c.name.as_str()),
                )
                .unwrap_or_else(|| "name a column of the relation in `FROM`".to_owned())
            } else {
                format!(
                    "say which column holds it: `ENTITY {} ({})`",
                    entity.name,
                    placeholder(entity)
                )
            };
            report.hinted::<()>(
                format!(
                    "`{}` has no column `{}` for the key of entity `{}`",
                    relation.name, name.value, entity.name
                ),
                name.span,
                hint,
            );
            continue;
        };
        let Some(expr) = column.expr(name.span, report) else {
            continue;
        };
        let Some(slot) = key_slot(rows, &expr) else {
            report.hinted::<()>(
                format!(
                    "the key `{}` must be a plain column of the events",
                    name.value
                ),
                name.span,
                if rows.is_of_trigger(&expr) {
                    "name a column of the source; if there is none, compute one: `name TYPE AS (...)`"
                } else {
                    "put the column into a derived stream, and key that: `CREATE STREAM ... AS SELECT`"
                },
            );
            continue;
        };
        if expr.data_type != key.data_type {
            report.hinted::<()>(
                format!(
                    "key `{}` of entity `{}` is {}, but column `{}` is {}",
                    key.name, entity.name, key.data_type, name.value, expr.data_type
                ),
                name.span,
                format!(
                    "declare both with one type, or compute the key in the source: `{0}_key {1} AS (CAST({0} AS {1}))`",
                    name.value, key.data_type
                ),
            );
            continue;
        }
        if slots.contains(&slot) {
            report.hinted::<()>(
                format!("column `{}` is two keys at once", name.value),
                name.span,
                "name a column of its own for each key",
            );
            continue;
        }
        slots.push(slot);
    }
    (slots.len() == entity.keys.len()).then_some(slots)
}

/// The slot that an expression is the value of: of a full join only its keys, which are
/// whichever side has them, answered by the left side's.
fn key_slot(rows: &Rows, expr: &Expr) -> Option<usize> {
    let (left, right) = match &rows.trigger {
        TriggerRows::Source { source, .. } => {
            return stored_slot(source, rows.trigger_slot(expr)?);
        }
        TriggerRows::Full { left, right } => (left, right),
    };
    let width = left.source.row_width();
    let ExprKind::Coalesce(args) = &expr.kind else {
        return None;
    };
    let [a, b] = args.as_slice() else {
        return None;
    };
    let (ExprKind::Column(a), ExprKind::Column(b)) = (&a.kind, &b.kind) else {
        return None;
    };
    let key = left.key_columns.iter().position(|k| k == a)?;
    (right.key_columns.get(key).map(|k| width + k) == Some(*b)).then_some(*a)
}

/// A name for each key of the entity: as mapped, or its own, with the place to underline.
pub(super) fn mapped_names(
    entity: &EntityDef,
    written: &EntityRef,
    report: &mut Report,
) -> Option<Vec<ast::Ident>> {
    match &written.columns {
        None => Some(
            entity
                .keys
                .iter()
                .map(|key| ast::Ident {
                    value: key.name.clone(),
                    quoted: true,
                    span: written.span,
                })
                .collect(),
        ),
        Some(list) if list.columns.len() == entity.keys.len() => Some(list.columns.clone()),
        Some(list) => {
            let names: Vec<&str> = entity.keys.iter().map(|k| k.name.as_str()).collect();
            report.hinted(
                format!(
                    "entity `{}` has {}, not {}",
                    entity.name,
                    counted(entity.keys.len(), "key column"),
                    list.columns.len()
                ),
                list.span,
                format!("name one column each for {}", in_words(&names)),
            )
        }
    }
}

/// `column` for each key of the entity.
pub(super) fn placeholder(entity: &EntityDef) -> String {
    vec!["column"; entity.keys.len()].join(", ")
}
