//! Segments, asked of a server.

use evenkeel_connect::json_to_value;
use evenkeel_engine::{DefinitionFile, SEGMENT_QUERY_PLACE, SegmentAnswer, SegmentPlan};
use evenkeel_server::{Sent, wire};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{Column, Cut, EventTime, Field, Value, VisibleAt, Zone};
use serde_json::{Value as Json, json};

use super::{Remote, Scope, not_understood};
use crate::command::WantedSegment;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Bar;
use crate::render;

/// Values that are asked for at once.
const PAGE_VALUES: usize = 200_000;
/// Keys that are asked for at once.
const PAGE: usize = 50_000;

impl Remote {
    /// The keys that are in a segment, page by page, and the cut in words.
    pub(crate) fn segment(
        &self,
        wanted: &WantedSegment<'_>,
        output: Output,
    ) -> Result<(SegmentAnswer, String), Failure> {
        let (plan, moment) = (wanted.plan.as_ref(), wanted.moment);
        let texts: Vec<DefinitionFile> = wanted
            .query
            .map(|text| DefinitionFile {
                name: SEGMENT_QUERY_PLACE.to_owned(),
                text: text.to_owned(),
            })
            .into_iter()
            .collect();
        let mut asked = json!({
            "as_of": moment.as_of,
            "known_at": moment.known_at,
            "cut": moment.cut,
            "count": wanted.counts,
        });
        match wanted.query {
            Some(text) => asked["query"] = json!(text),
            None => {
                let def = plan.def();
                asked["segment"] = json!(format!("{}@{}", def.name, def.version));
            }
        }
        let after = wanted.after.as_ref();
        asked["after"] = json!(after.map(|key| wire::segment_key(plan, key)));
        let page = (PAGE_VALUES / plan.fields().count().max(1)).clamp(1, PAGE);
        let bar = Bar::counts(output);
        let mut all: Option<(SegmentAnswer, String)> = None;
        loop {
            let so_far = all.as_ref().map_or(0, |(answer, _)| answer.rows);
            asked["limit"] = json!((wanted.limit - so_far).min(page));
            let body = asked.to_string();
            let mut progress = |what: &str, done, total| bar.show(what, done, total);
            let mut sent = Sent::new("POST", "/v1/segments/query", Scope::Read, body.as_bytes());
            sent.progress = Some(&mut progress);
            let reply = self.client.send(&mut sent);
            let json = self.understood_in(reply, &texts, "the query")?;
            if json["definition"] != render::hex(&plan.def().digest) {
                return Err(Failure::busy(
                    "the server reads other definitions than the registry has",
                )
                .with_hint("start it again"));
            }
            let (page, cut) = answer(plan, &json).ok_or_else(not_understood)?;
            // The pages that follow are of the same moment.
            asked["as_of"] = json["as_of"].clone();
            asked["cut"] = json["cut"].clone();
            asked["after"] = json["next"].clone();
            let joined = match all.take() {
                None => page,
                Some((before, _)) => join(before, page),
            };
            let is_enough = joined.next.is_none() || joined.rows >= wanted.limit;
            if is_enough || wanted.counts {
                return Ok((joined, cut));
            }
            all = Some((joined, cut));
        }
    }
}

/// Two pages, one behind the other.
fn join(mut before: SegmentAnswer, page: SegmentAnswer) -> SegmentAnswer {
    for (column, more) in before.columns.iter_mut().zip(page.columns) {
        column.append(more);
    }
    SegmentAnswer {
        columns: before.columns,
        rows: before.rows + page.rows,
        matched: before.matched + page.matched,
        asked: before.asked + page.asked,
        undecided: before.undecided + page.undecided,
        complete: page.complete,
        next: page.next,
        ..before
    }
}

fn answer(plan: &SegmentPlan, json: &Json) -> Option<(SegmentAnswer, String)> {
    let time = |json: &Json| parse_timestamp(json.as_str()?, &Zone::utc()).ok();
    let rows = json["rows"].as_array()?;
    let column = |field: &Field| {
        let values = rows.iter().map(|row| value(field, &row[&field.name]));
        let values: Vec<Value> = values.collect::<Option<_>>()?;
        Some(Column::from_values(&field.data_type, &values))
    };
    let next = match &json["next"] {
        Json::Null => None,
        key => {
            let parts = plan
                .def()
                .key
                .iter()
                .map(|part| value(part, &key[&part.name]));
            Some(parts.collect::<Option<Vec<_>>>()?)
        }
    };
    let answer = SegmentAnswer {
        columns: plan.fields().map(column).collect::<Option<_>>()?,
        rows: rows.len(),
        matched: json["matched"].as_u64()?,
        asked: json["asked"].as_u64()?,
        undecided: json["undecided"].as_u64()?,
        complete: json["complete"].as_bool()?,
        next,
        as_of: EventTime(time(&json["as_of"])?),
        cut: Cut::empty(),
        known_at: time(&json["known_at"]).map(VisibleAt),
    };
    Some((answer, json["cut"].as_str()?.to_owned()))
}

/// A value of its JSON; an ERROR comes as NULL.
fn value(field: &Field, json: &Json) -> Option<Value> {
    if json.is_null() {
        return Some(Value::Null);
    }
    json_to_value(&field.data_type, json, &Zone::utc()).ok()
}
