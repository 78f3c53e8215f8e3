//! Aggregate states: what is kept of a multiset of events so that it can be merged, in part
//! taken back, stored, and finished into one value.
//!
//! Owns the states and their bytes. Knows no frames, no expressions and no storage.
//!
//! Invariant: a state is a function of the multiset of the inputs that were added and not
//! removed: `S(A ⊎ B) = S(A) ⊕ S(B)` as bytes, whatever the order and the grouping.

mod aggregator;
mod columns;
mod distinct;
mod errors;
mod number;
mod placed;
mod quantile;
mod top_k;
mod wire;

use evenkeel_types::Value;

pub use aggregator::Aggregator;
pub use distinct::{HYPERLOGLOG_PRECISION, HYPERLOGLOG_STANDARD_ERROR};
pub use quantile::{QUANTILE_EXACT_MAX, QUANTILE_RELATIVE_ERROR};
pub use wire::STATE_VERSION;

pub(crate) use aggregator::{Kind, Numbers};
pub(crate) use distinct::{RegisterCounts, register_and_rank};
pub(crate) use errors::Errors;
pub(crate) use quantile::{Rank, representative_of};
pub(crate) use top_k::entry as top_k_entry;

use crate::order::canonical;
use aggregator::{FOREIGN_STATE, NOT_SUBTRACTABLE};
use distinct::Distinct;
use number::{IntegerSum, Sum, Variance};
use placed::{Placed, PlacedBy};
use quantile::Quantile;
use top_k::Frequencies;

/// What is kept of the inputs of one aggregate call. See [`Aggregator`].
#[derive(Clone, Debug)]
pub struct State {
    errors: Errors,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Count(u64),
    Truth { yes: u64, no: u64 },
    Integer(IntegerSum),
    Sum(Sum),
    Variance(Box<Variance>),
    Extreme(Option<Value>),
    ExtremeBy(Option<Box<PlacedBy>>),
    End(Option<Box<Placed>>),
    Ends(Vec<Placed>),
    Distinct(Distinct),
    Quantile(Quantile),
    TopK(Frequencies),
}

/// Takes a value if it is more extreme than what is kept.
fn offer_extreme(extreme: &mut Option<Value>, greatest: bool, value: &Value) {
    let replaces = extreme.as_ref().is_none_or(|kept| {
        let order = value.total_cmp(kept);
        if greatest {
            order.is_gt()
        } else {
            order.is_lt()
        }
    });
    if replaces {
        *extreme = Some(canonical(value));
    }
}

impl State {
    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        size_of::<State>()
            + match &self.body {
                Body::Ends(ends) => ends.len() * size_of::<Placed>(),
                Body::Distinct(distinct) => distinct.weight(),
                Body::Quantile(quantile) => quantile.weight(),
                Body::TopK(frequencies) => frequencies.weight(),
                _ => 0,
            }
    }

    /// The same state in as little memory as it needs: for what is kept.
    pub fn compact(&mut self) {
        match &mut self.body {
            Body::Sum(sum) => sum.compact(),
            Body::Variance(variance) => variance.compact(),
            Body::Ends(ends) => ends.shrink_to_fit(),
            Body::Quantile(quantile) => quantile.compact(),
            _ => {}
        }
    }
}
