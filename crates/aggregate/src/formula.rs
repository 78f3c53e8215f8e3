//! Expressions over the columns of a block: the one place that meets the `expr` crate.

use std::borrow::Cow;
use std::ops::Range;

use evenkeel_expr::{Program, ReadTime};
use evenkeel_types::{Column, ColumnData, Expr, ExprKind, SLOT_PRESENT, Value};

/// Some slots of a block, ascending.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Slots {
    Range(Range<usize>),
    /// Block slots are far below `2^32`.
    List(Vec<u32>),
}

impl Slots {
    pub(crate) fn len(&self) -> usize {
        match self {
            Slots::Range(range) => range.len(),
            Slots::List(list) => list.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `i`-th of them.
    pub(crate) fn get(&self, i: usize) -> usize {
        match self {
            Slots::Range(range) => range.start + i,
            Slots::List(list) => list[i] as usize,
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    fn indices(&self) -> Cow<'_, [u32]> {
        match self {
            Slots::Range(range) => Cow::Owned((range.start as u32..range.end as u32).collect()),
            Slots::List(list) => Cow::Borrowed(list),
        }
    }
}

/// What a block's entries have in their columns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values<'a> {
    /// Column by column.
    Columns(&'a [Column]),
    /// Row by row, each of `width` values.
    Rows { values: &'a [Value], width: usize },
}

/// An expression, quick where it is a column.
#[derive(Clone, Debug)]
pub(crate) enum Formula {
    Column(usize),
    Computed(Program),
}

/// Calls never use `read_time()`, so any time will do.
const READ_TIME: ReadTime<'static> = ReadTime::Constant(0);

impl Formula {
    pub(crate) fn compile(expr: &Expr) -> Self {
        match expr.kind {
            ExprKind::Column(index) => Formula::Column(index),
            _ => Formula::Computed(Program::compile(expr)),
        }
    }

    /// The column itself, whose slots are the block's, or a computed column with one slot
    /// for each of `slots`.
    pub(crate) fn evaluate<'a>(&self, columns: &'a [Column], slots: &Slots) -> Evaluated<'a> {
        match self {
            Formula::Column(index) => Evaluated::InPlace(&columns[*index]),
            Formula::Computed(_) => Evaluated::Dense(self.dense(columns, slots)),
        }
    }

    /// A column with one slot for each of `slots`.
    pub(crate) fn dense(&self, columns: &[Column], slots: &Slots) -> Column {
        match self {
            Formula::Column(index) => columns[*index].gather(&slots.indices()),
            Formula::Computed(program) => {
                // Columns that the program does not read stay as they are.
                let mut inputs: Vec<Cow<'_, Column>> = columns.iter().map(Cow::Borrowed).collect();
                let whole = |column: &Column| *slots == Slots::Range(0..column.len());
                let indices = slots.indices();
                for &index in program.columns() {
                    if !whole(&columns[index]) {
                        inputs[index] = Cow::Owned(columns[index].gather(&indices));
                    }
                }
                let inputs: Vec<&Column> = inputs.iter().map(AsRef::as_ref).collect();
                program.eval_batch(&inputs, slots.len(), READ_TIME)
            }
        }
    }

    /// The value for one row.
    pub(crate) fn value(&self, row: &[Value]) -> Value {
        match self {
            Formula::Column(index) => row[*index].clone(),
            Formula::Computed(program) => program.eval_row(row, 0),
        }
    }

    /// Those slots for which the condition is true: neither NULL nor ERROR.
    pub(crate) fn filter(&self, values: Values<'_>, slots: Slots) -> Slots {
        let kept = match values {
            Values::Columns(columns) => match self.evaluate(columns, &slots) {
                Evaluated::InPlace(column) => keep(&slots, |_, slot| is_true(column, slot)),
                Evaluated::Dense(column) => keep(&slots, |i, _| is_true(&column, i)),
            },
            Values::Rows { values, width } => keep(&slots, |_, slot| {
                self.value(&values[slot * width..(slot + 1) * width]) == Value::Boolean(true)
            }),
        };
        if kept.len() == slots.len() {
            slots
        } else {
            Slots::List(kept)
        }
    }
}

/// What a formula gives over some slots.
pub(crate) enum Evaluated<'a> {
    InPlace(&'a Column),
    Dense(Column),
}

fn keep(slots: &Slots, wanted: impl Fn(usize, usize) -> bool) -> Vec<u32> {
    slots
        .iter()
        .enumerate()
        .filter(|&(i, slot)| wanted(i, slot))
        .map(|(_, slot)| slot as u32)
        .collect()
}

/// Whether a slot of a condition is true.
pub(crate) fn is_true(column: &Column, slot: usize) -> bool {
    match column.data() {
        ColumnData::Boolean(values) => values[slot] && column.state(slot) == SLOT_PRESENT,
        _ => false,
    }
}
