//! A server that holds the store, asked over HTTP in place of the engine.
//!
//! What is defined is read from the registry beside it; the answer's definition must be the
//! same, or the two do not speak of one thing.

use std::fs::File;

use evenkeel_connect::{AtomicFile, ConnectError, Table, TableFormat, json_to_value};
use evenkeel_ddl::Diagnostic;
use evenkeel_engine::api::{Answer, Change, ChangeKind, GetAnswer, SpineSource};
use evenkeel_engine::dataset::DatasetPlan;
use evenkeel_engine::{DefinitionFile, Project, Scope, registered};
use evenkeel_server::{Client, Reply, Sent, wire};
use evenkeel_types::definition::{Catalog, ServiceDef};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{
    Cut, DataType, ErrorReason, EventTime, Field, Status, Value, VisibleAt, Zone,
};
use serde_json::{Value as Json, json};

use crate::arguments::{Knowledge, TrainArguments};
use crate::command::{QUERY_PLACE, query_text};
use crate::failure::{Failure, diagnostic};
use crate::output::Output;
use crate::progress::Bar;
use crate::render;

mod captures;
mod corrections;
mod letters;
mod rows;
mod segments;
mod sql;
mod topics;
mod triggers;

pub(crate) use captures::CaptureSaid;

/// See the module.
pub(crate) struct Remote {
    client: Client,
}

/// What is asked of a server.
pub(crate) struct Ask<'a> {
    pub(crate) service: &'a ServiceDef,
    /// The dataset whose vector is read, with the service that it was built with.
    pub(crate) dataset: Option<&'a DatasetPlan>,
    /// The list of features, if it is no service by name.
    pub(crate) features: &'a [String],
    pub(crate) rows: &'a [Vec<Value>],
    pub(crate) as_of: EventTime,
    pub(crate) known_at: Option<VisibleAt>,
    pub(crate) cut: Option<&'a str>,
}

impl Remote {
    /// The server that holds a project's store, if one does.
    pub(crate) fn find(project: &Project) -> Result<Option<Remote>, Failure> {
        let found = Client::find(&project.store, &project.server);
        let client = found.map_err(|error| {
            Failure::busy(format!(
                "a server holds the store, and cannot be asked: {error}"
            ))
        })?;
        Ok(client.map(|client| Remote { client }))
    }

    /// What is defined.
    pub(crate) fn catalog(&self, project: &Project) -> Result<Catalog, Failure> {
        Ok(registered(project)?)
    }

    /// Why a command that writes into the directory cannot.
    pub(crate) fn holds_the_store(&self) -> Failure {
        Failure::busy(format!(
            "the server at {} holds the store",
            self.client.url()
        ))
        .with_hint("stop it first; events can be pushed to it over HTTP")
    }

    /// The state of the store, as JSON.
    pub(crate) fn status(&self) -> Result<Json, Failure> {
        self.understood(self.client.get("/v1/status"))
    }

    fn understood(&self, reply: std::io::Result<Reply>) -> Result<Json, Failure> {
        self.understood_in(reply, &[], "the request")
    }

    /// The same of what may be answered later.
    fn accepted(&self, reply: std::io::Result<Reply>) -> Result<Json, Failure> {
        let as_done = |mut reply: Reply| {
            if reply.status == 202 {
                reply.status = 200;
            }
            reply
        };
        self.understood(reply.map(as_done))
    }

    /// The same, where mistakes are in these texts.
    fn understood_in(
        &self,
        reply: std::io::Result<Reply>,
        texts: &[DefinitionFile],
        place: &str,
    ) -> Result<Json, Failure> {
        let lost = |error: &dyn std::fmt::Display| {
            Failure::data(format!("the server at {}: {error}", self.client.url()))
        };
        let reply = reply.map_err(|error| lost(&error))?;
        let json: Json = serde_json::from_slice(&reply.body).map_err(|error| lost(&error))?;
        match reply.status {
            200 => Ok(json),
            status => Err(Failure::served_in(status, &json["error"], texts, place)),
        }
    }

