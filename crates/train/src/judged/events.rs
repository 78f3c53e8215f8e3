//! The events of a source, of each its key, its time and what a condition says of the row that it brings.

use std::collections::{BTreeMap, BTreeSet};

use evenkeel_log::{EventColumns, EventParts, FrameColumn};
use evenkeel_types::definition::SourceKind;
use evenkeel_types::{
    Column, ColumnData, DataType, LoggedEvent, NO_SLOT, Operation, Origin, Position, Value,
};
use evenkeel_view::SourceProgram;

use super::plain::PlainRows;
use super::{Condition, Verdict};
use crate::error::TrainError;
use crate::runs::Runs;

/// Fewer events that come at once are judged with those that come one by one.
const TOGETHER_MIN: usize = 64;
/// Events that come one by one are judged so many at once.
const PENDING: usize = 4_096;

/// See the module. Numbered in log order.
pub(super) struct JudgedEvents<'a> {
    pub(super) plain: &'a PlainRows<'a>,
    pub(super) program: SourceProgram,
    pub(super) at: i64,
    pub(super) condition: &'a dyn Condition,
    /// What is read of the events.
    read: BTreeSet<usize>,
    pending: Pending,
    /// Of each part of key and identity the values.
    pub(super) kept: BTreeMap<usize, Column>,
    pub(super) times: Vec<i64>,
    /// Of what is not the newest event of its key: unknown, once that is looked for.
    pub(super) verdicts: Vec<Verdict>,
    /// The events that are in, and their scope.
    pub(super) are_in: Vec<u32>,
    pub(super) rows: Vec<Column>,
    pub(super) positions: Runs<Position>,
    /// Where they are the identities.
    pub(super) origins: Option<Runs<Origin>>,
    are_plain: bool,
}

/// Source rows by slot, with what else of their events is asked for.
struct Pending {
    row: Vec<Column>,
    times: Vec<i64>,
    visible: Vec<i64>,
    operations: Vec<Operation>,
}

impl<'a> JudgedEvents<'a> {
    /// No events yet; at most so many are expected.
    pub(super) fn new(
        plain: &'a PlainRows<'a>,
        at: i64,
        condition: &'a dyn Condition,
        expected: u64,
    ) -> Self {
        let program = SourceProgram::new(plain.source().clone());
        let def = program.def();
        let expected = usize::try_from(expected).unwrap_or(0);
        let types = def.row_types();
        let of_identity = plain.key_columns().iter().chain(&def.event_id);
        let mut kept: BTreeMap<usize, Column> = of_identity
            .map(|&slot| (slot, Column::new(&types[slot])))
            .collect();
        kept.values_mut()
            .for_each(|column| column.reserve(expected));
        let slots = plain.slots().iter().chain(&def.event_id).copied();
        JudgedEvents {
            at,
            condition,
            read: program.with_inputs(slots),
            pending: Pending::new(&types),
            kept,
            times: Vec::with_capacity(expected),
            verdicts: Vec::with_capacity(expected),
            are_in: Vec::new(),
            rows: Vec::new(),
            positions: Runs::default(),
            origins: def.event_id.is_empty().then(Runs::default),
            are_plain: true,
            plain,
            program,
        }
    }

    /// What of the logged events is read.
    pub(super) fn parts(&self) -> EventParts {
        let stored = 0..self.program.def().stored;
        EventParts {
            columns: stored.map(|slot| self.read.contains(&slot)).collect(),
            origin: self.origins.is_some(),
        }
    }

    /// Whether no event so far makes more of others than a row before its own.
    pub(super) fn are_plain(&self) -> bool {
        self.are_plain
    }

    /// Adds an event.
    pub(super) fn push(&mut self, logged: &mut LoggedEvent) -> Result<(), TrainError> {
        self.upgrade(logged)?;
        for &slot in &self.read {
            if slot < self.program.def().stored {
                let value = logged.event.row.get(slot).unwrap_or(&Value::Null);
                self.pending.row[slot].push(value);
            }
        }
        self.pending.times.push(logged.event.event_time.0);
        self.pending.visible.push(logged.visible_at().0);
        self.pending.operations.push(logged.event.operation);
        self.positions.push(&logged.position);
        if let Some(origins) = &mut self.origins {
            origins.push(&logged.event.origin);
        }
        if self.pending.times.len() == PENDING {
            self.judge_pending();
        }
        Ok(())
    }

