//! `evenkeel dead-letters`.

use evenkeel_engine::api::DeadLetterRow;
use evenkeel_server::wire;
use serde_json::{Value as Json, json};

use super::report_line;
use crate::arguments::{DeadLettersArguments, Redrive};
use crate::failure::Failure;
use crate::session::{Answer, Session};
use crate::table::{count, plural, table};

pub(super) fn run(arguments: &DeadLettersArguments, session: &Session) -> Result<Answer, Failure> {
    if arguments.redrive.is_empty() {
        let rows = session.reader()?.dead_letters(&arguments.source)?;
        return Ok(shown(&rows, arguments));
    }
    let mut engine = session.engine()?;
    let ids: Vec<u64> = if arguments.redrive.contains(&Redrive::All) {
        engine
            .dead_letters(&arguments.source)?
            .iter()
            .map(|row| row.id)
            .collect()
    } else {
        arguments
            .redrive
            .iter()
            .filter_map(|r| match r {
                Redrive::One(id) => Some(*id),
                Redrive::All => None,
            })
            .collect()
    };
    let report = engine.redrive(&arguments.source, &ids)?;
    let text = report_line(&report);
    Ok(Answer::done(
        json!({"redriven": wire::ingest_report(&report)}),
        text,
    ))
}

fn shown(rows: &[DeadLetterRow], arguments: &DeadLettersArguments) -> Answer {
    let first = &rows[..rows.len().min(arguments.limit)];
    let json: Vec<Json> = first.iter().map(wire::dead_letter).collect();
    let json = json!({"source": arguments.source, "total": rows.len(), "dead_letters": json});
    if rows.is_empty() {
        return Answer::done(
            json,
            format!("`{}` has no dead letters\n", arguments.source),
        );
    }
    let mut text = table(
        ["id", "reason", "what", "from", "record"],
        first.iter().map(|row| {
            [
                row.id.to_string(),
                row.reason.clone(),
                row.text.clone(),
                row.origin.clone(),
                row.record.clone(),
            ]
        }),
    );
    if first.len() < rows.len() {
        let hidden = (rows.len() - first.len()) as u64;
        text.push_str(&format!(
            "and {} more: --limit {}\n",
            count(hidden),
            rows.len()
        ));
    } else {
        text.push_str(&format!("{}\n", plural(rows.len() as u64, "dead letter")));
    }
    Answer::done(json, text)
}
