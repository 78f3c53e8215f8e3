//! Why a table cannot be captured, one variant per place, with what to do next.

use std::io;

use evenkeel_engine::EngineError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The source is no table of a server.
    #[error("`{source_name}` is no source of MySQL: its connector is not `mysql`")]
    NotCaptured {
        /// The source.
        source_name: String,
    },
    /// An option that cannot be used.
    #[error("`{text}` is not a value of the option `{option}` of `{source_name}`")]
    Setting {
        /// The source.
        source_name: String,
        /// The option.
        option: &'static str,
        /// Its value.
        text: String,
    },
    /// The environment has no password.
    #[error(
        "the password of `{source_name}` is not there: set the environment variable `{variable}`"
    )]
    NoPassword {
        /// The source.
        source_name: String,
        /// Where it was looked for.
        variable: String,
    },
    /// The connection failed.
    #[error("{action} {server}")]
    Network {
        /// `cannot connect to`, `lost the connection to`
        action: &'static str,
        /// Its address.
        server: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The server refused.
    #[error("the server refused {what}: {message} (error {code}){hint}")]
    Refused {
        /// What was asked, in words.
        what: String,
        /// Its reason.
        message: String,
        /// Its number.
        code: u16,
        /// What to do, if that is known.
        hint: String,
    },
    /// A way to show a password that is not known here.
    #[error(
        "the account asks for `{plugin}`, which is not spoken here: use mysql_native_password or \
         caching_sha2_password"
    )]
    Authentication {
        /// The server's plugin.
        plugin: String,
    },
    /// The server wants the password itself, and the connection is not encrypted.
    #[error(
        "{server} does not know the password of the account yet, and wants it under its key: add \
         server_key = 'FILE' to the source, the server's public_key.pem, or server_key = 'ask' in a network in \
         which nobody can put a key of their own in its place"
    )]
    WholePassword {
        /// Its address.
        server: String,
    },
    /// The server's key cannot be read.
    #[error("cannot read `{path}`, the key of the server")]
    ServerKey {
        /// The file.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// What the server sent is not understood.
    #[error("what the server sent is not understood: {what}")]
    Protocol {
        /// What.
        what: &'static str,
    },
    /// The server cannot be followed as it is configured.
    #[error(
        "{server} cannot be followed: {variable} is {found}; set {wanted} in its configuration and restart it"
    )]
    Configuration {
        /// Its address.
        server: String,
        /// The variable.
        variable: &'static str,
        /// Its value.
        found: String,
        /// What it should say.
        wanted: &'static str,
    },
    /// There is no such table, or the account may not see it.
    #[error(
        "there is no table `{table}`, or the account may not read it: GRANT SELECT ON {table} TO ..."
    )]
    NoTable {
        /// The table.
        table: String,
    },
    /// The table cannot be read at one moment.
    #[error("`{table}` is a table of {engine}: a consistent snapshot needs one of InnoDB")]
    StorageEngine {
        /// The table.
        table: String,
        /// Its engine.
        engine: String,
    },
    /// A declared column that the table does not have.
    #[error("`{table}` has no column `{column}`; its columns are {columns}")]
    NoColumn {
        /// The table.
        table: String,
        /// The declared column.
        column: String,
        /// What it has.
        columns: String,
    },
    /// A declared column that cannot be read exactly.
    #[error("column `{column}` of `{table}` is {found}, which is not read as {wanted}: {reason}")]
    ColumnType {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// The declared type.
        wanted: String,
        /// What to declare instead.
        reason: &'static str,
    },
    /// The table is not what it was.
    #[error(
        "`{table}` was changed before {place}{statement}: {reason}. Nothing behind it was read. Define \
         the source by the new columns, and take a new snapshot: `evenkeel ingest {source_name} --snapshot`"
    )]
    SchemaChanged {
        /// The source.
        source_name: String,
        /// The table.
        table: String,
        /// The event that does not fit.
        place: String,
        /// The last statement that changed it, with its place.
        statement: String,
        /// What does not fit.
        reason: String,
    },
    /// Something changed the table without saying which rows.
    #[error(
        "`{statement}` at {place} changed `{table}` without a row of the log for each row: take a new \
         snapshot, `evenkeel ingest {source_name} --snapshot`"
    )]
    Untold {
        /// The source.
        source_name: String,
        /// The statement, shortened.
        statement: String,
        /// Where it stands.
        place: String,
        /// The table.
        table: String,
    },
    /// A kind of event that cannot be followed.
    #[error("{what} at {place}: {hint}")]
    Event {
        /// What it is.
        what: &'static str,
        /// Where it stands.
        place: String,
        /// What to do.
        hint: &'static str,
    },
    /// An event is damaged.
    #[error("the event at {place} is damaged: {what}")]
    Damaged {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The binlog is not there any more.
    #[error(
        "the server has no binlog `{file}` from {position} on any more, and what happened since is not \
         known: take a new snapshot, `evenkeel ingest {source_name} --snapshot` (and let the server keep \
         its binlogs longer: binlog_expire_logs_seconds)"
    )]
    Purged {
        /// The source.
        source_name: String,
        /// The file that is needed.
        file: String,
        /// The position in it.
        position: u64,
    },
    /// Rows were named by GTIDs, and the server has none.
    #[error(
        "`{source_name}` was followed by GTIDs, and the server has none that are read: set gtid_mode=ON, without \
         tags, or take a new snapshot, `evenkeel ingest {source_name} --snapshot`"
    )]
    NoGtids {
        /// The source.
        source_name: String,
    },
    /// The server lacks transactions that were read.
    #[error(
        "server {server} does not have the transactions {missing}, which were read of another or before its log \
         began anew: it is no replica of that, or not up to date yet; take a new snapshot, \
         `evenkeel ingest {source_name} --snapshot`"
    )]
    LostTransactions {
        /// The source.
        source_name: String,
        /// The server's identity.
        server: String,
        /// What it does not have.
        missing: String,
    },
    /// The server has no binlog of transactions that were not read.
    #[error(
        "the server has no binlog of the transactions {purged} any more, and what they did is not known: take a \
         new snapshot, `evenkeel ingest {source_name} --snapshot` (and let the server keep its binlogs longer: \
         binlog_expire_logs_seconds)"
    )]
    PurgedTransactions {
        /// The source.
        source_name: String,
        /// What is needed.
        purged: String,
    },
    /// The server's log was begun anew.
    #[error(
        "`{file}` is another file than the one that was followed: the server's log began anew, and what \
         happened in between is not known; take a new snapshot, `evenkeel ingest {source_name} --snapshot`"
    )]
    OtherLog {
        /// The source.
        source_name: String,
        /// The file.
        file: String,
    },
    /// Another table than before.
    #[error(
        "`{source_name}` was followed in table {before}, and is {now} now: take a new snapshot, \
         `evenkeel ingest {source_name} --snapshot`"
    )]
    OtherTable {
        /// The source.
        source_name: String,
        /// The table that was followed.
        before: String,
        /// That of the definition.
        now: String,
    },
    /// Rows change without a word in the log.
    #[error("`{table}` cannot be followed: {what}")]
    BelowTheLog {
        /// The table.
        table: String,
        /// What changes rows, and what to do.
        what: String,
    },
    /// The server ended the stream.
    #[error(
        "the server ended the stream: it stops, or another follower has the same server_id; run it again"
    )]
    Ended,
    /// Another server than before.
    #[error(
        "`{source_name}` was followed on server {before}, and this is {now}: places in their binlogs have \
         nothing to do with each other; take a new snapshot, `evenkeel ingest {source_name} --snapshot`"
    )]
    OtherServer {
        /// The source.
        source_name: String,
        /// The identity of the server that was followed.
        before: String,
        /// That of this one.
        now: String,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl CaptureError {
    /// Whether it may be better as soon as the server answers again.
    pub fn is_connection(&self) -> bool {
        matches!(self, CaptureError::Network { .. } | CaptureError::Ended)
    }
}
