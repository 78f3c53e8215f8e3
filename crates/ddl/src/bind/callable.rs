//! What expressions may call besides the functions of the language: models, and functions in Python.
//!
//! The list goes wherever the report of a statement goes, since every expression of it may call
//! them; what is evaluated while rows are recorded may not.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_expr::build;
use evenkeel_types::definition::{Catalog, FunctionClass};
use evenkeel_types::{Expr, External};

use super::Broken;
use super::calls::{PREDICT, model_of};
use super::expression::{Binding, built};
use super::order::Space;
use super::report::did_you_mean;
use super::scope::with_hint;
use crate::ast::{self, FunctionCall, Span};
use crate::error::Diagnostic;

/// See the module. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Callables {
    /// By name; of one that has errors nothing is known.
    models: Arc<BTreeMap<String, Option<External>>>,
    functions: Arc<BTreeMap<String, Function>>,
    /// The place in words, where nothing of it may be called.
    refused_in: Option<&'static str>,
    /// Whether values of columns are recorded, so that functions may give them that give others when they are
    /// called again.
    records: bool,
    /// The column that is bound, if its value may be recorded.
    recorded_at: Option<Span>,
}

/// What is known of a function in Python.
#[derive(Clone, Debug)]
enum Function {
    BitStable(External),
    /// With a counter-example.
    RecordedOnly(External, String),
    Broken,
}

impl Callables {
    /// The newest of each name.
    pub(super) fn of(catalog: &Catalog, broken: &Broken) -> Self {
        let newest = catalog
            .models
            .values()
            .filter_map(|v| v.values().next_back());
        let known = newest.map(|def| (def.name.clone(), Some(def.function.clone())));
        let unknown = broken.names.iter();
        let unknown = unknown.filter(|(space, _)| *space == Space::Model);
        let unknown = unknown.map(|(_, name)| (name.clone(), None));
        let functions = catalog.functions.values();
        let functions = functions.filter_map(|versions| versions.values().next_back());
        let functions = functions.map(|def| {
            let function = match &def.spec.frozen.class {
                FunctionClass::BitStable => Function::BitStable(def.external.clone()),
                FunctionClass::RecordedOnly(example) => {
                    Function::RecordedOnly(def.external.clone(), example.clone())
                }
            };
            (def.spec.name.clone(), function)
        });
        let broken_functions = broken.names.iter();
        let broken_functions = broken_functions.filter(|(space, _)| *space == Space::Function);
        let broken_functions = broken_functions.map(|(_, name)| (name.clone(), Function::Broken));
        Callables {
            functions: Arc::new(functions.chain(broken_functions).collect()),
            models: Arc::new(known.chain(unknown).collect()),
            refused_in: None,
            records: false,
            recorded_at: None,
        }
    }

    /// The same for a derived stream: its columns may be what functions gave once.
    pub(super) fn recording(&self) -> Self {
        Callables {
            records: true,
            ..self.clone()
        }
    }

    /// A column is bound, or none is any more.
    pub(super) fn bind_column(&mut self, column: Option<Span>) {
        self.recorded_at = column.filter(|_| self.records);
    }

    /// Whether values of a function have to be recorded.
    pub(super) fn is_recorded_only(&self, function: &External) -> bool {
        let name = &function.signature().name;
        matches!(self.functions.get(name), Some(Function::RecordedOnly(of, _)) if of == function)
    }

    /// The same where none may be called.
    pub(super) fn refused_in(&self, place: &'static str) -> Self {
        Callables {
            refused_in: Some(place),
            ..self.clone()
        }
    }
}

impl Binding<'_> {
    /// A function in Python; `None` if there is none of the name.
    pub(super) fn python(
        &mut self,
        call: &FunctionCall,
        args: &[&ast::Expr],
        span: Span,
    ) -> Option<Option<Expr>> {
        let callables = self.report.callables().clone();
        let name = call.name.value.as_str();
        let function = callables.functions.get(name)?;
        if let Some(place) = callables.refused_in {
            return Some(self.report.hinted(
                format!("the function `{name}` in Python cannot be used in {place}"),
                call.name.span,
                "call it in a column of a view over the source",
            ));
        }
        let bound = self.arguments(args);
        let external = match function {
            Function::BitStable(external) => external.clone(),
            Function::RecordedOnly(external, _) if callables.recorded_at == Some(span) => {
                external.clone()
            }
            Function::RecordedOnly(_, example) => {
                return Some(self.report.hinted(
                    format!("`{name}` does not give equal bits, so its values must be recorded: {example}"),
                    call.name.span,
                    "let the call alone be a column of a derived stream (`CREATE STREAM ... AS SELECT`) or of a `MATERIALIZED` view, and read that; or make it a function of its arguments alone",
                ));
            }
            Function::Broken => return Some(None),
        };
        let spans: Vec<Span> = args.iter().map(|arg| arg.span).collect();
        Some(
            bound.and_then(|bound| {
                built(build::external(external, bound), span, &spans, self.report)
            }),
        )
    }

    /// `predict(model, ...)`
    pub(super) fn predict(
        &mut self,
        call: &FunctionCall,
        args: &[&ast::Expr],
        span: Span,
    ) -> Option<Expr> {
        let callables = self.report.callables().clone();
        if let Some(place) = callables.refused_in {
            return self.report.hinted(
                format!("`{PREDICT}` cannot be used in {place}"),
                call.name.span,
                "call it in a column of a view over the source",
            );
        }
        let Some(model) = model_of(call) else {
            let place = args.first().map_or(call.name.span, |arg| arg.span);
            return self.report.hinted(
                format!("the first argument of `{PREDICT}` is the name of a model"),
                place,
                "write `predict(model, x, y)`, with the model of a `CREATE MODEL`",
            );
        };
        let bound = self.arguments(args.get(1..).unwrap_or_default());
        let Some(found) = callables.models.get(&model.value) else {
            let names = callables.models.keys().map(String::as_str);
            let hint = did_you_mean(&model.value, names)
                .unwrap_or_else(|| format!("define it: `CREATE MODEL {model} FROM 'model.onnx'`"));
            return self.report.push(with_hint(
                Diagnostic::error(format!("there is no model `{model}`"), model.span),
                Some(hint),
            ));
        };
        let function = found.clone()?;
        let spans: Vec<Span> = args.iter().skip(1).map(|arg| arg.span).collect();
        built(build::external(function, bound?), span, &spans, self.report)
    }
}
