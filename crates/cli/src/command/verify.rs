//! `evenkeel verify`.

use evenkeel_connect::json_to_value;
use evenkeel_engine::api::VerifyOptions;
use evenkeel_server::wire;
use evenkeel_types::definition::Catalog;
use evenkeel_types::{DataType, Status, Value, Zone};
use serde_json::{Value as Json, json};

use crate::arguments::VerifyArguments;
use crate::failure::{Exit, Failure};
use crate::progress::Bar;
use crate::render;
use crate::session::{Answer, Session};
use crate::table::{count, plural};

pub(super) fn run(arguments: &VerifyArguments, session: &Session) -> Result<Answer, Failure> {
    let remote = session.server()?;
    if arguments.served {
        let report = match remote {
            Some(remote) => remote.verify(&json!({"served": true}), session.output)?,
            None => {
                let engine = session.reader()?;
                let bar = Bar::counts(session.output);
                let report = engine.verify_served(&mut |done| bar.show("answers", done, 0))?;
                wire::served_report(&report)
            }
        };
        let text = served_summary(&report);
        return Ok(answer(report, text));
    }
    let options = VerifyOptions {
        seed: arguments.seed,
        values: arguments.values,
        oracle_values: arguments.oracle_values,
        cuts: usize::from(arguments.cuts),
        services: arguments.services.clone(),
        ..VerifyOptions::default()
    };
    let (report, text) = match remote {
        Some(remote) => {
            let request = json!({
                "seed": options.seed,
                "values": options.values,
                "oracle_values": options.oracle_values,
                "cuts": options.cuts,
                "services": options.services,
            });
            let report = remote.verify(&request, session.output)?;
            let text = summary(&report, &remote.catalog(&session.project()?)?);
            (report, text)
        }
        None => {
            let engine = session.reader()?;
            let bar = Bar::counts(session.output);
            let report =
                engine.verify(&options, &mut |what, done, all| bar.show(what, done, all))?;
            drop(bar);
            let report = wire::verify_report(&report, engine.catalog());
            let text = summary(&report, engine.catalog());
            (report, text)
        }
    };
    Ok(answer(report, text))
}

/// A report that ends the process as it found things.
fn answer(report: Json, text: String) -> Answer {
    let exit = if report["mismatches"] == 0 {
        Exit::Done
    } else {
        Exit::Refuted
    };
    Answer {
        json: report,
        text,
        exit,
    }
}

fn number(report: &Json, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_default()
}

fn examples(report: &Json) -> impl Iterator<Item = &Json> {
    report["examples"].as_array().into_iter().flatten()
}

/// What replaying what was served found, for a person.
fn served_summary(report: &Json) -> String {
    let mut text = format!(
        "{} served, {} in them, computed again: {}",
        plural(number(report, "answers"), "answer"),
        plural(number(report, "values"), "value"),
        match number(report, "mismatches") {
            0 => "all bits equal".to_owned(),
            n => format!("{} differ", count(n)),
        }
    );
    if number(report, "skipped") > 0 {
        let n = plural(number(report, "skipped"), "answer");
        text.push_str(&format!(
            "\n{n} left out: of definitions or events that are gone"
        ));
    }
    if number(report, "unreadable") > 0 {
        let n = plural(number(report, "unreadable"), "line");
        text.push_str(&format!("\n{n} left out: cut short or damaged"));
    }
    for example in examples(report) {
        text.push_str(&format!("\n  {}", example.as_str().unwrap_or_default()));
    }
    text
}

/// A value as text, which was written as JSON.
fn text_value(data_type: &DataType, json: &Json) -> String {
    let value = json_to_value(data_type, json, &Zone::utc());
    value.map_or_else(
        |_| json.to_string(),
        |value| render::text_value(data_type, &value),
    )
}

/// An answer of one path; two numbers that print alike may still differ.
fn text_of(data_type: &DataType, answer: &Json) -> String {
    let status = answer["status"].as_str().unwrap_or_default();
    if status != Status::Present.to_string() {
        return status.to_owned();
    }
    let text = text_value(data_type, &answer["value"]);
    match json_to_value(data_type, &answer["value"], &Zone::utc()) {
        Ok(Value::Double(x)) => format!("{text} (bits {:016x})", x.to_bits()),
        _ => text,
    }
}

/// A report for a person.
pub(crate) fn summary(report: &Json, catalog: &Catalog) -> String {
    let mut text = format!(
        "{} at {} and {} under seed {}: {}\n{} of them also computed by the oracle\n",
        plural(number(report, "values_checked"), "value"),
        plural(number(report, "points"), "point"),
        plural(number(report, "cuts"), "cut"),
        number(report, "seed"),
        match number(report, "mismatches") {
            0 => "all bits equal".to_owned(),
            n => format!("{} DIFFER", count(n)),
        },
        count(number(report, "oracle_checked")),
    );
    if report["sampled"] == true {
        text.push_str(
            "there are more events than are held in memory: the oracle was asked at an older cut alone, \
             and emissions of streams over more than that were not compared\n",
        );
    }
    let emissions = number(report, "emissions_checked");
    if emissions > 0 {
        text.push_str(&format!(
            "{} compared with what their queries say at their cuts; {} would be others by what came \
             later\n",
            plural(emissions, "emission"),
            count(number(report, "revised_by_late_input"))
        ));
    }
    let examples: Vec<Json> = examples(report).cloned().collect();
    text.push_str(&mismatches(&examples, catalog));
    text
}

/// Values that were not the same on every path, for a person.
pub(super) fn mismatches(examples: &[Json], catalog: &Catalog) -> String {
    let mut text = String::new();
    let word = |json: &Json| json.as_str().unwrap_or_default().to_owned();
    for example in examples {
        let feature = word(&example["feature"]);
        let (key_types, value_type) = wire::mismatch_types(catalog, &feature);
        let key: Vec<String> = example["key"]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(i, v)| text_value(key_types.get(i).unwrap_or(&DataType::String), v))
            .collect();
        let known_at = example["known_at"]
            .as_str()
            .map(|t| format!(", known at {t}"))
            .unwrap_or_default();
        text.push_str(&format!(
            "\n{feature} of {} at {}, cut {}{known_at}\n",
            key.join(", "),
            word(&example["time"]),
            word(&example["cut"]),
        ));
        for answer in example["answers"].as_array().into_iter().flatten() {
            text.push_str(&format!(
                "    {:10} {}\n",
                word(&answer["path"]),
                text_of(&value_type, answer)
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_is_told_to_the_bit() {
        let report = json!({
            "seed": 1, "values_checked": 2, "oracle_checked": 0, "points": 1, "cuts": 1,
            "mismatches": 1,
            "examples": [{"feature": "gone:x", "key": ["a"], "time": "T", "cut": "s/0@1",
                "known_at": null, "answers": [
                    {"path": "read path", "value": "b", "status": "PRESENT"},
                    {"path": "oracle", "value": null, "status": "NULL_VALUE"}]}],
        });
        assert_eq!(
            summary(&report, &Catalog::default()),
            "2 values at 1 point and 1 cut under seed 1: 1 DIFFER\n0 of them also computed by the \
             oracle\n\ngone:x of a at T, cut s/0@1\n    read path  b\n    oracle     NULL_VALUE\n"
        );
        let double = json!({"value": 0.1, "status": "PRESENT"});
        assert_eq!(
            text_of(&DataType::Double, &double),
            "0.1 (bits 3fb999999999999a)"
        );
    }
}
