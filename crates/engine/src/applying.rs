//! Definitions that are applied while a store is in use: what is new is built beside it, then
//! reads go over at once.
//!
//! [`Engine::begin_apply`] and [`Applying::switch`] have the engine for moments, everything
//! between has the log alone. Killed before the registry has the record, nothing has
//! happened; killed after it, the next start builds what is missing
//! (`docs/decisions/0013-definitions-beside-reads.md`).

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use evenkeel_log::LogReader;
use evenkeel_store::Kv;
use evenkeel_types::SourceId;
use evenkeel_types::definition::{Catalog, SourceDef};

use crate::api::Change;
use crate::definitions::{self, ChangePlan};
use crate::emission::{in_order, with_read};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::hot_store::{Beside, Folder};
use crate::offline::Online;
use crate::registry::{Object, Registry};

/// So few events are caught up with under the engine's lock.
const LAST_EVENTS: u64 = 128;
/// More are not caught up with under it.
const LAST_EVENTS_MAX: u64 = 8 * LAST_EVENTS;
/// With a stream that is behind by more records nothing is built that ends it.
const ENDS_BEHIND_MAX: u64 = 16_384;
/// Rounds of catching up with what came meanwhile; each is shorter than the one before.
const ROUNDS_MAX: usize = 16;

/// Definitions on their way. See the module.
pub struct Applying {
    changes: Vec<Change>,
    objects: Vec<Object>,
    beside: Beside,
    registry: Registry,
    log: LogReader,
    /// The hot tier's, as long as nobody opens it again.
    kv: Weak<dyn Kv>,
    /// See [`Engine::kv_users`].
    users: Weak<()>,
    applied_at: i64,
    /// Sources that change as only a source without events may.
    without_events: Vec<SourceId>,
    /// Whether derived streams end, which emit what is logged before.
    ends_streams: bool,
    is_recorded: bool,
}

/// What became of an attempt to go over.
pub enum Switched {
    /// Reads find the new definitions.
    Done(Vec<Change>),
    /// A checkpoint is under way, or much came meanwhile: catch up and try again.
    Later(Box<Applying>),
}

impl Engine {
    /// Begins to apply a plan; nothing is built yet.
    ///
    /// # Errors
    /// If the store is open for reading only, or what is needed cannot be built here.
    pub fn begin_apply(&self, plan: ChangePlan) -> Result<Applying, EngineError> {
        self.log()?;
        let ChangePlan {
            changes, objects, ..
        } = plan;
        let files = Arc::clone(&self.machine().files);
        let registry = Registry::open_in(files, &self.project().store)?;
        if registry.records() != self.registry().records() {
            return Err(EngineError::RegistryRace {
                path: self.project().store.clone(),
            });
        }
        let now = self.now().0;
        let catalog = if objects.is_empty() {
            Arc::clone(self.shared_catalog())
        } else {
            let registry = registry.with(now, objects.clone());
            Arc::new(definitions::catalog_of(
                &registry,
                self.catalog().host.clone(),
            )?)
        };
        let cut = self.cut();
        let has_events = |id: SourceId| cut.iter().any(|(s, _, end)| s == id && end.0 > 0);
        let without_events = objects
            .iter()
            .filter_map(|object| object.source_id)
            .map(SourceId)
            .filter(|id| self.catalog().source_by_id(*id).is_some() && !has_events(*id))
            .collect();
        self.refuse_ends_behind(&catalog, ENDS_BEHIND_MAX)?;
        let ends_streams = self.ending(&catalog).next().is_some();
        Ok(Applying {
            ends_streams,
            changes,
            objects,
            applied_at: now,
            without_events,
            ..self.going_over(registry, catalog)?
        })
    }

    /// Begins to go over to definitions that are recorded and that this engine does not have: a
    /// switch failed after they were. None if there are none. Afterwards others can be applied.
    ///
    /// # Errors
    /// As [`Engine::begin_apply`]; if the registry cannot be read.
    pub fn begin_recorded(&self) -> Result<Option<Applying>, EngineError> {
        self.log()?;
        let files = Arc::clone(&self.machine().files);
        let registry = Registry::open_in(files, &self.project().store)?;
        let known = self.registry().records();
        if registry.records().len() <= known.len() || !registry.records().starts_with(known) {
            return Ok(None);
        }
        let host = self.catalog().host.clone();
        let catalog = Arc::new(definitions::catalog_of(&registry, host)?);
        Ok(Some(Applying {
            is_recorded: true,
            ..self.going_over(registry, catalog)?
        }))
    }

    /// The streams that emit and have ended in another catalog.
    fn ending<'a>(&'a self, catalog: &'a Catalog) -> impl Iterator<Item = &'a Arc<SourceDef>> {
        let emitting = self.catalog().emitting();
        emitting.filter(|def| {
            catalog
                .source_by_id(def.id)
                .is_some_and(|new| new.has_ended())
        })
    }

    /// Where a stream ends must not depend on how far it is: what is logged before it ends is emitted.
    /// What cannot go on, or waits for what cannot, ends where it is.
    fn refuse_ends_behind(&self, catalog: &Catalog, most: u64) -> Result<(), EngineError> {
        let stuck = self.emission_failures();
        let ordered = in_order(self.catalog());
        for def in self.ending(catalog) {
            let read = with_read(&ordered, &BTreeSet::from([def.id]));
            let behind = self.emission_lag(def);
            if behind > most && !read.iter().any(|id| stuck.contains_key(id)) {
                return Err(EngineError::StillEmitting {
                    stream: def.name.clone(),
                    behind,
                });
            }
        }
        Ok(())
    }

