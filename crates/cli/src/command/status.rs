//! `evenkeel status`.

use evenkeel_server::wire;
use evenkeel_types::Interval;
use serde_json::{Value as Json, json};

use crate::failure::Failure;
use crate::session::{Answer, Session};
use crate::table::{bytes, count, plural, table};

pub(super) fn run(session: &Session) -> Result<Answer, Failure> {
    let status = match session.server()? {
        None => wire::store_status(&session.reader()?.status()?),
        Some(remote) => {
            let mut status = remote.status()?;
            // Its name for the directory may be relative to another one.
            status["store"] = json!(session.project()?.store);
            status
        }
    };
    let text = text(&status);
    Ok(Answer::done(status, text))
}

fn text(status: &Json) -> String {
    let word = |json: &Json| json.as_str().unwrap_or("-").to_owned();
    let number = |json: &Json| json.as_u64().unwrap_or_default();
    let rows = |name: &str| status[name].as_array().into_iter().flatten();
    let mut text = format!(
        "store `{}`, log {}\n",
        word(&status["store"]),
        bytes(number(&status["log_bytes"]))
    );
    if let Some(recovery) = status["recovery"].as_str() {
        text.push_str(&format!("recovery: {recovery}\n"));
    }
    let brought_back = &status["brought_back"];
    if number(&brought_back["scans"]) > 0 {
        text.push_str(&format!(
            "brought back from the log since it was opened: {} events of {} keys, in {} scans\n",
            count(number(&brought_back["events"])),
            count(number(&brought_back["keys"])),
            count(number(&brought_back["scans"]))
        ));
    }
    if let Some(failure) = status["emission_failure"].as_str() {
        text.push_str(&format!("nothing is emitted: {failure}\n"));
    }
    for reason in rows("not_forgotten") {
        text.push_str(&format!(
            "a key that is to be forgotten is not: {}\n",
            word(reason)
        ));
    }
    for source in rows("sources") {
        if let Some(failure) = source["emission_failure"].as_str() {
            text.push_str(&format!(
                "`{}` does not go on: {failure}\n",
                word(&source["name"])
            ));
        }
        let behind = number(&source["emission_lag"]);
        if behind > 0 {
            text.push_str(&format!(
                "`{}` is not emitted yet for the last {} records of the log\n",
                word(&source["name"]),
                count(behind)
            ));
        }
    }
    for source in rows("sources") {
        let compared = &source["compared"];
        let differences = number(&compared["differences"]);
        if differences > 0 {
            text.push_str(&format!(
                "`{}` differed from the truth at {}: {} put right\n",
                word(&source["name"]),
                word(&compared["at"]),
                plural(differences, "event")
            ));
        }
    }
    text.extend(rows("sources").filter_map(captured));
    let under_way = |what: &str, name: &str| {
        let of = &status[name];
        of.is_object().then(|| {
            let stream = of["stream"]
                .as_str()
                .map_or(String::new(), |s| format!(" `{s}`"));
            let (done, total) = (count(number(&of["done"])), count(number(&of["total"])));
            format!("{what}{stream}: {done} of {total} events\n")
        })
    };
    text.extend(under_way("building what was applied", "building"));
    text.extend(under_way("backfilling", "backfilling"));
    for failure in rows("lake_failures") {
        let source = failure["source"].as_str();
        let what = source.map_or("the lake".to_owned(), |source| format!("`{source}`"));
        text.push_str(&format!(
            "{what} was not flushed: {}\n",
            word(&failure["reason"])
        ));
    }
    text.push('\n');
    text.push_str(&table(
        [
            "source",
            "kind",
            "events",
            "dead letters",
            "latest event",
            "watermark",
        ],
        rows("sources").map(|s| {
            [
                word(&s["name"]),
                word(&s["kind"]),
                count(number(&s["events"])),
                count(number(&s["dead_letters"])),
                word(&s["greatest_time"]),
                word(&s["watermark"]),
            ]
        }),
    ));
    text.push('\n');
    text.push_str(&table(
        ["view", "version", "kind", "features"],
        rows("views").map(|v| {
            [
                word(&v["name"]),
                v["version"].to_string(),
                word(&v["kind"]),
                v["features"].to_string(),
            ]
        }),
    ));
    text.push('\n');
    text.push_str(&table(
        ["service", "version", "features"],
        rows("services").map(|s| {
            [
                word(&s["name"]),
                s["version"].to_string(),
                s["features"].to_string(),
            ]
        }),
    ));
    if rows("segments").next().is_some() {
        text.push('\n');
        text.push_str(&table(
            ["segment", "version", "entity"],
            rows("segments").map(|s| {
                [
                    word(&s["name"]),
                    s["version"].to_string(),
                    word(&s["entity"]),
                ]
            }),
        ));
    }
    if rows("datasets").next().is_some() {
        text.push('\n');
        text.push_str(&table(
            ["dataset", "version", "built"],
            rows("datasets").map(|d| {
                let is_built = d["built"].as_bool() == Some(true);
                [
                    word(&d["name"]),
                    d["version"].to_string(),
                    if is_built { "yes" } else { "no" }.to_owned(),
                ]
            }),
        ));
    }
    text
}

/// How far the capture of a table of another system is, as a server says it.
fn captured(source: &Json) -> Option<String> {
    let capture = source["capture"].as_object()?;
    let name = source["name"].as_str().unwrap_or_default();
    let said = |name: &str| capture.get(name).and_then(Json::as_str);
    let is_running = capture.get("running").and_then(Json::as_bool) == Some(true);
    Some(match (is_running, said("failed"), said("place")) {
        (false, ..) => format!("`{name}` is not followed: no capture reports to the server\n"),
        (true, Some(reason), _) => format!("the database of `{name}` does not answer: {reason}\n"),
        (true, None, None) => format!("`{name}` is read as a whole: a snapshot is under way\n"),
        (true, None, Some(place)) => {
            let lag = capture.get("lag_ms").and_then(Json::as_i64);
            let lag = lag.map_or("unknown".to_owned(), |lag| {
                Interval::from_micros(lag.saturating_mul(1_000)).to_string()
            });
            let there = said("database").unwrap_or("an unknown place");
            format!("`{name}` is captured up to {place}, its database is at {there}: lag {lag}\n")
        }
    })
}
