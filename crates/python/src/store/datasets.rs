//! Training datasets: what the package asks of them, answered as JSON.

use std::ops::ControlFlow;
use std::path::PathBuf;

use evenkeel_engine::DefinitionFile;
use evenkeel_engine::dataset::{BuildSpine, DatasetBuild, DatasetName, ListedDataset};
use evenkeel_types::definition::DatasetSpine;
use pyo3::prelude::*;
use serde_json::{Value as Json, json};

use super::Store;
use crate::error::Failure;
use crate::table::Table;

#[pymethods]
impl Store {
    /// Every version that is defined or built, as JSON.
    fn datasets(&self, py: Python<'_>) -> PyResult<String> {
        self.read(py, |engine| {
            let found = engine.offline().datasets()?;
            let found: Vec<Json> = found.iter().map(ListedDataset::to_json).collect();
            Ok(json!(found).to_string())
        })
    }

    /// A manifest, with late events, as JSON.
    fn dataset(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        self.read(py, |engine| {
            let offline = engine.offline();
            let manifest = offline.dataset(&name.parse()?)?;
            let mut json = manifest.to_json();
            json["stale"] = json!(offline.late_events(&manifest)?);
            Ok(json.to_string())
        })
    }

    /// `build`, `rebuild` or `stale`: the report as JSON.
    fn dataset_work(
        &self,
        py: Python<'_>,
        work: &str,
        name: &str,
        table: Option<Bound<'_, Table>>,
        path: Option<PathBuf>,
    ) -> PyResult<String> {
        let spine = match (table, path) {
            (Some(table), _) => BuildSpine::Table(table.get().0.clone()),
            (None, Some(path)) => BuildSpine::File(path),
            (None, None) => BuildSpine::Defined,
        };
        self.read(py, |engine| {
            let name: DatasetName = name.parse()?;
            let offline = engine.offline();
            let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
            let report = match work {
                "build" => {
                    let build = DatasetBuild {
                        name: name.clone(),
                        spine,
                        values_max: u64::MAX,
                    };
                    offline
                        .build_dataset(&build, &mut go_on)
                        .map(|manifest| manifest.to_json())
                }
                "rebuild" => offline
                    .rebuild_dataset(&name, &spine, u64::MAX, &mut go_on)
                    .map(|report| json!(report)),
                _ => offline.dataset(&name).and_then(|manifest| {
                    let found = offline.staleness(&manifest, &spine, u64::MAX, &mut go_on);
                    found.map(|found| json!(found))
                }),
            };
            let report = report.map_err(|error| {
                let versions = engine.catalog().datasets.get(&name.name);
                let def = versions.and_then(|versions| match name.version {
                    None => versions.values().next_back(),
                    Some(version) => versions.get(&version),
                });
                let text = match def.map(|def| &def.spine) {
                    Some(DatasetSpine::Query(text)) => text.clone(),
                    _ => String::new(),
                };
                let name = "spine".to_owned();
                Failure::engine(error, &[DefinitionFile { name, text }])
            })?;
            Ok(report.to_string())
        })
    }
}
