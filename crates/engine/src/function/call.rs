//! The values of a function for columns of arguments.
//!
//! Rows go to a process in pieces, the next one while the last is computed; how many rows a piece
//! has follows how long they take. A piece that fails is taken apart until the row is alone that
//! cannot be computed. Invariant: the value of a row, and whether there is one, does not depend on
//! the pieces.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel_expr::{ARRAY_ELEMENTS_MAX, STRING_BYTES_MAX};
use evenkeel_types::definition::FunctionSpec;
use evenkeel_types::{Column, ErrorReason, NO_SLOT, SLOT_NULL, SLOT_PRESENT, Value};

use super::failure::{FunctionFailure, FunctionFailureKind};
use super::program::Program;
use super::worker::{Outcome, Values, WorkerFailure};
use super::workers::{Lent, Workers};

/// What stands where an exception was raised.
pub(super) const NO_VALUE: Value = Value::Error(ErrorReason::Function);

/// Rows of a piece: at first, and at most.
pub(super) const PIECE_FIRST: usize = 64;
const PIECE_MAX: usize = 4096;
/// A piece is to take about so much of what a call may take.
const SHARE_OF_TIMEOUT: u64 = 8;
/// Pieces under way.
const PIECES_MAX: usize = 2;
/// Rows after which another one may have the process.
const TURN_ROWS: usize = 16 * PIECE_MAX;
/// Exceptions that are told of one evaluation.
const TOLD_MAX: usize = 16;

/// How rows are cut into pieces.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pieces<'a> {
    /// By how long they take; how many rows were good the last time.
    Fitting(&'a AtomicUsize),
    /// As large as they may be, whatever they take.
    Whole,
}

/// What came of an evaluation.
#[derive(Debug)]
pub(super) struct Answered {
    /// One slot per row.
    pub(super) column: Column,
    /// Rows whose call raised an exception.
    pub(super) errors: u64,
    /// What the first of them said.
    pub(super) told: Vec<String>,
}

/// The values of rows whose arguments are not ERROR.
pub(super) fn evaluate(
    workers: &Arc<Workers>,
    program: &Program,
    spec: &FunctionSpec,
    (arguments, rows): (&[Column], usize),
    pieces: Pieces<'_>,
) -> Result<Answered, FunctionFailure> {
    let is_null = |row: usize| arguments.iter().any(|a| a.state(row) == SLOT_NULL);
    let asked: Vec<u32> = (0..u32::MAX)
        .take(rows)
        .filter(|row| spec.takes_nulls || !is_null(*row as usize))
        .collect();
    let mut evaluation = Evaluation {
        spec,
        arguments,
        asked: &asked,
        waiting: VecDeque::new(),
        pieces,
        piece: match pieces {
            Pieces::Fitting(last) => last.load(Ordering::Relaxed).max(1),
            Pieces::Whole => PIECE_MAX,
        },
        // Placeholders, which are all replaced.
        column: Column::new(&spec.result),
        places: vec![NO_SLOT; rows],
        missing: Vec::new(),
        told: Vec::new(),
    };
    let mut from = 0;
    while from < asked.len() {
        let to = asked.len().min(from + TURN_ROWS);
        evaluation.turn(workers, program, from..to)?;
        from = to;
    }
    Ok(evaluation.finish())
}

struct Evaluation<'a> {
    spec: &'a FunctionSpec,
    arguments: &'a [Column],
    /// The rows that are asked for.
    asked: &'a [u32],
    /// Pieces that come before the rest of the turn, as ranges of `asked`.
    waiting: VecDeque<Range<usize>>,
    pieces: Pieces<'a>,
    piece: usize,
    /// Values in the order in which they came.
    column: Column,
    /// Where each row's value is in it.
    places: Vec<u32>,
    /// States of rows that have no value.
    missing: Vec<(u32, u8)>,
    /// What exceptions said.
    told: Vec<String>,
}

