//! Reports of training, verification and explanation as JSON.

use evenkeel_engine::ServedReport;
use evenkeel_engine::api::{
    Explanation, Fact, Mismatch, Step, TrainReport, TrainingSet, VerifyReport,
};
use evenkeel_engine::correction::CorrectionReport;
use evenkeel_engine::doctor::{Damage, Examination, Part};
use evenkeel_types::definition::Catalog;
use evenkeel_types::time::format_timestamp;
use evenkeel_types::{DataType, Field, Value, VisibleAt};
use serde_json::{Value as Json, json};

use super::{hex, values};

/// What a training set that was written holds; its cut in words.
pub fn training_report(report: &TrainReport, cut: &str) -> Json {
    let mut json = training(
        report.rows,
        &report.features,
        &report.labels,
        &report.coincident,
        cut,
        &report.definition,
        &report.digest,
    );
    json["out"] = json!(report.out);
    json
}

/// What a training set in memory holds; its cut in words.
pub fn training_set(set: &TrainingSet, cut: &str) -> Json {
    training(
        set.table.len() as u64,
        &set.features,
        &set.labels,
        &set.coincident,
        cut,
        &set.definition,
        &set.digest,
    )
}

fn training(
    rows: u64,
    features: &[(Field, u64)],
    labels: &[evenkeel_engine::api::LabelReport],
    coincident: &[(String, u64)],
    cut: &str,
    definition: &[u8; 16],
    digest: &str,
) -> Json {
    let features: Vec<Json> = features
        .iter()
        .map(|(field, missing)| {
            json!({
                "name": field.name,
                "type": field.data_type.to_string(),
                "missing": missing,
            })
        })
        .collect();
    let labels: Vec<Json> = labels
        .iter()
        .map(|label| {
            json!({
                "name": label.name,
                "within": label.within.to_string(),
                "immature": label.immature,
                "missing": label.missing,
            })
        })
        .collect();
    let coincident: Vec<Json> = coincident
        .iter()
        .map(|(source, rows)| json!({"source": source, "rows": rows}))
        .collect();
    json!({
        "out": null,
        "rows": rows,
        "features": features,
        "labels": labels,
        "coincident": coincident,
        "cut": cut,
        "definition": hex(definition),
        "digest": digest,
    })
}

/// What a verification found.
pub fn verify_report(report: &VerifyReport, catalog: &Catalog) -> Json {
    let examples: Vec<Json> = report
        .examples
        .iter()
        .map(|example| mismatch(example, catalog))
        .collect();
    let mut json = json!({
        "seed": report.seed,
        "values_checked": report.values_checked,
        "oracle_checked": report.oracle_checked,
        "points": report.points,
        "cuts": report.cuts,
        "emissions_checked": report.emissions_checked,
        "revised_by_late_input": report.revised_by_late_input,
        "mismatches": report.mismatches,
        "examples": examples,
        "answers_digest": report.answers_digest,
    });
    if report.is_sampled {
        json["sampled"] = json!(true);
    }
    json
}

/// The types of a mismatch: its key's and its value's.
pub fn mismatch_types(catalog: &Catalog, feature: &str) -> (Vec<DataType>, DataType) {
    let (view, feature) = feature.split_once(':').unwrap_or((feature, ""));
    let view = catalog.view(view.split('@').next().unwrap_or(view));
    let key = view.map(|v| v.key.iter().map(|f| f.data_type.clone()).collect());
    let value = view
        .and_then(|v| v.features.iter().find(|f| f.name == feature))
        .map(|f| f.data_type.clone());
    (key.unwrap_or_default(), value.unwrap_or(DataType::String))
}

/// A value that was not the same on every path.
pub fn mismatch(example: &Mismatch, catalog: &Catalog) -> Json {
    let (key_types, value_type) = mismatch_types(catalog, &example.feature);
    let key: Vec<Json> = example
        .key
        .iter()
        .enumerate()
        .map(|(i, v)| values::value(key_types.get(i).unwrap_or(&DataType::String), v))
        .collect();
    let answers: Vec<Json> = example
        .answers
        .iter()
        .map(|(path, value, status)| {
            json!({
                "path": path,
                "value": values::value(&value_type, value),
                "status": status.to_string(),
            })
        })
        .collect();
    json!({
        "feature": example.feature,
        "key": key,
        "time": example.time.to_string(),
        "cut": example.cut,
        "known_at": example.known_at.map(|t| t.to_string()),
        "answers": answers,
    })
}

