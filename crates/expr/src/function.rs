//! The closed list: every function and operator that a feature definition may use, as data.
//!
//! Each entry has a name, aliases, how arguments are typed, its rule in one line, and how
//! it runs. The reference page and the lookup by name both come from this table, so they
//! cannot disagree. Names that other systems have and this one does not are in [`names`].

mod arithmetic;
mod array;
mod calendar;
mod comparison;
mod condition;
mod math;
mod names;
mod numeric;
mod rounding;
mod text;
mod time;
mod vector;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use evenkeel_types::{DataType, Expr, ExprKind, Value};

use crate::coerce::{accepts, to_common};
use crate::error::BuildError;
use crate::kernel::Kernel;

pub(crate) use condition::case;
pub(crate) use names::unknown;

/// What kind of function it is: the sections of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `+`, `round`, `greatest`.
    Arithmetic,
    /// `ln`, `sin`, `pow`.
    Mathematics,
    /// `=`, `BETWEEN`, `IN`.
    Comparison,
    /// `AND`, `if`, `coalesce`.
    Condition,
    /// `substr`, `LIKE`.
    Text,
    /// `date_trunc`, `year`.
    Time,
    /// `array_length`, element access.
    Array,
    /// `dot_product`.
    Vector,
}

impl Group {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Group::Arithmetic => "Arithmetic",
            Group::Mathematics => "Mathematics",
            Group::Comparison => "Comparison",
            Group::Condition => "Conditions",
            Group::Text => "Text",
            Group::Time => "Time",
            Group::Array => "Arrays and structs",
            Group::Vector => "Vectors and places",
        }
    }
}

/// One entry of the closed list.
#[derive(Debug)]
pub struct Function {
    /// The canonical name, lower case: the one in a built expression.
    pub name: &'static str,
    /// Other names and operators that mean the same.
    pub aliases: &'static [&'static str],
    /// Its section.
    pub group: Group,
    /// What it answers, in one line.
    pub rule: &'static str,
    /// What it answers for NULL arguments; empty for the usual: NULL if any is NULL.
    pub nulls: &'static str,
    /// When it is ERROR; empty if never on its own.
    pub errors: &'static str,
    binding: Binding,
}

impl Function {
    /// How it is called: `substr(STRING, BIGINT, BIGINT) -> STRING`.
    pub fn signatures(&self) -> Vec<String> {
        match self.binding {
            Binding::Overloads(overloads) => overloads
                .iter()
                .map(|overload| {
                    let parameters: Vec<String> = overload
                        .parameters
                        .iter()
                        .map(DataType::to_string)
                        .collect();
                    format!(
                        "{}({}) -> {}",
                        self.name,
                        parameters.join(", "),
                        overload.result
                    )
                })
                .collect(),
            Binding::Special { signatures, .. } | Binding::Form { signatures, .. } => {
                signatures.iter().map(|s| (*s).to_owned()).collect()
            }
        }
    }

    /// A typed call.
    pub(crate) fn bind(&self, args: Vec<Expr>) -> Result<Expr, BuildError> {
        match self.binding {
            Binding::Overloads(overloads) => self.bind_overload(overloads, args),
            Binding::Special { bind, .. } | Binding::Form { bind, .. } => bind(self.name, args),
        }
    }

    /// How a call of it runs.
    ///
    /// # Panics
    /// If the call was not made by [`Function::bind`].
    pub(crate) fn kernel(&self, signature: &Signature<'_>) -> Arc<dyn Kernel> {
        match self.binding {
            Binding::Overloads(overloads) => {
                let overload = overloads
                    .iter()
                    .find(|o| o.parameters == signature.arguments)
                    .expect("arguments were converted to an overload's parameters");
                (overload.kernel)(signature)
            }
            Binding::Special { kernel, .. } => kernel(signature),
            Binding::Form { .. } => panic!("`{}` is not a call", self.name),
        }
    }

    fn bind_overload(
        &self,
        overloads: &'static [Overload],
        args: Vec<Expr>,
    ) -> Result<Expr, BuildError> {
        let fits_count = |o: &&Overload| o.parameters.len() == args.len();
        if !overloads.iter().any(|o| fits_count(&o)) {
            let counts = overloads.iter().map(|o| o.parameters.len());
            return Err(argument_count(
                self.name,
                counts.clone().min().unwrap_or(0),
                counts.max(),
                args.len(),
            ));
        }
        let fits = |o: &&Overload| {
            args.iter()
                .zip(o.parameters)
                .all(|(arg, parameter)| accepts(arg, parameter))
        };
        let Some(overload) = overloads.iter().filter(fits_count).find(fits) else {
            return Err(self.argument_type(overloads, &args));
        };
        let args = args
            .into_iter()
            .zip(overload.parameters)
            .enumerate()
            .map(|(i, (arg, parameter))| to_common(self.name, i, arg, parameter))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(call(self.name, args, overload.result.clone()))
    }

    /// The first argument that fits no overload which the arguments before it fit.
    fn argument_type(&self, overloads: &'static [Overload], args: &[Expr]) -> BuildError {
        let mut candidates: Vec<&Overload> = overloads
            .iter()
            .filter(|o| o.parameters.len() == args.len())
            .collect();
        for (i, arg) in args.iter().enumerate() {
            let left: Vec<&Overload> = candidates
                .iter()
                .copied()
                .filter(|o| accepts(arg, &o.parameters[i]))
                .collect();
            if left.is_empty() {
                let mut expected: Vec<String> = Vec::new();
                for candidate in candidates {
                    let name = candidate.parameters[i].to_string();
                    if !expected.contains(&name) {
                        expected.push(name);
                    }
                }
                return argument_type(self.name, i, &expected.join(" or "), arg);
            }
            candidates = left;
        }
        unreachable!("some overload fits all arguments")
    }
}

