//! Files that grow, and files that come later, into the log: step by step, for ever.
//!
//! Owns which file is which, what of it was read, and groups of rows that are logged
//! together; who waits between two steps, and until when, is the caller's. What a row of a
//! growing file is called is in `docs/decisions/0008-rows-of-growing-files.md`.
//!
//! Invariant: a row is judged after those before it, and logged with or after them; so what
//! the log has of a file is where it goes on, whenever the process died.

mod origins;
mod report;
mod watched;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_connect::{
    ColumnSpec, ConnectError, FileOptions, FileRows, FileSet, GrowingFile, GrowingRows, RowBatch,
    RowReader, SourceFile, Stamp,
};
use evenkeel_types::EventTime;
use evenkeel_types::definition::SourceDef;

use crate::api::IngestReport;
use crate::batch::refuse_by_hand;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::ingest::{RowSink, file_options, stored_columns};
pub use origins::{Origins, origins};
pub use report::{FollowReport, SetAside};
use watched::{Followed, Seen, What};

/// Rows that are read at a time.
const BATCH_ROWS: usize = 2_000;
/// A commit has at most this many rows and those of the batch that reaches it.
const COMMIT_ROWS: usize = 8_000;
/// A commit is made when its rows were read for so long.
const COMMIT_MICROS: i64 = 200_000;
/// A file that is read as a whole is complete if it did not change for so long.
const SETTLED_MICROS: i64 = 1_000_000;
/// A file that is under no name any more is finished if it did not grow for so long.
const ABANDONED_MICROS: i64 = 60_000_000;
/// Files that stay open, so that what is renamed is read to its end.
const OPEN_FILES_MAX: usize = 256;

/// See the module.
pub struct Follower {
    source: Arc<SourceDef>,
    report: IngestReport,
    base: PathBuf,
    pattern: String,
    options: FileOptions,
    columns: Vec<ColumnSpec>,
    /// What the log had when following began.
    origins: Origins,
    /// Growing files by their ids.
    files: BTreeMap<[u8; 16], Followed>,
    /// What was found under each path, when it was looked at last.
    paths: BTreeMap<PathBuf, Seen>,
    unread: VecDeque<Unread>,
    reading: Option<Reading>,
    whole_files: u64,
}

/// What is to be read.
enum Unread {
    /// A growing file from its place on; whether its last line needs no end.
    Growing([u8; 16], bool),
    /// A file as a whole, with its digest.
    Whole(SourceFile, [u8; 16]),
}

/// What is being read.
struct Reading {
    path: PathBuf,
    digest: [u8; 16],
    /// Rows before this one are in the log.
    from: u64,
    rows: Rows,
}

enum Rows {
    Growing(Box<GrowingRows>),
    Whole(Box<RowReader>),
}

impl Follower {
    /// A follower of a source's files: those of its definition, relative to the project's
    /// folder, or a path or pattern given instead. `origins` is what the log has of them. Reads
    /// no file yet.
    ///
    /// # Errors
    /// If the source has no files, or the pattern cannot be understood or names one file that
    /// does not grow line by line.
    pub fn new(
        source: Arc<SourceDef>,
        root: &Path,
        path_override: Option<&Path>,
        origins: Origins,
    ) -> Result<Follower, EngineError> {
        refuse_by_hand(&source)?;
        let (pattern, options) = file_options(&source)?;
        let (base, pattern) = match path_override {
            None => (root.to_owned(), pattern),
            Some(path) => (PathBuf::new(), path.to_string_lossy().into_owned()),
        };
        FileSet::paths(&base, &pattern).map_err(EngineError::connect)?;
        let only = base.join(&pattern);
        if let Ok(file) = SourceFile::open(&only, &options)
            && !file.can_grow()
        {
            return Err(EngineError::CannotGrow { path: only });
        }
        Ok(Follower {
            columns: stored_columns(&source),
            report: IngestReport {
                source: source.name.clone(),
                ..IngestReport::default()
            },
            source,
            base,
            pattern,
            options: FileOptions {
                batch_rows: BATCH_ROWS,
                ..options
            },
            origins,
            files: BTreeMap::new(),
            paths: BTreeMap::new(),
            unread: VecDeque::new(),
            reading: None,
            whole_files: 0,
        })
    }

