//! The type that fits all of some JSON values.

use evenkeel_types::{DECIMAL_PRECISION_MAX, DataType, Field};
use rustc_hash::FxHashMap;

use super::text_type::TextGuess;
use crate::value::Json;

/// What kinds of JSON values were seen in one place.
#[derive(Clone, Debug, Default)]
pub(super) struct JsonGuess {
    booleans: bool,
    /// Numbers, and whether all are whole, and whether all of those are BIGINT.
    numbers: bool,
    fractions: bool,
    huge: bool,
    strings: Option<TextGuess>,
    /// Strings other than `NaN`, `Infinity` and `-Infinity`.
    words: bool,
    array: Option<Box<JsonGuess>>,
    object: bool,
    members: Vec<(String, JsonGuess)>,
    places: FxHashMap<String, usize>,
}

impl JsonGuess {
    /// Takes note of a value.
    pub(super) fn see(&mut self, json: &Json<'_>) {
        match json {
            Json::Null => {}
            Json::Boolean(_) => self.booleans = true,
            Json::Number { text, .. } => {
                self.numbers = true;
                if text.contains(['.', 'e', 'E']) {
                    self.fractions = true;
                } else if text.parse::<i64>().is_err() {
                    self.huge = true;
                }
            }
            Json::String(text) => {
                self.words |= !matches!(text.as_ref(), "NaN" | "Infinity" | "-Infinity");
                self.strings.get_or_insert_with(TextGuess::new).see(text);
            }
            Json::Array(values) => {
                let element = self.array.get_or_insert_default();
                values.iter().for_each(|value| element.see(value));
            }
            Json::Object(members) => {
                self.object = true;
                for (key, value) in members {
                    let place = match self.places.get(key.as_ref()) {
                        Some(place) => *place,
                        None => {
                            let place = self.members.len();
                            self.places.insert(key.to_string(), place);
                            self.members.push((key.to_string(), JsonGuess::default()));
                            place
                        }
                    };
                    self.members[place].1.see(value);
                }
            }
        }
    }

    /// The members of the objects, in order of first appearance.
    pub(super) fn members(&self) -> &[(String, JsonGuess)] {
        &self.members
    }

    /// The type that fits: BOOLEAN, BIGINT, DOUBLE, DATE, TIMESTAMP, STRING, or an array of
    /// these or of objects of these. Whole numbers beyond BIGINT are `DECIMAL(38, 0)`.
    ///
    /// # Errors
    /// If values are of several kinds, with the reason.
    pub(super) fn data_type(&self) -> Result<DataType, String> {
        let kinds = [
            (self.booleans, "booleans"),
            (self.numbers, "numbers"),
            (self.strings.is_some(), "strings"),
            (self.array.is_some(), "arrays"),
            (self.object, "objects"),
        ];
        let seen: Vec<&str> = kinds.iter().filter(|k| k.0).map(|k| k.1).collect();
        match seen.as_slice() {
            [] => Ok(DataType::String),
            ["booleans"] => Ok(DataType::Boolean),
            ["numbers"] => Ok(self.number_type()),
            ["numbers", "strings"] if !self.words => Ok(DataType::Double),
            ["strings"] => Ok(self.string_type()),
            ["arrays"] => {
                let element = self
                    .array
                    .as_deref()
                    .map_or(Ok(DataType::String), |e| e.data_type())?;
                Ok(DataType::Array(Box::new(element)))
            }
            ["objects"] => Ok(DataType::Struct(
                self.members
                    .iter()
                    .map(|(name, member)| Ok(Field::new(name, member.data_type()?)))
                    .collect::<Result<_, String>>()?,
            )),
            several => Err(format!("it has {}", several.join(" and "))),
        }
    }

    fn number_type(&self) -> DataType {
        if self.fractions {
            DataType::Double
        } else if self.huge {
            DataType::Decimal {
                precision: DECIMAL_PRECISION_MAX,
                scale: 0,
            }
        } else {
            DataType::BigInt
        }
    }

    /// Strings are never numbers or booleans in JSON, but dates and times have no other form.
    fn string_type(&self) -> DataType {
        match self.strings.as_ref().map(TextGuess::data_type) {
            Some(time @ (DataType::Date | DataType::Timestamp)) => time,
            Some(DataType::Double) if !self.words => DataType::Double,
            _ => DataType::String,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::parse_json;

    #[test]
    fn the_type_that_fits() {
        let of = |texts: &[&str]| {
            let mut guess = JsonGuess::default();
            texts
                .iter()
                .for_each(|t| guess.see(&parse_json(t).unwrap()));
            guess
                .data_type()
                .map(|t| t.to_string())
                .unwrap_or_else(|e| format!("no: {e}"))
        };
        assert_eq!(of(&["null"]), "STRING");
        assert_eq!(of(&["true", "null"]), "BOOLEAN");
        assert_eq!(of(&["1", "-5"]), "BIGINT");
        assert_eq!(of(&["1", "1.0"]), "DOUBLE");
        assert_eq!(of(&["1", "\"NaN\""]), "DOUBLE");
        assert_eq!(of(&["9223372036854775808"]), "DECIMAL(38, 0)");
        assert_eq!(of(&["\"1\""]), "STRING");
        assert_eq!(of(&["\"2014-01-01\""]), "DATE");
        assert_eq!(
            of(&["\"2014-01-01\"", "\"2014-01-01T00:00:00Z\""]),
            "TIMESTAMP"
        );
        assert_eq!(of(&["[1,2]", "[]", "[2.5]"]), "ARRAY<DOUBLE>");
        assert_eq!(
            of(&["[{\"a\":1}]", "[{\"b\":\"x\"}]"]),
            "ARRAY<STRUCT<a BIGINT, b STRING>>"
        );
        assert_eq!(of(&["1", "\"x\""]), "no: it has numbers and strings");
    }
}
