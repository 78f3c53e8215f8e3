//! Forgetting a key: the one thing that changes the past (`docs/decisions/0041-forget.md`).
//!
//! Owns finding everything that is of a key, deciding, and carrying out what was decided, in log, lake, hot
//! tier and what was made of them. Whoever asks has the store to itself. Invariants: what is decided is
//! carried out, whatever ends the process, before anybody reads the store again; what is not decided leaves
//! no trace; every other key's events keep place, times and content.

mod asked;
mod change;
mod error;
mod journal;
mod places;
mod record;
mod report;
mod roles;
mod scan;
mod subject;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use evenkeel_connect::text_to_value;
use evenkeel_log::{lock_log, put_rewritten, remove_rewritten};
use evenkeel_types::codec::encode_values;
use evenkeel_types::definition::{Catalog, EntityDef};
use evenkeel_types::{Cut, EventTime, Offset, Partition, SourceId, Value, Zone};
use serde::{Deserialize, Serialize};

pub use self::error::ForgetError;
pub use self::report::{
    ForgetReport, ForgottenDataset, ForgottenSegment, ForgottenSource, ForgottenTable, Remaining,
};

use self::asked::Asked;
pub(crate) use self::change::Work;
use self::journal::{FORMAT, Plan};
use self::places::Lines;
pub(crate) use self::record::{emitted_before, forgotten};
use self::report::{PSEUDONYM, REMOVE};
use self::roles::{Roles, in_words, namesakes, roles_of};
use self::scan::{Found, Scan};
use self::subject::{Subject, pseudonym_of};
use crate::cold_tier::ColdTier;
use crate::definitions::{catalog_of, unknown};
use crate::engine::{Engine, hot_directory, log_directory};
use crate::error::{EngineError, chain};
use crate::hot_store::Folder;
use crate::machine::Machine;
use crate::offline::Offline;
use crate::project::Project;
use crate::record_file::DamagedRecord;
use crate::registry::Registry;

/// Where the system gives random bytes.
const RANDOM: &str = "/dev/urandom";

/// Whom to forget, and how.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ForgetRequest {
    /// The entity.
    pub entity: String,
    /// The key: the value of its one part, or `part=value,part=value`.
    pub key: String,
    /// Columns that hold the key besides those that are known, as `source.column,column`.
    pub also: Vec<String>,
    /// What makes a pseudonym; it is drawn at random and kept nowhere. None: events are removed.
    #[serde(skip)]
    pub secret: Option<[u8; 32]>,
    /// Whether files of datasets with rows of the key are removed.
    pub removes_datasets: bool,
}

impl ForgetRequest {
    /// Draws what makes a pseudonym.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn draw() -> Result<[u8; 32], EngineError> {
        let path = Path::new(RANDOM);
        let mut secret = [0; 32];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut secret));
        read.map_err(|source| EngineError::Read {
            path: path.to_owned(),
            source,
        })?;
        Ok(secret)
    }
}

/// What a forget would change: nothing is changed yet.
pub struct ForgetPlan {
    plan: Plan,
    /// Everything that was looked at.
    cut: Cut,
}

impl ForgetPlan {
    /// What was found.
    pub fn report(&self) -> &ForgetReport {
        &self.plan.report
    }
}

