//! Which events a window holds.

use evenkeel_types::{CalendarUnit, Extent, Frame, Interval, Zone};

use super::calendar;

/// The indices of the events in the window read at `t`, ascending.
///
/// `times` are those of all known events of the key in their total order, and `passes` says
/// which of them pass WHERE. `retain` is the entity's `RETAIN`, microseconds.
pub fn frame_members(
    frame: &Frame,
    retain: Option<i64>,
    times: &[i64],
    passes: &[bool],
    t: i64,
) -> Vec<usize> {
    let candidates: Vec<usize> = (0..times.len())
        .filter(|&i| passes[i])
        .filter(|&i| {
            if frame.exclude_group {
                times[i] < t
            } else {
                times[i] <= t
            }
        })
        .collect();
    let in_window: Vec<usize> = match &frame.extent {
        Extent::Range { start, end } => candidates
            .into_iter()
            .filter(|&i| start.is_none_or(|start| times[i] >= moved_back(t, start)))
            .filter(|&i| *end == Interval::default() || times[i] <= moved_back(t, *end))
            .collect(),
        Extent::Hop { start, end, hop } => {
            let mut anchor = i128::from(t) / i128::from(*hop) * i128::from(*hop);
            if anchor > i128::from(t) {
                anchor -= i128::from(*hop);
            }
            candidates
                .into_iter()
                .filter(|&i| {
                    let time = i128::from(times[i]);
                    start.is_none_or(|start| time > anchor - i128::from(start))
                        && time <= anchor - i128::from(*end)
                })
                .collect()
        }
        Extent::StartOf { unit, zone } => {
            let first = first_instant(*unit, zone, t);
            candidates
                .into_iter()
                .filter(|&i| times[i] >= first)
                .collect()
        }
        Extent::Rows { start, end } => {
            let newest_first: Vec<usize> = candidates.into_iter().rev().collect();
            let mut members: Vec<usize> = newest_first
                .into_iter()
                .enumerate()
                .filter(|&(number, _)| {
                    let number = number as u64;
                    number >= *end && start.is_none_or(|start| number <= start)
                })
                .map(|(_, i)| i)
                .collect();
            members.sort_unstable();
            members
        }
        Extent::Session { gap } => {
            let mut members = Vec::new();
            let mut later = t;
            for i in candidates.into_iter().rev() {
                if i128::from(later) - i128::from(times[i]) > i128::from(*gap) {
                    break;
                }
                later = times[i];
                members.insert(0, i);
            }
            members
        }
    };
    match retain {
        None => in_window,
        Some(retain) => in_window
            .into_iter()
            .filter(|&i| is_retained(times[i], retain, times, t))
            .collect(),
    }
}

/// Whether no gap longer than `retain` lies between `time` and `t`.
fn is_retained(time: i64, retain: i64, times: &[i64], t: i64) -> bool {
    let mut instants: Vec<i64> = times
        .iter()
        .copied()
        .filter(|&other| time <= other && other <= t)
        .collect();
    instants.push(t);
    instants
        .windows(2)
        .all(|pair| i128::from(pair[1]) - i128::from(pair[0]) <= i128::from(retain))
}

/// `t` moved back by calendar months, then by microseconds, stopping just outside the ends of
/// time, where no event can be.
fn moved_back(t: i64, by: Interval) -> i64 {
    let months = calendar::months_back(t, by.months);
    let exact = i128::from(months) - i128::from(by.micros);
    i64::try_from(exact)
        .unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
        .clamp(calendar::FIRST - 1, calendar::LAST + 1)
}

/// The first instant whose local period is that of `t`: found by looking at instants, not
/// by asking the zone for the instant of a local time.
fn first_instant(unit: CalendarUnit, zone: &Zone, t: i64) -> i64 {
    const MINUTE: i64 = 60_000_000;
    const DAY: i64 = 24 * 60 * MINUTE;
    let wanted = calendar::period(unit, zone, t);
    let belongs = |x: i64| calendar::period(unit, zone, x) == wanted;
    // The period's first day in UTC, and every offset that is in force around it.
    let nominal = wanted * DAY;
    let mut earliest = t;
    let mut previous: Option<i64> = None;
    let mut probe = nominal - 27 * 60 * MINUTE;
    while probe <= nominal + 27 * 60 * MINUTE && probe < earliest {
        let x = probe.clamp(calendar::FIRST, calendar::LAST);
        for candidate in [x, nominal - calendar::offset(zone, x)] {
            let candidate = candidate.clamp(calendar::FIRST, calendar::LAST);
            if candidate < earliest && belongs(candidate) {
                earliest = candidate;
            }
        }
        if belongs(x) {
            // Between the last probe and this one it began: halve until it is found.
            let mut outside = previous.unwrap_or(x);
            let mut inside = x;
            while inside - outside > 1 {
                let middle = outside + (inside - outside) / 2;
                if belongs(middle) {
                    inside = middle;
                } else {
                    outside = middle;
                }
            }
            earliest = earliest.min(inside);
        }
        previous = Some(x);
        probe += 15 * MINUTE;
    }
    earliest
}
