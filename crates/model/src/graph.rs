//! From the messages of a file to what is evaluated for a row.
//!
//! A graph is compiled for a batch of one row: so every shape is known, what depends on no input
//! is computed once, and no operator can mix rows, whatever the graph says of its first dimension.
//! Invariant: what is compiled neither panics nor grows, whatever the row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evenkeel_types::ErrorReason;

use crate::call::{Built, Call, Inputs, Known, Made, Place, Run};
use crate::error::ModelError;
use crate::limits::{
    ARGUMENTS_MAX, ELEMENTS_MAX, NODE_ATTRIBUTES_MAX, NODE_NAMES_MAX, NODES_MAX, WORK_MAX,
};
use crate::operator::{self, OPERATORS};
use crate::proto;
use crate::tensor::{Data, Kind, constant, elements, reach};

/// An argument: one element of an input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) slot: usize,
    pub(crate) element: usize,
}

/// Something that is computed for every row.
pub(crate) struct Step {
    run: Run,
    inputs: Box<[Place]>,
    /// Its outputs are slots of their own, behind those of its inputs.
    first: usize,
    count: usize,
}

/// A compiled graph.
pub(crate) struct Graph {
    pub(crate) arguments: Vec<Argument>,
    /// Kind and number of elements of each slot.
    slots: Vec<(Kind, usize)>,
    steps: Vec<Step>,
    pub(crate) outputs: Vec<(String, Known)>,
    /// How many nodes of each operator there are.
    pub(crate) operators: BTreeMap<String, usize>,
}

/// The slots of a row that is evaluated.
pub(crate) type Slots = Vec<Data>;

impl Graph {
    /// Room for a row.
    pub(crate) fn room(&self) -> Slots {
        self.slots
            .iter()
            .map(|(kind, length)| Data::zeros(*kind, *length))
            .collect()
    }

    /// Computes everything of a row whose inputs are in their slots.
    pub(crate) fn run(&self, slots: &mut Slots) -> Result<(), ErrorReason> {
        for step in &self.steps {
            let (before, rest) = slots.split_at_mut(step.first);
            let inputs = Inputs {
                places: &step.inputs,
                slots: before,
            };
            (step.run)(inputs, &mut rest[..step.count])?;
        }
        Ok(())
    }

    /// The same without what an output does not need.
    pub(crate) fn only(mut self, output: usize) -> Graph {
        let mut needed: BTreeSet<usize> = BTreeSet::new();
        let need = |needed: &mut BTreeSet<usize>, place: &Place| {
            if let Place::Slot(slot) = place {
                needed.insert(*slot);
            }
        };
        need(&mut needed, &self.outputs[output].1.place);
        let mut kept = Vec::new();
        for step in self.steps.into_iter().rev() {
            let own = step.first..step.first + step.count;
            if needed.range(own.clone()).next().is_none() {
                continue;
            }
            for place in &step.inputs {
                need(&mut needed, place);
            }
            needed.extend(own);
            kept.push(step);
        }
        kept.reverse();
        let arguments: BTreeSet<usize> = self.arguments.iter().map(|a| a.slot).collect();
        for (slot, (_, length)) in self.slots.iter_mut().enumerate() {
            if !needed.contains(&slot) && !arguments.contains(&slot) {
                *length = 0;
            }
        }
        self.steps = kept;
        self
    }
}

/// Compiles a model.
pub(crate) fn compile(model: &proto::Model<'_>) -> Result<Graph, ModelError> {
    let graph = model.graph.as_ref().ok_or(ModelError::NoGraph)?;
    if model.has_functions {
        return Err(ModelError::LocalFunctions);
    }
    if graph.has_sparse {
        return Err(ModelError::Sparse);
    }
    let counts = [
        graph.nodes.len(),
        graph.initializers.len(),
        graph.inputs.len(),
        graph.outputs.len(),
    ];
    if counts.iter().any(|count| *count > NODES_MAX) {
        return Err(ModelError::TooManyNodes);
    }
    let mut compiler = Compiler {
        versions: versions(&model.opsets)?,
        ..Compiler::default()
    };
    compiler.constants(graph)?;
    compiler.inputs(graph)?;
    for (number, node) in graph.nodes.iter().enumerate() {
        compiler.node(number, node)?;
    }
    let outputs: Vec<(String, Known)> = graph
        .outputs
        .iter()
        .map(|output| match compiler.values.get(output.name) {
            Some(known) => Ok((output.name.to_owned(), known.clone())),
            None => Err(ModelError::OutputMissing {
                output: output.name.to_owned(),
            }),
        })
        .collect::<Result<_, _>>()?;
    if outputs.is_empty() {
        return Err(ModelError::NoOutputs);
    }
    Ok(Graph {
        arguments: compiler.arguments,
        slots: compiler.slots,
        steps: compiler.steps,
        outputs,
        operators: compiler.operators,
    })
}

