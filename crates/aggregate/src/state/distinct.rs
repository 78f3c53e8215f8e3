//! Distinct values: the values themselves up to a limit, then HyperLogLog registers.
//!
//! Registers are raw (one rank per register, merged by maximum) and computed from the
//! canonical bytes of the values, so they are a function of the set. The estimator is
//! Ertl's improved one ("New cardinality estimation algorithms for HyperLogLog sketches",
//! arXiv 1702.01284, section 2): a function of the histogram of the registers that needs
//! only basic arithmetic and square roots, so no logarithm of any platform.

use evenkeel_types::{Value, codec};
use xxhash_rust::xxh3::xxh3_64;

use crate::order::{OrderedValue, canonical, merge_sorted};

/// Bits of the hash that choose the register: 16,384 registers.
pub const HYPERLOGLOG_PRECISION: u32 = 14;
/// The standard error of an estimate, relative: `1.04 / sqrt(16,384)`.
pub const HYPERLOGLOG_STANDARD_ERROR: f64 = 1.04 / 128.0;

pub(super) const REGISTERS: usize = 1 << HYPERLOGLOG_PRECISION;
/// The largest rank: all remaining bits of the hash are zero.
pub(super) const RANK_MAX: u8 = (64 - HYPERLOGLOG_PRECISION + 1) as u8;

/// What is kept of a set of values.
#[derive(Clone, Debug)]
pub(crate) enum Distinct {
    /// All of them, ascending; at most the limit.
    Exact(Vec<OrderedValue>),
    /// The greatest rank seen per register.
    Sketch(Box<[u8]>),
}

impl Default for Distinct {
    fn default() -> Self {
        Distinct::Exact(Vec::new())
    }
}

impl Distinct {
    pub(crate) fn add(&mut self, value: &Value, limit: usize) {
        match self {
            Distinct::Exact(values) => {
                let value = OrderedValue(canonical(value));
                if let Err(at) = values.binary_search(&value) {
                    values.insert(at, value);
                    if values.len() > limit {
                        self.become_sketch();
                    }
                }
            }
            Distinct::Sketch(registers) => record(registers, &canonical(value)),
        }
    }

    /// Adds distinct values in ascending order.
    pub(crate) fn add_sorted(&mut self, more: &[OrderedValue], limit: usize) {
        match self {
            Distinct::Exact(values) => {
                merge_sorted(values, more, |value| value, |_, _| {});
                if values.len() > limit {
                    self.become_sketch();
                }
            }
            Distinct::Sketch(registers) => {
                for value in more {
                    record(registers, &value.0);
                }
            }
        }
    }

    pub(crate) fn weight(&self) -> usize {
        match self {
            Distinct::Exact(values) => values.len() * size_of::<OrderedValue>(),
            Distinct::Sketch(registers) => registers.len(),
        }
    }

    pub(crate) fn merge(&mut self, other: &Distinct, limit: usize) {
        if let (Distinct::Exact(_), Distinct::Sketch(_)) = (&self, other) {
            self.become_sketch();
        }
        match (&mut *self, other) {
            (_, Distinct::Exact(more)) => self.add_sorted(more, limit),
            (Distinct::Sketch(registers), Distinct::Sketch(more)) => {
                for (register, &rank) in registers.iter_mut().zip(more) {
                    *register = (*register).max(rank);
                }
            }
            (Distinct::Exact(_), Distinct::Sketch(_)) => {}
        }
    }

    pub(crate) fn count(&self) -> i64 {
        match self {
            // Limits are far below 2^63.
            Distinct::Exact(values) => values.len() as i64,
            Distinct::Sketch(registers) => {
                let mut histogram = [0u32; RANK_MAX as usize + 1];
                for &rank in registers.iter() {
                    histogram[usize::from(rank)] += 1;
                }
                estimate(&histogram)
            }
        }
    }

    fn become_sketch(&mut self) {
        if let Distinct::Exact(values) = self {
            let mut registers = vec![0; REGISTERS].into_boxed_slice();
            for value in values.iter() {
                record(&mut registers, &value.0);
            }
            *self = Distinct::Sketch(registers);
        }
    }
}

