//! Trial runs over random worlds: what a trial says of each instant is what the oracle says at
//! the same key, time and cut; feeding the events one commit after the other gives the same; and
//! where an event is not as it was logged, that is noticed.

use std::collections::BTreeSet;
use std::sync::Arc;

use evenkeel_engine::trial::{Replay, ReplayReport};
use evenkeel_log::{EventSource, EventStream, LogError, Next, ReadOptions};
use evenkeel_train::{Evaluator, Instants, Requests, Sample};
use evenkeel_types::definition::{ViewBody, ViewDef, WindowRows};
use evenkeel_types::{Cut, Knowledge, LoggedEvent, Position, SourceId, Value};
use evenkeel_view::oracle::Oracle;
use evenkeel_view::{Found, Uses, ViewRow, encode_key};

use crate::random_history::{Random, catalog, definitions, history, part, whole};

/// Instants of a view that the oracle is asked at.
const ORACLE_INSTANTS: usize = 12;

/// Events at hand, as if they were logged.
pub(crate) struct Logged(pub(crate) Vec<LoggedEvent>);

struct Stream(std::vec::IntoIter<LoggedEvent>);

impl EventStream for Stream {
    fn next_into(&mut self, logged: &mut LoggedEvent) -> Result<bool, LogError> {
        Ok(self.0.next().map(|event| *logged = event).is_some())
    }

    fn next_columns(&mut self, logged: &mut LoggedEvent) -> Result<Next, LogError> {
        Ok(match self.next_into(logged)? {
            true => Next::Event,
            false => Next::End,
        })
    }
}

impl EventSource for Logged {
    fn events(&self, options: ReadOptions) -> Result<Box<dyn EventStream>, LogError> {
        let is_wanted = |e: &&LoggedEvent| {
            let sources = options.sources.as_ref();
            sources.is_none_or(|s| s.contains(&e.source))
                && options
                    .until
                    .as_ref()
                    .is_none_or(|cut| cut.contains(e.source, e.position))
        };
        let events: Vec<LoggedEvent> = self.0.iter().filter(is_wanted).cloned().collect();
        Ok(Box::new(Stream(events.into_iter())))
    }

    fn event_at(
        &self,
        source: SourceId,
        position: Position,
    ) -> Result<Option<LoggedEvent>, LogError> {
        let mut at = self.0.iter().filter(|e| e.source == source);
        Ok(at.find(|e| e.position == position).cloned())
    }
}

/// A world, a cut of it and a view.
struct Case<'a> {
    view: &'a Arc<ViewDef>,
    evaluator: &'a Evaluator,
    cut: &'a Cut,
    instants: &'a Instants,
}

impl Case<'_> {
    fn key(&self, instant: usize) -> Vec<Value> {
        self.instants.keys.iter().map(|c| c.get(instant)).collect()
    }

    fn replay(&self, log: &dyn EventSource) -> ReplayReport {
        let replay = Replay {
            view: self.view,
            evaluator: self.evaluator,
            log,
            cut: self.cut,
            cut_in_words: "",
            instants: self.instants,
        };
        replay.run(&mut |_, _, _| Ok(())).unwrap()
    }

    /// Compares some rows with the oracle's; how many values.
    fn agrees(&self, oracle: &Oracle<'_>, random: &mut Random, world: &str) -> u64 {
        let requests = Requests::new(
            self.instants.keys.clone(),
            self.instants.times.clone(),
            None,
        );
        let answers = self.evaluator.read(self.view, &requests, &[]);
        let knowledge = Knowledge {
            cut: self.cut.clone(),
            known_at: None,
        };
        for _ in 0..ORACLE_INSTANTS.min(self.instants.len()) {
            let at = random.below(self.instants.len() as u64) as usize;
            let (key, time) = (self.key(at), self.instants.times[at]);
            let row = ViewRow {
                values: answers.columns.iter().map(|c| c.get(at)).collect(),
                found: answers.found[at],
                event_time: match self.view.body {
                    ViewBody::Row(_) => answers.times.get(at),
                    _ => None,
                },
            };
            let truth = oracle.read(self.view, &key, time, &knowledge, &[]);
            assert!(
                row.same_bits(&truth),
                "view {} key {key:?} t {time}\noracle {truth:?}\ntrial {row:?}\n{world}",
                self.view.name
            );
        }
        self.view.features.len() as u64 * ORACLE_INSTANTS.min(self.instants.len()) as u64
    }

    /// Where rows that live change, there is an instant. How many changes were seen.
    fn misses_no_change(&self, oracle: &Oracle<'_>, logged: &[LoggedEvent], world: &str) -> u64 {
        let ViewBody::Window(body) = &self.view.body else {
            return 0;
        };
        let source = &body.windows.source;
        if !body.windows.has(WindowRows::Live) || !source.retain.is_empty() {
            return 0;
        }
        let knowledge = Knowledge {
            cut: self.cut.clone(),
            known_at: None,
        };
        let instants: BTreeSet<(i64, Vec<u8>)> = (0..self.instants.len())
            .map(|i| (self.instants.times[i], encode_key(&self.key(i)).unwrap()))
            .collect();
        let keys: BTreeSet<Vec<u8>> = instants.iter().map(|(_, key)| key.clone()).collect();
        let times = logged.iter().filter(|e| e.source == source.id);
        let times: BTreeSet<i64> = times.map(|e| e.event.event_time.0).collect();
        let mut changes = 0;
        for key in keys {
            let at = (0..self.instants.len())
                .find(|i| encode_key(&self.key(*i)).unwrap() == key)
                .unwrap();
            let values = self.key(at);
            for &time in &times {
                let then = |t| oracle.read(self.view, &values, t, &knowledge, &[]);
                if !then(time).same_bits(&then(time - 1)) {
                    changes += 1;
                    assert!(
                        instants.contains(&(time, key.clone())),
                        "view {} changes at {values:?} {time}\n{world}",
                        self.view.name
                    );
                }
            }
        }
        changes
    }
}

