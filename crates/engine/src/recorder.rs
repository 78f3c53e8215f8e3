//! Whether a decoded row becomes an event of its source, and of which partition.
//!
//! Pure: a row and the timeline's time in, a verdict out. Nothing is coerced here; what is
//! not valid is rejected with a code and a reason, what the source's `WHERE` leaves out is
//! told apart.

use std::sync::Arc;

use evenkeel_ddl::PARTITIONS_MAX;
use evenkeel_expr::Program;
use evenkeel_log::OWN_POSITION;
use evenkeel_types::definition::{OptionValue, SourceDef, SourceKind};
use evenkeel_types::time::{TIME_MAX, TIME_MIN, format_timestamp};
use evenkeel_types::{Event, EventTime, Interval, Operation, Origin, Partition, Value, VisibleAt};
use evenkeel_view::SourceProgram;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::EngineError;
use crate::source_state::Marks;

/// Characters of an unknown operation that are shown.
const WORD_CHARS_MAX: usize = 64;

/// An event that may be logged, with what was made of it on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Recordable {
    /// The event.
    pub event: Event,
    /// Where it goes.
    pub partition: Partition,
    /// Its source row, but for the time at which it is visible.
    pub(crate) row: Vec<Value>,
    /// None if its place in the log, which it does not have yet, is its identity.
    pub(crate) marks: Option<Marks>,
}

impl Recordable {
    fn new(
        program: &SourceProgram,
        event: Event,
        partition: Partition,
        row: Vec<Value>,
        payload: &[u8],
    ) -> Self {
        let is_its_place = program.def().event_id.is_empty() && event.origin == OWN_POSITION;
        let marks = (!is_its_place).then(|| Marks::of(program, &event, &row, payload));
        Recordable {
            event,
            partition,
            row,
            marks,
        }
    }

    /// An event of a source's definition, whose columns it has, as it is.
    pub(crate) fn of(program: &SourceProgram, event: Event, partition: Partition) -> Self {
        let mut row = program.columns(&event.row);
        row[program.def().event_time_slot()] = Value::Timestamp(event.event_time.0);
        let payload = program.payload(&event);
        Recordable::new(program, event, partition, row, &payload)
    }
}

