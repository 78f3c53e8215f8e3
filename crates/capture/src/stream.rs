//! The binlog from a place on, as rows of a source.
//!
//! A row is named by the place of its event and its number in it: the images of a row have at least a
//! byte each, so that is less than where the next event begins. Where transactions have names of their own (GTIDs)
//! it is named by that and its number in the transaction, which is so on every server that has it. Its time is that at which its
//! transaction was committed, and never before that of a transaction before it: of two changes of a row
//! the later in the log is the later in time, whatever the server's clock does and however long a
//! statement waited.

mod names;
mod packed;
mod rows_event;
mod signature;
mod tables;
mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::names::{Names, digest_of_file};
pub(crate) use self::names::{era_of, place_in_transactions};
use self::packed::Packed;
use self::rows_event::{RowsEvent, Unread};
use self::transactions::Transactions;
use crate::bytes::Bytes;
use crate::client::Connection;
use crate::error::CaptureError;
use crate::event::{self, Event, Header, RowsKind};
use crate::gtid::Known;
use crate::mapping::{Mapping, Rows, Target};
use crate::server::{Server, with_grant};
use crate::settings::Settings;

const MICROS_PER_SECOND: i64 = 1_000_000;
/// How long nothing happens before the server says so.
const HEARTBEAT_NANOS: u64 = 100_000_000;
/// The binlog is not there, or not from there on.
const NO_BINLOG: u16 = 1236;

