//! Functions in Python: what they answer, what becomes of those that do harm, which are refused,
//! and that their values are the same on every path.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::backtest::{BacktestOptions, Triggers};
use evenkeel_engine::trial::History;
use evenkeel_engine::{Engine, EngineError, FunctionFailureKind, Project};
use evenkeel_train::Sample;
use evenkeel_types::definition::{FunctionClass, FunctionSpec};
use evenkeel_types::{ErrorReason, Value};

use crate::support::{World, request, t, values};

/// The interpreter with pyarrow; without it nothing is tested, and that is said.
fn interpreter() -> Option<PathBuf> {
    let named = std::env::var_os("EVENKEEL_PYTHON").map(PathBuf::from);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let installed = root.join("target/python/bin/python");
    let found = named.or_else(|| installed.exists().then_some(installed));
    if found.is_none() {
        // Past the harness, which keeps what a passing test prints.
        std::io::stderr()
            .write_all(b"NOT TESTED: `EVENKEEL_PYTHON` is not set; `cargo xtask test` sets it\n")
            .unwrap();
    }
    found
}

/// A project with a module and definitions.
pub(crate) fn world(module: &str, definitions: &str) -> Option<World> {
    let world = World::new(definitions);
    let python = interpreter()?;
    let settings = format!("[functions]\npython = {:?}\n", python.to_str().unwrap());
    world.write("evenkeel.toml", &settings);
    world.write("functions.py", module);
    Some(world)
}

/// The functions of a project that is planned, by name.
fn function(project: &Project, name: &str) -> Result<Arc<FunctionSpec>, EngineError> {
    let files = project.definition_files()?;
    let plan = evenkeel_engine::check(project, &files)?;
    Ok(Arc::clone(&plan.functions()[name].spec))
}

fn call(project: &Project, spec: &Arc<FunctionSpec>, x: f64) -> Value {
    let rows = [vec![Value::double(x)]];
    let (values, _) = project.functions.call(spec, &rows).unwrap();
    values.into_iter().next().unwrap()
}

const MODULE: &str = r#"
import ctypes, os, socket, sys
import pyarrow.compute as pc
from shapes.area import rectangle

def area(x, y):
    return rectangle(x, y)

def twice(x):
    return pc.multiply(x, 2.0)

def greeting(name):
    print("this is no answer")
    sys.stdin.read()
    os.write(1, b"neither is this")
    return None if name == "" else "hello " + name

def length(x):
    return 0 if x is None else 1

def picky(x):
    if x == 7.0:
        raise ValueError("seven it cannot be")
    return "seven" if x == 8.0 else x

def harmful(x):
    if x == 424201.0:
        os._exit(3)
    if x == 424202.0:
        ctypes.string_at(1)
    if x == 424203.0:
        while True:
            pass
    if x == 424204.0:
        return float(len(bytearray(1 << 40)))
    if x == 424205.0:
        socket.socket()
    if x == 424206.0:
        open("/etc/hostname")
    libc = ctypes.CDLL(None, use_errno=True)
    if x == 424207.0:
        return float(libc.socket(2, 1, 0))
    if x == 424208.0:
        return float(libc.open(b"/etc/hostname", 0))
    if x == 424209.0:
        return float(libc.kill(os.getppid(), 9))
    if x == 424210.0:
        return float(len(os.environ.get("EVENKEEL_SECRET_OF_A_TEST", "")))
    return x
"#;

