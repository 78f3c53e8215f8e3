//! The binder: from the syntax tree to definitions.
//!
//! Owns names, kinds of view, the rules of each clause, and the order in which the objects
//! of a project are bound. Does not own what types expressions have (the `expr` crate) or
//! which aggregates there are (the `aggregate` crate). Every error is at its exact place and
//! says what to write instead; one mistake is told once.
//!
//! Invariant: what is bound can be evaluated. Whatever a view needs (its sources, the views
//! it reads) is inside it, at the version that it was bound to.

mod aggregate;
mod alter;
mod base;
mod batch;
mod call;
mod callable;
mod calls;
mod change;
mod composed;
mod cost;
mod dataset;
mod derived;
mod describe;
mod digest;
mod emitted;
mod ended;
mod entity;
mod events;
mod evolve;
mod expression;
mod features;
mod frame;
mod from_file;
mod full_join;
mod function;
mod inputs;
mod lookup;
mod match_condition;
mod model;
mod options;
mod order;
mod project;
mod pushed;
mod relation;
mod report;
mod requery;
mod rows;
mod scope;
mod segment;
mod select;
mod service;
mod source;
mod spine;
mod state;
mod timer;
mod view;
mod window;

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_types::SourceId;
use evenkeel_types::definition::{
    Catalog, Definition, Digest, SegmentDef, ServiceDef, SpineQuery, ViewDef,
};

use crate::ast::{self, ObjectKind, PlannedKind, SourceBody, Statement, StatementKind};
use crate::error::Diagnostic;
use callable::Callables;
use order::{Reference, Space, references};
use report::Report;

pub use batch::{BATCH_CONNECTOR, batch_table};
pub use cost::{
    COLUMN_PARTS_MAX, FEATURES_MAX, LOOKUPS_MAX, VIEW_DEPTH_MAX, VIEW_READS_MAX, WINDOWS_MAX,
};
pub use dataset::{DATASET_NAME_MAX, dataset_name_problem};
pub use describe::{ViewDescription, describe};
pub use frame::FRAME_ROWS_MAX;
pub use from_file::{FileColumns, FileSource, FromFile, ReadColumns};
pub use function::{declared_function, without_texts};
pub use options::PARTITIONS_MAX;
pub use project::{Change, InFile, Project, ProjectObject, bind_project};
pub use pushed::{PUSHED_AT, PUSHED_OPERATION, pushed_table};
pub use requery::goes_on_as_it_was;
pub use source::MAX_FUTURE_DEFAULT;

/// A definition with what it makes think twice.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The definition.
    pub definition: Definition,
    /// It works, but perhaps not as meant.
    pub warnings: Vec<Diagnostic>,
}

/// Binds one statement. Names are looked for in `catalog`; `existing` is what was defined
/// before: a source keeps its number there, or else gets the next one; a view keeps its
/// version if its digest is the same, or else gets the next one; `view@n` may name a version
/// that only `existing` has. Both may be one catalog.
///
/// # Errors
/// All that is wrong with the statement, in the order of the text.
pub fn bind(
    statement: &Statement,
    catalog: &Catalog,
    existing: &Catalog,
) -> Result<Bound, Vec<Diagnostic>> {
    let broken = Broken::default();
    let binder = Binder {
        catalog,
        existing,
        broken: &broken,
    };
    let mut report = binder.report();
    let definition = binder.statement(statement, &mut report);
    let has_errors = report.has_errors();
    let (errors, warnings) = report.into_parts();
    match definition {
        Some(definition) if !has_errors => Ok(Bound {
            definition,
            warnings,
        }),
        _ => Err(errors),
    }
}

/// Binds a query that a training set is made from.
///
/// # Errors
/// All that is wrong with it, in the order of the text.
pub fn bind_spine_query(
    query: &ast::SpineQuery,
    catalog: &Catalog,
) -> Result<SpineQuery, Vec<Diagnostic>> {
    let broken = Broken::default();
    let binder = Binder {
        catalog,
        existing: catalog,
        broken: &broken,
    };
    let mut report = binder.report();
    let bound = binder.spine(query, &mut report);
    let has_errors = report.has_errors();
    match bound {
        Some(bound) if !has_errors => Ok(bound),
        _ => Err(report.into_parts().0),
    }
}

/// A segment that nobody defined, from a query.
///
/// # Errors
/// All that is wrong with it, in the order of the text.
pub fn bind_segment_query(
    query: &ast::Query,
    catalog: &Catalog,
) -> Result<SegmentDef, Vec<Diagnostic>> {
    let broken = Broken::default();
    let binder = Binder {
        catalog,
        existing: catalog,
        broken: &broken,
    };
    let mut report = binder.report();
    let bound = binder.segment_query(query, &mut report);
    let has_errors = report.has_errors();
    match bound {
        Some(mut bound) if !has_errors => {
            bound.sql = query.to_string();
            let inputs = bound.inputs.iter();
            let dependencies = inputs.map(|view| (view.name.clone(), view.digest));
            bound.digest = digest::digest_text(&bound.sql, &dependencies.collect::<Vec<_>>());
            Ok(bound)
        }
        _ => Err(report.into_parts().0),
    }
}

