//! Segments against reads of every key one by one, which training confirms: at any time and
//! cut, in pages of any size, whatever left the hot tier and after a restart.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;

use evenkeel_engine::api::GetRequest;
use evenkeel_engine::doctor::{Part, doctor};
use evenkeel_engine::{
    AtOnce, Engine, EngineError, ForgetRequest, FrozenSegments, Offline, SegmentAnswer,
    SegmentPlan, SegmentRequest, ask_segment, backup, restore, segment_of, segment_query,
};
use evenkeel_types::codec::encode_values;
use evenkeel_types::time::format_timestamp;
use evenkeel_types::{Cut, EventTime, Value, VisibleAt};
use proptest::prelude::*;

use crate::support::{World, apply_text, read, t};

const DEFINITIONS: &str = "
CREATE ENTITY shop (region STRING, shop BIGINT);
CREATE STREAM sales (id BIGINT, region STRING, shop BIGINT, amount DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, MAX FUTURE INTERVAL '1000' DAY, HOT RETENTION INTERVAL '1' DAY)
  WITH (connector = 'file', path = 'sales.csv');
CREATE TABLE owners (region STRING, shop BIGINT, owner STRING, op STRING, at TIMESTAMP,
  PRIMARY KEY (region, shop), EVENT TIME at, MAX FUTURE INTERVAL '1000' DAY)
  WITH (connector = 'file', path = 'owners.csv', operation = 'op');
CREATE FEATURE VIEW sums ENTITY shop AS
SELECT region, shop, count(*) OVER w AS n, sum(amount) OVER w AS total FROM sales WINDOW w AS (LAST 6 HOURS);
CREATE FEATURE VIEW owner_of ENTITY shop TTL INTERVAL '3' DAY AS SELECT region, shop, owner FROM owners;
CREATE FEATURE VIEW mean ENTITY shop AS SELECT total / n AS mean FROM sums;
CREATE FEATURE SERVICE all_of_them VERSION 1 AS sums (*), owner_of (*), mean (*);
CREATE SEGMENT rich AS
SELECT region, shop, s.total, upper(o.owner) AS owner, m.mean
FROM sums s JOIN owner_of o USING (region, shop) JOIN mean m USING (region, shop)
WHERE s.total > 100 AND (o.owner IS NULL OR o.owner <> 'b') AND 12 / s.n < 7;
CREATE SEGMENT known AS SELECT region, shop FROM owner_of;
";

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 11) % bound
    }
}

const REGIONS: [&str; 4] = ["", "north", "n\u{e4}h", "north-east"];

fn random_key(random: &mut Random) -> (&'static str, u64) {
    (REGIONS[random.below(4) as usize], random.below(30))
}

fn start() -> i64 {
    t("2026-02-18T00:00:00Z")
}

/// A few hundred events over ten days, from two files each, so that there are two cuts.
fn history(world: &World, random: &mut Random) -> (Engine, Vec<Cut>) {
    let mut engine = world.engine();
    let mut cuts = Vec::new();
    for file in 0..3 {
        let mut sales = "id,region,shop,amount,at\n".to_owned();
        let mut owners = "region,shop,owner,op,at\n".to_owned();
        for row in 0..random.below(150) {
            let at = |random: &mut Random| {
                format_timestamp(start() + random.below(10 * 24 * 60) as i64 * 60_000_000)
            };
            let (region, shop) = random_key(random);
            let (amount, when) = (random.below(150), at(random));
            let id = file * 1_000 + row;
            sales.push_str(&format!("{id},{region},{shop},{amount}.25,{when}\n"));
            if random.below(4) == 0 {
                let (region, shop) = random_key(random);
                let owner = ["a", "b", "c"][random.below(3) as usize];
                let op = ["upsert", "upsert", "delete"][random.below(3) as usize];
                let when = at(random);
                owners.push_str(&format!("{region},{shop},{owner},{op},{when}\n"));
            }
        }
        world.ingest_text(&mut engine, "sales", &format!("sales{file}.csv"), &sales);
        world.ingest_text(&mut engine, "owners", &format!("owners{file}.csv"), &owners);
        if random.below(2) == 0 {
            engine.checkpoint().unwrap();
        }
        cuts.push(engine.cut());
    }
    (engine, cuts)
}

