//! A node while it is compiled: what is known of its inputs, its attributes, and what it becomes.

use std::sync::Arc;

use evenkeel_types::ErrorReason;

use crate::proto::{Attribute, Node};
use crate::tensor::{Data, Element, Kind, Tensor, constant, elements, texts};

/// The classes that the last dimension of a value is of, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Classes {
    Numbers(Vec<i64>),
    Texts(Vec<Arc<str>>),
}

impl Classes {
    pub(crate) fn len(&self) -> usize {
        match self {
            Classes::Numbers(numbers) => numbers.len(),
            Classes::Texts(texts) => texts.len(),
        }
    }

    /// Each as it is written.
    pub(crate) fn words(&self) -> Vec<String> {
        match self {
            Classes::Numbers(numbers) => numbers.iter().map(i64::to_string).collect(),
            Classes::Texts(texts) => texts.iter().map(|text| text.to_string()).collect(),
        }
    }
}

/// Where the elements of a value are.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Constant(Arc<Data>),
    Slot(usize),
}

/// A value of the graph, for a batch of one row.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<usize>,
    pub(crate) classes: Option<Arc<Classes>>,
    pub(crate) place: Place,
}

impl Known {
    pub(crate) fn constant(shape: Vec<usize>, data: Data) -> Self {
        Known {
            kind: data.kind(),
            shape,
            classes: None,
            place: Place::Constant(Arc::new(data)),
        }
    }

    /// How many elements; shapes of values are checked when they are made.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(crate) fn is_float(&self) -> bool {
        matches!(self.kind, Kind::F32 | Kind::F64)
    }

    /// The same elements in another shape.
    pub(crate) fn reshaped(&self, shape: Vec<usize>) -> Known {
        Known {
            shape,
            classes: None,
            ..self.clone()
        }
    }

    /// The elements, if they are the same for every row.
    pub(crate) fn elements<T: Element>(&self) -> Option<&[T]> {
        match &self.place {
            Place::Constant(data) if data.kind() == T::KIND => Some(T::of(data)),
            _ => None,
        }
    }
}

/// The inputs of a step.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'a> {
    pub(crate) places: &'a [Place],
    pub(crate) slots: &'a [Data],
}

impl<'a> Inputs<'a> {
    /// The elements of an input that is there, counted among those.
    pub(crate) fn get<T: Element>(&self, index: usize) -> &'a [T] {
        T::of(self.data(index))
    }

    pub(crate) fn data(&self, index: usize) -> &'a Data {
        match &self.places[index] {
            Place::Constant(data) => data,
            Place::Slot(slot) => &self.slots[*slot],
        }
    }
}

/// Computes outputs from inputs; an error is the value of the row.
pub(crate) type Run = Box<dyn Fn(Inputs<'_>, &mut [Data]) -> Result<(), ErrorReason> + Send + Sync>;

/// A value that a step computes.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) kind: Kind,
    pub(crate) shape: Vec<usize>,
    pub(crate) classes: Option<Arc<Classes>>,
}

impl Made {
    pub(crate) fn new(kind: Kind, shape: Vec<usize>) -> Self {
        Made {
            kind,
            shape,
            classes: None,
        }
    }

    pub(crate) fn of(kind: Kind, shape: Vec<usize>, classes: Option<Arc<Classes>>) -> Self {
        Made {
            kind,
            shape,
            classes,
        }
    }

    /// The value, at its place.
    pub(crate) fn at(self, place: Place) -> Known {
        Known {
            kind: self.kind,
            shape: self.shape,
            classes: self.classes,
            place,
        }
    }
}

/// What a node becomes.
pub(crate) enum Built {
    /// Its outputs are values that are there already, or constants.
    Known(Vec<Known>),
    /// They are computed for each row.
    Step {
        outputs: Vec<Made>,
        run: Run,
        /// Operations, about.
        work: usize,
    },
}

impl Built {
    /// A step with one output, about as much work as that has elements.
    pub(crate) fn step(output: Made, run: Run) -> Self {
        let work = output.shape.iter().product();
        Built::Step {
            outputs: vec![output],
            run,
            work,
        }
    }
}

/// Why a node cannot be evaluated, in words behind its name.
pub(crate) type Refusal = String;

/// See the module.
pub(crate) struct Call<'a> {
    pub(crate) node: &'a Node<'a>,
    pub(crate) inputs: Vec<Option<Known>>,
    /// The version of the operator's set.
    pub(crate) version: i64,
}

