//! The heart of the promise: equal (feature, key, time, cut, definition) give equal bits. A
//! store that applied exactly the cut, one that is ahead of it, one that applied the same
//! events in another order, the training path and the oracle are compared at events, at the
//! edges of windows and one microsecond beside them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use evenkeel_aggregate::Bounds;
use evenkeel_engine::{HotStore, LoggedEvents, NotRead};
use evenkeel_store::{BlocksOptions, StoreError};
use evenkeel_train::{Evaluator, Requests};
use evenkeel_types::definition::{Catalog, ViewBody, ViewDef};
use evenkeel_types::time::{DAY, HOUR, MINUTE};
use evenkeel_types::{
    Column, Cut, Interval, Knowledge, LoggedEvent, Position, SourceId, Status, Value, VisibleAt,
};
use evenkeel_view::oracle::Oracle;
use evenkeel_view::{CompiledView, Plan, Reader, Store, Uses, ViewColumns, ViewRow};

use crate::derived_purity;
use crate::random_history::{Random, START, catalog, definitions, history, part, whole};

/// What a store that cannot be read says.
#[derive(Debug)]
struct Unreadable;

impl From<StoreError> for Unreadable {
    fn from(_: StoreError) -> Self {
        Unreadable
    }
}

/// What a store applied, in its order.
#[derive(Debug, Default)]
struct AppliedLog(Mutex<Vec<LoggedEvent>>);

impl LoggedEvents for AppliedLog {
    fn each(
        &self,
        source: SourceId,
        bounds: &Bounds,
        visit: &mut dyn FnMut(u64, LoggedEvent) -> Result<(), NotRead>,
    ) -> Result<(), NotRead> {
        let times = bounds.first_time..=bounds.last_time;
        let logged = self.0.lock().unwrap();
        let of_source = logged.iter().filter(|e| e.source == source);
        for (number, event) in of_source.enumerate() {
            if times.contains(&event.event.event_time.0) {
                visit(number as u64, event.clone())?;
            }
        }
        Ok(())
    }
}

/// A store that applied these events; with `restarts`, checkpointed after about one in so
/// many events, and opened again after half of the checkpoints, with or without a cache. Some
/// of these let go of what is older than an event, whatever reads need; it comes back from
/// what was applied.
pub(crate) fn store(
    catalog: &Catalog,
    logged: &[&LoggedEvent],
    mut restarts: Option<(&mut Random, u64)>,
) -> HotStore {
    let plan = Plan::of(catalog).unwrap();
    let applied = Arc::new(AppliedLog::default());
    let mut numbers = BlocksOptions::with_cache(0);
    let mut lets_go = false;
    if let Some((random, _)) = &mut restarts {
        numbers.sealed_entries = *random.pick(&[2, 5, 512]);
        lets_go = !random.one_in(4);
    }
    let mut store = HotStore::in_memory_over(
        Arc::new(plan),
        catalog.sources.values().cloned(),
        Arc::clone(&applied) as Arc<dyn LoggedEvents>,
        numbers,
    );
    let by_position: BTreeMap<(SourceId, Position), &LoggedEvent> = logged
        .iter()
        .map(|e| ((e.source, e.position), *e))
        .collect();
    for event in logged {
        let fetch = |position| {
            by_position
                .get(&(event.source, position))
                .map(|e| (*e).clone())
                .ok_or(Unreadable)
        };
        store.apply(event, fetch).unwrap();
        applied.0.lock().unwrap().push((*event).clone());
        if let Some((random, one_in)) = &mut restarts {
            match random.below(2 * *one_in) {
                0 => store.checkpoint(&Cut::empty(), 0).unwrap(),
                1 => {
                    store.checkpoint(&Cut::empty(), 0).unwrap();
                    numbers.cache_bytes = random.below(2) << 20;
                    store = store.reopen(numbers).unwrap();
                }
                _ => {}
            }
            if lets_go && random.one_in(*one_in) {
                let old = random.pick(logged);
                store.let_go_before(old.event.event_time.0);
            }
        }
    }
    store
}

/// The same events with the partitions interleaved in another way.
pub(crate) fn interleave<'a>(
    logged: &'a [LoggedEvent],
    random: &mut Random,
) -> Vec<&'a LoggedEvent> {
    let mut queues: BTreeMap<(SourceId, u32), Vec<&LoggedEvent>> = BTreeMap::new();
    for event in logged.iter().rev() {
        queues
            .entry((event.source, event.position.partition.0))
            .or_default()
            .push(event);
    }
    let mut queues: Vec<Vec<&LoggedEvent>> = queues.into_values().collect();
    let mut out = Vec::new();
    while !queues.is_empty() {
        let at = random.below(queues.len() as u64) as usize;
        out.extend(queues[at].pop());
        queues.retain(|q| !q.is_empty());
    }
    out
}

