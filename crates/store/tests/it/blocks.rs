//! Blocks against plain histories: the same entries, whatever was checkpointed, merged,
//! sealed, reopened or evicted, and whenever.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::MEMORY;
use crate::world::{Row, World, random};
use evenkeel_aggregate::Everything;
use evenkeel_store::{Batch, BlocksOptions, EmbeddedKv, Kv, MemoryKv, Space, StoreError};
use proptest::prelude::*;

fn run(world: World, seed: u64, events: u64, checkpoint_every: u64) {
    run_with(world, seed, events, checkpoint_every, None);
}

/// With `keep`, events leave that are older by so much than the newest; it changes now and
/// then.
fn run_with(
    mut world: World,
    mut seed: u64,
    events: u64,
    checkpoint_every: u64,
    keep: Option<u64>,
) -> World {
    let mut inserted: Vec<(Vec<u8>, u64, u64)> = Vec::new();
    for id in 0..events {
        let r = random(&mut seed);
        // One key has most of the events, one is longer than a row key may be.
        let key = match r % 16 {
            0 => b"\x02a".to_vec(),
            1 => vec![2; 5_000],
            _ => b"\x02hot".to_vec(),
        };
        let pick = random(&mut seed);
        world.insert(&key, &Row::new(id, pick));
        if let Some(keep) = keep {
            let keep = random(&mut seed) % (2 * keep);
            world.horizon = Some(id as i64 * 3 - keep as i64);
        }
        inserted.push((key, id, pick));
        if pick.is_multiple_of(211) {
            let (key, id, pick) = &inserted[(random(&mut seed) % inserted.len() as u64) as usize];
            world.contest(&key.clone(), &Row::new(*id, *pick));
        }
        match random(&mut seed) % checkpoint_every {
            0 => world.checkpoint(),
            1 => {
                // Reads and writes while one is under way.
                let begun = world.begin();
                let pick = random(&mut seed);
                let late = Row::new(events + id, pick);
                world.insert(b"\x02hot", &late);
                inserted.push((b"\x02hot".to_vec(), events + id, pick));
                world.check();
                world.finish(begun);
            }
            2 => {
                world.checkpoint();
                world.reopen();
            }
            3 => world.check(),
            _ => {}
        }
    }
    world.check();
    world.checkpoint();
    world.check();
    world.reopen();
    world.check();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn blocks_hold_what_was_inserted(
        seed in any::<u64>(),
        events in 1u64..3_000,
        checkpoint_every in 20u64..400,
        cache in prop_oneof![Just(0u64), Just(200_000), Just(1 << 30)],
    ) {
        run(World::new(Arc::new(MemoryKv::new()), cache), seed, events, checkpoint_every);
    }

    #[test]
    fn blocks_hold_what_was_inserted_whatever_leaves(
        seed in any::<u64>(),
        events in 1u64..3_000,
        checkpoint_every in 20u64..400,
        cache in prop_oneof![Just(0u64), Just(200_000), Just(1 << 30)],
        sealed_entries in prop_oneof![Just(4usize), Just(50), Just(512)],
        fan_out in prop_oneof![Just(2usize), Just(3), Just(64)],
        keep in prop_oneof![Just(1u64), Just(300), Just(5_000)],
        deferred in any::<bool>(),
    ) {
        let numbers = BlocksOptions { sealed_entries, fan_out, ..BlocksOptions::with_cache(cache) };
        let world = World::with(Arc::new(MemoryKv::new()), numbers, Arc::default());
        let world = if deferred { world.deferred() } else { world };
        run_with(world, seed, events, checkpoint_every, Some(keep));
    }
}

#[test]
fn blocks_hold_what_was_inserted_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (kv, _) = EmbeddedKv::open(&directory.path().join("hot"), MEMORY).unwrap();
    run(World::new(Arc::new(kv), 100_000), 7, 4_000, 60);
}

#[test]
fn a_read_opens_only_the_sealed_blocks_that_it_needs() {
    let kv = Arc::new(MemoryKv::new());
    let mut world = World::new(kv, 1 << 30);
    for id in 0..20_000 {
        let row = Row {
            time: id as i64,
            contested: false,
            ..Row::new(id, 1)
        };
        world.insert(b"\x02k", &row);
    }
    world.checkpoint();
    world.reopen();
    let history = world.blocks.history(0, b"\x02k").unwrap().unwrap();
    let cold = history.entries_in_memory();
    assert!(cold < 1_024, "{cold} entries before any was asked for");
    let last = history.descending(10_000, false, &Everything).next();
    assert_eq!(last.map(|e| e.id()), Some(10_000));
    assert!(history.entries_in_memory() <= cold + 512);
}

