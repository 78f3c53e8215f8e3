//! What follows of a correction for views: whose keys it touches, and which values differ.
//!
//! A row of a table that is corrected touches every key that it ever had, where a view reads which row is the latest: it
//! may live again, or no more, with the key of another version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_log::ReadOptions;
use evenkeel_types::definition::{
    Catalog, SourceDef, SourceWindows, Trigger, ViewBody, ViewDef, WindowRows,
};
use evenkeel_types::{Cut, EventTime, Knowledge, SourceId, Value};
use evenkeel_view::{SourceProgram, Uses};
use xxhash_rust::xxh3::xxh3_128;

use super::foreseen::{Asked, Foreseen};
use super::go_on;
use crate::answers::Answers;
use crate::api::Answer;
use crate::definitions::feature_list_of;
use crate::error::EngineError;
use crate::offline::{Offline, Online};
use crate::sample::begins_to_count;
use crate::serving::ReadPlan;

/// Keys of a view whose values are compared.
const KEYS_COMPARED: usize = 10_000;
/// Events between two calls of a progress.
const PROGRESS_EVENTS: u64 = 8_192;
/// Keys of one read.
const KEYS_AT_ONCE: usize = 100;

/// What follows of a correction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Views that read the source by a key of their own, in the order of their names.
    pub views: Vec<ViewEffect>,
    /// Views that read it through a look-up, or through a derived stream.
    pub through_look_ups: Vec<String>,
}

/// What follows of it for one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewEffect {
    /// The view.
    pub view: String,
    /// The keys of events that were changed; of a view that reads which row of a table is the latest, all keys that
    /// these rows ever had.
    pub keys: u64,
    /// The keys whose values were compared; 0 if it was stopped before, or there would have been too much to read.
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
    /// Whether other versions of a changed row may have other keys of it.
    follows_rows: bool,
    /// Digests of the keys.
    keys: BTreeSet<u128>,
    /// Those of the smallest digests, which are compared.
    sample: BTreeMap<u128, Compared>,
}

/// A key that is compared.
struct Compared {
    key: Vec<Value>,
    /// The last of its events that changes: it is compared where that begins to count.
    last: EventTime,
}

/// The keys that changed events belong to, by view.
pub struct Touched {
    program: SourceProgram,
    views: Vec<TouchedView>,
    through_look_ups: Vec<String>,
    catalog: Catalog,
    /// Digests of the primary keys of changed rows, if a view follows them.
    rows: Option<BTreeSet<u128>>,
    /// The time of the last of the events.
    last: Option<EventTime>,
}

/// A source, and the streams whose rows are made of it.
fn following(catalog: &Catalog, source: SourceId) -> BTreeSet<SourceId> {
    let mut follow = BTreeSet::from([source]);
    loop {
        let made_of = |stream: &Arc<SourceDef>| {
            let derived = stream.derived.as_ref()?;
            let read = Uses::of([derived.view.as_ref()]).sources();
            // What brings a row is not looked for.
            let mut made_of = read.keys().chain([&derived.trigger().source.id]);
            made_of.any(|id| follow.contains(id)).then_some(stream.id)
        };
        let more: Vec<SourceId> = catalog.derived().filter_map(made_of).collect();
        let before = follow.len();
        follow.extend(more);
        if follow.len() == before {
            return follow;
        }
    }
}

impl TouchedView {
    /// Takes a row of the source, of an event that changes at this time.
    fn touch(&mut self, program: &SourceProgram, row: &[Value], time: EventTime) {
        let Some(bytes) = program.key(row, &self.key_columns) else {
            return;
        };
        let digest = xxh3_128(&bytes);
        if self.keys.insert(digest) {
            let key = self.key_columns.iter().map(|&slot| row[slot].clone());
            let key = key.collect();
            self.sample.insert(digest, Compared { key, last: time });
            if self.sample.len() > KEYS_COMPARED {
                self.sample.pop_last();
            }
        } else if let Some(compared) = self.sample.get_mut(&digest) {
            compared.last = compared.last.max(time);
        }
    }

