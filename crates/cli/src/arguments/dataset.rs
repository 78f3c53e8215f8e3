//! `evenkeel dataset`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `evenkeel dataset`
#[derive(Debug, Args)]
#[command(
    about = "Build training datasets, and build them again to the same bits",
    long_about = "Build training datasets, and build them again to the same bits.\n\n\
        A dataset is defined with CREATE TRAINING DATASET. A version is built once: its files and \
        its manifest (definitions, cut, spine, statistics, digests) are in `datasets/` of the \
        store and are never replaced. All of it also works while a server holds the store.",
    after_help = "Examples:\n  \
        evenkeel dataset build delay\n  \
        evenkeel dataset show delay:1\n  \
        evenkeel dataset rebuild delay 1 --json\n  \
        evenkeel get --dataset delay:1 --entity origin=SEA,dest=PDX",
    disable_help_subcommand = true
)]
pub(crate) struct DatasetArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: DatasetCommand,
}

/// What is done with datasets.
#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    Build(BuildArguments),
    List(ListArguments),
    Show(ShowArguments),
    Diff(DiffArguments),
    Rebuild(RebuildArguments),
}

/// `evenkeel dataset build`
#[derive(Debug, Args)]
#[command(
    about = "Build a version that is defined",
    long_about = "Build a version that is defined.\n\n\
        Reads every feature of the service at the time of every row of the spine, with all that \
        is logged now; parts the rows, learns what transforms need from the first part, and \
        writes files and manifest. A version that is built already is refused. Killed in the \
        middle, nothing of it is there.",
    after_help = "Examples:\n  \
        evenkeel dataset build delay\n  \
        evenkeel dataset build delay:2 --spine /data/spine.parquet --json"
)]
pub(crate) struct BuildArguments {
    /// The dataset, as NAME or NAME:VERSION [default version: the newest that is defined]
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: String,
    /// Read the spine from this file instead of the one that the definition names
    #[arg(long, value_name = "FILE")]
    pub(crate) spine: Option<PathBuf>,
}

/// `evenkeel dataset list`
#[derive(Debug, Args)]
#[command(
    about = "List what is defined and built",
    long_about = "List what is defined and built.\n\n\
        Late events are those logged since a version was built that are not dated after the last \
        moment that its rows look at: only they can make it stale. `show` says how many rows \
        differ.",
    after_help = "Examples:\n  \
        evenkeel dataset list\n  \
        evenkeel dataset list --json"
)]
pub(crate) struct ListArguments {}

/// `evenkeel dataset show`
#[derive(Debug, Args)]
#[command(
    about = "Show a version that is built, and whether it is stale",
    long_about = "Show a version that is built, and whether it is stale.\n\n\
        Features in the order of the vector with their statistics and transforms, parts, inputs \
        and digests. If events came that may touch it, its rows are evaluated at its cut and at \
        today's, and those that differ are counted: that takes as long as a build.",
    after_help = "Examples:\n  \
        evenkeel dataset show delay\n  \
        evenkeel dataset show delay:1 --json"
)]
pub(crate) struct ShowArguments {
    /// The dataset, as NAME or NAME:VERSION [default version: the newest that is built]
    #[arg(value_name = "DATASET")]
    pub(crate) dataset: String,
    /// Read the spine from this file instead of the one that the definition names
    #[arg(long, value_name = "FILE")]
    pub(crate) spine: Option<PathBuf>,
}

/// `evenkeel dataset diff`
#[derive(Debug, Args)]
#[command(
    about = "Show what differs between two versions",
    long_about = "Show what differs between two versions.\n\n\
        Compares their manifests: definitions, cut, spine, parts, order and statistics of the \
        features, labels, digests.",
    after_help = "Examples:\n  \
        evenkeel dataset diff delay:1 delay:2"
)]
pub(crate) struct DiffArguments {
    /// A dataset, as NAME or NAME:VERSION
    #[arg(value_name = "A")]
    pub(crate) first: String,
    /// Another one
    #[arg(value_name = "B")]
    pub(crate) second: String,
}

/// `evenkeel dataset rebuild`
#[derive(Debug, Args)]
#[command(
    about = "Build a version again, and prove that it is the same",
    long_about = "Build a version again from what its manifest pins, and prove that it is the \
        same.\n\n\
        Says `digest` and `matches`, or exactly which input is gone or another: the definitions, \
        the log up to the cut, the spine. Files of the dataset that are gone or damaged are put \
        back, if what was built again is the same bytes. Exit code 1 if it does not match.",
    after_help = "Examples:\n  \
        evenkeel dataset rebuild delay 1\n  \
        evenkeel dataset rebuild delay 1 --spine /archive/spine.parquet --json"
)]
pub(crate) struct RebuildArguments {
    /// The dataset
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Its version [default: the newest that is built]
    #[arg(value_name = "VERSION")]
    pub(crate) version: Option<u32>,
    /// Read the spine from this file instead of the one that the definition names
    #[arg(long, value_name = "FILE")]
    pub(crate) spine: Option<PathBuf>,
}
