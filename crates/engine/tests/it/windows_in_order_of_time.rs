//! Windows in training over events that were logged in the order of time, against the oracle: such
//! events are placed by key without being sorted, and only those that tie are put into their order.

use std::sync::Arc;

use evenkeel_train::Evaluator;
use evenkeel_types::definition::ViewDef;
use evenkeel_types::time::{HOUR, MINUTE};
use evenkeel_types::{Knowledge, Value, VisibleAt};
use evenkeel_view::Uses;
use evenkeel_view::oracle::Oracle;

use crate::cut_purity::{Case, trained};
use crate::in_order_of_time::{CARDS, history};
use crate::random_history::{Random, catalog, whole};

const DEFINITIONS: &str = "
CREATE ENTITY card (card STRING);
CREATE ENTITY shop (shop BIGINT);
CREATE STREAM seen (card STRING, shop BIGINT, score DOUBLE, at TIMESTAMP, EVENT TIME at);
CREATE STREAM paid (id BIGINT, card STRING, shop BIGINT, amount DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at);
CREATE FEATURE VIEW seen_windows ENTITY card AS
  SELECT card, count(*) OVER short AS n, sum(score) OVER short AS total, avg(score) OVER middle AS mean,
    count(shop) FILTER (WHERE score > 1) OVER long AS some, avg(shop) OVER long AS shops,
    100.0 * count(*) OVER short / nullif(count(*) OVER long, 0) AS part
  FROM seen
  WINDOW short AS (LAST 30 MINUTES), middle AS (LAST 2 HOURS BEFORE), long AS (LAST 9 HOURS);
CREATE FEATURE VIEW shop_windows ENTITY shop AS
  SELECT shop, count(*) OVER far AS n, avg(score / 3) OVER near AS mean, sum(score) OVER far AS total
  FROM seen
  WINDOW near AS (PARTITION BY shop ORDER BY at RANGE BETWEEN INTERVAL '2' HOUR PRECEDING
      AND INTERVAL '20' MINUTE PRECEDING),
    far AS (PARTITION BY shop ORDER BY at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW);
CREATE FEATURE VIEW paid_windows ENTITY card AS
  SELECT card, count(*) OVER w AS n, max(amount) OVER w AS most, avg(amount) OVER w AS mean
  FROM paid WINDOW w AS (LAST 3 HOURS);
CREATE FEATURE VIEW paid_much ENTITY card AS
  SELECT card, count(*) OVER w AS n, avg(amount) OVER w AS mean
  FROM paid WHERE amount > 1 WINDOW w AS (LAST 3 HOURS);
";

#[test]
fn windows_are_those_of_the_oracle() {
    let catalog = catalog(DEFINITIONS);
    let views: Vec<Arc<ViewDef>> = catalog
        .views
        .values()
        .filter_map(|versions| versions.values().next_back().cloned())
        .collect();
    let uses = Uses::of(views.iter().map(AsRef::as_ref));
    let mut present = 0;
    for seed in 0..120 {
        let mut random = Random(seed);
        let late = random.below(2) as i64 * 30 * MINUTE;
        let events = 1 + random.below(200);
        let logged = history(&catalog, &mut random, events, late);
        let cut = whole(&logged);
        let evaluator = Evaluator::from_events(&logged, &uses, &cut);
        let oracle = Oracle::new(&logged);
        for view in &views {
            let knows_later = (!random.one_in(3)).then(|| random.below(2) as i64 * HOUR);
            let mut case = || {
                let time = random.pick(&logged).event.event_time.0 + random.below(3) as i64 - 1;
                let key = match view.name.as_str() {
                    "shop_windows" => Value::BigInt(random.below(5) as i64),
                    _ if random.one_in(8) => Value::string("unknown"),
                    _ if random.one_in(8) => Value::Null,
                    _ => Value::string(*random.pick(&CARDS)),
                };
                Case {
                    key: vec![key],
                    time,
                    known_at: knows_later.map(|later| VisibleAt(time + later)),
                    request: Vec::new(),
                }
            };
            let mut cases: Vec<Case> = (0..60).map(|_| case()).collect();
            let in_order = !random.one_in(4);
            if in_order {
                cases.sort_by_key(|case| case.time);
            }
            let trained = trained(view, &cases.iter().collect::<Vec<_>>(), &evaluator);
            for (case, trained) in cases.iter().zip(trained) {
                let knowledge = Knowledge {
                    cut: cut.clone(),
                    known_at: case.known_at,
                };
                let truth = oracle.read(view, &case.key, case.time, &knowledge, &[]);
                assert!(
                    trained.same_bits(&truth),
                    "seed {seed}, view {}, in order {in_order}, key {:?} at {} known at {:?}:\n\
                     oracle {truth:?}\ntraining {trained:?}",
                    view.name,
                    case.key,
                    case.time,
                    case.known_at,
                );
                present += truth.values.iter().filter(|v| !v.is_missing()).count();
            }
        }
    }
    assert!(present > 20_000, "{present} values");
}
