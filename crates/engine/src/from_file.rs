//! What the files of `FROM FILE` have for columns, and what a plan says of it.
//!
//! A file is looked at whenever definitions are checked, planned or applied, never when
//! features are read: what was applied is in the registry, written out.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use evenkeel_connect::{ConnectError, FileOptions, FileSet, InferredSchema};
use evenkeel_ddl::{BATCH_CONNECTOR, FileColumns, FileSource, FromFile};
use evenkeel_types::definition::{Catalog, OptionValue};

use crate::batch::QueryColumns;
use crate::ingest::options_of_file;

/// Rows of a file that are looked at.
const ROWS_MAX: u64 = 100_000;

/// Reads the columns of files, and remembers what it saw.
pub(crate) struct ColumnReader<'a> {
    root: &'a Path,
    seen: BTreeMap<String, Seen>,
    queries: Option<(&'a dyn QueryColumns, &'a dyn Fn() -> Catalog)>,
}

/// What was seen of a source's files.
struct Seen {
    pattern: String,
    files: usize,
    schema: InferredSchema,
}

impl<'a> ColumnReader<'a> {
    /// Paths are relative to `root`.
    pub(crate) fn new(root: &'a Path) -> Self {
        ColumnReader {
            root,
            seen: BTreeMap::new(),
            queries: None,
        }
    }

    /// The same with what understands the queries of batch views, over a catalog.
    pub(crate) fn asking(
        self,
        queries: &'a dyn QueryColumns,
        catalog: &'a dyn Fn() -> Catalog,
    ) -> Self {
        ColumnReader {
            queries: Some((queries, catalog)),
            ..self
        }
    }

    /// The columns of a batch view's query; none where nobody understands it.
    fn query(&self, source: &FileSource) -> Result<FileColumns, String> {
        let (Some((queries, catalog)), Some(OptionValue::Text(text))) =
            (self.queries, source.options.get("query"))
        else {
            return Ok(FileColumns::default());
        };
        Ok(FileColumns {
            columns: queries.columns(text, &catalog())?,
            counted_times: Vec::new(),
        })
    }

    /// The columns of a source's first file, or of a batch view's query; an error in words if it
    /// cannot be read.
    pub(crate) fn read(&mut self, source: &FileSource) -> Result<FileColumns, String> {
        let batch = OptionValue::Text(BATCH_CONNECTOR.to_owned());
        if source.options.get("connector") == Some(&batch) {
            return self.query(source);
        }
        let seen = self.look(source).map_err(|error| chain(&error))?;
        let columns = seen.schema.columns.iter().map(|c| c.field.clone());
        let columns = FileColumns {
            columns: columns.collect(),
            counted_times: seen
                .schema
                .event_time
                .iter()
                .filter_map(|guess| {
                    let unit = guess.time_unit?.as_option().to_owned();
                    Some((guess.column.clone(), unit))
                })
                .collect(),
        };
        self.seen.insert(source.name.clone(), seen);
        Ok(columns)
    }

    fn look(&self, source: &FileSource) -> Result<Seen, ConnectError> {
        let options = options_of_file(&source.options);
        let (pattern, options) = FileOptions::from_source(&options, &source.zone)?;
        let set = FileSet::expand(self.root, &pattern, &options)?;
        let file = set
            .files()
            .first()
            .expect("a set of files without any is an error");
        Ok(Seen {
            files: set.files().len(),
            schema: file.infer(&options, Some(ROWS_MAX))?,
            pattern,
        })
    }

    /// Where the columns of a source come from, in words.
    pub(crate) fn notes(&self, from_file: &FromFile) -> Vec<String> {
        let mut notes = Vec::new();
        if from_file.is_frozen {
            notes.push("columns: as they were frozen when it was applied first".to_owned());
        } else if let Some(seen) = self.seen.get(&from_file.name) {
            let schema = &seen.schema;
            let of = match seen.files {
                1 => format!("`{}`", seen.pattern),
                n => format!("the first of the {n} files `{}`", seen.pattern),
            };
            let rows = match (schema.rows, schema.complete) {
                (1, true) => "its only row".to_owned(),
                (n, true) => format!("all its {n} rows"),
                (n, false) => format!("its first {n} rows"),
            };
            notes.push(format!(
                "columns: inferred from {of}, {rows}; `apply` freezes them"
            ));
            for (name, reason) in &schema.skipped {
                notes.push(format!("left out: column `{name}`: {reason}"));
            }
            if schema.rejected > 0 {
                notes.push(format!("not understood: {} of the rows", schema.rejected));
            }
        }
        if let Some(column) = &from_file.event_time
            && !from_file.is_frozen
        {
            notes.push(format!(
                "event time: `{column}`, the only column that is a TIMESTAMP"
            ));
        }
        notes
    }
}

/// An error and its causes, joined by colons.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
