//! Definitions that lean on what is registered: a text of its own names what was applied
//! before, as the next cell of a notebook does.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_ddl::ast::{ObjectKind, StatementKind};
use evenkeel_ddl::{
    Diagnostic, batch_table, goes_on_as_it_was, parse_statements, pushed_table, without_texts,
};
use evenkeel_types::SourceId;
use evenkeel_types::definition::{
    Catalog, DatasetDef, DatasetSpine, ServiceDef, SourceDef, ViewDef,
};
use evenkeel_view::Uses;

use crate::api::{Change, ChangeKind};
use crate::definitions::{ChangePlan, spine_query};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::offline::Offline;
use crate::project::DefinitionFile;

/// What places in registered statements are said to be in.
const REGISTERED: &str = "what is registered";
/// What changes call a view.
const VIEW: &str = "feature view";

impl Engine {
    /// [`with_registered`] of what is registered here.
    pub fn with_registered(&self, texts: Vec<DefinitionFile>) -> Vec<DefinitionFile> {
        with_registered(self.catalog(), texts)
    }
}

impl Offline {
    /// [`with_registered`] of what is registered here.
    pub fn with_registered(&self, texts: Vec<DefinitionFile>) -> Vec<DefinitionFile> {
        with_registered(self.catalog(), texts)
    }

    /// What texts define, over what is registered as far as that still fits them.
    ///
    /// # Errors
    /// The mistakes in the texts.
    pub fn plan_apart(&self, texts: Vec<DefinitionFile>) -> Result<PlannedApart, EngineError> {
        let own = texts.len();
        let mut files = self.with_registered(texts);
        let mut left_out = Vec::new();
        loop {
            let found = match self.plan(&files) {
                Err(EngineError::Definitions(found)) => found,
                planned => {
                    return Ok(PlannedApart {
                        plan: planned?,
                        files,
                        left_out,
                    });
                }
            };
            let is_own = |(file, _): &(String, Diagnostic)| file != REGISTERED;
            let registered = files.get_mut(own).filter(|_| !found.iter().any(is_own));
            let blanked = registered.map(|file| blank_out(&mut file.text, &found));
            match blanked {
                Some(names) if !names.is_empty() => left_out.extend(names),
                _ => return Err(EngineError::Definitions(found)),
            }
        }
    }
}

/// See [`Offline::plan_apart`].
#[derive(Clone, Debug)]
pub struct PlannedApart {
    /// What applying the texts would change, but for what is left out.
    pub plan: ChangePlan,
    /// All texts that mistakes can be in.
    pub files: Vec<DefinitionFile>,
    /// What is registered and would be refused beside the texts.
    pub left_out: Vec<String>,
}

/// Takes the statements that mistakes are in out of a text, so that all others stay at their places;
/// what they define.
fn blank_out(text: &mut String, mistakes: &[(String, Diagnostic)]) -> Vec<String> {
    let mut names = Vec::new();
    for statement in parse_statements(text).0 {
        let span = statement.span;
        let is_in = |place: &Diagnostic| (span.start..=span.end).contains(&place.span.start);
        if !mistakes.iter().any(|(_, mistake)| is_in(mistake)) {
            continue;
        }
        // A statement that is empty is none.
        text.replace_range(span.start..span.end, &" ".repeat(span.end - span.start));
        names.extend(name_of(&statement.kind).map(|(_, name)| name));
    }
    names
}

/// The names of the views that texts define.
pub fn views_of(texts: &[DefinitionFile]) -> BTreeSet<String> {
    let statements = texts.iter().flat_map(|text| parse_statements(&text.text).0);
    let names = statements.filter_map(|statement| name_of(&statement.kind));
    let views = names.filter(|(kind, _)| *kind == "view");
    views.map(|(_, name)| name).collect()
}

