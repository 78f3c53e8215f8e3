//! `evenkeel trigger` and `evenkeel result`.

use std::sync::Arc;

use evenkeel_engine::api::GetAnswer;
use evenkeel_engine::push::{PushedRow, Pusher, TriggerRow};
use evenkeel_engine::{Asked, Registry, ResultId, TriggerPromise, TriggerResult, source_of};
use evenkeel_server::wire;
use evenkeel_types::Value;
use evenkeel_types::definition::{Catalog, ServiceDef};
use serde_json::{Value as Json, json};

use super::inputs;
use crate::arguments::{ResultArguments, TriggerArguments};
use crate::failure::{Exit, Failure};
use crate::remote::Remote;
use crate::render;
use crate::session::{Answer, Session};

/// What is said of a trigger: its head, and its features, if they are there.
struct Told {
    head: Json,
    read: Option<Read>,
}

/// Features that were read.
pub(crate) struct Read {
    pub(crate) service: Arc<ServiceDef>,
    pub(crate) answer: GetAnswer,
    pub(crate) cut: String,
    pub(crate) inputs: Vec<Value>,
    /// What it waits for and does not know.
    pub(crate) degraded: Json,
}

pub(super) fn run(arguments: &TriggerArguments, session: &Session) -> Result<Answer, Failure> {
    let level = arguments.consistency.as_deref();
    let promise = TriggerPromise::of_words(level, arguments.waiting.degraded)?;
    let told = match session.server()? {
        Some(remote) => {
            let catalog = remote.catalog(&session.project()?)?;
            let asked = asked(arguments, &catalog)?;
            let source = source_of(&catalog, &arguments.source)?;
            let columns = source.stored_fields();
            let stored = inputs::row(&columns, &arguments.row, None)?;
            let (kind, name, version) = asked.parts();
            let mut request = json!({
                "row": inputs::object(&columns, &stored, &arguments.row),
                "version": version,
                "producer_id": arguments.producer,
                "sequence": arguments.sequence,
                "correlation_id": arguments.correlation_id,
                "deadline_ms": arguments.waiting.timeout,
                "degraded": promise.degraded,
                "defaults": false,
            });
            request["consistency"] = match &promise.complete {
                Some(sources) if !sources.is_empty() => json!({ "complete": sources }),
                _ => json!(level),
            };
            request[kind] = json!(name);
            let json = remote.trigger(&source.name, &request)?;
            of_server(&remote, json, &asked, &catalog, session)?
        }
        None => {
            let mut engine = session.engine()?;
            let asked = asked(arguments, engine.catalog())?;
            let source = source_of(engine.catalog(), &arguments.source)?;
            let row = PushedRow {
                values: Ok(inputs::row(&source.stored_fields(), &arguments.row, None)?),
                producer: arguments
                    .producer
                    .as_deref()
                    .map(Arc::from)
                    .zip(arguments.sequence),
            };
            let row = TriggerRow {
                row,
                correlation_id: arguments.correlation_id.clone(),
            };
            let answer =
                engine.trigger_with(&mut Pusher::default(), &source, row, &asked, &promise);
            let answer = answer?;
            let id = answer.result.as_ref().map(|result| &result.id);
            let row = answer.push.rows.first();
            let of_session = engine.format_session(&answer.push.session);
            let correlation_id = arguments.correlation_id.as_deref();
            let head = wire::trigger_head(&source.name, row, id, &of_session, correlation_id);
            let service = engine.asked(&asked)?;
            let read = answer.result.map(|result| {
                let cut = engine.format_cut(result.trigger.cut());
                of_result(result, service, cut)
            });
            Told { head, read }
        }
    };
    Ok(told.answer())
}

pub(super) fn result(arguments: &ResultArguments, session: &Session) -> Result<Answer, Failure> {
    let id: ResultId = arguments.id.parse()?;
    let told = match session.server()? {
        Some(remote) => {
            let catalog = remote.catalog(&session.project()?)?;
            let json = remote.result(&id, &arguments.waiting)?;
            of_server(&remote, json, &id.asked, &catalog, session)?
        }
        None => {
            let engine = session.reader()?;
            let service = engine.asked(&id.asked)?;
            let result = engine.result_with(&id, arguments.waiting.degraded)?;
            let cut = engine.format_cut(result.trigger.cut());
            Told {
                head: wire::result_head(&id, true),
                read: Some(of_result(result, service, cut)),
            }
        }
    };
    Ok(told.answer())
}

