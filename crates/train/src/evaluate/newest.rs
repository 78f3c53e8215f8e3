//! The newest event of each request's key up to a time, for all requests at once.
//!
//! Only where keys and times alone decide: every event holds, none of them is hidden from a
//! request. Elsewhere a [`super::KeyWalk`] looks for it request by request, and finds the same.
//! There are two ways:
//! - *In the order of time*, if the log has the events in it and the requests are not few: events
//!   and requests pass once, side by side, and of each key the last event is kept.
//! - *By key*: events and requests are placed by their keys.

use evenkeel_types::NO_SLOT;
use evenkeel_types::definition::{SourceDef, SourceKind};

use super::requests::{TimeOrder, UpTo};
use super::{Evaluator, Requests};
use crate::events::SourceEvents;
use crate::key_numbers::{KeyNumbers, NO_KEY};
use crate::keyed::{KeyEvents, KeyedEvents, Placed};

/// So many events for each request, at most, pass in the order of time: who asks again and again
/// for a few pays less for events placed once.
const EVENTS_PER_REQUEST: usize = 16;

/// The number of the newest event of each request's key, [`NO_SLOT`] where there is none or a
/// table's row has ended.
pub(super) struct Newest {
    pub(super) numbers: Vec<u32>,
    /// Whether they are in the order of the requests' times, not in that of the requests.
    pub(super) by_time: bool,
}

impl Newest {
    /// By request.
    pub(super) fn by_request(self, requests: &Requests) -> Vec<u32> {
        if !self.by_time {
            return self.numbers;
        }
        let place_of = &requests.in_order_of_time().place_of;
        let number = |place: &u32| self.numbers[*place as usize];
        place_of.iter().map(number).collect()
    }
}

impl Evaluator {
    /// The newest event of each request's key as far as the requests see. `None` if more than keys
    /// and times decides.
    pub(super) fn newest(
        &self,
        source: &SourceDef,
        key_columns: &[usize],
        requests: &Requests,
        up_to: UpTo,
    ) -> Option<Newest> {
        let events = self.events(source.id);
        let decided = events.all_hold()
            && (!events.has_deletes() || source.kind == SourceKind::Table)
            && source.retain_gap(key_columns).is_none()
            && knows_everything(events, requests, up_to);
        if !decided {
            return None;
        }
        let few = events.len() / EVENTS_PER_REQUEST > requests.len();
        let by_time = events.in_order_of_time() && !few;
        let mut numbers = match by_time {
            true => {
                let keys = self.numbers(source.id, key_columns);
                in_order_of_time(events, &keys, requests.in_order_of_time(), up_to)
            }
            false => {
                let keyed = self.keyed(source.id, key_columns);
                let placed = self.placed(source.id, key_columns, requests);
                by_key(&keyed, &placed, requests.len(), up_to)
            }
        };
        if events.has_deletes() {
            for number in &mut numbers {
                if *number != NO_SLOT && events.is_delete(*number) {
                    *number = NO_SLOT;
                }
            }
        }
        Some(Newest { numbers, by_time })
    }
}

/// Whether no event is hidden from a request that sees so far.
fn knows_everything(events: &SourceEvents, requests: &Requests, up_to: UpTo) -> bool {
    requests.known.as_ref().is_none_or(|known| {
        let mut times = known.iter().zip(requests.times.iter());
        times.all(|(known, time)| *known >= up_to.of(*time)) && events.were_visible_at_once()
    })
}

fn in_order_of_time(
    events: &SourceEvents,
    keys: &KeyNumbers,
    order: &TimeOrder,
    up_to: UpTo,
) -> Vec<u32> {
    if let Some(near) = keys.near(events) {
        return side_by_side(events, keys, |event| near.of(event), order, up_to);
    }
    let of_events = keys.of_events(events);
    side_by_side(events, keys, |event| of_events[event], order, up_to)
}

/// Events and requests pass side by side, in the order of their times.
fn side_by_side(
    events: &SourceEvents,
    keys: &KeyNumbers,
    key_of_event: impl Fn(usize) -> u32,
    order: &TimeOrder,
    up_to: UpTo,
) -> Vec<u32> {
    let times = events.times();
    let key_of = keys.find(&order.keys, order.times.len());
    let mut newest_of_key = vec![NO_SLOT; keys.len()];
    let mut next = 0;
    let mut before = None;
    let newest = |(&time, key): (&i64, u32)| {
        let until = up_to.of(time);
        while next < times.len() && times[next] <= until {
            // Fewer than 2^32.
            let (number, time, key) = (next as u32, times[next], key_of_event(next));
            next += 1;
            let tied = before.replace(time) == Some(time);
            if key == NO_KEY {
                continue;
            }
            let newest = &mut newest_of_key[key as usize];
            if !tied || *newest == NO_SLOT || !events.is_before(number, *newest) {
                *newest = number;
            }
        }
        match key {
            NO_KEY => NO_SLOT,
            key => newest_of_key[key as usize],
        }
    };
    order.times.iter().zip(key_of).map(newest).collect()
}

fn by_key(keyed: &KeyedEvents, placed: &Placed, requests: usize, up_to: UpTo) -> Vec<u32> {
    let mut newest = vec![NO_SLOT; requests];
    for (key, of_key) in placed.keys() {
        let KeyEvents { numbers, times } = keyed.of(key);
        let mut end = 0;
        for &(time, request) in of_key {
            // Later requests reach as far, or further.
            let until = up_to.of(time);
            end += times[end..].partition_point(|&time| time <= until);
            if let Some(last) = end.checked_sub(1) {
                newest[request as usize] = numbers[last];
            }
        }
    }
    newest
}
