//! Sliders that need to know which values are equal and how they order: every distinct
//! value gets its rank among all values of the sweep once, and windows count ranks.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use evenkeel_types::{Column, ErrorReason, SLOT_PRESENT, Value};

use super::slide::{Slider, ValueSlider};
use crate::order::{canonical, compare_slots};
use crate::state::{
    QUANTILE_EXACT_MAX, Rank, RegisterCounts, register_and_rank, representative_of, top_k_entry,
};

/// The rank of every slot's value.
struct Ranks<'a> {
    column: &'a Column,
    /// By slot; slots that are not present have none.
    of: Vec<u32>,
    /// A slot of each rank.
    slots: Vec<u32>,
}

const NO_RANK: u32 = u32::MAX;

impl<'a> Ranks<'a> {
    fn new(column: &'a Column) -> Self {
        // A sweep has fewer than 2^32 events.
        let mut present: Vec<u32> = (0..column.len() as u32)
            .filter(|&slot| column.state(slot as usize) == SLOT_PRESENT)
            .collect();
        present.sort_unstable_by(|&a, &b| compare_slots(column, a as usize, b as usize));
        let mut of = vec![NO_RANK; column.len()];
        let mut slots: Vec<u32> = Vec::new();
        for slot in present {
            let known = slots
                .last()
                .is_some_and(|&last| compare_slots(column, last as usize, slot as usize).is_eq());
            if !known {
                slots.push(slot);
            }
            of[slot as usize] = slots.len() as u32 - 1;
        }
        Ranks { column, of, slots }
    }

    fn get(&self, slot: usize) -> Option<usize> {
        match self.of[slot] {
            NO_RANK => None,
            rank => Some(rank as usize),
        }
    }

    fn value(&self, rank: usize) -> Value {
        canonical(&self.column.get(self.slots[rank] as usize))
    }
}

/// How often each rank occurs in the window.
struct Counts {
    counts: Vec<u32>,
    distinct: usize,
}

impl Counts {
    fn new(ranks: &Ranks<'_>) -> Self {
        Counts {
            counts: vec![0; ranks.slots.len()],
            distinct: 0,
        }
    }

    /// The new count.
    fn add(&mut self, rank: usize) -> u32 {
        self.counts[rank] += 1;
        self.distinct += usize::from(self.counts[rank] == 1);
        self.counts[rank]
    }

    /// The new count.
    fn remove(&mut self, rank: usize) -> u32 {
        self.counts[rank] -= 1;
        self.distinct -= usize::from(self.counts[rank] == 0);
        self.counts[rank]
    }
}

pub(super) struct DistinctSlider<'a> {
    ranks: Ranks<'a>,
    counts: Counts,
    limit: usize,
    /// Kept from the first read beyond the limit until the window is cleared.
    registers: Option<Box<RegisterCounts>>,
}

impl<'a> DistinctSlider<'a> {
    pub(super) fn new(column: &'a Column, limit: usize) -> Self {
        let ranks = Ranks::new(column);
        DistinctSlider {
            counts: Counts::new(&ranks),
            ranks,
            limit,
            registers: None,
        }
    }
}

impl Slider for DistinctSlider<'_> {
    fn enter(&mut self, slot: usize) {
        if let Some(rank) = self.ranks.get(slot)
            && self.counts.add(rank) == 1
            && let Some(registers) = &mut self.registers
        {
            registers.add(register_and_rank(&self.ranks.value(rank)));
        }
    }

    fn leave(&mut self, slot: usize) {
        if let Some(rank) = self.ranks.get(slot)
            && self.counts.remove(rank) == 0
            && let Some(registers) = &mut self.registers
        {
            registers.remove(register_and_rank(&self.ranks.value(rank)));
        }
    }

    fn clear(&mut self, slots: impl Iterator<Item = usize>) {
        self.registers = None;
        for slot in slots {
            self.leave(slot);
        }
    }
}

impl ValueSlider for DistinctSlider<'_> {
    fn value(&mut self, start: usize, end: usize) -> Value {
        if self.counts.distinct <= self.limit {
            // Fewer than 2^32 events.
            return Value::BigInt(self.counts.distinct as i64);
        }
        let (ranks, counts) = (&self.ranks, &self.counts.counts);
        let registers = self.registers.get_or_insert_with(|| {
            let mut registers = Box::<RegisterCounts>::default();
            let mut seen: Vec<usize> = (start..end)
                .filter_map(|slot| ranks.get(slot))
                .filter(|&rank| counts[rank] > 0)
                .collect();
            seen.sort_unstable();
            seen.dedup();
            for rank in seen {
                registers.add(register_and_rank(&ranks.value(rank)));
            }
            registers
        });
        Value::BigInt(registers.estimate())
    }
}