    /// Hands over the rows that have come, at most a commit of them, and looks for more if all
    /// that was found is read. `finished`: the files are complete as they are, their last lines
    /// too. Whether there was a row.
    ///
    /// # Errors
    /// Of whoever takes the rows. What is wrong with a file is in the report.
    pub fn step<S: RowSink>(&mut self, sink: &mut S, finished: bool) -> Result<bool, S::Error> {
        let began = sink.now();
        if self.unread.is_empty() && self.reading.is_none() {
            self.look(began, finished)?;
        }
        let mut parts = Vec::new();
        let mut rows = 0;
        let mut touched = BTreeSet::new();
        while let Some(mut reading) = self.next_reading() {
            match reading.next_batch() {
                Ok(Some(batch)) => {
                    rows += batch.len();
                    let file = reading.digest;
                    let batch = batch.within(reading.from..u64::MAX);
                    parts.push(FileRows { file, rows: batch });
                    touched.extend(self.advance(&reading));
                    self.reading = Some(reading);
                }
                Ok(None) => self.end_of(&reading),
                Err(error) => self.set_aside(&reading.path, reason_of(&error)),
            }
            let so_long = sink.now().0.saturating_sub(began.0);
            if rows >= COMMIT_ROWS || so_long >= COMMIT_MICROS {
                break;
            }
        }
        let any = !parts.is_empty();
        if any {
            self.report.add(sink.take(&self.source, parts)?);
        } else {
            sink.rest();
        }
        for id in touched {
            let followed = self.files.get_mut(&id).expect("it was read");
            if let Err(error) = followed.remember_tail() {
                let path = followed.path.clone();
                self.set_aside(&path, reason_of(&error));
            }
        }
        Ok(any)
    }

    /// The next part of what is to be read, opened.
    fn next_reading(&mut self) -> Option<Reading> {
        if let Some(reading) = self.reading.take() {
            return Some(reading);
        }
        while let Some(unread) = self.unread.pop_front() {
            let (path, opened) = match unread {
                Unread::Growing(id, finished) => {
                    let followed = &self.files[&id];
                    let Some(file) = &followed.file else {
                        continue;
                    };
                    let rows = file.read(&self.columns, &self.options, followed.place, finished);
                    let opened = rows.map(|rows| Reading {
                        path: followed.path.clone(),
                        digest: id,
                        from: followed.from,
                        rows: Rows::Growing(Box::new(rows)),
                    });
                    (followed.path.clone(), opened)
                }
                Unread::Whole(file, digest) => {
                    let rows = file.read(&self.columns, &self.options);
                    let opened = rows.map(|rows| Reading {
                        path: file.path().to_owned(),
                        digest,
                        from: self.origins.get(&digest).copied().unwrap_or(0),
                        rows: Rows::Whole(Box::new(rows)),
                    });
                    (file.path().to_owned(), opened)
                }
            };
            match opened {
                Ok(reading) => return Some(reading),
                Err(error) => self.set_aside(&path, reason_of(&error)),
            }
        }
        None
    }

    /// Takes down how far a growing file was read.
    fn advance(&mut self, reading: &Reading) -> Option<[u8; 16]> {
        let Rows::Growing(rows) = &reading.rows else {
            return None;
        };
        let followed = self.files.get_mut(&reading.digest).expect("it is read");
        followed.place = rows.place();
        Some(reading.digest)
    }

    fn end_of(&mut self, reading: &Reading) {
        match &reading.rows {
            Rows::Whole(_) => self.whole_files += 1,
            Rows::Growing(rows) => {
                let rows = rows.place().row;
                let followed = &self.files[&reading.digest];
                // The last line may have been taken without its end.
                let last = u64::from(followed.bytes > followed.place.bytes);
                if rows + last < reading.from {
                    let reason = format!(
                        "`{}` was cut off: {} rows of it are in the log, it has {rows}",
                        reading.path.display(),
                        reading.from
                    );
                    self.set_aside(&reading.path, reason);
                }
            }
        }
    }

    fn set_aside(&mut self, path: &Path, reason: String) {
        if let Some(seen) = self.paths.get_mut(path) {
            seen.what = What::Aside(reason);
        }
    }

    /// Looks what is there, and what of it is to be read.
    fn look(&mut self, now: EventTime, finished: bool) -> Result<(), EngineError> {
        let now = now.0;
        let paths = FileSet::paths(&self.base, &self.pattern).map_err(EngineError::connect)?;
        // The files that have a name, with one of their paths.
        let mut named = BTreeMap::new();
        for path in &paths {
            // Gone since it was listed.
            let Ok(stamp) = Stamp::of(path) else {
                continue;
            };
            let before = self.paths.get(path);
            let since = match before {
                Some(seen) if seen.stamp == stamp => seen.since,
                _ => now,
            };
            let what = match before {
                Some(seen) if seen.stamp == stamp && !seen.is_due(now, finished) => {
                    seen.what.clone()
                }
                _ => self
                    .examine(path, now.saturating_sub(since), finished, &named)
                    .unwrap_or_else(|error| What::Aside(reason_of(&error))),
            };
            if let What::Growing(id) = what {
                named.entry(id).or_insert_with(|| path.clone());
                let followed = self.files.get_mut(&id).expect("it was examined");
                followed.changed_at = followed.changed_at.max(since);
            }
            self.paths.insert(path.clone(), Seen { stamp, since, what });
        }
        self.paths.retain(|path, _| paths.contains(path));
        self.look_at_unnamed(now, finished, &named);
        self.close_some();
        Ok(())
    }

