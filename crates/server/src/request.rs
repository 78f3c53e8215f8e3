//! A read of features, from JSON or from Arrow with query parameters.
//!
//! Invariant: every field is known, every value is of its column's type, or the request is
//! refused with the place; nothing is left out silently.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_connect::{ColumnSpec, Json, RowError, Table, nearest, parse_json};
use evenkeel_engine::ServerLimits;
use evenkeel_engine::dataset::{DatasetFolder, DatasetName};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{Cut, EventTime, Value, VisibleAt, Zone};
use serde_json::json;

use crate::error::ApiError;
use crate::levels::{Level, Promise};
use crate::plans::{ServicePlan, Wanted};
use crate::shared::Shared;

/// The fields of a request.
pub(crate) const FIELDS: &[&str] = &[
    "service",
    "version",
    "features",
    "dataset",
    "entities",
    "common",
    "as_of",
    "known_at",
    "cut",
    "consistency",
    "min_positions",
    "session",
    "timeout_ms",
    "degraded",
    "defaults",
];

/// A request that was understood.
#[derive(Debug)]
pub(crate) struct ReadRequest {
    pub(crate) plan: Arc<ServicePlan>,
    /// One row of inputs per entity.
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) as_of: Option<EventTime>,
    pub(crate) known_at: Option<VisibleAt>,
    pub(crate) cut: Option<Cut>,
    pub(crate) promise: Promise,
    /// Rather an answer that knows less than none.
    pub(crate) degraded: bool,
    /// Whether defaults are put in place of missing values.
    pub(crate) defaults: bool,
    pub(crate) timeout: Duration,
}

impl ReadRequest {
    /// How many values are asked for.
    pub(crate) fn values(&self) -> usize {
        let features = self.plan.read.features().len();
        self.rows.len().saturating_mul(features)
    }

    /// Whether it asks for what is known at the moment at which it is read.
    pub(crate) fn is_of_now(&self) -> bool {
        self.cut.is_none() && self.known_at.is_none()
    }
}

/// The entities of a request, not decoded yet.
enum Entities<'a> {
    Json(Option<&'a Json<'a>>, Option<&'a Json<'a>>),
    Table(Table),
}

/// A request from a JSON body.
pub(crate) fn from_json(shared: &Shared, body: &[u8]) -> Result<ReadRequest, ApiError> {
    let text = std::str::from_utf8(body).map_err(|e| {
        ApiError::new("JSON", "the body is not UTF-8").at(json!({"byte": e.valid_up_to()}))
    })?;
    let json = parse_json(text).map_err(json_error)?;
    let Json::Object(members) = &json else {
        return Err(ApiError::invalid(format!(
            "the body is {}, not an object",
            json.kind()
        )));
    };
    let fields = Fields(members);
    let entities = Entities::Json(fields.get("entities"), fields.get("common"));
    request(shared, members, entities)
}

/// A request from an Arrow IPC stream, the rest of it in the query.
pub(crate) fn from_arrow(
    shared: &Shared,
    body: Vec<u8>,
    query: &[(String, String)],
) -> Result<ReadRequest, ApiError> {
    let unpacked = shared.limits.unpacked_bytes as u64;
    let table = Table::from_stream(body, unpacked)
        .map_err(|e| ApiError::new("ARROW", crate::error::chain(&e)))?;
    let members: Vec<(Cow<'_, str>, Json<'_>)> = query
        .iter()
        .map(|(name, text)| (Cow::Borrowed(name.as_str()), query_value(name, text)))
        .collect();
    for (i, (name, _)) in members.iter().enumerate() {
        if matches!(name.as_ref(), "entities" | "common") {
            return Err(ApiError::invalid(format!("`{name}` is in the body")));
        }
        if members[..i].iter().any(|(earlier, _)| earlier == name) {
            return Err(ApiError::invalid(format!("`{name}` is given twice")));
        }
    }
    request(shared, &members, Entities::Table(table))
}

/// What JSON would have in place of a query parameter's text.
fn query_value<'a>(name: &str, text: &'a str) -> Json<'a> {
    let string = |text: &'a str| Json::String(Cow::Borrowed(text));
    match (name, text) {
        ("version" | "timeout_ms", _) => Json::Number {
            text: Cow::Borrowed(text),
            exact: true,
        },
        (_, "true") => Json::Boolean(true),
        (_, "false") => Json::Boolean(false),
        ("features", _) => Json::Array(text.split(',').map(string).collect()),
        ("consistency", _) => match text.strip_prefix("complete:") {
            Some(time) => Json::Object(vec![(Cow::Borrowed("complete"), string(time))]),
            None => string(text),
        },
        _ => string(text),
    }
}

