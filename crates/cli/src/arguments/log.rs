//! `evenkeel log`.

use clap::{Args, Subcommand};

/// `evenkeel log`
#[derive(Debug, Args)]
#[command(
    about = "Make the log shorter by what the lake has",
    long_about = "Make the log shorter by what the lake has.\n\n\
        The log keeps every event, and so does the lake. Events that were flushed can leave the log, and are \
        read from the lake from then on.",
    after_help = "Examples:\n  \
        evenkeel log truncate --days 30",
    disable_help_subcommand = true
)]
pub(crate) struct LogArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: LogCommand,
}

/// What is done with the log.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    Truncate(TruncateArguments),
}

/// `evenkeel log truncate`
#[derive(Debug, Args)]
#[command(
    about = "Let events leave the log that the lake has",
    long_about = "Let events leave the log that the lake has.\n\n\
        From the oldest segment of the log on, up to the first that is not flushed as a whole, not in the hot \
        tier's checkpoint, or too young: each event is read from the log and from the lake and \
        compared, then the segment is replaced by one without the bodies of its events; for the one that is \
        written a new one is begun. Positions, times, \
        dead letters and checksums stay. Every answer stays what it was, and the lake must stay: \
        what was truncated is nowhere else. Killed at any moment, \
        nothing is lost. A server does it after each flush where `log_days` of `[lake]` says so, and must not hold the store for this command. See \
        docs/lake.md.",
    after_help = "Examples:\n  \
        evenkeel flush\n  \
        evenkeel log truncate --dry-run\n  \
        evenkeel log truncate --days 30 --json"
)]
pub(crate) struct TruncateArguments {
    /// Only segments of which everything was logged so many days ago
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) days: u32,
    /// Compare, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}
