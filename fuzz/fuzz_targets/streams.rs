//! Arrow streams, as a server is sent them.
#![no_main]

use evenkeel_connect::Table;
use libfuzzer_sys::fuzz_target;

const UNPACKED_BYTES_MAX: u64 = 16 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(table) = Table::from_stream(bytes.to_vec(), UNPACKED_BYTES_MAX) {
        for (name, _) in table.fields() {
            drop(table.column(name));
        }
        drop(table.digest());
    }
});
