//! A rebuild says exactly which input is gone or another.

use std::fs;

use evenkeel_engine::dataset::{
    DatasetFolder, InputState, RebuildReport, difference, examine_datasets,
};
use evenkeel_engine::{Engine, EngineError, ErrorKind};

use super::{PLAIN, SPINE, build, expect_same, loaded, more, place, rebuild, world};
use crate::support::apply_text;

fn state(report: &RebuildReport, input: &str) -> InputState {
    let found = report.inputs.iter().find(|i| i.input == input);
    found.unwrap_or_else(|| panic!("{report:?}")).state
}

#[test]
fn a_spine_that_is_gone_or_another_is_named() {
    let world = world(PLAIN);
    let engine = loaded(&world);
    let manifest = build(&engine, "plain");
    let path = world.path().join("spine.csv");
    fs::remove_file(&path).unwrap();
    let report = rebuild(&engine, "plain:1");
    assert!(!report.matches && report.digest.is_none());
    assert_eq!(state(&report, "definitions"), InputState::Same);
    assert_eq!(state(&report, "cut"), InputState::Same);
    assert_eq!(state(&report, "spine"), InputState::Gone);
    assert!(report.inputs[2].reason.contains("spine.csv"), "{report:?}");
    for other in [
        SPINE.replace("nowhere", "elsewhere"),
        SPINE.lines().take(5).map(|l| format!("{l}\n")).collect(),
        "nothing\n1\n".to_owned(),
    ] {
        fs::write(&path, other).unwrap();
        let report = rebuild(&engine, "plain:1");
        assert!(!report.matches && report.digest.is_none());
        assert_eq!(state(&report, "spine"), InputState::Changed);
    }
    // Another file with the same rows is the same spine.
    let table = evenkeel_connect::Table::read(&world.write("again.csv", SPINE)).unwrap();
    table.write(&world.path().join("again.parquet")).unwrap();
    let spine = evenkeel_engine::dataset::BuildSpine::File(world.path().join("again.parquet"));
    let report = engine
        .offline()
        .rebuild_dataset(
            &"plain".parse().unwrap(),
            &spine,
            u64::MAX,
            &mut super::go_on,
        )
        .unwrap();
    assert!(report.matches, "{report:?}");
    fs::write(&path, SPINE).unwrap();
    expect_same(&engine, &manifest);
}

#[test]
fn definitions_that_were_superseded_are_read_as_they_were() {
    let world = world(&format!(
        "{PLAIN}
         CREATE TRAINING DATASET asked FROM SERVICE model
           LABEL day_pieces FROM next_day WITHIN 1 DAY
           SPINE (SELECT id, shop, pieces AS sold_pieces FROM sales);"
    ));
    let mut engine = loaded(&world);
    let (plain, asked) = (build(&engine, "plain"), build(&engine, "asked"));
    let text = fs::read_to_string(world.path().join("definitions.sql")).unwrap();
    // Views of other meaning, a service of another, a wider source with a new column.
    let text = text
        .replace("LAST 2 HOURS", "LAST 30 MINUTES")
        .replace("LAST 1 DAYS", "LAST 2 DAYS")
        .replace("sold (*), last_sale (*)", "last_sale (town), sold (sales)")
        .replace(
            "pieces INT, price DOUBLE, at",
            "pieces BIGINT, price DOUBLE, at",
        )
        .replace(
            "at TIMESTAMP,\n  EVENT ID (id)",
            "at TIMESTAMP, note STRING,\n  EVENT ID (id)",
        );
    world.write("definitions.sql", &text);
    apply_text(&mut engine, &text);
    more(
        &world,
        &mut engine,
        "{\"id\":\"n\",\"shop\":\"x\",\"pieces\":9007199254740993,\"price\":1,\"at\":\"2026-03-02T10:15:00Z\",\"note\":\"n\"}\n",
    );
    for manifest in [&plain, &asked] {
        expect_same(&engine, manifest);
    }
    drop(engine);
    let engine = world.engine();
    for manifest in [&plain, &asked] {
        expect_same(&engine, manifest);
    }
    assert_eq!(
        super::staleness(&engine, "plain").differing.unwrap().rows,
        Some(0)
    );
}

