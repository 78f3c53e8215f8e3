//! `ASOF JOIN`: what is looked up, by which key, filtered by what. When a row matches is in
//! `match_condition`.
//!
//! Rules beyond `docs/semantics.md`: the keys of a look-up in a stream are in the order of
//! the stream's columns, however they are written, so that equal look-ups share their state.

use evenkeel_expr::build;
use evenkeel_types::definition::{Lookup, SourceKind};
use evenkeel_types::{Expr, ExprKind};

use super::Binder;
use super::cost::LOOKUPS_MAX;
use super::expression::{self, Plain, built, flatten};
use super::match_condition::Times;
use super::relation::{Read, Slot, Target};
use super::report::{Report, in_words};
use super::rows::{Rows, all_of, stored_slot};
use super::scope::{Meaning, Scope, ScopeRelation};
use crate::ast::{self, BinaryOperator, ColumnList, ExprKind as E, JoinConstraint, Span};
use crate::error::Diagnostic;

/// The right side's row, while its join is bound.
pub(super) const RIGHT_BASE: usize = 1 << 42;
/// The right side's keys, if it is a view.
pub(super) const RIGHT_KEYS: usize = 1 << 43;
/// The right side's row time, if it is a view.
pub(super) const RIGHT_TIME: usize = 1 << 44;

/// One `left = right` of a join.
struct KeyPair {
    left: Expr,
    left_span: Span,
    right: Slot,
    right_span: Span,
}

impl Binder<'_> {
    /// Adds a look-up to the rows and its columns to the names.
    pub(super) fn lookup(
        &self,
        join: &ast::Join,
        scope: &mut Scope,
        rows: &mut Rows,
        report: &mut Report,
    ) -> Option<()> {
        let errors_before = report.error_count();
        let read = self.read(&join.relation, report)?;
        self.refuse_request(&read, report)?;
        unique_alias(&read, scope, report)?;
        if rows.lookup_count() >= LOOKUPS_MAX {
            return report.hinted(
                format!("a view has at most {LOOKUPS_MAX} look-ups"),
                join.kind_span,
                "divide it into several views",
            );
        }
        let own = read.place(&|slot| read.target.own(slot), report)?;
        let right = read.place(
            &|slot| Meaning::Expr(Expr::column(provisional(slot), read.target.data_type(slot))),
            // What is wrong with the filter was told above.
            &mut report.apart(),
        )?;
        let mut both = scope.clone();
        both.relations.push(right.relation.clone());

        let mut matching = Matching {
            read: &read,
            scope: &both,
            rows,
            times: Times::default(),
            pairs: Vec::new(),
        };
        let mut merged: Vec<String> = Vec::new();
        let constraint_span = match &join.constraint {
            Some(JoinConstraint::On(on)) => {
                matching.on(on, join.match_condition.is_some(), report);
                on.span
            }
            Some(JoinConstraint::Using(list)) => {
                matching.using(list, scope, &right.relation, report);
                merged.extend(list.columns.iter().map(|c| c.value.clone()));
                list.span
            }
            None => {
                return report.hinted(
                    "an as-of join needs the columns that must be equal",
                    join.kind_span,
                    "write `ON a.key = b.key` or `USING (key)`",
                );
            }
        };
        if let Some(written) = &join.match_condition {
            matching.condition(written, report);
            if matching.times.order.is_none() && matching.times.max_age.is_some() {
                report.hinted::<()>(
                    "the time condition has an age limit only",
                    written.span,
                    "say from when rows count too: `a.event_time >= b.event_time AND ...`",
                );
            }
        }
        let Matching { times, pairs, .. } = matching;
        if report.error_count() > errors_before {
            // Names still mean something to what follows, so that its errors are told too.
            let columns = lookup_columns(&read, rows.next_lookup_slot(), merged, report)?;
            scope.relations.push(columns);
            return None;
        }
        times.check(&read, report)?;
        let (keys, key_columns) = keys(&read, pairs, constraint_span, report)?;
        let first = rows.lookup(Lookup {
            alias: read.alias.clone(),
            target: read.target.clone().lookup(key_columns),
            keys,
            strict: times.order.is_some_and(|(strict, _)| strict),
            max_age: times.max_age.map(|(age, _)| age),
            filter: all_of(own.filter),
        });
        let columns = lookup_columns(&read, first, merged, report)?;
        scope.relations.push(columns);
        Some(())
    }
}

