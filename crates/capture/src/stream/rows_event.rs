//! The rows of one event of the binlog, as rows of the source.

use evenkeel_connect::{ChangeError, ValueError};

use super::names::Names;
use crate::bytes::{Bytes, CutOff};
use crate::cell::Cell;
use crate::event::RowsKind;
use crate::mapping::{Mapping, Rows, Target, Told};

/// Why rows are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// In words.
    Damaged(&'static str),
    /// There is no name left for one.
    Unnamed,
}

impl From<CutOff> for Unread {
    fn from(_: CutOff) -> Self {
        Unread::Damaged("its rows end too early")
    }
}

/// The rows of an event on their way.
pub(super) struct RowsEvent<'e> {
    pub(super) mapping: &'e Mapping,
    pub(super) target: &'e Target,
    pub(super) kind: RowsKind,
    pub(super) names: &'e mut Names,
    pub(super) time: i64,
}

impl RowsEvent<'_> {
    pub(super) fn read(&mut self, mut bytes: Bytes<'_>, rows: &mut Rows) -> Result<(), Unread> {
        let columns = bytes.packed()?;
        if usize::try_from(columns).ok() != Some(self.mapping.columns()) {
            return Err(Unread::Damaged(
                "its rows have another number of columns than its table",
            ));
        }
        let bitmaps = if self.kind == RowsKind::Update { 2 } else { 1 };
        for _ in 0..bitmaps {
            let there = bytes.take(self.mapping.columns().div_ceil(8))?;
            let is_there = |i: usize| there[i / 8] >> (i % 8) & 1 == 1;
            if !(0..self.mapping.columns()).all(is_there) {
                return Err(Unread::Damaged(
                    "its rows are not whole: a session has set binlog_row_image",
                ));
            }
        }
        while !bytes.is_empty() {
            let first = self.mapping.cells(&mut bytes, self.target)?;
            match self.kind {
                RowsKind::Write => self.tell("c", &first, rows)?,
                RowsKind::Delete => self.tell("d", &first, rows)?,
                RowsKind::Update => {
                    let second = self.mapping.cells(&mut bytes, self.target)?;
                    self.update(&first, &second, rows)?;
                }
            }
        }
        Ok(())
    }

    /// A row of another primary key is another row.
    fn update(
        &mut self,
        before: &[Option<Cell<'_>>],
        after: &[Option<Cell<'_>>],
        rows: &mut Rows,
    ) -> Result<(), Unread> {
        let key = |cells: &[Option<Cell<'_>>]| {
            let row = self.target.row(true, |i| cells[i].as_ref())?;
            let key = self.target.key(&row).into_iter().cloned();
            Ok::<Vec<_>, (usize, ValueError)>(key.collect())
        };
        let is_another = match (key(before), key(after)) {
            (Ok(old), Ok(new)) => old != new,
            // A key that can be read is not one that cannot.
            (Ok(_), Err(_)) => true,
            _ => false,
        };
        if self.target.is_table && is_another {
            self.tell("d", before, rows)?;
            return self.tell("c", after, rows);
        }
        self.tell("u", after, rows)?;
        self.names.skip();
        Ok(())
    }

    fn tell(
        &mut self,
        op: &'static str,
        cells: &[Option<Cell<'_>>],
        rows: &mut Rows,
    ) -> Result<(), Unread> {
        let named = self.names.next().ok_or(Unread::Unnamed)?;
        let mut row = self.target.row(op == "d", |i| cells[i].as_ref());
        if named.place.is_none() {
            let source = ChangeError::NoPosition;
            row = Err((0, ValueError::Change { source }));
        }
        let told = Told {
            op,
            time: self.time,
            place: named.place.unwrap_or(-1),
            file: named.file,
            number: named.number,
        };
        rows.push(told, row, cells);
        Ok(())
    }
}
