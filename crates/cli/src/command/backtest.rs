//! `evenkeel backtest`.

use std::ops::ControlFlow;

use evenkeel_engine::backtest::{BacktestOptions, BacktestReport, Triggers};
use evenkeel_engine::trial::{PART_INSTANTS, Sample};
use evenkeel_engine::{EngineError, Offline};
use serde_json::{Value as Json, json};

use super::trial::{
    differences, ending, history, json_differences, percent, say_that_all_are_taken,
};
use crate::arguments::BacktestArguments;
use crate::failure::Failure;
use crate::progress::Bar;
use crate::session::{Answer, Session};
use crate::table::{count, plural};

pub(super) fn run(arguments: &BacktestArguments, session: &Session) -> Result<Answer, Failure> {
    let store = session.offline()?;
    let service = store.service(&arguments.service)?;
    let mut options = BacktestOptions {
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
    let run = |options: &BacktestOptions| {
        let bar = Bar::counts(session.output);
        store.backtest(&service, options, &mut |what, done, all| {
            bar.show(what, done, all);
            ControlFlow::Continue(())
        })
    };
    let report = match run(&options) {
        // Where a sample has no key there are few.
        Err(EngineError::NothingToTry { .. }) if options.history.sample != Sample::ALL => {
            options.history.sample = Sample::ALL;
            let report = run(&options)?;
            say_that_all_are_taken(&service.name, session.output);
            report
        }
        report => report?,
    };
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
