//! `evenkeel doctor`.

use evenkeel_engine::doctor::{Damage, Examination, Part, doctor};
use serde_json::{Value as Json, json};

use crate::arguments::DoctorArguments;
use crate::failure::{Exit, Failure};
use crate::progress::Bar;
use crate::session::{Answer, Session};
use crate::table::{count, mixed_table, plural};

pub(super) fn run(arguments: &DoctorArguments, session: &Session) -> Result<Answer, Failure> {
    let project = session.project_with_store()?;
    let bar = Bar::counts(session.output);
    let found = doctor(&project, arguments.repair, &mut |events| {
        bar.show("events", events, 0);
    })?;
    drop(bar);
    let is_whole = found.damages.is_empty() || found.rebuilt;
    Ok(Answer {
        json: json_report(&found),
        text: text(&found),
        exit: if is_whole { Exit::Done } else { Exit::Storage },
    })
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Registry => "registry",
        Part::Log => "log",
        Part::HotTier => "hot tier",
    }
}

fn json_report(found: &Examination) -> Json {
    let damage = |d: &Damage| {
        json!({
            "part": part_name(d.part),
            "source": d.source,
            "key": d.key,
            "place": d.place,
            "offset": d.offset,
            "reason": d.reason,
        })
    };
    json!({
        "registry_records": found.registry_records,
        "events": found.events,
        "dead_letters": found.dead_letters,
        "hot_rows": found.rows,
        "hot_entries": found.entries,
        "cold_entries": found.cold_entries,
        "damages": found.damages.iter().map(damage).collect::<Vec<Json>>(),
        "rebuilt": found.rebuilt,
    })
}

fn text(found: &Examination) -> String {
    let mut text = format!(
        "registry: {}\nlog: {}, {}\nhot tier: {}, {}\n",
        plural(found.registry_records, "record"),
        plural(found.events, "event"),
        plural(found.dead_letters, "dead letter"),
        plural(found.rows, "row"),
        if found.entries == 1 {
            "1 entry".to_owned()
        } else {
            format!("{} entries", count(found.entries))
        },
    );
    if found.cold_entries > 0 {
        let left = plural(found.cold_entries, "old event");
        text.push_str(&format!("left the hot tier, in the log: {left}\n"));
    }
    if found.damages.is_empty() {
        text.push_str("no damage");
        return text;
    }
    let rows = found.damages.iter().map(|d| {
        let place = match d.offset {
            Some(at) => format!("{} at byte {at}", d.place),
            None => d.place.clone(),
        };
        [
            part_name(d.part).to_owned(),
            d.source.clone().unwrap_or_default(),
            d.key.clone().unwrap_or_default(),
            place,
            d.reason.clone(),
        ]
    });
    text.push_str(&mixed_table(
        ["part", "source", "key", "place", "damage"],
        rows,
    ));
    let is_truth = |d: &Damage| d.part != Part::HotTier;
    text.push_str(if found.rebuilt {
        "\nthe hot tier was built again from the log"
    } else if found.damages.iter().any(is_truth) {
        "\nregistry and log are the only copy of what they hold: `evenkeel restore` brings a backup back"
    } else {
        "\nnothing is lost: `evenkeel doctor --repair` builds the hot tier again from the log"
    });
    text
}
