//! Which entries of a source a read sees, and what may make an answer worthless.

use std::cell::RefCell;
use std::sync::Arc;

use evenkeel_aggregate::history::BlockSource;
use evenkeel_aggregate::{Bounds, EntryView, Visibility};
use evenkeel_types::{SourceCut, SourceId, VisibleAt};

use super::{ReadError, Store};

/// What may make an answer worthless: asked after it was computed.
#[derive(Default)]
pub(super) struct Trouble {
    pub(super) failure: Option<ReadError>,
    /// Sources of the blocks that were used.
    pub(super) sources: Vec<Arc<dyn BlockSource>>,
}

/// Which entries of one source a read sees.
pub(crate) struct Sight<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) trouble: &'a RefCell<Trouble>,
    pub(super) source: SourceId,
    pub(super) cut: &'a SourceCut,
    pub(super) known_at: Option<VisibleAt>,
}

impl Visibility for Sight<'_> {
    fn sees(&self, entry: &EntryView<'_>) -> bool {
        self.cut.contains(entry.position())
            && self.known_at.is_none_or(|k| entry.visible_at() <= k.0)
            && (!entry.contested() || self.holds(entry.id()))
    }

    fn sees_all(&self, bounds: &Bounds) -> bool {
        !bounds.contested
            && self.known_at.is_none_or(|k| bounds.last_visible_at <= k.0)
            && bounds
                .offsets
                .iter()
                .all(|span| span.last < self.cut.end(span.partition))
    }

    fn sees_none(&self, bounds: &Bounds) -> bool {
        self.known_at.is_some_and(|k| bounds.first_visible_at > k.0)
            || bounds
                .offsets
                .iter()
                .all(|span| span.first >= self.cut.end(span.partition))
    }
}

impl Sight<'_> {
    fn holds(&self, entry: u64) -> bool {
        self.store
            .holds(self.source, entry, self.cut, self.known_at)
            .unwrap_or_else(|error| {
                self.trouble.borrow_mut().failure.get_or_insert(error);
                false
            })
    }
}
