//! Reading for a server: a service laid out once, and what a promise still waits for. The rows
//! of a request are read at a pinned cut in pieces ([`crate::Answers`]).
//!
//! A cut that is pinned may be read in pieces with writes in between: the same bits come out
//! as if nothing had been written.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_log::LogReader;
use evenkeel_types::definition::{DerivedDef, Digest, ServiceDef, SourceDef, ViewBody};
use evenkeel_types::{Cut, EventTime, Field, Position, SourceId, Value};
use evenkeel_view::Uses;

use crate::emission::{due_until, emitted_before, greatest_at};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::kept::KeptPlans;
use crate::watermarks::watermark_of;

/// A service as a reader needs it: which input goes where, which feature comes from where.
/// It holds for the definition, whatever is written or applied later.
#[derive(Clone, Debug)]
pub struct ReadPlan {
    service: Arc<ServiceDef>,
    features: Vec<Field>,
    defaults: Vec<Option<Value>>,
    sources: Vec<Arc<SourceDef>>,
    items: Vec<Item>,
    kept: KeptPlans,
}

/// One view of the service.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) view: Digest,
    pub(crate) name: String,
    /// The input of each key column; none if the service has none of that name.
    pub(crate) key: Vec<Option<usize>>,
    /// The input of each request column.
    pub(crate) request: Vec<Option<usize>>,
    pub(crate) features: Vec<usize>,
}

impl Item {
    /// Whether two rows have the same key and request columns.
    pub(crate) fn asks_the_same(&self, one: &[Value], other: &[Value]) -> bool {
        let mut inputs = self.key.iter().chain(&self.request).flatten();
        inputs.all(|&i| one.get(i) == other.get(i))
    }
}

impl ReadPlan {
    /// Lays a service out.
    pub fn new(service: Arc<ServiceDef>) -> Self {
        let input = |name: &String| service.inputs.iter().position(|f| f.name == *name);
        let items = service
            .items
            .iter()
            .map(|item| Item {
                view: item.view.digest,
                name: item.view.name.clone(),
                key: item.key.iter().map(input).collect(),
                request: match &item.view.body {
                    ViewBody::Composed(body) => {
                        body.request.iter().map(|f| input(&f.name)).collect()
                    }
                    _ => Vec::new(),
                },
                features: item.features.iter().map(|(index, _)| *index).collect(),
            })
            .collect();
        let features_of = service.items.iter().flat_map(|item| {
            let features = item.features.iter();
            features.map(|(index, _)| item.view.features[*index].default.clone())
        });
        let uses = Uses::of(service.items.iter().map(|item| item.view.as_ref()));
        let sources: BTreeMap<SourceId, Arc<SourceDef>> = uses
            .iter()
            .map(|key_use| (key_use.source.id, Arc::clone(&key_use.source)))
            .collect();
        ReadPlan {
            features: service.features(),
            defaults: features_of.collect(),
            sources: sources.into_values().collect(),
            items,
            kept: KeptPlans::default(),
            service,
        }
    }

    /// The service.
    pub fn service(&self) -> &Arc<ServiceDef> {
        &self.service
    }

    /// The views, in order.
    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    pub(crate) fn kept(&self) -> &KeptPlans {
        &self.kept
    }

    /// Names and types of the features, in order.
    pub fn features(&self) -> &[Field] {
        &self.features
    }

    /// What serving may put in place of a missing value, per feature.
    pub fn defaults(&self) -> &[Option<Value>] {
        &self.defaults
    }

    /// The sources that the service reads.
    pub fn sources(&self) -> &[Arc<SourceDef>] {
        &self.sources
    }

    /// Whether some of them are made of others.
    pub fn reads_emissions(&self) -> bool {
        self.sources.iter().any(|source| source.derived.is_some())
    }
}

/// What is not as far as a promise wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// What of a partition is applied.
    Applied,
    /// The watermark of a source.
    Watermark,
    /// What a derived stream has emitted for.
    Emitted,
    /// What of a table of another system is captured.
    Captured,
}

/// What a promise still waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// What of the source it is.
    pub lack: Lack,
    /// The source.
    pub source: String,
    /// The partition; none of what is the source's.
    pub partition: Option<u32>,
    /// The first offset that need not be known, or the time that the watermark must pass; of a derived
    /// stream the record of the log that it must have emitted everything before.
    pub wanted: String,
    /// How far it is.
    pub reached: String,
}

