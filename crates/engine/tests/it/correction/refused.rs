//! Truths that are refused.

use super::*;

#[test]
fn a_truth_that_is_not_whole_changes_nothing() {
    let (world, mut engine) = sales();
    let before = engine.cut();
    for (truth, why) in [
        (
            "{\"id\":\"a\",\"shop\":\"x\",\"pieces\":1.5,\"at\":\"2026-03-01T10:00:00Z\"}\n",
            "DECODE",
        ),
        (
            "{\"id\":null,\"shop\":\"x\",\"pieces\":1,\"at\":\"2026-03-01T10:00:00Z\"}\n",
            "EVENT_ID",
        ),
        (
            "{\"id\":\"a\",\"shop\":\"x\",\"pieces\":1,\"at\":\"2031-03-01T10:00:00Z\"}\n",
            "FUTURE",
        ),
        (
            "{\"id\":\"a\",\"shop\":\"x\",\"pieces\":1,\"at\":\"2026-03-01T10:00:00Z\"}\n\
             {\"id\":\"a\",\"shop\":\"x\",\"pieces\":2,\"at\":\"2026-03-01T10:00:00Z\"}\n",
            "CONFLICT",
        ),
    ] {
        let error = correct(&mut engine, "sales", &world, truth, (0, 60)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(why) && error.hint().is_some(), "{text}");
        assert_eq!(engine.cut(), before);
    }
    // Said twice is said once.
    let twice = format!("{SALES}{SALES}");
    let report = correct(&mut engine, "sales", &world, &twice, (0, 60)).unwrap();
    assert_eq!(report.counts.unchanged, 3);
    assert_eq!(engine.cut(), before);
    // Nothing is between a time and itself.
    assert!(correct(&mut engine, "sales", &world, SALES, (5, 5)).is_err());
    // An empty truth removes what is in its period, and nothing else.
    let report = correct(&mut engine, "sales", &world, "", (5, 15)).unwrap();
    assert_eq!((report.counts.removed, report.counts.unchanged), (1, 0));
}

#[test]
fn a_truth_that_changes_while_it_is_read_is_refused() {
    let (world, mut engine) = sales();
    let truth = SALES.lines().next().unwrap().replace(":1,", ":7,");
    let path = world.write("truth.jsonl", &truth);
    let offline = engine.offline();
    let source = offline.source("sales").unwrap();
    let truth = Truth::open(&source, world.path(), &path.to_string_lossy()).unwrap();
    let period = Period::new(time(0), time(60)).unwrap();
    let means = engine.means();
    let difference = offline
        .difference(&source, truth, &period, means, &mut |_, _, _| go_on())
        .unwrap();
    // What it had no row of is not removed either.
    let before = engine.cut();
    world.write("truth.jsonl", SALES);
    let refused = engine.correct(&difference, &mut |_, _, _| go_on());
    assert!(matches!(refused, Err(EngineError::TruthChanged { .. })));
    assert_eq!(engine.cut(), before);
    let stopped = offline.exclusion(
        &source,
        &parse_positions("0..1").unwrap(),
        means,
        &mut |_, _, _| ControlFlow::Break(()),
    );
    assert!(matches!(stopped, Err(EngineError::Stopped)));
}

#[test]
fn more_events_than_may_be_compared_are_refused_and_nothing_is_logged() {
    let (world, engine) = sales();
    let events = engine.cut().iter().map(|(.., end)| end.0).sum::<u64>();
    let path = world.write("truth.jsonl", SALES);
    let offline = engine.offline();
    let source = offline.source("sales").unwrap();
    let period = Period::new(time(0), time(60)).unwrap();
    let compare = |compared_events: usize| {
        let means = Means {
            compared_events,
            ..engine.means()
        };
        let truth = Truth::open(&source, world.path(), &path.to_string_lossy()).unwrap();
        let all = format!("0..{events}");
        let excluded = parse_positions(&all).unwrap();
        let on = &mut |_: &str, _, _| go_on();
        (
            offline
                .difference(&source, truth, &period, means, on)
                .map(drop),
            offline.exclusion(&source, &excluded, means, on).map(drop),
        )
    };
    let (compared, excluded) = compare(usize::try_from(events).unwrap());
    assert!(compared.is_ok() && excluded.is_ok());
    let (compared, excluded) = compare(1);
    for refused in [compared, excluded] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, EngineError::TooManyCompared { .. }),
            "{refused}"
        );
        assert!(refused.hint().unwrap().contains("compared_events"));
    }
}
