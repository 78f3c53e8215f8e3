//! The API's words for a history: questions and rows as JSON, and what came back.

use evenkeel_types::time::{format_timestamp, parse_timestamp};
use evenkeel_types::{Cut, EventTime, Offset, Partition, Position, SourceId, Zone};
use serde_json::{Value as Json, json};

use crate::history::{
    Answer, Event, Level, Moment, Outcome, PushReply, Question, ReadReply, Row, Tally, Token, Unmet,
};
use crate::workload::{ENTITIES, SOURCES, source_id};

/// Why an answer is not one of the API.
pub type Malformed = String;

fn name(source: SourceId) -> &'static str {
    SOURCES.get(source.0 as usize).copied().unwrap_or("?")
}

fn time_text(time: EventTime) -> String {
    format_timestamp(time.0)
}

fn parse_time(text: &str) -> Option<EventTime> {
    parse_timestamp(text, &Zone::utc()).ok().map(EventTime)
}

/// A cut in words.
pub fn cut_text(cut: &Cut) -> String {
    let parts = cut
        .iter()
        .map(|(source, partition, end)| format!("{}/{}@{}", name(source), partition.0, end.0));
    parts.collect::<Vec<_>>().join(",")
}

/// A token in words.
pub fn token_text(token: &Token) -> String {
    let cut = cut_text(&token.positions);
    match token.time {
        None => cut,
        Some(time) => format!("{cut};{}", time_text(time)),
    }
}

/// Reads a cut.
pub fn parse_cut(text: &str) -> Option<Cut> {
    let mut cut = Cut::empty();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (place, end) = part.split_once('@')?;
        let (source, partition) = place.split_once('/')?;
        let partition = Partition(partition.parse().ok()?);
        cut.set_end(source_id(source)?, partition, Offset(end.parse().ok()?));
    }
    Some(cut)
}

/// Reads a token.
pub fn parse_token(text: &str) -> Option<Token> {
    let (cut, time) = match text.split_once(';') {
        None => (text, None),
        Some((cut, time)) => (cut, Some(parse_time(time)?)),
    };
    Some(Token {
        positions: parse_cut(cut)?,
        time,
    })
}

fn row_json(row: &Row) -> Json {
    let event = match row {
        Row::Filtered => return json!({"id": "ignored", "at": "2026-03-01T00:00:00Z"}),
        Row::Wrong => return json!({"id": "wrong", "driver": "nobody"}),
        Row::Event(event) => event,
    };
    let Event {
        id,
        at,
        version,
        keys,
        bits,
    } = event;
    json!({
        "id": id,
        "version": version,
        "driver": keys[0],
        "place": keys[1],
        "driver_bit": 1u64 << bits[0],
        "place_bit": 1u64 << bits[1],
        "at": time_text(*at),
    })
}

/// The body of a push; `producer`: its id and the number of the first row.
pub fn rows_json(rows: &[Row], producer: Option<(&str, u64)>) -> Json {
    let rows: Vec<Json> = rows.iter().map(row_json).collect();
    match producer {
        None => json!(rows),
        Some((id, sequence)) => json!({"producer_id": id, "sequence": sequence, "rows": rows}),
    }
}

/// What came back for a push.
///
/// # Errors
/// If it is not an answer that the API gives.
pub fn push_reply(
    status: u16,
    body: &Json,
    source: SourceId,
    end: Moment,
) -> Result<PushReply, Malformed> {
    if matches!(status, 429 | 503) {
        return Ok(PushReply::Refused);
    }
    let malformed = || format!("{status} {body}");
    let rows = body["rows"]
        .as_array()
        .filter(|_| status == 200)
        .ok_or_else(malformed)?;
    let outcomes = rows.iter().map(|row| {
        let at = || {
            Some(Position {
                partition: Partition(u32::try_from(row["partition"].as_u64()?).ok()?),
                offset: Offset(row["offset"].as_u64()?),
            })
        };
        match row["status"].as_str()? {
            "logged" => Some(Outcome::Logged(at()?)),
            "conflict" => Some(Outcome::Conflict(at()?)),
            "duplicate" => Some(Outcome::Duplicate),
            "left_out" => Some(Outcome::LeftOut),
            "rejected" => Some(Outcome::Rejected),
            _ => None,
        }
    });
    let outcomes: Option<Vec<Outcome>> = outcomes.collect();
    let token = body["session"].as_str().and_then(parse_token);
    let (Some(outcomes), Some(token)) = (outcomes, token) else {
        return Err(malformed());
    };
    if body["source"] != json!(name(source)) {
        return Err(malformed());
    }
    Ok(PushReply::Answered {
        end,
        outcomes,
        token,
    })
}

