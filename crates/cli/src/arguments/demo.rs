//! `evenkeel demo`.

use clap::Args;

/// `evenkeel demo`
#[derive(Debug, Args)]
#[command(
    about = "Show everything on a year of real flights",
    long_about = "Show everything on a year of real flights.\n\n\
        Unpacks a project (all departures from Seattle and Portland in 2014, hourly weather, \
        aircraft) into a folder, applies its definitions, logs the events, reads features at \
        three telling moments, builds a training set for \"arrives more than 15 minutes late\", \
        proves that the read path and the training path give the same bits, and builds a training \
        dataset twice. The folder is an \
        ordinary project: look into it, change it, ask it with the other commands.",
    after_help = "Examples:\n  \
        evenkeel demo\n  \
        evenkeel demo --dir /tmp/flights --json\n  \
        evenkeel get --dir evenkeel-demo --service delay_model \\\n      \
            --entity origin=SEA,dest=PHX,carrier=AS --as-of 2014-07-04T16:00:00Z"
)]
pub(crate) struct DemoArguments {
    /// Delete what an earlier demo left in the folder and start anew
    #[arg(long)]
    pub(crate) force: bool,
    /// How many values to verify
    #[arg(long, value_name = "N", default_value_t = 120_000)]
    pub(crate) values: u64,
}