pub(super) struct TopKSlider<'a> {
    ranks: Ranks<'a>,
    counts: Counts,
    /// Most frequent first, then the smaller value.
    order: BTreeSet<(Reverse<u32>, usize)>,
    k: usize,
    limit: usize,
}

impl<'a> TopKSlider<'a> {
    pub(super) fn new(column: &'a Column, k: usize, limit: usize) -> Self {
        let ranks = Ranks::new(column);
        TopKSlider {
            counts: Counts::new(&ranks),
            ranks,
            order: BTreeSet::new(),
            k,
            limit,
        }
    }
}

impl Slider for TopKSlider<'_> {
    fn enter(&mut self, slot: usize) {
        if let Some(rank) = self.ranks.get(slot) {
            let count = self.counts.add(rank);
            self.order.remove(&(Reverse(count - 1), rank));
            self.order.insert((Reverse(count), rank));
        }
    }

    fn leave(&mut self, slot: usize) {
        if let Some(rank) = self.ranks.get(slot) {
            let count = self.counts.remove(rank);
            self.order.remove(&(Reverse(count + 1), rank));
            if count > 0 {
                self.order.insert((Reverse(count), rank));
            }
        }
    }
}

impl ValueSlider for TopKSlider<'_> {
    fn value(&mut self, _: usize, _: usize) -> Value {
        match self.counts.distinct {
            0 => Value::Null,
            n if n > self.limit => Value::Error(ErrorReason::Limit),
            _ => Value::Array(
                self.order
                    .iter()
                    .take(self.k)
                    .map(|&(Reverse(count), rank)| {
                        top_k_entry(self.ranks.value(rank), u64::from(count))
                    })
                    .collect(),
            ),
        }
    }
}

/// Quantiles from a Fenwick tree over ranks (Fenwick, "A new data structure for cumulative
/// frequency tables", 1994). A histogram's answer is the bucket of the exact one, because
/// buckets order like values; so the exact one is all that is needed.
pub(super) struct QuantileSlider<'a> {
    ranks: Ranks<'a>,
    rank: Rank,
    tree: Vec<u32>,
    total: usize,
}

impl<'a> QuantileSlider<'a> {
    pub(super) fn new(column: &'a Column, rank: Rank) -> Self {
        let ranks = Ranks::new(column);
        QuantileSlider {
            tree: vec![0; ranks.slots.len() + 1],
            ranks,
            rank,
            total: 0,
        }
    }

    fn change(&mut self, slot: usize, step: impl Fn(u32) -> u32) -> bool {
        let Some(rank) = self.ranks.get(slot) else {
            return false;
        };
        let mut at = rank + 1;
        while let Some(count) = self.tree.get_mut(at) {
            *count = step(*count);
            at += at & at.wrapping_neg();
        }
        true
    }

    /// The value rank of the `n`-th value of the window, from 1.
    fn nth(&self, mut n: u64) -> usize {
        let mut at = 0;
        let mut step = self.tree.len().next_power_of_two();
        while step > 0 {
            if let Some(&count) = self.tree.get(at + step)
                && u64::from(count) < n
            {
                at += step;
                n -= u64::from(count);
            }
            step /= 2;
        }
        at
    }
}

impl Slider for QuantileSlider<'_> {
    fn enter(&mut self, slot: usize) {
        self.total += usize::from(self.change(slot, |count| count + 1));
    }

    fn leave(&mut self, slot: usize) {
        self.total -= usize::from(self.change(slot, |count| count - 1));
    }
}

impl ValueSlider for QuantileSlider<'_> {
    fn value(&mut self, _: usize, _: usize) -> Value {
        if self.total == 0 {
            return Value::Null;
        }
        let exact = match self
            .ranks
            .value(self.nth(self.rank.of_count(self.total as u64)))
        {
            Value::Double(x) => x,
            Value::Float(x) => f64::from(x),
            other => return other,
        };
        Value::double(if self.total <= QUANTILE_EXACT_MAX {
            exact
        } else {
            representative_of(exact)
        })
    }
}
