//! Files that mean harm: whatever the bytes, reading them ends, and what is read answers.

use evenkeel_model::{Choice, Model};
use evenkeel_types::{ColumnFunction, DataType, Value};
use proptest::prelude::*;

use crate::fixtures::Fixture;

/// Small models of many operators.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = Fixture::of_operators()
        .into_iter()
        .map(|f| f.bytes)
        .collect();
    seeds.extend(["linear", "mixed", "tree_of_words"].map(|n| Fixture::of_library(n).bytes));
    seeds
}

/// Reads a file and asks for a few rows of it.
fn try_it(bytes: &[u8]) -> bool {
    let Ok(model) = Model::load("m", bytes, &Choice::default()) else {
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
