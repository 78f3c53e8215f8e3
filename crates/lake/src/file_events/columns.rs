//! Several events of a data file at once, by column.

use evenkeel_log::{EventColumns, EventColumnsParts};
use evenkeel_types::{Column, Operation, Origin, Position, Value, VisibleAt};

use super::FileEvents;
use crate::error::LakeError;
use crate::held::Held;
use crate::layout::{own, place_of};

/// Fewer events are answered one by one.
const TOGETHER_MIN: usize = 4;
/// So many that were logged at once are answered without what comes behind them: they have one time in
/// the apply timeline.
const AT_ONCE_MIN: usize = 64;
/// More are answered in parts, whose columns take little memory, which is used again.
const TOGETHER_MAX: usize = 1 << 15;

impl FileEvents {
    /// Reads the next events, as long as they follow each other in one partition and stand in the
    /// columns; none if these are few, or there are no more.
    ///
    /// # Errors
    /// If the file does not hold what it should.
    pub(crate) fn next_columns(&mut self) -> Result<Option<EventColumns>, LakeError> {
        let count = self.together();
        if count < TOGETHER_MIN {
            return Ok(None);
        }
        let end = self.next + count;
        let columns = self.columns_of(&self.rows[self.next..end])?;
        self.next = end;
        Ok(Some(columns))
    }

    /// How many of the next events are answered at once.
    fn together(&self) -> usize {
        let end = self.rows.len().min(self.next + TOGETHER_MAX);
        let mut rows = &self.rows[self.next..end];
        let Some(first) = rows.first().map(|row| *row as usize) else {
            return 0;
        };
        let logged_at = &self.columns[own::LOGGED_AT];
        let at_once = |row: &&u32| logged_at.number(**row as usize) == logged_at.number(first);
        let at_once = rows.iter().take_while(at_once).count();
        if at_once >= AT_ONCE_MIN {
            rows = &rows[..at_once];
        }
        let [partitions, widths, exact] =
            [own::PARTITION, own::COLUMNS, own::EXACT].map(|place| &self.columns[place]);
        let offsets = self.columns[own::OFFSET].each_number();
        let due = offsets[first];
        let follows =
            |(number, row): &(i64, &u32)| offsets[**row as usize] == due.wrapping_add(*number);
        if self.all_alike {
            return (0..).zip(rows).take_while(follows).count();
        }
        let is_next = |next: &(i64, &u32)| {
            let row = *next.1 as usize;
            follows(next)
                && exact.is_null(row)
                && partitions.is_same(first, row)
                && widths.is_same(first, row)
        };
        (0..).zip(rows).take_while(is_next).count()
    }

    /// Rows that [are answered at once](FileEvents::together).
    fn columns_of(&self, rows: &[u32]) -> Result<EventColumns, LakeError> {
        let first = rows[0] as usize;
        let first_position = self.position(first);
        let mut columns: Vec<Option<Column>> = Vec::new();
        for slot in 0..self.width(first)? {
            columns.push(match &self.columns[place_of(slot)] {
                Held::Each(column) if self.wanted.column(slot) => Some(column.gather(rows)),
                _ => None,
            });
        }
        let each = || rows.iter().map(|row| *row as usize);
        let operations: Vec<Operation> = match self.columns[own::OPERATION].same() {
            Some(_) => vec![self.operation(first)?; rows.len()],
            None => each()
                .map(|row| self.operation(row))
                .collect::<Result<_, _>>()?,
        };
        let revisions = match self.columns[own::REVISION].same() {
            Some(Value::BigInt(0)) => Vec::new(),
            _ => each()
                .map(|row| self.revision(row))
                .collect::<Result<_, _>>()?,
        };
        let known_at = match self.columns[own::KNOWN_AT].same() {
            Some(Value::Null) => Vec::new(),
            _ => each().map(|row| self.known_at(row)).collect(),
        };
        let mut logged_at = self.columns[own::LOGGED_AT].numbers(rows);
        if logged_at.iter().all(|time| *time == logged_at[0]) {
            logged_at.truncate(1);
        }
        Ok(EventColumns::from_parts(EventColumnsParts {
            source: self.wanted.source,
            schema_version: self.layout.schema_version,
            first: first_position,
            logged_at: logged_at.into_iter().map(VisibleAt).collect(),
            times: self.columns[own::EVENT_TIME].numbers(rows),
            operations,
            revisions,
            known_at,
            origins: self.origin_runs(rows, first_position)?,
            columns,
        }))
    }

    /// Runs of origins that count on, by the first of each.
    fn origin_runs(
        &self,
        rows: &[u32],
        first: Position,
    ) -> Result<Vec<(usize, Option<Origin>)>, LakeError> {
        if !self.wanted.origin() {
            return Ok(vec![(0, Some(Origin::Log(first)))]);
        }
        let numbers = self.columns[own::ORIGIN_NUMBER].numbers(rows);
        let named = [own::ORIGIN_KIND, own::ORIGIN, own::ORIGIN_PARTITION];
        let named = named.map(|place| &self.columns[place]);
        let is_one = named.iter().all(|column| column.same().is_some());
        let mut runs: Vec<(usize, Option<Origin>)> = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let goes_on = at > 0
                && numbers[at - 1].cast_unsigned().checked_add(1)
                    == Some(numbers[at].cast_unsigned())
                && (is_one
                    || named
                        .iter()
                        .all(|c| c.is_same(rows[at - 1] as usize, *row as usize)));
            if !goes_on {
                runs.push((at, Some(self.origin(*row as usize)?)));
            }
        }
        Ok(runs)
    }
}
