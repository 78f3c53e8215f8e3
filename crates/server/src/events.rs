//! `POST /v1/sources/{source}/events`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use bytes::Bytes;
use evenkeel_connect::{ColumnSpec, Json, RowDecoder, Table, append_json, nearest, parse_json};
use evenkeel_engine::batch::refuse_by_hand;
use evenkeel_engine::push::{PushAnswer, PushedRow, RowAnswer, Undecoded, Write, Written};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::{DataType, Value};
use serde_json::json;

use crate::body::{self, Content, aside};
use crate::clock::Stopwatch;
use crate::error::ApiError;
use crate::name::Name;
use crate::reply;
use crate::request::json_error;
use crate::shared::Shared;

/// The header with the producer's id.
pub(crate) const PRODUCER_ID: &str = "evenkeel-producer-id";
/// The header with the sequence number of the first row.
pub(crate) const SEQUENCE: &str = "evenkeel-sequence";
/// Characters of a producer's id.
const PRODUCER_CHARS_MAX: usize = 256;
/// The fields of a push that is an object.
const FIELDS: &[&str] = &["producer_id", "sequence", "rows"];

/// Who sends, and the first row's number.
type Producer = Option<(Arc<str>, u64)>;

pub(crate) async fn push(
    State(shared): State<Arc<Shared>>,
    Name(source): Name,
    request: Request,
) -> Result<Response<Body>, ApiError> {
    let started = Stopwatch::start();
    let (parts, body) = request.into_parts();
    let contents = [Content::Json, Content::JsonLines, Content::Arrow];
    let content = Content::of(&parts.headers, &contents)?;
    let (def, row_bytes) = {
        let engine = shared.engine();
        (engine.source(&source)?, engine.project().limits.row_bytes)
    };
    refuse_by_hand(&def)?;
    let longest = started.deadline(std::time::Duration::from_millis(
        shared.limits.timeout_ms_max,
    ));
    let body = body::read(&parts.headers, body, &shared.limits, longest).await?;
    let producer = producer_of(&parts.headers)?;
    let decoding = Arc::clone(&shared);
    let (write, count) = aside(body.len(), move || {
        let rows = decode(&decoding, &def, content, body, producer)?;
        let count = rows.len();
        Ok::<_, ApiError>((Write::of_pushed(def, row_bytes, rows)?, count))
    })
    .await??;
    let Written::Pushed(answer) = shared.queue.write(write, count).await? else {
        return Err(ApiError::new(
            "INTERNAL",
            "a push was answered as something else",
        ));
    };
    shared.metrics.pushed(&source, &answer.rows);
    Ok(reply::json(to_json(&shared, &source, &answer)))
}

fn producer_of(headers: &HeaderMap) -> Result<Producer, ApiError> {
    let text = |name: &str| -> Result<Option<&str>, ApiError> {
        let value = headers.get(name).map(|value| value.to_str());
        let value = value.transpose();
        value.map_err(|_| ApiError::invalid(format!("the header `{name}` is not ASCII")))
    };
    let sequence = text(SEQUENCE)?.map(|text| {
        text.parse()
            .map_err(|_| ApiError::invalid(format!("`{SEQUENCE}` is not a number from 0")))
    });
    producer(text(PRODUCER_ID)?, sequence.transpose()?)
}

pub(crate) fn producer(id: Option<&str>, sequence: Option<u64>) -> Result<Producer, ApiError> {
    match (id, sequence) {
        (None, None) => Ok(None),
        (Some(id), Some(sequence)) => {
            let length = id.chars().count();
            if length == 0 || length > PRODUCER_CHARS_MAX {
                return Err(ApiError::invalid(format!(
                    "a producer's id has 1 to {PRODUCER_CHARS_MAX} characters"
                )));
            }
            Ok(Some((Arc::from(id), sequence)))
        }
        _ => Err(ApiError::invalid(
            "a producer gives its id and the sequence number of the first row, both",
        )),
    }
}

