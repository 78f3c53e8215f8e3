//! Going back to an earlier version of a view: the bits of then, wherever they are asked.

use evenkeel_engine::{Engine, EngineError};
use evenkeel_types::Value;

use crate::support::{World, apply, apply_text, values};

const FIRST: &str = "
CREATE ENTITY shop (shop BIGINT);
CREATE STREAM sales (id BIGINT, shop BIGINT, amount DOUBLE, at TIMESTAMP, EVENT ID (id), EVENT TIME at)
  WITH (connector = 'file', path = 'sales.csv');
CREATE FEATURE VIEW sums ENTITY shop AS SELECT shop, sum(amount) OVER (LAST 6 HOURS) AS total FROM sales;
CREATE FEATURE VIEW twice ENTITY shop AS SELECT total * 2 AS twice FROM sums;
CREATE FEATURE SERVICE model VERSION 1 AS sums (*), twice (*);
CREATE FEATURE SERVICE model VERSION 2 AS sums (*);
";
const AT: &str = "2026-02-20T12:00:00Z";

fn second() -> String {
    FIRST.replace("LAST 6 HOURS", "LAST 2 HOURS")
}

/// With the first version, then the second; events before, between and after.
fn world() -> (World, Engine) {
    let world = World::new(FIRST);
    let mut engine = world.engine();
    let sales = |from: i64| {
        let row = |i: i64| format!("{i},{},{i}.5,2026-02-20T{:02}:30:00Z\n", i % 2, 6 + i % 6);
        let rows: String = (from..from + 6).map(row).collect();
        format!("id,shop,amount,at\n{rows}")
    };
    world.ingest_text(&mut engine, "sales", "one.csv", &sales(0));
    apply_text(&mut engine, &second());
    world.ingest_text(&mut engine, "sales", "two.csv", &sales(6));
    (world, engine)
}

fn roll_back(engine: &mut Engine, view: &str, version: u32) -> Result<(), EngineError> {
    let rollback = engine.rollback(view, version)?;
    let files = engine.with_registered(vec![rollback.text]);
    apply(engine, &files);
    Ok(())
}

fn read(engine: &Engine) -> Vec<Value> {
    ["model@1", "model@2"]
        .into_iter()
        .flat_map(|service| values(engine, service, &[Value::BigInt(1)], AT))
        .collect()
}

#[test]
fn the_bits_of_then_come_back_and_dependents_follow() {
    let (world, mut engine) = world();
    let of_second = read(&engine);
    roll_back(&mut engine, "sums", 1).unwrap();
    let of_first = read(&engine);
    assert_ne!(of_first, of_second);
    // A store that never had another version.
    let other = World::new(FIRST);
    let mut never = other.engine();
    for name in ["one.csv", "two.csv"] {
        let text = std::fs::read_to_string(world.path().join(name)).unwrap();
        other.ingest_text(&mut never, "sales", name, &text);
    }
    assert_eq!(of_first, read(&never));
    let catalog = engine.catalog();
    let version = |name: &str| catalog.view(name).unwrap().version;
    assert_eq!((version("sums"), version("twice")), (3, 3));
    assert_eq!(
        catalog.view("sums").unwrap().digest,
        catalog.views["sums"][&1].digest
    );
    assert_eq!(
        catalog.view("twice").unwrap().digest,
        catalog.views["twice"][&1].digest
    );
    // It stays so, and forward again is back again.
    drop(engine);
    let mut engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    assert_eq!(read(&engine), of_first);
    roll_back(&mut engine, "sums", 2).unwrap();
    assert_eq!(read(&engine), of_second);
}

#[test]
fn what_cannot_go_back_is_refused() {
    let (_world, mut engine) = world();
    let refused = |engine: &mut Engine, view: &str, version: u32| {
        let error = roll_back(engine, view, version).unwrap_err();
        (error.to_string(), error.hint())
    };
    let (said, hint) = refused(&mut engine, "summs", 1);
    assert_eq!(said, "there is no view `summs`");
    assert_eq!(hint.unwrap(), "did you mean `sums`?");
    assert_eq!(
        refused(&mut engine, "sums", 9).0,
        "there is no version of the view `sums@9`"
    );
    assert_eq!(
        refused(&mut engine, "sums", 2).0,
        "the view `sums` is what it was in version 2 already, as version 2"
    );
    let (said, hint) = refused(&mut engine, "twice", 1);
    assert_eq!(
        said,
        "the definition of `twice@1` has another meaning now: it read `sums@1`, which is not the \
         newest any more"
    );
    assert_eq!(
        hint.unwrap(),
        "roll that back first: `evenkeel rollback sums --to 1`"
    );
}

#[test]
fn what_a_version_names_itself_is_not_in_its_way() {
    let world = World::new(FIRST);
    let mut engine = world.engine();
    let more = "CREATE FEATURE VIEW other ENTITY shop AS SELECT shop, count(*) OVER (LAST 1 HOURS) AS n FROM sales;
CREATE FEATURE VIEW both ENTITY shop AS SELECT s.total, o.n FROM sums@1 s, other o;\n";
    apply_text(&mut engine, &format!("{FIRST}{more}"));
    let changed = more
        .replace("LAST 1 HOURS", "LAST 2 HOURS")
        .replace("SELECT s.total, o.n", "SELECT s.total, o.n + 1 AS n");
    apply_text(&mut engine, &format!("{}{changed}", second()));
    let error = engine.rollback("both", 1).unwrap_err();
    assert_eq!(
        error.hint().unwrap(),
        "roll that back first: `evenkeel rollback other --to 1`"
    );
}
