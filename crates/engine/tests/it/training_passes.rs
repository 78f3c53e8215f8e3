//! Training sets of a store whose sources are read one after the other, or all at once: rows of a query with labels, at
//! older cuts, with statuses, of views over views and over derived streams. Each row is what a read of its own says.

use std::sync::Arc;

use evenkeel_connect::Table;
use evenkeel_engine::api::{Answer, GetRequest, KnowledgeMode, SpineSource};
use evenkeel_engine::{Engine, Machine, TrainingPlan, feature_list_of};
use evenkeel_log::{Clock, LogOptions};
use evenkeel_sim::Random;
use evenkeel_types::definition::ServiceDef;
use evenkeel_types::time::MINUTE;
use evenkeel_types::{Cut, EventTime, Status, Value, VisibleAt};

use crate::support::{World, apply, t};

const DEFINITIONS: &str = "
CREATE ENTITY card (card STRING);
CREATE ENTITY shop (shop BIGINT);
CREATE STREAM seen (card STRING, shop BIGINT, score DOUBLE, word STRING, at TIMESTAMP, EVENT TIME at,
  KNOWN AT at + INTERVAL '3' MINUTE, MAX FUTURE INTERVAL '30' DAY) WITH (connector = 'file', path = 'seen.csv');
CREATE STREAM paid (id BIGINT, card STRING, shop BIGINT, amount DOUBLE, n BIGINT, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, KNOWN AT at, MAX FUTURE INTERVAL '30' DAY) WITH (connector = 'file', path = 'paid.csv');
CREATE STREAM rated (shop BIGINT, stars BIGINT, at TIMESTAMP, EVENT TIME at, MAX FUTURE INTERVAL '30' DAY)
  WITH (connector = 'file', path = 'rated.csv');
CREATE TABLE owner (card STRING, name STRING, level BIGINT, at TIMESTAMP, PRIMARY KEY (card), EVENT TIME at,
  MAX FUTURE INTERVAL '30' DAY) WITH (connector = 'file', path = 'owner.csv');
CREATE STREAM met AS SELECT p.id, p.card, p.amount, s.word AS word FROM paid p ASOF JOIN seen s ON p.card = s.card
  ON LATE REVISE;
CREATE FEATURE VIEW seen_last ENTITY card AS SELECT card, score AS last_score, word AS last_word FROM seen;
CREATE FEATURE VIEW seen_fresh ENTITY card TTL INTERVAL '20' MINUTE AS SELECT card, shop AS fresh_shop FROM seen;
CREATE FEATURE VIEW owned ENTITY card AS SELECT card, name, level FROM owner;
CREATE FEATURE VIEW spent ENTITY card AS
  SELECT card, count(*) OVER w AS payments, sum(amount) OVER w AS spent FROM paid WINDOW w AS (LAST 2 HOURS);
CREATE FEATURE VIEW sold ENTITY shop AS
  SELECT shop, sum(amount) OVER w AS takings, sum(10 // n) OVER w AS parts FROM paid WINDOW w AS (LAST 1 HOURS);
CREATE FEATURE VIEW stars ENTITY shop AS
  SELECT shop, avg(stars) OVER (ALL HISTORY) AS stars, last_n(stars, 3) OVER (ALL HISTORY) AS last_stars FROM rated;
CREATE FEATURE VIEW risky ENTITY shop AS SELECT shop, 10 // n AS risk, amount AS risked FROM paid;
CREATE FEATURE VIEW context ENTITY shop AS
  SELECT p.shop, p.amount AS amount, s.score AS score_then, o.level AS level_then, c.spent AS spent_then
  FROM paid p ASOF JOIN seen s ON p.card = s.card ASOF JOIN owner o ON p.card = o.card ASOF JOIN spent c ON p.card = c.card;
CREATE FEATURE VIEW met_card ENTITY card AS
  SELECT card, count(*) OVER (ALL HISTORY) AS met, last_value(word) OVER (ALL HISTORY) AS met_word FROM met;
CREATE FEATURE VIEW of_met ENTITY card AS
  SELECT m.card, m.word AS row_word, c.spent AS met_spent FROM met m ASOF JOIN spent c ON m.card = c.card;
CREATE FEATURE VIEW both ENTITY card AS SELECT a.spent AS both_spent, b.met AS both_met, a.payments - b.met AS unmet
  FROM spent a, met_card b;
CREATE FEATURE SERVICE whole AS seen_last (*), sold (*), owned (*), context (*), both (*), stars (*), of_met (*), risky (*),
  seen_fresh (*), met_card (*);
";
const SPINE: &str =
    "SELECT id, card, shop, at, LABEL takings FROM sold WITHIN INTERVAL '40' MINUTE AS takings_then,
  LABEL last_word FROM seen_last WITHIN INTERVAL '15' MINUTE AS word_then,
  LABEL both_met FROM both WITHIN INTERVAL '30' MINUTE AS met_then,
  LABEL risk FROM risky WITHIN INTERVAL '25' MINUTE AS risk_then,
  LABEL stars FROM stars WITHIN INTERVAL '1' HOUR AS stars_then
  FROM paid WHERE amount > 20";
/// What each label is, whether of a row view, and how far it reaches, in minutes.
const LABELS: [(&str, &str, bool, i64); 5] = [
    ("takings_then", "sold:takings", false, 40),
    ("word_then", "seen_last:last_word", true, 15),
    ("met_then", "both:both_met", false, 30),
    ("risk_then", "risky:risk", true, 25),
    ("stars_then", "stars:stars", false, 60),
];
const START: &str = "2026-03-01T00:00:00Z";
const MINUTES: u64 = 300;
const ROUNDS: u64 = 4;
/// Rows of a training set that are read one by one, too.
const READ_ROWS: usize = 30;
/// So short that each file has segments of its own.
const SHORT_BYTES: u64 = 600;

fn time(minute: u64) -> EventTime {
    EventTime(t(START) + minute as i64 * MINUTE)
}

/// A row of a source; `id` is that of a payment.
fn row(random: &mut Random, source: &str, id: u64) -> String {
    let at = time(random.below(MINUTES));
    let (card, shop) = (random.below(4), random.below(3));
    let number = |random: &mut Random, end| match random.one_in(8) {
        true => String::new(),
        false => random.below(end).to_string(),
    };
    match source {
        "seen" => format!(
            "c{card},{shop},{}.5,w{},{at}\n",
            random.below(50),
            random.below(9)
        ),
        "paid" => {
            let amount = match random.below(12) {
                0 => "NaN".to_owned(),
                1 => "inf".to_owned(),
                2 => String::new(),
                _ => format!("{}.25", random.below(90)),
            };
            format!("{id},c{card},{shop},{amount},{},{at}\n", number(random, 4))
        }
        "rated" => format!("{shop},{},{at}\n", number(random, 6)),
        _ => format!("c{card},o{},{},{at}\n", random.below(9), number(random, 9)),
    }
}

fn header(source: &str) -> &'static str {
    match source {
        "seen" => "card,shop,score,word,at\n",
        "paid" => "id,card,shop,amount,n,at\n",
        "rated" => "shop,stars,at\n",
        _ => "card,name,level,at\n",
    }
}

