//! What is refused, and in which words.

use evenkeel_model::{Choice, Model, ModelError};

use crate::fixtures::Fixture;

fn error(name: &str, choice: &Choice) -> ModelError {
    let bytes = Fixture::of_library(name).bytes;
    Model::load("m", &bytes, choice).unwrap_err()
}

fn choice(output: Option<&str>, class: Option<&str>) -> Choice {
    Choice {
        output: output.map(str::to_owned),
        class: class.map(str::to_owned),
    }
}

/// A model with the first occurrence of some bytes put in place of others of the same length.
fn with(name: &str, from: &str, to: &str) -> ModelError {
    assert_eq!(from.len(), to.len());
    let mut bytes = Fixture::of_library(name).bytes;
    let at = bytes.windows(from.len()).position(|w| w == from.as_bytes());
    bytes[at.unwrap()..][..to.len()].copy_from_slice(to.as_bytes());
    Model::load("m", &bytes, &Choice::default()).unwrap_err()
}

#[test]
fn every_operator_is_in_the_documentation() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/models.md")).unwrap();
    let words: Vec<&str> = page.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    for (_, operator) in evenkeel_model::operators() {
        assert!(words.contains(&operator), "{operator}");
    }
}

#[test]
fn of_several_answers_one_must_be_said() {
    let found = error("lightgbm_of_three", &choice(None, None));
    assert!(matches!(found, ModelError::WhichOutput { .. }), "{found}");
    assert_eq!(
        found.hint().unwrap(),
        "say which: `OUTPUT 'output_probability' CLASS '0'`"
    );
    let found = error("forest", &choice(Some("score"), None));
    assert!(found.to_string().contains("no output `score`"), "{found}");
    let found = error("forest", &choice(None, Some("2")));
    assert!(found.to_string().contains("no class `2`"), "{found}");
}

#[test]
fn what_is_not_understood_is_named() {
    let found = with("linear", "\"\u{f}LinearRegressor", "\"\u{f}LinearRegresses");
    assert!(
        found.to_string().contains("is a `LinearRegresses`"),
        "{found}"
    );
    assert!(
        found.hint().unwrap().contains("LinearRegressor, "),
        "{found:?}"
    );
    let found = with("linear", "coefficients", "coefficientz");
    assert!(found.to_string().contains("`coefficientz`"), "{found}");
    let found = with("linear", "ai.onnx.ml", "ai.onnx.xl");
    assert!(matches!(found, ModelError::Domain { .. }), "{found}");
    let found = with("forest", "BRANCH_LEQ", "BRANCH_LIQ");
    assert!(found.to_string().contains("BRANCH_LIQ"), "{found}");
    assert_eq!(
        Model::load("m", b"no model at all", &Choice::default()).unwrap_err(),
        ModelError::Malformed
    );
    assert_eq!(
        Model::load("m", b"", &Choice::default()).unwrap_err(),
        ModelError::NoGraph
    );
}
