//! The messages of an ONNX file, as far as they are understood: read, not yet checked.
//!
//! Of what there may be too much of, one more than the limit is kept, so that a small file of many
//! empty messages takes no more memory than a large one; who compiles it refuses it.
//!
//! Texts and raw data stay where they are in the file's bytes. What is not understood but changes
//! what a model means (subgraphs, external data, sparse tensors, local functions) is noted, so
//! that it can be refused by name.

use crate::limits::{NODE_ATTRIBUTES_MAX, NODE_NAMES_MAX, NODES_MAX};
use crate::wire::{Field, Fields, Malformed};

/// `ModelProto`
#[derive(Debug, Default)]
pub(crate) struct Model<'a> {
    pub(crate) ir_version: i64,
    /// Domain and version.
    pub(crate) opsets: Vec<(&'a str, i64)>,
    pub(crate) producer: &'a str,
    pub(crate) graph: Option<Graph<'a>>,
    pub(crate) has_functions: bool,
}

/// `GraphProto`
#[derive(Debug, Default)]
pub(crate) struct Graph<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) initializers: Vec<Tensor<'a>>,
    pub(crate) inputs: Vec<Declared<'a>>,
    pub(crate) outputs: Vec<Declared<'a>>,
    pub(crate) has_sparse: bool,
}

/// `NodeProto`
#[derive(Debug, Default)]
pub(crate) struct Node<'a> {
    pub(crate) name: &'a str,
    pub(crate) operator: &'a str,
    pub(crate) domain: &'a str,
    /// An empty one was left out.
    pub(crate) inputs: Vec<&'a str>,
    pub(crate) outputs: Vec<&'a str>,
    pub(crate) attributes: Vec<(&'a str, Attribute<'a>)>,
}

/// `AttributeProto`
#[derive(Debug)]
pub(crate) enum Attribute<'a> {
    Float(f32),
    Int(i64),
    Text(&'a [u8]),
    Tensor(Tensor<'a>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<&'a [u8]>),
    /// A graph, a sparse tensor, a reference to an attribute of a function.
    Other,
}

/// `TensorProto`
#[derive(Debug, Default)]
pub(crate) struct Tensor<'a> {
    pub(crate) name: &'a str,
    pub(crate) dims: Vec<i64>,
    pub(crate) data_type: i64,
    pub(crate) floats: Vec<f32>,
    pub(crate) doubles: Vec<f64>,
    /// `int32_data` or `int64_data`.
    pub(crate) ints: Vec<i64>,
    pub(crate) texts: Vec<&'a [u8]>,
    pub(crate) raw: Option<&'a [u8]>,
    pub(crate) is_external: bool,
}

/// `ValueInfoProto`: an input or output as it is declared.
#[derive(Debug, Default)]
pub(crate) struct Declared<'a> {
    pub(crate) name: &'a str,
    /// Of a tensor.
    pub(crate) data_type: Option<i64>,
    /// Of a tensor whose shape is declared; without a number, any.
    pub(crate) shape: Option<Vec<Option<i64>>>,
}

/// Adds an item, unless there are too many already.
fn push<T>(list: &mut Vec<T>, item: T, limit: usize) {
    if list.len() <= limit {
        list.push(item);
    }
}

fn each<'a>(
    message: &'a [u8],
    mut read: impl FnMut(u64, Field<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut fields = Fields::of(message);
    while let Some((number, field)) = fields.next()? {
        read(number, field)?;
    }
    Ok(())
}

pub(crate) fn model(message: &[u8]) -> Result<Model<'_>, Malformed> {
    let mut model = Model::default();
    each(message, |number, field| {
        match number {
            1 => model.ir_version = field.int()?,
            2 => model.producer = field.text()?,
            7 => model.graph = Some(graph(field.bytes()?)?),
            8 => model.opsets.push(opset(field.bytes()?)?),
            25 => model.has_functions = true,
            _ => {}
        }
        Ok(())
    })?;
    Ok(model)
}

