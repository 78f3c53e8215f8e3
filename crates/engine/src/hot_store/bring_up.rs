//! A hot tier brought up for a catalog: what does not fit is dropped, what is missing is
//! built from the log, from where a process that died had come.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_log::{LogReader, ReadOptions};
use evenkeel_store::{Batch, BlocksOptions, Kv, Space, StoreError};
use evenkeel_types::definition::{Catalog, SourceDef};
use evenkeel_types::{Cut, LoggedEvent, Offset, SourceId};
use evenkeel_view::{IndexId, Plan};

use super::state::{BegunIndexes, StoreState, identity_digest, index_digest};
use super::{HotStore, index_rows, wanted_spans};
use crate::error::EngineError;

/// Rows that are removed in one batch.
const REMOVED_ROWS: usize = 20_000;

/// Numbers that bound a hot tier's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryLimits {
    /// A checkpoint is due from so many bytes on.
    pub(crate) dirty_bytes: usize,
    /// What the cache of read blocks may hold.
    pub(crate) cache_bytes: u64,
    /// Entries of a sealed block, as a rule.
    pub(crate) sealed_entries: usize,
}

impl MemoryLimits {
    /// The parts of a limit for everything.
    pub(crate) fn of(bytes: u64, sealed_entries: usize) -> Self {
        MemoryLimits {
            dirty_bytes: usize::try_from(bytes / 4).unwrap_or(usize::MAX),
            cache_bytes: bytes / 2,
            sealed_entries,
        }
    }

    /// Those of blocks, with a cache of so many bytes.
    pub(super) fn blocks(&self, cache_bytes: u64) -> BlocksOptions {
        BlocksOptions {
            sealed_entries: self.sealed_entries,
            ..BlocksOptions::with_cache(cache_bytes)
        }
    }
}

impl HotStore {
    /// The store for a catalog over a key-value store. Afterwards everything up to
    /// `state().applied` is in it.
    pub(crate) fn bring_up(
        kv: Arc<dyn Kv>,
        reader: &LogReader,
        catalog: &Catalog,
        limits: MemoryLimits,
    ) -> Result<Self, EngineError> {
        let plan = Arc::new(Plan::of(catalog).map_err(EngineError::signature)?);
        let mut old = StoreState::read(kv.as_ref())?;
        if !fits(&old, reader, catalog) {
            wipe(kv.as_ref())?;
            old = StoreState::default();
        }
        let mut state = old.clone();
        let spans = wanted_spans(&plan, catalog);
        // What nobody needs stays in the list, to be forgotten below.
        let short = state.short(&spans);
        let short = state.forget(&short);
        let (new, begun) = match state.take_begun(&plan) {
            Some((new, begun)) => (new, Some(begun)),
            None => (state.number_indexes(&plan), None),
        };
        let new: Vec<IndexId> = new.into_iter().map(IndexId).collect();
        let forgotten = state.forget_indexes(&plan);
        state.leaving.extend(forgotten);
        state.leaving.extend(short);
        // The numbers are taken before any row has one.
        old.take_numbers(&state);
        if begun.is_none()
            && let Some(other) = old.begun.take()
        {
            // What is not gone on with leaves, also if this does not come to its end.
            old.leaving.extend(other.indexes.into_values());
        }
        let mut batch = Batch::default();
        old.put(&mut batch);
        kv.write(batch)?;
        // Rows of before are of an index that was half built, beside or here, and is forgotten.
        for id in new.iter().filter(|_| begun.is_none()) {
            let number = state.index(&index_digest(&plan.indexes()[id.0]));
            remove_rows(kv.as_ref(), index_rows(number.unwrap_or(u32::MAX)))?;
        }
        let half_built = state.next_ledgers(catalog.sources.len());
        for ledger in half_built.chain(std::mem::take(&mut state.leaving_ledgers)) {
            remove_rows(kv.as_ref(), ledger.rows())?;
        }
        let sources = catalog.sources.values().cloned();
        let mut hot = HotStore::over(
            Arc::clone(&kv),
            plan,
            sources,
            Arc::new(reader.clone()),
            state,
            limits.blocks(limits.cache_bytes),
        )?;
        hot.build(
            (&new, begun.unwrap_or_default()),
            old,
            reader,
            catalog,
            limits,
        )?;
        for number in std::mem::take(&mut hot.state.leaving) {
            remove_rows(kv.as_ref(), index_rows(number))?;
        }
        Ok(hot)
    }

