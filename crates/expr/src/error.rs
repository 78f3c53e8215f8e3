//! Why an expression cannot be built.

use evenkeel_types::DataType;

use crate::limits::{EXPRESSION_DEPTH_MAX, EXPRESSION_NODES_MAX};

/// Why an expression cannot be built. `Display` says what is wrong, [`BuildError::hint`]
/// what to write instead, [`BuildError::argument`] where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// No function of that name is in the closed list.
    #[error("there is no function `{name}`")]
    UnknownFunction {
        /// The name as written.
        name: String,
        /// The nearest name of the list, or what to write instead.
        hint: Option<String>,
    },
    /// A function whose value is not determined by the row and the read time.
    #[error(
        "`{name}` is not allowed: a feature's value depends on its events and the read time alone"
    )]
    RefusedFunction {
        /// The name as written.
        name: String,
        /// What to write instead.
        hint: String,
    },
    /// A wrong number of arguments.
    #[error("`{function}` takes {expected}, not {found}")]
    ArgumentCount {
        /// The function.
        function: String,
        /// In words: `2 arguments`, `1 to 3 arguments`.
        expected: String,
        /// How many were given.
        found: usize,
    },
    /// An argument of a type that the function does not take.
    #[error("`{function}` takes {expected} here, not {found}")]
    ArgumentType {
        /// The function.
        function: String,
        /// Which argument, from 0.
        argument: usize,
        /// In words.
        expected: String,
        /// The argument's type.
        found: DataType,
        /// What to write instead.
        hint: Option<String>,
    },
    /// Two arguments that have no type in common.
    #[error("`{function}` needs arguments of one type, but {found} does not go with {other}")]
    NoCommonType {
        /// The function.
        function: String,
        /// The argument that does not fit, from 0.
        argument: usize,
        /// Its type.
        found: DataType,
        /// The type of the arguments before it.
        other: DataType,
    },
    /// An argument that must be a constant is not.
    #[error("`{function}` needs a constant here: {what}")]
    NotConstant {
        /// The function.
        function: String,
        /// Which argument, from 0.
        argument: usize,
        /// What the argument is.
        what: &'static str,
    },
    /// A constant that the function cannot use.
    #[error("`{function}` cannot use `{value}`: {reason}")]
    BadConstant {
        /// The function.
        function: String,
        /// Which argument, from 0.
        argument: usize,
        /// The constant.
        value: String,
        /// Why not.
        reason: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// No implicit conversion: it could lose something.
    #[error("{from} does not become {to} by itself")]
    NoCoercion {
        /// The expression's type.
        from: DataType,
        /// The wanted type.
        to: DataType,
    },
    /// No conversion at all.
    #[error("{from} cannot be cast to {to}")]
    NoCast {
        /// The expression's type.
        from: DataType,
        /// The wanted type.
        to: DataType,
        /// What to write instead.
        hint: Option<String>,
    },
    /// A number that no type holds.
    #[error("the number `{text}` {reason}")]
    BadNumber {
        /// The number as written.
        text: String,
        /// Why not.
        reason: &'static str,
    },
    /// A decimal result type of more than 38 digits after the point.
    #[error("`{function}` would need {scale} digits after the point, but DECIMAL has at most 38")]
    ScaleTooLarge {
        /// The function.
        function: String,
        /// The digits needed.
        scale: u32,
    },
    /// Deeper than [`EXPRESSION_DEPTH_MAX`].
    #[error("the expression is nested deeper than {EXPRESSION_DEPTH_MAX} levels")]
    TooDeep,
    /// Larger than [`EXPRESSION_NODES_MAX`].
    #[error("the expression has more than {EXPRESSION_NODES_MAX} parts")]
    TooLarge,
}

impl BuildError {
    /// The argument that is wrong, from 0 in the order in which they were given; none if
    /// it is the whole call.
    pub fn argument(&self) -> Option<usize> {
        match self {
            BuildError::ArgumentType { argument, .. }
            | BuildError::NoCommonType { argument, .. }
            | BuildError::NotConstant { argument, .. }
            | BuildError::BadConstant { argument, .. } => Some(*argument),
            BuildError::UnknownFunction { .. }
            | BuildError::RefusedFunction { .. }
            | BuildError::ArgumentCount { .. }
            | BuildError::NoCoercion { .. }
            | BuildError::NoCast { .. }
            | BuildError::BadNumber { .. }
            | BuildError::ScaleTooLarge { .. }
            | BuildError::TooDeep
            | BuildError::TooLarge => None,
        }
    }

    /// The same error where so many arguments come before.
    pub(crate) fn with_arguments_after(mut self, before: usize) -> Self {
        if let BuildError::ArgumentType { argument, .. }
        | BuildError::NoCommonType { argument, .. }
        | BuildError::NotConstant { argument, .. }
        | BuildError::BadConstant { argument, .. } = &mut self
        {
            *argument += before;
        }
        self
    }

    /// What is wrong, in one sentence; the same as `Display`.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// What to write instead.
    pub fn hint(&self) -> Option<String> {
        match self {
            BuildError::UnknownFunction { hint, .. }
            | BuildError::ArgumentType { hint, .. }
            | BuildError::BadConstant { hint, .. }
            | BuildError::NoCast { hint, .. } => hint.clone(),
            BuildError::RefusedFunction { hint, .. } => Some(hint.clone()),
            BuildError::ArgumentCount { function, .. } => match function.as_str() {
                "log" => Some("say which base: `ln(x)`, `log10(x)` or `log2(x)`".to_owned()),
                _ => None,
            },
            BuildError::NoCommonType { found, other, .. } => Some(format!(
                "cast one of them: `CAST(... AS {other})` or `CAST(... AS {found})`"
            )),
            BuildError::NotConstant { .. } => {
                Some("write it out as a literal, it is fixed by the definition".to_owned())
            }
            BuildError::NoCoercion { to, .. } => Some(format!("write `CAST(... AS {to})`")),
            BuildError::BadNumber { .. } => {
                Some("write `CAST('...' AS DECIMAL(38, 0))` or a DOUBLE such as `1e20`".to_owned())
            }
            BuildError::ScaleTooLarge { .. } => {
                Some("cast the arguments to fewer digits or to DOUBLE first".to_owned())
            }
            BuildError::TooDeep | BuildError::TooLarge => {
                Some("split it over several columns of a view below this one".to_owned())
            }
        }
    }
}