/// Every key that can be, and some that cannot.
fn keys() -> Vec<Vec<Value>> {
    let shops = |region: &'static str| {
        (0..31).map(move |shop| vec![Value::string(region), Value::BigInt(shop)])
    };
    REGIONS.into_iter().flat_map(shops).collect()
}

/// What `rich` is by its meaning: the rows of the keys that are in it, by key.
fn expected(engine: &Engine, as_of: i64, cut: &Cut) -> (BTreeSet<Vec<u8>>, u64, u64) {
    let request = GetRequest {
        service: engine.service("all_of_them").unwrap(),
        rows: keys(),
        as_of: EventTime(as_of),
        cut: Some(cut.clone()),
        known_at: None,
    };
    let answer = read(engine, &request);
    let (mut rows, mut asked, mut undecided) = (BTreeSet::new(), 0, 0);
    for (key, found) in keys().into_iter().zip(answer.rows) {
        if found.iter().all(|a| a.event_time.is_none()) {
            continue;
        }
        asked += 1;
        let [n, total, owner, mean] = found.try_into().unwrap();
        let Value::BigInt(n) = n.value else {
            panic!("a count is there")
        };
        let is_rich = matches!(total.value, Value::Double(total) if total > 100.0);
        let is_owned_by_b = owner.value == Value::string("b");
        if !is_rich || is_owned_by_b {
            // AND and OR do not evaluate what they need not; a NULL total is not more than 100,
            // nor does it say that it is not.
            let is_false = total.value != Value::Null || is_owned_by_b;
            undecided += u64::from(!is_false && n == 0);
            continue;
        }
        if 12 / n >= 7 {
            continue;
        }
        let owner = match owner.value {
            Value::String(text) => Value::string(text.to_uppercase()),
            other => other,
        };
        let row = [&key[..], &[total.value, owner, mean.value]].concat();
        rows.insert(encode_values(&row));
    }
    (rows, asked, undecided)
}

fn request(plan: &Arc<SegmentPlan>, as_of: i64, cut: &Cut, limit: usize) -> SegmentRequest {
    SegmentRequest {
        plan: Arc::clone(plan),
        as_of: Some(EventTime(as_of)),
        not_before: None,
        positions: Cut::empty(),
        cut: Some(cut.clone()),
        known_at: None,
        after: None,
        limit,
        counts: false,
        at_once: AtOnce::default(),
    }
}

/// The same question, with the keys behind the first `keys_first` asked at once.
fn at_once(request: &SegmentRequest, keys_first: u64) -> SegmentRequest {
    SegmentRequest {
        at_once: AtOnce {
            keys_first,
            events_per_key: u64::MAX,
            values_max: u64::MAX,
            ..AtOnce::default()
        },
        ..request.clone()
    }
}

/// All rows in pages: their bytes, in order, and what the pages counted.
fn pages(engine: &Engine, mut page: SegmentRequest) -> (Vec<Vec<u8>>, u64, u64) {
    let (mut rows, mut asked, mut undecided) = (Vec::new(), 0, 0);
    loop {
        let answer = engine.ask_segment(&page).unwrap();
        assert!(answer.rows <= page.limit);
        assert_eq!(answer.matched, answer.rows as u64);
        assert_eq!(answer.complete, answer.next.is_none());
        rows.extend((0..answer.rows).map(|row| encode_values(&answer.row(row))));
        asked += answer.asked;
        undecided += answer.undecided;
        page.after = answer.next;
        if page.after.is_none() {
            return (rows, asked, undecided);
        }
    }
}

