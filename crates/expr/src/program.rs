//! An expression compiled for evaluation: names resolved, constants folded.
//!
//! Owns the row loop; the batch loop over the same nodes is in `batch`. Invariant: folding
//! runs the same kernels as evaluation, so a literal gives the same bits as a column that
//! holds its value.

use std::fmt;
use std::sync::Arc;

use evenkeel_types::{DataType, Expr, ExprKind, External, Value};

use crate::cast;
use crate::external;
use crate::function::{self, Signature};
use crate::kernel::Kernel;

/// A compiled expression. Compile once per view version, evaluate for every row; cheap to
/// clone and to share between threads.
#[derive(Clone)]
pub struct Program {
    pub(crate) root: Arc<Node>,
    columns: Vec<usize>,
    data_type: DataType,
}

/// One step of a program.
pub(crate) enum Node {
    Column(usize),
    Constant(Value),
    ReadTime,
    Call {
        kernel: Arc<dyn Kernel>,
        args: Box<[Node]>,
    },
    /// Never folded, whatever its arguments.
    External {
        function: External,
        args: Box<[Node]>,
    },
    /// AND (`stop` is false) or OR (`stop` is true).
    Connective {
        stop: bool,
        args: Box<[Node]>,
    },
    Case {
        branches: Box<[(Node, Node)]>,
        otherwise: Option<Box<Node>>,
        data_type: DataType,
    },
    Coalesce {
        args: Box<[Node]>,
        data_type: DataType,
    },
}

impl Program {
    /// Compiles an expression made by [`crate::build`].
    ///
    /// # Panics
    /// If the expression was put together in another way and calls what does not exist.
    pub fn compile(expr: &Expr) -> Program {
        Program {
            root: Arc::new(compile(expr)),
            columns: expr.columns(),
            data_type: expr.data_type.clone(),
        }
    }

    /// The type of the result.
    pub fn data_type(&self) -> &DataType {
        &self.data_type
    }

    /// The columns it reads, each once, ascending.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The column that it is, if it is no more than that.
    pub fn as_column(&self) -> Option<usize> {
        match self.root.as_ref() {
            Node::Column(index) => Some(*index),
            _ => None,
        }
    }

    /// The value on one row. `read_time` is in microseconds since the epoch, UTC.
    ///
    /// # Panics
    /// If `row` lacks a column that the expression reads, or has another type there.
    pub fn eval_row(&self, row: &[Value], read_time: i64) -> Value {
        self.root.row(row, read_time)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("columns", &self.columns)
            .field("data_type", &self.data_type)
            .finish_non_exhaustive()
    }
}

fn compile(expr: &Expr) -> Node {
    let all = |args: &[Expr]| args.iter().map(compile).collect::<Box<[Node]>>();
    let node = match &expr.kind {
        ExprKind::Column(index) => return Node::Column(*index),
        ExprKind::Literal(value) => return Node::Constant(value.clone()),
        ExprKind::ReadTime => return Node::ReadTime,
        ExprKind::Call { function, args } => {
            let nodes = all(args);
            let kernel = call_kernel(function, args, &nodes, &expr.data_type);
            Node::Call {
                kernel,
                args: nodes,
            }
        }
        ExprKind::External { function, args } => Node::External {
            function: function.clone(),
            args: all(args),
        },
        ExprKind::Cast(inner) => Node::Call {
            kernel: cast::kernel(&inner.data_type, &expr.data_type)
                .expect("casts that do not exist are refused when built"),
            args: Box::new([compile(inner)]),
        },
        ExprKind::And(args) => Node::Connective {
            stop: false,
            args: all(args),
        },
        ExprKind::Or(args) => Node::Connective {
            stop: true,
            args: all(args),
        },
        ExprKind::Case {
            branches,
            otherwise,
        } => Node::Case {
            branches: branches
                .iter()
                .map(|(condition, result)| (compile(condition), compile(result)))
                .collect(),
            otherwise: otherwise.as_deref().map(|o| Box::new(compile(o))),
            data_type: expr.data_type.clone(),
        },
        ExprKind::Coalesce(args) => Node::Coalesce {
            args: all(args),
            data_type: expr.data_type.clone(),
        },
    };
    if node.is_constant() {
        return Node::Constant(node.row(&[], 0));
    }
    node
}