/// Tells an error if the alias is taken.
pub(super) fn unique_alias(read: &Read<'_>, scope: &Scope, report: &mut Report) -> Option<()> {
    if scope.relation(&read.alias).is_none() {
        return Some(());
    }
    report.hinted(
        format!("there are two relations `{}`", read.alias),
        read.alias_span,
        format!(
            "give this one another name: `{} AS previous`",
            read.target.name()
        ),
    )
}

fn provisional(slot: Slot) -> usize {
    match slot {
        Slot::Source(i) | Slot::Feature(i) => RIGHT_BASE + i,
        Slot::Key(i) => RIGHT_KEYS + i,
        Slot::RowTime => RIGHT_TIME,
    }
}

/// The columns of a look-up from its first slot on.
fn lookup_columns(
    read: &Read<'_>,
    first: usize,
    merged: Vec<String>,
    report: &mut Report,
) -> Option<ScopeRelation> {
    let meaning = |slot| match slot {
        Slot::Source(i) | Slot::Feature(i) => {
            Meaning::Expr(Expr::column(first + i, read.target.data_type(slot)))
        }
        Slot::Key(_) => Meaning::Refused {
            message: "this is the key that the view is looked up by, not one of its features"
                .to_owned(),
            hint: "write the column of the left side that it is matched with".to_owned(),
        },
        Slot::RowTime => read.target.own(slot),
    };
    let mut placed = read.place(&meaning, report)?;
    placed.relation.merged.extend(merged);
    Some(placed.relation)
}

/// The condition of one join, taken apart.
pub(super) struct Matching<'a> {
    pub(super) read: &'a Read<'a>,
    /// The left side's names and the right side's.
    pub(super) scope: &'a Scope,
    pub(super) rows: &'a Rows,
    pub(super) times: Times,
    pairs: Vec<KeyPair>,
}

