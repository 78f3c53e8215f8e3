//! A table as of one moment, and the place in the binlog at which what follows begins.
//!
//! Invariant: what is logged is the difference to what lives in the store. So a snapshot that was
//! cut off, or is taken once more, changes nothing that is true already, and ends what is gone.

use std::borrow::Cow;

use evenkeel_connect::{FileRows, place_in_log};
use evenkeel_types::Value;
use evenkeel_types::Zone;
use evenkeel_types::time::Civil;

use crate::cell::{Cell, Clock};
use crate::charset::Charset;
use crate::client::{Connection, TextRow, not_understood};
use crate::error::CaptureError;
use crate::gtid::{GtidSet, Known};
use crate::image::without_zeros;
use crate::live::Live;
use crate::mapping::{Family, Role, Rows, Target, Told};
use crate::server::{Server, ServerColumn, UNKNOWN_STATEMENT, columns, quoted, text, with_grant};
use crate::settings::Settings;
use crate::stream::{era_of, place_in_transactions};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// What was followed of the table until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    Never,
    /// Up to a change of this time, in a log that may be another one: places may begin anew.
    Before(i64),
    /// The same, in the log in which the snapshot has a place.
    Here(i64),
}

impl Followed {
    fn not_before(self) -> i64 {
        match self {
            Followed::Never => i64::MIN,
            Followed::Before(time) => time.saturating_add(1),
            Followed::Here(time) => time,
        }
    }
}

pub(crate) struct Snapshot {
    connection: Connection,
    columns: Vec<ServerColumn>,
    live: Option<Live>,
    /// From when on rows hold, where that is declared and nothing was known before.
    declared: Option<i64>,
    /// Whether its place says nothing of what was followed: its rows are later, then.
    is_later: bool,
    /// Where the binlog goes on.
    pub(crate) file: String,
    pub(crate) position: u64,
    /// The transactions before it, where they have names; with it an era begins, unless it is said that one goes on.
    pub(crate) gtids: Option<Known>,
    /// The server's time when it began.
    pub(crate) time: i64,
    /// From when on its rows hold.
    rows_hold_from: i64,
    place: i64,
    digest: [u8; 16],
    next_number: u64,
    /// Of these, rows of the table; the others end what is not in it.
    rows_read: u64,
    ends: Option<Vec<Vec<Value>>>,
}

