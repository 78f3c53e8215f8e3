//! What follows of a correction for views: whose keys it touches, and which values differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_types::definition::{Catalog, SourceDef, Trigger, ViewBody, ViewDef};
use evenkeel_types::{Cut, EventTime, Knowledge, SourceId, Value};
use evenkeel_view::{SourceProgram, Uses};
use xxhash_rust::xxh3::xxh3_128;

use super::go_on;
use crate::api::Answer;
use crate::definitions::feature_list_of;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::offline::Online;
use crate::serving::ReadPlan;

/// Keys of a view whose values are compared.
const KEYS_COMPARED: usize = 10_000;
/// Keys of one read.
const KEYS_AT_ONCE: usize = 100;

/// What follows of a correction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Views that read the source by a key of their own, in the order of their names.
    pub views: Vec<ViewEffect>,
    /// Views that read it through a look-up.
    pub through_look_ups: Vec<String>,
}

/// What follows of it for one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewEffect {
    /// The view.
    pub view: String,
    /// The keys of events that were changed.
    pub keys: u64,
    /// The keys whose values were compared; 0 if nothing was logged.
    pub compared: u64,
    /// Its features, if values were compared.
    pub features: Vec<FeatureEffect>,
}

/// What follows of it for one feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureEffect {
    /// The feature.
    pub feature: String,
    /// Compared keys whose value differs between the cuts.
    pub changed: u64,
}

struct TouchedView {
    def: Arc<ViewDef>,
    /// Slots of the source that are its key.
    key_columns: Vec<usize>,
    /// Digests of the keys.
    keys: BTreeSet<u128>,
    /// Those of the smallest digests, which are compared.
    sample: BTreeMap<u128, Vec<Value>>,
}

/// The keys that changed events belong to, by view.
pub struct Touched {
    program: SourceProgram,
    views: Vec<TouchedView>,
    through_look_ups: Vec<String>,
    catalog: Catalog,
}

/// The columns of a source that are a view's own key, if it reads the source by it and asks
/// nothing of a request.
fn own_key(view: &ViewDef, source: SourceId) -> Option<Vec<usize>> {
    match &view.body {
        ViewBody::Window(body) => {
            (body.windows.source.id == source).then(|| body.windows.key_columns.clone())
        }
        ViewBody::Row(body) => {
            let sides = match &body.trigger {
                Trigger::Source(side) => vec![side],
                Trigger::Full { left, right } => vec![left, right],
            };
            let own = sides.into_iter().find(|side| side.source.id == source);
            own.map(|side| side.key_columns.clone())
        }
        ViewBody::Composed(body) if body.request.is_empty() => {
            body.inputs.iter().find_map(|input| own_key(input, source))
        }
        ViewBody::Composed(_) => None,
    }
}

impl Touched {
    /// Nothing yet, of the newest versions of all views that read a source.
    pub(super) fn of(catalog: &Catalog, source: &Arc<SourceDef>) -> Self {
        let (mut views, mut through_look_ups) = (Vec::new(), Vec::new());
        let newest = catalog
            .views
            .values()
            .filter_map(|v| v.values().next_back());
        for def in newest {
            if !Uses::of([def.as_ref()]).sources().contains_key(&source.id) {
                continue;
            }
            match own_key(def, source.id) {
                Some(key_columns) => views.push(TouchedView {
                    def: Arc::clone(def),
                    key_columns,
                    keys: BTreeSet::new(),
                    sample: BTreeMap::new(),
                }),
                None => through_look_ups.push(def.name.clone()),
            }
        }
        Touched {
            program: SourceProgram::new(Arc::clone(source)),
            views,
            through_look_ups,
            catalog: catalog.clone(),
        }
    }

    /// Takes a row of an event that is changed.
    pub(super) fn touch(&mut self, stored: &[Value], time: EventTime) {
        let mut row = self.program.columns(stored);
        row[self.program.def().event_time_slot()] = Value::Timestamp(time.0);
        for view in &mut self.views {
            let Some(bytes) = self.program.key(&row, &view.key_columns) else {
                continue;
            };
            let digest = xxh3_128(&bytes);
            if view.keys.insert(digest) {
                let key = view.key_columns.iter().map(|&slot| row[slot].clone());
                view.sample.insert(digest, key.collect());
                if view.sample.len() > KEYS_COMPARED {
                    view.sample.pop_last();
                }
            }
        }
    }

    /// The keys alone: of what is not logged.
    pub(super) fn foreseen(&self) -> Effects {
        let views = self.views.iter().map(|view| ViewEffect {
            view: view.def.name.clone(),
            keys: view.keys.len() as u64,
            compared: 0,
            features: Vec::new(),
        });
        Effects {
            views: views.collect(),
            through_look_ups: self.through_look_ups.clone(),
        }
    }

    /// Compares what reads at a time answer at two cuts.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the reads fail.
    pub(super) fn effects(
        &self,
        online: &impl Online,
        before: &Cut,
        after: &Cut,
        at: EventTime,
        progress: &mut super::Progress<'_>,
    ) -> Result<Effects, EngineError> {
        let total: u64 = self.views.iter().map(|v| v.sample.len() as u64).sum();
        let mut done = 0;
        let mut views = Vec::new();
        for view in &self.views {
            let service = feature_list_of(&self.catalog, &[format!("{}:*", view.def.name)])?;
            let plan = ReadPlan::new(service);
            let mut changed = vec![0; plan.features().len()];
            let keys: Vec<&Vec<Value>> = view.sample.values().collect();
            for keys in keys.chunks(KEYS_AT_ONCE) {
                let rows: Vec<Vec<Value>> = keys.iter().map(|key| (*key).clone()).collect();
                let read = |cut: &Cut| -> Result<Vec<Vec<Answer>>, EngineError> {
                    let knowledge = Knowledge::latest(cut.clone());
                    let read = |engine: &Engine| engine.read(&plan, &rows, at, &knowledge);
                    Ok(online.read_with(read)?.to_rows())
                };
                for (old, new) in read(before)?.iter().zip(&read(after)?) {
                    for (count, (old, new)) in changed.iter_mut().zip(old.iter().zip(new)) {
                        *count += u64::from((&old.value, old.status) != (&new.value, new.status));
                    }
                }
                done += keys.len() as u64;
                go_on(progress("comparing values", done, total))?;
            }
            let features = plan.features().iter().zip(changed);
            views.push(ViewEffect {
                view: view.def.name.clone(),
                keys: view.keys.len() as u64,
                compared: view.sample.len() as u64,
                features: features
                    .map(|(field, changed)| FeatureEffect {
                        feature: field.name.clone(),
                        changed,
                    })
                    .collect(),
            });
        }
        Ok(Effects {
            views,
            through_look_ups: self.through_look_ups.clone(),
        })
    }
}
