//! What training and verification need of a store, apart from the engine: the log and the lake, what is
//! defined, and how far it was applied when they began.
//!
//! Invariant: it holds nothing of the hot tier, so it is used without a hold on the engine,
//! however long; the same cut gives the same bits, whatever is applied meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_lake::ColdAndLog;
use evenkeel_log::{DiskFileSystem, FileSystem, LogError, LogReader, RecoveryReport};
use evenkeel_types::definition::{Catalog, ServiceDef};
use evenkeel_types::{Cut, Offset, Partition, SourceId};

use crate::batch::QueryColumns;
use crate::cold_tier::ColdTier;
use crate::definitions::{self, ChangePlan, catalog_of, feature_list_of, unknown};
use crate::engine::{Engine, log_directory};
use crate::error::EngineError;
use crate::evolution::Logged;
use crate::machine::Machine;
use crate::project::{DefinitionFile, Project};
use crate::reads::service_of;
use crate::registry::Registry;
use crate::segment::Unjudged;

/// See the module. Cloning is cheap.
#[derive(Clone)]
pub struct Offline {
    catalog: Arc<Catalog>,
    log: LogReader,
    applied: Cut,
    root: PathBuf,
    cold: ColdTier,
    store: PathBuf,
    records: u64,
    row_bytes: usize,
    queries: Option<Arc<dyn QueryColumns>>,
    unjudged: Arc<Unjudged>,
}

/// Functions whose values one read waits for, one after the other.
pub(crate) const GIVEN_MAX: usize = 1000;

/// Gives an engine to read, for moments: in between others have their turn.
pub trait Online {
    /// Works on the engine. It must be quick, as a read of one view is.
    fn with<T>(&self, work: impl FnOnce(&Engine) -> T) -> T;

    /// Whether the calls of functions that a read needs are made while it waits; else it fails with them
    /// ([`EngineError::Calls`]), and whoever reads makes them and reads again.
    fn makes_calls(&self) -> bool {
        true
    }

    /// Reads of the engine. What has to be brought back first is, while others have their
    /// turn.
    ///
    /// # Errors
    /// Of the read; if what left the hot tier cannot be brought back.
    fn read_with<T>(
        &self,
        read: impl Fn(&Engine) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        // Held until it is read.
        let mut brought = Vec::new();
        let mut given = Vec::new();
        loop {
            match self.with(&read) {
                Err(EngineError::Cold(needs)) => brought.push(needs.bring_back()?),
                Err(EngineError::Calls(calls)) if self.makes_calls() && given.len() < GIVEN_MAX => {
                    given.extend(calls.run()?);
                }
                done => return done,
            }
        }
    }
}

impl Online for Engine {
    fn with<T>(&self, work: impl FnOnce(&Engine) -> T) -> T {
        work(self)
    }
}

impl Engine {
    /// What training and verification need, as of now.
    pub fn offline(&self) -> Offline {
        Offline {
            catalog: Arc::clone(self.shared_catalog()),
            log: self.reader().clone(),
            applied: self.cut(),
            root: self.project().root.clone(),
            cold: self.cold_tier(),
            store: self.project().store.clone(),
            records: self.registry().records().len() as u64,
            row_bytes: self.project().limits.row_bytes,
            queries: self.project().queries.clone(),
            unjudged: Arc::clone(self.unjudged()),
        }
    }

    /// [`Offline::refuse_beyond`] as of now.
    pub fn refuse_beyond(&self, cut: &Cut) -> Result<(), EngineError> {
        refuse_beyond(self.catalog(), &self.cut(), cut)
    }

    /// [`Offline::format_cut`].
    pub fn format_cut(&self, cut: &Cut) -> String {
        format_cut(self.catalog(), cut)
    }

    /// [`Offline::parse_cut`].
    pub fn parse_cut(&self, text: &str) -> Result<Cut, EngineError> {
        parse_cut(self.catalog(), text)
    }
}

