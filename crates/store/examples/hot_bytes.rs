//! What a hot tier takes on the disk: `cargo run --release -p evenkeel-store --example hot_bytes --
//! STORE`, of a store that nobody has open. One line per space: rows, bytes of their keys, bytes of
//! their values.

#![expect(clippy::print_stdout, reason = "a measurement prints")]

use std::error::Error;
use std::path::PathBuf;

use evenkeel_store::{EmbeddedKv, Kv, Space};

const CACHE_BYTES: u64 = 64 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let store = std::env::args().nth(1).ok_or("which store?")?;
    let (kv, _) = EmbeddedKv::open(&PathBuf::from(store).join("hot"), CACHE_BYTES)?;
    let snapshot = kv.snapshot();
    for space in Space::ALL {
        let (mut rows, mut keys, mut values) = (0u64, 0u64, 0u64);
        snapshot.examine(space, &mut |key, value| {
            rows += 1;
            keys += key.len() as u64;
            values += value.map_or(0, <[u8]>::len) as u64;
        })?;
        println!("{space} {rows} {keys} {values}");
    }
    Ok(())
}
