//! Segments that were frozen: `segments/NAME/NUMBER.parquet` of a store with the keys and what
//! is selected, and `NUMBER.json` with what it is.
//!
//! The manifest is written last: without it there is nothing. Neither is ever replaced. The
//! lock of a name is the operating system's: it ends with its process.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use evenkeel_connect::{AtomicFile, Table};
use evenkeel_log::{DiskFileSystem, FileSystem, Lock, LockGuard};
use serde::{Deserialize, Serialize};

use super::{SegmentAnswer, SegmentPlan};
use crate::dataset::{hex, names};
use crate::definitions::unknown;
use crate::error::EngineError;

/// The version of the format that is written.
pub(super) const FROZEN_FORMAT: u32 = 1;

/// What a frozen segment is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenSegment {
    /// The version of the format.
    pub format: u32,
    /// The segment.
    pub segment: String,
    /// Counts what was frozen of it, from 1.
    pub number: u32,
    /// The version of the segment.
    pub version: u32,
    /// Its digest.
    pub definition: String,
    /// Its canonical SQL.
    pub sql: String,
    /// Its entity.
    pub entity: String,
    /// `t`
    pub as_of: String,
    /// What bounded the knowledge besides the cut.
    pub known_at: Option<String>,
    /// `K`, in words.
    pub cut: String,
    /// Keys that are in it.
    pub rows: u64,
    /// Keys of which something was known.
    pub asked: u64,
    /// Keys of which the condition was an error.
    pub undecided: u64,
    /// The canonical digest of keys and what is selected, in order.
    pub digest: String,
    /// Keys that were in it and were forgotten.
    #[serde(default, skip_serializing_if = "is_none_forgotten")]
    pub forgotten: u64,
    /// The digest of the rest of the manifest.
    pub checksum: String,
}

fn is_none_forgotten(forgotten: &u64) -> bool {
    *forgotten == 0
}

/// A frozen segment by name and number: `frequently_late:1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenName {
    /// The segment.
    pub segment: String,
    /// Which of those that were frozen.
    pub number: u32,
}

impl FromStr for FrozenName {
    type Err = EngineError;

    fn from_str(text: &str) -> Result<Self, EngineError> {
        let parts = text.split_once(':');
        let name = parts.and_then(|(segment, number)| {
            let number: u32 = number.parse().ok().filter(|n| *n > 0)?;
            (!segment.is_empty()).then(|| FrozenName {
                segment: segment.to_owned(),
                number,
            })
        });
        name.ok_or_else(|| EngineError::FrozenName {
            text: text.to_owned(),
        })
    }
}

/// The frozen segments of a store.
#[derive(Clone, Debug)]
pub struct FrozenSegments {
    path: PathBuf,
}

/// The keys of an answer and what is selected of them.
///
/// # Errors
/// If a column has a type that no file has.
pub fn segment_table(plan: &SegmentPlan, answer: SegmentAnswer) -> Result<Table, EngineError> {
    let fields = plan.fields().cloned();
    Table::from_columns(fields.zip(answer.columns)).map_err(EngineError::connect)
}

impl FrozenSegment {
    fn checksum_of(&self) -> String {
        let bare = FrozenSegment {
            checksum: String::new(),
            ..self.clone()
        };
        let text = serde_json::to_string(&bare).unwrap_or_default();
        blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
    }
}

impl FrozenSegments {
    /// Of a store's directory.
    pub fn of(store: &Path) -> Self {
        FrozenSegments {
            path: store.join("segments"),
        }
    }

    /// Everything that is frozen, by name and number.
    ///
    /// # Errors
    /// If the folder cannot be read, or a manifest is damaged.
    pub fn list(&self) -> Result<Vec<FrozenSegment>, EngineError> {
        let mut found = Vec::new();
        for segment in self.segments()? {
            for number in self.numbers(&segment)? {
                found.push(self.manifest(&FrozenName {
                    segment: segment.clone(),
                    number,
                })?);
            }
        }
        Ok(found)
    }

    /// The segments of which something is frozen.
    pub(crate) fn segments(&self) -> Result<Vec<String>, EngineError> {
        names(&self.path)
    }

