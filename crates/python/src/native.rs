//! Python's objects as what they say they are, and as values of declared types.
//!
//! Nothing is coerced: an object is a value of a type or there is a reason why not. The rules
//! are those of JSON (see `evenkeel_connect`), with Python's own times, decimals and bytes.

use std::sync::Arc;

use evenkeel_connect::text_to_value;
use evenkeel_types::{DataType, Value, Zone};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple,
};

/// An object of Python.
#[derive(Clone, Debug)]
pub(crate) enum Native<'py> {
    /// `None`, and what pandas has in its place
    Null,
    /// `bool`
    Boolean(bool),
    /// `int`
    Integer(i64),
    /// `int` beyond 64 bits, as text
    BigInteger(String),
    /// `float`
    Float(f64),
    /// `str`
    Text(String),
    /// `bytes`, `bytearray`
    Bytes(Vec<u8>),
    /// `datetime.datetime`: ISO 8601, with an offset if it is aware
    Time { text: String, is_aware: bool },
    /// `datetime.date`: ISO 8601
    Date(String),
    /// `decimal.Decimal`
    Decimal(String),
    /// `list`, `tuple`
    List(Vec<Bound<'py, PyAny>>),
    /// `dict`
    Dict(Bound<'py, PyDict>),
}

/// The classes that have no type of their own in the stable interface.
pub(crate) struct Classes<'py> {
    datetime: Bound<'py, PyAny>,
    date: Bound<'py, PyAny>,
    decimal: Bound<'py, PyAny>,
}

impl<'py> Classes<'py> {
    /// Looks them up.
    pub(crate) fn new(py: Python<'py>) -> PyResult<Self> {
        let datetime = py.import("datetime")?;
        Ok(Classes {
            date: datetime.getattr("date")?,
            datetime: datetime.getattr("datetime")?,
            decimal: py.import("decimal")?.getattr("Decimal")?,
        })
    }

    /// What an object is.
    ///
    /// # Errors
    /// The reason, if it is nothing that a column holds.
    pub(crate) fn native(&self, object: &Bound<'py, PyAny>) -> Result<Native<'py>, String> {
        if let Some(native) = plain(object)? {
            return Ok(native);
        }
        let said = |error: PyErr| error.to_string();
        let name = object.get_type().name().map_err(said)?.to_string();
        if matches!(name.as_str(), "NaTType" | "NAType") {
            return Ok(Native::Null);
        }
        if object.is_instance(&self.datetime).map_err(said)? {
            return time(object).map_err(said)?;
        }
        let text = |method: &str| -> PyResult<String> { object.call_method0(method)?.extract() };
        if object.is_instance(&self.date).map_err(said)? {
            return text("isoformat").map(Native::Date).map_err(said);
        }
        if object.is_instance(&self.decimal).map_err(said)? {
            return text("__str__").map(Native::Decimal).map_err(said);
        }
        let module: String = object
            .get_type()
            .module()
            .and_then(|m| m.extract())
            .map_err(said)?;
        if module == "numpy" {
            // A scalar, or an array as nested lists; never itself again.
            let list = object.call_method0("tolist").map_err(said)?;
            if let Some(native) = plain(&list)? {
                return Ok(native);
            }
            if list.is_instance(&self.datetime).map_err(said)? {
                return time(&list).map_err(said)?;
            }
        }
        Err(format!("a `{name}` is no value of a column"))
    }
}

/// What needs no class to be looked up.
fn plain<'py>(object: &Bound<'py, PyAny>) -> Result<Option<Native<'py>>, String> {
    let said = |error: PyErr| error.to_string();
    Ok(Some(if object.is_none() {
        Native::Null
    } else if let Ok(boolean) = object.cast::<PyBool>() {
        Native::Boolean(boolean.is_true())
    } else if object.is_instance_of::<PyInt>() {
        match object.extract() {
            Ok(integer) => Native::Integer(integer),
            Err(_) => Native::BigInteger(object.str().map_err(said)?.to_string()),
        }
    } else if let Ok(float) = object.cast::<PyFloat>() {
        Native::Float(float.value())
    } else if let Ok(text) = object.cast::<PyString>() {
        Native::Text(text.extract().map_err(said)?)
    } else if let Ok(bytes) = object.cast::<PyBytes>() {
        Native::Bytes(bytes.as_bytes().to_vec())
    } else if let Ok(bytes) = object.cast::<PyByteArray>() {
        Native::Bytes(bytes.to_vec())
    } else if let Ok(list) = object.cast::<PyList>() {
        Native::List(list.iter().collect())
    } else if let Ok(tuple) = object.cast::<PyTuple>() {
        Native::List(tuple.iter().collect())
    } else if let Ok(dict) = object.cast::<PyDict>() {
        Native::Dict(dict.clone())
    } else {
        return Ok(None);
    }))
}

/// A `datetime`; pandas' may be finer than a microsecond.
fn time<'py>(object: &Bound<'py, PyAny>) -> PyResult<Result<Native<'py>, String>> {
    if let Ok(nanosecond) = object.getattr("nanosecond")
        && nanosecond.extract::<i64>()? != 0
    {
        return Ok(Err("the time is finer than a microsecond".to_owned()));
    }
    Ok(Ok(Native::Time {
        text: object.call_method0("isoformat")?.extract()?,
        is_aware: !object.call_method0("utcoffset")?.is_none(),
    }))
}

