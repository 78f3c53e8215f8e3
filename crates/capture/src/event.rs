//! Events of the binlog: their header, their checksum, and which of them matter.
//!
//! Numbers of kinds and layouts are those of MariaDB's and MySQL's pages on replication.

use crate::bytes::{Bytes, CutOff};
use crate::gtid::Gtid;

const HEADER_BYTES: usize = 19;
const CHECKSUM_BYTES: usize = 4;
/// The flag of an event that is in no file: the server made it for the stream.
const ARTIFICIAL: u16 = 0x20;

const QUERY: u8 = 2;
const ROTATE: u8 = 4;
const FORMAT: u8 = 15;
const XID: u8 = 16;
const TABLE_MAP: u8 = 19;
const WRITE_ROWS_V1: u8 = 23;
const UPDATE_ROWS_V1: u8 = 24;
const DELETE_ROWS_V1: u8 = 25;
const INCIDENT: u8 = 26;
const HEARTBEAT: u8 = 27;
const WRITE_ROWS: u8 = 30;
const UPDATE_ROWS: u8 = 31;
const DELETE_ROWS: u8 = 32;
const MYSQL_GTID: u8 = 33;
const MYSQL_ANONYMOUS_GTID: u8 = 34;
const PREVIOUS_GTIDS: u8 = 35;
const XA_PREPARE: u8 = 38;
const PARTIAL_UPDATE_ROWS: u8 = 39;
const TRANSACTION_PAYLOAD: u8 = 40;
const HEARTBEAT_V2: u8 = 41;
const MYSQL_TAGGED_GTID: u8 = 42;
const MARIADB_GTID: u8 = 162;
const MARIADB_START_ENCRYPTION: u8 = 164;
/// Compressed queries and rows.
const MARIADB_COMPRESSED: std::ops::RangeInclusive<u8> = 165..=171;

/// What follows are clocks of MySQL's parallel replicas.
const LOGICAL_CLOCK: u8 = 2;
/// The time of a commit is in this many bytes, the first bit of which says whether that of the first server follows.
const COMMIT_TIME_BYTES: usize = 7;
const COMMIT_TIME_FLAG: u64 = 1 << 55;

const GTID_STANDALONE: u8 = 1;
const GTID_PREPARED_XA: u8 = 64;

/// What an event says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    /// Seconds since the epoch: when its statement began.
    pub(crate) seconds: u32,
    /// Its bytes.
    pub(crate) bytes: u32,
    /// Where the next one begins; 0 of an event that is in no file.
    pub(crate) end: u32,
}

/// What rows do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowsKind {
    Write,
    Update,
    Delete,
}

