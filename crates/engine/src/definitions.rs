//! From definition files and registry records to a catalog, and what would change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use evenkeel_ddl::{
    Diagnostic, InFile, bind, bind_feature_list, bind_project, bind_spine_query, describe,
    parse_spine_query, parse_statements,
};
use evenkeel_types::definition::{
    Catalog, Definition, DerivedDef, FunctionClass, FunctionDef, FunctionHost, LookupTarget,
    ModelFiles, ServiceDef, SourceDef, SpineQuery, ViewBody, ViewDef, WindowRows,
};
use evenkeel_types::{DataType, Interval};
use evenkeel_view::{Plan, Uses};

use crate::api::{Change, ChangeKind};
use crate::batch::QueryColumns;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::evolution::{Logged, over_newest_sources};
use crate::from_file::ColumnReader;
use crate::models::KnownModels;
use crate::project::{DefinitionFile, Project};
use crate::registry::{Object, Record, Registry};

/// What applying some files would do.
#[derive(Clone, Debug)]
pub struct ChangePlan {
    /// Every object, in an order in which each comes after those that it uses.
    pub changes: Vec<Change>,
    /// What works, but perhaps not as meant: file and diagnostic.
    pub warnings: Vec<(String, Diagnostic)>,
    /// What the registry will record.
    pub(crate) objects: Vec<Object>,
    /// Everything that is defined once it is applied.
    pub(crate) catalog: Catalog,
}

impl ChangePlan {
    /// Whether applying it would record anything.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The newest version of each function, by name.
    pub fn functions(&self) -> BTreeMap<&str, &Arc<FunctionDef>> {
        let versions = self.catalog.functions.iter();
        let newest =
            versions.filter_map(|(name, of)| Some((name.as_str(), of.values().next_back()?)));
        newest.collect()
    }
}

/// Checks a project's definition files without a store: what they would create.
pub fn check(project: &Project, files: &[DefinitionFile]) -> Result<ChangePlan, EngineError> {
    refuse_none(&project.root, files)?;
    plan(
        &project.root,
        files,
        &Catalog {
            host: Some(project.functions.clone()),
            ..Catalog::default()
        },
        &Logged { log: None },
        project.queries.as_deref(),
    )
}

/// A folder without definitions is the wrong one.
pub(crate) fn refuse_none(root: &Path, files: &[DefinitionFile]) -> Result<(), EngineError> {
    match files.is_empty() {
        true => Err(EngineError::NoDefinitions {
            root: root.to_owned(),
        }),
        false => Ok(()),
    }
}

