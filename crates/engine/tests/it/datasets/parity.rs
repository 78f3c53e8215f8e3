//! Rows of a dataset and vectors that are served are one thing, to the bit.

use evenkeel_engine::api::GetRequest;
use evenkeel_engine::dataset::{DatasetManifest, DatasetPlan};
use evenkeel_engine::{Engine, EngineError};
use evenkeel_types::codec::encode_value;
use evenkeel_types::{EventTime, Value, VisibleAt};

use super::{build, cells, loaded, more, part, world};
use crate::support::{World, t};

const TRANSFORMED: &str = "
CREATE TRAINING DATASET d FROM SERVICE model SPINE 'spine.csv'
  TRANSFORM (sales STANDARDIZE, pieces IMPUTE -1 MIN MAX, price IMPUTE MEAN STANDARDIZE,
    last_pieces BUCKETIZE (0, 2, 5), town IMPUTE 'none' ONE HOT LIMIT 2);
CREATE TRAINING DATASET served FROM SERVICE model SPINE 'spine.csv' KNOWLEDGE AS SERVED
  TRANSFORM (price IMPUTE MEAN, town ONE HOT);
";

/// Reads every row's vector at its own time and compares it with the dataset's row.
fn compare(world: &World, engine: &Engine, manifest: &DatasetManifest, as_served: bool) {
    let plan = DatasetPlan::new(manifest, engine.catalog()).unwrap();
    let table = part(world, manifest, "all.parquet");
    let shops = table.column_as("shop", &evenkeel_types::DataType::String);
    let shops = shops.unwrap();
    let times = cells(&table, "event_time");
    let columns: Vec<Vec<Value>> = plan
        .outputs()
        .iter()
        .map(|field| {
            let column = table.column_as(&field.name, &field.data_type).unwrap();
            column.iter().collect()
        })
        .collect();
    for (row, time) in times.iter().enumerate() {
        let Value::Timestamp(time) = time else {
            panic!("{time:?}")
        };
        let request = GetRequest {
            service: plan.service.clone(),
            rows: vec![vec![shops.get(row)]],
            as_of: EventTime(*time),
            cut: Some(engine.parse_cut(&manifest.cut).unwrap()),
            known_at: as_served.then_some(VisibleAt(*time)),
        };
        let vector = plan.answer(engine.get(&request).unwrap());
        assert_eq!(vector.features, plan.outputs());
        for (answer, column) in vector.rows[0].iter().zip(&columns) {
            let bytes = |value: &Value| {
                let mut out = Vec::new();
                encode_value(value, &mut out);
                out
            };
            assert_eq!(bytes(&answer.value), bytes(&column[row]), "row {row}");
        }
    }
}

#[test]
fn a_vector_is_the_row_to_the_bit() {
    let world = world(TRANSFORMED);
    let mut engine = loaded(&world);
    let (d, served) = (build(&engine, "d"), build(&engine, "served"));
    let names: Vec<String> = DatasetPlan::new(&d, engine.catalog())
        .unwrap()
        .outputs()
        .iter()
        .map(|f| f.name.clone())
        .collect();
    assert_eq!(
        names,
        [
            "sales",
            "pieces",
            "price",
            "last_pieces",
            "last_price",
            "town__Ulm",
            "town__none"
        ]
    );
    let in_manifest: Vec<String> = d
        .features
        .iter()
        .flat_map(|f| f.outputs.iter().map(|o| o.name.clone()))
        .collect();
    assert_eq!(names, in_manifest);
    compare(&world, &engine, &d, false);
    compare(&world, &engine, &served, true);
    // What comes later changes neither, and nor does a restart.
    more(
        &world,
        &mut engine,
        "{\"id\":\"late\",\"shop\":\"x\",\"pieces\":1,\"price\":1,\"at\":\"2026-03-01T10:15:00Z\"}\n",
    );
    compare(&world, &engine, &d, false);
    engine.checkpoint().unwrap();
    drop(engine);
    let engine = world.engine();
    compare(&world, &engine, &d, false);
    compare(&world, &engine, &served, true);
}

#[test]
fn a_vector_has_the_versions_of_its_dataset() {
    let world = world(TRANSFORMED);
    let mut engine = loaded(&world);
    let d = build(&engine, "d");
    let text = std::fs::read_to_string(world.path().join("definitions.sql")).unwrap();
    let text = text.replace("LAST 2 HOURS", "LAST 3 MINUTES");
    // The service may drop what the dataset has, too.
    let text = text.replace(
        "sold (*), last_sale (*)",
        "sold (sales, pieces, price), last_sale (*)",
    );
    world.write("definitions.sql", &text);
    crate::support::apply_text(&mut engine, &text);
    assert_eq!(engine.catalog().view("sold").unwrap().version, 2);
    compare(&world, &engine, &d, false);
    super::expect_same(&engine, &d);
}

#[test]
fn where_a_value_is_imputed_there_is_one() {
    let world = world(TRANSFORMED);
    let engine = loaded(&world);
    let d = build(&engine, "d");
    let plan = DatasetPlan::new(&d, engine.catalog()).unwrap();
    let request = GetRequest {
        service: plan.service.clone(),
        rows: vec![vec![Value::from("nowhere")]],
        as_of: EventTime(t("2026-03-01T11:00:00Z")),
        cut: None,
        known_at: None,
    };
    let vector = plan.answer(engine.get(&request).unwrap()).rows.remove(0);
    let status = |i: usize| vector[i].status.to_string();
    // An imputed number, one that nothing stands in for, a category that is `none`.
    assert_eq!(
        (status(1).as_str(), status(4).as_str()),
        ("PRESENT", "NOT_FOUND")
    );
    assert_eq!(vector[6].value, Value::Int(1));
}

#[test]
fn a_view_that_means_something_else_is_named() {
    let world = world(TRANSFORMED);
    let engine = loaded(&world);
    let mut d = build(&engine, "d");
    d.service.views[0].digest = "00".repeat(16);
    let error = DatasetPlan::new(&d, engine.catalog()).unwrap_err();
    assert!(matches!(error, EngineError::DatasetGone { .. }), "{error}");
    assert!(error.to_string().contains("`sold@1`"), "{error}");
    d.service.views[0].version = 7;
    let error = DatasetPlan::new(&d, engine.catalog()).unwrap_err();
    assert!(error.to_string().contains("is gone"), "{error}");
}
