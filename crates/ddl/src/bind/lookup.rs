//! `ASOF JOIN`: keys, the time condition, the age limit and the filter of a look-up.
//!
//! Rules beyond `docs/semantics.md`: in a time condition the unqualified `event_time` is the
//! time of the left row; `BETWEEN` is understood; an age limit may be written on either side
//! (`b.t > a.t - INTERVAL ..`, `a.t < b.t + INTERVAL ..`), with months on the left's only,
//! since `t - 1 month` and `t + 1 month` do not undo each other.

use evenkeel_expr::build;
use evenkeel_types::definition::{Lookup, MaxAge, SourceKind, Trigger, ViewBody};
use evenkeel_types::{Expr, ExprKind, Interval};

use super::Binder;
use super::expression::{self, Plain, built, flatten};
use super::relation::{Read, Slot, Target};
use super::report::{Report, in_words};
use super::rows::{Rows, all_of, is_time_slot};
use super::scope::{Meaning, Scope, ScopeRelation};
use crate::ast::{self, BinaryOperator, ColumnList, ExprKind as E, JoinConstraint, Literal, Span};

/// The right side's row, while its join is bound.
const RIGHT_BASE: usize = 1 << 42;
/// The right side's keys, if it is a view.
const RIGHT_KEYS: usize = 1 << 43;
/// The right side's row time, if it is a view.
const RIGHT_TIME: usize = 1 << 44;

/// One `left = right` of a join.
struct KeyPair {
    left: Expr,
    left_span: Span,
    right: Slot,
    right_span: Span,
}

/// What is known of when a row matches.
#[derive(Default)]
struct Times {
    /// `>` (true) or `>=` (false), with its place.
    order: Option<(bool, Span)>,
    max_age: Option<(MaxAge, Span)>,
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
        let own = read.place(&|slot| read.target.own(slot), report)?;
        let right = read.place(
            &|slot| Meaning::Expr(Expr::column(provisional(slot), read.target.data_type(slot))),
            // What is wrong with the filter was told above.
            &mut Report::default(),
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
        check_times(&read, &times, report)?;
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
struct Matching<'a> {
    read: &'a Read<'a>,
    /// The left side's names and the right side's.
    scope: &'a Scope,
    rows: &'a Rows,
    times: Times,
    pairs: Vec<KeyPair>,
}

/// One side of a comparison of times.
struct TimeOperand {
    is_left: bool,
    /// What is added to the time.
    offset: Interval,
}

impl Matching<'_> {
    fn bind(&self, expr: &ast::Expr, place: &str, report: &mut Report) -> Option<Expr> {
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
                    if has_condition {
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
        let right = if slot == RIGHT_TIME {
            return report.hinted(
                "a row time is no key",
                right_span,
                "compare times with `MATCH_CONDITION (a.event_time >= b.event_time)`",
            );
        } else if slot >= RIGHT_KEYS {
            Slot::Key(slot - RIGHT_KEYS)
        } else if matches!(self.read.target, Target::View(_)) {
            Slot::Feature(slot - RIGHT_BASE)
        } else {
            Slot::Source(slot - RIGHT_BASE)
        };
        self.pairs.push(KeyPair {
            left,
            left_span,
            right,
            right_span,
        });
        Some(())
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
            let found = left.resolve(parts, name.span, report);
            let of_right = own.resolve(parts, name.span, report);
            let (Some(found), Some(of_right)) = (found, of_right) else {
                continue;
            };
            let ExprKind::Column(slot) = of_right.expr.kind else {
                continue;
            };
            let right = if slot >= RIGHT_KEYS {
                Slot::Key(slot - RIGHT_KEYS)
            } else if matches!(self.read.target, Target::View(_)) {
                Slot::Feature(slot - RIGHT_BASE)
            } else {
                Slot::Source(slot - RIGHT_BASE)
            };
            self.pairs.push(KeyPair {
                left: found.expr,
                left_span: name.span,
                right,
                right_span: name.span,
            });
        }
    }

    /// `MATCH_CONDITION (a AND b)`
    fn condition(&mut self, written: &ast::Expr, report: &mut Report) {
        let mut parts = Vec::new();
        flatten(written, BinaryOperator::And, &mut parts);
        for part in parts {
            self.comparison(part, report);
        }
    }

