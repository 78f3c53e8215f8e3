//! A column of a CSV file with its texts as they were.

use std::sync::Arc;

use evenkeel_types::{Column, DataType, Value};

use crate::strings::Strings;
use crate::value::{Context, ValueError, read_text};

/// The fields of one column, end to end in one text.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    text: String,
    ends: Vec<usize>,
    quoted: Vec<bool>,
}

impl Texts {
    pub(crate) fn push(&mut self, text: &str, quoted: bool) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
        self.quoted.push(quoted);
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// A field, and whether it stood in quotes.
    pub(crate) fn get(&self, i: usize) -> (&str, bool) {
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        (&self.text[start..self.ends[i]], self.quoted[i])
    }

    /// A field unless it is NULL.
    pub(crate) fn value(&self, i: usize, null_text: &str) -> Option<&str> {
        let (text, quoted) = self.get(i);
        (quoted || text != null_text).then_some(text)
    }

    /// The values of the fields `rows` in a type; or the first row that has none, and why.
    pub(crate) fn convert(
        &self,
        rows: std::ops::Range<usize>,
        data_type: &DataType,
        null_text: &str,
        context: &Context<'_>,
    ) -> Result<Column, (usize, ValueError)> {
        let mut column = Column::new(data_type);
        let mut strings = Strings::new();
        for i in rows {
            let value = match self.value(i, null_text) {
                None => Value::Null,
                Some(text) if *data_type == DataType::String => {
                    Value::String(Arc::clone(&strings.get(text)))
                }
                Some(text) => read_text(data_type, text, context).map_err(|e| (i, e))?,
            };
            column.push(&value);
        }
        Ok(column)
    }
}
