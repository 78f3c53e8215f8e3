//! Everything that is defined, by name, and one object of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    DatasetDef, DerivedDef, EntityDef, FunctionDef, FunctionHost, ModelDef, ModelFiles, SegmentDef,
    ServiceDef, SourceDef, SourceKind, ViewDef,
};
use crate::event::SourceId;

/// Everything that is defined, by name. Views, services, datasets, segments and functions keep
/// their versions.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Entities.
    pub entities: BTreeMap<String, Arc<EntityDef>>,
    /// Streams and tables.
    pub sources: BTreeMap<String, Arc<SourceDef>>,
    /// Views by name and version.
    pub views: BTreeMap<String, BTreeMap<u32, Arc<ViewDef>>>,
    /// Services by name and version.
    pub services: BTreeMap<String, BTreeMap<u32, Arc<ServiceDef>>>,
    /// Training datasets by name and version.
    pub datasets: BTreeMap<String, BTreeMap<u32, Arc<DatasetDef>>>,
    /// Segments by name and version.
    pub segments: BTreeMap<String, BTreeMap<u32, Arc<SegmentDef>>>,
    /// Models by name and version.
    pub models: BTreeMap<String, BTreeMap<u32, Arc<ModelDef>>>,
    /// What reads the files of models; none where there are none to read.
    pub model_files: Option<Arc<dyn ModelFiles>>,
    /// Functions of other languages by name and version.
    pub functions: BTreeMap<String, BTreeMap<u32, Arc<FunctionDef>>>,
    /// What makes those run; none where nothing does.
    pub host: Option<Arc<dyn FunctionHost>>,
}

impl Catalog {
    /// Everything that is evaluated: all versions of views, and what derived streams emit.
    pub fn evaluated(&self) -> Vec<&Arc<ViewDef>> {
        let views = self.views.values().flat_map(|versions| versions.values());
        let derived = self.emitting().filter_map(|source| source.derived.as_ref());
        views.chain(derived.map(|derived| &derived.view)).collect()
    }

    /// What is watched for late inputs: sources, and the columns by which their events are found.
    pub fn watched(&self) -> Vec<(&Arc<SourceDef>, Vec<usize>)> {
        let derived = self.emitting().filter_map(|source| source.derived.as_ref());
        let derived: Vec<&Arc<DerivedDef>> = derived.collect();
        let revising = derived.iter().copied().filter(|derived| derived.revises);
        let revising = revising.flat_map(|derived| {
            let watched = derived.watched().unwrap_or_default().into_iter();
            watched.map(|watched| (&derived.trigger().source, watched.trigger_key))
        });
        // What is due, and when, is found by time alone.
        let timed = derived.iter().copied();
        let timed = timed.filter(|derived| derived.timer.is_some());
        let timed = timed.flat_map(|derived| {
            let clocks = self.clocks(derived).into_iter();
            let clocks = clocks.filter_map(|id| self.source_by_id(id));
            let found = clocks.chain([&derived.trigger().source]);
            found.map(|source| (source, Vec::new()))
        });
        // Results that waited for a stream until it ended ask when its rows were due.
        let ended = self.derived().filter(|source| source.has_ended());
        let ended = ended.filter_map(|source| source.derived.as_ref());
        let ended = ended.flat_map(|derived| {
            let clocks = self.clocks(derived).into_iter();
            let clocks = clocks.filter_map(|id| self.source_by_id(id));
            clocks.map(|source| (source, Vec::new()))
        });
        revising.chain(timed).chain(ended).collect()
    }

    /// The derived streams, by name.
    pub fn derived(&self) -> impl Iterator<Item = &Arc<SourceDef>> {
        let sources = self.sources.values();
        sources.filter(|source| source.derived.is_some())
    }

    /// Those of them that have not ended.
    pub fn emitting(&self) -> impl Iterator<Item = &Arc<SourceDef>> {
        self.derived().filter(|source| !source.has_ended())
    }

    /// The newest version of a view.
    pub fn view(&self, name: &str) -> Option<&Arc<ViewDef>> {
        self.views.get(name)?.values().next_back()
    }

    /// One version of a view.
    pub fn view_version(&self, name: &str, version: u32) -> Option<&Arc<ViewDef>> {
        self.views.get(name)?.get(&version)
    }

    /// The newest version of a service.
    pub fn service(&self, name: &str) -> Option<&Arc<ServiceDef>> {
        self.services.get(name)?.values().next_back()
    }

    /// The newest version of a segment.
    pub fn segment(&self, name: &str) -> Option<&Arc<SegmentDef>> {
        self.segments.get(name)?.values().next_back()
    }