    /// What a path that is new or has changed is, and whether there is something to read.
    fn examine(
        &mut self,
        path: &Path,
        unchanged_micros: i64,
        finished: bool,
        named: &BTreeMap<[u8; 16], PathBuf>,
    ) -> Result<What, ConnectError> {
        let source = SourceFile::open(path, &self.options)?;
        if !source.can_grow() {
            if !finished && unchanged_micros < SETTLED_MICROS {
                return Ok(What::Waiting);
            }
            source.check_unpacks()?;
            let digest = source.digest(&mut |_| ())?;
            self.unread.push_back(Unread::Whole(source, digest));
            return Ok(What::Whole);
        }
        let Some(file) = GrowingFile::open(&source, &self.options, finished)? else {
            return Ok(What::Waiting);
        };
        let id = file.id();
        if !self.files.contains_key(&id) {
            let from = self.rows_known(&file)?;
            self.files.insert(id, Followed::new(path, from));
        }
        let followed = self.files.get_mut(&id).expect("it is there by now");
        if let Some(other) = named.get(&id)
            && let Some(known) = &followed.file
        {
            if !file.goes_on_like(known)? {
                return Ok(What::Aside(format!(
                    "`{}` begins like `{}` and goes on differently: of two such files only one \
                     can be followed",
                    path.display(),
                    other.display()
                )));
            }
            if file.bytes()? <= known.bytes()? {
                return Ok(What::Growing(id));
            }
        }
        if let Some(reason) = followed.contradiction(&file)? {
            // What is open may be the same file: nothing more is read of it.
            followed.file = None;
            return Ok(What::Aside(reason));
        }
        followed.bytes = file.bytes()?;
        path.clone_into(&mut followed.path);
        followed.file = Some(file);
        if followed.bytes > followed.place.bytes {
            self.unread.push_back(Unread::Growing(id, finished));
        }
        Ok(What::Growing(id))
    }

    /// How many rows of a file that is new here the log has.
    fn rows_known(&self, file: &GrowingFile) -> Result<u64, ConnectError> {
        if let Some(rows) = self.origins.get(&file.id()) {
            return Ok(*rows);
        }
        // With an event id its rows are known by that.
        if self.origins.is_empty() || !self.source.event_id.is_empty() {
            return Ok(0);
        }
        let known = |digest: &[u8; 16]| self.origins.contains_key(digest);
        file.rows_known(&self.columns, &self.options, &known)
    }

    /// Files that are open and under no name any more are read to their ends.
    fn look_at_unnamed(&mut self, now: i64, finished: bool, named: &BTreeMap<[u8; 16], PathBuf>) {
        for (id, followed) in &mut self.files {
            let Some(file) = followed.file.as_ref().filter(|_| !named.contains_key(id)) else {
                continue;
            };
            // The copy of a file that was emptied in place is outside the pattern.
            if !matches!(followed.contradiction(file), Ok(None)) {
                followed.file = None;
                continue;
            }
            let bytes = file.bytes().unwrap_or(followed.bytes);
            if bytes != followed.bytes {
                followed.bytes = bytes;
                followed.changed_at = now;
            }
            let is_finished =
                finished || now.saturating_sub(followed.changed_at) >= ABANDONED_MICROS;
            if bytes > followed.place.bytes {
                self.unread.push_back(Unread::Growing(*id, is_finished));
            } else if is_finished {
                followed.file = None;
            }
        }
    }

    /// Closes files that did not change for longest, if too many are open.
    fn close_some(&mut self) {
        let mut open: Vec<&mut Followed> = self
            .files
            .values_mut()
            .filter(|f| f.file.is_some() && f.bytes == f.place.bytes)
            .collect();
        let surplus = open.len().saturating_sub(OPEN_FILES_MAX);
        open.sort_by_key(|followed| followed.changed_at);
        for followed in open.into_iter().take(surplus) {
            followed.file = None;
        }
    }
}

impl Engine {
    /// A follower of a source's files, as [`Follower::new`]; its rows go to an
    /// [`Intake`](crate::Intake) of this engine.
    ///
    /// # Errors
    /// As there; of the log; if the store is open for reading only.
    pub fn follower(
        &self,
        source: &str,
        path_override: Option<&Path>,
    ) -> Result<Follower, EngineError> {
        self.log()?;
        let def = self.source_def(source)?;
        let known = origins(self.reader(), &def)?;
        Follower::new(def, &self.project().root, path_override, known)
    }
}

impl Reading {
    fn next_batch(&mut self) -> Result<Option<RowBatch>, ConnectError> {
        match &mut self.rows {
            Rows::Growing(rows) => rows.next_batch(),
            Rows::Whole(rows) => rows.next().transpose(),
        }
    }
}

/// An error with its causes, in one line.
fn reason_of(error: &ConnectError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
