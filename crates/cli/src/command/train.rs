//! `evenkeel train`.

use std::path::{Path, PathBuf};

use evenkeel_engine::api::{KnowledgeMode, SpineSource, TrainReport, TrainRequest};
use evenkeel_engine::{DefinitionFile, Engine, EngineError};
use serde_json::{Value as Json, json};

use crate::arguments::{Knowledge, TrainArguments};
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Bar;
use crate::render;
use crate::session::{Answer, Session};
use crate::table::{count, plural, table};

pub(super) fn run(arguments: &TrainArguments, session: &Session) -> Result<Answer, Failure> {
    let engine = session.reader()?;
    let request = TrainRequest {
        service: engine.service(&arguments.service)?,
        spine: spine(arguments)?,
        knowledge: match arguments.knowledge {
            Knowledge::Latest => KnowledgeMode::Latest,
            Knowledge::AsServed => KnowledgeMode::AsServed,
        },
        cut: arguments
            .cut
            .as_deref()
            .map(|text| engine.parse_cut(text))
            .transpose()?,
        out: arguments.out.clone(),
        statuses: arguments.statuses,
    };
    let report = build(&engine, &request, session.output)?;
    let text = summary(&report, &engine);
    Ok(Answer::done(json_report(&report, &engine), text))
}

/// A query, a file with a query, or a file of rows.
fn spine(arguments: &TrainArguments) -> Result<SpineSource, Failure> {
    let text = arguments.spine.trim();
    let is_query = text
        .split_whitespace()
        .next()
        .is_some_and(|w| w.eq_ignore_ascii_case("select"));
    let query_file = Path::new(text)
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("sql"));
    let query = if is_query {
        Some(text.to_owned())
    } else if query_file {
        let path = Path::new(text);
        Some(std::fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e))?)
    } else {
        None
    };
    let Some(query) = query else {
        return Ok(SpineSource::File {
            path: PathBuf::from(text),
            time_column: arguments.time_column.clone(),
            known_at_column: arguments.known_at_column.clone(),
        });
    };
    if arguments.time_column.is_some() || arguments.known_at_column.is_some() {
        return Err(Failure::usage("a query has no column of times to choose")
            .with_hint("its times are the event times of the source in FROM"));
    }
    Ok(SpineSource::Query(query))
}

/// Builds a training set with a bar.
pub(crate) fn build(
    engine: &Engine,
    request: &TrainRequest,
    output: Output,
) -> Result<TrainReport, Failure> {
    let bar = Bar::counts(output);
    let built = engine.train(request, &mut |what, done, all| bar.show(what, done, all));
    drop(bar);
    built.map_err(|error| {
        // The query's mistakes are underlined in it, under the name that the engine gives it.
        let texts: Vec<DefinitionFile> = match (&request.spine, &error) {
            (SpineSource::Query(text), EngineError::Definitions(found)) => found
                .first()
                .map(|(name, _)| DefinitionFile {
                    name: name.clone(),
                    text: text.clone(),
                })
                .into_iter()
                .collect(),
            _ => Vec::new(),
        };
        Failure::engine_in(error, &texts, "the spine's query")
    })
}

/// A report as JSON.
pub(crate) fn json_report(report: &TrainReport, engine: &Engine) -> Json {
    let features: Vec<Json> = report
        .features
        .iter()
        .map(|(field, missing)| {
            json!({
                "name": field.name,
                "type": field.data_type.to_string(),
                "missing": missing,
            })
        })
        .collect();
    let labels: Vec<Json> = report
        .labels
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
    let coincident: Vec<Json> = report
        .coincident
        .iter()
        .map(|(source, rows)| json!({"source": source, "rows": rows}))
        .collect();
    json!({
        "out": report.out,
        "rows": report.rows,
        "features": features,
        "labels": labels,
        "coincident": coincident,
        "cut": engine.format_cut(&report.cut),
        "definition": render::hex(&report.definition),
        "digest": report.digest,
    })
}

/// A report for a person.
pub(crate) fn summary(report: &TrainReport, engine: &Engine) -> String {
    let features = report.features.iter().map(|(field, missing)| {
        [
            field.name.clone(),
            field.data_type.to_string(),
            count(*missing),
        ]
    });
    let mut text = table(["feature", "type", "rows without it"], features);
    for label in &report.labels {
        text.push_str(&format!(
            "label {} within {}: {} without a value, {} not known yet\n",
            label.name,
            label.within,
            plural(label.missing, "row"),
            count(label.immature),
        ));
    }
    for (source, rows) in &report.coincident {
        text.push_str(&format!(
            "{} at exactly the time of an event of `{source}`: windows include that event unless \
             they say EXCLUDE GROUP\n",
            plural(*rows, "row")
        ));
    }
    text.push_str(&format!(
        "{} to `{}`, cut {}, digest {}\n",
        plural(report.rows, "row"),
        report.out.display(),
        engine.format_cut(&report.cut),
        report.digest,
    ));
    text
}
