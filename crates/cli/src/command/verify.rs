//! `evenkeel verify`.

use evenkeel_engine::Engine;
use evenkeel_engine::api::{VerifyOptions, VerifyReport};
use evenkeel_types::{DataType, Status, Value};
use serde_json::{Value as Json, json};

use crate::arguments::VerifyArguments;
use crate::failure::{Exit, Failure};
use crate::progress::Bar;
use crate::render;
use crate::session::{Answer, Session};
use crate::table::{count, plural};

pub(super) fn run(arguments: &VerifyArguments, session: &Session) -> Result<Answer, Failure> {
    let engine = session.reader()?;
    if arguments.served {
        return served(&engine, session);
    }
    let options = VerifyOptions {
        seed: arguments.seed,
        values: arguments.values,
        oracle_values: arguments.oracle_values,
        cuts: usize::from(arguments.cuts),
        services: arguments.services.clone(),
    };
    let bar = Bar::counts(session.output);
    let report = engine.verify(&options, &mut |what, done, all| bar.show(what, done, all))?;
    drop(bar);
    let exit = if report.mismatches == 0 {
        Exit::Done
    } else {
        Exit::Refuted
    };
    Ok(Answer {
        json: json_report(&report, &engine),
        text: summary(&report, &engine),
        exit,
    })
}

/// Replays what was served.
fn served(engine: &Engine, session: &Session) -> Result<Answer, Failure> {
    let bar = Bar::counts(session.output);
    let report = engine.verify_served(&mut |done| bar.show("answers", done, 0))?;
    drop(bar);
    let mut text = format!(
        "{} served, {} in them, computed again: {}",
        plural(report.answers, "answer"),
        plural(report.values, "value"),
        match report.mismatches {
            0 => "all bits equal".to_owned(),
            n => format!("{} differ", count(n)),
        }
    );
    if report.skipped > 0 {
        let n = plural(report.skipped, "answer");
        text.push_str(&format!(
            "\n{n} left out: of definitions or events that are gone"
        ));
    }
    if report.unreadable > 0 {
        let n = plural(report.unreadable, "line");
        text.push_str(&format!("\n{n} left out: cut short or damaged"));
    }
    for example in &report.examples {
        text.push_str(&format!("\n  {example}"));
    }
    let json = json!({
        "answers": report.answers,
        "values": report.values,
        "mismatches": report.mismatches,
        "skipped": report.skipped,
        "unreadable": report.unreadable,
        "examples": report.examples,
    });
    let exit = if report.mismatches == 0 {
        Exit::Done
    } else {
        Exit::Refuted
    };
    Ok(Answer { json, text, exit })
}

/// The types of a mismatch: its key's and its value's.
fn types(engine: &Engine, feature: &str) -> (Vec<DataType>, DataType) {
    let (view, feature) = feature.split_once(':').unwrap_or((feature, ""));
    let view = engine
        .catalog()
        .view(view.split('@').next().unwrap_or(view));
    let key = view.map(|v| v.key.iter().map(|f| f.data_type.clone()).collect());
    let value = view
        .and_then(|v| v.features.iter().find(|f| f.name == feature))
        .map(|f| f.data_type.clone());
    (key.unwrap_or_default(), value.unwrap_or(DataType::String))
}

fn text_of(data_type: &DataType, value: &Value, status: Status) -> String {
    match (value, status) {
        (_, status) if status != Status::Present => status.to_string(),
        // Two numbers that print alike may still differ.
        (Value::Double(x), _) => {
            format!(
                "{} (bits {:016x})",
                render::text_value(data_type, value),
                x.to_bits()
            )
        }
        _ => render::text_value(data_type, value),
    }
}

/// A report as JSON.
pub(crate) fn json_report(report: &VerifyReport, engine: &Engine) -> Json {
    let examples: Vec<Json> = report
        .examples
        .iter()
        .map(|example| {
            let (key_types, value_type) = types(engine, &example.feature);
            let key: Vec<Json> = example
                .key
                .iter()
                .enumerate()
                .map(|(i, v)| render::json_value(key_types.get(i).unwrap_or(&DataType::String), v))
                .collect();
            let answers: Vec<Json> = example
                .answers
                .iter()
                .map(|(path, value, status)| {
                    json!({
                        "path": path,
                        "value": render::json_value(&value_type, value),
                        "status": status.to_string(),
                    })
                })
                .collect();
            json!({
                "feature": example.feature,
                "key": key,
                "time": example.time.to_string(),
                "cut": example.cut,
                "known_at": example.known_at.map(|t| t.to_string()),
                "answers": answers,
            })
        })
        .collect();
    json!({
        "seed": report.seed,
        "values_checked": report.values_checked,
        "oracle_checked": report.oracle_checked,
        "points": report.points,
        "cuts": report.cuts,
        "mismatches": report.mismatches,
        "examples": examples,
        "answers_digest": report.answers_digest,
    })
}

/// A report for a person.
pub(crate) fn summary(report: &VerifyReport, engine: &Engine) -> String {
    let mut text = format!(
        "{} at {} and {} under seed {}: {}\n{} of them also computed by the oracle\n",
        plural(report.values_checked, "value"),
        plural(report.points, "point"),
        plural(report.cuts, "cut"),
        report.seed,
        match report.mismatches {
            0 => "all bits equal".to_owned(),
            n => format!("{} DIFFER", count(n)),
        },
        count(report.oracle_checked),
    );
    for example in &report.examples {
        let (key_types, value_type) = types(engine, &example.feature);
        let key: Vec<String> = example
            .key
            .iter()
            .enumerate()
            .map(|(i, v)| render::text_value(key_types.get(i).unwrap_or(&DataType::String), v))
            .collect();
        let known_at = example
            .known_at
            .map(|t| format!(", known at {t}"))
            .unwrap_or_default();
        text.push_str(&format!(
            "\n{} of {} at {}, cut {}{known_at}\n",
            example.feature,
            key.join(", "),
            example.time,
            example.cut,
        ));
        for (path, value, status) in &example.answers {
            text.push_str(&format!(
                "    {path:10} {}\n",
                text_of(&value_type, value, *status)
            ));
        }
    }
    text
}