impl Offline {
    /// Looks for everything that is of a key; `now` is when that is said to be.
    ///
    /// # Errors
    /// If there is no such entity, or the key is none; [`ForgetError::Pseudonym`]; [`EngineError::Stopped`]; if
    /// the store cannot be read.
    pub fn plan_forget(
        &self,
        request: &ForgetRequest,
        now: EventTime,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<ForgetPlan, EngineError> {
        let catalog = self.catalog();
        let entity = entity_of(catalog, &request.entity)?;
        let key = key_of(entity, &request.key)?;
        let roles = roles_of(catalog, entity, &request.also)?;
        let others = others_of(catalog, entity)?;
        let secret = request.secret.as_ref();
        if secret.is_some() {
            refuse_pseudonym(catalog, &roles, &others)?;
        }
        let pseudonym = secret.map(|secret| pseudonym_of(entity, &key, secret));
        let subject = Subject {
            key,
            pseudonym: pseudonym.transpose()?,
        };
        let found = Scan::new(self, &subject, &roles, others).run(progress)?;
        if found.is_taken {
            let reason = "another key is the one that was drawn: try again".to_owned();
            return Err(ForgetError::Pseudonym { reason }.into());
        }
        let removes_served = secret.is_none() && !found.others.is_empty();
        let report = self.report_of(entity, (&subject, &roles), (&found, removes_served))?;
        let bytes = |values: &[Value]| encode_values(values);
        Ok(ForgetPlan {
            cut: self.cut().clone(),
            plan: Plan {
                format: FORMAT,
                at: now.0,
                entity: entity.name.clone(),
                key: bytes(&subject.key),
                pseudonym: subject.pseudonym.as_deref().map(bytes),
                changes: found.changes,
                removes_datasets: request.removes_datasets,
                removes_served,
                report,
                emitted: BTreeMap::new(),
                checksum: String::new(),
            },
        })
    }

    /// Writes down that a key is to be forgotten when the store is opened to write the next time: for who
    /// has it open and goes on.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn ask_to_forget(
        &self,
        request: &ForgetRequest,
        now: EventTime,
    ) -> Result<(), EngineError> {
        asked::write(self.store(), now.0, request)
    }

    fn report_of(
        &self,
        entity: &EntityDef,
        (subject, roles): (&Subject, &Roles),
        (found, removes_served): (&Found, bool),
    ) -> Result<ForgetReport, EngineError> {
        let catalog = self.catalog();
        let store = self.store();
        let mut report = ForgetReport {
            entity: entity.name.clone(),
            mode: match subject.pseudonym {
                None => REMOVE.to_owned(),
                Some(_) => PSEUDONYM.to_owned(),
            },
            dry_run: true,
            ..ForgetReport::default()
        };
        for (id, counts) in &found.counts {
            let Some(def) = catalog.source_by_id(*id) else {
                continue;
            };
            for slots in roles.get(id).into_iter().flatten() {
                report.columns.push(in_words(def, slots));
            }
            if counts.events + counts.before + counts.letters > 0 {
                report.sources.push(ForgottenSource {
                    source: def.name.clone(),
                    events: counts.events,
                    before_images: counts.before,
                    dead_letters: counts.letters,
                });
            }
            if counts.named_letters > 0 {
                let reason = format!(
                    "{} dead letters name it, in a source that is not known to hold the key: name its column with \
                     --also if it does",
                    counts.named_letters
                );
                report.leaves(format!("dead letters of {}", def.name), reason);
            }
            if counts.named > 0 {
                let reason = format!(
                    "{} events name it in a text that stays: correct them, or name the column with --also",
                    counts.named
                );
                report.leaves(format!("source {}", def.name), reason);
            }
        }
        let others = found.others.iter();
        report.others = others
            .map(|(name, keys)| (name.clone(), keys.len() as u64))
            .collect();
        report.segments = places::segments(store, entity, subject)?;
        let reads = |source: SourceId, cut: &Cut| {
            let changes = found.changes.get(&source.0);
            changes.is_some_and(|changes| {
                let mut events = changes.events.iter();
                events.any(|(partition, offset, _)| {
                    Offset(*offset) < cut.end(source, Partition(*partition))
                })
            })
        };
        report.datasets = places::datasets(self, entity, subject, &reads)?;
        let lines = Lines::of(entity, subject, removes_served);
        report.served = places::served(store, &lines)?;
        for name in namesakes(catalog, entity, roles) {
            let reason =
                "it is called like the key and not known to be one: name it with --also if it is";
            report.leaves(format!("column {name}"), reason);
        }
        for record in Registry::open(store)?.records() {
            let text = serde_json::to_string(record).unwrap_or_default();
            if subject.is_named(&text) {
                let reason = "a definition has it as a literal, and definitions are kept for ever";
                report.leaves(format!("registry record {}", record.sequence), reason);
            }
        }
        out_of_reach(&mut report);
        Ok(report)
    }
}