/// The record behind the last of some positions; 0 if none of them is logged.
///
/// # Errors
/// If the log cannot be read.
pub fn record_behind(log: &LogReader, positions: &Cut) -> Result<u64, EngineError> {
    let mut behind = 0;
    for (source, partition, end) in positions.iter() {
        if let Some(last) = end.0.checked_sub(1) {
            let found = log.sequence(source, Position::new(partition.0, last));
            let found = found.map_err(EngineError::log)?;
            behind = behind.max(found.map_or(0, |record| record.0 + 1));
        }
    }
    Ok(behind)
}

impl Unmet {
    /// A watermark that has not passed a time; none if it has.
    pub(crate) fn of_watermark(
        source: &SourceDef,
        reached: Option<EventTime>,
        time: EventTime,
    ) -> Option<Self> {
        (reached.is_none_or(|watermark| watermark <= time)).then(|| Unmet {
            lack: Lack::Watermark,
            source: source.name.clone(),
            partition: None,
            wanted: time.to_string(),
            reached: reached.map_or_else(|| "no event yet".to_owned(), |w| w.to_string()),
        })
    }
}

impl Engine {
    /// What of a cut is not applied yet; none if all of it is.
    pub fn unmet(&self, wanted: &Cut) -> Option<Unmet> {
        self.unmet_at(wanted, self.applied())
    }

    /// What of a cut is not in another; none if all of it is.
    pub fn unmet_at(&self, wanted: &Cut, cut: &Cut) -> Option<Unmet> {
        wanted.iter().find_map(|(source, partition, end)| {
            let reached = cut.end(source, partition);
            (end > reached).then(|| Unmet {
                lack: Lack::Applied,
                source: self
                    .catalog()
                    .source_by_id(source)
                    .map_or_else(|| format!("source {}", source.0), |def| def.name.clone()),
                partition: Some(partition.0),
                wanted: end.0.to_string(),
                reached: reached.0.to_string(),
            })
        })
    }

    /// The first derived stream of these that has not emitted everything for the records before one;
    /// none if all have.
    pub fn unmet_emissions(&self, sources: &[Arc<SourceDef>], record: u64) -> Option<Unmet> {
        let emits = |def: &&Arc<SourceDef>| def.derived.is_some() && !def.has_ended();
        sources.iter().filter(emits).find_map(|def| {
            let reached = match self.is_durable() {
                true => self.reached().get(&def.id).copied().unwrap_or(0),
                // Beside a writer only what it emitted last says it.
                false => emitted_before(self.reader(), def).unwrap_or(0),
            };
            let why = match self.emission_failures().get(&def.id) {
                Some(failure) => format!(", where it has stopped: {failure}"),
                None if self.is_durable() => String::new(),
                None => ", as far as can be seen beside the process that writes".to_owned(),
            };
            (reached < record).then(|| Unmet {
                lack: Lack::Emitted,
                source: def.name.clone(),
                partition: None,
                wanted: format!("record {record}"),
                reached: format!("record {reached}{why}"),
            })
        })
    }

    /// The first of these sources whose watermark has not passed a time; none if all have.
    pub fn unmet_watermark(&self, sources: &[Arc<SourceDef>], time: EventTime) -> Option<Unmet> {
        // Of what has ended nothing is expected.
        let mut expected = sources.iter().filter(|def| !def.has_ended());
        expected.find_map(|def| Unmet::of_watermark(def, self.watermark(def), time))
    }

    /// The greatest event time of a source less its lateness: no event up to it is expected
    /// any more, but for itself. None while there is no event. Of a derived stream it is the least of
    /// those that make it emit: what it leaves out holds nothing back.
    pub fn watermark(&self, source: &SourceDef) -> Option<EventTime> {
        let catalog = self.catalog();
        let came = |source| self.hot().source(source)?.greatest_time();
        let greatest = |source| greatest_at(self, source, self.applied());
        let due = |derived: &DerivedDef| due_until(catalog, derived, greatest).ok().flatten();
        watermark_of(catalog, source, &came, &due)
    }
}