impl Call<'_> {
    /// An input that must be there.
    pub(crate) fn input(&self, index: usize) -> Result<&Known, Refusal> {
        let input = self.inputs.get(index).and_then(Option::as_ref);
        input.ok_or_else(|| format!("lacks its input {}", index + 1))
    }

    /// An input that may be left out.
    pub(crate) fn optional(&self, index: usize) -> Option<&Known> {
        self.inputs.get(index).and_then(Option::as_ref)
    }

    /// Refuses more inputs than the operator has; others would be taken for something else.
    pub(crate) fn at_most(&self, inputs: usize) -> Result<(), Refusal> {
        if self.inputs.len() > inputs {
            return Err(format!("has {} inputs", self.inputs.len()));
        }
        Ok(())
    }

    /// An input of integers that are the same for every row.
    pub(crate) fn constant_ints(&self, index: usize) -> Result<Option<Vec<i64>>, Refusal> {
        let Some(input) = self.optional(index) else {
            return Ok(None);
        };
        if let Some(ints) = input.elements::<i64>() {
            return Ok(Some(ints.to_vec()));
        }
        if let Some(ints) = input.elements::<i32>() {
            return Ok(Some(ints.iter().map(|x| i64::from(*x)).collect()));
        }
        Err(format!(
            "has an input {} that is not the same for every row",
            index + 1
        ))
    }

    fn attribute(&self, name: &str) -> Option<&Attribute<'_>> {
        let mut attributes = self.node.attributes.iter();
        attributes.find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Int(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong(name)),
        }
    }

    /// An integer that is a truth value.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        Ok(self.int(name)?.unwrap_or(0) != 0)
    }

    pub(crate) fn float(&self, name: &str) -> Result<Option<f32>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Float(value)) => Ok(Some(*value)),
            Some(_) => Err(wrong(name)),
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Text(bytes)) => std::str::from_utf8(bytes)
                .map(Some)
                .map_err(|_| wrong(name)),
            Some(_) => Err(wrong(name)),
        }
    }

    pub(crate) fn ints(&self, name: &str) -> Result<Option<&[i64]>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Ints(values)) => Ok(Some(values)),
            Some(_) => Err(wrong(name)),
        }
    }

    pub(crate) fn floats(&self, name: &str) -> Result<Option<&[f32]>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Floats(values)) => Ok(Some(values)),
            Some(_) => Err(wrong(name)),
        }
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<Arc<str>>>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Texts(values)) => texts(values).map(Some).map_err(str::to_owned),
            Some(_) => Err(wrong(name)),
        }
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<Option<Tensor>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Tensor(tensor)) => {
                let constant = constant(tensor).map_err(|e| format!("has `{name}`: {e}"))?;
                Ok(Some(constant))
            }
            Some(_) => Err(wrong(name)),
        }
    }

    /// Numbers that are floats in one attribute, or doubles in a tensor of a second one.
    pub(crate) fn numbers(&self, floats: &str, tensor: &str) -> Result<Option<Vec<f64>>, Refusal> {
        if let Some(found) = self.tensor(tensor)? {
            return match found.data {
                Data::F64(values) => Ok(Some(values)),
                Data::F32(values) => Ok(Some(values.into_iter().map(f64::from).collect())),
                _ => Err(wrong(tensor)),
            };
        }
        let found = self.floats(floats)?;
        Ok(found.map(|values| values.iter().map(|x| f64::from(*x)).collect()))
    }

    /// An axis of a value, counted from the front.
    pub(crate) fn axis(&self, axis: i64, rank: usize) -> Result<usize, Refusal> {
        axis_of(axis, rank)
    }
}

/// An axis, which counts from the back where it is negative.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, Refusal> {
    // No rank comes near 2^63.
    let from_front = if axis < 0 {
        axis.checked_add(rank as i64)
    } else {
        Some(axis)
    };
    let index = from_front.and_then(|axis| usize::try_from(axis).ok());
    index
        .filter(|axis| *axis < rank)
        .ok_or_else(|| format!("has the axis {axis} of {rank} dimensions"))
}

fn wrong(attribute: &str) -> Refusal {
    format!("has an attribute `{attribute}` of another type than it should have")
}

/// Refuses a shape that is too large.
pub(crate) fn checked(shape: Vec<usize>) -> Result<Vec<usize>, Refusal> {
    match elements(&shape) {
        Some(_) => Ok(shape),
        None => Err(format!(
            "makes a value of the shape {shape:?}, which is too large"
        )),
    }
}

/// That an input is not of a kind that the operator takes.
pub(crate) fn not_of(known: &Known) -> Refusal {
    format!("cannot take {}", known.kind.name())
}
