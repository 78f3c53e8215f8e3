//! Values of a graph: what kind, of which shape, and the numbers one after the other.
//!
//! Invariant: a tensor of a shape has exactly as many elements as that has, last dimension
//! fastest.

use std::sync::Arc;

use crate::error::ModelError;
use crate::limits::{ELEMENTS_MAX, RANK_MAX};
use crate::proto;

/// The types of elements that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    F32,
    F64,
    I32,
    I64,
    Bool,
    Text,
}

impl Kind {
    /// The kind of an ONNX type number.
    pub(crate) fn of(data_type: i64) -> Result<Self, String> {
        Ok(match data_type {
            1 => Kind::F32,
            6 => Kind::I32,
            7 => Kind::I64,
            8 => Kind::Text,
            9 => Kind::Bool,
            11 => Kind::F64,
            other => {
                let name = match other {
                    2 => "uint8",
                    3 => "int8",
                    4 => "uint16",
                    5 => "int16",
                    10 => "float16",
                    12 => "uint32",
                    13 => "uint64",
                    16 => "bfloat16",
                    _ => "an unknown type",
                };
                return Err(format!(
                    "is of {name}; supported are float, double, int32, int64, bool and string"
                ));
            }
        })
    }

    /// Its name in ONNX.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::F32 => "float",
            Kind::F64 => "double",
            Kind::I32 => "int32",
            Kind::I64 => "int64",
            Kind::Bool => "bool",
            Kind::Text => "string",
        }
    }
}

/// Elements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
    Text(Vec<Arc<str>>),
}

impl Data {
    /// So many zeros.
    pub(crate) fn zeros(kind: Kind, length: usize) -> Self {
        match kind {
            Kind::F32 => Data::F32(vec![0.0; length]),
            Kind::F64 => Data::F64(vec![0.0; length]),
            Kind::I32 => Data::I32(vec![0; length]),
            Kind::I64 => Data::I64(vec![0; length]),
            Kind::Bool => Data::Bool(vec![false; length]),
            Kind::Text => Data::Text(vec![Arc::from(""); length]),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Data::F32(_) => Kind::F32,
            Data::F64(_) => Kind::F64,
            Data::I32(_) => Kind::I32,
            Data::I64(_) => Kind::I64,
            Data::Bool(_) => Kind::Bool,
            Data::Text(_) => Kind::Text,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::F64(v) => v.len(),
            Data::I32(v) => v.len(),
            Data::I64(v) => v.len(),
            Data::Bool(v) => v.len(),
            Data::Text(v) => v.len(),
        }
    }
}

/// A type of elements, as the loops of operators see it.
pub(crate) trait Element: Clone + PartialEq + Send + Sync + 'static {
    const KIND: Kind;
    /// The elements.
    ///
    /// # Panics
    /// If they are of another kind: kinds are checked when a graph is compiled.
    fn of(data: &Data) -> &[Self];
    fn of_mut(data: &mut Data) -> &mut [Self];
    fn data(elements: Vec<Self>) -> Data;
}

macro_rules! element {
    ($type:ty, $variant:ident) => {
        impl Element for $type {
            const KIND: Kind = Kind::$variant;

            fn of(data: &Data) -> &[Self] {
                match data {
                    Data::$variant(elements) => elements,
                    other => unreachable!("{:?} where {:?} was compiled", other.kind(), Self::KIND),
                }
            }

            fn of_mut(data: &mut Data) -> &mut [Self] {
                match data {
                    Data::$variant(elements) => elements,
                    other => unreachable!("{:?} where {:?} was compiled", other.kind(), Self::KIND),
                }
            }

            fn data(elements: Vec<Self>) -> Data {
                Data::$variant(elements)
            }
        }
    };
}

element!(f32, F32);
element!(f64, F64);
element!(i32, I32);
element!(i64, I64);
element!(bool, Bool);
element!(Arc<str>, Text);

/// Runs a body for the type of one of the kinds that are listed, by the name `T`.
macro_rules! with_kind {
    ($kind:expr, $T:ident => $body:expr, [$($variant:ident: $type:ty),*] $(, else $other:expr)?) => {
        match $kind {
            $($crate::tensor::Kind::$variant => {
                type $T = $type;
                $body
            })*
            $(_ => $other,)?
        }
    };
}
pub(crate) use with_kind;

/// Runs a body for the type of a kind, by the name `T`.
macro_rules! with_element {
    ($kind:expr, $T:ident => $body:expr) => {
        $crate::tensor::with_kind!($kind, $T => $body,
            [F32: f32, F64: f64, I32: i32, I64: i64, Bool: bool, Text: std::sync::Arc<str>])
    };
}
pub(crate) use with_element;