/// The version of each set of operators.
fn versions(opsets: &[(&str, i64)]) -> Result<BTreeMap<&'static str, i64>, ModelError> {
    let mut versions = BTreeMap::new();
    for &(domain, version) in opsets {
        // A set that nothing is taken from does no harm: a node of it would be refused.
        let Some(&(name, least, greatest)) = operator::set(domain) else {
            continue;
        };
        if !(least..=greatest).contains(&version) {
            return Err(ModelError::OperatorSet {
                domain: name.to_owned(),
                version,
                least,
                greatest,
            });
        }
        versions.insert(name, version);
    }
    Ok(versions)
}

#[derive(Default)]
struct Compiler<'a> {
    versions: BTreeMap<&'static str, i64>,
    values: BTreeMap<&'a str, Known>,
    arguments: Vec<Argument>,
    slots: Vec<(Kind, usize)>,
    steps: Vec<Step>,
    operators: BTreeMap<String, usize>,
    elements: usize,
    work: usize,
}

impl<'a> Compiler<'a> {
    fn constants(&mut self, graph: &proto::Graph<'a>) -> Result<(), ModelError> {
        for tensor in &graph.initializers {
            let found = constant(tensor)?;
            self.insert(tensor.name, Known::constant(found.shape, found.data))?;
        }
        Ok(())
    }

    fn inputs(&mut self, graph: &proto::Graph<'a>) -> Result<(), ModelError> {
        for input in &graph.inputs {
            // An initializer may be declared as an input, too.
            if self.values.contains_key(input.name) {
                continue;
            }
            let (kind, shape) = row_of(input).map_err(|reason| ModelError::Input {
                input: input.name.to_owned(),
                reason,
            })?;
            let count: usize = shape.iter().product();
            let arguments = self.arguments.len().saturating_add(count);
            if arguments > ARGUMENTS_MAX {
                return Err(ModelError::TooManyArguments { arguments });
            }
            let slot = self.slots.len();
            for element in 0..count {
                let name = match count {
                    1 => input.name.to_owned(),
                    _ => format!("{}[{}]", input.name, element + 1),
                };
                self.arguments.push(Argument {
                    name,
                    kind,
                    slot,
                    element,
                });
            }
            self.slots.push((kind, count));
            let known = Known {
                kind,
                shape,
                classes: None,
                place: Place::Slot(slot),
            };
            self.insert(input.name, known)?;
        }
        Ok(())
    }

    fn insert(&mut self, name: &'a str, known: Known) -> Result<(), ModelError> {
        if self.values.insert(name, known).is_some() {
            return Err(ModelError::ComputedTwice {
                value: name.to_owned(),
            });
        }
        Ok(())
    }

    fn node(&mut self, number: usize, node: &proto::Node<'a>) -> Result<(), ModelError> {
        let named = || match node.name {
            "" => (number + 1).to_string(),
            name => format!("`{name}`"),
        };
        let refused = |reason: String| ModelError::Node {
            node: named(),
            operator: node.operator.to_owned(),
            reason,
        };
        let names = node.inputs.len().max(node.outputs.len());
        if names > NODE_NAMES_MAX || node.attributes.len() > NODE_ATTRIBUTES_MAX {
            return Err(refused(
                "has too many inputs, outputs or attributes".to_owned(),
            ));
        }
        let Some(&(domain, ..)) = operator::set(node.domain) else {
            return Err(ModelError::Domain {
                domain: node.domain.to_owned(),
            });
        };
        let Some(operator) = operator::find(domain, node.operator) else {
            let of_domain = OPERATORS.iter().filter(|o| o.domain == domain);
            return Err(ModelError::UnknownOperator {
                node: named(),
                operator: node.operator.to_owned(),
                supported: of_domain.map(|o| o.name).collect(),
            });
        };
        let mut names = node.attributes.iter().map(|(name, _)| name);
        if let Some(unknown) = names.find(|name| !operator.attributes.contains(name)) {
            return Err(refused(format!(
                "has the attribute `{unknown}`, which is not supported"
            )));
        }
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for name in &node.inputs {
            inputs.push(match (*name, self.values.get(name)) {
                ("", _) => None,
                (_, Some(known)) => Some(known.clone()),
                (name, None) => {
                    return Err(refused(format!(
                        "reads `{name}`, which nothing before it computes"
                    )));
                }
            });
        }
        let Some(&version) = self.versions.get(domain) else {
            return Err(refused(format!(
                "is of `{domain}`, whose version is not declared"
            )));
        };
        let call = Call {
            node,
            inputs,
            version,
        };
        let built = (operator.build)(&call).map_err(refused)?;
        *self.operators.entry(node.operator.to_owned()).or_default() += 1;
        let places: Box<[Place]> = call
            .inputs
            .iter()
            .flatten()
            .map(|k| k.place.clone())
            .collect();
        let read = call.inputs.iter().flatten();
        let read = read.fold(0usize, |sum, input| sum.saturating_add(reach(&input.shape)));
        let known = self
            .known(built, places, read)
            .map_err(|stopped| match stopped {
                Stopped::Limit(error) => error,
                Stopped::NoValue(reason) => refused(format!("has no value: {reason}")),
            })?;
        if node.outputs.len() > known.len() {
            return Err(refused(format!("has {} outputs", node.outputs.len())));
        }
        for (name, known) in node.outputs.iter().zip(known) {
            // An empty name is of an output that nobody reads.
            if !name.is_empty() {
                self.insert(name, known)?;
            }
        }
        Ok(())
    }

