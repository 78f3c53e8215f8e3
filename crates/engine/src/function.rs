//! Functions in Python: what makes them run (`docs/decisions/0039-functions.md`).
//!
//! Owns the processes in which they run and which function runs where; what their definitions mean
//! is `ddl`'s. Invariant: whatever a function does ends no more than the request that called it,
//! and a value that the function did not give is never taken for one that it gave.

mod call;
mod check;
mod deferred;
mod failure;
mod inspect;
mod program;
mod sample;
mod tally;
mod worker;
mod workers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use evenkeel_ddl::{Diagnostic, declared_function, parse_statements};
use evenkeel_types::definition::{FrozenFunction, FunctionClass, FunctionHost, FunctionSpec};
use evenkeel_types::{Column, ColumnFunction, External, FunctionSignature, Value};

pub use self::check::FunctionCheck;
pub use self::deferred::{FunctionCalls, Given};
pub(crate) use self::failure::{Deferring, forget, taken, taking};
pub use self::failure::{FunctionFailure, FunctionFailureKind};
pub use self::tally::{FunctionCounts, FunctionTally};

use crate::definitions::unknown;
use crate::error::EngineError;
use crate::project::DefinitionFile;

use self::call::Pieces;
use self::deferred::Memory;
use self::program::Program;
use self::tally::Tallies;
use self::workers::Workers;

/// The interpreter if the project does not name one.
pub const PYTHON_DEFAULT: &str = "python3";
/// The environment variable that names another one.
pub(crate) const PYTHON_VARIABLE: &str = "EVENKEEL_PYTHON";

/// What makes the functions of a project run. Cloning shares the processes.
#[derive(Clone, Debug)]
pub struct PythonHost {
    interpreter: PathBuf,
    /// Where modules are looked for when a definition is frozen.
    root: PathBuf,
    workers: Arc<Workers>,
    tallies: Arc<Tallies>,
    /// What checks found, by what they were made of: a definition is frozen whenever it is planned.
    checks: Arc<Mutex<BTreeMap<[u8; 32], FunctionCheck>>>,
    memory: Arc<Memory>,
}

impl PythonHost {
    /// For a project's folder; nothing is started. A relative interpreter with a separator is in that folder.
    pub fn new(root: &Path, interpreter: &Path) -> Self {
        let is_path = interpreter.components().count() > 1;
        // Processes are started elsewhere than in this folder.
        let path = || std::path::absolute(root.join(interpreter));
        PythonHost {
            interpreter: match is_path {
                true => path().unwrap_or_else(|_| root.join(interpreter)),
                false => interpreter.to_owned(),
            },
            root: root.to_owned(),
            workers: Arc::default(),
            tallies: Arc::default(),
            checks: Arc::default(),
            memory: Arc::default(),
        }
    }

    /// What was called since the process began, by name.
    pub fn tallies(&self) -> Vec<(String, FunctionTally)> {
        self.tallies.all()
    }

    /// Calls a function with rows of values; what its exceptions said is told besides.
    ///
    /// # Errors
    /// If the call fails; that is not an exception of the function.
    pub fn call(
        &self,
        spec: &Arc<FunctionSpec>,
        rows: &[Vec<Value>],
    ) -> Result<(Vec<Value>, Vec<String>), FunctionFailure> {
        let function = self.function(spec);
        let arguments = columns_of(spec, rows);
        let (column, told) = function.try_evaluate(&arguments, rows.len())?;
        Ok((column.iter().collect(), told))
    }

    /// A function as definition files have it now, whatever it does: no check was made.
    ///
    /// # Errors
    /// If there is none of the name; if it cannot be read.
    pub fn declared(
        &self,
        files: &[DefinitionFile],
        name: &str,
    ) -> Result<Arc<FunctionSpec>, EngineError> {
        let mut names = Vec::new();
        for file in files {
            for statement in parse_statements(&file.text).0 {
                let in_file = |found: Vec<Diagnostic>| {
                    let found = found.into_iter();
                    EngineError::Definitions(found.map(|d| (file.name.clone(), d)).collect())
                };
                let Some(declared) = declared_function(&statement) else {
                    continue;
                };
                let spec = declared.map_err(in_file)?;
                if spec.name == name {
                    let frozen = inspect::inspect(&self.interpreter, &self.root, &spec);
                    let frozen = frozen.map_err(|reason| {
                        let failure = FunctionFailure {
                            function: name.to_owned(),
                            kind: FunctionFailureKind::Start,
                            reason,
                            told: String::new(),
                        };
                        EngineError::Function(Box::new(failure))
                    })?;
                    return Ok(Arc::new(with_frozen(&spec, &frozen)));
                }
                names.push(spec.name);
            }
        }
        Err(unknown("function", name, &names))
    }

    /// What keeps a function from files and network, by name.
    ///
    /// # Errors
    /// If its process cannot be started.
    pub fn walls(&self, spec: &FunctionSpec) -> Result<Vec<String>, FunctionFailure> {
        let program = Program::new(&self.interpreter, spec, &[]);
        let lent = self.workers.take(&program);
        let lent = lent.map_err(|failure| failure.of(&spec.name))?;
        let walls = lent.walls().to_vec();
        lent.bring_back();
        Ok(walls)
    }

    /// The checks of [`FunctionHost::freeze`], of a function as it is recorded.
    ///
    /// # Errors
    /// If the function cannot be run at all.
    pub fn check(&self, spec: &Arc<FunctionSpec>) -> Result<FunctionCheck, FunctionFailure> {
        check::checked(&self.interpreter, spec)
    }

