//! What is defined and what is built.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::DatasetName;
use super::folder::DatasetFolder;
use super::manifest::DatasetManifest;
use crate::error::EngineError;
use crate::offline::Offline;

/// A version of a dataset.
#[derive(Clone, Debug)]
pub struct ListedDataset {
    /// Which.
    pub name: String,
    /// Which.
    pub version: u32,
    /// If it is built: its manifest, and how many late events it has, if that can be told.
    pub built: Option<(DatasetManifest, Option<u64>)>,
    /// Why it cannot be built again, if something that it read was forgotten.
    pub forgotten: Option<String>,
}

impl ListedDataset {
    /// As JSON.
    pub fn to_json(&self) -> Json {
        match &self.built {
            None => json!({"dataset": self.name, "version": self.version, "built": false}),
            Some((manifest, late)) => json!({
                "dataset": self.name,
                "version": self.version,
                "built": true,
                "service": manifest.service.name,
                "service_version": manifest.service.version,
                "rows": manifest.rows,
                "features": manifest.features.len(),
                "cut": manifest.cut,
                "digest": manifest.digest,
                "late_events": late,
                "behind": late.is_none(),
                "not_rebuildable": self.forgotten,
            }),
        }
    }
}

impl Offline {
    /// Every version that is defined or built, by name and version.
    ///
    /// # Errors
    /// If a manifest is damaged, or the log cannot be read.
    pub fn datasets(&self) -> Result<Vec<ListedDataset>, EngineError> {
        let built = DatasetFolder::of(self.store()).built()?;
        let mut names: BTreeSet<(String, u32)> = built.iter().cloned().collect();
        for (name, versions) in &self.catalog().datasets {
            names.extend(versions.keys().map(|version| (name.clone(), *version)));
        }
        let mut found = Vec::new();
        for (name, version) in names {
            let mut forgotten = None;
            let of_it = if built.contains(&(name.clone(), version)) {
                let manifest = self.dataset(&DatasetName {
                    name: name.clone(),
                    version: Some(version),
                })?;
                let late = self.late_events(&manifest)?.late_events();
                forgotten = self.forgotten_of(&manifest)?;
                Some((manifest, late))
            } else {
                None
            };
            found.push(ListedDataset {
                name,
                version,
                built: of_it,
                forgotten,
            });
        }
        Ok(found)
    }
}