impl<'py> Native<'py> {
    /// The name of its class.
    fn class(&self) -> &'static str {
        match self {
            Native::Null => "None",
            Native::Boolean(_) => "bool",
            Native::Integer(_) | Native::BigInteger(_) => "int",
            Native::Float(_) => "float",
            Native::Text(_) => "str",
            Native::Bytes(_) => "bytes",
            Native::Time { .. } => "datetime",
            Native::Date(_) => "date",
            Native::Decimal(_) => "Decimal",
            Native::List(_) => "list",
            Native::Dict(_) => "dict",
        }
    }

    /// The value of a type; times without an offset are local to the zone.
    ///
    /// # Errors
    /// The reason, if it is not exactly one.
    pub(crate) fn value(
        &self,
        data_type: &DataType,
        zone: &Zone,
        classes: &Classes<'py>,
    ) -> Result<Value, String> {
        let text = |text: &str| text_to_value(data_type, text, zone).map_err(|e| e.to_string());
        let inexact = |x: &dyn std::fmt::Display| format!("{x} is not exactly {data_type}");
        match (data_type, self) {
            (_, Native::Null) => Ok(Value::Null),
            (DataType::Boolean, Native::Boolean(b)) => Ok(Value::Boolean(*b)),
            (DataType::BigInt, Native::Integer(i)) => Ok(Value::BigInt(*i)),
            (DataType::Int | DataType::Decimal { .. }, Native::Integer(i)) => text(&i.to_string()),
            (
                DataType::Int | DataType::BigInt | DataType::Decimal { .. },
                Native::BigInteger(i),
            ) => text(i),
            (DataType::Int | DataType::BigInt, Native::Float(x)) => {
                if x.is_finite() && x.trunc() == *x {
                    text(&format!("{x:.0}"))
                } else {
                    Err(inexact(x))
                }
            }
            (DataType::Double, Native::Float(x)) => Ok(Value::double(*x)),
            (DataType::Double, Native::Integer(i)) => {
                let x = *i as f64;
                let exact = x as i128 == i128::from(*i);
                exact.then(|| Value::double(x)).ok_or_else(|| inexact(i))
            }
            (DataType::Float, Native::Float(x)) => {
                let float = *x as f32;
                let fits = float.is_finite() || !x.is_finite();
                fits.then(|| Value::float(float)).ok_or_else(|| inexact(x))
            }
            (DataType::Float, Native::Integer(i)) => {
                let x = *i as f32;
                let exact = x as i128 == i128::from(*i);
                exact.then(|| Value::float(x)).ok_or_else(|| inexact(i))
            }
            (DataType::String, Native::Text(given)) => Ok(Value::string(given.as_str())),
            (
                DataType::Timestamp | DataType::Date | DataType::Decimal { .. },
                Native::Text(given),
            ) => text(given),
            (DataType::Timestamp, Native::Time { text: given, .. } | Native::Date(given))
            | (DataType::Date, Native::Date(given))
            | (DataType::Decimal { .. }, Native::Decimal(given)) => text(given),
            (DataType::Bytes, Native::Bytes(bytes)) => Ok(Value::Bytes(bytes.as_slice().into())),
            (DataType::Array(element), Native::List(items)) => {
                list(items, element, zone, classes).map(Value::Array)
            }
            (DataType::Vector { element, length }, Native::List(items)) => {
                let values = list(items, element, zone, classes)?;
                if values.len() != *length as usize {
                    return Err(format!("{} elements are not {data_type}", values.len()));
                }
                if values.iter().any(Value::is_missing) {
                    return Err(format!("None is no element of {data_type}"));
                }
                Ok(Value::Array(values))
            }
            (DataType::Struct(fields), Native::Dict(dict)) => {
                let mut values = Vec::with_capacity(fields.len());
                for field in fields {
                    let given = dict.get_item(&field.name).map_err(|e| e.to_string())?;
                    values.push(match given {
                        None => Value::Null,
                        Some(given) => {
                            classes
                                .native(&given)?
                                .value(&field.data_type, zone, classes)?
                        }
                    });
                }
                Ok(Value::Struct(values.into()))
            }
            (_, other) => Err(format!("a `{}` is not {data_type}", other.class())),
        }
    }

    /// The type that holds objects like this one; none for `None`, and where the column must
    /// say it.
    pub(crate) fn natural_type(&self) -> Result<Option<DataType>, String> {
        Ok(Some(match self {
            Native::Null => return Ok(None),
            Native::Boolean(_) => DataType::Boolean,
            Native::Integer(_) => DataType::BigInt,
            Native::Float(_) => DataType::Double,
            Native::Text(_) => DataType::String,
            Native::Bytes(_) => DataType::Bytes,
            Native::Time { .. } => DataType::Timestamp,
            Native::Date(_) => DataType::Date,
            Native::BigInteger(digits) => return Err(format!("{digits} is not BIGINT")),
            Native::Decimal(_) | Native::List(_) | Native::Dict(_) => {
                return Err(format!(
                    "the type of a column cannot be told from a `{}`: give a data frame",
                    self.class()
                ));
            }
        }))
    }
}

fn list<'py>(
    items: &[Bound<'py, PyAny>],
    element: &DataType,
    zone: &Zone,
    classes: &Classes<'py>,
) -> Result<Arc<[Value]>, String> {
    let values = items
        .iter()
        .map(|item| classes.native(item)?.value(element, zone, classes));
    values.collect()
}
