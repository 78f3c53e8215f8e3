//! Models in views: a score has the bits of the model asked directly, on every path; a changed
//! file is a new version, and older ones keep theirs, whatever becomes of the file.

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel_engine::api::{ChangeKind, VerifyOptions};
use evenkeel_engine::{Called, Engine, EngineError, Project, ReadPlan, backup, restore};
use evenkeel_model::{Choice, Model};
use evenkeel_types::definition::Catalog;
use evenkeel_types::{ColumnFunction, EventTime, Knowledge, Value};

use crate::emissions::push;
use crate::support::{World, apply_text, one, t};

const DEFINITIONS: &str = "
CREATE ENTITY customer (customer BIGINT);
CREATE STREAM payments (customer BIGINT, amount DOUBLE, age BIGINT, country STRING, at TIMESTAMP, EVENT TIME at)
  WITH (connector = 'file', path = 'payments.csv');
CREATE MODEL risk FROM 'models/risk.onnx';
CREATE MODEL risk_label FROM 'models/risk.onnx' OUTPUT 'output_label';
CREATE FEATURE VIEW spent ENTITY customer AS
SELECT count(*) OVER w AS n, sum(amount) OVER w AS total, last_value(country) OVER w AS country,
  predict(risk, sum(amount) OVER w, count(*) OVER w, last_value(country) OVER w) AS score
FROM payments WINDOW w AS (LAST 3 HOURS);
CREATE FEATURE VIEW scored ENTITY customer AS
SELECT amount, age, country, predict(risk, amount, age, country) AS score,
  predict(risk_label, amount, age, country) AS label FROM payments WHERE predict(risk, amount, age, country) < 2;
CREATE FEATURE VIEW greatest ENTITY customer AS
SELECT max(predict(risk, amount, age, country)) OVER (LAST 5 HOURS) AS score FROM payments;
CREATE ON DEMAND FEATURE VIEW asked ENTITY customer REQUEST (amount DOUBLE) AS
SELECT predict(risk, request.amount + s.total, s.n, s.country) AS score FROM spent s;
CREATE FEATURE SERVICE strategy AS spent (*), scored (*) AS scored, greatest (*) AS greatest, asked (*) AS asked;
";

fn fixture(name: &str) -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures");
    models.join(name)
}

fn put_model(world: &World, name: &str) {
    fs::create_dir_all(world.path().join("models")).unwrap();
    fs::copy(fixture(name), world.path().join("models/risk.onnx")).unwrap();
}

fn loaded() -> (World, Engine) {
    loaded_with(DEFINITIONS)
}

fn loaded_with(definitions: &str) -> (World, Engine) {
    let world = World::new(definitions);
    put_model(&world, "mixed.onnx");
    let mut text = "customer,amount,age,country,at\n".to_owned();
    for i in 0..60 {
        let age = if i % 7 == 0 {
            String::new()
        } else {
            (20 + i).to_string()
        };
        let country = ["aa", "bb", "cc", "", "unknown"][i % 5];
        let (hour, minute) = (i / 12 + 3, i % 12 * 5);
        let amount = (i * 37 % 101) as f64 * 1.75;
        text.push_str(&format!(
            "{},{amount},{age},{country},2026-03-02T0{hour}:{minute:02}:00Z\n",
            i % 4
        ));
    }
    world.write("payments.csv", &text);
    let engine = world.loaded(&["payments"]);
    (world, engine)
}

/// What the model itself says.
fn asked(model: &Model, row: [&Value; 3]) -> Value {
    let widened: Vec<Value> = row
        .into_iter()
        .map(|value| match value {
            Value::BigInt(x) => Value::Double(*x as f64),
            other => other.clone(),
        })
        .collect();
    model.evaluate_row(&widened.iter().collect::<Vec<_>>())
}

