//! Values with the place of their event: first, last, the first or last few, and the value
//! at the least or greatest of another.

use std::cmp::Ordering;

use evenkeel_types::Value;

use crate::order::{EventOrder, OrderKey, canonical};

/// A value and its event's place.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(super) key: OrderKey,
    pub(super) value: Value,
}

/// A value, its event's place, and what it was chosen by.
#[derive(Clone, Debug)]
pub(crate) struct PlacedBy {
    pub(super) by: Value,
    pub(super) placed: Placed,
}

impl Placed {
    pub(super) fn new(value: &Value, order: EventOrder<'_>) -> Self {
        Placed {
            key: order.to_key(),
            value: canonical(value),
        }
    }
}

/// Whether a candidate that compares like this with what is kept takes its place.
fn wins(candidate: Ordering, greatest: bool) -> bool {
    candidate
        == if greatest {
            Ordering::Greater
        } else {
            Ordering::Less
        }
}

pub(super) fn add_end(
    end: &mut Option<Box<Placed>>,
    last: bool,
    value: &Value,
    order: EventOrder<'_>,
) {
    if end
        .as_ref()
        .is_none_or(|kept| wins(order.cmp(&kept.key.as_order()), last))
    {
        *end = Some(Box::new(Placed::new(value, order)));
    }
}

pub(super) fn merge_end(end: &mut Option<Box<Placed>>, last: bool, more: Option<&Placed>) {
    if let Some(more) = more
        && end
            .as_ref()
            .is_none_or(|kept| wins(more.key.as_order().cmp(&kept.key.as_order()), last))
    {
        *end = Some(Box::new(more.clone()));
    }
}

/// `ends` is sorted by place and holds at most `n`: the first ones, or the last ones.
pub(super) fn add_ends(
    ends: &mut Vec<Placed>,
    last: bool,
    n: usize,
    value: &Value,
    order: EventOrder<'_>,
) {
    let at = ends.partition_point(|kept| kept.key.as_order() < order);
    if ends.len() < n {
        ends.insert(at, Placed::new(value, order));
    } else if last && at > 0 {
        ends.remove(0);
        ends.insert(at - 1, Placed::new(value, order));
    } else if !last && at < n {
        ends.pop();
        ends.insert(at, Placed::new(value, order));
    }
}

pub(super) fn merge_ends(ends: &mut Vec<Placed>, last: bool, n: usize, more: &[Placed]) {
    let Some(first) = more.first() else { return };
    if ends
        .last()
        .is_none_or(|kept| kept.key.as_order() < first.key.as_order())
    {
        ends.extend_from_slice(more);
    } else {
        let kept = std::mem::take(ends);
        let mut more = more.iter().peekable();
        for placed in kept {
            while let Some(next) = more.next_if(|m| m.key.as_order() < placed.key.as_order()) {
                ends.push(next.clone());
            }
            ends.push(placed);
        }
        ends.extend(more.cloned());
    }
    if last {
        ends.drain(..ends.len().saturating_sub(n));
    } else {
        ends.truncate(n);
    }
}

/// Ties: the least keeps its first event, the greatest its last.
fn wins_by(by: &Value, order: EventOrder<'_>, kept: &PlacedBy, greatest: bool) -> bool {
    let candidate = by
        .total_cmp(&kept.by)
        .then_with(|| order.cmp(&kept.placed.key.as_order()));
    wins(candidate, greatest)
}

pub(super) fn add_by(
    extreme: &mut Option<Box<PlacedBy>>,
    greatest: bool,
    value: &Value,
    by: &Value,
    order: EventOrder<'_>,
) {
    if by.is_null() {
        return;
    }
    if extreme
        .as_ref()
        .is_none_or(|kept| wins_by(by, order, kept, greatest))
    {
        *extreme = Some(Box::new(PlacedBy {
            by: canonical(by),
            placed: Placed::new(value, order),
        }));
    }
}

pub(super) fn merge_by(
    extreme: &mut Option<Box<PlacedBy>>,
    greatest: bool,
    more: Option<&PlacedBy>,
) {
    if let Some(more) = more
        && extreme
            .as_ref()
            .is_none_or(|kept| wins_by(&more.by, more.placed.key.as_order(), kept, greatest))
    {
        *extreme = Some(Box::new(more.clone()));
    }
}
