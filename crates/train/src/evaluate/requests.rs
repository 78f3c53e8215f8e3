//! What is asked at once, and what is answered.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use evenkeel_types::{Column, SLOT_PRESENT, SourceId};
use evenkeel_view::Found;

use super::KeyOfSource;
use crate::keyed::{Placed, place};

/// So many requests are sorted at once, if their times are spread evenly.
const REQUESTS_PER_STRETCH: usize = 16;

/// What is asked: one row per request.
#[derive(Clone, Debug)]
pub struct Requests {
    /// The key's columns, in the order of the view's key.
    pub keys: Vec<Column>,
    /// The time `t` of each.
    pub times: Arc<Vec<i64>>,
    /// What was visible at this time, of each; `None`: everything in the cut.
    pub known: Option<Arc<Vec<i64>>>,
    /// The requests by keys of a source, for all who need them so.
    pub(super) placed: RefCell<BTreeMap<KeyOfSource, Rc<Placed>>>,
    in_order_of_time: OnceCell<TimeOrder>,
}

/// Requests in the order of their times.
#[derive(Clone, Debug)]
pub(super) struct TimeOrder {
    /// Their times.
    pub(super) times: Vec<i64>,
    /// Their keys' columns.
    pub(super) keys: Vec<Column>,
    /// The place of each request.
    pub(super) place_of: Vec<u32>,
}

/// How far requests see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum UpTo {
    /// What is at their time, too.
    Time,
    /// Only what is before it.
    Before,
}

impl UpTo {
    /// The last time that a request at a time sees.
    pub(super) fn of(self, time: i64) -> i64 {
        match self {
            UpTo::Time => time,
            UpTo::Before => time.saturating_sub(1),
        }
    }
}

impl Requests {
    /// Requests of these keys at these times, that know what was visible at these times, or
    /// everything in the cut.
    pub fn new(keys: Vec<Column>, times: Vec<i64>, known: Option<Vec<i64>>) -> Self {
        Requests::sharing(keys, Arc::new(times), known.map(Arc::new))
    }

    /// [`Requests::new`] at times that others have, too.
    pub(crate) fn sharing(
        keys: Vec<Column>,
        times: Arc<Vec<i64>>,
        known: Option<Arc<Vec<i64>>>,
    ) -> Self {
        Requests {
            keys,
            times,
            known,
            placed: RefCell::default(),
            in_order_of_time: OnceCell::new(),
        }
    }

    /// The requests in the order of their times.
    pub(super) fn in_order_of_time(&self) -> &TimeOrder {
        self.in_order_of_time.get_or_init(|| {
            let order = in_order_of_time(&self.times);
            let requests: Vec<u32> = order.iter().map(|(_, request)| *request).collect();
            let mut place_of = vec![0; order.len()];
            for (place, &request) in (0..).zip(&requests) {
                place_of[request as usize] = place;
            }
            TimeOrder {
                times: order.into_iter().map(|(time, _)| time).collect(),
                keys: self.keys.iter().map(|key| key.gather(&requests)).collect(),
                place_of,
            }
        })
    }

    /// Lets go of what was made of these for other sources.
    pub(crate) fn retain(&mut self, keeps: impl Fn(SourceId) -> bool) {
        self.placed.get_mut().retain(|(id, _), _| keeps(*id));
    }

    /// Number of requests.
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// The time that bounds what request `i` knows.
    pub fn known_at(&self, i: usize) -> Option<i64> {
        self.known.as_ref().map(|k| k[i])
    }

    /// Whether no part of the key of request `i` is missing.
    pub(super) fn has_key(&self, i: usize) -> bool {
        self.keys.iter().all(|c| c.state(i) == SLOT_PRESENT)
    }

    /// When these are asked and what they know, without their keys: once what they find is known,
    /// nobody looks for it again.
    pub(super) fn without_keys(&self, indices: &[u32]) -> Requests {
        let known = self.known.as_ref();
        let of = |times: &[i64]| indices.iter().map(|&i| times[i as usize]).collect();
        Requests::new(Vec::new(), of(&self.times), known.map(|known| of(known)))
    }
}

/// What is answered: one row per request, in the order of the requests.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Whether the view has a row.
    pub found: Vec<Found>,
    /// For a row view, the row's time; empty for others, and where nobody asks.
    pub times: RowTimes,
    /// The features; NULL where there is no row.
    pub columns: Vec<Column>,
}

/// Times of rows, where there are rows that have some.
#[derive(Clone, Debug, Default)]
pub struct RowTimes(Vec<i64>);

impl RowTimes {
    /// No event and no row has this time.
    const NONE: i64 = i64::MIN;

    pub(super) fn of(times: impl IntoIterator<Item = Option<i64>>) -> Self {
        let times = times.into_iter();
        RowTimes(times.map(|time| time.unwrap_or(RowTimes::NONE)).collect())
    }

    /// The time of an answer's row, if it has one.
    pub fn get(&self, answer: usize) -> Option<i64> {
        let time = self.0.get(answer).copied();
        time.filter(|time| *time != RowTimes::NONE)
    }
}

/// Times with their numbers, sorted: first placed by equal stretches of time, then sorted in each.
fn in_order_of_time(times: &[i64]) -> Vec<(i64, u32)> {
    let (Some(&least), Some(&greatest)) = (times.iter().min(), times.iter().max()) else {
        return Vec::new();
    };
    if times.is_sorted() {
        return times.iter().copied().zip(0..).collect();
    }
    let stretches = (times.len() / REQUESTS_PER_STRETCH)
        .next_power_of_two()
        .max(2);
    let after_least = |time: i64| time.wrapping_sub(least).cast_unsigned();
    let bits = u64::BITS - after_least(greatest).leading_zeros();
    let shift = bits.saturating_sub(stretches.trailing_zeros());
    // Below the number of stretches, which are fewer than requests.
    let stretch_of = |time: &i64| (after_least(*time) >> shift) as u32;
    let stretch_of: Vec<u32> = times.iter().map(stretch_of).collect();
    let (starts, mut placed) = place(&stretch_of, times, stretches);
    for stretch in starts.windows(2) {
        placed[stretch[0] as usize..stretch[1] as usize].sort_unstable();
    }
    placed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::in_order_of_time;

    fn time() -> impl Strategy<Value = i64> {
        prop_oneof![Just(i64::MIN), Just(i64::MAX), -5i64..5, any::<i64>()]
    }

    proptest! {
        #[test]
        fn requests_are_sorted(
            times in prop_oneof![
                prop::collection::vec(time(), 0..200),
                prop::collection::vec(0i64..1_000, 0..200),
            ],
        ) {
            let mut sorted: Vec<(i64, u32)> = times.iter().copied().zip(0..).collect();
            sorted.sort();
            prop_assert_eq!(in_order_of_time(&times), sorted);
        }
    }
}
