//! What a trial or a backtest found, for a person: tables, shares, a histogram in one cell.

use evenkeel_engine::trial::{Difference, DifferenceExample};
use evenkeel_types::Field;
use evenkeel_types::time::format_timestamp;
use serde_json::{Value as Json, json};

use crate::table::{count, mixed_table, plural};

/// From few to many.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// All trials of a report.
pub(in super::super) fn trials(report: &Json) -> String {
    let mut text = String::new();
    for trial in list(&report["trials"]) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&one(trial));
    }
    for refused in list(&report["not_tried"]) {
        text.push_str(&format!(
            "{} was not tried: {}\n",
            word(&refused["view"]),
            word(&refused["reason"])
        ));
    }
    text
}

fn one(trial: &Json) -> String {
    let mut text = format!(
        "{}: {} at {} of {}\n",
        word(&trial["view"]),
        plural(number(&trial["rows"]), "row"),
        plural(number(&trial["instants"]), "instant"),
        plural(number(&trial["keys"]), "key"),
    );
    text.push_str(&profile(trial));
    match trial["published_as"].as_u64() {
        Some(version) => text.push_str(&format!("it is published as version {version}\n")),
        None if trial["comparison"].is_null() => {
            text.push_str("nothing of its name is published\n")
        }
        None => text.push_str(&comparison(&trial["comparison"])),
    }
    if !trial["replay"].is_null() {
        text.push_str(&replay(&trial["replay"]));
    }
    if let Some(micros) = trial["micros_per_row"].as_f64() {
        text.push_str(&format!("it took {micros:.1} µs per row\n"));
    }
    text.push_str(&ending(trial));
    text
}

/// Where rows are, at which cut, with which digest.
pub(in super::super) fn ending(report: &Json) -> String {
    let mut text = String::new();
    if number(&report["resumed"]) > 0 {
        text.push_str(&format!(
            "{} of them were done before\n",
            count(number(&report["resumed"]))
        ));
    }
    let place = match report["out"].as_str() {
        Some(out) => format!("rows are in `{out}`, "),
        None => String::new(),
    };
    text.push_str(&format!(
        "{place}cut {}, digest {}\n",
        word(&report["cut"]),
        word(&report["digest"])
    ));
    text
}

fn profile(trial: &Json) -> String {
    let rows = list(&trial["features"]).iter().map(|feature| {
        let more = if feature["more_values"] == true {
            "+"
        } else {
            ""
        };
        [
            word(&feature["name"]),
            word(&feature["type"]),
            count(number(&feature["count"])),
            count(number(&feature["nulls"])),
            count(number(&feature["errors"])),
            format!("{}{more}", count(number(&feature["distinct_values"]))),
            value(&feature["min"]),
            value(&feature["mean"]),
            value(&feature["max"]),
            histogram(list(&feature["histogram"])),
        ]
    });
    let header = [
        "feature", "type", "values", "NULL", "ERROR", "distinct", "least", "mean", "greatest", "",
    ];
    mixed_table(header, rows)
}

/// Ten bins as ten bars; a bin with nothing in it is a blank.
fn histogram(bins: &[Json]) -> String {
    let counts: Vec<u64> = bins.iter().map(|bin| number(&bin["count"])).collect();
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let bar = |n: u64| match n {
        0 => '·',
        n => {
            BARS[usize::try_from((n * 8).div_ceil(most) - 1)
                .unwrap_or(0)
                .min(7)]
        }
    };
    counts.into_iter().map(bar).collect()
}

fn comparison(comparison: &Json) -> String {
    let mut text = format!("beside version {}:\n", number(&comparison["version"]));
    let features = list(&comparison["features"]);
    if !features.is_empty() {
        text.push_str(&differences(features, ("now", "before")));
    }
    for (name, words) in [
        ("rows_only_new", "at which only the new version has a row"),
        ("rows_only_published", "at which it has none any more"),
    ] {
        let instants = number(&comparison[name]);
        if instants > 0 {
            text.push_str(&format!("{} {words}\n", plural(instants, "instant")));
        }
    }
    for (name, words) in [
        ("added", "new"),
        ("removed", "not any more"),
        ("retyped", "of another type or key"),
    ] {
        let names: Vec<String> = list(&comparison[name]).iter().map(word).collect();
        if !names.is_empty() {
            text.push_str(&format!("{words}: {}\n", names.join(", ")));
        }
    }
    text
}