#[test]
fn a_store_that_is_behind_lacks_definitions_or_events() {
    let world = world(PLAIN);
    let engine = loaded(&world);
    let manifest = build(&engine, "plain");
    let store = world.project().store;
    drop(engine);
    // A store of the same project that holds less, as an old backup does.
    let other = super::world(PLAIN);
    let behind = other.engine();
    let folder = DatasetFolder::of(&other.project().store);
    let to = folder.place("plain", 1);
    fs::create_dir_all(&to).unwrap();
    for (name, bytes) in super::bytes_of(&DatasetFolder::of(&store).place("plain", 1)) {
        fs::write(to.join(name), bytes).unwrap();
    }
    let report = rebuild(&behind, "plain");
    assert_eq!(state(&report, "definitions"), InputState::Same);
    assert_eq!(state(&report, "cut"), InputState::Gone);
    assert_eq!(state(&report, "spine"), InputState::Unknown);
    // Whether rows differ is not known there, which is not that none does.
    let differing = super::staleness(&behind, "plain").differing.unwrap();
    assert_eq!(differing.rows, None);
    assert!(differing.reason.unwrap().contains("beyond what is applied"));
    // Nor how many events are late, in the list either.
    assert_eq!(super::staleness(&behind, "plain").late_events(), None);
    let listed = behind.offline().datasets().unwrap();
    let (_, late) = listed[0].built.as_ref().unwrap();
    assert_eq!(*late, None);
    assert_eq!(listed[0].to_json()["behind"], true);
    // One with fewer records.
    let none = crate::support::World::new("CREATE ENTITY e (k STRING);");
    let nothing = none.engine();
    let to = DatasetFolder::of(&none.project().store).place("plain", 1);
    fs::create_dir_all(&to).unwrap();
    fs::copy(
        place(&world, &manifest).join("manifest.json"),
        to.join("manifest.json"),
    )
    .unwrap();
    let report = rebuild(&nothing, "plain");
    assert_eq!(state(&report, "definitions"), InputState::Gone);
    assert!(!report.matches);
}

