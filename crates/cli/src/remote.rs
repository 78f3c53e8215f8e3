//! A server that holds the store, asked over HTTP in place of the engine.
//!
//! What is defined is read from the registry beside it; the answer's definition must be the
//! same, or the two do not speak of one thing.

use evenkeel_connect::json_to_value;
use evenkeel_engine::api::{Answer, GetAnswer};
use evenkeel_engine::{Project, registered};
use evenkeel_server::{Client, Reply};
use evenkeel_types::definition::{Catalog, ServiceDef};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{Cut, ErrorReason, EventTime, Field, Status, Value, VisibleAt, Zone};
use serde_json::{Value as Json, json};

use crate::failure::Failure;
use crate::render;

/// See the module.
pub(crate) struct Remote {
    client: Client,
}

/// What is asked of a server.
pub(crate) struct Ask<'a> {
    pub(crate) service: &'a ServiceDef,
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
        let lost = |error: &dyn std::fmt::Display| {
            Failure::data(format!("the server at {}: {error}", self.client.url()))
        };
        let reply = reply.map_err(|error| lost(&error))?;
        let json: Json = serde_json::from_slice(&reply.body).map_err(|error| lost(&error))?;
        match reply.status {
            200 => Ok(json),
            status => Err(Failure::served(status, &json["error"])),
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
        if ask.features.is_empty() {
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
        self.answer(ask, &json)
            .ok_or_else(|| Failure::data("the server's answer is not understood"))
    }

    fn answer(&self, ask: &Ask<'_>, json: &Json) -> Option<(GetAnswer, String)> {
        let features = ask.service.features();
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
                let time = times.get(i)?;
                let event_time = match time.as_str() {
                    Some(text) => Some(EventTime(parse_timestamp(text, &Zone::utc()).ok()?)),
                    None => None,
                };
                Some(Answer {
                    value: json_to_value(&field.data_type, values.get(i)?, &Zone::utc()).ok()?,
                    status: status(statuses.get(i)?.as_str()?)?,
                    event_time,
                })
            })
            .collect()
    }
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
