//! The batch loop: a program over columns.
//!
//! AND, OR, CASE and COALESCE evaluate each part on the rows that still need it (a
//! selection of row numbers), so a batch computes exactly what its rows would one by one.
//! Results are dense: one slot per selected row. Parts whose rows are all needed run on the
//! columns as they are.

use std::borrow::Cow;

use evenkeel_types::{Column, DataType, SLOT_NULL, SLOT_PRESENT, Value};

use crate::external;
use crate::kernel::{Operand, Slot, Timestamp, state_of, with_slot};
use crate::program::{Node, Program};

/// The read times of a batch, in microseconds since the epoch, UTC.
#[derive(Clone, Copy, Debug)]
pub enum ReadTime<'a> {
    /// One for all rows.
    Constant(i64),
    /// One for each row.
    PerRow(&'a [i64]),
}

impl Program {
    /// The values of `length` rows; `columns` are indexed as the expression's columns are.
    ///
    /// # Panics
    /// If a column that the expression reads is not there, has another type or another
    /// length, or there are not `length` read times.
    pub fn eval_batch(
        &self,
        columns: &[&Column],
        length: usize,
        read_time: ReadTime<'_>,
    ) -> Column {
        for &index in self.columns() {
            assert_eq!(columns[index].len(), length, "one slot per row");
        }
        if let ReadTime::PerRow(times) = read_time {
            assert_eq!(times.len(), length, "one read time per row");
        }
        assert!(u32::try_from(length).is_ok(), "row numbers have 32 bits");
        let batch = Batch { columns, read_time };
        match self.root.batch(&batch, Rows::All(length)) {
            Operand::Column(column) => column.into_owned(),
            Operand::Constant(value) => {
                with_slot!(self.data_type(), S => repeat::<S>(&value, length))
            }
        }
    }
}

/// `length` slots of one value.
fn repeat<S: Slot>(value: &Value, length: usize) -> Column {
    let (stored, states) = match state_of(value) {
        SLOT_PRESENT => (S::to_stored(S::of_value(value)), Vec::new()),
        state => (S::placeholder(), vec![state; length]),
    };
    Column::from_parts(S::data(vec![stored; length]), states)
}

struct Batch<'a> {
    columns: &'a [&'a Column],
    read_time: ReadTime<'a>,
}

/// The rows to evaluate.
#[derive(Clone, Copy)]
enum Rows<'r> {
    All(usize),
    Some(&'r [u32]),
}

impl Rows<'_> {
    fn len(self) -> usize {
        match self {
            Rows::All(length) => length,
            Rows::Some(rows) => rows.len(),
        }
    }
}

/// The rows of a step that are still to be decided.
struct Open<'r> {
    all: Rows<'r>,
    /// The positions among `all`; none while all of them are open.
    positions: Option<Vec<u32>>,
    /// The row numbers at those positions.
    rows: Vec<u32>,
}

impl<'r> Open<'r> {
    fn new(all: Rows<'r>) -> Self {
        Open {
            all,
            positions: None,
            rows: Vec::new(),
        }
    }

    fn rows(&self) -> Rows<'_> {
        match self.positions {
            None => self.all,
            Some(_) => Rows::Some(&self.rows),
        }
    }

    fn len(&self) -> usize {
        self.rows().len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position among all rows of the `i`th open one.
    #[inline]
    fn position(&self, i: usize) -> usize {
        match &self.positions {
            None => i,
            Some(positions) => positions[i] as usize,
        }
    }

    /// The open rows whose numbers among the open ones are in `chosen`.
    fn choose(&self, chosen: &[u32]) -> Open<'r> {
        if chosen.len() == self.len() {
            return Open {
                all: self.all,
                positions: self.positions.clone(),
                rows: self.rows.clone(),
            };
        }
        let take = |from: &[u32]| chosen.iter().map(|&i| from[i as usize]).collect();
        Open {
            all: self.all,
            positions: Some(match &self.positions {
                None => chosen.to_vec(),
                Some(positions) => take(positions),
            }),
            rows: match self.rows() {
                Rows::All(_) => chosen.to_vec(),
                Rows::Some(rows) => take(rows),
            },
        }
    }
}

