//! What is read: an entity, a call, and how a value came about.

use std::path::PathBuf;

use clap::Args;

use super::Pairs;

/// What is known when something is read.
#[derive(Debug, Args)]
pub(crate) struct Moment {
    /// The time to read at [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<String>,
    /// Know only the events in this cut, as an earlier answer printed it [default: everything]
    #[arg(long, value_name = "CUT")]
    pub(crate) cut: Option<String>,
    /// Know only what was visible at this time
    #[arg(long, value_name = "TIME")]
    pub(crate) known_at: Option<String>,
}

/// `evenkeel get`
#[derive(Debug, Args)]
#[command(
    about = "Read features of entities at a time",
    long_about = "Read features of entities at a time.\n\n\
        Answers come in the order of the request, each with its status (PRESENT, NULL_VALUE, \
        NOT_FOUND, OUTSIDE_MAX_AGE, ERROR) and event time, and with the cut they were read at: \
        the same question with that --cut gives the same bits for ever.\n\n\
        An entity is given as NAME=VALUE pairs, with request columns of on-demand views beside \
        its keys. A value with a comma is written in double quotes; NULL is written without.",
    after_help = "Examples:\n  \
        evenkeel get --service delay_model --entity origin=SEA,dest=PDX\n  \
        evenkeel get --features airport_congestion:departures_3h,weather_now:* \\\n      \
            --entity origin=SEA --entity origin=PDX --as-of 2014-07-04T16:00:00Z\n  \
        evenkeel get --service delay_model --entities entities.csv --json\n  \
        evenkeel get --dataset delay:1 --entity origin=SEA,dest=PDX"
)]
pub(crate) struct GetArguments {
    /// The feature service, as NAME or NAME@VERSION
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present_any = ["features", "dataset"],
        conflicts_with = "features"
    )]
    pub(crate) service: Option<String>,
    /// A list of features, as VIEW:FEATURE or VIEW:*
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) features: Vec<String>,
    /// The vector of a training dataset, as NAME or NAME:VERSION: its versions of the views, its
    /// order, its transforms
    #[arg(long, value_name = "NAME", conflicts_with_all = ["service", "features"])]
    pub(crate) dataset: Option<String>,
    /// An entity, as NAME=VALUE,...; may be given several times
    #[arg(
        long = "entity",
        value_name = "PAIRS",
        required_unless_present = "entities"
    )]
    pub(crate) entity: Vec<Pairs>,
    /// A file of entities (Parquet, CSV, Arrow), one per row
    #[arg(long, value_name = "FILE", conflicts_with = "entity")]
    pub(crate) entities: Option<PathBuf>,
    /// Values that hold for every entity, as NAME=VALUE,...
    #[arg(long, value_name = "PAIRS")]
    pub(crate) request: Option<Pairs>,
    /// When, and what is known.
    #[command(flatten)]
    pub(crate) moment: Moment,
}

/// `evenkeel call`
#[derive(Debug, Args)]
#[command(
    about = "Read features with one row more than is logged",
    long_about = "Read features with one row more than is logged.\n\n\
        The row is judged as if it were pushed now, and known to this one read, at its own event \
        time: windows, look-ups and views over views have it in them. Nothing is left of it. What \
        comes out is what a read would answer once the row is logged behind everything else; a \
        row that was logged before counts once. The inputs of the service are columns of the row \
        of that name, or given.",
    after_help = "Examples:\n  \
        evenkeel call payments --row id=77,card=4,amount=250.5,at=2026-03-01T10:00:00Z \\\n      \
            --service fraud_model\n  \
        evenkeel call payments --row id=77,card=4,amount=99,at=2026-03-01T10:00:00Z \\\n      \
            --features spent:total,spent:n --json"
)]
pub(crate) struct CallArguments {
    /// The source whose row it is
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// The row, as NAME=VALUE,...
    #[arg(long, value_name = "PAIRS")]
    pub(crate) row: Pairs,
    /// The feature service, as NAME or NAME@VERSION
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "features",
        conflicts_with = "features"
    )]
    pub(crate) service: Option<String>,
    /// A list of features, as VIEW:FEATURE or VIEW:*
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub(crate) features: Vec<String>,
    /// Inputs of the service that the row has no column for, as NAME=VALUE,...
    #[arg(long, value_name = "PAIRS")]
    pub(crate) inputs: Option<Pairs>,
}

/// `evenkeel explain`
#[derive(Debug, Args)]
#[command(
    about = "Show how one value came about",
    long_about = "Show how one value came about.\n\n\
        Prints what the feature reads: each aggregate with its window's edges, how many events are \
        inside the window and the newest of them, the rows and look-ups that were used, and the \
        cut. Events that a FILTER leaves out are counted, not listed.",
    after_help = "Examples:\n  \
        evenkeel explain airport_congestion:departures_3h --entity origin=SEA \\\n      \
            --as-of 2014-07-04T16:00:00Z"
)]
pub(crate) struct ExplainArguments {
    /// The feature, as VIEW:FEATURE
    #[arg(value_name = "FEATURE")]
    pub(crate) feature: String,
    /// The entity, as NAME=VALUE,..., with request columns beside its keys
    #[arg(long, value_name = "PAIRS")]
    pub(crate) entity: Pairs,
    /// When, and what is known.
    #[command(flatten)]
    pub(crate) moment: Moment,
}
