//! What an explanation states, and its words.
//!
//! Does not know how values are written: who prints brings that along.

use evenkeel_types::definition::WindowRows;
use evenkeel_types::time::format_timestamp;
use evenkeel_types::{DataType, Field, Frame, Interval, Position, Value};

/// One line of an explanation.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// How deep it stands: what a look-up found is one deeper than the look-up.
    pub depth: usize,
    /// What it states.
    pub fact: Fact,
}

/// What a [`Step`] states. Times are microseconds since the epoch.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// What is read, or that there is nothing: all of it is in the words.
    Words(String),
    /// What an aggregate gave.
    Aggregate {
        /// `sum(amount)`
        call: String,
        /// What it is over.
        rows: WindowRows,
        /// Its window.
        frame: Frame,
        /// The source's name.
        source: String,
        /// The result's type.
        data_type: DataType,
        /// The result.
        value: Value,
    },
    /// How many events the window of the aggregates before it holds, or how many rows live.
    Inside {
        /// Which of the two.
        rows: WindowRows,
        /// Inside the frame, passing WHERE.
        inside: usize,
        /// Of these, passing the aggregates' FILTER.
        counted: usize,
        /// Whether there is a FILTER.
        has_filter: bool,
    },
    /// An event that was counted, or that a look-up found.
    Event {
        /// When it happened.
        time: i64,
        /// The time that it was read for.
        read_at: i64,
        /// Its place in the log.
        position: Position,
        /// Those of its columns that views read.
        values: Vec<(Field, Value)>,
    },
    /// More events were counted than are listed.
    More {
        /// How many more.
        count: usize,
    },
    /// The row that a trigger brought.
    Row {
        /// `trigger: stream departures`
        what: String,
        /// Those of its columns that views read.
        values: Vec<(Field, Value)>,
    },
    /// A look-up.
    LookUp {
        /// `table planes`
        target: String,
        /// The key that was looked up.
        key: Vec<(Field, Value)>,
        /// As of when.
        at: i64,
        /// Whether only what is before that time matches.
        is_strict: bool,
        /// Whether there was a row; of a view, what follows says it.
        found: Option<bool>,
    },
}

impl Step {
    pub(super) fn words(depth: usize, words: String) -> Self {
        Step {
            depth,
            fact: Fact::Words(words),
        }
    }
}

impl Fact {
    /// The fact in words; `print` writes a value of a type.
    pub fn to_words(&self, print: &dyn Fn(&DataType, &Value) -> String) -> String {
        let named = |values: &[(Field, Value)]| {
            let named = values
                .iter()
                .map(|(field, value)| format!("{}={}", field.name, print(&field.data_type, value)));
            named.collect::<Vec<_>>().join(", ")
        };
        match self {
            Fact::Words(words) => words.clone(),
            Fact::Aggregate {
                call,
                rows,
                frame,
                source,
                data_type,
                value,
            } => {
                let value = print(data_type, value);
                match rows {
                    WindowRows::Events => {
                        format!("{call} of {source} = {value}, window: {frame}")
                    }
                    WindowRows::Live => format!("{call} of the live rows of {source} = {value}"),
                    WindowRows::Changes => {
                        format!("{call} of the changes of {source} = {value}, window: {frame}")
                    }
                }
            }
            Fact::Inside {
                rows,
                inside,
                counted,
                has_filter,
            } => {
                let events = match (rows, inside) {
                    (WindowRows::Events, 0) => return "no events are inside the window".to_owned(),
                    (WindowRows::Events, 1) => "1 event is inside the window".to_owned(),
                    (WindowRows::Events, n) => format!("{n} events are inside the window"),
                    (WindowRows::Changes, 0) => {
                        return "no changes are inside the window".to_owned();
                    }
                    (WindowRows::Changes, 1) => "1 change is inside the window".to_owned(),
                    (WindowRows::Changes, n) => format!("{n} changes are inside the window"),
                    (WindowRows::Live, 0) => return "no live row counts".to_owned(),
                    (WindowRows::Live, 1) => "1 live row counts".to_owned(),
                    (WindowRows::Live, n) => format!("{n} live rows count"),
                };
                match (has_filter, counted) {
                    (false, 1) => format!("{events}:"),
                    (false, _) => format!("{events}, newest first:"),
                    (true, 0) => format!("{events}, none passes the FILTER"),
                    (true, 1) => format!("{events}, 1 passes the FILTER:"),
                    (true, n) => format!("{events}, {n} pass the FILTER, newest first:"),
                }
            }
            Fact::Event {
                time,
                read_at,
                position,
                values,
            } => {
                let age = match read_at.saturating_sub(*time) {
                    0 => "at that time".to_owned(),
                    age => format!("{} before", Interval::from_micros(age)),
                };
                let place = format!("{} ({age}), position {position}", format_timestamp(*time));
                match values.as_slice() {
                    [] => place,
                    values => format!("{place}: {}", named(values)),
                }
            }
            Fact::More { count } => format!("… and {count} more"),
            Fact::Row { what, values } => match values.as_slice() {
                [] => what.clone(),
                values => format!("{what}: {}", named(values)),
            },
            Fact::LookUp {
                target,
                key,
                at,
                is_strict,
                found,
            } => {
                let sign = if *is_strict { "before" } else { "up to" };
                let outcome = match found {
                    Some(true) => ": found",
                    Some(false) => ": nothing",
                    None => "",
                };
                format!(
                    "look-up of {target} by {} {sign} {}{outcome}",
                    named(key),
                    format_timestamp(*at)
                )
            }
        }
    }
}
