//! Reading for a server: a service laid out once, rows of a request read at a pinned cut in
//! pieces, and what a promise still waits for.
//!
//! A cut that is pinned may be read in pieces with writes in between: the same bits come out
//! as if nothing had been written.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_store::ColdNeeds;
use evenkeel_types::definition::{Digest, ServiceDef, SourceDef, ViewBody};
use evenkeel_types::{Cut, EventTime, Field, Knowledge, SourceId, Value};
use evenkeel_view::{Reader, Uses, ViewRow};

use crate::api::Answer;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::hot_store::HotRead;
use crate::reads::answer;

/// A service as a reader needs it: which input goes where, which feature comes from where.
/// It holds for the definition, whatever is written or applied later.
#[derive(Clone, Debug)]
pub struct ReadPlan {
    service: Arc<ServiceDef>,
    features: Vec<Field>,
    defaults: Vec<Option<Value>>,
    sources: Vec<Arc<SourceDef>>,
    items: Vec<Item>,
}

/// One view of the service.
#[derive(Clone, Debug)]
struct Item {
    view: Digest,
    name: String,
    /// The input of each key column; none if the service has none of that name.
    key: Vec<Option<usize>>,
    /// The input of each request column.
    request: Vec<Option<usize>>,
    features: Vec<usize>,
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
            service,
        }
    }

    /// The service.
    pub fn service(&self) -> &Arc<ServiceDef> {
        &self.service
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
}

/// Parts that one read asks for at once to be brought back.
const NEEDS_MAX: usize = 64;

/// A view's last key and request columns, with the row that was read.
type LastRead = (Vec<Value>, Vec<Value>, ViewRow);

/// What a promise still waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The source.
    pub source: String,
    /// The partition; none for a watermark, which is the source's.
    pub partition: Option<u32>,
    /// The first offset that need not be known, or the time that the watermark must pass.
    pub wanted: String,
    /// How far it is.
    pub reached: String,
}

impl Engine {
    /// Reads rows of a planned service: one value per input each. The answers do not depend
    /// on how a request is cut into such reads, as long as the knowledge is the same.
    ///
    /// # Errors
    /// If a view of the plan is not applied in this store, or what it needs cannot be read;
    /// [`EngineError::Cold`] after [`Engine::defer_cold_reads`].
    pub fn read(
        &self,
        plan: &ReadPlan,
        rows: &[Vec<Value>],
        as_of: EventTime,
        knowledge: &Knowledge,
    ) -> Result<Vec<Vec<Answer>>, EngineError> {
        let views = plan
            .items
            .iter()
            .map(|item| self.compiled(&item.view, &item.name))
            .collect::<Result<Vec<_>, _>>()?;
        let hot = HotRead::of(self.hot());
        let reader = Reader::new(&hot, knowledge);
        let mut needs: Option<Box<ColdNeeds>> = None;
        // The last key of each view with its row: a request often has one user and many items.
        let mut last: Vec<Option<LastRead>> = vec![None; views.len()];
        let take = |row: &[Value], from: &[Option<usize>]| -> Vec<Value> {
            let value = |i: &Option<usize>| i.and_then(|i| row.get(i).cloned());
            from.iter()
                .map(|i| value(i).unwrap_or(Value::Null))
                .collect()
        };
        let mut answers = Vec::with_capacity(rows.len());
        'rows: for row in rows {
            let mut features = Vec::with_capacity(plan.features.len());
            for ((item, view), last) in plan.items.iter().zip(&views).zip(&mut last) {
                let key = take(row, &item.key);
                let request = take(row, &item.request);
                let known = last
                    .as_ref()
                    .is_some_and(|(k, r, _)| *k == key && *r == request);
                if !known {
                    let read = || hot.checked(reader.read(view, &key, as_of.0, &request));
                    // What another read of the key lacked is lacking in what this one was
                    // given, too. Given it anew, only what it needs itself is.
                    let read = match read() {
                        Err(EngineError::Cold(_)) => read(),
                        done => done,
                    };
                    match read {
                        Ok(read) => *last = Some((key, request, read)),
                        // What other rows need comes back along with it.
                        Err(EngineError::Cold(more)) => {
                            match &mut needs {
                                Some(needs) => needs.join(*more),
                                none => *none = Some(more),
                            }
                            if needs.as_ref().is_some_and(|n| n.parts() >= NEEDS_MAX) {
                                break 'rows;
                            }
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                }
                if let Some((.., read)) = last {
                    features.extend(item.features.iter().map(|i| answer(read, *i)));
                }
            }
            answers.push(features);
        }
        match needs {
            Some(needs) => Err(EngineError::Cold(needs)),
            None => Ok(answers),
        }
    }

    /// What of a cut is not applied yet; none if all of it is.
    pub fn unmet(&self, wanted: &Cut) -> Option<Unmet> {
        self.unmet_at(wanted, self.applied())
    }

    /// What of a cut is not in another; none if all of it is.
    pub fn unmet_at(&self, wanted: &Cut, cut: &Cut) -> Option<Unmet> {
        wanted.iter().find_map(|(source, partition, end)| {
            let reached = cut.end(source, partition);
            (end > reached).then(|| Unmet {
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

    /// The first of these sources whose watermark has not passed a time; none if all have.
    pub fn unmet_watermark(&self, sources: &[Arc<SourceDef>], time: EventTime) -> Option<Unmet> {
        sources.iter().find_map(|def| {
            let reached = self.watermark(def);
            (reached.is_none_or(|w| w <= time)).then(|| Unmet {
                source: def.name.clone(),
                partition: None,
                wanted: time.to_string(),
                reached: reached.map_or_else(|| "no event yet".to_owned(), |w| w.to_string()),
            })
        })
    }

    /// The greatest event time of a source less its lateness: no event up to it is expected
    /// any more, but for itself. None while there is no event.
    pub fn watermark(&self, source: &SourceDef) -> Option<EventTime> {
        let greatest = self.hot().source(source.id)?.greatest_time()?;
        Some(EventTime(source.lateness.before(greatest.0)))
    }
}
