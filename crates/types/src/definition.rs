//! Definitions as data: what `CREATE ...` statements mean once names and types are
//! resolved. The `ddl` crate makes them from SQL text; `view`, `engine` and `train` evaluate
//! them; nobody changes them.
//!
//! Row layouts, on which every column index below relies:
//! - **source row**: stored columns, computed columns, then the pseudo-columns `event_time`
//!   and `visible_at` (both TIMESTAMP). [`SourceDef::row_width`] slots.
//! - **change row** of a table: the source row after a change (of a delete the row that it ends,
//!   with the times of the delete), the source row before it (NULLs where there was none), then
//!   the operation: `insert`, `update` or `delete`. [`SourceDef::change_width`] slots.
//! - **window scope**: the key values, then the results of the view's aggregates.
//! - **row scope**: the trigger's source row (for a full join: the left source row, then the
//!   right one), then the results of the windows in order, then each look-up's columns in
//!   order: a source row for a source, the features for a view.
//! - **composed scope**: the key values, the request columns, then the features of each
//!   input view in order.

mod dataset;
mod derived;
mod function;
mod model;
mod timer;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::data_type::{DataType, Field};
use crate::event::SourceId;
use crate::expr::Expr;
use crate::frame::{AggregateCall, Frame};
use crate::schema::Schema;
use crate::time::{Interval, Zone};
use crate::value::Value;

pub use dataset::{
    DatasetDef, DatasetFormat, DatasetLabel, DatasetSpine, DatasetTransform, Impute, Shape,
    SharePart, Split, TimePart,
};
pub use derived::{DerivedDef, Watched};
pub use function::{FrozenFunction, FunctionClass, FunctionDef, FunctionHost, FunctionSpec};
pub use model::{LoadedModel, ModelDef, ModelFiles, ModelProblem, ModelSource};
pub use timer::Timer;

/// A digest of a definition and of everything it depends on: its `D`.
pub type Digest = [u8; 16];

/// What people want to know of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `COMMENT`
    pub comment: Option<String>,
    /// `OWNER`
    pub owner: Option<String>,
    /// `TAGS`
    pub tags: BTreeMap<String, String>,
}

/// `CREATE ENTITY`: what features are about.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityDef {
    /// Name.
    pub name: String,
    /// Key columns with types ([`DataType::is_key`]).
    pub keys: Vec<Field>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL.
    pub sql: String,
}

/// Whether a source is a stream or a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Things that happened.
    Stream,
    /// Versions of rows.
    Table,
}

/// A column of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceColumn {
    /// Name.
    pub name: String,
    /// Type.
    pub data_type: DataType,
    /// `NOT NULL`: a row without it is rejected.
    pub required: bool,
    /// `AS (expr)` over the source row's earlier columns; `None` for a stored column.
    pub computed: Option<Expr>,
    /// `COMMENT`
    pub comment: Option<String>,
}

/// `CHECK (expr)` of a source: a row for which it is not true is rejected; NULL passes, as
/// in SQL.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Over the source row.
    pub expr: Expr,
    /// As written, for the dead letter.
    pub sql: String,
}

/// `RETAIN gap FOR (columns)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retain {
    /// Source row indices of the key it holds for.
    pub key_columns: Vec<usize>,
    /// Microseconds.
    pub gap: i64,
}

/// A value in `WITH (...)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// A text, or a number as written.
    Text(String),
    /// `SECRET 'name'`: read from the environment when it is needed, never shown.
    Secret(String),
}

/// `CREATE STREAM` or `CREATE TABLE`.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDef {
    /// Its number, given by the registry.
    pub id: SourceId,
    /// Name.
    pub name: String,
    /// Stream or table.
    pub kind: SourceKind,
    /// Stored columns first, then computed ones.
    pub columns: Vec<SourceColumn>,
    /// How many of the columns are stored.
    pub stored: usize,
    /// Every version of the stored columns; the newest is what `columns` begins with.
    pub schema: Schema,
    /// Source row index of the event time.
    pub event_time: usize,
    /// The zone of times that come without one.
    pub zone: Zone,
    /// How far the watermark stays behind the greatest event time.
    pub lateness: Interval,
    /// `KNOWN AT`, over stored and computed columns and `event_time`.
    pub known_at: Option<Expr>,
    /// Source row indices of the event id; empty if none is declared.
    pub event_id: Vec<usize>,
    /// Source row indices of the primary key; empty for streams.
    pub primary_key: Vec<usize>,
    /// Source row indices of `SEQUENCE BY`.
    pub sequence_by: Vec<usize>,
    /// `DEDUPLICATE WITHIN`, microseconds; needs an event id.
    pub deduplicate_within: Option<i64>,
    /// How far beyond the timeline an event may be dated, microseconds.
    pub max_future: i64,
    /// `RETAIN`s.
    pub retain: Vec<Retain>,
    /// `HOT RETENTION`: how long events stay in the hot tier at least, microseconds; `None`:
    /// for ever. No value depends on it.
    pub hot_retention: Option<i64>,
    /// `WHERE`, over the source row: rows for which it is not true are left out and counted.
    pub filter: Option<Expr>,
    /// `CHECK`s.
    pub checks: Vec<Check>,
    /// `WITH (...)`.
    pub options: BTreeMap<String, OptionValue>,
    /// Of a derived stream: what its events are. Nobody else brings any.
    pub derived: Option<Arc<DerivedDef>>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL.
    pub sql: String,
    /// Its `D`: what of it can change a value.
    pub digest: Digest,
}

