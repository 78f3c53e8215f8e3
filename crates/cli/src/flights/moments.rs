//! Three telling moments of the year, and what is asked at each.

use evenkeel_engine::Engine;
use evenkeel_engine::api::{GetAnswer, GetRequest};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{EventTime, Field, Value, Zone};
use serde_json::{Value as Json, json};

use crate::failure::Failure;
use crate::render;

/// What is asked at every moment.
const SERVICE: &str = "airport_board";

/// A moment.
pub(super) struct Moment {
    /// In a few words.
    pub(super) title: &'static str,
    /// Why it is worth a look.
    pub(super) why: &'static str,
    /// Airport and time, one column of the table each.
    reads: &'static [(&'static str, &'static str)],
}

/// Found in the data: the day with the smallest share of late departures, the one with the
/// greatest, and the one of 25 hours.
pub(super) const MOMENTS: [Moment; 3] = [
    Moment {
        title: "a calm morning",
        why: "Easter Sunday, 8:30 in the morning: of that day's departures two in a hundred were late",
        reads: &[
            ("SEA", "2014-04-20T15:30:00Z"),
            ("PDX", "2014-04-20T15:30:00Z"),
        ],
    },
    Moment {
        title: "snow and ice in Portland",
        why: "the worst day of the year, 18:00: more than half of Portland's departures were late",
        reads: &[
            ("PDX", "2014-02-10T02:00:00Z"),
            ("SEA", "2014-02-10T02:00:00Z"),
        ],
    },
    Moment {
        title: "the hour that occurs twice",
        why: "1:30 in the night of November 2, and 1:30 again an hour later: one wall clock, two instants \
              (that night the weather data has a gap)",
        reads: &[
            ("SEA", "2014-11-02T08:30:00Z"),
            ("SEA", "2014-11-02T09:30:00Z"),
        ],
    },
];

/// One read: which airport, and what the answer was.
pub(super) struct Read {
    pub(super) airport: &'static str,
    pub(super) inputs: Vec<Field>,
    pub(super) row: Vec<Value>,
    pub(super) answer: GetAnswer,
}

impl Moment {
    /// Asks.
    pub(super) fn read(&self, engine: &Engine) -> Result<Vec<Read>, Failure> {
        let service = engine.service(SERVICE)?;
        self.reads
            .iter()
            .map(|(airport, time)| {
                let as_of = parse_timestamp(time, &Zone::utc())
                    .map_err(|error| Failure::data(error.to_string()))?;
                let row = vec![Value::from(*airport)];
                let answer = engine.get(&GetRequest {
                    service: service.clone(),
                    rows: vec![row.clone()],
                    as_of: EventTime(as_of),
                    cut: None,
                    known_at: None,
                })?;
                Ok(Read {
                    airport,
                    inputs: service.inputs.clone(),
                    row,
                    answer,
                })
            })
            .collect()
    }

    /// The answers as JSON.
    pub(super) fn to_json(&self, reads: &[Read], engine: &Engine) -> Json {
        let reads: Vec<Json> = reads
            .iter()
            .map(|read| {
                json!({
                    "as_of": read.answer.as_of.to_string(),
                    "cut": engine.format_cut(&read.answer.cut),
                    "rows": render::json_rows(&read.inputs, std::slice::from_ref(&read.row), &read.answer),
                })
            })
            .collect();
        json!({"title": self.title, "service": SERVICE, "reads": reads})
    }
}

/// The answers side by side.
pub(super) fn table(reads: &[Read]) -> String {
    let heads: Vec<String> = reads
        .iter()
        .map(|read| format!("{} {}", read.airport, read.answer.as_of))
        .collect();
    let rows: Vec<&Vec<_>> = reads
        .iter()
        .filter_map(|read| read.answer.rows.first())
        .collect();
    reads
        .first()
        .map(|read| render::side_by_side(&heads, &read.answer.features, &rows))
        .unwrap_or_default()
}
