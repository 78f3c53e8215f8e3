//! `evenkeel tail`.

use clap::Args;

/// `evenkeel tail`
#[derive(Debug, Args)]
#[command(
    about = "Show what a derived stream emitted",
    long_about = "Show what a derived stream emitted.\n\n\
        Emissions in the order in which they were made, each with its position, the time of its \
        trigger, and whether it is a row (insert), another row in its place (replace) or its end \
        (remove). Without --from the last ones are shown. With --follow those that come are shown as they \
        come: a server that holds the store makes them. See docs/sql.md.",
    after_help = "Examples:\n  \
        evenkeel tail product_returns\n  \
        evenkeel tail product_returns --from 0 --limit 100 --json\n  \
        evenkeel tail product_returns --follow"
)]
pub(crate) struct TailArguments {
    /// The derived stream, or the topic of a view
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: String,
    /// The position to begin at [default: the last ones]
    #[arg(long, value_name = "POSITION")]
    pub(crate) from: Option<u64>,
    /// How many to show [default: 10, with --follow and --from all]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Go on with those that come
    #[arg(long)]
    pub(crate) follow: bool,
}
