//! `evenkeel forget`.

use clap::Args;

/// `evenkeel forget`
#[derive(Debug, Args)]
#[command(
    about = "Forget a key of an entity, everywhere in the store",
    long_about = "Forget a key of an entity, everywhere in the store.\n\n\
        The one thing that changes the past. Every event of the key is found: in each source by the columns that \
        views, look-ups and names say hold it, and in what derived streams emitted of these events. The \
        events are removed from the log, from every version of the lake's tables, from dead letters, frozen \
        segments and the log of what was served; the hot tier is built again. Places and times in the log stay, \
        with nothing in them, so every other key is answered what it was, at every cut. An event that \
        is of two keys goes from both; with --pseudonym it stays, and the key in it becomes a \
        random one, so that counts of others stay. Training datasets that read any of it cannot be built again, \
        and are named; so is what stays, and why. \
        Interrupted, it is gone on with when the store is opened to write. A server that holds the store finds the \
        key, and forgets it when it starts the next time, or at once with --now. See docs/forget.md.",
    after_help = "Examples:\n  \
        evenkeel forget customer C-1042 --dry-run\n  \
        evenkeel forget customer C-1042 --pseudonym --yes --json\n  \
        evenkeel forget purchase customer_id=C-1042,product_id=P7 --yes --delete-datasets"
)]
pub(crate) struct ForgetArguments {
    /// The entity
    #[arg(value_name = "ENTITY", required_unless_present = "resume")]
    pub(crate) entity: Option<String>,
    /// The key: its value, or PART=VALUE for each part, separated by commas
    #[arg(value_name = "KEY", required_unless_present = "resume")]
    pub(crate) key: Option<String>,
    /// Put a random key in its place instead of removing its events
    #[arg(long)]
    pub(crate) pseudonym: bool,
    /// More columns that hold the key, as SOURCE.COLUMN,COLUMN
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) also: Vec<String>,
    /// Remove the files of datasets that have rows of the key, too
    #[arg(long)]
    pub(crate) delete_datasets: bool,
    /// Look, and change nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Do it: it cannot be undone
    #[arg(long)]
    pub(crate) yes: bool,
    /// Of a server: at once. It finishes what is under way, forgets, and then answers again
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) now: bool,
    /// Go on with what was interrupted
    #[arg(long, conflicts_with_all = ["entity", "key", "pseudonym", "also", "delete_datasets", "dry_run", "yes", "now"])]
    pub(crate) resume: bool,
}
