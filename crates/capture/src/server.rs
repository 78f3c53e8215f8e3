//! What a server says of itself and of a table: whether it can be followed, and as what a
//! snapshot reads each column.

use std::collections::BTreeMap;

use evenkeel_connect::ColumnSpec;

use crate::charset::Charset;
use crate::client::{Connection, TextRow, not_understood};
use crate::error::CaptureError;
use crate::gtid::GtidSet;
use crate::mapping::{Collations, Family, Target, position};
use crate::settings::Settings;

/// It does not know a statement: MySQL and MariaDB have other words for one.
pub(crate) const UNKNOWN_STATEMENT: u16 = 1064;
/// The account lacks a privilege.
const NO_PRIVILEGE: [u16; 4] = [1044, 1045, 1142, 1227];

/// A server that can be followed.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// What it is told apart by, whatever its address is.
    pub(crate) identity: String,
    pub(crate) is_mariadb: bool,
    pub(crate) collations: Collations,
    /// Of MySQL with gtid_mode=ON.
    pub(crate) gtids: Option<ServerGtids>,
}

/// Names of transactions that a server has, and of those that are not in its binlogs any more.
#[derive(Clone, Debug)]
pub(crate) struct ServerGtids {
    pub(crate) executed: GtidSet,
    pub(crate) purged: GtidSet,
}

/// A column of the table, as a snapshot reads it.
#[derive(Clone, Debug)]
pub(crate) struct ServerColumn {
    /// Which column of the source it is.
    pub(crate) slot: usize,
    /// What is selected.
    pub(crate) expression: String,
    pub(crate) family: Family,
}

impl Server {
    /// Looks whether its binlog has whole rows, with names.
    pub(crate) fn check(
        connection: &mut Connection,
        settings: &Settings,
    ) -> Result<Self, CaptureError> {
        let variables = variables(connection)?;
        let get = |name: &str| variables.get(name).map(String::as_str);
        for (variable, good, wanted) in [
            ("log_bin", Some("ON"), "log_bin=binlog and server_id=1"),
            ("binlog_format", Some("ROW"), "binlog_format=ROW"),
            ("binlog_row_image", Some("FULL"), "binlog_row_image=FULL"),
            (
                "binlog_row_metadata",
                Some("FULL"),
                "binlog_row_metadata=FULL",
            ),
            ("log_bin_compress", None, "log_bin_compress=OFF"),
            (
                "binlog_row_value_options",
                None,
                "binlog_row_value_options=''",
            ),
        ] {
            let found = get(variable);
            let is_good = match good {
                Some(good) => found.is_some_and(|found| found.eq_ignore_ascii_case(good)),
                None => found.is_none_or(|found| matches!(found, "OFF" | "")),
            };
            if !is_good {
                return Err(CaptureError::Configuration {
                    server: settings.server(),
                    variable,
                    found: found.map_or("not known to it".to_owned(), |f| format!("`{f}`")),
                    wanted,
                });
            }
        }
        let part = |name: &str| get(name).unwrap_or_default().to_owned();
        let own = get("server_uuid")
            .or(get("server_uid"))
            .filter(|own| !own.is_empty());
        let is_mariadb = part("version").to_ascii_lowercase().contains("mariadb");
        let has_gtids = !is_mariadb && part("gtid_mode") == "ON";
        Ok(Server {
            gtids: if has_gtids { gtids(connection)? } else { None },
            identity: own.map_or_else(
                || {
                    format!(
                        "{}@{}:{}",
                        part("server_id"),
                        part("hostname"),
                        part("port")
                    )
                },
                str::to_owned,
            ),
            is_mariadb,
            collations: collations(connection)?,
        })
    }

    /// Whether the server of another connection is this one: an address may be given to another.
    pub(crate) fn confirm(&self, connection: &mut Connection) -> Result<(), CaptureError> {
        if self.is_mariadb {
            return Ok(());
        }
        let rows = connection.rows("SELECT @@GLOBAL.server_uuid")?;
        let row = rows
            .first()
            .ok_or_else(|| not_understood("its server_uuid"))?;
        if text(row, 0)? == self.identity {
            return Ok(());
        }
        Err(CaptureError::Ended)
    }
}

/// None: they have tags, which are not read.
fn gtids(connection: &mut Connection) -> Result<Option<ServerGtids>, CaptureError> {
    // Not with the other variables, which are cut off at 1,024 characters.
    let rows = connection.rows("SELECT @@GLOBAL.gtid_purged, @@GLOBAL.gtid_executed")?;
    let row = rows.first().ok_or_else(|| not_understood("its GTIDs"))?;
    let (purged, executed) = (
        GtidSet::parse(&text(row, 0)?),
        GtidSet::parse(&text(row, 1)?),
    );
    Ok(executed
        .zip(purged)
        .map(|(executed, purged)| ServerGtids { executed, purged }))
}

