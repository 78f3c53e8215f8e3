//! Every limit on what a stranger can send, each with its error.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::Request;
use evenkeel_engine::ServerLimits;
use hyper::body::Frame;
use serde_json::{Value as Json, json};

use crate::support::{World, shared};

const RIDES: &str = "/v1/sources/rides/events";

fn small() -> World {
    World::limited(ServerLimits {
        body_bytes: 4_096,
        unpacked_bytes: 8_192,
        header_bytes: 512,
        rows_per_push: 3,
        features_per_request: 2,
        values_per_request: 5,
        ..ServerLimits::default()
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn packed(world: &World, encoding: &str, body: Vec<u8>) -> crate::support::Answer {
    let request = Request::post(RIDES)
        .header("content-type", "application/json")
        .header("content-encoding", encoding)
        .body(Body::from(body))
        .unwrap();
    world.send(request).await
}

#[tokio::test]
async fn what_is_meant_for_another_server_is_refused() {
    let world = World::new();
    let instance = world.get("/healthz").await.headers["evenkeel-instance"].clone();
    let ask = |instance| {
        let request = Request::get("/v1/views").header("evenkeel-instance", instance);
        world.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(ask(instance).await.status, 200);
    let refused = ask("0123456789abcdef".parse().unwrap()).await;
    assert_eq!(refused.code(), "UNAVAILABLE");
}

#[tokio::test]
async fn bodies_are_bounded_packed_and_unpacked() {
    let world = small();
    let answer = world
        .post(RIDES, "application/json", " ".repeat(4_097))
        .await;
    assert_eq!(answer.code(), "BODY_TOO_LARGE");
    let announced = Request::post(RIDES)
        .header("content-type", "application/json")
        .header("content-length", "4097")
        .body(Body::empty())
        .unwrap();
    assert_eq!(world.send(announced).await.code(), "BODY_TOO_LARGE");
    let rows = format!("[]{}", " ".repeat(8_000));
    assert_eq!(
        packed(&world, "gzip", gzip(rows.as_bytes())).await.status,
        200
    );
    let zstd = zstd::encode_all(rows.as_bytes(), 3).unwrap();
    assert_eq!(packed(&world, "zstd", zstd.clone()).await.status, 200);
    assert_eq!(packed(&world, "identity", b"[]".to_vec()).await.status, 200);
    let bomb = vec![b' '; 1 << 20];
    assert_eq!(
        packed(&world, "gzip", gzip(&bomb)).await.code(),
        "UNPACKED_TOO_LARGE"
    );
    let bomb = zstd::encode_all(bomb.as_slice(), 3).unwrap();
    assert_eq!(
        packed(&world, "zstd", bomb).await.code(),
        "UNPACKED_TOO_LARGE"
    );
    assert_eq!(packed(&world, "gzip", zstd).await.code(), "INVALID");
    assert_eq!(
        packed(&world, "br", b"[]".to_vec()).await.code(),
        "CONTENT_ENCODING"
    );
    for content in ["text/plain", "application/xml", ""] {
        assert_eq!(
            world.post(RIDES, content, "[]").await.code(),
            "CONTENT_TYPE"
        );
    }
    let lines = world
        .post("/v1/features", "application/x-ndjson", "{}")
        .await;
    assert_eq!(lines.code(), "CONTENT_TYPE");
}

#[tokio::test]
async fn rows_entities_features_and_values_are_counted() {
    let world = small();
    let rows = |n: usize| Json::from(vec![json!({}); n]);
    assert_eq!(world.post_json(RIDES, &rows(3)).await.status, 200);
    assert_eq!(
        world.post_json(RIDES, &rows(4)).await.code(),
        "TOO_MANY_ROWS"
    );
    let lines = world
        .post(RIDES, "application/x-ndjson", "{}\n".repeat(4))
        .await;
    assert_eq!(lines.code(), "TOO_MANY_ROWS");
    let read = |service: &str, version: u32, n: usize| json!({"service": service, "version": version, "entities": rows(n)});
    let world_of = &world;
    let ask = |json: Json| async move { world_of.post_json("/v1/features", &json).await };
    assert_eq!(ask(read("model", 1, 2)).await.status, 200);
    assert_eq!(ask(read("model", 1, 3)).await.code(), "TOO_MANY_VALUES");
    assert_eq!(ask(read("model", 2, 1)).await.code(), "TOO_MANY_FEATURES");
    let list = json!({"features": ["a:b", "a:c", "a:d"], "entities": []});
    assert_eq!(ask(list).await.code(), "TOO_MANY_FEATURES");
    let world = World::new();
    let many = json!({"service": "model", "entities": {"driver": vec![1; 10_001]}});
    let answer = world.post_json("/v1/features", &many).await;
    assert_eq!(answer.code(), "TOO_MANY_ENTITIES");
}

#[tokio::test]
async fn heads_nesting_and_hosts_are_checked() {
    let world = small();
    let request = |name: &str, value: &str| {
        Request::get("/healthz")
            .header(name, value)
            .body(Body::empty())
            .unwrap()
    };
    let long = "x".repeat(600);
    assert_eq!(
        world.send(request("x-long", &long)).await.code(),
        "HEADERS_TOO_LARGE"
    );
    let path = world.get(&format!("/{long}")).await;
    assert_eq!(path.code(), "HEADERS_TOO_LARGE");
    let deep = "[".repeat(100) + &"]".repeat(100);
    assert_eq!(
        world.post(RIDES, "application/json", deep).await.code(),
        "JSON"
    );
    for host in ["localhost", "127.0.0.1:6570", "[::1]:6570", "LOCALHOST:1"] {
        assert_eq!(
            world.send(request("host", host)).await.status,
            200,
            "{host}"
        );
    }
    for host in [
        "example.com",
        "example.com:6570",
        "127.0.0.1.example.com",
        "192.168.1.1",
    ] {
        assert_eq!(
            world.send(request("host", host)).await.code(),
            "HOST",
            "{host}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_may_run_are_told_to_come_back() {
    let world = shared(World::limited(ServerLimits {
        requests: 1,
        ..ServerLimits::default()
    }));
    let waits = json!({"service": "model", "entities": [], "consistency": "at_least",
        "min_positions": "rides/0@1", "timeout_ms": 60_000});
    let waiting = {
        let world = world.clone();
        tokio::spawn(async move {
            // The others may have the one turn before it.
            while world.post_json("/v1/features", &waits).await.status == 429 {
                tokio::task::yield_now().await;
            }
        })
    };
    // Once it waits, it has its turn, and another request has none.
    let refused = loop {
        let answer = world.get("/v1/views").await;
        if answer.status != 200 {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused.code(), "OVERLOADED");
    assert_eq!(refused.headers["retry-after"], "1");
    // Probes are answered all the same.
    assert_eq!(world.get("/healthz").await.status, 200);
    assert_eq!(world.get("/metrics").await.status, 200);
    waiting.abort();
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::limited(ServerLimits {
        timeout_ms: 10,
        timeout_ms_max: 20,
        ..ServerLimits::default()
    });
    let answer = world.post(RIDES, "application/json", Body::new(Never));
    let answer = tokio::time::timeout(Duration::from_secs(60), answer)
        .await
        .unwrap();
    assert_eq!(answer.code(), "DEADLINE");
}

/// However long a request may take, a body that comes byte by byte is given up: of a push, a
/// read, and of a spine, which goes to a file.
#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_not_waited_for() {
    let world = World::limited(ServerLimits {
        body_timeout_ms: 100,
        ..ServerLimits::default()
    });
    for (path, content) in [
        (RIDES, "application/json"),
        ("/v1/features", "application/json"),
        ("/v1/training?features=ride_stats:*", "text/csv"),
    ] {
        let drops = tokio::time::interval(Duration::from_millis(1));
        let answer = world.post(path, content, Body::new(Drops(drops)));
        let answer = tokio::time::timeout(Duration::from_secs(60), answer)
            .await
            .unwrap();
        assert_eq!(answer.code(), "DEADLINE", "{path}");
        let message = answer.json()["error"]["message"].to_string();
        assert!(message.contains("did not arrive in time"), "{message}");
    }
    // What comes in pieces and in time is read.
    let rows = json!([{"id": "a", "driver": 1, "fare": 1.0, "at": "2026-03-01T00:00:00Z"}]);
    let pieces = Body::new(Pieces(rows.to_string().into()));
    let answer = world.post(RIDES, "application/json", pieces).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A body that comes in pieces of three bytes.
struct Pieces(bytes::Bytes);

impl HttpBody for Pieces {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let next = self.0.len().min(3);
        let piece = self.0.split_to(next);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }
}

/// A body of which a byte comes now and then, and no end.
struct Drops(tokio::time::Interval);

impl HttpBody for Drops {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.0
            .poll_tick(context)
            .map(|_| Some(Ok(Frame::data(bytes::Bytes::from_static(b"[")))))
    }
}

/// A body that neither goes on nor ends.
struct Never;

impl HttpBody for Never {
    type Data = bytes::Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Poll::Pending
    }
}