/// The views of a plan of texts over what is registered that become new versions though no text defines
/// them: what they read changes.
pub fn carried_along(files: &[DefinitionFile], changes: &[Change]) -> Vec<String> {
    let (registered, own): (Vec<_>, Vec<_>) = files
        .iter()
        .cloned()
        .partition(|file| file.name == REGISTERED);
    let (registered, own) = (views_of(&registered), views_of(&own));
    // What a view is written out as is that view's.
    let is_own = |name: &str| {
        let of = name.strip_suffix("_rows").unwrap_or(name);
        own.contains(name) || own.contains(of)
    };
    changes
        .iter()
        .filter(|change| change.object == VIEW && change.kind == ChangeKind::NewVersion)
        .filter(|change| registered.contains(&change.name) && !is_own(&change.name))
        .map(|change| change.name.clone())
        .collect()
}

/// Derived streams that go on by what was defined before, as they are in no file any more, and those that are made of
/// them. Their texts would be other queries now.
struct LeftBehind(BTreeSet<SourceId>);

impl LeftBehind {
    fn of(catalog: &Catalog) -> Self {
        let behind = catalog.derived().filter(|s| goes_on_as_it_was(s, catalog));
        let mut left = LeftBehind(behind.map(|stream| stream.id).collect());
        loop {
            let more = catalog
                .emitting()
                .filter(|s| !left.has(s) && left.is_below(s));
            let more: Vec<SourceId> = more.map(|stream| stream.id).collect();
            if more.is_empty() {
                return left;
            }
            left.0.extend(more);
        }
    }

    fn has(&self, source: &SourceDef) -> bool {
        self.0.contains(&source.id)
    }

    /// Whether a stream is made of one.
    fn is_below(&self, stream: &SourceDef) -> bool {
        let derived = stream.derived.as_ref();
        derived.is_some_and(|d| self.has(&d.trigger().source) || self.is_read_by(&d.view))
    }

    fn is_read_by(&self, view: &ViewDef) -> bool {
        !self.0.is_empty() && {
            let read = Uses::of([view]).sources();
            read.keys().any(|source| self.0.contains(source))
        }
    }

    /// Whether a training dataset has it in its service, its rows or its labels.
    fn is_read_by_dataset(&self, catalog: &Catalog, dataset: &DatasetDef) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let versions = catalog.services.get(&dataset.service);
        let service = versions.and_then(|versions| match dataset.service_version {
            Some(version) => versions.get(&version),
            None => versions.values().next_back(),
        });
        let labels = dataset
            .labels
            .iter()
            .filter_map(|label| match label.view_version {
                Some(version) => catalog.view_version(&label.view, version),
                None => catalog.view(&label.view),
            });
        let spine = match &dataset.spine {
            DatasetSpine::Query(query) => spine_query(query, catalog).ok(),
            DatasetSpine::File { .. } => None,
        };
        service.is_some_and(|service| self.is_read_by_items(service))
            || labels.into_iter().any(|view| self.is_read_by(view))
            || spine.is_some_and(|spine| {
                self.has(&spine.source) || spine.labels.iter().any(|l| self.is_read_by(&l.view))
            })
    }

    fn is_read_by_items(&self, service: &ServiceDef) -> bool {
        service.items.iter().any(|item| self.is_read_by(&item.view))
    }
}