    /// What the checks find, found out once.
    fn known_check(&self, spec: &Arc<FunctionSpec>) -> Result<FunctionCheck, FunctionFailure> {
        if let Some(known) = self.found_before(spec) {
            return Ok(known);
        }
        let found = self.check(spec)?;
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.insert(key_of(spec), found.clone());
        Ok(found)
    }

    fn found_before(&self, spec: &FunctionSpec) -> Option<FunctionCheck> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.get(&key_of(spec)).cloned()
    }

    fn function(&self, spec: &Arc<FunctionSpec>) -> PythonFunction {
        PythonFunction {
            signature: FunctionSignature {
                name: spec.name.clone(),
                digest: spec.digest,
                parameters: spec.parameters.clone(),
                result: spec.result.clone(),
            },
            program: Program::new(&self.interpreter, spec, &[]),
            spec: Arc::clone(spec),
            workers: Arc::clone(&self.workers),
            tallies: Arc::clone(&self.tallies),
            memory: Arc::clone(&self.memory),
            piece: AtomicUsize::new(call::PIECE_FIRST),
        }
    }
}

impl FunctionHost for PythonHost {
    fn external(&self, spec: &Arc<FunctionSpec>) -> External {
        External::new(Arc::new(Shared(Arc::new(self.function(spec)))))
    }

    fn freeze(
        &self,
        spec: &FunctionSpec,
        known: Option<&FunctionSpec>,
    ) -> Result<FrozenFunction, String> {
        let mut frozen = inspect::inspect(&self.interpreter, &self.root, spec)?;
        let spec_with = |frozen: &FrozenFunction| with_frozen(spec, frozen);
        if let Some(known) = known {
            frozen.class = known.frozen.class.clone();
            let again = FunctionSpec {
                digest: known.digest,
                ..spec_with(&frozen)
            };
            if again == *known {
                return Ok(frozen);
            }
            frozen.class = FunctionClass::default();
        }
        let spec = Arc::new(spec_with(&frozen));
        frozen.class = self
            .known_check(&spec)
            .map_err(|failure| failure.in_words())?
            .class;
        Ok(frozen)
    }

    fn remark(&self, spec: &FunctionSpec, frozen: &FrozenFunction) -> Option<String> {
        let unclassed = FrozenFunction {
            class: FunctionClass::default(),
            ..frozen.clone()
        };
        self.found_before(&with_frozen(spec, &unclassed))?.remark()
    }
}

/// What a check was made of.
fn key_of(spec: &FunctionSpec) -> [u8; 32] {
    blake3::hash(format!("{spec:?}").as_bytes()).into()
}

/// A function with what was frozen, which tells its version.
fn with_frozen(spec: &FunctionSpec, frozen: &FrozenFunction) -> FunctionSpec {
    let mut with = FunctionSpec {
        frozen: frozen.clone(),
        ..spec.clone()
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{with:?}").as_bytes());
    hasher.finalize_xof().fill(&mut with.digest);
    with
}

/// The rows as one column per parameter.
fn columns_of(spec: &FunctionSpec, rows: &[Vec<Value>]) -> Vec<Column> {
    let parameters = spec.parameters.iter().enumerate();
    parameters
        .map(|(i, parameter)| {
            Column::from_values(&parameter.data_type, rows.iter().map(|row| &row[i]))
        })
        .collect()
}

/// A function with what makes it run.
struct PythonFunction {
    signature: FunctionSignature,
    spec: Arc<FunctionSpec>,
    program: Program,
    workers: Arc<Workers>,
    tallies: Arc<Tallies>,
    memory: Arc<Memory>,
    /// How many rows go well at once.
    piece: AtomicUsize,
}

impl PythonFunction {
    /// The values, and what exceptions said.
    fn try_evaluate(
        &self,
        arguments: &[Column],
        rows: usize,
    ) -> Result<(Column, Vec<String>), FunctionFailure> {
        let asked = (arguments, rows);
        let (workers, program) = (&self.workers, &self.program);
        let pieces = Pieces::Fitting(&self.piece);
        let answered = call::evaluate(workers, program, &self.spec, asked, pieces);
        self.tallies.note(&self.spec.name, rows, &answered);
        answered.map(|answered| (answered.column, answered.told))
    }
}

/// A function in expressions.
struct Shared(Arc<PythonFunction>);

impl ColumnFunction for Shared {
    fn signature(&self) -> &FunctionSignature {
        &self.0.signature
    }

    fn may_fail(&self) -> bool {
        true
    }

    fn evaluate(&self, arguments: &[Column], rows: usize) -> Column {
        if let Some(known) = failure::deferred(&self.0, &[], (arguments, rows)) {
            return known;
        }
        if failure::has_failed() {
            // The read is at its end already.
            return Column::repeat(&self.0.spec.result, &call::NO_VALUE, rows);
        }
        match self.0.try_evaluate(arguments, rows) {
            Ok((column, _)) => column,
            Err(failed) => {
                // Whoever reads asks for it before the answer leaves.
                failure::failed(failed);
                Column::repeat(&self.0.spec.result, &call::NO_VALUE, rows)
            }
        }
    }

    fn is_null_unasked(&self, arguments: &[Value]) -> bool {
        !self.0.spec.takes_nulls && arguments.iter().any(Value::is_null)
    }

    fn evaluate_for(&self, whose: &[u8], arguments: &[&Value]) -> Value {
        let parameters = self.0.spec.parameters.iter().zip(arguments);
        let arguments: Vec<Column> = parameters
            .map(|(parameter, value)| Column::from_values(&parameter.data_type, [*value]))
            .collect();
        match failure::deferred(&self.0, whose, (&arguments, 1)) {
            Some(known) => known.get(0),
            None => self.evaluate(&arguments, 1).get(0),
        }
    }
}
