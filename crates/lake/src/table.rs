//! One source's table: its versions, its commits, and what they cover.
//!
//! Invariants: a commit of ours is made over the version that it was made from, or refused;
//! positions are in the table's commits and nowhere else. A commit that adds events
//! of the log says, in the same step, up to which position of each partition the table now has
//! everything.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;

use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake_core::kernel::{Action, Add, MetadataExt, StructType, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};
use evenkeel_log::{LogReader, Next, Sequence};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Cut, LoggedEvent, Offset, Partition, Position, SourceId};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use crate::columns::TableColumns;
use crate::data_file::{self, Encoded};
use crate::error::LakeError;
use crate::file_events::{FileEvents, Wanted};
use crate::lake::Lake;
use crate::layout::{FORMAT, Layout, own};
use crate::statistics::{greatest_time, number_bounds};

/// Settings of a table, in its own log.
const SETTING_FORMAT: &str = "evenkeel.format";
const SETTING_STORE: &str = "evenkeel.store";
const SETTING_SOURCE: &str = "evenkeel.source";
const SETTING_SCHEMA_VERSION: &str = "evenkeel.schemaVersion";
const SETTING_CLUSTERED_BY: &str = "evenkeel.clusteredBy";
/// Delta's own: after so many commits readers need not read those before.
const SETTING_CHECKPOINT_INTERVAL: &str = "delta.checkpointInterval";
const CHECKPOINT_INTERVAL: u32 = 10;

/// By which of a source's columns its table is clustered.
#[derive(Clone, Debug)]
pub struct Clustering {
    /// The stored columns of a key; none: by time alone.
    pub slots: Vec<usize>,
    /// The bucket of a key's bytes.
    pub bucket_of: fn(&[u8]) -> u16,
}

/// A version of a source's table.
#[derive(Clone, Debug)]
pub struct Table {
    pub(crate) lake: Lake,
    pub(crate) source: Arc<SourceDef>,
    pub(crate) store: String,
    pub(crate) delta: DeltaTable,
    pub(crate) layout: Arc<Layout>,
    pub(crate) clustering: Clustering,
}

/// A data file of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Its name in the table's directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// How many events it has.
    pub events: u64,
}

/// What was added to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The version that has it.
    pub version: u64,
    /// The file.
    pub file: DataFile,
}

impl Table {
    /// The newest version of a source's table, or the one that is asked for; `None` if there is no
    /// table. `store` tells the store from others.
    ///
    /// # Errors
    /// If it cannot be read; if it is not this source's, or this store's.
    pub fn open(
        lake: &Lake,
        source: &Arc<SourceDef>,
        store: &str,
        bucket_of: fn(&[u8]) -> u16,
        version: Option<u64>,
    ) -> Result<Option<Table>, LakeError> {
        if !lake.may_have(&source.name) {
            return Ok(None);
        }
        let mut delta = DeltaTable::new(lake.log_store(&source.name)?);
        let loaded = lake.wait(async {
            match version {
                Some(version) => delta.load_version(version).await,
                None => delta.load().await,
            }
        });
        match (loaded, version) {
            (Ok(()), _) => {}
            (Err(DeltaTableError::NotATable(_)), None) => return Ok(None),
            (Err(source_error), Some(version)) => {
                if lake.refusal_of(&source_error).is_some() {
                    return Err(lake.unreadable(&source.name, source_error));
                }
                return Err(LakeError::NoVersion {
                    table: source.name.clone(),
                    version,
                    source: Box::new(source_error),
                });
            }
            (Err(source_error), None) => return Err(lake.unreadable(&source.name, source_error)),
        }
        Table::of(lake, source, store, bucket_of, delta).map(Some)
    }

