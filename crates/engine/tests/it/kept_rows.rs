//! Reads that are answered from kept rows: the same bits as reads that keep nothing, whatever was
//! applied between them, forgotten, or asked for besides, at every time and cut.

use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_engine::api::{Answer, GetRequest};
use evenkeel_engine::correction::{Period, Truth, parse_positions};
use evenkeel_engine::{
    Answers, Engine, ForgetRequest, KeptViewRow, ReadPlan, RowOfView, feature_list_of,
};
use evenkeel_sim::Random;
use evenkeel_types::definition::ServiceDef;
use evenkeel_types::{Cut, EventTime, Knowledge, Status, Value, VisibleAt};

use crate::support::{World, apply_text, t};

const DEFINITIONS: &str = "
CREATE ENTITY shop (shop STRING);
CREATE ENTITY city (city BIGINT, street INT);
CREATE STREAM sales (id BIGINT, shop STRING, city BIGINT, street INT, amount DOUBLE, few INT, small FLOAT,
  is_paid BOOLEAN, name STRING, price DECIMAL(8, 2), day DATE, tags ARRAY<BIGINT>, shape FLOAT[2], at TIMESTAMP,
  share BIGINT AS (city // street), EVENT ID (id), EVENT TIME at,
  MAX FUTURE INTERVAL '30' DAY) WITH (connector = 'file', path = 'sales.jsonl');
CREATE STREAM visits (id BIGINT, shop STRING, guests INT, at TIMESTAMP, EVENT ID (id), EVENT TIME at,
  DEDUPLICATE WITHIN INTERVAL '15' MINUTE, MAX FUTURE INTERVAL '30' DAY) WITH (connector = 'file', path = 'visits.csv');
CREATE TABLE owners (shop STRING, owner STRING, rank BIGINT, at TIMESTAMP, PRIMARY KEY (shop), EVENT TIME at)
  WITH (connector = 'file', path = 'owners.csv');
CREATE STREAM listed AS SELECT s.shop, s.amount, s.tags, o.owner FROM sales s ASOF JOIN owners o ON s.shop = o.shop
  ON LATE REVISE;
CREATE FEATURE VIEW sale ENTITY shop AS
SELECT shop, amount, few, small, is_paid, name, price, day, at AS sold_at FROM sales;
CREATE FEATURE VIEW other ENTITY shop AS SELECT shop, tags, shape, share FROM sales;
CREATE FEATURE VIEW visit ENTITY shop AS SELECT shop, guests FROM visits;
CREATE FEATURE VIEW list ENTITY shop AS SELECT shop, amount AS listed_amount, tags AS listed_tags, owner AS listed_owner FROM listed;
CREATE FEATURE VIEW recent ENTITY shop TTL INTERVAL '20' MINUTE AS
SELECT shop, few AS recent_few, name AS recent_name FROM sales;
CREATE FEATURE VIEW large ENTITY shop AS
SELECT shop, amount AS large_amount FROM sales WHERE amount > 50;
CREATE FEATURE VIEW twice ENTITY shop AS SELECT shop, amount * 2 AS twice FROM sales;
CREATE FEATURE VIEW place ENTITY city AS
SELECT city, street, amount AS place_amount, shop AS place_shop FROM sales;
CREATE FEATURE VIEW owner ENTITY shop AS SELECT shop, owner, rank FROM owners;
CREATE FEATURE VIEW ranked ENTITY shop TTL INTERVAL '30' MINUTE AS SELECT shop, rank AS recent_rank FROM owners;
CREATE FEATURE VIEW total ENTITY shop AS SELECT shop, sum(amount) OVER (LAST 1 HOURS) AS total FROM sales;
CREATE FEATURE SERVICE whole VERSION 1 AS sale (*), recent (*), large (*), place (*), owner (*), ranked (*), other (*),
  visit (*), list (*);
CREATE FEATURE SERVICE mixed VERSION 1 AS total (*), sale (few, name), twice (*), owner (rank);
";
/// What lists of features are picked from, beside the services: each is a kind of rows of its own, and they are more
/// than are kept.
const ITEMS: [&str; 12] = [
    "sale:few",
    "sale:name",
    "sale:small",
    "recent:*",
    "large:*",
    "place:*",
    "owner:*",
    "ranked:*",
    "other:tags",
    "other:*",
    "visit:*",
    "list:*",
];
const LISTS: usize = 40;
const SHOPS: u64 = 6;
const START: &str = "2026-03-01T00:00:00Z";
const MINUTE: i64 = 60_000_000;
const MINUTES: u64 = 120;

/// Another type of a column, and versions of the services that read it.
fn widened() -> String {
    DEFINITIONS
        .replace("few INT", "few BIGINT")
        .replace("VERSION 1", "VERSION 2")
}

fn time(minute: u64) -> EventTime {
    EventTime(t(START) + minute as i64 * MINUTE)
}

fn shop(number: u64) -> Option<String> {
    // One has no name, one a long one.
    match number {
        0 => None,
        1 => Some("a shop with a name that is much longer than those of others".to_owned()),
        number => Some(format!("s{number}")),
    }
}

/// A sale in words, with its identity and minute.
fn sale(random: &mut Random) -> (u64, u64, String) {
    let number = random.below(40);
    // Identities meet, mostly those of the newest.
    let minute = match random.one_in(2) {
        true => random.below(MINUTES),
        false => MINUTES - 1 - random.below(4),
    };
    let shop = shop(random.below(SHOPS)).map_or("null".to_owned(), |shop| format!("\"{shop}\""));
    let few = match random.one_in(5) {
        true => "null".to_owned(),
        false => (random.below(100) as i64 - 50).to_string(),
    };
    let float = |random: &mut Random| match random.below(10) {
        0 => "null".to_owned(),
        1 => "-0.0".to_owned(),
        2 => "\"NaN\"".to_owned(),
        3 => "\"Infinity\"".to_owned(),
        4 => "\"-Infinity\"".to_owned(),
        _ => format!("{}.5", random.below(100)),
    };
    let (amount, small) = (float(random), float(random));
    let tags = match random.below(4) {
        0 => "null".to_owned(),
        1 => "[]".to_owned(),
        _ => format!("[{},null,{}]", random.below(9), random.below(9)),
    };
    let shape = match random.one_in(4) {
        true => "null".to_owned(),
        false => format!("[{}.25,-0.0]", random.below(9)),
    };
    // Nothing can be shared in street 0.
    let (city, street, cents) = (random.below(3), random.below(2), random.below(9_999));
    let (name, is_paid) = (random.below(50), random.one_in(2));
    let text = format!(
        "{{\"id\":{number},\"shop\":{shop},\"city\":{city},\"street\":{street},\"amount\":{amount},\"few\":{few},\
         \"small\":{small},\"is_paid\":{is_paid},\"name\":\"n{name}\",\"price\":\"{}.{:02}\",\
         \"day\":\"2026-01-{:02}\",\"tags\":{tags},\"shape\":{shape},\"at\":\"{}\"}}\n",
        cents / 100,
        cents % 100,
        1 + name % 28,
        time(minute)
    );
    (number, minute, text)
}

fn sales(random: &mut Random, rows: u64) -> String {
    (0..rows).map(|_| sale(random).2).collect()
}

/// Sales of some minutes, each identity once: one is in a truth once.
fn true_sales(random: &mut Random, minutes: std::ops::Range<u64>) -> String {
    let mut ids = Vec::new();
    let mut truth = String::new();
    for _ in 0..6 {
        let (id, minute, text) = sale(random);
        if minutes.contains(&minute) && !ids.contains(&id) {
            ids.push(id);
            truth.push_str(&text);
        }
    }
    truth
}

/// Visits of few ids, which drop each other.
fn visits(random: &mut Random) -> String {
    let row = |_| {
        let (id, guests, minute) = (random.below(4), random.below(9), random.below(MINUTES));
        let shop = shop(random.below(SHOPS)).unwrap_or_default();
        format!("{id},{shop},{guests},{}\n", time(minute))
    };
    let rows: String = (0..4).map(row).collect();
    format!("id,shop,guests,at\n{rows}")
}

fn owners(random: &mut Random) -> String {
    let (shop, rank) = (2 + random.below(SHOPS - 2), random.below(9));
    let op = if random.one_in(3) { "delete" } else { "upsert" };
    let at = time(random.below(MINUTES));
    format!("shop,owner,rank,at,op\ns{shop},o{rank},{rank},{at},{op}\n")
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// The rows of a file are all there is of a period.
fn correct(world: &World, engine: &mut Engine, text: &str, from: u64, to: u64) {
    let path = world.write("truth.jsonl", text);
    let offline = engine.offline();
    let source = offline.source("sales").unwrap();
    let truth = Truth::open(&source, world.path(), &path.to_string_lossy()).unwrap();
    let period = Period::new(time(from), time(to)).unwrap();
    let difference = offline.difference(&source, truth, &period, engine.means(), &mut |_, _, _| {
        go_on()
    });
    let difference = difference.unwrap();
    engine.correct(&difference, &mut |_, _, _| go_on()).unwrap();
}

/// Some positions are as if nothing had been logged there.
fn exclude(engine: &mut Engine, random: &mut Random) {
    let source = engine.source("sales").unwrap();
    let logged = engine
        .cut()
        .iter()
        .filter(|(id, ..)| *id == source.id)
        .map(|(.., end)| end.0)
        .sum::<u64>();
    if logged < 2 {
        return;
    }
    let from = random.below(logged - 1);
    let to = from + 1 + random.below(logged - from);
    let places = parse_positions(&format!("0@{from}..0@{}", to.min(logged))).unwrap();
    let offline = engine.offline();
    let difference = offline.exclusion(&source, &places, engine.means(), &mut |_, _, _| go_on());
    let difference = difference.unwrap();
    engine.correct(&difference, &mut |_, _, _| go_on()).unwrap();
}

/// A shop is forgotten, or has another name since; the store is open again.
fn forget(world: &World, engine: Engine, random: &mut Random) -> Engine {
    // No two shops get one name.
    let secret = [(); 32].map(|()| random.below(256) as u8);
    let request = ForgetRequest {
        entity: "shop".to_owned(),
        key: shop(1 + random.below(SHOPS - 1)).unwrap(),
        secret: random.one_in(2).then_some(secret),
        ..ForgetRequest::default()
    };
    let plan = engine.plan_forget(&request, &mut |_, _| go_on()).unwrap();
    engine.forget(plan).unwrap();
    Engine::open_with(&world.project(), world.clock.clone()).unwrap()
}

/// What answers were that came whole from kept rows.
#[derive(Debug, Default)]
struct Seen {
    rows: usize,
    errors: usize,
    too_old: usize,
    not_finite: usize,
    lists: usize,
    /// Of a derived stream.
    emitted: usize,
}

impl Seen {
    fn count(&mut self, names: &[&str], rows: &[Vec<Answer>]) {
        self.rows += rows.len();
        for (name, answer) in rows.iter().flat_map(|row| names.iter().zip(row)) {
            self.errors += usize::from(matches!(answer.status, Status::Error(_)));
            self.too_old += usize::from(answer.status == Status::OutsideMaxAge);
            self.not_finite += usize::from(match answer.value {
                Value::Double(number) => !number.is_finite(),
                Value::Float(number) => !number.is_finite(),
                _ => false,
            });
            self.lists +=
                usize::from(["tags", "shape"].contains(name) && answer.value != Value::Null);
            self.emitted += usize::from(*name == "listed_amount" && answer.value != Value::Null);
        }
    }
}

/// Reads of one service, or of a list of features, by a plan that stays.
struct Asking {
    service: Arc<ServiceDef>,
    plan: ReadPlan,
}

impl Asking {
    fn new(engine: &Engine, name: &str) -> Self {
        Self::of(engine.service(name).unwrap())
    }

    fn of(service: Arc<ServiceDef>) -> Self {
        Asking {
            plan: ReadPlan::new(Arc::clone(&service)),
            service,
        }
    }

    /// Some features, in some order.
    fn list(engine: &Engine, random: &mut Random) -> Self {
        let mut items: Vec<String> = Vec::new();
        for _ in 0..1 + random.below(4) {
            let item = ITEMS[random.below(ITEMS.len() as u64) as usize];
            let view = item.split(':').next().unwrap();
            if !items.iter().any(|other| other.starts_with(view)) {
                items.push(item.to_owned());
            }
        }
        Self::of(feature_list_of(engine.catalog(), &items).unwrap())
    }

    /// Rows of the service's inputs.
    fn rows(&self, random: &mut Random) -> Vec<Vec<Value>> {
        let count = 1 + random.below(8);
        let row = |_| {
            let inputs = self.service.inputs.iter();
            let value = |name: &str| match name {
                "shop" => match shop(random.below(SHOPS + 1)) {
                    Some(shop) => Value::from(shop.as_str()),
                    None => Value::Null,
                },
                "city" => Value::BigInt(random.below(4) as i64),
                _ => Value::Int(random.below(2) as i32),
            };
            inputs.map(|field| field.name.as_str()).map(value).collect()
        };
        (0..count).map(row).collect()
    }

    /// Reads as a server does, from what is kept as far as it goes.
    fn read(
        &self,
        engine: &Engine,
        request: &GetRequest,
        knowledge: &Knowledge,
    ) -> (Answers, usize) {
        let mut answers = Answers::new(&self.plan);
        let mut all_kept = 0;
        while answers.len() < request.rows.len() {
            let rows = &request.rows[answers.len()..];
            let (as_of, plan) = (request.as_of, &self.plan);
            let kept = engine.read_kept(plan, rows, as_of, knowledge, &mut answers);
            all_kept += kept;
            if kept == 0 {
                let rows = &rows[..rows.len().min(3)];
                engine
                    .read_more(plan, rows, as_of, knowledge, &mut answers)
                    .unwrap();
            }
        }
        (answers, all_kept)
    }

    /// Reads what is kept of all rows, which is all or nothing, and was `found` by column just now.
    fn compare_whole(&self, engine: &Engine, request: &GetRequest, found: &[Vec<Answer>]) {
        let mut answers = Answers::new(&self.plan);
        let knowledge = Knowledge {
            cut: engine.cut(),
            known_at: None,
        };
        let (plan, rows, as_of) = (&self.plan, &request.rows, request.as_of);
        let kept = engine.read_kept(plan, rows, as_of, &knowledge, &mut answers);
        let whole = engine.read_whole(plan, rows, as_of);
        assert_eq!(whole.is_some(), kept == rows.len());
        let Some(whole) = whole else {
            return;
        };
        assert_eq!(whole.len(), found.len());
        let same = |one: &Answer, other: &Answer| {
            one.value.same_bits(&other.value)
                && one.status == other.status
                && one.event_time == other.event_time
        };
        let by_column = whole.to_answers(plan).to_rows();
        for (number, expected) in found.iter().enumerate() {
            let views = whole.row(number);
            let answer = |view: &KeptViewRow<'_>, feature| Answer {
                value: view.value(feature),
                status: view.status(feature),
                event_time: view.event_time().map(EventTime),
            };
            let row: Vec<Answer> = views
                .iter()
                .flat_map(|view| (0..view.width()).map(move |feature| answer(view, feature)))
                .collect();
            assert_eq!(row.len(), expected.len());
            for ((one, other), expected) in row.iter().zip(&by_column[number]).zip(expected) {
                assert!(same(one, expected), "{one:?}, not {expected:?}");
                assert!(same(other, expected), "{other:?}, not {expected:?}");
            }
        }
    }

    /// Reads twice, and as one who keeps nothing does; at a cut of before, or a known time, too.
    fn compare(
        &self,
        engine: &Engine,
        random: &mut Random,
        cuts: &[Cut],
        seed: u64,
        seen: &mut Seen,
    ) {
        let cut = match random.one_in(4) {
            true => cuts[random.below(cuts.len() as u64) as usize].clone(),
            false => engine.cut(),
        };
        let known_at = random.one_in(8).then(|| VisibleAt(engine.now().0));
        let as_of = match random.one_in(3) {
            true => time(random.below(MINUTES + 30)),
            false => time(MINUTES + random.below(30)),
        };
        // Ages end at full minutes, as events come at these.
        let as_of = EventTime(as_of.0 + random.below(3) as i64 - 1);
        let request = GetRequest {
            service: Arc::clone(&self.service),
            rows: self.rows(random),
            as_of,
            cut: Some(cut.clone()),
            known_at,
        };
        let expected = engine.get(&request).unwrap().rows;
        let knowledge = Knowledge { cut, known_at };
        let fields = self.service.features();
        let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        for turn in 0..2 {
            let (found, kept) = self.read(engine, &request, &knowledge);
            let found: Vec<Vec<Answer>> = found.to_rows();
            assert_eq!(found.len(), expected.len());
            if kept == found.len() {
                seen.count(&names, &found);
            }
            if known_at.is_none() && knowledge.cut == engine.cut() {
                self.compare_whole(engine, &request, &found);
            }
            for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
                for ((name, found), expected) in names.iter().zip(found).zip(expected) {
                    assert!(
                        found.value.same_bits(&expected.value)
                            && found.status == expected.status
                            && found.event_time == expected.event_time,
                        "seed {seed}, turn {turn}, row {row} ({:?}), `{name}` at {as_of}: {found:?}, not {expected:?}",
                        request.rows[row],
                    );
                }
            }
        }
    }
}