impl SourceDef {
    /// Slots of a source row.
    pub fn row_width(&self) -> usize {
        self.columns.len() + 2
    }

    /// Source row index of the pseudo-column `event_time`.
    pub fn event_time_slot(&self) -> usize {
        self.columns.len()
    }

    /// Source row index of the pseudo-column `visible_at`.
    pub fn visible_at_slot(&self) -> usize {
        self.columns.len() + 1
    }

    /// Slots of a change row.
    pub fn change_width(&self) -> usize {
        2 * self.row_width() + 1
    }

    /// Change row index of what a source row's slot held before the change.
    pub fn old_slot(&self, slot: usize) -> usize {
        self.row_width() + slot
    }

    /// Change row index of the operation.
    pub fn operation_slot(&self) -> usize {
        2 * self.row_width()
    }

    /// Whether a source row's slot is a time of its event.
    pub fn is_event_slot(&self, slot: usize) -> bool {
        [
            self.event_time,
            self.event_time_slot(),
            self.visible_at_slot(),
        ]
        .contains(&slot)
    }

    /// The types of a change row.
    pub fn change_types(&self) -> Vec<DataType> {
        let row = self.row_types();
        let twice = row.iter().chain(&row).cloned();
        twice.chain([DataType::String]).collect()
    }

    /// The types of a source row.
    pub fn row_types(&self) -> Vec<DataType> {
        self.columns
            .iter()
            .map(|c| c.data_type.clone())
            .chain([DataType::Timestamp, DataType::Timestamp])
            .collect()
    }

    /// The types of the stored columns: of [`crate::Event::row`].
    pub fn stored_types(&self) -> Vec<DataType> {
        self.columns[..self.stored]
            .iter()
            .map(|c| c.data_type.clone())
            .collect()
    }

    /// Whether it is a derived stream that has ended.
    pub fn has_ended(&self) -> bool {
        self.derived
            .as_ref()
            .is_some_and(|derived| derived.is_ended)
    }

    /// The stored columns as fields.
    pub fn stored_fields(&self) -> Vec<Field> {
        self.columns[..self.stored]
            .iter()
            .map(|c| Field::new(c.name.clone(), c.data_type.clone()))
            .collect()
    }

    /// Takes the schema versions of the definition before, of a source with events: with
    /// other stored columns they are a new version.
    pub fn continue_from(&mut self, before: &SourceDef) {
        let columns = self.stored_fields();
        let schema = before.schema.clone();
        self.schema = if schema.newest() == columns {
            schema
        } else {
            schema.and(columns)
        };
    }

    /// Source row index of a column or pseudo-column.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|c| c.name == name)
            .or(match name {
                "event_time" => Some(self.event_time_slot()),
                "visible_at" => Some(self.visible_at_slot()),
                _ => None,
            })
    }

    /// The `RETAIN` gap of the key made of these columns, in any order, microseconds.
    pub fn retain_gap(&self, key_columns: &[usize]) -> Option<i64> {
        self.retain
            .iter()
            .find(|r| {
                r.key_columns.len() == key_columns.len()
                    && r.key_columns.iter().all(|k| key_columns.contains(k))
            })
            .map(|r| r.gap)
    }
}

/// A feature: one column of a view.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Name.
    pub name: String,
    /// Type.
    pub data_type: DataType,
    /// `DEFAULT`: what serving may put in place of a missing value; never part of the value.
    pub default: Option<Value>,
    /// `EXPECT`, over the view's features; with its text.
    pub expect: Option<Check>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
}

