//! `evenkeel trigger` and `evenkeel result`.

use clap::Args;
use evenkeel_engine::push::checked_correlation_id;

use super::Pairs;

/// `evenkeel trigger`
#[derive(Debug, Args)]
#[command(
    about = "Log a row, and read features at its place in the log",
    long_about = "Log a row, and read features at its place in the log.\n\n\
        The row is logged and applied as a push's is; then the features are read at its own event time, \
        with everything that was logged up to it and nothing that came behind. Sent again (with \
        an event id, or a producer and a sequence number) it is logged once and answered as the \
        first time. The inputs of what is asked are columns of the row. With --consistency complete \
        it is answered at the first place in the log at which no event up to its time is expected any \
        more: a server waits for that. If it is not there in time the row is logged all the same, and \
        the exit code is 4, with a server and without; of a row that is no event it is 1. Also works while a server holds the store. See \
        docs/server.md.",
    after_help = "Examples:\n  \
        evenkeel trigger payments --row id=77,card=4,amount=250.5,at=2026-03-01T10:00:00Z \\\n      \
            --service fraud_model\n  \
        evenkeel trigger payments --row id=78,card=4,amount=99,at=2026-03-01T10:00:00Z \\\n      \
            --view spent --json
  \
        evenkeel trigger payments --row id=79,card=4,amount=99,at=2026-03-01T10:00:00Z \\\n      \
            --view spent --consistency complete:limits --degraded"
)]
pub(crate) struct TriggerArguments {
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
        required_unless_present = "view",
        conflicts_with = "view"
    )]
    pub(crate) service: Option<String>,
    /// A view with all of its features, as NAME or NAME@VERSION
    #[arg(long, value_name = "NAME")]
    pub(crate) view: Option<String>,
    /// Who sends it; with --sequence
    #[arg(long, value_name = "ID", requires = "sequence")]
    pub(crate) producer: Option<String>,
    /// Its number among the producer's rows
    #[arg(long, value_name = "NUMBER", requires = "producer")]
    pub(crate) sequence: Option<u64>,
    /// What it is called: what derived streams emit for it says so
    #[arg(long, value_name = "ID", value_parser = checked_correlation_id)]
    pub(crate) correlation_id: Option<String>,
    /// What the answer must know: `trigger` (everything before the row), `complete` (the watermarks of all sources
    /// that are read are past the row's time), or `complete:SOURCE,...`
    #[arg(long, value_name = "LEVEL")]
    pub(crate) consistency: Option<String>,
    #[command(flatten)]
    pub(crate) waiting: WaitingArguments,
}

/// How long is waited for an answer, and what is done if it does not come.
#[derive(Debug, Args)]
pub(crate) struct WaitingArguments {
    /// How long a server waits for the answer, in milliseconds
    #[arg(long, value_name = "MS")]
    pub(crate) timeout: Option<u64>,
    /// If watermarks are not where they must be, answer what was known at the row's place
    #[arg(long)]
    pub(crate) degraded: bool,
}

/// `evenkeel result`
#[derive(Debug, Args)]
#[command(
    about = "Show what was answered to a trigger",
    long_about = "Show what was answered to a trigger.\n\n\
        A result is not stored but computed again from its name: the same bits, whatever was logged or \
        defined since. Also works while a server holds the store.",
    after_help = "Examples:\n  \
        evenkeel result payments~0~17~view~spent~1\n  \
        evenkeel result payments~0~17~service~fraud_model~2~9a1f00c27be4d713 --json"
)]
pub(crate) struct ResultArguments {
    /// `result` of the trigger's answer
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) waiting: WaitingArguments,
}