/// A reason as a word, and in words.
type Reason = (&'static str, String);

/// What becomes of a row, but for the timeline.
#[derive(Clone, Debug)]
pub(crate) struct Considered {
    verdict: Verdict,
    /// The event time, if it decides before what the verdict says.
    time: Option<i64>,
    max_future: i64,
}

impl Considered {
    /// What becomes of it at a time of the timeline.
    pub(crate) fn at(self, timeline: VisibleAt) -> Verdict {
        let latest = timeline.0.saturating_add(self.max_future);
        let Some(time) = self.time.filter(|time| *time > latest) else {
            return self.verdict;
        };
        let stored = match self.verdict {
            Verdict::Event(recordable) => recordable.event.row,
            Verdict::Rejected { stored, .. } => stored,
            Verdict::LeftOut => return Verdict::LeftOut,
        };
        Verdict::Rejected {
            stored,
            code: "FUTURE",
            reason: format!(
                "the event time {} is more than {} after {}: see MAX FUTURE",
                format_timestamp(time),
                Interval::from_micros(self.max_future),
                format_timestamp(timeline.0.clamp(TIME_MIN, TIME_MAX)),
            ),
        }
    }
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is an event.
    Event(Box<Recordable>),
    /// The source's `WHERE` is not true for it.
    LeftOut,
    /// It is no event of this source.
    Rejected {
        /// Its stored columns.
        stored: Vec<Value>,
        /// `OPERATION`, `REQUIRED`, `EVENT_TIME`, `EVENT_ID`, `PRIMARY_KEY`, `KNOWN_AT`, `CHECK`, `FUTURE`,
        /// `TOO_LARGE`.
        code: &'static str,
        /// In words.
        reason: String,
    },
}

/// A source's rules, compiled.
#[derive(Debug)]
pub struct Recorder {
    program: SourceProgram,
    filter: Option<Program>,
    checks: Vec<(Program, String)>,
    known_at: Option<Program>,
    /// Of a table: the slot that says which rows are deletes.
    operation: Option<usize>,
    partitions: u32,
    row_bytes_max: usize,
}

impl Recorder {
    /// Compiles the rules of a source.
    pub fn new(def: Arc<SourceDef>, row_bytes_max: usize) -> Result<Self, EngineError> {
        let partitions = match def.options.get("partitions") {
            None => 1,
            Some(OptionValue::Text(text)) => text
                .parse()
                .ok()
                .filter(|n| (1..=PARTITIONS_MAX).contains(n))
                .ok_or_else(|| EngineError::Partitions {
                    source_name: def.name.clone(),
                    text: text.clone(),
                })?,
            Some(OptionValue::Secret(_)) => {
                return Err(EngineError::Partitions {
                    source_name: def.name.clone(),
                    text: "a secret".to_owned(),
                });
            }
        };
        let operation = match def.options.get("operation") {
            Some(OptionValue::Text(column)) => def.slot(column),
            _ => None,
        };
        Ok(Recorder {
            operation,
            filter: def.filter.as_ref().map(Program::compile),
            checks: def
                .checks
                .iter()
                .map(|c| (Program::compile(&c.expr), c.sql.clone()))
                .collect(),
            known_at: def.known_at.as_ref().map(Program::compile),
            program: SourceProgram::new(def),
            partitions,
            row_bytes_max,
        })
    }

    /// Judges a row of stored columns. `timeline` is the time of the apply timeline that the
    /// event would be logged at, at the earliest.
    pub fn judge(&self, stored: Vec<Value>, origin: Origin, timeline: VisibleAt) -> Verdict {
        self.consider(stored, origin).at(timeline)
    }

    /// The same but for the timeline.
    pub(crate) fn consider(&self, stored: Vec<Value>, origin: Origin) -> Considered {
        let def = self.program.def();
        let mut row = self.program.columns(&stored);
        let time = match row[def.event_time] {
            Value::Timestamp(t) if (TIME_MIN..=TIME_MAX).contains(&t) => Some(t),
            _ => None,
        };
        row[def.event_time_slot()] = time.map_or(Value::Null, Value::Timestamp);
        let rejected = |stored, code, reason| Verdict::Rejected {
            stored,
            code,
            reason,
        };
        let timeless = |verdict| Considered {
            verdict,
            time: None,
            max_future: def.max_future,
        };
        // What the source does not want needs to meet none of its conditions.
        if self
            .filter
            .as_ref()
            .is_some_and(|f| f.eval_row(&row, 0) != Value::Boolean(true))
        {
            return timeless(Verdict::LeftOut);
        }
        let (operation, time) = match self.basics(&row, time) {
            Ok(known) => known,
            Err((code, reason)) => return timeless(rejected(stored, code, reason)),
        };
        let timed = |verdict| Considered {
            time: Some(time),
            ..timeless(verdict)
        };
        let payload = SourceProgram::payload_of(operation, &stored);
        let (known_at, canonical) = match self.conditions(&row, operation, time, &payload) {
            Ok(known) => known,
            Err((code, reason)) => return timed(rejected(stored, code, reason)),
        };
        let partition = self.partition(&row, canonical);
        let event = Event {
            operation,
            revision: 0,
            event_time: EventTime(time),
            known_at,
            origin,
            row: stored,
            before: None,
        };
        let recordable = Recordable::new(&self.program, event, partition, row, &payload);
        timed(Verdict::Event(Box::new(recordable)))
    }

    /// Operation and event time of a row that has what is required.
    fn basics(&self, row: &[Value], time: Option<i64>) -> Result<(Operation, i64), Reason> {
        let def = self.program.def();
        let operation = self
            .operation(row)
            .map_err(|reason| ("OPERATION", reason))?;
        // What ends a version is none: of it only its key and its times are asked.
        let is_delete = operation == Operation::Delete;
        for (slot, column) in def.columns.iter().enumerate() {
            if column.required && !is_delete && row[slot].is_missing() {
                let reason = format!("`{}` is {}", column.name, say(&row[slot]));
                return Err(("REQUIRED", reason));
            }
        }
        let Some(time) = time else {
            let column = &def.columns[def.event_time].name;
            let is = say(&row[def.event_time]);
            return Err(("EVENT_TIME", format!("the event time `{column}` is {is}")));
        };
        for (code, slots) in [
            ("EVENT_ID", &def.event_id),
            ("PRIMARY_KEY", &def.primary_key),
        ] {
            for &slot in slots {
                if row[slot].is_missing() {
                    let name = &def.columns[slot].name;
                    return Err((code, format!("`{name}` is {}", say(&row[slot]))));
                }
            }
        }
        Ok((operation, time))
    }

    /// The declared visible time of a row that meets all conditions, and its canonical bytes.
    fn conditions<'p>(
        &self,
        row: &[Value],
        operation: Operation,
        time: i64,
        payload: &'p [u8],
    ) -> Result<(Option<VisibleAt>, &'p [u8]), Reason> {
        let known_at = match self.known_at.as_ref().map(|p| p.eval_row(row, time)) {
            None => None,
            Some(Value::Timestamp(t)) => Some(VisibleAt(t)),
            Some(other) => return Err(("KNOWN_AT", format!("`KNOWN AT` is {}", say(&other)))),
        };
        let checks = self.checks.iter();
        for (check, sql) in checks.filter(|_| operation != Operation::Delete) {
            match check.eval_row(row, time) {
                Value::Boolean(true) | Value::Null => {}
                other => return Err(("CHECK", format!("`CHECK ({sql})` is {}", say(&other)))),
            }
        }
        // Its first byte is the operation's.
        let canonical = payload.get(1..).unwrap_or_default();
        if canonical.len() > self.row_bytes_max {
            let reason = format!(
                "the row has {} bytes, at most {} are allowed",
                canonical.len(),
                self.row_bytes_max
            );
            return Err(("TOO_LARGE", reason));
        }
        Ok((known_at, canonical))
    }

    /// What a row does; an error says in words why that is not known.
    fn operation(&self, row: &[Value]) -> Result<Operation, String> {
        let def = self.program.def();
        let Some(slot) = self.operation else {
            return Ok(match def.kind {
                SourceKind::Stream => Operation::Insert,
                SourceKind::Table => Operation::Upsert,
            });
        };
        let column = &def.columns[slot].name;
        let Value::String(word) = &row[slot] else {
            return Err(format!("the operation `{column}` is {}", say(&row[slot])));
        };
        match word.to_ascii_lowercase().as_str() {
            "upsert" | "insert" | "update" | "i" | "u" | "c" | "r" => Ok(Operation::Upsert),
            "delete" | "d" => Ok(Operation::Delete),
            _ => Err(format!(
                "the operation `{column}` is `{}`: known are `insert`, `update`, `upsert` and \
                 `delete`, or `i`, `c`, `r`, `u` and `d`",
                word.chars().take(WORD_CHARS_MAX).collect::<String>()
            )),
        }
    }

    /// By primary key, event id, or the row itself: the same event always goes to the same
    /// partition.
    fn partition(&self, row: &[Value], canonical: &[u8]) -> Partition {
        if self.partitions == 1 {
            return Partition(0);
        }
        let def = self.program.def();
        let slots = if def.primary_key.is_empty() {
            &def.event_id
        } else {
            &def.primary_key
        };
        let hash = match self.program.key(row, slots) {
            Some(key) if !slots.is_empty() => xxh3_64(&key),
            _ => xxh3_64(canonical),
        };
        // The remainder is below the number of partitions, a u32.
        Partition(u32::try_from(hash % u64::from(self.partitions)).unwrap_or(0))
    }
}

fn say(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Error(reason) => format!("ERROR({reason})"),
        Value::Boolean(truth) => truth.to_string(),
        Value::Timestamp(_) => "outside the years 1 to 9999".to_owned(),
        _ => "not usable".to_owned(),
    }
}