impl Node {
    fn batch<'a>(&'a self, batch: &Batch<'a>, rows: Rows<'_>) -> Operand<'a> {
        match self {
            Node::Column(index) => Operand::Column(match rows {
                Rows::All(_) => Cow::Borrowed(batch.columns[*index]),
                Rows::Some(rows) => Cow::Owned(batch.columns[*index].gather(rows)),
            }),
            Node::Constant(value) => Operand::Constant(Cow::Borrowed(value)),
            Node::ReadTime => read_time(batch, rows),
            Node::Call { kernel, args } => {
                let args: Vec<Operand<'_>> = args.iter().map(|a| a.batch(batch, rows)).collect();
                let constants: Option<Vec<&Value>> = args
                    .iter()
                    .map(|arg| match arg {
                        Operand::Constant(value) => Some(value.as_ref()),
                        Operand::Column(_) => None,
                    })
                    .collect();
                match constants {
                    Some(values) => Operand::Constant(Cow::Owned(kernel.row(&values))),
                    None => Operand::Column(Cow::Owned(kernel.batch(&args, rows.len()))),
                }
            }
            Node::External { function, args } => {
                let args: Vec<Operand<'_>> = args.iter().map(|a| a.batch(batch, rows)).collect();
                let column = external::batch(function, args, rows.len());
                Operand::Column(Cow::Owned(column))
            }
            Node::Connective { stop, args } => connective(*stop, args, batch, rows),
            Node::Case {
                branches,
                otherwise,
                data_type,
            } => case(branches, otherwise.as_deref(), data_type, batch, rows),
            Node::Coalesce { args, data_type } => coalesce(args, data_type, batch, rows),
        }
    }
}

fn read_time<'a>(batch: &Batch<'a>, rows: Rows<'_>) -> Operand<'a> {
    let times = match (batch.read_time, rows) {
        (ReadTime::Constant(t), _) => {
            return Operand::Constant(Cow::Owned(Value::Timestamp(t)));
        }
        (ReadTime::PerRow(times), Rows::All(_)) => times.to_vec(),
        (ReadTime::PerRow(times), Rows::Some(rows)) => {
            rows.iter().map(|&i| times[i as usize]).collect()
        }
    };
    Operand::Column(Cow::Owned(Column::from_parts(
        Timestamp::data(times),
        Vec::new(),
    )))
}

/// The truth of each row of a condition.
enum Truth<'a> {
    Constant(u8, bool),
    Column(&'a [bool], &'a [u8]),
}

impl<'a> Truth<'a> {
    fn of(operand: &'a Operand<'_>) -> Self {
        match operand {
            Operand::Constant(value) => Truth::Constant(
                state_of(value),
                matches!(value.as_ref(), Value::Boolean(true)),
            ),
            Operand::Column(column) => Truth::Column(
                crate::kernel::Boolean::slice(column.data()),
                column.states(),
            ),
        }
    }

    /// The state of row `i`, and whether it is true.
    #[inline(always)]
    fn get(&self, i: usize) -> (u8, bool) {
        match self {
            Truth::Constant(state, value) => (*state, *value),
            Truth::Column(values, []) => (SLOT_PRESENT, values[i]),
            Truth::Column(values, states) => (states[i], values[i]),
        }
    }
}

/// AND and OR.
fn connective<'a>(stop: bool, args: &'a [Node], batch: &Batch<'a>, rows: Rows<'_>) -> Operand<'a> {
    let length = rows.len();
    let mut values = vec![!stop; length];
    let mut states = vec![SLOT_PRESENT; length];
    let mut open = Open::new(rows);
    for arg in args {
        if open.is_empty() {
            break;
        }
        let operand = arg.batch(batch, open.rows());
        let truth = Truth::of(&operand);
        let count = open.len();
        let mut kept = vec![0u32; count];
        let mut keeping = 0;
        for i in 0..count {
            let (state, value) = truth.get(i);
            let position = open.position(i);
            let keep = match state {
                SLOT_PRESENT if value == stop => {
                    values[position] = stop;
                    states[position] = SLOT_PRESENT;
                    false
                }
                SLOT_PRESENT => true,
                state => {
                    states[position] = state;
                    state == SLOT_NULL
                }
            };
            kept[keeping] = i as u32;
            keeping += usize::from(keep);
        }
        if keeping < count {
            kept.truncate(keeping);
            open = open.choose(&kept);
        }
    }
    if states.iter().all(|s| *s == SLOT_PRESENT) {
        states = Vec::new();
    }
    Operand::Column(Cow::Owned(Column::from_parts(
        crate::kernel::Boolean::data(values),
        states,
    )))
}

fn case<'a>(
    branches: &'a [(Node, Node)],
    otherwise: Option<&'a Node>,
    data_type: &DataType,
    batch: &Batch<'a>,
    rows: Rows<'_>,
) -> Operand<'a> {
    with_slot!(data_type, S => case_of::<S>(branches, otherwise, batch, rows))
}