impl Offline {
    /// Opens what is needed of a project's store, beside a command that may be writing to it.
    /// The hot tier is not opened: training reads the log alone.
    ///
    /// # Errors
    /// [`EngineError::NoStore`]; if log or registry cannot be read.
    pub fn open(project: &Project) -> Result<Self, EngineError> {
        Self::open_by(project, LogReader::open)
    }

    /// The same for one question, about a segment: what of the log is asked for is checked when it is read,
    /// and not before that, too ([`LogReader::open_once`]).
    ///
    /// # Errors
    /// As [`Offline::open`].
    pub fn open_once(project: &Project) -> Result<Self, EngineError> {
        Self::open_by(project, LogReader::open_once)
    }

    fn open_by(
        project: &Project,
        open_log: impl FnOnce(
            Arc<dyn FileSystem>,
            &Path,
        ) -> Result<(LogReader, RecoveryReport), LogError>,
    ) -> Result<Self, EngineError> {
        Engine::refuse_without_store(project)?;
        Engine::refuse_forgetting(project, &Machine::default())?;
        let directory = log_directory(&project.store);
        let (log, recovery) =
            open_log(Arc::new(DiskFileSystem), &directory).map_err(EngineError::log)?;
        if recovery.held_back > 0 {
            // Whether the last append counts is for a writer to settle.
            return Ok(Engine::open_to_read(project)?.offline());
        }
        let registry = Registry::open(&project.store)?;
        let catalog = Arc::new(catalog_of(&registry, Some(project.functions.clone()))?);
        let cold = ColdTier::of(project, &Machine::default(), registry.identity());
        cold.clone().stand_behind(&log, &catalog);
        Ok(Offline {
            catalog,
            applied: log.ends(),
            log,
            root: project.root.clone(),
            cold,
            store: project.store.clone(),
            records: registry.records().len() as u64,
            row_bytes: project.limits.row_bytes,
            queries: project.queries.clone(),
            unjudged: Arc::default(),
        })
    }

    /// What was defined.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// How large a row may be.
    pub(crate) fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Where older events are, too.
    pub(crate) fn cold(&self) -> &ColdTier {
        &self.cold
    }

    /// The events of some sources, from the lake what it covers, the rest from the log.
    pub(crate) fn events(&self, sources: &[SourceId]) -> Result<ColdAndLog, EngineError> {
        self.cold.with_log(&self.log, &self.catalog, sources)
    }

    /// The same; every table is read, or it is an error.
    pub(crate) fn events_of_tables(&self, sources: &[SourceId]) -> Result<ColdAndLog, EngineError> {
        self.cold.with_all_tables(&self.log, &self.catalog, sources)
    }

    /// The project's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The store's directory.
    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    /// Sources of which events alone do not tell what is said of keys.
    pub(crate) fn unjudged(&self) -> &Unjudged {
        &self.unjudged
    }

    /// How many records the registry had.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// The same with the definitions of before, over the log alone.
    pub(crate) fn with_catalog(&self, catalog: Catalog) -> Offline {
        Offline {
            catalog: Arc::new(catalog),
            cold: self.cold.log_only(),
            ..self.clone()
        }
    }

    /// The same over the log alone.
    pub(crate) fn of_log_alone(&self) -> Offline {
        Offline {
            cold: self.cold.log_only(),
            ..self.clone()
        }
    }

    /// The log.
    pub(crate) fn log(&self) -> &LogReader {
        &self.log
    }

    /// The cut of everything that was applied.
    pub fn cut(&self) -> &Cut {
        &self.applied
    }

    /// What applying these files would change. Files that definitions are made from are read.
    ///
    /// # Errors
    /// The mistakes in the files; if there are none.
    pub fn plan(&self, files: &[DefinitionFile]) -> Result<ChangePlan, EngineError> {
        definitions::refuse_none(&self.root, files)?;
        let logged = Logged {
            log: Some((&self.log, &self.applied)),
        };
        let queries = self.queries.as_deref();
        definitions::plan(&self.root, files, &self.catalog, &logged, queries)
    }

