//! Commands around the definitions of a project: begin, check, plan, apply, go back, and what the
//! language has.

use clap::Args;

/// `evenkeel init`
#[derive(Debug, Args)]
#[command(
    about = "Start a project, from nothing or from a file of events",
    long_about = "Start a project, from nothing or from a file of events.\n\n\
        Without --from: a small project that works at once, to be changed. With --from: looks \
        at the file (Parquet, CSV, JSON lines; also compressed), and writes the stream with its \
        columns, types and the likeliest event time, with comments saying what to check. \
        Existing files are never overwritten.",
    after_help = "Examples:\n  \
        evenkeel init --dir shop\n  \
        evenkeel init --dir shop --from data/orders.csv\n  \
        evenkeel init --dir shop --from 'data/orders-*.parquet' --stream orders --key customer_id"
)]
pub(crate) struct InitArguments {
    /// A file of events (or a pattern) to infer a stream from; relative to the project's folder
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<String>,
    /// The stream's name [default: the file's]
    #[arg(long, value_name = "NAME", requires = "from")]
    pub(crate) stream: Option<String>,
    /// Also write an entity with this key column, and a first feature view
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub(crate) key: Option<String>,
}

/// `evenkeel check`
#[derive(Debug, Args)]
#[command(
    about = "Check the definitions, without a store",
    long_about = "Check the definitions, without a store.\n\n\
        Reads every definition file of the project, and says for each mistake where it is and \
        what to write instead. Needs no store and changes nothing, so it fits Git hooks and CI: \
        exit code 1 if anything is wrong.",
    after_help = "Examples:\n  \
        evenkeel check\n  \
        evenkeel check --dir shop --json"
)]
pub(crate) struct CheckArguments {}

/// `evenkeel plan`
#[derive(Debug, Args)]
#[command(
    about = "Show what `apply` would change",
    long_about = "Show what `apply` would change.\n\n\
        Compares the definition files with the registry. For each view: its kind, the edges of \
        its windows in words, and what it costs per event and key.",
    after_help = "Examples:\n  \
        evenkeel plan\n  \
        evenkeel plan --env production --json"
)]
pub(crate) struct PlanArguments {
    /// Also show the objects that stay as they are
    #[arg(long)]
    pub(crate) all: bool,
}

/// `evenkeel apply`
#[derive(Debug, Args)]
#[command(
    about = "Register the definitions in the store",
    long_about = "Register the definitions in the store.\n\n\
        Creates the store if there is none. The registry keeps every version of every \
        definition; nothing is ever removed by leaving it out of the files.",
    after_help = "Examples:\n  \
        evenkeel apply\n  \
        evenkeel apply --env production --json"
)]
pub(crate) struct ApplyArguments {}

/// `evenkeel rollback`
#[derive(Debug, Args)]
#[command(
    about = "Go back to an earlier version of a view",
    long_about = "Go back to an earlier version of a view.\n\n\
        The definition of then becomes the newest version: what names the view without a version \
        follows at once, services too. Nothing is taken out of the registry, and what was served \
        or built stays as it is. If a view that it reads is not what it was then, that has to go \
        back first. Bad data is taken back with `correct` and `exclude`.",
    after_help = "Examples:\n  \
        evenkeel rollback airport_congestion --to 1 --dry-run\n  \
        evenkeel rollback airport_congestion --to 1 --json"
)]
pub(crate) struct RollbackArguments {
    /// The view
    #[arg(value_name = "VIEW")]
    pub(crate) view: String,
    /// The version to go back to
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: u32,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `evenkeel functions`
#[derive(Debug, Args)]
#[command(
    about = "List the functions of the definition language",
    long_about = "List the functions of the definition language.\n\n\
        Expressions and aggregates with their signatures and rules. Only these exist in feature \
        views: each gives the same bits on every machine.",
    after_help = "Examples:\n  \
        evenkeel functions\n  \
        evenkeel functions round\n  \
        evenkeel functions --json"
)]
pub(crate) struct FunctionsArguments {
    /// Only functions with this in their name
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}