#[derive(Default)]
struct Seen {
    values: u64,
    replayed: u64,
    as_they_came: u64,
    changes: u64,
    noticed: u64,
    rows: u64,
}

fn check(seed: u64, seen: &mut Seen) {
    let mut random = Random(seed ^ 0x7719);
    let sql = definitions(&mut random);
    let catalog = catalog(&sql);
    let events = 20 + random.below(100) as usize;
    let logged = history(&catalog, &mut random, events);
    let oracle = Oracle::new(&logged);
    let log = Logged(logged.clone());
    let views: Vec<Arc<ViewDef>> = catalog
        .views
        .values()
        .filter_map(|v| v.values().next_back().cloned())
        .filter(|v| match &v.body {
            ViewBody::Composed(body) => body.request.is_empty(),
            _ => true,
        })
        .collect();
    let uses = Uses::of(views.iter().map(AsRef::as_ref));
    let world = format!("seed {seed}\n{sql}");
    for cut in [whole(&logged), part(&logged, &mut random)] {
        let evaluator = Evaluator::from_events(&logged, &uses, &cut);
        for view in &views {
            let instants = evaluator.instants(view, i64::MIN..i64::MAX, Sample::ALL);
            let case = Case {
                view,
                evaluator: &evaluator,
                cut: &cut,
                instants: &instants,
            };
            samples_are_of_keys(&case, &mut random);
            seen.values += case.agrees(&oracle, &mut random, &world);
            seen.changes += case.misses_no_change(&oracle, &logged, &world);
            let requests = Requests::new(instants.keys.clone(), instants.times.clone(), None);
            let found = evaluator.read(view, &requests, &[]).found;
            seen.rows += found.iter().filter(|f| **f == Found::Row).count() as u64;
            let report = case.replay(&log);
            assert_eq!(report.mismatches, 0, "{:?}\n{world}", report.examples);
            assert_eq!(
                report.values_checked,
                2 * (instants.len() * view.features.len()) as u64
            );
            seen.replayed += report.values_checked;
            seen.as_they_came += u64::from(report.as_it_came);
            // An event that is not fed.
            let lost = random.below(logged.len() as u64) as usize;
            let mut others = logged.clone();
            others.remove(lost);
            let report = case.replay(&Logged(others));
            assert_eq!(report.mismatches > 0, !report.examples.is_empty());
            seen.noticed += report.mismatches;
        }
    }
}

/// A sample has all instants of some keys.
fn samples_are_of_keys(case: &Case<'_>, random: &mut Random) {
    let sample = Sample::of_millionths(1 + random.below(1_000_000) as u32).unwrap();
    let sampled = case
        .evaluator
        .instants(case.view, i64::MIN..i64::MAX, sample);
    let of = |instants: &Instants| -> Vec<(i64, Vec<u8>)> {
        (0..instants.len())
            .map(|i| {
                let key = instants.keys.iter().map(|c| c.get(i)).collect::<Vec<_>>();
                (instants.times[i], encode_key(&key).unwrap())
            })
            .collect()
    };
    let mut all = of(case.instants);
    assert!(all.is_sorted_by(|a, b| a < b), "in order, each once");
    all.retain(|(_, key)| sample.contains(key));
    assert_eq!(of(&sampled), all);
}

#[test]
fn a_trial_is_the_oracle_and_a_replay_gives_the_same() {
    let (first, seeds) = match std::env::var("EVENKEEL_SEED") {
        Ok(text) => (text.parse().expect("EVENKEEL_SEED is a number"), 1),
        Err(_) => (1, 12),
    };
    let mut seen = Seen::default();
    for seed in first..first + seeds {
        check(seed, &mut seen);
    }
    println!(
        "{} values as the oracle's, {} replayed, {} replays as events came, {} changes of rows \
         that live, {} values noticed where an event was lost, {} rows",
        seen.values, seen.replayed, seen.as_they_came, seen.changes, seen.noticed, seen.rows
    );
    assert!(seen.values > 0 && seen.replayed > 0 && seen.rows > 0);
    if seeds > 1 {
        assert!(seen.as_they_came > 0 && seen.changes > 0 && seen.noticed > 0);
    }
}
