//! What a model may be at most, so that a hostile file takes neither all memory nor all time.

/// Bytes of a file.
pub const MODEL_BYTES_MAX: usize = 64 << 20;

/// Nodes of a graph, and its tensors.
pub const NODES_MAX: usize = 20_000;

/// Inputs and outputs of a node.
pub(crate) const NODE_NAMES_MAX: usize = 4096;

/// Attributes of a node: more than any operator has.
pub(crate) const NODE_ATTRIBUTES_MAX: usize = 64;

/// Arguments that a model takes.
pub const ARGUMENTS_MAX: usize = 4096;

/// Elements of everything that is computed for one row, and of everything that is computed once.
pub const ELEMENTS_MAX: usize = 4 << 20;

/// Multiplications, comparisons and the like for one row, about.
pub const WORK_MAX: usize = 1 << 28;

/// The greatest number of dimensions of a tensor.
pub const RANK_MAX: usize = 8;