    /// Makes a source's table, clustered by some of its columns.
    ///
    /// # Errors
    /// If it cannot be written. Somebody else may have made it meanwhile: open it then.
    pub fn create(
        lake: &Lake,
        source: &Arc<SourceDef>,
        store: &str,
        clustering: &Clustering,
    ) -> Result<Table, LakeError> {
        let layout = Layout::of(source, source.schema.version())?;
        let names: Vec<&str> = clustering
            .slots
            .iter()
            .map(|&slot| source.columns[slot].name.as_str())
            .collect();
        let schema: StructType = serde_json::from_value(layout.delta_schema())
            .map_err(|e| lake.unwritten(&source.name, e))?;
        let settings = [
            (SETTING_CHECKPOINT_INTERVAL, CHECKPOINT_INTERVAL.to_string()),
            (SETTING_FORMAT, FORMAT.to_string()),
            (SETTING_STORE, store.to_owned()),
            (SETTING_SOURCE, source.id.0.to_string()),
            (SETTING_SCHEMA_VERSION, layout.schema_version.to_string()),
            (SETTING_CLUSTERED_BY, serde_json::json!(names).to_string()),
        ];
        lake.refuse_overwriting(&source.name)?;
        let create = DeltaTable::new(lake.log_store(&source.name)?)
            .create()
            .with_table_name(source.name.clone())
            .with_raise_if_key_not_exists(false)
            .with_commit_properties(CommitProperties::default().with_max_retries(0))
            .with_configuration(settings.map(|(key, value)| (key, Some(value))))
            .with_columns(schema.fields().cloned());
        let delta = lake.wait(async { create.await });
        let delta = delta.map_err(|e| refused(lake, source, e))?;
        Table::of(lake, source, store, clustering.bucket_of, delta)
    }

    fn of(
        lake: &Lake,
        source: &Arc<SourceDef>,
        store: &str,
        bucket_of: fn(&[u8]) -> u16,
        delta: DeltaTable,
    ) -> Result<Table, LakeError> {
        let not_ours = |reason: String| LakeError::NotOurs {
            table: source.name.clone(),
            reason,
        };
        let state = delta
            .snapshot()
            .map_err(|e| lake.unreadable(&source.name, e))?;
        let settings = state.metadata().configuration();
        let setting = |name: &str| {
            let found = settings.get(name).map(String::as_str);
            found.ok_or_else(|| not_ours(format!("it has no `{name}`")))
        };
        let number = |name: &str| {
            let text = setting(name)?;
            let parsed = text.parse::<u32>();
            parsed.map_err(|_| not_ours(format!("`{name}` is `{text}`")))
        };
        let format = number(SETTING_FORMAT)?;
        if format > FORMAT {
            let newer = format!("a newer version made it (format {format}, known is {FORMAT})");
            return Err(not_ours(newer));
        }
        if setting(SETTING_STORE)? != store {
            return Err(not_ours("it is another store's".to_owned()));
        }
        if number(SETTING_SOURCE)? != source.id.0 {
            return Err(not_ours(
                "it is that of a source which had its name".to_owned(),
            ));
        }
        let names: Vec<String> = serde_json::from_str(setting(SETTING_CLUSTERED_BY)?)
            .map_err(|e| not_ours(format!("`{SETTING_CLUSTERED_BY}`: {e}")))?;
        let (found, known) = (number(SETTING_SCHEMA_VERSION)?, source.schema.version());
        if found > known {
            return Err(LakeError::NewerSchema {
                table: source.name.clone(),
                found,
                known,
            });
        }
        let layout = Layout::of(source, found)?;
        let slots = names
            .iter()
            .map(|name| layout.stored.iter().position(|field| field.name == *name))
            .collect::<Option<Vec<usize>>>();
        let slots = slots.ok_or_else(|| not_ours("it is clustered by other columns".to_owned()))?;
        Ok(Table {
            lake: lake.clone(),
            source: Arc::clone(source),
            store: store.to_owned(),
            delta,
            layout,
            clustering: Clustering { slots, bucket_of },
        })
    }

    /// The version.
    pub fn version(&self) -> u64 {
        self.delta.version().unwrap_or(0)
    }

    /// The source.
    pub fn source(&self) -> &Arc<SourceDef> {
        &self.source
    }

    /// The version of the source's schema that its events have.
    pub fn schema_version(&self) -> u32 {
        self.layout.schema_version
    }

