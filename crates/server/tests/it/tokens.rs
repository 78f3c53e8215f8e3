//! Tokens and their scopes.

use std::fs;

use axum::body::Body;
use axum::http::Request;
use evenkeel_engine::{Scope, TokenSettings};
use evenkeel_server::{ServerError, Tokens};

use crate::support::{DEFINITIONS, World};

fn token(name: &str, scope: Scope, directory: &std::path::Path, text: &str) -> TokenSettings {
    let file = directory.join(name);
    fs::write(&file, text).unwrap();
    TokenSettings {
        name: name.to_owned(),
        scopes: vec![scope],
        env: None,
        file: Some(file),
    }
}

#[tokio::test]
async fn each_route_asks_for_its_scope() {
    let directory = tempfile::tempdir().unwrap();
    let read = "reader-reader-reader";
    let write = "writer-writer-writer";
    let admin = "admins-admins-admins";
    let tokens = Tokens::read(&[
        token("a", Scope::Read, directory.path(), &format!("{read}\n")),
        token("b", Scope::Write, directory.path(), write),
        token("c", Scope::Admin, directory.path(), admin),
    ])
    .unwrap();
    assert!(!format!("{tokens:?}").contains(read));
    let world = World::with(DEFINITIONS, Default::default(), tokens);
    let ask = |method: &str, path: &str, authorization: Option<String>| {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("content-type", "application/json");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        request.body(Body::from("{}")).unwrap()
    };
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    for (method, path, allowed) in [
        ("POST", "/v1/features", [true, false, true]),
        ("POST", "/v1/sources/rides/events", [false, true, true]),
        ("POST", "/v1/triggers/rides", [false, false, true]),
        ("GET", "/v1/results/nothing", [true, false, true]),
        ("GET", "/v1/sources/rides", [true, false, true]),
        ("POST", "/v1/sources/rides/file-rows", [false, true, true]),
        ("GET", "/v1/sources/rides/files", [true, false, true]),
        ("GET", "/v1/sources/rides/status", [true, false, true]),
        ("GET", "/v1/sources/rides/dead-letters", [true, false, true]),
        (
            "POST",
            "/v1/sources/rides/dead-letters/redrive",
            [false, false, true],
        ),
        (
            "POST",
            "/v1/sources/rides/corrections",
            [false, false, true],
        ),
        ("POST", "/v1/sources/rides/exclusions", [false, false, true]),
        ("GET", "/v1/views", [true, false, true]),
        ("GET", "/v1/views/ride_stats", [true, false, true]),
        ("POST", "/v1/views/ride_stats/run", [false, true, true]),
        ("GET", "/v1/services", [true, false, true]),
        ("GET", "/v1/services/model", [true, false, true]),
        ("GET", "/v1/status", [true, false, true]),
        ("POST", "/v1/definitions/plan", [false, false, true]),
        ("POST", "/v1/definitions/apply", [false, false, true]),
        ("POST", "/v1/training", [true, false, true]),
        ("POST", "/v1/sql", [true, false, true]),
        ("POST", "/v1/verify", [true, false, true]),
        ("POST", "/v1/explain", [true, false, true]),
        ("POST", "/v1/doctor", [false, false, true]),
        ("GET", "/metrics", [true, false, true]),
        ("HEAD", "/v1/views", [true, false, true]),
    ] {
        for (token, allowed) in [read, write, admin].into_iter().zip(allowed) {
            let answer = world.send(ask(method, path, bearer(token))).await;
            assert_eq!(answer.status != 403, allowed, "{method} {path} {token}");
            assert_ne!(answer.status, 401, "{method} {path} {token}");
        }
        for none in [None, bearer("x"), bearer(""), Some(format!("Basic {read}"))] {
            let answer = world.send(ask(method, path, none)).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
    }
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(
            world.send(ask("GET", path, None)).await.status,
            200,
            "{path}"
        );
    }
    // With tokens, any name will do.
    let named = Request::get("/v1/views")
        .header("host", "features.example.com")
        .header("authorization", format!("bearer {read}"));
    assert_eq!(
        world.send(named.body(Body::empty()).unwrap()).await.status,
        200
    );
}

#[test]
fn tokens_that_are_missing_or_short_are_refused_without_being_shown() {
    let directory = tempfile::tempdir().unwrap();
    let short = token("a", Scope::Read, directory.path(), "tooshort");
    let error = Tokens::read(&[short]).unwrap_err();
    assert!(matches!(error, ServerError::Token { .. }));
    assert!(!error.to_string().contains("tooshort"), "{error}");
    let missing = TokenSettings {
        name: "b".to_owned(),
        scopes: vec![],
        env: Some("EVENKEEL_TEST_NO_SUCH_VARIABLE".to_owned()),
        file: None,
    };
    let error = Tokens::read(std::slice::from_ref(&missing)).unwrap_err();
    assert!(error.to_string().contains("EVENKEEL_TEST_NO_SUCH_VARIABLE"));
    let neither = TokenSettings {
        env: None,
        ..missing
    };
    assert!(Tokens::read(&[neither]).is_err());
}
