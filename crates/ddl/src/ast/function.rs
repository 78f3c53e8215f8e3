//! `CREATE FUNCTION`.

use super::{Ident, IntervalLit, Metadata, RequestColumn, Span, StringLit, Tag, TypeName};

/// `CREATE FUNCTION name (parameter TYPE, ...) RETURNS TYPE LANGUAGE PYTHON clauses AS
/// 'file.py:function'`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateFunction {
    /// Its name.
    pub name: Ident,
    /// Its parameters; at least one.
    pub parameters: Vec<RequestColumn>,
    /// The type of its result.
    pub result: TypeName,
    /// How it is called, and what it may do.
    pub clauses: FunctionClauses,
    /// Where it is: a file and a name in it.
    pub place: StringLit,
    /// What was recorded when it was applied; not written in files.
    pub frozen: Option<FrozenClauses>,
    /// Comment, owner, tags.
    pub metadata: Metadata,
}

/// The clauses of a function, each at most once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunctionClauses {
    /// `VECTORIZED`
    pub vectorized: Option<Span>,
    /// `CALLED ON NULL INPUT`
    pub called_on_null: Option<Span>,
    /// `TIMEOUT INTERVAL ...`
    pub timeout: Option<IntervalLit>,
    /// `MEMORY '512 MB'`
    pub memory: Option<StringLit>,
    /// `ALLOW NETWORK`
    pub network: Option<Span>,
    /// `ALLOW FILES`
    pub files: Option<Span>,
}

/// `SOURCE ('path' = 'text', ...) LOCK ('package' = 'version', ...) CLASS '...'`, or `SOURCE RECORDED`
#[derive(Clone, Debug, PartialEq)]
pub struct FrozenClauses {
    /// What is recorded of the newest version; the rest is empty.
    pub is_recorded: bool,
    /// The texts of its modules, by path.
    pub source: Vec<Tag>,
    /// The versions of what they import, by name.
    pub lock: Vec<Tag>,
    /// What the checks found.
    pub class: StringLit,
    /// All of it.
    pub span: Span,
}

impl FrozenClauses {
    /// `SOURCE RECORDED`
    pub fn recorded(span: Span) -> Self {
        let class = StringLit {
            value: String::new(),
            span,
        };
        FrozenClauses {
            is_recorded: true,
            source: Vec::new(),
            lock: Vec::new(),
            class,
            span,
        }
    }
}
