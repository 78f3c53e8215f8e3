//! A dataset that read what was forgotten is not built again, and says why.

use std::fs;
use std::ops::ControlFlow;

use evenkeel_engine::dataset::InputState;
use evenkeel_engine::{Engine, ForgetReport, ForgetRequest, backup, restore};

use super::{build, loaded, rebuild, world};

const DATASETS: &str = "
CREATE TRAINING DATASET d FROM SERVICE model SPINE 'spine.csv' SPLIT RANDOM (train 1, test 1) FORMAT PARQUET, TFRECORD;
CREATE TRAINING DATASET others FROM SERVICE model SPINE 'others.csv';
CREATE TRAINING DATASET later FROM SERVICE model SPINE 'spine.csv';
";

fn forget(engine: Engine, shop: &str, removes_datasets: bool) -> ForgetReport {
    let request = ForgetRequest {
        entity: "shop".to_owned(),
        key: shop.to_owned(),
        removes_datasets,
        ..ForgetRequest::default()
    };
    let plan = engine
        .plan_forget(&request, &mut |_, _| ControlFlow::Continue(()))
        .unwrap();
    engine.forget(plan).unwrap()
}

#[test]
fn datasets_that_read_it_are_named_and_not_built_again() {
    let world = world(DATASETS);
    world.write("others.csv", "shop,event_time\ny,2026-03-01T11:00:00Z\n");
    let engine = loaded(&world);
    let (mine, theirs) = (build(&engine, "d"), build(&engine, "others"));
    assert!(rebuild(&engine, "d").is_whole());
    let report = forget(engine, "x", true);
    let found: Vec<(&str, Option<u64>, bool)> = report
        .datasets
        .iter()
        .map(|d| (d.dataset.as_str(), d.rows, d.removed))
        .collect();
    assert_eq!(
        found,
        [("d:1", Some(5), true), ("others:1", Some(0), false)]
    );
    let place = |name: &str| world.path().join(format!(".evenkeel/datasets/{name}/1"));
    let left = |name: &str| fs::read_dir(place(name)).unwrap().count();
    assert_eq!((left("d"), left("others")), (1, 2));
    let check = |engine: &Engine| {
        for (name, manifest) in [("d", &mine), ("others", &theirs)] {
            let again = rebuild(engine, name);
            assert!(!again.matches && again.digest.is_none(), "{again:?}");
            assert_eq!(again.expected, manifest.digest);
            assert_eq!(again.inputs[0].input, "events");
            assert_eq!(again.inputs[0].state, InputState::Gone);
            let reason = &again.inputs[0].reason;
            assert!(reason.contains("not rebuildable (forgotten)"), "{reason}");
        }
    };
    let engine = world.engine();
    check(&engine);
    // What is built from now on is like any other.
    build(&engine, "later");
    assert!(rebuild(&engine, "later").is_whole());
    drop(engine);
    let target = world.path().join("backup");
    let project = world.project();
    backup(&project, &target, &mut |_, _| ()).unwrap();
    fs::remove_dir_all(&project.store).unwrap();
    restore(&project, &target).unwrap();
    let engine = world.engine();
    check(&engine);
    assert!(rebuild(&engine, "later").is_whole());
}
