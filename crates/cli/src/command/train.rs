//! `evenkeel train`.

use std::path::{Path, PathBuf};

use evenkeel_engine::api::{KnowledgeMode, SpineSource, TrainReport, TrainRequest};
use evenkeel_engine::{DefinitionFile, Offline};
use evenkeel_server::wire;
use serde_json::Value as Json;

use crate::arguments::{Knowledge, TrainArguments};
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Bar;
use crate::session::{Answer, Session};
use crate::table::{count, plural, table};

pub(super) fn run(arguments: &TrainArguments, session: &Session) -> Result<Answer, Failure> {
    let spine = spine(arguments)?;
    let report = match session.server()? {
        Some(remote) => remote.train(arguments, &spine, session.output)?,
        None => here(arguments, spine, session)?,
    };
    let text = summary(&report);
    Ok(Answer::done(report, text))
}

/// Builds it from the store that nobody holds.
fn here(
    arguments: &TrainArguments,
    spine: SpineSource,
    session: &Session,
) -> Result<Json, Failure> {
    let store = session.offline()?;
    let request = TrainRequest {
        service: store.service(&arguments.service)?,
        spine,
        knowledge: match arguments.knowledge {
            Knowledge::Latest => KnowledgeMode::Latest,
            Knowledge::AsServed => KnowledgeMode::AsServed,
        },
        cut: arguments
            .cut
            .as_deref()
            .map(|text| store.parse_cut(text))
            .transpose()?,
        out: arguments.out.clone(),
        statuses: arguments.statuses,
    };
    let report = build(&store, &request, session.output)?;
    Ok(json_report(&report, &store))
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
    store: &Offline,
    request: &TrainRequest,
    output: Output,
) -> Result<TrainReport, Failure> {
    let bar = Bar::counts(output);
    let built = store.train(request, &mut |what, done, all| bar.show(what, done, all));
    drop(bar);
    built.map_err(|error| {
        // The query's mistakes are underlined in it, under the name that the engine gives it.
        let texts: Vec<DefinitionFile> = match &request.spine {
            SpineSource::Query(text) => vec![query_text(text)],
            _ => Vec::new(),
        };
        Failure::engine_in(error, &texts, QUERY_PLACE)
    })
}

/// What mistakes of a query are said to be in.
pub(crate) const QUERY_PLACE: &str = "the spine's query";

/// The text that mistakes of a query are in, under the name that the engine gives it.
pub(crate) fn query_text(text: &str) -> DefinitionFile {
    DefinitionFile {
        name: "spine".to_owned(),
        text: text.to_owned(),
    }
}

/// A report as JSON.
pub(crate) fn json_report(report: &TrainReport, store: &Offline) -> Json {
    wire::training_report(report, &store.format_cut(&report.cut))
}

/// A report for a person.
fn summary(report: &Json) -> String {
    let word = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    let number = |json: &Json| json.as_u64().unwrap_or_default();
    let list = |name: &str| report[name].as_array().into_iter().flatten();
    let features = list("features").map(|feature| {
        [
            word(&feature["name"]),
            word(&feature["type"]),
            count(number(&feature["missing"])),
        ]
    });
    let mut text = table(["feature", "type", "rows without it"], features);
    for label in list("labels") {
        text.push_str(&format!(
            "label {} within {}: {} without a value, {} not known yet\n",
            word(&label["name"]),
            word(&label["within"]),
            plural(number(&label["missing"]), "row"),
            count(number(&label["immature"])),
        ));
    }
    for found in list("coincident") {
        text.push_str(&format!(
            "{} at exactly the time of an event of `{}`: windows include that event unless \
             they say EXCLUDE GROUP\n",
            plural(number(&found["rows"]), "row"),
            word(&found["source"]),
        ));
    }
    text.push_str(&format!(
        "{} to `{}`, cut {}, digest {}\n",
        plural(number(&report["rows"]), "row"),
        word(&report["out"]),
        word(&report["cut"]),
        word(&report["digest"]),
    ));
    text
}
