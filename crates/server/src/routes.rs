//! Paths, and what holds for every request: size of its head, host, token, how many at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Response, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use evenkeel_engine::Scope;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use crate::error::ApiError;
use crate::shared::Shared;
use crate::{
    backfills, calls, captures, catalog, corrections, datasets, definitions, doctor, events,
    features, file_rows, forget, openapi, pushed, results, runs, segments, sql, topics, training,
    triggers, unread, verification,
};

/// The header that tells this server from others at its address.
const INSTANCE: HeaderName = HeaderName::from_static("evenkeel-instance");

/// The path that is asked most.
const FEATURES: &str = "/v1/features";

/// What only reads.
const READS: [&str; 10] = [
    FEATURES,
    "/v1/calls",
    "/v1/results/{id}",
    "/v1/training",
    "/v1/sql",
    "/v1/datasets/{dataset}/stale",
    "/v1/segments/query",
    "/v1/verify",
    "/v1/explain",
    "/v1/doctor",
];

/// Every path with its method and the scope that a token needs; none: anyone.
pub(crate) const ROUTES: &[(&str, &str, Option<Scope>)] = &[
    ("POST", FEATURES, Some(Scope::Read)),
    ("POST", "/v1/calls", Some(Scope::Read)),
    ("POST", "/v1/triggers/{source}", Some(Scope::Write)),
    ("GET", "/v1/results/{id}", Some(Scope::Read)),
    ("POST", "/v1/sources/{source}/events", Some(Scope::Write)),
    ("GET", "/v1/sources/{source}", Some(Scope::Read)),
    ("POST", "/v1/sources/{source}/file-rows", Some(Scope::Write)),
    ("GET", "/v1/sources/{source}/files", Some(Scope::Read)),
    ("GET", "/v1/sources/{source}/status", Some(Scope::Read)),
    ("POST", "/v1/sources/{source}/capture", Some(Scope::Write)),
    (
        "GET",
        "/v1/sources/{source}/dead-letters",
        Some(Scope::Read),
    ),
    (
        "POST",
        "/v1/sources/{source}/dead-letters/redrive",
        Some(Scope::Admin),
    ),
    (
        "POST",
        "/v1/sources/{source}/corrections",
        Some(Scope::Admin),
    ),
    (
        "POST",
        "/v1/sources/{source}/exclusions",
        Some(Scope::Admin),
    ),
    ("POST", "/v1/forget", Some(Scope::Admin)),
    ("GET", "/v1/views", Some(Scope::Read)),
    ("GET", "/v1/views/{view}", Some(Scope::Read)),
    ("POST", "/v1/views/{view}/backfill", Some(Scope::Write)),
    ("POST", "/v1/views/{view}/run", Some(Scope::Write)),
    ("POST", "/v1/views/{view}/rows", Some(Scope::Write)),
    ("GET", "/v1/services", Some(Scope::Read)),
    ("GET", "/v1/services/{service}", Some(Scope::Read)),
    ("GET", "/v1/status", Some(Scope::Read)),
    ("POST", "/v1/definitions/plan", Some(Scope::Admin)),
    ("POST", "/v1/definitions/apply", Some(Scope::Admin)),
    ("POST", "/v1/training", Some(Scope::Read)),
    ("POST", "/v1/sql", Some(Scope::Read)),
    ("GET", "/v1/datasets", Some(Scope::Read)),
    ("GET", "/v1/datasets/{dataset}", Some(Scope::Read)),
    ("POST", "/v1/datasets/{dataset}/build", Some(Scope::Write)),
    ("POST", "/v1/datasets/{dataset}/rebuild", Some(Scope::Write)),
    ("POST", "/v1/datasets/{dataset}/stale", Some(Scope::Read)),
    ("GET", "/v1/segments", Some(Scope::Read)),
    ("POST", "/v1/segments/query", Some(Scope::Read)),
    ("GET", "/v1/topics/{topic}", Some(Scope::Read)),
    ("POST", "/v1/verify", Some(Scope::Read)),
    ("POST", "/v1/explain", Some(Scope::Read)),
    ("POST", "/v1/doctor", Some(Scope::Admin)),
    ("GET", "/metrics", Some(Scope::Read)),
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
    ("GET", "/openapi.json", None),
];

