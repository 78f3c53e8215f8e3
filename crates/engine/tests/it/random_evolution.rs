//! Random worlds whose sources change in between: some events are recorded before, some
//! after. Every version of every view gives the same bits on every path, and older versions
//! give over the events of before what they gave then.

use std::collections::BTreeMap;
use std::sync::Arc;

use evenkeel_ddl::bind_project;
use evenkeel_train::Evaluator;
use evenkeel_types::definition::{Catalog, SourceDef, ViewDef};
use evenkeel_types::{Knowledge, LoggedEvent};
use evenkeel_view::oracle::Oracle;
use evenkeel_view::{Uses, rebase};

use crate::cut_purity::{Paths, cases, interleave, store};
use crate::derived_purity;
use crate::random_history::{Random, catalog, definitions, go_on, history, part, whole};

const CHANGES: [&str; 10] = [
    "ALTER STREAM seen ALTER COLUMN score TYPE DOUBLE;",
    "ALTER STREAM seen ADD COLUMN extra STRING;",
    "ALTER STREAM fading ALTER COLUMN amount TYPE DOUBLE;",
    "ALTER STREAM fading ADD COLUMN extra INT;",
    "ALTER TABLE owner ALTER COLUMN level TYPE BIGINT, ADD COLUMN nick STRING;",
    "ALTER TABLE loans ALTER COLUMN level TYPE BIGINT, ADD COLUMN note STRING;",
    "ALTER STREAM paid ALTER COLUMN cents TYPE DECIMAL(12, 2);",
    "ALTER STREAM paid ADD COLUMN note STRING, ADD COLUMN word STRING;",
    "ALTER STREAM once ALTER COLUMN amount TYPE DOUBLE;",
    "ALTER STREAM once ADD COLUMN ok BOOLEAN;",
];

/// What is defined first, with types that can be widened.
fn narrow(random: &mut Random) -> String {
    (definitions(random) + derived_purity::STREAMS)
        .replace("score DOUBLE", "score FLOAT")
        .replace("(card STRING, amount DOUBLE", "(card STRING, amount FLOAT")
        .replace(
            "id STRING, card STRING, amount DOUBLE, at",
            "id STRING, card STRING, amount FLOAT, at",
        )
}

/// Some changes of what is defined, over it; all versions of views, over the new sources.
fn changed(before: &Catalog, sql: &str, random: &mut Random) -> (Catalog, String) {
    let mut sql = sql.to_owned();
    for change in CHANGES {
        if !random.one_in(3) {
            sql.push_str(change);
            sql.push('\n');
        }
    }
    // Another computed column shifts those behind the stored ones, and one may be gone.
    if random.one_in(2) {
        sql = sql.replace(
            "twice DOUBLE AS",
            "half DOUBLE AS (amount / 2), twice DOUBLE AS",
        );
    }
    if random.one_in(4) {
        sql = sql.replace("AS (amount * 2)", "AS (amount * 3)");
    }
    let files = [("test.sql", sql.as_str())];
    let mut read = |_: &_| Err("it is not read".to_owned());
    let project = bind_project(&files, before, &|_| true, &mut read);
    let errors: Vec<String> = project
        .errors
        .iter()
        .map(|e| e.diagnostic.render(&sql, "test.sql", false))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    let mut catalog = project.catalog;
    let sources = catalog.sources.clone();
    for view in catalog.views.values_mut().flat_map(|v| v.values_mut()) {
        *view = Arc::new(rebase(view, &sources));
    }
    (catalog, sql)
}

fn upgraded(
    logged: &[LoggedEvent],
    sources: &BTreeMap<String, Arc<SourceDef>>,
) -> Vec<LoggedEvent> {
    let mut logged = logged.to_vec();
    for event in &mut logged {
        let source = sources.values().find(|s| s.id == event.source).unwrap();
        source.schema.upgrade(event).unwrap();
    }
    logged
}

