//! Segments as JSON.

use evenkeel_connect::value_to_json;
use evenkeel_engine::{SegmentAnswer, SegmentPlan};
use evenkeel_types::definition::SegmentDef;
use evenkeel_types::{Field, Value};
use serde_json::{Map, Value as Json, json};

use super::{fields, hex};

/// A version of a segment.
pub fn segment(def: &SegmentDef) -> Json {
    let reads: Vec<Json> = def
        .inputs
        .iter()
        .map(|view| json!({"view": view.name, "version": view.version}))
        .collect();
    json!({
        "name": def.name,
        "version": def.version,
        "definition": hex(&def.digest),
        "entity": def.entity,
        "key": fields(&def.key),
        "fields": fields(&def.fields),
        "reads": reads,
        "comment": def.metadata.comment,
        "owner": def.metadata.owner,
        "sql": def.sql,
    })
}

/// A key of a segment's entity.
pub fn segment_key(plan: &SegmentPlan, key: &[Value]) -> Json {
    object(&plan.def().key.iter().collect::<Vec<_>>(), key)
}

/// The keys that are in a segment; `cut` is the answer's in words.
pub fn segment_answer(plan: &SegmentPlan, answer: &SegmentAnswer, cut: &str) -> Json {
    let def = plan.def();
    let names: Vec<&Field> = plan.fields().collect();
    let rows: Vec<Json> = (0..answer.rows)
        .map(|row| object(&names, &answer.row(row)))
        .collect();
    let is_named = !def.name.is_empty();
    json!({
        "segment": is_named.then_some(&def.name),
        "version": is_named.then_some(def.version),
        "definition": hex(&def.digest),
        "entity": def.entity,
        "as_of": answer.as_of.to_string(),
        "known_at": answer.known_at.map(|at| at.to_string()),
        "cut": cut,
        "key": fields(&def.key),
        "fields": fields(&def.fields),
        "rows": rows,
        "matched": answer.matched,
        "asked": answer.asked,
        "undecided": answer.undecided,
        "complete": answer.complete,
        "next": answer.next.as_ref().map(|key| segment_key(plan, key)),
    })
}

fn object(fields: &[&Field], values: &[Value]) -> Json {
    let members = fields
        .iter()
        .zip(values)
        .map(|(field, value)| (field.name.clone(), value_to_json(&field.data_type, value)));
    Json::Object(members.collect::<Map<String, Json>>())
}
