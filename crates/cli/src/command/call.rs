//! `evenkeel call`.

use std::sync::Arc;

use evenkeel_connect::value_to_json;
use evenkeel_engine::api::GetAnswer;
use evenkeel_engine::{Called, ReadPlan, service_of, source_of};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{Field, Value};
use serde_json::{Value as Json, json};

use super::get::Source;
use super::inputs;
use crate::arguments::{CallArguments, Pairs};
use crate::failure::Failure;
use crate::render;
use crate::session::{Answer, Session};

pub(super) fn run(arguments: &CallArguments, session: &Session) -> Result<Answer, Failure> {
    let place = Source::of(session)?;
    let catalog = place.catalog();
    let source = source_of(catalog, &arguments.source)?;
    let service = match &arguments.service {
        Some(name) => service_of(catalog, name)?,
        None => inputs::feature_list(catalog, &arguments.features)?,
    };
    let columns = source.stored_fields();
    let stored = inputs::row(&columns, &arguments.row, None)?;
    let given = match &arguments.inputs {
        None => Vec::new(),
        Some(pairs) => {
            let row = inputs::row(&service.inputs, pairs, None)?;
            given(&service.inputs, row, pairs)
        }
    };
    let (answer, cut, row, known) = match &place {
        Source::Store(engine) => {
            let call = match engine.call(&source, stored, None)? {
                Called::Row(call) => call,
                Called::LeftOut => {
                    return Err(no_event(&source, "`WHERE` leaves the row out"));
                }
                Called::Rejected { reason, .. } => return Err(no_event(&source, &reason)),
            };
            let row = call.inputs(&service, &given)?;
            let plan = ReadPlan::new(Arc::clone(&service));
            let knowledge = engine.cut();
            let rows = std::slice::from_ref(&row);
            let answers = engine.read_call(&plan, &call, rows, &knowledge)?;
            let answer = GetAnswer {
                features: service.features(),
                rows: answers.to_rows(),
                as_of: call.event_time(),
                cut: knowledge,
                known_at: None,
                definition: service.digest,
            };
            let cut = engine.format_cut(&answer.cut);
            (answer, cut, row, call.is_known())
        }
        Source::Server(remote, _) => {
            let object = |fields: &[Field], given: &[(String, Value)]| {
                let fields = fields.iter().filter_map(|field| {
                    let (name, value) = given.iter().find(|(name, _)| *name == field.name)?;
                    Some((name.clone(), value_to_json(&field.data_type, value)))
                });
                Json::Object(fields.collect())
            };
            let row = self::given(&columns, stored, &arguments.row);
            let asked = json!({
                "source": source.name,
                "row": object(&columns, &row),
                "inputs": object(&service.inputs, &given),
            });
            remote.call(asked, &service, &arguments.features)?
        }
    };
    let json = json!({
        "source": source.name,
        "known": known,
        "service": arguments.service.is_some().then_some(&service.name),
        "version": arguments.service.is_some().then_some(service.version),
        "definition": render::hex(&answer.definition),
        "as_of": answer.as_of.to_string(),
        "cut": cut,
        "features": render::json_fields(&answer.features),
        "rows": render::json_rows(&service.inputs, std::slice::from_ref(&row), &answer),
    });
    let is_known = if known {
        "\nthe row was logged before: that event counts"
    } else {
        ""
    };
    let text = format!(
        "{}as of {}, cut {cut} and the row{is_known}\n",
        render::answers(&service.inputs, std::slice::from_ref(&row), &answer),
        answer.as_of,
    );
    Ok(Answer::done(json, text))
}

/// What was typed of a row, by name.
fn given(fields: &[Field], row: Vec<Value>, typed: &Pairs) -> Vec<(String, Value)> {
    let fields = fields.iter().zip(row);
    fields
        .filter(|(field, _)| typed.names().any(|name| name == field.name))
        .map(|(field, value)| (field.name.clone(), value))
        .collect()
}

fn no_event(source: &SourceDef, reason: &str) -> Failure {
    Failure::request(format!(
        "the row is no event of `{}`: {reason}",
        source.name
    ))
}