fn case_of<'a, S: Slot>(
    branches: &'a [(Node, Node)],
    otherwise: Option<&'a Node>,
    batch: &Batch<'a>,
    rows: Rows<'_>,
) -> Operand<'a> {
    let mut merged = Merged::<S>::new(rows.len());
    let mut open = Open::new(rows);
    for (condition, result) in branches {
        if open.is_empty() {
            break;
        }
        let operand = condition.batch(batch, open.rows());
        let truth = Truth::of(&operand);
        let (mut chosen, mut kept) = (Vec::new(), Vec::new());
        for i in 0..open.len() {
            match truth.get(i) {
                (SLOT_PRESENT, true) => chosen.push(i as u32),
                (SLOT_PRESENT | SLOT_NULL, _) => kept.push(i as u32),
                (error, _) => merged.states[open.position(i)] = error,
            }
        }
        if !chosen.is_empty() {
            let chosen = open.choose(&chosen);
            merged.take(&chosen, &result.batch(batch, chosen.rows()));
        }
        if kept.len() < open.len() {
            open = open.choose(&kept);
        }
    }
    if let Some(otherwise) = otherwise
        && !open.is_empty()
    {
        merged.take(&open, &otherwise.batch(batch, open.rows()));
    }
    merged.finish()
}

fn coalesce<'a>(
    args: &'a [Node],
    data_type: &DataType,
    batch: &Batch<'a>,
    rows: Rows<'_>,
) -> Operand<'a> {
    with_slot!(data_type, S => coalesce_of::<S>(args, batch, rows))
}

fn coalesce_of<'a, S: Slot>(args: &'a [Node], batch: &Batch<'a>, rows: Rows<'_>) -> Operand<'a> {
    let mut merged = Merged::<S>::new(rows.len());
    let mut open = Open::new(rows);
    for arg in args {
        if open.is_empty() {
            break;
        }
        let operand = arg.batch(batch, open.rows());
        merged.take(&open, &operand);
        let kept: Vec<u32> = (0..open.len())
            .filter(|&i| operand.state(i) == SLOT_NULL)
            .map(|i| i as u32)
            .collect();
        if kept.len() < open.len() {
            open = open.choose(&kept);
        }
    }
    merged.finish()
}

/// A result put together from parts; NULL where none was taken.
struct Merged<S: Slot> {
    values: Vec<S::Stored>,
    states: Vec<u8>,
}

impl<S: Slot> Merged<S> {
    fn new(length: usize) -> Self {
        Merged {
            values: vec![S::placeholder(); length],
            states: vec![SLOT_NULL; length],
        }
    }

    /// Takes one part's values, one for each open row.
    fn take(&mut self, open: &Open<'_>, part: &Operand<'_>) {
        match part {
            Operand::Constant(value) => {
                let state = state_of(value);
                let stored = (state == SLOT_PRESENT).then(|| S::to_stored(S::of_value(value)));
                for i in 0..open.len() {
                    let position = open.position(i);
                    self.states[position] = state;
                    if let Some(stored) = &stored {
                        self.values[position] = stored.clone();
                    }
                }
            }
            Operand::Column(column) => {
                let values = S::slice(column.data());
                let states = column.states();
                for (i, value) in values.iter().enumerate() {
                    let position = open.position(i);
                    self.states[position] = states.get(i).copied().unwrap_or(SLOT_PRESENT);
                    self.values[position] = value.clone();
                }
            }
        }
    }

    fn finish<'a>(mut self) -> Operand<'a> {
        if self.states.iter().all(|s| *s == SLOT_PRESENT) {
            self.states = Vec::new();
        }
        Operand::Column(Cow::Owned(Column::from_parts(
            S::data(self.values),
            self.states,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{self, call};
    use evenkeel_types::Expr;

    #[test]
    fn and_guards_every_batch_shape() {
        let a = || Expr::column(0, DataType::BigInt);
        let guarded = build::and(vec![
            call("<>", vec![a(), build::integer(0)]).unwrap(),
            call(
                ">",
                vec![
                    call("//", vec![build::integer(10), a()]).unwrap(),
                    build::integer(1),
                ],
            )
            .unwrap(),
        ])
        .unwrap();
        let program = Program::compile(&guarded);
        for values in [vec![0i64], vec![0, 3, 0, 20], vec![0; 10], vec![1; 3]] {
            let values: Vec<Value> = values.into_iter().map(Value::from).collect();
            let column = Column::from_values(&DataType::BigInt, &values);
            let batch = program.eval_batch(&[&column], values.len(), ReadTime::Constant(0));
            let rows: Vec<Value> = values
                .iter()
                .map(|v| program.eval_row(std::slice::from_ref(v), 0))
                .collect();
            assert_eq!(batch.iter().collect::<Vec<_>>(), rows);
            assert!(rows.iter().all(|v| v.error().is_none()));
        }
    }
}
