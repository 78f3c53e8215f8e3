//! Answers of reads: JSON written into one buffer, or an Arrow stream.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use evenkeel_connect::{Table, append_json};
use evenkeel_engine::Unmet;
use evenkeel_engine::api::Answer;
use evenkeel_types::{Column, DataType, EventTime, Field, Status, Value, VisibleAt};
use serde_json::Value as Json;

use crate::error::{ApiError, unmet_json};
use crate::plans::ServicePlan;
use crate::wire::hex;

/// About the bytes that a feature takes in a row: value, status and event time.
const FEATURE_BYTES: usize = 64;

/// A read that was answered.
pub(crate) struct ReadAnswer<'a> {
    pub(crate) plan: &'a ServicePlan,
    pub(crate) rows: Vec<Vec<Answer>>,
    pub(crate) as_of: EventTime,
    pub(crate) known_at: Option<VisibleAt>,
    pub(crate) cut: Arc<str>,
    /// What was promised and not met, where that is allowed.
    pub(crate) degraded: Option<Unmet>,
    pub(crate) defaults: bool,
}

/// The words of a status.
fn status(status: Status, out: &mut Vec<u8>) {
    match status {
        Status::Present => out.extend_from_slice(b"\"PRESENT\""),
        Status::NullValue => out.extend_from_slice(b"\"NULL_VALUE\""),
        Status::NotFound => out.extend_from_slice(b"\"NOT_FOUND\""),
        Status::OutsideMaxAge => out.extend_from_slice(b"\"OUTSIDE_MAX_AGE\""),
        Status::Error(_) => text(&status.to_string(), out),
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    append_json(&DataType::String, &Value::from(text), out);
}

fn member(name: &str, out: &mut Vec<u8>) {
    out.push(b',');
    text(name, out);
    out.push(b':');
}

fn status_text(status: Status) -> Value {
    Value::string(status.to_string())
}

fn time_value(time: Option<EventTime>) -> Value {
    time.map_or(Value::Null, |t| Value::Timestamp(t.0))
}

/// Columns of what answers have beside their values, of one feature after the other.
struct Repeated<K> {
    data_type: DataType,
    key: fn(&Answer) -> K,
    value: fn(K) -> Value,
    /// The keys of the last column, and the column.
    last: (Vec<K>, Column),
}

impl<K: Copy + PartialEq> Repeated<K> {
    fn new(data_type: DataType, key: fn(&Answer) -> K, value: fn(K) -> Value) -> Self {
        let column = Column::new(&data_type);
        Repeated {
            data_type,
            key,
            value,
            last: (Vec::new(), column),
        }
    }

    /// The column of one feature's answers.
    fn column<'a>(&mut self, answers: impl Iterator<Item = &'a Answer> + Clone) -> Column {
        let keys = answers.map(self.key);
        if !keys.clone().eq(self.last.0.iter().copied()) {
            let mut column = Column::new(&self.data_type);
            let mut before: Option<(K, Value)> = None;
            for key in keys.clone() {
                let value = match before.take() {
                    Some((same, value)) if same == key => value,
                    _ => (self.value)(key),
                };
                column.push(&value);
                before = Some((key, value));
            }
            self.last = (keys.collect(), column);
        }
        self.last.1.clone()
    }
}

/// Things in brackets.
fn list<T>(items: impl IntoIterator<Item = T>, out: &mut Vec<u8>, put: impl Fn(T, &mut Vec<u8>)) {
    out.push(b'[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        put(item, out);
    }
    out.push(b']');
}

/// The event times in brackets. Those of one view are the same, and are written once.
fn event_times(row: &[Answer], out: &mut Vec<u8>) {
    out.push(b'[');
    let mut last = None;
    for (i, answer) in row.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        let start = out.len();
        match &last {
            Some((time, place)) if *time == answer.event_time => {
                out.extend_from_within(Range::clone(place));
            }
            _ => {
                append_json(&DataType::Timestamp, &time_value(answer.event_time), out);
                last = Some((answer.event_time, start..out.len()));
            }
        }
    }
    out.push(b']');
}

