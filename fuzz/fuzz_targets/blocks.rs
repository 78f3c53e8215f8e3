//! Blocks of events: no panic, and what is read is written so that it is read again.
#![no_main]

use std::sync::Arc;

use evenkeel_aggregate::History;
use evenkeel_types::DataType;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let types: Arc<[DataType]> = [DataType::BigInt, DataType::Double, DataType::String].into();
    let Ok(history) = History::decode(Arc::clone(&types), bytes) else {
        return;
    };
    let rows = |history: &History| -> Vec<_> {
        let entries = history.iter();
        entries.map(|e| (e.order().time, e.position(), e.visible_at(), e.id(), e.row())).collect()
    };
    let Some((written, _)) = history.encode(0..history.len()) else {
        return;
    };
    let again = History::decode(types, &written).expect("it was written by this");
    assert_eq!(rows(&again), rows(&history));
});