fn plan(engine: &Engine, name: &str) -> Arc<SegmentPlan> {
    Arc::new(SegmentPlan::new(
        segment_of(engine.catalog(), name).unwrap(),
    ))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn a_segment_has_the_keys_that_reads_say(seed in any::<u64>(), limit in 1usize..20) {
        let mut random = Random(seed);
        let world = World::new(DEFINITIONS);
        world.write("evenkeel.toml", "[limits]\nmemory_bytes = 200000\n");
        let (engine, cuts) = history(&world, &mut random);
        let check = |engine: &Engine, as_of: i64, cut: &Cut| {
            let rich = plan(engine, "rich");
            let (want, asked, undecided) = expected(engine, as_of, cut);
            let (all, ..) = pages(engine, request(&rich, as_of, cut, usize::MAX));
            assert_eq!(all.len(), want.len());
            assert_eq!(all.iter().cloned().collect::<BTreeSet<_>>(), want);
            let paged = request(&rich, as_of, cut, limit);
            let of_pages = (all.clone(), asked, undecided);
            assert_eq!(pages(engine, paged.clone()), of_pages);
            let counting = SegmentRequest { counts: true, ..request(&rich, as_of, cut, 0) };
            let counted = engine.ask_segment(&counting).unwrap();
            assert_eq!((counted.rows, counted.complete), (0, true));
            assert_eq!(counted.matched, want.len() as u64);
            assert_eq!((counted.asked, counted.undecided), (asked, undecided));
            // With the hot tier closed.
            let offline = engine.offline();
            for asked in [&counting, &request(&rich, as_of, cut, usize::MAX)] {
                let asked_of = |offline: &Offline| {
                    offline.ask_segment(asked, &mut |_| ControlFlow::Continue(())).unwrap()
                };
                let found = asked_of(&offline).expect("all keys are asked, with few events");
                let of = |answer: &SegmentAnswer| {
                    let rows: Vec<_> = (0..answer.rows).map(|row| answer.row(row)).collect();
                    (rows, answer.matched, answer.asked, answer.undecided, answer.complete)
                };
                assert_eq!(of(&found), of(&engine.ask_segment(asked).unwrap()));
            }
            assert!(offline.ask_segment(&paged, &mut |_| ControlFlow::Continue(())).unwrap().is_none());
            for keys_first in [0, 1, 7] {
                let in_pages = pages(engine, at_once(&paged, keys_first));
                assert_eq!(in_pages, of_pages, "at once behind {keys_first} keys");
                let whole = at_once(&request(&rich, as_of, cut, usize::MAX), keys_first);
                assert_eq!(pages(engine, whole), of_pages, "at once behind {keys_first} keys");
                for limit in [0, limit] {
                    let counting = SegmentRequest { counts: true, ..request(&rich, as_of, cut, limit) };
                    let one_by_one = engine.ask_segment(&counting).unwrap();
                    let found = engine.ask_segment(&at_once(&counting, keys_first)).unwrap();
                    let of = |answer: &SegmentAnswer| {
                        let rows: Vec<_> = (0..answer.rows).map(|row| answer.row(row)).collect();
                        (rows, answer.matched, answer.asked, answer.undecided, answer.next.clone())
                    };
                    assert_eq!(of(&found), of(&one_by_one), "at once behind {keys_first} keys");
                }
            }
        };
        let moments: Vec<(i64, Cut)> = (0..3)
            .map(|_| {
                let cut = &cuts[random.below(3) as usize];
                (start() + random.below(11 * 24) as i64 * 3_600_000_000, cut.clone())
            })
            .collect();
        for (as_of, cut) in &moments {
            check(&engine, *as_of, cut);
        }
        drop(engine);
        let engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
        for (as_of, cut) in &moments {
            check(&engine, *as_of, cut);
        }
    }
}

#[test]
fn who_is_known_changes_with_time_deletes_and_knowledge() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let owners = "region,shop,owner,op,at\n\
                  west,1,a,upsert,2026-02-20T00:00:00Z\n\
                  north,2,a,upsert,2026-02-21T00:00:00Z\n\
                  west,1,a,delete,2026-02-22T00:00:00Z\n";
    world.ingest_text(&mut engine, "owners", "owners1.csv", owners);
    let known = plan(&engine, "known");
    let keys = |at: &str, known_at: Option<&str>| {
        let asked = SegmentRequest {
            known_at: known_at.map(|at| VisibleAt(t(at))),
            ..request(&known, t(at), &engine.cut(), 10)
        };
        let answer = engine.ask_segment(&asked).unwrap();
        let keys = (0..answer.rows).map(|row| match answer.row(row)[1] {
            Value::BigInt(shop) => shop,
            ref other => panic!("{other:?} is no shop"),
        });
        keys.collect::<BTreeSet<_>>()
    };
    let set = |shops: &[i64]| shops.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(keys("2026-02-19T23:59:59Z", None), set(&[]));
    assert_eq!(keys("2026-02-20T00:00:00Z", None), set(&[1]));
    assert_eq!(keys("2026-02-21T00:00:00Z", None), set(&[1, 2]));
    // Deleted; what is too old for its view is still known.
    assert_eq!(keys("2026-02-22T00:00:00Z", None), set(&[2]));
    assert_eq!(keys("2027-02-22T00:00:00Z", None), set(&[2]));
    // All of it became visible at noon of the second of March.
    assert_eq!(
        keys("2027-02-22T00:00:00Z", Some("2026-03-02T11:59:59Z")),
        set(&[])
    );
}