fn key(view: &ViewDef, random: &mut Random) -> Vec<Value> {
    view.key
        .iter()
        .map(|field| match field.name.as_str() {
            "shop" => Value::BigInt(random.below(3) as i64),
            "id" => Value::string(format!("i{}", random.below(60))),
            "loan" => Value::string(*random.pick(&["x", "y", "", "zz", "unknown"])),
            _ => Value::string(*random.pick(&["", "a", "b", "unknown"])),
        })
        .collect()
}

fn time(logged: &[LoggedEvent], random: &mut Random) -> i64 {
    let event = random.pick(logged);
    let edges = [
        0,
        10 * MINUTE,
        15 * MINUTE,
        20 * MINUTE,
        30 * MINUTE,
        HOUR,
        90 * MINUTE,
        2 * HOUR,
        3 * HOUR,
        6 * HOUR,
        DAY,
        2 * DAY,
        3 * DAY,
    ];
    let at = match random.below(8) {
        0 => Interval::from_months(1).after(event.event.event_time.0),
        1 => START + random.below(5 * DAY as u64) as i64,
        2 => (event.event.event_time.0 / (15 * MINUTE) + 1) * 15 * MINUTE,
        _ => event.event.event_time.0 + random.pick(&edges),
    };
    at + random.below(3) as i64 - 1
}

/// A read of a view.
pub(crate) struct Case {
    pub(crate) key: Vec<Value>,
    pub(crate) time: i64,
    pub(crate) known_at: Option<VisibleAt>,
    pub(crate) request: Vec<Value>,
}

/// The answers of the training path.
pub(crate) fn trained(view: &ViewDef, cases: &[&Case], evaluator: &Evaluator) -> Vec<ViewRow> {
    let keys = (0..view.key.len())
        .map(|i| Column::from_values(&view.key[i].data_type, cases.iter().map(|c| &c.key[i])))
        .collect();
    let times = cases.iter().map(|c| c.time).collect();
    let known = cases.iter().map(|c| c.known_at.map(|k| k.0)).collect();
    let requests = Requests::new(keys, times, known);
    let request: Vec<Column> = match &view.body {
        ViewBody::Composed(body) => (0..body.request.len())
            .map(|i| {
                let values = cases.iter().map(|c| &c.request[i]);
                Column::from_values(&body.request[i].data_type, values)
            })
            .collect(),
        _ => Vec::new(),
    };
    let answers = evaluator.read(view, &requests, &request);
    (0..cases.len())
        .map(|i| ViewRow {
            values: answers.columns.iter().map(|c| c.get(i)).collect(),
            found: answers.found[i],
            event_time: match view.body {
                ViewBody::Row(_) => answers.times.get(i),
                _ => None,
            },
        })
        .collect()
}

/// What was compared.
#[derive(Default)]
struct Compared {
    values: u64,
    /// How often what had left a store was brought back for it.
    reheats: u64,
    /// Rows that derived streams would emit, and triggers whose rows are not due.
    rows: u64,
    early: u64,
}

/// Checks one random world.
fn check(seed: u64) -> Compared {
    let mut random = Random(seed);
    let sql = definitions(&mut random) + derived_purity::STREAMS;
    let catalog = catalog(&sql);
    let events = 20 + random.below(220) as usize;
    let logged = history(&catalog, &mut random, events);
    let in_order: Vec<&LoggedEvent> = logged.iter().collect();
    let ahead = store(&catalog, &in_order, None);
    let other_order = interleave(&logged, &mut random);
    let shuffled = store(&catalog, &other_order, Some((&mut random, 6)));
    let oracle = Oracle::new(&logged);
    let views: Vec<Arc<ViewDef>> = catalog
        .views
        .values()
        .filter_map(|v| v.values().next_back().cloned())
        .collect();
    let uses = Uses::of(views.iter().map(AsRef::as_ref));
    let mut cuts = vec![whole(&logged)];
    cuts.push(part(&logged, &mut random));
    let mut compared = Compared::default();
    for cut in &cuts {
        let exactly: Vec<&LoggedEvent> = logged
            .iter()
            .filter(|e| cut.contains(e.source, e.position))
            .collect();
        let exact = store(&catalog, &exactly, Some((&mut random, 6)));
        let evaluator = Evaluator::from_events(&logged, &uses, cut);
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
        for view in &views {
            let cases = cases(view, &logged, &mut random);
            compared.values += paths.agree(view, cut, &cases, &world);
        }
        let of = (&catalog, &logged[..]);
        let (rows, early) = derived_purity::agree(of, &paths, cut, &mut random, &world);
        (compared.rows, compared.early) = (compared.rows + rows, compared.early + early);
        compared.reheats += exact.reheats().scans;
    }
    compared.reheats += shuffled.reheats().scans;
    compared
}