    /// One comparison of the two times.
    fn comparison(&mut self, part: &ast::Expr, report: &mut Report) -> Option<()> {
        use BinaryOperator as B;
        match &part.kind {
            E::Binary {
                operator: operator @ (B::Less | B::LessOrEqual | B::Greater | B::GreaterOrEqual),
                left,
                right,
                ..
            } => self.compared(part.span, left, *operator, right, report),
            E::Between {
                operand,
                low,
                high,
                negated: false,
            } => {
                let lower = self.compared(part.span, operand, B::GreaterOrEqual, low, report);
                let upper = self.compared(part.span, operand, B::LessOrEqual, high, report);
                lower.and(upper)
            }
            _ => report.hinted(
                "the time condition compares the times of the two rows",
                part.span,
                format!(
                    "write `event_time >= {}.event_time`, or `>`",
                    self.read.alias
                ),
            ),
        }
    }

    fn compared(
        &mut self,
        span: Span,
        a: &ast::Expr,
        operator: BinaryOperator,
        b: &ast::Expr,
        report: &mut Report,
    ) -> Option<()> {
        let first = self.operand(a, report);
        let second = self.operand(b, report);
        let (first, second) = (first?, second?);
        if first.is_left == second.is_left {
            return report.hinted(
                "both times are of the same side",
                span,
                format!(
                    "write `event_time >= {}.event_time`, or `>`",
                    self.read.alias
                ),
            );
        }
        let is_strict = matches!(operator, BinaryOperator::Less | BinaryOperator::Greater);
        let is_greater = matches!(
            operator,
            BinaryOperator::Greater | BinaryOperator::GreaterOrEqual
        );
        // As `left OP right`.
        let (left, right, is_greater) = if first.is_left {
            (first.offset, second.offset, is_greater)
        } else {
            (second.offset, first.offset, !is_greater)
        };
        if is_greater {
            return self.from(span, left, right, is_strict, report);
        }
        self.age(span, left, right, is_strict, report)
    }

    /// `left + l >= right + r`
    fn from(
        &mut self,
        span: Span,
        left: Interval,
        right: Interval,
        is_strict: bool,
        report: &mut Report,
    ) -> Option<()> {
        if !left.is_zero() || !right.is_zero() {
            let looks_forward =
                (left.is_zero() && right.is_negative()) || (right.is_zero() && !left.is_negative());
            if looks_forward {
                return self.forward(span, report);
            }
            return report.hinted(
                "a look-up cannot start in the past",
                span,
                format!(
                    "compare the times as they are, `event_time >= {0}.event_time`; a delay belongs into the source of `{0}`: `KNOWN AT`",
                    self.read.alias
                ),
            );
        }
        if self.times.order.is_some() {
            return report.hinted(
                "the times are compared twice",
                span,
                "write one comparison, and if wanted one age limit",
            );
        }
        self.times.order = Some((is_strict, span));
        Some(())
    }

    /// `left + l <= right + r`
    fn age(
        &mut self,
        span: Span,
        left: Interval,
        right: Interval,
        is_strict: bool,
        report: &mut Report,
    ) -> Option<()> {
        let age = match (left.is_zero(), right.is_zero()) {
            (false, true) if left.months <= 0 && left.micros <= 0 => Interval {
                months: left.months.saturating_neg(),
                micros: left.micros.saturating_neg(),
            },
            (true, false) if !right.is_negative() => {
                if !right.is_exact() {
                    return report.hinted(
                        "months are counted back from the left row",
                        span,
                        format!(
                            "write `{}.event_time > event_time - INTERVAL '1' MONTH`",
                            self.read.alias
                        ),
                    );
                }
                right
            }
            (true, true) | (true, false) | (false, true) => return self.forward(span, report),
            (false, false) => {
                return report.hinted(
                    "an age limit has one interval",
                    span,
                    format!(
                        "write `{}.event_time > event_time - INTERVAL '2' HOUR`",
                        self.read.alias
                    ),
                );
            }
        };
        if self.times.max_age.is_some() {
            return report.hinted("there are two age limits", span, "leave the longer one out");
        }
        self.times.max_age = Some((
            MaxAge {
                age,
                inclusive: !is_strict,
            },
            span,
        ));
        Some(())
    }