/// What is wrong with a JSON text.
pub(crate) fn json_error(error: evenkeel_connect::ValueError) -> ApiError {
    let place = match &error {
        evenkeel_connect::ValueError::Json { at, .. } => json!({"byte": at}),
        _ => serde_json::Value::Null,
    };
    ApiError::new("JSON", error.to_string()).at(place)
}

/// What is wrong with a row.
pub(crate) fn row_error(row: Option<usize>, error: RowError) -> ApiError {
    let hint = error.hint.0.map(|name| format!("did you mean `{name}`?"));
    ApiError {
        code: "INVALID",
        message: match &error.column {
            Some(column) => format!("`{column}`: {}", error.reason),
            None => error.reason,
        },
        hint,
        place: Box::new(json!({"row": row, "column": error.column})),
    }
}

pub(crate) fn wrong(name: &str, json: &Json<'_>, wanted: &str) -> ApiError {
    ApiError::invalid(format!("`{name}` is {}, not {wanted}", json.kind()))
        .at(json!({"field": name}))
}

/// The members of a request by name; `null` is as if it were not there.
pub(crate) struct Fields<'a>(pub(crate) &'a [(Cow<'a, str>, Json<'a>)]);

impl<'a> Fields<'a> {
    pub(crate) fn get(&self, name: &str) -> Option<&'a Json<'a>> {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map(|(_, j)| j).filter(|j| **j != Json::Null)
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, other, "a string")),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(json @ Json::Number { text, .. }) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(wrong(name, json, "a whole number from 0")),
            },
            Some(other) => Err(wrong(name, other, "a number")),
        }
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(default),
            Some(Json::Boolean(flag)) => Ok(*flag),
            Some(other) => Err(wrong(name, other, "true or false")),
        }
    }

    pub(crate) fn time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.text(name)?.map(|text| time(name, text)).transpose()
    }
}

fn time(name: &str, text: &str) -> Result<i64, ApiError> {
    parse_timestamp(text, &Zone::utc())
        .map_err(|e| ApiError::invalid(format!("`{name}`: {e}")).at(json!({"field": name})))
}

/// Refuses fields that no request of the kind has.
fn refuse_unknown(
    members: &[(Cow<'_, str>, Json<'_>)],
    known: &[&'static str],
) -> Result<(), ApiError> {
    for (name, _) in members {
        if !known.contains(&name.as_ref()) {
            let hint = nearest(name, known.iter().copied()).0;
            return Err(ApiError {
                hint: hint.map(|name| format!("did you mean `{name}`?")),
                ..ApiError::new("UNKNOWN_FIELD", format!("no request has a field `{name}`"))
                    .at(json!({"field": name}))
            });
        }
    }
    Ok(())
}

/// The fields of a body, all of which are known.
pub(crate) fn fields<'a>(
    json: &'a Json<'a>,
    known: &[&'static str],
) -> Result<Fields<'a>, ApiError> {
    let Json::Object(members) = json else {
        return Err(ApiError::invalid(format!(
            "the body is {}, not an object",
            json.kind()
        )));
    };
    refuse_unknown(members, known)?;
    Ok(Fields(members))
}

/// How long an answer may take.
pub(crate) fn timeout(fields: &Fields<'_>, limits: &ServerLimits) -> Result<Duration, ApiError> {
    let timeout = fields.number("timeout_ms")?.unwrap_or(limits.timeout_ms);
    if timeout == 0 || timeout > limits.timeout_ms_max {
        return Err(ApiError::new(
            "TIMEOUT_RANGE",
            format!(
                "`timeout_ms` is {timeout}: from 1 to {}",
                limits.timeout_ms_max
            ),
        )
        .at(json!({"field": "timeout_ms"})));
    }
    Ok(Duration::from_millis(timeout))
}

fn request<'a>(
    shared: &Shared,
    members: &'a [(Cow<'a, str>, Json<'a>)],
    entities: Entities<'a>,
) -> Result<ReadRequest, ApiError> {
    refuse_unknown(members, FIELDS)?;
    let fields = Fields(members);
    let plan = plan(shared, wanted(&fields, shared.limits.features_per_request)?)?;
    let limits = &shared.limits;
    let features = plan.read.features().len();
    if features > limits.features_per_request {
        return Err(ApiError::new(
            "TOO_MANY_FEATURES",
            format!(
                "{features} features in one read: at most {} are allowed",
                limits.features_per_request
            ),
        ));
    }
    let rows = rows(shared, &plan, &entities)?;
    let timeout = timeout(&fields, limits)?;
    let cut = match fields.text("cut")? {
        None => None,
        Some(text) => Some(shared.engine().parse_cut(text)?),
    };
    let promise = promise(shared, &fields)?;
    if cut.is_some() && matches!(promise.level, Level::Complete(_)) {
        return Err(ApiError::invalid(
            "`complete` is about what is known now: it cannot be promised of a named `cut`",
        )
        .at(json!({"field": "consistency"})));
    }
    Ok(ReadRequest {
        promise,
        plan,
        rows,
        as_of: fields.time("as_of")?.map(EventTime),
        known_at: fields.time("known_at")?.map(VisibleAt),
        cut,
        degraded: fields.flag("degraded", false)?,
        defaults: fields.flag("defaults", true)?,
        timeout,
    })
}

