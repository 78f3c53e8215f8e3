//! What a block or node holds, on every axis that a read may be bounded by.

use evenkeel_types::{Offset, Partition, Position};

/// The span of one partition's offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffsetSpan {
    /// The partition.
    pub partition: Partition,
    /// The least offset.
    pub first: Offset,
    /// The greatest offset.
    pub last: Offset,
}

/// The spans of a group of entries: of event time, of visible time, of the offsets of every
/// partition that occurs, and whether any entry is contested. Never of no entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The earliest event time, microseconds.
    pub first_time: i64,
    /// The latest event time, microseconds.
    pub last_time: i64,
    /// The earliest visible time, microseconds.
    pub first_visible_at: i64,
    /// The latest visible time, microseconds.
    pub last_visible_at: i64,
    /// By partition, ascending.
    pub offsets: Vec<OffsetSpan>,
    /// Whether any entry is contested.
    pub contested: bool,
}

impl Bounds {
    /// The bounds of one entry.
    pub fn of(time: i64, visible_at: i64, position: Position, contested: bool) -> Self {
        Bounds {
            first_time: time,
            last_time: time,
            first_visible_at: visible_at,
            last_visible_at: visible_at,
            offsets: vec![OffsetSpan {
                partition: position.partition,
                first: position.offset,
                last: position.offset,
            }],
            contested,
        }
    }

    /// Widens to hold one more entry.
    pub fn extend(&mut self, time: i64, visible_at: i64, position: Position, contested: bool) {
        self.first_time = self.first_time.min(time);
        self.last_time = self.last_time.max(time);
        self.first_visible_at = self.first_visible_at.min(visible_at);
        self.last_visible_at = self.last_visible_at.max(visible_at);
        self.contested |= contested;
        self.cover(OffsetSpan {
            partition: position.partition,
            first: position.offset,
            last: position.offset,
        });
    }

    /// Widens to hold all that other bounds hold.
    pub fn merge(&mut self, other: &Bounds) {
        self.first_time = self.first_time.min(other.first_time);
        self.last_time = self.last_time.max(other.last_time);
        self.first_visible_at = self.first_visible_at.min(other.first_visible_at);
        self.last_visible_at = self.last_visible_at.max(other.last_visible_at);
        self.contested |= other.contested;
        for &span in &other.offsets {
            self.cover(span);
        }
    }

    fn cover(&mut self, span: OffsetSpan) {
        let at = self
            .offsets
            .partition_point(|s| s.partition < span.partition);
        match self.offsets.get_mut(at) {
            Some(known) if known.partition == span.partition => {
                known.first = known.first.min(span.first);
                known.last = known.last.max(span.last);
            }
            _ => self.offsets.insert(at, span),
        }
    }
}