/// A service without a name from a list of features: `view:feature`, `view:*` or
/// `view@2:feature`. Names of the answer are the features'; where two views have one name,
/// `view_feature`. Neighbours of one view are one item.
///
/// # Errors
/// All that is wrong, each with the index of the item whose text it points into.
pub fn bind_feature_list(
    items: &[&str],
    catalog: &Catalog,
) -> Result<ServiceDef, Vec<(usize, Diagnostic)>> {
    let broken = Broken::default();
    let binder = Binder {
        catalog,
        existing: catalog,
        broken: &broken,
    };
    let mut service = binder.feature_list(items)?;
    let dependencies: Vec<(String, Digest)> = service
        .items
        .iter()
        .map(|item| (item.view.name.clone(), item.view.digest))
        .collect();
    service.digest = digest::digest_text(&service.sql, &dependencies);
    Ok(service)
}

/// Objects that have errors: who uses them is not told so again.
#[derive(Clone, Debug, Default)]
struct Broken {
    names: BTreeSet<(Space, String)>,
}

/// Binds statements against what is defined so far.
struct Binder<'a> {
    /// Where names are looked for.
    catalog: &'a Catalog,
    /// Numbers and versions given before.
    existing: &'a Catalog,
    broken: &'a Broken,
}

impl Binder<'_> {
    /// A report of one statement, with what that may call.
    fn report(&self) -> Report {
        Report::of(Callables::of(self.catalog, self.broken))
    }

    /// Binds a statement; the answer may be there although there are errors, for those who
    /// use it.
    fn statement(&self, statement: &Statement, report: &mut Report) -> Option<Definition> {
        let sql = statement.to_string();
        let sql = sql.trim_end_matches(';').to_owned();
        match &statement.kind {
            StatementKind::CreateEntity(create) => Some(Definition::Entity(Arc::new(
                entity::bind_entity(create, sql, report),
            ))),
            StatementKind::CreateSource(create) => {
                let id = self.source_id(&create.name.value);
                if let SourceBody::Query { query, on_late } = &create.body {
                    let written = derived::Written {
                        create,
                        query,
                        on_late: *on_late,
                        sql,
                        digest: digest::digest(statement, &self.dependencies(statement)),
                    };
                    let source = self.derived_stream(written, id, report)?;
                    return Some(Definition::Source(Arc::new(source)));
                }
                // Rows are recorded without what views call.
                report.refuse_calls("the definition of a source");
                let mut source = source::bind_source(create, id, sql, report)?;
                source.digest = digest::digest(statement, &[]);
                Some(Definition::Source(Arc::new(source)))
            }
            StatementKind::CreateFeatureView(view) => {
                let def = self.feature_view(view, sql, report)?;
                Some(self.versioned(statement, def))
            }
            StatementKind::CreateOnDemandView(view) => {
                let def = self.on_demand_view(view, sql, report)?;
                Some(self.versioned(statement, def))
            }
            StatementKind::CreateFeatureService(create) => {
                let mut service = self.service(create, sql, report)?;
                service.digest = digest::digest(statement, &self.dependencies(statement));
                self.warn_of_changed_service(create, &service, report);
                Some(Definition::Service(Arc::new(service)))
            }
            StatementKind::CreateTrainingDataset(create) => {
                let mut dataset = self.training_dataset(create, sql, report)?;
                dataset.digest = digest::digest(statement, &[]);
                self.refuse_changed_dataset(create, &dataset, report);
                Some(Definition::Dataset(Arc::new(dataset)))
            }
            StatementKind::CreateSegment(create) => {
                let mut segment = self.segment(create, sql, report)?;
                segment.digest = digest::digest(statement, &self.dependencies(statement));
                segment.version = match self.existing.segment(&segment.name) {
                    Some(newest) if newest.digest == segment.digest => newest.version,
                    Some(newest) => newest.version + 1,
                    None => 1,
                };
                Some(Definition::Segment(Arc::new(segment)))
            }
            StatementKind::CreateModel(create) => {
                Some(Definition::Model(Arc::new(self.model(create, report)?)))
            }
            StatementKind::Drop(drop) if drop.kind == ObjectKind::Stream => {
                self.ended_stream(drop, (sql, statement.span), report)
            }
            StatementKind::CreateFunction(create) => {
                let digest = digest::digest(statement, &[]);
                let function = self.python_function(create, sql, digest, report)?;
                Some(Definition::Function(Arc::new(function)))
            }
            StatementKind::Drop(drop) => report.hinted(
                format!("`DROP` is no definition: a project has what its files say, and `{}` is in none", drop.name),
                statement.span,
                "delete its `CREATE` statement and run `evenkeel plan`",
            ),
            StatementKind::Alter(alter) => report.hinted(
                "`ALTER` changes the `CREATE` statement of a project, and here is none",
                statement.span,
                format!("change the `CREATE` statement of `{}`", alter.name),
            ),
            StatementKind::CreateBatchView(view) => report.hinted(
                "a batch view is written out by a project, and here is none",
                statement.span,
                format!("write the table and the view that `{}` is", view.name),
            ),
            StatementKind::CreatePushedView(view) => report.hinted(
                "a pushed view is written out by a project, and here is none",
                statement.span,
                format!("write the table and the view that `{}` is", view.name),
            ),
            StatementKind::Planned(planned) => {
                let (what, reason) = planned_words(planned.kind);
                report.hinted(
                    format!("{what} is planned: it does not exist yet"),
                    planned.keywords,
                    reason,
                )
            }
        }
    }

    /// The number that a source has or gets.
    fn source_id(&self, name: &str) -> SourceId {
        let known = self
            .existing
            .sources
            .get(name)
            .or_else(|| self.catalog.sources.get(name));
        if let Some(source) = known {
            return source.id;
        }
        let next = self
            .existing
            .sources
            .values()
            .chain(self.catalog.sources.values())
            .map(|s| s.id.0 + 1)
            .max()
            .unwrap_or(0);
        SourceId(next)
    }

    /// The view with its digest and version.
    fn versioned(&self, statement: &Statement, mut view: ViewDef) -> Definition {
        view.digest = digest::digest(statement, &self.dependencies(statement));
        view.version = match self.existing.view(&view.name) {
            Some(newest) if newest.digest == view.digest => newest.version,
            Some(newest) => newest.version + 1,
            None => 1,
        };
        Definition::View(Arc::new(view))
    }

    /// The digests of what a statement names, in the order of the text.
    fn dependencies(&self, statement: &Statement) -> Vec<(String, Digest)> {
        references(statement)
            .into_iter()
            .filter_map(|reference| {
                Some((reference.name.value.clone(), self.digest_of(&reference)?))
            })
            .collect()
    }

    fn digest_of(&self, reference: &Reference<'_>) -> Option<Digest> {
        let name = &reference.name.value;
        if reference.space == Space::Entity {
            return self
                .catalog
                .entities
                .get(name)
                .map(|e| digest::entity_digest(e));
        }
        if reference.space == Space::Model {
            let versions = self.catalog.models.get(name)?;
            return versions.values().next_back().map(|model| model.digest);
        }
        if reference.space == Space::Function {
            return self.catalog.function(name).map(|f| f.spec.digest);
        }
        if let Some(source) = self.catalog.sources.get(name) {
            return Some(source.digest);
        }
        let version = reference.version.and_then(|v| u32::try_from(v).ok());
        self.find_view(name, version).map(|v| v.digest)
    }

    /// A view, at its newest version unless one is named.
    fn find_view(&self, name: &str, version: Option<u32>) -> Option<&Arc<ViewDef>> {
        match version {
            None => self.catalog.view(name),
            Some(version) => self
                .catalog
                .view_version(name, version)
                .or_else(|| self.existing.view_version(name, version)),
        }
    }

    /// Whether there is a view of the name, at any version.
    fn has_view(&self, name: &str) -> bool {
        self.catalog.view(name).is_some() || self.existing.view(name).is_some()
    }

    fn is_broken(&self, name: &str) -> bool {
        self.broken
            .names
            .contains(&(Space::Relation, name.to_owned()))
    }

    fn is_broken_entity(&self, name: &str) -> bool {
        self.broken
            .names
            .contains(&(Space::Entity, name.to_owned()))
    }

    fn is_broken_service(&self, name: &str) -> bool {
        self.broken
            .names
            .contains(&(Space::Service, name.to_owned()))
    }

    /// A model asks for a version of a service: what that answers should not change.
    fn warn_of_changed_service(
        &self,
        create: &ast::CreateFeatureService,
        service: &ServiceDef,
        report: &mut Report,
    ) {
        let versions = self.existing.services.get(&service.name);
        let Some(versions) = versions else { return };
        let Some(known) = versions.get(&service.version) else {
            return;
        };
        if known.digest == service.digest {
            return;
        }
        let next = versions.keys().next_back().map_or(1, |v| v + 1);
        report.push::<()>(
            Diagnostic::warning(
                format!(
                    "version {} of the service `{}` changes what it answers",
                    service.version, service.name
                ),
                create.name.span,
            )
            .with_hint(format!("write `VERSION {next}` to keep both")),
        );
    }
}

/// What a statement is called, and why it does not exist yet.
fn planned_words(kind: PlannedKind) -> (&'static str, &'static str) {
    match kind {
        PlannedKind::Secret => (
            "`CREATE SECRET`",
            "name it where it is used, `SECRET 'name'`: it is read from the environment",
        ),
    }
}