    /// The newest version of a function.
    pub fn function(&self, name: &str) -> Option<&Arc<FunctionDef>> {
        self.functions.get(name)?.values().next_back()
    }

    /// A source by its number.
    pub fn source_by_id(&self, id: SourceId) -> Option<&Arc<SourceDef>> {
        self.sources.values().find(|s| s.id == id)
    }

    /// Adds everything of another catalog, in place of what has the same name and version.
    pub fn add_all(&mut self, other: &Catalog) {
        let entities = other.entities.values().cloned().map(Definition::Entity);
        let sources = other.sources.values().cloned().map(Definition::Source);
        let views = other.views.values().flat_map(|versions| versions.values());
        let views = views.cloned().map(Definition::View);
        let models = other.models.values().flat_map(|versions| versions.values());
        let models = models.cloned().map(Definition::Model);
        let functions = other.functions.values().flat_map(BTreeMap::values);
        let functions = functions.cloned().map(Definition::Function);
        for definition in entities
            .chain(sources)
            .chain(views)
            .chain(models)
            .chain(functions)
        {
            self.add(definition);
        }
    }

    /// Adds or replaces an object.
    pub fn add(&mut self, definition: Definition) {
        match definition {
            Definition::Entity(def) => {
                self.entities.insert(def.name.clone(), def);
            }
            Definition::Source(def) => {
                self.sources.insert(def.name.clone(), def);
            }
            Definition::View(def) => {
                self.views
                    .entry(def.name.clone())
                    .or_default()
                    .insert(def.version, def);
            }
            Definition::Service(def) => {
                self.services
                    .entry(def.name.clone())
                    .or_default()
                    .insert(def.version, def);
            }
            Definition::Dataset(def) => {
                self.datasets
                    .entry(def.name.clone())
                    .or_default()
                    .insert(def.version, def);
            }
            Definition::Model(def) => {
                self.models
                    .entry(def.name.clone())
                    .or_default()
                    .insert(def.version, def);
            }
            Definition::Function(def) => {
                self.functions
                    .entry(def.spec.name.clone())
                    .or_default()
                    .insert(def.version, def);
            }
            Definition::Segment(def) => {
                self.segments
                    .entry(def.name.clone())
                    .or_default()
                    .insert(def.version, def);
            }
        }
    }
}

/// One defined object.
#[derive(Clone, Debug, PartialEq)]
pub enum Definition {
    /// `CREATE ENTITY`
    Entity(Arc<EntityDef>),
    /// `CREATE STREAM`, `CREATE TABLE`
    Source(Arc<SourceDef>),
    /// `CREATE [ON DEMAND] FEATURE VIEW`
    View(Arc<ViewDef>),
    /// `CREATE FEATURE SERVICE`
    Service(Arc<ServiceDef>),
    /// `CREATE TRAINING DATASET`
    Dataset(Arc<DatasetDef>),
    /// `CREATE SEGMENT`
    Segment(Arc<SegmentDef>),
    /// `CREATE MODEL`
    Model(Arc<ModelDef>),
    /// `CREATE FUNCTION`
    Function(Arc<FunctionDef>),
}

impl Definition {
    /// The object's name.
    pub fn name(&self) -> &str {
        match self {
            Definition::Entity(def) => &def.name,
            Definition::Source(def) => &def.name,
            Definition::View(def) => &def.name,
            Definition::Service(def) => &def.name,
            Definition::Dataset(def) => &def.name,
            Definition::Segment(def) => &def.name,
            Definition::Model(def) => &def.name,
            Definition::Function(def) => &def.spec.name,
        }
    }

    /// What it is, in words: `entity`, `stream`, `feature view`.
    pub fn kind(&self) -> &'static str {
        match self {
            Definition::Entity(_) => "entity",
            Definition::Source(def) if def.kind == SourceKind::Table => "table",
            Definition::Source(_) => "stream",
            Definition::View(_) => "feature view",
            Definition::Service(_) => "feature service",
            Definition::Dataset(_) => "training dataset",
            Definition::Segment(_) => "segment",
            Definition::Model(_) => "model",
            Definition::Function(_) => "function",
        }
    }

    /// Its canonical SQL.
    pub fn sql(&self) -> &str {
        match self {
            Definition::Entity(def) => &def.sql,
            Definition::Source(def) => &def.sql,
            Definition::View(def) => &def.sql,
            Definition::Service(def) => &def.sql,
            Definition::Dataset(def) => &def.sql,
            Definition::Segment(def) => &def.sql,
            Definition::Model(def) => &def.sql,
            Definition::Function(def) => &def.sql,
        }
    }
}
