//! Files that mean harm: whatever the bytes, reading them ends, and what is read answers.

use evenkeel_model::{Choice, Model};
use evenkeel_types::{ColumnFunction, DataType, Value};
use proptest::prelude::*;

use crate::fixtures::Fixture;
use crate::written::{Message, model, node, tensor, value};

/// Small models of many operators.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = Fixture::of_operators()
        .into_iter()
        .map(|f| f.bytes)
        .collect();
    seeds.extend(["linear", "mixed", "tree_of_words"].map(|n| Fixture::of_library(n).bytes));
    seeds
}

/// Answers of the seeds: an output and a class.
const CHOICES: [(Option<&str>, Option<&str>); 8] = [
    (None, None),
    (None, Some("0")),
    (Some("y"), None),
    (Some("y"), Some("0")),
    (Some("y"), Some("3")),
    (Some("y"), Some("7")),
    (Some("label"), None),
    (Some("output_label"), None),
];

/// Reads a file and asks for a few rows of it; whether it could be read.
fn try_it(bytes: &[u8]) -> bool {
    let read = CHOICES.iter().find_map(|(output, class)| {
        let choice = Choice {
            output: output.map(str::to_owned),
            class: class.map(str::to_owned),
        };
        Model::load("m", bytes, &choice).ok()
    });
    let Some(model) = read else {
        return false;
    };
    for x in [0.0, -1.5, f64::NAN, f64::INFINITY, 1e300] {
        let row: Vec<Value> = model
            .signature()
            .parameters
            .iter()
            .map(|parameter| match parameter.data_type {
                DataType::Double => Value::double(x),
                DataType::BigInt => Value::BigInt(x as i64),
                DataType::Int => Value::Int(x as i32),
                DataType::Boolean => Value::Boolean(x > 0.0),
                _ => Value::string("a"),
            })
            .collect();
        model.evaluate_row(&row.iter().collect::<Vec<_>>());
    }
    true
}

#[test]
fn every_beginning_of_a_file_is_read_or_refused() {
    for seed in seeds() {
        for length in (0..seed.len()).step_by(1 + seed.len() / 200) {
            try_it(&seed[..length]);
        }
    }
}

#[test]
fn the_models_that_are_changed_can_be_read() {
    let seeds = seeds();
    let unread = seeds.iter().filter(|seed| !try_it(seed)).count();
    assert_eq!(unread, 0, "of {}", seeds.len());
}

fn refused(bytes: &[u8]) -> String {
    let error = Model::load("m", bytes, &Choice::default()).map(drop);
    error.unwrap_err().to_string()
}

#[test]
fn dimensions_of_nothing_hide_no_others() {
    let huge = 1 << 40;
    let input = value("x", &[None, Some(0), Some(huge)]);
    let sum = node("ReduceSum", "", &["x"], &[("axes", &[1, 2])]);
    let graph = Message::default().message(1, &sum).message(11, &input);
    assert!(refused(&model(11, graph)).contains("too large"));

    for dims in [vec![0, huge, huge], vec![0, 1 << 62, 1 << 62]] {
        let graph = Message::default()
            .message(1, &node("Softmax", "", &["c"], &[("axis", &[1])]))
            .message(5, &tensor("c", &dims, 0));
        assert!(refused(&model(13, graph)).contains("shape"));
    }

    let regressor = node(
        "LinearRegressor",
        "ai.onnx.ml",
        &["x"],
        &[("targets", &[1 << 60])],
    );
    for width in [0, 1] {
        let graph = Message::default()
            .message(1, &regressor)
            .message(11, &value("x", &[None, Some(width)]));
        assert!(refused(&model(13, graph)).contains("too large"));
    }
}

#[test]
fn small_files_cannot_ask_for_much() {
    let names: Vec<&str> = ["a", "b"].into_iter().cycle().take(4000).collect();
    let graph = Message::default()
        .message(1, &node("Sum", "", &names, &[]))
        .message(5, &tensor("a", &[2048, 1], 2048))
        .message(5, &tensor("b", &[1, 2048], 2048));
    assert!(refused(&model(13, graph)).contains("too many"));

    let names: Vec<&str> = ["a"].into_iter().cycle().take(5000).collect();
    let graph = Message::default()
        .message(1, &node("Sum", "", &names, &[]))
        .message(5, &tensor("a", &[1], 1));
    assert!(refused(&model(13, graph)).contains("too many inputs"));

    for field in [1, 5, 11, 12] {
        let empty = (0..100_000).fold(Message::default(), |m, _| m.bytes(field, ""));
        assert!(
            refused(&model(13, empty)).contains("nodes or tensors"),
            "{field}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn changed_files_are_read_or_refused(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..4),
    ) {
        thread_local! {
            static SEEDS: Vec<Vec<u8>> = seeds();
        }
        SEEDS.with(|seeds| {
            let mut bytes = seed.get(seeds).clone();
            for (place, byte, how) in changes {
                let at = place.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes[at] = bytes[at].wrapping_add(1),
                    // Numbers of many digits.
                    2 => bytes[at] = 0xff,
                    _ => {
                        bytes.remove(at);
                    }
                }
                if bytes.is_empty() {
                    return;
                }
            }
            try_it(&bytes);
        });
    }
}
