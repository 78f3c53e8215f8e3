//! What the binlog says of a table before its rows: types, names, signs, character sets, members of
//! ENUM and SET (`binlog_row_metadata=FULL`).
//!
//! Invariant: rows are read by what stands here alone, so a table that was altered since is read
//! as it was.

use crate::bytes::{Bytes, CutOff};

/// The collation of bytes that are no text.
const BINARY: u64 = 63;

/// Numbers of types, as the binlog has them.
pub(crate) mod kind {
    pub(crate) const TINY: u8 = 1;
    pub(crate) const SHORT: u8 = 2;
    pub(crate) const LONG: u8 = 3;
    pub(crate) const FLOAT: u8 = 4;
    pub(crate) const DOUBLE: u8 = 5;
    pub(crate) const TIMESTAMP: u8 = 7;
    pub(crate) const LONGLONG: u8 = 8;
    pub(crate) const INT24: u8 = 9;
    pub(crate) const DATE: u8 = 10;
    pub(crate) const TIME: u8 = 11;
    pub(crate) const DATETIME: u8 = 12;
    pub(crate) const YEAR: u8 = 13;
    pub(crate) const NEWDATE: u8 = 14;
    pub(crate) const VARCHAR: u8 = 15;
    pub(crate) const BIT: u8 = 16;
    pub(crate) const TIMESTAMP2: u8 = 17;
    pub(crate) const DATETIME2: u8 = 18;
    pub(crate) const TIME2: u8 = 19;
    pub(crate) const BLOB_COMPRESSED: u8 = 140;
    pub(crate) const VARCHAR_COMPRESSED: u8 = 141;
    pub(crate) const VECTOR: u8 = 242;
    pub(crate) const JSON: u8 = 245;
    pub(crate) const DECIMAL: u8 = 246;
    pub(crate) const ENUM: u8 = 247;
    pub(crate) const SET: u8 = 248;
    pub(crate) const TINY_BLOB: u8 = 249;
    pub(crate) const MEDIUM_BLOB: u8 = 250;
    pub(crate) const LONG_BLOB: u8 = 251;
    pub(crate) const BLOB: u8 = 252;
    pub(crate) const VAR_STRING: u8 = 253;
    pub(crate) const STRING: u8 = 254;
    pub(crate) const GEOMETRY: u8 = 255;
}

/// A column of a table, as of some rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MapColumn {
    pub(crate) name: String,
    /// Of [`kind`]; ENUM and SET as such.
    pub(crate) kind: u8,
    /// Two numbers whose meaning depends on the kind.
    pub(crate) meta: [u8; 2],
    pub(crate) unsigned: bool,
    /// The collation of a text; `None`: bytes.
    pub(crate) collation: Option<u64>,
    /// The members of an ENUM or a SET, in the collation.
    pub(crate) members: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableMap {
    pub(crate) columns: Vec<MapColumn>,
    /// Whether there are names.
    pub(crate) is_full: bool,
}

impl TableMap {
    /// Whether a table map is of a table.
    pub(crate) fn is_of(body: &[u8], database: &str, table: &str) -> Result<bool, CutOff> {
        let mut bytes = Bytes(body);
        bytes.take(6 + 2)?;
        let found = name(&mut bytes)?;
        Ok(found == database.as_bytes() && name(&mut bytes)? == table.as_bytes())
    }

    /// The number that the rows behind it name.
    pub(crate) fn id_of(body: &[u8]) -> Result<u64, CutOff> {
        Bytes(body).unsigned(6)
    }

    pub(crate) fn parse(body: &[u8]) -> Result<Self, CutOff> {
        let mut bytes = Bytes(body);
        bytes.take(6 + 2)?;
        name(&mut bytes)?;
        name(&mut bytes)?;
        let count = usize::try_from(bytes.packed()?).map_err(|_| CutOff)?;
        let kinds = bytes.take(count)?;
        let mut meta = Bytes(bytes.packed_bytes()?);
        bytes.take(count.div_ceil(8))?;
        let mut columns = Vec::with_capacity(count);
        for kind in kinds {
            let meta = meta_of(*kind, &mut meta)?;
            // What the server calls STRING may be an ENUM or a SET.
            let is_member = matches!(meta[0], kind::ENUM | kind::SET) && *kind == kind::STRING;
            columns.push(MapColumn {
                kind: if is_member { meta[0] } else { *kind },
                meta,
                ..MapColumn::default()
            });
        }
        let mut map = TableMap {
            columns,
            is_full: false,
        };
        while !bytes.is_empty() {
            let field = bytes.u8()?;
            let value = bytes.packed_bytes()?;
            map.field(field, Bytes(value))?;
        }
        Ok(map)
    }

    /// One of the fields of `binlog_row_metadata`.
    fn field(&mut self, field: u8, mut bytes: Bytes<'_>) -> Result<(), CutOff> {
        match field {
            1 => {
                let numbers = self.columns.iter_mut().filter(|c| is_number(c.kind));
                for (i, column) in numbers.enumerate() {
                    let byte = bytes.0.get(i / 8).ok_or(CutOff)?;
                    column.unsigned = byte & (0x80 >> (i % 8)) != 0;
                }
            }
            2 => self.default_collation(&mut bytes, is_text)?,
            3 => self.collations(&mut bytes, is_text)?,
            4 => {
                for column in &mut self.columns {
                    column.name = text(bytes.packed_bytes()?);
                }
                self.is_full = true;
            }
            5 => self.members(&mut bytes, kind::SET)?,
            6 => self.members(&mut bytes, kind::ENUM)?,
            10 => self.default_collation(&mut bytes, is_member)?,
            11 => self.collations(&mut bytes, is_member)?,
            _ => {}
        }
        Ok(())
    }

