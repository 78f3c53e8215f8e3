//! `evenkeel ingest` and `evenkeel dead-letters`.

use std::path::PathBuf;

use clap::Args;

/// `evenkeel ingest`
#[derive(Debug, Args)]
#[command(
    about = "Log the events of file sources",
    long_about = "Log the events of file sources.\n\n\
        Reads the files of a source (of all file sources, if none is named), checks every row, \
        and logs what is new: a row that is in the log already is counted, not logged again. A \
        row that cannot be an event goes to the source's dead letters with its reason; the rest \
        goes on. What is reported as recorded is on disk. If no source is named, one that cannot be \
        read keeps no other from it: each is named with the reason, and the first one says the exit \
        code.\n\n\
        Of a table of MySQL or MariaDB that is named the first time a snapshot is logged, then the \
        changes that the server has logged since; with --follow all that come.",
    after_help = "Examples:\n  \
        evenkeel ingest\n  \
        evenkeel ingest departures\n  \
        evenkeel ingest departures --file data/2015-01.parquet"
)]
pub(crate) struct IngestArguments {
    /// The source
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    /// Read this file (or pattern) instead of the source's own; relative to the current folder
    #[arg(long, value_name = "FILE", requires = "source")]
    pub(crate) file: Option<PathBuf>,
    /// Go on with rows and files that come, until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
    /// End when nothing has come for this long
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    pub(crate) idle_exit: Option<u64>,
    /// End when all is read; the files are complete, their last lines too
    #[arg(long, requires = "follow", conflicts_with = "idle_exit")]
    pub(crate) until_idle: bool,
    /// How often to look for more
    #[arg(
        long,
        value_name = "MILLISECONDS",
        default_value_t = 200,
        requires = "follow"
    )]
    pub(crate) poll: u64,
    /// Of a table of MySQL: take a new snapshot, and log what differs
    #[arg(long, requires = "source", conflicts_with = "file")]
    pub(crate) snapshot: bool,
}

/// `evenkeel dead-letters`
#[derive(Debug, Args)]
#[command(
    about = "Show rejected rows, and log them again",
    long_about = "Show rejected rows, and log them again.\n\n\
        Each row with its number, the reason, where it came from and the original record. \
        --redrive checks rows anew, with the definitions as they are now.",
    after_help = "Examples:\n  \
        evenkeel dead-letters departures\n  \
        evenkeel dead-letters departures --redrive 3 --redrive 7\n  \
        evenkeel dead-letters departures --redrive all"
)]
pub(crate) struct DeadLettersArguments {
    /// The source
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Log this row again, by its number, or `all`; may be given several times
    #[arg(long, value_name = "ID|all", value_delimiter = ',')]
    pub(crate) redrive: Vec<Redrive>,
    /// Show at most this many rows
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
}

/// One `--redrive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redrive {
    /// Every row.
    All,
    /// The row of this number.
    One(u64),
}

impl std::str::FromStr for Redrive {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("all") {
            return Ok(Redrive::All);
        }
        text.parse()
            .map(Redrive::One)
            .map_err(|_| "write the number of a row, or `all`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redrive_takes_numbers_and_all() {
        assert_eq!("7".parse(), Ok(Redrive::One(7)));
        assert_eq!("ALL".parse(), Ok(Redrive::All));
        assert!("x".parse::<Redrive>().is_err());
    }
}
