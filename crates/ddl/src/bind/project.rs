//! A project: all statements of all files, bound in the order in which they use one another.
//!
//! Rules: a project is the whole of what is defined; the registry is only asked for numbers,
//! versions, and older versions that `view@n` names. What uses an object with errors is not
//! checked further, unless the errors leave its columns, times and keys understood.

mod written_out;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_types::SourceId;
use evenkeel_types::definition::{Catalog, Definition, DerivedDef};

use self::written_out::{write_out_emitted_views, write_out_recorded_views};
use super::alter::{self, AlteredPlaces};
use super::evolve::{Evolution, Refusal};
use super::from_file::{self, FromFile, ReadColumns};
use super::order::{self, Space, defined, references};
use super::report::Report;
use super::{Binder, Broken, ended, function};
use crate::ast::{Span, Statement, StatementKind};
use crate::error::{Diagnostic, line_and_column};
use crate::parser::parse_statements;

/// A bound project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Everything that the files define, with the older versions of their views and services
    /// that existed before. Only to be applied where there are no errors.
    pub catalog: Catalog,
    /// The objects, each after those that it uses, otherwise in the order of the files.
    pub objects: Vec<ProjectObject>,
    /// What was defined before and is in no file, by kind in words and name.
    pub removed: Vec<(&'static str, String)>,
    /// The sources that were defined from the columns of a file.
    pub from_files: Vec<FromFile>,
    /// What is wrong, in the order of files and places.
    pub errors: Vec<InFile>,
    /// What works, but perhaps not as meant, in the same order.
    pub warnings: Vec<InFile>,
}

/// An object of a project with its place.
#[derive(Clone, Debug)]
pub struct ProjectObject {
    /// The index of its file.
    pub file: usize,
    /// The index of its statement in the file.
    pub statement: usize,
    /// The statement's place in the file.
    pub span: Span,
    /// What it defines.
    pub definition: Definition,
    /// How it differs from what was defined before.
    pub change: Change,
}

/// How an object differs from what was defined before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// There was none of its name (of a service: of its version).
    New,
    /// It can give other values: its digest, or for an entity its keys, differ.
    Changed,
    /// Its text differs, but no value can: comments, owners, defaults, where rows come from.
    Described,
    /// Nothing.
    Unchanged,
}

/// A diagnostic with the index of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct InFile {
    /// The index of the file.
    pub file: usize,
    /// What is wrong; its `file` is set.
    pub diagnostic: Diagnostic,
}

/// A statement of a project.
pub(super) struct Node {
    pub(super) file: usize,
    statement: usize,
    pub(super) parsed: Statement,
    /// Where the statement is that it was written out of.
    written_from: Option<Span>,
}