impl Engine {
    /// [`Offline::plan_forget`] as of now.
    ///
    /// # Errors
    /// As there.
    pub fn plan_forget(
        &self,
        request: &ForgetRequest,
        progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<ForgetPlan, EngineError> {
        self.offline().plan_forget(request, self.now(), progress)
    }

    /// Carries out what was found. Derived streams go on where they are: what they left out is not emitted later because
    /// somebody was forgotten.
    ///
    /// # Errors
    /// [`ForgetError::EventsCame`]; if log or lake cannot be written. From the moment of the decision on
    /// whoever opens the store to write goes on with it.
    pub fn forget(self, plan: ForgetPlan) -> Result<ForgetReport, EngineError> {
        let (log, machine, project) = (
            self.writer()?,
            self.machine().clone(),
            self.project().clone(),
        );
        if plan.cut != log.ends() {
            return Err(ForgetError::EventsCame.into());
        }
        let mut plan = plan.plan;
        plan.report.dry_run = false;
        plan.emitted = self.reached().clone();
        let found = &plan.report;
        let nothing = found.changes() + found.served == 0;
        if nothing && found.segments.is_empty() && found.datasets.is_empty() {
            return Ok(plan.report);
        }
        let subject = plan.subject(self.catalog(), &journal::path_of(&project.store))?;
        let mut work = Work::of(self.catalog(), &subject, &plan.changes);
        // Refused now rather than when it is decided: somebody else writes there.
        let _written = places::hold(&project.store)?;
        let held = self
            .cold_tier()
            .hold_tables(self.catalog(), &plan.changed_sources())?;
        journal::begin(machine.files.as_ref(), &project.store)?;
        let rewritten = log
            .rewrite(&mut work, machine.log.compression)
            .map_err(EngineError::log)?;
        plan.report.log_segments = rewritten.segments;
        journal::write(machine.files.as_ref(), &project.store, &mut plan)?;
        drop(held);
        // The hot tier is closed, and the log's lock stays.
        drop(self);
        let report = carry_out(&project, &machine, plan);
        drop(log);
        report
    }

    /// Forgets what was asked for and is not forgotten yet. What cannot be stays asked for, with the reason,
    /// and is tried again by the next server.
    pub(crate) fn forget_asked(self) -> Result<Self, EngineError> {
        let (machine, project) = (self.machine().clone(), self.project().clone());
        let mut engine = self;
        for (path, asked) in asked::all(&project.store)? {
            let Ok(mut asked) = asked else {
                continue;
            };
            // With what is known now, and so that it is known how far streams are.
            engine.emit();
            if asked.pseudonym {
                asked.request.secret = Some(ForgetRequest::draw()?);
            }
            let plan = engine.plan_forget(&asked.request, &mut |_, _| ControlFlow::Continue(()));
            let forgotten = match plan {
                Ok(plan) => {
                    let forgotten = engine.forget(plan).map(drop);
                    engine = Engine::open_to_write(&project, machine.clone())?;
                    forgotten
                }
                Err(error) => Err(error),
            };
            match forgotten {
                Ok(()) => asked::remove(&path)?,
                Err(error) => asked::fail(&path, asked, chain(&error))?,
            }
        }
        Ok(engine)
    }

    /// Carries out what was interrupted, and forgets what a server was asked for.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn resume_forgetting(project: &Project) -> Result<(), EngineError> {
        Engine::open(project)?.forget_asked().map(drop)
    }