    /// Builds indexes from what of the log is in the others, from where they are begun.
    fn build(
        &mut self,
        (indexes, mut begun): (&[IndexId], BegunIndexes),
        old: StoreState,
        reader: &LogReader,
        catalog: &Catalog,
        limits: MemoryLimits,
    ) -> Result<(), EngineError> {
        let mut of_source: BTreeMap<SourceId, Vec<IndexId>> = BTreeMap::new();
        for &id in indexes {
            let source = self.plan.indexes()[id.0].source().id;
            if old.source(source).entries > 0 {
                of_source.entry(source).or_default().push(id);
            }
        }
        let (cut, next_sequence) = (old.applied.clone(), old.next_sequence);
        if !of_source.is_empty() {
            self.unfinished = Some(old);
            let options = ReadOptions {
                sources: Some(of_source.keys().copied().collect()),
                after: begun.applied.clone(),
                until: Some(cut.clone()),
                ..ReadOptions::default()
            };
            for &id in indexes {
                let digest = index_digest(&self.plan.indexes()[id.0]);
                begun
                    .indexes
                    .extend(self.state.index(&digest).map(|number| (digest, number)));
            }
            for logged in reader.read(options) {
                let mut logged: LoggedEvent = logged.map_err(EngineError::log)?;
                let entry = begun.entries.entry(logged.source).or_default();
                let end = Offset(logged.position.offset.0 + 1);
                begun
                    .applied
                    .set_end(logged.source, logged.position.partition, end);
                if let Some(def) = catalog.source_by_id(logged.source)
                    && let Some(ids) = of_source.get(&logged.source)
                {
                    def.schema
                        .upgrade(&mut logged)
                        .map_err(|reason| EngineError::schema(def, reason))?;
                    self.apply_to(ids, &logged, *entry)?;
                }
                *entry += 1;
                if self.dirty_bytes() > limits.dirty_bytes {
                    if let Some(old) = &mut self.unfinished {
                        old.begun = Some(begun.clone());
                    }
                    self.checkpoint(&cut, next_sequence)?;
                }
            }
        }
        self.unfinished = None;
        if !indexes.is_empty() {
            self.checkpoint(&cut, next_sequence)?;
        }
        Ok(())
    }

    /// A checkpoint of everything applied, all at once: up to `cut`, which is what the log has
    /// before record number `next_sequence`.
    ///
    /// # Errors
    /// Of the key-value store.
    pub fn checkpoint(&mut self, cut: &Cut, next_sequence: u64) -> Result<(), StoreError> {
        let written = self.begin_checkpoint(cut, next_sequence).write()?;
        self.end_checkpoint(written);
        Ok(())
    }
}

/// Whether a hot tier is one of this log, and identities are what they were.
pub(super) fn fits(state: &StoreState, reader: &LogReader, catalog: &Catalog) -> bool {
    let same_identity = |def: &Arc<SourceDef>| {
        let known = state.source(def.id);
        known.entries == 0 || known.identity == identity_digest(def)
    };
    reader.ends().covers(&state.applied) && catalog.sources.values().all(same_identity)
}

/// Removes every row.
fn wipe(kv: &dyn Kv) -> Result<(), StoreError> {
    // The state first: without it the rest is nothing.
    remove_all(kv, Space::Meta, &[])?;
    for space in Space::ALL {
        remove_all(kv, space, &[])?;
    }
    Ok(())
}

/// Removes the rows of an index or a ledger.
pub(super) fn remove_rows(
    kv: &dyn Kv,
    rows: impl IntoIterator<Item = (Space, Vec<u8>)>,
) -> Result<(), StoreError> {
    rows.into_iter()
        .try_for_each(|(space, prefix)| remove_all(kv, space, &prefix))
}

fn remove_all(kv: &dyn Kv, space: Space, prefix: &[u8]) -> Result<(), StoreError> {
    loop {
        let mut batch = Batch::default();
        kv.snapshot().prefix(space, prefix, &mut |key, _| {
            batch.remove(space, key.to_vec());
            Ok(if batch.len() < REMOVED_ROWS {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        if batch.is_empty() {
            return Ok(());
        }
        kv.write(batch)?;
    }
}
