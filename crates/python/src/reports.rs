//! What the engine reports, as dictionaries; the package makes dataclasses of them.

use std::collections::BTreeMap;

use evenkeel_connect::value_to_text;
use evenkeel_ddl::Diagnostic;
use evenkeel_engine::api::{
    Answer, Change, ChangeKind, DeadLetterRow, Explanation, Fact, IngestReport, Step, StoreStatus,
    TrainingSet, VerifyReport,
};
use evenkeel_engine::correction::CorrectionReport;
use evenkeel_engine::{DefinitionFile, Engine};
use evenkeel_types::{DataType, Field, Value};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::values::Builders;

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A change of a plan.
pub(crate) fn change<'py>(py: Python<'py>, change: &Change) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("object", change.object)?;
    dict.set_item("name", &change.name)?;
    dict.set_item("version", change.version)?;
    dict.set_item(
        "change",
        match change.kind {
            ChangeKind::Create => "create",
            ChangeKind::NewVersion => "new version",
            ChangeKind::Metadata => "metadata",
            ChangeKind::Unchanged => "unchanged",
            ChangeKind::NotInFiles => "not in files",
        },
    )?;
    dict.set_item("notes", &change.notes)?;
    dict.set_item("statement", &change.statement)?;
    dict.set_item("statement_now", &change.statement_now)?;
    Ok(dict)
}

/// Warnings, underlined in their texts.
pub(crate) fn warnings(found: &[(String, Diagnostic)], files: &[DefinitionFile]) -> Vec<String> {
    let text = |name: &str| files.iter().find(|f| f.name == name);
    let underlined = found.iter().map(|(file, warning)| {
        let text = text(file).map_or("", |f| f.text.as_str());
        warning.render(text, file, false).trim_end().to_owned()
    });
    underlined.collect()
}

/// What an ingestion did.
pub(crate) fn ingest<'py>(
    py: Python<'py>,
    report: &IngestReport,
    session: Option<&str>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("source", &report.source)?;
    dict.set_item("rows", report.rows)?;
    dict.set_item("recorded", report.recorded)?;
    dict.set_item("duplicates", report.duplicates)?;
    dict.set_item("left_out", report.left_out)?;
    dict.set_item("conflicts", report.conflicts)?;
    dict.set_item("rejected", &report.rejected)?;
    dict.set_item("first_rejected", &report.first_rejected)?;
    dict.set_item("session", session)?;
    Ok(dict)
}

/// What a correction did, or would do, with the cuts before and after in words.
pub(crate) fn correction<'py>(
    py: Python<'py>,
    report: &CorrectionReport,
    dry_run: bool,
    cuts: &[String; 2],
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let counts = report.counts;
    dict.set_item("source", &report.source)?;
    dict.set_item("dry_run", dry_run)?;
    for (name, count) in [
        ("rows", counts.rows),
        ("left_out", counts.left_out),
        ("outside", counts.outside),
        ("unchanged", counts.unchanged),
        ("replaced", counts.replaced),
        ("removed", counts.removed),
        ("added", counts.added),
        ("meanwhile", report.meanwhile),
    ] {
        dict.set_item(name, count)?;
    }
    dict.set_item("cut_before", &cuts[0])?;
    dict.set_item("cut_after", &cuts[1])?;
    let views = PyList::empty(py);
    for effect in &report.effects.views {
        let view = PyDict::new(py);
        view.set_item("view", &effect.view)?;
        view.set_item("keys", effect.keys)?;
        view.set_item("compared", effect.compared)?;
        let features = PyList::empty(py);
        for found in &effect.features {
            let feature = PyDict::new(py);
            feature.set_item("name", &found.feature)?;
            feature.set_item("changed", found.changed)?;
            features.append(feature)?;
        }
        view.set_item("features", features)?;
        views.append(view)?;
    }
    dict.set_item("views", views)?;
    dict.set_item("through_look_ups", &report.effects.through_look_ups)?;
    Ok(dict)
}

/// Names and types.
pub(crate) fn fields(fields: &[Field]) -> BTreeMap<String, String> {
    fields
        .iter()
        .map(|f| (f.name.clone(), f.data_type.to_string()))
        .collect()
}

