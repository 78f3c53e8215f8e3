//! Rows of pushed views.

use evenkeel_connect::ColumnSpec;
use evenkeel_engine::PushedView;
use evenkeel_engine::push::{RowAnswer, Write, Written};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Field, Value, Zone};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::Store;
use crate::error::Failure;
use crate::rows;

#[pymethods]
impl Store {
    /// Sets features of a row; without any it ends.
    fn change<'py>(
        &self,
        py: Python<'py>,
        view: &str,
        key: Bound<'py, PyDict>,
        features: Option<Bound<'py, PyDict>>,
        at: Option<&str>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let view = self.read(py, |engine| Ok(PushedView::of(engine.catalog(), view)?))?;
        let at = at.map(|text| parse_timestamp(text, &Zone::utc()).map(EventTime));
        let at = at.transpose();
        let at = at.map_err(|error| Failure::invalid(format!("`at`: {error}")))?;
        let key_fields = view.key_fields();
        let key = values(py, &key_fields, &key)?;
        if let Some((field, _)) = key_fields.iter().zip(&key).find(|(_, v)| v.is_missing()) {
            return Err(Failure::invalid(format!("`{}` of the key is missing", field.name)).into());
        }
        let change = match &features {
            None => view.clone().delete(key, at),
            Some(features) => {
                let fields = view.feature_fields();
                let row = values(py, &fields, features)?;
                let named = fields.iter().zip(row).enumerate();
                let named =
                    named.filter(|(_, (field, _))| features.contains(&field.name).unwrap_or(false));
                let named: Vec<_> = named.map(|(number, (_, value))| (number, value)).collect();
                if named.is_empty() {
                    return Err(Failure::invalid("`features` names none").into());
                }
                view.clone().set(key, named, at)
            }
        };
        let (answer, session) = self.write(py, |engine, pusher| {
            let Written::Pushed(answer) = engine.write(pusher, Write::Change(Box::new(change)))?
            else {
                return Err(Failure::broken());
            };
            let session = engine.format_session(&answer.session);
            Ok((answer, session))
        })?;
        let row = answer.rows.first();
        let told = PyDict::new(py);
        told.set_item("view", &view.view.name)?;
        told.set_item("version", view.view.version)?;
        told.set_item("table", &view.table.name)?;
        told.set_item("status", row.map(RowAnswer::word))?;
        told.set_item("session", session)?;
        match row {
            Some(RowAnswer::Logged(at) | RowAnswer::Conflict(at)) => {
                told.set_item("partition", at.partition.0)?;
                told.set_item("offset", at.offset.0)?;
            }
            Some(RowAnswer::Rejected { code, reason }) => {
                told.set_item("code", code)?;
                told.set_item("reason", reason)?;
            }
            _ => {}
        }
        Ok(told)
    }
}

/// Values of fields; those that are not named are NULL.
fn values<'py>(
    py: Python<'py>,
    fields: &[Field],
    given: &Bound<'py, PyDict>,
) -> PyResult<Vec<Value>> {
    let columns = fields.iter();
    let columns = columns.map(|f| ColumnSpec::new(f.name.clone(), f.data_type.clone()));
    let columns: Vec<ColumnSpec> = columns.collect();
    let mut decoded = rows::declared(py, std::slice::from_ref(given), &columns, &Zone::utc())?;
    let row = decoded.pop().unwrap_or_else(|| Ok(Vec::new()));
    Ok(row.map_err(|(column, reason)| Failure::in_row(0, column, &reason))?)
}
