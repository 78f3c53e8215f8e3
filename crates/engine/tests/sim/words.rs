//! What clients say and what the engine answers, each in the other's words.

use std::sync::Arc;

use evenkeel_engine::api::Answer;
use evenkeel_engine::push::{PushAnswer, PushedRow, RowAnswer, Undecoded};
use evenkeel_engine::{Engine, Unmet};
use evenkeel_log::LogReader;
use evenkeel_sim::{ENTITIES, Event, Outcome, Question, Row, SOURCES, Tally, Token, source_id};
use evenkeel_types::definition::SourceDef;
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{Cut, DataType, EventTime, Offset, Partition, SourceId, Value, Zone};

/// The store's number of a source of the clients.
fn to_store(engine: &Engine, source: SourceId) -> SourceId {
    let name = SOURCES[source.0 as usize];
    engine.source(name).expect("it is defined").id
}

/// The clients' number of a source of the store; none of a derived stream, of which they know nothing.
fn from_store(engine: &Engine, source: SourceId) -> Option<SourceId> {
    let def = engine.catalog().source_by_id(source);
    source_id(&def.expect("it is defined").name)
}

fn renamed(cut: &Cut, name: impl Fn(SourceId) -> Option<SourceId>) -> Cut {
    let mut renamed = Cut::empty();
    for (source, partition, end) in cut.iter() {
        if let Some(source) = name(source) {
            renamed.set_end(source, partition, end);
        }
    }
    renamed
}

pub(crate) fn cut_to_store(engine: &Engine, cut: &Cut) -> Cut {
    renamed(cut, |source| Some(to_store(engine, source)))
}

pub(crate) fn cut_from_store(engine: &Engine, cut: &Cut) -> Cut {
    renamed(cut, |source| from_store(engine, source))
}

/// A row as the engine takes it; the `n`-th of a push.
pub(crate) fn pushed_row(
    source: &SourceDef,
    row: &Row,
    n: u64,
    producer: Option<&(String, u64)>,
) -> PushedRow {
    let producer = producer.map(|(id, first)| (Arc::from(id.as_str()), first + n));
    let values = match row {
        Row::Wrong => Err(Undecoded {
            reason: "the driver is nobody".to_owned(),
            record: br#"{"id":"wrong","driver":"nobody"}"#.to_vec(),
        }),
        Row::Filtered => {
            let mut values = vec![Value::Null; 8];
            values[0] = Value::from("ignored");
            values[6] = Value::Timestamp(evenkeel_sim::START);
            Ok(values)
        }
        Row::Event(event) => Ok(values_of(source, event)),
    };
    PushedRow { values, producer }
}

fn values_of(source: &SourceDef, event: &Event) -> Vec<Value> {
    let number = |n: u64| Value::BigInt(n.cast_signed());
    vec![
        Value::from(event.id.as_str()),
        Value::from(event.version.as_str()),
        number(event.keys[0]),
        number(event.keys[1]),
        number(1 << event.bits[0]),
        number(1 << event.bits[1]),
        Value::Timestamp(event.at.0),
        extra(&source.stored_types()[7], event),
    ]
}

/// A number that may be of either sign, and is of the type that its column has.
fn extra(column: &DataType, event: &Event) -> Value {
    let number = (event.keys[0] % 7 + u64::from(event.bits[0]) % 5).cast_signed() - 5;
    match column {
        DataType::Int => Value::from(i32::try_from(number).expect("it is small")),
        _ => Value::from(number),
    }
}

pub(crate) fn outcomes(engine: &Engine, answer: PushAnswer) -> (Vec<Outcome>, Token) {
    let outcomes = answer.rows.into_iter().map(|row| match row {
        RowAnswer::Logged(position) => Outcome::Logged(position),
        RowAnswer::Conflict(position) => Outcome::Conflict(position),
        RowAnswer::Duplicate => Outcome::Duplicate,
        RowAnswer::LeftOut => Outcome::LeftOut,
        RowAnswer::Rejected { .. } => Outcome::Rejected,
    });
    let token = Token {
        positions: cut_from_store(engine, &answer.session.positions),
        time: answer.session.time,
    };
    (outcomes.collect(), token)
}

/// The features that a question names, as the API would.
pub(crate) fn feature_names(question: &Question) -> Vec<String> {
    let mut sources: Vec<SourceId> = question.features.iter().map(|f| f.source).collect();
    sources.dedup();
    let entity = ENTITIES[question.entity];
    let name = |source: &SourceId| format!("{}_of_{entity}:*", SOURCES[source.0 as usize]);
    sources.iter().map(name).collect()
}

/// Counts and sums, in turns.
pub(crate) fn tallies(row: &[Answer]) -> Vec<Tally> {
    let number = |answer: &Answer| match answer.value {
        Value::BigInt(number) => u64::try_from(number).expect("they are sums of bits"),
        _ => 0,
    };
    row.chunks(2)
        .map(|pair| Tally {
            count: number(&pair[0]),
            sum: number(&pair[1]).into(),
        })
        .collect()
}

pub(crate) fn unmet(unmet: &Unmet) -> evenkeel_sim::Unmet {
    let source = source_id(&unmet.source).expect("there are no others");
    let time = |text: &str| parse_timestamp(text, &Zone::utc()).map(EventTime);
    let offset = |text: &str| Offset(text.parse().expect("an offset"));
    match unmet.partition {
        Some(partition) => evenkeel_sim::Unmet::Position {
            source,
            partition: Partition(partition),
            wanted: offset(&unmet.wanted),
            reached: offset(&unmet.reached),
        },
        None => evenkeel_sim::Unmet::Watermark {
            source,
            wanted: time(&unmet.wanted).expect("a time"),
            reached: time(&unmet.reached).ok(),
        },
    }
}

/// What must be known for a level above `at_least`: all that is logged of some sources.
pub(crate) fn logged(log: &LogReader, wanted: &Cut, reads: impl Fn(SourceId) -> bool) -> Cut {
    let mut cut = wanted.clone();
    for (source, partition, end) in log.ends().iter().filter(|(source, ..)| reads(*source)) {
        cut.set_end(source, partition, end.max(wanted.end(source, partition)));
    }
    cut
}
