//! Building a dataset: from a definition to a folder with a manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_connect::Table;
use evenkeel_train::dataset::{DatasetRows, TrainingRows};
use evenkeel_train::{KnowledgeMode, NamedLabel, SpineSource};
use evenkeel_types::definition::{
    Catalog, DatasetDef, DatasetFormat, DatasetLabel, DatasetSpine, Digest, ServiceDef, Split,
    ViewDef,
};
use evenkeel_types::{Cut, Field};
use evenkeel_view::Uses;
use serde_json::Value as Json;

use super::folder::{Building, DatasetFolder, entry_of};
use super::manifest::{
    DatasetManifest, FeatureEntry, LabelEntry, MANIFEST_FORMAT, Moment, NamedType, PartEntry,
    ServicePin, SpinePin, ViewPin,
};
use super::{DatasetName, hex};
use crate::definitions::unknown;
use crate::error::EngineError;
use crate::offline::Offline;
use crate::reads::service_of;
use crate::training::TrainingPlan;

/// Separates these digests from others; changes when what is hashed does.
const DOMAIN: &[u8] = b"evenkeel dataset 1";

/// The rows of a spine that is a file.
#[derive(Clone, Debug, Default)]
pub enum BuildSpine {
    /// The file that the definition names, from the project's folder.
    #[default]
    Defined,
    /// A file with the same rows elsewhere.
    File(PathBuf),
    /// Its rows.
    Table(Table),
}

/// What is built.
#[derive(Clone, Debug)]
pub struct DatasetBuild {
    /// Which; without a version the newest that is registered.
    pub name: DatasetName,
    /// Its rows, if they do not come from a query.
    pub spine: BuildSpine,
    /// Rows times features that it may have.
    pub values_max: u64,
}

/// What a dataset's names mean.
pub(super) struct Meant {
    pub(super) def: Arc<DatasetDef>,
    pub(super) service: Arc<ServiceDef>,
    pub(super) labels: Vec<NamedLabel>,
}

impl Meant {
    /// Looks a dataset's names up.
    pub(super) fn of(catalog: &Catalog, wanted: &DatasetName) -> Result<Self, EngineError> {
        let def = dataset_of(catalog, wanted)?;
        let service = match def.service_version {
            None => service_of(catalog, &def.service)?,
            Some(version) => service_of(catalog, &format!("{}@{version}", def.service))?,
        };
        let labels = def.labels.iter().map(|label| label_of(catalog, label));
        Ok(Meant {
            labels: labels.collect::<Result<_, _>>()?,
            service,
            def,
        })
    }

    pub(super) fn knowledge(&self) -> KnowledgeMode {
        if self.def.as_served {
            KnowledgeMode::AsServed
        } else {
            KnowledgeMode::Latest
        }
    }

    /// The spine as training takes it.
    pub(super) fn spine(
        &self,
        root: &Path,
        given: &BuildSpine,
    ) -> Result<SpineSource, EngineError> {
        let (path, time, known_at) = match &self.def.spine {
            DatasetSpine::Query(sql) => return Ok(SpineSource::Query(sql.clone())),
            DatasetSpine::File {
                path,
                time,
                known_at,
            } => (path, time.clone(), known_at.clone()),
        };
        Ok(match given {
            BuildSpine::Table(table) => SpineSource::Table {
                table: table.clone(),
                time_column: time,
                known_at_column: known_at,
            },
            BuildSpine::Defined => SpineSource::File {
                path: root.join(path),
                time_column: time,
                known_at_column: known_at,
            },
            BuildSpine::File(path) => SpineSource::File {
                path: path.clone(),
                time_column: time,
                known_at_column: known_at,
            },
        })
    }

    /// The training set of these names.
    pub(super) fn plan(&self, spine: SpineSource, cut: &Cut, values_max: u64) -> TrainingPlan {
        TrainingPlan {
            service: Arc::clone(&self.service),
            spine,
            knowledge: self.knowledge(),
            cut: Some(cut.clone()),
            statuses: false,
            values_max,
        }
    }
}

/// The keys of two entities together are in one part, and each of them in several: whose key keeps
/// rows together has to be said then. (Versions that are there are built again as they were.)
fn refuse_unsaid_entity(meant: &Meant) -> Result<(), EngineError> {
    let Split::EntityHash { columns: None, .. } = &meant.def.split else {
        return Ok(());
    };
    let keys: BTreeSet<&[String]> = meant.service.items.iter().map(|i| &i.key[..]).collect();
    if keys.len() < 2 {
        return Ok(());
    }
    Err(EngineError::SplitEntity {
        dataset: format!("{}:{}", meant.def.name, meant.def.version),
        keys: keys.into_iter().map(|key| key.join(", ")).collect(),
    })
}

