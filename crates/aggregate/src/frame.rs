//! Frame arithmetic: which times a window covers.

use evenkeel_types::{Extent, Frame};

/// The first and the last instant of a window given by times, both included; empty if the
/// first is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instants {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// The window read at `t`, for the extents that are given by times; `None` for those that
/// are given by the events (ROWS, SESSION). Both ends never run backwards as `t` grows.
pub(crate) fn instants(frame: &Frame, t: i64) -> Option<Instants> {
    let (first, last) = match &frame.extent {
        Extent::Range { start, end } => (
            start.map_or(i64::MIN, |start| start.before(t)),
            if end.is_zero() { t } else { end.before(t) },
        ),
        Extent::Hop { start, end, hop } => {
            let anchor = t.div_euclid(*hop).saturating_mul(*hop);
            (
                start.map_or(i64::MIN, |start| {
                    anchor.saturating_sub(start).saturating_add(1)
                }),
                anchor.saturating_sub(*end),
            )
        }
        Extent::StartOf { unit, zone } => (zone.start_of(*unit, t), t),
        Extent::Rows { .. } | Extent::Session { .. } => return None,
    };
    let last = if frame.exclude_group {
        last.min(t.saturating_sub(1))
    } else {
        last
    };
    Some(Instants { first, last })
}