/// How features differ, with the first example of each; `names` are those of the two sides.
pub(in super::super) fn differences(features: &[Json], names: (&str, &str)) -> String {
    let (first, second) = names;
    let rows = features.iter().map(|feature| {
        let (equal, differ) = (number(&feature["equal"]), number(&feature["differ"]));
        [
            word(&feature["name"]),
            count(equal),
            count(differ),
            percent(differ, equal + differ),
            count(number(&feature["only_first"])),
            count(number(&feature["only_second"])),
            value(&feature["largest"]),
        ]
    });
    let header = [
        "feature".to_owned(),
        "equal".to_owned(),
        "differ".to_owned(),
        "share".to_owned(),
        format!("only {first}"),
        format!("only {second}"),
        "largest difference".to_owned(),
    ];
    let mut text = mixed_table(header, rows);
    for feature in features {
        let largest = Some(&feature["largest_at"]).filter(|at| !at.is_null());
        let example = largest.or_else(|| list(&feature["examples"]).first());
        if let Some(example) = example {
            let key: Vec<String> = list(&example["key"]).iter().map(value).collect();
            text.push_str(&format!(
                "  {} of {} at {}: {first} {}, {second} {}\n",
                word(&feature["name"]),
                key.join(", "),
                word(&example["time"]),
                value(&example["first"]),
                value(&example["second"]),
            ));
        }
    }
    text
}

/// Differences as JSON, with times in words.
pub(in super::super) fn json_differences(features: &[(Field, Difference)]) -> Vec<Json> {
    let example = |example: &DifferenceExample| {
        json!({
            "key": example.key,
            "time": format_timestamp(example.time),
            "first": example.first,
            "second": example.second,
        })
    };
    let features = features.iter();
    features
        .map(|(field, difference)| {
            let examples = difference.examples.iter().map(example);
            json!({
                "name": field.name,
                "type": field.data_type.to_string(),
                "equal": difference.equal,
                "differ": difference.differ,
                "only_first": difference.only_first,
                "only_second": difference.only_second,
                "largest": difference.largest,
                "largest_at": difference.largest_at.as_ref().map(example),
                "examples": examples.collect::<Vec<_>>(),
            })
        })
        .collect()
}

fn replay(replay: &Json) -> String {
    let when = match replay["as_it_came"] == true {
        true => "as they came",
        false => "as they were visible",
    };
    format!(
        "replay: {} in {}, {} read {when} and at the end: {}\n",
        plural(number(&replay["events"]), "event"),
        plural(number(&replay["commits"]), "commit"),
        plural(number(&replay["values_checked"]), "value"),
        match number(&replay["mismatches"]) {
            0 => "all bits equal".to_owned(),
            n => format!("{} DIFFER", count(n)),
        },
    )
}

/// A share in hundredths of a percent, never rounded to none or all.
pub(in super::super) fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0%".to_owned();
    }
    let share = u128::from(part) * 10_000 / u128::from(whole);
    match share {
        0 => "<0.01%".to_owned(),
        share => format!("{}.{:02}%", share / 100, share % 100),
    }
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn number(json: &Json) -> u64 {
    json.as_u64().unwrap_or_default()
}

fn word(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}

/// A value that was written as JSON; nothing for none.
fn value(json: &Json) -> String {
    match json {
        Json::Null => "-".to_owned(),
        Json::String(text) => text.clone(),
        Json::Object(error) if error.contains_key("error") => {
            format!("ERROR({})", word(&error["error"]))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_bars() {
        assert_eq!(percent(0, 10), "0%");
        assert_eq!(percent(1, 3), "33.33%");
        assert_eq!(percent(1, 1_000_000), "<0.01%");
        assert_eq!(percent(10, 10), "100.00%");
        let bins: Vec<Json> = [0, 1, 50, 100]
            .iter()
            .map(|n| json!({"count": n}))
            .collect();
        assert_eq!(histogram(&bins), "·▁▄█");
        assert_eq!(histogram(&[]), "");
    }
}
