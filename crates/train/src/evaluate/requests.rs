//! What is asked at once, and what is answered.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use evenkeel_types::{Column, SLOT_PRESENT};
use evenkeel_view::Found;

use super::KeyOfSource;
use crate::keyed::Placed;

/// What is asked: one row per request.
#[derive(Clone, Debug)]
pub struct Requests {
    /// The key's columns, in the order of the view's key.
    pub keys: Vec<Column>,
    /// The time `t` of each.
    pub times: Vec<i64>,
    /// What was visible at this time, of each; `None`: everything in the cut.
    pub known: Option<Vec<i64>>,
    /// The requests by keys of a source, for all who need them so.
    pub(super) placed: RefCell<BTreeMap<KeyOfSource, Rc<Placed>>>,
    in_order_of_time: OnceCell<Rc<[(i64, u32)]>>,
}

impl Requests {
    /// Requests of these keys at these times, that know what was visible at these times, or
    /// everything in the cut.
    pub fn new(keys: Vec<Column>, times: Vec<i64>, known: Option<Vec<i64>>) -> Self {
        Requests {
            keys,
            times,
            known,
            placed: RefCell::default(),
            in_order_of_time: OnceCell::new(),
        }
    }

    /// Times and numbers of the requests, in the order of their times.
    pub(super) fn in_order_of_time(&self) -> &[(i64, u32)] {
        self.in_order_of_time.get_or_init(|| {
            let mut requests: Vec<(i64, u32)> = self.times.iter().copied().zip(0..).collect();
            if !requests.is_sorted() {
                requests.sort_unstable();
            }
            requests.into()
        })
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

    pub(super) fn take(&self, indices: &[u32]) -> Requests {
        let known = self.known.as_ref();
        Requests::new(
            self.keys.iter().map(|c| c.gather(indices)).collect(),
            indices.iter().map(|&i| self.times[i as usize]).collect(),
            known.map(|k| indices.iter().map(|&i| k[i as usize]).collect()),
        )
    }
}

/// What is answered: one row per request, in the order of the requests.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Whether the view has a row.
    pub found: Vec<Found>,
    /// For a row view, the row's time.
    pub times: Vec<Option<i64>>,
    /// The features; NULL where there is no row.
    pub columns: Vec<Column>,
}