/// A place between two transactions, with what the following needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    /// When that was begun, in seconds; 0: not read yet.
    pub(crate) created: u32,
    pub(crate) position: u64,
    /// The transactions before it, if rows behind it are named by theirs.
    pub(crate) gtids: Option<Known>,
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
    /// Names of transactions.
    transactions: Transactions,
    /// A transaction that is being unpacked, and the names of its rows.
    packed: Option<Packed>,
    packed_names: Option<Names>,
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
        server.confirm(&mut connection)?;
        for sql in [
            // By the names of old and of new servers.
            format!("SET @master_heartbeat_period = {HEARTBEAT_NANOS}"),
            format!("SET @source_heartbeat_period = {HEARTBEAT_NANOS}"),
            "SET @master_binlog_checksum = @@global.binlog_checksum".to_owned(),
            "SET @source_binlog_checksum = @@global.binlog_checksum".to_owned(),
            // MariaDB's events, not those of older servers in their place.
            "SET @mariadb_slave_capability = 4".to_owned(),
        ] {
            connection.run(&sql)?;
        }
        // In the log that was read, everything behind the place is asked for, so that what has no GTID is seen.
        let dumped = match &from.gtids {
            Some(known) if from.file.is_empty() => {
                connection.dump_without(settings.server_id, &known.set)
            }
            _ => {
                let position = u32::try_from(from.position).map_err(|_| CaptureError::Event {
                    what: "a place behind four gibibytes of a file",
                    place: format!("{}:{}", from.file, from.position),
                    hint: "the protocol cannot ask for it: take a new snapshot with --snapshot, and let \
                           binlogs be shorter (max_binlog_size)",
                })?;
                connection.dump(settings.server_id, &from.file, position)
            }
        };
        dumped.map_err(with_grant)?;
        let state = State {
            source_name: source_name.to_owned(),
            database: settings.database.clone(),
            table: settings.table.clone(),
            server: server.clone(),
            max_future,
            checksums: false,
            file_digest: digest_of_file(server, &from.file, from.created),
            file: from.file.clone(),
            created: from.created,
            position: from.position,
            time: from.time,
            committed_at: from.time,
            columns: from.columns.clone(),
            transactions: Transactions::new(from.gtids.clone()),
            packed: None,
            packed_names: None,
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

    /// Whether everything that was read may be recorded, and what is read next be named by transactions: the
    /// record has to say so before.
    pub(crate) fn can_name_transactions(&self) -> bool {
        self.state.transactions.can_begin()
    }

    /// Names rows by transactions from here on: everything that was read is durable.
    pub(crate) fn name_transactions(&mut self) {
        self.state.transactions.begin();
        self.state.be_safe();
    }

    pub(crate) fn last_time(&self) -> i64 {
        self.state.time
    }

    /// Lets rows be named by transactions from the first file of the log behind this one on.
    pub(crate) fn name_transactions_behind(&mut self, file: &str) {
        self.state.transactions.begin_behind(file);
    }

    /// Reads the next event into rows. `now`: nothing is dated later than the source allows.
    pub(crate) fn next(
        &mut self,
        target: &Target,
        rows: &mut Rows,
        now: i64,
    ) -> Result<Progress, CaptureError> {
        let state = &mut self.state;
        if let Some(mut packed) = state.packed.take() {
            let progress = state.packed_event(&mut packed, target, rows, now)?;
            state.packed = progress.then_some(packed);
            return Ok(Progress::Event);
        }
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
            Event::Heartbeat { file, position } => {
                return Ok(if self.goes_past(file, position) {
                    Progress::Event
                } else {
                    Progress::Idle
                });
            }
            Event::Rotate { file, position } => {
                self.rotate(file, position);
                return Ok(Progress::Event);
            }
            _ if header.end > 0 => self.advance(&header)?,
            _ => {}
        }
        let is_packed = matches!(event, Event::Payload(_));
        self.act(&header, event, target, rows, now)?;
        if !is_packed {
            self.end_event(&header);
        }
        Ok(Progress::Event)
    }

    /// Reads an event of a packed transaction; whether there may be more.
    fn packed_event(
        &mut self,
        packed: &mut Packed,
        target: &Target,
        rows: &mut Rows,
        now: i64,
    ) -> Result<bool, CaptureError> {
        let outer = packed.header;
        let Some(bytes) = packed.next().map_err(|what| self.damaged(what))? else {
            self.packed_names = None;
            self.end_event(&outer);
            return Ok(false);
        };
        let (header, event) = event::parse(bytes, false).map_err(|what| self.damaged(what))?;
        if matches!(event, Event::Payload(_)) {
            return Err(self.damaged("it has another in it"));
        }
        // Its own place is that of the whole.
        let header = Header { end: 0, ..header };
        self.act(&header, event, target, rows, now)?;
        Ok(true)
    }

    /// An event is read: what is before its end was handed over, if no group is open.
    fn end_event(&mut self, header: &Header) {
        if header.end > 0 {
            self.position = self.position.max(u64::from(header.end));
            if self.group == Group::None {
                self.be_safe();
            }
        }
    }

    fn be_safe(&mut self) {
        self.safe = Place {
            file: self.file.clone(),
            created: self.created,
            position: self.position,
            gtids: self.transactions.known().cloned(),
            time: self.time,
            columns: self.columns.clone(),
        };
    }

    fn act(
        &mut self,
        header: &Header,
        event: Event<'_>,
        target: &Target,
        rows: &mut Rows,
        now: i64,
    ) -> Result<(), CaptureError> {
        match event {
            Event::Heartbeat { .. } | Event::Rotate { .. } | Event::Other => {}
            Event::Format { checksums } => {
                self.checksums = checksums;
                self.begin_file(header)?;
            }
            Event::Group {
                standalone,
                prepared,
                gtid,
                committed_at,
            } => {
                self.group = if standalone {
                    Group::Announced
                } else {
                    Group::Inside
                };
                self.prepared = prepared;
                self.has_rows = false;
                self.transactions
                    .enter(gtid)
                    .map_err(|stop| self.cannot_name(stop))?;
                // Whole seconds where rows are named by files: so it was always.
                let exact = committed_at.filter(|_| self.transactions.known().is_some());
                self.commit_at(header, exact, now)?;
            }
            Event::TaggedGroup => {
                if self.transactions.known().is_some() {
                    return Err(self.cannot_name("a transaction whose GTID has a tag"));
                }
                self.group = Group::Announced;
                self.prepared = false;
                self.has_rows = false;
                self.commit_at(header, None, now)?;
            }
            Event::PreviousGtids(before) => {
                // An era that begins with a file is named by it.
                let era = era_of(&self.file_digest);
                self.transactions.offer(&self.file, before, era);
            }
            Event::Query {
                database,
                statement,
            } => self.query(header, &database, &statement, now, target)?,
            Event::Commit => self.end_group(),
            Event::TableMap(body) => self.table_map(body, target)?,
            Event::Rows {
                kind,
                table_id,
                body,
            } => self.rows(header, kind, table_id, body, target, rows)?,
            Event::PartialRows { table_id } => {
                if self.maps.get(&table_id).is_some_and(Option::is_some) {
                    return Err(CaptureError::Event {
                        what: "rows of which the log has parts alone",
                        place: self.place(),
                        hint: "a session has set binlog_row_value_options=PARTIAL_JSON: set it to '', and take a \
                               new snapshot with --snapshot",
                    });
                }
            }
            Event::Payload(body) => {
                let packed = Packed::open(*header, body).map_err(|what| self.damaged(what))?;
                let begins = u64::from(header.end.saturating_sub(header.bytes));
                let names = Names::of_packed(&self.server, &self.file, self.created, begins);
                self.packed = Some(packed);
                self.packed_names = Some(names);
            }
            Event::Packed => {
                return Err(CaptureError::Event {
                    what: "compressed or encrypted events",
                    place: self.place(),
                    hint: "they are not read: set log_bin_compress=OFF, and take a new snapshot with --snapshot",
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
        Ok(())
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
            self.be_safe();
        } else if self.transactions.known().is_some() {
            // It is read from its beginning, without what is known.
            self.position = position;
        }
    }

    /// A server that is asked by GTIDs says how far it went past what is known, and may go on; whether it did.
    fn goes_past(&mut self, file: String, position: u32) -> bool {
        let is_between = self.transactions.known().is_some() && self.group == Group::None;
        let position = u64::from(position);
        if !is_between || file.is_empty() || file == self.file && position <= self.position {
            return false;
        }
        if file != self.file {
            self.rotate(file, position);
        }
        self.position = position;
        self.be_safe();
        true
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
        self.file_digest = digest_of_file(&self.server, &self.file, self.created);
        if self.safe.file == self.file {
            self.safe.created = self.created;
        }
        Ok(())
    }

    /// Takes down when the group that begins was committed.
    fn commit_at(
        &mut self,
        header: &Header,
        exact: Option<i64>,
        now: i64,
    ) -> Result<(), CaptureError> {
        let at = exact.unwrap_or(i64::from(header.seconds) * MICROS_PER_SECOND);
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
        self.transactions.leave();
        self.group = Group::None;
        self.prepared = false;
        self.has_rows = false;
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
        let mut of_event = Names::of_event(self.file_digest, &self.file, begins);
        let names = match (self.transactions.known(), &mut self.packed_names) {
            (Some(_), _) => match self.transactions.names() {
                Some(names) => names,
                None => return Err(self.cannot_name("rows in no transaction")),
            },
            (None, Some(names)) => names,
            (None, None) => &mut of_event,
        };
        let mut event = RowsEvent {
            mapping: &mapping,
            target,
            kind,
            names,
            time: self.committed_at,
        };
        let read = event.read(body, rows);
        read.map_err(|unread| match unread {
            Unread::Damaged(what) => self.damaged(what),
            Unread::Unnamed => CaptureError::Event {
                what: "more rows in one transaction than have names",
                place: self.place(),
                hint: "it cannot be followed: take a new snapshot with --snapshot",
            },
        })
    }

    fn cannot_name(&self, what: &'static str) -> CaptureError {
        CaptureError::Event {
            what,
            place: self.place(),
            hint: "rows cannot be told apart by GTIDs there (is gtid_mode not ON any more?): take a new snapshot \
                   with --snapshot",
        }
    }
}
