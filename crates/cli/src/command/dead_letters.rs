//! `evenkeel dead-letters`.

use evenkeel_engine::api::IngestReport;
use evenkeel_server::wire;
use serde_json::{Value as Json, json};

use super::report_line;
use crate::arguments::{DeadLettersArguments, Redrive};
use crate::failure::Failure;
use crate::session::{Answer, Session};
use crate::table::{count, plural, table};

/// The first dead letters of a source as JSON, and how many there are.
pub(crate) type Letters = (Vec<Json>, u64);

pub(super) fn run(arguments: &DeadLettersArguments, session: &Session) -> Result<Answer, Failure> {
    if arguments.redrive.is_empty() {
        return Ok(shown(&letters(arguments, session)?, arguments));
    }
    let report = redriven(arguments, session)?;
    let text = report_line(&report);
    Ok(Answer::done(
        json!({"redriven": wire::ingest_report(&report)}),
        text,
    ))
}

fn letters(arguments: &DeadLettersArguments, session: &Session) -> Result<Letters, Failure> {
    if let Some(remote) = session.server()? {
        return remote.letters(&arguments.source, arguments.limit);
    }
    let rows = session.reader()?.dead_letters(&arguments.source)?;
    let first = rows.iter().take(arguments.limit);
    Ok((first.map(wire::dead_letter).collect(), rows.len() as u64))
}

fn redriven(arguments: &DeadLettersArguments, session: &Session) -> Result<IngestReport, Failure> {
    // None: all.
    let numbers = arguments.redrive.iter().map(|redrive| match redrive {
        Redrive::One(id) => Some(*id),
        Redrive::All => None,
    });
    let ids: Option<Vec<u64>> = numbers.collect();
    if let Some(remote) = session.server()? {
        return remote.redrive(&arguments.source, ids.as_deref());
    }
    let mut engine = session.engine()?;
    let ids = match ids {
        Some(ids) => ids,
        None => {
            let rows = engine.dead_letters(&arguments.source)?;
            rows.iter().map(|row| row.id).collect()
        }
    };
    Ok(engine.redrive(&arguments.source, &ids)?)
}

fn shown((first, total): &Letters, arguments: &DeadLettersArguments) -> Answer {
    let json = json!({"source": arguments.source, "total": total, "dead_letters": first});
    if *total == 0 {
        return Answer::done(
            json,
            format!("`{}` has no dead letters\n", arguments.source),
        );
    }
    let mut text = table(
        ["id", "reason", "what", "from", "record"],
        first.iter().map(|row| {
            let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            [
                row["id"].to_string(),
                word("reason"),
                word("text"),
                word("origin"),
                word("record"),
            ]
        }),
    );
    let hidden = total.saturating_sub(first.len() as u64);
    if hidden > 0 {
        text.push_str(&format!("and {} more: --limit {total}\n", count(hidden)));
    } else {
        text.push_str(&format!("{}\n", plural(*total, "dead letter")));
    }
    Answer::done(json, text)
}
