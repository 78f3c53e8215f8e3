//! Rows of the hot tier whose checksums are right: no panic, no end of work, whatever a key's
//! rows say; what the rows do not say rightly is a failure of the read.
#![no_main]

use std::sync::{Arc, OnceLock};

use evenkeel_aggregate::{Everything, SpecId};
use evenkeel_ddl::bind_project;
use evenkeel_store::{
    Batch, Blocks, BlocksOptions, IndexShape, IndexSpec, Kv, MemoryKv, NothingCold, Space,
    bucket_of, examine,
};
use evenkeel_types::definition::{Catalog, ViewDef};
use evenkeel_types::{DataType, Frame};
use evenkeel_view::Plan;
use libfuzzer_sys::fuzz_target;

const DEFINITIONS: &str = "
CREATE ENTITY k (k BIGINT);
CREATE STREAM s (k BIGINT, n BIGINT, w STRING, at TIMESTAMP, EVENT TIME at);
CREATE FEATURE VIEW v ENTITY k AS SELECT k, count(*) OVER a AS f0, sum(n) OVER a AS f1,
  max(w) OVER a AS f2, count_distinct(w) OVER a AS f3 FROM s WINDOW a AS (ALL HISTORY);";
const INDEX: u32 = 1;
/// An entity key: a BIGINT, as key bytes.
const KEY: &[u8] = b"\x02key";

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| {
        let project = bind_project(
            &[("a.sql", DEFINITIONS)],
            &Catalog::default(),
            &|_| false,
            &mut |_| Err("there are no files".to_owned()),
        );
        assert!(project.errors.is_empty(), "{:?}", project.errors);
        let views = project.catalog.views.values();
        let views: Vec<&Arc<ViewDef>> = views.flat_map(|v| v.values()).collect();
        Plan::new(views).expect("its calls fit")
    })
}

/// The rows of an input: what follows the key's prefix, and the value, each with its length
/// before it; an odd first byte is a row among the sealed blocks.
fn rows(mut rest: &[u8]) -> Batch {
    let mut take = || {
        let (&length, behind) = rest.split_first()?;
        let at = usize::from(length).min(behind.len());
        let (taken, left) = behind.split_at(at);
        rest = left;
        Some(taken.to_vec())
    };
    let (index, bucket) = (INDEX.to_be_bytes(), bucket_of(KEY).to_be_bytes());
    let prefix = [&[0, 0][..], &index, &bucket, KEY].concat();
    let mut batch = Batch::default();
    while let (Some(suffix), Some(mut value)) = (take(), take()) {
        let space = match suffix.first() {
            Some(first) if first % 2 == 1 => Space::Blocks,
            _ => Space::Runs,
        };
        // A value may be longer than a byte says.
        while !value.is_empty() && value.len().is_multiple_of(255) {
            match take() {
                Some(more) if !more.is_empty() => value.extend(more),
                _ => break,
            }
        }
        batch.put(space, [&prefix[..], &suffix].concat(), value);
    }
    batch
}

fuzz_target!(|bytes: &[u8]| {
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
    kv.write(rows(bytes)).expect("a memory takes everything");
    let index = &plan().indexes()[0];
    let types: Arc<[DataType]> = index.types().into();
    let aggregates = index.aggregates();
    let shape = |number: u32| {
        (number == INDEX).then(|| IndexShape {
            key: vec![DataType::BigInt],
            columns: Arc::clone(&types),
            aggregates: Arc::clone(aggregates),
        })
    };
    drop(examine(kv.snapshot().as_ref(), &shape));
    let spec = IndexSpec {
        number: INDEX,
        types: Arc::clone(&types),
        aggregates: Arc::clone(aggregates),
    };
    let numbers = BlocksOptions::with_cache(1 << 20);
    let Ok(blocks) = Blocks::open(kv, [spec], Arc::new(NothingCold), numbers) else {
        return;
    };
    if let Ok(Some(history)) = blocks.history(0, KEY) {
        let specs: Vec<SpecId> = aggregates.specs().collect();
        for time in [i64::MIN, 0, 1 << 50, i64::MAX] {
            history.fold(aggregates, &specs, &Frame::unbounded(), None, time, &Everything);
            history.last_before(time, false, None, |_| true, &Everything);
        }
    }
});