    /// What the version has: all events of the source up to these positions, of the partitions
    /// of the log.
    ///
    /// # Errors
    /// If it cannot be read; if its last event is not the one that the log has there.
    pub fn covered(&self, log: &LogReader) -> Result<Cut, LakeError> {
        let ends = log.ends();
        let (mut covered, mut last, mut all_logged) = (Cut::empty(), None, true);
        for (id, partition, logged) in ends.iter().filter(|(id, _, _)| *id == self.source.id) {
            let Some(end) = self.end(partition)? else {
                continue;
            };
            covered.set_end(id, partition, end);
            all_logged &= end <= logged;
            if let Some(before) = end.0.checked_sub(1).filter(|_| end <= logged) {
                let position = Position::new(partition.0, before);
                let time = log
                    .logged_at(id, position)
                    .map_err(|e| self.unreadable(e))?;
                last = last.max(time);
            }
        }
        // Who has a log that is older than the table cannot tell.
        if all_logged
            && let (Some(time), Some(here)) = (last, self.last_logged_at()?)
            && time.0 != here
        {
            return Err(LakeError::Otherwise {
                table: self.source.name.clone(),
            });
        }
        Ok(covered)
    }

    /// The first offset of a partition that the version does not have; `None` if it has nothing of it.
    pub(crate) fn end(&self, partition: Partition) -> Result<Option<Offset>, LakeError> {
        let state = self.delta.snapshot().map_err(|e| self.unreadable(e))?;
        let log_store = self.delta.log_store();
        let application = self.application(partition);
        let version = state.transaction_version(log_store.as_ref(), application);
        let version = self.lake.wait(version);
        let version = version.map_err(|e| self.unreadable(e))?;
        Ok(version.map(|end| Offset(end.cast_unsigned())))
    }

    /// The apply timeline at the last event, as the statistics have it.
    fn last_logged_at(&self) -> Result<Option<i64>, LakeError> {
        let state = self.delta.snapshot().map_err(|e| self.unreadable(e))?;
        let views = state.log_data();
        let last = views.iter().max_by(|a, b| a.path().cmp(&b.path()));
        Ok(last.and_then(|view| greatest_time(&view.stats()?, "_logged_at")))
    }

    /// The `txn` application whose version is the end of a partition.
    fn application(&self, partition: Partition) -> String {
        format!("{}/{}/{}", self.store, self.source.id.0, partition.0)
    }

    /// What says that the table has everything of a partition before an end.
    pub(crate) fn position(&self, partition: Partition, end: Offset) -> Transaction {
        let millis = self.lake.now_millis();
        let application = self.application(partition);
        Transaction::new_with_last_update(application, end.0.cast_signed(), Some(millis))
    }

