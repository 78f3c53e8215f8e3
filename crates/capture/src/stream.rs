//! The binlog from a place on, as rows of a source.
//!
//! A row is named by the place of its event and its number in it: the images of a row have at least a
//! byte each, so that is less than where the next event begins. Its time is that at which its
//! transaction was committed, and never before that of a transaction before it: of two changes of a row
//! the later in the log is the later in time, whatever the server's clock does and however long a
//! statement waited.

mod rows_event;
mod signature;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::rows_event::RowsEvent;
use self::signature::{difference, signature};
use crate::bytes::{Bytes, CutOff};
use crate::client::Connection;
use crate::error::CaptureError;
use crate::event::{self, Event, Header, RowsKind};
use crate::mapping::{Mapping, Rows, Target};
use crate::server::{Server, with_grant};
use crate::settings::Settings;
use crate::statement::{Bracket, Effect, adds_again, bracket, effect, may_concern};
use crate::table_map::{TableMap, kind};

const MICROS_PER_SECOND: i64 = 1_000_000;
/// How long nothing happens before the server says so.
const HEARTBEAT_NANOS: u64 = 100_000_000;
/// The binlog is not there, or not from there on.
const NO_BINLOG: u16 = 1236;
/// Statements shown in errors are cut.
const STATEMENT_CHARS_MAX: usize = 120;

/// A place between two transactions, with what the following needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    /// When that was begun, in seconds; 0: not read yet.
    pub(crate) created: u32,
    pub(crate) position: u64,
    /// No change behind it is dated before.
    pub(crate) time: i64,
    /// The columns as they were in the last rows, if there were any.
    pub(crate) columns: Option<Vec<String>>,
}

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Event,
    /// Nothing happens on the server.
    Idle,
    /// The server ended the stream.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    /// Between two.
    None,
    /// One began, and is one statement unless it says BEGIN.
    Announced,
    Inside,
}

pub(crate) struct Stream {
    connection: Connection,
    state: State,
}

/// All but the connection, whose bytes are lent.
struct State {
    source_name: String,
    database: String,
    table: String,
    server: Server,
    max_future: i64,
    checksums: bool,
    file: String,
    created: u32,
    /// The digest that rows of the file are named by.
    file_digest: [u8; 16],
    /// Where the last event ended.
    position: u64,
    safe: Place,
    group: Group,
    prepared: bool,
    /// Whether the group has rows of the table.
    has_rows: bool,
    time: i64,
    /// Of the group.
    committed_at: i64,
    maps: BTreeMap<u64, Option<Arc<Mapping>>>,
    last_body: Vec<u8>,
    last_mapping: Option<Arc<Mapping>>,
    columns: Option<Vec<String>>,
    /// The last statement that altered the table, with its place.
    altered: Option<String>,
}

impl Stream {
    pub(crate) fn open(
        settings: &Settings,
        server: &Server,
        source_name: &str,
        max_future: i64,
        from: Place,
    ) -> Result<Self, CaptureError> {
        let mut connection = Connection::open(settings)?;
        for sql in [
            format!("SET @master_heartbeat_period = {HEARTBEAT_NANOS}"),
            "SET @master_binlog_checksum = @@global.binlog_checksum".to_owned(),
            // MariaDB's events, not those of older servers in their place.
            "SET @mariadb_slave_capability = 4".to_owned(),
        ] {
            connection.run(&sql)?;
        }
        let position = u32::try_from(from.position).map_err(|_| CaptureError::Event {
            what: "a place behind four gibibytes of a file",
            place: format!("{}:{}", from.file, from.position),
            hint: "the protocol cannot ask for it: take a new snapshot with --snapshot, and let binlogs \
                   be shorter (max_binlog_size)",
        })?;
        let dumped = connection.dump(settings.server_id, &from.file, position);
        dumped.map_err(with_grant)?;
        let state = State {
            source_name: source_name.to_owned(),
            database: settings.database.clone(),
            table: settings.table.clone(),
            server: server.clone(),
            max_future,
            checksums: false,
            file_digest: digest_of(server, &from.file, from.created),
            file: from.file.clone(),
            created: from.created,
            position: from.position,
            time: from.time,
            committed_at: from.time,
            columns: from.columns.clone(),
            safe: from,
            group: Group::None,
            prepared: false,
            has_rows: false,
            maps: BTreeMap::new(),
            last_body: Vec::new(),
            last_mapping: None,
            altered: None,
        };
        Ok(Stream { connection, state })
    }

    /// Everything before it was handed over.
    pub(crate) fn safe(&self) -> &Place {
        &self.state.safe
    }

    /// The digest by which the rows that are read now are named.
    pub(crate) fn file_digest(&self) -> [u8; 16] {
        self.state.file_digest
    }

    pub(crate) fn last_time(&self) -> i64 {
        self.state.time
    }