    /// What is not as it was written: the file, and the reason.
    pub(crate) fn examine(&self) -> Result<Vec<(PathBuf, String)>, EngineError> {
        let mut found = Vec::new();
        for segment in self.segments()? {
            for number in self.numbers(&segment)? {
                let name = FrozenName {
                    segment: segment.clone(),
                    number,
                };
                let looked_at = self.manifest(&name).and_then(|m| self.table(&m));
                match looked_at {
                    Ok(_) => {}
                    Err(EngineError::Frozen { path, reason }) => found.push((path, reason)),
                    Err(error) => {
                        found.push((self.file(&segment, number, "parquet"), error.to_string()));
                    }
                }
            }
        }
        Ok(found)
    }

    /// What was frozen under a number.
    ///
    /// # Errors
    /// If there is nothing, or it is damaged.
    pub fn manifest(&self, name: &FrozenName) -> Result<FrozenSegment, EngineError> {
        let path = self.file(&name.segment, name.number, "json");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let numbers = self.numbers(&name.segment)?;
                let known: Vec<String> = numbers
                    .iter()
                    .map(|number| format!("{}:{number}", name.segment))
                    .collect();
                let wanted = format!("{}:{}", name.segment, name.number);
                return Err(unknown("frozen segment", &wanted, &known));
            }
            Err(source) => return Err(EngineError::Read { path, source }),
        };
        let damaged = |reason: String| EngineError::Frozen {
            path: path.clone(),
            reason,
        };
        let manifest: FrozenSegment =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if manifest.format > FROZEN_FORMAT {
            return Err(damaged(format!(
                "it was made by a newer version (format {})",
                manifest.format
            )));
        }
        if manifest.checksum != manifest.checksum_of() {
            return Err(damaged("its checksum is another".to_owned()));
        }
        if (&manifest.segment, manifest.number) != (&name.segment, name.number) {
            return Err(damaged(format!(
                "it is the manifest of `{}:{}`",
                manifest.segment, manifest.number
            )));
        }
        Ok(manifest)
    }

    /// The keys that were frozen, and what is selected of them.
    ///
    /// # Errors
    /// If they cannot be read, or are not what the manifest says.
    pub fn table(&self, manifest: &FrozenSegment) -> Result<Table, EngineError> {
        let path = self.place(manifest);
        let table = Table::read(&path).map_err(EngineError::connect)?;
        if digest_of(&table)? != manifest.digest {
            return Err(EngineError::Frozen {
                path,
                reason: "its rows are not those of its manifest".to_owned(),
            });
        }
        Ok(table)
    }

    /// Where the keys of a frozen segment are.
    pub fn place(&self, manifest: &FrozenSegment) -> PathBuf {
        self.file(&manifest.segment, manifest.number, "parquet")
    }

    /// Writes a whole answer under the next number; `cut` is the answer's in words.
    ///
    /// # Errors
    /// If somebody else does, or it cannot be written.
    pub fn freeze(
        &self,
        plan: &SegmentPlan,
        answer: SegmentAnswer,
        cut: &str,
    ) -> Result<FrozenSegment, EngineError> {
        let def = plan.def();
        let folder = self.path.join(&def.name);
        let create = DiskFileSystem.create_directory(&folder);
        create.map_err(|source| write_error(&folder, source))?;
        let _guard = self.lock(&def.name)?;
        let number = self.numbers(&def.name)?.last().map_or(1, |last| last + 1);
        let mut manifest = FrozenSegment {
            format: FROZEN_FORMAT,
            segment: def.name.clone(),
            number,
            version: def.version,
            definition: hex(&def.digest),
            sql: def.sql.clone(),
            entity: def.entity.clone(),
            as_of: answer.as_of.to_string(),
            known_at: answer.known_at.map(|at| at.to_string()),
            cut: cut.to_owned(),
            rows: answer.rows as u64,
            asked: answer.asked,
            undecided: answer.undecided,
            digest: String::new(),
            forgotten: 0,
            checksum: String::new(),
        };
        let table = segment_table(plan, answer)?;
        manifest.digest = digest_of(&table)?;
        // Of a freeze that was killed, without a manifest, if it is there.
        let place = self.place(&manifest);
        table.write(&place).map_err(EngineError::connect)?;
        self.write(&mut manifest)?;
        Ok(manifest)
    }

    fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, EngineError> {
        let lock = self.path.join(name).join("lock");
        let taken = DiskFileSystem.lock(&lock);
        match taken.map_err(|source| write_error(&lock, source))? {
            Lock::Taken(guard) => Ok(guard),
            Lock::Held { .. } => Err(EngineError::SegmentBusy {
                name: name.to_owned(),
            }),
        }
    }

    /// Takes the locks of all segments, and removes what was frozen by processes that were killed: keys
    /// without a manifest.
    pub(crate) fn hold_all(&self) -> Result<Vec<Box<dyn LockGuard>>, EngineError> {
        let mut held = Vec::new();
        for segment in self.segments()? {
            held.push(self.lock(&segment)?);
            let numbers = self.numbers(&segment)?;
            for name in names(&self.path.join(&segment))? {
                let number = name.strip_suffix(".parquet").and_then(|n| n.parse().ok());
                let is_orphan = number.is_some_and(|number: u32| !numbers.contains(&number));
                if is_orphan || name.starts_with('.') && name.ends_with(".tmp") {
                    let path = self.path.join(&segment).join(name);
                    fs::remove_file(&path).map_err(|source| write_error(&path, source))?;
                }
            }
        }
        Ok(held)
    }

    /// Writes a manifest, with its checksum.
    fn write(&self, manifest: &mut FrozenSegment) -> Result<(), EngineError> {
        manifest.checksum = manifest.checksum_of();
        let path = self.file(&manifest.segment, manifest.number, "json");
        let mut text = serde_json::to_string_pretty(manifest).unwrap_or_default();
        text.push('\n');
        let mut file = AtomicFile::create(&path).map_err(EngineError::connect)?;
        file.write_all(text.as_bytes())
            .map_err(|source| write_error(&path, source))?;
        file.commit().map_err(EngineError::connect)
    }

    /// Leaves some rows, in order, out of what was frozen under a number, `gone` of them. Stopped in the middle, it
    /// is to be done again; done before, it changes nothing.
    pub(crate) fn leave_out(
        &self,
        name: &FrozenName,
        gone: u64,
        rows: &dyn Fn(&Table) -> Vec<u32>,
    ) -> Result<(), EngineError> {
        let mut manifest = self.manifest(name)?;
        let place = self.place(&manifest);
        let mut table = Table::read(&place).map_err(EngineError::connect)?;
        let out = rows(&table);
        if !out.is_empty() {
            let all = 0..u32::try_from(table.len()).unwrap_or(u32::MAX);
            let kept: Vec<u32> = all.filter(|row| out.binary_search(row).is_err()).collect();
            table = table.take(&kept).map_err(EngineError::connect)?;
            table.write(&place).map_err(EngineError::connect)?;
        }
        let digest = digest_of(&table)?;
        if digest != manifest.digest {
            manifest.digest = digest;
            manifest.rows = table.len() as u64;
            manifest.forgotten += gone;
            self.write(&mut manifest)?;
        }
        Ok(())
    }

    fn file(&self, segment: &str, number: u32, extension: &str) -> PathBuf {
        self.path
            .join(segment)
            .join(format!("{number}.{extension}"))
    }

    /// The numbers of what is frozen of a segment, ascending.
    fn numbers(&self, segment: &str) -> Result<Vec<u32>, EngineError> {
        let names = names(&self.path.join(segment))?;
        let number = |name: &String| {
            let number: u32 = name.strip_suffix(".json")?.parse().ok()?;
            (format!("{number}.json") == *name).then_some(number)
        };
        let mut numbers: Vec<u32> = names.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// Whether a name is that of a file of a frozen segment.
pub(crate) fn is_frozen_file(name: &str) -> bool {
    let parts = name.split_once('.');
    parts.is_some_and(|(number, extension)| {
        let is_number = number.parse::<u32>().is_ok_and(|n| n.to_string() == number);
        is_number && matches!(extension, "json" | "parquet")
    })
}

/// The digest of a table in words.
fn digest_of(table: &Table) -> Result<String, EngineError> {
    Ok(hex(&table.digest().map_err(EngineError::connect)?))
}

fn write_error(path: &Path, source: io::Error) -> EngineError {
    EngineError::Write {
        path: path.to_owned(),
        source,
    }
}