/// The router over what requests share.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(FEATURES, post(features::read))
        .route("/v1/calls", post(calls::call))
        .route("/v1/triggers/{source}", post(triggers::trigger))
        .route("/v1/results/{id}", get(results::result))
        .route("/v1/sources/{source}/events", post(events::push))
        .route("/v1/sources/{source}", get(catalog::source))
        .route("/v1/sources/{source}/file-rows", post(file_rows::take))
        .route("/v1/sources/{source}/files", get(file_rows::known))
        .route("/v1/sources/{source}/status", get(catalog::source_status))
        .route("/v1/sources/{source}/capture", post(captures::report))
        .route("/v1/sources/{source}/dead-letters", get(catalog::letters))
        .route(
            "/v1/sources/{source}/dead-letters/redrive",
            post(catalog::redrive),
        )
        .route(
            "/v1/sources/{source}/corrections",
            post(corrections::correct),
        )
        .route(
            "/v1/sources/{source}/exclusions",
            post(corrections::exclude),
        )
        .route("/v1/forget", post(forget::forget))
        .route("/v1/topics/{topic}", get(topics::topic))
        .route("/v1/views", get(catalog::views))
        .route("/v1/views/{view}", get(catalog::view))
        .route("/v1/views/{view}/run", post(runs::run_view))
        .route("/v1/views/{view}/backfill", post(backfills::backfill))
        .route("/v1/views/{view}/rows", post(pushed::change))
        .route("/v1/services", get(catalog::services))
        .route("/v1/services/{service}", get(catalog::service))
        .route("/v1/status", get(catalog::store_status))
        .route("/v1/definitions/plan", post(definitions::plan))
        .route("/v1/definitions/apply", post(definitions::apply))
        .route("/v1/training", post(training::build))
        .route("/v1/sql", post(sql::query))
        .route("/v1/datasets", get(datasets::list))
        .route("/v1/datasets/{dataset}", get(datasets::show))
        .route("/v1/datasets/{dataset}/build", post(datasets::build))
        .route("/v1/datasets/{dataset}/rebuild", post(datasets::rebuild))
        .route("/v1/datasets/{dataset}/stale", post(datasets::stale))
        .route("/v1/segments", get(segments::list))
        .route("/v1/segments/query", post(segments::query))
        .route("/v1/verify", post(verification::verify))
        .route("/v1/explain", post(verification::explain))
        .route("/v1/doctor", post(doctor::examine))
        .route("/metrics", get(catalog::metrics))
        .route("/healthz", get(catalog::live))
        .route("/readyz", get(catalog::ready))
        .route("/openapi.json", get(openapi::text))
        .fallback(no_path)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(Arc::clone(&shared), guard))
        .with_state(shared)
}

async fn no_path(request: Request) -> ApiError {
    let path = request.uri().path();
    let known = ROUTES.iter().map(|(_, path, _)| *path);
    let near = evenkeel_connect::nearest(path, known).0;
    let error = ApiError::new("NOT_FOUND", format!("there is no path `{path}`"));
    error.with_hint(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`/openapi.json` has all paths".to_owned(),
    })
}

async fn other_method(request: Request) -> ApiError {
    ApiError::new(
        "METHOD",
        format!(
            "`{}` is not for `{}`",
            request.uri().path(),
            request.method()
        ),
    )
}

