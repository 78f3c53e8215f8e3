//! What left is brought back without a hold on the blocks, while they change: by interleavings
//! that are forced. Whatever comes in between, what is read afterwards is right.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use evenkeel_aggregate::Everything;
use evenkeel_store::{ColdNeeds, MemoryKv};

use crate::blocks::plain;
use crate::world::{Row, World};

const KEY: &[u8] = b"\x02k";

/// A key of which events have left, one of them contested.
fn world(cache_bytes: u64) -> World {
    let mut world = World::new(Arc::new(MemoryKv::new()), cache_bytes).deferred();
    for id in 0..6_000 {
        world.insert(KEY, &plain(id));
    }
    world.contest(KEY, &plain(7));
    world.horizon = Some(9_000);
    world.checkpoint();
    world.checkpoint();
    world
}

/// An old read: what it needs.
fn needs(world: &World) -> ColdNeeds {
    let (history, reads) = world.blocks.events(0, KEY).unwrap().unwrap();
    assert!(history.descending(600, false, &Everything).next().is_some());
    assert!(history.source().unwrap().failure().is_some());
    reads.unwrap().needs().unwrap()
}

/// Whether an old read needs nothing.
fn is_at_hand(world: &World) -> bool {
    let (history, reads) = world.blocks.events(0, KEY).unwrap().unwrap();
    assert!(history.descending(600, false, &Everything).next().is_some());
    reads.unwrap().needs().is_none()
}

/// Brings back what an old read needs; when the log has been read, and before what came of
/// it is kept, something happens. Whether it is at hand afterwards, and all is right.
fn brought_back_while(world: &mut World, meanwhile: impl FnOnce(&mut World)) -> bool {
    let needs = needs(world);
    let (reached, is_reached) = sync_channel(0);
    let (go, may_go) = sync_channel::<()>(0);
    *world.log.1.lock().unwrap() = Some(Box::new(move || {
        reached.send(()).unwrap();
        may_go.recv().unwrap();
    }));
    let is_at_hand = std::thread::scope(|scope| {
        let scan = scope.spawn(move || needs.bring_back().unwrap());
        is_reached.recv().unwrap();
        meanwhile(world);
        go.send(()).unwrap();
        let _brought = scan.join().unwrap();
        is_at_hand(world)
    });
    world.check();
    is_at_hand
}

#[test]
fn nothing_happens_and_it_is_at_hand() {
    let mut world = world(1 << 30);
    assert!(brought_back_while(&mut world, |_| ()));
    assert_eq!(world.blocks.reheats().scans, 1);
}

#[test]
fn a_mark_stands_beside_what_comes_back_until_it_is_sealed() {
    let mut world = world(1 << 30);
    assert!(brought_back_while(&mut world, |world| {
        world.contest(KEY, &plain(14));
        world.checkpoint();
    }));
    assert_eq!(world.blocks.reheats().scans, 1);
}

#[test]
fn what_was_read_before_a_mark_was_sealed_is_not_kept() {
    let mut world = world(1 << 30);
    assert!(!brought_back_while(&mut world, |world| {
        world.contest(KEY, &plain(14));
        for id in 6_000..7_000 {
            world.insert(KEY, &plain(id));
        }
        world.checkpoint();
    }));
    assert_eq!(world.blocks.reheats().scans, 2);
}

#[test]
fn the_same_when_definitions_change_as_well() {
    let mut world = world(1 << 30);
    assert!(!brought_back_while(&mut world, |world| {
        world.switch(Arc::default());
        world.contest(KEY, &plain(14));
        for id in 6_000..7_000 {
            world.insert(KEY, &plain(id));
        }
        world.checkpoint();
    }));
}

#[test]
fn a_late_event_stands_beside_what_comes_back() {
    let mut world = world(1 << 30);
    assert!(brought_back_while(&mut world, |world| {
        for (n, time) in [-5, 0, 600, 601].into_iter().enumerate() {
            let mut late = Row::new(10_000 + n as u64, 2);
            late.time = time;
            world.insert(KEY, &late);
        }
        world.checkpoint();
    }));
}

#[test]
fn more_that_leaves_is_not_in_what_comes_back() {
    let mut world = world(1 << 30);
    assert!(!brought_back_while(&mut world, |world| {
        world.horizon = Some(15_000);
        world.checkpoint();
    }));
}

#[test]
fn what_comes_back_is_at_hand_for_who_waits_whatever_the_cache_may_hold() {
    let world = world(0);
    let brought = needs(&world).bring_back().unwrap();
    assert!(is_at_hand(&world));
    // Who waits for the same later finds it.
    assert_eq!(world.blocks.reheats().scans, 1);
    drop(brought);
    assert!(!is_at_hand(&world));
    world.check();
}

#[test]
fn while_a_scan_is_under_way_none_else_begins_and_the_store_is_not_taken_away() {
    let mut world = world(1 << 30);
    let scans = world.blocks.scans();
    let was_free = std::cell::Cell::new(true);
    assert!(brought_back_while(&mut world, |_| {
        was_free.set(scans.pause().is_some());
    }));
    assert!(!was_free.get() && scans.pause().is_some());
}

#[test]
fn who_waits_for_its_turn_does_not_hold_the_store() {
    let kv = Arc::new(MemoryKv::new());
    let waiting = {
        let mut world = World::new(kv.clone(), 1 << 30).deferred();
        for id in 0..6_000 {
            world.insert(KEY, &plain(id));
        }
        world.horizon = Some(9_000);
        world.checkpoint();
        needs(&world)
    };
    assert_eq!(Arc::strong_count(&kv), 1);
    // The blocks are gone: there is nothing to bring, and nothing wrong.
    drop(waiting.bring_back().unwrap());
}

#[test]
fn what_waits_is_of_before_when_definitions_change() {
    let mut world = world(0);
    let brought = needs(&world).bring_back().unwrap();
    assert!(is_at_hand(&world));
    // Reads leave states in it, by the numbers that calls have.
    world.switch(Arc::default());
    assert!(!is_at_hand(&world));
    drop(brought);
    world.check();
}