impl Snapshot {
    /// Begins one.
    pub(crate) fn begin(
        settings: &Settings,
        server: &Server,
        target: &Target,
        key: &[&str],
        followed: Followed,
        now: i64,
    ) -> Result<Self, CaptureError> {
        let mut connection = Connection::open(settings)?;
        server.confirm(&mut connection)?;
        connection.run(
            "SET SESSION time_zone = '+00:00', sql_mode = '', net_write_timeout = 3600, \
             wait_timeout = 28800",
        )?;
        connection.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        let mut gtids = None;
        let (file, position) = if server.is_mariadb {
            connection.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")?;
            let status = connection.rows("SHOW STATUS LIKE 'binlog_snapshot_%'")?;
            let named = |name: &str| {
                let named =
                    |row: &&TextRow| text(row, 0).is_ok_and(|n| n.eq_ignore_ascii_case(name));
                status.iter().find(named).map(|row| text(row, 1))
            };
            let missing = || not_understood("the place of a snapshot");
            let file = named("binlog_snapshot_file").ok_or_else(missing)??;
            (
                file,
                named("binlog_snapshot_position").ok_or_else(missing)??,
            )
        } else {
            // For a moment nobody writes, and nobody waits for us longer than that.
            connection.run("SET SESSION lock_wait_timeout = 5")?;
            connection
                .run("FLUSH TABLES WITH READ LOCK")
                .map_err(with_grant)?;
            connection.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")?;
            let status = match connection.rows("SHOW BINARY LOG STATUS") {
                Err(CaptureError::Refused {
                    code: UNKNOWN_STATEMENT,
                    ..
                }) => connection.rows("SHOW MASTER STATUS"),
                status => status,
            };
            let status = status.map_err(with_grant)?;
            let status = status
                .first()
                .ok_or_else(|| not_understood("the place of a snapshot"))?;
            let place = (text(status, 0)?, text(status, 1)?);
            if server.gtids.is_some() {
                let executed = text(status, 4).ok().and_then(|text| GtidSet::parse(&text));
                gtids = Some(executed.ok_or_else(|| not_understood("the GTIDs of a snapshot"))?);
            }
            connection.run("UNLOCK TABLES")?;
            place
        };
        let number = || not_understood("the place of a snapshot");
        let position: u64 = position.parse().map_err(|_| number())?;
        // Behind everything before it, and before everything behind it: what ends a transaction is
        // longer than a byte.
        let place = match &gtids {
            Some(gtids) => place_in_transactions(gtids.count(), u64::MAX),
            None => place_in_log(&file, position.saturating_sub(1)),
        };
        let place = place.ok_or_else(number)?;
        let clock = connection.rows("SELECT UNIX_TIMESTAMP()")?;
        let clock = text(clock.first().ok_or_else(number)?, 0)?;
        let seconds: i64 = clock.parse().map_err(|_| not_understood("its time"))?;
        let time = (seconds * MICROS_PER_SECOND).max(followed.not_before());
        // As they are now, whatever they were when following began.
        let columns = columns(&mut connection, settings, target)?;
        let expressions: Vec<&str> = columns.iter().map(|c| c.expression.as_str()).collect();
        let order: Vec<String> = key.iter().map(|name| quoted(name)).collect();
        let order = match order.len() {
            0 => String::new(),
            _ => format!(" ORDER BY {}", order.join(", ")),
        };
        connection.begin_query(&format!(
            "SELECT {} FROM {}.{}{order}",
            expressions.join(", "),
            quoted(&settings.database),
            quoted(&settings.table)
        ))?;
        // A snapshot of the same place may say otherwise: each has names of its own.
        let identity = format!(
            "{}\n{file}\n{position}\n{}\n{now}\n{}",
            server.identity,
            settings.title(),
            std::process::id()
        );
        let digest = blake3::derive_key("evenkeel snapshot of a table 1", identity.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        let gtids = gtids.map(|set| Known {
            set,
            era: era_of(&short),
        });
        Ok(Snapshot {
            connection,
            columns,
            live: None,
            declared: settings
                .snapshot_time
                .filter(|_| followed == Followed::Never),
            is_later: matches!(followed, Followed::Before(_)),
            file,
            position,
            gtids,
            time,
            rows_hold_from: time,
            place,
            digest: short,
            next_number: 0,
            rows_read: 0,
            ends: None,
        })
    }

    /// Says what lives in the store, which has everything before the place and nothing behind it.
    pub(crate) fn against(&mut self, live: Live) {
        let newest = live.newest().unwrap_or(i64::MIN);
        // What lives is not dated behind what ends or replaces it.
        self.time = (self.time).max(newest.saturating_add(i64::from(self.is_later)));
        let declared = self.declared.filter(|from| newest <= *from);
        self.rows_hold_from = declared.unwrap_or(self.time);
        self.live = Some(live);
    }

    /// Says that the history that was followed is that in which it has its place.
    pub(crate) fn go_on(&mut self, followed: &Known) {
        if let Some(known) = &mut self.gtids {
            known.era.clone_from(&followed.era);
        }
    }

    /// How many rows were read.
    pub(crate) fn rows_read(&self) -> u64 {
        self.rows_read
    }

    /// The next rows, at most so many are read; whether there are more.
    pub(crate) fn next(
        &mut self,
        target: &Target,
        rows_max: usize,
    ) -> Result<(Vec<FileRows>, bool), CaptureError> {
        let mut rows = Rows::new(target);
        let mut more = true;
        for _ in 0..rows_max {
            let told = Told {
                op: "r",
                time: self.rows_hold_from,
                place: self.place,
                file: self.digest,
                number: self.next_number,
            };
            if let Some(ends) = &mut self.ends {
                let Some(key) = ends.pop() else {
                    more = false;
                    break;
                };
                let told = Told {
                    op: "d",
                    time: self.time,
                    ..told
                };
                self.next_number += 1;
                rows.push(told, Ok(end_of(target, key)), &[]);
                continue;
            }
            let Some(row) = self.connection.next_row()? else {
                let mut ends: Vec<Vec<Value>> = match self.live.take() {
                    Some(live) => live.rest().collect(),
                    None => Vec::new(),
                };
                ends.reverse();
                self.ends = Some(ends);
                continue;
            };
            self.next_number += 1;
            self.rows_read += 1;
            let mut cells: Vec<Option<Cell<'_>>> = vec![None; target.specs.len()];
            for (column, value) in self.columns.iter().zip(row) {
                cells[column.slot] = Some(cell(column.family, value));
            }
            let row = target.row(false, |i| cells[i].as_ref());
            let is_known = match (&row, self.live.as_mut()) {
                (Ok(values), Some(live)) => live.meet(target, values),
                (Err(_), Some(live)) => {
                    if let Ok(key) = target.row(true, |i| cells[i].as_ref()) {
                        live.leave(target, &key);
                    }
                    false
                }
                _ => false,
            };
            if !is_known {
                rows.push(told, row, &cells);
            }
        }
        Ok((rows.into_parts(), more))
    }
}

/// The row that ends one: its key.
fn end_of(target: &Target, key: Vec<Value>) -> Vec<Value> {
    let mut key = key.into_iter();
    let value = |role: &Role| match role {
        Role::Key => key.next().unwrap_or(Value::Null),
        _ => Value::Null,
    };
    target.roles.iter().map(value).collect()
}

/// A value as the server writes it in an answer.
fn cell(family: Family, value: Option<&[u8]>) -> Cell<'_> {
    let Some(bytes) = value else {
        return Cell::Null;
    };
    if family == Family::Bytes {
        return Cell::Bytes(Cow::Borrowed(bytes));
    }
    let Some(text) = Charset::Utf8.decode(bytes) else {
        return Cell::Undecodable;
    };
    let read = match family {
        Family::Integer => match text.parse() {
            Ok(number) => Some(Cell::Signed(number)),
            Err(_) => text.parse().ok().map(Cell::Unsigned),
        },
        // What was a FLOAT is one exactly.
        Family::Float => text.parse::<f64>().ok().map(|x| Cell::Float(x as f32)),
        Family::Double => text.parse().ok().map(Cell::Double),
        Family::Decimal => Some(Cell::Decimal(Cow::Owned(without_zeros(&text)))),
        Family::Text => Some(Cell::Text(text)),
        Family::Bits => text.parse().ok().map(Cell::Bits),
        Family::Date => clock(&text).map(|c| Cell::Date(c.year, c.month, c.day)),
        Family::DateTime => clock(&text).map(Cell::DateTime),
        Family::Instant => clock(&text).and_then(instant).map(Cell::Instant),
        Family::Length => length(&text).map(Cell::Length),
        Family::Bytes => None,
    };
    read.unwrap_or(Cell::Undecodable)
}

