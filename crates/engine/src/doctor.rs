//! Looking at every byte of a store for damage, and building again what can be built.
//!
//! Registry and log are the truth: damage there is named, with file and byte, and a backup is
//! the cure. The hot tier is computed from them: damage there is named with source, key and
//! row, and building it again is the cure. Of other files the reason says what to do.
//!
//! A store that a server holds is looked at, too (`in_use`), and not repaired.

mod in_use;
mod records;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_log::{
    DiskFileSystem, Log, LogError, LogOptions, LogReader, ReadOptions, SystemClock,
};
use evenkeel_store::{EmbeddedKv, Finding, IndexShape, Kv, Snapshot, Space, StoreError, examine};
use evenkeel_types::DataType;
use evenkeel_types::codec::decode_values;
use evenkeel_types::definition::Catalog;
use evenkeel_view::Plan;

use crate::cold_tier::ColdTier;
use crate::dataset::examine_datasets;
use crate::definitions::catalog_of;
use crate::engine::{Engine, hot_directory, log_directory};
use crate::error::{EngineError, ErrorKind, chain};
use crate::hot_store::{ColdLog, StoreState, index_digest};
use crate::ledger;
use crate::machine::Machine;
use crate::project::Project;
use crate::registry::Registry;
use crate::segment::FrozenSegments;
pub use in_use::InUse;

/// The part of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The definitions.
    Registry,
    /// The events.
    Log,
    /// What reads need, computed from the log.
    HotTier,
    /// A training dataset that was built.
    Dataset,
    /// A frozen segment.
    Segment,
    /// A small file that says what was done, or how far something is.
    Record,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where.
    pub part: Part,
    /// The source, if it can be told.
    pub source: Option<String>,
    /// The entity key in words, if it can be told.
    pub key: Option<String>,
    /// The file, or the row of the hot tier.
    pub place: String,
    /// The first byte that is wrong, from the start of the file.
    pub offset: Option<u64>,
    /// What is wrong.
    pub reason: String,
}

/// What the doctor saw.
#[derive(Clone, Debug, Default)]
pub struct Examination {
    /// Records of the registry.
    pub registry_records: u64,
    /// Events of the log that were read.
    pub events: u64,
    /// Dead letters that were read.
    pub dead_letters: u64,
    /// Rows of the hot tier.
    pub rows: u64,
    /// Entries in them: an event is one per index of its source.
    pub entries: u64,
    /// Entries that left the hot tier, and are in the log.
    pub cold_entries: u64,
    /// What is wrong.
    pub damages: Vec<Damage>,
    /// Whether the hot tier was built again.
    pub rebuilt: bool,
}

/// Is told how far the doctor is: `events` of the log and then `rows` of the hot tier; a break
/// ends it.
pub type Watch<'a> = dyn Fn(&'static str, u64) -> ControlFlow<()> + Sync + 'a;

/// Events of the log, or rows of the hot tier, between two calls of it.
const WATCH_EVERY: u64 = 10_000;

/// Looks at a whole store, which nobody may hold. With `repair` the hot tier is built again
/// if anything in it is damaged.
///
/// # Errors
/// If the store is in use, cannot be looked at for another reason than damage, or what was found cannot be repaired;
/// [`EngineError::Stopped`].
pub fn doctor(
    project: &Project,
    repair: bool,
    watch: &Watch<'_>,
) -> Result<Examination, EngineError> {
    Engine::refuse_forgetting(project, &Machine::default())?;
    let mut examination = Examination::default();
    let (catalog, identity) = registry(project, &mut examination)?;
    beside(project, &mut examination)?;
    // Held while we look, so that nothing changes.
    let lock = match Log::open(
        Arc::new(DiskFileSystem),
        &log_directory(&project.store),
        Arc::new(SystemClock),
        LogOptions::default(),
    ) {
        Ok((log, _)) => Some(log),
        Err(error) => {
            let error = EngineError::log(error);
            if error.kind() == ErrorKind::Busy {
                return Err(error);
            }
            // What cannot be looked at is not said to be whole.
            let damage = log_damage(&error).ok_or(error)?;
            examination.damages.push(damage);
            None
        }
    };
    if let Some(log) = &lock {
        stand_lake_behind(project, identity, log, &catalog);
        read_log(log, &catalog, &mut examination, watch)?;
        hot_tier(project, log, &catalog, &mut examination, watch)?;
    }
    drop(lock);
    let has = |part: Part| examination.damages.iter().any(|d| d.part == part);
    let truth_is_whole = !has(Part::Registry) && !has(Part::Log);
    if repair && truth_is_whole && has(Part::HotTier) {
        let hot = hot_directory(&project.store);
        std::fs::remove_dir_all(&hot).map_err(|source| EngineError::Write { path: hot, source })?;
        Engine::open(project)?.checkpoint()?;
        examination.rebuilt = true;
    }
    Ok(examination)
}

