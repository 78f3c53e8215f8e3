//! The size of expressions, kept in bounds where they are built.

use evenkeel_types::{Expr, ExprKind};

use crate::error::BuildError;
use crate::limits::{EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX};

/// The expression, if it is not too deep or too large. Its parts were checked before, so
/// the recursion is bounded.
pub(super) fn checked(expr: Expr) -> Result<Expr, BuildError> {
    let mut nodes = 0;
    measure(&expr, 1, &mut nodes)?;
    Ok(expr)
}

fn measure(expr: &Expr, depth: usize, nodes: &mut usize) -> Result<(), BuildError> {
    *nodes += 1;
    if depth > EXPRESSION_DEPTH_MAX {
        return Err(BuildError::TooDeep);
    }
    if *nodes > EXPRESSION_NODES_MAX {
        return Err(BuildError::TooLarge);
    }
    let mut all = |args: &[Expr]| {
        args.iter()
            .try_for_each(|arg| measure(arg, depth + 1, nodes))
    };
    match &expr.kind {
        ExprKind::Column(_) | ExprKind::Literal(_) | ExprKind::ReadTime => Ok(()),
        ExprKind::Cast(inner) => measure(inner, depth + 1, nodes),
        ExprKind::Call { args, .. }
        | ExprKind::External { args, .. }
        | ExprKind::And(args)
        | ExprKind::Or(args)
        | ExprKind::Coalesce(args) => all(args),
        ExprKind::Case {
            branches,
            otherwise,
        } => {
            for (condition, result) in branches {
                measure(condition, depth + 1, nodes)?;
                measure(result, depth + 1, nodes)?;
            }
            match otherwise {
                Some(otherwise) => measure(otherwise, depth + 1, nodes),
                None => Ok(()),
            }
        }
    }
}