fn variables(connection: &mut Connection) -> Result<BTreeMap<String, String>, CaptureError> {
    let rows = connection.rows("SHOW GLOBAL VARIABLES")?;
    let pairs = rows
        .iter()
        .map(|row| Ok((text(row, 0)?.to_lowercase(), text(row, 1)?)));
    pairs.collect()
}

fn collations(connection: &mut Connection) -> Result<Collations, CaptureError> {
    // The first has those of one name for several character sets, too; not every server has it.
    let queries = [
        "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY",
        "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS",
    ];
    let rows = match connection.rows(queries[0]) {
        Err(CaptureError::Refused { .. }) => connection.rows(queries[1])?,
        rows => rows?,
    };
    let pairs = rows
        .iter()
        .filter(|row| row.iter().all(Option::is_some))
        .map(|row| {
            let id = text(row, 0)?
                .parse()
                .map_err(|_| not_understood("a collation"))?;
            Ok((id, text(row, 1)?))
        });
    pairs.collect()
}

/// The files of the binlog, with their lengths.
pub(crate) fn binlogs(connection: &mut Connection) -> Result<Vec<(String, u64)>, CaptureError> {
    let rows = connection.rows("SHOW BINARY LOGS").map_err(with_grant)?;
    let file = |row: &TextRow| {
        let bytes = text(row, 1)?.parse();
        Ok((
            text(row, 0)?,
            bytes.map_err(|_| not_understood("a list of binlogs"))?,
        ))
    };
    rows.iter().map(file).collect()
}

/// What an account needs, if it lacks something.
pub(crate) fn with_grant(error: CaptureError) -> CaptureError {
    match error {
        CaptureError::Refused {
            what,
            message,
            code,
            ..
        } if NO_PRIVILEGE.contains(&code) => CaptureError::Refused {
            what,
            message,
            code,
            hint: ": GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO the account (MariaDB calls the \
                   second BINLOG MONITOR; MySQL wants RELOAD, too), and SELECT ON the table"
                .to_owned(),
        },
        error => error,
    }
}

/// Finds the table, whose names are then written as the server writes them, and looks whether all that
/// happens to it is in the log.
pub(crate) fn find_table(
    connection: &mut Connection,
    settings: &mut Settings,
) -> Result<(), CaptureError> {
    let (database, table) = (literal(&settings.database), literal(&settings.table));
    let found = connection.rows(&format!(
        "SELECT TABLE_TYPE, coalesce(ENGINE, ''), TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES \
         WHERE TABLE_SCHEMA = {database} AND TABLE_NAME = {table}"
    ))?;
    let title = settings.title();
    let Some(row) = found.first() else {
        return Err(CaptureError::NoTable { table: title });
    };
    let below = |what: String| CaptureError::BelowTheLog {
        table: settings.title(),
        what,
    };
    let (kind, engine) = (text(row, 0)?, text(row, 1)?);
    if kind != "BASE TABLE" {
        return Err(below(format!(
            "it is a {}, no plain table",
            kind.to_lowercase()
        )));
    }
    if !matches!(engine.to_ascii_lowercase().as_str(), "innodb" | "rocksdb") {
        return Err(CaptureError::StorageEngine {
            table: title,
            engine,
        });
    }
    // Of what the schema says of foreign keys, this may be read by whoever may read the table.
    let created = connection.rows(&format!(
        "SHOW CREATE TABLE {}.{}",
        quoted(&settings.database),
        quoted(&settings.table)
    ))?;
    let created = created
        .first()
        .map(|row| text(row, 1))
        .transpose()?
        .unwrap_or_default();
    if let Some(key) = created.lines().find(|line| changes_rows(line)) {
        let name = key.split('`').nth(1).unwrap_or_default();
        return Err(below(format!(
            "the foreign key `{name}` changes its rows below the log: let it be RESTRICT, and the \
             application change them"
        )));
    }
    let status = match connection.rows("SHOW MASTER STATUS") {
        Err(CaptureError::Refused {
            code: UNKNOWN_STATEMENT,
            ..
        }) => connection.rows("SHOW BINARY LOG STATUS"),
        status => status,
    };
    let status = status.map_err(with_grant)?;
    let lists = |column: usize| {
        let list = status
            .first()
            .and_then(|row| text(row, column).ok())
            .unwrap_or_default();
        let names: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
        names
            .into_iter()
            .filter(|name| !name.is_empty())
            .collect::<Vec<_>>()
    };
    let (logged, left_out) = (lists(2), lists(3));
    let names = |list: &[String]| {
        list.iter()
            .any(|name| name.eq_ignore_ascii_case(&settings.database))
    };
    if !logged.is_empty() && !names(&logged) || names(&left_out) {
        return Err(below(
            "its database is not logged: binlog_do_db, binlog_ignore_db".to_owned(),
        ));
    }
    (settings.database, settings.table) = (text(row, 2)?, text(row, 3)?);
    Ok(())
}

