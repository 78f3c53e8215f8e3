//! Quantiles: the values themselves up to a fixed number, then a log-linear histogram.
//!
//! A histogram bucket is a double rounded to eight significant bits: its exponent and the
//! top seven bits of its fraction, taken from the bits of the float, so no logarithm is
//! needed (the idea is HdrHistogram's and DDSketch's). A bucket's answer is that rounded
//! value, so whole numbers up to 256 stay exact.

use std::collections::BTreeMap;

use evenkeel_types::{Value, canonical_f64};

/// Up to this many values a quantile is one of them.
pub const QUANTILE_EXACT_MAX: usize = 1024;
/// Beyond, the answer differs from the value of its rank by at most this part of it (for
/// values of at least `2^-1022` in size; smaller ones by at most `2^-1030`).
pub const QUANTILE_RELATIVE_ERROR: f64 = 1.0 / 256.0;

/// Bits of a double that a bucket does not keep.
const DROPPED_BITS: u32 = 45;
/// The bucket of infinity; that of NaN is above it.
const INFINITE_BUCKET: i32 = 0x7ff << 7;

/// What is kept of the values.
#[derive(Clone, Debug)]
pub(crate) enum Quantile {
    /// All of them in ascending order, as keys.
    Exact(Vec<u64>),
    /// How many fell into each bucket.
    Histogram {
        total: u64,
        buckets: BTreeMap<i32, u64>,
    },
}

impl Default for Quantile {
    fn default() -> Self {
        Quantile::Exact(Vec::new())
    }
}

impl Quantile {
    pub(crate) fn add(&mut self, x: f64) {
        match self {
            Quantile::Exact(keys) => {
                let key = key_of(x);
                let at = keys.partition_point(|&k| k < key);
                keys.insert(at, key);
                if keys.len() > QUANTILE_EXACT_MAX {
                    self.become_histogram();
                }
            }
            Quantile::Histogram { total, buckets } => {
                *total += 1;
                *buckets.entry(bucket_of(x)).or_default() += 1;
            }
        }
    }

    pub(crate) fn add_all(&mut self, values: impl Iterator<Item = f64>) {
        if let Quantile::Exact(keys) = self {
            let known = keys.len();
            keys.extend(values.map(key_of));
            keys[known..].sort_unstable();
            // Two runs: the stable sort merges them.
            keys.sort();
            if keys.len() > QUANTILE_EXACT_MAX {
                self.become_histogram();
            }
        } else {
            values.for_each(|x| self.add(x));
        }
    }

    pub(crate) fn weight(&self) -> usize {
        match self {
            Quantile::Exact(keys) => keys.len() * size_of::<u64>(),
            Quantile::Histogram { buckets, .. } => buckets.len() * size_of::<(i32, u64)>(),
        }
    }

    pub(crate) fn merge(&mut self, other: &Quantile) {
        if let (Quantile::Exact(_), Quantile::Histogram { .. }) = (&self, other) {
            self.become_histogram();
        }
        match (&mut *self, other) {
            (Quantile::Exact(keys), Quantile::Exact(more)) => {
                keys.extend_from_slice(more);
                // Two runs: the stable sort merges them.
                keys.sort();
                if keys.len() > QUANTILE_EXACT_MAX {
                    self.become_histogram();
                }
            }
            (Quantile::Histogram { total, buckets }, Quantile::Exact(more)) => {
                *total += more.len() as u64;
                for &key in more {
                    *buckets.entry(bucket_of(value_of(key))).or_default() += 1;
                }
            }
            (
                Quantile::Histogram { total, buckets },
                Quantile::Histogram {
                    total: n,
                    buckets: more,
                },
            ) => {
                *total += n;
                for (&bucket, &count) in more {
                    *buckets.entry(bucket).or_default() += count;
                }
            }
            (Quantile::Exact(_), Quantile::Histogram { .. }) => {}
        }
    }

    pub(crate) fn compact(&mut self) {
        if let Quantile::Exact(keys) = self {
            keys.shrink_to_fit();
        }
    }

    pub(crate) fn finish(&self, rank: Rank) -> Value {
        match self {
            Quantile::Exact(keys) if keys.is_empty() => Value::Null,
            Quantile::Exact(keys) => {
                // At most the number of keys.
                let at = rank.of_count(keys.len() as u64) as usize - 1;
                Value::double(value_of(keys[at]))
            }
            Quantile::Histogram { total, buckets } => {
                let mut left = rank.of_count(*total);
                for (&bucket, &count) in buckets {
                    if left <= count {
                        return Value::double(representative(bucket));
                    }
                    left -= count;
                }
                Value::Null
            }
        }
    }

    fn become_histogram(&mut self) {
        if let Quantile::Exact(keys) = self {
            let mut buckets = BTreeMap::new();
            for &key in keys.iter() {
                *buckets.entry(bucket_of(value_of(key))).or_default() += 1;
            }
            *self = Quantile::Histogram {
                total: keys.len() as u64,
                buckets,
            };
        }
    }
}

/// A double's place in the order: negatives, zero, positives, NaN.
fn key_of(x: f64) -> u64 {
    let bits = canonical_f64(x).to_bits();
    if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

fn value_of(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key ^ 1 << 63 } else { !key })
}

pub(super) fn is_key(key: u64) -> bool {
    key_of(value_of(key)) == key
}

/// The bucket of a double; buckets order like their doubles.
fn bucket_of(x: f64) -> i32 {
    let bits = canonical_f64(x).to_bits();
    let magnitude = bits & !(1 << 63);
    let bucket = if x.is_finite() {
        let rounded = (magnitude + (1 << (DROPPED_BITS - 1))) >> DROPPED_BITS;
        // 18 bits; the greatest doubles do not round up to infinity.
        (rounded as i32).min(INFINITE_BUCKET - 1)
    } else {
        (magnitude >> DROPPED_BITS) as i32
    };
    if bits >> 63 == 1 { -bucket } else { bucket }
}

fn representative(bucket: i32) -> f64 {
    let magnitude = f64::from_bits(u64::from(bucket.unsigned_abs()) << DROPPED_BITS);
    if bucket < 0 { -magnitude } else { magnitude }
}

pub(super) fn is_bucket(bucket: i32) -> bool {
    bucket_of(representative(bucket)) == bucket
}

/// The answer for a value that lies in a histogram: its bucket's.
pub(crate) fn representative_of(x: f64) -> f64 {
    representative(bucket_of(x))
}

/// Which rank a quantile asks for: `ceil(q * n)`, at least 1, where `q` is the decimal
/// number that was written (the shortest that reads back as the double), so that 0.07 of
/// 100 values is the 7th and not the 8th.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rank {
    numerator: u128,
    denominator: u128,
}

/// Decimal places of `q` that can matter for fewer than `2^64` values.
const PLACES_MAX: usize = 18;

impl Rank {
    /// `q` is between 0 and 1.
    pub(crate) fn of(q: f64) -> Self {
        let text = format!("{q}");
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let mut numerator = u128::from(whole == "1");
        let mut denominator = 1;
        for digit in fraction.bytes().take(PLACES_MAX) {
            numerator = numerator * 10 + u128::from(digit - b'0');
            denominator *= 10;
        }
        Rank {
            numerator,
            denominator,
        }
    }

    /// The rank among `n` values, from 1; `n` is at least 1.
    pub(crate) fn of_count(self, n: u64) -> u64 {
        let rank = (self.numerator * u128::from(n)).div_ceil(self.denominator);
        // At most n, because q is at most 1.
        u64::try_from(rank).unwrap_or(n).max(1)
    }
}
