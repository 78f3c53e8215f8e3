//! What every store must do, as one function that each runs.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::StoreError;
use crate::kv::{Batch, Kv, Snapshot, Space};

type Model = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

/// Random batches under a seed against an empty store, with a model beside it: reads,
/// ranges, prefixes and older snapshots must agree with the model after every batch. `reopen` gives the
/// store back after it was closed and opened (or as it is, if it cannot be).
///
/// # Errors
/// Where store and model differ, in words.
pub fn conformance(
    seed: u64,
    steps: usize,
    mut store: Arc<dyn Kv>,
    mut reopen: impl FnMut(Arc<dyn Kv>) -> Arc<dyn Kv>,
) -> Result<(), String> {
    let mut random = Random(seed);
    let mut model = Model::new();
    let mut older: Option<(Arc<dyn Snapshot>, Model)> = None;
    for step in 0..steps {
        let mut batch = Batch::default();
        for _ in 0..random.below(9) {
            let space = Space::ALL[random.below(Space::ALL.len() as u64) as usize];
            let key = random.key();
            if random.below(4) == 0 {
                batch.remove(space, key.clone());
                model.remove(&(space, key));
            } else {
                let value = random.value();
                batch.put(space, key.clone(), value.clone());
                model.insert((space, key), value);
            }
        }
        let context = |e: StoreError| format!("step {step} of seed {seed}: {e}");
        store.write(batch).map_err(context)?;
        if random.below(10) == 0 {
            older = None;
            store = reopen(store);
        }
        compare(store.snapshot().as_ref(), &model, &mut random)
            .map_err(|e| format!("step {step} of seed {seed}: {e}"))?;
        if let Some((snapshot, model)) = &older {
            compare(snapshot.as_ref(), model, &mut random)
                .map_err(|e| format!("step {step} of seed {seed}, an older snapshot: {e}"))?;
        }
        if random.below(5) == 0 {
            older = Some((store.snapshot(), model.clone()));
        }
    }
    Ok(())
}

fn compare(snapshot: &dyn Snapshot, model: &Model, random: &mut Random) -> Result<(), String> {
    for space in Space::ALL {
        let (a, b) = (random.key(), random.key());
        let found = collect(|visit| snapshot.range(space, &a, &b, visit))?;
        let want = rows(model, space, |key| *key >= a && *key < b);
        same("range", space, &found, &want)?;
        let prefix = random.key();
        let found = collect(|visit| snapshot.prefix(space, &prefix, visit))?;
        let want = rows(model, space, |key| key.starts_with(&prefix));
        same("prefix", space, &found, &want)?;
        let key = random.key();
        let found = snapshot.get(space, &key).map_err(|e| e.to_string())?;
        if found.as_ref() != model.get(&(space, key.clone())) {
            return Err(format!("get {space} {key:?}: {found:?}"));
        }
    }
    Ok(())
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

fn collect(
    read: impl FnOnce(&mut crate::kv::Visit<'_>) -> Result<(), StoreError>,
) -> Result<Rows, String> {
    let mut rows = Rows::new();
    read(&mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        Ok(ControlFlow::Continue(()))
    })
    .map_err(|e| e.to_string())?;
    Ok(rows)
}

fn rows(model: &Model, space: Space, wanted: impl Fn(&Vec<u8>) -> bool) -> Rows {
    model
        .iter()
        .filter(|((s, key), _)| *s == space && wanted(key))
        .map(|((_, key), value)| (key.clone(), value.clone()))
        .collect()
}

fn same(what: &str, space: Space, found: &Rows, want: &Rows) -> Result<(), String> {
    if found == want {
        return Ok(());
    }
    Err(format!(
        "{what} of {space}: found {found:?}, wanted {want:?}"
    ))
}

/// A small generator (xorshift), so that a seed gives the same steps everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Few different keys, with bytes at both ends of the order; never empty.
    fn key(&mut self) -> Vec<u8> {
        (0..1 + self.below(3))
            .map(|_| [0, 1, 0x7f, 0xff][self.below(4) as usize])
            .collect()
    }

    fn value(&mut self) -> Vec<u8> {
        let length = self.below(40);
        (0..length).map(|_| self.next() as u8).collect()
    }
}
