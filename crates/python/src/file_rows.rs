//! The rows of files as messages for a server: read here, as a store in this process reads them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use evenkeel_connect::{ColumnSpec, FileRows, FileSet, file_rows_halves, file_rows_message};
use evenkeel_ddl::parse_type;
use evenkeel_engine::{EngineError, file_options_of};
use evenkeel_types::Zone;
use evenkeel_types::definition::OptionValue;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::Failure;

/// A message is at most a quarter of what servers take if nobody set another limit.
const MESSAGE_BYTES: usize = 4 << 20;

/// A source as a server describes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Source {
    name: String,
    columns: Vec<Column>,
    zone: String,
    options: BTreeMap<String, String>,
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Column {
    name: String,
    r#type: String,
    optional: bool,
}

impl Column {
    fn spec(&self) -> Result<ColumnSpec, Failure> {
        let data_type = parse_type(&self.r#type)
            .map_err(|_| Failure::invalid(format!("`{}` is no type", self.r#type)))?;
        let spec = ColumnSpec::new(&self.name, data_type);
        Ok(if self.optional { spec.optional() } else { spec })
    }
}

/// Reads files of a source, and gives their rows in messages to `send`, in their order: a message,
/// and whether it may come in two halves. Where it may and `send` says no, it does.
#[pyfunction]
pub(crate) fn send_file_rows(
    py: Python<'_>,
    source: Source,
    path: PathBuf,
    send: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let columns = source.columns.iter().map(Column::spec);
    let columns = columns.collect::<Result<Vec<ColumnSpec>, Failure>>()?;
    let zone = Zone::named(&source.zone)
        .ok_or_else(|| Failure::invalid(format!("`{}` is no zone", source.zone)))?;
    let options = source.options.into_iter();
    let options = options
        .map(|(name, text)| (name, OptionValue::Text(text)))
        .collect();
    let unusable = |error| Failure::from(EngineError::Connect(Box::new(error)));
    let (_, options) = file_options_of(&source.name, &options, &zone).map_err(Failure::from)?;
    let files = FileSet::expand(Path::new(""), &path.to_string_lossy(), &options);
    for file in files.map_err(unusable)?.files() {
        let opened = py.detach(|| {
            let digest = file.digest(&mut |_| ())?;
            Ok((digest, file.read(&columns, &options)?))
        });
        let (digest, mut reader) = opened.map_err(unusable)?;
        while let Some(rows) = py.detach(|| reader.next()) {
            let file = digest;
            let rows = rows.map_err(unusable)?;
            send_rows(py, vec![FileRows { file, rows }], &columns, send)?;
        }
    }
    Ok(())
}

/// Sends rows, in halves where they are more than fits into a message here or there.
fn send_rows(
    py: Python<'_>,
    rows: Vec<FileRows>,
    columns: &[ColumnSpec],
    send: &Bound<'_, PyAny>,
) -> PyResult<()> {
    // What is to be sent, the first of it last.
    let mut pieces = vec![rows];
    while let Some(parts) = pieces.pop() {
        let rows: usize = parts.iter().map(|part| part.rows.len()).sum();
        let has_halves = rows > 1;
        let message = py
            .detach(|| file_rows_message(&parts, columns))
            .map_err(|error| Failure::from(EngineError::Connect(Box::new(error))))?;
        let fits = message.len() <= MESSAGE_BYTES || !has_halves;
        let message = PyBytes::new(py, &message);
        if fits && send.call1((message, has_halves))?.is_truthy()? {
            continue;
        }
        pieces.extend(file_rows_halves(parts).into_iter().flatten().rev());
    }
    Ok(())
}