/// Binds the files of a project, each a name and a text. `existing` is what was defined
/// before: empty where there is no store; `has_events` says which of its sources have some,
/// so that not everything about them can change. `read` is asked for the columns of every
/// `FROM FILE`.
pub fn bind_project(
    files: &[(&str, &str)],
    existing: &Catalog,
    has_events: &dyn Fn(SourceId) -> bool,
    read: &mut ReadColumns<'_>,
) -> Project {
    let mut found = Found {
        files,
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    let mut nodes = Vec::new();
    let mut unread: Vec<(Space, String)> = Vec::new();
    for (file, (_, text)) in files.iter().enumerate() {
        let (statements, errors) = parse_statements(text);
        if !errors.is_empty() {
            unread.extend(order::announced(text));
        }
        for error in errors {
            found.add(file, error);
        }
        nodes.extend(
            statements
                .into_iter()
                .enumerate()
                .map(|(statement, parsed)| Node {
                    file,
                    statement,
                    parsed,
                    written_from: None,
                }),
        );
    }
    let nodes = without_unknown_ends(nodes, existing, &mut found);
    let nodes = write_out_recorded_views(nodes, existing, read, &mut found, &mut unread);
    let (nodes, unfrozen) = freeze_functions(nodes, existing, &mut found);
    let mut nodes = write_out_emitted_views(nodes, existing, &mut found, &mut unread);
    let altered = alter::alter(&mut nodes, &unread);
    for (file, report) in altered.reports {
        found.take(file, report);
    }
    let mut is_broken = vec![false; nodes.len()];
    for index in altered.broken {
        is_broken[index] = true;
    }
    let mut from_files = Vec::new();
    for (node, is_broken) in nodes.iter_mut().zip(&mut is_broken) {
        let mut report = Report::default();
        match from_file::write_out(&mut node.parsed, existing, read, &mut report) {
            Some(written) => from_files.extend(written),
            None => *is_broken = true,
        }
        node.take(report, &mut found);
    }
    for (node, is_broken) in nodes.iter().zip(&mut is_broken) {
        *is_broken |= unfrozen.contains(&(node.file, node.statement));
    }
    let (by_name, repeated) = names(&nodes, &mut found);
    let uses = uses(&nodes, &by_name, existing);
    let order = order::sort(&uses);
    for cycle in &order.cycles {
        refuse_cycle(cycle, &nodes, &mut found);
        for node in &cycle.nodes {
            is_broken[*node] = true;
        }
    }

    let mut project = Project {
        catalog: Catalog::default(),
        objects: Vec::new(),
        removed: Vec::new(),
        from_files,
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    // What was not understood is not there for another reason than a missing definition.
    let mut broken = Broken {
        names: unread
            .into_iter()
            .filter(|(space, name)| !by_name.contains_key(&(*space, name.as_str())))
            .collect(),
    };
    for index in order.sorted {
        let node = &nodes[index];
        let name = defined(&node.parsed);
        // A service says of each item what is wrong with it; a view without what it reads
        // says nothing.
        let is_service = matches!(name, Some((Space::Service, _)));
        let uses_broken = uses[index].iter().any(|(used, _)| is_broken[*used])
            || references(&node.parsed)
                .iter()
                .any(|r| broken.names.contains(&(r.space, r.name.value.clone())));
        let is_first = !repeated.contains(&index);
        is_broken[index] |= uses_broken;
        if !is_broken[index] || (is_service && uses_broken) {
            let binder = Binder {
                catalog: &project.catalog,
                existing,
                broken: &broken,
            };
            let mut report = binder.report();
            let mut definition = binder.statement(&node.parsed, &mut report);
            let has_errors = report.has_errors();
            if let Some(Definition::Source(new)) = &mut definition
                && let Some(old) = existing.sources.get(&new.name)
                && let StatementKind::CreateSource(create) = &node.parsed.kind
            {
                let evolution = Evolution {
                    create,
                    old,
                    new,
                    existing,
                };
                let emits = |derived: &DerivedDef| has_events(derived.trigger().source.id);
                let refusals = match has_events(old.id) {
                    _ if old.has_ended() => vec![evolution.of_ended()],
                    true => evolution.refusals(),
                    // It has come as far as its trigger, also where it left everything out.
                    false if old.derived.as_deref().is_some_and(emits) => {
                        evolution.of_query().into_iter().collect()
                    }
                    false => Vec::new(),
                };
                // Views are checked over columns that can be.
                is_broken[index] |= !refusals.is_empty();
                found.refuse(node.file, &new.name, refusals, &altered.places);
                if has_events(old.id) {
                    Arc::make_mut(new).continue_from(old);
                }
            }
            is_broken[index] |= definition.is_none();
            node.take(report, &mut found);
            if let Some(definition) = definition
                && is_first
                && !is_broken[index]
            {
                if !has_errors {
                    project.objects.push(ProjectObject {
                        file: node.file,
                        statement: node.statement,
                        span: node.parsed.span,
                        change: change(&definition, existing),
                        definition: definition.clone(),
                    });
                }
                project.catalog.add(definition);
            }
        }
        if is_broken[index]
            && is_first
            && let Some((space, ident)) = name
        {
            broken.names.insert((space, ident.value.clone()));
        }
    }
    refuse_ends(&project, existing, &mut found);
    keep_older_versions(&mut project.catalog, existing);
    project.removed = removed(&by_name, existing);
    found.finish(&mut project);
    project
}

impl Node {
    /// What was told of the statement, where it is written.
    fn take(&self, mut report: Report, found: &mut Found<'_>) {
        if let Some(span) = self.written_from {
            report.move_to(span);
        }
        found.take(self.file, report);
    }
}

/// What ends in another store is nothing here.
fn without_unknown_ends(nodes: Vec<Node>, existing: &Catalog, found: &mut Found<'_>) -> Vec<Node> {
    let mut known = Vec::new();
    for node in nodes {
        match ended::unknown(&node.parsed, existing) {
            Some(warning) => found.add(node.file, warning),
            None => known.push(node),
        }
    }
    known
}

/// Puts what is frozen into functions, and answers which of them cannot be bound, by file and statement.
fn freeze_functions(
    mut nodes: Vec<Node>,
    existing: &Catalog,
    found: &mut Found<'_>,
) -> (Vec<Node>, BTreeSet<(usize, usize)>) {
    let mut unfrozen = BTreeSet::new();
    for node in &mut nodes {
        let mut report = Report::default();
        if !function::freeze(&mut node.parsed, existing, &mut report) {
            unfrozen.insert((node.file, node.statement));
        }
        node.take(report, found);
    }
    (nodes, unfrozen)
}

/// The first statement of each name, and the statements that define one again: errors.
fn names<'a>(
    nodes: &'a [Node],
    found: &mut Found<'_>,
) -> (BTreeMap<(Space, &'a str), usize>, BTreeSet<usize>) {
    let mut repeated = BTreeSet::new();
    let mut by_name: BTreeMap<(Space, &str), usize> = BTreeMap::new();
    // Versions of a service or a dataset are objects of their own.
    let mut versions: BTreeMap<(Space, &str, u64), usize> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        let Some((space, name)) = defined(&node.parsed) else {
            continue;
        };
        let first = match &node.parsed.kind {
            StatementKind::CreateFeatureService(create) => {
                let version = create.version.map_or(1, |v| v.value);
                by_name.entry((space, &name.value)).or_insert(index);
                *versions
                    .entry((space, &name.value, version))
                    .or_insert(index)
            }
            StatementKind::CreateTrainingDataset(create) => {
                let version = create.version.map_or(1, |v| v.value);
                by_name.entry((space, &name.value)).or_insert(index);
                *versions
                    .entry((space, &name.value, version))
                    .or_insert(index)
            }
            _ => *by_name.entry((space, &name.value)).or_insert(index),
        };
        if first == index {
            continue;
        }
        repeated.insert(index);
        let other = &nodes[first];
        let Some((_, other_name)) = defined(&other.parsed) else {
            continue;
        };
        let message = format!("`{name}` is defined twice");
        let diagnostic = if other.file == node.file {
            Diagnostic::error(message, name.span)
                .with_hint("give one of them another name, or delete it")
                .with_related(other_name.span, "first defined here")
        } else {
            let (file, text) = found.files[other.file];
            let (line, column) = line_and_column(text, other_name.span.start);
            Diagnostic::error(
                format!("{message}: first at {file}:{line}:{column}"),
                name.span,
            )
            .with_hint("give one of them another name, or delete it")
        };
        found.add(node.file, diagnostic);
    }
    (by_name, repeated)
}

/// Which statements each statement names. A pinned version that existed before is none of
/// them.
fn uses(
    nodes: &[Node],
    by_name: &BTreeMap<(Space, &str), usize>,
    existing: &Catalog,
) -> Vec<Vec<(usize, Span)>> {
    nodes
        .iter()
        .map(|node| {
            references(&node.parsed)
                .into_iter()
                .filter(|reference| {
                    let pinned = reference.version.and_then(|v| u32::try_from(v).ok());
                    let pinned = pinned.filter(|_| reference.space == Space::Relation);
                    pinned.is_none_or(|version| {
                        existing
                            .view_version(&reference.name.value, version)
                            .is_none()
                    })
                })
                .flat_map(|reference| {
                    let key = (reference.space, reference.name.value.as_str());
                    let first = by_name.get(&key).copied();
                    // Each version of a service is a statement of its own.
                    let is_service = reference.space == Space::Service;
                    let others = (0..nodes.len()).filter(move |i| {
                        is_service
                            && first != Some(*i)
                            && defined(&nodes[*i].parsed).is_some_and(|(space, name)| {
                                space == Space::Service && name.value == reference.name.value
                            })
                    });
                    let found = first.into_iter().chain(others);
                    found.map(move |index| (index, reference.name.span))
                })
                .collect()
        })
        .collect()
}

fn refuse_cycle(cycle: &order::Cycle, nodes: &[Node], found: &mut Found<'_>) {
    let Some(last) = cycle.nodes.last() else {
        return;
    };
    let mut names: Vec<&str> = cycle
        .nodes
        .iter()
        .filter_map(|n| Some(defined(&nodes[*n].parsed)?.1.value.as_str()))
        .collect();
    names.extend(names.first().copied());
    let message = match names.as_slice() {
        [name, _] => format!("`{name}` reads itself"),
        _ => format!("views read one another in a circle: {}", names.join(" → ")),
    };
    found.add(
        nodes[*last].file,
        Diagnostic::error(message, cycle.place).with_hint(
            "read the source instead, or an older version that exists already: `view@1`",
        ),
    );
}

fn change(definition: &Definition, existing: &Catalog) -> Change {
    let (is_same_value, is_same_text) = match definition {
        Definition::Entity(def) => match existing.entities.get(&def.name) {
            Some(old) => (old.keys == def.keys, old.sql == def.sql),
            None => return Change::New,
        },
        Definition::Source(def) => match existing.sources.get(&def.name) {
            Some(old) => {
                let is_same = old.digest == def.digest && old.has_ended() == def.has_ended();
                (is_same, old.sql == def.sql)
            }
            None => return Change::New,
        },
        Definition::View(def) => match existing.view(&def.name) {
            Some(old) => (old.digest == def.digest, old.sql == def.sql),
            None => return Change::New,
        },
        Definition::Service(def) => {
            let versions = existing.services.get(&def.name);
            match versions.and_then(|v| v.get(&def.version)) {
                Some(old) => (old.digest == def.digest, old.sql == def.sql),
                None => return Change::New,
            }
        }
        Definition::Segment(def) => match existing.segment(&def.name) {
            Some(old) => (old.digest == def.digest, old.sql == def.sql),
            None => return Change::New,
        },
        Definition::Model(def) => {
            let versions = existing.models.get(&def.name);
            match versions.and_then(|v| v.values().next_back()) {
                Some(old) => (old.digest == def.digest, old.sql == def.sql),
                None => return Change::New,
            }
        }
        Definition::Function(def) => match existing.function(&def.spec.name) {
            Some(old) => (old.spec.digest == def.spec.digest, old.sql == def.sql),
            None => return Change::New,
        },
        Definition::Dataset(def) => {
            let versions = existing.datasets.get(&def.name);
            match versions.and_then(|v| v.get(&def.version)) {
                Some(old) => (old.digest == def.digest, old.sql == def.sql),
                None => return Change::New,
            }
        }
    };
    match (is_same_value, is_same_text) {
        (false, _) => Change::Changed,
        (true, false) => Change::Described,
        (true, true) => Change::Unchanged,
    }
}

/// A stream ends only with those that emit of it.
fn refuse_ends(project: &Project, existing: &Catalog, found: &mut Found<'_>) {
    for object in &project.objects {
        if let Definition::Source(def) = &object.definition
            && def.has_ended()
            && object.change != Change::Unchanged
            && let Some(refusal) = ended::is_read(def, object.span, &project.catalog, existing)
        {
            found.add(object.file, refusal);
        }
    }
}

/// Versions that existed before stay readable.
fn keep_older_versions(catalog: &mut Catalog, existing: &Catalog) {
    for (name, versions) in &mut catalog.views {
        for (version, view) in existing.views.get(name).into_iter().flatten() {
            versions.entry(*version).or_insert_with(|| view.clone());
        }
    }
    for (name, versions) in &mut catalog.services {
        for (version, service) in existing.services.get(name).into_iter().flatten() {
            versions.entry(*version).or_insert_with(|| service.clone());
        }
    }
    for (name, versions) in &mut catalog.segments {
        for (version, segment) in existing.segments.get(name).into_iter().flatten() {
            versions.entry(*version).or_insert_with(|| segment.clone());
        }
    }
    for (name, versions) in &mut catalog.models {
        for (version, model) in existing.models.get(name).into_iter().flatten() {
            versions.entry(*version).or_insert_with(|| model.clone());
        }
    }
    for (name, versions) in &mut catalog.functions {
        for (version, function) in existing.functions.get(name).into_iter().flatten() {
            versions.entry(*version).or_insert_with(|| function.clone());
        }
    }
    for (name, versions) in &mut catalog.datasets {
        for (version, dataset) in existing.datasets.get(name).into_iter().flatten() {
            versions.entry(*version).or_insert_with(|| dataset.clone());
        }
    }
}

fn removed(
    by_name: &BTreeMap<(Space, &str), usize>,
    existing: &Catalog,
) -> Vec<(&'static str, String)> {
    let is_gone = |space: Space, name: &str| !by_name.contains_key(&(space, name));
    let mut removed = Vec::new();
    for name in existing.entities.keys() {
        if is_gone(Space::Entity, name) {
            removed.push(("entity", name.clone()));
        }
    }
    for source in existing.sources.values() {
        if is_gone(Space::Relation, &source.name) && !source.has_ended() {
            removed.push((super::relation::kind_of(source), source.name.clone()));
        }
    }
    for name in existing.views.keys() {
        if is_gone(Space::Relation, name) {
            removed.push(("feature view", name.clone()));
        }
    }
    for name in existing.services.keys() {
        if is_gone(Space::Service, name) {
            removed.push(("feature service", name.clone()));
        }
    }
    for name in existing.datasets.keys() {
        if is_gone(Space::Dataset, name) {
            removed.push(("training dataset", name.clone()));
        }
    }
    for name in existing.functions.keys() {
        if is_gone(Space::Function, name) {
            removed.push(("function", name.clone()));
        }
    }
    for name in existing.segments.keys() {
        if is_gone(Space::Segment, name) {
            removed.push(("segment", name.clone()));
        }
    }
    for name in existing.models.keys() {
        if is_gone(Space::Model, name) {
            removed.push(("model", name.clone()));
        }
    }
    removed
}

/// Diagnostics with their files.
struct Found<'a> {
    files: &'a [(&'a str, &'a str)],
    errors: Vec<InFile>,
    warnings: Vec<InFile>,
}

