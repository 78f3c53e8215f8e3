//! What is kept, against a map that keeps everything.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::table::PIECE_ROWS;
use super::*;

const INDEXES: usize = 3;

/// Shape number `n` is over the indexes `n` and, if there is one, `n + 1`; one has values.
fn shape(number: u8) -> RowShape {
    let own = usize::from(number);
    RowShape {
        name: [number; 16],
        indexes: (own..INDEXES.min(own + 2)).collect(),
        words: 1 + 20 * own,
        values: usize::from(number == 1),
    }
}

fn key(number: u8) -> Vec<u8> {
    match number {
        // As long as may be, and too long.
        0 => vec![7; KEY_BYTES_MAX],
        1 => vec![7; KEY_BYTES_MAX + 1],
        _ => vec![number; 1 + usize::from(number % 20)],
    }
}

#[derive(Clone, Debug)]
enum Step {
    Keep(u8, Vec<u8>, u64),
    Forget(usize, u8),
    Find(u8, Vec<u8>),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let keys = proptest::collection::vec(0..200u8, 1..60);
    prop_oneof![
        8 => (0..INDEXES as u8, keys.clone(), any::<u64>())
            .prop_map(|(shape, keys, word)| Step::Keep(shape, keys, word)),
        8 => (0..INDEXES, 0..200u8).prop_map(|(index, key)| Step::Forget(index, key)),
        8 => (0..INDEXES as u8, keys).prop_map(|(shape, keys)| Step::Find(shape, keys)),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    /// What is found is what was kept last and not forgotten since; it takes no more than it
    /// may.
    #[test]
    fn rows_are_those_that_were_kept_last(
        steps in proptest::collection::vec(step(), 1..120),
        bytes_max in prop_oneof![Just(0u64), 20_000..120_000u64],
    ) {
        let mut kept = KeptRows::new(bytes_max);
        let mut last: BTreeMap<(u8, u8), u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Keep(number, keys, word) => {
                    let shape = shape(number);
                    let bytes: Vec<Vec<u8>> = keys.iter().map(|&k| key(k)).collect();
                    let words = vec![word; shape.words];
                    let text = Value::from(word.to_string().as_str());
                    let rows = bytes.iter().map(|key| NewRow {
                        key,
                        words: &words,
                        values: vec![text.clone(); shape.values].into(),
                    });
                    kept.keep(&shape, rows);
                    last.extend(keys.iter().map(|&key| ((number, key), word)));
                }
                Step::Forget(index, number) => {
                    kept.forget(index, &key(number));
                    let is_over = |shaped: u8| shape(shaped).indexes.contains(&index);
                    last.retain(|(shaped, key), _| *key != number || !is_over(*shaped));
                }
                Step::Find(number, keys) => {
                    let shape = shape(number);
                    let bytes: Vec<Vec<u8>> = keys.iter().map(|&k| key(k)).collect();
                    let slices: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
                    let reads = kept.reads();
                    for (found, key) in reads.find(&shape, &slices).into_iter().zip(keys) {
                        let Some(found) = found else {
                            continue;
                        };
                        let word = last.get(&(number, key)).copied();
                        prop_assert_ne!(key, 1);
                        let words = word.map(|w| vec![w; shape.words]);
                        prop_assert_eq!(Some(found.words), words.as_deref());
                        let text = word.map(|w| Value::from(w.to_string().as_str()));
                        prop_assert_eq!(found.values, vec![text.unwrap(); shape.values]);
                    }
                }
                Step::Clear => {
                    kept.clear();
                    last.clear();
                }
            }
            let tables = kept.tables.read().unwrap();
            prop_assert_eq!(tables.bytes, tables.all.iter().map(Table::bytes).sum::<u64>());
            prop_assert!(tables.bytes <= bytes_max);
            for table in &tables.all {
                let values = table.values.iter().map(|values| bytes_of(values));
                prop_assert_eq!(table.value_bytes, values.sum::<u64>());
                prop_assert_eq!(table.places.len() + table.free.len(), table.hashes.len());
            }
        }
    }
}

#[test]
fn rows_stay_as_long_as_there_is_room() {
    let kept = KeptRows::new(1 << 20);
    let shape = shape(0);
    let keys: Vec<[u8; 2]> = (0..1_000u16).map(u16::to_be_bytes).collect();
    let words: Vec<u64> = (0..1_000).collect();
    let rows = keys.iter().zip(words.chunks(1)).map(|(key, words)| NewRow {
        key,
        words,
        values: [].into(),
    });
    kept.keep(&shape, rows);
    let slices: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    let reads = kept.reads();
    let found = reads.find(&shape, &slices);
    let found: Vec<u64> = found.iter().map(|row| row.unwrap().words[0]).collect();
    assert_eq!(found, words);
}

fn new_row(key: &[u8]) -> NewRow<'_> {
    NewRow {
        key,
        words: &[1],
        values: [].into(),
    }
}

#[test]
fn what_is_asked_for_stays_when_others_come() {
    let shape = shape(0);
    let mut table = Table::new(&shape);
    table.grow();
    let room = table.piece_bytes();
    let kept = KeptRows::new(room);
    kept.keep(&shape, [new_row(b"asked for")]);
    for number in 0..200u8 {
        assert!(kept.reads().find(&shape, &[b"asked for"])[0].is_some());
        kept.keep(&shape, [new_row(&[number])]);
    }
    assert_eq!(kept.counts().rows, PIECE_ROWS as u64);
    // Another kind of rows takes its memory.
    let other = RowShape {
        name: [9; 16],
        ..shape.clone()
    };
    kept.keep(&other, [new_row(b"x")]);
    assert!(kept.reads().find(&other, &[b"x"])[0].is_some());
    assert!(kept.reads().find(&shape, &[b"asked for"])[0].is_none());
}
