//! Sources whose rows are those of a table of another system, followed by a capture.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_types::SourceId;
use evenkeel_types::definition::{Catalog, OptionValue, SourceDef};

/// Whether a source's rows are those of a table of a server.
pub fn is_captured(source: &SourceDef) -> bool {
    let connector = source.options.get("connector");
    matches!(connector, Some(OptionValue::Text(text)) if text == "mysql")
}

/// Those among some sources, and among what makes them emit.
pub fn captured_among(catalog: &Catalog, sources: &[Arc<SourceDef>]) -> Vec<Arc<SourceDef>> {
    let all = with_causes(catalog, sources.iter().map(|source| source.id));
    let captured = all.into_iter().filter(|source| is_captured(source));
    captured.cloned().collect()
}

/// Some sources and, of derived streams that go on, everything that makes them emit, by id.
pub(crate) fn with_causes(
    catalog: &Catalog,
    sources: impl Iterator<Item = SourceId>,
) -> Vec<&Arc<SourceDef>> {
    let mut found: BTreeSet<SourceId> = BTreeSet::new();
    let mut ahead: Vec<SourceId> = sources.collect();
    while let Some(id) = ahead.pop() {
        let def = catalog.source_by_id(id);
        let derived = def.and_then(|def| def.derived.as_ref());
        if found.insert(id)
            && let Some(derived) = derived.filter(|derived| !derived.is_ended)
        {
            ahead.extend(derived.causes());
        }
    }
    let defs = found.iter();
    defs.filter_map(|id| catalog.source_by_id(*id)).collect()
}
