//! `evenkeel sql`.

use std::sync::Arc;

use evenkeel_connect::{Table, TableType};
use evenkeel_engine::{DefinitionFile, EngineError};
use evenkeel_server::wire;
use evenkeel_sql::{GoOn, Limits, Query, SqlError};
use evenkeel_types::time::parse_timestamp;
use evenkeel_types::{Column, DataType, EventTime, Zone};
use serde_json::{Value as Json, json};

use crate::arguments::SqlArguments;
use crate::clock;
use crate::failure::{Exit, Failure};
use crate::render::{short_value, text_value};
use crate::session::{Answer, Session};
use crate::table::{count, plural, table};

/// Rows of a table for a person, if no limit is given.
const SHOWN_ROWS: usize = 100;
/// What mistakes are said to be in.
const PLACE: &str = "the query";
/// The name of the query's text.
const NAME: &str = "query";

/// What a query answered.
pub(crate) struct Answered {
    pub(crate) table: Table,
    /// Whether there are more rows than the limit let through.
    pub(crate) more: bool,
    pub(crate) as_of: String,
    pub(crate) cut: String,
}

pub(super) fn run(arguments: &SqlArguments, session: &Session) -> Result<Answer, Failure> {
    let text = text(arguments)?;
    let is_table = !arguments.csv && arguments.output.is_none() && !session.output.is_json();
    let limit = arguments.limit.or(is_table.then_some(SHOWN_ROWS));
    let answered = match session.server()? {
        Some(remote) => {
            let texts = [query_file(&text)];
            let asked = json!({
                "query": text,
                "as_of": arguments.as_of,
                "cut": arguments.cut,
                "limit": limit,
            });
            remote.sql(&asked, &texts, PLACE, session.output)?
        }
        None => here(arguments, &text, limit, session)?,
    };
    if let Some(path) = &arguments.output {
        answered.table.write(path)?;
        let rows = answered.table.len() as u64;
        let more = match answered.more {
            true => ", there are more",
            false => "",
        };
        let text = format!("{} to `{}`{more}\n", plural(rows, "row"), path.display());
        return Ok(Answer::done(
            summary(&answered, json!({"out": path, "rows": rows})),
            text,
        ));
    }
    if arguments.csv {
        let csv = answered.table.to_csv()?;
        let csv = String::from_utf8_lossy(&csv).into_owned();
        return Ok(Answer::done(Json::Null, csv));
    }
    let rows = wire::rows(&answered.table)?;
    let text = if is_table {
        shown(&answered)?
    } else {
        String::new()
    };
    Ok(Answer {
        json: summary(&answered, rows),
        text,
        exit: Exit::Done,
    })
}

fn text(arguments: &SqlArguments) -> Result<String, Failure> {
    match (&arguments.query, &arguments.file) {
        (Some(query), _) => Ok(query.clone()),
        (None, Some(path)) => {
            std::fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e))
        }
        (None, None) => Err(Failure::usage("there is no query")),
    }
}

fn query_file(text: &str) -> DefinitionFile {
    DefinitionFile {
        name: NAME.to_owned(),
        text: text.to_owned(),
    }
}

/// Asks the store that nobody holds.
fn here(
    arguments: &SqlArguments,
    text: &str,
    limit: Option<usize>,
    session: &Session,
) -> Result<Answered, Failure> {
    let store = session.offline()?;
    let at = match &arguments.as_of {
        Some(text) => parse_timestamp(text, &Zone::utc())
            .map_err(|error| Failure::request(format!("--as-of: {error}")))?,
        None => clock::now_micros(),
    };
    let cut = arguments.cut.as_deref();
    let query = Query {
        text: text.to_owned(),
        at: EventTime(at),
        cut: cut.map(|text| store.parse_cut(text)).transpose()?,
        files: true,
        limits: Limits {
            rows_max: limit.unwrap_or(usize::MAX),
            ..Limits::NONE
        },
    };
    let go_on: GoOn = Arc::new(|| true);
    let rows = evenkeel_sql::run(&store, &query, &go_on).map_err(|error| failed(error, text))?;
    Ok(Answered {
        more: rows.more,
        as_of: rows.at.to_string(),
        cut: store.format_cut(&rows.cut),
        table: rows.table,
    })
}

fn failed(error: SqlError, text: &str) -> Failure {
    let hint = error.hint();
    match error.into_engine(NAME) {
        Ok(error @ EngineError::Definitions(_)) => {
            Failure::engine_in(error, &[query_file(text)], PLACE)
        }
        Ok(error) => Failure::from(error),
        Err(error) => {
            let failure = Failure::of(&error);
            match hint {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            }
        }
    }
}

/// What is said of an answer besides its rows.
fn summary(answered: &Answered, mut json: Json) -> Json {
    json["more"] = json!(answered.more);
    json["as_of"] = json!(answered.as_of);
    json["cut"] = json!(answered.cut);
    json
}

/// What EXPLAIN answers with.
const PLAN_COLUMNS: [&str; 2] = ["plan_type", "plan"];

fn shown(answered: &Answered) -> Result<String, Failure> {
    let rows = &answered.table;
    if rows.fields().iter().map(|(name, _)| *name).eq(PLAN_COLUMNS) {
        return plans(rows);
    }
    let mut columns = Vec::new();
    for (name, data_type) in rows.fields() {
        // A query's columns all have types of ours.
        if let TableType::Known(data_type) = data_type {
            columns.push((name, data_type, rows.column(name)?));
        }
    }
    let lines = (0..rows.len()).map(|row| {
        let cells = columns.iter();
        cells.map(move |(_, data_type, column)| short_value(data_type, &column.get(row)))
    });
    let mut text = table(columns.iter().map(|(name, ..)| *name), lines);
    let length = rows.len() as u64;
    text.push_str(&match answered.more {
        true => format!(
            "the first {} rows, there are more: --limit\n",
            count(length)
        ),
        false => format!("{}\n", plural(length, "row")),
    });
    text.push_str(&format!("as of {}, cut {}\n", answered.as_of, answered.cut));
    Ok(text)
}

/// Plans are trees of lines, which a table would cut.
fn plans(rows: &Table) -> Result<String, Failure> {
    let [kinds, plans] = PLAN_COLUMNS.map(|name| rows.column_as(name, &DataType::String));
    let (kinds, plans) = (kinds?, plans?);
    let texts = (0..rows.len()).map(|row| {
        let text = |column: &Column| text_value(&DataType::String, &column.get(row));
        format!("{}\n{}\n", text(&kinds), text(&plans).trim_end())
    });
    Ok(texts.collect::<Vec<_>>().join("\n"))
}