fn call_kernel(name: &str, args: &[Expr], nodes: &[Node], result: &DataType) -> Arc<dyn Kernel> {
    let arguments: Vec<DataType> = args.iter().map(|a| a.data_type.clone()).collect();
    let constants: Vec<Option<Value>> = nodes
        .iter()
        .map(|node| match node {
            Node::Constant(value) => Some(value.clone()),
            _ => None,
        })
        .collect();
    function::find(name)
        .expect("functions that do not exist are refused when built")
        .kernel(&Signature {
            arguments: &arguments,
            constants: &constants,
            result,
        })
}

impl Node {
    /// Whether all its parts are constants.
    fn is_constant(&self) -> bool {
        let constant = |node: &Node| matches!(node, Node::Constant(_));
        match self {
            Node::Constant(_) => true,
            Node::Column(_) | Node::ReadTime | Node::External { .. } => false,
            Node::Call { args, .. }
            | Node::Connective { args, .. }
            | Node::Coalesce { args, .. } => args.iter().all(constant),
            Node::Case {
                branches,
                otherwise,
                ..
            } => {
                branches.iter().all(|(c, r)| constant(c) && constant(r))
                    && otherwise.as_deref().is_none_or(constant)
            }
        }
    }

    /// The value on a row.
    fn row(&self, row: &[Value], read_time: i64) -> Value {
        match self {
            Node::Column(index) => row[*index].clone(),
            Node::Constant(value) => value.clone(),
            Node::ReadTime => Value::Timestamp(read_time),
            Node::Call { kernel, args } => {
                // Room for values that are not there yet.
                let room = || Value::Null;
                match &**args {
                    [a] => kernel.row(&[a.borrow(row, read_time, &mut room())]),
                    [a, b] => kernel.row(&[
                        a.borrow(row, read_time, &mut room()),
                        b.borrow(row, read_time, &mut room()),
                    ]),
                    [a, b, c] => kernel.row(&[
                        a.borrow(row, read_time, &mut room()),
                        b.borrow(row, read_time, &mut room()),
                        c.borrow(row, read_time, &mut room()),
                    ]),
                    more => {
                        let mut rooms = vec![Value::Null; more.len()];
                        let values: Vec<&Value> = more
                            .iter()
                            .zip(&mut rooms)
                            .map(|(arg, room)| arg.borrow(row, read_time, room))
                            .collect();
                        kernel.row(&values)
                    }
                }
            }
            Node::External { function, args } => {
                let mut rooms = vec![Value::Null; args.len()];
                let values: Vec<&Value> = args
                    .iter()
                    .zip(&mut rooms)
                    .map(|(arg, room)| arg.borrow(row, read_time, room))
                    .collect();
                external::row(function, &values)
            }
            Node::Connective { stop, args } => {
                let mut result = Value::Boolean(!*stop);
                for arg in args {
                    match arg.borrow(row, read_time, &mut Value::Null) {
                        Value::Boolean(x) if x == stop => return Value::Boolean(*stop),
                        Value::Error(reason) => return Value::Error(*reason),
                        Value::Null => result = Value::Null,
                        _ => {}
                    }
                }
                result
            }
            Node::Case {
                branches,
                otherwise,
                ..
            } => {
                for (condition, result) in branches {
                    match condition.borrow(row, read_time, &mut Value::Null) {
                        Value::Boolean(true) => return result.row(row, read_time),
                        Value::Error(reason) => return Value::Error(*reason),
                        _ => {}
                    }
                }
                match otherwise {
                    Some(otherwise) => otherwise.row(row, read_time),
                    None => Value::Null,
                }
            }
            Node::Coalesce { args, .. } => args
                .iter()
                .map(|arg| arg.row(row, read_time))
                .find(|value| !value.is_null())
                .unwrap_or(Value::Null),
        }
    }

    /// The value on a row, in place if it is there already, else put into `room`.
    #[inline]
    fn borrow<'a>(&'a self, row: &'a [Value], read_time: i64, room: &'a mut Value) -> &'a Value {
        match self {
            Node::Column(index) => &row[*index],
            Node::Constant(value) => value,
            computed => {
                *room = computed.row(row, read_time);
                room
            }
        }
    }
}
