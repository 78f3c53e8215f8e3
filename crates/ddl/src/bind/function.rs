//! `CREATE FUNCTION`: functions in Python.
//!
//! What the files of a function are is frozen before it is bound, by whoever makes functions run:
//! as with `FROM FILE`, what comes out is a statement that says all that there is to know. Its
//! digest has the text of the modules and the versions of the packages, and the limits: views are
//! bound to a version.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_types::definition::{
    Catalog, Digest, FrozenFunction, FunctionClass, FunctionDef, FunctionSpec,
};
use evenkeel_types::{DataType, Field};

use super::Binder;
use super::entity::metadata;
use super::report::Report;
use crate::ast::{
    CreateFunction, FrozenClauses, Ident, IntervalLit, RequestColumn, Span, Statement,
    StatementKind, StringLit, Tag, TypeName,
};
use crate::error::Diagnostic;
use crate::parser::parse_statements;

const TIMEOUT_MS: u64 = 5_000;
/// What waits for a call in a derived stream is the writer.
const TIMEOUT_MS_MAX: u64 = 60_000;
const MEMORY_BYTES: u64 = 512 << 20;
const MEMORY_BYTES_MIN: u64 = 16 << 20;
const MEMORY_BYTES_MAX: u64 = 1 << 40;
/// The class of a function whose bits do not differ.
const BIT_STABLE: &str = "bit-stable";
/// What the class of another one begins with.
const RECORDED_ONLY: &str = "recorded only: ";

/// Puts what is frozen into a function of a project. Whether it can be bound; if not, `report`
/// says why.
pub(super) fn freeze(statement: &mut Statement, existing: &Catalog, report: &mut Report) -> bool {
    let span = statement.span;
    let StatementKind::CreateFunction(create) = &mut statement.kind else {
        return true;
    };
    let known = existing.function(&create.name.value);
    if let (Some(frozen), Some(known)) = (&create.frozen, known)
        && frozen.is_recorded
    {
        create.frozen = Some(clauses_of(&known.spec.frozen, create.place.span));
        return true;
    }
    if let Some(frozen) = &create.frozen {
        // Registered definitions go with those of files.
        let written = frozen_of(frozen, &mut Report::default());
        if known.is_some_and(|known| Some(&known.spec.frozen) == written.as_ref()) {
            return true;
        }
        report.hinted::<()>(
            "`SOURCE`, `LOCK` and `CLASS` are what `apply` records: they are not written in files",
            frozen.span,
            "leave them out: the modules are read when the definition is applied",
        );
        return false;
    }
    // Only of new ones: a later function of the language does not take the name of one that is recorded.
    refuse_name(&create.name, report);
    if report.has_errors() {
        return false;
    }
    let Some(spec) = spec_of(create, FrozenFunction::default(), Digest::default(), report) else {
        return false;
    };
    let Some(host) = &existing.host else {
        report.hinted::<()>(
            "functions in Python cannot be checked here",
            span,
            "use `evenkeel check` in the project's folder",
        );
        return false;
    };
    match host.freeze(&spec, known.map(|def| &*def.spec)) {
        Ok(frozen) => {
            if let Some(remark) = host.remark(&spec, &frozen) {
                let message = format!("of `{}` nothing was proved: {remark}", create.name.value);
                let warning = Diagnostic::warning(message, create.place.span)
                    .with_hint("`evenkeel function call` shows what it raises");
                report.push::<()>(warning);
            }
            create.frozen = Some(clauses_of(&frozen, create.place.span));
            true
        }
        Err(reason) => {
            report.hinted::<()>(
                format!("`{}` cannot be used: {reason}", create.place.value),
                create.place.span,
                "`evenkeel function call` shows what it does",
            );
            false
        }
    }
}

/// Whether a function that statements or else a catalog define gives values that must be recorded; it is
/// frozen already.
pub(super) fn is_recorded_only(name: &str, statements: &[&Statement], existing: &Catalog) -> bool {
    let defined = statements
        .iter()
        .find_map(|statement| match &statement.kind {
            StatementKind::CreateFunction(create) if create.name.value == name => Some(create),
            _ => None,
        });
    match defined {
        Some(create) => create
            .frozen
            .as_ref()
            .is_some_and(|frozen| frozen.class.value.starts_with(RECORDED_ONLY)),
        None => existing
            .function(name)
            .is_some_and(|def| matches!(def.spec.frozen.class, FunctionClass::RecordedOnly(_))),
    }
}