impl Evaluation<'_> {
    /// The rows of a turn, by one process as long as it does not fail.
    fn turn(
        &mut self,
        workers: &Arc<Workers>,
        program: &Program,
        rows: Range<usize>,
    ) -> Result<(), FunctionFailure> {
        let mut rest = rows;
        while !(rest.is_empty() && self.waiting.is_empty()) {
            let taken = workers.take(program);
            let mut worker = taken.map_err(|failure| self.failure(failure))?;
            let mut under_way = VecDeque::new();
            match self.pieces(&mut worker, &mut rest, &mut under_way) {
                Ok(()) => worker.bring_back(),
                Err(failure) => self.take_apart(failure, worker.is_fresh, under_way)?,
            }
        }
        Ok(())
    }

    /// Asks for all that is left, until it is there. What is under way when it fails stays there.
    fn pieces(
        &mut self,
        worker: &mut Lent,
        rest: &mut Range<usize>,
        under_way: &mut VecDeque<Range<usize>>,
    ) -> Result<(), WorkerFailure> {
        let number = worker.define(self.spec)?;
        loop {
            while under_way.len() < PIECES_MAX {
                let Some(piece) = self.next_piece(rest) else {
                    break;
                };
                let rows = &self.asked[piece.clone()];
                let arguments = self.arguments.iter().map(|a| a.gather(rows)).collect();
                under_way.push_back(piece);
                worker.ask(number, self.spec, arguments)?;
            }
            let Some(piece) = under_way.front().cloned() else {
                return Ok(());
            };
            let outcome = worker.answer(self.spec, piece.len())?;
            under_way.pop_front();
            // What it does from now on may be for what it did.
            worker.is_fresh = false;
            match outcome {
                Outcome::Values(values) => self.take_values(piece, values),
                Outcome::Raised(told) if piece.len() == 1 => {
                    self.missing
                        .push((self.asked[piece.start], ErrorReason::Function.code()));
                    self.tell(told);
                }
                Outcome::Raised(_) => self.halve(piece),
            }
        }
    }

    fn next_piece(&mut self, rest: &mut Range<usize>) -> Option<Range<usize>> {
        if let Some(piece) = self.waiting.pop_front() {
            return Some(piece);
        }
        if rest.start >= rest.end {
            return None;
        }
        let piece = rest.start..rest.end.min(rest.start + self.piece);
        rest.start = piece.end;
        Some(piece)
    }

    fn halve(&mut self, piece: Range<usize>) {
        let middle = piece.start + piece.len() / 2;
        self.waiting.push_front(middle..piece.end);
        self.waiting.push_front(piece.start..middle);
    }

    /// The process failed with these pieces under way: the first of them did it.
    fn take_apart(
        &mut self,
        failure: WorkerFailure,
        was_fresh: bool,
        mut under_way: VecDeque<Range<usize>>,
    ) -> Result<(), FunctionFailure> {
        let Some(first) = under_way.pop_front() else {
            // It failed before it was asked: one that is started now may not.
            return match was_fresh {
                true => Err(self.failure(failure)),
                false => Ok(()),
            };
        };
        for piece in under_way.into_iter().rev() {
            self.waiting.push_front(piece);
        }
        if first.len() > 1 {
            self.halve(first);
            return Ok(());
        }
        // What was done before in the process may be the cause; a hang is not tried again.
        let again = !was_fresh && failure.kind != FunctionFailureKind::Timeout;
        match again {
            true => self.waiting.push_front(first),
            false => return Err(self.failure(failure)),
        }
        Ok(())
    }

    fn failure(&self, failure: WorkerFailure) -> FunctionFailure {
        failure.of(&self.spec.name)
    }

    fn take_values(&mut self, piece: Range<usize>, values: Values) {
        let rows = &self.asked[piece];
        // Columns have at most as many slots as row numbers have.
        let first = u32::try_from(self.column.len()).unwrap_or(NO_SLOT);
        for (row, place) in rows.iter().zip(first..) {
            self.places[*row as usize] = place;
        }
        for row in &values.errors {
            self.missing
                .push((rows[*row], ErrorReason::Function.code()));
        }
        if let Some(longest) = too_long(&values.column) {
            let over = longest.map(|at| (rows[at], ErrorReason::Limit.code()));
            self.missing.extend(over);
        }
        for told in values.told {
            self.tell(told);
        }
        if let Pieces::Fitting(last) = self.pieces {
            self.fit(rows.len(), values.micros);
            last.store(self.piece, Ordering::Relaxed);
        }
        self.column.append(values.column);
    }

    /// How many rows the next piece has, by how long these took.
    fn fit(&mut self, rows: usize, micros: u64) {
        let most = self.spec.timeout_ms.saturating_mul(1000) / SHARE_OF_TIMEOUT;
        let fits = most.saturating_mul(rows as u64) / micros.max(1);
        let fits = usize::try_from(fits).unwrap_or(PIECE_MAX);
        self.piece = fits.clamp(1, PIECE_MAX.min(self.piece * 4));
    }

    fn tell(&mut self, told: String) {
        if self.told.len() < TOLD_MAX {
            self.told.push(told);
        }
    }

    fn finish(self) -> Answered {
        let (data, mut states) = self.column.gather_optional(&self.places).into_parts();
        let errors = self.missing.iter();
        let errors = errors.filter(|(_, state)| *state == ErrorReason::Function.code());
        let errors = errors.count() as u64;
        if !self.missing.is_empty() {
            states.resize(self.places.len(), SLOT_PRESENT);
        }
        for (row, state) in self.missing {
            states[row as usize] = state;
        }
        Answered {
            column: Column::from_parts(data, states),
            errors,
            told: self.told,
        }
    }
}

/// The slots whose value is longer than functions may make one.
fn too_long(column: &Column) -> Option<impl Iterator<Item = usize> + '_> {
    let is_long = |value: &Value| match value {
        Value::String(text) => text.len() > STRING_BYTES_MAX,
        Value::Bytes(bytes) => bytes.len() > STRING_BYTES_MAX,
        Value::Array(values) => values.len() > ARRAY_ELEMENTS_MAX,
        _ => false,
    };
    let has_length = matches!(
        column.data(),
        evenkeel_types::ColumnData::String(_)
            | evenkeel_types::ColumnData::Bytes(_)
            | evenkeel_types::ColumnData::Nested(_)
    );
    has_length.then(|| (0..column.len()).filter(move |at| is_long(&column.get(*at))))
}