fn decode(
    shared: &Shared,
    def: &SourceDef,
    content: Content,
    body: Bytes,
    producer: Producer,
) -> Result<Vec<PushedRow>, ApiError> {
    let columns = evenkeel_engine::stored_columns(def);
    match content {
        Content::Arrow => arrow(shared, def, &columns, body, producer),
        Content::Json => json_rows(
            shared,
            RowDecoder::new(columns, def.zone.clone()),
            &body,
            producer,
        ),
        Content::JsonLines => lines(
            shared,
            RowDecoder::new(columns, def.zone.clone()),
            &body,
            producer,
        ),
    }
}

pub(crate) fn check_rows(shared: &Shared, rows: usize) -> Result<(), ApiError> {
    let max = shared.limits.rows_per_push;
    if rows <= max {
        return Ok(());
    }
    Err(ApiError::new(
        "TOO_MANY_ROWS",
        format!("{rows} rows in one push: at most {max} are allowed"),
    )
    .with_hint("send them in several requests"))
}

/// Numbers the rows.
fn number(
    rows: Vec<Result<Vec<Value>, Undecoded>>,
    producer: &Producer,
) -> Result<Vec<PushedRow>, ApiError> {
    if let Some((_, first)) = producer
        && first.checked_add(rows.len() as u64).is_none()
    {
        return Err(ApiError::invalid("the sequence numbers go beyond 2^64"));
    }
    let numbered = (0u64..).zip(rows).map(|(i, values)| PushedRow {
        values,
        producer: producer
            .as_ref()
            .map(|(id, first)| (Arc::clone(id), first + i)),
    });
    Ok(numbered.collect())
}

pub(crate) fn row(decoder: &mut RowDecoder, json: &Json<'_>) -> Result<Vec<Value>, Undecoded> {
    let mut values = vec![Value::Null; decoder.columns().len()];
    match decoder.fill(json, &mut values) {
        Ok(()) => Ok(values),
        Err(error) => Err(Undecoded {
            reason: error.to_string(),
            record: json.to_string().into_bytes(),
        }),
    }
}

fn json_rows(
    shared: &Shared,
    mut decoder: RowDecoder,
    body: &[u8],
    mut sender: Producer,
) -> Result<Vec<PushedRow>, ApiError> {
    let json = parse_json(body::utf8(body)?).map_err(json_error)?;
    let rows = match &json {
        Json::Array(rows) => rows,
        Json::Object(members) => {
            let (found, rows) = object(members)?;
            if found.is_some() && sender.is_some() {
                return Err(ApiError::invalid("the producer is in headers and body"));
            }
            sender = found.or(sender);
            rows
        }
        other => {
            return Err(ApiError::invalid(format!(
                "{} is not a list of rows",
                other.kind()
            )));
        }
    };
    check_rows(shared, rows.len())?;
    number(
        rows.iter().map(|json| row(&mut decoder, json)).collect(),
        &sender,
    )
}

/// `{"producer_id": ..., "sequence": ..., "rows": [...]}`
fn object<'j, 'a>(
    members: &'j [(std::borrow::Cow<'a, str>, Json<'a>)],
) -> Result<(Producer, &'j [Json<'a>]), ApiError> {
    let (mut id, mut sequence, mut rows) = (None, None, None);
    for (name, json) in members {
        match (name.as_ref(), json) {
            ("producer_id", Json::String(text)) => id = Some(text.as_ref()),
            ("sequence", Json::Number { text, .. }) => {
                let parsed = text.parse();
                sequence = Some(parsed.map_err(|_| {
                    ApiError::invalid(format!("`sequence` is {text}, not a number from 0"))
                        .at(json!({"field": "sequence"}))
                })?);
            }
            ("rows", Json::Array(given)) => rows = Some(given.as_slice()),
            (name, other) if FIELDS.contains(&name) => {
                return Err(
                    ApiError::invalid(format!("`{name}` cannot be {}", other.kind()))
                        .at(json!({"field": name})),
                );
            }
            (name, _) => {
                let hint = nearest(name, FIELDS.iter().copied()).0;
                return Err(ApiError {
                    hint: Some(match hint {
                        Some(name) => format!("did you mean `{name}`?"),
                        None => "rows are sent as a list of objects".to_owned(),
                    }),
                    ..ApiError::new("UNKNOWN_FIELD", format!("no push has a field `{name}`"))
                        .at(json!({"field": name}))
                });
            }
        }
    }
    let rows = rows.ok_or_else(|| ApiError::invalid("`rows` is missing"))?;
    Ok((producer(id, sequence)?, rows))
}