const FUNCTIONS: &str = "
CREATE FUNCTION area(x DOUBLE, y DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'functions.py:area';
CREATE FUNCTION twice(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON VECTORIZED AS 'functions.py:twice';
CREATE FUNCTION greeting(name STRING) RETURNS STRING LANGUAGE PYTHON AS 'functions.py:greeting';
CREATE FUNCTION length_of(x DOUBLE) RETURNS INT LANGUAGE PYTHON CALLED ON NULL INPUT
  AS 'functions.py:length';
CREATE FUNCTION picky(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'functions.py:picky';
";

fn write_shapes(world: &World) {
    std::fs::create_dir_all(world.path().join("shapes")).unwrap();
    world.write("shapes/area.py", "def rectangle(x, y):\n    return x * y\n");
}

#[test]
fn values_nulls_and_exceptions() {
    let Some(world) = world(MODULE, FUNCTIONS) else {
        return;
    };
    write_shapes(&world);
    let project = world.project();
    let call = |name: &str, rows: &[Vec<Value>]| {
        let spec = function(&project, name).unwrap();
        project.functions.call(&spec, rows).unwrap()
    };
    let double = Value::double;
    let (areas, _) = call(
        "area",
        &[
            vec![double(2.0), double(3.5)],
            vec![Value::Null, double(1.0)],
        ],
    );
    assert_eq!(areas, [double(7.0), Value::Null]);
    let many: Vec<Vec<Value>> = (0..10_000).map(|i| vec![double(f64::from(i))]).collect();
    let (doubled, _) = call("twice", &many);
    assert!(doubled.iter().zip(&many).all(|(y, x)| match (y, &x[0]) {
        (Value::Double(y), Value::Double(x)) => *y == 2.0 * x,
        _ => false,
    }));
    let (texts, _) = call(
        "greeting",
        &[vec![Value::from("ada")], vec![Value::from("")]],
    );
    assert_eq!(texts, [Value::from("hello ada"), Value::Null]);
    let (counts, _) = call("length_of", &[vec![Value::Null], vec![double(f64::NAN)]]);
    assert_eq!(counts, [Value::Int(0), Value::Int(1)]);

    let error = Value::Error(ErrorReason::Function);
    let (picked, told) = call("picky", &[6.0, 7.0, 8.0, 9.0].map(|x| vec![double(x)]));
    assert_eq!(picked, [double(6.0), error.clone(), error, double(9.0)]);
    assert!(
        told[0].contains("ValueError: seven it cannot be"),
        "{told:?}"
    );
    assert!(told[0].contains("functions.py\", line 23"), "{told:?}");
    assert!(
        told[1].contains("'seven' (str), declared is DOUBLE"),
        "{told:?}"
    );
    let tallies = project.functions.tallies();
    let (_, picky) = tallies.iter().find(|(name, _)| name == "picky").unwrap();
    assert_eq!((picky.counts.rows, picky.counts.errors), (4, 2));
}

#[test]
fn harm_is_the_calls_own() {
    let definitions = "CREATE FUNCTION harmful(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON \
                       TIMEOUT INTERVAL '1' SECOND MEMORY '256 MB' AS 'functions.py:harmful';";
    let Some(world) = world(MODULE, definitions) else {
        return;
    };
    write_shapes(&world);
    let project = world.project();
    let spec = function(&project, "harmful").unwrap();
    assert_eq!(spec.frozen.class, FunctionClass::BitStable);
    let host = &project.functions;
    for (x, kind, parts) in [
        (
            424_201.0,
            FunctionFailureKind::Ended,
            &["exit status: 3"][..],
        ),
        (
            424_202.0,
            FunctionFailureKind::Ended,
            &["signal: 11", "Segmentation fault", "in harmful"],
        ),
        (
            424_203.0,
            FunctionFailureKind::Timeout,
            &["`TIMEOUT`", "in harmful"],
        ),
        (
            424_204.0,
            FunctionFailureKind::Memory,
            &["`MEMORY`", "MemoryError"],
        ),
    ] {
        // In the midst of others: the piece is taken apart until it is alone.
        let mut rows: Vec<Vec<Value>> = (0..8).map(|i| vec![Value::double(f64::from(i))]).collect();
        rows[5] = vec![Value::double(x)];
        let failure = host.call(&spec, &rows).unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        for part in parts {
            assert!(failure.to_string().contains(part), "no {part}: {failure}");
        }
        assert_eq!(call(&project, &spec, 1.5), Value::double(1.5));
    }
    for (x, word) in [(424_205.0, "ALLOW NETWORK"), (424_206.0, "ALLOW FILES")] {
        let (values, told) = host.call(&spec, &[vec![Value::double(x)]]).unwrap();
        assert_eq!(values, [Value::Error(ErrorReason::Function)]);
        assert!(
            told[0].contains("PermissionError") && told[0].contains(word),
            "{told:?}"
        );
    }
    // No secret comes with the environment.
    assert_eq!(call(&project, &spec, 424_210.0), Value::double(0.0));
    let walls = host.walls(&spec).unwrap();
    let refused = Value::double(-1.0);
    if walls.iter().any(|wall| wall == "seccomp") {
        assert_eq!(call(&project, &spec, 424_207.0), refused);
        assert_eq!(call(&project, &spec, 424_209.0), refused);
    }
    if walls.iter().any(|wall| wall == "landlock") {
        assert_eq!(call(&project, &spec, 424_208.0), refused);
    }
}

#[test]
fn what_depends_on_more_than_its_arguments_is_found_out() {
    let module = r#"
import random, time
import pyarrow as pa
import pyarrow.compute as pc
seen = 0

def mean(x):
    return pa.array([pc.mean(x).as_py() or 0.0] * len(x), pa.float64())

def order(x):
    return "".join({x + "1", x + "2", x + "3", x + "4"})

def clock(x):
    return x + time.time()

def chance(x):
    return random.random()

def counter(x):
    global seen
    seen += 1
    return seen
"#;
    let of = |name: &str, kind: &str, data_type: &str| {
        format!(
            "CREATE FUNCTION {name}_of(x {data_type}) RETURNS {data_type} LANGUAGE PYTHON {kind} \
             AS 'functions.py:{name}';"
        )
    };
    let definitions = [
        of("mean", "VECTORIZED", "DOUBLE"),
        of("order", "", "STRING"),
        of("clock", "", "DOUBLE"),
        of("chance", "", "DOUBLE"),
        of("counter", "", "BIGINT"),
    ];
    let Some(world) = world(module, &definitions.concat()) else {
        return;
    };
    let project = world.project();
    let files = project.definition_files().unwrap();
    let plan = evenkeel_engine::check(&project, &files).unwrap();
    for (name, how) in [
        ("mean_of", "with this row alone"),
        ("order_of", "PYTHONHASHSEED"),
        ("clock_of", "called again"),
        ("chance_of", "called again"),
        ("counter_of", "called again"),
    ] {
        match &plan.functions()[name].spec.frozen.class {
            FunctionClass::RecordedOnly(example) => {
                assert!(example.contains(how) && example.contains(name), "{example}");
            }
            FunctionClass::BitStable => panic!("`{name}` was not found out"),
        }
    }
    assert_eq!(plan.warnings.len(), 5);
    // With the counter-example, where it is called.
    let view = "CREATE ON DEMAND FEATURE VIEW v REQUEST (x DOUBLE) AS SELECT clock_of(x) AS y;";
    world.write("view.sql", view);
    let files = project.definition_files().unwrap();
    let error = evenkeel_engine::check(&project, &files).unwrap_err();
    let EngineError::Definitions(mistakes) = &error else {
        panic!("{error}");
    };
    let text = &mistakes[0].1;
    assert!(text.message.contains("equal bits"), "{}", text.message);
}

const HISTORY: &str = "
CREATE ENTITY card (card STRING);
CREATE STREAM paid (id STRING, card STRING, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
  WITH (connector = 'file', path = 'paid.jsonl');
CREATE FUNCTION weight(amount DOUBLE, n BIGINT) RETURNS DOUBLE LANGUAGE PYTHON
  AS 'functions.py:weight';
CREATE FEATURE VIEW spent ENTITY card AS
SELECT card, count(*) OVER (LAST 1 HOURS) AS n, sum(amount) OVER (LAST 1 HOURS) AS total FROM paid;
CREATE FEATURE VIEW weighed ENTITY card AS
SELECT p.card, weight(p.amount, s.n) AS w, weight(weight(p.amount, s.n), 2) AS ww
FROM paid p ASOF JOIN spent s ON p.card = s.card;
CREATE ON DEMAND FEATURE VIEW asked ENTITY card REQUEST (amount DOUBLE) AS
SELECT weight(amount, s.n) AS now FROM spent s;
CREATE FEATURE SERVICE model AS weighed (*), asked (*);
";

const WEIGHT: &str = "
import math

def weight(amount, n):
    if n == 4:
        raise ValueError('four')
    return math.sqrt(amount) / n
";

#[test]
fn of_a_function_that_always_raises_nothing_is_proved() {
    let module = "def never(x):\n    raise ValueError(x)\n\ndef seldom(x):\n    return [1.0 for _ in [0] if x == 1.0][0]\n";
    let definitions = "
        CREATE FUNCTION never(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'functions.py:never';
        CREATE FUNCTION seldom(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'functions.py:seldom';";
    let Some(world) = world(module, definitions) else {
        return;
    };
    let project = world.project();
    let files = project.definition_files().unwrap();
    let plan = evenkeel_engine::check(&project, &files).unwrap();
    let warnings: Vec<&str> = plan
        .warnings
        .iter()
        .map(|(_, warning)| warning.message.as_str())
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("of `never` nothing was proved: it gave no value for any of the"),
        "{warnings:?}"
    );
    let check = |name: &str| {
        let spec = project.functions.declared(&files, name).unwrap();
        project.functions.check(&spec).unwrap()
    };
    let (never, seldom) = (check("never"), check("seldom"));
    assert_eq!(never.class, FunctionClass::BitStable);
    // Of NULL it is not asked.
    assert!(never.errors > 0 && never.errors < never.rows && never.values == 0);
    assert!(never.remark().is_some());
    assert!(seldom.values > 0 && seldom.errors > seldom.values);
    assert_eq!(seldom.remark(), None);
}

fn paid(count: i64) -> String {
    let line = |i: i64| {
        let card = ["a", "b", "c"][usize::try_from(i % 3).unwrap()];
        let time = t("2026-03-02T08:00:00Z") + i * 7 * evenkeel_types::time::MINUTE;
        let time = evenkeel_types::time::format_timestamp(time);
        format!("{{\"id\":\"p{i}\",\"card\":\"{card}\",\"amount\":{i}.25,\"at\":\"{time}\"}}\n")
    };
    (0..count).map(line).collect()
}

fn history() -> Option<(World, Engine)> {
    let world = world(WEIGHT, HISTORY)?;
    let mut engine = world.engine();
    world.ingest_text(&mut engine, "paid", "paid.jsonl", &paid(40));
    Some((world, engine))
}

fn verified(engine: &Engine) -> u64 {
    let options = VerifyOptions {
        seed: 7,
        ..VerifyOptions::default()
    };
    let report = engine.verify(&options, &mut |_, _, _| ()).unwrap();
    assert_eq!(report.mismatches, 0, "{report:?}");
    report.values_checked
}

#[test]
fn every_path_gives_the_same_bits() {
    let Some((_world, engine)) = history() else {
        return;
    };
    // `values` trains, too, and compares.
    let found = values(
        &engine,
        "model",
        &[Value::from("a"), Value::double(9.0)],
        "2026-03-02T08:45:00Z",
    );
    assert_eq!(found[0], Value::double(6.25f64.sqrt() / 3.0));
    assert_eq!(found[2], Value::double(3.0 / 3.0));
    assert!(verified(&engine) > 0);
    let service = engine.service("model").unwrap();
    let options = BacktestOptions {
        triggers: Triggers::Source(Some("paid".to_owned())),
        history: History {
            from: i64::MIN,
            to: i64::MAX,
            sample: Sample::ALL,
            cut: None,
        },
        out: None,
        part_rows: 7,
    };
    let mut go_on = |_: &str, _, _| ControlFlow::Continue(());
    let report = engine.offline().backtest(&service, &options, &mut go_on);
    let report = report.unwrap();
    assert_eq!((report.rows, report.differing), (40, 0));
}

#[test]
fn a_changed_text_is_a_new_version_and_a_deleted_one_ends_nothing() {
    let Some((world, mut engine)) = history() else {
        return;
    };
    let key = [Value::from("a"), Value::double(9.0)];
    let at = "2026-03-02T08:45:00Z";
    let before = values(&engine, "model", &key, at);
    std::fs::remove_file(world.path().join("functions.py")).unwrap();
    drop(engine);
    let project = world.project();
    engine = Engine::open_with(&project, world.clock.clone()).unwrap();
    assert_eq!(values(&engine, "model", &key, at), before);

    // A comment is another text: no value differs, but that is not known.
    world.write("functions.py", &format!("# once more\n{WEIGHT}"));
    let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
    let changed = plan
        .changes
        .iter()
        .filter(|c| c.kind == evenkeel_engine::api::ChangeKind::NewVersion);
    let changed: Vec<(&str, u32)> = changed.map(|c| (c.name.as_str(), c.version)).collect();
    assert!(
        changed.contains(&("weight", 2)) && changed.contains(&("weighed", 2)),
        "{changed:?}"
    );
    engine.apply(plan).unwrap();
    assert_eq!(values(&engine, "model", &key, at), before);
    let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
    assert!(plan.is_empty());
}

#[test]
fn a_call_that_fails_is_the_end_of_its_request_alone() {
    let module = "
import os

def weight(amount, n):
    if amount == 13.25:
        os._exit(9)
    return amount / n
";
    let Some((world, mut engine)) = history() else {
        return;
    };
    world.write("functions.py", module);
    let plan = engine
        .plan(&world.project().definition_files().unwrap())
        .unwrap();
    engine.apply(plan).unwrap();
    // The last payment of `b` up to then is the thirteenth.
    let bad = request(
        &engine,
        "model",
        vec![vec![Value::from("b"), Value::double(1.0)]],
        t("2026-03-02T09:32:00Z"),
    );
    let error = engine.get(&bad).unwrap_err();
    assert!(matches!(error, EngineError::Function(_)), "{error}");
    assert!(error.to_string().contains("exit status: 9"), "{error}");
    assert_eq!(error.code(), "FUNCTION");
    let found = values(
        &engine,
        "model",
        &[Value::from("a"), Value::double(9.0)],
        "2026-03-02T08:45:00Z",
    );
    assert_eq!(found[0], Value::double(6.25 / 3.0));
    // A verification reads it at some point, and says so.
    let options = VerifyOptions::default();
    let error = engine.verify(&options, &mut |_, _, _| ()).unwrap_err();
    assert!(matches!(error, EngineError::Function(_)), "{error}");
}

#[test]
fn an_environment_that_is_not_the_locked_one_is_refused() {
    let definitions = "CREATE FUNCTION one(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON \
                       AS 'functions.py:one';";
    let Some(world) = world("import numpy\n\ndef one(x):\n    return 1.0\n", definitions) else {
        return;
    };
    let project = world.project();
    let spec = function(&project, "one").unwrap();
    let names: Vec<&str> = spec
        .frozen
        .lock
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["numpy", "python"]);
    let mut other = FunctionSpec::clone(&spec);
    other.frozen.lock[0].1 = "1.0.0".to_owned();
    let rows = [vec![Value::double(1.0)]];
    let failure = project.functions.call(&Arc::new(other), &rows).unwrap_err();
    assert_eq!(failure.kind, FunctionFailureKind::Start);
    assert!(
        failure.reason.contains("numpy is") && failure.reason.contains("locked is 1.0.0"),
        "{failure}"
    );
    // Again at once: it is not even started.
    let mut other = FunctionSpec::clone(&spec);
    other.frozen.lock[0].1 = "1.0.0".to_owned();
    let failure = project.functions.call(&Arc::new(other), &rows).unwrap_err();
    assert!(
        failure.reason.contains("tried again in a moment"),
        "{failure}"
    );
}

#[test]
fn mistakes_are_told_when_it_is_planned() {
    for (module, place, part) in [
        ("def f(x): return x", "nowhere.py:f", "cannot be read"),
        (
            "def f(x): return x",
            "functions.py:g",
            "has no function `g`",
        ),
        ("def f(x) return x", "functions.py:f", "line 1"),
        (
            "import missing_module_of_a_test\ndef f(x): return x",
            "functions.py:f",
            "ModuleNotFoundError",
        ),
        (
            "1 / 0\ndef f(x): return x",
            "functions.py:f",
            "ZeroDivisionError",
        ),
        (
            "import os\ndef f(x): os._exit(1)",
            "functions.py:f",
            "exit status: 1",
        ),
    ] {
        let definition =
            format!("CREATE FUNCTION fn(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS '{place}';");
        let Some(world) = world(module, &definition) else {
            return;
        };
        let Err(EngineError::Definitions(mistakes)) = function(&world.project(), "fn") else {
            panic!("{part}");
        };
        assert!(
            mistakes[0].1.message.contains(part),
            "{}",
            mistakes[0].1.message
        );
    }
    let world = World::new(
        "CREATE FUNCTION fn(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON AS 'functions.py:f';",
    );
    world.write(
        "evenkeel.toml",
        "[functions]\npython = \"no/such/python\"\n",
    );
    let Err(EngineError::Definitions(mistakes)) = function(&world.project(), "fn") else {
        panic!("an interpreter that is not there");
    };
    assert!(
        mistakes[0].1.message.contains("cannot be started"),
        "{}",
        mistakes[0].1.message
    );
}

#[test]
fn nothing_of_a_project_runs_when_it_is_planned() {
    let definition = "CREATE FUNCTION one(x DOUBLE) RETURNS DOUBLE LANGUAGE PYTHON \
                      AS 'functions.py:one';";
    let Some(world) = world("def one(x):\n    return 1.0\n", definition) else {
        return;
    };
    // Named as what Python itself imports; a process begins in no folder of the project's.
    let harm = format!(
        "open({:?}, 'w')",
        world.path().join("ran").to_str().unwrap()
    );
    for name in ["json.py", "platform.py", "ast.py", "signal.py"] {
        world.write(name, &harm);
    }
    let project = world.project();
    let spec = function(&project, "one").unwrap();
    assert_eq!(spec.frozen.source.len(), 1);
    assert_eq!(call(&project, &spec, 2.0), Value::double(1.0));
    assert!(!world.path().join("ran").exists());
}

const EMITTED: &str = "
CREATE ENTITY card (card STRING);
CREATE STREAM paid (id STRING, card STRING, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
  WITH (connector = 'file', path = 'paid.jsonl');
CREATE FUNCTION weight(amount DOUBLE, n BIGINT) RETURNS DOUBLE LANGUAGE PYTHON
  AS 'functions.py:weight';
CREATE STREAM weighed AS SELECT card, weight(amount, 2) AS w FROM paid;
CREATE FEATURE VIEW sums ENTITY card AS
SELECT card, sum(w) OVER (ALL HISTORY) AS total, weight(max(w) OVER (ALL HISTORY), 2) AS most
FROM weighed;
CREATE FEATURE SERVICE model AS sums (*);
";

#[test]
fn a_derived_stream_calls_and_aggregates_are_over_what_it_emitted() {
    let Some(world) = world(WEIGHT, EMITTED) else {
        return;
    };
    world.clock.set(t("2026-03-05T00:00:00Z"));
    let mut engine = world.engine();
    // Enough of one key for states that are kept, in two commits with a checkpoint between.
    world.ingest_text(&mut engine, "paid", "paid.jsonl", &paid(300));
    drop(engine);
    let project = world.project();
    engine = Engine::open_with(&project, world.clock.clone()).unwrap();
    let more = paid(330)
        .lines()
        .skip(300)
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    world.ingest_text(&mut engine, "paid", "more.jsonl", &more);
    let found = values(
        &engine,
        "model",
        &[Value::from("a")],
        "2026-03-04T08:00:00Z",
    );
    let amounts = (0..330)
        .step_by(3)
        .map(|i| (f64::from(i) + 0.25).sqrt() / 2.0);
    let most = amounts.clone().fold(0.0, f64::max);
    let Value::Double(total) = found[0] else {
        panic!("{found:?}");
    };
    assert!((total - amounts.sum::<f64>()).abs() < 1e-9);
    assert_eq!(found[1], Value::double(most.sqrt() / 2.0));
    assert!(verified(&engine) > 0);
}

#[test]
fn a_training_set_stops_with_the_first_call_that_fails() {
    let module = "
import os

def weight(amount, n):
    os._exit(9) if amount == 13.25 else None
    return amount / n
";
    let Some((world, mut engine)) = history() else {
        return;
    };
    world.write("functions.py", module);
    let files = world.project().definition_files().unwrap();
    let plan = engine.plan(&files).unwrap();
    engine.apply(plan).unwrap();
    let tally = |engine: &Engine| {
        let tallies = engine.project().functions.tallies();
        let (_, tally) = tallies
            .into_iter()
            .find(|(name, _)| name == "weight")
            .unwrap();
        tally.counts
    };
    let spine = "SELECT card, amount FROM paid";
    let request = evenkeel_engine::api::TrainRequest {
        service: engine.service("model").unwrap(),
        spine: evenkeel_engine::api::SpineSource::Query(spine.to_owned()),
        knowledge: evenkeel_engine::api::KnowledgeMode::Latest,
        cut: None,
        out: world.path().join("out.parquet"),
        statuses: false,
    };
    let error = engine.train(&request, &mut |_, _, _| ()).unwrap_err();
    assert!(matches!(error, EngineError::Function(_)), "{error}");
    assert_eq!(tally(&engine).failures, 1);
    assert!(!world.path().join("out.parquet").exists());
}
