//! A project in a folder of its own, and requests to it.

use std::fs;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use evenkeel_engine::{Engine, EngineError, Machine, Project, ServerLimits};
use evenkeel_server::{App, Tokens};
use http_body_util::BodyExt;
use serde_json::Value as Json;
use tower::ServiceExt;

pub(crate) const DEFINITIONS: &str = "
CREATE ENTITY driver (driver BIGINT);
CREATE STREAM rides (id STRING, driver BIGINT, fare DOUBLE, at TIMESTAMP,
  EVENT ID (id), EVENT TIME at, CHECK (fare >= 0)) WHERE id <> 'ignored';
CREATE STREAM taps (driver BIGINT, at TIMESTAMP, EVENT TIME at LATENESS INTERVAL '10' MINUTE);
CREATE FEATURE VIEW ride_stats ENTITY driver AS
SELECT driver, count(*) OVER h AS rides, sum(fare) OVER h AS fares
FROM rides WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE VIEW tap_stats ENTITY driver AS
SELECT driver, count(*) OVER h AS taps FROM taps WINDOW h AS (LAST 1 HOURS);
CREATE FEATURE SERVICE model VERSION 1 AS ride_stats (*);
CREATE FEATURE SERVICE model VERSION 2 AS ride_stats (*), tap_stats (*);
";

pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    app: Option<App>,
    router: Option<Router>,
}

/// An answer that was read whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The code of an error, whose shape is checked.
    pub(crate) fn code(&self) -> String {
        let json = self.json();
        let error = json["error"]
            .as_object()
            .unwrap_or_else(|| panic!("{json}"));
        let keys: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "message", "hint", "place"]);
        let code = error["code"].as_str().unwrap().to_owned();
        let known = evenkeel_server::ERROR_CODES.iter();
        let (_, status, _) = known.clone().find(|(c, ..)| *c == code).unwrap();
        assert_eq!(*status, self.status, "{json}");
        code
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(DEFINITIONS, ServerLimits::default(), Tokens::default())
    }

    pub(crate) fn limited(limits: ServerLimits) -> Self {
        Self::with(DEFINITIONS, limits, Tokens::default())
    }

    pub(crate) fn with(definitions: &str, limits: ServerLimits, tokens: Tokens) -> Self {
        Self::with_project("", definitions, limits, tokens)
    }

    /// A world whose project file has this text.
    pub(crate) fn with_project(
        project: &str,
        definitions: &str,
        limits: ServerLimits,
        tokens: Tokens,
    ) -> Self {
        Self::on(Machine::default(), project, definitions, limits, tokens)
    }

    /// The same on a machine.
    pub(crate) fn on(
        machine: Machine,
        project: &str,
        definitions: &str,
        limits: ServerLimits,
        tokens: Tokens,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("evenkeel.toml"), project).unwrap();
        fs::write(directory.path().join("definitions.sql"), definitions).unwrap();
        let project = Project::open(directory.path(), None).unwrap();
        let mut engine = Engine::open_on(&project, machine).unwrap();
        let plan = engine.plan(&project.definition_files().unwrap()).unwrap();
        engine.apply(plan).unwrap();
        let app = App::start(engine, limits, tokens).unwrap();
        World {
            router: Some(app.router()),
            app: Some(app),
            directory,
        }
    }

    /// Serves the store again, which was stopped.
    pub(crate) fn start(&mut self) {
        // Where nobody waits on the same thread, as the lake asks for.
        let opened = std::thread::scope(|scope| scope.spawn(|| self.engine()).join());
        let engine = opened.unwrap();
        let app = App::start(engine, ServerLimits::default(), Tokens::default()).unwrap();
        self.router = Some(app.router());
        self.app = Some(app);
    }

    /// Stops serving, and opens the store again.
    pub(crate) fn engine(&mut self) -> Engine {
        self.stop();
        Engine::open(&Project::open(self.directory.path(), None).unwrap()).unwrap()
    }

    /// Stops serving.
    pub(crate) fn stop(&mut self) {
        self.stopped().unwrap();
    }

    /// The same, and what went wrong.
    pub(crate) fn stopped(&mut self) -> Result<(), EngineError> {
        self.router = None;
        match self.app.take() {
            Some(app) => app.stop(),
            None => Ok(()),
        }
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone().unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(self.router(), request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = Request::post(path).header("content-type", content_type);
        self.send(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn post_json(&self, path: &str, json: &Json) -> Answer {
        self.post(path, "application/json", json.to_string()).await
    }

    /// Reads features, which succeeds.
    pub(crate) async fn read(&self, json: &Json) -> Json {
        let answer = self.post_json("/v1/features", json).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Pushes rows, which succeeds.
    pub(crate) async fn push(&self, source: &str, rows: &Json) -> Json {
        let answer = self
            .post_json(&format!("/v1/sources/{source}/events"), rows)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) async fn send(router: Router, request: Request<Body>) -> Answer {
    let response: Response<Body> = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

/// A shared world.
pub(crate) fn shared(world: World) -> Arc<World> {
    Arc::new(world)
}