fn lines(
    shared: &Shared,
    mut decoder: RowDecoder,
    body: &[u8],
    producer: Producer,
) -> Result<Vec<PushedRow>, ApiError> {
    let texts = body::utf8(body)?
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty());
    check_rows(shared, texts.clone().count())?;
    let rows = texts.map(|line| match parse_json(line) {
        Ok(json) => row(&mut decoder, &json),
        Err(error) => Err(Undecoded {
            reason: error.to_string(),
            record: serde_json::Value::from(line).to_string().into_bytes(),
        }),
    });
    number(rows.collect(), &producer)
}

fn arrow(
    shared: &Shared,
    def: &SourceDef,
    columns: &[ColumnSpec],
    body: Bytes,
    producer: Producer,
) -> Result<Vec<PushedRow>, ApiError> {
    let unpacked = shared.limits.unpacked_bytes as u64;
    let table = Table::from_stream(body.into(), unpacked)
        .map_err(|e| ApiError::new("ARROW", crate::error::chain(&e)))?;
    check_rows(shared, table.len())?;
    let batch = table
        .rows(columns, &def.zone)
        .map_err(|e| ApiError::invalid(crate::error::chain(&e)))?;
    let rows = batch.in_order().map(|(_, values)| {
        values.map_err(|rejected| {
            let column = rejected.column.unwrap_or_default();
            Undecoded {
                reason: format!("column `{column}`: {}", rejected.reason),
                record: rejected.record.into_bytes(),
            }
        })
    });
    number(rows.collect(), &producer)
}

fn to_json(shared: &Shared, source: &str, answer: &PushAnswer) -> Vec<u8> {
    let (positions, session) = {
        let engine = shared.engine();
        (
            engine.format_cut(&answer.session.positions),
            engine.format_session(&answer.session),
        )
    };
    let mut counts = std::collections::BTreeMap::from(
        ["logged", "duplicate", "conflict", "left_out", "rejected"].map(|word| (word, 0u64)),
    );
    for row in &answer.rows {
        *counts.entry(row.word()).or_default() += 1;
    }
    let head = json!({
        "source": source,
        "positions": positions,
        "session": session,
        "counts": counts,
    });
    let mut out = head.to_string().into_bytes();
    out.pop();
    out.extend_from_slice(b",\"rows\":[");
    let text = |text: &str, out: &mut Vec<u8>| {
        append_json(&DataType::String, &Value::from(text), out);
    };
    for (i, row) in answer.rows.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"status\":");
        text(row.word(), &mut out);
        match row {
            RowAnswer::Logged(position) | RowAnswer::Conflict(position) => {
                let (partition, offset) = (position.partition.0, position.offset.0);
                let place = format!(",\"partition\":{partition},\"offset\":{offset}");
                out.extend_from_slice(place.as_bytes());
            }
            RowAnswer::Rejected { code, reason } => {
                out.extend_from_slice(b",\"code\":");
                text(code, &mut out);
                out.extend_from_slice(b",\"reason\":");
                text(reason, &mut out);
            }
            RowAnswer::Duplicate | RowAnswer::LeftOut => {}
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}
