//! Events that callers push, and dead letters that are driven again.
//!
//! A commit has three steps, so that whoever serves reads beside it holds no lock while the
//! disk is written: [`Pusher::judge`] with the engine to read, in pieces, [`Judged::append`]
//! with the log alone, [`Engine::apply_some`] with the engine to write, in pieces. There must be one
//! pusher at a time, and nothing else may write between its steps. The dead letters of
//! conflicts follow in a commit of their own ([`Engine::conflict_letters`]); a process that
//! dies before it is made up for when the store is opened.
//!
//! Identity is that of any event: the event id where the source declares one, else the
//! producer's id and sequence, else its position in the log; only the last makes a repeated
//! push a second event.
//!
//! A request is logged whole, or nothing of it is: one that cannot be judged to its end takes
//! nothing with it into the commit.

mod commit;
mod letters;
mod pusher;

use std::sync::Arc;

use evenkeel_connect::FileRows;
pub use evenkeel_connect::{FileRow, Undecoded};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Cut, Origin, Position, Value};

use crate::api::IngestReport;
use crate::correction::Correction;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::pushed::RowChange;
use crate::recorder::{Considered, Recorder};
use crate::session_token::SessionToken;

pub(crate) use self::commit::Earlier;
pub use self::commit::{Durable, Judged, append};
pub use self::pusher::Pusher;
use self::pusher::pushed;

/// One row that is pushed.
#[derive(Clone, Debug)]
pub struct PushedRow {
    /// The values of the source's stored columns, in their order; or why there are none.
    pub values: Result<Vec<Value>, Undecoded>,
    /// The producer and its sequence number, if it counts.
    pub producer: Option<(Arc<str>, u64)>,
}

/// A row that is answered.
#[derive(Clone, Debug)]
pub struct TriggerRow {
    /// The row.
    pub row: PushedRow,
    /// What the caller calls it: what is emitted for it says so.
    pub correlation_id: Option<String>,
}

/// Characters of a correlation id.
const CORRELATION_CHARS_MAX: usize = 256;

/// What a caller calls a row, if it can be called so.
///
/// # Errors
/// If it is empty or too long, or has a control character, as a sentence.
pub fn checked_correlation_id(id: &str) -> Result<String, String> {
    match id.chars().count() {
        0 => Err("`correlation_id` is empty: leave it out".to_owned()),
        1..=CORRELATION_CHARS_MAX if id.contains(char::is_control) => {
            Err("`correlation_id` has a control character".to_owned())
        }
        1..=CORRELATION_CHARS_MAX => Ok(id.to_owned()),
        _ => Err(format!(
            "`correlation_id` has more than {CORRELATION_CHARS_MAX} characters"
        )),
    }
}

impl From<PushedRow> for TriggerRow {
    fn from(row: PushedRow) -> Self {
        TriggerRow {
            row,
            correlation_id: None,
        }
    }
}

/// A request to write.
#[derive(Clone, Debug)]
pub enum Write {
    /// Rows for a source.
    Push {
        /// The source.
        source: Arc<SourceDef>,
        /// The rows.
        rows: Vec<PushedRow>,
    },
    /// A row that is answered at its own place in the log: [`Written::Triggered`].
    Trigger {
        /// The source.
        source: Arc<SourceDef>,
        /// The row.
        row: TriggerRow,
    },
    /// Rows of files for a source.
    Files {
        /// The source.
        source: Arc<SourceDef>,
        /// The rows.
        rows: Vec<FileRow>,
    },
    /// Versions of events that put a source right.
    Corrections {
        /// The source.
        source: Arc<SourceDef>,
        /// The versions.
        corrections: Vec<Correction>,
    },
    /// Rows for a source of which everything but the timeline was considered.
    Considered {
        /// The source.
        source: Arc<SourceDef>,
        /// The rows.
        rows: ConsideredRows,
    },
    /// A change of a row of a pushed view. It is made of the row as it is applied: nothing else
    /// for its table is in the commit.
    Change(Box<RowChange>),
    /// Dead letters to judge again; `None`: all open ones.
    Redrive {
        /// The source.
        source: Arc<SourceDef>,
        /// Their numbers.
        ids: Option<Vec<u64>>,
    },
}

/// So many rows of a push are considered before it waits for its turn: whoever writes has that much less
/// to do. For fewer it is not worth compiling the source's rules again.
const CONSIDERED_ROWS: usize = 256;

impl Write {
    /// A push of rows that have at most so many bytes each.
    ///
    /// # Errors
    /// If the source takes no rows.
    pub fn of_pushed(
        source: Arc<SourceDef>,
        row_bytes: usize,
        rows: Vec<PushedRow>,
    ) -> Result<Self, EngineError> {
        if rows.len() < CONSIDERED_ROWS {
            return Ok(Write::Push { source, rows });
        }
        let recorder = Recorder::new(Arc::clone(&source), row_bytes)?;
        let rows = ConsideredRows::of_pushed(&recorder, rows.into_iter());
        Ok(Write::Considered { source, rows })
    }