fn opset(message: &[u8]) -> Result<(&str, i64), Malformed> {
    let mut found = ("", 0);
    each(message, |number, field| {
        match number {
            1 => found.0 = field.text()?,
            2 => found.1 = field.int()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

fn graph(message: &[u8]) -> Result<Graph<'_>, Malformed> {
    let mut graph = Graph::default();
    each(message, |number, field| {
        match number {
            1 => push(&mut graph.nodes, node(field.bytes()?)?, NODES_MAX),
            5 => push(&mut graph.initializers, tensor(field.bytes()?)?, NODES_MAX),
            11 => push(&mut graph.inputs, declared(field.bytes()?)?, NODES_MAX),
            12 => push(&mut graph.outputs, declared(field.bytes()?)?, NODES_MAX),
            15 => graph.has_sparse = true,
            _ => {}
        }
        Ok(())
    })?;
    Ok(graph)
}

fn node(message: &[u8]) -> Result<Node<'_>, Malformed> {
    let mut node = Node::default();
    each(message, |number, field| {
        match number {
            1 => push(&mut node.inputs, field.text()?, NODE_NAMES_MAX),
            2 => push(&mut node.outputs, field.text()?, NODE_NAMES_MAX),
            3 => node.name = field.text()?,
            4 => node.operator = field.text()?,
            5 => push(
                &mut node.attributes,
                attribute(field.bytes()?)?,
                NODE_ATTRIBUTES_MAX,
            ),
            7 => node.domain = field.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(node)
}

/// Values of an attribute that says what it is by its `type`.
#[derive(Default)]
struct AttributeFields<'a> {
    name: &'a str,
    kind: i64,
    float: f32,
    int: i64,
    text: &'a [u8],
    tensor: Option<Tensor<'a>>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    texts: Vec<&'a [u8]>,
    is_reference: bool,
}

fn attribute(message: &[u8]) -> Result<(&str, Attribute<'_>), Malformed> {
    let mut found = AttributeFields::default();
    each(message, |number, field| {
        match number {
            1 => found.name = field.text()?,
            2 => found.float = field.float()?,
            3 => found.int = field.int()?,
            4 => found.text = field.bytes()?,
            5 => found.tensor = Some(tensor(field.bytes()?)?),
            7 => field.floats(&mut found.floats)?,
            8 => field.ints(&mut found.ints)?,
            9 => found.texts.push(field.bytes()?),
            20 => found.kind = field.int()?,
            21 => found.is_reference = true,
            _ => {}
        }
        Ok(())
    })?;
    let value = match (found.kind, found.tensor) {
        _ if found.is_reference => Attribute::Other,
        (1, _) => Attribute::Float(found.float),
        (2, _) => Attribute::Int(found.int),
        (3, _) => Attribute::Text(found.text),
        (4, Some(tensor)) => Attribute::Tensor(tensor),
        (6, _) => Attribute::Floats(found.floats),
        (7, _) => Attribute::Ints(found.ints),
        (8, _) => Attribute::Texts(found.texts),
        _ => Attribute::Other,
    };
    Ok((found.name, value))
}

fn tensor(message: &[u8]) -> Result<Tensor<'_>, Malformed> {
    let mut tensor = Tensor::default();
    each(message, |number, field| {
        match number {
            1 => field.ints(&mut tensor.dims)?,
            2 => tensor.data_type = field.int()?,
            4 => field.floats(&mut tensor.floats)?,
            5 | 7 => field.ints(&mut tensor.ints)?,
            6 => tensor.texts.push(field.bytes()?),
            8 => tensor.name = field.text()?,
            9 => tensor.raw = Some(field.bytes()?),
            10 => field.doubles(&mut tensor.doubles)?,
            // `data_location` is 1 where the data is in another file.
            13 => tensor.is_external = true,
            14 => tensor.is_external |= field.int()? != 0,
            // A part of a tensor.
            3 => return Err(Malformed),
            _ => {}
        }
        Ok(())
    })?;
    Ok(tensor)
}

fn declared(message: &[u8]) -> Result<Declared<'_>, Malformed> {
    let mut declared = Declared::default();
    each(message, |number, field| {
        match number {
            1 => declared.name = field.text()?,
            2 => each(field.bytes()?, |number, field| {
                // Of sequences and maps nothing is asked: they are what `ZipMap` makes.
                if number == 1 {
                    (declared.data_type, declared.shape) = tensor_type(field.bytes()?)?;
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(declared)
}

type TensorType = (Option<i64>, Option<Vec<Option<i64>>>);

fn tensor_type(message: &[u8]) -> Result<TensorType, Malformed> {
    let mut found: TensorType = (None, None);
    each(message, |number, field| {
        match number {
            1 => found.0 = Some(field.int()?),
            2 => {
                let mut shape = Vec::new();
                each(field.bytes()?, |number, field| {
                    if number == 1 {
                        shape.push(dimension(field.bytes()?)?);
                    }
                    Ok(())
                })?;
                found.1 = Some(shape);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(found)
}

fn dimension(message: &[u8]) -> Result<Option<i64>, Malformed> {
    let mut found = None;
    each(message, |number, field| {
        if number == 1 {
            found = Some(field.int()?);
        }
        Ok(())
    })?;
    Ok(found)
}
