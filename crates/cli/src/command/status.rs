//! `evenkeel status`.

use evenkeel_server::wire;
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
                "`{}` differed from the truth at {}: {} were put right\n",
                word(&source["name"]),
                word(&compared["at"]),
                plural(differences, "event")
            ));
        }
    }
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
    text
}