/// What computing served answers again found.
pub fn served_report(report: &ServedReport) -> Json {
    json!({
        "answers": report.answers,
        "values": report.values,
        "mismatches": report.mismatches,
        "skipped": report.skipped,
        "unreadable": report.unreadable,
        "examples": report.examples,
    })
}

/// How a value of a feature of this type came about, for an entity's inputs; its cut in words.
pub fn explanation(
    explanation: &Explanation,
    data_type: &DataType,
    entity: (&[Field], &[Value]),
    known_at: Option<VisibleAt>,
    cut: &str,
) -> Json {
    let evidence: Vec<Json> = explanation.evidence.iter().map(step).collect();
    json!({
        "feature": explanation.feature,
        "entity": values::row(entity.0, entity.1),
        "as_of": explanation.as_of.to_string(),
        "cut": cut,
        "known_at": known_at.map(|t| t.to_string()),
        "answer": values::answer(data_type, &explanation.answer),
        "evidence": evidence,
    })
}

/// A step with its words, and with what it states under names.
fn step(step: &Step) -> Json {
    let stated = match &step.fact {
        Fact::Words(_) => json!({}),
        Fact::Aggregate {
            data_type, value, ..
        } => json!({"value": values::value(data_type, value)}),
        Fact::Inside {
            inside, counted, ..
        } => json!({"inside": inside, "counted": counted}),
        Fact::Event {
            time,
            position,
            values,
            ..
        } => json!({
            "event_time": format_timestamp(*time),
            "position": position.to_string(),
            "values": named(values),
        }),
        Fact::More { count } => json!({"more": count}),
        Fact::Row { values, .. } => json!({"values": named(values)}),
        Fact::LookUp { key, found, .. } => json!({"key": named(key), "found": found}),
    };
    let mut json = json!({
        "depth": step.depth,
        "text": step.fact.to_words(&values::short),
    });
    if let (Json::Object(json), Json::Object(stated)) = (&mut json, stated) {
        json.extend(stated);
    }
    json
}

fn named(values: &[(Field, Value)]) -> Json {
    let named = |(field, value): &(Field, Value)| {
        (field.name.clone(), values::value(&field.data_type, value))
    };
    Json::Object(values.iter().map(named).collect())
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Registry => "registry",
        Part::Log => "log",
        Part::HotTier => "hot tier",
        Part::Dataset => "dataset",
        Part::Segment => "segment",
        Part::Record => "record",
    }
}

/// What the doctor saw.
pub fn examination(found: &Examination) -> Json {
    let damage = |d: &Damage| {
        json!({
            "part": part_name(d.part),
            "source": d.source,
            "key": d.key,
            "place": d.place,
            "offset": d.offset,
            "reason": d.reason,
        })
    };
    json!({
        "registry_records": found.registry_records,
        "events": found.events,
        "dead_letters": found.dead_letters,
        "hot_rows": found.rows,
        "hot_entries": found.entries,
        "cold_entries": found.cold_entries,
        "damages": found.damages.iter().map(damage).collect::<Vec<Json>>(),
        "rebuilt": found.rebuilt,
    })
}

/// What a correction did, or would do, with the cuts before and after in words.
pub fn correction_report(report: &CorrectionReport, dry_run: bool, cuts: &[String; 2]) -> Json {
    let counts = report.counts;
    let views = report.effects.views.iter().map(|view| {
        let features = view.features.iter();
        let changed = features.map(|f| json!({"name": f.feature, "changed": f.changed}));
        json!({
            "view": view.view,
            "keys": view.keys,
            "compared": view.compared,
            "features": changed.collect::<Vec<Json>>(),
        })
    });
    json!({
        "source": report.source,
        "dry_run": dry_run,
        "rows": counts.rows,
        "left_out": counts.left_out,
        "outside": counts.outside,
        "unchanged": counts.unchanged,
        "replaced": counts.replaced,
        "removed": counts.removed,
        "added": counts.added,
        "meanwhile": report.meanwhile,
        "cut_before": cuts[0],
        "cut_after": cuts[1],
        "views": views.collect::<Vec<Json>>(),
        "through_look_ups": report.effects.through_look_ups,
    })
}
