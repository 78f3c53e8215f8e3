//! Expressions, with parentheses where precedence asks for them.

use std::fmt::{self, Write};

use evenkeel_types::time::{format_date, format_timestamp};

use super::{comma_separated, data_type, interval, quoted};
use crate::ast::{
    BinaryOperator, Expr, ExprKind, FunctionArgs, FunctionCall, Ident, IsTest, Literal,
    NullTreatmentKind, OrderItem, UnaryOperator, WindowRef,
};
use crate::parser::power;

/// How tightly an expression holds together when it is printed.
fn power_of(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Binary { operator, .. } => power::of(*operator),
        ExprKind::Unary { operator, .. } => match operator {
            UnaryOperator::Not => power::NOT,
            UnaryOperator::Minus | UnaryOperator::Plus => power::SIGN,
        },
        ExprKind::Is { .. } | ExprKind::IsDistinctFrom { .. } => power::IS,
        ExprKind::InList { .. } | ExprKind::Between { .. } | ExprKind::Like { .. } => power::RANGE,
        ExprKind::AtTimeZone { .. } => power::AT_ZONE,
        _ => u8::MAX,
    }
}

pub(super) fn print(f: &mut dyn Write, expr: &Expr) -> fmt::Result {
    match &expr.kind {
        ExprKind::Literal(value) => literal(f, value),
        ExprKind::Name(parts) => names(f, parts, "."),
        ExprKind::Unary { operator, operand } => unary(f, *operator, operand),
        ExprKind::Binary {
            operator,
            left,
            right,
            ..
        } => binary(f, *operator, left, right),
        ExprKind::Is {
            operand,
            test,
            negated,
        } => {
            child(f, operand, power::IS + 1)?;
            write!(f, " IS {}{}", not(*negated), test_word(*test))
        }
        ExprKind::IsDistinctFrom {
            left,
            right,
            negated,
        } => {
            child(f, left, power::IS + 1)?;
            write!(f, " IS {}DISTINCT FROM ", not(*negated))?;
            child(f, right, power::IS + 1)
        }
        ExprKind::InList {
            operand,
            list,
            negated,
        } => {
            child(f, operand, power::RANGE + 1)?;
            write!(f, " {}IN (", not(*negated))?;
            comma_separated(f, list, print)?;
            f.write_str(")")
        }
        ExprKind::Between {
            operand,
            low,
            high,
            negated,
        } => {
            child(f, operand, power::RANGE + 1)?;
            write!(f, " {}BETWEEN ", not(*negated))?;
            child(f, low, power::RANGE + 1)?;
            f.write_str(" AND ")?;
            child(f, high, power::RANGE + 1)
        }
        ExprKind::Like {
            operand,
            pattern,
            escape,
            negated,
            case_insensitive,
        } => {
            let word = if *case_insensitive { "ILIKE" } else { "LIKE" };
            child(f, operand, power::RANGE + 1)?;
            write!(f, " {}{word} ", not(*negated))?;
            child(f, pattern, power::RANGE + 1)?;
            match escape {
                Some(escape) => {
                    f.write_str(" ESCAPE ")?;
                    child(f, escape, power::RANGE + 1)
                }
                None => Ok(()),
            }
        }
        ExprKind::Case { .. } => case(f, expr),
        ExprKind::Cast {
            operand,
            target,
            is_try,
        } => {
            f.write_str(if *is_try { "TRY_CAST(" } else { "CAST(" })?;
            print(f, operand)?;
            f.write_str(" AS ")?;
            data_type(f, &target.data_type)?;
            f.write_str(")")
        }
        ExprKind::Call(inner) => call(f, inner),
        ExprKind::Extract { part, operand } => {
            write!(f, "EXTRACT({part} FROM ")?;
            print(f, operand)?;
            f.write_str(")")
        }
        ExprKind::AtTimeZone { operand, zone } => {
            child(f, operand, power::AT_ZONE)?;
            f.write_str(" AT TIME ZONE ")?;
            child(f, zone, power::AT_ZONE + 1)
        }
        ExprKind::Array(items) => {
            f.write_str("[")?;
            comma_separated(f, items, print)?;
            f.write_str("]")
        }
        ExprKind::Index { operand, index } => {
            child(f, operand, power::POSTFIX)?;
            f.write_str("[")?;
            print(f, index)?;
            f.write_str("]")
        }
        ExprKind::Field { operand, field } => {
            // Behind a plain name a point would make one name of both.
            if let ExprKind::Name(_) = operand.kind {
                f.write_str("(")?;
                print(f, operand)?;
                f.write_str(")")?;
            } else {
                child(f, operand, power::POSTFIX)?;
            }
            write!(f, ".{field}")
        }
    }
}

/// An input of an operator, in parentheses if it binds looser than `min`.
fn child(f: &mut dyn Write, expr: &Expr, min: u8) -> fmt::Result {
    let is_negative = match &expr.kind {
        ExprKind::Literal(Literal::Integer(value)) => *value < 0,
        ExprKind::Literal(Literal::Double(value)) => value.is_sign_negative(),
        _ => false,
    };
    // `5.x` would be read as a number; a literal before a point or a bracket looks odd too.
    let is_bare_number = min == power::POSTFIX && matches!(expr.kind, ExprKind::Literal(_));
    if power_of(expr) < min || is_negative || is_bare_number {
        f.write_str("(")?;
        print(f, expr)?;
        return f.write_str(")");
    }
    print(f, expr)
}

