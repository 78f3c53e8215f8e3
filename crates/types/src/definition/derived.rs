//! Derived streams: what their events are, and what of other sources changes them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{
    Digest, Lookup, LookupTarget, RecordedCall, RowBody, SourceDef, Timer, Trigger, TriggerSide,
    ViewBody, ViewDef, WindowRows,
};
use crate::event::SourceId;
use crate::expr::ExprKind;

/// `CREATE STREAM ... AS SELECT`: the rows of a view as events. The stored columns of the stream
/// are the trigger's identity ([`DerivedDef::TRIGGER_ID`], which is the event id), its time
/// ([`DerivedDef::TRIGGERED_AT`]), its order among those of that time
/// ([`DerivedDef::TRIGGER_ORDER`]) where that is another one than that of identities, what functions were asked
/// whose values it records ([`DerivedDef::RECORDED_INPUTS`]) where there are any, and what is selected.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedDef {
    /// A row view whose trigger is one stream and has no key: each event brings its row. It has
    /// the name and the `D` of the stream.
    pub view: Arc<ViewDef>,
    /// `AFTER`, `WAIT FOR WATERMARK`: the rows are of a later time than their triggers, or are emitted later.
    pub timer: Option<Timer>,
    /// The selected columns whose values are recorded, in their order.
    pub recorded: Vec<RecordedCall>,
    /// `ON LATE REVISE`
    pub revises: bool,
    /// `DROP STREAM`: it emits nothing any more.
    pub is_ended: bool,
    /// Its query, with those of the views that it reads and with what it calls, as they were when it was bound:
    /// what stays as long as it emits.
    pub query: Digest,
}

impl DerivedDef {
    /// The name of the column of the trigger's identity.
    pub const TRIGGER_ID: &'static str = "trigger_id";
    /// The name of the column of the trigger's time.
    pub const TRIGGERED_AT: &'static str = "triggered_at";

    /// The name of the column by which rows of one time have the order of their triggers.
    pub const TRIGGER_ORDER: &'static str = "trigger_order";
    /// The name of the column of digests of what was asked for values that are recorded.
    pub const RECORDED_INPUTS: &'static str = "recorded_inputs";

    /// How a row comes about.
    pub fn body(&self) -> &RowBody {
        match &self.view.body {
            ViewBody::Row(body) => body,
            _ => unreachable!("what a derived stream has are the rows of a row view"),
        }
    }

    /// What brings the rows.
    pub fn trigger(&self) -> &TriggerSide {
        match &self.body().trigger {
            Trigger::Source(side) => side,
            Trigger::Full { .. } => unreachable!("a derived stream has one trigger"),
        }
    }

    /// The sources whose events make it emit: its trigger, what `ON LATE REVISE` watches, and what a
    /// timer waits for.
    pub fn causes(&self) -> BTreeSet<SourceId> {
        let watched = match self.revises {
            true => self.watched().unwrap_or_default(),
            false => Vec::new(),
        };
        let watched = watched.into_iter().map(|watched| watched.source);
        let timers = self.timer.iter();
        let waits_for = timers.flat_map(|timer| timer.waits_for.keys().copied());
        let causes = watched.chain(waits_for);
        causes.chain([self.trigger().source.id]).collect()
    }

    /// The sources whose late events may change rows that were emitted, and how such rows are
    /// found: by a key that the trigger's own columns hold.
    ///
    /// # Errors
    /// The look-up for which that cannot be said.
    pub fn watched(&self) -> Result<Vec<Watched>, &Lookup> {
        let body = self.body();
        let trigger = &self.trigger().source;
        let windows = body.windows.iter().map(|windows| Watched {
            source: windows.source.id,
            source_key: windows.key_columns.clone(),
            trigger_key: windows.key_columns.clone(),
        });
        let lookups = body.lookups.iter();
        let lookups = lookups.map(|lookup| of_lookup(lookup, trigger).ok_or(lookup));
        windows.map(Ok).chain(lookups).collect()
    }
}

/// A source whose late events may change rows that were emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The source.
    pub source: SourceId,
    /// Slots of its row that are the key.
    pub source_key: Vec<usize>,
    /// Slots of the trigger's row that hold the same key.
    pub trigger_key: Vec<usize>,
}

fn of_lookup(lookup: &Lookup, trigger: &SourceDef) -> Option<Watched> {
    let keys = lookup.keys.iter();
    let trigger_key: Option<Vec<usize>> = keys
        .map(|key| match key.kind {
            ExprKind::Column(slot) if slot < trigger.columns.len() => Some(slot),
            _ => None,
        })
        .collect();
    let (source, source_key) = match &lookup.target {
        LookupTarget::Source {
            source,
            key_columns,
        } => (source, key_columns),
        LookupTarget::View(view) => key_of_view(view)?,
    };
    // A late event may drop another one, of another key.
    if source.deduplicate_within.is_some() {
        return None;
    }
    Some(Watched {
        source: source.id,
        source_key: source_key.clone(),
        trigger_key: trigger_key?,
    })
}

/// The one source of a view, and its key there: of a view whose answer for a key depends on the
/// events of that key alone.
fn key_of_view(view: &ViewDef) -> Option<(&Arc<SourceDef>, &Vec<usize>)> {
    match &view.body {
        ViewBody::Window(body) => {
            let of_events = |rows: WindowRows| rows == WindowRows::Events;
            let windows = &body.windows;
            let plain = windows.aggregates.iter().all(|a| of_events(a.rows));
            plain.then_some((&windows.source, &windows.key_columns))
        }
        ViewBody::Row(body) if body.windows.is_empty() && body.lookups.is_empty() => {
            match &body.trigger {
                Trigger::Source(side) => Some((&side.source, &side.key_columns)),
                Trigger::Full { .. } => None,
            }
        }
        ViewBody::Row(_) | ViewBody::Composed(_) => None,
    }
}
