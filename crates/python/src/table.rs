//! A table: Arrow in and out, rows out.

use evenkeel_connect::{Table as Columns, TableType};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyDict, PyList};

use crate::capsule;
use crate::error::Failure;
use crate::rows;
use crate::values::Builders;

/// The unpacked bytes of a stream from a server that is trusted.
const STREAM_BYTES_MAX: u64 = 1 << 40;

/// Columns of one length, shared and never changed.
#[pyclass(frozen, module = "evenkeel._evenkeel")]
#[derive(Debug)]
pub(crate) struct Table(pub(crate) Columns);

#[pymethods]
impl Table {
    /// Takes over a stream of record batches.
    #[staticmethod]
    fn from_arrow_stream(py: Python<'_>, stream: &Bound<'_, PyCapsule>) -> PyResult<Self> {
        let stream = capsule::stream(stream)?;
        let table = py.detach(|| Columns::from_c_stream(stream));
        Ok(Table(table.map_err(Failure::from)?))
    }

    /// Takes over one record batch.
    #[staticmethod]
    fn from_arrow_array(
        schema: &Bound<'_, PyCapsule>,
        array: &Bound<'_, PyCapsule>,
    ) -> PyResult<Self> {
        let (schema, array) = capsule::array(schema, array)?;
        let table = Columns::from_c_array(array, &schema);
        Ok(Table(table.map_err(Failure::from)?))
    }

    /// A table of dictionaries.
    #[staticmethod]
    fn from_rows(py: Python<'_>, rows: Vec<Bound<'_, PyDict>>) -> PyResult<Self> {
        Ok(Table(rows::table(py, &rows)?))
    }

    /// Reads an Arrow IPC stream.
    #[staticmethod]
    fn from_ipc(py: Python<'_>, stream: Vec<u8>) -> PyResult<Self> {
        let table = py.detach(|| Columns::from_stream(stream, STREAM_BYTES_MAX));
        Ok(Table(table.map_err(Failure::from)?))
    }

    /// Writes an Arrow IPC stream.
    fn to_ipc<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.0.to_stream()).map_err(Failure::from)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A capsule with a stream of record batches that share the columns.
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A wish, by the interface's contract: the columns have the types that they have.
        drop(requested_schema);
        Ok(capsule::of_table(py, &self.0)?.map_err(Failure::from)?)
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// Names and types of the columns.
    #[getter]
    fn columns(&self) -> Vec<(String, String)> {
        let fields = self.0.fields().into_iter();
        fields
            .map(|(name, table_type)| (name.to_owned(), table_type.to_string()))
            .collect()
    }

    /// The metadata of the schema.
    #[getter]
    fn metadata(&self) -> std::collections::BTreeMap<String, String> {
        self.0.metadata()
    }

    /// The table with these columns only, in this order.
    fn select(&self, names: Vec<String>) -> PyResult<Self> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(Table(self.0.select(&names).map_err(Failure::from)?))
    }

    /// Some of the rows.
    fn slice(&self, start: usize, end: usize) -> PyResult<Self> {
        Ok(Table(self.0.slice(start..end).map_err(Failure::from)?))
    }

    /// The table with another's columns behind its own.
    fn beside(&self, other: &Table) -> PyResult<Self> {
        let table = self.0.clone().beside(&other.0);
        Ok(Table(table.map_err(Failure::from)?))
    }

    /// The canonical digest of the values.
    fn digest(&self, py: Python<'_>) -> PyResult<String> {
        let digest = py.detach(|| self.0.digest()).map_err(Failure::from)?;
        Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A dictionary per row.
    fn to_pylist<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let builders = Builders::new(py)?;
        let rows: Vec<Bound<'py, PyDict>> = (0..self.0.len()).map(|_| PyDict::new(py)).collect();
        for (name, table_type) in self.0.fields() {
            let data_type = match table_type {
                TableType::Known(data_type) => data_type,
                TableType::Opaque(found) => {
                    let message =
                        format!("column `{name}` is {found}, of which there are no values");
                    let failure = Failure::invalid(message);
                    return Err(failure.with_hint("use `to_arrow()`").into());
                }
            };
            let column = self.0.column(name).map_err(Failure::from)?;
            for (row, value) in rows.iter().zip(column.iter()) {
                row.set_item(name, builders.object(&data_type, &value)?)?;
            }
        }
        PyList::new(py, rows)
    }
}