/// The body of a read.
pub fn question_json(question: &Question, timeout_ms: u64) -> Json {
    let mut sources: Vec<SourceId> = question.features.iter().map(|f| f.source).collect();
    sources.dedup();
    let entity = ENTITIES[question.entity];
    let features = sources
        .iter()
        .map(|s| format!("{}_of_{entity}:*", name(*s)));
    let level = match question.level {
        Level::Eventual => json!("eventual"),
        Level::AtLeast => json!("at_least"),
        Level::Strong => json!("strong"),
        Level::StrongNow => json!("strong_now"),
        Level::Complete(time) => json!({"complete": time_text(time)}),
    };
    let mut body = json!({
        "features": features.collect::<Vec<_>>(),
        "entities": {entity: question.keys},
        "consistency": level,
        "degraded": question.degraded,
        "timeout_ms": timeout_ms,
    });
    if question.token != Token::default() {
        body["session"] = json!(token_text(&question.token));
    }
    if let Some(time) = question.as_of {
        body["as_of"] = json!(time_text(time));
    }
    if let Some(cut) = &question.cut {
        body["cut"] = json!(cut_text(cut));
    }
    body
}

fn unmet(place: &Json) -> Option<Unmet> {
    let source = source_id(place["source"].as_str()?)?;
    let (wanted, reached) = (place["wanted"].as_str()?, place["reached"].as_str()?);
    let Some(partition) = place["partition"].as_u64() else {
        return Some(Unmet::Watermark {
            source,
            wanted: parse_time(wanted)?,
            reached: match reached {
                "no event yet" => None,
                time => Some(parse_time(time)?),
            },
        });
    };
    Some(Unmet::Position {
        source,
        partition: Partition(u32::try_from(partition).ok()?),
        wanted: Offset(wanted.parse().ok()?),
        reached: Offset(reached.parse().ok()?),
    })
}

/// What came back for a read.
///
/// # Errors
/// If it is not an answer that the API gives.
pub fn read_reply(status: u16, body: &Json, question: &Question) -> Result<ReadReply, Malformed> {
    let malformed = || format!("{status} {body}");
    let place = &body["error"]["place"];
    match (status, body["error"]["code"].as_str()) {
        (200, None) => answer(body, question)
            .map(ReadReply::Answered)
            .ok_or_else(malformed),
        (429 | 503, Some(_)) => Ok(ReadReply::Refused),
        (504, Some("DEADLINE")) => unmet(place).map(ReadReply::Unmet).ok_or_else(malformed),
        (400, Some("CUT_LACKS")) => unmet(place).map(ReadReply::CutLacks).ok_or_else(malformed),
        _ => Err(malformed()),
    }
}

fn answer(body: &Json, question: &Question) -> Option<Answer> {
    let row = |row: &Json| -> Option<Vec<Tally>> {
        let values = row["values"].as_array()?;
        if values.len() != 2 * question.features.len() {
            return None;
        }
        let tallies = values.chunks(2).map(|pair| {
            Some(Tally {
                count: pair[0].as_u64()?,
                sum: match &pair[1] {
                    Json::Null => 0,
                    sum => u128::from(sum.as_u64()?),
                },
            })
        });
        tallies.collect()
    };
    Some(Answer {
        cut: parse_cut(body["cut"].as_str()?)?,
        as_of: parse_time(body["as_of"].as_str()?)?,
        degraded: match &body["degraded"] {
            Json::Null => None,
            place => Some(unmet(place)?),
        },
        values: body["rows"]
            .as_array()?
            .iter()
            .map(row)
            .collect::<Option<_>>()?,
    })
}
