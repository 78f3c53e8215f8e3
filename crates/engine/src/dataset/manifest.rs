//! The manifest of a dataset: what it was built from and what came out.
//!
//! JSON with a checksum of its own; the format is in `docs/format/dataset.md`. Wire and disk
//! have one form. Whoever reads it finds every number as it was written: numbers that are not
//! whole have the digits that read back to the bit.

use std::path::Path;

use evenkeel_ddl::parse_type;
use evenkeel_train::dataset::Statistics;
use evenkeel_types::Field;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::DatasetName;
use crate::error::EngineError;

/// The version of the format that is written.
pub const MANIFEST_FORMAT: u32 = 1;

/// The member that has the checksum of the others.
const CHECKSUM: &str = "checksum";

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetManifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// Its name.
    pub dataset: String,
    /// Its version.
    pub version: u32,
    /// The canonical digest: of parts, columns and values, whatever the files' formats.
    pub digest: String,
    /// Rows in all parts.
    pub rows: u64,
    /// Rows of the spine that are in no part.
    pub left_out: u64,
    /// Its parts, the one that is trained on first.
    pub parts: Vec<PartEntry>,
    /// Its canonical SQL.
    pub definition: String,
    /// The digest of that.
    pub definition_digest: String,
    /// How many records the registry had: what names mean is what these say.
    pub registry_records: u64,
    /// The service.
    pub service: ServicePin,
    /// `latest` or `as_served`.
    pub knowledge: String,
    /// `K`, in words.
    pub cut: String,
    /// Versions of tables of the lake that it was read from.
    pub tables: Vec<TableVersion>,
    /// The rows that it was built for.
    pub spine: SpinePin,
    /// The digest of the rows before transforms, as `evenkeel train` says it.
    pub training_digest: String,
    /// The features in the order of the vector.
    pub features: Vec<FeatureEntry>,
    /// The labels.
    pub labels: Vec<LabelEntry>,
    /// All columns of its files, in order.
    pub columns: Vec<NamedType>,
    /// Per source the last moment that a row looks at.
    pub moments: Vec<Moment>,
    /// Rows at exactly the time of an event of a windowed source, by source.
    pub coincident: Vec<(String, u64)>,
    /// The version of the program that built it: another may write other bytes.
    pub program: String,
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartEntry {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The canonical digest of its columns and values.
    pub digest: String,
    /// Its files, one per format.
    pub files: Vec<FileEntry>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name in the dataset's folder.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    pub blake3: String,
}

/// The service that a dataset was built with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Its `D`.
    pub digest: String,
    /// What a request brings.
    pub inputs: Vec<NamedType>,
    /// The views that it read, in order.
    pub views: Vec<ViewPin>,
}

/// A version of a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewPin {
    /// Its name.
    pub view: String,
    /// Its version.
    pub version: u32,
    /// Its `D`.
    pub digest: String,
    /// The inputs that are its key.
    pub key: Vec<String>,
    /// Features with their names in the service.
    pub features: Vec<(String, String)>,
}

/// A version of a table of the lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableVersion {
    /// The source.
    pub source: String,
    /// The table's version.
    pub version: u64,
}

/// The rows that a dataset was built for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpinePin {
    /// The file, as the definition says it; none: a query, which the definition has.
    pub file: Option<String>,
    /// Its rows.
    pub rows: u64,
    /// The canonical digest of its columns and values.
    pub digest: String,
}

/// A column's name and type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedType {
    /// The name.
    pub name: String,
    /// The type, as SQL writes it.
    #[serde(rename = "type")]
    pub data_type: String,
}

/// A feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureEntry {
    /// Its name in the service.
    pub name: String,
    /// Its type there.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Of its values before it is transformed, over all parts.
    pub statistics: Statistics,
    /// What becomes of it, with what was learnt from the first part; null: nothing.
    pub transform: Json,
    /// The columns that come out.
    pub outputs: Vec<NamedType>,
}

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelEntry {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub data_type: String,
    /// How far forward it looks.
    pub within: String,
    /// The view that it is read from, of those that are not the spine's query's own.
    pub view: Option<ViewPin>,
    /// Rows whose future was not known.
    pub immature: u64,
    /// Rows without a value.
    pub missing: u64,
}

/// The last moment that a dataset's rows look at in a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The source.
    pub source: String,
    /// Events that are dated later cannot touch a row; microseconds since the epoch.
    pub until: i64,
}

impl NamedType {
    pub(super) fn of(field: &Field) -> Self {
        NamedType {
            name: field.name.clone(),
            data_type: field.data_type.to_string(),
        }
    }

    /// As a field; none if the type is none.
    pub(super) fn field(&self) -> Option<Field> {
        let data_type = parse_type(&self.data_type).ok()?;
        Some(Field::new(self.name.clone(), data_type))
    }
}

impl DatasetManifest {
    /// Its name, with the version.
    pub fn name(&self) -> DatasetName {
        DatasetName {
            name: self.dataset.clone(),
            version: Some(self.version),
        }
    }

    /// `name:version`
    pub fn title(&self) -> String {
        format!("{}:{}", self.dataset, self.version)
    }

    /// As JSON, for people and programs.
    pub fn to_json(&self) -> Json {
        json!(self)
    }

    /// As the bytes of its file, with their checksum.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut json = self.to_json();
        json[CHECKSUM] = json!(checksum(&json));
        let mut text = format!("{json:#}");
        text.push('\n');
        text.into_bytes()
    }

    /// Reads the bytes of a manifest's file.
    pub(super) fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, EngineError> {
        let damaged = |reason: String| EngineError::Dataset {
            path: path.to_owned(),
            reason,
        };
        let mut json: Json = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        let format = json["format"].as_u64().unwrap_or(0);
        if format > u64::from(MANIFEST_FORMAT) {
            return Err(EngineError::StoreFormat {
                path: path.to_owned(),
                format: u32::try_from(format).unwrap_or(u32::MAX),
            });
        }
        let written = json
            .as_object_mut()
            .and_then(|members| members.shift_remove(CHECKSUM));
        if written != Some(json!(checksum(&json))) {
            return Err(damaged("its checksum does not match".to_owned()));
        }
        serde_json::from_value(json).map_err(|e| damaged(e.to_string()))
    }
}

fn checksum(json: &Json) -> String {
    blake3::hash(json.to_string().as_bytes())
        .to_hex()
        .to_string()
}
