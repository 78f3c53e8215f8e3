//! `evenkeel sql`.

use std::path::PathBuf;

use clap::Args;

/// `evenkeel sql`
#[derive(Debug, Args)]
#[command(
    about = "Ask the store in SQL",
    long_about = "Ask the store in SQL.\n\n\
        Any SELECT over `events.SOURCE` (every event that holds), a table, stream or view by its name \
        (its rows now, or `AS OF TIMESTAMP '...'`), `datasets.NAME`, `dead_letters.SOURCE`, and, \
        without a server, files in quotes. It only reads. What is computed here is DataFusion's; the \
        features of views are those that training reads. Also works while a server holds the store. \
        See docs/sql-queries.md.",
    after_help = "Examples:\n  \
        evenkeel sql \"SELECT origin, count(*) FROM events.departures GROUP BY origin\"\n  \
        evenkeel sql \"SELECT * FROM planes AS OF TIMESTAMP '2014-06-01' WHERE seats > 300\"\n  \
        evenkeel sql \"SELECT * FROM airport_congestion\" --as-of 2014-07-04T16:00:00Z --json\n  \
        evenkeel sql --file report.sql --output report.parquet"
)]
pub(crate) struct SqlArguments {
    /// The query
    #[arg(
        value_name = "QUERY",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    pub(crate) query: Option<String>,
    /// Read the query from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// When names without AS OF are read, and what now() is [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) as_of: Option<String>,
    /// Know only the events in this cut, as an earlier answer printed it [default: everything]
    #[arg(long, value_name = "CUT")]
    pub(crate) cut: Option<String>,
    /// So many rows at most [default: 100 in a table, all of them otherwise]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Print CSV
    #[arg(long, conflicts_with_all = ["output", "json"])]
    pub(crate) csv: bool,
    /// Write the rows into this file instead: .parquet, .csv or .arrow
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
