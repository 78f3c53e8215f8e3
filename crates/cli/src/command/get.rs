//! `evenkeel get`.

use evenkeel_connect::Table;
use evenkeel_engine::api::GetRequest;
use serde_json::json;

use super::inputs;
use crate::arguments::GetArguments;
use crate::failure::Failure;
use crate::render;
use crate::session::{Answer, Session};

pub(super) fn run(arguments: &GetArguments, session: &Session) -> Result<Answer, Failure> {
    let engine = session.reader()?;
    let service = match &arguments.service {
        Some(name) => engine.service(name)?,
        None => super::inputs::feature_list(&engine, &arguments.features)?,
    };
    let mut rows = Vec::with_capacity(arguments.entity.len());
    match &arguments.entities {
        Some(path) => {
            rows = inputs::rows(&service.inputs, &Table::read(path)?)?;
            if let Some(request) = &arguments.request {
                let given = inputs::row(&service.inputs, request, None)?;
                for (i, field) in service.inputs.iter().enumerate() {
                    if request.names().any(|name| name == field.name) {
                        rows.iter_mut().for_each(|row| row[i] = given[i].clone());
                    }
                }
            }
        }
        None => {
            for entity in &arguments.entity {
                rows.push(inputs::row(
                    &service.inputs,
                    entity,
                    arguments.request.as_ref(),
                )?);
            }
        }
    }
    let not_given = inputs::not_given(&service.inputs, &rows);
    if !not_given.is_empty() && !session.output.is_json() {
        session.output.note(&format!(
            "note: not given, so NULL: {}",
            not_given.join(", ")
        ));
    }
    let known = inputs::known(&arguments.moment, &engine)?;
    let answer = engine.get(&GetRequest {
        service: service.clone(),
        rows: rows.clone(),
        as_of: known.as_of,
        cut: known.cut,
        known_at: known.known_at,
    })?;
    let cut = engine.format_cut(&answer.cut);
    let json = json!({
        "service": arguments.service.as_ref().map(|_| &service.name),
        "version": arguments.service.as_ref().map(|_| service.version),
        "definition": render::hex(&answer.definition),
        "as_of": answer.as_of.to_string(),
        "cut": cut,
        "known_at": answer.known_at.map(|t| t.to_string()),
        "features": render::json_fields(&answer.features),
        "rows": render::json_rows(&service.inputs, &rows, &answer),
    });
    let known_at = answer
        .known_at
        .map(|t| format!(", known at {t}"))
        .unwrap_or_default();
    let text = format!(
        "{}as of {}{known_at}, cut {cut}\n",
        render::answers(&service.inputs, &rows, &answer),
        answer.as_of,
    );
    Ok(Answer::done(json, text))
}
