//! `evenkeel set` and `evenkeel delete`.

use evenkeel_engine::PushedView;
use evenkeel_engine::push::{Pusher, Write, Written};
use evenkeel_server::wire;
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Value, Zone};
use serde_json::{Value as Json, json};

use super::inputs;
use crate::arguments::{DeleteArguments, Pairs, SetArguments};
use crate::failure::{Exit, Failure};
use crate::session::{Answer, Session};

pub(super) fn set(arguments: &SetArguments, session: &Session) -> Result<Answer, Failure> {
    let change = Change {
        view: &arguments.view,
        entity: &arguments.entity,
        features: Some(&arguments.features),
        at: arguments.at.as_deref(),
    };
    change.run(session)
}

pub(super) fn delete(arguments: &DeleteArguments, session: &Session) -> Result<Answer, Failure> {
    let change = Change {
        view: &arguments.view,
        entity: &arguments.entity,
        features: None,
        at: arguments.at.as_deref(),
    };
    change.run(session)
}

/// A change of a row; without features it ends.
struct Change<'a> {
    view: &'a str,
    entity: &'a Pairs,
    features: Option<&'a Pairs>,
    at: Option<&'a str>,
}

impl Change<'_> {
    fn run(&self, session: &Session) -> Result<Answer, Failure> {
        let at = match self.at {
            None => None,
            Some(text) => Some(EventTime(
                parse_timestamp(text, &Zone::utc())
                    .map_err(|error| Failure::request(format!("--at: {error}")))?,
            )),
        };
        let told = match session.server()? {
            Some(remote) => {
                let catalog = remote.catalog(&session.project()?)?;
                let view = PushedView::of(&catalog, self.view)?;
                let mut asked = json!({"at": at.map(|at| at.to_string())});
                let key = self.key(&view)?;
                asked["key"] = inputs::object(&view.key_fields(), &key, self.entity);
                match self.features {
                    None => asked["delete"] = json!(true),
                    Some(typed) => {
                        let fields = view.feature_fields();
                        let features = inputs::row(&fields, typed, None)?;
                        asked["features"] = inputs::object(&fields, &features, typed);
                    }
                }
                remote.change_row(&view.view.name, &asked)?
            }
            None => self.here(at, session)?,
        };
        let place = |name: &str| told[name].as_u64().unwrap_or_default();
        let word = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        if word("status") == "rejected" {
            let text = format!(
                "the row is rejected: {}: {}\n",
                word("code"),
                word("reason")
            );
            return Ok(Answer {
                json: told,
                text,
                exit: Exit::Refuted,
            });
        }
        let text = format!(
            "{}: version {}@{} of the row in {}\n",
            word("view"),
            place("partition"),
            place("offset"),
            word("table"),
        );
        Ok(Answer::done(told, text))
    }

    fn key(&self, view: &PushedView) -> Result<Vec<Value>, Failure> {
        let fields = view.key_fields();
        let key = inputs::row(&fields, self.entity, None)?;
        match fields
            .iter()
            .zip(&key)
            .find(|(_, value)| value.is_missing())
        {
            None => Ok(key),
            Some((field, _)) => Err(Failure::request(format!(
                "`{}` of the key is missing",
                field.name
            ))),
        }
    }

    fn here(&self, at: Option<EventTime>, session: &Session) -> Result<Json, Failure> {
        let mut engine = session.engine()?;
        let view = PushedView::of(engine.catalog(), self.view)?;
        let key = self.key(&view)?;
        let change = match self.features {
            None => view.clone().delete(key, at),
            Some(typed) => {
                let fields = view.feature_fields();
                let row = inputs::row(&fields, typed, None)?;
                let named = fields.iter().zip(row).enumerate();
                let named = named.filter(|(_, (f, _))| typed.names().any(|name| name == f.name));
                let features = named.map(|(number, (_, value))| (number, value)).collect();
                view.clone().set(key, features, at)
            }
        };
        let write = Write::Change(Box::new(change));
        let Written::Pushed(answer) = engine.write(&mut Pusher::default(), write)? else {
            return Err(Failure::data("a change was answered as something else"));
        };
        let of_session = engine.format_session(&answer.session);
        Ok(wire::row_change(&view, answer.rows.first(), &of_session))
    }
}