pub(crate) fn wanted(fields: &Fields<'_>, features_max: usize) -> Result<Wanted, ApiError> {
    let version = fields.number("version")?;
    if let Some(name) = fields.text("dataset")? {
        let others = ["service", "features", "version"];
        if let Some(other) = others.iter().find(|other| fields.get(other).is_some()) {
            return Err(ApiError::invalid(format!(
                "give `dataset` or `{other}`, not both"
            )));
        }
        let name: DatasetName = name.parse()?;
        return Ok(Wanted::Dataset(name));
    }
    match (fields.text("service")?, fields.get("features")) {
        (Some(_), Some(_)) => Err(ApiError::invalid("give `service` or `features`, not both")),
        (None, None) => Err(ApiError::invalid(
            "`service`, `features` or `dataset` is missing",
        )),
        (Some(name), None) => {
            let version = version
                .map(|v| u32::try_from(v).map_err(|_| ApiError::invalid("no such `version`")))
                .transpose()?;
            Ok(Wanted::Service(name.to_owned(), version))
        }
        (None, Some(_)) if version.is_some() => {
            Err(ApiError::invalid("a list of features has no `version`"))
        }
        (None, Some(Json::Array(items))) if items.len() > features_max => Err(ApiError::new(
            "TOO_MANY_FEATURES",
            format!(
                "{} features in one read: at most {features_max} are allowed",
                items.len()
            ),
        )),
        (None, Some(Json::Array(items))) if items.is_empty() => Err(ApiError::invalid(
            "`features` names none: list some as `view:feature`, or `view:*`",
        )),
        (None, Some(Json::Array(items))) => {
            let names = items.iter().map(|item| match item {
                Json::String(name) => Ok(name.to_string()),
                other => Err(wrong("features", other, "a list of strings")),
            });
            Ok(Wanted::Features(names.collect::<Result<_, _>>()?))
        }
        (None, Some(other)) => Err(wrong("features", other, "a list of `view:feature`")),
    }
}

pub(crate) fn plan(shared: &Shared, mut wanted: Wanted) -> Result<Arc<ServicePlan>, ApiError> {
    let manifest_of = |name: &DatasetName| {
        let store = shared.engine().project().store.clone();
        DatasetFolder::of(&store).manifest(name)
    };
    let mut manifest = None;
    if let Wanted::Dataset(name) = &mut wanted
        && name.version.is_none()
    {
        // The newest may be another at the next read.
        let newest = manifest_of(name)?;
        name.version = Some(newest.version);
        manifest = Some(newest);
    }
    if let Some(plan) = shared.plans.known(&wanted) {
        return Ok(plan);
    }
    if let (Wanted::Dataset(name), None) = (&wanted, &manifest) {
        manifest = Some(manifest_of(name)?);
    }
    shared
        .plans
        .make(&shared.engine(), wanted, manifest.as_ref())
}

pub(crate) fn promise(shared: &Shared, fields: &Fields<'_>) -> Result<Promise, ApiError> {
    let mut session = match fields.text("session")? {
        None => evenkeel_engine::SessionToken::default(),
        Some(text) => shared.engine().parse_session(text)?,
    };
    let named = session.positions != Cut::empty();
    let positions = match fields.text("min_positions")? {
        None => Cut::empty(),
        Some(text) => shared.engine().parse_cut(text)?,
    };
    for (source, partition, end) in positions.iter() {
        let known = session.positions.end(source, partition);
        session.positions.set_end(source, partition, end.max(known));
    }
    let level = match fields.get("consistency") {
        None => Level::Eventual,
        Some(Json::String(text)) => match text.as_ref() {
            "eventual" => Level::Eventual,
            "at_least" if named || positions != Cut::empty() => Level::AtLeast,
            "at_least" => {
                return Err(ApiError::invalid(
                    "`at_least` needs `min_positions` or `session`",
                ));
            }
            "strong" => Level::Strong,
            "strong_now" => Level::StrongNow,
            other => {
                return Err(ApiError::invalid(format!("`{other}` is not a level of consistency"))
                    .with_hint(
                        "`eventual`, `at_least`, `strong`, `strong_now` or {\"complete\": TIME}",
                    )
                    .at(json!({"field": "consistency"})));
            }
        },
        Some(Json::Object(members)) => match members.as_slice() {
            [(name, Json::String(text))] if name == "complete" => {
                Level::Complete(EventTime(time("consistency", text)?))
            }
            _ => {
                return Err(ApiError::invalid(
                    "`consistency` as an object is {\"complete\": TIME}",
                ));
            }
        },
        Some(other) => return Err(wrong("consistency", other, "a level")),
    };
    Ok(Promise { level, session })
}