    /// Reads the next event into rows. `now`: nothing is dated later than the source allows.
    pub(crate) fn next(
        &mut self,
        target: &Target,
        rows: &mut Rows,
        now: i64,
    ) -> Result<Progress, CaptureError> {
        let state = &mut self.state;
        let bytes = match self.connection.next_event() {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Progress::Ended),
            Err(CaptureError::Refused {
                what,
                message,
                code: NO_BINLOG,
                ..
            }) => {
                return Err(CaptureError::Refused {
                    what,
                    message,
                    code: NO_BINLOG,
                    hint: format!(
                        ": if it was purged, take a new snapshot, `evenkeel ingest {} --snapshot`",
                        state.source_name
                    ),
                });
            }
            Err(error) => return Err(error),
        };
        state.event(bytes, target, rows, now)
    }
}

fn digest_of(server: &Server, file: &str, created: u32) -> [u8; 16] {
    let identity = format!("{}\n{file}\n{created}", server.identity);
    let digest = blake3::derive_key("evenkeel rows of a binlog 1", identity.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

impl State {
    fn place(&self) -> String {
        format!("{}:{}", self.file, self.position)
    }

    fn title(&self) -> String {
        format!("{}.{}", self.database, self.table)
    }

    fn damaged(&self, what: &'static str) -> CaptureError {
        CaptureError::Damaged {
            place: self.place(),
            what,
        }
    }

    fn event(
        &mut self,
        bytes: &[u8],
        target: &Target,
        rows: &mut Rows,
        now: i64,
    ) -> Result<Progress, CaptureError> {
        let (header, event) =
            event::parse(bytes, self.checksums).map_err(|what| self.damaged(what))?;
        match event {
            Event::Heartbeat => return Ok(Progress::Idle),
            Event::Rotate { file, position } => {
                self.rotate(file, position);
                return Ok(Progress::Event);
            }
            _ if header.end > 0 => self.advance(&header)?,
            _ => {}
        }
        match event {
            Event::Heartbeat | Event::Rotate { .. } | Event::Other => {}
            Event::Format { checksums } => {
                self.checksums = checksums;
                self.begin_file(&header)?;
            }
            Event::Group {
                standalone,
                prepared,
            } => {
                self.group = if standalone {
                    Group::Announced
                } else {
                    Group::Inside
                };
                self.prepared = prepared;
                self.has_rows = false;
                self.commit_at(&header, now)?;
            }
            Event::Query {
                database,
                statement,
            } => self.query(&header, &database, &statement, now, target)?,
            Event::Commit => self.end_group(),
            Event::TableMap(body) => self.table_map(body, target)?,
            Event::Rows {
                kind,
                table_id,
                body,
            } => self.rows(&header, kind, table_id, body, target, rows)?,
            Event::Packed => {
                return Err(CaptureError::Event {
                    what: "compressed or encrypted events",
                    place: self.place(),
                    hint: "they are not read: set log_bin_compress=OFF or \
                           binlog_transaction_compression=OFF, and take a new snapshot with --snapshot",
                });
            }
            Event::Incident => {
                return Err(CaptureError::Event {
                    what: "the server does not know what happened",
                    place: self.place(),
                    hint: "take a new snapshot with --snapshot",
                });
            }
        }
        if header.end > 0 {
            self.position = self.position.max(u64::from(header.end));
            if self.group == Group::None {
                self.safe = Place {
                    file: self.file.clone(),
                    created: self.created,
                    position: self.position,
                    time: self.time,
                    columns: self.columns.clone(),
                };
            }
        }
        Ok(Progress::Event)
    }

    /// An event of the file begins where the last one ended, or behind it.
    fn advance(&mut self, header: &Header) -> Result<(), CaptureError> {
        let Some(begins) = header.end.checked_sub(header.bytes) else {
            return Err(self.damaged("it ends before it begins"));
        };
        let begins = u64::from(begins);
        if begins < self.position {
            return Err(CaptureError::Event {
                what: "a place behind four gibibytes of a file",
                place: self.place(),
                hint: "places do not grow any more there: let binlogs be shorter (max_binlog_size), and \
                       take a new snapshot with --snapshot",
            });
        }
        self.position = begins;
        Ok(())
    }

    fn rotate(&mut self, file: String, position: u64) {
        if file != self.file {
            self.file = file;
            self.created = 0;
            self.maps.clear();
            self.position = position;
            self.safe = Place {
                file: self.file.clone(),
                created: 0,
                position,
                time: self.time,
                columns: self.columns.clone(),
            };
        }
    }

    /// A file says when it was begun: one of the same name may be another.
    fn begin_file(&mut self, header: &Header) -> Result<(), CaptureError> {
        if ![0, header.seconds].contains(&self.created) {
            return Err(CaptureError::OtherLog {
                source_name: self.source_name.clone(),
                file: self.file.clone(),
            });
        }
        self.created = header.seconds;
        self.file_digest = digest_of(&self.server, &self.file, self.created);
        if self.safe.file == self.file {
            self.safe.created = self.created;
        }
        Ok(())
    }

    /// Takes down when the group that begins was committed.
    fn commit_at(&mut self, header: &Header, now: i64) -> Result<(), CaptureError> {
        let at = i64::from(header.seconds) * MICROS_PER_SECOND;
        if at > now.saturating_add(self.max_future) {
            // To go on would date everything behind it so, or reject it.
            return Err(CaptureError::Event {
                what: "a change that is dated further ahead than the source allows",
                place: self.place(),
                hint: "set the server's clock right, or raise MAX FUTURE of the source",
            });
        }
        self.time = self.time.max(at);
        self.committed_at = self.time;
        Ok(())
    }

    fn end_group(&mut self) {
        self.group = Group::None;
        self.prepared = false;
        self.has_rows = false;
    }

    fn query(
        &mut self,
        header: &Header,
        session: &str,
        statement: &str,
        now: i64,
        target: &Target,
    ) -> Result<(), CaptureError> {
        let shown: String = statement.chars().take(STATEMENT_CHARS_MAX).collect();
        let bracket = bracket(statement);
        if bracket == Bracket::Rollback && self.has_rows {
            // Rows that are not so are in the log, and may be logged here.
            return Err(self.untold(shown));
        }
        match bracket {
            Bracket::Begin | Bracket::Prepare => {
                if self.group == Group::None {
                    self.commit_at(header, now)?;
                }
                self.group = Group::Inside;
                self.prepared |= bracket == Bracket::Prepare;
                return Ok(());
            }
            Bracket::End => {
                self.end_group();
                return Ok(());
            }
            Bracket::Rollback if statement.trim().len() == "ROLLBACK".len() => {
                self.end_group();
                return Ok(());
            }
            Bracket::Rollback | Bracket::Neither => {}
        }
        let own = || target.own().map(|(_, spec)| spec.name.as_str());
        match effect(statement, session, &self.database, &self.table) {
            Effect::None => {}
            Effect::Altered if adds_again(statement, own()) => return Err(self.untold(shown)),
            Effect::Altered => {
                self.altered = Some(format!("`{shown}` at {}", self.place()));
                if may_concern(statement, own()) {
                    // What its columns were is not known: whatever they are now, they may be others.
                    self.columns.get_or_insert_default();
                }
            }
            Effect::Untold => return Err(self.untold(shown)),
        }
        if self.group == Group::Announced {
            self.end_group();
        }
        Ok(())
    }

    fn table_map(&mut self, body: &[u8], target: &Target) -> Result<(), CaptureError> {
        let damaged = |_: CutOff| self.damaged("its table map ends too early");
        let id = TableMap::id_of(body).map_err(damaged)?;
        if !TableMap::is_of(body, &self.database, &self.table).map_err(damaged)? {
            self.maps.insert(id, None);
            return Ok(());
        }
        // The number of a table changes more often than the table.
        if self.last_body.get(6..) == body.get(6..)
            && let Some(mapping) = &self.last_mapping
        {
            self.maps.insert(id, Some(Arc::clone(mapping)));
            return Ok(());
        }
        let map = TableMap::parse(body).map_err(damaged)?;
        if !self.server.is_mariadb && map.columns.iter().any(|c| c.kind == kind::YEAR) {
            let reason =
                "it has a YEAR column, with which the signs of others are not known in MySQL's log";
            return Err(self.changed(reason.to_owned()));
        }
        let mapping = Mapping::of(target, &map, &self.server.collations);
        let mapping = mapping.map_err(|reason| self.changed(reason))?;
        let columns: Vec<String> = mapping.asked().map(signature).collect();
        if let Some(before) = &self.columns
            && let Some(reason) = difference(before, &columns)
        {
            return Err(self.changed(reason));
        }
        self.columns = Some(columns);
        let mapping = Arc::new(mapping);
        body.clone_into(&mut self.last_body);
        self.last_mapping = Some(Arc::clone(&mapping));
        self.maps.insert(id, Some(mapping));
        Ok(())
    }

    fn untold(&self, statement: String) -> CaptureError {
        CaptureError::Untold {
            source_name: self.source_name.clone(),
            statement,
            place: self.place(),
            table: self.title(),
        }
    }

    fn changed(&self, reason: String) -> CaptureError {
        CaptureError::SchemaChanged {
            source_name: self.source_name.clone(),
            table: self.title(),
            place: self.place(),
            statement: match &self.altered {
                Some(statement) => format!(", by {statement}"),
                None => String::new(),
            },
            reason,
        }
    }

    fn rows(
        &mut self,
        header: &Header,
        kind: RowsKind,
        table_id: u64,
        body: Bytes<'_>,
        target: &Target,
        rows: &mut Rows,
    ) -> Result<(), CaptureError> {
        let mapping = match self.maps.get(&table_id) {
            Some(Some(mapping)) => Arc::clone(mapping),
            Some(None) => return Ok(()),
            None => return Err(self.damaged("its table was not named before")),
        };
        if self.prepared {
            return Err(CaptureError::Event {
                what: "rows of an XA transaction, of which the log does not say whether they stay",
                place: self.place(),
                hint: "such transactions are not followed: take a new snapshot with --snapshot",
            });
        }
        self.has_rows = true;
        let begins = u64::from(header.end.saturating_sub(header.bytes));
        let mut event = RowsEvent {
            mapping: &mapping,
            target,
            kind,
            begins,
            next: 0,
            time: self.committed_at,
            file: &self.file,
        };
        event.read(body, rows).map_err(|what| self.damaged(what))
    }
}
