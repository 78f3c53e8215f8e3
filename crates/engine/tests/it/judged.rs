//! Conditions that are evaluated while events are read, against the oracle: over random histories with
//! duplicates, conflicts, corrections, ends of rows, ties and events without a key, at any time and
//! cut. Where there is no answer, something is there that takes more than the newest event of a key.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use evenkeel_engine::segment_query;
use evenkeel_expr::{Program, ReadTime};
use evenkeel_train::{Condition, Judged, Verdict};
use evenkeel_types::codec::encode_values;
use evenkeel_types::definition::{SegmentDef, ViewDef};
use evenkeel_types::time::{DAY, HOUR, MINUTE};
use evenkeel_types::{Column, Cut, Knowledge, LoggedEvent, SourceId, Value};
use evenkeel_view::SourceProgram;
use evenkeel_view::oracle::Oracle;

use crate::random_history::{Random, START, catalog, history, part, whole};
use crate::trial_purity::Logged;

const DEFINITIONS: &str = "
CREATE ENTITY card (card STRING);
CREATE ENTITY place (card STRING, shop BIGINT);
CREATE STREAM paid (
  id STRING, card STRING, shop BIGINT, amount DOUBLE, n INT, ok BOOLEAN, at TIMESTAMP,
  twice DOUBLE AS (amount * 2), EVENT ID (id), EVENT TIME at, SEQUENCE BY (n)
);
CREATE STREAM seen (card STRING, shop BIGINT, score DOUBLE, word STRING, at TIMESTAMP, EVENT TIME at,
  KNOWN AT at + INTERVAL '5' MINUTE);
CREATE TABLE owner (card STRING, name STRING, level INT, since TIMESTAMP, PRIMARY KEY (card), EVENT TIME since);
CREATE STREAM once (id STRING, card STRING, amount DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, DEDUPLICATE WITHIN INTERVAL '30' MINUTE);
CREATE STREAM fading (card STRING, amount DOUBLE, at TIMESTAMP, EVENT TIME at, RETAIN INTERVAL '2' HOUR FOR (card));
CREATE FEATURE VIEW paid_now ENTITY card TTL INTERVAL '5' HOUR AS SELECT card, amount, twice, 10 // n AS share, ok FROM paid;
CREATE FEATURE VIEW paid_ever ENTITY card AS SELECT card, shop, n, id FROM paid;
CREATE FEATURE VIEW paid_well ENTITY card AS SELECT card, amount FROM paid WHERE ok;
CREATE FEATURE VIEW paid_there ENTITY place AS SELECT card, shop, amount, at AS paid_at FROM paid;
CREATE FEATURE VIEW seen_now ENTITY card TTL INTERVAL '1' DAY AS
  SELECT card, score, upper(word) AS word, visible_at AS told FROM seen;
CREATE FEATURE VIEW owned ENTITY card AS SELECT card, name, level FROM owner;
CREATE FEATURE VIEW paid_once ENTITY card AS SELECT card, amount FROM once;
CREATE FEATURE VIEW faded ENTITY card AS SELECT card, amount FROM fading;
";

/// Queries, and whether they can be judged beside the events.
const QUERIES: [(&str, bool); 12] = [
    (
        "SELECT card, amount, share FROM paid_now WHERE share > 1 AND ok",
        true,
    ),
    (
        "SELECT card FROM paid_now WHERE amount IS NULL OR twice < 1.5",
        true,
    ),
    (
        "SELECT card, amount, id FROM paid_now JOIN paid_ever USING (card) WHERE share >= 0 OR n < 1",
        true,
    ),
    ("SELECT card, n FROM paid_ever", true),
    (
        "SELECT card, shop, amount FROM paid_there WHERE shop > 0 AND card <> 'b' AND paid_at < read_time() - INTERVAL '1' HOUR",
        true,
    ),
    (
        "SELECT card, word, score FROM seen_now WHERE word = 'X' OR score > 0.3",
        true,
    ),
    (
        "SELECT card, told FROM seen_now WHERE told > read_time() - INTERVAL '3' HOUR",
        true,
    ),
    (
        "SELECT card, name FROM owned WHERE 1 // level > 0 OR name IS NULL",
        true,
    ),
    ("SELECT card FROM paid_well WHERE amount > 0", false),
    ("SELECT card FROM paid_once WHERE amount > 0", false),
    ("SELECT card FROM faded WHERE amount > 0", false),
    (
        "SELECT card FROM paid_ever JOIN owned USING (card) WHERE n > 0",
        false,
    ),
];

/// A segment's condition over all features of its views.
pub(crate) struct Asked {
    pub(crate) filter: Option<Program>,
    pub(crate) at: i64,
}

impl Condition for Asked {
    fn judge(&self, scope: &[&Column], rows: usize) -> Vec<Verdict> {
        let time = ReadTime::Constant(self.at);
        let condition = self
            .filter
            .as_ref()
            .map(|f| f.eval_batch(scope, rows, time));
        Verdict::of(condition.as_ref(), rows)
    }

    fn keeps(&self, _: usize) -> bool {
        true
    }
}

/// What is said of keys: of those that are in with their features, each by its bytes.
pub(crate) type Said = BTreeMap<Vec<u8>, (Verdict, Vec<u8>)>;