/// What applying these files over a catalog, and the events that there are, would change. Files that definitions are made
/// from are looked for in `root`.
pub(crate) fn plan(
    root: &Path,
    files: &[DefinitionFile],
    existing: &Catalog,
    logged: &Logged<'_>,
    queries: Option<&dyn QueryColumns>,
) -> Result<ChangePlan, EngineError> {
    let texts: Vec<(&str, &str)> = files
        .iter()
        .map(|f| (f.name.as_str(), f.text.as_str()))
        .collect();
    let models = KnownModels::in_folder(root, existing.model_files.clone());
    let models: Arc<dyn ModelFiles> = Arc::new(models);
    let existing = &Catalog {
        model_files: Some(Arc::clone(&models)),
        ..existing.clone()
    };
    // What a batch view may read: everything but what cannot be defined yet.
    let others = || {
        let mut columns = ColumnReader::new(root);
        let has_events = |source| logged.has_events(source);
        let others = bind_project(&texts, existing, &has_events, &mut |s| columns.read(s));
        let mut catalog = existing.clone();
        catalog.add_all(&others.catalog);
        catalog
    };
    let mut columns = ColumnReader::new(root);
    if let Some(queries) = queries {
        columns = columns.asking(queries, &others);
    }
    let project = bind_project(
        &texts,
        existing,
        &|source| logged.has_events(source),
        &mut |source| columns.read(source),
    );
    let in_files = |found: Vec<InFile>| -> Vec<(String, Diagnostic)> {
        found
            .into_iter()
            .map(|f| (files[f.file].name.clone(), f.diagnostic))
            .collect()
    };
    if !project.errors.is_empty() {
        return Err(EngineError::Definitions(in_files(project.errors)));
    }
    let mut changes = Vec::new();
    let mut objects = Vec::new();
    for object in &project.objects {
        let definition = &object.definition;
        let kind = match object.change {
            evenkeel_ddl::Change::New => ChangeKind::Create,
            evenkeel_ddl::Change::Changed => ChangeKind::NewVersion,
            evenkeel_ddl::Change::Described => ChangeKind::Metadata,
            evenkeel_ddl::Change::Unchanged => ChangeKind::Unchanged,
        };
        let from_file = match definition {
            Definition::Source(def) => project.from_files.iter().find(|f| f.name == def.name),
            _ => None,
        };
        let mut notes = notes_of(definition);
        notes.extend(from_file.map(|f| columns.notes(f)).unwrap_or_default());
        if let Definition::Source(def) = definition {
            let old = existing.sources.get(&def.name).map(AsRef::as_ref);
            notes.extend(logged.notes(object.change, old, def)?);
            notes.extend(readers_of_ended(def, existing));
        }
        changes.push(Change {
            object: definition.kind(),
            name: definition.name().to_owned(),
            version: version_of(definition),
            kind,
            notes,
            statement: from_file.map(|_| format!("{};", definition.sql())),
            statement_now: from_file
                .and_then(|f| f.now.as_ref())
                .map(|sql| format!("{};", sql.trim_end_matches(';'))),
        });
        if kind != ChangeKind::Unchanged {
            let mut object = object_of(definition);
            let content = object.content.as_deref();
            object.bytes = content.and_then(|digest| models.content(digest));
            objects.push(object);
        }
    }
    for (object, name) in project.removed {
        changes.push(Change {
            object,
            name,
            version: 0,
            kind: ChangeKind::NotInFiles,
            notes: Vec::new(),
            statement: None,
            statement_now: None,
        });
    }
    Ok(ChangePlan {
        changes,
        warnings: in_files(project.warnings),
        objects,
        catalog: over_newest_sources({
            let mut catalog = existing.clone();
            catalog.add_all(&project.catalog);
            catalog
        }),
    })
}

fn version_of(definition: &Definition) -> u32 {
    match definition {
        Definition::View(def) => def.version,
        Definition::Service(def) => def.version,
        Definition::Dataset(def) => def.version,
        Definition::Segment(def) => def.version,
        Definition::Model(def) => def.version,
        Definition::Function(def) => def.version,
        Definition::Source(def) => def.schema.version(),
        Definition::Entity(_) => 1,
    }
}

fn object_of(definition: &Definition) -> Object {
    Object {
        kind: definition.kind().to_owned(),
        name: definition.name().to_owned(),
        version: version_of(definition),
        source_id: match definition {
            Definition::Source(def) => Some(def.id.0),
            _ => None,
        },
        sql: definition.sql().to_owned(),
        content: match definition {
            Definition::Model(def) => def.source.content.clone(),
            _ => None,
        },
        bytes: None,
    }
}

/// What a view is, where its windows begin and end, and what it costs.
fn notes_of(definition: &Definition) -> Vec<String> {
    let (view, first) = match definition {
        Definition::Function(def) => return function_words(def),
        Definition::View(view) => (view, None),
        Definition::Source(def) => match &def.derived {
            Some(derived) => (&derived.view, Some(emission_words(derived))),
            None => return Vec::new(),
        },
        Definition::Model(model) => return model.notes.clone(),
        _ => return Vec::new(),
    };
    let words = describe(view);
    let first = first.unwrap_or_else(|| format!("{}: {}", words.kind, words.reads));
    let mut notes = vec![first];
    notes.extend(recorded_words(definition));
    notes.extend(words.windows.into_iter().map(|w| format!("window {w}")));
    notes.extend(words.lookups.into_iter().map(|l| format!("look-up {l}")));
    notes.extend(costs_of(view));
    notes.extend(leaving_of(view));
    notes
}