impl Matching<'_> {
    /// An expression over both sides.
    pub(super) fn bind(&self, expr: &ast::Expr, place: &str, report: &mut Report) -> Option<Expr> {
        let mut context = Plain::new(self.scope, place)
            .with_aggregate_hint("compute it in a view of its own and read that");
        expression::bind(expr, &mut context, report)
    }

    /// `ON a AND b AND ...`
    fn on(&mut self, on: &ast::Expr, has_condition: bool, report: &mut Report) {
        let mut parts = Vec::new();
        flatten(on, BinaryOperator::And, &mut parts);
        for part in parts {
            match &part.kind {
                E::Binary {
                    operator: BinaryOperator::Equal,
                    left,
                    right,
                    ..
                } => {
                    self.equality(part, left, right, report);
                }
                E::Binary {
                    operator:
                        BinaryOperator::Less
                        | BinaryOperator::LessOrEqual
                        | BinaryOperator::Greater
                        | BinaryOperator::GreaterOrEqual,
                    ..
                }
                | E::Between { negated: false, .. } => {
                    if !self.is_about_times(part) {
                        self.no_equality(part, report);
                    } else if has_condition {
                        report.hinted::<()>(
                            "the time condition stands both in `ON` and in `MATCH_CONDITION`",
                            part.span,
                            "move it into `MATCH_CONDITION`",
                        );
                    } else {
                        self.comparison(part, report);
                    }
                }
                _ => self.no_equality(part, report),
            }
        }
    }

    fn no_equality(&self, part: &ast::Expr, report: &mut Report) {
        report.hinted::<()>(
            "`ON` of an as-of join has equalities only",
            part.span,
            format!(
                "to filter before matching write `ASOF JOIN {} WHERE (...)`",
                self.read.alias
            ),
        );
    }

    fn equality(
        &mut self,
        part: &ast::Expr,
        a: &ast::Expr,
        b: &ast::Expr,
        report: &mut Report,
    ) -> Option<()> {
        let bound_a = self.bind(a, "`ON`", report);
        let bound_b = self.bind(b, "`ON`", report);
        let (bound_a, bound_b) = (bound_a?, bound_b?);
        let alias = &self.read.alias;
        let (left, left_span, right, right_span) = match (side(&bound_a), side(&bound_b)) {
            (Side::Left | Side::None, Side::Right) => (bound_a, a.span, bound_b, b.span),
            (Side::Right, Side::Left | Side::None) => (bound_b, b.span, bound_a, a.span),
            (Side::Right, Side::Right) => {
                return report.hinted(
                    format!("both sides are columns of `{alias}`"),
                    part.span,
                    format!("to filter before matching write `ASOF JOIN {alias} WHERE (...)`"),
                );
            }
            (Side::Both, _) | (_, Side::Both) => {
                return report.hinted(
                    format!("one side mixes columns of `{alias}` with others"),
                    part.span,
                    format!("write `other.column = {alias}.column`"),
                );
            }
            _ => {
                return report.hinted(
                    format!("no side is a column of `{alias}`"),
                    part.span,
                    format!("write `other.column = {alias}.column`; a condition on the left side belongs into `WHERE`"),
                );
            }
        };
        let ExprKind::Column(slot) = right.kind else {
            return report.hinted(
                format!("the side of `{alias}` must be a plain column"),
                right_span,
                "compute it in the source: `name TYPE AS (...)`",
            );
        };
        let right = self.right_slot(slot, right_span, report)?;
        self.pairs.push(KeyPair {
            left,
            left_span,
            right,
            right_span,
        });
        Some(())
    }

    /// What a provisional slot of the right side is; its times are no keys.
    fn right_slot(&self, slot: usize, span: Span, report: &mut Report) -> Option<Slot> {
        if slot >= RIGHT_KEYS && slot != RIGHT_TIME {
            return Some(Slot::Key(slot - RIGHT_KEYS));
        }
        let found = match &self.read.target {
            Target::View(_) if slot != RIGHT_TIME => Some(Slot::Feature(slot - RIGHT_BASE)),
            Target::View(_) => None,
            Target::Source(source) => stored_slot(source, slot - RIGHT_BASE).map(Slot::Source),
        };
        match found {
            Some(slot) => Some(slot),
            None => report.hinted(
                "rows are not matched by this time",
                span,
                "compare times with `MATCH_CONDITION (a.event_time >= b.event_time)`",
            ),
        }
    }

    /// `USING (a, b)`
    fn using(
        &mut self,
        list: &ColumnList,
        left: &Scope,
        right: &ScopeRelation,
        report: &mut Report,
    ) {
        for name in &list.columns {
            let own = Scope::single(right.clone());
            let parts = std::slice::from_ref(name);
            let Some(found) = left.resolve(parts, name.span, report) else {
                continue;
            };
            let Some(of_right) = own.resolve(parts, name.span, report) else {
                continue;
            };
            let ExprKind::Column(slot) = of_right.expr.kind else {
                continue;
            };
            let Some(right) = self.right_slot(slot, name.span, report) else {
                continue;
            };
            self.pairs.push(KeyPair {
                left: found.expr,
                left_span: name.span,
                right,
                right_span: name.span,
            });
        }
    }
}

/// Which side the columns of an expression are of.
enum Side {
    None,
    Left,
    Right,
    Both,
}

fn side(expr: &Expr) -> Side {
    let columns = expr.columns();
    let right = columns.iter().filter(|c| **c >= RIGHT_BASE).count();
    match (columns.len() - right, right) {
        (0, 0) => Side::None,
        (_, 0) => Side::Left,
        (0, _) => Side::Right,
        _ => Side::Both,
    }
}

