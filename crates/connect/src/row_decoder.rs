//! Rows of messages: JSON objects into declared columns, strictly.
//!
//! Files may have more columns than a source declares; a message that names a column which
//! is not there is a mistake, and is told so.

use std::fmt;

use evenkeel_types::{Value, Zone};

use crate::options::ColumnSpec;
use crate::suggest::{Suggestion, nearest};
use crate::value::{Json, shown};

/// Why an object is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// The column, as it was named; none if the row as a whole is wrong.
    pub column: Option<String>,
    /// What is wrong with it.
    pub reason: String,
    /// The column that was meant.
    pub hint: Suggestion,
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "column `{column}`: {}{}", self.reason, self.hint),
            None => write!(f, "{}{}", self.reason, self.hint),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct RowDecoder {
    columns: Vec<ColumnSpec>,
    zone: Zone,
    /// Which column the member at each place was in the last row: usually it is again.
    guesses: Vec<usize>,
}

impl RowDecoder {
    /// A decoder into columns; times without a zone are local to `zone`.
    pub fn new(columns: Vec<ColumnSpec>, zone: Zone) -> Self {
        RowDecoder {
            columns,
            zone,
            guesses: Vec::new(),
        }
    }

    /// The columns.
    pub fn columns(&self) -> &[ColumnSpec] {
        &self.columns
    }

    /// The place of the column of exactly this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(&self, name: &str) -> Result<usize, RowError> {
        let found = self.columns.iter().position(|c| c.name == name);
        found.ok_or_else(|| RowError {
            column: Some(shown(name)),
            reason: "there is no such column".to_owned(),
            hint: nearest(name, self.columns.iter().map(|c| c.name.as_str())),
        })
    }

    /// The value of a column.
    ///
    /// # Errors
    /// If the JSON is not exactly a value of the column's type.
    pub fn value(&self, column: usize, json: &Json<'_>) -> Result<Value, RowError> {
        let spec = &self.columns[column];
        json.to_value(&spec.data_type, &self.zone)
            .map_err(|error| RowError {
                column: Some(spec.name.clone()),
                reason: error.to_string(),
                hint: Suggestion::default(),
            })
    }

    /// Puts the members of an object into a row of one value per column; what it does not
    /// name stays.
    ///
    /// # Errors
    /// If it is no object, names a column that is not there, or a value is not its column's.
    pub fn fill(&mut self, json: &Json<'_>, row: &mut [Value]) -> Result<(), RowError> {
        let Json::Object(members) = json else {
            return Err(RowError {
                column: None,
                reason: format!("{} is not an object", json.kind()),
                hint: Suggestion::default(),
            });
        };
        if self.guesses.len() < members.len() {
            self.guesses.resize(members.len(), 0);
        }
        for (place, (name, json)) in members.iter().enumerate() {
            let guess = self.guesses[place];
            let column = match self.columns.get(guess) {
                Some(spec) if spec.name == *name => guess,
                _ => self.find(name)?,
            };
            self.guesses[place] = column;
            row[column] = self.value(column, json)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_types::DataType;

    use super::*;
    use crate::value::parse_json;

    fn decoder() -> RowDecoder {
        let columns = vec![
            ColumnSpec::new("origin", DataType::String),
            ColumnSpec::new("distance", DataType::Double),
        ];
        RowDecoder::new(columns, Zone::utc())
    }

    fn row(text: &str) -> Result<Vec<Value>, RowError> {
        let mut row = vec![Value::Null, Value::Null];
        decoder().fill(&parse_json(text).unwrap(), &mut row)?;
        Ok(row)
    }

    #[test]
    fn members_go_to_their_columns_in_any_order() {
        let expected = [Value::from("SEA"), Value::from(2.5)];
        assert_eq!(row(r#"{"distance":2.5,"origin":"SEA"}"#).unwrap(), expected);
        let mut decoder = decoder();
        for text in [
            r#"{"distance":2.5,"origin":"SEA"}"#,
            r#"{"origin":"SEA","distance":2.5}"#,
        ] {
            let mut row = vec![Value::Null, Value::Null];
            decoder.fill(&parse_json(text).unwrap(), &mut row).unwrap();
            assert_eq!(row, expected);
        }
        assert_eq!(row("{}").unwrap(), [Value::Null, Value::Null]);
    }

    #[test]
    fn mistakes_name_the_column_and_what_was_meant() {
        for (text, error) in [
            (
                r#"{"orign":"SEA"}"#,
                "column `orign`: there is no such column; did you mean `origin`?",
            ),
            (
                r#"{"distance":"x"}"#,
                "column `distance`: a string is not DOUBLE",
            ),
            ("[]", "an array is not an object"),
        ] {
            assert_eq!(row(text).unwrap_err().to_string(), error);
        }
    }
}