/// Which columns of a derived stream are called for once.
fn recorded_words(definition: &Definition) -> Vec<String> {
    let derived = match definition {
        Definition::Source(def) => def.derived.as_deref(),
        _ => None,
    };
    let words = |derived: &DerivedDef| -> Vec<String> {
        let recorded = derived.recorded.iter().map(|call| {
            let column = &derived.view.features[call.column].name;
            let function = &call.function.signature().name;
            format!("recorded `{column}`: `{function}` is called for it once, and for history now")
        });
        recorded.collect()
    };
    derived.map(words).unwrap_or_default()
}

/// The views that read a stream which has ended.
fn readers_of_ended(def: &SourceDef, existing: &Catalog) -> Option<String> {
    let newest = existing
        .views
        .values()
        .filter_map(|v| v.values().next_back());
    let readers = newest.filter(|view| {
        let uses = Uses::of([view.as_ref()]);
        def.has_ended() && uses.sources().contains_key(&def.id)
    });
    let names: Vec<String> = readers.map(|view| format!("`{}`", view.name)).collect();
    (!names.is_empty()).then(|| format!("read by {}", names.join(", ")))
}

/// What a function is made of, and what was seen of it.
fn function_words(def: &FunctionDef) -> Vec<String> {
    let frozen = &def.spec.frozen;
    let files = frozen.source.iter().map(|(path, _)| format!("`{path}`"));
    let locked = frozen.lock.iter().map(|(name, _)| name.as_str());
    let class = match &frozen.class {
        FunctionClass::BitStable => "bit-stable: the checks found no difference".to_owned(),
        FunctionClass::RecordedOnly(example) => format!("recorded only: {example}"),
    };
    vec![
        class,
        format!("source: {}", files.collect::<Vec<_>>().join(", ")),
        format!("locked: {}", locked.collect::<Vec<_>>().join(", ")),
    ]
}

/// What a derived stream has.
fn emission_words(derived: &DerivedDef) -> String {
    if derived.is_ended {
        return "ended: it emits nothing any more; what it emitted stays, and is read as before"
            .to_owned();
    }
    let late = match derived.revises {
        true => "emit again what they change",
        false => "leave it as it is",
    };
    let trigger = &derived.trigger().source.name;
    let Some(timer) = &derived.timer else {
        return format!(
            "derived stream: an event per event of `{trigger}`, made of what was logged before it; late inputs {late}"
        );
    };
    let later = match timer.after.is_zero() {
        true => String::new(),
        false => format!(" {} later", timer.after),
    };
    let lookups = derived.body().lookups.iter();
    let waited = lookups.filter_map(|lookup| match &lookup.target {
        LookupTarget::Source { source, .. } => {
            let timeout = timer.waits_for.get(&source.id)?;
            Some(match timeout {
                None => format!("`{}`", source.name),
                Some(timeout) => format!("`{}` (for {timeout} at most)", source.name),
            })
        }
        LookupTarget::View(view) => {
            let mut read = Uses::of([&**view]).sources().into_keys();
            let is_waited = read.all(|source| timer.waits_for.contains_key(&source));
            is_waited.then(|| format!("what `{}` reads", view.name))
        }
    });
    let mut waited: BTreeSet<String> = waited.collect();
    waited.insert(format!("`{trigger}`"));
    let waited: Vec<String> = waited.into_iter().collect();
    format!(
        "derived stream: an event per event of `{trigger}`{later}, as soon as the watermarks of {} have passed its time; late inputs {late}",
        waited.join(" and ")
    )
}

