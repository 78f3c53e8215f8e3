//! `evenkeel status`.

use evenkeel_engine::api::StoreStatus;
use serde_json::{Value as Json, json};

use crate::failure::Failure;
use crate::session::{Answer, Session};
use crate::table::{bytes, count, table};

pub(super) fn run(session: &Session) -> Result<Answer, Failure> {
    let status = session.reader()?.status()?;
    Ok(Answer::done(json_status(&status), text(&status)))
}

fn json_status(status: &StoreStatus) -> Json {
    let sources: Vec<Json> = status
        .sources
        .iter()
        .map(|source| {
            let ends: Vec<Json> = source
                .ends
                .iter()
                .map(|(partition, end)| json!({"partition": partition, "end": end}))
                .collect();
            json!({
                "name": source.name,
                "kind": source.kind,
                "events": source.events,
                "dead_letters": source.dead_letters,
                "partitions": ends,
                "greatest_time": source.greatest_time.map(|t| t.to_string()),
                "watermark": source.watermark.map(|t| t.to_string()),
                "visible_at": source.visible_at.map(|t| t.to_string()),
            })
        })
        .collect();
    let views: Vec<Json> = status
        .views
        .iter()
        .map(|(name, version, kind, features)| {
            json!({"name": name, "version": version, "kind": kind, "features": features})
        })
        .collect();
    let services: Vec<Json> = status
        .services
        .iter()
        .map(|(name, version, features)| {
            json!({"name": name, "version": version, "features": features})
        })
        .collect();
    json!({
        "store": status.store,
        "log_bytes": status.log_bytes,
        "recovery": status.recovery,
        "sources": sources,
        "views": views,
        "services": services,
    })
}

fn text(status: &StoreStatus) -> String {
    let time = |t: Option<String>| t.unwrap_or_else(|| "-".to_owned());
    let mut text = format!(
        "store `{}`, log {}\n",
        status.store.display(),
        bytes(status.log_bytes)
    );
    if let Some(recovery) = &status.recovery {
        text.push_str(&format!("recovery: {recovery}\n"));
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
        status.sources.iter().map(|s| {
            [
                s.name.clone(),
                s.kind.to_owned(),
                count(s.events),
                count(s.dead_letters),
                time(s.greatest_time.map(|t| t.to_string())),
                time(s.watermark.map(|t| t.to_string())),
            ]
        }),
    ));
    text.push('\n');
    text.push_str(&table(
        ["view", "version", "kind", "features"],
        status.views.iter().map(|(name, version, kind, features)| {
            [
                name.clone(),
                version.to_string(),
                (*kind).to_owned(),
                features.to_string(),
            ]
        }),
    ));
    text.push('\n');
    text.push_str(&table(
        ["service", "version", "features"],
        status.services.iter().map(|(name, version, features)| {
            [name.clone(), version.to_string(), features.to_string()]
        }),
    ));
    text
}
