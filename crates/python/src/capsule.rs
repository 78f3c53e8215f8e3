//! Arrow's PyCapsule interface: tables in and out by pointer, without copies.
//!
//! The one module of this crate with unsafe code. A capsule of the right name holds a struct
//! of the Arrow C interface by contract
//! (<https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>): the struct
//! is moved out, and a released one left in its place.
#![allow(
    unsafe_code,
    reason = "what a capsule holds is known by its name alone"
)]

use std::ffi::CStr;

use evenkeel_connect::{CArray, CSchema, CStream, ConnectError, Table};
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

const STREAM: &CStr = c"arrow_array_stream";
const SCHEMA: &CStr = c"arrow_schema";
const ARRAY: &CStr = c"arrow_array";

/// Moves a struct out of a capsule of this name.
fn take<T>(capsule: &Bound<'_, PyCapsule>, name: &CStr, released: T) -> PyResult<T> {
    let pointer = capsule.pointer_checked(Some(name))?.cast::<T>();
    // SAFETY: the capsule has the name of the struct that `T` is transparent over, so the
    // pointer is to one; the interpreter's lock is held, so nobody else moves it meanwhile.
    Ok(unsafe { std::ptr::replace(pointer.as_ptr(), released) })
}

/// The stream of a capsule.
pub(crate) fn stream(capsule: &Bound<'_, PyCapsule>) -> PyResult<CStream> {
    take(capsule, STREAM, CStream::released())
}

/// The record batch of two capsules.
pub(crate) fn array(
    schema: &Bound<'_, PyCapsule>,
    array: &Bound<'_, PyCapsule>,
) -> PyResult<(CSchema, CArray)> {
    Ok((
        take(schema, SCHEMA, CSchema::released())?,
        take(array, ARRAY, CArray::released())?,
    ))
}

/// A capsule with a table's stream.
pub(crate) fn of_table<'py>(
    py: Python<'py>,
    table: &Table,
) -> PyResult<Result<Bound<'py, PyCapsule>, ConnectError>> {
    match table.to_c_stream() {
        Ok(stream) => Ok(Ok(PyCapsule::new_with_value(py, stream, STREAM)?)),
        Err(error) => Ok(Err(error)),
    }
}