#[test]
fn scores_are_those_of_the_model_on_every_path() {
    let (_world, engine) = loaded();
    let bytes = fs::read(fixture("mixed.onnx")).unwrap();
    let model = Model::load("risk", &bytes, &Choice::default()).unwrap();
    let mut present = 0;
    for minute in (0..7 * 60).step_by(17) {
        let as_of = t("2026-03-02T02:55:00Z") + minute * 60_000_000;
        for customer in 0..5 {
            let key = [Value::BigInt(customer), Value::Double(12.5)];
            // `one` reads on both paths, which have to agree to the bit.
            let found = one(&engine, "strategy", &key, as_of);
            let value = |at: usize| &found[at].value;
            let same = |found: &Value, expected: Value| {
                assert!(found.same_bits(&expected), "{found:?}, not {expected:?}");
            };
            same(value(3), asked(&model, [value(1), value(0), value(2)]));
            if !value(4).is_missing() {
                same(value(7), asked(&model, [value(4), value(5), value(6)]));
                present += usize::from(matches!(value(7), Value::Float(_)));
                assert!(matches!(value(8), Value::BigInt(0 | 1) | Value::Null));
            }
            if let Value::Double(total) = value(1) {
                let amount = Value::Double(total + 12.5);
                same(value(10), asked(&model, [&amount, value(0), value(2)]));
            }
        }
    }
    assert!(present > 50, "{present} scores");
    let report = engine.verify(&VerifyOptions::default(), &mut |_, _, _| ());
    let report = report.unwrap();
    assert_eq!(report.mismatches, 0, "{report:?}");
}

#[test]
fn a_call_answers_what_is_read_behind_the_push() {
    let (_world, mut engine) = loaded();
    let plan = ReadPlan::new(engine.service("strategy").unwrap());
    let keys = [vec![Value::BigInt(1), Value::Double(12.5)]];
    let at = t("2026-03-02T08:30:00Z");
    let row = vec![
        Value::BigInt(1),
        Value::Double(77.25),
        Value::Null,
        Value::string("cc"),
        Value::Timestamp(at),
    ];
    let source = engine.source("payments").unwrap();
    let Called::Row(call) = engine.call(&source, row.clone(), None).unwrap() else {
        panic!("the row is one");
    };
    let cut = engine.cut();
    let with_it = engine.read_call(&plan, &call, &keys, &cut).unwrap();
    push(&mut engine, "payments", vec![row]);
    let knowledge = Knowledge {
        cut: engine.cut(),
        known_at: None,
    };
    let behind = engine
        .read(&plan, &keys, EventTime(at), &knowledge)
        .unwrap();
    let (with_it, behind) = (with_it.to_rows(), behind.to_rows());
    for (called, read) in with_it[0].iter().zip(&behind[0]) {
        assert!(called.value.same_bits(&read.value), "{called:?} {read:?}");
    }
    assert!(matches!(behind[0][7].value, Value::Float(_)));
}

/// A stream of scores, and their greatest, which `greatest` has without it.
const EMITTED: &str = "
CREATE STREAM scores AS SELECT customer, predict(risk, amount, age, country) AS score FROM payments;
CREATE FEATURE VIEW of_scores ENTITY customer AS SELECT max(score) OVER (LAST 5 HOURS) AS score FROM scores;
CREATE FEATURE SERVICE both AS greatest (*), of_scores (*) AS emitted;
";

#[test]
fn what_is_emitted_is_made_of_the_model_of_its_name() {
    let (world, engine) = loaded_with(&format!("{DEFINITIONS}{EMITTED}"));
    let check = |engine: &Engine| {
        for hour in 3..9 {
            for customer in 0..4 {
                let as_of = t(&format!("2026-03-02T0{hour}:30:00Z"));
                let found = one(engine, "both", &[Value::BigInt(customer)], as_of);
                let (greatest, emitted) = (&found[0].value, &found[1].value);
                assert!(greatest.same_bits(emitted), "{greatest:?} {emitted:?}");
            }
        }
    };
    check(&engine);
    drop(engine);
    let engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    check(&engine);

    put_changed_model(&world);
    let files = world.project().definition_files().unwrap();
    let Err(EngineError::Definitions(found)) = engine.plan(&files) else {
        panic!("a stream that emits goes on with its model");
    };
    assert!(
        found[0].1.message.contains("nor what it calls"),
        "{found:?}"
    );
}

fn scores(engine: &Engine) -> Vec<Value> {
    (0..4)
        .map(|customer| {
            let key = [Value::BigInt(customer), Value::Double(1.0)];
            let found = one(engine, "strategy", &key, t("2026-03-02T08:00:00Z"));
            found[7].value.clone()
        })
        .collect()
}

