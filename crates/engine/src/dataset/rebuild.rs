//! Building a dataset again: the same bits, or which input is not what it was.

use std::ops::ControlFlow;

use evenkeel_train::dataset::{DatasetRows, TrainingRows};
use evenkeel_types::Cut;
use evenkeel_types::definition::Catalog;
use evenkeel_types::time::format_timestamp;
use serde::Serialize;

use super::build::{BuildSpine, Meant, digest_of, is_digest, write_parts};
use super::folder::{DatasetFolder, entry_of};
use super::manifest::{DatasetManifest, PartEntry};
use super::reading::fitted_of;
use super::{DatasetName, hex};
use crate::definitions::catalog_of_records;
use crate::error::EngineError;
use crate::forget::forgotten;
use crate::offline::Offline;
use crate::registry::Registry;

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InputState {
    /// It is what it was.
    Same,
    /// It is there, and another.
    Changed,
    /// It is not there.
    Gone,
    /// It was not looked at, as one before it is not what it was.
    Unknown,
}

/// An input as it was, or what became of it and why.
pub(super) type Found<T> = Result<T, (InputState, String)>;

/// An input of a dataset at a rebuild.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RebuiltInput {
    /// `events` (if something was forgotten), `definitions`, `cut`, `spine`, or a file of the dataset.
    pub input: String,
    /// What became of it.
    pub state: InputState,
    /// In words; empty if it is the same.
    pub reason: String,
}

/// What a rebuild found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RebuildReport {
    /// The dataset's name.
    pub dataset: String,
    /// Its version.
    pub version: u32,
    /// The canonical digest that the manifest has.
    pub expected: String,
    /// The digest of what was built again; none if it could not be.
    pub digest: Option<String>,
    /// Whether they are equal.
    pub matches: bool,
    /// Whether the files that were built again are the same bytes; none if nothing was built.
    pub same_bytes: Option<bool>,
    /// The inputs in the order in which they are needed.
    pub inputs: Vec<RebuiltInput>,
    /// The dataset's files.
    pub files: Vec<RebuiltInput>,
    /// Files that were gone or damaged and are there again.
    pub restored: Vec<String>,
}

impl RebuildReport {
    /// Whether it is the same, and all its files are there as they were written.
    pub fn is_whole(&self) -> bool {
        let is_good = |file: &RebuiltInput| {
            file.state == InputState::Same || self.restored.contains(&file.input)
        };
        self.matches && self.files.iter().all(is_good)
    }

    fn of(manifest: &DatasetManifest) -> Self {
        RebuildReport {
            dataset: manifest.dataset.clone(),
            version: manifest.version,
            expected: manifest.digest.clone(),
            digest: None,
            matches: false,
            same_bytes: None,
            inputs: Vec::new(),
            files: Vec::new(),
            restored: Vec::new(),
        }
    }

    fn found(&mut self, input: &str, found: Found<()>) -> bool {
        let is_same = found.is_ok();
        let (state, reason) = found.err().unwrap_or((InputState::Same, String::new()));
        self.inputs.push(RebuiltInput {
            input: input.to_owned(),
            state,
            reason,
        });
        is_same
    }
}