    /// Adds several events. `logged` is any event, which is used for those of an older schema.
    pub(super) fn extend(
        &mut self,
        mut several: EventColumns,
        logged: &mut LoggedEvent,
    ) -> Result<(), TrainError> {
        let def = self.program.def();
        if several.schema_version != def.schema.version() || several.len() < TOGETHER_MIN {
            for number in 0..several.len() {
                several.event_into(number, logged);
                self.push(logged)?;
            }
            return Ok(());
        }
        self.judge_pending();
        let types = self.program.def().row_types();
        let count = several.len();
        let mut row: Vec<Column> = types.iter().map(Column::new).collect();
        for &slot in &self.read {
            if slot < self.program.def().stored {
                put(&mut row[slot], several.take_column(slot), count);
            }
        }
        self.positions.push_run(&several.first(), count);
        if let Some(origins) = &mut self.origins {
            for (events, first) in several.origin_runs() {
                origins.push_run(&first, events.len());
            }
        }
        let visible = match self.read.contains(&self.program.def().visible_at_slot()) {
            true => (0..count)
                .map(|event| several.visible_at(event).0)
                .collect(),
            false => Vec::new(),
        };
        self.judge(row, several.times(), visible, several.operations());
        Ok(())
    }

    /// The event as one of its source's newest schema.
    pub(super) fn upgrade(&self, logged: &mut LoggedEvent) -> Result<(), TrainError> {
        let def = self.program.def();
        def.schema
            .upgrade(logged)
            .map_err(|reason| TrainError::Event {
                source_name: def.name.clone(),
                reason,
            })
    }

    /// Judges the events that came one by one.
    pub(super) fn judge_pending(&mut self) {
        if self.pending.times.is_empty() {
            return;
        }
        let fresh = Pending::new(&self.program.def().row_types());
        let pending = std::mem::replace(&mut self.pending, fresh);
        self.judge(
            pending.row,
            &pending.times,
            pending.visible,
            &pending.operations,
        );
    }

    /// Judges events by the stored columns of their rows. `visible` may be empty if nobody reads it.
    fn judge(
        &mut self,
        mut row: Vec<Column>,
        times: &[i64],
        visible: Vec<i64>,
        operations: &[Operation],
    ) {
        let def = self.program.def();
        let count = times.len();
        assert!(
            self.times.len() + count < NO_SLOT as usize,
            "fewer than 2^32 events"
        );
        let is_table = def.kind == SourceKind::Table;
        self.are_plain &= operations.iter().all(|operation| match operation {
            Operation::Insert | Operation::Upsert => true,
            Operation::Delete => is_table,
            Operation::Replace | Operation::Remove => false,
        });
        self.program.compute(&mut row, &self.read, count);
        if self.read.contains(&def.event_time_slot()) {
            row[def.event_time_slot()] = timestamps(times.to_vec());
        }
        if self.read.contains(&def.visible_at_slot()) {
            row[def.visible_at_slot()] = timestamps(visible);
        }
        let computed = self.plain.computed(&row, times, self.at);
        let scope = self.plain.scope(&row, &computed);
        let mut verdicts = self.condition.judge(&scope, count);
        for ((verdict, operation), time) in verdicts.iter_mut().zip(operations).zip(times) {
            if *operation == Operation::Delete || *time > self.at {
                *verdict = Verdict::Unknown;
            }
        }
        let are_in: Vec<u32> = (0..)
            .zip(&verdicts)
            .filter(|(_, verdict)| **verdict == Verdict::In)
            .map(|(event, _)| event)
            .collect();
        if self.rows.is_empty() {
            self.rows = scope.iter().map(|column| column.empty_like()).collect();
        }
        for (slot, (rows, column)) in self.rows.iter_mut().zip(scope).enumerate() {
            if self.condition.keeps(slot) {
                rows.append(column.gather(&are_in));
            }
        }
        // Fewer than 2^32.
        let first = self.times.len() as u32;
        self.are_in.extend(are_in.iter().map(|event| first + event));
        self.verdicts.append(&mut verdicts);
        self.times.extend_from_slice(times);
        for (slot, column) in &mut self.kept {
            let empty = column.empty_like();
            column.append(std::mem::replace(&mut row[*slot], empty));
        }
    }
}

impl Pending {
    fn new(types: &[DataType]) -> Self {
        Pending {
            row: types.iter().map(Column::new).collect(),
            times: Vec::new(),
            visible: Vec::new(),
            operations: Vec::new(),
        }
    }
}

/// Puts the values of a frame into an empty column of the source's type.
fn put(column: &mut Column, values: Option<FrameColumn>, count: usize) {
    match values {
        Some(FrameColumn::Typed(values)) if values.has_type_of(column) => column.append(values),
        Some(FrameColumn::Typed(values)) => values.iter().for_each(|v| column.push(&v)),
        Some(FrameColumn::Mixed(values)) => values.iter().for_each(|v| column.push(v)),
        // It was added to the source later.
        None => (0..count).for_each(|_| column.push(&Value::Null)),
    }
}

fn timestamps(times: Vec<i64>) -> Column {
    Column::from_parts(ColumnData::Timestamp(times), Vec::new())
}
