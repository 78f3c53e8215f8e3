//! Answers of reads: JSON written into one buffer, or an Arrow stream.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Response;
use evenkeel_connect::{ConnectError, StreamPart, append_json};
use evenkeel_engine::{
    Answers, FeatureAnswers, KeptAnswers, ReadPlan, RowOfView, Unmet, ViewColumns,
};
use evenkeel_types::{Column, DataType, EventTime, Status, Value, VisibleAt};
use serde_json::Value as Json;

use crate::body::Content;
use crate::error::ApiError;
use crate::plans::ServicePlan;
use crate::reply;
use crate::wire::{self, hex};

/// About the bytes that a feature takes in a row: value, status and event time.
const FEATURE_BYTES: usize = 64;

/// What was read.
#[derive(Debug)]
pub(crate) enum Rows {
    /// All of it, as it is kept.
    Kept(KeptAnswers),
    Columns(Answers),
}

impl Rows {
    /// By column.
    pub(crate) fn columns(&self, plan: &ReadPlan) -> Cow<'_, Answers> {
        match self {
            Rows::Kept(kept) => Cow::Owned(kept.to_answers(plan)),
            Rows::Columns(answers) => Cow::Borrowed(answers),
        }
    }
}

/// A read that was answered.
pub(crate) struct ReadAnswer<'a> {
    pub(crate) plan: &'a ServicePlan,
    pub(crate) rows: Rows,
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

/// So many equal things with commas between them, behind others of a list that has begun.
fn repeated(count: usize, out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    if count == 0 {
        return;
    }
    comma(out);
    let start = out.len();
    put(out);
    let end = out.len();
    for _ in 1..count {
        out.push(b',');
        out.extend_from_within(start..end);
    }
}

/// A comma, unless the list has just begun.
fn comma(out: &mut Vec<u8>) {
    if out.last() != Some(&b'[') {
        out.push(b',');
    }
}

/// The statuses of a view's features in a row, in words; they are mostly the same.
fn statuses(view: &impl RowOfView, out: &mut Vec<u8>) {
    let mut feature = 0;
    while feature < view.width() {
        let found = view.status(feature);
        let same = (feature..view.width()).take_while(|f| view.status(*f) == found);
        let count = same.count();
        repeated(count, out, |out| status(found, out));
        feature += count;
    }
}

/// A column of an Arrow stream.
enum Part<'a> {
    /// Of a feature.
    Values(&'a Column),
    /// Made for the stream.
    Made(Column),
    /// The one with this number again.
    Again(usize),
}

impl Part<'_> {
    fn as_stream_part(&self) -> StreamPart<'_> {
        match self {
            Part::Values(column) => StreamPart::Values(column),
            Part::Made(column) => StreamPart::Values(column),
            Part::Again(before) => StreamPart::Again(*before),
        }
    }
}

/// The values of a feature, with a default where there is none.
fn with_default(feature: &FeatureAnswers<'_>, rows: usize, default: &Value) -> Column {
    let mut column = feature.values().empty_like();
    for row in 0..rows {
        match feature.status(row) {
            Status::Present => column.push(&feature.value(row)),
            _ => column.push(default),
        }
    }
    column
}

/// The statuses of a feature in so many rows; none if all are PRESENT, as they mostly are.
fn found(feature: &FeatureAnswers<'_>, rows: usize) -> Option<Vec<Status>> {
    let all = || (0..rows).map(|row| feature.status(row)).collect();
    (!feature.are_present()).then(all)
}

/// Statuses as a column of words.
fn words(found: Option<&[Status]>, rows: usize) -> Column {
    let word = |status: Status| Value::string(status.to_string());
    let Some(found) = found else {
        return Column::repeat(&DataType::String, &word(Status::Present), rows);
    };
    let words: Vec<Value> = found.iter().map(|status| word(*status)).collect();
    Column::from_values(&DataType::String, &words)
}