/// The keys of a look-up in the order of its target, with the source's slots.
fn keys(
    read: &Read<'_>,
    pairs: Vec<KeyPair>,
    span: Span,
    report: &mut Report,
) -> Option<(Vec<Expr>, Vec<usize>)> {
    let mut found: Vec<(Slot, Expr)> = Vec::new();
    let mut is_complete = true;
    for pair in pairs {
        if found.iter().any(|(slot, _)| *slot == pair.right) {
            report.hinted::<()>(
                "this column is compared twice",
                pair.right_span,
                "leave one of the comparisons out",
            );
            is_complete = false;
            continue;
        }
        let data_type = read.target.data_type(pair.right);
        if let (Target::View(view), Slot::Feature(_)) = (&read.target, pair.right) {
            let names: Vec<&str> = view.key.iter().map(|k| k.name.as_str()).collect();
            report.hinted::<()>(
                format!(
                    "`{}` is looked up by its key {}, not by a feature",
                    read.alias,
                    in_words(&names)
                ),
                pair.right_span,
                "match the key, and filter features with `WHERE (...)` behind the alias",
            );
            is_complete = false;
            continue;
        }
        if !data_type.is_key() {
            report.hinted::<()>(
                format!("rows cannot be matched by a column of type {data_type}"),
                pair.right_span,
                super::entity::key_hint(&data_type),
            );
            is_complete = false;
            continue;
        }
        let Some(left) = built(
            build::coerce(pair.left, &data_type),
            pair.left_span,
            &[],
            report,
        ) else {
            is_complete = false;
            continue;
        };
        found.push((pair.right, left));
    }
    if !is_complete {
        return None;
    }
    let wanted: Vec<Slot> = match &read.target {
        Target::View(view) => (0..view.key.len()).map(Slot::Key).collect(),
        Target::Source(source) if source.kind == SourceKind::Table => source
            .primary_key
            .iter()
            .map(|k| Slot::Source(*k))
            .collect(),
        Target::Source(_) => {
            let mut slots: Vec<usize> = found.iter().map(|(slot, _)| index(*slot)).collect();
            slots.sort_unstable();
            slots.into_iter().map(Slot::Source).collect()
        }
    };
    let is_same = wanted.len() == found.len()
        && wanted
            .iter()
            .all(|w| found.iter().any(|(slot, _)| slot == w));
    if wanted.is_empty() || !is_same {
        return report.push(wrong_key(read, span));
    }
    let keys = wanted
        .iter()
        .filter_map(|w| found.iter().find(|(slot, _)| slot == w))
        .map(|(_, left)| left.clone())
        .collect();
    let key_columns = match &read.target {
        Target::Source(_) => wanted.into_iter().map(index).collect(),
        Target::View(_) => Vec::new(),
    };
    Some((keys, key_columns))
}

fn index(slot: Slot) -> usize {
    match slot {
        Slot::Source(i) | Slot::Feature(i) | Slot::Key(i) => i,
        Slot::RowTime => 0,
    }
}

fn wrong_key(read: &Read<'_>, span: Span) -> Diagnostic {
    match &read.target {
        Target::Source(source) if source.kind == SourceKind::Table => {
            let names: Vec<&str> = source
                .primary_key
                .iter()
                .map(|k| source.columns[*k].name.as_str())
                .collect();
            Diagnostic::error(
                format!(
                    "table `{}` is looked up by its primary key {}",
                    source.name,
                    in_words(&names)
                ),
                span,
            )
            .with_hint(
                "match exactly these columns; to look up by others declare the source as a stream",
            )
        }
        Target::View(view) => {
            let names: Vec<&str> = view.key.iter().map(|k| k.name.as_str()).collect();
            Diagnostic::error(
                format!(
                    "view `{}` is looked up by its whole key {}",
                    view.name,
                    in_words(&names)
                ),
                span,
            )
            .with_hint("match exactly these columns")
        }
        Target::Source(_) => Diagnostic::error(
            "an as-of join needs at least one column that must be equal",
            span,
        )
        .with_hint(format!("write `ON other.key = {}.key`", read.alias)),
    }
}