    fn default_collation(
        &mut self,
        bytes: &mut Bytes<'_>,
        is_meant: fn(u8) -> bool,
    ) -> Result<(), CutOff> {
        let default = bytes.packed()?;
        let mut meant: Vec<&mut MapColumn> = (self.columns.iter_mut())
            .filter(|c| is_meant(c.kind))
            .collect();
        for column in &mut meant {
            column.collation = collation(default);
        }
        while !bytes.is_empty() {
            let index = usize::try_from(bytes.packed()?).map_err(|_| CutOff)?;
            let column = meant.get_mut(index).ok_or(CutOff)?;
            column.collation = collation(bytes.packed()?);
        }
        Ok(())
    }

    fn collations(
        &mut self,
        bytes: &mut Bytes<'_>,
        is_meant: fn(u8) -> bool,
    ) -> Result<(), CutOff> {
        for column in self.columns.iter_mut().filter(|c| is_meant(c.kind)) {
            column.collation = collation(bytes.packed()?);
        }
        Ok(())
    }

    fn members(&mut self, bytes: &mut Bytes<'_>, kind: u8) -> Result<(), CutOff> {
        for column in self.columns.iter_mut().filter(|c| c.kind == kind) {
            for _ in 0..bytes.packed()? {
                column.members.push(bytes.packed_bytes()?.to_vec());
            }
        }
        Ok(())
    }
}

fn collation(number: u64) -> Option<u64> {
    (number != BINARY).then_some(number)
}

fn is_number(kind: u8) -> bool {
    use kind::{DECIMAL, DOUBLE, FLOAT, INT24, LONG, LONGLONG, SHORT, TINY, YEAR};
    matches!(
        kind,
        TINY | SHORT | INT24 | LONG | LONGLONG | FLOAT | DOUBLE | DECIMAL | YEAR
    )
}

fn is_text(kind: u8) -> bool {
    use kind::{
        BLOB, BLOB_COMPRESSED, LONG_BLOB, MEDIUM_BLOB, STRING, TINY_BLOB, VAR_STRING, VARCHAR,
        VARCHAR_COMPRESSED,
    };
    matches!(
        kind,
        STRING
            | VAR_STRING
            | VARCHAR
            | VARCHAR_COMPRESSED
            | BLOB
            | BLOB_COMPRESSED
            | TINY_BLOB
            | MEDIUM_BLOB
            | LONG_BLOB
    )
}

fn is_member(kind: u8) -> bool {
    matches!(kind, kind::ENUM | kind::SET)
}

/// A name of at most 255 bytes, with a zero behind it.
fn name<'a>(bytes: &mut Bytes<'a>) -> Result<&'a [u8], CutOff> {
    let length = usize::from(bytes.u8()?);
    let name = bytes.take(length)?;
    bytes.take(1)?;
    Ok(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn meta_of(kind: u8, bytes: &mut Bytes<'_>) -> Result<[u8; 2], CutOff> {
    use kind::*;
    Ok(match kind {
        FLOAT | DOUBLE | BLOB | TINY_BLOB | MEDIUM_BLOB | LONG_BLOB | BLOB_COMPRESSED
        | GEOMETRY | JSON | VECTOR | TIMESTAMP2 | DATETIME2 | TIME2 => [bytes.u8()?, 0],
        VARCHAR | VARCHAR_COMPRESSED | VAR_STRING | BIT | DECIMAL | STRING | ENUM | SET => {
            [bytes.u8()?, bytes.u8()?]
        }
        _ => [0, 0],
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `shop.t (id BIGINT UNSIGNED, y YEAR, n INT, v VARCHAR(40) latin1, e ENUM('a', 'b'))`
    fn body() -> Vec<u8> {
        let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0, 4];
        body.extend(b"shop\0\x01t\0");
        body.extend([
            5,
            kind::LONGLONG,
            kind::YEAR,
            kind::LONG,
            kind::VARCHAR,
            kind::STRING,
        ]);
        body.extend([4, 40, 0, kind::ENUM, 1, 0b11110]);
        // Signs of the three numbers: YEAR is one to MariaDB.
        body.extend([1, 1, 0b1100_0000]);
        // Latin1 is collation 8.
        body.extend([2, 1, 8]);
        body.extend(b"\x04\x0b\x02id\x01y\x01n\x01v\x01e");
        body.extend(b"\x06\x05\x02\x01a\x01b");
        body
    }

    #[test]
    fn a_table_is_told_with_its_names() {
        let map = TableMap::parse(&body()).unwrap();
        assert!(map.is_full);
        let names: Vec<&str> = map.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["id", "y", "n", "v", "e"]);
        let signs: Vec<bool> = map.columns.iter().map(|c| c.unsigned).collect();
        assert_eq!(signs, [true, true, false, false, false]);
        assert_eq!(map.columns[3].collation, Some(8));
        assert_eq!(
            (map.columns[4].kind, map.columns[4].members.len()),
            (kind::ENUM, 2)
        );
        assert_eq!(TableMap::is_of(&body(), "shop", "t"), Ok(true));
        assert_eq!(TableMap::is_of(&body(), "shop", "tt"), Ok(false));
        assert_eq!(TableMap::id_of(&body()), Ok(7));
    }

    proptest! {
        /// Whatever was damaged, it is read or refused.
        #[test]
        fn damaged_bytes_are_read_or_refused(at in 0..60usize, byte in any::<u8>(), length in 0..60usize) {
            let mut damaged = body();
            let at = at % damaged.len();
            damaged[at] = byte;
            damaged.truncate(length);
            let _ = TableMap::parse(&damaged);
            let _ = TableMap::is_of(&damaged, "shop", "t");
        }
    }
}
