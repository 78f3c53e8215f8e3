//! The statistics of a data file in Delta's JSON: what lets readers skip it.
//!
//! Invariant: a bound is never inside the values. What has no exact bound in JSON has none.

use chrono::{DateTime, Datelike, NaiveDate};
use evenkeel_types::{Column, ColumnData, SLOT_PRESENT};
use serde_json::{Map, Value as Json, json};

use crate::layout::Layout;

/// Longer texts have no bounds.
const TEXT_BYTES_MAX: usize = 32;
/// Columns that have bounds.
const COLUMNS_MAX: usize = 64;

/// The statistics of a file with these columns.
pub(crate) fn statistics_of(layout: &Layout, columns: &[Column]) -> String {
    let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
    let rows = columns.first().map_or(0, Column::len);
    for (field, column) in layout.fields.iter().zip(columns).take(COLUMNS_MAX) {
        let missing = column
            .states()
            .iter()
            .filter(|s| **s != SLOT_PRESENT)
            .count();
        if !matches!(column.data(), ColumnData::Nested(_)) {
            nulls.insert(field.name.clone(), json!(missing));
        }
        if let Some((a, b)) = bounds(column) {
            least.insert(field.name.clone(), a);
            greatest.insert(field.name.clone(), b);
        }
    }
    json!({
        "numRecords": rows,
        "minValues": least,
        "maxValues": greatest,
        "nullCount": nulls,
    })
    .to_string()
}

fn bounds(column: &Column) -> Option<(Json, Json)> {
    fn of<'a, T: ?Sized + 'a>(
        column: &Column,
        values: impl Iterator<Item = &'a T>,
        before: impl Fn(&T, &T) -> bool,
    ) -> Option<(&'a T, &'a T)> {
        let mut found: Option<(&T, &T)> = None;
        for (row, value) in values.enumerate() {
            if column.state(row) != SLOT_PRESENT {
                continue;
            }
            let (least, greatest) = found.unwrap_or((value, value));
            found = Some((
                if before(value, least) { value } else { least },
                if before(greatest, value) {
                    value
                } else {
                    greatest
                },
            ));
        }
        found
    }
    fn pair<T: ?Sized>(
        found: Option<(&T, &T)>,
        text: impl Fn(&T) -> Option<Json>,
    ) -> Option<(Json, Json)> {
        let (least, greatest) = found?;
        Some((text(least)?, text(greatest)?))
    }
    match column.data() {
        ColumnData::Int(v) => pair(of(column, v.iter(), |a, b| a < b), |x| Some(json!(x))),
        ColumnData::BigInt(v) => pair(of(column, v.iter(), |a, b| a < b), |x| Some(json!(x))),
        ColumnData::Double(v) if v.iter().all(|x| x.is_finite()) => {
            pair(of(column, v.iter(), |a, b| a < b), |x| Some(json!(x)))
        }
        ColumnData::Date(v) => pair(of(column, v.iter(), |a, b| a < b), |x| date(*x)),
        ColumnData::Timestamp(v) => pair(of(column, v.iter(), |a, b| a < b), |x| time(*x)),
        ColumnData::String(v) => pair(
            of(column, v.iter().map(AsRef::as_ref), |a: &str, b: &str| {
                a < b
            }),
            |x| (x.len() <= TEXT_BYTES_MAX).then(|| json!(x)),
        ),
        _ => None,
    }
}

/// The greatest of a column of times, from the statistics of a file.
pub(crate) fn greatest_time(statistics: &str, column: &str) -> Option<i64> {
    let statistics: Json = serde_json::from_str(statistics).ok()?;
    let text = statistics.get("maxValues")?.get(column)?.as_str()?;
    Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())
}

/// The least and the greatest of a column of numbers, from the statistics of a file.
pub(crate) fn number_bounds(statistics: &str, column: &str) -> Option<(i64, i64)> {
    let statistics: Json = serde_json::from_str(statistics).ok()?;
    let bound = |of: &str| statistics.get(of)?.get(column)?.as_i64();
    Some((bound("minValues")?, bound("maxValues")?))
}

/// Years that every reader reads.
fn is_usual(year: i32) -> bool {
    (1..=9999).contains(&year)
}

fn date(days: i32) -> Option<Json> {
    let date = NaiveDate::from_epoch_days(days).filter(|d| is_usual(d.year()))?;
    Some(json!(date.format("%Y-%m-%d").to_string()))
}

fn time(micros: i64) -> Option<Json> {
    let time = DateTime::from_timestamp_micros(micros).filter(|t| is_usual(t.year()))?;
    Some(json!(time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()))
}
