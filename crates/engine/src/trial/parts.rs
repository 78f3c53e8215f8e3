//! The parts of a result that is made bit by bit: those that are done are kept beside it, so
//! that the same command goes on where it was stopped.
//!
//! `OUT.parts` has what was asked with the cut at which it is answered, and per part a table and
//! its notes, written last: a part without notes is not done. Its `lock` is taken while parts are
//! made, and a folder that is not ours is left alone. Invariant: a whole is the same
//! whether it was made at once or in several goes, as parts have a fixed number of rows, and one
//! that is not what its notes say is made again.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use evenkeel_connect::{AtomicFile, Table};
use evenkeel_log::{DiskFileSystem, FileSystem, Lock, LockGuard};
use evenkeel_train::Difference;
use evenkeel_types::{Column, Field};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::EngineError;

/// Which form the files of parts have.
const FORMAT: u32 = 2;
const ASKED: &str = "asked.json";
/// Who has it open makes parts; nobody else does meanwhile.
const LOCK: &str = "lock";

/// What was asked, and the cut at which it is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    format: u32,
    asked: String,
    cut: String,
}

/// What is known of the rows of a part, or of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Notes {
    /// Instants at which only the first of what is compared has a row of its own.
    pub(crate) rows_only_first: u64,
    /// Only the second.
    pub(crate) rows_only_second: u64,
    /// ERRORs, by feature.
    pub(crate) errors: Vec<u64>,
    /// By feature that is compared.
    pub(crate) differences: Vec<Difference>,
    /// Rows of which some feature differs.
    pub(crate) differing: u64,
}

/// Some rows with what is known of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<Column>,
    pub(crate) notes: Notes,
}

/// The notes of a part as they are on the disk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    rows: u64,
    digest: String,
    notes: Notes,
}

/// Where parts are kept; nowhere if the result is not written.
pub(crate) struct Parts {
    folder: Option<PathBuf>,
    /// Taken while the folder is there: closing it gives it back.
    lock: Option<Box<dyn LockGuard>>,
}

/// A whole, and how much of it was done before.
pub(crate) struct Whole {
    pub(crate) rows: Rows,
    /// Instants of parts that were there already.
    pub(crate) resumed: u64,
}

impl Notes {
    pub(crate) fn add(&mut self, more: Notes) {
        self.rows_only_first += more.rows_only_first;
        self.rows_only_second += more.rows_only_second;
        self.differing += more.differing;
        let errors = self.errors.len().max(more.errors.len());
        self.errors.resize(errors, 0);
        for (all, more) in self.errors.iter_mut().zip(more.errors) {
            *all += more;
        }
        let differences = self.differences.len().max(more.differences.len());
        self.differences
            .resize_with(differences, Difference::default);
        for (all, more) in self.differences.iter_mut().zip(more.differences) {
            all.add(more);
        }
    }
}

impl Parts {
    /// Beside a result.
    ///
    /// # Errors
    /// [`EngineError::NotParts`] if something else is there; [`EngineError::PartsBusy`].
    pub(crate) fn beside(out: Option<&Path>) -> Result<Self, EngineError> {
        let folder = out.map(|out| {
            let mut name = out.as_os_str().to_owned();
            name.push(".parts");
            PathBuf::from(name)
        });
        let mut parts = Parts { folder, lock: None };
        if let Some(folder) = parts.folder.clone()
            && fs::symlink_metadata(&folder).is_ok()
        {
            refuse_others(&folder)?;
            parts.take(&folder)?;
        }
        Ok(parts)
    }

    /// Takes the lock of a folder that is there.
    fn take(&mut self, folder: &Path) -> Result<(), EngineError> {
        if self.lock.is_some() {
            return Ok(());
        }
        let path = folder.join(LOCK);
        match DiskFileSystem.lock(&path).map_err(write_error(&path))? {
            Lock::Taken(guard) => {
                self.lock = Some(guard);
                Ok(())
            }
            Lock::Held { .. } => Err(EngineError::PartsBusy {
                path: folder.to_owned(),
            }),
        }
    }

    /// The cut at which the same was begun, in words.
    pub(crate) fn begun(&self, asked: &str) -> Option<String> {
        let before: Asked = read_json(&self.folder.as_ref()?.join(ASKED))?;
        (before.format == FORMAT && before.asked == asked).then_some(before.cut)
    }