    fn going_over(
        &self,
        registry: Registry,
        catalog: Arc<Catalog>,
    ) -> Result<Applying, EngineError> {
        let folder = Folder::of(&self.project().store, &self.machine().stores);
        let limits = self.memory_limits();
        Ok(Applying {
            changes: Vec::new(),
            objects: Vec::new(),
            beside: self.hot().beside(folder, catalog, self.reader(), limits)?,
            registry,
            log: self.reader().clone(),
            kv: Arc::downgrade(self.hot().kv()),
            users: Arc::downgrade(self.kv_users()),
            applied_at: self.now().0,
            without_events: Vec::new(),
            ends_streams: false,
            is_recorded: false,
        })
    }
}

impl Applying {
    /// Builds what is new, catches up, and records the definitions. `progress` is told stage,
    /// done and total, and may stop it, as long as they are not recorded: what is built then stays for
    /// whoever applies the same again.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the log cannot be read, or the store not be written.
    pub fn build(
        &mut self,
        online: &impl Online,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        let built = self.build_all(online, progress);
        if matches!(built, Err(EngineError::Stopped)) {
            self.beside.keep();
        }
        built
    }

    fn build_all(
        &mut self,
        online: &impl Online,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        let cut = online.with(Engine::cut);
        let total = self.beside.behind(&cut);
        if progress("building", 0, total).is_break() {
            return Err(EngineError::Stopped);
        }
        let mut reach = |done: u64| progress("building", done.min(total), total);
        self.beside.build(&self.log, &cut, &mut reach)?;
        self.catch_up(online, &mut reach)?;
        let users = self.users.upgrade();
        let kv = self.kv.upgrade().ok_or(EngineError::HotTierChanged)?;
        self.beside.copy_to(kv.as_ref(), &mut reach)?;
        drop((kv, users));
        self.catch_up(online, &mut reach)?;
        if online.with(Engine::needs_healing) {
            // Nobody could go over to them.
            return Err(EngineError::HotTierChanged);
        }
        if !self.objects.is_empty() && self.without_events.is_empty() && !self.ends_streams {
            let objects = std::mem::take(&mut self.objects);
            self.registry.append(self.applied_at, objects)?;
            self.is_recorded = true;
        }
        Ok(())
    }

    /// Builds what came meanwhile, but for the last events.
    ///
    /// # Errors
    /// If the log cannot be read, or the store not be written.
    pub fn catch_up_again(&mut self, online: &impl Online) -> Result<(), EngineError> {
        self.catch_up(online, &mut |_| ControlFlow::Continue(()))
    }

    /// Whether the definitions are recorded: if nothing else, the next start goes over.
    pub fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    fn catch_up(
        &mut self,
        online: &impl Online,
        reach: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        for _ in 0..ROUNDS_MAX {
            let cut = online.with(Engine::cut);
            if self.beside.behind(&cut) <= LAST_EVENTS {
                break;
            }
            self.beside.build(&self.log, &cut, reach)?;
        }
        Ok(())
    }

    /// How many indexes are built.
    pub fn indexes(&self) -> usize {
        self.beside.indexes()
    }

    /// Goes over to the new definitions: the last events, and the switch. Everything that is
    /// logged is applied: nobody appends meanwhile.
    ///
    /// # Errors
    /// If events came that the change of a source without events does not allow; if the log
    /// cannot be read: then the next start goes over.
    pub fn switch(mut self, engine: &mut Engine) -> Result<Switched, EngineError> {
        if engine.is_checkpointing() {
            return Ok(Switched::Later(Box::new(self)));
        }
        // What a checkpoint that failed had begun is still there: the next commit opens the hot
        // tier again.
        let is_other = !Weak::ptr_eq(&self.kv, &Arc::downgrade(engine.hot().kv()));
        if is_other || engine.needs_healing() {
            return Err(EngineError::HotTierChanged);
        }
        if self.ends_streams {
            // Nothing is recorded yet: it can be applied again.
            engine.refuse_ends_behind(self.beside.catalog(), 0)?;
        }
        let cut = engine.cut();
        if self.beside.behind(&cut) > LAST_EVENTS_MAX {
            return Ok(Switched::Later(Box::new(self)));
        }
        let has_events = |id: &SourceId| cut.iter().any(|(s, _, end)| s == *id && end.0 > 0);
        if let Some(id) = self.without_events.iter().find(|id| has_events(id)) {
            let def = engine.catalog().source_by_id(*id);
            return Err(EngineError::EventsCame {
                source_name: def.map_or_else(String::new, |def| def.name.clone()),
            });
        }
        self.beside
            .build(&self.log, &cut, &mut |_| ControlFlow::Continue(()))?;
        if !self.objects.is_empty() {
            // Rare. Nobody appends meanwhile, so no event comes in between.
            let objects = std::mem::take(&mut self.objects);
            let recorded = self.registry.append(self.applied_at, objects);
            recorded.inspect_err(|_| {
                // What could not be written to its end may be there all the same.
                if !engine.is_registry_known() {
                    engine.unsure_of(self.without_events);
                }
            })?;
        }
        engine.go_over(self.registry, self.beside);
        Ok(Switched::Done(self.changes))
    }
}