impl Offline {
    /// Builds a version again from what its manifest pins, and compares. Files of it that are
    /// gone or damaged are put back, if what was built again is the same bytes.
    ///
    /// # Errors
    /// If there is no such version, its manifest is damaged, or the store cannot be read. That
    /// an input is gone is in the report.
    pub fn rebuild_dataset(
        &self,
        name: &DatasetName,
        spine: &BuildSpine,
        values_max: u64,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<RebuildReport, EngineError> {
        let folder = DatasetFolder::of(self.store());
        let manifest = folder.manifest(name)?;
        let mut report = RebuildReport::of(&manifest);
        let place = folder.place(&manifest.dataset, manifest.version);
        for file in manifest.parts.iter().flat_map(|part| &part.files) {
            let (state, reason) = match entry_of(&place, &file.file) {
                Ok(now) if now == *file => (InputState::Same, String::new()),
                Ok(_) => (InputState::Changed, "its bytes are others".to_owned()),
                Err(EngineError::Read { source, .. }) => (InputState::Gone, source.to_string()),
                Err(error) => return Err(error),
            };
            report.files.push(RebuiltInput {
                input: file.file.clone(),
                state,
                reason,
            });
        }
        if let Some(reason) = self.forgotten_of(&manifest)? {
            report.found("events", Err((InputState::Gone, reason)));
            skip(&mut report, &["definitions", "cut", "spine"]);
            return Ok(report);
        }
        let pinned = self.pinned(&manifest)?;
        report.found(
            "definitions",
            pinned.as_ref().map(|_| ()).map_err(Clone::clone),
        );
        let Ok((catalog, meant)) = pinned else {
            skip(&mut report, &["cut", "spine"]);
            return Ok(report);
        };
        let at = self.with_catalog(catalog);
        let cut = at.pinned_cut(&manifest);
        if !report.found("cut", cut.as_ref().map(|_| ()).map_err(Clone::clone)) {
            skip(&mut report, &["spine"]);
            return Ok(report);
        }
        let cut = cut.unwrap_or_default();
        let rows = match at.pinned_rows(&manifest, &meant, spine, &cut, values_max, progress)? {
            Ok(rows) => {
                report.found("spine", Ok(()));
                rows
            }
            Err(found) => {
                report.found("spine", Err(found));
                return Ok(report);
            }
        };
        // What its transforms learnt is pinned, too: what is learnt from may be said otherwise by now.
        let fitted = fitted_of(&manifest, &meant.service)?;
        let made = DatasetRows::of(&meant.def, &meant.service, &rows, Some(fitted));
        let made = made.map_err(EngineError::train)?;
        let building = folder.begin_again(&manifest.dataset, manifest.version)?;
        let parts = write_parts(&meant.def, &made, &building, progress)?;
        let digest = digest_of(&parts);
        report.matches = digest == manifest.digest;
        report.digest = Some(digest);
        report.same_bytes = Some(files_of(&parts) == files_of(&manifest.parts));
        if report.matches {
            for file in &report.files {
                let built = files_of(&parts).into_iter().find(|f| f.file == file.input);
                let wanted = files_of(&manifest.parts)
                    .into_iter()
                    .find(|f| f.file == file.input);
                if file.state != InputState::Same && built == wanted {
                    building.replace(&file.input)?;
                    report.restored.push(file.input.clone());
                }
            }
        }
        Ok(report)
    }

    /// Why a dataset cannot be built again, if something that it read was forgotten.
    pub(super) fn forgotten_of(
        &self,
        manifest: &DatasetManifest,
    ) -> Result<Option<String>, EngineError> {
        let title = manifest.title();
        let records = forgotten(self.store())?;
        let first = records
            .iter()
            .find(|record| record.datasets.contains(&title));
        Ok(first.map(|record| {
            format!(
                "not rebuildable (forgotten): a key of `{}` was forgotten at {}",
                record.entity,
                format_timestamp(record.at)
            )
        }))
    }

    /// The definitions of when a dataset was built, and what its names mean there.
    pub(super) fn pinned(
        &self,
        manifest: &DatasetManifest,
    ) -> Result<Found<(Catalog, Meant)>, EngineError> {
        let registry = Registry::open(self.store())?;
        let records = usize::try_from(manifest.registry_records).unwrap_or(usize::MAX);
        let Some(records) = registry.records().get(..records) else {
            let reason = format!(
                "the registry has {} records, it was built with {}",
                registry.records().len(),
                manifest.registry_records
            );
            return Ok(Err((InputState::Gone, reason)));
        };
        let catalog = catalog_of_records(records, self.catalog().host.clone())?;
        let name = DatasetName {
            name: manifest.dataset.clone(),
            version: Some(manifest.version),
        };
        let meant = match Meant::of(&catalog, &name) {
            Ok(meant) => meant,
            Err(error) => return Ok(Err((InputState::Gone, error.to_string()))),
        };
        let changed = |what: String| Ok(Err((InputState::Changed, what)));
        if !is_digest(&meant.def.digest, &manifest.definition_digest) {
            return changed("the dataset is defined otherwise".to_owned());
        }
        for (item, pinned) in meant.service.items.iter().zip(&manifest.service.views) {
            if !is_digest(&item.view.digest, &pinned.digest) {
                return changed(format!(
                    "view `{}@{}` means something else than it did",
                    pinned.view, pinned.version
                ));
            }
        }
        if !is_digest(&meant.service.digest, &manifest.service.digest) {
            return changed(format!(
                "service `{}@{}` means something else than it did",
                manifest.service.name, manifest.service.version
            ));
        }
        let labels = manifest.labels.iter().filter_map(|l| l.view.as_ref());
        for (label, pinned) in meant.labels.iter().zip(labels) {
            if !is_digest(&label.view.digest, &pinned.digest) {
                return changed(format!(
                    "view `{}@{}` means something else than it did",
                    pinned.view, pinned.version
                ));
            }
        }
        Ok(Ok((catalog, meant)))
    }

    fn pinned_cut(&self, manifest: &DatasetManifest) -> Found<Cut> {
        let cut = self
            .parse_cut(&manifest.cut)
            .map_err(|e| (InputState::Gone, e.to_string()))?;
        self.known(Some(&cut))
            .map_err(|e| (InputState::Gone, e.to_string()))
    }

    /// The rows of a dataset's spine at a cut, if they are the rows that it was built for.
    pub(super) fn pinned_rows(
        &self,
        manifest: &DatasetManifest,
        meant: &Meant,
        spine: &BuildSpine,
        cut: &Cut,
        values_max: u64,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<Found<TrainingRows>, EngineError> {
        let spine = meant.spine(self.root(), spine)?;
        if let evenkeel_train::SpineSource::File { path, .. } = &spine
            && !path.exists()
        {
            let reason = format!("there is no file `{}`", path.display());
            return Ok(Err((InputState::Gone, reason)));
        }
        let plan = meant.plan(spine, cut, values_max);
        let rows = match self.training_rows(&plan, &meant.labels, progress) {
            Ok(rows) => rows,
            // A file that is no spine of this service any more is another file.
            Err(EngineError::Train(error))
                if manifest.spine.file.is_some() && error.is_of_spine() =>
            {
                let error = EngineError::Train(error);
                return Ok(Err((InputState::Changed, crate::error::chain(&error))));
            }
            Err(error) => return Err(error),
        };
        let digest = hex(&rows.spine_digest().map_err(EngineError::train)?);
        if digest != manifest.spine.digest {
            let reason = format!(
                "its rows are others: {} of them with digest {digest}, it was built for {} with {}",
                rows.times.len(),
                manifest.spine.rows,
                manifest.spine.digest
            );
            return Ok(Err((InputState::Changed, reason)));
        }
        Ok(Ok(rows))
    }
}

fn skip(report: &mut RebuildReport, inputs: &[&str]) {
    for input in inputs {
        report.found(input, Err((InputState::Unknown, String::new())));
    }
}

fn files_of(parts: &[PartEntry]) -> Vec<&super::manifest::FileEntry> {
    parts.iter().flat_map(|part| &part.files).collect()
}
