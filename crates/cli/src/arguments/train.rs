//! `evenkeel train` and `evenkeel verify`.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

/// `--knowledge`
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Knowledge {
    /// Everything in the cut, also what became known later
    Latest,
    /// At each row what was visible at its `known_at`
    AsServed,
}

/// `evenkeel train`
#[derive(Debug, Args)]
#[command(
    about = "Build a training set",
    long_about = "Build a training set.\n\n\
        Reads every feature of a service at the time of every row of the spine. The result has \
        exactly the spine's rows, in its order, its other columns untouched, and the features \
        behind them. The spine is a file with the service's inputs and a time, or a query over \
        the store, which may ask for labels: a feature read forward.",
    after_help = "Examples:\n  \
        evenkeel train delay_model --spine spine.parquet --out train.parquet\n  \
        evenkeel train delay_model --spine spine.csv --time-column departed_at \\\n      \
            --knowledge as_served --out train.arrow\n  \
        evenkeel train delay_model --out train.parquet --spine \\\n      \
            \"SELECT flight_id, tailnum, origin, dest, distance,\n              \
                    LABEL arrived_late FROM flight_outcome WITHIN INTERVAL '1' DAY\n       \
             FROM departures\""
)]
pub(crate) struct TrainArguments {
    /// The feature service, as NAME or NAME@VERSION
    #[arg(value_name = "SERVICE")]
    pub(crate) service: String,
    /// A file (Parquet, CSV, Arrow), a query, or a `.sql` file with a query
    #[arg(long, value_name = "FILE|QUERY")]
    pub(crate) spine: String,
    /// The file to write: .parquet, .csv or .arrow
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// What each row knows
    #[arg(long, value_enum, default_value = "latest")]
    pub(crate) knowledge: Knowledge,
    /// The spine file's column of times [default: event_time, or its only TIMESTAMP]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time_column: Option<String>,
    /// The spine file's column of known-at times [default: the times]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) known_at_column: Option<String>,
    /// Also write a column with each feature's status
    #[arg(long)]
    pub(crate) statuses: bool,
    /// Know only the events in this cut [default: everything]
    #[arg(long, value_name = "CUT")]
    pub(crate) cut: Option<String>,
}

/// `evenkeel verify`
#[derive(Debug, Args)]
#[command(
    about = "Prove that all paths give the same bits",
    long_about = "Prove that all paths give the same bits.\n\n\
        Draws entities and times under a seed: at events, between them, exactly at window edges \
        and one microsecond beside them, at ties, at several cuts. Each value is read once by \
        the read path and once by the training path, and on a sub-sample computed by a naive \
        oracle. Exit code 1, with the feature, key, time, cut and values, if any bit differs.",
    after_help = "Examples:\n  \
        evenkeel verify\n  \
        evenkeel verify --service delay_model --values 1000000 --seed 7 --json"
)]
pub(crate) struct VerifyArguments {
    /// Only the views of these services [default: every view]
    #[arg(long = "service", value_name = "NAME", action = ArgAction::Append)]
    pub(crate) services: Vec<String>,
    /// How many values to compare
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub(crate) values: u64,
    /// Instead: compute again what the server has sent and logged, each answer at its cut
    #[arg(long, conflicts_with_all = ["services", "values", "oracle_values", "cuts"])]
    pub(crate) served: bool,
    /// How many of them to compute with the oracle, too
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) oracle_values: u64,
    /// How many cuts: the newest and earlier ones
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) cuts: u16,
    /// The seed of the sample
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}