    /// Begins what is asked at a cut; parts of anything else go.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub(crate) fn begin(&mut self, asked: &str, cut: &str) -> Result<(), EngineError> {
        let Some(folder) = &self.folder.clone() else {
            return Ok(());
        };
        fs::create_dir_all(folder).map_err(write_error(folder))?;
        self.take(folder)?;
        if self.begun(asked).is_some_and(|before| before == cut) {
            return Ok(());
        }
        remove_all_but_lock(folder)?;
        let asked = Asked {
            format: FORMAT,
            asked: asked.to_owned(),
            cut: cut.to_owned(),
        };
        write_json(&folder.join(ASKED), &asked)
    }

    /// Makes the parts that are not there, of so many instants each. `make` gives the rows of some
    /// instants; `reach` is told how many are done, and may stop it.
    ///
    /// # Errors
    /// Of `make` and `reach`; if a part cannot be written.
    pub(crate) fn run(
        &self,
        fields: &[Field],
        (instants, of_part): (usize, usize),
        make: &mut dyn FnMut(Range<usize>) -> Result<Rows, EngineError>,
        reach: &mut dyn FnMut(u64) -> Result<(), EngineError>,
    ) -> Result<Whole, EngineError> {
        let columns = fields.iter().map(|f| Column::new(&f.data_type));
        let mut whole = Whole {
            rows: Rows {
                columns: columns.collect(),
                notes: Notes::default(),
            },
            resumed: 0,
        };
        for (number, start) in (0..instants).step_by(of_part.max(1)).enumerate() {
            reach(start as u64)?;
            let range = start..instants.min(start + of_part);
            let rows = match self.read(number, fields) {
                Some(rows) => {
                    whole.resumed += range.len() as u64;
                    rows
                }
                None => {
                    let rows = make(range)?;
                    self.write(number, fields, &rows)?;
                    rows
                }
            };
            for (all, more) in whole.rows.columns.iter_mut().zip(rows.columns) {
                all.append(more);
            }
            whole.rows.notes.add(rows.notes);
        }
        reach(instants as u64)?;
        Ok(whole)
    }

    /// Removes all of it: the whole is where it should be.
    ///
    /// # Errors
    /// If something stays.
    pub(crate) fn remove(&self) -> Result<(), EngineError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(write_error(folder)(error))
            }
            _ => Ok(()),
        }
    }

    fn place(&self, number: usize, ending: &str) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{number:06}.{ending}")))
    }

    fn write(&self, number: usize, fields: &[Field], rows: &Rows) -> Result<(), EngineError> {
        let (Some(table_at), Some(notes_at)) =
            (self.place(number, "arrow"), self.place(number, "json"))
        else {
            return Ok(());
        };
        let table = table_of(fields, rows.columns.clone())?;
        table.write(&table_at).map_err(EngineError::connect)?;
        let done = Done {
            rows: table.len() as u64,
            digest: digest_of(&table)?,
            notes: rows.notes.clone(),
        };
        write_json(&notes_at, &done)
    }

    /// A part that is done; none if anything about it is not as it should be.
    fn read(&self, number: usize, fields: &[Field]) -> Option<Rows> {
        let done: Done = read_json(&self.place(number, "json")?)?;
        let table = Table::read(&self.place(number, "arrow")?).ok()?;
        if done.rows != table.len() as u64 || digest_of(&table).ok()? != done.digest {
            return None;
        }
        let column = |field: &Field| table.column_as(&field.name, &field.data_type).ok();
        Some(Rows {
            columns: fields.iter().map(column).collect::<Option<_>>()?,
            notes: done.notes,
        })
    }
}

/// Columns as a table.
///
/// # Errors
/// If a name is there twice, or a type cannot be written.
pub(crate) fn table_of(fields: &[Field], columns: Vec<Column>) -> Result<Table, EngineError> {
    Table::from_columns(fields.iter().cloned().zip(columns)).map_err(EngineError::connect)
}

/// The canonical digest of a table, in hexadecimal digits.
///
/// # Errors
/// If a column has none.
pub(crate) fn digest_of(table: &Table) -> Result<String, EngineError> {
    let digest = table.digest().map_err(EngineError::connect)?;
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Refuses what is no folder of parts: it would be removed.
fn refuse_others(folder: &Path) -> Result<(), EngineError> {
    let is_ours = folder.is_dir()
        && match folder.join(ASKED).is_file() {
            true => true,
            // One that was made just before a crash.
            false => {
                let mut entries = fs::read_dir(folder).map_err(write_error(folder))?;
                entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == LOCK))
            }
        };
    match is_ours {
        true => Ok(()),
        false => Err(EngineError::NotParts {
            path: folder.to_owned(),
        }),
    }
}

/// Removes parts of something else; what says that the folder is ours goes last.
fn remove_all_but_lock(folder: &Path) -> Result<(), EngineError> {
    let entries = fs::read_dir(folder).map_err(write_error(folder))?;
    for entry in entries {
        let entry = entry.map_err(write_error(folder))?;
        if entry.file_name() != LOCK && entry.file_name() != ASKED {
            fs::remove_file(entry.path()).map_err(write_error(&entry.path()))?;
        }
    }
    Ok(())
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), EngineError> {
    let bytes = serde_json::to_vec(value).map_err(|error| write_error(path)(error.into()))?;
    let mut file = AtomicFile::create(path).map_err(EngineError::connect)?;
    file.write_all(&bytes).map_err(write_error(path))?;
    file.commit().map_err(EngineError::connect)
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> EngineError {
    let path = path.to_owned();
    move |source| EngineError::Write { path, source }
}
