//! `evenkeel try`, `evenkeel backtest` and `evenkeel publish`.

use std::path::PathBuf;

use clap::Args;
use evenkeel_engine::trial::Sample;

/// Which part of history is looked at.
#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// The first time that is looked at; without a zone UTC [default: the first event's]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// The first time behind [default: after the last event]
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// SOURCE/PARTITION@END,...: what is known [default: everything that is applied]
    #[arg(long, value_name = "CUT")]
    pub(crate) cut: Option<String>,
}

/// `evenkeel try`
#[derive(Debug, Args)]
#[command(
    about = "Try views on history before they are published",
    long_about = "Try views on history before they are published.\n\n\
        Reads the views of definition files at every event that brings a key of theirs, at the \
        event's time, without registering anything: what else the definitions name is as it is \
        registered. Says what the values look like and what they cost, and how they differ from \
        the published version of the same name. A sample is of keys: all events of a key are in it, \
        or none. With --replay the events are fed one after the other into a store in memory, \
        which is read at every event and again at the end: exit code 1 if any bit is not the \
        same. If it is interrupted, the same command goes on where it was (with --out).",
    after_help = "Examples:\n  \
        evenkeel try new_view.sql\n  \
        evenkeel try new_view.sql --from 2014-06-01 --to 2014-07-01 --sample 5% --replay\n  \
        evenkeel try views/ --view airport_now --out trial.parquet --json"
)]
pub(crate) struct TryArguments {
    /// Files with definitions, or folders with `*.sql` files
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Only this view of theirs; may be repeated
    #[arg(long = "view", value_name = "NAME")]
    pub(crate) views: Vec<String>,
    #[command(flatten)]
    pub(crate) history: HistoryArguments,
    /// Of which share of the keys, chosen by their hash; of all where that has none
    #[arg(long, value_name = "PERCENT", default_value = "100%", value_parser = sample)]
    pub(crate) sample: Sample,
    /// Feed the events as a stream, too, and compare every bit
    #[arg(long)]
    pub(crate) replay: bool,
    /// Where to write the rows of one view: .parquet, .csv or .arrow
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `evenkeel backtest`
#[derive(Debug, Args)]
#[command(
    about = "Compare what a service would have served with what is known now",
    long_about = "Compare what a service would have served with what is known now.\n\n\
        Reads every feature of a service at the events of a source, or at the rows of a file: once \
        knowing only what was visible when the event itself was, and once knowing everything. What \
        differs is what lateness and corrections make. With --out both are written side by side, \
        and the same command goes on if it was interrupted.",
    after_help = "Examples:\n  \
        evenkeel backtest delay_model --source departures --from 2014-06-01 --to 2014-07-01\n  \
        evenkeel backtest delay_model --source departures --sample 5% --out backtest.parquet\n  \
        evenkeel backtest delay_model --spine decisions.csv --json"
)]
pub(crate) struct BacktestArguments {
    /// The feature service, as NAME or NAME@VERSION
    #[arg(value_name = "SERVICE")]
    pub(crate) service: String,
    /// The source whose events are the triggers; it has the service's inputs as columns [default:
    /// the only one that has them]
    #[arg(long, value_name = "SOURCE", conflicts_with = "spine")]
    pub(crate) source: Option<String>,
    /// A file with the service's inputs, a time, and `known_at`, in place of events
    #[arg(long, value_name = "FILE")]
    pub(crate) spine: Option<PathBuf>,
    /// The column of the spine's times
    #[arg(long, value_name = "COLUMN", requires = "spine")]
    pub(crate) time_column: Option<String>,
    /// The column of the times at which each row was known
    #[arg(long, value_name = "COLUMN", requires = "spine")]
    pub(crate) known_at_column: Option<String>,
    #[command(flatten)]
    pub(crate) history: HistoryArguments,
    /// Of which share of the keys of the service's first view, chosen by their hash; of all where that has none
    #[arg(long, value_name = "PERCENT", default_value = "100%", value_parser = sample)]
    pub(crate) sample: Sample,
    /// Where to write the rows: .parquet, .csv or .arrow
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `evenkeel publish`
#[derive(Debug, Args)]
#[command(
    about = "Check definitions, try what changes, and apply them",
    long_about = "Check definitions, try what changes, and apply them.\n\n\
        Plans the definitions of the project, or of some files over what is registered; tries every \
        view that is new or changes on a sample of history, and replays its events. If a \
        definition is refused, or a replay gives another bit than the batch run, nothing is \
        applied, and the exit code is 1. Views that no event brings are applied untried, which is \
        said. Also works while a server holds the store.",
    after_help = "Examples:\n  \
        evenkeel publish --dry-run\n  \
        evenkeel publish --sample 1% --from 2014-06-01\n  \
        evenkeel publish views/new_view.sql --json"
)]
pub(crate) struct PublishArguments {
    /// Files with definitions, or folders with `*.sql` files [default: the whole project]
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) history: HistoryArguments,
    /// Of which share of the keys views are tried, chosen by their hash; of all where that has none
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = sample)]
    pub(crate) sample: Sample,
    /// Check and try, but apply nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A share of keys: `5%`, `0.1%`.
fn sample(text: &str) -> Result<Sample, String> {
    let wrong =
        || "write a share of the keys above 0% and up to 100%, such as 5% or 0.1%".to_owned();
    let digits = text.trim().strip_suffix('%').ok_or_else(wrong)?;
    let percent: f64 = digits.trim().parse().map_err(|_| wrong())?;
    let millionths = percent * 10_000.0;
    if !(0.0..=1_000_000.0).contains(&millionths) {
        return Err(wrong());
    }
    // It is between: no digit is lost but those behind a millionth.
    Sample::of_millionths(millionths.round() as u32).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_more_than_nothing_and_no_more_than_all() {
        let millionths = |text: &str| sample(text).map(Sample::millionths);
        assert_eq!(millionths("5%"), Ok(50_000));
        assert_eq!(millionths(" 0.1 %"), Ok(1_000));
        assert_eq!(millionths("100%"), Ok(1_000_000));
        for wrong in [
            "0%", "-1%", "100.1%", "5", "%", "NaN%", "inf%", "0.00001%", "",
        ] {
            assert!(sample(wrong).is_err(), "{wrong}");
        }
    }
}
