//! From a logged event to a source row, and to the bytes that identify it, order it and
//! give its keys.
//!
//! Recorder, read path and training path all pass their events through [`SourceProgram`], so
//! that a computed column, an identity or a tie is decided in one place. (The oracle decides
//! them again for itself.)

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_expr::{Program, ReadTime};
use evenkeel_types::codec::{canonical_row, encode_canonical_row, encode_value};
use evenkeel_types::definition::{SourceDef, SourceKind};
use evenkeel_types::{Column, DataType, Event, LoggedEvent, Operation, Origin, Position, Value};

/// A source's compiled definition.
#[derive(Debug)]
pub struct SourceProgram {
    def: Arc<SourceDef>,
    computed: Vec<(usize, Program)>,
}

impl SourceProgram {
    /// Compiles a definition.
    pub fn new(def: Arc<SourceDef>) -> Self {
        let computed = def
            .columns
            .iter()
            .enumerate()
            .filter_map(|(slot, c)| Some((slot, Program::compile(c.computed.as_ref()?))))
            .collect();
        SourceProgram { def, computed }
    }

    /// The definition.
    pub fn def(&self) -> &Arc<SourceDef> {
        &self.def
    }

    /// The stored and computed columns; the pseudo-columns are NULL. Stored columns that an
    /// older schema version did not have are NULL.
    pub fn columns(&self, stored: &[Value]) -> Vec<Value> {
        let mut row = vec![Value::Null; self.def.row_width()];
        for (slot, value) in row[..self.def.stored].iter_mut().zip(stored) {
            *slot = value.clone();
        }
        for (slot, program) in &self.computed {
            // A computed column of a source is a function of the row; it has no read time.
            row[*slot] = program.eval_row(&row, 0);
        }
        row
    }

    /// These slots, and those of the columns that the computed ones among them are made of.
    pub fn with_inputs(&self, slots: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut slots: BTreeSet<usize> = slots.into_iter().collect();
        // A computed column may be made of computed columns before it.
        for (slot, program) in self.computed.iter().rev() {
            if slots.contains(slot) {
                slots.extend(program.columns());
            }
        }
        slots
    }

    /// Computes the columns of `slots` that are computed, for all rows at once: what
    /// [`SourceProgram::columns`] has one by one. `columns` are by slot, those that are
    /// stored and in `slots` have `length` slots.
    pub fn compute(&self, columns: &mut [Column], slots: &BTreeSet<usize>, length: usize) {
        // As for one row, the pseudo-columns are NULL.
        let pseudo = self.def.event_time_slot()..self.def.row_width();
        let mut nulls = None;
        for (slot, program) in self.computed.iter().filter(|(s, _)| slots.contains(s)) {
            if nulls.is_none() && program.columns().iter().any(|c| pseudo.contains(c)) {
                nulls = Some(Column::repeat(&DataType::Timestamp, &Value::Null, length));
            }
            let inputs: Vec<&Column> = columns
                .iter()
                .enumerate()
                .map(|(i, column)| match &nulls {
                    Some(nulls) if pseudo.contains(&i) => nulls,
                    _ => column,
                })
                .collect();
            columns[*slot] = program.eval_batch(&inputs, length, ReadTime::Constant(0));
        }
    }

    /// The source row of an event that is in the log.
    pub fn row(&self, logged: &LoggedEvent) -> Vec<Value> {
        let mut row = self.columns(&logged.event.row);
        row[self.def.event_time_slot()] = Value::Timestamp(logged.event.event_time.0);
        row[self.def.visible_at_slot()] = Value::Timestamp(logged.visible_at().0);
        row
    }

    /// The event's identity: event id and event time where an id is declared, else origin.
    /// Corrections carry the identity of what they correct.
    pub fn identity(&self, event: &Event, row: &[Value]) -> Vec<u8> {
        self.identity_at(row, &event.origin, event.event_time.0)
    }

    /// [`SourceProgram::identity`] of an event's parts: its source row where an id is declared,
    /// else its origin.
    pub fn identity_at(&self, row: &[Value], origin: &Origin, event_time: i64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        if self.def.event_id.is_empty() {
            origin.encode(&mut bytes);
        } else {
            self.encode_event_id(row, &mut bytes);
            encode_value(&Value::Timestamp(event_time), &mut bytes);
        }
        bytes
    }

