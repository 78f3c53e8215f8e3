//! Rows of the hot tier whose checksums are right: no panic, whatever a key's rows say.
#![no_main]

use std::sync::Arc;

use evenkeel_store::{
    Batch, Blocks, BlocksOptions, IndexShape, IndexSpec, Kv, MemoryKv, NothingCold, Space,
    bucket_of, examine,
};
use evenkeel_types::DataType;
use libfuzzer_sys::fuzz_target;

const INDEX: u32 = 1;
/// An entity key: a BIGINT, as key bytes.
const KEY: &[u8] = b"\x02key";

// The input is rows: what follows the key's prefix, and the value, each with its length
// before it; an odd first byte is a row among the sealed blocks.
fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let mut take = || {
        let (&length, behind) = rest.split_first()?;
        let at = usize::from(length).min(behind.len());
        let (taken, left) = behind.split_at(at);
        rest = left;
        Some(taken.to_vec())
    };
    let prefix = [
        &[0, 0][..],
        &INDEX.to_be_bytes(),
        &bucket_of(KEY).to_be_bytes(),
        KEY,
    ]
    .concat();
    let mut batch = Batch::default();
    while let (Some(suffix), Some(mut value)) = (take(), take()) {
        let space = match suffix.first() {
            Some(first) if first % 2 == 1 => Space::Blocks,
            _ => Space::Runs,
        };
        // A value may be longer than a byte says.
        while value.len() % 255 == 0 && !value.is_empty() {
            match take() {
                Some(more) if !more.is_empty() => value.extend(more),
                _ => break,
            }
        }
        batch.put(space, [&prefix[..], &suffix].concat(), value);
    }
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
    kv.write(batch).expect("a memory takes everything");
    let types: Arc<[DataType]> = [DataType::BigInt, DataType::String].into();
    let shape = |number: u32| {
        (number == INDEX).then(|| IndexShape {
            key: vec![DataType::BigInt],
            columns: Arc::clone(&types),
        })
    };
    drop(examine(kv.snapshot().as_ref(), &shape));
    let spec = IndexSpec {
        number: INDEX,
        types: Arc::clone(&types),
    };
    let numbers = BlocksOptions::with_cache(1 << 20);
    let Ok(blocks) = Blocks::open(kv, [spec], Arc::new(NothingCold), numbers) else {
        return;
    };
    if let Ok(Some(history)) = blocks.history(0, KEY) {
        let count = history.iter().count();
        assert!(count <= history.len());
    }
});
