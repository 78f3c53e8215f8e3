//! `evenkeel segment`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Moment, Pairs};

/// `evenkeel segment`
#[derive(Debug, Args)]
#[command(
    about = "Ask which keys have such features, now or in the past",
    long_about = "Ask which keys have such features, now or in the past.\n\n\
        A segment is defined with CREATE SEGMENT, or asked as a query. It is evaluated from what \
        reads are evaluated from, at one time and cut: what was logged a moment ago is in it, and \
        the same question at the same time and cut has the same answer for ever. All of it also \
        works while a server holds the store.",
    after_help = "Examples:\n  \
        evenkeel segment query frequently_late\n  \
        evenkeel segment query --query \"SELECT origin, late_percent_24h FROM airport_congestion \
        WHERE late_percent_24h > 30\" --as-of 2014-07-04T16:00:00Z\n  \
        evenkeel segment freeze frequently_late --as-of 2014-07-04T16:00:00Z\n  \
        evenkeel segment list",
    disable_help_subcommand = true
)]
pub(crate) struct SegmentArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: SegmentCommand,
}

/// What is done with segments.
#[derive(Debug, Subcommand)]
pub(crate) enum SegmentCommand {
    Query(SegmentQueryArguments),
    List(SegmentListArguments),
    Freeze(FreezeArguments),
    Show(SegmentShowArguments),
}

/// Which segment.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Asked {
    /// The segment, as NAME or NAME@VERSION
    #[arg(value_name = "SEGMENT")]
    pub(crate) segment: Option<String>,
    /// A query in place of one that is defined: SELECT key, columns FROM views [WHERE ...]
    #[arg(long, value_name = "SELECT")]
    pub(crate) query: Option<String>,
}

/// `evenkeel segment query`
#[derive(Debug, Args)]
#[command(
    about = "Show the keys that are in a segment",
    long_about = "Show the keys that are in a segment.\n\n\
        Of all keys of the entity of which the segment's views know something, those for which \
        the condition is true. Keys come in an order that is the same for ever but means \
        nothing; a page goes on behind the last key of the one before, at its time and cut. A key \
        for which the condition is an error is not in it, and counted.",
    after_help = "Examples:\n  \
        evenkeel segment query frequently_late --limit 20\n  \
        evenkeel segment query frequently_late --count --json\n  \
        evenkeel segment query frequently_late --as-of 2014-07-04T16:00:00Z --out late.parquet"
)]
pub(crate) struct SegmentQueryArguments {
    #[command(flatten)]
    pub(crate) asked: Asked,
    #[command(flatten)]
    pub(crate) moment: Moment,
    /// The most keys that are shown [default: 100; with --out all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Only keys behind this one, as NAME=VALUE pairs
    #[arg(long, value_name = "KEY")]
    pub(crate) after: Option<Pairs>,
    /// Only count: all keys are asked and none are shown
    #[arg(long, conflicts_with_all = ["limit", "out"])]
    pub(crate) count: bool,
    /// Write the keys and what is selected of them to a file: .parquet, .csv, .arrow
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// `evenkeel segment list`
#[derive(Debug, Args)]
#[command(
    about = "List what is defined, and what is frozen of it",
    after_help = "Examples:\n  \
        evenkeel segment list\n  \
        evenkeel segment list --json"
)]
pub(crate) struct SegmentListArguments {}

/// `evenkeel segment freeze`
#[derive(Debug, Args)]
#[command(
    about = "Keep the keys of a segment as they are at a time",
    long_about = "Keep the keys of a segment as they are at a time.\n\n\
        Keys, what is selected of them, and a manifest with time, cut, definitions, counts and a \
        digest are written to `segments/` of the store under the next number, and are never \
        replaced.",
    after_help = "Examples:\n  \
        evenkeel segment freeze frequently_late\n  \
        evenkeel segment freeze frequently_late --as-of 2014-07-04T16:00:00Z --json"
)]
pub(crate) struct FreezeArguments {
    /// The segment, as NAME or NAME@VERSION
    #[arg(value_name = "SEGMENT")]
    pub(crate) segment: String,
    #[command(flatten)]
    pub(crate) moment: Moment,
}

/// `evenkeel segment show`
#[derive(Debug, Args)]
#[command(
    about = "Show what was frozen, and whether it comes out the same again",
    long_about = "Show what was frozen, and whether it comes out the same again.\n\n\
        The segment is evaluated anew at the time and cut of the manifest, with the definition \
        of then, and compared by digest. Exits with 1 if the two are not the same.",
    after_help = "Examples:\n  \
        evenkeel segment show frequently_late:1\n  \
        evenkeel segment show frequently_late:1 --json"
)]
pub(crate) struct SegmentShowArguments {
    /// What was frozen, as NAME:NUMBER
    #[arg(value_name = "FROZEN")]
    pub(crate) frozen: String,
}
