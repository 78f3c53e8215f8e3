//! Read promises: sessions, levels, deadlines, degraded answers.

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
    let place = json!({"what": "applied", "source": "taps", "partition": 0, "wanted": "3", "reached": "1"});
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
    let place = json!({"what": "applied", "source": "taps", "partition": 0, "wanted": "2", "reached": "1"});
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
