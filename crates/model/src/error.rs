//! Why a model cannot be taken.

use crate::limits::{ARGUMENTS_MAX, ELEMENTS_MAX, MODEL_BYTES_MAX, NODES_MAX, RANK_MAX, WORK_MAX};

/// Why a model cannot be taken. `Display` says what is wrong and where in the model,
/// [`ModelError::hint`] what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The bytes are no ONNX file.
    #[error("it is no ONNX model: its bytes do not read as one")]
    Malformed,
    /// Larger than [`MODEL_BYTES_MAX`].
    #[error("it has {bytes} bytes, and a model has at most {MODEL_BYTES_MAX}")]
    TooManyBytes {
        /// How many it has.
        bytes: usize,
    },
    /// More nodes than [`NODES_MAX`].
    #[error("it has more than {NODES_MAX} nodes or tensors")]
    TooManyNodes,
    /// It has no graph.
    #[error("it is no ONNX model: it has no graph")]
    NoGraph,
    /// Operators of a version that is not known.
    #[error("it is written for version {version} of `{domain}`; known are {least} to {greatest}")]
    OperatorSet {
        /// The set's domain.
        domain: String,
        /// The version it asks for.
        version: i64,
        /// The oldest that is known.
        least: i64,
        /// The newest.
        greatest: i64,
    },
    /// Operators of a set that is not known.
    #[error("it uses operators of `{domain}`, which is not known")]
    Domain {
        /// The set's domain.
        domain: String,
    },
    /// Functions that it defines itself.
    #[error("it defines functions of its own, which are not supported")]
    LocalFunctions,
    /// Tensors in sparse form.
    #[error("it has sparse tensors, which are not supported")]
    Sparse,
    /// A tensor that is not in the file.
    #[error("its tensor `{tensor}` is in another file")]
    ExternalData {
        /// The tensor's name.
        tensor: String,
    },
    /// A constant that cannot be taken.
    #[error("its tensor `{tensor}` {reason}")]
    Tensor {
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An input that cannot be an argument.
    #[error("its input `{input}` {reason}")]
    Input {
        /// The input's name.
        input: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More arguments than [`ARGUMENTS_MAX`].
    #[error("it takes {arguments} arguments, and a model takes at most {ARGUMENTS_MAX}")]
    TooManyArguments {
        /// How many it takes.
        arguments: usize,
    },
    /// An operator that does not exist here.
    #[error("node {node} is a `{operator}`, which is not supported")]
    UnknownOperator {
        /// The node's name or number.
        node: String,
        /// The operator, with its domain where that is not the default one.
        operator: String,
        /// The operators of its domain that are.
        supported: Vec<&'static str>,
    },
    /// A node that cannot be evaluated.
    #[error("node {node} (`{operator}`) {reason}")]
    Node {
        /// The node's name or number.
        node: String,
        /// Its operator.
        operator: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two values of one name.
    #[error("it computes `{value}` twice")]
    ComputedTwice {
        /// The value's name.
        value: String,
    },
    /// More values than [`ELEMENTS_MAX`].
    #[error("it computes more than {ELEMENTS_MAX} numbers for one row")]
    TooManyElements,
    /// More steps than [`WORK_MAX`].
    #[error("it needs more than {WORK_MAX} operations for one row")]
    TooMuchWork,
    /// An output that is declared and not computed.
    #[error("its output `{output}` is computed by no node")]
    OutputMissing {
        /// The output's name.
        output: String,
    },
    /// It has no outputs.
    #[error("it has no outputs")]
    NoOutputs,
    /// Nobody said which of several values is the answer.
    #[error("it has several answers: {}", outputs.join(", "))]
    WhichOutput {
        /// What there is: name, type and classes.
        outputs: Vec<String>,
        /// What to write, for one of them.
        example: String,
    },
    /// An output that is not there.
    #[error("it has no output `{output}`; it has {}", known.join(", "))]
    UnknownOutput {
        /// As asked for.
        output: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A class that is not there.
    #[error("its output `{output}` has no class `{class}`; it has {}", known.join(", "))]
    UnknownClass {
        /// The output.
        output: String,
        /// As asked for.
        class: String,
        /// What there is.
        known: Vec<String>,
    },
}

impl ModelError {
    /// What to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ModelError::UnknownOperator { supported, .. } => {
                format!("supported are {}", supported.join(", "))
            }
            ModelError::WhichOutput { example, .. } => format!("say which: {example}"),
            ModelError::ExternalData { .. } => {
                "save the model with all tensors in one file".to_owned()
            }
            ModelError::OperatorSet { greatest, .. } => {
                format!("export it with `target_opset` {greatest} or less")
            }
            ModelError::LocalFunctions => {
                "inline them: `onnx.inliner.inline_local_functions`".to_owned()
            }
            ModelError::Input { .. } => format!(
                "an input is a tensor of one row after the other: its first dimension is free, its \
                 second a number, and there are at most {RANK_MAX}"
            ),
            _ => return None,
        })
    }
}
