//! Calls, triggers and their results.

use std::sync::Arc;

use evenkeel_engine::api::GetAnswer;
use evenkeel_engine::push::{PushedRow, RowAnswer, TriggerRow, checked_correlation_id};
use evenkeel_engine::{Asked, Called, ReadPlan, ResultId, TriggerPromise, TriggerResult, Unmet};
use evenkeel_types::Value;
use evenkeel_types::definition::ServiceDef;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::Store;
use super::read::{one_row, parts, service};
use super::write::columns;
use crate::error::Failure;
use crate::rows;
use crate::table::Table;

/// Features with what they say of themselves.
type Read<'py> = (Table, Bound<'py, PyDict>);

#[pymethods]
impl Store {
    /// Reads features with one row more than is logged.
    fn call<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        row: Bound<'py, PyDict>,
        name: Option<String>,
        features: Vec<String>,
        inputs: Bound<'py, PyDict>,
    ) -> PyResult<Read<'py>> {
        let def = self.read(py, |engine| Ok(engine.source(source)?))?;
        let decoded = rows::declared(py, &[row], &columns(&def), &def.zone)?;
        let stored = decoded.into_iter().next().unwrap_or_else(|| Ok(Vec::new()));
        let stored = stored.map_err(|(column, reason)| Failure::in_row(0, column, &reason))?;
        let service = self.read(py, |engine| service(engine, name.as_deref(), &features))?;
        let (given, named) = self.dicts(py, &service, &[inputs])?;
        let fields = service.inputs.iter().zip(given.into_iter().flatten());
        let given: Vec<(String, Value)> = fields
            .zip(named)
            .filter(|(_, named)| *named)
            .map(|((field, value), _)| (field.name.clone(), value))
            .collect();
        let (inputs, answer, cut) = self.read(py, |engine| {
            let no_event = |reason: &str| {
                let source = &def.name;
                Failure::invalid(format!("the row is no event of `{source}`: {reason}"))
            };
            let call = match engine.call(&def, stored, None)? {
                Called::Row(call) => call,
                Called::LeftOut => return Err(no_event("`WHERE` leaves the row out")),
                Called::Rejected { reason, .. } => return Err(no_event(&reason)),
            };
            let inputs = call.inputs(&service, &given)?;
            let plan = ReadPlan::new(Arc::clone(&service));
            let cut = engine.cut();
            let answers = engine.read_call(&plan, &call, std::slice::from_ref(&inputs), &cut)?;
            let answer = GetAnswer {
                features: service.features(),
                rows: answers.to_rows(),
                as_of: call.event_time(),
                cut,
                known_at: None,
                definition: service.digest,
            };
            let cut = engine.format_cut(&answer.cut);
            Ok((inputs, answer, cut))
        })?;
        let table = one_row(&service, inputs, &answer)?;
        Ok((
            table,
            parts(py, name.is_some().then_some(&*service), &answer, cut)?,
        ))
    }

    /// Logs a row and reads what is asked of it.
    fn trigger<'py>(
        &self,
        py: Python<'py>,
        source: &str,
        row: Bound<'py, PyDict>,
        asked: (String, String),
        names: (Option<(String, u64)>, Option<String>),
        promise: (Option<String>, bool),
    ) -> PyResult<(Bound<'py, PyDict>, Option<Read<'py>>)> {
        let (producer, correlation_id) = names;
        let def = self.read(py, |engine| Ok(engine.source(source)?))?;
        let mut decoded =
            rows::declared(py, std::slice::from_ref(&row), &columns(&def), &def.zone)?;
        let values = match decoded.pop() {
            Some(Ok(values)) => Ok(values),
            Some(Err((column, reason))) => Err(rows::undecoded(&row, column.as_deref(), &reason)?),
            None => return Err(Failure::broken().into()),
        };
        let pushed = PushedRow {
            values,
            producer: producer.map(|(id, sequence)| (Arc::from(id), sequence)),
        };
        let checked = correlation_id.as_deref().map(checked_correlation_id);
        let pushed = TriggerRow {
            row: pushed,
            correlation_id: checked.transpose().map_err(Failure::invalid)?,
        };
        let (answer, session, found) = self.write(py, |engine, pusher| {
            let asked = match asked.0.as_str() {
                "view" => Asked::of_view(engine.catalog(), &asked.1),
                _ => Asked::of_service(engine.catalog(), &asked.1),
            };
            let asked = asked?;
            let service = engine.asked(&asked)?;
            let promise = TriggerPromise::of_words(promise.0.as_deref(), promise.1)?;
            let answer = engine.trigger_with(pusher, &def, pushed, &asked, &promise)?;
            let session = engine.format_session(&answer.push.session);
            let cut = |result: TriggerResult| {
                let cut = engine.format_cut(result.trigger.cut());
                (result, service, cut)
            };
            Ok((answer.push, session, answer.result.map(cut)))
        })?;
        let row = answer.rows.first();
        let head = PyDict::new(py);
        head.set_item("source", &def.name)?;
        head.set_item("status", row.map(RowAnswer::word))?;
        head.set_item("session", session)?;
        if let Some(RowAnswer::Rejected { code, reason }) = row {
            head.set_item("code", code)?;
            head.set_item("reason", reason)?;
        }
        let id = found.as_ref().map(|(result, ..)| &result.id);
        head.set_item("result", id.map(ResultId::to_string))?;
        head.set_item("partition", id.map(|id| id.position.partition.0))?;
        head.set_item("offset", id.map(|id| id.position.offset.0))?;
        let read = found.map(|(result, service, cut)| read(py, result, &service, cut));
        Ok((head, read.transpose()?))
    }

    /// Reads a result by its name.
    fn result<'py>(&self, py: Python<'py>, id: &str, degraded: bool) -> PyResult<Read<'py>> {
        let (result, service, cut) = self.read(py, |engine| {
            let id: ResultId = id.parse()?;
            let result = engine.result_with(&id, degraded)?;
            let cut = engine.format_cut(result.trigger.cut());
            Ok((result, engine.asked(&id.asked)?, cut))
        })?;
        read(py, result, &service, cut)
    }
}

/// The watermark that a degraded answer does not wait for.
fn lacks<'py>(py: Python<'py>, unmet: &Unmet) -> PyResult<Bound<'py, PyDict>> {
    let lacks = PyDict::new(py);
    lacks.set_item("what", "watermark")?;
    lacks.set_item("source", &unmet.source)?;
    lacks.set_item("partition", unmet.partition)?;
    lacks.set_item("wanted", &unmet.wanted)?;
    lacks.set_item("reached", &unmet.reached)?;
    Ok(lacks)
}

fn read<'py>(
    py: Python<'py>,
    result: TriggerResult,
    service: &ServiceDef,
    cut: String,
) -> PyResult<Read<'py>> {
    let answer = GetAnswer {
        features: service.features(),
        rows: result.answers.to_rows(),
        as_of: result.trigger.event_time(),
        cut: result.trigger.cut().clone(),
        known_at: None,
        definition: service.digest,
    };
    let named = matches!(result.id.asked, Asked::Service { .. });
    let table = one_row(service, result.inputs, &answer)?;
    let parts = parts(py, named.then_some(service), &answer, cut)?;
    if let Some(unmet) = &result.degraded {
        parts.set_item("degraded", lacks(py, unmet)?)?;
    }
    Ok((table, parts))
}