/// A version of a feature view.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewDef {
    /// Name.
    pub name: String,
    /// From 1.
    pub version: u32,
    /// The entity's name; none for an on-demand view over the request alone.
    pub entity: Option<String>,
    /// The entity's key columns with types.
    pub key: Vec<Field>,
    /// The features in select order; the entity's key columns are not among them.
    pub features: Vec<Feature>,
    /// How it is evaluated.
    pub body: ViewBody,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL.
    pub sql: String,
    /// Its `D`.
    pub digest: Digest,
}

/// The kinds of view.
#[derive(Clone, Debug, PartialEq)]
pub enum ViewBody {
    /// Aggregates over windows that end at `t`, or over the rows that live at `t`.
    Window(WindowBody),
    /// One row per trigger event; at `t` the last row.
    Row(Box<RowBody>),
    /// Expressions over a request and over reads of other views of one entity at `t`.
    Composed(ComposedBody),
}

/// What an aggregate is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowRows {
    /// The events of the key that are in the window; of a table its upserts.
    Events,
    /// Of a table the rows that live at `t` and have the key: of each primary key the latest
    /// version up to `t`, unless it is a delete. The frame is all history.
    Live,
    /// Of a table its changes: versions, and the ends of rows. A change belongs to the key of the
    /// row after it, of a delete to that of the row that it ends.
    Changes,
}

/// An aggregate and its window.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowAggregate {
    /// What it is over.
    pub rows: WindowRows,
    /// The aggregate; expressions over the source row, of changes over the change row.
    pub call: AggregateCall,
    /// The window.
    pub frame: Frame,
}

/// Aggregates over one key of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceWindows {
    /// The source.
    pub source: Arc<SourceDef>,
    /// Source row indices of the key, in the order of the key values asked with.
    pub key_columns: Vec<usize>,
    /// `WHERE`, over the source row; before the windows.
    pub filter: Option<Expr>,
    /// The aggregates.
    pub aggregates: Vec<WindowAggregate>,
}

impl SourceWindows {
    /// Whether an aggregate is over such rows.
    pub fn has(&self, rows: WindowRows) -> bool {
        self.aggregates.iter().any(|a| a.rows == rows)
    }

    /// The aggregates that are over such rows.
    pub fn only(&self, rows: WindowRows) -> SourceWindows {
        let aggregates = self.aggregates.iter();
        SourceWindows {
            aggregates: aggregates.filter(|a| a.rows == rows).cloned().collect(),
            ..self.clone()
        }
    }
}

/// See [`ViewBody::Window`].
#[derive(Clone, Debug, PartialEq)]
pub struct WindowBody {
    /// The aggregates over the entity's key.
    pub windows: SourceWindows,
    /// One per feature, over the window scope.
    pub columns: Vec<Expr>,
}

impl WindowBody {
    /// Whether it is a state view: all of its aggregates are over rows that live at `t`.
    pub fn is_state(&self) -> bool {
        self.windows.has(WindowRows::Live)
    }
}

/// See [`ViewBody::Row`].
#[derive(Clone, Debug, PartialEq)]
pub struct RowBody {
    /// What brings rows.
    pub trigger: Trigger,
    /// Windows over the trigger's own source, read at the trigger's time with the key taken
    /// from the trigger's row.
    pub windows: Vec<SourceWindows>,
    /// Look-ups, in order; a later one may use an earlier one's columns.
    pub lookups: Vec<Lookup>,
    /// What of `WHERE` needs more than the trigger's columns; over the row scope. A row for
    /// which it is not true does not exist.
    pub filter: Option<Expr>,
    /// One per feature, over the row scope.
    pub columns: Vec<Expr>,
    /// A row with `time <= t - ttl` is outside its maximal age.
    pub ttl: Option<Interval>,
}

/// What brings the rows of a row view.
#[derive(Clone, Debug, PartialEq)]
pub enum Trigger {
    /// Each event of a stream; for a table (then the key is its primary key) each version,
    /// until a delete ends it.
    Source(TriggerSide),
    /// `left ASOF FULL JOIN right`: a row at every event time of either side, with the
    /// latest of each side up to it.
    Full {
        /// `a`
        left: TriggerSide,
        /// `b`
        right: TriggerSide,
    },
}

/// A source that brings rows.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerSide {
    /// The source.
    pub source: Arc<SourceDef>,
    /// Source row indices of the view's key. Of a derived stream there are none: each event
    /// brings its row, and none is looked for.
    pub key_columns: Vec<usize>,
    /// What of `WHERE` needs this side's columns only; over its source row.
    pub filter: Option<Expr>,
}