fn unary(f: &mut dyn Write, operator: UnaryOperator, operand: &Expr) -> fmt::Result {
    let (text, min) = match operator {
        // Two signs in a row would start a comment.
        UnaryOperator::Minus => ("-", power::SIGN + 1),
        UnaryOperator::Plus => ("+", power::SIGN + 1),
        UnaryOperator::Not => ("NOT ", power::NOT),
    };
    f.write_str(text)?;
    child(f, operand, min)
}

fn binary(f: &mut dyn Write, operator: BinaryOperator, left: &Expr, right: &Expr) -> fmt::Result {
    let own = power::of(operator);
    // Operators group from the left; comparisons do not group at all.
    let left_min = if own == power::COMPARE { own + 1 } else { own };
    child(f, left, left_min)?;
    write!(f, " {} ", operator_text(operator))?;
    child(f, right, own + 1)
}

pub(super) fn operator_text(operator: BinaryOperator) -> &'static str {
    match operator {
        BinaryOperator::Or => "OR",
        BinaryOperator::And => "AND",
        BinaryOperator::Equal => "=",
        BinaryOperator::NotEqual => "<>",
        BinaryOperator::Less => "<",
        BinaryOperator::LessOrEqual => "<=",
        BinaryOperator::Greater => ">",
        BinaryOperator::GreaterOrEqual => ">=",
        BinaryOperator::Concat => "||",
        BinaryOperator::Add => "+",
        BinaryOperator::Subtract => "-",
        BinaryOperator::Multiply => "*",
        BinaryOperator::Divide => "/",
        BinaryOperator::IntegerDivide => "//",
        BinaryOperator::Modulo => "%",
    }
}

fn test_word(test: IsTest) -> &'static str {
    match test {
        IsTest::Null => "NULL",
        IsTest::True => "TRUE",
        IsTest::False => "FALSE",
        IsTest::Unknown => "UNKNOWN",
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "NOT " } else { "" }
}

fn names(f: &mut dyn Write, parts: &[Ident], separator: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{part}")?;
    }
    Ok(())
}

pub(super) fn literal(f: &mut dyn Write, literal: &Literal) -> fmt::Result {
    match literal {
        Literal::Null => f.write_str("NULL"),
        Literal::Boolean(true) => f.write_str("TRUE"),
        Literal::Boolean(false) => f.write_str("FALSE"),
        Literal::Integer(value) => write!(f, "{value}"),
        // The shortest digits that give these bits again, always with a point or an exponent.
        Literal::Double(value) => write!(f, "{value:?}"),
        Literal::String(text) => quoted(f, text),
        Literal::Bytes(bytes) => {
            f.write_str("X'")?;
            for byte in bytes {
                write!(f, "{byte:02x}")?;
            }
            f.write_str("'")
        }
        Literal::Date(days) => write!(f, "DATE '{}'", format_date(*days)),
        Literal::Timestamp(micros) => write!(f, "TIMESTAMP '{}'", format_timestamp(*micros)),
        Literal::Interval(length) => interval(f, length),
    }
}

fn case(f: &mut dyn Write, expr: &Expr) -> fmt::Result {
    let ExprKind::Case {
        operand,
        branches,
        otherwise,
    } = &expr.kind
    else {
        return Ok(());
    };
    f.write_str("CASE")?;
    if let Some(operand) = operand {
        f.write_str(" ")?;
        print(f, operand)?;
    }
    for branch in branches {
        f.write_str(" WHEN ")?;
        print(f, &branch.condition)?;
        f.write_str(" THEN ")?;
        print(f, &branch.result)?;
    }
    if let Some(otherwise) = otherwise {
        f.write_str(" ELSE ")?;
        print(f, otherwise)?;
    }
    f.write_str(" END")
}

fn call(f: &mut dyn Write, call: &FunctionCall) -> fmt::Result {
    write!(f, "{}(", call.name)?;
    if call.distinct.is_some() {
        f.write_str("DISTINCT ")?;
    }
    match &call.args {
        FunctionArgs::Star(_) => f.write_str("*")?,
        FunctionArgs::List(args) => {
            // `position(a IN b)` has two arguments: an `IN` that is a value needs parentheses.
            let is_position = !call.name.quoted && call.name.value == "position";
            let min = if is_position { power::RANGE + 1 } else { 0 };
            comma_separated(f, args, |f, arg| child(f, arg, min))?;
        }
    }
    if !call.order_by.is_empty() {
        f.write_str(" ")?;
        order_by(f, &call.order_by)?;
    }
    f.write_str(")")?;
    if !call.within_group.is_empty() {
        f.write_str(" WITHIN GROUP (")?;
        order_by(f, &call.within_group)?;
        f.write_str(")")?;
    }
    if let Some(filter) = &call.filter {
        f.write_str(" FILTER (WHERE ")?;
        print(f, filter)?;
        f.write_str(")")?;
    }
    if let Some(treatment) = call.null_treatment {
        f.write_str(match treatment.kind {
            NullTreatmentKind::Ignore => " IGNORE NULLS",
            NullTreatmentKind::Respect => " RESPECT NULLS",
        })?;
    }
    match &call.over {
        None => Ok(()),
        Some(WindowRef::Named(name)) => write!(f, " OVER {name}"),
        Some(WindowRef::Spec(spec)) => {
            f.write_str(" OVER ")?;
            super::query::window_spec(f, spec)
        }
    }
}

pub(super) fn order_by(f: &mut dyn Write, items: &[OrderItem]) -> fmt::Result {
    f.write_str("ORDER BY ")?;
    comma_separated(f, items, |f, item| {
        print(f, &item.expr)?;
        if item.descending {
            f.write_str(" DESC")?;
        }
        f.write_str(match item.nulls_first {
            Some(true) => " NULLS FIRST",
            Some(false) => " NULLS LAST",
            None => "",
        })
    })
}