/// How the arguments of a function are typed, and how it runs.
#[derive(Debug)]
enum Binding {
    /// The first overload whose parameters the arguments widen to.
    Overloads(&'static [Overload]),
    /// Types that a list of overloads cannot say.
    Special {
        signatures: &'static [&'static str],
        bind: Bind,
        kernel: MakeKernel,
    },
    /// Becomes another form of expression.
    Form {
        signatures: &'static [&'static str],
        bind: Bind,
    },
}

type Bind = fn(&'static str, Vec<Expr>) -> Result<Expr, BuildError>;
type MakeKernel = fn(&Signature<'_>) -> Arc<dyn Kernel>;

#[derive(Debug)]
struct Overload {
    parameters: &'static [DataType],
    result: &'static DataType,
    kernel: MakeKernel,
}

const fn overload(
    parameters: &'static [DataType],
    result: &'static DataType,
    kernel: MakeKernel,
) -> Overload {
    Overload {
        parameters,
        result,
        kernel,
    }
}

/// What a kernel is made for.
pub(crate) struct Signature<'a> {
    pub(crate) arguments: &'a [DataType],
    /// The arguments that are literals.
    pub(crate) constants: &'a [Option<Value>],
    pub(crate) result: &'a DataType,
}

impl Signature<'_> {
    /// The text of an argument that binding made sure is a text literal.
    fn constant_text(&self, i: usize) -> Option<&str> {
        match self.constants.get(i)? {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }
}

fn call(name: &str, args: Vec<Expr>, result: DataType) -> Expr {
    Expr {
        kind: ExprKind::Call {
            function: Arc::from(name),
            args,
        },
        data_type: result,
    }
}

fn argument_count(function: &str, least: usize, most: Option<usize>, found: usize) -> BuildError {
    let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
    let expected = match most {
        Some(0) => "no arguments".to_owned(),
        Some(most) if most == least => format!("{least} {}", plural(least)),
        Some(most) => format!("{least} to {most} arguments"),
        None => format!("at least {least} {}", plural(least)),
    };
    BuildError::ArgumentCount {
        function: function.to_owned(),
        expected,
        found,
    }
}

fn check_count(
    function: &str,
    args: &[Expr],
    least: usize,
    most: Option<usize>,
) -> Result<(), BuildError> {
    if args.len() < least || most.is_some_and(|most| args.len() > most) {
        return Err(argument_count(function, least, most, args.len()));
    }
    Ok(())
}

fn argument_type(function: &str, argument: usize, expected: &str, found: &Expr) -> BuildError {
    let hint = match (&found.data_type, expected) {
        (DataType::String, "BOOLEAN") => Some("compare it with something: `x = 'yes'`".to_owned()),
        (t, "BOOLEAN") if t.is_numeric() => Some("compare it with something: `x <> 0`".to_owned()),
        (t, "STRING") if t.is_scalar() => Some("write `CAST(... AS STRING)`".to_owned()),
        (DataType::String, _) => Some("cast the text first: `CAST(... AS ...)`".to_owned()),
        (DataType::Double | DataType::Float, "BIGINT") => {
            Some("say how to make it whole: `CAST(round(x) AS BIGINT)`".to_owned())
        }
        _ => None,
    };
    BuildError::ArgumentType {
        function: function.to_owned(),
        argument,
        expected: expected.to_owned(),
        found: found.data_type.clone(),
        hint,
    }
}

/// The argument in the type, if it becomes that by itself.
fn expect(function: &str, argument: usize, expr: Expr, to: &DataType) -> Result<Expr, BuildError> {
    if accepts(&expr, to) {
        to_common(function, argument, expr, to)
    } else {
        Err(argument_type(function, argument, &to.to_string(), &expr))
    }
}

/// The text of an argument that must be a text literal.
fn literal_text<'a>(
    function: &str,
    argument: usize,
    expr: &'a Expr,
    what: &'static str,
) -> Result<&'a str, BuildError> {
    match &expr.kind {
        ExprKind::Literal(Value::String(text)) => Ok(text),
        _ => Err(BuildError::NotConstant {
            function: function.to_owned(),
            argument,
            what,
        }),
    }
}

/// The closed list, section by section.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    [
        arithmetic::FUNCTIONS,
        arithmetic::BITS,
        rounding::FUNCTIONS,
        math::FUNCTIONS,
        comparison::FUNCTIONS,
        condition::FUNCTIONS,
        text::FUNCTIONS,
        text::EDITING,
        text::SEARCHING,
        calendar::FUNCTIONS,
        time::FUNCTIONS,
        array::FUNCTIONS,
        vector::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
}

/// The entry of a canonical name or an alias, in any case.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    static BY_NAME: LazyLock<BTreeMap<&'static str, &'static Function>> = LazyLock::new(|| {
        functions()
            .flat_map(|f| {
                f.aliases
                    .iter()
                    .copied()
                    .chain([f.name])
                    .map(move |n| (n, f))
            })
            .collect()
    });
    BY_NAME.get(name.to_ascii_lowercase().as_str()).copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut seen = BTreeSet::new();
        for f in functions() {
            for name in f.aliases.iter().chain([&f.name]) {
                assert!(seen.insert(*name), "`{name}` is there twice");
                assert_eq!(*name, name.to_ascii_lowercase());
                assert!(std::ptr::eq(find(name).unwrap(), f));
            }
            assert!(
                !f.rule.is_empty() && !f.signatures().is_empty(),
                "{}",
                f.name
            );
        }
    }
}
