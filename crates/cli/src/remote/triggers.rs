//! Triggers and their results, and rows of pushed views, asked of a server.

use std::sync::Arc;

use evenkeel_connect::json_to_value;
use evenkeel_engine::ResultId;
use evenkeel_server::Sent;
use evenkeel_types::definition::ServiceDef;
use evenkeel_types::{EventTime, Field, Value, Zone};
use serde_json::Value as Json;

use super::{Ask, Remote, Scope, not_understood};
use crate::arguments::WaitingArguments;
use crate::command::ReadOfTrigger;
use crate::failure::Failure;

impl Remote {
    /// Logs a row and reads what is asked of it.
    pub(crate) fn trigger(&self, source: &str, request: &Json) -> Result<Json, Failure> {
        let body = request.to_string();
        let path = format!("/v1/triggers/{}", super::escaped(source));
        let mut sent = Sent::new("POST", &path, Scope::Write, body.as_bytes());
        self.accepted(self.client.send(&mut sent))
    }

    /// Reads a result.
    pub(crate) fn result(
        &self,
        id: &ResultId,
        waiting: &WaitingArguments,
    ) -> Result<Json, Failure> {
        let degraded = waiting.degraded;
        let mut path = format!("/v1/results/{id}?degraded={degraded}");
        if let Some(timeout) = waiting.timeout {
            path.push_str(&format!("&wait_ms={timeout}"));
        }
        self.accepted(self.client.get(&path))
    }

    /// Changes a row of a pushed view.
    pub(crate) fn change_row(&self, view: &str, change: &Json) -> Result<Json, Failure> {
        let body = change.to_string();
        let path = format!("/v1/views/{}/rows", super::escaped(view));
        let mut sent = Sent::new("POST", &path, Scope::Write, body.as_bytes());
        self.understood(self.client.send(&mut sent))
    }

    /// The features in an answer.
    pub(crate) fn read_of_trigger(
        &self,
        json: &Json,
        service: Arc<ServiceDef>,
    ) -> Result<ReadOfTrigger, Failure> {
        let ask = Ask {
            service: &service,
            dataset: None,
            features: &[],
            rows: &[],
            as_of: EventTime(0),
            known_at: None,
            cut: None,
        };
        let input = |field: &Field| match &json["inputs"][&field.name] {
            Json::Null => Some(Value::Null),
            value => json_to_value(&field.data_type, value, &Zone::utc()).ok(),
        };
        let inputs = service.inputs.iter().map(input).collect::<Option<_>>();
        let (answer, cut) = self.answer(&ask, json).ok_or_else(not_understood)?;
        let inputs = inputs.ok_or_else(not_understood)?;
        Ok(ReadOfTrigger {
            service,
            answer,
            cut,
            inputs,
            degraded: json["degraded"].clone(),
        })
    }
}