/// `2026-01-31 12:00:00.5`
fn clock(text: &str) -> Option<Clock> {
    let (date, time) = text.split_once(' ').unwrap_or((text, "00:00:00"));
    let mut parts = date.split('-');
    let mut clock = Clock {
        year: parts.next()?.parse().ok()?,
        month: parts.next()?.parse().ok()?,
        day: parts.next()?.parse().ok()?,
        ..Clock::default()
    };
    let micros = length(time)?;
    let seconds = micros / MICROS_PER_SECOND;
    // A time of day.
    clock.hour = u8::try_from(seconds / 3_600).ok()?;
    clock.minute = (seconds / 60 % 60) as u8;
    clock.second = (seconds % 60) as u8;
    clock.micros = (micros % MICROS_PER_SECOND) as u32;
    Some(clock)
}

/// The instant of a date and time in UTC; 0 for one of zeros.
fn instant(clock: Clock) -> Option<i64> {
    if clock == Clock::default() {
        return Some(0);
    }
    Zone::utc().instant(Civil {
        year: i16::try_from(clock.year).ok()?,
        month: i8::try_from(clock.month).ok()?,
        day: i8::try_from(clock.day).ok()?,
        hour: i8::try_from(clock.hour).ok()?,
        minute: i8::try_from(clock.minute).ok()?,
        second: i8::try_from(clock.second).ok()?,
        microsecond: i32::try_from(clock.micros).ok()?,
    })
}

/// `-838:59:59.999999`, in microseconds.
fn length(text: &str) -> Option<i64> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':').map(str::parse::<i64>);
    let mut part = || parts.next()?.ok();
    let seconds = part()? * 3_600 + part()? * 60 + part()?;
    let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    Some(sign * (seconds * MICROS_PER_SECOND + micros))
}
