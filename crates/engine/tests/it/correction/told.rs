//! What is said about a difference before it is logged.

use super::*;

#[test]
fn it_says_how_many_events_and_values_change() {
    let (world, mut engine) = sales();
    let truth = r#"{"id":"a","shop":"x","pieces":1,"at":"2026-03-01T10:00:00Z"}
{"id":"b","shop":"x","pieces":5,"at":"2026-03-01T10:10:00Z"}
{"id":"d","shop":"z","pieces":4,"at":"2026-03-01T10:15:00Z"}
"#;
    let before = engine.cut();
    let report = correct(&mut engine, "sales", &world, truth, (0, 60)).unwrap();
    let counts = Counts {
        rows: 3,
        unchanged: 1,
        replaced: 1,
        removed: 1,
        added: 1,
        ..Counts::default()
    };
    assert_eq!(report.counts, counts);
    assert_eq!((&report.before, &report.after), (&before, &engine.cut()));
    let names: BTreeSet<&str> = report
        .effects
        .views
        .iter()
        .map(|v| v.view.as_str())
        .collect();
    assert_eq!(names, BTreeSet::from(["sold", "last_sale"]));
    assert_eq!(report.effects.through_look_ups, Vec::<String>::new());
    let sold = report
        .effects
        .views
        .iter()
        .find(|v| v.view == "sold")
        .unwrap();
    assert_eq!((sold.keys, sold.compared), (3, 3));
    // Of each shop behind its own last sale that changes, where no window has lost it yet.
    let changed = |name: &str| {
        let features = &sold.features;
        features
            .iter()
            .find(|f| f.feature == name)
            .map(|f| f.changed)
    };
    assert_eq!(changed("pieces"), Some(3));
    assert_eq!(changed("sales"), Some(2));
    assert_eq!(changed("last"), Some(3));
    // Through a look-up the sales follow the visits.
    let visits = correct(&mut engine, "visits", &world, "", (0, 60)).unwrap();
    assert_eq!(visits.effects.through_look_ups, ["last_sale"]);
    assert_eq!(visits.counts, Counts::default());
}

/// A loan that goes from one shop to another: what is said of each shop depends on which version is the latest.
#[test]
fn it_says_what_follows_for_the_keys_that_a_row_had() {
    let world = World::new(DEFINITIONS);
    world.write("loans.jsonl", &loans(&[(0, "x", 5), (20, "y", 7)]));
    let mut engine = world.engine();
    ingest(&mut engine, "loans");
    // That it went to `y` never happened: it is at `x`, of which no event is changed.
    let report = correct(&mut engine, "loans", &world, "", (20, 60)).unwrap();
    assert_eq!((report.counts.removed, report.counts.changes()), (1, 1));
    let view = |name: &str| {
        let mut views = report.effects.views.iter();
        let view = views.find(|v| v.view == name).unwrap();
        let changed = view.features.iter();
        let changed: Vec<(&str, u64)> = changed.map(|f| (f.feature.as_str(), f.changed)).collect();
        (view.keys, view.compared, changed)
    };
    assert_eq!(view("lent"), (2, 2, vec![("loans", 2), ("amount", 2)]));
    assert_eq!(
        view("moves"),
        (2, 2, vec![("came", 1), ("was", 1), ("ended", 0)])
    );
    // A change of its amount at `x` changes what it was when it went to `y`.
    let world = World::new(DEFINITIONS);
    world.write("loans.jsonl", &loans(&[(0, "x", 5), (20, "y", 7)]));
    let mut engine = world.engine();
    ingest(&mut engine, "loans");
    let report = correct(
        &mut engine,
        "loans",
        &world,
        &loans(&[(0, "x", 6)]),
        (0, 20),
    )
    .unwrap();
    assert_eq!(report.counts.replaced, 1);
    let moves = report.effects.views.iter().find(|v| v.view == "moves");
    // Though it goes to `y` behind the period.
    assert_eq!(moves.map(|v| (v.keys, v.features[1].changed)), Some((2, 1)));
    let report = correct(
        &mut engine,
        "loans",
        &world,
        &loans(&[(0, "x", 8), (20, "y", 7)]),
        (0, 60),
    );
    let report = report.unwrap();
    let moves = report.effects.views.iter().find(|v| v.view == "moves");
    assert_eq!(moves.map(|v| (v.keys, v.features[1].changed)), Some((2, 1)));
}

/// What is made of a stream that is made of it follows, too.
#[test]
fn it_names_what_reads_it_through_a_derived_stream() {
    let derived = "CREATE STREAM big AS SELECT s.shop, s.pieces, v.seconds FROM sales s ASOF JOIN visits v ON s.shop = v.shop
  ON LATE REVISE;
CREATE FEATURE VIEW of_big ENTITY shop AS SELECT shop, sum(pieces) OVER (ALL HISTORY) AS pieces FROM big;
";
    let world = World::new(&format!("{DEFINITIONS}{derived}"));
    world.write("sales.jsonl", SALES);
    let mut engine = world.engine();
    ingest(&mut engine, "sales");
    let truth = SALES.replace("\"pieces\":2", "\"pieces\":5");
    let report = correct(&mut engine, "sales", &world, &truth, (0, 60)).unwrap();
    assert_eq!(report.counts.replaced, 1);
    assert_eq!(report.effects.through_look_ups, ["of_big"]);
    let visits = correct(&mut engine, "visits", &world, "", (0, 60)).unwrap();
    assert_eq!(visits.effects.through_look_ups, ["last_sale", "of_big"]);
}

#[test]
fn what_comes_meanwhile_is_told() {
    let (world, mut engine) = sales();
    let path = world.write("truth.jsonl", SALES);
    let offline = engine.offline();
    let source = offline.source("sales").unwrap();
    let truth = Truth::open(&source, world.path(), &path.to_string_lossy()).unwrap();
    let period = Period::new(time(0), time(60)).unwrap();
    let means = engine.means();
    let difference = offline
        .difference(&source, truth, &period, means, &mut |_, _, _| go_on())
        .unwrap();
    let late = "{\"id\":\"l\",\"shop\":\"x\",\"pieces\":1,\"at\":\"2026-03-01T10:30:00Z\"}\n\
                {\"id\":\"m\",\"shop\":\"x\",\"pieces\":1,\"at\":\"2026-03-01T11:30:00Z\"}\n";
    world.ingest_text(&mut engine, "sales", "late.jsonl", late);
    let report = engine.correct(&difference, &mut |_, _, _| go_on()).unwrap();
    assert_eq!(report.meanwhile, 1);
}