    /// The keys that are compared, each at each time at which it is.
    fn compared(&self) -> impl Iterator<Item = (usize, &[Value], EventTime)> {
        let keys = self.sample.values().enumerate();
        keys.flat_map(|(number, Compared { key, last })| {
            let instants = begins_to_count(&self.def, last.0).into_iter();
            instants.map(move |at| (number, key.as_slice(), EventTime(at)))
        })
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            view: &self.def,
            rows: self.compared().collect(),
        }
    }

    /// What follows of it, by how many of the compared keys have another value of each feature.
    fn effect(&self, changed: Vec<u64>) -> ViewEffect {
        let features = self.def.features.iter().zip(changed);
        let features = features.map(|(feature, changed)| FeatureEffect {
            feature: feature.name.clone(),
            changed,
        });
        ViewEffect {
            view: self.def.name.clone(),
            keys: self.keys.len() as u64,
            compared: self.sample.len() as u64,
            features: features.collect(),
        }
    }
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

/// Whether a view asks which version of a row of the source is the latest.
fn follows_rows(view: &ViewDef, source: SourceId) -> bool {
    let follows = |windows: &SourceWindows| {
        windows.source.id == source
            && (windows.has(WindowRows::Live) || windows.has(WindowRows::Changes))
    };
    match &view.body {
        ViewBody::Window(body) => follows(&body.windows),
        ViewBody::Row(body) => body.windows.iter().any(follows),
        ViewBody::Composed(body) => body.inputs.iter().any(|input| follows_rows(input, source)),
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
        let follow = following(catalog, source.id);
        for def in newest {
            let read = Uses::of([def.as_ref()]).sources();
            if !read.keys().any(|id| follow.contains(id)) {
                continue;
            }
            match own_key(def, source.id) {
                Some(key_columns) => views.push(TouchedView {
                    def: Arc::clone(def),
                    key_columns,
                    follows_rows: follows_rows(def, source.id),
                    keys: BTreeSet::new(),
                    sample: BTreeMap::new(),
                }),
                None => through_look_ups.push(def.name.clone()),
            }
        }
        let any_follows = views.iter().any(|view| view.follows_rows);
        Touched {
            program: SourceProgram::new(Arc::clone(source)),
            rows: any_follows.then(BTreeSet::new),
            views,
            through_look_ups,
            catalog: catalog.clone(),
            last: None,
        }
    }

    /// Takes a row of an event that is changed.
    pub(super) fn touch(&mut self, stored: &[Value], time: EventTime) {
        self.last = self.last.max(Some(time));
        let mut row = self.program.columns(stored);
        row[self.program.def().event_time_slot()] = Value::Timestamp(time.0);
        for view in &mut self.views {
            view.touch(&self.program, &row, time);
        }
        if let Some(rows) = &mut self.rows {
            let primary = self.program.key(&row, &self.program.def().primary_key);
            rows.extend(primary.map(|bytes| xxh3_128(&bytes)));
        }
    }

    /// Takes the other versions of the rows that are changed.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the events cannot be read.
    pub(super) fn touch_versions(
        &mut self,
        offline: &Offline,
        cut: &Cut,
        progress: &mut super::Progress<'_>,
    ) -> Result<(), EngineError> {
        let rows = self.rows.as_ref().filter(|rows| !rows.is_empty());
        let Some((rows, last)) = rows.zip(self.last) else {
            return Ok(());
        };
        let def = Arc::clone(self.program.def());
        let options = ReadOptions {
            sources: Some(vec![def.id]),
            until: Some(cut.clone()),
            ..ReadOptions::default()
        };
        let ends = cut.iter().filter(|(id, ..)| *id == def.id);
        let total = ends.map(|(.., end)| end.0).sum();
        for (number, logged) in (0u64..).zip(offline.log().read(options)) {
            if number.is_multiple_of(PROGRESS_EVENTS) {
                go_on(progress("looking for versions", number, total))?;
            }
            let mut logged = logged.map_err(EngineError::log)?;
            let upgraded = def.schema.upgrade(&mut logged);
            upgraded.map_err(|reason| EngineError::schema(&def, reason))?;
            let row = self.program.row(&logged);
            let primary = self.program.key(&row, &def.primary_key);
            if primary.is_some_and(|bytes| rows.contains(&xxh3_128(&bytes))) {
                // Which of the versions is the latest, and what was before it, may be others from there on.
                let time = last.max(logged.event.event_time);
                for view in self.views.iter_mut().filter(|view| view.follows_rows) {
                    view.touch(&self.program, &row, time);
                }
            }
        }
        Ok(())
    }

    /// The keys alone.
    pub(super) fn keys_alone(&self) -> Effects {
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

    /// Compares what views say of what is logged with what they would say once a difference was, too.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the events cannot be read.
    pub(super) fn foreseen(
        &self,
        offline: &Offline,
        difference: Foreseen<'_>,
        events_max: usize,
        progress: &mut super::Progress<'_>,
    ) -> Result<Effects, EngineError> {
        let asked: Vec<Asked<'_>> = self.views.iter().map(TouchedView::asked).collect();
        let Some(changed) = difference.changed(offline, &asked, events_max, progress)? else {
            return Ok(self.keys_alone());
        };
        let views = self.views.iter().zip(changed);
        Ok(Effects {
            views: views.map(|(view, changed)| view.effect(changed)).collect(),
            through_look_ups: self.through_look_ups.clone(),
        })
    }

    /// Compares what reads answer at two cuts.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the reads fail.
    pub(super) fn effects(
        &self,
        online: &impl Online,
        before: &Cut,
        after: &Cut,
        progress: &mut super::Progress<'_>,
    ) -> Result<Effects, EngineError> {
        let total: u64 = self.views.iter().map(|v| v.sample.len() as u64).sum();
        let (mut done, mut before_view) = (0, 0);
        let mut views = Vec::new();
        for view in &self.views {
            let service = feature_list_of(&self.catalog, &[format!("{}:*", view.def.name)])?;
            let plan = ReadPlan::new(service);
            let mut changed = vec![BTreeSet::new(); plan.features().len()];
            let rows: Vec<(usize, &[Value], EventTime)> = view.compared().collect();
            for rows in rows.chunks(KEYS_AT_ONCE) {
                let read = |cut: &Cut| -> Result<Vec<Vec<Answer>>, EngineError> {
                    let knowledge = Knowledge::latest(cut.clone());
                    let of_row = |(_, key, at): &(usize, &[Value], EventTime)| {
                        let key = [key.to_vec()];
                        online.read_with(|engine| engine.read(&plan, &key, *at, &knowledge))
                    };
                    let answers: Vec<Answers> =
                        rows.iter().map(of_row).collect::<Result<_, _>>()?;
                    Ok(answers.iter().flat_map(Answers::to_rows).collect())
                };
                let (old, new) = (read(before)?, read(after)?);
                for ((number, ..), (old, new)) in rows.iter().zip(old.iter().zip(&new)) {
                    for (keys, (old, new)) in changed.iter_mut().zip(old.iter().zip(new)) {
                        if (&old.value, old.status) != (&new.value, new.status) {
                            keys.insert(*number);
                        }
                    }
                    done = done.max(before_view + *number as u64 + 1);
                }
                go_on(progress("comparing values", done, total))?;
            }
            before_view += view.sample.len() as u64;
            let changed = changed.iter().map(|keys| keys.len() as u64).collect();
            views.push(view.effect(changed));
        }
        Ok(Effects {
            views,
            through_look_ups: self.through_look_ups.clone(),
        })
    }
}