    /// The data files, in the order in which their events were logged.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn files(&self) -> Result<Vec<DataFile>, LakeError> {
        let state = self.delta.snapshot().map_err(|e| self.unreadable(e))?;
        let mut files: Vec<DataFile> = state
            .log_data()
            .iter()
            .map(|view| DataFile {
                path: view.path().into_owned(),
                bytes: u64::try_from(view.size()).unwrap_or(0),
                events: view.num_records().unwrap_or(0) as u64,
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Columns for events that are to be added.
    pub fn columns(&self) -> TableColumns {
        TableColumns::new(
            &self.source.name,
            Arc::clone(&self.layout),
            self.clustering.clone(),
        )
    }

    /// Adds the next events of the log, which bring the table to these ends. Durable when it
    /// answers. This is the new version then.
    ///
    /// # Errors
    /// [`LakeError::Conflict`] if somebody else added them; if they cannot be written. Whether
    /// they were added all the same, the newest version says.
    pub fn append(&mut self, events: &TableColumns, ends: &Cut) -> Result<Appended, LakeError> {
        let encoded = data_file::encode(&self.source.name, events)?;
        let file = self.write(&encoded)?;
        let positions = ends
            .iter()
            .filter(|(id, _, _)| *id == self.source.id)
            .map(|(_, partition, end)| self.position(partition, end))
            .collect();
        let properties = CommitProperties::default().with_application_transactions(positions);
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: None,
            predicate: None,
        };
        self.commit(vec![self.added(&encoded, true)], properties, operation)?;
        Ok(Appended {
            version: self.version(),
            file,
        })
    }

    /// Writes a data file, which no version has yet.
    pub(crate) fn write(&self, encoded: &Encoded) -> Result<DataFile, LakeError> {
        let store = self.delta.log_store().object_store(None);
        let path = Path::from(encoded.name.as_str());
        let payload = PutPayload::from_bytes(encoded.bytes.clone());
        let written = self.lake.wait(store.put(&path, payload));
        written.map_err(|e| self.unwritten(e))?;
        Ok(DataFile {
            path: encoded.name.clone(),
            bytes: encoded.bytes.len() as u64,
            events: encoded.events as u64,
        })
    }

    pub(crate) fn added(&self, encoded: &Encoded, data_change: bool) -> Action {
        Action::Add(Add {
            path: encoded.name.clone(),
            size: i64::try_from(encoded.bytes.len()).unwrap_or(i64::MAX),
            modification_time: self.lake.now_millis(),
            data_change,
            stats: Some(encoded.statistics.clone()),
            ..Add::default()
        })
    }

    /// Commits actions as the version after this one, and goes over to it. Never over a version that
    /// somebody else made meanwhile, whatever it holds: what a commit says of positions and of
    /// files that it replaces is true of this version. (delta-rs lets two commits replace the same
    /// files if neither changes the data, which doubles it.)
    pub(crate) fn commit(
        &mut self,
        actions: Vec<Action>,
        properties: CommitProperties,
        operation: DeltaOperation,
    ) -> Result<(), LakeError> {
        let state = self.delta.snapshot().map_err(|e| self.unreadable(e))?;
        let log_store = self.delta.log_store();
        let properties = properties
            .with_max_retries(0)
            .with_cleanup_expired_logs(Some(false));
        let commit = CommitBuilder::from(properties).with_actions(actions).build(
            Some(state),
            log_store,
            operation,
        );
        let committed = self.lake.wait(async { commit.await });
        let committed = committed.map_err(|e| refused(&self.lake, &self.source, e))?;
        let version = committed.version();
        let loaded = self.lake.wait(self.delta.load_version(version));
        loaded.map_err(|e| self.unreadable(e))
    }

    /// The schema of the newest version of the source, as the table's metadata.
    pub(crate) fn metadata_of(&self, layout: &Layout) -> Result<Action, LakeError> {
        let schema: StructType =
            serde_json::from_value(layout.delta_schema()).map_err(|e| self.unwritten(e))?;
        let state = self.delta.snapshot().map_err(|e| self.unreadable(e))?;
        let (key, value) = (SETTING_SCHEMA_VERSION, layout.schema_version.to_string());
        let metadata = state.metadata().clone();
        let metadata = metadata
            .with_schema(&schema)
            .map_err(|e| self.unwritten(e))?;
        let metadata = metadata
            .add_config_key(key.to_owned(), value)
            .map_err(|e| self.unwritten(e))?;
        Ok(Action::Metadata(metadata))
    }

    /// Reads a data file and checks that its bytes are those that were written.
    pub(crate) fn fetch(&self, path: &str) -> Result<bytes::Bytes, LakeError> {
        let store = self.delta.log_store().object_store(None);
        let location = Path::from(path);
        let fetched = self
            .lake
            .wait(async { store.get(&location).await?.bytes().await });
        let bytes = fetched.map_err(|error| match error {
            error if self.lake.refusal_of(&error).is_some() => self.unreadable(error),
            object_store::Error::NotFound { .. } => LakeError::MissingFile {
                path: self.path_in_words(path),
            },
            error => self.unreadable(error),
        })?;
        data_file::check(path, &bytes).map_err(|error| match error {
            LakeError::Damaged { reason, .. } => LakeError::Damaged {
                path: self.path_in_words(path),
                reason,
            },
            other => other,
        })?;
        Ok(bytes)
    }

    fn path_in_words(&self, path: &str) -> String {
        format!("{}/{path}", self.lake.address_of(&self.source.name))
    }

    /// The events of this version that are wanted, in the order in which they were logged.
    pub(crate) fn read(&self, wanted: Wanted) -> Result<TableEvents, LakeError> {
        Ok(TableEvents {
            files: self.files_with(&wanted)?.into(),
            table: self.clone(),
            wanted,
            open: None,
        })
    }

    /// The files that may have what is wanted, by the bounds of their offsets.
    pub(crate) fn files_with(&self, wanted: &Wanted) -> Result<Vec<String>, LakeError> {
        let state = self.delta.snapshot().map_err(|e| self.unreadable(e))?;
        let bounds = wanted.offsets();
        let views = state.log_data();
        let name = self.layout.fields[own::OFFSET].name.as_str();
        let may_have = |statistics: Option<&str>| {
            let found = statistics.and_then(|text| number_bounds(text, name));
            let offset = |x: i64| x.cast_unsigned();
            found.is_none_or(|(least, greatest)| {
                offset(greatest) >= bounds.start && offset(least) < bounds.end
            })
        };
        let files = views
            .iter()
            .filter(|view| may_have(view.stats().as_deref()));
        let mut files: Vec<String> = files.map(|view| view.path().into_owned()).collect();
        files.sort();
        Ok(files)
    }

    /// All events of some of the files.
    pub(crate) fn read_files(&self, files: Vec<String>) -> TableEvents {
        TableEvents {
            wanted: Wanted {
                source: self.source.id,
                after: Cut::empty(),
                until: None,
                event_times: None,
                parts: None,
                sequences: true,
            },
            table: self.clone(),
            files: files.into(),
            open: None,
        }
    }

    pub(crate) fn unreadable(&self, error: impl Into<Box<dyn Error + Send + Sync>>) -> LakeError {
        self.lake.unreadable(&self.source.name, error)
    }

    pub(crate) fn unwritten(&self, error: impl Into<Box<dyn Error + Send + Sync>>) -> LakeError {
        self.lake.unwritten(&self.source.name, error)
    }

    /// The source's number.
    pub(crate) fn id(&self) -> SourceId {
        self.source.id
    }
}

/// Reads the events of a table's files.
pub(crate) struct TableEvents {
    table: Table,
    wanted: Wanted,
    files: VecDeque<String>,
    open: Option<FileEvents>,
}

impl TableEvents {
    /// Reads the next event into another, and answers its number in the apply order; none once
    /// there is no more.
    pub(crate) fn next_into(
        &mut self,
        logged: &mut LoggedEvent,
    ) -> Result<Option<Sequence>, LakeError> {
        while let Some(open) = self.open()? {
            if let Some(sequence) = open.next_into(logged)? {
                return Ok(Some(sequence));
            }
            self.open = None;
        }
        Ok(None)
    }

