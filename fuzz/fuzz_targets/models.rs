//! Files of models: reading ends, and what is read answers a row and a batch alike.
#![no_main]

use evenkeel_model::{Choice, Model};
use evenkeel_types::{Column, ColumnFunction, DataType, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = Model::load("m", bytes, &Choice::default()) else {
        return;
    };
    let parameters = &model.signature().parameters;
    let row: Vec<Value> = parameters
        .iter()
        .map(|parameter| match parameter.data_type {
            DataType::Double => Value::Double(-1.5),
            DataType::BigInt => Value::BigInt(-1),
            DataType::Int => Value::Int(-1),
            DataType::Boolean => Value::Boolean(true),
            _ => Value::string("a"),
        })
        .collect();
    let columns: Vec<Column> = parameters
        .iter()
        .zip(&row)
        .map(|(parameter, value)| Column::repeat(&parameter.data_type, value, 2))
        .collect();
    let alone = model.evaluate_row(&row.iter().collect::<Vec<_>>());
    let batch = model.evaluate(&columns, 2);
    assert!(batch.get(0).same_bits(&alone) && batch.get(1).same_bits(&alone));
});
