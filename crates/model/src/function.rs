//! A model as a function of expressions.
//!
//! Owns how values of SQL become elements and back. A number for an input of floats is a DOUBLE,
//! rounded to a float where the model takes such; NULL for one is NaN, which is what models know
//! as a missing value. For every other input NULL gives NULL. Invariant: rows are evaluated one by
//! one, so a batch has the bits of its rows.

use evenkeel_types::definition::Digest;
use evenkeel_types::{
    Column, ColumnData, ColumnFunction, DataType, Field, FunctionSignature, SLOT_NULL,
    SLOT_PRESENT, Value,
};

use crate::answer::{Choice, answer_words, choose, words};
use crate::call::Place;
use crate::error::ModelError;
use crate::graph::{Argument, Graph, Slots, compile};
use crate::limits::MODEL_BYTES_MAX;
use crate::proto;
use crate::tensor::{Data, Kind};

/// The version of what operators compute: counted up where any gives another value for any input,
/// and part of what a model's values depend on.
const EVALUATION: u32 = 1;

/// A model that was read, with one of its outputs as the answer.
pub struct Model {
    signature: FunctionSignature,
    graph: Graph,
    answer: Place,
    element: usize,
    description: Description,
}

/// What people want to know of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// What made it.
    pub producer: String,
    /// The inputs, in order.
    pub inputs: Vec<Field>,
    /// All outputs in words.
    pub outputs: Vec<String>,
    /// Which of them is the answer, in words.
    pub answer: String,
    /// Operators and how many nodes of each.
    pub operators: Vec<(String, usize)>,
}

impl Model {
    /// Reads a model that is called by a name.
    ///
    /// # Errors
    /// If the bytes are no model, it uses what is not supported, or the choice is none of its
    /// outputs.
    pub fn load(name: &str, bytes: &[u8], choice: &Choice) -> Result<Model, ModelError> {
        if bytes.len() > MODEL_BYTES_MAX {
            return Err(ModelError::TooManyBytes { bytes: bytes.len() });
        }
        let model = proto::model(bytes).map_err(|_| ModelError::Malformed)?;
        let graph = compile(&model)?;
        let (output, element) = choose(&graph.outputs, choice)?;
        let (output_name, known) = &graph.outputs[output];
        let (kind, answer) = (known.kind, known.place.clone());
        let parameters: Vec<Field> = graph
            .arguments
            .iter()
            .map(|argument| Field::new(argument.name.clone(), type_of_input(argument.kind)))
            .collect();
        let described = |(name, known): &(String, _)| words(name, known);
        let description = Description {
            producer: model.producer.to_owned(),
            inputs: parameters.clone(),
            outputs: graph.outputs.iter().map(described).collect(),
            answer: answer_words(output_name, known, element),
            operators: graph.operators.clone().into_iter().collect(),
        };
        Ok(Model {
            signature: FunctionSignature {
                name: name.to_owned(),
                digest: digest(bytes, output, element),
                parameters,
                result: type_of_output(kind),
            },
            graph: graph.only(output),
            answer,
            element,
            description,
        })
    }

    /// What people want to know of it.
    pub fn description(&self) -> &Description {
        &self.description
    }
}

/// The digest of everything that the values depend on.
fn digest(bytes: &[u8], output: usize, element: usize) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"evenkeel model");
    hasher.update(&EVALUATION.to_le_bytes());
    // Numbers of outputs and elements have far fewer than 64 bits.
    hasher.update(&(output as u64).to_le_bytes());
    hasher.update(&(element as u64).to_le_bytes());
    hasher.update(bytes);
    let mut digest = Digest::default();
    hasher.finalize_xof().fill(&mut digest);
    digest
}

fn type_of_input(kind: Kind) -> DataType {
    match kind {
        Kind::F32 | Kind::F64 => DataType::Double,
        Kind::I32 => DataType::Int,
        Kind::I64 => DataType::BigInt,
        Kind::Bool => DataType::Boolean,
        Kind::Text => DataType::String,
    }
}