/// A registered dataset.
pub(super) fn dataset_of(
    catalog: &Catalog,
    wanted: &DatasetName,
) -> Result<Arc<DatasetDef>, EngineError> {
    let versions = catalog
        .datasets
        .get(&wanted.name)
        .ok_or_else(|| unknown("training dataset", &wanted.name, catalog.datasets.keys()))?;
    let found = match wanted.version {
        None => versions.values().next_back(),
        Some(version) => versions.get(&version),
    };
    found.cloned().ok_or_else(|| EngineError::Unknown {
        what: "training dataset",
        name: wanted.to_string(),
        nearest: versions
            .keys()
            .next_back()
            .map(|version| format!("{}:{version}", wanted.name)),
    })
}

fn label_of(catalog: &Catalog, label: &DatasetLabel) -> Result<NamedLabel, EngineError> {
    let found = match label.view_version {
        None => catalog.view(&label.view),
        Some(version) => catalog.view_version(&label.view, version),
    };
    let view = found.ok_or_else(|| unknown("view", &label.view, catalog.views.keys()))?;
    let named = view.features.iter().position(|f| f.name == label.feature);
    let feature = named.ok_or_else(|| {
        let names: Vec<String> = view.features.iter().map(|f| f.name.clone()).collect();
        unknown("feature", &label.feature, &names)
    })?;
    let keys = label.keys.clone().unwrap_or_else(|| {
        let key = view.key.iter();
        key.map(|field| field.name.clone()).collect()
    });
    Ok(NamedLabel {
        view: Arc::clone(view),
        feature,
        within: label.within,
        keys,
        name: label.name.clone(),
    })
}

impl Offline {
    /// Builds a version of a dataset, durably and whole. `progress` is told stage, done and
    /// total, and may stop it.
    ///
    /// # Errors
    /// If it was built already, its definitions or its spine are not there, or it cannot be
    /// written; then nothing of it is left.
    pub fn build_dataset(
        &self,
        build: &DatasetBuild,
        progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
    ) -> Result<DatasetManifest, EngineError> {
        let meant = Meant::of(self.catalog(), &build.name)?;
        refuse_unsaid_entity(&meant)?;
        let folder = DatasetFolder::of(self.store());
        // Before the work, and held until it is done.
        let building = folder.begin(&meant.def.name, meant.def.version)?;
        let spine = meant.spine(self.root(), &build.spine)?;
        let plan = meant.plan(spine, self.cut(), build.values_max);
        let rows = self.training_rows(&plan, &meant.labels, progress)?;
        let made =
            DatasetRows::of(&meant.def, &meant.service, &rows, None).map_err(EngineError::train)?;
        let parts = write_parts(&meant.def, &made, &building, progress)?;
        let spine_digest = rows.spine_digest().map_err(EngineError::train)?;
        let manifest = self.manifest(&meant, &rows, &spine_digest, &made, parts);
        building.publish(&manifest)?;
        Ok(manifest)
    }