/// When events that a view reads leave the hot tier, where their source says so.
fn leaving_of(view: &Arc<ViewDef>) -> Vec<String> {
    let plan = Plan::new([view]).unwrap_or_default();
    let indexes = plan.indexes().iter();
    indexes
        .filter_map(|index| {
            let source = index.source();
            let retention = source.hot_retention?;
            let what = format!(
                "events of `{}` by {}",
                source.name,
                key_words(source, index.key_columns())
            );
            Some(match index.look_back() {
                None => format!(
                    "keeps all {what} at hand, whatever `HOT RETENTION` says: it may need events \
                     of any age"
                ),
                Some(back) => format!(
                    "lets {what} leave the hot tier after {} or later: reads of older times bring \
                     them back from the log",
                    Interval::from_micros(retention.max(back))
                ),
            })
        })
        .collect()
}

fn key_words(source: &SourceDef, key_columns: &[usize]) -> String {
    let names: Vec<String> = key_columns
        .iter()
        .map(|&slot| format!("`{}`", source.columns[slot].name))
        .collect();
    names.join(", ")
}

/// What the read path keeps for a view, per event of each source and key.
fn costs_of(view: &ViewDef) -> Vec<String> {
    let looks = match &view.body {
        ViewBody::Window(body) if body.is_state() => Some(format!(
            "a read looks at every version that ever had the key, and for each of their rows at \
             the latest version by {}",
            key_words(&body.windows.source, &body.windows.source.primary_key)
        )),
        ViewBody::Window(body) if body.windows.has(WindowRows::Changes) => Some(format!(
            "a read looks at every version that ever had the key, and for each of their rows at \
             its versions by {}",
            key_words(&body.windows.source, &body.windows.source.primary_key)
        )),
        _ => None,
    };
    let kept = Uses::of([view])
        .iter()
        .map(|key_use| {
            let types = key_use.source.row_types();
            let bytes: usize = key_use
                .slots
                .iter()
                .map(|&slot| bytes_of(&types[slot]))
                .sum();
            let kept = match key_use.slots.len() {
                0 => "only the times".to_owned(),
                1 => "1 column".to_owned(),
                n => format!("{n} columns"),
            };
            format!(
                "keeps {kept} of `{}` by {}: about {} bytes per event, shared with other views \
                 that read the same",
                key_use.source.name,
                key_words(&key_use.source, &key_use.key_columns),
                EVENT_BYTES + bytes
            )
        })
        .collect::<Vec<_>>();
    looks.into_iter().chain(kept).collect()
}

/// Times, position, order and number of an event in a block, about.
const EVENT_BYTES: usize = 64;

fn bytes_of(data_type: &DataType) -> usize {
    match data_type {
        DataType::Boolean | DataType::Null => 1,
        DataType::Int | DataType::Float | DataType::Date => 4,
        DataType::BigInt | DataType::Double | DataType::Timestamp => 8,
        DataType::Decimal { .. } | DataType::Interval => 16,
        DataType::String | DataType::Bytes => 32,
        DataType::Array(_) | DataType::Struct(_) => 128,
        // Elements are kept as values of 24 bytes.
        DataType::Vector { length, .. } => 24 * *length as usize,
    }
}

/// What makes functions of other languages run.
pub type Host = Option<Arc<dyn FunctionHost>>;

/// Everything that the registry's records define, each bound over those before it; then all
/// views read the newest sources.
pub(crate) fn catalog_of(registry: &Registry, host: Host) -> Result<Catalog, EngineError> {
    catalog_of_records(registry.records(), host)
}

/// The same of some records, the oldest first.
pub(crate) fn catalog_of_records(records: &[Record], host: Host) -> Result<Catalog, EngineError> {
    Ok(over_newest_sources(catalog_by(records, host, |_, _| {
        Ok(())
    })?))
}

/// Says what was defined behind each of some records, the oldest first, if somebody wants to know.
pub(crate) fn each_catalog(
    records: &[Record],
    host: Host,
    mut see: impl FnMut(&Record, &dyn Fn() -> Catalog) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let see =
        |record: &Record, so_far: &Catalog| see(record, &|| over_newest_sources(so_far.clone()));
    catalog_by(records, host, see).map(|_| ())
}

