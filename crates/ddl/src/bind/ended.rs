//! `DROP STREAM x`: a derived stream ends. Its emissions stay, and who reads them reads them; it emits
//! nothing any more.
//!
//! The statement stands where the stream's `CREATE` statement stood; once it is applied it may go, too.
//! Nothing else is dropped: what is in no file is in none.

use std::sync::Arc;

use evenkeel_types::SourceId;
use evenkeel_types::definition::{
    Catalog, Definition, DerivedDef, LookupTarget, SourceDef, ViewBody, ViewDef,
};

use super::Binder;
use super::evolve::key_uses;
use super::report::{Report, did_you_mean, in_words};
use crate::ast::{Drop, ObjectKind, Span, Statement, StatementKind};
use crate::error::Diagnostic;

impl Binder<'_> {
    /// The stream, ended.
    pub(super) fn ended_stream(
        &self,
        drop: &Drop,
        (sql, span): (String, Span),
        report: &mut Report,
    ) -> Option<Definition> {
        let name = &drop.name.value;
        let Some(known) = self.existing.sources.get(name) else {
            let diagnostic = Diagnostic::error(
                format!("there is no stream `{name}` that could end"),
                drop.name.span,
            );
            let streams = self.existing.derived();
            let streams: Vec<&str> = streams.map(|stream| stream.name.as_str()).collect();
            let hint = did_you_mean(name, streams);
            let hint = hint.unwrap_or_else(|| "delete the statement".to_owned());
            return report.push(diagnostic.with_hint(hint));
        };
        let Some(derived) = &known.derived else {
            return report.hinted(
                format!("`{name}` is no derived stream: only what emits can end"),
                span,
                "delete its `CREATE` statement and run `evenkeel plan`",
            );
        };
        let ended = DerivedDef {
            is_ended: true,
            ..(**derived).clone()
        };
        Some(Definition::Source(Arc::new(SourceDef {
            derived: Some(Arc::new(ended)),
            sql,
            ..(**known).clone()
        })))
    }
}

/// That a stream which ends is not there.
pub(super) fn unknown(statement: &Statement, existing: &Catalog) -> Option<Diagnostic> {
    let StatementKind::Drop(drop) = &statement.kind else {
        return None;
    };
    if drop.kind != ObjectKind::Stream || existing.sources.contains_key(&drop.name.value) {
        return None;
    }
    let message = format!("there is no stream `{}` here that ends", drop.name.value);
    Some(
        Diagnostic::warning(message, drop.name.span)
            .with_hint("it is for stores that have it: what reads it cannot be defined in others"),
    )
}

/// Why a stream cannot end: others that emit are made of it.
pub(super) fn is_read(
    ended: &SourceDef,
    place: Span,
    catalog: &Catalog,
    existing: &Catalog,
) -> Option<Diagnostic> {
    let newest = |stream: &&Arc<SourceDef>| !catalog.sources.contains_key(&stream.name);
    let emits = catalog.emitting().chain(existing.emitting().filter(newest));
    let readers = emits.filter(|stream| {
        let derived = stream.derived.as_ref();
        derived.is_some_and(|derived| reads(derived, ended.id))
    });
    let names: Vec<&str> = readers.map(|stream| stream.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let message = format!(
        "`{}` cannot end: {} is made of it",
        ended.name,
        in_words(&names)
    );
    Some(
        Diagnostic::error(message, place)
            .with_hint("end what reads it, too: `DROP STREAM` of each"),
    )
}

fn reads(derived: &DerivedDef, source: SourceId) -> bool {
    derived.trigger().source.id == source || view_reads(&derived.view, source)
}

fn view_reads(view: &ViewDef, source: SourceId) -> bool {
    if key_uses(view).iter().any(|(used, _)| used.id == source) {
        return true;
    }
    match &view.body {
        ViewBody::Window(_) => false,
        ViewBody::Row(body) => body.lookups.iter().any(|lookup| match &lookup.target {
            LookupTarget::Source { .. } => false,
            LookupTarget::View(view) => view_reads(view, source),
        }),
        ViewBody::Composed(body) => body.inputs.iter().any(|view| view_reads(view, source)),
    }
}