fn rows(
    shared: &Shared,
    plan: &ServicePlan,
    entities: &Entities<'_>,
) -> Result<Vec<Vec<Value>>, ApiError> {
    let check = |rows: usize| {
        let limits = &shared.limits;
        let values = rows.saturating_mul(plan.read.features().len());
        if rows > shared.entities_max {
            return Err(ApiError::new(
                "TOO_MANY_ENTITIES",
                format!(
                    "{rows} entities in one read: at most {} are allowed",
                    shared.entities_max
                ),
            )
            .with_hint("send them in several requests"));
        }
        if values > limits.values_per_request {
            return Err(ApiError::new(
                "TOO_MANY_VALUES",
                format!(
                    "entities times features are {values}: at most {} are allowed",
                    limits.values_per_request
                ),
            )
            .with_hint("send the entities in several requests"));
        }
        Ok(())
    };
    match entities {
        Entities::Table(table) => {
            check(table.len())?;
            table_rows(table, plan.decoder.columns())
        }
        Entities::Json(entities, common) => json_rows(plan, *entities, *common, check),
    }
}

fn table_rows(table: &Table, columns: &[ColumnSpec]) -> Result<Vec<Vec<Value>>, ApiError> {
    let batch = table
        .rows(columns, &Zone::utc())
        .map_err(|e| ApiError::invalid(crate::error::chain(&e)))?;
    if let Some(rejected) = batch.rejected.first() {
        let column = rejected.column.as_deref().unwrap_or_default();
        return Err(
            ApiError::invalid(format!("`{column}`: {}", rejected.reason))
                .at(json!({"row": rejected.row, "column": rejected.column})),
        );
    }
    let row = |i: usize| batch.columns.iter().map(|c| c.get(i)).collect();
    Ok((0..table.len()).map(row).collect())
}

fn json_rows(
    plan: &ServicePlan,
    entities: Option<&Json<'_>>,
    common: Option<&Json<'_>>,
    check: impl Fn(usize) -> Result<(), ApiError>,
) -> Result<Vec<Vec<Value>>, ApiError> {
    let mut decoder = plan.decoder.clone();
    let mut template = vec![Value::Null; decoder.columns().len()];
    if let Some(common) = common {
        decoder
            .fill(common, &mut template)
            .map_err(|e| row_error(None, e))?;
    }
    match entities {
        None => Err(ApiError::invalid("`entities` is missing")),
        Some(Json::Array(entities)) => {
            check(entities.len())?;
            entities
                .iter()
                .enumerate()
                .map(|(i, entity)| {
                    let mut row = template.clone();
                    decoder
                        .fill(entity, &mut row)
                        .map_err(|e| row_error(Some(i), e))?;
                    Ok(row)
                })
                .collect()
        }
        Some(Json::Object(columns)) => {
            let length = |json: &Json<'_>| match json {
                Json::Array(values) => Some(values.len()),
                _ => None,
            };
            let count = columns.first().and_then(|(_, json)| length(json));
            check(count.unwrap_or(0))?;
            let mut rows = vec![template; count.unwrap_or(0)];
            for (name, json) in columns {
                let column = decoder.find(name).map_err(|e| row_error(None, e))?;
                let Json::Array(values) = json else {
                    return Err(wrong(name, json, "a list of values, one per entity"));
                };
                if values.len() != rows.len() {
                    return Err(ApiError::invalid(format!(
                        "`{name}` has {} values, the column before it {}",
                        values.len(),
                        rows.len()
                    ))
                    .at(json!({"column": name})));
                }
                for (i, (row, json)) in rows.iter_mut().zip(values).enumerate() {
                    let value = decoder.value(column, json);
                    row[column] = value.map_err(|e| row_error(Some(i), e))?;
                }
            }
            Ok(rows)
        }
        Some(other) => Err(wrong(
            "entities",
            other,
            "a list of objects or an object of lists",
        )),
    }
}