    fn manifest(
        &self,
        meant: &Meant,
        rows: &TrainingRows,
        spine_digest: &[u8],
        made: &DatasetRows,
        parts: Vec<PartEntry>,
    ) -> DatasetManifest {
        let def = &meant.def;
        let statistics = made.statistics.iter().zip(&made.fitted.features);
        let features = statistics.map(|((field, statistics), fitted)| FeatureEntry {
            name: field.name.clone(),
            data_type: field.data_type.to_string(),
            statistics: statistics.clone(),
            transform: if fitted.is_nothing() {
                Json::Null
            } else {
                fitted.to_json()
            },
            outputs: fitted.outputs().iter().map(NamedType::of).collect(),
        });
        let columns = made.table.fields().into_iter();
        DatasetManifest {
            format: MANIFEST_FORMAT,
            dataset: def.name.clone(),
            version: def.version,
            digest: digest_of(&parts),
            rows: parts.iter().map(|part| part.rows).sum(),
            left_out: made.parts.left_out,
            parts,
            definition: def.sql.clone(),
            definition_digest: hex(&def.digest),
            registry_records: self.records(),
            service: service_pin(&meant.service),
            knowledge: match meant.knowledge() {
                KnowledgeMode::Latest => "latest",
                KnowledgeMode::AsServed => "as_served",
            }
            .to_owned(),
            cut: self.format_cut(&rows.set.cut),
            tables: Vec::new(),
            spine: SpinePin {
                file: match &def.spine {
                    DatasetSpine::File { path, .. } => Some(path.clone()),
                    DatasetSpine::Query(_) => None,
                },
                rows: rows.times.len() as u64,
                digest: hex(spine_digest),
            },
            training_digest: rows.set.digest.clone(),
            features: features.collect(),
            labels: label_entries(meant, rows),
            columns: columns
                .map(|(name, data_type)| NamedType {
                    name: name.to_owned(),
                    data_type: data_type.to_string(),
                })
                .collect(),
            moments: self.moments(meant, rows),
            coincident: rows.set.coincident.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Per source the last moment that a row looks at.
    fn moments(&self, meant: &Meant, rows: &TrainingRows) -> Vec<Moment> {
        let mut until: BTreeMap<String, i64> = BTreeMap::new();
        let mut look = |view: &ViewDef, moment: i64| {
            for (source, _) in Uses::of([view]).sources().into_values() {
                let known = until.entry(source.name.clone()).or_insert(moment);
                *known = (*known).max(moment);
            }
        };
        let Some(last) = rows.times.iter().copied().max() else {
            return Vec::new();
        };
        for item in &meant.service.items {
            look(&item.view, last);
        }
        for label in &meant.labels {
            let ends = rows.times.iter().map(|time| label.within.after(*time));
            look(&label.view, ends.max().unwrap_or(last));
        }
        // The labels of a query are of the catalog's views, and last as all labels do.
        if let DatasetSpine::Query(sql) = &meant.def.spine
            && let Ok(query) = crate::definitions::spine_query(sql, self.catalog())
        {
            for label in &query.labels {
                let ends = rows.times.iter().map(|time| label.within.after(*time));
                look(&label.view, ends.max().unwrap_or(last));
            }
        }
        until
            .into_iter()
            .map(|(source, until)| Moment { source, until })
            .collect()
    }
}

/// Writes the files of all parts.
pub(super) fn write_parts(
    def: &DatasetDef,
    made: &DatasetRows,
    building: &Building,
    progress: &mut dyn FnMut(&str, u64, u64) -> ControlFlow<()>,
) -> Result<Vec<PartEntry>, EngineError> {
    let mut parts = Vec::new();
    let total = made.parts.parts.len() as u64;
    for (done, (name, rows)) in (0..).zip(&made.parts.parts) {
        if progress("writing", done, total).is_break() {
            return Err(EngineError::Stopped);
        }
        let table = made.part(rows).map_err(EngineError::train)?;
        let mut files = Vec::new();
        for format in &def.formats {
            let file = format!("{name}.{}", format.extension());
            let path = building.folder().join(&file);
            match format {
                DatasetFormat::TfRecord => table.write_tfrecord(&path),
                DatasetFormat::Parquet | DatasetFormat::Arrow | DatasetFormat::Csv => {
                    table.write(&path)
                }
            }
            .map_err(EngineError::connect)?;
            files.push(entry_of(building.folder(), &file)?);
        }
        parts.push(PartEntry {
            name: name.clone(),
            rows: rows.len() as u64,
            digest: hex(&table.digest().map_err(EngineError::connect)?),
            files,
        });
    }
    Ok(parts)
}

/// The canonical digest of a dataset's parts.
pub(super) fn digest_of(parts: &[PartEntry]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    for part in parts {
        for text in [&part.name, &part.digest] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

pub(super) fn view_pin(view: &ViewDef, key: &[String], features: Vec<(String, String)>) -> ViewPin {
    ViewPin {
        view: view.name.clone(),
        version: view.version,
        digest: hex(&view.digest),
        key: key.to_vec(),
        features,
    }
}

fn service_pin(service: &ServiceDef) -> ServicePin {
    let views = service.items.iter().map(|item| {
        let named = |(index, name): &(usize, String)| {
            (item.view.features[*index].name.clone(), name.clone())
        };
        view_pin(
            &item.view,
            &item.key,
            item.features.iter().map(named).collect(),
        )
    });
    ServicePin {
        name: service.name.clone(),
        version: service.version,
        digest: hex(&service.digest),
        inputs: service.inputs.iter().map(NamedType::of).collect(),
        views: views.collect(),
    }
}

fn label_entries(meant: &Meant, rows: &TrainingRows) -> Vec<LabelEntry> {
    let labels = rows.set.labels.iter().map(|label| {
        let named = meant.labels.iter().find(|l| l.name == label.name);
        LabelEntry {
            name: label.name.clone(),
            data_type: label.data_type.to_string(),
            within: label.within.to_string(),
            view: named.map(|l| {
                let feature = l.view.features[l.feature].name.clone();
                view_pin(&l.view, &l.keys, vec![(feature, l.name.clone())])
            }),
            immature: label.immature,
            missing: label.missing,
        }
    });
    labels.collect()
}

/// Whether a definition's digest is the one that a manifest has.
pub(super) fn is_digest(digest: &Digest, pinned: &str) -> bool {
    hex(digest) == pinned
}

/// The columns of a training set that are no part of the spine: features and labels, but not
/// whether labels are known.
pub(super) fn compared(service: &ServiceDef, rows: &TrainingRows) -> Vec<Field> {
    let labels = rows.set.labels.iter();
    let labels = labels.map(|l| Field::new(l.name.clone(), l.data_type.clone()));
    service.features().into_iter().chain(labels).collect()
}