#[test]
fn a_damaged_block_fails_the_read_that_needs_it_and_no_other() {
    let kv = Arc::new(MemoryKv::new());
    let mut world = World::new(Arc::clone(&kv) as Arc<dyn Kv>, 1 << 30);
    for id in 0..5_000 {
        let row = Row {
            time: id as i64,
            contested: false,
            ..Row::new(id, 1)
        };
        world.insert(b"\x02k", &row);
        world.insert(b"\x02l", &row);
    }
    world.checkpoint();
    world.reopen();
    let mut rows = Vec::new();
    kv.snapshot()
        .prefix(Space::Blocks, b"", &mut |key, _| {
            rows.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    let first_of_k = rows
        .iter()
        .find(|row| row.windows(2).any(|w| w == b"\x02k"))
        .unwrap();
    assert!(kv.damage(Space::Blocks, first_of_k, |bytes| bytes[20] ^= 1));
    let history = world.blocks.history(0, b"\x02k").unwrap().unwrap();
    assert_eq!(
        history
            .descending(4_000, false, &Everything)
            .next()
            .map(|e| e.id()),
        Some(4_000)
    );
    assert_eq!(history.source().unwrap().failure(), None);
    assert_eq!(history.iter().count(), 5_000);
    let failure = history.source().unwrap().failure().unwrap();
    assert!(
        failure.contains("blocks/") && failure.contains("checksum"),
        "{failure}"
    );
    world.model.remove(&b"\x02k"[..]);
    world.check();
    // A checkpoint does not write what it could not read.
    for id in 5_000..6_000 {
        world.blocks.insert(
            0,
            b"\x02k",
            &Row {
                time: 3,
                ..Row::new(id, 1)
            }
            .entry(),
        );
    }
    let begun = world.blocks.begin(&[None]);
    let result = begun.write(9, &mut Batch::default());
    assert!(
        matches!(result, Err(StoreError::Damaged { .. })),
        "{result:?}"
    );
}

/// Rows of a space, and the bytes of their values.
fn size_of(kv: &dyn Kv, space: Space) -> (usize, usize) {
    let mut size = (0, 0);
    kv.snapshot()
        .prefix(space, b"", &mut |_, value| {
            size = (size.0 + 1, size.1 + value.len());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    size
}

/// In order of time, one every 3 microseconds, nothing contested.
pub(crate) fn plain(id: u64) -> Row {
    Row {
        time: id as i64 * 3,
        contested: false,
        ..Row::new(id, 1)
    }
}

#[test]
fn what_leaves_takes_its_bytes_along_and_comes_back_when_it_is_read() {
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
    let mut world = World::new(Arc::clone(&kv), 1 << 30);
    for id in 0..20_000 {
        world.insert(b"\x02k", &plain(id));
    }
    world.checkpoint();
    let (rows, bytes) = size_of(kv.as_ref(), Space::Blocks);
    // An idle key: nothing new comes, and it leaves all the same.
    world.horizon = Some(30_000);
    world.checkpoint();
    world.checkpoint();
    let (rows_left, bytes_left) = size_of(kv.as_ref(), Space::Blocks);
    assert!(
        rows_left * 2 <= rows + 2 && bytes_left * 9 < bytes * 5,
        "{bytes_left} of {bytes}"
    );
    let history = world.blocks.history(0, b"\x02k").unwrap().unwrap();
    assert_eq!(history.len(), 20_000);
    let last = |t| {
        history
            .descending(t, false, &Everything)
            .next()
            .map(|e| e.id())
    };
    // Hot, and by bounds alone.
    assert_eq!(last(60_000), Some(19_999));
    assert_eq!(last(40_000), Some(13_333));
    assert_eq!(world.blocks.reheats().scans, 0);
    assert_eq!(last(9_000), Some(3_000));
    assert_eq!(last(600), Some(200));
    assert_eq!(world.blocks.reheats().scans, 1);
    world.check();
    assert_eq!(world.blocks.reheats().scans, 1);
}

#[test]
fn late_events_and_marks_bring_nothing_back() {
    let mut world = World::new(Arc::new(MemoryKv::new()), 1 << 30);
    let key = b"\x02k";
    for id in 0..6_000 {
        world.insert(key, &plain(id));
    }
    world.horizon = Some(9_000);
    for round in 0..20u64 {
        world.checkpoint();
        if round % 3 == 0 {
            world.reopen();
        }
        // At, before, between and behind what left.
        for (n, time) in [-5, 0, 1, 600, 601, 8_900, 9_100].into_iter().enumerate() {
            let id = 10_000 + round * 10 + n as u64;
            world.insert(
                key,
                &Row {
                    time,
                    ..Row::new(id, 2)
                },
            );
        }
        world.contest(key, &plain(round * 7));
        world.contest(key, &plain(2_900 + round));
        let history = world.blocks.history(0, key).unwrap().unwrap();
        assert_eq!(history.len(), 6_000 + 7 * (round as usize + 1));
        assert_eq!(history.bounds(), world.model[&key[..]].bounds());
    }
    assert_eq!(world.blocks.reheats().scans, 0);
    world.check();
}

#[test]
fn a_mark_on_what_left_outlives_what_was_brought_back_before_it_was_stored() {
    let mut world = World::new(Arc::new(MemoryKv::new()), 1 << 30);
    let key = b"\x02k";
    for id in 0..6_000 {
        world.insert(key, &plain(id));
    }
    world.contest(key, &plain(7));
    world.horizon = Some(9_000);
    world.checkpoint();
    world.checkpoint();
    world.contest(key, &plain(14));
    world.check();
    assert!(world.blocks.reheats().scans > 0);
    for id in 6_000..7_000 {
        world.insert(key, &plain(id));
    }
    world.checkpoint();
    world.check();
}

#[test]
fn scans_take_more_keys_along_from_one_to_the_next() {
    let mut world = World::new(Arc::new(MemoryKv::new()), 1 << 30);
    let key = |n: u64| [b"\x02".as_slice(), &n.to_be_bytes()].concat();
    for id in 0..(64 * 1_100) {
        world.insert(&key(id % 64), &plain(id));
    }
    world.horizon = Some(i64::MAX);
    world.checkpoint();
    let mut keys: Vec<Vec<u8>> = (0..64).map(key).collect();
    keys.sort_by_key(|key| evenkeel_store::bucket_of(key));
    for key in keys {
        let history = world.blocks.history(0, &key).unwrap().unwrap();
        assert!(history.descending(300, false, &Everything).next().is_some());
    }
    let reheats = world.blocks.reheats();
    assert_eq!(reheats.keys, 64);
    assert!(reheats.scans <= 8, "{reheats:?}");
}

#[test]
fn a_log_that_has_other_events_than_left_fails_the_reads_that_need_them() {
    let mut world = World::new(Arc::new(MemoryKv::new()), 0);
    for id in 0..4_000 {
        world.insert(b"\x02k", &plain(id));
    }
    world.horizon = Some(6_000);
    world.checkpoint();
    world.log.0.lock().unwrap().remove(17);
    let history = world.blocks.history(0, b"\x02k").unwrap().unwrap();
    let last = history.descending(12_000, false, &Everything).next();
    assert_eq!(last.map(|e| e.id()), Some(3_999));
    assert_eq!(history.source().unwrap().failure(), None);
    assert!(history.descending(10, false, &Everything).next().is_some());
    let failure = history.source().unwrap().failure().unwrap().to_owned();
    assert!(
        failure.contains("runs/") && failure.contains("the log has"),
        "{failure}"
    );
}

#[test]
fn runs_are_merged_however_often_the_store_is_opened_again() {
    let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
    let mut world = World::new(Arc::clone(&kv), 1 << 30);
    for id in 0..700 {
        world.insert(b"\x02k", &plain(id));
        world.checkpoint();
        let (rows, _) = size_of(kv.as_ref(), Space::Runs);
        assert!(rows <= 10, "{rows} runs after {id} starts");
        world.reopen();
    }
    world.check();
    assert!(size_of(kv.as_ref(), Space::Blocks).0 > 0);
}

#[test]
fn a_block_that_could_not_be_read_is_read_when_it_can_be() {
    let kv = Arc::new(MemoryKv::new());
    let mut world = World::new(Arc::clone(&kv) as Arc<dyn Kv>, 1 << 30);
    for id in 0..5_000 {
        world.insert(b"\x02k", &plain(id));
    }
    world.checkpoint();
    world.reopen();
    let mut rows = Vec::new();
    kv.snapshot()
        .prefix(Space::Blocks, b"", &mut |key, _| {
            rows.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    let flip = || assert!(kv.damage(Space::Blocks, &rows[0], |bytes| bytes[20] ^= 1));
    flip();
    let history = world.blocks.history(0, b"\x02k").unwrap().unwrap();
    assert_eq!(history.iter().count(), 5_000);
    assert!(history.source().unwrap().failure().is_some());
    flip();
    // What failed is not in the cache any more.
    world.check();
}