/// What a truncated log has no more is in the lake.
fn stand_lake_behind(
    project: &Project,
    identity: Option<String>,
    log: &LogReader,
    catalog: &Arc<Catalog>,
) {
    let cold = ColdTier::of(project, &Machine::default(), identity);
    cold.stand_behind(log, catalog);
}

/// What was defined, and what tells the store from others.
fn registry(
    project: &Project,
    examination: &mut Examination,
) -> Result<(Arc<Catalog>, Option<String>), EngineError> {
    let damage = |path: &PathBuf, reason: String| Damage {
        part: Part::Registry,
        source: None,
        key: None,
        place: path.display().to_string(),
        offset: None,
        reason,
    };
    match Registry::open(&project.store) {
        Ok(registry) => {
            examination.registry_records = registry.records().len() as u64;
            let catalog = catalog_of(&registry, Some(project.functions.clone()))?;
            Ok((Arc::new(catalog), registry.identity()))
        }
        Err(EngineError::Registry { path, reason }) => {
            examination.damages.push(damage(&path, reason));
            Ok((Arc::default(), None))
        }
        Err(error) => Err(error),
    }
}

/// Every byte of what is kept beside registry and log: datasets, frozen segments, records.
fn beside(project: &Project, examination: &mut Examination) -> Result<(), EngineError> {
    let segments = FrozenSegments::of(&project.store).examine()?;
    let segments = segments.into_iter().map(|found| (Part::Segment, found));
    let datasets = examine_datasets(&project.store)?;
    let datasets = datasets.into_iter().map(|found| (Part::Dataset, found));
    let damages = datasets
        .chain(segments)
        .map(|(part, (path, reason))| Damage {
            part,
            source: None,
            key: None,
            place: path.display().to_string(),
            offset: None,
            reason,
        });
    examination.damages.extend(damages);
    examination.damages.extend(records::examine(project)?);
    Ok(())
}

fn log_damage(error: &EngineError) -> Option<Damage> {
    let error = match error {
        // What does not answer is not damaged.
        EngineError::Lake(error) if !error.is_away() => {
            return Some(Damage {
                part: Part::Log,
                source: None,
                key: None,
                place: "the lake".to_owned(),
                offset: None,
                reason: format!("the events that the lake keeps: {}", chain(&**error)),
            });
        }
        EngineError::Log(error) => error,
        _ => return None,
    };
    let (place, offset, reason) = match &**error {
        LogError::Damaged { path, at, source } => {
            (path.display().to_string(), Some(*at), source.to_string())
        }
        LogError::LostSuffix { directory, .. } | LogError::MissingSegment { directory, .. } => {
            (directory.display().to_string(), None, error.to_string())
        }
        LogError::OlderMissing { path, .. } => {
            (path.display().to_string(), None, error.to_string())
        }
        LogError::Lake { .. } => ("the lake".to_owned(), None, chain(&**error)),
        LogError::MissingMark { path } => (path.display().to_string(), None, error.to_string()),
        _ => return None,
    };
    Some(Damage {
        part: Part::Log,
        source: None,
        key: None,
        place,
        offset,
        reason,
    })
}

