//! What a store holds: sources, watermarks, views, dead letters.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use evenkeel_log::{LogReader, LoggedDeadLetter};
use evenkeel_types::SourceId;
use evenkeel_types::definition::{SourceDef, SourceKind, ViewBody};

use crate::api::{DeadLetterRow, SourceStatus, StoreStatus};
use crate::comparison::ComparisonRecord;
use crate::dataset::DatasetFolder;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::slices::Reading;

impl Engine {
    /// The state of the store.
    pub fn status(&self) -> Result<StoreStatus, EngineError> {
        let sources = self.catalog().sources.values();
        let letters = sources
            .map(|def| Ok((def.id, self.open_letters(def)?.len() as u64)))
            .collect::<Result<_, EngineError>>()?;
        self.status_with(&letters)
    }

    /// The state of the store, where the open dead letters are counted already
    /// ([`dead_letters`]): the part that needs no scan.
    pub fn status_with(
        &self,
        letters: &BTreeMap<SourceId, u64>,
    ) -> Result<StoreStatus, EngineError> {
        let cut = self.cut();
        let mut sources = Vec::new();
        for def in self.catalog().sources.values() {
            let state = self.hot().source(def.id);
            let greatest_time = state.and_then(|s| s.greatest_time());
            let ends: Vec<(u32, u64)> = cut
                .iter()
                .filter(|(source, ..)| *source == def.id)
                .map(|(_, partition, end)| (partition.0, end.0))
                .collect();
            let store = &self.project().store;
            sources.push(SourceStatus {
                // What does not read is written anew by the next comparison.
                compared: ComparisonRecord::read(store, &def.name).unwrap_or_default(),
                name: def.name.clone(),
                kind: match def.kind {
                    SourceKind::Stream => "stream",
                    SourceKind::Table => "table",
                },
                events: state.map_or(0, |s| s.len()),
                dead_letters: letters.get(&def.id).copied().unwrap_or(0),
                ends,
                greatest_time,
                watermark: self.watermark(def),
                visible_at: self.reader().timeline(),
                // Beside a writer it is not known.
                emission_lag: (def.derived.is_some() && !def.has_ended() && self.is_durable())
                    .then(|| self.emission_lag(def)),
                emission_failure: self.emission_failures().get(&def.id).cloned(),
            });
        }
        let views = self
            .catalog()
            .views
            .values()
            .flat_map(|versions| versions.values())
            .map(|v| {
                (
                    v.name.clone(),
                    v.version,
                    kind_of(&v.body),
                    v.features.len(),
                )
            })
            .collect();
        let services = self
            .catalog()
            .services
            .values()
            .flat_map(|versions| versions.values())
            .map(|s| (s.name.clone(), s.version, s.features().len()))
            .collect();
        let segments = self.catalog().segments.values();
        let segments = segments
            .flat_map(|versions| versions.values())
            .map(|s| (s.name.clone(), s.version, s.entity.clone()));
        Ok(StoreStatus {
            store: self.project().store.clone(),
            sources,
            views,
            services,
            segments: segments.collect(),
            datasets: self.datasets_built()?,
            // Room that is made ahead holds nothing.
            log_bytes: bytes_of(self.reader().directory())
                .saturating_sub(self.reader().room_bytes().unwrap_or_default()),
            emission_failure: self.emission_failure().map(str::to_owned),
            not_forgotten: Engine::not_forgotten(self.project())?,
            brought_back: self.reheats(),
            recovery: self.recovery().torn_tail.as_ref().map(|tail| {
                format!(
                    "an append that was never acknowledged was cut off: {} bytes at {} of `{}`",
                    tail.bytes,
                    tail.at,
                    tail.path.display()
                )
            }),
        })
    }

    /// The datasets that are defined or built, by name and version, and whether they are built.
    fn datasets_built(&self) -> Result<Vec<(String, u32, bool)>, EngineError> {
        let mut found = BTreeMap::new();
        for (name, versions) in &self.catalog().datasets {
            found.extend(versions.keys().map(|v| ((name.clone(), *v), false)));
        }
        let built = DatasetFolder::of(&self.project().store).built()?;
        found.extend(built.into_iter().map(|dataset| (dataset, true)));
        let found = found.into_iter();
        Ok(found.map(|((name, v), built)| (name, v, built)).collect())
    }

    /// So many records of the log a derived stream has not emitted for.
    pub fn emission_lag(&self, topic: &SourceDef) -> u64 {
        let reached = self.reached().get(&topic.id).copied().unwrap_or(0);
        self.reader().next_sequence().0.saturating_sub(reached)
    }

    /// The dead letters of a source that were not driven again.
    pub fn dead_letters(&self, source: &str) -> Result<Vec<DeadLetterRow>, EngineError> {
        let def = self.source_def(source)?;
        dead_letters(self.reader(), &def)
    }

    pub(crate) fn open_letters(
        &self,
        def: &SourceDef,
    ) -> Result<Vec<LoggedDeadLetter>, EngineError> {
        open_letters(self.reader(), def, &mut |_| ControlFlow::Continue(()))
    }
}

/// The dead letters of a source that were not driven again, read from the log alone.
///
/// # Errors
/// If the log cannot be read.
pub fn dead_letters(
    log: &LogReader,
    source: &SourceDef,
) -> Result<Vec<DeadLetterRow>, EngineError> {
    dead_letters_told(log, source, &mut |_| ControlFlow::Continue(()))
}

/// The same for who may stop it: `reading` is told how many there are so far.
pub(crate) fn dead_letters_told(
    log: &LogReader,
    source: &SourceDef,
    reading: Reading<'_>,
) -> Result<Vec<DeadLetterRow>, EngineError> {
    let letters = open_letters(log, source, reading)?;
    Ok(letters
        .into_iter()
        .map(|logged| DeadLetterRow {
            id: logged.id.0,
            reason: logged.letter.code,
            text: logged.letter.reason,
            origin: logged
                .letter
                .origin
                .map_or_else(String::new, |o| o.to_string()),
            record: String::from_utf8_lossy(&logged.letter.record).into_owned(),
            logged_at: logged.logged_at,
        })
        .collect())
}

fn open_letters(
    log: &LogReader,
    def: &SourceDef,
    reading: Reading<'_>,
) -> Result<Vec<LoggedDeadLetter>, EngineError> {
    let mut open = Vec::new();
    for letter in log.dead_letters(def.id).map_err(EngineError::log)? {
        let letter = letter.map_err(EngineError::log)?;
        if !letter.redriven {
            open.push(letter);
        }
        // Also after those that were driven again: there may be millions of them.
        if reading(open.len() as u64).is_break() {
            return Err(EngineError::Stopped);
        }
    }
    Ok(open)
}

/// The kind of a view in words.
pub fn kind_of(body: &ViewBody) -> &'static str {
    match body {
        ViewBody::Window(body) if body.is_state() => "state view",
        ViewBody::Window(_) => "window view",
        ViewBody::Row(_) => "row view",
        ViewBody::Composed(body) if body.request.is_empty() => "composed view",
        ViewBody::Composed(_) => "on-demand view",
    }
}

fn bytes_of(directory: &std::path::Path) -> u64 {
    std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
        .sum()
}
