//! Views over events: window views and row views, which are told apart when all of it is
//! bound.
//!
//! Rules beyond `docs/semantics.md`:
//! - a view with windows and look-ups, or with a plain column, is a row view; one whose
//!   columns are key columns and windows alone is a window view; without any window it is a
//!   row view;
//! - a plain key column is no feature, unless it is given another name than its own or the
//!   entity's;
//! - `WHERE` behind `ASOF FULL JOIN` filters the joined rows; to filter a side before
//!   joining, a sub-select does;
//! - windows beside a `WHERE` on looked-up columns are refused: `WHERE` filters before
//!   windows, and what is looked up is known only after;
//! - in a full join, `USING` columns are whichever side has them.

use std::sync::Arc;

use evenkeel_types::definition::{
    EntityDef, SourceDef, SourceKind, TriggerSide, ViewBody, WindowAggregate,
};
use evenkeel_types::{DataType, Expr, ExprKind, Interval};

use super::Binder;
use super::aggregate::{bind_aggregate, ordered_by_time};
use super::expression::{self, Context, Plain, flatten};
use super::relation::{Placed, Read, Slot, Target};
use super::report::{Report, counted, in_words};
use super::rows::{Rows, TriggerRows, conjuncts, is_time_slot};
use super::scope::{Meaning, Role, Scope};
use super::window::Windows;
use crate::ast::{
    self, BinaryOperator, EntityRef, FunctionCall, Join, JoinConstraint, JoinKind, Query,
    SelectItem, Span, WindowRef,
};
use crate::error::Diagnostic;

/// A column of a view that is being built.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) span: Span,
    pub(super) expr: Expr,
}

/// A view over events: its features in order and how they are evaluated.
pub(super) struct EventView {
    pub(super) columns: Vec<Column>,
    pub(super) body: ViewBody,
}

/// The trigger with the names of its columns.
struct Base {
    rows: Rows,
    scope: Scope,
    /// For each key of the entity, the slot of its column; for a full join, the left side's.
    key_columns: Vec<usize>,
    /// Columns of the other side of a full join that are keys too.
    other_keys: Vec<usize>,
    /// A condition of `WHERE` that holds after matching.
    late_filter: Option<Span>,
}