/// Reads every record of the log.
fn read_log(
    log: &LogReader,
    catalog: &Catalog,
    examination: &mut Examination,
    watch: &Watch<'_>,
) -> Result<(), EngineError> {
    let mut failed = |error: LogError| -> Result<(), EngineError> {
        let error = EngineError::log(error);
        match log_damage(&error) {
            Some(damage) => {
                examination.damages.push(damage);
                Ok(())
            }
            None => Err(error),
        }
    };
    let mut events = 0;
    for logged in log.read(ReadOptions::default()) {
        if let Err(error) = logged {
            failed(error)?;
            break;
        }
        events += 1;
        stop_or_go(watch, "events", events)?;
    }
    let mut letters = 0;
    for def in catalog.sources.values() {
        match log.dead_letters(def.id) {
            Err(error) => failed(error)?,
            Ok(found) => {
                for letter in found {
                    if let Err(error) = letter {
                        failed(error)?;
                        break;
                    }
                    letters += 1;
                }
            }
        }
    }
    if let Err(error) = log.correlation_count() {
        failed(error)?;
    }
    examination.events = events;
    examination.dead_letters = letters;
    Ok(())
}

/// An error if it is to end.
fn stop_or_go(watch: &Watch<'_>, what: &'static str, done: u64) -> Result<(), EngineError> {
    if done.is_multiple_of(WATCH_EVERY) && watch(what, done).is_break() {
        return Err(EngineError::Stopped);
    }
    Ok(())
}

fn hot_damage(place: String, reason: String) -> Damage {
    Damage {
        part: Part::HotTier,
        source: None,
        key: None,
        place,
        offset: None,
        reason,
    }
}

/// A hot tier as it is at one moment.
struct HotTier {
    place: String,
    kv: Arc<dyn Kv>,
    snapshot: Arc<dyn Snapshot>,
    state: StoreState,
}

/// Opens the hot tier, and looks at it.
fn hot_tier(
    project: &Project,
    log: &LogReader,
    catalog: &Catalog,
    examination: &mut Examination,
    watch: &Watch<'_>,
) -> Result<(), EngineError> {
    let path = hot_directory(&project.store);
    if !path.exists() {
        return Ok(());
    }
    let place = path.display().to_string();
    let state = EmbeddedKv::open(&path, project.limits.memory_bytes / 4)
        .and_then(|(kv, opened)| Ok((StoreState::read(&kv)?, kv, opened)));
    let (state, kv, opened) = match state {
        Ok(opened) => opened,
        Err(error @ StoreError::Version { .. }) => return Err(error.into()),
        Err(error) => {
            let damage = hot_damage(place, error.to_string());
            examination.damages.push(damage);
            return Ok(());
        }
    };
    if opened.lost_writes > 0 {
        let reason = format!(
            "it came back without its last {} checkpoints; opening the store replays them from the log",
            opened.lost_writes
        );
        examination.damages.push(hot_damage(place.clone(), reason));
    }
    let hot = HotTier {
        place,
        snapshot: kv.snapshot(),
        kv: Arc::new(kv),
        state,
    };
    hot_rows(hot, log, catalog, examination, watch)
}

