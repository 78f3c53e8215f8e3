//! `evenkeel run`.

use clap::Args;

/// `evenkeel run`
#[derive(Debug, Args)]
#[command(
    about = "Run a batch view",
    long_about = "Run a batch view.\n\n\
        Its query is answered as of a time, and each row becomes the key's row from that time on; keys \
        that have no row any more end. A run is recorded with what it knows before anything is \
        written: killed in the middle, the same command goes on, and a run that was finished is \
        not made twice. Without --at, runs of other times that were begun and not finished are \
        finished, too. A view without a schedule needs --at. Also works while a server holds the \
        store, which runs due views by itself. See docs/sql.md.",
    after_help = "Examples:\n  \
        evenkeel run nightly_delays\n  \
        evenkeel run nightly_delays --at 2014-07-04T03:00:00Z --json"
)]
pub(crate) struct RunArguments {
    /// The batch view
    #[arg(value_name = "VIEW")]
    pub(crate) view: String,
    /// As of when [default: the last time of its schedule]
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Make a run that was finished once more, with what is known now
    #[arg(long)]
    pub(crate) again: bool,
}