impl ReadAnswer<'_> {
    /// The default that stands in for an answer.
    fn default_of(&self, feature: usize, answer: &Answer) -> Option<&Value> {
        if !self.defaults || answer.status == Status::Present {
            return None;
        }
        self.plan.read.defaults().get(feature)?.as_ref()
    }

    fn value<'v>(&'v self, feature: usize, answer: &'v Answer) -> &'v Value {
        self.default_of(feature, answer).unwrap_or(&answer.value)
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let features = self.plan.outputs();
        let head = self.plan.head_json.as_bytes();
        let per_row = 64 + FEATURE_BYTES * features.len();
        let mut out = Vec::with_capacity(
            512 + head.len() + self.plan.features_json.len() + self.rows.len() * per_row,
        );
        out.extend_from_slice(head);
        member("as_of", &mut out);
        text(&self.as_of.to_string(), &mut out);
        member("known_at", &mut out);
        match self.known_at {
            Some(time) => text(&time.to_string(), &mut out),
            None => out.extend_from_slice(b"null"),
        }
        member("cut", &mut out);
        text(&self.cut, &mut out);
        member("degraded", &mut out);
        let degraded = self.degraded.as_ref().map_or(Json::Null, unmet_json);
        out.extend_from_slice(degraded.to_string().as_bytes());
        out.push(b',');
        out.extend_from_slice(self.plan.features_json.as_bytes());
        member("rows", &mut out);
        list(&self.rows, &mut out, |row, out| {
            self.row(features, row, out)
        });
        out.push(b'}');
        out
    }

    fn row(&self, features: &[Field], row: &[Answer], out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"values\":");
        let values = features.iter().zip(row).enumerate();
        list(values, out, |(i, (field, answer)), out| {
            append_json(&field.data_type, self.value(i, answer), out);
        });
        member("statuses", out);
        list(row, out, |answer, out| status(answer.status, out));
        member("event_times", out);
        event_times(row, out);
        let defaulted = row.iter().enumerate();
        let mut defaulted = defaulted
            .filter(|(i, answer)| self.default_of(*i, answer).is_some())
            .peekable();
        if defaulted.peek().is_some() {
            member("defaults", out);
            list(defaulted, out, |(i, _), out| {
                out.extend_from_slice(i.to_string().as_bytes());
            });
        }
        out.push(b'}');
    }

    /// As an Arrow IPC stream: per feature its value, `__status`, `__event_time` and, where
    /// it has a default, `__default`; the rest as metadata of the schema.
    pub(crate) fn to_arrow(&self) -> Result<Vec<u8>, ApiError> {
        let mut columns = Vec::new();
        // Those of one view are mostly the same: made once, then copied.
        let mut statuses = Repeated::new(DataType::String, |a: &Answer| a.status, status_text);
        let mut times = Repeated::new(DataType::Timestamp, |a: &Answer| a.event_time, time_value);
        for (i, field) in self.plan.outputs().iter().enumerate() {
            let name = |suffix: &str, data_type: DataType| {
                Field::new(format!("{}__{suffix}", field.name), data_type)
            };
            let answers = || self.rows.iter().map(move |row| &row[i]);
            let mut values = Column::new(&field.data_type);
            answers().for_each(|answer| values.push(self.value(i, answer)));
            columns.push((field.clone(), values));
            columns.push((name("status", DataType::String), statuses.column(answers())));
            let column = times.column(answers());
            columns.push((name("event_time", DataType::Timestamp), column));
            let default = self.plan.read.defaults().get(i);
            if self.defaults && default.is_some_and(Option::is_some) {
                let mut marks = Column::new(&DataType::Boolean);
                for answer in answers() {
                    marks.push(&Value::Boolean(self.default_of(i, answer).is_some()));
                }
                columns.push((name("default", DataType::Boolean), marks));
            }
        }
        Table::from_columns(columns)
            .and_then(|table| table.with_metadata(self.metadata()).to_stream())
            .map_err(|e| {
                ApiError::invalid(crate::error::chain(&e))
                    .with_hint("ask for `Accept: application/json`")
            })
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let service = self.plan.read.service();
        let mut metadata = BTreeMap::from([
            ("evenkeel.definition".to_owned(), hex(&service.digest)),
            ("evenkeel.as_of".to_owned(), self.as_of.to_string()),
            ("evenkeel.cut".to_owned(), self.cut.to_string()),
        ]);
        if self.plan.named || self.plan.dataset.is_some() {
            metadata.insert("evenkeel.service".to_owned(), service.name.clone());
            metadata.insert("evenkeel.version".to_owned(), service.version.to_string());
        }
        if let Some(dataset) = &self.plan.dataset {
            metadata.insert("evenkeel.dataset".to_owned(), dataset.title.clone());
            metadata.insert("evenkeel.digest".to_owned(), dataset.digest.clone());
        }
        if let Some(time) = self.known_at {
            metadata.insert("evenkeel.known_at".to_owned(), time.to_string());
        }
        if let Some(unmet) = &self.degraded {
            metadata.insert(
                "evenkeel.degraded".to_owned(),
                unmet_json(unmet).to_string(),
            );
        }
        metadata
    }
}
