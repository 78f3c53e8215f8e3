//! Both stores under the conformance suite; the embedded one reopened, damaged and set back.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::MEMORY;
use evenkeel_store::{Batch, EmbeddedKv, Kv, MemoryKv, Space, StoreError, conformance};

fn put(kv: &dyn Kv, key: &[u8], value: &[u8]) {
    let mut batch = Batch::default();
    batch.put(Space::Runs, key.to_vec(), value.to_vec());
    kv.write(batch).unwrap();
}

#[test]
fn the_store_in_memory_conforms() {
    for seed in 0..40 {
        conformance(seed, 60, Arc::new(MemoryKv::new()), |store| store).unwrap();
    }
}

/// What is settled is in tables: little of the journal is left to be read.
#[test]
fn what_was_written_is_settled() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hot");
    let tables = |path: &Path| -> u64 {
        let mut left = vec![path.join("rows/keyspaces")];
        let mut bytes = 0;
        while let Some(folder) = left.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => left.push(entry.path()),
                    false => bytes += entry.metadata().unwrap().len(),
                }
            }
        }
        bytes
    };
    let (store, _) = EmbeddedKv::open(&path, 256 << 20).unwrap();
    let value = |n: u8| {
        let bytes = (0..1u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 ^ n);
        bytes.collect::<Vec<u8>>()
    };
    for n in 0..20 {
        put(&store, &[n], &value(n));
    }
    let before = tables(&path);
    store.settle().unwrap();
    let after = tables(&path);
    assert!(after > before + (10 << 20), "{before}, {after}");
    put(&store, b"more", b"little");
    drop(store);
    let (store, opened) = EmbeddedKv::open(&path, 256 << 20).unwrap();
    assert_eq!(opened.lost_writes, 0);
    for n in 0..20 {
        assert!(store.get(Space::Runs, &[n]).unwrap() == Some(value(n)));
    }
    assert_eq!(
        store.get(Space::Runs, b"more").unwrap(),
        Some(b"little".to_vec())
    );
    // Little is not worth it; in a store whose tables nothing else changes.
    let quiet = directory.path().join("quiet");
    let (store, _) = EmbeddedKv::open(&quiet, 256 << 20).unwrap();
    put(&store, b"more", b"little");
    let before = tables(&quiet);
    store.settle().unwrap();
    assert_eq!(tables(&quiet), before);
}

#[test]
fn the_embedded_store_conforms() {
    for seed in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("hot");
        let open = || -> Arc<dyn Kv> {
            let (store, opened) = EmbeddedKv::open(&path, MEMORY).unwrap();
            assert_eq!(opened.lost_writes, 0);
            Arc::new(store)
        };
        conformance(seed, 40, open(), |store| {
            drop(store);
            open()
        })
        .unwrap();
    }
}

#[test]
fn a_half_created_store_is_created_again() {
    let directory = tempfile::tempdir().unwrap();
    let beside = directory.path().join("hot.new");
    fs::create_dir_all(beside.join("rows")).unwrap();
    fs::write(beside.join("rows/version"), b"half").unwrap();
    let (store, _) = EmbeddedKv::open(&directory.path().join("hot"), MEMORY).unwrap();
    put(&store, b"k", b"v");
    assert_eq!(
        store.get(Space::Runs, b"k").unwrap().as_deref(),
        Some(&b"v"[..])
    );
    assert!(!beside.exists());
}

#[test]
fn a_store_that_is_set_back_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("hot"), directory.path().join("copy"));
    let (store, _) = EmbeddedKv::open(&path, MEMORY).unwrap();
    put(&store, b"a", b"1");
    drop(store);
    copy_all(&path, &copy);
    let (store, _) = EmbeddedKv::open(&path, MEMORY).unwrap();
    put(&store, b"b", b"2");
    put(&store, b"c", b"3");
    drop(store);
    // The rows of before under the mark of now.
    fs::remove_dir_all(path.join("rows")).unwrap();
    copy_all(&copy.join("rows"), &path.join("rows"));
    let (store, opened) = EmbeddedKv::open(&path, MEMORY).unwrap();
    assert_eq!(opened.lost_writes, 2);
    assert_eq!(store.get(Space::Runs, b"b").unwrap(), None);
}

#[test]
fn a_space_whose_files_are_gone_or_older_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("hot"), directory.path().join("copy"));
    let (store, _) = EmbeddedKv::open(&path, MEMORY).unwrap();
    put(&store, b"a", b"1");
    // What it numbers itself by is no row.
    let mut rows = 0;
    let snapshot = store.snapshot();
    let mut count = |_: &[u8], _: &[u8]| {
        rows += 1;
        Ok(std::ops::ControlFlow::Continue(()))
    };
    for space in Space::ALL {
        snapshot.prefix(space, b"", &mut count).unwrap();
    }
    assert_eq!(rows, 1);
    drop((snapshot, store));
    let mut refused = 0;
    for entry in fs::read_dir(path.join("rows/keyspaces")).unwrap() {
        let name = entry.unwrap().file_name();
        copy_all(&path, &copy);
        let current = copy.join("rows/keyspaces").join(name).join("current");
        // The embedded store's own space has another fate.
        if fs::remove_file(current).is_ok() && EmbeddedKv::open(&copy, MEMORY).is_err() {
            refused += 1;
        }
        fs::remove_dir_all(&copy).unwrap();
    }
    assert!(refused > Space::ALL.len(), "{refused}");
    let (store, opened) = EmbeddedKv::open(&path, MEMORY).unwrap();
    assert_eq!(opened.lost_writes, 0);
    assert_eq!(
        store.get(Space::Runs, b"a").unwrap().as_deref(),
        Some(&b"1"[..])
    );
}

#[test]
fn no_flipped_bit_of_a_version_file_ends_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("hot"), directory.path().join("copy"));
    let (store, _) = EmbeddedKv::open(&path, MEMORY).unwrap();
    put(&store, b"a", b"1");
    drop(store);
    let version = Path::new("rows/keyspaces/1/v0");
    let good = fs::read(path.join(version)).unwrap();
    let mut refused = 0;
    for bit in (0..good.len() * 8).filter(|bit| bit % 8 == bit / 8 % 8) {
        copy_all(&path, &copy);
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(copy.join(version), &bad).unwrap();
        match EmbeddedKv::open(&copy, MEMORY) {
            Err(_) => refused += 1,
            Ok((store, _)) => {
                let found = store.get(Space::Runs, b"a").unwrap();
                assert_eq!(found.as_deref(), Some(&b"1"[..]), "bit {bit}");
            }
        }
        fs::remove_dir_all(&copy).unwrap();
    }
    assert!(refused > 0);
}

#[test]
fn a_damaged_row_is_an_error_that_names_it() {
    let store = MemoryKv::new();
    put(&store, b"k", b"value");
    assert!(store.damage(Space::Runs, b"k", |bytes| bytes[2] ^= 4));
    let error = store.get(Space::Runs, b"k").unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }));
    assert_eq!(
        error.to_string(),
        "row runs/6b is damaged: its checksum is wrong"
    );
    let mut visited = 0;
    let scan = store.snapshot().prefix(Space::Runs, b"", &mut |_, _| {
        visited += 1;
        Ok(std::ops::ControlFlow::Continue(()))
    });
    assert!(scan.is_err() && visited == 0);
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