/// Answers a request over the router, which it need not go through if it reads features: most do.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    router: Router,
    request: hyper::Request<Incoming>,
) -> Response<Body> {
    if *request.method() == Method::POST && request.uri().path() == FEATURES {
        let reading = Arc::clone(&shared);
        let read = |request| async move {
            let answer = features::read(State(reading), request).await;
            answer.into_response()
        };
        return guarded(shared, request.map(Body::new), FEATURES, read).await;
    }
    let answered = TowerToHyperService::new(router).call(request).await;
    match answered {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response<Body> {
    let path = request.extensions().get::<MatchedPath>();
    let path = path.map_or("none", MatchedPath::as_str);
    let known = ROUTES.iter().map(|(_, route, _)| *route);
    let route = known.into_iter().find(|r| *r == path).unwrap_or("none");
    guarded(shared, request, route, |request| next.run(request)).await
}

/// Every request passes here, and is counted.
async fn guarded<F: Future<Output = Response<Body>> + Send + 'static>(
    shared: Arc<Shared>,
    request: Request,
    route: &'static str,
    next: impl FnOnce(Request) -> F + Send + 'static,
) -> Response<Body> {
    let (request, rest) = unread::lend(request);
    let mut response = match admit(&shared, &request, route) {
        Err(error) => {
            drop(request);
            error.into_response()
        }
        Ok(()) => run(Arc::clone(&shared), request, next, route).await,
    };
    rest.take().await;
    if let Ok(instance) = HeaderValue::from_str(&shared.instance) {
        response.headers_mut().insert(INSTANCE, instance);
    }
    shared.metrics.request(route, response.status().as_u16());
    response
}

/// Runs a request: a defect ends it, not the connection.
async fn run<F: Future<Output = Response<Body>> + Send + 'static>(
    shared: Arc<Shared>,
    request: Request,
    next: impl FnOnce(Request) -> F + Send + 'static,
    route: &str,
) -> Response<Body> {
    // Probes are answered however busy the server is, and take nobody's turn.
    let counted = route.starts_with("/v1/");
    let is_read = READS.contains(&route);
    let work = async move {
        let permit = counted.then(|| shared.in_flight.try_acquire());
        if let Some(Err(_)) = permit {
            return ApiError::new("OVERLOADED", "too many requests at once").into_response();
        }
        next(request).await
    };
    // What only reads may be dropped with its connection, and is spared the way to another
    // thread. What writes is a task of its own, which goes on when the client has gone.
    let done = if is_read {
        Unwinding(Box::pin(work)).await
    } else {
        tokio::spawn(work).await.map_err(|_| Defect)
    };
    done.unwrap_or_else(|Defect| {
        ApiError::new("INTERNAL", "the request met a defect of the server").into_response()
    })
}

/// The work panicked.
struct Defect;

/// Work whose panic is an error.
struct Unwinding<F>(Pin<Box<F>>);

impl<F: Future> Future for Unwinding<F> {
    type Output = Result<F::Output, Defect>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Nothing of a request is used again after it has panicked.
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => Poll::Ready(Err(Defect)),
        }
    }
}

fn admit(shared: &Shared, request: &Request, route: &str) -> Result<(), ApiError> {
    let headers = request.headers();
    let bytes = request.uri().to_string().len()
        + headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>();
    if bytes > shared.limits.header_bytes {
        return Err(ApiError::new(
            "HEADERS_TOO_LARGE",
            format!(
                "line and headers have {bytes} bytes: at most {} are allowed",
                shared.limits.header_bytes
            ),
        ));
    }
    if shared.tokens.is_empty() {
        refuse_foreign_host(request)?;
    }
    // What is meant for another server that was here must not be written into this store.
    let meant = headers.get(INSTANCE);
    if meant.is_some_and(|meant| meant.as_bytes() != shared.instance.as_bytes()) {
        let error = ApiError::new("UNAVAILABLE", "the server that was here before has ended");
        return Err(error.with_hint("another one answers here now: look for it again"));
    }
    let method = match *request.method() {
        Method::HEAD => "GET",
        ref method => method.as_str(),
    };
    let scope = ROUTES
        .iter()
        .find(|(m, path, _)| *m == method && *path == route)
        .and_then(|(.., scope)| *scope);
    match scope {
        Some(scope) => shared.tokens.check(headers, scope),
        None => Ok(()),
    }
}

/// Without tokens, a page of another site that was made to resolve to this machine must not
/// be answered: it would speak for whoever looks at it.
fn refuse_foreign_host(request: &Request) -> Result<(), ApiError> {
    let given = request.uri().host().map(str::to_owned).or_else(|| {
        let header = request.headers().get(header::HOST)?.to_str().ok()?;
        let authority: axum::http::uri::Authority = header.parse().ok()?;
        Some(authority.host().to_owned())
    });
    let Some(host) = given else {
        return match request.headers().get(header::HOST) {
            None => Ok(()),
            Some(_) => Err(ApiError::new("HOST", "the header `Host` cannot be read")),
        };
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare
        .parse::<std::net::IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    if loopback || bare.eq_ignore_ascii_case("localhost") {
        return Ok(());
    }
    Err(
        ApiError::new("HOST", format!("`{host}` is not a name of this machine"))
            .with_hint("configure a token to be asked under other names"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_the_request_alone() {
        let work = Box::pin(async {
            tokio::task::yield_now().await;
            panic!("as a defect would")
        });
        let done: Result<(), Defect> = Unwinding(work).await;
        assert!(done.is_err());
        assert!(matches!(Unwinding(Box::pin(async { 7 })).await, Ok(7)));
    }
}
