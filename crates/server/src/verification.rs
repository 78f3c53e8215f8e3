//! `POST /v1/verify` and `POST /v1/explain`: why a value is what it is, and that it is the same
//! everywhere.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_connect::json_to_value;
use evenkeel_engine::api::VerifyOptions;
use evenkeel_engine::{Engine, EngineError, Online};
use evenkeel_types::definition::ViewBody;
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Value, VisibleAt, Zone};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::ask::asked;
use crate::clock::Stopwatch;
use crate::error::ApiError;
use crate::long_work::{self, Asked, Made};
use crate::reply::Reply;
use crate::shared::Shared;
use crate::wire;

/// The fields of a request to verify.
pub(crate) const VERIFY_FIELDS: &[&str] = &[
    "services",
    "values",
    "oracle_values",
    "cuts",
    "seed",
    "served",
    "timeout_ms",
];

/// The fields of a request to explain.
pub(crate) const EXPLAIN_FIELDS: &[&str] = &["feature", "entity", "as_of", "known_at", "cut"];

/// Cuts of one verification.
const CUTS_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[serde(default)]
struct Verify {
    services: Vec<String>,
    values: u64,
    oracle_values: u64,
    cuts: usize,
    seed: u64,
    served: bool,
}

impl Default for Verify {
    fn default() -> Self {
        let options = VerifyOptions::default();
        Verify {
            services: options.services,
            values: options.values,
            oracle_values: options.oracle_values,
            cuts: options.cuts,
            seed: options.seed,
            served: false,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Explain {
    feature: String,
    #[serde(default)]
    entity: Map<String, Json>,
    as_of: Option<String>,
    known_at: Option<String>,
    cut: Option<String>,
}

impl Online for Shared {
    fn with<T>(&self, work: impl FnOnce(&Engine) -> T) -> T {
        work(&self.engine())
    }
}

pub(crate) async fn verify(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let Asked {
        headers,
        deadline,
        ask,
    } = long_work::asked::<Verify>(&shared, request, VERIFY_FIELDS).await?;
    let values_max = shared.limits.training_values;
    if ask.values > values_max || ask.oracle_values > values_max {
        return Err(ApiError::new(
            "TOO_MANY_VALUES",
            format!("at most {values_max} values are verified at once"),
        ));
    }
    if ask.cuts == 0 || ask.cuts > CUTS_MAX {
        return Err(
            ApiError::invalid(format!("`cuts` is {}: from 1 to {CUTS_MAX}", ask.cuts))
                .at(json!({"field": "cuts"})),
        );
    }
    let (offline, served) = {
        let engine = shared.engine();
        (engine.offline(), engine.served_directory())
    };
    let online = Arc::clone(&shared);
    long_work::run(&shared, &headers, deadline, move |reporter| {
        let failed = |error: EngineError| match error {
            EngineError::Stopped => reporter.stopped(),
            error => ApiError::from(error),
        };
        if ask.served {
            let report = offline
                .verify_served(online.as_ref(), &served, &mut |done| {
                    reporter.reach("answers", done, 0)
                })
                .map_err(failed)?;
            return Ok(Made::Report(wire::served_report(&report)));
        }
        let options = VerifyOptions {
            seed: ask.seed,
            values: ask.values,
            oracle_values: ask.oracle_values,
            cuts: ask.cuts,
            services: ask.services,
            ..VerifyOptions::default()
        };
        let report = offline
            .verify(online.as_ref(), &options, &mut |stage, done, total| {
                reporter.reach(stage, done, total)
            })
            .map_err(failed)?;
        Ok(Made::Report(wire::verify_report(
            &report,
            offline.catalog(),
        )))
    })
    .await
}

pub(crate) async fn explain(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Reply, ApiError> {
    let (_, fields) = long_work::fields(&shared, request, Stopwatch::start()).await?;
    let ask: Explain = asked(fields, EXPLAIN_FIELDS)?;
    let online = Arc::clone(&shared);
    let explained = shared.scans.run(move || explained(&online, &ask)).await??;
    Ok(Reply(explained))
}

/// Explains under one hold of the engine, as a read of the feature has; what left the hot tier
/// comes back in between.
fn explained(shared: &Shared, ask: &Explain) -> Result<Json, ApiError> {
    let offline = shared.engine().offline();
    let service = offline.feature_list(std::slice::from_ref(&ask.feature))?;
    let one = || ApiError::invalid("explain takes one feature, as `view:feature`");
    let [item] = service.items.as_slice() else {
        return Err(one());
    };
    let [(index, _)] = item.features.as_slice() else {
        return Err(one());
    };
    let mut row = vec![Value::Null; service.inputs.len()];
    for (name, given) in &ask.entity {
        let place = || json!({"column": name});
        let Some(at) = service.inputs.iter().position(|field| field.name == *name) else {
            let known = service.inputs.iter().map(|field| field.name.as_str());
            let error = ApiError::invalid(format!("`{name}` is not asked for")).at(place());
            return Err(match evenkeel_connect::nearest(name, known).0 {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error,
            });
        };
        if !given.is_null() {
            let data_type = &service.inputs[at].data_type;
            row[at] = json_to_value(data_type, given, &Zone::utc())
                .map_err(|e| ApiError::invalid(format!("`{name}`: {e}")).at(place()))?;
        }
    }
    let value = |name: &str| {
        let at = service.inputs.iter().position(|field| field.name == name);
        at.map_or(Value::Null, |at| row[at].clone())
    };
    let key: Vec<Value> = item.key.iter().map(|name| value(name)).collect();
    let request: Vec<(String, Value)> = match &item.view.body {
        ViewBody::Composed(body) => {
            let inputs = body.request.iter();
            inputs.map(|f| (f.name.clone(), value(&f.name))).collect()
        }
        _ => Vec::new(),
    };
    let time = |name: &str, text: &Option<String>| {
        let text = text.as_deref();
        text.map(|text| parse_timestamp(text, &Zone::utc()))
            .transpose()
            .map_err(|e| ApiError::invalid(format!("`{name}`: {e}")).at(json!({"field": name})))
    };
    let (as_of, known_at) = (
        time("as_of", &ask.as_of)?.map(EventTime),
        time("known_at", &ask.known_at)?.map(VisibleAt),
    );
    let cut = ask.cut.as_deref().map(|text| offline.parse_cut(text));
    let cut = cut.transpose()?;
    let as_of = as_of.unwrap_or_else(|| shared.engine().now());
    let explanation = shared.read_with(|engine| {
        engine.explain(&ask.feature, &key, &request, as_of, cut.as_ref(), known_at)
    })?;
    Ok(wire::explanation(
        &explanation,
        &item.view.features[*index].data_type,
        (&service.inputs, &row),
        known_at,
        &offline.format_cut(&explanation.cut),
    ))
}