/// Ids of payments that rows of the spine are of, in the text of a file.
fn asked_ids(text: &str) -> Vec<i64> {
    let id = |line: &str| {
        let parts: Vec<&str> = line.split(',').collect();
        // NaN is greater than every number.
        let amount = parts[3].parse::<f64>().ok()?;
        (amount.is_nan() || amount > 20.0).then(|| parts[0].parse().unwrap())
    };
    text.lines().skip(1).filter_map(id).collect()
}

/// A store under a seed, and cuts of it with the ids of the spine's rows at each.
fn history(world: &World, random: &mut Random, short: bool) -> (Engine, Vec<(Cut, Vec<i64>)>) {
    let machine = Machine {
        clock: world.clock.clone(),
        log: LogOptions {
            segment_bytes: if short {
                SHORT_BYTES
            } else {
                LogOptions::default().segment_bytes
            },
            ..LogOptions::default()
        },
        ..Machine::default()
    };
    let project = world.project();
    let mut engine = Engine::open_on(&project, machine).unwrap();
    apply(&mut engine, &project.definition_files().unwrap());
    let (mut ids, mut next_id) = (Vec::new(), 0);
    let mut cuts = Vec::new();
    for round in 0..ROUNDS {
        for source in ["paid", "seen", "owner", "rated"] {
            // Some of it is known late, some before it happens.
            let now = round * MINUTES / ROUNDS + random.below(MINUTES / ROUNDS);
            world.clock.set(time(now).0.max(world.clock.now_micros()));
            let mut text = header(source).to_owned();
            for _ in 0..10 + random.below(30) {
                text.push_str(&row(random, source, next_id));
                next_id += 1;
            }
            if source == "paid" {
                ids.extend(asked_ids(&text));
            }
            let name = format!("{source}{round}.csv");
            world.ingest_text(&mut engine, source, &name, &text);
            assert!(!engine.is_emission_stuck());
            cuts.push((engine.cut(), ids.clone()));
        }
    }
    (engine, cuts)
}

/// One row of a training set, by its names.
struct Row<'a> {
    table: &'a Table,
    number: usize,
}

impl Row<'_> {
    fn value(&self, name: &str) -> Value {
        self.table.column(name).unwrap().get(self.number)
    }

    fn time(&self) -> i64 {
        match self.value("at") {
            Value::Timestamp(at) => at,
            other => panic!("{other:?} is no time"),
        }
    }

    /// What a read says of this row's keys.
    fn read(
        &self,
        engine: &Engine,
        service: &Arc<ServiceDef>,
        as_of: i64,
        cut: &Cut,
        known_at: Option<VisibleAt>,
    ) -> Vec<Answer> {
        let inputs = service.inputs.iter();
        let request = GetRequest {
            service: Arc::clone(service),
            rows: vec![inputs.map(|input| self.value(&input.name)).collect()],
            as_of: EventTime(as_of),
            cut: Some(cut.clone()),
            known_at,
        };
        engine.get(&request).unwrap().rows.remove(0)
    }
}

