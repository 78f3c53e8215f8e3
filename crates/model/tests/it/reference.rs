//! Every answer of every fixture: near to onnxruntime's, and the same bits however it is asked.

use evenkeel_model::Model;
use evenkeel_types::{Column, ColumnFunction, Value};

use crate::fixtures::{Fixture, LIBRARIES, typed};

/// How far answers may be apart, as a part of the greater of 1 and the answer: a few units in the
/// last place of a float, as runtimes differ among themselves.
const APART_MAX: f64 = 2e-6;

fn is_near(found: &Value, expected: &Value) -> bool {
    let near = |a: f64, b: f64| {
        a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= APART_MAX * b.abs().max(1.0)
    };
    match (found, expected) {
        (Value::Float(a), Value::Float(b)) => near(f64::from(*a), f64::from(*b)),
        (Value::Double(a), Value::Double(b)) => near(*a, *b),
        (found, expected) => found.same_bits(expected),
    }
}

/// What a model answers, which is the same row by row, in one batch, and in any parts and order.
fn answers(model: &Model, rows: &[Vec<Value>]) -> Vec<Value> {
    let alone: Vec<Value> = rows
        .iter()
        .map(|row| model.evaluate_row(&row.iter().collect::<Vec<_>>()))
        .collect();
    let batch = |rows: &[Vec<Value>]| -> Vec<Value> {
        let parameters = model.signature().parameters.iter().enumerate();
        let columns: Vec<Column> = parameters
            .map(|(at, field)| Column::from_values(&field.data_type, rows.iter().map(|r| &r[at])))
            .collect();
        model.evaluate(&columns, rows.len()).iter().collect()
    };
    let same = |found: &[Value], expected: &[Value]| {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.same_bits(expected), "{found:?}, alone {expected:?}");
        }
    };
    same(&batch(rows), &alone);
    let (first, second) = rows.split_at(rows.len() / 3);
    same(&[batch(first), batch(second)].concat(), &alone);
    let (mut backwards, mut of_backwards) = (rows.to_vec(), alone.clone());
    backwards.reverse();
    of_backwards.reverse();
    same(&batch(&backwards), &of_backwards);
    alone
}

fn check(fixture: &Fixture) -> Vec<String> {
    let mut wrong = Vec::new();
    for (answer, expected) in fixture.answers() {
        let model = fixture.model(answer);
        let rows = fixture.rows(&model);
        let found = answers(&model, &rows);
        assert_eq!(found.len(), expected.len());
        for ((row, found), expected) in rows.iter().zip(&found).zip(expected) {
            let expected = typed(expected, &model.signature().result);
            if !is_near(found, &expected) {
                wrong.push(format!(
                    "{} {answer}: {found:?}, not {expected:?} for {row:?}",
                    fixture.name
                ));
                break;
            }
        }
    }
    wrong
}

#[test]
fn models_of_libraries_answer_as_onnxruntime_does() {
    let wrong: Vec<String> = LIBRARIES
        .iter()
        .flat_map(|name| check(&Fixture::of_library(name)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn operators_answer_as_those_of_onnxruntime_do() {
    let fixtures = Fixture::of_operators();
    assert!(fixtures.len() > 100);
    let wrong: Vec<String> = fixtures.iter().flat_map(check).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_default_answer_of_two_classes_is_the_probability_of_the_second() {
    for name in ["logistic", "lightgbm", "forest"] {
        let bytes = Fixture::of_library(name).bytes;
        let default = Model::load("m", &bytes, &Default::default()).unwrap();
        let answer = &default.description().answer;
        assert!(
            answer.starts_with("1 of `") && answer.ends_with("of the classes 0, 1)"),
            "{answer}"
        );
        let said = evenkeel_model::Choice {
            output: None,
            class: Some("1".to_owned()),
        };
        let said = Model::load("m", &bytes, &said).unwrap();
        assert_eq!(default.signature(), said.signature());
    }
}
