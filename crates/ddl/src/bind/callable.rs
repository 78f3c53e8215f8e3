//! What expressions may call besides the functions of the language: models.
//!
//! The list goes wherever the report of a statement goes, since every expression of it may call
//! them; what is evaluated while rows are recorded may not.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_expr::build;
use evenkeel_types::definition::Catalog;
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
    /// The place in words, where nothing of it may be called.
    refused_in: Option<&'static str>,
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
        Callables {
            models: Arc::new(known.chain(unknown).collect()),
            refused_in: None,
        }
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
