//! Views whose rows are made of their newest event alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_expr::{Program, ReadTime};
use evenkeel_types::definition::{RowBody, SourceDef, Trigger, TriggerSide, ViewBody, ViewDef};
use evenkeel_types::{Column, Expr, ExprKind, Interval, NO_SLOT};

/// Row views over one source by one key, of which every event that holds brings a row.
pub(super) struct PlainRows<'a> {
    side: &'a TriggerSide,
    views: Vec<PlainView>,
    slots: BTreeSet<usize>,
}

struct PlainView {
    features: Vec<Feature>,
    ttl: Option<Interval>,
}

enum Feature {
    /// A source row slot.
    Slot(usize),
    Computed(Program),
}

impl<'a> PlainRows<'a> {
    /// None if the views are others.
    pub(super) fn of(views: &'a [ViewDef]) -> Option<Self> {
        let bodies: Option<Vec<(&RowBody, &TriggerSide)>> = views.iter().map(plain_body).collect();
        let bodies = bodies?;
        let (_, side) = *bodies.first()?;
        let is_same = |other: &TriggerSide| {
            other.source.id == side.source.id && other.key_columns == side.key_columns
        };
        let source = &side.source;
        let is_plain = bodies.iter().all(|(_, other)| is_same(other))
            && source.deduplicate_within.is_none()
            && source.retain_gap(&side.key_columns).is_none()
            && !side.key_columns.is_empty();
        let exprs = bodies.iter().flat_map(|(body, _)| &body.columns);
        // What may be slow is asked of the newest rows alone.
        if !is_plain || exprs.clone().any(calls_functions) {
            return None;
        }
        let mut slots: BTreeSet<usize> = exprs.flat_map(|expr| expr.columns()).collect();
        slots.extend(&side.key_columns);
        let view = |(body, _): &(&RowBody, &TriggerSide)| PlainView {
            features: body
                .columns
                .iter()
                .map(|expr| match expr.kind {
                    ExprKind::Column(slot) => Feature::Slot(slot),
                    _ => Feature::Computed(Program::compile(expr)),
                })
                .collect(),
            ttl: body.ttl,
        };
        Some(PlainRows {
            side,
            views: bodies.iter().map(view).collect(),
            slots,
        })
    }

    pub(super) fn source(&self) -> &'a Arc<SourceDef> {
        &self.side.source
    }

    /// Source row slots of the key.
    pub(super) fn key_columns(&self) -> &'a [usize] {
        &self.side.key_columns
    }

    /// Source row slots that are read, the key's included.
    pub(super) fn slots(&self) -> &BTreeSet<usize> {
        &self.slots
    }

    /// The features of the rows that events bring, as they are read at `at`: none where a slot of the
    /// source row is one.
    pub(super) fn computed(&self, row: &[Column], times: &[i64], at: i64) -> Vec<Option<Column>> {
        let scope: Vec<&Column> = row.iter().collect();
        let of_view = |view: &PlainView| {
            let oldest = view.ttl.map(|ttl| ttl.before(at));
            let is_young = |time: &i64| oldest.is_none_or(|oldest| *time > oldest);
            let young: Vec<bool> = match times.iter().all(is_young) {
                true => Vec::new(),
                false => times.iter().map(is_young).collect(),
            };
            let compute = |feature: &Feature| match feature {
                Feature::Slot(_) if young.is_empty() => None,
                Feature::Slot(slot) => Some(null_unless(&row[*slot], &young)),
                Feature::Computed(program) => {
                    let read_time = ReadTime::Constant(at);
                    let column = program.eval_batch(&scope, times.len(), read_time);
                    Some(match young.is_empty() {
                        true => column,
                        false => null_unless(&column, &young),
                    })
                }
            };
            view.features.iter().map(compute).collect::<Vec<_>>()
        };
        self.views.iter().flat_map(of_view).collect()
    }

    /// Key and features, from a source row and what was computed of it.
    pub(super) fn scope<'c>(
        &self,
        row: &'c [Column],
        computed: &'c [Option<Column>],
    ) -> Vec<&'c Column> {
        let features = self.views.iter().flat_map(|view| &view.features);
        let of_feature = |(feature, computed): (&Feature, &'c Option<Column>)| {
            let slot = match feature {
                Feature::Slot(slot) => Some(&row[*slot]),
                Feature::Computed(_) => None,
            };
            let column = computed.as_ref().or(slot);
            column.expect("what is no slot is computed")
        };
        let keys = self.side.key_columns.iter().map(|&slot| &row[slot]);
        keys.chain(features.zip(computed).map(of_feature)).collect()
    }
}

fn plain_body(view: &ViewDef) -> Option<(&RowBody, &TriggerSide)> {
    let ViewBody::Row(body) = &view.body else {
        return None;
    };
    let Trigger::Source(side) = &body.trigger else {
        return None;
    };
    let is_plain = side.filter.is_none()
        && body.filter.is_none()
        && body.windows.is_empty()
        && body.lookups.is_empty();
    is_plain.then_some((body.as_ref(), side))
}

/// The column with NULL where a row is not young.
fn null_unless(column: &Column, young: &[bool]) -> Column {
    let slots: Vec<u32> = (0..)
        .zip(young)
        .map(|(slot, is_young)| if *is_young { slot } else { NO_SLOT })
        .collect();
    column.gather_optional(&slots)
}

/// Whether an expression calls a function that is not of the closed list: one that may be slow.
pub fn calls_functions(expr: &Expr) -> bool {
    let mut calls = false;
    expr.walk(&mut |e| calls |= matches!(e.kind, ExprKind::External { .. }));
    calls
}