pub(crate) fn told(judged: &Judged) -> Said {
    let mut rows = 0..;
    let mut said = Said::new();
    for (number, verdict) in judged.verdicts.iter().enumerate() {
        let values = |columns: &[Column], row: usize| -> Vec<Value> {
            columns.iter().map(|column| column.get(row)).collect()
        };
        let row = match verdict {
            Verdict::In => values(&judged.rows, rows.next().unwrap()),
            _ => Vec::new(),
        };
        if *verdict != Verdict::Unknown {
            let key = encode_values(&values(&judged.keys, number));
            let before = said.insert(key, (*verdict, encode_values(&row)));
            assert_eq!(before, None, "a key comes once");
        }
    }
    let in_all = judged.rows.iter().all(|column| column.len() == rows.start);
    assert!(in_all, "a row per key that is in");
    said
}

/// Every key that can be.
fn keys(def: &SegmentDef) -> Vec<Vec<Value>> {
    let cards = ["", "a", "b"].map(Value::string);
    let of_card = |card: &Value| match def.key.len() {
        1 => vec![vec![card.clone()]],
        _ => (0..3)
            .map(|shop| vec![card.clone(), Value::BigInt(shop)])
            .collect(),
    };
    cards.iter().flat_map(of_card).collect()
}

fn expected(def: &SegmentDef, oracle: &Oracle<'_>, at: i64, cut: &Cut) -> Said {
    let knowledge = Knowledge {
        cut: cut.clone(),
        known_at: None,
    };
    let filter = def.filter.as_ref().map(Program::compile);
    let mut said = Said::new();
    for key in keys(def) {
        let read = |view: &std::sync::Arc<ViewDef>| oracle.read(view, &key, at, &knowledge, &[]);
        let answers: Vec<_> = def.inputs.iter().map(read).collect();
        if answers.iter().all(|row| row.event_time.is_none()) {
            continue;
        }
        let features = answers.into_iter().flat_map(|row| row.values);
        let row: Vec<Value> = key.iter().cloned().chain(features).collect();
        let verdict = match filter.as_ref().map(|filter| filter.eval_row(&row, at)) {
            None | Some(Value::Boolean(true)) => Verdict::In,
            Some(Value::Error(_)) => Verdict::Undecided,
            Some(_) => Verdict::Out,
        };
        let values = match verdict {
            Verdict::In => encode_values(&row),
            _ => encode_values([]),
        };
        said.insert(encode_values(&key), (verdict, values));
    }
    said
}

/// The events without corrections, of each identity the first.
fn without_versions(
    logged: &[LoggedEvent],
    programs: &BTreeMap<SourceId, SourceProgram>,
) -> Vec<LoggedEvent> {
    let mut known = BTreeSet::new();
    let is_first = |logged: &&LoggedEvent| {
        let program = &programs[&logged.source];
        let identity = program.identity(&logged.event, &program.row(logged));
        !logged.event.operation.is_correction() && known.insert((logged.source, identity))
    };
    logged.iter().filter(is_first).cloned().collect()
}

#[test]
fn what_is_judged_beside_the_events_is_what_the_oracle_says() {
    let catalog = catalog(DEFINITIONS);
    let defs = QUERIES.map(|(query, _)| segment_query(&catalog, query).unwrap());
    let sources = catalog.sources.values();
    let programs = sources
        .map(|def| (def.id, SourceProgram::new(def.clone())))
        .collect();
    let (mut verdicts, mut without_answer) = (BTreeMap::new(), 0);
    for seed in 0..400 {
        let mut random = Random(seed);
        let events = 1 + random.below(120) as usize;
        let mut logged = history(&catalog, &mut random, events);
        let has_versions = random.one_in(3);
        if !has_versions {
            logged = without_versions(&logged, &programs);
        }
        let cut = match random.one_in(2) {
            true => whole(&logged),
            false => part(&logged, &mut random),
        };
        let oracle = Oracle::new(&logged);
        let log = Logged(logged.clone());
        let days = random.below(5) as i64;
        let at = START
            + days * DAY
            + random.below(30) as i64 * 10 * MINUTE
            + random.below(3) as i64 * HOUR;
        for (def, (query, is_plain)) in defs.iter().zip(QUERIES) {
            let views: Vec<ViewDef> = def.inputs.iter().map(|view| (**view).clone()).collect();
            let asked = Asked {
                filter: def.filter.as_ref().map(Program::compile),
                at,
            };
            let mut stop = |_| ControlFlow::Continue(());
            let judged = Judged::read(&log, &views, at, &cut, &asked, &mut stop).unwrap();
            let Some(judged) = judged else {
                assert!(
                    has_versions || !is_plain,
                    "seed {seed}: nobody says `{query}`"
                );
                without_answer += u64::from(is_plain);
                continue;
            };
            assert!(is_plain, "seed {seed}: `{query}`");
            let said = told(&judged);
            assert_eq!(
                said,
                expected(def, &oracle, at, &cut),
                "seed {seed}: `{query}` at {at}"
            );
            for (verdict, _) in said.values() {
                *verdicts.entry(format!("{verdict:?}")).or_insert(0) += 1;
            }
        }
    }
    // All of it happens.
    assert!(without_answer > 100, "{without_answer}");
    for verdict in ["In", "Out", "Undecided"] {
        assert!(
            verdicts.get(verdict).is_some_and(|count| *count > 100),
            "{verdicts:?}"
        );
    }
}
