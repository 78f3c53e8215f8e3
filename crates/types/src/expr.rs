//! Expressions as data: typed trees over the columns of one row. Building them with types
//! checked, and evaluating them, is the `expr` crate's.

use std::sync::Arc;

use crate::data_type::DataType;
use crate::external::External;
use crate::value::Value;

/// A typed expression. Its inputs are the columns of one row, by index.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it does.
    pub kind: ExprKind,
    /// The type of its value.
    pub data_type: DataType,
}

/// What an [`Expr`] does.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// The row's column at this index.
    Column(usize),
    /// A constant.
    Literal(Value),
    /// `read_time()`: the time `t` that the value is read at.
    ReadTime,
    /// A function of the closed list, by its canonical lower-case name (`add`, `substr`);
    /// operators are functions too. All arguments are evaluated, left to right.
    Call {
        /// The name in the closed list.
        function: Arc<str>,
        /// The arguments, already converted to the function's parameter types.
        args: Vec<Expr>,
    },
    /// A function that is not of the closed list. All arguments are evaluated, left to right.
    External {
        /// The function, at the version that it was bound to.
        function: External,
        /// The arguments, already converted to the function's parameter types.
        args: Vec<Expr>,
    },
    /// A conversion to the expression's type.
    Cast(Box<Expr>),
    /// SQL AND: stops at the first false.
    And(Vec<Expr>),
    /// SQL OR: stops at the first true.
    Or(Vec<Expr>),
    /// The first branch whose condition is true; conditions and results are evaluated only
    /// as far as needed.
    Case {
        /// (condition, result)
        branches: Vec<(Expr, Expr)>,
        /// The result where no condition is true; NULL if absent.
        otherwise: Option<Box<Expr>>,
    },
    /// The first argument that is not NULL; later ones are not evaluated. ERROR passes.
    Coalesce(Vec<Expr>),
}

impl Expr {
    /// The row's column at `index`.
    pub fn column(index: usize, data_type: DataType) -> Self {
        Expr {
            kind: ExprKind::Column(index),
            data_type,
        }
    }

    /// A constant of a type.
    pub fn literal(value: Value, data_type: DataType) -> Self {
        Expr {
            kind: ExprKind::Literal(value),
            data_type,
        }
    }

    /// Calls `visit` for every node, parents first.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Expr)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// The direct inputs, in evaluation order.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::ReadTime => Vec::new(),
            ExprKind::Call { args, .. } | ExprKind::External { args, .. } => args.iter().collect(),
            ExprKind::Cast(inner) => vec![inner],
            ExprKind::And(args) | ExprKind::Or(args) | ExprKind::Coalesce(args) => {
                args.iter().collect()
            }
            ExprKind::Case {
                branches,
                otherwise,
            } => branches
                .iter()
                .flat_map(|(c, r)| [c, r])
                .chain(otherwise.as_deref())
                .collect(),
        }
    }

    /// The same expression with every node passed through `change`, children first.
    pub fn map(self, change: &mut impl FnMut(Expr) -> Expr) -> Expr {
        let Expr { kind, data_type } = self;
        let kind = match kind {
            ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::ReadTime => kind,
            ExprKind::Call { function, args } => ExprKind::Call {
                function,
                args: map_all(args, change),
            },
            ExprKind::External { function, args } => ExprKind::External {
                function,
                args: map_all(args, change),
            },
            ExprKind::Cast(inner) => ExprKind::Cast(Box::new(inner.map(change))),
            ExprKind::And(args) => ExprKind::And(map_all(args, change)),
            ExprKind::Or(args) => ExprKind::Or(map_all(args, change)),
            ExprKind::Coalesce(args) => ExprKind::Coalesce(map_all(args, change)),
            ExprKind::Case {
                branches,
                otherwise,
            } => ExprKind::Case {
                branches: branches
                    .into_iter()
                    .map(|(c, r)| (c.map(change), r.map(change)))
                    .collect(),
                otherwise: otherwise.map(|o| Box::new(o.map(change))),
            },
        };
        change(Expr { kind, data_type })
    }

    /// Whether it calls a function whose call can fail without a value.
    pub fn may_fail(&self) -> bool {
        let mut may_fail = false;
        self.walk(&mut |e| {
            if let ExprKind::External { function, .. } = &e.kind {
                may_fail |= function.may_fail();
            }
        });
        may_fail
    }

    /// The columns it reads, each once, ascending.
    pub fn columns(&self) -> Vec<usize> {
        let mut columns = Vec::new();
        self.walk(&mut |e| {
            if let ExprKind::Column(i) = e.kind {
                columns.push(i);
            }
        });
        columns.sort_unstable();
        columns.dedup();
        columns
    }
}

fn map_all(args: Vec<Expr>, change: &mut impl FnMut(Expr) -> Expr) -> Vec<Expr> {
    args.into_iter().map(|a| a.map(change)).collect()
}