/// Looks at every row of the hot tier, and whether it has as many events as the log.
fn hot_rows(
    hot: HotTier,
    log: &LogReader,
    catalog: &Catalog,
    examination: &mut Examination,
    watch: &Watch<'_>,
) -> Result<(), EngineError> {
    let HotTier {
        place,
        kv,
        snapshot,
        state,
    } = hot;
    let snapshot = in_use::Watched::new(snapshot, watch);
    let plan = Plan::of(catalog).map_err(EngineError::signature)?;
    let mut shapes: BTreeMap<u32, (String, IndexShape)> = BTreeMap::new();
    let mut numbers = Vec::new();
    for (position, index) in plan.indexes().iter().enumerate() {
        let Some(number) = state.index(&index_digest(index)) else {
            continue;
        };
        let row = index.source().row_types();
        let key = index.key_columns().iter().map(|&slot| row[slot].clone());
        let shape = IndexShape {
            key: key.collect(),
            columns: index.types().into(),
            aggregates: Arc::clone(index.aggregates()),
        };
        numbers.push((number, position));
        shapes.insert(number, (index.source().name.clone(), shape));
    }
    let shape = |number| shapes.get(&number).map(|(_, shape)| shape.clone());
    let examined = examine(&snapshot, &shape).and_then(|mut examined| {
        if snapshot.is_stopped() {
            return Ok(examined);
        }
        let sources = catalog.sources.values();
        let cold = ColdLog::new(kv, Arc::new(plan), sources, &state, Arc::new(log.clone()));
        for (number, position) in numbers {
            examined.check_cold(number, position, &cold)?;
        }
        Ok(examined)
    });
    snapshot.refuse_if_stopped()?;
    match examined {
        Ok(examined) => {
            examination.cold_entries += examined.cold_entries;
            examination.rows += examined.rows;
            examination.entries += examined.entries;
            let found = examined.findings.into_iter().map(|f| in_words(f, &shapes));
            examination.damages.extend(found);
        }
        Err(error) => {
            let damage = hot_damage(place.clone(), error.to_string());
            examination.damages.push(damage);
        }
    }
    for space in [
        Space::Meta,
        Space::Identities,
        Space::Contested,
        Space::EventIds,
    ] {
        let examined = snapshot.examine(space, &mut |key, value| {
            examination.rows += 1;
            let result = value
                .map_err(|e| e.to_string())
                .and_then(|value| ledger::check_row(space, value).map_err(|e| e.to_string()));
            if let Err(reason) = result {
                let place = evenkeel_store::RowPlace {
                    space,
                    key: key.to_vec(),
                };
                let mut damage = hot_damage(place.to_string(), reason);
                damage.source = source_of(key, &state, catalog);
                examination.damages.push(damage);
            }
        });
        snapshot.refuse_if_stopped()?;
        if let Err(error) = examined {
            let damage = hot_damage(format!("{place} ({space})"), error.to_string());
            examination.damages.push(damage);
        }
    }
    for def in catalog.sources.values() {
        let mut logged = 0;
        let options = ReadOptions {
            sources: Some(vec![def.id]),
            until: Some(state.applied.clone()),
            ..ReadOptions::default()
        };
        for event in log.read(options) {
            if event.is_err() {
                // Named already.
                return Ok(());
            }
            logged += 1;
            stop_or_go(watch, "events", logged)?;
        }
        let applied = state.source(def.id).entries;
        if applied != logged {
            let mut damage = hot_damage(
                place.clone(),
                format!("it has {applied} events, the log has {logged} up to the same place"),
            );
            damage.source = Some(def.name.clone());
            examination.damages.push(damage);
        }
    }
    Ok(())
}

/// The source of a ledger's row.
fn source_of(row: &[u8], state: &StoreState, catalog: &Catalog) -> Option<String> {
    let mut sources = catalog.sources.values();
    let def = sources.find(|def| row.starts_with(&state.ledger(def.id).prefix()))?;
    Some(def.name.clone())
}

fn in_words(finding: Finding, shapes: &BTreeMap<u32, (String, IndexShape)>) -> Damage {
    let index = finding.index.and_then(|number| shapes.get(&number));
    let key = index.zip(finding.key).and_then(|((_, shape), key)| {
        let types: &[DataType] = &shape.key;
        let values = decode_values(&key, types).ok()?;
        let words = values.iter().zip(types).map(|(value, data_type)| {
            evenkeel_connect::value_to_json(data_type, value).to_string()
        });
        Some(words.collect::<Vec<_>>().join(", "))
    });
    Damage {
        part: Part::HotTier,
        source: index.map(|(source, _)| source.clone()),
        key,
        place: finding.place.to_string(),
        offset: None,
        reason: finding.reason,
    }
}
