//! `evenkeel correct` and `evenkeel exclude`.

use std::path::PathBuf;

use clap::Args;

/// `evenkeel correct`
#[derive(Debug, Args)]
#[command(
    about = "Put the events of a period right, by difference with the truth",
    long_about = "Put the events of a period right, by difference with the truth.\n\n\
        Compares the events of a source in a period with the rows of files that say what they \
        are, and logs the difference: rows that are otherwise are replaced, events that are not \
        in the truth are removed, missing ones are added. Events outside the period are never \
        touched, the same truth again changes nothing, and what was answered before stays \
        readable at its cut. A row of the truth that can be no event of the source refuses the \
        whole correction. If it is interrupted, run it again: the rest follows.\n\n\
        Without --with the comparison is made that the source declares (compare_schedule, \
        compare_with), for the moment that was due last; a server makes it by itself.",
    after_help = "Examples:\n  \
        evenkeel correct payments --with truth.parquet --from 2026-03-01 --to 2026-03-02 --dry-run\n  \
        evenkeel correct payments --with 'truth/2026-03-*.csv' --from 2026-03-01 --to 2026-04-01"
)]
pub(crate) struct CorrectArguments {
    /// The source
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// The file (or pattern) with the truth, read as the source's own files are; relative to the
    /// current folder
    #[arg(long, value_name = "FILE", requires_all = ["from", "to"])]
    pub(crate) with: Option<PathBuf>,
    /// The first time of the period; without a zone, in the source's
    #[arg(long, value_name = "TIME", requires = "with")]
    pub(crate) from: Option<String>,
    /// The first time behind the period
    #[arg(long, value_name = "TIME", requires = "with")]
    pub(crate) to: Option<String>,
    /// Only say what would be logged, and how many values would be others
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `evenkeel exclude`
#[derive(Debug, Args)]
#[command(
    about = "Leave out what was logged between positions",
    long_about = "Leave out what was logged between positions.\n\n\
        Logs what makes events hold as if the records at these positions were not there: an \
        event that came with them is removed, one that they corrected is again what it was. \
        Nothing leaves the log, and what was answered before stays readable at its cut. An \
        event that is removed stays so if it is ingested again: `correct` brings it back.",
    after_help = "Examples:\n  \
        evenkeel exclude payments --positions 0@120000..0@125000 --dry-run\n  \
        evenkeel exclude payments --positions 0@120000..125000,1@88000..91000"
)]
pub(crate) struct ExcludeArguments {
    /// The source
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// PARTITION@FROM..TO, separated by commas; TO is the first position that stays
    #[arg(long, value_name = "POSITIONS")]
    pub(crate) positions: String,
    /// Only say what would be logged, and how many values would be others
    #[arg(long)]
    pub(crate) dry_run: bool,
}