    fn forward<T>(&self, span: Span, report: &mut Report) -> Option<T> {
        report.hinted(
            "a feature cannot look forward",
            span,
            format!(
                "write `event_time >= {}.event_time`: the latest row up to the time of the left one",
                self.read.alias
            ),
        )
    }

    /// A time of either side, perhaps with an interval.
    fn operand(&self, expr: &ast::Expr, report: &mut Report) -> Option<TimeOperand> {
        let (base, offset) = offset(expr);
        if let E::Name(parts) = &base.kind
            && let [name] = parts.as_slice()
            && name.value == "event_time"
            && self.scope.relations.iter().all(|r| {
                r.column("event_time")
                    .is_none_or(|c| c.role == super::scope::Role::Pseudo)
            })
        {
            return Some(TimeOperand {
                is_left: true,
                offset,
            });
        }
        let bound = self.bind(base, "`MATCH_CONDITION`", report)?;
        if self.rows.is_trigger_time(&bound) {
            return Some(TimeOperand {
                is_left: true,
                offset,
            });
        }
        if self.is_right_time(&bound) {
            return Some(TimeOperand {
                is_left: false,
                offset,
            });
        }
        let alias = &self.read.alias;
        report.hinted(
            "this is not the event time of either row",
            base.span,
            format!("write `event_time` for the left row and `{alias}.event_time` for the row of `{alias}`"),
        )
    }

    fn is_right_time(&self, expr: &Expr) -> bool {
        let ExprKind::Column(slot) = expr.kind else {
            return false;
        };
        if slot == RIGHT_TIME {
            return true;
        }
        let Some(own) = slot.checked_sub(RIGHT_BASE).filter(|_| slot < RIGHT_KEYS) else {
            return false;
        };
        match &self.read.target {
            Target::Source(source) => is_time_slot(source, own),
            // A feature that is the time of the view's own rows.
            Target::View(view) => match &view.body {
                ViewBody::Row(body) => {
                    match (&body.trigger, body.columns.get(own).map(|c| &c.kind)) {
                        (Trigger::Source(side), Some(ExprKind::Column(slot))) => {
                            *slot < side.source.row_width() && is_time_slot(&side.source, *slot)
                        }
                        _ => false,
                    }
                }
                _ => false,
            },
        }
    }
}

/// A time and what is added to it.
fn offset(expr: &ast::Expr) -> (&ast::Expr, Interval) {
    let interval = |e: &ast::Expr| match &e.kind {
        E::Literal(Literal::Interval(interval)) => Some(interval.value),
        _ => None,
    };
    if let E::Binary {
        operator,
        left,
        right,
        ..
    } = &expr.kind
    {
        match (operator, interval(left), interval(right)) {
            (BinaryOperator::Add, None, Some(length)) => return (left, length),
            (BinaryOperator::Add, Some(length), None) => return (right, length),
            (BinaryOperator::Subtract, None, Some(length)) => {
                let negative = Interval {
                    months: length.months.saturating_neg(),
                    micros: length.micros.saturating_neg(),
                };
                return (left, negative);
            }
            _ => {}
        }
    }
    (expr, Interval::default())
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

/// Views that are answered at any time have no row time to compare with.
fn check_times(read: &Read<'_>, times: &Times, report: &mut Report) -> Option<()> {
    let Target::View(view) = &read.target else {
        return Some(());
    };
    if matches!(view.body, ViewBody::Row(_)) {
        return Some(());
    }
    if let Some((true, span)) = times.order {
        return report.hinted(
            format!("`{}` is read at the time of the left row: it has no rows before it", read.alias),
            span,
            "leave `MATCH_CONDITION` out; to leave out the events of that instant, use `EXCLUDE GROUP` in the view's windows",
        );
    }
    if let Some((_, span)) = times.max_age {
        return report.hinted(
            format!(
                "`{}` is read at the time of the left row: it has no rows that could be too old",
                read.alias
            ),
            span,
            "leave `MATCH_CONDITION` out; the view's windows say how far back they reach",
        );
    }
    Some(())
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

fn wrong_key(read: &Read<'_>, span: Span) -> crate::error::Diagnostic {
    use crate::error::Diagnostic;
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