/// How far loops over a shape may go: its elements, where a dimension of none hides no other.
pub(crate) fn reach(shape: &[usize]) -> usize {
    shape
        .iter()
        .fold(1usize, |reach, size| reach.saturating_mul((*size).max(1)))
}

/// The number of elements of a shape, if that is no more than a model may have.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    if shape.len() > RANK_MAX || reach(shape) > ELEMENTS_MAX {
        return None;
    }
    Some(shape.iter().product())
}

/// A constant with its shape.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data,
}

/// The constant that a message is.
pub(crate) fn constant(tensor: &proto::Tensor<'_>) -> Result<Tensor, ModelError> {
    if tensor.is_external {
        return Err(ModelError::ExternalData {
            tensor: tensor.name.to_owned(),
        });
    }
    let refused = |reason: String| ModelError::Tensor {
        tensor: tensor.name.to_owned(),
        reason,
    };
    let kind = Kind::of(tensor.data_type).map_err(refused)?;
    let shape: Option<Vec<usize>> = tensor
        .dims
        .iter()
        .map(|d| usize::try_from(*d).ok())
        .collect();
    let shape = shape.filter(|shape| shape.len() <= RANK_MAX);
    let Some(shape) = shape else {
        return Err(refused(format!("has the shape {:?}", tensor.dims)));
    };
    let data = data_of(tensor, kind).map_err(|why| refused(why.to_owned()))?;
    // The elements of a large constant are in the file, those of an empty one nowhere.
    let is_empty = shape.contains(&0);
    let fits = match is_empty {
        true => data.len() == 0 && reach(&shape) <= ELEMENTS_MAX,
        false => data.len() == reach(&shape),
    };
    if !fits {
        return Err(refused(format!(
            "has {} elements, and the shape {:?}",
            data.len(),
            tensor.dims
        )));
    }
    Ok(Tensor { shape, data })
}

fn data_of(tensor: &proto::Tensor<'_>, kind: Kind) -> Result<Data, &'static str> {
    const CUT: &str = "has raw data of another length";
    const RANGE: &str = "has a number outside the range of its type";
    fn chunks<const N: usize>(raw: &[u8]) -> Result<&[[u8; N]], &'static str> {
        match raw.as_chunks::<N>() {
            (chunks, []) => Ok(chunks),
            _ => Err(CUT),
        }
    }
    Ok(match (kind, tensor.raw) {
        (Kind::F32, Some(raw)) => Data::F32(
            chunks(raw)?
                .iter()
                .map(|b| f32::from_le_bytes(*b))
                .collect(),
        ),
        (Kind::F64, Some(raw)) => Data::F64(
            chunks(raw)?
                .iter()
                .map(|b| f64::from_le_bytes(*b))
                .collect(),
        ),
        (Kind::I32, Some(raw)) => Data::I32(
            chunks(raw)?
                .iter()
                .map(|b| i32::from_le_bytes(*b))
                .collect(),
        ),
        (Kind::I64, Some(raw)) => Data::I64(
            chunks(raw)?
                .iter()
                .map(|b| i64::from_le_bytes(*b))
                .collect(),
        ),
        (Kind::Bool, Some(raw)) => Data::Bool(raw.iter().map(|b| *b != 0).collect()),
        (Kind::Text, Some(_)) => return Err("has texts as raw data"),
        (Kind::F32, None) => Data::F32(tensor.floats.clone()),
        (Kind::F64, None) => Data::F64(tensor.doubles.clone()),
        (Kind::I32, None) => {
            let ints = tensor.ints.iter().map(|x| i32::try_from(*x));
            Data::I32(ints.collect::<Result<_, _>>().map_err(|_| RANGE)?)
        }
        (Kind::I64, None) => Data::I64(tensor.ints.clone()),
        (Kind::Bool, None) => Data::Bool(tensor.ints.iter().map(|x| *x != 0).collect()),
        (Kind::Text, None) => Data::Text(texts(&tensor.texts)?),
    })
}

/// Texts from their bytes.
pub(crate) fn texts(bytes: &[&[u8]]) -> Result<Vec<Arc<str>>, &'static str> {
    let texts = bytes
        .iter()
        .map(|bytes| std::str::from_utf8(bytes).map(Arc::from));
    texts
        .collect::<Result<_, _>>()
        .map_err(|_| "has a text that is not UTF-8")
}