    /// Reads features: the answer, and the cut in words.
    pub(crate) fn read(&self, ask: &Ask<'_>) -> Result<(GetAnswer, String), Failure> {
        let inputs = &ask.service.inputs;
        let entities: Vec<Json> = ask
            .rows
            .iter()
            .map(|r| render::json_row(inputs, r))
            .collect();
        let mut request = json!({
            "entities": entities,
            "as_of": ask.as_of.to_string(),
            "known_at": ask.known_at.map(|t| t.to_string()),
            "cut": ask.cut,
            "defaults": false,
        });
        if let Some(plan) = ask.dataset {
            request["dataset"] = json!(plan.title);
        } else if ask.features.is_empty() {
            request["service"] = json!(ask.service.name);
            request["version"] = json!(ask.service.version);
        } else {
            request["features"] = json!(ask.features);
        }
        let body = request.to_string();
        let json = self.understood(self.client.post("/v1/features", body.as_bytes()))?;
        if json["definition"] != render::hex(&ask.service.digest) {
            return Err(
                Failure::busy("the server reads other definitions than the registry has")
                    .with_hint("start it again"),
            );
        }
        self.answer(ask, &json).ok_or_else(not_understood)
    }

    /// Reads features with a row: the answer, the cut in words, the inputs, and whether the row
    /// was logged before.
    pub(crate) fn call(
        &self,
        mut asked: Json,
        service: &ServiceDef,
        features: &[String],
    ) -> Result<(GetAnswer, String, Vec<Value>, bool), Failure> {
        if features.is_empty() {
            asked["service"] = json!(service.name);
            asked["version"] = json!(service.version);
        } else {
            asked["features"] = json!(features);
        }
        asked["defaults"] = json!(false);
        let body = asked.to_string();
        let json = self.understood(self.client.post("/v1/calls", body.as_bytes()))?;
        if json["definition"] != render::hex(&service.digest) {
            return Err(
                Failure::busy("the server reads other definitions than the registry has")
                    .with_hint("start it again"),
            );
        }
        let ask = Ask {
            service,
            dataset: None,
            features,
            rows: &[],
            as_of: EventTime(0),
            known_at: None,
            cut: None,
        };
        let understood = || {
            let (answer, cut) = self.answer(&ask, &json)?;
            let input = |field: &Field| match &json["inputs"][&field.name] {
                Json::Null => Some(Value::Null),
                value => json_to_value(&field.data_type, value, &Zone::utc()).ok(),
            };
            let inputs = service.inputs.iter().map(input).collect::<Option<_>>()?;
            Some((answer, cut, inputs, json["known"].as_bool()?))
        };
        understood().ok_or_else(not_understood)
    }

    fn answer(&self, ask: &Ask<'_>, json: &Json) -> Option<(GetAnswer, String)> {
        let features = match ask.dataset {
            Some(plan) => plan.outputs().to_vec(),
            None => ask.service.features(),
        };
        let rows = json["rows"]
            .as_array()?
            .iter()
            .map(|row| self.row(&features, row))
            .collect::<Option<Vec<_>>>()?;
        let time = |json: &Json| parse_timestamp(json.as_str()?, &Zone::utc()).ok();
        let answer = GetAnswer {
            features,
            rows,
            as_of: EventTime(time(&json["as_of"])?),
            cut: Cut::empty(),
            known_at: time(&json["known_at"]).map(VisibleAt),
            definition: ask.service.digest,
        };
        Some((answer, json["cut"].as_str()?.to_owned()))
    }

    fn row(&self, features: &[Field], row: &Json) -> Option<Vec<Answer>> {
        let list = |name: &str| row[name].as_array();
        let (values, statuses, times) = (list("values")?, list("statuses")?, list("event_times")?);
        features
            .iter()
            .enumerate()
            .map(|(i, field)| {
                answer(
                    &field.data_type,
                    values.get(i)?,
                    statuses.get(i)?,
                    times.get(i)?,
                )
            })
            .collect()
    }

    /// Plans or applies definition files.
    pub(crate) fn definitions(
        &self,
        path: &str,
        files: &[DefinitionFile],
        output: Output,
    ) -> Result<Definitions, Failure> {
        self.send_definitions(path, files, false, output)
    }

    /// The same, together with what is registered and not in them.
    pub(crate) fn definitions_with_registered(
        &self,
        path: &str,
        files: &[DefinitionFile],
        output: Output,
    ) -> Result<Definitions, Failure> {
        self.send_definitions(path, files, true, output)
    }

