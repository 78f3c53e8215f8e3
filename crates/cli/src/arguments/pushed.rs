//! `evenkeel set` and `evenkeel delete`.

use clap::Args;

use super::Pairs;

/// `evenkeel set`
#[derive(Debug, Args)]
#[command(
    about = "Set features of a row of a pushed view",
    long_about = "Set features of a row of a pushed view.\n\n\
        The features that are named change, the others stay as they are at that time; all of the row is \
        one version, which holds until the next. It is durable and seen when the command \
        returns. Also works while a server holds the store. See docs/sql.md.",
    after_help = "Examples:\n  \
        evenkeel set scores --entity customer_id=ada --features risk=0.25\n  \
        evenkeel set scores --entity customer_id=ada --features risk=0.5,grade=NULL \\\n      \
            --at 2026-01-12T00:00:00Z --json"
)]
pub(crate) struct SetArguments {
    /// The pushed view
    #[arg(value_name = "VIEW")]
    pub(crate) view: String,
    /// The key, as NAME=VALUE,...
    #[arg(long, value_name = "PAIRS")]
    pub(crate) entity: Pairs,
    /// The features, as NAME=VALUE,...
    #[arg(long, value_name = "PAIRS")]
    pub(crate) features: Pairs,
    /// From when on [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// `evenkeel delete`
#[derive(Debug, Args)]
#[command(
    about = "End a row of a pushed view",
    long_about = "End a row of a pushed view.\n\n\
        From then on the key has no row; what it had before is still read at earlier times. Also \
        works while a server holds the store.",
    after_help = "Examples:\n  \
        evenkeel delete scores --entity customer_id=ada\n  \
        evenkeel delete scores --entity customer_id=ada --at 2026-01-12T00:00:00Z --json"
)]
pub(crate) struct DeleteArguments {
    /// The pushed view
    #[arg(value_name = "VIEW")]
    pub(crate) view: String,
    /// The key, as NAME=VALUE,...
    #[arg(long, value_name = "PAIRS")]
    pub(crate) entity: Pairs,
    /// When [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}
