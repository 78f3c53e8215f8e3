//! The words of Evenkeel as types: values and their types, times, events and cuts,
//! expressions as data, and the byte encodings of keys.
//!
//! Knows no IO, no clock, no threads and no SQL text. Everything here is plain data whose
//! meaning is fixed by `docs/semantics.md`.

pub mod bytes;
pub mod codec;
mod column;
mod data_type;
pub mod definition;
mod event;
mod expr;
mod external;
mod frame;
mod schedule;
mod schema;
pub mod time;
mod value;

pub use column::{Column, ColumnData, NO_SLOT, SLOT_NULL, SLOT_PRESENT};
pub use data_type::{DECIMAL_PRECISION_MAX, DataType, Field};
pub use event::{
    Cut, Event, Knowledge, LoggedEvent, Offset, Operation, Origin, Partition, Position, SourceCut,
    SourceId,
};
pub use expr::{Expr, ExprKind};
pub use external::{ColumnFunction, External, FunctionSignature};
pub use frame::{AggregateCall, AggregateFunction, Extent, Frame};
pub use schedule::{Schedule, ScheduleError};
pub use schema::{Schema, SchemaError};
pub use time::{CalendarUnit, Civil, EventTime, Interval, VisibleAt, Zone};
pub use value::{
    CANONICAL_NAN, ErrorReason, Status, Unscaled, Value, canonical_f32, canonical_f64, compare_f64,
};