#[test]
fn a_query_needs_no_definition() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let sales = "id,region,shop,amount,at\n1,north,1,3.5,2026-02-20T00:00:00Z\n\
                 2,north,2,30.5,2026-02-20T01:00:00Z\n";
    world.ingest_text(&mut engine, "sales", "sales1.csv", sales);
    let query = "SELECT region, shop, total * 2 AS twice FROM sums WHERE total > 4;";
    let def = segment_query(engine.catalog(), query).unwrap();
    let plan = Arc::new(SegmentPlan::new(def));
    let answer = engine
        .ask_segment(&request(
            &plan,
            t("2026-02-20T02:00:00Z"),
            &engine.cut(),
            10,
        ))
        .unwrap();
    let row = [
        Value::string("north"),
        Value::BigInt(2),
        Value::Double(61.0),
    ];
    assert_eq!((answer.rows, answer.row(0)), (1, row.to_vec()));
    let wrong = segment_query(engine.catalog(), "SELECT region FROM sums WHERE totl > 4");
    let Err(EngineError::Definitions(mistakes)) = wrong else {
        panic!("{wrong:?}")
    };
    assert_eq!(mistakes[0].1.message, "`sums` has no column `totl`");
}

#[test]
fn versions_of_a_segment_stay() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let changed = DEFINITIONS.replace("total > 100", "total > 0");
    apply_text(&mut engine, &changed);
    apply_text(&mut engine, &changed);
    let sales = "id,region,shop,amount,at\n1,north,1,3.5,2026-02-20T00:00:00Z\n\
                 2,north,1,3.5,2026-02-20T00:00:00Z\n";
    world.ingest_text(&mut engine, "sales", "sales1.csv", sales);
    let rows = |engine: &Engine, name: &str| {
        let asked = request(
            &plan(engine, name),
            t("2026-02-20T02:00:00Z"),
            &engine.cut(),
            10,
        );
        engine.ask_segment(&asked).unwrap().rows
    };
    for name in ["rich", "rich@2"] {
        assert_eq!(rows(&engine, name), 1);
    }
    assert_eq!(rows(&engine, "rich@1"), 0);
    drop(engine);
    let engine = Engine::open_with(&world.project(), world.clock.clone()).unwrap();
    assert_eq!((rows(&engine, "rich"), rows(&engine, "rich@1")), (1, 0));
    let unknown = |name: &str| segment_of(engine.catalog(), name).unwrap_err().to_string();
    assert_eq!(unknown("rich@3"), "there is no segment `rich@3`");
    assert_eq!(unknown("poor"), "there is no segment `poor`");
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let known = plan(&engine, "known");
    let cut = engine.cut();
    let behind = |engine: &Engine, key: Vec<Value>| {
        let asked = SegmentRequest {
            after: Some(key),
            ..request(&known, 0, &cut, 10)
        };
        engine.ask_segment(&asked).map(|answer| answer.rows)
    };
    assert_eq!(
        behind(&engine, vec![Value::BigInt(1)])
            .unwrap_err()
            .to_string(),
        "a key of `shop` cannot be asked: it has 1 parts, a key has 2"
    );
    assert_eq!(
        behind(&engine, vec![Value::Null, Value::BigInt(1)])
            .unwrap_err()
            .to_string(),
        "a key of `shop` cannot be asked: a part of it is NULL"
    );
    assert_eq!(
        behind(&engine, vec![Value::string("x"), Value::BigInt(1)]).unwrap(),
        0
    );
    let stopped = ask_segment(&engine, &request(&known, 0, &cut, 10), &mut |_| {
        ControlFlow::Break(())
    });
    // There is no key yet, so there is nothing to stop.
    assert_eq!(stopped.unwrap().rows, 0);
    let long = "x".repeat(5_000);
    let owners = format!("region,shop,owner,op,at\n{long},1,a,upsert,2026-02-20T00:00:00Z\n");
    world.ingest_text(&mut engine, "owners", "owners1.csv", &owners);
    let asked = request(&known, t("2026-02-21T00:00:00Z"), &engine.cut(), 10);
    let stopped = ask_segment(&engine, &asked, &mut |_| ControlFlow::Break(()));
    assert_eq!(
        stopped.unwrap_err().to_string(),
        "a key of `shop` cannot be asked: one is longer than 4,096 bytes, and such keys are not listed"
    );
}