impl ReadAnswer<'_> {
    /// The default that stands in for the answer of a feature with a status.
    fn default_of(&self, number: usize, status: Status) -> Option<&Value> {
        if !self.defaults || status == Status::Present {
            return None;
        }
        self.plan.read.defaults().get(number)?.as_ref()
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        match &self.rows {
            Rows::Kept(kept) => self.json(kept.len(), |row| kept.row(row)),
            Rows::Columns(answers) => self.json(answers.len(), |row| answers.row(row)),
        }
    }

    fn json<R: RowOfView>(&self, rows: usize, row: impl Fn(usize) -> Vec<R>) -> Vec<u8> {
        let head = self.plan.head_json.as_bytes();
        let per_row = 64 + FEATURE_BYTES * self.plan.outputs().len();
        let mut out =
            Vec::with_capacity(512 + head.len() + self.plan.features_json.len() + rows * per_row);
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
        let degraded = self.degraded.as_ref().map_or(Json::Null, wire::unmet);
        out.extend_from_slice(degraded.to_string().as_bytes());
        out.push(b',');
        out.extend_from_slice(self.plan.features_json.as_bytes());
        member("rows", &mut out);
        list(0..rows, &mut out, |number, out| self.row(&row(number), out));
        out.push(b'}');
        out
    }

    /// With what stands before it, which is an object.
    pub(crate) fn behind(&self, head: &Json, as_arrow: bool) -> Result<Response<Body>, ApiError> {
        if as_arrow {
            return Ok(reply::body(self.to_arrow(Some(head))?, Content::ARROW));
        }
        let mut out = head.to_string().into_bytes();
        out.pop();
        out.push(b',');
        out.extend_from_slice(self.to_json().get(1..).unwrap_or_default());
        Ok(reply::json(out))
    }

    fn row(&self, views: &[impl RowOfView], out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"values\":");
        let features = || {
            let features = views
                .iter()
                .flat_map(|view| (0..view.width()).map(move |feature| (view, feature)));
            self.plan.outputs().iter().zip(features).enumerate()
        };
        list(
            features(),
            out,
            |(number, (field, (view, feature))), out| match self
                .default_of(number, view.status(feature))
            {
                Some(default) => append_json(&field.data_type, default, out),
                None => append_json(&field.data_type, &view.value(feature), out),
            },
        );
        member("statuses", out);
        out.push(b'[');
        for view in views {
            statuses(view, out);
        }
        out.push(b']');
        member("event_times", out);
        out.push(b'[');
        for view in views {
            let time = view.event_time().map_or(Value::Null, Value::Timestamp);
            repeated(view.width(), out, |out| {
                append_json(&DataType::Timestamp, &time, out);
            });
        }
        out.push(b']');
        let defaulted = features().filter(|(number, (_, (view, feature)))| {
            let status = view.status(*feature);
            self.default_of(*number, status).is_some()
        });
        let mut defaulted = defaulted.map(|(number, _)| number).peekable();
        if defaulted.peek().is_some() {
            member("defaults", out);
            list(defaulted, out, |number, out| {
                out.extend_from_slice(number.to_string().as_bytes());
            });
        }
        out.push(b'}');
    }

    /// As an Arrow IPC stream: per feature its value, `__status`, `__event_time` and, where
    /// it has a default, `__default`; the rest, and what stands before it, as metadata of the
    /// schema.
    pub(crate) fn to_arrow(&self, head: Option<&Json>) -> Result<Vec<u8>, ApiError> {
        let not_arrow = |e: ConnectError| {
            ApiError::invalid(crate::error::chain(&e))
                .with_hint("ask for `Accept: application/json`")
        };
        let layout = self.plan.stream_layout(self.defaults).map_err(not_arrow)?;
        let answers = self.rows.columns(&self.plan.read);
        let rows = answers.len();
        let mut parts: Vec<Part<'_>> = Vec::with_capacity(self.plan.outputs().len() * 4);
        // What is of a view and not of a feature is there once.
        let mut times: Option<(&ViewColumns, usize)> = None;
        let mut known: Option<(Option<Vec<Status>>, usize)> = None;
        for (i, feature) in answers.features().enumerate() {
            let default = self.plan.read.defaults().get(i).and_then(Option::as_ref);
            let default = default.filter(|_| self.defaults);
            parts.push(match default {
                Some(default) => Part::Made(with_default(&feature, rows, default)),
                None => Part::Values(feature.values()),
            });
            let found = found(&feature, rows);
            match &known {
                Some((same, before)) if *same == found => parts.push(Part::Again(*before)),
                _ => {
                    known = Some((found.clone(), parts.len()));
                    parts.push(Part::Made(words(found.as_deref(), rows)));
                }
            }
            match &times {
                Some((view, before)) if std::ptr::eq(*view, feature.view()) => {
                    parts.push(Part::Again(*before));
                }
                _ => {
                    let mut column = Column::new(&DataType::Timestamp);
                    for time in feature.view().event_times() {
                        column.push(&time.map_or(Value::Null, Value::Timestamp));
                    }
                    times = Some((feature.view(), parts.len()));
                    parts.push(Part::Made(column));
                }
            }
            if default.is_some() {
                let is_default = |row| Value::Boolean(feature.status(row) != Status::Present);
                let marks: Vec<Value> = (0..rows).map(is_default).collect();
                parts.push(Part::Made(Column::from_values(&DataType::Boolean, &marks)));
            }
        }
        let parts: Vec<StreamPart<'_>> = parts.iter().map(Part::as_stream_part).collect();
        let stream = layout.write(&parts, rows, &self.metadata(head));
        stream.map_err(not_arrow)?.ok_or_else(|| {
            ApiError::invalid("a column has more than two gigabytes")
                .with_hint("ask for fewer entities at once")
        })
    }

    fn metadata(&self, head: Option<&Json>) -> BTreeMap<String, String> {
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
                wire::unmet(unmet).to_string(),
            );
        }
        if let Some(head) = head {
            metadata.insert("evenkeel.head".to_owned(), head.to_string());
        }
        metadata
    }
}
