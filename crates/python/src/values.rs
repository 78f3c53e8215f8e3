//! Values as Python's objects.

use evenkeel_connect::value_to_text;
use evenkeel_types::{DataType, Value};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

/// What builds dates, times and decimals.
pub(crate) struct Builders<'py> {
    py: Python<'py>,
    epoch: Bound<'py, PyAny>,
    epoch_day: Bound<'py, PyAny>,
    timedelta: Bound<'py, PyAny>,
    decimal: Bound<'py, PyAny>,
}

impl<'py> Builders<'py> {
    /// Looks them up.
    pub(crate) fn new(py: Python<'py>) -> PyResult<Self> {
        let datetime = py.import("datetime")?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        let epoch = (1970, 1, 1, 0, 0, 0, 0, utc);
        Ok(Builders {
            py,
            epoch: datetime.getattr("datetime")?.call1(epoch)?,
            epoch_day: datetime.getattr("date")?.call1((1970, 1, 1))?,
            timedelta: datetime.getattr("timedelta")?,
            decimal: py.import("decimal")?.getattr("Decimal")?,
        })
    }

    /// A time, aware, in UTC.
    ///
    /// # Errors
    /// `OverflowError` before the year 1 and after 9999.
    pub(crate) fn time(&self, micros: i64) -> PyResult<Bound<'py, PyAny>> {
        let since = self.timedelta.call1((0, 0, micros))?;
        self.epoch.call_method1("__add__", (since,))
    }

    /// A value of a type; `None` for NULL and ERROR.
    ///
    /// # Errors
    /// See [`Builders::time`]; an interval has no object.
    pub(crate) fn object(
        &self,
        data_type: &DataType,
        value: &Value,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        match value {
            Value::Null | Value::Error(_) => Ok(py.None().into_bound(py)),
            Value::Boolean(b) => b.into_bound_py_any(py),
            Value::Int(i) => i.into_bound_py_any(py),
            Value::BigInt(i) => i.into_bound_py_any(py),
            Value::Float(x) => f64::from(*x).into_bound_py_any(py),
            Value::Double(x) => x.into_bound_py_any(py),
            Value::String(text) => text.as_ref().into_bound_py_any(py),
            Value::Bytes(bytes) => Ok(PyBytes::new(py, bytes).into_any()),
            Value::Decimal(_) => self.decimal.call1((value_to_text(data_type, value),)),
            Value::Interval(interval) => interval.to_string().into_bound_py_any(py),
            Value::Date(days) => {
                let since = self.timedelta.call1((*days,))?;
                self.epoch_day.call_method1("__add__", (since,))
            }
            Value::Timestamp(micros) => self.time(*micros),
            Value::Array(items) => {
                let element = match data_type {
                    DataType::Array(element) | DataType::Vector { element, .. } => element,
                    _ => data_type,
                };
                let list = PyList::empty(py);
                for item in items.iter() {
                    list.append(self.object(element, item)?)?;
                }
                Ok(list.into_any())
            }
            Value::Struct(values) => {
                let dict = PyDict::new(py);
                if let DataType::Struct(fields) = data_type {
                    for (field, value) in fields.iter().zip(values.iter()) {
                        dict.set_item(&field.name, self.object(&field.data_type, value)?)?;
                    }
                }
                Ok(dict.into_any())
            }
        }
    }
}
