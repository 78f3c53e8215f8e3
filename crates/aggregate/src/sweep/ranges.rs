//! Frames as ranges of indices.

use evenkeel_types::{Extent, Frame, Interval};

use crate::frame::{self, Instants};

/// The earliest event time that counts at each read under `RETAIN gap`: `times` are those
/// of all known events of the key, ascending, whatever WHERE says; `read_times` ascend too.
/// Where nothing counts, it is just after the read.
pub fn retain_floors(gap: i64, times: &[i64], read_times: &[i64]) -> Vec<i64> {
    let mut next = 0;
    let mut first = None;
    let mut last = i64::MIN;
    read_times
        .iter()
        .map(|&t| {
            while let Some(&time) = times.get(next).filter(|&&time| time <= t) {
                if first.is_none() || time.saturating_sub(last) > gap {
                    first = Some(time);
                }
                last = time;
                next += 1;
            }
            match first {
                Some(first) if t.saturating_sub(last) <= gap => first,
                _ => t.saturating_add(1),
            }
        })
        .collect()
}

/// Appends, for each read, the half-open range of indices of the events that its window
/// covers, each index raised by `base`. Neither end ever runs backwards, so the ranges of
/// several keys, one behind the other, slide as one.
///
/// `times` are those of one key's events that passed WHERE, in their total order, and
/// `read_times` ascend. `floors` are the [`retain_floors`] of the same reads, if the entity
/// has a `RETAIN`.
///
/// # Panics
/// If there are floors, but not one per read, or more events than a `u32` counts.
pub fn index_ranges(
    frame: &Frame,
    floors: Option<&[i64]>,
    times: &[i64],
    read_times: &[i64],
    base: u32,
    out: &mut Vec<(u32, u32)>,
) {
    assert!(
        floors.is_none_or(|floors| floors.len() == read_times.len()),
        "one floor per read"
    );
    assert!(
        u32::try_from(times.len()).is_ok_and(|length| base.checked_add(length).is_some()),
        "fewer than 2^32 events at once"
    );
    out.reserve(read_times.len());
    if floors.is_none()
        && let Some(distances) = Distances::of(frame)
    {
        return distances.ranges(times, read_times, base, out);
    }
    let mut cursor = Cursor::default();
    let mut floor_index = 0;
    for (read, &t) in read_times.iter().enumerate() {
        let (mut start, end) = cursor.range(frame, times, t);
        if let Some(floors) = floors {
            advance(&mut floor_index, times, |time| time < floors[read]);
            start = start.max(floor_index);
        }
        // Both are at most the number of events.
        out.push((base + start.min(end) as u32, base + end as u32));
    }
}

/// A frame whose ends are as long before each read as before every other: most are.
struct Distances {
    /// `None`: no start.
    start: Option<Interval>,
    end: Interval,
    exclude_group: bool,
}

impl Distances {
    fn of(frame: &Frame) -> Option<Self> {
        match frame.extent {
            Extent::Range { start, end }
                if end.months == 0 && start.is_none_or(|start| start.months == 0) =>
            {
                Some(Distances {
                    start,
                    end,
                    exclude_group: frame.exclude_group,
                })
            }
            _ => None,
        }
    }

    /// What [`index_ranges`] does for other frames.
    fn ranges(self, times: &[i64], read_times: &[i64], base: u32, out: &mut Vec<(u32, u32)>) {
        let Distances {
            start,
            end,
            exclude_group,
        } = self;
        let (mut from, mut to) = (0usize, 0usize);
        for &t in read_times {
            let first = start.map_or(i64::MIN, |start| start.before(t));
            let last = if end.is_zero() { t } else { end.before(t) };
            let last = if exclude_group {
                last.min(t.saturating_sub(1))
            } else {
                last
            };
            while from < times.len() && times[from] < first {
                from += 1;
            }
            while to < times.len() && times[to] <= last {
                to += 1;
            }
            // Both are at most the number of events.
            out.push((base + from.min(to) as u32, base + to as u32));
        }
    }
}

fn advance(index: &mut usize, times: &[i64], passed: impl Fn(i64) -> bool) {
    while times.get(*index).is_some_and(|&time| passed(time)) {
        *index += 1;
    }
}

/// Where the sweep of one frame stands.
#[derive(Default)]
struct Cursor {
    first: usize,
    end: usize,
    /// First event of the run that the last event before `end` belongs to.
    session: usize,
}

impl Cursor {
    fn range(&mut self, frame: &Frame, times: &[i64], t: i64) -> (usize, usize) {
        if let Some(Instants { first, last }) = frame::instants(frame, t) {
            advance(&mut self.first, times, |time| time < first);
            advance(&mut self.end, times, |time| time <= last);
            return (self.first, self.end);
        }
        let known = |time: i64| time < t || (time == t && !frame.exclude_group);
        if let Extent::Session { gap } = frame.extent {
            while times.get(self.end).is_some_and(|&time| known(time)) {
                let previous = self.end.checked_sub(1).map(|i| times[i]);
                if previous.is_none_or(|p| times[self.end].saturating_sub(p) > gap) {
                    self.session = self.end;
                }
                self.end += 1;
            }
            let last = self.end.checked_sub(1).map(|i| times[i]);
            let alive = last.is_some_and(|last| t.saturating_sub(last) <= gap);
            return (if alive { self.session } else { self.end }, self.end);
        }
        advance(&mut self.end, times, known);
        let Extent::Rows { start, end } = frame.extent else {
            return (0, self.end);
        };
        // Numbers beyond all events reach the oldest.
        let back = |n: u64| {
            self.end
                .saturating_sub(usize::try_from(n).unwrap_or(usize::MAX))
        };
        (
            start.map_or(0, |start| back(start.saturating_add(1))),
            back(end),
        )
    }
}