    /// A service by name, or by name and version.
    ///
    /// # Errors
    /// If there is none.
    pub fn service(&self, name: &str) -> Result<Arc<ServiceDef>, EngineError> {
        service_of(&self.catalog, name)
    }

    /// An anonymous service of features named `view:feature` or `view:*`.
    ///
    /// # Errors
    /// The mistakes in the items.
    pub fn feature_list(&self, items: &[String]) -> Result<Arc<ServiceDef>, EngineError> {
        feature_list_of(&self.catalog, items)
    }

    /// A cut that was asked for, or everything.
    ///
    /// # Errors
    /// If it holds more than was applied.
    pub(crate) fn known(&self, wanted: Option<&Cut>) -> Result<Cut, EngineError> {
        let Some(cut) = wanted else {
            return Ok(self.applied.clone());
        };
        self.refuse_beyond(cut)?;
        Ok(cut.clone())
    }

    /// Refuses a cut that holds more than was applied.
    ///
    /// # Errors
    /// [`EngineError::CutBeyond`].
    pub fn refuse_beyond(&self, cut: &Cut) -> Result<(), EngineError> {
        refuse_beyond(&self.catalog, &self.applied, cut)
    }

    /// A cut in words: `departures/0@1234,weather/0@99`; a partition's end is the first
    /// offset that is not in the cut.
    pub fn format_cut(&self, cut: &Cut) -> String {
        format_cut(&self.catalog, cut)
    }

    /// Reads [`Offline::format_cut`]'s words. Partitions that are not named are not known.
    ///
    /// # Errors
    /// If the words are no cut, or name a source that there is not.
    pub fn parse_cut(&self, text: &str) -> Result<Cut, EngineError> {
        parse_cut(&self.catalog, text)
    }
}

/// Refuses a cut that holds more than is applied.
fn refuse_beyond(catalog: &Catalog, applied: &Cut, cut: &Cut) -> Result<(), EngineError> {
    for (source, partition, wanted) in cut.iter() {
        let end = applied.end(source, partition);
        if wanted > end {
            return Err(EngineError::CutBeyond {
                name: source_name(catalog, source),
                partition: partition.0,
                wanted: wanted.0,
                applied: end.0,
            });
        }
    }
    Ok(())
}

fn source_name(catalog: &Catalog, id: SourceId) -> String {
    catalog
        .source_by_id(id)
        .map_or_else(|| format!("source {}", id.0), |def| def.name.clone())
}

fn format_cut(catalog: &Catalog, cut: &Cut) -> String {
    let mut parts: Vec<String> = cut
        .iter()
        .map(|(source, partition, end)| {
            let name = source_name(catalog, source);
            format!("{name}/{}@{}", partition.0, end.0)
        })
        .collect();
    parts.sort();
    parts.join(",")
}

fn parse_cut(catalog: &Catalog, text: &str) -> Result<Cut, EngineError> {
    let wrong = |reason: &str| EngineError::Cut {
        text: text.to_owned(),
        reason: reason.to_owned(),
    };
    let mut cut = Cut::empty();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (place, end) = part
            .rsplit_once('@')
            .ok_or_else(|| wrong("a part has no `@`"))?;
        let (name, partition) = place.rsplit_once('/').unwrap_or((place, "0"));
        let partition = partition
            .parse()
            .map_err(|_| wrong("a partition is not a number"))?;
        let end = end.parse().map_err(|_| wrong("an end is not a number"))?;
        let source = catalog
            .sources
            .get(name)
            .ok_or_else(|| unknown("source", name, catalog.sources.keys()))?;
        cut.set_end(source.id, Partition(partition), Offset(end));
    }
    Ok(cut)
}
