//! Texts of one kind or another: expressions, lengths of time, spine queries, JSON, values.
#![no_main]

use evenkeel_connect::{parse_json, text_to_value, value_to_text};
use evenkeel_ddl::{parse_expression, parse_interval, parse_spine_query};
use evenkeel_types::{DataType, Zone};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, bytes)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let types = [
        DataType::BigInt,
        DataType::Double,
        DataType::Boolean,
        DataType::Timestamp,
        DataType::Date,
        DataType::String,
        DataType::Array(Box::new(DataType::Double)),
    ];
    match kind % 11 {
        0 => drop(parse_expression(text)),
        1 => drop(parse_interval(text)),
        2 => drop(parse_spine_query(text)),
        3 => drop(parse_json(text)),
        kind => {
            let data_type = &types[usize::from(kind) - 4];
            // What was read is written so that it is read again.
            if let Ok(value) = text_to_value(data_type, text, &Zone::utc())
                && let Some(written) = value_to_text(data_type, &value)
            {
                let again = text_to_value(data_type, &written, &Zone::utc());
                assert_eq!(again.ok(), Some(value), "{written}");
            }
        }
    }
});
