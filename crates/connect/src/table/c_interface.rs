//! Tables through the Arrow C interfaces: handed over by pointer, without copies.
//!
//! The one module of this crate with unsafe code: what is handed over is a promise of the
//! other side (<https://arrow.apache.org/docs/format/CDataInterface.html>), which nobody can
//! check. It rests on [`CStream`] and [`CArray`] being made of structs that the other side
//! filled in; taking them from it is the caller's unsafe step.
#![allow(
    unsafe_code,
    reason = "arrays of another library can only be trusted, not checked"
)]

use std::path::Path;

use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow_array::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{RecordBatch, RecordBatchIterator, RecordBatchReader, StructArray};
use arrow_schema::DataType as ArrowType;

use super::read::Batches;
use super::{Table, TableOptions};
use crate::error::{Cause, ConnectError};
use crate::guard::guarded;

/// What errors call a table that was handed over.
const LABEL: &str = "the data";

/// `struct ArrowArrayStream`; released when dropped.
#[repr(transparent)]
#[derive(Debug)]
pub struct CStream(FFI_ArrowArrayStream);

impl CStream {
    /// One that is released already: what is left behind where a stream was taken.
    pub fn released() -> Self {
        CStream(FFI_ArrowArrayStream::empty())
    }
}

/// `struct ArrowSchema`; released when dropped.
#[repr(transparent)]
#[derive(Debug)]
pub struct CSchema(FFI_ArrowSchema);

impl CSchema {
    /// One that is released already: what is left behind where a schema was taken.
    pub fn released() -> Self {
        CSchema(FFI_ArrowSchema::empty())
    }
}

/// `struct ArrowArray`; released when dropped.
#[repr(transparent)]
#[derive(Debug)]
pub struct CArray(FFI_ArrowArray);

impl CArray {
    /// One that is released already: what is left behind where an array was taken.
    pub fn released() -> Self {
        CArray(FFI_ArrowArray::empty())
    }
}

impl Table {
    /// Takes over a stream of record batches.
    ///
    /// # Errors
    /// If the stream fails, is no stream of record batches or was read before, or has two
    /// columns of one name.
    pub fn from_c_stream(stream: CStream) -> Result<Table, ConnectError> {
        let mut reader =
            guarded(|| ArrowArrayStreamReader::try_new(stream.0)).map_err(not_taken(0))?;
        let schema = reader.schema();
        let mut batches = Batches::new(Path::new(LABEL), &schema)?;
        while let Some(batch) =
            guarded(|| reader.next().transpose()).map_err(not_taken(batches.rows))?
        {
            batches.push(&batch)?;
        }
        Table::of_batches(batches)
    }

    /// Takes over one record batch: an array of structs with its type.
    ///
    /// # Errors
    /// If it is no record batch, or has two columns of one name.
    pub fn from_c_array(array: CArray, schema: &CSchema) -> Result<Table, ConnectError> {
        let batch = guarded(|| -> Result<RecordBatch, Cause> {
            let data_type = ArrowType::try_from(&schema.0)?;
            if !matches!(data_type, ArrowType::Struct(_)) {
                return Err(format!("it is an array of {data_type}, not of rows").into());
            }
            // SAFETY: whoever filled in the two structs promised that they describe arrays
            // of these types, and that nobody else uses them; see the module.
            let data = unsafe { from_ffi(array.0, &schema.0) }?;
            Ok(RecordBatch::from(StructArray::from(data)))
        })
        .map_err(not_taken(0))?;
        let mut batches = Batches::new(Path::new(LABEL), &batch.schema())?;
        batches.push(&batch)?;
        Table::of_batches(batches)
    }

    fn of_batches(batches: Batches<'_>) -> Result<Table, ConnectError> {
        let contents = batches.finish();
        Table::of_contents(Path::new(LABEL), contents, &TableOptions::default())
    }

    /// The table as a stream of record batches that share its columns.
    ///
    /// # Errors
    /// If a column has no arrow type.
    pub fn to_c_stream(&self) -> Result<CStream, ConnectError> {
        let schema = self.arrow_schema()?;
        let batches = self.batches()?.into_iter().map(Ok);
        let reader = RecordBatchIterator::new(batches, schema);
        Ok(CStream(FFI_ArrowArrayStream::new(Box::new(reader))))
    }
}

fn not_taken(rows: usize) -> impl FnOnce(Cause) -> ConnectError {
    move |source| ConnectError::NotTaken { rows, source }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use evenkeel_types::{Column, DataType, Field, Value};

    use super::*;

    fn table() -> Table {
        let values = [Value::BigInt(1), Value::Null, Value::BigInt(3)];
        let texts = ["a", "b", "c"].map(Value::from);
        Table::from_columns([
            (
                Field::new("n", DataType::BigInt),
                Column::from_values(&DataType::BigInt, &values),
            ),
            (
                Field::new("s", DataType::String),
                Column::from_values(&DataType::String, &texts),
            ),
        ])
        .unwrap()
    }

    #[test]
    fn a_stream_is_taken_over_as_it_was_given() {
        let again = Table::from_c_stream(table().to_c_stream().unwrap()).unwrap();
        assert_eq!(again.digest().unwrap(), table().digest().unwrap());
        let empty = table().select(&[]).unwrap().to_c_stream().unwrap();
        assert_eq!(Table::from_c_stream(empty).unwrap().fields(), []);
    }

    #[test]
    fn a_slice_has_its_rows() {
        let slice = table().slice(1..9).unwrap();
        assert_eq!(slice.len(), 2);
        let texts: Vec<Value> = slice.column("s").unwrap().iter().collect();
        assert_eq!(texts, [Value::from("b"), Value::from("c")]);
        let again = Table::from_c_stream(slice.to_c_stream().unwrap()).unwrap();
        assert_eq!(again.digest().unwrap(), slice.digest().unwrap());
    }

    #[test]
    fn a_stream_that_was_taken_is_an_error() {
        let mut stream = table().to_c_stream().unwrap();
        let taken = std::mem::replace(&mut stream, CStream::released());
        assert_eq!(Table::from_c_stream(taken).unwrap().len(), 3);
        let error = Table::from_c_stream(stream).unwrap_err().to_string();
        assert!(error.contains("cannot be taken over"), "{error}");
    }

    #[test]
    fn an_array_is_taken_over_if_it_holds_rows() {
        use arrow_array::{Array, Int64Array, StructArray};
        let numbers: arrow_array::ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
        let rows = StructArray::try_from(vec![("n", Arc::clone(&numbers))]).unwrap();
        let give = |array: &dyn Array| {
            let (array, schema) = arrow_array::ffi::to_ffi(&array.to_data()).unwrap();
            Table::from_c_array(CArray(array), &CSchema(schema))
        };
        let column = give(&rows).unwrap().column("n").unwrap();
        assert_eq!(column.get(1), Value::BigInt(8));
        let error = give(numbers.as_ref()).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("not of rows"), "{cause}");
    }
}