/// The statement of a recorded function, without the texts that are recorded with it; none if it is
/// another statement. Only bound where the function is.
pub fn without_texts(sql: &str) -> Option<String> {
    let (mut statements, _) = parse_statements(sql);
    let statement = statements.first_mut()?;
    let StatementKind::CreateFunction(create) = &mut statement.kind else {
        return None;
    };
    create.frozen = Some(FrozenClauses::recorded(create.place.span));
    Some(statement.to_string())
}

/// What a statement declares, if it is a function; nothing is frozen, and nothing read.
///
/// # Errors
/// All that is wrong with it.
pub fn declared_function(statement: &Statement) -> Option<Result<FunctionSpec, Vec<Diagnostic>>> {
    let StatementKind::CreateFunction(create) = &statement.kind else {
        return None;
    };
    let mut report = Report::default();
    let spec = spec_of(
        create,
        FrozenFunction::default(),
        Digest::default(),
        &mut report,
    );
    Some(spec.ok_or_else(|| report.into_parts().0))
}

impl Binder<'_> {
    /// `CREATE FUNCTION` with what is frozen.
    pub(super) fn python_function(
        &self,
        create: &CreateFunction,
        sql: String,
        digest: Digest,
        report: &mut Report,
    ) -> Option<FunctionDef> {
        let Some(clauses) = &create.frozen else {
            return report.hinted(
                "a function is read from its file by a project, and here is none",
                create.place.span,
                "apply it with the project's other definitions",
            );
        };
        let frozen = frozen_of(clauses, report)?;
        let spec = Arc::new(spec_of(create, frozen, digest, report)?);
        let host = self.existing.host.as_ref().or(self.catalog.host.as_ref());
        let Some(host) = host else {
            return report.error("functions in Python cannot be run here", create.name.span);
        };
        if let FunctionClass::RecordedOnly(example) = &spec.frozen.class {
            let message = format!("`{}` does not give equal bits: {example}", spec.name);
            report.push::<()>(
                Diagnostic::warning(message, create.name.span)
                    .with_hint("it can be a column of derived streams and `MATERIALIZED` views, where its values are recorded; views whose values are computed again cannot call it"),
            );
        }
        let version = match self.existing.function(&spec.name) {
            Some(newest) if newest.spec.digest == digest => newest.version,
            Some(newest) => newest.version + 1,
            None => 1,
        };
        Some(FunctionDef {
            version,
            external: host.external(&spec),
            spec,
            metadata: metadata(&create.metadata, report),
            sql,
        })
    }
}

/// What is declared, all that is wrong with it told.
fn spec_of(
    create: &CreateFunction,
    frozen: FrozenFunction,
    digest: Digest,
    report: &mut Report,
) -> Option<FunctionSpec> {
    let errors_before = report.error_count();
    let parameters = parameters_of(&create.parameters, report);
    let result = &create.result;
    refuse_type(&result.data_type, result.span, report);
    let place = place_of(&create.place, report);
    let clauses = &create.clauses;
    let timeout_ms = clauses
        .timeout
        .as_ref()
        .map_or(Some(TIMEOUT_MS), |t| milliseconds(t, report));
    let memory_bytes = clauses
        .memory
        .as_ref()
        .map_or(Some(MEMORY_BYTES), |m| bytes_of(m, report));
    let ((file, function), timeout_ms, memory_bytes) = (place?, timeout_ms?, memory_bytes?);
    (report.error_count() == errors_before).then(|| FunctionSpec {
        name: create.name.value.clone(),
        parameters,
        result: result.data_type.clone(),
        is_vectorized: clauses.vectorized.is_some(),
        takes_nulls: clauses.called_on_null.is_some(),
        timeout_ms,
        memory_bytes,
        allows_network: clauses.network.is_some(),
        allows_files: clauses.files.is_some(),
        file,
        function,
        frozen,
        digest,
    })
}

fn refuse_name(name: &Ident, report: &mut Report) {
    let text = name.value.as_str();
    let is_ours = evenkeel_expr::functions().any(|f| f.name == text || f.aliases.contains(&text))
        || evenkeel_aggregate::signature::names().any(|n| n == text)
        || ["read_time", "predict"].contains(&text);
    if is_ours {
        report.hinted::<()>(
            format!("`{text}` is a function of the language"),
            name.span,
            "give it another name",
        );
    }
}