    /// The event id alone, without the time.
    pub fn event_id(&self, row: &[Value]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32);
        self.encode_event_id(row, &mut bytes);
        bytes
    }

    fn encode_event_id(&self, row: &[Value], out: &mut Vec<u8>) {
        for &slot in &self.def.event_id {
            encode_value(&row[slot], out);
        }
    }

    /// Order among the events of one time: `SEQUENCE BY`, event id, for streams the canonical
    /// bytes of the row, then the origin. Ends with the log position, which can only separate
    /// entries of one identity, of which at most one is ever live.
    pub fn order(&self, logged: &LoggedEvent, row: &[Value]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48);
        self.put_order(logged, row, &mut bytes);
        bytes
    }

    /// Appends [`SourceProgram::order`].
    pub fn put_order(&self, logged: &LoggedEvent, row: &[Value], out: &mut Vec<u8>) {
        let event = &logged.event;
        self.put_order_at(row, &event.row, &event.origin, logged.position, out);
    }

    /// [`SourceProgram::order`] of an event's parts: its source row, the stored columns (NULLs
    /// behind them do not count), its origin and its place.
    pub fn order_at(
        &self,
        row: &[Value],
        stored: &[Value],
        origin: &Origin,
        position: Position,
    ) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48);
        self.put_order_at(row, stored, origin, position, &mut bytes);
        bytes
    }

    fn put_order_at(
        &self,
        row: &[Value],
        stored: &[Value],
        origin: &Origin,
        position: Position,
        out: &mut Vec<u8>,
    ) {
        for &slot in &self.def.sequence_by {
            encode_value(&row[slot], out);
        }
        if self.def.event_id.is_empty() {
            if self.def.kind == SourceKind::Stream {
                // As one byte string: a row's canonical bytes are not prefix-free.
                encode_value(&Value::Bytes(canonical_row(stored).into()), out);
            }
            origin.encode(out);
        } else {
            self.encode_event_id(row, out);
        }
        out.extend_from_slice(&position.partition.0.to_be_bytes());
        out.extend_from_slice(&position.offset.0.to_be_bytes());
    }

    /// The bytes by which one of two payloads of one identity and revision wins: the smaller.
    pub fn payload(&self, event: &Event) -> Vec<u8> {
        SourceProgram::payload_of(event.operation, &event.row)
    }

    /// [`SourceProgram::payload`] of an operation and stored columns: behind its first byte the
    /// canonical bytes of the row, unless it is a removal.
    pub fn payload_of(operation: Operation, stored: &[Value]) -> Vec<u8> {
        let code = match operation {
            // A replacement competes with replacements only; a removal beats them.
            Operation::Replace => Operation::Insert.code(),
            Operation::Remove => return Vec::new(),
            other => other.code(),
        };
        let mut bytes = Vec::with_capacity(16 * stored.len() + 1);
        bytes.push(code);
        encode_canonical_row(stored, &mut bytes);
        bytes
    }

    /// The key made of these columns; none if one of them is NULL or ERROR: then the event
    /// belongs to no key.
    pub fn key(&self, row: &[Value], key_columns: &[usize]) -> Option<Vec<u8>> {
        encode_key(key_columns.iter().map(|&slot| &row[slot]))
    }

    /// Appends [`SourceProgram::key`]; whether there is one.
    pub fn put_key(&self, row: &[Value], key_columns: &[usize], out: &mut Vec<u8>) -> bool {
        put_key(key_columns.iter().map(|&slot| &row[slot]), out)
    }
}

/// The bytes of a key; none if a part is NULL or ERROR.
pub fn encode_key<'a>(parts: impl IntoIterator<Item = &'a Value>) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(24);
    put_key(parts, &mut bytes).then_some(bytes)
}

fn put_key<'a>(parts: impl IntoIterator<Item = &'a Value>, out: &mut Vec<u8>) -> bool {
    for part in parts {
        if part.is_missing() {
            return false;
        }
        encode_value(part, out);
    }
    true
}