/// Whether a line of a table's definition is a foreign key that changes rows by itself.
fn changes_rows(line: &str) -> bool {
    let is_key = line.trim_start().starts_with("CONSTRAINT") && line.contains(" FOREIGN KEY ");
    let changes = [
        "DELETE CASCADE",
        "DELETE SET",
        "UPDATE CASCADE",
        "UPDATE SET",
    ];
    is_key
        && changes
            .iter()
            .any(|change| line.contains(&format!(" ON {change}")))
}

/// The table's columns that the source asks for.
pub(crate) fn columns(
    connection: &mut Connection,
    settings: &Settings,
    target: &Target,
) -> Result<Vec<ServerColumn>, CaptureError> {
    let (database, table) = (literal(&settings.database), literal(&settings.table));
    let rows = connection.rows(&format!(
        "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA = {database} AND TABLE_NAME = {table} ORDER BY ORDINAL_POSITION"
    ))?;
    let names = rows
        .iter()
        .map(|row| text(row, 0))
        .collect::<Result<Vec<_>, _>>()?;
    let column = |(slot, spec): (usize, &ColumnSpec)| {
        let at = position(names.iter().map(String::as_str), &spec.name);
        let row = &rows[at.ok_or_else(|| CaptureError::NoColumn {
            table: settings.title(),
            column: spec.name.clone(),
            columns: names.join(", "),
        })?];
        let wrong = |reason| CaptureError::ColumnType {
            table: settings.title(),
            column: spec.name.clone(),
            found: text(row, 2).unwrap_or_default(),
            wanted: spec.data_type.to_string(),
            reason,
        };
        let charset = row[3]
            .as_ref()
            .map(|name| String::from_utf8_lossy(name).into_owned());
        if charset.is_some_and(|name| Charset::named(&name).is_none()) {
            return Err(wrong(
                "its character set is not read: convert it to utf8mb4",
            ));
        }
        let data_type = text(row, 1)?;
        let family = family(&data_type, row[3].is_some())
            .ok_or_else(|| wrong("such columns are not read: leave it out"))?;
        if !family.is_read_as(&spec.data_type) {
            return Err(wrong(instead(family)));
        }
        let name = quoted(text(row, 0)?.as_str());
        Ok(ServerColumn {
            slot,
            expression: match family {
                // As a text a FLOAT has six digits.
                Family::Float => format!("{name} + 0e0"),
                Family::Bits => format!("{name} + 0"),
                _ => name,
            },
            family,
        })
    };
    target.own().map(column).collect()
}

fn family(data_type: &str, is_text: bool) -> Option<Family> {
    Some(match data_type {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => Family::Integer,
        "float" => Family::Float,
        "double" => Family::Double,
        "decimal" => Family::Decimal,
        "date" => Family::Date,
        "time" => Family::Length,
        "datetime" => Family::DateTime,
        "timestamp" => Family::Instant,
        "bit" => Family::Bits,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set"
            if is_text =>
        {
            Family::Text
        }
        // MySQL's; to MariaDB it is a text.
        "json" => Family::Text,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" | "char"
        | "varchar" => Family::Bytes,
        _ => return None,
    })
}

/// What to declare.
fn instead(family: Family) -> &'static str {
    match family {
        Family::Integer => "declare INT, BIGINT, DECIMAL(20, 0) if it is unsigned, or BOOLEAN",
        Family::Float => "declare FLOAT or DOUBLE",
        Family::Double => "declare DOUBLE",
        Family::Decimal => "declare DECIMAL with as many digits, or STRING",
        Family::Text => "declare STRING",
        Family::Bytes => "declare BYTES",
        Family::Bits => "declare BIGINT, or BOOLEAN if it is one bit",
        Family::Date => "declare DATE",
        Family::DateTime | Family::Instant => "declare TIMESTAMP",
        Family::Length => "declare BIGINT, of microseconds, or STRING",
    }
}

/// A name in backquotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A value of a row that is not NULL.
pub(crate) fn text(row: &TextRow, column: usize) -> Result<String, CaptureError> {
    let value = row.get(column).and_then(Option::as_ref);
    let value = value.ok_or_else(|| not_understood("a row without a value"))?;
    Ok(String::from_utf8_lossy(value).into_owned())
}
