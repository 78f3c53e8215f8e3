//! `evenkeel doctor`.

use std::ops::ControlFlow;

use evenkeel_engine::doctor::doctor;
use evenkeel_server::wire;
use serde_json::Value as Json;

use crate::arguments::DoctorArguments;
use crate::failure::{Exit, Failure};
use crate::progress::Bar;
use crate::remote::Remote;
use crate::session::{Answer, Session};
use crate::table::{count, mixed_table, plural};

pub(super) fn run(arguments: &DoctorArguments, session: &Session) -> Result<Answer, Failure> {
    let project = session.project_with_store()?;
    let json = match Remote::find(&project)? {
        Some(remote) if arguments.repair => {
            let refused = remote.holds_the_store();
            return Err(refused.with_hint("stop it first; without --repair it is looked at beside"));
        }
        Some(remote) => remote.doctor(&project, session.output)?,
        None => {
            let bar = Bar::counts(session.output);
            let found = doctor(&project, arguments.repair, &|what, done| {
                bar.show(what, done, 0);
                ControlFlow::Continue(())
            })?;
            wire::examination(&found)
        }
    };
    let is_whole = damages(&json).next().is_none() || json["rebuilt"] == true;
    Ok(Answer {
        text: text(&json),
        json,
        exit: if is_whole { Exit::Done } else { Exit::Storage },
    })
}

fn damages(found: &Json) -> impl Iterator<Item = &Json> {
    found["damages"].as_array().into_iter().flatten()
}

fn word<'d>(damage: &'d Json, name: &str) -> &'d str {
    damage[name].as_str().unwrap_or_default()
}

fn text(found: &Json) -> String {
    let number = |name: &str| found[name].as_u64().unwrap_or_default();
    let mut text = format!(
        "registry: {}\nlog: {}, {}\nhot tier: {}, {}\n",
        plural(number("registry_records"), "record"),
        plural(number("events"), "event"),
        plural(number("dead_letters"), "dead letter"),
        plural(number("hot_rows"), "row"),
        match number("hot_entries") {
            1 => "1 entry".to_owned(),
            entries => format!("{} entries", count(entries)),
        },
    );
    if number("cold_entries") > 0 {
        let left = plural(number("cold_entries"), "old event");
        text.push_str(&format!("left the hot tier, in the log: {left}\n"));
    }
    if damages(found).next().is_none() {
        text.push_str("no damage");
        return text;
    }
    let rows = damages(found).map(|damage| {
        let word = |name: &str| word(damage, name).to_owned();
        let place = match damage["offset"].as_u64() {
            Some(at) => format!("{} at byte {at}", word("place")),
            None => word("place"),
        };
        [
            word("part"),
            word("source"),
            word("key"),
            place,
            word("reason"),
        ]
    });
    text.push_str(&mixed_table(
        ["part", "source", "key", "place", "damage"],
        rows,
    ));
    text.push_str(if found["rebuilt"] == true {
        "\nthe hot tier was built again from the log"
    } else if damages(found).any(|damage| ["registry", "log"].contains(&word(damage, "part"))) {
        "\nregistry and log are the only copy of what they hold: `evenkeel restore` brings a backup back"
    } else if damages(found).any(|damage| word(damage, "part") != "hot tier") {
        "\nregistry and log are whole: of the rest the damage says what to do, or a backup has it"
    } else {
        "\nnothing is lost: `evenkeel doctor --repair` builds the hot tier again from the log"
    });
    text
}
