//! The newest event of each request's key up to a time, for all requests at once.
//!
//! Only where keys and times alone decide: every event holds, none of them is hidden from a
//! request. Elsewhere a [`super::KeyWalk`] looks for it request by request, and finds the same.
//! There are two ways:
//! - *In the order of time*, if the log has the events in it and the requests are not few: events
//!   and requests pass once, side by side, and of each key the last event is kept.
//! - *By key*: events and requests are placed by their keys.

use evenkeel_types::definition::{SourceDef, SourceKind};
use evenkeel_types::{NO_SLOT, SourceId};

use super::{Evaluator, Requests};
use crate::events::SourceEvents;
use crate::key_numbers::{KeyNumbers, NO_KEY};
use crate::keyed::{KeyEvents, KeyedEvents, Placed};

/// So many events for each request, at most, pass in the order of time: who asks again and again
/// for a few pays less for events placed once.
const EVENTS_PER_REQUEST: usize = 16;

impl Evaluator {
    /// The number of the newest event up to `until` of each request's key, [`NO_SLOT`] where there
    /// is none or a table's row has ended. `until` is later for later requests. `None` if more
    /// than keys and times decides.
    pub(super) fn newest(
        &self,
        source: &SourceDef,
        key_columns: &[usize],
        requests: &Requests,
        until: &[i64],
    ) -> Option<Vec<u32>> {
        let events = self.events(source.id);
        let decided = events.all_hold()
            && (!events.has_deletes() || source.kind == SourceKind::Table)
            && source.retain_gap(key_columns).is_none()
            && knows_everything(events, requests, until);
        if !decided {
            return None;
        }
        let few = events.len() / EVENTS_PER_REQUEST > requests.len();
        let mut newest = match events.in_order_of_time() && !few {
            true => in_order_of_time(
                events,
                &self.numbers(source.id, key_columns),
                requests,
                until,
            ),
            false => self.by_key(source.id, key_columns, requests, until),
        };
        if events.has_deletes() {
            for number in &mut newest {
                if *number != NO_SLOT && events.is_delete(*number) {
                    *number = NO_SLOT;
                }
            }
        }
        Some(newest)
    }

    fn by_key(
        &self,
        source: SourceId,
        key_columns: &[usize],
        requests: &Requests,
        until: &[i64],
    ) -> Vec<u32> {
        let keyed = self.keyed(source, key_columns);
        by_key(&keyed, &self.placed(source, key_columns, requests), until)
    }
}

/// Whether no event up to `until` is hidden from a request.
fn knows_everything(events: &SourceEvents, requests: &Requests, until: &[i64]) -> bool {
    requests.known.as_ref().is_none_or(|known| {
        known.iter().zip(until).all(|(known, until)| known >= until)
            && events.were_visible_at_once()
    })
}

fn in_order_of_time(
    events: &SourceEvents,
    keys: &KeyNumbers,
    requests: &Requests,
    until: &[i64],
) -> Vec<u32> {
    let times = events.times();
    let key_of = keys.find(&requests.keys, requests.len());
    let mut newest = vec![NO_SLOT; requests.len()];
    let mut newest_of_key = vec![NO_SLOT; keys.len()];
    let mut rest = (0u32..).zip(times.iter().zip(keys.of_events())).peekable();
    let mut before = None;
    for &(_, request) in requests.in_order_of_time().iter() {
        let request = request as usize;
        while let Some((number, (time, key))) =
            rest.next_if(|(_, (time, _))| **time <= until[request])
        {
            let tied = before.replace(time) == Some(time);
            if *key == NO_KEY {
                continue;
            }
            let newest = &mut newest_of_key[*key as usize];
            if !tied || *newest == NO_SLOT || !events.is_before(number, *newest) {
                *newest = number;
            }
        }
        if key_of[request] != NO_KEY {
            newest[request] = newest_of_key[key_of[request] as usize];
        }
    }
    newest
}

fn by_key(keyed: &KeyedEvents, placed: &Placed, until: &[i64]) -> Vec<u32> {
    let mut newest = vec![NO_SLOT; until.len()];
    for (key, of_key) in placed.keys() {
        let KeyEvents { numbers, times } = keyed.of(key);
        let mut end = 0;
        for &(_, request) in of_key {
            // Later requests reach as far, or further.
            let until = until[request as usize];
            end += times[end..].partition_point(|&time| time <= until);
            if let Some(last) = end.checked_sub(1) {
                newest[request as usize] = numbers[last];
            }
        }
    }
    newest
}
