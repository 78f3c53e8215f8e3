//! `a ASOF FULL JOIN b`: two sources that bring rows, and the key that they share.

use evenkeel_types::definition::{EntityDef, SourceDef, SourceKind, TriggerSide};
use evenkeel_types::{Expr, ExprKind};

use super::Binder;
use super::base::{Base, mapped_names, placeholder};
use super::events::{is_same_set, other_key};
use super::expression::{self, Plain, flatten};
use super::relation::{Read, Slot, Target};
use super::report::{Report, in_words};
use super::rows::{Rows, TriggerRows, all_of, stored_slot};
use super::scope::{Meaning, Role, Scope, ScopeRelation};
use crate::ast::{self, BinaryOperator, EntityRef, Join, JoinConstraint, Span};

impl Binder<'_> {
    /// The two triggers of `a ASOF FULL JOIN b`.
    pub(super) fn full_join(
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
        let placed_right = second.place(&shifted, &mut report.apart())?;
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
        let mut pairs = Pairs {
            left,
            right,
            found: Vec::new(),
            is_complete: true,
        };
        pairs.bind(join, &scope, &placed_right.relation, report)?;
        scope.relations.push(placed_right.relation);

        let keys = shared_keys(entity, written, &pairs, join, report)?;
        let (left_keys, right_keys): (Vec<usize>, Vec<usize>) = keys.into_iter().unzip();
        for name in using {
            merge(&mut scope, name);
        }
        for (source, keys, read) in [(left, &left_keys, first), (right, &right_keys, &second)] {
            if source.kind == SourceKind::Table && !is_same_set(keys, &source.primary_key) {
                return other_key(source, read.name_span, report);
            }
        }
        let rows = Rows::new(TriggerRows::Full {
            left: TriggerSide {
                source: left.clone(),
                key_columns: left_keys.clone(),
                filter: all_of(placed_left.filter),
            },
            right: TriggerSide {
                source: right.clone(),
                key_columns: right_keys.clone(),
                filter: all_of(own_right.filter),
            },
        });
        Some(Base::new(rows, scope, left_keys))
    }
}

/// The equal columns of a full join.
struct Pairs<'a> {
    left: &'a SourceDef,
    right: &'a SourceDef,
    /// Slots of the left and of the right source row.
    found: Vec<(usize, usize)>,
    is_complete: bool,
}

impl Pairs<'_> {
    /// `ON a.x = b.x AND ...`, `USING (x, ...)`
    fn bind(
        &mut self,
        join: &Join,
        left: &Scope,
        right: &ScopeRelation,
        report: &mut Report,
    ) -> Option<()> {
        match &join.constraint {
            Some(JoinConstraint::Using(list)) => {
                let own = Scope::single(right.clone());
                for name in &list.columns {
                    let parts = std::slice::from_ref(name);
                    let a = left.resolve(parts, name.span, report);
                    let b = a
                        .as_ref()
                        .and_then(|_| own.resolve(parts, name.span, report));
                    self.add(a.map(|a| a.expr), b.map(|b| b.expr), name.span, report);
                }
            }
            Some(JoinConstraint::On(on)) => {
                let mut both = left.clone();
                both.relations.push(right.clone());
                let mut parts = Vec::new();
                flatten(on, BinaryOperator::And, &mut parts);
                for part in parts {
                    self.on(part, &both, report);
                }
            }
            None => {
                return report.hinted(
                    "a full join needs the key columns that must be equal",
                    join.kind_span,
                    "write `ON a.key = b.key` or `USING (key)`",
                );
            }
        }
        self.is_complete.then_some(())
    }

    fn on(&mut self, part: &ast::Expr, both: &Scope, report: &mut Report) {
        let ast::ExprKind::Binary {
            operator: BinaryOperator::Equal,
            left,
            right,
            ..
        } = &part.kind
        else {
            self.is_complete = false;
            report.hinted::<()>(
                "`ON` of a full join has equalities of key columns only",
                part.span,
                "to filter a side before joining write a sub-select: `(SELECT * FROM x WHERE ...) x`",
            );
            return;
        };
        let mut context = Plain::new(both, "`ON`");
        let a = expression::bind(left, &mut context, report);
        let b = expression::bind(right, &mut context, report);
        self.add(a, b, part.span, report);
    }

    fn add(&mut self, a: Option<Expr>, b: Option<Expr>, span: Span, report: &mut Report) {
        let (Some(a), Some(b)) = (a, b) else {
            self.is_complete = false;
            return;
        };
        let Some(pair) = self.slots(&a, &b).or_else(|| self.slots(&b, &a)) else {
            self.is_complete = false;
            report.hinted::<()>(
                "a full join compares a plain column of one side with one of the other",
                span,
                "write `a.key = b.key`",
            );
            return;
        };
        if a.data_type != b.data_type {
            self.is_complete = false;
            report.hinted::<()>(
                format!(
                    "the columns have different types: {} and {}",
                    a.data_type, b.data_type
                ),
                span,
                "declare both with one type, or compute one of them in its source: `name TYPE AS (CAST(...))`",
            );
            return;
        }
        if !self.found.contains(&pair) {
            self.found.push(pair);
        }
    }

    /// The slots of a column of the left side and one of the right.
    fn slots(&self, left: &Expr, right: &Expr) -> Option<(usize, usize)> {
        let (ExprKind::Column(left), ExprKind::Column(right)) = (&left.kind, &right.kind) else {
            return None;
        };
        let width = self.left.row_width();
        let left = stored_slot(self.left, *left).filter(|_| *left < width)?;
        let right = stored_slot(self.right, right.checked_sub(width)?)?;
        Some((left, right))
    }
}

/// For each key of the entity its slots in both source rows.
fn shared_keys(
    entity: &EntityDef,
    written: &EntityRef,
    pairs: &Pairs<'_>,
    join: &Join,
    report: &mut Report,
) -> Option<Vec<(usize, usize)>> {
    let names = mapped_names(entity, written, report)?;
    let span = match &join.constraint {
        Some(JoinConstraint::On(on)) => on.span,
        Some(JoinConstraint::Using(list)) => list.span,
        None => join.kind_span,
    };
    let mut keys = Vec::new();
    for (key, name) in entity.keys.iter().zip(&names) {
        let is_about = |(a, b): &&(usize, usize)| {
            pairs.left.columns[*a].name == name.value || pairs.right.columns[*b].name == name.value
        };
        let found: Vec<&(usize, usize)> = pairs.found.iter().filter(is_about).collect();
        let [(a, b)] = found.as_slice() else {
            report.hinted::<()>(
                format!(
                    "exactly one equality of the full join must be about `{}`, a key of entity `{}`",
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
        let data_type = &pairs.left.columns[*a].data_type;
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
    if pairs.found.len() != keys.len() {
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
    let mut merged = ScopeRelation::new("");
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
