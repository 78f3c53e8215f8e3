//! `evenkeel explain`.

use evenkeel_server::wire;
use evenkeel_types::definition::ViewBody;
use evenkeel_types::{DataType, Value};
use serde_json::{Value as Json, json};

use super::get::Source;
use super::inputs;
use crate::arguments::ExplainArguments;
use crate::failure::Failure;
use crate::remote::answer_of;
use crate::render;
use crate::session::{Answer, Session};

pub(super) fn run(arguments: &ExplainArguments, session: &Session) -> Result<Answer, Failure> {
    let source = Source::of(session)?;
    let wanted = [arguments.feature.clone()];
    // Resolves the name with its errors; the service's inputs are the key and the request.
    let service = inputs::feature_list(source.catalog(), &wanted)?;
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
    let json = match &source {
        Source::Store(engine) => {
            let cut = inputs::cut(&arguments.moment, engine)?;
            let explanation = engine.explain(
                &arguments.feature,
                &key,
                &request,
                known.as_of,
                cut.as_ref(),
                known.known_at,
            )?;
            wire::explanation(
                &explanation,
                &field.data_type,
                (&service.inputs, &row),
                known.known_at,
                &engine.format_cut(&explanation.cut),
            )
        }
        Source::Server(remote, _) => remote.explain(&json!({
            "feature": arguments.feature,
            "entity": render::json_row(&service.inputs, &row),
            "as_of": known.as_of.to_string(),
            "known_at": known.known_at.map(|t| t.to_string()),
            "cut": arguments.moment.cut,
        }))?,
    };
    let text = text(
        &json,
        &field.data_type,
        &render::entity(&service.inputs, &row),
    );
    Ok(Answer::done(json, text))
}

/// An explanation for a person.
fn text(json: &Json, data_type: &DataType, entity: &str) -> String {
    let word = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let value = match answer_of(data_type, &json["answer"]) {
        Some(answer) => render::cell(data_type, &answer),
        None => json["answer"]["value"].to_string(),
    };
    let mut text = format!(
        "{} of {entity} as of {}: {value}\n",
        word(&json["feature"]),
        word(&json["as_of"]),
    );
    for step in json["evidence"].as_array().into_iter().flatten() {
        let depth = step["depth"].as_u64().unwrap_or_default();
        text.push_str(&format!(
            "{:indent$}{}\n",
            "",
            word(&step["text"]),
            indent = 2 + 2 * usize::try_from(depth).unwrap_or_default()
        ));
    }
    text.push_str(&format!("cut {}\n", word(&json["cut"])));
    text
}