/// Texts together with the newest of every registered definition that they do not hold
/// themselves: these stay as they are, unless something that they use changes. What is [`LeftBehind`], and what reads
/// that, stays as it is in any case.
pub(crate) fn with_registered(
    catalog: &Catalog,
    mut texts: Vec<DefinitionFile>,
) -> Vec<DefinitionFile> {
    let mut named: BTreeSet<(&'static str, String)> = BTreeSet::new();
    for text in &texts {
        let (statements, _) = parse_statements(&text.text);
        named.extend(statements.iter().filter_map(|s| name_of(&s.kind)));
        // A batch view and a pushed view are a table, too.
        named.extend(statements.iter().filter_map(|s| match &s.kind {
            StatementKind::CreateBatchView(view) => Some(("source", batch_table(&view.name.value))),
            StatementKind::CreatePushedView(view) => {
                Some(("source", pushed_table(&view.name.value)))
            }
            _ => None,
        }));
    }
    let behind = LeftBehind::of(catalog);
    let entities = catalog.entities.values();
    let sources = catalog.sources.values().filter(|def| !behind.has(def));
    let views = catalog.views.keys().filter_map(|name| catalog.view(name));
    let views = views.filter(|def| !behind.is_read_by(def));
    // Of an older version of a service only what follows its views: another was left behind.
    let follows = |service: &&Arc<ServiceDef>| {
        service.items.iter().all(|item| {
            let newest = catalog.view(&item.view.name);
            newest.is_some_and(|newest| newest.digest == item.view.digest)
        })
    };
    let services = catalog.services.values().flat_map(|versions| {
        let newest = versions.values().next_back().into_iter();
        let older = versions.values().rev().skip(1).filter(follows);
        let services = newest.chain(older);
        services.filter(|service| !behind.is_read_by_items(service))
    });
    let services: Vec<(String, &String)> = services
        .map(|def| (versioned(&def.name, def.version), &def.sql))
        .collect();
    let datasets = catalog.datasets.values();
    let datasets = datasets.filter_map(|versions| versions.values().next_back());
    let datasets = datasets.filter(|def| !behind.is_read_by_dataset(catalog, def));
    let segments = catalog.segments.values();
    let segments = segments.filter_map(|versions| versions.values().next_back());
    let segments = segments.filter(|def| !def.inputs.iter().any(|view| behind.is_read_by(view)));
    let models = catalog.models.values();
    let models = models.filter_map(|versions| versions.values().next_back());
    let functions = catalog.functions.keys();
    // What they are made of may be more than a text has.
    let functions = functions.filter_map(|name| catalog.function(name));
    let functions: Vec<(&String, String)> = functions
        .filter_map(|def| Some((&def.spec.name, without_texts(&def.sql)?)))
        .collect();
    let registered = entities
        .map(|def| ("entity", &def.name, &def.sql))
        .chain(sources.map(|def| ("source", &def.name, &def.sql)))
        .chain(views.map(|def| ("view", &def.name, &def.sql)))
        .chain(services.iter().map(|(name, sql)| ("service", name, *sql)))
        .chain(datasets.map(|def| ("dataset", &def.name, &def.sql)))
        .chain(segments.map(|def| ("segment", &def.name, &def.sql)))
        .chain(models.map(|def| ("model", &def.name, &def.sql)))
        .chain(functions.iter().map(|(name, sql)| ("function", *name, sql)));
    let mut text = String::new();
    for (kind, name, sql) in registered {
        if !named.contains(&(kind, name.clone())) {
            text.push_str(sql.trim_end().trim_end_matches(';'));
            text.push_str(";\n\n");
        }
    }
    if !text.is_empty() {
        let name = REGISTERED.to_owned();
        texts.push(DefinitionFile { name, text });
    }
    texts
}

/// Versions of a service are objects of their own.
fn versioned(service: &str, version: u32) -> String {
    format!("{service}@{version}")
}

/// The kind and the name of what a statement defines.
fn name_of(statement: &StatementKind) -> Option<(&'static str, String)> {
    let (kind, name) = match statement {
        StatementKind::CreateEntity(s) => ("entity", &s.name),
        StatementKind::CreateSource(s) => ("source", &s.name),
        StatementKind::CreateFeatureView(s) => ("view", s.name.as_ref()?),
        StatementKind::CreateOnDemandView(s) => ("view", &s.name),
        StatementKind::CreateBatchView(s) => ("view", &s.name),
        StatementKind::CreatePushedView(s) => ("view", &s.name),
        StatementKind::CreateFeatureService(s) => {
            let version = s.version.map_or(Some(1), |v| u32::try_from(v.value).ok())?;
            return Some(("service", versioned(&s.name.value, version)));
        }
        StatementKind::CreateTrainingDataset(s) => ("dataset", &s.name),
        StatementKind::CreateSegment(s) => ("segment", &s.name),
        StatementKind::CreateModel(s) => ("model", &s.name),
        StatementKind::Drop(drop) if drop.kind == ObjectKind::Stream => ("source", &drop.name),
        StatementKind::CreateFunction(s) => ("function", &s.name),
        StatementKind::Drop(_) | StatementKind::Alter(_) | StatementKind::Planned(_) => {
            return None;
        }
    };
    Some((kind, name.value.clone()))
}
