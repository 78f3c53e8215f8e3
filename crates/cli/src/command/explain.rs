//! `evenkeel explain`.

use evenkeel_engine::api::{Fact, Step};
use evenkeel_types::definition::ViewBody;
use evenkeel_types::time::format_timestamp;
use evenkeel_types::{Field, Value};
use serde_json::{Value as Json, json};

use super::inputs;
use crate::arguments::ExplainArguments;
use crate::failure::Failure;
use crate::render;
use crate::session::{Answer, Session};

pub(super) fn run(arguments: &ExplainArguments, session: &Session) -> Result<Answer, Failure> {
    let engine = session.reader()?;
    let wanted = [arguments.feature.clone()];
    // Resolves the name with its errors; the service's inputs are the key and the request.
    let service = inputs::feature_list(engine.catalog(), &wanted)?;
    let [item] = service.items.as_slice() else {
        return Err(Failure::request(
            "explain takes one feature, as VIEW:FEATURE",
        ));
    };
    let [(feature, _)] = item.features.as_slice() else {
        return Err(Failure::request(
            "explain takes one feature, as VIEW:FEATURE",
        ));
    };
    let field = &item.view.features[*feature];
    let row = inputs::row(&service.inputs, &arguments.entity, None)?;
    let value_of = |name: &str| {
        let at = service.inputs.iter().position(|input| input.name == name);
        at.map(|at| row[at].clone()).unwrap_or(Value::Null)
    };
    let key: Vec<_> = item.key.iter().map(|name| value_of(name)).collect();
    let request: Vec<_> = match &item.view.body {
        ViewBody::Composed(body) => body
            .request
            .iter()
            .map(|f| (f.name.clone(), value_of(&f.name)))
            .collect(),
        _ => Vec::new(),
    };
    let known = inputs::known(&arguments.moment)?;
    let cut = inputs::cut(&arguments.moment, &engine)?;
    let explanation = engine.explain(
        &arguments.feature,
        &key,
        &request,
        known.as_of,
        cut.as_ref(),
        known.known_at,
    )?;
    let cut = engine.format_cut(&explanation.cut);
    let evidence: Vec<Json> = explanation.evidence.iter().map(json_step).collect();
    let json = json!({
        "feature": explanation.feature,
        "entity": render::json_row(&service.inputs, &row),
        "as_of": explanation.as_of.to_string(),
        "cut": cut,
        "known_at": known.known_at.map(|t| t.to_string()),
        "answer": render::json_answer(&field.data_type, &explanation.answer),
        "evidence": evidence,
    });
    let mut text = format!(
        "{} of {} as of {}: {}\n",
        explanation.feature,
        render::entity(&service.inputs, &row),
        explanation.as_of,
        render::cell(&field.data_type, &explanation.answer),
    );
    for step in &explanation.evidence {
        text.push_str(&format!(
            "{:indent$}{}\n",
            "",
            step.fact.to_words(&render::short_value),
            indent = 2 + 2 * step.depth
        ));
    }
    text.push_str(&format!("cut {cut}\n"));
    Ok(Answer::done(json, text))
}

/// A step with its words, and with what it states under names.
fn json_step(step: &Step) -> Json {
    let stated = match &step.fact {
        Fact::Words(_) => json!({}),
        Fact::Aggregate {
            data_type, value, ..
        } => json!({"value": render::json_value(data_type, value)}),
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
            "values": json_values(values),
        }),
        Fact::More { count } => json!({"more": count}),
        Fact::Row { values, .. } => json!({"values": json_values(values)}),
        Fact::LookUp { key, found, .. } => json!({"key": json_values(key), "found": found}),
    };
    let mut json = json!({
        "depth": step.depth,
        "text": step.fact.to_words(&render::short_value),
    });
    if let (Json::Object(json), Json::Object(stated)) = (&mut json, stated) {
        json.extend(stated);
    }
    json
}

fn json_values(values: &[(Field, Value)]) -> Json {
    let named = |(field, value): &(Field, Value)| {
        (
            field.name.clone(),
            render::json_value(&field.data_type, value),
        )
    };
    Json::Object(values.iter().map(named).collect())
}