    /// The same; where several follow each other, all of them at once.
    pub(crate) fn next_columns(&mut self, logged: &mut LoggedEvent) -> Result<Next, LakeError> {
        while let Some(open) = self.open()? {
            if let Some(columns) = open.next_columns()? {
                return Ok(Next::Columns(columns));
            }
            if open.next_into(logged)?.is_some() {
                return Ok(Next::Event);
            }
            self.open = None;
        }
        Ok(Next::End)
    }

    /// The file that is being read, or the next one; none behind the last.
    fn open(&mut self) -> Result<Option<&mut FileEvents>, LakeError> {
        if self.open.is_none()
            && let Some(path) = self.files.pop_front()
        {
            let bytes = self.table.fetch(&path)?;
            let layout = &self.table.layout;
            self.open = Some(FileEvents::read(layout, &path, bytes, &self.wanted)?);
        }
        Ok(self.open.as_mut())
    }
}

/// Why a commit was refused.
fn refused(lake: &Lake, source: &SourceDef, error: DeltaTableError) -> LakeError {
    let conflict = matches!(
        &error,
        DeltaTableError::Transaction {
            source: TransactionError::CommitConflict(_)
                | TransactionError::VersionAlreadyExists(_)
                | TransactionError::MaxCommitAttempts(_)
        } | DeltaTableError::VersionAlreadyExists(_)
    );
    match conflict {
        true => LakeError::Conflict {
            table: source.name.clone(),
            source: Box::new(error),
        },
        false => lake.unwritten(&source.name, error),
    }
}
