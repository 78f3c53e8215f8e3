//! `/v1/segments`: what is defined, and which keys are in one.
//!
//! A question is long work: the keys are asked in pieces at one cut, so that reads and writes
//! go on in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use evenkeel_connect::{StreamColumn, StreamLayout, json_to_value};
use evenkeel_engine::{
    AtOnce, EngineError, SegmentAnswer, SegmentPlan, SegmentRequest, ask_segment, segment_of,
    segment_query,
};
use evenkeel_types::definition::SegmentDef;
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{Cut, EventTime, Field, Value, VisibleAt, Zone};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::body::{Content, wants_arrow};
use crate::error::{ApiError, chain};
use crate::levels::{Level, Promise};
use crate::long_work::{self, Asked, Made};
use crate::reply::Reply;
use crate::shared::Shared;
use crate::wire;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &[
    "segment",
    "query",
    "as_of",
    "known_at",
    "cut",
    "after",
    "limit",
    "count",
    "consistency",
    "session",
    "timeout_ms",
];

/// Rows of an answer, if nobody says otherwise.
const ROWS_DEFAULT: usize = 1_000;
/// Rows of an answer at most.
const ROWS_MAX: usize = 100_000;
/// How many values may come as Arrow for one that may come as JSON.
const ARROW_VALUES: usize = 8;

#[derive(Debug, Deserialize)]
struct Ask {
    segment: Option<String>,
    query: Option<String>,
    as_of: Option<String>,
    known_at: Option<String>,
    cut: Option<String>,
    after: Option<Map<String, Json>>,
    limit: Option<usize>,
    #[serde(default)]
    count: bool,
    consistency: Option<String>,
    session: Option<String>,
}

pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Result<Reply, ApiError> {
    let engine = shared.engine();
    let versions = engine.catalog().segments.values();
    let segments: Vec<Json> = versions
        .flat_map(|versions| versions.values())
        .map(|def| wire::segment(def))
        .collect();
    Ok(Reply(json!({"segments": segments})))
}

pub(crate) async fn query(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let Asked {
        headers,
        deadline,
        ask,
    } = long_work::asked::<Ask>(&shared, request, FIELDS).await?;
    let plan = Arc::new(SegmentPlan::new(definition(&shared, &ask)?));
    let as_arrow = wants_arrow(&headers);
    let mut asked = segment_request(&shared, &ask, &plan, as_arrow)?;
    let promise = promise(&shared, &ask)?;
    let known = match asked.cut {
        None => promise.keep(&shared, plan.reads(), deadline).await?,
        Some(_) => promise.known(&shared, plan.reads()),
    };
    asked.positions = known.positions;
    asked.not_before = promise.session.time;
    let online = Arc::clone(&shared);
    long_work::run(&shared, &headers, deadline, move |reporter| {
        let answer = run(&online, &asked, reporter)?;
        let cut = online.engine().format_cut(&answer.cut);
        if !as_arrow {
            let report = wire::segment_answer(&asked.plan, &answer, &cut);
            return Ok(Made::Report(report));
        }
        let file = online.spool.file("arrows")?;
        file.write(&arrow(&asked.plan, &answer, &cut)?)?;
        let rows = answer.rows;
        let without_rows = SegmentAnswer { rows: 0, ..answer };
        let mut report = wire::segment_answer(&asked.plan, &without_rows, &cut);
        report["rows"] = json!(rows);
        Ok(Made::File {
            report,
            file,
            content_type: Content::ARROW,
        })
    })
    .await
}

fn run(
    shared: &Arc<Shared>,
    asked: &SegmentRequest,
    reporter: &long_work::Reporter,
) -> Result<SegmentAnswer, ApiError> {
    ask_segment(shared.as_ref(), asked, &mut |keys| {
        reporter.reach("keys", keys, 0)
    })
    .map_err(|error| match error {
        EngineError::Stopped => reporter.stopped(),
        error => ApiError::from(error),
    })
}

/// The segment of a name, or of a query.
fn definition(shared: &Shared, ask: &Ask) -> Result<Arc<SegmentDef>, ApiError> {
    let engine = shared.engine();
    match (&ask.segment, &ask.query) {
        (Some(name), None) => Ok(segment_of(engine.catalog(), name)?),
        (None, Some(query)) => segment_query(engine.catalog(), query)
            .map_err(|error| ApiError::mistakes(&error, "query")),
        (None, None) => Err(ApiError::invalid("`segment` or `query` is missing")),
        (Some(_), Some(_)) => Err(ApiError::invalid("give `segment` or `query`, not both")),
    }
}