fn parameters_of(written: &[RequestColumn], report: &mut Report) -> Vec<Field> {
    let mut names = BTreeSet::new();
    for parameter in written {
        if !names.insert(parameter.name.value.as_str()) {
            let message = format!("two parameters are called `{}`", parameter.name);
            report.error::<()>(message, parameter.name.span);
        }
        let TypeName {
            data_type, span, ..
        } = &parameter.data_type;
        refuse_type(data_type, *span, report);
    }
    let fields = written.iter();
    fields
        .map(|p| Field::new(p.name.value.clone(), p.data_type.data_type.clone()))
        .collect()
}

/// Values go to Python as Arrow.
fn refuse_type(data_type: &DataType, span: Span, report: &mut Report) {
    if !data_type.is_storable() {
        report.hinted::<()>(
            format!("a function neither takes nor gives {data_type}"),
            span,
            "take the parts that it needs: numbers, texts, times, arrays of them",
        );
    }
}

/// The file and the function of `'file.py:function'`.
fn place_of(place: &StringLit, report: &mut Report) -> Option<(String, String)> {
    let is_name = |part: &str| {
        let mut letters = part.chars();
        letters
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_')
            && letters.all(|c| c.is_alphanumeric() || c == '_')
    };
    let parts = place.value.split_once(':').and_then(|(file, function)| {
        let module = file.strip_suffix(".py")?;
        let is_place = module.split('/').all(is_name) && function.split('.').all(is_name);
        is_place.then(|| (file.to_owned(), function.to_owned()))
    });
    if parts.is_none() {
        return report.hinted(
            format!("`{}` is not a file and a function", place.value),
            place.span,
            "write `'functions.py:area'`, the path from the project's folder, each part a name that Python can import",
        );
    }
    parts
}

fn milliseconds(timeout: &IntervalLit, report: &mut Report) -> Option<u64> {
    let length = timeout.value;
    let milliseconds = u64::try_from(length.micros / 1000).unwrap_or(0);
    if length.months != 0 || !(1..=TIMEOUT_MS_MAX).contains(&milliseconds) {
        return report.hinted(
            "a call takes at least a millisecond and at most a minute",
            timeout.span,
            "write `TIMEOUT INTERVAL '5' SECOND`",
        );
    }
    Some(milliseconds)
}

fn bytes_of(memory: &StringLit, report: &mut Report) -> Option<u64> {
    let text = memory.value.trim();
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(0));
    let shift = match unit.trim().to_ascii_uppercase().as_str() {
        "MB" => Some(20),
        "GB" => Some(30),
        _ => None,
    };
    let number = number.parse::<u64>().ok();
    let bytes = number.zip(shift).and_then(|(n, s)| n.checked_mul(1 << s));
    let bytes = bytes.filter(|bytes| (MEMORY_BYTES_MIN..=MEMORY_BYTES_MAX).contains(bytes));
    if bytes.is_none() {
        return report.hinted(
            format!("`{}` is not a size from 16 MB on", memory.value),
            memory.span,
            "write `MEMORY '512 MB'` or `MEMORY '2 GB'`",
        );
    }
    bytes
}

fn frozen_of(clauses: &FrozenClauses, report: &mut Report) -> Option<FrozenFunction> {
    let texts = |tags: &[Tag]| -> Vec<(String, String)> {
        let tags = tags.iter();
        tags.map(|tag| (tag.key.value.clone(), tag.value.value.clone()))
            .collect()
    };
    let class = match clauses.class.value.as_str() {
        BIT_STABLE => FunctionClass::BitStable,
        other => match other.strip_prefix(RECORDED_ONLY) {
            Some(example) => FunctionClass::RecordedOnly(example.to_owned()),
            None => return report.error("there is no such class", clauses.class.span),
        },
    };
    Some(FrozenFunction {
        source: texts(&clauses.source),
        lock: texts(&clauses.lock),
        class,
    })
}

fn clauses_of(frozen: &FrozenFunction, span: Span) -> FrozenClauses {
    let text = |value: &str| StringLit {
        value: value.to_owned(),
        span,
    };
    let tags = |texts: &[(String, String)]| -> Vec<Tag> {
        let texts = texts.iter();
        texts
            .map(|(key, value)| Tag {
                key: text(key),
                value: text(value),
            })
            .collect()
    };
    FrozenClauses {
        is_recorded: false,
        source: tags(&frozen.source),
        lock: tags(&frozen.lock),
        class: text(&match &frozen.class {
            FunctionClass::BitStable => BIT_STABLE.to_owned(),
            FunctionClass::RecordedOnly(example) => format!("{RECORDED_ONLY}{example}"),
        }),
        span,
    }
}
