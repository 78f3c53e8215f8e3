//! The rows of a table that live at a time and have a key: what state views aggregate
//! (`docs/decisions/0027-state-views.md`).
//!
//! The index by the view's key has every version that ever had the key. Whether one of them
//! is still the row is asked of the index by primary key: it is the latest version there, or
//! it was superseded, moved to another key or deleted. So a read costs one look into that
//! index per row that ever had the key. Invariant: nothing but the versions that are known
//! decides, so late versions, corrections and older cuts need no repair.

use std::cell::RefCell;
use std::collections::BTreeMap;

use evenkeel_aggregate::{Aggregates, Bounds, EntryView, History, SpecId, Visibility};
use evenkeel_types::{Frame, Position, Value};

use crate::plan::IndexId;
use crate::point::{Reader, Sight, retained_from};
use crate::source::encode_key;

/// Aggregates over the rows of one key that live.
#[derive(Debug)]
pub(crate) struct CompiledLive {
    /// The index by primary key.
    pub(crate) by_row: IndexId,
    /// The columns of the primary key in the index by the view's key.
    pub(crate) primary_key: Vec<usize>,
    /// Not those of the index: no summary of versions is of any use here.
    pub(crate) aggregates: Aggregates,
    /// The calls, and where their results go.
    pub(crate) specs: Vec<SpecId>,
    pub(crate) slots: Vec<usize>,
}

/// Which entries of a key's index are rows that live at a time.
pub(crate) struct LiveSight<'a> {
    reader: &'a Reader<'a>,
    live: &'a CompiledLive,
    of_key: Sight<'a>,
    t: i64,
    /// Entries before this time were let go by `RETAIN`.
    retained_from: i64,
    /// The latest version of each row that was asked for, by its primary key.
    latest: RefCell<BTreeMap<Vec<u8>, Option<LatestVersion>>>,
}

/// A version that no other of its row follows up to a time.
#[derive(Clone, Copy)]
struct LatestVersion {
    position: Position,
    time: i64,
}

impl<'a> LiveSight<'a> {
    /// For a key's history in the index by the view's key.
    pub(crate) fn new(
        reader: &'a Reader<'a>,
        live: &'a CompiledLive,
        index: IndexId,
        history: &History,
        t: i64,
    ) -> Self {
        let of_key = reader.sight(index);
        let retain = reader.index(index).retain();
        LiveSight {
            retained_from: retain.map_or(i64::MIN, |gap| retained_from(history, &of_key, t, gap)),
            reader,
            live,
            of_key,
            t,
            latest: RefCell::default(),
        }
    }

    /// The results of the calls over the rows that live.
    pub(crate) fn fold(&self, history: &History) -> Vec<Value> {
        history.fold(
            &self.live.aggregates,
            &self.live.specs,
            &Frame::unbounded(),
            None,
            self.t,
            self,
        )
    }

    /// After [`LiveSight::fold`]: the time of the latest version of any row that ever had the
    /// key.
    pub(crate) fn latest_change(&self) -> Option<i64> {
        let latest = self.latest.borrow();
        latest.values().flatten().map(|latest| latest.time).max()
    }

    fn is_latest(&self, entry: &EntryView<'_>) -> bool {
        let parts = self.live.primary_key.iter();
        let key: Vec<Value> = parts.map(|&column| entry.value(column)).collect();
        // A row without a primary key is none.
        let Some(bytes) = encode_key(&key) else {
            return false;
        };
        let known = self.latest.borrow().get(&bytes).copied();
        let latest = known.unwrap_or_else(|| {
            let latest = self.reader.latest_version(self.live.by_row, &key, self.t);
            self.latest.borrow_mut().insert(bytes, latest);
            latest
        });
        latest.is_some_and(|latest| latest.position == entry.position())
    }
}

impl Visibility for LiveSight<'_> {
    fn sees(&self, entry: &EntryView<'_>) -> bool {
        entry.time() >= self.retained_from && self.of_key.sees(entry) && self.is_latest(entry)
    }

    fn sees_all(&self, _: &Bounds) -> bool {
        false
    }

    fn sees_none(&self, bounds: &Bounds) -> bool {
        self.of_key.sees_none(bounds)
    }
}

impl Reader<'_> {
    /// A row's latest version up to `t`, be it a delete.
    fn latest_version(&self, by_row: IndexId, key: &[Value], t: i64) -> Option<LatestVersion> {
        let history = self.history(by_row, key)?;
        let sight = self.sight(by_row);
        let retain = self.index(by_row).retain();
        let from = retain.map_or(i64::MIN, |gap| retained_from(&history, &sight, t, gap));
        let mut versions = history.descending(t, false, &sight);
        let latest = versions.next().filter(|entry| entry.time() >= from)?;
        Some(LatestVersion {
            position: latest.position(),
            time: latest.time(),
        })
    }
}