    /// Why what a server was asked to forget is not forgotten, if anything is not.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn not_forgotten(project: &Project) -> Result<Vec<String>, EngineError> {
        let asked = asked::all(&project.store)?.into_iter();
        let reason = |asked: Result<Asked, EngineError>| match asked {
            Ok(asked) => asked.failed.unwrap_or_else(|| {
                "a server does so when it opens the store the next time".to_owned()
            }),
            Err(damaged) => damaged.with_hint(),
        };
        Ok(asked.map(|(_, asked)| reason(asked)).collect())
    }

    /// Carries out what was decided and not carried out, and removes what somebody left who had not
    /// decided. To be called before a store is opened to write.
    pub(crate) fn finish_forgetting(
        project: &Project,
        machine: &Machine,
    ) -> Result<(), EngineError> {
        let files = machine.files.as_ref();
        let directory = log_directory(&project.store);
        let has_begun = journal::has_begun(files, &project.store)?;
        if !has_begun {
            return Ok(());
        }
        let _lock = lock_log(files, &directory).map_err(EngineError::log)?;
        match journal::read(files, &project.store)? {
            Some(plan) => carry_out(project, machine, plan).map(drop),
            None => {
                remove_rewritten(files, &directory).map_err(EngineError::log)?;
                journal::remove(files, &project.store)
            }
        }
    }

    /// Refuses to read a store of which a part is forgotten and a part is not.
    pub(crate) fn refuse_forgetting(
        project: &Project,
        machine: &Machine,
    ) -> Result<(), EngineError> {
        match journal::read(machine.files.as_ref(), &project.store)? {
            None => Ok(()),
            Some(_) => Err(ForgetError::UnderWay {
                path: project.store.clone(),
            }
            .into()),
        }
    }
}

/// Records of what was forgotten and of what is asked for that are not as they were written.
pub(crate) fn damaged_records(store: &Path) -> Result<Vec<DamagedRecord>, EngineError> {
    let mut damaged = record::damaged(store)?;
    damaged.extend(asked::damaged(store)?);
    Ok(damaged)
}

impl Plan {
    fn changed_sources(&self) -> Vec<SourceId> {
        let changed = self.changes.iter();
        let changed = changed.filter(|(_, changes)| !changes.events.is_empty());
        changed.map(|(id, _)| SourceId(*id)).collect()
    }
}

/// Carries out what is decided; the log's lock is held, and nothing of the store is open.
fn carry_out(
    project: &Project,
    machine: &Machine,
    plan: Plan,
) -> Result<ForgetReport, EngineError> {
    let files = machine.files.as_ref();
    let store = &project.store;
    let registry = Registry::open_in(Arc::clone(&machine.files), store)?;
    let catalog = catalog_of(&registry, Some(project.functions.clone()))?;
    let path = journal::path_of(store);
    let subject = plan.subject(&catalog, &path)?;
    let entity = entity_of(&catalog, &plan.entity)?;
    let work = Work::of(&catalog, &subject, &plan.changes);
    put_rewritten(files, &log_directory(store)).map_err(EngineError::log)?;
    // It is built from the log again: nothing of it is sure to be free of the key otherwise.
    let hot = hot_directory(store);
    machine
        .stores
        .remove(&hot)
        .map_err(|source| EngineError::Write { path: hot, source })?;
    Folder::of(store, &machine.stores).clear()?;
    let mut report = plan.report.clone();
    let cold = ColdTier::of(project, machine, registry.identity());
    let sources = plan.changed_sources();
    (report.lake, report.pins) = cold.forget(&catalog, &sources, &work)?;
    places::thaw(store, entity, &subject, &report)?;
    if plan.removes_datasets {
        places::remove_datasets(&mut report)?;
    }
    let lines = Lines::of(entity, &subject, plan.removes_served);
    places::remove_served(store, &lines)?;
    remove_spool(store)?;
    for dataset in report.datasets.iter().filter(|d| d.rows != Some(0)) {
        report.remains.push(Remaining {
            place: format!("dataset {}", dataset.dataset),
            reason: "its manifest keeps the least and greatest values of its features, and what transforms were \
                     fitted to"
                .to_owned(),
        });
        if !dataset.removed {
            report.remains.push(Remaining {
                place: format!("dataset {}", dataset.dataset),
                reason:
                    "its files have rows of the key: remove them, or forget with --delete-datasets"
                        .to_owned(),
            });
        }
    }
    record::write(store, plan.at, &report, &plan.emitted)?;
    journal::remove(files, store)?;
    Ok(report)
}