impl Found<'_> {
    fn add(&mut self, file: usize, diagnostic: Diagnostic) {
        let name = self.files.get(file).map_or("", |(name, _)| name);
        let is_error = diagnostic.is_error();
        let placed = InFile {
            file,
            diagnostic: diagnostic.in_file(name),
        };
        if is_error {
            self.errors.push(placed);
        } else {
            self.warnings.push(placed);
        }
    }

    fn take(&mut self, file: usize, report: Report) {
        let (errors, warnings) = report.into_parts();
        for diagnostic in errors.into_iter().chain(warnings) {
            self.add(file, diagnostic);
        }
    }

    /// Tells why a source cannot change, at the places of its columns.
    fn refuse(
        &mut self,
        file: usize,
        source: &str,
        refusals: Vec<Refusal>,
        altered: &AlteredPlaces,
    ) {
        for mut refusal in refusals {
            let column = refusal.column.as_deref();
            match column.and_then(|column| altered.of(source, column)) {
                Some((file, place)) => {
                    refusal.diagnostic.span = place;
                    self.add(file, refusal.diagnostic);
                }
                None => self.add(file, refusal.diagnostic),
            }
        }
    }

    fn finish(mut self, project: &mut Project) {
        let place = |d: &InFile| (d.file, d.diagnostic.span);
        self.errors.sort_by_key(place);
        self.warnings.sort_by_key(place);
        project.errors = self.errors;
        project.warnings = self.warnings;
    }
}
