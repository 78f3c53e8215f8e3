//! What is known of the runs of a batch view: one file each in `runs/VIEW/` of the store.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use evenkeel_connect::AtomicFile;
use evenkeel_types::{Cut, EventTime};
use serde::{Deserialize, Serialize};

use super::BatchView;
use crate::dataset::names;
use crate::error::EngineError;
use crate::offline::Offline;
use crate::record_file::{DamagedRecord, checksum_of, damaged_in, format_of, is_record};

/// The version of the records' format that is written (`docs/format/run.md`).
const RUN_FORMAT: u32 = 2;
/// The folder in the store.
const RUNS: &str = "runs";

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    format: u32,
    /// The view.
    pub view: String,
    /// The time that it is as of, microseconds.
    pub at: i64,
    /// How many runs of this time there were before.
    pub revision: u32,
    /// A digest of the query.
    pub query: String,
    /// What it knows, in words.
    pub cut: String,
    /// How many records the registry had: what names in the query mean is what these say. None: the
    /// record is of the first format.
    #[serde(default)]
    pub definitions: Option<u64>,
    /// What became of it; none: it was not finished.
    pub finished: Option<RunCounts>,
    /// The digest of the rest; none: the record is of the first format.
    #[serde(default)]
    checksum: Option<String>,
}

/// What became of a run's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunCounts {
    /// Rows of the query.
    pub rows: u64,
    /// Rows that were written.
    pub written: u64,
    /// Rows that were there already, of the same run.
    pub ignored: u64,
    /// Rows that could not be written.
    pub failed: u64,
    /// Keys that have no row any more.
    pub deleted: u64,
}

impl RunRecord {
    /// The run of a time: the one that is recorded, if it would give the same rows, else a new one,
    /// which [`RunRecord::record`] records. With `again` a run that was finished is followed by
    /// another, and one whose record is damaged. One that was not finished gives other rows than it began with if anything was defined
    /// since: then what it wrote is followed by another revision, not mixed with other rows.
    ///
    /// # Errors
    /// If a record cannot be read, or is damaged.
    pub fn begin(
        offline: &Offline,
        batch: &BatchView,
        at: EventTime,
        again: bool,
    ) -> Result<Self, EngineError> {
        let newest = newest_revision(offline.store(), &batch.view.name, at.0)?;
        let known = match RunRecord::of_time(offline, &batch.view.name, at) {
            // Whatever it wrote, the next revision is above it.
            Err(EngineError::Run { .. }) if again => None,
            known => known?,
        };
        let query = blake3::hash(batch.query.as_bytes()).to_hex()[..32].to_owned();
        let revision = newest.map_or(0, |newest| newest + 1);
        let definitions = Some(offline.records());
        if let Some(last) = known
            && last.query == query
            && match last.finished {
                Some(_) => !again,
                None => last.definitions == definitions,
            }
        {
            return Ok(last);
        }
        Ok(RunRecord {
            format: RUN_FORMAT,
            view: batch.view.name.clone(),
            at: at.0,
            revision,
            query,
            cut: offline.format_cut(offline.cut()),
            definitions,
            finished: None,
            checksum: None,
        })
    }

