//! `evenkeel backtest`.

use std::ops::ControlFlow;

use evenkeel_engine::Offline;
use evenkeel_engine::backtest::{BacktestOptions, BacktestReport, Triggers};
use evenkeel_engine::trial::PART_INSTANTS;
use serde_json::{Value as Json, json};

use super::trial::{differences, ending, history, json_differences, percent};
use crate::arguments::BacktestArguments;
use crate::failure::Failure;
use crate::progress::Bar;
use crate::session::{Answer, Session};
use crate::table::{count, plural};

pub(super) fn run(arguments: &BacktestArguments, session: &Session) -> Result<Answer, Failure> {
    let store = session.offline()?;
    let service = store.service(&arguments.service)?;
    let options = BacktestOptions {
        triggers: match &arguments.spine {
            None => Triggers::Source(arguments.source.clone()),
            Some(path) => Triggers::Spine {
                path: path.clone(),
                time_column: arguments.time_column.clone(),
                known_at_column: arguments.known_at_column.clone(),
            },
        },
        history: history(&arguments.history, arguments.sample, &store)?,
        out: arguments.out.clone(),
        part_rows: PART_INSTANTS,
    };
    let bar = Bar::counts(session.output);
    let report = store.backtest(&service, &options, &mut |what, done, all| {
        bar.show(what, done, all);
        ControlFlow::Continue(())
    })?;
    drop(bar);
    let json = json_report(&report, &store);
    let text = text(&json);
    Ok(Answer::done(json, text))
}

fn json_report(report: &BacktestReport, store: &Offline) -> Json {
    let mut features = json_differences(&report.features);
    for (feature, errors) in features.iter_mut().zip(&report.errors) {
        feature["errors"] = json!(errors);
    }
    json!({
        "service": report.service.name,
        "version": report.service.version,
        "source": report.source,
        "cut": store.format_cut(&report.cut),
        "rows": report.rows,
        "differing": report.differing,
        "resumed": report.resumed,
        "features": features,
        "out": report.out.as_deref(),
        "digest": report.digest,
    })
}

fn text(report: &Json) -> String {
    let number = |name: &str| report[name].as_u64().unwrap_or_default();
    let word = |name: &str| report[name].as_str().unwrap_or_default();
    let triggers = match report["source"].as_str() {
        Some(source) => format!("at events of `{source}`"),
        None => "of the spine".to_owned(),
    };
    let features = report["features"].as_array().cloned().unwrap_or_default();
    let mut text = format!(
        "{}: {} {triggers}, {} ({}) would be answered otherwise now\n",
        word("service"),
        plural(number("rows"), "row"),
        count(number("differing")),
        percent(number("differing"), number("rows")),
    );
    text.push_str(&differences(&features, ("then", "now")));
    text.push_str(&ending(report));
    text
}
