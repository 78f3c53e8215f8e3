//! `evenkeel backfill`.

use clap::Args;

/// `evenkeel backfill`
#[derive(Debug, Args)]
#[command(
    about = "Make the rows of a materialised view again, by what is known now",
    long_about = "Make the rows of a materialised view again, by what is known now.\n\n\
        A materialised view keeps what was known when each row came. A backfill evaluates the rows of a \
        period once more, as of now: what differs is emitted with the next revision, what does not is \
        left alone. Older cuts stay readable. First everything that is logged is emitted, so it also \
        brings a new view up to date. It is logged before it begins: interrupted or killed, it goes on \
        where it was, by itself or with the same command; asked for twice, the second one changes \
        nothing. Also works while a server holds the store. See docs/sql.md.",
    after_help = "Examples:\n  \
        evenkeel backfill order_risk --from 2024-01-01 --to 2024-02-01\n  \
        evenkeel backfill order_risk --json"
)]
pub(crate) struct BackfillArguments {
    /// The materialised view, or a derived stream
    #[arg(value_name = "VIEW")]
    pub(crate) view: String,
    /// The first time of the period [default: the first event]
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// The first time behind the period [default: none]
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
}