impl Binder<'_> {
    /// A feature view whose first relation is a source or a row view.
    pub(super) fn event_view(
        &self,
        view: &ast::CreateFeatureView,
        entity: &Arc<EntityDef>,
        first: &Read<'_>,
        report: &mut Report,
    ) -> Option<EventView> {
        let query = &view.query;
        let (full, joins) = match query.joins.split_first() {
            Some((join, rest)) if join.kind == JoinKind::AsOfFull => (Some(join), rest),
            _ => (None, query.joins.as_slice()),
        };
        let mut base = match full {
            Some(join) => self.full_join(first, join, entity, &view.entity, report)?,
            None => self.trigger(first, entity, &view.entity, report)?,
        };
        let mut is_complete = true;
        for join in joins {
            is_complete &= self.join(join, &mut base, report).is_some();
        }
        is_complete &= filter(query, &mut base, report).is_some();
        if let Some(group_by) = &query.group_by {
            return refuse_group_by(group_by, &base, report);
        }
        let windows = Windows::new(&query.windows, report);
        let mut used: Vec<String> = Vec::new();
        let columns = self.select(query, entity, &mut base, &windows, &mut used, report);
        windows.check(|name| used.iter().any(|u| u == name), report);
        if !is_complete {
            return None;
        }
        finish(view, columns?, base, first, report)
    }

    /// The trigger of a view without a full join.
    fn trigger(
        &self,
        first: &Read<'_>,
        entity: &EntityDef,
        written: &EntityRef,
        report: &mut Report,
    ) -> Option<Base> {
        let (rows, placed) = match &first.target {
            Target::Source(source) => {
                let placed = first.place(&|slot| first.target.own(slot), report)?;
                let rows = Rows::new(TriggerRows::Source {
                    source: source.clone(),
                    filter: Vec::new(),
                });
                (rows, placed)
            }
            Target::View(view) => {
                let ViewBody::Row(body) = &view.body else {
                    return None;
                };
                let (rows, columns) = Rows::of_view(body);
                let meaning = |slot| inlined(&rows, &columns, &first.target, slot);
                let placed = first.place(&meaning, report)?;
                (rows, placed)
            }
        };
        let Placed { relation, filter } = placed;
        let scope = Scope::single(relation);
        let key_columns = key_columns(entity, written, &scope, &rows, report);
        let mut base = Base {
            rows,
            scope,
            key_columns: key_columns?,
            other_keys: Vec::new(),
            late_filter: None,
        };
        for conjunct in filter {
            base.add_filter(conjunct);
        }
        Some(base)
    }

    /// The two triggers of `a ASOF FULL JOIN b`.
    fn full_join(
        &self,
        first: &Read<'_>,
        join: &Join,
        entity: &EntityDef,
        written: &EntityRef,
        report: &mut Report,
    ) -> Option<Base> {
        let second = self.read(&join.relation, report)?;
        let mut sources = Vec::new();
        for read in [first, &second] {
            match &read.target {
                Target::Source(source) => sources.push(source.clone()),
                Target::View(view) => {
                    return report.hinted(
                        format!("`ASOF FULL JOIN` is between sources, and `{}` is a view", view.name),
                        read.name_span,
                        "join the sources that the views are over, and look further views up with `ASOF JOIN`",
                    );
                }
            }
        }
        let [left, right] = sources.as_slice() else {
            return None;
        };
        let left_width = left.row_width();
        let placed_left = first.place(&|slot| first.target.own(slot), report);
        let shifted = |slot| match (slot, second.target.own(slot)) {
            (Slot::Source(i), _) => {
                Meaning::Expr(Expr::column(left_width + i, second.target.data_type(slot)))
            }
            (_, other) => other,
        };
        let own_right = second.place(&|slot| second.target.own(slot), report);
        let (placed_left, own_right) = (placed_left?, own_right?);
        let placed_right = second.place(&shifted, &mut Report::default())?;
        let mut scope = Scope::single(placed_left.relation);
        super::lookup::unique_alias(&second, &scope, report)?;
        if let Some(condition) = &join.match_condition {
            return report.hinted(
                "`ASOF FULL JOIN` has no `MATCH_CONDITION`: each row has the latest of either side",
                condition.span,
                "leave it out",
            );
        }
        let using: Vec<&ast::Ident> = match &join.constraint {
            Some(JoinConstraint::Using(list)) => list.columns.iter().collect(),
            _ => Vec::new(),
        };
        let pairs = full_join_pairs(join, &scope, &placed_right, left_width, report)?;
        scope.relations.push(placed_right.relation);

        let keys = full_join_keys(entity, written, &pairs, left, right, join, report)?;
        let (left_keys, right_keys): (Vec<usize>, Vec<usize>) = keys.into_iter().unzip();
        for name in using {
            merge(&mut scope, name);
        }
        for (source, keys, read) in [(left, &left_keys, first), (right, &right_keys, &second)] {
            if source.kind == SourceKind::Table && !is_same_set(keys, &source.primary_key) {
                return state_view(source, read.name_span, report);
            }
        }
        let rows = Rows::new(TriggerRows::Full {
            left: TriggerSide {
                source: left.clone(),
                key_columns: left_keys.clone(),
                filter: super::rows::all_of(placed_left.filter),
            },
            right: TriggerSide {
                source: right.clone(),
                key_columns: right_keys.clone(),
                filter: super::rows::all_of(own_right.filter),
            },
        });
        Some(Base {
            rows,
            scope,
            key_columns: left_keys,
            other_keys: right_keys.into_iter().map(|k| left_width + k).collect(),
            late_filter: None,
        })
    }

    /// A join behind the first relation.
    fn join(&self, join: &Join, base: &mut Base, report: &mut Report) -> Option<()> {
        match join.kind {
            JoinKind::AsOf => self.lookup(join, &mut base.scope, &mut base.rows, report),
            JoinKind::AsOfFull => report.hinted(
                "`ASOF FULL JOIN` can only be the first join",
                join.kind_span,
                "write the two sources that bring rows first, and look the others up with `ASOF JOIN`",
            ),
            kind => {
                let target = self.read(&join.relation, &mut Report::default());
                let hint = match target.map(|t| t.target) {
                    Some(Target::View(_)) => {
                        "write `ASOF JOIN ... ON ...`: the view is read at the time of each row"
                    }
                    _ => {
                        "write `ASOF JOIN` to look up the latest row at the time of each row, or `ASOF FULL JOIN` for a row at each event of either side"
                    }
                };
                report.hinted(
                    format!(
                        "{} does not join events: which rows belong together depends on the time",
                        join_words(kind)
                    ),
                    join.kind_span,
                    hint,
                )
            }
        }
    }

    /// The select list.
    fn select(
        &self,
        query: &Query,
        entity: &EntityDef,
        base: &mut Base,
        windows: &Windows<'_>,
        used: &mut Vec<String>,
        report: &mut Report,
    ) -> Option<Vec<Column>> {
        let mut columns: Vec<Column> = Vec::new();
        let mut is_complete = true;
        for item in &query.select {
            let SelectItem::Expr { expr, alias } = item else {
                match expand(item, base, report) {
                    Some(expanded) => columns.extend(expanded),
                    None => is_complete = false,
                }
                continue;
            };
            let mut context = Selecting {
                scope: base.scope.clone(),
                rows: &mut base.rows,
                key_columns: &base.key_columns,
                windows,
                used: &mut *used,
            };
            let bound = expression::bind(expr, &mut context, report);
            let Some(name) = super::features::name(expr, alias.as_ref(), report) else {
                is_complete = false;
                continue;
            };
            let Some(bound) = bound else {
                is_complete = false;
                continue;
            };
            if base.is_key(&bound, &name.0, entity) {
                continue;
            }
            columns.push(Column {
                name: name.0,
                span: name.1,
                expr: bound,
            });
        }
        is_complete.then_some(columns)
    }
}