fn asked(arguments: &TriggerArguments, catalog: &Catalog) -> Result<Asked, Failure> {
    let asked = match (&arguments.service, &arguments.view) {
        (Some(name), _) => Asked::of_service(catalog, name),
        (None, Some(name)) => Asked::of_view(catalog, name),
        (None, None) => return Err(Failure::request("neither service nor view is named")),
    };
    Ok(asked?)
}

fn of_result(result: TriggerResult, service: Arc<ServiceDef>, cut: String) -> Read {
    Read {
        answer: GetAnswer {
            features: service.features(),
            rows: result.answers.to_rows(),
            as_of: result.trigger.event_time(),
            cut: result.trigger.cut().clone(),
            known_at: None,
            definition: service.digest,
        },
        inputs: result.inputs,
        service,
        cut,
        degraded: json!(result.degraded.as_ref().map(wire::unmet)),
    }
}

/// What a server said.
fn of_server(
    remote: &Remote,
    json: Json,
    asked: &Asked,
    catalog: &Catalog,
    session: &Session,
) -> Result<Told, Failure> {
    const OF_THE_HEAD: &[&str] = &[
        "source",
        "partition",
        "offset",
        "result",
        "answered",
        "asked",
        "consistency",
        "missing",
        "status",
        "duplicate",
        "session",
        "correlation_id",
        "code",
        "reason",
    ];
    let read = match json.get("rows") {
        None => None,
        Some(_) => {
            let service = match asked.service(catalog)? {
                Some(service) => service,
                None => {
                    let registry = Registry::open(&session.project()?.store)?;
                    asked.past_service(registry.records(), &catalog.host)?
                }
            };
            Some(remote.read_of_trigger(&json, service)?)
        }
    };
    let members = OF_THE_HEAD.iter().filter_map(|name| {
        let value = json.get(*name)?;
        Some(((*name).to_owned(), value.clone()))
    });
    Ok(Told {
        head: Json::Object(members.collect()),
        read,
    })
}

/// What is missing, in words.
fn missing(unmet: &Json) -> Option<String> {
    let word = |name: &str| unmet[name].as_str();
    let (source, reached) = (word("source")?, word("reached")?);
    let wanted = word("wanted")?;
    Some(format!(
        "the watermark of {source} is at {reached}, wanted is later than {wanted}"
    ))
}

impl Told {
    fn answer(self) -> Answer {
        let Told { mut head, read } = self;
        let word = |name: &str| head[name].as_str().unwrap_or_default().to_owned();
        let mut text = String::new();
        let mut exit = Exit::Done;
        match word("status").as_str() {
            "" | "logged" => {}
            "duplicate" => text.push_str("the row was logged before: this is its answer\n"),
            "conflict" => text.push_str(
                "another row has its identity: both are logged, and the one with the smaller payload holds\n",
            ),
            "left_out" => text.push_str("the source's WHERE leaves the row out: nothing is logged\n"),
            _ => {
                text.push_str(&format!(
                    "the row is no event, but a dead letter: {}: {}\n",
                    word("code"),
                    word("reason")
                ));
                // There is no answer, and asking again brings none: the row is wrong.
                exit = Exit::Refuted;
            }
        }
        let result = word("result");
        if let Some(read) = read {
            let Read {
                service,
                answer,
                cut,
                inputs,
                degraded,
            } = read;
            let rows = std::slice::from_ref(&inputs);
            if let Some(missing) = missing(&degraded) {
                text.push_str(&format!("known at its own place: {missing}\n"));
            }
            text = format!(
                "{}{text}as of {}, cut {cut}\nresult {result}\n",
                render::answers(&service.inputs, rows, &answer),
                answer.as_of,
            );
            head["definition"] = json!(render::hex(&answer.definition));
            head["as_of"] = json!(answer.as_of.to_string());
            head["cut"] = json!(cut);
            head["features"] = render::json_fields(&answer.features);
            head["rows"] = render::json_rows(&service.inputs, rows, &answer);
            head["degraded"] = degraded;
        } else if !result.is_empty() {
            if let Some(missing) = missing(&head["missing"]) {
                text.push_str(&format!("{missing}\n"));
            }
            text.push_str(&format!("not answered yet: evenkeel result {result}\n"));
            // As without a server, where it is an error: nobody takes it for the answer.
            exit = Exit::Busy;
        }
        Answer {
            exit,
            ..Answer::done(head, text)
        }
    }
}