#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// What follows is in this file, from a position on.
    Rotate {
        file: String,
        position: u64,
    },
    /// A file begins; whether its events have checksums.
    Format {
        checksums: bool,
    },
    /// A group of events begins, all of which were committed at one time.
    Group {
        /// It is one statement, with no end of its own.
        standalone: bool,
        /// Whether it happened is not known: it was prepared.
        prepared: bool,
        /// Its name, of MySQL's.
        gtid: Option<Gtid>,
        /// When it was committed where that was first, microseconds, if that is known.
        committed_at: Option<i64>,
    },
    /// The same with a name that is not read.
    TaggedGroup,
    /// The transactions before a file.
    PreviousGtids(Bytes<'a>),
    /// A group ends.
    Commit,
    Query {
        database: String,
        statement: String,
    },
    TableMap(&'a [u8]),
    Rows {
        kind: RowsKind,
        /// Of the table map before it.
        table_id: u64,
        /// Columns, bitmaps and images.
        body: Bytes<'a>,
    },
    /// Rows of which not all is said.
    PartialRows {
        table_id: u64,
    },
    /// Nothing happened for a while, or nothing that was asked for: how far the server has read.
    Heartbeat {
        file: String,
        position: u32,
    },
    /// A transaction in one event.
    Payload(&'a [u8]),
    /// Rows that are packed in a way that is not read.
    Packed,
    /// The server does not know what happened.
    Incident,
    Other,
}

/// Takes an event apart. `checksums`: whether events of its file have one.
///
/// # Errors
/// In words what is wrong with it.
pub(crate) fn parse(bytes: &[u8], checksums: bool) -> Result<(Header, Event<'_>), &'static str> {
    let cut_off = |_: CutOff| "it ends too early";
    let mut head = Bytes(bytes);
    let seconds = head.u32().map_err(cut_off)?;
    let kind = head.u8().map_err(cut_off)?;
    head.u32().map_err(cut_off)?;
    let length = head.u32().map_err(cut_off)?;
    let end = head.u32().map_err(cut_off)?;
    let flags = head.u16().map_err(cut_off)?;
    if length as usize != bytes.len() {
        return Err("it has another length than it says");
    }
    let header = Header {
        seconds,
        bytes: length,
        end: if flags & ARTIFICIAL == 0 { end } else { 0 },
    };
    let body = body(bytes, kind, flags, checksums)?;
    event(kind, end, body)
        .map(|event| (header, event))
        .map_err(cut_off)
}

/// The bytes between header and checksum.
fn body(bytes: &[u8], kind: u8, flags: u16, checksums: bool) -> Result<&[u8], &'static str> {
    let body = &bytes[HEADER_BYTES..];
    let Some(end) = bytes
        .len()
        .checked_sub(CHECKSUM_BYTES)
        .filter(|end| *end >= HEADER_BYTES)
    else {
        return Ok(body);
    };
    if kind == FORMAT {
        // It says itself whether it has one, in the byte before it, and is checked when the
        // server reads it.
        return Ok(body);
    }
    let (covered, checksum) = bytes.split_at(end);
    let is_checksum = crc32fast::hash(covered).to_le_bytes() == *checksum;
    // What the server makes for the stream may have one or not.
    let is_made = kind == HEARTBEAT || kind == HEARTBEAT_V2 || flags & ARTIFICIAL != 0;
    match (checksums, is_checksum) {
        (_, true) if checksums || is_made => Ok(&covered[HEADER_BYTES..]),
        (true, false) if !is_made => Err("its checksum is another"),
        _ => Ok(body),
    }
}

fn event(kind: u8, end: u32, body: &[u8]) -> Result<Event<'_>, CutOff> {
    let mut bytes = Bytes(body);
    Ok(match kind {
        ROTATE => {
            let position = bytes.unsigned(8)?;
            let file = String::from_utf8_lossy(bytes.rest()).into_owned();
            Event::Rotate { file, position }
        }
        FORMAT => {
            // Version, name, time, header length, lengths by kind; then how events are checked.
            let algorithm = body.len().checked_sub(CHECKSUM_BYTES + 1);
            let algorithm = algorithm.and_then(|at| body.get(at)).ok_or(CutOff)?;
            Event::Format {
                checksums: *algorithm == 1,
            }
        }
        QUERY => query(&mut bytes)?,
        XID => Event::Commit,
        TABLE_MAP => Event::TableMap(body),
        WRITE_ROWS_V1 => rows(RowsKind::Write, false, bytes)?,
        UPDATE_ROWS_V1 => rows(RowsKind::Update, false, bytes)?,
        DELETE_ROWS_V1 => rows(RowsKind::Delete, false, bytes)?,
        WRITE_ROWS => rows(RowsKind::Write, true, bytes)?,
        UPDATE_ROWS => rows(RowsKind::Update, true, bytes)?,
        DELETE_ROWS => rows(RowsKind::Delete, true, bytes)?,
        MARIADB_GTID => {
            // A number and a domain.
            bytes.take(8 + 4)?;
            let flags = bytes.u8()?;
            Event::Group {
                standalone: flags & GTID_STANDALONE != 0,
                prepared: flags & GTID_PREPARED_XA != 0,
                gtid: None,
                committed_at: None,
            }
        }
        // What follows says whether it is one statement.
        MYSQL_GTID => mysql_group(&mut bytes, true)?,
        MYSQL_ANONYMOUS_GTID => mysql_group(&mut bytes, false)?,
        MYSQL_TAGGED_GTID => Event::TaggedGroup,
        PREVIOUS_GTIDS => Event::PreviousGtids(bytes),
        XA_PREPARE => Event::Commit,
        HEARTBEAT => Event::Heartbeat {
            file: String::from_utf8_lossy(body).into_owned(),
            position: end,
        },
        HEARTBEAT_V2 => Event::Heartbeat {
            file: String::new(),
            position: 0,
        },
        PARTIAL_UPDATE_ROWS => Event::PartialRows {
            table_id: bytes.unsigned(6)?,
        },
        TRANSACTION_PAYLOAD => Event::Payload(body),
        MARIADB_START_ENCRYPTION => Event::Packed,
        kind if MARIADB_COMPRESSED.contains(&kind) => Event::Packed,
        INCIDENT => Event::Incident,
        _ => Event::Other,
    })
}

fn mysql_group<'a>(bytes: &mut Bytes<'_>, is_named: bool) -> Result<Event<'a>, CutOff> {
    // Flags.
    bytes.take(1)?;
    let mut server = [0; 16];
    server.copy_from_slice(bytes.take(16)?);
    let number = bytes.unsigned(8)?;
    let mut committed_at = None;
    // Servers before 8.0 say less.
    if bytes.0.first() == Some(&LOGICAL_CLOCK) && bytes.0.len() >= 1 + 16 + COMMIT_TIME_BYTES {
        bytes.take(1 + 16)?;
        let mut time = bytes.unsigned(COMMIT_TIME_BYTES)?;
        if time & COMMIT_TIME_FLAG != 0 {
            time = bytes.unsigned(COMMIT_TIME_BYTES)?;
        }
        committed_at = i64::try_from(time).ok().filter(|time| *time > 0);
    }
    Ok(Event::Group {
        standalone: true,
        prepared: false,
        gtid: is_named.then_some(Gtid { server, number }),
        committed_at,
    })
}

