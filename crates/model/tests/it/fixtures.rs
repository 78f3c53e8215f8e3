//! The models of `tests/fixtures` (`make.py` makes them), and answers of onnxruntime.

use std::path::PathBuf;

use evenkeel_model::{Choice, Model, ModelError};
use evenkeel_types::{ColumnFunction, DataType, Value};
use serde_json::Value as Json;

/// A model with rows and what onnxruntime answers: by output and element.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    rows: Vec<Json>,
    answers: serde_json::Map<String, Json>,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Names of the models of libraries.
pub(crate) const LIBRARIES: [&str; 19] = [
    "boosting",
    "forest",
    "forest_of_three",
    "forest_regressor",
    "hist_boosting",
    "lightgbm",
    "lightgbm_of_three",
    "lightgbm_regressor",
    "linear",
    "logistic",
    "logistic_of_words",
    "mixed",
    "network",
    "network_regressor",
    "scaled",
    "tree_of_words",
    "xgboost",
    "xgboost_of_three",
    "xgboost_regressor",
];

impl Fixture {
    /// A model of a library.
    pub(crate) fn of_library(name: &str) -> Fixture {
        let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
        let json: Json = serde_json::from_str(&text).unwrap();
        Fixture {
            bytes: std::fs::read(folder().join(format!("{name}.onnx"))).unwrap(),
            ..Fixture::of(name.to_owned(), Vec::new(), &json)
        }
    }

    /// A small graph per operator.
    pub(crate) fn of_operators() -> Vec<Fixture> {
        let text = std::fs::read_to_string(folder().join("operators.json")).unwrap();
        let json: Vec<Json> = serde_json::from_str(&text).unwrap();
        let fixture = |case: &Json| {
            let hex = case["model"].as_str().unwrap();
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let bytes = (0..hex.len()).step_by(2).map(byte).collect();
            Fixture::of(case["name"].as_str().unwrap().to_owned(), bytes, case)
        };
        json.iter().map(fixture).collect()
    }

    fn of(name: String, bytes: Vec<u8>, json: &Json) -> Fixture {
        Fixture {
            name,
            bytes,
            rows: json["rows"].as_array().unwrap().clone(),
            answers: json["answers"].as_object().unwrap().clone(),
        }
    }

    /// The model for one answer: an output, and a class or the number of an element.
    pub(crate) fn model(&self, answer: &str) -> Model {
        let (output, element) = answer.rsplit_once('/').unwrap();
        let choice = |class: &str| Choice {
            output: Some(output.to_owned()),
            class: Some(class.to_owned()),
        };
        match Model::load("m", &self.bytes, &choice(element)) {
            // Of classes that onnxruntime gives without their names.
            Err(ModelError::UnknownClass { known, .. }) => {
                let class = &known[element.parse::<usize>().unwrap()];
                Model::load("m", &self.bytes, &choice(class)).unwrap()
            }
            loaded => loaded.unwrap_or_else(|e| panic!("{}: {e}", self.name)),
        }
    }

    /// The arguments of each row.
    pub(crate) fn rows(&self, model: &Model) -> Vec<Vec<Value>> {
        let parameters = &model.signature().parameters;
        let row = |row: &Json| {
            let values = row.as_array().unwrap();
            assert_eq!(values.len(), parameters.len(), "{}", self.name);
            values
                .iter()
                .zip(parameters)
                .map(|(value, parameter)| typed(value, &parameter.data_type))
                .collect()
        };
        self.rows.iter().map(row).collect()
    }

    /// Each answer with what it is for every row.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (&str, &Vec<Json>)> {
        let answers = self.answers.iter();
        answers.map(|(name, values)| (name.as_str(), values.as_array().unwrap()))
    }
}

/// A value of JSON in a type.
pub(crate) fn typed(value: &Json, data_type: &DataType) -> Value {
    match (data_type, value) {
        (_, Json::Null) => Value::Null,
        (DataType::Float, value) => Value::float(number(value) as f32),
        (DataType::Double, value) => Value::double(number(value)),
        (DataType::Int, value) => Value::Int(value.as_i64().unwrap().try_into().unwrap()),
        (DataType::BigInt, value) => Value::BigInt(value.as_i64().unwrap()),
        (DataType::Boolean, value) => Value::Boolean(value.as_bool().unwrap()),
        (_, value) => Value::string(value.as_str().unwrap()),
    }
}

fn number(value: &Json) -> f64 {
    match value {
        Json::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    }
}