/// What a training set holds.
pub(crate) fn training_set<'py>(
    py: Python<'py>,
    set: &TrainingSet,
    cut: &str,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    let features = PyList::empty(py);
    for (field, missing) in &set.features {
        let feature = PyDict::new(py);
        feature.set_item("name", &field.name)?;
        feature.set_item("type", field.data_type.to_string())?;
        feature.set_item("missing", missing)?;
        features.append(feature)?;
    }
    let labels = PyList::empty(py);
    for found in &set.labels {
        let label = PyDict::new(py);
        label.set_item("name", &found.name)?;
        label.set_item("within", found.within.to_string())?;
        label.set_item("immature", found.immature)?;
        label.set_item("missing", found.missing)?;
        labels.append(label)?;
    }
    dict.set_item("features", features)?;
    dict.set_item("labels", labels)?;
    dict.set_item(
        "coincident",
        set.coincident.iter().cloned().collect::<BTreeMap<_, _>>(),
    )?;
    dict.set_item("cut", cut)?;
    dict.set_item("definition", hex(&set.definition))?;
    dict.set_item("digest", &set.digest)?;
    Ok(dict)
}

fn words(data_type: &DataType, value: &Value) -> String {
    value_to_text(data_type, value).unwrap_or_else(|| "NULL".to_owned())
}

/// The types of a mismatch: its key's and its value's.
fn types(engine: &Engine, feature: &str) -> (Vec<DataType>, DataType) {
    let (view, feature) = feature.split_once(':').unwrap_or((feature, ""));
    let view = engine.catalog().view(view);
    let key = view.map(|v| v.key.iter().map(|f| f.data_type.clone()).collect());
    let value = view
        .and_then(|v| v.features.iter().find(|f| f.name == feature))
        .map(|f| f.data_type.clone());
    (key.unwrap_or_default(), value.unwrap_or(DataType::String))
}

/// A mismatch with its values as words, which need the engine's types.
pub(crate) struct Mismatch {
    feature: String,
    key: Vec<String>,
    time: i64,
    cut: String,
    known_at: Option<i64>,
    answers: Vec<(&'static str, String, String)>,
}

/// The mismatches of a verification.
pub(crate) fn mismatches(engine: &Engine, report: &VerifyReport) -> Vec<Mismatch> {
    let words_of = |example: &evenkeel_engine::api::Mismatch| {
        let (key_types, value_type) = types(engine, &example.feature);
        let key = key_types.iter().zip(&example.key);
        Mismatch {
            feature: example.feature.clone(),
            key: key.map(|(t, v)| words(t, v)).collect(),
            time: example.time.0,
            cut: example.cut.clone(),
            known_at: example.known_at.map(|t| t.0),
            answers: example
                .answers
                .iter()
                .map(|(path, value, status)| (*path, words(&value_type, value), status.to_string()))
                .collect(),
        }
    };
    report.examples.iter().map(words_of).collect()
}

/// What a verification found.
pub(crate) fn verify<'py>(
    py: Python<'py>,
    report: &VerifyReport,
    mismatches: &[Mismatch],
) -> PyResult<Bound<'py, PyDict>> {
    let builders = Builders::new(py)?;
    let examples = PyList::empty(py);
    for found in mismatches {
        let example = PyDict::new(py);
        example.set_item("feature", &found.feature)?;
        example.set_item("key", &found.key)?;
        example.set_item("time", builders.time(found.time)?)?;
        example.set_item("cut", &found.cut)?;
        let known_at = found.known_at.map(|t| builders.time(t)).transpose()?;
        example.set_item("known_at", known_at)?;
        example.set_item("answers", found.answers.clone())?;
        examples.append(example)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("seed", report.seed)?;
    dict.set_item("values_checked", report.values_checked)?;
    dict.set_item("oracle_checked", report.oracle_checked)?;
    dict.set_item("points", report.points)?;
    dict.set_item("cuts", report.cuts)?;
    dict.set_item("emissions_checked", report.emissions_checked)?;
    dict.set_item("revised_by_late_input", report.revised_by_late_input)?;
    dict.set_item("mismatches", report.mismatches)?;
    dict.set_item("examples", examples)?;
    dict.set_item("answers_digest", &report.answers_digest)?;
    Ok(dict)
}

/// How a value came about.
pub(crate) fn explanation<'py>(
    py: Python<'py>,
    found: &Explanation,
    data_type: &DataType,
    cut: &str,
) -> PyResult<Bound<'py, PyDict>> {
    let builders = Builders::new(py)?;
    let Answer {
        value,
        status,
        event_time,
    } = &found.answer;
    let dict = PyDict::new(py);
    dict.set_item("feature", &found.feature)?;
    dict.set_item("value", builders.object(data_type, value)?)?;
    dict.set_item("status", status.to_string())?;
    let event_time = event_time.map(|t| builders.time(t.0)).transpose()?;
    dict.set_item("event_time", event_time)?;
    dict.set_item("as_of", builders.time(found.as_of.0)?)?;
    dict.set_item("cut", cut)?;
    let steps = PyList::empty(py);
    for found in &found.evidence {
        steps.append(step(py, &builders, found)?)?;
    }
    dict.set_item("evidence", steps)?;
    Ok(dict)
}

