//! Functions of another language, as definitions: `CREATE FUNCTION ... LANGUAGE PYTHON`.
//!
//! Owns what is known of one, and the seam to what makes it run ([`FunctionHost`]); processes are
//! somebody else's. Invariant: everything that values depend on besides the arguments is in the
//! [`FunctionSpec`], so that its digest is a version: the text of the modules and the versions of
//! the packages are, the files that they came from are not.

use std::fmt;
use std::sync::Arc;

use super::{Digest, Metadata};
use crate::data_type::{DataType, Field};
use crate::external::External;

/// What a function is, to whoever runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionSpec {
    /// Name in SQL.
    pub name: String,
    /// Names and types of the parameters, in order.
    pub parameters: Vec<Field>,
    /// The type of the result.
    pub result: DataType,
    /// `VECTORIZED`: it takes and gives arrays; else it is called with the values of a row.
    pub is_vectorized: bool,
    /// `CALLED ON NULL INPUT`; else a row with a NULL among its arguments is NULL.
    pub takes_nulls: bool,
    /// How long a call may take, milliseconds.
    pub timeout_ms: u64,
    /// What it may have in memory besides the interpreter.
    pub memory_bytes: u64,
    /// `ALLOW NETWORK`
    pub allows_network: bool,
    /// `ALLOW FILES`
    pub allows_files: bool,
    /// The module's file in the project's folder.
    pub file: String,
    /// The function in the module.
    pub function: String,
    /// What was frozen when it was applied.
    pub frozen: FrozenFunction,
    /// Its `D`.
    pub digest: Digest,
}

/// What of a function is recorded with its definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrozenFunction {
    /// The text of its module and of those of the project that it imports, by path.
    pub source: Vec<(String, String)>,
    /// The versions of `python` and of the packages that these import, by name.
    pub lock: Vec<(String, String)>,
    /// What the checks found.
    pub class: FunctionClass,
}

/// Whether a function gives equal bits for equal arguments, as far as checks can find out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FunctionClass {
    /// The checks found no difference.
    #[default]
    BitStable,
    /// They found one; the words say which.
    RecordedOnly(String),
}

/// A version of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionDef {
    /// What it is.
    pub spec: Arc<FunctionSpec>,
    /// From 1.
    pub version: u32,
    /// The function as expressions call it.
    pub external: External,
    /// Comment, owner, tags.
    pub metadata: Metadata,
    /// Canonical SQL, with what is frozen.
    pub sql: String,
}

/// What makes functions run.
pub trait FunctionHost: Send + Sync + fmt::Debug {
    /// The function as expressions call it. Nothing is started.
    fn external(&self, spec: &Arc<FunctionSpec>) -> External;

    /// What of a function is to be recorded; `spec` has nothing frozen yet. `known` is what was
    /// recorded of it before: its class holds if nothing else differs.
    ///
    /// # Errors
    /// In words, if it cannot be read, does not load, or is not what it was declared as.
    fn freeze(
        &self,
        spec: &FunctionSpec,
        known: Option<&FunctionSpec>,
    ) -> Result<FrozenFunction, String>;

    /// What whoever defines a function should know of what [`FunctionHost::freeze`] found and does
    /// not record.
    fn remark(&self, _spec: &FunctionSpec, _frozen: &FrozenFunction) -> Option<String> {
        None
    }
}