    fn send_definitions(
        &self,
        path: &str,
        files: &[DefinitionFile],
        registered: bool,
        output: Output,
    ) -> Result<Definitions, Failure> {
        let texts: Vec<Json> = files
            .iter()
            .map(|file| json!({"name": file.name, "text": file.text}))
            .collect();
        let body = json!({"files": texts, "registered": registered}).to_string();
        let bar = Bar::counts(output);
        let mut progress = |what: &str, done, all| bar.show(what, done, all);
        let mut sent = Sent::new("POST", path, Scope::Admin, body.as_bytes());
        sent.progress = Some(&mut progress);
        let reply = self.client.send(&mut sent);
        let json = self.understood_in(reply, files, "the definitions")?;
        let list = |name: &str| json[name].as_array().into_iter().flatten();
        let changes = list("changes").map(change).collect::<Option<Vec<_>>>();
        Ok(Definitions {
            changes: changes.ok_or_else(not_understood)?,
            warnings: list("warnings").filter_map(diagnostic).collect(),
        })
    }

    /// Verifies: the report.
    pub(crate) fn verify(&self, request: &Json, output: Output) -> Result<Json, Failure> {
        let bar = Bar::counts(output);
        let body = request.to_string();
        let mut progress = |what: &str, done, all| bar.show(what, done, all);
        let mut sent = Sent::new("POST", "/v1/verify", Scope::Read, body.as_bytes());
        sent.progress = Some(&mut progress);
        self.understood(self.client.send(&mut sent))
    }

    /// Explains a value.
    pub(crate) fn explain(&self, request: &Json) -> Result<Json, Failure> {
        let body = request.to_string();
        self.understood(self.client.post("/v1/explain", body.as_bytes()))
    }

    /// Looks at the store for damage: the report, its places as from here.
    pub(crate) fn doctor(&self, project: &Project, output: Output) -> Result<Json, Failure> {
        let bar = Bar::counts(output);
        let mut progress = |what: &str, done, all| bar.show(what, done, all);
        let mut sent = Sent::new("POST", "/v1/doctor", Scope::Admin, b"{}");
        sent.progress = Some(&mut progress);
        let mut report = self.understood(self.client.send(&mut sent))?;
        // Its name for the directory may be relative to another one.
        let theirs = report["store"].take();
        let (theirs, ours) = (theirs.as_str().unwrap_or_default(), project.store.display());
        for damage in report["damages"].as_array_mut().into_iter().flatten() {
            let place = damage["place"].as_str().unwrap_or_default();
            if let Some(inside) = place.strip_prefix(theirs) {
                damage["place"] = json!(format!("{ours}{inside}"));
            }
        }
        if let Json::Object(report) = &mut report {
            report.remove("store");
        }
        Ok(report)
    }

    /// Builds a training set: its report. The spine's file is read here, and the training
    /// set's is written here.
    pub(crate) fn train(
        &self,
        arguments: &TrainArguments,
        spine: &SpineSource,
        output: Output,
    ) -> Result<Json, Failure> {
        let knowledge = match arguments.knowledge {
            Knowledge::Latest => "latest",
            Knowledge::AsServed => "as_served",
        };
        let mut asked = json!({
            "service": arguments.service,
            "knowledge": knowledge,
            "time_column": arguments.time_column,
            "known_at_column": arguments.known_at_column,
            "cut": arguments.cut,
            "statuses": arguments.statuses,
        });
        let texts = match spine {
            SpineSource::Query(text) => vec![query_text(text)],
            _ => Vec::new(),
        };
        let mut path = "/v1/training".to_owned();
        let accept = content_type(TableFormat::of(&arguments.out).map_err(unwritable)?);
        let mut file = AtomicFile::create(&arguments.out).map_err(unwritable)?;
        let bar = Bar::counts(output);
        let mut progress = |what: &str, done, all| bar.show(what, done, all);
        let body;
        let mut sent = match spine {
            SpineSource::File { path: file, .. } => {
                let content_type = content_type(TableFormat::of(file).map_err(unusable)?);
                let open = match File::open(file) {
                    Ok(open) => open,
                    // It says why.
                    Err(error) => {
                        let read = Table::read(file).map_err(unusable);
                        return Err(read
                            .err()
                            .unwrap_or_else(|| Failure::io("read", file, &error)));
                    }
                };
                let length = open.metadata().map_err(|e| Failure::io("read", file, &e))?;
                asked["name"] = json!(file.display().to_string());
                path.push_str(&query_of(&asked));
                let mut sent = Sent::new("POST", &path, Scope::Read, b"");
                sent.content_type = content_type;
                sent.length = length.len();
                sent.body = Box::new(open);
                sent
            }
            SpineSource::Query(text) => {
                asked["query"] = json!(text);
                body = asked.to_string();
                Sent::new("POST", &path, Scope::Read, body.as_bytes())
            }
            SpineSource::Table { .. } => {
                return Err(Failure::request("a spine is a file or a query"));
            }
        };
        sent.accept = accept;
        sent.progress = Some(&mut progress);
        sent.file = Some(&mut file);
        let reply = self.client.send(&mut sent);
        drop(sent);
        drop(bar);
        let mut report = self.understood_in(reply, &texts, QUERY_PLACE)?;
        file.commit().map_err(unwritable)?;
        report["out"] = json!(arguments.out);
        Ok(report)
    }
}

