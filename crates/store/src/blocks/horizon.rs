//! What may leave the store: events that are old enough, and, where that is asked for, somewhere else.

use evenkeel_aggregate::Bounds;
use evenkeel_types::SourceCut;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// What is before this time may leave.
    pub before: i64,
    /// If it is in this cut, too.
    pub within: Option<SourceCut>,
}

impl Horizon {
    /// What is before a time may leave.
    pub fn before(time: i64) -> Self {
        Horizon {
            before: time,
            within: None,
        }
    }

    /// Whether all events within bounds may leave.
    pub(super) fn is_behind(&self, bounds: &Bounds) -> bool {
        let is_within = |cut: &SourceCut| {
            let mut spans = bounds.offsets.iter();
            spans.all(|span| span.last < cut.end(span.partition))
        };
        bounds.last_time < self.before && self.within.as_ref().is_none_or(is_within)
    }
}