fn segment_request(
    shared: &Shared,
    ask: &Ask,
    plan: &Arc<SegmentPlan>,
    as_arrow: bool,
) -> Result<SegmentRequest, ApiError> {
    let time = |name: &str, text: &Option<String>| {
        let parsed = text
            .as_ref()
            .map(|text| parse_timestamp(text, &Zone::utc()));
        parsed
            .transpose()
            .map_err(|e| ApiError::invalid(format!("`{name}`: {e}")).at(json!({"field": name})))
    };
    let limit = ask.limit.unwrap_or(ROWS_DEFAULT);
    if limit > ROWS_MAX || (limit == 0 && !ask.count) {
        return Err(ApiError::invalid(format!(
            "`limit` is {limit}: from 1 to {ROWS_MAX}, or 0 with `count`"
        ))
        .with_hint("go on behind `next` with `after`")
        .at(json!({"field": "limit"})));
    }
    // Arrow has its values in columns, JSON one by one.
    let values_max = match as_arrow {
        true => shared
            .limits
            .values_per_request
            .saturating_mul(ARROW_VALUES),
        false => shared.limits.values_per_request,
    };
    let width = plan.fields().count();
    if limit.saturating_mul(width) > values_max {
        return Err(ApiError::new(
            "TOO_MANY_VALUES",
            format!(
                "`limit` times columns are {}: at most {values_max} are allowed",
                limit * width
            ),
        )
        .with_hint("ask for fewer keys at once, and go on behind `next` with `after`"));
    }
    let cut = ask.cut.as_ref().map(|text| shared.engine().parse_cut(text));
    let after = ask.after.as_ref().map(|given| key(&plan.def().key, given));
    Ok(SegmentRequest {
        plan: Arc::clone(plan),
        as_of: time("as_of", &ask.as_of)?.map(EventTime),
        not_before: None,
        positions: Cut::empty(),
        cut: cut.transpose()?,
        known_at: time("known_at", &ask.known_at)?.map(VisibleAt),
        after: after.transpose()?,
        limit,
        counts: ask.count,
        at_once: AtOnce {
            values_max: shared.limits.training_values,
            ..AtOnce::default()
        },
    })
}

/// The key behind which an answer begins.
fn key(fields: &[Field], given: &Map<String, Json>) -> Result<Vec<Value>, ApiError> {
    let wrong = |name: &str, reason: String| {
        ApiError::invalid(format!("`after`: {reason}"))
            .at(json!({"field": "after", "column": name}))
    };
    if let Some(name) = given.keys().find(|n| fields.iter().all(|f| f.name != **n)) {
        return Err(wrong(name, format!("the key has no column `{name}`")));
    }
    let value = |field: &Field| {
        let name = &field.name;
        let json = given
            .get(name)
            .ok_or_else(|| wrong(name, format!("`{name}` is missing")))?;
        json_to_value(&field.data_type, json, &Zone::utc())
            .map_err(|e| wrong(name, format!("`{name}`: {e}")))
    };
    fields.iter().map(value).collect()
}

/// What the request must know.
fn promise(shared: &Shared, ask: &Ask) -> Result<Promise, ApiError> {
    let level = match ask.consistency.as_deref() {
        None | Some("eventual") => Level::Eventual,
        Some("strong") => Level::Strong,
        Some(other) => {
            return Err(ApiError::invalid(format!(
                "`consistency` is `{other}`: `eventual` or `strong`"
            ))
            .at(json!({"field": "consistency"})));
        }
    };
    let session = ask
        .session
        .as_ref()
        .map(|t| shared.engine().parse_session(t));
    Ok(Promise {
        level,
        session: session.transpose()?.unwrap_or_default(),
    })
}

/// An Arrow stream of the keys and what is selected; what JSON has besides is in its metadata.
fn arrow(plan: &SegmentPlan, answer: &SegmentAnswer, cut: &str) -> Result<Vec<u8>, ApiError> {
    let fields: Vec<Field> = plan.fields().cloned().collect();
    let wrong = |e: evenkeel_connect::ConnectError| ApiError::invalid(chain(&e));
    let layout = StreamLayout::new(&fields).map_err(wrong)?;
    let mut columns: Vec<StreamColumn> = Vec::with_capacity(fields.len());
    for column in &answer.columns {
        let made = layout.column(columns.len(), column).ok_or_else(|| {
            ApiError::invalid("a column has more than two gigabytes")
                .with_hint("ask for fewer keys at once with `limit`")
        })?;
        columns.push(made);
    }
    let mut metadata = BTreeMap::from([
        ("definition", wire::hex(&plan.def().digest)),
        ("as_of", answer.as_of.to_string()),
        ("cut", cut.to_owned()),
        ("matched", answer.matched.to_string()),
        ("asked", answer.asked.to_string()),
        ("undecided", answer.undecided.to_string()),
        ("complete", answer.complete.to_string()),
    ]);
    if let Some(next) = &answer.next {
        metadata.insert("next", wire::segment_key(plan, next).to_string());
    }
    let metadata = metadata
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text));
    layout
        .stream(columns, answer.rows, &metadata.collect())
        .map_err(wrong)
}