/// Random reads of a view.
pub(crate) fn cases(view: &ViewDef, logged: &[LoggedEvent], random: &mut Random) -> Vec<Case> {
    let known_times: Vec<i64> = logged.iter().map(|e| e.visible_at().0).collect();
    let shared_known = VisibleAt(*random.pick(&known_times));
    (0..12)
        .map(|_| {
            let time = time(logged, random);
            let request = match &view.body {
                ViewBody::Composed(body) if !body.request.is_empty() => vec![Value::double(1.5)],
                _ => Vec::new(),
            };
            let known_at = match random.below(4) {
                0 => Some(VisibleAt(time)),
                1 => Some(shared_known),
                _ => None,
            };
            Case {
                key: key(view, random),
                time,
                known_at,
                request,
            }
        })
        .collect()
}

/// All the ways to a value, besides the oracle's.
pub(crate) struct Paths<'a> {
    /// The read path over stores that came to be in several ways.
    pub(crate) stores: [(&'static str, &'a HotStore); 3],
    pub(crate) evaluator: &'a Evaluator,
    pub(crate) oracle: &'a Oracle<'a>,
}

impl Paths<'_> {
    /// Compares them all at these reads; answers how many values were compared. `world` says
    /// what is read where they differ.
    pub(crate) fn agree(&self, view: &Arc<ViewDef>, cut: &Cut, cases: &[Case], world: &str) -> u64 {
        let (served, latest): (Vec<&Case>, Vec<&Case>) =
            cases.iter().partition(|c| c.known_at.is_some());
        for group in [latest, served] {
            let trained = trained(view, &group, self.evaluator);
            for (case, trained) in group.iter().zip(trained) {
                let knowledge = Knowledge {
                    cut: cut.clone(),
                    known_at: case.known_at,
                };
                let oracle = self.oracle;
                let truth = oracle.read(view, &case.key, case.time, &knowledge, &case.request);
                let mut rows = vec![("training path", trained)];
                for (name, store) in self.stores {
                    let compiled = store.plan().view(&view.digest).unwrap();
                    let reader = Reader::new(store, &knowledge);
                    let row = reader.read(compiled, &case.key, case.time, &case.request);
                    rows.push((name, row.unwrap()));
                    rows.push((name, row_of_columns(&reader, compiled, case)));
                }
                for (name, row) in &rows {
                    assert!(
                        row.same_bits(&truth),
                        "{name} differs from the oracle\nview {} key {:?} t {} known_at {:?}\n\
                         oracle {truth:?}\n{name} {row:?}\nfeatures {:?}\n{world}",
                        view.name,
                        case.key,
                        case.time,
                        case.known_at,
                        view.features.iter().map(|f| &f.name).collect::<Vec<_>>(),
                    );
                }
            }
        }
        cases.len() as u64 * view.features.len() as u64
    }
}

/// The row of a read that fills columns, behind a row of another read.
fn row_of_columns(reader: &Reader<'_>, view: &CompiledView, case: &Case) -> ViewRow {
    let features: Vec<usize> = (0..view.def().features.len()).collect();
    let mut columns = ViewColumns::new(view.def(), &features);
    for time in [case.time - DAY, case.time] {
        let read = reader.read_into(view, &case.key, time, &case.request, &mut columns);
        read.unwrap();
    }
    columns.repeat(1);
    assert_eq!(columns.len(), 3);
    let values = |row: usize| -> Vec<Value> {
        let value = |&feature: &usize| columns.values(feature).get(row);
        features.iter().map(value).collect()
    };
    let status = |row: usize, feature: usize| columns.status(row, feature);
    for &feature in &features {
        assert_eq!(status(1, feature), status(2, feature));
        assert!(
            columns
                .value(1, feature)
                .same_bits(&columns.value(2, feature))
        );
    }
    let event_time = columns.event_time(1);
    match status(1, 0) {
        Status::NotFound => ViewRow::not_found(features.len()),
        Status::OutsideMaxAge => ViewRow::outside_max_age(features.len(), event_time.unwrap()),
        _ => ViewRow {
            event_time,
            ..ViewRow::found(values(1))
        },
    }
}

#[test]
fn every_path_gives_the_same_bits() {
    let (first, seeds) = match std::env::var("EVENKEEL_SEED") {
        Ok(text) => (text.parse().expect("EVENKEEL_SEED is a number"), 1),
        Err(_) => (
            1,
            std::env::var("EVENKEEL_SEEDS")
                .ok()
                .and_then(|s| s.parse().ok())
                .unwrap_or(30),
        ),
    };
    let mut all = Compared::default();
    for seed in first..first + seeds {
        let compared = check(seed);
        all.values += compared.values;
        all.reheats += compared.reheats;
        all.rows += compared.rows;
        all.early += compared.early;
    }
    let Compared {
        values,
        reheats,
        rows,
        early,
    } = all;
    println!(
        "{values} values of {seeds} worlds were the same on every path, and {rows} rows of \
         derived streams, {early} were not due; old events were brought back {reheats} times"
    );
    assert!(values > 0 && (seeds == 1 || (reheats > 0 && rows > 0 && early > 0)));
}
