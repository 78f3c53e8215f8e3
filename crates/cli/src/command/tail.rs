//! `evenkeel tail`.

use evenkeel_engine::topic_of;
use evenkeel_server::wire;
use serde_json::Value as Json;

use crate::arguments::TailArguments;
use crate::failure::Failure;
use crate::output::Output;
use crate::session::{Answer, Session};

/// Emissions that are shown, if nobody says otherwise.
const SHOWN: u64 = 10;

pub(super) fn run(arguments: &TailArguments, session: &Session) -> Result<Answer, Failure> {
    let offline = session.offline()?;
    let topic = topic_of(offline.catalog(), &arguments.topic)?;
    if arguments.follow {
        return follow(arguments, offline.emissions_end(&topic), session);
    }
    let limit = arguments.limit.unwrap_or(match arguments.from {
        Some(_) => u64::MAX,
        None => SHOWN,
    });
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    for emission in offline.emissions(&topic, arguments.from, most)? {
        show(&wire::emission(&topic, &emission), session.output)?;
    }
    Ok(Answer::silent())
}

/// Shows what a server emits, as it comes.
fn follow(arguments: &TailArguments, end: u64, session: &Session) -> Result<Answer, Failure> {
    let Some(remote) = session.server()? else {
        return Err(
            Failure::busy("nothing is emitted: no server holds the store")
                .with_hint("start `evenkeel serve`, or leave --follow out"),
        );
    };
    let mut next = arguments.from.unwrap_or(end.saturating_sub(SHOWN));
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    while left > 0 {
        // A stream of a server ends now and then.
        remote.tail(&arguments.topic, next, left, &mut |emission| {
            show(emission, session.output)?;
            next = emission["position"].as_u64().map_or(next, |at| at + 1);
            left -= 1;
            Ok(())
        })?;
    }
    Ok(Answer::silent())
}

/// One line of an emission.
fn show(emission: &Json, output: Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.data(&format!("{emission}\n"));
    }
    let word = |name: &str| emission[name].as_str().unwrap_or_default();
    let mut line = format!(
        "{}  {}  {}",
        emission["position"],
        word("event_time"),
        word("operation")
    );
    if emission["revision"] != 0 {
        line.push_str(&format!(" {}", emission["revision"]));
    }
    line.push_str("  ");
    let row = emission["row"].as_object().into_iter().flatten();
    let cells = row.map(|(name, value)| match emission["errors"][name].as_str() {
        Some(reason) => format!("{name}=ERROR({reason})"),
        None => match value {
            Json::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        },
    });
    line.push_str(&cells.collect::<Vec<_>>().join(" "));
    if let Some(id) = emission["correlation_id"].as_str() {
        line.push_str(&format!("  for {id}"));
    }
    output.data(&format!("{line}\n"))
}