impl Base {
    /// Puts a conjunct of `WHERE` where it belongs; answers whether that is after matching.
    fn add_filter(&mut self, conjunct: Expr) -> bool {
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
    fn is_key(&self, expr: &Expr, name: &str, entity: &EntityDef) -> bool {
        let Some(i) = self.key_index(expr) else {
            return false;
        };
        let source_name = match &self.rows.trigger {
            TriggerRows::Source { source, .. } => Some(&source.columns[self.key_columns[i]].name),
            TriggerRows::Full { left, .. } => Some(&left.source.columns[left.key_columns[i]].name),
        };
        name == entity.keys[i].name
            || source_name.is_some_and(|n| n == name)
            || self.is_name_of(expr, name)
    }

    /// Whether some relation calls an expression by this name.
    fn is_name_of(&self, expr: &Expr, name: &str) -> bool {
        self.scope.relations.iter().any(|r| {
            r.column(name)
                .is_some_and(|c| matches!(&c.meaning, Meaning::Expr(e) if e == expr))
        })
    }

    /// Which key of the entity a column is.
    fn key_index(&self, expr: &Expr) -> Option<usize> {
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
fn inlined(rows: &Rows, columns: &[Expr], target: &Target, slot: Slot) -> Meaning {
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
            evenkeel_types::definition::Trigger::Source(side) => {
                side.key_columns.get(i).and_then(|k| of_trigger(*k))
            }
            evenkeel_types::definition::Trigger::Full { left, right } => {
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
fn key_columns(
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
        let Some(slot) = rows.trigger_slot(&expr) else {
            report.hinted::<()>(
                format!(
                    "the key `{}` must be a plain column of the events",
                    name.value
                ),
                name.span,
                if rows.is_of_trigger(&expr) {
                    "compute it in the source: `name TYPE AS (...)`"
                } else {
                    "a derived stream (planned) can be keyed by a looked-up column"
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

fn placeholder(entity: &EntityDef) -> String {
    vec!["column"; entity.keys.len()].join(", ")
}

/// `WHERE`: conjuncts of the trigger alone, and the rest with a warning.
fn filter(query: &Query, base: &mut Base, report: &mut Report) -> Option<()> {
    let Some(written) = &query.filter else {
        return Some(());
    };
    let mut parts = Vec::new();
    flatten(written, BinaryOperator::And, &mut parts);
    let scope = base.scope.clone();
    let mut is_complete = true;
    for part in parts {
        let mut context = Plain::new(&scope, "`WHERE`")
            .with_aggregate_hint("use `FILTER (WHERE ...)` in the aggregate, or read the aggregate from a view of its own");
        let Some(bound) = expression::bind_condition(part, &mut context, report) else {
            is_complete = false;
            continue;
        };
        for conjunct in conjuncts(bound) {
            let is_late = base.add_filter(conjunct);
            if is_late {
                base.late_filter = base.late_filter.or(Some(part.span));
            }
            if is_late && base.rows.source().is_some() {
                report.push::<()>(
                    Diagnostic::warning(
                        "this filters after matching: rows whose look-up does not fit do not exist",
                        part.span,
                    )
                    .with_hint(
                        "to look up the latest row that fits, write `ASOF JOIN x WHERE (...)`",
                    ),
                );
            }
        }
    }
    is_complete.then_some(())
}

fn refuse_group_by<T>(group_by: &ast::GroupBy, base: &Base, report: &mut Report) -> Option<T> {
    match base.rows.source() {
        Some(source) if source.kind == SourceKind::Table => report.hinted(
            format!("state views (`GROUP BY` over the table `{}`) are planned: they come with the lake", source.name),
            group_by.span,
            "for aggregates over the changes of the table write windows: `count(*) OVER (LAST 30 DAYS)`",
        ),
        _ => report.hinted(
            "a feature view has no `GROUP BY`: each aggregate says its window, and the key is the entity's",
            group_by.span,
            "leave it out and write `count(*) OVER (LAST 24 HOURS)`, or `OVER (ALL HISTORY)`",
        ),
    }
}

/// The columns of `*` or `alias.*`.
fn expand(item: &SelectItem, base: &Base, report: &mut Report) -> Option<Vec<Column>> {
    let (only, span) = match item {
        SelectItem::QualifiedWildcard { qualifier, span } => {
            if base.scope.relation(&qualifier.value).is_none() {
                let aliases: Vec<&str> = base
                    .scope
                    .relations
                    .iter()
                    .map(|r| r.name.as_str())
                    .collect();
                return report.push(super::scope::with_hint(
                    Diagnostic::error(format!("there is no relation `{qualifier}` here"), *span),
                    super::report::did_you_mean(&qualifier.value, aliases),
                ));
            }
            (Some(qualifier.value.as_str()), *span)
        }
        SelectItem::Wildcard(span) => (None, *span),
        SelectItem::Expr { .. } => return None,
    };
    let mut columns = Vec::new();
    for relation in &base.scope.relations {
        if only.is_some_and(|name| name != relation.name) {
            continue;
        }
        for column in &relation.columns {
            let Meaning::Expr(expr) = &column.meaning else {
                continue;
            };
            if column.role != Role::Plain
                || relation.merged.contains(&column.name)
                || base.key_index(expr).is_some()
                || super::scope::PSEUDO_COLUMNS.contains(&column.name.as_str())
            {
                continue;
            }
            columns.push(Column {
                name: column.name.clone(),
                span,
                expr: expr.clone(),
            });
        }
    }
    Some(columns)
}

fn join_words(kind: JoinKind) -> &'static str {
    match kind {
        JoinKind::Inner => "`JOIN`",
        JoinKind::Left => "`LEFT JOIN`",
        JoinKind::Right => "`RIGHT JOIN`",
        JoinKind::Full => "`FULL JOIN`",
        JoinKind::Cross => "`CROSS JOIN`",
        JoinKind::Comma => "a comma",
        JoinKind::AsOf => "`ASOF JOIN`",
        JoinKind::AsOfFull => "`ASOF FULL JOIN`",
    }
}

/// The equal columns of a full join: slots of the left and of the right source row.
fn full_join_pairs(
    join: &Join,
    left: &Scope,
    right: &Placed,
    left_width: usize,
    report: &mut Report,
) -> Option<Vec<(usize, usize)>> {
    let column = |expr: &Expr| match expr.kind {
        ExprKind::Column(slot) => Some(slot),
        _ => None,
    };
    let mut pairs = Vec::new();
    match &join.constraint {
        Some(JoinConstraint::Using(list)) => {
            let own = Scope::single(right.relation.clone());
            for name in &list.columns {
                let parts = std::slice::from_ref(name);
                let a = left.resolve(parts, name.span, report);
                let b = own.resolve(parts, name.span, report);
                if let (Some(a), Some(b)) = (a, b)
                    && same_key_type(&a.expr.data_type, &b.expr.data_type, name.span, report)
                    && let (Some(a), Some(b)) = (column(&a.expr), column(&b.expr))
                {
                    pairs.push((a, b - left_width));
                }
            }
            (pairs.len() == list.columns.len()).then_some(pairs)
        }
        Some(JoinConstraint::On(on)) => {
            let mut both = left.clone();
            both.relations.push(right.relation.clone());
            let mut parts = Vec::new();
            flatten(on, BinaryOperator::And, &mut parts);
            let count = parts.len();
            for part in parts {
                let ast::ExprKind::Binary {
                    operator: BinaryOperator::Equal,
                    left: a,
                    right: b,
                    ..
                } = &part.kind
                else {
                    report.hinted::<()>(
                        "`ON` of a full join has equalities of key columns only",
                        part.span,
                        "to filter a side before joining write a sub-select: `(SELECT * FROM x WHERE ...) x`",
                    );
                    continue;
                };
                let mut context = Plain::new(&both, "`ON`");
                let bound_a = expression::bind(a, &mut context, report);
                let bound_b = expression::bind(b, &mut context, report);
                let (Some(bound_a), Some(bound_b)) = (bound_a, bound_b) else {
                    continue;
                };
                let slots = match (column(&bound_a), column(&bound_b)) {
                    (Some(a), Some(b)) if a < left_width && b >= left_width => {
                        Some((a, b - left_width))
                    }
                    (Some(a), Some(b)) if b < left_width && a >= left_width => {
                        Some((b, a - left_width))
                    }
                    _ => None,
                };
                let Some(slots) = slots else {
                    report.hinted::<()>(
                        "a full join compares a plain column of one side with one of the other",
                        part.span,
                        "write `a.key = b.key`",
                    );
                    continue;
                };
                if same_key_type(&bound_a.data_type, &bound_b.data_type, part.span, report) {
                    pairs.push(slots);
                }
            }
            (pairs.len() == count).then_some(pairs)
        }
        None => report.hinted(
            "a full join needs the key columns that must be equal",
            join.kind_span,
            "write `ON a.key = b.key` or `USING (key)`",
        ),
    }
}

fn same_key_type(a: &DataType, b: &DataType, span: Span, report: &mut Report) -> bool {
    if a == b {
        return true;
    }
    report.hinted::<()>(
        format!("the columns have different types: {a} and {b}"),
        span,
        "declare both with one type, or compute one of them in its source: `name TYPE AS (CAST(...))`",
    );
    false
}

/// For each key of the entity its slots in both source rows.
fn full_join_keys(
    entity: &EntityDef,
    written: &EntityRef,
    pairs: &[(usize, usize)],
    left: &SourceDef,
    right: &SourceDef,
    join: &Join,
    report: &mut Report,
) -> Option<Vec<(usize, usize)>> {
    let names = mapped_names(entity, written, report)?;
    let span = match &join.constraint {
        Some(JoinConstraint::On(on)) => on.span,
        Some(JoinConstraint::Using(list)) => list.span,
        None => join.kind_span,
    };
    let name_of = |source: &SourceDef, slot: usize| {
        source
            .columns
            .get(slot)
            .map(|c| c.name.clone())
            .unwrap_or_default()
    };
    let mut keys = Vec::new();
    for (key, name) in entity.keys.iter().zip(&names) {
        let found: Vec<(usize, usize)> = pairs
            .iter()
            .copied()
            .filter(|(a, b)| name_of(left, *a) == name.value || name_of(right, *b) == name.value)
            .collect();
        let [(a, b)] = found.as_slice() else {
            report.hinted::<()>(
                format!(
                    "no equality of the full join is about `{}`, a key of entity `{}`",
                    name.value, entity.name
                ),
                span,
                if written.columns.is_some() {
                    format!("write `ON a.{0} = b.{0}`", name.value)
                } else {
                    format!(
                        "say which of the joined columns is the key: `ENTITY {} ({})`",
                        entity.name,
                        placeholder(entity)
                    )
                },
            );
            continue;
        };
        let data_type = &left.columns.get(*a)?.data_type;
        if *data_type != key.data_type {
            report.hinted::<()>(
                format!(
                    "key `{}` of entity `{}` is {}, but column `{}` is {data_type}",
                    key.name, entity.name, key.data_type, name.value
                ),
                name.span,
                "declare both with one type",
            );
            continue;
        }
        keys.push((*a, *b));
    }
    if keys.len() != entity.keys.len() {
        return None;
    }
    if pairs.len() != keys.len() {
        let names: Vec<&str> = names.iter().map(|n| n.value.as_str()).collect();
        return report.hinted(
            format!(
                "a full join is over exactly the key of entity `{}`",
                entity.name
            ),
            span,
            format!("compare only {}", in_words(&names)),
        );
    }
    Some(keys)
}

/// Makes a `USING` column of a full join whichever side has it.
fn merge(scope: &mut Scope, name: &ast::Ident) {
    let sides: Vec<Expr> = scope
        .relations
        .iter()
        .filter_map(|r| match &r.column(&name.value)?.meaning {
            Meaning::Expr(expr) => Some(expr.clone()),
            Meaning::Refused { .. } => None,
        })
        .collect();
    let Some(data_type) = sides.first().map(|s| s.data_type.clone()) else {
        return;
    };
    for relation in &mut scope.relations {
        relation.merged.insert(name.value.clone());
    }
    let mut merged = super::scope::ScopeRelation::new("");
    merged.add(
        name.value.clone(),
        Expr {
            kind: ExprKind::Coalesce(sides),
            data_type,
        },
        Role::Plain,
    );
    scope.relations.push(merged);
}

fn is_same_set(a: &[usize], b: &[usize]) -> bool {
    a.len() == b.len() && a.iter().all(|x| b.contains(x))
}

fn state_view<T>(source: &SourceDef, span: Span, report: &mut Report) -> Option<T> {
    let names: Vec<&str> = source
        .primary_key
        .iter()
        .map(|k| source.columns[*k].name.as_str())
        .collect();
    report.hinted(
        format!(
            "rows of the table `{}` by another key than its primary key {} are a state view, which is planned",
            source.name,
            in_words(&names)
        ),
        span,
        "make the primary key the key of the entity, or aggregate the changes with windows",
    )
}

/// Decides the kind and puts the body together.
fn finish(
    view: &ast::CreateFeatureView,
    columns: Vec<Column>,
    mut base: Base,
    first: &Read<'_>,
    report: &mut Report,
) -> Option<EventView> {
    let mut exprs: Vec<Expr> = columns.iter().map(|c| c.expr.clone()).collect();
    base.rows.prune(&mut exprs);
    let own_window = base.rows.has_own_windows();
    if own_window && !base.rows.filter.is_empty() {
        return report.hinted(
            "the windows would have to count only rows whose look-ups fit",
            base.late_filter.unwrap_or(first.name_span),
            "filter by columns of the events themselves, or use `FILTER (WHERE ...)`; aggregating over looked-up columns needs a derived stream (planned)",
        );
    }
    let is_window_view = base.rows.is_windows_only(&base.key_columns, &exprs);
    let body = if is_window_view {
        let source = base.rows.source()?.clone();
        if let Some(ttl) = &view.ttl {
            return report.hinted(
                "a window view has no `TTL`: its windows say how far back they reach, and it has an answer at any time",
                ttl.span,
                "leave it out",
            );
        }
        if let Some(span) = base.rows.other_partition(&base.key_columns) {
            return other_partition(span, &base, &source, report);
        }
        ViewBody::Window(base.rows.finish_window(source, base.key_columns, exprs))
    } else {
        if let Some(source) = base.rows.source().cloned()
            && source.kind == SourceKind::Table
            && !is_same_set(&base.key_columns, &source.primary_key)
        {
            return state_view(&source, view.entity.span, report);
        }
        let ttl = match &view.ttl {
            None => None,
            Some(ttl) => Some(positive(ttl, report)?),
        };
        ViewBody::Row(Box::new(base.rows.finish_row(base.key_columns, exprs, ttl)))
    };
    Some(EventView { columns, body })
}

/// A window view's windows are over its key.
fn other_partition<T>(
    span: Span,
    base: &Base,
    source: &SourceDef,
    report: &mut Report,
) -> Option<T> {
    let names: Vec<&str> = base
        .key_columns
        .iter()
        .map(|k| source.columns[*k].name.as_str())
        .collect();
    report.hinted(
        format!(
            "the windows of a window view are over its key {}",
            in_words(&names)
        ),
        span,
        "leave `PARTITION BY` out, or make a view of the entity whose key it is",
    )
}

fn positive(ttl: &ast::IntervalLit, report: &mut Report) -> Option<Interval> {
    if ttl.value.is_negative() || ttl.value.is_zero() {
        return report.hinted(
            "`TTL` must be above zero",
            ttl.span,
            "write how old the newest row may be: `TTL INTERVAL '1' DAY`",
        );
    }
    Some(ttl.value)
}

/// The select list of a view over events: windows are allowed.
struct Selecting<'a, 'b> {
    scope: Scope,
    rows: &'a mut Rows,
    key_columns: &'a [usize],
    windows: &'a Windows<'b>,
    used: &'a mut Vec<String>,
}

impl Context for Selecting<'_, '_> {
    fn scope(&self) -> &Scope {
        &self.scope
    }

    fn read_time(&mut self, _span: Span, _report: &mut Report) -> Option<Expr> {
        Some(evenkeel_expr::build::read_time())
    }

    fn aggregate(&mut self, call: &FunctionCall, span: Span, report: &mut Report) -> Option<Expr> {
        let Some(over) = &call.over else {
            return report.hinted(
                format!("the aggregate `{}` does not say its window", call.name),
                span,
                "write `OVER (LAST 24 HOURS)`, or `OVER (ALL HISTORY)` for everything up to the read time",
            );
        };
        let Some(source) = self.rows.source().cloned() else {
            return report.hinted(
                "a full join has no windows: which of its sources would they be over?",
                span,
                "put the windows into a view of their own and look it up with `ASOF JOIN`",
            );
        };
        if let WindowRef::Named(name) = over {
            self.used.push(name.value.clone());
        }
        let scope = self.scope.clone();
        let is_event_time = |expr: &Expr| match expr.kind {
            ExprKind::Column(slot) => slot < source.row_width() && is_time_slot(&source, slot),
            _ => false,
        };
        let bound = bind_aggregate(call, span, &scope, &is_event_time, report);
        let window = self.windows.window(over, report);
        let (bound, window) = (bound?, window?);
        let mut key_columns = Vec::new();
        for expr in window.partition_by {
            let mut context = Plain::new(&scope, "`PARTITION BY`");
            let key = expression::bind(expr, &mut context, report)?;
            let Some(slot) = self.rows.trigger_slot(&key) else {
                return report.hinted(
                    "windows are partitioned by plain columns of the events",
                    expr.span,
                    if self.rows.is_of_trigger(&key) {
                        "compute it in the source: `name TYPE AS (...)`"
                    } else {
                        "a derived stream (planned) can be partitioned by a looked-up column"
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
            let mut context = Plain::new(&scope, "`ORDER BY`");
            ordered_by_time(item, &mut context, &is_event_time, report)?;
        }
        for input in bound.args.iter().chain(&bound.filter) {
            if !self.rows.is_of_trigger(input) {
                let what = if Rows::uses_window(input) {
                    "windows"
                } else {
                    "looked-up columns"
                };
                return report.hinted(
                    format!("an aggregate cannot be over {what}"),
                    span,
                    "aggregate columns of the events themselves; aggregating over what is looked up needs a derived stream (planned)",
                );
            }
        }
        // The entity's key in its own order, however it is written.
        if key_columns.is_empty() || is_same_set(&key_columns, self.key_columns) {
            key_columns = self.key_columns.to_vec();
        }
        Some(self.rows.window(
            key_columns,
            WindowAggregate {
                call: bound,
                frame: window.frame,
            },
            window.partition_by.first().map_or(span, |p| p.span),
        ))
    }
}