/// A step in words, and what it states under names.
fn step<'py>(
    py: Python<'py>,
    builders: &Builders<'py>,
    step: &Step,
) -> PyResult<Bound<'py, PyDict>> {
    let named = |values: &[(Field, Value)]| -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (field, value) in values {
            dict.set_item(&field.name, builders.object(&field.data_type, value)?)?;
        }
        Ok(dict)
    };
    let facts = PyDict::new(py);
    match &step.fact {
        Fact::Words(_) => {}
        Fact::Aggregate {
            data_type, value, ..
        } => facts.set_item("value", builders.object(data_type, value)?)?,
        Fact::Inside {
            inside, counted, ..
        } => {
            facts.set_item("inside", inside)?;
            facts.set_item("counted", counted)?;
        }
        Fact::Event {
            time,
            position,
            values,
            ..
        } => {
            facts.set_item("event_time", builders.time(*time)?)?;
            facts.set_item("position", position.to_string())?;
            facts.set_item("values", named(values)?)?;
        }
        Fact::More { count } => facts.set_item("more", count)?,
        Fact::Row { values, .. } => facts.set_item("values", named(values)?)?,
        Fact::LookUp { key, found, .. } => {
            facts.set_item("key", named(key)?)?;
            facts.set_item("found", found)?;
        }
    }
    let dict = PyDict::new(py);
    dict.set_item("depth", step.depth)?;
    dict.set_item("text", step.fact.to_words(&words))?;
    dict.set_item("facts", facts)?;
    Ok(dict)
}

/// What a store holds.
pub(crate) fn status<'py>(py: Python<'py>, status: &StoreStatus) -> PyResult<Bound<'py, PyDict>> {
    let builders = Builders::new(py)?;
    let sources = PyList::empty(py);
    for found in &status.sources {
        let time = |t: Option<i64>| t.map(|t| builders.time(t)).transpose();
        let source = PyDict::new(py);
        source.set_item("name", &found.name)?;
        source.set_item("kind", found.kind)?;
        source.set_item("events", found.events)?;
        source.set_item("dead_letters", found.dead_letters)?;
        source.set_item(
            "ends",
            found.ends.iter().copied().collect::<BTreeMap<_, _>>(),
        )?;
        source.set_item("greatest_time", time(found.greatest_time.map(|t| t.0))?)?;
        source.set_item("watermark", time(found.watermark.map(|t| t.0))?)?;
        source.set_item("visible_at", time(found.visible_at.map(|t| t.0))?)?;
        sources.append(source)?;
    }
    let views = PyList::empty(py);
    for (name, version, kind, features) in &status.views {
        let view = PyDict::new(py);
        view.set_item("name", name)?;
        view.set_item("version", version)?;
        view.set_item("kind", kind)?;
        view.set_item("features", features)?;
        views.append(view)?;
    }
    let services = PyList::empty(py);
    for (name, version, features) in &status.services {
        let service = PyDict::new(py);
        service.set_item("name", name)?;
        service.set_item("version", version)?;
        service.set_item("features", features)?;
        services.append(service)?;
    }
    let dict = PyDict::new(py);
    dict.set_item("store", &status.store)?;
    dict.set_item("sources", sources)?;
    dict.set_item("views", views)?;
    dict.set_item("services", services)?;
    dict.set_item("log_bytes", status.log_bytes)?;
    dict.set_item("recovery", &status.recovery)?;
    let brought_back = PyDict::new(py);
    brought_back.set_item("scans", status.brought_back.scans)?;
    brought_back.set_item("keys", status.brought_back.keys)?;
    brought_back.set_item("events", status.brought_back.events)?;
    dict.set_item("brought_back", brought_back)?;
    Ok(dict)
}

/// Dead letters.
pub(crate) fn dead_letters<'py>(
    py: Python<'py>,
    rows: &[DeadLetterRow],
) -> PyResult<Bound<'py, PyList>> {
    let builders = Builders::new(py)?;
    let letters = PyList::empty(py);
    for row in rows {
        let letter = PyDict::new(py);
        letter.set_item("id", row.id)?;
        letter.set_item("reason", &row.reason)?;
        letter.set_item("text", &row.text)?;
        letter.set_item("origin", &row.origin)?;
        letter.set_item("record", &row.record)?;
        letter.set_item("logged_at", builders.time(row.logged_at.0)?)?;
        letters.append(letter)?;
    }
    Ok(letters)
}
