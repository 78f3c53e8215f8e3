//! `evenkeel function`.

use evenkeel_connect::{value_to_json, value_to_text};
use evenkeel_engine::{EngineError, registered};
use evenkeel_types::definition::{FunctionClass, FunctionSpec};
use serde_json::{Value as Json, json};

use super::inputs;
use crate::arguments::{FunctionCallArguments, FunctionCheckArguments, FunctionCommand};
use crate::failure::{Exit, Failure};
use crate::session::{Answer, Session};
use crate::table::table;

pub(super) fn run(command: &FunctionCommand, session: &Session) -> Result<Answer, Failure> {
    match command {
        FunctionCommand::Call(arguments) => call(arguments, session),
        FunctionCommand::Check(arguments) => check(arguments, session),
        FunctionCommand::List(_) => list(session),
    }
}

fn call(arguments: &FunctionCallArguments, session: &Session) -> Result<Answer, Failure> {
    let (project, files) = session.definitions()?;
    let declared = project.functions.declared(&files, &arguments.function);
    let spec = declared.map_err(|error| Failure::engine(error, &files))?;
    let row = inputs::row(&spec.parameters, &arguments.arguments, None)?;
    let called = project.functions.call(&spec, &[row]);
    let (values, told) = called.map_err(EngineError::from)?;
    let value = values
        .first()
        .ok_or_else(|| Failure::data("there is no value"))?;
    let json = json!({
        "function": spec.name,
        "value": value_to_json(&spec.result, value),
        "error": value.error().map(|reason| reason.to_string()),
        "told": told,
    });
    let text = match value.error() {
        None => value_to_text(&spec.result, value).unwrap_or_else(|| "NULL".to_owned()),
        Some(reason) => format!("ERROR({reason})\n{}", told.join("\n")),
    };
    Ok(Answer::done(json, text))
}

fn check(arguments: &FunctionCheckArguments, session: &Session) -> Result<Answer, Failure> {
    let (project, files) = session.definitions()?;
    let declared = project.functions.declared(&files, &arguments.function);
    let spec = declared.map_err(|error| Failure::engine(error, &files))?;
    let found = project.functions.check(&spec).map_err(EngineError::from)?;
    let walls = project.functions.walls(&spec).map_err(EngineError::from)?;
    let mut json = to_json(&spec, &found.class);
    json["walls"] = json!(walls);
    json["rows"] = json!(found.rows);
    json["errors"] = json!(found.errors);
    let (text, exit) = match (&found.class, found.remark()) {
        // What was not seen was not proved.
        (FunctionClass::BitStable, Some(remark)) => (
            format!("of `{}` nothing was proved: {remark}", spec.name),
            Exit::Done,
        ),
        (FunctionClass::BitStable, None) => (
            format!("`{}` is bit-stable: no difference was found", spec.name),
            Exit::Done,
        ),
        (FunctionClass::RecordedOnly(example), _) => (
            format!("`{}` does not give equal bits:\n{example}", spec.name),
            Exit::Refuted,
        ),
    };
    let text = match walls.is_empty() {
        true => {
            format!("{text}\nno walls here: an audit hook alone keeps it from files and network")
        }
        false => format!("{text}\nwalls: {}", walls.join(", ")),
    };
    Ok(Answer {
        exit,
        ..Answer::done(json, text)
    })
}

fn list(session: &Session) -> Result<Answer, Failure> {
    let catalog = registered(&session.project_with_store()?)?;
    let newest = catalog
        .functions
        .keys()
        .filter_map(|name| catalog.function(name));
    let functions: Vec<_> = newest.collect();
    let json: Vec<Json> = functions
        .iter()
        .map(|def| {
            let mut json = to_json(&def.spec, &def.spec.frozen.class);
            json["version"] = json!(def.version);
            json
        })
        .collect();
    let rows = functions.iter().map(|def| {
        let class = match def.spec.frozen.class {
            FunctionClass::BitStable => "bit-stable",
            FunctionClass::RecordedOnly(_) => "recorded only",
        };
        [
            def.spec.name.clone(),
            def.version.to_string(),
            signature(&def.spec),
            place(&def.spec),
            class.to_owned(),
        ]
    });
    let text = match functions.is_empty() {
        true => "no functions are registered".to_owned(),
        false => table(["function", "version", "signature", "place", "class"], rows),
    };
    Ok(Answer::done(json!({ "functions": json }), text))
}

fn signature(spec: &FunctionSpec) -> String {
    let parameters = spec.parameters.iter();
    let parameters: Vec<String> = parameters
        .map(|p| format!("{} {}", p.name, p.data_type))
        .collect();
    format!("({}) {}", parameters.join(", "), spec.result)
}

fn place(spec: &FunctionSpec) -> String {
    format!("{}:{}", spec.file, spec.function)
}

fn to_json(spec: &FunctionSpec, class: &FunctionClass) -> Json {
    let (class, example) = match class {
        FunctionClass::BitStable => ("bit-stable", None),
        FunctionClass::RecordedOnly(example) => ("recorded only", Some(example)),
    };
    let lock = spec.frozen.lock.iter();
    let lock: serde_json::Map<String, Json> = lock
        .map(|(name, version)| (name.clone(), json!(version)))
        .collect();
    json!({
        "function": spec.name,
        "signature": signature(spec),
        "place": place(spec),
        "vectorized": spec.is_vectorized,
        "class": class,
        "counter_example": example,
        "source": spec.frozen.source.iter().map(|(path, _)| path).collect::<Vec<_>>(),
        "lock": lock,
    })
}