/// What rows were, so that a comparison is worth something.
#[derive(Debug, Default)]
struct Seen {
    values: usize,
    errors: usize,
    too_old: usize,
    labels: usize,
    passes_apart: usize,
}

/// A training set at a cut, and what reads say of its rows.
fn compare(
    engine: &Engine,
    random: &mut Random,
    (cut, ids): &(Cut, Vec<i64>),
    knowledge: KnowledgeMode,
    seen: &mut Seen,
) -> (String, usize) {
    let service = engine.service("whole").unwrap();
    let plan = TrainingPlan {
        service: Arc::clone(&service),
        spine: SpineSource::Query(SPINE.to_owned()),
        knowledge,
        cut: Some(cut.clone()),
        statuses: true,
        values_max: u64::MAX,
    };
    let (mut passes, mut is_reading) = (0, false);
    let set = engine.training_set(&plan, &mut |stage, _, _| {
        passes += usize::from(stage == "reading the log" && !is_reading);
        is_reading = stage == "reading the log";
    });
    let set = set.unwrap();
    let found = set.table.column("id").unwrap();
    let mut found: Vec<i64> = found
        .iter()
        .map(|id| match id {
            Value::BigInt(id) => id,
            other => panic!("{other:?} is no id"),
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, *ids, "the rows of the query at its cut");
    let fields = service.features();
    for _ in 0..READ_ROWS.min(ids.len()) {
        let row = Row {
            table: &set.table,
            number: random.below(ids.len() as u64) as usize,
        };
        let at = row.time();
        let known_at = (knowledge == KnowledgeMode::AsServed).then_some(VisibleAt(at));
        let answers = row.read(engine, &service, at, cut, known_at);
        for (field, answer) in fields.iter().zip(&answers) {
            let name = &field.name;
            let column = set.table.column_as(name, &field.data_type).unwrap();
            let (value, status) = (
                column.get(row.number),
                row.value(&format!("{name}__status")),
            );
            // An ERROR is NULL in a table.
            let wanted = match answer.status {
                Status::Error(_) => Value::Null,
                _ => answer.value.clone(),
            };
            assert!(
                value.same_bits(&wanted) && status == Value::string(answer.status.to_string()),
                "`{name}` of row {} at {at}, {knowledge:?}, cut {cut:?}: {value:?} {status:?}, not {answer:?}",
                row.number
            );
            seen.values += usize::from(!value.is_missing());
            seen.errors += usize::from(matches!(answer.status, Status::Error(_)));
            seen.too_old += usize::from(answer.status == Status::OutsideMaxAge);
        }
        for (label, item, is_row, minutes) in LABELS {
            let service = feature_list_of(engine.catalog(), &[item.to_owned()]).unwrap();
            // Whatever the knowledge, a label is what is known at the cut.
            let answer = row
                .read(engine, &service, at + minutes * MINUTE, cut, None)
                .remove(0);
            // Of a row view only a row that comes later counts.
            let is_before = is_row && answer.event_time.is_none_or(|time| time.0 <= at);
            let wanted = match answer.status {
                Status::Error(_) => Value::Null,
                _ if is_before => Value::Null,
                _ => answer.value,
            };
            let data_type = &service.features()[0].data_type;
            let value = set
                .table
                .column_as(label, data_type)
                .unwrap()
                .get(row.number);
            assert!(
                value.same_bits(&wanted),
                "`{label}` of row {} at {at}, cut {cut:?}: {value:?}, not {wanted:?}",
                row.number
            );
            seen.labels += usize::from(!value.is_missing());
        }
    }
    (set.digest, passes)
}

#[test]
fn rows_of_a_query_at_any_cut_are_what_reads_say() {
    let mut seen = Seen::default();
    for seed in 1..=4 {
        let mut digests = Vec::new();
        for short in [true, false] {
            println!("seed {seed}, short {short}");
            let world = World::new(DEFINITIONS);
            world.clock.set(time(0).0);
            let (engine, cuts) = history(&world, &mut Random(seed), short);
            let random = &mut Random(seed + 1_000);
            let mut of_store = Vec::new();
            let last = cuts.len() - 1;
            for number in [2, last / 2, last - 1, last] {
                for knowledge in [KnowledgeMode::Latest, KnowledgeMode::AsServed] {
                    let (digest, passes) =
                        compare(&engine, random, &cuts[number], knowledge, &mut seen);
                    seen.passes_apart += usize::from(passes > 2);
                    assert!(
                        short || passes == 1,
                        "{passes} passes of a log of one piece"
                    );
                    of_store.push(digest);
                }
            }
            digests.push(of_store);
        }
        assert_eq!(digests[0], digests[1], "seed {seed}: apart, and at once");
    }
    println!("{seen:?}");
    let Seen {
        values,
        errors,
        too_old,
        labels,
        passes_apart,
    } = seen;
    assert!(
        values > 10_000 && labels > 1_000,
        "{values} values, {labels} labels"
    );
    assert!(
        errors > 100 && too_old > 100,
        "{errors} errors, {too_old} too old"
    );
    assert!(
        passes_apart > 20,
        "{passes_apart} training sets read sources one by one"
    );
}