/// One store under a seed.
fn walk(seed: u64, seen: &mut Seen) {
    let mut random = Random(seed);
    let random = &mut random;
    let world = World::new(DEFINITIONS);
    // Sometimes there is room for few rows, or none.
    let bytes = [60_000, 400_000, 1 << 29][random.below(3) as usize];
    world.write(
        "evenkeel.toml",
        &format!("[limits]\nmemory_bytes = {bytes}\n"),
    );
    world.clock.set(time(MINUTES + 30).0);
    let mut engine = world.engine();
    let mut cuts = vec![engine.cut()];
    let mut is_wide = false;
    let mut asked = ["whole", "mixed"].map(|name| Asking::new(&engine, name));
    let lists: Vec<Asking> = (0..LISTS).map(|_| Asking::list(&engine, random)).collect();
    for step in 0..40 {
        let name = format!("f{step}");
        match random.below(20) {
            0..8 => {
                let rows = 1 + random.below(12);
                let text = sales(random, rows);
                world.ingest_text(&mut engine, "sales", &format!("{name}.jsonl"), &text);
            }
            8..11 => {
                let text = owners(random);
                world.ingest_text(&mut engine, "owners", &format!("{name}.csv"), &text);
            }
            11..13 => {
                let text = visits(random);
                world.ingest_text(&mut engine, "visits", &format!("{name}.csv"), &text);
            }
            13..15 => {
                let from = random.below(MINUTES);
                let to = from + 1 + random.below(30);
                let truth = true_sales(random, from..to);
                correct(&world, &mut engine, &truth, from, to);
            }
            15 => exclude(&mut engine, random),
            16 => engine.checkpoint().unwrap(),
            17 => engine = forget(&world, engine, random),
            _ if !is_wide => {
                is_wide = true;
                apply_text(&mut engine, &widened());
                // Those of before go on with their plans; new ones come.
                if random.one_in(2) {
                    asked = ["whole", "mixed"].map(|name| Asking::new(&engine, name));
                }
            }
            _ => {
                drop(engine);
                engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
            }
        }
        assert!(!engine.is_emission_stuck());
        cuts.push(engine.cut());
        for asking in &asked {
            for _ in 0..6 {
                asking.compare(&engine, random, &cuts, seed, seen);
            }
        }
        for _ in 0..8 {
            let asking = &lists[random.below(LISTS as u64) as usize];
            asking.compare(&engine, random, &cuts, seed, seen);
        }
    }
}

#[test]
fn kept_rows_are_what_a_read_without_them_finds() {
    let seed = std::env::var("EVENKEEL_SEED").map_or(1, |text| text.parse().unwrap());
    let mut seen = Seen::default();
    for seed in seed..seed + 12 {
        println!("EVENKEEL_SEED={seed}");
        walk(seed, &mut seen);
    }
    // The comparison is worth something, although most keys have events in conflict.
    println!("{seen:?}");
    let Seen {
        rows,
        errors,
        too_old,
        not_finite,
        lists,
        emitted,
    } = seen;
    assert!(rows > 700, "{rows} rows");
    for count in [errors, too_old, not_finite, lists, emitted] {
        assert!(count > 10, "{count}");
    }
}
