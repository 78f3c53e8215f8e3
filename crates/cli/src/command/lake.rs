//! `evenkeel lake`.

use evenkeel_engine::{LakeStatus, Offline, TableSetBack, Upkeep};
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
    let set_back = match &arguments.set_back {
        Some(name) => store.set_back_lake(name)?,
        None => Vec::new(),
    };
    let status = store.lake_status()?;
    let mut text = text(&status, &done);
    if let Some(name) = &arguments.set_back {
        text.push_str(&text_of_set_back(name, &set_back));
    }
    Ok(Answer::done(
        json_report(&status, &done, &set_back, &store),
        text,
    ))
}

fn text_of_set_back(name: &str, tables: &[TableSetBack]) -> String {
    if tables.is_empty() {
        return "\nno table is ahead of the log, or has other events: nothing was set back"
            .to_owned();
    }
    let mut text = String::new();
    for table in tables {
        text.push_str(&format!(
            "\n{}: {} left the table, version {} is kept as `{name}`: `evenkeel flush`",
            table.source,
            plural(table.done.events, "event"),
            table.before,
        ));
        if table.done.unlogged > 0 {
            text.push_str(&format!(
                "; {} of them were logged behind the backup, and are in version {} alone",
                count(table.done.unlogged),
                table.before
            ));
        }
    }
    text
}

fn json_report(
    status: &LakeStatus,
    done: &[Upkeep],
    set_back: &[TableSetBack],
    store: &Offline,
) -> Json {
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
            "of_another_log": table.is_of_another_log,
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
    let set_back = set_back.iter().map(|table| {
        json!({
            "source": table.source,
            "events": table.done.events,
            "unlogged": table.done.unlogged,
            "files": table.done.files,
            "version_before": table.before,
            "version": table.version,
        })
    });
    json!({
        "tables": tables.collect::<Vec<_>>(),
        "pins": status.pins,
        "maintained": done.collect::<Vec<_>>(),
        "set_back": set_back.collect::<Vec<_>>(),
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
    for table in status.tables.iter().filter(|t| t.is_of_another_log) {
        text.push_str(&format!(
            "\n{} has other events than the log, which was restored from a backup: `evenkeel lake --set-back`",
            table.source
        ));
    }
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