/// Training sets on their way to a client, of a server that was killed.
fn remove_spool(store: &Path) -> Result<(), EngineError> {
    let path = store.join("spool");
    match std::fs::remove_dir_all(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(EngineError::Write { path, source })
        }
        _ => Ok(()),
    }
}

fn entity_of<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a EntityDef, EngineError> {
    let entity = catalog.entities.get(name);
    entity
        .map(AsRef::as_ref)
        .ok_or_else(|| unknown("entity", name, catalog.entities.keys()))
}

fn key_of(entity: &EntityDef, text: &str) -> Result<Vec<Value>, EngineError> {
    let wrong = |reason: String| {
        EngineError::from(ForgetError::Key {
            entity: entity.name.clone(),
            reason,
        })
    };
    let names: Vec<&str> = entity.keys.iter().map(|key| key.name.as_str()).collect();
    let mut texts: BTreeMap<&str, &str> = BTreeMap::new();
    match names[..] {
        [only] => {
            let text = text
                .strip_prefix(only)
                .and_then(|t| t.strip_prefix('='))
                .unwrap_or(text);
            texts.insert(only, text);
        }
        _ => {
            for part in text.split(',') {
                let (name, value) = part
                    .split_once('=')
                    .ok_or_else(|| wrong(format!("`{part}` is not PART=VALUE")))?;
                texts.insert(name.trim(), value);
            }
        }
    }
    if texts.len() != names.len() || !names.iter().all(|name| texts.contains_key(name)) {
        return Err(wrong(format!("give each of {}", names.join(", "))));
    }
    let parts = entity.keys.iter().map(|key| {
        let text = texts[key.name.as_str()];
        let value = text_to_value(&key.data_type, text, &Zone::utc());
        let value =
            value.map_err(|e| wrong(format!("`{}` is {}: {e}", key.name, key.data_type)))?;
        match value.is_missing() {
            true => Err(wrong(format!("`{}` is NULL, which is no key", key.name))),
            false => Ok(value),
        }
    });
    parts.collect()
}

/// The roles of the other entities.
fn others_of(
    catalog: &Catalog,
    entity: &EntityDef,
) -> Result<BTreeMap<String, Roles>, EngineError> {
    let others = catalog.entities.values().filter(|e| e.name != entity.name);
    others
        .map(|other| Ok((other.name.clone(), roles_of(catalog, other, &[])?)))
        .collect()
}

/// Refuses to put something in the place of a key where that would make other keys others.
fn refuse_pseudonym(
    catalog: &Catalog,
    roles: &Roles,
    others: &BTreeMap<String, Roles>,
) -> Result<(), EngineError> {
    let refused = |reason: String| Err(ForgetError::Pseudonym { reason }.into());
    for (id, own) in roles {
        let Some(def) = catalog.source_by_id(*id) else {
            continue;
        };
        for slots in own {
            if let Some(slot) = slots.iter().find(|slot| **slot >= def.stored) {
                return refused(format!(
                    "`{}` is computed from other columns, which would have to change",
                    in_words(def, &[*slot])
                ));
            }
            for (name, roles) in others {
                // A key that has this one as a part is its, too.
                let mixed = roles.get(id).into_iter().flatten().find(|other| {
                    other.iter().any(|slot| slots.contains(slot))
                        && !slots.iter().all(|slot| other.contains(slot))
                });
                if let Some(other) = mixed {
                    return refused(format!(
                        "`{}` is the key of `{name}`, too, which would become another one",
                        in_words(def, other)
                    ));
                }
            }
        }
    }
    Ok(())
}

/// What no store reaches.
fn out_of_reach(report: &mut ForgetReport) {
    for (place, reason) in [
        (
            "backups",
            "copies that were made before have the key: remove them, or forget again after restoring one",
        ),
        (
            "files outside the store",
            "what was ingested, spines, training sets, results of trials and backtests are where they were \
             written; ingested again they are back",
        ),
        (
            "the disk",
            "files are removed and written anew; blocks that are free are overwritten by whom they are given to next",
        ),
    ] {
        report.leaves(place, reason);
    }
}