/// `ASOF JOIN`.
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    /// The right side's alias.
    pub alias: String,
    /// The right side.
    pub target: LookupTarget,
    /// The right side's key, over the row scope so far. A NULL or ERROR among them matches
    /// nothing.
    pub keys: Vec<Expr>,
    /// `>` instead of `>=`: only rows earlier than the trigger.
    pub strict: bool,
    /// The oldest row that matches.
    pub max_age: Option<MaxAge>,
    /// Over the right side's columns; before matching.
    pub filter: Option<Expr>,
}

/// An age limit of a look-up, from the trigger's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxAge {
    /// How old.
    pub age: Interval,
    /// Whether a row of exactly this age still matches (`>=` instead of `>`).
    pub inclusive: bool,
}

/// The right side of a look-up.
#[derive(Clone, Debug, PartialEq)]
pub enum LookupTarget {
    /// The latest event of a stream; the state of a table (then the key is its primary key).
    Source {
        /// The source.
        source: Arc<SourceDef>,
        /// Source row indices of the key.
        key_columns: Vec<usize>,
    },
    /// A read of a view at the trigger's time.
    View(Arc<ViewDef>),
}

impl LookupTarget {
    /// How many slots of the row scope it fills.
    pub fn width(&self) -> usize {
        match self {
            LookupTarget::Source { source, .. } => source.row_width(),
            LookupTarget::View(view) => view.features.len(),
        }
    }
}

impl RowBody {
    /// How many slots of the row scope the trigger fills.
    pub fn trigger_width(&self) -> usize {
        match &self.trigger {
            Trigger::Source(side) => side.source.row_width(),
            Trigger::Full { left, right } => left.source.row_width() + right.source.row_width(),
        }
    }
}

/// See [`ViewBody::Composed`].
#[derive(Clone, Debug, PartialEq)]
pub struct ComposedBody {
    /// Columns that come with the request, or in training with the spine.
    pub request: Vec<Field>,
    /// Views of the same entity, read at `t`.
    pub inputs: Vec<Arc<ViewDef>>,
    /// One per feature, over the composed scope.
    pub columns: Vec<Expr>,
}

/// A version of a feature service: what a model asks for, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceDef {
    /// Name.
    pub name: String,
    /// `VERSION`, 1 if absent.
    pub version: u32,
    /// The views it reads.
    pub items: Vec<ServiceItem>,
    /// What a request or a spine must bring: entity keys and request columns, each once.
    pub inputs: Vec<Field>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL.
    pub sql: String,
    /// Its `D`.
    pub digest: Digest,
}

/// One view in a service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceItem {
    /// The view.
    pub view: Arc<ViewDef>,
    /// Names of the inputs that are the view's key, in key order (`FOR`).
    pub key: Vec<String>,
    /// The features: index in the view, and name in the answer.
    pub features: Vec<(usize, String)>,
}

impl ServiceDef {
    /// The features in order: name in the answer and type.
    pub fn features(&self) -> Vec<Field> {
        self.items
            .iter()
            .flat_map(|item| {
                item.features.iter().map(|(index, name)| {
                    Field::new(name.clone(), item.view.features[*index].data_type.clone())
                })
            })
            .collect()
    }
}

/// `LABEL x FROM v WITHIN h AS name`: a feature read forward.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The view.
    pub view: Arc<ViewDef>,
    /// The feature's index in it.
    pub feature: usize,
    /// How far forward.
    pub within: Interval,
    /// The key, over the spine source's row.
    pub key: Vec<Expr>,
    /// Name in the training set.
    pub name: String,
}

/// A spine that is a query over the store: one row per event of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct SpineQuery {
    /// The source; its event time is the spine's time.
    pub source: Arc<SourceDef>,
    /// `WHERE`, over the source row.
    pub filter: Option<Expr>,
    /// Columns of the spine, over the source row.
    pub columns: Vec<(Field, Expr)>,
    /// Labels, which come last.
    pub labels: Vec<Label>,
}

/// A version of a segment: which keys of an entity, by their features.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentDef {
    /// Name; empty for a question that nobody defined.
    pub name: String,
    /// From 1.
    pub version: u32,
    /// The entity's name.
    pub entity: String,
    /// The entity's key columns with types.
    pub key: Vec<Field>,
    /// The views that it reads, of that entity and without a request.
    pub inputs: Vec<Arc<ViewDef>>,
    /// What is selected besides the key, in order.
    pub fields: Vec<Field>,
    /// One per field, over the segment's scope: the key, then the features of each input.
    pub columns: Vec<Expr>,
    /// `WHERE`, over the same.
    pub filter: Option<Expr>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL.
    pub sql: String,
    /// Its `D`.
    pub digest: Digest,
}

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
        revising.chain(timed).collect()
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
