//! Rows of sources and views as of a time, dead letters and datasets: what SQL over a store reads.

use std::ops::ControlFlow;

use evenkeel_connect::Table;
use evenkeel_train::{Condition, Judged, Population};
pub use evenkeel_train::{SourceRows, SourceSlice, ViewRows};
use evenkeel_types::definition::{SourceDef, ViewDef};
use evenkeel_types::{Cut, EventTime};
use evenkeel_view::Uses;

use crate::api::DeadLetterRow;
use crate::dataset::{DatasetFolder, DatasetName};
use crate::error::EngineError;
use crate::function;
use crate::offline::Offline;
use crate::status::dead_letters_told;

/// Is told how many events were read, and says whether to go on.
pub type Reading<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

impl Offline {
    /// Rows of a source at a cut; `None`: everything applied.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the cut holds more than was applied, or the log cannot be read.
    pub fn source_rows(
        &self,
        slice: &SourceSlice,
        cut: Option<&Cut>,
        reading: Reading<'_>,
    ) -> Result<SourceRows, EngineError> {
        let cut = self.known(cut)?;
        let events = self.events(&[slice.source.id])?;
        SourceRows::read(&events, slice, &cut, reading).map_err(EngineError::train)
    }

    /// The features of every key of a view at a time and a cut; `None`: everything applied.
    ///
    /// # Errors
    /// As [`Offline::source_rows`].
    pub fn view_rows(
        &self,
        view: &ViewDef,
        at: EventTime,
        cut: Option<&Cut>,
        reading: Reading<'_>,
    ) -> Result<ViewRows, EngineError> {
        let cut = self.known(cut)?;
        let sources: Vec<_> = Uses::of([view]).sources().into_keys().collect();
        let events = self.events(&sources)?;
        let rows = || ViewRows::read(&events, view, at.0, &cut, reading);
        function::taking(rows)?.map_err(EngineError::train)
    }

    /// What views of one entity say of every key at a time and a cut.
    ///
    /// # Errors
    /// As [`Offline::source_rows`].
    pub(crate) fn population(
        &self,
        views: &[ViewDef],
        at: EventTime,
        cut: &Cut,
        reading: Reading<'_>,
    ) -> Result<Population, EngineError> {
        let sources: Vec<_> = Uses::of(views).sources().into_keys().collect();
        let events = self.events(&sources)?;
        let population = || Population::read(&events, views, at.0, cut, reading);
        function::taking(population)?.map_err(EngineError::train)
    }

    /// What a condition says of every key of views of one entity at a time and a cut; none if the events
    /// alone do not tell it.
    ///
    /// # Errors
    /// As [`Offline::source_rows`].
    pub(crate) fn judged(
        &self,
        views: &[ViewDef],
        at: EventTime,
        cut: &Cut,
        condition: &dyn Condition,
        reading: Reading<'_>,
    ) -> Result<Option<Judged>, EngineError> {
        let sources: Vec<_> = Uses::of(views).sources().into_keys().collect();
        let events = self.events(&sources)?;
        Judged::read(&events, views, at.0, cut, condition, reading).map_err(EngineError::train)
    }

    /// How many events of what a view reads are in a cut.
    pub fn events_read(&self, view: &ViewDef, cut: Option<&Cut>) -> u64 {
        let sources = Uses::of([view]).sources();
        let cut = cut.unwrap_or(self.cut());
        let read = cut.iter().filter(|(id, ..)| sources.contains_key(id));
        read.map(|(_, _, end)| end.0).sum()
    }

    /// The dead letters of a source that were not driven again. `reading` is told how many there
    /// are so far, after each that was read.
    ///
    /// # Errors
    /// [`EngineError::Stopped`]; if the log cannot be read.
    pub fn dead_letters(
        &self,
        source: &SourceDef,
        reading: Reading<'_>,
    ) -> Result<Vec<DeadLetterRow>, EngineError> {
        dead_letters_told(self.log(), source, reading)
    }

    /// Names and versions of the datasets that were built.
    ///
    /// # Errors
    /// If their folder cannot be read.
    pub fn built_datasets(&self) -> Result<Vec<(String, u32)>, EngineError> {
        DatasetFolder::of(self.store()).built()
    }

    /// How many rows and columns a dataset has.
    ///
    /// # Errors
    /// If there is no such dataset, or its manifest is damaged.
    pub fn dataset_size(&self, name: &DatasetName) -> Result<(u64, usize), EngineError> {
        let manifest = DatasetFolder::of(self.store()).manifest(name)?;
        Ok((manifest.rows, manifest.columns.len()))
    }

    /// The rows of a dataset, part by part: the part's name and a table per file. `reading` is told
    /// how many there are so far.
    ///
    /// # Errors
    /// If there is no such dataset, its manifest is damaged, or a file cannot be read as a table;
    /// [`EngineError::Stopped`].
    pub fn dataset_rows(
        &self,
        name: &DatasetName,
        reading: Reading<'_>,
    ) -> Result<Vec<(String, Table)>, EngineError> {
        let folder = DatasetFolder::of(self.store());
        let manifest = folder.manifest(name)?;
        let place = folder.place(&manifest.dataset, manifest.version);
        let mut rows = Vec::new();
        let mut read = 0;
        for part in &manifest.parts {
            let Some(file) = part.files.iter().find(|f| !f.file.ends_with(".tfrecord")) else {
                return Err(EngineError::DatasetGone {
                    dataset: manifest.title(),
                    reason: "its files are TFRecord alone, which is not read back".to_owned(),
                });
            };
            let table = Table::read(&place.join(&file.file)).map_err(EngineError::connect)?;
            read += table.len() as u64;
            rows.push((part.name.clone(), table));
            if reading(read).is_break() {
                return Err(EngineError::Stopped);
            }
        }
        Ok(rows)
    }
}
