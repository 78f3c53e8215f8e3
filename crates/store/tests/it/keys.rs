//! The keys of an index, in pages of any size.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_store::{KeyList, ListedKey, MemoryKv, bucket_of};
use evenkeel_types::codec::encode_values;
use evenkeel_types::{DataType, Value};
use proptest::prelude::*;

use crate::world::{Row, World, random};

fn key_types() -> Vec<DataType> {
    vec![DataType::String, DataType::BigInt]
}

fn key(number: u64) -> Vec<u8> {
    let text = match number % 3 {
        0 => "",
        1 => "a\0",
        _ => "a",
    };
    encode_values(&[Value::string(text), Value::BigInt(number as i64)])
}

fn list(world: &World) -> KeyList {
    let mut keys = world.blocks.keys(0, key_types());
    keys.sort();
    keys
}

/// All keys, by pages.
fn pages(keys: &KeyList, page: usize) -> Vec<Option<Vec<u8>>> {
    let mut found: Vec<ListedKey> = Vec::new();
    loop {
        let more = keys.after(found.last(), page).unwrap();
        assert!(more.len() <= page);
        if more.is_empty() {
            return found.into_iter().map(|listed| listed.key).collect();
        }
        found.extend(more);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_key_comes_once_and_in_order(
        mut seed in any::<u64>(),
        events in 1u64..400,
        numbers in 1u64..200,
        page in 1usize..40,
    ) {
        let mut world = World::new(Arc::new(MemoryKv::new()), 10_000);
        let mut inserted = BTreeSet::new();
        let mut before: Option<(KeyList, Vec<Option<Vec<u8>>>)> = None;
        for id in 0..events {
            let key = key(random(&mut seed) % numbers);
            world.insert(&key, &Row::new(id, random(&mut seed)));
            inserted.insert((bucket_of(&key), key));
            match random(&mut seed) % 50 {
                0 => world.checkpoint(),
                1 => {
                    let begun = world.begin();
                    let expected = inserted.iter().map(|(_, key)| Some(key.clone()));
                    prop_assert_eq!(pages(&list(&world), page), expected.collect::<Vec<_>>());
                    world.finish(begun);
                }
                2 => before = Some((list(&world), pages(&list(&world), page))),
                _ => {}
            }
        }
        let expected: Vec<_> = inserted.iter().map(|(_, key)| Some(key.clone())).collect();
        prop_assert_eq!(pages(&list(&world), page), expected.clone());
        world.checkpoint();
        world.reopen();
        prop_assert_eq!(pages(&list(&world), page), expected);
        // What was asked before has the keys of before.
        if let Some((keys, expected)) = before {
            prop_assert_eq!(pages(&keys, 3), expected);
        }
    }
}

#[test]
fn a_key_may_be_named_that_is_not_there() {
    let mut world = World::new(Arc::new(MemoryKv::new()), 0);
    for number in [1, 2, 3] {
        world.insert(&key(number), &Row::new(number, number));
    }
    world.checkpoint();
    let all = pages(&list(&world), 10);
    let behind = |number: u64| list(&world).after(Some(&ListedKey::of(&key(number))), 10);
    for number in 0..100 {
        let place = (bucket_of(&key(number)), key(number));
        let expected = all
            .iter()
            .flatten()
            .filter(|k| (bucket_of(k), (*k).clone()) > place);
        let found = behind(number).unwrap();
        let found: Vec<Vec<u8>> = found.into_iter().filter_map(|listed| listed.key).collect();
        assert_eq!(found, expected.cloned().collect::<Vec<_>>());
    }
}

#[test]
fn a_key_that_is_too_long_is_listed_without_its_bytes() {
    let mut world = World::new(Arc::new(MemoryKv::new()), 0);
    let long = encode_values(&[Value::string("x".repeat(5_000)), Value::BigInt(1)]);
    world.insert(&long, &Row::new(1, 1));
    assert_eq!(pages(&list(&world), 10), [None]);
    world.checkpoint();
    assert_eq!(pages(&list(&world), 10), [None]);
    world.insert(&long, &Row::new(2, 2));
    assert_eq!(pages(&list(&world), 10), [None]);
}