/// Binds records over each other; `see` has what each leaves.
fn catalog_by(
    records: &[Record],
    host: Host,
    mut see: impl FnMut(&Record, &Catalog) -> Result<(), EngineError>,
) -> Result<Catalog, EngineError> {
    let mut catalog = Catalog {
        host,
        model_files: Some(Arc::new(KnownModels::of_records(records))),
        ..Catalog::default()
    };
    for record in records {
        for object in &record.objects {
            let name = format!("registry record {}", record.sequence);
            let (statements, errors) = parse_statements(&object.sql);
            if !errors.is_empty() {
                return Err(in_record(name, errors));
            }
            for statement in &statements {
                let mut bound = bind(statement, &catalog, &catalog)
                    .map_err(|errors| in_record(name.clone(), errors))?;
                if let Definition::Source(def) = &mut bound.definition
                    && let Some(before) = catalog.sources.get(&def.name)
                    && object.version > 1
                {
                    Arc::make_mut(def).continue_from(before);
                }
                refuse_another(&bound.definition, object)?;
                catalog.add(bound.definition);
            }
        }
        see(record, &catalog)?;
    }
    Ok(catalog)
}

fn in_record(name: String, errors: Vec<Diagnostic>) -> EngineError {
    EngineError::Definitions(errors.into_iter().map(|e| (name.clone(), e)).collect())
}

/// A record must bind to what it was recorded as.
fn refuse_another(definition: &Definition, object: &Object) -> Result<(), EngineError> {
    let again = object_of(definition);
    if (again.version, again.source_id) == (object.version, object.source_id) {
        return Ok(());
    }
    Err(EngineError::Incompatible {
        object: definition.kind(),
        name: object.name.clone(),
        reason: format!(
            "it was recorded as version {}, and this binary reads it as version {}",
            object.version, again.version
        ),
    })
}

/// A spine query from its text.
pub(crate) fn spine_query(sql: &str, catalog: &Catalog) -> Result<SpineQuery, EngineError> {
    let name = || "spine".to_owned();
    let query = parse_spine_query(sql).map_err(|errors| in_record(name(), errors))?;
    bind_spine_query(&query, catalog).map_err(|errors| in_record(name(), errors))
}

/// What is registered in a project's store, without opening it: also while another process
/// holds it.
///
/// # Errors
/// If there is no registry that can be read.
pub fn registered(project: &Project) -> Result<Catalog, EngineError> {
    let host: Host = Some(project.functions.clone());
    catalog_of(&Registry::open(&project.store)?, host)
}

/// An anonymous service of features named `view:feature` or `view:*`.
///
/// # Errors
/// The mistakes in the items.
pub fn feature_list_of(
    catalog: &Catalog,
    items: &[String],
) -> Result<Arc<ServiceDef>, EngineError> {
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    bind_feature_list(&items, catalog)
        .map(Arc::new)
        .map_err(|errors| {
            EngineError::Definitions(
                errors
                    .into_iter()
                    .map(|(i, e)| (items[i].to_owned(), e))
                    .collect(),
            )
        })
}

impl Engine {
    /// An anonymous service of features named `view:feature` or `view:*`.
    pub fn feature_list(&self, items: &[String]) -> Result<Arc<ServiceDef>, EngineError> {
        feature_list_of(self.catalog(), items)
    }
}

/// An error that names what does not exist, with the nearest that does.
pub(crate) fn unknown<'a>(
    what: &'static str,
    name: &str,
    known: impl IntoIterator<Item = &'a String>,
) -> EngineError {
    let nearest = known
        .into_iter()
        .map(|k| (distance(name, k), k))
        .filter(|(d, k)| *d <= k.len().max(name.len()) / 2)
        .min()
        .map(|(_, k)| k.clone());
    EngineError::Unknown {
        what,
        name: name.to_owned(),
        nearest,
    }
}

/// Levenshtein's distance, by bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