/// Checks one random world; answers how many values were compared, how many of them with
/// what they were before the change, and how many rows of derived streams.
fn check(seed: u64) -> (u64, u64, u64) {
    let mut random = Random(seed ^ 0xe701);
    let sql = narrow(&mut random);
    let before = catalog(&sql);
    let events = 20 + random.below(120) as usize;
    let old = history(&before, &mut random, events);
    let (after, sql) = changed(&before, &sql, &mut random);
    let mut logged = old.clone();
    let events = 10 + random.below(120) as usize;
    go_on(&after, &mut random, events, &mut logged);
    let logged = upgraded(&logged, &after.sources);

    let views: Vec<Arc<ViewDef>> = after
        .views
        .values()
        .flat_map(|v| v.values().cloned())
        .collect();
    let uses = Uses::of(views.iter().map(AsRef::as_ref));
    let in_order: Vec<&LoggedEvent> = logged.iter().collect();
    let ahead = store(&after, &in_order, None);
    let other_order = interleave(&logged, &mut random);
    let shuffled = store(&after, &other_order, Some((&mut random, 6)));
    let (oracle, old_oracle) = (Oracle::new(&logged), Oracle::new(&old));
    let (mut compared, mut kept, mut rows) = (0, 0, 0);
    for cut in [whole(&logged), part(&logged, &mut random), whole(&old)] {
        let exactly: Vec<&LoggedEvent> = logged
            .iter()
            .filter(|e| cut.contains(e.source, e.position))
            .collect();
        let exact = store(&after, &exactly, Some((&mut random, 6)));
        let evaluator = Evaluator::from_events(&logged, &uses, &cut);
        let paths = Paths {
            stores: [
                ("ahead of the cut", &ahead),
                ("another order, restarted", &shuffled),
                ("exactly the cut, restarted", &exact),
            ],
            evaluator: &evaluator,
            oracle: &oracle,
        };
        let world = format!("seed {seed}\n{sql}");
        let of = (&after, &logged[..]);
        rows += derived_purity::agree(of, &paths, &cut, &mut random, &world).0;
        for view in &views {
            let cases = cases(view, &logged, &mut random);
            compared += paths.agree(view, &cut, &cases, &world);
            let Some(then) = before.view_version(&view.name, view.version) else {
                continue;
            };
            for case in &cases {
                let knowledge = Knowledge {
                    cut: part_of(&cut, &old),
                    known_at: case.known_at,
                };
                let read = |oracle: &Oracle<'_>, view: &ViewDef| {
                    oracle.read(view, &case.key, case.time, &knowledge, &case.request)
                };
                let (was, is) = (read(&old_oracle, then), read(&oracle, view));
                assert!(
                    is.same_bits(&was),
                    "{}@{} at {:?} {}: {was:?} has become {is:?}\n{world}",
                    view.name,
                    view.version,
                    case.key,
                    case.time,
                );
                kept += view.features.len() as u64;
            }
        }
    }
    (compared, kept, rows)
}

/// What of a cut is among events.
fn part_of(cut: &evenkeel_types::Cut, events: &[LoggedEvent]) -> evenkeel_types::Cut {
    let mut part = evenkeel_types::Cut::empty();
    for (source, partition, end) in whole(events).iter() {
        part.set_end(source, partition, end.min(cut.end(source, partition)));
    }
    part
}

#[test]
fn sources_change_and_every_path_gives_the_same_bits() {
    let (first, seeds) = match std::env::var("EVENKEEL_SEED") {
        Ok(text) => (text.parse().expect("EVENKEEL_SEED is a number"), 1),
        Err(_) => (1, 10),
    };
    let (mut compared, mut kept, mut rows) = (0, 0, 0);
    for seed in first..first + seeds {
        let (all, old, emitted) = check(seed);
        compared += all;
        kept += old;
        rows += emitted;
    }
    println!(
        "{compared} values were the same on every path, {kept} what they were before, and {rows} \
         rows of derived streams"
    );
    assert!(compared > 0 && kept > 0 && (seeds == 1 || rows > 0));
}
