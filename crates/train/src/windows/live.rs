//! The rows of a table that live at the requests' times, by any key of them: the events of a
//! state view's sweep (`docs/decisions/0027-state-views.md`).
//!
//! A version lives from its time until the next version of its primary key. Where all requests
//! know the same, that is known of each version before the sweep, and the rows that live are
//! followed along a key's requests; requests between two changes share them. Else each request
//! looks for its own. Cost: for each change of a key that a request sees, the rows that live.

use std::rc::Rc;

use evenkeel_aggregate::sweep::retain_floors;
use evenkeel_types::Column;
use evenkeel_types::definition::SourceWindows;

use super::Sweep;
use crate::evaluate::{Evaluator, Requests};
use crate::events::SourceEvents;
use crate::keyed::{KeyEvents, KeyedEvents};

/// The rows of a table by primary key.
pub(super) struct LiveRows<'a> {
    events: &'a SourceEvents,
    by_row: Rc<KeyedEvents>,
    /// `RETAIN` of the primary key.
    retain: Option<i64>,
    known: Known,
}

/// What the requests know.
enum Known {
    /// All the same: the last instant at which each event is its row's latest version.
    Same(Vec<i64>),
    /// Each its own: the number of each event's row.
    PerRead(Vec<u32>),
}

impl<'a> LiveRows<'a> {
    pub(super) fn new(
        evaluator: &'a Evaluator,
        windows: &SourceWindows,
        requests: &Requests,
    ) -> Self {
        let source = &windows.source;
        let events = evaluator.events(source.id);
        let by_row = evaluator.keyed(source.id, &source.primary_key);
        let retain = source.retain_gap(&source.primary_key);
        let known = match know_the_same(events, requests) {
            true => Known::Same(last_instants(events, &by_row, retain)),
            false => {
                let slots = source.primary_key.iter();
                let key: Vec<Column> = slots.map(|&s| events.columns()[s].clone()).collect();
                Known::PerRead(by_row.find(&key, events.len()))
            }
        };
        LiveRows {
            events,
            by_row,
            retain,
            known,
        }
    }

    /// Whether an event is the latest known version of its row at `t`.
    fn is_latest(&self, number: u32, row: u32, t: i64, known_at: Option<i64>) -> bool {
        let KeyEvents { numbers, times } = self.by_row.of(row);
        let end = times.partition_point(|&time| time <= t);
        let mut versions = numbers[..end].iter().zip(&times[..end]).rev();
        let latest = versions.find(|(n, _)| self.events.holds(**n, known_at));
        latest.is_some_and(|(&latest, &time)| {
            latest == number && self.retain.is_none_or(|gap| t.saturating_sub(time) <= gap)
        })
    }
}

/// Whether every request knows all that the cut has up to its time.
pub(super) fn know_the_same(events: &SourceEvents, requests: &Requests) -> bool {
    let Some(known) = &requests.known else {
        return true;
    };
    let mut in_time = known.iter().zip(requests.times.iter());
    events.all_hold() && in_time.all(|(known, time)| known >= time) && events.were_visible_at_once()
}

/// The last instant at which each event is the latest version of its row; before its time if
/// it never is.
fn last_instants(events: &SourceEvents, by_row: &KeyedEvents, retain: Option<i64>) -> Vec<i64> {
    let mut last = vec![i64::MIN; events.len()];
    for row in (0u32..).take(by_row.len()) {
        let KeyEvents { numbers, times } = by_row.of(row);
        let versions = numbers.iter().zip(times);
        let mut before: Option<u32> = None;
        for (&number, &time) in versions.filter(|(n, _)| events.holds(**n, None)) {
            if let Some(before) = before.replace(number) {
                let superseded = &mut last[before as usize];
                *superseded = time.saturating_sub(1).min(*superseded);
            }
            last[number as usize] = retain.map_or(i64::MAX, |gap| time.saturating_add(gap));
        }
    }
    last
}

impl Sweep<'_> {
    /// Adds the requests of one key, sorted by time, over the rows that live then.
    pub(super) fn live_key(&mut self, live: &LiveRows<'_>, of_key: KeyEvents<'_>, reads: &[u32]) {
        match &live.known {
            Known::Same(last) => self.follow(last, of_key, reads),
            Known::PerRead(row_of) => {
                for &read in reads {
                    self.look(live, row_of, of_key, read);
                }
            }
        }
    }

    /// Follows the rows that live along requests that know the same.
    fn follow(&mut self, last: &[i64], of_key: KeyEvents<'_>, reads: &[u32]) {
        let read_times: Vec<i64> = reads
            .iter()
            .map(|&i| self.requests.times[i as usize])
            .collect();
        let floors = self
            .retain
            .map(|gap| retain_floors(gap, &self.alive_times(of_key, None), &read_times));
        let (mut rows, mut times) = (Vec::new(), Vec::new());
        // Requests over the same rows.
        let mut together: Vec<u32> = Vec::new();
        let mut entered = 0;
        let mut next_end = i64::MAX;
        for (i, (&read, &t)) in reads.iter().zip(&read_times).enumerate() {
            let enters = of_key.times[entered..].partition_point(|&time| time <= t);
            if enters > 0 || next_end < t || floors.is_some() {
                self.append(&rows, &times, None, &together);
                together.clear();
                let entering = of_key.numbers[entered..entered + enters].iter();
                let passes = |n: &u32| self.passes.as_ref().is_none_or(|p| p[*n as usize]);
                rows.extend(entering.copied().filter(passes));
                entered += enters;
                rows.retain(|&n: &u32| last[n as usize] >= t);
                next_end = rows
                    .iter()
                    .map(|&n| last[n as usize])
                    .min()
                    .unwrap_or(i64::MAX);
                // What was let go stays so: floors never fall.
                let floor = floors.as_ref().map_or(i64::MIN, |floors| floors[i]);
                rows.retain(|&n| self.events.times()[n as usize] >= floor);
                times.clear();
                times.extend(rows.iter().map(|&n| self.events.times()[n as usize]));
            }
            together.push(read);
        }
        self.append(&rows, &times, None, &together);
    }

    /// Looks for the rows that live for one request.
    fn look(&mut self, live: &LiveRows<'_>, row_of: &[u32], of_key: KeyEvents<'_>, read: u32) {
        let t = self.requests.times[read as usize];
        let known_at = self.requests.known_at(read as usize);
        let end = of_key.times.partition_point(|&time| time <= t);
        let up_to_t = KeyEvents {
            numbers: &of_key.numbers[..end],
            times: &of_key.times[..end],
        };
        let floor = self.retain.map_or(i64::MIN, |gap| {
            retain_floors(gap, &self.alive_times(up_to_t, known_at), &[t])[0]
        });
        let (mut rows, mut times) = (Vec::new(), Vec::new());
        for (&number, &time) in up_to_t.numbers.iter().zip(up_to_t.times) {
            let counts = time >= floor
                && self.passes.as_ref().is_none_or(|p| p[number as usize])
                && live.is_latest(number, row_of[number as usize], t, known_at);
            if counts {
                rows.push(number);
                times.push(time);
            }
        }
        self.append(&rows, &times, None, &[read]);
    }

    /// The times of a key's known events, if a retention asks for them.
    fn alive_times(&self, of_key: KeyEvents<'_>, known_at: Option<i64>) -> Vec<i64> {
        if self.retain.is_none() {
            return Vec::new();
        }
        let events = of_key.numbers.iter().zip(of_key.times);
        let known = events.filter(|(n, _)| self.events.holds(**n, known_at));
        known.map(|(_, &time)| time).collect()
    }
}