    /// The values that a node gives: computed at once if they depend on no row.
    /// `read` is how far loops over the inputs may go.
    fn known(
        &mut self,
        built: Built,
        places: Box<[Place]>,
        read: usize,
    ) -> Result<Vec<Known>, Stopped> {
        let (outputs, run, work) = match built {
            Built::Known(known) => {
                for known in &known {
                    self.count(known.len(), 1)?;
                }
                return Ok(known);
            }
            Built::Step { outputs, run, work } => (outputs, run, work),
        };
        let lengths: Option<Vec<usize>> =
            outputs.iter().map(|made| elements(&made.shape)).collect();
        let lengths = lengths.ok_or(ModelError::TooManyElements)?;
        let elements = lengths.iter().fold(0usize, |a, b| a.saturating_add(*b));
        let written = outputs.iter().map(|made| reach(&made.shape));
        let loops = written.fold(read, |sum, reach| sum.saturating_add(reach));
        self.count(elements, work.max(loops))?;
        let is_constant = places
            .iter()
            .all(|place| matches!(place, Place::Constant(_)));
        if !is_constant {
            let first = self.slots.len();
            let kinds = outputs.iter().map(|made| made.kind);
            self.slots.extend(kinds.zip(lengths));
            self.steps.push(Step {
                run,
                inputs: places,
                first,
                count: outputs.len(),
            });
            let known = |(at, made): (usize, Made)| made.at(Place::Slot(first + at));
            return Ok(outputs.into_iter().enumerate().map(known).collect());
        }
        let mut data: Vec<Data> = outputs
            .iter()
            .zip(lengths)
            .map(|(made, length)| Data::zeros(made.kind, length))
            .collect();
        let inputs = Inputs {
            places: &places,
            slots: &[],
        };
        run(inputs, &mut data).map_err(Stopped::NoValue)?;
        let constants = outputs.into_iter().zip(data);
        Ok(constants
            .map(|(made, data)| made.at(Place::Constant(Arc::new(data))))
            .collect())
    }

    fn count(&mut self, elements: usize, work: usize) -> Result<(), ModelError> {
        self.elements = self.elements.saturating_add(elements);
        self.work = self.work.saturating_add(work);
        if self.elements > ELEMENTS_MAX {
            return Err(ModelError::TooManyElements);
        }
        if self.work > WORK_MAX {
            return Err(ModelError::TooMuchWork);
        }
        Ok(())
    }
}

/// Why a node gives nothing.
enum Stopped {
    Limit(ModelError),
    NoValue(ErrorReason),
}

impl From<ModelError> for Stopped {
    fn from(limit: ModelError) -> Self {
        Stopped::Limit(limit)
    }
}

/// Kind and shape of an input for one row.
fn row_of(input: &proto::Declared<'_>) -> Result<(Kind, Vec<usize>), String> {
    let data_type = input.data_type.ok_or("is no tensor")?;
    let kind = Kind::of(data_type)?;
    let declared = input.shape.as_ref().ok_or("has no declared shape")?;
    let Some((rows, rest)) = declared.split_first() else {
        return Err("has no dimension for rows".to_owned());
    };
    if rows.is_some_and(|rows| rows != 1) {
        return Err(format!("is of {} rows at once", rows.unwrap_or_default()));
    }
    let mut shape = vec![1];
    for dimension in rest {
        let size = dimension.and_then(|size| usize::try_from(size).ok());
        shape.push(size.ok_or("has a dimension besides the first whose size is not declared")?);
    }
    match elements(&shape) {
        Some(_) => Ok((kind, shape)),
        None => Err(format!("has the shape {shape:?}, which is too large")),
    }
}
