//! What a source with events becomes when its definition changes: which events keep which
//! schema version, and older versions of views over the newest definitions.

use std::sync::Arc;

use evenkeel_ddl::Change as Difference;
use evenkeel_log::LogReader;
use evenkeel_types::definition::{Catalog, DerivedDef, OptionValue, SourceDef};
use evenkeel_types::{Cut, DataType, Offset, Partition, Position, SourceId};
use evenkeel_view::rebase;

use crate::error::EngineError;

/// Partitions whose places are listed.
const PLACES_MAX: usize = 4;

/// The events that sources have.
pub(crate) struct Logged<'a> {
    /// `None` where there is no store.
    pub(crate) log: Option<(&'a LogReader, &'a Cut)>,
}

impl Logged<'_> {
    /// Whether a source has events.
    pub(crate) fn has_events(&self, source: SourceId) -> bool {
        let Some((_, cut)) = self.log else {
            return false;
        };
        cut.iter().any(|(s, _, end)| s == source && end.0 > 0)
    }

    /// What changes about the schema of a source, in words.
    pub(crate) fn notes(
        &self,
        difference: Difference,
        old: Option<&SourceDef>,
        new: &SourceDef,
    ) -> Result<Vec<String>, EngineError> {
        let version = new.schema.version();
        let Some((old, (log, cut))) = old.zip(self.log) else {
            return Ok(Vec::new());
        };
        if difference != Difference::Changed || version == old.schema.version() {
            return Ok(Vec::new());
        }
        let mut notes = vec![format!("schema version {version}: {}", changes(old, new))];
        for (version, events) in versions(log, cut, new)? {
            let count: u64 = events.iter().map(|(_, first, end)| end - first).sum();
            let places: Vec<String> = events
                .iter()
                .take(PLACES_MAX)
                .map(|(partition, _, end)| format!("{}/{}@{end}", new.name, partition.0))
                .collect();
            let more = if events.len() > PLACES_MAX {
                ", …"
            } else {
                ""
            };
            let events = if count == 1 { "event" } else { "events" };
            notes.push(format!(
                "{count} {events} up to {}{more} stay of version {version}",
                places.join(", ")
            ));
        }
        if old.schema.widened() != new.schema.widened() {
            notes.push(
                "widening builds identities and indexes of the source again from the log; a server \
                 answers meanwhile"
                    .to_owned(),
            );
        }
        if is_text(new)
            && old
                .stored_types()
                .iter()
                .zip(new.stored_types())
                .any(is_float)
        {
            notes.push(
                "a text that was read as FLOAT is another DOUBLE: rows of text files that are \
                 ingested again are conflicts, not duplicates"
                    .to_owned(),
            );
        }
        Ok(notes)
    }
}

/// Whether a column becomes DOUBLE, in whole or in its elements.
fn is_float((old, new): (&DataType, DataType)) -> bool {
    let element = |t: &DataType| match t {
        DataType::Array(element) | DataType::Vector { element, .. } => (**element).clone(),
        other => other.clone(),
    };
    element(old) == DataType::Float && element(&new) == DataType::Double
}

/// Whether rows may come as texts.
fn is_text(source: &SourceDef) -> bool {
    let of = |name: &str| match source.options.get(name) {
        Some(OptionValue::Text(text)) => text.to_ascii_lowercase(),
        _ => String::new(),
    };
    !(of("format") == "parquet" || of("path").ends_with(".parquet"))
}

fn changes(old: &SourceDef, new: &SourceDef) -> String {
    let (before, after) = (old.schema.newest(), new.schema.newest());
    let added = after[before.len()..]
        .iter()
        .map(|f| format!("adds `{}` {}", f.name, f.data_type));
    let widened = before.iter().zip(after).filter(|(b, a)| b != a);
    let widened = widened.map(|(b, a)| {
        format!(
            "widens `{}` from {} to {}",
            a.name, b.data_type, a.data_type
        )
    });
    added.chain(widened).collect::<Vec<_>>().join(", ")
}

/// Events of one version: partition, first offset, end.
type OfVersion = Vec<(Partition, u64, u64)>;

/// Which events of a source have which schema version. Versions never decrease within a
/// partition, so that few events are read.
fn versions(
    log: &LogReader,
    cut: &Cut,
    source: &SourceDef,
) -> Result<Vec<(u32, OfVersion)>, EngineError> {
    let mut versions: Vec<(u32, OfVersion)> = Vec::new();
    for (_, partition, end) in cut.iter().filter(|(s, ..)| *s == source.id) {
        let version_at = |offset: u64| {
            let offset = Offset(offset);
            let position = Position { partition, offset };
            let logged = log.event(source.id, position).map_err(EngineError::log)?;
            Ok::<u32, EngineError>(logged.map_or(0, |l| l.schema_version))
        };
        let mut first = 0;
        while first < end.0 {
            let version = version_at(first)?;
            // The version's events end after `known` and not after `limit`.
            let (mut known, mut limit) = (first, end.0);
            while known + 1 < limit {
                let middle = known + (limit - known) / 2;
                if version_at(middle)? == version {
                    known = middle;
                } else {
                    limit = middle;
                }
            }
            match versions.iter_mut().find(|(v, _)| *v == version) {
                Some((_, events)) => events.push((partition, first, limit)),
                None => versions.push((version, vec![(partition, first, limit)])),
            }
            first = limit;
        }
    }
    versions.sort_by_key(|(version, _)| *version);
    Ok(versions)
}

/// The catalog with every version of every view over the newest definitions of its sources.
pub(crate) fn over_newest_sources(mut catalog: Catalog) -> Catalog {
    let mut sources = std::mem::take(&mut catalog.sources);
    let defined = sources.clone();
    for source in sources.values_mut() {
        if let Some(derived) = source.derived.clone() {
            let view = Arc::new(rebase(&derived.view, &defined));
            let rebased = DerivedDef {
                view,
                ..(*derived).clone()
            };
            Arc::make_mut(source).derived = Some(Arc::new(rebased));
        }
    }
    for view in catalog.views.values_mut().flat_map(|v| v.values_mut()) {
        *view = Arc::new(rebase(view, &sources));
    }
    for service in catalog.services.values_mut().flat_map(|s| s.values_mut()) {
        for item in &mut Arc::make_mut(service).items {
            let versions = catalog.views.get(&item.view.name);
            if let Some(view) = versions.and_then(|v| v.get(&item.view.version)) {
                item.view = Arc::clone(view);
            }
        }
    }
    catalog.sources = sources;
    catalog
}