/// What definitions change, and what works, but perhaps not as meant.
pub(crate) struct Definitions {
    pub(crate) changes: Vec<Change>,
    pub(crate) warnings: Vec<(String, Diagnostic)>,
}

/// A change of its JSON.
fn change(json: &Json) -> Option<Change> {
    const OBJECTS: [&str; 7] = [
        "entity",
        "stream",
        "table",
        "feature view",
        "feature service",
        "training dataset",
        "segment",
    ];
    const KINDS: [ChangeKind; 5] = [
        ChangeKind::Create,
        ChangeKind::NewVersion,
        ChangeKind::Metadata,
        ChangeKind::Unchanged,
        ChangeKind::NotInFiles,
    ];
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let notes = json["notes"].as_array()?.iter();
    Some(Change {
        object: OBJECTS
            .into_iter()
            .find(|object| json["object"] == **object)?,
        name: text("name")?,
        version: u32::try_from(json["version"].as_u64()?).ok()?,
        kind: KINDS
            .into_iter()
            .find(|kind| json["change"] == wire::change_word(*kind))?,
        notes: notes.filter_map(Json::as_str).map(str::to_owned).collect(),
        statement: text("statement"),
        statement_now: text("statement_now"),
    })
}

/// What is wrong with a spine's file, as the engine says it.
fn unusable(error: ConnectError) -> Failure {
    Failure::from(error).behind("the training set: the spine")
}

/// The same of the file that is written.
fn unwritable(error: ConnectError) -> Failure {
    Failure::from(error).behind("the training set: its file")
}

fn content_type(format: TableFormat) -> &'static str {
    match format {
        TableFormat::Parquet => "application/vnd.apache.parquet",
        TableFormat::Csv => "text/csv",
        TableFormat::Arrow => "application/vnd.apache.arrow.file",
        TableFormat::ArrowStream => "application/vnd.apache.arrow.stream",
    }
}

/// The fields that are given, as a query.
fn query_of(fields: &Json) -> String {
    let mut query = String::new();
    for (name, value) in fields.as_object().into_iter().flatten() {
        let text = match value {
            Json::Null => continue,
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        query.push_str(&escaped(&text));
    }
    query
}

/// A text as a part of a path or a query.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn not_understood() -> Failure {
    Failure::data("the server's answer is not understood")
}

/// One answer of its JSON.
pub(crate) fn answer_of(data_type: &DataType, json: &Json) -> Option<Answer> {
    answer(
        data_type,
        &json["value"],
        &json["status"],
        &json["event_time"],
    )
}

fn answer(data_type: &DataType, value: &Json, status_word: &Json, time: &Json) -> Option<Answer> {
    let event_time = match time.as_str() {
        Some(text) => Some(EventTime(parse_timestamp(text, &Zone::utc()).ok()?)),
        None => None,
    };
    Some(Answer {
        value: json_to_value(data_type, value, &Zone::utc()).ok()?,
        status: status(status_word.as_str()?)?,
        event_time,
    })
}

/// A status from its words.
fn status(text: &str) -> Option<Status> {
    let errors = ErrorReason::ALL.into_iter().map(Status::Error);
    [
        Status::Present,
        Status::NullValue,
        Status::NotFound,
        Status::OutsideMaxAge,
    ]
    .into_iter()
    .chain(errors)
    .find(|status| status.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_from_their_words() {
        for known in [Status::NotFound, Status::Error(ErrorReason::Overflow)] {
            assert_eq!(status(&known.to_string()), Some(known));
        }
        assert_eq!(status("ERROR"), None);
    }
}