    /// The source that it is for.
    pub fn source(&self) -> &Arc<SourceDef> {
        match self {
            Write::Push { source, .. }
            | Write::Trigger { source, .. }
            | Write::Files { source, .. }
            | Write::Corrections { source, .. }
            | Write::Considered { source, .. }
            | Write::Redrive { source, .. } => source,
            Write::Change(change) => change.table(),
        }
    }
}

/// Rows, and what becomes of each but for the timeline.
#[derive(Clone, Debug)]
pub struct ConsideredRows(Vec<(Origin, Result<Considered, Undecoded>)>);

impl ConsideredRows {
    pub(crate) fn of(recorder: &Recorder, rows: FileRows) -> Self {
        let considered = rows.in_order().map(|row| {
            let origin = Origin::File {
                digest: row.file,
                row: row.number,
            };
            let values = row.values;
            (
                origin.clone(),
                values.map(|values| recorder.consider(values, origin)),
            )
        });
        ConsideredRows(considered.collect())
    }

    pub(crate) fn of_pushed(recorder: &Recorder, rows: impl Iterator<Item = PushedRow>) -> Self {
        let considered = rows.map(|row| {
            let (origin, values) = pushed(row);
            let considered = values.map(|values| recorder.consider(values, origin.clone()));
            (origin, considered)
        });
        ConsideredRows(considered.collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The first of them, at most so many.
    pub fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where they came from.
    pub(crate) fn origins(&self) -> Vec<Origin> {
        self.0.iter().map(|(origin, _)| origin.clone()).collect()
    }
}

/// What became of one pushed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowAnswer {
    /// It is logged here.
    Logged(Position),
    /// It is logged here; another event has its identity and another payload: the smaller
    /// one holds, the other is a dead letter.
    Conflict(Position),
    /// It was logged before.
    Duplicate,
    /// The source's `WHERE` left it out.
    LeftOut,
    /// It is no event of this source, but a dead letter.
    Rejected {
        /// The reason as a word.
        code: &'static str,
        /// The reason.
        reason: String,
    },
}

impl RowAnswer {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            RowAnswer::Logged(_) => "logged",
            RowAnswer::Conflict(_) => "conflict",
            RowAnswer::Duplicate => "duplicate",
            RowAnswer::LeftOut => "left_out",
            RowAnswer::Rejected { .. } => "rejected",
        }
    }
}

/// What became of a push.
#[derive(Clone, Debug)]
pub struct PushAnswer {
    /// One per row, in order.
    pub rows: Vec<RowAnswer>,
    /// With it, a read sees what was pushed, also what was a duplicate.
    pub session: SessionToken,
}

/// What became of a trigger.
#[derive(Clone, Debug)]
pub struct Triggered {
    /// What became of its one row.
    pub push: PushAnswer,
    /// Where the event is, also if it was logged before; none if it is no event.
    pub at: Option<Position>,
    /// Everything that was logged up to the event, and the event; and its record. None if it was logged
    /// before: then the log says it ([`crate::Trigger::find`]).
    pub known: Option<(Cut, u64)>,
}

/// What became of a request to write.
#[derive(Clone, Debug)]
pub enum Written {
    /// A push, or rows of files.
    Pushed(PushAnswer),
    /// A trigger.
    Triggered(Triggered),
    /// Dead letters.
    Redriven(IngestReport),
}

impl Engine {
    /// Writes, with all steps at once.
    ///
    /// # Errors
    /// Of the log or of the request: nothing of it is logged, but for
    /// [`evenkeel_log::LogError::NotDurable`]. [`EngineError::NotApplied`]: all of it is.
    pub fn write(&mut self, pusher: &mut Pusher, write: Write) -> Result<Written, EngineError> {
        let written = self.write_beside_checkpoint(pusher, write, true);
        // What is written is durable and seen, whatever becomes of a checkpoint: if it fails,
        // the next write finds the hot tier closed.
        let _ = self.checkpoint_if_due();
        written
    }

    /// [`Engine::write`] for who writes checkpoints beside this; who does not let it emit does so later.
    pub(crate) fn write_beside_checkpoint(
        &mut self,
        pusher: &mut Pusher,
        write: Write,
        emits: bool,
    ) -> Result<Written, EngineError> {
        let log = self.writer()?;
        self.heal()?;
        if self.is_untold() {
            // Tried again at the next write, and before a checkpoint.
            let _ = self.tell();
        }
        let judged = pusher.judge(self, vec![write]);
        let mut commit = judged.append(&log).inspect_err(|_| {
            // What it remembers of dead letters was not logged.
            *pusher = Pusher::default();
        })?;
        let applied = loop {
            match self.apply_some(&mut commit, usize::MAX) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let mut answers = match applied {
            Ok(()) => {
                // What is durable and seen is acknowledged. Letters that cannot be logged now
                // are before the next checkpoint, or when the store is opened.
                let letters = self.conflict_letters(&commit);
                if letters.is_ok_and(|letters| append(&log, &letters).is_ok()) {
                    self.told(&commit);
                }
                commit.answers()
            }
            Err(error) => commit.unapplied(&error),
        };
        if emits {
            self.emit();
        }
        answers.pop().expect("one request has one answer")
    }
}