fn record(registers: &mut [u8], value: &Value) {
    let (register, rank) = register_and_rank(value);
    registers[register] = registers[register].max(rank);
}

/// The register of a value and its rank there: the number of leading zeros of the rest of
/// its hash, plus 1.
pub(crate) fn register_and_rank(value: &Value) -> (usize, u8) {
    let hash = xxh3_64(&codec::encode_values([value]));
    let register = (hash >> (64 - HYPERLOGLOG_PRECISION)) as usize;
    let rest = hash << HYPERLOGLOG_PRECISION;
    // At most 51, by the cap.
    let rank = (rest.leading_zeros() as u8 + 1).min(RANK_MAX);
    (register, rank)
}

/// Registers from which values can be taken back: how many values have each rank in each
/// register, so that the greatest rank left is known.
#[derive(Clone, Debug)]
pub(crate) struct RegisterCounts {
    /// By register: (rank, number of values), the greatest rank last.
    ranks: Vec<Vec<(u8, u32)>>,
    /// By rank: the number of registers whose greatest it is.
    histogram: [u32; RANK_MAX as usize + 1],
}

impl Default for RegisterCounts {
    fn default() -> Self {
        let mut histogram = [0; RANK_MAX as usize + 1];
        histogram[0] = REGISTERS as u32;
        RegisterCounts {
            ranks: vec![Vec::new(); REGISTERS],
            histogram,
        }
    }
}

impl RegisterCounts {
    pub(crate) fn add(&mut self, (register, rank): (usize, u8)) {
        self.change(register, |ranks| {
            let at = ranks.partition_point(|&(r, _)| r < rank);
            match ranks.get_mut(at) {
                Some((r, count)) if *r == rank => *count += 1,
                _ => ranks.insert(at, (rank, 1)),
            }
        });
    }

    pub(crate) fn remove(&mut self, (register, rank): (usize, u8)) {
        self.change(register, |ranks| {
            let at = ranks.partition_point(|&(r, _)| r < rank);
            if let Some((_, count)) = ranks.get_mut(at) {
                *count -= 1;
                if *count == 0 {
                    ranks.remove(at);
                }
            }
        });
    }

    pub(crate) fn estimate(&self) -> i64 {
        estimate(&self.histogram)
    }

    fn change(&mut self, register: usize, change: impl FnOnce(&mut Vec<(u8, u32)>)) {
        let ranks = &mut self.ranks[register];
        let greatest = |ranks: &[(u8, u32)]| ranks.last().map_or(0, |&(rank, _)| usize::from(rank));
        let before = greatest(ranks);
        change(ranks);
        let after = greatest(ranks);
        self.histogram[before] -= 1;
        self.histogram[after] += 1;
    }
}

/// The estimated number of values behind registers with this histogram of ranks.
pub(crate) fn estimate(histogram: &[u32; RANK_MAX as usize + 1]) -> i64 {
    let m = REGISTERS as f64;
    let share = |rank: usize| f64::from(histogram[rank]) / m;
    let top = usize::from(RANK_MAX);
    let mut z = m * tau(1.0 - share(top));
    for rank in (1..top).rev() {
        z = 0.5 * (z + f64::from(histogram[rank]));
    }
    z += m * sigma(share(0));
    // alpha at infinity: 1 / (2 ln 2).
    let alpha = 0.721_347_520_444_481_7;
    // Rounded to nearest, half up; the cast saturates.
    (alpha * m * m / z + 0.5).floor() as i64
}

/// `x + sum of x^(2^k) * 2^(k - 1)` over k from 1; infinite for 1.
fn sigma(x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (x, 1.0, x);
    loop {
        power *= power;
        let next = sum + power * weight;
        if next == sum {
            return sum;
        }
        sum = next;
        weight += weight;
    }
}

/// `(1 - x - sum of (1 - x^(2^-k))^2 * 2^-k) / 3` over k from 1.
fn tau(x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut power, mut weight, mut sum) = (x, 1.0, 1.0 - x);
    loop {
        power = power.sqrt();
        weight *= 0.5;
        let next = sum - (1.0 - power) * (1.0 - power) * weight;
        if next == sum {
            return sum / 3.0;
        }
        sum = next;
    }
}