fn query<'a>(bytes: &mut Bytes<'a>) -> Result<Event<'a>, CutOff> {
    // Thread and seconds.
    bytes.take(4 + 4)?;
    let database_length = usize::from(bytes.u8()?);
    bytes.take(2)?;
    let variables = usize::from(bytes.u16()?);
    bytes.take(variables)?;
    let database = bytes.take(database_length)?;
    bytes.take(1)?;
    Ok(Event::Query {
        database: String::from_utf8_lossy(database).into_owned(),
        statement: String::from_utf8_lossy(bytes.rest()).into_owned(),
    })
}

fn rows(kind: RowsKind, has_extra: bool, mut bytes: Bytes<'_>) -> Result<Event<'_>, CutOff> {
    let table_id = bytes.unsigned(6)?;
    bytes.take(2)?;
    if has_extra {
        let length = usize::from(bytes.u16()?);
        bytes.take(length.saturating_sub(2))?;
    }
    Ok(Event::Rows {
        kind,
        table_id,
        body: bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: u8, body: &[u8], checksum: bool) -> Vec<u8> {
        let length = HEADER_BYTES + body.len() + if checksum { CHECKSUM_BYTES } else { 0 };
        let mut bytes = 7u32.to_le_bytes().to_vec();
        bytes.push(kind);
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(u32::try_from(length).unwrap().to_le_bytes());
        bytes.extend(500u32.to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(body);
        if checksum {
            let checksum = crc32fast::hash(&bytes).to_le_bytes();
            bytes.extend(checksum);
        }
        bytes
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let good = bytes(XID, &[0; 8], true);
        let (header, event) = parse(&good, true).unwrap();
        assert!(matches!(event, Event::Commit));
        assert_eq!((header.seconds, header.end), (7, 500));
        for at in [0, 15, HEADER_BYTES + 3, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 4;
            assert!(parse(&bad, true).is_err(), "{at}");
        }
        assert!(parse(&good[..good.len() - 1], true).is_err());
        assert!(parse(&bytes(XID, &[0; 8], false), false).is_ok());
    }

    #[test]
    fn nothing_is_read_beyond_the_end() {
        for kind in 0..=255 {
            for length in 0..40 {
                // What it is does not matter, only that it ends.
                let _ = parse(&bytes(kind, &vec![0xff; length], false), false);
            }
        }
    }
}
