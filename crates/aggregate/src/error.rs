//! What can go wrong: calls that do not resolve, and bytes that are no state.

use evenkeel_types::codec::DecodeError;

/// Why an aggregate call has no meaning.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SignatureError {
    /// No such function.
    #[error("there is no aggregate function `{name}`{}", hint(.suggestion.as_deref()))]
    UnknownFunction {
        /// As written.
        name: String,
        /// The nearest name that exists.
        suggestion: Option<String>,
    },
    /// Too few or too many arguments.
    #[error("`{function}` takes {expected}, not {found}")]
    ArgumentCount {
        /// The function's name.
        function: &'static str,
        /// What it takes, in words.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// An argument of a type that the function has no answer for.
    #[error("`{function}` does not take {data_type}: {hint}")]
    ArgumentType {
        /// The function's name.
        function: &'static str,
        /// The argument's type.
        data_type: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// A parameter that must be a constant is none, or of the wrong kind.
    #[error("argument {position} of `{function}` must be a constant: {expected}")]
    ConstantExpected {
        /// The function's name.
        function: &'static str,
        /// The argument's number, from 1.
        position: usize,
        /// What it must be.
        expected: &'static str,
    },
    /// A constant parameter outside its limits.
    #[error("argument {position} of `{function}` is {found}, which is not {expected}")]
    ConstantRange {
        /// The function's name.
        function: &'static str,
        /// The argument's number, from 1.
        position: usize,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// `IGNORE NULLS` where NULLs are ignored anyway or there is nothing to ignore.
    #[error(
        "`{function}` has no IGNORE NULLS: only first_value, last_value, first_n and last_n see NULLs, leave it out"
    )]
    IgnoreNulls {
        /// The function's name.
        function: &'static str,
    },
    /// `DISTINCT` on a function other than `count`.
    #[error("`{function}(DISTINCT ...)` is not supported: only count(DISTINCT x) is")]
    Distinct {
        /// The function's name.
        function: &'static str,
    },
    /// A call whose parts do not fit each other: it was not made by the resolver.
    #[error("the call of `{function}` over ({types}) is malformed: build calls with `resolve`")]
    Malformed {
        /// The function's name.
        function: &'static str,
        /// The types of its arguments.
        types: String,
    },
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(
        || ": see the list of functions".to_owned(),
        |name| format!(": did you mean `{name}`?"),
    )
}

/// Why bytes are not a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The bytes end too early.
    #[error("the state ends inside a field, at byte {at}: restore it from the events")]
    Truncated {
        /// Where.
        at: usize,
    },
    /// Written by a newer version.
    #[error(
        "the state has version {found}, this program reads up to {supported}: rebuild it from the events"
    )]
    Version {
        /// In the bytes.
        found: u8,
        /// What can be read.
        supported: u8,
    },
    /// Another function's state, or damage.
    #[error("byte {at} of the state is no {what}: rebuild it from the events")]
    Invalid {
        /// Where.
        at: usize,
        /// What was to be read.
        what: &'static str,
    },
    /// A value inside cannot be read.
    #[error("a value in the state cannot be read")]
    Value(#[source] DecodeError),
}
