//! What is different between two datasets, from their manifests alone.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::manifest::{DatasetManifest, FeatureEntry};

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetDifference {
    /// What: `spine`, `cut`, `feature x`, `part train`.
    pub what: String,
    /// What the first has; null if it has none.
    pub first: Json,
    /// What the second has.
    pub second: Json,
}

/// What differs, in the order of a manifest; nothing if both have the same rows of the same
/// inputs. Files and the program's version are no difference.
pub fn difference(first: &DatasetManifest, second: &DatasetManifest) -> Vec<DatasetDifference> {
    let mut found = Vec::new();
    let mut compare = |what: String, first: Json, second: Json| {
        if first != second {
            found.push(DatasetDifference {
                what,
                first,
                second,
            });
        }
    };
    let of = |what: &dyn Fn(&DatasetManifest) -> Json| (what(first), what(second));
    for (name, (a, b)) in [
        ("digest", of(&|m| json!(m.digest))),
        ("rows", of(&|m| json!(m.rows))),
        ("left out", of(&|m| json!(m.left_out))),
        ("definition", of(&|m| json!(m.definition))),
        (
            "service",
            of(&|m| json!(format!("{}@{}", m.service.name, m.service.version))),
        ),
        ("knowledge", of(&|m| json!(m.knowledge))),
        ("cut", of(&|m| json!(m.cut))),
        ("tables", of(&|m| json!(m.tables))),
        ("spine", of(&|m| json!(m.spine))),
    ] {
        compare(name.to_owned(), a, b);
    }
    let views = |m: &DatasetManifest| -> BTreeMap<String, Json> {
        let pins = m.service.views.iter();
        let labels = m.labels.iter().filter_map(|l| l.view.as_ref());
        pins.chain(labels)
            .map(|pin| {
                let meaning = json!({"version": pin.version, "digest": pin.digest});
                (format!("view {}", pin.view), meaning)
            })
            .collect()
    };
    both(views(first), views(second), &mut compare);
    let parts = |m: &DatasetManifest| -> BTreeMap<String, Json> {
        let parts = m.parts.iter();
        parts
            .map(|part| {
                let rows = json!({"rows": part.rows, "digest": part.digest});
                (format!("part {}", part.name), rows)
            })
            .collect()
    };
    both(parts(first), parts(second), &mut compare);
    let order = |m: &DatasetManifest| {
        let outputs = m.features.iter().flat_map(|f| &f.outputs);
        json!(outputs.map(|o| &o.name).collect::<Vec<_>>())
    };
    compare("order".to_owned(), order(first), order(second));
    let features = |m: &DatasetManifest| -> BTreeMap<String, Json> {
        let features = m.features.iter();
        features
            .map(|f| (format!("feature {}", f.name), feature(f)))
            .collect()
    };
    both(features(first), features(second), &mut compare);
    let labels = |m: &DatasetManifest| -> BTreeMap<String, Json> {
        let labels = m.labels.iter();
        labels
            .map(|l| {
                let counts = json!({
                    "type": l.data_type, "within": l.within,
                    "immature": l.immature, "missing": l.missing,
                });
                (format!("label {}", l.name), counts)
            })
            .collect()
    };
    both(labels(first), labels(second), &mut compare);
    found
}

fn feature(feature: &FeatureEntry) -> Json {
    json!({
        "type": feature.data_type,
        "statistics": feature.statistics,
        "transform": feature.transform,
    })
}

/// Compares what has the same name; what one has alone differs from nothing.
fn both(
    mut first: BTreeMap<String, Json>,
    mut second: BTreeMap<String, Json>,
    compare: &mut impl FnMut(String, Json, Json),
) {
    let names: std::collections::BTreeSet<String> =
        first.keys().chain(second.keys()).cloned().collect();
    for name in names {
        let a = first.remove(&name).unwrap_or_default();
        let b = second.remove(&name).unwrap_or_default();
        compare(name, a, b);
    }
}