#[test]
fn what_is_frozen_is_backed_up_and_examined() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let owners = "region,shop,owner,op,at\nwest,1,a,upsert,2026-02-20T00:00:00Z\n";
    world.ingest_text(&mut engine, "owners", "owners1.csv", owners);
    let known = plan(&engine, "known");
    let project = world.project();
    let folder = FrozenSegments::of(&project.store);
    let freeze = || {
        let asked = request(&known, t("2026-02-21T00:00:00Z"), &engine.cut(), usize::MAX);
        let answer = engine.ask_segment(&asked).unwrap();
        let cut = engine.format_cut(&answer.cut);
        folder.freeze(&known, answer, &cut).unwrap()
    };
    let frozen = [freeze(), freeze()];
    assert_eq!(
        (frozen[0].number, frozen[1].number, frozen[0].rows),
        (1, 2, 1)
    );
    // A freeze that was killed left its keys: they are written again.
    fs::remove_file(project.store.join("segments/known/2.json")).unwrap();
    assert_eq!(folder.list().unwrap(), frozen[..1]);
    assert_eq!(freeze(), frozen[1]);
    drop(engine);
    let target = world.path().join("backup");
    backup(&project, &target, &mut |_, _| ()).unwrap();
    fs::remove_dir_all(&project.store).unwrap();
    restore(&project, &target).unwrap();
    assert_eq!(folder.list().unwrap(), frozen);
    for manifest in &frozen {
        assert_eq!(folder.table(manifest).unwrap().len(), 1);
    }
    let damages = || {
        let examined = doctor(&project, false, &|_, _| ControlFlow::Continue(())).unwrap();
        let damages = examined.damages.into_iter();
        let of_segments = damages.filter(|damage| damage.part == Part::Segment);
        of_segments.map(|damage| damage.reason).collect::<Vec<_>>()
    };
    assert_eq!(damages(), Vec::<String>::new());
    let manifest = project.store.join("segments/known/1.json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("2026-02-21", "2026-02-22")).unwrap();
    fs::remove_file(project.store.join("segments/known/2.parquet")).unwrap();
    let found = damages();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], "its checksum is another");
    assert!(found[1].contains("2.parquet"), "{found:?}");
}

#[test]
fn a_key_that_is_forgotten_is_in_no_frozen_segment() {
    let world = World::new(DEFINITIONS);
    let mut engine = world.engine();
    let owners = "region,shop,owner,op,at\nwest,1,a,upsert,2026-02-20T00:00:00Z\n\
                  west,2,b,upsert,2026-02-20T00:00:00Z\neast,1,c,upsert,2026-02-20T00:00:00Z\n";
    world.ingest_text(&mut engine, "owners", "owners1.csv", owners);
    let known = plan(&engine, "known");
    let project = world.project();
    let folder = FrozenSegments::of(&project.store);
    let asked = request(&known, t("2026-02-21T00:00:00Z"), &engine.cut(), usize::MAX);
    let answer = engine.ask_segment(&asked).unwrap();
    let cut = engine.format_cut(&answer.cut);
    folder.freeze(&known, answer, &cut).unwrap();
    let request = ForgetRequest {
        entity: "shop".to_owned(),
        key: "region=west,shop=1".to_owned(),
        ..ForgetRequest::default()
    };
    let plan = engine
        .plan_forget(&request, &mut |_, _| ControlFlow::Continue(()))
        .unwrap();
    let report = engine.forget(plan).unwrap();
    assert_eq!(report.segments[0].segment, "known:1");
    assert_eq!((report.sources[0].events, report.segments[0].rows), (1, 1));
    let manifest = folder.manifest(&"known:1".parse().unwrap()).unwrap();
    assert_eq!((manifest.rows, manifest.forgotten), (2, 1));
    let table = folder.table(&manifest).unwrap();
    let shops = table.column("shop").unwrap();
    let regions = table.column("region").unwrap();
    for row in 0..2 {
        let is_it = regions.get(row).same_bits(&Value::from("west"))
            && shops.get(row).same_bits(&Value::BigInt(1));
        assert!(!is_it);
    }
    drop(world.engine());
    let examined = doctor(&project, false, &|_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(examined.damages, []);
}
