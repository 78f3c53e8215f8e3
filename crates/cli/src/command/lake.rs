//! `evenkeel lake`.

use evenkeel_engine::{LakeStatus, Offline, Upkeep};
use serde_json::{Value as Json, json};

use crate::arguments::LakeArguments;
use crate::failure::Failure;
use crate::session::{Answer, Session};
use crate::table::{bytes, count, plural, table};

pub(super) fn run(arguments: &LakeArguments, session: &Session) -> Result<Answer, Failure> {
    let store = session.offline()?;
    if let Some(name) = &arguments.pin {
        store.pin_lake(name)?;
    }
    if let Some(name) = &arguments.unpin {
        store.unpin_lake(name)?;
    }
    let done = match arguments.maintain {
        true => store.keep_up_lake()?,
        false => Vec::new(),
    };
    let status = store.lake_status()?;
    Ok(Answer::done(
        json_report(&status, &done, &store),
        text(&status, &done),
    ))
}

fn json_report(status: &LakeStatus, done: &[Upkeep], store: &Offline) -> Json {
    let tables = status.tables.iter().map(|table| {
        json!({
            "source": table.source,
            "address": table.address,
            "version": table.version,
            "files": table.files,
            "bytes": table.bytes,
            "events": table.events,
            "covered": store.format_cut(&table.covered),
            "behind": table.behind,
        })
    });
    let done = done.iter().map(|upkeep| {
        json!({
            "source": upkeep.source,
            "compacted": upkeep.compacted,
            "into": upkeep.into,
            "removed": upkeep.removed,
            "removed_bytes": upkeep.removed_bytes,
        })
    });
    json!({
        "tables": tables.collect::<Vec<_>>(),
        "pins": status.pins,
        "maintained": done.collect::<Vec<_>>(),
    })
}

fn text(status: &LakeStatus, done: &[Upkeep]) -> String {
    if status.tables.is_empty() {
        return "the lake has no tables: `evenkeel flush` makes them".to_owned();
    }
    let mut text = table(
        [
            "source", "version", "files", "size", "events", "behind", "table",
        ],
        status.tables.iter().map(|table| {
            [
                table.source.clone(),
                table.version.to_string(),
                count(table.files),
                bytes(table.bytes),
                count(table.events),
                count(table.behind),
                table.address.clone(),
            ]
        }),
    );
    for (name, versions) in &status.pins {
        let versions = versions.iter().map(|(source, v)| format!("{source}@{v}"));
        let versions: Vec<String> = versions.collect();
        text.push_str(&format!("\npinned as `{name}`: {}", versions.join(", ")));
    }
    for upkeep in done.iter().filter(|u| u.compacted + u.removed > 0) {
        text.push_str(&format!(
            "\n{}: {} put together into {}, {} of {} removed",
            upkeep.source,
            plural(upkeep.compacted as u64, "file"),
            upkeep.into,
            plural(upkeep.removed as u64, "file"),
            bytes(upkeep.removed_bytes),
        ));
    }
    text
}