/// Neither is a matter of the spine, whose rows are what they were.
#[test]
fn a_damaged_log_and_a_limit_are_no_other_spine() {
    let world = world(PLAIN);
    let engine = loaded(&world);
    build(&engine, "plain");
    let name = "plain:1".parse().unwrap();
    let spine = evenkeel_engine::dataset::BuildSpine::Defined;
    let rebuilt = |values_max| {
        let offline = engine.offline();
        offline.rebuild_dataset(&name, &spine, values_max, &mut super::go_on)
    };
    let error = rebuilt(3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        matches!(&error, EngineError::Train(e) if e.is_too_many_values()),
        "{error:?}"
    );
    // Under an engine that has it open.
    let log = world.project().store.join("log");
    let mut segments = fs::read_dir(log).unwrap().map(|e| e.unwrap().path());
    let segment = segments.find(|path| path.extension().is_some_and(|e| e == "segment"));
    let segment = segment.unwrap();
    let bytes = fs::read(&segment).unwrap();
    let mut refused = 0;
    for at in (0..bytes.len()).step_by(41) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&segment, damaged).unwrap();
        match rebuilt(u64::MAX) {
            // Nobody needs all of it.
            Ok(report) => assert!(report.matches, "byte {at}: {report:?}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Storage, "byte {at}: {error:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 3, "{refused} of {}", bytes.len());
}

#[test]
fn files_that_are_gone_or_damaged_come_back() {
    let world = world(
        "CREATE TRAINING DATASET d FROM SERVICE model SPINE 'spine.csv'
           SPLIT RANDOM (train 1, test 1) FORMAT PARQUET, TFRECORD;",
    );
    let engine = loaded(&world);
    let manifest = build(&engine, "d");
    let folder = place(&world, &manifest);
    let files = super::bytes_of(&folder);
    let store = world.project().store;
    assert_eq!(examine_datasets(&store).unwrap(), []);
    fs::remove_file(folder.join("train.parquet")).unwrap();
    let path = folder.join("test.tfrecord");
    let mut damaged = fs::read(&path).unwrap();
    damaged[20] ^= 1;
    fs::write(&path, damaged).unwrap();
    let found = examine_datasets(&store).unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    let report = rebuild(&engine, "d:1");
    assert!(report.matches);
    assert_eq!(report.restored, ["train.parquet", "test.tfrecord"]);
    assert_eq!(super::bytes_of(&folder), files);
    assert_eq!(examine_datasets(&store).unwrap(), []);
}

#[test]
fn every_flipped_bit_of_a_manifest_is_noticed() {
    let world = world(PLAIN);
    let engine = loaded(&world);
    let manifest = build(&engine, "plain");
    let path = place(&world, &manifest).join("manifest.json");
    let good = fs::read(&path).unwrap();
    let offline = engine.offline();
    let name = "plain".parse().unwrap();
    assert_eq!(offline.dataset(&name).unwrap(), manifest);
    let mut noticed = 0;
    for at in (0..good.len() * 8).step_by(7) {
        let mut bad = good.clone();
        bad[at / 8] ^= 1 << (at % 8);
        // Between its members white space may be any.
        let is_space = |byte: u8| byte.is_ascii_whitespace();
        if is_space(good[at / 8]) && is_space(bad[at / 8]) {
            continue;
        }
        fs::write(&path, &bad).unwrap();
        // A number may be written in two ways: then it is the same manifest.
        match offline.dataset(&name) {
            Ok(read) => assert_eq!(read, manifest, "bit {at}"),
            Err(_) => noticed += 1,
        }
    }
    assert!(noticed > good.len() / 2);
    // A newer format is no damage.
    let text = String::from_utf8(good).unwrap();
    fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let error = offline.dataset(&name).unwrap_err();
    assert!(matches!(error, EngineError::StoreFormat { format: 2, .. }));
}

#[test]
fn two_versions_are_compared() {
    let world = world(&format!(
        "{PLAIN}
         CREATE TRAINING DATASET plain VERSION 2 FROM SERVICE model SPINE 'spine.csv';
         CREATE TRAINING DATASET plain VERSION 3 FROM SERVICE model SPINE 'spine.csv'
           TRANSFORM (sales STANDARDIZE);"
    ));
    let mut engine = loaded(&world);
    let names = |a, b| -> Vec<String> { difference(a, b).into_iter().map(|d| d.what).collect() };
    let (first, second) = (build(&engine, "plain:1"), build(&engine, "plain:2"));
    assert_eq!(difference(&first, &first), []);
    assert_eq!(names(&first, &second), ["definition"]);
    more(
        &world,
        &mut engine,
        "{\"id\":\"late\",\"shop\":\"x\",\"pieces\":1,\"price\":0.1,\"at\":\"2026-03-01T10:15:00Z\"}\n",
    );
    let third = build(&engine, "plain");
    assert_eq!(third.version, 3);
    let found = names(&second, &third);
    for what in [
        "digest",
        "cut",
        "part all",
        "feature sales",
        "feature pieces",
    ] {
        assert!(found.iter().any(|f| f == what), "{what}: {found:?}");
    }
    assert!(!found.iter().any(|f| f == "spine" || f == "feature town"));
}

#[test]
fn two_builds_of_one_name_do_not_meet() {
    let world = world(PLAIN);
    let engine: Engine = loaded(&world);
    let mut inner = None;
    let asked = evenkeel_engine::dataset::DatasetBuild {
        name: "plain".parse().unwrap(),
        spine: Default::default(),
        values_max: u64::MAX,
    };
    let offline = engine.offline();
    offline
        .build_dataset(&asked, &mut |stage, _, _| {
            if stage == "writing" && inner.is_none() {
                let second = offline.build_dataset(&asked, &mut super::go_on);
                inner = Some(second.unwrap_err());
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(matches!(inner, Some(EngineError::DatasetBusy { .. })));
}

#[test]
fn a_backup_has_the_datasets() {
    let world = world(PLAIN);
    let engine = loaded(&world);
    let manifest = build(&engine, "plain");
    let files = super::bytes_of(&place(&world, &manifest));
    let target = world.path().join("backup");
    let project = world.project();
    evenkeel_engine::backup(&project, &target, &mut |_, _| ()).unwrap();
    drop(engine);
    fs::remove_dir_all(&project.store).unwrap();
    evenkeel_engine::restore(&project, &target).unwrap();
    assert_eq!(super::bytes_of(&place(&world, &manifest)), files);
    expect_same(&world.engine(), &manifest);
}
