//! Bytes of rows: no panic, and what is read is written so that it is read again.
#![no_main]

use evenkeel_types::DataType;
use evenkeel_types::codec::{decode_row, decode_values, encode_values};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let types = [
        DataType::BigInt,
        DataType::Double,
        DataType::String,
        DataType::Boolean,
        DataType::Timestamp,
        DataType::Array(Box::new(DataType::String)),
    ];
    let Some((&count, bytes)) = bytes.split_first() else {
        return;
    };
    let types = &types[..usize::from(count) % (types.len() + 1)];
    if let Ok(values) = decode_values(bytes, types) {
        let written = encode_values(&values);
        let again = decode_values(&written, types).map(|v| encode_values(&v));
        assert_eq!(again.ok(), Some(written));
    }
    drop(decode_row(bytes, types));
});
