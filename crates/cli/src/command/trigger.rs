//! `evenkeel trigger` and `evenkeel result`.

use std::sync::Arc;

use evenkeel_engine::api::GetAnswer;
use evenkeel_engine::push::{PushedRow, Pusher};
use evenkeel_engine::{Asked, Registry, ResultId, TriggerResult, source_of};
use evenkeel_server::wire;
use evenkeel_types::Value;
use evenkeel_types::definition::{Catalog, ServiceDef};
use serde_json::{Value as Json, json};

use super::inputs;
use crate::arguments::{ResultArguments, TriggerArguments};
use crate::failure::Failure;
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
}

pub(super) fn run(arguments: &TriggerArguments, session: &Session) -> Result<Answer, Failure> {
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
                "defaults": false,
            });
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
            let answer = engine.trigger(&mut Pusher::default(), &source, row, &asked)?;
            let id = answer.result.as_ref().map(|result| &result.id);
            let row = answer.push.rows.first();
            let of_session = engine.format_session(&answer.push.session);
            let head = wire::trigger_head(&source.name, row, id, &of_session, None);
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
            let json = remote.result(&id)?;
            of_server(&remote, json, &id.asked, &catalog, session)?
        }
        None => {
            let engine = session.reader()?;
            let service = engine.asked(&id.asked)?;
            let result = engine.result(&id)?;
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

impl Told {
    fn answer(self) -> Answer {
        let Told { mut head, read } = self;
        let word = |name: &str| head[name].as_str().unwrap_or_default().to_owned();
        let mut text = String::new();
        match word("status").as_str() {
            "" | "logged" => {}
            "duplicate" => text.push_str("the row was logged before: this is its answer\n"),
            "conflict" => text.push_str(
                "another row has its identity: both are logged, and the one with the smaller payload holds\n",
            ),
            "left_out" => text.push_str("the source's WHERE leaves the row out: nothing is logged\n"),
            _ => text.push_str(&format!(
                "the row is no event, but a dead letter: {}: {}\n",
                word("code"),
                word("reason")
            )),
        }
        let result = word("result");
        if let Some(read) = read {
            let Read {
                service,
                answer,
                cut,
                inputs,
            } = read;
            let rows = std::slice::from_ref(&inputs);
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
        } else if !result.is_empty() {
            text.push_str(&format!("not answered yet: evenkeel result {result}\n"));
        }
        Answer::done(head, text)
    }
}