fn versions(catalog: &Catalog) -> (u32, u32) {
    let newest = |versions: Option<u32>| versions.unwrap();
    (
        newest(catalog.models["risk"].keys().next_back().copied()),
        newest(catalog.views["scored"].keys().next_back().copied()),
    )
}

/// Another model of the same inputs: one byte of a coefficient differs.
fn put_changed_model(world: &World) {
    let mut bytes = fs::read(fixture("mixed.onnx")).unwrap();
    let name = b"coefficients";
    let at = bytes.windows(name.len()).position(|w| w == name).unwrap();
    // Each float is behind its field's key; the first five are of the other class.
    bytes[at + name.len() + 5 * 5 + 4] ^= 0x10;
    fs::write(world.path().join("models/risk.onnx"), bytes).unwrap();
}

#[test]
fn a_changed_file_is_a_new_version_of_all_that_asks_it() {
    let (world, mut engine) = loaded();
    assert_eq!(versions(engine.catalog()), (1, 1));
    let before = scores(&engine);
    let files = world.project().definition_files().unwrap();
    assert!(engine.plan(&files).unwrap().is_empty());

    put_changed_model(&world);
    let plan = engine.plan(&files).unwrap();
    let kind = |name: &str| {
        let change = plan.changes.iter().find(|change| change.name == name);
        change.map(|change| change.kind)
    };
    assert_eq!(kind("risk"), Some(ChangeKind::NewVersion));
    assert_eq!(kind("scored"), Some(ChangeKind::NewVersion));
    assert_eq!(kind("payments"), Some(ChangeKind::Unchanged));
    engine.apply(plan).unwrap();
    assert_eq!(versions(engine.catalog()), (2, 2));
    assert_ne!(scores(&engine), before);

    // The older version is read from what was recorded, also where the file is gone.
    fs::remove_dir_all(world.path().join("models")).unwrap();
    let pinned = DEFINITIONS.replace("scored (*) AS scored", "scored@1 (*) AS scored");
    let error = engine.plan(&[evenkeel_engine::DefinitionFile {
        name: "definitions.sql".to_owned(),
        text: pinned.clone(),
    }]);
    let Err(EngineError::Definitions(found)) = error else {
        panic!("the file is gone");
    };
    assert!(found[0].1.message.contains("models/risk.onnx"), "{found:?}");
    put_changed_model_back(&world);
    apply_text(&mut engine, &pinned);
    assert_eq!(scores(&engine), before);
    fs::remove_dir_all(world.path().join("models")).unwrap();
    drop(engine);
    let engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    assert_eq!(scores(&engine), before);
}

fn put_changed_model_back(world: &World) {
    fs::create_dir_all(world.path().join("models")).unwrap();
    put_changed_model(world);
}

#[test]
fn contents_are_backed_up_and_their_damage_is_named() {
    let (world, engine) = loaded();
    let before = scores(&engine);
    let project = world.project();
    let target = world.path().join("backup");
    backup(&project, &target, &mut |_, _| ()).unwrap();
    drop(engine);
    let contents = |project: &Project| -> Vec<PathBuf> {
        let entries = fs::read_dir(project.store.join("registry")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|p| p.extension().is_some_and(|e| e == "content"))
            .collect()
    };
    // Two models of one content.
    let [content]: [PathBuf; 1] = contents(&project).try_into().unwrap();
    let good = fs::read(&content).unwrap();
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(&content, bad).unwrap();
    let error = Engine::open_with(&project, world.clock.clone())
        .map(drop)
        .unwrap_err();
    assert!(error.to_string().contains("another digest"), "{error}");
    fs::remove_file(&content).unwrap();
    let error = Engine::open_with(&project, world.clock.clone())
        .map(drop)
        .unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");

    fs::remove_dir_all(&project.store).unwrap();
    restore(&project, &target).unwrap();
    fs::remove_dir_all(world.path().join("models")).unwrap();
    let engine = Engine::open_with(&project, world.clock.clone()).unwrap();
    assert_eq!(scores(&engine), before);
}