    /// Records that it is about to write rows.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn record(&mut self, offline: &Offline) -> Result<(), EngineError> {
        match self.checksum {
            Some(_) => Ok(()),
            None => self.write(offline),
        }
    }

    /// The times whose last run may have written rows and was not finished, in order. One whose
    /// record does not read is among them: making it says why.
    ///
    /// # Errors
    /// If the records cannot be listed.
    pub fn unfinished(offline: &Offline, view: &str) -> Result<Vec<EventTime>, EngineError> {
        let mut unfinished = times(offline.store(), view)?;
        unfinished.retain(|time| {
            let last = RunRecord::of_time(offline, view, EventTime(*time));
            !matches!(last, Ok(Some(record)) if record.finished.is_some())
        });
        Ok(unfinished.into_iter().map(EventTime).collect())
    }

    /// The last run of a time.
    ///
    /// # Errors
    /// If a record cannot be read, or is damaged.
    pub fn of_time(
        offline: &Offline,
        view: &str,
        at: EventTime,
    ) -> Result<Option<Self>, EngineError> {
        Self::last_of(offline.store(), view, at.0)
    }

    /// The last run of a time in a store's directory.
    fn last_of(store: &Path, view: &str, at: i64) -> Result<Option<Self>, EngineError> {
        let Some(revision) = newest_revision(store, view, at)? else {
            return Ok(None);
        };
        let path = place(store, view, at, revision);
        match fs::read(&path) {
            Ok(bytes) => RunRecord::parse(path, &bytes).map(Some),
            Err(source) => Err(EngineError::Read { path, source }),
        }
    }

    /// The time of the first finished run after a time. One that is not finished ends what it
    /// does not have itself, when it is; so does one whose record is damaged, when it is made again.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub(super) fn time_after(
        offline: &Offline,
        view: &str,
        at: i64,
    ) -> Result<Option<i64>, EngineError> {
        Self::finished_after(offline.store(), view, at)
    }

    fn finished_after(store: &Path, view: &str, at: i64) -> Result<Option<i64>, EngineError> {
        let later = times(store, view)?.split_off(&(at.saturating_add(1)));
        for time in later {
            match RunRecord::last_of(store, view, time) {
                Ok(Some(record)) if record.finished.is_some() => return Ok(Some(time)),
                Ok(_) | Err(EngineError::Run { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Records what became of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(&mut self, offline: &Offline, counts: RunCounts) -> Result<(), EngineError> {
        self.finished = Some(counts);
        self.write(offline)
    }

    /// What it knows.
    ///
    /// # Errors
    /// If a source of it is gone.
    pub fn cut(&self, offline: &Offline) -> Result<Cut, EngineError> {
        offline.parse_cut(&self.cut)
    }

    /// What its rows are told apart from those of others by.
    pub fn identity(&self) -> String {
        let RunRecord {
            view,
            at,
            revision,
            query,
            cut,
            ..
        } = self;
        let text = format!("{view}\n{at}\n{revision}\n{query}\n{cut}");
        format!(
            "run:{view}:{}",
            &blake3::hash(text.as_bytes()).to_hex()[..32]
        )
    }

    fn parse(path: PathBuf, bytes: &[u8]) -> Result<Self, EngineError> {
        let damaged = |path, reason| Err(EngineError::Run { path, reason });
        if let Some(format) = format_of(bytes)
            && format > RUN_FORMAT
        {
            return Err(EngineError::StoreFormat { path, format });
        }
        let record: RunRecord = match serde_json::from_slice(bytes) {
            Ok(record) => record,
            Err(error) => return damaged(path, error.to_string()),
        };
        if record.format > 1 && record.checksum != Some(record.checksum_of()) {
            return damaged(path, "its checksum is another".to_owned());
        }
        Ok(record)
    }

    fn checksum_of(&self) -> String {
        let bare = RunRecord {
            checksum: None,
            ..self.clone()
        };
        checksum_of(&bare)
    }

    /// Records of the runs of all views that are not as they were written.
    pub(crate) fn damaged(store: &Path) -> Result<Vec<DamagedRecord>, EngineError> {
        let runs = store.join(RUNS);
        let mut damaged = Vec::new();
        let views = names(&runs)?.into_iter().map(|view| runs.join(view));
        for view in views.filter(|view| view.is_dir()) {
            damaged.extend(damaged_in(&view, is_record, RunRecord::parse)?);
        }
        Ok(damaged)
    }

    fn write(&mut self, offline: &Offline) -> Result<(), EngineError> {
        self.write_in(offline.store())
    }

    /// Copies the records of a view's runs that a copy of a store does not have, as those of runs
    /// that were not finished: what they have written may be there in part.
    pub(crate) fn copy_begun(store: &Path, view: &str, copy: &Path) -> Result<(), EngineError> {
        for at in times(store, view)? {
            for revision in 0.. {
                let path = place(store, view, at, revision);
                let bytes = match fs::read(&path) {
                    Ok(bytes) => bytes,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                    Err(source) => return Err(EngineError::Read { path, source }),
                };
                if !place(copy, view, at, revision).exists() {
                    let mut record = RunRecord::parse(path, &bytes)?;
                    record.finished = None;
                    record.write_in(copy)?;
                }
            }
        }
        Ok(())
    }

    /// Writes it in a store's directory.
    fn write_in(&mut self, store: &Path) -> Result<(), EngineError> {
        self.format = RUN_FORMAT;
        self.checksum = Some(self.checksum_of());
        let path = place(store, &self.view, self.at, self.revision);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| EngineError::Write { path, source }
        };
        let folder = path.parent().unwrap_or(store);
        fs::create_dir_all(folder).map_err(failed(folder))?;
        // Their names are to be there after a power cut, too.
        for folder in folder.ancestors().take(3) {
            let open = fs::File::open(folder).map_err(failed(folder))?;
            open.sync_all().map_err(failed(folder))?;
        }
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        let mut file = AtomicFile::create(&path).map_err(EngineError::connect)?;
        file.write_all(text.as_bytes()).map_err(failed(&path))?;
        file.commit().map_err(EngineError::connect)
    }
}

/// The number of the last run of a time. Only its record is read: those before it are history.
fn newest_revision(store: &Path, view: &str, at: i64) -> Result<Option<u32>, EngineError> {
    let mut newest = None;
    for revision in 0.. {
        let path = place(store, view, at, revision);
        match path.try_exists() {
            Ok(true) => newest = Some(revision),
            Ok(false) => break,
            Err(source) => return Err(EngineError::Read { path, source }),
        }
    }
    Ok(newest)
}

/// The times of which there are records.
fn times(store: &Path, view: &str) -> Result<BTreeSet<i64>, EngineError> {
    let path = store.join(RUNS).join(view);
    let failed = |source| EngineError::Read {
        path: path.clone(),
        source,
    };
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut times = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        let parts: Vec<&str> = name.split('.').collect();
        // What an atomic write leaves behind is none.
        if let [time, revision, "json"] = parts[..]
            && revision.parse::<u32>().is_ok()
        {
            times.extend(time.parse::<i64>().ok());
        }
    }
    Ok(times)
}

fn place(store: &Path, view: &str, at: i64, revision: u32) -> PathBuf {
    store
        .join(RUNS)
        .join(view)
        .join(format!("{at}.{revision}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIXTURES: [&str; 2] = [
        include_str!("../../tests/fixtures/runs/1.json"),
        include_str!("../../tests/fixtures/runs/2.json"),
    ];

    fn parse(text: &str) -> Result<RunRecord, EngineError> {
        RunRecord::parse(PathBuf::from("run.json"), text.as_bytes())
    }

    #[test]
    fn records_of_every_format_open() {
        let [first, second] = FIXTURES.map(|text| parse(text).unwrap());
        assert_eq!((first.definitions, first.finished), (None, None));
        assert_eq!(second.definitions, Some(1));
        assert_eq!(second.finished, Some(RunCounts::default()));
        assert_eq!(first.identity(), second.identity());
        assert_eq!(second.checksum, Some(second.checksum_of()));
    }

    #[test]
    fn a_damaged_later_run_stops_no_earlier_one() {
        let store = tempfile::tempdir().unwrap();
        let after = |at| RunRecord::finished_after(store.path(), "nightly", at).unwrap();
        let mut record = parse(FIXTURES[1]).unwrap();
        record.view = "nightly".to_owned();
        for at in [10, 20, 30] {
            record.at = at;
            record.write_in(store.path()).unwrap();
        }
        assert_eq!(
            (after(10), after(20), after(30)),
            (Some(20), Some(30), None)
        );
        fs::write(place(store.path(), "nightly", 20, 0), "{").unwrap();
        assert_eq!((after(10), after(20)), (Some(30), Some(30)));
    }

    #[test]
    fn what_was_changed_and_what_is_newer_is_refused() {
        let changed = FIXTURES[1].replace("\"revision\": 0", "\"revision\": 1");
        let error = parse(&changed).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
        for text in ["", "{}", &FIXTURES[1][..40]] {
            assert!(
                matches!(parse(text), Err(EngineError::Run { .. })),
                "{text}"
            );
        }
        let path = PathBuf::from("runs/nightly/1764000000000000.0.json");
        let error = RunRecord::parse(path, b"").unwrap_err();
        let hint = error.hint().unwrap();
        let command = "`evenkeel run nightly --at 2025-11-24T16:00:00Z --again`";
        assert!(hint.contains(command), "{hint}");
        let newer = FIXTURES[1].replace("\"format\": 2", "\"format\": 3, \"more\": 1");
        let error = parse(&newer).unwrap_err();
        assert!(
            matches!(error, EngineError::StoreFormat { format: 3, .. }),
            "{error}"
        );
    }
}