fn type_of_output(kind: Kind) -> DataType {
    match kind {
        Kind::F32 => DataType::Float,
        other => type_of_input(other),
    }
}

/// Puts a present value in its slot.
fn put(slots: &mut Slots, argument: &Argument, value: &Value) {
    match (&mut slots[argument.slot], value) {
        (Data::F32(slot), Value::Double(x)) => slot[argument.element] = *x as f32,
        (Data::F64(slot), Value::Double(x)) => slot[argument.element] = *x,
        (Data::I32(slot), Value::Int(x)) => slot[argument.element] = *x,
        (Data::I64(slot), Value::BigInt(x)) => slot[argument.element] = *x,
        (Data::Bool(slot), Value::Boolean(x)) => slot[argument.element] = *x,
        (Data::Text(slot), Value::String(x)) => slot[argument.element] = x.clone(),
        (slot, value) => unreachable!("{value:?} for {:?}: arguments are typed", slot.kind()),
    }
}

/// Puts NaN in a slot, if that has one.
fn put_missing(slots: &mut Slots, argument: &Argument) -> bool {
    match &mut slots[argument.slot] {
        Data::F32(slot) => slot[argument.element] = f32::NAN,
        Data::F64(slot) => slot[argument.element] = f64::NAN,
        _ => return false,
    }
    true
}

impl Model {
    /// The answer of a row whose inputs are in their slots.
    fn answer(&self, slots: &mut Slots) -> Value {
        if let Err(reason) = self.graph.run(slots) {
            return Value::Error(reason);
        }
        let data = match &self.answer {
            Place::Constant(data) => data,
            Place::Slot(slot) => &slots[*slot],
        };
        match data {
            Data::F32(values) => Value::float(values[self.element]),
            Data::F64(values) => Value::double(values[self.element]),
            Data::I32(values) => Value::Int(values[self.element]),
            Data::I64(values) => Value::BigInt(values[self.element]),
            Data::Bool(values) => Value::Boolean(values[self.element]),
            Data::Text(values) => Value::String(values[self.element].clone()),
        }
    }

    /// Puts slot `row` of a column in the slots; whether there is a value to compute with.
    fn put_from(
        &self,
        slots: &mut Slots,
        argument: &Argument,
        column: &Column,
        row: usize,
    ) -> bool {
        match column.state(row) {
            SLOT_PRESENT => {}
            SLOT_NULL => return put_missing(slots, argument),
            // Rows with an ERROR are not asked for.
            _ => return false,
        }
        match (&mut slots[argument.slot], column.data()) {
            (Data::F32(slot), ColumnData::Double(x)) => slot[argument.element] = x[row] as f32,
            (Data::F64(slot), ColumnData::Double(x)) => slot[argument.element] = x[row],
            _ => put(slots, argument, &column.get(row)),
        }
        true
    }
}

impl ColumnFunction for Model {
    fn signature(&self) -> &FunctionSignature {
        &self.signature
    }

    fn evaluate(&self, arguments: &[Column], rows: usize) -> Column {
        let mut slots = self.graph.room();
        let mut answers = Column::new(&self.signature.result);
        answers.reserve(rows);
        for row in 0..rows {
            let mut is_there = true;
            for (argument, column) in self.graph.arguments.iter().zip(arguments) {
                is_there &= self.put_from(&mut slots, argument, column, row);
            }
            if is_there {
                answers.push(&self.answer(&mut slots));
            } else {
                answers.push_missing(SLOT_NULL);
            }
        }
        answers
    }

    fn evaluate_row(&self, arguments: &[&Value]) -> Value {
        let mut slots = self.graph.room();
        for (argument, value) in self.graph.arguments.iter().zip(arguments) {
            if value.is_null() {
                if !put_missing(&mut slots, argument) {
                    return Value::Null;
                }
            } else {
                put(&mut slots, argument, value);
            }
        }
        self.answer(&mut slots)
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("signature", &self.signature)
            .finish_non_exhaustive()
    }
}
