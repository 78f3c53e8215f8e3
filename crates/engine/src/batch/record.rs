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
use crate::error::EngineError;
use crate::offline::Offline;

/// The version of the records' format.
const RUN_FORMAT: u32 = 1;

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
    /// What became of it; none: it was not finished.
    pub finished: Option<RunCounts>,
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
    /// The run of a time: the one that was begun, if the query is the same, else a new one, which is
    /// recorded. With `again` a run that was finished is followed by another.
    ///
    /// # Errors
    /// If records cannot be read or written, or the time is after the store's timeline.
    pub fn begin(
        offline: &Offline,
        batch: &BatchView,
        at: EventTime,
        again: bool,
    ) -> Result<Self, EngineError> {
        let known = RunRecord::of_time(offline, &batch.view.name, at)?;
        let query = blake3::hash(batch.query.as_bytes()).to_hex()[..32].to_owned();
        let revision = known.as_ref().map_or(0, |last| last.revision + 1);
        if let Some(last) = known
            && last.query == query
            && (last.finished.is_none() || !again)
        {
            return Ok(last);
        }
        let record = RunRecord {
            format: RUN_FORMAT,
            view: batch.view.name.clone(),
            at: at.0,
            revision,
            query,
            cut: offline.format_cut(offline.cut()),
            finished: None,
        };
        record.write(offline)?;
        Ok(record)
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
        let mut last = None;
        for revision in 0.. {
            let path = place(offline.store(), view, at.0, revision);
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(source) => return Err(EngineError::Read { path, source }),
            };
            let record: RunRecord = serde_json::from_slice(&bytes).map_err(|error| {
                let reason = error.to_string();
                EngineError::Run { path, reason }
            })?;
            last = Some(record);
        }
        Ok(last)
    }

    /// The time of the first finished run after a time. One that is not finished ends what it
    /// does not have itself, when it is.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub(super) fn time_after(
        offline: &Offline,
        view: &str,
        at: i64,
    ) -> Result<Option<i64>, EngineError> {
        let path = offline.store().join("runs").join(view);
        let failed = |source| EngineError::Read {
            path: path.clone(),
            source,
        };
        let mut times = BTreeSet::new();
        for entry in fs::read_dir(&path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let name = name.to_string_lossy();
            let time = name.split('.').next().and_then(|time| time.parse().ok());
            times.extend(time.filter(|time: &i64| *time > at));
        }
        for time in times {
            let record = RunRecord::of_time(offline, view, EventTime(time))?;
            if record.is_some_and(|record| record.finished.is_some()) {
                return Ok(Some(time));
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

    fn write(&self, offline: &Offline) -> Result<(), EngineError> {
        let path = place(offline.store(), &self.view, self.at, self.revision);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source: io::Error| EngineError::Write { path, source }
        };
        let folder = path.parent().unwrap_or(offline.store());
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

fn place(store: &Path, view: &str, at: i64, revision: u32) -> PathBuf {
    store
        .join("runs")
        .join(view)
        .join(format!("{at}.{revision}.json"))
}
