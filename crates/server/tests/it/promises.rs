//! Read promises: sessions, levels, deadlines, degraded answers.

use evenkeel_engine::ServerLimits;
use evenkeel_server::Tokens;
use serde_json::{Value as Json, json};

use crate::support::{World, shared};

fn tap(at: &str) -> Json {
    json!([{"driver": 1, "at": at}])
}

fn ask(more: Json) -> Json {
    let mut ask = json!({"features": ["tap_stats:taps"], "entities": [{"driver": 1}]});
    for (name, value) in more.as_object().unwrap() {
        ask[name] = value.clone();
    }
    ask
}

/// A time some minutes from the server's now.
async fn soon(world: &World, minutes: i64) -> String {
    let now = world.read(&ask(json!({}))).await["as_of"]
        .as_str()
        .unwrap()
        .to_owned();
    let utc = evenkeel_types::Zone::utc();
    let micros = evenkeel_types::time::parse_timestamp(&now, &utc).unwrap();
    evenkeel_types::time::format_timestamp(micros + minutes * 60_000_000)
}

#[tokio::test]
async fn a_session_sees_its_own_writes_also_those_dated_ahead() {
    let world = World::new();
    let ahead = soon(&world, 30).await;
    let pushed = world.push("taps", &tap(&ahead)).await;
    let without = world.read(&ask(json!({}))).await;
    assert_eq!(without["rows"][0]["values"], json!([0]));
    for level in ["eventual", "at_least", "strong", "strong_now"] {
        let with = ask(json!({"session": pushed["session"], "consistency": level}));
        let with = world.read(&with).await;
        assert_eq!(with["rows"][0]["values"], json!([1]), "{level}");
        assert_eq!(with["as_of"], json!(ahead));
    }
    // A time of its own is the reader's.
    let own = ask(json!({"session": pushed["session"], "as_of": "2026-01-01"}));
    assert_eq!(world.read(&own).await["as_of"], "2026-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_promise_that_is_not_met_in_time_names_what_is_missing() {
    let world = World::new();
    world.push("taps", &tap("2026-03-01T10:00:00Z")).await;
    let unmet =
        ask(json!({"consistency": "at_least", "min_positions": "taps/0@3", "timeout_ms": 5}));
    let answer = world.post_json("/v1/features", &unmet).await;
    assert_eq!(answer.code(), "DEADLINE");
    let place =
        json!({"what": "applied", "source": "taps", "partition": 0, "wanted": "3", "reached": "1"});
    assert_eq!(answer.json()["error"]["place"], place);
    let mut degraded = unmet.clone();
    degraded["degraded"] = json!(true);
    let answer = world.read(&degraded).await;
    assert_eq!(answer["degraded"], place);
    assert_eq!(answer["cut"], "taps/0@1");
    // The same positions in a session are waited for at any level.
    let session = ask(json!({"session": "taps/0@2", "timeout_ms": 5}));
    assert_eq!(
        world.post_json("/v1/features", &session).await.code(),
        "DEADLINE"
    );
}

#[tokio::test]
async fn complete_waits_for_watermarks_of_what_is_read() {
    let world = World::new();
    let complete = |time: &str| ask(json!({"consistency": {"complete": time}, "timeout_ms": 5}));
    let answer = world
        .post_json("/v1/features", &complete("2026-03-01T10:00:00Z"))
        .await;
    assert_eq!(answer.code(), "DEADLINE");
    assert_eq!(
        answer.json()["error"]["place"],
        json!({"what": "watermark", "source": "taps", "partition": null, "wanted": "2026-03-01T10:00:00Z",
            "reached": "no event yet"})
    );
    // Lateness is ten minutes; events exactly at the watermark may still come.
    world.push("taps", &tap("2026-03-01T10:10:00Z")).await;
    let answer = world
        .post_json("/v1/features", &complete("2026-03-01T10:00:00Z"))
        .await;
    assert_eq!(answer.code(), "DEADLINE");
    let message = answer.json()["error"]["message"].to_string();
    let wanted = "is at 2026-03-01T10:00:00Z, wanted is later than 2026-03-01T10:00:00Z";
    assert!(message.contains(wanted), "{message}");
    world.read(&complete("2026-03-01T09:59:59.999999Z")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_waits_for_a_write_that_comes() {
    let world = shared(World::new());
    let read = ask(
        json!({"consistency": "at_least", "min_positions": "taps/0@1",
        "timeout_ms": 60_000, "as_of": "2026-03-01T10:00:00Z"}),
    );
    let reading = {
        let world = world.clone();
        tokio::spawn(async move { world.read(&read).await })
    };
    world.push("taps", &tap("2026-03-01T10:00:00Z")).await;
    assert_eq!(reading.await.unwrap()["rows"][0]["values"], json!([1]));
}

#[tokio::test]
async fn a_named_cut_keeps_what_is_promised_or_is_refused() {
    let world = World::new();
    let first = world.push("taps", &tap("2026-03-01T10:00:00Z")).await;
    let second = world.push("taps", &tap("2026-03-01T10:00:00Z")).await;
    let old = first["positions"].clone();
    let place =
        json!({"what": "applied", "source": "taps", "partition": 0, "wanted": "2", "reached": "1"});
    for promise in [
        json!({"session": second["session"]}),
        json!({"min_positions": "taps/0@2"}),
        json!({"consistency": "strong"}),
        json!({"consistency": "strong_now"}),
    ] {
        let mut named = ask(promise.clone());
        named["cut"] = old.clone();
        named["as_of"] = json!("2026-03-01T10:00:00Z");
        let answer = world.post_json("/v1/features", &named).await;
        assert_eq!(answer.code(), "CUT_LACKS", "{promise}");
        assert_eq!(answer.json()["error"]["place"], place);
        named["degraded"] = json!(true);
        let answer = world.read(&named).await;
        assert_eq!(answer["degraded"], place);
        assert_eq!(answer["rows"][0]["values"], json!([1]));
        named["cut"] = second["positions"].clone();
        let answer = world.read(&named).await;
        assert_eq!(answer["degraded"], json!(null));
        assert_eq!(answer["rows"][0]["values"], json!([2]));
    }
    let complete = json!({"cut": old, "consistency": {"complete": "2026-03-01T10:00:00Z"}});
    let answer = world.post_json("/v1/features", &ask(complete)).await;
    assert_eq!(answer.code(), "INVALID");
}

fn ride(id: &str, at: &str, more: Json) -> Json {
    let mut asked = json!({"row": {"id": id, "driver": 1, "fare": 0.5, "at": at},
        "service": "model", "version": 2, "consistency": "complete"});
    for (name, value) in more.as_object().unwrap() {
        asked[name] = value.clone();
    }
    asked
}

fn statement_of(answer: &Json) -> (Json, Json, Json) {
    let part = |name: &str| answer[name].clone();
    (part("rows"), part("cut"), part("result"))
}

#[tokio::test]
async fn a_trigger_waits_for_watermarks_and_is_the_same_for_ever() {
    let world = World::new();
    let at = "2026-03-01T10:30:00Z";
    let named = json!({"consistency": {"complete": ["taps"]}, "deadline_ms": 5});
    let asked = ride("one", at, named.clone());
    let answer = world.post_json("/v1/triggers/rides", &asked).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let answer = answer.json();
    let missing = json!({"what": "watermark", "source": "taps", "partition": null, "wanted": at,
        "reached": "no event yet"});
    assert_eq!(answer["missing"], missing);
    assert_eq!(
        (&answer["status"], &answer["answered"]),
        (&json!("logged"), &json!(false))
    );
    assert_eq!(answer["consistency"], json!({"complete": ["taps"]}));
    let id = answer["result"].as_str().unwrap().to_owned();
    let path = format!("/v1/results/{id}");
    let late = world.get(&format!("{path}?wait_ms=5")).await;
    assert_eq!(late.code(), "DEADLINE");
    let mut place = missing.clone();
    place["result"] = json!(id);
    assert_eq!(late.json()["error"]["place"], place);
    let nobody = world.get(&format!("{path}?wait_ms=0")).await;
    assert_eq!((nobody.status, &nobody.json()["missing"]), (202, &missing));
    // Rather the answer at its own place than none: sent again, and by name.
    let mut degraded = asked.clone();
    degraded["degraded"] = json!(true);
    let own = world
        .post_json("/v1/triggers/rides", &degraded)
        .await
        .json();
    assert_eq!(
        (&own["degraded"], &own["duplicate"]),
        (&missing, &json!(true))
    );
    assert_eq!(
        (&own["cut"], &own["rows"][0]["values"]),
        (&json!("rides/0@1"), &json!([1, 0.5, 0]))
    );
    let by_name = world
        .get(&format!("{path}?wait_ms=5&degraded=true"))
        .await
        .json();
    assert_eq!(statement_of(&by_name), statement_of(&own));
    // At ten minutes later others may still come.
    world.push("taps", &tap("2026-03-01T10:20:00Z")).await;
    world.push("taps", &tap("2026-03-01T10:40:00Z")).await;
    assert_eq!(
        world.get(&format!("{path}?wait_ms=5")).await.code(),
        "DEADLINE"
    );
    world
        .push("taps", &tap("2026-03-01T10:40:00.000001Z"))
        .await;
    let first = world.get(&path).await.json();
    assert_eq!(first["rows"][0]["values"], json!([1, 0.5, 1]));
    assert_eq!(
        (&first["cut"], &first["degraded"]),
        (&json!("rides/0@1,taps/0@3"), &json!(null))
    );
    world.push("taps", &tap("2026-03-01T10:10:00Z")).await;
    let mut asked = asked;
    asked["deadline_ms"] = json!(60_000);
    let again = world.post_json("/v1/triggers/rides", &asked).await.json();
    assert_eq!(statement_of(&again), statement_of(&first));
    // By a view, and of all that is read.
    let view = ride(
        "two",
        at,
        json!({"service": null, "version": null, "view": "ride_stats", "deadline_ms": 5}),
    );
    let view = world.post_json("/v1/triggers/rides", &view).await;
    assert_eq!(
        (view.status, &view.json()["missing"]["source"]),
        (202, &json!("rides"))
    );
    let metrics = world.get("/metrics").await.text();
    for line in [
        "evenkeel_promises_total{level=\"complete\",outcome=\"kept\"} 2",
        "evenkeel_promises_total{level=\"complete\",outcome=\"degraded\"} 2",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
    assert!(metrics.contains("outcome=\"unmet\""), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_triggers_wait_and_each_gets_its_own_answer() {
    let world = shared(World::new());
    let ask = |id: &str, at: &str| {
        let world = world.clone();
        let named = json!({"consistency": {"complete": ["taps"]}, "deadline_ms": 60_000});
        let asked = ride(id, at, named);
        tokio::spawn(async move { world.post_json("/v1/triggers/rides", &asked).await.json() })
    };
    let early = ask("early", "2026-03-01T10:10:00Z");
    let late = ask("late", "2026-03-01T10:30:00Z");
    while world.get("/v1/status").await.json()["sources"][0]["events"] != 2 {
        tokio::task::yield_now().await;
    }
    world.push("taps", &tap("2026-03-01T10:05:00Z")).await;
    world.push("taps", &tap("2026-03-01T10:25:00Z")).await;
    let early = early.await.unwrap();
    assert_eq!(early["cut"], "rides/0@2,taps/0@2");
    assert_eq!(early["rows"][0]["values"][2], 1);
    assert!(!late.is_finished());
    world.push("taps", &tap("2026-03-01T10:45:00Z")).await;
    let late = late.await.unwrap();
    assert_eq!(late["cut"], "rides/0@2,taps/0@3");
    assert_eq!(late["rows"][0]["values"][2], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_wait_and_what_they_wait_for_is_taken() {
    let limits = ServerLimits {
        requests: 40,
        scans: 1,
        ..ServerLimits::default()
    };
    let world = shared(World::limited(limits));
    let ask = |number: usize| {
        let world = world.clone();
        let named = json!({"consistency": {"complete": ["taps"]}, "deadline_ms": 60_000});
        let asked = ride(&number.to_string(), "2026-03-01T10:10:00Z", named);
        tokio::spawn(async move { world.post_json("/v1/triggers/rides", &asked).await })
    };
    let mut waiting: Vec<_> = (0..20).map(ask).collect();
    while !world
        .get("/metrics")
        .await
        .text()
        .contains("evenkeel_promise_waiters 20")
    {
        tokio::task::yield_now().await;
    }
    // Who finds no place to wait has its name at once.
    let late = ask(20).await.unwrap();
    assert_eq!(
        (late.status, &late.json()["missing"]["source"]),
        (202, &json!("taps"))
    );
    world.push("taps", &tap("2026-03-01T10:25:00Z")).await;
    let mut cuts = std::collections::BTreeSet::new();
    for answer in waiting.drain(..) {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        cuts.insert(answer.json()["cut"].to_string());
    }
    assert_eq!(
        cuts.len(),
        1,
        "all are answered where the watermark passed: {cuts:?}"
    );
}

#[tokio::test]
async fn what_a_trigger_cannot_wait_for_is_said_and_nothing_is_logged() {
    let world = World::new();
    let at = "2026-03-01T10:30:00Z";
    for (consistency, said) in [
        (
            json!("strong"),
            "`strong` is not a level of consistency of a trigger",
        ),
        (
            json!({"complete": "taps"}),
            "`consistency` is an object of another form",
        ),
        (
            json!({"complete": []}),
            "`consistency` is an object of another form",
        ),
        (
            json!({"complete": [3]}),
            "`consistency` is a number, not a list of sources",
        ),
        (json!(7), "`consistency` is a number, not a level"),
        (
            json!({"complete": ["tap"]}),
            "`tap` is not among the sources that are read: rides, taps",
        ),
    ] {
        let asked = ride("one", at, json!({"consistency": consistency}));
        let answer = world.post_json("/v1/triggers/rides", &asked).await;
        assert_eq!(answer.code(), "INVALID", "{consistency}");
        assert_eq!(answer.json()["error"]["message"], said);
    }
    let status = world.get("/v1/status").await.json();
    assert_eq!(status["sources"][0]["events"], 0);
    let named = ride(
        "one",
        at,
        json!({"consistency": {"complete": ["taps"]}, "deadline_ms": 0}),
    );
    let answer = world.post_json("/v1/triggers/rides", &named).await.json();
    let id = answer["result"].as_str().unwrap();
    for (id, code) in [
        (id.replace("~complete~", "~complete~0"), "INVALID"),
        (id.replace("~taps", "~taps~rides"), "INVALID"),
        (id.replace("~taps", "~nothing"), "INVALID"),
        (id.replace("~taps", "~rides"), "NOT_FOUND"),
        (format!("{id}?degraded=perhaps"), "UNKNOWN_FIELD"),
    ] {
        let answer = world.get(&format!("/v1/results/{id}")).await;
        assert_eq!(answer.code(), code, "{id}");
    }
}

const CAPTURED: &str = "
CREATE ENTITY customer (id BIGINT);
CREATE TABLE customers (id BIGINT, credit BIGINT, op STRING, changed_at TIMESTAMP, place BIGINT,
  PRIMARY KEY (id), EVENT TIME changed_at, SEQUENCE BY (place))
  WITH (connector = 'mysql', url = 'mysql://reader@127.0.0.1:3306', table = 'shop.customers',
    operation = 'op', change_time = 'changed_at', change_position = 'place');
CREATE STREAM visits (id BIGINT, at TIMESTAMP, EVENT TIME at);
CREATE STREAM credits AS SELECT c.id, c.credit FROM visits v ASOF JOIN customers c ON v.id = c.id;
CREATE FEATURE VIEW customer ENTITY customer AS SELECT id, credit FROM customers;
CREATE FEATURE VIEW visits_of ENTITY customer AS SELECT id, count(*) OVER (LAST 1 DAYS) AS n FROM visits;
";

async fn report(world: &World, report: Json) -> Json {
    let answer = world
        .post_json("/v1/sources/customers/capture", &report)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn strong_now_waits_for_what_a_database_has() {
    let world = shared(World::with(
        CAPTURED,
        ServerLimits::default(),
        Tokens::default(),
    ));
    let ask = |features: &str, timeout_ms: u64, degraded: bool| {
        json!({"features": [features], "entities": [{"id": 1}], "consistency": "strong_now",
            "timeout_ms": timeout_ms, "degraded": degraded})
    };
    // What is read of others needs no capture.
    world.read(&ask("visits_of:n", 5, false)).await;
    let answer = world
        .post_json("/v1/features", &ask("customer:credit", 5, false))
        .await;
    assert_eq!(answer.code(), "DEADLINE");
    let place = answer.json()["error"]["place"].clone();
    assert_eq!(
        (&place["what"], &place["source"]),
        (&json!("captured"), &json!("customers"))
    );
    assert_eq!(
        place["reached"],
        "an unknown place: no capture reports to this server"
    );
    let degraded = world.read(&ask("customer:credit", 5, true)).await;
    assert_eq!(degraded["degraded"], place);
    // A capture that begins hears of what was asked before, by its number.
    let begun = report(
        &world,
        json!({"place": "log.000001:4", "database": "log.000001:900", "lag_ms": 3_000}),
    )
    .await;
    assert_eq!(begun["asked"], 2);
    let instance = begun["instance"].clone();
    let status = world.get("/v1/sources/customers/status").await.json();
    assert_eq!(
        status["capture"],
        json!({"running": true, "place": "log.000001:4", "database": "log.000001:900", "lag_ms": 3000, "failed": null})
    );
    let all = world.get("/v1/status").await.json();
    assert_eq!(all["sources"][1]["capture"], status["capture"]);
    assert!(all["sources"][2].get("capture").is_none());
    let metrics = world.get("/metrics").await.text();
    assert!(
        metrics.contains("evenkeel_capture_running{source=\"customers\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("evenkeel_capture_lag_seconds{source=\"customers\"} 3\n"),
        "{metrics}"
    );
    let reading = {
        let (world, ask) = (world.clone(), ask("customer:credit", 60_000, false));
        tokio::spawn(async move { world.read(&ask).await })
    };
    let asked = report(
        &world,
        json!({"instance": instance, "taken": 2, "place": "log.000001:4", "wait_ms": 10_000}),
    )
    .await;
    assert_eq!(asked["asked"], 3);
    // What another server asked does not answer it.
    let other = json!({"instance": "another", "taken": 3, "kept": 3, "place": "log.000001:900"});
    assert_eq!(report(&world, other).await["asked"], 3);
    assert!(!reading.is_finished());
    let row = json!([{"id": 1, "credit": 50, "op": "u", "changed_at": "2026-03-01T10:00:00Z", "place": 9}]);
    world.push("customers", &row).await;
    report(
        &world,
        json!({"instance": instance, "taken": 3, "kept": 3, "place": "log.000001:900"}),
    )
    .await;
    let read = reading.await.unwrap();
    assert_eq!(
        (&read["rows"][0]["values"], &read["degraded"]),
        (&json!([50]), &json!(null))
    );
    for (source, code) in [("visits", "INVALID"), ("nothing", "NOT_FOUND")] {
        let path = format!("/v1/sources/{source}/capture");
        assert_eq!(world.post_json(&path, &json!({})).await.code(), code);
    }
    let unknown = world
        .post_json("/v1/sources/customers/capture", &json!({"at": 3}))
        .await;
    assert_eq!(unknown.code(), "UNKNOWN_FIELD");
}
